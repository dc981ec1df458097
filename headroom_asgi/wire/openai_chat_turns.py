"""The model's turns in conversations of OpenAI Chat Completions: found in a request, put behind it, and put back into it."""

from collections.abc import Sequence

from headroom_asgi._crush import STRING, Document
from headroom_asgi.types import Edit, ToolCall, ToolResult
from headroom_asgi.wire.answers import Answer, Round, Turn
from headroom_asgi.wire.nodes import elements_at, find, text_at
from headroom_asgi.wire.openai_chat_answer import call_part, message_without
from headroom_asgi.wire.splice import dump, insert_elements, splice
from headroom_asgi.wire.turns import comparable, replay_messages


def texts_of(document: Document, message: int) -> tuple[int, ...]:
    """The text nodes of a message: its content, or that of every text part of it."""
    content = document.get(message, "content")
    if content >= 0 and document.kind(content) == STRING:
        return (content,)
    parts = [part for part in elements_at(document, content) if text_at(document, part, "type") == "text"]
    nodes = (document.get(part, "text") for part in parts)
    return tuple(node for node in nodes if node >= 0 and document.kind(node) == STRING)


def appended(body: bytes, answer: Answer, results: Sequence[ToolResult]) -> bytes:
    """The next round's body."""
    document = Document(body)
    messages = document.get(0, "messages")
    added = [message_without(answer, frozenset()), *map(_result, results)]
    return splice(body, insert_elements(document, messages, document.count(messages), added))


def turns_of(document: Document) -> list[Turn]:
    """The turns of a request; `data` is the position of the message."""
    messages = elements_at(document, 0, "messages")
    roles = (text_at(document, message, "role") for message in messages)
    return [_turn(document, messages[at], at) for at, role in enumerate(roles) if role == "assistant"]


def turn_of(answer: Answer) -> Turn:
    """The turn that an answer becomes."""
    choice = elements_at(answer.document, 0, "choices")[0]
    return _turn(answer.document, find(answer.document, choice, "message"))


def replay_edits(document: Document, turn: Turn, rounds: Sequence[Round]) -> list[Edit]:
    """The edits that put the rounds in place of a turn."""

    def ranks_of(behind: Sequence[int], others: Sequence[tuple[int, ToolCall]]) -> list[int]:
        ranks = {call.id: rank for rank, call in others}
        found = []
        for message in behind:
            if text_at(document, message, "role") != "tool":
                break
            found.append(ranks.get(text_at(document, message, "tool_call_id"), -1))
        return found

    return replay_messages(
        document,
        elements_at(document, 0, "messages"),
        turn,
        rounds,
        turn_of=message_without,
        result_of=_result,
        ranks_of=ranks_of,
    )


def _turn(document: Document, message: int, at: int | None = None) -> Turn:
    texts = comparable(document.text(node) for node in texts_of(document, message))
    parts = (call_part(document, node) for node in elements_at(document, document.get(message, "tool_calls")))
    calls = tuple(part.call for part in parts if part.call is not None)
    return Turn(texts, calls, start=document.span(message)[0], data=at)


def _result(result: ToolResult) -> bytes:
    return dump({"role": "tool", "tool_call_id": result.call.id, "content": result.text})
