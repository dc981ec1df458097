"""The slow, obvious reader of the crush format, written from its grammar page: Python values first, JSON text second.

`decode(text)` gives the minified JSON text: keys in order, duplicates too, numbers as they were spelled, unpaired
surrogates escaped.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby

LITERAL = re.compile(r"null|true|false|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
QUOTED = re.compile(r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"')
MARK = re.compile('"{3,}')
STYLE = re.compile(r"\((json[p124]?)(a?)(n?)\)")
TABLE = re.compile(r"\[([1-9][0-9]*)\]: ")
OMISSION = re.compile(r"<<ccr:([A-Za-z0-9_.-]+-[1-9][0-9]*) ([1-9][0-9]*) rows left out>>")
BARE_KEY = re.compile(r'[^"\[\]{}(),:|=*.]+')
BARE_IN_FLOW = re.compile(r'[^,\[\]{}":]+')
NEVER_BARE = re.compile("[\x00-\x1f\x7f\x85\u2028\u2029]")
NEVER_IN_FENCE = re.compile("[\x00-\x08\x0b-\x1f\x7f]")

HEAD = "[json]"
HEAD_EMPTY = "[json; empty cell = no such key]"
HEAD_OMISSIONS = "[json; empty cell = no such key; rows left out: call headroom_retrieve with the ref in the <<ccr:...>> line]"

DEPTH = 64
STRINGS = 8
COLUMNS = 256


class RowsLeftOut(ValueError):
    """The text is in the format, but rows were left out of it."""

    def __init__(self, refs: tuple[str, ...]) -> None:
        super().__init__(f"rows left out: {refs}")
        self.refs = refs


@dataclass(frozen=True)
class Literal:
    """null, true, false or a number, as spelled."""

    text: str


@dataclass(frozen=True)
class Object:
    """Members in order, duplicates too."""

    members: tuple[tuple[str, "Value"], ...]


@dataclass(frozen=True)
class Array:
    """Elements in order."""

    elements: tuple["Value", ...]


Value = Literal | str | Object | Array
Path = tuple[str, ...]


@dataclass(frozen=True)
class Column:
    """A column of a table; `constant` is None where the value stands in the rows."""

    path: Path
    constant: Value | None


def decode(text: str) -> str:
    """The minified JSON text that a crush text stands for.

    Raises:
        RowsLeftOut: rows were left out of the text.
        ValueError: the text is not in the format.
    """
    text.encode()
    head, *lines = text.split("\n")
    check(head in (HEAD, HEAD_EMPTY, HEAD_OMISSIONS), "head")
    reader = Reader(lines)
    value = reader.top()
    check(reader.at == len(lines), "lines behind the value")
    check(head != HEAD or not reader.empty_cells, "the head does not speak of empty cells")
    if reader.refs:
        raise RowsLeftOut(tuple(dict.fromkeys(reader.refs)))
    return spell(value)


def check(condition: object, reason: str) -> None:
    """ValueError unless the condition holds."""
    if not condition:
        raise ValueError(reason)


# ------------------------------------------------------------------------------------------ JSON text


def spell(value: Value, layout: str = "json", *, ascii_only: bool = False, level: int = 0) -> str:
    """The JSON text of a value in one of the layouts json, jsonp, json1, json2, json4."""
    if isinstance(value, Literal):
        return value.text
    if isinstance(value, str):
        return quote(value, ascii_only=ascii_only)
    colon = ":" if layout == "json" else ": "
    if isinstance(value, Object):
        brackets = "{}"
        parts = [
            quote(key, ascii_only=ascii_only) + colon + spell(inner, layout, ascii_only=ascii_only, level=level + 1)
            for key, inner in value.members
        ]
    else:
        brackets = "[]"
        parts = [spell(inner, layout, ascii_only=ascii_only, level=level + 1) for inner in value.elements]
    if not parts:
        return brackets
    if layout in ("json", "jsonp"):
        return brackets[0] + (", " if layout == "jsonp" else ",").join(parts) + brackets[1]
    newline = "\n" + " " * (int(layout[4:]) * level)
    deeper = newline + " " * int(layout[4:])
    return brackets[0] + deeper + ("," + deeper).join(parts) + newline + brackets[1]


def quote(text: str, *, ascii_only: bool) -> str:
    """A JSON string literal; unpaired surrogates escaped in any case."""
    literal = json.dumps(text, ensure_ascii=ascii_only)
    return re.sub("[\ud800-\udfff]", lambda match: f"\\u{ord(match[0]):04x}", literal)


# ------------------------------------------------------------------------------------------ one line


def literal_or_quoted(text: str) -> Value | None:
    """The value if the whole text is a literal or a quoted string."""
    if LITERAL.fullmatch(text):
        return Literal(text)
    if QUOTED.fullmatch(text):
        decoded: str = json.loads(text)
        return decoded
    return None


def check_bare(text: str) -> None:
    """ValueError if the string may not be written bare at all."""
    check(text != "", "empty")
    check(text[0] not in '"[{' and not text.startswith("<<ccr:"), "must be quoted: its first character")
    check(text != "-" and not text.startswith("- "), "must be quoted: looks like an item")
    check(text == text.strip(" \t"), "must be quoted: blanks around it")
    check(not NEVER_BARE.search(text), "must be quoted: control characters")


def inline(text: str, around: int) -> Value:
    """A whole literal, string or flow; `around`: how many containers it stands in."""
    check(text != "", "no value")
    value = literal_or_quoted(text)
    if value is not None:
        return value
    if text[0] in "[{":
        value, at = flow(text, 0, around)
        check(at == len(text), "characters behind the flow")
        return value
    check_bare(text)
    return text


def flow(text: str, at: int, around: int) -> tuple[Value, int]:
    """The flow value at an offset, and the offset behind it."""
    if text[at : at + 1] == "[":
        return flow_array(text, at, around)
    if text[at : at + 1] == "{":
        return flow_object(text, at, around)
    quoted = QUOTED.match(text, at)
    if quoted:
        decoded: str = json.loads(quoted[0])
        return decoded, quoted.end()
    bare = BARE_IN_FLOW.match(text, at)
    if bare is None:
        raise ValueError("no value in flow")
    if LITERAL.fullmatch(bare[0]):
        return Literal(bare[0]), bare.end()
    check_bare(bare[0])
    check(bare[0][0] not in "-?!&*|>@%`", "must be quoted in flow: its first character")
    return bare[0], bare.end()


def flow_array(text: str, at: int, around: int) -> tuple[Array, int]:
    """The flow array whose bracket is at an offset."""
    check(around < DEPTH, "nested too deeply")
    elements: list[Value] = []
    if text[at : at + 2] == "[]":
        return Array(()), at + 2
    while True:
        at += 1
        if elements and text[at : at + 1] == " ":
            at += 1
        element, at = flow(text, at, around + 1)
        elements.append(element)
        if text[at : at + 1] == "]":
            return Array(tuple(elements)), at + 1
        check(text[at : at + 1] == ",", "no comma in flow")


def flow_object(text: str, at: int, around: int) -> tuple[Object, int]:
    """The flow object whose brace is at an offset."""
    check(around < DEPTH, "nested too deeply")
    members: list[tuple[str, Value]] = []
    if text[at : at + 2] == "{}":
        return Object(()), at + 2
    at += 1
    while True:
        key, at = read_key(text, at)
        check(text[at : at + 1] == ":", "no colon in flow")
        at += 1
        if text[at : at + 1] == " ":
            at += 1
        member, at = flow(text, at, around + 1)
        members.append((key, member))
        if text[at : at + 1] == "}":
            return Object(tuple(members)), at + 1
        check(text[at : at + 2] == ", ", "no comma and blank in flow")
        at += 2


def read_key(text: str, at: int) -> tuple[str, int]:
    """The key at an offset, and the offset behind it; the blank before ( and [ belongs to what follows."""
    quoted = QUOTED.match(text, at)
    if quoted:
        decoded: str = json.loads(quoted[0])
        return decoded, quoted.end()
    bare = BARE_KEY.match(text, at)
    if bare is None:
        raise ValueError("no key")
    key = bare[0]
    if text[bare.end() : bare.end() + 1] in ("(", "[") and key.endswith(" "):
        key = key[:-1]
    check(key != "" and key == key.strip(" "), "key must be quoted: blanks around it")
    check(key[0] not in "-'#" and not key.startswith("<<ccr"), "key must be quoted: how it starts")
    check(not NEVER_BARE.search(key) and not LITERAL.fullmatch(key), "key must be quoted")
    return key, at + len(key)


# ------------------------------------------------------------------------------------------ tables


def read_column(text: str, rows_indent: int) -> Column:
    """One column of a table's head."""
    path: list[str] = []
    at = -1
    while at < 0 or text[at : at + 1] == ".":
        key, at = read_key(text, at + 1)
        path.append(key)
    check(rows_indent + len(path) < DEPTH, "nested too deeply")
    if at == len(text):
        return Column(tuple(path), None)
    check(text[at] == "=", "neither . nor = behind a column's key")
    return Column(tuple(path), inline(text[at + 1 :], rows_indent + 1 + len(path)))


def check_columns(columns: list[Column]) -> None:
    """ValueError unless parts of one parent stand together, behind their parent, and none twice."""
    seen: set[str] = set()
    for key, together in groupby(columns, lambda column: column.path[0]):
        group = list(together)
        check(key not in seen, "column twice, or parts of one parent apart")
        seen.add(key)
        parts = [Column(column.path[1:], column.constant) for column in group if len(column.path) > 1]
        wholes = [column for column in group if len(column.path) == 1]
        if wholes:
            check(len(wholes) == 1 and wholes[0] is group[0], "column twice, or behind its parts")
            check(not parts or wholes[0].constant is None, "a constant has no parts")
        check_columns(parts)


def build_record(cells: list[tuple[Path, Value]]) -> Object:
    """The object of the cells that are present."""
    members: list[tuple[str, Value]] = []
    for key, together in groupby(cells, lambda cell: cell[0][0]):
        group = list(together)
        if len(group[0][0]) == 1:
            check(len(group) == 1, "a value and parts of it")
            members.append((key, group[0][1]))
        else:
            members.append((key, build_record([(path[1:], value) for path, value in group])))
    return Object(tuple(members))


# ------------------------------------------------------------------------------------------ many lines


class Reader:
    """The lines below the head, and how far they have been read."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        self.at = 0
        self.strings = 0
        self.refs: list[str] = []
        self.empty_cells = False

    def take(self) -> str:
        """The next line."""
        check(self.at < len(self.lines), "the text ends too early")
        self.at += 1
        return self.lines[self.at - 1]

    def next_starts_with(self, text: str) -> bool:
        """Whether there is a next line that starts so."""
        return self.at < len(self.lines) and self.lines[self.at].startswith(text)

    def top(self, *, inside_string: bool = False) -> Value:
        """The value of the text; `inside_string`: it stands below a (style) line."""
        line = self.take()
        style = STYLE.fullmatch(line)
        if style and not inside_string:
            return self.string_of(style, lambda: self.top(inside_string=True))
        table = TABLE.match(line)
        if table:
            return self.table(int(table[1]), line[table.end() :], 0)
        if MARK.fullmatch(line):
            return self.fence(line)
        last = self.at == len(self.lines)
        if line.startswith("-") and not (last and LITERAL.fullmatch(line)):
            self.at -= 1
            return self.items(0)
        value = literal_or_quoted(line)
        if value is not None:
            return value
        if line[:1] in ("[", "{"):
            return inline(line, 0)
        self.at -= 1
        return self.members(0)

    def block(self, indent: int) -> Value:
        """The members or items at an indent."""
        return self.items(indent) if self.next_starts_with(" " * indent + "-") else self.members(indent)

    def members(self, indent: int) -> Object:
        """A non-empty object."""
        check(indent < DEPTH, "nested too deeply")
        members: list[tuple[str, Value]] = []
        while self.next_starts_with(" " * indent):
            line = self.take()
            key, at = read_key(line, indent)
            members.append((key, self.entry(line[at:], indent)))
        check(members, "no members")
        return Object(tuple(members))

    def items(self, indent: int) -> Array:
        """A non-empty array."""
        check(indent < DEPTH, "nested too deeply")
        elements: list[Value] = []
        while self.next_starts_with(" " * indent + "-"):
            elements.append(self.item(self.take()[indent + 1 :], indent))
        return Array(tuple(elements))

    def item(self, rest: str, indent: int) -> Value:
        """An item, from what stands behind its dash."""
        if rest == "":
            return self.block(indent + 1)
        table = TABLE.match(rest, 1)
        if table and rest[0] == " ":
            return self.table(int(table[1]), rest[table.end() :], indent + 1)
        style = STYLE.match(rest, 1)
        if style and rest[0] == " ":
            return self.string_of(style, lambda: self.entry(rest[style.end() :], indent, inside_string=True))
        if rest[0] == " " and MARK.fullmatch(rest, 1):
            return self.fence(rest[1:])
        text = rest.removeprefix(" ")
        check(not text.startswith("("), "must be quoted: an item that starts with a parenthesis")
        return inline(text, indent + 1)

    def entry(self, rest: str, indent: int, *, inside_string: bool = False) -> Value:
        """A member's value, from what stands behind its key (or behind the style of an item)."""
        style = STYLE.match(rest, 1)
        if style and rest[0] == " " and not inside_string:
            return self.string_of(style, lambda: self.entry(rest[style.end() :], indent, inside_string=True))
        table = TABLE.match(rest, 1)
        if table and rest[0] == " ":
            return self.table(int(table[1]), rest[table.end() :], indent + 1)
        check(rest.startswith(":"), "no colon")
        if rest == ":":
            return self.block(indent + 1)
        if rest[1] == " " and MARK.fullmatch(rest, 2):
            return self.fence(rest[2:])
        return inline(rest[1:].removeprefix(" "), indent + 1)

    def string_of(self, style: re.Match[str], read: Callable[[], Value]) -> str:
        """The string that holds a value as JSON, spelled in a style."""
        self.strings += 1
        check(self.strings <= STRINGS, "strings in strings, too deeply")
        value = read()
        self.strings -= 1
        check(isinstance(value, Object | Array) and value not in (Object(()), Array(())), "no object or array in a string")
        return spell(value, style[1], ascii_only=style[2] == "a") + ("\n" if style[3] else "")

    def fence(self, mark: str) -> str:
        """The string below a fence mark."""
        lines: list[str] = []
        while (line := self.take()) != mark:
            lines.append(line)
        check(len(lines) >= 2, "a fence of less than two lines")
        text = "\n".join(lines)
        check(not NEVER_IN_FENCE.search(text), "control character in a fence")
        return text

    def table(self, count: int, head: str, indent: int) -> Array:
        """The records of a table whose rows stand at an indent."""
        check(count >= 2, "a table of less than two records")
        columns = [read_column(text, indent) for text in head.split("\t")]
        check(len(columns) <= COLUMNS, "too many columns")
        check(any(column.constant is None for column in columns), "no column in the rows")
        check_columns(columns)
        records: list[Value] = []
        done = 0
        while done < count:
            check(self.next_starts_with(" " * indent), "rows missing")
            line = self.take()[indent:]
            if line.startswith("<<ccr:"):
                omission = OMISSION.fullmatch(line)
                if omission is None:
                    raise ValueError("malformed omission")
                self.refs.append(omission[1])
                done += int(omission[2])
            else:
                records.append(self.record(columns, line.split("\t"), indent))
                done += 1
        check(done == count, "more rows left out than there are")
        return Array(tuple(records))

    def record(self, columns: list[Column], cells: list[str], indent: int) -> Object:
        """The record of a row."""
        check(len(cells) == sum(column.constant is None for column in columns), "number of cells")
        rest = iter(cells)
        present: list[tuple[Path, Value]] = []
        for column in columns:
            if column.constant is not None:
                present.append((column.path, column.constant))
                continue
            cell = next(rest)
            if cell == "":
                self.empty_cells = True
            elif MARK.fullmatch(cell):
                present.append((column.path, self.fence(cell)))
            else:
                present.append((column.path, inline(cell, indent + 1 + len(column.path))))
        check(present, "a record without keys")
        return build_record(present)
