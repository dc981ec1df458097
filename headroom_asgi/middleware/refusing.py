"""The gate before the relay: an answer that refuses our body is held while something else is tried."""

from typing import Final

import headroom_asgi.middleware.headers as head
from headroom_asgi.engine import MAX_ERROR_BYTES, REFUSED, Exchange, Second
from headroom_asgi.middleware.codings import CodingError, codings_of, decode
from headroom_asgi.middleware.respond import Relay
from headroom_asgi.types import Message, Send

_OK: Final = range(200, 300)
_MAX_TRIES: Final = 16  # a refusal names one call whose results are lost; models seldom make more of them at once


class Gate:
    """Takes the inner app's messages in place of the relay, and gives on what is none of its business.

    Args:
        exchange: whose answer it is.
        relay: what answers go to.
        send: the server's callable.

    Attributes:
        second: what is to be tried after a refusal (`take`); None if nothing is.
        whole: the last answer, a refusal or what was tried then, came to its end; whatever fails behind it, the client gets one.
    """

    def __init__(self, exchange: Exchange, relay: Relay, send: Send) -> None:
        self._exchange = exchange
        self._relay = relay
        self._send = send
        self._held: list[Message] = []  # the first refusal, which stands if nothing is taken and nobody is busy
        self._again: list[Message] = []  # one of what was tried then
        self._size = 0
        self._tries = 1
        self._first = True
        self._trying: Second | None = None
        self._accepted = False  # what was tried then
        self._told = False  # another error than a refusal, which the client gets as it comes
        self.second: Second | None = None
        self.whole = False

    def take(self) -> Second | None:
        """What is tried now; None if there is nothing more to try. The answer goes to `again`."""
        self._trying, self.second = self.second, None
        self.whole = self.whole and self._trying is None
        return self._trying

    async def feed(self, message: Message) -> bool:
        """Handle one message. True when the answer is complete, for the client (`Relay.feed`) or as one that refuses our body:
        then there is something to `take`, and `settle` comes last.
        """
        if self._first and message["type"] == "http.response.start":
            self._first = False
            if self._exchange.refusable(message["status"]):
                self._held.append(message)
                return False
            if message["status"] in _OK:
                self._exchange.accepted()
        if not self._held:
            return await self._relay.feed(message)
        last = self._keep(self._held, message)
        if last and self._size <= MAX_ERROR_BYTES:
            self.second = await self._exchange.second_try(self._held[0]["status"], await self._error(self._held))
            if self.second is not None:
                self.whole = True
                return True
        return await self._release() if last or self._size > MAX_ERROR_BYTES else False

    async def again(self, message: Message) -> bool:
        """Handle one message of the answer to what was tried then. True when it is complete; there may be more to `take`.

        To the client's own body it passes as it comes (unless that is bound to our tool), to one of ours it is answered like any
        other; a refusal is dropped.
        Another error is told: busy, the client may try again, and would not after the first answer.
        """
        assert self._trying is not None
        own, passes = self._trying is Second.OWN, self._trying is Second.OWN and not self._exchange.bound
        if message["type"] == "http.response.start":
            self._again, self._size = [], 0
            self._told = message["status"] not in _OK and message["status"] not in REFUSED
            if self._told:
                self._held = []
            elif message["status"] in _OK:
                self._accepted = True
                if own:
                    await self._exchange.refused()
                    message = self._own(message) if passes else message
                else:
                    self._exchange.accepted(self._trying)
        if self._told or (self._accepted and not passes):
            return await self._relay.feed(message)
        if self._accepted:
            await self._send(message)
        elif self._keep(self._again, message):
            self.second = await self._next()
        self.whole = _ends(message)
        return self.whole

    async def settle(self) -> None:
        """What was tried then was no better received: the first answer stands, unless the last was no refusal."""
        if self._held and not self._accepted:
            await self._release()

    async def _next(self) -> Second | None:
        """What is left to try after another refusal: of calls whose results are lost, each has one of its own."""
        self._tries += 1
        mends = self._trying is Second.ANSWERED or (self._trying is Second.OWN and self._exchange.bound)
        if self._size > MAX_ERROR_BYTES or not mends or self._tries >= _MAX_TRIES:
            return None
        left = await self._exchange.second_try(self._again[0]["status"], await self._error(self._again))
        return left if left is Second.ANSWERED else None

    def _keep(self, messages: list[Message], message: Message) -> bool:
        """Hold a message of a refusal, as far as it may be one; whether it is the last."""
        self._size += len(message.get("body", b""))
        if self._size <= MAX_ERROR_BYTES or messages is self._held:
            messages.append(message)
        return _ends(message)

    def _own(self, start: Message) -> Message:
        """The start of the answer that the client's own body got, with what we say of it."""
        self._exchange.notes.status = start["status"]
        return {**start, "headers": [*start.get("headers", []), *head.ours(self._exchange)]}

    async def _release(self) -> bool:
        """The relay gets what was held; True when the answer is complete."""
        messages, self._held = self._held, []
        return [await self._relay.feed(message) for message in messages][-1]

    async def _error(self, messages: list[Message]) -> bytes:
        """What the answer says; as it came if it cannot be decoded."""
        raw = b"".join(message.get("body", b"") for message in messages)
        codings = codings_of(head.get(messages[0].get("headers", []), b"content-encoding"))
        try:
            return await self._exchange.engine.work(len(raw), decode, raw, codings, MAX_ERROR_BYTES)
        except CodingError:
            return raw


def _ends(message: Message) -> bool:
    return message["type"] == "http.response.body" and not message.get("more_body", False)
