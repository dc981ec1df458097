"""The calls that need no server: compress messages, expand a text, retrieve what was left out."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar, Unpack

import anyio

from headroom_asgi import _crush
from headroom_asgi.compressors import split_markers
from headroom_asgi.config import HeadroomConfig, SettingFields
from headroom_asgi.engine import ORIGINALS, POLICY, keep, line_view
from headroom_asgi.errors import ConfigError, ExpandError, HeadroomError
from headroom_asgi.retrieval import TOOL, Originals
from headroom_asgi.store import Store, as_sealed, open_store
from headroom_asgi.tokenizer import Tokenizer
from headroom_asgi.transforms import (
    Context,
    Step,
    TransformPipeline,
    TransformResult,
    decoded_messages,
    drain,
    is_result,
    payload_of,
    result_of,
    shown,
    unfold,
)
from headroom_asgi.types import Edit, ToolCall
from headroom_asgi.wire import dump, literal, splice

T = TypeVar("T")

_MOST = 256 << 20  # characters that messages may stand for: forged ones may say them with very little
_FORMS = ("[json", "[text", "[view")  # how texts in the crush format start


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
        ExpandError: the text is neither in the crush format nor JSON, or something was left out of it (`refs` names it).
    """
    markers, _ = split_markers(text)
    if markers:
        names = tuple(marker.partition(" ")[0].removeprefix("<<ccr:") for marker in markers)
        raise ExpandError(f"something was left out: {', '.join(names)}", names)
    return _crush.expand(text.encode("utf-8", "surrogatepass")).decode("utf-8")


def expand_messages(messages: list[Any], *, format: str | None = None) -> list[Any]:
    """Messages that were shortened losslessly, as they were: JSON value for value (minified), any other text byte for byte.

    Args:
        messages: all messages of a request from its first one on, as they were forwarded; not changed.
        format: a dialect's name, e.g. `openai-chat` or `anthropic`; guessed from the messages if None.

    Raises:
        ConfigError: the format is unknown, or messages are no JSON values.
        ExpandError: rows were left out of a text (`refs` names them), a reference names lines that are not there, or the texts
            stand for more than 256 MiB. What imitates our references or forms is read as if it was ours (docs/security.md).
    """
    payload = payload_of(messages, "", format)
    results = [segment for segment in payload.segments if is_result(segment)]
    edits, left = [], _MOST
    for segment, text in zip(results, unfold([shown(segment) for segment in results]), strict=True):
        whole = expand(text) if text.startswith(_FORMS) else text
        left -= len(whole)
        if left < 0:
            raise ExpandError(f"the texts stand for more than {_MOST >> 20} MiB")
        if whole != segment.text:
            edits.append(Edit(*segment.span, literal(whole)))
    return decoded_messages(payload.again(splice(payload.body, edits)))


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
        _run(partial(keep, as_sealed(store), step.report, tenant="", ttl_s=config.retrieval.ttl_s))
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
        await keep(as_sealed(store), step.report, tenant="", ttl_s=config.retrieval.ttl_s)
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
    found = await as_sealed(store).get_many(ORIGINALS, [ref], tenant="")
    if ref not in found:
        raise KeyError(ref)
    asked: dict[str, Any] = {"ref": ref, "offset": offset}
    asked |= {"query": query} if query else {}
    asked |= {"limit": limit} if limit is not None else {}
    text = found[ref].decode("utf-8", "surrogatepass")
    originals = Originals({ref: text}, max_bytes=HeadroomConfig().retrieval.max_bytes, view=line_view)
    return originals.answer(ToolCall("", TOOL.name, dump(asked).decode("ascii"))).text


def delete_tenant(tenant: str, *, store: Store | str) -> int:
    """Delete everything of one tenant from a store; how many entries there were. What a running app has in its memory goes by
    `HeadroomMiddleware.delete_tenant`.

    Args:
        tenant: its name, as the resolver gives it; "" is the one of an app without a resolver.
        store: the store, or its address.

    Raises:
        StoreError: the store cannot be reached. What was deleted until then is.
        HeadroomError: called inside a running event loop; use `adelete_tenant` there.
    """
    return _run(partial(adelete_tenant, tenant, store=store))


async def adelete_tenant(tenant: str, *, store: Store | str) -> int:
    """`delete_tenant` for callers inside an event loop."""
    if not isinstance(store, str):
        return await store.delete_tenant(tenant)
    opened = open_store(store)
    try:
        return await opened.delete_tenant(tenant)
    finally:
        await opened.aclose()


def _compress(
    messages: list[Any], model: str, dialect: str | None, settings: SettingFields, *, redeemable: bool
) -> tuple[Step, CompressResult, HeadroomConfig]:
    config = HeadroomConfig().with_settings(settings)
    route = config.resolve().default
    if any(rule.name == "kompress" for rule in route.compressors):
        raise ConfigError("kompress.enabled: words are read by the middleware alone, whose store says which of them stay")
    mode = route.mode
    if mode in ("off", "audit"):
        config = replace(config, transforms=())
    tokenizer = Tokenizer(model)
    before = tokenizer.count_messages(messages)
    payload = payload_of(messages, model, dialect)
    context = Context(redeemable=redeemable and mode == "ccr", policy=POLICY)
    step = drain(TransformPipeline(config).steps(payload, context, model=model))
    result = result_of(step, tokenizer, before)
    refs = tuple(step.report.names)
    return step, CompressResult(**{name: getattr(result, name) for name in TransformResult.__slots__}, refs=refs), config


def _run(call: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine from plain code, unless an event loop is running here."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return anyio.run(call)
    raise HeadroomError("called inside a running event loop; use acompress / aretrieve / adelete_tenant")
