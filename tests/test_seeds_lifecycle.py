"""The published examples of the lifecycle API run as they are written, but for the module root and `await`."""

import inspect
import logging
from dataclasses import fields

import pytest

from headroom_asgi.pipeline import (
    CANONICAL_PIPELINE_STAGES,
    PipelineEvent,
    PipelineExtension,
    PipelineExtensionManager,
    PipelineStage,
)

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


log = logging.getLogger("headroom.inspector")


class LogInputExtension:
    """Logs request details at the INPUT_RECEIVED stage."""

    def on_pipeline_event(self, event: PipelineEvent) -> PipelineEvent | None:
        if event.stage is PipelineStage.INPUT_RECEIVED:
            log.info("INPUT_RECEIVED – request_id=%s messages=%s", event.request_id, event.messages)
        return None


class HeaderInjectionExtension:
    """Adds a custom header at the PRE_SEND stage."""

    def on_pipeline_event(self, event: PipelineEvent) -> PipelineEvent | None:
        if event.stage is PipelineStage.PRE_SEND:
            event.headers = event.headers or {}
            event.headers["x-custom-auth"] = "bearer-token-123"
        return None


class CacheExtension:
    """Returns a cached response without calling the LLM."""

    def on_pipeline_event(self, event: PipelineEvent) -> PipelineEvent | None:
        if event.stage is PipelineStage.INPUT_RECEIVED:
            cached = self.check_cache(event.messages)
            if cached:
                return PipelineEvent(
                    stage=PipelineStage.RESPONSE_RECEIVED,
                    operation=event.operation,
                    request_id=event.request_id,
                    provider=event.provider,
                    model=event.model,
                    response={"choices": [{"message": {"role": "assistant", "content": cached}}]},
                    metadata={"cached": True},
                )
        return None

    def check_cache(self, messages):
        # Cache lookup logic here

        return "Cached reply" if messages else None


def test_there_are_eleven_stages_in_the_published_order() -> None:
    assert [stage.name for stage in CANONICAL_PIPELINE_STAGES] == [
        "SETUP",
        "PRE_START",
        "POST_START",
        "INPUT_RECEIVED",
        "INPUT_CACHED",
        "INPUT_ROUTED",
        "INPUT_COMPRESSED",
        "INPUT_REMEMBERED",
        "PRE_SEND",
        "POST_SEND",
        "RESPONSE_RECEIVED",
    ]
    assert isinstance(CANONICAL_PIPELINE_STAGES, tuple)
    for stage in CANONICAL_PIPELINE_STAGES:
        assert isinstance(stage, str)
        assert stage.value == stage.name.lower()


def test_an_event_has_the_published_fields() -> None:
    assert [field.name for field in fields(PipelineEvent)] == [
        "stage",
        "operation",
        "request_id",
        "provider",
        "model",
        "messages",
        "tools",
        "headers",
        "response",
        "metadata",
    ]
    event = PipelineEvent(stage=PipelineStage.SETUP)
    assert (event.operation, event.metadata) == ("", {})
    assert event.metadata is not PipelineEvent(stage=PipelineStage.SETUP).metadata
    assert {event.request_id, event.provider, event.model, event.messages, event.tools, event.headers} == {None}
    assert event.response is None


async def test_the_logging_example(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="headroom.inspector")
    manager = PipelineExtensionManager(hooks=LogInputExtension())

    event = await manager.emit(
        PipelineStage.INPUT_RECEIVED,
        operation="chat",
        request_id="req-456",
        provider="openai",
        model="gpt-4o",
        messages=[{"role": "user", "content": "Hello, Headroom"}],
    )

    assert caplog.messages == ["INPUT_RECEIVED – request_id=req-456 messages=[{'role': 'user', 'content': 'Hello, Headroom'}]"]
    assert event == PipelineEvent(
        stage=PipelineStage.INPUT_RECEIVED,
        operation="chat",
        request_id="req-456",
        provider="openai",
        model="gpt-4o",
        messages=[{"role": "user", "content": "Hello, Headroom"}],
    )


async def test_the_header_example() -> None:
    manager = PipelineExtensionManager(hooks=[LogInputExtension(), HeaderInjectionExtension()])
    event = await manager.emit(PipelineStage.PRE_SEND)
    assert event.headers == {"x-custom-auth": "bearer-token-123"}
    event = await manager.emit(PipelineStage.PRE_SEND, headers={"accept": "*/*"})
    assert event.headers == {"accept": "*/*", "x-custom-auth": "bearer-token-123"}


async def test_the_short_circuit_example() -> None:
    manager = PipelineExtensionManager(hooks=CacheExtension())
    event = await manager.emit(
        PipelineStage.INPUT_RECEIVED, operation="chat", messages=[{"role": "user", "content": "Hello, Headroom"}]
    )
    assert event.stage is PipelineStage.RESPONSE_RECEIVED
    assert event.response["choices"][0]["message"]["content"] == "Cached reply"
    assert event.metadata == {"cached": True}


async def test_enabled_is_false_without_extensions() -> None:
    assert not PipelineExtensionManager(discover=False).enabled
    assert PipelineExtensionManager(hooks=LogInputExtension(), discover=False).enabled


def test_the_examples_satisfy_the_protocol() -> None:
    for example in (LogInputExtension(), HeaderInjectionExtension(), CacheExtension()):
        assert isinstance(example, PipelineExtension)
    assert not isinstance(object(), PipelineExtension)


def test_the_constructor_takes_hooks_extensions_and_discover() -> None:
    parameters = inspect.signature(PipelineExtensionManager).parameters
    assert list(parameters)[:3] == ["hooks", "extensions", "discover"]
    assert parameters["discover"].default is True
