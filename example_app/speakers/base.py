"""What the client's side of every dialect offers, and what clients say in all of them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

MAX_TOKENS = 4096
THINKING_TOKENS = 2048


class DemoError(Exception):
    """Something in the demo's machinery that is not as it must be."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool of the client: its definition."""

    name: str
    description: str
    arguments: tuple[str, ...] = ()

    @property
    def schema(self) -> dict[str, Any]:
        """Of its arguments."""
        properties = {name: {"type": "string"} for name in self.arguments}
        return {"type": "object", "properties": properties, "required": list(self.arguments)}


@dataclass(frozen=True, slots=True)
class Asked:
    """A call that the client has to answer."""

    call_id: str
    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Talk:
    """What a request says beside its messages.

    Attributes:
        model, system, tools, stream: as their names say.
        thinking: how the model is to think, in Anthropic's words: `enabled` or `adaptive`; "" if it is not to.
    """

    model: str
    system: str = ""
    tools: tuple[Tool, ...] = ()
    stream: bool = False
    thinking: str = ""


class Speaker(ABC):
    """A client of one dialect. Messages are what the dialect calls messages, contents or items."""

    system_is_a_message: ClassVar[bool] = False

    @abstractmethod
    def path(self, talk: Talk) -> str:
        """Where a request goes, with its query."""

    @abstractmethod
    def body(self, talk: Talk, messages: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """A request."""

    def user(self, text: str) -> dict[str, Any]:
        """What the user says."""
        return {"role": "user", "content": text}

    @abstractmethod
    def turn(self, answer: dict[str, Any]) -> list[dict[str, Any]]:
        """An answer as the messages that later requests repeat."""

    @abstractmethod
    def text(self, turn: Sequence[dict[str, Any]]) -> str:
        """The text of such a turn."""

    @abstractmethod
    def calls(self, turn: Sequence[dict[str, Any]]) -> list[Asked]:
        """The calls of such a turn."""

    @abstractmethod
    def results(self, asked: Sequence[Asked], texts: Sequence[str]) -> list[dict[str, Any]]:
        """The messages that answer the calls of a turn."""

    @abstractmethod
    def assembled(self, stream: bytes) -> dict[str, Any]:
        """The answer that a stream adds up to. DemoError where it breaks the dialect's grammar."""


def with_system(talk: Talk, messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Messages behind the system prompt."""
    return [*([{"role": "system", "content": talk.system}] if talk.system else []), *messages]


def thinking(talk: Talk) -> dict[str, Any]:
    """How the model is to think, in Anthropic's spelling."""
    return {"type": talk.thinking, **({"budget_tokens": THINKING_TOKENS} if talk.thinking == "enabled" else {})}


def functions(talk: Talk) -> dict[str, Any]:
    """The tools of a request in Chat's spelling."""
    functions = [{"name": tool.name, "description": tool.description, "parameters": tool.schema} for tool in talk.tools]
    return {"tools": [{"type": "function", "function": function} for function in functions]} if functions else {}


def grammatical(holds: bool, what: str, stream: bytes) -> None:  # noqa: FBT001
    """DemoError unless it holds."""
    if not holds:
        raise DemoError(f"a broken stream: {what}: {stream[-2000:]!r}")
