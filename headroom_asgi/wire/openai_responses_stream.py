"""Streams of OpenAI Responses, over all rounds of one exchange."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from headroom_asgi._crush import ARRAY, OBJECT, Document
from headroom_asgi.errors import ResponseError
from headroom_asgi.sse import ServerSentEvent, SSESplitter
from headroom_asgi.types import RETRIEVE_NAME, Edit
from headroom_asgi.wire.answers import Answer, Part
from headroom_asgi.wire.events import PIECE_BYTES, Event, EventKind, Frame, StreamCodec
from headroom_asgi.wire.nodes import count_at, find, object_in, text_at
from headroom_asgi.wire.openai_responses_answer import (
    item_events,
    merge_answers,
    notice_item,
    read_answer,
    spell,
    spell_events,
    without_tool,
)
from headroom_asgi.wire.openai_responses_items import call_of, kind_of
from headroom_asgi.wire.splice import dump, overlaid, overlay, replace, splice

_DONE: Final = b"[DONE]"
_NOTHING: Final = Document(b"{}")
# Events that show text as it comes.
_DELTAS: Final = frozenset({"response.output_text.delta", "response.refusal.delta"})
# Events that tell of the response as a whole, before anything of it is there.
_BEGINNINGS: Final = frozenset({"response.created", "response.queued", "response.in_progress"})


@dataclass(slots=True, repr=False)
class _Item:
    """An output item while it arrives.

    Attributes:
        kind: what all its events are but the first of a call.
        document, node: the item as it began, and once it is there as it ended.
        shown: the client has seen it.
    """

    kind: EventKind
    document: Document
    node: int
    shown: bool = False

    @property
    def raw(self) -> bytes:
        return self.document.raw(self.node)


@dataclass(frozen=True, slots=True, repr=False)
class _Said:
    """What a frame says: its JSON, the name of the event, and which frame of the round it is."""

    document: Document
    name: str
    position: int


class ResponsesCodec(StreamCodec):
    """Both directions of one exchange's stream.

    Events are numbered without gaps, and the response has one id, the first round's that the client knows of: the SDK refuses a
    stream where it changes.
    As long as nothing was taken out, the first round's events keep their numbers and all their bytes, but for our tool, which
    responses repeat among those of the request.
    """

    def __init__(self) -> None:
        self._number = 0  # the next sequence number
        self._encoded = 0  # frames that were given to the client
        self._intact = True  # as many as came
        self._begun = False  # an earlier round told the client of the response
        self._noticed = ""
        self._created: Document | None = None  # what the client knows of the response
        self._owed = b""  # goes out before the next client bytes
        self._rounds: list[dict[int, _Item]] = []  # output items by their index
        self._reset()

    def _reset(self) -> None:
        self._splitter = SSESplitter()
        self._frames = 0
        self._items: dict[int, _Item] = {}
        self._rounds.append(self._items)
        self._final: Document | None = None
        self._rest: Frame | None = None
        self._forgets = False
        self.held_bytes = 0

    def begin_round(self) -> None:
        """The client's output stays, and its numbers go on. What did not come to its end was no round."""
        self._begun = self._begun or self._final is not None
        self._next_round()

    def begin_anew(self) -> int:
        """The next round's id is the one from which the provider goes on with all of them."""
        self._created, self._number, self._intact = None, 0, False
        for item in self._items.values():
            item.shown = False
        self._next_round()
        return 0

    def _next_round(self) -> None:
        if self._final is None:
            self._rounds.pop()
        self._reset()

    def feed(self, chunk: bytes) -> list[Frame]:
        """One frame for every event."""
        return [self._frame(event) for event in self._splitter.feed(chunk)]

    def close(self) -> list[Frame]:
        """The rest; if it is no whole event, a frame that says nothing."""
        frames = [self._frame(event) for event in self._splitter.close()]
        self._rest = frames[-1] if frames else None
        return frames

    def answer(self) -> Answer:
        """The response of the last event; its output out of the items' own events, where it has not all of them."""
        final = self._final
        response = final.get(0, "response") if final is not None else -1
        if final is None or response < 0 or final.kind(response) != OBJECT:
            raise ResponseError("the stream has no response at its end")
        document = Document(final.raw(response))
        output = document.get(0, "output")
        told = b"[" + b",".join(self._items[index].raw for index in sorted(self._items)) + b"]"
        if output >= 0 and document.kind(output) == ARRAY and document.count(output) >= len(self._items):
            return read_answer(document.data)
        return read_answer(overlaid(document.data, {"output": told}))

    def forget(self) -> None:
        """Of items only their kinds are still followed."""
        self._forgets = True
        for item in self._items.values():
            item.document, item.node = _NOTHING, 0

    def encode(self, frame: Frame, events: Sequence[Event]) -> bytes:
        """The event with the client's index and number. Its JSON keeps every other byte."""
        said: _Said | None = frame.data
        if not events:
            return b""
        if said is None:
            # A piece of an event would spoil the error that follows it.
            return b"" if frame is self._rest and self._begun else self._paid(frame, frame.raw)
        if self._begun and said.name in _BEGINNINGS:
            return b""
        self._intact = self._intact and not self._begun and said.position == self._encoded + 1
        edits = self._numbered(said.document)
        index = events[0].index
        if index is not None:
            if index != frame.events[0].index:
                edits += replace(said.document, said.document.get(0, "output_index"), b"%d" % index)
            if frame.events[0].index in self._items:
                self._items[frame.events[0].index].shown = True
        edits += self._echoed(said)
        return self._paid(frame, spell(said.name, splice(said.document.data, edits)) if edits else frame.raw)

    def separator(self) -> bytes:
        """Nothing: every round has messages of its own."""
        return b""

    def notice(self, text: str, index: int) -> bytes:
        """A message, whole."""
        self._noticed = text
        last = self._final
        item = notice_item(text, text_at(last, 0, "response", "id") if last is not None else "")
        events = item_events(index, item)
        first, self._number = self._number, self._number + len(events)
        return self._told(spell_events(events, first))

    def finish(self, frames: Sequence[Frame], answers: Sequence[Answer], *, stopped: bool) -> bytes:  # noqa: ARG002
        """The last round's last event, with everything that the client has seen as the output, and the usage of all rounds."""
        self._intact = False
        final = next((frame for frame in reversed(frames) if frame.data is not None), None)
        out = []
        for frame in frames:
            if frame is final:
                said: _Said = frame.data
                kept = [_kept(answer, items) for answer, items in zip(answers, self._rounds, strict=False)]
                merged = merge_answers(answers, kept, notice=self._noticed)
                response = splice(merged, self._identified(Document(merged), 0))
                edits = replace(said.document, said.document.get(0, "response"), response) + self._numbered(said.document)
                out.append(spell(said.name, splice(said.document.data, edits)))
            elif frame.data is None:
                out.append(b"data: " + _DONE + b"\n\n")
        return self._told(b"".join(out))

    def error(self, message: str) -> bytes:
        """The response as it failed, with what was shown of it; a mere error where the client knows of no response."""
        said = {"code": "server_error", "message": message}
        if self._created is None:
            return self._told(spell_events([{"type": "error", **said, "param": None}], self._number))
        document = Document(self._created.raw(self._created.get(0, "response")))
        members = {"status": b'"failed"', "error": dump(said), "output": self._output()}
        edits = without_tool(document, 0) + overlay(document, 0, members)
        data = b'{"type":"response.failed","sequence_number":%d,"response":%b}'
        return self._told(spell("response.failed", data % (self._number, splice(document.data, edits))))

    def keep_alive(self) -> bytes:
        """A comment: events of a kind that is not known end some clients."""
        return b": keep-alive\n\n"

    # -- what a frame says ---------------------------------------------------------------------------------------------

    def _frame(self, event: ServerSentEvent) -> Frame:
        self._frames += 1
        if event.data is not None and event.data.strip() == _DONE:
            return Frame(event.raw, [Event(EventKind.END)])
        document = object_in(event.data)
        if document is None:
            return Frame(event.raw, [Event(EventKind.OPAQUE)])
        name = text_at(document, 0, "type") or event.name
        read_event = self._readers.get(name, ResponsesCodec._read_of_item)
        return Frame(event.raw, read_event(self, document, name), _Said(document, name, self._frames))

    def _read_created(self, document: Document, name: str) -> list[Event]:  # noqa: ARG002
        response = document.get(0, "response")
        if self._created is None and response >= 0 and document.kind(response) == OBJECT:
            self._created = document
        return [Event(EventKind.START)]

    def _read_added(self, document: Document, name: str) -> list[Event]:  # noqa: ARG002
        index, item = count_at(document, 0, "output_index"), document.get(0, "item")
        if index is None or item < 0 or document.kind(item) != OBJECT:
            return [Event(EventKind.OPAQUE)]
        call = call_of(document, item)
        kind = EventKind.PIECE if call is not None else EventKind(kind_of(document, item).value)
        self._items[index] = _Item(kind, _NOTHING, 0) if self._forgets else _Item(kind, document, item)
        self.held_bytes += PIECE_BYTES + len(document.data)
        if call is None:
            return [Event(kind, index, begins=True)]
        # The name is whole, so with the first piece it is known whose call this is.
        return [Event(EventKind.CALL, index, id=call.id, name=call.name, begins=True), Event(kind, index)]

    def _read_item_done(self, document: Document, name: str) -> list[Event]:
        index, item = count_at(document, 0, "output_index"), document.get(0, "item")
        if index not in self._items:  # nobody told that it began
            return self._read_added(document, name)
        if item >= 0 and document.kind(item) == OBJECT and not self._forgets:
            self.held_bytes += len(document.data) - len(self._items[index].document.data)
            self._items[index].document, self._items[index].node = document, item
        return self._read_of_item(document, name)

    def _read_of_item(self, document: Document, name: str) -> list[Event]:
        """An event of an item, or one that is not known."""
        index = count_at(document, 0, "output_index")
        if index is None:
            return [Event(EventKind.OPAQUE)]
        kind = self._items[index].kind if index in self._items else EventKind.OTHER
        visible = kind is EventKind.TEXT and name in _DELTAS and bool(text_at(document, 0, "delta"))
        return [Event(kind, index, visible=visible)]

    def _read_end(self, document: Document, name: str) -> list[Event]:  # noqa: ARG002
        self._final = document
        output = find(document, 0, "response", "output") if self._forgets else -1
        items = document.elements(output) if output >= 0 and document.kind(output) == ARRAY else []
        if any(text_at(document, item, "name") == RETRIEVE_NAME for item in items):  # that no event told of
            raise ResponseError("a call of ours at the end of an answer that is too long")
        return [Event(EventKind.FINISH), Event(EventKind.USAGE), Event(EventKind.END)]

    def _read_error(self, document: Document, name: str) -> list[Event]:  # noqa: ARG002
        return [Event(EventKind.ERROR)]

    _readers: ClassVar[dict[str, Callable[["ResponsesCodec", Document, str], list[Event]]]] = {
        "response.created": _read_created,
        "response.output_item.added": _read_added,
        "response.output_item.done": _read_item_done,
        "response.completed": _read_end,
        "response.incomplete": _read_end,
        "response.failed": _read_error,
        "error": _read_error,
    }

    # -- what the client gets of it ------------------------------------------------------------------------------------

    def _numbered(self, document: Document) -> list[Edit]:
        """The edit that gives an event its number among those of the client."""
        number = count_at(document, 0, "sequence_number")
        if number is None:
            return []
        if self._intact:
            self._number = number
        own, self._number = self._number, self._number + 1
        return replace(document, document.get(0, "sequence_number"), b"%d" % own) if number != own else []

    def _echoed(self, said: _Said) -> list[Edit]:
        """The edits of a response that an event repeats: our tool is none of the client's, and a failed one has its output."""
        document, response = said.document, said.document.get(0, "response")
        if response < 0 or document.kind(response) != OBJECT:
            return []
        edits = without_tool(document, response) + self._identified(document, response)
        output = document.get(response, "output")
        if said.name == "response.failed" and output >= 0 and not self._intact:
            edits += replace(document, output, self._output())
        return edits

    def _identified(self, document: Document, response: int) -> list[Edit]:
        """The edit that gives a response the id that it began with."""
        created = self._created
        known = created.get(created.get(0, "response"), "id") if created is not None else -1
        own = document.get(response, "id")
        if created is None or known < 0 or own < 0 or created.raw(known) == document.raw(own):
            return []
        return replace(document, own, created.raw(known))

    def _output(self) -> bytes:
        """What was shown, as the output of a response, as far as it is still known."""
        items = [items[index] for items in self._rounds for index in sorted(items)]
        shown = [item.raw for item in items if item.shown and item.document is not _NOTHING]
        return b"[" + b",".join(shown) + b"]"

    def _paid(self, frame: Frame, data: bytes) -> bytes:
        """Bytes of a frame. The rest of a stream that broke off has no end of its own."""
        self._encoded += 1
        data, self._owed = self._owed + data, b"\n\n" if frame is self._rest and data is frame.raw else b""
        return data

    def _told(self, data: bytes) -> bytes:
        """Bytes of our own."""
        data, self._owed = self._owed + data, b""
        return data


def _kept(answer: Answer, items: Mapping[int, _Item]) -> list[Part]:
    """The parts of a round's answer that the client has seen, and those that no event told of; never our calls."""
    seen = [items[index].shown for index in sorted(items)]
    return [
        part
        for position, part in enumerate(answer.parts)
        if (position >= len(seen) or seen[position]) and (part.call is None or part.call.name != RETRIEVE_NAME)
    ]
