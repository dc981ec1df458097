"""Exact token counts beside the upstream call: one worker, which drops work when it falls behind."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from headroom_asgi.logs import get_logger
from headroom_asgi.tokenizer import Tokenizer

_log = get_logger(__name__)

# Jobs that may wait; at some 10 ms each a longer queue would answer after the responses have started anyway.
_MAX_PENDING = 32


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
    """The worker that counts."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="headroom-count")
        self._pending = 0
        self._lock = threading.Lock()

    def warm(self) -> None:
        """Load the token ranks in the worker, before the first request needs them."""
        self._pool.submit(_guarded, lambda: Tokenizer("").load())

    def submit(self, model: str, before: Sequence[str], after: Sequence[str], estimates: tuple[int, int]) -> Tally:
        """Start counting texts as they came and as they go; the estimates stand meanwhile, or if the worker is behind."""
        tally = Tally(*estimates)
        with self._lock:
            if (not before and not after) or self._pending >= _MAX_PENDING:
                return tally
            self._pending += 1
        self._pool.submit(_guarded, lambda: self._count(tally, model, before, after))
        return tally

    def close(self) -> None:
        """Stop; what is waiting is dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _count(self, tally: Tally, model: str, before: Sequence[str], after: Sequence[str]) -> None:
        try:
            tokenizer = Tokenizer(model)
            first = sum(tokenizer.count_text(text) for text in before)
            second = sum(tokenizer.count_text(text) for text in after)
            tally.settle(Figures(first, second, tokenizer.method))
        finally:
            with self._lock:
                self._pending -= 1


def _guarded(job: object) -> None:
    """Run a job; a failure is logged and leaves the estimates in place."""
    assert callable(job)
    try:
        job()
    except Exception as error:
        _log.warning("count_failed", error=type(error).__name__)
