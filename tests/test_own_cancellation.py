"""An inner app that is canceled by something that it awaits, while nobody canceled it: what it raises comes out, as without us."""

import asyncio
from typing import Any

import pytest

from headroom_asgi.types import Send
from tests.driver import (
    PATHS,
    TABLE,
    Inner,
    answer_json,
    answer_stream,
    call_answer,
    http_scope,
    post,
    question_body,
    staying,
    stream_of,
    streamed_or_not,
    text_answer,
    wrapped,
)

pytestmark = pytest.mark.anyio
PATH = PATHS["openai-chat"]
REFUSED = answer_json({"error": "registry.ollama.ai/library/x does not support tools"}, 400)
ASKING = answer_json(call_answer("openai-chat", ("own", "headroom_retrieve", {"ref": "x"})))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # trio's tasks cannot cancel each other


async def resting(body: bytes, send: Send) -> None:
    await ASKING(body, send)
    await asyncio.sleep(60)


async def canceled(body: bytes, send: Send) -> None:
    task = asyncio.ensure_future(asyncio.sleep(60))
    await asyncio.sleep(0)
    task.cancel()
    await task


@pytest.mark.parametrize("mode", ["ccr", "lossless"])
async def test_in_the_first_call_and_in_the_second_one(mode: str) -> None:
    for reactions in ([canceled], [REFUSED, canceled]):
        inner = Inner(*reactions)
        with pytest.raises(asyncio.CancelledError):
            await post(wrapped(inner, mode=mode), PATH, question_body("openai-chat", TABLE))
        assert len(inner.bodies) == len(reactions)
        task = asyncio.current_task()
        assert task is not None
        assert not task.cancelling()


@streamed_or_not
async def test_behind_a_whole_round_it_keeps_nobody_from_getting_an_answer(stream: bool) -> None:
    asks = call_answer("openai-chat", ("own", "headroom_retrieve", {"ref": "x"}))
    found = text_answer("openai-chat", "It is there.")
    first, last = (answer_stream(stream_of("openai-chat", each)) if stream else answer_json(each) for each in (asks, found))

    async def then(body: bytes, send: Send) -> None:
        await first(body, send)
        await canceled(body, send)

    got: list[Any] = []

    async def send(message: Any) -> None:
        got.append(message)

    with pytest.raises(asyncio.CancelledError):
        await wrapped(Inner(then, last))(http_scope(PATH), staying(question_body("openai-chat", TABLE, stream=stream)), send)
    assert b"here." in b"".join(message.get("body", b"") for message in got)
    assert not got[-1].get("more_body", False)


@streamed_or_not
@pytest.mark.parametrize("text", ["", "Let me look."])
async def test_in_a_later_round(text: str, stream: bool) -> None:
    asks = call_answer("openai-chat", ("own", "headroom_retrieve", {"ref": "x"}), text=text)
    inner = Inner(answer_stream(stream_of("openai-chat", asks)) if stream else answer_json(asks), canceled)
    with pytest.raises(asyncio.CancelledError):
        await post(wrapped(inner), PATH, question_body("openai-chat", TABLE, stream=stream))
    assert len(inner.bodies) == 2


@pytest.mark.parametrize(
    ("mode", "first"), [("lossless", REFUSED), ("ccr", REFUSED), ("ccr", ASKING), ("ccr", resting), ("ccr", None)]
)
async def test_one_who_cancels_the_request_is_not_mistaken_for_it(mode: str, first: Any) -> None:
    waits, ended = asyncio.Event(), []

    async def slow(body: bytes, send: Send) -> None:
        waits.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append(True)
            raise

    async def nothing(message: Any) -> None:
        """Nobody is there."""

    app = wrapped(Inner(first, slow) if first is not None else Inner(slow), mode=mode)
    request = asyncio.ensure_future(app(http_scope(PATH), staying(question_body("openai-chat", TABLE)), nothing))
    await asyncio.wait_for(waits.wait(), 5)
    request.cancel("enough")
    with pytest.raises(asyncio.CancelledError, match="enough"):
        await asyncio.wait_for(request, 5)
    assert ended == [True]
