"""What an earlier tool result has already, whole or in runs of lines, said by a line that names the place: docs/repeats.md."""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from headroom_asgi._crush import estimate, fold
from headroom_asgi.compressors import Compressed
from headroom_asgi.config import HeadroomConfig, Route
from headroom_asgi.errors import ExpandError
from headroom_asgi.tokenizer import Tokenizer
from headroom_asgi.transforms.base import Decision, Transform, TransformResult, edits_of
from headroom_asgi.transforms.memo import Memo, Outcome
from headroom_asgi.transforms.messages import decoded_messages, payload_of
from headroom_asgi.transforms.tools import is_named
from headroom_asgi.types import RETRIEVE_NAME
from headroom_asgi.wire import Payload, Segment, splice

REPEATS: Final = "repeats:lines"

_REFERENCE = re.compile(
    r"\[\+(\d{1,9}) lines? as (?:in result (\d{1,9})|above)(?:, from line (\d{1,9}))?(?:, numbered from (\d{1,7}))?\]", re.ASCII
)
_SAME = re.compile(r"\[the same as result (\d{1,9})\]", re.ASCII)
_LEAST_SAVED: Final = 32  # tokens of a text, as of every edit
_NUMBERED = re.compile(r"(?P<blanks> {0,16})(?P<number>0|[1-9][0-9]{0,6})(?P<sign>\t|:|→)")


class Repeats(Transform):
    """Looks at all tool results of a request together, as they are forwarded, oldest first.

    What becomes of a result depends on it and on those before it, nothing else. The results of every tool take part, as what is
    left of a text keeps its very bytes, and that is what exact-match tools need. Frozen results are only referred to.
    """

    name = "repeats"

    def __init__(self, route: Route | None = None, memo: Memo | None = None) -> None:
        route = route or HeadroomConfig().resolve().default
        rule = next((rule for rule in route.compressors if rule.name == self.name), None)
        self._enabled = rule is not None
        self._except_tools = rule.except_tools if rule is not None else frozenset()
        self._memo = memo if memo is not None else Memo(HeadroomConfig().memo_bytes)

    def fold(self, payload: Payload, decisions: Sequence[Decision]) -> bool:
        """Fold what repeats; whether anything did.

        Args:
            payload: any.
            decisions: one for each of its segments, with what was made of its text so far; those that are folded are told.
        """
        if not self._enabled or payload.history_edited:
            return False
        results = [decision for decision in decisions if is_result(decision.segment)]
        texts = [_forwarded(decision) for decision in results]
        frozen = [d.segment.frozen or is_named(d.segment.tool_name, self._except_tools) for d in results]
        folded = False
        for decision, before, after in zip(results, texts, _folded(texts, frozen), strict=True):
            if after is not None:
                self._tell(decision, before, after)
                folded = True
        return folded

    def apply(self, messages: list[Any], tokenizer: Tokenizer, **kwargs: Any) -> TransformResult:
        """The messages with repeats folded. `kwargs["format"]` names the dialect, else it is guessed."""
        payload = payload_of(messages, kwargs.get("model", ""), kwargs.get("format"))
        decisions = [Decision(segment) for segment in payload.segments]
        folded = self.fold(payload, decisions)
        after = decoded_messages(payload.again(splice(payload.body, edits_of(decisions))))
        return TransformResult(
            messages=after,
            tokens_before=tokenizer.count_messages(messages),
            tokens_after=tokenizer.count_messages(after),
            transforms_applied=[REPEATS] if folded else [],
        )

    def _tell(self, decision: Decision, before: bytes, after: bytes) -> None:
        """The decision is the folded text from now on; its exact counts are kept with the memo."""
        key = hashlib.blake2b(after, digest_size=16, key=decision.key[:64], person=b"headroom-fold").digest()
        outcome = self._memo.get(key)
        if outcome is None:
            omissions = decision.compressed.omissions if decision.compressed is not None else ()
            tokens = decision.tokens_before or estimate(before)
            text = after.decode("utf-8", "surrogatepass")
            outcome = Outcome("compressed", Compressed(text, REPEATS, omissions), tokens, estimate(after))
            self._memo.put(key, outcome)
        decision.settle(outcome)


def _forwarded(decision: Decision) -> bytes:
    """The text of a segment as it goes, as far as it was decided."""
    if decision.compressed is None:
        return decision.segment.utf8
    return decision.compressed.text.encode("utf-8", "surrogatepass")


def is_result(segment: Segment) -> bool:
    """A tool result that stands in the conversation and is not an answer of our own tool: one that is counted in references."""
    return not segment.frozen or (segment.tool_name != "" and not segment.tool_name.endswith(RETRIEVE_NAME))


def _folded(texts: Sequence[bytes], frozen: Sequence[bool]) -> list[bytes | None]:
    """For each text its shorter form, None where it stays: a text that an earlier one is word for word, then runs of lines."""
    first: dict[bytes, int] = {}
    same: dict[int, bytes] = {}
    sizes = Counter(map(len, texts))
    for place, text in enumerate(texts):
        if sizes[len(text)] == 1:
            continue  # the only one of its size
        earlier = first.setdefault(text, place)
        if earlier != place and not frozen[place]:
            said = b"[the same as result %d]" % (earlier + 1)
            if estimate(text) - estimate(said) >= _LEAST_SAVED:
                same[place] = said
    if not same:
        return fold([*texts], [*frozen])
    # What a reader sees of such a text is that line, so runs are looked for in what is left.
    left = [same.get(place, text) for place, text in enumerate(texts)]
    runs = fold(left, [place in same or stays for place, stays in enumerate(frozen)])
    return [same.get(place, run) for place, run in enumerate(runs)]


def unfold(texts: Sequence[str]) -> list[str]:
    """The texts of all tool results, in order, with every reference replaced by the lines that it stands for.

    Raises:
        ExpandError: a reference names lines that are not there.
    """
    seen: list[list[str]] = []
    whole: list[str] = []
    for text in texts:
        same = _SAME.fullmatch(text)
        if same is not None:
            if not 0 < int(same[1]) <= len(whole):
                raise ExpandError(f"{text} names a result that is not above")
            seen.append([text])
            whole.append(whole[int(same[1]) - 1])
            continue
        lines = text.split("\n")
        seen.append(lines)
        unfolded: list[str] = []
        for at, line in enumerate(lines):
            found = _REFERENCE.fullmatch(line) if at else None
            unfolded += [line] if found is None else _referred(found, seen, lines, at)
        whole.append("\n".join(unfolded))
    return whole


def _referred(found: re.Match[str], seen: Sequence[Sequence[str]], lines: Sequence[str], at: int) -> list[str]:
    """The lines that the reference at `lines[at]` stands for."""
    count, result, start, number = (int(group) if group else 0 for group in found.groups())
    if result > len(seen):
        raise ExpandError(f"{found.group()} names a result that is not above")
    source = seen[result - 1] if result else lines[:at]
    if not start:
        key = _behind_number if number else str
        anchor = key(lines[at - 1])
        start = next((place + 2 for place, line in enumerate(source) if key(line) == anchor), 0)
    referred = list(source[start - 1 : start - 1 + count])
    if not start or len(referred) < count:
        raise ExpandError(f"{found.group()} names lines that are not there")
    if not number:
        return referred
    first = _NUMBERED.match(referred[0])
    if first is None:
        raise ExpandError(f"{found.group()} numbers lines that have no number")
    return [_renumbered(line, number - int(first["number"])) for line in referred]


def _number_of(line: str) -> re.Match[str] | None:
    """The number before a line of a file view; before a colon it stands at the margin."""
    found = _NUMBERED.match(line)
    return None if found is not None and found["sign"] == ":" and found["blanks"] else found


def _behind_number(line: str) -> str:
    found = _number_of(line)
    return line if found is None else line[found.end() :]


def _renumbered(line: str, shift: int) -> str:
    """The line with another number, in the same width where it was padded."""
    found = _number_of(line)
    if found is None:
        return line
    number = str(int(found["number"]) + shift)
    width = found.end("number") if found["blanks"] else 0
    return number.rjust(width) + line[found.end("number") :]
