"""Answers of Anthropic Messages as JSON: read, merge over rounds, complete, spell as a stream."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

from headroom_asgi._crush import ARRAY, OBJECT, Document, minify
from headroom_asgi.errors import ResponseError
from headroom_asgi.types import ToolCall
from headroom_asgi.wire.answers import Answer, Finish, Part, PartKind
from headroom_asgi.wire.nodes import given, scanned_answer, text_at
from headroom_asgi.wire.splice import arrange, dump, literal, overlaid, overlay, rewrite, splice
from headroom_asgi.wire.usage import total

# The API checks these blocks against everything that stood before them.
SIGNED_BLOCKS = frozenset({"thinking", "redacted_thinking", "connector_text"})
# Reasons after which calls may be incomplete, or must not be answered now.
CUT_REASONS = frozenset({"max_tokens", "refusal", "pause_turn", "model_context_window_exceeded", "compaction"})

# Members of a message that a stream tells in `message_delta.delta`.
_DELTA_MEMBERS = ("stop_reason", "stop_sequence", "stop_details", "container")
# What `usage.iterations` says of one round, where the upstream itself did not list any.
_ITERATION_COUNTS = ("input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")


def read_answer(body: bytes) -> Answer:
    """A JSON answer in neutral form: one part for every content block, in order."""
    document = scanned_answer(body)
    content = document.get(0, "content")
    if content < 0 or document.kind(content) != ARRAY:
        raise ResponseError("the answer has no content blocks")
    cut = text_at(document, 0, "stop_reason") in CUT_REASONS
    parts = tuple(_part(document, block) for block in document.elements(content))
    return Answer(document, parts, Finish.CUT if cut else Finish.DONE)


def _part(document: Document, block: int) -> Part:
    kind = text_at(document, block, "type")
    if kind == "text":
        return Part(PartKind.TEXT if text_at(document, block, "text") else PartKind.OTHER, block)
    if kind == "tool_use":
        # Calls that came out of a program are the client's to answer as well.
        arguments = document.get(block, "input")
        call = ToolCall(
            id=text_at(document, block, "id"),
            name=text_at(document, block, "name"),
            arguments=document.raw(arguments).decode() if arguments >= 0 else "{}",
        )
        return Part(PartKind.CALL, block, call)
    return Part(PartKind.SIGNED if kind in SIGNED_BLOCKS else PartKind.OTHER, block)


def total_usage(answers: Sequence[Answer]) -> dict[str, Any] | None:
    """The usage of all rounds, summed, with one entry in `iterations` for each if there are several. None if there is none."""
    raw = []
    for answer in answers:
        usage = answer.document.get(0, "usage")
        if usage >= 0 and answer.document.kind(usage) == OBJECT:
            raw.append(answer.document.raw(usage))
    result = total(raw) if raw else None
    if result is not None and len(raw) > 1:
        result["iterations"] = [entry for usage in raw for entry in _iterations(json.loads(usage))]
    return result


def _iterations(usage: Mapping[str, Any]) -> list[Any]:
    listed = usage.get("iterations")
    if isinstance(listed, list) and listed:
        return listed
    entry = {"type": "message", **{key: usage.get(key) or 0 for key in _ITERATION_COUNTS}}
    if usage.get("cache_creation"):
        entry["cache_creation"] = usage["cache_creation"]
    return [entry]


def merge_answers(
    answers: Sequence[Answer], kept: Sequence[Sequence[Part]], *, notice: str, stopped: bool, identity: int = 0
) -> bytes:
    """One answer out of the rounds'; see `WireFormat.merge`. It has the id of the round at `identity`."""
    first, last = answers[identity].document, answers[-1].document
    nodes = {part.node for part in kept[-1]}
    children: list[int | bytes] = [
        answer.document.raw(part.node) for answer, parts in zip(answers[:-1], kept[:-1], strict=True) for part in parts
    ]
    children += [i for i, part in enumerate(answers[-1].parts) if part.node in nodes]
    if notice:
        children.append(dump({"type": "text", "text": notice}))
    edits = arrange(last, last.get(0, "content"), children)
    members: dict[str, bytes] = {}
    for key in ("id", "model"):
        node = first.get(0, key)
        if node >= 0 and len(answers) > 1:
            members[key] = first.raw(node)
    if stopped and text_at(last, 0, "stop_reason") == "tool_use":
        members["stop_reason"] = b'"end_turn"'
    usage, node = total_usage(answers), given(last, 0, "usage")
    if usage is not None and len(answers) > 1:
        if node >= 0 and last.kind(node) == OBJECT:
            edits += rewrite(last, node, json.loads(last.raw(node)), usage)
        else:
            members["usage"] = dump(usage)
    return splice(last.data, edits + overlay(last, 0, members))


def complete_answer(response: Mapping[str, Any], model: str) -> bytes:
    """A whole answer out of text or content blocks; see `WireFormat.complete`."""
    content, given_members = response.get("content"), dict(response)
    if content is None and "choices" in response:
        content, given_members = _chat_text(response), {}
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    if not isinstance(content, (list, tuple)) or not all(_is_block(block) for block in content):
        raise ResponseError("the response has neither text nor content blocks")
    members: dict[str, Any] = {
        "id": f"msg_{uuid4().hex}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "stop_reason": "tool_use" if any(block["type"] == "tool_use" for block in content) else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 0, "output_tokens": 0},
    }
    members |= {key: value for key, value in given_members.items() if value is not None}
    try:
        return dump({**members, "content": content})
    except (TypeError, ValueError, RecursionError) as error:
        raise ResponseError(f"the response is not JSON: {error}") from error


def _chat_text(response: Mapping[str, Any]) -> str:
    """The text of an answer in the shape of OpenAI Chat. ResponseError if there is more to it, or less."""
    match response:
        case {"choices": [{"message": {"content": str(text), **rest}}, *_]} if not rest.get("tool_calls"):
            return text
    raise ResponseError("the response has the shape of OpenAI Chat, and is not plain text")


def _is_block(block: Any) -> bool:
    return isinstance(block, Mapping) and isinstance(block.get("type"), str)


def spell(name: str, data: bytes) -> bytes:
    """A server-sent event of the stream. Its JSON may have line feeds between tokens."""
    return b"event: " + name.encode("ascii") + b"\ndata: " + data.replace(b"\n", b"\ndata: ") + b"\n\n"


def spell_start(index: int, block: bytes) -> bytes:
    """The event that starts a block."""
    return spell("content_block_start", b'{"type":"content_block_start","index":%d,"content_block":%b}' % (index, block))


def spell_delta(index: int, kind: str, key: str, data: bytes) -> bytes:
    """An event that adds to a block."""
    text = b'{"type":"content_block_delta","index":%d,"delta":{"type":"%b","%b":%b}}'
    return spell("content_block_delta", text % (index, kind.encode("ascii"), key.encode("ascii"), data))


def spell_stop(index: int) -> bytes:
    """The event that ends a block."""
    return spell("content_block_stop", b'{"type":"content_block_stop","index":%d}' % index)


def spell_text(index: int, text: str) -> bytes:
    """A text block of our own, as events."""
    return (
        spell_start(index, b'{"type":"text","text":""}')
        + spell_delta(index, "text_delta", "text", literal(text))
        + spell_stop(index)
    )


def stream_of(answer: Answer) -> bytes:
    """A whole JSON answer spelled as a stream."""
    document = answer.document
    start = overlaid(minify(document.data), {"content": b"[]", "stop_reason": b"null", "stop_sequence": b"null"})
    events = [spell("message_start", b'{"type":"message_start","message":' + start + b"}")]
    for index, part in enumerate(answer.parts):
        events += [_block_events(index, minify(document.raw(part.node))), spell_stop(index)]
    delta = {key: document.get(0, key) for key in _DELTA_MEMBERS}
    usage = given(document, 0, "usage")
    closing = b'{"type":"message_delta","delta":{%b},"usage":%b}' % (
        b",".join(literal(key) + b":" + minify(document.raw(node)) for key, node in delta.items() if node >= 0),
        minify(document.raw(usage)) if usage >= 0 else b'{"output_tokens":0}',
    )
    return b"".join([*events, spell("message_delta", closing), spell("message_stop", b'{"type":"message_stop"}')])


def _block_events(index: int, block: bytes) -> bytes:
    """Start and deltas of a block. What is not known to come in pieces comes whole, as the API does it with server tools."""
    document = Document(block)
    kind = text_at(document, 0, "type")
    blank: dict[str, bytes] = {}
    deltas: list[tuple[str, str, bytes]] = []
    for delta, member, key, empty in _PIECES.get(kind, ()):
        value = given(document, 0, member)
        if value < 0:
            continue
        blank[member] = empty
        if delta == "citations_delta":
            deltas += [(delta, key, document.raw(citation)) for citation in document.elements(value)]
        elif delta == "input_json_delta":
            deltas.append((delta, key, literal(document.raw(value).decode())))
        else:
            deltas.append((delta, key, document.raw(value)))
    return spell_start(index, overlaid(block, blank)) + b"".join(spell_delta(index, *delta) for delta in deltas)


# By block type: the delta that a member comes in, the member, its name there, and what it is before any delta.
_PIECES: Mapping[str, Sequence[tuple[str, str, str, bytes]]] = {
    "text": (("citations_delta", "citations", "citation", b"[]"), ("text_delta", "text", "text", b'""')),
    "thinking": (
        ("thinking_delta", "thinking", "thinking", b'""'),
        ("signature_delta", "signature", "signature", b'""'),
    ),
    "tool_use": (("input_json_delta", "input", "partial_json", b"{}"),),
}
