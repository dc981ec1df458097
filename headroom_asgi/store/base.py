"""What a store promises; every store passes the same contract suite."""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from headroom_asgi.errors import StoreError, StoreRefusedError
from headroom_asgi.logs import get_logger

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class StoreStats:
    """The figures of a store since it was opened, over all tenants.

    Attributes:
        entries: entries held; some may have expired and not been swept yet.
        bytes: what these take, keys and overhead included.
        hits: keys that `get_many` found.
        misses: keys that `get_many` did not find.
        evictions: entries dropped before their time, to stay within the bounds.
        expirations: entries dropped because their time was over.
    """

    entries: int = 0
    bytes: int = 0
    hits: int = 0
    misses: int = 0
    evictions: int = 0
    expirations: int = 0


class Store(Protocol):
    """Bytes under (tenant, namespace, key), bounded, and allowed to forget.

    An entry is private to its tenant: the same namespace and key of another tenant is another entry. It holds either a
    value or counters. It expires when it has been idle for its `ttl` seconds, and in any case `max_age_s` (a setting of the
    store) after it was written; it may be evicted at any time to stay within the bounds. Expired entries are as good as
    absent everywhere. A store that has to write to note a use need not note one that follows another closely (`renewal_s`).

    Every method raises StoreError if the store is closed or can't be reached.
    """

    @property
    def shared(self) -> bool:
        """Whether every worker process sees the same entries."""

    async def put(self, ns: str, key: str, value: bytes, *, tenant: str, ttl: float, if_absent: bool = False) -> bool:
        """Write a value, in place of what is there; whether it was stored.

        With `if_absent`, an entry that is there stays as it is and is touched (`touch`), and the result is False.

        Raises:
            StoreRefusedError: the value alone is beyond the store's bounds, or `ttl` isn't above 0.
        """

    async def get_many(self, ns: str, keys: Iterable[str], *, tenant: str) -> dict[str, bytes]:
        """The values that are there, by key; their idle time starts again. Counters are left out."""

    async def touch(self, ns: str, keys: Iterable[str], *, tenant: str, ttl: float) -> int:
        """Start the idle time of entries again, now with this `ttl`; how many were there.

        Raises:
            StoreRefusedError: `ttl` isn't above 0.
        """

    async def delete(self, ns: str, keys: Iterable[str], *, tenant: str) -> int:
        """Delete entries; how many were there."""

    def scan(self, ns: str, tenant: str) -> AsyncIterator[str]:
        """Every key of a namespace, in no particular order.

        Keys that are there from beginning to end come exactly once; others may.
        """

    async def add(self, ns: str, key: str, counters: Mapping[str, int], *, tenant: str) -> dict[str, int]:
        """Add to the counters of an entry, in one step; all its counters afterwards.

        Counters that aren't there start at 0, and are kept for `max_age_s` after the last addition. No counters only reads.
        They are 64 bits wide.

        Raises:
            StoreRefusedError: the entry holds a value, or the counters alone are beyond the store's bounds.
        """

    async def delete_tenant(self, tenant: str) -> int:
        """Delete everything of one tenant, however long that takes; how many entries were there.

        Who has to be done by some time sets a limit around it: what was deleted until then is, and another call goes on.
        """

    async def stats(self) -> StoreStats:
        """The figures of this store."""

    async def aclose(self) -> None:
        """Release what the store holds. May be called again."""


@dataclass(slots=True, repr=False)
class Deletion:
    """What is being deleted.

    Attributes:
        deleted: entries so far.
    """

    deleted: int = 0


@contextmanager
def deletion() -> Iterator[Deletion]:
    """Count what is deleted inside; if it ends before its time, a StoreError or the log says how many that were."""
    so_far = Deletion()
    try:
        yield so_far
    except StoreError as error:
        raise StoreError(f"{error} ({so_far.deleted} entries were deleted)") from error
    except BaseException:  # whoever waited for it has left
        _log.warning("deletion_stopped", deleted=so_far.deleted)
        raise


def checked_ttl(ttl: float) -> float:
    """The `ttl`, if it is a number of seconds above 0.

    Raises:
        StoreRefusedError: it isn't.
    """
    if not ttl > 0:
        raise StoreRefusedError(f"ttl: {ttl!r} is not a number of seconds above 0")
    return ttl


def encoded(name: str) -> bytes:
    """A tenant's, namespace's, key's or counter's name as bytes; two names never give the same ones."""
    return name.encode("utf-8", "surrogatepass")


def decoded(name: bytes) -> str:
    """The name that `encoded` gave these bytes for."""
    return name.decode("utf-8", "surrogatepass")


def renewal_s(ttl: float) -> float:
    """The seconds since an entry's last noted use after which another one is noted.

    A 64th of its idle time, a minute at most: reading hot entries then writes nothing, and the order of use stays good enough
    to evict by.
    """
    return min(ttl / 64, 60.0)
