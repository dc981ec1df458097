"""Ollama's own client behind the middleware: hidden rounds are one answer, streamed or not, and nothing of the tool is seen."""

import json
from collections.abc import Iterable
from typing import Any

import httpx
import ollama
import pytest

from headroom_asgi import HeadroomMiddleware
from headroom_asgi.types import Send
from tests.driver import ORDERS, Inner, Reaction, answer_json
from tests.test_ollama import HR, call, end, line, turn

pytestmark = pytest.mark.anyio
MESSAGES = [
    {"role": "user", "content": "What is up?"},
    turn("", call("list_orders")),
    {"role": "tool", "tool_name": "list_orders", "content": json.dumps(ORDERS)},
]
TOOLS = [{"type": "function", "function": {"name": "list_orders", "parameters": {"type": "object", "properties": {}}}}]
HIDDEN = call(HR, ref="aa")
CLIENTS = call("bash", cmd="ls")


def lines(*given: bytes, media: bytes = b"application/x-ndjson") -> Reaction:
    async def react(body: bytes, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", media)]})
        for each in given:
            await send({"type": "http.response.body", "body": each, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return react


def rounds_of(*rounds: dict[str, Any], stream: bool) -> Inner:
    """A model that answers with these messages, one after the other."""
    if not stream:
        return Inner(*(answer_json(end(message=message)) for message in rounds))
    return Inner(*(lines(*streamed(message)) for message in rounds))


def streamed(message: dict[str, Any]) -> Iterable[bytes]:
    for key in ("thinking", "content"):
        for character in message.get(key, ""):
            yield line({key: character})
    for each in message.get("tool_calls", []):
        yield line({"tool_calls": [each]})
    yield end()


async def asked(inner: Inner, *, stream: bool, **more: Any) -> tuple[list[Any], dict[str, Any]]:
    """The parts that the client got, and what they add up to."""
    app = HeadroomMiddleware(inner, discover=False)
    client = ollama.AsyncClient(host="http://test", transport=httpx.ASGITransport(app=app))
    got = await client.chat(model="qwen3", messages=MESSAGES, tools=TOOLS, stream=stream, **more)
    parts = [part async for part in got] if stream else [got]
    return parts, {
        "thinking": "".join(part.message.thinking or "" for part in parts),
        "content": "".join(part.message.content or "" for part in parts),
        "calls": [(c.function.name, c.function.arguments) for part in parts for c in part.message.tool_calls or ()],
    }


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("rounds", "said"),
    [
        ([turn("plain")], {"content": "plain"}),
        ([turn("", HIDDEN), turn("There.")], {"content": "There."}),
        (
            [turn("Let me look.", HIDDEN, thinking="hm"), turn("There.", thinking="so")],
            {"content": "Let me look.\n\nThere.", "thinking": "hm\n\nso"},
        ),
        ([turn("", HIDDEN), turn("", HIDDEN, HIDDEN), turn("x", CLIENTS)], {"content": "x", "calls": [("bash", {"cmd": "ls"})]}),
        ([turn("x", CLIENTS, HIDDEN)], {"content": "x", "calls": [("bash", {"cmd": "ls"})]}),
    ],
    ids=["no call", "hidden", "text and hidden", "three rounds and a call", "mixed"],
)
async def test_hidden_rounds_are_one_answer(rounds: list[Any], said: dict[str, Any], stream: bool) -> None:
    inner = rounds_of(*rounds, stream=stream)
    parts, total = await asked(inner, stream=stream)
    assert total == {"thinking": "", "content": "", "calls": []} | said
    assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]
    counts = (parts[-1].eval_count, parts[-1].total_duration, parts[-1].done_reason)
    assert counts == (5 * len(rounds), 1000 * len(rounds), "stop")
    assert len(inner.bodies) == len(rounds)
    assert "headroom" not in "".join(part.model_dump_json() for part in parts)
    first, *later = (json.loads(body)["messages"] for body in inner.bodies)
    for message, messages in zip(rounds, later, strict=False):
        ours = len(message["tool_calls"])
        assert messages[: len(first)] == first
        assert [m["role"] for m in messages[-ours - 1 :]] == ["assistant"] + ["tool"] * ours
        assert {m["tool_name"] for m in messages[-ours:]} == {HR}


async def test_without_stream_the_client_asks_for_a_stream_and_structured_preambles_do_not_show() -> None:
    inner = rounds_of(turn("Let me look.", HIDDEN), turn('{"a":1}'), stream=True)
    _, total = await asked(inner, stream=True, format={"type": "object"})
    assert total["content"] == '{"a":1}'


async def test_an_error_in_the_stream_is_the_clients_error() -> None:
    inner = Inner(lines(line({"content": "x"}), b'{"error":"out of memory"}\n'))
    with pytest.raises(ollama.ResponseError, match="out of memory"):
        await asked(inner, stream=True)


async def test_a_later_round_that_fails_ends_the_stream_with_an_error_of_the_dialect() -> None:
    inner = Inner(lines(line({"content": "look"}), line({"tool_calls": [HIDDEN]}), end()), answer_json({"error": "busy"}, 503))
    with pytest.raises(ollama.ResponseError):
        await asked(inner, stream=True)
