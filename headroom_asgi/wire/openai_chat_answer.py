"""Answers of OpenAI Chat Completions as JSON: read, merge over rounds, complete, spell as a stream."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from headroom_asgi._crush import ARRAY, NULL, OBJECT, STRING, Document
from headroom_asgi.errors import ResponseError, ScanError
from headroom_asgi.types import RETRIEVE_NAME, Edit, ToolCall
from headroom_asgi.wire.answers import Answer, Finish, Part, PartKind
from headroom_asgi.wire.gemini_parts import SENTINEL
from headroom_asgi.wire.nodes import elements_at, find, scanned_answer, text_at
from headroom_asgi.wire.splice import (
    arrange,
    dump,
    insert_elements,
    insert_members,
    literal,
    overlay,
    replace,
    rewrite,
    splice,
)
from headroom_asgi.wire.usage import total

SEPARATOR = "\n\n"  # between the texts of two rounds, which are one string in this dialect
UNASKED = "a choice that nobody asked for calls the retrieve tool"  # which is only offered where there is one
IDENTITY = ("id", "created", "model")

_CALL_REASONS = frozenset({"tool_calls", "function_call"})
# Calls of a round that ended for one of these may be incomplete or unsafe. The first two are OpenAI's, the others vendors'.
_CUT_REASONS = frozenset(
    {"length", "content_filter", "model_length", "max_tokens", "error", "insufficient_system_resource", "abort", "refusal"}
)
_SIGNED_FIELDS = frozenset({"reasoning_details", "thinking_blocks", "reasoning_opaque"})
_SIGNATURE = re.compile(rb'signature"|"encrypted|"redacted')


def is_signed(key: str, raw: bytes) -> bool:
    """Whether a field of a message, given as JSON text, holds reasoning that is bound to the prefix before it."""
    return (
        key in _SIGNED_FIELDS or _SIGNATURE.search(dump(key)) is not None or (raw[:1] in b"{[" and bool(_SIGNATURE.search(raw)))
    )


def natural_stop(reason: Any) -> Any:
    """The reason to give when no call is left for the client."""
    return "stop" if reason in _CALL_REASONS else reason


def read_answer(body: bytes) -> Answer:
    """A JSON answer in neutral form: the parts of its first choice. ResponseError if it is none of this dialect."""
    document = scanned_answer(body)
    message = _message(document)
    if message < 0:
        raise ResponseError("the answer has no choices[0].message")
    for choice in elements_at(document, 0, "choices")[1:]:
        called = elements_at(document, choice, "message", "tool_calls")
        if any(text_at(document, call, "function", "name") == RETRIEVE_NAME for call in called):
            raise ResponseError(UNASKED)
    parts = tuple(_parts(document, message))
    return Answer(document, parts, _finish(document, [part.call for part in parts if part.call is not None]))


def _choice(document: Document) -> int:
    choices = elements_at(document, document.get(0, "choices"))
    return choices[0] if choices else -1


def _message(document: Document) -> int:
    """The node of the first choice's message, -1 if there is none."""
    message = find(document, _choice(document), "message")
    return message if message >= 0 and document.kind(message) == OBJECT else -1


def _fields(document: Document, message: int) -> dict[str, int]:
    """The fields of a message that hold parts, calls apart; those that are null or repeated left out."""
    return {
        key: node
        for key, node in dict(document.items(message)).items()
        if document.kind(node) != NULL and key != "role" and not (key == "tool_calls" and document.kind(node) == ARRAY)
    }


def _parts(document: Document, message: int) -> Iterable[Part]:
    fields = _fields(document, message)
    for key, node in fields.items():
        if key == "content":
            if document.raw(node) not in (b'""', b"[]"):
                yield Part(PartKind.TEXT, node)
        elif key == "function_call":
            yield Part(PartKind.CALL, node, ToolCall("", *_named(document, node, "arguments")))
        else:
            yield Part(PartKind.SIGNED if is_signed(key, document.raw(node)) else PartKind.OTHER, node)
    for node in elements_at(document, document.get(message, "tool_calls")):
        yield call_part(document, node)


def call_part(document: Document, node: int) -> Part:
    """The part of one entry of `tool_calls`, OTHER if it names nothing that could be called."""
    custom = document.get(node, "custom")
    inner, arguments = (custom, "input") if custom >= 0 else (document.get(node, "function"), "arguments")
    name, given = _named(document, inner, arguments)
    if not name:
        return Part(PartKind.OTHER, node)
    return Part(PartKind.CALL, node, ToolCall(text_at(document, node, "id"), name, given))


def _named(document: Document, node: int, arguments: str) -> tuple[str, str]:
    """Name and arguments of a call; arguments that are no string (Mistral) as their JSON text."""
    given = find(document, node, arguments)
    name = text_at(document, find(document, node, "name"))
    if given >= 0 and document.kind(given) not in (STRING, NULL):
        return name, document.raw(given).decode()
    return name, text_at(document, given)


def _finish(document: Document, calls: Sequence[ToolCall]) -> Finish:
    reason = text_at(document, find(document, _choice(document), "finish_reason"))
    if reason:
        return Finish.CUT if reason in _CUT_REASONS else Finish.DONE
    # Without a reason the answer may have been cut: its calls count if their arguments are whole.
    return Finish.DONE if all(_is_json(call.arguments) for call in calls) else Finish.CUT


def _is_json(arguments: str) -> bool:
    try:
        Document(arguments.encode("utf-8", "replace"))
    except ScanError:
        return not arguments
    return True


def message_without(answer: Answer, nodes: frozenset[int]) -> bytes:
    """The message of an answer with its very bytes, but for the calls at those nodes; b"" if it says nothing then."""
    document = answer.document
    message = _message(document)
    if not nodes:
        return document.raw(message)
    if not any(part.kind in (PartKind.TEXT, PartKind.CALL) and part.node not in nodes for part in answer.parts):
        return b""
    calls = document.get(message, "tool_calls")
    staying = [i for i, entry in enumerate(document.elements(calls)) if entry not in nodes]
    if staying:
        edits = arrange(document, calls, staying)
    else:
        edits = arrange(document, message, [i for i, (key, _) in enumerate(document.items(message)) if key != "tool_calls"])
    start, end = document.span(message)
    return splice(document.data[:end], edits)[start:]  # nothing before the message changes


def merge_answers(answers: Sequence[Answer], kept: Sequence[Sequence[Part]], *, notice: str, stopped: bool) -> bytes:
    """One answer out of the rounds', by splice: the last round's, with what the client sees of the earlier ones in front."""
    documents = [answer.document for answer in answers]
    last = documents[-1]
    edits = [*_envelope(documents), *_message_edits(answers, kept, notice), *_logprobs(answers, kept)]
    reason = last.get(_choice(last), "finish_reason")
    if stopped and text_at(last, reason) in _CALL_REASONS:
        edits += replace(last, reason, b'"stop"')
    return splice(last.data, edits)


def _envelope(documents: Sequence[Document]) -> list[Edit]:
    """The first round's identity, and usage summed over the rounds."""
    first, last = documents[0], documents[-1]
    edits: list[Edit] = []
    missing: dict[str, bytes] = {}
    for key in IDENTITY:
        wanted, node = first.get(0, key), last.get(0, key)
        if wanted < 0 or (node >= 0 and last.raw(node) == first.raw(wanted)):
            continue
        if node < 0:
            missing[key] = first.raw(wanted)
        else:
            edits += replace(last, node, first.raw(wanted))
    usage, node = total(usages_of(documents)), last.get(0, "usage")
    if len(documents) > 1 and usage:
        if node < 0:
            missing["usage"] = dump(usage)
        else:
            edits += rewrite(last, node, json.loads(last.raw(node)), usage)
    return edits + (insert_members(last, 0, missing) if missing else [])


def usages_of(documents: Iterable[Document]) -> list[bytes]:
    """The usage of each answer that has one."""
    nodes = ((document, document.get(0, "usage")) for document in documents)
    return [document.raw(node) for document, node in nodes if node >= 0]


@dataclass(slots=True, repr=False)
class _Changes:
    """What becomes of an object's members: values edited, members taken out and put in (as JSON texts)."""

    edits: list[Edit] = field(default_factory=list)
    dropped: set[str] = field(default_factory=set)
    added: dict[str, bytes] = field(default_factory=dict)


def _message_edits(answers: Sequence[Answer], kept: Sequence[Sequence[Part]], notice: str) -> list[Edit]:
    """The edits of the last round's message: each field joined with what is kept of it in earlier rounds, calls filtered."""
    last = answers[-1].document
    message = _message(last)
    shown = [{part.node for part in parts} for parts in kept]
    gone = {part.node for part in answers[-1].parts} - shown[-1]
    earlier = [(answer.document, nodes) for answer, nodes in zip(answers[:-1], shown[:-1], strict=True)]
    changes = _Changes()
    _change_fields(changes, last, message, earlier, gone, notice)
    _change_calls(changes, last, message, earlier, gone)
    stay = [i for i, (key, _) in enumerate(last.items(message)) if key not in changes.dropped]
    added = [literal(key) + b":" + value for key, value in changes.added.items()]
    return changes.edits + arrange(last, message, [*stay, *added])


def _change_fields(
    changes: _Changes,
    last: Document,
    message: int,
    earlier: Sequence[tuple[Document, set[int]]],
    gone: set[int],
    notice: str,
) -> None:
    own = _fields(last, message)
    fields: dict[str, list[bytes]] = {key: [] for key in own}
    for document, shown in earlier:
        for key, node in _fields(document, _message(document)).items():
            if node in shown:
                fields.setdefault(key, []).append(document.raw(node))
    extra = {"content": literal(notice)} if notice else {}
    for key in dict.fromkeys([*fields, *extra]):
        values = fields.get(key, [])
        if key in own and own[key] not in gone:
            if not values and key not in extra:
                continue
            values.append(last.raw(own[key]))
        if key in extra:
            values.append(extra[key])
        if not values and key != "content":
            changes.dropped.add(key)
            continue
        joined = _joined(values, texts=key == "content")
        node = last.get(message, key)
        if node >= 0:
            changes.edits += replace(last, node, joined)
        else:
            changes.added[key] = joined


def _change_calls(
    changes: _Changes, last: Document, message: int, earlier: Sequence[tuple[Document, set[int]]], gone: set[int]
) -> None:
    calls = [
        document.raw(entry)
        for document, shown in earlier
        for entry in elements_at(document, document.get(_message(document), "tool_calls"))
        if entry in shown
    ]
    node = last.get(message, "tool_calls")
    entries = elements_at(last, node)
    staying = [i for i, entry in enumerate(entries) if entry not in gone]
    if entries and (calls or staying):
        changes.edits += arrange(last, node, [*calls, *staying])
        if staying and staying[0] > 0:
            lacking = signature_for(last.raw(entries[0]), last.raw(entries[staying[0]]))
            changes.edits += overlay(last, entries[staying[0]], {key: dump(value) for key, value in lacking.items()})
    elif entries or calls:  # an empty array would look like a turn with calls
        changes.dropped.add("tool_calls")
        if calls:
            changes.added["tool_calls"] = b"[" + b",".join(calls) + b"]"


def signature_for(first: bytes, other: bytes) -> dict[str, Any]:
    """The members that a call has to get if it becomes the first one of its turn, where the first carried the only signature.

    Gemini refuses a turn whose first call has no signature, but for this word of its own.

    Args:
        first: the turn's first call, as JSON text.
        other: the call that becomes the first.
    """
    if b'"thought_signature"' not in first or b'"extra_content"' in other:
        return {}
    return {"extra_content": {"google": {"thought_signature": SENTINEL}}}


def _joined(values: Sequence[bytes], *, texts: bool) -> bytes:
    """One field's values of several rounds as one: strings joined, arrays chained, of other values the last, of none null.

    Args:
        values: JSON texts.
        texts: the field may be a string or an array of parts; a mixture becomes an array.
    """
    values = [value for value in values if value != b'""'] or values[-1:]
    if len(values) < 2:
        return values[0] if values else b"null"
    kinds = {value[:1] for value in values}
    if kinds == {b'"'}:
        return b'"' + literal(SEPARATOR)[1:-1].join(value[1:-1] for value in values) + b'"'
    if kinds == {b"["} or (texts and kinds <= {b"[", b'"'}):
        parts = [value[1:-1] if value[:1] == b"[" else b'{"type":"text","text":' + value + b"}" for value in values]
        return b"[" + b",".join(part for part in parts if part.strip()) + b"]"
    return values[-1]


def _logprobs(answers: Sequence[Answer], kept: Sequence[Sequence[Part]]) -> list[Edit]:
    """Log probabilities of what earlier rounds said, in front of the last round's, if that has any."""
    last = answers[-1].document
    edits: list[Edit] = []
    for key in ("content", "refusal"):
        node = find(last, _choice(last), "logprobs", key)
        earlier = [
            answer.document.raw(score)
            for answer, parts in zip(answers[:-1], kept[:-1], strict=True)
            if any(part.node == answer.document.get(_message(answer.document), key) for part in parts)
            for score in elements_at(answer.document, _choice(answer.document), "logprobs", key)
        ]
        edits += insert_elements(last, node, 0, earlier) if earlier and node >= 0 and last.kind(node) == ARRAY else []
    return edits


def complete_answer(response: Mapping[str, Any], model: str) -> bytes:
    """A whole answer out of `{"choices": [{"message": {...}}]}`, the fields of the envelope filled where they are missing.

    Raises:
        ResponseError: there are no such choices, or JSON cannot say one of the values.
    """
    choices = response.get("choices")
    if not isinstance(choices, (list, tuple)) or not choices:
        raise ResponseError("an answer needs choices")
    filled = []
    for index, choice in enumerate(choices):
        if not isinstance(choice, dict) or not isinstance(choice.get("message"), dict):
            raise ResponseError(f"choices[{index}] needs a message")
        message = {"role": "assistant", "content": None} | choice["message"]
        envelope = {"index": index, "message": message, "finish_reason": "tool_calls" if message.get("tool_calls") else "stop"}
        filled.append(envelope | _present(choice) | {"message": message})
    usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    try:
        digest = hashlib.sha256(dump(dict(response))).hexdigest()[:24]
        envelope = {"id": f"chatcmpl-{digest}", "object": "chat.completion", "created": 0, "model": model}
        return dump(envelope | {"choices": filled, "usage": usage} | _present(response) | {"choices": filled})
    except (TypeError, ValueError, RecursionError) as error:
        raise ResponseError(f"the answer is no JSON: {error}") from error


def _present(given: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in given.items() if value is not None}


def stream_of(answer: Answer) -> bytes:
    """A whole answer spelled as a stream: for each choice its message, its calls, its reason; usage goes with the last."""
    try:
        value = json.loads(answer.document.data)
    except (RecursionError, ValueError) as error:
        raise ResponseError("the answer is nested too deeply, or has a number that is too long") from error
    head = {**value, "object": "chat.completion.chunk"}
    usage = head.pop("usage", None)
    chunks = []
    for choice in value["choices"]:
        if not isinstance(choice, dict) or not isinstance(choice.get("message"), dict):
            continue
        message = dict(choice["message"])
        calls = message.pop("tool_calls", None)
        calls = [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
        deltas = [{"role": "assistant"} | {key: item for key, item in message.items() if item is not None}]
        deltas += [{"tool_calls": [{"index": index, **call}]} for index, call in enumerate(calls)]
        rest = {key: item for key, item in choice.items() if key not in ("message", "finish_reason", "logprobs")}
        chunks += [{**head, "choices": [{**rest, "delta": delta, "finish_reason": None}]} for delta in deltas]
        if choice.get("logprobs"):
            chunks[-len(deltas)]["choices"][0]["logprobs"] = choice["logprobs"]
        chunks.append({**head, "choices": [{**rest, "delta": {}, "finish_reason": choice.get("finish_reason") or "stop"}]})
    if usage:
        chunks[-1]["usage"] = usage
    return b"".join(b"data: " + dump(chunk) + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"
