"""When a later round that failed is tried again: its client has seen the beginning of an answer, and cannot do it."""

import time
from email.utils import parsedate_to_datetime
from typing import Final

import anyio

_WAITS_S: Final = (0.5, 1.5)  # before the first and the second attempt, where nothing else is asked for
_TOO_MANY: Final = 429
_SERVER_ERRORS: Final = range(500, 600)


class Retries:
    """The attempts that are left to the later rounds of one exchange.

    Args:
        limit_s: seconds within which the last of them must begin, from the first failure on.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._deadline: float | None = None
        self._made = 0

    def after_status(self, status: int, retry_after: str) -> float | None:
        """Seconds to wait after a response, None if it is final."""
        if status != _TOO_MANY and status not in _SERVER_ERRORS:
            return None
        return self._wait(_seconds(retry_after))

    def after_error(self, error: BaseException, *, lasting: bool = False) -> float | None:
        """Seconds to wait after an exception of the inner app; None if it is final, as any is that is no failed connection.

        Args:
            error: the exception.
            lasting: what was asked changes what the provider holds, so that it is not asked again where only its answer is late.
        """
        cause: BaseException | None = error
        for _ in range(10):  # clients wrap them a few times
            if cause is None or isinstance(cause, OSError):
                break
            cause = cause.__cause__ or cause.__context__
        late = lasting and isinstance(cause, TimeoutError)
        return self._wait(None) if isinstance(cause, OSError) and not late else None

    def _wait(self, asked_s: float | None) -> float | None:
        now = anyio.current_time()
        if self._deadline is None:
            self._deadline = now + self._limit_s
        if self._made >= len(_WAITS_S):
            return None
        wait = _WAITS_S[self._made] if asked_s is None else asked_s
        if now + wait >= self._deadline:
            return None
        self._made += 1
        return wait


def _seconds(retry_after: str) -> float | None:
    """What a `retry-after` header asks for, in seconds; None if it asks for nothing that can be understood."""
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass_on = retry_after
    try:
        return max(0.0, parsedate_to_datetime(pass_on).timestamp() - time.time())
    except ValueError:
        return None
