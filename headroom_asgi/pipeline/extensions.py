"""The extensions of a process, and the isolation in which each of them has its turn at an event."""

import asyncio
import inspect
import time
import traceback
from collections.abc import Awaitable
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from pathlib import PurePath
from types import TracebackType
from typing import Any, Final, Protocol, Self, TypedDict, TypeGuard, Unpack, runtime_checkable

import anyio

from headroom_asgi.errors import ConfigError
from headroom_asgi.logs import get_logger
from headroom_asgi.pipeline.stages import PipelineEvent, PipelineStage

ENTRY_POINT_GROUP: Final = "headroom.pipeline_extension"
HOOK_METHODS: Final = ("on_pipeline_event", "pre_compress", "post_compress")

# A plain handler holds up every request of the process; this is where that starts to be felt.
SLOW_HANDLER_S: Final = 0.05

_log = get_logger(__name__)


@runtime_checkable
class PipelineExtension(Protocol):
    """Anything that wants to see, change or answer requests; the method may be plain or `async def`.

    A plain one runs on the event loop and must not block. An event is changed in place (and None returned) or replaced
    by returning another one of the same stage. An event whose stage is RESPONSE_RECEIVED and that has a `response`
    answers the client at once.
    """

    def on_pipeline_event(self, event: PipelineEvent) -> PipelineEvent | Awaitable[PipelineEvent | None] | None:
        """Handle the event of one stage."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One extension that was skipped at one stage, its edits undone.

    Attributes:
        extension: the type name of the extension.
        stage: the stage that was being emitted.
        error: the type name of the exception, or `WrongStage` for an event of a stage that isn't being emitted.
        timed_out: whether it was canceled for taking longer than `timeout_s`.
    """

    extension: str
    stage: PipelineStage
    error: str
    timed_out: bool = False


class EventFields(TypedDict, total=False):
    """The keyword arguments of `emit`: the fields of PipelineEvent, without the stage."""

    operation: str
    request_id: str | None
    provider: str | None
    model: str | None
    messages: list[dict[str, Any]] | None
    tools: list[dict[str, Any]] | None
    headers: dict[str, str] | None
    response: Any
    metadata: dict[str, Any]


class PipelineExtensionManager:
    """Every extension of a process, in order; tells them of a stage and returns what they made of the event.

    Args:
        hooks: one object, or a list of them, with any of `on_pipeline_event`, `pre_compress`, `post_compress`. Those
            without the first are the engine's business, and receive no events here.
        extensions: one PipelineExtension, or a list of them; they come after the hooks.
        discover: whether to append what installed distributions offer (`discover_pipeline_extensions`).
        timeout_s: seconds after which an async handler is canceled and skipped.

    Raises:
        ConfigError: an object has none of those methods, or `timeout_s` isn't above 0.
    """

    def __init__(
        self,
        hooks: object = None,
        extensions: object = None,
        discover: bool = True,  # noqa: FBT001, FBT002 - the signature that extensions were written for
        *,
        timeout_s: float = 5.0,
    ) -> None:
        if not timeout_s > 0:
            raise ConfigError(f"timeout_s: {timeout_s!r} is not a number of seconds above 0")
        candidates = [
            *_checked("hooks", hooks, HOOK_METHODS),
            *_checked("extensions", extensions, HOOK_METHODS[:1]),
            *(discover_pipeline_extensions() if discover else ()),
        ]
        self._timeout_s = timeout_s
        self._extensions = tuple(one for one in candidates if _handles_events(one))

    @property
    def extensions(self) -> tuple[PipelineExtension, ...]:
        """Those that receive events, in the order in which they do."""
        return self._extensions

    @property
    def enabled(self) -> bool:
        """Whether anybody receives events; if not, there is no need to emit them."""
        return bool(self._extensions)

    async def emit(self, stage: PipelineStage, **fields: Unpack[EventFields]) -> PipelineEvent:
        """Tell every extension of `stage`; the event as they left it, or the answer that one of them gave.

        Without extensions the event is returned at once. Nothing that an extension raises gets out; the cancellation of
        the calling task does.
        """
        event = PipelineEvent(stage, **fields)
        if not self._extensions:
            return event
        event, _ = await self.dispatch(event)
        return event

    async def dispatch(self, event: PipelineEvent) -> tuple[PipelineEvent, tuple[Failure, ...]]:
        """`emit` for an event that is there already, and who was skipped on the way.

        After a failure the event's fields are equal copies of what the extension before left, not the same objects.
        """
        stage = event.stage
        failures: list[Failure] = []
        for extension in self._extensions:
            with _Turn(extension, event, stage) as turn:
                outcome = turn.call()
                if inspect.isawaitable(outcome):
                    with anyio.fail_after(self._timeout_s) as turn.limit:
                        outcome = await outcome
                turn.settle(outcome)
            event = turn.event
            failures += turn.failures
            if event.stage != stage:
                break
        return event, tuple(failures)

    def emit_sync(self, stage: PipelineStage, **fields: Unpack[EventFields]) -> PipelineEvent:
        """`emit` for scripts that have no event loop.

        Raises:
            ConfigError: an extension's handler is `async def`. (A plain one that returns an awaitable fails and is
                skipped.)
        """
        for extension in self._extensions:
            if inspect.iscoroutinefunction(extension.on_pipeline_event):
                raise ConfigError(f"emit_sync: on_pipeline_event of {_name(extension)} is async; use `await emit(...)`")
        event = PipelineEvent(stage, **fields)
        for extension in self._extensions:
            with _Turn(extension, event, stage) as turn:
                outcome = turn.call()
                if inspect.isawaitable(outcome):
                    if inspect.iscoroutine(outcome):
                        outcome.close()
                    raise TypeError("an awaitable; use `await emit(...)`")
                turn.settle(outcome)
            event = turn.event
            if event.stage != stage:
                break
        return event


class _Turn:
    """One extension's turn at an event: a context that undoes, logs and notes down what goes wrong inside.

    The cancellation of the running task passes, as does everything that is not an `Exception`.
    """

    __slots__ = ("_extension", "_saved", "_stage", "event", "failures", "limit")

    def __init__(self, extension: PipelineExtension, event: PipelineEvent, stage: PipelineStage) -> None:
        self.event = event
        self.failures: list[Failure] = []
        self.limit: anyio.CancelScope | None = None
        self._extension = extension
        self._stage = stage
        self._saved = _snapshot(event)

    def call(self) -> object:
        """What the handler returns, with a warning if that took so long that other requests felt it."""
        start = time.perf_counter()
        outcome = self._extension.on_pipeline_event(self.event)
        elapsed_s = time.perf_counter() - start
        if elapsed_s > SLOW_HANDLER_S:
            self._warn("extension_slow", elapsed_ms=round(elapsed_s * 1000))
        return outcome

    def settle(self, outcome: object) -> None:
        """Take over what the handler returned, if it is an event of this stage or an answer."""
        if isinstance(outcome, PipelineEvent):
            self.event = outcome
        elif outcome is not None:
            self._warn("extension_result_ignored", returned=type(outcome).__name__)
        answered = self.event.stage == PipelineStage.RESPONSE_RECEIVED and self.event.response is not None
        if self.event.stage != self._stage and not answered:
            self._skip("WrongStage", got=str(self.event.stage))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        if isinstance(error, Exception) or (isinstance(error, asyncio.CancelledError) and not _task_is_canceled()):
            timed_out = self.limit is not None and self.limit.cancelled_caught
            self._skip(type(error).__name__, timed_out=timed_out, where=_last_line(trace))
            return True
        return False

    def _skip(self, error: str, *, timed_out: bool = False, **fields: object) -> None:
        """Undo what the extension did and note down why. The text of an exception may quote the prompt: not logged."""
        self.event = self._saved
        self.failures.append(Failure(_name(self._extension), self._stage, error, timed_out))
        self._warn("extension_failed", error=error, timed_out=timed_out, **fields)

    def _warn(self, line: str, **fields: object) -> None:
        _log.warning(line, extension=_name(self._extension), stage=self._stage.value, **fields)


def discover_pipeline_extensions() -> tuple[PipelineExtension, ...]:
    """What installed distributions offer under the entry-point group `headroom.pipeline_extension`, by name.

    An entry point may be a class or a factory (called without arguments) or a ready object. One that fails to load is
    logged and left out.
    """
    found: list[PipelineExtension] = []
    for point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda point: (point.name, point.value)):
        try:
            found.append(_built(point.load()))
        except Exception:  # code of others, at start-up: whatever it raises, it is named and left out
            _log.warning("extension_not_loaded", entry_point=point.name, value=point.value, exc_info=True)
    return tuple(found)


def _built(loaded: Any) -> PipelineExtension:
    extension = loaded if _handles_events(loaded) and not isinstance(loaded, type) else loaded()
    if not _handles_events(extension):
        raise TypeError(f"{_name(extension)} has no method on_pipeline_event")
    return extension


def _checked(setting: str, given: object, methods: tuple[str, ...]) -> list[Any]:
    """The objects given for a setting: none, one, or a list; each an instance that has at least one of the methods."""
    several = [] if given is None else list(given) if isinstance(given, list | tuple) else [given]
    for one in several:
        if isinstance(one, type):
            raise ConfigError(f"{setting}: {one.__name__} is a class; expected an instance of it")
        if not any(callable(getattr(one, method, None)) for method in methods):
            raise ConfigError(f"{setting}: {_name(one)} has no method {' or '.join(methods)}")
    return several


def _handles_events(one: object) -> TypeGuard[PipelineExtension]:
    return callable(getattr(one, "on_pipeline_event", None))


def _name(extension: object) -> str:
    return type(extension).__name__


def _task_is_canceled() -> bool:
    """Whether asyncio's running task is being canceled.

    If it isn't, a CancelledError comes from something that a handler awaited, and is that handler's failure. (On trio
    only a scope around us can cancel, so there the question doesn't come up.)
    """
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def _last_line(trace: TracebackType | None) -> str:
    """Where an exception was raised, e.g. `cache.py:31`."""
    frames = traceback.extract_tb(trace)
    return f"{PurePath(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""


def _snapshot(event: PipelineEvent) -> PipelineEvent:
    """The event with copies of all that a handler could change in place, except `metadata`."""
    messages, tools, headers, response = copied([event.messages, event.tools, event.headers, event.response])
    return replace(event, messages=messages, tools=tools, headers=headers, response=response)


def copied(root: list[Any]) -> list[Any]:
    """A copy of JSON-like data: new dicts and lists to any depth, the same leaves.

    Costs time per container, not per byte of text, and has no recursion to run out of. Other objects are shared.
    """
    copies: dict[int, Any] = {}
    top = root.copy()
    unfinished: list[Any] = [top]
    while unfinished:
        box = unfinished.pop()
        for key, value in box.items() if type(box) is dict else enumerate(box):
            if type(value) is dict or type(value) is list:
                if id(value) not in copies:
                    copies[id(value)] = value.copy()
                    unfinished.append(copies[id(value)])
                box[key] = copies[id(value)]
    return top
