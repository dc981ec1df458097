"""Streams of Bedrock Converse, over all rounds of one exchange."""

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from headroom_asgi._crush import OBJECT, STRING, Document
from headroom_asgi.errors import ResponseError
from headroom_asgi.types import Edit
from headroom_asgi.wire.answers import Answer
from headroom_asgi.wire.bedrock_answer import is_server_call, member, read_answer, spell_stop, spell_text, totals
from headroom_asgi.wire.blocks import OpenBlocks
from headroom_asgi.wire.events import PIECE_BYTES, Event, EventKind, Frame, StreamCodec
from headroom_asgi.wire.eventstream import EventMessage, EventStreamSplitter, exception
from headroom_asgi.wire.nodes import count_at, given, json_in, object_in, text_at
from headroom_asgi.wire.splice import dump, literal, overlaid, overlay, replace, rewrite, splice

# What a block is whose first delta has that member, where no start said so.
_DELTA_KINDS = {"text": EventKind.TEXT, "citation": EventKind.TEXT, "reasoningContent": EventKind.SIGNED}
_PADDING = "p"  # evens out the sizes of messages


@dataclass(slots=True, repr=False)
class _Block:
    """A content block while it arrives: what its start said, and what deltas added, as it was spelled."""

    kind: EventKind
    start: Document | None = None
    ended: bool = False
    strings: dict[str, list[bytes]] = field(default_factory=dict)  # contents of literals by the member that they add to
    items: dict[str, list[bytes]] = field(default_factory=dict)  # elements by the list that they add to
    others: dict[str, bytes] = field(default_factory=dict)

    def add(self, document: Document, name: str, value: int) -> None:
        """Take up a delta."""
        if name == "toolResult":
            self.items.setdefault(name, []).extend(document.raw(item) for item in document.elements(value))
        elif name == "citation":
            self.items.setdefault(name, []).append(document.raw(value))
        elif name in ("toolUse", "reasoningContent"):
            for key, piece in document.items(value):
                self._append(document, key, piece)
        elif name == "text":
            self._append(document, name, value)
        else:
            self.others[name] = document.raw(value)

    def _append(self, document: Document, key: str, piece: int) -> None:
        if document.kind(piece) == STRING:
            self.strings.setdefault(key, []).append(document.raw(piece)[1:-1])

    def assembled(self) -> bytes:
        """The block as a JSON answer has it."""
        if self.start is not None:
            kind, value = member(self.start, 0)
            return b"{%b:%b}" % (literal(kind), overlaid(self.start.raw(value), self._added(kind)))
        if "redactedContent" in self.strings:
            return b'{"reasoningContent":{"redactedContent":' + _joined_blobs(self.strings["redactedContent"]) + b"}}"
        if self.kind is EventKind.SIGNED:
            members = [literal(key) + b":" + self._string(key) for key in self.strings]
            return b'{"reasoningContent":{"reasoningText":{' + b",".join(members) + b"}}}"
        if "citation" in self.items:
            text = b'[{"text":' + self._string("text") + b"}]"
            return b'{"citationsContent":{"content":%b,"citations":%b}}' % (text, self._list("citation"))
        if self.others and not self.strings:
            return b"{" + b",".join(literal(key) + b":" + data for key, data in self.others.items()) + b"}"
        return b'{"text":' + self._string("text") + b"}"

    def _added(self, kind: str) -> dict[str, bytes]:
        """What deltas added to a block that had a start."""
        if kind == "toolUse":
            return {"input": json_in(b"".join(self.strings.get("input", ()))) or b"{}"}
        if kind == "toolResult":
            return {"content": self._list(kind)}
        added: dict[str, bytes] = {}
        for data in self.others.values():
            delta = Document(data)
            added |= {key: delta.raw(node) for key, node in delta.items(0)}
        return added

    def _string(self, key: str) -> bytes:
        return b'"' + b"".join(self.strings.get(key, ())) + b'"'

    def _list(self, key: str) -> bytes:
        return b"[" + b",".join(self.items.get(key, ())) + b"]"


def _joined_blobs(pieces: Sequence[bytes]) -> bytes:
    """One literal of base64 out of the contents of several. Each stands for whole bytes, so they are joined as bytes."""
    if len(pieces) == 1:
        return b'"' + pieces[0] + b'"'
    try:
        blobs = [base64.b64decode(Document(b'"' + piece + b'"').text(0), validate=True) for piece in pieces]
    except ValueError as error:
        raise ResponseError("the stream has redacted reasoning that is not base64") from error
    return b'"' + base64.b64encode(b"".join(blobs)) + b'"'


class ConverseCodec(StreamCodec):
    """Both directions of one exchange's stream. Blocks that an upstream left open are closed before another round goes on."""

    def __init__(self) -> None:
        self._open = OpenBlocks(spell_stop)
        self._rounds = 0
        self._reset()

    def _reset(self) -> None:
        self._splitter = EventStreamSplitter()
        self._role = b""
        self._blocks: list[_Block] = []
        self._current: dict[int, _Block] = {}  # the last block of each index
        self._stop: Document | None = None
        self._metadata: Document | None = None
        self._forgets = False
        self.held_bytes = 0

    def begin_round(self) -> None:
        """Forget the last round's blocks; those still open at the client are closed with the next bytes."""
        self._open.owe(self._open.close())
        self._rounds += 1
        self._reset()

    def feed(self, chunk: bytes) -> list[Frame]:
        """One frame for every message. ResponseError where the stream is corrupt."""
        return [self._frame(message) for message in self._splitter.feed(chunk)]

    def close(self) -> list[Frame]:
        """What began and did not end: a frame that says nothing. ResponseError where the stream is corrupt."""
        rest = self._splitter.close()
        return [Frame(rest, [Event(EventKind.OPAQUE)])] if rest else []

    def answer(self) -> Answer:
        """The blocks in the order in which they began, the reason, and what the metadata said."""
        if not self._role or self._stop is None:
            raise ResponseError("the stream has no messageStart and messageStop")
        content = b",".join(block.assembled() for block in self._blocks)
        members = [b'"output":{"message":{"role":%b,"content":[%b]}}' % (self._role, content)]
        for document in (self._stop, self._metadata):
            if document is not None:
                members += [literal(key) + b":" + document.raw(node) for key, node in document.items(0) if key != _PADDING]
        return read_answer(b"{" + b",".join(members) + b"}")

    def forget(self) -> None:
        """Of blocks only their kinds are still followed."""
        self._forgets = True
        self._blocks = []
        self._current = {index: _Block(block.kind, ended=block.ended) for index, block in self._current.items()}

    def encode(self, frame: Frame, events: Sequence[Event]) -> bytes:
        """The message with the client's index; its JSON keeps every other byte."""
        if not events or (frame.data is None and self._rounds > 1):  # a piece of a message would spoil the one that follows it
            return b""
        event, message = events[0], frame.data
        if event.index is not None:
            if message.header(":event-type") == "contentBlockStop":
                self._open.end(event.index)
            else:
                self._open.begin(event.index)
        return self._open.paid(frame.raw if event.index == frame.events[0].index else message.carrying(_moved(event)))

    def separator(self) -> bytes:
        """Nothing: every round has text blocks of its own."""
        return b""

    def notice(self, text: str, index: int) -> bytes:
        """A text block, whole."""
        return self._open.paid(self._open.close() + spell_text(index, text))

    def finish(self, frames: Sequence[Frame], answers: Sequence[Answer], *, stopped: bool) -> bytes:
        """One `messageStop`, and one `metadata` with what all rounds used."""
        out = []
        for frame in frames:
            document = frame.events[0].data
            edits: list[Edit] = []
            if stopped and text_at(document, 0, "stopReason") == "tool_use":
                edits += replace(document, document.get(0, "stopReason"), b'"end_turn"')
            if len(answers) > 1 and frame.events[-1].kind is EventKind.END:
                edits += _summed(document, answers)
            out.append(frame.data.carrying(splice(document.data, edits)) if edits else frame.raw)
        return self._open.paid(self._open.close() + b"".join(out))

    def error(self, message: str) -> bytes:
        """The exception by which the service says that a model's stream broke off."""
        return self._open.paid(exception("modelStreamErrorException", b'{"message":' + literal(message) + b"}"))

    def keep_alive(self) -> bytes:
        """Nothing: not every client is known to skip messages of an unknown type."""
        return b""

    def _frame(self, message: EventMessage) -> Frame:
        events = [Event(EventKind.ERROR)] if message.is_error else []
        read_event = self._readers.get(message.header(":event-type"))
        document = object_in(message.payload) if read_event is not None and not events else None
        if read_event is not None and document is not None:
            events = read_event(self, document)
        return Frame(message.raw, events or [Event(EventKind.OPAQUE)], message)

    def _read_message_start(self, document: Document) -> list[Event]:
        role = given(document, 0, "role")
        self._role = self._role or (document.raw(role) if role >= 0 else b'"assistant"')
        return [Event(EventKind.START, data=document)]

    def _read_block_start(self, document: Document) -> list[Event]:
        index, start = count_at(document, 0, "contentBlockIndex"), document.get(0, "start")
        kind, value = member(document, start) if start >= 0 else ("", -1)
        if index is None or value < 0 or document.kind(value) != OBJECT:
            return []
        is_call = kind == "toolUse" and not is_server_call(document, value)
        block = self._begun(index, _Block(EventKind.CALL if is_call else EventKind.OTHER, Document(document.raw(start))))
        if not is_call:
            return [Event(block.kind, index, begins=True, data=document)]
        call_id, name = text_at(document, value, "toolUseId"), text_at(document, value, "name")
        return [Event(block.kind, index, id=call_id, name=name, begins=True, data=document)]

    def _read_block_delta(self, document: Document) -> list[Event]:
        index, delta = count_at(document, 0, "contentBlockIndex"), document.get(0, "delta")
        name, value = member(document, delta) if delta >= 0 else ("", -1)
        if index is None or value < 0:
            return []
        block = self._current.get(index)
        begins = block is None or block.ended
        if block is None or block.ended:
            block = self._begun(index, _Block(_DELTA_KINDS.get(name, EventKind.OTHER)))
        if not self._forgets:
            block.add(document, name, value)
            self.held_bytes += PIECE_BYTES + document.span(value)[1] - document.span(value)[0]
        visible = block.kind is EventKind.TEXT and bool(text_at(document, delta, "text"))
        kind = EventKind.PIECE if block.kind is EventKind.CALL else block.kind
        blank = kind is EventKind.SIGNED and not text_at(document, value, "text")
        return [Event(kind, index, visible=visible, blank=blank, begins=begins, data=document)]

    def _read_block_stop(self, document: Document) -> list[Event]:
        index = count_at(document, 0, "contentBlockIndex")
        if index is None:
            return []
        block = self._current.get(index) or self._begun(index, _Block(EventKind.TEXT))  # of a text without text this is all
        block.ended = True
        kind = EventKind.PIECE if block.kind is EventKind.CALL else block.kind
        return [Event(kind, index, blank=kind is EventKind.SIGNED, data=document)]

    def _begun(self, index: int, block: _Block) -> _Block:
        self._current[index] = block
        if self._forgets:
            block.start = None
        else:
            self._blocks.append(block)
            self.held_bytes += PIECE_BYTES + (len(block.start.data) if block.start is not None else 0)
        return block

    def _read_message_stop(self, document: Document) -> list[Event]:
        self._stop = document
        return [Event(EventKind.FINISH, data=document)]

    def _read_metadata(self, document: Document) -> list[Event]:
        self._metadata = document
        return [Event(EventKind.USAGE, data=document), Event(EventKind.END, data=document)]

    _readers: ClassVar[dict[str, Callable[["ConverseCodec", Document], list[Event]]]] = {
        "messageStart": _read_message_start,
        "contentBlockStart": _read_block_start,
        "contentBlockDelta": _read_block_delta,
        "contentBlockStop": _read_block_stop,
        "messageStop": _read_message_stop,
        "metadata": _read_metadata,
    }


def _moved(event: Event) -> bytes:
    """The payload of an event of a block with the client's index."""
    document: Document = event.data
    edits = replace(document, document.get(0, "contentBlockIndex"), b"%d" % (event.index or 0))
    return splice(document.data, edits)


def _summed(document: Document, answers: Sequence[Answer]) -> list[Edit]:
    """The edits that make what one round used what all did."""
    edits: list[Edit] = []
    members: dict[str, bytes] = {}
    for name, value in totals(answers).items():
        node = document.get(0, name)
        if node >= 0 and document.kind(node) == OBJECT:
            edits += rewrite(document, node, json.loads(document.raw(node)), value)
        else:
            members[name] = dump(value)
    return edits + overlay(document, 0, members)
