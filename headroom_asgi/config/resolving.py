"""From what was set to what holds: each value checked under the key it was given by."""

import fnmatch
import functools
import importlib
import inspect
import re
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any, Final, TypeAlias, get_args

from headroom_asgi.callers import TrustRule, from_networks
from headroom_asgi.checks import check_choice, check_flag, check_list, check_number, check_section, expect
from headroom_asgi.config.resolved import CompressorRule, Route
from headroom_asgi.config.sections import (
    COMPRESSORS,
    CacheAlignerConfig,
    CompressorConfig,
    ContentRouterConfig,
    Mode,
    Replay,
    RetrievalConfig,
)
from headroom_asgi.errors import ConfigError
from headroom_asgi.types import Interceptor

Pick: TypeAlias = Callable[[str], tuple[str, Any]]  # a setting's name to the key that it was given under, and its value

_DOTTED: Final = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


def resolve_function(key: str, given: Any) -> Any:
    """A function that was given as it is, or by its dotted name; None if nothing was."""
    if given is None or callable(given):
        return given
    named = isinstance(given, str) and _DOTTED.fullmatch(given) is not None
    expect(named, key, given, "a callable, its dotted name such as 'package.module:function', or None")
    module, _, path = given.partition(":")
    try:
        found = functools.reduce(getattr, path.split("."), importlib.import_module(module))
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{key}: {given!r} cannot be imported ({error})") from error
    expect(callable(found), key, given, "the dotted name of a callable")
    return found


def resolve_trust(given: Any) -> TrustRule | None:
    """The rule that says whose control headers count; None if nobody's do."""
    if isinstance(given, Collection) and not isinstance(given, str) and not callable(given):
        expect(all(isinstance(network, str) for network in given), "trusted_headers", given, "a list of networks")
        return from_networks(*given) if given else None
    if isinstance(given, str) and _DOTTED.fullmatch(given) is None:  # which may be a secret in the wrong place
        raise ConfigError("trusted_headers: a text that is no dotted name of a function; for secrets see callers.with_secret")
    rule: TrustRule | None = resolve_function("trusted_headers", given)
    return rule


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


def resolve_route(key: str, path: Any, pick: Pick) -> Route:
    """The settings of one route, checked."""
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
