"""The eight stages of a request and the three of the process: order, edits, answers, failures, on every way through."""

import json
from typing import Any

import anyio
import pytest

from headroom_asgi import HeadroomMiddleware, PipelineEvent, PipelineStage, Tokenizer, Transform, TransformResult
from headroom_asgi.testing import CapturedReports, RecordingExtension
from headroom_asgi.types import Message, Receive, Scope, Send
from tests.driver import (
    ORDERS,
    PATHS,
    At,
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
TABLE = json.dumps(ORDERS[:12], indent=1)
PROCESS = [Stage.SETUP, Stage.PRE_START, Stage.POST_START]
REQUEST = [
    Stage.INPUT_RECEIVED,
    Stage.INPUT_CACHED,
    Stage.INPUT_ROUTED,
    Stage.INPUT_COMPRESSED,
    Stage.INPUT_REMEMBERED,
    Stage.PRE_SEND,
    Stage.POST_SEND,
    Stage.RESPONSE_RECEIVED,
]


def answering(dialect: str, stream: bool, answer: dict[str, Any]) -> Any:
    return answer_stream(stream_of(dialect, answer)) if stream else answer_json(answer)


@both_dialects
@streamed_or_not
@pytest.mark.parametrize("mode", ["audit", "lossless", "ccr"])
@pytest.mark.parametrize("output", [TABLE, "short"], ids=["compressed", "skipped"])
async def test_every_stage_fires_once_in_order(dialect: str, stream: bool, mode: str, output: str) -> None:
    seen = RecordingExtension()
    app = wrapped(Inner(answering(dialect, stream, text_answer(dialect, "the answer"))), seen, mode=mode)
    await post(app, PATHS[dialect], question_body(dialect, output, stream=stream))
    assert seen.stages == PROCESS + REQUEST
    assert seen.events[-1].response is not None
    assert "the answer" in json.dumps(seen.events[-1].response)
    assert {(e.operation, e.provider) for e in seen.events[3:]} == {("chat", dialect.split("-")[0])}
    assert len({e.request_id for e in seen.events[3:]}) == 1


@both_dialects
@streamed_or_not
async def test_hidden_rounds_fire_no_stage_of_their_own(dialect: str, stream: bool) -> None:
    seen = RecordingExtension()
    rounds = [call_answer(dialect, ("c1", "headroom_retrieve", {"ref": "x"})), text_answer(dialect, "the answer")]
    inner = Inner(*(answering(dialect, stream, answer) for answer in rounds))
    await post(wrapped(inner, seen), PATHS[dialect], question_body(dialect, TABLE, stream=stream))
    assert len(inner.bodies) == 2
    assert seen.stages == PROCESS + REQUEST
    assert "headroom_retrieve" not in json.dumps(seen.events[-1].response)


@both_dialects
@pytest.mark.parametrize("mode", ["lossless", "ccr"])
async def test_an_error_of_the_app_is_an_answer_too(dialect: str, mode: str) -> None:
    seen = RecordingExtension()
    app = wrapped(Inner(answer_json({"error": {"message": "overloaded"}}, status=529)), seen, mode=mode)
    response = await post(app, PATHS[dialect], question_body(dialect, TABLE))
    assert response.status == 529
    assert seen.stages == PROCESS + REQUEST
    assert seen.events[-1].response == {"error": {"message": "overloaded"}}


@pytest.mark.parametrize("mode", ["lossless", "ccr"])
async def test_stages_fire_although_the_app_raises(mode: str) -> None:
    seen = RecordingExtension()

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        await whole_body(receive)
        raise LookupError

    with pytest.raises(LookupError):
        await post(wrapped(inner, seen, mode=mode), PATHS["anthropic"], question_body("anthropic", TABLE))
    assert seen.stages == PROCESS + REQUEST


async def test_the_process_starts_once_around_the_apps_own_start() -> None:
    order: list[str] = []

    class Noting:
        async def on_pipeline_event(self, event: PipelineEvent) -> None:
            order.append(event.stage.value)

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            assert (await receive())["type"] == "lifespan.startup"
            order.append("app")
            await send({"type": "lifespan.startup.complete"})
            assert (await receive())["type"] == "lifespan.shutdown"
            await send({"type": "lifespan.shutdown.complete"})
            return
        await Inner()(scope, receive, send)

    app = wrapped(inner, Noting(), mode="lossless")
    messages: list[Message] = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent: list[str] = []

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        sent.append(message["type"])

    await app({"type": "lifespan", "state": {}}, receive, send)
    assert order == ["setup", "pre_start", "app", "post_start"]
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_without_a_lifespan_the_first_request_starts_the_process_and_concurrent_ones_wait() -> None:
    seen = RecordingExtension()
    app = wrapped(Inner(), seen, mode="lossless")

    async def one() -> None:
        await post(app, PATHS["openai-chat"], question_body("openai-chat", "x"))

    async with anyio.create_task_group() as group:
        group.start_soon(one)
        group.start_soon(one)
    assert seen.stages[:3] == PROCESS
    assert [s for s in seen.stages if s in PROCESS] == PROCESS


async def test_a_request_waits_until_the_process_has_started() -> None:
    order: list[str] = []

    class Slow:
        async def on_pipeline_event(self, event: PipelineEvent) -> None:
            if event.stage is Stage.POST_START:
                await anyio.sleep(0.1)
                order.append("started")
            elif event.stage is Stage.INPUT_RECEIVED:
                order.append("request")

    app = wrapped(Inner(), Slow(), mode="lossless")

    async def one(after_s: float) -> None:
        await anyio.sleep(after_s)
        await post(app, PATHS["openai-chat"], question_body("openai-chat", "x"))

    async with anyio.create_task_group() as group:
        group.start_soon(one, 0)
        group.start_soon(one, 0.03)
    assert order == ["started", "request", "request"]


async def test_transforms_are_told_the_same_in_the_middleware() -> None:
    told: list[set[str]] = []

    class Looking(Transform):
        name = "looking"

        def apply(self, messages: list[Any], tokenizer: Tokenizer, **kwargs: Any) -> TransformResult:
            told.append(set(kwargs))
            return TransformResult(messages, 0, 0)

    await post(wrapped(Inner(), transforms=[Looking()]), PATHS["openai-chat"], question_body("openai-chat", "x"))
    assert told == [{"model", "model_limit", "last_transform"}]


async def test_an_app_without_lifespan_says_so_itself() -> None:
    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("no lifespan here")

    with pytest.raises(RuntimeError, match="no lifespan here"):
        await wrapped(inner, RecordingExtension())({"type": "lifespan"}, None, None)  # type: ignore[arg-type]


# -- edits --------------------------------------------------------------------------------------------------------------


@both_dialects
@pytest.mark.parametrize("stage", REQUEST[:6], ids=[s.value for s in REQUEST[:6]])
async def test_edits_at_any_input_stage_reach_the_app_and_leave_all_else_as_it_was(dialect: str, stage: Stage) -> None:
    def act(event: PipelineEvent) -> None:
        event.messages[0]["content"] = "another question"  # type: ignore[index]
        event.headers["x-added"] = "1"  # type: ignore[index]
        event.headers.pop("x-removed")  # type: ignore[union-attr]

    inner = Inner()
    body = question_body(dialect, TABLE, question="the question")
    raw = json.dumps(body, indent=2).encode()
    await post(wrapped(inner, At(stage, act), mode="lossless"), PATHS[dialect], raw, headers=[(b"x-removed", b"1")])
    assert b'"another question"' in inner.bodies[0]
    assert json.loads(inner.bodies[0])["messages"][0]["content"] == "another question"
    assert inner.bodies[0].startswith(raw[: raw.index(b'"the question"')])
    assert len(tool_texts(inner.bodies[0])[0]) < len(TABLE) / 2
    headers = dict(inner.scopes[0]["headers"])
    assert headers[b"x-added"] == b"1"
    assert b"x-removed" not in headers
    assert headers[b"content-length"] == b"%d" % len(inner.bodies[0])


async def test_a_tool_output_that_an_extension_put_in_is_compressed_too() -> None:
    def act(event: PipelineEvent) -> None:
        event.messages[-1]["content"] = TABLE  # type: ignore[index]

    for stage in (Stage.INPUT_RECEIVED, Stage.INPUT_CACHED, Stage.INPUT_ROUTED):
        inner = Inner()
        app = wrapped(inner, At(stage, act), mode="lossless")
        await post(app, PATHS["openai-chat"], question_body("openai-chat", "short"))
        assert "[12]:" in tool_texts(inner.bodies[0])[0]


async def test_edits_of_tools_reach_the_app() -> None:
    def act(event: PipelineEvent) -> None:
        event.tools[0]["function"]["description"] = "edited"  # type: ignore[index]

    inner = Inner()
    app = wrapped(inner, At(Stage.PRE_SEND, act))
    await post(app, PATHS["openai-chat"], question_body("openai-chat", TABLE))
    assert json.loads(inner.bodies[0])["tools"][0]["function"]["description"] == "edited"


@both_dialects
async def test_an_edit_that_tears_calls_and_results_apart_is_refused(dialect: str) -> None:
    def act(event: PipelineEvent) -> None:
        del event.messages[1]  # type: ignore[union-attr]

    inner, reports = Inner(), CapturedReports()
    app = wrapped(inner, At(Stage.INPUT_RECEIVED, act), observers=[reports])
    await post(app, PATHS[dialect], question_body(dialect, TABLE))
    assert len(json.loads(inner.bodies[0])["messages"]) == 3
    assert reports[0].prefix_risk


async def test_an_edit_that_is_no_json_is_refused_and_the_rest_goes_on() -> None:
    def act(event: PipelineEvent) -> None:
        event.messages[0]["content"] = object()  # type: ignore[index]

    inner = Inner()
    app = wrapped(inner, At(Stage.INPUT_RECEIVED, act), mode="lossless")
    await post(app, PATHS["openai-chat"], question_body("openai-chat", TABLE))
    assert "[12]:" in tool_texts(inner.bodies[0])[0]


@both_dialects
async def test_edits_of_a_whole_answer_reach_the_client(dialect: str) -> None:
    def act(event: PipelineEvent) -> None:
        event.response["id"] = "edited"

    for mode in ("lossless", "ccr"):
        app = wrapped(Inner(answer_json(text_answer(dialect, "ok"))), At(Stage.RESPONSE_RECEIVED, act), mode=mode)
        response = await post(app, PATHS[dialect], question_body(dialect, TABLE))
        assert response.json() == text_answer(dialect, "ok") | {"id": "edited"}
        assert response.headers["content-length"] == str(len(response.body))


@both_dialects
async def test_edits_of_a_streamed_answer_come_too_late(dialect: str) -> None:
    def act(event: PipelineEvent) -> None:
        event.response["id"] = "edited"

    frames = stream_of(dialect, text_answer(dialect, "ok"))
    app = wrapped(Inner(answer_stream(frames)), At(Stage.RESPONSE_RECEIVED, act), mode="lossless")
    response = await post(app, PATHS[dialect], question_body(dialect, TABLE, stream=True))
    assert response.body == b"".join(frames)


async def test_metadata_goes_from_stage_to_stage() -> None:
    found: list[object] = []

    def put(event: PipelineEvent) -> None:
        event.metadata["mine"] = 7

    def get(event: PipelineEvent) -> None:
        found.append(event.metadata.get("mine"))

    app = wrapped(Inner(), At(Stage.INPUT_RECEIVED, put), At(Stage.RESPONSE_RECEIVED, get))
    await post(app, PATHS["openai-chat"], question_body("openai-chat", "x"))
    assert found == [7]


# -- failures -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", REQUEST, ids=[s.value for s in REQUEST])
async def test_an_extension_that_fails_is_skipped_and_said_to_be_a_risk(stage: Stage) -> None:
    def act(event: PipelineEvent) -> None:
        if event.messages:
            event.messages.clear()
        raise RuntimeError

    inner, reports, seen = Inner(), CapturedReports(), RecordingExtension()
    app = wrapped(inner, At(stage, act), seen, mode="lossless", observers=[reports])
    response = await post(app, PATHS["openai-chat"], question_body("openai-chat", TABLE))
    assert response.status == 200
    assert "[12]:" in tool_texts(inner.bodies[0])[0]
    assert seen.stages == PROCESS + REQUEST
    if stage in REQUEST[:6]:
        assert reports[0].prefix_risk


async def test_an_extension_that_hangs_is_cut_off() -> None:
    class Hanging:
        async def on_pipeline_event(self, event: PipelineEvent) -> None:
            if event.stage is Stage.INPUT_RECEIVED:
                await anyio.sleep(60)

    inner = Inner()
    with anyio.fail_after(10):
        app = wrapped(inner, Hanging(), mode="lossless", extension_timeout_s=0.05)
        await post(app, PATHS["openai-chat"], question_body("openai-chat", TABLE))
    assert "[12]:" in tool_texts(inner.bodies[0])[0]


# -- short circuits -----------------------------------------------------------------------------------------------------


def cached(event: PipelineEvent) -> PipelineEvent:
    response = {"choices": [{"message": {"role": "assistant", "content": "from the cache"}}]}
    return PipelineEvent(stage=Stage.RESPONSE_RECEIVED, operation=event.operation, response=response, metadata={"cached": True})


@both_dialects
@streamed_or_not
@pytest.mark.parametrize("at", range(6), ids=[s.value for s in REQUEST[:6]])
async def test_an_extension_answers_and_later_input_stages_do_not_fire(dialect: str, stream: bool, at: int) -> None:
    inner, seen, reports = Inner(), RecordingExtension(), CapturedReports()
    app = wrapped(inner, seen, At(REQUEST[at], cached), observers=[reports])
    response = await post(app, PATHS[dialect], question_body(dialect, TABLE, stream=stream))
    assert inner.bodies == []
    assert seen.stages == [*PROCESS, *REQUEST[: at + 1], Stage.RESPONSE_RECEIVED]
    assert response.status == 200
    assert response.outcome == reports[0].outcome == "answered"
    assert response.headers["content-type"].startswith("text/event-stream" if stream else "application/json")
    if not stream:
        answer = response.json()
        assert answer["id"]
        assert "from the cache" in json.dumps(answer)
        assert set(answer) >= ({"type", "stop_reason", "usage"} if dialect == "anthropic" else {"object", "choices", "usage"})


async def test_an_answer_that_is_none_is_refused_and_the_request_goes_on() -> None:
    def act(event: PipelineEvent) -> PipelineEvent:
        return PipelineEvent(stage=Stage.RESPONSE_RECEIVED, response="not an answer")

    inner = Inner()
    app = wrapped(inner, At(Stage.INPUT_RECEIVED, act), mode="lossless")
    await post(app, PATHS["openai-chat"], question_body("openai-chat", TABLE))
    assert "[12]:" in tool_texts(inner.bodies[0])[0]


# -- no extensions ------------------------------------------------------------------------------------------------------


async def test_without_extensions_nothing_is_decoded_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("decoded")

    app = wrapped(Inner(), mode="lossless")
    body = json.dumps(question_body("openai-chat", TABLE)).encode()
    monkeypatch.setattr("headroom_asgi.wire.base.json.loads", never)
    monkeypatch.setattr("headroom_asgi.engine.staged.json.loads", never)
    with monkeypatch.context():
        response = await post(app, PATHS["openai-chat"], body)
    assert response.outcome == "compressed"


# -- compression hooks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "async"])
async def test_compression_hooks_run_around_the_pipeline(is_async: bool) -> None:
    told: list[Any] = []

    class Plain:
        def pre_compress(self, messages: list[Any], context: Any) -> list[Any]:
            told.append((context.model, context.provider))
            messages[0]["content"] = "edited"
            return messages

        def post_compress(self, result: Any) -> None:
            told.append(result)

    class Async(Plain):
        async def pre_compress(self, messages: list[Any], context: Any) -> list[Any]:  # type: ignore[override]
            return super().pre_compress(messages, context)

        async def post_compress(self, result: Any) -> None:  # type: ignore[override]
            super().post_compress(result)

    inner = Inner()
    app = HeadroomMiddleware(inner, hooks=Async() if is_async else Plain(), discover=False, mode="lossless")
    await post(app, PATHS["openai-chat"], question_body("openai-chat", TABLE))
    assert json.loads(inner.bodies[0])["messages"][0]["content"] == "edited"
    assert told[0] == ("gpt-4o", "openai")
    assert told[1].transforms_applied == ["smart:lossless"]
    assert told[1].tokens_saved > 0
    assert told[1].messages[-1]["content"] == tool_texts(inner.bodies[0])[0]


async def test_a_hook_that_fails_is_skipped() -> None:
    class Broken:
        def pre_compress(self, messages: list[Any], context: Any) -> None:
            raise RuntimeError

        def post_compress(self, result: Any) -> None:
            raise RuntimeError

    inner, reports = Inner(), CapturedReports()
    app = HeadroomMiddleware(inner, hooks=[Broken()], discover=False, mode="lossless", observers=[reports])
    await post(app, PATHS["openai-chat"], question_body("openai-chat", TABLE))
    assert "[12]:" in tool_texts(inner.bodies[0])[0]
    assert reports[0].prefix_risk


async def test_the_scope_of_the_app_is_its_own() -> None:
    scopes: list[Scope] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        scope["written"] = True
        scopes.append(scope)
        await Inner()(scope, receive, send)

    given = http_scope(PATHS["openai-chat"])
    await post(wrapped(inner), PATHS["openai-chat"], question_body("openai-chat", "x"))
    assert "written" not in given
    assert scopes[0]["extensions"]["headroom"] == {"round": 1}
