"""Extensions edit, replace, answer, fail and hang, each in isolation from the request and from one another."""

import asyncio
import functools
import importlib
import logging
import sys
import textwrap
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
import structlog
from anyio.lowlevel import checkpoint
from hypothesis import given
from hypothesis import strategies as st

from headroom_asgi.errors import ConfigError
from headroom_asgi.logs import get_logger
from headroom_asgi.pipeline import (
    Failure,
    PipelineEvent,
    PipelineExtension,
    PipelineExtensionManager,
    PipelineStage,
    discover_pipeline_extensions,
)
from headroom_asgi.pipeline.extensions import copied

pytestmark = pytest.mark.anyio

RECEIVED = PipelineStage.INPUT_RECEIVED
ANSWERED = PipelineStage.RESPONSE_RECEIVED


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


class Plain:
    """An extension made of a function."""

    def __init__(self, handle: Callable[[PipelineEvent], Any]) -> None:
        self.on_pipeline_event = handle


class Recorder:
    """An extension that notes down the events it gets."""

    def __init__(self) -> None:
        self.seen: list[PipelineEvent] = []

    async def on_pipeline_event(self, event: PipelineEvent) -> None:
        self.seen.append(event)


def manager(*hooks: object, timeout_s: float = 5.0) -> PipelineExtensionManager:
    return PipelineExtensionManager(hooks=list(hooks), discover=False, timeout_s=timeout_s)


def logged(caplog: pytest.LogCaptureFixture, line: str) -> list[dict[str, Any]]:
    """The fields of each log record with that message."""
    return [vars(record) for record in caplog.records if record.message == line]


# Order, edits, replacements.


async def test_hooks_come_first_then_extensions_in_order() -> None:
    calls: list[str] = []
    hooks = [Plain(lambda _event: calls.append("hook 1")), Plain(lambda _event: calls.append("hook 2"))]
    extensions = (Plain(lambda _event: calls.append("extension 1")),)
    both = PipelineExtensionManager(hooks, extensions, False)
    await both.emit(RECEIVED)
    assert calls == ["hook 1", "hook 2", "extension 1"]
    assert both.extensions == (*hooks, *extensions)


async def test_an_edit_in_place_reaches_the_next_extension_and_the_caller() -> None:
    def edit(event: PipelineEvent) -> None:
        event.messages.append({"role": "user", "content": "more"})
        event.metadata["edited"] = True

    recorder = Recorder()
    messages: list[dict[str, Any]] = [{"role": "user", "content": "a"}]
    event = await manager(Plain(edit), recorder).emit(RECEIVED, messages=messages)
    assert recorder.seen == [event]
    assert event.messages is messages
    assert messages[-1]["content"] == "more"
    assert event.metadata == {"edited": True}


async def test_a_replaced_event_reaches_the_next_extension_and_the_caller() -> None:
    other = PipelineEvent(RECEIVED, model="other")

    async def replace(event: PipelineEvent) -> PipelineEvent:
        await checkpoint()
        return other

    recorder = Recorder()
    assert await manager(Plain(replace), recorder).emit(RECEIVED, model="model") is other
    assert recorder.seen == [other]


async def test_a_plain_function_that_returns_an_awaitable_is_awaited() -> None:
    async def later(event: PipelineEvent) -> PipelineEvent:
        await checkpoint()
        return PipelineEvent(event.stage, model="later")

    def plain(event: PipelineEvent) -> Awaitable[PipelineEvent]:
        return later(event)

    event = await manager(Plain(plain)).emit(RECEIVED)
    assert event.model == "later"


async def test_any_other_result_is_ignored_with_a_warning_and_edits_stay(caplog: pytest.LogCaptureFixture) -> None:
    def edit(event: PipelineEvent) -> dict[str, str]:
        event.model = "edited"
        return {"model": "returned"}

    event = await manager(Plain(edit)).emit(RECEIVED)
    assert event.model == "edited"
    [line] = logged(caplog, "extension_result_ignored")
    assert (line["extension"], line["returned"]) == ("Plain", "dict")


# Answers, and stages that are not being emitted.


async def test_an_answer_ends_the_loop() -> None:
    answer = PipelineEvent(ANSWERED, response={"id": 1})
    recorder = Recorder()
    event, failures = await manager(Plain(lambda _event: answer), recorder).dispatch(PipelineEvent(RECEIVED))
    assert event is answer
    assert failures == ()
    assert recorder.seen == []


async def test_an_answer_made_in_place_ends_the_loop() -> None:
    def answer(event: PipelineEvent) -> None:
        event.stage, event.response = ANSWERED, {"id": 1}

    recorder = Recorder()
    event = await manager(Plain(answer), recorder).emit(RECEIVED)
    assert (event.stage, event.response) == (ANSWERED, {"id": 1})
    assert recorder.seen == []


async def test_an_edit_at_response_received_is_no_short_circuit() -> None:
    recorder = Recorder()
    replaced = PipelineEvent(ANSWERED, response={"id": 2})
    event = await manager(Plain(lambda _event: replaced), recorder).emit(ANSWERED, response={"id": 1})
    assert event is replaced
    assert recorder.seen == [replaced]


@pytest.mark.parametrize(
    "wrong",
    [PipelineEvent(PipelineStage.PRE_SEND, model="wrong"), PipelineEvent(ANSWERED, model="wrong")],
    ids=["another stage", "an answer without a response"],
)
async def test_an_event_of_a_wrong_stage_is_refused(wrong: PipelineEvent, caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder()
    event, failures = await manager(Plain(lambda _event: wrong), recorder).dispatch(PipelineEvent(RECEIVED, model="m"))
    assert event == PipelineEvent(RECEIVED, model="m")
    assert recorder.seen == [event]
    assert failures == (Failure("Plain", RECEIVED, "WrongStage"),)
    assert [line["error"] for line in logged(caplog, "extension_failed")] == ["WrongStage"]


# Failures.


def raising(event: PipelineEvent) -> None:
    """Change everything that can be changed, then fail."""
    event.stage = PipelineStage.PRE_SEND
    event.model = event.operation = event.request_id = event.provider = "broken"
    event.messages[0]["content"].append("broken")
    event.messages.clear()
    event.tools = None
    event.headers["x"] = "broken"
    event.response["usage"]["tokens"] = 0
    event.metadata["tried"] = True
    raise KeyError("secret prompt")


async def raising_later(event: PipelineEvent) -> None:
    await checkpoint()
    raising(event)


@pytest.mark.parametrize("handler", [raising, raising_later])
async def test_after_an_exception_the_next_extension_gets_the_last_good_state(
    handler: Callable[[PipelineEvent], Any], caplog: pytest.LogCaptureFixture
) -> None:
    def edit(event: PipelineEvent) -> None:
        event.messages[0]["content"].append("good")

    recorder = Recorder()
    start = PipelineEvent(
        RECEIVED,
        "chat",
        "id",
        "openai",
        "gpt-4o",
        messages=[{"role": "user", "content": ["a"]}],
        tools=[{"name": "t"}],
        headers={"x": "y"},
        response={"usage": {"tokens": 1}},
    )
    event, failures = await manager(Plain(edit), Plain(handler), recorder).dispatch(start)
    assert event == PipelineEvent(
        RECEIVED,
        "chat",
        "id",
        "openai",
        "gpt-4o",
        messages=[{"role": "user", "content": ["a", "good"]}],
        tools=[{"name": "t"}],
        headers={"x": "y"},
        response={"usage": {"tokens": 1}},
        metadata={"tried": True},
    )
    assert recorder.seen == [event]
    assert failures == (Failure("Plain", RECEIVED, "KeyError", timed_out=False),)
    [line] = logged(caplog, "extension_failed")
    assert (line["extension"], line["stage"], line["error"]) == ("Plain", "input_received", "KeyError")
    assert line["where"].startswith("test_pipeline.py:")
    assert "secret" not in str([vars(record) for record in caplog.records])


async def test_a_handler_that_kept_a_failed_event_cannot_change_the_rebuilt_one() -> None:
    kept: list[PipelineEvent] = []

    def keep(event: PipelineEvent) -> None:
        kept.append(event)
        raise ValueError

    event = await manager(Plain(keep)).emit(RECEIVED, messages=[{"role": "user"}], headers={})
    kept[0].messages[0]["role"] = "late"
    kept[0].headers["late"] = "1"
    assert (event.messages, event.headers) == ([{"role": "user"}], {})


async def test_a_handler_that_hangs_is_canceled_and_skipped(caplog: pytest.LogCaptureFixture) -> None:
    canceled: list[bool] = []

    async def hang(event: PipelineEvent) -> None:
        event.model = "broken"
        try:
            await anyio.sleep_forever()
        finally:
            canceled.append(True)

    recorder = Recorder()
    event, failures = await manager(Plain(hang), recorder, timeout_s=0.01).dispatch(PipelineEvent(RECEIVED, model="m"))
    assert canceled == [True]
    assert event.model == "m"
    assert recorder.seen == [event]
    assert failures == (Failure("Plain", RECEIVED, "TimeoutError", timed_out=True),)
    assert logged(caplog, "extension_failed")[0]["timed_out"] is True


async def test_a_timeout_error_of_the_handlers_own_is_no_timeout() -> None:
    async def fail(event: PipelineEvent) -> None:
        raise TimeoutError

    _, failures = await manager(Plain(fail)).dispatch(PipelineEvent(RECEIVED))
    assert failures == (Failure("Plain", RECEIVED, "TimeoutError", timed_out=False),)


async def test_each_failure_is_reported() -> None:
    failing = [Plain(raising), Plain(raising_later), Plain(lambda _event: None), Plain(raising)]
    start = PipelineEvent(RECEIVED, messages=[{"content": []}], headers={}, response={"usage": {}})
    event, failures = await manager(*failing).dispatch(start)
    assert event.messages == [{"content": []}]
    assert [failure.error for failure in failures] == ["KeyError"] * 3


async def test_the_last_good_state_survives_nesting_deeper_than_the_recursion_limit() -> None:
    deep: list[Any] = []
    for _ in range(sys.getrecursionlimit() * 3):
        deep = [deep]
    event = await manager(Plain(raising)).emit(RECEIVED, messages=[{"content": [deep]}], headers={}, response=deep)
    depth, inner = 0, event.response
    while inner:
        depth, inner = depth + 1, inner[0]
    assert depth == sys.getrecursionlimit() * 3


@given(
    st.lists(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        )
    )
)
def test_a_copy_is_equal_and_shares_no_container(value: list[Any]) -> None:
    def containers(box: Any) -> set[int]:
        inner = box.values() if isinstance(box, dict) else box if isinstance(box, list) else None
        return set() if inner is None else {id(box)}.union(*map(containers, inner))

    copy = copied(value)
    assert copy == value
    assert not containers(copy) & containers(value)


def test_a_copy_keeps_what_is_shared_and_what_is_circular() -> None:
    shared: dict[str, Any] = {}
    shared["me"] = shared
    copy = copied([shared, shared])
    assert copy[0] is copy[1] is copy[0]["me"] is not shared


# Cancellation from outside.


async def test_the_cancellation_of_the_caller_is_not_swallowed() -> None:
    recorder = Recorder()
    finished: list[PipelineEvent] = []

    async def request() -> None:
        finished.append(await manager(Plain(lambda _event: anyio.sleep_forever()), recorder).emit(RECEIVED))

    async with anyio.create_task_group() as group:
        group.start_soon(request)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    assert recorder.seen == finished == []


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_cancellation_of_an_asyncio_task_is_not_swallowed() -> None:
    recorder = Recorder()
    waiting = manager(Plain(lambda _event: anyio.sleep_forever()), recorder)
    task = asyncio.create_task(waiting.emit(RECEIVED))
    await anyio.wait_all_tasks_blocked()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert recorder.seen == []


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_canceled_future_that_a_handler_awaits_is_that_handlers_failure() -> None:
    async def wait(event: PipelineEvent) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    recorder = Recorder()
    event, failures = await manager(Plain(wait), recorder).dispatch(PipelineEvent(RECEIVED))
    assert recorder.seen == [event]
    assert failures == (Failure("Plain", RECEIVED, "CancelledError"),)


async def test_what_is_no_exception_passes() -> None:
    def leave(event: PipelineEvent) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await manager(Plain(leave)).emit(RECEIVED)


# Time.


async def test_a_plain_handler_that_blocks_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    await manager(Plain(lambda _event: time.sleep(0.06)), Plain(lambda _event: None)).emit(RECEIVED)
    [line] = logged(caplog, "extension_slow")
    assert line["elapsed_ms"] >= 50
    assert (line["extension"], line["stage"]) == ("Plain", "input_received")


# Without extensions.


async def test_without_extensions_the_fields_come_back_as_they_are() -> None:
    messages: list[dict[str, Any]] = [{"role": "user"}]
    none = manager()
    assert not none.enabled
    assert none.extensions == ()
    event = await none.emit(RECEIVED, messages=messages, headers={"a": "b"})
    assert event == PipelineEvent(RECEIVED, messages=messages, headers={"a": "b"})
    assert event.messages is messages
    assert none.emit_sync(RECEIVED, model="m") == PipelineEvent(RECEIVED, model="m")


# What may be registered.


class CompressionHooks:
    def pre_compress(self, messages: list[dict[str, Any]], context: object) -> None: ...


async def test_compression_hooks_are_allowed_and_get_no_events() -> None:
    only = manager(CompressionHooks())
    assert not only.enabled
    assert await only.emit(RECEIVED) == PipelineEvent(RECEIVED)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hooks": 3}, "hooks: int has no method"),
        ({"hooks": [Recorder(), "text"]}, "hooks: str has no method"),
        ({"hooks": Recorder}, "hooks: Recorder is a class"),
        ({"extensions": [CompressionHooks()]}, "extensions: CompressionHooks has no method on_pipeline_event"),
        ({"timeout_s": 0}, "timeout_s: 0 is not"),
        ({"timeout_s": float("nan")}, "timeout_s: nan is not"),
    ],
)
def test_a_wrong_argument_is_refused_by_name(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PipelineExtensionManager(discover=False, **arguments)


# Scripts.


def test_emit_sync_runs_plain_handlers() -> None:
    def edit(event: PipelineEvent) -> None:
        event.model = "edited"

    answer = PipelineEvent(ANSWERED, response={})
    plain = manager(Plain(edit), Plain(lambda event: answer if event.model == "edited" else None), Plain(raising))
    assert plain.emit_sync(RECEIVED) is answer
    assert manager(Plain(edit), Plain(raising)).emit_sync(RECEIVED, messages=[]).model == "edited"


class AsyncPartial:
    def __init__(self) -> None:
        self.on_pipeline_event = functools.partial(self.handle)

    async def handle(self, event: PipelineEvent) -> None: ...


@pytest.mark.parametrize("extension", [Recorder(), AsyncPartial()], ids=["method", "partial"])
def test_emit_sync_refuses_async_handlers(extension: PipelineExtension) -> None:
    with pytest.raises(ConfigError, match=f"{type(extension).__name__} is async; use `await emit"):
        manager(extension).emit_sync(RECEIVED)


def test_emit_sync_skips_a_plain_handler_that_returns_an_awaitable(caplog: pytest.LogCaptureFixture) -> None:
    event = manager(Plain(lambda event: Recorder().on_pipeline_event(event))).emit_sync(RECEIVED, model="m")
    assert event == PipelineEvent(RECEIVED, model="m")
    assert logged(caplog, "extension_failed")[0]["error"] == "TypeError"


# Entry points.


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on sys.path that holds one installed distribution with five entry points."""
    (tmp_path / "extensions_for_test.py").write_text(
        textwrap.dedent("""
            class Marker:
                def __init__(self, mark="class"):
                    self.mark = mark
                def on_pipeline_event(self, event):
                    event.metadata.setdefault("marks", []).append(self.mark)

            ready = Marker("instance")

            def make():
                return Marker("factory")

            def wrong():
                return 3
        """)
    )
    info = tmp_path / "extensions_for_test-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: extensions-for-test\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        textwrap.dedent("""\
            [headroom.pipeline_extension]
            c_factory = extensions_for_test:make
            a_class = extensions_for_test:Marker
            d_wrong = extensions_for_test:wrong
            b_instance = extensions_for_test:ready
            e_missing = extensions_for_test:missing

            [another.group]
            no = extensions_for_test:missing
        """)
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "extensions_for_test", raising=False)
    importlib.invalidate_caches()
    return tmp_path


async def test_installed_extensions_are_found_by_name_and_come_last(installed: Path) -> None:
    found = [extension.mark for extension in discover_pipeline_extensions()]
    assert found == ["class", "instance", "factory"]
    first = Plain(lambda event: event.metadata.setdefault("marks", []).append("given"))
    event = await PipelineExtensionManager(extensions=[first]).emit(RECEIVED)
    assert event.metadata["marks"] == ["given", *found]


def test_an_entry_point_that_fails_to_load_is_named_and_skipped(installed: Path, caplog: pytest.LogCaptureFixture) -> None:
    discover_pipeline_extensions()
    lines = logged(caplog, "extension_not_loaded")
    assert [line["entry_point"] for line in lines] == ["d_wrong", "e_missing"]
    assert all(line["exc_info"] for line in lines)


def test_nothing_is_looked_up_when_discovery_is_off(installed: Path) -> None:
    assert PipelineExtensionManager(discover=False).extensions == ()
    assert "extensions_for_test" not in sys.modules


# The loggers.


def test_nothing_is_printed_unless_logging_is_configured(capfd: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    handlers, root.handlers = root.handlers, []
    try:
        get_logger("headroom_asgi.some.module").error("a_line", field=1)
    finally:
        root.handlers = handlers
    assert capfd.readouterr() == ("", "")


def test_fields_and_the_apps_context_arrive_as_extra(caplog: pytest.LogCaptureFixture) -> None:
    with structlog.contextvars.bound_contextvars(request_id="r1", name="the app's", message="too", args="and this"):
        get_logger("headroom_asgi.some.module").warning("a_line", field=1)
    [line] = logged(caplog, "a_line")
    assert (line["request_id"], line["field"], line["name"]) == ("r1", 1, "headroom_asgi.some.module")
    assert (line["name_"], line["message_"], line["args_"]) == ("the app's", "too", "and this")


def test_a_disabled_level_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, logger="headroom_asgi")
    get_logger("headroom_asgi.some.module").warning("a_line")
    assert caplog.records == []
