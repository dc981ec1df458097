"""What careless neighbors do: extensions and transforms that break things, broken content codings, odd conversations."""

import gzip
import json
import threading
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headroom_asgi import (
    ConfigError,
    ContentRouterConfig,
    PipelineEvent,
    PipelineStage,
    Transform,
    TransformResult,
    compress,
)
from headroom_asgi.middleware import asgi
from headroom_asgi.testing import CapturedReports, RecordingExtension, assert_grows, forwarded
from headroom_asgi.types import Send
from tests.driver import CHAT, ORDERS, TABLE, At, Inner, answer_json, answer_stream, post, question_body, text_answer
from tests.test_attacks import OK, asks, both_dialects, wrapped

pytestmark = pytest.mark.anyio
Stage = PipelineStage


# -- extensions and transforms -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("headers", [{"x-note": "日本"}, {"x-note": "a\r\nx-admin: 1"}, {"x y": "a"}, [("a", "b")]])
async def test_headers_that_http_cannot_carry_are_refused_and_messages_still_edited(headers: Any) -> None:
    def act(event: PipelineEvent) -> None:
        assert event.messages is not None
        event.messages[0]["content"] = "redacted"
        event.headers = headers

    inner, reports = Inner(OK), CapturedReports()
    response = await post(wrapped(inner, At(Stage.PRE_SEND, act), observers=[reports]), CHAT, question_body("openai-chat", TABLE))
    assert response.outcome == "compressed"
    assert json.loads(inner.bodies[0])["messages"][0]["content"] == "redacted"
    assert reports[0].prefix_risk


@pytest.mark.parametrize("stage", [Stage.INPUT_REMEMBERED, Stage.PRE_SEND])
@pytest.mark.parametrize("keep", [1, 0], ids=["own tools stay", "no tools stay"])
async def test_the_retrieve_tool_cannot_be_taken_out_once_something_was_left_out(stage: Stage, keep: int) -> None:
    def act(event: PipelineEvent) -> None:
        assert event.tools is not None
        event.tools = event.tools[:keep]

    inner, reports = Inner(OK), CapturedReports()
    await post(wrapped(inner, At(stage, act), observers=[reports]), CHAT, question_body("openai-chat", TABLE))
    assert [tool["function"]["name"] for tool in json.loads(inner.bodies[0])["tools"]] == ["list_orders", "headroom_retrieve"]
    assert reports[0].prefix_risk


async def test_what_an_extension_redacted_stays_redacted_when_we_fail() -> None:
    def redact(event: PipelineEvent) -> None:
        assert event.messages is not None
        event.messages[0]["content"] = "redacted"

    def no_tools(event: PipelineEvent) -> None:
        event.tools = []

    inner = Inner(OK)
    app = wrapped(inner, At(Stage.INPUT_RECEIVED, redact), At(Stage.INPUT_COMPRESSED, no_tools))
    response = await post(app, CHAT, question_body("openai-chat", TABLE, question="secret"))
    assert response.outcome == "failed_open:engine"
    assert b"secret" not in inner.bodies[0]
    assert b"<<ccr" not in inner.bodies[0]


async def test_tools_where_the_request_has_none_are_refused_and_said_to_be() -> None:
    def act(event: PipelineEvent) -> None:
        event.tools = [{"type": "function", "function": {"name": "x"}}]

    body = question_body("openai-chat", TABLE)
    del body["tools"]
    reports = CapturedReports()
    await post(wrapped(Inner(OK), At(Stage.PRE_SEND, act), observers=[reports]), CHAT, body)
    assert reports[0].prefix_risk


async def test_an_event_without_a_response_does_not_empty_the_answer() -> None:
    app = wrapped(Inner(OK), At(Stage.RESPONSE_RECEIVED, lambda _: PipelineEvent(Stage.RESPONSE_RECEIVED)))
    response = await post(app, CHAT, question_body("openai-chat", TABLE))
    assert response.json() == text_answer("openai-chat", "fine")


async def test_a_short_circuit_that_another_extension_spoils_stays_an_answer_told_once() -> None:
    def answer(event: PipelineEvent) -> None:
        event.stage = Stage.RESPONSE_RECEIVED
        event.response = {"choices": [{"message": {"content": "short"}}]}

    def spoil(event: PipelineEvent) -> None:
        event.response = {"nothing": 1}

    inner, recorder = Inner(OK), RecordingExtension()
    app = wrapped(inner, At(Stage.INPUT_RECEIVED, answer), At(Stage.RESPONSE_RECEIVED, spoil), recorder)
    response = await post(app, CHAT, question_body("openai-chat", TABLE, stream=True))
    assert b"short" in response.body
    assert inner.bodies == []
    assert recorder.stages.count(Stage.RESPONSE_RECEIVED) == 1


async def test_a_hook_that_hangs_is_cut_off() -> None:
    class Hangs:
        async def pre_compress(self, messages: list[Any], context: Any) -> None:
            await anyio.sleep_forever()

        async def post_compress(self, result: Any) -> None:
            await anyio.sleep_forever()

    with anyio.fail_after(5):
        app = wrapped(Inner(OK), hooks=Hangs(), extension_timeout_s=0.05)
        assert (await post(app, CHAT, question_body("openai-chat", TABLE))).outcome == "compressed"


class Custom(Transform):
    name = "custom"

    def __init__(self, act: Callable[[list[Any]], list[Any]], label: str = "custom:done") -> None:
        self.act = act
        self.label = label

    def apply(self, messages: list[Any], tokenizer: Any, **kwargs: Any) -> TransformResult:
        return TransformResult(self.act(messages), 0, 0, transforms_applied=[self.label])


async def test_a_transform_that_tears_calls_and_results_apart_is_skipped() -> None:
    inner = Inner(OK)
    await post(
        wrapped(inner, transforms=[Custom(lambda messages: messages[:1] + messages[2:])]),
        CHAT,
        question_body("openai-chat", TABLE),
    )
    assert len(json.loads(inner.bodies[0])["messages"]) == 3


async def test_labels_cannot_smuggle_headers() -> None:
    app = wrapped(Inner(OK), transforms=[Custom(lambda m: m, "a\r\nset-cookie: x\u2028" + "y" * 9000)])
    said = (await post(app, CHAT, question_body("openai-chat", TABLE))).headers["x-headroom-transforms"]
    assert said.startswith("a??set-cookie: x?yyy")
    assert len(said) <= 1000


def test_settings_that_are_no_lists_and_transforms_without_a_name_stop_the_start() -> None:
    class Nameless(Custom):
        name = None  # type: ignore[assignment]

    wrong: list[dict[str, Any]] = [
        {"routes": None},
        {"observers": print},
        {"observers": CapturedReports()},
        {"transforms": 5},
        {"transforms": [Nameless(lambda m: m)]},
        {"content_router": ContentRouterConfig(exact_match_tools=None)},  # type: ignore[arg-type]
    ]
    for setting in wrong:
        with pytest.raises(ConfigError, match=next(iter(setting))):
            wrapped(Inner(), **setting)


def test_compress_leaves_the_callers_settings_alone() -> None:
    router = ContentRouterConfig()
    compress(question_body("openai-chat", TABLE)["messages"], model="gpt-4o", mode="audit", content_router=router)
    assert router.enabled


# -- codings -------------------------------------------------------------------------------------------------------------


async def test_a_small_body_that_may_become_large_is_unpacked_off_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    real = asgi.decode

    def spy(*args: Any) -> bytes:
        seen.append(threading.current_thread() is threading.main_thread())
        return real(*args)

    monkeypatch.setattr(asgi, "decode", spy)
    body = gzip.compress(json.dumps(question_body("openai-chat", TABLE)).encode())
    response = await post(wrapped(Inner(OK)), CHAT, body, headers=[(b"content-encoding", b"gzip")])
    assert (response.outcome, seen) == ("compressed", [False])


@pytest.mark.parametrize(("members", "outcome"), [(2, "compressed"), (5000, "skipped:corrupt_encoding")])
async def test_a_body_of_a_few_members_is_read_and_one_of_thousands_is_not(members: int, outcome: str) -> None:
    body = gzip.compress(b"") * members + gzip.compress(json.dumps(question_body("openai-chat", TABLE)).encode())
    inner = Inner(OK)
    assert (await post(wrapped(inner), CHAT, body, headers=[(b"content-encoding", b"gzip")])).outcome == outcome
    assert (inner.bodies[0] == body) == (outcome != "compressed")


@pytest.mark.parametrize("listening", [False, True])
@pytest.mark.parametrize("mode", ["lossless", "ccr"])
async def test_an_answer_with_a_broken_coding_passes_as_it_came(mode: str, listening: bool) -> None:
    inner = Inner(answer_json(b'{"x": 1}', headers=[(b"content-encoding", b"gzip")]))
    extensions = [RecordingExtension()] if listening else []
    response = await post(wrapped(inner, *extensions, mode=mode), CHAT, question_body("openai-chat", TABLE))
    assert (response.body, response.headers["content-encoding"], response.headers["content-length"]) == (b'{"x": 1}', "gzip", "8")


async def test_a_stream_with_a_broken_coding_ends_with_an_error() -> None:
    async def react(body: bytes, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream"), (b"content-encoding", b"gzip")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"data: {}\n\n", "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    response = await post(wrapped(Inner(react)), CHAT, question_body("openai-chat", TABLE, stream=True))
    assert b'"error"' in response.body
    assert response.complete


async def test_a_coded_answer_of_several_members_is_read_whole() -> None:
    inner = Inner(asks(coding=lambda data: gzip.compress(data[:40]) + gzip.compress(data[40:])), OK)
    response = await post(wrapped(inner), CHAT, question_body("openai-chat", TABLE))
    assert len(inner.bodies) == 2
    assert response.json()["choices"][0]["message"]["content"] == "fine"


async def test_a_stream_that_is_only_listened_to_passes_although_it_cannot_be_read() -> None:
    pieces = [b"data: " + b"x" * 6_000_000, b"x" * 6_000_000, b"x" * 6_000_000, b"\n\ndata: [DONE]\n\n"]
    app = wrapped(Inner(answer_stream(pieces)), RecordingExtension(), mode="lossless")
    response = await post(app, CHAT, question_body("openai-chat", TABLE, stream=True))
    assert response.body == b"".join(pieces)


# -- the prefix law, against conversations that nobody would have --------------------------------------------------------

TEXTS = [
    json.dumps(ORDERS[:40], indent=1),
    TABLE,
    "plain " * 90,
    "\ud800" * 200,
    json.dumps(["é" * 50] * 40),
    '{"a": 1' + " " * 300 + "}",
]
NAMES = st.sampled_from(["list_orders", "Read", "mcp__files__read_file", "headroom_retrieve"])
IDS = st.sampled_from(["a", "b"])
CHAT_MESSAGE = st.one_of(
    st.builds(lambda text: {"role": "user", "content": text}, st.sampled_from(["find ORD-10059", "", "'customer 7'?"])),
    st.builds(lambda key, text: {"role": "tool", "tool_call_id": key, "content": text}, IDS, st.sampled_from(TEXTS)),
    st.builds(lambda name, text: {"role": "function", "name": name, "content": text}, NAMES, st.sampled_from(TEXTS)),
    st.builds(
        lambda key, name: {
            "role": "assistant",
            "tool_calls": [{"id": key, "type": "function", "function": {"name": name, "arguments": '{"q":"ORD-10033"}'}}],
        },
        IDS,
        NAMES,
    ),
)
ANTHROPIC_MESSAGE = st.one_of(
    st.builds(lambda text: {"role": "user", "content": text}, st.sampled_from(["find ORD-10059", ""])),
    st.builds(
        lambda key, text, bad: {"role": "user", "content": [{"type": "tool_result", "tool_use_id": key, "content": text, **bad}]},
        IDS,
        st.sampled_from(TEXTS),
        st.sampled_from([{}, {"is_error": True}]),
    ),
    st.builds(lambda k, n: {"role": "assistant", "content": [{"type": "tool_use", "id": k, "name": n, "input": {}}]}, IDS, NAMES),
)


@both_dialects
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_ids_that_repeat_and_calls_that_come_late_do_not_reach_back(dialect: str, data: st.DataObject) -> None:
    one = ANTHROPIC_MESSAGE if dialect == "anthropic" else CHAT_MESSAGE
    messages = data.draw(st.lists(one, min_size=2, max_size=9))
    fields = {"model": "m", "tools": question_body(dialect, "")["tools"]}
    turns = forwarded(messages, dialect=dialect, fields=fields)
    assert_grows(turns)
    assert turns == forwarded(messages, dialect=dialect, fields=fields, memo_bytes=0)
