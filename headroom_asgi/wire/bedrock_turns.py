"""The model's turns in conversations of Bedrock Converse: found in a request, put behind it, and put back into it.

Roles alternate, so a turn of the model is one message, and the user's turn behind it is one message that begins with the results.
"""

from collections.abc import Iterator, Sequence

from headroom_asgi._crush import ARRAY, Document
from headroom_asgi.types import Edit, ToolCall, ToolResult
from headroom_asgi.wire.answers import Answer, Part, Round, Turn
from headroom_asgi.wire.bedrock_answer import call_of, is_server_call, member, text_of
from headroom_asgi.wire.blocks import Blocks, staying, unsigned_edits
from headroom_asgi.wire.nodes import elements_at, find, text_at
from headroom_asgi.wire.splice import arrange, dump, insert_elements, splice
from headroom_asgi.wire.turns import comparable, place, ranks, unanswered

_BLOCKS = Blocks(
    is_signed=lambda document, block: member(document, block)[0] == "reasoningContent",
    is_call=lambda document, block: member(document, block)[0] == "toolUse",
    is_result=lambda document, block: member(document, block)[0] == "toolResult",
)
# Where a request says how Claude is to think; the second is what it was called first.
_THINKING = ("thinking", "reasoning_config")


def root_of(document: Document) -> int:
    """The node that has the conversation: in a request to count tokens it is further inside."""
    return max(find(document, 0, "input", "converse"), 0)


def messages_of(document: Document) -> list[int]:
    """The messages of a request."""
    return elements_at(document, root_of(document), "messages")


def blocks_of(document: Document, message: int, kind: str) -> list[int]:
    """The values of all content blocks of one kind."""
    members = (member(document, block) for block in elements_at(document, message, "content"))
    return [value for name, value in members if name == kind]


def calls_of(document: Document, message: int) -> list[ToolCall]:
    """The calls that the client has to answer."""
    return [call_of(document, node) for node in blocks_of(document, message, "toolUse") if not is_server_call(document, node)]


def appended(body: bytes, answer: Answer, results: Sequence[ToolResult]) -> bytes:
    """The next round's body. An answer that goes on with what the client began to say goes into that message."""
    document = Document(body)
    messages = document.get(root_of(document), "messages")
    before = document.elements(messages)
    begun = document.get(before[-1], "content") if before and text_at(document, before[-1], "role") == "assistant" else -1
    if begun < 0 or document.kind(begun) != ARRAY:
        return splice(body, insert_elements(document, messages, len(before), [_message(answer), _results_message(results)]))
    blocks = [answer.document.raw(part.node) for part in staying(answer, frozenset(), _is_blank)]
    edits = insert_elements(document, begun, document.count(begun), blocks)
    return splice(body, edits + insert_elements(document, messages, len(before), [_results_message(results)]))


def turns_of(document: Document) -> Iterator[Turn]:
    """The turns of a request; `data` is the position of the message."""
    for at, message in enumerate(messages_of(document)):
        if text_at(document, message, "role") == "assistant":
            yield _turn(document, message, at)


def turn_of(answer: Answer) -> Turn:
    """The turn that an answer becomes."""
    return _turn(answer.document, find(answer.document, 0, "output", "message"))


def replay_edits(document: Document, turn: Turn, rounds: Sequence[Round]) -> list[Edit]:
    """The edits that put the rounds in place of a turn."""
    messages = messages_of(document)
    at: int = turn.data
    *hidden, last = rounds
    pieces = [piece for each in hidden for piece in (_message(each.answer), _results_message(each.results))]
    said = _message(last.answer, unanswered(last, turn), _cache_point(document, messages[at]))
    pieces.append(said or document.raw(messages[at]))  # no turn may be without content: the client's own says why there is none
    ours, others = ranks(last)
    edits: list[Edit] = []
    behind = document.get(messages[at + 1], "content") if at + 1 < len(messages) else -1
    if ours and behind >= 0 and document.kind(behind) == ARRAY:
        edits = _among(document, behind, {call.id: rank for rank, call in others}, ours, last)
    elif ours:
        pieces.append(_results_message(last.results))
    return [Edit(*document.span(messages[at]), b",".join(pieces)), *edits]


def unsigned(document: Document) -> list[Edit]:
    """The edits that take reasoning out of the messages. Where Claude's is `enabled`, calls that wait have to begin with it."""
    root = root_of(document)
    fields = document.get(root, "additionalModelRequestFields")
    enabled = any(text_at(document, fields, name, "type") == "enabled" for name in _THINKING)
    return unsigned_edits(document, document.get(root, "messages"), _BLOCKS, leads_calls=enabled)


def _turn(document: Document, message: int, at: int | None = None) -> Turn:
    texts = [text_of(document, block) for block in elements_at(document, message, "content")]
    return Turn(comparable(texts), tuple(calls_of(document, message)), start=document.span(message)[0], data=at)


def _among(document: Document, content: int, known: dict[str, int], ours: Sequence[int], last: Round) -> list[Edit]:
    """The edits that put our results among the client's, in the order of the calls and before everything else.

    Args:
        document: the request.
        content: the content blocks of the user's turn.
        known: ranks of the client's calls by their ids.
        ours: ranks of our calls.
        last: the round.
    """
    members = [member(document, block) for block in document.elements(content)]
    ids = [text_at(document, value, "toolUseId") if kind == "toolResult" else None for kind, value in members]
    results = [position for position, key in enumerate(ids) if key is not None]
    theirs = [known.get(ids[position] or "", -1) for position in results]
    fresh: dict[int, list[bytes]] = {}
    for rank, result in zip(ours, last.results, strict=True):
        before = place(rank, theirs)
        position = results[before - 1] + 1 if before else results[0] if results else 0
        fresh.setdefault(position, []).append(_result(result))
    children: list[int | bytes] = []
    for position in range(len(ids)):
        children += [*fresh.get(position, ()), position]
    return arrange(document, content, [*children, *fresh.get(len(ids), ())])


def _message(answer: Answer, gone: frozenset[int] = frozenset(), cache_point: bytes = b"") -> bytes:
    """The message of an answer as a request takes it; b"" if nothing is left of it. What stays keeps its bytes.

    The API may send blank texts, but does not take them.

    Args:
        answer: the answer.
        gone: calls to leave out, see `staying`.
        cache_point: a block of the client that goes behind the others.
    """
    message = find(answer.document, 0, "output", "message")
    content = elements_at(answer.document, message, "content")
    kept = staying(answer, gone, _is_blank)
    if not kept:
        return b""
    nodes = {part.node for part in kept}
    children: list[int | bytes] = [i for i, block in enumerate(content) if block in nodes]
    document = Document(answer.document.raw(message))
    return splice(
        document.data, arrange(document, document.get(0, "content"), [*children, *([cache_point] if cache_point else [])])
    )


def _cache_point(document: Document, message: int) -> bytes:
    """The cache point at the end of a message, b"" if there is none."""
    blocks = elements_at(document, message, "content")
    return document.raw(blocks[-1]) if blocks and member(document, blocks[-1])[0] == "cachePoint" else b""


def _is_blank(document: Document, part: Part) -> bool:
    return member(document, part.node)[0] == "text" and not text_of(document, part.node).strip()


def _result(result: ToolResult) -> bytes:
    status = {"status": "error"} if result.is_error else {}
    return dump({"toolResult": {"toolUseId": result.call.id, "content": [{"text": result.text}], **status}})


def _results_message(results: Sequence[ToolResult]) -> bytes:
    return b'{"role":"user","content":[' + b",".join(_result(result) for result in results) + b"]}"
