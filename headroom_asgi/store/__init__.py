"""The stores: bytes by tenant, namespace and key, bounded, with expiry."""

from headroom_asgi.store.base import Store, StoreStats
from headroom_asgi.store.memory import MemoryStore

__all__ = ["MemoryStore", "Store", "StoreStats"]
