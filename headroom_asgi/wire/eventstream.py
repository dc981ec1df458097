"""An incremental splitter of `application/vnd.amazon.eventstream` that loses no byte, and the way back.

A message is `u32 length | u32 length of the headers | u32 CRC of these eight bytes | headers | payload | u32 CRC of all before`,
a header `u8 length | name | u8 type | value`; all numbers are big-endian, both checksums CRC-32.

Bytes go in as they arrive, cut anywhere. Messages come out with the bytes they were made of: all of those, in order, are the
input. What fails a checksum, or says of itself what cannot be, makes the whole stream unreadable from there on, since nobody
knows where the next message begins.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias
from zlib import crc32

from headroom_asgi.errors import ResponseError

MEDIA: Final = "application/vnd.amazon.eventstream"

# The protocol's own bounds, which clients check.
MAX_HEADER_BYTES: Final = 128 << 10
MAX_PAYLOAD_BYTES: Final = 24 << 20

HeaderValue: TypeAlias = bool | int | bytes | str

_PRELUDE: Final = struct.Struct("!III")
_LENGTHS: Final = struct.Struct("!II")
_CHECKSUM: Final = struct.Struct("!I")
_FRAME_BYTES: Final = _PRELUDE.size + _CHECKSUM.size  # of a message without headers and payload
_STRING: Final = 7

# Values of a fixed size by header type: how they are spelled. Timestamps (8) are milliseconds.
_FIXED: Final = {
    2: struct.Struct("!b"),
    3: struct.Struct("!h"),
    4: struct.Struct("!i"),
    5: struct.Struct("!q"),
    8: struct.Struct("!q"),
}
_UUID: Final = 9
_UUID_BYTES: Final = 16
# Values that say how long they are, by header type.
_SIZED: Final[Mapping[int, Callable[[bytes], HeaderValue]]] = {6: bytes, _STRING: lambda data: data.decode("utf-8")}


@dataclass(frozen=True, slots=True, repr=False)
class EventMessage:
    """One message of a stream.

    Attributes:
        raw: its bytes as they came.
        headers: by name. Timestamps are integers, UUIDs sixteen bytes.
        head: the headers' bytes.
        payload: what it carries.
    """

    raw: bytes
    headers: Mapping[str, HeaderValue]
    head: bytes
    payload: bytes

    def header(self, name: str) -> str:
        """A header that is a string, "" if there is none."""
        value = self.headers.get(name)
        return value if isinstance(value, str) else ""

    @property
    def is_error(self) -> bool:
        """It says that something went wrong, and ends the stream."""
        return self.header(":message-type") in ("exception", "error")

    def carrying(self, payload: bytes) -> bytes:
        """The bytes of a message with the same headers and another payload."""
        return framed(self.head, payload)


class EventStreamSplitter:
    """Cuts one stream into messages."""

    __slots__ = ("_broken", "_head", "_headers", "_needed", "_pending")

    def __init__(self) -> None:
        self._pending = bytearray()
        self._needed = _PRELUDE.size  # with fewer bytes pending there is nothing to do
        self._broken = ""
        self._head = b""  # of the last message, and what it says: most messages in a row have the same
        self._headers: Mapping[str, HeaderValue] = {}

    def feed(self, chunk: bytes) -> list[EventMessage]:
        """The messages that are complete now.

        Raises:
            ResponseError: the stream is unreadable here. Messages before this place came out earlier.
        """
        self._check()
        self._pending += chunk
        if len(self._pending) < self._needed:
            return []
        data = bytes(self._pending)
        messages: list[EventMessage] = []
        at = 0
        try:
            while True:
                self._needed = _size_at(data, at)
                if len(data) - at < self._needed:
                    break
                messages.append(self._message(data[at : at + self._needed]))
                at += self._needed
        except ResponseError as error:
            self._broken = str(error)
        del self._pending[:at]
        if not messages:
            self._check()
        return messages

    def close(self) -> bytes:
        """The rest at the end of the stream: b"", or the beginning of a message that broke off. ResponseError as for `feed`."""
        self._check()
        rest = bytes(self._pending)
        self._pending.clear()
        return rest

    def _message(self, raw: bytes) -> EventMessage:
        """A whole message whose prelude is sound."""
        (checksum,) = _CHECKSUM.unpack_from(raw, len(raw) - _CHECKSUM.size)
        if crc32(memoryview(raw)[: -_CHECKSUM.size]) != checksum:
            raise ResponseError("the event stream is corrupt: the checksum of a message does not match")
        _, size, _ = _PRELUDE.unpack_from(raw)
        end = _PRELUDE.size + size
        head = raw[_PRELUDE.size : end]
        if head != self._head:
            self._headers, self._head = _headers(head), head
        return EventMessage(raw, self._headers, head, raw[end : -_CHECKSUM.size])

    def _check(self) -> None:
        if self._broken:
            raise ResponseError(self._broken)


def framed(head: bytes, payload: bytes) -> bytes:
    """A message of spelled headers and a payload."""
    lengths = _LENGTHS.pack(_FRAME_BYTES + len(head) + len(payload), len(head))
    data = lengths + _CHECKSUM.pack(crc32(lengths)) + head + payload
    return data + _CHECKSUM.pack(crc32(data))


def spelled_headers(headers: Mapping[str, str]) -> bytes:
    """Headers that are strings, as a message has them."""
    out = []
    for name, value in headers.items():
        key, data = name.encode("utf-8"), value.encode("utf-8")
        out.append(struct.pack(f"!B{len(key)}sBH{len(data)}s", len(key), key, _STRING, len(data), data))
    return b"".join(out)


def event(name: str, payload: bytes) -> bytes:
    """A message that tells an event, with JSON."""
    return framed(spelled_headers({":event-type": name, ":content-type": "application/json", ":message-type": "event"}), payload)


def exception(name: str, payload: bytes) -> bytes:
    """A message that ends a stream with an error of the service, with JSON."""
    return framed(
        spelled_headers({":exception-type": name, ":content-type": "application/json", ":message-type": "exception"}), payload
    )


def _size_at(data: bytes, at: int) -> int:
    """Bytes of the message that begins there, as far as they can be known: at least those of its prelude."""
    if len(data) - at < _PRELUDE.size:
        return _PRELUDE.size
    size, headers, checksum = _PRELUDE.unpack_from(data, at)
    if crc32(data[at : at + _LENGTHS.size]) != checksum:
        raise ResponseError("the event stream is corrupt: the checksum of a prelude does not match")
    payload = size - headers - _FRAME_BYTES
    if headers > MAX_HEADER_BYTES or not 0 <= payload <= MAX_PAYLOAD_BYTES:
        raise ResponseError(f"the event stream has a message of {size} bytes with {headers} bytes of headers")
    return int(size)


def _headers(head: bytes) -> dict[str, HeaderValue]:
    """The headers by name. ResponseError if they cannot be read."""
    headers: dict[str, HeaderValue] = {}
    at = 0
    try:
        while at < len(head):
            at, name = _taken(head, at + 1, head[at])
            key, kind = name.decode("utf-8"), head[at]
            if key in headers:
                raise ResponseError("the event stream has a message with one header twice")
            at += 1
            if kind in (0, 1):
                headers[key] = kind == 0
            elif kind in _FIXED:
                at, data = _taken(head, at, _FIXED[kind].size)
                (headers[key],) = _FIXED[kind].unpack(data)
            elif kind in _SIZED:
                at, data = _taken(head, at + 2, int.from_bytes(head[at : at + 2]))
                headers[key] = _SIZED[kind](data)
            elif kind == _UUID:
                at, headers[key] = _taken(head, at, _UUID_BYTES)
            else:
                raise ResponseError(f"the event stream has a header of the unknown type {kind}")
    except (IndexError, UnicodeDecodeError) as error:
        raise ResponseError("the event stream has headers that cannot be read") from error
    return headers


def _taken(head: bytes, at: int, size: int) -> tuple[int, bytes]:
    """Where the next thing begins, and the bytes of this one."""
    end = at + size
    if end > len(head):
        raise IndexError(end)
    return end, head[at:end]
