"""A store that keeps values compressed, checked and, with keys, encrypted in another store."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Final, TypeVar, TypeVarTuple

from headroom_asgi.errors import StoreRefusedError
from headroom_asgi.logs import get_logger
from headroom_asgi.store.base import Store, StoreStats, encoded
from headroom_asgi.store.keys import Keys
from headroom_asgi.store.records import MAX_BYTES, DamagedError, Records
from headroom_asgi.store.workers import Workers

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_log = get_logger(__name__)

# Work on this much takes a tenth of a millisecond on the event loop; so does the hop to a thread.
_INLINE_BYTES: Final = 64 * 1024
# Names of damaged records that are remembered, to be written anew where `if_absent` would leave them.
_REMEMBERED: Final = 1024
# With keys, namespaces have another name inside: what was written before there were any is not there, instead of unreadable.
_ENCRYPTED: Final = "aes:"


class SealedStore:
    """A Store over another one. A record that is damaged is a miss, never a wrong value. Names and counters stay readable.

    Args:
        store: where records go.
        keys: to encrypt values with AES-256-GCM, bound to tenant, namespace and key.
        compress: zstd where it pays; None: if `zstandard` is installed.

    Raises:
        ConfigError: a package is missing that this needs.
    """

    def __init__(self, store: Store, *, keys: Keys | None = None, compress: bool | None = None) -> None:
        self._store = store
        self._records = Records(keys, compress=compress)
        self._space = _ENCRYPTED if self._records.encrypts else ""
        self._workers = Workers(2)
        self._damaged: dict[tuple[str, str, str], None] = {}
        self._told: set[str] = set()
        self._lost = 0

    @property
    def shared(self) -> bool:
        """As the store inside."""
        return self._store.shared

    async def put(self, ns: str, key: str, value: bytes, *, tenant: str, ttl: float, if_absent: bool = False) -> bool:
        """Write a value (Store.put). With `if_absent`, nothing is packed and sent if the entry is there already."""
        if len(value) > MAX_BYTES:
            raise StoreRefusedError(f"a value of {len(value)} bytes is beyond {MAX_BYTES}")
        inner = self._space + ns
        if if_absent and await self._is_there(inner, key, tenant, ttl):
            return False
        record = await self._aside(len(value), self._records.pack, value, _name(tenant, ns, key))
        written = await self._store.put(inner, key, record, tenant=tenant, ttl=ttl, if_absent=if_absent)
        self._damaged.pop((tenant, inner, key), None)
        return written

    async def get_many(self, ns: str, keys: Iterable[str], *, tenant: str) -> dict[str, bytes]:
        """Read values (Store.get_many)."""
        records = await self._store.get_many(self._space + ns, keys, tenant=tenant)
        size = sum(map(len, records.values()))
        values, damaged = await self._aside(size, self._unpacked, ns, records, tenant)
        for key, reason in damaged.items():
            self._note(tenant, ns, key, reason)
        return values

    async def touch(self, ns: str, keys: Iterable[str], *, tenant: str, ttl: float) -> int:
        """Start idle times again (Store.touch). What is known to be damaged is not there: who counts on it writes it anew."""
        inner = self._space + ns
        readable = [key for key in dict.fromkeys(keys) if (tenant, inner, key) not in self._damaged]
        return await self._store.touch(inner, readable, tenant=tenant, ttl=ttl)

    async def delete(self, ns: str, keys: Iterable[str], *, tenant: str) -> int:
        """Delete entries (Store.delete)."""
        return await self._store.delete(self._space + ns, keys, tenant=tenant)

    def scan(self, ns: str, tenant: str) -> AsyncIterator[str]:
        """Every key of a namespace (Store.scan)."""
        return self._store.scan(self._space + ns, tenant)

    async def add(self, ns: str, key: str, counters: Mapping[str, int], *, tenant: str) -> dict[str, int]:
        """Add to counters (Store.add)."""
        return await self._store.add(self._space + ns, key, counters, tenant=tenant)

    async def delete_tenant(self, tenant: str) -> int:
        """Delete everything of one tenant (Store.delete_tenant)."""
        return await self._store.delete_tenant(tenant)

    async def stats(self) -> StoreStats:
        """As the store inside; damaged records are misses."""
        found = await self._store.stats()
        lost = self._lost
        return StoreStats(found.entries, found.bytes, found.hits - lost, found.misses + lost, found.evictions, found.expirations)

    async def aclose(self) -> None:
        """Close the store inside."""
        await self._store.aclose()

    async def _is_there(self, inner: str, key: str, tenant: str, ttl: float) -> bool:
        """Whether an entry is there that can be read, as far as is known; its idle time then starts again."""
        if not await self._store.touch(inner, [key], tenant=tenant, ttl=ttl):
            return False
        if (tenant, inner, key) not in self._damaged:
            return True
        # It could not be read here earlier. If nobody wrote it anew meanwhile, it makes room.
        del self._damaged[tenant, inner, key]
        if await self.get_many(inner.removeprefix(self._space), [key], tenant=tenant):
            return True
        await self._store.delete(inner, [key], tenant=tenant)
        return False

    def _unpacked(self, ns: str, records: Mapping[str, bytes], tenant: str) -> tuple[dict[str, bytes], dict[str, str]]:
        """The values of those records that can be read, and what is wrong with the others.

        Together they are no larger than one value may be: a few bytes of a record may stand for very many.
        """
        values, damaged, room = {}, {}, MAX_BYTES
        for key, record in records.items():
            try:
                values[key] = self._records.unpack(record, _name(tenant, ns, key), most=room)
                room -= len(values[key])
            except DamagedError as error:
                damaged[key] = str(error)
        return values, damaged

    def _note(self, tenant: str, ns: str, key: str, reason: str) -> None:
        """Remember a damaged record; the log has one line per reason."""
        self._lost += 1
        while len(self._damaged) >= _REMEMBERED:
            del self._damaged[next(iter(self._damaged))]
        self._damaged[tenant, self._space + ns, key] = None
        if reason not in self._told:
            self._told.add(reason)
            _log.warning("store_record_damaged", namespace=ns, reason=reason)

    async def _aside(self, size: int, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """Call a function here if it works on little, else in a worker."""
        return function(*args) if size <= _INLINE_BYTES else await self._workers.run(function, *args)


def _name(tenant: str, ns: str, key: str) -> bytes:
    """What a record is bound to: the three names, each behind its length."""
    parts = [encoded(part) for part in (tenant, ns, key)]
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)
