"""Later rounds that are slow or fail: the client's stream stays alive, what may pass is tried again, what does not ends by an error."""

import json
from typing import Any

import anyio
import pytest

from headroom_asgi.config import RetrievalConfig
from headroom_asgi.middleware.retrying import Retries
from headroom_asgi.store import MemoryStore
from headroom_asgi.testing import CapturedReports
from headroom_asgi.types import Message, Receive, Scope, Send
from tests.driver import (
    PATHS,
    TABLE,
    Inner,
    Reaction,
    Received,
    answer_json,
    answer_stream,
    both_dialects,
    call_answer,
    post,
    question_body,
    stream_of,
    streamed_or_not,
    text_answer,
    whole_body,
    wrapped,
)

pytestmark = pytest.mark.anyio
PINGS = {"openai-chat": b": keep-alive\n\n", "anthropic": b'event: ping\ndata: {"type":"ping"}\n\n'}
NOW = (b"retry-after", b"0")


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def asking(dialect: str, text: str = "Let me look.") -> Reaction:
    """A round that calls our tool, after some text."""
    return answer_stream(stream_of(dialect, call_answer(dialect, ("own", "headroom_retrieve", {"ref": "x"}), text=text)))


def found(dialect: str) -> Reaction:
    return answer_stream(stream_of(dialect, text_answer(dialect, "It is there.")))


def failing(status: int, *headers: tuple[bytes, bytes]) -> Reaction:
    return answer_json({"error": {"type": "overloaded", "message": "busy"}}, status, headers)


async def ask(inner: Any, dialect: str, **settings: Any) -> Any:
    return await post(wrapped(inner, **settings), PATHS[dialect], question_body(dialect, TABLE, stream=True))


# -- failures -----------------------------------------------------------------------------------------------------------


@both_dialects
@pytest.mark.parametrize("status", [429, 500, 502, 503, 529])
async def test_a_later_round_that_fails_after_text_is_tried_again(dialect: str, status: int) -> None:
    reports = CapturedReports()
    inner = Inner(asking(dialect), failing(status, NOW), failing(status, NOW), found(dialect))
    response = await ask(inner, dialect, observers=[reports])
    assert b"here." in response.body
    assert b'"error"' not in response.body
    assert response.complete
    assert inner.bodies[1] == inner.bodies[2] == inner.bodies[3]
    assert [scope["extensions"]["headroom"]["round"] for scope in inner.scopes] == [1, 2, 2, 2]
    assert (reports[0].status, reports[0].rounds) == (200, 2)


@both_dialects
async def test_after_two_more_attempts_the_stream_ends_with_an_error(dialect: str) -> None:
    inner = Inner(asking(dialect), failing(503, NOW))
    response = await ask(inner, dialect)
    assert len(inner.bodies) == 4
    assert (response.status, response.complete) == (200, True)
    assert b'"error"' in response.body


@both_dialects
@pytest.mark.parametrize("status", [400, 401, 403, 404, 413])
async def test_what_no_further_attempt_would_mend_ends_the_stream_at_once(dialect: str, status: int) -> None:
    inner = Inner(asking(dialect), failing(status, NOW))
    response = await ask(inner, dialect)
    assert len(inner.bodies) == 2
    assert b'"error"' in response.body


@both_dialects
async def test_while_the_client_has_seen_nothing_it_is_told_and_may_try_again_itself(dialect: str) -> None:
    inner = Inner(asking(dialect, text=""), failing(503, NOW))
    response = await ask(inner, dialect)
    assert (len(inner.bodies), response.status) == (2, 503)


HELD = {"thread": {"type": "continue", "previous_message_id": "msg_0"}}


async def ask_held(*later: Reaction, stream: bool, body: dict[str, Any] = HELD) -> tuple[Received, Inner, CapturedReports]:
    """What a client gets that goes on with what the provider holds, and saw nothing before the second round."""
    reports = CapturedReports()
    asks = call_answer("anthropic", ("own", "headroom_retrieve", {"ref": "x"}))
    inner = Inner(answer_stream(stream_of("anthropic", asks)) if stream else answer_json(asks), *later)
    app = wrapped(inner, store=MemoryStore(shared=True), observers=[reports])
    return await post(app, PATHS["anthropic"], question_body("anthropic", "Hm.", stream=stream, **body)), inner, reports


@streamed_or_not
async def test_a_round_of_a_held_conversation_is_tried_again_though_nothing_was_seen(stream: bool) -> None:
    async def refused(body: bytes, send: Send) -> None:
        raise ConnectionResetError

    answer = found("anthropic") if stream else answer_json(text_answer("anthropic", "It is there."))
    response, inner, reports = await ask_held(failing(503, NOW), refused, answer, stream=stream)
    assert (response.status, response.complete) == (200, True)
    assert b"here." in response.body
    assert inner.bodies[1] == inner.bodies[2] == inner.bodies[3]
    assert (reports[0].status, reports[0].rounds) == (200, 2)


@pytest.mark.parametrize("last", ["streamed", "whole"])
async def test_and_so_is_one_behind_a_round_that_came_as_a_whole(last: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headroom_asgi.middleware.retrying._WAITS_S", (0.0, 0.0))

    async def refused(body: bytes, send: Send) -> None:
        raise ConnectionResetError

    whole = answer_json(call_answer("anthropic", ("own_2", "headroom_retrieve", {"ref": "y"})))
    answer = found("anthropic") if last == "streamed" else answer_json(text_answer("anthropic", "It is there."))
    response, inner, _ = await ask_held(whole, refused, answer, stream=True)
    assert (response.status, response.complete, len(inner.bodies)) == (200, True, 4)
    assert response.headers["content-type"] == "application/json"
    assert response.json()["content"] == [{"type": "text", "text": "It is there."}]
    assert b"headroom" not in response.body
    assert inner.bodies[2] == inner.bodies[3]


@streamed_or_not
async def test_what_is_not_mended_by_that_is_told_as_it_is(stream: bool) -> None:
    response, inner, reports = await ask_held(failing(529, NOW), stream=stream)
    assert (len(inner.bodies), response.status, reports[0].status) == (4, 529, 529)
    response, inner, _ = await ask_held(failing(401, NOW), stream=stream)
    assert (len(inner.bodies), response.status) == (2, 401)
    response, inner, _ = await ask_held(failing(529, NOW), stream=stream, body={"thread": {"type": "create"}})
    assert (len(inner.bodies), response.status) == (2, 529)  # the client may say it all again


@both_dialects
async def test_a_later_round_that_is_cut_before_the_client_saw_anything_is_a_bad_gateway(dialect: str) -> None:
    reports = CapturedReports()
    inner = Inner(asking(dialect, text=""), answer_stream([b""]))
    response = await ask(inner, dialect, observers=[reports])
    assert (len(inner.bodies), response.status, reports[0].status) == (2, 502, 502)
    assert response.headers["content-type"] == "application/json"
    assert response.json()["error"]["type"] == "server_error"


@pytest.mark.parametrize(
    ("limit_s", "wait", "calls"),
    [(20.0, b"0", 4), (0.0, b"0", 2), (20.0, b"21", 2), (20.0, b"Wed, 21 Oct 2099 07:28:00 GMT", 2), (20.0, b"0.0", 4)],
)
async def test_attempts_begin_within_a_limit_and_not_before_they_are_wanted(limit_s: float, wait: bytes, calls: int) -> None:
    inner = Inner(asking("anthropic"), failing(429, (b"retry-after", wait)))
    response = await ask(inner, "anthropic", retrieval=RetrievalConfig(retry_s=limit_s))
    assert len(inner.bodies) == calls
    assert b'"error"' in response.body


def test_waits_grow_and_are_as_long_as_the_provider_asks() -> None:
    async def waits() -> list[float | None]:
        unasked, asked, dated = Retries(20), Retries(20), Retries(20)
        return [
            *(unasked.after_status(503, "") for _ in range(3)),
            asked.after_status(429, "7"),
            asked.after_status(429, "soon"),
            dated.after_status(429, "Wed, 21 Oct 2015 07:28:00 GMT"),
        ]

    assert anyio.run(waits) == [0.5, 1.5, None, 7.0, 1.5, 0.0]


class Unreachable(Exception):
    """What an HTTP client makes of a failed connection."""


@pytest.mark.parametrize("error", [ConnectionResetError("gone"), TimeoutError(), Unreachable("wrapped")])
async def test_a_connection_that_fails_is_tried_again(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headroom_asgi.middleware.retrying._WAITS_S", (0.0, 0.0))
    if isinstance(error, Unreachable):
        error.__cause__ = ConnectionRefusedError()

    async def fail(body: bytes, send: Send) -> None:
        raise error

    inner = Inner(asking("anthropic"), fail, found("anthropic"))
    response = await ask(inner, "anthropic")
    assert b"here." in response.body
    assert len(inner.bodies) == 3

    inner = Inner(asking("anthropic"), fail)
    with pytest.raises(type(error)):
        await ask(inner, "anthropic")
    assert len(inner.bodies) == 4


async def test_where_the_provider_holds_the_conversation_a_late_answer_is_not_asked_for_again() -> None:
    async def fail(body: bytes, send: Send) -> None:
        raise TimeoutError

    inner = Inner(asking("anthropic"), fail)
    held = {"thread": {"type": "continue", "previous_message_id": "msg_0"}}
    app = wrapped(inner, store=MemoryStore(shared=True))
    with pytest.raises(TimeoutError):
        await post(app, PATHS["anthropic"], question_body("anthropic", TABLE, stream=True, **held))
    assert len(inner.bodies) == 2


async def test_an_error_of_the_app_itself_is_not_tried_again() -> None:
    async def fail(body: bytes, send: Send) -> None:
        raise KeyError("a mistake")

    inner = Inner(asking("anthropic"), fail)
    with pytest.raises(KeyError):
        await ask(inner, "anthropic")
    assert len(inner.bodies) == 2


async def test_a_connection_that_fails_within_an_answer_is_not_tried_again() -> None:
    async def fail(body: bytes, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        raise ConnectionResetError("gone")

    inner = Inner(asking("anthropic"), fail)
    with pytest.raises(ConnectionResetError):
        await ask(inner, "anthropic")
    assert len(inner.bodies) == 2


async def test_a_client_that_leaves_while_a_round_waits_for_its_next_attempt_ends_it() -> None:
    inner = Inner(asking("anthropic"), failing(503, (b"retry-after", b"15")))
    body = json.dumps(question_body("anthropic", TABLE, stream=True)).encode()
    failed = anyio.Event()
    given = False

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        await inner(scope, receive, send)
        if len(inner.bodies) == 2:
            failed.set()

    async def receive() -> Message:
        nonlocal given
        if given:
            await failed.wait()
            return {"type": "http.disconnect"}
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        """The client reads, then is gone."""

    scope = {"type": "http", "method": "POST", "path": PATHS["anthropic"], "headers": [], "query_string": b""}
    with anyio.fail_after(5):
        await wrapped(watched)(scope, receive, send)
    assert len(inner.bodies) == 2


# -- signs of life ------------------------------------------------------------------------------------------------------


class Slow:
    """An inner app whose second round answers only when its client was given a sign of life."""

    def __init__(self, dialect: str, first: Reaction, signs: int) -> None:
        self.dialect = dialect
        self.first = first
        self.seen = 0
        self.signs = signs
        self.enough = anyio.Event()
        self.sent: list[bytes] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await whole_body(receive)
        if scope["extensions"]["headroom"]["round"] == 1:
            await self.first(body, send)
            return
        if self.signs:
            with anyio.fail_after(5):
                await self.enough.wait()
        else:
            await anyio.sleep(0.5)
        await found(self.dialect)(body, send)

    async def through(self, **settings: Any) -> bytes:
        """What a client gets through the middleware."""
        app = wrapped(self, **settings)

        async def noting(scope: Scope, receive: Receive, send: Send) -> None:
            async def watched(message: Message) -> None:
                self.sent.append(message.get("body", b""))
                self.seen += message.get("body", b"") == PINGS[self.dialect]
                if self.seen >= self.signs:
                    self.enough.set()
                await send(message)

            await app(scope, receive, watched)

        return bytes((await post(noting, PATHS[self.dialect], question_body(self.dialect, TABLE, stream=True))).body)


@both_dialects
async def test_while_a_later_round_is_awaited_the_client_gets_signs_of_life(dialect: str) -> None:
    slow = Slow(dialect, asking(dialect), signs=3)
    body = await slow.through(keep_alive_s=0.1)
    assert body.count(PINGS[dialect]) >= 3
    assert b"here." in body


async def test_a_client_that_got_no_beginning_gets_no_sign() -> None:
    asks = stream_of("openai-chat", call_answer("openai-chat", ("own", "headroom_retrieve", {"ref": "x"})))
    slow = Slow("openai-chat", answer_stream(asks[1:]), signs=0)
    body = await slow.through(keep_alive_s=0.1, hold_s=0.01)
    assert b"here." in body
    assert PINGS["openai-chat"] not in slow.sent


@both_dialects
async def test_a_client_that_got_the_beginning_alone_gets_signs_of_life(dialect: str) -> None:
    slow = Slow(dialect, asking(dialect, text=""), signs=3)
    body = await slow.through(keep_alive_s=0.1, hold_s=0.01)
    assert body.count(PINGS[dialect]) >= 3
    assert b"here." in body


@both_dialects
async def test_within_an_error_that_passes_there_is_no_sign(dialect: str) -> None:
    async def slowly(body: bytes, send: Send) -> None:
        await send({"type": "http.response.start", "status": 503, "headers": [(b"content-length", b"6")]})
        for left in (2, 1, 0):
            await anyio.sleep(0.15)
            await send({"type": "http.response.body", "body": b"zz", "more_body": left > 0})

    response = await ask(Inner(asking(dialect, text=""), slowly), dialect, keep_alive_s=0.1)
    assert (response.status, response.body) == (503, b"zzzzzz")


async def test_a_sign_of_life_goes_on_while_a_failed_round_waits() -> None:
    inner = Inner(asking("anthropic"), failing(503, (b"retry-after", b"0.5")), found("anthropic"))
    response = await ask(inner, "anthropic", keep_alive_s=0.1)
    assert response.body.count(PINGS["anthropic"]) >= 3
    assert b"here." in response.body


# -- bodies that the client signed --------------------------------------------------------------------------------------

SIGNATURES = [
    (b"authorization", b"AWS4-HMAC-SHA256 Credential=x"),
    (b"authorization", b"AWS4-ECDSA-P256-SHA256 Credential=x"),
    (b"x-amz-content-sha256", b"abc"),
]


@pytest.mark.parametrize("header", SIGNATURES)
async def test_a_signed_body_passes_unless_the_inner_app_signs_anew(header: tuple[bytes, bytes]) -> None:
    for resigns in (False, True):
        inner = Inner(answer_json(text_answer("openai-chat", "ok")))
        app = wrapped(inner, resigns=resigns)
        response = await post(app, PATHS["openai-chat"], question_body("openai-chat", TABLE), headers=[header])
        assert response.outcome == ("compressed" if resigns else "skipped:signed_body")
        names = [name for name, _ in inner.scopes[0]["headers"]]
        assert (b"x-amz-content-sha256" in names) == (not resigns and header[0] == b"x-amz-content-sha256")
        assert (b"authorization" in names) == (header[0] == b"authorization")


@pytest.mark.parametrize("name", [b"x-request-id", b"request-id", b"x-amzn-requestid"])
async def test_what_the_upstream_calls_the_rounds_is_told(name: bytes) -> None:
    def named(dialect: str, answer: dict[str, Any], number: int) -> Reaction:
        return answer_json(answer, 200, [(name, b"req_%d" % number)])

    asks = call_answer("anthropic", ("own", "headroom_retrieve", {"ref": "x"}))
    inner = Inner(named("anthropic", asks, 1), named("anthropic", text_answer("anthropic", "here."), 2))
    response = await post(wrapped(inner), PATHS["anthropic"], question_body("anthropic", TABLE))
    assert response.headers["x-headroom-upstream-ids"] == "req_1,req_2"
    assert response.headers[name.decode()] == "req_2"
    inner = Inner(named("anthropic", text_answer("anthropic", "here."), 1))
    response = await post(wrapped(inner), PATHS["anthropic"], question_body("anthropic", TABLE))
    assert "x-headroom-upstream-ids" not in response.headers
