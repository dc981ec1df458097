"""Streams of OpenAI Chat Completions: chunks to neutral events, and the kept events of several rounds to one stream."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headroom_asgi.errors import ResponseError
from headroom_asgi.sse import ServerSentEvent, SSESplitter
from headroom_asgi.types import RETRIEVE_NAME
from headroom_asgi.wire.answers import Answer
from headroom_asgi.wire.events import Event, EventKind, Frame, StreamCodec
from headroom_asgi.wire.openai_chat_answer import (
    IDENTITY,
    SEPARATOR,
    UNASKED,
    is_signed,
    natural_stop,
    read_answer,
    signature_for,
    usages_of,
)
from headroom_asgi.wire.openai_chat_assembly import Assembly, is_calls, sized
from headroom_asgi.wire.splice import dump
from headroom_asgi.wire.usage import total


def _finite(number: str) -> float | None:
    value = float(number)
    return value if math.isfinite(value) else None


# NaN, Infinity and 1e999, which some servers put into logprobs, are null: JSON cannot say them.
_DECODER = json.JSONDecoder(parse_constant=lambda _: None, parse_float=_finite)
_DONE = b"data: [DONE]\n\n"
_RANK = {kind: rank for rank, kind in enumerate(EventKind)}
_TERMINAL = frozenset({EventKind.FINISH, EventKind.USAGE, EventKind.END})
_NOTHING: Mapping[str, Any] = {}
_NAMES = frozenset({EventKind.CALL, EventKind.PIECE})


@dataclass(frozen=True, slots=True, repr=False)
class _Chunk:
    """A parsed frame: which round it is of, and the choice that its events are about (None: no single one)."""

    round: int
    value: dict[str, Any] | None = None
    choice: dict[str, Any] | None = None
    delta: Mapping[str, Any] | None = None


class ChatCodec(StreamCodec):
    """The codec of one exchange. Chunks of other choices than the first pass as they are; where there are several, the tool is
    not offered.
    """

    def __init__(self) -> None:
        self._round = 0
        self._identity: dict[str, Any] = {}
        self._said: frozenset[str] = frozenset()  # fields that earlier rounds showed text in
        self._separated: set[str] = set()  # those of them that this round has gone on with
        self._splitter = SSESplitter()
        self._assembly = Assembly()
        self._first_call: Mapping[str, Any] = {}  # the first entry of the round's first call
        self._called = False  # a call of this round was shown

    def begin_round(self) -> None:
        """The identity stays, and what earlier rounds said."""
        self._round += 1
        self._said |= self._assembly.said
        self._separated = set()
        self._splitter = SSESplitter()
        self._assembly = Assembly()
        self._first_call, self._called = {}, False
        self.held_bytes = 0

    def feed(self, chunk: bytes) -> list[Frame]:
        """One frame an event. ResponseError if one is too long; `close` gives what was not returned."""
        return [self._frame(event) for event in self._splitter.feed(chunk)]

    def close(self) -> list[Frame]:
        """At most one frame: an event without its blank line."""
        return [self._frame(event) for event in self._splitter.close()]

    def answer(self) -> Answer:
        """The chunks so far as one answer, of all choices."""
        value = self._assembly.json()
        if value is None:
            raise ResponseError("the stream brought no choice")
        try:
            return read_answer(dump(value))
        except (ValueError, RecursionError) as error:
            raise ResponseError(f"the stream's answer is no JSON: {error}") from error

    def forget(self) -> None:
        """Of calls only their names and numbers are still followed."""
        self._assembly.forget()

    def encode(self, frame: Frame, events: Sequence[Event]) -> bytes:
        """A chunk with those parts of the delta that are kept; what else the chunk has stays."""
        if not events:
            return b""
        chunk: _Chunk = frame.data
        whole = len(events) == len(frame.events) and all(a is b for a, b in zip(events, frame.events, strict=True))
        if chunk.value is None or events[0].kind is EventKind.ERROR:
            # An event that was cut short would spoil what comes behind it; only the end of a single round may be such.
            return frame.raw if chunk.round <= 1 or frame.raw.endswith((b"\n", b"\r")) else b""
        unsigned = self._unsigned(events)
        if whole and chunk.round <= 1 and not unsigned:
            return frame.raw
        value = self._renamed(chunk)
        if chunk.choice is not None and all(event.kind is not EventKind.OPAQUE for event in events):
            value["choices"] = [self._choice(chunk, events, unsigned)]
        if "usage" in value and all(event.kind is not EventKind.USAGE for event in events):
            value["usage"] = None
        try:
            return _spelled(value)
        except RecursionError:  # the encoder follows a little less deep than the parser
            return frame.raw

    def separator(self) -> bytes:
        """A text chunk with an empty line, as this dialect has one string for all text."""
        return self._delta({"content": SEPARATOR})

    def notice(self, text: str, index: int) -> bytes:  # noqa: ARG002 - texts have no index in this dialect
        """A text chunk."""
        return self._delta({"content": text})

    def finish(self, frames: Sequence[Frame], answers: Sequence[Answer], *, stopped: bool) -> bytes:
        """One reason and one usage, each in the last frame that has one: clients chain or add up what comes twice."""
        usage = total(usages_of(answer.document for answer in answers))
        last = {event.kind: frame for frame in frames for event in frame.events}
        out = []
        for frame in frames:
            events = [event for event in frame.events if event.kind in _TERMINAL and last[event.kind] is frame]
            kinds = {event.kind for event in events}
            if EventKind.END in kinds:
                out.append(_DONE)
            elif kinds:
                value = self._renamed(frame.data)
                if "usage" in value:
                    value["usage"] = (usage or value["usage"]) if EventKind.USAGE in kinds else None
                if frame.data.choice is not None:
                    choice = self._choice(frame.data, events)
                    reason = choice["finish_reason"]
                    value["choices"] = [{**choice, "finish_reason": natural_stop(reason) if stopped else reason}]
                out.append(_spelled(value))
        return b"".join(out)

    def error(self, message: str) -> bytes:
        """OpenAI's error object as a chunk, which its SDK raises."""
        return _spelled({"error": {"message": message, "type": "server_error", "param": None, "code": None}})

    def keep_alive(self) -> bytes:
        """A comment, which every client of these streams skips."""
        return b": keep-alive\n\n"

    def _frame(self, event: ServerSentEvent) -> Frame:
        value = _parsed(event.data)
        if value is None:
            done = event.data is not None and event.data.strip() == b"[DONE]"
            return Frame(event.raw, [Event(EventKind.END if done else EventKind.OPAQUE)], _Chunk(self._round))
        if value.get("error") or event.name == "error":
            return Frame(event.raw, [Event(EventKind.ERROR)], _Chunk(self._round, value))
        for key in IDENTITY:
            if value.get(key):
                self._identity.setdefault(key, value[key])
        pieces = self._assembly.add(value)
        self.held_bytes += sized(value)
        choice = _only_choice(value)
        if choice is None and _calls_us(value):
            raise ResponseError(UNASKED)
        delta = None if choice is None else choice.get("delta")
        delta = delta if isinstance(delta, dict) else {}
        events = _delta_events(delta)
        if choice is not None:
            if pieces and not self._first_call:
                self._first_call = pieces[0].entry
            for piece in pieces:
                if piece.id or piece.name or not piece.more:
                    events.append(Event(EventKind.CALL, piece.number, piece.id, piece.name, data=piece.entry))
                if piece.more:
                    events.append(Event(EventKind.PIECE, piece.number, data=piece.entry))
            if choice.get("finish_reason"):
                events.append(Event(EventKind.FINISH))
        # Beside a choice that says nothing at all, counts are a figure so far, not the end.
        if isinstance(value.get("usage"), dict) and (events or not value.get("choices")):
            events.append(Event(EventKind.USAGE))
        if len(events) > 1:
            events.sort(key=lambda event: _RANK[event.kind])
        return Frame(event.raw, events or [Event(EventKind.OPAQUE)], _Chunk(self._round, value, choice, delta))

    def _renamed(self, chunk: _Chunk) -> dict[str, Any]:
        """The chunk with the identity of the first round."""
        value = chunk.value or {}
        return {key: self._identity.get(key, item) for key, item in value.items()}

    def _unsigned(self, events: Sequence[Event]) -> Mapping[str, Any]:
        """What the client's first call of a round lacks, if the one with the only signature was taken out before it."""
        entry = next((event.data for event in events if event.kind is EventKind.CALL), None)
        if entry is None or self._called:
            return {}
        self._called = True
        return {} if entry is self._first_call else signature_for(_raw(self._first_call), _raw(entry))

    def _choice(self, chunk: _Chunk, events: Sequence[Event], unsigned: Mapping[str, Any] = _NOTHING) -> dict[str, Any]:
        """The chunk's choice with what the events keep of it; `unsigned`: members for its first call."""
        choice, delta = chunk.choice or {}, chunk.delta or {}
        kinds = {event.kind for event in events}
        fields = {event.data: event.kind for event in events if isinstance(event.data, str)}
        calls = {id(event.data): event for event in events if event.kind in _NAMES}
        kept: dict[str, Any] = {}
        for key, value in delta.items():
            if key == "tool_calls" and is_calls(value):
                entries = [_moved(entry, calls[id(entry)], chunk.round) for entry in value if id(entry) in calls]
                if entries:
                    kept[key] = [{**entries[0], **unsigned}, *entries[1:]]
            elif key in fields:
                kept[key] = self._continued(key, value, chunk.round) if fields[key] is EventKind.OTHER else value
        reason = choice.get("finish_reason") if EventKind.FINISH in kinds else None
        spelled = {**choice, "delta": kept, "finish_reason": reason}
        if "logprobs" in spelled and not kinds & {EventKind.TEXT, EventKind.OTHER}:
            spelled["logprobs"] = None
        return spelled

    def _continued(self, key: str, value: Any, round_: int) -> Any:
        """A text outside the content (reasoning): its first piece in a later round is set off from what earlier rounds said."""
        if round_ <= 1 or not value or not isinstance(value, str) or key not in self._said or key in self._separated:
            return value
        self._separated.add(key)
        return SEPARATOR + value

    def _delta(self, delta: Mapping[str, Any]) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": None}
        return _spelled({**self._identity, "object": "chat.completion.chunk", "choices": [choice]})


def _parsed(data: bytes | None) -> dict[str, Any] | None:
    """The chunk in an event; None if there is none, or nothing that can be read as one."""
    if not data or data.lstrip()[:1] != b"{":
        return None
    try:
        value = _DECODER.decode(data.decode())
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _only_choice(value: Mapping[str, Any]) -> dict[str, Any] | None:
    """The choice that a chunk is about; None if there are several, or it is not the first one."""
    choices = value.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        return None
    return choices[0] if choices[0].get("index") in (0, None) else None


def _calls_us(value: Mapping[str, Any]) -> bool:
    """Whether one of a chunk's choices begins a call of our tool."""
    choices = value.get("choices")
    deltas = [choice.get("delta") for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []
    called = [delta.get("tool_calls") for delta in deltas if isinstance(delta, dict)]
    functions = [entry.get("function") for entries in called if is_calls(entries) for entry in entries or ()]
    return any(isinstance(function, dict) and function.get("name") == RETRIEVE_NAME for function in functions)


def _delta_events(delta: Mapping[str, Any]) -> list[Event]:
    """The events of a delta, its calls apart."""
    events = []
    for key, value in delta.items():
        if value is None or (key == "tool_calls" and is_calls(value)):
            continue
        if key == "role":
            events.append(Event(EventKind.START, data=key))
        elif key == "content":
            events.append(Event(EventKind.TEXT, visible=bool(value), data=key))
        else:
            signed = is_signed(key, _raw(value))
            events.append(Event(EventKind.SIGNED if signed else EventKind.OTHER, data=key))
    return events


def _raw(value: Any) -> bytes:
    """The JSON text of a value where it matters to `is_signed`: of objects and arrays that the encoder can follow."""
    try:
        return dump(value) if isinstance(value, (dict, list)) else b'""'
    except RecursionError:
        return b'""'


def _moved(entry: Mapping[str, Any], event: Event, round_: int) -> Mapping[str, Any]:
    """An entry of `tool_calls` at the client's index."""
    return entry if round_ <= 1 and event.index == entry.get("index") else {**entry, "index": event.index}


def _spelled(chunk: Mapping[str, Any]) -> bytes:
    return b"data: " + dump(chunk) + b"\n\n"
