"""References to lines that stand above, read back: docs/repeats.md."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from headroom_asgi._crush import filled
from headroom_asgi.errors import ExpandError
from headroom_asgi.wire import Segment

_TEXT = r"(?:text (?P<text>\d{1,9}) of )?(?:result (?P<result>\d{1,9})|this result)"
_MEMBER = r"(?P<member>[\w.\[\]-]{1,100}) of (?:this|result (?P<call>\d{1,9})'s) call"
_REFERENCE = re.compile(
    rf"\[\+(?P<count>\d{{1,9}}) lines? as (?P<place>above|in (?:{_TEXT}|{_MEMBER}))"
    r"(?:, from (?P<by>line|number) (?P<start>\d{1,9}))?(?:, without (?P<without>numbers|signs))?"
    r"(?:, numbered from (?P<number>\d{1,7})|, (?:each )?behind \"(?P<sign>[-+ ])\")?\]",
    re.ASCII,
)
_SAME = re.compile(rf"\[the same as {_TEXT}\]", re.ASCII)
_MOST_BYTES: Final = 256 << 20  # that texts may stand for, as in `expand`
_LINE_BYTES: Final = 8  # of a line, beside its characters
_HUNK = re.compile(r"@@|\*\*\* Add File: .", re.DOTALL)
_NUMBERED = re.compile(r"(?P<blanks> {0,16})(?P<number>0|[1-9][0-9]{0,6})(?P<sign>\t|:|→)")


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
        self._of_hunk = False
        self._firsts: dict[str, int] = {}
        self._behind: dict[str, int] = {}  # numbers
        self._bare: dict[str, int] = {}  # behind signs
        self._numbers: dict[int, int] = {}

    def behind(self, anchor: str, *, numbered: bool, signed: bool) -> int:
        """The place behind the first line that is the anchor, 0 if there is none.

        Args:
            anchor: a line.
            numbered: numbers of lines do not count.
            signed: neither do signs: lines of hunks are looked at behind them.
        """
        self._look()
        if signed:
            found = self._bare.get(_behind_number(anchor))
        else:
            found = self._behind.get(_behind_number(anchor)) if numbered else self._firsts.get(anchor)
        return 0 if found is None else found + 1

    def numbered(self, number: int) -> int:
        """The place of the first line with that number, -1 if there is none."""
        self._look()
        return self._numbers.get(number, -1)

    def _look(self) -> None:
        """Note where the lines are that were not looked at yet."""
        for place in range(self._looked, len(self.all)):
            line = self.all[place]
            number = _number_of(line)
            self._of_hunk = _HUNK.match(line) is not None or (self._of_hunk and (not line or line[0] in "+- \\"))
            self._firsts.setdefault(line, place)
            self._behind.setdefault(_behind_number(line), place)
            if number is not None:
                self._numbers.setdefault(int(number["number"]), place)
            elif self._of_hunk and line and line[0] in "+- ":
                self._bare.setdefault(line[1:], place)
        self._looked = len(self.all)


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
            found = _REFERENCE.fullmatch(line)
            if found is None or not (unfolded.all or found["start"]):
                lines = [line]
            else:
                source = unfolded if found["place"] == "above" else self._named(found, shown.place[0])
                lines = _referred(found, source, unfolded.all[-1] if unfolded.all else "")
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
    without, sign = found["without"], found["sign"] or ""
    least = 1
    if found["start"] is not None:
        least, start = 0, source.numbered(start) if found["by"] == "number" else start - 1
    else:
        start = source.behind(anchor[len(sign) :], numbered=number > 0 or without is not None, signed=without == "signs")
    # A text that is still read ends before its anchor.
    end = len(source.all) - (found["place"] == "above")
    referred = source.all[start : start + count]
    if start < least or count < 1 or start + count > end:
        raise ExpandError(f"{found.group()} names lines that are not there")
    adds = start == 0 or _number_of(source.all[start - 1]) is None
    if without is not None:
        referred = [line[1:] if without == "signs" else _behind_number(line) for line in referred]
    if not number:
        return [sign + line for line in referred] if sign else referred
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
