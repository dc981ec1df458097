"""The request body: read whole, decoded, and given on as it came or as it was made."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from headroom_asgi.types import Message, Receive

# Messages that are kept one by one; of a body in more pieces than that, small ones are joined: each message costs 200 bytes.
_KEPT: Final = 1024
_JOINED_BYTES: Final = 64 * 1024


@dataclass(slots=True, repr=False)
class Received:
    """What was read of a request body.

    Attributes:
        messages: the ASGI messages as they came, for replay; behind a thousand of them in larger pieces.
        size: bytes of body in them.
        complete: the whole body is here. If not, the client left, or the body is larger than allowed.
    """

    messages: list[Message] = field(default_factory=list)
    size: int = 0
    complete: bool = False

    @property
    def body(self) -> bytes:
        """The body; if it came in one message, that very object."""
        chunks = [message["body"] for message in self.messages if message.get("body")]
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def read(receive: Receive, max_bytes: int) -> Received:
    """Read until the body is complete, the client leaves, or more than `max_bytes` came."""
    received = Received()
    joined = bytearray()
    while True:
        message = await receive()
        if message.get("more_body", False) and not message.get("body"):
            continue  # says nothing, and any number of them may come
        small = message.get("body", b"")
        if len(received.messages) >= _KEPT and message.get("more_body", False) and len(joined) + len(small) <= _JOINED_BYTES:
            joined += small
            received.size += len(small)
            if received.size <= max_bytes:
                continue
            message = {"type": "http.request", "body": b"", "more_body": True}
        if joined:
            received.messages.append({"type": "http.request", "body": bytes(joined), "more_body": True})
            joined.clear()
        received.messages.append(message)
        if message["type"] != "http.request":
            return received
        received.size += len(message.get("body", b""))
        if not message.get("more_body", False):
            received.complete = True
            return received
        if received.size > max_bytes:
            return received


def replay(received: Received, receive: Receive) -> Receive:
    """A receive callable that gives what was read, then goes on with the server's own."""
    waiting = iter(received.messages)

    async def inner() -> Message:
        message = next(waiting, None)
        return message if message is not None else await receive()

    return inner


def serve(body: bytes, later: Callable[[], Awaitable[Message]], delivered: Callable[[], Awaitable[None]]) -> Receive:
    """A receive callable that gives a body in one message, tells `delivered`, then answers what `later` says."""
    given = False

    async def inner() -> Message:
        nonlocal given
        if given:
            return await later()
        given = True
        await delivered()
        return {"type": "http.request", "body": body, "more_body": False}

    return inner
