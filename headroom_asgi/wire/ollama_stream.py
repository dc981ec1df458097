"""Streams of Ollama: lines of JSON to neutral events, and the kept events of several rounds to one stream.

A line holds pieces of the message; the last one says that it is done, and what was counted. Calls come whole.
"""

from collections.abc import Sequence
from typing import Any

from headroom_asgi._crush import ARRAY, NULL, NUMBER, OBJECT, STRING, Document
from headroom_asgi.errors import ResponseError, ScanError
from headroom_asgi.types import Edit
from headroom_asgi.wire.answers import Answer
from headroom_asgi.wire.events import PIECE_BYTES, Event, EventKind, Frame, StreamCodec
from headroom_asgi.wire.nodes import elements_at, given, is_true, text_at
from headroom_asgi.wire.ollama_answer import IDENTITY, SEPARATOR, counters, numbered, read_answer, total_counters
from headroom_asgi.wire.splice import arrange, dump, literal, overlay, replace, splice

_MAX_LINE_BYTES = 16 << 20  # lines are a token long; whole answers with images have a few MB
_RANK = {kind: rank for rank, kind in enumerate(EventKind)}
_TERMINAL = frozenset({EventKind.FINISH, EventKind.USAGE, EventKind.END})
_BLANK = b'{"role":"assistant","content":""}'


class _Lines:
    """The message that lines make: strings and arrays chained, of other members the last that is not null."""

    def __init__(self) -> None:
        self.last: Document | None = None
        self.size = 0
        self._texts: dict[str, list[bytes]] = {}
        self._others: dict[str, bytes] = {"role": b'"assistant"'}
        self._arrays: dict[str, list[bytes]] = {}
        self._scores: list[bytes] = []

    def add(self, line: Document, message: int) -> None:
        self.last = line
        scores = [line.raw(entry) for entry in elements_at(line, 0, "logprobs")]
        self._scores += scores
        self.size += sum(map(len, scores))
        for key, node in line.items(message):
            kind: Any = line.kind(node)
            raw = line.raw(node)
            if kind in (STRING, ARRAY) and key != "role":
                self.size += PIECE_BYTES + len(raw)
            if kind == STRING and key != "role":
                self._texts.setdefault(key, []).append(raw[1:-1])
            elif kind == ARRAY:
                self._arrays.setdefault(key, []).extend(line.raw(entry) for entry in line.elements(node))
            elif kind != NULL:
                self._others[key] = raw

    def json(self, last: Document) -> bytes:
        """The last line with the whole message."""
        members = dict(self._others)
        members |= {key: b'"' + b"".join(pieces) + b'"' for key, pieces in self._texts.items()}
        members |= {key: b"[" + b",".join(entries) + b"]" for key, entries in self._arrays.items() if entries}
        whole = {"message": b"{" + b",".join(literal(key) + b":" + value for key, value in members.items()) + b"}"}
        if self._scores:
            whole["logprobs"] = b"[" + b",".join(self._scores) + b"]"
        return splice(last.data, overlay(last, 0, whole))


class OllamaCodec(StreamCodec):
    """Both directions of one exchange's stream."""

    def __init__(self) -> None:
        self._round = 0
        self._identity: dict[str, bytes] = {}
        self._called = 0  # calls so far, of all rounds
        self._shown = 0  # those of them that the client has: where the server numbers calls, these are numbered anew
        self._thought = False  # an earlier round showed its thinking
        self._unended = False  # the last line that went out has no line feed yet
        self._reset()

    def _reset(self) -> None:
        self._pending = bytearray()
        self._lines = _Lines()
        self._forgets = False
        self.held_bytes = 0
        self._thinks = False  # this round has begun to

    def begin_round(self) -> None:
        """The identity stays, and how many calls the client has."""
        self._round += 1
        self._thought = self._thought or self._thinks
        self._reset()

    def feed(self, chunk: bytes) -> list[Frame]:
        """One frame a line. ResponseError if one is too long; `close` gives what was not returned."""
        head, line_feed, rest = chunk.rpartition(b"\n")
        if not line_feed:
            self._keep(chunk)
            return []
        whole = bytes(self._pending) + head + line_feed
        self._pending.clear()
        self._keep(rest)
        return [self._frame(line) for line in whole.splitlines(keepends=True)]

    def close(self) -> list[Frame]:
        """At most one frame: a line without its end."""
        rest = bytes(self._pending)
        self._pending.clear()
        return [self._frame(rest)] if rest else []

    def answer(self) -> Answer:
        """The last line with the message that all lines make."""
        if self._lines.last is None:
            raise ResponseError("the stream has no message")
        return read_answer(self._lines.json(self._lines.last))

    def forget(self) -> None:
        """A line says all that it has to say."""
        self._forgets = True
        last = self._lines.last
        self._lines = _Lines()
        self._lines.last = last

    def encode(self, frame: Frame, events: Sequence[Event]) -> bytes:
        """The line with those members of its message that are kept."""
        if not events:
            return b""
        document: Document | None = frame.data
        whole = len(events) == len(frame.events)
        edits: list[Edit] = []
        if document is not None:
            edits = self._renumbered(document, events) + self._continued(document, events)
            if not whole:
                edits += _without(document, [event for event in frame.events if event not in events])
        return self._line(splice(document.data, edits) if document is not None and edits else frame.raw)

    def separator(self) -> bytes:
        """A line with an empty line of text, as this dialect has one string for all text."""
        return self._said(SEPARATOR)

    def notice(self, text: str, index: int) -> bytes:  # noqa: ARG002 - texts have no index in this dialect
        """A line of text."""
        return self._said(text)

    def finish(self, frames: Sequence[Frame], answers: Sequence[Answer], *, stopped: bool) -> bytes:  # noqa: ARG002
        """The last line that says so, with nothing but what all rounds counted; its reason is `stop` for calls, too."""
        last = [frame.data for frame in frames if any(event.kind is EventKind.FINISH for event in frame.events)]
        if not last:
            return b""
        document: Document = last[-1]
        members = {"message": _BLANK, **{key: dump(value) for key, value in total_counters(answers).items()}}
        if "model" in self._identity:
            members["model"] = self._identity["model"]
        return self._line(splice(document.data, overlay(document, 0, members)))

    def error(self, message: str) -> bytes:
        """A line that the client raises."""
        return self._line(b'{"error":' + literal(message) + b"}")

    def keep_alive(self) -> bytes:
        """An empty piece of the message: clients take a blank line for broken JSON."""
        return self._said("") if self._identity else b""

    def _keep(self, rest: bytes) -> None:
        self._pending += rest
        if len(self._pending) > _MAX_LINE_BYTES:
            msg = f"a line of the stream is longer than {_MAX_LINE_BYTES} bytes"
            raise ResponseError(msg)

    def _frame(self, raw: bytes) -> Frame:
        try:
            document = Document(raw)
        except ScanError:
            return Frame(raw, [Event(EventKind.OPAQUE)])
        if document.kind(0) != OBJECT:
            return Frame(raw, [Event(EventKind.OPAQUE)])
        if given(document, 0, "error") >= 0:
            return Frame(raw, [Event(EventKind.ERROR)], document)
        message = document.get(0, "message")
        if message < 0 or document.kind(message) != OBJECT:
            return Frame(raw, [Event(EventKind.OPAQUE)])
        events = self._events(document, message)
        if self._lines.last is None:
            events.insert(0, Event(EventKind.START))
        if not self._forgets:
            self._lines.add(document, message)
            self.held_bytes = self._lines.size
        for key in IDENTITY:
            node = given(document, 0, key)
            if node >= 0:
                self._identity.setdefault(key, document.raw(node))
        return Frame(raw, events or [Event(EventKind.OPAQUE)], document)

    def _events(self, document: Document, message: int) -> list[Event]:
        """What a line says."""
        events = []
        for key, node in dict(document.items(message)).items():
            if key == "tool_calls" and document.kind(node) == ARRAY:
                events += [self._call(document, entry) for entry in document.elements(node)]
            elif key != "role" and document.kind(node) != NULL and document.raw(node) not in (b'""', b"[]"):
                is_text = key == "content" and document.kind(node) == STRING
                events.append(Event(EventKind.TEXT if is_text else EventKind.OTHER, visible=is_text, data=node))
        if is_true(document, 0, "done"):
            events.append(Event(EventKind.FINISH))
            events += [Event(EventKind.USAGE)] if counters(document) else []
            events.append(Event(EventKind.END))
        return sorted(events, key=lambda event: _RANK[event.kind])

    def _call(self, document: Document, entry: int) -> Event:
        name = text_at(document, entry, "function", "name")
        if not name:
            return Event(EventKind.OTHER, data=entry)
        self._called += 1
        return Event(EventKind.CALL, id=text_at(document, entry, "id"), name=name, data=(entry, self._called - 1))

    def _line(self, data: bytes) -> bytes:
        """A line as it goes out. One that came without an end gets it when another one follows."""
        begun, self._unended = self._unended, not data.endswith(b"\n")
        if self._unended and self._round > 1:
            data, self._unended = data + b"\n", False
        return b"\n" + data if begun else data

    def _said(self, text: str) -> bytes:
        head = b"".join(literal(key) + b":" + value + b"," for key, value in self._identity.items())
        return self._line(b'{%b"message":{"role":"assistant","content":%b},"done":false}\n' % (head, literal(text)))

    def _renumbered(self, document: Document, events: Sequence[Event]) -> list[Edit]:
        """The edits that number the client's calls as if the others had not been there."""
        edits: list[Edit] = []
        for event in events:
            if event.kind is EventKind.CALL:
                node, number = event.data
                edits += numbered(document, node, self._shown) if number != self._shown else []
                self._shown += 1
        return edits

    def _continued(self, document: Document, events: Sequence[Event]) -> list[Edit]:
        """The edits that set the first thought of a later round off from what earlier rounds thought."""
        edits: list[Edit] = []
        for event in events:
            if event.kind is EventKind.OTHER and document.kind(event.data) == STRING:
                if self._thought and not self._thinks:
                    start = document.span(event.data)[0] + 1
                    edits.append(Edit(start, start, literal(SEPARATOR)[1:-1]))
                self._thinks = True
        return edits


def _without(document: Document, dropped: Sequence[Event]) -> list[Edit]:
    """The edits that take events out of a line."""
    message = document.get(0, "message")
    gone = {event.data[0] if event.kind is EventKind.CALL else event.data for event in dropped}
    edits: list[Edit] = []
    staying: list[int | bytes] = []
    for position, (key, node) in enumerate(document.items(message)):
        if key == "tool_calls" and document.kind(node) == ARRAY:
            left = [i for i, entry in enumerate(document.elements(node)) if entry not in gone]
            if not left:
                continue  # an empty array would look like a turn with calls
            edits += arrange(document, node, left)
        elif node in gone and key == "content":
            edits += replace(document, node, b'""')
        elif node in gone:
            continue
        staying.append(position)
    edits += arrange(document, message, staying)
    if any(event.kind in _TERMINAL for event in dropped):
        edits += _opened(document)
    return edits


def _opened(document: Document) -> list[Edit]:
    """The edits of a last line that shall not be the last one."""
    items = document.items(0)
    staying = [i for i, (key, node) in enumerate(items) if key != "done_reason" and document.kind(node) != NUMBER]
    return arrange(document, 0, staying) + replace(document, document.get(0, "done"), b"false")
