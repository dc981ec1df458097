"""Typed settings: plain objects to fill in, and the frozen ones that a running middleware keeps. The door.

`HeadroomConfig` and its sections are ordinary, mutable objects until `resolve()` checks every value and returns `Settings`.
Precedence: a route's own value, then the value of the configuration, then the default.
"""

from headroom_asgi.config.environment import variable
from headroom_asgi.config.resolved import CompressorRule, Route, Settings
from headroom_asgi.config.sections import (
    CacheAlignerConfig,
    CompressorConfig,
    ContentRouterConfig,
    Mode,
    Replay,
    RetrievalConfig,
    RouteConfig,
)
from headroom_asgi.config.top import HeadroomConfig, SettingFields

__all__ = [
    "CacheAlignerConfig",
    "CompressorConfig",
    "CompressorRule",
    "ContentRouterConfig",
    "HeadroomConfig",
    "Mode",
    "Replay",
    "RetrievalConfig",
    "Route",
    "RouteConfig",
    "SettingFields",
    "Settings",
    "variable",
]
