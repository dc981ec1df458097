"""Every setting changes what happens: those that no other test of behavior would miss."""

import json
import re
import threading
from collections.abc import Awaitable, Callable
from dataclasses import fields
from typing import Any

import anyio
import pytest
import trio
import trio.testing

from headroom_asgi import (
    CompressorConfig,
    ConfigError,
    ContentRouterConfig,
    HeadroomConfig,
    MemoryStore,
    PipelineEvent,
    PipelineStage,
    RetrievalConfig,
    RouteConfig,
    Tokenizer,
    Transform,
    TransformPipeline,
    TransformResult,
    aretrieve,
    compress,
)
from headroom_asgi.config import SettingFields
from headroom_asgi.transforms import Context, drain, payload_of
from headroom_asgi.types import Message, Receive, Scope, Send
from tests.driver import (
    CHAT,
    ORDERS,
    TABLE,
    Inner,
    answer_json,
    call_answer,
    post,
    question_body,
    stream_of,
    text_answer,
    tool_texts,
    wrapped,
)
from tests.driver import whole_body as read_all

pytestmark = pytest.mark.anyio
MARKER = re.compile(r"<<ccr:([0-9a-f]{32}-[0-9]+) ")
OK = answer_json(text_answer("openai-chat", "ok"))
ASKS = answer_json(call_answer("openai-chat", ("own", "headroom_retrieve", {"ref": "x"}), text="Let me look."))


def in_virtual_time(function: Callable[[], Awaitable[Any]]) -> Any:
    """Run under a clock that jumps ahead whenever everybody waits: hours take no time, and nothing depends on the machine."""
    return trio.run(function, clock=trio.testing.MockClock(autojump_threshold=0))


# -- retrieval ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("max_rounds", [2, 3])
async def test_max_rounds_counts_every_call_of_the_app(max_rounds: int) -> None:
    inner = Inner(ASKS)
    await post(wrapped(inner, retrieval=RetrievalConfig(max_rounds=max_rounds)), CHAT, question_body("openai-chat", TABLE))
    assert len(inner.bodies) == max_rounds


@pytest.mark.parametrize(("max_bytes", "refused"), [(1024, True), (262_144, False)])
async def test_max_bytes_bounds_what_one_exchange_hands_out(max_bytes: int, refused: bool) -> None:
    async def asks(body: bytes, send: Send) -> None:
        ref = MARKER.findall(tool_texts(body)[0])[0]
        await answer_json(call_answer("openai-chat", ("own", "headroom_retrieve", {"ref": ref})))(body, send)

    inner = Inner(asks, asks, OK)
    await post(wrapped(inner, retrieval=RetrievalConfig(max_bytes=max_bytes)), CHAT, question_body("openai-chat", TABLE))
    second = tool_texts(inner.bodies[2])[-1]
    assert second.startswith("retrieval limit reached") == refused


async def test_ttl_s_is_how_long_an_original_is_kept() -> None:
    now = [0.0]
    for ttl_s, kept in ((100.0, True), (50.0, False)):
        store = MemoryStore(clock=lambda: now[0])
        inner = Inner(OK)
        app = wrapped(inner, store=store, retrieval=RetrievalConfig(ttl_s=ttl_s))
        await post(app, CHAT, question_body("openai-chat", TABLE))
        ref = MARKER.findall(tool_texts(inner.bodies[0])[0])[0]
        now[0] += 75
        if kept:
            assert "ORD-10059" in await aretrieve(ref, store=store)
        else:
            with pytest.raises(KeyError):
                await aretrieve(ref, store=store)


# -- answers ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("max_response_bytes", "rounds"), [(100, 1), (100_000, 2)])
async def test_answers_larger_than_max_response_bytes_are_not_followed(max_response_bytes: int, rounds: int) -> None:
    inner = Inner(ASKS, OK)
    app = wrapped(inner, max_response_bytes=max_response_bytes)
    response = await post(app, CHAT, question_body("openai-chat", TABLE))
    assert len(inner.bodies) == rounds
    assert b"headroom_retrieve" not in response.body
    assert response.status == (502 if rounds == 1 else 200)


def started_after(hold_s: float, **settings: Any) -> float:
    """Seconds until the response starts where the first text comes after ten."""
    frames = stream_of("openai-chat", text_answer("openai-chat", "late"))
    found: list[float] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        await read_all(receive)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await send({"type": "http.response.body", "body": frames[0], "more_body": True})
        await anyio.sleep(10)
        for frame in frames[1:]:
            await send({"type": "http.response.body", "body": frame, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def timed() -> None:
        begun = anyio.current_time()
        app = wrapped(inner, hold_s=hold_s, **settings)

        async def watched(scope: Scope, receive: Receive, send: Send) -> None:
            async def noting(message: Message) -> None:
                found.append(anyio.current_time() - begun)
                await send(message)

            await app(scope, receive, noting)

        await post(watched, CHAT, question_body("openai-chat", "short", stream=True))

    in_virtual_time(timed)
    return found[0]


def test_hold_s_is_how_long_the_start_of_a_stream_waits_for_its_first_text() -> None:
    assert [round(started_after(hold_s), 3) for hold_s in (0, 4, 60)] == [0, 4, 10]


# -- extensions and workers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("timeout_s", [2.0, 40.0])
def test_extension_timeout_s_is_when_an_extension_is_cut_off(timeout_s: float) -> None:
    class Hanging:
        async def on_pipeline_event(self, event: PipelineEvent) -> None:
            if event.stage is PipelineStage.INPUT_RECEIVED:
                await anyio.sleep(3600)

    async def timed() -> float:
        begun = anyio.current_time()
        app = wrapped(Inner(OK), extensions=[Hanging()], extension_timeout_s=timeout_s, mode="lossless")
        await post(app, CHAT, question_body("openai-chat", "short"))
        return anyio.current_time() - begun

    assert in_virtual_time(timed) == pytest.approx(timeout_s)


class Meeting(Transform):
    """A transform that waits for another one of its kind to run beside it, and notes whether one came."""

    name = "meeting"

    def __init__(self, wait_s: float) -> None:
        self.barrier = threading.Barrier(2, timeout=wait_s)
        self.met: list[bool] = []

    def apply(self, messages: list[Any], tokenizer: Tokenizer, **kwargs: Any) -> TransformResult:
        try:
            self.barrier.wait()
        except threading.BrokenBarrierError:
            self.met.append(False)
        else:
            self.met.append(True)
        return TransformResult(messages, 0, 0)


@pytest.mark.parametrize(("max_workers", "together"), [(1, False), (2, True)])
async def test_max_workers_is_how_many_large_requests_are_worked_on_at_once(max_workers: int, together: bool) -> None:
    meeting = Meeting(wait_s=10 if together else 0.2)
    app = wrapped(Inner(OK), transforms=[meeting], max_workers=max_workers, mode="lossless")
    async with anyio.create_task_group() as group:
        for _ in range(2):
            group.start_soon(post, app, CHAT, question_body("openai-chat", json.dumps(ORDERS * 20)))
    assert meeting.met == [together, together]


@pytest.mark.parametrize(("memo_bytes", "remembers"), [(0, False), (1 << 20, True)])
def test_memo_bytes_is_room_for_results_already_computed(memo_bytes: int, remembers: bool) -> None:
    pipeline = TransformPipeline(HeadroomConfig(memo_bytes=memo_bytes))
    payload = payload_of(question_body("openai-chat", TABLE)["messages"], "gpt-4o", None)
    first, second = (drain(pipeline.steps(payload, Context())).report.decisions[-1] for _ in range(2))
    assert (first.remembered, second.remembered) == (False, remembers)
    assert first.compressed == second.compressed


def test_what_nothing_can_be_done_about_is_remembered_too() -> None:
    text = "The meeting was long, and nobody took notes that anybody could read afterwards. " * 20
    pipeline = TransformPipeline(HeadroomConfig(text_compressor=CompressorConfig(enabled=False)))
    payload = payload_of(question_body("openai-chat", text)["messages"], "gpt-4o", None)
    first, second = (drain(pipeline.steps(payload, Context())).report.decisions[-1] for _ in range(2))
    assert (first.reason, second.reason) == ("kind:text", "kind:text")
    assert (first.remembered, second.remembered) == (False, True)


# -- what is looked at --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("names", "touched"), [(["List_Orders"], False), ([], True)])
def test_exact_match_tools_are_the_tools_whose_output_is_left_alone(names: list[str], touched: bool) -> None:
    messages = question_body("openai-chat", TABLE)["messages"]
    router = ContentRouterConfig(exact_match_tools=names)
    assert bool(compress(messages, model="gpt-4o", content_router=router).transforms_applied) == touched


@pytest.mark.parametrize(
    ("own", "json_outcome", "text_outcome"),
    [
        ({}, "compressed", "does_not_pay"),
        ({"text_compressor": CompressorConfig(enabled=False)}, "compressed", "kind:text"),
        ({"smart_crusher": CompressorConfig(enabled=False)}, "kind:json", "does_not_pay"),
    ],
    ids=["both", "smart_crusher only", "text_compressor only"],
)
def test_each_kind_of_text_has_a_compressor_that_can_be_switched_off(
    own: dict[str, Any], json_outcome: str, text_outcome: str
) -> None:
    pipeline = TransformPipeline(HeadroomConfig(**own))
    plain = "A sentence that nothing can be taken from, with no end of other words behind it. " * 3
    for text, outcome in ((TABLE, json_outcome), (plain, text_outcome)):
        payload = payload_of(question_body("openai-chat", text)["messages"], "gpt-4o", None)
        assert drain(pipeline.steps(payload, Context())).report.decisions[-1].reason == outcome


# -- routes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own", "outcome"),
    [
        ({"content_router": ContentRouterConfig(enabled=False)}, "skipped:disabled"),
        ({"smart_crusher": CompressorConfig(enabled=False)}, "skipped:kind:json"),
        ({"content_router": ContentRouterConfig(exact_match_tools=["list_orders"])}, "skipped:exact_match_tool"),
    ],
    ids=["content_router", "smart_crusher", "exact_match_tools"],
)
async def test_a_routes_sections_hold_for_its_requests_only(own: dict[str, Any], outcome: str) -> None:
    app = wrapped(Inner(OK), routes=[RouteConfig("/a/*", **own)], mode="lossless")
    outcomes = [(await post(app, prefix + CHAT, question_body("openai-chat", TABLE))).outcome for prefix in ("/a", "")]
    assert outcomes == [outcome, "compressed"]


@pytest.mark.parametrize(
    ("own", "calls"),
    [({"retrieval": RetrievalConfig(max_rounds=2)}, [2, 4]), ({"max_response_bytes": 100}, [1, 4])],
    ids=["retrieval", "max_response_bytes"],
)
async def test_a_routes_limits_of_rounds_and_answers_hold_for_its_requests_only(own: dict[str, Any], calls: list[int]) -> None:
    found = []
    for prefix in ("/a", ""):
        inner = Inner(ASKS)
        await post(wrapped(inner, routes=[RouteConfig("/a/*", **own)]), prefix + CHAT, question_body("openai-chat", TABLE))
        found.append(len(inner.bodies))
    assert found == calls


def test_a_routes_text_compressor_holds_for_its_requests_only() -> None:
    own = RouteConfig("/a/*", text_compressor=CompressorConfig(enabled=False))
    settings = HeadroomConfig(routes=[own]).resolve()
    names = [{rule.name for rule in settings.route(path).compressors} for path in ("/a/x", "/b")]
    assert names[1] - names[0] == {"text_compressor"}


@pytest.mark.parametrize(
    "wrong",
    [CompressorConfig(enabled="no"), CompressorConfig(except_tools="bash"), CompressorConfig(except_tools=[1]), HeadroomConfig()],  # type: ignore[arg-type, list-item]
)
def test_a_wrong_text_compressor_is_named(wrong: Any) -> None:
    with pytest.raises(ConfigError, match=r"^text_compressor(\.enabled|\.except_tools)?: "):
        HeadroomConfig(text_compressor=wrong).resolve()


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"retrieval": RetrievalConfig(replay="always")}, "retrieval.replay: 'always' is not one of 'auto', 'strip'"),  # type: ignore[arg-type]
        ({"retrieval": RetrievalConfig(retry_s=-1)}, "retrieval.retry_s: -1 is not a number of at least 0"),
        ({"keep_alive_s": 0}, "keep_alive_s: 0 is not a number of at least 0.1"),
        ({"resigns": 1}, "resigns: 1 is not True or False"),
        ({"routes": [RouteConfig("/a", resigns="yes")]}, r"routes\[0\].resigns: 'yes' is not True or False"),  # type: ignore[arg-type]
    ],
)
def test_settings_of_rounds_and_signatures_are_checked(settings: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError, match=f"^{key}"):
        HeadroomConfig(**settings).resolve()


def test_a_route_may_have_its_own() -> None:
    config = HeadroomConfig(keep_alive_s=5, routes=[RouteConfig("/a", resigns=True, keep_alive_s=1)]).resolve()
    assert [(r.resigns, r.keep_alive_s) for r in (config.route("/a"), config.default)] == [(True, 1.0), (False, 5.0)]


def test_a_routes_hold_s_comes_before_the_general_one() -> None:
    assert [round(started_after(60, routes=[RouteConfig(path, hold_s=4)]), 3) for path in ("/v1/*", "/a/*")] == [4, 10]


def test_every_setting_is_a_keyword_of_the_middleware() -> None:
    assert [f.name for f in fields(HeadroomConfig)] == list(SettingFields.__annotations__)
