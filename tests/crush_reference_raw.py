"""Raw text of a crush text: repeated characters, repeated lines and JSON put back where their marks stand."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tests.crush_reference_line import COUNT, FILLS, LIMIT, LINE_ENDS, QUOTED, STARTS, STYLE_NAME, WIDTHS, check, unquoted

CHARACTERS = re.compile(rf"⟦({QUOTED.pattern}) × {COUNT}⟧")
LINES = re.compile(rf"⟦× {COUNT}⟧")
BLOCK = re.compile(rf"⟦({STYLE_NAME})(?: cut {COUNT})?⟧\n")
END = "⟦end⟧"
NEVER_IN_FENCE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]|\r(?!\n)")

# Takes the lines below a block's first one, its style and how many brackets are cut off; gives the text of the block and how
# many of the lines are its value.
ReadBlock = Callable[[list[str], str, int], tuple[str, int]]


def raw_text(raw: str, read_block: ReadBlock) -> str:
    """What raw text stands for."""
    done = ""
    at = 0
    while (found := raw.find("⟦", at)) >= 0:
        done += raw[at:found]
        if mark := CHARACTERS.match(raw, found):
            character = unquoted(mark[1])
            check(len(character) == 1 and character not in "\n\r", "no single character")
            done += repeated(character, mark[2])
            at = mark.end()
        elif mark := LINES.match(raw, found):
            at = mark.end()
            before = raw[:found].split("\n")
            check(len(before) >= 2 and before[-1] == "" and raw[at : at + 1] in ("", "\n"), "not alone on a line")
            check(not LINES.fullmatch(before[-2]), "a repeated line is repeated")
            line = "\n" + done[:-1].rpartition("\n")[2]
            done = done[:-1] + repeated(line, mark[1])[len(line) :]
        else:
            mark = BLOCK.match(raw, found)
            check(mark, "a ⟦ that opens nothing")
            assert mark is not None
            check(mark[2] is None or not mark[1].endswith("n") or mark[1] == "json", "cut, and a line end behind")
            lines = raw[mark.end() :].split("\n")
            text, count = read_block(lines, mark[1], int(mark[2] or "0"))
            check(count < len(lines) and lines[count].startswith(END), "a block that does not end")
            done += text
            at = mark.end() + sum(len(line) + 1 for line in lines[:count]) + len(END)
    done += raw[at:]
    check("⟦" not in done, "raw text with a ⟦ of its own")
    return done


def ungrouped(text: str, notes: Sequence[str]) -> str:
    """The text with every group's rows filled into its head, if the notes speak of groups."""
    if not {STARTS, FILLS, WIDTHS, LINE_ENDS} & {*notes}:
        return text
    lines = text.split("\n")
    done: list[str] = []
    size = 0
    head: Head | None = None
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        if head is not None and line.startswith(" "):
            done.append(head.filled(line[1:]))
        elif "*" in line and not line.startswith(" ") and below.startswith(" "):
            head = Head.read(line, notes)
            continue
        else:
            done.append(line)
            head = None
        size += len(done[-1]) + 1
        check(size <= LIMIT + 1, "more than the format allows")
    return "\n".join(done)


@dataclass(frozen=True)
class Head:
    """A line with holes.

    Attributes:
        texts: what stands before each hole, and behind the last one.
        widths: of each hole; below zero where blanks stand before what is filled in.
    """

    texts: list[str]
    widths: list[int]

    @classmethod
    def read(cls, line: str, notes: Sequence[str]) -> "Head":
        """The head that a line is."""
        indent = re.match(r"_+(?![_*])", line) if WIDTHS in notes else None
        line = indent[0].replace("_", " ") + line[indent.end() :] if indent else line
        holes = [*re.finditer(r"_+\*|\*_+|\*(?:[,;]\*)*" if WIDTHS in notes else r"\*(?:[,;]\*)*", line)]
        check(len(holes) <= 64, "too many holes")
        texts = [line[before:after] for before, after in pairwise([0, *(at for hole in holes for at in hole.span()), len(line)])]
        texts = [text.replace("\\n", "\n") if LINE_ENDS in notes else text for text in texts[::2]]
        widths = [len(hole[0]) * (-1 if hole[0].startswith("_") else "_" in hole[0]) for hole in holes]
        return cls(texts, widths)

    def filled(self, row: str) -> str:
        """The line or lines that a row stands for."""
        cells = row.split("\t", len(self.widths) - 1)
        check(len(cells) == len(self.widths), "too few cells")
        done = self.texts[0]
        for cell, width, text in zip(cells, self.widths, self.texts[1:], strict=True):
            done += (cell.rjust(-width) if width < 0 else cell.ljust(width)) + text
        return done


def repeated(text: str, count: str) -> str:
    """The text so many times."""
    check(2 <= int(count) <= LIMIT // len(text), "how often something is repeated")
    return text * int(count)


def cut(text: str, closing: int) -> str:
    """The text without so many closing brackets at its end and the white space before each."""
    for _ in range(closing):
        check(text.endswith(("]", "}")), "more is cut than closing brackets")
        text = text[:-1].rstrip(" \t\r\n")
    return text
