"""A stream is passed on as it comes: in every dialect the first event is with the client before the second one exists."""

import random
from typing import Any

import anyio
import pytest

from headroom_asgi import HeadroomMiddleware
from headroom_asgi.types import Message, Receive, Scope, Send
from headroom_asgi.wire import DIALECTS, EventKind
from tests.driver import http_scope, staying, whole_body
from tests.talks import FIELDS, SPEAKERS, STREAMS

pytestmark = pytest.mark.anyio
each_dialect = pytest.mark.parametrize("dialect", sorted(wire.name for wire in DIALECTS))
WORDS = [("text", "A text that is long enough to come in several pieces, one after the other.")]
LAST = frozenset({EventKind.FINISH, EventKind.USAGE, EventKind.END})


def frames_of(dialect: str) -> list[tuple[bytes, bool]]:
    """The frames of a stream with text only, and whether each shows something by itself: ends wait for their round."""
    speaker = SPEAKERS[dialect]
    media = STREAMS.get(dialect, ("", "text/event-stream", b""))[1]
    for seed in range(99):
        codec = speaker.wire.codec(media)
        codec.begin_round()
        stream = speaker.stream(random.Random(seed), 1, WORDS)
        frames = [*codec.feed(stream), *codec.close()]
        assert b"".join(frame.raw for frame in frames) == stream
        if sum(any(event.visible for event in frame.events) for frame in frames) > 2:
            return [(frame.raw, not any(event.kind in LAST for event in frame.events)) for frame in frames]
    raise AssertionError("no text in pieces")


@each_dialect
@pytest.mark.parametrize("offered", [True, False], ids=["tool offered", "no tool"])
async def test_every_event_reaches_the_client_before_the_next_is_produced(dialect: str, offered: bool) -> None:
    frames = frames_of(dialect)
    path, media, query = STREAMS.get(dialect, (SPEAKERS[dialect].wire.example_path, "text/event-stream", b""))
    wire = SPEAKERS[dialect].wire
    fields = dict(FIELDS[dialect]) if offered else {}
    body = {"model": "m", "stream": True, **fields, wire.messages: SPEAKERS[dialect].question("q")}
    got = b""
    more = anyio.Event()
    waits = 0

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal more, waits
        assert (b"headroom_retrieve" in await whole_body(receive)) == offered
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", media.encode())]})
        sent = b""
        for raw, passes in frames:
            await send({"type": "http.response.body", "body": raw, "more_body": True})
            sent += raw
            if passes and visible(sent):
                waits += 1
                with anyio.fail_after(5):
                    while got != sent:
                        await more.wait()
                        more = anyio.Event()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def visible(data: bytes) -> bool:
        codec = wire.codec(media)
        codec.begin_round()
        return any(event.visible for frame in codec.feed(data) for event in frame.events)

    async def send(message: Message) -> None:
        nonlocal got
        got += message.get("body", b"")
        more.set()

    app: Any = HeadroomMiddleware(inner, discover=False, hold_s=100)
    await app(http_scope(path, query_string=query), staying(body), send)
    assert got == b"".join(raw for raw, _ in frames)
    assert waits > 1
