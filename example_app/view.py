"""Both wire formats as one list of items, the way a model reads a request."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

WireFormat = Literal["chat", "anthropic"]
PATHS: dict[WireFormat, str] = {"chat": "/v1/chat/completions", "anthropic": "/v1/messages"}
SESSION_HEADER = "x-session-id"
FACTS_HEADER = "x-demo-facts"


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that a model reads.

    Attributes:
        kind: system, user, assistant (text), call (of a tool), result (of one).
        text: the text; a call's arguments as JSON.
        name: the tool's, for calls and results.
        call_id: pairs a result with its call.
        message: the index of the message it stands in.
    """

    kind: Literal["system", "user", "assistant", "call", "result"]
    text: str
    name: str = ""
    call_id: str = ""
    message: int = -1


def items_of(wire_format: WireFormat, body: dict[str, Any]) -> list[Item]:
    """Everything in a valid request, in order; results know their tool's name."""
    items = list(_system(body))
    names: dict[str, str] = {}
    for index, message in enumerate(body["messages"]):
        for item in (_chat_items if wire_format == "chat" else _anthropic_items)(message, index):
            if item.kind == "call":
                names[item.call_id] = item.name
            if item.kind == "result":
                item = Item("result", item.text, names.get(item.call_id, ""), item.call_id, index)  # noqa: PLW2901
            items.append(item)
    return items


def tool_names(wire_format: WireFormat, body: dict[str, Any]) -> list[str]:
    """The names in `tools`, in order."""
    tools = body.get("tools") or ()
    return [tool["function"]["name"] if wire_format == "chat" and "function" in tool else tool.get("name", "") for tool in tools]


def text_of(content: Any) -> str:
    """The text of a string, of text parts, or of nothing."""
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content or () if isinstance(part, dict) and isinstance(part.get("text"), str))


def canonical(value: Any) -> Any:
    """A value without what is no part of the prompt: cache breakpoints, and members that are null."""
    if isinstance(value, dict):
        return {key: canonical(child) for key, child in value.items() if key != "cache_control" and child is not None}
    return [canonical(child) for child in value] if isinstance(value, list) else value


def digest(*values: Any) -> str:
    """A short digest of the canonical JSON of some values."""
    return hashlib.sha256(json.dumps(canonical(list(values)), separators=(",", ":")).encode()).hexdigest()[:24]


def conversation_id(wire_format: WireFormat, body: dict[str, Any], session: str | None) -> str:
    """What one conversation's requests have in common: the client's session header, else the first user message."""
    first = next((message for message in body["messages"] if message.get("role") == "user"), None)
    return session or digest(wire_format, first)


def _system(body: dict[str, Any]) -> Iterator[Item]:
    if body.get("system"):
        yield Item("system", text_of(body["system"]))


def _chat_items(message: dict[str, Any], index: int) -> Iterator[Item]:
    role, text = message["role"], text_of(message.get("content"))
    if role == "tool":
        yield Item("result", text, call_id=message["tool_call_id"], message=index)
    elif role == "assistant":
        if text:
            yield Item("assistant", text, message=index)
        for call in message.get("tool_calls") or ():
            function = call["function"]
            yield Item("call", function["arguments"], function["name"], call["id"], index)
    else:
        yield Item("user" if role == "user" else "system", text, message=index)


def _anthropic_items(message: dict[str, Any], index: int) -> Iterator[Item]:
    content = message["content"]
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    spoken: Literal["user", "assistant", "system"] = message["role"]
    for block in blocks:
        if block["type"] == "text":
            yield Item(spoken, block["text"], message=index)
        elif block["type"] == "tool_use":
            yield Item("call", json.dumps(block["input"]), block["name"], block["id"], index)
        elif block["type"] == "tool_result":
            yield Item("result", text_of(block.get("content")), call_id=block["tool_use_id"], message=index)
