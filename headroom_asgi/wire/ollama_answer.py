"""Answers of Ollama as JSON: read, merge over rounds, complete, spell as a stream."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from headroom_asgi._crush import NULL, NUMBER, OBJECT, STRING, Document
from headroom_asgi.errors import ResponseError
from headroom_asgi.types import Edit, ToolCall
from headroom_asgi.wire.answers import Answer, Finish, Part, PartKind
from headroom_asgi.wire.nodes import elements_at, find, given, scanned_answer, text_at
from headroom_asgi.wire.splice import arrange, dump, literal, overlay, replace, splice
from headroom_asgi.wire.usage import total

SEPARATOR = "\n\n"  # between the texts of two rounds, which are one string in this dialect
IDENTITY = ("model", "created_at")

_CUT_REASONS = frozenset({"length", "content_filter", "error"})
_UNKNOWN_TIME = "1970-01-01T00:00:00Z"


def read_answer(body: bytes) -> Answer:
    """A JSON answer in neutral form. ResponseError if it is none of this dialect."""
    document = scanned_answer(body)
    message = document.get(0, "message")
    if message < 0 or document.kind(message) != OBJECT:
        raise ResponseError("the answer has no message")
    cut = text_at(document, 0, "done_reason") in _CUT_REASONS
    return Answer(document, tuple(_parts(document, message)), Finish.CUT if cut else Finish.DONE)


def _parts(document: Document, message: int) -> list[Part]:
    parts = [
        Part(PartKind.TEXT if key == "content" else PartKind.OTHER, node)
        for key, node in dict(document.items(message)).items()
        if key not in ("role", "tool_calls") and document.kind(node) != NULL and document.raw(node) not in (b'""', b"[]")
    ]
    return parts + [call_part(document, node) for node in elements_at(document, message, "tool_calls")]


def call_part(document: Document, node: int) -> Part:
    """The part of one entry of `tool_calls`, OTHER if it names nothing that could be called."""
    name = text_at(document, node, "function", "name")
    if not name:
        return Part(PartKind.OTHER, node)
    arguments = find(document, node, "function", "arguments")
    if arguments < 0 or document.kind(arguments) == NULL:
        spelled = "{}"
    elif document.kind(arguments) == STRING:
        spelled = document.text(arguments)
    else:
        spelled = document.raw(arguments).decode()
    return Part(PartKind.CALL, node, ToolCall(text_at(document, node, "id"), name, spelled))


def message_without(answer: Answer, nodes: frozenset[int]) -> bytes:
    """The message of an answer with its very bytes, but for the calls at those nodes; b"" if it says nothing then."""
    document = answer.document
    message = document.get(0, "message")
    if not nodes:
        return document.raw(message)
    if not any(part.kind in (PartKind.TEXT, PartKind.CALL) and part.node not in nodes for part in answer.parts):
        return b""
    start, end = document.span(message)
    return splice(document.data[:end], _message_edits(document, message, {}, nodes))[start:]


def counters(document: Document) -> dict[str, bytes]:
    """What is counted: tokens and nanoseconds."""
    return {key: document.raw(node) for key, node in document.items(0) if document.kind(node) == NUMBER}


def total_counters(answers: Sequence[Answer]) -> dict[str, Any]:
    """What all rounds counted together."""
    spelled = [
        b"{" + b",".join(literal(key) + b":" + value for key, value in counters(answer.document).items()) + b"}"
        for answer in answers
    ]
    return total(spelled) or {}


def merge_answers(answers: Sequence[Answer], kept: Sequence[Sequence[Part]], *, notice: str) -> bytes:
    """One answer out of the rounds': the last round's, with texts of the earlier ones in front; only the last has calls."""
    last = answers[-1].document
    values: dict[str, list[bytes]] = {}
    for answer, parts in zip(answers, kept, strict=True):
        document = answer.document
        shown = {part.node for part in parts}
        for key, node in document.items(document.get(0, "message")):
            if node in shown:
                values.setdefault(key, []).append(document.raw(node))
    gone = frozenset(part.node for part in answers[-1].parts) - {part.node for part in kept[-1]}
    if notice:
        values.setdefault("content", []).append(literal(notice))
    joined = {key: _joined(raw) for key, raw in values.items()}
    if last.get(last.get(0, "message"), "content") in gone:
        joined.setdefault("content", b'""')
    edits = _message_edits(last, last.get(0, "message"), joined, gone)
    if gone or len(answers) > 1:
        calls = [part.node for part in kept[-1] if part.kind is PartKind.CALL]
        edits += [edit for number, node in enumerate(calls) for edit in numbered(last, node, number)]
    return splice(last.data, edits + (_head_edits(answers, kept) if len(answers) > 1 else []))


def _message_edits(document: Document, message: int, values: Mapping[str, bytes], gone: frozenset[int]) -> list[Edit]:
    """The edits of a message: members with new values, parts that go."""
    edits: list[Edit] = []
    staying: list[int | bytes] = []
    items = document.items(message)
    for position, (key, node) in enumerate(items):
        entries = document.elements(node) if key == "tool_calls" else []
        left = [i for i, entry in enumerate(entries) if entry not in gone]
        if left:
            edits += arrange(document, node, left)
        elif key in values and values[key] != document.raw(node):
            edits += replace(document, node, values[key])
        elif entries or (node in gone and key not in values):
            continue  # an empty array would look like a turn with calls
        staying.append(position)
    own = {key for key, _ in items}
    added = [literal(key) + b":" + value for key, value in values.items() if key not in own]
    return edits + arrange(document, message, [*staying, *added])


def numbered(document: Document, entry: int, number: int) -> list[Edit]:
    """The edits that give a call its number among the client's, where the server numbers calls at all."""
    index = find(document, entry, "function", "index")
    spelled = b"%d" % number
    is_other = index >= 0 and document.kind(index) == NUMBER and document.raw(index) != spelled
    return replace(document, index, spelled) if is_other else []


def _head_edits(answers: Sequence[Answer], kept: Sequence[Sequence[Part]]) -> list[Edit]:
    """The first round's model, what all rounds counted, and log probabilities of what shows."""
    first, last = answers[0].document, answers[-1].document
    members = {key: dump(value) for key, value in total_counters(answers).items()}
    model = given(first, 0, "model")
    if model >= 0:
        members["model"] = first.raw(model)
    scores = [
        answer.document.raw(entry)
        for answer, parts in zip(answers, kept, strict=True)
        if any(part.kind is PartKind.TEXT for part in parts)
        for entry in elements_at(answer.document, 0, "logprobs")
    ]
    if scores:
        members["logprobs"] = b"[" + b",".join(scores) + b"]"
    return overlay(last, 0, members)


def _joined(values: Sequence[bytes]) -> bytes:
    """One member's values of several rounds as one: strings joined, arrays chained, of other values the last."""
    kinds = {value[:1] for value in values}
    if len(values) > 1 and kinds == {b'"'}:
        return b'"' + literal(SEPARATOR)[1:-1].join(value[1:-1] for value in values) + b'"'
    if len(values) > 1 and kinds == {b"["}:
        return b"[" + b",".join(value[1:-1] for value in values) + b"]"
    return values[-1]


def complete_answer(response: Mapping[str, Any], model: str) -> bytes:
    """A whole answer out of `{"message": {...}}` or a plain text in the shape of OpenAI Chat, what is missing filled.

    Raises:
        ResponseError: there is no such message, or JSON cannot say one of the values.
    """
    match response:
        case {"message": Mapping() as message}:
            given_members = {key: value for key, value in response.items() if value is not None}
        case {"choices": [{"message": {"content": str(text), **rest}}, *_]} if not rest.get("tool_calls"):
            message, given_members = {"content": text}, {}
        case _:
            raise ResponseError("an answer needs a message")
    envelope = {"model": model, "created_at": _UNKNOWN_TIME, "done": True, "done_reason": "stop"}
    try:
        return dump({**envelope, **given_members, "message": {"role": "assistant", "content": "", **message}})
    except (TypeError, ValueError, RecursionError) as error:
        raise ResponseError(f"the answer is no JSON: {error}") from error


def stream_of(answer: Answer) -> bytes:
    """A whole answer spelled as a stream: a line with the message, and one that ends it."""
    try:
        value = json.loads(answer.document.data)
    except (RecursionError, ValueError) as error:
        raise ResponseError("the answer is nested too deeply, or has a number that is too long") from error
    head = {key: value[key] for key in IDENTITY if key in value}
    last = {**value, "message": {"role": "assistant", "content": ""}, "done": True}
    return dump({**head, "message": value["message"], "done": False}) + b"\n" + dump(last) + b"\n"
