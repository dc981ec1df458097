"""Compression hooks: what they are told before and after the pipeline, and how one that fails is skipped."""

import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio

from headroom_asgi.engine.edits import edited_payload
from headroom_asgi.logs import get_logger
from headroom_asgi.transforms import Step, TransformResult, decoded_messages
from headroom_asgi.wire import Payload

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CompressContext:
    """What `pre_compress` hooks are told besides the messages."""

    request_id: str
    provider: str
    model: str
    route: str
    tenant: str = field(repr=False)


async def pre_compress(
    hooks: Sequence[Callable[..., Any]], payload: Payload, context: CompressContext, timeout_s: float
) -> tuple[Payload, bool]:
    """Let hooks edit the messages before the pipeline; the payload afterwards, and whether one of them was skipped."""
    skipped = False
    for hook in hooks:
        try:
            messages = await _in_time(hook(decoded_messages(payload), context), timeout_s)
            if messages is not None:
                payload = edited_payload(payload, {"messages": messages})
        except Exception as error:
            skipped = True
            _failed("pre_compress", context.request_id, error)
    return payload, skipped


async def post_compress(hooks: Sequence[Callable[..., Any]], step: Step, request_id: str, timeout_s: float) -> bool:
    """Tell hooks what was done, which they cannot change; whether one of them failed."""
    skipped = False
    for hook in hooks:
        try:
            await _in_time(hook(_told(step)), timeout_s)
        except Exception as error:
            skipped = True
            _failed("post_compress", request_id, error)
    return skipped


async def _in_time(outcome: Awaitable[Any] | Any, timeout_s: float) -> Any:
    """What a hook gave, awaited if it can be. TimeoutError if that takes too long."""
    if not inspect.isawaitable(outcome):
        return outcome
    with anyio.fail_after(timeout_s):
        return await outcome


def _failed(name: str, request_id: str, error: Exception) -> None:
    _log.warning("hook_failed", hook=name, request_id=request_id, error=type(error).__name__)


def _told(step: Step) -> TransformResult:
    """What `post_compress` hooks are told: fresh messages, figures by the estimate."""
    report = step.report
    return TransformResult(
        messages=decoded_messages(step.payload),
        tokens_before=sum(d.tokens_before for d in report.decisions),
        tokens_after=sum(d.tokens_after for d in report.decisions),
        transforms_applied=list(report.labels),
        markers_inserted=list(report.markers),
        warnings=list(report.warnings),
        timing=dict(report.timing),
    )
