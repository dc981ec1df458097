"""Streams cut into events: server-sent ones, and AWS's binary ones."""

import json
import struct
import zlib
from collections.abc import Iterator
from typing import Any

from example_app.speakers.base import grammatical


def sse_events(stream: bytes) -> Iterator[tuple[str, str]]:
    """The (event, data) pairs of an event stream."""
    for frame in stream.decode().split("\n\n"):
        lines = [line.partition(":") for line in frame.split("\n") if line and not line.startswith(":")]
        fields = {name: value.removeprefix(" ") for name, _, value in lines}
        if "data" in fields:
            yield fields.get("event", ""), fields["data"]


def binary_events(stream: bytes) -> list[tuple[str, dict[str, Any]]]:
    """The (kind, payload) pairs of AWS's event stream; both checksums are checked."""
    found: list[tuple[str, dict[str, Any]]] = []
    at = 0
    while at < len(stream):
        total, heads, check = struct.unpack_from(">III", stream, at)
        grammatical(check == zlib.crc32(stream[at : at + 8]), "a checksum of a prelude", stream)
        behind = at + total
        [check] = struct.unpack_from(">I", stream, behind - 4)
        grammatical(check == zlib.crc32(stream[at : behind - 4]), "a checksum of a frame", stream)
        headers = _headers(stream[at + 12 : at + 12 + heads])
        grammatical(headers[":message-type"] == "event", "an exception", stream)
        found.append((headers[":event-type"], json.loads(stream[at + 12 + heads : behind - 4])))
        at = behind
    return found


def _headers(block: bytes) -> dict[str, str]:
    """Headers of strings, the only ones that these streams have."""
    headers = {}
    at = 0
    while at < len(block):
        name = block[at + 1 : at + 1 + block[at]].decode()
        at += 1 + block[at]
        _, length = struct.unpack_from(">BH", block, at)
        headers[name] = block[at + 3 : at + 3 + length].decode()
        at += 3 + length
    return headers
