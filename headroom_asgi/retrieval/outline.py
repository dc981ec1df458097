"""What a text lists, line by line: the rows, members, items or lines that a search can find, and what stands above them.

Reads the crush format (docs/crush-format.md) without checking it: any text has an outline; that of a text in no known form is its
lines. A row stands together with the texts and values below it, a small object in a list with its members.
"""

import json
import re
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import Final, NamedTuple

_MAX_COLUMNS = 256  # as the format has it; any text may look like a table
_MAX_RECORD_LINES: Final = 32  # a longer item, object or text is found by its parts
_MAX_DEPTH: Final = 64  # of values inside values; the format has no more

_KEY = r'(?:"(?:[^"\\]|\\.)*"|(?![ ])[^"\[\]{}(),:|=*.\t\n]+)'
_PATH = rf"{_KEY}(?:\[0\])?(?:\.{_KEY}(?:\[0\])?)*"
_NAME = rf"(?:{_PATH}(?:\[0\])*|(?:\[0\])+)"
_STYLE = r"\(json[a-z0-9]*\)"
_TABLE = re.compile(
    rf"[ ]*+(?:-[ ](?:(?:\[0\])+[ ])?|{_NAME}[ ])?(?:{_STYLE}[ ])?"
    r"(?:(?P<list>\[[0-9]{1,9}\]:[ ])|(?P<map>\{[0-9]{1,9}\}:[ ])|(?P<lists>\[[0-9]{1,9}\](?:\.{_KEY})?\[\]:[ ])"
    r"|(?P<matrix>\[[0-9]{1,9}\]\[[0-9]+\]:(?:$|[ ]))|(?P<cells>\[[0-9]{1,9}\]=))(?P<columns>.*)"
)
_COUNT = re.compile(r"[\[{]([0-9]+)")
_SAID = re.compile(rf"[ ]*+{_PATH}[ ]\[([0-9]{{1,9}})\]:[ ](.*)")
_GROUP = re.compile(r"[ ]*\[([0-9]{1,9})\]$")
_MARKER = re.compile(r"[ ]*<<ccr:[^ >]+ ([0-9]{1,9}) rows left out")
_COLUMN = re.compile(rf"(?P<paths>{_PATH}(?:,[ ]{_PATH})*)(?:=(?P<value>.*)|\((?P<said>.*)\)|\[.*\])?$", re.DOTALL)
_CONTAINER = re.compile(rf"[ ]*+(?:-|(?:-[ ])?(?:\[0\])+(?:[ ]{_STYLE})?:|{_NAME}(?:[ ]{_STYLE})?:|-[ ]{_STYLE}:)$")
_FENCE = re.compile(rf'[ ]*+(?:-[ ]|{_NAME}:[ ])?("{{3,}})$')
_MARK = re.compile(rf'"{{3,}}|{_STYLE}')
_BLOCK = re.compile(r"⟦json[a-z0-9]*(?: cut [0-9]+)?⟧$")
_BLOCK_END: Final = "⟦end⟧"
_HEADS: Final = re.compile(r"\[(?:(?:json[a-z0-9]*|text)[\];]|json(?:[a-z0-9]* cut)? in )")


class Role(IntEnum):
    """What a unit is: found by a search, or standing above what is."""

    ENTRY = 0
    HEAD = 1
    SAID = 2


class Kind(Enum):
    """What the entries of a scope are, by the word for them."""

    VALUES = "entries"
    ROWS = "rows"
    LINES = "lines"


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        names: its path; of a constant also those of its neighbors.
        value: the constant or stem that stands in the head.
        key: of objects that are said once the key that a cell has the value of.
    """

    names: tuple[str, ...]
    value: str | None = None
    key: str = ""


class Said(NamedTuple):
    """A said-once table.

    Attributes:
        cell: which cell of a row names the object.
        column: the column of that cell.
        start, end: its lines, the head first.
        columns: its own.
    """

    cell: int
    column: Column
    start: int
    end: int
    columns: tuple[Column, ...]

    @property
    def cells(self) -> tuple[Column, ...]:
        """The columns that its rows have cells of."""
        return with_cells(self.columns)

    def key_of(self, line: str) -> str:
        """What rows call the object of that line."""
        for column, cell in zip(self.cells, line.lstrip(" ").split("\t"), strict=False):
            if column.names == (self.column.key,):
                prefix, _, suffix = (column.value or "*").partition("*")
                return f"{prefix}{unquoted(cell)}{suffix}"
        return ""

    def named_by(self, line: str) -> str:
        """What a row calls its object."""
        cells = line.lstrip(" ").split("\t", self.cell + 1)
        return unquoted(cells[self.cell]) if self.cell < len(cells) else ""


@dataclass(slots=True, repr=False)
class Scope:
    """Lines that stand above entries: a table's head, a key, an item's dash.

    Attributes:
        parent: the scope around it, -1 for the whole text.
        line: its own line, -1 for the whole text.
        columns: in the head's order, constants too; empty for what is no table.
        cells: the columns that rows have cells of, in order.
        said: its said-once tables.
        kind: what its entries are.
        is_group: a group of a table, which has the same columns and said-once tables.
    """

    parent: int
    line: int
    columns: tuple[Column, ...] = ()
    cells: tuple[Column, ...] = ()
    said: list[Said] = field(default_factory=list)
    kind: Kind = Kind.VALUES
    is_group: bool = False


@dataclass(slots=True, repr=False)
class Outline:
    """Units in the order of their lines; every line but the first one of a crush text belongs to one.

    Attributes:
        lines: of the text.
        head: lines at the start that stand above everything.
        starts: first line of each unit; it ends where the next one starts.
        roles, scopes: of each unit what it is and which scope it belongs to.
        table: the scopes.
    """

    lines: list[str]
    head: int = 0
    starts: list[int] = field(default_factory=list)
    roles: list[int] = field(default_factory=list)
    scopes: list[int] = field(default_factory=list)
    table: list[Scope] = field(default_factory=list)

    def end(self, unit: int) -> int:
        """The line behind a unit."""
        return self.starts[unit + 1] if unit + 1 < len(self.starts) else len(self.lines)

    def add(self, start: int, role: Role, scope: int) -> None:
        """Add the unit that starts at a line."""
        self.starts.append(start)
        self.roles.append(role)
        self.scopes.append(scope)

    def add_lines(self, start: int, end: int, scope: int) -> None:
        """Add each of the lines as an entry."""
        self.starts += range(start, end)
        self.roles += [Role.ENTRY] * (end - start)
        self.scopes += [scope] * (end - start)

    def open(self, scope: Scope) -> int:
        """Add a scope, and its line as a unit."""
        self.table.append(scope)
        if scope.line >= 0:
            self.add(scope.line, Role.HEAD, len(self.table) - 1)
        return len(self.table) - 1


def outline(text: str) -> Outline:
    """The outline of a text."""
    found = Outline(text.split("\n"))
    first = found.lines[0]
    crushed = _HEADS.match(first) is not None
    is_text = not crushed or first.startswith("[text") or '"""' in first  # the last: lines in an envelope
    whole = found.open(Scope(-1, -1, kind=Kind.LINES if is_text else Kind.VALUES))
    if not crushed:
        found.add_lines(0, len(found.lines), whole)
        return found
    found.head = 1
    reader = _Reader(found, plain=not any(mark in text for mark in ('"""', "(json", "<<ccr:")))
    if is_text:
        reader.read_raw(whole)
    else:
        reader.read_values(1, whole)
    return found


def columns_of(head: str) -> tuple[Column, ...]:
    """The columns that a table's head lists."""
    return tuple(_column(text) for text in head.split("\t", _MAX_COLUMNS)[:_MAX_COLUMNS])


def _column(text: str) -> Column:
    match = _COLUMN.match(text)
    if match is None:  # (key), or what is no column
        return Column((text.strip("()"),))
    paths = re.findall(_PATH, match["paths"])
    names = tuple(_plain(path.removeprefix(" ")) for path in paths)
    return Column(names, match["value"], unquoted(match["said"] or ""))


def _plain(path: str) -> str:
    """A path with its quoted keys as they are."""
    if '"' not in path:
        return path
    return re.sub(r'"(?:[^"\\]|\\.)*"', lambda key: unquoted(key[0]), path)


def unquoted(cell: str) -> str:
    """The string that a cell stands for; the cell itself if it is not quoted."""
    if len(cell) > 1 and cell[0] == cell[-1] == '"':
        try:
            value = json.loads(cell)
        except ValueError:
            return cell
        return value if isinstance(value, str) else cell
    return cell


def is_stem(value: str | None) -> bool:
    """Whether what stands behind a column's `=` is a stem rather than a constant."""
    return value is not None and "*" in value and not value.startswith('"')


def with_cells(columns: tuple[Column, ...]) -> tuple[Column, ...]:
    """Those of the columns that rows have cells of: not the constants."""
    return tuple(column for column in columns if column.value is None or is_stem(column.value))


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


class _Reader:
    """Reads the lines of a crush text one after the other. `plain`: no text or value stands below any row."""

    def __init__(self, found: Outline, *, plain: bool) -> None:
        self._found = found
        self._lines = found.lines
        self._plain = plain

    def read_raw(self, scope: int) -> None:
        """The lines of a text, with the values of its blocks."""
        at, lines = 1, self._lines
        while at < len(lines):
            if not _BLOCK.search(lines[at]):
                self._found.add(at, Role.ENTRY, scope)
                at += 1
                continue
            block = self._found.open(Scope(scope, at))
            at = self.read_values(at + 1, block)
            if at < len(lines):  # what stands behind the block's end belongs to the text again
                self._found.add(at, Role.ENTRY, scope)
                at += 1

    def read_values(self, at: int, around: int) -> int:
        """Members, items and tables from a line on; the line behind them, or that of the block's end."""
        lines, found = self._lines, self._found
        open_scopes: list[tuple[int, int]] = []  # indent and scope of the containers around the line
        while at < len(lines):
            line = lines[at]
            if line.startswith(_BLOCK_END):
                break
            indent = _indent(line)
            while open_scopes and open_scopes[-1][0] >= indent:
                open_scopes.pop()
            parent = open_scopes[-1][1] if open_scopes else around
            table = _TABLE.match(line)
            if table is not None:
                at = self._read_table(at, table, parent)
                continue
            end = self._end(at)
            if _FENCE.match(line) and end - at > _MAX_RECORD_LINES:
                at = self._read_text(at, end, parent)
                continue
            if _CONTAINER.match(line):
                end = self._record_end(at, indent)
                if not end:
                    open_scopes.append((indent, found.open(Scope(parent, at))))
                    at += 1
                    continue
            found.add(at, Role.ENTRY, parent)
            at = end
        return at

    def _read_text(self, at: int, end: int, parent: int) -> int:
        """A long text of several lines: its lines are found one by one."""
        scope = self._found.open(Scope(parent, at, kind=Kind.LINES))
        self._found.add_lines(at + 1, end, scope)
        return end

    def _read_table(self, at: int, match: re.Match[str], parent: int) -> int:
        """A table from its head on; the line behind it."""
        form = match["list"] or match["map"] or match["lists"] or match["matrix"] or match["cells"]
        count = int(_COUNT.match(form)[1])  # type: ignore[index]
        if match["cells"] is not None:
            columns: tuple[Column, ...] = (Column(("",), match["columns"] or None),)
        else:
            columns = columns_of(match["columns"]) if match["columns"] else ()  # those of a matrix may have no names
        scope = Scope(parent, at, columns, with_cells(columns), kind=Kind.ROWS)
        number = self._found.open(scope)
        at += 1
        for cell, column in enumerate(scope.cells):
            if column.key:
                at = self._read_said(at, cell, scope, number)
        if match["lists"] is None:
            return self._read_rows(at, count, number)
        for _ in range(count):
            group = _GROUP.match(self._lines[at]) if at < len(self._lines) else None
            if group is None:
                break
            at = self._read_rows(
                at + 1,
                int(group[1]),
                self._found.open(Scope(number, at, columns, scope.cells, scope.said, Kind.ROWS, is_group=True)),
            )
        return at

    def _read_said(self, at: int, cell: int, scope: Scope, number: int) -> int:
        match = _SAID.match(self._lines[at]) if at < len(self._lines) else None
        if match is None:
            return at
        end = min(at + 1 + int(match[1]), len(self._lines))
        scope.said.append(Said(cell, scope.cells[cell], at, end, columns_of(match[2])))
        for line in range(at, end):
            self._found.add(line, Role.SAID, number)
        return end

    def _read_rows(self, at: int, count: int, scope: int) -> int:
        """As many rows; the line behind them."""
        lines = self._lines
        if self._plain:
            end = min(at + count, len(lines))
            self._found.add_lines(at, end, scope)
            return end
        while count > 0 and at < len(lines):
            marker = _MARKER.match(lines[at])
            count -= int(marker[1]) if marker else 1
            self._found.add(at, Role.HEAD if marker else Role.ENTRY, scope)
            at = at + 1 if marker else self._end(at)
        return at

    def _record_end(self, at: int, indent: int) -> int:
        """The line behind a small object: an item, or a key with members on one line each. 0: it is read part by part."""
        lines, is_item = self._lines, self._lines[at].lstrip(" ").startswith("-")
        limit, first = min(len(lines), at + _MAX_RECORD_LINES), at
        at += 1
        while at < len(lines) and _indent(lines[at]) > indent:
            if at >= limit or _TABLE.match(lines[at]) or (not is_item and _CONTAINER.match(lines[at])):
                return 0
            at = self._end(at)
        return at if at - first <= _MAX_RECORD_LINES else 0

    def _end(self, at: int, depth: int = 0) -> int:
        """The line behind a line and what its marks announce: texts of several lines, and values in styles below a row."""
        line = self._lines[at]
        at += 1
        if self._plain:
            return at
        fence = _FENCE.match(line)
        cells = line.lstrip(" ").split("\t") if fence is None else [fence[1]]
        marks = [cell for cell in cells if _MARK.fullmatch(cell)]
        for mark in marks if depth < _MAX_DEPTH else ():
            if mark[0] == "(":  # what the marks behind it announce stands deeper too
                while at < len(self._lines) and _indent(self._lines[at]) > _indent(line):
                    at = self._end(at, depth + 1)
                break
            while at < len(self._lines) and self._lines[at] != mark:
                at += 1
            at = min(at + 1, len(self._lines))
        return at
