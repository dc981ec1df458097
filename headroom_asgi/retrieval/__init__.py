"""The retrieve tool and the rounds behind it: what the model asks back is answered here, and the client never sees it."""

from headroom_asgi.retrieval.flow import Outcome, rounds, seen
from headroom_asgi.retrieval.ledger import MAX_CALLS, MAX_NAMES, Entry, digest_of, held_key, key_of, packed, parents, unpacked
from headroom_asgi.retrieval.tool import PAGE_BYTES, TOOL, Originals
from headroom_asgi.retrieval.watch import Watch

__all__ = [
    "MAX_CALLS",
    "MAX_NAMES",
    "PAGE_BYTES",
    "TOOL",
    "Entry",
    "Originals",
    "Outcome",
    "Watch",
    "digest_of",
    "held_key",
    "key_of",
    "packed",
    "parents",
    "rounds",
    "seen",
    "unpacked",
]
