"""An official client behind a small interface: a conversation's start, a question, its answer as the client sees it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

QUESTION = "What became of the orders?"
SCHEMA = {
    "type": "object",
    "properties": {"answer": {"type": "integer"}},
    "required": ["answer"],
    "additionalProperties": False,
}
PARAMETERS = {"type": "object", "properties": {"page": {"type": "integer"}}}
ABOUT = {"name": "list_orders", "description": "Lists orders."}
CHAT_TOOL: dict[str, Any] = {"type": "function", "function": {**ABOUT, "parameters": PARAMETERS}}
TIMEOUT_S = 30.0


@dataclass(slots=True)
class Saw:
    """What a client saw of an answer.

    Attributes:
        text: all of it.
        calls: name and arguments of each tool call.
        reason: why the answer ended, as the client says it; "" if it doesn't.
        usage: tokens in and out, as the client says it.
        final: the final object as plain values.
        turn: what the client sends back as the model's turn.
        ids: of the calls.
    """

    text: str
    calls: list[tuple[str, dict[str, Any]]]
    reason: str
    usage: tuple[int, int]
    final: Any
    turn: list[Any]
    ids: list[str] = field(default_factory=list)


class Client(ABC):
    """An official client.

    Attributes:
        name: of the client.
        dialect: that it speaks.
        reasons: what it calls the end of an answer without calls, and with some.
        policies: of replay; where the provider holds the history, nothing is offered without a ledger.
    """

    name: ClassVar[str]
    dialect: ClassVar[str]
    reasons: ClassVar[tuple[str, str]]
    policies: ClassVar[tuple[str, ...]] = ("ledger", "strip")

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        self.url = url
        self.headers = headers

    @abstractmethod
    def start(self, output: str) -> list[Any]:
        """A question, a call, and what the tool said."""

    @abstractmethod
    async def ask(self, messages: list[Any], *, stream: bool, structured: bool) -> Saw:
        """The answer to a conversation, or the client's exception."""

    @abstractmethod
    def results(self, saw: Saw, texts: Sequence[str]) -> list[Any]:
        """The messages that answer the calls of an answer."""


def plain(value: Any) -> Any:
    """A value without what says nothing: nulls, empty texts and containers."""
    if isinstance(value, dict):
        members = ((key, plain(child)) for key, child in value.items())
        return {key: child for key, child in members if child not in (None, "", {}, [])}
    return [plain(child) for child in value] if isinstance(value, (list, tuple)) else value
