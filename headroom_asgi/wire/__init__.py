"""The dialects of model providers: requests to segments and edits, answers and streams to neutral events and back."""

from collections.abc import Mapping, Sequence
from typing import Any

from headroom_asgi.errors import ConfigError
from headroom_asgi.wire.answers import Answer, Finish, Part, PartKind, Round, Turn
from headroom_asgi.wire.anthropic import AnthropicMessages
from headroom_asgi.wire.base import ANSWERED, Endpoint, Offer, Payload, Segment, WireFormat
from headroom_asgi.wire.events import Event, EventKind, Frame, StreamCodec
from headroom_asgi.wire.openai_chat import OpenAIChat
from headroom_asgi.wire.splice import dump, literal, rewrite, splice

__all__ = [
    "ANSWERED",
    "DIALECTS",
    "Answer",
    "Endpoint",
    "Event",
    "EventKind",
    "Finish",
    "Frame",
    "Offer",
    "Part",
    "PartKind",
    "Payload",
    "Round",
    "Segment",
    "StreamCodec",
    "Turn",
    "WireFormat",
    "dialect_for",
    "dialect_named",
    "dump",
    "guess_dialect",
    "literal",
    "rewrite",
    "splice",
]

DIALECTS: tuple[WireFormat, ...] = (OpenAIChat(), AnthropicMessages())

# What only one of the dialects has in its messages: blocks in content lists by type; roles and members of messages.
_ANTHROPIC_BLOCKS = (
    "tool_use",
    "tool_result",
    "thinking",
    "redacted_thinking",
    "server_tool_use",
    "image",
    "document",
    "search_result",
)
_CHAT_ROLES = ("tool", "function", "developer")
_CHAT_MEMBERS = frozenset({"tool_calls", "function_call", "tool_call_id"})


def dialect_for(path: str, query: str = "") -> tuple[WireFormat, Endpoint] | None:
    """The dialect of requests to an address, and what the address says; None if it is none of ours."""
    path = path.removesuffix("/")
    for wire in DIALECTS:
        if (endpoint := wire.endpoint(path, query)) is not None:
            return wire, endpoint
    return None


def dialect_named(name: str) -> WireFormat:
    """The dialect of that name. ConfigError if there is none."""
    for wire in DIALECTS:
        if wire.name == name:
            return wire
    raise ConfigError(f"format: expected one of {', '.join(repr(wire.name) for wire in DIALECTS)}, got {name!r}")


def guess_dialect(messages: Sequence[Any]) -> WireFormat:
    """The dialect that messages are most likely in: the first thing that only one has decides; OpenAI Chat if there is none."""
    for message in messages:
        if not isinstance(message, Mapping):
            continue
        if message.get("role") in _CHAT_ROLES or not _CHAT_MEMBERS.isdisjoint(message):
            break
        content = message.get("content")
        blocks = content if isinstance(content, (list, tuple)) else ()
        if any(isinstance(block, Mapping) and block.get("type") in _ANTHROPIC_BLOCKS for block in blocks):
            return dialect_named(AnthropicMessages.name)
    return dialect_named(OpenAIChat.name)
