"""Where a Redis store's server is: one, behind Sentinel, or a cluster; and the clients that talk to it."""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import SplitResult, unquote, urlsplit

from headroom_asgi.errors import ConfigError

SCHEMES: Final = ("redis", "rediss", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")
# Why an address may be cut elsewhere than was meant; what stands there may be a part of a password, and is never repeated.
_ENCODED: Final = "(in a user's name or password, characters such as / ? # @ are percent-encoded)"
_PORTS: Final = {"": 6379, "sentinel": 26379, "cluster": 6379}


@dataclass(frozen=True, slots=True)
class RedisTLS:
    """Files for TLS: the certificate authority to trust, and what this side shows of itself. Names are always checked.

    Attributes:
        ca_file: certificates to trust; the system's if "".
        cert_file, key_file: of this client, if the server asks for them.
    """

    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Place:
    """A parsed address.

    Attributes:
        kind: "" (one server), `sentinel` or `cluster`.
        secure: RedisTLS.
        hosts: names and ports, in the order given.
        username, password: of the data's servers.
        service: the name that Sentinels know the servers by.
        database: its number.
    """

    kind: str
    secure: bool
    hosts: tuple[tuple[str, int], ...]
    username: str
    password: str
    service: str
    database: int

    def __repr__(self) -> str:
        return f"Place({', '.join(f'{host}:{port}' for host, port in self.hosts)})"


def split(url: str) -> SplitResult:
    """The parts of an address. ConfigError, which does not repeat it, if it has none."""
    try:
        return urlsplit(url)
    except ValueError:
        raise ConfigError(f"store: the address cannot be read {_ENCODED}") from None


def parsed(url: str) -> Place:
    """The place that an address names, e.g. `rediss+sentinel://user:password@a:26379,b:26379/service/0`.

    Raises:
        ConfigError: it names none. The address itself is not repeated, as it may hold a password.
    """
    parts = split(url)
    if parts.scheme not in SCHEMES:
        raise ConfigError(f"store: {parts.scheme!r} is not one of {', '.join(SCHEMES)}")
    if parts.query or parts.fragment:
        raise ConfigError("store: options of a Redis store are arguments here; open_store takes them from an address")
    secure, _, kind = parts.scheme.partition("+")
    user, _, hosts = parts.netloc.rpartition("@")
    username, _, password = user.partition(":")
    if not kind and "," in hosts:
        raise ConfigError("store: several hosts are a cluster (redis+cluster://) or Sentinels (redis+sentinel://)")
    service, database = _path(kind, parts)
    return Place(
        kind=kind,
        secure=secure == "rediss",
        hosts=tuple(_host(host, _PORTS[kind]) for host in hosts.split(",")),
        username=unquote(username),
        password=unquote(password),
        service=service,
        database=database,
    )


def _path(kind: str, parts: SplitResult) -> tuple[str, int]:
    """Service and number of the database."""
    names = [unquote(name) for name in parts.path.split("/") if name]
    service = ""
    if kind == "sentinel":
        if not names:
            raise ConfigError("store: the name of the service is missing: redis+sentinel://host/service")
        service = names.pop(0)
    expected = "nothing" if kind == "cluster" else "a database's number"
    if len(names) > (kind != "cluster") or not all(name.isascii() and name.isdigit() for name in names):
        raise ConfigError(f"store: what is at the end of the address is not {expected} {_ENCODED}")
    return service, int(names[0]) if names else 0


def _host(text: str, default: int) -> tuple[str, int]:
    """Name and port. An IPv6 address stands in brackets."""
    one = urlsplit(f"//{text}")
    try:
        port = one.port or default
    except ValueError:
        raise ConfigError(f"store: a part of the address is not a host and a port {_ENCODED}") from None
    return one.hostname or "localhost", port


def imported(name: str) -> Any:
    """A module of the extra. ConfigError if it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError("store: Redis needs the package redis: pip install 'headroom-asgi[redis]'") from error


class Connector:
    """Makes clients for a place; each belongs to the event loop in which it is first used.

    Args:
        place: where.
        tls: files, if the place is secure.
        sentinel_username, sentinel_password: of the Sentinels, if they ask for them.
        max_connections: to one server, per event loop.
        timeout_s: seconds for connecting, for each answer, and for waiting for a connection.
    """

    def __init__(
        self,
        place: Place,
        *,
        tls: RedisTLS,
        sentinel_username: str,
        sentinel_password: str,
        max_connections: int,
        timeout_s: float,
    ) -> None:
        self._redis = imported("redis.asyncio")
        # A failed call is not repeated here: a counter might be raised twice, and who called knows better how long to wait.
        never = imported("redis.asyncio.retry").Retry(imported("redis.backoff").NoBackoff(), 0)
        times = {"socket_timeout": timeout_s, "socket_connect_timeout": timeout_s}
        self._place = place
        self._max_connections = max_connections
        self._timeout_s = timeout_s
        self._options: dict[str, Any] = {
            **times,
            "username": place.username or None,
            "password": place.password or None,
            "retry": never,
        }
        if place.kind != "cluster":
            self._options["db"] = place.database
        if place.secure:
            files = {"ssl_ca_certs": tls.ca_file, "ssl_certfile": tls.cert_file, "ssl_keyfile": tls.key_file}
            self._options |= {name: file for name, file in files.items() if file}
        self._sentinel = {**times, "username": sentinel_username or None, "password": sentinel_password or None, "retry": never}

    def clients(self) -> Sequence[Any]:
        """A new client, which connects when it is used; and others that it uses itself. All of them are to be closed."""
        return {"": self._single, "sentinel": self._behind_sentinel, "cluster": self._cluster}[self._place.kind]()

    def _single(self) -> Sequence[Any]:
        ((host, port),) = self._place.hosts
        secure = {"connection_class": self._redis.SSLConnection} if self._place.secure else {}
        pool = self._redis.BlockingConnectionPool(
            host=host, port=port, max_connections=self._max_connections, timeout=self._timeout_s, **secure, **self._options
        )
        return (self._redis.Redis.from_pool(pool),)

    def _behind_sentinel(self) -> Sequence[Any]:
        secure = {"ssl": True} if self._place.secure else {}
        sentinel = imported("redis.asyncio.sentinel").Sentinel(
            list(self._place.hosts), sentinel_kwargs=self._sentinel | secure | self._tls_files(), **self._options, **secure
        )
        return (sentinel.master_for(self._place.service, max_connections=self._max_connections), *sentinel.sentinels)

    def _tls_files(self) -> dict[str, Any]:
        return {name: value for name, value in self._options.items() if name.startswith("ssl_")}

    def _cluster(self) -> Sequence[Any]:
        # A cluster answers with where a key has moved to: this is followed at once, and once more while it is being sorted out.
        retry = imported("redis.asyncio.retry").Retry(imported("redis.backoff").NoBackoff(), 2)
        nodes = [imported("redis.asyncio.cluster").ClusterNode(host, port) for host, port in self._place.hosts]
        cluster = self._redis.RedisCluster(
            startup_nodes=nodes,
            ssl=self._place.secure,
            max_connections=self._max_connections,
            **{**self._options, "retry": retry},
        )
        return (cluster,)
