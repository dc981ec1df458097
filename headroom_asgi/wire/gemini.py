"""Google Gemini: where text sits in a request to generate content, and how a hidden round goes on.

Spoken by the Gemini API and by Vertex AI. Answers are in `gemini_answer`, streams in `gemini_stream`, turns in `gemini_turns`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace as changed
from functools import cache
from typing import Any, ClassVar, Final
from urllib.parse import parse_qsl

from headroom_asgi._crush import ARRAY, NUMBER, OBJECT, STRING, Document
from headroom_asgi.errors import PayloadError
from headroom_asgi.types import Edit, ToolCall, ToolResult, ToolSpec
from headroom_asgi.wire.answers import Answer, Part, Round, Turn
from headroom_asgi.wire.base import ANSWERED, EVENTS, Endpoint, Offer, Payload, WireFormat
from headroom_asgi.wire.events import StreamCodec
from headroom_asgi.wire.gemini_answer import complete_answer, merge_answers, read_answer, stream_of
from headroom_asgi.wire.gemini_parts import (
    call_of,
    checks_signatures,
    is_array,
    member,
    read_part,
    several,
    signature_of,
    text_of,
)
from headroom_asgi.wire.gemini_stream import GeminiCodec
from headroom_asgi.wire.gemini_turns import (
    Run,
    appended,
    calls_in,
    matched,
    parts_in,
    replay_edits,
    responses_in,
    root_of,
    runs,
    signature_edits,
    turn_of,
    turns_of,
    unpaired_in,
)
from headroom_asgi.wire.nodes import is_true, says, scanned_request
from headroom_asgi.wire.opening import Opening
from headroom_asgi.wire.segments import Results, Segment
from headroom_asgi.wire.splice import dump, insert_elements, literal, replace

_ARRAY: Final = "application/json"
_MODEL: Final = r"(^|/)v\d\w*/(projects/.+/)?(publishers/google/)?(models|tunedModels|endpoints)/(?P<model>[^/:]+):"
_MIN_LEAF_BYTES: Final = 64  # a shorter literal cannot become 32 tokens shorter
_MEDIA: Final = ("mimeType", "mime_type", "media_type")
_BYTES: Final = frozenset({"data", "blob"})  # beside a media type these are no texts, but bytes in base64
_PLAIN: Final = ("", "text/plain")
_STRUCTURED: Final = ("responseSchema", "responseJsonSchema")


class Gemini(WireFormat):
    """The dialect of `POST .../models/{model}:generateContent` and `:streamGenerateContent`."""

    name: ClassVar[str] = "gemini"
    provider: ClassVar[str] = "gemini"
    operation: ClassVar[str] = "chat"
    endpoints: ClassVar[Sequence[tuple[re.Pattern[str], Endpoint]]] = (
        (re.compile(_MODEL + r"generateContent\Z"), Endpoint(stream=False)),
        (re.compile(_MODEL + r"streamGenerateContent\Z"), Endpoint(stream=True)),
        (re.compile(_MODEL + r"countTokens\Z"), Endpoint(stream=False, answered=False)),
    )
    example_path: ClassVar[str] = "/v1beta/models/gemini-3-pro:generateContent"
    messages: ClassVar[str] = "contents"
    stream_types: ClassVar[frozenset[str]] = frozenset({EVENTS, _ARRAY})

    def endpoint(self, path: str, query: str = "") -> Endpoint | None:
        """Without `alt=sse` a stream is an array that comes element by element."""
        found = super().endpoint(path, query)
        asked = {key.removeprefix("$"): value for key, value in parse_qsl(query)}
        if found is None or not found.stream or asked.get("alt") == "sse":
            return found
        return changed(found, media="application/json; charset=UTF-8")

    def streams(self, media: str, payload: Payload) -> bool:
        """Server-sent events, and an array where a stream was asked for."""
        return media == EVENTS or (media == _ARRAY and payload.stream)

    def begun(self, first: bytes) -> str:
        """Server-sent events, or an array."""
        return _ARRAY if first.startswith(b"[") else super().begun(first)

    def decode(self, body: bytes, endpoint: Endpoint = ANSWERED) -> Payload:
        """Segments: texts in function responses, and user texts (frozen) that say what was asked."""
        document = scanned_request(body)
        root = root_of(document)
        contents = member(document, root, "contents")
        if contents < 0 or document.kind(contents) not in (ARRAY, OBJECT):
            raise PayloadError("no_messages")
        config = member(document, root, "generationConfig")
        return Payload(
            wire=self,
            document=document,
            model=endpoint.model or text_of(document, root, "model").removeprefix("models/"),
            stream=bool(endpoint.stream),
            structured=text_of(document, config, "responseMimeType") not in _PLAIN
            or any(member(document, config, key) >= 0 for key in _STRUCTURED),
            segments=tuple(_segments(document)),
            endpoint=endpoint,
        )

    def offer(self, payload: Payload, tool: ToolSpec) -> Offer:
        """The tool goes behind the last declaration, and into a list of allowed names.

        Newer models check signatures of calls, and clients have calls whose signature is gone: they get the API's own sentinel.
        """
        document = payload.document
        root = root_of(document)
        obstacle, declarations = _place(document, root, tool.name)
        if obstacle:
            return Offer(obstacle=obstacle)
        edits = _joined(document, declarations, _spelled(tool)) + _allowed(document, root, tool.name)
        return Offer((*edits, *signature_edits(document, checked=checks_signatures(payload.model, unknown=False))))

    def fields(self, payload: Payload) -> Mapping[str, int]:
        """`contents` and `tools`, where they are arrays."""
        document = payload.document
        root = root_of(document)
        nodes = {"messages": member(document, root, "contents"), "tools": member(document, root, "tools")}
        return {name: node for name, node in nodes.items() if is_array(document, node)}

    def opening(self, payload: Payload) -> Opening:
        """`systemInstruction`; Contents without a role are the user's."""
        document = payload.document
        root = root_of(document)
        first = several(document, member(document, root, "contents"))[:1]
        asked = [content for content in first if text_of(document, content, "role") in ("", "user")]
        said = [text for content in asked for part in parts_in(document, content) if (text := _user_text(document, part)) >= 0]
        parts = parts_in(document, member(document, root, "systemInstruction"))
        system = tuple(text for part in parts if (text := _user_text(document, part)) >= 0)
        return Opening(system, said[0] if said else -1)

    def values_told(self, payload: Payload) -> Iterator[int]:
        """What functions answered."""
        document = payload.document
        for is_model, run in runs(document):
            if not is_model:
                yield from (member(document, response, "response") for _, response in responses_in(document, run))

    def unpaired(self, payload: Payload) -> frozenset[str]:
        """Contents of the model in a row are one turn; calls without ids are told by name and order."""
        return unpaired_in(payload.document)

    def append(self, body: bytes, answer: Answer, results: Sequence[ToolResult]) -> bytes:
        """The model's parts go in with their very bytes, as signatures are bound to them; then one Content with all results."""
        return appended(body, answer, results)

    def read(self, body: bytes) -> Answer:
        """The parts of the first candidate, which is the only one where the tool was offered."""
        return read_answer(body)

    def merge(self, answers: Sequence[Answer], kept: Sequence[Sequence[Part]], *, notice: str, stopped: bool) -> bytes:  # noqa: ARG002
        """Parts stay parts. The reason is the last one: it never says that calls follow."""
        return merge_answers(answers, kept, notice=notice)

    def turns(self, payload: Payload) -> Sequence[Turn]:
        """One for every run of model Contents."""
        return turns_of(payload.document)

    def turn(self, answer: Answer) -> Turn:
        """The texts and calls of the first candidate."""
        return turn_of(answer)

    def replay(self, payload: Payload, turn: Turn, rounds: Sequence[Round]) -> list[Edit]:
        """Our results go into the Content that has the client's."""
        return replay_edits(payload.document, turn, rounds)

    def codec(self, media: str = EVENTS) -> StreamCodec:
        """A codec for chunks as server-sent events, or as the elements of an array."""
        return GeminiCodec(events=media == EVENTS)

    def complete(self, response: Mapping[str, Any], payload: Payload) -> bytes:
        """Takes `candidates`, `content` as text or parts, and plain text in the shape of OpenAI Chat."""
        return complete_answer(response, payload.model)

    def as_stream(self, answer: Answer, endpoint: Endpoint = ANSWERED) -> bytes:
        """One chunk."""
        return stream_of(answer, events=endpoint.media.startswith(EVENTS))


@cache
def _spelled(tool: ToolSpec) -> bytes:
    return dump({"name": tool.name, "description": tool.description, "parameters": tool.parameters})


def _place(document: Document, root: int, name: str) -> tuple[str, int]:
    """Why the tool cannot be offered, "" if it can, and the node of the declarations that it goes into."""
    tools = several(document, member(document, root, "tools"))
    found = [node for node in (member(document, tool, "functionDeclarations") for tool in tools) if several(document, node)]
    if any(text_of(document, each, "name").endswith(name) for node in found for each in several(document, node)):
        return "client_has_tool", -1
    if member(document, root, "cachedContent") >= 0:
        return "cached_content", -1
    count = member(document, member(document, root, "generationConfig"), "candidateCount")
    if count >= 0 and document.kind(count) == NUMBER and float(document.raw(count)) > 1:
        return "several_choices", -1
    return ("", found[-1]) if found else ("no_tools", -1)


def _joined(document: Document, node: int, spelled: bytes) -> list[Edit]:
    """The edits that put one more value into a repeated field."""
    if is_array(document, node):
        return insert_elements(document, node, document.count(node), [spelled])
    return replace(document, node, b"[" + document.raw(node) + b"," + spelled + b"]")


def _allowed(document: Document, root: int, name: str) -> list[Edit]:
    """The edits that let the model call the tool where only some are allowed; not where it has to call a certain one."""
    config = member(document, member(document, root, "toolConfig"), "functionCallingConfig")
    names = member(document, config, "allowedFunctionNames")
    if not is_array(document, names) or document.count(names) == 0:
        return []
    if text_of(document, config, "mode") == "ANY" and document.count(names) == 1:
        return []
    return _joined(document, names, literal(name))


def _segments(document: Document) -> Iterator[Segment]:
    question: tuple[int, ...] = ()
    results = Results()
    calls: Run = ()
    for is_model, run in runs(document):
        if is_model:
            calls = tuple(calls_in(document, run))
            continue
        # Texts between two responses belong together.
        told = _told(document, run, calls)
        texts: list[int] = []
        for part in (part for content in run for part in parts_in(document, content)):
            if part in told:
                if texts:
                    question, texts = tuple(texts), []
                yield from _response_segments(document, part, told[part], question, results)
            elif (text := _user_text(document, part)) >= 0:
                yield Segment(document, text, role="user", frozen=True)
                if says(document, text):
                    texts.append(text)
        question = tuple(texts) or question
        calls = ()


def _user_text(document: Document, part: int) -> int:
    text = member(document, part, "text")
    return text if text >= 0 and document.kind(text) == STRING and not is_true(document, part, "thought") else -1


def _told(document: Document, run: Run, calls: Run) -> dict[int, tuple[int, int]]:
    """Parts with function responses: the node of the response, and of the arguments of the call that it answers."""
    responses = responses_in(document, run)
    known: list[ToolCall] = [call for call in (read_part(document, part).call for part in calls) if call is not None]
    answered = matched(document, [response for _, response in responses], known)
    arguments = [member(document, call_of(document, part), "args") for part in calls]
    return {part: (response, arguments[at] if at >= 0 else -1) for (part, response), at in zip(responses, answered, strict=True)}


def _response_segments(
    document: Document, part: int, told: tuple[int, int], question: tuple[int, ...], results: Results
) -> Iterator[Segment]:
    """The texts of a response: every string that is long enough for something to be gained, wherever it is in the object."""
    response, arguments = told
    name, value = text_of(document, response, "name"), member(document, response, "response")
    results.add(name, arguments)
    is_error = member(document, value, "error") >= 0 or (value >= 0 and is_true(document, value, "isError"))
    frozen = bool(signature_of(document, part))
    for leaf in _leaves(document, value):
        yield Segment(
            document,
            leaf,
            role="user",
            tool_name=name,
            arguments=arguments,
            question=question,
            is_error=is_error,
            frozen=frozen,
            results=results,
        )


def _leaves(document: Document, value: int) -> Iterator[int]:
    """The long strings in a value, in order."""
    todo = [value] if value >= 0 else []
    while todo:
        node = todo.pop()
        kind = document.kind(node)
        if kind == STRING:
            start, end = document.span(node)
            if end - start > _MIN_LEAF_BYTES:
                yield node
        elif kind == ARRAY:
            todo += reversed(document.elements(node))
        elif kind == OBJECT:
            has_media = any(document.get(node, key) >= 0 for key in _MEDIA)
            todo += [child for key, child in reversed(document.items(node)) if not (has_media and key in _BYTES)]
