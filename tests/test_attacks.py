"""What broken and hostile neighbors do around us: servers, stores, inner apps, clients. Nothing of it becomes our error."""

import json
import random
import re
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from headroom_asgi import (
    MemoryStore,
    PipelineEvent,
    PipelineStage,
    RouteConfig,
)
from headroom_asgi.testing import CapturedReports, RecordingExtension
from headroom_asgi.types import Message, Receive, Scope, Send
from tests.driver import (
    CHAT,
    ORDERS,
    PATHS,
    TABLE,
    Inner,
    answer_json,
    answer_stream,
    both_dialects,
    call_answer,
    http_scope,
    post,
    question_body,
    stream_of,
    streamed_or_not,
    text_answer,
    tool_texts,
    whole_body,
    wrapped,
)

pytestmark = pytest.mark.anyio
Stage = PipelineStage
OK = answer_json(text_answer("openai-chat", "fine"))


def asks(
    dialect: str = "openai-chat", *, stream: bool = False, text: str = "", coding: Callable[[bytes], bytes] | None = None
) -> Any:
    """A reaction: the model asks for the first thing that was left out of the request."""

    async def react(body: bytes, send: Send) -> None:
        ref = re.search(rb"<<ccr:([0-9a-f]{32}-\d+)", body)
        answer = call_answer(dialect, ("own_1", "headroom_retrieve", {"ref": ref[1].decode() if ref else "none"}), text=text)
        if stream:
            await answer_stream(stream_of(dialect, answer))(body, send)
        elif coding is not None:
            await answer_json(coding(json.dumps(answer).encode()), headers=[(b"content-encoding", b"gzip")])(body, send)
        else:
            await answer_json(answer)(body, send)

    return react


def says(dialect: str, text: str, *, stream: bool) -> Any:
    answer = text_answer(dialect, text)
    return answer_stream(stream_of(dialect, answer)) if stream else answer_json(answer)


# -- servers, stores, loops ----------------------------------------------------------------------------------------------


async def test_a_store_that_raises_what_it_likes_does_not_change_the_bytes() -> None:
    class Broken(MemoryStore):
        async def put(self, *args: Any, **kwargs: Any) -> bool:
            raise OSError("down")

    healthy, broken = Inner(OK), Inner(OK)
    await post(wrapped(healthy), CHAT, question_body("openai-chat", TABLE))
    await post(wrapped(broken, store=Broken()), CHAT, question_body("openai-chat", TABLE))
    assert healthy.bodies == broken.bodies


async def test_a_store_that_never_answers_holds_up_no_request() -> None:
    class Stuck(MemoryStore):
        async def put(self, *args: Any, **kwargs: Any) -> bool:
            await anyio.sleep_forever()
            return True

    healthy, stuck = Inner(OK), Inner(OK)
    await post(wrapped(healthy), CHAT, question_body("openai-chat", TABLE))
    with anyio.fail_after(30):
        await post(wrapped(stuck, store=Stuck()), CHAT, question_body("openai-chat", TABLE))
    assert healthy.bodies == stuck.bodies


async def test_an_app_that_is_started_again_works_again() -> None:
    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await Inner(OK)(scope, receive, send)
        for kind in ("startup", "shutdown") if scope["type"] == "lifespan" else ():
            await receive()
            await send({"type": f"lifespan.{kind}.complete"})

    async def quiet(message: Message) -> None:
        """Nobody reads it."""

    async def next_event() -> Message:
        return {"type": "lifespan.startup"}

    app = wrapped(inner)
    for _ in range(2):
        await app({"type": "lifespan", "asgi": {}}, next_event, quiet)
        assert (await post(app, CHAT, question_body("openai-chat", TABLE))).outcome == "compressed"


@pytest.mark.parametrize("raises", [True, False], ids=["raises", "repeats itself"])
async def test_a_server_whose_receive_misbehaves_after_the_body_gets_its_answer(raises: bool) -> None:
    body = json.dumps(question_body("openai-chat", TABLE)).encode()
    messages, sent = [{"type": "http.request", "body": body}], []

    async def receive() -> Message:
        return messages.pop() if raises else messages[0]

    async def send(message: Message) -> None:
        sent.append(message)

    async def waits_for_the_end(scope: Scope, receive: Receive, send: Send) -> None:
        await Inner(OK)(scope, receive, send)
        assert (await receive())["type"] == "http.disconnect"

    with anyio.fail_after(5):
        await wrapped(waits_for_the_end)(http_scope(CHAT), receive, send)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]


def test_one_middleware_serves_several_event_loops() -> None:
    app = wrapped(Inner(OK))

    async def several() -> None:
        async def one() -> None:
            body = question_body("openai-chat", json.dumps(ORDERS * 5))  # large enough for the worker pool
            assert (await post(app, CHAT, body)).outcome == "compressed"

        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(one)

    for backend in ("asyncio", "trio", "asyncio"):
        anyio.run(several, backend=backend)


@pytest.mark.parametrize(
    ("path", "root"), [("/v1/messages", "/v1"), ("/v1/messages", "/v"), ("/api/v1/messages", "/api"), ("/v1/v1/messages", "/v1")]
)
async def test_whatever_the_root_path_is_a_dialect_is_recognized(path: str, root: str) -> None:
    response = await post(wrapped(Inner(OK)), path, question_body("anthropic", TABLE), root_path=root)
    assert response.outcome == "compressed"


async def test_a_root_path_is_only_taken_off_at_a_slash() -> None:
    reports = CapturedReports()
    app = wrapped(Inner(OK), routes=[RouteConfig("/v1/*")], observers=[reports])
    await post(app, "/v1/messages", question_body("anthropic", TABLE), root_path="/v")
    assert reports[0].route == "/v1/*"


async def test_two_middlewares_say_once_why_a_request_passed() -> None:
    response = await post(wrapped(wrapped(Inner())), CHAT, b"not json")
    assert [name for name, _ in response.messages[0]["headers"]].count(b"x-headroom-outcome") == 1


# -- inner apps ----------------------------------------------------------------------------------------------------------


async def test_background_work_of_a_hidden_round_that_fails_does_not_cost_the_answer() -> None:
    app, got = Inner(asks(), OK), []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope, receive, send)
        if scope["extensions"]["headroom"]["round"] == 1:
            raise ValueError("background")

    async def outer(scope: Scope, receive: Receive, send: Send) -> None:
        async def watched(message: Message) -> None:
            got.append(message.get("body", b""))
            await send(message)

        await wrapped(inner)(scope, receive, watched)

    with pytest.raises(ValueError, match="background"):
        await post(outer, CHAT, question_body("openai-chat", TABLE))
    assert b"fine" in b"".join(got)


async def _nothing(body: bytes, send: Send) -> None:
    """Returns without an answer."""


async def _no_start(body: bytes, send: Send) -> None:
    await send({"type": "http.response.body", "body": b"x"})


async def _no_end(body: bytes, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": b"{}", "more_body": True})


async def _after_the_end(body: bytes, send: Send) -> None:
    await OK(body, send)
    await send({"type": "http.response.body", "body": b"more"})


@pytest.mark.parametrize("react", [_nothing, _no_start, _no_end, _after_the_end])
@pytest.mark.parametrize("mode", ["lossless", "ccr"])
async def test_apps_that_break_the_protocol_are_reported_once_and_never_answered_twice(react: Any, mode: str) -> None:
    reports = CapturedReports()
    app = wrapped(Inner(react), RecordingExtension(), mode=mode, observers=[reports])
    with anyio.fail_after(5):
        response = await post(app, CHAT, question_body("openai-chat", TABLE))
    assert len(reports) == 1
    assert [message["type"] for message in response.messages].count("http.response.start") <= 1
    assert response.complete == (react in (_no_start, _after_the_end))


@streamed_or_not
@pytest.mark.parametrize("text", ["", "first "])
@pytest.mark.parametrize("error", [ValueError("x"), ExceptionGroup("g", [ValueError("x")])], ids=["plain", "group"])
async def test_an_exception_of_a_later_round_comes_out_as_it_is(error: Exception, text: str, stream: bool) -> None:
    async def boom(body: bytes, send: Send) -> None:
        raise error

    reports = CapturedReports()
    app = wrapped(Inner(asks(stream=stream, text=text), boom), observers=[reports])
    with pytest.raises(type(error)) as caught:
        await post(app, CHAT, question_body("openai-chat", TABLE, stream=stream))
    assert caught.value is error
    assert len(reports) == 1


@pytest.mark.parametrize(("mode", "listening"), [("lossless", False), ("lossless", True), ("ccr", False)])
async def test_files_may_be_sent_past_us_only_where_nobody_reads_the_answer(mode: str, listening: bool) -> None:
    inner = Inner(OK)
    app = wrapped(inner, *([RecordingExtension()] if listening else []), mode=mode)
    await post(app, CHAT, question_body("openai-chat", TABLE), extensions={"http.response.pathsend": {}})
    assert ("http.response.pathsend" in inner.scopes[0]["extensions"]) == (mode == "lossless" and not listening)


class Stamp(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: Any) -> Response:
        response: Response = await call_next(request)
        response.headers["x-stamp"] = "1"
        return response


@both_dialects
@streamed_or_not
@pytest.mark.parametrize("inside", [[GZipMiddleware], [Stamp], [GZipMiddleware, Stamp]])
async def test_hidden_rounds_go_through_the_usual_middlewares(dialect: str, stream: bool, inside: list[Any]) -> None:
    model, after = Inner(asks(dialect, stream=stream), says(dialect, "fine", stream=stream)), []

    async def endpoint(request: Request) -> Response:
        sent: list[bytes] = []

        async def send(message: Message) -> None:
            sent.append(message.get("body", b""))

        await model(request.scope, request.receive, send)
        task = BackgroundTask(after.append, request.scope["extensions"]["headroom"]["round"])
        if stream:
            return StreamingResponse(iter(sent), media_type="text/event-stream", background=task)
        return Response(b"".join(sent), media_type="application/json", background=task)

    routes = [Route(PATHS[dialect], endpoint, methods=["POST"])]
    app = Stamp(wrapped(Starlette(routes=routes, middleware=[Middleware(kind) for kind in inside])))
    response = await post(
        app, PATHS[dialect], question_body(dialect, TABLE, stream=stream), headers=[(b"accept-encoding", b"gzip")]
    )
    assert b"fine" in response.body
    assert b"own_1" not in response.body
    assert sorted(after) == [1, 2]


# -- clients -------------------------------------------------------------------------------------------------------------


async def test_a_client_that_leaves_half_way_through_its_body_is_reported() -> None:
    messages = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]
    pending, seen, reports = list(messages), [], CapturedReports()

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        seen.extend([await receive(), await receive()])

    async def receive() -> Message:
        return pending.pop(0)

    async def send(message: Message) -> None:
        """The client is gone."""

    await wrapped(inner, observers=[reports])(http_scope(CHAT), receive, send)
    assert (seen, [report.outcome for report in reports]) == (messages, ["skipped:client_left"])


async def test_a_canceled_request_is_reported_as_canceled() -> None:
    class Slow:
        async def on_pipeline_event(self, event: PipelineEvent) -> None:
            if event.stage is Stage.INPUT_COMPRESSED:
                scope.cancel()
                await anyio.sleep_forever()

    reports = CapturedReports()
    with anyio.CancelScope() as scope:
        await post(wrapped(Inner(OK), Slow(), observers=[reports]), CHAT, question_body("openai-chat", TABLE))
    assert [report.outcome for report in reports] == ["canceled"]


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
@pytest.mark.parametrize("listening", [False, True])
@both_dialects
async def test_whenever_a_client_leaves_there_is_one_report_and_no_error(
    dialect: str, listening: bool, anyio_backend: str
) -> None:
    for moment in range(1, 9):
        for canceled in (False, True):
            model = Inner(asks(dialect, stream=True, text="first "), says(dialect, "fine", stream=True))
            reports = CapturedReports()
            app = wrapped(model, *([RecordingExtension()] if listening else []), observers=[reports])
            with anyio.fail_after(5), anyio.CancelScope() as scope:
                await app(http_scope(PATHS[dialect]), *_leaving(dialect, moment, scope if canceled else None))
            assert len(reports) == 1


def _leaving(dialect: str, moment: int, scope: anyio.CancelScope | None) -> tuple[Receive, Send]:
    """A client that leaves with the message of that number; with a scope, the server cancels the app at once."""
    waiting = [{"type": "http.request", "body": json.dumps(question_body(dialect, TABLE, stream=True)).encode()}]
    left, sent = anyio.Event(), []

    async def receive() -> Message:
        if not waiting:
            await left.wait()
        return waiting.pop() if waiting else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)
        if len(sent) == moment:
            left.set()
            if scope is not None:
                scope.cancel()
        await anyio.lowlevel.checkpoint()

    return receive, send


async def test_a_hundred_conversations_at_once_do_not_mix() -> None:
    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        body = await whole_body(receive)
        await anyio.sleep(random.random() / 50)
        messages = json.loads(body)["messages"]
        if scope["extensions"]["headroom"]["round"] == 1:
            await asks()(body, send)
        else:
            own = messages[0]["content"].encode()
            rest = [text.encode() for text in tool_texts(body)[1:]]
            right = all(own in text and text.count(b"number-") == text.count(own) for text in rest)
            await answer_json(text_answer("openai-chat", f"{right} {len(rest)}"))(b"", send)

    app, said = wrapped(inner), []

    async def converse(number: int) -> None:
        rows = [{**order, "whose": f"number-{number}."} for order in ORDERS]
        body = question_body("openai-chat", json.dumps(rows), question=f"number-{number}.")
        said.append((await post(app, CHAT, body)).json()["choices"][0]["message"]["content"])

    async with anyio.create_task_group() as group:
        for number in range(100):
            group.start_soon(converse, number)
    assert said == ["True 1"] * 100
