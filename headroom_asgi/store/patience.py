"""Time limits for calls to a store that count only what the event loop was awake for.

A loop that does not get to run for a second (an app that computes, a machine that is overloaded) has not seen the answer that
came meanwhile. An ordinary time limit would find the call late, and a healthy store guilty.
"""

import asyncio
import importlib
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final

import anyio
from anyio.lowlevel import RunVar

# Seconds from beat to beat while calls are under way. What a beat takes longer than two of them is a stall.
_BEAT_S: Final = 0.02
_AWAKE_S: Final = 2 * _BEAT_S
# Beats without a call until the heart stands still: calls come in swarms.
_IDLE_BEATS: Final = 50


class Wait:
    """What one call has used of its time."""

    __slots__ = ("_awake_s", "_began", "_seconds", "_seen", "scope")

    def __init__(self, seconds: float) -> None:
        self._began = self._seen = time.monotonic()
        self._seconds = seconds
        self._awake_s = 0.0
        self.scope = anyio.CancelScope()

    def beat(self) -> None:
        """Count the time since the last beat; the call is over if it has none left."""
        now = time.monotonic()
        self._awake_s += min(now - self._seen, _AWAKE_S)
        self._seen = now
        if self._awake_s >= self._seconds:
            self.scope.cancel()

    @property
    def stalled_s(self) -> float:
        """Seconds since it began for which the event loop did not run."""
        now = time.monotonic()
        return now - self._began - self._awake_s - min(now - self._seen, _AWAKE_S)


class _Heart:
    """What beats in one event loop while calls are under way."""

    __slots__ = ("_beating", "task", "waits")

    def __init__(self) -> None:
        self.waits: set[Wait] = set()
        self.task: object = None  # the event loop itself only has weak references
        self._beating = False

    def begin(self, seconds: float) -> Wait:
        if not self._beating:
            self._beating = True
            self.task = spawn(self._beat)
        wait = Wait(seconds)
        self.waits.add(wait)
        return wait

    async def _beat(self) -> None:
        idle = 0
        try:
            while idle < _IDLE_BEATS:
                await anyio.sleep(_BEAT_S)
                for wait in list(self.waits):
                    wait.beat()
                idle = 0 if self.waits else idle + 1
        finally:
            self._beating = False


_heart: RunVar[_Heart] = RunVar("headroom_store_heart")


@contextmanager
def patience(seconds: float) -> Iterator[Wait]:
    """Cancel what is awaited inside after so many seconds of an event loop that runs.

    Raises:
        TimeoutError: it took longer.
    """
    heart = _heart.get(None)
    if heart is None:
        heart = _Heart()
        _heart.set(heart)
    wait = heart.begin(seconds)
    try:
        with wait.scope:
            yield wait
    finally:
        heart.waits.discard(wait)
    if wait.scope.cancelled_caught:
        raise TimeoutError


def spawn(work: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None] | None:
    """Run something in the background of the event loop we are in; on asyncio its task, which the caller keeps hold of."""
    try:
        return asyncio.get_running_loop().create_task(work())
    except RuntimeError:  # the other event loop that anyio knows
        importlib.import_module("trio").lowlevel.spawn_system_task(work)
        return None
