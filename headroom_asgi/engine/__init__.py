"""The order of one exchange, and what all exchanges share. The door."""

from headroom_asgi.engine.conversation import forget_answers, kept_answers
from headroom_asgi.engine.engine import Engine
from headroom_asgi.engine.exchange import Exchange
from headroom_asgi.engine.hooks import CompressContext
from headroom_asgi.engine.originals import ORIGINALS, keep, line_view
from headroom_asgi.engine.policy import POLICY
from headroom_asgi.engine.refusals import MAX_ERROR_BYTES, REFUSED, Second
from headroom_asgi.engine.staged import Incoming, Reply

__all__ = [
    "MAX_ERROR_BYTES",
    "ORIGINALS",
    "POLICY",
    "REFUSED",
    "CompressContext",
    "Engine",
    "Exchange",
    "Incoming",
    "Reply",
    "Second",
    "forget_answers",
    "keep",
    "kept_answers",
    "line_view",
]
