"""The transform pipeline: the transforms in their order over one payload, in steps that an engine can watch."""

import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property
from typing import Any, Final

from headroom_asgi.compressors import forget
from headroom_asgi.config import HeadroomConfig, Route
from headroom_asgi.errors import ConfigError
from headroom_asgi.logs import get_logger
from headroom_asgi.tokenizer import Tokenizer
from headroom_asgi.transforms.base import Context, Decision, PipelineReport, Transform, TransformResult, edits_of
from headroom_asgi.transforms.cache_aligner import ALIGNED, CacheAligner
from headroom_asgi.transforms.content_router import ContentRouter
from headroom_asgi.transforms.memo import Memo
from headroom_asgi.transforms.messages import decoded_messages, payload_of, with_edits
from headroom_asgi.transforms.past import Pasts, Recalled
from headroom_asgi.transforms.repeats import REPEATS, Repeats
from headroom_asgi.wire import Payload, rewrite

log = get_logger(__name__)


# Bytes that are scanned, hashed or compared in the time that it takes to compress one, or less: a megabyte takes a millisecond.
SCANNED_PER_COMPRESSED: Final = 32


class Phase(Enum):
    """Where the steps pause."""

    LOOKED_UP = "looked_up"
    DISPATCHED = "dispatched"
    WANTED = "wanted"  # only where something is: who can, fills in `Context.masks` meanwhile
    COMPRESSED = "compressed"


@dataclass(frozen=True, repr=False)
class Step:
    """A pause: what was just done, the payload as it stands, and how many bytes the next phase will work on.

    `wanted` has the pieces of prose, by key, of which it is to be known which words stay.
    """

    phase: Phase
    payload: Payload
    _reported: Callable[[], PipelineReport]
    pending_bytes: int = 0
    wanted: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def report(self) -> PipelineReport:
        """What was done up to here; to be asked for before the steps go on."""
        return self._reported()


class TransformPipeline:
    """Runs transforms over payloads.

    Args:
        config: settings; the default ones if None.
        transforms: what runs, in order; the default transforms if None. Our own work on segments, anyone else's get
            `messages` as the provider spells them.
        route: settings of one route; the configuration's default route if None.
        memo: results already computed, shared between pipelines.
        pasts: last requests of conversations, likewise.
    """

    def __init__(
        self,
        config: HeadroomConfig | None = None,
        transforms: Iterable[Transform] | None = None,
        *,
        route: Route | None = None,
        memo: Memo | None = None,
        pasts: Pasts | None = None,
    ) -> None:
        settings = (config or HeadroomConfig()).resolve()
        self._route = route or settings.default
        self._memo = memo or Memo(settings.memo_bytes)
        self._pasts = pasts or Pasts(self._memo)
        chosen = settings.transforms if transforms is None else transforms
        self.transforms = self._build_default_transforms() if chosen is None else list(chosen)
        for transform in self.transforms:
            if not isinstance(transform, Transform) or not isinstance(getattr(transform, "name", None), str):
                raise ConfigError(f"transforms: {transform!r} is not a Transform with a name")
        # Nobody else's transform stands between what is looked up and what is folded.
        self._goes_on = [type(transform) for transform in self.transforms] == [CacheAligner, ContentRouter, Repeats]

    def prove(self) -> None:
        """Show that every compressor that is on does something. ConfigError, naming it, if one does not."""
        for transform in self.transforms:
            if isinstance(transform, ContentRouter):
                transform.prove()

    def forget(self) -> None:
        """Drop all that is remembered of texts."""
        self._memo.clear()
        self._pasts.clear()
        forget()
        for transform in self.transforms:
            if isinstance(transform, CacheAligner):
                transform.forget()

    def recalled(self, payload: Payload, context: Context) -> Recalled | None:
        """What is known of a payload from the last request of its conversation."""
        return self._pasts.recall(payload, context, self) if self._goes_on else None

    def keep(self, recalled: Recalled, payload: Payload, decisions: Sequence[Decision]) -> None:
        """Leave a payload, as it came, for the next request of its conversation."""
        self._pasts.keep(recalled, payload, decisions)

    def _build_default_transforms(self) -> list[Transform]:
        """The default transforms, in their order."""
        return [CacheAligner(self._route), ContentRouter(self._route, self._memo), Repeats(self._route, self._memo)]

    def steps(self, payload: Payload, context: Context, **kwargs: Any) -> Generator[Step, Payload | None, Step]:
        """Look up, dispatch, compress; pauses after each and takes an edited payload back in.

        Returns:
            The last step: the payload to send and the report.
        """
        run = _Run(self, payload, context, kwargs)
        run.look_up()
        if (edited := (yield run.step(Phase.LOOKED_UP))) is not None:
            run.restart(edited)
        run.dispatch()
        if (edited := (yield run.step(Phase.DISPATCHED))) is not None:
            run.restart(edited)
            run.dispatch()
        if wanted := run.wanted():
            yield run.step(Phase.WANTED, wanted)
        run.compress()
        final = run.step(Phase.COMPRESSED)
        if (edited := (yield final)) is not None:
            final = replace(final, payload=edited)
        return final

    def apply(self, messages: list[Any], model: str = "", model_limit: int | None = None, **kwargs: Any) -> TransformResult:
        """Count, copy, run every transform, aggregate, count again.

        Args:
            messages: as a provider spells them; not changed. `kwargs["format"]` names the dialect, else it is guessed.
            model: decides about the tokenizer.
            model_limit: tokens; a result above it gets a warning. Never changes what is done.
            kwargs: passed on to the transforms.

        Raises:
            ConfigError: `format` names no dialect, or messages are not JSON values.
        """
        tokenizer = Tokenizer(model)
        tokens_before = tokenizer.count_messages(messages)
        payload = payload_of(messages, model, kwargs.pop("format", None))
        steps = self.steps(payload, kwargs.pop("context", Context()), model=model, model_limit=model_limit, **kwargs)
        final = drain(steps)
        result = result_of(final, tokenizer, tokens_before)
        if model_limit is not None and result.tokens_after > model_limit:
            result.warnings.append(f"{result.tokens_after} tokens exceed the model's limit of {model_limit}")
        return result


def drain(steps: Generator[Step, Payload | None, Step]) -> Step:
    """Run the steps to their end, without edits."""
    try:
        while True:
            next(steps)
    except StopIteration as end:
        step: Step = end.value
        return step


def result_of(final: Step, tokenizer: Tokenizer, tokens_before: int) -> TransformResult:
    """The last step as the result that callers of `apply` and hooks get: messages decoded and counted."""
    messages = decoded_messages(final.payload)
    report = final.report
    return TransformResult(
        messages=messages,
        tokens_before=tokens_before,
        tokens_after=tokenizer.count_messages(messages),
        transforms_applied=list(report.labels),
        markers_inserted=list(report.markers),
        warnings=list(report.warnings),
        timing=dict(report.timing),
    )


class _Run:
    """One run of a pipeline over one payload; what changes while the steps go on."""

    def __init__(self, pipeline: TransformPipeline, payload: Payload, context: Context, kwargs: dict[str, Any]) -> None:
        self._pipeline = pipeline
        self._transforms = pipeline.transforms
        self._context = context
        self._kwargs = kwargs
        self._decisions: dict[int, list[Decision]] = {}
        self._labels: dict[str, None] = {}
        self._markers: list[str] = []
        self._failures: list[str] = []
        self._warnings: list[str] = []
        self._timing: dict[str, float] = {}
        self._open: Sequence[Decision] = ()  # of the payload's segments; what was decided is not in its bytes yet
        self._recalled: Recalled | None = None  # as long as the payload is the one that came
        self.payload = payload

    def look_up(self) -> None:
        self._recalled = self._pipeline.recalled(self.payload, self._context)
        known = self._recalled.decisions(self.payload.segments) if self._recalled is not None else ()
        for place, router in self._routers():
            self._decisions[place] = router.look_up(self.payload.segments, self._context, known)

    def dispatch(self) -> None:
        for place, router in self._routers():
            router.dispatch(self._new(place))

    def wanted(self) -> dict[str, str]:
        return {key: text for place, router in self._routers() for key, text in router.wanted(self._new(place)).items()}

    def restart(self, payload: Payload) -> None:
        """An extension changed the payload: spans are found and results looked up again."""
        self.payload, self._recalled = payload, None
        for place, router in self._routers():
            self._decisions[place] = router.look_up(payload.segments, self._context)

    def compress(self) -> None:
        """Run the transforms in order; one that fails is skipped, the rest goes on with the last good payload."""
        last, stale, came = "", False, self.payload
        for place, transform in enumerate(self._transforms):
            started = time.perf_counter()
            if not isinstance(transform, Repeats):
                stale = self._make_edits() or stale
            if isinstance(transform, ContentRouter):
                if stale:
                    self._recalled = None
                    self._decisions[place] = transform.look_up(self.payload.segments, self._context)
                    transform.dispatch(self._decisions[place])
                transform.compress(self._new(place))
                self._routed(self._decisions[place])
            elif isinstance(transform, CacheAligner):
                stale = self._aligned(transform) or stale
            elif isinstance(transform, Repeats):
                self._folded(transform)
            else:
                stale = self._custom(transform, last) or stale
            last = transform.name
            self._timing[last] = self._timing.get(last, 0.0) + (time.perf_counter() - started) * 1e3
        if self._recalled is not None:
            self._pipeline.keep(self._recalled, came, self._open)
        self._make_edits()

    def step(self, phase: Phase, wanted: Mapping[str, str] | None = None) -> Step:
        pending = 0 if phase is Phase.COMPRESSED else self._pending_bytes()
        return Step(phase, self.payload, self._report, pending, wanted or {})

    def _report(self) -> PipelineReport:
        return PipelineReport(
            decisions=tuple(d for found in self._decisions.values() for d in found),
            labels=tuple(self._labels),
            markers=tuple(self._markers),
            failures=tuple(self._failures),
            warnings=tuple(self._warnings),
            timing=dict(self._timing),
        )

    def _pending_bytes(self) -> int:
        """What the next phase costs, in bytes to compress: what is open, and new results, which are compared with all others."""
        open_bytes = sum(router.pending_bytes(self._new(place)) for place, router in self._routers())
        done = self._recalled.done if self._recalled is not None else 0
        above = self.payload.segments[done - 1].span[1] if done else 0
        return open_bytes + (len(self.payload.body) - above) // SCANNED_PER_COMPRESSED

    def _routers(self) -> list[tuple[int, ContentRouter]]:
        return [(i, t) for i, t in enumerate(self._transforms) if isinstance(t, ContentRouter)]

    def _make_edits(self) -> bool:
        """Put what was decided into the payload; whether anything was."""
        edits, self._open = edits_of(self._open), ()
        self.payload = self.payload.edited(edits)
        return bool(edits)

    def _new(self, place: int) -> Sequence[Decision]:
        """What a router decided, or is to decide, about segments of which nothing was known from the last request."""
        return self._decisions[place][len(self._recalled.known) if self._recalled is not None else 0 :]

    def _routed(self, decisions: list[Decision]) -> None:
        """Note what was decided."""
        self._open = decisions
        for decision in decisions:
            if (compressed := decision.compressed) is not None:
                self._labels[compressed.label] = None
                if compressed.omissions:
                    self._markers += [omission.name for omission in compressed.omissions]
        for name in dict.fromkeys(name for decision in decisions if decision.failures for name in decision.failures):
            self._failures.append(f"interceptor:{name}")
            self._warnings.append(f"interceptor {name} failed and was skipped")

    def _aligned(self, aligner: CacheAligner) -> bool:
        alignment = aligner.align(self.payload)
        self._warnings += alignment.warnings
        if alignment.edits:
            self.payload = self.payload.edited(alignment.edits)
            self._labels[ALIGNED] = None
        return bool(alignment.edits)

    def _folded(self, repeats: Repeats) -> None:
        self._open = self._open or [Decision(segment) for segment in self.payload.segments]
        past = self._recalled
        above = (past.standing, past.told) if past is not None else ()
        if repeats.fold(self.payload, self._open, *above):
            self._labels[REPEATS] = None

    def _custom(self, transform: Transform, last: str) -> bool:
        tokenizer = Tokenizer(self.payload.model)
        kwargs = {**self._kwargs, "last_transform": last}
        try:
            old = decoded_messages(self.payload)
            messages = decoded_messages(self.payload)
            if not transform.should_apply(messages, tokenizer, **kwargs):
                return False
            result = transform.apply(messages, tokenizer, **kwargs)
            node = self.payload.wire.fields(self.payload)["messages"]
            edits = rewrite(self.payload.document, node, old, result.messages)
            labels, markers, warnings = dict.fromkeys(result.transforms_applied), [*result.markers_inserted], [*result.warnings]
            self.payload = with_edits(self.payload, edits)
        except Exception as error:
            log.warning("transform_failed", transform=transform.name, error=type(error).__name__)
            self._failures.append(transform.name)
            self._warnings.append(f"{transform.name} failed and was skipped")
            return False
        if edits:  # what it wrote was not asked for in time, whether or not the same stands elsewhere in the payload
            self._context = replace(self._context, masks=None)
        self._labels.update(labels)
        self._markers += markers
        self._warnings += warnings
        return bool(edits)
