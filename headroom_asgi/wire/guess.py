"""Whose spelling messages are in: what only one dialect has in them tells."""

from collections.abc import Mapping, Sequence
from typing import Any

DEFAULT = "openai-chat"

# By members of a message; the first one that it has counts, as results of Ollama look like OpenAI Chat's else.
_MEMBERS = {
    "parts": "gemini",
    "tool_name": "ollama",
    "thinking": "ollama",
    "images": "ollama",
    "call_id": "openai-responses",
    "encrypted_content": "openai-responses",
    "tool_calls": "openai-chat",
    "function_call": "openai-chat",
    "tool_call_id": "openai-chat",
}
_ROLES = {"tool": "openai-chat", "function": "openai-chat"}
# By the types of blocks in a list of contents, and where blocks have no types by their members.
_BLOCKS = {
    "tool_use": "anthropic",
    "tool_result": "anthropic",
    "thinking": "anthropic",
    "redacted_thinking": "anthropic",
    "server_tool_use": "anthropic",
    "image": "anthropic",
    "document": "anthropic",
    "search_result": "anthropic",
    "input_text": "openai-responses",
    "output_text": "openai-responses",
    "input_image": "openai-responses",
    "input_file": "openai-responses",
}
_UNTYPED = ("text", "toolUse", "toolResult", "reasoningContent", "cachePoint", "image", "document")


def guessed(messages: Sequence[Any]) -> str:
    """The name of the dialect that messages are most likely in: the first thing that only one has decides."""
    return next((name for name in map(_told_by, messages) if name), DEFAULT)


def _told_by(message: Any) -> str:
    """The dialect that has such a message, "" if several have."""
    if not isinstance(message, Mapping):
        return ""
    member = next((name for key, name in _MEMBERS.items() if key in message), "")
    kind, role, content = message.get("type"), message.get("role"), message.get("content")
    if member:
        return member
    if isinstance(kind, str):
        return "openai-responses"  # only its items have types
    if isinstance(role, str) and role in _ROLES:
        return _ROLES[role]
    blocks = content if isinstance(content, (list, tuple)) else ()
    return next((name for name in map(_told_by_block, blocks) if name), "")


def _told_by_block(block: Any) -> str:
    if not isinstance(block, Mapping):
        return ""
    kind = block.get("type")
    if kind is None:
        return "bedrock" if any(key in block for key in _UNTYPED) else ""
    return _BLOCKS.get(kind, "") if isinstance(kind, str) else ""
