"""Clients of Anthropic's dialect, on its own host and inside Bedrock's frames."""

import base64
import json
from collections.abc import Sequence
from typing import Any

from example_app.speakers.base import MAX_TOKENS, Asked, Speaker, Talk, grammatical, thinking
from example_app.speakers.reading import binary_events, sse_events
from example_app.view import text_of


class AnthropicSpeaker(Speaker):
    """Anthropic Messages."""

    def path(self, talk: Talk) -> str:  # noqa: ARG002
        """One for all."""
        return "/v1/messages"

    def body(self, talk: Talk, messages: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """A request."""
        body: dict[str, Any] = {"model": talk.model, "max_tokens": MAX_TOKENS, "messages": list(messages)}
        if talk.system:
            body["system"] = talk.system
        if talk.tools:
            tools = [{"name": tool.name, "description": tool.description, "input_schema": tool.schema} for tool in talk.tools]
            body["tools"] = tools
        if talk.thinking:
            body["thinking"] = thinking(talk)
        return body | ({"stream": True} if talk.stream else {})

    def turn(self, answer: dict[str, Any]) -> list[dict[str, Any]]:
        """Its content."""
        return [{"role": "assistant", "content": answer["content"]}]

    def text(self, turn: Sequence[dict[str, Any]]) -> str:
        """Of the text blocks."""
        return text_of(turn[0]["content"])

    def calls(self, turn: Sequence[dict[str, Any]]) -> list[Asked]:
        """The tool_use blocks."""
        blocks = (block for block in turn[0]["content"] if block["type"] == "tool_use")
        return [Asked(block["id"], block["name"], block["input"]) for block in blocks]

    def results(self, asked: Sequence[Asked], texts: Sequence[str]) -> list[dict[str, Any]]:
        """One turn."""
        pairs = zip(asked, texts, strict=True)
        blocks = [{"type": "tool_result", "tool_use_id": call.call_id, "content": text} for call, text in pairs]
        return [{"role": "user", "content": blocks}] if blocks else []

    def assembled(self, stream: bytes) -> dict[str, Any]:
        """Named events."""
        events = [(name, json.loads(text)) for name, text in sse_events(stream)]
        grammatical(all(name == value["type"] for name, value in events), "a name that is not its type", stream)
        return _message_of([value for _, value in events], stream)


def _message_of(events: Sequence[dict[str, Any]], stream: bytes) -> dict[str, Any]:
    """The message that Anthropic's events add up to."""
    kinds = [event["type"] for event in events if event["type"] != "ping"]
    grammatical(kinds[0] == "message_start" and kinds.count("message_start") == 1, "how it starts", stream)
    grammatical(kinds[-2:] == ["message_delta", "message_stop"] and kinds.count("message_delta") == 1, "how it ends", stream)
    message: dict[str, Any] = {}
    arguments = ""
    opened = False
    for event in events:
        blocks = message.get("content", [])
        if event["type"] == "message_start":
            message = event["message"]
        elif event["type"] == "content_block_start":
            grammatical(event["index"] == len(blocks) and not opened, "a block out of order", stream)
            blocks.append(event["content_block"])
            arguments, opened = "", True
        elif event["type"] == "content_block_delta":
            grammatical(event["index"] == len(blocks) - 1 and opened, "a delta out of order", stream)
            arguments += _add_block_delta(blocks[-1], event["delta"])
        elif event["type"] == "content_block_stop":
            grammatical(event["index"] == len(blocks) - 1 and opened, "a stop out of order", stream)
            opened = False
            if blocks[-1]["type"] == "tool_use":
                blocks[-1]["input"] = json.loads(arguments or "{}")
        elif event["type"] == "message_delta":
            message |= event["delta"]
            message["usage"] |= event["usage"]
    return message


def _add_block_delta(block: dict[str, Any], delta: dict[str, Any]) -> str:
    """Add a delta to a block; a piece of arguments is returned."""
    if delta["type"] == "input_json_delta":
        return str(delta["partial_json"])
    member = delta["type"].removesuffix("_delta")
    block[member] += delta[member]
    return ""


class InvokeSpeaker(AnthropicSpeaker):
    """Bedrock's InvokeModel with Anthropic's bodies."""

    def path(self, talk: Talk) -> str:
        """By model and verb."""
        return f"/model/{talk.model}/{'invoke-with-response-stream' if talk.stream else 'invoke'}"

    def body(self, talk: Talk, messages: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """With a version instead of a model."""
        body = super().body(talk, messages)
        body.pop("stream", None)
        body.pop("model")
        return {"anthropic_version": "bedrock-2023-05-31", **body}

    def assembled(self, stream: bytes) -> dict[str, Any]:
        """Anthropic's events, in base64 in binary frames."""
        return _message_of([json.loads(base64.b64decode(payload["bytes"])) for _, payload in binary_events(stream)], stream)
