"""What the providers refuse: the rules of both wire formats, with the providers' words, and signed thinking.

A signature binds a thinking block to the exact prefix before it: system, tools, and every earlier block.
"""

import hashlib
import hmac
import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from example_app.view import WireFormat, canonical

_SIGNING_KEY = b"the scripted upstream"
_TOOL_NAME = {"chat": re.compile(r"[a-zA-Z0-9_-]{1,64}"), "anthropic": re.compile(r"[a-zA-Z0-9_-]{1,128}")}
_CHAT_ROLES = ("system", "developer", "user", "assistant", "tool", "function")
_CHAT_PARTS = ("text", "image_url", "input_audio", "file", "refusal")
_INSTEAD_OF_CONTENT = ("tool_calls", "function_call", "refusal", "audio")
_MAX_BREAKPOINTS = 4
_THINKING = ("thinking", "redacted_thinking")


class RefusedError(Exception):
    """A request that the provider answers with status 400.

    Attributes:
        message: what the provider says.
        where: the place in the request that it names.
    """

    def __init__(self, message: str, where: str = "messages") -> None:
        super().__init__(message)
        self.message, self.where = message, where


def validate(wire_format: WireFormat, body: Any) -> None:
    """Raise RefusedError where the provider would answer 400."""
    if not isinstance(body, dict):
        raise RefusedError("We could not parse the JSON body of your request.", "body")
    if not isinstance(body.get("model"), str) or not body["model"]:
        raise RefusedError("you must provide a model parameter" if wire_format == "chat" else "model: Field required", "model")
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(message, dict) for message in messages):
        raise RefusedError("Invalid 'messages': expected a non-empty array of objects.")
    _tools(wire_format, body.get("tools"))
    if wire_format == "chat":
        _chat(messages)
    else:
        _anthropic(body, messages)


def error_body(wire_format: WireFormat, refused: RefusedError) -> dict[str, Any]:
    """The provider's 400 body."""
    error = {"type": "invalid_request_error", "message": refused.message}
    if wire_format == "chat":
        return {"error": {**error, "param": refused.where, "code": None}}
    return {"type": "error", "error": error, "request_id": "req_scripted"}


def signature(body: dict[str, Any], thinking: str) -> str:
    """The signature of a thinking block that is spoken after everything in a request."""
    return _sign(_prefix(body, body["messages"]), thinking)


def _tools(wire_format: WireFormat, tools: Any) -> None:
    if tools is None:
        return
    if not isinstance(tools, list) or (wire_format == "chat" and not tools):
        raise RefusedError("Invalid 'tools': expected a non-empty array.", "tools")
    names = []
    for index, tool in enumerate(tools):
        where = f"tools.{index}"
        if not isinstance(tool, dict):
            raise RefusedError(f"{where}: expected an object", where)
        names.append(_chat_tool(tool, where) if wire_format == "chat" else _anthropic_tool(tool, where))
        if not isinstance(names[-1], str) or not _TOOL_NAME[wire_format].fullmatch(names[-1]):
            raise RefusedError(f"Invalid '{where}.name': string does not match pattern.", where)
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise RefusedError(f"tools: Tool names must be unique. ({twice[0]})", "tools")


def _chat_tool(tool: dict[str, Any], where: str) -> Any:
    kind = tool.get("type")
    if kind not in ("function", "custom") or not isinstance(tool.get(kind), dict):
        raise RefusedError(f"Missing required parameter: '{where}.function'.", where)
    parameters = tool[kind].get("parameters")
    if parameters is not None and not isinstance(parameters, dict):
        raise RefusedError(f"Invalid schema for '{where}': not an object.", where)
    return tool[kind].get("name")


def _anthropic_tool(tool: dict[str, Any], where: str) -> Any:
    schema = tool.get("input_schema")
    if tool.get("type") in (None, "custom") and (not isinstance(schema, dict) or schema.get("type") != "object"):
        raise RefusedError(f"{where}.custom.input_schema: Field required", where)
    return tool.get("name")


def _chat(messages: list[dict[str, Any]]) -> None:
    """Roles, contents, and that every tool call is answered at once, by exactly one tool message."""
    waiting: list[str] = []
    answered: set[str] = set()
    for index, message in enumerate(messages):
        where = f"messages.[{index}]"
        role = message.get("role")
        if role not in _CHAT_ROLES:
            raise RefusedError(f"Invalid value: {role!r}. Supported values are: {', '.join(_CHAT_ROLES)}.", f"{where}.role")
        if role == "tool":
            call_id = message.get("tool_call_id")
            if call_id not in waiting:
                what = "Duplicate value for" if call_id in answered else "Invalid parameter:"
                raise RefusedError(
                    f"{what} 'tool_call_id' of '{call_id}': messages with role 'tool' must be a response to a preceeding "
                    "message with 'tool_calls'.",
                    f"{where}.role",
                )
            waiting.remove(call_id)
            answered.add(call_id)
        else:
            _answered(waiting, where)
            answered.clear()
        _chat_content(message, where)
        if role == "assistant" and message.get("tool_calls") is not None:
            waiting = _chat_calls(message["tool_calls"], where)
    _answered(waiting, f"messages.[{len(messages) - 1}]")


def _answered(waiting: list[str], where: str) -> None:
    if waiting:
        raise RefusedError(
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
            f"The following tool_call_ids did not have response messages: {', '.join(waiting)}",
            f"{where}.role",
        )


def _chat_content(message: dict[str, Any], where: str) -> None:
    content, role = message.get("content"), message["role"]
    instead = role == "assistant" and any(message.get(key) for key in _INSTEAD_OF_CONTENT)
    if isinstance(content, str) or (content is None and instead):
        return
    kinds = ("text",) if role in ("tool", "system", "developer") else _CHAT_PARTS
    if not isinstance(content, list) or not content:
        raise RefusedError(f"Invalid type for '{where}.content': expected a string or a non-empty array.", f"{where}.content")
    for number, part in enumerate(content):
        if not isinstance(part, dict) or part.get("type") not in kinds:
            raise RefusedError(f"Invalid value for '{where}.content[{number}].type'.", f"{where}.content")
        if part["type"] == "text" and not isinstance(part.get("text"), str):
            raise RefusedError(f"Missing required parameter: '{where}.content[{number}].text'.", f"{where}.content")


def _chat_calls(calls: Any, where: str) -> list[str]:
    if not isinstance(calls, list) or not calls:
        raise RefusedError(f"Invalid '{where}.tool_calls': empty array.", f"{where}.tool_calls")
    ids: list[str] = []
    for call in calls:
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("arguments"), str) or not function.get("name"):
            raise RefusedError(f"Missing required parameter: '{where}.tool_calls.function'.", f"{where}.tool_calls")
        if not isinstance(call.get("id"), str) or call["id"] in ids:
            raise RefusedError(f"Invalid or duplicate id in '{where}.tool_calls'.", f"{where}.tool_calls")
        ids.append(call["id"])
    return ids


def _anthropic(body: dict[str, Any], messages: list[dict[str, Any]]) -> None:
    """Limits, turns, blocks, pairing of tool calls and results, and the signatures."""
    if not isinstance(body.get("max_tokens"), int):
        raise RefusedError("max_tokens: Field required", "max_tokens")
    if json.dumps(body).count('"cache_control": {') > _MAX_BREAKPOINTS:
        raise RefusedError(f"A maximum of {_MAX_BREAKPOINTS} blocks with cache_control may be provided.")
    if messages[0].get("role") != "user":
        raise RefusedError('messages: first message must use the "user" role')
    for index, message in enumerate(messages):
        _anthropic_message(message, index, last=index == len(messages) - 1)
    turns = list(_turns(messages))
    _pairing(turns)
    _thinking_places(body, turns)
    _signatures(body, messages)


def _anthropic_message(message: dict[str, Any], index: int, *, last: bool) -> None:
    role, content = message.get("role"), message.get("content")
    if role not in ("user", "assistant", "system"):
        raise RefusedError(f"messages.{index}.role: Input should be 'user', 'assistant' or 'system'")
    if not isinstance(content, (str, list)):
        raise RefusedError(f"messages.{index}.content: Field required")
    if not content and not (last and role == "assistant"):
        raise RefusedError(
            f"messages.{index}: all messages must have non-empty content except for the optional final assistant message"
        )
    for number, block in enumerate(_blocks(message)):
        where = f"messages.{index}.content.{number}"
        if not isinstance(block, dict) or not isinstance(block.get("type"), str):
            raise RefusedError(f"{where}.type: Field required")
        _block(block, where)


def _block(block: dict[str, Any], where: str) -> None:
    kind = block["type"]
    if kind == "text":
        if not isinstance(block.get("text"), str) or not block["text"]:
            raise RefusedError(f"{where}: text content blocks must be non-empty")
        if not block["text"].strip():
            raise RefusedError(f"{where}: text content blocks must contain non-whitespace text")
    elif kind == "tool_use":
        if not isinstance(block.get("id"), str) or not block.get("name") or not isinstance(block.get("input"), dict):
            raise RefusedError(f"{where}.tool_use: id, name and input are required")
    elif kind == "tool_result":
        content = block.get("content")
        if not isinstance(block.get("tool_use_id"), str) or not isinstance(content, (str, list, type(None))):
            raise RefusedError(f"{where}.tool_result.content: Input should be a valid string or list")
        for number, part in enumerate(content if isinstance(content, list) else ()):
            if not isinstance(part, dict) or not part.get("type"):
                raise RefusedError(f"{where}.tool_result.content.{number}.type: Field required")
            if part["type"] == "text" and not part.get("text"):
                raise RefusedError(f"{where}.tool_result.content.{number}: text content blocks must be non-empty")
    elif kind == "thinking" and not isinstance(block.get("signature"), str):
        raise RefusedError(f"{where}.thinking.signature: Field required")


def _blocks(message: dict[str, Any]) -> list[Any]:
    content = message["content"]
    return content if isinstance(content, list) else [{"type": "text", "text": content}] if content else []


def _turns(messages: list[dict[str, Any]]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Consecutive messages of one role are one turn."""
    role, blocks = messages[0]["role"], list[dict[str, Any]]()
    for message in messages:
        if message["role"] != role:
            yield role, blocks
            role, blocks = message["role"], []
        blocks = blocks + _blocks(message)
    yield role, blocks


def _pairing(turns: list[tuple[str, list[dict[str, Any]]]]) -> None:
    """Calls are answered in the turn right after theirs, first of all in it, and once."""
    asked: list[str] = []
    seen: set[str] = set()
    for index, (_, blocks) in enumerate(turns):
        where = f"messages.{index}"
        leading = next((n for n, block in enumerate(blocks) if block["type"] != "tool_result"), len(blocks))
        results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        if unknown := [call_id for call_id in results if call_id not in asked]:
            raise RefusedError(
                f"{where}.content: unexpected `tool_use_id` found in `tool_result` blocks: {unknown[0]}. Each `tool_result` "
                "block must have a corresponding `tool_use` block in the previous message."
            )
        missing = [call_id for call_id in asked if call_id not in results[:leading]]
        if missing:
            raise RefusedError(
                f"{where}: `tool_use` ids were found without `tool_result` blocks immediately after: {', '.join(missing)}. "
                "Each `tool_use` block must have a corresponding `tool_result` block in the next message."
            )
        if len(set(results)) != len(results):
            raise RefusedError(
                f"{where}.content: each tool_use must have a single result. Found multiple `tool_result` blocks with one id."
            )
        asked = [block["id"] for block in blocks if block["type"] == "tool_use"]
        if len(set(asked)) != len(asked) or seen & set(asked):
            raise RefusedError(f"{where}: `tool_use` ids must be unique")
        seen |= set(asked)
    if asked:
        raise RefusedError(
            f"messages: `tool_use` ids were found without `tool_result` blocks immediately after: {', '.join(asked)}."
        )


def _thinking_places(body: dict[str, Any], turns: list[tuple[str, list[dict[str, Any]]]]) -> None:
    spoken = [(index, blocks) for index, (role, blocks) in enumerate(turns) if role == "assistant" and blocks]
    for index, blocks in spoken:
        if blocks[-1]["type"] in _THINKING:
            raise RefusedError(f"messages.{index}: The final block in an assistant message cannot be `thinking`.")
    enabled = (body.get("thinking") or {}).get("type") == "enabled"
    if enabled and spoken and any(block["type"] == "tool_use" for block in spoken[-1][1]):
        first = spoken[-1][1][0]["type"]
        if first not in _THINKING:
            raise RefusedError(
                f"messages.{spoken[-1][0]}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{first}`."
            )


def _signatures(body: dict[str, Any], messages: list[dict[str, Any]]) -> None:
    """Every thinking block stands after exactly the prefix that it was signed with."""
    prefix = _prefix(body, ())
    for index, message in enumerate(messages):
        for number, block in enumerate(_blocks(message)):
            if block["type"] == "thinking" and block["signature"] != _sign(prefix, block["thinking"]):
                raise RefusedError(
                    f"messages.{index}.content.{number}: `thinking` block signature is bound to a different conversation"
                )
            _extend(prefix, message["role"], block)


def _prefix(body: dict[str, Any], messages: Any) -> Any:
    """The running digest of system, tools and messages."""
    prefix = hashlib.sha256()
    for name in ("system", "tools"):
        value = body.get(name) or []
        _extend(prefix, name, {"type": name, name: [{"type": "text", "text": value}] if isinstance(value, str) else value})
    for message in messages:
        for block in _blocks(message):
            _extend(prefix, message["role"], block)
    return prefix


def _extend(prefix: Any, role: str, block: dict[str, Any]) -> None:
    """Add a block: the order of its own members says nothing, that of a tool's input or schema does."""
    if block["type"] == "tool_result" and isinstance(block.get("content"), str) and block["content"]:
        block = {**block, "content": [{"type": "text", "text": block["content"]}]}
    members = sorted(canonical(block).items())
    prefix.update(json.dumps([role, members], separators=(",", ":")).encode() + b"\n")


def _sign(prefix: Any, thinking: str) -> str:
    return hmac.new(_SIGNING_KEY, prefix.digest() + thinking.encode(), "sha256").hexdigest()
