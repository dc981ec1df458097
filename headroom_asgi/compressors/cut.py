"""JSON that was cut off, as harnesses cut long outputs: what is whole of it, and the string that it may end in."""

import json
import re
from typing import Final, NamedTuple

from headroom_asgi._crush import ARRAY, OBJECT, Document
from headroom_asgi.errors import ScanError

# An object from its first brace to the quote that opens a string: short members before it, no containers.
_OPENING: Final = re.compile(
    r'\s*+\{\s*+(?:"[^"\\\n]{1,64}"\s*+:\s*+(?:"[^"\\\n]{0,256}"|null|true|false|-?[0-9.eE+-]{1,32})\s*+,\s*+){0,8}+'
    r'"[^"\\\n]{1,64}"\s*+:\s*+"'
)
_STRING: Final = re.compile(r'(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+')
# What tells where a document could end: its strings, one that does not end, brackets, commas. Only whole strings are long.
_PARTS: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"|["\[\]{},]', re.DOTALL)
_CLOSERS: Final = {"{": "}", "[": "]"}
_MAX_PARTS: Final = 400_000  # of a text that is looked at: some 0.1 s
_MAX_OPEN: Final = 64  # containers in each other
_WIDE: Final = 64  # characters in which a document shows that it is one


class OpenString(NamedTuple):
    """A string that does not end: its span in the text, in escapes, and what it says."""

    start: int
    end: int
    text: str


def open_string(text: str) -> OpenString | None:
    """The string in which a text's JSON was cut off; None if it is whole, or something else."""
    opening = _OPENING.match(text)
    if opening is None:
        return None
    string = _STRING.match(text, opening.end())
    assert string is not None
    if text.startswith('"', string.end()):
        return None
    return OpenString(*string.span(), json.loads(f'"{string[0]}"'))


class CutDocument(NamedTuple):
    """A document without its end.

    Attributes:
        whole: up to the last member or element that is whole, and closed.
        closers: the brackets at its end that close it; the text does not have them.
        rest: what stands behind that in the text.
    """

    whole: str
    closers: str
    rest: str

    def goes_on_in(self, piece: str) -> bool:
        """What was left of the whole ends in the very containers in which the text was cut."""
        path = _open_path(piece, self.closers)
        return path is not None and path == _open_path(self.whole, self.closers)


def _open_path(text: str, closers: str) -> list[str] | None:
    """The keys of the last values of a document, from the root to where it is closed by so many brackets; "" in a list."""
    document = Document(text.encode("utf-8"))
    node, path = 0, []
    for closer in reversed(closers[:-1]):
        members = document.items(node)[-1:] or [("", element) for element in document.elements(node)[-1:]]
        for key, value in members:
            path.append(key)
            node = value
        if not members or document.kind(node) != (OBJECT if closer == "}" else ARRAY):
            return None
    return path


_DOCUMENT: Final = re.compile(r'\s*+(?:\{\s*+"|\[\s*+(?:[\[{"]|-?[0-9]))')


def cut_document(text: str) -> CutDocument | None:
    """The part of a text's JSON that is whole; None if all of it is, or it is something else."""
    if _DOCUMENT.match(text, 0, _WIDE) is None:
        return None
    end, closers = _last_whole(text)
    if not closers:
        return None
    whole = text[:end] + closers
    try:
        Document(whole.encode("utf-8"))
    except (ScanError, UnicodeEncodeError):
        return None
    return CutDocument(whole, closers, text[end:])


def _last_whole(text: str) -> tuple[int, str]:
    """Where the last member or element ends that is surely whole, and what closes the brackets that are open there."""
    opened: list[str] = []
    end, closers = 0, ""
    for number, part in enumerate(_PARTS.finditer(text)):
        sign = part[0][0]
        if sign in _CLOSERS:
            opened.append(_CLOSERS[sign])
        elif sign == ",":
            end, closers = part.start(), "".join(reversed(opened))
        elif sign in "]}":
            if not opened or opened.pop() != sign or not opened:
                return 0, ""
            end, closers = part.end(), "".join(reversed(opened))
        elif len(part[0]) == 1:
            break
        if number == _MAX_PARTS or len(opened) > _MAX_OPEN:
            return 0, ""
    return end, closers
