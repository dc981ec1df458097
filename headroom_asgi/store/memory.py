"""The default store: in the memory of one process, bounded, least recently used out first."""

import threading
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Final

from headroom_asgi.errors import ConfigError, StoreError, StoreRefusedError
from headroom_asgi.store.base import StoreStats, checked_ttl

MIB: Final = 1024 * 1024
DAY_S: Final = 24 * 60 * 60

# What an entry takes beside its value and the characters of its key: the objects and their places in the indexes.
# Measured: 445 to 465 on 64-bit CPython 3.11, and up to 790 where nearly every entry has a tenant of its own.
ENTRY_BYTES: Final = 512
# The same for one counter: the objects of its name and number, and their place in a dict. Measured: 115 with the name.
COUNTER_BYTES: Final = 128

# Entries looked at per call, in turn: more than the one that a call may add, so that expired ones can't pile up.
SWEEP_STEPS: Final = 2


class _Entry:
    """One entry: its name, its content (a value or counters), its times and its place in the ring."""

    __slots__ = ("cap", "content", "expires", "key", "ns", "size", "slot", "tenant", "ttl")

    def __init__(self, tenant: str, ns: str, key: str, content: bytes | dict[str, int], ttl: float) -> None:
        self.tenant = tenant
        self.ns = ns
        self.key = key
        self.content = content
        self.ttl = ttl
        self.cap = self.expires = 0.0
        self.slot = 0
        self.size = ENTRY_BYTES + len(tenant) + len(ns) + len(key)
        if isinstance(content, bytes):
            self.size += len(content)
        else:
            self.size += sum(COUNTER_BYTES + len(name) for name in content)


class MemoryStore:
    """A Store for one process: safe in any number of threads and event loops, lost when the process ends.

    Args:
        max_bytes: bound of values, keys and overhead together.
        max_entries: bound of the number of entries.
        max_age_s: seconds after which an entry expires however often it is used.
        clock: seconds that never go back.
        shared: this process is the only one that serves the app, so it may rely on what it wrote earlier.

    Raises:
        ConfigError: a bound isn't above 0.
    """

    def __init__(
        self,
        max_bytes: int = 256 * MIB,
        max_entries: int = 100_000,
        max_age_s: float = 7 * DAY_S,
        clock: Callable[[], float] = time.monotonic,
        *,
        shared: bool = False,
    ) -> None:
        for name, bound in (("max_bytes", max_bytes), ("max_entries", max_entries), ("max_age_s", max_age_s)):
            if not bound > 0:
                raise ConfigError(f"{name}: {bound!r} is not a number above 0")
        self.shared = shared
        self._max_bytes = max_bytes
        self._max_entries = max_entries
        self._max_age_s = max_age_s
        self._clock = clock
        self._lock = threading.Lock()
        self._closed = False
        # Three views of the same entries: by name, by last use, and in a ring that the sweep goes around.
        self._tenants: dict[str, dict[str, dict[str, _Entry]]] = {}
        self._by_use: OrderedDict[_Entry, None] = OrderedDict()
        self._ring: list[_Entry] = []
        self._hand = 0
        self._bytes = 0
        self._hits = self._misses = self._evictions = self._expirations = 0

    async def put(self, ns: str, key: str, value: bytes, *, tenant: str, ttl: float, if_absent: bool = False) -> bool:
        """Write a value (Store.put)."""
        entry = _Entry(tenant, ns, key, value, checked_ttl(ttl))
        self._check_size(entry)
        with self._lock:
            now = self._begin()
            present = self._live(tenant, ns, key, now)
            if present is not None and if_absent:
                self._use(present, now, ttl)
                return False
            self._insert(entry, present, now)
            return True

    async def get_many(self, ns: str, keys: Iterable[str], *, tenant: str) -> dict[str, bytes]:
        """Read values (Store.get_many)."""
        wanted = dict.fromkeys(keys)
        found: dict[str, bytes] = {}
        with self._lock:
            now = self._begin()
            for key in wanted:
                entry = self._live(tenant, ns, key, now)
                if entry is not None and isinstance(entry.content, bytes):
                    self._use(entry, now, entry.ttl)
                    found[key] = entry.content
            self._hits += len(found)
            self._misses += len(wanted) - len(found)
        return found

    async def touch(self, ns: str, keys: Iterable[str], *, tenant: str, ttl: float) -> int:
        """Start idle times again (Store.touch)."""
        wanted = dict.fromkeys(keys)
        checked_ttl(ttl)
        with self._lock:
            now = self._begin()
            entries = [entry for key in wanted if (entry := self._live(tenant, ns, key, now)) is not None]
            for entry in entries:
                self._use(entry, now, ttl)
        return len(entries)

    async def delete(self, ns: str, keys: Iterable[str], *, tenant: str) -> int:
        """Delete entries (Store.delete)."""
        wanted = dict.fromkeys(keys)
        with self._lock:
            now = self._begin()
            entries = [entry for key in wanted if (entry := self._live(tenant, ns, key, now)) is not None]
            for entry in entries:
                self._drop(entry)
        return len(entries)

    async def scan(self, ns: str, tenant: str) -> AsyncIterator[str]:
        """Every key of a namespace (Store.scan), as of the first step."""
        with self._lock:
            now = self._begin()
            keys = [key for key, entry in self._tenants.get(tenant, {}).get(ns, {}).items() if entry.expires > now]
        for key in keys:
            yield key

    async def add(self, ns: str, key: str, counters: Mapping[str, int], *, tenant: str) -> dict[str, int]:
        """Add to counters (Store.add)."""
        with self._lock:
            now = self._begin()
            present = self._live(tenant, ns, key, now)
            content = present.content if present is not None else {}
            if isinstance(content, bytes):
                raise StoreRefusedError("the entry holds a value, not counters")
            totals = dict(content)
            for name, count in counters.items():
                totals[name] = totals.get(name, 0) + count
            if counters:
                entry = _Entry(tenant, ns, key, totals, self._max_age_s)
                self._check_size(entry)
                self._insert(entry, present, now)
        return dict(totals)

    async def delete_tenant(self, tenant: str) -> int:
        """Delete everything of one tenant (Store.delete_tenant)."""
        with self._lock:
            now = self._begin()
            entries = [entry for space in self._tenants.get(tenant, {}).values() for entry in space.values()]
            live = sum(entry.expires > now for entry in entries)
            for entry in entries:
                self._drop(entry)
            self._expirations += len(entries) - live
        return live

    async def stats(self) -> StoreStats:
        """The figures of this store."""
        with self._lock:
            self._begin()
            return StoreStats(
                entries=len(self._ring),
                bytes=self._bytes,
                hits=self._hits,
                misses=self._misses,
                evictions=self._evictions,
                expirations=self._expirations,
            )

    async def aclose(self) -> None:
        """Forget everything."""
        with self._lock:
            self._closed = True
            self._tenants.clear()
            self._by_use.clear()
            self._ring.clear()

    def _begin(self) -> float:
        """The time, after a step of the sweep; first of all that is done with the lock held."""
        if self._closed:
            raise StoreError("the store is closed")
        now = self._clock()
        for _ in range(min(SWEEP_STEPS, len(self._ring))):
            self._hand = (self._hand + 1) % len(self._ring)
            self._drop_if_expired(self._ring[self._hand], now)
        return now

    def _check_size(self, entry: _Entry) -> None:
        if entry.size > self._max_bytes:
            raise StoreRefusedError(f"an entry of {entry.size} bytes is beyond max_bytes: {self._max_bytes}")

    def _live(self, tenant: str, ns: str, key: str, now: float) -> _Entry | None:
        """The entry of that name, unless there is none or its time is over."""
        entry = self._tenants.get(tenant, {}).get(ns, {}).get(key)
        return None if entry is None or self._drop_if_expired(entry, now) else entry

    def _insert(self, entry: _Entry, previous: _Entry | None, now: float) -> None:
        """Put an entry in the place of the previous one of its name, then make room."""
        if previous is not None:
            self._drop(previous)
        self._tenants.setdefault(entry.tenant, {}).setdefault(entry.ns, {})[entry.key] = entry
        entry.cap = now + self._max_age_s
        entry.slot = len(self._ring)
        self._ring.append(entry)
        self._bytes += entry.size
        self._by_use[entry] = None
        self._use(entry, now, entry.ttl)
        while self._bytes > self._max_bytes or len(self._ring) > self._max_entries:
            self._drop(next(iter(self._by_use)))
            self._evictions += 1

    def _use(self, entry: _Entry, now: float, ttl: float) -> None:
        entry.ttl = ttl
        entry.expires = min(now + ttl, entry.cap)
        self._by_use.move_to_end(entry)

    def _drop_if_expired(self, entry: _Entry, now: float) -> bool:
        expired = entry.expires <= now
        if expired:
            self._drop(entry)
            self._expirations += 1
        return expired

    def _drop(self, entry: _Entry) -> None:
        """Take an entry out of all three views; the last of the ring moves into its slot."""
        spaces = self._tenants[entry.tenant]
        del spaces[entry.ns][entry.key]
        if not spaces[entry.ns]:
            del spaces[entry.ns]
        if not spaces:
            del self._tenants[entry.tenant]
        last = self._ring.pop()
        if last is not entry:
            self._ring[entry.slot] = last
            last.slot = entry.slot
        del self._by_use[entry]
        self._bytes -= entry.size
