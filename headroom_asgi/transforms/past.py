"""What was decided about a conversation's last request, for the next one, which begins with the same bytes."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from itertools import accumulate
from typing import Final, NamedTuple

from headroom_asgi._crush import same_start
from headroom_asgi.transforms.base import Context, Decision
from headroom_asgi.transforms.memo import Memo, Outcome
from headroom_asgi.transforms.repeats import Standing, is_result
from headroom_asgi.wire import Payload, Segment

_SHARE: Final = 4  # of what results may take, conversations may take one part in so many
_MOST_BRANCHES: Final = 4  # of one conversation; more are rarely gone on with
_LEAST_SHARED: Final = 2  # a request that shares less than one part in so many of an earlier one does not go on with it
_NAMED_BYTES: Final = 1024  # of a text by which a conversation is known: all its bytes are compared anyway
_OVERHEAD: Final = 1000  # bytes of Python objects around a request
_OVERHEAD_EACH: Final = 500  # and around each of its segments


class Known(NamedTuple):
    """What a segment is known by.

    Attributes:
        facts: of the segment.
        question: of the segment, one object for all of which it is.
        key: what the memo knows its outcome by, b"" if nobody had to look.
        outcome: that which nobody had to look for.
        of_result: it is a text of a tool result that is counted in references.
    """

    facts: tuple[object, ...]
    question: tuple[int, ...]
    key: bytes
    outcome: Outcome | None
    of_result: bool


class Past:
    """One request, and by what the results about it are remembered.

    Args:
        body: its bytes.
        known: its leading segments, as far as what stands behind them decides nothing about them.
        standing: what stands above the next text.
    """

    __slots__ = ("body", "known", "size", "standing")

    def __init__(self, body: bytes, known: Sequence[Known], standing: Standing) -> None:
        self.body = body
        self.known = known
        self.standing = standing
        self.size = _OVERHEAD + len(body) + standing.size + _OVERHEAD_EACH * len(known)

    def shared(self, payload: Payload, same: int) -> int:
        """How many of the leading segments are the payload's as well, whose first bytes are the same."""
        count = 0
        # Many segments share a question, which may be long: it is compared once for all of them.
        one: tuple[int, ...] = ()
        other: tuple[int, ...] = ()
        for segment, known in zip(payload.segments, self.known, strict=False):
            if segment.span[1] > same or segment.facts != known.facts:
                break
            if segment.question is not one or known.question is not other:
                one, other = segment.question, known.question
                if one != other:
                    break
            count += 1
        return count


class Recalled:
    """What is known of a request from the last one of its conversation.

    Args:
        key: of the conversation.
        known: the leading segments that are the same.
        outcomes: what their texts came to, one by one.
        standing: what stands above the first result that is new.
        told: what the results above it are instead, None for those that were not folded.

    Attributes:
        done: how many of the leading segments nothing is left to be done about: the first result behind them is compared.
    """

    __slots__ = ("done", "key", "known", "outcomes", "standing", "told")

    def __init__(
        self,
        key: tuple[object, bytes],
        known: Sequence[Known] = (),
        outcomes: Sequence[Outcome] = (),
        standing: Standing | None = None,
        told: Sequence[Outcome | None] = (),
    ) -> None:
        self.key = key
        self.known = known
        self.outcomes = outcomes
        self.standing = standing or Standing()
        self.told = told
        self.done = 0
        for results in accumulate(each.of_result for each in known):
            if results > len(self.standing):
                break
            self.done += 1

    def decisions(self, segments: Sequence[Segment]) -> list[Decision]:
        """About the leading segments of a payload."""
        decisions = []
        for segment, known, outcome in zip(segments, self.known, self.outcomes, strict=False):
            decision = Decision(segment, outcome)
            if known.key:
                decision.key, decision.ref, decision.remembered = known.key, outcome.ref, True
            decisions.append(decision)
        return decisions


class Pasts:
    """The last requests of conversations. Least recently used ones make room; nothing that is forgotten changes a byte.

    A request takes what it finds, and leaves itself in its place: nobody else has it meanwhile.

    Args:
        memo: where results are remembered. What it has forgotten is not known here either.
    """

    def __init__(self, memo: Memo) -> None:
        self._memo = memo
        self._max_bytes = memo.max_bytes // _SHARE
        self._pasts: OrderedDict[tuple[object, bytes], list[Past]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def recall(self, payload: Payload, context: Context, of: object) -> Recalled | None:
        """What is known of a payload; None if it has no tool result, or nothing may be kept.

        Args:
            payload: as it came.
            context: what holds for all of its segments.
            of: whose decisions: one set of rules.
        """
        first = next(filter(is_result, payload.segments), None)
        if first is None or not self._max_bytes:
            return None
        key = (of, _name_of(payload, context, first))
        with self._lock:
            pasts = list(self._pasts.get(key, ()))
        begun = [(same_start(past.body, payload.body), past) for past in pasts]
        # To go back to the beginning of a long one takes longer than the short one is worth, and the long one may go on.
        near = [(same, past) for same, past in begun if same * _LEAST_SHARED >= len(past.body)]
        same, past = max(near, key=lambda each: each[0], default=(0, None))
        if past is None or not (count := past.shared(payload, same)) or not self._taken(key, past):
            return Recalled(key)
        return self._recalled(key, past, count)

    def keep(self, recalled: Recalled, payload: Payload, decisions: Sequence[Decision]) -> None:
        """Leave a request for the next one.

        Args:
            recalled: what was known of it.
            payload: as it came.
            decisions: about its segments.
        """
        known = list(recalled.known)
        question = seen = known[-1].question if known else ()
        for decision in decisions[len(known) :]:
            segment = decision.segment
            if not segment.looks_back:
                break
            if segment.question is not seen:
                seen = segment.question
                question = question if question == seen else seen
            outcome = None if decision.key else decision.first
            known.append(Known(segment.facts, question, decision.key, outcome, is_result(segment)))
        past = Past(payload.body, known, recalled.standing)
        if past.size > self._max_bytes:
            return
        with self._lock:
            branches = self._pasts.setdefault(recalled.key, [])
            branches.append(past)
            self._pasts.move_to_end(recalled.key)
            self._bytes += past.size
            if len(branches) > _MOST_BRANCHES:
                self._bytes -= branches.pop(0).size
            while self._bytes > self._max_bytes:
                _, dropped = self._pasts.popitem(last=False)
                self._bytes -= sum(each.size for each in dropped)

    @property
    def size(self) -> int:
        """Bytes that are held."""
        return self._bytes

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._pasts.clear()
            self._bytes = 0

    def _taken(self, key: tuple[object, bytes], past: Past) -> bool:
        """It was there still, and is nobody else's now."""
        with self._lock:
            branches = self._pasts.get(key, [])
            if past not in branches:
                return False
            branches.remove(past)
            if not branches:
                del self._pasts[key]
            self._bytes -= past.size
            return True

    def _recalled(self, key: tuple[object, bytes], past: Past, count: int) -> Recalled:
        """As far as the memo has the results still."""
        known = past.known[:count]
        outcomes = []
        for each, remembered in zip(known, self._memo.get_all([each.key for each in known]), strict=True):
            outcome = each.outcome or remembered
            if outcome is None:
                break
            outcomes.append(outcome)
        standing = past.standing
        # What the memo has is not always what it had: kept words may be known by now, memory may have been short.
        standing.cut(standing.unchanged(outcome for each, outcome in zip(known, outcomes, strict=False) if each.of_result))
        told = self._memo.get_all(standing.keys)
        lost = next(
            (at for at, (name, outcome) in enumerate(zip(standing.keys, told, strict=True)) if name and outcome is None), None
        )
        standing.cut(len(standing) if lost is None else lost)
        return Recalled(key, known[: len(outcomes)], outcomes, standing, told[: len(standing)])


def _name_of(payload: Payload, context: Context, first: Segment) -> bytes:
    """By what a conversation is found: all that holds for it, and how it begins, up to its first result.

    Conversations that begin alike are told apart by their bytes; what holds for them is told apart here alone.
    """
    state = hashlib.blake2b(digest_size=16, person=b"headroom-past")
    holds = (
        payload.wire.name,
        payload.model,
        context.tenant,
        str(context.redeemable),
        str(context.policy),
        str(context.masks is None),
    )
    begins = (payload.segments[0].raw, first.raw, first.raw_arguments)
    for part in (*(each.encode("utf-8", "surrogatepass") for each in holds), *(each[:_NAMED_BYTES] for each in begins)):
        state.update(len(part).to_bytes(8, "big"))
        state.update(part)
    return state.digest()
