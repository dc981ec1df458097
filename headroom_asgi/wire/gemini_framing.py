"""How chunks of a Gemini stream are framed: as server-sent events, or as the elements of one JSON array.

Bytes go in as they arrive, cut anywhere. Pieces come out with the bytes they were made of: all of those, in order, are the input.
"""

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass

from headroom_asgi._crush import minify
from headroom_asgi.errors import ResponseError
from headroom_asgi.sse import MAX_EVENT_BYTES, SSESplitter

_OUTSIDE = re.compile(rb'["{}\[\]]')
_IN_STRING = re.compile(rb'["\\]')


@dataclass(frozen=True, slots=True, repr=False)
class Piece:
    """A frame of a stream: its bytes as they came, the JSON of its chunk if it has one, and whether the stream ends with it."""

    raw: bytes
    data: bytes | None = None
    closes: bool = False


class Framing(ABC):
    """Both directions of one client's stream: upstream bytes to pieces, over all rounds, and chunks to client bytes."""

    @abstractmethod
    def begin_round(self) -> None:
        """A new upstream stream starts; the client's goes on."""

    @abstractmethod
    def feed(self, chunk: bytes) -> list[Piece]:
        """The pieces that are complete now. ResponseError if one is too long; `close` gives what was not returned."""

    @abstractmethod
    def close(self) -> list[Piece]:
        """The rest at the end of the upstream's stream."""

    @abstractmethod
    def passed(self, piece: Piece) -> bytes:
        """Client bytes for a piece that nothing changed."""

    @abstractmethod
    def spell(self, data: bytes) -> bytes:
        """Client bytes for a chunk, given as JSON."""

    @abstractmethod
    def end(self) -> bytes:
        """Client bytes that end the stream, behind its last chunk."""


class EventFraming(Framing):
    """Server-sent events: one line of data each, without names, without an end of their own."""

    def __init__(self) -> None:
        self._splitter = SSESplitter()
        self._owed = b""  # goes out before the next client bytes
        self._rest: Piece | None = None  # what has no blank line behind it

    def begin_round(self) -> None:
        """A splitter for each round."""
        self._splitter = SSESplitter()
        self._rest = None

    def feed(self, chunk: bytes) -> list[Piece]:
        """One piece for every event."""
        return [Piece(event.raw, _carried(event.raw, event.data)) for event in self._splitter.feed(chunk)]

    def close(self) -> list[Piece]:
        """An event without its blank line counts."""
        pieces = [Piece(event.raw, _carried(event.raw, event.data)) for event in self._splitter.close()]
        self._rest = pieces[-1] if pieces else None
        return pieces

    def passed(self, piece: Piece) -> bytes:
        """The very bytes."""
        owed, self._owed = self._owed, b"\r\n\r\n" if piece is self._rest else b""
        return owed + piece.raw

    def spell(self, data: bytes) -> bytes:
        """As the API spells it: Google's own client wants the space."""
        if b"\n" in data or b"\r" in data:
            data = minify(data)
        owed, self._owed = self._owed, b""
        return owed + b"data: " + data + b"\r\n\r\n"

    def end(self) -> bytes:
        """Nothing."""
        return b""


def _carried(raw: bytes, data: bytes | None) -> bytes | None:
    """The JSON in an event. An error in the middle of a stream may stand there bare, on lines of its own."""
    bare = raw.strip()
    return bare if data is None and bare.startswith(b"{") else data


class ArrayFraming(Framing):
    """The elements of a JSON array. What is between two elements belongs to the later one."""

    def __init__(self, max_element_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max = max_element_bytes
        self._opened = False  # the client has the beginning of its array
        self.begin_round()

    def begin_round(self) -> None:
        """A scanner for each round."""
        self._pending = bytearray()
        self._at = 0  # everything before this offset of what is pending was looked at
        self._done = 0  # everything before this one is in pieces
        self._start = 0  # where the element begins
        self._depth = 0
        self._in_string = False
        self._in_array = False

    def feed(self, chunk: bytes) -> list[Piece]:
        """One piece for every element, one for the end of the array."""
        self._pending += chunk
        pieces: list[Piece] = []
        pattern = _IN_STRING if self._in_string else _OUTSIDE
        while (token := pattern.search(self._pending, self._at)) is not None:
            self._at = token.end()
            byte = token[0]
            if byte == b"\\":
                if self._at == len(self._pending):
                    self._at -= 1  # what it escapes is still to come
                    break
                self._at += 1
            elif byte == b'"':
                self._in_string = not self._in_string
                pattern = _IN_STRING if self._in_string else _OUTSIDE
            else:
                self._nest(byte, pieces)
        else:
            self._at = len(self._pending)
        del self._pending[: self._done]
        self._at, self._start, self._done = self._at - self._done, self._start - self._done, 0
        if not pieces and len(self._pending) > self._max:
            raise ResponseError(f"an element of the stream is longer than {self._max} bytes")
        return pieces

    def close(self) -> list[Piece]:
        """What follows the array, or an element that broke off."""
        rest = bytes(self._pending)
        self._pending.clear()
        return [Piece(rest)] if rest else []

    def passed(self, piece: Piece) -> bytes:
        """The very bytes, if they go on where the client's array is."""
        opens = piece.raw.lstrip().startswith(b"[")
        if piece.data is None or opens != self._opened or not self._in_array:
            self._opened = self._opened or opens
            return piece.raw
        return self.spell(piece.data)

    def spell(self, data: bytes) -> bytes:
        """An element, behind the bracket or a comma."""
        lead = b",\r\n" if self._opened else b"["
        self._opened = True
        return lead + data

    def end(self) -> bytes:
        """The bracket."""
        return b"]"

    def _nest(self, byte: bytes, pieces: list[Piece]) -> None:
        """Take note of a bracket; an element or the array may end with it."""
        top = 1 if self._in_array else 0  # how deep elements are
        if byte in b"{[":
            if byte == b"[" and self._depth == 0 and not self._in_array:
                self._in_array = True
            elif self._depth == top:
                self._start = self._at - 1
            self._depth += 1
            return
        self._depth -= 1
        if self._depth == top:
            pieces.append(self._piece(self._start))
        elif self._depth == 0 and self._in_array:
            pieces.append(self._piece(None))

    def _piece(self, start: int | None) -> Piece:
        raw = bytes(self._pending[self._done : self._at])
        data = None if start is None else raw[start - self._done :]
        self._done = self._at
        return Piece(raw, data, closes=start is None)
