"""Anthropic Messages: where text sits in a request, and how a hidden round goes on.

Answers are in `anthropic_answer`, streams in `anthropic_stream`.
"""

import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, ClassVar

from headroom_asgi._crush import ARRAY, NULL, STRING, TRUE, Document
from headroom_asgi.types import Edit, ToolResult, ToolSpec
from headroom_asgi.wire.answers import Answer, Part, Round, Turn
from headroom_asgi.wire.anthropic_answer import complete_answer, merge_answers, read_answer, stream_of
from headroom_asgi.wire.anthropic_places import retraced
from headroom_asgi.wire.anthropic_stream import AnthropicCodec
from headroom_asgi.wire.anthropic_turns import appended, reconciled, replay_edits, resumed, thread_of, turn_of, turns_of, unsigned
from headroom_asgi.wire.base import ANSWERED, Endpoint, Offer, Payload, WireFormat
from headroom_asgi.wire.blocks import unpaired
from headroom_asgi.wire.events import StreamCodec
from headroom_asgi.wire.nodes import begins, elements_at, given, is_true, request, says, text_at
from headroom_asgi.wire.opening import Opening, opening_of, strings_in
from headroom_asgi.wire.segments import Results, Segment, one_of
from headroom_asgi.wire.splice import dump, insert_elements

# Tools that Anthropic defines and the client runs: as with function tools, their calls and results pass through the client.
_CLIENT_TOOL = re.compile(r"(custom|bash_\d+|text_editor_\d+|computer_\d+|memory_\d+)$")
_PROGRAM_TOOL = "code_execution_"

# With these the API leaves out, sums up or holds earlier messages.
_EDITS_HISTORY = ("context_management", "compaction", "thread")

# How the API says that a request of a thread has not the tools, or not the instructions, that it began with.
_OTHER_TOOLS = b"thread_fingerprint_mismatch"
_FOR_THE_PROVIDER = "x-anthropic-billing-header"  # a block of the system prompt that begins so has to stay as it is

# Calls and their argument objects by id, as far as the conversation has come.
_Calls = dict[str, tuple[str, int]]


class AnthropicMessages(WireFormat):
    """Anthropic's `POST /v1/messages` and everything that speaks it."""

    name: ClassVar[str] = "anthropic"
    provider: ClassVar[str] = "anthropic"
    operation: ClassVar[str] = "chat"
    endpoints: ClassVar[Sequence[tuple[re.Pattern[str], Endpoint]]] = (
        (re.compile(r"(^|/)v1/messages\Z"), ANSWERED),
        (re.compile(r"(^|/)v1/messages/count_tokens\Z"), Endpoint(answered=False)),
        (re.compile(r"(^|/)publishers/anthropic/models/count-tokens:rawPredict\Z"), Endpoint(answered=False)),
        (re.compile(r"(^|/)publishers/anthropic/models/(?P<model>[^/:]+):rawPredict\Z"), ANSWERED),
        (re.compile(r"(^|/)publishers/anthropic/models/(?P<model>[^/:]+):streamRawPredict\Z"), Endpoint(stream=True)),
    )
    example_path: ClassVar[str] = "/v1/messages"

    def decode(self, body: bytes, endpoint: Endpoint = ANSWERED) -> Payload:
        """Segments: text in tool results, and user texts (frozen) that say what was asked."""
        document, messages = request(body)
        config = document.get(0, "output_config")
        held, threaded = thread_of(document)
        return Payload(
            wire=_THREADS if threaded else self,
            document=document,
            model=text_at(document, 0, "model") or endpoint.model,
            stream=is_true(document, 0, "stream") if endpoint.stream is None else endpoint.stream,
            structured=given(document, 0, "output_format") >= 0 or (config >= 0 and given(document, config, "format") >= 0),
            segments=tuple(_segments(document, messages)),
            endpoint=endpoint,
            held=held,
            holds=threaded,
            history_edited=any(given(document, 0, key) >= 0 for key in _EDITS_HISTORY),
        )

    def offer(self, payload: Payload, tool: ToolSpec) -> Offer:
        """The tool goes directly after the last tool that the client runs.

        A request for a summary (`compaction`) has the prefix of its conversation, so the tool is in it too. The tools of a
        thread are those of its first request: later ones have the same or none.
        """
        document = payload.document
        fixed = bool(payload.held)
        if fixed and given(document, 0, "tools") < 0:
            return Offer(fixed=True)
        tools = elements_at(document, 0, "tools")
        if any(text_at(document, node, "name").endswith(tool.name) for node in tools):
            return Offer(obstacle="client_has_tool", fixed=fixed)
        last = max((i for i, node in enumerate(tools) if _is_client_tool(document, node)), default=-1)
        if last < 0:
            return Offer(obstacle="no_tools", fixed=fixed)
        spelled = _spelled(tool, direct=any(_calls_tools(document, node) for node in tools))
        return Offer(tuple(insert_elements(document, document.get(0, "tools"), last + 1, [spelled])), fixed=fixed)

    def fields(self, payload: Payload) -> Mapping[str, int]:
        """`messages`, and `tools` if it is an array."""
        document = payload.document
        nodes = {name: document.get(0, name) for name in ("messages", "tools")}
        return {name: node for name, node in nodes.items() if node >= 0 and document.kind(node) == ARRAY}

    def opening(self, payload: Payload) -> Opening:
        """`system`, a text or blocks, but for what clients tell the provider there."""
        document = payload.document
        system = [
            node
            for node in strings_in(document, document.get(0, "system"), "text")
            if not begins(document, node, _FOR_THE_PROVIDER)
        ]
        return opening_of(document, system, document.elements(document.get(0, "messages")), _texts)

    def unpaired(self, payload: Payload) -> frozenset[str]:
        """Messages of one role in a row are one turn; instructions (role system) may stand between turns."""
        document = payload.document
        said = ((text_at(document, message, "role"), message) for message in elements_at(document, 0, "messages"))
        return unpaired(((role, _ids(document, message, role)) for role, message in said), held=bool(payload.held))

    def append(self, body: bytes, answer: Answer, results: Sequence[ToolResult]) -> bytes:
        """The content blocks go back as they came, except empty texts, which the API sends but does not take.

        In a thread only the results go up, behind the message that asked for them.
        """
        return appended(body, answer, results)

    def read(self, body: bytes) -> Answer:
        """One part for every content block; calls that came out of a program are calls like any other."""
        return read_answer(body)

    def merge(self, answers: Sequence[Answer], kept: Sequence[Sequence[Part]], *, notice: str, stopped: bool) -> bytes:
        """Blocks stay blocks. Usage has one entry in `iterations` for every round."""
        return merge_answers(answers, kept, notice=notice, stopped=stopped)

    def turns(self, payload: Payload) -> Sequence[Turn]:
        """Every assistant message is a turn; so is what the first results of a request that goes on with a thread answer."""
        return tuple(turns_of(payload.document))

    def turn(self, answer: Answer) -> Turn:
        """The whole message."""
        return turn_of(answer)

    def replay(self, payload: Payload, turn: Turn, rounds: Sequence[Round]) -> list[Edit]:
        """The messages as `append` spells them; our results of a mixed turn stand among the first blocks of the user's."""
        return replay_edits(payload.document, turn, rounds)

    def held_by(self, answer: Answer) -> str:
        """The message's id, from which a thread goes on."""
        return text_at(answer.document, 0, "id")

    def hold(self, payload: Payload, held: str) -> list[Edit]:
        """Another message as the one that the thread goes on from."""
        return resumed(payload.document, held)

    def unsigned(self, payload: Payload) -> list[Edit]:
        """Without thinking, but for that which has to lead the calls that wait."""
        return unsigned(payload.document)

    def reconciled(self, payload: Payload, refusal: bytes, tool: ToolSpec, text: str) -> list[Edit]:
        """What has to do with the calls of a thread that the API names, or the tools of the thread's first request."""
        if not payload.held:
            return []
        if _OTHER_TOOLS in refusal:
            return list(self.offer(payload, tool).edits)
        return reconciled(payload.document, refusal, text)

    def retraced(self, told: bytes, sent: Payload, client: Payload) -> bytes:
        """Places of blocks that the API dropped."""
        return retraced(told, sent.document, client.document)

    def codec(self, media: str = "text/event-stream") -> StreamCodec:  # noqa: ARG002
        """One codec for all rounds of an exchange."""
        return AnthropicCodec()

    def complete(self, response: Mapping[str, Any], payload: Payload) -> bytes:
        """Takes `content` as text or blocks, and plain text in the shape of OpenAI Chat."""
        return complete_answer(response, payload.model)

    def as_stream(self, answer: Answer, endpoint: Endpoint = ANSWERED) -> bytes:  # noqa: ARG002
        """The events that the API would have sent, each block in one piece."""
        return stream_of(answer)


class _Threads(AnthropicMessages):
    """Messages of threads: their ids matter, as the API goes on from each of them once.

    The client gets the last round's, from which the API goes on with all of them; in a stream that of the first round that it
    knows of, where nothing was seen of those before.
    """

    holds_tools: ClassVar[bool] = True

    def merge(self, answers: Sequence[Answer], kept: Sequence[Sequence[Part]], *, notice: str, stopped: bool) -> bytes:
        """As anywhere, with the last round's id."""
        return merge_answers(answers, kept, notice=notice, stopped=stopped, identity=-1)

    def codec(self, media: str = "text/event-stream") -> StreamCodec:  # noqa: ARG002
        """A codec that begins anew as long as it can."""
        return AnthropicCodec(threaded=True)


_THREADS = _Threads()


def _texts(document: Document, message: int) -> tuple[int, ...]:
    return strings_in(document, document.get(message, "content"), "text")


@cache
def _spelled(tool: ToolSpec, *, direct: bool) -> bytes:
    """The definition; `direct`: other tools may call tools, but not this one."""
    callers = {"allowed_callers": ["direct"]} if direct else {}
    return dump({"name": tool.name, "description": tool.description, "input_schema": tool.parameters, **callers})


def _segments(document: Document, messages: int) -> Iterator[Segment]:
    calls: _Calls = {}
    question: tuple[int, ...] = ()
    results = Results()
    for message in document.elements(messages):
        role = text_at(document, message, "role")
        if role == "assistant":
            for block in elements_at(document, message, "content"):
                if text_at(document, block, "type") == "tool_use":
                    calls[text_at(document, block, "id")] = (text_at(document, block, "name"), document.get(block, "input"))
        elif role == "user":
            question = yield from _user_segments(document, message, calls, question, results)


def _user_segments(
    document: Document, message: int, calls: _Calls, question: tuple[int, ...], results: Results
) -> Generator[Segment, None, tuple[int, ...]]:
    """The segments of a user turn; returns the text that is the nearest for what follows."""
    content = document.get(message, "content")
    if content >= 0 and document.kind(content) == STRING:
        yield Segment(document, content, role="user", frozen=True)
        return (content,) if says(document, content) else question
    # Texts between two results belong together.
    texts: list[int] = []
    for block in elements_at(document, content):
        kind = text_at(document, block, "type")
        if kind == "text":
            node = document.get(block, "text")
            if node >= 0 and document.kind(node) == STRING:
                yield Segment(document, node, role="user", frozen=True)
                if says(document, node):
                    texts.append(node)
        elif kind == "tool_result":
            if texts:
                question, texts = tuple(texts), []
            yield from _result_segments(document, block, calls, question, results)
    return tuple(texts) or question


def _result_segments(
    document: Document, block: int, calls: _Calls, question: tuple[int, ...], results: Results
) -> Iterator[Segment]:
    """The texts of a tool result: its content, or the text blocks in it. Whatever else is in it has no segment."""
    content, is_error = document.get(block, "content"), document.get(block, "is_error")
    call_id = text_at(document, block, "tool_use_id")
    name, arguments = calls.get(call_id, ("", -1))
    results.add(name, arguments)
    if not name and not results.tools:
        results.tools = one_of(text_at(document, tool, "name") for tool in elements_at(document, 0, "tools"))
    texts: list[tuple[int, bool]] = []
    if content >= 0 and document.kind(content) == STRING:
        texts.append((content, False))
    for part in elements_at(document, content):
        node = document.get(part, "text")
        if text_at(document, part, "type") == "text" and node >= 0 and document.kind(node) == STRING:
            texts.append((node, _is_cited(document, part)))
    for node, cited in texts:
        yield Segment(
            document,
            node,
            role="user",
            tool_name=name,
            tools=results.tools,
            call=call_id,
            arguments=arguments,
            question=question,
            is_error=is_error >= 0 and document.kind(is_error) == TRUE,
            frozen=cited,
            results=results,
        )


def _is_cited(document: Document, block: int) -> bool:
    """Whether offsets into the text of a block may be held by somebody."""
    node = document.get(block, "citations")
    if node < 0 or document.kind(node) in (NULL, ARRAY):
        return node >= 0 and document.count(node) > 0
    enabled = document.get(node, "enabled")
    return enabled >= 0 and document.kind(enabled) == TRUE


def _is_client_tool(document: Document, tool: int) -> bool:
    """Whether calls of a tool reach the client."""
    return document.get(tool, "input_schema") >= 0 or bool(_CLIENT_TOOL.match(text_at(document, tool, "type")))


def _calls_tools(document: Document, tool: int) -> bool:
    """Whether a tool is a program that may call other tools, or may be called by one."""
    if text_at(document, tool, "type").startswith(_PROGRAM_TOOL):
        return True
    return any(document.raw(caller) != b'"direct"' for caller in elements_at(document, tool, "allowed_callers"))


def _ids(document: Document, message: int, role: str) -> list[str]:
    """The ids of the calls in a message of the model, or of what a user's answers."""
    kind, key = ("tool_use", "id") if role == "assistant" else ("tool_result", "tool_use_id")
    blocks = elements_at(document, message, "content")
    return [text_at(document, block, key) for block in blocks if text_at(document, block, "type") == kind]
