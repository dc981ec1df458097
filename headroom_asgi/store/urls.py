"""Stores by address: `memory://`, `sqlite:///path`, `redis://host`; other packages may add schemes of their own."""

import math
import re
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl, unquote

from headroom_asgi.checks import suggest
from headroom_asgi.errors import ConfigError
from headroom_asgi.store.base import Store
from headroom_asgi.store.guarded import GuardedStore
from headroom_asgi.store.keys import Keys
from headroom_asgi.store.memory import MemoryStore
from headroom_asgi.store.redis import RedisStore
from headroom_asgi.store.redis_client import SCHEMES, RedisTLS, split
from headroom_asgi.store.sealed import SealedStore
from headroom_asgi.store.sqlite import SQLiteStore

# Entry points: a scheme's name, and a function that makes a Store of the whole address.
GROUP: Final = "headroom_asgi.store"

_UNITS: Final = {"": 1, "k": 1000, "M": 1000**2, "G": 1000**3, "Ki": 1024, "Mi": 1024**2, "Gi": 1024**3}
_SIZE: Final = re.compile(r"([0-9]+)(?:(|k|M|G|Ki|Mi|Gi)B)?")
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*")  # likewise
_NAME: Final = re.compile(r"[a-z_]{1,32}")  # what may be an option; anything else may be a part of a password
_FLAGS: Final = {"true": True, "1": True, "false": False, "0": False}


def _size(text: str) -> int:
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ValueError("a number of bytes, such as 1000000 or 256MiB")
    return int(found[1]) * _UNITS[found[2] or ""]


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError("a whole number")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError as error:
        raise ValueError("a number of seconds") from error
    if not math.isfinite(seconds):
        raise ValueError("a number of seconds")
    return seconds


def _flag(text: str) -> bool:
    if text not in _FLAGS:
        raise ValueError("true or false")
    return _FLAGS[text]


_Readers: TypeAlias = Mapping[str, Callable[[str], Any]]

_MEMORY: Final[_Readers] = {"max_bytes": _size, "max_entries": _whole, "max_age_s": _seconds, "shared": _flag}
_SQLITE: Final[_Readers] = {
    "max_bytes": _size,
    "max_entries": _whole,
    "max_age_s": _seconds,
    "workers": _whole,
    "fsync": _flag,
}
_REDIS: Final[_Readers] = {
    "prefix": str,
    "max_age_s": _seconds,
    "max_value_bytes": _size,
    "max_connections": _whole,
    "sentinel_username": str,
    "sentinel_password": str,
}
_TLS: Final[_Readers] = {"tls_ca_file": str, "tls_cert_file": str, "tls_key_file": str}
# What all stores that are not in this process's memory have.
_OUTSIDE: Final[_Readers] = {"keys_file": str, "keys_variable": str, "compress": _flag, "timeout_s": _seconds}


def open_store(url: str) -> Store:
    """The store that an address names, with its options behind a `?`.

    Stores outside of this process are guarded (GuardedStore) and keep their values sealed (SealedStore).

    Raises:
        ConfigError: the scheme or an option is unknown, or has a wrong value. The address itself is never repeated, as it may
            hold a password.
    """
    scheme, separator, _ = url.partition(":")
    if not separator or not _SCHEME.fullmatch(scheme):
        raise ConfigError(f"store: this is not an address; expected {', '.join(sorted(_BUILT_IN))}, each with ://")
    if scheme in _BUILT_IN:
        return _BUILT_IN[scheme](url)
    offered = {point.name: point for point in entry_points(group=GROUP)}
    if scheme not in offered:
        known = [*_BUILT_IN, *offered]
        raise ConfigError(f"store: {scheme!r} is none of {', '.join(sorted(known))}{suggest(scheme, known)}")
    try:
        made = offered[scheme].load()(url)
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(f"store: the package that offers {scheme!r} failed ({type(error).__name__})") from error
    return GuardedStore(SealedStore(_checked(made)), name=scheme)


def as_sealed(store: Store) -> Store:
    """A store that was handed in, with its values sealed. One in memory, or that its owner has wrapped, stays as it is."""
    return store if isinstance(store, (MemoryStore, SealedStore, GuardedStore)) else SealedStore(store)


def _checked(store: Any) -> Store:
    """The store, if it is one. ConfigError if methods are missing."""
    missing = [name for name in vars(Store) if not name.startswith("_") and not hasattr(store, name)]
    if missing:
        raise ConfigError(f"store: {type(store).__name__} is not a Store: it has no {', '.join(missing)}")
    made: Store = store
    return made


def _options(scheme: str, query: str, *tables: _Readers) -> list[dict[str, Any]]:
    """The options of a query, table by table."""
    readers = {name: read for table in tables for name, read in table.items()}
    values: dict[str, Any] = {}
    for name, text in parse_qsl(query, keep_blank_values=True):
        if name not in readers:
            named = (
                f" {name!r}" if _NAME.fullmatch(name) else ", and an address is cut at a ? of a password that is not encoded: %3F"
            )
            raise ConfigError(f"store: {scheme} has no option{named}{suggest(name, readers)}")
        if name in values:
            raise ConfigError(f"store: the option {name!r} comes twice")
        try:
            values[name] = readers[name](text)
        except ValueError as error:
            raise ConfigError(f"store: the option {name!r} is not {error}") from error
    return [{name: values[name] for name in table if name in values} for table in tables]


def _memory(url: str) -> Store:
    parts = split(url)
    if parts.netloc or parts.path or parts.fragment:
        raise ConfigError("store: memory:// has options, and nothing else")
    (own,) = _options("memory", parts.query, _MEMORY)
    return MemoryStore(**own)


def _sqlite(url: str) -> Store:
    parts = split(url)
    if parts.netloc or not parts.path:
        raise ConfigError("store: the file's path is missing: sqlite:///absolute/path or sqlite:relative/path")
    if parts.fragment:
        raise ConfigError("store: a # in the path is written %23")
    own, outside = _options("sqlite", parts.query, _SQLITE, _OUTSIDE)
    return _outside("sqlite", SQLiteStore(unquote(parts.path), **own), outside)


def _redis(url: str) -> Store:
    parts = split(url)
    own, files, outside = _options(parts.scheme, parts.query, _REDIS, _TLS, _OUTSIDE)
    tls = RedisTLS(**{name.removeprefix("tls_"): file for name, file in files.items()})
    if files and not parts.scheme.startswith("rediss"):
        raise ConfigError(f"store: the option {next(iter(files))!r} is for rediss")
    timeout_s = {"timeout_s": outside["timeout_s"]} if "timeout_s" in outside else {}
    store = RedisStore(parts._replace(query="").geturl(), tls=tls, **own, **timeout_s)
    return _outside(parts.scheme, store, outside)


def _outside(scheme: str, store: Store, options: Mapping[str, Any]) -> Store:
    """A store outside of this process, sealed and guarded."""
    given = [name for name in ("keys_file", "keys_variable") if name in options]
    if len(given) > 1:
        raise ConfigError("store: keys_file and keys_variable exclude each other")
    keys = None
    if given:
        keys = Keys.from_file(options[given[0]]) if given[0] == "keys_file" else Keys.from_variable(options[given[0]])
    inside = SealedStore(store, keys=keys, compress=options.get("compress"))
    times = {"timeout_s": options["timeout_s"], "slow_s": options["timeout_s"] / 2} if "timeout_s" in options else {}
    return GuardedStore(inside, name=scheme, **times)


_BUILT_IN: Final[Mapping[str, Callable[[str], Store]]] = {"memory": _memory, "sqlite": _sqlite} | dict.fromkeys(SCHEMES, _redis)
