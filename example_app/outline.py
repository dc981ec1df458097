"""Reads the outline form of docs/crush-format.md, from that page alone: the lines of a text and what stands below each.

A string that holds JSON is its value here; raw text with ⟦blocks⟧ is the list of its texts and values. Rows that were left out
are simply not there. An excerpt has fewer rows than its heads say.
"""

import json
import re
from collections.abc import Callable
from typing import TypeVar

from example_app.inline import (
    JSON_WORDS,
    LITERAL,
    Column,
    Value,
    Words,
    column_of,
    inline,
    paths,
    put,
    stem_of,
    text_cell,
    tuples,
    words_of,
    wrapper_of,
)

HEAD = re.compile(r"\[(?:(text|json[a-z0-9]*)|json(?:[a-z0-9]* cut)? in .*)(?:; [^;\]]*)*\]")
_KEY = r'(?:\.(?:"(?:[^"\\]|\\.)*"|[^"\[\n]+))'
TABLE = re.compile(rf"[\[{{]([1-9]\d*)[\]}}](?:(: \(key\)\t|: |{_KEY}?\[\]: |=)(.*)|\[(\d+)\]:(?: (.*))?$)", re.DOTALL)
_IN = re.compile(r"\[json(?:[a-z0-9]*( cut))? in (\[?)")
_CUT = "⟦cut⟧"
_STYLE = re.compile(r"\((json[a-z0-9]*)\)")
_FENCE = re.compile(r'"{3,}')
_GROUP = re.compile(r"\[(\d+)\]")
_OMISSION = re.compile(r"<<ccr:\S+ (\d+) rows left out")
_GROUPED = re.compile(r"; x\*(?:y\*)? = ")
_TAGS = "; line breaks between > and < were added"
_WIDTHS = "; _ = "
_RECORDS = "; \\n = "
_MARK = re.compile(r'⟦(?:("(?:[^"\\]|\\.)*") × (\d+)⟧|× (\d+)⟧|(json[a-z0-9]*)(?: cut \d+)?⟧\n)')
_END = "⟦end⟧"

Row = TypeVar("Row")


def read_outline(text: str, *, excerpt: bool = False) -> Value:
    """The value of an outline. Raises ValueError or IndexError where the text is none.

    Of an object that was cut off: what is there of it, and what stands behind the cut.

    Args:
        text: the outline, from its head on.
        excerpt: rows may be missing, and other lines may follow.
    """
    head, _, rest = text.partition("\n")
    found = HEAD.fullmatch(head)
    if not found:
        raise ValueError(f"no outline begins with {head!r}")
    if found[1] == "text":
        return _raw(rest, head)
    if found[1]:
        return _whole(rest, words_of(found[1]), excerpt=excerpt)
    start = _IN.match(head)
    assert start is not None
    members, hole, style, end = wrapper_of(head, start.end())
    is_list = start[2] != "" and not start[1]
    if not HEAD.fullmatch("[json" + head[end + is_list :]):
        raise ValueError(f"no notes: {head[end:]!r}")
    text, _, behind = rest.partition(_CUT) if start[1] else (rest, "", "")
    members[hole] = _raw(text, head[end:]) if style is None else _whole(rest, words_of(style), excerpt=excerpt)
    value: Value = [members] if start[2] else members
    return [value, behind] if behind else value


def read_table(lines: list[str], at: int, head: re.Match[str]) -> Value:
    """The table whose head stands on the line before `at`, somewhere in a text."""
    following = lines[at] if at < len(lines) else ""
    return _Outline(lines, at, excerpt=True).table(head, len(following) - len(following.lstrip(" ")))


def _whole(text: str, words: Words, *, excerpt: bool) -> Value:
    outline = _Outline(text.split("\n"), words=words, excerpt=excerpt)
    value = outline.top()
    if not excerpt and outline.line() is not None:
        raise ValueError(f"behind the end: {outline.line()!r}")
    return value


def _raw(text: str, notes: str = "") -> Value:
    """What raw text stands for; `notes`: those of the head."""
    values: list[Value] = []
    said = ""
    place = next(sign for sign in map(chr, range(0xE000, 0xF900)) if sign not in text)  # where a value stands
    while mark := _MARK.search(text):
        said += text[: mark.start()]
        text = text[mark.end() :]
        if mark[1]:
            said += json.loads(mark[1]) * int(mark[2])
        elif mark[3]:
            said += "\n".join([said.split("\n")[-2]] * (int(mark[3]) - 1))
        else:
            block = _Outline(text.split("\n"), words=words_of(mark[4]))
            values.append(block.top())
            said, text = said + place, block.behind()
    texts = (_ungrouped(said + text, notes) if _GROUPED.search(notes) else said + text).split(place)
    if _TAGS in notes:
        texts = [re.sub(r">\n(\n*)<", r">\1<", part) for part in texts]
    parts = [part for number, before in enumerate(texts) for part in (before, *values[number : number + 1])]
    return parts[0] if len(parts) == 1 else [part for part in parts if part != ""]


def _ungrouped(text: str, notes: str) -> str:
    """The text with each indented line below a head filled into it."""
    done: list[str] = []
    fill: Callable[[str], str] | None = None
    lines = text.split("\n")
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        if fill is not None and line.startswith(" "):
            done.append(fill(line[1:]))
        elif "*" in line and not line.startswith(" ") and below.startswith(" "):
            fill = _filler(line, notes)
        else:
            done.append(line)
            fill = None
    return "\n".join(done)


def _filler(head: str, notes: str) -> Callable[[str], str]:
    """What puts the cells of a row in place of each * of a head."""
    if _WIDTHS in notes:
        head = re.sub(r"^_+(?![_*])", lambda indent: " " * len(indent[0]), head)
        parts = re.split(r"(_+\*|\*_+|\*(?:[,;]\*)*)", head)
    else:
        parts = re.split(r"(\*(?:[,;]\*)*)", head)
    if _RECORDS in notes:
        parts[::2] = [part.replace("\\n", "\n") for part in parts[::2]]

    def fill(row: str) -> str:
        cells = row.split("\t", len(parts) // 2 - 1)
        said = parts[0]
        for hole, cell, after in zip(parts[1::2], cells, parts[2::2], strict=True):
            width = len(hole) if "_" in hole else 0
            said += (cell.rjust(width) if hole.startswith("_") else cell.ljust(width)) + after
        return said

    return fill


class _Outline:
    """The lines of an outline and how far they are read."""

    def __init__(self, lines: list[str], at: int = 0, *, words: Words = JSON_WORDS, excerpt: bool = False) -> None:
        self._lines, self._at, self._words, self._excerpt = lines, at, words, excerpt

    def line(self, indent: int = 0) -> str | None:
        """The next line without its indent; None if none stands so deep."""
        line = self._lines[self._at] if self._at < len(self._lines) else _END
        return None if line.startswith("⟦") or not line.startswith(" " * indent) else line[indent:]

    def behind(self) -> str:
        """The text behind the end of a block."""
        if not self._lines[self._at].startswith(_END):
            raise ValueError(f"behind the end: {self._lines[self._at]!r}")
        return "\n".join(self._lines[self._at :]).removeprefix(_END)

    def top(self) -> Value:
        """The value of the lines."""
        line = self._take()
        if style := _STYLE.fullmatch(line):
            return self._styled(style[1], self.top)
        if head := TABLE.fullmatch(line):
            return self.table(head, 0)
        if _FENCE.fullmatch(line):
            return self._fence(line)
        if line.startswith("[0]") and line[3:4] not in ("", ","):
            return self._entry(line, 0)
        if self.line() is None and (line[:1] in ("[", "{") or LITERAL.fullmatch(line) or _is_quoted(line)):
            return inline(line, self._words)
        self._at -= 1
        return self._block(0)

    def table(self, head: re.Match[str], indent: int) -> Value:
        """The records, lists or scalars of a table whose rows stand at an indent."""
        count, form, rest, width = int(head[1]), head[2], head[3], head[4]
        if width:
            return self._matrix(count, indent, int(width), head[5])
        if form == "=":
            stem = stem_of(rest) if rest else None
            return self._rows(count, indent, 1, lambda cells: self._cell(cells[0], indent, [], stem))
        columns = [column_of(text, self._words) for text in rest.split("\t")]
        width = sum(column.has_cell for column in columns)
        said = {number: self._said(indent) for number, column in enumerate(columns) if column.said is not None}

        def record(cells: list[str], key: str = "") -> Value:
            return self._record(columns, said, cells, indent, key)

        if form.endswith("[]: "):
            groups = self._groups(count, indent, width, record)
            key = form[1:-4]
            return [{json.loads(key) if key[0] == '"' else key: group} for group in groups] if key else groups
        if form == ": ":
            return self._rows(count, indent, width, record)
        members = self._rows(
            count, indent, width + 1, lambda cells: (text_cell(cells[0]), record(cells[1:], text_cell(cells[0])))
        )
        return dict(members)

    def _matrix(self, count: int, indent: int, width: int, columns: str | None) -> Value:
        fixed: dict[int, Value] = {}
        for column in columns.split("\t") if columns else ():
            numbers, _, value = column.partition("=")
            fixed |= {int(number): inline(value, self._words) for number in numbers.split(", ")} if value else {}

        def row(cells: list[str]) -> Value:
            rest = iter(self._cells(cells, indent))
            return [fixed[number] if number in fixed else next(rest) for number in range(1, width + 1)]

        return [*self._rows(count, indent, width - len(fixed), row)]

    def _groups(self, count: int, indent: int, width: int, record: Callable[[list[str]], Value]) -> list[Value]:
        groups: list[Value] = []
        while len(groups) < count and (head := _GROUP.fullmatch(self.line(indent) or "")):
            self._at += 1
            groups.append(self._rows(int(head[1]), indent, width, record, stop=_GROUP))
        if len(groups) < count and not self._excerpt:
            raise ValueError("lists are missing")
        return groups

    def _rows(
        self, count: int, indent: int, width: int, read: Callable[[list[str]], Row], stop: re.Pattern[str] = TABLE
    ) -> list[Row]:
        """What `read` makes of each row. An excerpt's rows end before what is no row, or what starts the next ones (`stop`)."""
        rows: list[Row] = []
        seen = 0
        while seen < count:
            line = self.line(indent)
            omission = _OMISSION.match(line or "")
            cells = (line or "").split("\t")
            if not omission and (line is None or len(cells) != width or (self._excerpt and _starts(line, stop))):
                if self._excerpt:
                    break
                raise ValueError(f"no row: {line!r}")
            self._at += 1
            seen += int(omission[1]) if omission else 1
            if not omission:
                rows.append(read(cells))
        return rows

    def _said(self, indent: int) -> dict[tuple[Value, bool], Value]:
        """The objects that are said once, by what cells call them: the value, and whether it is a number."""
        line = self._take()
        _, at = paths(line, indent)
        head = TABLE.fullmatch(line, at + 1)
        if not head:
            raise ValueError(f"no table of what is said once: {line!r}")
        columns = [column_of(text, self._words) for text in head[3].split("\t")]
        key = columns[0].paths[0][0][0]

        def named(cells: list[str]) -> tuple[tuple[Value, bool], Value]:
            record = self._record(columns, {}, cells, indent + 1)
            return (record[key], not columns[0].stem and _is_number(cells[0])), record

        return dict(self._rows(int(head[1]), indent + 1, sum(column.has_cell for column in columns), named))

    def _record(
        self,
        columns: list[Column],
        said: dict[int, dict[tuple[Value, bool], Value]],
        cells: list[str],
        indent: int,
        key: str = "",
    ) -> dict[str, Value]:
        record: dict[str, Value] = {}
        rest = iter(cells)
        styles: list[str] = []
        for number, column in enumerate(columns):
            cell = next(rest) if column.has_cell else ""
            if column.has_cell and not cell:
                continue
            if not column.has_cell:
                value = key if column.is_key else column.constant
            elif column.keys is not None:
                value = tuples(cell, column.keys, self._words)
            elif column.said is not None and number in said and not _STYLE.fullmatch(cell):
                name = inline(cell, self._words)
                value = said[number].get((name, _is_number(cell)), {column.said: name})
            else:
                value = self._cell(cell, indent, styles, column.stem)
            for path in column.paths:
                put(record, path, value)
        return record

    def _cells(self, cells: list[str], indent: int) -> list[Value]:
        styles: list[str] = []
        return [self._cell(cell, indent, styles, None) for cell in cells]

    def _cell(self, cell: str, indent: int, styles: list[str], stem: tuple[str, str] | None) -> Value:
        """The value of a cell; behind the first one of `styles` a mark is repeated before what it announces."""
        if stem:
            return stem[0] + text_cell(cell) + stem[1]
        is_styled, is_fenced = _STYLE.fullmatch(cell), _FENCE.fullmatch(cell)
        if not is_styled and not is_fenced:
            return inline(cell, self._words)
        if styles and self._take() != " " * (indent + 1) + cell:
            raise ValueError("no mark before what stands below a row")
        if is_fenced:
            return self._fence(cell)
        styles.append(cell)
        assert is_styled is not None
        return self._styled(is_styled[1], lambda: self._below(indent + 1))

    def _below(self, indent: int) -> Value:
        """What stands below a row."""
        if head := TABLE.fullmatch(self.line(indent) or ""):
            self._at += 1
            return self.table(head, indent + 1)
        return self._block(indent)

    def _styled(self, style: str, read: Callable[[], Value]) -> Value:
        """What stands in a text of its own, in the words of its style."""
        before, self._words = self._words, words_of(style)
        value = read()
        self._words = before
        return value

    def _block(self, indent: int) -> Value:
        """Members or items, all at one indent."""
        items: list[Value] = []
        while (line := self.line(indent)) is not None and line.startswith("-"):
            self._at += 1
            items.append(self._item(line[1:], indent))
        if items:
            return items
        members: dict[str, Value] = {}
        while (line := self.line(indent)) is not None and not line.startswith(("(", '"""')):
            self._at += 1
            where, at = paths(line)
            below = indent + len(where[0]) - 1
            value = self._entry(line[at:], below)
            for path in where:
                members.pop(path[0][0], None)
                put(members, path, value)
        if not members:
            raise ValueError("nothing stands here")
        return members

    def _item(self, rest: str, indent: int) -> Value:
        """What stands behind a dash, and below it."""
        text = rest.removeprefix(" ")
        if style := _STYLE.match(text):
            return self._styled(style[1], lambda: self._entry(text[style.end() :], indent))
        if head := TABLE.fullmatch(text):
            return self.table(head, indent + 1)
        if _FENCE.fullmatch(text):
            return self._fence(text)
        return inline(text, self._words) if text else self._block(indent + 1)

    def _entry(self, rest: str, indent: int) -> Value:
        """What stands behind a key, and below it."""
        if rest.startswith("[0]"):
            return [self._entry(rest[3:], indent)]
        text = rest[1:]
        if rest.startswith(" ") and (style := _STYLE.match(text)):
            return self._styled(style[1], lambda: self._entry(text[style.end() :], indent))
        if rest.startswith(" ") and (head := TABLE.fullmatch(text)):
            return self.table(head, indent + 1)
        if not rest.startswith(":"):
            raise ValueError(f"no colon: {rest!r}")
        text = text.removeprefix(" ")
        if _FENCE.fullmatch(text):
            return self._fence(text)
        return inline(text, self._words) if text else self._block(indent + 1)

    def _fence(self, mark: str) -> Value:
        end = self._lines.index(mark, self._at)
        text = "\n".join(self._lines[self._at : end])
        self._at = end + 1
        return _raw(text)

    def _take(self) -> str:
        self._at += 1
        return self._lines[self._at - 1]


def _starts(line: str, stop: re.Pattern[str]) -> bool:
    """Whether a line of an excerpt starts something else than a row."""
    return bool(stop.fullmatch(line) or TABLE.match(line) or HEAD.fullmatch(line))


def _is_number(cell: str) -> bool:
    return LITERAL.fullmatch(cell) is not None


def _is_quoted(line: str) -> bool:
    try:
        return isinstance(json.loads(line), str)
    except ValueError:
        return False
