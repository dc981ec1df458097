"""The slow, obvious reader of the crush format, written from its grammar page: Python values first, JSON text second.

`decode(text)` gives what expand() gives: for [json] the minified JSON text (keys in order, duplicates too, numbers as they
were spelled, unpaired surrogates escaped), for the other heads the text that stands behind them.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tests.crush_reference_line import (
    COUNT,
    EMPTY,
    FILLS,
    GAPS,
    LIMIT,
    LINE_ENDS,
    LITERAL,
    MARK,
    OMISSIONS,
    RAWS,
    SAID,
    STARTS,
    STEMS,
    STYLE,
    TAGS,
    WIDTHS,
    Array,
    Literal,
    Object,
    Value,
    Wrapper,
    check,
    deeper,
    guarded,
    inline,
    is_literal,
    literal_or_quoted,
    quote,
    read_key,
    read_path,
    read_wrapper,
    same_value,
    spell,
    spelled_in,
    styled,
    text_cell,
)
from tests.crush_reference_raw import END, NEVER_IN_FENCE, cut, raw_text, ungrouped
from tests.crush_reference_table import COLUMNS, RECORDS, Table, build, read_stem

__all__ = [
    "FILLS",
    "GAPS",
    "HEAD",
    "HEAD_OMISSIONS",
    "LINE_ENDS",
    "LITERAL",
    "NOTES",
    "OMISSIONS",
    "RAWS",
    "SAID",
    "STARTS",
    "STEMS",
    "TAGS",
    "WIDTHS",
    "Array",
    "Literal",
    "Object",
    "RowsLeftOut",
    "Value",
    "decode",
    "head",
    "quote",
    "rows_of",
    "spell",
    "styled",
]

NOTES = (TAGS, GAPS, STEMS, SAID, RAWS, STARTS, FILLS, WIDTHS, LINE_ENDS, OMISSIONS)

HEAD_LINE = re.compile(r"\[(text|json|jsonpyt?|json[p124t]?a?g?[lc]r?n?)((?:; [^;\]]*)*)\]")
MAP = re.compile(rf"\{{{COUNT}\}}: \(key\)\t")
GROUPS = re.compile(rf"\[{COUNT}\](?:\.(\"(?:[^\"\\]|\\.)*\"|[^\"\[\n]+))?\[\]: ")
MATRIX = re.compile(rf"\[{COUNT}\]\[{COUNT}\]:(?: (.*))?$", re.DOTALL)
NUMBERS = re.compile(rf"{COUNT}((?:, {COUNT})*)")
LIST = re.compile(rf"\[{COUNT}\]=(.*)$", re.DOTALL)
TABLES = (RECORDS, MAP, GROUPS, MATRIX, LIST)
GROUP = re.compile(r"\[(0|[1-9][0-9]*)\]")
OMISSION = re.compile(rf"<<ccr:([A-Za-z0-9_.-]+-[1-9][0-9]*) {COUNT} rows left out(?:: [^>\x00-\x1f\x7f]+)?>>")

NULL = Literal("null")
STRINGS = 8


def head(kind: str = "json", *notes: str) -> str:
    """The first line of a text with these notes."""
    return "[" + "; ".join([kind, *(note for note in NOTES if note in notes)]) + "]"


Row = TypeVar("Row")


HEAD = head()
HEAD_OMISSIONS = head("json", OMISSIONS)


class RowsLeftOut(ValueError):
    """The text is in the format, but rows were left out of it."""

    def __init__(self, refs: tuple[str, ...]) -> None:
        super().__init__(f"rows left out: {refs}")
        self.refs = refs


@dataclass
class Seen:
    """What the whole text has shown so far."""

    notes: set[str] = field(default_factory=set)
    refs: list[str] = field(default_factory=list)
    strings: int = 0  # strings and blocks that are open
    parts: dict[str, list[Any]] | None = None  # rows that were left out, by ref and part; None: they are not at hand


def decode(text: str, parts: Mapping[str, str] | None = None) -> str:
    """What a crush text stands for; `parts`: the texts of the rows that were left out of it, by ref and part.

    Raises:
        RowsLeftOut: rows were left out of the text, and `parts` was not given.
        ValueError: the text is not in the format.
    """
    seen = Seen(parts=None if parts is None else {ref: rows_of(part) for ref, part in parts.items()})
    kind, value = read(text, seen)
    check(not any((seen.parts or {}).values()), "more in the parts than was left out")
    if seen.refs:
        raise RowsLeftOut(tuple(dict.fromkeys(seen.refs)))
    if isinstance(value, str) and kind == "text":
        return value
    result = spell(value) if kind == "json" else styled(value, kind)
    check(len(result) <= LIMIT, "more than the format allows")
    return result


def rows_of(part: str) -> list[Any]:
    """The rows that a part holds."""
    kind, value = read(part, Seen())
    check(kind in ("json", "jsonpy", "jsonpyt") and isinstance(value, Array | Object), "a part is a table")
    assert isinstance(value, Array | Object)
    return list(value.elements if isinstance(value, Array) else value.members)


def read(text: str, seen: Seen) -> tuple[str, Value]:
    """The kind of a crush text, and its value (of [text]: the text)."""
    text.encode()
    first, newline, rest = text.partition("\n")
    wrapper = read_wrapper(first)
    found = HEAD_LINE.fullmatch("[json" + wrapper.rest if wrapper else first)
    check(found and newline, "head")
    assert found is not None
    kind, notes = found[1], found[2].split("; ")[1:]
    check(found[0] == head(kind, *notes), "head")
    check(TAGS not in notes or (kind == "text" and not wrapper), "a note on tags, and no text")
    reader = Reader(rest.split("\n"), seen)
    if wrapper and wrapper.cut:
        kind = "text"
        value = reader.cut_off(rest, wrapper, notes)
    elif wrapper:
        value = wrapper.around(
            reader.string_of(wrapper.style, lambda: reader.top(wrapper.depth, inside_string=True))
            if wrapper.style
            else reader.text(rest, wrapper.depth, notes)
        )
    elif kind == "text":
        value = ungrouped(reader.raw(rest, 0), notes)
        value = re.sub(r">\n(\n*)<", r">\1<", value) if TAGS in notes else value
        value.encode()
    else:
        with spelled_in(kind):
            value = reader.top(0)
    check(kind == "text" or (wrapper and not wrapper.style) or reader.at == len(reader.lines), "lines behind the value")
    check(seen.notes <= set(notes), "the head does not say what it must")
    return kind, value


class Reader:
    """Lines, and how far they have been read; `depth` is the number of containers that are open around a value."""

    def __init__(self, lines: list[str], seen: Seen) -> None:
        self.lines = lines
        self.at = 0
        self.seen = seen

    def take(self) -> str:
        """The next line."""
        check(self.at < len(self.lines), "the text ends too early")
        self.at += 1
        return self.lines[self.at - 1]

    def goes_on(self, text: str) -> bool:
        """Whether there is a next line that starts so and does not end a block."""
        return self.at < len(self.lines) and self.lines[self.at].startswith(text) and not self.lines[self.at].startswith("⟦")

    def top(self, depth: int, *, inside_string: bool = False) -> Value:
        """The value of the text; `inside_string`: it stands below a (style) line or in a ⟦block⟧."""
        line = self.take()
        style = STYLE.fullmatch(line)
        if style and not inside_string:
            return self.string_of(style[1], lambda: self.top(depth, inside_string=True))
        if any(form.match(line) for form in TABLES):
            return self.table(line, 0, depth)
        if MARK.fullmatch(line):
            return self.fence(line, depth)
        if line.startswith("[0]") and line != "[0]" and not line.startswith("[0],"):
            return self.entry(line, 0, depth)
        last = self.at == len(self.lines) or self.lines[self.at].startswith(END)
        if line.startswith("-") and not (last and is_literal(line)):
            self.at -= 1
            return self.items(0, depth)
        value = literal_or_quoted(line)
        if value is not None:
            return value
        if line[:1] in ("[", "{"):
            return inline(line, depth)
        self.at -= 1
        return self.members(0, depth)

    def block(self, indent: int, depth: int) -> Value:
        """The members or items at an indent."""
        return self.items(indent, depth) if self.goes_on(" " * indent + "-") else self.members(indent, depth)

    def members(self, indent: int, depth: int) -> Object:
        """A non-empty object."""
        depth = deeper(depth)
        members: list[tuple[str, Value]] = []
        while self.goes_on(" " * indent) and not self.goes_on(" " * indent + "(") and not self.goes_on(" " * indent + '"""'):
            line = self.take()
            key, at = read_key(line, indent)
            if line.startswith(", ", at):
                keys = [key]
                while line.startswith(", ", at):
                    key, at = read_key(line, at + 2)
                    keys.append(key)
                check(line.startswith(":", at), "no colon")
                value = same_value(line[at + 1 :].removeprefix(" "), depth)
                members += [(key, value) for key in keys]
                continue
            path, at = read_path(line, indent, elements=False)
            more = len(path) - 1
            value = self.entry(line[at:], indent + more, deeper(depth, more))
            members.append((key, build([(path[1:], value)]) if more else value))
        check(members, "no members")
        return Object(tuple(members))

    def items(self, indent: int, depth: int) -> Array:
        """A non-empty array."""
        depth = deeper(depth)
        elements: list[Value] = []
        while self.goes_on(" " * indent + "-"):
            elements.append(self.item(self.take()[indent + 1 :], indent, depth))
        return Array(tuple(elements))

    def item(self, rest: str, indent: int, depth: int) -> Value:
        """An item, from what stands behind its dash."""
        if rest == "":
            return self.block(indent + 1, depth)
        text = rest.removeprefix(" ")
        if text == rest:
            return guarded(text, depth)
        if any(form.match(text) for form in TABLES):
            return self.table(text, indent + 1, depth)
        style = STYLE.match(text)
        if style:
            return self.string_of(style[1], lambda: self.entry(text[style.end() :], indent, depth, inside_string=True))
        if MARK.fullmatch(text):
            return self.fence(text, depth)
        return guarded(text, depth)

    def entry(self, rest: str, indent: int, depth: int, *, inside_string: bool = False) -> Value:
        """A member's value, from what stands behind its key (or behind the style of an item)."""
        if rest.startswith("[0]"):
            value = self.entry(rest[3:], indent, deeper(depth))
            check(isinstance(value, Object | Array) and value not in EMPTY, "no object or list in a list of one")
            return Array((value,))
        if rest.startswith(" "):
            text = rest[1:]
            style = STYLE.match(text)
            if style and not inside_string:
                return self.string_of(style[1], lambda: self.entry(text[style.end() :], indent, depth, inside_string=True))
            check(any(form.match(text) for form in TABLES), "no colon")
            return self.table(text, indent + 1, depth)
        check(rest.startswith(":"), "no colon")
        if rest == ":":
            return self.block(indent + 1, depth)
        if rest[1] == " " and MARK.fullmatch(rest, 2):
            return self.fence(rest[2:], depth)
        return inline(rest[1:].removeprefix(" "), depth)

    def string_of(self, style: str, read: Callable[[], Value]) -> str:
        """The string that holds a value as JSON, spelled in a style."""
        self.seen.strings += 1
        check(self.seen.strings <= STRINGS, "strings in strings, too deeply")
        with spelled_in(style):
            text = styled(read(), style)
        self.seen.strings -= 1
        return text

    # ---------------------------------------------------------------------------------- raw text

    def fence(self, mark: str, depth: int) -> str:
        """The string below a fence mark."""
        lines: list[str] = []
        while (line := self.take()) != mark:
            lines.append(line)
        return self.text("\n".join(lines), depth)

    def text(self, raw: str, depth: int, notes: Sequence[str] = ()) -> str:
        """The string of several lines that raw text stands for."""
        check("\n" in raw, "a fence of less than two lines")
        text = ungrouped(self.raw(raw, depth), notes)
        check(not NEVER_IN_FENCE.search(text), "control character in a fence")
        return text

    def cut_off(self, rest: str, wrapper: Wrapper, notes: Sequence[str]) -> str:
        """An object that was cut off inside its last string, from what stands below its head."""
        raw, mark, behind = rest.partition("⟦cut⟧")
        check(mark and "⟦" not in behind, "no mark where it was cut off, or another one behind it")
        self.seen.notes.add(RAWS)
        text = ungrouped(self.raw(raw, wrapper.depth), notes)
        check(not NEVER_IN_FENCE.search(text), "control character in what was cut off")
        assert wrapper.cut is not None
        return cut(styled(wrapper.around(text), wrapper.cut), wrapper.depth).removesuffix('"') + behind

    def raw(self, raw: str, depth: int) -> str:
        """What raw text stands for."""

        def read_block(lines: list[str], style: str, closing: int) -> tuple[str, int]:
            inside = Reader(lines, self.seen)
            whole = len(self.seen.refs)
            text = self.string_of(style, lambda: inside.top(depth, inside_string=True))
            return (cut(text, closing) if len(self.seen.refs) == whole else text), inside.at

        if "⟦" in raw:
            self.seen.notes.add(RAWS)
        return raw_text(raw, read_block)

    # ---------------------------------------------------------------------------------- tables

    def table(self, text: str, indent: int, depth: int) -> Value:
        """The table whose head is a text; its rows stand at an indent."""
        depth = deeper(depth)
        if found := RECORDS.match(text):
            table = Table(self, text[found.end() :], indent, deeper(depth))
            check(table.width, "no column in the rows")
            return Array(tuple(self.rows(found[1], indent, table.record)))
        if found := MAP.match(text):
            table = Table(self, text[found.end() :], indent, deeper(depth), keyed=True)
            return Object(tuple(self.rows(found[1], indent, table.member, filler=("", NULL))))
        if found := GROUPS.match(text):
            table = Table(self, text[found.end() :], indent, deeper(depth, 3 if found[2] else 2))
            check(table.width, "no column in the rows")
            groups = [self.group(table, indent) for _ in range(many(found[1]))]
            if found[2]:
                key, end = read_key(f"{found[2]}[", 0)
                check(end == len(found[2]), "no key before the brackets of lists")
                return Array(tuple(Object(((key, group),)) for group in groups))
            return Array(tuple(groups))
        if found := MATRIX.match(text):
            width = many(found[2], 1)
            inside = deeper(depth)
            fixed = self.fixed(found[3], width, inside) if found[3] is not None else [None] * width

            def matrix_row(line: str) -> Value:
                rest = iter(self.scalars(line, fixed.count(None), indent, inside))
                return Array(tuple(next(rest) if value is None else value for value in fixed))

            return Array(tuple(self.rows(found[1], indent, matrix_row)))
        found = LIST.match(text)
        assert found is not None
        if not found[2]:
            return Array(tuple(self.rows(found[1], indent, lambda line: self.scalars(line, 1, indent, depth)[0])))
        prefix, suffix = read_stem(found[2])
        self.seen.notes.add(STEMS)
        return Array(tuple(self.rows(found[1], indent, lambda line: prefix + text_cell(line) + suffix)))

    def rows(
        self, count: str, indent: int, read: Callable[[str], Row], *, least: int = 2, whole: bool = False, filler: Any = NULL
    ) -> list[Row]:
        """What `read` makes of each of so many rows; `whole`: none may be left out."""
        rows: list[Row] = []
        done = 0
        expected = many(count, least)
        while done < expected:
            check(self.goes_on(" " * indent), "rows missing")
            line = self.take()[indent:]
            if line.startswith("<<ccr:"):
                omission = OMISSION.fullmatch(line)
                check(omission and not whole, "malformed omission")
                assert omission is not None
                self.seen.notes.add(OMISSIONS)
                done += int(omission[2])
                rows += self.left_out(omission[1], int(omission[2]), filler)
            else:
                rows.append(read(line))
                done += 1
        check(done == expected, "more rows left out than there are")
        return rows

    def left_out(self, ref: str, count: int, filler: Any) -> list[Any]:
        """The rows that were left out in a place; where they are not at hand, fillers for up to two of them."""
        if self.seen.parts is None:
            self.seen.refs.append(ref)
            return [filler] * min(count, 2)
        rows = self.seen.parts.get(ref, [])
        check(count <= len(rows), "fewer rows in a part than were left out")
        self.seen.parts[ref] = rows[count:]
        return rows[:count]

    def group(self, table: "Table", indent: int) -> Value:
        """One list of a list of lists of records."""
        line = self.take()
        found = GROUP.fullmatch(line.removeprefix(" " * indent))
        check(found and line.startswith(" " * indent), "no count of a group")
        assert found is not None
        return Array(tuple(self.rows(found[1], indent, table.record, least=0)))

    def scalars(self, line: str, count: int, indent: int, depth: int) -> tuple[Value, ...]:
        """The scalars of a row without columns."""
        cells = line.split("\t")
        check(len(cells) == count, "number of cells")
        styles: list[str] = []
        values = tuple(self.cell(cell, styles, indent, depth) for cell in cells)
        check(all(isinstance(value, Literal | str) for value in values), "no scalar")
        return values

    def fixed(self, columns: str, width: int, depth: int) -> list[Value | None]:
        """What stands in every row of a matrix, by column; None where a cell does."""
        values: list[Value | None] = []
        for column in columns.split("\t"):
            found = NUMBERS.match(column)
            check(found, "no number of a column")
            assert found is not None
            numbers = found[0].split(", ")
            check([int(number) for number in numbers] == [*range(len(values) + 1, len(values) + len(numbers) + 1)], "numbers")
            rest = column[found.end() :]
            check(rest.startswith("=") if rest else len(numbers) == 1, "no value behind a column")
            check(not rest.startswith("=(") and ("*" not in rest or rest.startswith('="')), "must be quoted")
            value = guarded(rest[1:], depth) if rest and len(numbers) == 1 else same_value(rest[1:], depth) if rest else None
            check(value is None or isinstance(value, Literal | str), "no scalar")
            values += [value] * len(numbers)
        check(len(values) == width <= COLUMNS and None in values, "columns")
        return values

    def cell(self, cell: str, styles: list[str], indent: int, depth: int) -> Value:
        """The value of a cell of a row at an indent; what it announces is read from below the row, as is that of the `styles`."""
        style = STYLE.fullmatch(cell)
        if styles and (style or MARK.fullmatch(cell)):
            check(self.take() == " " * (indent + 1) + cell, "no mark between what stands below a row")
        if MARK.fullmatch(cell):
            return self.fence(cell, depth)
        if style:
            styles.append(cell)
            return self.string_of(style[1], lambda: self.below(indent + 1, depth))
        return guarded(cell, depth)

    def below(self, indent: int, depth: int) -> Value:
        """The value below a row: members, items or a table."""
        check(self.goes_on(" " * indent), "nothing below a row")
        text = self.lines[self.at][indent:]
        if any(form.match(text) for form in TABLES):
            self.take()
            return self.table(text, indent + 1, depth)
        return self.block(indent, depth)


def many(count: str, least: int = 2) -> int:
    """A number of rows or lists."""
    check(int(count) >= least, "a table of less than two")
    return int(count)
