"""The model's turns in conversations of OpenAI Responses: found in a request, put behind it, and put back into it."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from headroom_asgi._crush import FALSE, NULL, STRING, Document
from headroom_asgi.types import Edit, ToolCall, ToolResult
from headroom_asgi.wire.answers import Answer, PartKind, Round, Turn
from headroom_asgi.wire.base import Payload
from headroom_asgi.wire.nodes import elements_at, given, text_at
from headroom_asgi.wire.openai_responses_items import (
    CALLS,
    OUTPUTS,
    call_of,
    is_of_the_model,
    key_of,
    keys_of,
    runs_at_provider,
    said_in,
    type_of,
)
from headroom_asgi.wire.splice import insert_elements, insert_members, literal, replace, splice
from headroom_asgi.wire.turns import comparable, place, ranks, unanswered

# How the API names a call that it holds, and that nothing in a request answers.
_UNANSWERED: Final = re.compile(rb"No tool output found for function call ([\w|:-]+(?:\.[\w|:-]+)*)")
# And an output in a request whose call it does not hold, in the response that the request goes on from.
_UNASKED: Final = re.compile(rb"No tool call found for [a-z ]*output with call_id ([\w|:-]+(?:\.[\w|:-]+)*)")
# By the kind of an output, the call that stands in for one whose record was lost: an output needs one, and remains a tool's.
_STAND_INS: Final = {
    "function_call_output": b'{"type":"function_call","call_id":%s,"name":"lost_call","arguments":"{}"}',
    "custom_tool_call_output": b'{"type":"custom_tool_call","call_id":%s,"name":"lost_call","input":""}',
}


def appended(body: bytes, answer: Answer, results: Sequence[ToolResult]) -> bytes:
    """The next round's body: all output items and our results behind the input.

    A conversation has them already, and the input before them: there only the results are new.
    """
    document = Document(body)
    outputs = [_output(answer, result) for result in results]
    node = document.get(0, "input")
    if given(document, 0, "conversation") >= 0 and node >= 0:
        return splice(body, replace(document, node, b"[" + b",".join(outputs) + b"]"))
    return splice(body, _inserted(document, [*_items(document, answer), *outputs], at_end=True))


def _items(document: Document, answer: Answer, gone: Collection[int] = ()) -> list[bytes]:
    """The output items as input of a request, without the calls at some nodes and the reasoning that led to them."""
    stored = document.get(0, "store")
    forgotten = stored >= 0 and document.kind(stored) == FALSE
    items: list[bytes] = []
    follows = -1
    for part in reversed(answer.parts):
        if part.kind is not PartKind.LEADING:
            follows = part.node
        is_name_only = part.kind is PartKind.LEADING and forgotten and _is_name_only(answer.document, part.node)
        if follows not in gone and not is_name_only:
            items.append(answer.document.raw(part.node))
    return items[::-1]


def _is_name_only(document: Document, reasoning: int) -> bool:
    """The item only names reasoning that the provider would have kept: without `store` it is refused."""
    return all(given(document, reasoning, key) < 0 for key in ("encrypted_content", "content"))


def _output(answer: Answer, result: ToolResult) -> bytes:
    """A result of ours. It has no id: that of the call would make it unfindable."""
    members: dict[str, bytes] = {
        "type": b'"function_call_output"',
        "call_id": literal(result.call.id),
        "output": literal(result.text),
    }
    for part in answer.parts:
        if part.call is not None and part.call.id == result.call.id:
            caller = given(answer.document, part.node, "caller")
            if caller >= 0:
                members["caller"] = answer.document.raw(caller)
    return _object(members)


def _object(members: Mapping[str, bytes]) -> bytes:
    return b"{" + b",".join(literal(key) + b":" + value for key, value in members.items()) + b"}"


def _inserted(document: Document, items: Sequence[bytes], *, at_end: bool) -> list[Edit]:
    """The edits that add items to the input, whatever form it has."""
    node = document.get(0, "input")
    if node < 0:
        return insert_members(document, 0, {"input": b"[" + b",".join(items) + b"]"})
    if document.kind(node) == NULL:
        return replace(document, node, b"[" + b",".join(items) + b"]")
    if document.kind(node) == STRING:
        said = b'{"role":"user","content":' + document.raw(node) + b"}"
        return replace(document, node, b"[" + b",".join([said, *items] if at_end else [*items, said]) + b"]")
    elements = document.elements(node)
    at = len(elements) if at_end else 0
    if at_end and elements and type_of(document, elements[-1]) == "compaction_trigger":  # which has to be the last one
        at -= 1
    return insert_elements(document, node, at, items)


def turns_of(payload: Payload) -> list[Turn]:
    """The turns of a request; `data` has the positions of its first item and of the one behind it."""
    document = payload.document
    items = elements_at(document, 0, "input")
    kinds = [type_of(document, item) for item in items]
    calls: dict[str, bool] = {}  # by id, whether the provider answers it
    for item, kind in zip(items, kinds, strict=True):
        if kind in CALLS:
            calls |= dict.fromkeys(keys_of(document, item), runs_at_provider(document, item, kind))
    turns: list[Turn] = []
    start = held = -1
    for at, (item, kind) in enumerate(zip([*items, -1], [*kinds, ""], strict=True)):
        key = key_of(document, item) if kind in OUTPUTS else ""
        continues = calls.get(key, False) if key else bool(kind) and is_of_the_model(document, item, kind)
        if continues and start < 0:
            start = at
        elif not continues and start >= 0:
            turns.append(_turn(document, items[start:at], (start, at)))
            start = -1
        lacks = payload.held != "" and bool(key) and key not in calls
        if lacks and held < 0:
            held = at
        elif not lacks and held >= 0:
            known = tuple(ToolCall(key_of(document, output), "", "") for output in items[held:at])
            turns.append(Turn("", known, start=document.span(items[held])[0], held=True, data=(held, at)))
            held = -1
    return turns


def turn_of(answer: Answer) -> Turn:
    """The turn that an answer becomes."""
    return _turn(answer.document, [part.node for part in answer.parts], None)


def _turn(document: Document, items: Sequence[int], data: tuple[int, int] | None) -> Turn:
    messages = [item for item in items if type_of(document, item) == "message"]
    texts = comparable(document.text(node) for item in messages for node in said_in(document, item))
    calls = tuple(call for call in (call_of(document, item) for item in items) if call is not None)
    return Turn(texts, calls, start=document.span(items[0])[0] if items and data else 0, data=data)


def replayed(payload: Payload, turn: Turn, rounds: Sequence[Round]) -> list[Edit]:
    """The edits that put the rounds in place of a turn; of one that the provider holds, only the outputs of the last round."""
    document = payload.document
    items = elements_at(document, 0, "input")
    *hidden, last = rounds
    outputs = [_output(last.answer, result) for result in last.results]
    ours, others = ranks(last)
    if turn.held:
        first, end = turn.data or (0, 0)
        if not outputs:
            return []
        if not items:
            return _inserted(document, outputs, at_end=False)
        theirs = _ranks(document, items[first:end], others)
        return [
            edit
            for rank, output in zip(ours, outputs, strict=False)
            for edit in insert_elements(document, document.get(0, "input"), first + place(rank, theirs), [output])
        ]
    first, end = turn.data
    pieces: list[bytes] = []
    for each in hidden:
        pieces += [*_items(document, each.answer), *(_output(each.answer, result) for result in each.results)]
    spans = [document.span(item) for item in items]
    own = document.data[spans[first][0] : spans[end - 1][1]]
    pieces += _items(document, last.answer, unanswered(last, turn)) or [own]
    theirs = _ranks(document, items[end:], others)
    edits = []
    for rank, output in zip(ours, outputs, strict=False):
        before = place(rank, theirs)
        if before == 0:
            pieces.append(output)
        else:
            at = spans[end + before - 1][1]
            edits.append(Edit(at, at, b"," + output))
    return [Edit(spans[first][0], spans[end - 1][1], b",".join(pieces)), *edits]


def _ranks(document: Document, behind: Sequence[int], others: Sequence[tuple[int, ToolCall]]) -> list[int]:
    """The places among all calls of those that the items behind a turn answer, as far as they answer any."""
    known = {call.id: rank for rank, call in others}
    found = []
    for item in behind:
        if type_of(document, item) not in OUTPUTS:
            break
        found.append(known.get(key_of(document, item), -1))
    return found


def paired_wrongly(document: Document) -> frozenset[str]:
    """Ids of calls that are not answered exactly once by an output behind them, and of outputs that answer no such call.

    Calls that only the model's own items follow wait for their outputs.
    """
    open_calls: dict[str, int] = {}
    known: dict[str, str] = {}
    wrong: set[str] = set()
    waiting: set[str] = set()
    for item in elements_at(document, 0, "input"):
        kind = type_of(document, item)
        if kind in OUTPUTS:
            key = known.get(key_of(document, item), "")
            if key:
                open_calls[key] += 1
            else:
                wrong.add(key_of(document, item))
            waiting.clear()
        elif (call := call_of(document, item)) is not None:
            if call.id in open_calls:
                wrong.add(call.id)
            open_calls[call.id] = 0
            known |= dict.fromkeys([call.id, *keys_of(document, item)], call.id)
            waiting.add(call.id)
        elif not is_of_the_model(document, item, kind):
            waiting.clear()
    return frozenset(wrong | {key for key, count in open_calls.items() if count != 1 and not (key in waiting and count == 0)})


def reconciled(payload: Payload, refusal: bytes, text: str) -> list[Edit]:
    """The edits that a refusal asks for: an output for a call that the request has nothing to do with, or a call for an output
    whose own is in a response that nobody knows the name of.
    """
    document = payload.document
    items = elements_at(document, 0, "input")
    if not payload.held:
        return []
    if found := _UNANSWERED.search(refusal):
        call_id = found[1].decode("ascii")
        if any(call_id in keys_of(document, item) for item in items):
            return []
        members = {"type": b'"function_call_output"', "call_id": literal(call_id), "output": literal(text)}
        return _inserted(document, [_object(members)], at_end=False)
    if found := _UNASKED.search(refusal):
        call_id = found[1].decode("ascii")
        stranded = [item for item in items if key_of(document, item) == call_id and type_of(document, item) in _STAND_INS]
        if any((call := call_of(document, item)) is not None and call.id == call_id for item in items):
            return []  # that was tried
        calls = {item: _STAND_INS[type_of(document, item)] % literal(call_id) for item in stranded}
        return [edit for item, call in calls.items() for edit in replace(document, item, call + b"," + document.raw(item))]
    return []


def reheld(payload: Payload, held: str) -> list[Edit]:
    """The edits that let a request go on from another response. A conversation has one id for good."""
    node = given(payload.document, 0, "previous_response_id")
    return replace(payload.document, node, literal(held)) if node >= 0 and text_at(payload.document, node) else []
