"""Content of a first round that has to wait for what comes behind it: the client's stream is kept alive meanwhile."""

import json
from collections.abc import Sequence
from typing import Any

import anyio
import pytest

from tests.driver import (
    PATHS,
    TABLE,
    both_dialects,
    http_scope,
    question_body,
    staying,
    stream_of,
    text_answer,
    whole_body,
    wrapped,
)
from tests.talks import FIELDS

pytestmark = pytest.mark.anyio
PINGS = {
    "openai-chat": b": keep-alive\n\n",
    "anthropic": b'event: ping\ndata: {"type":"ping"}\n\n',
    "openai-responses": b": keep-alive\n\n",
}
STRUCTURED: dict[str, dict[str, Any]] = {
    "openai-chat": {"response_format": {"type": "json_object"}},
    "anthropic": {"output_config": {"format": {"type": "json_schema", "schema": {}}}},
}


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Thinking:
    """An inner app whose stream stops for a while before its last frames: until the client saw so many signs of life, or never."""

    def __init__(self, frames: Sequence[bytes], at: int, ping: bytes, signs: int) -> None:
        self.frames, self.at, self.ping, self.signs = frames, at, ping, signs
        self.seen = b""
        self.enough = anyio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await whole_body(receive)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        for number, frame in enumerate(self.frames):
            if number == self.at:
                with anyio.move_on_after(30.0 if self.signs else 0.4):
                    await self.enough.wait()
            await send({"type": "http.response.body", "body": frame, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def asked(self, path: str, body: dict[str, Any]) -> bytes:
        """What the client gets."""

        async def send(message: Any) -> None:
            self.seen += message.get("body", b"")
            if self.signs and self.seen.count(self.ping) >= self.signs:
                self.enough.set()

        await wrapped(self, keep_alive_s=0.1, hold_s=0.01)(http_scope(path), staying(body), send)
        return self.seen


@both_dialects
async def test_structured_output_that_is_held_is_no_silence(dialect: str) -> None:
    frames = stream_of(dialect, text_answer(dialect, '{"answer": 7}'))
    inner = Thinking(frames, len(frames) - 2, PINGS[dialect], signs=3)
    seen = await inner.asked(PATHS[dialect], question_body(dialect, TABLE, stream=True, **STRUCTURED[dialect]))
    assert seen.count(PINGS[dialect]) >= 3
    assert seen.replace(PINGS[dialect], b"") == b"".join(frames)  # between its frames


@both_dialects
async def test_a_stream_that_says_nothing_by_itself_is_left_to_itself(dialect: str) -> None:
    frames = stream_of(dialect, text_answer(dialect, "fine"))
    inner = Thinking(frames, 2, PINGS[dialect], signs=0)
    assert await inner.asked(PATHS[dialect], question_body(dialect, TABLE, stream=True)) == b"".join(frames)


async def test_reasoning_that_is_held_is_no_silence() -> None:
    def event(kind: str, **members: Any) -> bytes:
        return f"event: {kind}\ndata: {json.dumps({'type': kind, **members})}\n\n".encode()

    response = {"id": "resp_1", "object": "response", "status": "in_progress", "output": [], "model": "m"}
    part = {"type": "summary_text", "text": "abab"}
    thought = {"type": "reasoning", "id": "rs_1", "summary": [part]}
    said = {"type": "output_text", "text": "hi", "annotations": []}
    message = {"type": "message", "id": "m1", "role": "assistant", "status": "completed", "content": [said]}
    of = {"item_id": "rs_1", "output_index": 0, "summary_index": 0}
    usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    frames = [
        event("response.created", response=response),
        event("response.output_item.added", output_index=0, item={**thought, "summary": []}),
        event("response.reasoning_summary_part.added", **of, part={**part, "text": ""}),
        event("response.reasoning_summary_text.delta", **of, delta="ab"),
        event("response.reasoning_summary_text.delta", **of, delta="ab"),
        event("response.reasoning_summary_part.done", **of, part=part),
        event("response.output_item.done", output_index=0, item=thought),
        event("response.output_item.added", output_index=1, item={**message, "content": []}),
        event("response.output_item.done", output_index=1, item=message),
        event("response.completed", response={**response, "status": "completed", "output": [thought, message], "usage": usage}),
    ]
    inner = Thinking(frames, 4, PINGS["openai-responses"], signs=3)
    body = {**FIELDS["openai-responses"], "stream": True, "input": [{"role": "user", "content": "hi"}]}
    seen = await inner.asked("/v1/responses", body)
    assert seen.count(PINGS["openai-responses"]) >= 3
    assert seen.replace(PINGS["openai-responses"], b"") == b"".join(frames)
