"""The first call of the inner app is one like any other: its work behind the answer, what it hears of its client, what it keeps."""

import json
import re
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

import anyio
import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from headroom_asgi import HeadroomMiddleware
from headroom_asgi.pipeline.stages import PipelineStage
from headroom_asgi.testing import RecordingExtension
from headroom_asgi.types import Message, Receive, Scope, Send
from tests.driver import (
    CHAT,
    TABLE,
    Inner,
    Reaction,
    answer_json,
    answer_stream,
    call_answer,
    http_scope,
    post,
    question_body,
    stream_of,
    streamed_or_not,
    text_answer,
    whole_body,
)

pytestmark = pytest.mark.anyio
ANSWER = text_answer("openai-chat", "fine")
MARKER = re.compile(rb"<<ccr:([0-9a-f]{32}-\d+)")
LONG_S = 0.8  # more than an app is left alone once its client is gone


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def reaction(answer: dict[str, Any], *, stream: bool) -> Reaction:
    return answer_stream(stream_of("openai-chat", answer)) if stream else answer_json(answer)


class Server:
    """A server with one request, whose client stays until it is told to leave: from then on each look says so."""

    def __init__(self, *, stream: bool, refuses: Exception | None = None) -> None:
        self.body = json.dumps(question_body("openai-chat", TABLE, stream=stream)).encode()
        self.refuses = refuses
        self.left = anyio.Event()
        self.said = anyio.Event()  # that the client left
        self._given = False

    async def receive(self) -> Message:
        if not self._given:
            self._given = True
            return {"type": "http.request", "body": self.body, "more_body": False}
        if not self.left.is_set():
            await self.left.wait()
        self.said.set()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if self.refuses is not None:
            raise self.refuses

    async def serve(self, app: Any) -> None:
        with anyio.fail_after(30):
            await app(http_scope(CHAT), self.receive, self.send)


def background_app(work: Callable[[], Awaitable[None]], *, stream: bool, looks: bool) -> Starlette:
    """An app whose answer is complete before its work begins."""

    async def endpoint(request: Request) -> Response:
        await request.json()
        if looks:
            await request.is_disconnected()
        task = BackgroundTask(work)
        if not stream:
            return JSONResponse(ANSWER, background=task)

        async def pieces() -> Any:
            for piece in stream_of("openai-chat", ANSWER):
                yield piece

        return StreamingResponse(pieces(), media_type="text/event-stream", background=task)

    return Starlette(routes=[Route(CHAT, endpoint, methods=["POST"])])


# -- work behind the answer --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("stream", "looks"), [(True, False), (False, True)], ids=["streamed", "whole, with a look"])
async def test_work_behind_a_complete_answer_is_done_though_the_client_is_gone(stream: bool, looks: bool) -> None:
    done: list[str] = []

    async def work() -> None:
        await anyio.sleep(LONG_S)
        done.append("all of it")

    app = HeadroomMiddleware(background_app(work, stream=stream, looks=looks), discover=False)
    response = await post(app, CHAT, question_body("openai-chat", TABLE, stream=stream))
    assert (response.status, response.complete) == (200, True)
    assert b"fine" in response.body
    assert done == ["all of it"]


# -- what it hears of its client ---------------------------------------------------------------------------------------


@streamed_or_not
async def test_an_app_that_only_looks_is_told_that_its_client_left(stream: bool) -> None:
    told: list[bool] = []
    server = Server(stream=stream)

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        await request.json()
        told.append(await request.is_disconnected())
        server.left.set()
        await server.said.wait()
        await anyio.sleep(0.01)  # a look that is on its way while it is said is told in any case
        while not await request.is_disconnected():
            await anyio.sleep(0.005)
        told.append(True)

    await server.serve(HeadroomMiddleware(inner, discover=False))
    assert told == [False, True]


async def test_a_task_that_is_left_behind_is_told_that_the_exchange_is_over() -> None:
    over = anyio.Event()
    heard: list[Message] = []

    async with anyio.create_task_group() as outlasting:

        async def inner(scope: Scope, receive: Receive, send: Send) -> None:
            await whole_body(receive)

            async def ask() -> None:
                await over.wait()
                heard.append(await receive())

            outlasting.start_soon(ask)
            await answer_json(ANSWER)(b"", send)

        response = await post(HeadroomMiddleware(inner, discover=False), CHAT, question_body("openai-chat", TABLE))
        over.set()
    assert response.json() == ANSWER
    assert heard == [{"type": "http.disconnect"}]


# -- servers that raise ------------------------------------------------------------------------------------------------


async def test_what_a_server_raises_when_a_held_start_is_let_go_is_raised_as_it_is_and_the_exchange_ends_once() -> None:
    extension = RecordingExtension()
    failure = OSError("the client left")

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        await whole_body(receive)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await anyio.sleep_forever()  # a model that thinks for longer than a start is held

    app = HeadroomMiddleware(inner, discover=False, hold_s=0.02, extensions=[extension])
    with pytest.raises(OSError, match="the client left") as raised:
        await Server(stream=True, refuses=failure).serve(app)
    assert raised.value is failure
    assert extension.stages.count(PipelineStage.RESPONSE_RECEIVED) == 1


# -- what it keeps -----------------------------------------------------------------------------------------------------


@streamed_or_not
async def test_what_the_first_call_puts_into_its_context_is_not_there_in_later_ones(stream: bool) -> None:
    session: ContextVar[str] = ContextVar("session", default="none")
    of_server: ContextVar[str] = ContextVar("of_server", default="none")
    seen: list[tuple[str, str]] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        body = await whole_body(receive)
        seen.append((session.get(), of_server.get()))
        session.set(f"of call {len(seen)}")
        found = MARKER.search(body)
        assert found is not None
        hidden = call_answer("openai-chat", ("own_1", "headroom_retrieve", {"ref": found[1].decode()}))
        await reaction(hidden if len(seen) < 3 else ANSWER, stream=stream)(b"", send)

    of_server.set("set by the server")
    await post(HeadroomMiddleware(inner, discover=False), CHAT, question_body("openai-chat", TABLE, stream=stream))
    assert seen == [("none", "set by the server")] * 3


@pytest.mark.parametrize("mode", ["ccr", "lossless"])
async def test_the_call_after_a_refusal_has_nothing_of_the_first_ones_context_either(mode: Any) -> None:
    session: ContextVar[str] = ContextVar("session", default="none")
    of_server: ContextVar[str] = ContextVar("of_server", default="none")
    seen: list[tuple[str, str]] = []
    refusing = Inner(answer_json({"error": {"message": "tools are not supported"}}, 400), answer_json(ANSWER))

    class App:
        """One that works before it can be awaited, too."""

        def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
            seen.append((session.get(), of_server.get()))
            session.set(f"of call {len(seen)}")
            return refusing(scope, receive, send)

    of_server.set("set by the server")
    response = await post(HeadroomMiddleware(App(), discover=False, mode=mode), CHAT, question_body("openai-chat", TABLE))
    assert (response.status, seen) == (200, [("none", "set by the server")] * 2)


@pytest.mark.parametrize("mode", ["ccr", "lossless"])
@pytest.mark.parametrize("calls", [1, 2], ids=["taken", "refused"])
async def test_who_called_sees_what_the_first_call_put_into_the_context(mode: Any, calls: int) -> None:
    session: ContextVar[str] = ContextVar("session", default="none")
    refusal = answer_json({"error": {"message": "tools are not supported"}}, 400)
    answering = Inner(*[refusal] * (calls - 1), answer_json(ANSWER))

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        session.set(f"of call {len(answering.bodies) + 1}")
        await answering(scope, receive, send)

    app = HeadroomMiddleware(inner, discover=False, mode=mode)

    async def served() -> str:
        await post(app, CHAT, question_body("openai-chat", TABLE))
        return session.get()

    assert await served() == "of call 1"
    assert len(answering.bodies) == calls
