"""The answer's way back: passed, collected, or watched event by event; one start, one end, over all rounds."""

from collections.abc import Callable, Generator
from math import inf
from typing import Final

import anyio

import headroom_asgi.middleware.headers as head
from headroom_asgi.engine import Exchange
from headroom_asgi.errors import HeadroomError
from headroom_asgi.logs import get_logger
from headroom_asgi.middleware.codings import decode
from headroom_asgi.middleware.retrying import Retries
from headroom_asgi.middleware.ways import Kind, Way, calls_us, decoder_of, kind_of, put_together, told
from headroom_asgi.retrieval import TOOL, Outcome, Watch
from headroom_asgi.types import Message, Send
from headroom_asgi.wire import Answer

_log = get_logger(__name__)

_BAD_GATEWAY: Final = 502
# An answer that cannot be followed and calls our tool is no answer that its client could do anything with.
_UNFOLLOWED: Final = (
    b'{"type":"error","error":{"type":"server_error","message":"the answer cannot be followed","code":"unreadable"}}'
)


class Relay:
    """Takes the inner app's messages, sends the client's. One per exchange; `feed` says when a round is over.

    Args:
        exchange: whose answer it is.
        send: the server's callable.
        flow: the retrieval loop, already started, or None if there is nothing to intercept.
    """

    def __init__(self, exchange: Exchange, send: Send, flow: Generator[bytes, Answer, Outcome] | None) -> None:
        self._exchange = exchange
        self._send = send
        self._flow = flow
        self._reads = flow is not None or exchange.listens
        self._way = self._usual = Way.PASS  # now, and of rounds that bring an answer
        self._start: Message | None = None
        self._started = False
        self._held: list[bytes] = []
        self._size = 0
        self._kind = Kind()
        self._came: Message = {}  # the start of this round's response
        self._decode: Callable[[bytes], bytes] = bytes
        self._watch: Watch | None = None
        self._round = 0
        self._spoke = 0.0  # when the client last got something
        self._retries = Retries(exchange.route.retry_s)
        self.next_body: bytes | None = None
        self.again_in: float | None = None
        self.done = False

    @property
    def silent_until(self) -> float:
        """When a stream's client is due a sign of life, as a later round is awaited or content is held; by the loop's clock."""
        watch = self._watch
        if watch is None or not self._started or self.done or self._way is Way.PASS or (self._round == 1 and not watch.holds):
            return inf
        return self._spoke + self._exchange.route.keep_alive_s

    async def keep_alive(self) -> None:
        """Tell the client that its stream lives, in a form that it takes for nothing else."""
        self._spoke = anyio.current_time()
        if self._watch is not None and (data := self._watch.keep_alive()):
            await self._send({"type": "http.response.body", "body": data, "more_body": True})

    @property
    def waiting(self) -> bool:
        """The start of a streamed response is held; `release` lets it go."""
        return self._start is not None and not self._started and self._way is Way.WATCH

    async def release(self) -> None:
        """The start has been held long enough: send it, and what came so far. What the round brings its first bytes still say."""
        await self._flush()

    def follow(self, flow: Generator[bytes, Answer, Outcome]) -> None:
        """Another loop than before: its body is another one."""
        next(flow)
        self._flow = flow

    def begin_round(self) -> None:
        """Another call of the inner app starts."""
        self._round += 1
        self._exchange.notes.rounds = self._round
        self.next_body = None

    def begin_again(self) -> None:
        """The round that failed is tried once more."""
        self.again_in = None
        self._way = self._usual

    def failed(self, error: Exception) -> bool:
        """The inner app raised before it answered; whether the round is to be tried again, after `again_in` seconds."""
        if self._round > 1 and self._tries:
            payload = self._exchange.payload
            self.again_in = self._retries.after_error(error, lasting=payload is not None and bool(payload.held))
        return self.again_in is not None

    @property
    def _tries(self) -> bool:
        """Whether a later round that fails is tried again here: its client cannot, as it has a beginning; or would say everything
        once more in a conversation that the provider holds, if that can be gone on with at all.
        """
        payload = self._exchange.payload
        return (self._started and self._usual is Way.WATCH) or (not self._started and payload is not None and bool(payload.held))

    async def feed(self, message: Message) -> bool:
        """Handle one message of the inner app. True when the round's answer is complete.

        Afterwards `next_body` is the body of another round, or None and `done`.
        """
        kind = message["type"]
        if kind == "http.response.start":
            await self._exchange.sent()
            await self._begin(message)
            return False
        if kind == "http.response.body":
            return await self._body(message.get("body", b""), last=not message.get("more_body", False))
        if self._round == 1 and not (self._reads and kind == "http.response.trailers"):  # of a body that is not the client's
            await self._send(message)
        return False

    # -- the start -----------------------------------------------------------------------------------------------------

    async def _begin(self, message: Message) -> None:
        self._kind = kind_of(message, self._exchange, reads=self._reads, follows=self._flow is not None)
        self._came = message
        if name := head.upstream_id(message.get("headers", [])):
            self._exchange.notes.upstream_ids.append(name)
        if self._flow is not None and self._kind.way is Way.PASS and not self._kind.failed:
            self._exchange.unread("unsupported_encoding")
        if self._round == 1:
            self._start = dict(message)
            self._way = self._kind.way
            self._exchange.notes.status = message["status"]
        if self._kind.sure:
            await self._enter()

    async def _enter(self) -> None:
        """What the round's response is is known: treat it so."""
        kind, way = self._kind, self._kind.way
        if self._round > 1:
            way = self._later_way(way, self._came)
        elif self._started and self._flow is None:
            way = Way.WATCH  # under a start that went out already, what we only listen to passes, whatever it is
        if way is Way.SWALLOW:
            self._way = way
            return
        # A later JSON round's headers are the answer's; a stream keeps those of a round before it, unless that round failed.
        if self._round > 1 and kind.way is not Way.WATCH and not self._started:
            self._start = dict(self._came)
            self._exchange.notes.status = self._came["status"]
        self._way = way
        if way is not Way.PASS:
            self._usual = way
        self._decode = decoder_of(kind.codings, self._exchange.route.max_response_bytes) or bytes
        if way is Way.WATCH:
            self._watching()
            return
        self._held, self._size = [], 0
        if way is Way.PASS:
            await self._send_start(changed=False)

    def _later_way(self, way: Way, message: Message) -> Way:
        """A later round is an answer, or has failed: then it is a response of its own while nothing was sent.

        A whole answer will do where nothing was streamed yet. From then on the client gets all of them as one: what an earlier
        round said was not streamed, so streams are collected as well.
        """
        collects = not self._started and Way.COLLECT in (way, self._way)
        if way is not Way.PASS and not self._kind.failed and (collects or way is self._way):
            return Way.COLLECT if collects else way
        _log.warning("round_failed", request_id=self._exchange.request_id, round=self._round)
        if self._tries:
            asked = head.get(message.get("headers", []), b"retry-after")
            self.again_in = self._retries.after_status(message["status"], asked)
        return Way.SWALLOW if self._started or self.again_in is not None else Way.PASS

    def _watching(self) -> None:
        if self._watch is None:
            tool = TOOL.name if self._flow is not None else None
            codec = self._exchange.wire.codec(self._kind.media)
            codec.retracing(self._exchange.retraced)
            self._watch = Watch(
                codec,
                tool,
                structured=tool is not None and self._exchange.holds_text,
                max_hold_bytes=self._exchange.route.max_response_bytes,
            )
        if self._watch.begin_round(unseen=not self._started):
            self._held = []

    # -- the body ------------------------------------------------------------------------------------------------------

    async def _body(self, data: bytes, *, last: bool) -> bool:
        if not self._kind.sure:
            if not told(self._kind, data, self._exchange, last=last):
                return False
            data = self._kind.first
            await self._enter()
        if self._way is Way.PASS:
            await self._send({"type": "http.response.body", "body": data, "more_body": not last})
            self.done = last
        elif self._way is Way.COLLECT:
            await self._collect(data, last=last)
        elif self._way is Way.WATCH:
            await self._stream(data, last=last)
        elif self._way is Way.SWALLOW and last and self.again_in is None:
            await self._give_up("an internal retrieval failed")
        return last or self.done

    @property
    def _gathers(self) -> bool:
        """What is collected is a stream."""
        return self._way is Way.COLLECT and self._kind.way is Way.WATCH

    async def _collect(self, data: bytes, *, last: bool) -> None:
        self._held.append(data)
        self._size += len(data)
        if self._size > self._exchange.route.max_response_bytes:
            await self._too_large(b"".join(self._held), last=last)
        elif last:
            await self._answer(b"".join(self._held))

    async def _too_large(self, raw: bytes, *, last: bool) -> None:
        """An answer that is too large to be held passes, and so does the rest; unless what came so far calls our tool."""
        self._held = []
        self._exchange.unread("too_large")
        if self._gathers or (self._flow is not None and not self._kind.failed and calls_us(self._seen(raw), self._exchange.body)):
            self._turn_bad()
            await self._send_start(changed=True, size=len(_UNFOLLOWED))
            await self._send({"type": "http.response.body", "body": _UNFOLLOWED, "more_body": False})
            self._way, self.done = Way.DONE, True
            return
        await self._send_start(changed=False)
        await self._send({"type": "http.response.body", "body": raw, "more_body": not last})
        self._way, self.done = Way.PASS, last

    def _seen(self, raw: bytes) -> bytes:
        """The beginning of an answer, decoded as far as that can be done."""
        try:
            return self._decode(raw)
        except HeadroomError:
            return raw

    async def _answer(self, raw: bytes) -> None:
        """A whole JSON answer: the next round, or the merged answer for the client.

        What cannot be read passes as it came, unless it calls our tool: then an error takes its place.
        """
        body = data = raw
        try:
            body = data = await self._decoded(raw)
            if self._flow is not None and not self._kind.failed:
                answer = await self._exchange.engine.work(len(body), self._exchange.wire.read, body)
                outcome = await self._advance(self._flow, answer)
                if outcome is None:
                    return
                data = await self._exchange.merged(outcome)
                await self._exchange.remember(outcome)
        except Exception as error:  # nothing of ours may become an error of the app
            self._unreadable("answer_unreadable", error)
            if self._gathers or (self._flow is not None and not self._kind.failed and calls_us(body, self._exchange.body)):
                self._turn_bad()
                data = _UNFOLLOWED
        data = await self._exchange.received(data)
        changed = data is not body
        await self._send_start(changed=changed, size=len(data))
        await self._send({"type": "http.response.body", "body": data if changed else raw, "more_body": False})
        self._way, self.done = Way.DONE, True

    async def _decoded(self, raw: bytes) -> bytes:
        """The answer without its content coding, and as a whole. CodingError if it is corrupt, or too large to be read here;
        ResponseError if it is a stream that breaks off.
        """
        most = self._exchange.route.max_response_bytes
        if self._kind.codings and raw:
            raw = await self._exchange.engine.work(most, decode, raw, self._kind.codings, most)
        if not self._gathers:
            return raw
        return await self._exchange.engine.work(len(raw), put_together, self._exchange.wire.codec(self._kind.media), raw, most)

    def _unreadable(self, event: str, error: Exception) -> None:
        """Log why an answer was not followed; of errors that are not ours only the kind, as the text may quote the answer."""
        reason = str(error) if isinstance(error, HeadroomError) else type(error).__name__
        self._exchange.notes.unread = "unreadable"
        _log.warning(event, request_id=self._exchange.request_id, reason=reason)

    async def _advance(self, flow: Generator[bytes, Answer, Outcome], answer: Answer) -> Outcome | None:
        """Tell the loop what a round brought. None: `next_body` is the next round's."""
        step = await self._exchange.advance(flow, answer)
        if isinstance(step, Outcome):
            return step
        self.next_body = step
        return None

    # -- streams -------------------------------------------------------------------------------------------------------

    async def _stream(self, data: bytes, *, last: bool) -> None:
        assert self._watch is not None
        answer: Answer | None = None
        out = end = answered = b""
        try:
            data = self._decode(data) if data else b""
            out = self._watch.feed(data) if data else b""
            if last:
                rest, answer = self._watch.end_round()
                out += rest
            if answer is not None:
                end, answered = await self._finished(self._watch, answer)
        except Exception as error:  # nothing of ours may become an error of the app
            self._unreadable("stream_unreadable", error)
            await self._unfollowed(data, out, last=last)
            return
        await self._emit(out)
        if last and answer is None:
            await self._truncated()
        elif last and self.next_body is None:
            await self._emit(end)
            await self._end()
            await self._exchange.received(answered, editable=False)

    async def _finished(self, watch: Watch, answer: Answer) -> tuple[bytes, bytes]:
        """After a whole round: the end of the client's stream and the whole answer, both empty if another round follows."""
        if self._flow is None:
            return b"", answer.document.data
        outcome = await self._advance(self._flow, answer)
        if outcome is None:
            return b"", b""
        await self._exchange.remember(outcome)
        return watch.finish(outcome), await self._exchange.merged(outcome) if self._exchange.listens else b""

    async def _unfollowed(self, data: bytes, out: bytes, *, last: bool) -> None:
        """A stream that cannot be read: it passes if we only listen, else it ends with an error, as it may ask for us.

        Args:
            data: what came last.
            out: what of it may go to the client.
            last: nothing follows.
        """
        if self._flow is None and self._decode is bytes:
            self._way = Way.PASS
            if not self._started:
                await self._send_start(changed=False)
            await self._body(data, last=last)
            return
        self.next_body = None
        self._way = Way.DONE
        await self._emit(out)
        await self._give_up("the answer cannot be followed")

    async def _truncated(self) -> None:
        """A stream without its end: the first round's ends as it came, one with an error by it; others must not look whole."""
        assert self._watch is not None
        if self._watch.forgot:
            self._exchange.unread("too_large")
        if self._round == 1 or self._watch.failed:
            await self._end()
        else:
            await self._give_up("an internal retrieval was cut short")

    async def _give_up(self, message: str) -> None:
        """End a stream that cannot go on by the dialect's own error; by a status while nothing was sent; clients try again."""
        if not self._started and self._watch is not None:
            self._held = []
            self._turn_bad()
            await self._send_start(changed=True, size=len(_UNFOLLOWED))
            await self._send({"type": "http.response.body", "body": _UNFOLLOWED, "more_body": False})
            self.done = True
            return
        if self._watch is not None:
            await self._emit(self._watch.error(message))
        await self._end()

    def _turn_bad(self) -> None:
        """What the client gets is an error of ours."""
        self._start = {**self._came, "status": _BAD_GATEWAY, "headers": [(b"content-type", b"application/json")]}
        self._exchange.notes.status = _BAD_GATEWAY

    async def _emit(self, data: bytes) -> None:
        """Bytes for the client; held with the start until something is visible, if a round may yet fail."""
        if data:
            self._held.append(data)
        assert self._watch is not None
        if self._started or self._watch.visible or self._flow is None:
            await self._flush()

    async def _flush(self) -> None:
        if not self._started:
            changed = self._flow is not None or self._decode is not bytes
            await self._send_start(changed=changed)
        if self._held:
            data, self._held = b"".join(self._held), []
            self._spoke = anyio.current_time()
            await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def _end(self) -> None:
        await self._flush()
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        self.done = True

    async def _send_start(self, *, changed: bool, size: int | None = None) -> None:
        assert self._start is not None
        if self._started:  # it was held no longer than allowed, and what came then was no stream
            return
        self._started = True
        self._spoke = anyio.current_time()
        given = [(bytes(k), bytes(v)) for k, v in self._start.get("headers", [])]
        out = head.of_response(given, self._exchange, size=size, changed=changed)
        start = {**self._start, "headers": out}
        if self._reads:
            start.pop("trailers", None)  # a server would wait for them
        await self._send(start)
