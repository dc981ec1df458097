"""Clients of OpenAI's two dialects."""

import json
from collections.abc import Sequence
from typing import Any

from example_app.speakers.base import Asked, Speaker, Talk, functions, grammatical, with_system
from example_app.speakers.reading import sse_events
from example_app.view import text_of


class ChatSpeaker(Speaker):
    """OpenAI Chat Completions."""

    system_is_a_message = True

    def path(self, talk: Talk) -> str:  # noqa: ARG002
        """One for all."""
        return "/v1/chat/completions"

    def body(self, talk: Talk, messages: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """A request that asks for the usage."""
        body: dict[str, Any] = {"model": talk.model, "messages": with_system(talk, messages), **functions(talk)}
        return body | ({"stream": True, "stream_options": {"include_usage": True}} if talk.stream else {})

    def turn(self, answer: dict[str, Any]) -> list[dict[str, Any]]:
        """The message of the one choice."""
        return [answer["choices"][0]["message"]]

    def text(self, turn: Sequence[dict[str, Any]]) -> str:
        """The content."""
        return text_of(turn[0].get("content"))

    def calls(self, turn: Sequence[dict[str, Any]]) -> list[Asked]:
        """Function calls."""
        calls = turn[0].get("tool_calls") or ()
        return [Asked(call["id"], call["function"]["name"], json.loads(call["function"]["arguments"])) for call in calls]

    def results(self, asked: Sequence[Asked], texts: Sequence[str]) -> list[dict[str, Any]]:
        """A message each."""
        pairs = zip(asked, texts, strict=True)
        return [{"role": "tool", "tool_call_id": call.call_id, "content": text} for call, text in pairs]

    def assembled(self, stream: bytes) -> dict[str, Any]:
        """Chunks: deltas of one choice, one reason, usage once, `[DONE]`."""
        message: dict[str, Any] = {"role": "", "content": None}
        finish: list[str] = []
        whole: dict[str, Any] = {}
        calls: list[dict[str, Any]] = []
        datas = [text for _, text in sse_events(stream)]
        grammatical(datas[-1:] == ["[DONE]"], "no [DONE] at the end", stream)
        for text in datas[:-1]:
            chunk = json.loads(text)
            grammatical("error" not in chunk, "an error", stream)
            head = {name: chunk[name] for name in ("id", "created", "model")}
            whole = whole or head
            grammatical(head == {name: whole[name] for name in head}, "another identity", stream)
            if chunk.get("usage"):
                grammatical("usage" not in whole, "usage twice", stream)
                whole["usage"] = chunk["usage"]
            for choice in chunk["choices"]:
                finish += [choice["finish_reason"]] if choice["finish_reason"] else []
                _add_delta(message, calls, choice["delta"], stream)
        grammatical(finish == ["tool_calls" if calls else "stop"] and message["role"] == "assistant", f"ends {finish}", stream)
        message |= {"tool_calls": calls} if calls else {}
        return {**whole, "choices": [{"index": 0, "message": message, "finish_reason": finish[0]}]}


def _add_delta(message: dict[str, Any], calls: list[dict[str, Any]], delta: dict[str, Any], stream: bytes) -> None:
    message["role"] += delta.get("role", "")
    for member in ("content", "reasoning_content"):
        if delta.get(member):
            message[member] = (message.get(member) or "") + delta[member]
    for piece in delta.get("tool_calls") or ():
        if piece["index"] == len(calls):
            calls.append({"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
        grammatical(piece["index"] == len(calls) - 1, "a gap between calls", stream)
        calls[-1]["id"] += piece.get("id", "")
        for key, value in piece["function"].items():
            calls[-1]["function"][key] += value


class ResponsesSpeaker(Speaker):
    """OpenAI Responses, whose client brings every item itself."""

    def path(self, talk: Talk) -> str:  # noqa: ARG002
        """One for all."""
        return "/v1/responses"

    def body(self, talk: Talk, messages: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """A request that nothing is kept of."""
        body: dict[str, Any] = {"model": talk.model, "input": list(messages), "store": False}
        if talk.system:
            body["instructions"] = talk.system
        if talk.tools:
            named = [{"type": "function", "name": tool.name, "description": tool.description} for tool in talk.tools]
            body["tools"] = [
                {**about, "parameters": tool.schema, "strict": False} for about, tool in zip(named, talk.tools, strict=True)
            ]
        if talk.thinking:
            body |= {"reasoning": {"effort": "low"}, "include": ["reasoning.encrypted_content"]}
        return body | ({"stream": True} if talk.stream else {})

    def turn(self, answer: dict[str, Any]) -> list[dict[str, Any]]:
        """The items of the output."""
        return list(answer["output"])

    def text(self, turn: Sequence[dict[str, Any]]) -> str:
        """Of the messages."""
        return "\n".join(text_of(item["content"]) for item in turn if item["type"] == "message")

    def calls(self, turn: Sequence[dict[str, Any]]) -> list[Asked]:
        """Function calls."""
        calls = (item for item in turn if item["type"] == "function_call")
        return [Asked(call["call_id"], call["name"], json.loads(call["arguments"])) for call in calls]

    def results(self, asked: Sequence[Asked], texts: Sequence[str]) -> list[dict[str, Any]]:
        """An item each."""
        pairs = zip(asked, texts, strict=True)
        return [{"type": "function_call_output", "call_id": call.call_id, "output": text} for call, text in pairs]

    def assembled(self, stream: bytes) -> dict[str, Any]:
        """The response of the last event, if the events before it add up to it."""
        events = [(name, json.loads(text)) for name, text in sse_events(stream)]
        kinds = [kind for kind, _ in events]
        grammatical(all(kind == value["type"] for kind, value in events), "a name that is not its type", stream)
        grammatical([v["sequence_number"] for _, v in events] == list(range(len(events))), "a gap in the numbers", stream)
        grammatical(kinds[0] == "response.created" and kinds.count("response.created") == 1, "how it starts", stream)
        grammatical(kinds[-1] == "response.completed" and kinds.count(kinds[-1]) == 1, "how it ends", stream)
        added = [v["output_index"] for kind, v in events if kind == "response.output_item.added"]
        done = [v["item"] for kind, v in events if kind == "response.output_item.done"]
        response: dict[str, Any] = events[-1][1]["response"]
        grammatical(added == list(range(len(added))) and done == response["output"], "items that do not add up", stream)
        grammatical(_spoken(events) == self.text(done), "text that does not add up", stream)
        return response


def _spoken(events: Sequence[tuple[str, dict[str, Any]]]) -> str:
    texts: dict[int, str] = {}
    for kind, value in events:
        if kind == "response.output_text.delta":
            texts[value["output_index"]] = texts.get(value["output_index"], "") + value["delta"]
    return "\n".join(texts.values())
