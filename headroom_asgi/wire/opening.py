"""What every turn of a conversation begins with: instructions, and the user's first text."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from headroom_asgi._crush import STRING, Document
from headroom_asgi.wire.nodes import elements_at, text_at

_INSTRUCTING = ("system", "developer")


@dataclass(frozen=True, slots=True, repr=False)
class Opening:
    """The STRING nodes that come before the first answer.

    Attributes:
        system: the texts of the instructions, in order.
        user: the first text of the user message directly behind them, -1 if that has none, or another message stands there.
    """

    system: tuple[int, ...] = ()
    user: int = -1


def opening_of(
    document: Document,
    system: Sequence[int],
    messages: Sequence[int],
    texts_of: Callable[[Document, int], Sequence[int]],
) -> Opening:
    """The opening of a list of messages with roles.

    Args:
        document: where they are.
        system: texts of instructions that stand outside of the messages.
        messages: their nodes.
        texts_of: the text nodes of a message.
    """
    texts = list(system)
    for message in messages:
        role = text_at(document, message, "role")
        if role not in _INSTRUCTING:
            said = texts_of(document, message) if role == "user" else ()
            return Opening(tuple(texts), said[0] if said else -1)
        texts += texts_of(document, message)
    return Opening(tuple(texts))


def strings_in(document: Document, value: int, key: str) -> tuple[int, ...]:
    """A string, or the strings under a key of an array's objects."""
    if value >= 0 and document.kind(value) == STRING:
        return (value,)
    nodes = (document.get(part, key) for part in (elements_at(document, value) if value >= 0 else ()))
    return tuple(node for node in nodes if node >= 0 and document.kind(node) == STRING)
