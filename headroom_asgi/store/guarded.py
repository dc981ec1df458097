"""A store that leaves another one alone while that is slow or gone, so that nobody waits for it."""

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Final, TypeVar

import anyio

from headroom_asgi.errors import ConfigError, StoreDownError, StoreError, StoreRefusedError
from headroom_asgi.logs import get_logger
from headroom_asgi.store.base import Store, StoreStats
from headroom_asgi.store.patience import patience, spawn

_log = get_logger(__name__)

T = TypeVar("T")

# Calls in a row that fail, each begun after the one before had failed, until the store is left alone.
_FAILURES: Final = 3
# Seconds until a store that was left alone is tried again; twice as many after each trial that fails, or that promised too much.
_PAUSE_S: Final = 1.0
_MAX_PAUSE_S: Final = 30.0
# A call may take a second longer for this many bytes that it sends or brings.
_BYTES_PER_S: Final = 25_000_000
# What is asked together may take as long as so many calls that only just come back in time.
_TOGETHER: Final = 2.5
# Seconds for a step of what looks at a whole store; no request waits for that.
_PATIENCE_S: Final = 60.0
# What a trial writes and reads.
_TRIAL: Final = ("health", "trial", b"well")


class GuardedStore:
    """A Store over another one, with a circuit breaker.

    A call that fails raises StoreError at the latest after `timeout_s`. After three in a row the store is left alone: calls
    raise StoreDownError at once, until a trial in the background (never a request's own call) was answered. The log has one line
    for each change.

    Args:
        store: the one that may fail.
        name: what the log calls it.
        timeout_s: seconds that a call may take, of those in which the event loop runs.
        slow_s: seconds after which a call counts as failed, although its result is used.
        clock: seconds that never go back.

    Raises:
        ConfigError: a number of seconds isn't above 0.
    """

    def __init__(
        self,
        store: Store,
        *,
        name: str = "",
        timeout_s: float = 0.4,
        slow_s: float = 0.2,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        for key, seconds in (("timeout_s", timeout_s), ("slow_s", slow_s)):
            if not seconds > 0:
                raise ConfigError(f"{key}: {seconds!r} is not a number above 0")
        self._store = store
        self._label = name or type(store).__name__
        self._timeout_s = timeout_s
        self._slow_s = slow_s
        self._clock = clock
        self._failures = 0
        self._round = 0  # failures counted so far: calls that began before the last one are told by it
        self._reason = ""  # why the store is left alone; "" if it is not
        self._pause_s = _PAUSE_S
        self._back_at = -math.inf  # when a trial found it well
        self._next_trial = 0.0
        self._trials: set[asyncio.Task[None]] = set()  # the event loop itself only has weak references

    @property
    def shared(self) -> bool:
        """As the store inside."""
        return self._store.shared

    async def put(self, ns: str, key: str, value: bytes, *, tenant: str, ttl: float, if_absent: bool = False) -> bool:
        """Write a value (Store.put)."""
        put = partial(self._store.put, ns, key, value, tenant=tenant, ttl=ttl, if_absent=if_absent)
        return await self._call(put, len(value) / _BYTES_PER_S)

    def patience(self, size: int) -> AbstractContextManager[object]:
        """A limit for all the calls inside together, whatever their number: each of them may be just fast enough.

        Args:
            size: bytes that they send.

        Raises:
            TimeoutError: they took longer. The breaker does not count that.
        """
        return patience(_TOGETHER * self._timeout_s + size / _BYTES_PER_S)

    async def get_many(self, ns: str, keys: Iterable[str], *, tenant: str) -> dict[str, bytes]:
        """Read values (Store.get_many)."""
        return await self._call(partial(self._store.get_many, ns, list(keys), tenant=tenant), size_of=_size)

    async def touch(self, ns: str, keys: Iterable[str], *, tenant: str, ttl: float) -> int:
        """Start idle times again (Store.touch)."""
        return await self._call(partial(self._store.touch, ns, list(keys), tenant=tenant, ttl=ttl))

    async def delete(self, ns: str, keys: Iterable[str], *, tenant: str) -> int:
        """Delete entries (Store.delete)."""
        return await self._call(partial(self._store.delete, ns, list(keys), tenant=tenant))

    async def scan(self, ns: str, tenant: str) -> AsyncGenerator[str, None]:
        """Every key of a namespace (Store.scan)."""
        keys = self._store.scan(ns, tenant)
        try:
            while (key := await self._call(partial(anext, keys, None), _PATIENCE_S)) is not None:
                yield key
        finally:
            if isinstance(keys, AsyncGenerator):
                await keys.aclose()

    async def add(self, ns: str, key: str, counters: Mapping[str, int], *, tenant: str) -> dict[str, int]:
        """Add to counters (Store.add)."""
        return await self._call(partial(self._store.add, ns, key, counters, tenant=tenant))

    async def delete_tenant(self, tenant: str) -> int:
        """Delete everything of one tenant (Store.delete_tenant)."""
        return await self._call(partial(self._store.delete_tenant, tenant), math.inf)

    async def stats(self) -> StoreStats:
        """As the store inside."""
        return await self._call(self._store.stats, _PATIENCE_S)

    async def aclose(self) -> None:
        """Close the store inside, as far as it lets itself be closed: an app that ends is not kept from it."""
        for task in self._trials:
            task.cancel()
        try:
            with anyio.move_on_after(self._timeout_s):
                await self._store.aclose()
        except Exception as error:
            _log.warning("store_not_closed", store=self._label, reason=_reason(error))

    # -- the breaker ---------------------------------------------------------------------------------------------------

    async def _call(self, call: Callable[[], Awaitable[T]], more_s: float = 0.0, size_of: Callable[[T], int] = lambda _: 0) -> T:
        """The result of a call, while the store is not left alone.

        Args:
            call: to the store inside.
            more_s: seconds that it may take longer than others.
            size_of: bytes of its result, which took their time without being slow.
        """
        if self._reason:
            self._try_again()
            raise StoreDownError(f"{self._label} is left alone: {self._reason}")
        began, of_round = self._clock(), self._round
        failure, answered, stalled_s = "", False, 0.0
        try:
            with patience(self._timeout_s + more_s) as wait:
                try:
                    result = await call()
                finally:
                    stalled_s = wait.stalled_s
            answered = True
            more_s += size_of(result) / _BYTES_PER_S
        except StoreRefusedError:
            answered = True
            raise
        except TimeoutError as error:
            failure = "no answer in time"
            raise StoreError(f"{self._label}: {failure}") from error
        except Exception as error:
            failure = _reason(error)
            raise StoreError(f"{self._label}: {failure}") from error
        finally:
            if (
                not failure and self._clock() - began - stalled_s > self._slow_s + more_s
            ):  # whether it was answered, or its caller left
                failure = "slow answers"
            self._judge(of_round, failure, answered=answered)
        return result

    def _judge(self, of_round: int, failure: str, *, answered: bool) -> None:
        """Count a failure in a row. Calls that were under way together count as one: one stall is one failure."""
        if failure and of_round == self._round:
            self._failures += 1
            self._round += 1
            if self._failures >= _FAILURES and not self._reason:
                now = self._clock()
                # A cluster of which a part is gone is well for trials and bad for requests: not one of them each second.
                relapsed = now - self._back_at < _MAX_PAUSE_S
                self._reason, self._pause_s = failure, min(2 * self._pause_s, _MAX_PAUSE_S) if relapsed else _PAUSE_S
                self._next_trial = now + self._pause_s
                _log.warning("store_down", store=self._label, reason=failure)
        elif answered and not failure:
            self._failures = 0

    def _try_again(self) -> None:
        """Begin a trial in the background, if it is time for one."""
        now = self._clock()
        if now < self._next_trial:
            return
        self._pause_s = min(2 * self._pause_s, _MAX_PAUSE_S)
        self._next_trial = now + self._timeout_s + self._pause_s
        if task := spawn(self._trial):
            self._trials.add(task)
            task.add_done_callback(self._trials.discard)

    async def _trial(self) -> None:
        """Write and read something small; if that comes back in time, calls reach the store again."""
        ns, key, value = _TRIAL
        try:
            with patience(self._slow_s):
                await self._store.put(ns, key, value, tenant="", ttl=_PATIENCE_S)
                found = await self._store.get_many(ns, [key], tenant="")
        except Exception as error:
            self._reason = _reason(error)
            return
        if found.get(key) == value and self._reason:
            self._reason, self._failures, self._back_at = "", 0, self._clock()
            _log.warning("store_up", store=self._label)


def _size(values: Mapping[str, bytes]) -> int:
    return sum(map(len, values.values()))


def _reason(error: Exception) -> str:
    """What an error says, if these are words of ours: the text of any other one, StoreError or not, may quote what is private."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    ours = trace is not None and str(trace.tb_frame.f_globals.get("__name__")).startswith(f"{__package__}.")
    return str(error) if ours and isinstance(error, StoreError) else type(error).__name__
