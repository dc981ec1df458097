"""Keeps instructions alike from conversation to conversation, so that they share the provider's prompt cache.

See docs/cache-aligner.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from headroom_asgi._crush import Document
from headroom_asgi.config import HeadroomConfig, Route
from headroom_asgi.tokenizer import Tokenizer
from headroom_asgi.transforms.base import Transform, TransformResult
from headroom_asgi.transforms.messages import decoded_messages, payload_of
from headroom_asgi.transforms.volatile import MAX_CHARS, Fragment, volatile
from headroom_asgi.types import Edit
from headroom_asgi.wire import Payload, literal, splice

ALIGNED: Final = "cache_aligner:moved"

_HEAD = "Values of the placeholders in the system prompt:"
# Instructions with more are a catalog: its ids are what it is about, and hardly change.
_MAX_VALUES = 16
_KEPT = 64  # instructions whose fragments are remembered; requests of one conversation have the same


@dataclass(frozen=True, slots=True, repr=False)
class Alignment:
    """What was found in the instructions of one request, and done about it.

    Attributes:
        edits: that move the fragments to the head of the first user text.
        warnings: for people; without any text of the prompt.
    """

    edits: tuple[Edit, ...] = ()
    warnings: tuple[str, ...] = ()


class CacheAligner(Transform):
    """Looks for fragments of the instructions that change between conversations; warns of them, or moves them.

    What is moved is a function of the instructions and the first user text alone, so every turn of a conversation has the same.
    """

    name = "cache_aligner"

    def __init__(self, route: Route | None = None) -> None:
        route = route or HeadroomConfig().resolve().default
        self._enabled = route.aligns
        self._moves = route.moves
        self._volatile = lru_cache(maxsize=_KEPT)(_volatile)

    def forget(self) -> None:
        """Drop what is remembered of instructions."""
        self._volatile.cache_clear()

    def align(self, payload: Payload) -> Alignment:
        """What is to be done about a payload."""
        if not self._enabled:
            return Alignment()
        opening = payload.wire.opening(payload)
        found = [self._volatile(_spelled(payload.document, node)) for node in opening.system]
        if not any(found):
            return Alignment()
        texts = [payload.document.text(node) for node in opening.system]
        values = _placeholders(texts, found)
        if not self._moves:
            return Alignment(warnings=(_warning(texts, found, ""),))
        obstacle = _obstacle(payload, opening.user, texts, values)
        if obstacle:
            return Alignment(warnings=(_warning(texts, found, obstacle),))
        edits = [
            Edit(*payload.document.span(node), literal(_replaced(text, fragments, values)))
            for node, text, fragments in zip(opening.system, texts, found, strict=True)
            if fragments
        ]
        head = "\n".join([_HEAD, *(f"{placeholder}: {value}" for value, placeholder in values.items())]) + "\n\n"
        start = payload.document.span(opening.user)[0] + 1  # behind the quote: the user's own bytes stay
        return Alignment((*edits, Edit(start, start, literal(head)[1:-1])))

    def apply(self, messages: list[Any], tokenizer: Tokenizer, **kwargs: Any) -> TransformResult:
        """The messages aligned. `kwargs["format"]` names the dialect, else it is guessed."""
        payload = payload_of(messages, kwargs.get("model", ""), kwargs.get("format"))
        alignment = self.align(payload)
        after = decoded_messages(payload.again(splice(payload.body, alignment.edits)))
        return TransformResult(
            messages=after,
            tokens_before=tokenizer.count_messages(messages),
            tokens_after=tokenizer.count_messages(after),
            transforms_applied=[ALIGNED] if alignment.edits else [],
            warnings=list(alignment.warnings),
        )


def _spelled(document: Document, node: int) -> bytes:
    """As much of a text as is looked at, as a JSON literal: its own, by which most turns know it without decoding it."""
    raw = document.raw(node)
    return raw if len(raw) <= MAX_CHARS else literal(document.text(node)[:MAX_CHARS])


def _volatile(spelled: bytes) -> tuple[Fragment, ...]:
    return volatile(Document(spelled).text(0))


def _placeholders(texts: Sequence[str], found: Sequence[Sequence[Fragment]]) -> dict[str, str]:
    """By value, in order: what stands in its place, numbered by kind, e.g. `[date-1]`."""
    values: dict[str, str] = {}
    counts: dict[str, int] = {}
    for text, fragments in zip(texts, found, strict=True):
        for fragment in fragments:
            value = text[fragment.start : fragment.end]
            if value not in values:
                counts[fragment.kind] = counts.get(fragment.kind, 0) + 1
                values[value] = f"[{fragment.kind}-{counts[fragment.kind]}]"
    return values


def _obstacle(payload: Payload, user: int, texts: Sequence[str], values: dict[str, str]) -> str:
    """Why nothing can be moved, "" if it can. Nothing that later turns change decides."""
    if payload.held or payload.holds:
        return "the provider holds the conversation"
    if payload.history_edited:
        return "the provider may leave out the first user message"
    if user < 0:
        return "no user text follows the system prompt"
    if len(values) > _MAX_VALUES:
        return f"more than {_MAX_VALUES} values"
    if any(placeholder in text for text in texts for placeholder in values.values()):
        return "the system prompt has such placeholders itself"
    return ""


def _replaced(text: str, fragments: Sequence[Fragment], values: dict[str, str]) -> str:
    """The text with placeholders in the fragments' places."""
    pieces: list[str] = []
    at = 0
    for fragment in fragments:
        pieces += (text[at : fragment.start], values[text[fragment.start : fragment.end]])
        at = fragment.end
    return "".join((*pieces, text[at:]))


def _warning(texts: Sequence[str], found: Sequence[Sequence[Fragment]], obstacle: str) -> str:
    """How many there are, of what kinds, and where the part begins that no two conversations share."""
    kinds = ", ".join(sorted({fragment.kind for fragments in found for fragment in fragments}))
    first = next(at for at, fragments in enumerate(found) if fragments)
    start = sum(map(len, texts[:first])) + found[first][0].start
    not_moved = f"; not moved: {obstacle}" if obstacle else ""
    return (
        f"cache_aligner: {sum(map(len, found))} fragments of the system prompt ({kinds}) change between conversations, which "
        f"share {start} of its {sum(map(len, texts))} characters in the provider's cache{not_moved}"
    )
