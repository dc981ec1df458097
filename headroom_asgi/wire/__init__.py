"""The dialects of model providers: requests to segments and edits, answers and streams to neutral events and back."""

import re
from collections.abc import Sequence
from typing import Any

from headroom_asgi.errors import ConfigError
from headroom_asgi.wire.answers import Answer, Finish, Part, PartKind, Round, Turn
from headroom_asgi.wire.anthropic import AnthropicMessages
from headroom_asgi.wire.base import ANSWERED, Endpoint, Offer, Payload, WireFormat
from headroom_asgi.wire.bedrock import BedrockConverse
from headroom_asgi.wire.bedrock_invoke import BedrockInvoke
from headroom_asgi.wire.events import Event, EventKind, Frame, StreamCodec
from headroom_asgi.wire.gemini import Gemini
from headroom_asgi.wire.guess import guessed
from headroom_asgi.wire.ollama import Ollama
from headroom_asgi.wire.openai_chat import OpenAIChat
from headroom_asgi.wire.openai_responses import OpenAIResponses
from headroom_asgi.wire.opening import Opening
from headroom_asgi.wire.segments import SOME_TOOL, Segment
from headroom_asgi.wire.splice import dump, literal, rewrite, splice

__all__ = [
    "ANSWERED",
    "DIALECTS",
    "SOME_TOOL",
    "Answer",
    "Endpoint",
    "Event",
    "EventKind",
    "Finish",
    "Frame",
    "Offer",
    "Opening",
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
    "keeper_of",
    "literal",
    "rewrite",
    "splice",
]

DIALECTS: tuple[WireFormat, ...] = (
    OpenAIChat(),
    OpenAIResponses(),
    AnthropicMessages(),
    BedrockConverse(),
    BedrockInvoke(),
    Ollama(),
    Gemini(),
)


def dialect_for(path: str, query: str = "") -> tuple[WireFormat, Endpoint] | None:
    """The dialect of requests to an address, and what the address says; None if it is none of ours."""
    path = path.removesuffix("/")
    for wire in DIALECTS:
        if (endpoint := wire.endpoint(path, query)) is not None:
            return wire, endpoint
    return None


def keeper_of(path: str) -> tuple[WireFormat, re.Match[str]] | None:
    """The dialect whose provider keeps the answer that an address is about, and where the path names it."""
    for wire in DIALECTS:
        if wire.kept is not None and (found := wire.kept.search(path)) is not None:
            return wire, found
    return None


def dialect_named(name: str) -> WireFormat:
    """The dialect of that name. ConfigError if there is none."""
    for wire in DIALECTS:
        if wire.name == name:
            return wire
    raise ConfigError(f"format: expected one of {', '.join(repr(wire.name) for wire in DIALECTS)}, got {name!r}")


def guess_dialect(messages: Sequence[Any]) -> WireFormat:
    """The dialect that messages are most likely in; OpenAI Chat if nothing tells."""
    return dialect_named(guessed(messages))
