"""Header lists on their way through: what a changed body makes wrong goes, what we say is added."""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from headroom_asgi.callers import normal, scheme_of, signs
from headroom_asgi.engine import Exchange
from headroom_asgi.types import Headers, Scope

# A changed body makes these wrong, in a request or a response; and so it makes every digest and signature of it.
_STALE = frozenset({b"content-length", b"transfer-encoding", b"content-encoding"})
# Likewise in one of both: `expect` was answered when the body was read.
_STALE_IN_REQUEST = _STALE | {b"expect"}
_STALE_IN_RESPONSE = _STALE | {b"etag", b"accept-ranges"}
# Words in the names of headers that hold a signature of the body, or may: `signature-input`, `x-hub-signature-256`,
# `x-shopify-hmac-sha256`, `x-amz-checksum-crc32`, and those that companies think of.
_SIGNATURES = frozenset((b"signature", b"hmac", b"checksum", b"jws"))
# Words for digests. They are the body's where nothing else is named, or the body is: `digest`, `x-amz-content-sha256`; what a
# proxy says of a certificate, `x-client-cert-sha256`, is not.
_DIGESTS = frozenset((b"digest", b"hash", b"md5", b"sha1", b"sha256", b"sha384", b"sha512"))
_WHOLE = frozenset((b"content", b"repr", b"body", b"payload", b"request", b"goog"))
# A client that only wishes for one, or says who it is.
_WISHES = frozenset((b"want", b"accept", b"agent"))
_MAX_NAME = 64  # bytes of a header's name that are looked at: no name that means anything here is longer
# Labels come from other people's transforms; a server refuses a response with a line feed in a header.
_UNPRINTABLE = re.compile(r"[^ -~]")
_MAX_SAID = 1000  # characters of one header of ours; servers and proxies take some 8 kB for all of them
# A second round is another request: it must not be answered with the first one's answer.
_FIRST_ROUND_ONLY = frozenset({b"idempotency-key", b"if-none-match"})
# Ids that go into logs and reports: nothing that could be a line of its own there, or a text.
_UPSTREAM_IDS = (b"x-request-id", b"request-id", b"x-amzn-requestid", b"apim-request-id")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
# Ways of answering that carry bytes past us.
_HIDDEN_WAYS = frozenset({"http.response.pathsend", "http.response.zerocopysend", "http.response.trailers", "http.response.push"})


def get(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str:
    """The values of a header, joined by commas; "" if there is none."""
    return ", ".join(value.decode("latin-1") for key, value in headers if key.lower() == name)


def request_id(headers: Headers) -> str:
    """The client's `x-request-id`, "" if there is none that can be taken for one."""
    given = get(headers, b"x-request-id")
    return given if _REQUEST_ID.fullmatch(given) else ""


def is_signed(headers: Headers, query: bytes = b"") -> bool:
    """The request carries a digest or a signature of its body, or may: who wrote it does not want the body changed.

    Headers, a scheme by which each request is signed, trailers that will bring one, or an address that is signed itself.
    """
    if any(_known(key[:_MAX_NAME])[1] for key, _ in headers) or b"x-amz-signature=" in query.lower():
        return True
    asked = get(headers, b"authorization").lower()
    scheme = scheme_of(asked)
    if signs(scheme) or (scheme == "digest" and "auth-int" in asked) or (scheme == "oauth" and "oauth_body_hash" in asked):
        return True
    return any(_known(name.encode("latin-1")[:_MAX_NAME])[1] for name in get(headers, b"trailer").split(","))


@lru_cache(maxsize=512)
def _known(name: bytes) -> tuple[bytes, bool]:
    """A header's name as the most lenient of readers takes it, and whether it holds a digest or a signature of the body."""
    read = normal(name)
    words = {*read.split(b"-")} - {b"x"}
    digest = not words.isdisjoint(_DIGESTS) and (words <= _DIGESTS or not words.isdisjoint(_WHOLE))
    return read, words.isdisjoint(_WISHES) and (digest or not words.isdisjoint(_SIGNATURES))


def visible(headers: Headers) -> dict[str, str]:
    """The request's headers as extensions see them; repeated ones joined by commas."""
    seen: dict[str, str] = {}
    for key, value in headers:
        name = key.decode("latin-1").lower()
        seen[name] = f"{seen[name]}, {value.decode('latin-1')}" if name in seen else value.decode("latin-1")
    return seen


def edited(headers: Headers, before: Mapping[str, str], after: Mapping[str, str]) -> Headers:
    """The raw list with what extensions changed, added and removed; all else as it came, in order."""
    if before == after:
        return headers
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
    kept = [(key, value) for key, value in headers if not _goes(key, drop, body_changed=body_changed)]
    if number > 1:
        kept = [(k, v + b"-r%d" % number if k.lower() == b"x-client-request-id" else v) for k, v in kept]
    if body_changed:
        kept.append((b"content-length", b"%d" % size))
    if identity:
        kept.append((b"accept-encoding", b"identity"))
    return kept


def _goes(key: bytes, drop: frozenset[bytes], *, body_changed: bool) -> bool:
    """A header that is not given on: `content_length` is read as `content-length` by some who come later."""
    name, of_body = _known(key[:_MAX_NAME])
    return name in drop or (body_changed and of_body)


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


def upstream_id(headers: Headers) -> str:
    """What the upstream calls a response, "" if it does not say so; for those who ask the provider about it."""
    named = (get(headers, name) for name in _UPSTREAM_IDS)
    return next((given for given in named if _REQUEST_ID.fullmatch(given)), "")


def of_response(headers: Headers, exchange: Exchange, *, size: int | None, changed: bool) -> Headers:
    """The response headers for the client.

    Args:
        headers: as the inner app gave them.
        exchange: what ours say.
        size: bytes of the whole body, None if it is not known (a stream).
        changed: the body is not the inner app's.
    """
    return (of_body(headers, size) if changed else list(headers)) + ours(exchange)


def of_body(headers: Headers, size: int | None) -> Headers:
    """Response headers for another body than the inner app's, of that many bytes; None if that is not known."""
    kept = [(k, v) for k, v in headers if not _goes(k, _STALE_IN_RESPONSE, body_changed=True)]
    return kept + ([(b"content-length", b"%d" % size)] if size is not None else [])


def ours(exchange: Exchange) -> Headers:
    """What we say about an exchange, in ASCII."""
    notes = exchange.notes
    said = [(b"x-headroom-outcome", _printable(notes.outcome))]
    if exchange.payload is not None:
        figures = notes.tally.figures
        said += [
            (b"x-headroom-tokens-before", b"%d" % figures.before),
            (b"x-headroom-tokens-after", b"%d" % figures.after),
            (b"x-headroom-tokens-saved", b"%d" % (figures.before - figures.after)),
            (b"x-headroom-tokens-method", figures.method.encode("ascii")),
            (b"x-headroom-transforms", _printable(",".join(notes.report.labels))),
            (b"x-headroom-added-ms", b"%.2f" % notes.added_ms),
        ]
    if exchange.intercepts:
        said.append((b"x-headroom-rounds", b"%d" % max(notes.rounds, 1)))
    if len(notes.upstream_ids) > 1:
        said.append((b"x-headroom-upstream-ids", _printable(",".join(notes.upstream_ids))))
    return said


def _printable(value: str) -> bytes:
    return _UNPRINTABLE.sub("?", value)[:_MAX_SAID].encode("ascii")
