"""Calls of the inner app: the first where we stand, others in tasks of their own, with the client watched meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from functools import partial
from math import inf

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

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
# Turns of the event loop that it may take until the server has said that the client left; wrapped callables take some more.
_LOOK_TURNS = 8


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
        if second is not Second.OWN or exchange.bound:
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
    """Call the inner app where we stand: nothing will have to be asked again, but where our body is refused."""
    context = copy_context()
    scope, body = call.prepared(exchange, exchange.body, 1)
    relay = Relay(exchange, call.send, None)
    relay.begin_round()
    gate = Gate(exchange, relay, call.send)

    async def send(message: Message) -> None:
        await gate.feed(message)

    async def send_again(message: Message) -> None:
        await gate.again(message)

    failure: BaseException | None = None
    attempt: Callable[[], Awaitable[None]] = partial(call.app, scope, serve(body, call.receive, exchange.sent), send)
    try:
        while True:
            try:
                await attempt()
            except BaseException as error:
                if not gate.whole or not _is_the_apps(error):
                    raise
                failure = failure or error  # behind a whole answer: it keeps nobody from getting one
            if (second := gate.take()) is None:
                break
            scope, body = call.second(exchange, second)
            attempt = partial(_anew, context, partial(call.app, scope, serve(body, call.receive, exchange.sent), send_again))
        await gate.settle()
    except BaseException as error:
        if _is_the_apps(error):
            await exchange.over()
        raise
    await exchange.over()
    if failure is not None:
        try:
            raise failure
        finally:
            del failure  # its traceback holds this frame


async def _anew(context: Context, call: Callable[[], Awaitable[None]]) -> None:
    """A further call of the inner app, in a task of its own: it sees a copy of that context, and nothing of the first one's."""
    failures: list[BaseException] = []

    async def one() -> None:
        try:
            await call()
        except BaseException as error:
            if not _is_the_apps(error):
                raise
            failures.append(error)

    async with anyio.create_task_group() as group:
        context.run(group.start_soon, one)
    if failures:
        raise failures.pop()  # as it is, and held by nothing but its own traceback


def _is_the_apps(error: BaseException) -> bool:
    """What a call raises by itself: an exception; or a cancellation, of something that it awaited, while nobody has canceled the
    call. A task group would keep that to itself, and the client's answer would just stop. (On trio only a scope can cancel.)
    """
    if not isinstance(error, asyncio.CancelledError):
        return isinstance(error, Exception)
    task = asyncio.current_task()
    return task is not None and not task.cancelling() and anyio.current_effective_deadline() > -inf


async def call_in_rounds(call: Call, exchange: Exchange) -> None:
    """Call the inner app as often as the model asks for originals: first where we stand, then in tasks, with fresh scopes.

    An exception of the inner app is raised here as it is. When the client leaves, an app that listens is told, and canceled
    after a moment; so is one in a later round.
    """
    async with anyio.create_task_group() as group:
        rounds = _Rounds(call, exchange, group)
        await rounds.run()
    await exchange.over()
    failure, rounds.error = rounds.error, None
    if failure is not None:
        try:
            raise failure
        finally:
            del failure  # its traceback holds this frame, and that the bodies


class _Flag:
    """An event of the event loop, which is made when somebody waits for it: for most, nobody does."""

    __slots__ = ("_event", "_is_set")

    def __init__(self) -> None:
        self._event: anyio.Event | None = None
        self._is_set = False

    def set(self) -> None:
        """From now on nobody waits."""
        self._is_set = True
        if self._event is not None:
            self._event.set()

    def is_set(self) -> bool:
        """Whether it was set."""
        return self._is_set

    async def wait(self) -> None:
        """Until it is set."""
        if self._event is None:
            self._event = anyio.Event()
            if self._is_set:
                self._event.set()
        await self._event.wait()


@dataclass(slots=True, repr=False)
class _Round:
    """One call of the inner app.

    Attributes:
        answering: it has sent something.
        answered: its answer is complete, or will never be.
        closed: likewise, or nobody waits for it any more: what servers tell by a disconnect.
        over: it returned.
    """

    answering: bool = False
    answered: _Flag = field(default_factory=_Flag)
    closed: _Flag = field(default_factory=_Flag)
    over: _Flag = field(default_factory=_Flag)

    def end(self) -> None:
        """Nothing more is expected of it."""
        self.answered.set()
        self.closed.set()


class _Rounds:
    """All calls of the inner app for one exchange. What it sends is fed to the relay where it sends it.

    Most exchanges have one round, whose app neither streams nor listens: nothing is started beside it then.

    Args:
        call: what calls need.
        exchange: whose they are.
        group: for what goes on beside the first call.

    Attributes:
        error: why the exchange failed, None if it did not.
    """

    def __init__(self, call: Call, exchange: Exchange, group: TaskGroup) -> None:
        self.error: BaseException | None = None
        self._call = call
        self._exchange = exchange
        self._group = group
        self._context = copy_context()  # what the app puts into its own is none of later calls'
        self._flow = exchange.flow()
        self._relay = Relay(exchange, call.send, self._flow)
        self._gate = Gate(exchange, self._relay, call.send)
        self._turn = anyio.Lock(fast_acquire=True)  # of feeding the relay
        self._running: list[_Round] = []
        self._deadline = inf  # until then the start of a stream may be held, over all rounds
        self._gone = _Flag()
        self._watched = self._finished = self._ticks = False
        self._others: _Flag | None = None  # the other rounds are through; None until they are begun

    async def run(self) -> None:
        """All rounds, one after the other; then wait for what the inner app does after its answers."""
        self._relay.begin_round()
        await self._app(self._begun(), self._call.prepared(self._exchange, next(self._flow), 1), self._gate.feed)
        if self._others is None:
            await self._go_on(_Flag())
        elif not self._others.is_set():
            await self._others.wait()
        if self._watched or self._deadline < inf:
            self._group.cancel_scope.cancel()

    async def _go_on(self, through: _Flag) -> None:
        """Whatever follows the first round; then the event is set."""
        self._others = through
        try:
            if self._follows:
                await self._look_around()
            await self._later_rounds()
        except Exception as error:
            self.error = self.error or error
            self._group.cancel_scope.cancel()
        self._finished = True
        self._gone.set()
        for each in self._running:
            if not each.over.is_set():
                await each.over.wait()
        through.set()

    async def _later_rounds(self) -> None:
        """Once the client has left, none is begun: nobody would get what it costs."""
        call, exchange, relay, gate = self._call, self._exchange, self._relay, self._gate
        number = 1
        while not self._gone.is_set() and (second := gate.take()) is not None:
            number += 1
            relay.follow(exchange.flow())
            await self._round(call.second(exchange, second), gate.again)
        if (self.error is None or gate.whole) and not self._gone.is_set():
            await gate.settle()
        while (body := relay.next_body) is not None and not self._gone.is_set():
            number += 1
            relay.begin_round()
            await self._round(call.prepared(exchange, body, number), relay.feed)
            while relay.again_in is not None:
                await self._pause(relay.again_in)
                if self._gone.is_set():
                    break
                relay.begin_again()
                await self._round(call.prepared(exchange, body, number), relay.feed)

    @property
    def _follows(self) -> bool:
        """The first answer was not the last one."""
        return self._gate.second is not None or self._relay.next_body is not None

    # -- one round -----------------------------------------------------------------------------------------------------

    def _begun(self) -> _Round:
        this = _Round()
        self._running.append(this)
        return this

    async def _round(self, prepared: tuple[Scope, bytes], feed: Callable[[Message], Awaitable[bool]]) -> None:
        """One call of the inner app in a task of its own, until its answer is complete; the client's stream is kept alive."""
        this = self._begun()
        self._group.start_soon(self._app, this, prepared, feed)
        await self._answer_of(this)

    async def _answer_of(self, this: _Round) -> None:
        """Wait for the end of a round's answer; the client's stream is kept alive."""
        while not this.answered.is_set():
            latest = anyio.current_time() + self._exchange.route.keep_alive_s
            with anyio.CancelScope(deadline=min(self._relay.silent_until, latest)):
                await this.answered.wait()
            async with self._turn:
                if not this.answered.is_set() and self._relay.silent_until <= anyio.current_time():
                    await self._relay.keep_alive()

    async def _app(self, this: _Round, prepared: tuple[Scope, bytes], feed: Callable[[Message], Awaitable[bool]]) -> None:
        """One call of the inner app, until it returns."""

        async def later() -> Message:
            if not this.closed.is_set():  # who only looks (in a canceled scope) gets no further than the first wait
                self._watch()
                await this.closed.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            if this.answered.is_set():
                return  # the round is over, or was given up: like a server after a disconnect, take what still comes
            this.answering = True
            async with self._turn:
                complete = await feed(message)
                if not complete and self._relay.waiting:
                    await self._hold()
            self._tick()
            if complete:
                self._complete(this)

        scope, body = prepared
        try:
            await self._call.app(scope, serve(body, later, self._exchange.sent), send)
            await self._exchange.sent()
        except BaseException as error:
            if not _is_the_apps(error):
                raise
            if this.answering or not isinstance(error, Exception) or not self._relay.failed(error):
                self.error = self.error or error
        finally:
            this.over.set()
            this.end()

    def _complete(self, this: _Round) -> None:
        """A round's answer is complete. What follows the first one does not wait until its app returns."""
        this.end()
        if self._others is None and self._follows:
            self._others = _Flag()
            self._context.run(self._group.start_soon, self._go_on, self._others)
        elif self._others is None:
            self._finished = True  # what the app still does is none of the client's business

    # -- meanwhile -----------------------------------------------------------------------------------------------------

    async def _hold(self) -> None:
        """The start of a stream is held, as long as it may be."""
        if self._deadline == inf:
            self._deadline = anyio.current_time() + self._exchange.route.hold_s
            self._group.start_soon(self._meanwhile, self._let_go)
        elif self._deadline <= anyio.current_time():
            await self._relay.release()

    async def _let_go(self) -> None:
        await anyio.sleep_until(self._deadline)
        async with self._turn:
            if self._relay.waiting:
                await self._relay.release()
        self._tick()

    def _tick(self) -> None:
        """Begin to keep the stream alive in the first round, if there is need. (Who waits for a later one does so.)"""
        if not self._ticks and self._others is None and self._relay.silent_until < inf:
            self._ticks = True
            self._group.start_soon(self._meanwhile, self._answer_of, self._running[0])

    async def _meanwhile(self, work: Callable[..., Awaitable[None]], *given: _Round) -> None:
        """Something that goes on beside a call."""
        try:
            await work(*given)
        except Exception as error:  # the server's, of a client that left
            self.error = self.error or error
            self._group.cancel_scope.cancel()

    def _watch(self) -> None:
        """Begin to listen for the client."""
        if not self._watched:
            self._watched = True
            self._group.start_soon(self._listen)

    async def _look_around(self) -> None:
        """Begin to listen, and find out whether the client has left by now."""
        self._watch()
        for _ in range(_LOOK_TURNS):
            await anyio.lowlevel.checkpoint()

    async def _listen(self) -> None:
        """The only reader of the server's receive: notices that the client left."""
        try:
            while (await self._call.receive())["type"] != "http.disconnect":
                await anyio.lowlevel.checkpoint()  # test clients may answer at once, again and again
        except Exception as error:
            _log.warning("receive_failed", request_id=self._exchange.request_id, error=type(error).__name__)
            return
        self._gone.set()
        for each in self._running:
            each.closed.set()
        await anyio.sleep(_GRACE_S)
        if not self._finished:
            self._group.cancel_scope.cancel()

    async def _pause(self, seconds: float) -> None:
        """Wait before a round is tried again, as long as there is a client, whose stream stays alive."""
        relay = self._relay
        end = anyio.current_time() + seconds
        while (now := anyio.current_time()) < end and not self._gone.is_set():
            with anyio.move_on_after(min(end, relay.silent_until) - now):
                await self._gone.wait()
            if anyio.current_time() >= relay.silent_until and not self._gone.is_set():
                async with self._turn:
                    await relay.keep_alive()
