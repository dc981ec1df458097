"""OpenAI Chat Completions: where text sits in a request, and how a hidden round goes on. Spoken by many other servers too.

Answers are in `openai_chat_answer`, streams in `openai_chat_stream`.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, ClassVar

from headroom_asgi._crush import ARRAY, NULL, NUMBER, Document
from headroom_asgi.types import Edit, ToolResult, ToolSpec
from headroom_asgi.wire.answers import Answer, Part, Round, Turn
from headroom_asgi.wire.base import ANSWERED, MAX_TOOLS, Endpoint, Offer, Payload, WireFormat
from headroom_asgi.wire.events import StreamCodec
from headroom_asgi.wire.nodes import elements_at, find, is_true, request, text_at
from headroom_asgi.wire.openai_chat_answer import (
    complete_answer,
    merge_answers,
    read_answer,
    stream_of,
)
from headroom_asgi.wire.openai_chat_stream import ChatCodec
from headroom_asgi.wire.openai_chat_turns import appended, replay_edits, texts_of, turn_of, turns_of
from headroom_asgi.wire.opening import Opening, opening_of
from headroom_asgi.wire.segments import Results, Segment
from headroom_asgi.wire.splice import dump, insert_elements

_STRUCTURED = frozenset({"json_object", "json_schema"})


class OpenAIChat(WireFormat):
    """The dialect of `POST .../chat/completions`."""

    name: ClassVar[str] = "openai-chat"
    provider: ClassVar[str] = "openai"
    operation: ClassVar[str] = "chat"
    endpoints: ClassVar[Sequence[tuple[re.Pattern[str], Endpoint]]] = (
        (re.compile(r"(^|/)deployments/(?P<model>[^/]+)/chat/completions\Z"), ANSWERED),  # Azure
        (re.compile(r"(^|/)engines/(?P<model>.+)/chat/completions\Z"), ANSWERED),  # LiteLLM
        (re.compile(r"(^|/)chat/completions\Z"), ANSWERED),
        (re.compile(r"(^|/)v1/agents/completions\Z"), ANSWERED),  # Mistral
    )
    example_path: ClassVar[str] = "/v1/chat/completions"

    def decode(self, body: bytes, endpoint: Endpoint = ANSWERED) -> Payload:
        """Segments: results of tools and functions, and user texts (frozen) that say what was asked."""
        document, messages = request(body)
        return Payload(
            wire=self,
            document=document,
            model=text_at(document, 0, "model") or endpoint.model,
            stream=is_true(document, 0, "stream"),
            structured=text_at(document, find(document, 0, "response_format", "type")) in _STRUCTURED,
            segments=tuple(_segments(document, messages)),
            endpoint=endpoint,
            history_edited=_edits_history(document),
        )

    def offer(self, payload: Payload, tool: ToolSpec) -> Offer:
        """The tool goes directly after the last function tool, and into `tool_choice.allowed_tools`."""
        document = payload.document
        tools = document.get(0, "tools")
        obstacle, last = _obstacle(document, tools, tool.name)
        if obstacle:
            return Offer(obstacle=obstacle)
        edits = insert_elements(document, tools, last + 1, [_spelled(tool)])
        allowed = find(document, 0, "tool_choice", "allowed_tools", "tools")
        if allowed >= 0 and document.kind(allowed) == ARRAY:
            entry = dump({"type": "function", "function": {"name": tool.name}})
            edits += insert_elements(document, allowed, document.count(allowed), [entry])
        return Offer(tuple(edits))

    def fields(self, payload: Payload) -> Mapping[str, int]:
        """`messages`, and `tools` if it is an array."""
        nodes = {key: payload.document.get(0, key) for key in ("messages", "tools")}
        return {key: node for key, node in nodes.items() if node >= 0 and payload.document.kind(node) == ARRAY}

    def opening(self, payload: Payload) -> Opening:
        """Leading messages of the roles system and developer."""
        document = payload.document
        return opening_of(document, (), document.elements(document.get(0, "messages")), texts_of)

    def unpaired(self, payload: Payload) -> frozenset[str]:
        """Calls that the tool messages directly behind them do not answer exactly once, and results that answer none of them."""
        document = payload.document
        bad: set[str] = set()
        open_calls: dict[str, int] = {}  # how often each call of the last assistant message was answered
        role = ""
        for message in document.elements(document.get(0, "messages")):
            role = text_at(document, message, "role")
            if role == "tool":
                answered = text_at(document, message, "tool_call_id")
                if answered in open_calls:
                    open_calls[answered] += 1
                else:
                    bad.add(answered)
                continue
            bad.update(call for call, count in open_calls.items() if count != 1)
            calls = elements_at(document, document.get(message, "tool_calls")) if role == "assistant" else []
            open_calls = {text_at(document, call, "id"): 0 for call in calls}
        if role == "tool":
            bad.update(call for call, count in open_calls.items() if count != 1)
        return frozenset(bad)

    def append(self, body: bytes, answer: Answer, results: Sequence[ToolResult]) -> bytes:
        """The assistant message goes in with its very bytes, as vendors want their own fields back; then one message a result."""
        return appended(body, answer, results)

    def read(self, body: bytes) -> Answer:
        """The parts of the first choice, which is the only one where the tool was offered."""
        return read_answer(body)

    def merge(self, answers: Sequence[Answer], kept: Sequence[Sequence[Part]], *, notice: str, stopped: bool) -> bytes:
        """Texts joined by an empty line; `tool_calls` left out if none is left."""
        return merge_answers(answers, kept, notice=notice, stopped=stopped)

    def turns(self, payload: Payload) -> Sequence[Turn]:
        """Every assistant message is a turn."""
        return turns_of(payload.document)

    def turn(self, answer: Answer) -> Turn:
        """The message of the first choice."""
        return turn_of(answer)

    def replay(self, payload: Payload, turn: Turn, rounds: Sequence[Round]) -> list[Edit]:
        """The messages as `append` spells them; our results of a mixed turn stand among the tool messages behind it."""
        return replay_edits(payload.document, turn, rounds)

    def codec(self, media: str = "text/event-stream") -> StreamCodec:  # noqa: ARG002
        """A codec for chunks as server-sent events."""
        return ChatCodec()

    def complete(self, response: Mapping[str, Any], payload: Payload) -> bytes:
        """At least `{"choices": [{"message": {...}}]}` has to be given."""
        return complete_answer(response, payload.model)

    def as_stream(self, answer: Answer, endpoint: Endpoint = ANSWERED) -> bytes:  # noqa: ARG002
        """Chunks, then `[DONE]`."""
        return stream_of(answer)


def _edits_history(document: Document) -> bool:
    """Whether a router (OpenRouter) may leave out messages in the middle."""
    plugins = {text_at(document, plugin, "id") for plugin in elements_at(document, 0, "plugins")}
    return bool(elements_at(document, 0, "transforms")) or "context-compression" in plugins


def _segments(document: Document, messages: int) -> Iterable[Segment]:
    calls: dict[str, tuple[str, int]] = {}  # name and arguments of calls by their id, of legacy ones by their name
    question: tuple[int, ...] = ()
    results = Results()
    for message in document.elements(messages):
        role = text_at(document, message, "role")
        if role == "assistant":
            calls |= _calls(document, message)
        elif role == "user":
            texts = texts_of(document, message)
            yield from (Segment(document, node, role=role, question=question, frozen=True) for node in texts)
            question = texts or question
        elif role in ("tool", "function"):
            own_name = text_at(document, message, "name")
            key = text_at(document, message, "tool_call_id") if role == "tool" else f"function {own_name}"
            name, arguments = calls.get(key, (own_name, -1))
            results.add(name, arguments)
            for node in texts_of(document, message):
                yield Segment(
                    document,
                    node,
                    role=role,
                    tool_name=name,
                    arguments=arguments,
                    question=question,
                    results=results,
                )


def _calls(document: Document, message: int) -> dict[str, tuple[str, int]]:
    calls = {}
    for node in elements_at(document, message, "tool_calls"):
        custom, function = document.get(node, "custom"), document.get(node, "function")
        name = text_at(document, custom if custom >= 0 else function, "name")
        if name:
            given = find(document, custom, "input")
            calls[text_at(document, node, "id")] = (name, given if given >= 0 else find(document, function, "arguments"))
    legacy = document.get(message, "function_call")
    if legacy >= 0:
        name = text_at(document, legacy, "name")
        calls[f"function {name}"] = (name, document.get(legacy, "arguments"))
    return calls


@cache
def _spelled(tool: ToolSpec) -> bytes:
    spec = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return dump({"type": "function", "function": spec})


def _obstacle(document: Document, tools: int, ours: str) -> tuple[str, int]:
    """Why the tool cannot be offered, "" if it can, and the position of the last function tool."""
    if any(
        node >= 0 and document.kind(node) != NULL for node in (document.get(0, "functions"), document.get(0, "function_call"))
    ):
        return "legacy_functions", -1
    last = -1
    for position, node in enumerate(elements_at(document, tools)):
        function = document.get(node, "function")
        inner = function if function >= 0 else document.get(node, "custom")
        if text_at(document, find(document, inner, "name")).endswith(ours):
            return "client_has_tool", -1
        if text_at(document, node, "type") == "function":
            last = position
    if last < 0:
        return "no_tools", -1
    if len(elements_at(document, tools)) == MAX_TOOLS:
        return "too_many_tools", -1
    if any(_exceeds_one(document, document.get(0, key)) for key in ("n", "best_of")):
        return "several_choices", -1
    return "", last


def _exceeds_one(document: Document, node: int) -> bool:
    return node >= 0 and document.kind(node) == NUMBER and float(document.raw(node)) > 1
