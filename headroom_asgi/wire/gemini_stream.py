"""Streams of Gemini: chunks to neutral events, and the kept events of several rounds to one stream."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from headroom_asgi._crush import Document
from headroom_asgi.errors import ResponseError
from headroom_asgi.types import Edit
from headroom_asgi.wire.answers import Answer, PartKind
from headroom_asgi.wire.events import PIECE_BYTES, Event, EventKind, Frame, StreamCodec
from headroom_asgi.wire.gemini_answer import (
    SOURCES,
    candidate_of,
    check_candidates,
    counted,
    gives_reason,
    parts_of,
    read_answer,
    resign,
)
from headroom_asgi.wire.gemini_assembly import Assembly
from headroom_asgi.wire.gemini_framing import ArrayFraming, EventFraming, Piece
from headroom_asgi.wire.gemini_parts import call_of, checks_signatures, is_array, read_call, read_part, signature_of
from headroom_asgi.wire.nodes import find, given, is_true, object_in, text_at
from headroom_asgi.wire.splice import arrange, dump, literal, replace, splice

_KINDS: Final = {PartKind.TEXT: EventKind.TEXT, PartKind.SIGNED: EventKind.SIGNED, PartKind.OTHER: EventKind.OTHER}
_EMPTY_CONTENT: Final = b'"content":{"parts":[{"text":""}],"role":"model"}'
_IDENTITY: Final = "responseId"
# What a chunk may have without saying anything.
_ENVELOPE: Final = frozenset({"candidates", "usageMetadata", "modelVersion", "responseId", "createTime"})


@dataclass(slots=True, eq=False, repr=False)
class _Round:
    """What is known of a round while it streams."""

    number: int
    assembly: Assembly = field(default_factory=Assembly)
    begun: bool = False
    finished: bool = False
    failed: bool = False
    open: bool = False  # a call goes on in the next chunk
    called: bool = False
    signed: bool = False  # the first call has a signature
    shown: bool = False  # a call was given to the client
    forgets: bool = False  # the answer is too long to be put together


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _Chunk:
    """A frame that was read.

    Attributes:
        round: that it is of.
        piece: what it was made of.
        document: its JSON, if it is any.
        candidate: the node of the first candidate, -1 if there is none.
    """

    round: _Round
    piece: Piece
    document: Document | None = None
    candidate: int = -1


class GeminiCodec(StreamCodec):
    """Both directions of one exchange's stream.

    Args:
        events: chunks are server-sent events, else the elements of an array.
    """

    def __init__(self, *, events: bool) -> None:
        self._events = events
        self._framing = EventFraming() if events else ArrayFraming()
        self._identity = b""  # of the first round, as a JSON literal
        self._round = _Round(0)

    def begin_round(self) -> None:
        """The client's identity stays."""
        self._framing.begin_round()
        self._round = _Round(self._round.number + 1)
        self.held_bytes = 0

    def feed(self, chunk: bytes) -> list[Frame]:
        """One frame for every chunk, and one for the end of an array."""
        return [self._frame(piece) for piece in self._framing.feed(chunk)]

    def close(self) -> list[Frame]:
        """The rest; if it is no whole chunk, a frame that says nothing."""
        return [self._frame(piece) for piece in self._framing.close()]

    def answer(self) -> Answer:
        """The chunks as one answer: texts joined, calls whole."""
        try:
            data = self._round.assembly.json()
        except (RecursionError, ValueError) as error:
            raise ResponseError(f"the stream's answer is no JSON: {error}") from error
        if not data:
            raise ResponseError("the stream brought no chunk")
        return read_answer(data)

    def forget(self) -> None:
        """What a chunk says of the round stands in the round."""
        self._round.assembly, self._round.forgets = Assembly(), True

    def encode(self, frame: Frame, events: Sequence[Event]) -> bytes:
        """A chunk with those parts that are kept. One that says nothing any more is left out."""
        chunk: _Chunk = frame.data
        if not events:
            return b""
        first = chunk.round.number <= 1
        unsigned = self._unsigned(chunk, events)
        if first and len(events) == len(frame.events) and unsigned < 0:
            return self._framing.passed(chunk.piece)
        document = chunk.document
        if document is None:
            if chunk.piece.closes:  # behind an error
                return self._framing.end()
            # Blank lines keep a stream alive; a piece of a chunk would spoil what comes behind it.
            return chunk.piece.raw if self._events and not chunk.piece.raw.strip() else b""
        kinds = {event.kind for event in events}
        if EventKind.ERROR in kinds:
            return self._framing.spell(document.data)
        if not _says_something(document, events):
            return b""
        edits = _reduced(document, chunk.candidate, frame, events)
        if unsigned >= 0:
            edits += resign(document, unsigned)
        return self._framing.spell(splice(document.data, edits + self._renamed(document)))

    def separator(self) -> bytes:
        """Nothing: texts are parts of their own."""
        return b""

    def notice(self, text: str, index: int) -> bytes:  # noqa: ARG002 - parts of a stream have no index
        """A chunk with a text."""
        content = {"parts": [{"text": text}], "role": "model"}
        identity = b',"responseId":' + self._identity if self._identity else b""
        return self._framing.spell(b'{"candidates":[%b]%b}' % (dump({"content": content, "index": 0}), identity))

    def finish(self, frames: Sequence[Frame], answers: Sequence[Answer], *, stopped: bool) -> bytes:  # noqa: ARG002
        """The last chunk with a reason, without its parts, which went out before; and the usage of all rounds."""
        reasons = [frame.data.document for frame in frames if any(event.kind is EventKind.FINISH for event in frame.events)]
        document = reasons[-1] if reasons else Document(b'{"candidates":[{"index":0}]}')  # an array that just ends
        candidate = candidate_of(document)
        edits = self._renamed(document) + counted(document, answers)
        if candidate >= 0:
            keys = [key for key, _ in document.items(candidate)]
            kept = [i for i, key in enumerate(keys) if key != "content" and key not in SOURCES]
            edits += arrange(document, candidate, [_EMPTY_CONTENT, *kept])
        return self._framing.spell(splice(document.data, edits)) + self._framing.end()

    def error(self, message: str) -> bytes:
        """Google's error object as a chunk, which its SDK raises."""
        error = b'{"error":{"code":503,"message":%b,"status":"UNAVAILABLE"}}' % literal(message)
        return self._framing.spell(error) + self._framing.end()

    def keep_alive(self) -> bytes:
        """An empty line: comments kill Google's client, and between elements of an array white space says nothing."""
        return b"\r\n"

    def _frame(self, piece: Piece) -> Frame:
        now = self._round
        document = object_in(piece.data)
        if document is None:
            ends = piece.closes and not now.failed
            return Frame(piece.raw, [Event(EventKind.END if ends else EventKind.OPAQUE)], _Chunk(now, piece))
        if given(document, 0, "error") >= 0:
            now.failed = True
            return Frame(piece.raw, [Event(EventKind.ERROR)], _Chunk(now, piece, document))
        check_candidates(document)
        candidate = candidate_of(document)
        chunk = _Chunk(now, piece, document, candidate)
        if not now.forgets:
            now.assembly.add(document)
            content = document.span(document.get(0, "candidates")) if document.get(0, "candidates") >= 0 else (0, 0)
            self.held_bytes += PIECE_BYTES + content[1] - content[0]
        if not self._identity and (node := given(document, 0, _IDENTITY)) >= 0:
            self._identity = document.raw(node)
        events = [] if now.begun else [Event(EventKind.START)]
        now.begun = True
        events += [self._part(document, part) for part in parts_of(document, candidate)]
        if candidate >= 0 and any(document.get(candidate, key) >= 0 for key in SOURCES):
            events.append(Event(EventKind.OTHER))
        finishes = gives_reason(document, candidate)
        now.finished = now.finished or finishes
        if finishes:
            events.append(Event(EventKind.FINISH))
        # Every chunk has the usage so far. One that has nothing else is no end as long as there is no reason for one.
        if given(document, 0, "usageMetadata") >= 0 and (events or now.finished):
            events.append(Event(EventKind.USAGE))
        if finishes and self._events:
            events.append(Event(EventKind.END))
        return Frame(piece.raw, events or [Event(EventKind.OPAQUE)], chunk)

    def _part(self, document: Document, node: int) -> Event:
        """The event of a part; `data` is its node."""
        now = self._round
        call = call_of(document, node)
        if call >= 0:
            goes_on = now.open and not text_at(document, call, "name")
            now.open = is_true(document, call, "willContinue")
            if goes_on:
                return Event(EventKind.PIECE, data=node)
            if not now.called:
                now.called, now.signed = True, bool(signature_of(document, node))
            named = read_call(document, call)
            return Event(EventKind.CALL, id=named.id, name=named.name, data=node)
        kind = read_part(document, node).kind
        if kind is PartKind.OTHER and given(document, node, "text") >= 0 and not is_true(document, node, "thought"):
            return Event(EventKind.TEXT, data=node)  # an empty piece
        return Event(_KINDS[kind], visible=kind is PartKind.TEXT, data=node)

    def _unsigned(self, chunk: _Chunk, events: Sequence[Event]) -> int:
        """The first call that the client sees of a round, if the signature is gone with a hidden one before it; else -1."""
        now, document = chunk.round, chunk.document
        call = next((event.data for event in events if event.kind is EventKind.CALL), -1)
        if document is None or call < 0 or now.shown:
            return -1
        now.shown = True
        if not now.signed or signature_of(document, call):
            return -1
        return call if checks_signatures(text_at(document, 0, "modelVersion"), unknown=True) else -1

    def _renamed(self, document: Document) -> list[Edit]:
        """The edits that give a chunk the identity of the first round."""
        node = document.get(0, _IDENTITY)
        return replace(document, node, self._identity) if node >= 0 and self._identity else []


def _says_something(document: Document, events: Sequence[Event]) -> bool:
    """The kept events are more than a beginning, an empty text, or a figure."""
    for event in events:
        if event.kind is EventKind.OPAQUE:
            if any(key not in _ENVELOPE for key, _ in document.items(0)):
                return True
        elif event.kind not in (EventKind.START, EventKind.USAGE, EventKind.TEXT) or event.visible:
            return True
    return False


def _reduced(document: Document, candidate: int, frame: Frame, events: Sequence[Event]) -> list[Edit]:
    """The edits that leave in a chunk what the events keep of it."""
    kinds = {event.kind for event in events}
    keys = [key for key, _ in document.items(0)]
    edits: list[Edit] = []
    if "usageMetadata" in keys and EventKind.USAGE not in kinds:
        edits += arrange(document, 0, [i for i, key in enumerate(keys) if key != "usageMetadata"])
    if candidate < 0:
        return edits
    kept = {event.data for event in events}
    parts = find(document, candidate, "content", "parts")
    if is_array(document, parts):
        edits += arrange(document, parts, [i for i, node in enumerate(document.elements(parts)) if node in kept])
    if EventKind.FINISH not in kinds and any(event.kind is EventKind.FINISH for event in frame.events):
        # The reason takes with it all that is said of the whole answer.
        stay = {"content", "index", *SOURCES}
        members = [key for key, _ in document.items(candidate)]
        edits += arrange(document, candidate, [i for i, key in enumerate(members) if key in stay])
    return edits
