"""A naive writer of crush texts: random values, and for each of them any of the forms that the grammar allows, at random.

It shares no rule with the encoder: where that picks one form, this one throws dice, so readers meet every production.
"""

import random
import re
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

from crush_reference import HEAD, HEAD_EMPTY, LITERAL, Array, Literal, Object, Value, quote, spell

PIECES = (
    *"ab0159-.,:;=|*#'`()[]{}<>\\/&?!@%\"\t\n\r\x00\x1f\x7f\x85\xa0é€😀\u2028\u2029\ud83d\ude00",
    *(" ", "  ", "\n", '"""', '""""', '\n"""\n', "- ", "<<ccr:", "<<ccr:ab-1 2 rows left out>>", "null", "true", "1e5"),
    *("word", "two words", "key: value", "(json)", "(json):", "[2]: a\tb", "2024-05-24", "007", "http://x.y/z?q=1"),
)
NUMBERS = ("0", "-0", "7", "-5", "1.0", "1e400", "12345678901234567890123", "-1.5E-7", "1E+2", "0.10")
LAYOUTS = ("json", "jsonp", "json1", "json2", "json4")
KEYS = ("id", "name", "a b", "type", "x.y", "-k", "5", "", "k ", "<<ccr", "über", "null", "a", "b", "c", "d")


@dataclass(frozen=True)
class Spelled:
    """A string that is the JSON text of an object or array, in a style."""

    inner: Value
    layout: str
    ascii_only: bool
    newline: bool

    def text(self) -> str:
        """The string."""
        return spell(self.inner, self.layout, ascii_only=self.ascii_only) + "\n" * self.newline

    def style(self) -> str:
        """What the format writes before its value."""
        return f"({self.layout}{'a' * self.ascii_only}{'n' * self.newline})"


@dataclass(frozen=True)
class Made:
    """A value, and which of the strings in it (by the text) may be written as the value they spell."""

    value: Value
    spelled: dict[str, Spelled]


def make_value(rng: random.Random) -> Made:
    """A random value."""
    spelled: dict[str, Spelled] = {}
    return Made(_value(rng, rng.choice((0, 1, 2, 3, 3, 4)), spelled), spelled)


def _string(rng: random.Random) -> str:
    return (
        "".join(rng.choice(PIECES) for _ in range(rng.choice((0, 1, 1, 2, 3, 6))))
        .encode("utf-16", "surrogatepass")
        .decode("utf-16", "surrogatepass")
    )


def _value(rng: random.Random, depth: int, spelled: dict[str, Spelled]) -> Value:
    kind = rng.randrange(10 if depth else 4)
    if kind == 0:
        return Literal(rng.choice(("null", "true", "false")))
    if kind == 1:
        return Literal(rng.choice(NUMBERS))
    if kind <= 3:
        return _string(rng)
    size = rng.choice((0, 1, 2, 2, 3, 5))
    if kind == 4:
        return Array(tuple(_value(rng, 0, spelled) for _ in range(size)))
    if kind == 5:
        return Array(tuple(_value(rng, depth - 1, spelled) for _ in range(size)))
    if kind == 6:
        return _records(rng, depth, spelled)
    if kind == 7:
        inner = _value(rng, depth - 1, spelled)
        if isinstance(inner, Literal | str) or inner in (Object(()), Array(())):
            return inner
        made = Spelled(inner, rng.choice(LAYOUTS), rng.random() < 0.5, rng.random() < 0.3)
        return spelled.setdefault(made.text(), made).text()
    keys = [rng.choice(KEYS) if rng.random() < 0.8 else _string(rng) for _ in range(size)]
    return Object(tuple((key, _value(rng, depth - 1, spelled)) for key in keys))


def _records(rng: random.Random, depth: int, spelled: dict[str, Spelled]) -> Array:
    """Records with a common order of keys, some values the same everywhere, some objects with common keys."""
    columns = rng.sample(KEYS, rng.choice((1, 2, 3, 5)))
    parts = {key: rng.sample(KEYS, rng.choice((1, 2, 3))) for key in columns if rng.random() < 0.4}
    same = {key: _value(rng, 0, spelled) for key in columns if rng.random() < 0.3}
    records: list[Value] = []
    for _ in range(rng.choice((2, 2, 3, 6))):
        members: list[tuple[str, Value]] = []
        for key in columns:
            if key in same:
                members.append((key, same[key]))
            elif rng.random() < 0.75:
                if key in parts and rng.random() < 0.8:
                    inner = [(part, _value(rng, max(depth - 2, 0), spelled)) for part in parts[key] if rng.random() < 0.8]
                    members.append((key, Object(tuple(inner))))
                else:
                    members.append((key, _value(rng, max(depth - 2, 0), spelled)))
        records.append(Object(tuple(members)))
    return Array(tuple(records))


# ------------------------------------------------------------------------------------------ what the page says of strings

CONTROLS = re.compile("[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]")


def bare_allowed(text: str, where: str) -> bool:
    """Whether a string may be written bare on a member's line, in an item, in flow, or in a cell."""
    allowed = (
        text != ""
        and text[0] not in '"[{ \t'
        and text[-1] not in " \t"
        and text != "-"
        and not text.startswith(("- ", "<<ccr:"))
        and not CONTROLS.search(text)
        and not LITERAL.fullmatch(text)
    )
    if where == "flow":
        allowed = allowed and not set(text) & set(',[]{}":') and text[0] not in "-?!&*|>@%`"
    if where == "item":
        allowed = allowed and text[0] != "("
    return allowed


def bare_key_allowed(key: str) -> bool:
    """Whether a key may be written bare."""
    return (
        key != ""
        and not set(key) & set('"[]{}(),:|=*.')
        and not CONTROLS.search(key)
        and key[0] not in " -'#"
        and not key.startswith("<<ccr")
        and key[-1] != " "
        and not LITERAL.fullmatch(key)
    )


def fence_allowed(text: str) -> bool:
    """Whether a string may stand in a fence."""
    return "\n" in text and not re.search("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]", text)


def merged(orders: list[list[str]]) -> list[str] | None:
    """One order that all of them follow, if there is one."""
    graph: TopologicalSorter[str] = TopologicalSorter()
    for order in orders:
        for key in order:
            graph.add(key)
        for before, after in pairwise(order):
            graph.add(after, before)
    try:
        return list(graph.static_order())
    except CycleError:
        return None


def is_record(value: Value) -> bool:
    """Whether it is a non-empty object without duplicate keys."""
    if not isinstance(value, Object) or not value.members:
        return False
    keys = [key for key, _ in value.members]
    return len(set(keys)) == len(keys)


# A column: its path, and the value in each record (None: not there).
Cells = tuple[tuple[str, ...], list[Value | None]]


class Writer:
    """Writes one value as a crush text, throwing dice wherever the grammar leaves a choice."""

    def __init__(self, rng: random.Random, made: Made) -> None:
        self.rng = rng
        self.made = made
        self.empty_cells = False

    def text(self) -> str:
        """The whole text."""
        lines = self.top(self.made.value)
        head = HEAD_EMPTY if self.empty_cells or self.chance(0.1) else HEAD
        return "\n".join([head, *lines])

    def chance(self, probability: float) -> bool:
        """Throw the dice."""
        return self.rng.random() < probability

    def top(self, value: Value) -> list[str]:
        """The lines below the head."""
        if isinstance(value, str) and value in self.made.spelled and self.chance(0.8):
            spelled = self.made.spelled[value]
            return [spelled.style(), *self.top(spelled.inner)]
        if isinstance(value, str):
            return self.fence(value) if fence_allowed(value) and self.chance(0.7) else [self.quoted(value)]
        if isinstance(value, Literal) or not self.members_of(value) or (isinstance(value, Array) and self.chance(0.3)):
            return [self.flow(value)]
        lines = self.table(value, 0) or self.block(value, 0)
        return [self.flow(value)] if len(lines) == 1 and LITERAL.fullmatch(lines[0]) else lines  # "-5" is a number

    def members_of(self, value: Value) -> int:
        """How many members or elements it has."""
        return len(value.members) if isinstance(value, Object) else len(value.elements) if isinstance(value, Array) else 0

    def block(self, value: Value, indent: int) -> list[str]:
        """Members or items."""
        lines: list[str] = []
        if isinstance(value, Object):
            for key, inner in value.members:
                first, *below = self.entry(inner, indent)
                lines += [" " * indent + self.key(key) + first, *below]
        elif isinstance(value, Array):
            for inner in value.elements:
                lines += self.item(inner, indent)
        return lines

    def entry(self, value: Value, indent: int) -> list[str]:
        """What stands behind a key (or the style of an item), and the lines below it."""
        if isinstance(value, str) and value in self.made.spelled and self.chance(0.8):
            spelled = self.made.spelled[value]
            first, *below = self.plain_entry(spelled.inner, indent)
            return [f" {spelled.style()}{first}", *below]
        return self.plain_entry(value, indent)

    def plain_entry(self, value: Value, indent: int) -> list[str]:
        """The same without a style."""
        if isinstance(value, str) and fence_allowed(value) and self.chance(0.7):
            first, *below = self.fence(value)
            return [": " + first, *below]
        if self.members_of(value) and self.chance(0.8):
            table = self.table(value, indent + 1)
            if table:
                return [" " + table[0], *table[1:]]
            return [":", *self.block(value, indent + 1)]
        return [":" + self.glue(value) + self.inline(value, "line")]

    def item(self, value: Value, indent: int) -> list[str]:
        """An item and the lines below it."""
        dash = " " * indent + "-"
        if isinstance(value, str) and value in self.made.spelled and self.chance(0.8):
            spelled = self.made.spelled[value]
            first, *below = self.plain_entry(spelled.inner, indent)
            return [f"{dash} {spelled.style()}{first}", *below]
        if isinstance(value, str) and fence_allowed(value) and self.chance(0.7):
            first, *below = self.fence(value)
            return [f"{dash} {first}", *below]
        if self.members_of(value) and self.chance(0.8):
            table = self.table(value, indent + 1)
            if table:
                return [f"{dash} {table[0]}", *table[1:]]
            return [dash, *self.block(value, indent + 1)]
        return [dash + self.glue(value) + self.inline(value, "item")]

    def glue(self, value: Value) -> str:
        """The blank before a value, mostly as the page wants it."""
        number = isinstance(value, Literal) and value.text not in ("null", "true", "false")
        return "" if number != self.chance(0.2) else " "

    def inline(self, value: Value, where: str) -> str:
        """A value on one line."""
        if isinstance(value, str):
            return value if bare_allowed(value, where) and self.chance(0.9) else self.quoted(value)
        return self.flow(value)

    def flow(self, value: Value) -> str:
        """A value as flow."""
        if isinstance(value, Literal):
            return value.text
        if isinstance(value, str):
            return value if bare_allowed(value, "flow") and self.chance(0.9) else self.quoted(value)
        if isinstance(value, Array):
            return "[" + ",".join(self.glue(e) * (i > 0) + self.flow(e) for i, e in enumerate(value.elements)) + "]"
        return "{" + ", ".join(self.key(k) + ":" + self.glue(v) + self.flow(v) for k, v in value.members) + "}"

    def quoted(self, text: str) -> str:
        """A JSON string, now and then in an unusual spelling."""
        literal = quote(text, ascii_only=self.chance(0.2))
        return literal.replace("/", "\\/").replace("a", "\\u0061") if self.chance(0.1) and "\\" not in literal else literal

    def key(self, key: str) -> str:
        """A key."""
        return key if bare_key_allowed(key) and self.chance(0.95) else self.quoted(key)

    def fence(self, text: str) -> list[str]:
        """A string between two marks."""
        longest = max((len(line) for line in text.split("\n") if re.fullmatch('"{3,}', line)), default=2)
        mark = '"' * (longest + 1 + self.chance(0.1))
        return [mark, *text.split("\n"), mark]

    def table(self, value: Value, indent: int) -> list[str] | None:
        """A table's head (without what stands before it) and its rows; None if the value is none."""
        if not isinstance(value, Array) or len(value.elements) < 2 or not all(map(is_record, value.elements)):
            return None
        columns = self.columns([e for e in value.elements if isinstance(e, Object)], ())
        if columns is None or len(columns) > 256:
            return None
        constants = {index for index, (_, cells) in enumerate(columns) if self.is_constant(cells)}
        if len(constants) == len(columns):
            constants.remove(self.rng.choice(sorted(constants)))
        names = []
        for index, (path, cells) in enumerate(columns):
            name = ".".join(self.key(key) for key in path)
            names.append(f"{name}={self.inline(cells[0], 'cell')}" if index in constants and cells[0] is not None else name)
        lines = [f"[{len(value.elements)}]: " + "\t".join(names)]
        for row in range(len(value.elements)):
            below: list[str] = []
            cells_of_row = [cells[row] for index, (_, cells) in enumerate(columns) if index not in constants]
            lines += [" " * indent + "\t".join(self.cell(cell, below) for cell in cells_of_row), *below]
        return lines

    def is_constant(self, cells: list[Value | None]) -> bool:
        """Whether the column is written as a constant."""
        return cells[0] is not None and all(cell == cells[0] for cell in cells) and self.chance(0.8)

    def cell(self, value: Value | None, below: list[str]) -> str:
        """A cell; what goes below its row is added to `below`."""
        if value is None:
            self.empty_cells = True
            return ""
        if isinstance(value, str) and fence_allowed(value) and self.chance(0.7):
            first, *lines = self.fence(value)
            below += lines
            return first
        return self.inline(value, "cell")

    def columns(self, records: list[Object | None], prefix: tuple[str, ...]) -> list[Cells] | None:
        """The columns of records, objects in them spread over columns of their own where the dice say so."""
        order = merged([[key for key, _ in record.members] for record in records if record])
        if order is None:
            return None
        columns: list[Cells] = []
        for key in order:
            cells = [dict(record.members).get(key) if record else None for record in records]
            path = (*prefix, key)
            objects = [cell if isinstance(cell, Object) and is_record(cell) else None for cell in cells]
            parts = self.columns(objects, path) if any(objects) and self.chance(0.8) else None
            if parts is None:
                columns.append((path, cells))
                continue
            others = [None if inner else cell for cell, inner in zip(cells, objects, strict=True)]
            if any(cell is not None for cell in others):
                columns.append((path, others))
            columns += parts
        return columns
