"""Typed settings: plain objects to fill in, and the frozen ones that a running middleware keeps.

`HeadroomConfig` and its sections are ordinary, mutable objects until `resolve()` checks every value and returns `Settings`.
Precedence: a route's own value, then the value of the configuration, then the default.
"""

import difflib
import fnmatch
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, Literal, TypeAlias, TypedDict, get_args

from headroom_asgi.errors import ConfigError

Mode: TypeAlias = Literal["off", "audit", "lossless", "ccr"]
TenantResolver: TypeAlias = Callable[[Mapping[str, Any]], str]

EXACT_MATCH_TOOLS: Final = (
    # Tools whose output the model quotes back byte for byte when it edits: re-formatting it makes those edits fail.
    "apply_patch",
    "create_file",
    "edit",
    "edit_file",
    "multiedit",
    "multi_edit",
    "notebookedit",
    "notebookread",
    "open_file",
    "patch",
    "read",
    "read_file",
    "read_multiple_files",
    "read_text_file",
    "replace_in_file",
    "str_replace",
    "str_replace_based_edit_tool",
    "str_replace_editor",
    "text_editor",
    "view",
    "view_file",
    "write",
    "write_file",
)


@dataclass(slots=True)
class SmartCrusherConfig:
    """JSON: minified, unwrapped, tabulated; rows left out where the model can ask for them."""

    enabled: bool = True


@dataclass(slots=True)
class TextCompressorConfig:
    """Other texts: the JSON inside them re-laid, runs of a character and repeated lines said once."""

    enabled: bool = True


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
class RetrievalConfig:
    """How the model gets back what was left out.

    Attributes:
        max_rounds: calls of the inner app for one request, the first included.
        max_bytes: UTF-8 bytes of originals that one exchange may hand out.
        ttl_s: seconds after its last use that an original stays in the store.
    """

    max_rounds: int = 4
    max_bytes: int = 262_144
    ttl_s: float = 86_400.0


@dataclass(slots=True)
class RouteConfig:
    """Settings for the requests whose path matches; what is None is inherited.

    Attributes:
        path: glob over the whole request path, e.g. `/team-a/*`. The first route that matches wins.
    """

    path: str
    mode: Mode | None = None
    content_router: ContentRouterConfig | None = None
    smart_crusher: SmartCrusherConfig | None = None
    text_compressor: TextCompressorConfig | None = None
    retrieval: RetrievalConfig | None = None
    hold_s: float | None = None
    max_response_bytes: int | None = None


@dataclass(slots=True)
class HeadroomConfig:
    """Everything that can be set.

    Attributes:
        mode: `off` (touch nothing), `audit` (measure, send the original), `lossless`, `ccr` (lossless first, then leave out
            and retrieve).
        routes: settings by path.
        max_body_bytes: larger request bodies pass through.
        max_response_bytes: larger JSON answers pass through uncollected.
        hold_s: seconds that the start of a streamed response may wait for the first visible event.
        extension_timeout_s: seconds after which an async extension handler is cancelled.
        max_workers: threads for work that is too large for the event loop.
        memo_bytes: memory for results already computed.
        tenant: ASGI scope to the tenant's name; from authenticated facts, never from what a client may claim. None: one tenant.
        observers: called with the frozen report of every exchange.
        transforms: what runs instead of the default transforms.
    """

    mode: Mode = "ccr"
    routes: Sequence[RouteConfig] = ()
    content_router: ContentRouterConfig = field(default_factory=ContentRouterConfig)
    smart_crusher: SmartCrusherConfig = field(default_factory=SmartCrusherConfig)
    text_compressor: TextCompressorConfig = field(default_factory=TextCompressorConfig)
    retrieval: RetrievalConfig = field(default_factory=RetrievalConfig)
    max_body_bytes: int = 64 * 1024 * 1024
    max_response_bytes: int = 16 * 1024 * 1024
    hold_s: float = 3.0
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
                raise ConfigError(f"{name}: unknown setting{_suggest(name, known)}")
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
    content_router: ContentRouterConfig
    smart_crusher: SmartCrusherConfig
    text_compressor: TextCompressorConfig
    retrieval: RetrievalConfig
    max_body_bytes: int
    max_response_bytes: int
    hold_s: float
    extension_timeout_s: float
    max_workers: int
    memo_bytes: int
    tenant: TenantResolver | None
    observers: Sequence[Callable[[Any], None]]
    transforms: Sequence[Any] | None


@dataclass(frozen=True, slots=True)
class Route:
    """What holds for the requests of one route, resolved."""

    path: str
    pattern: re.Pattern[str]
    mode: Mode
    router_enabled: bool
    exact_match_tools: frozenset[str]
    crusher_enabled: bool
    text_enabled: bool
    max_rounds: int
    max_retrieved_bytes: int
    ttl_s: float
    hold_s: float
    max_response_bytes: int


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


def _suggest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _expect(ok: bool, key: str, value: object, expected: str) -> None:  # noqa: FBT001
    if not ok:
        raise ConfigError(f"{key}: {value!r} is not {expected}")


def _check_number(key: str, value: object, kind: type[int] | type[float], least: float) -> None:
    accepted: tuple[type, ...] = (int,) if kind is int else (int, float)
    word = "a whole number" if kind is int else "a number"
    ok = isinstance(value, accepted) and not isinstance(value, bool)
    _expect(ok and value >= least, key, value, f"{word} of at least {least:g}")  # type: ignore[operator]


def _check_flag(key: str, value: object) -> None:
    _expect(isinstance(value, bool), key, value, "True or False")


def _check_list(key: str, value: object, of: str) -> None:
    """A list of something; not the thing itself, although that may be a list as well (an observer that collects, say)."""
    _expect(isinstance(value, Collection) and not isinstance(value, str) and not callable(value), key, value, f"a list of {of}")


def _check_section(key: str, value: object, kind: type) -> None:
    _expect(isinstance(value, kind), key, value, f"a {kind.__name__}")


def _check_mode(key: str, value: object) -> None:
    modes = get_args(Mode)
    hint = _suggest(value, modes) if isinstance(value, str) else ""
    _expect(value in modes, key, value, f"one of {', '.join(map(repr, modes))}{hint}")


def _check_top(config: HeadroomConfig) -> None:
    _check_number("max_body_bytes", config.max_body_bytes, int, 1)
    _check_number("extension_timeout_s", config.extension_timeout_s, float, 0.001)
    _check_number("max_workers", config.max_workers, int, 1)
    _check_number("memo_bytes", config.memo_bytes, int, 0)
    _expect(config.tenant is None or callable(config.tenant), "tenant", config.tenant, "a callable or None")
    _check_list("routes", config.routes, "RouteConfigs")
    _check_list("observers", config.observers, "callables")
    if config.transforms is not None:
        _check_list("transforms", config.transforms, "Transforms")
    for i, observer in enumerate(config.observers):
        _expect(callable(observer), f"observers[{i}]", observer, "a callable")
    for i, route in enumerate(config.routes):
        _check_section(f"routes[{i}]", route, RouteConfig)


def _route(key: str, config: HeadroomConfig, own: RouteConfig | None) -> Route:
    """Own values over the configuration's, each checked under the key it was given by."""

    def pick(name: str) -> tuple[str, Any]:
        value = None if own is None else getattr(own, name)
        return (name, getattr(config, name)) if value is None else (f"{key}.{name}", value)

    path = "*" if own is None else own.path
    _expect(isinstance(path, str) and path[:1] in ("/", "*"), f"{key}.path", path, "a glob that starts with '/' or '*'")
    mode_key, mode = pick("mode")
    _check_mode(mode_key, mode)
    router_key, router = pick("content_router")
    _check_section(router_key, router, ContentRouterConfig)
    _check_flag(f"{router_key}.enabled", router.enabled)
    tools = router.exact_match_tools
    _check_list(f"{router_key}.exact_match_tools", tools, "tool names")
    _expect(all(isinstance(t, str) for t in tools), f"{router_key}.exact_match_tools", tools, "a list of tool names")
    crusher_key, crusher = pick("smart_crusher")
    _check_section(crusher_key, crusher, SmartCrusherConfig)
    _check_flag(f"{crusher_key}.enabled", crusher.enabled)
    text_key, text = pick("text_compressor")
    _check_section(text_key, text, TextCompressorConfig)
    _check_flag(f"{text_key}.enabled", text.enabled)
    retrieval_key, retrieval = pick("retrieval")
    _check_section(retrieval_key, retrieval, RetrievalConfig)
    _check_number(f"{retrieval_key}.max_rounds", retrieval.max_rounds, int, 2)
    _check_number(f"{retrieval_key}.max_bytes", retrieval.max_bytes, int, 1024)
    _check_number(f"{retrieval_key}.ttl_s", retrieval.ttl_s, float, 1)
    hold_key, hold_s = pick("hold_s")
    _check_number(hold_key, hold_s, float, 0)
    response_key, max_response_bytes = pick("max_response_bytes")
    _check_number(response_key, max_response_bytes, int, 1)
    return Route(
        path=path,
        pattern=re.compile(fnmatch.translate(path)),
        mode=mode,
        router_enabled=router.enabled,
        exact_match_tools=frozenset(t.lower() for t in tools),
        crusher_enabled=crusher.enabled,
        text_enabled=text.enabled,
        max_rounds=retrieval.max_rounds,
        max_retrieved_bytes=retrieval.max_bytes,
        ttl_s=float(retrieval.ttl_s),
        hold_s=float(hold_s),
        max_response_bytes=max_response_bytes,
    )
