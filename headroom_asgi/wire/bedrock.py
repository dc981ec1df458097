"""Bedrock Converse: where text sits in a request, and how a hidden round goes on.

Answers are in `bedrock_answer`, streams in `bedrock_stream`, their framing in `eventstream`; what the model said in
`bedrock_turns`; vendors' own bodies in `bedrock_invoke`.
"""

import re
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import ClassVar, Final

from headroom_asgi._crush import ARRAY, NULL, OBJECT, STRING, Document
from headroom_asgi.errors import PayloadError
from headroom_asgi.types import Edit, ToolResult, ToolSpec
from headroom_asgi.wire.answers import Answer, Part, Round, Turn
from headroom_asgi.wire.base import ANSWERED, Endpoint, Offer, Payload, WireFormat
from headroom_asgi.wire.bedrock_answer import complete_answer, member, merge_answers, read_answer, stream_of
from headroom_asgi.wire.bedrock_invoke import BedrockInvoke
from headroom_asgi.wire.bedrock_stream import ConverseCodec
from headroom_asgi.wire.bedrock_turns import (
    appended,
    blocks_of,
    calls_of,
    messages_of,
    replay_edits,
    root_of,
    turn_of,
    turns_of,
    unsigned,
)
from headroom_asgi.wire.blocks import unpaired
from headroom_asgi.wire.cover import Cover
from headroom_asgi.wire.eventstream import MEDIA
from headroom_asgi.wire.nodes import elements_at, find, says, scanned_request, text_at
from headroom_asgi.wire.opening import Opening, opening_of, strings_in
from headroom_asgi.wire.segments import Results, Segment
from headroom_asgi.wire.splice import dump, insert_elements

# An edit has to save 32 tokens, so shorter literals need not be looked at. Documents may have very many of them.
_SHORTEST_LEAF_BYTES = 34

_INVOKE: Final = BedrockInvoke()

# Names and argument objects of calls by id, as far as the conversation has come.
_Calls = dict[str, tuple[str, int]]


class BedrockConverse(WireFormat):
    """Bedrock's `POST /model/{id}/converse`, `converse-stream` and `count-tokens`."""

    name: ClassVar[str] = "bedrock"
    provider: ClassVar[str] = "bedrock"
    operation: ClassVar[str] = "chat"
    endpoints: ClassVar[Sequence[tuple[re.Pattern[str], Endpoint]]] = (
        # Model ids may be ARNs with slashes in them.
        (re.compile(r"(?:^|/)model/(?P<model>.+)/converse\Z"), Endpoint(stream=False, media=MEDIA)),
        (re.compile(r"(?:^|/)model/(?P<model>.+)/converse-stream\Z"), Endpoint(stream=True, media=MEDIA)),
        (re.compile(r"(?:^|/)model/(?P<model>.+)/count-tokens\Z"), Endpoint(stream=False, answered=False)),
    )
    example_path: ClassVar[str] = "/model/anthropic.claude-sonnet-4-5-20250929-v1:0/converse"
    stream_types: ClassVar[frozenset[str]] = frozenset({MEDIA})

    def begun(self, first: bytes) -> str:
        """Messages of the event stream, whose length has four bytes, and is far below 16 MB."""
        return MEDIA if first.startswith(b"\0") else ""

    def decode(self, body: bytes, endpoint: Endpoint = ANSWERED) -> Payload:
        """Segments: texts in tool results, long strings in their JSON, and user texts (frozen) that say what was asked.

        Tokens may be counted of a body of `InvokeModel`, too: its payload is of that dialect.
        """
        document = scanned_request(body)
        if (node := find(document, 0, "input", "invokeModel", "body")) >= 0:
            return _invoked(document, node, endpoint)
        root = root_of(document)
        messages = document.get(root, "messages")
        if messages < 0 or document.kind(messages) != ARRAY:
            raise PayloadError("no_messages")
        return Payload(
            wire=self,
            document=document,
            model=endpoint.model,
            stream=bool(endpoint.stream),
            structured=_is_structured(document, root),
            segments=tuple(_segments(document, messages)),
            endpoint=endpoint,
            history_edited=_is_given(document, root, "additionalModelRequestFields", "context_management"),
        )

    def offer(self, payload: Payload, tool: ToolSpec) -> Offer:
        """The tool goes directly after the client's last tool, before a cache point that stands behind that."""
        document = payload.document
        tools = elements_at(document, root_of(document), "toolConfig", "tools")
        specs = [find(document, node, "toolSpec") for node in tools]
        if any(text_at(document, spec, "name").endswith(tool.name) for spec in specs):
            return Offer(obstacle="client_has_tool")
        last = max((i for i, spec in enumerate(specs) if spec >= 0), default=-1)
        if last < 0:
            return Offer(obstacle="no_tools")
        node = find(document, root_of(document), "toolConfig", "tools")
        return Offer(tuple(insert_elements(document, node, last + 1, [_spelled(tool)])))

    def fields(self, payload: Payload) -> Mapping[str, int]:
        """`messages`, and as "tools" `toolConfig.tools` if it is an array."""
        document = payload.document
        root = root_of(document)
        nodes = {"messages": document.get(root, "messages"), "tools": find(document, root, "toolConfig", "tools")}
        return {name: node for name, node in nodes.items() if node >= 0 and document.kind(node) == ARRAY}

    def opening(self, payload: Payload) -> Opening:
        """`system`, which is blocks."""
        document = payload.document
        system = strings_in(document, document.get(root_of(document), "system"), "text")
        return opening_of(document, system, messages_of(document), _texts)

    def values_told(self, payload: Payload) -> Iterator[int]:
        """JSON documents in tool results."""
        document = payload.document
        for message in elements_at(document, 0, "messages"):
            for result in blocks_of(document, message, "toolResult"):
                blocks = (member(document, block) for block in elements_at(document, result, "content"))
                yield from (value for kind, value in blocks if kind == "json")

    def unpaired(self, payload: Payload) -> frozenset[str]:
        """Messages of one role in a row are one turn; instructions (role system) may stand between turns."""
        document = payload.document
        said = ((text_at(document, message, "role"), message) for message in messages_of(document))
        return unpaired((role, _ids(document, message, role)) for role, message in said)

    def append(self, body: bytes, answer: Answer, results: Sequence[ToolResult]) -> bytes:
        """The answer's message goes in as it came, but for blank texts, which the API may send but does not take.

        Roles have to alternate: an answer that goes on what the client began to say goes into the message of that.
        """
        return appended(body, answer, results)

    def read(self, body: bytes) -> Answer:
        """One part for every content block."""
        return read_answer(body)

    def merge(self, answers: Sequence[Answer], kept: Sequence[Sequence[Part]], *, notice: str, stopped: bool) -> bytes:
        """Blocks stay blocks. Usage and latency are summed."""
        return merge_answers(answers, kept, notice=notice, stopped=stopped)

    def turns(self, payload: Payload) -> Sequence[Turn]:
        """Every message of the model is a turn."""
        return tuple(turns_of(payload.document))

    def turn(self, answer: Answer) -> Turn:
        """The message that the answer is."""
        return turn_of(answer)

    def replay(self, payload: Payload, turn: Turn, rounds: Sequence[Round]) -> list[Edit]:
        """The messages as `append` spells them; our results of a mixed turn stand among the first blocks of the user's."""
        return replay_edits(payload.document, turn, rounds)

    def unsigned(self, payload: Payload) -> list[Edit]:
        """Without reasoning, but for that which has to lead the calls that wait."""
        return unsigned(payload.document)

    def codec(self, media: str = MEDIA) -> ConverseCodec:  # noqa: ARG002
        """One codec for all rounds of an exchange."""
        return ConverseCodec()

    def complete(self, response: Mapping[str, object], payload: Payload) -> bytes:  # noqa: ARG002
        """Takes `output`, or `content` as text or blocks, and plain text in the shape of OpenAI Chat."""
        return complete_answer(response)

    def as_stream(self, answer: Answer, endpoint: Endpoint = ANSWERED) -> bytes:  # noqa: ARG002
        """The messages that the API would have sent, each block in as few as there can be."""
        return stream_of(answer)


def _invoked(document: Document, node: int, endpoint: Endpoint) -> Payload:
    """The payload of a body of InvokeModel inside a request. PayloadError `invalid_base64`, or as that dialect says."""
    try:
        inside = b64decode(text_at(document, node), validate=True)
    except ValueError as error:
        raise PayloadError("invalid_base64") from error
    return replace(_INVOKE.decode(inside, endpoint), cover=Cover(document, node, inside))


def _is_structured(document: Document, root: int) -> bool:
    """Structured output was asked for: here, or in what the model's vendor takes."""
    return (
        _is_given(document, root, "outputConfig", "textFormat")
        or _is_given(document, root, "additionalModelRequestFields", "output_format")
        or _is_given(document, root, "additionalModelRequestFields", "output_config", "format")
    )


def _is_given(document: Document, node: int, *keys: str) -> bool:
    """There is something under a path of keys, and it is not null."""
    value = find(document, node, *keys)
    return value >= 0 and document.kind(value) != NULL


def _texts(document: Document, message: int) -> tuple[int, ...]:
    return strings_in(document, document.get(message, "content"), "text")


@cache
def _spelled(tool: ToolSpec) -> bytes:
    return dump({"toolSpec": {"name": tool.name, "description": tool.description, "inputSchema": {"json": tool.parameters}}})


def _segments(document: Document, messages: int) -> Iterator[Segment]:
    calls: _Calls = {}
    question: tuple[int, ...] = ()
    results = Results()
    for message in document.elements(messages):
        role = text_at(document, message, "role")
        if role == "assistant":
            for call in blocks_of(document, message, "toolUse"):
                calls[text_at(document, call, "toolUseId")] = (text_at(document, call, "name"), document.get(call, "input"))
            continue
        if role != "user":
            continue
        texts: list[int] = []  # texts between two results belong together
        for block in elements_at(document, message, "content"):
            kind, value = member(document, block)
            if kind == "text" and document.kind(value) == STRING:
                yield Segment(document, value, role="user", frozen=True)
                if says(document, value):
                    texts.append(value)
            elif kind == "toolResult":
                if texts:
                    question, texts = tuple(texts), []
                yield from _result_segments(document, value, calls, question, results)
        question = tuple(texts) or question


def _result_segments(
    document: Document, result: int, calls: _Calls, question: tuple[int, ...], results: Results
) -> Iterator[Segment]:
    """The texts of a tool result, and the long strings of its JSON documents. Whatever else is in it has no segment."""
    name, arguments = calls.get(text_at(document, result, "toolUseId"), ("", -1))
    results.add(name, arguments)
    for block in elements_at(document, result, "content"):
        kind, value = member(document, block)
        if kind == "text" and document.kind(value) == STRING:
            nodes = [value]
        elif kind == "json":
            nodes = _leaves(document, value)
        else:
            continue
        for node in nodes:
            yield Segment(
                document,
                node,
                role="user",
                tool_name=name,
                arguments=arguments,
                question=question,
                is_error=text_at(document, result, "status") == "error",
                results=results,
            )


def _leaves(document: Document, node: int) -> list[int]:
    """The string values in a JSON document that are long enough to be worth a look, in order."""
    leaves = []
    todo = [node]
    while todo:
        node = todo.pop()
        kind = document.kind(node)
        if kind == STRING:
            start, end = document.span(node)
            if end - start >= _SHORTEST_LEAF_BYTES:
                leaves.append(node)
        elif kind == OBJECT:
            todo += [value for _, value in reversed(document.items(node))]
        elif kind == ARRAY:
            todo += reversed(document.elements(node))
    return leaves


def _ids(document: Document, message: int, role: str) -> list[str]:
    """The ids of the calls in a message of the model, or of what a user's answers."""
    if role == "assistant":
        return [call.id for call in calls_of(document, message)]
    return [text_at(document, node, "toolUseId") for node in blocks_of(document, message, "toolResult")]
