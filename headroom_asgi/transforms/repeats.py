"""What stands above already, in tool results or in what the model wrote, said by a line that names the place: docs/repeats.md."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, Final

from headroom_asgi._crush import Above, estimate, filled, regroup
from headroom_asgi.compressors import Compressed
from headroom_asgi.config import HeadroomConfig, Route
from headroom_asgi.tokenizer import Tokenizer
from headroom_asgi.transforms.base import Decision, Transform, TransformResult, edits_of
from headroom_asgi.transforms.memo import Memo, Outcome
from headroom_asgi.transforms.messages import decoded_messages, payload_of
from headroom_asgi.transforms.tools import is_named
from headroom_asgi.wire import Payload, Segment, splice

REPEATS: Final = "repeats:lines"

_LEAST_SAVED: Final = 32  # tokens of a text, as of every edit
_LEAST_MORE: Final = 12  # where it is an edit already
_STAYS: Final = -1
_RESULT_BYTES: Final = 400  # of the Python objects that hold what is known of a result


class Repeats(Transform):
    """Looks at all tool results of a request together, as they are forwarded, oldest first.

    What becomes of a result depends on it and on what stands before it, nothing else. The results of every tool take part, as
    what is left of a text keeps its very bytes, and that is what exact-match tools need. Frozen results are only referred to, and
    so are the texts that the model wrote in its calls.
    """

    name = "repeats"

    def __init__(self, route: Route | None = None, memo: Memo | None = None) -> None:
        route = route or HeadroomConfig().resolve().default
        rule = next((rule for rule in route.compressors if rule.name == self.name), None)
        self._enabled = rule is not None
        self._except_tools = rule.except_tools if rule is not None else frozenset()
        self._memo = memo if memo is not None else Memo(HeadroomConfig().memo_bytes)

    def fold(
        self,
        payload: Payload,
        decisions: Sequence[Decision],
        standing: "Standing | None" = None,
        told: Sequence[Outcome | None] = (),
    ) -> bool:
        """Fold what repeats; whether anything did.

        Args:
            payload: any.
            decisions: one for each of its segments, with what was made of its text so far; those that are folded are told.
            standing: what stands above, with the first results of the payload; the others are added.
            told: what those first ones are instead, None for those that were not folded.
        """
        if not self._enabled or payload.history_edited:
            return False
        standing = standing if standing is not None else Standing()
        results = [decision for decision in decisions if is_result(decision.segment)]
        for decision, outcome in zip(results, told, strict=False):
            if outcome is not None:
                decision.settle(outcome)
        return self._add(results[len(standing) :], standing) or any(told)

    def _add(self, results: Sequence[Decision], standing: "Standing") -> bool:
        """Fold the next results; whether anything was."""
        begun = len(standing)
        plain: list[Decision] = []
        for decision in results:
            form = decision.outcome.nearly if decision.outcome is not None else b""
            if form and self._least(decision, form, form) != _STAYS:
                self._compare(plain, standing)
                plain = []
                missing = _LEAST_SAVED - (decision.tokens_before - estimate(form))
                if self._compare([decision], standing, form, max(missing, 1)):
                    continue
                standing.cut(len(standing) - 1)
            plain.append(decision)
        self._compare(plain, standing)
        return any(standing.keys[begun:])

    def _compare(self, decisions: Sequence[Decision], standing: "Standing", form: bytes = b"", missing: int = 0) -> bool:
        """Fold these results, which stand behind all others; whether the last one was.

        Args:
            decisions: about them.
            standing: what stands above.
            form: how the only one of them would go, if not as it was decided.
            missing: the tokens that then have to be saved.
        """
        texts = [form] if form else [decision.forwarded for decision in decisions]
        # Lines are compared as they read: rows of groups filled in.
        read = [filled(text) or text for text in texts]
        least = [missing] if form else [self._least(*each) for each in zip(decisions, texts, read, strict=True)]
        shorter = standing.add(read, least, [decision.segment for decision in decisions])
        for decision, before, full, left in zip(decisions, texts, read, shorter, strict=True):
            after = left if left is None or full is before else _regrouped(before, left)
            if after is not None and full is before and filled(after) is not None:
                after = None  # compared as it stood, and now to be read with its rows filled in
            if after is not None and form and not _pays(decision, after):
                after = None
            standing.went.append(form or _went(decision.outcome))
            standing.keys.append(b"" if after is None else self._tell(decision, before, after))
        return bool(standing.keys and standing.keys[-1])

    def apply(self, messages: list[Any], tokenizer: Tokenizer, **kwargs: Any) -> TransformResult:
        """The messages with repeats folded. `kwargs["format"]` names the dialect, else it is guessed."""
        payload = payload_of(messages, kwargs.get("model", ""), kwargs.get("format"))
        decisions = [Decision(segment) for segment in payload.segments]
        folded = self.fold(payload, decisions)
        after = decoded_messages(payload.again(splice(payload.body, edits_of(decisions))))
        return TransformResult(
            messages=after,
            tokens_before=tokenizer.count_messages(messages),
            tokens_after=tokenizer.count_messages(after),
            transforms_applied=[REPEATS] if folded else [],
        )

    def _least(self, decision: Decision, text: bytes, read: bytes) -> int:
        """How many tokens have to be saved of a result."""
        if decision.segment.frozen or is_named(decision.segment.tools, self._except_tools):
            return _STAYS
        if decision.compressed is not None:
            return _LEAST_MORE
        # A client's text that looks like one of ours is only read.
        return _LEAST_SAVED if read is text else _STAYS

    def _tell(self, decision: Decision, before: bytes, after: bytes) -> bytes:
        """The decision is the folded text from now on; the memo knows it, with its exact counts, by the key that comes back."""
        # Texts that differ may be said by the same line.
        state = hashlib.blake2b(before, digest_size=16, key=decision.key[:64], person=b"headroom-fold")
        state.update(len(before).to_bytes(8, "big") + after)
        key = state.digest()
        outcome = self._memo.get(key)
        if outcome is None:
            omissions = decision.compressed.omissions if decision.compressed is not None else ()
            tokens = decision.tokens_before or estimate(before)
            text = after.decode("utf-8", "surrogatepass")
            outcome = Outcome("compressed", Compressed(text, REPEATS, omissions), tokens, estimate(after))
            self._memo.put(key, outcome)
        decision.settle(outcome)
        return key


def is_result(segment: Segment) -> bool:
    """A tool result that is not an answer of our own tool: one that is counted in references."""
    return segment.place[0] > 0


class Standing:
    """What stands above the next text of a conversation: tool results, as a reader sees them. For one request at a time.

    Attributes:
        went: the texts that were made of them and compared, None for those that were compared as they came.
        keys: by which the memo knows what they are instead, b"" for those that were not folded.
    """

    __slots__ = ("_above", "_begins", "_first", "_names", "_texts", "keys", "went")

    def __init__(self) -> None:
        self._above = Above()
        self._begins: list[int] = []  # how many texts, of results and calls, stand above each
        self._first: dict[bytes, int] = {}  # by text, the first result that is it
        self._names: list[bytes] = []
        self._texts: list[bytes] = []
        self.went: list[bytes | None] = []
        self.keys: list[bytes] = []

    def __len__(self) -> int:
        """How many results there are."""
        return len(self._texts)

    @property
    def size(self) -> int:
        """Bytes that are held."""
        # Most were compared as they went, the very object; of groups the rows were filled in.
        filled_in = [went for went, text in zip(self.went, self._texts, strict=True) if went is not None and went is not text]
        return self._above.size + _RESULT_BYTES * len(self) + sum(map(len, filled_in))

    def unchanged(self, outcomes: Iterable[Outcome]) -> int:
        """How many of the first results go into the comparison as they went, by what they come to now."""
        count = 0
        for went, key, outcome in zip(self.went, self.keys, outcomes, strict=False):
            if went != _went(outcome) and not (key and went == outcome.nearly):
                break
            count += 1
        return count

    def cut(self, count: int) -> None:
        """Forget all results but the first ones."""
        if count >= len(self):
            return
        self._above.cut(self._begins[count])
        for place in range(count, len(self)):
            if self._first.get(self._texts[place]) == place:
                del self._first[self._texts[place]]
        for each in (self._begins, self._names, self._texts, self.went, self.keys):
            del each[count:]

    def add(self, texts: Sequence[bytes], least: Sequence[int], segments: Sequence[Segment]) -> list[bytes | None]:
        """For each of the next results its shorter form, None where it stays.

        A text that an earlier one is word for word is said by a line, then runs of lines are.
        """
        seen: list[tuple[bytes, int, tuple[int, bytes, bytes]]] = []
        above = len(self._above)
        same, places = [], []
        for text, saved, segment in zip(texts, least, segments, strict=True):
            self._begins.append(above + len(seen))
            for number, name, value in segment.written():
                said = name.encode("ascii")
                seen.append((value, _STAYS, (number, b"%b of result %d's call" % (said, number), said + b" of this call")))
            named = (segment.place[0], _name_of(segment), b"text %d of this result" % segment.place[1])
            same.append(self._same(text, saved))
            self._texts.append(text)
            self._names.append(named[1])
            places.append(len(seen))
            # What a reader sees of a text that stands above is one line, in which no run is looked for.
            seen.append((text, saved, named) if same[-1] is None else (same[-1], _STAYS, named))
        if not seen:
            return []
        runs = self._above.add(*map(list, zip(*seen, strict=True)))
        return [runs[place] if said is None else said for said, place in zip(same, places, strict=True)]

    def _same(self, text: bytes, least: int) -> bytes | None:
        """What is said of the next text if it is an earlier one word for word."""
        earlier = self._first.setdefault(text, len(self))
        if earlier == len(self) or least == _STAYS:
            return None
        said = b"[the same as %b]" % self._names[earlier]
        return said if estimate(text) - estimate(said) >= least and len(said) < len(text) else None


def _went(outcome: Outcome | None) -> bytes | None:
    """What was made of a text, None if nothing was."""
    return outcome.utf8 if outcome is not None and outcome.compressed is not None else None


def _name_of(segment: Segment) -> bytes:
    """What a reference calls a text: most results have one."""
    number, text = segment.place
    return b"result %d" % number if text == 1 else b"text %d of result %d" % (text, number)


def _regrouped(text: bytes, folded: bytes) -> bytes | None:
    """What folding left of a text with groups, with groups again if that is shorter; None if the text as it was is shorter."""
    grouped = regroup(folded, text)
    if grouped is not None and estimate(grouped) < estimate(folded):
        folded = grouped
    return folded if estimate(text) - estimate(folded) >= _LEAST_MORE and len(folded) < len(text) else None


def _pays(decision: Decision, after: bytes) -> bool:
    """The form of a result is enough shorter than the result as it came."""
    return decision.tokens_before - estimate(after) >= _LEAST_SAVED and len(after) < len(decision.segment.utf8)
