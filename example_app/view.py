"""What a model reads and says, whatever the dialect: items of a request, the calls and the text of a reply."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Literal

WireFormat = Literal["chat", "anthropic", "responses", "gemini", "converse", "invoke", "ollama"]
SESSION_HEADER = "x-session-id"
FACTS_HEADER = "x-demo-facts"
CONTROL_HEADER = "x-demo-control"
Kind = Literal["system", "user", "assistant", "call", "result"]
_NO_PART_OF_THE_PROMPT = ("cache_control", "prompt_cache_breakpoint")


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that a model reads.

    Attributes:
        kind: system, user, assistant (text), call (of a tool), result (of one).
        text: the text; a call's arguments as JSON.
        name: the tool's, for calls and results.
        call_id: pairs a result with its call.
        message: the index of the message it stands in; what one turn of the model says has the same.
    """

    kind: Kind
    text: str
    name: str = ""
    call_id: str = ""
    message: int = -1


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call that the scripted model makes."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """What the scripted model says in one response.

    Attributes:
        text: its text; may be empty where there are calls.
        calls: its tool calls.
        thinking: what it thinks first; signed.
        split_name: in a Chat stream, send the names of tools in two deltas.
    """

    text: str = ""
    calls: tuple[Call, ...] = ()
    thinking: str = ""
    split_name: bool = False


def text_of(content: Any) -> str:
    """The text of a string, of text parts, or of nothing."""
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content or () if isinstance(part, dict) and isinstance(part.get("text"), str))


def canonical(value: Any) -> Any:
    """A value without what is no part of the prompt: cache breakpoints, and members that are null."""
    if isinstance(value, dict):
        members = ((key, child) for key, child in value.items() if key not in _NO_PART_OF_THE_PROMPT and child is not None)
        return {key: canonical(child) for key, child in members}
    return [canonical(child) for child in value] if isinstance(value, list) else value


def digest(*values: Any) -> str:
    """A short digest of the canonical JSON of some values."""
    return hashlib.sha256(json.dumps(canonical(list(values)), separators=(",", ":")).encode()).hexdigest()[:24]
