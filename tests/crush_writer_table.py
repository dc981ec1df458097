"""Tables for the naive writer of crush texts: any columns that the grammar allows for some records, at random."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import TYPE_CHECKING

from tests.crush_reference import GAPS, SAID, STEMS, Array, Literal, Object, Value
from tests.crush_values import is_record

if TYPE_CHECKING:
    from tests.crush_writer import Writer

NEVER_IN_STEM = re.compile("[*=\x00-\x1f\x7f\x85\u2028\u2029⟦\ud800-\udfff]")
Path = tuple[str | int, ...]
Cells = list[Value | None]


@dataclass(frozen=True)
class Plan:
    """How a column is to be written; `cells`: its value in each record, None where there is none."""

    path: Path
    cells: Cells
    constant: str | None = None
    stem: tuple[str, str] | None = None
    said: Objects | None = None
    keys: tuple[str, ...] = ()
    keyed: bool = False  # its values are the keys of the rows


@dataclass(frozen=True)
class Objects:
    """Objects that are said once, and the columns of their table."""

    key: str
    objects: list[Value]
    plans: list[Plan]


def is_scalar(value: Value | None) -> bool:
    """Whether it is a literal or a string."""
    return isinstance(value, Literal | str)


def records_of(values: list[Value], least: int) -> list[Object] | None:
    """The values if all are records, and enough."""
    records = [value for value in values if isinstance(value, Object) and is_record(value)]
    return records if len(records) == len(values) >= least else None


def listed_in(values: Sequence[Value]) -> tuple[str, list[tuple[Value, ...]]] | None:
    """The key, if each value is an object of that one key under which it has a list, and those lists."""
    keys: set[str] = set()
    lists: list[tuple[Value, ...]] = []
    for value in values:
        members = value.members if isinstance(value, Object) else ()
        keys |= {key for key, _ in members}
        lists += [inner.elements for _, inner in members if len(members) == 1 and isinstance(inner, Array)]
    return (keys.pop(), lists) if len(keys) == 1 and len(lists) == len(values) else None


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


class Planner:
    """Chooses columns for records."""

    def __init__(self, writer: Writer, *, said: bool) -> None:
        self.writer = writer
        self.said = said

    def columns(self, records: list[Object | None], prefix: Path = ()) -> list[Plan] | None:
        """The columns of records."""
        order = merged([[key for key, _ in record.members] for record in records if record])
        if order is None:
            return None
        plans: list[Plan] = []
        for key in order:
            plans += self.node((*prefix, key), [dict(record.members).get(key) if record else None for record in records])
        return plans

    def node(self, path: Path, cells: Cells) -> list[Plan]:
        """The columns of the values in one place of the records."""
        for divide in (self.tuples, self.once, self.element, self.parts):
            if self.writer.chance(0.6):
                inside, plans = divide(path, cells)
                if plans:
                    others = [None if taken else cell for cell, taken in zip(cells, inside, strict=True)]
                    own = [self.stemmed(Plan(path, others))] if any(cell is not None for cell in others) else []
                    return own + plans
        plan = Plan(path, cells)
        first = cells[0]
        if first is not None and all(cell == first for cell in cells) and self.writer.chance(0.8):
            text = self.writer.inline(first, "constant")
            if text.startswith('"') or "*" not in text:
                return [replace(plan, constant=text)]
        return [self.stemmed(plan)]

    def stemmed(self, plan: Plan) -> Plan:
        """The column, under a stem if it can be and the dice say so."""
        texts = [cell for cell in plan.cells if isinstance(cell, str)]
        stem = self.stem(texts) if len(texts) == sum(cell is not None for cell in plan.cells) else None
        return replace(plan, stem=stem) if stem else plan

    def stem(self, texts: list[str]) -> tuple[str, str] | None:
        """Some common beginning and end of the texts, if the dice want one."""
        if not texts or self.writer.chance(0.3):
            return None
        shortest = min(map(len, texts))
        size = 0
        while size < shortest and len({text[: size + 1] for text in texts}) == 1:
            size += 1
        prefix = texts[0][: self.writer.rng.choice((0, size // 2, size))]
        size = 0
        while size < shortest - len(prefix) and len({text[-size - 1 :] for text in texts}) == 1:
            size += 1
        size = self.writer.rng.choice((0, size // 2, size))
        suffix = texts[0][len(texts[0]) - size :]
        if not prefix + suffix or prefix.startswith('"') or NEVER_IN_STEM.search(prefix + suffix):
            return None
        return prefix, suffix

    def tuples(self, path: Path, cells: Cells) -> tuple[list[bool], list[Plan]]:
        """Lists of records with the same keys."""
        found = [
            records_of(list(cell.elements), self.writer.rng.choice((0, 1))) if isinstance(cell, Array) else None for cell in cells
        ]
        keys = next((tuple(key for key, _ in records[0].members) for records in found if records), ())
        inside = [
            records is not None and all(tuple(key for key, _ in record.members) == keys for record in records)
            for records in found
        ]
        taken = [cell if is_in else None for cell, is_in in zip(cells, inside, strict=True)]
        return inside, [Plan(path, taken, keys=keys)] if keys else []

    def once(self, path: Path, cells: Cells) -> tuple[list[bool], list[Plan]]:
        """Objects that their first member tells apart."""
        objects = [cell if isinstance(cell, Object) and is_record(cell) else None for cell in cells]
        key = next((each.members[0][0] for each in objects if each), "")
        known: dict[Value, Object] = {}
        inside = []
        for each in objects:
            teller = each.members[0][1] if each and each.members[0][0] == key else None
            good = isinstance(teller, str) or (isinstance(teller, Literal) and teller.text[0] in "-0123456789")
            inside.append(bool(good and each and teller is not None and known.setdefault(teller, each) == each))
        plans = Planner(self.writer, said=False).columns(list(known.values())) if self.said and len(known) >= 2 else None
        if not plans or plans[0].path != (key,) or plans[0].constant is not None:
            return inside, []
        taken = [cell if is_in else None for cell, is_in in zip(cells, inside, strict=True)]
        return inside, [Plan(path, taken, said=Objects(key, list(known.values()), plans))]

    def element(self, path: Path, cells: Cells) -> tuple[list[bool], list[Plan]]:
        """Lists of one element."""
        found = [cell.elements[0] if isinstance(cell, Array) and len(cell.elements) == 1 else None for cell in cells]
        inside = [cell is not None for cell in found]
        return inside, self.node((*path, 0), found) if any(inside) and path[-1] != 0 else []

    def parts(self, path: Path, cells: Cells) -> tuple[list[bool], list[Plan]]:
        """Objects spread over columns of their own."""
        objects = [cell if isinstance(cell, Object) and is_record(cell) else None for cell in cells]
        plans = self.columns(objects, path) if any(objects) else None
        return [each is not None for each in objects], plans or []


class Table:
    """Columns and their cells, to be written at any indent."""

    def __init__(self, writer: Writer, plans: list[Plan]) -> None:
        self.writer = writer
        self.plans = plans
        self.copies = [
            at > 0
            and self.is_plain(plan)
            and self.is_plain(plans[at - 1])
            and plan.cells == plans[at - 1].cells
            and writer.chance(0.8)
            for at, plan in enumerate(plans)
        ]
        self.varying = [
            plan
            for plan, copies in zip(plans, self.copies, strict=True)
            if plan.constant is None and not copies and not plan.keyed
        ]
        if any(plan.stem for plan in plans):
            writer.notes.add(STEMS)

    def is_plain(self, plan: Plan) -> bool:
        """Whether its cells are values."""
        return (
            plan.constant is None and not plan.stem and not plan.said and not plan.keys and not plan.keyed and len(plan.path) > 0
        )

    def cols(self) -> str:
        """The columns, as the table's head names them."""
        found: list[str] = []
        at = 0
        while at < len(self.plans):
            plan = self.plans[at]
            names = [self.path(plan.path)]
            at += 1
            same = plan.constant is not None and self.writer.is_same(plan.cells[0])
            while same and at < len(self.plans) and self.plans[at].constant is not None and self.writer.chance(0.7):
                if self.plans[at].cells[0] != plan.cells[0]:
                    break
                names.append(self.path(self.plans[at].path))
                at += 1
            while self.is_plain(plan) and at < len(self.plans) and self.copies[at]:
                names.append(self.path(self.plans[at].path))
                at += 1
            found.append(", ".join(names) + self.rest(plan))
        return "\t".join(found)

    def path(self, path: Path) -> str:
        """A path."""
        return "".join("[0]" if isinstance(step, int) else "." * (i > 0) + self.writer.key(step) for i, step in enumerate(path))

    def rest(self, plan: Plan) -> str:
        """What stands behind a column's path."""
        if plan.constant is not None:
            value = plan.cells[0]
            return "=" + ('""' if value == "" else plan.constant)
        if plan.keyed:
            return "=(key)"
        if plan.stem:
            return f"={plan.stem[0]}*{plan.stem[1]}"
        if plan.said:
            return f"({self.writer.key(plan.said.key)})"
        return f"[{', '.join(map(self.writer.key, plan.keys))}]" if plan.keys else ""

    def said(self, indent: int) -> list[str]:
        """The tables of what is said once."""
        lines: list[str] = []
        leaves, self.writer.omit = self.writer.omit, False
        for plan in self.plans:
            if plan.said:
                self.writer.notes.add(SAID)
                table = Table(self.writer, plan.said.plans)
                count = len(plan.said.objects)
                lines.append(" " * indent + f"{self.path(plan.path)} [{count}]: {table.cols()}")
                lines += [line for row in range(count) for line in table.row(row, indent + 1)]
        self.writer.omit = leaves
        return lines

    def row(self, row: int, indent: int, *, key: str | None = None) -> list[str]:
        """A row and what stands below it."""
        cells = [] if key is None else [self.writer.string(key, "text")]
        below: list[str] = []
        styles: list[str] = []
        for plan in self.varying:
            cells.append(self.cell(plan, plan.cells[row], indent, below, styles))
        return [" " * indent + "\t".join(cells), *below]

    def cell(self, plan: Plan, value: Value | None, indent: int, below: list[str], styles: list[str]) -> str:
        """A cell; what goes below its row is added to `below`."""
        writer = self.writer
        if value is None:
            writer.notes.add(GAPS)
            return ""
        if plan.keys and value == Array(()):
            return "[]"
        if plan.keys and isinstance(value, Array):
            records = [[member for _, member in each.members] for each in value.elements if isinstance(each, Object)]
            return " ".join(
                "(" + ",".join(writer.glue(v) * (i > 0) + writer.flow(v) for i, v in enumerate(record)) + ")"
                for record in records
            )
        if plan.stem and isinstance(value, str):
            return writer.string(value[len(plan.stem[0]) : len(value) - len(plan.stem[1])], "text")
        if plan.said and isinstance(value, Object):
            return writer.inline(value.members[0][1], "cell")
        return writer.cell(value, indent, below, styles)
