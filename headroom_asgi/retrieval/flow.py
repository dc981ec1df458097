"""The retrieval loop: which bodies go to the inner app, one after the other, until the model has its answer. No I/O.

flow = rounds(wire, body, originals, max_rounds=4)
body = next(flow)
while True:
    answer = ...                    # send the body, read the whole answer
    body = flow.send(answer)        # the next round's body, or StopIteration, whose value is the Outcome
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from headroom_asgi.retrieval.tool import TOOL, Originals
from headroom_asgi.types import ToolCall, ToolResult
from headroom_asgi.wire import Answer, Finish, Part, PartKind, Round, WireFormat

_LAST_ROUND: Final = "[this was the last retrieval for this answer: answer with what you have]"
_NOTICE: Final = (
    "The answer ended before it was given: the model went on asking for content that had been left out of tool results."
)


@dataclass(frozen=True, slots=True, repr=False)
class Outcome:
    """How an exchange ended, and what the client sees of it.

    Attributes:
        rounds: the answers of all rounds, each with our results; those of the last one only where they are remembered.
        kept: for each round the parts that the client sees.
        notice: a text for an answer that would otherwise say nothing, else "".
        stopped: the last reason says that calls follow, but none is left: say that the model stopped.
        retrievals: calls of our tool that were answered.
        misses: those that asked for what was not written in this conversation, or more than may be handed out, or wrongly.
        reason: `done` (the last answer has no call of ours), or why calls of ours are not the client's: `cut` (the round ended
            early, so they may be incomplete), `mixed` (the client's own calls stand beside them and end the turn), `max_rounds`.
    """

    rounds: tuple[Round, ...]
    kept: tuple[tuple[Part, ...], ...]
    notice: str
    stopped: bool
    retrievals: int
    reason: str
    misses: int = 0

    @property
    def hides(self) -> bool:
        """Something happened that the client does not see, and that can be put back when it sends the turn again."""
        return self.reason == "mixed" or (self.reason == "done" and len(self.rounds) > 1)

    @property
    def is_whole(self) -> bool:
        """One answer, all of which the client sees."""
        single = len(self.rounds) == 1 and len(self.kept[0]) == len(self.rounds[0].answer.parts)
        return single and not self.notice and not self.stopped

    @property
    def asked(self) -> bool:
        """The model called our tool, so it has it."""
        return any(call.name == TOOL.name for answer in self.answers for call in answer.calls)

    @property
    def answers(self) -> tuple[Answer, ...]:
        """The answers of all rounds."""
        return tuple(each.answer for each in self.rounds)


def rounds(
    wire: WireFormat,
    body: bytes,
    originals: Originals,
    *,
    max_rounds: int,
    structured: bool = False,
    remembers: frozenset[str] = frozenset(),
) -> Generator[bytes, Answer, Outcome]:
    """The rounds of one exchange: yields the body of each, receives its whole answer.

    A round is followed by another one if it has calls of our tool and of nobody else's. Later bodies are the first one with the
    model's turns and our results appended; nothing else of it changes.

    Args:
        wire: the dialect of body and answers.
        body: the first round's body.
        originals: what can be redeemed.
        max_rounds: calls of the inner app, the first included.
        structured: the client asked for structured output: text of a round that another one follows does not show.
        remembers: reasons of an end after which the calls of the last round are answered all the same: a later request will
            have them.
    """
    done: list[Round] = []
    kept: list[tuple[Part, ...]] = []
    retrievals = spent = 0
    while True:
        answer = yield body
        ours = tuple(part.call for part in answer.parts if part.call is not None and part.call.name == TOOL.name)
        reason = _end(answer, len(ours), last=len(done) + 1 >= max_rounds)
        kept.append(_kept(answer, redacted=retrievals > 0, texts=bool(reason) or not structured))
        if reason and reason not in remembers:
            done.append(Round(answer))
            break
        results = _results(originals, ours, spent, last=not reason and len(done) + 2 >= max_rounds)
        done.append(Round(answer, results))
        retrievals += len(results)
        if reason:
            break
        spent += sum(len(result.text.encode("utf-8", "surrogatepass")) for result in results)
        body = wire.append(body, answer, results)
    return Outcome(
        rounds=tuple(done),
        kept=tuple(kept),
        notice=_notice(kept, done=reason == "done"),
        stopped=reason == "max_rounds",
        retrievals=retrievals,
        reason=reason,
        misses=sum(result.is_error for each in done for result in each.results),
    )


def seen(answers: Sequence[Answer], *, structured: bool) -> tuple[tuple[tuple[Part, ...], ...], str]:
    """What the client saw of the answers of an exchange that is over: the parts of each, and the notice that it got."""
    last = len(answers) - 1
    kept = tuple(_kept(answer, redacted=at > 0, texts=at == last or not structured) for at, answer in enumerate(answers))
    return kept, _notice(kept, done=all(call.name != TOOL.name for call in answers[-1].calls))


def _notice(kept: Sequence[Sequence[Part]], *, done: bool) -> str:
    """The text of an answer that would otherwise say nothing, although the model was not through."""
    says_something = any(part.kind in (PartKind.TEXT, PartKind.CALL) for parts in kept for part in parts)
    return "" if done or says_something else _NOTICE


def _kept(answer: Answer, *, redacted: bool, texts: bool) -> tuple[Part, ...]:
    """What the client sees of an answer: never our calls, and text only if `texts`.

    Signed reasoning is bound to everything before it. What was signed after something that the client does not get would be
    refused when the client sends it back; `redacted`: an earlier round had such a thing. What leads to a part stays with it.
    """
    kept: list[Part] = []
    leading: list[Part] = []
    for part in answer.parts:
        if part.kind is PartKind.LEADING:
            leading.append(part)
            continue
        if (part.call is not None and part.call.name == TOOL.name) or (part.kind is PartKind.TEXT and not texts):
            redacted = True
        elif part.kind is not PartKind.SIGNED or not redacted:
            kept += [*leading, part]
        leading = []
    return (*kept, *leading)


def _end(answer: Answer, ours: int, *, last: bool) -> str:
    """Why no round follows, "" if one does."""
    if not ours:
        return "done"
    if answer.finish is Finish.CUT:
        return "cut"
    if ours < sum(part.kind is PartKind.CALL for part in answer.parts):
        return "mixed"
    return "max_rounds" if last else ""


def _results(originals: Originals, calls: tuple[ToolCall, ...], spent: int, *, last: bool) -> tuple[ToolResult, ...]:
    """What the calls are answered with, in order; `last`: the round that follows is the last one."""
    results = []
    for call in calls:
        result = originals.answer(call, spent)
        spent += len(result.text.encode("utf-8", "surrogatepass"))
        results.append(result)
    if last:
        results[-1] = replace(results[-1], text=f"{results[-1].text}\n{_LAST_ROUND}")
    return tuple(results)
