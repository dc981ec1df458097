"""Stretches of a text that were written for programs: the bytes of a binary file read as text, scripts and styles on one line."""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

_MIN_CHARS: Final = 2_000  # of a stretch
# What is read for bytes that are no text: the replacement character, controls that no text has. Zeros have a form of their own.
_BINARY: Final = re.compile("[\ufffd\x01-\x08\x0e-\x1a\x1c-\x1f\x80-\x84\x86-\x9f]++")
_BINARY_SHARE: Final = 6  # one such character in so many; deciphered text has fewer
_BLOCK: Final = 1_000  # characters in which they are counted

# What scripts and rules of style consist of, however long their lines are.
_SCRIPT: Final = re.compile(
    r"\bfunction\b|=>|\breturn\b|&&|\|\||[!=]==|\bvoid 0\b|[(,:=]!(?:[01]\b|function)|\bvar \w|\bthis\.|\b(?:window|document)\."
)
_STYLE: Final = re.compile(r"[{;][a-z-]{2,40}:[^{};:\"]{1,80}(?=[;}])")
_SIGN_SHARE: Final = 100  # one of these in so many characters
_WINDOW: Final = 4_000  # characters of a line that are one thing
_LOOKED_AT: Final = 1_000  # of each of them
_LONG_LINE: Final = re.compile(rf"^[^\n]{{{_MIN_CHARS},}}+", re.MULTILINE)
_STARTS: Final = re.compile(
    r"\s*+(?:[(!;{}.#@/*'](?!\")|(?:var|let|const|function|window|document|self|if|try|import)\b|[\w.#-]+\{)"
)


class Stretch(NamedTuple):
    """A piece of a text: its span, and of what it is."""

    start: int
    end: int
    unit: str


def unreadable(text: str) -> Iterator[Stretch]:
    """The stretches of a text that no reader reads, in order; none of them overlap."""
    if len(text) < _MIN_CHARS:
        return
    at = 0
    for start, end in _binary(text):
        yield from _minified(text, at, start)
        yield Stretch(start, end, "characters of binary data")
        at = end
    yield from _minified(text, at, len(text))


def _binary(text: str) -> Iterator[tuple[int, int]]:
    """From where to where characters that are no text are many."""
    first = _BINARY.search(text)
    at = start = first.start() if first is not None else len(text)
    while at < len(text):
        block = text[at : at + _BLOCK]
        at += len(block)
        if sum(map(len, _BINARY.findall(block))) * _BINARY_SHARE >= len(block) and at < len(text):
            continue
        if at - start >= _MIN_CHARS + _BLOCK:
            yield start, at - len(block)
        following = _BINARY.search(text, at)
        at = start = following.start() if following is not None else len(text)


def _minified(text: str, start: int, end: int) -> Iterator[Stretch]:
    """Lines of scripts and styles that were made for no reader, as far as they are that."""
    for line in _LONG_LINE.finditer(text, start, end):
        behind = line.start()
        while behind < line.end() and (behind > line.start() or _STARTS.match(text, behind)) and _is_code(text, behind):
            behind = min(line.end(), behind + _WINDOW)
        if behind - line.start() >= _MIN_CHARS:
            yield Stretch(line.start(), behind, "characters of minified code")


def _is_code(text: str, at: int) -> bool:
    """Signs of a script, or rules of style, stand there as close as in no other text."""
    found = max(len(_SCRIPT.findall(text, at, at + _LOOKED_AT)), len(_STYLE.findall(text, at, at + _LOOKED_AT)))
    return found * _SIGN_SHARE >= min(_LOOKED_AT, len(text) - at)
