"""Anthropic Messages: where text sits in a request, and how a hidden round goes on.

Answers are in `anthropic_answer`, streams in `anthropic_stream`.
"""

import re
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, ClassVar

from headroom_asgi._crush import ARRAY, NULL, OBJECT, STRING, TRUE, Document
from headroom_asgi.types import RETRIEVE_NAME, Edit, ToolResult, ToolSpec
from headroom_asgi.wire.answers import Answer, Part, PartKind
from headroom_asgi.wire.anthropic_answer import (
    complete_answer,
    merge_answers,
    overlay,
    read_answer,
    stream_of,
)
from headroom_asgi.wire.anthropic_stream import AnthropicCodec
from headroom_asgi.wire.base import ANSWERED, Endpoint, Offer, Payload, Segment, WireFormat
from headroom_asgi.wire.nodes import elements_at, given, is_true, request, text_at
from headroom_asgi.wire.splice import dump, insert_elements, splice

# Tools that Anthropic defines and the client runs: as with function tools, their calls and results pass through the client.
_CLIENT_TOOL = re.compile(r"(custom|bash_\d+|text_editor_\d+|computer_\d+|memory_\d+)$")
_PROGRAM_TOOL = "code_execution_"

# Calls and their argument objects by id, as far as the conversation has come.
_Calls = dict[str, tuple[str, int]]


class AnthropicMessages(WireFormat):
    """Anthropic's `POST /v1/messages` and everything that speaks it."""

    name: ClassVar[str] = "anthropic"
    provider: ClassVar[str] = "anthropic"
    operation: ClassVar[str] = "chat"
    endpoints: ClassVar[Sequence[tuple[re.Pattern[str], Endpoint]]] = ((re.compile(r"(^|/)v1/messages$"), ANSWERED),)
    example_path: ClassVar[str] = "/v1/messages"

    def decode(self, body: bytes, endpoint: Endpoint = ANSWERED) -> Payload:
        """Segments: text in tool results, and user texts (frozen) that say what was asked."""
        document, messages = request(body)
        config = document.get(0, "output_config")
        return Payload(
            wire=self,
            document=document,
            model=text_at(document, 0, "model"),
            stream=is_true(document, 0, "stream"),
            structured=given(document, 0, "output_format") >= 0 or (config >= 0 and given(document, config, "format") >= 0),
            segments=tuple(_segments(document, messages)),
            endpoint=endpoint,
        )

    def offer(self, payload: Payload, tool: ToolSpec) -> Offer:
        """The tool goes directly after the last tool that the client runs.

        A request for a summary (`compaction`) has the prefix of its conversation, so the tool is in it too.
        """
        document = payload.document
        if given(document, 0, "thread") >= 0:
            return Offer(obstacle="thread")
        tools = elements_at(document, 0, "tools")
        if any(text_at(document, node, "name").endswith(tool.name) for node in tools):
            return Offer(obstacle="client_has_tool")
        last = max((i for i, node in enumerate(tools) if _is_client_tool(document, node)), default=-1)
        if last < 0:
            return Offer(obstacle="no_tools")
        spelled = _spelled(tool, direct=any(_calls_tools(document, node) for node in tools))
        return Offer(tuple(insert_elements(document, document.get(0, "tools"), last + 1, [spelled])))

    def fields(self, payload: Payload) -> Mapping[str, int]:
        """`messages`, and `tools` if it is an array."""
        document = payload.document
        nodes = {name: document.get(0, name) for name in ("messages", "tools")}
        return {name: node for name, node in nodes.items() if node >= 0 and document.kind(node) == ARRAY}

    def unpaired(self, payload: Payload) -> frozenset[str]:
        """Messages of one role in a row are one turn; instructions (role system) may stand between turns."""
        document = payload.document
        wrong: set[str] = set()
        calls: Counter[str] = Counter()
        results: Counter[str] = Counter()
        answered = False  # a user turn stands behind the calls
        for message in elements_at(document, 0, "messages"):
            role = text_at(document, message, "role")
            if role == "assistant":
                if answered:
                    wrong |= _differing(calls, results)
                    calls, results, answered = Counter(), Counter(), False
                calls.update(_ids(document, message, "tool_use", "id"))
            elif role == "user":
                results.update(_ids(document, message, "tool_result", "tool_use_id"))
                answered = True
        return frozenset(wrong | _differing(calls, results) if answered else wrong)

    def append(self, body: bytes, answer: Answer, results: Sequence[ToolResult]) -> bytes:
        """The content blocks go back as they came, except empty texts, which the API sends but does not take."""
        document = Document(body)
        messages = document.get(0, "messages")
        turn = [answer.document.raw(part.node) for part in answer.parts if not _is_empty_text(answer.document, part)]
        spelled = [
            {"type": "tool_result", "tool_use_id": result.call.id, "content": result.text}
            | ({"is_error": True} if result.is_error else {})
            for result in results
        ]
        added = [
            b'{"role":"assistant","content":[' + b",".join(turn) + b"]}",
            b'{"role":"user","content":' + dump(spelled) + b"}",
        ]
        edits = insert_elements(document, messages, document.count(messages), added)
        return splice(body, edits + _container(document, answer))

    def read(self, body: bytes) -> Answer:
        """One part for every content block; calls that came out of a program are calls like any other."""
        return read_answer(body)

    def merge(self, answers: Sequence[Answer], kept: Sequence[Sequence[Part]], *, notice: str, stopped: bool) -> bytes:
        """Blocks stay blocks. Usage has one entry in `iterations` for every round."""
        return merge_answers(answers, kept, notice=notice, stopped=stopped)

    def codec(self, media: str = "text/event-stream") -> AnthropicCodec:  # noqa: ARG002
        """One codec for all rounds of an exchange."""
        return AnthropicCodec()

    def complete(self, response: Mapping[str, Any], payload: Payload) -> bytes:
        """Takes `content` as text or blocks, and plain text in the shape of OpenAI Chat."""
        return complete_answer(response, payload.model)

    def as_stream(self, answer: Answer, endpoint: Endpoint = ANSWERED) -> bytes:  # noqa: ARG002
        """The events that the API would have sent, each block in one piece."""
        return stream_of(answer)


@cache
def _spelled(tool: ToolSpec, *, direct: bool) -> bytes:
    """The definition; `direct`: other tools may call tools, but not this one."""
    callers = {"allowed_callers": ["direct"]} if direct else {}
    return dump({"name": tool.name, "description": tool.description, "input_schema": tool.parameters, **callers})


def _segments(document: Document, messages: int) -> Iterator[Segment]:
    calls: _Calls = {}
    question: tuple[int, ...] = ()
    for message in document.elements(messages):
        role = text_at(document, message, "role")
        if role == "assistant":
            for block in elements_at(document, message, "content"):
                if text_at(document, block, "type") == "tool_use":
                    calls[text_at(document, block, "id")] = (text_at(document, block, "name"), document.get(block, "input"))
        elif role == "user":
            question = yield from _user_segments(document, message, calls, question)


def _user_segments(
    document: Document, message: int, calls: _Calls, question: tuple[int, ...]
) -> Generator[Segment, None, tuple[int, ...]]:
    """The segments of a user turn; returns the text that is the nearest for what follows."""
    content = document.get(message, "content")
    if content >= 0 and document.kind(content) == STRING:
        yield Segment(document, content, role="user", frozen=True)
        return (content,) if document.text(content).strip() else question
    # Texts between two results belong together.
    texts: list[int] = []
    for block in elements_at(document, message, "content"):
        kind = text_at(document, block, "type")
        if kind == "text":
            node = document.get(block, "text")
            if node >= 0 and document.kind(node) == STRING:
                yield Segment(document, node, role="user", frozen=True)
                if document.text(node).strip():
                    texts.append(node)
        elif kind == "tool_result":
            if texts:
                question, texts = tuple(texts), []
            yield from _result_segments(document, block, calls, question)
    return tuple(texts) or question


def _result_segments(document: Document, block: int, calls: _Calls, question: tuple[int, ...]) -> Iterator[Segment]:
    """The texts of a tool result: its content, or the text blocks in it. Whatever else is in it has no segment."""
    content, is_error = document.get(block, "content"), document.get(block, "is_error")
    name, arguments = calls.get(text_at(document, block, "tool_use_id"), ("", -1))
    texts: list[tuple[int, bool]] = []
    if content >= 0 and document.kind(content) == STRING:
        texts.append((content, False))
    for part in elements_at(document, block, "content"):
        node = document.get(part, "text")
        if text_at(document, part, "type") == "text" and node >= 0 and document.kind(node) == STRING:
            texts.append((node, _is_cited(document, part)))
    for node, cited in texts:
        yield Segment(
            document,
            node,
            role="user",
            tool_name=name,
            arguments=arguments,
            question=question,
            is_error=is_error >= 0 and document.kind(is_error) == TRUE,
            frozen=cited or name.endswith(RETRIEVE_NAME),
        )


def _is_cited(document: Document, block: int) -> bool:
    """Whether offsets into the text of a block may be held by somebody."""
    node = document.get(block, "citations")
    if node < 0 or document.kind(node) in (NULL, ARRAY):
        return node >= 0 and document.count(node) > 0
    enabled = document.get(node, "enabled")
    return enabled >= 0 and document.kind(enabled) == TRUE


def _is_client_tool(document: Document, tool: int) -> bool:
    """Whether calls of a tool reach the client."""
    return document.get(tool, "input_schema") >= 0 or bool(_CLIENT_TOOL.match(text_at(document, tool, "type")))


def _calls_tools(document: Document, tool: int) -> bool:
    """Whether a tool is a program that may call other tools, or may be called by one."""
    if text_at(document, tool, "type").startswith(_PROGRAM_TOOL):
        return True
    return any(document.raw(caller) != b'"direct"' for caller in elements_at(document, tool, "allowed_callers"))


def _ids(document: Document, message: int, kind: str, key: str) -> list[str]:
    blocks = elements_at(document, message, "content")
    return [text_at(document, block, key) for block in blocks if text_at(document, block, "type") == kind]


def _differing(calls: Counter[str], results: Counter[str]) -> set[str]:
    """Ids that are not in both exactly once."""
    return {key for key in calls | results if calls[key] != 1 or results[key] != 1}


def _is_empty_text(document: Document, part: Part) -> bool:
    return part.kind is PartKind.OTHER and text_at(document, part.node, "type") == "text"


def _container(document: Document, answer: Answer) -> list[Edit]:
    """The edits that let the next round run in the container of this one, if it has one."""
    container = given(answer.document, 0, "container")
    node = answer.document.get(container, "id") if container >= 0 else -1
    if node < 0:
        return []
    asked = given(document, 0, "container")
    if asked >= 0 and document.kind(asked) == OBJECT:  # with skills to be loaded
        return overlay(document, asked, {"id": answer.document.raw(node)})
    return overlay(document, 0, {"container": answer.document.raw(node)})
