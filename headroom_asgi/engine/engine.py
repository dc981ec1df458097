"""What all exchanges of one middleware share: settings, extensions, pipelines, store, workers."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, TypeVar, TypeVarTuple, get_args

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

from headroom_asgi.config import Mode, Route, Settings
from headroom_asgi.engine.counting import Counter
from headroom_asgi.engine.refusals import SURE, Breaker
from headroom_asgi.engine.words import reader_for
from headroom_asgi.errors import ConfigError
from headroom_asgi.logs import get_logger
from headroom_asgi.observers import Observer, Report, is_logged, log_report
from headroom_asgi.pipeline import PipelineExtensionManager, PipelineStage
from headroom_asgi.retrieval import TOOL
from headroom_asgi.store import GuardedStore, MemoryStore, Store, as_sealed, open_store
from headroom_asgi.transforms import Memo, Pasts, TransformPipeline
from headroom_asgi.wire import dump

_log = get_logger(__name__)

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

# To compress this much text takes the event loop four milliseconds; a hop to a thread that shares the interpreter costs one.
_INLINE_BYTES = 32 * 1024


class Engine:
    """The services of one middleware. Built once; starts with the first ASGI call.

    Args:
        settings: resolved settings.
        store: where originals go, or the address of a store (`open_store`); one in memory if None.
        extensions, hooks, discover: see PipelineExtensionManager. Hooks may also have `pre_compress` and `post_compress`.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        store: Store | str | None = None,
        extensions: object = None,
        hooks: object = None,
        discover: bool = True,
    ) -> None:
        own = store is None or isinstance(store, str)
        if not own and not all(callable(getattr(store, name, None)) for name in ("put", "get_many", "touch", "aclose")):
            raise ConfigError(f"store: a {type(store).__name__} is not a Store, nor the address of one")
        self.settings = settings
        self.manager = PipelineExtensionManager(
            hooks=hooks, extensions=extensions, discover=discover, timeout_s=settings.extension_timeout_s
        )
        several: list[Any] = list(hooks) if isinstance(hooks, (list, tuple)) else [] if hooks is None else [hooks]
        self.pre_compress = [h.pre_compress for h in several if callable(getattr(h, "pre_compress", None))]
        self.post_compress = [h.post_compress for h in several if callable(getattr(h, "post_compress", None))]
        self._new_store: Callable[[], Store] = partial(open_store, store) if isinstance(store, str) else MemoryStore
        self._own_store = own
        self.store: Store = self._new_store() if store is None or isinstance(store, str) else _bounded(store)
        self._memo = Memo(settings.memo_bytes)
        self._pasts = Pasts(self._memo)
        self._pipelines: dict[Route, TransformPipeline] = {}
        for route in (*settings.routes, settings.default):
            pipeline = TransformPipeline(transforms=settings.transforms, route=route, memo=self._memo, pasts=self._pasts)
            pipeline.prove()
            _log.info("compressors_on", route=route.path, names=[rule.name for rule in route.compressors])
            self._pipelines |= {route.at(mode): pipeline for mode in get_args(Mode)}  # a caller may ask for another one
        self.counter = Counter(dump({"name": TOOL.name, "description": TOOL.description, "parameters": TOOL.parameters}).decode())
        self.breaker = Breaker(1 if self.store.shared else SURE)
        self.reader = reader_for(settings, self.store)
        self._observers: tuple[Observer, ...] = tuple(settings.observers)
        self._limiters: RunVar[anyio.CapacityLimiter] = RunVar("headroom_workers")
        self._starting = anyio.Lock()
        self._ready = False
        self._stages = [PipelineStage.SETUP, PipelineStage.PRE_START, PipelineStage.POST_START]

    def pipeline(self, route: Route) -> TransformPipeline:
        """The transform pipeline with that route's settings."""
        return self._pipelines[route]

    async def start(self, *, until: PipelineStage = PipelineStage.POST_START) -> None:
        """Fire the stages of the process that have not fired yet, up to and including `until`. Each fires once."""
        if self._ready:
            return
        async with self._starting:  # who comes meanwhile waits until the last handler is through
            while self._stages and self._stages[0].value in _up_to(until):
                stage = self._stages.pop(0)
                if stage is PipelineStage.PRE_START:
                    self.counter.warm()
                if self.manager.enabled:
                    await self.manager.emit(stage, operation="process")
            self._ready = not self._stages

    async def warmed(self) -> None:
        """The token ranks are there, which takes half a second in which little else runs."""
        await anyio.to_thread.run_sync(self.counter.wait)

    async def aclose(self) -> None:
        """Release workers, and the store if it is ours. An app that is started again gets new ones."""
        self.counter.close()
        if self._own_store:
            old, self.store = self.store, self._new_store()
            await old.aclose()

    async def delete_tenant(self, tenant: str) -> int:
        """Forget everything of one tenant; how many entries the store had. What was computed already goes, whosever it is."""
        for pipeline in self._pipelines.values():
            pipeline.forget()
        return await self.store.delete_tenant(tenant)

    async def work(self, size: int, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """Call a function here if it works on little, else in a worker of the bounded pool. A full pool waits."""
        if size <= _INLINE_BYTES:
            return function(*args)
        limiter = self._limiters.get(None)  # it belongs to the event loop in which it was made
        if limiter is None:
            limiter = anyio.CapacityLimiter(self.settings.max_workers)
            self._limiters.set(limiter)
        return await anyio.to_thread.run_sync(partial(function, *args), limiter=limiter)

    def patience(self, size: int) -> AbstractContextManager[object]:
        """A limit for all that a request asks of the store at one time (GuardedStore.patience); memory answers at once."""
        return self.store.patience(size) if isinstance(self.store, GuardedStore) else nullcontext()

    @property
    def observers(self) -> tuple[Observer, ...]:
        """Who hears of exchanges now: the log, if it writes them down, and the app's own."""
        return (log_report, *self._observers) if is_logged() else self._observers

    def observe(self, report: Report) -> None:
        """Tell every observer; one that fails is logged and does not disturb the others."""
        for observer in self.observers:
            try:
                observer(report)
            except Exception as error:
                _log.warning("observer_failed", observer=_name_of(observer), error=type(error).__name__)


def _bounded(store: Store) -> Store:
    """A store that no request waits for: one in memory answers at once; any other is guarded and sealed, by its owner or here."""
    if type(store) is MemoryStore or isinstance(store, GuardedStore):
        return store
    return GuardedStore(as_sealed(store), name=type(store).__name__)


def _up_to(stage: PipelineStage) -> tuple[str, ...]:
    order = (PipelineStage.SETUP.value, PipelineStage.PRE_START.value, PipelineStage.POST_START.value)
    return order[: order.index(stage.value) + 1]


def _name_of(thing: Any) -> str:
    return getattr(thing, "__qualname__", None) or type(thing).__name__
