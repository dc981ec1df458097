"""A scripted model provider for offline use: both wire formats, streamed or not, validated as the real ones do.

It keeps what it saw per conversation for `GET /_seen/{session}?after=N`, and counts for `GET /_stats`. A request whose earlier
messages differ from those that the same conversation sent before counts as `prefix_broken`.
"""

import asyncio
import json
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from example_app.answers import RETRIEVE_TOOL, decide
from example_app.stream import Envelope, Reply, reply_events, reply_json
from example_app.validate import RefusedError, error_body, signature, validate
from example_app.view import (
    FACTS_HEADER,
    PATHS,
    SESSION_HEADER,
    Item,
    WireFormat,
    conversation_id,
    digest,
    items_of,
    tool_names,
)

_MAX_SESSIONS = 128  # the oldest are forgotten, since the demo may stay up for days
_MAX_BODIES = 8  # kept per conversation: more than the rounds that one request of a client takes
_CHARACTERS_PER_TOKEN = 4  # for the usage figures, which nobody here relies on


@dataclass(slots=True)
class Session:
    """What one conversation sent so far.

    Attributes:
        bodies: the newest valid requests.
        seen: the number of valid requests.
        prefix: digests of the head (system and tools) and of each message, as the last request of the client had them.
        requests, validation_failures, retrievals, prefix_broken: counts.
    """

    bodies: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=_MAX_BODIES))
    seen: int = 0
    prefix: list[str] = field(default_factory=list)
    requests: int = 0
    validation_failures: int = 0
    retrievals: int = 0
    prefix_broken: int = 0

    def counts(self) -> dict[str, int]:
        """The counts, by name."""
        names = ("seen", "requests", "validation_failures", "retrievals", "prefix_broken")
        return {name: getattr(self, name) for name in names}

    def see(self, body: dict[str, Any], items: list[Item]) -> None:
        """Note a valid request, and whether it only extends what was sent before.

        A hidden round (its end answers our own tool) is compared, but not what later requests are compared with: the
        client does not know of it.
        """
        self.bodies.append(body)
        self.seen += 1
        now = [digest(body.get("system"), body.get("tools")), *(digest(message) for message in body["messages"])]
        self.prefix_broken += now[: len(self.prefix)] != self.prefix
        if not (items and items[-1].kind == "result" and items[-1].name == RETRIEVE_TOOL):
            self.prefix = now


class Sessions:
    """The conversations that the upstream remembers, and the sums of their counts."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._forgotten = Session()

    def get(self, name: str) -> Session:
        """A conversation's record, made if it is new."""
        session = self._sessions.setdefault(name, Session())
        self._sessions.move_to_end(name)
        if len(self._sessions) > _MAX_SESSIONS:
            _, oldest = self._sessions.popitem(last=False)
            for key, count in oldest.counts().items():
                setattr(self._forgotten, key, getattr(self._forgotten, key) + count)
        return session

    def sums(self) -> dict[str, int]:
        """The counts over all conversations."""
        every = [self._forgotten.counts(), *(session.counts() for session in self._sessions.values())]
        return {key: sum(counts[key] for counts in every) for key in every[0]}


def app() -> Starlette:
    """The upstream as an ASGI application: `uvicorn --factory example_app.upstream:app`."""
    sessions = Sessions()

    async def chat(request: Request) -> Response:
        return await _complete("chat", request, sessions)

    async def messages(request: Request) -> Response:
        return await _complete("anthropic", request, sessions)

    async def stats(_: Request) -> Response:
        return JSONResponse(sessions.sums())

    async def seen(request: Request) -> Response:
        session = sessions.get(request.path_params["session"])
        new = session.seen - int(request.query_params.get("after", 0))
        return JSONResponse({**session.counts(), "bodies": list(session.bodies)[max(0, len(session.bodies) - new) :]})

    return Starlette(
        routes=[
            Route(PATHS["chat"], chat, methods=["POST"]),
            Route(PATHS["anthropic"], messages, methods=["POST"]),
            Route("/_stats", stats),
            Route("/_seen/{session:path}", seen),
        ]
    )


async def _complete(wire_format: WireFormat, request: Request, sessions: Sessions) -> Response:
    """One completion: validate, note, decide, and write the answer."""
    try:
        body = json.loads(await request.body())
    except ValueError:
        body = None
    named = request.headers.get(SESSION_HEADER)
    try:
        validate(wire_format, body)
    except RefusedError as refused:
        session = sessions.get(named or "refused")
        session.requests += 1
        session.validation_failures += 1
        return JSONResponse(error_body(wire_format, refused), 400)
    session = sessions.get(conversation_id(wire_format, body, named))
    items = items_of(wire_format, body)
    session.requests += 1
    session.see(body, items)
    facts = request.headers.get(FACTS_HEADER)
    reply = decide(items, tool_names(wire_format, body), json.loads(unquote(facts)) if facts else None)
    session.retrievals += sum(call.name == RETRIEVE_TOOL for call in reply.calls)
    envelope = _envelope(wire_format, body, reply)
    if not body.get("stream"):
        return JSONResponse(reply_json(wire_format, reply, envelope))
    headers = {"cache-control": "no-cache"}
    return StreamingResponse(_paced(wire_format, reply, envelope), headers=headers, media_type="text/event-stream")


def _envelope(wire_format: WireFormat, body: dict[str, Any], reply: Reply) -> Envelope:
    thinks = wire_format == "anthropic" and (body.get("thinking") or {}).get("type") in ("enabled", "adaptive")
    return Envelope(
        key=digest(body["messages"]),
        model=body["model"],
        tokens_in=len(json.dumps([body.get("system"), body.get("tools"), body["messages"]])) // _CHARACTERS_PER_TOKEN,
        tokens_out=1 + (len(reply.text) + len(json.dumps([call.arguments for call in reply.calls]))) // _CHARACTERS_PER_TOKEN,
        signature=signature(body, reply.thinking) if thinks else "",
        usage_asked=bool((body.get("stream_options") or {}).get("include_usage")),
    )


async def _paced(wire_format: WireFormat, reply: Reply, envelope: Envelope) -> AsyncIterator[bytes]:
    """The frames, each sent on its own."""
    for frame in reply_events(wire_format, reply, envelope):
        yield frame
        await asyncio.sleep(0)
