"""One request and its responses: the order in which everything happens to them. No ASGI, no httpx, no dialect."""

import inspect
import json
import time
from collections.abc import Awaitable, Generator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import anyio

from headroom_asgi._crush import Document
from headroom_asgi.config import Route
from headroom_asgi.engine.counting import Tally
from headroom_asgi.engine.edits import edited_headers, edited_payload
from headroom_asgi.engine.engine import Engine
from headroom_asgi.engine.hooks import CompressContext, told
from headroom_asgi.engine.notes import Notes, outcome_of
from headroom_asgi.engine.originals import keep, line_view
from headroom_asgi.engine.policy import POLICY
from headroom_asgi.errors import HeadroomError, PayloadError, ResponseError
from headroom_asgi.logs import get_logger
from headroom_asgi.pipeline import PipelineEvent, PipelineStage, copied
from headroom_asgi.retrieval import TOOL, Originals, Outcome, rounds
from headroom_asgi.transforms import (
    SCANNED_PER_COMPRESSED,
    Context,
    Phase,
    PipelineReport,
    Step,
    decoded_messages,
)
from headroom_asgi.wire import Answer, Endpoint, Payload, WireFormat, rewrite, splice

_log = get_logger(__name__)

# Seconds that a request waits for a store: what is stored is in the request too, so nothing hangs on it.
_STORE_S = 0.5

_STAGES = {
    Phase.LOOKED_UP: PipelineStage.INPUT_CACHED,
    Phase.DISPATCHED: PipelineStage.INPUT_ROUTED,
    Phase.COMPRESSED: PipelineStage.INPUT_COMPRESSED,
}


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer given without the inner app."""

    body: bytes
    content_type: str


@dataclass(slots=True)
class Exchange:
    """The only object that changes while one request is handled.

    Attributes:
        engine: what all exchanges share.
        route: the settings that hold.
        wire: the request's dialect.
        endpoint: what the request's address says.
        tenant, request_id: whose it is, and which.
        headers: of the request as extensions see and edit them, lower-case names.
        original: the body as the client sent it, decoded from its content coding.
        payload: what goes upstream as it stands; None while, or if, the body is not decoded.
        safe: the same without anything shortened: what goes upstream if something of ours fails.
        originals: what this exchange left out and can hand back; None if the tool was not offered.
        metadata: belongs to extensions.
        notes: for headers and the report.
    """

    engine: Engine
    route: Route
    wire: WireFormat
    endpoint: Endpoint
    tenant: str
    request_id: str
    headers: dict[str, str]
    original: bytes
    payload: Payload | None = None
    safe: Payload | None = None
    originals: Originals | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    notes: Notes = field(default_factory=Notes)

    # -- the request ---------------------------------------------------------------------------------------------------

    async def prepare(self) -> Reply | None:
        """Decode, shorten, offer the tool. Afterwards `body` is what to send; a Reply answers the client instead.

        Whatever fails leaves the last good bytes, for a reason in `notes.outcome`.
        """
        reply: Reply | None = None
        try:
            self.safe = self.payload = await self.engine.work(len(self.original), self.wire.decode, self.original, self.endpoint)
            reply = await self._emit(PipelineStage.INPUT_RECEIVED)
            if reply is None:
                self.safe = await self._pre_compress(self.payload)
                reply = await self._shorten(self.safe)
        except Exception as error:
            self._fail_open(error)
        self.notes.added_ms = (time.perf_counter() - self.notes.started) * 1e3
        return reply

    def _fail_open(self, error: Exception) -> None:
        """Go on with the body before anything was shortened, or not at all if it could not be decoded."""
        self.payload, self.originals = self.safe, None
        self.notes.report, self.notes.tally = PipelineReport(), Tally(0, 0)
        if self.safe is None and isinstance(error, PayloadError):
            self.notes.outcome = f"skipped:{error.reason}"
            return
        self.notes.outcome = "failed_open:decode" if self.safe is None else "failed_open:engine"
        self.notes.prefix_risk = True
        _log.error("exchange_failed", request_id=self.request_id, error=type(error).__name__, where=_where(error))

    @property
    def body(self) -> bytes:
        """What goes upstream; the client's own bytes object if nothing changed."""
        return self.original if self.payload is None else self.payload.body

    async def _shorten(self, payload: Payload) -> Reply | None:
        offer = self.wire.offer(payload, TOOL) if self.route.mode == "ccr" else None
        redeemable = offer is not None and not offer.obstacle
        step, reply = await self._pipeline(Context(self.tenant, redeemable, POLICY))
        if reply is not None:
            return reply
        if self.route.mode != "audit" and redeemable:
            await self._offer_tool(step.report)
        self._note(step, offered=redeemable)
        if redeemable:
            await self._store(step.report)
        for stage in (PipelineStage.INPUT_REMEMBERED, PipelineStage.PRE_SEND):
            if (reply := await self._emit(stage)) is not None:
                return reply
        return None

    async def _pipeline(self, context: Context) -> tuple[Step, Reply | None]:
        """Drive the steps: emit the stage at each pause, send edits back in."""
        assert self.payload is not None
        size = len(self.payload.body)
        steps = self.engine.pipeline(self.route).steps(self.payload, context, model=self.payload.model, model_limit=None)
        reply, edited, done = None, None, False
        while True:
            step, done = await self.engine.work(size, _advance, steps, edited)
            if done:
                break
            if self.route.mode != "audit":
                self.payload = step.payload
            before = self.payload
            if (reply := await self._emit(_STAGES[step.phase])) is not None:
                break
            edited = self.payload if self.payload is not before else None
            if step.phase is not Phase.COMPRESSED:
                self.safe = self.payload  # with what extensions changed so far
            size = len(self.payload.body) if edited is not None else step.pending_bytes
        if reply is None:
            await self._post_compress(step)
        return step, reply

    async def _offer_tool(self, report: PipelineReport) -> None:
        """Put the tool into the request, from the conversation's first one on, whether or not anything was left out yet."""
        assert self.payload is not None
        offer = self.wire.offer(self.payload, TOOL)
        if offer.obstacle:  # an extension changed the tools meanwhile
            raise PayloadError(f"the tool can be offered no longer: {offer.obstacle}")
        body = splice(self.payload.body, offer.edits)
        self.payload = await self.engine.work(len(body) // SCANNED_PER_COMPRESSED, self.payload.again, body)
        self.originals = Originals(report.originals(), max_bytes=self.route.max_retrieved_bytes, view=line_view)

    async def _store(self, report: PipelineReport) -> None:
        """Keep the originals of what was left out. The request itself holds them too, so a failure costs nothing now."""
        try:
            with anyio.fail_after(_STORE_S):
                await keep(self.engine.store, report, tenant=self.tenant, ttl_s=self.route.ttl_s)
        except Exception as error:  # stores of others raise what they like; the bytes must not depend on it
            _log.warning("store_failed", request_id=self.request_id, error=type(error).__name__)

    def _note(self, step: Step, *, offered: bool) -> None:
        """Outcome and figures, once it is known what was done."""
        report = step.report
        audit = self.route.mode == "audit"
        model = self.payload.model if self.payload is not None else ""
        self.notes.report = report
        self.notes.prefix_risk = self.notes.prefix_risk or bool(report.failures)
        self.notes.outcome = "audit" if audit else outcome_of(report)
        self.notes.tally = self.engine.counter.tally(model, report.decisions, offered=offered and not audit)

    # -- hooks ---------------------------------------------------------------------------------------------------------

    async def _pre_compress(self, payload: Payload) -> Payload:
        """Let hooks edit the messages before the pipeline; a hook that fails is skipped."""
        if self.engine.pre_compress:
            context = CompressContext(self.request_id, self.wire.provider, payload.model, self.route.path, self.tenant)
            for hook in self.engine.pre_compress:
                try:
                    messages = hook(decoded_messages(payload), context)
                    messages = await self._in_time(messages) if inspect.isawaitable(messages) else messages
                    if messages is not None:
                        payload = edited_payload(payload, {"messages": messages})
                except Exception as error:
                    self._hook_failed("pre_compress", error)
        self.payload = payload
        return payload

    async def _post_compress(self, step: Step) -> None:
        """Tell hooks what was done; they cannot change it."""
        if not self.engine.post_compress:
            return
        for hook in self.engine.post_compress:
            try:
                outcome = hook(told(step))
                if inspect.isawaitable(outcome):
                    await self._in_time(outcome)
            except Exception as error:
                self._hook_failed("post_compress", error)

    async def _in_time(self, outcome: Awaitable[Any]) -> Any:
        """What a hook's awaitable gives. TimeoutError if that takes too long."""
        with anyio.fail_after(self.engine.settings.extension_timeout_s):
            return await outcome

    def _hook_failed(self, name: str, error: Exception) -> None:
        self.notes.prefix_risk = True
        _log.warning("hook_failed", hook=name, request_id=self.request_id, error=type(error).__name__)

    # -- stages --------------------------------------------------------------------------------------------------------

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
            _log.warning("short_circuit_refused", request_id=self.request_id, error=type(error).__name__, reason=str(error))
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

    # -- the responses -------------------------------------------------------------------------------------------------

    @property
    def intercepts(self) -> bool:
        """The tool was offered to a model, so calls of it must be answered here."""
        return self.originals is not None and self.endpoint.answered

    @property
    def streams(self) -> bool:
        """The client asked for a stream."""
        return self.payload is not None and self.payload.stream

    @property
    def listens(self) -> bool:
        """Extensions want to see the answer."""
        return self.engine.manager.enabled and self.payload is not None

    def flow(self) -> Generator[bytes, Answer, Outcome]:
        """The retrieval loop of this exchange."""
        assert self.originals is not None
        assert self.payload is not None
        structured = self.payload.structured
        return rounds(self.wire, self.body, self.originals, max_rounds=self.route.max_rounds, structured=structured)

    async def advance(self, flow: Generator[bytes, Answer, Outcome], answer: Answer) -> bytes | Outcome:
        """Tell the loop what a round brought: the next round's body, or how it ended. A search in large originals leaves the
        event loop alone.
        """
        asked = self.originals is not None and any(call.name == TOOL.name for call in answer.calls)
        searched = self.originals.size if asked and self.originals is not None else 0
        step = await self.engine.work(searched, _told, flow, answer)
        if isinstance(step, Outcome):
            self.notes.retrievals = step.retrievals
        return step

    async def merged(self, outcome: Outcome) -> bytes:
        """One answer out of the rounds', as the client gets it."""
        first = outcome.answers[0]
        if len(outcome.answers) == 1 and outcome.kept[0] == first.parts and not outcome.notice:
            return first.document.data  # the usual case: nothing was asked for
        size = sum(len(answer.document.data) for answer in outcome.answers)
        merge = partial(self.wire.merge, notice=outcome.notice, stopped=outcome.stopped)
        return await self.engine.work(size, merge, outcome.answers, outcome.kept)

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
        try:
            return splice(data, rewrite(Document(data), 0, seen, event.response))
        except (HeadroomError, TypeError, ValueError, RecursionError) as error:
            _log.warning(
                "extension_edit_refused", stage="response_received", request_id=self.request_id, error=type(error).__name__
            )
            return data

    def close(self) -> None:
        """The exchange is over: tell the observers."""
        payload = self.payload
        self.engine.observe(
            self.notes.frozen(
                request_id=self.request_id,
                dialect=self.wire.name if payload is not None else "",
                provider=self.wire.provider,
                model=payload.model if payload is not None else "",
                route=self.route.path,
                mode=self.route.mode,
                stream=self.streams,
            )
        )


def _advance(steps: Generator[Step, Payload | None, Step], edited: Payload | None) -> tuple[Step, bool]:
    """The next pause; or the last step, and True, when the generator is through."""
    try:
        return steps.send(edited), False
    except StopIteration as end:
        return end.value, True


def _told(flow: Generator[bytes, Answer, Outcome], answer: Answer) -> bytes | Outcome:
    """What the loop says next. (A StopIteration would not get out of a worker.)"""
    try:
        return flow.send(answer)
    except StopIteration as end:
        outcome: Outcome = end.value
        return outcome


def _where(error: BaseException) -> str:
    """File and line that raised, without the message, which may quote a prompt."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno}" if trace is not None else ""
