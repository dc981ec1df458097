"""Typed settings: plain objects to fill in, and the frozen ones that a running middleware keeps.

`HeadroomConfig` and its sections are ordinary, mutable objects until `resolve()` checks every value and returns `Settings`.
Precedence: a route's own value, then the value of the configuration, then the default.
"""

import fnmatch
import inspect
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, Literal, TypeAlias, TypedDict, get_args

from headroom_asgi.checks import check_choice, check_flag, check_list, check_number, check_section, expect, suggest
from headroom_asgi.errors import ConfigError
from headroom_asgi.types import Interceptor

Mode: TypeAlias = Literal["off", "audit", "lossless", "ccr"]
Replay: TypeAlias = Literal["auto", "strip"]
TenantResolver: TypeAlias = Callable[[Mapping[str, Any]], str]

variable: Final = os.environ.get  # an environment variable, None if it is not set; for settings that name one

COMPRESSORS: Final = (
    "smart_crusher",
    "text_compressor",
    "views",
    "html",
    "fields",
    "opaque",
    "terminal",
    "logs",
    "code",
    "search",
    "diff",
    "repeats",
)  # fields of the configuration, each a CompressorConfig

# Tools whose output the model quotes back byte for byte when it edits: re-formatting it makes those edits fail.
_EXACT_MATCH_NAMES = """
    apply_patch create_file edit edit_file multiedit multi_edit notebookedit notebookread open_file patch read read_file
    read_multiple_files read_text_file replace_in_file str_replace str_replace_based_edit_tool str_replace_editor
    text_editor view view_file write write_file
"""
EXACT_MATCH_TOOLS: Final = tuple(_EXACT_MATCH_NAMES.split())


@dataclass(slots=True)
class CompressorConfig:
    """The compressor for one kind of tool output; or what is done across them.

    Attributes:
        enabled: False: that kind is left as it is. None: on, unless it needs a package that is not installed. True: on, and a
            package that is missing is an error at start-up.
        except_tools: names of tools whose output it leaves alone; matched as `ContentRouterConfig.exact_match_tools` are.
    """

    enabled: bool | None = None
    except_tools: Sequence[str] = ()


@dataclass(slots=True)
class ContentRouterConfig:
    """Which tool outputs are looked at.

    Attributes:
        enabled: False: no tool output is changed.
        exact_match_tools: names of tools whose output is never re-formatted; case does not matter, and a server prefix
            (`mcp__files__read_file`, `files-read_file`, `files.read_file`) is ignored.
    """

    enabled: bool = True
    exact_match_tools: Sequence[str] = EXACT_MATCH_TOOLS


@dataclass(slots=True)
class CacheAlignerConfig:
    """What is done about fragments of system prompts that change between conversations: dates, times, ids, tokens.

    Attributes:
        enabled: False: they are not looked for.
        move: True: they go to the head of the first user message; a placeholder stays. False: reports warn of them.
    """

    enabled: bool = True
    move: bool = False


@dataclass(slots=True)
class RetrievalConfig:
    """How the model gets back what was left out.

    Attributes:
        max_rounds: calls of the inner app for one request, the first included.
        max_bytes: UTF-8 bytes of originals that one exchange may hand out.
        ttl_s: seconds after its last use that an original, or what was remembered of an exchange, stays in the store.
        replay: what later requests have of rounds that the client never saw: `auto` puts them back where the store is shared;
            `strip`, and any other store, leaves them out.
        retry_s: seconds within which a later round that failed after its client saw something is tried again, twice at most;
            0: never.
    """

    max_rounds: int = 4
    max_bytes: int = 262_144
    ttl_s: float = 86_400.0
    replay: Replay = "auto"
    retry_s: float = 20.0


@dataclass(slots=True)
class RouteConfig:
    """Settings for the requests whose path matches; what is None is inherited.

    Attributes:
        path: glob over the whole request path, e.g. `/team-a/*`. The first route that matches wins.
        resigns: the inner app signs its requests anew, so bodies that the client signed (AWS) may change.
    """

    path: str
    mode: Mode | None = None
    interceptors: Sequence[Interceptor] | None = None
    cache_aligner: CacheAlignerConfig | None = None
    content_router: ContentRouterConfig | None = None
    smart_crusher: CompressorConfig | None = None
    text_compressor: CompressorConfig | None = None
    views: CompressorConfig | None = None
    html: CompressorConfig | None = None
    fields: CompressorConfig | None = None
    opaque: CompressorConfig | None = None
    terminal: CompressorConfig | None = None
    logs: CompressorConfig | None = None
    code: CompressorConfig | None = None
    search: CompressorConfig | None = None
    diff: CompressorConfig | None = None
    repeats: CompressorConfig | None = None
    retrieval: RetrievalConfig | None = None
    hold_s: float | None = None
    keep_alive_s: float | None = None
    max_response_bytes: int | None = None
    resigns: bool | None = None


@dataclass(slots=True)
class HeadroomConfig:
    """Everything that can be set.

    Attributes:
        mode: `off` (touch nothing), `audit` (measure, send the original), `lossless`, `ccr` (lossless first, then leave out
            and retrieve).
        routes: settings by path.
        interceptors: what makes the output of certain tools shorter before any compressor sees it, in order.
        max_body_bytes: larger request bodies pass through.
        max_response_bytes: larger JSON answers pass through uncollected.
        hold_s: seconds that the start of a streamed response may wait for the first visible event.
        keep_alive_s: seconds of silence in a stream, while a later round is awaited, after which the client gets a sign of life.
        resigns: the inner app signs its requests anew, so bodies that the client signed (AWS) may change.
        extension_timeout_s: seconds after which an async extension handler is cancelled.
        max_workers: threads for work that is too large for the event loop.
        memo_bytes: memory for results already computed.
        tenant: ASGI scope to the tenant's name; from authenticated facts, never from what a client may claim. None: one tenant.
        observers: called with the frozen report of every exchange.
        transforms: what runs instead of the default transforms.
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
    terminal: CompressorConfig = field(default_factory=CompressorConfig)
    logs: CompressorConfig = field(default_factory=CompressorConfig)
    code: CompressorConfig = field(default_factory=lambda: CompressorConfig(enabled=False))
    search: CompressorConfig = field(default_factory=CompressorConfig)
    diff: CompressorConfig = field(default_factory=CompressorConfig)
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
    tenant: TenantResolver | None = None
    observers: Sequence[Callable[[Any], None]] = ()
    transforms: Sequence[Any] | None = None

    def with_settings(self, settings: Mapping[str, Any]) -> "HeadroomConfig":
        """A copy with those fields set. ConfigError with a suggestion for a name that is none."""
        known = [f.name for f in fields(self)]
        for name in settings:
            if name not in known:
                raise ConfigError(f"{name}: unknown setting{suggest(name, known)}")
        return replace(self, **settings)

    def resolve(self) -> "Settings":
        """The checked, frozen form. ConfigError names the key, the value and what was expected."""
        _check_top(self)
        default = _route("*", self, None)
        routes = tuple(_route(f"routes[{i}]", self, route) for i, route in enumerate(self.routes))
        return Settings(
            routes=routes,
            default=default,
            max_body_bytes=self.max_body_bytes,
            extension_timeout_s=self.extension_timeout_s,
            max_workers=self.max_workers,
            memo_bytes=self.memo_bytes,
            tenant=self.tenant,
            observers=tuple(self.observers),
            transforms=None if self.transforms is None else tuple(self.transforms),
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
    terminal: CompressorConfig
    logs: CompressorConfig
    code: CompressorConfig
    search: CompressorConfig
    diff: CompressorConfig
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
    tenant: TenantResolver | None
    observers: Sequence[Callable[[Any], None]]
    transforms: Sequence[Any] | None


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
    observers: tuple[Callable[[Any], None], ...]
    transforms: tuple[Any, ...] | None

    def route(self, path: str) -> Route:
        """The first route whose pattern matches the request path, else the default."""
        for route in self.routes:
            if route.pattern.match(path):
                return route
        return self.default


def _check_top(config: HeadroomConfig) -> None:
    check_number("max_body_bytes", config.max_body_bytes, int, 1)
    check_number("extension_timeout_s", config.extension_timeout_s, float, 0.001)
    check_number("max_workers", config.max_workers, int, 1)
    check_number("memo_bytes", config.memo_bytes, int, 0)
    expect(config.tenant is None or callable(config.tenant), "tenant", config.tenant, "a callable or None")
    check_list("routes", config.routes, "RouteConfigs")
    check_list("observers", config.observers, "callables")
    if config.transforms is not None:
        check_list("transforms", config.transforms, "Transforms")
    for i, observer in enumerate(config.observers):
        expect(callable(observer), f"observers[{i}]", observer, "a callable")
    for i, route in enumerate(config.routes):
        check_section(f"routes[{i}]", route, RouteConfig)


def _tools(key: str, names: Any) -> frozenset[str]:
    check_list(key, names, "tool names")
    expect(all(isinstance(name, str) for name in names), key, names, "a list of tool names")
    return frozenset(name.lower() for name in names)


def _compressor(name: str, key: str, config: Any) -> CompressorRule | None:
    """The rule that a section gives, None if it is switched off."""
    check_section(key, config, CompressorConfig)
    expect(isinstance(config.enabled, bool | None), f"{key}.enabled", config.enabled, "True, False or None")
    except_tools = _tools(f"{key}.except_tools", config.except_tools)
    return CompressorRule(name, except_tools, config.enabled is True) if config.enabled is not False else None


def _interceptors(key: str, given: Any) -> tuple[Interceptor, ...]:
    """The interceptors, with their tools in lower case."""
    check_list(key, given, "Interceptors")
    found = []
    for i, one in enumerate(given):
        check_section(f"{key}[{i}]", one, Interceptor)
        ok = isinstance(one.name, str) and re.fullmatch(r"[a-z0-9][a-z0-9_.-]{0,39}", one.name) is not None
        expect(ok, f"{key}[{i}].name", one.name, "a short name in lower case")
        plain = callable(one.function) and not inspect.iscoroutinefunction(one.function)
        expect(plain, f"{key}[{i}].function", one.function, "a plain function")
        found.append(replace(one, tools=_tools(f"{key}[{i}].tools", one.tools)))
    return tuple(found)


def _aligner(key: str, section: Any) -> tuple[bool, bool]:
    """Whether fragments are looked for, and moved."""
    check_section(key, section, CacheAlignerConfig)
    check_flag(f"{key}.enabled", section.enabled)
    check_flag(f"{key}.move", section.move)
    return section.enabled, section.enabled and section.move


def _route(key: str, config: HeadroomConfig, own: RouteConfig | None) -> Route:
    """Own values over the configuration's, each checked under the key it was given by."""

    def pick(name: str) -> tuple[str, Any]:
        value = None if own is None else getattr(own, name)
        return (name, getattr(config, name)) if value is None else (f"{key}.{name}", value)

    path = "*" if own is None else own.path
    expect(isinstance(path, str) and path[:1] in ("/", "*"), f"{key}.path", path, "a glob that starts with '/' or '*'")
    mode_key, mode = pick("mode")
    check_choice(mode_key, mode, get_args(Mode))
    aligns, moves = _aligner(*pick("cache_aligner"))
    router_key, router = pick("content_router")
    check_section(router_key, router, ContentRouterConfig)
    check_flag(f"{router_key}.enabled", router.enabled)
    exact_match_tools = _tools(f"{router_key}.exact_match_tools", router.exact_match_tools)
    compressors = tuple(rule for name in COMPRESSORS if (rule := _compressor(name, *pick(name))) is not None)
    retrieval_key, retrieval = pick("retrieval")
    check_section(retrieval_key, retrieval, RetrievalConfig)
    check_number(f"{retrieval_key}.max_rounds", retrieval.max_rounds, int, 2)
    check_number(f"{retrieval_key}.max_bytes", retrieval.max_bytes, int, 1024)
    check_number(f"{retrieval_key}.ttl_s", retrieval.ttl_s, float, 1)
    check_choice(f"{retrieval_key}.replay", retrieval.replay, get_args(Replay))
    check_number(f"{retrieval_key}.retry_s", retrieval.retry_s, float, 0)
    keep_key, keep_alive_s = pick("keep_alive_s")
    check_number(keep_key, keep_alive_s, float, 0.1)
    resigns_key, resigns = pick("resigns")
    check_flag(resigns_key, resigns)
    hold_key, hold_s = pick("hold_s")
    check_number(hold_key, hold_s, float, 0)
    response_key, max_response_bytes = pick("max_response_bytes")
    check_number(response_key, max_response_bytes, int, 1)
    return Route(
        path=path,
        pattern=re.compile(fnmatch.translate(path)),
        mode=mode,
        interceptors=_interceptors(*pick("interceptors")),
        aligns=aligns,
        moves=moves,
        router_enabled=router.enabled,
        exact_match_tools=exact_match_tools,
        compressors=compressors,
        max_rounds=retrieval.max_rounds,
        max_retrieved_bytes=retrieval.max_bytes,
        ttl_s=float(retrieval.ttl_s),
        replays=retrieval.replay == "auto",
        retry_s=float(retrieval.retry_s),
        hold_s=float(hold_s),
        keep_alive_s=float(keep_alive_s),
        max_response_bytes=max_response_bytes,
        resigns=resigns,
    )
