"""Tables of a crush text: their columns, and the records of their rows, read as the grammar page says."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

from tests.crush_reference_line import (
    COUNT,
    GAPS,
    SAID,
    STEMS,
    Array,
    Literal,
    Object,
    Path,
    Value,
    check,
    deeper,
    guarded,
    read_keys,
    read_path,
    same_value,
    text_cell,
    tuples,
)

if TYPE_CHECKING:
    from tests.crush_reference import Reader

RECORDS = re.compile(rf"\[{COUNT}\]: ")
NEVER_IN_STEM = re.compile("[*=\x00-\x1f\x7f\x85\u2028\u2029⟦]")
COLUMNS = 256


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    path: Path
    constant: Value | None = None  # the value in every record; it has no cells
    stem: tuple[str, str] | None = None  # what the strings of its cells begin and end with
    said: str | None = None  # the cells are the values of this key of objects that are said once
    keys: tuple[str, ...] = ()  # the cells are lists of records with these keys
    copies: bool = False  # it has no cells: its values are those of the column before
    keyed: bool = False  # it has no cells: its values are the keys of the rows
    inside: int = 0  # the containers around a value; of the deepest where columns share their cells


def read_stem(text: str) -> tuple[str, str]:
    """What stands before and behind the star."""
    prefix, star, suffix = text.partition("*")
    check(star and prefix + suffix, "a stem of nothing")
    check(not prefix.startswith('"') and not NEVER_IN_STEM.search(prefix + suffix), "characters in a stem")
    return prefix, suffix


def read_columns(text: str, depth: int, *, keyed: bool) -> list[Column]:
    """The columns at one place of a table's head; `depth`: the containers around a record's members; `keyed`: rows have keys."""
    path, at = read_path(text, 0, elements=True)
    paths = [path]
    while text[at : at + 2] == ", ":
        path, at = read_path(text, at + 2, elements=True)
        paths.append(path)
    rest = text[at + 1 :]
    inside = max(deeper(depth, len(path) - 1) for path in paths)
    if len(paths) > 1 and at == len(text):
        return [Column(path, copies=number > 0, inside=inside) for number, path in enumerate(paths)]
    if len(paths) > 1:
        check(text[at : at + 1] == "=", "no value behind columns that share it")
        check(not rest.startswith("(") and ("*" not in rest or rest.startswith('"')), "must be quoted: a parenthesis, or a star")
        return [Column(path, constant=same_value(rest, inside)) for path in paths]
    if at == len(text):
        return [Column(path, inside=inside)]
    if keyed and text[at:] == "=(key)":
        return [Column(path, keyed=True)]
    if text[at] == "=" and "*" in rest and not rest.startswith('"'):
        return [Column(path, stem=read_stem(rest))]
    if text[at] == "=":
        return [Column(path, constant=guarded(rest, inside))]
    if text[at] == "(":
        deeper(inside)
        keys = read_keys(rest, ")")
        check(len(keys) == 1, "more than one key")
        return [Column(path, said=keys[0], inside=inside)]
    check(text[at] == "[", "what stands behind a column's path")
    deeper(inside, 2)
    return [Column(path, keys=read_keys(rest, "]"), inside=inside)]


def check_columns(columns: list[Column]) -> None:
    """ValueError unless parts of one parent stand together, behind their parent, of one kind, and none twice."""
    seen: set[str | int] = set()
    for step, together in groupby(columns, lambda column: column.path[0]):
        group = list(together)
        check(step not in seen, "column twice, or parts of one parent apart")
        seen.add(step)
        parts = [replace(column, path=column.path[1:]) for column in group if len(column.path) > 1]
        lists = [column for column in group if len(column.path) == 1 and (column.said is not None or column.keys)]
        wholes = [column for column in group if len(column.path) == 1 and column.said is None and not column.keys]
        check(len(wholes) <= 1 and len(lists) <= 1 and not (lists and parts), "column twice, or parts of two kinds")
        check(not wholes or wholes[0] is group[0], "a column behind its parts")
        alone = not wholes or (wholes[0].constant is None and not wholes[0].keyed)
        check(alone or len(group) == 1, "a constant has no parts")
        check(len({isinstance(part.path[0], int) for part in parts}) <= 1, "parts of two kinds")
        check_columns(parts)


def build(cells: list[tuple[Path, Value]]) -> Value:
    """The object (or the list of one element) of the cells that are present."""
    members: list[tuple[str, Value]] = []
    for step, together in groupby(cells, lambda cell: cell[0][0]):
        group = list(together)
        if len(group[0][0]) == 1:
            check(len(group) == 1, "a value and parts of it")
            value = group[0][1]
        else:
            value = build([(path[1:], value) for path, value in group])
        if isinstance(step, int):
            return Array((value,))
        members.append((step, value))
    return Object(tuple(members))


class Table:
    """The columns of records and the objects that are said once above their rows; `depth` counts the record as open."""

    def __init__(self, reader: Reader, cols: str, indent: int, depth: int, *, said: bool = True, keyed: bool = False) -> None:
        self.reader = reader
        self.indent = indent
        self.depth = depth
        self.columns = [column for text in cols.split("\t") for column in read_columns(text, depth, keyed=keyed)]
        check(len(self.columns) <= COLUMNS, "too many columns")
        check_columns(self.columns)
        self.width = sum(column.constant is None and not column.copies and not column.keyed for column in self.columns)
        self.said: dict[Path, dict[Value, Value]] = {}
        for column in self.columns:
            check(column.said is None or said, "said once inside of said once")
            if column.stem:
                reader.seen.notes.add(STEMS)
            if column.said is not None:
                reader.seen.notes.add(SAID)
                self.said[column.path] = self.read_said(column)

    def read_said(self, column: Column) -> dict[Value, Value]:
        """The objects of a column that are said once, by their first member."""
        line = self.reader.take()
        check(line.startswith(" " * self.indent), "no table of what is said once")
        path, at = read_path(line, self.indent, elements=True)
        found = RECORDS.match(line, at + 1)
        check(path == column.path and line[at : at + 1] == " " and found, "no table of what is said once")
        assert found is not None
        table = Table(self.reader, line[found.end() :], self.indent + 1, self.depth + len(path), said=False)
        first = table.columns[0]
        check(first.path == (column.said,) and first.constant is None and not first.keys, "the key is not the first column")
        objects: dict[Value, Value] = {}
        for record in self.reader.rows(found[1], self.indent + 1, table.record, whole=True):
            key, value = record.members[0]
            check(key == column.said and value not in objects, "the key does not tell the objects apart")
            check(isinstance(value, str) or (isinstance(value, Literal) and value.text[0] in "-0123456789"), "no such key")
            objects[value] = record
        return objects

    def member(self, line: str) -> tuple[str, Value]:
        """The member of a row whose first cell is a key."""
        key, tab, cells = line.partition("\t")
        check(bool(tab) == (self.width > 0), "number of cells")
        return text_cell(key), self.record(cells, text_cell(key))

    def record(self, line: str, key: str | None = None) -> Object:
        """The record of a row, behind its key."""
        cells = line.split("\t") if self.width else []
        check(len(cells) == self.width, "number of cells")
        rest = iter(cells)
        styles: list[str] = []
        present: list[tuple[Path, Value]] = []
        value: Value | None = None
        for column in self.columns:
            if column.keyed:
                value = key
            elif not column.copies:
                value = self.value(column, next(rest), styles) if column.constant is None else column.constant
            if value is not None:
                present.append((column.path, value))
        check(present, "a record without keys")
        record = build(present)
        assert isinstance(record, Object)
        return record

    def value(self, column: Column, cell: str, styles: list[str]) -> Value | None:
        """The value of a cell; None if there is none."""
        if cell == "":
            self.reader.seen.notes.add(GAPS)
            return None
        if column.keys and cell == "[]":
            deeper(column.inside)
            return Array(())
        if column.keys:
            return tuples(cell, column.keys, column.inside)
        if column.stem:
            return column.stem[0] + text_cell(cell) + column.stem[1]
        value = self.reader.cell(cell, styles, self.indent, column.inside)
        if column.said is not None:
            check(value in self.said[column.path], "no object with that key is said")
            return self.said[column.path][value]
        return value
