"""The demo's client: an agent loop over plain HTTP that knows nothing of the middleware."""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from example_app.conversations import Conversation, Tool
from example_app.view import PATHS, SESSION_HEADER, WireFormat, text_of

_MAX_STEPS = 8  # requests per question; the scripts need three at most
_MAX_TOKENS = 4096
_THINKING_TOKENS = 2048


class DemoError(Exception):
    """Something in the demo's machinery that is not as it must be."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One request of the client, and what came back.

    Attributes:
        body: the request.
        answer: the assistant message, in the request's wire format; {} if the request failed.
        status: of the response.
        ms: until the last byte.
    """

    body: dict[str, Any]
    answer: dict[str, Any]
    status: int
    ms: float


@dataclass(slots=True)
class Client:
    """A client of a gateway, for one conversation.

    Attributes:
        http: the connection pool; its base URL is the gateway.
        wire_format: of all requests.
        route: path prefix, e.g. `/team-a`.
        session: the name that the client gives the conversation.
        headers: more headers.
    """

    http: httpx.Client
    wire_format: WireFormat
    route: str
    session: str
    headers: dict[str, str] = field(default_factory=dict)

    def send(self, body: dict[str, Any]) -> Sent:
        """Send a request, read the whole answer, streamed or not."""
        headers = {SESSION_HEADER: self.session, "authorization": "Bearer demo", **self.headers}
        started = time.perf_counter()
        with self.http.stream("POST", self.route + PATHS[self.wire_format], json=body, headers=headers) as response:
            raw = response.read()
        elapsed = (time.perf_counter() - started) * 1e3
        if response.status_code != 200:
            return Sent(body, {}, response.status_code, elapsed)
        streamed = response.headers["content-type"].startswith("text/event-stream")
        if streamed != bool(body.get("stream")):
            raise DemoError(f"{self.session}: asked for stream={body.get('stream')}, got {response.headers['content-type']}")
        if streamed:
            events = list(sse_events(raw.decode()))
            answer = _chat_assembled(events) if self.wire_format == "chat" else _anthropic_assembled(events)
        else:
            whole = json.loads(raw)
            answer = (
                whole["choices"][0]["message"]
                if self.wire_format == "chat"
                else {"role": "assistant", "content": whole["content"]}
            )
        return Sent(body, answer, response.status_code, elapsed)


def run(client: Client, conversation: Conversation) -> Iterator[tuple[Sent, str | None]]:
    """Drive a conversation turn by turn: each request that was sent, with the final text where it answers a question."""
    messages: list[dict[str, Any]] = []
    if client.wire_format == "chat" and conversation.tools:
        messages.append({"role": "system", "content": conversation.system})
    for question in conversation.questions:
        messages.append({"role": "user", "content": question.spoken()})
        for _ in range(_MAX_STEPS):
            sent = client.send(request_body(conversation, list(messages)))
            messages.append(sent.answer)
            results = list(tool_turn(client.wire_format, sent.answer, conversation.results))
            yield sent, None if results else answer_text(sent.answer)
            if sent.status != 200:
                return
            if not results:
                break
            messages.extend(results)
        else:
            raise DemoError(f"{client.session}: no answer after {_MAX_STEPS} requests")


def request_body(conversation: Conversation, messages: list[dict[str, Any]]) -> dict[str, Any]:
    """A request of a demo conversation."""
    body: dict[str, Any] = {"model": "demo-model", "messages": messages}
    if conversation.wire_format == "anthropic":
        body |= {"max_tokens": _MAX_TOKENS, "system": conversation.system}
    if conversation.tools:
        body["tools"] = [_definition(conversation.wire_format, tool) for tool in conversation.tools]
    if conversation.thinking:
        body["thinking"] = {"type": "enabled", "budget_tokens": _THINKING_TOKENS}
    if conversation.stream:
        body["stream"] = True
        if conversation.wire_format == "chat":
            body["stream_options"] = {"include_usage": True}
    return body


def answer_text(answer: dict[str, Any]) -> str:
    """The text of an assistant message."""
    return text_of(answer.get("content"))


def sse_events(stream: str) -> Iterator[tuple[str, str]]:
    """The (event, data) pairs of an event stream."""
    for frame in stream.split("\n\n"):
        lines = [line.partition(":") for line in frame.split("\n") if line and not line.startswith(":")]
        fields = {name: value.removeprefix(" ") for name, _, value in lines}
        if "data" in fields:
            yield fields.get("event", ""), fields["data"]


def _definition(wire_format: WireFormat, tool: Tool) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {name: {"type": "string"} for name in tool.arguments},
        "required": list(tool.arguments),
    }
    if wire_format == "anthropic":
        return {"name": tool.name, "description": tool.description, "input_schema": schema}
    return {"type": "function", "function": {"name": tool.name, "description": tool.description, "parameters": schema}}


def tool_turn(wire_format: WireFormat, answer: dict[str, Any], results: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """What the client answers to tool calls: one message per call in Chat, one turn in Anthropic's format."""
    if wire_format == "chat":
        for call in answer.get("tool_calls") or ():
            found = _result(results, call["function"]["name"], json.loads(call["function"]["arguments"]))
            yield {"role": "tool", "tool_call_id": call["id"], "content": found}
        return
    blocks = [
        {"type": "tool_result", "tool_use_id": block["id"], "content": _result(results, block["name"], block["input"])}
        for block in answer.get("content") or ()
        if block["type"] == "tool_use"
    ]
    if blocks:
        yield {"role": "user", "content": blocks}


def _result(results: Mapping[str, str], name: str, arguments: dict[str, Any]) -> str:
    key = " ".join([name, *arguments.values()])
    if key not in results:
        raise DemoError(f"the client was asked for a tool that it does not have: {key}")
    return results[key]


def _chat_assembled(events: list[tuple[str, str]]) -> dict[str, Any]:
    """The assistant message that the chunks of a Chat stream add up to."""
    text, finish, calls = "", None, dict[int, dict[str, Any]]()
    for _, data in events:
        if data == "[DONE]":
            break
        for choice in json.loads(data)["choices"]:
            text += choice["delta"].get("content") or ""
            finish = choice["finish_reason"] or finish
            for piece in choice["delta"].get("tool_calls") or ():
                call = calls.setdefault(piece["index"], {"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
                call["id"] += piece.get("id", "")
                for key, value in piece["function"].items():
                    call["function"][key] += value
    if finish != ("tool_calls" if calls else "stop") or sorted(calls) != list(range(len(calls))):
        raise DemoError(f"a broken Chat stream: finish {finish!r}, tool calls {sorted(calls)}")
    message: dict[str, Any] = {"role": "assistant", "content": text or None}
    return {**message, "tool_calls": list(calls.values())} if calls else message


def _anthropic_assembled(events: list[tuple[str, str]]) -> dict[str, Any]:
    """The assistant message that the events of a Messages stream add up to."""
    blocks: list[dict[str, Any]] = []
    arguments = ""
    kinds = []
    for name, data in events:
        event = json.loads(data)
        kinds.append(name)
        if name == "content_block_start":
            if event["index"] != len(blocks):
                raise DemoError(f"a broken Messages stream: block {event['index']} after {len(blocks)} blocks")
            blocks.append(event["content_block"])
            arguments = ""
        elif name == "content_block_delta":
            delta, block = event["delta"], blocks[event["index"]]
            if delta["type"] == "input_json_delta":
                arguments += delta["partial_json"]
            else:
                key = delta["type"].removesuffix("_delta")
                block[key] += delta[key]
        elif name == "content_block_stop" and blocks[event["index"]]["type"] == "tool_use":
            blocks[event["index"]]["input"] = json.loads(arguments or "{}")
    if kinds.count("message_start") != 1 or kinds.count("message_stop") != 1 or kinds[-1] != "message_stop":
        raise DemoError(f"a broken Messages stream: {kinds}")
    return {"role": "assistant", "content": blocks}
