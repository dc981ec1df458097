"""What a transform is: a payload's messages in, messages out; and what is said about the run."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from headroom_asgi.compressors import Compressed, ContentKind, KeptWords, Omission
from headroom_asgi.tokenizer import Tokenizer
from headroom_asgi.transforms.memo import Outcome
from headroom_asgi.types import Edit
from headroom_asgi.wire import Segment


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


class Decision:
    """What was decided about one segment, and why.

    Args:
        segment: the segment.
        outcome: what its text came to, if that is known.

    Attributes:
        outcome: what goes; None as long as nothing was decided.
        kind: its content kind, None before dispatch.
        ref: what markers in it name, "" where nothing may be left out.
        key: what the memo knows it by.
        remembered: the outcome came from the memo.
        words: which words of its prose stay; None where no model reads them.
    """

    __slots__ = ("_read", "key", "kind", "outcome", "ref", "remembered", "segment", "words")

    def __init__(self, segment: Segment, outcome: Outcome | None = None) -> None:
        self.segment = segment
        self.outcome = outcome
        self._read = outcome  # the first one, for which the text was read
        self.kind: ContentKind | None = None
        self.ref = ""
        self.key = b""
        self.remembered = False
        self.words: KeptWords | None = None

    def settle(self, outcome: Outcome) -> None:
        """Take over what an attempt came to."""
        self.outcome = outcome
        self._read = self._read or outcome

    @property
    def first(self) -> Outcome | None:
        """What the text came to by itself, before it was compared with others."""
        return self._read

    @property
    def settled(self) -> bool:
        """Nothing is left to be done about this segment."""
        return self.outcome is not None

    @property
    def reason(self) -> str:
        """`compressed`, or why not: `frozen`, `small`, `exact_match_tool`, `kind:text`, `does_not_pay`, `failed:NAME` ..."""
        return self.outcome.reason if self.outcome is not None else ""

    @property
    def compressed(self) -> Compressed | None:
        """The accepted result."""
        return self.outcome.compressed if self.outcome is not None else None

    @property
    def forwarded(self) -> bytes:
        """The text as it goes, as far as it was decided, in UTF-8."""
        outcome = self.outcome
        return self.segment.utf8 if outcome is None or outcome.compressed is None else outcome.utf8

    @property
    def tokens_before(self) -> int:
        """Estimate of the text as it came; 0 if nobody asked."""
        return self.outcome.tokens_before if self.outcome is not None else 0

    @property
    def tokens_after(self) -> int:
        """Estimate of the text as it goes."""
        return self.outcome.tokens_after if self.outcome is not None else 0

    @property
    def counts(self) -> dict[str, tuple[int, int]]:
        """Exact ones by the tokenizer's ruler, as far as they were made; the memo has them too."""
        return self.outcome.counts if self.outcome is not None else {}

    @property
    def failures(self) -> tuple[str, ...]:
        """Names of interceptors that failed on the text."""
        return self._read.failures if self._read is not None else ()

    @property
    def masks(self) -> dict[str, bytes]:
        """The kept words that decided about it, by their keys in the store."""
        return self._read.masks if self._read is not None else {}


def edits_of(decisions: Iterable[Decision]) -> list[Edit]:
    """The byte edits that put the accepted texts into the body that the segments were found in."""
    accepted = ((d.segment, d.outcome) for d in decisions if d.outcome is not None and d.outcome.compressed is not None)
    return [Edit(*segment.span, outcome.literal) for segment, outcome in accepted]


@dataclass(frozen=True, repr=False)
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

    @cached_property
    def changed(self) -> tuple[Decision, ...]:
        """Those about segments whose text was accepted in another form."""
        return tuple(d for d in self.decisions if d.outcome is not None and d.outcome.compressed is not None)

    @cached_property
    def left_out(self) -> int:
        """Rows (lines, blocks) that were left out, of all segments."""
        return sum(omission.units for decision in self._shortened for omission in _omissions(decision))

    @cached_property
    def names(self) -> dict[str, None]:
        """By what the originals can be asked for: the ref of each text that is not whole, and `REF-PART` of each piece."""
        named: dict[str, None] = {}
        for decision in self._shortened:
            named[decision.ref] = None
            named |= dict.fromkeys(omission.name for omission in _omissions(decision))
        return named

    @property
    def size_left_out(self) -> int:
        """Characters of the originals, or a little more; for this none of them is decoded."""
        spans = sum(end - start for decision in self._shortened for start, end in [decision.segment.span])
        return spans + sum(len(omission.text) for decision in self._shortened for omission in _omissions(decision))

    @cached_property
    def _shortened(self) -> list[Decision]:
        return [decision for decision in self.changed if _omissions(decision)]

    def remembered_masks(self) -> dict[str, bytes]:
        """The kept words that remembered results were made by: nobody asked the store for them."""
        return {key: mask for decision in self.decisions if decision.remembered for key, mask in decision.masks.items()}

    def originals(self) -> dict[str, str]:
        """What can be asked for: the whole text under each ref, and what was left out under each `REF-PART`."""
        found: dict[str, str] = {}
        for decision in self._shortened:
            found[decision.ref] = decision.segment.text
            found |= {omission.name: omission.text for omission in _omissions(decision)}
        return found


def _omissions(decision: Decision) -> Sequence[Omission]:
    """What was left out of a text."""
    return decision.compressed.omissions if decision.compressed is not None else ()
