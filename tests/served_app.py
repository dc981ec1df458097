"""An app for real servers: a model behind the middleware whose second round waits for a word, and what became of its calls."""

import anyio
from anyio.lowlevel import RunVar

from headroom_asgi import HeadroomMiddleware
from headroom_asgi.types import Receive, Scope, Send
from tests.driver import answer_json, whole_body
from tests.test_rounds import Model

_go: RunVar[anyio.Event] = RunVar("go")  # events belong to a loop
seen: list[str] = []


def go() -> anyio.Event:
    event = _go.get(None)
    if event is None:
        event = anyio.Event()
        _go.set(event)
    return event


async def inner(scope: Scope, receive: Receive, send: Send) -> None:
    """`/go` lets second rounds answer, `/seen` tells what happened, `/again` begins anew; everything else is the model."""
    if scope["type"] == "lifespan":
        for word in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{word}.complete"})
        return
    if scope["path"] in ("/go", "/seen", "/again"):
        if scope["path"] == "/go":
            go().set()
        if scope["path"] == "/again":
            seen.clear()
            _go.set(anyio.Event())
        await whole_body(receive)
        await answer_json(seen)(b"", send)
        return
    number = scope["extensions"]["headroom"]["round"]
    seen.append(f"round {number}")
    try:
        if number == 2:
            await go().wait()
        dialect = "anthropic" if scope["path"].endswith("messages") else "openai-chat"
        await Model(dialect, "ORD-10059", stream=True, preamble="Let me look.")(scope, receive, send)
    except anyio.get_cancelled_exc_class():
        seen.append(f"round {number} canceled")
        raise


app = HeadroomMiddleware(inner, discover=False)
