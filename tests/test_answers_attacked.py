"""Answers over several rounds with everything in them that clients look at: log probabilities, refusals, usage, very long calls."""

import json
import random
from typing import Any

import conversations
import pytest
from test_hostile_upstreams import NAMED, OURS, THEIRS, Upstream, answer_of, asked, every_dialect, media_of

from headroom_asgi import HeadroomMiddleware
from headroom_asgi.errors import ResponseError
from headroom_asgi.retrieval import TOOL, Watch
from headroom_asgi.store import MemoryStore
from tests.driver import Received, post
from tests.talks import FIELDS

pytestmark = pytest.mark.anyio
HEAD = {"created": 1, "model": "m", "system_fingerprint": "fp"}
USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7, "completion_tokens_details": {"reasoning_tokens": 1}}
CALL = {"id": "call_1", "type": "function", "function": {"name": TOOL.name, "arguments": '{"ref":"aa"}'}}


def scored(*tokens: str, refused: bool = False) -> dict[str, Any]:
    entries = [{"token": token, "logprob": -0.25, "bytes": [1], "top_logprobs": []} for token in tokens]
    return {"content": None if refused else entries, "refusal": entries if refused else None}


def whole(number: int, message: dict[str, Any], logprobs: Any, reason: str) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "logprobs": logprobs, "finish_reason": reason}
    return json.dumps({"id": f"c{number}", "object": "chat.completion", **HEAD, "choices": [choice], "usage": USAGE}).encode()


def chunks(number: int, deltas: list[tuple[dict[str, Any], Any]], reason: str, *, usage: bool = True) -> bytes:
    """A stream as OpenAI spells it: usage is null in every chunk but the last, and padding evens out their sizes."""
    head = {"id": f"c{number}", "object": "chat.completion.chunk", **HEAD}
    shown = {"usage": None, "obfuscation": "xy"} if usage else {}
    values = [
        {**head, "choices": [{"index": 0, "delta": delta, "logprobs": scores, "finish_reason": None}], **shown}
        for delta, scores in [({"role": "assistant", "content": "", "refusal": None}, None), *deltas]
    ]
    values.append({**head, "choices": [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": reason}], **shown})
    if usage:
        values.append({**head, "choices": [], "usage": USAGE, "obfuscation": "z"})
    return b"".join(b"data: %b\n\n" % json.dumps(value).encode() for value in values) + b"data: [DONE]\n\n"


CALLED: list[tuple[dict[str, Any], Any]] = [
    ({"tool_calls": [{"index": 0, **CALL, "function": {"name": TOOL.name, "arguments": ""}}]}, None),
    *(({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}, None) for piece in ('{"ref":', '"aa"}')),
]


def said(key: str) -> tuple[list[bytes], list[bytes]]:
    """Two rounds that say something under a key, with the scores of every token, as JSON and as streams."""
    refused = key == "refusal"
    first, last = scored("I", " am", refused=refused), scored("so", refused=refused)
    calls = {"tool_calls": [CALL]}
    as_json = [
        whole(1, {"content": None, "refusal": None, key: "I am", **calls}, first, "tool_calls"),
        whole(2, {"content": None, "refusal": None, key: "so"}, last, "stop"),
    ]
    pieces = [({key: "I"}, scored("I", refused=refused)), ({key: " am"}, scored(" am", refused=refused))]
    return as_json, [chunks(1, [*pieces, *CALLED], "tool_calls"), chunks(2, [({key: "so"}, last)], "stop")]


@pytest.mark.parametrize("key", ["content", "refusal"])
async def test_what_was_said_in_two_rounds_is_one_text_with_the_scores_of_all_its_tokens(key: str) -> None:
    as_json, as_streams = said(key)
    body = (await asked("chat", Upstream(*as_json, media=b"application/json"), streamed=False)).json()
    choice = body["choices"][0]
    assert (choice["message"][key], choice["finish_reason"]) == ("I am\n\nso", "stop")
    assert [entry["token"] for entry in choice["logprobs"][key]] == ["I", " am", "so"]
    assert body["usage"] == {
        "prompt_tokens": 10,
        "completion_tokens": 4,
        "total_tokens": 14,
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    received = await asked("chat", Upstream(*as_streams))
    streamed = json.loads(answer_of("chat", received.body).document.data)
    assert streamed["choices"][0]["message"][key] == "I am\n\nso"
    assert [entry["token"] for entry in streamed["choices"][0]["logprobs"][key]] == ["I", " am", "so"]
    assert (streamed["usage"], streamed["id"]) == (body["usage"], body["id"])
    events = [json.loads(line[6:]) for line in received.body.split(b"\n\n") if line.startswith(b"data: {")]
    assert sum(bool(event.get("usage")) for event in events) == 1
    assert [event["choices"] for event in events if event.get("usage")] == [[]]
    assert sum(event["choices"][0]["delta"].get("role") is not None for event in events if event["choices"]) == 1


async def test_usage_is_not_told_where_the_client_did_not_ask_for_it() -> None:
    streams = [chunks(1, CALLED, "tool_calls", usage=False), chunks(2, [({"content": "so"}, None)], "stop", usage=False)]
    received = await asked("chat", Upstream(*streams))
    assert b"usage" not in received.body
    assert b'"so"' in received.body


@every_dialect
@pytest.mark.parametrize("who", [OURS, THEIRS], ids=["ours", "the client's"])
async def test_very_long_arguments_in_tiny_pieces_arrive_whole(
    dialect: str, who: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def tiny(_: random.Random, text: str, most: int = 0) -> list[str]:
        return [text[at : at + 7] for at in range(0, len(text), 7)] or [""]

    monkeypatch.setattr(conversations, "split", tiny)
    arguments = json.dumps({"ref": "aa", "q": "é\u2028\\" * 2_000, "n": 1})
    first = NAMED[dialect].stream(random.Random(1), 1, [("text", "on"), (who[0], arguments)])
    inner = Upstream(first, NAMED[dialect].stream(random.Random(1), 2, [("text", "!")]), media=media_of(dialect))
    received = await asked(dialect, inner)
    calls = answer_of(dialect, received.body).calls
    if who is THEIRS:
        assert json.loads(calls[0].arguments) == json.loads(arguments)
        assert received.body == first
    else:
        assert (calls, inner.asked) == ((), 2)


@pytest.mark.parametrize("status", [429, 503, 529])
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_provider_that_is_busy_in_a_later_round_says_so_itself_while_nothing_was_said(
    status: int, streamed: bool
) -> None:
    """The client's SDK knows what to do with the status and with `retry-after`."""
    first = said("content")[streamed][0] if not streamed else chunks(1, CALLED, "tool_calls")
    answers = [(200, first), (status, b'{"error":{"message":"busy"}}')]

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        now, data = answers.pop(0)
        media = b"text/event-stream" if streamed and now == 200 else b"application/json"
        headers = [(b"content-type", media), (b"retry-after", b"7"), (b"x-request-id", b"%d" % now)]
        await send({"type": "http.response.start", "status": now, "headers": headers})
        await send({"type": "http.response.body", "body": data})

    app = HeadroomMiddleware(inner, discover=False, store=MemoryStore(shared=True))
    body = {**FIELDS["openai-chat"], "stream": streamed, "messages": [{"role": "user", "content": "?"}]}
    received: Received = await post(app, "/v1/chat/completions", body)
    assert (received.status, received.body) == (status, b'{"error":{"message":"busy"}}')
    assert (received.headers["retry-after"], received.headers["x-request-id"]) == ("7", str(status))


def watching(dialect: str, *, most: int = 1 << 20) -> Watch:
    watch = Watch(NAMED[dialect].wire.codec(media_of(dialect).decode()), TOOL.name, structured=False, max_hold_bytes=most)
    watch.begin_round()
    return watch


def framed(value: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (str(value.get("type", "message")).encode(), json.dumps(value).encode())


FIGURES = {
    "chat": [
        {"id": "c", "choices": [{"index": 0, "delta": {"role": "assistant", "content": "a"}, "finish_reason": None}]},
        {"id": "c", "choices": [], "usage": USAGE},
        {"id": "c", "choices": [{"index": 0, "delta": {"content": "b"}, "finish_reason": None}]},
        {"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    ],
    "anthropic": [
        {"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant", "content": [], "usage": {}}},
        {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 3}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "b"}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}},
    ],
}


@pytest.mark.parametrize("dialect", FIGURES)
def test_figures_in_the_middle_hold_up_nothing_behind_them(dialect: str) -> None:
    begun, figure, more, end = map(framed, FIGURES[dialect])
    watch = watching(dialect)
    assert watch.feed(begun) == begun
    assert watch.feed(figure) == b""  # it may be the end's
    assert watch.feed(more) == figure + more
    assert watch.feed(end) == b""
    rest, answer = watch.end_round()
    assert (rest, answer is not None) == (b"", True)


def test_what_comes_behind_the_end_of_a_round_is_held_within_bounds() -> None:
    begun, _, more, end = map(framed, FIGURES["chat"])
    watch = watching("chat", most=10_000)
    came = out = b""
    for piece in [begun, end, *[more] * 1_000]:
        came += piece
        out += watch.feed(piece)
        assert len(came) - len(out) <= 10_000 + len(more)
    rest, answer = watch.end_round()
    assert (out + rest, answer) == (came, None)


def test_a_call_of_ours_behind_the_end_of_a_round_is_an_error_where_it_cannot_be_held() -> None:
    begun, _, more, end = map(framed, FIGURES["chat"])
    entry = {"index": 0, "id": "c", "type": "function", "function": {"name": TOOL.name, "arguments": "{}"}}
    call = framed({"choices": [{"index": 0, "delta": {"tool_calls": [entry]}}]})
    for before in (0, 1_000):
        watch = watching("chat", most=10_000)
        watch.feed(begun + end + more * before)
        with pytest.raises(ResponseError, match=r"bytes"):
            watch.feed(call + more * (1_000 - before))
        assert TOOL.name.encode() not in watch.error("no")
