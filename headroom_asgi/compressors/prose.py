"""Prose in a text: its paragraphs and their sentences. Headings, code, tables, quotations and lists of facts are none."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

Span: TypeAlias = tuple[int, int]  # of characters, `[start, end)`

_FENCE: Final = re.compile(r" {0,3}(?:`{3,}|~{3,})(.*)")
_INDENTED: Final = re.compile(r" {4}| {0,3}\t")
# How lines begin that are no prose: headings, tables, quotations, tags, prompts, code, rules, markers.
_SIGNS: Final = tuple("#|><$%@{}[=+\\/~`")
_ITEM: Final = re.compile(r"\s*(?:[-*•·–]|\(?(?:[0-9]{1,3}|[a-z])[.)])[ \t]+")
# Lines that an editor broke are some 60 to 100 long. A longer line is a paragraph by itself, behind a shorter one begins another.
_SHORT: Final = 50
_LONG: Final = 120

_MIN_LETTERS: Final = 40  # of a paragraph; with fewer it is a title or a fact
# Of a hundred characters so many at most are digits and signs that hardly stand in prose: with dates and sources some 5 to 10, in
# lists of facts, code and addresses 15 to 40.
_ODD: Final = re.compile(r"[0-9{}<>=+*/\\|_#$&@^~;`\[\]]")
_ODD_SHARE: Final = 12

_STOP: Final = re.compile(
    r"[.!?…]++[\"'”’»)\]*_]{0,4}(?:\[[0-9]{1,4}\]){0,20}\s++|[。！？]++[」』”）]*+(?:\[[0-9]{1,4}\]){0,20}\s*+"
)
_OPENERS: Final = "\"'“‘«([*_¿¡"
_LAST_WORD: Final = re.compile(r"[^\s(\[\"'“]{1,12}\Z")
_SHORTENED_WORDS: Final = """
    al approx art assn ave bros ca capt cf ch co col corp dept dr ed eds eg e.g esp est etc ext fig figs gen gov hon ie i.e inc jr
    lt ltd messrs mr mrs ms mt no nos op p.m a.m pp prof pt ref rep rev sec sen sr st univ v vol vs
"""
_SHORTENED: Final = frozenset(_SHORTENED_WORDS.split())
_MIN_SENTENCE: Final = 12  # characters; a shorter one ("Yes.", "3.") belongs to what follows


@dataclass(frozen=True, slots=True, repr=False)
class Sentence:
    """A sentence without the blanks around it.

    Attributes:
        start, end: its place in the text.
        leads: a paragraph begins with it, or what follows hangs on it.
    """

    start: int
    end: int
    leads: bool


def sentences(text: str, spans: Iterable[Span]) -> list[Sentence]:
    """The sentences of a text's prose, in order, as far as they stand in spans of whole lines."""
    found: list[Sentence] = []
    for start, end in spans:
        listed = False  # an item of the list stands above
        for first, behind in _blocks(text, start, end):
            item = _ITEM.match(text, first, behind) is not None
            if _is_prose(text[first:behind]):
                parts = _parts(text, first, behind)
                leads = not (item and listed and len(parts) == 1) or text[behind - 1] == ":"
                found += [Sentence(*part, leads and not number) for number, part in enumerate(parts)]
            listed = item
    return found


def _blocks(text: str, start: int, end: int) -> Iterator[Span]:
    """Stretches of lines that belong together: between blank lines, signs of other things, ends of long and short lines."""
    first, behind, before = -1, 0, 0  # the open stretch; length of the line before
    at = start
    lines = text[start:end].split("\n")
    # A fence at the head that closes was opened above.
    head = _FENCE.match(lines[0])
    fenced = head is not None and not head[1].strip() and sum(_FENCE.match(line) is not None for line in lines) % 2 == 1
    for line in lines:
        fence = _FENCE.match(line) is not None
        fenced = fenced != fence
        length = len(line.rstrip())
        item = _ITEM.match(line) is not None
        other = fenced or fence or not length or (not item and line.lstrip(" ").startswith(_SIGNS))
        other = other or (first < 0 and not item and _INDENTED.match(line) is not None)
        if first >= 0 and (other or item or not _SHORT <= before <= _LONG):
            yield first, behind
            first = -1
        if not other and first < 0:
            first = at + len(line) - len(line.lstrip())
        behind = at + length
        before = length
        at += len(line) + 1
    if first >= 0:
        yield first, behind


def _is_prose(block: str) -> bool:
    odd = len(_ODD.findall(block))
    return len(block) - odd - block.count(" ") >= _MIN_LETTERS and 100 * odd <= _ODD_SHARE * len(block)


def _parts(text: str, start: int, end: int) -> list[Span]:
    """The sentences of one paragraph. Where it is not sure that one ends, it goes on."""
    found: list[Span] = []
    first = start
    for stop in _STOP.finditer(text, start, end):
        if stop.end() >= end or stop.start() - first < _MIN_SENTENCE or not _ends(text, stop):
            continue
        found.append((first, stop.start() + len(stop[0].rstrip())))
        first = stop.end()
    found.append((first, end))
    return found


def _ends(text: str, stop: re.Match[str]) -> bool:
    """A stop ends a sentence: what follows begins one, and what stands before it is no shortened word, initial or number."""
    if stop[0][0] in "。！？":
        return True
    at = stop.end()
    while at < len(text) and at < stop.end() + 4 and text[at] in _OPENERS:
        at += 1
    if text[at : at + 1].islower():
        return False
    if stop[0][0] != ".":
        return True
    word = _LAST_WORD.search(text[max(0, stop.start() - 13) : stop.start()])
    if word is None:
        return True
    return word[0].lower() not in _SHORTENED and not (len(word[0]) == 1 and word[0].isalpha())
