"""An incremental splitter of server-sent events (WHATWG HTML, section 9.2) that loses no byte.

Bytes go in as they arrive, cut anywhere. Events come out with the bytes they were made of: all of those, in order, are the input.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from headroom_asgi.errors import ResponseError

MAX_EVENT_BYTES = 16 << 20  # a stream's largest known events (inline images, whole answers in one event) have a few MB

_BOM = b"\xef\xbb\xbf"
_FIELDS = (b":", b"data:", b"event:", b"id:", b"retry:")
_LINE_END = re.compile(rb"\r\n|\n|\r")
_BLANK = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")  # atomic: a CRLF is one line end, never two


@dataclass(frozen=True, slots=True, repr=False)
class ServerSentEvent:
    """One event of a stream, or a block without data (comments, keep-alives).

    Attributes:
        raw: its bytes as they came, the blank line included.
        name: the event name, "message" if it has none.
        data: its data lines joined with a line feed; None if it has none, so that no client sees an event.
    """

    raw: bytes
    name: str
    data: bytes | None


class SSESplitter:
    """Cuts one stream into events. An event that ends in a lone CR is held until the next byte, which may be its LF.

    Args:
        max_event_bytes: how much of an unfinished event is kept at most.
    """

    __slots__ = ("_first", "_max", "_pending", "_searched")

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max = max_event_bytes
        self._pending = bytearray()
        self._searched = 0  # no blank line starts before this offset of what is pending
        self._first = True

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """The events that are complete now.

        Raises:
            ResponseError: an event is too long. Nothing is lost: `close` gives everything that was not returned.
        """
        if not self._pending:
            cuts = list(_cuts(chunk, 0))
            done = cuts[-1] if cuts else 0
            self._keep(chunk[done:] if done else chunk, lost=chunk)
            return self._events(chunk, cuts)
        self._pending += chunk
        cuts = list(_cuts(self._pending, self._searched))
        if not cuts:
            self._keep(b"", lost=b"")
            return []
        whole = bytes(self._pending)
        self._pending.clear()
        self._keep(whole[cuts[-1] :], lost=whole)
        return self._events(whole, cuts)

    def close(self) -> list[ServerSentEvent]:
        """The rest at the end of the stream. An event without its blank line counts, as many servers forget the last one."""
        rest = bytes(self._pending)
        self._pending.clear()
        self._searched = 0
        return self._events(rest, [len(rest)]) if rest else []

    def _keep(self, rest: bytes, *, lost: bytes) -> None:
        """Hold back an unfinished event; if it is too long, hold back all that would be lost by raising."""
        size = len(self._pending) + len(rest)
        if size > self._max:
            self._pending += lost
            self._searched = len(self._pending)
            msg = f"an event of the stream is longer than {self._max} bytes"
            raise ResponseError(msg)
        self._pending += rest
        self._searched = max(0, size - 3)  # a blank line that began is at most CR LF CR

    def _events(self, data: bytes, cuts: list[int]) -> list[ServerSentEvent]:
        events = []
        start = 0
        for end in cuts:
            raw = data[start:end]
            events.append(_event(raw, raw.removeprefix(_BOM) if self._first else raw))
            self._first = False
            start = end
        return events


def begins_events(first: bytes) -> bool:
    """Whether a stream of events may begin with these bytes, which may be one: with a field, or a comment."""
    begun = first.removeprefix(_BOM)
    return bool(begun) and any(begun.startswith(mark) or mark.startswith(begun) for mark in _FIELDS)


def _cuts(data: bytes | bytearray, searched: int) -> Iterator[int]:
    """Ends of the complete events."""
    for blank in _BLANK.finditer(data, searched):
        end = blank.end()
        if end < len(data) or data[end - 1] != 0x0D:
            yield end


def _event(raw: bytes, text: bytes) -> ServerSentEvent:
    # Nearly all events are one line of data.
    if text.startswith(b"data: ") and text.endswith(b"\n\n"):
        data = text[6:-2]
        if b"\n" not in data and b"\r" not in data:
            return ServerSentEvent(raw, "message", data)
    lines = []
    name = b""
    for line in _LINE_END.split(text):
        key, _, value = line.partition(b":")
        if key == b"data":
            lines.append(value.removeprefix(b" "))
        elif key == b"event":
            name = value.removeprefix(b" ")
    return ServerSentEvent(raw, name.decode("utf-8", "replace") or "message", b"\n".join(lines) if lines else None)
