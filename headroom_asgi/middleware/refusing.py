"""The gate before the relay: an answer that refuses our body is held while something else is tried, once."""

import headroom_asgi.middleware.headers as head
from headroom_asgi.engine import MAX_ERROR_BYTES, Exchange, Second
from headroom_asgi.middleware.codings import CodingError, codings_of, decode
from headroom_asgi.middleware.respond import Relay
from headroom_asgi.types import Message, Send

_OK = range(200, 300)


class Gate:
    """Takes the inner app's messages in place of the relay, and gives on what is none of its business.

    Args:
        exchange: whose answer it is.
        relay: what answers go to.
        send: the server's callable.

    Attributes:
        second: what is to be tried after a refusal; None if nothing is.
    """

    def __init__(self, exchange: Exchange, relay: Relay, send: Send) -> None:
        self._exchange = exchange
        self._relay = relay
        self._send = send
        self._held: list[Message] = []
        self._size = 0
        self._first = True
        self._accepted = False  # what was tried then
        self.second: Second | None = None

    async def feed(self, message: Message) -> bool:
        """Handle one message. True when the answer is complete, for the client (`Relay.feed`) or as one that refuses our body:
        then `second` is to be tried, the answer to that goes to `again`, and `settle` comes last.
        """
        if self._first and message["type"] == "http.response.start":
            self._first = False
            if self._exchange.refusable(message["status"]):
                self._held.append(message)
                return False
        if not self._held:
            return await self._relay.feed(message)
        self._held.append(message)
        self._size += len(message.get("body", b""))
        last = message["type"] == "http.response.body" and not message.get("more_body", False)
        if last and self._size <= MAX_ERROR_BYTES:
            self.second = await self._exchange.second_try(self._held[0]["status"], await self._error())
            if self.second is not None:
                return True
        return await self._release() if last or self._size > MAX_ERROR_BYTES else False

    async def again(self, message: Message) -> bool:
        """Handle one message of the answer to what was tried then. True when it is complete.

        To the client's own body it passes as it comes, to one of ours it is answered like any other; a refusal is dropped.
        """
        ours = self.second is Second.UNSIGNED
        if message["type"] == "http.response.start" and message["status"] in _OK:
            self._accepted = True
            if ours:
                self._exchange.accepted()
            else:
                message = await self._own(message)
        if self._accepted and ours:
            return await self._relay.feed(message)
        if self._accepted:
            await self._send(message)
        return message["type"] == "http.response.body" and not message.get("more_body", False)

    async def settle(self) -> None:
        """What was tried then was no better received: the first answer stands."""
        if not self._accepted:
            await self._release()

    async def _own(self, start: Message) -> Message:
        """The start of the answer that the client's own body got, with what we say of it."""
        await self._exchange.refused()
        self._exchange.notes.status = start["status"]
        return {**start, "headers": [*start.get("headers", []), *head.ours(self._exchange)]}

    async def _release(self) -> bool:
        """The relay gets what was held; True when the answer is complete."""
        messages, self._held = self._held, []
        return [await self._relay.feed(message) for message in messages][-1]

    async def _error(self) -> bytes:
        """What the answer says; as it came if it cannot be decoded."""
        raw = b"".join(message.get("body", b"") for message in self._held)
        codings = codings_of(head.get(self._held[0].get("headers", []), b"content-encoding"))
        try:
            return await self._exchange.engine.work(len(raw), decode, raw, codings, MAX_ERROR_BYTES)
        except CodingError:
            return raw
