"""Clients of Gemini, Bedrock's Converse and Ollama."""

import json
from collections.abc import Sequence
from typing import Any

from example_app.speakers.base import MAX_TOKENS, Asked, Speaker, Talk, functions, grammatical, thinking, with_system
from example_app.speakers.reading import binary_events
from example_app.view import text_of


class ConverseSpeaker(Speaker):
    """Bedrock's Converse."""

    def path(self, talk: Talk) -> str:
        """By model and verb."""
        return f"/model/{talk.model}/{'converse-stream' if talk.stream else 'converse'}"

    def body(self, talk: Talk, messages: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """A request."""
        body: dict[str, Any] = {"messages": list(messages), "inferenceConfig": {"maxTokens": MAX_TOKENS}}
        if talk.system:
            body["system"] = [{"text": talk.system}]
        if talk.tools:
            specs = [{"name": t.name, "description": t.description, "inputSchema": {"json": t.schema}} for t in talk.tools]
            body["toolConfig"] = {"tools": [{"toolSpec": spec} for spec in specs]}
        if talk.thinking:
            body["additionalModelRequestFields"] = {"thinking": thinking(talk)}
        return body

    def user(self, text: str) -> dict[str, Any]:
        """A block of text."""
        return {"role": "user", "content": [{"text": text}]}

    def turn(self, answer: dict[str, Any]) -> list[dict[str, Any]]:
        """The message."""
        return [answer["output"]["message"]]

    def text(self, turn: Sequence[dict[str, Any]]) -> str:
        """Of the text blocks."""
        return text_of(turn[0]["content"])

    def calls(self, turn: Sequence[dict[str, Any]]) -> list[Asked]:
        """The toolUse blocks."""
        uses = (block["toolUse"] for block in turn[0]["content"] if "toolUse" in block)
        return [Asked(use["toolUseId"], use["name"], use["input"]) for use in uses]

    def results(self, asked: Sequence[Asked], texts: Sequence[str]) -> list[dict[str, Any]]:
        """One turn."""
        pairs = zip(asked, texts, strict=True)
        blocks = [{"toolResult": {"toolUseId": call.call_id, "content": [{"text": text}]}} for call, text in pairs]
        return [{"role": "user", "content": blocks}] if blocks else []

    def assembled(self, stream: bytes) -> dict[str, Any]:
        """Binary events; only calls have one that starts them."""
        events = binary_events(stream)
        kinds = [kind for kind, _ in events]
        grammatical(kinds[0] == "messageStart" and kinds.count("messageStart") == 1, "how it starts", stream)
        grammatical(kinds[-2:] == ["messageStop", "metadata"] and kinds.count("messageStop") == 1, "how it ends", stream)
        blocks: list[dict[str, Any]] = []
        for kind, payload in events[1:-2]:
            index = payload["contentBlockIndex"]
            if index == len(blocks):
                blocks.append({"toolUse": {**payload["start"]["toolUse"], "input": ""}} if kind == "contentBlockStart" else {})
            grammatical(index == len(blocks) - 1, "a block out of order", stream)
            if kind == "contentBlockDelta":
                _add_converse_delta(blocks[-1], payload["delta"])
        for block in blocks:
            if "toolUse" in block:
                block["toolUse"]["input"] = json.loads(block["toolUse"]["input"] or "{}")
        message = {"role": "assistant", "content": blocks}
        return {"output": {"message": message}, "stopReason": events[-2][1]["stopReason"], **_unpadded(events[-1][1])}


def _add_converse_delta(block: dict[str, Any], delta: dict[str, Any]) -> None:
    [(kind, value)] = delta.items()
    if kind == "text":
        block["text"] = block.get("text", "") + value
    elif kind == "toolUse":
        block["toolUse"]["input"] += value["input"]
    else:
        told = block.setdefault("reasoningContent", {"reasoningText": {"text": ""}})["reasoningText"]
        for member, piece in value.items():
            told[member] = told.get(member, "") + piece


def _unpadded(payload: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in payload.items() if name != "p"}


class GeminiSpeaker(Speaker):
    """Google Gemini; streams as events."""

    def path(self, talk: Talk) -> str:
        """By model and verb."""
        return f"/v1beta/models/{talk.model}:{'streamGenerateContent?alt=sse' if talk.stream else 'generateContent'}"

    def body(self, talk: Talk, messages: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """A request."""
        body: dict[str, Any] = {"contents": list(messages)}
        if talk.system:
            body["systemInstruction"] = {"parts": [{"text": talk.system}]}
        if talk.tools:
            declared = [{"name": t.name, "description": t.description, "parameters": t.schema} for t in talk.tools]
            body["tools"] = [{"functionDeclarations": declared}]
        if talk.thinking:
            body["generationConfig"] = {"thinkingConfig": {"includeThoughts": True}}
        return body

    def user(self, text: str) -> dict[str, Any]:
        """A part of text."""
        return {"role": "user", "parts": [{"text": text}]}

    def turn(self, answer: dict[str, Any]) -> list[dict[str, Any]]:
        """The content of the one candidate."""
        return [answer["candidates"][0]["content"]]

    def text(self, turn: Sequence[dict[str, Any]]) -> str:
        """Of the parts that are no thoughts."""
        return "".join(part.get("text", "") for part in turn[0]["parts"] if not part.get("thought"))

    def calls(self, turn: Sequence[dict[str, Any]]) -> list[Asked]:
        """Function calls."""
        calls = (part["functionCall"] for part in turn[0]["parts"] if "functionCall" in part)
        return [Asked(call.get("id", ""), call["name"], call.get("args") or {}) for call in calls]

    def results(self, asked: Sequence[Asked], texts: Sequence[str]) -> list[dict[str, Any]]:
        """One content."""
        parts = []
        for call, text in zip(asked, texts, strict=True):
            named = {"id": call.call_id, "name": call.name} if call.call_id else {"name": call.name}
            parts.append({"functionResponse": {**named, "response": {"output": text}}})
        return [{"role": "user", "parts": parts}] if parts else []

    def assembled(self, stream: bytes) -> dict[str, Any]:
        """Chunks of parts, as they are; nothing between them but their data."""
        frames = stream.split(b"\r\n\r\n")
        grammatical(frames[-1] == b"" and all(frame.startswith(b"data: ") for frame in frames[:-1]), "no chunk", stream)
        chunks = [json.loads(frame.removeprefix(b"data: ")) for frame in frames[:-1]]
        return assembled_chunks(chunks, stream)


def assembled_chunks(chunks: Sequence[dict[str, Any]], stream: bytes) -> dict[str, Any]:
    """The answer that Gemini's chunks add up to: neighboring plain texts are one."""
    parts: list[dict[str, Any]] = []
    grammatical(len({chunk.get("responseId") for chunk in chunks}) == 1, "another identity", stream)
    for chunk in chunks:
        [candidate] = chunk["candidates"]
        grammatical(("finishReason" in candidate) == (chunk is chunks[-1]), "where the reason stands", stream)
        for part in candidate.get("content", {}).get("parts", ()):
            alike = parts and "text" in part and set(part) == set(parts[-1]) and "thoughtSignature" not in part
            if alike:
                parts[-1] = {**parts[-1], "text": parts[-1]["text"] + part["text"]}
            elif part != {"text": ""}:
                parts.append(part)
    last = chunks[-1]["candidates"][0]
    return {**chunks[-1], "candidates": [{**last, "content": {"role": "model", "parts": parts or [{"text": ""}]}}]}


class OllamaSpeaker(Speaker):
    """Ollama's chat."""

    system_is_a_message = True

    def path(self, talk: Talk) -> str:  # noqa: ARG002
        """One for all."""
        return "/api/chat"

    def body(self, talk: Talk, messages: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """A request; a stream is what it gives if nothing is said."""
        body: dict[str, Any] = {"model": talk.model, "messages": with_system(talk, messages), **functions(talk)}
        return body | ({} if talk.stream else {"stream": False}) | ({"think": True} if talk.thinking else {})

    def turn(self, answer: dict[str, Any]) -> list[dict[str, Any]]:
        """The message."""
        return [answer["message"]]

    def text(self, turn: Sequence[dict[str, Any]]) -> str:
        """The content."""
        return str(turn[0]["content"])

    def calls(self, turn: Sequence[dict[str, Any]]) -> list[Asked]:
        """Function calls."""
        calls = turn[0].get("tool_calls") or ()
        return [Asked(call.get("id", ""), call["function"]["name"], call["function"]["arguments"]) for call in calls]

    def results(self, asked: Sequence[Asked], texts: Sequence[str]) -> list[dict[str, Any]]:
        """A message each."""
        pairs = zip(asked, texts, strict=True)
        return [{"role": "tool", "tool_name": call.name, "content": text} for call, text in pairs]

    def assembled(self, stream: bytes) -> dict[str, Any]:
        """Lines of JSON, the last of them done."""
        grammatical(stream.endswith(b"\n") and b"\n\n" not in stream, "an empty line", stream)
        lines = [json.loads(line) for line in stream[:-1].split(b"\n")]
        grammatical([line["done"] for line in lines] == [False] * (len(lines) - 1) + [True], "how it ends", stream)
        message: dict[str, Any] = {"role": "assistant", "content": ""}
        for line in lines:
            for member in ("content", "thinking", "tool_calls"):
                if line["message"].get(member):
                    said = line["message"][member]
                    message[member] = message.get(member, type(said)()) + said
        return {**lines[-1], "message": message}
