"""For tests of apps that use the middleware: what extensions saw, what was reported, whether prefixes hold."""

import json
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import anyio

from headroom_asgi.middleware import HeadroomMiddleware
from headroom_asgi.observers import Report
from headroom_asgi.pipeline import PipelineEvent, PipelineStage
from headroom_asgi.types import Message, Receive, Scope, Send
from headroom_asgi.wire import ANSWERED, WireFormat, dialect_named, guess_dialect


class RecordingExtension:
    """An extension that remembers the events it saw, and changes nothing."""

    def __init__(self) -> None:
        self.events: list[PipelineEvent] = []

    @property
    def stages(self) -> list[PipelineStage]:
        """The stages in the order they fired."""
        return [event.stage for event in self.events]

    def on_pipeline_event(self, event: PipelineEvent) -> None:
        """Remember the event."""
        self.events.append(event)


class CapturedReports(list[Report]):
    """An observer that keeps every report: `HeadroomMiddleware(app, observers=[reports])`."""

    def __call__(self, report: Report) -> None:
        """Keep the report."""
        self.append(report)


class PrefixError(AssertionError):
    """A longer conversation changed bytes that a shorter one had already sent."""


def forwarded(
    messages: list[Any], *, dialect: str | None = None, fields: Mapping[str, Any] | None = None, **settings: Any
) -> list[list[bytes]]:
    """What the inner app is sent while a conversation grows message by message.

    Args:
        messages: the whole conversation, as the provider spells it.
        dialect: its name, e.g. `openai-chat` or `gemini`; guessed from the messages if None.
        fields: the other fields of the request body, e.g. `tools`, `system`.
        settings: of HeadroomMiddleware.

    Returns:
        For every turn (every prefix that ends before a turn of the model, and the whole) a list of byte strings: the fields
        before the messages, in the order of their names, then each message.
    """
    wire = guess_dialect(messages) if dialect is None else dialect_named(dialect)
    return anyio.run(_grow, wire, messages, dict(fields or {}), settings)


def assert_prefix_stable(
    messages: list[Any], *, dialect: str | None = None, fields: Mapping[str, Any] | None = None, **settings: Any
) -> None:
    """Assert the prefix law: what was sent on one turn is, byte for byte, the beginning of what is sent on the next.

    Raises:
        PrefixError: names the first turn and message whose bytes changed.
    """
    assert_grows(forwarded(messages, dialect=dialect, fields=fields, **settings))


def assert_grows(turns: list[list[bytes]]) -> None:
    """Assert that each turn, as `forwarded` gives them, begins with all parts of the turn before. PrefixError if not."""
    for number, (before, after) in enumerate(pairwise(turns), start=2):
        for place, data in enumerate(before):
            if place >= len(after) or after[place] != data:
                raise PrefixError(f"turn {number} changed part {place} of what turn {number - 1} had sent")


async def _grow(wire: WireFormat, messages: list[Any], fields: dict[str, Any], settings: dict[str, Any]) -> list[list[bytes]]:
    bodies: list[bytes] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        bodies.append((await receive())["body"])
        await send({"type": "http.response.start", "status": 500, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    app = HeadroomMiddleware(inner, discover=False, **settings)
    for end in [*_ends(wire, messages, fields), len(messages)]:
        await _post(app, wire.example_path, _body(wire, messages[:end], fields))
    return [_parts(wire, body) for body in bodies]


def _body(wire: WireFormat, messages: list[Any], fields: Mapping[str, Any]) -> bytes:
    return json.dumps({**fields, wire.messages: messages}).encode("ascii")


def _ends(wire: WireFormat, messages: list[Any], fields: Mapping[str, Any]) -> list[int]:
    """The positions of the messages with which turns of the model begin, but for the first of all."""
    payload = wire.decode(_body(wire, messages, fields), wire.endpoint(wire.example_path) or ANSWERED)
    starts = [turn.start for turn in wire.turns(payload)]
    document = payload.document
    spans = [document.span(node) for node in document.elements(document.get(0, wire.messages))]
    return [place for place, (begin, end) in enumerate(spans) if place and any(begin <= start < end for start in starts)]


def _parts(wire: WireFormat, body: bytes) -> list[bytes]:
    document = wire.decode(body, wire.endpoint(wire.example_path) or ANSWERED).document
    rest = sorted((key, document.raw(node)) for key, node in document.items(0) if key != wire.messages)
    messages = document.get(0, wire.messages)
    return [b"%s:%s" % (key.encode(), raw) for key, raw in rest] + [document.raw(node) for node in document.elements(messages)]


async def _post(app: HeadroomMiddleware, path: str, body: bytes) -> None:
    given = False

    async def receive() -> Message:
        nonlocal given
        if given:
            await anyio.sleep_forever()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        """Nobody reads the answer."""

    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    await app(scope, receive, send)
