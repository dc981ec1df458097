"""An internal LLM gateway: forwards every request to one upstream, streams the answers, and has the middleware in it.

    UPSTREAM_BASE_URL=https://api.example.com uvicorn --factory example_app.gateway:app

What differs between teams is configuration by path; the prefix is taken off before a request goes upstream:

    /v1/...           the middleware's defaults
    /team-a/v1/...    everything: long results become short, what was left out can be asked for
    /team-b/v1/...    lossless only: nothing is ever left out
    /direct/v1/...    off: what a gateway without the middleware does, to compare with
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import httpx
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.types import Message

from headroom_asgi import HeadroomMiddleware, RouteConfig

TEAMS = ("/team-a", "/team-b", "/direct")
ROUTES = [
    RouteConfig(path="/team-a/*", mode="ccr"),
    RouteConfig(path="/team-b/*", mode="lossless"),
    RouteConfig(path="/direct/*", mode="off"),
]
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
# RFC 9110 7.6.1: these belong to one connection. Host and content-length are written anew.
_HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer transfer-encoding "
    b"upgrade host".split()
)
_WRITTEN_HERE = (b"date", b"server")  # by the server that the gateway runs in; twice would be wrong
_TIMEOUT = httpx.Timeout(600, connect=10)  # a model may think for minutes before the first byte
_CLIENT_CLOSED = 499  # nobody reads it; it marks the request in access logs


def app() -> Starlette:
    """The gateway in front of `UPSTREAM_BASE_URL`."""
    return create_app(os.environ["UPSTREAM_BASE_URL"])


def create_app(upstream_base_url: str) -> Starlette:
    """The gateway in front of an upstream, e.g. `https://api.openai.com`."""
    base_url = httpx.URL(upstream_base_url)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        # The upstream is named by its URL alone: proxies and .netrc of the machine have no say.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=100)
        async with httpx.AsyncClient(timeout=_TIMEOUT, limits=limits, trust_env=False) as client:
            app.state.client = client
            yield

    async def forward(request: Request) -> Response:
        return await _forward(request, base_url)

    everything = Route("/{path:path}", forward, methods=_METHODS)
    gateway = Starlette(routes=[*(Mount(team, routes=[everything]) for team in TEAMS), everything], lifespan=lifespan)
    gateway.add_middleware(HeadroomMiddleware, routes=ROUTES)
    return gateway


async def _forward(request: Request, base_url: httpx.URL) -> Response:
    """One request upstream, and its answer as it comes."""
    body = await request.body()
    try:
        answer = await _send_while_wanted(request, _outgoing(request, base_url, body))
    except httpx.TimeoutException as error:
        return _failure(504, f"the upstream did not answer in time: {error!r}")
    except httpx.TransportError as error:
        return _failure(502, f"the upstream cannot be reached: {error!r}")
    if answer is None:
        return Response(status_code=_CLIENT_CLOSED)
    response = StreamingResponse(_chunks(answer), answer.status_code, background=BackgroundTask(answer.aclose))
    response.raw_headers = [(name, value) for name, value in _end_to_end(answer.headers.raw) if name not in _WRITTEN_HERE]
    return response


def _outgoing(request: Request, base_url: httpx.URL, body: bytes) -> httpx.Request:
    """The request as it goes upstream: the same method, path, query, headers and body."""
    mounted = len(request.scope["root_path"].encode())
    path = request.scope["raw_path"].partition(b"?")[0][mounted:]
    query = b"?" + request.scope["query_string"] if request.scope["query_string"] else b""
    url = base_url.copy_with(raw_path=base_url.raw_path.rstrip(b"/") + path + query)
    headers = [(name, value) for name, value in _end_to_end(request.headers.raw) if name != b"content-length"]
    # Not `client.build_request`, which would add headers and cookies of its own.
    return httpx.Request(request.method, url, headers=headers, content=body or None, extensions={"timeout": _TIMEOUT.as_dict()})


async def _send_while_wanted(request: Request, outgoing: httpx.Request) -> httpx.Response | None:
    """The answer's head, or None if the client left before it came; the upstream call is then cancelled."""
    client: httpx.AsyncClient = request.app.state.client
    answer: httpx.Response | None = None
    failure: httpx.TransportError | None = None
    async with anyio.create_task_group() as tasks:

        async def watch() -> None:
            message: Message = {"type": ""}
            while message["type"] != "http.disconnect":
                message = await request.receive()
            tasks.cancel_scope.cancel()

        tasks.start_soon(watch)
        try:
            answer = await client.send(outgoing, stream=True)
        except httpx.TransportError as error:
            failure = error
        tasks.cancel_scope.cancel()
    if failure:
        raise failure
    return answer


async def _chunks(answer: httpx.Response) -> AsyncIterator[bytes]:
    """The bytes of an answer as they come, undecoded; the upstream call ends with whoever reads them."""
    try:
        async for chunk in answer.aiter_raw():
            yield chunk
    finally:
        with anyio.CancelScope(shield=True):
            await answer.aclose()


def _end_to_end(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Headers, in order, without those that belong to one connection."""
    lower = [(name.lower(), value) for name, value in headers]
    named = {part.strip().lower() for name, value in lower if name == b"connection" for part in value.split(b",")}
    return [(name, value) for name, value in lower if name not in _HOP_BY_HOP and name not in named]


def _failure(status: int, message: str) -> Response:
    return JSONResponse({"type": "error", "error": {"type": "upstream_error", "message": message}}, status)
