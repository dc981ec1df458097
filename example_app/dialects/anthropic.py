"""Anthropic Messages, with signed thinking and threads."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from example_app.dialects.base import (
    Address,
    Dialect,
    Envelope,
    Memory,
    RefusedError,
    check_names,
    conversation_of,
    event,
    pieces,
)
from example_app.dialects.turns import Prefix, Spoken, check_pairs, check_signatures, check_thinking, turns
from example_app.view import Item, Reply, canonical, text_of

_MAX_BREAKPOINTS = 4


class Anthropic(Dialect):
    """Anthropic Messages."""

    name = "anthropic"
    paths: ClassVar[Sequence[tuple[str, Address]]] = (
        (r"(^|/)v1/messages$", Address()),
        (r"(^|/)v1/messages/count_tokens$", Address(counts=True)),
        (r"publishers/anthropic/models/(?P<model>[^/]+):rawPredict$", Address()),
        (r"publishers/anthropic/models/(?P<model>[^/]+):streamRawPredict$", Address(stream=True)),
    )
    tool_name = r"[a-zA-Z0-9_-]{1,128}"

    def recalled(self, body: dict[str, Any], address: Address, memory: Memory) -> dict[str, Any]:
        """A request that continues a thread gets the messages of the thread, and the system and tools that it left out."""
        body = super().recalled(body, address, memory)
        if address.counts:
            body = {"max_tokens": 1, **body}
        thread = body.get("thread") or {}
        if thread.get("type") == "continue":
            previous = str(thread.get("previous_message_id"))
            held = memory.get(previous)
            if held is None:
                raise RefusedError("thread: no such message", "thread", 404, "thread_not_found")
            if memory.get(_continued(previous)) is not None:
                raise RefusedError("thread: a message is continued only once", "thread", 400, "thread_already_continued")
            body = {**held[0], **body}
            if _fingerprint(body) != _fingerprint(held[0]):
                raise RefusedError("thread: system and tools must not change", "thread", 400, "thread_fingerprint_mismatch")
            body["messages"] = [*held[1:], *(conversation_of(body, "messages") if body["messages"] else ())]
        return body

    def keep(self, body: dict[str, Any], answer: dict[str, Any], memory: Memory) -> None:
        """A thread goes on from the answer."""
        if thread := body.get("thread"):
            memory.keep(_continued(str(thread.get("previous_message_id"))), ())
            turn = {"role": "assistant", "content": answer["content"]}
            stays = {key: body[key] for key in ("system", "tools") if key in body}
            memory.keep(answer["id"], [stays, *body["messages"], turn])

    def validate(self, body: dict[str, Any]) -> None:
        """Limits, turns, blocks, pairing of tool calls and results, and the signatures."""
        messages = conversation_of(body, "messages")
        if not isinstance(body.get("model"), str) or not body["model"]:
            raise RefusedError("model: Field required", "model")
        self._tools(body.get("tools"))
        if not isinstance(body.get("max_tokens"), int):
            raise RefusedError("max_tokens: Field required", "max_tokens")
        if json.dumps(body).count('"cache_control": {') > _MAX_BREAKPOINTS:
            raise RefusedError(f"A maximum of {_MAX_BREAKPOINTS} blocks with cache_control may be provided.")
        if messages[0].get("role") != "user":
            raise RefusedError('messages: first message must use the "user" role')
        for index, message in enumerate(messages):
            _message(message, index, last=index == len(messages) - 1)
        spoken = _spoken(body)
        merged = list(turns(spoken))
        check_pairs(merged)
        check_thinking(merged, enabled=(body.get("thinking") or {}).get("type") == "enabled")
        check_signatures(_head(body), spoken)

    def _tools(self, tools: Any) -> None:
        if tools is None:
            return
        if not isinstance(tools, list):
            raise RefusedError("tools: Input should be a valid list", "tools")
        for index, tool in enumerate(tools):
            where = f"tools.{index}"
            if not isinstance(tool, dict):
                raise RefusedError(f"{where}: expected an object", where)
            schema = tool.get("input_schema")
            if tool.get("type") in (None, "custom") and (not isinstance(schema, dict) or schema.get("type") != "object"):
                raise RefusedError(f"{where}.custom.input_schema: Field required", where)
        check_names([tool.get("name") for tool in tools], self.tool_name)

    def head(self, body: dict[str, Any]) -> Any:
        """System and tools."""
        return _head(body)

    def items(self, body: dict[str, Any]) -> Iterator[Item]:
        """The system prompt and all blocks."""
        if body.get("system"):
            yield Item("system", text_of(body["system"]))
        for index, (role, blocks) in enumerate(_spoken(body)):
            for block in blocks:
                if block["type"] == "text":
                    yield Item(role, block["text"], message=index)
                elif block["type"] == "tool_use":
                    yield Item("call", json.dumps(block["input"]), block["name"], block["id"], index)
                elif block["type"] == "tool_result":
                    yield Item("result", text_of(block.get("content")), call_id=block["tool_use_id"], message=index)

    def tools(self, body: dict[str, Any]) -> list[str]:
        """All of them."""
        return [tool["name"] for tool in body.get("tools") or ()]

    def answer(self, reply: Reply, envelope: Envelope) -> dict[str, Any]:
        """A message."""
        blocks: list[dict[str, Any]] = []
        if reply.thinking and (envelope.body.get("thinking") or {}).get("type") in ("enabled", "adaptive"):
            signature = Prefix(_head(envelope.body), _spoken(envelope.body)).signature(reply.thinking)
            blocks.append({"type": "thinking", "thinking": reply.thinking, "signature": signature})
        if reply.text:
            blocks.append({"type": "text", "text": reply.text})
        for index, call in enumerate(reply.calls):
            blocks.append({"type": "tool_use", "id": f"toolu_{envelope.key}{index}", "name": call.name, "input": call.arguments})
        usage = {
            "input_tokens": envelope.tokens_in,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": envelope.tokens_out,
        }
        head = {"id": f"msg_{envelope.key}", "type": "message", "role": "assistant", "model": envelope.model}
        stop = "tool_use" if reply.calls else "end_turn"
        return {**head, "content": blocks, "stop_reason": stop, "stop_sequence": None, "usage": usage}

    def frames(self, answer: dict[str, Any], reply: Reply, envelope: Envelope, address: Address) -> Iterator[bytes]:  # noqa: ARG002
        """Named events."""
        for value in events(answer):
            yield event(**value)

    def refusal(self, refused: RefusedError) -> dict[str, Any]:
        """Anthropic's error object."""
        kind = "overloaded_error" if refused.status >= 500 else "invalid_request_error"
        error: dict[str, Any] = {"type": kind, "message": refused.message}
        if refused.code:
            error["details"] = {"error_code": refused.code}
        return {"type": "error", "error": error, "request_id": "req_scripted"}

    def broken(self, message: str, address: Address) -> bytes:  # noqa: ARG002
        """An `error` event."""
        return event("error", error={"type": "overloaded_error", "message": message})


def events(answer: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A message as the events of its stream."""
    began = {**answer, "content": [], "stop_reason": None, "usage": {**answer["usage"], "output_tokens": 1}}
    yield {"kind": "message_start", "message": began}
    yield {"kind": "ping"}
    for index, block in enumerate(answer["content"]):
        opening, deltas = _opened(block)
        yield {"kind": "content_block_start", "index": index, "content_block": opening}
        for delta in deltas:
            yield {"kind": "content_block_delta", "index": index, "delta": delta}
        yield {"kind": "content_block_stop", "index": index}
        yield {"kind": "ping"}
    stop = {"stop_reason": answer["stop_reason"], "stop_sequence": None}
    yield {"kind": "message_delta", "delta": stop, "usage": answer["usage"]}
    yield {"kind": "message_stop"}


def _opened(block: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A block as it starts, and the deltas that fill it."""
    if block["type"] == "text":
        return {**block, "text": ""}, [{"type": "text_delta", "text": piece} for piece in pieces(block["text"])]
    if block["type"] == "thinking":
        deltas: list[dict[str, Any]] = [{"type": "thinking_delta", "thinking": piece} for piece in pieces(block["thinking"])]
        return {**block, "thinking": "", "signature": ""}, [*deltas, {"type": "signature_delta", "signature": block["signature"]}]
    arguments = ["", *pieces(json.dumps(block["input"]))]
    return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": piece} for piece in arguments]


def _head(body: dict[str, Any]) -> list[Any]:
    return [body.get("system"), body.get("tools")]


def _continued(message_id: str) -> str:
    return f"what follows {message_id}"


def _fingerprint(body: dict[str, Any]) -> Any:
    return canonical(_head(body))


def _spoken(body: dict[str, Any]) -> list[Spoken]:
    """Every message as blocks; a string is one text block."""
    messages = []
    for message in body["messages"]:
        content = message["content"]
        text = [{"type": "text", "text": content}] if content else []
        messages.append((message["role"], content if isinstance(content, list) else text))
    return messages


def _message(message: dict[str, Any], index: int, *, last: bool) -> None:
    role, content = message.get("role"), message.get("content")
    if role not in ("user", "assistant", "system"):
        raise RefusedError(f"messages.{index}.role: Input should be 'user', 'assistant' or 'system'")
    if not isinstance(content, (str, list)):
        raise RefusedError(f"messages.{index}.content: Field required")
    if not content and not (last and role == "assistant"):
        raise RefusedError(
            f"messages.{index}: all messages must have non-empty content except for the optional final assistant message"
        )
    for number, block in enumerate(content if isinstance(content, list) else ()):
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
