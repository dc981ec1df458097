"""Threads for work that would hold up an event loop."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar, TypeVarTuple

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Workers:
    """A bounded pool per event loop. A full one waits; who is cancelled leaves at once, and what was begun is finished alone.

    Args:
        count: threads that callers wait for, per event loop.
    """

    __slots__ = ("_count", "_limiters")

    def __init__(self, count: int) -> None:
        self._count = count
        self._limiters: RunVar[anyio.CapacityLimiter] = RunVar("headroom_store_workers")

    async def run(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """The result of a function that is called in a thread."""
        limiter = self._limiters.get(None)  # it belongs to the event loop in which it was made
        if limiter is None:
            limiter = anyio.CapacityLimiter(self._count)
            self._limiters.set(limiter)
        return await anyio.to_thread.run_sync(partial(function, *args), abandon_on_cancel=True, limiter=limiter)
