"""Requests about an answer that the provider keeps: of an exchange with hidden rounds it keeps several, the client knows of one.

Asked for, they are told as the one answer that the client got; deleted, all of them are; and the input is that of the first.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import anyio

import headroom_asgi.middleware.headers as head
from headroom_asgi.errors import HeadroomError
from headroom_asgi.logs import get_logger
from headroom_asgi.middleware.codings import codings_of, decode
from headroom_asgi.retrieval import seen
from headroom_asgi.types import ASGIApp, Headers, Message, Receive, Scope, Send
from headroom_asgi.wire import WireFormat, keeper_of

_log = get_logger(__name__)

_OK = range(200, 300)
_GONE = 404  # deleted before, by whoever
_METHODS = frozenset({"GET", "DELETE"})


@dataclass(frozen=True, slots=True, repr=False)
class Asked:
    """A request about an answer that the provider keeps.

    Attributes:
        wire: the dialect.
        name: of the answer.
        start: where the path has it.
        rest: what of the answer is meant, "" if that is all of it.
        deletes: the answer is to be deleted.
    """

    wire: WireFormat
    name: str
    start: int
    rest: str
    deletes: bool

    def scope(self, scope: Scope, name: str) -> Scope:
        """A scope of its own for a call that is about the answer of that name."""
        path, raw = scope["path"], scope.get("raw_path")
        made = {**scope, "path": path[: self.start] + name + path[self.start + len(self.name) :]}
        if raw is not None:
            made["raw_path"] = name.encode().join(bytes(raw).rsplit(self.name.encode(), 1))
        headers = [(bytes(key), bytes(value)) for key, value in scope["headers"]]
        read = not self.rest
        return head.round_scope(made, head.for_round(headers, 0, 1, body_changed=False, identity=read), 1, read=read)


def asked_in(scope: Scope) -> Asked | None:
    """What a request asks about an answer that is kept; None if it does not. A stream of one is none of our business."""
    if scope["type"] != "http" or scope["method"] not in _METHODS or b"stream=true" in scope.get("query_string", b""):
        return None
    if (found := keeper_of(scope["path"])) is None:
        return None
    wire, match = found
    deletes = scope["method"] == "DELETE"
    return None if deletes and match["rest"] else Asked(wire, match["name"], match.start("name"), match["rest"], deletes)


@dataclass(slots=True, repr=False)
class _Got:
    """A response of the inner app, whole."""

    status: int = 0
    headers: Headers = field(default_factory=list)
    start: Message = field(default_factory=dict)
    body: bytes = b""

    def decoded(self, max_bytes: int) -> bytes:
        """The body without its content codings. CodingError if that can't be had."""
        return decode(self.body, codings_of(head.get(self.headers, b"content-encoding")), max_bytes)


async def retell(app: ASGIApp, asked: Asked, names: Sequence[str], scope: Scope, send: Send, *, max_bytes: int) -> None:
    """The one answer that the client got; what the provider says of the one that was asked for, if not all can be had."""
    own = await _called(app, asked.scope(scope, asked.name))
    body = own.body
    if own.status in _OK:
        others = {name: await _another(app, asked.scope(scope, name)) for name in names if name != asked.name}
        got = [others.get(name, own) for name in names]
        try:
            if all(each.status in _OK for each in got):
                answers = [asked.wire.read(each.decoded(max_bytes)) for each in got]
                kept, notice = seen(answers, structured=asked.wire.was_structured(answers[-1]))
                body = asked.wire.retold(answers, kept, notice=notice, name=asked.name)
        except (HeadroomError, ValueError, RecursionError) as error:
            _log.warning("answer_unreadable", reason=type(error).__name__)
    await _give(own, body, send)


async def delete(app: ASGIApp, asked: Asked, names: Sequence[str], scope: Scope, send: Send) -> bool:
    """Delete what was asked for and, if that was deleted, the exchange's other answers; whether it was."""
    own = await _called(app, asked.scope(scope, asked.name))
    deleted = own.status in _OK
    for name in names if deleted else ():
        if name != asked.name and (status := (await _another(app, asked.scope(scope, name))).status) not in (*_OK, _GONE):
            _log.warning("answer_not_deleted", status=status)
    await _give(own, own.body, send)
    return deleted


async def pass_input(app: ASGIApp, asked: Asked, names: Sequence[str], scope: Scope, receive: Receive, send: Send) -> None:
    """The input of the first answer, which is the client's: later ones have in theirs what was hidden."""
    await app(asked.scope(scope, names[0]), receive, send)


async def _another(app: ASGIApp, scope: Scope) -> _Got:
    """What the inner app answers of a round that the client knows nothing of: an exception there is no answer."""
    try:
        return await _called(app, scope)
    except Exception as error:
        _log.warning("answer_not_had", error=type(error).__name__)
        return _Got()


async def _called(app: ASGIApp, scope: Scope) -> _Got:
    """What the inner app answers."""
    got = _Got()
    chunks: list[bytes] = []
    given = False

    async def receive() -> Message:
        nonlocal given
        if given:
            await anyio.sleep_forever()
        given = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            got.status, got.start = message["status"], message
            got.headers = [(bytes(key), bytes(value)) for key, value in message.get("headers", [])]
        elif message["type"] == "http.response.body":
            chunks.append(message.get("body", b""))

    await app(scope, receive, send)
    got.body = b"".join(chunks)
    return got


async def _give(got: _Got, body: bytes, send: Send) -> None:
    """A response, with another body if it has another one."""
    if not got.status:
        return  # the app never answered; its server says so
    headers = got.headers if body is got.body else head.of_body(got.headers, len(body))
    start = {key: value for key, value in got.start.items() if key != "trailers"}
    await send({**start, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
