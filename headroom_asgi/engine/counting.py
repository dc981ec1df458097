"""Exact token counts beside the upstream call: one worker, which drops work when it falls behind."""

import threading
import time
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from headroom_asgi._crush import estimate
from headroom_asgi.logs import get_logger
from headroom_asgi.tokenizer import Tokenizer
from headroom_asgi.transforms import Decision

_log = get_logger(__name__)

# Jobs that may wait; at some 10 ms each a longer queue would answer after the responses have started anyway.
_MAX_PENDING = 32
# What is counted goes upstream at this moment. A worker that begins at once takes the interpreter from that, for milliseconds.
_HEAD_START_S = 0.003


@dataclass(frozen=True, slots=True)
class Figures:
    """Tokens before and after, and how they were counted: `exact`, `scaled` (another family's tokenizer) or `estimate`."""

    before: int
    after: int
    method: str


class Tally:
    """Figures that get better: estimates at first, counted ones as soon as the worker is through."""

    def __init__(self, before: int, after: int) -> None:
        self._figures = Figures(before, after, "estimate")

    @property
    def figures(self) -> Figures:
        """The best there is by now."""
        return self._figures

    def settle(self, figures: Figures) -> None:
        """The counted figures."""
        self._figures = figures


class Counter:
    """The worker that counts what is not counted yet.

    Args:
        added: the text that is added where the retrieve tool is offered.
    """

    def __init__(self, added: str) -> None:
        self._worker = _Worker()
        self._warmed: threading.Event | None = None
        self._added = added
        self._added_estimate = estimate(added.encode())
        self._added_counts: dict[str, int] = {}

    def warm(self) -> None:
        """Load the token ranks in the worker, before the first request needs them."""
        self._warmed = warmed = threading.Event()

        def load() -> None:
            try:
                Tokenizer("").load()
            finally:
                warmed.set()

        self._worker.submit(load)

    def wait(self) -> None:
        """Until they are loaded, or cannot be."""
        if self._warmed is not None:
            self._warmed.wait()

    def tally(self, model: str, changed: Sequence[Decision], *, offered: bool) -> Tally:
        """Figures for the changed texts, and the tool if it was offered: counted if all of it was counted before, else
        estimates that the worker replaces.
        """
        added = self._added_estimate if offered else 0
        tally = Tally(sum(d.tokens_before for d in changed), sum(d.tokens_after for d in changed) + added)
        if not changed:
            return tally
        tokenizer = Tokenizer(model)
        ruler = tokenizer.ruler
        if ruler in self._added_counts and all(ruler in d.counts for d in changed):
            self._settle(tally, tokenizer, changed, offered=offered)
            return tally
        if self._worker.waiting < _MAX_PENDING:
            begin = time.monotonic() + _HEAD_START_S
            self._worker.submit(lambda: self._count(tally, tokenizer, changed, begin, offered=offered))
        return tally

    def close(self) -> None:
        """Stop; what is waiting is dropped. An app that is started again counts with a new worker."""
        old, self._worker = self._worker, _Worker()
        old.close()
        if self._warmed is not None:
            self._warmed.set()

    def _count(self, tally: Tally, tokenizer: Tokenizer, changed: Sequence[Decision], begin: float, *, offered: bool) -> None:
        time.sleep(max(0.0, begin - time.monotonic()))
        for decision in changed:
            if decision.compressed is not None and tokenizer.ruler not in decision.counts:
                before = tokenizer.count_text(decision.segment.text)
                decision.counts[tokenizer.ruler] = (before, tokenizer.count_text(decision.compressed.text))
        self._added_counts[tokenizer.ruler] = tokenizer.count_text(self._added)
        self._settle(tally, tokenizer, changed, offered=offered)

    def _settle(self, tally: Tally, tokenizer: Tokenizer, changed: Sequence[Decision], *, offered: bool) -> None:
        ruler = tokenizer.ruler
        pairs = [decision.counts[ruler] for decision in changed]
        added = self._added_counts[ruler] if offered else 0
        tally.settle(Figures(sum(b for b, _ in pairs), sum(a for _, a in pairs) + added, tokenizer.method))


class _Worker:
    """One thread that does job after job. It starts with the first, and ends when nobody has the worker any more.

    A request hands over its job in a quarter of the time that an executor takes.
    """

    def __init__(self) -> None:
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._started = False
        self._lock = threading.Lock()
        weakref.finalize(self, self._jobs.put, None)

    @property
    def waiting(self) -> int:
        """How many jobs are not begun."""
        return self._jobs.qsize()

    def submit(self, job: Callable[[], None]) -> None:
        """Do it some time. One that fails is logged."""
        self._jobs.put(job)
        if self._started:
            return
        with self._lock:
            if not self._started:
                threading.Thread(target=_work, args=(self._jobs,), name="headroom-count", daemon=True).start()
                self._started = True

    def close(self) -> None:
        """Stop; what is waiting is dropped."""
        with suppress(Empty):
            while True:
                self._jobs.get_nowait()
        self._jobs.put(None)


def _work(jobs: "SimpleQueue[Callable[[], None] | None]") -> None:
    """What the thread does. A failure leaves the estimates in place."""
    while (job := jobs.get()) is not None:
        try:
            job()
        except BaseException as error:  # a panic of the tokenizer's, too
            _log.warning("count_failed", error=type(error).__name__)
        del job  # it holds texts
