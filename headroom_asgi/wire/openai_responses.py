"""OpenAI Responses: where text sits in a request, and how a hidden round goes on.

Items are in `openai_responses_items`, answers in `openai_responses_answer`, streams in `openai_responses_stream`, turns in
`openai_responses_turns`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, ClassVar, Final

from headroom_asgi._crush import ARRAY, FALSE, NUMBER, STRING, Document
from headroom_asgi.errors import PayloadError
from headroom_asgi.types import Edit, ToolResult, ToolSpec
from headroom_asgi.wire.answers import Answer, Part, Round, Turn
from headroom_asgi.wire.base import ANSWERED, MAX_TOOLS, Endpoint, Offer, Payload, WireFormat
from headroom_asgi.wire.nodes import elements_at, find, given, is_true, says, scanned_request, text_at
from headroom_asgi.wire.openai_responses_answer import complete_answer, merge_answers, read_answer, stream_of
from headroom_asgi.wire.openai_responses_items import CALLS, key_of, keys_of, texts_in, type_of
from headroom_asgi.wire.openai_responses_stream import ResponsesCodec
from headroom_asgi.wire.openai_responses_turns import appended, paired_wrongly, reconciled, reheld, replayed, turn_of, turns_of
from headroom_asgi.wire.opening import Opening, opening_of, strings_in
from headroom_asgi.wire.segments import Results, Segment, one_of
from headroom_asgi.wire.splice import dump, insert_elements, literal, overlaid

_STRUCTURED: Final = frozenset({"json_object", "json_schema"})
# Tools that the client runs, so that their outputs come in requests.
_CLIENT_TOOLS: Final = frozenset({"function", "custom", "namespace", "local_shell", "shell", "apply_patch"})
# Outputs that are a text or a list of parts.
_TEXT_OUTPUTS: Final = frozenset(
    {"function_call_output", "custom_tool_call_output", "local_shell_call_output", "apply_patch_call_output"}
)
_INPUT_TEXT: Final = {"input_text": "text"}


class OpenAIResponses(WireFormat):
    """The dialect of `POST .../responses`. Requests to sum up or count an input are treated alike, their answers pass."""

    name: ClassVar[str] = "openai-responses"
    provider: ClassVar[str] = "openai"
    operation: ClassVar[str] = "chat"
    endpoints: ClassVar[Sequence[tuple[re.Pattern[str], Endpoint]]] = (
        (re.compile(r"(^|/)responses\Z"), ANSWERED),
        (re.compile(r"(^|/)responses/(compact|input_tokens)\Z"), Endpoint(answered=False)),
    )
    example_path: ClassVar[str] = "/v1/responses"
    echoes: ClassVar[bool] = True
    messages: ClassVar[str] = "input"
    kept: ClassVar[re.Pattern[str] | None] = re.compile(
        r"(^|/)responses/(?!(?:compact|input_tokens)\Z)(?P<name>[^/]+)(?P<rest>|/input_items)\Z"
    )

    def decode(self, body: bytes, endpoint: Endpoint = ANSWERED) -> Payload:
        """Segments: text in outputs of calls, and user texts (frozen) that say what was asked."""
        document = _scanned(body)
        conversation = text_at(document, 0, "conversation") or text_at(document, 0, "conversation", "id")
        held = conversation or text_at(document, 0, "previous_response_id")
        store = document.get(0, "store")
        edits_history = text_at(document, 0, "truncation") == "auto" or given(document, 0, "context_management") >= 0
        return Payload(
            wire=self,
            document=document,
            model=text_at(document, 0, "model"),
            stream=is_true(document, 0, "stream"),
            structured=text_at(document, 0, "text", "format", "type") in _STRUCTURED,
            segments=tuple(_segments(document)),
            endpoint=endpoint,
            held=held,
            holds=bool(conversation) or store < 0 or document.kind(store) != FALSE,
            history_edited=bool(held) or edits_history,
        )

    def offer(self, payload: Payload, tool: ToolSpec) -> Offer:
        """The tool goes directly after the last tool that the client runs, and into `tool_choice.tools`."""
        document = payload.document
        tools = elements_at(document, 0, "tools")
        if any(name.endswith(tool.name) for node in tools for name in _names(document, node)):
            return Offer(obstacle="client_has_tool")
        last = max((i for i, node in enumerate(tools) if _is_client_tool(document, node)), default=-1)
        if last < 0:
            return Offer(obstacle="no_tools")
        if len(tools) == MAX_TOOLS:
            return Offer(obstacle="too_many_tools")
        if is_true(document, 0, "background"):
            return Offer(obstacle="background")
        if given(document, 0, "multi_agent") >= 0:
            return Offer(obstacle="multi_agent")
        spelled = _spelled(tool, direct=any(_calls_tools(document, node) for node in tools))
        edits = insert_elements(document, document.get(0, "tools"), last + 1, [spelled])
        allowed = find(document, 0, "tool_choice", "tools")
        if allowed >= 0 and document.kind(allowed) == ARRAY:
            entry = dump({"type": "function", "name": tool.name})
            edits += insert_elements(document, allowed, document.count(allowed), [entry])
        return Offer(tuple(edits))

    def fields(self, payload: Payload) -> Mapping[str, int]:
        """`input` (as "messages") and `tools`, as far as they are arrays."""
        nodes = {"messages": payload.document.get(0, "input"), "tools": payload.document.get(0, "tools")}
        return {name: node for name, node in nodes.items() if node >= 0 and payload.document.kind(node) == ARRAY}

    def opening(self, payload: Payload) -> Opening:
        """`instructions`, and leading messages of the roles system and developer."""
        document = payload.document
        system = strings_in(document, document.get(0, "instructions"), "text")
        asked = document.get(0, "input")
        if asked >= 0 and document.kind(asked) == STRING:
            return Opening(system, asked)
        return opening_of(document, system, elements_at(document, 0, "input"), _texts)

    def unpaired(self, payload: Payload) -> frozenset[str]:
        """An output stands anywhere behind its call; calls at the end wait for theirs."""
        return paired_wrongly(payload.document)

    def append(self, body: bytes, answer: Answer, results: Sequence[ToolResult]) -> bytes:
        """All output items go back as they came, reasoning too; with a conversation, which has them, only our results."""
        return appended(body, answer, results)

    def read(self, body: bytes) -> Answer:
        """One part for every output item; calls that came out of a program are calls like any other."""
        return read_answer(body)

    def merge(self, answers: Sequence[Answer], kept: Sequence[Sequence[Part]], *, notice: str, stopped: bool) -> bytes:  # noqa: ARG002
        """The last round's answer and id, from which a later request goes on; our tool taken out of `tools`.

        A stream has to keep the first round's id: requests that go on from that need `hold`.
        """
        return merge_answers(answers, kept, notice=notice)

    def turns(self, payload: Payload) -> Sequence[Turn]:
        """Items of the model in a row are one turn, however many rounds they came from."""
        return turns_of(payload)

    def turn(self, answer: Answer) -> Turn:
        """All output items."""
        return turn_of(answer)

    def replay(self, payload: Payload, turn: Turn, rounds: Sequence[Round]) -> list[Edit]:
        """Our outputs go among the client's, in the order of the calls."""
        return replayed(payload, turn, rounds)

    def held_by(self, answer: Answer) -> str:
        """The conversation, or else the response."""
        return text_at(answer.document, 0, "conversation", "id") or text_at(answer.document, 0, "id")

    def kept_as(self, answer: Answer) -> str:
        """The response."""
        return text_at(answer.document, 0, "id")

    def retold(self, answers: Sequence[Answer], kept: Sequence[Sequence[Part]], *, notice: str, name: str) -> bytes:
        """The merged answer with the id that was asked for."""
        merged = Document(self.merge(answers, kept, notice=notice, stopped=False))
        return merged.data if text_at(merged, 0, "id") == name else overlaid(merged.data, {"id": literal(name)})

    def retold_stream(self, answer: Answer, *, after: int) -> bytes:
        """As the API would have streamed it; at least the last event, which has everything."""
        return stream_of(answer, after=after)

    def was_structured(self, answer: Answer) -> bool:
        """Responses repeat what they were asked for."""
        return text_at(answer.document, 0, "text", "format", "type") in _STRUCTURED

    def hold(self, payload: Payload, held: str) -> list[Edit]:
        """Another `previous_response_id`."""
        return reheld(payload, held)

    def reconciled(self, payload: Payload, refusal: bytes, tool: ToolSpec, text: str) -> list[Edit]:  # noqa: ARG002
        """What has to do with the one call that the API names."""
        return reconciled(payload, refusal, text)

    def codec(self, media: str = "text/event-stream") -> ResponsesCodec:  # noqa: ARG002
        """One codec for all rounds of an exchange."""
        return ResponsesCodec()

    def complete(self, response: Mapping[str, Any], payload: Payload) -> bytes:
        """Takes `output` as text or items, `output_text`, and plain text in the shape of OpenAI Chat."""
        return complete_answer(response, payload.model)

    def as_stream(self, answer: Answer, endpoint: Endpoint = ANSWERED) -> bytes:  # noqa: ARG002
        """The events that the API would have sent, each text in one piece."""
        return stream_of(answer)


def _scanned(body: bytes) -> Document:
    """A request body; its input may be missing, as that of a stored prompt is."""
    document = scanned_request(body)
    node = given(document, 0, "input")
    if node >= 0 and document.kind(node) not in (STRING, ARRAY):
        raise PayloadError("no_messages")
    return document


def _texts(document: Document, item: int) -> Sequence[int]:
    return texts_in(document, item, "content", _INPUT_TEXT)


def _segments(document: Document) -> Iterator[Segment]:
    node = document.get(0, "input")
    if node >= 0 and document.kind(node) == STRING:
        yield Segment(document, node, role="user", frozen=True)
    calls: dict[str, tuple[str, int]] = {}  # names and arguments by the ids of calls
    question: tuple[int, ...] = ()
    results = Results()
    for item in elements_at(document, 0, "input"):
        kind = type_of(document, item)
        if kind == "message" and text_at(document, item, "role") == "user":
            texts = tuple(texts_in(document, item, "content", _INPUT_TEXT))
            yield from (Segment(document, text, role="user", question=question, frozen=True) for text in texts)
            question = tuple(text for text in texts if says(document, text)) or question
        elif kind in CALLS:
            name, member = CALLS[kind]
            call = (name or text_at(document, item, "name"), document.get(item, member))
            calls |= dict.fromkeys(keys_of(document, item), call)
        else:
            call_id = key_of(document, item)
            known, _ = CALLS.get(kind.removesuffix("_output"), ("", ""))
            name, arguments = calls.get(call_id, (known or text_at(document, item, "name"), -1))
            if kind.endswith("_output"):
                results.add(name, arguments)
                results.tools = results.tools if name or results.tools else _tools(document)
            for text, is_error in _output_texts(document, item, kind):
                yield Segment(
                    document,
                    text,
                    role="tool",
                    tool_name=name,
                    tools=results.tools,
                    call=call_id,
                    arguments=arguments,
                    question=question,
                    is_error=is_error,
                    results=results,
                )


def _output_texts(document: Document, item: int, kind: str) -> Iterator[tuple[int, bool]]:
    """The texts of what a call brought, and whether it failed. Whatever else is in it has no segment."""
    if kind in _TEXT_OUTPUTS:
        failed = text_at(document, item, "status") == "failed"
        yield from ((text, failed) for text in texts_in(document, item, "output", _INPUT_TEXT))
    elif kind == "shell_call_output":
        for entry in elements_at(document, item, "output"):
            code = find(document, entry, "outcome", "exit_code")
            failed = text_at(document, entry, "outcome", "type") == "timeout" or (
                code >= 0 and document.kind(code) == NUMBER and document.raw(code) != b"0"
            )
            for node in (document.get(entry, "stdout"), document.get(entry, "stderr")):
                if node >= 0 and document.kind(node) == STRING:
                    yield node, failed


def _tools(document: Document) -> str:
    """The tools that the client runs; those that have no name by their kind."""
    names: list[str] = []
    for tool in elements_at(document, 0, "tools"):
        if _is_client_tool(document, tool):
            names += list(filter(None, _names(document, tool))) or [text_at(document, tool, "type")]
    return one_of(names)


def _names(document: Document, tool: int) -> list[str]:
    """The names of a tool, or of those in a namespace."""
    return [text_at(document, node, "name") for node in (tool, *elements_at(document, tool, "tools"))]


def _is_client_tool(document: Document, tool: int) -> bool:
    kind = text_at(document, tool, "type")
    return kind in _CLIENT_TOOLS and not text_at(document, tool, "environment", "type").startswith("container")


def _calls_tools(document: Document, tool: int) -> bool:
    """Whether a tool is a program that may call other tools, or may be called by one."""
    if text_at(document, tool, "type") == "programmatic_tool_calling":
        return True
    entries = [tool, *elements_at(document, tool, "tools")]
    return any(document.raw(node) != b'"direct"' for entry in entries for node in elements_at(document, entry, "allowed_callers"))


@cache
def _spelled(tool: ToolSpec, *, direct: bool) -> bytes:
    """The definition; `direct`: other tools may call tools, but not this one. An absent `strict` would be strict."""
    spec = {"type": "function", "name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return dump({**spec, "strict": False} | ({"allowed_callers": ["direct"]} if direct else {}))
