"""What says nothing to a reader: base64, data addresses, random tokens, digests; binary data; scripts on one line."""

import re
from collections.abc import Iterator
from typing import Final

from headroom_asgi._crush import Words, opaque_runs
from headroom_asgi.compressors.base import Request
from headroom_asgi.compressors.needles import needles
from headroom_asgi.compressors.omission import Markers, pays
from headroom_asgi.compressors.unreadable import Stretch, unreadable

_MIN_CHARS: Final = 20  # a shorter string may be a word with a number
_MIN_CHUNK: Final = 16  # without a separator; names and paths have shorter words
_ALPHABET: Final = re.compile(rb"[A-Za-z0-9+/=_.~:@-]{20,}+")
_CHUNK: Final = re.compile(rb"[A-Za-z0-9]{16,}+")
_RUN: Final = re.compile(rb"[a-z]++|[A-Z]++|[0-9]++")
_UUID: Final = re.compile(rb"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_MAX_LOOK: Final = 512  # characters that decide about a string
_SHORT_LOOK: Final = 128  # and that bear it out further on
_LOOKS: Final = 4  # at a run, its beginning and behind it


def is_opaque(string: bytes) -> bool:
    """A string has no blank, and changes between capitals, small letters and digits as no name does."""
    if len(string) < _MIN_CHARS or not _ALPHABET.fullmatch(string):
        return False
    return _UUID.fullmatch(string) is not None or _is_random(string)


def _is_random(string: bytes) -> bool:
    # Words in camel case change once in four characters or more; digests and base64 once in two.
    chunk = max(_CHUNK.findall(string, 0, _MAX_LOOK), key=len, default=b"")
    return len(chunk) >= _MIN_CHUNK and 10 * len(_RUN.findall(chunk)) >= 3 * len(chunk)


class OpaqueOmitter:
    """The omitter for what is opaque in texts of any kind but JSON, whose strings are such texts."""

    section = "opaque"
    label = "opaque:strings"

    def omit(self, text: str, request: Request, markers: Markers) -> str | None:
        """The text with a marker in the very place of each piece that was left out; None where there is none."""
        found = sorted([*unreadable(text), *_blobs(text)])
        if not found:
            return None
        # A word that is no name, as `Application`, stands in many scripts.
        names = Words(each for each in needles(request.question, request.arguments) if _is_name(each.decode("utf-8")))
        pieces: list[str] = []
        at = 0
        for start, end, unit in found:
            piece = text[start:end]
            if start < at or not pays(piece) or names.stand_in(piece.encode("utf-8", "surrogatepass")):
                continue
            pieces += (text[at:start], markers.leave_out(piece, len(piece), unit))
            at = end
        return "".join([*pieces, text[at:]]) if pieces else None


def _is_name(literal: str) -> bool:
    return not literal.isalpha() or literal[1:] != literal[1:].lower()


def _blobs(text: str) -> Iterator[Stretch]:
    """Base64 and the like."""
    data = text.encode("ascii", "replace")  # a byte for each character
    for start, end in opaque_runs(data):
        if _is_blob(data, start, end):
            yield Stretch(start, end, "characters of base64 or the like")


def _is_blob(data: bytes, start: int, end: int) -> bool:
    """A run is random wherever one looks at it, but where one character stands again and again: a program begins with zeros."""
    found = False
    for at in range(start, end, max(_MAX_LOOK, -(-(end - start) // _LOOKS))):
        look = data[at : min(end, at + (_SHORT_LOOK if found else _MAX_LOOK))]
        if look.count(look[:1]) < len(look):
            if not _is_random(look):
                return False
            found = True
    return found
