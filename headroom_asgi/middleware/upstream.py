"""Calls of the inner app: one directly, or several in tasks of their own, with the client watched meanwhile."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from math import inf

import anyio
import anyio.lowlevel
from anyio.abc import ObjectReceiveStream, ObjectSendStream, TaskGroup

import headroom_asgi.middleware.headers as head
from headroom_asgi.engine import Exchange, Second
from headroom_asgi.logs import get_logger
from headroom_asgi.middleware.body import serve
from headroom_asgi.middleware.refusing import Gate
from headroom_asgi.middleware.respond import Relay
from headroom_asgi.types import ASGIApp, Headers, Message, Receive, Scope, Send

_log = get_logger(__name__)

# Seconds that an inner app gets to end by itself once its client has left.
_GRACE_S = 0.5


@dataclass(slots=True, repr=False)
class Call:
    """Everything that calls of the inner app for one exchange need.

    Attributes:
        app: the inner app.
        scope: a snapshot, taken before the first call.
        headers: the request's, with extensions' edits.
        receive, send: the server's callables.
        sent_body: the bytes that came over the wire; they go on if nothing changed.
    """

    app: ASGIApp
    scope: Scope
    headers: Headers
    receive: Receive
    send: Send
    sent_body: bytes

    def second(self, exchange: Exchange, second: Second) -> tuple[Scope, bytes]:
        """Scope and body of the call after our body was refused."""
        if second is not Second.OWN:
            return self.prepared(exchange, exchange.body, 2)
        size = len(self.sent_body)
        own = head.for_round(self.headers, size, 2, body_changed=False, identity=False)
        return head.round_scope(self.scope, own, 2, read=False), self.sent_body

    def prepared(self, exchange: Exchange, body: bytes, number: int) -> tuple[Scope, bytes]:
        """Scope and body of one call."""
        changed = number > 1 or body is not exchange.original
        raw = body if changed else self.sent_body
        reads = exchange.intercepts or exchange.listens
        own = head.for_round(self.headers, len(raw), number, body_changed=changed, identity=reads)
        return head.round_scope(self.scope, own, number, read=reads), raw


async def call_once(call: Call, exchange: Exchange) -> None:
    """Call the inner app where we stand: nothing will have to be asked again."""
    scope, body = call.prepared(exchange, exchange.body, 1)
    relay = Relay(exchange, call.send, None)
    relay.begin_round()
    gate = Gate(exchange, relay, call.send)

    async def send(message: Message) -> None:
        await gate.feed(message)

    async def send_again(message: Message) -> None:
        await gate.again(message)

    try:
        await call.app(scope, serve(body, call.receive, exchange.sent), send)
        while (second := gate.take()) is not None:
            scope, body = call.second(exchange, second)
            await call.app(scope, serve(body, call.receive, exchange.sent), send_again)
        await gate.settle()
    except Exception:
        await exchange.over()
        raise
    await exchange.over()


async def call_in_rounds(call: Call, exchange: Exchange) -> None:
    """Call the inner app as often as the model asks for originals, each time in a task with a fresh scope.

    An exception of the inner app is raised here as it is. When the client leaves, the inner app is told, and canceled after
    a moment.
    """
    rounds = _Rounds(call, exchange)
    async with anyio.create_task_group() as group:
        watcher = anyio.CancelScope()
        group.start_soon(rounds.watch, watcher, group.cancel_scope)
        try:
            await rounds.run(group)
        except Exception as error:
            rounds.error = rounds.error or error
            group.cancel_scope.cancel()
        watcher.cancel()
    await exchange.over()
    failure, rounds.error = rounds.error, None
    if failure is not None:
        try:
            raise failure
        finally:
            del failure  # its traceback holds this frame, and that the bodies


@dataclass(slots=True, repr=False)
class _Round:
    """One call of the inner app.

    Attributes:
        answered: its answer is complete, or nobody waits for it any more: what servers tell by a disconnect.
        over: it returned.
    """

    answered: anyio.Event = field(default_factory=anyio.Event)
    over: anyio.Event = field(default_factory=anyio.Event)


@dataclass(slots=True, repr=False)
class _Rounds:
    call: Call
    exchange: Exchange
    gone: anyio.Event = field(default_factory=anyio.Event)
    error: Exception | None = None
    running: list["_Round"] = field(default_factory=list)
    deadline: float = inf  # until then the start of a stream may be held, over all rounds
    finished: bool = False

    async def run(self, group: TaskGroup) -> None:
        """All rounds, one after the other; then wait for what the inner app does after its answers.

        Once the client has left, none is begun: nobody would get what it costs.
        """
        flow = self.exchange.flow()
        relay = Relay(self.exchange, self.call.send, flow)
        gate = Gate(self.exchange, relay, self.call.send)
        number = 1
        relay.begin_round()
        await self._round(group, self.call.prepared(self.exchange, next(flow), number), relay, gate.feed)
        while not self.gone.is_set() and (second := gate.take()) is not None:
            number += 1
            relay.follow(self.exchange.flow())
            await self._round(group, self.call.second(self.exchange, second), relay, gate.again)
        if self.error is None and not self.gone.is_set():
            await gate.settle()
        while (body := relay.next_body) is not None and not self.gone.is_set():
            number += 1
            relay.begin_round()
            await self._round(group, self.call.prepared(self.exchange, body, number), relay, relay.feed)
            while relay.again_in is not None:
                await self._pause(relay, relay.again_in)
                if self.gone.is_set():
                    break
                relay.begin_again()
                await self._round(group, self.call.prepared(self.exchange, body, number), relay, relay.feed)
        self.finished = True
        self.gone.set()
        for each in self.running:
            await each.over.wait()

    async def watch(self, scope: anyio.CancelScope, everything: anyio.CancelScope) -> None:
        """The only reader of the server's receive: notices that the client left."""
        with scope:
            try:
                while (await self.call.receive())["type"] != "http.disconnect":
                    await anyio.lowlevel.checkpoint()  # test clients may answer at once, again and again
            except Exception as error:
                _log.warning("receive_failed", request_id=self.exchange.request_id, error=type(error).__name__)
                return
            self.gone.set()
            for each in self.running:
                each.answered.set()
            await anyio.sleep(_GRACE_S)
            if not self.finished:
                everything.cancel()

    async def _round(
        self, group: TaskGroup, prepared: tuple[Scope, bytes], relay: Relay, feed: Callable[[Message], Awaitable[bool]]
    ) -> None:
        """One call of the inner app in a task of its own, until its answer is complete."""
        outbox, inbox = anyio.create_memory_object_stream[Message](0)
        this = _Round()
        self.running.append(this)
        group.start_soon(self._app, *prepared, relay, outbox, this)
        async with inbox:
            await self._pump(inbox, relay, feed)
        this.answered.set()

    async def _app(self, scope: Scope, body: bytes, relay: Relay, outbox: ObjectSendStream[Message], this: "_Round") -> None:
        async def later() -> Message:
            await this.answered.wait()
            return {"type": "http.disconnect"}

        answering = False

        async def send(message: Message) -> None:
            nonlocal answering
            answering = True
            try:
                await outbox.send(message)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                return  # the round is over, or was given up: like a server after a disconnect, take what still comes

        try:
            async with outbox:
                try:
                    await self.call.app(scope, serve(body, later, self.exchange.sent), send)
                    await self.exchange.sent()
                except Exception as error:
                    if answering or not relay.failed(error):
                        self.error = self.error or error
        finally:
            this.over.set()

    async def _pump(self, inbox: ObjectReceiveStream[Message], relay: Relay, feed: Callable[[Message], Awaitable[bool]]) -> None:
        """Give on messages until the round's answer is complete; meanwhile keep the client of a stream from waiting too long."""
        while True:
            if relay.waiting and self.deadline == inf:
                self.deadline = anyio.current_time() + self.exchange.route.hold_s
            wake = self.deadline if relay.waiting else relay.silent_until
            try:
                message = await (inbox.receive() if wake == inf else _within(wake, inbox))
            except anyio.EndOfStream:
                return
            if message is None:
                await (relay.release() if relay.waiting else relay.keep_alive())
            elif await feed(message):
                return

    async def _pause(self, relay: Relay, seconds: float) -> None:
        """Wait before a round is tried again, as long as there is a client, whose stream stays alive."""
        end = anyio.current_time() + seconds
        while (now := anyio.current_time()) < end and not self.gone.is_set():
            with anyio.move_on_after(min(end, relay.silent_until) - now):
                await self.gone.wait()
            if anyio.current_time() >= relay.silent_until and not self.gone.is_set():
                await relay.keep_alive()


async def _within(deadline: float, inbox: ObjectReceiveStream[Message]) -> Message | None:
    """The next message; None if there is none until then."""
    with anyio.CancelScope(deadline=deadline):
        return await inbox.receive()
    return None
