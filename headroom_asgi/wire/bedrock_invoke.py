"""Bedrock InvokeModel with bodies of Anthropic Messages: the same conversations behind other addresses, in another framing."""

import base64
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from headroom_asgi._crush import OBJECT, Document, minify
from headroom_asgi.errors import PayloadError
from headroom_asgi.sse import ServerSentEvent, SSESplitter
from headroom_asgi.wire.answers import Answer
from headroom_asgi.wire.anthropic import AnthropicMessages
from headroom_asgi.wire.anthropic_answer import spell
from headroom_asgi.wire.anthropic_stream import AnthropicCodec
from headroom_asgi.wire.base import ANSWERED, Endpoint, Payload
from headroom_asgi.wire.events import Event, EventKind, Frame, StreamCodec
from headroom_asgi.wire.eventstream import MEDIA, EventMessage, EventStreamSplitter, event, exception
from headroom_asgi.wire.nodes import text_at
from headroom_asgi.wire.splice import dump, literal, overlaid
from headroom_asgi.wire.usage import total

_NAME = re.compile(r"[a-z_]+")  # of the model's events
# What the service adds to the last event of a stream.
_METRICS = "amazon-bedrock-invocationMetrics"
_FIRST_BYTE = "firstByteLatency"  # the only one of the metrics that rounds do not add to


class BedrockInvoke(AnthropicMessages):
    """Bedrock's `POST /model/{id}/invoke` and `invoke-with-response-stream` with bodies of Anthropic Messages."""

    name: ClassVar[str] = "bedrock-invoke"
    provider: ClassVar[str] = "bedrock"
    endpoints: ClassVar[Sequence[tuple[re.Pattern[str], Endpoint]]] = (
        # Model ids may be ARNs with slashes in them.
        (re.compile(r"(?:^|/)model/(?P<model>.+)/invoke\Z"), Endpoint(stream=False, media=MEDIA)),
        (re.compile(r"(?:^|/)model/(?P<model>.+)/invoke-with-response-stream\Z"), Endpoint(stream=True, media=MEDIA)),
    )
    example_path: ClassVar[str] = "/model/anthropic.claude-sonnet-4-5-20250929-v1:0/invoke"
    stream_types: ClassVar[frozenset[str]] = frozenset({MEDIA})

    def begun(self, first: bytes) -> str:
        """Messages of the event stream, whose length has four bytes, and is far below 16 MB."""
        return MEDIA if first.startswith(b"\0") else ""

    def decode(self, body: bytes, endpoint: Endpoint = ANSWERED) -> Payload:
        """PayloadError `foreign_body` for the bodies of other vendors: only Anthropic's say which version they are for."""
        payload = super().decode(body, endpoint)
        if not text_at(payload.document, 0, "anthropic_version"):
            raise PayloadError("foreign_body")
        # A thread's stream is framed as any other here.
        return replace(payload, wire=self, model=endpoint.model, stream=bool(endpoint.stream))

    def codec(self, media: str = MEDIA) -> StreamCodec:  # noqa: ARG002
        """One codec for all rounds of an exchange."""
        return InvokeCodec()

    def as_stream(self, answer: Answer, endpoint: Endpoint = ANSWERED) -> bytes:
        """The events that the model would have sent, as the service wraps them."""
        return b"".join(_wrapped(each) for each in _events(super().as_stream(answer, endpoint)))


@dataclass(frozen=True, slots=True, repr=False)
class _Chunk:
    """An event of the model inside a message of the service."""

    message: EventMessage
    inner: Frame


class InvokeCodec(StreamCodec):
    """Both directions of one exchange's stream: the model's events, unwrapped for the dialect's own codec and wrapped again."""

    def __init__(self) -> None:
        self._inner = AnthropicCodec()
        self._splitter = EventStreamSplitter()
        self._metrics: list[bytes] = []  # of every round that came to its end
        self._rounds = 0

    def begin_round(self) -> None:
        """A new stream of messages."""
        self._inner.begin_round()
        self._splitter = EventStreamSplitter()
        self._rounds += 1

    def retracing(self, retrace: Callable[[bytes], bytes]) -> None:
        """As in the dialect's own streams."""
        self._inner.retracing(retrace)

    def feed(self, chunk: bytes) -> list[Frame]:
        """One frame for every message. ResponseError where the stream is corrupt."""
        return [self._frame(message) for message in self._splitter.feed(chunk)]

    def close(self) -> list[Frame]:
        """What began and did not end: a frame that says nothing. ResponseError where the stream is corrupt."""
        rest = self._splitter.close()
        return [Frame(rest, [Event(EventKind.OPAQUE)])] if rest else []

    def answer(self) -> Answer:
        """The message."""
        return self._inner.answer()

    @property
    def held_bytes(self) -> int:  # type: ignore[override]
        """What the model's events hold."""
        return self._inner.held_bytes

    def forget(self) -> None:
        """As in the dialect's own streams."""
        self._inner.forget()

    def encode(self, frame: Frame, events: Sequence[Event]) -> bytes:
        """The message with the client's index."""
        if not events or (frame.data is None and self._rounds > 1):  # a piece of a message would spoil the one that follows it
            return b""
        if not isinstance(frame.data, _Chunk):
            return frame.raw
        out = self._inner.encode(frame.data.inner, events)
        return frame.raw if out == frame.data.inner.raw else _rewrapped(out, [frame])

    def separator(self) -> bytes:
        """Nothing: every round has text blocks of its own."""
        return b""

    def notice(self, text: str, index: int) -> bytes:
        """A text block, whole."""
        return _rewrapped(self._inner.notice(text, index), [])

    def finish(self, frames: Sequence[Frame], answers: Sequence[Answer], *, stopped: bool) -> bytes:
        """One `message_delta` with the usage of all rounds, and `message_stop` with their metrics."""
        known = [frame for frame in frames if isinstance(frame.data, _Chunk)]
        out = self._inner.finish([frame.data.inner for frame in known], answers, stopped=stopped)
        if len(answers) < 2 or not self._metrics:
            return _rewrapped(out, known)
        summed = _summed(self._metrics)
        return b"".join(
            _wrapped(each, {_METRICS: summed} if each.name == "message_stop" and summed else {}) for each in _events(out)
        )

    def error(self, message: str) -> bytes:
        """The end of every open block, and the exception by which the service says that a model's stream broke off."""
        return _rewrapped(self._inner.error(message), [])

    def keep_alive(self) -> bytes:
        """Nothing: not every client is known to skip messages of an unknown type."""
        return b""

    def _frame(self, message: EventMessage) -> Frame:
        if message.is_error:
            return Frame(message.raw, [Event(EventKind.ERROR)], message)
        document = _carried(message) if message.header(":event-type") == "chunk" else None
        name = text_at(document, 0, "type") if document is not None else ""
        if document is None or not _NAME.fullmatch(name):
            return Frame(message.raw, [Event(EventKind.OPAQUE)], message)
        metrics = document.get(0, _METRICS)
        if name == "message_stop" and metrics >= 0 and document.kind(metrics) == OBJECT:
            self._metrics.append(document.raw(metrics))
        (inner,) = self._inner.feed(spell(name, document.data))
        return Frame(message.raw, inner.events, _Chunk(message, inner))


def _carried(message: EventMessage) -> Document | None:
    """The model's event in a message, without white space between tokens; None if there is something else in it."""
    try:
        payload = Document(message.payload)
        document = Document(minify(base64.b64decode(text_at(payload, 0, "bytes"), validate=True)))
    except ValueError:  # neither base64, nor JSON
        return None
    return document if document.kind(0) == OBJECT else None


def _events(stream: bytes) -> list[ServerSentEvent]:
    """The events of a stream that is ours, so that it is whole."""
    return SSESplitter(max_event_bytes=len(stream)).feed(stream)


def _wrapped(model_event: ServerSentEvent, members: dict[str, bytes] | None = None) -> bytes:
    """An event of the model in a message of the service; an error is the service's own."""
    data = model_event.data or b"{}"
    if model_event.name == "error":
        text = text_at(Document(data), 0, "error", "message")
        return exception("modelStreamErrorException", b'{"message":' + literal(text) + b"}")
    if members:
        data = overlaid(data, members)
    return event("chunk", b'{"bytes":"' + base64.b64encode(data) + b'"}')


def _rewrapped(stream: bytes, frames: Sequence[Frame]) -> bytes:
    """The model's events in messages of the service. Those that are unchanged go in the messages that they came in."""
    came = {frame.data.inner.raw: frame.raw for frame in frames}
    return b"".join(came.get(each.raw) or _wrapped(each) for each in _events(stream))


def _summed(metrics: Sequence[bytes]) -> bytes:
    """What all rounds took, b"" if it cannot be said."""
    result = total(metrics)
    if result is None:
        return b""
    first = json.loads(metrics[0])
    return dump(result | {key: first[key] for key in (_FIRST_BYTE,) if key in first})
