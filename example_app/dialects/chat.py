"""OpenAI Chat Completions, and how other providers' models speak it."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from example_app.dialects.base import (
    CREATED,
    Address,
    Dialect,
    Envelope,
    RefusedError,
    check_names,
    conversation_of,
    data,
    pieces,
    sign,
)
from example_app.view import Call, Item, Reply, text_of

_ROLES = ("system", "developer", "user", "assistant", "tool", "function")
_PARTS = ("text", "image_url", "input_audio", "file", "refusal")
_INSTEAD_OF_CONTENT = ("tool_calls", "function_call", "refusal", "audio")


@dataclass(frozen=True, slots=True)
class _Variant:
    """How one provider's models differ.

    Attributes:
        reasons: they think aloud in `reasoning_content`, and want it back on every turn with calls.
        short_ids: ids of calls are nine letters or digits.
        whole_calls: a streamed call comes in one piece, with the finish reason and the usage.
        reports: a first chunk without choices says how the prompt was filtered.
    """

    reasons: bool = False
    short_ids: bool = False
    whole_calls: bool = False
    reports: bool = False


_VARIANTS = {
    "deepseek": _Variant(reasons=True),
    "mistral": _Variant(short_ids=True, whole_calls=True),
    "azure": _Variant(reports=True),
}
_OPENAI = _Variant()


def _variant(body: dict[str, Any]) -> _Variant:
    return _VARIANTS.get(str(body["model"]).partition("-")[0], _OPENAI)


class Chat(Dialect):
    """OpenAI Chat Completions."""

    name = "chat"
    paths = ((r"(^|/)chat/completions$", Address()),)

    def validate(self, body: dict[str, Any]) -> None:
        """Tools, roles, contents, and that every tool call is answered at once, by exactly one tool message."""
        messages = conversation_of(body, "messages")
        if not isinstance(body.get("model"), str) or not body["model"]:
            raise RefusedError("you must provide a model parameter", "model")
        self._tools(body.get("tools"))
        variant = _variant(body)
        waiting: list[str] = []
        answered: set[str] = set()
        for index, message in enumerate(messages):
            where = f"messages.[{index}]"
            role = message.get("role")
            if role not in _ROLES:
                raise RefusedError(f"Invalid value: {role!r}. Supported values are: {', '.join(_ROLES)}.", f"{where}.role")
            if role == "tool":
                _result(message, where, waiting, answered)
            else:
                _answered(waiting, where)
                answered.clear()
            _content(message, where)
            if role == "assistant" and message.get("tool_calls") is not None:
                waiting = _calls(message, where, variant)
        _answered(waiting, f"messages.[{len(messages) - 1}]")

    def _tools(self, tools: Any) -> None:
        if tools is None:
            return
        if not isinstance(tools, list) or not tools:
            raise RefusedError("Invalid 'tools': expected a non-empty array.", "tools")
        names = []
        for index, tool in enumerate(tools):
            where = f"tools.{index}"
            kind = tool.get("type") if isinstance(tool, dict) else None
            if kind not in ("function", "custom") or not isinstance(tool.get(kind), dict):
                raise RefusedError(f"Missing required parameter: '{where}.function'.", where)
            parameters = tool[kind].get("parameters")
            if parameters is not None and not isinstance(parameters, dict):
                raise RefusedError(f"Invalid schema for '{where}': not an object.", where)
            names.append(tool[kind].get("name"))
        check_names(names, self.tool_name)

    def head(self, body: dict[str, Any]) -> Any:
        """The tools; a system prompt is a message here."""
        return body.get("tools")

    def items(self, body: dict[str, Any]) -> Iterator[Item]:
        """Messages and the calls in them."""
        for index, message in enumerate(body["messages"]):
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

    def tools(self, body: dict[str, Any]) -> list[str]:
        """Function and custom tools."""
        return [tool[tool["type"]]["name"] for tool in body.get("tools") or ()]

    def answer(self, reply: Reply, envelope: Envelope) -> dict[str, Any]:
        """A `chat.completion`."""
        variant = _variant(envelope.body)
        message: dict[str, Any] = {"role": "assistant", "content": reply.text or None, "refusal": None}
        if variant.reasons:
            message["reasoning_content"] = reply.thinking
        if reply.calls:
            message["tool_calls"] = [
                {"id": _id(envelope, number, variant), "type": "function", "function": _function(call)}
                for number, call in enumerate(reply.calls)
            ]
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "tool_calls" if reply.calls else "stop"}
        head = {"id": f"chatcmpl-{envelope.key}", "object": "chat.completion", "created": CREATED, "model": envelope.model}
        total = envelope.tokens_in + envelope.tokens_out
        usage = {"prompt_tokens": envelope.tokens_in, "completion_tokens": envelope.tokens_out, "total_tokens": total}
        return {**head, "choices": [choice], "usage": usage}

    def frames(self, answer: dict[str, Any], reply: Reply, envelope: Envelope, address: Address) -> Iterator[bytes]:  # noqa: ARG002
        """Chunks, usage if it was asked for, and `[DONE]`."""
        variant = _variant(envelope.body)
        asked = bool((envelope.body.get("stream_options") or {}).get("include_usage")) or variant.whole_calls
        usage: dict[str, Any] = {"usage": None} if asked else {}
        head = {name: answer[name] for name in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
        message, finish = answer["choices"][0]["message"], answer["choices"][0]["finish_reason"]

        def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
            choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
            return data({**head, "choices": choices, **usage, **more})

        if variant.reports:
            yield data({**head, "choices": [], "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}]})
        yield chunk({"role": "assistant", "content": ""})
        for piece in pieces(message.get("reasoning_content", "")):
            yield chunk({"reasoning_content": piece})
        for piece in pieces(reply.text):
            yield chunk({"content": piece})
        if variant.whole_calls:
            calls = {"tool_calls": [{"index": n, **call} for n, call in enumerate(message.get("tool_calls", ()))]}
            yield chunk(calls if reply.calls else {"content": ""}, finish, usage=answer["usage"])
        else:
            for index, call in enumerate(message.get("tool_calls", ())):
                for delta in _deltas(index, call, split=reply.split_name):
                    yield chunk({"tool_calls": [delta]})
            yield chunk({}, finish)
            if asked:
                yield data({**head, "choices": [], "usage": answer["usage"]})
        yield b"data: [DONE]\n\n"

    def refusal(self, refused: RefusedError) -> dict[str, Any]:
        """OpenAI's error object."""
        kind = "invalid_request_error" if refused.status < 500 else "server_error"
        return {"error": {"type": kind, "message": refused.message, "param": refused.where, "code": refused.code}}

    def broken(self, message: str, address: Address) -> bytes:  # noqa: ARG002
        """A data event with nothing but an error."""
        return data({"error": {"message": message, "type": "server_error", "code": None, "param": None}})


def _result(message: dict[str, Any], where: str, waiting: list[str], answered: set[str]) -> None:
    call_id = message.get("tool_call_id")
    if not isinstance(call_id, str) or call_id not in waiting:
        what = "Duplicate value for" if call_id in answered else "Invalid parameter:"
        raise RefusedError(
            f"{what} 'tool_call_id' of '{call_id}': messages with role 'tool' must be a response to a preceeding message with "
            "'tool_calls'.",
            f"{where}.role",
        )
    waiting.remove(call_id)
    answered.add(call_id)


def _answered(waiting: list[str], where: str) -> None:
    if waiting:
        raise RefusedError(
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
            f"The following tool_call_ids did not have response messages: {', '.join(waiting)}",
            f"{where}.role",
        )


def _content(message: dict[str, Any], where: str) -> None:
    content, role = message.get("content"), message["role"]
    instead = role == "assistant" and any(message.get(key) for key in _INSTEAD_OF_CONTENT)
    if isinstance(content, str) or (content is None and instead):
        return
    kinds = ("text",) if role in ("tool", "system", "developer") else _PARTS
    if not isinstance(content, list) or not content:
        raise RefusedError(f"Invalid type for '{where}.content': expected a string or a non-empty array.", f"{where}.content")
    for number, part in enumerate(content):
        if not isinstance(part, dict) or part.get("type") not in kinds:
            raise RefusedError(f"Invalid value for '{where}.content[{number}].type'.", f"{where}.content")
        if part["type"] == "text" and not isinstance(part.get("text"), str):
            raise RefusedError(f"Missing required parameter: '{where}.content[{number}].text'.", f"{where}.content")


def _calls(message: dict[str, Any], where: str, variant: _Variant) -> list[str]:
    calls = message["tool_calls"]
    if not isinstance(calls, list) or not calls:
        raise RefusedError(f"Invalid '{where}.tool_calls': empty array.", f"{where}.tool_calls")
    if variant.reasons and not isinstance(message.get("reasoning_content"), str):
        raise RefusedError(f"Missing `reasoning_content` field in the assistant message at message index {where}")
    ids: list[str] = []
    for call in calls:
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("arguments"), str) or not function.get("name"):
            raise RefusedError(f"Missing required parameter: '{where}.tool_calls.function'.", f"{where}.tool_calls")
        if not isinstance(call.get("id"), str) or call["id"] in ids:
            raise RefusedError(f"Invalid or duplicate id in '{where}.tool_calls'.", f"{where}.tool_calls")
        if variant.short_ids and not re.fullmatch(r"[a-zA-Z0-9]{9}", call["id"]):
            raise RefusedError(f"Tool call id was {call['id']} but must be a-z, A-Z, 0-9, with a length of 9.")
        ids.append(call["id"])
    return ids


def _id(envelope: Envelope, number: int, variant: _Variant) -> str:
    return sign(envelope.key, str(number))[:9] if variant.short_ids else f"call_{envelope.key}{number}"


def _function(call: Call) -> dict[str, str]:
    return {"name": call.name, "arguments": json.dumps(call.arguments)}


def _deltas(index: int, call: dict[str, Any], *, split: bool) -> Iterator[dict[str, Any]]:
    """A call in pieces, the name in one or two."""
    name = call["function"]["name"]
    cut = len(name) // 2 if split else len(name)
    yield {"index": index, "id": call["id"], "type": "function", "function": {"name": name[:cut], "arguments": ""}}
    if split:
        yield {"index": index, "function": {"name": name[cut:]}}
    for piece in pieces(call["function"]["arguments"]):
        yield {"index": index, "function": {"arguments": piece}}
