"""The whole configuration: everything that can be set, and its checked form."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypedDict

from headroom_asgi.callers import TenantResolver, TrustRule
from headroom_asgi.checks import check_list, check_number, check_section, expect, suggest
from headroom_asgi.config.resolved import Settings
from headroom_asgi.config.resolving import Pick, resolve_function, resolve_route, resolve_trust
from headroom_asgi.config.sections import (
    CacheAlignerConfig,
    CompressorConfig,
    ContentRouterConfig,
    Mode,
    RetrievalConfig,
    RouteConfig,
)
from headroom_asgi.errors import ConfigError
from headroom_asgi.types import Interceptor


@dataclass(slots=True)
class HeadroomConfig:
    """Everything that can be set.

    Attributes:
        mode: `off` (touch nothing), `audit` (measure, send the original), `lossless`, `ccr` (lossless first, then leave out
            and retrieve).
        routes: settings by path.
        interceptors: what makes the output of certain tools shorter before any compressor sees it, in order.
        max_body_bytes: larger request bodies pass through.
        max_response_bytes: of a longer answer, JSON or streamed, nothing is held: it passes; calls of our tool in it are errors.
        hold_s: seconds that the start of a streamed response may wait for the first visible event.
        keep_alive_s: seconds of silence in a stream, as a later round is awaited or content held, until a sign of life is sent.
        resigns: the inner app signs its requests anew, so bodies that the client signed (AWS) may change.
        extension_timeout_s: seconds after which an async extension handler is cancelled.
        max_workers: threads for work that is too large for the event loop.
        memo_bytes: memory for results already computed; the last requests of conversations may take a quarter of it besides.
        tenant: ASGI scope to the tenant's name (plain or `async`), or the dotted name of such a function, `package.module:name`;
            from authenticated facts, never from what a client may claim. `headroom_asgi.callers` has some. None: one tenant.
        trusted_headers: whose `x-headroom-bypass`, `-mode` and `-tenant` count: ASGI scope to True or False, the dotted name of a
            function that says so, or a list of networks for `callers.from_networks`. None: nobody's. No app sees these headers.
        observers: called with the frozen report of every exchange.
        transforms: what runs instead of the default transforms.
        kompress_model: the folder of the model that `kompress` reads prose with: `model.onnx` and `tokenizer.json`.
    """

    mode: Mode = "ccr"
    routes: Sequence[RouteConfig] = ()
    interceptors: Sequence[Interceptor] = ()
    cache_aligner: CacheAlignerConfig = field(default_factory=CacheAlignerConfig)
    content_router: ContentRouterConfig = field(default_factory=ContentRouterConfig)
    smart_crusher: CompressorConfig = field(default_factory=CompressorConfig)
    text_compressor: CompressorConfig = field(default_factory=CompressorConfig)
    views: CompressorConfig = field(default_factory=CompressorConfig)
    html: CompressorConfig = field(default_factory=CompressorConfig)
    fields: CompressorConfig = field(default_factory=CompressorConfig)
    opaque: CompressorConfig = field(default_factory=CompressorConfig)
    large: CompressorConfig = field(default_factory=CompressorConfig)
    snapshots: CompressorConfig = field(default_factory=CompressorConfig)
    terminal: CompressorConfig = field(default_factory=CompressorConfig)
    logs: CompressorConfig = field(default_factory=CompressorConfig)
    code: CompressorConfig = field(default_factory=lambda: CompressorConfig(enabled=False))
    search: CompressorConfig = field(default_factory=CompressorConfig)
    diff: CompressorConfig = field(default_factory=CompressorConfig)
    extract: CompressorConfig = field(default_factory=lambda: CompressorConfig(enabled=False))
    kompress: CompressorConfig = field(default_factory=lambda: CompressorConfig(enabled=False))
    repeats: CompressorConfig = field(default_factory=CompressorConfig)
    retrieval: RetrievalConfig = field(default_factory=RetrievalConfig)
    max_body_bytes: int = 64 * 1024 * 1024
    max_response_bytes: int = 16 * 1024 * 1024
    hold_s: float = 3.0
    keep_alive_s: float = 10.0
    resigns: bool = False
    extension_timeout_s: float = 5.0
    max_workers: int = 2
    memo_bytes: int = 64 * 1024 * 1024
    tenant: TenantResolver | str | None = None
    trusted_headers: TrustRule | str | Sequence[str] | None = None
    observers: Sequence[Callable[[Any], None]] = ()
    transforms: Sequence[Any] | None = None
    kompress_model: str = ""

    def with_settings(self, settings: Mapping[str, Any]) -> "HeadroomConfig":
        """A copy with those fields set. ConfigError with a suggestion for a name that is none."""
        known = [f.name for f in fields(self)]
        for name in settings:
            if name not in known:
                raise ConfigError(f"{name}: unknown setting{suggest(name, known)}")
        return replace(self, **settings)

    def resolve(self) -> Settings:
        """The checked, frozen form. ConfigError names the key, the value and what was expected."""
        _check_top(self)
        default = resolve_route("*", "*", _own_or_inherited("*", self, None))
        routes = tuple(
            resolve_route(f"routes[{i}]", route.path, _own_or_inherited(f"routes[{i}]", self, route))
            for i, route in enumerate(self.routes)
        )
        return Settings(
            routes=routes,
            default=default,
            max_body_bytes=self.max_body_bytes,
            extension_timeout_s=self.extension_timeout_s,
            max_workers=self.max_workers,
            memo_bytes=self.memo_bytes,
            tenant=resolve_function("tenant", self.tenant),
            trusted_headers=resolve_trust(self.trusted_headers),
            observers=tuple(self.observers),
            transforms=None if self.transforms is None else tuple(self.transforms),
            kompress_model=self.kompress_model,
        )


class SettingFields(TypedDict, total=False):
    """The fields of HeadroomConfig as keyword arguments."""

    mode: Mode
    routes: Sequence[RouteConfig]
    interceptors: Sequence[Interceptor]
    cache_aligner: CacheAlignerConfig
    content_router: ContentRouterConfig
    smart_crusher: CompressorConfig
    text_compressor: CompressorConfig
    views: CompressorConfig
    html: CompressorConfig
    fields: CompressorConfig
    opaque: CompressorConfig
    large: CompressorConfig
    snapshots: CompressorConfig
    terminal: CompressorConfig
    logs: CompressorConfig
    code: CompressorConfig
    search: CompressorConfig
    diff: CompressorConfig
    extract: CompressorConfig
    kompress: CompressorConfig
    repeats: CompressorConfig
    retrieval: RetrievalConfig
    max_body_bytes: int
    max_response_bytes: int
    hold_s: float
    keep_alive_s: float
    resigns: bool
    extension_timeout_s: float
    max_workers: int
    memo_bytes: int
    tenant: TenantResolver | str | None
    trusted_headers: TrustRule | str | Sequence[str] | None
    observers: Sequence[Callable[[Any], None]]
    transforms: Sequence[Any] | None
    kompress_model: str


def _own_or_inherited(key: str, config: HeadroomConfig, own: RouteConfig | None) -> Pick:
    """A route's own values over the configuration's, each with the key that it was given under."""

    def pick(name: str) -> tuple[str, Any]:
        value = None if own is None else getattr(own, name)
        return (name, getattr(config, name)) if value is None else (f"{key}.{name}", value)

    return pick


def _check_top(config: HeadroomConfig) -> None:
    check_number("max_body_bytes", config.max_body_bytes, int, 1)
    check_number("extension_timeout_s", config.extension_timeout_s, float, 0.001)
    check_number("max_workers", config.max_workers, int, 1)
    check_number("memo_bytes", config.memo_bytes, int, 0)
    expect(isinstance(config.kompress_model, str), "kompress_model", config.kompress_model, "the path of a folder")
    check_list("routes", config.routes, "RouteConfigs")
    check_list("observers", config.observers, "callables")
    if config.transforms is not None:
        check_list("transforms", config.transforms, "Transforms")
    for i, observer in enumerate(config.observers):
        expect(callable(observer), f"observers[{i}]", observer, "a callable")
    for i, route in enumerate(config.routes):
        check_section(f"routes[{i}]", route, RouteConfig)
