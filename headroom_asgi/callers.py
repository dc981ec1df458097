"""Who calls: functions for the settings `tenant` (whose request is this?) and `trusted_headers` (is its sender trusted?).

Each is a function of the ASGI scope. A tenant's name has to come from authenticated facts; "" is nobody's, and such a request
passes as it came.
"""

import hashlib
import hmac
import inspect
import ipaddress
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias, TypeVar
from urllib.parse import parse_qsl

from headroom_asgi.errors import ConfigError

T = TypeVar("T")

TenantResolver: TypeAlias = Callable[[Mapping[str, Any]], str | Awaitable[str]]
TrustRule: TypeAlias = Callable[[Mapping[str, Any]], bool | Awaitable[bool]]

SECRET_HEADER: Final = b"x-headroom-secret"
CONTROL_PREFIX: Final = b"x-headroom-"  # headers that are for us alone; no app ever sees one
_MIN_SECRET: Final = 16  # characters; fewer can be tried out

# Where clients of providers put their key. All of them count: whoever adds one is another tenant, never somebody else.
_CREDENTIALS: Final = (b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key")
_CREDENTIAL_IN_ADDRESS: Final = "key"  # Gemini's
# Schemes of `authorization` by which every request carries another value; those that sign have more names, see `signs`.
_CHANGING: Final = frozenset({"digest", "oauth", "negotiate", "ntlm", "dpop"})
_BARE: Final = frozenset({b"basic", b"bearer"})  # without a key they are everybody's
_SIGNING: Final = ("aws4", "goog4", "signature", "sharedkey")


async def settled(value: T | Awaitable[T]) -> T:
    """The value, awaited if it has to be: rules may be plain or `async` functions."""
    return await value if inspect.isawaitable(value) else value


def normal(name: bytes) -> bytes:
    """A header's name as the most lenient of readers takes it: case, spaces around it and `_` for `-` make no difference."""
    return name.strip().lower().replace(b"_", b"-")


def values_of(scope: Mapping[str, Any], name: bytes) -> list[bytes]:
    """All values of a header."""
    return [bytes(value) for key, value in scope.get("headers") or () if bytes(key).lower() == name]


def scheme_of(authorization: str) -> str:
    """The scheme of an `authorization` header's value, in lower case."""
    return authorization.strip().partition(" ")[0].lower()


def signs(scheme: str) -> bool:
    """By that scheme the client signs each of its requests (AWS, Google, Azure, HTTP signatures, HMACs of any kind)."""
    return scheme.startswith(_SIGNING) or "hmac" in scheme


def by_authorization(scope: Mapping[str, Any]) -> str:
    """A tenant per key: a hash over what clients of providers put it into (`authorization`, `x-api-key`, `api-key`,
    `x-goog-api-key`, `?key=` in the address). "" without one, and for schemes that sign each request anew.

    For keys that live long: a new key, or token, is a new tenant. Whoever knows a hash cannot go back to a random key.
    """
    state = hashlib.blake2b(digest_size=16, person=b"headroom-caller")
    found = False
    for name in _CREDENTIALS:
        for value in values_of(scope, name):
            scheme = scheme_of(value.decode("latin-1"))
            if name == b"authorization" and (signs(scheme) or scheme in _CHANGING):
                return ""
            if name == b"authorization" and value.strip().lower() in _BARE:
                continue
            found = found or bool(value.strip())
            state.update(b"%s %d %s" % (name, len(value), value))
    for name, value in parse_qsl(scope.get("query_string", b"").decode("latin-1"), encoding="latin-1"):
        if name == _CREDENTIAL_IN_ADDRESS:
            found = True
            state.update(b"?%d %s" % (len(value), value.encode("latin-1")))
    return f"key-{state.hexdigest()}" if found else ""


def by_user(scope: Mapping[str, Any]) -> str:
    """A tenant per user that starlette's AuthenticationMiddleware, outside of this one, has put into `scope["user"]`: the
    user's `identity`, of a `SimpleUser` the name. "" if there is none, or it is not authenticated.
    """
    user = scope.get("user")
    if not getattr(user, "is_authenticated", False):
        return ""
    try:
        identity = user.identity  # type: ignore[union-attr]
    except NotImplementedError:  # a SimpleUser has only a name
        identity = getattr(user, "username", None)
    return "" if identity is None else str(identity)


def by_header(name: str, *, trusted: TrustRule) -> TenantResolver:
    """A tenant per value of a header that a proxy sets.

    Args:
        name: of the header. The proxy has to replace it where a client sent one: two of them are nobody's.
        trusted: whose header counts, e.g. `from_networks("10.0.0.0/8")`; anybody else is nobody.

    Raises:
        ConfigError: it is a control header, of which no resolver hears (`x-headroom-tenant` needs none).
    """
    wanted = name.lower().encode("latin-1")
    if normal(wanted).startswith(CONTROL_PREFIX) or not callable(trusted):
        raise ConfigError(f"by_header: {name!r} is a control header, or `trusted` is no function of the scope")

    async def tenant(scope: Mapping[str, Any]) -> str:
        values = values_of(scope, wanted)
        if len(values) != 1 or not await settled(trusted(scope)):
            return ""
        return values[0].decode("latin-1").strip()

    return tenant


def from_networks(*networks: str) -> TrustRule:
    """Trust in clients of these networks (`10.0.0.0/8`, `2001:db8::/32`, `127.0.0.1`, `unix` for a Unix socket).

    What counts is `scope["client"]`. A server that takes it from `x-forwarded-for` has to know its proxies.

    Raises:
        ConfigError: one of them is none.
    """
    try:
        known = [ipaddress.ip_network(network) for network in networks if network != "unix"]
    except ValueError as error:
        raise ConfigError("from_networks: one of them is no network such as '10.0.0.0/8', nor 'unix'") from error
    if not networks:
        raise ConfigError("from_networks: there are none")
    unix = "unix" in networks

    def trusted(scope: Mapping[str, Any]) -> bool:
        host = (scope.get("client") or ("",))[0]
        if not host:
            return unix
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        address = getattr(address, "ipv4_mapped", None) or address
        return any(address in network for network in known)

    return trusted


def with_secret(*secrets: str) -> TrustRule:
    """Trust in who knows a secret and sends it as `x-headroom-secret`; several while one takes another's place.

    Raises:
        ConfigError: there is none, or one is short. None is ever repeated in a message.
    """
    known = [secret.encode("utf-8") for secret in secrets]
    if not known or min(map(len, known)) < _MIN_SECRET:
        raise ConfigError(f"with_secret: there is none, or one has fewer than {_MIN_SECRET} characters")

    def trusted(scope: Mapping[str, Any]) -> bool:
        values = values_of(scope, SECRET_HEADER)
        if len(values) != 1:
            return False
        return any(hmac.compare_digest(values[0], secret) for secret in known)

    return trusted
