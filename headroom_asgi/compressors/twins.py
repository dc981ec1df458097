"""Columns of JSON records that say what another column says: in every record of a list the same strings, or the same maps."""

import hashlib
from typing import Final

from headroom_asgi._crush import OBJECT, STRING, Document
from headroom_asgi.compressors.columns import Column, Group, Kind
from headroom_asgi.compressors.omission import quoted

_MIN_VALUE: Final = 16  # bytes of a value on average; short ones are the same by chance
_MIN_DIFFERENT: Final = 2  # a value that all records share is said once anyway
_MOST_SAID: Final = 180  # characters about twins in a marker


def pair(document: Document, root: Group) -> None:
    """Note for each column that repeats an earlier one which one that is; of as many as a marker has room for."""
    room = _MOST_SAID
    seen: dict[tuple[int, bytes], tuple[Group, Column]] = {}
    waiting = [root]
    while waiting:
        group = waiting.pop()
        for column in group.columns.values():
            values = _values(document, group, column)
            if not values:
                continue
            digest = hashlib.blake2b(b"\0".join(values), digest_size=16).digest()
            first = seen.setdefault((id(_list_of(group)), digest), (group, column))
            # Of neighbors in a table the lossless form says it in less.
            beside = first[0] is group and column.kind is not Kind.MAP
            if first[1] is not column and not beside and not _is_inside(group, *first):
                said = f"{quoted(_name_of(group, column))} (the same as {quoted(_name_of(*first))})"
                if len(said) <= room:
                    column.twin, column.said = first, said
                    room -= len(said) + len(", ")
        waiting += reversed(group.groups.values())


def _values(document: Document, group: Group, column: Column) -> list[bytes]:
    """The values of a column that can be compared with others: one for each record, all strings or all objects; else none."""
    kinds = (OBJECT,) if column.kind is Kind.MAP else (STRING,)
    if column.kind is Kind.EMPTY or not group.listed or len(column.values) != len(_list_of(group).records):
        return []
    if any(document.kind(value) not in kinds for value in column.values):
        return []
    values = [document.raw(value) for value in column.values]
    if sum(map(len, values)) < _MIN_VALUE * len(values) or len(set(values)) < _MIN_DIFFERENT:
        return []
    return values


def _list_of(group: Group) -> Group:
    """The elements of the nearest list that a group is part of."""
    while group.key and group.above is not None:
        group = group.above
    return group


def _is_inside(group: Group | None, around: Group, column: Column) -> bool:
    """A group stands in the maps of a column: then what is said of them is said of it."""
    while group is not None:
        if group.above is around and group.key == column.key:
            return True
        group = group.above
    return False


def _name_of(group: Group, column: Column) -> str:
    """How a marker names a column: by its key, behind that of the map it stands in."""
    return f"{group.key}.{column.key}" if group.key else column.key
