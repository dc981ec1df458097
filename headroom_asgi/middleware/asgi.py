"""The ASGI middleware: matches, reads, hands to the engine, calls the inner app, answers."""

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar, Unpack

import anyio

import headroom_asgi.middleware.headers as head
from headroom_asgi.callers import TenantResolver, settled
from headroom_asgi.config import HeadroomConfig, Route, SettingFields
from headroom_asgi.engine import Engine, Exchange, Incoming, Reply, forget_answers, kept_answers
from headroom_asgi.errors import ConfigError
from headroom_asgi.logs import get_logger
from headroom_asgi.middleware.body import Received, read, replay
from headroom_asgi.middleware.codings import CodingError, codings_of, decode
from headroom_asgi.middleware.control import MAX_TENANT, Control, said_in, without
from headroom_asgi.middleware.kept import Asked, Keeper, asked_in
from headroom_asgi.middleware.lifespan import run_lifespan
from headroom_asgi.middleware.upstream import Call, call_in_rounds, call_once
from headroom_asgi.store import Store
from headroom_asgi.types import ASGIApp, Message, Receive, Scope, Send
from headroom_asgi.wire import Endpoint, WireFormat, dialect_for

_log = get_logger(__name__)

T = TypeVar("T")


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
            raise ConfigError(f"config: a {type(config).__name__} is not a HeadroomConfig")
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
        given, scope = scope, without(scope)
        found = self._match(scope)
        asked = self._asked_about(scope) if found is None else None
        if found is None and asked is None:
            await self.app(scope, receive, send)
            return
        control = await self._control(given) if given is not scope else Control()
        if found is not None:
            await self._handle(*found, control, scope, receive, send)
        elif asked is not None:
            await self._about(asked, control, scope, receive, send)

    async def delete_tenant(self, tenant: str) -> int:
        """Delete everything of one tenant from the store, and from the memory of this process; how many entries there were.

        Args:
            tenant: its name, as the resolver gives it; "" is the one of an app without a resolver.
        """
        return await self._engine.delete_tenant(tenant)

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

    def _asked_about(self, scope: Scope) -> Asked | None:
        """What a request asks about an answer that the provider keeps, if one of ours may be meant."""
        asked = asked_in(scope)
        if asked is None or not self._engine.store.shared or "headroom" in (scope.get("extensions") or {}):
            return None
        return asked if self._settings.route(head.route_path(scope)).mode != "off" else None

    async def _about(self, asked: Asked, control: Control, scope: Scope, receive: Receive, send: Send) -> None:
        """A request about an answer that the provider keeps. Of exchanges that nothing is known of it passes."""
        tenant = None if control.passes else await self._whose(control, scope, "")
        entry = None
        try:
            if tenant is not None:
                entry = await kept_answers(self._engine.store, asked.wire, tenant, asked.name)
        except Exception as error:  # stores of others raise what they like
            _log.warning("recall_failed", error=type(error).__name__)
        if tenant is None or entry is None:
            await self.app(scope, receive, send)
            return
        most = self._settings.default.max_response_bytes
        keeper = Keeper(self.app, asked, entry.kept, scope, receive, send, engine=self._engine, max_bytes=most)
        if asked.rest:
            await keeper.pass_input()
        elif not asked.deletes:
            await keeper.retell()
        elif await keeper.delete():
            try:
                await forget_answers(self._engine.store, tenant, entry)
            except Exception as error:
                _log.warning("forget_failed", error=type(error).__name__)

    async def _handle(
        self, wire: WireFormat, endpoint: Endpoint, route: Route, control: Control, scope: Scope, receive: Receive, send: Send
    ) -> None:
        received = Received() if control.passes else await read(receive, self._settings.max_body_bytes)
        headers = [(bytes(key), bytes(value)) for key, value in scope["headers"]]
        exchange = Exchange(
            engine=self._engine,
            incoming=Incoming(control.lowered(route), wire, endpoint, head.request_id(headers) or secrets.token_hex(16)),
            headers=head.visible(headers),
            original=b"",
        )
        exchange.notes.controls = control.names
        try:
            reason = control.passes or await self._read_into(exchange, received, control, scope)
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

    async def _control(self, scope: Scope) -> Control:
        """What the control headers of a request say, if its sender is trusted."""
        rule = self._settings.trusted_headers
        return (
            said_in(scope["headers"])
            if rule is not None and await self._asked("trust_failed", rule, scope) is True
            else Control()
        )

    async def _read_into(self, exchange: Exchange, received: Received, control: Control, scope: Scope) -> str:
        """Tenant and decoded body; or the reason why this request passes as it came."""
        if received.messages[-1]["type"] != "http.request":
            return "skipped:client_left"
        if not received.complete:
            return "skipped:too_large"
        headers = scope["headers"]
        if head.is_signed(headers, scope.get("query_string", b"")) and not exchange.route.resigns:
            return "skipped:signed_body"
        tenant = await self._whose(control, scope, exchange.request_id)
        if tenant is None:
            return "failed_open:tenant"
        if tenant:
            exchange.incoming = replace(exchange.incoming, tenant=tenant)
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
        except Exception as error:  # a decoder is somebody else's, and its body may be too large for this machine
            _log.error("body_not_decoded", request_id=exchange.request_id, error=type(error).__name__)
            return "failed_open:decode"
        return ""

    async def _whose(self, control: Control, scope: Scope, request_id: str) -> str | None:
        """The tenant of a request; None if nobody can tell."""
        if control.tenant is not None:
            return control.tenant
        if self._settings.tenant is None:
            return ""
        return await self._tenant_of(self._settings.tenant, scope, request_id) or None

    async def _tenant_of(self, resolver: TenantResolver, scope: Scope, request_id: str) -> str:
        """The tenant's name; "" (and a log line) if the resolver fails or names none: nobody's originals are then made."""
        tenant = await self._asked("tenant_failed", resolver, scope, request_id=request_id)
        if isinstance(tenant, str) and 0 < len(tenant) <= MAX_TENANT:
            return tenant
        if tenant is not None:
            _log.warning("tenant_failed", error=f"a {type(tenant).__name__} that is no name", request_id=request_id)
        return ""

    async def _asked(self, event: str, rule: Callable[[Scope], T | Awaitable[T]], scope: Scope, **known: str) -> T | None:
        """What a function of the app's says about a request. None, and a log line, if it fails or takes too long."""
        try:
            with anyio.fail_after(self._settings.extension_timeout_s):
                return await settled(rule(scope))
        except Exception as error:
            _log.warning(event, error=type(error).__name__, **known)
            return None

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
