"""What stands on one line of an outline: scalars, flow values, keys and paths, columns, the wrapper of a head.

Lenient: what should have been quoted is taken as it stands. Scalars come out as their text in JSON; only null is None.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

Value = str | None | list["Value"] | dict[str, "Value"]
Words = Mapping[str, Value]  # what stands for a constant in a style, and what it comes out as
Path = list[tuple[str, int]]  # keys, each with how many lists of one stand around what is below it

LITERAL = re.compile(r"null|true|false|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?")
JSON_WORDS: Words = {"null": None}
PYTHON_WORDS: Words = {"None": None, "True": "true", "False": "false"}
_KEY = re.compile(r'(?! )[^"\[\]{}(),:|=*.\t\n]*[^"\[\]{}(),:|=*.\t\n ]')
_BARE = re.compile(r"(?:(?! ×)[^,\]})])*")
_RUN = re.compile(r" ×(\d+)")
_HOLE = re.compile(r'"""|\((json[a-z0-9]*)\)')
_QUOTED = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        paths: where its value goes; several for neighbors with the same value.
        has_cell: whether rows have a cell for it; a constant has none.
        constant: the value in every record.
        is_key: the value is the key of the row.
        stem: what stands before and behind the cell.
        said: the key by which the cell names an object that stands above the rows.
        keys: of the records that the cell lists as tuples.
    """

    paths: list[Path]
    has_cell: bool = True
    constant: Value = None
    is_key: bool = False
    stem: tuple[str, str] | None = None
    said: str | None = None
    keys: list[str] | None = None


def words_of(style: str) -> Words:
    """What stands for a constant in a text of that style, such as json2 or jsonpy."""
    return PYTHON_WORDS if style.startswith("jsonpy") else JSON_WORDS


def inline(text: str, words: Words) -> Value:
    """A scalar or a flow value."""
    if text[:1] not in ('"', "[", "{"):
        return words.get(text, text)
    value, end = _flow(text, 0, words)
    if end != len(text):
        raise ValueError(f"text behind a value: {text[end:]!r}")
    return value


def text_cell(cell: str) -> str:
    """A cell where all values are strings: literals are text too."""
    return str(_QUOTED.decode(cell)) if cell.startswith('"') else cell


def tuples(cell: str, keys: list[str], words: Words) -> Value:
    """The records of a cell such as `(S1,2) (T9,1)`."""
    records: list[Value] = []
    at = 0
    while cell != "[]" and at < len(cell):
        values, at = _listed(cell, at + 1, ")", words)
        records.append(dict(zip(keys, values, strict=True)))
        at = _skip(cell, at)
    return records


def paths(text: str, at: int = 0) -> tuple[list[Path], int]:
    """Paths such as `a.b, c[0].d`, and where they end."""
    found: list[Path] = []
    while True:
        path: Path = []
        while True:
            key, at = _key(text, at)
            lists = 0
            while text.startswith("[0]", at):
                lists, at = lists + 1, at + 3
            path.append((key, lists))
            if not text.startswith(".", at):
                break
            at += 1
        found.append(path)
        if not text.startswith(", ", at):
            return found, at
        at += 2


def put(record: dict[str, Value], path: Path, value: Value) -> None:
    """Set the value at a path; objects and lists of one on the way are made."""
    (key, lists), *rest = path
    if rest:
        inner = record.get(key)
        while isinstance(inner, list) and inner:
            inner = inner[0]
        below = inner if isinstance(inner, dict) else {}
        put(below, rest, value)
        value = below
    for _ in range(lists):
        value = [value]
    record[key] = value


def stem_of(text: str) -> tuple[str, str]:
    """What stands before and behind the star."""
    prefix, _, suffix = text.partition("*")
    return prefix, suffix


def column_of(text: str, words: Words) -> Column:
    """A column from a table's head."""
    where, at = paths(text)
    form, rest = text[at : at + 1], text[at + 1 :]
    if form == "=" and rest == "(key)":
        return Column(where, has_cell=False, is_key=True)
    if form == "=" and "*" in rest and not rest.startswith('"'):
        return Column(where, stem=stem_of(rest))
    if form == "=":
        return Column(where, has_cell=False, constant=inline(rest, words))
    if form == "(":
        return Column(where, said=_key(rest, 0)[0])
    if form == "[":
        return Column(where, keys=[path[0][0] for path in paths(rest)[0]])
    if form:
        raise ValueError(f"no column: {text!r}")
    return Column(where)


def wrapper_of(text: str, at: int) -> tuple[dict[str, Value], str, str | None, int]:
    """An object with a hole in it: the object, the hole's key, its style (None: it is a text of lines), and where it all ends.

    One that was cut off ends behind its hole.
    """
    members: dict[str, Value] = {}
    hole: tuple[str, str | None] | None = None
    if text.startswith("mcp text ", at) and (found := _HOLE.match(text, at + 9)):
        members = {"type": "text", "text": None, "annotations": None}
        return members, "text", found[1], found.end()
    at += 1
    while text[at] not in "};]":
        key, at = _key(text, at)
        at = _skip(text, at + 1)
        if found := _HOLE.match(text, at):
            members[key], at, hole = None, found.end(), (key, found[1])
        else:
            members[key], at = _flow(text, at, JSON_WORDS)
        at = _behind_comma(text, at)
    if hole is None:
        raise ValueError("a wrapper without a hole")
    return members, *hole, at + (text[at] == "}")


def _flow(text: str, at: int, words: Words) -> tuple[Value, int]:
    """The flow value that starts at `at`, and where it ends."""
    if text[at] == '"':
        string, end = _QUOTED.raw_decode(text, at)
        return str(string), end
    if text[at] == "[":
        return _listed(text, at + 1, "]", words)
    if text[at] == "{":
        members: dict[str, Value] = {}
        at += 1
        while text[at] != "}":
            key, at = _key(text, at)
            members[key], at = _flow(text, _skip(text, at + 1), words)
            at = _behind_comma(text, at)
        return members, at + 1
    bare = _BARE.match(text, at)
    assert bare is not None  # it may match nothing
    return words.get(bare[0], bare[0]), bare.end()


def _listed(text: str, at: int, closing: str, words: Words) -> tuple[list[Value], int]:
    """The values up to a closing bracket, and where they end; `x ×40` stands for forty of them."""
    values: list[Value] = []
    while text[at] != closing:
        value, at = _flow(text, at, words)
        run = _RUN.match(text, at)
        values += [value] * (int(run[1]) if run else 1)
        at = _behind_comma(text, run.end() if run else at)
    return values, at + 1


def _behind_comma(text: str, at: int) -> int:
    if text[at] == ",":
        return _skip(text, at + 1)
    if text[at] not in ")]}":
        raise ValueError(f"no comma: {text[at:]!r}")
    return at


def _skip(text: str, at: int) -> int:
    return at + 1 if text.startswith(" ", at) else at


def _key(text: str, at: int) -> tuple[str, int]:
    """The key at `at`, and where it ends."""
    if text.startswith('"', at):
        key, end = _QUOTED.raw_decode(text, at)
        return str(key), end
    bare = _KEY.match(text, at)
    if not bare:
        raise ValueError(f"no key: {text[at:]!r}")
    return bare[0], bare.end()
