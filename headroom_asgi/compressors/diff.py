"""Patches: generated files, hunks that move white space, and far context left out; what is left is one that `git apply` takes."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from headroom_asgi.compressors.base import Request
from headroom_asgi.compressors.lines import lines_of, named_lines
from headroom_asgi.compressors.omission import Markers, pays, quoted
from headroom_asgi.compressors.search import generated_by

# Lines around a change that stay: what `git diff` shows by itself; of a large patch, what is needed to find the place.
_CONTEXT: Final = 3
_LARGE: Final = 32_000  # characters of a patch, some 8,000 tokens
_LARGE_CONTEXT: Final = 1

_GIT_HEAD = re.compile(r"diff --git ")
_NEW_NAME = re.compile(r"\+\+\+ (?:b/)?([^\t\n]+)|rename to (.+)|diff --git \S+ (?:b/)?(\S+)$")
_OLD_NAME = re.compile(r"--- (?:a/)?([^\t\n]+)")
_HUNK = re.compile(r"@@ -([0-9]+)(?:,([0-9]+))? \+([0-9]+)(?:,([0-9]+))? @@")
_NO_LINE_FEED: Final = "\\"
_NO_LINE_FEED_LINE: Final = "\\ No newline at end of file"
# Files in which the white space before a line has a meaning, by their ends.
_INDENTED: Final = (
    ".py",
    ".pyi",
    ".pyx",
    ".yaml",
    ".yml",
    ".mk",
    "Makefile",
    ".haml",
    ".pug",
    ".coffee",
    ".nim",
    ".fs",
    ".hs",
    ".rst",
)


@dataclass(slots=True, repr=False)
class _Hunk:
    """A hunk: where it starts in the old and the new file, what stands behind its second `@@`, its lines with their signs."""

    old: int
    new: int
    behind: str
    lines: list[str]
    whole: bool  # it has as many lines as its head says

    def head(self) -> str:
        """Its first line, with counts that are right."""
        old, new = _count(self.lines, "-"), _count(self.lines, "+")
        return f"@@ -{_range(self.old, old)} +{_range(self.new, new)} @@{self.behind}"


@dataclass(slots=True, repr=False)
class _File:
    """What a patch says of one file: its lines' numbers, its head, its hunks, and lines behind them that are no patch."""

    start: int
    end: int
    head: list[str]
    hunks: list[_Hunk]
    rest: list[str]

    def name(self) -> str:
        """The new name, or the old one of a file that is deleted."""
        names = [next(filter(None, found.groups()), "") for line in self.head if (found := _NEW_NAME.match(line)) is not None]
        if names and names[-1] == "/dev/null":
            names = [found[1] for line in self.head if (found := _OLD_NAME.match(line)) is not None]
        return names[-1].strip() if names else ""


class DiffCompressor:
    """The omitter for patches. Markers stand before a line `diff --git`, where git skips what is no patch.

    A marker stands for the whole part of a file as it came: what it names as left out of it was taken from the lines below.
    """

    section = "diff"
    label = "diff:hunks"

    def omit(self, text: str, request: Request, markers: Markers) -> str | None:
        """The patch with files, hunks and context left out; None if nothing is worth it, or the text is no patch of git's."""
        lines = lines_of(text)
        files = list(_files(lines))
        if not files:
            return None
        named = named_lines(lines, request)
        asked = f"{request.question}\n{request.arguments}"
        context = _LARGE_CONTEXT if len(text) > _LARGE else _CONTEXT
        count = len(markers.omissions)
        left = lines[: files[0].start]
        for file in files:
            left += _file(file, lines, named, asked, context, markers)
        return "\n".join(left) if len(markers.omissions) > count else None


def _range(start: int, count: int) -> str:
    return f"{start}" if count == 1 else f"{start},{count}"


def _files(lines: Sequence[str]) -> Iterator[_File]:
    """The parts of a patch, each from its `diff --git` line up to the next one; hunks end where their heads say."""
    starts: list[int] = []
    at = 0
    while at < len(lines):
        head = _HUNK.match(lines[at])
        if head is not None and starts:
            at = _behind(lines, at)
            continue
        if _GIT_HEAD.match(lines[at]):
            starts.append(at)
        at += 1
    for start, end in pairwise([*starts, len(lines)]):
        yield _read(lines, start, end)


def _behind(lines: Sequence[str], at: int) -> int:
    """The line behind the hunk whose head is at a line."""
    head = _HUNK.match(lines[at])
    assert head is not None
    old, new = int(head[2] or 1), int(head[4] or 1)
    at += 1
    while at < len(lines) and (old > 0 or new > 0):
        sign = lines[at][:1]
        if sign not in ("-", "+", " ", "", _NO_LINE_FEED):
            return at
        old -= sign in ("-", " ", "")
        new -= sign in ("+", " ", "")
        at += 1
    return at + (at < len(lines) and lines[at].startswith(_NO_LINE_FEED))


def _read(lines: Sequence[str], start: int, end: int) -> _File:
    """The part of a patch that stands in these lines."""
    at = start
    while at < end and not _HUNK.match(lines[at]):
        at += 1
    file = _File(start, end, list(lines[start:at]), [], [])
    while at < end and (head := _HUNK.match(lines[at])) is not None:
        behind = min(_behind(lines, at), end)
        body = list(lines[at + 1 : behind])
        whole = (_count(body, "-"), _count(body, "+")) == (int(head[2] or 1), int(head[4] or 1))
        file.hunks.append(_Hunk(int(head[1]), int(head[3]), lines[at][head.end() :], body, whole))
        at = behind
    file.rest = list(lines[at:end])
    return file


def _file(file: _File, lines: Sequence[str], named: AbstractSet[int], asked: str, context: int, markers: Markers) -> list[str]:
    """What is left of a file's part, behind a marker if anything was left out of it."""
    whole = list(lines[file.start : file.end - len(file.rest)])
    text = "\n".join(whole)
    looked_for = any(number in named for number in range(file.start + len(file.head), file.end))
    if looked_for or not file.hunks or not all(hunk.whole for hunk in file.hunks) or not pays(text):
        return [*whole, *file.rest]
    name = file.name()
    changed = f"{quoted(name)}, {_changes(file.hunks)}"
    if generated_by(name, asked):
        return [markers.leave_out(text, len(whole), "lines", f"all of {changed}, a generated file"), *file.rest]
    left, dropped = _shorter(file, context, indented=name.endswith(_INDENTED))
    if not left:
        return [markers.leave_out(text, len(whole), "lines", f"all of {changed}, white space only"), *file.rest]
    rest = [line for hunk in left for line in (hunk.head(), *hunk.lines)]
    if not pays(_missing(whole, rest)):
        return [*whole, *file.rest]
    gone = len(whole) - len(file.head) - len(rest)
    spaces = f"{dropped} hunk{'s' if dropped > 1 else ''} of white space only, " if dropped else ""
    marker = markers.leave_out(text, gone, "lines", f"{spaces}context of {changed}; what is left follows")
    return [marker, *file.head, *rest, *file.rest]


def _shorter(file: _File, context: int, *, indented: bool) -> tuple[list[_Hunk], int]:
    """The hunks that change more than white space, without far context, and how many do not."""
    left: list[_Hunk] = []
    dropped = shift = 0
    for hunk in file.hunks:
        if _moves_white_space(hunk, indented=indented):
            dropped += 1
            shift += sum(line[:1] == "+" for line in hunk.lines) - sum(line[:1] == "-" for line in hunk.lines)
        else:
            left += _trimmed(hunk, context, shift)
    return left, dropped


def _missing(whole: Sequence[str], rest: Sequence[str]) -> str:
    """The lines that a shorter part no longer has."""
    kept = Counter(rest)
    missing = []
    for line in whole:
        if kept[line]:
            kept[line] -= 1
        else:
            missing.append(line)
    return "\n".join(missing)


def _changes(hunks: Sequence[_Hunk]) -> str:
    """How much a file changes, as `+12 -3`."""
    signs = Counter(line[:1] for hunk in hunks for line in hunk.lines)
    return f"+{signs['+']} -{signs['-']}"


def _moves_white_space(hunk: _Hunk, *, indented: bool) -> bool:
    """What the hunk takes away and what it adds are the same but for white space.

    Args:
        hunk: any.
        indented: white space before a line has a meaning in this file, so only that at the end of lines, and blank lines, count.
    """
    words = _line_words if indented else _words
    gone, come = ("".join(words(line) for line in hunk.lines if line.startswith(sign)) for sign in "-+")
    return gone == come


def _words(line: str) -> str:
    return "".join(line[1:].split())


def _line_words(line: str) -> str:
    words = line[1:].rstrip()
    return f"{words}\n" if words else ""


def _trimmed(hunk: _Hunk, context: int, shift: int) -> Iterator[_Hunk]:
    """The hunk with so many lines of context around its changes; several hunks where changes lie far apart.

    Args:
        hunk: one that is whole.
        context: lines to leave on each side of a change.
        shift: how many lines the hunks that were dropped before it would have added.
    """
    spans: list[list[int]] = []
    for at, line in enumerate(hunk.lines):
        if line[:1] not in ("+", "-"):
            continue
        start, end = max(0, at - context), min(len(hunk.lines), at + context + 1)
        if spans and start <= spans[-1][1]:
            spans[-1][1] = end
        else:
            spans.append([start, end])
    old, new, done = hunk.old, hunk.new - shift, 0
    for number, (start, span_end) in enumerate(spans):
        end = span_end + (hunk.lines[span_end : span_end + 1] == [_NO_LINE_FEED_LINE])
        old += _count(hunk.lines[done:start], "-")
        new += _count(hunk.lines[done:start], "+")
        done = start
        yield _Hunk(old, new, hunk.behind if number == 0 else "", list(hunk.lines[start:end]), True)


def _count(lines: Sequence[str], sign: str) -> int:
    """Lines of one of the two files."""
    return sum(line[:1] in (sign, " ", "") for line in lines)
