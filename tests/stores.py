"""Every store, made for a test, and the calls that tests make most."""

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis_servers

from headroom_asgi.store import GuardedStore, Keys, MemoryStore, RedisStore, SealedStore, SQLiteStore, Store


class Clock:
    """Seconds that go by when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def sqlite(folder: Path, clock: Clock, max_age_s: float) -> Store:
    return SQLiteStore(folder / f"{uuid.uuid4().hex}.db", clock=clock, max_age_s=max_age_s)


def redis(url: Callable[[], str]) -> Callable[[Path, Clock, float], Store]:
    def made(_folder: Path, clock: Clock, max_age_s: float) -> Store:
        return RedisStore(url(), prefix=uuid.uuid4().hex, clock=clock, max_age_s=max_age_s, timeout_s=20)

    return made


# (folder, clock, max_age_s) -> an empty store.
STORES: dict[str, Callable[[Path, Clock, float], Store]] = {
    "memory": lambda _folder, clock, max_age_s: MemoryStore(clock=clock, max_age_s=max_age_s),
    "sqlite": sqlite,
    "sealed": lambda folder, clock, max_age_s: SealedStore(STORES["memory"](folder, clock, max_age_s)),
    "encrypted": lambda folder, clock, max_age_s: SealedStore(sqlite(folder, clock, max_age_s), keys=Keys({"one": b"1" * 32})),
    "guarded": lambda folder, clock, max_age_s: GuardedStore(sqlite(folder, clock, max_age_s), timeout_s=20, slow_s=20),
    "redis": redis(redis_servers.single),
    "redis-cluster": redis(redis_servers.cluster),
}
# The event loops that a store is made for.
LOOPS = {name: ["asyncio"] if name.startswith("redis") else ["asyncio", "trio"] for name in STORES}


async def put(store: Store, key: str = "k", value: bytes = b"v", ns: str = "ns", tenant: str = "t", **rest: Any) -> bool:
    return await store.put(ns, key, value, tenant=tenant, **{"ttl": 10, **rest})


async def get(store: Store, key: str = "k", ns: str = "ns", tenant: str = "t") -> bytes | None:
    return (await store.get_many(ns, [key], tenant=tenant)).get(key)


async def keys(store: Store, ns: str = "ns", tenant: str = "t") -> list[str]:
    return sorted([key async for key in store.scan(ns, tenant)])
