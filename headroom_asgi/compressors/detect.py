"""What kind of text a text is, decided from the text alone."""

from enum import Enum


class ContentKind(Enum):
    """The kinds that have a compressor, and the rest."""

    JSON = "json"
    TEXT = "text"


_BLANKS = " \t\r\n"
_PAIRS = {"{": "}", "[": "]", '"': '"'}


def detect(text: str) -> ContentKind:
    """The kind of a text. JSON is claimed by its first and last character; its compressor checks the rest."""
    start, end = 0, len(text)
    while start < end and text[start] in _BLANKS:
        start += 1
    while end > start and text[end - 1] in _BLANKS:
        end -= 1
    if end - start > 1 and _PAIRS.get(text[start]) == text[end - 1]:
        return ContentKind.JSON
    return ContentKind.TEXT
