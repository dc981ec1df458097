"""The model's turns in conversations of Anthropic Messages: found in a request, put behind it, and put back into it.

A thread is a conversation that the API holds: requests bring what is new, and the id of the message that they go on from. Each
message is gone on from once.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from headroom_asgi._crush import OBJECT, STRING, Document
from headroom_asgi.types import Edit, ToolCall, ToolResult
from headroom_asgi.wire.answers import Answer, Part, PartKind, Round, Turn
from headroom_asgi.wire.anthropic_answer import SIGNED_BLOCKS
from headroom_asgi.wire.blocks import Blocks, staying, unsigned_edits
from headroom_asgi.wire.nodes import elements_at, given, text_at
from headroom_asgi.wire.splice import dump, insert_elements, literal, overlaid, overlay, replace, splice
from headroom_asgi.wire.turns import comparable, place, ranks, unanswered

# How the API names calls that no result follows, and a result that follows no call.
_UNANSWERED: Final = re.compile(rb"without `tool_result` blocks immediately after: ([\w-]+(?:, [\w-]+)*)")
_UNASKED: Final = re.compile(rb"unexpected `tool_use_id` found in `tool_result` blocks: ([\w-]+)")
# What stands in for a call whose record was lost: a result needs one.
_STAND_IN: Final = b'{"type":"tool_use","id":%b,"name":"lost_call","input":{}}'
_BLOCKS = Blocks(
    is_signed=lambda document, block: text_at(document, block, "type") in SIGNED_BLOCKS,
    is_call=lambda document, block: text_at(document, block, "type") == "tool_use",
    is_result=lambda document, block: text_at(document, block, "type") == "tool_result",
)


def thread_of(document: Document) -> tuple[str, bool]:
    """The id of the message that a request goes on from, "" if it has all messages; and whether it is part of a thread."""
    thread = given(document, 0, "thread")
    return (text_at(document, thread, "previous_message_id"), True) if thread >= 0 else ("", False)


def resumed(document: Document, message_id: str) -> list[Edit]:
    """The edits that let a request of a thread go on from another message."""
    return overlay(document, document.get(0, "thread"), {"previous_message_id": literal(message_id)})


def appended(body: bytes, answer: Answer, results: Sequence[ToolResult]) -> bytes:
    """The next round's body: where the API holds what came before only the results, else all that was said.

    So each round of a thread's first request begins a thread, and none goes on from another: the client may, from any of them.
    """
    document = Document(body)
    messages = document.get(0, "messages")
    held, _ = thread_of(document)
    if held:
        thread = b'{"type":"continue","previous_message_id":%b}' % literal(text_at(answer.document, 0, "id"))
        edits = [
            *replace(document, messages, b"[%b]" % _results_message(results)),
            *replace(document, document.get(0, "thread"), thread),
        ]
    else:
        added = [_message(_content(answer)), _results_message(results)]
        edits = insert_elements(document, messages, document.count(messages), added)
    return splice(body, edits + _container(document, answer))


def turns_of(document: Document) -> Iterator[Turn]:
    """The turns of a request; `data` is the position of the message, None for a turn that the thread holds."""
    messages = elements_at(document, 0, "messages")
    if thread_of(document)[0]:
        blocks = [block for message in _user_messages(document, messages) for block in elements_at(document, message, "content")]
        ids = [key for key in (_answered(document, block) for block in blocks) if key]
        if ids:
            calls = tuple(ToolCall(key, "", "") for key in ids)
            yield Turn("", calls, start=document.span(messages[0])[0], held=True)
    for at, message in enumerate(messages):
        if text_at(document, message, "role") == "assistant":
            yield _turn(document, message, at)


def turn_of(answer: Answer) -> Turn:
    """The turn that an answer becomes."""
    return _turn(answer.document, 0)


def replay_edits(document: Document, turn: Turn, rounds: Sequence[Round]) -> list[Edit]:
    """The edits that put the rounds in place of a turn."""
    messages = elements_at(document, 0, "messages")
    at: int = -1 if turn.held else turn.data
    *hidden, last = rounds
    front, edits = _among(document, _user_messages(document, messages[at + 1 :]), last)
    if turn.held:
        return edits + (insert_elements(document, document.get(0, "messages"), 0, [front]) if front else [])
    pieces = []
    for each in hidden:
        pieces += [_message(_content(each.answer)), _results_message(each.results)]
    content = _content(last.answer, unanswered(last, turn), _breakpoint(document, messages[at]))
    # No turn may be without content: the client's own says why there is none.
    pieces += [_message(content) if content else document.raw(messages[at]), *([front] if front else [])]
    return [Edit(*document.span(messages[at]), b",".join(pieces)), *edits]


def unsigned(document: Document) -> list[Edit]:
    """The edits that take thinking out of the messages. Where it is `enabled`, calls that wait have to begin with it."""
    enabled = text_at(document, 0, "thinking", "type") == "enabled"
    return unsigned_edits(document, document.get(0, "messages"), _BLOCKS, leads_calls=enabled)


def reconciled(document: Document, refusal: bytes, text: str) -> list[Edit]:
    """The edits that a refusal asks for: results for calls in front of a request that goes on with a thread, or calls for results
    whose own are in a message that nobody knows the name of.
    """
    if found := _UNANSWERED.search(refusal):
        return _answering(document, found, text)
    if found := _UNASKED.search(refusal):
        return _asking(document, found[1].decode("ascii"))
    return []


def _answering(document: Document, found: re.Match[bytes], text: str) -> list[Edit]:
    """Results for the calls that the API names, which are the last ones that it holds."""
    messages = elements_at(document, 0, "messages")
    blocks = [block for message in messages for block in elements_at(document, message, "content")]
    known = {text_at(document, block, key) for block in blocks for key in ("id", "tool_use_id")}
    lost = [call_id for call_id in found[1].decode("ascii").split(", ") if call_id not in known]
    results = [{"type": "tool_result", "tool_use_id": call_id, "content": text, "is_error": True} for call_id in lost]
    message = b'{"role":"user","content":' + dump(results) + b"}"
    return insert_elements(document, document.get(0, "messages"), 0, [message]) if results else []


def _asking(document: Document, call_id: str) -> list[Edit]:
    """A turn of the model in front of the first message that has a result of this call: all of them answer one turn."""
    for at, message in enumerate(elements_at(document, 0, "messages")):
        blocks = elements_at(document, message, "content")
        results = [answers for block in blocks if (answers := _answered(document, block))]
        if any(text_at(document, block, "id") == call_id for block in blocks):
            break  # that was tried
        if call_id in results:
            turn = b'{"role":"assistant","content":[%b]}' % b",".join(_STAND_IN % literal(each) for each in results)
            return insert_elements(document, document.get(0, "messages"), at, [turn])
    return []


def _turn(document: Document, message: int, at: int | None = None) -> Turn:
    content = document.get(message, "content")
    texts: list[str] = []
    calls: list[ToolCall] = []
    if content >= 0 and document.kind(content) == STRING:
        texts.append(document.text(content))
    for block in elements_at(document, content):
        kind = text_at(document, block, "type")
        if kind == "text":
            texts.append(text_at(document, block, "text"))
        elif kind == "tool_use":
            arguments = document.get(block, "input")
            given_arguments = document.raw(arguments).decode() if arguments >= 0 else "{}"
            calls.append(ToolCall(text_at(document, block, "id"), text_at(document, block, "name"), given_arguments))
    return Turn(comparable(texts), tuple(calls), start=document.span(message)[0], data=at)


def _user_messages(document: Document, messages: Sequence[int]) -> list[int]:
    """The user messages at the beginning, which are one turn."""
    roles = [text_at(document, message, "role") == "user" for message in messages]
    return list(messages[: roles.index(False) if False in roles else len(roles)])


def _answered(document: Document, block: int) -> str:
    """The id of the call that a block is the result of, "" if it is none."""
    return text_at(document, block, "tool_use_id") if text_at(document, block, "type") == "tool_result" else ""


def _among(document: Document, behind: Sequence[int], last: Round) -> tuple[bytes, list[Edit]]:
    """Our results of a mixed turn among the client's, in the order of the calls and before everything else.

    Returns a message to put in front of the user's turn, b"" if none is needed, and the edits of that turn.
    """
    ours, others = ranks(last)
    if not ours:
        return b"", []
    known = {call.id: rank for rank, call in others}
    results = [block for message in behind for block in elements_at(document, message, "content") if _answered(document, block)]
    theirs = [known.get(_answered(document, block), -1) for block in results]
    if not theirs:
        return _results_message(last.results), []
    edits = []
    for rank, result in zip(ours, last.results, strict=True):
        before = place(rank, theirs)
        spelled = dump(_result(result))
        if before == 0:
            start = document.span(results[0])[0]
            edits.append(Edit(start, start, spelled + b","))
        else:
            end = document.span(results[before - 1])[1]
            edits.append(Edit(end, end, b"," + spelled))
    return b"", edits


def _content(answer: Answer, gone: frozenset[int] = frozenset(), cache_control: bytes = b"") -> list[bytes]:
    """The blocks of an answer as they came, except empty texts, which the API sends but does not take.

    Args:
        answer: the answer.
        gone: calls to leave out, see `staying`.
        cache_control: of the client, for the last block that takes one.
    """
    document = answer.document
    kept = staying(answer, gone, _is_empty_text)
    blocks = [document.raw(part.node) for part in kept]
    takers = [i for i, part in enumerate(kept) if part.kind is not PartKind.SIGNED]
    if cache_control and takers:
        blocks[takers[-1]] = overlaid(blocks[takers[-1]], {"cache_control": cache_control})
    return blocks


def _breakpoint(document: Document, message: int) -> bytes:
    """The cache breakpoint at the end of a message, b"" if there is none."""
    blocks = elements_at(document, message, "content")
    node = given(document, blocks[-1], "cache_control") if blocks else -1
    return document.raw(node) if node >= 0 else b""


def _message(content: Sequence[bytes]) -> bytes:
    return b'{"role":"assistant","content":[' + b",".join(content) + b"]}"


def _results_message(results: Sequence[ToolResult]) -> bytes:
    return b'{"role":"user","content":' + dump([_result(result) for result in results]) + b"}"


def _result(result: ToolResult) -> dict[str, object]:
    spelled = {"type": "tool_result", "tool_use_id": result.call.id, "content": result.text}
    return spelled | ({"is_error": True} if result.is_error else {})


def _is_empty_text(document: Document, part: Part) -> bool:
    return part.kind is PartKind.OTHER and text_at(document, part.node, "type") == "text"


def _container(document: Document, answer: Answer) -> list[Edit]:
    """The edits that let the next round run in the container of this one, if it has one."""
    container = given(answer.document, 0, "container")
    node = answer.document.get(container, "id") if container >= 0 else -1
    if node < 0:
        return []
    asked = given(document, 0, "container")
    if asked >= 0 and document.kind(asked) == OBJECT:  # with skills to be loaded
        return overlay(document, asked, {"id": answer.document.raw(node)})
    return overlay(document, 0, {"container": answer.document.raw(node)})
