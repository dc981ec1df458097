"""The stores: bytes by tenant, namespace and key, bounded, with expiry."""

from headroom_asgi.store.base import Store, StoreStats
from headroom_asgi.store.guarded import GuardedStore
from headroom_asgi.store.keys import Keys
from headroom_asgi.store.memory import MemoryStore
from headroom_asgi.store.redis import RedisStore
from headroom_asgi.store.redis_client import RedisTLS
from headroom_asgi.store.sealed import SealedStore
from headroom_asgi.store.sqlite import SQLiteStore
from headroom_asgi.store.urls import as_sealed, open_store

__all__ = [
    "GuardedStore",
    "Keys",
    "MemoryStore",
    "RedisStore",
    "RedisTLS",
    "SQLiteStore",
    "SealedStore",
    "Store",
    "StoreStats",
    "as_sealed",
    "open_store",
]
