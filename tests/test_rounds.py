"""Hidden rounds through the whole middleware: what the model asks for is answered inside, and the client never notices."""

import json
import re
from typing import Any

import anyio
import pytest

from headroom_asgi.testing import CapturedReports
from headroom_asgi.types import Message, Receive, Scope, Send
from tests.driver import (
    PATHS,
    TABLE,
    Inner,
    Received,
    answer_json,
    answer_stream,
    both_dialects,
    call_answer,
    http_scope,
    post,
    question_body,
    staying,
    stream_of,
    streamed_or_not,
    text_answer,
    tool_texts,
    whole_body,
    wrapped,
)

pytestmark = pytest.mark.anyio
MARKER = re.compile(r"<<ccr:([0-9a-f]{32}-\d+) \d+ rows left out(?:: [^>]+)?>>")


def reaction(dialect: str, answer: dict[str, Any], *, stream: bool) -> Any:
    return answer_stream(stream_of(dialect, answer)) if stream else answer_json(answer)


class Model:
    """An inner app that looks for an order, asks for what was left out, and answers with what it finds."""

    def __init__(self, dialect: str, wanted: str, *, stream: bool, preamble: str = "", query: str = "") -> None:
        self.dialect = dialect
        self.wanted = wanted
        self.stream = stream
        self.preamble = preamble
        self.query = query
        self.bodies: list[bytes] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.bodies.append(await whole_body(receive))
        body = self.bodies[-1].decode()
        found = re.search(re.escape(self.wanted) + r"\\tcustomer \d+\\t(\w+)", body)
        ref = MARKER.search(body)
        if found:
            answer = text_answer(self.dialect, f"It is {found[1]}.")
        elif ref and len(self.bodies) < 3:
            arguments = {"ref": ref[1]} | ({"query": self.query} if self.query else {})
            answer = call_answer(self.dialect, ("own_1", "headroom_retrieve", arguments), text=self.preamble)
        else:
            answer = text_answer(self.dialect, "I could not find it.")
        await reaction(self.dialect, answer, stream=self.stream)(b"", send)


@both_dialects
@streamed_or_not
@pytest.mark.parametrize("query", ["", "ORD-10059"], ids=["all of it", "searched"])
async def test_a_row_that_was_left_out_is_found_and_the_client_sees_an_ordinary_answer(
    dialect: str, stream: bool, query: str
) -> None:
    model, reports = Model(dialect, "ORD-10059", stream=stream, query=query), CapturedReports()
    app = wrapped(model, observers=[reports])
    response = await post(app, PATHS[dialect], question_body(dialect, TABLE, stream=stream))
    assert b"ORD-10059" not in model.bodies[0]
    assert b"ORD-10059" in model.bodies[1]
    assert "It is delivered." in _said(dialect, response, stream=stream)
    assert b"headroom" not in response.body
    assert (reports[0].rounds, reports[0].retrievals) == (2, 1)
    assert response.complete


@both_dialects
@streamed_or_not
async def test_the_second_round_is_the_first_with_two_turns_appended(dialect: str, stream: bool) -> None:
    model = Model(dialect, "ORD-10059", stream=stream)
    await post(wrapped(model), PATHS[dialect], question_body(dialect, TABLE, stream=stream))
    first, second = (json.loads(body) for body in model.bodies)
    assert second["messages"][: len(first["messages"])] == first["messages"]
    assert len(second["messages"]) == len(first["messages"]) + 2
    assert {k: v for k, v in first.items() if k != "messages"} == {k: v for k, v in second.items() if k != "messages"}
    shared = next(i for i, (a, b) in enumerate(zip(*model.bodies, strict=False)) if a != b)
    assert shared > len(model.bodies[0]) * 0.5


@both_dialects
@streamed_or_not
async def test_text_before_the_hidden_call_and_the_answer_are_both_said_once(dialect: str, stream: bool) -> None:
    model = Model(dialect, "ORD-10059", stream=stream, preamble="Let me look.")
    response = await post(wrapped(model), PATHS[dialect], question_body(dialect, TABLE, stream=stream))
    said = _said(dialect, response, stream=stream)
    assert said.replace("\n\n", "") == "Let me look.It is delivered."


@both_dialects
@streamed_or_not
async def test_usage_is_summed_over_rounds(dialect: str, stream: bool) -> None:
    more = {"stream_options": {"include_usage": True}} if stream and dialect != "anthropic" else {}
    model = Model(dialect, "ORD-10059", stream=stream)
    response = await post(wrapped(model), PATHS[dialect], question_body(dialect, TABLE, stream=stream, **more))
    totals = {int(n) for n in re.findall(rb'"(?:completion|output)_tokens": ?(\d+)', response.body)}
    assert 10 in totals


@both_dialects
@streamed_or_not
async def test_a_model_that_never_stops_asking_is_stopped(dialect: str, stream: bool) -> None:
    answer = call_answer(dialect, ("own_1", "headroom_retrieve", {"ref": "0" * 32}))
    inner = Inner(reaction(dialect, answer, stream=stream))
    response = await post(wrapped(inner), PATHS[dialect], question_body(dialect, TABLE, stream=stream))
    assert len(inner.bodies) == 4
    assert b"headroom_retrieve" not in response.body
    assert _said(dialect, response, stream=stream)
    assert b"tool_calls" not in response.body
    assert b'"tool_use"' not in response.body


@both_dialects
@streamed_or_not
async def test_beside_the_clients_own_calls_a_hidden_one_is_dropped_and_forgotten(dialect: str, stream: bool) -> None:
    calls = [("a", "list_orders", {"page": 2}), ("b", "headroom_retrieve", {"ref": "x"}), ("c", "list_orders", {"page": 3})]
    inner = Inner(reaction(dialect, call_answer(dialect, *calls), stream=stream))
    response = await post(wrapped(inner), PATHS[dialect], question_body(dialect, TABLE, stream=stream))
    assert len(inner.bodies) == 1
    assert b"headroom_retrieve" not in response.body
    assert response.body.count(b"list_orders") == 2
    assert b'"tool_use"' in response.body or b'"tool_calls"' in response.body


@both_dialects
async def test_only_refs_that_this_exchange_wrote_are_honored(dialect: str) -> None:
    forged = "f" * 32
    inner = Inner(
        answer_json(call_answer(dialect, ("own", "headroom_retrieve", {"ref": forged}))),
        answer_json(text_answer(dialect, "done")),
    )
    body = question_body(dialect, TABLE, question=f"<<ccr:{forged}-1 9 rows left out(?:: [^>]+)?>>")
    await post(wrapped(inner), PATHS[dialect], body)
    result = tool_texts(inner.bodies[1])[-1]
    assert "not written in this conversation" in result


@both_dialects
@streamed_or_not
async def test_a_second_round_that_fails_before_anything_was_said_fails_the_request(dialect: str, stream: bool) -> None:
    first = call_answer(dialect, ("own", "headroom_retrieve", {"ref": "x"}))
    retry = (b"retry-after", b"3")
    inner = Inner(reaction(dialect, first, stream=stream), answer_json({"error": {"type": "overloaded"}}, 529, [retry]))
    response = await post(wrapped(inner), PATHS[dialect], question_body(dialect, TABLE, stream=stream))
    assert response.status == 529
    assert response.headers["retry-after"] == "3"
    assert response.json() == {"error": {"type": "overloaded"}}


@both_dialects
async def test_a_second_round_that_fails_after_text_ends_the_stream_with_an_error(dialect: str) -> None:
    first = call_answer(dialect, ("own", "headroom_retrieve", {"ref": "x"}), text="Let me look.")
    inner = Inner(reaction(dialect, first, stream=True), answer_json({"error": {"type": "overloaded"}}, 529))
    response = await post(wrapped(inner), PATHS[dialect], question_body(dialect, TABLE, stream=True))
    assert response.status == 200
    assert b'"error"' in response.body
    assert b"Let me" in response.body
    assert b"[DONE]" not in response.body
    assert b"message_stop" not in response.body
    assert response.complete


@both_dialects
async def test_every_round_has_a_scope_of_its_own(dialect: str) -> None:
    inner = Inner(
        answer_json(call_answer(dialect, ("own", "headroom_retrieve", {"ref": "x"}))),
        answer_json(text_answer(dialect, "done")),
    )

    async def mutating(scope: Scope, receive: Receive, send: Send) -> None:
        scope["root_path"] = "/changed"
        scope["headers"].append((b"x-changed", b"1"))
        await inner(scope, receive, send)

    headers = [(b"idempotency-key", b"k"), (b"x-client-request-id", b"abc")]
    await post(wrapped(mutating), PATHS[dialect], question_body(dialect, TABLE), headers=headers)
    first, second = inner.scopes
    assert first["extensions"]["headroom"] == {"round": 1}
    assert second["extensions"]["headroom"] == {"round": 2}
    assert second["headers"].count((b"x-changed", b"1")) == 1
    names = dict(second["headers"])
    assert b"idempotency-key" not in names
    assert names[b"x-client-request-id"] == b"abc-r2"
    assert names[b"content-length"] == b"%d" % len(inner.bodies[1])
    assert dict(first["headers"])[b"idempotency-key"] == b"k"


async def test_an_inner_limit_of_one_call_at_a_time_does_not_lock_up() -> None:
    model = Model("openai-chat", "ORD-10059", stream=True)
    limit = anyio.Semaphore(1)

    async def limited(scope: Scope, receive: Receive, send: Send) -> None:
        async with limit:
            await model(scope, receive, send)

    with anyio.fail_after(10):
        response = await post(wrapped(limited), PATHS["openai-chat"], question_body("openai-chat", TABLE, stream=True))
    assert _said("openai-chat", response, stream=True) == "It is delivered."


async def test_a_second_round_does_not_wait_for_the_first_ones_background_work() -> None:
    model = Model("openai-chat", "ORD-10059", stream=True)
    order: list[str] = []

    async def slow_to_return(scope: Scope, receive: Receive, send: Send) -> None:
        await model(scope, receive, send)
        order.append(f"answered {len(model.bodies)}")
        if len(model.bodies) == 1:
            await anyio.sleep(0.2)
            order.append("background over")

    await post(wrapped(slow_to_return), PATHS["openai-chat"], question_body("openai-chat", TABLE, stream=True))
    assert order == ["answered 1", "answered 2", "background over"]


# -- streams stay streams -----------------------------------------------------------------------------------------------


@both_dialects
async def test_a_stream_without_hidden_calls_passes_byte_for_byte_as_it_comes(dialect: str) -> None:
    frames = stream_of(dialect, call_answer(dialect, ("a", "list_orders", {"page": 2}), text="I will look."))
    inner = Inner(answer_stream(frames))
    response = await post(wrapped(inner), PATHS[dialect], question_body(dialect, TABLE, stream=True))
    assert response.body == b"".join(frames)
    assert len(response.messages) > 5


@both_dialects
async def test_text_reaches_the_client_while_the_model_still_writes(dialect: str) -> None:
    frames = stream_of(dialect, text_answer(dialect, "a long enough text to come in pieces"))
    seen: list[bytes] = []
    enough = anyio.Event()

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        await whole_body(receive)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        for frame in frames[:-3]:
            await send({"type": "http.response.body", "body": frame, "more_body": True})
        with anyio.fail_after(5):
            await enough.wait()
        for frame in frames[-3:]:
            await send({"type": "http.response.body", "body": frame, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def send(message: Message) -> None:
        seen.append(message.get("body", b""))
        if b"long" in b"".join(seen):
            enough.set()

    body = question_body(dialect, TABLE, stream=True)
    await wrapped(inner)(http_scope(PATHS[dialect]), staying(body), send)
    assert b"".join(seen) == b"".join(frames)


async def test_the_start_is_held_no_longer_than_allowed() -> None:
    frames = stream_of("openai-chat", text_answer("openai-chat", "late"))
    started = anyio.Event()

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        await whole_body(receive)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await send({"type": "http.response.body", "body": frames[0], "more_body": True})
        with anyio.fail_after(5):
            await started.wait()
        for frame in frames[1:]:
            await send({"type": "http.response.body", "body": frame, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    received = Received()

    async def send(message: Message) -> None:
        received.messages.append(message)
        if message["type"] == "http.response.start":
            started.set()

    body = question_body("openai-chat", TABLE, stream=True)
    await wrapped(inner, hold_s=0.05)(http_scope(PATHS["openai-chat"]), staying(body), send)
    assert received.body == b"".join(frames)


@both_dialects
async def test_structured_output_has_no_preamble_of_hidden_rounds(dialect: str) -> None:
    form = {"output_config": {"format": {"type": "json_schema", "schema": {}}}}
    more = form if dialect == "anthropic" else {"response_format": {"type": "json_object"}}
    for stream in (False, True):
        model = Model(dialect, "ORD-10059", stream=stream, preamble="Let me look.")
        response = await post(wrapped(model), PATHS[dialect], question_body(dialect, TABLE, stream=stream, **more))
        assert _said(dialect, response, stream=stream) == "It is delivered."


async def test_an_answer_too_large_to_collect_passes() -> None:
    answer = text_answer("openai-chat", "x" * 5000)
    response = await post(
        wrapped(Inner(answer_json(answer)), max_response_bytes=1000), PATHS["openai-chat"], question_body("openai-chat", TABLE)
    )
    assert response.json() == answer


async def test_an_answer_that_is_none_passes_as_it_came() -> None:
    for raw in (b"not json", b"[]", b'{"choices": 5}', b""):
        response = await post(wrapped(Inner(answer_json(raw))), PATHS["openai-chat"], question_body("openai-chat", TABLE))
        assert response.body == raw
        assert response.status == 200


# -- clients that leave -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("leaves_in_round", [1, 2])
async def test_when_the_client_leaves_the_app_is_told_and_then_canceled(leaves_in_round: int) -> None:
    ended: list[str] = []
    model = Model("openai-chat", "ORD-10059", stream=True)
    left = anyio.Event()

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["extensions"]["headroom"]["round"] < leaves_in_round:
            await model(scope, receive, send)
            return
        await whole_body(receive)
        left.set()
        try:
            assert (await receive())["type"] == "http.disconnect"
            ended.append("told")
            await anyio.sleep(60)
        except anyio.get_cancelled_exc_class():
            ended.append("canceled")
            raise

    body = json.dumps(question_body("openai-chat", TABLE, stream=True)).encode()
    given = False

    async def receive() -> Message:
        nonlocal given
        if given:
            await left.wait()
            return {"type": "http.disconnect"}
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        """The client is gone."""

    with anyio.fail_after(5):
        await wrapped(inner)(http_scope(PATHS["openai-chat"]), receive, send)
    assert ended == ["told", "canceled"]


def _said(dialect: str, response: Received, *, stream: bool) -> str:
    """All text of an answer, in order."""
    if not stream:
        answer = response.json()
        if dialect == "anthropic":
            return "".join(block.get("text", "") for block in answer["content"])
        return answer["choices"][0]["message"]["content"] or ""
    said = []
    for line in response.body.decode().splitlines():
        if line.startswith("data: {"):
            data = json.loads(line[6:])
            if dialect == "anthropic":
                said.append(data.get("delta", {}).get("text", ""))
            else:
                said += [choice["delta"].get("content") or "" for choice in data.get("choices", [])]
    return "".join(said)
