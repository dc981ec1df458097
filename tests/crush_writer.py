"""A naive writer of crush texts: for a value any of the forms that the grammar allows, at random.

It shares no rule with the encoder: where that picks one form, this one throws dice, so readers meet every production.
"""

import random
import re
from collections.abc import Callable
from itertools import takewhile

from tests.crush_reference import (
    FILLS,
    LINE_ENDS,
    NOTES,
    OMISSIONS,
    RAWS,
    STARTS,
    STEMS,
    TAGS,
    WIDTHS,
    Array,
    Literal,
    Object,
    Value,
    head,
    quote,
    styled,
)
from tests.crush_reference_line import STYLE_HERE, is_literal, is_printed, shown, spelled_in
from tests.crush_values import LAYOUTS, Made, Spelled, make_lines, make_text, make_value
from tests.crush_writer_table import Plan, Planner, Table, is_scalar, listed_in, records_of

__all__ = ["Writer", "make_lines", "make_text", "make_value"]

MakeRow = Callable[[int, int], list[str]]  # the lines of a row, from its number and indent
GROUPED = (STARTS, FILLS, WIDTHS, LINE_ENDS)  # a note too many of these would make heads of lines
CONTROLS = re.compile("[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff⟦]")


def bare_allowed(text: str, where: str) -> bool:
    """Whether a string may be written bare: on a member's line, in an item, in flow, in a cell, in a text cell, as a constant."""
    allowed = (
        text != ""
        and text[0] not in '"[{ \t'
        and text[-1] not in " \t"
        and text != "-"
        and not text.startswith(("- ", "<<ccr:"))
        and not CONTROLS.search(text)
        and not (is_literal(text) and where != "text")
    )
    if where == "flow":
        return allowed and not set(text) & set(',[]{}":()×') and text[0] not in "-?!&*|>@%`"
    if where == "constant":
        return allowed and text[0] != "(" and "*" not in text
    return allowed and (where == "line" or text[0] != "(")


def bare_key_allowed(key: str) -> bool:
    """Whether a key may be written bare."""
    return (
        key != ""
        and not set(key) & set('"[]{}(),:|=*.')
        and not CONTROLS.search(key)
        and key[0] not in " -'#"
        and not key.startswith("<<ccr")
        and key[-1] != " "
        and not is_literal(key)
    )


def fence_allowed(text: str) -> bool:
    """Whether a string may stand in a fence, as far as its characters go."""
    return not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff⟦]|\r(?!\n)", text)


class Writer:
    """Writes one value as a crush text, throwing dice wherever the grammar leaves a choice.

    With `omit`, rows are left out of tables; `parts` gathers them, by ref and part.
    """

    def __init__(self, rng: random.Random, made: Made, *, omit: bool = False) -> None:
        self.rng = rng
        self.made = made
        self.omit = omit
        self.parts: dict[str, str] = {}
        self.notes: set[str] = set()

    def text(self) -> str:
        """The whole text, of a value."""
        listed = isinstance(self.made.value, Array) and len(self.made.value.elements) == 1
        inner = self.made.value.elements[0] if isinstance(self.made.value, Array) and listed else self.made.value
        wrapped = self.wrapped(inner) if isinstance(inner, Object) and self.chance(0.8) else None
        if wrapped:
            return self.headed(f"json in [{wrapped[0]}]" if listed else f"json in {wrapped[0]}", wrapped[1])
        return self.headed("json", self.top(self.made.value))

    def wrapped(self, value: Object) -> tuple[str, list[str]] | None:
        """The object with a hole in it, and the lines of the string that fills it, if there is such a string."""
        texts = [number for number, (_, inner) in enumerate(value.members) if isinstance(inner, str)]
        if not texts or not all(is_scalar(inner) for _, inner in value.members):
            return None
        at = self.rng.choice(texts)
        text = value.members[at][1]
        assert isinstance(text, str)
        if text in self.made.spelled:
            hole = f"({self.made.spelled[text].style})"
            lines = self.inside(self.made.spelled[text])
        else:
            hole = '"""'
            lines = self.raw(self.grouped(text)).split("\n") if fence_allowed(text) else []
            if len(lines) < 2:
                self.notes.clear()
                return None
        if value.members == (("type", "text"), ("text", text), ("annotations", Literal("null"))) and at == 1 and self.chance(0.8):
            return f"mcp text {hole}", lines
        fields = [
            self.key(key) + ":" + (self.rng.choice(("", " ")) + hole if number == at else self.glue(inner) + self.flow(inner))
            for number, (key, inner) in enumerate(value.members)
        ]
        return "{" + ", ".join(fields) + "}", lines

    def lines_text(self) -> tuple[str, str]:
        """The whole text, of values that stand one in a line, or as Python prints them; and what it stands for."""
        style = self.rng.choice(("json", "jsonp", "json2")) + self.rng.choice(("", "a", "g")) + "l" + self.rng.choice(("", "n"))
        style = self.rng.choice(("jsonpy", "jsonpyt")) if self.chance(0.2) else style
        return self.headed(style, self.inside(Spelled(self.made.value, style))), styled(self.made.value, style)

    def raw_text(self) -> str:
        """The whole text, of a text."""
        assert isinstance(self.made.value, str)
        return self.headed("text", [self.raw(self.grouped(self.made.value))])

    def open_text(self) -> tuple[str, str]:
        """The whole text, of an object that was cut off inside its last string, which is the text; and what it stands for."""
        text = self.made.value
        assert isinstance(text, str)
        style = self.rng.choice(LAYOUTS) + self.rng.choice(("", "a", "g"))
        fields: list[tuple[str, Value]] = [
            (key, self.rng.choice(("text", "", "5", Literal("5"), Literal("null"))))
            for key in self.rng.sample(("type", "error", "", "a b", "x.y"), self.rng.randrange(4))
        ]
        key = self.rng.choice(("text", "response", "[0]"))
        behind = self.rng.choice(("", "...", '"', " ...\n\n(The rest\nis in a file.)", "\\", '"}'))
        inside = Object((*fields, (key, text)))
        listed = self.chance(0.3)
        whole = styled(Array((inside,)) if listed else inside, style)
        stands_for = re.sub(r'"\s*\}(\s*\])?$', "", whole) + behind
        shown = [*(self.key(name) + ":" + self.glue(value) + self.flow(value) for name, value in fields), f'{self.key(key)}: """']
        wrapper = f"{{{', '.join(shown)}"
        if fields == [("type", "text")] and key == "text" and self.chance(0.8):
            wrapper = 'mcp text """'
        lines = self.raw(self.grouped(text), ends=False).split("\n")
        lines[-1] += "⟦cut⟧" + behind
        self.notes.add(RAWS)
        return self.headed(f"{style} cut in {'[' * listed}{wrapper}", lines), stands_for

    def headed(self, kind: str, lines: list[str]) -> str:
        """The lines below a head with the notes that they need, and now and then one that they don't."""
        notes = {*self.notes, *(note for note in NOTES if note not in GROUPED and note != TAGS and self.chance(0.05))}
        return "\n".join([head(kind, *notes), *lines])

    def chance(self, probability: float) -> bool:
        """Throw the dice."""
        return self.rng.random() < probability

    def top(self, value: Value, *, plain: bool = False) -> list[str]:
        """The lines below the head; `plain`: not as a string that spells a value."""
        if isinstance(value, str) and not plain and value in self.made.spelled and self.chance(0.8):
            spelled = self.made.spelled[value]
            return [f"({spelled.style})", *self.inside(spelled)]
        if isinstance(value, str):
            return self.fence(value) or [self.quoted(value)]
        if isinstance(value, Literal) or not self.members_of(value) or (isinstance(value, Array) and self.chance(0.3)):
            return [self.flow(value)]
        if (inner := self.only(value)) is not None:
            first, *below = self.plain_entry(inner, 0)
            return ["[0]" + first, *below]
        lines = self.table(value, 0) or self.block(value, 0)
        return [self.flow(value)] if len(lines) == 1 and is_literal(lines[0]) else lines  # "-5" is a number

    def inside(self, spelled: Spelled) -> list[str]:
        """The lines of a value below its style."""
        with spelled_in(spelled.style):
            return self.top(spelled.inner, plain=True)

    def members_of(self, value: Value) -> int:
        """How many members or elements it has."""
        return len(value.members) if isinstance(value, Object) else len(value.elements) if isinstance(value, Array) else 0

    def block(self, value: Value, indent: int) -> list[str]:
        """Members or items."""
        if isinstance(value, Array):
            return [line for inner in value.elements for line in self.item(inner, indent)]
        assert isinstance(value, Object)
        lines: list[str] = []
        members = list(value.members)
        while members:
            key, inner = members.pop(0)
            same = [key]
            while members and self.is_same(inner) and members[0][1] == inner and self.chance(0.7):
                same.append(members.pop(0)[0])
            if len(same) > 1:
                names = ", ".join(map(self.key, same))
                lines.append(" " * indent + names + ":" + self.glue(inner) + self.inline(inner, "line"))
                continue
            path = [key]
            while isinstance(inner, Object) and len(inner.members) == 1 and self.chance(0.6):
                path.append(inner.members[0][0])
                inner = inner.members[0][1]
            first, *below = self.entry(inner, indent + len(path) - 1)
            lines += [" " * indent + ".".join(map(self.key, path)) + first, *below]
        return lines

    def only(self, value: Value) -> Value | None:
        """The one element of a list, an object or a list that is not empty, if the dice want it named [0]."""
        if not isinstance(value, Array) or len(value.elements) != 1 or not self.members_of(value.elements[0]) or self.chance(0.3):
            return None
        return value.elements[0]

    def is_same(self, value: Value | None) -> bool:
        """Whether neighbors may share the value."""
        return isinstance(value, Literal) or value in (Object(()), Array(())) or (isinstance(value, str) and "\n" not in value)

    def entry(self, value: Value, indent: int) -> list[str]:
        """What stands behind a key (or the style of an item), and the lines below it."""
        if isinstance(value, str) and value in self.made.spelled and self.chance(0.8):
            spelled = self.made.spelled[value]
            with spelled_in(spelled.style):
                first, *below = self.plain_entry(spelled.inner, indent)
            return [f" ({spelled.style}){first}", *below]
        return self.plain_entry(value, indent)

    def plain_entry(self, value: Value, indent: int) -> list[str]:
        """The same without a style."""
        if isinstance(value, str) and (fence := self.fence(value)):
            return [": " + fence[0], *fence[1:]]
        if (inner := self.only(value)) is not None:
            first, *below = self.plain_entry(inner, indent)
            return ["[0]" + first, *below]
        if self.members_of(value) and self.chance(0.8):
            table = self.table(value, indent + 1)
            return [" " + table[0], *table[1:]] if table else [":", *self.block(value, indent + 1)]
        return [":" + self.glue(value) + self.inline(value, "line")]

    def item(self, value: Value, indent: int) -> list[str]:
        """An item and the lines below it."""
        dash = " " * indent + "-"
        if isinstance(value, str) and value in self.made.spelled and self.chance(0.8):
            spelled = self.made.spelled[value]
            with spelled_in(spelled.style):
                first, *below = self.plain_entry(spelled.inner, indent)
            return [f"{dash} ({spelled.style}){first}", *below]
        if isinstance(value, str) and (fence := self.fence(value)):
            return [f"{dash} {fence[0]}", *fence[1:]]
        if self.members_of(value) and self.chance(0.8):
            table = self.table(value, indent + 1)
            return [f"{dash} {table[0]}", *table[1:]] if table else [dash, *self.block(value, indent + 1)]
        return [dash + self.glue(value) + self.inline(value, "item")]

    # ---------------------------------------------------------------------------------- one line

    def glue(self, value: Value) -> str:
        """The blank before a value, mostly as the page wants it."""
        number = isinstance(value, Literal) and value.text not in ("null", "true", "false")
        return "" if number != self.chance(0.2) else " "

    def inline(self, value: Value, where: str) -> str:
        """A value on one line."""
        return self.string(value, where) if isinstance(value, str) else self.flow(value)

    def string(self, text: str, where: str) -> str:
        """A string on one line."""
        return text if bare_allowed(text, where) and self.chance(0.9) else self.quoted(text)

    def flow(self, value: Value) -> str:
        """A value as flow."""
        if isinstance(value, Literal):
            return shown(value)
        if isinstance(value, str):
            return self.string(value, "flow")
        if isinstance(value, Object):
            return "{" + ", ".join(self.key(k) + ":" + self.glue(v) + self.flow(v) for k, v in value.members) + "}"
        found: list[str] = []
        at = 0
        while at < len(value.elements):
            element = value.elements[at]
            count = 1
            while at + count < len(value.elements) and value.elements[at + count] == element and self.chance(0.97):
                count += 1
            count = count if count >= 4 else 1
            found.append(self.glue(element) * (at > 0) + self.flow(element) + f" ×{count}" * (count > 1))
            at += count
        return "[" + ",".join(found) + "]"

    def quoted(self, text: str) -> str:
        """A JSON string, now and then in an unusual spelling."""
        literal = quote(text, self.rng.choice(("", "", "", "a", "g")))
        return literal.replace("/", "\\/").replace("a", "\\u0061") if self.chance(0.1) and "\\" not in literal else literal

    def key(self, key: str) -> str:
        """A key."""
        return key if bare_key_allowed(key) and self.chance(0.95) else self.quoted(key)

    # ---------------------------------------------------------------------------------- raw text

    def fence(self, text: str) -> list[str] | None:
        """A string between two marks, if it may stand so and the dice say it."""
        if not fence_allowed(text) or not self.chance(0.7):
            return None
        kept = {*self.notes}
        lines = self.raw(text).split("\n")
        if len(lines) < 2:
            self.notes = kept
            return None
        longest = max((len(line) for line in lines if re.fullmatch('"{3,}', line)), default=2)
        mark = '"' * (longest + 1 + self.chance(0.1))
        return [mark, *lines, mark]

    def grouped(self, text: str) -> str:
        """A text that stands below the head, with lines that have something in common under a head, or as it is."""
        if "⟦" in text or "\n" not in text or self.chance(0.5):
            return text
        self.notes.add(STARTS)
        lines = text.split("\n")
        found: list[str] = []
        inside = False
        while lines:
            indented = [line.startswith(" ") for line in lines[:2]]
            misread = inside if indented[0] else "*" in lines[0] and indented[-1]
            inside = misread or self.chance(0.3)
            if not inside:
                found.append(lines.pop(0))
                continue
            group = [lines.pop(0) for _ in range(min(len(lines), self.rng.randint(1, 4)))]
            alike = takewhile(lambda places: len(set(places)) == 1, zip(*group, strict=False))
            start = "".join(place for place, *_ in alike)
            start = (
                "" if start.startswith(" ") or self.chance(0.2) else start[: self.rng.randint(0, len(start))].partition("*")[0]
            )
            found += self.filled(start, [line[len(start) :] for line in group])
        return "\n".join(found)

    def filled(self, start: str, rests: list[str]) -> list[str]:
        """A head and its rows: two holes where a sign parts all of the rests."""
        signs = [sign for sign in ":,;=|- " if all("\t" not in rest.partition(sign)[0] and sign in rest for rest in rests)]
        if not signs or self.chance(0.5):
            return [start + "*", *(" " + rest for rest in rests)]
        sign = self.rng.choice(signs)
        self.notes.add(FILLS)
        rows = [rest.partition(sign) for rest in rests]
        if sign in ",;" and self.chance(0.5):
            return [f"{start}*{sign}*", *(f" {rest}" for rest in rests)]
        if sign in ",;":
            return [f"{start}*", *(f" {rest}" for rest in rests)]
        return [f"{start}*{sign}*", *(f" {first}\t{last}" for first, _, last in rows)]

    def raw(self, text: str, *, starts: bool = True, ends: bool = True) -> str:
        """Raw text for a text; `starts`, `ends`: whether its first and last line are whole lines."""
        if "⟦" in text:
            return text
        for text_of, spelled in self.made.blocks.items():
            at = text.find(text_of)
            if at >= 0 and self.chance(0.7):
                before, after = text[:at], text[at + len(text_of) :]
                return (
                    self.raw(before, starts=starts, ends=False)
                    + self.raw_block(spelled)
                    + self.raw(after, starts=False, ends=ends)
                )
        lines = text.split("\n")
        found: list[str] = []
        at = 0
        while at < len(lines):
            count = 1
            while at + count < len(lines) and lines[at + count] == lines[at] and self.chance(0.95):
                count += 1
            if (at == 0 and not starts) or (at + count == len(lines) and not ends):
                count = 1
            found.append(re.sub(r"([^\n\r])\1+", self.run, lines[at]))
            if count > 1:
                self.notes.add(RAWS)
                found.append(f"⟦× {count}⟧")
            at += count
        return "\n".join(found)

    def run(self, match: re.Match[str]) -> str:
        """A character that stands several times in a row."""
        if self.chance(0.5) or "\ud800" <= match[1] <= "\udfff":
            return match[0]
        self.notes.add(RAWS)
        return f"⟦{self.quoted(match[1])} × {len(match[0])}⟧"

    def raw_block(self, spelled: Spelled) -> str:
        """A value in raw text."""
        self.notes.add(RAWS)
        cut = f" cut {spelled.cut}" if spelled.cut else ""
        return f"⟦{spelled.style}{cut}⟧\n" + "\n".join(self.inside(spelled)) + "\n⟦end⟧"

    # ---------------------------------------------------------------------------------- tables

    def table(self, value: Value, indent: int) -> list[str] | None:
        """A table's head (without what stands before it) and its rows; None if the value is none, or the dice say so."""
        if self.chance(0.1):
            return None
        if isinstance(value, Object):
            keys = [key for key, _ in value.members]
            return self.table_of(records_of([inner for _, inner in value.members], 2), indent, keys=keys)
        if not isinstance(value, Array) or len(value.elements) < 2:
            return None
        if all(map(is_scalar, value.elements)):
            return self.list_of(value.elements, indent)
        if (found := listed_in(value.elements)) and self.chance(0.8):
            records = records_of([record for inner in found[1] for record in inner], 1)
            table = self.table_of(records, indent, groups=[len(inner) for inner in found[1]], lister=found[0])
            if table is not None:
                return table
        lists = [element.elements for element in value.elements if isinstance(element, Array)]
        if len(lists) < len(value.elements):
            return self.table_of(records_of(list(value.elements), 2), indent)
        width = len(lists[0])
        if width >= 1 and all(len(inner) == width and all(map(is_scalar, inner)) for inner in lists):
            fixed = self.fixed(lists)
            columns = (
                self.numbered([None if number not in fixed else lists[0][number] for number in range(width)]) if fixed else ""
            )

            def row(number: int, at: int) -> list[str]:
                return self.scalar_row(tuple(value for place, value in enumerate(lists[number]) if place not in fixed), at)

            rows = self.left_out(len(lists), row, lambda count: [f"[{count}][{width}]:{columns}"], indent)
            return [f"[{len(lists)}][{width}]:{columns}", *rows]
        records = records_of([record for inner in lists for record in inner], 1)
        return self.table_of(records, indent, groups=[len(inner) for inner in lists])

    def fixed(self, lists: list[tuple[Value, ...]]) -> set[int]:
        """The places where all lists have the same scalar on one line, as far as the dice want; not all places."""
        alike = {
            place
            for place, values in enumerate(zip(*lists, strict=True))
            if len(set(values)) == 1 and not (isinstance(values[0], str) and values[0] in self.made.spelled)
        }
        alike = {place for place in alike if self.chance(0.8)}
        return alike if len(alike) < len(lists[0]) else set()

    def numbered(self, values: list[Value | None]) -> str:
        """The columns of a matrix; None: a cell in each row."""
        shown = []
        for number, value in enumerate(values, 1):
            same = number > 1 and value is not None and value == values[number - 2]
            if same and not (isinstance(value, str) and "\n" in value) and self.chance(0.7):
                before, sign, text = shown[-1].partition("=")
                shown[-1] = f"{before}, {number}{sign}{text}"
            else:
                shown.append(str(number) if value is None else f"{number}={self.inline(value, 'constant')}")
        return " " + "\t".join(shown)

    def list_of(self, values: tuple[Value, ...], indent: int) -> list[str]:
        """A list of scalars, one in a row."""
        plan = Planner(self, said=False).stemmed(Plan((), list(values)))
        stem = "*".join(plan.stem or ())
        self.notes |= {STEMS} if stem else set()
        table = Table(self, [plan])
        rows = self.left_out(len(values), table.row, lambda count: [f"[{count}]={stem}"], indent)
        return [f"[{len(values)}]={stem}", *rows]

    def table_of(
        self,
        records: list[Object] | None,
        indent: int,
        keys: list[str] | None = None,
        groups: list[int] | None = None,
        lister: str | None = None,
    ) -> list[str] | None:
        """A table of records; under keys, or in groups, each group alone in an object under the lister."""
        plans = Planner(self, said=True).columns([*records]) if records else None
        if not plans or not records:
            return None
        if keys is None and all(plan.constant is not None for plan in plans):
            at = self.rng.randrange(len(plans))
            plans[at] = Plan(plans[at].path, plans[at].cells)
        if keys is not None:
            plans = [
                Plan(plan.path, plan.cells, keyed=True) if plan.cells == keys and not plan.said and self.chance(0.8) else plan
                for plan in plans
            ]
        table = Table(self, plans)
        before, behind = ("{", "}: (key)\t") if keys is not None else ("[", "]: ")

        def row(number: int, at: int) -> list[str]:
            return table.row(number, at, key=keys[number] if keys is not None else None)

        def part(count: int) -> list[str]:
            return [f"{before}{count}{behind}{table.cols()}", *table.said(0)]

        rows = self.left_out(len(records), row, part, indent, groups)
        if groups is not None:
            path = "" if lister is None else f".{self.key(lister)}"
            return [f"[{len(groups)}]{path}[]: {table.cols()}", *table.said(indent), *rows]
        return [f"{before}{len(records)}{behind}{table.cols()}", *table.said(indent), *rows]

    def left_out(
        self, count: int, row: MakeRow, part: Callable[[int], list[str]], indent: int, groups: list[int] | None = None
    ) -> list[str]:
        """Rows, some of them left out: then they are in a part."""
        leaves, self.omit = self.omit, False
        leaving = leaves and self.chance(0.5)
        out = {number for number in range(count) if leaving and self.chance(0.5)}
        out = out if len(out) >= 2 else set()
        ref = f"r.{self.rng.choice('ab')}-{len(self.parts) + 1}"
        lines: list[str] = []
        number = 0
        for size in [count] if groups is None else groups:
            lines += [" " * indent + f"[{size}]"] * (groups is not None)
            end = number + size
            while number < end:
                run = 0
                while number + run < end and number + run in out and (run == 0 or self.chance(0.9)):
                    run += 1
                if run:
                    self.notes.add(OMISSIONS)
                    lines.append(" " * indent + f"<<ccr:{ref} {run} rows left out{self.rng.choice(('', ': a 1 to 2; b [x]'))}>>")
                else:
                    lines += row(number, indent)
                number += run or 1
        if out:
            kept = [line for number in sorted(out) for line in row(number, 0)]
            self.parts[ref] = "\n".join([*part(len(out)), *kept])
            kind = STYLE_HERE.get() if is_printed() else "json"
            self.parts[ref] = "\n".join([head(kind, *self.notes), self.parts[ref]])
        self.omit = leaves
        return lines

    def scalar_row(self, values: tuple[Value, ...], indent: int) -> list[str]:
        """A row of scalars without columns."""
        below: list[str] = []
        styles: list[str] = []
        return [" " * indent + "\t".join([self.cell(value, indent, below, styles) for value in values]), *below]

    def cell(self, value: Value, indent: int, below: list[str], styles: list[str]) -> str:
        """A cell of any value; what goes below its row is added to `below`, a style to `styles`."""
        if isinstance(value, str) and value in self.made.spelled and self.chance(0.7):
            spelled = self.made.spelled[value]
            style = f"({spelled.style})"
            below += [" " * (indent + 1) + style] * (len(styles) > 0)
            styles.append(style)
            with spelled_in(spelled.style):
                table = self.table(spelled.inner, indent + 2)
                below += [" " * (indent + 1) + table[0], *table[1:]] if table else self.block(spelled.inner, indent + 1)
            return style
        if isinstance(value, str) and (fence := self.fence(value)):
            below += [" " * (indent + 1) + fence[0]] * (len(styles) > 0)
            below += fence[1:]
            return fence[0]
        return self.inline(value, "cell")
