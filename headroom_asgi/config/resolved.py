"""The frozen settings that a running middleware keeps."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from headroom_asgi.callers import TenantResolver, TrustRule
from headroom_asgi.config.sections import Mode
from headroom_asgi.types import Interceptor


@dataclass(frozen=True, slots=True)
class CompressorRule:
    """A compressor that is on.

    Attributes:
        name: its name in the configuration.
        except_tools: the tools (lower case) whose output it leaves alone.
        required: it was asked for, so what it needs must be installed.
    """

    name: str
    except_tools: frozenset[str]
    required: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """What holds for the requests of one route, resolved."""

    path: str
    pattern: re.Pattern[str]
    mode: Mode
    interceptors: tuple[Interceptor, ...]
    aligns: bool
    moves: bool
    router_enabled: bool
    exact_match_tools: frozenset[str]
    compressors: tuple[CompressorRule, ...]
    max_rounds: int
    max_retrieved_bytes: int
    ttl_s: float
    replays: bool
    retry_s: float
    hold_s: float
    keep_alive_s: float
    max_response_bytes: int
    resigns: bool

    def __hash__(self) -> int:
        """Of what tells most routes apart: they are looked up with every request, and all settings would take 20 µs."""
        return hash((self.path, self.mode))

    def at(self, mode: Mode) -> "Route":
        """The same route in another mode."""
        return replace(self, mode=mode)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a running middleware keeps: routes in order, and what holds for all of them."""

    routes: tuple[Route, ...]
    default: Route
    max_body_bytes: int
    extension_timeout_s: float
    max_workers: int
    memo_bytes: int
    tenant: TenantResolver | None
    trusted_headers: TrustRule | None
    observers: tuple[Callable[[Any], None], ...]
    transforms: tuple[Any, ...] | None
    kompress_model: str

    def route(self, path: str) -> Route:
        """The first route whose pattern matches the request path, else the default."""
        for route in self.routes:
            if route.pattern.match(path):
                return route
        return self.default
