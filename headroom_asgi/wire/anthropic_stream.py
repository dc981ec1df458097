"""Streams of Anthropic Messages, over all rounds of one exchange."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from headroom_asgi._crush import NULL, OBJECT, STRING, Document
from headroom_asgi.errors import ResponseError
from headroom_asgi.sse import ServerSentEvent, SSESplitter
from headroom_asgi.types import Edit
from headroom_asgi.wire.answers import Answer
from headroom_asgi.wire.anthropic_answer import (
    SIGNED_BLOCKS,
    read_answer,
    spell,
    spell_stop,
    spell_text,
    total_usage,
)
from headroom_asgi.wire.blocks import OpenBlocks
from headroom_asgi.wire.events import PIECE_BYTES, Event, EventKind, Frame, StreamCodec
from headroom_asgi.wire.nodes import count_at, given, json_in, object_in, text_at
from headroom_asgi.wire.splice import dump, literal, overlaid, overlay, replace, rewrite, splice

_BLOCK_KINDS = {"text": EventKind.TEXT, "tool_use": EventKind.CALL, **dict.fromkeys(SIGNED_BLOCKS, EventKind.SIGNED)}

# What deltas do to a block: strings that are appended to a member, and members that are set.
_APPENDED = {
    "text_delta": ("text", "text"),
    "thinking_delta": ("thinking", "thinking"),
    "input_json_delta": ("partial_json", "input"),
}
_NAMING = frozenset({"message_start", "message_delta"})  # events that may name places in the request
_SET = {"signature_delta": ("signature",), "compaction_delta": ("content", "encrypted_content")}
_NOTHING = Document(b"{}")
# Events that a reader sees something of, unless they say that there is nothing.
_SHOWN = frozenset({EventKind.TEXT, EventKind.SIGNED, EventKind.OTHER, EventKind.CALL, EventKind.PIECE})
_MAX_UNSEEN_BYTES = 1 << 20  # signatures of reasoning that is kept from the client have some kilobytes each


@dataclass(slots=True, repr=False)
class _Block:
    """A content block while it arrives: how it began, and literals and values that deltas added, as they were spelled."""

    document: Document
    node: int
    kind: EventKind
    appended: dict[str, list[bytes]] = field(default_factory=dict)
    members: dict[str, bytes] = field(default_factory=dict)
    citations: list[bytes] = field(default_factory=list)

    def add(self, document: Document, delta: int) -> None:
        """Take up a delta. Kinds that are not known change nothing, as in Anthropic's own client."""
        kind = text_at(document, delta, "type")
        if kind in _APPENDED:
            key, member = _APPENDED[kind]
            piece = document.get(delta, key)
            if piece >= 0 and document.kind(piece) == STRING:
                self.appended.setdefault(member, []).append(document.raw(piece)[1:-1])
        elif kind in _SET:
            for key in _SET[kind]:
                value = document.get(delta, key)
                if value >= 0:
                    self.members[key] = document.raw(value)
        elif kind == "citations_delta":
            citation = document.get(delta, "citation")
            if citation >= 0:
                self.citations.append(document.raw(citation))

    def assembled(self) -> bytes:
        """The block as a JSON answer has it."""
        block = Document(self.document.raw(self.node))
        members = dict(self.members)
        for member, pieces in self.appended.items():
            if member == "input":
                if text := json_in(b"".join(pieces)):  # else the input that the block began with
                    members[member] = text
            else:
                start = given(block, 0, member)
                first = block.raw(start)[1:-1] if start >= 0 and block.kind(start) == STRING else b""
                members[member] = b'"' + first + b"".join(pieces) + b'"'
        if self.citations:
            start = given(block, 0, "citations")
            earlier = [block.raw(node) for node in block.elements(start)] if start >= 0 else []
            members["citations"] = b"[" + b",".join([*earlier, *self.citations]) + b"]"
        return splice(block.data, overlay(block, 0, members))


class AnthropicCodec(StreamCodec):
    """Both directions of one exchange's stream. Blocks that an upstream left open are closed before anything else is said.

    Args:
        threaded: the id that the client knows is what the API goes on from, so it is the latest that it can be.
    """

    def __init__(self, *, threaded: bool = False) -> None:
        self._open = OpenBlocks(spell_stop)
        self._rounds = 0
        # What the client's answer has in front of anything that shows, behind its start; None once something showed.
        self._unseen: bytearray | None = bytearray() if threaded else None
        self._places = 0  # the blocks in it
        self._again = b""  # what of it the next start brings along
        self._retrace: Callable[[bytes], bytes] = bytes
        self._reset()

    def _reset(self) -> None:
        self._splitter = SSESplitter()
        self._start: Document | None = None
        self._blocks: list[_Block] = []
        self._current: dict[int, _Block] = {}
        self._deltas: list[Document] = []
        self._rest: Frame | None = None
        self._forgets = False
        self.held_bytes = 0

    def begin_round(self) -> None:
        """Forget the last round's blocks; those still open at the client are closed with the next bytes."""
        self._open.owe(self._open.close())
        self._rounds += 1
        self._reset()

    def begin_anew(self) -> int | None:
        """The next round's message is the client's, from which the API goes on with all of them."""
        if self._unseen is None:
            return None
        self._unseen += self._open.close()
        self._again = bytes(self._unseen)
        self._rounds += 1
        self._reset()
        return self._places

    def retracing(self, retrace: Callable[[bytes], bytes]) -> None:
        """Starts and ends of messages say what the API dropped of a request."""
        self._retrace = retrace

    def feed(self, chunk: bytes) -> list[Frame]:
        """One frame for every event."""
        return [self._frame(event) for event in self._splitter.feed(chunk)]

    def close(self) -> list[Frame]:
        """The rest; if it is no whole event, a frame that says nothing."""
        frames = [self._frame(event) for event in self._splitter.close()]
        self._rest = frames[-1] if frames else None
        return frames

    def answer(self) -> Answer:
        """The message as it began, with its blocks, and what `message_delta` said of it."""
        message = self._start.get(0, "message") if self._start is not None else -1
        if self._start is None or message < 0 or self._start.kind(message) != OBJECT:
            raise ResponseError("the stream has no message_start")
        start = Document(self._start.raw(message))
        members: dict[str, bytes] = {}
        usage: dict[str, bytes] = {}
        for document in self._deltas:
            _collect(document, document.get(0, "delta"), start, members)
            _collect(document, 0, start, members, without=("type", "delta", "usage"))
            _collect(document, document.get(0, "usage"), start, usage, at="usage")
        if usage:
            before = start.get(0, "usage")
            is_object = before >= 0 and start.kind(before) == OBJECT
            members["usage"] = overlaid(start.raw(before) if is_object else b"{}", usage)
        members["content"] = b"[" + b",".join(block.assembled() for block in self._blocks) + b"]"
        return read_answer(splice(start.data, overlay(start, 0, members)))

    def forget(self) -> None:
        """Of blocks only their kinds are still followed."""
        self._forgets = True
        self._blocks, self._deltas = [], []
        self._current = {index: _Block(_NOTHING, 0, block.kind) for index, block in self._current.items()}

    def encode(self, frame: Frame, events: Sequence[Event]) -> bytes:
        """The event with the client's index. Its JSON keeps every other byte."""
        cut = frame is self._rest and frame.data is None
        if not events or (cut and self._rounds > 1):  # a piece of an event would spoil the error that follows it
            return b""
        event = events[0]
        if frame.data == "content_block_start":
            self._open.begin(event.index or 0)
        elif frame.data == "content_block_stop":
            self._open.end(event.index or 0)
        data = self._open.paid(self._spelled(frame) if event.index == frame.events[0].index else _moved(event))
        if frame is self._rest:  # of a stream that broke off: it has no end of its own
            self._open.owe(b"\n\n")
        return data if self._unseen is None else self._behind_start(event, data, self._unseen)

    def _behind_start(self, event: Event, data: bytes, unseen: bytearray) -> bytes:
        """Bytes of an event, as long as another round's start may take the place of the one before them."""
        if event.kind is EventKind.START:
            again, self._again = self._again, b""
            return data + again
        if event.kind in _SHOWN and not (event.blank or (event.kind is EventKind.TEXT and not event.visible)):
            self._unseen = None
        else:
            unseen += data
            self._places = max(self._places, 0 if event.index is None else event.index + 1)
            if len(unseen) > _MAX_UNSEEN_BYTES:
                self._unseen = None
        return data

    def separator(self) -> bytes:
        """Nothing: every round has text blocks of its own."""
        return b""

    def notice(self, text: str, index: int) -> bytes:
        """A text block, whole."""
        return self._open.paid(self._open.close() + spell_text(index, text))

    def finish(self, frames: Sequence[Frame], answers: Sequence[Answer], *, stopped: bool) -> bytes:
        """One `message_delta` with the usage of all rounds, and `message_stop`."""
        deltas = [frame for frame in frames if frame.data == "message_delta"]
        reasoned = [frame for frame in deltas if frame.events[0].kind is EventKind.FINISH]
        last = (reasoned or deltas)[-1] if deltas else None
        out = []
        for frame in frames:
            if frame is last and (len(answers) > 1 or len(deltas) > 1 or stopped):
                final = _final(frame.events[0].data, answers, stopped=stopped)
                out.append(spell("message_delta", self._retrace(final)))
            elif frame is last or frame.data != "message_delta":
                raw = self._spelled(frame)
                out.append(raw + b"\n\n" if frame is self._rest else raw)
        return self._open.paid(self._open.close() + b"".join(out))

    def error(self, message: str) -> bytes:
        """The end of every open block, and the event that ends a stream."""
        data = b'{"type":"error","error":{"type":"api_error","message":' + literal(message) + b"}}"
        return self._open.paid(self._open.close() + spell("error", data))

    def keep_alive(self) -> bytes:
        """The API's own `ping`."""
        return b'event: ping\ndata: {"type":"ping"}\n\n'

    def _frame(self, event: ServerSentEvent) -> Frame:
        document = object_in(event.data)
        if document is None:
            return Frame(event.raw, [Event(EventKind.OPAQUE)])
        name = text_at(document, 0, "type") or event.name
        read_event = self._readers.get(name)
        events = read_event(self, document) if read_event else []
        return Frame(event.raw, events, name) if events else Frame(event.raw, [Event(EventKind.OPAQUE)])

    def _spelled(self, frame: Frame) -> bytes:
        """An event as it came, but for places in a request that is not the client's."""
        if frame.data not in _NAMING:
            return frame.raw
        data = frame.events[0].data.data
        told = self._retrace(data)
        return frame.raw if told is data else spell(frame.data, told)

    def _read_message_start(self, document: Document) -> list[Event]:
        if self._start is None:
            self._start = document
        return [Event(EventKind.START, data=document)]

    def _read_block_start(self, document: Document) -> list[Event]:
        index = count_at(document, 0, "index")
        node = document.get(0, "content_block")
        if index is None or node < 0 or document.kind(node) != OBJECT:
            return []
        kind = _BLOCK_KINDS.get(text_at(document, node, "type"), EventKind.OTHER)
        self._current[index] = _Block(_NOTHING, 0, kind) if self._forgets else _Block(document, node, kind)
        if not self._forgets:
            self._blocks.append(self._current[index])
            self.held_bytes += PIECE_BYTES + len(document.data)
        if kind is EventKind.CALL:
            name, call_id = text_at(document, node, "name"), text_at(document, node, "id")
            return [Event(kind, index, id=call_id, name=name, begins=True, data=document)]
        says = bool(text_at(document, node, "text") or text_at(document, node, "thinking"))
        visible, blank = kind is EventKind.TEXT and says, kind is EventKind.SIGNED and not says
        return [Event(kind, index, visible=visible, blank=blank, begins=True, data=document)]

    def _read_block_delta(self, document: Document) -> list[Event]:
        delta = document.get(0, "delta")
        event = self._block_event(document)
        if event is None or delta < 0:
            return []
        if event.index in self._current and not self._forgets:
            self._current[event.index].add(document, delta)
            self.held_bytes += PIECE_BYTES + document.span(delta)[1] - document.span(delta)[0]
        event.visible = event.kind is EventKind.TEXT and bool(text_at(document, delta, "text"))
        event.blank = event.blank and not (text_at(document, delta, "thinking") or text_at(document, delta, "text"))
        return [event]

    def _read_block_stop(self, document: Document) -> list[Event]:
        event = self._block_event(document)
        return [] if event is None else [event]

    def _block_event(self, document: Document) -> Event | None:
        """More of a block, or its end."""
        index = count_at(document, 0, "index")
        if index is None:
            return None
        kind = self._current[index].kind if index in self._current else EventKind.OTHER
        blank = kind is EventKind.SIGNED
        return Event(EventKind.PIECE if kind is EventKind.CALL else kind, index, blank=blank, data=document)

    def _read_message_delta(self, document: Document) -> list[Event]:
        if not self._forgets:
            self._deltas.append(document)
            self.held_bytes += PIECE_BYTES + len(document.data)
        delta = document.get(0, "delta")
        finished = delta >= 0 and given(document, delta, "stop_reason") >= 0
        kinds = (EventKind.FINISH, EventKind.USAGE) if finished else (EventKind.USAGE,)
        return [Event(kind, data=document) for kind in kinds]

    def _read_message_stop(self, document: Document) -> list[Event]:
        return [Event(EventKind.END, data=document)]

    def _read_error(self, document: Document) -> list[Event]:
        return [Event(EventKind.ERROR, data=document)]

    _readers: ClassVar[dict[str, Callable[["AnthropicCodec", Document], list[Event]]]] = {
        "message_start": _read_message_start,
        "content_block_start": _read_block_start,
        "content_block_delta": _read_block_delta,
        "content_block_stop": _read_block_stop,
        "message_delta": _read_message_delta,
        "message_stop": _read_message_stop,
        "error": _read_error,
    }


def _moved(event: Event) -> bytes:
    """An event of a block with the client's index."""
    document: Document = event.data
    edits = replace(document, document.get(0, "index"), b"%d" % (event.index or 0))
    return spell(text_at(document, 0, "type"), splice(document.data, edits))


def _collect(
    document: Document,
    node: int,
    start: Document,
    members: dict[str, bytes],
    *,
    without: Sequence[str] = (),
    at: str = "",
) -> None:
    """Take up what an event says about the message (or the object under `at` there). A null says nothing about a known member."""
    if node < 0:
        return
    known = given(start, 0, at) if at else 0
    for key, value in document.items(node):
        if key in without:
            continue
        is_known = key in members or (known >= 0 and start.get(known, key) >= 0)
        if document.kind(value) != NULL or not is_known:
            members[key] = document.raw(value)


def _final(document: Document, answers: Sequence[Answer], *, stopped: bool) -> bytes:
    """The `message_delta` that ends all rounds."""
    edits: list[Edit] = []
    delta = document.get(0, "delta")
    if stopped and delta >= 0 and text_at(document, delta, "stop_reason") == "tool_use":
        edits += replace(document, document.get(delta, "stop_reason"), b'"end_turn"')
    members: dict[str, bytes] = {}
    usage, node = total_usage(answers), document.get(0, "usage")
    if usage is not None:
        if node >= 0 and document.kind(node) == OBJECT:
            edits += rewrite(document, node, json.loads(document.raw(node)), usage)
        else:
            members["usage"] = dump(usage)
    # Clients take these from message_start, of which they saw the first round's only.
    last = answers[-1].document
    changes = given(last, 0, "input_transformations")
    if len(answers) > 1 and changes >= 0 and given(document, 0, "input_transformations") < 0:
        members["input_transformations"] = last.raw(changes)
    return splice(document.data, edits + overlay(document, 0, members))
