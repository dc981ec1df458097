"""The order of one exchange, and what all exchanges share. The door."""

from headroom_asgi.engine.engine import Engine
from headroom_asgi.engine.exchange import Exchange, Reply
from headroom_asgi.engine.hooks import CompressContext
from headroom_asgi.engine.originals import ORIGINALS, keep, line_view
from headroom_asgi.engine.policy import POLICY

__all__ = ["ORIGINALS", "POLICY", "CompressContext", "Engine", "Exchange", "Reply", "keep", "line_view"]
