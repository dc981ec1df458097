"""The calls that need no server: compress messages, expand a text, retrieve what was left out."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar, Unpack

import anyio

from headroom_asgi import _crush
from headroom_asgi.config import HeadroomConfig, SettingFields
from headroom_asgi.engine import ORIGINALS, POLICY, keep, line_view
from headroom_asgi.errors import HeadroomError
from headroom_asgi.retrieval import TOOL, Originals
from headroom_asgi.store import Store
from headroom_asgi.tokenizer import Tokenizer
from headroom_asgi.transforms import Context, Step, TransformPipeline, TransformResult, drain, payload_of, result_of
from headroom_asgi.types import ToolCall
from headroom_asgi.wire import dump

T = TypeVar("T")


@dataclass(slots=True)
class CompressResult(TransformResult):
    """Shortened messages, figures, and the names under which `retrieve` gives back what was left out.

    Attributes:
        refs: the ref of every text that something was left out of, and of every part; empty without a store.
    """

    refs: tuple[str, ...] = ()


def expand(text: str) -> str:
    """The JSON text that a crushed text stands for, minified.

    Raises:
        ExpandError: the text is neither in the crush format nor JSON, or rows were left out of it (`refs` names them).
    """
    return _crush.expand(text.encode("utf-8", "surrogatepass")).decode("utf-8")


def compress(
    messages: list[Any],
    *,
    model: str,
    format: str | None = None,
    store: Store | None = None,
    **settings: Unpack[SettingFields],
) -> CompressResult:
    """Messages with their tool outputs shortened: losslessly, or with a store also by leaving out what can be retrieved.

    Args:
        messages: as the provider spells them; not changed.
        model: decides about the tokenizer.
        format: `openai-chat` or `anthropic`; guessed from the messages if None.
        store: where originals go. Whoever sends the messages on must then offer a tool that calls `retrieve`.
        settings: fields of HeadroomConfig.

    Raises:
        ConfigError: a setting or the format is wrong, or messages are no JSON values.
        HeadroomError: a store is given inside a running event loop; use `acompress` there.
    """
    step, result, config = _compress(messages, model, format, settings, redeemable=store is not None)
    if store is not None and result.refs:
        _run(partial(keep, store, step.report, tenant="", ttl_s=config.retrieval.ttl_s))
    return result


async def acompress(
    messages: list[Any],
    *,
    model: str,
    format: str | None = None,
    store: Store | None = None,
    **settings: Unpack[SettingFields],
) -> CompressResult:
    """`compress` for callers inside an event loop; the work is done in a thread."""
    work = partial(_compress, messages, model, format, settings, redeemable=store is not None)
    step, result, config = await anyio.to_thread.run_sync(work)
    if store is not None and result.refs:
        await keep(store, step.report, tenant="", ttl_s=config.retrieval.ttl_s)
    return result


def retrieve(ref: str, *, store: Store, query: str = "", offset: int = 0, limit: int | None = None) -> str:
    """What was left out under a ref, as the model would read it. Arguments as the retrieve tool's.

    Raises:
        KeyError: the store has nothing under that ref (expired, or never written).
        HeadroomError: called inside a running event loop; use `aretrieve` there.
    """
    return _run(partial(aretrieve, ref, store=store, query=query, offset=offset, limit=limit))


async def aretrieve(ref: str, *, store: Store, query: str = "", offset: int = 0, limit: int | None = None) -> str:
    """`retrieve` for callers inside an event loop."""
    found = await store.get_many(ORIGINALS, [ref], tenant="")
    if ref not in found:
        raise KeyError(ref)
    asked: dict[str, Any] = {"ref": ref, "offset": offset}
    asked |= {"query": query} if query else {}
    asked |= {"limit": limit} if limit is not None else {}
    text = found[ref].decode("utf-8", "surrogatepass")
    originals = Originals({ref: text}, max_bytes=HeadroomConfig().retrieval.max_bytes, view=line_view)
    return originals.answer(ToolCall("", TOOL.name, dump(asked).decode("ascii"))).text


def _compress(
    messages: list[Any], model: str, dialect: str | None, settings: SettingFields, *, redeemable: bool
) -> tuple[Step, CompressResult, HeadroomConfig]:
    config = HeadroomConfig().with_settings(settings)
    mode = config.resolve().default.mode
    if mode in ("off", "audit"):
        config = replace(config, content_router=replace(config.content_router, enabled=False))
    tokenizer = Tokenizer(model)
    before = tokenizer.count_messages(messages)
    payload = payload_of(messages, model, dialect)
    context = Context(redeemable=redeemable and mode == "ccr", policy=POLICY)
    step = drain(TransformPipeline(config).steps(payload, context, model=model))
    result = result_of(step, tokenizer, before)
    refs = tuple(step.report.originals())
    return step, CompressResult(**{name: getattr(result, name) for name in TransformResult.__slots__}, refs=refs), config


def _run(call: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine from plain code, unless an event loop is running here."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return anyio.run(call)
    raise HeadroomError("called inside a running event loop; use acompress / aretrieve")
