"""What a transform is: a payload's messages in, messages out; and what is said about the run."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from headroom_asgi.compressors import Compressed, ContentKind, KeptWords
from headroom_asgi.tokenizer import Tokenizer
from headroom_asgi.transforms.memo import Outcome
from headroom_asgi.types import Edit
from headroom_asgi.wire import Segment, literal


@dataclass(slots=True)
class TransformResult:
    """Messages after a transform or a whole pipeline, and what was done. Its `repr` quotes no message.

    Attributes:
        messages: as the provider spells them.
        tokens_before, tokens_after: tokens of all messages, by the model's tokenizer.
        transforms_applied: labels, in order, each once, e.g. `smart:lossless`.
        markers_inserted: names of what was left out, `REF-PART`.
        warnings: for people, e.g. that the model's limit is exceeded.
        timing: transform name to milliseconds.
    """

    messages: list[Any] = field(repr=False)
    tokens_before: int
    tokens_after: int
    transforms_applied: list[str] = field(default_factory=list)
    markers_inserted: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    timing: dict[str, float] = field(default_factory=dict)

    @property
    def tokens_saved(self) -> int:
        """Tokens before minus tokens after; negative if they grew."""
        return self.tokens_before - self.tokens_after


class Transform(ABC):
    """One step of the pipeline over messages as the provider spells them.

    Transforms run in the order of the pipeline's list. `kwargs` has `model`, `model_limit` and `last_transform` (the name of
    the transform that ran before, "" for the first one).
    """

    name: str

    def should_apply(self, messages: list[Any], tokenizer: Tokenizer, **kwargs: Any) -> bool:
        """Whether there is anything to do."""
        return True

    @abstractmethod
    def apply(self, messages: list[Any], tokenizer: Tokenizer, **kwargs: Any) -> TransformResult:
        """The messages afterwards. The list passed in may be changed."""


@dataclass(frozen=True, slots=True, repr=False)
class Context:
    """What holds for all segments of one request.

    Attributes:
        tenant: whose originals these are.
        redeemable: the model can ask for what is left out, and is answered.
        policy: number of the policy that decides about bytes.
        masks: by key, which words of prose stay, as far as it is known; filled in while the pipeline pauses for what it wants.
            None where nobody does that.
    """

    tenant: str = ""
    redeemable: bool = False
    policy: int = 0
    masks: dict[str, bytes] | None = None


@dataclass(slots=True, repr=False)
class Decision:
    """What was decided about one segment, and why.

    Attributes:
        segment: the segment.
        reason: `compressed`, or why not: `frozen`, `small`, `exact_match_tool`, `kind:text`, `does_not_pay`, `failed:NAME` ...
        kind: its content kind, None before dispatch.
        ref: what markers in it name, "" where nothing may be left out.
        key: what the memo knows it by.
        compressed: the accepted result.
        remembered: the result came from the memo.
        failures: names of interceptors that failed on the text.
        tokens_before, tokens_after: estimates of the text as it came and as it goes.
        counts: exact ones by the tokenizer's ruler, as far as they were made; shared with the memo.
        words: which words of its prose stay; None where no model reads them.
        masks: the kept words that decided about it, by their keys in the store.
    """

    segment: Segment
    reason: str = ""
    kind: ContentKind | None = None
    ref: str = ""
    key: bytes = b""
    compressed: Compressed | None = None
    remembered: bool = False
    failures: tuple[str, ...] = ()
    tokens_before: int = 0
    tokens_after: int = 0
    counts: dict[str, tuple[int, int]] = field(default_factory=dict)
    words: KeptWords | None = None
    masks: dict[str, bytes] = field(default_factory=dict)

    def settle(self, outcome: Outcome) -> None:
        """Take over what an attempt came to."""
        self.reason = outcome.reason
        self.compressed = outcome.compressed
        self.tokens_before = outcome.tokens_before
        self.tokens_after = outcome.tokens_after
        self.failures = self.failures or outcome.failures
        self.counts = outcome.counts
        self.masks = outcome.masks

    @property
    def settled(self) -> bool:
        """Nothing is left to be done about this segment."""
        return bool(self.reason)


def edits_of(decisions: Iterable[Decision]) -> list[Edit]:
    """The byte edits that put the accepted texts into the body that the segments were found in."""
    return [Edit(*d.segment.span, literal(d.compressed.text)) for d in decisions if d.compressed is not None]


@dataclass(frozen=True, slots=True, repr=False)
class PipelineReport:
    """What a pipeline did to one payload.

    Attributes:
        decisions: one per segment.
        labels: of what was applied, in order, each once.
        markers: names of what was left out.
        failures: names of transforms, and of interceptors (`interceptor:NAME`), that failed and were skipped.
        warnings: of transforms, and one for each that failed.
        timing: transform name to milliseconds.
    """

    decisions: tuple[Decision, ...] = ()
    labels: tuple[str, ...] = ()
    markers: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    timing: Mapping[str, float] = field(default_factory=dict)

    @property
    def left_out(self) -> int:
        """Rows (lines, blocks) that were left out, of all segments."""
        return sum(o.units for d in self.decisions if d.compressed is not None for o in d.compressed.omissions)

    def remembered_masks(self) -> dict[str, bytes]:
        """The kept words that remembered results were made by: nobody asked the store for them."""
        return {key: mask for decision in self.decisions if decision.remembered for key, mask in decision.masks.items()}

    def originals(self) -> dict[str, str]:
        """What can be asked for: the whole text under each ref, and what was left out under each `REF-PART`."""
        found: dict[str, str] = {}
        for decision in self.decisions:
            if decision.compressed is not None and not decision.compressed.lossless:
                found[decision.ref] = decision.segment.text
                found |= {omission.name: omission.text for omission in decision.compressed.omissions}
        return found
