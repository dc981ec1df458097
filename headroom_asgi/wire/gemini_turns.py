"""The model's turns in conversations with Gemini: found in a request, put behind it, and put back into it.

A turn is a run of model Contents: clients that keep the chunks of a stream have one for each. Calls often have no id; then
results belong to them by name and order.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Sequence
from itertools import groupby

from headroom_asgi._crush import OBJECT, Document
from headroom_asgi.types import Edit, ToolCall, ToolResult
from headroom_asgi.wire.answers import Answer, PartKind, Round, Turn
from headroom_asgi.wire.gemini_parts import (
    SENT_SENTINEL,
    SENTINEL,
    call_of,
    is_array,
    is_blank,
    member,
    read_part,
    several,
    signature_of,
    text_of,
)
from headroom_asgi.wire.splice import dump, insert_elements, insert_members, literal, replace, splice
from headroom_asgi.wire.turns import comparable, place, ranks, unanswered

Run = tuple[int, ...]  # nodes of Contents


def root_of(document: Document) -> int:
    """The node of the request proper: the body, or what a request to count tokens wraps."""
    wrapped = member(document, 0, "generateContentRequest")
    if member(document, 0, "contents") < 0 and wrapped >= 0 and document.kind(wrapped) == OBJECT:
        return wrapped
    return 0


def contents_of(document: Document) -> list[int]:
    """The nodes of the Contents."""
    return several(document, member(document, root_of(document), "contents"))


def parts_in(document: Document, content: int) -> list[int]:
    """The nodes of a Content's parts."""
    return several(document, member(document, content, "parts"))


def runs(document: Document) -> Iterator[tuple[bool, Run]]:
    """The Contents in runs: whether they are the model's, and their nodes."""
    for is_model, run in groupby(contents_of(document), lambda content: text_of(document, content, "role") == "model"):
        yield is_model, tuple(run)


def calls_in(document: Document, run: Run) -> list[int]:
    """The nodes of the parts with function calls."""
    return [part for content in run for part in parts_in(document, content) if call_of(document, part) >= 0]


def responses_in(document: Document, run: Run) -> list[tuple[int, int]]:
    """The nodes of the parts with function responses, and of the responses."""
    found = []
    for content in run:
        for part in parts_in(document, content):
            response = member(document, part, "functionResponse")
            if response >= 0 and document.kind(response) == OBJECT:
                found.append((part, response))
    return found


def matched(document: Document, responses: Sequence[int], calls: Sequence[ToolCall]) -> list[int]:
    """For each response the position of the call that it answers, -1 if there is none: by id, else by name and order.

    Later responses change nothing for earlier ones.
    """
    by_id = {call.id: i for i, call in enumerate(calls) if call.id}
    waiting: dict[tuple[str, bool], deque[int]] = defaultdict(deque)  # by name, and whether the call has an id
    for i, call in enumerate(calls):
        waiting[call.name, bool(call.id)].append(i)
    claimed: set[int] = set()
    found: list[int] = []
    for response in responses:
        key, name = text_of(document, response, "id"), text_of(document, response, "name")
        at = by_id.get(key, -1)
        if at < 0:
            # A response with an id that none of the calls has can only answer one without.
            queues = [waiting[name, False]] if key else [waiting[name, False], waiting[name, True]]
            for queue in queues:
                while queue and queue[0] in claimed:
                    queue.popleft()
            at = min((queue[0] for queue in queues if queue), default=-1)
        claimed.add(at)
        found.append(at)
    return found


def appended(body: bytes, answer: Answer, results: Sequence[ToolResult]) -> bytes:
    """The next round's body."""
    document = Document(body)
    contents = member(document, root_of(document), "contents")
    added = [_model_content(answer) or b'{"role":"model","parts":[]}', _results_content(results)]
    if is_array(document, contents):
        return splice(body, insert_elements(document, contents, document.count(contents), added))
    return splice(body, replace(document, contents, b"[" + b",".join([document.raw(contents), *added]) + b"]"))


def turns_of(document: Document) -> list[Turn]:
    """The turns of a request; `data` is the number of the run."""
    return [_turn(document, run, number) for number, (is_model, run) in enumerate(runs(document)) if is_model]


def turn_of(answer: Answer) -> Turn:
    """The turn that an answer becomes."""
    texts = [answer.document.text(answer.document.get(part.node, "text")) for part in answer.parts if part.kind is PartKind.TEXT]
    return Turn(comparable(texts), answer.calls)


def _turn(document: Document, run: Run, number: int) -> Turn:
    parts = [read_part(document, part) for content in run for part in parts_in(document, content)]
    texts = [text_of(document, part.node, "text") for part in parts if part.kind is PartKind.TEXT]
    calls = tuple(part.call for part in parts if part.call is not None)
    return Turn(comparable(texts), calls, start=document.span(run[0])[0], data=number)


def replay_edits(document: Document, turn: Turn, rounds: Sequence[Round]) -> list[Edit]:
    """The edits that put the rounds in place of a turn."""
    conversation = list(runs(document))
    run = conversation[turn.data][1]
    behind = conversation[turn.data + 1][1] if turn.data + 1 < len(conversation) else ()
    *hidden, last = rounds
    pieces = [piece for each in hidden for piece in (_model_content(each.answer), _results_content(each.results)) if piece]
    start, end = document.span(run[0])[0], document.span(run[-1])[1]
    # No turn may be without content: the client's own says why there is none.
    pieces.append(_model_content(last.answer, unanswered(last, turn)) or document.data[start:end])
    results, edits = _among(document, behind, last)
    return [Edit(start, end, b",".join(pieces + results)), *edits]


def _among(document: Document, behind: Run, last: Round) -> tuple[list[bytes], list[Edit]]:
    """Our results of a mixed turn among the client's, in the order of the calls.

    Returns a Content to put behind the turn if the client has no results, and the edits of those it has.
    """
    ours, others = ranks(last)
    if not ours:
        return [], []
    responses = responses_in(document, behind)
    if not responses:
        return [_results_content(last.results)], []
    calls = [call for _, call in others]
    answered = matched(document, [response for _, response in responses], calls)
    theirs = [others[i][0] if i >= 0 else -1 for i in answered]
    edits = []
    for rank, result in zip(ours, last.results, strict=False):
        before = place(rank, theirs)
        part, after = (responses[0][0], False) if before == 0 else (responses[before - 1][0], True)
        edits.append(_beside(document, part, dump(_result(result)), after=after))
    return [], edits


def _beside(document: Document, part: int, spelled: bytes, *, after: bool) -> Edit:
    start, end = document.span(part)
    return Edit(end, end, b"," + spelled) if after else Edit(start, start, spelled + b",")


def _model_content(answer: Answer, gone: frozenset[int] = frozenset()) -> bytes:
    """The Content of an answer: the very bytes of its parts, except blank ones and calls to leave out; b"" if none is left."""
    document = answer.document
    kept = [document.raw(part.node) for part in answer.parts if part.node not in gone and not is_blank(document, part.node)]
    return b'{"role":"model","parts":[' + b",".join(kept) + b"]}" if kept else b""


def _results_content(results: Sequence[ToolResult]) -> bytes:
    return dump({"role": "user", "parts": [_result(result) for result in results]})


def _result(result: ToolResult) -> dict[str, object]:
    named = {"id": result.call.id} if result.call.id else {}
    response = {"error" if result.is_error else "output": result.text}
    return {"functionResponse": {**named, "name": result.call.name, "response": response}}


def signature_edits(document: Document, *, checked: bool) -> list[Edit]:
    """The edits that spell our sentinel as the API knows it, and put it on first calls of a step that have no signature.

    Args:
        document: the request.
        checked: the model refuses calls without a signature.
    """
    edits: list[Edit] = []
    for is_model, run in runs(document):
        for i, part in enumerate(calls_in(document, run) if is_model else ()):
            signature = signature_of(document, part)
            node = _signature_node(document, part)
            if signature == SENT_SENTINEL:
                edits += replace(document, node, literal(SENTINEL))
            elif i == 0 and checked and not signature:
                spelled = literal(SENTINEL)
                edits += replace(document, node, spelled) if node >= 0 else _signed(document, part, spelled)
    return edits


def _signature_node(document: Document, part: int) -> int:
    """The node of a signature, null and empty ones too; -1 if there is none."""
    return max(document.get(part, key) for key in ("thoughtSignature", "thought_signature"))


def _signed(document: Document, part: int, spelled: bytes) -> list[Edit]:
    is_camel = document.get(part, "functionCall") >= 0
    return insert_members(document, part, {"thoughtSignature" if is_camel else "thought_signature": spelled})


def unpaired_in(document: Document) -> frozenset[str]:
    """Ids (names, where there are none) of calls that the run behind them does not answer once, and of results without a call."""
    wrong: set[str] = set()
    calls: list[ToolCall] = []
    for is_model, run in runs(document):
        if is_model:
            calls = [call for call in (read_part(document, part).call for part in calls_in(document, run)) if call is not None]
            continue
        responses = [response for _, response in responses_in(document, run)]
        answered = matched(document, responses, calls)
        times = Counter(answered)
        wrong |= {call.id or call.name for i, call in enumerate(calls) if times[i] != 1}
        wrong |= {_key(document, response) for response, at in zip(responses, answered, strict=True) if at < 0}
        calls = []
    return frozenset(wrong)


def _key(document: Document, response: int) -> str:
    return text_of(document, response, "id") or text_of(document, response, "name")
