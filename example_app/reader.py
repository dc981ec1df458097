"""The scripted model's eyes: reads records out of tool results, as JSON or in the outline form of docs/crush-format.md.

Written from that page alone, so that the demo's answers prove that the form can be read without our code. Scalars come out as
the text that stands there ("117", "true"); only null is None. Rows that were left out are simply not there.
"""

import json
import re
from collections.abc import Iterator

Value = str | None | list["Value"] | dict[str, "Value"]

_HEAD = re.compile(r"\[json(?:;[^\]\n]*)?\]")
_TABLE = re.compile(r"\[(\d+)\]: (.*)", re.DOTALL)
_TABLE_LINE = re.compile(r" *(?:[^\t\"]*\s)?\[\d+\]: .*\S")
_STYLE = re.compile(r"\(json[a-z0-9]*\)")
_STYLES = re.compile(r"^(?: \(json[a-z0-9]*\))+")
_FENCE = re.compile(r'"{3,}')
_OMISSION = re.compile(r"<<ccr:\S+ (\d+) rows")
_BARE_KEY = re.compile(r"[^\"\[\]{}(),:|=*.\n]+?(?=:| \(| \[)")
_MEMBER_OR_ITEM = re.compile(rf"(?:{_BARE_KEY.pattern})|\"(?:[^\"\\]|\\.)*\"(?:: ?| \(| \[)\S|-(?!\d)")
_QUOTED = json.JSONDecoder()


def values_in(text: str) -> Iterator[Value]:
    """Every value that a text holds: the text as JSON or as an outline; else the pieces of it that are one of these."""
    try:
        yield load_json(text)
    except ValueError:
        try:
            yield read_outline(text)
        except (ValueError, IndexError):
            yield from _pieces(text.split("\n"))


def load_json(text: str) -> Value:
    """JSON with every number and boolean as it is spelled."""
    value: Value = _spelled(json.loads(text, parse_int=str, parse_float=str, parse_constant=str))
    return value


def read_outline(text: str) -> Value:
    """The value of an outline. Raises ValueError or IndexError where the text is none."""
    head, *lines = text.split("\n")
    if not _HEAD.fullmatch(head):
        raise ValueError(f"no outline begins with {head!r}")
    return _Outline(lines).top()


def find_field(value: Value, key: str, wanted: str, field: str) -> str | None:
    """The field of the record whose `key` is `wanted`, anywhere in a value, JSON inside strings included."""
    if isinstance(value, dict):
        found = value.get(field)
        if value.get(key) == wanted and isinstance(found, str):
            return found
        if value.get(key) == wanted and "." in field and (deep := _at(value, field.split("."))) is not None:
            return deep
    if isinstance(value, str):
        inside = values_in(value) if value[:1] in ("{", "[") else iter(())
        return next((found for part in inside if (found := find_field(part, key, wanted, field)) is not None), None)
    children = value.values() if isinstance(value, dict) else value or ()
    return next((found for child in children if (found := find_field(child, key, wanted, field)) is not None), None)


def lines_in(value: Value) -> Iterator[str]:
    """Every line of every string in a value."""
    if isinstance(value, str):
        yield from value.split("\n")
    else:
        for child in value.values() if isinstance(value, dict) else value or ():
            yield from lines_in(child)


def _spelled(value: object) -> Value:
    if isinstance(value, dict):
        return {key: _spelled(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_spelled(child) for child in value]
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else str(value)


def _at(value: Value, path: list[str]) -> str | None:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, str) else None


def _pieces(lines: list[str]) -> Iterator[Value]:
    """Values that stand somewhere in a text: outlines below their head, tables, JSON on a line of its own."""
    for number, line in enumerate(lines):
        stripped = line.strip()
        try:
            if _HEAD.fullmatch(stripped):
                yield read_outline("\n".join([stripped, *lines[number + 1 :]]))
            elif stripped[:1] in ("{", "[") and not _TABLE.match(stripped):
                yield load_json(stripped.rstrip(","))
            elif _TABLE_LINE.fullmatch(line):
                outline = _Outline(lines, number + 1)
                start = _TABLE.search(line)
                following = lines[number + 1] if number + 1 < len(lines) else ""
                if start:
                    yield outline.rows(int(start[1]), start[2], len(following) - len(following.lstrip(" ")))
        except (ValueError, IndexError):
            continue


class _Outline:
    """The lines of an outline and how far they are read."""

    def __init__(self, lines: list[str], at: int = 0) -> None:
        self._lines, self._at = lines, at

    def top(self) -> Value:
        line = self._lines[self._at]
        if _STYLE.fullmatch(line):
            self._at += 1
            return self.top()
        if table := _TABLE.fullmatch(line):
            self._at += 1
            return self.rows(int(table[1]), table[2], 0)
        if _FENCE.fullmatch(line):
            self._at += 1
            return self._fence(line)
        if len(self._lines) - self._at == 1 and not _MEMBER_OR_ITEM.match(line):
            return inline(line)
        return self._block(0)

    def rows(self, count: int, columns: str, indent: int) -> Value:
        """The records of a table, without those that were left out."""
        heads = [_column(column) for column in columns.split("\t")]
        records: list[Value] = []
        seen = 0
        while seen < count and self._at < len(self._lines) and self._deep(indent):
            line = self._lines[self._at][indent:]
            self._at += 1
            if omission := _OMISSION.match(line):
                seen += int(omission[1])
                continue
            records.append(self._record(heads, line.split("\t")))
            seen += 1
        return records

    def _record(self, heads: list[tuple[list[str], str | None]], cells: list[str]) -> Value:
        record: dict[str, Value] = {}
        waiting = iter(cells)
        for path, constant in heads:
            cell = next(waiting, "") if constant is None else constant
            if cell:
                _put(record, path, self._fence(cell) if _FENCE.fullmatch(cell) else inline(cell))
        return record

    def _block(self, indent: int) -> Value:
        """Members or items, all at one indent."""
        if self._lines[self._at][indent:].startswith("-"):
            items: list[Value] = []
            while self._at < len(self._lines) and self._deep(indent) and self._lines[self._at][indent:].startswith("-"):
                rest, styled = _unstyled(self._lines[self._at][indent + 1 :])
                self._at += 1
                items.append(self._entry(rest.removeprefix(":") if styled else rest, indent))
            return items
        members: dict[str, Value] = {}
        while self._at < len(self._lines) and self._deep(indent):
            key, rest = _key(self._lines[self._at][indent:])
            self._at += 1
            members[key] = self._entry(_unstyled(rest)[0].removeprefix(":"), indent)
        return members

    def _entry(self, rest: str, indent: int) -> Value:
        """What stands behind a key or a dash, and below it."""
        rest = rest.removeprefix(" ")
        if table := _TABLE.fullmatch(rest):
            return self.rows(int(table[1]), table[2], indent + 1)
        if _FENCE.fullmatch(rest):
            return self._fence(rest)
        return inline(rest) if rest else self._block(indent + 1)

    def _fence(self, mark: str) -> str:
        end = self._lines.index(mark, self._at)
        text = "\n".join(self._lines[self._at : end])
        self._at = end + 1
        return text

    def _deep(self, indent: int) -> bool:
        return self._lines[self._at].startswith(" " * indent)


def inline(text: str) -> Value:
    """A scalar or a flow value on one line."""
    if text.startswith('"'):
        value, end = _QUOTED.raw_decode(text)
        if end != len(text):
            raise ValueError(f"text after a string: {text[end:]!r}")
        return str(value)
    if text[:1] in ("[", "{"):
        value, end = _flow(text, 0)
        if end != len(text):
            raise ValueError(f"text after a flow value: {text[end:]!r}")
        return value
    return None if text == "null" else text


def _unstyled(rest: str) -> tuple[str, bool]:
    """The rest of a line without the style of a string that holds JSON, and whether there was one."""
    bare = _STYLES.sub("", rest)
    return bare, bare != rest


def _flow(text: str, at: int) -> tuple[Value, int]:
    """The flow value that starts at `at`, and where it ends."""
    if text[at] == '"':
        string, end = _QUOTED.raw_decode(text, at)
        return str(string), end
    if text[at] == "[":
        items: list[Value] = []
        at = _skip(text, at + 1)
        while text[at] != "]":
            item, at = _flow(text, at)
            items.append(item)
            at = _skip(text, at + 1) if text[at] == "," else at
        return items, at + 1
    if text[at] == "{":
        members: dict[str, Value] = {}
        at = _skip(text, at + 1)
        while text[at] != "}":
            key, at = _flow_key(text, at)
            members[key], at = _flow(text, _skip(text, at + 1))
            at = _skip(text, at + 1) if text[at] == "," else at
        return members, at + 1
    end = at
    while end < len(text) and text[end] not in ",]}":
        end += 1
    return (None if text[at:end] == "null" else text[at:end]), end


def _flow_key(text: str, at: int) -> tuple[str, int]:
    if text[at] == '"':
        key, end = _QUOTED.raw_decode(text, at)
        return str(key), end
    end = text.index(":", at)
    return text[at:end], end


def _skip(text: str, at: int) -> int:
    return at + 1 if text[at] == " " else at


def _key(line: str) -> tuple[str, str]:
    """A member's key, and the rest of its line."""
    if line.startswith('"'):
        key, end = _QUOTED.raw_decode(line)
        return str(key), line[end:]
    bare = _BARE_KEY.match(line)
    if not bare:
        raise ValueError(f"no key: {line!r}")
    return bare[0], line[bare.end() :]


def _column(column: str) -> tuple[list[str], str | None]:
    """A column's path, and its constant."""
    path: list[str] = []
    at = 0
    while True:
        if column.startswith('"', at):
            key, at = _QUOTED.raw_decode(column, at)
        else:
            end = next((i for i in range(at, len(column)) if column[i] in ".="), len(column))
            key, at = column[at:end], end
        path.append(key)
        if not column.startswith(".", at):
            return path, column[at + 1 :] if column.startswith("=", at) else None
        at += 1


def _put(record: dict[str, Value], path: list[str], value: Value) -> None:
    for name in path[:-1]:
        below = record.get(name)
        if not isinstance(below, dict):
            below = record[name] = {}
        record = below
    record[path[-1]] = value
