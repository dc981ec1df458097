"""Answers that are not what they say they are: no call of our tool reaches a client unread, and what is the client's passes."""

import gzip
import json
import zlib
from typing import Any

import pytest
from test_hostile_upstreams import NAMED, OURS, TEXT, THEIRS, Upstream, asked, media_of, stream

from headroom_asgi import HeadroomMiddleware
from headroom_asgi.middleware.codings import CodingError, stream_decoder
from headroom_asgi.retrieval import TOOL
from headroom_asgi.store import MemoryStore
from headroom_asgi.testing import CapturedReports
from tests.driver import PATHS, Inner, Received, answer_json, post, question_body

pytestmark = pytest.mark.anyio
ODD = [b"text/html", b"application/vnd.gateway", b"text/json", b"application/x-jsonlines; charset=utf-8"]
UNTYPED = [None, b"text/plain; charset=utf-8", b"application/octet-stream"]
SHORT = ("text", "!")  # so that it is one piece
WHOLE = ["chat", "anthropic", "responses", "bedrock", "invoke", "gemini"]
every_whole = pytest.mark.parametrize("dialect", WHOLE)


def rounds_of(dialect: str, *, streamed: bool) -> list[bytes]:
    """Two hidden rounds, then a text."""
    spell = stream if streamed else lambda _, number, part: NAMED[dialect].json(number, [part])
    return [spell(dialect, number, part) for number, part in ((1, OURS), (2, OURS), (3, SHORT))]


def is_clean(received: Received, inner: Upstream) -> bool:
    return inner.asked == 3 and b'"!"' in received.body and TOOL.name.encode() not in received.body and received.status == 200


@every_whole
@pytest.mark.parametrize("media", [*ODD, *UNTYPED])
async def test_a_whole_answer_is_read_whatever_it_is_called(dialect: str, media: bytes | None) -> None:
    for streamed in (False, True):  # some servers cannot stream, and answer who asked for it with everything
        inner = Upstream(*rounds_of(dialect, streamed=False), media=media)
        received = await asked(dialect, inner, streamed=streamed)
        assert is_clean(received, inner), (streamed, received)
        assert [part.call for part in NAMED[dialect].wire.read(received.body).parts] == [None]


@pytest.mark.parametrize("dialect", sorted(set(NAMED) - {"invoke"}))  # base64 hides the text
@pytest.mark.parametrize("media", [*ODD, b"application/json"])
async def test_a_stream_is_followed_through_all_rounds_whatever_it_is_called(dialect: str, media: bytes) -> None:
    inner = Upstream(*rounds_of(dialect, streamed=True), media=media)
    assert is_clean(await asked(dialect, inner), inner)
    own = stream(dialect, 1, TEXT, THEIRS)
    received = await asked(dialect, Upstream(own, media=media))
    assert (received.body, received.headers["content-type"]) == (own, media.decode())


async def test_a_stream_that_nobody_asked_for_is_one_by_its_type() -> None:
    for dialect in ("chat", "anthropic", "responses", "ollama"):
        inner = Upstream(*rounds_of(dialect, streamed=True), media=media_of(dialect))
        assert is_clean(await asked(dialect, inner, streamed=False), inner)


@pytest.mark.parametrize("coding", [b"gzip", b"deflate", b"gzip, deflate"])
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("media", [b"application/json", b"text/plain"])
async def test_answers_in_content_codings_are_read_though_none_was_asked_for(coding: bytes, streamed: bool, media: bytes) -> None:
    def coded(data: bytes) -> bytes:
        data = gzip.compress(data) if b"gzip" in coding else data
        return zlib.compress(data) if b"deflate" in coding else data

    headers = [(b"content-type", media), (b"content-encoding", coding)]
    inner = Upstream(*map(coded, rounds_of("chat", streamed=streamed)), headers=headers)
    received = await asked("chat", inner, streamed=streamed)
    assert is_clean(received, inner)
    assert "content-encoding" not in received.headers


async def test_no_content_coding_is_asked_for_where_the_answer_is_read() -> None:
    inner = Upstream(*rounds_of("chat", streamed=False), media=b"application/json")
    seen: list[Any] = []

    async def noting(scope: Any, receive: Any, send: Any) -> None:
        seen.append([value for key, value in scope["headers"] if key == b"accept-encoding"])
        await inner(scope, receive, send)

    app = HeadroomMiddleware(noting, discover=False)
    body = question_body("openai-chat", "fine")
    await post(app, PATHS["openai-chat"], body, headers=[(b"accept-encoding", b"br, gzip")])
    assert seen == [[b"identity"]] * 3


@every_whole
async def test_a_broken_answer_that_calls_our_tool_does_not_reach_the_client(dialect: str) -> None:
    broken = NAMED[dialect].json(1, [("ours", '{"ref": "aa"}')])[:-2]
    received = await asked(dialect, Upstream(broken, media=b"application/json"), streamed=False)
    assert received.status == 502
    assert TOOL.name.encode() not in received.body
    assert json.loads(received.body)["error"]["message"]
    assert received.headers["content-length"] == str(len(received.body))


@pytest.mark.parametrize("body", [b"<html>busy</html>", b'{"choices": []}', b"", b"null", b"[1"])
@pytest.mark.parametrize("media", [b"text/html", b"application/json", None])
@pytest.mark.parametrize("streamed", [False, True])
async def test_what_is_no_answer_at_all_passes(body: bytes, media: bytes | None, streamed: bool) -> None:
    received = await asked("chat", Upstream(body, media=media), streamed=streamed)
    assert (received.status, received.body, received.complete) == (200, body, True)


def choices(*entries: tuple[int, str]) -> list[dict[str, Any]]:
    def said(name: str) -> dict[str, Any]:
        call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": name, "arguments": "{}"}}
        return {"role": "assistant", "tool_calls": [call]} if name else {"role": "assistant", "content": "hi"}

    return [{"index": index, "delta": said(name), "message": said(name), "finish_reason": None} for index, name in entries]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("indices", [(0, 1), (1, 0), (0, 0)])
@pytest.mark.parametrize("named", [0, 1])
async def test_our_tool_called_in_a_choice_that_nobody_asked_for_does_not_reach_the_client(
    streamed: bool, indices: tuple[int, int], named: int
) -> None:
    names = ["", ""]
    names[named] = TOOL.name
    whole = json.dumps({"id": "a", "model": "m", "choices": choices(*zip(indices, names, strict=True))}).encode()
    data = b"data: " + whole + b"\n\ndata: [DONE]\n\n" if streamed else whole
    inner = Upstream(data, *[NAMED["chat"].json(2, [TEXT]) if not streamed else stream("chat", 2, TEXT)] * 2,
                     media=b"text/event-stream" if streamed else b"application/json")  # fmt: skip
    received = await asked("chat", inner, streamed=streamed)
    assert TOOL.name.encode() not in received.body


@pytest.mark.parametrize("dialect", ["gemini", "geminiarray"])
@pytest.mark.parametrize("streamed", [False, True])
async def test_our_tool_called_in_a_candidate_that_nobody_asked_for_does_not_reach_the_client(
    dialect: str, streamed: bool
) -> None:
    parts = [[{"text": "hi"}], [{"functionCall": {"name": TOOL.name, "args": {"ref": "aa"}}}]]
    candidates = [
        {"index": at, "content": {"role": "model", "parts": each}, "finishReason": "STOP"} for at, each in enumerate(parts)
    ]
    whole = json.dumps({"candidates": candidates}).encode()
    data = whole if not streamed else b"[" + whole + b"]" if dialect == "geminiarray" else b"data: " + whole + b"\r\n\r\n"
    received = await asked(
        dialect, Upstream(data, media=media_of(dialect) if streamed else b"application/json"), streamed=streamed
    )
    assert TOOL.name.encode() not in received.body


@pytest.mark.parametrize("streamed", [False, True])
async def test_several_choices_of_the_client_s_own_pass(streamed: bool) -> None:
    whole = json.dumps({"id": "a", "choices": choices((0, "search"), (1, ""))}).encode()
    data = b"data: " + whole + b"\n\ndata: [DONE]\n\n" if streamed else whole
    media = b"text/event-stream" if streamed else b"application/json"
    assert (await asked("chat", Upstream(data, media=media), streamed=streamed)).body == data


async def test_an_answer_that_cannot_be_read_passes_and_new_conversations_are_left_alone_for_a_while() -> None:
    coded = {"headers": [(b"content-type", b"application/json"), (b"content-encoding", b"x-unheard")]}
    inner, reports = Upstream(b"\x01\x02", b"{}", b"{}", **coded), CapturedReports()
    app = HeadroomMiddleware(inner, discover=False, store=MemoryStore(shared=True), observers=[reports])
    received = await post(app, PATHS["openai-chat"], question_body("openai-chat", "fine"))
    assert (received.status, received.body, received.headers["content-encoding"]) == (200, b"\x01\x02", "x-unheard")
    begun = {**question_body("openai-chat", "fine"), "messages": [{"role": "user", "content": "Something new"}]}
    await post(app, PATHS["openai-chat"], begun)
    await post(app, PATHS["openai-chat"], question_body("openai-chat", "fine"))
    assert [report.outcome for report in reports] == ["skipped:small", "skipped:pinned_off", "skipped:small"]


def test_a_piece_in_two_codings_is_refused_before_it_becomes_too_large() -> None:
    bomb = gzip.compress(gzip.compress(bytes(1 << 26)))
    unpack = stream_decoder(["gzip", "gzip"], 1 << 20)
    assert unpack is not None
    with pytest.raises(CodingError, match="too_large"):
        unpack(bomb)


async def test_an_echo_of_the_request_is_no_call() -> None:
    async def echo(body: bytes, send: Any) -> None:
        await answer_json(json.loads(body))(b"", send)

    app = HeadroomMiddleware(Inner(echo), discover=False, store=MemoryStore())
    received = await post(app, PATHS["openai-chat"], question_body("openai-chat", "fine"))
    assert received.status == 200
