"""JSON by columns: the members under one key in all records of a list, what they have in common, and the text without some."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from headroom_asgi._crush import OBJECT, Document
from headroom_asgi.compressors.opaque import is_opaque

# Names by which records are told apart, and by which other calls ask for them.
_IDS: Final = "id _id Id ID key number iid name Name login slug title path full_name sha email"
IDS: Final = tuple(_IDS.split())

_MAX_DEPTH: Final = 24  # of records in records; what is deeper stays
_MAX_COLUMNS: Final = 4096  # more names are no columns, but something like a dictionary
_MIN_MAP: Final = 8  # members of an object that is a map of records rather than a record
# Words of a key, in snake, kebab or camel case.
_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_]+")
_URL: Final = re.compile(rb'"(?:https?:)?(?:\\?/){2}[^\s"]+"')
_BLOB: Final = re.compile(rb'"(?:data:[\w.+-]+/[\w.+-]+[;,]|\s*<svg[\s>])')
# What a model makes of a text: a list of many numbers with many digits, under such a name.
_VECTOR_KEYS: Final = frozenset(["embedding", "embeddings"])
_MIN_VECTOR: Final = 32
_NUMBERS: Final = re.compile(rb"\[[\[\]0-9.eE+,\s-]*+")
_FINE: Final = re.compile(rb"\.[0-9]{3,}+")
# What no key is about.
_COMMON: Final = frozenset(
    ["has", "can", "is", "for", "the", "of", "and", "not", "only", "url", "urls", "uri", "link", "links", "href"]
)


class Kind(Enum):
    """What all values of a column that are not empty have in common."""

    EMPTY = "false, null or empty"
    LINK = "links"
    OPAQUE = "opaque strings"
    BLOB = "pictures"
    VECTOR = "what a model made of a text: long lists of numbers"
    MAP = "objects"
    OTHER = "anything"


@dataclass(slots=True, repr=False)
class Column:
    """The members under one key in all records of a group."""

    key: str
    words: frozenset[str]
    kind: Kind = Kind.EMPTY
    flags: bool = True  # true, false or null throughout
    values: list[int] = field(default_factory=list)
    left: bool = False  # out
    goes: bool | None = None  # what was decided
    twin: "tuple[Group, Column] | None" = None  # that says the same
    said: str = ""  # of its twin in a marker


@dataclass(slots=True, repr=False)
class Group:
    """The objects at one path, whatever their positions in lists on the way."""

    listed: bool  # in a list, so there may be several
    depth: int
    above: "Group | None" = None
    key: str = ""  # that it stands under
    records: list[int] = field(default_factory=list)
    columns: dict[str, Column] = field(default_factory=dict)
    groups: dict[str, "Group"] = field(default_factory=dict)  # by key; "" the elements of what stands there
    shows: bool = False  # something in it, or in those below, is left out

    def below(self, key: str, *, listed: bool) -> "Group":
        """The group of what stands under a key, or of the elements."""
        group = self.groups.get(key)
        if group is None:
            group = self.groups[key] = Group(self.listed or listed, self.depth + 1, self, key)
        return group


def grouped(document: Document) -> Group | None:
    """All objects of a document by their paths, and what the members of each group have in common; None for too many names."""
    root = Group(listed=False, depth=0)
    waiting = [(0, root)]
    room = _MAX_COLUMNS
    while waiting:
        node, group = waiting.pop()
        if group.depth > _MAX_DEPTH:
            continue
        if document.kind(node) != OBJECT:
            inner = group.below("", listed=True)
            waiting += [(element, inner) for element in reversed(document.elements(node)) if document.count(element)]
            continue
        members = document.items(node)
        if len(members) >= _MIN_MAP and all(document.kind(value) == OBJECT for _, value in members):
            inner = group.below("", listed=True)
            waiting += [(value, inner) for _, value in reversed(members) if document.count(value)]
            continue
        group.records.append(node)
        room += len(group.columns)
        _add(document, group, members, waiting)
        room -= len(group.columns)
        if room < 0:
            return None
    return root


def _add(document: Document, group: Group, members: list[tuple[str, int]], waiting: list[tuple[int, Group]]) -> None:
    """Enter one record's members into its group."""
    data = document.data
    for key, value in members:
        column = group.columns.get(key)
        if column is None:
            column = group.columns[key] = Column(key, frozenset(words_of(key)))
        start, end = document.span(value)
        if document.count(value):
            column.flags = False
            kind = Kind.VECTOR if _is_vector(document, column, value) else Kind.MAP
            column.kind = kind if column.kind in (Kind.EMPTY, kind) else Kind.OTHER
            waiting.append((value, group.below(key, listed=False)))
        elif column.kind is not Kind.OTHER:
            kind = _kind(data, start, end)
            if kind is not Kind.EMPTY:
                column.flags = column.flags and data.startswith(b"t", start)
                column.kind = kind if column.kind in (Kind.EMPTY, kind) else Kind.OTHER
            elif column.flags:
                column.flags = data[start] in b"fn"
        column.values.append(value)


def _kind(data: bytes, start: int, end: int) -> Kind:
    """What a scalar or an empty container is."""
    first = data[start]
    if first != 0x22:
        return Kind.EMPTY if first in b"nf[{" else Kind.OTHER
    if end - start == 2:
        return Kind.EMPTY
    if data.startswith((b'"http', b'"//', b'"\\/'), start):
        return Kind.LINK if _URL.fullmatch(data, start, end) else Kind.OTHER
    if data.startswith((b'"data:', b'"<svg'), start):
        return Kind.BLOB if _BLOB.match(data, start, end) else Kind.OTHER
    return Kind.OPAQUE if is_opaque(data[start + 1 : end - 1]) else Kind.OTHER


def _is_vector(document: Document, column: Column, value: int) -> bool:
    """A list is what a model made of a text or a picture, or several of them are."""
    data = document.data
    start, end = document.span(value)
    if data[start] != 0x5B or column.words.isdisjoint(_VECTOR_KEYS):
        return False
    numbers = data.count(b",", start, end) + 1
    if numbers < _MIN_VECTOR or _NUMBERS.fullmatch(data, start, end) is None:
        return False
    return len(_FINE.findall(data, start, end)) * 10 >= 9 * numbers


def words_of(text: str) -> list[str]:
    """The words of a key or a text, in lower case."""
    return [word.lower() for word in _WORDS.findall(text)]


def head_of(key: str) -> str:
    """The word that says what a key is about: in English the last one."""
    return next((word for word in reversed(words_of(key)) if word not in _COMMON), "")


def groups(root: Group) -> Iterator[Group]:
    """All groups that are not in a column that is left out, outer ones first."""
    waiting = [root]
    while waiting:
        group = waiting.pop()
        yield group
        waiting += [inner for key, inner in group.groups.items() if key not in group.columns or not group.columns[key].left]


# -- the text without some ---------------------------------------------------------------------------------------------


def without(document: Document, root: Group) -> str:
    """The text without the columns that are left out."""
    cuts: list[tuple[int, int]] = []
    for group in groups(root):
        gone = {value for column in group.columns.values() if column.left for value in column.values}
        if not gone:
            continue
        for record in group.records:
            cuts += _cut_of(document, record, gone)
    pieces = []
    at = 0
    for start, end in sorted(cuts):
        pieces.append(document.data[at:start])
        at = end
    return b"".join([*pieces, document.data[at:]]).decode("utf-8")


def left_out(document: Document, root: Group) -> str:
    """JSON of the same shape with the columns that are left out, and with what records are told apart by."""
    _mark(root)
    return b"".join(_left_out(document, root, 0)).decode("utf-8")


def _cut_of(document: Document, record: int, gone: set[int]) -> Iterator[tuple[int, int]]:
    """The spans of a record's members that go; white space stays as a writer would have set it."""
    kept = -1  # end of the last member that stays
    start = -1  # of the run of members that go
    last = -1
    for _, value in document.items(record):
        begin = document.span(value - 1)[0]
        last = document.span(value)[1]
        if value in gone:
            start = begin if start < 0 else start
            continue
        if start >= 0:
            yield start, begin
            start = -1
        kept = last
    if start >= 0 and kept >= 0:
        yield kept, last
    elif start >= 0:
        begin, end = document.span(record)
        yield begin + 1, end - 1


def _left_out(document: Document, group: Group, node: int) -> Iterator[bytes]:
    """JSON of the same shape with what was left out, and with what records are told apart by."""
    if document.kind(node) != OBJECT:
        inner = group.groups.get("")
        elements = document.elements(node) if inner is not None else []
        yield b"["
        yield from _joined(document, inner, [(b"", element) for element in elements])
        yield b"]"
        return
    members = document.items(node)
    inner = group.groups.get("")
    yield b"{"
    if inner is not None and len(members) >= _MIN_MAP and all(document.kind(value) == OBJECT for _, value in members):
        yield from _joined(document, inner, [(document.raw(value - 1) + b":", value) for _, value in members])
    else:
        separator = b""
        told = next((key for key in IDS if key in group.columns and not group.columns[key].left), None)
        for key, value in members:
            below = group.groups.get(key)
            if group.columns[key].left or (key == told and not document.count(value)):
                yield separator + document.raw(value - 1) + b":" + document.raw(value)
            elif document.count(value) and below is not None and below.shows:
                yield separator + document.raw(value - 1) + b":"
                yield from _left_out(document, below, value)
            else:
                continue
            separator = b","
    yield b"}"


def _joined(document: Document, group: Group | None, values: list[tuple[bytes, int]]) -> Iterator[bytes]:
    """Elements or members of which something was left out."""
    separator = b""
    for prefix, value in values:
        if group is None or not document.count(value) or not group.shows:
            continue
        yield separator + prefix
        yield from _left_out(document, group, value)
        separator = b","


def _mark(group: Group) -> bool:
    """Note for each group whether something in it, or in those below it, is left out."""
    below = [_mark(inner) for inner in group.groups.values()]
    group.shows = any(below) or any(column.left for column in group.columns.values())
    return group.shows
