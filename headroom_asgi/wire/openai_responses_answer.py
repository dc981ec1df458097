"""Answers of OpenAI Responses as JSON: read, merge over rounds, complete, spell as a stream."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from headroom_asgi._crush import ARRAY, OBJECT, Document
from headroom_asgi.errors import ResponseError, ScanError
from headroom_asgi.types import RETRIEVE_NAME, Edit, ToolCall
from headroom_asgi.wire.answers import Answer, Finish, Part
from headroom_asgi.wire.nodes import elements_at, find, given, scanned_answer, text_at
from headroom_asgi.wire.openai_responses_items import call_of, kind_of
from headroom_asgi.wire.splice import arrange, dump, insert_members, replace, rewrite, splice
from headroom_asgi.wire.usage import total

# The last event of a stream, by the status of the answer.
ENDS: Final[Mapping[str, str]] = {
    "completed": "response.completed",
    "incomplete": "response.incomplete",
    "failed": "response.failed",
}


def read_answer(body: bytes) -> Answer:
    """A JSON answer in neutral form: one part for every output item, in order."""
    document = scanned_answer(body)
    output = document.get(0, "output")
    if output < 0 or document.kind(output) != ARRAY:
        raise ResponseError("the answer has no output")
    parts = tuple(Part(kind_of(document, item), item, call_of(document, item)) for item in document.elements(output))
    return Answer(document, parts, _finish(document, [part.call for part in parts if part.call is not None]))


def _finish(document: Document, calls: Sequence[ToolCall]) -> Finish:
    status = text_at(document, 0, "status")
    if status:
        return Finish.DONE if status == "completed" else Finish.CUT
    # Without a status the answer may have been cut: its calls count if their arguments are whole.
    return Finish.DONE if all(_is_json(call.arguments) for call in calls) else Finish.CUT


def _is_json(arguments: str) -> bool:
    try:
        Document(arguments.encode("utf-8", "replace"))
    except ScanError:
        return False
    return True


def merge_answers(answers: Sequence[Answer], kept: Sequence[Sequence[Part]], *, notice: str) -> bytes:
    """One answer out of the rounds'; see `WireFormat.merge`. The last round's, with what is kept of earlier ones in front."""
    last = answers[-1].document
    nodes = {part.node for part in kept[-1]}
    children: list[int | bytes] = [
        answer.document.raw(part.node) for answer, parts in zip(answers[:-1], kept[:-1], strict=True) for part in parts
    ]
    children += [i for i, part in enumerate(answers[-1].parts) if part.node in nodes]
    if notice:
        children.append(dump(notice_item(notice, text_at(last, 0, "id"))))
    edits = arrange(last, last.get(0, "output"), children) + without_tool(last, 0)
    if len(answers) > 1:
        edits += _summed(answers)
    return splice(last.data, edits)


def without_tool(document: Document, response: int) -> list[Edit]:
    """The edits that take our tool out of what a response repeats of its request."""
    edits: list[Edit] = []
    for node in (document.get(response, "tools"), find(document, response, "tool_choice", "tools")):
        entries = elements_at(document, node) if node >= 0 else []
        staying = [i for i, entry in enumerate(entries) if not _is_ours(document, entry)]
        if len(staying) < len(entries):
            edits += arrange(document, node, staying)
    return edits


def _is_ours(document: Document, tool: int) -> bool:
    return text_at(document, tool, "name") == RETRIEVE_NAME and text_at(document, tool, "type") == "function"


def _summed(answers: Sequence[Answer]) -> list[Edit]:
    """The edits that make the last answer's usage that of all."""
    last = answers[-1].document
    nodes = ((answer.document, given(answer.document, 0, "usage")) for answer in answers)
    usage = total([document.raw(node) for document, node in nodes if node >= 0 and document.kind(node) == OBJECT])
    if usage is None:
        return []
    node = last.get(0, "usage")
    if node < 0:
        return insert_members(last, 0, {"usage": dump(usage)})
    if last.kind(node) != OBJECT:
        return replace(last, node, dump(usage))
    return rewrite(last, node, json.loads(last.raw(node)), usage)


def notice_item(text: str, response_id: str) -> dict[str, Any]:
    """A message of our own, named after the response that it is in."""
    return _message({"content": text}, response_id.encode("utf-8", "surrogatepass"))


def _message(given_members: Mapping[str, Any], seed: bytes) -> dict[str, Any]:
    """A message item with everything that clients expect of one."""
    content = given_members["content"]
    parts = [{"type": "output_text", "text": content}] if isinstance(content, str) else content
    blank: dict[str, list[Any]] = {"annotations": [], "logprobs": []}
    filled = [{**blank, **part} if part.get("type") == "output_text" else part for part in parts]
    item_id = f"msg_{hashlib.sha256(seed).hexdigest()[:48]}"
    envelope = {"type": "message", "id": item_id, "status": "completed", "role": "assistant"}
    return {**envelope, **given_members, "content": filled}


def complete_answer(response: Mapping[str, Any], model: str) -> bytes:
    """A whole answer out of text, items or an answer in the shape of OpenAI Chat; see `WireFormat.complete`."""
    output, members = response.get("output"), dict(response)
    if output is None and "output_text" in response:
        output = members.pop("output_text")
    elif output is None and "choices" in response:
        output, members = _chat_text(response), {}
    if isinstance(output, str):
        output = [{"role": "assistant", "content": output}]
    if not isinstance(output, (list, tuple)) or not all(isinstance(item, Mapping) for item in output):
        raise ResponseError("the response has neither text nor output items")
    try:
        seed = dump([dict(item) for item in output])
        envelope = {
            "id": f"resp_{hashlib.sha256(seed).hexdigest()[:48]}",
            "object": "response",
            "created_at": 0,
            "status": "completed",
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "metadata": {},
            "model": model,
            "parallel_tool_calls": True,
            "temperature": None,
            "tool_choice": "auto",
            "tools": [],
            "top_p": None,
        }
        envelope |= {key: value for key, value in members.items() if value is not None}
        items = [_completed(item, seed + b"%d" % index) for index, item in enumerate(output)]
        return dump({**envelope, "output": items, "usage": envelope.get("usage") or _NO_USAGE})
    except (AttributeError, TypeError, ValueError, RecursionError) as error:
        raise ResponseError(f"the response is not JSON: {error}") from error


_NO_USAGE: Final = {
    "input_tokens": 0,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 0,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 0,
}


def _completed(item: Mapping[str, Any], seed: bytes) -> dict[str, Any]:
    if item.get("type", "message") == "message" and isinstance(item.get("content"), (str, list, tuple)):
        return _message(item, seed)
    if not isinstance(item.get("type"), str):
        raise ResponseError("an output item needs a type")
    return dict(item)


def _chat_text(response: Mapping[str, Any]) -> str:
    """The text of an answer in the shape of OpenAI Chat. ResponseError if there is more to it, or less."""
    match response:
        case {"choices": [{"message": {"content": str(text), **rest}}, *_]} if not rest.get("tool_calls"):
            return text
    raise ResponseError("the response has the shape of OpenAI Chat, and is not plain text")


# -- as a stream -------------------------------------------------------------------------------------------------------


def spell(name: str, data: bytes) -> bytes:
    """A server-sent event of the stream. Its JSON may have line feeds between tokens."""
    one_line = " ".join(name.splitlines()).encode("utf-8", "replace")
    return b"event: " + one_line + b"\ndata: " + data.replace(b"\n", b"\ndata: ") + b"\n\n"


def spell_events(events: Sequence[Mapping[str, Any]], first: int = 0) -> bytes:
    """Events with sequence numbers from `first` on."""
    numbered = [
        {"type": event["type"], "sequence_number": number, **{key: value for key, value in event.items() if key != "type"}}
        for number, event in enumerate(events, first)
    ]
    return b"".join(spell(event["type"], dump(event)) for event in numbered)


def stream_of(answer: Answer, *, after: int = -1) -> bytes:
    """A whole JSON answer spelled as a stream, each text in one piece; behind the event of that number, at least the last one."""
    try:
        value = json.loads(answer.document.data)
        begun = {**value, "status": "in_progress", "output": [], "usage": None}
        events = [{"type": name, "response": begun} for name in ("response.created", "response.in_progress")]
        for index, item in enumerate(value["output"]):
            events += item_events(index, item)
        events.append({"type": ENDS.get(value.get("status"), "response.completed"), "response": value})
        first = max(0, min(after + 1, len(events) - 1))
        return spell_events(events[first:], first)
    except (AttributeError, RecursionError, TypeError, ValueError) as error:
        raise ResponseError(f"the answer cannot be told as a stream: {error}") from error


def item_events(index: int, item: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of one output item, without their sequence numbers."""
    begun, inner = dict(item), list(_inner(item))
    for event in inner:
        if event["type"] in _BLANKED:
            begun |= _BLANKED[event["type"]]
    if "status" in item and inner:
        begun["status"] = "in_progress"
    place = {"item_id": item.get("id", ""), "output_index": index}
    return [
        {"type": "response.output_item.added", "output_index": index, "item": begun},
        *({"type": event["type"], **place, **event} for event in inner),
        {"type": "response.output_item.done", "output_index": index, "item": item},
    ]


# By an event that adds to it: what an item has for the member when it is added.
_BLANKED: Final[Mapping[str, Mapping[str, Any]]] = {
    "response.content_part.added": {"content": []},
    "response.reasoning_summary_part.added": {"summary": []},
    "response.function_call_arguments.delta": {"arguments": ""},
    "response.custom_tool_call_input.delta": {"input": ""},
}
# Parts by type: the member with the text, and the name of the events that bring it.
_TEXTS: Final = {
    "output_text": ("text", "response.output_text"),
    "refusal": ("refusal", "response.refusal"),
    "reasoning_text": ("text", "response.reasoning_text"),
    "summary_text": ("text", "response.reasoning_summary_text"),
}
_ARGUMENTS: Final = {
    "function_call": ("arguments", "response.function_call_arguments"),
    "custom_tool_call": ("input", "response.custom_tool_call_input"),
}


def _inner(item: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What comes between the begin and the end of an item. Kinds that are not known come whole."""
    kind = item.get("type")
    if kind in _ARGUMENTS and isinstance(item.get(_ARGUMENTS[kind][0]), str):
        member, name = _ARGUMENTS[kind]
        named = {"name": item.get("name")} if kind == "function_call" else {}
        yield {"type": f"{name}.delta", "delta": item[member]}
        yield {"type": f"{name}.done", **named, member: item[member]}
    for position, part in enumerate(item.get("summary") or () if kind == "reasoning" else ()):
        yield from _part_events(part, {"summary_index": position}, "response.reasoning_summary_part")
    for position, part in enumerate(item.get("content") or () if kind in ("message", "reasoning") else ()):
        yield from _part_events(part, {"content_index": position}, "response.content_part")


def _part_events(part: dict[str, Any], place: Mapping[str, int], name: str) -> Iterator[dict[str, Any]]:
    member, text = _TEXTS.get(part["type"], ("", ""))
    told = isinstance(part.get(member), str)
    annotations = part.get("annotations") or []
    blank: dict[str, Any] = {member: ""} if told else {}
    blank |= {"annotations": []} if annotations and told else {}
    yield {"type": f"{name}.added", **place, "part": part | blank}
    if told:
        probable = {"logprobs": part.get("logprobs") or []} if part["type"] == "output_text" else {}
        yield {"type": f"{text}.delta", **place, "delta": part[member], **probable}
        for number, annotation in enumerate(annotations):
            said = {"annotation_index": number, "annotation": annotation}
            yield {"type": f"{text}.annotation.added", **place, **said}
        yield {"type": f"{text}.done", **place, member: part[member], **probable}
    yield {"type": f"{name}.done", **place, "part": part}
