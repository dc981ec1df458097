"""Ollama's chat: lines of JSON, calls that come whole, hardly any rules."""

import json
from collections.abc import Iterator
from typing import Any

from example_app.dialects.base import Address, Dialect, Envelope, RefusedError, conversation_of, dumped, pieces
from example_app.view import Item, Reply

_ROLES = ("system", "user", "assistant", "tool")
_WHEN = "2026-01-01T00:00:00.000000Z"
_WITHOUT_TOOLS = "plain"  # models whose name begins so know no tools


class Ollama(Dialect):
    """Ollama's `/api/chat`."""

    name = "ollama"
    paths = ((r"(^|/)api/chat$", Address(media="application/x-ndjson")),)

    def streams(self, body: dict[str, Any], address: Address) -> bool:  # noqa: ARG002
        """It streams unless it is told not to."""
        return body.get("stream") is not False

    def validate(self, body: dict[str, Any]) -> None:
        """What its decoder cannot read, and tools that a model does not know."""
        messages = conversation_of(body, "messages")
        if not isinstance(body.get("model"), str) or not body["model"]:
            raise RefusedError("model is required", "model")
        if body.get("tools") and body["model"].startswith(_WITHOUT_TOOLS):
            raise RefusedError(f"registry.ollama.ai/library/{body['model']} does not support tools", "tools")
        for message in messages:
            if message.get("role") not in _ROLES:
                raise RefusedError(f"invalid role: {message.get('role')!r}")
            if not isinstance(message.get("content", ""), str):
                raise RefusedError(
                    "json: cannot unmarshal object into Go struct field ChatRequest.messages.content of type string"
                )
            for call in message.get("tool_calls") or ():
                if not isinstance(call.get("function", {}).get("arguments"), dict):
                    raise RefusedError("json: cannot unmarshal string into Go struct field .tool_calls.function.arguments")

    def head(self, body: dict[str, Any]) -> Any:
        """The tools; a system prompt is a message here."""
        return body.get("tools")

    def items(self, body: dict[str, Any]) -> Iterator[Item]:
        """Messages and the calls in them; a result that does not say whose it is belongs to the next call that has none."""
        waiting: list[str] = []
        for index, message in enumerate(body["messages"]):
            role, text = message["role"], message.get("content", "")
            if role == "tool":
                name = message.get("tool_name") or (waiting[0] if waiting else "")
                if name in waiting:
                    waiting.remove(name)
                yield Item("result", text, name, message.get("tool_call_id") or str(index), index)
                continue
            if text:
                yield Item(role, text, message=index)
            for call in message.get("tool_calls") or ():
                function = call["function"]
                waiting.append(function["name"])
                yield Item("call", json.dumps(function["arguments"]), function["name"], call.get("id", ""), index)

    def tools(self, body: dict[str, Any]) -> list[str]:
        """Functions."""
        return [tool["function"]["name"] for tool in body.get("tools") or ()]

    def answer(self, reply: Reply, envelope: Envelope) -> dict[str, Any]:
        """The message, done; the reason is `stop` whatever happens."""
        message: dict[str, Any] = {"role": "assistant", "content": reply.text}
        if reply.thinking and envelope.body.get("think"):
            message["thinking"] = reply.thinking
        if reply.calls:
            message["tool_calls"] = [
                {"id": f"call_{envelope.key}{n}", "function": {"index": n, "name": call.name, "arguments": call.arguments}}
                for n, call in enumerate(reply.calls)
            ]
        times = {"total_duration": 30, "load_duration": 10, "prompt_eval_duration": 10, "eval_duration": 10}
        counts = {"prompt_eval_count": envelope.tokens_in, "eval_count": envelope.tokens_out}
        return {**_line(envelope, message), "done": True, "done_reason": "stop", **times, **counts}

    def frames(self, answer: dict[str, Any], reply: Reply, envelope: Envelope, address: Address) -> Iterator[bytes]:  # noqa: ARG002
        """One object a line."""
        message = answer["message"]
        for member in ("thinking", "content"):
            for piece in pieces(message.get(member, "")):
                said = {"role": "assistant", "content": "", member: piece}
                yield dumped({**_line(envelope, said), "done": False}) + b"\n"
        for call in message.get("tool_calls", ()):
            called = {"role": "assistant", "content": "", "tool_calls": [call]}
            yield dumped({**_line(envelope, called), "done": False}) + b"\n"
        yield dumped({**answer, "message": {"role": "assistant", "content": ""}}) + b"\n"

    def refusal(self, refused: RefusedError) -> dict[str, Any]:
        """A sentence."""
        return {"error": refused.message}

    def broken(self, message: str, address: Address) -> bytes:  # noqa: ARG002
        """A line with an error."""
        return dumped({"error": message}) + b"\n"


def _line(envelope: Envelope, message: dict[str, Any]) -> dict[str, Any]:
    return {"model": envelope.model, "created_at": _WHEN, "message": message}
