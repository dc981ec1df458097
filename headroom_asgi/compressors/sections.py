"""A text split where its kind changes. The pieces, joined, are the text.

First what shows its own bounds: patches, whose heads count their lines; JSON on lines of its own; fenced code. What is left is
told by how its lines begin: where several lines in a row look like another kind, a piece begins. Prompts (`$ make test`) and
headings of outputs (`=== STDOUT ===`) always begin one.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Final

from headroom_asgi._crush import Document
from headroom_asgi.compressors.detect import ContentKind, claim, detect, kind_of, line_kinds
from headroom_asgi.errors import ScanError

MAX_SPLIT: Final = 1 << 20  # characters; a longer text is of the kind of its beginning, so that looking at its lines stays cheap


@dataclass(frozen=True, slots=True, repr=False)
class Section:
    """A piece of a text, whole lines, of one kind."""

    kind: ContentKind
    text: str


def sections(text: str) -> list[Section]:
    """The pieces of a text, in order."""
    kind = claim(text)
    if kind is ContentKind.JSON and not _is_json(text):
        kind = None  # a bracket at each end of a text that is something else
    if kind is not None or len(text) > MAX_SPLIT:
        return [Section(kind or detect(text), text)]
    lines = text.split("\n")
    closed = len(lines) > 1 and not lines[-1]  # the last line feed ends a line, and starts none
    if closed:
        lines.pop()
    pieces: list[tuple[ContentKind, int, int]] = []
    for kind, start, end in [*_bounded(lines)]:
        parts = [(kind, start, end)] if kind is not None else _told_by_lines(lines, start, end)
        for part in parts:
            if pieces and pieces[-1][0] is part[0] and part[0] not in _ALONE:
                pieces[-1] = (part[0], pieces[-1][1], part[2])
            else:
                pieces.append(part)
    last = len(lines)
    return [Section(kind, "\n".join(lines[start:end]) + ("\n" if end < last or closed else "")) for kind, start, end in pieces]


_ALONE = frozenset({ContentKind.JSON, ContentKind.DIFF})  # two that follow each other are two

# -- what shows its own bounds --------------------------------------------------------------------------------------------

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})[ \t]*([\w+#.-]*)")
_PROSE_FENCES = frozenset(
    {"", "text", "txt", "console", "shell", "sh", "bash", "log", "output", "plain", "plaintext", "json", "html", "diff", "patch"}
)
_HUNK = re.compile(r"@@ -[0-9]+(?:,([0-9]+))? \+[0-9]+(?:,([0-9]+))? @@")
_BETWEEN = re.compile(
    r"diff --|index [0-9a-f]|--- |\+\+\+ |(?:old|new) mode |new file mode |deleted file mode |(?:dis)?similarity index "
    r"|rename |copy |Binary files |GIT binary patch"
)


def _bounded(lines: Sequence[str]) -> Iterator[tuple[ContentKind | None, int, int]]:
    """Pieces in order: of a kind where they show their bounds, of None between."""
    closers = _Closers(lines)
    at = free = 0  # what lies between is in no piece yet
    while at < len(lines):
        found = _patch(lines, at) or closers.fenced(at) or closers.document(at)
        if found is None:
            at += 1
            continue
        kind, start, end = found
        if kind is not None:
            if free < start:
                yield None, free, start
            yield kind, start, end
            free = end
        at = end + (kind is ContentKind.CODE)  # a fence that closes opens nothing
    if free < len(lines):
        yield None, free, len(lines)


def _patch(lines: Sequence[str], at: int) -> tuple[ContentKind, int, int] | None:
    """The patch that begins at a line; the heads of its hunks say how long they are."""
    line = lines[at]
    if not line.startswith("diff --") and not (
        line.startswith("--- ") and lines[at + 1 : at + 2] and lines[at + 1].startswith("+++ ") and _is_hunk(lines, at + 2)
    ):
        return None
    start = at
    while at < len(lines):
        head = _HUNK.match(lines[at])
        if head is not None:
            at = _behind_hunk(lines, at + 1, int(head[1] or 1), int(head[2] or 1))
        elif _BETWEEN.match(lines[at]):
            at += 1
        else:
            break
    return ContentKind.DIFF, start, at


def _is_hunk(lines: Sequence[str], at: int) -> bool:
    return at < len(lines) and _HUNK.match(lines[at]) is not None


def _behind_hunk(lines: Sequence[str], at: int, old: int, new: int) -> int:
    """The line behind a hunk with so many lines of the old and of the new file; a hunk that is cut ends where its signs do."""
    while at < len(lines) and (old > 0 or new > 0):
        sign = lines[at][:1]
        if sign not in ("-", "+", " ", "", "\\"):
            return at
        old -= sign in ("-", " ", "")
        new -= sign in ("+", " ", "")
        at += 1
    return at + 1 if at < len(lines) and lines[at].startswith("\\ No newline") else at


class _Closers:
    """Where what opens at a line closes. Every line is looked at a bounded number of times, whatever opens and does not close."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = lines
        self._ends: dict[str, list[int]] = {}  # by closing bracket: lines that begin with it, last first

    def fenced(self, at: int) -> tuple[ContentKind | None, int, int] | None:
        """Fenced code: the lines between, of the kind that the fence names; None for a fence that does not close."""
        fence = _FENCE.match(self._lines[at])
        if fence is None:
            return None
        mark = fence[1]
        end = self._next(mark[0], at + 1, mark)
        if end is None:
            return None
        name = fence[2].lower()
        if name in _PROSE_FENCES or end == at + 1:
            return None  # what lies between is told by its lines
        return ContentKind.CODE, at + 1, end

    def document(self, at: int) -> tuple[ContentKind | None, int, int] | None:
        """JSON whose brackets stand at the margin of its first and last line; a stretch that is none is not looked at again."""
        line = self._lines[at].rstrip()
        if line[:1] not in ("{", "["):
            return None
        closer = "}" if line[0] == "{" else "]"
        if line[-1] == closer and len(line) > 1:
            return (ContentKind.JSON, at, at + 1) if len(line) >= _LEAST_DOCUMENT and _is_json(line) else None
        end = self._next(closer, at + 1, closer)
        if end is None:
            return None
        found = _is_json("\n".join(self._lines[at : end + 1]))
        return (ContentKind.JSON if found else None), at, end + 1

    def _next(self, sign: str, at: int, mark: str) -> int | None:
        """The first line from `at` on that begins with a mark, all of one sign, and has nothing behind it but punctuation."""
        if sign not in self._ends:
            self._ends[sign] = [number for number, line in enumerate(self._lines) if line.lstrip(" ")[:1] == sign][::-1]
        ends = self._ends[sign]
        while ends and ends[-1] < at:
            ends.pop()
        for number in reversed(ends[-_MAX_TRIED:]):
            line = self._lines[number]
            if sign in "`~":
                if line.strip().rstrip(sign) == "" and len(line.strip()) >= len(mark):
                    return number
            elif line.rstrip() == mark:
                return number
        return None


_MAX_TRIED = 64  # fences inside fences, brackets of code: what has not closed after so many is not JSON, and no fence
_LEAST_DOCUMENT = 64  # characters of JSON on one line; what is shorter, as `[1]`, is part of a log or of prose


def _is_json(text: str) -> bool:
    """One document, or several, one a line."""
    try:
        Document(text.encode("utf-8"))
    except UnicodeEncodeError:
        return False
    except ScanError:
        first = text.lstrip().partition("\n")[0].rstrip()
        return first[-1:] in ("}", "]") and first != text.strip() and _is_json(first)
    return True


# -- what is told by how its lines begin ----------------------------------------------------------------------------------

_HEADING = re.compile(r"\$ \S|(={3,4}|-{3,4}|#{3,4}|\*{3,4}) ?[A-Za-z][^\n]{0,60} ?\1\s*$")
_RUN = 3  # lines in a row that make a piece of their own
_STRONG = frozenset({ContentKind.LOG, ContentKind.SEARCH, ContentKind.LISTING, ContentKind.TABLE, ContentKind.MARKUP})


@dataclass(slots=True, repr=False)
class _Run:
    """Lines in a row of one kind; `weight` is how many of them are not blank."""

    kind: ContentKind | None
    start: int
    end: int
    weight: int


def _told_by_lines(lines: Sequence[str], start: int, end: int) -> list[tuple[ContentKind, int, int]]:
    """The pieces of lines that show no bounds."""
    starts = [start, *(at for at in range(start + 1, end) if _HEADING.match(lines[at])), end]
    pieces = []
    for first, behind in pairwise(starts):
        pieces += _of_one_output(lines, first, behind)
    return pieces


def _of_one_output(lines: Sequence[str], start: int, end: int) -> list[tuple[ContentKind, int, int]]:
    """The pieces of the output of one command."""
    kinds = line_kinds(lines[start:end])
    runs = _runs(lines, start, kinds)
    pieces: list[tuple[ContentKind, int, int]] = []
    for strong, group in groupby(runs, key=lambda run: run.kind in _STRONG):
        if strong:
            pieces += [(run.kind or ContentKind.TEXT, run.start, run.end) for run in group]
            continue
        first, *rest = group
        behind = rest[-1].end if rest else first.end
        between = [
            kind for number, kind in enumerate(kinds[first.start - start : behind - start], first.start) if lines[number].strip()
        ]
        pieces.append((kind_of([kind if kind is ContentKind.CODE else None for kind in between]), first.start, behind))
    if len(pieces) == 1:  # too few lines in a row, but enough in all
        told = kind_of([kind for number, kind in enumerate(kinds, start) if lines[number].strip()])
        return [(told if pieces[0][0] is ContentKind.TEXT else pieces[0][0], start, end)]
    said = [first for first, kind in enumerate(kinds, start) if kind is ContentKind.LOG]
    return _joined(pieces, said)


def _runs(lines: Sequence[str], start: int, kinds: Sequence[ContentKind | None]) -> list[_Run]:
    """Lines in a row of one kind. Blank lines, and too few of a kind, belong to what stands before them."""
    runs: list[_Run] = []
    for number, kind in enumerate(kinds, start):
        blank = not lines[number].strip()
        if runs and (blank or runs[-1].kind is kind):
            runs[-1].end = number + 1
            runs[-1].weight += not blank
        else:
            runs.append(_Run(kind, number, number + 1, not blank))
    merged: list[_Run] = []
    for run in runs:
        last = merged[-1] if merged else None
        if last is not None and (run.kind is last.kind or run.weight < _RUN):
            last.end = run.end
            last.weight += run.weight if run.kind is last.kind else 0
        elif last is not None and last.weight < _RUN:
            run.start = last.start
            merged[-1] = run
            if len(merged) > 1 and merged[-2].kind is run.kind:
                merged.pop()
                merged[-1].end = run.end
                merged[-1].weight += run.weight
        else:
            merged.append(run)
    for run in merged:
        if run.weight < _RUN:
            run.kind = None
    return merged


_QUOTED = 60  # lines without a sign of their own in a log: what a program printed


def _joined(pieces: list[tuple[ContentKind, int, int]], said: Sequence[int]) -> list[tuple[ContentKind, int, int]]:
    """Pieces of one kind beside each other made one; what a log quotes is of the log.

    Args:
        pieces: in order.
        said: the lines that look like a log's on their own.
    """
    joined: list[tuple[ContentKind, int, int]] = []
    for number, (own, start, end) in enumerate(pieces):
        before = joined[-1][0] if joined else None
        after = pieces[number + 1][0] if number + 1 < len(pieces) else None
        quoted = own in (ContentKind.TEXT, ContentKind.CODE) and end - start <= _QUOTED
        inside = before is ContentKind.LOG and after in (ContentKind.LOG, None)
        heads = after is ContentKind.LOG and bisect_left(said, end) > bisect_left(said, start)
        kind = ContentKind.LOG if quoted and (inside or heads) else own
        if joined and before is kind:
            joined[-1] = (kind, joined[-1][1], end)
        else:
            joined.append((kind, start, end))
    return joined
