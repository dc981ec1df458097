"""Which words of prose stay: as the store says, and where it says nothing, as a model reads it and the store then says."""

from collections.abc import Awaitable, Callable, Generator, Mapping
from typing import Final, TypeAlias

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

from headroom_asgi.compressors import WHOLE, Kompress, WordModel
from headroom_asgi.config import Route, Settings
from headroom_asgi.errors import ConfigError
from headroom_asgi.logs import get_logger
from headroom_asgi.store import Store

_log = get_logger(__name__)

# What a store does, for something to call it in the log if it fails, which gives None.
Asked: TypeAlias = Callable[[str, Awaitable[Mapping[str, bytes]]], Awaitable[Mapping[str, bytes] | None]]

MASKS: Final = "words"  # the store's namespace
# Characters that are read for one request, some 40 windows: what else it brings stays whole, now and later.
_MAX_READ: Final = 60_000


class Reader:
    """Reads texts with a model, a batch at a time: requests take turns, and one batch is read at a time in a process.

    Args:
        model: that reads.
    """

    def __init__(self, model: WordModel) -> None:
        self._model = model
        self._limiters: RunVar[anyio.CapacityLimiter] = RunVar("headroom_readers")

    async def read(self, text: str) -> bytes:
        """The mask of a text; of one that the model fails on, that of a text that stays whole."""
        limiter = self._limiters.get(None)  # it belongs to the event loop in which it was made
        if limiter is None:
            limiter = anyio.CapacityLimiter(1)
            self._limiters.set(limiter)
        reading = self._model.read(text)
        mask: bytes | None = None
        try:
            while mask is None:
                mask = await anyio.to_thread.run_sync(_read_on, reading, limiter=limiter)
        except Exception as error:
            _log.warning("words_not_read", error=type(error).__name__)
            return WHOLE
        return mask


def reader_for(settings: Settings, store: Store) -> Reader | None:
    """What reads prose; None if no route asks for it.

    Raises:
        ConfigError: a route asks for it, but there is no such model, or no store that all workers share.
    """
    if not any(_reads(route) for route in (*settings.routes, settings.default)):
        return None
    if not settings.kompress_model:
        raise ConfigError("kompress_model: '' is not the folder of a model, which kompress.enabled needs")
    if not store.shared:
        raise ConfigError(
            "kompress.enabled: the store is not shared by all workers, so they would not agree on the words that stay; give one "
            "that is (sqlite:///..., redis://...), or MemoryStore(shared=True) where there is one worker only"
        )
    return Reader(WordModel(settings.kompress_model))


async def learned(
    reader: Reader, store: Store, wanted: Mapping[str, str], asked: Asked, *, tenant: str, ttl_s: float
) -> Mapping[str, bytes]:
    """The masks of texts, by key, as far as the store has them in the end.

    What nobody has read is read now, up to a number of characters; what is beyond stays whole. All of it is written unless
    something is there, and what is there then holds: of several workers that read one text, the first decides for all.
    """
    known = await asked("masks_failed", store.get_many(MASKS, wanted, tenant=tenant))
    if known is None:
        return {}
    unread = [key for key in wanted if key not in known]
    if not unread:
        return known
    left = _MAX_READ
    read: dict[str, bytes] = {}
    for key in unread:
        left -= len(wanted[key])
        read[key] = await reader.read(wanted[key]) if left >= 0 else WHOLE
    await asked("masks_failed", kept(store, read, tenant=tenant, ttl_s=ttl_s))
    return {**known, **(await asked("masks_failed", store.get_many(MASKS, unread, tenant=tenant)) or {})}


async def kept(store: Store, masks: Mapping[str, bytes], *, tenant: str, ttl_s: float) -> Mapping[str, bytes]:
    """Masks written where none are, and used once more where they are; the same masks."""
    if masks and await store.touch(MASKS, masks, tenant=tenant, ttl=ttl_s) < len(masks):
        for key, mask in masks.items():
            await store.put(MASKS, key, mask, tenant=tenant, ttl=ttl_s, if_absent=True)
    return masks


def _reads(route: Route) -> bool:
    return route.mode == "ccr" and any(rule.name == Kompress.section for rule in route.compressors)


def _read_on(reading: Generator[None, None, bytes]) -> bytes | None:
    """The next batch; the mask when all are read. (A StopIteration would not get out of a worker.)"""
    try:
        next(reading)
    except StopIteration as end:
        mask: bytes = end.value
        return mask
    return None
