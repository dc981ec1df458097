"""Header lists on their way through: what a changed body makes wrong goes, what we say is added."""

import re
from collections.abc import Iterable, Mapping

from headroom_asgi.engine import Exchange
from headroom_asgi.types import Headers, Scope

# A changed request body makes these wrong; `expect` was answered when the body was read.
_STALE_IN_REQUEST = frozenset(
    {
        *(b"content-length", b"transfer-encoding", b"content-encoding", b"expect"),
        *(b"content-md5", b"digest", b"content-digest", b"x-amz-content-sha256"),
    }
)
# A changed response body makes these wrong.
_STALE_IN_RESPONSE = frozenset(
    {b"content-length", b"content-encoding", b"etag", b"content-md5", b"digest", b"content-digest", b"accept-ranges"}
)
# Labels come from other people's transforms; a server refuses a response with a line feed in a header.
_UNPRINTABLE = re.compile(r"[^ -~]")
_MAX_SAID = 1000  # characters of one header of ours; servers and proxies take some 8 kB for all of them
# A second round is another request: it must not be answered with the first one's answer.
_FIRST_ROUND_ONLY = frozenset({b"idempotency-key", b"if-none-match"})
# Whoever signs a body's bytes does not want them changed, unless the inner app signs its own requests.
_SIGNATURES = (b"x-amz-content-sha256", b"content-md5", b"digest", b"content-digest")
# Ways of answering that carry bytes past us.
_HIDDEN_WAYS = frozenset({"http.response.pathsend", "http.response.zerocopysend", "http.response.trailers", "http.response.push"})


def get(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str:
    """The values of a header, joined by commas; "" if there is none."""
    return ", ".join(value.decode("latin-1") for key, value in headers if key.lower() == name)


def is_signed(headers: Headers) -> bool:
    """The request carries a digest of its body."""
    names = {key.lower() for key, _ in headers}
    return any(name in names for name in _SIGNATURES) or get(headers, b"authorization").startswith("AWS4-")


def visible(headers: Headers) -> dict[str, str]:
    """The request's headers as extensions see them; repeated ones joined by commas."""
    seen: dict[str, str] = {}
    for key, value in headers:
        name = key.decode("latin-1").lower()
        seen[name] = f"{seen[name]}, {value.decode('latin-1')}" if name in seen else value.decode("latin-1")
    return seen


def edited(headers: Headers, before: Mapping[str, str], after: Mapping[str, str]) -> Headers:
    """The raw list with what extensions changed, added and removed; all else as it came, in order."""
    changed = {name for name in before if after.get(name) != before[name]}
    kept = [(key, value) for key, value in headers if key.decode("latin-1").lower() not in changed]
    new = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in after.items() if before.get(name) != value]
    return kept + new


def for_round(headers: Headers, size: int, number: int, *, body_changed: bool, identity: bool) -> Headers:
    """The request headers of one call of the inner app.

    Args:
        headers: after extensions' edits.
        size: bytes of the body.
        number: 1 for the first call.
        body_changed: the body is not the client's (nor in its coding).
        identity: the answer must be readable here.
    """
    drop = _STALE_IN_REQUEST if body_changed else frozenset()
    if number > 1:
        drop = drop | _FIRST_ROUND_ONLY
    if identity:
        drop = drop | {b"accept-encoding"}
    kept = [(key, value) for key, value in headers if key.lower() not in drop]
    if number > 1:
        kept = [(k, v + b"-r%d" % number if k.lower() == b"x-client-request-id" else v) for k, v in kept]
    if body_changed:
        kept.append((b"content-length", b"%d" % size))
    if identity:
        kept.append((b"accept-encoding", b"identity"))
    return kept


def round_scope(snapshot: Scope, headers: Headers, number: int, *, read: bool) -> Scope:
    """A scope of its own for each call: frameworks write into theirs. Where the answer is read, it has to come past us."""
    scope = marked({**snapshot, "headers": headers}, number)
    if "path_params" in snapshot:
        scope["path_params"] = dict(snapshot["path_params"])
    for name in _HIDDEN_WAYS if read else ():
        scope["extensions"].pop(name, None)
    return scope


def marked(scope: Scope, number: int = 1) -> Scope:
    """A copy of the scope that says it was handled here, so that a second middleware of ours leaves it alone."""
    return {**scope, "extensions": {**(scope.get("extensions") or {}), "headroom": {"round": number}}}


def route_path(scope: Scope) -> str:
    """The path below the root path, where the path begins with it (a server or a mount has put it in front)."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return path[len(root) :] if root and path.startswith(f"{root.rstrip('/')}/") else path


def of_response(headers: Headers, exchange: Exchange, *, size: int | None, changed: bool) -> Headers:
    """The response headers for the client.

    Args:
        headers: as the inner app gave them.
        exchange: what ours say.
        size: bytes of the whole body, None if it is not known (a stream).
        changed: the body is not the inner app's.
    """
    kept = [(k, v) for k, v in headers if k.lower() not in _STALE_IN_RESPONSE] if changed else list(headers)
    if changed and size is not None:
        kept.append((b"content-length", b"%d" % size))
    return kept + ours(exchange)


def ours(exchange: Exchange) -> Headers:
    """What we say about an exchange, in ASCII."""
    notes = exchange.notes
    said = {"x-headroom-outcome": notes.outcome}
    if exchange.payload is not None:
        figures = notes.tally.figures
        said |= {
            "x-headroom-tokens-before": str(figures.before),
            "x-headroom-tokens-after": str(figures.after),
            "x-headroom-tokens-saved": str(figures.before - figures.after),
            "x-headroom-tokens-method": figures.method,
            "x-headroom-transforms": ",".join(notes.report.labels),
            "x-headroom-added-ms": f"{notes.added_ms:.2f}",
        }
    if exchange.intercepts:
        said["x-headroom-rounds"] = str(max(notes.rounds, 1))
    return [(name.encode("ascii"), _UNPRINTABLE.sub("?", value)[:_MAX_SAID].encode("ascii")) for name, value in said.items()]
