"""Answers of Gemini as JSON: read, merge over rounds, complete, spell as a stream."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from headroom_asgi._crush import ARRAY, OBJECT, Document, minify
from headroom_asgi.errors import ResponseError
from headroom_asgi.types import RETRIEVE_NAME, Edit
from headroom_asgi.wire.answers import Answer, Finish, Part
from headroom_asgi.wire.gemini_parts import SENT_SENTINEL, call_of, checks_signatures, is_blank, read_part, signature_of
from headroom_asgi.wire.nodes import elements_at, find, given, scanned_answer, text_at
from headroom_asgi.wire.splice import arrange, dump, insert_members, literal, overlay, rewrite, splice
from headroom_asgi.wire.usage import total

# Calls are answered after these only: all other reasons say that something is missing, or was refused.
_DONE_REASONS: Final = frozenset({"", "STOP", "FINISH_REASON_UNSPECIFIED"})
_BODY_MEMBERS: Final = ("candidates", "promptFeedback", "usageMetadata")
# What a candidate says of its parts by their numbers and offsets.
SOURCES: Final = ("groundingMetadata", "citationMetadata", "urlContextMetadata")


def candidate_of(document: Document) -> int:
    """The first candidate, which is the only one where the tool was offered; -1 if there is none."""
    candidates = elements_at(document, 0, "candidates")
    return candidates[0] if candidates and document.kind(candidates[0]) == OBJECT else -1


def parts_of(document: Document, candidate: int) -> list[int]:
    """The nodes of a candidate's parts."""
    return elements_at(document, candidate, "content", "parts")


def check_candidates(document: Document) -> None:
    """ResponseError if a candidate that nobody asked for calls the retrieve tool, as the client would get that call."""
    for candidate in elements_at(document, 0, "candidates")[1:]:
        calls = [call for part in parts_of(document, candidate) if (call := call_of(document, part)) >= 0]
        if any(text_at(document, call, "name") == RETRIEVE_NAME for call in calls):
            raise ResponseError("a candidate that nobody asked for calls the retrieve tool")


def read_answer(body: bytes) -> Answer:
    """A JSON answer in neutral form: one part for every part of the first candidate, in order."""
    document = scanned_answer(body)
    if all(document.get(0, key) < 0 for key in _BODY_MEMBERS):
        raise ResponseError("the answer has no candidates")
    check_candidates(document)
    candidate = candidate_of(document)
    done = candidate >= 0 and text_at(document, candidate, "finishReason") in _DONE_REASONS
    parts = tuple(read_part(document, node) for node in parts_of(document, candidate))
    return Answer(document, parts, Finish.DONE if done else Finish.CUT)


def total_usage(answers: Sequence[Answer]) -> dict[str, Any] | None:
    """The usage of all rounds, summed, token counts of a kind of content with those of the same kind. None if there is none."""
    raw = []
    for answer in answers:
        usage = answer.document.get(0, "usageMetadata")
        if usage >= 0 and answer.document.kind(usage) == OBJECT:
            raw.append(answer.document.raw(usage))
    result = total(raw) if raw else None
    if result is not None:
        details = [json.loads(usage) for usage in raw]
        lists = {key for usage in details for key, value in usage.items() if isinstance(value, list)}
        result |= {key: _by_modality([usage.get(key) for usage in details]) for key in result if key in lists}
    return result


def _by_modality(lists: Sequence[Any]) -> list[Any]:
    counts: dict[str, int] = {}
    rest = []
    for entry in (entry for entries in lists if isinstance(entries, list) for entry in entries):
        match entry:
            case {"modality": str(modality), **counted} if counted.keys() <= {"tokenCount"}:
                count = counted.get("tokenCount", 0)
                counts[modality] = counts.get(modality, 0) + (count if isinstance(count, int) else 0)
            case _:
                rest.append(entry)
    return [{"modality": modality, "tokenCount": count} for modality, count in counts.items()] + rest


def lost_signature(document: Document, calls: Sequence[Part], kept: Sequence[Part]) -> int:
    """The call whose signature is gone with a hidden call before it, -1 if there is none.

    Of the calls of a step only the first one has a signature, and the next request needs one on the first call that is left.
    """
    shown = [part.node for part in kept if part.call is not None]
    if not shown or signature_of(document, shown[0]) or not signature_of(document, calls[0].node):
        return -1
    return shown[0] if checks_signatures(text_at(document, 0, "modelVersion"), unknown=True) else -1


def resign(document: Document, part: int) -> list[Edit]:
    """The edits that put the sentinel on a part without a signature."""
    return insert_members(document, part, {"thoughtSignature": literal(SENT_SENTINEL)})


def merge_answers(answers: Sequence[Answer], kept: Sequence[Sequence[Part]], *, notice: str) -> bytes:
    """One answer out of the rounds'; see `WireFormat.merge`."""
    first, last = answers[0].document, answers[-1].document
    nodes = {part.node for part in kept[-1]}
    children: list[int | bytes] = [
        answer.document.raw(part.node)
        for answer, parts in zip(answers[:-1], kept[:-1], strict=True)
        for part in parts
        if not is_blank(answer.document, part.node)
    ]
    children += [i for i, part in enumerate(answers[-1].parts) if part.node in nodes]
    if notice:
        children.append(dump({"text": notice}))
    edits = _with_parts(last, children)
    unsigned = lost_signature(last, [part for part in answers[-1].parts if part.call is not None], kept[-1])
    if unsigned >= 0:
        edits += resign(last, unsigned)
    if len(answers) > 1:
        edits += _sources(answers, kept)
        members: dict[str, bytes] = {}
        if (node := first.get(0, "responseId")) >= 0:
            members["responseId"] = first.raw(node)
        edits += overlay(last, 0, members) + counted(last, answers)
    return splice(last.data, edits)


def counted(document: Document, answers: Sequence[Answer]) -> list[Edit]:
    """The edits that put the usage of all rounds into an answer, or into a chunk of one."""
    usage, node = total_usage(answers), document.get(0, "usageMetadata")
    if usage is None:
        return []
    if node >= 0 and document.kind(node) == OBJECT:
        return rewrite(document, node, json.loads(document.raw(node)), usage)
    return overlay(document, 0, {"usageMetadata": dump(usage)})


def _with_parts(document: Document, children: Sequence[int | bytes]) -> list[Edit]:
    """The edits that make these the parts of an answer, whose own go by their positions."""
    candidate = candidate_of(document)
    parts = find(document, candidate, "content", "parts")
    if parts >= 0 and document.kind(parts) == ARRAY:
        return arrange(document, parts, children)
    fresh = b'{"parts":[' + b",".join(child for child in children if isinstance(child, bytes)) + b'],"role":"model"}'
    if candidate >= 0:
        return overlay(document, candidate, {"content": fresh})
    return overlay(document, 0, {"candidates": b'[{"content":' + fresh + b',"index":0}]'}) if children else []


def _sources(answers: Sequence[Answer], kept: Sequence[Sequence[Part]]) -> list[Edit]:
    """The edits that put the sources of all rounds into the last answer."""
    last = answers[-1].document
    candidate = candidate_of(last)
    try:
        merged = {key: dump(value) for key, value in _merged_sources(answers, kept).items()}
    except (RecursionError, ValueError):  # what Python cannot follow stays as the last round told it
        return []
    return overlay(last, candidate, merged) if candidate >= 0 else []


def _merged_sources(answers: Sequence[Answer], kept: Sequence[Sequence[Part]]) -> dict[str, Any]:
    """What all rounds say of their sources, with the numbers that parts and sources have in the merged answer."""
    merged: dict[str, Any] = {}
    shown = told = 0
    for answer, parts in zip(answers, kept, strict=True):
        document = answer.document
        visible = {part.node: shown + i for i, part in enumerate(part for part in parts if not is_blank(document, part.node))}
        places = {i: visible[part.node] for i, part in enumerate(answer.parts) if part.node in visible}
        for key in SOURCES:
            node = find(document, candidate_of(document), key)
            if node < 0 or document.kind(node) != OBJECT:
                continue
            value = json.loads(document.raw(node))
            chunks = _listed(value, "groundingChunks") if key == "groundingMetadata" else []
            for support in _listed(value, "groundingSupports"):
                _shift(support, places, told)
            told += len(chunks)
            merged[key] = _joined(merged[key], value) if key in merged else value
        shown += len(visible)
    return merged


def _listed(value: Mapping[str, Any], key: str) -> list[Any]:
    found = value.get(key)
    return found if isinstance(found, list) else []


def _joined(before: dict[str, Any], value: Mapping[str, Any]) -> dict[str, Any]:
    """Lists one after the other, of anything else the last value."""
    return before | {key: _listed(before, key) + item if isinstance(item, list) else item for key, item in value.items()}


def _shift(support: Any, places: Mapping[int, int], told: int) -> None:
    """Let a support point to its part and its chunks in the merged answer."""
    match support:
        case {"groundingChunkIndices": list(numbers)}:
            support["groundingChunkIndices"] = [n + told if isinstance(n, int) else n for n in numbers]
    match support:
        case {"segment": dict(segment)}:
            before = segment.get("partIndex", 0)
            if isinstance(before, int) and places.get(before, before) != before:
                segment["partIndex"] = places[before]


def complete_answer(response: Mapping[str, Any], model: str) -> bytes:
    """A whole answer out of candidates, parts or text; see `WireFormat.complete`."""
    given_members = {key: value for key, value in response.items() if value is not None}
    candidates = given_members.get("candidates")
    if candidates is None:
        candidates, given_members = [{"content": _content(response)}], {}
    if not isinstance(candidates, (list, tuple)) or not candidates:
        raise ResponseError("the response has no candidates")
    members: dict[str, Any] = {
        "candidates": [_candidate(candidate, index) for index, candidate in enumerate(candidates)],
        "usageMetadata": {"promptTokenCount": 0, "candidatesTokenCount": 0, "totalTokenCount": 0},
        "modelVersion": model,
    }
    try:
        return dump({**members, **given_members, "candidates": members["candidates"]})
    except (TypeError, ValueError, RecursionError) as error:
        raise ResponseError(f"the response is not JSON: {error}") from error


def _content(response: Mapping[str, Any]) -> Any:
    """The content of a response that has no candidates: its `content`, or the plain text of an answer of OpenAI Chat."""
    match response:
        case {"content": str(text)} | {"text": str(text)}:
            return {"parts": [{"text": text}]}
        case {"content": {"parts": [*_]}}:
            return response["content"]
        case {"choices": [{"message": {"content": str(text), **rest}}, *_]} if not rest.get("tool_calls"):
            return {"parts": [{"text": text}]}
    raise ResponseError("the response has neither candidates nor text")


def _candidate(candidate: Any, index: int) -> dict[str, Any]:
    match candidate:
        case {"content": {"parts": [*_], **_rest}}:
            content = {"role": "model", **candidate["content"]}
            return {"finishReason": "STOP", "index": index, **candidate, "content": content}
        case {"finishReason": str(_)}:
            return {"index": index, **candidate}
    raise ResponseError("a candidate of the response has no parts")


def stream_of(answer: Answer, *, events: bool) -> bytes:
    """A whole JSON answer spelled as a stream of one chunk: server-sent events, or an array."""
    chunk = minify(answer.document.data)
    return b"data: " + chunk + b"\r\n\r\n" if events else b"[" + chunk + b"]"


def gives_reason(document: Document, candidate: int) -> bool:
    """A chunk says why the answer ends: a reason, or that the prompt was blocked."""
    if candidate >= 0:
        return given(document, candidate, "finishReason") >= 0
    return bool(text_at(document, 0, "promptFeedback", "blockReason"))
