"""The store in a file: SQLite, for all processes of one host, kept across restarts."""

import json
import os
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Final, TypeVar

import anyio.to_thread

from headroom_asgi.errors import ConfigError, StoreError, StoreRefusedError
from headroom_asgi.store.base import StoreStats, checked_ttl, decoded, deletion, encoded, renewal_s
from headroom_asgi.store.memory import DAY_S, MIB
from headroom_asgi.store.sqlite_file import SQLiteFile
from headroom_asgi.store.workers import Workers

T = TypeVar("T")

# What an entry takes in the file beside its value and its names: its row and its places in four indexes.
# Measured: 150 to 190 bytes with names of 40 bytes that the indexes repeat.
ENTRY_BYTES: Final = 256
# Names per question; SQLite's own limit is 32,766.
_BATCH: Final = 500
# Entries dropped per write because their time is over: more than the one that a write may add, so they can't pile up.
_PURGED: Final = 8
# Free pages given back to the file system per write, once they are a quarter of the file.
_VACUUMED: Final = 64
# Seconds that a reader waits to note a use.
_NOTE_S: Final = 0.05
# Threads that may be at work for callers who left meanwhile (a stuck disk keeps them); beyond that calls are refused.
_STUCK_PER_WORKER: Final = 4

_FIND: Final = "SELECT id, counts, ttl, used, cap, expires FROM entries WHERE tenant = ? AND ns = ? AND key = ?"
_READ: Final = (
    "SELECT e.id, e.counts, e.ttl, e.used, e.cap, e.expires, e.key, c.content FROM entries e JOIN contents c ON c.id = e.id"
    " WHERE e.tenant = ? AND e.ns = ? AND e.key IN ({}) AND NOT e.counts AND e.expires > ?"
)
_INSERT: Final = "INSERT INTO entries (tenant, ns, key, counts, size, ttl, used, cap, expires) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_USE: Final = "UPDATE entries SET ttl = ?, used = ?, expires = ? WHERE id = ? AND cap = ?"
_Row = tuple[int, int, float, float, float, float]


class SQLiteStore:
    """A Store in one file, shared by all processes of a host that name the same one; on a local disk, not a network's.

    Nothing that was acknowledged is lost when a process is killed, and with `fsync` neither when the machine loses power.
    The file is readable by its owner only. Work is done in a few threads; a caller that is cancelled leaves at once.

    Args:
        path: the file; its folder must be there.
        max_bytes: bound of values, names and overhead together.
        max_entries: bound of the number of entries.
        max_age_s: seconds after which an entry expires however often it is used.
        workers: threads per event loop.
        fsync: wait for the disk at each write.
        clock: seconds that all processes agree on.

    Raises:
        ConfigError: a bound isn't above 0, or the file can't be made.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        max_bytes: int = 1024 * MIB,
        max_entries: int = 1_000_000,
        max_age_s: float = 7 * DAY_S,
        *,
        workers: int = 4,
        fsync: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        bounds = {"max_bytes": max_bytes, "max_entries": max_entries, "max_age_s": max_age_s, "workers": workers}
        for name, bound in bounds.items():
            if not bound > 0:
                raise ConfigError(f"{name}: {bound!r} is not a number above 0")
        self.shared = True
        self._file = SQLiteFile(path, fsync=fsync)
        self._max_bytes = max_bytes
        self._max_entries = max_entries
        self._max_age_s = max_age_s
        self._clock = clock
        self._workers = Workers(workers)
        self._stuck = workers * _STUCK_PER_WORKER
        self._counting = threading.Lock()
        self._running = 0
        self._hits = self._misses = self._evictions = self._expirations = 0

    async def put(self, ns: str, key: str, value: bytes, *, tenant: str, ttl: float, if_absent: bool = False) -> bool:
        """Write a value (Store.put)."""
        checked_ttl(ttl)
        return await self._work(self._put, (encoded(tenant), encoded(ns), encoded(key)), value, ttl, if_absent)

    async def get_many(self, ns: str, keys: Iterable[str], *, tenant: str) -> dict[str, bytes]:
        """Read values (Store.get_many)."""
        return await self._work(self._get_many, encoded(tenant), encoded(ns), list(dict.fromkeys(keys)))

    async def touch(self, ns: str, keys: Iterable[str], *, tenant: str, ttl: float) -> int:
        """Start idle times again (Store.touch)."""
        checked_ttl(ttl)
        return await self._work(self._touch, encoded(tenant), encoded(ns), list(dict.fromkeys(keys)), ttl)

    async def delete(self, ns: str, keys: Iterable[str], *, tenant: str) -> int:
        """Delete entries (Store.delete)."""
        return await self._work(self._delete, encoded(tenant), encoded(ns), list(dict.fromkeys(keys)))

    async def scan(self, ns: str, tenant: str) -> AsyncIterator[str]:
        """Every key of a namespace (Store.scan), in the order of their bytes."""
        after: bytes | None = None
        while keys := await self._work(self._scan, encoded(tenant), encoded(ns), after):
            for key in keys:
                yield decoded(key)
            after = keys[-1]

    async def add(self, ns: str, key: str, counters: Mapping[str, int], *, tenant: str) -> dict[str, int]:
        """Add to counters (Store.add)."""
        return await self._work(self._add, (encoded(tenant), encoded(ns), encoded(key)), dict(counters))

    async def delete_tenant(self, tenant: str) -> int:
        """Delete everything of one tenant (Store.delete_tenant): afterwards none of it is in the file or its log."""
        with deletion() as so_far:
            more = True
            while more:  # a few at a time, so that other writers get their turns, and a caller who leaves ends it
                deleted, more = await self._work(self._delete_some, encoded(tenant))
                so_far.deleted += deleted
            await self._work(self._empty_log)
        return so_far.deleted

    async def stats(self) -> StoreStats:
        """Entries and bytes of the file; the other figures are this process's."""
        return await self._work(self._stats)

    async def aclose(self) -> None:
        """Close the file."""
        await anyio.to_thread.run_sync(self._file.close)

    # -- in the event loop ---------------------------------------------------------------------------------------------

    async def _work(self, function: Callable[..., T], *args: object) -> T:
        """Call a function in a worker. Callers that are cancelled don't wait for it; what it does is done, or not, as a whole."""
        if self._running >= self._stuck:
            raise StoreError("the store is stuck")
        return await self._workers.run(partial(self._run, function, *args))

    # -- in a worker ---------------------------------------------------------------------------------------------------

    def _run(self, function: Callable[..., T], *args: object) -> T:
        with self._counting:
            self._running += 1
        try:
            return function(*args)
        except sqlite3.Error as error:
            raise StoreError(getattr(error, "sqlite_errorname", type(error).__name__)) from error
        finally:
            with self._counting:
                self._running -= 1

    def _put(self, name: tuple[bytes, bytes, bytes], value: bytes, ttl: float, if_absent: bool) -> bool:  # noqa: FBT001
        size = self._checked_size(name, len(value))
        if if_absent and self._touch(name[0], name[1], [decoded(name[2])], ttl):  # mostly, and then nothing has to be locked
            return False
        with self._file.writing() as db:
            now = self._clock()
            present = _live(db, name, now)
            if present is not None and if_absent:
                _use(db, present, ttl, now)
                return False
            self._insert(db, name, value, size, ttl, now, counts=False)
        return True

    def _get_many(self, tenant: bytes, ns: bytes, keys: Sequence[str]) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        stale: list[_Row] = []
        with self._file.reading() as db:
            now = self._clock()
            for batch in _batches(keys):
                for *row, key, content in db.execute(_READ.format(_marks(batch)), (tenant, ns, *batch, now)):
                    found[decoded(key)] = content
                    if _is_stale(tuple(row), row[2], now):
                        stale.append(tuple(row))
        with self._counting:
            self._hits += len(found)
            self._misses += len(keys) - len(found)
        if stale:
            # The values are here; where the file is busy, or full, a later use will be noted.
            with suppress(StoreError, sqlite3.OperationalError), self._file.writing(_NOTE_S) as db:
                for each in stale:
                    _use(db, each, each[2], now)
        return found

    def _touch(self, tenant: bytes, ns: bytes, keys: Sequence[str], ttl: float) -> int:
        with self._file.reading() as db:
            now = self._clock()
            rows = [row for key in keys if (row := _live(db, (tenant, ns, encoded(key)), now)) is not None]
        stale = [row for row in rows if _is_stale(row, ttl, now)]
        if stale:
            with self._file.writing() as db:
                for row in stale:
                    _use(db, row, ttl, now)
        return len(rows)

    def _delete(self, tenant: bytes, ns: bytes, keys: Sequence[str]) -> int:
        with self._file.writing() as db:
            now = self._clock()
            rows = [row for key in keys if (row := _live(db, (tenant, ns, encoded(key)), now)) is not None]
            _drop(db, [row[0] for row in rows])
            self._tidy(db, now)
        return len(rows)

    def _scan(self, tenant: bytes, ns: bytes, after: bytes | None) -> list[bytes]:
        with self._file.reading() as db:
            rows = db.execute(
                "SELECT key FROM entries WHERE tenant = ? AND ns = ? AND (? IS NULL OR key > ?) AND expires > ?"
                " ORDER BY key LIMIT ?",
                (tenant, ns, after, after, self._clock(), _BATCH),
            )
            return [key for (key,) in rows]

    def _add(self, name: tuple[bytes, bytes, bytes], counters: Mapping[str, int]) -> dict[str, int]:
        with self._file.writing() if counters else self._file.reading() as db:
            now = self._clock()
            present = _live(db, name, now)
            totals: dict[str, int] = {}
            if present is not None:
                if not present[1]:
                    raise StoreRefusedError("the entry holds a value, not counters")
                (content,) = db.execute("SELECT content FROM contents WHERE id = ?", present[:1]).fetchone()
                totals = json.loads(content)
            for counter, count in counters.items():
                totals[counter] = totals.get(counter, 0) + count
            if counters:
                content = json.dumps(totals).encode("ascii")
                size = self._checked_size(name, len(content))
                self._insert(db, name, content, size, self._max_age_s, now, counts=True)
        return totals

    def _delete_some(self, tenant: bytes) -> tuple[int, bool]:
        """Delete entries of a tenant; how many were there, and whether there may be more."""
        with self._file.writing() as db:
            now = self._clock()
            rows = db.execute("SELECT id, expires > ? FROM entries WHERE tenant = ? LIMIT ?", (now, tenant, _BATCH)).fetchall()
            _drop(db, [row for row, _ in rows])
        live = sum(int(alive) for _, alive in rows)
        self._expirations += len(rows) - live
        return live, len(rows) == _BATCH

    def _empty_log(self) -> None:
        with self._file.reading() as db:
            if db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                raise StoreError("deleted, but who reads from the file keeps its log from being emptied: do it again")

    def _stats(self) -> StoreStats:
        with self._file.reading() as db:
            entries, size = db.execute("SELECT entries, bytes FROM totals").fetchone()
        return StoreStats(entries, size, self._hits, self._misses, self._evictions, self._expirations)

    # -- inside a write transaction ------------------------------------------------------------------------------------

    def _checked_size(self, name: tuple[bytes, bytes, bytes], content: int) -> int:
        size = ENTRY_BYTES + sum(map(len, name)) + content
        if size > self._max_bytes:
            raise StoreRefusedError(f"an entry of {size} bytes is beyond max_bytes: {self._max_bytes}")
        return size

    def _insert(
        self,
        db: sqlite3.Connection,
        name: tuple[bytes, bytes, bytes],
        content: bytes,
        size: int,
        ttl: float,
        now: float,
        *,
        counts: bool,
    ) -> None:
        """Put an entry in the place of the one of its name, then make room."""
        cap = now + self._max_age_s
        db.execute("DELETE FROM entries WHERE tenant = ? AND ns = ? AND key = ?", name)
        made = db.execute(_INSERT, (*name, counts, size, ttl, now, cap, min(now + ttl, cap))).lastrowid
        db.execute("INSERT INTO contents VALUES (?, ?)", (made, content))
        self._tidy(db, now)
        while batch := self._beyond(db, made or 0):
            _drop(db, batch)
            self._evictions += len(batch)

    def _tidy(self, db: sqlite3.Connection, now: float) -> None:
        """Drop some of what expired, and give free pages back where they are many."""
        expired = [row for (row,) in db.execute("SELECT id FROM entries WHERE expires <= ? LIMIT ?", (now, _PURGED))]
        _drop(db, expired)
        self._expirations += len(expired)
        (free,) = db.execute("PRAGMA freelist_count").fetchone()
        if free > _VACUUMED and free > db.execute("PRAGMA page_count").fetchone()[0] // 4:
            for _ in range(_VACUUMED):  # the module takes the first step of this statement only, which is one page
                db.execute("PRAGMA incremental_vacuum(1)")

    def _beyond(self, db: sqlite3.Connection, spared: int) -> list[int]:
        """Entries to drop now because others are too many: those that were not used for longest."""
        entries, size = db.execute("SELECT entries, bytes FROM totals").fetchone()
        beyond: list[int] = []
        if entries > self._max_entries or size > self._max_bytes:
            for row, freed in db.execute("SELECT id, size FROM entries ORDER BY used, id LIMIT ?", (_BATCH,)):
                if entries <= self._max_entries and size <= self._max_bytes:
                    break
                if row != spared:
                    beyond.append(row)
                    entries, size = entries - 1, size - freed
        return beyond


def _live(db: sqlite3.Connection, name: tuple[bytes, bytes, bytes], now: float) -> _Row | None:
    """The entry of that name, unless there is none or its time is over."""
    row: _Row | None = db.execute(_FIND, name).fetchone()
    return row if row is not None and row[5] > now else None


def _is_stale(row: _Row, ttl: float, now: float) -> bool:
    """Whether a use now is worth noting."""
    _, _, old_ttl, used, _, _ = row
    return ttl != old_ttl or now - used >= renewal_s(ttl)


def _use(db: sqlite3.Connection, row: _Row, ttl: float, now: float) -> None:
    db.execute(_USE, (ttl, now, min(now + ttl, row[4]), row[0], row[4]))


def _drop(db: sqlite3.Connection, rows: Sequence[int]) -> None:
    db.executemany("DELETE FROM entries WHERE id = ?", [(row,) for row in rows])


def _batches(keys: Sequence[str]) -> Iterator[list[bytes]]:
    for start in range(0, len(keys), _BATCH):
        yield [encoded(key) for key in keys[start : start + _BATCH]]


def _marks(batch: Sequence[bytes]) -> str:
    return ", ".join("?" * len(batch))
