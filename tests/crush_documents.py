"""A fast, seeded generator of documents for the encoder: JSON of every spelling, NDJSON, and texts with JSON and runs in them."""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from tests.crush_reference import Array, Literal, Object, Value, quote, spell, styled
from tests.crush_reference_line import unquoted
from tests.crush_values import LAYOUTS, NUMBERS, WORDS, Maker
from tests.json_exact import TOKEN

VERBS = ("opened", "closed", "merged", "reviewed", "assigned to nobody", "re-opened after 3 days", "x", "", " ", '"quoted"')
LOGINS = ("octocat", "hubot", "Ünal", "5", "null", "(bot)", "o'brien", "a b")
STEMS = (
    ("Request completed in ", " ms"),
    ("[INFO] user ", " logged in"),
    ("The quick brown ", " jumps over"),
    ('"', '" said the fox'),
    ("id 5 of ", " in 7"),
    ("  leading ", " trailing  "),
    ("key=", " and = more"),
    ("call * of ", " * times"),
    ("é\u2028 ", " ⟦"),
    ("", " at the end only"),
    ("at the start only ", ""),
)
LINES = (
    "=" * 60,
    "-" * 12,
    " " * 30 + "x",
    "same\nsame\nsame\nsame",
    "a\r\na\r\na\r\n",
    "\x00" * 40,
    "\n" * 9,
    "⟦",
    "tab\tand\ttab",
    "é" * 20,
)
# How lines of logs and of hits begin.
STARTS = (
    "tests/test_cache.py::TestCache::",
    "src/models/user.rs:12:",
    "src/models/user.rs-13-",
    "[2024-05-24T12:00:00.123Z] [INFO] ",
    "build (latest)\tSet up job\t2024-05-24T12:00:00.1Z ",
    "| worker | ",
    "/usr/lib/*",
    "  indented: ",
    "",
)


@dataclass(frozen=True)
class Document:
    """A document, and the JSON text that expand() must make of its crushed form; None: it is a text (which may happen to be JSON)."""

    data: bytes
    value: str | None


def make_document(rng: random.Random) -> Document:
    """A random document."""
    maker = Documents(rng)
    kind = rng.randrange(10)
    if kind == 0:
        return maker.exact(maker.log())
    if kind == 1:
        return maker.exact(rng.choice((maker.many_lines, maker.many_lines, maker.cut_off, maker.printed))())
    value = maker.document()
    return Document(maker.spelled_json(value).encode(), spell(value))


class Documents(Maker):
    """Makes the values and texts of documents."""

    def exact(self, text: str) -> Document:
        """A text that must come back byte for byte, unless it is JSON as a whole."""
        data = text.encode(errors="replace")
        return Document(data, None)

    def spelled_json(self, value: Value) -> str:
        """The JSON text of a value, as some writer spells it."""
        text = spell(value, self.rng.choice(LAYOUTS) + self.rng.choice(("", "", "a", "g")))
        return "".join(map(self.loose, TOKEN.finditer(text))) if self.chance(0.1) else text

    def loose(self, token: re.Match[str]) -> str:
        """A token with white space behind it, a string in an odd spelling."""
        text = token[0]
        if token["string"] and self.chance(0.2):
            text = quote(unquoted(text), "a").replace("/", "\\/")
        return text + self.rng.choice(("", "", "", " ", "\t", "\r\n"))

    def document(self) -> Value:
        """A value some part of which is worth a table."""
        kind = self.rng.randrange(8)
        if kind == 0:
            return Object((("v", self.value(4)), ("filler", self.filler())))
        if kind == 1:
            return Array((self.value(3), self.filler()))
        if kind == 2:
            return self.long() if self.chance(0.5) else self.wrapper() if self.chance(0.3) else self.value(4)
        value = self.rng.choice((self.wide, self.wide, self.by_key, self.by_group, self.listing, self.grid))()
        if kind == 3:
            return Object((("result", value), ("text", styled(self.filler(), self.rng.choice(LAYOUTS))), ("n", self.scalar())))
        if kind == 4:
            return Object((("log", self.log()), ("result", value)))
        return value if kind == 5 else Object((("meta", self.record(self.keys(3), 1)), ("items", value), ("more", self.scalar())))

    def filler(self) -> Array:
        """Records that are worth a head line whatever stands beside them."""
        same = self.rng.choice(WORDS) + " the same words in every row"
        members = [(("number", Literal(str(i))), ("words", same)) for i in range(self.rng.choice((5, 8)))]
        return Array(tuple(Object(record) for record in members))

    # ---------------------------------------------------------------------------------- columns

    def cells(self) -> Callable[[int], Value | None]:
        """A column: the value in each row, None where there is none."""
        rng = self.rng
        kind = rng.randrange(16)
        if kind == 0:
            return lambda row: Literal(str(1000 + row))
        if kind == 1:
            return lambda row: f"ORD-{row:05d}"
        if kind == 2:
            states = rng.sample(("open", "closed", "", "null", "5"), 2)
            return lambda row: rng.choice(states)
        if kind == 3:
            same = self.scalar()
            return lambda row: same
        if kind == 4:
            prefix, suffix = rng.choice(STEMS)
            return lambda row: prefix + rng.choice((*VERBS, str(row), f"row {row}")) + suffix
        if kind == 5:
            return self.users()
        if kind == 6:
            return lambda row: Object(
                (("city", rng.choice(WORDS)), ("geo", Object((("lat", Literal(f"{row}.5")), ("lng", Literal("-0"))))))
            )
        if kind == 7:
            keys = self.keys(2)
            least = rng.choice((0, 1, 1))
            return lambda row: Array(tuple(self.record(keys, 0, 0) for _ in range(rng.randint(least, 3))))
        if kind == 8:
            keys = self.keys(3)
            return lambda row: Array((self.record(keys, 1),))
        if kind == 9:
            return lambda row: Array(tuple(rng.choice(VERBS) for _ in range(rng.randrange(4))))
        if kind == 10:
            return lambda row: self.long_json(row) if rng.random() < 0.7 else rng.choice(("", "none"))
        if kind == 11:
            return lambda row: "\n".join(rng.choice(LINES) for _ in range(rng.randint(1, 4)))
        if kind == 12:
            return lambda row: Literal(rng.choice(NUMBERS))
        if kind == 13:
            return lambda row: rng.choice((None, Literal("null"), "", Literal("1"), Literal("1.0"), Literal("true")))
        pool = self.column(2)
        missing = rng.choice((0, 0, 0.3))
        return lambda row: None if rng.random() < missing else rng.choice(pool)

    def users(self) -> Callable[[int], Value | None]:
        """A few objects that come again and again, in a list of one now and then, and null where there is none."""
        rng = self.rng
        key = rng.choice(("login", "a.b", "id"))
        tellers: list[Value] = [*rng.sample(LOGINS, 3)] if self.chance(0.7) else [Literal("1"), Literal("1.0"), Literal("2")]
        others = self.rng.choice(("https://example.com/users/", "the same of ", ""))
        users: list[Value] = [
            Object(((key, teller), ("url", f"{others}{number}"), ("type", "User"), ("admin", Literal("false"))))
            for number, teller in enumerate(tellers)
        ]
        if self.chance(0.2):
            users.append(Object(((key, tellers[0]), ("url", "another"), ("type", "User"), ("admin", Literal("true")))))
        nothing: Value | None = rng.choice((None, Literal("null"), Array(())))
        lists = self.chance(0.2)
        absent = rng.choice((0, 0, 0.3))

        def user(row: int) -> Value | None:
            if rng.random() < absent:
                return nothing
            return Array((rng.choice(users),)) if lists else rng.choice(users)

        return user

    def long_json(self, row: int) -> str:
        """A string that spells a value of some size, mostly in a style."""
        value: Value = Object(
            (("request", Object((("path", f"/api/{row}"), ("verb", self.rng.choice(VERBS))))), ("rows", self.filler()))
        )
        if self.chance(0.3):
            value = self.filler()
        text = styled(value, self.style(value))
        return text if self.chance(0.8) else text + self.rng.choice((" ", "x", "\n\n"))

    # ---------------------------------------------------------------------------------- shapes

    def shaped(self, count: int) -> list[Object]:
        """Records of a few columns."""
        names = self.rng.sample(
            ("id", "name", "user", "a b", "x.y", "labels", "body", "état", "-k", "[0]"), self.rng.choice((1, 2, 3, 4, 6))
        )
        columns = {name: self.cells() for name in names}
        twins = {name: before for before, name in pairwise(names) if self.chance(0.15)}
        records = []
        for row in range(count):
            cells = {name: column(row) for name, column in columns.items()}
            cells |= {name: cells[before] for name, before in twins.items()}
            members = [(name, cell) for name, cell in cells.items() if cell is not None]
            if self.rng.random() < 0.01:
                members.reverse()
            records.append(Object(tuple(members or [(names[0], Literal("0"))])))
        return records

    def count(self) -> int:
        """How many rows."""
        return self.rng.choice((2, 3, 4, 5, 7, 9, 14, 30))

    def wide(self) -> Value:
        """Records."""
        return Array(tuple(self.shaped(self.count())))

    def long(self) -> Value:
        """A table, or a list, so long that rows may be left out."""
        count = self.rng.choice((50, 150, 250))
        if self.chance(0.3):
            return Array(tuple(f"{self.rng.choice(VERBS)}, and then number {row}" for row in range(count)))
        columns = {name: self.cells() for name in ("id", "seen", "a b")[: self.rng.choice((1, 2, 3))]}
        records = [
            Object((("n", f"the row {row}"), *((name, cells(row) or "") for name, cells in columns.items())))
            for row in range(count)
        ]
        kind = self.rng.randrange(4)
        if kind == 0:
            return Object(tuple((f"key {row}", record) for row, record in enumerate(records)))
        if kind == 1:
            return Array((Array(tuple(records[:20])), Array(()), Array(tuple(records[20:]))))
        return Array(tuple(records)) if kind == 2 else Array(tuple(Array((Literal(str(row)), "x")) for row in range(count)))

    def by_key(self) -> Value:
        """Records under one key each."""
        records = self.shaped(self.count())
        names = [f"key {number}" if self.chance(0.7) else self.rng.choice(WORDS) + str(number) for number in range(len(records))]
        return Object(tuple(zip(names, records, strict=True)))

    def by_group(self) -> Value:
        """Lists of records."""
        counts = [self.rng.choice((0, 1, 3, 7)) for _ in range(self.rng.choice((1, 2, 4)))]
        records = self.shaped(sum(counts) or 1)
        return self.listed([Array(tuple(records.pop() for _ in range(count))) for count in counts])

    def listing(self) -> Value:
        """A list of scalars."""
        kind = self.rng.randrange(4)
        count = self.rng.choice((3, 8, 24, 40, 90))
        prefix, suffix = self.rng.choice(STEMS) if kind == 0 else ("", "")
        if kind <= 1:
            words = (*VERBS, *WORDS, "a, b", "c: d", "10", "much longer words, to be sure")
            return Array(tuple(prefix + self.rng.choice(words) + suffix for _ in range(count)))
        if kind == 2:
            return Array(tuple(Literal(self.rng.choice(NUMBERS)) for _ in range(count)))
        return self.repeated(2)

    def grid(self) -> Value:
        """Rows of as many scalars each."""
        width = self.rng.choice((1, 2, 5))
        same = {place: self.scalar() for place in range(width) if self.chance(0.3)}
        rows = [[same.get(place) or self.scalar() for place in range(width)] for _ in range(self.count())]
        if self.chance(0.1):
            rows[-1].append("one more")
        return Array(tuple(Array(tuple(row)) for row in rows))

    # ---------------------------------------------------------------------------------- texts

    def log(self) -> str:
        """A text of lines with runs, repeated lines and JSON in it, cut somewhere now and then."""
        rng = self.rng
        end = rng.choice(("\n", "\n", "\r\n"))
        parts = []
        for number in range(rng.choice((1, 3, 6))):
            kind = rng.randrange(6)
            if kind == 5:
                parts += [start + rng.choice(WORDS) for start in [rng.choice(STARTS)] for _ in range(rng.choice((2, 9, 30)))]
            elif kind == 0:
                parts.append(f"2024-05-2{number} 12:00:0{number} worker started " + rng.choice(WORDS))
            elif kind == 1:
                parts.append(rng.choice(LINES))
            elif kind == 2:
                parts += ["retrying " + rng.choice(WORDS)] * rng.choice((1, 4, 30))
            else:
                value = self.rng.choice((self.wide, self.filler, lambda: self.container(2)))()
                text = styled(value, self.style(value)) if value not in (Object(()), Array(())) else "[]"
                parts.append(rng.choice(("", "", "payload: ")) + text + rng.choice(("", "", " done", "}")))
        text = end.join(parts) + rng.choice(("", end))
        return text[: rng.randrange(len(text) + 1)] if self.chance(0.4) else text

    def many_lines(self) -> str:
        """Values, one after the other: in one line each, or indented as jq does, or with nothing between them."""
        records = self.shaped(max(self.count(), 2))
        value = Array(tuple(records)) if self.chance(0.8) else Array((*records, self.scalar()))
        text = styled(
            value,
            self.rng.choice(("json", "jsonp", "json2", "jsont"))
            + self.rng.choice(("", "a", "g"))
            + self.rng.choice(("l", "l", "c"))
            + self.rng.choice(("", "", "r"))
            + self.rng.choice(("", "n")),
        )
        return text + self.rng.choice(("", "", "", "\n", "\r\n", "{", " "))

    def printed(self) -> str:
        """A list or dict as Python prints it."""
        rng = self.rng
        value = rng.choice((self.wide, self.by_key, self.by_group, self.grid, self.long, lambda: self.container(3)))()
        return styled(value, rng.choice(("jsonpy", "jsonpyt")))

    def cut_off(self) -> str:
        """An object cut off inside its last string, which holds lines, or JSON that is cut as well; what harnesses write behind it."""
        rng = self.rng
        style = rng.choice(LAYOUTS) + rng.choice(("", "a", "g"))
        inside = rng.choice((self.log, lambda: spell(self.document(), rng.choice(LAYOUTS) + rng.choice(("", "a")))))()
        members: list[tuple[str, Value]] = [(key, self.scalar()) for key in self.keys(2) if self.chance(0.5)]
        members = [("type", "text")] if self.chance(0.3) else members
        text = spell(Object((*members, ("text", inside))), style)
        text = f"[{text}]" if self.chance(0.1) else text
        text = text[: rng.randrange(len(text) * 2 // 3, len(text) + 1)]
        return text + rng.choice(("", "...", " ...\n\n(The rest is in a file.)", '"', "\n[truncated]\n"))
