"""The binary event stream of AWS, written: prelude, headers, payload, and a checksum over each."""

import struct
import zlib

from example_app.dialects.base import dumped

MEDIA = "application/vnd.amazon.eventstream"
_STRING = 7


def frame(payload: object, **headers: str) -> bytes:
    """One frame; `message_type` becomes `:message-type`."""
    head = b"".join(_header(":" + name.replace("_", "-"), value) for name, value in headers.items())
    body = dumped(payload)
    prelude = struct.pack(">II", 16 + len(head) + len(body), len(head))
    checked = prelude + struct.pack(">I", zlib.crc32(prelude)) + head + body
    return checked + struct.pack(">I", zlib.crc32(checked))


def event(kind: str, payload: object) -> bytes:
    """An event."""
    return frame(payload, event_type=kind, content_type="application/json", message_type="event")


def exception(kind: str, message: str) -> bytes:
    """An exception, which ends a stream."""
    return frame({"message": message}, exception_type=kind, content_type="application/json", message_type="exception")


def _header(name: str, value: str) -> bytes:
    return struct.pack(">B", len(name)) + name.encode() + struct.pack(">BH", _STRING, len(value)) + value.encode()
