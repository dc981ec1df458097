"""The search inside an original: which of its rows, items or lines match a query, best first.

A word counts by how it matches (as the cell of the column that was named, as a whole cell, a whole word, a part of one) and by
how rare it is. What stands in a head (constants, stems, said-once objects, keys around) holds for all that stand below.
"""

import re
from bisect import bisect_right
from collections import Counter
from decimal import Decimal
from enum import IntEnum
from itertools import accumulate
from typing import Final, NamedTuple, TypeVar

from headroom_asgi.retrieval.outline import Column, Kind, Outline, Role, is_stem, outline, unquoted
from headroom_asgi.retrieval.query import Term, normalized, parsed, plain_number

_MAX_STEPS = 16  # of a path that a question may name by its end; any text may hold a key of many dots
_MAX_LOOKS: Final = 32  # occurrences of a word that are looked at in one entry
_MIN_DIGITS: Final = 3  # fewer are part of nearly every number
_NUMBER: Final = re.compile(r"[+-]?[$€£¥]? ?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?")
_TOKENS: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[^\W\d_]+")

Place = TypeVar("Place")


class Quality(IntEnum):
    """How well a word matches; what it counts for."""

    TOPIC = 1  # in the name of a table, column or key
    PART = 2
    WORD = 8
    CELL = 10
    NAMED_WORD = 12  # in the column that was named
    NAMED_CELL = 16


class Ranking(NamedTuple):
    """Entries that match: `strong` ones and those that match in part, both best first; words that stand nowhere."""

    strong: list[int]
    weak: list[int]
    absent: list[str]


class _Hits(NamedTuple):
    """Where one term stands: entries, scopes that hold for all below, and said-once objects by line of their head and key."""

    entries: dict[int, int]
    above: dict[int, int]
    said: dict[tuple[int, str], int]

    @property
    def best(self) -> int:
        return max((max(found.values(), default=0) for found in self), default=0)


class _Names(NamedTuple):
    """The columns of a table, and of its said-once objects, as `id(column)`: equal ones may stand in several tables."""

    whole: dict[str, set[int]]
    ends: dict[str, set[int]]


class Index:
    """A text with its outline, made to be searched."""

    def __init__(self, text: str) -> None:
        self.outline: Outline = outline(text)
        self._folded = text.casefold()
        self._spaced = self._folded.replace("\t", " ")
        ends = list(accumulate(len(line) + 1 for line in self._folded.split("\n")))
        self._offsets = [ends[start - 1] if start else 0 for start in self.outline.starts]
        self._names: dict[int, _Names] = {}

    def rank(self, query: str) -> Ranking:
        """The entries that match a query."""
        terms = parsed(query, self._is_column)
        topics = frozenset(term.text for term in terms if not term.column)
        hits = [self._hits(term, topics) for term in terms]
        self._spread_said(hits)
        for term, found in zip(terms, hits, strict=True):
            _prune(term, found)
        weights = self._weights(hits)
        scores = self._scores(hits, weights)
        absent = [t.word for t, found in zip(terms, hits, strict=True) if not found.best and not t.is_phrase]
        if not scores:
            return Ranking([], [], absent)
        wanted = [found for t, found in zip(terms, hits, strict=True) if t.column and found.best >= Quality.NAMED_WORD]
        full = [unit for unit in scores if all(self._quality_of(found, unit) >= Quality.NAMED_WORD for found in wanted)]
        order = sorted(scores, key=lambda unit: (-scores[unit], unit))
        allowed = set(full) if full and wanted else scores.keys()
        best = max(scores[unit] for unit in allowed)
        strong = [unit for unit in order if unit in allowed and 2 * scores[unit] >= best]
        taken = set(strong)
        return Ranking(strong, [unit for unit in order if unit not in taken], absent)

    # -- where a term stands -------------------------------------------------------------------------------------------

    def _is_column(self, name: str) -> bool:
        """Whether a column or a member has that normalized name."""
        if any(name in names for scope in range(len(self.outline.table)) for names in self._named(scope)):
            return True
        pattern = "[ _-]*".join(map(re.escape, name))
        return re.search(rf'^ *+(?:- )?+(?:[^\n:]*\.)?"?{pattern}"?(?:, [^\n:]*)?: ', self._folded, re.MULTILINE) is not None

    def _named(self, number: int) -> _Names:
        """The columns of a table, and of its said-once objects, by normalized path, and by each end of it."""
        if number not in self._names:
            scope = self.outline.table[number]
            whole: dict[str, set[int]] = {}
            ends: dict[str, set[int]] = {}
            columns = [(path, column) for column in scope.columns for path in column.names]
            columns += [
                (f"{outer}.{path}", column)
                for said in scope.said
                for outer in said.column.names
                for column in said.columns
                for path in column.names
            ]
            for path, column in columns:
                steps = normalized(path).rsplit(".", _MAX_STEPS)
                whole.setdefault(".".join(steps), set()).add(id(column))
                for start in range(1, len(steps)):
                    ends.setdefault(".".join(steps[start:]), set()).add(id(column))
            self._names[number] = _Names(whole, ends)
        return self._names[number]

    def _is_meant(self, term: Term, number: int, column: Column) -> bool:
        """Whether a condition is on that column: by its whole path, or by the end of it where no other has it as its path."""
        whole, ends = self._named(number)
        return id(column) in whole.get(term.column, ends.get(term.column, ()))

    def _hits(self, term: Term, topics: frozenset[str]) -> _Hits:
        found = _Hits({}, {}, {})
        if term.column:
            self._compare(term, found)
        if term.operator != "=":
            return found
        hay = self._spaced if " " in term.text else self._folded
        size, units = len(term.text), len(self._offsets)
        at = hay.find(term.text, self._offsets[0]) if term.text and units else -1
        last, looks = -1, 0
        while at >= 0:
            unit = bisect_right(self._offsets, at) - 1
            looks = looks + 1 if unit == last else 0
            last = unit
            end = self._offsets[unit + 1] if unit + 1 < units else len(hay)
            role = self.outline.roles[unit]
            if role == Role.ENTRY:
                quality = self._quality(term, topics, unit, at)
                if quality > found.entries.get(unit, 0):
                    found.entries[unit] = quality
            elif role == Role.HEAD:
                quality = self._head_quality(term, unit, at, end - 1)
                scope = self.outline.scopes[unit]
                if quality > Quality.TOPIC or not term.text.isdigit():  # a number there says how many
                    found.above[scope] = max(quality, found.above.get(scope, 0))
            else:
                quality = self._said_quality(term, topics, unit, at, found)
            at = hay.find(term.text, end if quality >= Quality.NAMED_WORD or looks >= _MAX_LOOKS else at + size)
        return found

    def _boundary(self, term: Term, at: int) -> int:
        """Whether the term fills a cell, is a whole word, or a part of one, where it stands."""
        text = self._folded
        end = at + len(term.text)
        if term.text.isalpha() and text.startswith("s", end):
            end += 1
        before, after = text[at - 1 : at], text[end : end + 1]
        word = term.text
        if (word[0].isalnum() and before.isalnum()) or (word[-1].isalnum() and after.isalnum()):
            return Quality.PART
        if word.isdigit() and (_is_joined(text[max(0, at - 2) : at]) or _is_joined(text[end : end + 2][::-1])):
            return Quality.PART
        if after in ("", "\n", "\t", '"'):
            if before in ("", "\n", "\t", '"', "="):
                return Quality.CELL
            line = text[max(0, at - 64) : at].rstrip(" ")[-1:]
            if before == " " and line in ("", "\n", ":", "-"):
                return Quality.CELL
        return Quality.WORD

    def _quality(self, term: Term, topics: frozenset[str], unit: int, at: int) -> int:
        """How well a term matches where it stands in an entry."""
        quality = self._boundary(term, at)
        scope = self.outline.table[self.outline.scopes[unit]]
        if scope.kind is not Kind.LINES and quality == Quality.PART and term.text.isdigit() and len(term.text) < _MIN_DIGITS:
            return 0
        if scope.kind is Kind.LINES or quality == Quality.PART:
            return quality
        start = self._offsets[unit]
        line = self._folded.rfind("\n", start, at) + 1 or start
        if scope.cells and line == start:
            cell = self._folded.count("\t", start, at)
            if cell >= len(scope.cells):
                return quality
            column = scope.cells[cell]
            return _with_name(quality, topics, column.names, named=self._is_meant(term, self.outline.scopes[unit], column))
        key, colon, _ = self._folded[line:at].partition(": ")
        if key.lstrip(" ").startswith("- "):
            return quality
        if not colon:
            return _topic_or(quality, self._folded, at)
        paths = [normalized(path.strip('"')) for path in key.strip(" ").split(", ")]
        named = any(term.column in (path, path.rpartition(".")[2]) for path in paths)
        return _with_name(quality, topics, (key,), named=named)

    def _head_quality(self, term: Term, unit: int, at: int, end: int) -> int:
        """How well a term matches where it stands in a head: as a constant or stem, or as a name."""
        scope = self.outline.table[self.outline.scopes[unit]]
        if scope.line != self.outline.starts[unit]:
            return Quality.TOPIC
        return self._constant_quality(term, self.outline.scopes[unit], scope.columns, self._offsets[unit], at, end)

    def _constant_quality(self, term: Term, scope: int, columns: tuple[Column, ...], start: int, at: int, end: int) -> int:
        number = self._folded.count("\t", start, at)
        column = columns[number] if number < len(columns) else None
        if column is None or column.value is None:
            return Quality.TOPIC
        stop = self._folded.find("\t", at, end)
        if at < (stop if stop >= 0 else end) - len(column.value.casefold()):
            return Quality.TOPIC
        quality = self._boundary(term, at)
        if is_stem(column.value):
            return min(quality, Quality.WORD)
        return _with_name(quality, frozenset(), (), named=self._is_meant(term, scope, column))

    def _said_quality(self, term: Term, topics: frozenset[str], unit: int, at: int, found: _Hits) -> int:
        """The same for a said-once object: it holds for the rows that name it."""
        number, line = self.outline.scopes[unit], self.outline.starts[unit]
        said = next(said for said in self.outline.table[number].said if said.start <= line < said.end)
        start = self._offsets[unit]
        if line == said.start:
            end = self._folded.find("\n", at)
            quality = self._constant_quality(term, number, said.columns, start, at, end if end >= 0 else len(self._folded))
            found.above[number] = max(quality, found.above.get(number, 0))
            return quality
        quality = self._boundary(term, at)
        cell, cells = self._folded.count("\t", start, at), said.cells
        if quality > Quality.PART and cell < len(cells):
            names = (*said.column.names, *cells[cell].names)
            quality = _with_name(quality, topics, names, named=self._is_meant(term, number, cells[cell]))
        key = (said.start, said.key_of(self.outline.lines[line]))
        found.said[key] = max(quality, found.said.get(key, 0))
        return quality

    def _compare(self, term: Term, found: _Hits) -> None:
        """Where a column's value is as a condition wants it: in rows, for all rows, and in said-once objects."""
        out = self.outline
        meant: dict[int, list[tuple[int, Column]]] = {}
        for number, scope in enumerate(out.table):
            cells = [(i, column) for i, column in enumerate(scope.cells) if self._is_meant(term, number, column)]
            if cells:
                meant[number] = cells
            for column in scope.columns:
                if column not in scope.cells and self._is_meant(term, number, column):
                    _raise(found.above, number, _compared(column.value or "", term))
            for said in scope.said if not scope.is_group else ():
                for i, column in enumerate(said.cells):
                    if self._is_meant(term, number, column):
                        for line in out.lines[said.start + 1 : said.end]:
                            if quality := _holds(line, i, column, term):
                                _raise(found.said, (said.start, said.key_of(line)), quality)
        if not meant:
            return
        for unit, number in enumerate(out.scopes):
            if number in meant and out.roles[unit] == Role.ENTRY:
                line = out.lines[out.starts[unit]]
                _raise(found.entries, unit, max(_holds(line, i, column, term) for i, column in meant[number]))

    def _spread_said(self, hits: list[_Hits]) -> None:
        """What a said-once object matches its rows match."""
        wanted: dict[int, dict[str, list[tuple[dict[int, int], int]]]] = {}
        for found in hits:
            for (line, key), quality in found.said.items():
                wanted.setdefault(line, {}).setdefault(key, []).append((found.entries, quality))
        if not wanted:
            return
        out = self.outline
        for unit, number in enumerate(out.scopes):
            if out.roles[unit] != Role.ENTRY or not out.table[number].said:
                continue
            cells = out.lines[out.starts[unit]].lstrip(" ").split("\t")
            for said in out.table[number].said:  # in the order of their cells
                if said.cell >= len(cells):
                    break
                for entries, quality in wanted.get(said.start, {}).get(unquoted(cells[said.cell]), ()):
                    entries[unit] = max(quality, entries.get(unit, 0))

    # -- what that is worth --------------------------------------------------------------------------------------------

    def _weights(self, hits: list[_Hits]) -> list[int]:
        """Eight times the binary logarithm of how rare each term is, at least 1; by integers only."""
        entries = Counter(s for s, role in zip(self.outline.scopes, self.outline.roles, strict=True) if role == Role.ENTRY)
        total = sum(entries.values())
        weights = []
        for found in hits:
            self._inherit(found.above)
            holders = min(total, len(found.entries) + sum(entries[scope] for scope in found.above))
            weights.append(((16 * (total + 1) // (holders + 1)) ** 8).bit_length() - 32)
        return weights

    def _inherit(self, above: dict[int, int]) -> None:
        """What stands above a scope holds for it."""
        if above:
            for number, scope in enumerate(self.outline.table):
                outer = above.get(scope.parent, 0)
                if outer > above.get(number, 0):
                    above[number] = outer

    def _quality_of(self, found: _Hits, unit: int) -> int:
        return max(found.entries.get(unit, 0), found.above.get(self.outline.scopes[unit], 0))

    def _scores(self, hits: list[_Hits], weights: list[int]) -> dict[int, int]:
        """The score of every entry that matches. What only its heads' names match is asked for only if nothing else is."""
        base: dict[int, int] = Counter()
        solid: set[int] = set()
        for found, weight in zip(hits, weights, strict=True):
            for scope, quality in found.above.items():
                base[scope] += weight * quality
                if quality > Quality.TOPIC:
                    solid.add(scope)
        out = self.outline
        scores: dict[int, int] = {}
        for found, weight in zip(hits, weights, strict=True):
            for unit, quality in found.entries.items():
                scope = out.scopes[unit]
                scores[unit] = scores.get(unit, base[scope]) + weight * max(0, quality - found.above.get(scope, 0))
        shown = solid or (set() if scores else set(base))
        if shown:
            for unit, scope in enumerate(out.scopes):
                if scope in shown and out.roles[unit] == Role.ENTRY:
                    scores.setdefault(unit, base[scope])
        return scores


def _raise(found: dict[Place, int], place: Place, quality: int) -> None:
    """Note how well a term matches in a place, if that is better than what was found there."""
    if quality > found.get(place, 0):
        found[place] = quality


def _is_joined(two: str) -> bool:
    """Whether a number goes on behind (or before) a point or another joint: of "1.17" and "2024-05-17" the 17 is a part."""
    return len(two) == 2 and two[1] in ".,:/-" and two[0].isdigit()


def _topic_or(quality: int, text: str, at: int) -> int:
    """A word before the colon of a member's line is a name."""
    end = text.find("\n", at)
    return Quality.TOPIC if text.find(": ", at, end if end >= 0 else len(text)) >= 0 else quality


def _with_name(quality: int, topics: frozenset[str], names: tuple[str, ...], *, named: bool) -> int:
    """The quality with regard to the column that a term stands in; a word of the query that is in its name counts a little."""
    if quality < Quality.WORD:
        return quality
    if named:
        return Quality.NAMED_CELL if quality >= Quality.CELL else Quality.NAMED_WORD
    words = {word.casefold() for name in names for word in _TOKENS.findall(name)} if topics else set()
    return quality + (not words.isdisjoint(topics))


def _prune(term: Term, found: _Hits) -> None:
    """Of a condition only what fulfills it counts, if anything does, never parts of words; of an id no parts beside wholes."""
    best = found.best
    least = 0
    if term.column and best >= Quality.NAMED_WORD:
        least = Quality.NAMED_CELL if best >= Quality.NAMED_CELL else Quality.NAMED_WORD
    elif term.column or (best >= Quality.WORD and any(map(str.isdigit, term.text))):
        least = Quality.WORD
    for hits in (found.entries, found.above):
        for place in [place for place, quality in hits.items() if quality < least]:
            del hits[place]


def _holds(line: str, cell: int, column: Column, term: Term) -> int:
    """How well a row's cell is as a condition wants it."""
    cells = line.lstrip(" ").split("\t", cell + 1)
    prefix, _, suffix = (column.value or "*").partition("*")
    return _compared(f"{prefix}{unquoted(cells[cell])}{suffix}", term) if cell < len(cells) else 0


def _compared(cell: str, term: Term) -> int:
    """How well a cell stands to a condition's value as it says: as numbers if both are, else as texts that begin alike.

    Numbers of the same value that are spelled otherwise count less than the same text.
    """
    value, operator = term.text, term.operator
    folded = unquoted(cell).casefold()
    if not folded or folded == value:
        return Quality.NAMED_CELL if folded and operator in ("=", ">=", "<=") else 0
    if _NUMBER.fullmatch(folded) and _NUMBER.fullmatch(value):
        left, right = Decimal(plain_number(folded)), Decimal(plain_number(value))
        order = (left > right) - (left < right)
    elif operator == "=" or (operator != "!=" and not (folded[0].isdigit() and value[:1].isdigit())):
        return 0
    else:
        order = 1 if folded > value else -1
    if order == 0:
        return Quality.NAMED_WORD if operator in ("=", ">=", "<=") else 0
    holds = operator == "!=" or operator.removesuffix("=") == ("<" if order < 0 else ">")
    return Quality.NAMED_CELL if holds else 0
