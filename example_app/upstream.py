"""A scripted model provider for offline use: every dialect, streamed or not, validated as the real ones do.

It keeps what it saw per conversation for `GET /_seen/{session}?after=N`, and counts for `GET /_stats`. A header can tell it what
to say, how to cut its streams, and when to fail (see `Control`).
"""

import json
from typing import Any
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from example_app.answers import RETRIEVE_TOOL, decide, named, round_of
from example_app.control import Control, delivered
from example_app.dialects import Address, Dialect, Envelope, Memory, RefusedError, dialect_at
from example_app.sessions import Sessions
from example_app.view import CONTROL_HEADER, FACTS_HEADER, SESSION_HEADER, Item, Reply, digest

_CHARACTERS_PER_TOKEN = 4  # for the usage figures, which nobody here relies on


def app() -> Starlette:
    """The upstream as an ASGI application: `uvicorn --factory example_app.upstream:app`."""
    sessions, memory = Sessions(), Memory()

    async def model(request: Request) -> Response:
        found = dialect_at(request.url.path, request.url.query)
        if found is None:
            return JSONResponse({"error": {"message": f"no such endpoint: {request.url.path}"}}, 404)
        return await _complete(*found, request, sessions, memory)

    async def stats(_: Request) -> Response:
        return JSONResponse(sessions.sums())

    async def seen(request: Request) -> Response:
        session = sessions.get(request.path_params["session"])
        new = session.seen - int(request.query_params.get("after", 0))
        return JSONResponse({**session.counts(), "bodies": list(session.bodies)[max(0, len(session.bodies) - new) :]})

    return Starlette(
        routes=[
            Route("/_stats", stats),
            Route("/_seen/{session:path}", seen),
            Route("/{path:path}", model, methods=["POST"]),
        ]
    )


async def _complete(dialect: Dialect, address: Address, request: Request, sessions: Sessions, memory: Memory) -> Response:
    """One completion: validate, note, decide, and write the answer."""
    control = Control.read(request.headers.get(CONTROL_HEADER))
    name = request.headers.get(SESSION_HEADER)
    try:
        sent = json.loads(await request.body())
        body = dialect.recalled(sent, address, memory) if isinstance(sent, dict) else sent
        dialect.validate(body)
    except (ValueError, RefusedError) as error:
        session = sessions.get(name or "refused")
        session.requests += 1
        session.validation_failures += 1
        refused = error if isinstance(error, RefusedError) else RefusedError("We could not parse the JSON body.", "body")
        return _refused(dialect, refused)
    items = named(list(dialect.items(body)))
    if address.counts:
        return JSONResponse(dialect.counted(_tokens(items)))
    number = round_of(items)
    session = sessions.get(name or digest(dialect.name, next((item.text for item in items if item.kind == "user"), "")))
    session.see(sent, [dialect.head(body), *body[dialect.messages]], items, hidden=number > 1)
    session.unread += dialect.unread(body)
    if control.refuses(number):
        return _refused(dialect, RefusedError("Busy, try again later.", status=control.fail.status))
    facts = request.headers.get(FACTS_HEADER)
    reply = decide(items, dialect.tools(body), json.loads(unquote(facts)) if facts else None, control.script)
    session.retrievals += sum(call.name == RETRIEVE_TOOL for call in reply.calls)
    envelope = _envelope(body, items, reply)
    session.tokens_in += envelope.tokens_in
    session.tokens_out += envelope.tokens_out
    answer = dialect.answer(reply, envelope)
    dialect.keep(body, answer, memory)
    if dialect.streams(body, address):
        frames = dialect.frames(answer, reply, envelope, address)
        media, broken = address.media, dialect.broken("The model is overloaded.", address)
    else:
        frames, media, broken = iter([json.dumps(answer).encode()]), "application/json", b""
    written = delivered(frames, control, number, broken)
    return StreamingResponse(written, headers={"cache-control": "no-cache", "content-type": media})


def _refused(dialect: Dialect, refused: RefusedError) -> Response:
    body = dialect.refusal(refused)
    headers = {"x-amzn-errortype": body["__type"]} if "__type" in body else None
    return JSONResponse(body, refused.status, headers)


def _tokens(items: list[Item]) -> int:
    return 1 + sum(len(item.text) + len(item.name) for item in items) // _CHARACTERS_PER_TOKEN


def _envelope(body: dict[str, Any], items: list[Item], reply: Reply) -> Envelope:
    """Ids and counts depend on what the model reads and not on its spelling, so that they are alike streamed or not."""
    said = len(reply.text) + len(json.dumps([call.arguments for call in reply.calls]))
    key = digest([[item.kind, item.text, item.name, item.call_id] for item in items])
    return Envelope(body=body, key=key, tokens_in=_tokens(items), tokens_out=1 + said // _CHARACTERS_PER_TOKEN)
