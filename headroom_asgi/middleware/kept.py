"""Requests about an answer that the provider keeps: of an exchange with hidden rounds it keeps several, the client knows of one.

Asked for, they are told as the one answer that the client got; deleted, all of them are; and the input is that of the first.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, quote, unquote_plus, unquote_to_bytes

import headroom_asgi.middleware.headers as head
from headroom_asgi.engine import Engine
from headroom_asgi.logs import get_logger
from headroom_asgi.middleware.body import serve
from headroom_asgi.middleware.codings import codings_of, decode
from headroom_asgi.retrieval import seen
from headroom_asgi.types import ASGIApp, Headers, Message, Receive, Scope, Send
from headroom_asgi.wire import WireFormat, keeper_of

_log = get_logger(__name__)

_OK: Final = range(200, 300)
_GONE: Final = 404  # deleted before, by whoever
_METHODS: Final = frozenset({"GET", "DELETE"})
_STREAM, _AFTER = "stream", "starting_after"
_OF_STREAMS: Final = frozenset({_STREAM, _AFTER, "include_obfuscation"})
_NO: Final = frozenset({"", "0", "false", "no", "off"})


@dataclass(frozen=True, slots=True, repr=False)
class Asked:
    """A request about an answer that the provider keeps.

    Attributes:
        wire: the dialect.
        name: of the answer.
        start: where the path has it.
        rest: what of the answer is meant, "" if that is all of it.
        deletes: the answer is to be deleted.
        stream: it is to be told as a stream.
        after: the number of the event behind which that is to begin, -1 for the beginning.
    """

    wire: WireFormat
    name: str
    start: int
    rest: str
    deletes: bool
    stream: bool = False
    after: int = -1

    def scope(self, scope: Scope, name: str) -> Scope:
        """A scope of its own for a call that is about the answer of that name. Whole answers are asked for."""
        path, raw = scope["path"], scope.get("raw_path")
        made = {**scope, "path": path[: self.start] + name + path[self.start + len(self.name) :]}
        if raw is not None:
            made["raw_path"] = self._renamed(bytes(raw), name)
        if self.stream:
            pairs = scope.get("query_string", b"").split(b"&")
            made["query_string"] = b"&".join(pair for pair in pairs if _key(pair) not in _OF_STREAMS)
        headers = [(bytes(key), bytes(value)) for key, value in scope["headers"]]
        read = not self.rest
        return head.round_scope(made, head.for_round(headers, 0, 1, body_changed=False, identity=read), 1, read=read)

    def _renamed(self, raw: bytes, name: str) -> bytes:
        """A path as it came over the wire with another name in it, however that was spelled."""
        segments = raw.split(b"/")
        for at in range(len(segments) - 1, -1, -1):
            if unquote_to_bytes(segments[at]) == self.name.encode():
                segments[at] = quote(name).encode()
                break
        return b"/".join(segments)


def asked_in(scope: Scope) -> Asked | None:
    """What a request asks about an answer that is kept; None if it does not."""
    if scope["type"] != "http" or scope["method"] not in _METHODS:
        return None
    if (found := keeper_of(scope["path"])) is None:
        return None
    wire, match = found
    deletes = scope["method"] == "DELETE"
    if deletes and match["rest"]:
        return None
    query = dict(parse_qsl(scope.get("query_string", b"").decode("latin-1")))
    stream = not deletes and not match["rest"] and query.get(_STREAM, "").lower() not in _NO
    after = query.get(_AFTER, "")
    begins = int(after) if after.isdecimal() and len(after) < 10 else -1
    return Asked(wire, match["name"], match.start("name"), match["rest"], deletes, stream, begins)


def _key(pair: bytes) -> str:
    return unquote_plus(pair.partition(b"=")[0].decode("latin-1"))


@dataclass(slots=True, repr=False)
class _Got:
    """A response of the inner app.

    Attributes:
        whole: all of its body is in `body`. Else it was too large; what was asked for has then gone to the client.
    """

    status: int = 0
    headers: Headers = field(default_factory=list)
    start: Message = field(default_factory=dict)
    body: bytes = b""
    whole: bool = True

    def decoded(self, max_bytes: int) -> bytes:
        """The body without its content codings. CodingError if that can't be had."""
        return decode(self.body, codings_of(head.get(self.headers, b"content-encoding")), max_bytes)


class Keeper:
    """The inner app, asked about an answer that the provider keeps.

    Args:
        app: the inner app.
        asked: what about.
        names: of all answers of the exchange.
        scope, receive, send: the client's.
        engine: does what takes long.
        max_bytes: more than that of an answer is not held: what was asked for passes, others are as if they were gone.
    """

    def __init__(
        self,
        app: ASGIApp,
        asked: Asked,
        names: Sequence[str],
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        engine: Engine,
        max_bytes: int,
    ) -> None:
        self._work = engine.work
        self._app = app
        self._asked = asked
        self._names = names
        self._scope = scope
        self._receive = receive
        self._send = send
        self._max_bytes = max_bytes
        self._left = False

    async def retell(self) -> None:
        """The one answer that the client got; what the provider says of the one that was asked for, if not all can be had."""
        asked, own = self._asked, await self._own()
        if not own.whole:
            return
        if own.status not in _OK:
            await self._give(own, own.body)
            return
        others = {name: await self._another(name) for name in self._names if name != asked.name and not self._left}
        got = [own if name == asked.name else others.get(name, _Got()) for name in self._names]
        body = own.body
        try:
            body = await self._work(sum(len(each.body) for each in got), self._told, own, got)
        except Exception as error:  # nothing of ours may become an error of the app
            _log.warning("answer_unreadable", reason=type(error).__name__)
        await self._give(own, body)

    def _told(self, own: _Got, got: Sequence[_Got]) -> bytes:
        """One answer out of those that the provider keeps, in the form that is asked for."""
        wire, body = self._asked.wire, own.body
        if all(each.status in _OK and each.whole for each in got):
            answers = [wire.read(each.decoded(self._max_bytes)) for each in got]
            kept, notice = seen(answers, structured=wire.was_structured(answers[-1]))
            body = wire.retold(answers, kept, notice=notice, name=self._asked.name)
        if not self._asked.stream:
            return body
        whole = body if body is not own.body else own.decoded(self._max_bytes)
        return wire.retold_stream(wire.read(whole), after=self._asked.after)

    async def delete(self) -> bool:
        """Delete what was asked for and, if that was deleted, the exchange's other answers; whether it was."""
        own = await self._own()
        deleted = own.status in _OK
        for name in self._names if deleted else ():
            if name != self._asked.name and (status := (await self._another(name)).status) not in (*_OK, _GONE):
                _log.warning("answer_not_deleted", status=status)
        if own.whole:
            await self._give(own, own.body)
        return deleted

    async def pass_input(self) -> None:
        """The input of the first answer, which is the client's: later ones have in theirs what was hidden."""
        await self._app(self._asked.scope(self._scope, self._names[0]), self._receive, self._send)

    async def _own(self) -> _Got:
        """What the inner app answers of what was asked for."""
        return await self._called(self._asked.name, self._send)

    async def _another(self, name: str) -> _Got:
        """What it answers of a round that the client knows nothing of: an exception there is no answer."""
        try:
            return await self._called(name, None)
        except Exception as error:
            _log.warning("answer_not_had", error=type(error).__name__)
            return _Got()

    async def _called(self, name: str, passes: Send | None) -> _Got:
        """What the inner app answers. Too much of it goes to `passes`, or nowhere."""
        got = _Got()
        held = bytearray()

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                got.status, got.start = message["status"], message
                got.headers = [(bytes(key), bytes(value)) for key, value in message.get("headers", [])]
            elif message["type"] == "http.response.body" and got.whole:
                held.extend(message.get("body", b""))
                if len(held) <= self._max_bytes:
                    return
                got.whole = False
                _log.warning("answer_unreadable", reason="too_large")
                message = {**message, "body": bytes(held)}
                held.clear()
                if passes is not None:
                    await passes({key: value for key, value in got.start.items() if key != "trailers"})
                    await passes(message)
            elif message["type"] == "http.response.body" and passes is not None:
                await passes(message)

        await self._app(self._asked.scope(self._scope, name), serve(b"", self._until_left, _nothing), send)
        got.body = bytes(held)
        return got

    async def _until_left(self) -> Message:
        """What the server says once the client has left, or the answer is complete."""
        while (message := await self._receive())["type"] == "http.request":
            pass
        self._left = True
        return message

    async def _give(self, got: _Got, body: bytes) -> None:
        """A response, with another body if it has another one."""
        if not got.status:
            return  # the app never answered; its server says so
        headers = got.headers
        if body is not got.body:
            headers = head.of_body(headers, len(body))
            if self._asked.stream:
                media = (b"content-type", b"text/event-stream; charset=utf-8")
                headers = [pair for pair in headers if pair[0].lower() != b"content-type"] + [media]
        start = {key: value for key, value in got.start.items() if key != "trailers"}
        await self._send({**start, "headers": headers})
        await self._send({"type": "http.response.body", "body": body, "more_body": False})


async def _nothing() -> None:
    """Nobody is told that a body was delivered that has nothing in it."""
