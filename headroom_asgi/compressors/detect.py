"""What kind of text a text is, decided from the text alone."""

from enum import Enum


class ContentKind(Enum):
    """The kinds, each with a compressor of its own: JSON (one document or several), and any other text."""

    JSON = "json"
    TEXT = "text"


_BLANKS = " \t\r\n"
_PAIRS = {"{": "}", "[": "]", '"': '"'}


def detect(text: str) -> ContentKind:
    """The kind of a text. JSON is claimed by its first and last character; its compressor checks the rest."""
    inside = text.strip(_BLANKS)
    if len(inside) > 1 and _PAIRS.get(inside[0]) == inside[-1]:
        return ContentKind.JSON
    return ContentKind.TEXT
