"""Answers that come later than their start, and clients that leave between rounds."""

import json
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from test_hostile_upstreams import NAMED, OURS, TEXT, stream

from headroom_asgi import HeadroomMiddleware
from headroom_asgi.retrieval import TOOL
from headroom_asgi.store import MemoryStore
from headroom_asgi.types import Message
from tests.driver import ORDERS, PATHS, Received, http_scope, question_body, whole_body

pytestmark = pytest.mark.anyio
HELD_S = 0.05
SAYS = [("text", "well"), OURS]
REFUSAL = b'{"error":{"message":"no such thing"}}'
Answer = tuple[int, bytes | None, bytes]  # status, content type, body


class Slow:
    """An inner app that sends its starts at once, and what they are starts of a while later."""

    def __init__(self, *answers: Answer | Exception, wait_s: float = 0.0) -> None:
        self.answers = list(answers)
        self.wait_s = wait_s
        self.bodies: list[bytes] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.bodies.append(await whole_body(receive))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        status, media, body = answer
        headers = [(b"content-type", media)] if media is not None else []
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await anyio.sleep(self.wait_s)
        for at in range(0, len(body), 40):
            await send({"type": "http.response.body", "body": body[at : at + 40], "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def asked(inner: Slow, *, leaves: Callable[[], bool] = lambda: False, streamed: bool = True, **settings: Any) -> Received:
    """What a client gets; it leaves as soon as it wants to."""
    app = HeadroomMiddleware(inner, discover=False, store=MemoryStore(shared=True), **settings)
    body = json.dumps(question_body("openai-chat", json.dumps(ORDERS), stream=streamed)).encode()
    received, given = Received(), False

    async def receive() -> Message:
        nonlocal given
        if not given:
            given = True
            return {"type": "http.request", "body": body, "more_body": False}
        while not leaves():
            await anyio.sleep(0.005)
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        received.messages.append(dict(message))

    with anyio.fail_after(20):
        await app(http_scope(PATHS["openai-chat"]), receive, send)
    return received


EVENTS = b"text/event-stream"
HIDDEN, LAST = stream("chat", 1, OURS), stream("chat", 2, TEXT)


@pytest.mark.parametrize("media", [None, b"text/plain", b"application/json", EVENTS])
async def test_a_start_that_was_held_long_enough_goes_out_once_whatever_comes_then(media: bytes | None) -> None:
    for first in (EVENTS, media):
        inner = Slow((200, first, HIDDEN), (200, media, LAST), wait_s=3 * HELD_S)
        received = await asked(inner, hold_s=HELD_S)
        assert [message["type"] for message in received.messages].count("http.response.start") == 1
        assert TOOL.name.encode() not in received.body
        assert b"[DONE]" in received.body
        assert received.complete


@pytest.mark.parametrize("number", [1, 2])
async def test_a_whole_answer_under_the_start_of_a_stream_does_not_look_like_its_end(number: int) -> None:
    whole = (200, EVENTS if number == 1 else b"application/json", NAMED["chat"].json(number, [TEXT]))
    inner = Slow(*([] if number == 1 else [(200, EVENTS, HIDDEN)]), whole, wait_s=3 * HELD_S)
    received = await asked(inner, hold_s=HELD_S)
    assert [message["type"] for message in received.messages].count("http.response.start") == 1
    assert (json.loads(received.body)["choices"] != []) if number == 1 else (b'"error"' in received.body)
    assert received.complete


@pytest.mark.parametrize("streamed", [False, True])
async def test_no_round_is_begun_for_a_client_that_has_left(streamed: bool) -> None:
    body, media = (HIDDEN, EVENTS) if streamed else (NAMED["chat"].json(1, [OURS]), b"application/json")
    inner = Slow((200, media, body), (200, media, body), wait_s=0.1)
    await asked(inner, leaves=lambda: bool(inner.bodies), streamed=streamed)
    assert len(inner.bodies) == 1


async def test_no_round_is_tried_again_for_a_client_that_has_left() -> None:
    inner = Slow((200, EVENTS, stream("chat", 1, *SAYS)), (503, None, b""), (503, None, b""), (503, None, b""))
    await asked(inner, leaves=lambda: len(inner.bodies) == 2)
    assert len(inner.bodies) == 2


async def test_no_other_body_is_tried_for_a_client_that_has_left() -> None:
    inner = Slow((400, b"application/json", REFUSAL), (200, EVENTS, LAST), wait_s=0.1)
    await asked(inner, leaves=lambda: bool(inner.bodies))
    assert len(inner.bodies) == 1


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_app_that_waits_for_the_end_of_its_connection_does_not_lock_up_the_next_round(streamed: bool) -> None:
    """Servers say `http.disconnect` once a response is complete; who awaits that may hold what the next round needs."""
    spell = stream if streamed else lambda _, number, part: NAMED["chat"].json(number, [part])
    media = EVENTS if streamed else b"application/json"
    inner = Slow((200, media, spell("chat", 1, OURS)), (200, media, spell("chat", 2, TEXT)))
    one_at_a_time = anyio.Semaphore(1)
    heard: list[str] = []

    class Careful(Slow):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            async with one_at_a_time:
                await inner(scope, receive, send)
                heard.append((await receive())["type"])

    received = await asked(Careful(), streamed=streamed)
    assert (received.status, received.complete, heard) == (200, True, ["http.disconnect"] * 2)
    assert TOOL.name.encode() not in received.body


@pytest.mark.parametrize("streamed", [False, True])
async def test_the_first_call_is_made_where_we_stand_and_later_ones_beside_it(streamed: bool) -> None:
    spell = stream if streamed else lambda _, number, part: NAMED["chat"].json(number, [part])
    media = EVENTS if streamed else b"application/json"
    tasks: list[int] = []

    class Noting(Slow):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            tasks.append(anyio.get_current_task().id)
            await super().__call__(scope, receive, send)

    received = await asked(Noting((200, media, spell("chat", 1, OURS)), (200, media, spell("chat", 2, TEXT))), streamed=streamed)
    assert received.complete
    assert (len(tasks), tasks[0], tasks[0] == tasks[1]) == (2, anyio.get_current_task().id, False)


async def test_an_app_that_does_not_listen_ends_as_it_would_without_us_when_the_client_has_left() -> None:
    ended: list[str] = []

    class Thorough(Slow):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await super().__call__(scope, receive, send)
            ended.append("its own way")

    inner = Thorough((200, b"application/json", NAMED["chat"].json(1, [TEXT])), wait_s=0.7)
    await asked(inner, leaves=lambda: bool(inner.bodies), streamed=False)
    assert ended == ["its own way"]
