"""The ASGI middleware: matches, reads, hands to the engine, calls the inner app, answers."""

import uuid
from typing import Unpack

import headroom_asgi.middleware.headers as head
from headroom_asgi.config import HeadroomConfig, Route, SettingFields
from headroom_asgi.engine import Engine, Exchange, Reply
from headroom_asgi.errors import ConfigError
from headroom_asgi.logs import get_logger
from headroom_asgi.middleware.body import Received, read, replay
from headroom_asgi.middleware.codings import CodingError, codings_of, decode
from headroom_asgi.middleware.lifespan import run_lifespan
from headroom_asgi.middleware.upstream import Call, call_in_rounds, call_once
from headroom_asgi.store import Store
from headroom_asgi.types import ASGIApp, Message, Receive, Scope, Send
from headroom_asgi.wire import Endpoint, WireFormat, dialect_for

_log = get_logger(__name__)


class HeadroomMiddleware:
    """Shortens what goes to language models, keeps the originals, and answers the model when it asks for them.

    Args:
        app: the app to wrap.
        config: settings; `settings` on top of it.
        store: where originals go: a Store, or an address such as `sqlite:///path` or `redis://host`; memory if None.
        extensions: objects with `on_pipeline_event`.
        hooks: one object or a list, with any of `on_pipeline_event`, `pre_compress`, `post_compress`.
        discover: also load extensions that installed packages offer.
        settings: fields of HeadroomConfig, e.g. `mode="lossless"`.

    Raises:
        ConfigError: names the setting, its value and what was expected.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        config: HeadroomConfig | None = None,
        store: Store | str | None = None,
        extensions: object = None,
        hooks: object = None,
        discover: bool = True,
        **settings: Unpack[SettingFields],
    ) -> None:
        if config is not None and not isinstance(config, HeadroomConfig):
            raise ConfigError(f"config: {config!r} is not a HeadroomConfig")
        resolved = (config or HeadroomConfig()).with_settings(settings).resolve()
        self.app = app
        self._engine = Engine(resolved, store=store, extensions=extensions, hooks=hooks, discover=discover)
        self._settings = resolved
        self._warned_twice = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One ASGI connection. What is no matching request reaches the app with the callables it came with."""
        if scope["type"] == "lifespan":
            await run_lifespan(self.app, self._engine, scope, receive, send)
            return
        await self._engine.start()
        found = self._match(scope)
        if found is None:
            await self.app(scope, receive, send)
        else:
            await self._handle(*found, scope, receive, send)

    def _match(self, scope: Scope) -> tuple[WireFormat, Endpoint, Route] | None:
        """Dialect, endpoint and route of a request that is ours to handle."""
        if scope["type"] != "http" or scope["method"] != "POST":
            return None
        # A dialect is known by the end of the path, whatever part of that a mount or a proxy calls the root.
        found = dialect_for(scope["path"], scope.get("query_string", b"").decode("latin-1"))
        if found is None:
            return None
        route = self._settings.route(head.route_path(scope))
        if route.mode == "off":
            return None
        if "headroom" in (scope.get("extensions") or {}):
            if not self._warned_twice:
                self._warned_twice = True
                _log.warning("installed_twice", path=route.path)
            return None
        return *found, route

    async def _handle(
        self, wire: WireFormat, endpoint: Endpoint, route: Route, scope: Scope, receive: Receive, send: Send
    ) -> None:
        received = await read(receive, self._settings.max_body_bytes)
        headers = [(bytes(key), bytes(value)) for key, value in scope["headers"]]
        exchange = Exchange(
            engine=self._engine,
            route=route,
            wire=wire,
            endpoint=endpoint,
            tenant="",
            request_id=head.get(headers, b"x-request-id") or uuid.uuid4().hex,
            headers=head.visible(headers),
            original=b"",
        )
        try:
            reason = await self._read_into(exchange, received, scope)
            if reason:
                exchange.notes.outcome = reason
                await self._pass(exchange, scope, replay(received, receive), send)
                return
            seen = dict(exchange.headers)
            reply = await exchange.prepare()
            if reply is not None:
                await _answer(exchange, reply, send)
            elif exchange.payload is None:
                await self._pass(exchange, scope, replay(received, receive), send)
            else:
                own = head.edited(headers, seen, exchange.headers)
                call = Call(self.app, dict(scope), own, receive, send, received.body)
                await (call_in_rounds if exchange.intercepts else call_once)(call, exchange)
        finally:
            exchange.close()

    async def _read_into(self, exchange: Exchange, received: Received, scope: Scope) -> str:
        """Tenant and decoded body; or the reason why this request passes as it came."""
        if received.messages[-1]["type"] != "http.request":
            return "skipped:client_left"
        if not received.complete:
            return "skipped:too_large"
        headers = scope["headers"]
        if head.is_signed(headers) and not exchange.route.resigns:
            return "skipped:signed_body"
        if self._settings.tenant is not None:
            tenant = self._tenant_of(scope, exchange.request_id)
            if not tenant:
                return "failed_open:tenant"
            exchange.tenant = tenant
        body = received.body
        codings = codings_of(head.get(headers, b"content-encoding"))
        if len(body) > self._settings.max_body_bytes:
            return "skipped:too_large"
        try:
            exchange.original = (
                await self._engine.work(self._settings.max_body_bytes, decode, body, codings, self._settings.max_body_bytes)
                if codings  # whatever its size, it may become as large as is allowed
                else body
            )
        except CodingError as error:
            return f"skipped:{error.reason}"
        return ""

    def _tenant_of(self, scope: Scope, request_id: str) -> str:
        """The tenant's name; "" (and a log line) if the resolver fails or names none: nobody's originals are then made."""
        assert self._settings.tenant is not None
        try:
            tenant = self._settings.tenant(scope)
        except Exception as error:
            _log.warning("tenant_failed", request_id=request_id, error=type(error).__name__)
            return ""
        if not isinstance(tenant, str) or not tenant:
            _log.warning("tenant_failed", request_id=request_id, error=f"a {type(tenant).__name__}, not a name")
            return ""
        return tenant

    async def _pass(self, exchange: Exchange, scope: Scope, receive: Receive, send: Send) -> None:
        """The request as it came; only the reason is added to the response."""

        async def reasoned(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.notes.status = message["status"]
                message = {**message, "headers": [*message.get("headers", []), *head.ours(exchange)]}
            await send(message)

        await self.app(head.marked(scope), receive, reasoned)


async def _answer(exchange: Exchange, reply: Reply, send: Send) -> None:
    """A response without the inner app."""
    exchange.notes.status = 200
    headers = [(b"content-type", reply.content_type.encode("ascii")), (b"content-length", b"%d" % len(reply.body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers + head.ours(exchange)})
    await send({"type": "http.response.body", "body": reply.body, "more_body": False})
