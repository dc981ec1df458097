"""What dialects share that put what really happened in place of a turn: which calls have results, and where ours go."""

from collections.abc import Callable, Iterable, Sequence

from headroom_asgi._crush import Document
from headroom_asgi.types import Edit, ToolCall, ToolResult
from headroom_asgi.wire.answers import Answer, Round, Turn


def comparable(texts: Iterable[str]) -> str:
    """Visible texts in a form that survives what clients do to them: joined in their own way, without the space around."""
    return "".join("".join(texts).split())


def ranks(last: Round) -> tuple[list[int], list[tuple[int, ToolCall]]]:
    """Which calls of a round's answer our results are for, and the calls that are left, with their places among all calls."""
    ours: list[int] = []
    others: list[tuple[int, ToolCall]] = []
    for rank, call in enumerate(last.answer.calls):
        waiting = last.results[len(ours)].call if len(ours) < len(last.results) else None
        if waiting is not None and (waiting.id, waiting.name) == (call.id, call.name):
            ours.append(rank)
        else:
            others.append((rank, call))
    return ours, others


def unanswered(last: Round, turn: Turn) -> frozenset[int]:
    """The nodes of calls that neither we answer nor the client has: calls of ours in a round that was cut, or one too many."""
    known = {call.name for call in turn.calls}  # a client that dropped one of its own would not be recognized
    gone = {rank for rank, call in ranks(last)[1] if call.name not in known}
    nodes = [part.node for part in last.answer.parts if part.call is not None]
    return frozenset(node for rank, node in enumerate(nodes) if rank in gone)


def place(rank: int, theirs: Sequence[int]) -> int:
    """How many of the client's results, given by the ranks of their calls as they stand, go before ours for the call `rank`."""
    return next((index for index, other in enumerate(theirs) if other > rank), len(theirs))


def replay_messages(
    document: Document,
    messages: Sequence[int],
    turn: Turn,
    rounds: Sequence[Round],
    *,
    turn_of: Callable[[Answer, frozenset[int]], bytes],
    result_of: Callable[[ToolResult], bytes],
    ranks_of: Callable[[Sequence[int], Sequence[tuple[int, ToolCall]]], Sequence[int]],
) -> list[Edit]:
    """The edits of a replay where a turn is one message and every result is another one behind it.

    Args:
        document: the request.
        messages: its messages.
        turn: the turn, whose `data` is the position of its message.
        rounds: what really happened.
        turn_of: the message of an answer, without the calls at some nodes; b"" if nothing is left.
        result_of: the message of a result.
        ranks_of: the ranks of the calls that the messages behind the turn answer, as far as they answer any.
    """
    at: int = turn.data
    *hidden, last = rounds
    pieces = [piece for each in hidden for piece in (turn_of(each.answer, frozenset()), *map(result_of, each.results))]
    said = turn_of(last.answer, unanswered(last, turn))
    pieces.append(said or document.raw(messages[at]))  # no turn may be without content: the client's own says why there is none
    ours, others = ranks(last)
    theirs = ranks_of(messages[at + 1 :], others)
    inserted = []
    for rank, result in zip(ours, last.results, strict=False):
        before = place(rank, theirs)
        if before == 0:
            pieces.append(result_of(result))
        else:
            end = document.span(messages[at + before])[1]
            inserted.append(Edit(end, end, b"," + result_of(result)))
    return [Edit(*document.span(messages[at]), b",".join(pieces)), *inserted]
