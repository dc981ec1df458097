"""An exchange as extensions see it: what changes while one request is handled, and the stages at which they hear of it."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from headroom_asgi.config import Route
from headroom_asgi.engine.conversation import Conversation
from headroom_asgi.engine.edits import edited_answer, edited_headers, edited_payload
from headroom_asgi.engine.engine import Engine
from headroom_asgi.engine.notes import Notes
from headroom_asgi.errors import HeadroomError, PayloadError, ResponseError
from headroom_asgi.logs import get_logger
from headroom_asgi.pipeline import PipelineEvent, PipelineStage, copied
from headroom_asgi.retrieval import Originals
from headroom_asgi.wire import Endpoint, Payload, WireFormat

_log = get_logger(__name__)

_MODEL = re.compile(r"[A-Za-z0-9._:/@+=-]{1,200}")


@dataclass(frozen=True, slots=True, repr=False)
class Reply:
    """An answer given without the inner app."""

    body: bytes
    content_type: str


@dataclass(frozen=True, slots=True, repr=False)
class Incoming:
    """What is known of a request before its body is looked at.

    Attributes:
        route: the settings that hold.
        wire: the dialect of its address.
        endpoint: what its address says.
        request_id: which it is.
        tenant: whose it is.
    """

    route: Route
    wire: WireFormat
    endpoint: Endpoint
    request_id: str
    tenant: str = ""


@dataclass(slots=True, repr=False)
class Staged:
    """The only object that changes while one request is handled: its state, and the stages that extensions hear of.

    Attributes:
        engine: what all exchanges share.
        incoming: what is known of the request before its body is looked at.
        headers: of the request as extensions see and edit them, lower-case names.
        original: the body as the client sent it, decoded from its content coding.
        payload: what goes upstream as it stands; None while, or if, the body is not decoded.
        safe: the same without anything shortened: what goes upstream if something of ours fails.
        conversation: what earlier exchanges left for this one, and where it leaves what later ones need; None if nobody looked.
        originals: what this exchange left out and can hand back; None if the tool was not offered.
        bound: the provider holds the conversation, and our tool maybe: whatever goes upstream, answers are looked through.
        metadata: belongs to extensions.
        notes: for headers and the report.
    """

    engine: Engine
    incoming: Incoming
    headers: dict[str, str]
    original: bytes
    payload: Payload | None = None
    safe: Payload | None = None
    conversation: Conversation | None = None
    originals: Originals | None = None
    bound: bool = False
    metadata: dict[str, Any] = field(default_factory=dict)
    notes: Notes = field(default_factory=Notes)

    @property
    def route(self) -> Route:
        """The settings that hold."""
        return self.incoming.route

    @property
    def wire(self) -> WireFormat:
        """The request's dialect: that of its body, as at some addresses bodies of several arrive."""
        return self.incoming.wire if self.payload is None else self.payload.wire

    @property
    def endpoint(self) -> Endpoint:
        """What the request's address says."""
        return self.incoming.endpoint

    @property
    def tenant(self) -> str:
        """Whose the request is."""
        return self.incoming.tenant

    @property
    def request_id(self) -> str:
        """Which it is."""
        return self.incoming.request_id

    @property
    def body(self) -> bytes:
        """What goes upstream; the client's own bytes object if nothing changed."""
        return self.original if self.payload is None else self.payload.sent

    @property
    def streams(self) -> bool:
        """The client asked for a stream."""
        return self.payload is not None and self.payload.stream

    @property
    def listens(self) -> bool:
        """Extensions want to see the answer: to a request that they saw."""
        pinned = self.conversation is not None and self.conversation.pinned
        return self.engine.manager.enabled and self.payload is not None and not pinned

    @property
    def holds_text(self) -> bool:
        """Text of a stream waits until no round can follow: it is structured output, and the model is known to have our tool."""
        offered = self.conversation is not None and self.conversation.held.offered
        asks = not self.notes.obstacle or (offered and self.wire.holds_tools)
        return asks and self.payload is not None and self.payload.structured

    @property
    def model_name(self) -> str:
        """The model for logs and reports: what a client has put there instead of a name is `other`."""
        model = self.payload.model if self.payload is not None else ""
        return model if not model or _MODEL.fullmatch(model) else "other"

    async def _emit(self, stage: PipelineStage) -> Reply | None:
        """Tell extensions of an input stage and take over what they edited; a Reply if one of them answered."""
        if not self.engine.manager.enabled or self.payload is None:
            return None
        try:
            seen = self.payload.decoded
        except PayloadError as error:
            _log.warning("stage_without_messages", stage=stage.value, reason=error.reason, request_id=self.request_id)
            seen = {}
        messages, tools = copied([seen.get("messages"), seen.get("tools")])
        event = self._event(stage, messages=messages, tools=tools, headers=dict(self.headers))
        event, failures = await self.engine.manager.dispatch(event)
        self.notes.prefix_risk = self.notes.prefix_risk or bool(failures)
        if event.stage is PipelineStage.RESPONSE_RECEIVED and stage is not PipelineStage.RESPONSE_RECEIVED:
            return await self._answered(event)
        edits = {name: value for name, value in (("messages", event.messages), ("tools", event.tools)) if name in seen or value}
        try:
            self.payload = edited_payload(self.payload, edits, offered=self.originals is not None)
            self.headers = self.headers if event.headers is None else edited_headers(self.headers, event.headers)
        except (HeadroomError, AttributeError, TypeError, ValueError, RecursionError) as error:
            self.notes.prefix_risk = True
            reason = str(error) if isinstance(error, PayloadError) else type(error).__name__
            _log.warning("extension_edit_refused", stage=stage.value, request_id=self.request_id, error=reason)
        return None

    def _event(self, stage: PipelineStage, **fields: Any) -> PipelineEvent:
        return PipelineEvent(
            stage=stage,
            operation=self.wire.operation,
            request_id=self.request_id,
            provider=self.wire.provider,
            model=self.payload.model if self.payload is not None else None,
            metadata=self.metadata,
            **fields,
        )

    async def _answered(self, event: PipelineEvent) -> Reply | None:
        """An extension's answer, completed to the client's dialect; None (and a log line) if it is no answer."""
        assert self.payload is not None
        self.notes.prefix_risk = False
        try:
            if not isinstance(event.response, Mapping):
                raise ResponseError("the response is not a mapping")
            stream = self.payload.stream
            body = self.wire.complete(event.response, self.payload)
            data = self.wire.as_stream(self.wire.read(body), self.endpoint) if stream else body
        except (HeadroomError, TypeError, ValueError, RecursionError) as error:
            # Of errors that are not ours only the kind: the text may quote the answer.
            reason = str(error) if isinstance(error, HeadroomError) else ""
            _log.warning("short_circuit_refused", request_id=self.request_id, error=type(error).__name__, reason=reason)
            return None
        # It is an answer, so everybody hears of it, and may change it as far as it stays one.
        told = await self.received(body)
        if told is not body:
            try:
                data = self.wire.as_stream(self.wire.read(told), self.endpoint) if stream else told
            except ResponseError as error:
                _log.warning("extension_edit_refused", stage="response_received", request_id=self.request_id, error=str(error))
        self.notes.outcome = "answered"
        self.notes.sent = True
        return Reply(data, self.endpoint.media if stream else "application/json")

    def retraced(self, told: bytes) -> bytes:
        """An answer with places of the client's request where it names some; the same object if it names none."""
        known = self.conversation
        if known is None or self.payload is None or not (self.notes.replayed or self.notes.rounds > 1):
            return told
        try:
            return self.wire.retraced(told, self.payload, known.client)
        except Exception as error:  # the answer itself is fine
            _log.warning("places_not_found", request_id=self.request_id, error=type(error).__name__)
            return told

    async def over(self) -> None:
        """The inner app returned or failed: what has not fired by now fires."""
        await self.sent()
        await self.received(None, editable=False)

    async def sent(self) -> None:
        """The inner app has the whole body, or has begun to answer, or returned: POST_SEND, once."""
        if self.notes.sent:
            return
        self.notes.sent = True
        if self.listens:
            await self.engine.manager.dispatch(self._event(PipelineStage.POST_SEND, headers=dict(self.headers)))

    async def received(self, body: bytes | None, *, editable: bool = True) -> bytes:
        """The whole answer is there: RESPONSE_RECEIVED, once. Returns the body with extensions' edits.

        Args:
            body: the answer as JSON (assembled, if it was a stream), None if there is none to show.
            editable: False for streams: what extensions change is too late.
        """
        data = body or b""
        if self.notes.received:
            return data
        self.notes.received = True
        if not self.listens:
            return data
        try:
            seen = json.loads(data) if data else None
            handed = json.loads(data) if data else None
        except (ValueError, RecursionError):
            seen = handed = None
        event = self._event(PipelineStage.RESPONSE_RECEIVED, response=handed, headers=dict(self.headers))
        event, _ = await self.engine.manager.dispatch(event)
        if seen is None or event.response is None or not editable:
            return data
        return edited_answer(data, seen, event.response, self.request_id)
