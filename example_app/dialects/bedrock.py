"""AWS Bedrock: Converse with blocks of its own, and InvokeModel, whose bodies are Anthropic's."""

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

from example_app.dialects import eventstream
from example_app.dialects.anthropic import Anthropic, events
from example_app.dialects.base import (
    Address,
    Dialect,
    Envelope,
    Memory,
    RefusedError,
    check_names,
    conversation_of,
    dumped,
    pieces,
)
from example_app.dialects.turns import Prefix, Spoken, check_pairs, check_signatures, check_thinking, turns
from example_app.view import Item, Reply, text_of

_MODEL = r"(^|/)model/(?P<model>.+)"
_VERSION = r"(bedrock-)?\d{4}-\d\d-\d\d"
_KINDS = {400: "ValidationException", 429: "ThrottlingException", 503: "ServiceUnavailableException"}


def _refusal(refused: RefusedError) -> dict[str, Any]:
    return {"message": refused.message, "__type": _KINDS.get(refused.status, "InternalServerException")}


class Converse(Dialect):
    """AWS Bedrock, Converse and ConverseStream."""

    name = "converse"
    paths = (
        (_MODEL + "/converse$", Address(stream=False)),
        (_MODEL + "/converse-stream$", Address(stream=True, media=eventstream.MEDIA)),
        (_MODEL + "/count-tokens$", Address(stream=False, counts=True)),
    )

    def recalled(self, body: dict[str, Any], address: Address, memory: Memory) -> dict[str, Any]:
        """What is to be counted stands one step deeper."""
        counted = (body.get("input") or {}).get("converse")
        return super().recalled(counted if address.counts and isinstance(counted, dict) else body, address, memory)

    def validate(self, body: dict[str, Any]) -> None:
        """Tools, blocks, and Claude's rules about turns, pairs and signatures."""
        messages = conversation_of(body, "messages")
        config = body.get("toolConfig")
        if config is not None:
            if not isinstance(config.get("tools"), list) or not config["tools"]:
                raise RefusedError("Invalid length for parameter toolConfig.tools, value: 0, valid min length: 1", "toolConfig")
            for index, tool in enumerate(config["tools"]):
                if not isinstance(tool, dict) or len(tool) != 1:
                    raise RefusedError(f"The value at toolConfig.tools.{index} must have one member set.", "toolConfig")
            check_names(self.tools(body), self.tool_name)
        if messages[0].get("role") != "user":
            raise RefusedError("A conversation must start with a user message. Try again with a conversation that does.")
        for index, message in enumerate(messages):
            _message(message, f"messages.{index}")
        spoken = _spoken(body)
        if config is None and any(block["type"] in ("tool_use", "tool_result") for _, blocks in spoken for block in blocks):
            raise RefusedError("The toolConfig field must be defined when using toolUse and toolResult content blocks.")
        merged = list(turns(spoken))
        check_pairs(merged)
        check_thinking(merged, enabled=_thinks(body) == "enabled")
        check_signatures(self.head(body), spoken)

    def head(self, body: dict[str, Any]) -> Any:
        """System and tools, cache points aside."""
        tools = (body.get("toolConfig") or {}).get("tools") or []
        return [_uncached(body.get("system") or []), _uncached(tools)]

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
                    told = [part.get("text", json.dumps(part.get("json"))) for part in block["content"]]
                    yield Item("result", "\n".join(told), call_id=block["tool_use_id"], message=index)

    def tools(self, body: dict[str, Any]) -> list[str]:
        """Those with a specification."""
        tools = (body.get("toolConfig") or {}).get("tools") or ()
        return [tool["toolSpec"].get("name") for tool in tools if "toolSpec" in tool]

    def answer(self, reply: Reply, envelope: Envelope) -> dict[str, Any]:
        """A message, why it ended, and what it cost."""
        blocks: list[dict[str, Any]] = []
        if reply.thinking and _thinks(envelope.body):
            signature = Prefix(self.head(envelope.body), _spoken(envelope.body)).signature(reply.thinking)
            blocks.append({"reasoningContent": {"reasoningText": {"text": reply.thinking, "signature": signature}}})
        if reply.text:
            blocks.append({"text": reply.text})
        for number, call in enumerate(reply.calls):
            called = {"toolUseId": f"tooluse_{envelope.key}{number}", "name": call.name, "input": call.arguments}
            blocks.append({"toolUse": called})
        total = envelope.tokens_in + envelope.tokens_out
        return {
            "output": {"message": {"role": "assistant", "content": blocks}},
            "stopReason": "tool_use" if reply.calls else "end_turn",
            "usage": {"inputTokens": envelope.tokens_in, "outputTokens": envelope.tokens_out, "totalTokens": total},
            "metrics": {"latencyMs": 10},
        }

    def frames(self, answer: dict[str, Any], reply: Reply, envelope: Envelope, address: Address) -> Iterator[bytes]:  # noqa: ARG002
        """Binary events. Only calls have an event that starts them."""
        yield eventstream.event("messageStart", {"role": "assistant"})
        for index, block in enumerate(answer["output"]["message"]["content"]):
            for kind, members in _block_events(block):
                yield eventstream.event(kind, {"contentBlockIndex": index, **members, "p": "abcdefgh"[: index + 1]})
        yield eventstream.event("messageStop", {"stopReason": answer["stopReason"]})
        yield eventstream.event("metadata", {"usage": answer["usage"], "metrics": answer["metrics"]})

    def refusal(self, refused: RefusedError) -> dict[str, Any]:
        """AWS's error body."""
        return _refusal(refused)

    def broken(self, message: str, address: Address) -> bytes:  # noqa: ARG002
        """An exception frame."""
        return eventstream.exception("serviceUnavailableException", message)

    def counted(self, tokens: int) -> dict[str, Any]:
        """A count."""
        return {"inputTokens": tokens}


class Invoke(Anthropic):
    """AWS Bedrock, InvokeModel with Anthropic's bodies."""

    name = "invoke"
    paths = (
        (_MODEL + "/invoke$", Address(stream=False)),
        (_MODEL + "/invoke-with-response-stream$", Address(stream=True, media=eventstream.MEDIA)),
    )

    def validate(self, body: dict[str, Any]) -> None:
        """As Anthropic does; the model is in the path, a version in the body."""
        if not re.fullmatch(_VERSION, str(body.get("anthropic_version"))):
            raise RefusedError("anthropic_version: Field required", "anthropic_version")
        if "stream" in body:
            raise RefusedError("stream: Extra inputs are not permitted", "stream")
        super().validate(body)

    def frames(self, answer: dict[str, Any], reply: Reply, envelope: Envelope, address: Address) -> Iterator[bytes]:  # noqa: ARG002
        """Anthropic's events in binary frames, in base64 at that; the last one says what was measured."""
        metrics = {"inputTokenCount": envelope.tokens_in, "outputTokenCount": envelope.tokens_out, "invocationLatency": 10}
        for value in events(answer):
            said = {"type": value.pop("kind"), **value}
            if said["type"] == "message_stop":
                said["amazon-bedrock-invocationMetrics"] = metrics
            yield eventstream.event("chunk", {"bytes": base64.b64encode(dumped(said)).decode(), "p": "abc"})

    def refusal(self, refused: RefusedError) -> dict[str, Any]:
        """AWS's error body."""
        return _refusal(refused)

    def broken(self, message: str, address: Address) -> bytes:  # noqa: ARG002
        """An exception frame."""
        return eventstream.exception("serviceUnavailableException", message)


def _thinks(body: dict[str, Any]) -> str:
    """How the model is to think, in the words of its own API; "" if it is not to."""
    thinking = (body.get("additionalModelRequestFields") or {}).get("thinking") or {}
    return str(thinking.get("type", "")) if thinking.get("type") != "disabled" else ""


def _uncached(values: list[Any]) -> list[Any]:
    return [value for value in values if "cachePoint" not in value]


def _spoken(body: dict[str, Any]) -> list[Spoken]:
    """Every message in Anthropic's blocks."""
    return [(message["role"], [_as_anthropic(block) for block in _uncached(message["content"])]) for message in body["messages"]]


def _as_anthropic(block: dict[str, Any]) -> dict[str, Any]:
    [(kind, value)] = block.items()
    if kind == "text":
        return {"type": "text", "text": value}
    if kind == "toolUse":
        return {"type": "tool_use", "id": value["toolUseId"], "name": value["name"], "input": value["input"]}
    if kind == "toolResult":
        failed = {"is_error": True} if value.get("status") == "error" else {}
        return {"type": "tool_result", "tool_use_id": value["toolUseId"], "content": value["content"], **failed}
    if kind == "reasoningContent" and "reasoningText" in value:
        text = value["reasoningText"]
        return {"type": "thinking", "thinking": text["text"], "signature": text.get("signature", "")}
    return {"type": "redacted_thinking" if kind == "reasoningContent" else kind, kind: value}


def _message(message: dict[str, Any], where: str) -> None:
    if message.get("role") not in ("user", "assistant", "system"):
        raise RefusedError(f"Value at '{where}.role' failed to satisfy constraint: [user, assistant, system]")
    content = message.get("content")
    if not isinstance(content, list) or not content:
        raise RefusedError(f"The content field in the Message object at {where} is empty.")
    for number, block in enumerate(content):
        at = f"{where}.content.{number}"
        if not isinstance(block, dict) or len(block) != 1:
            raise RefusedError(f"The value at {at} must have one member set.")
        if "text" in block and (not isinstance(block["text"], str) or not block["text"].strip()):
            raise RefusedError(f"The text field in the ContentBlock object at {at} is blank.")
        if "toolUse" in block and not isinstance(block["toolUse"].get("input"), dict):
            raise RefusedError(f"The format of the value at {at}.toolUse.input is invalid. Provide a json object.")
        if "toolResult" in block:
            _tool_result(block["toolResult"], at)


def _tool_result(result: dict[str, Any], at: str) -> None:
    if not isinstance(result.get("toolUseId"), str) or not isinstance(result.get("content"), list):
        raise RefusedError(f"{at}.toolResult: toolUseId and content are required")
    if result.get("status") not in (None, "success", "error"):
        raise RefusedError(f"Value at '{at}.toolResult.status' failed to satisfy constraint: [success, error]")
    for part in result["content"]:
        if not isinstance(part, dict) or len(part) != 1:
            raise RefusedError(f"The value at {at}.toolResult.content must have one member set.")


def _block_events(block: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    [(kind, value)] = block.items()
    if kind == "toolUse":
        yield "contentBlockStart", {"start": {"toolUse": {"toolUseId": value["toolUseId"], "name": value["name"]}}}
        for piece in pieces(json.dumps(value["input"])):
            yield "contentBlockDelta", {"delta": {"toolUse": {"input": piece}}}
    elif kind == "text":
        for piece in pieces(value):
            yield "contentBlockDelta", {"delta": {"text": piece}}
    else:
        for piece in pieces(value["reasoningText"]["text"]):
            yield "contentBlockDelta", {"delta": {"reasoningContent": {"text": piece}}}
        yield "contentBlockDelta", {"delta": {"reasoningContent": {"signature": value["reasoningText"]["signature"]}}}
    yield "contentBlockStop", {}
