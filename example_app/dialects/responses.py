"""OpenAI Responses: items, what the provider holds between requests, reasoning bound to what stands around it."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

from example_app.dialects.base import (
    CREATED,
    Address,
    Dialect,
    Envelope,
    Memory,
    RefusedError,
    check_names,
    conversation_of,
    data,
    dumped,
    pieces,
    sign,
)
from example_app.view import Item, Kind, Reply, canonical, text_of

_SPOKEN = ("message", "function_call", "custom_tool_call")  # what may follow reasoning, beside more of it
_OUTPUTS = {"function_call_output": "function_call", "custom_tool_call_output": "custom_tool_call"}


class Responses(Dialect):
    """OpenAI Responses."""

    name = "responses"
    paths = ((r"(^|/)responses$", Address()), (r"(^|/)responses/input_tokens$", Address(counts=True)))
    messages = "input"

    def recalled(self, body: dict[str, Any], address: Address, memory: Memory) -> dict[str, Any]:
        """The input as a list, behind what the provider holds of the response or conversation that it goes on from."""
        body = super().recalled(body, address, memory)
        given = body.get("input")
        items = [{"role": "user", "content": given}] if isinstance(given, str) else conversation_of(body, "input")
        previous, conversation = body.get("previous_response_id"), _conversation(body)
        if previous and conversation:
            raise RefusedError("Mutually exclusive parameters: previous_response_id, conversation.", "previous_response_id")
        held = memory.get(previous or conversation) or []
        if previous and not held:
            message = f"Previous response with id '{previous}' not found."
            raise RefusedError(message, "previous_response_id", 400, "previous_response_not_found")
        return {**body, "input": [*held, *items]}

    def keep(self, body: dict[str, Any], answer: dict[str, Any], memory: Memory) -> None:
        """Unless `store` is false, everything up to a response is held; a conversation goes on by itself."""
        items = [*body["input"], *answer["output"]]
        if body.get("store", True) is not False:
            memory.keep(answer["id"], items)
        if conversation := _conversation(body):
            memory.keep(conversation, items)

    def validate(self, body: dict[str, Any]) -> None:
        """Tools, items, pairs of calls and outputs, and what follows reasoning."""
        items = conversation_of(body, "input")
        if not isinstance(body.get("model"), str) or not body["model"]:
            raise RefusedError("Missing required parameter: 'model'.", "model")
        tools = body.get("tools") or []
        for index, tool in enumerate(tools):
            if tool.get("type") == "function" and not isinstance(tool.get("parameters"), dict):
                raise RefusedError(f"Missing required parameter: 'tools[{index}].parameters'.", f"tools[{index}].parameters")
        check_names(self.tools(body), self.tool_name)
        for index, item in enumerate(items):
            _check_item(item, f"input[{index}]")
        ids = [item["id"] for item in items if item.get("id")]
        if twice := [item_id for item_id in ids if ids.count(item_id) > 1]:
            raise RefusedError(f"Duplicate item found with id {twice[0]}. Remove duplicate items from your input and try again.")
        _pairs(items)
        _reasoning(items)

    def unread(self, body: dict[str, Any]) -> int:
        """Reasoning that was spoken after something else than what stands before it now."""
        items = body["input"]
        return sum(
            item.get("encrypted_content", "").partition(".")[0] != sign(prefix)
            for item, prefix in zip(items, _prefixes(body, items), strict=False)
            if item.get("type") == "reasoning"
        )

    def head(self, body: dict[str, Any]) -> Any:
        """The tools; instructions are given anew with each request."""
        return body.get("tools")

    def items(self, body: dict[str, Any]) -> Iterator[Item]:
        """Messages, calls and outputs; what stands next to each other and is the model's is one turn."""
        if body.get("instructions"):
            yield Item("system", body["instructions"])
        turn, spoke = -1, False
        for item in body["input"]:
            kind = item.get("type", "message")
            speaks = kind in ("reasoning", "function_call", "custom_tool_call") or item.get("role") == "assistant"
            turn += not (speaks and spoke)
            spoke = speaks
            if kind == "message":
                role: Kind = "system" if item["role"] == "developer" else item["role"]
                yield Item(role, text_of(item["content"]), message=turn)
            elif kind in _OUTPUTS:
                yield Item("result", text_of(item["output"]), call_id=item["call_id"], message=turn)
            elif kind == "function_call":
                yield Item("call", item["arguments"], item["name"], item["call_id"], turn)
            elif kind == "custom_tool_call":
                yield Item("call", json.dumps({"input": item["input"]}), item["name"], item["call_id"], turn)

    def tools(self, body: dict[str, Any]) -> list[str]:
        """Functions and custom tools."""
        return [tool["name"] for tool in body.get("tools") or () if tool.get("type") in ("function", "custom")]

    def answer(self, reply: Reply, envelope: Envelope) -> dict[str, Any]:
        """A response object, with echoes of the request."""
        body, key = envelope.body, envelope.key
        output: list[dict[str, Any]] = []
        if reply.text:
            part = {"type": "output_text", "text": reply.text, "annotations": []}
            message = {"id": f"msg_{key}", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
            output.append(message)
        for n, call in enumerate(reply.calls):
            said = {"call_id": f"call_{key}{n}", "name": call.name, "arguments": json.dumps(call.arguments)}
            output.append({"id": f"fc_{key}{n}", "type": "function_call", "status": "completed", **said})
        if reply.thinking and body.get("reasoning"):
            *_, prefix = _prefixes(body, body["input"])
            content = f"{sign(prefix)}.{_follower(output[0])}"
            summary = [{"type": "summary_text", "text": reply.thinking}]
            about = {"type": "reasoning", "summary": summary, "encrypted_content": content}
            output.insert(0, {"id": f"rs_{key}", **about})
        total = envelope.tokens_in + envelope.tokens_out
        usage: dict[str, Any] = {
            "input_tokens": envelope.tokens_in,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": envelope.tokens_out,
            "output_tokens_details": {"reasoning_tokens": len(reply.thinking) // 4},
            "total_tokens": total,
        }
        conversation = _conversation(body)
        return {
            "id": f"resp_{key}",
            "object": "response",
            "created_at": CREATED,
            "status": "completed",
            "error": None,
            "incomplete_details": None,
            "instructions": body.get("instructions"),
            "model": envelope.model,
            "output": output,
            "parallel_tool_calls": body.get("parallel_tool_calls", True),
            "previous_response_id": body.get("previous_response_id"),
            "conversation": {"id": conversation} if conversation else None,
            "store": body.get("store", True),
            "text": body.get("text") or {"format": {"type": "text"}},
            "tool_choice": body.get("tool_choice", "auto"),
            "tools": body.get("tools") or [],
            "usage": usage,
        }

    def frames(self, answer: dict[str, Any], reply: Reply, envelope: Envelope, address: Address) -> Iterator[bytes]:  # noqa: ARG002
        """Numbered events, the whole response in the first two and the last."""
        began = {**answer, "status": "in_progress", "output": [], "usage": None}
        events: list[tuple[str, dict[str, Any]]] = [
            ("response.created", {"response": began}),
            ("response.in_progress", {"response": began}),
        ]
        for index, item in enumerate(answer["output"]):
            events += ((kind, {**members, "output_index": index}) for kind, members in _item_events(item))
        events.append(("response.completed", {"response": answer}))
        for number, (kind, members) in enumerate(events):
            yield f"event: {kind}\n".encode() + data({"type": kind, "sequence_number": number, **members})

    def refusal(self, refused: RefusedError) -> dict[str, Any]:
        """OpenAI's error object."""
        kind = "invalid_request_error" if refused.status < 500 else "server_error"
        return {"error": {"type": kind, "message": refused.message, "param": refused.where, "code": refused.code}}

    def broken(self, message: str, address: Address) -> bytes:  # noqa: ARG002
        """An `error` event."""
        error = {"type": "error", "code": "server_error", "message": message, "param": None, "sequence_number": 0}
        return b"event: error\ndata: " + dumped(error) + b"\n\n"

    def counted(self, tokens: int) -> dict[str, Any]:
        """A count, and what it is."""
        return {"object": "response.input_tokens", "input_tokens": tokens}


def _conversation(body: dict[str, Any]) -> str:
    conversation = body.get("conversation") or ""
    return str(conversation["id"] if isinstance(conversation, dict) else conversation)


def _check_item(item: dict[str, Any], where: str) -> None:
    kind = item.get("type", "message" if "role" in item else None)
    if kind == "message":
        if item.get("role") not in ("user", "assistant", "system", "developer"):
            raise RefusedError(f"Invalid value: {item.get('role')!r}.", f"{where}.role")
        content = item.get("content")
        parts = content if isinstance(content, list) else []
        if not isinstance(content, (str, list)) or not all(isinstance(part, dict) and "type" in part for part in parts):
            raise RefusedError(f"Invalid type for '{where}.content'.", f"{where}.content")
    elif kind in _OUTPUTS:
        if not isinstance(item.get("output"), (str, list)):
            raise RefusedError(f"Missing required parameter: '{where}.output'.", f"{where}.output")
        if not isinstance(item.get("call_id"), str):
            raise RefusedError(f"Missing required parameter: '{where}.call_id'.", f"{where}.call_id")
        if str(item.get("id", "")).startswith("fc_"):
            raise RefusedError(f"No tool output found for function call {item['call_id']}.", "input")
    elif kind == "function_call":
        if not all(isinstance(item.get(member), str) for member in ("call_id", "name", "arguments")):
            raise RefusedError(f"Missing required parameter: '{where}.call_id'.", where)
    elif kind is None:
        raise RefusedError(f"Missing required parameter: '{where}.type'.", f"{where}.type")


def _pairs(items: Sequence[dict[str, Any]]) -> None:
    """Every call has one output behind it, and every output its call before it."""
    waiting: dict[str, Any] = {}
    for item in items:
        kind = item.get("type")
        if kind in _OUTPUTS.values():
            waiting[item["call_id"]] = kind
        elif kind in _OUTPUTS and waiting.pop(item["call_id"], None) != _OUTPUTS[kind]:
            raise RefusedError(f"No tool call found for function call output with call_id {item['call_id']}.", "input")
    for call_id in waiting:
        raise RefusedError(f"No tool output found for function call {call_id}.", "input")


def _reasoning(items: Sequence[dict[str, Any]]) -> None:
    """Reasoning stands right before what it led to."""
    for item, follower in zip(items, [*items[1:], {}], strict=True):
        if item.get("type") != "reasoning":
            continue
        expected = item.get("encrypted_content", "").partition(".")[2]
        if not expected or _follower(follower) != expected:
            raise RefusedError(
                f"Item '{item.get('id')}' of type 'reasoning' was provided without its required following item.", "input"
            )


def _follower(item: dict[str, Any]) -> str:
    """What reasoning says about the item behind it: the call's id, or that it is what the model says."""
    return item.get("call_id") or ("message" if item.get("role") == "assistant" else "")


def _prefixes(body: dict[str, Any], items: Sequence[dict[str, Any]]) -> Iterator[str]:
    """What reasoning is bound to that is spoken before each item, and behind the last: ids of items and spellings of messages
    say nothing.
    """
    prefix = _chained("", body.get("tools"))
    yield prefix
    for item in items:
        kind = item.get("type", "message")
        said = text_of(item["content"]) if kind == "message" else {**item, "id": None, "status": None}
        prefix = _chained(prefix, [kind, item.get("role"), said])
        yield prefix


def _chained(prefix: str, value: Any) -> str:
    return hashlib.sha256((prefix + json.dumps(canonical(value), sort_keys=True)).encode()).hexdigest()


def _item_events(item: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The events of one item of the output."""
    spell = {"message": _message_events, "reasoning": _reasoning_events, "function_call": _call_events}
    opening = {**item, **({"status": "in_progress"} if "status" in item else {})}
    for empty in ("content", "summary", "arguments"):
        if empty in item:
            opening[empty] = "" if empty == "arguments" else []
    yield "response.output_item.added", {"item": opening}
    for kind, members in spell[item["type"]](item):
        yield kind, {"item_id": item["id"], **members}
    yield "response.output_item.done", {"item": item}


def _message_events(item: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    part = item["content"][0]
    yield "response.content_part.added", {"content_index": 0, "part": {**part, "text": ""}}
    for piece in pieces(part["text"]):
        yield "response.output_text.delta", {"content_index": 0, "delta": piece, "logprobs": []}
    yield "response.output_text.done", {"content_index": 0, "text": part["text"], "logprobs": []}
    yield "response.content_part.done", {"content_index": 0, "part": part}


def _reasoning_events(item: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    part = item["summary"][0]
    yield "response.reasoning_summary_part.added", {"summary_index": 0, "part": {**part, "text": ""}}
    for piece in pieces(part["text"]):
        yield "response.reasoning_summary_text.delta", {"summary_index": 0, "delta": piece}
    yield "response.reasoning_summary_text.done", {"summary_index": 0, "text": part["text"]}
    yield "response.reasoning_summary_part.done", {"summary_index": 0, "part": part}


def _call_events(item: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for piece in pieces(item["arguments"]):
        yield "response.function_call_arguments.delta", {"delta": piece}
    yield "response.function_call_arguments.done", {"arguments": item["arguments"], "name": item["name"]}
