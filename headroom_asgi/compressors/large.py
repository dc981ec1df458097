"""Very large texts that are neither logs nor lists: their beginning and end, what the question names, headings and trouble."""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final

from headroom_asgi._crush import Words
from headroom_asgi.compressors.base import Request
from headroom_asgi.compressors.lines import lines_of, named_lines, with_words
from headroom_asgi.compressors.omission import Markers, pays, quoted, split_markers

_LARGE: Final = 40_000  # characters, some 10,000 tokens; a smaller text is read as a whole
_HEAD: Final = 16_000  # characters that stay of its beginning
_TAIL: Final = 8_000
_LONG_LINE: Final = 2_000  # characters; a longer line is looked at in pieces
_PIECE: Final = 400
# Behind which no name or number goes on; the signs of Chinese and Japanese among them.
_SEAM: Final = re.compile(r"\s|[,;|>](?![0-9])|[\u3001\u3002\uff01\uff0c\uff1b\uff1f]")
_NEAR: Final = 1  # pieces before and behind one that stays
_NAMING_SHARE: Final = 10  # what more than one piece in so many holds names none
_MANY: Final = 40  # pieces with a word of trouble, beyond which such words are what the text is about
_LOOKED_AT: Final = 400  # characters of a piece that are looked at for words
_LEAST: Final = 1_000  # characters of a run that goes, so that between headings not every few lines do
_QUOTED: Final = 40  # characters of a piece that a marker quotes

_RULE: Final = r"(?:={3,}+|-{3,}+|\*{3,}+|_{3,}+)"
_HEADING: Final = re.compile(
    rf"#{{1,6}} \S|{_RULE} ?[^\s=*_-].{{0,80}}?(?:===|---|\*\*\*|___)[=*_-]*+\s*+$|<h[1-6]\b|\\(?:sub){{0,2}}section\{{"
)
_TROUBLE: Final = Words([b"error", b"exception", b"traceback", b"fail", b"fatal", b"panic", b"denied", b"truncated"])
# JSON that is cut or broken, Python's lists, XML, pages that stay: each of their values may be wanted.
_RECORDS: Final = re.compile(r"\s*+(?:[\[{(]\s*+[\[{(\"']|<)")


class LargeOmitter:
    """The omitter for very large texts. What it leaves out are whole lines, or pieces of very long ones."""

    section = "large"
    label = "large:lines"

    def omit(self, text: str, request: Request, markers: Markers) -> str | None:
        """The text with what lies in the middle left out; None if it is not that large."""
        heads, rest = split_markers(text)
        if len(rest) <= _LARGE or _RECORDS.match(rest):
            return None
        pieces = list(_pieces(rest))
        count = len(markers.omissions)
        left = "".join(_left(pieces, _kept(pieces, request), markers))
        return "\n".join([*heads, left]) if len(markers.omissions) > count else None


def _pieces(text: str) -> Iterator[str]:
    """Lines with their ends; a very long one in pieces. Joined they are the text."""
    lines = lines_of(text)
    for number, content in enumerate(lines, 1):
        line = f"{content}\n" if number < len(lines) else content
        at = 0
        while len(line) - at > _LONG_LINE:
            seam = _SEAM.search(line, at + _PIECE, at + _LONG_LINE)
            end = seam.end() if seam is not None else at + _LONG_LINE
            yield line[at:end]
            at = end
        yield line[at:]


def _kept(pieces: Sequence[str], request: Request) -> list[bool]:
    """For each piece whether it stays."""
    head = bisect_right([*accumulate(map(len, pieces))], _HEAD)
    tail = bisect_right([*accumulate(map(len, reversed(pieces)))], _TAIL)
    keep = [number < head or number >= len(pieces) - tail for number in range(len(pieces))]
    lines = [piece.removesuffix("\n") for piece in pieces]
    troubled = with_words([line[:_LOOKED_AT] for line in lines], _TROUBLE)
    for number in (*(troubled if len(troubled) <= _MANY else ()), *named_lines(lines, request, _NAMING_SHARE)):
        start = max(0, number - _NEAR)
        keep[start : number + _NEAR + 1] = [True] * len(keep[start : number + _NEAR + 1])
    for number, piece in enumerate(pieces):
        keep[number] = keep[number] or _HEADING.match(piece[:_LOOKED_AT]) is not None
    return keep


def _left(pieces: Sequence[str], keep: Sequence[bool], markers: Markers) -> Iterator[str]:
    """The pieces that stay, and a marker on a line of its own for each run of others."""
    at = 0
    before = "\n"
    while at < len(pieces):
        end = at
        while end < len(pieces) and not keep[end]:
            end += 1
        run = "".join(pieces[at:end])
        if len(run) >= _LEAST and pays(run):
            units = run.count("\n")
            marker = markers.leave_out(
                run,
                units if units > 1 else len(run),
                "lines" if units > 1 else "characters",
                f"{len(run)} characters, from {_quote(pieces[at])} to {_quote(pieces[end - 1])}",
            )
            yield marker + "\n" if before.endswith("\n") else f"\n{marker}\n"
            before = "\n"
        elif run:
            yield run
            before = run
        if end < len(pieces):
            yield pieces[end]
            before = pieces[end]
        at = end + 1


def _quote(piece: str) -> str:
    """The beginning of a piece, in quotes."""
    return quoted(" ".join(piece[:_QUOTED].split()))
