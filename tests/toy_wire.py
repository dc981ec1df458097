"""A dialect that no provider speaks: the retrieval room works with it, so it knows no dialect by name.

A body is `{"turns": [...]}`. An answer is

    {"id": "a1", "parts": [{"kind": "text", "text": "..."}, {"kind": "call", "id": "c1", "name": "f", "text": "{}"}],
     "finish": "stop", "usage": 3}

with the kinds text, signed, other, call and the reasons stop, calls, cut. A stream has a line for each frame, an array of
events: `["start", id]`, `["text", index, piece]` (signed and other likewise), `["call", index, piece of the name, id]`,
`["piece", index, arguments]`, `["finish", reason]`, `["usage", number]`, `["end"]`, `["error", message]`, `["ping"]`.
"""

import json
import re

from headroom_asgi._crush import Document
from headroom_asgi.errors import ResponseError
from headroom_asgi.types import ToolCall
from headroom_asgi.wire import Answer, Event, EventKind, Finish, Frame, Part, PartKind, StreamCodec, WireFormat

INDEXED = ("text", "signed", "other", "call", "piece")


def line(*events) -> bytes:
    return json.dumps(events).encode() + b"\n"


class ToyCodec(StreamCodec):
    def __init__(self) -> None:
        self.identity = None
        self.rounds = 0
        self.begin_round()
        self.rounds = 0

    def begin_round(self) -> None:
        self.rounds += 1
        self.rest = b""
        self.value = {"parts": []}
        self.parts = {}

    def feed(self, chunk: bytes) -> list[Frame]:
        *lines, self.rest = re.split(rb"(?<=\n)", self.rest + chunk)
        return [self._frame(raw) for raw in lines]

    def close(self) -> list[Frame]:
        rest, self.rest = self.rest, b""
        return [Frame(rest, [Event(EventKind.OPAQUE)])] if rest else []

    def answer(self) -> Answer:
        if "finish" not in self.value:
            raise ResponseError("no reason")
        return ToyWire().read(json.dumps(self.value).encode())

    def forget(self) -> None:
        self.value = {"parts": []}

    def encode(self, frame: Frame, events) -> bytes:
        if list(events) == frame.events and self.rounds <= 1:
            return frame.raw
        return line(*([e.data[0], e.index, *e.data[2:]] if e.data[0] in INDEXED else e.data for e in events)) if events else b""

    def separator(self) -> bytes:
        return b""

    def notice(self, text: str, index: int) -> bytes:
        return line(["text", index, text])

    def finish(self, frames, answers, *, stopped: bool) -> bytes:
        values = [json.loads(answer.document.data) for answer in answers]
        assert any(event.kind is EventKind.END for frame in frames for event in frame.events)
        reason = "stop" if stopped else values[-1]["finish"]
        return line(["finish", reason], ["usage", sum(value["usage"] for value in values)]) + line(["end"])

    def error(self, message: str) -> bytes:
        return line(["error", message])

    def keep_alive(self):
        return line(["ping"])

    def _frame(self, raw: bytes) -> Frame:
        return Frame(raw, [self._event(data) for data in json.loads(raw)])

    def _event(self, data) -> Event:
        name = data[0]
        if name == "ping":
            return Event(EventKind.OPAQUE, data=data)
        kind = EventKind(name)
        if name not in INDEXED:
            if name in ("start", "finish", "usage"):
                self.value["id" if name == "start" else name] = data[1]
            return Event(kind, data=data)
        index = data[1]
        if index not in self.parts:
            self.parts[index] = {"kind": name, "text": ""} | ({"id": data[3], "name": ""} if name == "call" else {})
            self.value["parts"].append(self.parts[index])
        self.parts[index]["name" if name == "call" else "text"] += data[2]
        if name == "call":
            return Event(kind, index, id=data[3], name=data[2], data=data)
        return Event(kind, index, visible=name == "text" and bool(data[2]), data=data)


class ToyWire(WireFormat):
    name = provider = operation = "toy"
    endpoints = ()
    example_path = "/toy"

    def read(self, body: bytes) -> Answer:
        value = json.loads(body)
        parts = []
        for node, part in enumerate(value["parts"]):
            call = ToolCall(part["id"], part["name"], part["text"]) if part["kind"] == "call" else None
            parts.append(Part(PartKind(part["kind"]), node, call))
        return Answer(Document(body), tuple(parts), Finish.CUT if value["finish"] == "cut" else Finish.DONE)

    def merge(self, answers, kept, *, notice: str, stopped: bool) -> bytes:
        values = [json.loads(answer.document.data) for answer in answers]
        parts = [value["parts"][part.node] for value, shown in zip(values, kept, strict=True) for part in shown]
        if notice:
            parts.append({"kind": "text", "text": notice})
        usage = sum(value["usage"] for value in values)
        finish = "stop" if stopped else values[-1]["finish"]
        return json.dumps({"id": values[0]["id"], "parts": parts, "finish": finish, "usage": usage}).encode()

    def append(self, body: bytes, answer: Answer, results) -> bytes:
        turns = json.loads(body)["turns"]
        turns.append(json.loads(answer.document.data)["parts"])
        turns.append([{"id": r.call.id, "text": r.text, "is_error": r.is_error} for r in results])
        return json.dumps({"turns": turns}).encode()

    def codec(self, media="toy") -> StreamCodec:
        return ToyCodec()

    def _unused(self, *_):
        raise NotImplementedError

    decode = offer = fields = opening = unpaired = complete = as_stream = turns = turn = replay = _unused
