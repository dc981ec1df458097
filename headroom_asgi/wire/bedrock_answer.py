"""Answers of Bedrock Converse as JSON: read, merge over rounds, complete, spell as a stream."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from headroom_asgi._crush import ARRAY, NULL, OBJECT, Document, minify
from headroom_asgi.errors import ResponseError
from headroom_asgi.types import ToolCall
from headroom_asgi.wire.answers import Answer, Finish, Part, PartKind
from headroom_asgi.wire.eventstream import event
from headroom_asgi.wire.nodes import elements_at, find, given, scanned_answer, text_at
from headroom_asgi.wire.splice import arrange, dump, literal, overlay, rewrite, splice
from headroom_asgi.wire.usage import total

# Reasons after which calls may be incomplete, or must not be answered now.
CUT_REASONS = frozenset(
    {
        "max_tokens",
        "guardrail_intervened",
        "content_filtered",
        "malformed_model_output",
        "malformed_tool_use",
        "model_context_window_exceeded",
    }
)
# Members of an answer that a stream tells with the reason; all others come with its usage.
_WITH_REASON = ("stopReason", "additionalModelResponseFields")
# Members of an answer that add up over rounds.
_SUMMED = ("usage", "metrics")


def member(document: Document, node: int) -> tuple[str, int]:
    """Name and value of the one member that says what a union (a content block, a delta) is; ("", -1) if there is none."""
    return next(((key, value) for key, value in document.items(node) if document.kind(value) != NULL), ("", -1))


def is_server_call(document: Document, call: int) -> bool:
    """Whether a `toolUse` is run by the service."""
    return text_at(document, call, "type") == "server_tool_use"


def call_of(document: Document, node: int) -> ToolCall:
    """A `toolUse` in neutral form."""
    arguments = document.get(node, "input")
    return ToolCall(
        id=text_at(document, node, "toolUseId"),
        name=text_at(document, node, "name"),
        arguments=document.raw(arguments).decode() if arguments >= 0 else "{}",
    )


def text_of(document: Document, block: int) -> str:
    """The visible text of a content block."""
    kind, value = member(document, block)
    if kind == "text":
        return text_at(document, block, "text")
    if kind == "citationsContent":
        return "".join(text_at(document, piece, "text") for piece in elements_at(document, value, "content"))
    return ""


def read_answer(body: bytes) -> Answer:
    """A JSON answer in neutral form: one part for every content block, in order."""
    document = scanned_answer(body)
    content = find(document, 0, "output", "message", "content")
    if content < 0 or document.kind(content) != ARRAY:
        raise ResponseError("the answer has no content blocks")
    cut = text_at(document, 0, "stopReason") in CUT_REASONS
    parts = tuple(_part(document, block) for block in document.elements(content))
    return Answer(document, parts, Finish.CUT if cut else Finish.DONE)


def _part(document: Document, block: int) -> Part:
    kind, value = member(document, block)
    if kind == "toolUse" and not is_server_call(document, value):
        return Part(PartKind.CALL, block, call_of(document, value))
    if kind == "reasoningContent":
        return Part(PartKind.SIGNED, block)
    return Part(PartKind.TEXT if text_of(document, block) else PartKind.OTHER, block)


def totals(answers: Sequence[Answer]) -> dict[str, dict[str, Any]]:
    """Usage and metrics of all rounds, summed, as far as there are any."""
    sums = {}
    for name in _SUMMED:
        raw = []
        for answer in answers:
            node = answer.document.get(0, name)
            if node >= 0 and answer.document.kind(node) == OBJECT:
                raw.append(answer.document.raw(node))
        result = total(raw) if raw else None
        if result is not None:
            sums[name] = result
            if name == "usage" and len(raw) > 1 and "cacheDetails" in result:
                result["cacheDetails"] = _cache_details([json.loads(usage) for usage in raw])
    return sums


def _cache_details(usages: Sequence[Mapping[str, Any]]) -> list[Any]:
    """What was written to caches, summed by how long they live."""
    sums: dict[Any, dict[str, Any]] = {}
    for usage in usages:
        details = usage.get("cacheDetails")
        for entry in details if isinstance(details, list) else ():
            if isinstance(entry, dict):
                key = str(entry.get("ttl"))
                earlier = [dump(sums[key])] if key in sums else []
                sums[key] = total([*earlier, dump(entry)]) or entry
    return list(sums.values())


def merge_answers(answers: Sequence[Answer], kept: Sequence[Sequence[Part]], *, notice: str, stopped: bool) -> bytes:
    """One answer out of the rounds'; see `WireFormat.merge`."""
    last = answers[-1].document
    nodes = {part.node for part in kept[-1]}
    children: list[int | bytes] = [
        answer.document.raw(part.node) for answer, parts in zip(answers[:-1], kept[:-1], strict=True) for part in parts
    ]
    children += [i for i, part in enumerate(answers[-1].parts) if part.node in nodes]
    if notice:
        children.append(dump({"text": notice}))
    edits = arrange(last, find(last, 0, "output", "message", "content"), children)
    members: dict[str, bytes] = {}
    if stopped and text_at(last, 0, "stopReason") == "tool_use":
        members["stopReason"] = b'"end_turn"'
    for name, value in totals(answers).items() if len(answers) > 1 else ():
        node = given(last, 0, name)
        if node >= 0 and last.kind(node) == OBJECT:
            edits += rewrite(last, node, json.loads(last.raw(node)), value)
        else:
            members[name] = dump(value)
    return splice(last.data, edits + overlay(last, 0, members))


def complete_answer(response: Mapping[str, Any]) -> bytes:
    """A whole answer out of text or content blocks; see `WireFormat.complete`."""
    content, rest = _content(response)
    if isinstance(content, str):
        content = [{"text": content}]
    if not isinstance(content, (list, tuple)) or not all(isinstance(block, Mapping) and block for block in content):
        raise ResponseError("the response has neither text nor content blocks")
    members: dict[str, Any] = {
        "stopReason": "tool_use" if any("toolUse" in block for block in content) else "end_turn",
        "usage": {"inputTokens": 0, "outputTokens": 0, "totalTokens": 0},
        "metrics": {"latencyMs": 0},
    }
    members |= {key: value for key, value in rest.items() if value is not None}
    try:
        return dump({"output": {"message": {"role": "assistant", "content": content}}, **members})
    except (TypeError, ValueError, RecursionError) as error:
        raise ResponseError(f"the response is not JSON: {error}") from error


def _content(response: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any]]:
    """Content, and the other members of an answer, out of an answer, a message, or plain text in the shape of OpenAI Chat."""
    match response:
        case {"output": {"message": {"content": content}}}:
            return content, {key: value for key, value in response.items() if key != "output"}
        case {"choices": [{"message": {"content": str(text), **more}}, *_]} if not more.get("tool_calls"):
            return text, {}
        case {"content": content}:
            return content, {key: value for key, value in response.items() if key not in ("content", "role")}
    raise ResponseError("the response has neither text nor content blocks")


def spell_start(index: int, start: bytes) -> bytes:
    """The event that starts a block. Texts and reasoning have none."""
    return event("contentBlockStart", b'{"contentBlockIndex":%d,"start":%b}' % (index, start))


def spell_delta(index: int, delta: bytes) -> bytes:
    """An event that adds to a block."""
    return event("contentBlockDelta", b'{"contentBlockIndex":%d,"delta":%b}' % (index, delta))


def spell_stop(index: int) -> bytes:
    """The event that ends a block."""
    return event("contentBlockStop", b'{"contentBlockIndex":%d}' % index)


def spell_text(index: int, text: str) -> bytes:
    """A text block of our own, as events."""
    return spell_delta(index, b'{"text":' + literal(text) + b"}") + spell_stop(index)


def stream_of(answer: Answer) -> bytes:
    """A whole JSON answer spelled as a stream."""
    document = Document(minify(answer.document.data))
    events = [event("messageStart", b'{"role":"assistant"}')]
    for index, block in enumerate(elements_at(document, 0, "output", "message", "content")):
        events += [_block_events(document, index, block), spell_stop(index)]
    last: dict[str, list[bytes]] = {"messageStop": [], "metadata": []}
    for key, node in document.items(0):
        if key != "output":
            last["messageStop" if key in _WITH_REASON else "metadata"].append(literal(key) + b":" + document.raw(node))
    return b"".join([*events, *(event(name, b"{" + b",".join(members) + b"}") for name, members in last.items())])


def _block_events(document: Document, index: int, block: int) -> bytes:
    """Start and deltas of a block. What is not known to come in pieces starts whole."""
    kind, value = member(document, block)
    if kind == "text":
        return spell_delta(index, document.raw(block))
    if kind == "toolUse":
        arguments = document.get(value, "input")
        spelled = literal(document.raw(arguments).decode() if arguments >= 0 else "{}")
        return _started(document, index, kind, value, without="input") + spell_delta(
            index, b'{"toolUse":{"input":' + spelled + b"}}"
        )
    if kind == "toolResult":
        content = document.get(value, "content")
        return _started(document, index, kind, value, without="content") + (
            spell_delta(index, b'{"toolResult":' + document.raw(content) + b"}") if content >= 0 else b""
        )
    if kind == "reasoningContent":
        form, inner = member(document, value)
        pieces = document.items(inner) if form == "reasoningText" else [(form, inner)]
        return b"".join(
            spell_delta(index, b'{"reasoningContent":{' + literal(key) + b":" + document.raw(node) + b"}}")
            for key, node in pieces
        )
    if kind == "citationsContent":
        texts = [document.raw(piece) for piece in elements_at(document, value, "content")]
        citations = [b'{"citation":' + document.raw(node) + b"}" for node in elements_at(document, value, "citations")]
        return b"".join(spell_delta(index, delta) for delta in [*texts, *citations])
    return spell_start(index, document.raw(block))


def _started(document: Document, index: int, kind: str, value: int, *, without: str) -> bytes:
    """The start of a block of that kind: its members but for the one that comes in pieces."""
    members = [literal(key) + b":" + document.raw(node) for key, node in document.items(value) if key != without]
    return spell_start(index, b"{" + literal(kind) + b":{" + b",".join(members) + b"}}")
