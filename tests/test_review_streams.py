"""Ends of streams and of refusals: what a last event tells alone, indices of what is begun anew, and errors that come second."""

import json
import re
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from test_hostile_upstreams import names_of, stream
from test_too_large import LONG, Asked, Upstream

from headroom_asgi import HeadroomMiddleware
from headroom_asgi.retrieval import TOOL
from headroom_asgi.store import MemoryStore
from headroom_asgi.types import Receive, Scope, Send
from headroom_asgi.wire.openai_chat_assembly import Assembly
from tests.driver import ORDERS, Inner, answer_json, answer_stream, post, whole_body
from tests.talks import FIELDS

pytestmark = pytest.mark.anyio
RESPONSES = "/v1/responses"
CHAT = "/v1/chat/completions"
EMPTY = {"id": "msg_0", "type": "message", "role": "assistant", "status": "completed", "content": []}
MARKER = re.compile(rb"<<ccr:([0-9a-f]{32}-\d+)")


def hidden(ref: str) -> dict[str, Any]:
    """An item that calls our tool."""
    arguments = json.dumps({"ref": ref})
    return {
        "id": "fc_own",
        "type": "function_call",
        "call_id": "call_own",
        "name": TOOL.name,
        "arguments": arguments,
        "status": "completed",
    }


def event(number: int, kind: str, **members: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, 'sequence_number': number, **members})}\n\n".encode()


def told(data: bytes) -> list[dict[str, Any]]:
    """The events of a stream."""
    return [json.loads(line[6:]) for line in data.splitlines() if line.startswith(b"data: {")]


# -- what only the last event tells ------------------------------------------------------------------------------------


@pytest.mark.parametrize("parts", [1, len(LONG)], ids=["held", "beyond the bound"])
async def test_a_call_of_ours_that_only_the_last_event_tells_of_never_reaches_the_client(parts: int) -> None:
    data = stream("responses", 1, *LONG[:parts])
    last = told(data)[-1]
    assert last["type"] == "response.completed"
    last["response"]["output"].append(hidden("aa"))
    head, _, _ = data.rpartition(b"event: response.completed")
    changed = head + event(last["sequence_number"], "response.completed", response=last["response"])
    inner = Upstream(changed, b"text/event-stream")
    received = await Asked(inner, listens=False).of("responses", streamed=True)
    assert received.complete
    assert TOOL.name.encode() not in received.body
    assert b"call_own" not in received.body
    assert (b"cannot be followed" in received.body) == (parts > 1)


# -- a stream that is begun anew ---------------------------------------------------------------------------------------


class Hidden:
    """A provider whose first answer is an empty message and a call of ours, and whose second one says something."""

    def __init__(self) -> None:
        self.rounds = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = MARKER.search(await whole_body(receive))
        assert found is not None
        self.rounds += 1
        await answer_stream(self.first(found[1].decode()) if self.rounds == 1 else self.second())(b"", send)

    def first(self, ref: str) -> list[bytes]:
        call = hidden(ref)
        return [
            event(0, "response.created", response=self.response("in_progress")),
            event(1, "response.output_item.added", output_index=0, item=EMPTY),
            event(2, "response.output_item.done", output_index=0, item=EMPTY),
            event(3, "response.output_item.added", output_index=1, item={**call, "arguments": "", "status": "in_progress"}),
            event(4, "response.function_call_arguments.done", output_index=1, item_id="fc_own", arguments=call["arguments"]),
            event(5, "response.output_item.done", output_index=1, item=call),
            event(6, "response.completed", response=self.response("completed", EMPTY, call)),
        ]

    def second(self) -> list[bytes]:
        part = {"type": "output_text", "text": "hello", "annotations": []}
        message = {**EMPTY, "id": "msg_1", "content": [part]}
        at = {"output_index": 0, "content_index": 0, "item_id": "msg_1"}
        return [
            event(0, "response.created", response=self.response("in_progress")),
            event(1, "response.output_item.added", output_index=0, item={**message, "content": [], "status": "in_progress"}),
            event(2, "response.content_part.added", **at, part={**part, "text": ""}),
            event(3, "response.output_text.delta", **at, delta="hello"),
            event(4, "response.output_text.done", **at, text="hello"),
            event(5, "response.content_part.done", **at, part=part),
            event(6, "response.output_item.done", output_index=0, item=message),
            event(7, "response.completed", response=self.response("completed", message)),
        ]

    def response(self, status: str, *output: dict[str, Any]) -> dict[str, Any]:
        head = {"id": f"resp_{self.rounds}", "object": "response", "model": "gpt-4o", "status": status}
        return {**head, "output": output, "usage": None}


async def test_a_stream_behind_a_round_that_nobody_saw_counts_its_items_from_zero() -> None:
    inner = Hidden()
    call = {"type": "function_call", "call_id": "c1", "name": "search", "arguments": "{}"}
    result = {"type": "function_call_output", "call_id": "c1", "output": json.dumps(ORDERS)}
    asked = [{"role": "user", "content": "What is up?"}, call, result]
    app = HeadroomMiddleware(inner, discover=False)
    received = await post(app, RESPONSES, {**FIELDS["openai-responses"], "stream": True, "input": asked})
    events = told(received.body)
    assert inner.rounds == 2
    assert {seen["output_index"] for seen in events if "output_index" in seen} == {0}
    assert [seen["sequence_number"] for seen in events] == list(range(len(events)))
    assert [item["id"] for item in events[-1]["response"]["output"]] == ["msg_1"]
    assert names_of("responses", received.body) == []


# -- answers that cannot be read, and errors that come second ----------------------------------------------------------


@pytest.mark.parametrize("shared", [False, True], ids=["in memory", "shared"])
async def test_one_answer_that_nobody_can_read_is_enough_to_spare_new_conversations(shared: bool) -> None:
    inner = Inner(answer_json(b"\x00\x01", headers=[(b"content-encoding", b"x-unknown")]))
    app = HeadroomMiddleware(inner, discover=False, store=MemoryStore(shared=shared))
    tool = {"type": "function", "function": {"name": "search", "parameters": {"type": "object", "properties": {}}}}
    for number in range(3):
        messages = [{"role": "user", "content": f"Question {number}."}]
        await post(app, CHAT, {"model": "gpt-4o", "tools": [tool], "messages": messages})
    assert [TOOL.name.encode() in body for body in inner.bodies] == [True, False, False]


async def test_a_busy_provider_behind_a_mended_refusal_is_what_the_client_hears_of() -> None:
    lost = {"error": {"message": "No tool output found for function call call_7.", "type": "invalid_request_error"}}
    busy = {"error": {"message": "Rate limit reached", "type": "rate_limit"}}
    inner = Inner(answer_json(lost, 400), answer_json(busy, 429, headers=[(b"retry-after", b"1")]))
    app = HeadroomMiddleware(inner, discover=False, store=MemoryStore(shared=True))
    body = {**FIELDS["openai-responses"], "store": True, "input": "go on", "previous_response_id": "resp_0"}
    received = await post(app, RESPONSES, body)
    assert len(inner.bodies) == 2
    assert (received.status, received.json()) == (429, busy)
    assert received.headers["retry-after"] == "1"


# -- what is held beyond the bound -------------------------------------------------------------------------------------


def _chunks(index: int) -> Iterator[dict[str, Any]]:
    for number in range(500):
        yield {"id": "x", "choices": [{"index": index, "delta": {"content": f"{number:05}" + "z" * 3000}}]}


def _members() -> Iterator[dict[str, Any]]:
    for number in range(500):
        yield {"id": "x", f"member {number}": f"{number:05}" + "z" * 3000, "choices": [{"index": 0, "delta": {}}]}


@pytest.mark.parametrize(
    "chunks", [_chunks(0), _chunks(1), _members()], ids=["a choice that was there", "one that begins now", "members beside them"]
)
def test_nothing_is_held_of_what_comes_after_an_answer_was_forgotten(chunks: Iterator[dict[str, Any]]) -> None:
    assembly = Assembly()
    assembly.add({"id": "x", "choices": [{"index": 0, "delta": {"content": "well"}}]})
    assembly.forget()
    tracemalloc.start()
    try:
        for chunk in chunks:
            assembly.add(chunk)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 200_000  # of a million and a half
