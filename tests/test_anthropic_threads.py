"""Anthropic's own tool runner, which lets the API hold the conversation, behind the middleware: a strict API sees every call answered."""

import json
from typing import Any

import anthropic
import pytest
from anthropic import beta_async_tool

from headroom_asgi import HeadroomMiddleware
from headroom_asgi.store import MemoryStore
from headroom_asgi.types import Receive, Scope, Send
from tests.driver import TABLE, answer_json, answer_stream, stream_of, whole_body
from tests.real_server import served
from tests.test_anthropic import result, text, use

pytestmark = pytest.mark.anyio
OURS = "headroom_retrieve"


class Threads:
    """An API that holds threads: it goes on from each of its messages once, and wants each call answered in order and at once."""

    def __init__(self, *turns: list[Any], stream: bool, refuses: bool = False) -> None:
        self._turns = list(turns)
        self._stream = stream
        self._refuses = refuses
        self._held: dict[str, list[Any]] = {}
        self.bodies: list[dict[str, Any]] = []
        self.said: list[Any] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = json.loads(await whole_body(receive))
        self.bodies.append(body)
        if self._refuses and "thread" in body:
            details = {"error_code": "thread_unsupported_request", "unsupported": ["inference_hooks"]}
            error = {"type": "invalid_request_error", "message": "no threads here", "details": details}
            await answer_json({"type": "error", "error": error}, 400)(b"", send)
            return
        thread = body.get("thread") or {"type": "create"}
        before = self._held.pop(thread["previous_message_id"]) if thread["type"] == "continue" else []
        self.said = [*before, *body["messages"]]
        check(self.said)
        content = self._turns.pop(0)
        message_id = f"msg_{len(self.bodies):020}"
        self._held[message_id] = [*self.said, {"role": "assistant", "content": content}]
        answer = {
            "id": message_id,
            "type": "message",
            "role": "assistant",
            "model": "claude-opus-5-5",
            "content": content,
            "stop_reason": "tool_use" if content[-1]["type"] == "tool_use" else "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": 10, "output_tokens": 5},
        }
        reaction = answer_stream(stream_of("anthropic", answer)) if self._stream else answer_json(answer)
        await reaction(b"", send)


def check(messages: list[Any]) -> None:
    """Every call is answered by the first blocks of the next message, in order."""
    for message, following in zip(messages, [*messages[1:], None], strict=True):
        calls = [block["id"] for block in message["content"] if isinstance(block, dict) and block["type"] == "tool_use"]
        if calls:
            blocks = following["content"]
            assert [block.get("tool_use_id") for block in blocks[: len(calls)]] == calls


def asks(call_id: str) -> dict[str, Any]:
    return use(call_id, OURS, ref="nothing")


def answered(messages: list[Any]) -> list[str]:
    return [b["tool_use_id"] for m in messages for b in m["content"] if isinstance(b, dict) and b["type"] == "tool_result"]


async def run(api: Threads, *, stream: bool, thread: bool, store: MemoryStore) -> list[Any]:
    """The messages that the runner of the client's SDK got."""

    @beta_async_tool
    async def lookup(page: int) -> str:
        """Look orders up."""
        return TABLE

    app = HeadroomMiddleware(api, store=store, discover=False)
    options: dict[str, Any] = {} if thread else {"thread": False}
    with served(app) as url:
        async with anthropic.AsyncAnthropic(api_key="x", base_url=url, max_retries=0) as client:
            runner = client.beta.messages.tool_runner(
                model="claude-opus-5-5",
                max_tokens=100,
                tools=[lookup],
                messages=[{"role": "user", "content": "What is up?"}],
                stream=stream,
                **options,
            )
            if stream:
                return [await turn.get_final_message() async for turn in runner]
            return [message async for message in runner]


TURNS = [
    [text("I look it up."), use("toolu_lookup_000000001", "lookup", page=1)],
    [text("Some rows are missing."), asks("toolu_hidden_000000001")],
    [asks("toolu_hidden_000000002"), use("toolu_lookup_000000002", "lookup", page=2), asks("toolu_hidden_000000003")],
    [asks("toolu_hidden_000000004")],
    [text("All is well.")],
]
VISIBLE = [
    ["I look it up.", "toolu_lookup_000000001"],
    ["Some rows are missing.", "toolu_lookup_000000002"],
    ["All is well."],
]
CALLS = [block["id"] for turn in TURNS for block in turn if block["type"] == "tool_use"]


def seen(messages: list[Any]) -> list[list[str]]:
    return [[block.text if block.type == "text" else block.id for block in message.content] for message in messages]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("thread", [True, False], ids=["threaded", "all messages"])
async def test_hidden_rounds_and_mixed_turns_of_a_thread(stream: bool, thread: bool) -> None:
    api = Threads(*TURNS, stream=stream)
    got = await run(api, stream=stream, thread=thread, store=MemoryStore(shared=True))
    assert seen(got) == VISIBLE
    assert answered(api.said) == CALLS
    assert ("thread" in api.bodies[-1]) is thread
    assert OURS in {tool["name"] for tool in api.bodies[0]["tools"]}


async def test_without_a_shared_store_the_tool_is_not_offered_in_a_thread() -> None:
    api = Threads([text("x"), use("toolu_lookup_000000001", "lookup", page=1)], [text("done")], stream=False)
    got = await run(api, stream=False, thread=True, store=MemoryStore())
    assert seen(got)[-1] == ["done"]
    assert all([tool["name"] for tool in body.get("tools", ())] in ([], ["lookup"]) for body in api.bodies)


async def test_an_api_that_holds_no_threads_is_sent_all_messages() -> None:
    api = Threads(*TURNS, stream=False, refuses=True)
    got = await run(api, stream=False, thread=True, store=MemoryStore(shared=True))
    assert seen(got) == VISIBLE
    assert answered(api.said) == CALLS
    assert result("toolu_lookup_000000001", "")["type"] == "tool_result"
