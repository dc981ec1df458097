"""A model's answer in neutral form, the rounds it took, and the turn it becomes."""

from dataclasses import dataclass
from enum import Enum
from typing import Any

from headroom_asgi._crush import Document
from headroom_asgi.types import ToolCall, ToolResult


class Finish(Enum):
    """Why a round ended, as far as the loop cares."""

    DONE = "done"  # the model is through, or waits for tools
    CUT = "cut"  # length, filter, refusal, pause, error: calls of this round may be incomplete or unsafe


class PartKind(Enum):
    """What a part of an answer is, as far as the loop cares."""

    TEXT = "text"
    CALL = "call"  # a function tool call that the client (or we) must answer
    SIGNED = "signed"  # reasoning that is bound to the exact prefix before it
    LEADING = "leading"  # reasoning that belongs to the part behind it, and is hidden with it
    OTHER = "other"


@dataclass(frozen=True, slots=True, repr=False)
class Part:
    """One part of an answer, in order. `node` is the dialect's handle into the answer's document."""

    kind: PartKind
    node: int
    call: ToolCall | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """What one round brought: the whole answer as JSON (assembled, if it came as a stream), and its parts."""

    document: Document
    parts: tuple[Part, ...]
    finish: Finish

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """Every function tool call, in order."""
        return tuple(part.call for part in self.parts if part.call is not None)


@dataclass(frozen=True, slots=True, repr=False)
class Round:
    """One round of an exchange: the model's whole answer, and what its calls of our tool were answered with, in order."""

    answer: Answer
    results: tuple[ToolResult, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class Turn:
    """A turn of the model as its client has it: in a later request, or the answer that it just got.

    Attributes:
        text: the visible texts, joined; signed reasoning and white space at both ends do not count.
        calls: the function tool calls, in order.
        start: where it begins in the body; 0 for an answer.
        held: the turn itself is with the provider, the request only answers its calls (which have an id, and no name).
        data: the dialect's handle; nobody else looks at it.
    """

    text: str
    calls: tuple[ToolCall, ...]
    start: int = 0
    held: bool = False
    data: Any = None
