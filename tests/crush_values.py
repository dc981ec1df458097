"""Random values for the writer of crush texts, of the kinds that the forms of the grammar are for."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from tests.crush_reference import Array, Literal, Object, Value, styled

PIECES = (
    *"ab0159-.,:;=|*#'`()[]{}<>\\/&?!@%\"\t\n\r\x00\x1f\x7f\x85\xa0é€😀\u2028\u2029\ud83d\ude00×⟧",
    *(
        " ",
        "  ",
        "\n",
        "\r\n",
        '"""',
        '""""',
        '\n"""\n',
        "- ",
        "<<ccr:",
        "<<ccr:ab-1 2 rows left out>>",
        "null",
        "true",
        "None",
        "True",
        "1e5",
    ),
    *("word", "two words", "key: value", "(json)", "(json):", "[2]: a\tb", "2024-05-24", "007", "http://x.y/z?q=1", "⟦", "⟦end⟧"),
    *("-----------", "\n\n\n\n", "=\n=\n=\n=", "same line\r\nsame line\r\n", "        ", "ab\nab\nab\n"),
)
NUMBERS = ("0", "-0", "7", "-5", "1.0", "1e400", "12345678901234567890123", "-1.5E-7", "1E+2", "0.10")
LAYOUTS = ("json", "jsonp", "json1", "json2", "json4", "jsont")
KEYS = (
    "id",
    "name",
    "a b",
    "type",
    "x.y",
    "-k",
    "5",
    "",
    "k ",
    "<<ccr",
    "über",
    "null",
    "None",
    "a",
    "b",
    "c",
    "d",
    "⟦k",
    "[0]",
    "k,",
    "key",
)
WORDS = (
    "alpha",
    "beta",
    "5",
    "null",
    "None",
    "True",
    " None ",
    "x y",
    "(z",
    "*",
    "[w]",
    "",
    "ü",
    "1.0",
    "a=b",
    "-",
    "⟦1⟧",
    '"q"',
    "nan",
    "a.b(1)",
    "it's",
    "\xa0\x00",
)


@dataclass(frozen=True)
class Spelled:
    """A text that is the JSON text of an object or array in a style, the last `cut` closing brackets cut off."""

    inner: Value
    style: str
    cut: int = 0


@dataclass
class Made:
    """A value, and which of the strings in it (by their text) spell values; `blocks`: texts that stand in strings, cut or not."""

    value: Value = ""
    spelled: dict[str, Spelled] = field(default_factory=dict)
    blocks: dict[str, Spelled] = field(default_factory=dict)


def make_value(rng: random.Random) -> Made:
    """A random value."""
    maker = Maker(rng)
    maker.made.value = maker.wrapper() if rng.random() < 0.1 else maker.value(rng.choice((0, 1, 2, 2, 3, 3)))
    return maker.made


def make_text(rng: random.Random) -> Made:
    """A random text with JSON in it, as the value."""
    maker = Maker(rng)
    text = maker.text(3) + rng.choice(("", "\n", "tail"))
    maker.made.value = text.encode(errors="replace").decode()
    return maker.made


def make_lines(rng: random.Random) -> Made:
    """Two or more values, for a text of one in a line."""
    maker = Maker(rng)
    value = maker.records(2) if rng.random() < 0.6 else Array(tuple(maker.value(2) for _ in range(rng.choice((2, 3, 7)))))
    maker.made.value = value
    return maker.made


class Maker:
    """Makes values, throwing dice; `made` gathers the strings that spell values."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.made = Made()

    def chance(self, probability: float) -> bool:
        """Throw the dice."""
        return self.rng.random() < probability

    def string(self) -> str:
        """A string of odd pieces."""
        if self.chance(0.4):
            return self.rng.choice(WORDS)
        text = "".join(self.rng.choice(PIECES) for _ in range(self.rng.choice((0, 1, 1, 2, 3, 6))))
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")

    def scalar(self) -> Value:
        """null, true, false, a number or a string."""
        kind = self.rng.randrange(4)
        if kind == 0:
            return Literal(self.rng.choice(("null", "null", "true", "false")))
        return Literal(self.rng.choice(NUMBERS)) if kind == 1 else self.string()

    def value(self, depth: int) -> Value:
        """Any value, of so many levels at most."""
        if depth <= 0 or self.chance(0.2):
            return self.scalar()
        size = self.rng.choice((0, 1, 2, 2, 3, 5))
        kind = self.rng.randrange(12)
        if kind <= 1:
            return self.array(size, 0)
        if kind == 2:
            return self.array(size, depth - 1)
        if kind == 3:
            return self.matrix()
        if kind == 4:
            return self.repeated(depth)
        if kind in (5, 6):
            return self.records(depth)
        if kind == 7:
            return self.groups(depth)
        if kind == 8:
            return self.mapped(depth)
        if kind == 9:
            return self.spelled(depth)
        if kind == 10:
            return self.text(depth)
        same = self.scalar()
        keys = [self.rng.choice(KEYS) if self.chance(0.8) else self.string() for _ in range(size)]
        return Object(tuple((key, same if self.chance(0.3) else self.value(depth - 1)) for key in keys))

    def array(self, size: int, depth: int) -> Array:
        """An array of any values."""
        return Array(tuple(self.value(depth) for _ in range(size)))

    def wrapper(self) -> Value:
        """An object one string of which is long, as MCP has it or any other, alone in a list now and then."""
        long = self.spelled(3) if self.chance(0.6) else self.text(3)
        members: list[tuple[str, Value]] = [(key, self.scalar()) for key in self.keys(self.rng.choice((0, 1, 2, 4)))]
        members.insert(self.rng.randrange(len(members) + 1), ("text", long))
        mcp = (("type", "text"), ("text", long), ("annotations", Literal("null")))
        value = Object(mcp[: self.rng.choice((2, 3, 3))] if self.chance(0.4) else tuple(members))
        return Array((value,)) if self.chance(0.3) else value

    def matrix(self) -> Array:
        """Rows of as many scalars each."""
        same = [self.scalar() if self.chance(0.4) else None for _ in range(self.rng.choice((1, 2, 3)))]
        count = self.rng.choice((1, 2, 4))
        return Array(tuple(Array(tuple(value or self.scalar() for value in same)) for _ in range(count)))

    def repeated(self, depth: int) -> Array:
        """An array some elements of which stand many times in a row."""
        elements: list[Value] = []
        for _ in range(self.rng.choice((1, 2, 3))):
            elements += [self.value(min(depth - 1, 1))] * self.rng.choice((1, 3, 4, 5, 12))
        return Array(tuple(elements))

    def stemmed(self) -> list[str]:
        """Strings that begin and end alike."""
        prefix = self.rng.choice(("", "GET ", "[INFO] ", "the ", "a=", '"', "*", " x "))
        suffix = self.rng.choice(("", " ms", " (ok)", ".", '"', " "))
        return [prefix + self.rng.choice(WORDS) + suffix for _ in range(3)]

    def keys(self, count: int) -> list[str]:
        """Different keys."""
        return self.rng.sample(KEYS, count)

    def record(self, keys: list[str], depth: int, missing: float = 0.2) -> Object:
        """An object with most of the keys, but at least one."""
        present = [key for key in keys if self.rng.random() >= missing] or keys[:1]
        return Object(tuple((key, self.value(depth)) for key in present))

    def column(self, depth: int) -> list[Value]:
        """Values to choose the cells of a column from."""
        kind = self.rng.randrange(9)
        if kind <= 1:
            return [self.value(depth) for _ in range(3)]
        if kind == 2:
            return [self.scalar()]
        if kind == 3:
            return [*self.stemmed()]
        keys = self.keys(self.rng.choice((1, 2, 3)))
        others: list[Value] = [self.scalar()] if self.chance(0.3) else []
        if kind == 4:
            return [self.record(keys, depth - 1) for _ in range(3)] + others
        if kind == 5:
            return [Array((self.record(keys, depth - 1),)) for _ in range(3)] + others
        if kind == 6:
            names = self.rng.sample(("alpha", "5", "x y", "(z", "", "null"), 3)
            numbers = [Literal(text) for text in self.rng.sample(NUMBERS, 2)]
            tellers: list[Value] = [*names, *numbers]
            inner = [Object(((keys[0], teller), *self.record(keys, depth - 1).members[1:])) for teller in tellers]
            return [record for record in inner if is_record(record)][: self.rng.choice((2, 3, 5))] + others
        if kind == 7:
            lists = [[self.record(keys, depth - 1, 0) for _ in range(self.rng.choice((1, 1, 2, 3)))] for _ in range(3)]
            return [Array(tuple(records)) for records in lists] + others
        return [self.spelled(depth), self.text(depth), self.scalar()]

    def rows(self, columns: dict[str, list[Value]], count: int, missing: float) -> list[Object]:
        """Records of values from the columns; now and then a column has the values of the one before."""
        names = list(columns)
        twins = {name: before for before, name in pairwise(names) if self.chance(0.15)}
        rows = []
        for _ in range(count):
            members: dict[str, Value] = {}
            for name, values in columns.items():
                if name in twins and twins[name] in members:
                    members[name] = members[twins[name]]
                elif name not in twins and self.rng.random() >= missing:
                    members[name] = self.rng.choice(values)
            rows.append(Object(tuple(members.items() or [(names[0], self.rng.choice(columns[names[0]]))])))
        return rows

    def table(self, depth: int) -> tuple[dict[str, list[Value]], float]:
        """The columns of records, and how often a value is missing."""
        columns = {key: self.column(depth - 1) for key in self.keys(self.rng.choice((1, 2, 3, 5)))}
        return columns, self.rng.choice((0.0, 0.0, 0.25))

    def records(self, depth: int) -> Array:
        """Records with a common order of keys."""
        columns, missing = self.table(depth)
        return Array(tuple(self.rows(columns, self.rng.choice((2, 2, 3, 6)), missing)))

    def groups(self, depth: int) -> Array:
        """Lists of records."""
        columns, missing = self.table(depth)
        counts = [self.rng.choice((0, 1, 2, 4)) for _ in range(self.rng.choice((2, 3)))]
        return self.listed([Array(tuple(self.rows(columns, count, missing))) for count in counts])

    def listed(self, lists: Sequence[Value]) -> Array:
        """A list of them, or of objects that have just one of them each."""
        key = self.rng.choice(KEYS) if self.chance(0.8) else self.string()
        return Array(tuple(Object(((key, each),)) for each in lists) if self.chance(0.4) else tuple(lists))

    def mapped(self, depth: int) -> Object:
        """Records under one key each."""
        columns, missing = self.table(depth)
        keys = [
            self.rng.choice((*KEYS, *WORDS)) if self.chance(0.8) else self.string() for _ in range(self.rng.choice((2, 3, 5)))
        ]
        rows = self.rows(columns, len(keys), missing)
        if self.chance(0.3):  # records that have their key as a member, at some place
            name, at = self.rng.choice(("id", "the key", *KEYS)), self.rng.randrange(4)
            rows = [
                Object((*(others := [member for member in row.members if member[0] != name])[:at], (name, key), *others[at:]))
                for key, row in zip(keys, rows, strict=True)
            ]
        return Object(tuple(zip(keys, rows, strict=True)))

    def container(self, depth: int) -> Value:
        """A value that a string may spell."""
        value = self.value(max(depth - 1, 1))
        while isinstance(value, Literal | str) or value in (Object(()), Array(())):
            value = self.rng.choice((value, Array((value, Literal("5")))))
        return value

    def style(self, value: Value) -> str:
        """A style that the value can be spelled in."""
        if self.chance(0.12):
            return self.rng.choice(("jsonpy", "jsonpyt"))
        style = self.rng.choice(LAYOUTS) + self.rng.choice(("", "a")) + self.rng.choice(("", "", "g"))
        lines = isinstance(value, Array) and len(value.elements) >= 2 and self.chance(0.3)
        return (
            style + (self.rng.choice("lc") if lines else "") + self.rng.choice(("", "", "", "r")) + self.rng.choice(("", "", "n"))
        )

    def spelled(self, depth: int) -> str:
        """A string that is the JSON text of a value."""
        inner = self.container(depth)
        style = self.style(inner)
        text = styled(inner, style)
        self.made.spelled[text] = self.made.blocks[text] = Spelled(inner, style)
        return text

    def text(self, depth: int) -> str:
        """A text of several lines with runs and JSON in it."""
        parts = []
        for _ in range(self.rng.choice((1, 2, 3))):
            if self.chance(0.5):
                text = self.spelled(depth - 1)
                made = self.made.spelled[text]
                shorter, cut = text, 0
                while not made.style[4:].endswith("n") and shorter.endswith(("]", "}")) and self.chance(0.6):
                    shorter, cut = shorter[:-1].rstrip(" \t\r\n"), cut + 1
                self.made.blocks[shorter] = Spelled(made.inner, made.style, cut)
                parts.append(shorter)
            else:
                parts.append(self.string().replace("⟦", "") * self.rng.choice((1, 1, 4)))
        return (
            self.rng.choice(("", "", "\n", " ")).join(parts).encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
        )


def is_record(value: Value | None) -> bool:
    """Whether it is a non-empty object without duplicate keys."""
    if not isinstance(value, Object) or not value.members:
        return False
    keys = [key for key, _ in value.members]
    return len(set(keys)) == len(keys)
