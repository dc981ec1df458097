"""Fragments of instructions that differ from conversation to conversation: dates, times, ids, tokens.

They are told by hand-written patterns. Each is linear: no part can be matched in two ways, and repetitions are bounded or end
where another class of characters begins. Patterns run only where something cheap says that they may match.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

MAX_CHARS: Final = 128_000  # of one text that are looked at; the longest instructions of known agents have half as many

_MONTH = r"(?:Jan|Feb|Mar|Apr|May|June?|July?|Aug|Sept?|Oct|Nov|Dec)[a-z]{0,6}\.?"
_WEEKDAY = r"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day"
_DAY = r"(?:3[01]|[12]\d|0?[1-9])(?:st|nd|rd|th|\.)?"
_ZONE = r"(?: ?(?:Z|UTC|GMT|C?E[SD]?T|P[SD]T)\b| ?[+-]\d\d:?\d\d)"
_CLOCK = rf"(?:[01]?\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:[.,]\d{{1,9}})?)?(?: ?(?:[AaPp][Mm]\b|[AaPp]\.[Mm]\.))?{_ZONE}?"

# Dates and times stand in instructions for many reasons; these count only behind a word that says that they are today's.
_DATED: Final = (
    # 2026-11-21, 2026-11-21T09:30:00Z, 2026/11/21 09:30: as programs write them.
    ("date", rf"(?:19|20)\d\d(?P<iso>[-/.])(?:1[0-2]|0?[1-9])(?P=iso)(?:3[01]|[12]\d|0?[1-9])(?:[T ]{_CLOCK})?"),
    # November 21, 2026; Nov 21st 2026 at 9:30 AM; November 2026: as templates write them for readers.
    ("date", rf"{_MONTH} (?:{_DAY},? )?(?:19|20)\d\d(?:,? (?:at )?{_CLOCK})?"),
    # 21 November 2026; 21. November 2026.
    ("date", rf"{_DAY} (?:of )?{_MONTH},? (?:19|20)\d\d(?:,? (?:at )?{_CLOCK})?"),
    # 11/21/2026, 21.11.2026.
    ("date", r"[0-3]?\d(?P<dot>[/.])[0-3]?\d(?P=dot)(?:19|20)\d\d"),
    # 09:30, 9:30:15 AM UTC.
    ("time", _CLOCK),
    # Seconds or milliseconds since 1970, from 2017 on.
    ("time", r"1[5-9]\d{8}(?:\d{3})?"),
    # Saturday.
    ("date", _WEEKDAY),
)
_NOW = (
    *("today", "now", "current", "currently", "date", "time", "datetime", "timestamp", "clock"),
    *("as of", "generated", "started", "it is", "it's", "this is"),
)
_NOT_NOW = re.compile(r"cut-?off|trained|training|e\.g\.|example|such as|version|released|opening|hours", re.IGNORECASE)
_NEAR = 64  # characters behind the word in which the date begins; no date is longer

_UNIQUE: Final = (
    # RFC 9562: made to be unique.
    ("uuid", r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"),
    # A JSON Web Token: its header begins with {" in base64.
    ("token", r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]+"),
    # Digests, and ids made of 128 random bits and more.
    ("hash", r"(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{32,128}"),
    # ULIDs: a time and random bits in Crockford's alphabet.
    ("id", r"(?=\d{0,25}[A-Z])[0-7][0-9A-HJKMNP-TV-Z]{25}"),
)
_SHORTEST_UNIQUE = 26

# What is called the id of something that begins and ends, or of a person.
_THINGS = (
    *("request", "session", "trace", "span", "conversation", "chat", "thread", "correlation", "run", "invocation"),
    *("transaction", "user", "customer", "account"),
)
_LABELED = re.compile(
    r"[a-z]+[ _-]?(?:id|token|key|number)[\"'`*]{0,3}(?: is| ?[:=]) {0,2}[\"'`*<]{0,3}(?P<id>[\w.:/+=-]{4,200})", re.IGNORECASE
)
_JOINS = ("", " ", ", ", " at ", " - ")  # between a date and its time, or its weekday


def _any_of(patterns: Sequence[tuple[str, str]], before: str, behind: str) -> re.Pattern[str]:
    """The patterns as groups named by kind and position, between characters that are none of those."""
    groups = "|".join(f"(?P<{kind}{i}>{pattern})" for i, (kind, pattern) in enumerate(patterns))
    return re.compile(f"(?<![{before}])(?:{groups})(?![{behind}])")


_DATES = _any_of(_DATED, r"\w.:/+-", r"\w:/+-")
_IDS = _any_of(_UNIQUE, r"\w.-", r"\w-")


@dataclass(frozen=True, slots=True, repr=False)
class Fragment:
    """The characters `[start, end)` of a text, and what they are: date, time, uuid, token, hash or id."""

    start: int
    end: int
    kind: str


def volatile(text: str) -> tuple[Fragment, ...]:
    """The fragments of a text of at most MAX_CHARS that are likely to differ in other conversations, in order and apart."""
    low = text.lower()
    if len(low) != len(text):  # places would differ: only words in lower case are seen
        low = text
    apart: list[Fragment] = []
    found = sorted([*_ids(text), *_labeled(text, low), *_dates(text, low)], key=lambda one: (one.start, -one.end))
    for fragment in found:
        if not apart or fragment.start >= apart[-1].end:
            whole = apart.pop() if apart and _is_joined(text, apart[-1], fragment) else fragment
            apart.append(Fragment(whole.start, fragment.end, whole.kind))
    return tuple(apart)


def _is_joined(text: str, last: Fragment, fragment: Fragment) -> bool:
    """Two that make one date."""
    return {last.kind, fragment.kind} <= {"date", "time"} and text[last.end : fragment.start] in _JOINS


def _ids(text: str) -> Iterator[Fragment]:
    """What is unique by its form. Only long words can be."""
    end = 0
    for word in text.split():
        if len(word) >= _SHORTEST_UNIQUE:
            start = text.index(word, end)
            end = start + len(word)
            for match in _IDS.finditer(text, start, end):
                yield _fragment(match)


def _labeled(text: str, low: str) -> Iterator[Fragment]:
    """Values of what is called an id or a token, if they have a digit."""
    for start, _ in _places(low, _THINGS):
        match = _LABELED.match(text, start)
        if match is not None:
            value = match["id"].rstrip(".:")
            if any(map(str.isdigit, value)):
                yield Fragment(match.start("id"), match.start("id") + len(value), "id")


def _dates(text: str, low: str) -> Iterator[Fragment]:
    """Dates and times that begin behind a word of today, where nothing says that it is another day's."""
    at = 0
    for _, end in _places(low, _NOW):
        at = max(at, end)
        while (match := _DATES.search(text, at, end + 2 * _NEAR)) is not None and match.start() < end + _NEAR:
            if _NOT_NOW.search(text, max(match.start() - _NEAR, 0), match.start()) is None:
                yield _fragment(match)
            at = match.end()
        at = max(at, end + _NEAR - 1) if match is None else match.start()


def _places(low: str, words: Sequence[str]) -> list[tuple[int, int]]:
    """Where whole words stand in a text, in order."""
    found = []
    for word in words:
        start = low.find(word)
        while start >= 0:
            end = start + len(word)
            if not low[start - 1 : start].isalpha():
                found.append((start, end))
            start = low.find(word, end)
    return sorted(found)


def _fragment(match: re.Match[str]) -> Fragment:
    assert match.lastgroup is not None
    return Fragment(*match.span(), match.lastgroup.rstrip("0123456789"))
