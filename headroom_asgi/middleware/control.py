"""Control headers: what a trusted caller may say about one request. No app ever sees them, whoever sent them."""

from dataclasses import dataclass
from typing import Final, get_args

from headroom_asgi.callers import CONTROL_PREFIX, normal
from headroom_asgi.config import Mode, Route
from headroom_asgi.types import Headers, Scope

BYPASS: Final = b"x-headroom-bypass"
MODE: Final = b"x-headroom-mode"
TENANT: Final = b"x-headroom-tenant"

MAX_TENANT: Final = 256  # characters of a tenant's name; stores put it in front of every key

_LADDER: Final[tuple[Mode, ...]] = get_args(Mode)  # each does more than the one before it
_FLAGS: Final = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True, slots=True, repr=False)
class Control:
    """What was said.

    Attributes:
        bypass: the request is to go as it came.
        mode: the route's mode is to be this one, if that does less; None if nothing was said.
        tenant: whose it is; None if nothing was said.
        wrong: it cannot be told what was meant: a header came twice, or has a value that is none. The request goes as it came.
    """

    bypass: bool = False
    mode: Mode | None = None
    tenant: str | None = None
    wrong: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """What was said, for the report."""
        said = (("bypass", self.bypass), ("mode", self.mode is not None), ("tenant", self.tenant is not None))
        return tuple(name for name, given in said if given)

    @property
    def passes(self) -> str:
        """Why the request passes unread; "" if it does not."""
        return "failed_open:control_headers" if self.wrong else "skipped:bypass" if self.bypass else ""

    def lowered(self, route: Route) -> Route:
        """The route with the mode that was asked for: downwards only, as callers may ask for less, never for more."""
        if self.mode is None or _LADDER.index(self.mode) >= _LADDER.index(route.mode):
            return route
        return route.at(self.mode)


def without(scope: Scope) -> Scope:
    """The scope as the inner app may see it: the same one, or a copy without control headers, however they are spelled."""
    headers = scope.get("headers") or ()
    if not any(b"headroom" in bytes(key).lower() for key, _ in headers):
        return scope
    kept = [(key, value) for key, value in headers if not normal(bytes(key)).startswith(CONTROL_PREFIX)]
    return scope if len(kept) == len(headers) else {**scope, "headers": kept}


def said_in(headers: Headers) -> Control:
    """What the control headers of a request say."""
    found: dict[bytes, str] = {}
    for key, value in headers:
        name = normal(bytes(key))
        if name not in (BYPASS, MODE, TENANT):
            continue
        if name in found:
            return Control(wrong=True)
        found[name] = bytes(value).decode("latin-1").strip()
    bypass, mode = found.get(BYPASS, "false").lower(), found.get(MODE, "").lower()
    chosen = next((each for each in _LADDER if each == mode), None)
    tenant = found.get(TENANT)
    if bypass not in _FLAGS or (MODE in found and chosen is None) or not (tenant is None or 0 < len(tenant) <= MAX_TENANT):
        return Control(wrong=True)
    return Control(_FLAGS[bypass] or chosen == "off", chosen, tenant)
