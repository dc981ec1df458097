"""Ollama's chat: where text sits in a request, and how a hidden round goes on.

Messages are OpenAI Chat's, but that arguments are objects, results name their tool, and calls may have no ids. Answers are in
`ollama_answer`, streams in `ollama_stream`.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, ClassVar, Final

from headroom_asgi._crush import ARRAY, FALSE, OBJECT, STRING, Document
from headroom_asgi.types import Edit, ToolCall, ToolResult, ToolSpec
from headroom_asgi.wire.answers import Answer, Part, Round, Turn
from headroom_asgi.wire.base import ANSWERED, Endpoint, Offer, Payload, WireFormat
from headroom_asgi.wire.events import StreamCodec
from headroom_asgi.wire.nodes import elements_at, find, given, request, text_at
from headroom_asgi.wire.ollama_answer import (
    call_part,
    complete_answer,
    merge_answers,
    message_without,
    read_answer,
    stream_of,
)
from headroom_asgi.wire.ollama_stream import OllamaCodec
from headroom_asgi.wire.opening import Opening, opening_of, strings_in
from headroom_asgi.wire.segments import Results, Segment
from headroom_asgi.wire.splice import dump, insert_elements, splice
from headroom_asgi.wire.turns import comparable, replay_messages

_LINES: Final = "application/x-ndjson"


class Ollama(WireFormat):
    """The dialect of `POST /api/chat`."""

    name: ClassVar[str] = "ollama"
    provider: ClassVar[str] = "ollama"
    operation: ClassVar[str] = "chat"
    endpoints: ClassVar[Sequence[tuple[re.Pattern[str], Endpoint]]] = ((re.compile(r"(^|/)api/chat\Z"), Endpoint(media=_LINES)),)
    example_path: ClassVar[str] = "/api/chat"
    stream_types: ClassVar[frozenset[str]] = frozenset({_LINES, "application/ndjson"})

    def streams(self, media: str, payload: Payload) -> bool:
        """Lines, also where they are called JSON."""
        return media in self.stream_types or (media == "application/json" and payload.stream)

    def begun(self, first: bytes) -> str:
        """Lines of objects."""
        return _LINES if first.startswith(b"{") else ""

    def decode(self, body: bytes, endpoint: Endpoint = ANSWERED) -> Payload:
        """Segments: results of tools, and user texts (frozen) that say what was asked.

        The server leaves out the oldest messages where they don't fit, unless it is told not to.
        """
        document, messages = request(body)
        structured = given(document, 0, "format")
        return Payload(
            wire=self,
            document=document,
            model=text_at(document, 0, "model") or endpoint.model,
            stream=not _is_false(document, "stream"),
            structured=structured >= 0 and document.raw(structured) != b'""',
            segments=tuple(_segments(document, messages)),
            endpoint=endpoint,
            history_edited=not _is_false(document, "truncate"),
        )

    def offer(self, payload: Payload, tool: ToolSpec) -> Offer:
        """The tool goes directly after the last function tool."""
        document = payload.document
        functions = [document.get(node, "function") for node in elements_at(document, 0, "tools")]
        if any(text_at(document, find(document, node, "name")).endswith(tool.name) for node in functions):
            return Offer(obstacle="client_has_tool")
        last = max((i for i, node in enumerate(functions) if node >= 0 and document.kind(node) == OBJECT), default=-1)
        if last < 0:
            return Offer(obstacle="no_tools")
        return Offer(tuple(insert_elements(document, document.get(0, "tools"), last + 1, [_spelled(tool)])))

    def fields(self, payload: Payload) -> Mapping[str, int]:
        """`messages`, and `tools` if it is an array."""
        nodes = {key: payload.document.get(0, key) for key in ("messages", "tools")}
        return {key: node for key, node in nodes.items() if node >= 0 and payload.document.kind(node) == ARRAY}

    def opening(self, payload: Payload) -> Opening:
        """Leading messages of the role system."""
        document = payload.document
        return opening_of(document, (), document.elements(document.get(0, "messages")), _texts)

    def unpaired(self, payload: Payload) -> frozenset[str]:
        """Calls without ids go by their name, so many calls want so many results."""
        document = payload.document
        bad: set[str] = set()
        waiting: list[ToolCall] = []
        answered = False
        for message in elements_at(document, 0, "messages"):
            role = text_at(document, message, "role")
            if role == "tool":
                answered = True
                found = _asked(document, message, waiting)
                if found < 0:
                    bad.add(text_at(document, message, "tool_call_id") or text_at(document, message, "tool_name"))
                else:
                    waiting.pop(found)
                continue
            bad.update(call.id or call.name for call in waiting)
            waiting = [call for call, _ in _calls(document, message)] if role == "assistant" else []
            answered = False
        return frozenset(bad | ({call.id or call.name for call in waiting} if answered else set()))

    def append(self, body: bytes, answer: Answer, results: Sequence[ToolResult]) -> bytes:
        """The message goes in with its very bytes; then one message a result."""
        document = Document(body)
        messages = document.get(0, "messages")
        added = [message_without(answer, frozenset()), *map(_result, results)]
        return splice(body, insert_elements(document, messages, document.count(messages), added))

    def read(self, body: bytes) -> Answer:
        """The parts of the message."""
        return read_answer(body)

    def merge(self, answers: Sequence[Answer], kept: Sequence[Sequence[Part]], *, notice: str, stopped: bool) -> bytes:  # noqa: ARG002
        """Texts joined by an empty line; `done_reason` is `stop` whether tools were called or not."""
        return merge_answers(answers, kept, notice=notice)

    def turns(self, payload: Payload) -> Sequence[Turn]:
        """Every assistant message is a turn. Calls have no ids, as Ollama's own client gives none back."""
        document = payload.document
        messages = elements_at(document, 0, "messages")
        roles = (text_at(document, message, "role") for message in messages)
        return tuple(_turn(document, messages[at], at) for at, role in enumerate(roles) if role == "assistant")

    def turn(self, answer: Answer) -> Turn:
        """The message."""
        return _turn(answer.document, answer.document.get(0, "message"))

    def replay(self, payload: Payload, turn: Turn, rounds: Sequence[Round]) -> list[Edit]:
        """The messages as `append` spells them; our results of a mixed turn stand among the tool messages behind it."""
        document = payload.document

        def ranks_of(behind: Sequence[int], others: Sequence[tuple[int, ToolCall]]) -> list[int]:
            waiting = list(others)
            found = []
            for message in behind:
                if text_at(document, message, "role") != "tool":
                    break
                at = _asked(document, message, [call for _, call in waiting])
                found.append(waiting.pop(at)[0] if at >= 0 else -1)
            return found

        return replay_messages(
            document,
            elements_at(document, 0, "messages"),
            turn,
            rounds,
            turn_of=message_without,
            result_of=_result,
            ranks_of=ranks_of,
        )

    def codec(self, media: str = "application/x-ndjson") -> StreamCodec:  # noqa: ARG002
        """A codec for lines of JSON."""
        return OllamaCodec()

    def complete(self, response: Mapping[str, Any], payload: Payload) -> bytes:
        """At least `{"message": {...}}` has to be given, or plain text in the shape of OpenAI Chat."""
        return complete_answer(response, payload.model)

    def as_stream(self, answer: Answer, endpoint: Endpoint = ANSWERED) -> bytes:  # noqa: ARG002
        """Two lines."""
        return stream_of(answer)


def _is_false(document: Document, key: str) -> bool:
    node = document.get(0, key)
    return node >= 0 and document.kind(node) == FALSE


def _texts(document: Document, message: int) -> tuple[int, ...]:
    return strings_in(document, document.get(message, "content"), "text")


@cache
def _spelled(tool: ToolSpec) -> bytes:
    spec = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return dump({"type": "function", "function": spec})


def _result(result: ToolResult) -> bytes:
    answered = {"tool_call_id": result.call.id} if result.call.id else {}
    return dump({"role": "tool", "tool_name": result.call.name, **answered, "content": result.text})


def _turn(document: Document, message: int, at: int | None = None) -> Turn:
    calls = tuple(ToolCall("", call.name, call.arguments) for call, _ in _calls(document, message))
    return Turn(comparable([text_at(document, message, "content")]), calls, start=document.span(message)[0], data=at)


def _calls(document: Document, message: int) -> list[tuple[ToolCall, int]]:
    """The calls of a message, and the nodes of their arguments."""
    parts = (call_part(document, node) for node in elements_at(document, message, "tool_calls"))
    return [(part.call, find(document, part.node, "function", "arguments")) for part in parts if part.call is not None]


def _asked(document: Document, message: int, calls: Sequence[ToolCall]) -> int:
    """The position of the call that a tool message answers: by id, by name, or the first one; -1 if there is none."""
    call_id, name = text_at(document, message, "tool_call_id"), text_at(document, message, "tool_name")
    name = name or text_at(document, message, "name")
    by_id = (i for i, call in enumerate(calls) if call_id and call.id == call_id)
    by_name = (i for i, call in enumerate(calls) if not (name and call.name != name) and not (call_id and call.id))
    return next(by_id, next(by_name, -1))


def _segments(document: Document, messages: int) -> Iterable[Segment]:
    waiting: list[tuple[ToolCall, int]] = []
    question: tuple[int, ...] = ()
    results = Results()
    for message in document.elements(messages):
        role = text_at(document, message, "role")
        content = document.get(message, "content")
        is_text = content >= 0 and document.kind(content) == STRING
        if role == "assistant":
            waiting = _calls(document, message)
        elif role == "user" and is_text:
            yield Segment(document, content, role=role, question=question, frozen=True)
            question = (content,)
        elif role == "tool":
            name, arguments = text_at(document, message, "tool_name") or text_at(document, message, "name"), -1
            at = _asked(document, message, [call for call, _ in waiting])
            if at >= 0:
                call, arguments = waiting.pop(at)
                name = call.name
            results.add(name, arguments)
            if is_text:
                yield Segment(
                    document,
                    content,
                    role=role,
                    tool_name=name,
                    arguments=arguments,
                    question=question,
                    results=results,
                )
