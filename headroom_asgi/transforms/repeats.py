"""What stands above already, in tool results or in what the model wrote, said by a line that names the place: docs/repeats.md."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from headroom_asgi._crush import Above, estimate, filled, regroup
from headroom_asgi.compressors import Compressed
from headroom_asgi.config import HeadroomConfig, Route
from headroom_asgi.errors import ExpandError
from headroom_asgi.tokenizer import Tokenizer
from headroom_asgi.transforms.base import Decision, Transform, TransformResult, edits_of
from headroom_asgi.transforms.memo import Memo, Outcome
from headroom_asgi.transforms.messages import decoded_messages, payload_of
from headroom_asgi.transforms.tools import is_named
from headroom_asgi.wire import Payload, Segment, splice

REPEATS: Final = "repeats:lines"

_TEXT = r"(?:text (?P<text>\d{1,9}) of )?(?:result (?P<result>\d{1,9})|this result)"
_MEMBER = r"(?P<member>[\w.\[\]-]{1,100}) of (?:this|result (?P<call>\d{1,9})'s) call"
_REFERENCE = re.compile(
    rf"\[\+(?P<count>\d{{1,9}}) lines? as (?P<place>above|in (?:{_TEXT}|{_MEMBER}))"
    r"(?:, from line (?P<start>\d{1,9}))?(?:, numbered from (?P<number>\d{1,7}))?\]",
    re.ASCII,
)
_SAME = re.compile(rf"\[the same as {_TEXT}\]", re.ASCII)
_LEAST_SAVED: Final = 32  # tokens of a text, as of every edit
_LEAST_MORE: Final = 12  # where it is an edit already
_STAYS: Final = -1
_RESULT_BYTES: Final = 400  # of the Python objects that hold what is known of a result
_MOST_BYTES: Final = 256 << 20  # that texts may stand for, as in `expand`
_LINE_BYTES: Final = 8  # of a line, beside its characters
_NUMBERED = re.compile(r"(?P<blanks> {0,16})(?P<number>0|[1-9][0-9]{0,6})(?P<sign>\t|:|→)")


class Repeats(Transform):
    """Looks at all tool results of a request together, as they are forwarded, oldest first.

    What becomes of a result depends on it and on what stands before it, nothing else. The results of every tool take part, as
    what is left of a text keeps its very bytes, and that is what exact-match tools need. Frozen results are only referred to, and
    so are the texts that the model wrote in its calls.
    """

    name = "repeats"

    def __init__(self, route: Route | None = None, memo: Memo | None = None) -> None:
        route = route or HeadroomConfig().resolve().default
        rule = next((rule for rule in route.compressors if rule.name == self.name), None)
        self._enabled = rule is not None
        self._except_tools = rule.except_tools if rule is not None else frozenset()
        self._memo = memo if memo is not None else Memo(HeadroomConfig().memo_bytes)

    def fold(
        self,
        payload: Payload,
        decisions: Sequence[Decision],
        standing: "Standing | None" = None,
        told: Sequence[Outcome | None] = (),
    ) -> bool:
        """Fold what repeats; whether anything did.

        Args:
            payload: any.
            decisions: one for each of its segments, with what was made of its text so far; those that are folded are told.
            standing: what stands above, with the first results of the payload; the others are added.
            told: what those first ones are instead, None for those that were not folded.
        """
        if not self._enabled or payload.history_edited:
            return False
        standing = standing if standing is not None else Standing()
        results = [decision for decision in decisions if is_result(decision.segment)]
        for decision, outcome in zip(results, told, strict=False):
            if outcome is not None:
                decision.settle(outcome)
        return self._add(results[len(standing) :], standing) or any(told)

    def _add(self, results: Sequence[Decision], standing: "Standing") -> bool:
        """Fold the next results; whether anything was."""
        begun = len(standing)
        plain: list[Decision] = []
        for decision in results:
            form = decision.outcome.nearly if decision.outcome is not None else b""
            if form and self._least(decision, form, form) != _STAYS:
                self._compare(plain, standing)
                plain = []
                missing = _LEAST_SAVED - (decision.tokens_before - estimate(form))
                if self._compare([decision], standing, form, max(missing, 1)):
                    continue
                standing.cut(len(standing) - 1)
            plain.append(decision)
        self._compare(plain, standing)
        return any(standing.keys[begun:])

    def _compare(self, decisions: Sequence[Decision], standing: "Standing", form: bytes = b"", missing: int = 0) -> bool:
        """Fold these results, which stand behind all others; whether the last one was.

        Args:
            decisions: about them.
            standing: what stands above.
            form: how the only one of them would go, if not as it was decided.
            missing: the tokens that then have to be saved.
        """
        texts = [form] if form else [decision.forwarded for decision in decisions]
        # Lines are compared as they read: rows of groups filled in.
        read = [filled(text) or text for text in texts]
        least = [missing] if form else [self._least(*each) for each in zip(decisions, texts, read, strict=True)]
        shorter = standing.add(read, least, [decision.segment for decision in decisions])
        for decision, before, full, left in zip(decisions, texts, read, shorter, strict=True):
            after = left if left is None or full is before else _regrouped(before, left)
            if after is not None and full is before and filled(after) is not None:
                after = None  # compared as it stood, and now to be read with its rows filled in
            if after is not None and form and decision.tokens_before - estimate(after) < _LEAST_SAVED:
                after = None
            standing.went.append(form or _went(decision.outcome))
            standing.keys.append(b"" if after is None else self._tell(decision, before, after))
        return bool(standing.keys and standing.keys[-1])

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

    def _least(self, decision: Decision, text: bytes, read: bytes) -> int:
        """How many tokens have to be saved of a result."""
        if decision.segment.frozen or is_named(decision.segment.tool_name, self._except_tools):
            return _STAYS
        if decision.compressed is not None:
            return _LEAST_MORE
        # A client's text that looks like one of ours is only read.
        return _LEAST_SAVED if read is text else _STAYS

    def _tell(self, decision: Decision, before: bytes, after: bytes) -> bytes:
        """The decision is the folded text from now on; the memo knows it, with its exact counts, by the key that comes back."""
        # Texts that differ may be said by the same line.
        state = hashlib.blake2b(before, digest_size=16, key=decision.key[:64], person=b"headroom-fold")
        state.update(len(before).to_bytes(8, "big") + after)
        key = state.digest()
        outcome = self._memo.get(key)
        if outcome is None:
            omissions = decision.compressed.omissions if decision.compressed is not None else ()
            tokens = decision.tokens_before or estimate(before)
            text = after.decode("utf-8", "surrogatepass")
            outcome = Outcome("compressed", Compressed(text, REPEATS, omissions), tokens, estimate(after))
            self._memo.put(key, outcome)
        decision.settle(outcome)
        return key


def is_result(segment: Segment) -> bool:
    """A tool result that is not an answer of our own tool: one that is counted in references."""
    return segment.place[0] > 0


class Standing:
    """What stands above the next text of a conversation: tool results, as a reader sees them. For one request at a time.

    Attributes:
        went: the texts that were made of them and compared, None for those that were compared as they came.
        keys: by which the memo knows what they are instead, b"" for those that were not folded.
    """

    __slots__ = ("_above", "_begins", "_first", "_names", "_texts", "keys", "went")

    def __init__(self) -> None:
        self._above = Above()
        self._begins: list[int] = []  # how many texts, of results and calls, stand above each
        self._first: dict[bytes, int] = {}  # by text, the first result that is it
        self._names: list[bytes] = []
        self._texts: list[bytes] = []
        self.went: list[bytes | None] = []
        self.keys: list[bytes] = []

    def __len__(self) -> int:
        """How many results there are."""
        return len(self._texts)

    @property
    def size(self) -> int:
        """Bytes that are held."""
        # Most were compared as they went, the very object; of groups the rows were filled in.
        filled_in = [went for went, text in zip(self.went, self._texts, strict=True) if went is not None and went is not text]
        return self._above.size + _RESULT_BYTES * len(self) + sum(map(len, filled_in))

    def unchanged(self, outcomes: Iterable[Outcome]) -> int:
        """How many of the first results go into the comparison as they went, by what they come to now."""
        count = 0
        for went, key, outcome in zip(self.went, self.keys, outcomes, strict=False):
            if went != _went(outcome) and not (key and went == outcome.nearly):
                break
            count += 1
        return count

    def cut(self, count: int) -> None:
        """Forget all results but the first ones."""
        if count >= len(self):
            return
        self._above.cut(self._begins[count])
        for place in range(count, len(self)):
            if self._first.get(self._texts[place]) == place:
                del self._first[self._texts[place]]
        for each in (self._begins, self._names, self._texts, self.went, self.keys):
            del each[count:]

    def add(self, texts: Sequence[bytes], least: Sequence[int], segments: Sequence[Segment]) -> list[bytes | None]:
        """For each of the next results its shorter form, None where it stays.

        A text that an earlier one is word for word is said by a line, then runs of lines are.
        """
        seen: list[tuple[bytes, int, tuple[int, bytes, bytes]]] = []
        above = len(self._above)
        same, places = [], []
        for text, saved, segment in zip(texts, least, segments, strict=True):
            self._begins.append(above + len(seen))
            for number, name, value in segment.written():
                said = name.encode("ascii")
                seen.append((value, _STAYS, (number, b"%b of result %d's call" % (said, number), said + b" of this call")))
            named = (segment.place[0], _name_of(segment), b"text %d of this result" % segment.place[1])
            same.append(self._same(text, saved))
            self._texts.append(text)
            self._names.append(named[1])
            places.append(len(seen))
            # What a reader sees of a text that stands above is one line, in which no run is looked for.
            seen.append((text, saved, named) if same[-1] is None else (same[-1], _STAYS, named))
        if not seen:
            return []
        runs = self._above.add(*map(list, zip(*seen, strict=True)))
        return [runs[place] if said is None else said for said, place in zip(same, places, strict=True)]

    def _same(self, text: bytes, least: int) -> bytes | None:
        """What is said of the next text if it is an earlier one word for word."""
        earlier = self._first.setdefault(text, len(self))
        if earlier == len(self) or least == _STAYS:
            return None
        said = b"[the same as %b]" % self._names[earlier]
        return said if estimate(text) - estimate(said) >= least else None


def _went(outcome: Outcome | None) -> bytes | None:
    """What was made of a text, None if nothing was."""
    return outcome.utf8 if outcome is not None and outcome.compressed is not None else None


def _name_of(segment: Segment) -> bytes:
    """What a reference calls a text: most results have one."""
    number, text = segment.place
    return b"result %d" % number if text == 1 else b"text %d of result %d" % (text, number)


def _regrouped(text: bytes, folded: bytes) -> bytes | None:
    """What folding left of a text with groups, with groups again if that is shorter; None if the text as it was is shorter."""
    grouped = regroup(folded, text)
    if grouped is not None and estimate(grouped) < estimate(folded):
        folded = grouped
    return folded if estimate(text) - estimate(folded) >= _LEAST_MORE else None


@dataclass(frozen=True, slots=True, repr=False)
class Shown:
    """A text of a tool result, as it was forwarded.

    Attributes:
        text: with references.
        place: of its segment.
        written: what the model wrote in calls up to that of this result, behind the numbers of their results, by name.
    """

    text: str
    place: tuple[int, int]
    written: Sequence[tuple[int, str, str]] = ()


def shown(segment: Segment) -> Shown:
    """A tool result that is read back."""
    written = [(number, name, text.decode("utf-8", "surrogatepass")) for number, name, text in segment.written()]
    return Shown(segment.text, segment.place, written)


def unfold(texts: Sequence[Shown]) -> list[str]:
    """The texts of all tool results, in order, with every reference replaced by the lines that it stands for.

    Raises:
        ExpandError: a reference names lines that are not there, or all texts together stand for more than 256 MiB.
    """
    above = _Above()
    return ["\n".join(above.add(text).all) for text in texts]


class _Lines:
    """The lines of a text with all references replaced, as far as it has been read, and where to find them."""

    def __init__(self, lines: Iterable[str] = ()) -> None:
        self.all: list[str] = list(lines)
        self._looked = 0
        self._firsts: dict[str, int] = {}
        self._behind: dict[str, int] = {}

    def behind(self, anchor: str, *, numbered: bool) -> int:
        """The place behind the first line that is the anchor, 0 if there is none; `numbered`: numbers of lines do not count."""
        for place in range(self._looked, len(self.all)):
            self._firsts.setdefault(self.all[place], place)
            self._behind.setdefault(_behind_number(self.all[place]), place)
        self._looked = len(self.all)
        found = self._behind.get(_behind_number(anchor)) if numbered else self._firsts.get(anchor)
        return 0 if found is None else found + 1


class _Above:
    """What stands above a line: texts of results and of calls."""

    def __init__(self) -> None:
        self._results: dict[tuple[int, int], _Lines] = {}
        self._written: dict[tuple[int, str], _Lines] = {}
        self._left = _MOST_BYTES

    def add(self, shown: Shown) -> _Lines:
        """The lines of the next text."""
        self._written |= {(number, name): _Lines(text.split("\n")) for number, name, text in shown.written}
        same = _SAME.fullmatch(shown.text)
        if same is None:
            unfolded = self._read(shown)
        else:
            unfolded = self._named(same, shown.place[0])
            self._charge(unfolded.all)
        self._results[shown.place] = unfolded
        return unfolded

    def _read(self, shown: Shown) -> _Lines:
        data = filled(shown.text.encode("utf-8", "surrogatepass"))
        text = shown.text if data is None else data.decode("utf-8", "surrogatepass")
        unfolded = _Lines()
        for line in text.split("\n"):
            found = _REFERENCE.fullmatch(line) if unfolded.all else None
            if found is None:
                lines = [line]
            else:
                source = unfolded if found["place"] == "above" else self._named(found, shown.place[0])
                lines = _referred(found, source, unfolded.all[-1])
            self._charge(lines)
            unfolded.all += lines
        return unfolded

    def _charge(self, lines: Sequence[str]) -> None:
        """These come out as well. They may have been said by very little."""
        self._left -= sum(map(len, lines)) + _LINE_BYTES * len(lines)
        if self._left < 0:
            raise ExpandError(f"the texts stand for more than {_MOST_BYTES >> 20} MiB")

    def _named(self, found: re.Match[str], own: int) -> _Lines:
        """The text that a reference in a text of that result names."""
        said = found.groupdict()
        if said.get("member") is not None:
            text = self._written.get((int(said["call"] or own), said["member"]))
        else:
            text = self._results.get((int(said["result"] or own), int(said["text"] or 1)))
        if text is None:
            raise ExpandError(f"{found.group()} names a text that is not above")
        return text


def _referred(found: re.Match[str], source: _Lines, anchor: str) -> list[str]:
    """The lines that a reference behind that anchor stands for."""
    count, start, number = (int(found[name] or 0) for name in ("count", "start", "number"))
    start = start - 1 if start else source.behind(anchor, numbered=number > 0)
    # A text that is still read ends before its anchor.
    end = len(source.all) - (found["place"] == "above")
    referred = source.all[start : start + count]
    if start < 1 or count < 1 or start + count > end:
        raise ExpandError(f"{found.group()} names lines that are not there")
    if not number:
        return referred
    adds = _number_of(source.all[start - 1]) is None
    first = _number_of(anchor if adds else referred[0])
    if first is None:
        raise ExpandError(f"{found.group()} numbers lines that have no number")
    if adds:
        return [_numbered(line, first, number + ahead) for ahead, line in enumerate(referred)]
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


def _numbered(line: str, anchor: re.Match[str], number: int) -> str:
    """The line behind a number that is spelled as the anchor's."""
    width = anchor.end("number") if anchor["blanks"] else 0
    return f"{number:{width}}{anchor['sign']}{line}"
