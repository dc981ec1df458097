"""The content-aware dispatcher: looks at every tool output, names its kind, and hands it to the compressor for that kind."""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from headroom_asgi._crush import estimate
from headroom_asgi.compressors import Compressed, ContentKind, KeptWords, Request, detect, make_ref, text_digest
from headroom_asgi.config import HeadroomConfig, Route
from headroom_asgi.logs import get_logger
from headroom_asgi.tokenizer import Tokenizer
from headroom_asgi.transforms.base import Context, Decision, Transform, TransformResult, edits_of
from headroom_asgi.transforms.dispatch import DispatchTable
from headroom_asgi.transforms.memo import Memo, Outcome
from headroom_asgi.transforms.messages import decoded_messages, payload_of
from headroom_asgi.transforms.tools import is_named
from headroom_asgi.wire import Segment, splice

log = get_logger(__name__)

# A shorter literal holds some 60 tokens at most, of which 32 would have to go: not worth the hash.
_MIN_LITERAL_BYTES = 128
# An edit must be worth its risk: a tenth and 32 tokens shorter by the estimate, marker and all. What is lossless risks nothing
# but a new look, so the 32 tokens are enough: an envelope's escapes may cost a fiftieth, but the lines that they hid can be
# compared with later outputs.
_MIN_SAVED_TOKENS = 32
_MIN_SAVED_SHARE = 10
# Where prose is looked at, a byte takes as long as so many do elsewhere.
_PROSE_WEIGHT = 16

_FORMS: Final = ("[json", "[text", "[view")  # how a text starts in which lines can be compared; minified JSON is one line
_REFERENCES: Final = ("\n[+", "\n[the same as ")

# Why texts are left alone that nobody has to look at.
_DISABLED: Final = Outcome("disabled")
_FROZEN: Final = Outcome("frozen")
_SMALL: Final = Outcome("small")


class ContentRouter(Transform):
    """Decides about segments: which are left alone, which kind the others are, what is accepted.

    Every decision is a pure function of the segment, its call, the user text before it and the route's settings; the memo
    only remembers.
    """

    name = "content_router"

    def __init__(self, route: Route | None = None, memo: Memo | None = None) -> None:
        route = route or HeadroomConfig().resolve().default
        self._enabled = route.router_enabled
        self._exact = route.exact_match_tools
        self._memo = memo if memo is not None else Memo(HeadroomConfig().memo_bytes)
        self._table = DispatchTable(route.compressors, route.interceptors)

    def prove(self) -> None:
        """Show that every compressor that is on does something. ConfigError, naming it, if one does not."""
        if self._enabled:
            self._table.prove()

    def look_up(self, segments: Sequence[Segment], context: Context, known: Sequence[Decision] = ()) -> list[Decision]:
        """A decision for every segment: left alone for a reason, remembered, or still open.

        Args:
            segments: of one payload, in order.
            context: what holds for all of them.
            known: the decisions about the first ones.
        """
        rest = segments[len(known) :]
        if not self._enabled:
            return [*known, *(Decision(segment, _DISABLED) for segment in rest)]
        look = _Look(self._table, self._exact, self._memo, context)
        return [*known, *(look.at(segment) for segment in rest)]

    def dispatch(self, decisions: Sequence[Decision]) -> None:
        """Name the kind of every open segment; those without a compressor are left alone."""
        for decision in decisions:
            if decision.settled:
                continue
            decision.kind = detect(decision.segment.text)
            tool = decision.segment.tools
            exact = is_named(tool, self._exact)
            if not self._table.handles(decision.kind, tool, exact=exact, redeemable=bool(decision.ref)):
                self._decide(decision, Outcome("exact_match_tool" if exact else f"kind:{decision.kind.value}"))

    def wanted(self, decisions: Sequence[Decision]) -> dict[str, str]:
        """By key, the pieces of open segments of which it is to be known which words stay."""
        wanted: dict[str, str] = {}
        for decision in decisions:
            if decision.settled or decision.words is None:
                continue
            try:
                self._table.ask(decision.segment.text, decision.segment.tools, _asked(decision))
            except Exception as error:  # it will fail again, and be told of, where the text is made shorter
                log.debug("prose_not_asked_for", error=type(error).__name__)
            wanted |= decision.words.missing
        return wanted

    def compress(self, decisions: Sequence[Decision]) -> None:
        """Run the compressors over what is still open; equal segments run once."""
        for decision in decisions:
            if decision.settled:
                continue
            known = self._memo.get(decision.key)  # by now, of an equal one
            if known is not None:
                decision.settle(known)
            else:
                self._decide(decision, self._attempt(decision))

    def apply(self, messages: list[Any], tokenizer: Tokenizer, **kwargs: Any) -> TransformResult:
        """The messages with every tool output shortened losslessly. `kwargs["format"]` names the dialect, else it is guessed."""
        payload = payload_of(messages, kwargs.get("model", ""), kwargs.get("format"))
        decisions = self.look_up(payload.segments, Context())
        self.dispatch(decisions)
        self.compress(decisions)
        after = decoded_messages(payload.again(splice(payload.body, edits_of(decisions))))
        labels = dict.fromkeys(d.compressed.label for d in decisions if d.compressed is not None)
        return TransformResult(
            messages=after,
            tokens_before=tokenizer.count_messages(messages),
            tokens_after=tokenizer.count_messages(after),
            transforms_applied=list(labels),
        )

    def pending_bytes(self, decisions: Sequence[Decision]) -> int:
        """Bytes of the literals that `compress` would work on, as many as take it that long."""
        weight = _PROSE_WEIGHT if self._table.has_prose else 1
        return weight * sum(end - start for d in decisions if not d.settled for start, end in [d.segment.span])

    def _decide(self, decision: Decision, outcome: Outcome) -> None:
        """Take over an outcome, for this turn and later ones."""
        outcome.ref = decision.ref
        # Without words that are not known yet it is another text than with them, which later turns have.
        if decision.words is None or not decision.words.missing:
            self._memo.put(decision.key, outcome)
        decision.settle(outcome)

    def _attempt(self, decision: Decision) -> Outcome:
        """One compressor on one text, and whether what it made is accepted."""
        assert decision.kind is not None
        segment = decision.segment
        text = segment.text
        exact = is_named(segment.tools, self._exact)
        failures: list[str] = []
        shorten = partial(self._table.shorten, text, decision.kind, segment.tools, exact=exact, failures=failures)
        try:
            compressed = shorten(_asked(decision))
            outcome = judge(text, compressed)
            if outcome.compressed is None and compressed is not None and not compressed.lossless:
                # What was left out is not worth its markers, but what is lossless may be worth a look.
                outcome = judge(text, shorten(Request()))
            if decision.kind is ContentKind.JSON and outcome.compressed is None and not outcome.nearly:
                laid = shorten(Request(anyway=True))
                if laid is not None and laid.text.startswith(_FORMS) and not _seems_to_refer(text, laid.text):
                    outcome.nearly = laid.text.encode("utf-8")
        except Exception as error:
            # The text goes as it came; the failure is a function of the text alone, so every turn and worker decides alike.
            log.warning("compressor_failed", kind=decision.kind.value, error=type(error).__name__)
            return Outcome(f"failed:{decision.kind.value}")
        if exact and outcome.compressed is None:
            outcome.reason = "exact_match_tool"
        outcome.failures = tuple(failures)
        outcome.masks = decision.words.used if decision.words is not None else {}
        return outcome


def _asked(decision: Decision) -> Request:
    """What compressors may know besides a segment's text."""
    segment = decision.segment
    if not decision.ref:
        return Request()
    return Request(segment.preceding_user_text, decision.ref, segment.tool_arguments, decision.words)


@dataclass(frozen=True, slots=True, repr=False)
class _Tool:
    """What holds for all texts of one tool.

    Attributes:
        exact: the model quotes them byte for byte.
        reads_words: something that is done about them has to know which words stay.
        begun: the hash of what decides about all of them.
    """

    exact: bool
    reads_words: bool
    begun: "hashlib.blake2b"


class _Look:
    """One look at a payload: what its segments share is worked out once.

    The memo knows an outcome by a hash of everything that it depends on, of texts and arguments as they are spelled: so what is
    known is not decoded.
    """

    def __init__(self, table: DispatchTable, exact_tools: Collection[str], memo: Memo, context: Context) -> None:
        self._table = table
        self._exact_tools = exact_tools
        self._memo = memo
        self._context = context
        self._tools: dict[str, _Tool] = {}
        self._question: tuple[tuple[int, ...], bytes] | None = None  # the last one, and its digest

    def at(self, segment: Segment) -> Decision:
        """The decision about a segment as far as it is known."""
        if segment.frozen:
            return Decision(segment, _FROZEN)
        raw = segment.raw
        if len(raw) < _MIN_LITERAL_BYTES:
            return Decision(segment, _SMALL)
        tool = self._tool(segment.tools)
        # What an error says is wanted whole.
        redeemable = self._context.redeemable and not segment.is_error and not tool.exact
        state = tool.begun.copy()
        state.update(raw)
        if redeemable:
            state.update(self._digest(segment))
            state.update(segment.raw_arguments)
        key = state.digest()
        outcome = self._memo.get(key)
        decision = Decision(segment, outcome)
        decision.key = key
        decision.remembered = outcome is not None
        if outcome is not None:
            decision.ref = outcome.ref
        elif redeemable:
            decision.ref = make_ref(self._context.tenant, text_digest(segment.utf8))
            if tool.reads_words and self._context.masks is not None:
                decision.words = KeptWords(self._context.tenant, self._context.masks)
        return decision

    def _tool(self, name: str) -> _Tool:
        tool = self._tools.get(name)
        if tool is None:
            exact = is_named(name, self._exact_tools)
            words = "" if self._context.masks is None else "words"
            begun = _hash_of(self._context.tenant, str(self._context.policy), self._table.said(name, exact=exact), words)
            tool = self._tools[name] = _Tool(exact, self._table.reads_words(name), begun)
        return tool

    def _digest(self, segment: Segment) -> bytes:
        """Of the question. Many segments in a row share one, which may be long."""
        if self._question is None or self._question[0] is not segment.question:
            self._question = (segment.question, _hash_of(segment.preceding_user_text).digest())
        return self._question[1]


def _hash_of(*parts: str) -> "hashlib.blake2b":
    """Each part behind its length, so that no two lists of them are alike."""
    state = hashlib.blake2b(digest_size=16, person=b"headroom-memo")
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        state.update(len(data).to_bytes(8, "big"))
        state.update(data)
    return state


def _seems_to_refer(text: str, form: str) -> bool:
    """Quoted lines of a text become lines in its form that look like references of ours to others (docs/repeats.md)."""
    return any(start in form and start not in text for start in _REFERENCES)


def judge(text: str, compressed: Compressed | None) -> Outcome:
    """Accept a result that pays by the estimate and is shorter in UTF-8 bytes; else say why not.

    It pays where it is 32 tokens and a tenth shorter; a lossless one where it is 32 tokens shorter, since a small share of a
    large text is many tokens, sent again on every turn.
    """
    before = text.encode("utf-8", "surrogatepass")
    tokens_before = estimate(before)
    if compressed is None or _seems_to_refer(text, compressed.text):
        return Outcome("does_not_pay", None, tokens_before, tokens_before)
    after = compressed.text.encode("utf-8", "surrogatepass")
    tokens_after = estimate(after)
    saved = tokens_before - tokens_after
    many = compressed.lossless or saved * _MIN_SAVED_SHARE >= tokens_before
    shorter = len(after) < len(before)
    if saved >= _MIN_SAVED_TOKENS and many and shorter:
        return Outcome("compressed", compressed, tokens_before, tokens_after)
    outcome = Outcome("does_not_pay", None, tokens_before, tokens_before)
    outcome.nearly = after if compressed.lossless and shorter and saved > 0 else b""
    return outcome
