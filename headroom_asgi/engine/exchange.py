"""One request and its responses: the order in which everything happens to them. No ASGI, no httpx, no dialect."""

import time
from collections.abc import Awaitable, Generator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from headroom_asgi.engine.conversation import recalled
from headroom_asgi.engine.counting import Tally
from headroom_asgi.engine.edits import has_tool
from headroom_asgi.engine.hooks import CompressContext, post_compress, pre_compress
from headroom_asgi.engine.notes import outcome_of
from headroom_asgi.engine.originals import keep, line_view, load
from headroom_asgi.engine.policy import POLICY
from headroom_asgi.engine.refusals import BAD_REQUEST, REFUSED, Second, mended, of_ours, second_try
from headroom_asgi.engine.staged import Reply, Staged
from headroom_asgi.engine.terms import HELD, bound, terms
from headroom_asgi.engine.words import kept, learned
from headroom_asgi.errors import PayloadError, StoreDownError
from headroom_asgi.logs import get_logger, where
from headroom_asgi.pipeline import PipelineStage
from headroom_asgi.retrieval import TOOL, Entry, Originals, Outcome, rounds
from headroom_asgi.transforms import (
    SCANNED_PER_COMPRESSED,
    Context,
    Phase,
    PipelineReport,
    Step,
    drain,
)
from headroom_asgi.wire import Answer, Offer, Payload

_log = get_logger(__name__)

T = TypeVar("T")
Y = TypeVar("Y")  # what a generator yields,
S = TypeVar("S")  # is sent,
R = TypeVar("R")  # and returns

_STAGES = {
    Phase.LOOKED_UP: PipelineStage.INPUT_CACHED,
    Phase.DISPATCHED: PipelineStage.INPUT_ROUTED,
    Phase.COMPRESSED: PipelineStage.INPUT_COMPRESSED,
}
# The outcomes of exchanges whose first body was refused.
_MENDED = {Second.UNSIGNED: "reasoning_dropped", Second.ANSWERED: "results_lost"}


@dataclass(slots=True, repr=False)
class Exchange(Staged):
    """One request and its responses. `prepare` comes first, then the answers, round by round, and `close` at the end."""

    # -- the request ---------------------------------------------------------------------------------------------------

    async def prepare(self) -> Reply | None:
        """Decode, shorten, offer the tool. Afterwards `body` is what to send; a Reply answers the client instead.

        Whatever fails leaves the last good bytes, for a reason in `notes.outcome`.
        """
        reply: Reply | None = None
        try:
            size = len(self.original) // SCANNED_PER_COMPRESSED
            payload = await self.engine.work(size, self.wire.decode, self.original, self.endpoint)
            self.safe = self.payload = payload
            self.bound = bound(payload, self.route.mode, shared=self.engine.store.shared)
            self.safe = self.payload = await self._recall(payload)
            if self.conversation is not None and self.conversation.pinned:
                self.notes.outcome = "skipped:pinned_off"
                self._leave_alone()
            elif self.payload is not None and (reply := await self._emit(PipelineStage.INPUT_RECEIVED)) is None:
                self.safe = self.payload = await self._hooked(self.payload)
                reply = await self._shorten(self.safe)
        except Exception as error:
            self._fail_open(error)
        self.notes.added_ms = (time.perf_counter() - self.notes.started) * 1e3
        return reply

    def _fail_open(self, error: Exception) -> None:
        """Go on with the body before anything was shortened, or not at all if it could not be decoded."""
        self.payload, self.originals = self.safe, None
        self._leave_alone()
        self.notes.report, self.notes.tally = PipelineReport(), Tally(0, 0)
        if self.safe is None and isinstance(error, PayloadError):
            self.notes.outcome = f"skipped:{error.reason}"
            return
        self.notes.outcome = "failed_open:decode" if self.safe is None else "failed_open:engine"
        self.notes.prefix_risk = True
        _log.error("exchange_failed", request_id=self.request_id, error=type(error).__name__, where=where(error))

    def _leave_alone(self) -> None:
        """Nothing is done to this request. If it is bound, it goes on from where the conversation is, and is looked through."""
        if self.bound:
            self.payload, self.originals = self.safe, self._redeemable(PipelineReport())
            self.notes.obstacle = HELD
            self.notes.report, self.notes.tally = PipelineReport(), Tally(0, 0)

    async def _recall(self, payload: Payload) -> Payload | None:
        """Ask the store what earlier exchanges left for this one: the request with what really happened in it.

        Whatever cannot be had leaves the client's own turns, which every provider takes. None if the conversation is pinned to
        go as it comes.
        """
        if self.route.mode == "audit":
            return payload
        known = await recalled(self.engine, self.route, self.tenant, payload, self._asked)
        self.conversation = known
        self.notes.prefix_risk = self.notes.prefix_risk or (known.doubtful and self.engine.store.shared)
        if known.pinned and not self.bound:
            return None
        restored = payload
        if known.changes:
            restored, self.notes.replayed = await self.engine.work(known.changes, known.restored)
        if known.refused:
            self.notes.replay_refused = len(known.refused)
            _log.warning("replay_refused", request_id=self.request_id, reasons=sorted(set(known.refused)))
        return restored

    async def _asked(self, event: str, work: Awaitable[T], *, size: int = 0) -> T | None:
        """What a store does; some of `size` bytes. None, and a log line, if it fails (stores of others raise what they like), or
        takes too long: no number of answers that are just fast enough holds up a request.
        """
        try:
            with self.engine.patience(size):
                return await work
        except StoreDownError:
            return None  # said once, when it went down
        except Exception as error:
            _log.warning(event, request_id=self.request_id, error=type(error).__name__)
            return None

    async def _hooked(self, payload: Payload) -> Payload:
        """The request after `pre_compress` hooks."""
        if self.engine.pre_compress:
            context = CompressContext(self.request_id, self.wire.provider, payload.model, self.route.path, self.tenant)
            timeout_s = self.engine.settings.extension_timeout_s
            payload, skipped = await pre_compress(self.engine.pre_compress, payload, context, timeout_s)
            self.notes.prefix_risk = self.notes.prefix_risk or skipped
        return payload

    async def _shorten(self, payload: Payload) -> Reply | None:
        offer, asks = terms(payload, self.route.mode, self.conversation, shared=self.engine.store.shared)
        self.notes.obstacle = offer.obstacle
        redeemable = not offer.obstacle
        masks: dict[str, bytes] | None = None if self.engine.reader is None else {}
        step, reply = await self._pipeline(Context(self.tenant, redeemable, POLICY, masks))
        if reply is not None:
            return reply
        if redeemable:
            kept = await self._store(step.report)
            if not kept and self.conversation is not None and self.conversation.relies:
                step = await self._lossless()
        if redeemable or offer.edits:
            self._offer_tool(step.report, offer if self.payload is not None and self.payload.source is payload else None)
        elif asks:
            self.originals = self._redeemable(PipelineReport())
        self._note(step, offered=redeemable or bool(offer.edits))
        for stage in (PipelineStage.INPUT_REMEMBERED, PipelineStage.PRE_SEND):
            if (reply := await self._emit(stage)) is not None:
                return reply
        return None

    async def _lossless(self) -> Step:
        """The last step again, with nothing left out: a later request without these texts could not ask for them."""
        assert self.safe is not None
        self.notes.prefix_risk = True
        steps = self.engine.pipeline(self.route).steps(
            self.safe, Context(self.tenant, redeemable=False, policy=POLICY), model=self.safe.model, model_limit=None
        )
        step = await self.engine.work(len(self.safe.body), drain, steps)
        self.payload = step.payload
        return step

    async def _pipeline(self, context: Context) -> tuple[Step, Reply | None]:
        """Drive the steps: emit the stage at each pause, send edits back in."""
        assert self.payload is not None
        size = len(self.payload.body) // SCANNED_PER_COMPRESSED  # to look up is to hash
        steps = self.engine.pipeline(self.route).steps(self.payload, context, model=self.payload.model, model_limit=None)
        reply, edited, done = None, None, False
        while True:
            step, done = await self.engine.work(size, _advance, steps, edited)
            if done:
                break
            if step.phase is Phase.WANTED:
                await self._learn(step.wanted, context)
                edited, size = None, step.pending_bytes
                continue
            if self.route.mode != "audit":
                self.payload = step.payload
            before = self.payload
            if (reply := await self._emit(_STAGES[step.phase])) is not None:
                break
            edited = self.payload if self.payload is not before else None
            if step.phase is not Phase.COMPRESSED:
                self.safe = self.payload  # with what extensions changed so far
            size = len(self.payload.body) if edited is not None else step.pending_bytes
        if reply is None and self.engine.post_compress:
            timeout_s = self.engine.settings.extension_timeout_s
            skipped = await post_compress(self.engine.post_compress, step, self.request_id, timeout_s)
            self.notes.prefix_risk = self.notes.prefix_risk or skipped
        return step, reply

    async def _learn(self, wanted: Mapping[str, str], context: Context) -> None:
        """Find out which words of these texts stay. What the store does not say goes whole, which earlier turns may not have."""
        assert self.engine.reader is not None
        assert context.masks is not None
        store, ttl_s = self.engine.store, self.route.ttl_s
        known = await learned(self.engine.reader, store, wanted, self._asked, tenant=self.tenant, ttl_s=ttl_s)
        context.masks.update(known)
        self.notes.prefix_risk = self.notes.prefix_risk or not wanted.keys() <= context.masks.keys()

    def _offer_tool(self, report: PipelineReport, offer: Offer | None) -> None:
        """Put the tool into the request, from the conversation's first one on, whether or not anything was left out yet.

        Args:
            report: what the pipeline did.
            offer: the edits for the payload as it came; None if an extension changed it meanwhile.
        """
        assert self.payload is not None
        if offer is None and (offer := self.wire.offer(self.payload.source, TOOL)).obstacle:
            raise PayloadError(f"the tool can be offered no longer: {offer.obstacle}")
        self.payload = self.payload.edited(offer.edits)
        self.originals = self._redeemable(report)

    def _redeemable(self, report: PipelineReport) -> Originals:
        """What this exchange can hand back."""
        earlier = self.conversation.held.names if self.conversation is not None else ()
        return Originals(report.originals, max_bytes=self.route.max_retrieved_bytes, earlier=earlier, view=line_view)

    async def _store(self, report: PipelineReport) -> bool:
        """Keep the originals of what was left out; whether that was done. A request that will come again holds them too."""
        if self.engine.reader is not None and (masks := report.remembered_masks()):
            await self._asked("store_failed", kept(self.engine.store, masks, tenant=self.tenant, ttl_s=self.route.ttl_s))
        if not report.names:
            return True
        work = keep(self.engine.store, report, tenant=self.tenant, ttl_s=self.route.ttl_s)
        return await self._asked("store_failed", work, size=report.size_left_out) is not None

    def _note(self, step: Step, *, offered: bool) -> None:
        """Outcome and figures, once it is known what was done."""
        report = step.report
        audit = self.route.mode == "audit"
        model = self.payload.model if self.payload is not None else ""
        self.notes.report = report
        self.notes.prefix_risk = self.notes.prefix_risk or bool(report.failures)
        self.notes.outcome = "audit" if audit else outcome_of(report)
        self.notes.tally = self.engine.counter.tally(model, report.changed, offered=offered and not audit)

    # -- the responses -------------------------------------------------------------------------------------------------

    @property
    def intercepts(self) -> bool:
        """The tool was offered to a model, so calls of it must be answered here."""
        return self.originals is not None and self.endpoint.answered

    def flow(self) -> Generator[bytes, Answer, Outcome]:
        """The retrieval loop of this exchange."""
        assert self.originals is not None
        return rounds(
            self.wire,
            self.body,
            self.originals,
            max_rounds=self.route.max_rounds,
            structured=self.payload is not None and self.payload.structured,
            remembers=self.conversation.answers if self.conversation is not None else frozenset(),
        )

    async def advance(self, flow: Generator[bytes, Answer, Outcome], answer: Answer) -> bytes | Outcome:
        """Tell the loop what a round brought: the next round's body, or how it ended. Large searches leave the loop alone."""
        asked = self.originals is not None and any(call.name == TOOL.name for call in answer.calls)
        if asked:
            await self._load(answer)
        searched = self.originals.size if asked and self.originals is not None else 0
        step, _ = await self.engine.work(searched, _advance, flow, answer)
        if isinstance(step, Outcome):
            self.notes.retrievals, self.notes.misses = step.retrievals, step.misses
        return step

    async def _load(self, answer: Answer) -> None:
        """Bring what is asked for and an earlier exchange left out, where the provider holds the conversation."""
        assert self.originals is not None
        if self.conversation is not None and self.conversation.doubtful:
            await self._asked("recall_failed", self.conversation.ask_again())
            self.originals.admit(self.conversation.held.names)
        if names := self.originals.missing(answer.calls):
            # None of them is larger than the body in which it came.
            work, size = load(self.engine.store, names, tenant=self.tenant), self.engine.settings.max_body_bytes
            self.originals.load(await self._asked("store_failed", work, size=size) or {})

    async def remember(self, outcome: Outcome) -> None:
        """Leave in the store what later requests need; before the client, which then may send one, has the end of its answer."""
        known = self.conversation
        if known is None or self.payload is None or not known.learns(outcome):
            return
        done = None
        try:
            turn = self.wire.turn(self.wire.read(await self.merged(outcome)))
            if known.doubtful:
                await self._asked("recall_failed", known.ask_again())
            own = not self.notes.obstacle
            offered = own or known.held.offered or has_tool(self.payload)
            work = known.remember(outcome, turn, self.notes.report.names, offered=offered, has_tool=own)
            done = await self._asked("remember_failed", work)
        except Exception as error:  # the answer itself is fine
            _log.warning("remember_failed", request_id=self.request_id, error=type(error).__name__)
        if done is None:
            self.notes.prefix_risk = True  # the next turn will not have what happened in this one

    def refusable(self, status: int) -> bool:
        """An answer with this status may refuse what was changed, or lacks, so that something else is to be tried."""
        return status in REFUSED and (self.body is not self.original or self._holds_calls)

    @property
    def _holds_calls(self) -> bool:
        """The provider holds what came before, with calls of ours in it maybe whose results are lost."""
        return self.intercepts and self.payload is not None and bool(self.payload.held)

    async def second_try(self, status: int, error: bytes) -> Second | None:
        """What is to be tried after this answer. If that is a body of ours, it is `body` from now on."""
        if not self.refusable(status):
            return None
        assert self.payload is not None
        held = self.conversation.held if self.conversation is not None else Entry()
        ours = self._holds_calls and of_ours(error, self.payload, self.route.mode, held)
        if status == BAD_REQUEST and ours and await self._mend(Second.ANSWERED, error):
            return Second.ANSWERED
        if self.body is self.original:
            return None
        second = second_try(status, error, held=self.conversation is not None and self.conversation.is_held)
        if second is Second.UNSIGNED:
            return second if await self._mend(second, error) else None
        if second is Second.OWN:
            self._leave_alone()
        return second

    async def _mend(self, second: Second, error: bytes) -> bool:
        """Make of our body what may be taken in its place; whether there is anything to mend."""
        assert self.payload is not None
        try:
            made = await self.engine.work(len(self.payload.body), mended, self.payload, second, error)
        except Exception as failure:  # the first answer stands
            _log.error("exchange_failed", request_id=self.request_id, error=type(failure).__name__, where=where(failure))
            return False
        self.payload = made or self.payload
        return made is not None

    def accepted(self, second: Second | None = None) -> None:
        """The provider took a body of ours: the first one, or one without reasoning, or with answers to calls whose results are
        lost: what the model had thought, or found, is lost to it, and the prefix is another.
        """
        if self.payload is not None and self.endpoint.answered and self.body is not self.original:
            self.engine.breaker.accepted(self.route, self.tenant, self.payload.model)
        if second is not None:
            outcome = _MENDED[second]
            _log.warning(outcome, request_id=self.request_id, route=self.route.path, model=self.model_name)
            self.notes.outcome, self.notes.prefix_risk = outcome, True

    async def refused(self) -> None:
        """The provider took the client's own bytes, but not ours: leave this conversation alone, and for a while new ones.

        Where no model answers (tokens are counted), that says nothing of what a model takes.
        """
        assert self.payload is not None
        _log.warning("body_refused", request_id=self.request_id, route=self.route.path, model=self.model_name)
        if self.endpoint.answered:
            self.engine.breaker.trip(self.route, self.tenant, self.payload.model)
        self.notes.outcome = "failed_open:refused"
        self.originals = self.originals if self.bound else None
        self.notes.report, self.notes.tally = PipelineReport(), Tally(0, 0)
        if self.conversation is not None and self.endpoint.answered:
            await self._asked("pin_failed", self.conversation.pin())

    def unread(self, reason: str) -> None:
        """An answer cannot be read to its end: a call of our tool in it may reach the client, and nothing of it is remembered.
        Where that is so of every answer, new conversations are left alone for a while.
        """
        assert self.payload is not None
        _log.warning("answer_unreadable", request_id=self.request_id, route=self.route.path, reason=reason)
        self.notes.unread = reason
        self.notes.prefix_risk = self.notes.prefix_risk or (self.conversation is not None and self.conversation.is_held)
        if reason == "unsupported_encoding" and self.endpoint.answered:
            self.engine.breaker.trip(self.route, self.tenant, self.payload.model, sure=True)

    async def merged(self, outcome: Outcome) -> bytes:
        """One answer out of the rounds', as the client gets it; the very bytes of a single one that needs no change."""
        if outcome.is_whole and not self.wire.echoes:
            return self.retraced(outcome.answers[0].document.data)
        size = sum(len(answer.document.data) for answer in outcome.answers)
        merge = partial(self.wire.merge, notice=outcome.notice, stopped=outcome.stopped)
        return self.retraced(await self.engine.work(size, merge, outcome.answers, outcome.kept))

    def close(self) -> None:
        """The exchange is over: tell the observers, if there are any."""
        if not self.engine.observers:
            return
        payload = self.payload
        self.engine.observe(
            self.notes.frozen(
                request_id=self.request_id,
                dialect=self.wire.name if payload is not None else "",
                provider=self.wire.provider,
                model=self.model_name,
                route=self.route.path,
                mode=self.route.mode,
                stream=self.streams,
            )
        )


def _advance(steps: Generator[Y, S, R], told: S) -> tuple[Y | R, bool]:
    """The next pause; or what the generator returns, and True. (A StopIteration would not get out of a worker.)"""
    try:
        return steps.send(told), False
    except StopIteration as end:
        return end.value, True
