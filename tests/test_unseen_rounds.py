"""Rounds of a stream of which nobody can see anything: their failures are the client's, and their ids nobody's."""

import json
from typing import Any

import anthropic
import anyio
import pytest

from headroom_asgi import HeadroomMiddleware
from headroom_asgi.store import MemoryStore
from headroom_asgi.types import Send
from headroom_asgi.wire import dialect_named
from tests.driver import Inner, Reaction, Received, answer_json, answer_stream, post
from tests.real_server import served
from tests.talks import FIELDS, STREAMS

pytestmark = pytest.mark.anyio
PATH = "/v1/messages"
WIRE = dialect_named("anthropic")
GOES_ON = {"type": "continue", "previous_message_id": "msg_0"}
BUSY = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
OURS = {"type": "tool_use", "id": "toolu_1", "name": "headroom_retrieve", "input": {"ref": "none"}}
SAYS = {"type": "text", "text": "There."}


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def thought(words: str = "") -> dict[str, Any]:
    """A block of reasoning; the provider keeps it to itself where it has no words."""
    return {"type": "thinking", "thinking": words, "signature": "c2lnbmVk"}


def message(number: int, *blocks: dict[str, Any]) -> dict[str, Any]:
    calls = any(block["type"] == "tool_use" for block in blocks)
    head = {"id": f"msg_{number}", "type": "message", "role": "assistant", "model": "claude-opus-5-5", "content": list(blocks)}
    usage = {"input_tokens": 10 * number, "output_tokens": 5}
    return {**head, "stop_reason": "tool_use" if calls else "end_turn", "stop_sequence": None, "usage": usage}


def told(answer: dict[str, Any], *, stream: bool) -> Reaction:
    data = json.dumps(answer).encode()
    return answer_stream([WIRE.as_stream(WIRE.read(data))]) if stream else answer_json(data)


async def asked(*answers: dict[str, Any] | Reaction, stream: bool = True, **fields: Any) -> tuple[Received, dict[str, Any]]:
    """What the client gets, and the whole answer in it."""
    inner = Inner(*(told(answer, stream=stream) if isinstance(answer, dict) else answer for answer in answers))
    app = HeadroomMiddleware(inner, store=MemoryStore(shared=True), discover=False)
    body = {**FIELDS["anthropic"], "stream": stream, "messages": [{"role": "user", "content": "What is up?"}], **fields}
    received = await post(app, PATH, body)
    if not stream or received.status != 200:
        return received, received.json()
    codec = WIRE.codec()
    codec.begin_round()
    codec.feed(received.body)
    codec.close()
    return received, json.loads(codec.answer().document.data) if b"message_stop" in received.body else {}


async def test_a_failure_behind_reasoning_that_nobody_sees_has_its_own_status() -> None:
    received, error = await asked(message(1, thought(), OURS), answer_json(BUSY, 529, [(b"retry-after", b"1")]))
    assert (received.status, error, received.headers["retry-after"]) == (529, BUSY, "1")


async def test_reasoning_that_can_be_read_reaches_the_client_at_once() -> None:
    received, _ = await asked(message(1, thought("Hm."), OURS), answer_json({"error": "no"}, 403))
    assert received.status == 200
    assert b'"Hm."' in received.body
    assert b"event: error" in received.body


def bedrock_message(words: str) -> dict[str, Any]:
    reasoning = {"reasoningContent": {"reasoningText": {"text": words, "signature": "c2lnbmVk"}}}
    use = {"toolUse": {"toolUseId": "tooluse_1", "name": "headroom_retrieve", "input": {"ref": "none"}}}
    usage = {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15}
    said = {"output": {"message": {"role": "assistant", "content": [reasoning, use]}}}
    return {**said, "stopReason": "tool_use", "usage": usage, "metrics": {"latencyMs": 1}}


@pytest.mark.parametrize(("words", "status"), [("", 503), ("Hm.", 200)])
@pytest.mark.parametrize("dialect", ["bedrock", "bedrock-invoke"])
async def test_it_is_so_for_bedrock(dialect: str, words: str, status: int) -> None:
    wire, (path, media, _) = dialect_named(dialect), STREAMS[dialect]
    first = message(1, thought(words), OURS) if dialect == "bedrock-invoke" else bedrock_message(words)
    endpoint = wire.endpoint(path)
    assert endpoint is not None
    data = wire.as_stream(wire.read(json.dumps(first).encode()), endpoint)

    async def streamed(body: bytes, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", media.encode())]})
        await send({"type": "http.response.body", "body": data})

    app = HeadroomMiddleware(Inner(streamed, answer_json({"message": "busy"}, 503)), discover=False)
    said = {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"} if "-" in dialect else {"text": "hi"}]}]}
    received = await post(app, path, {**FIELDS[dialect], **said})
    assert received.status == status


@pytest.mark.parametrize("hidden", [1, 3])
async def test_a_threads_stream_is_the_message_that_the_whole_answer_is(hidden: int) -> None:
    rounds = [*(message(number, thought(), OURS) for number in range(1, hidden + 1)), message(9, thought("Hm."), SAYS)]
    received, streamed = await asked(*rounds, thread=GOES_ON)
    _, whole = await asked(*rounds, stream=False, thread=GOES_ON)
    del whole["usage"]["iterations"], streamed["usage"]["iterations"]
    assert streamed == whole
    assert whole["id"] == "msg_9"
    assert whole["content"] == [thought(), SAYS]  # what was signed behind something hidden would not be taken back
    assert received.body.count(b"event: message_start") == 1
    assert received.body.index(b"event: message_start") == 0


async def test_outside_of_threads_the_first_message_stays() -> None:
    _, streamed = await asked(message(1, thought(), OURS), message(2, SAYS))
    assert (streamed["id"], streamed["content"]) == ("msg_1", [thought(), SAYS])


async def test_a_threads_message_stays_once_the_client_has_its_beginning() -> None:
    _, streamed = await asked(message(1, thought("Hm."), OURS), message(2, SAYS), thread=GOES_ON)
    assert (streamed["id"], streamed["content"]) == ("msg_1", [thought("Hm."), SAYS])


async def test_of_an_answer_that_shows_nothing_for_very_long_only_so_much_is_kept() -> None:
    long = {**thought(), "signature": "c" * (1 << 20)}
    _, streamed = await asked(message(1, long, OURS), message(2, SAYS), thread=GOES_ON)
    assert (streamed["id"], streamed["content"]) == ("msg_1", [long, SAYS])


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_anthropics_own_client_reads_such_a_stream() -> None:
    inner = Inner(*(told(each, stream=True) for each in (message(1, thought(), OURS), message(2, SAYS))))
    with served(HeadroomMiddleware(inner, store=MemoryStore(shared=True), discover=False)) as url:
        async with anthropic.AsyncAnthropic(api_key="x", base_url=url, max_retries=0) as client:
            ask: Any = {**FIELDS["anthropic"], "messages": [{"role": "user", "content": "What is up?"}], "thread": GOES_ON}
            async with client.beta.messages.stream(**ask) as stream:
                final = await stream.get_final_message()
    assert final.id == "msg_2"
    assert [block.type for block in final.content] == ["thinking", "text"]
    assert (final.usage.input_tokens, final.usage.output_tokens) == (30, 10)


@pytest.mark.parametrize(
    "lead", [b": hi\n\n", b'event: ping\ndata: {"type": "ping"}\n\n', b'event: vendor\ndata: {"type": "vendor"}\n\n']
)
async def test_what_stands_before_a_threads_message_is_said_once(lead: bytes) -> None:
    def led(answer: dict[str, Any]) -> Reaction:
        return answer_stream([lead + WIRE.as_stream(WIRE.read(json.dumps(answer).encode()))])

    received, _ = await asked(led(message(2, SAYS)), thread=GOES_ON)
    assert received.body.count(lead.strip()) == 1
    received, answer = await asked(led(message(1, OURS)), message(2, SAYS), thread=GOES_ON)
    assert received.body.count(lead.strip()) == 1
    assert (answer["id"], answer["content"]) == ("msg_2", [SAYS])


async def test_a_threads_later_message_begins_before_signs_of_life() -> None:
    whole = WIRE.as_stream(WIRE.read(json.dumps(message(2, SAYS)).encode()))

    async def slow(body: bytes, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await send({"type": "http.response.body", "body": whole[:10], "more_body": True})
        await anyio.sleep(0.5)
        await send({"type": "http.response.body", "body": whole[10:]})

    inner = Inner(told(message(1, thought(), OURS), stream=True), slow)
    app = HeadroomMiddleware(inner, store=MemoryStore(shared=True), discover=False, hold_s=0.1, keep_alive_s=0.1)
    said = {"stream": True, "messages": [{"role": "user", "content": "What is up?"}], "thread": GOES_ON}
    received = await post(app, PATH, {**FIELDS["anthropic"], **said})
    assert b"There." in received.body
    assert b"event: ping" not in received.body.partition(b"message_start")[0]


async def test_on_bedrock_a_threads_stream_is_framed_as_any_other() -> None:
    wire, (path, media, _) = dialect_named("bedrock-invoke"), STREAMS["bedrock-invoke"]
    endpoint = wire.endpoint(path)
    assert endpoint is not None

    def streamed(answer: dict[str, Any]) -> Reaction:
        data = wire.as_stream(wire.read(json.dumps(answer).encode()), endpoint)

        async def react(body: bytes, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", media.encode())]})
            await send({"type": "http.response.body", "body": data})

        return react

    inner = Inner(streamed(message(1, OURS)), streamed(message(2, SAYS)))
    said = {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}], "thread": {"type": "create"}}
    received = await post(
        HeadroomMiddleware(inner, store=MemoryStore(shared=True), discover=False), path, {**FIELDS["bedrock-invoke"], **said}
    )
    assert (received.status, len(inner.bodies)) == (200, 2)
