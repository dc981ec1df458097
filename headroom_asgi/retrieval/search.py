"""The search inside an original: the lines that match a question, under the heads that name their columns.

Works on any text by lines. In the crush format (docs/crush-format.md) a record stays together with its texts of several lines,
and the head of its table is shown above it.
"""

import re
from typing import NamedTuple

_MAX_WORDS = 32  # distinct words of a question that are looked for: keeps the search linear in the text
_WORD = re.compile(r"""[^\s"'`,;()\[\]{}<>]+""")
_TABLE = re.compile(  # a table's head after its indent: an item or a key, a style, the number of records
    r"""(?:-[ ])?(?:(?:[^"\[\]{}(),:|=*.]+|"(?:[^"\\]|\\.)*")[ ])?(?:\(json[a-z0-9]*\)[ ])?\[[0-9]+\]:[ ]""", re.VERBOSE
)
_NO_TABLE = -1


class Summary(NamedTuple):
    """How a search went: `hits` of `total` lines, each with `has` of `words` words (as many: the whole question)."""

    hits: int
    total: int
    has: int
    words: int


class _Entry(NamedTuple):
    """The lines `[start, end)`: one line, or a record with its texts; `table` is the line of its table's head."""

    start: int
    end: int
    table: int


def matching(text: str, query: str) -> tuple[Summary, str]:
    """The lines that hold the query; if none does, those that hold most of its words. Case does not matter.

    Heads come along: the first line of a crush text, and that of each table with a match. Of `column=value` the value counts.
    """
    lines = text.split("\n")
    folded = text.casefold().split("\n")
    crushed = lines[0].startswith("[json")
    entries = _entries(lines) if crushed else [_Entry(i, i + 1, _NO_TABLE) for i in range(len(lines))]
    haystacks = [folded[e.start] if e.end == e.start + 1 else "\n".join(folded[e.start : e.end]) for e in entries]

    phrase = query.casefold()
    hits = [entry for entry, hay in zip(entries, haystacks, strict=True) if phrase in hay]
    summary = Summary(len(hits), len(entries), 1, 1)
    if not hits:
        words = _words(phrase)
        counts = [sum(word in hay for word in words) for hay in haystacks]
        best = max(counts, default=0)
        hits = [entry for entry, count in zip(entries, counts, strict=True) if best and count == best]
        summary = Summary(len(hits), len(entries), best, len(words))

    shown = [lines[0]] if crushed else []
    if crushed and not hits:
        shown += [line for line in lines[1:2] if _TABLE.match(line)]
    last = _NO_TABLE
    for entry in hits:
        if entry.table not in (_NO_TABLE, last):
            last = entry.table
            shown.append(lines[last])
        shown += lines[entry.start : entry.end]
    return summary, "\n".join(shown)


def _words(phrase: str) -> list[str]:
    """The distinct words of a question, the first ones if there are very many."""
    words = (word.rpartition("=")[2] or word for word in _WORD.findall(phrase))
    return list(dict.fromkeys(words))[:_MAX_WORDS]


def _entries(lines: list[str]) -> list[_Entry]:
    """What a crush text lists: members, items and records; without its heads."""
    entries = []
    table, depth = _NO_TABLE, 0
    at = 1
    while at < len(lines):
        start, line = at, lines[at]
        at += 1
        indent = len(line) - len(line.lstrip(" "))
        # What is deeper than a table's head is a record of it, whatever it looks like. A table without a name is the whole text.
        if table == _NO_TABLE or indent <= depth:
            table = _NO_TABLE
            if _TABLE.match(line, indent):
                table, depth = start, -1 if line.startswith("[") else indent
                continue
        for mark in _fences(line, in_table=table != _NO_TABLE):
            while at < len(lines) and lines[at] != mark:
                at += 1
            at += 1
        at = min(at, len(lines))
        entries.append(_Entry(start, at, table))
    return entries


def _fences(line: str, *, in_table: bool) -> list[str]:
    """The marks of the texts of several lines that stand below a line."""
    if '"""' not in line:
        return []
    cells = line.lstrip(" ").split("\t") if in_table else [line.rpartition(" ")[2]]
    return [cell for cell in cells if len(cell) >= 3 and not cell.strip('"')]
