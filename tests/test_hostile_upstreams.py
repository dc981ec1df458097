"""Upstreams that break their dialect's rules: no call of our tool reaches the client for it, and what is the client's stays as it is."""

import gzip
import json
import random
import re
from base64 import b64decode, b64encode
from typing import Any

import pytest
from every_dialect import REAL_DIALECTS

from headroom_asgi import HeadroomMiddleware
from headroom_asgi.middleware.codings import CodingError, stream_decoder
from headroom_asgi.retrieval import TOOL
from headroom_asgi.store import MemoryStore
from headroom_asgi.types import Receive, Scope, Send
from headroom_asgi.wire import Answer, PartKind
from headroom_asgi.wire.eventstream import EventStreamSplitter
from tests.driver import Received, post, whole_body
from tests.talks import FIELDS, PATHS, STREAMS

pytestmark = pytest.mark.anyio
NAMED = {type(speaker).__name__.lower(): speaker for speaker in REAL_DIALECTS}
OURS, THEIRS, TEXT = ("ours", '{"ref": "aa"}'), ("theirs", '{"q": "x"}'), ("text", "fine")
every_dialect = pytest.mark.parametrize("dialect", NAMED)
indexed = pytest.mark.parametrize("dialect", ["responses", "anthropic", "bedrock", "invoke"])


class Upstream:
    """An inner app that answers with these bodies, one after the other."""

    def __init__(self, *bodies: bytes, media: bytes | None = b"text/event-stream", status: int = 200, **start: Any) -> None:
        self.bodies = list(bodies)
        self.status = status
        self.start = {"headers": [(b"content-type", media)] if media is not None else [], **start}
        self.asked = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await whole_body(receive)
        self.asked += 1
        data = self.bodies.pop(0)
        await send({"type": "http.response.start", "status": self.status, **self.start})
        for at in range(0, len(data), 50):
            await send({"type": "http.response.body", "body": data[at : at + 50], "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        if self.start.get("trailers"):
            await send({"type": "http.response.trailers", "headers": [], "more_trailers": False})


def media_of(dialect: str) -> bytes:
    """What the provider calls its streams."""
    if dialect == "geminiarray":
        return b"application/json"
    return STREAMS.get(NAMED[dialect].wire.name, ("", "text/event-stream", b""))[1].encode()


def stream(dialect: str, number: int, *parts: tuple[str, str]) -> bytes:
    data: bytes = NAMED[dialect].stream(random.Random(number), number, list(parts))
    return data


async def asked(dialect: str, inner: Any, *, streamed: bool = True) -> Received:
    speaker = NAMED[dialect]
    name = speaker.wire.name
    members = {"stream": streamed} if name not in ("gemini", "bedrock", "bedrock-invoke") else {}
    path, _, query = STREAMS.get(name, ("", "", b"")) if streamed else ("", "", b"")
    body = {**FIELDS[name], **members, speaker.wire.messages: speaker.question("What is there?")}
    app = HeadroomMiddleware(inner, discover=False, store=MemoryStore(shared=True))
    path = path or PATHS.get(name, speaker.wire.example_path)
    return await post(app, path, body, query_string=b"" if dialect == "geminiarray" else query)


def names_of(dialect: str, data: bytes) -> list[str]:
    """The calls in a client's stream, by frames: an answer might not tell all of them."""
    codec = NAMED[dialect].wire.codec(media_of(dialect).decode())
    codec.begin_round()
    frames = [*codec.feed(data), *codec.close()]
    return [event.name for frame in frames for event in frame.events if event.name]


def answer_of(dialect: str, data: bytes) -> Answer:
    """What a client makes of a stream."""
    codec = NAMED[dialect].wire.codec(media_of(dialect).decode())
    codec.begin_round()
    codec.feed(data)
    codec.close()
    return codec.answer()


def plain(dialect: str, data: bytes) -> bytes:
    """A stream as text."""
    if dialect != "invoke":
        return data
    return b"".join(b64decode(json.loads(message.payload)["bytes"]) for message in EventStreamSplitter().feed(data))


def reindexed(dialect: str, data: bytes) -> bytes:
    """The stream of a server that gives every part the index 0."""
    key = {"responses": b"output_index", "bedrock": b"contentBlockIndex"}.get(dialect, b"index")
    pattern = re.compile(b'("' + key + rb'": ?)\d+')
    if dialect not in ("bedrock", "invoke"):
        return pattern.sub(rb"\g<1>0", data)
    out = []
    for message in EventStreamSplitter().feed(data):
        payload = message.payload
        if dialect == "invoke":
            inner = pattern.sub(rb"\g<1>0", b64decode(json.loads(payload)["bytes"]))
            payload = json.dumps({"bytes": b64encode(inner).decode()}).encode()
        out.append(message.carrying(pattern.sub(rb"\g<1>0", payload)))
    return b"".join(out)


@indexed
@pytest.mark.parametrize("before", [[], [TEXT], [THEIRS], [OURS]])
@pytest.mark.parametrize("behind", [[], [TEXT], [THEIRS]])
async def test_parts_that_all_have_one_index_are_told_apart(dialect: str, before: list[Any], behind: list[Any]) -> None:
    first = reindexed(dialect, stream(dialect, 1, *before, OURS, *behind))
    inner = Upstream(first, stream(dialect, 2, TEXT), media=media_of(dialect))
    received = await asked(dialect, inner)
    said = plain(dialect, received.body)
    theirs = (*before, *behind).count(THEIRS)
    assert inner.asked == (1 if theirs else 2)
    assert names_of(dialect, received.body) == ["search"] * theirs
    shown = (*before, *behind).count(TEXT) + (not theirs)
    assert [part.kind for part in answer_of(dialect, received.body).parts].count(PartKind.TEXT) == shown
    assert TOOL.name.encode() not in said


@indexed
async def test_what_is_the_client_s_passes_whatever_its_index(dialect: str) -> None:
    data = reindexed(dialect, stream(dialect, 1, TEXT, THEIRS, ("text", "more"), THEIRS))
    received = await asked(dialect, Upstream(data, media=media_of(dialect)))
    assert received.body == data


async def test_a_piece_of_another_choice_does_not_open_the_first_one() -> None:
    other = b'data: {"choices":[{"index":1,"delta":{"content":"?"},"finish_reason":null}]}\n\n'
    for first in (other + stream("chat", 1, OURS), stream("chat", 1, OURS).replace(b"data: [DONE]", other + b"data: [DONE]")):
        inner = Upstream(first, other + stream("chat", 2, TEXT))
        received = await asked("chat", inner)
        assert inner.asked == 2
        assert TOOL.name.encode() not in received.body


def without(data: bytes, *names: bytes) -> bytes:
    """A stream of Responses without events of those names."""
    events = re.split(rb"(?<=\n\n)", data)
    return b"".join(event for event in events if not any(b"event: " + name in event for name in names))


@pytest.mark.parametrize("parts", [[OURS], [THEIRS, OURS], [OURS, THEIRS]])
@pytest.mark.parametrize(
    "missing",
    [
        [b"response.output_item.added", b"response.function_call_arguments"],
        [b"response.output_item", b"response.function_call_arguments"],
    ],
    ids=["done", "end"],
)
async def test_a_call_that_is_told_of_only_when_it_is_whole_is_ours_as_well(parts: list[Any], missing: list[bytes]) -> None:
    first = without(stream("responses", 1, *parts), *missing)
    inner = Upstream(first, stream("responses", 2, TEXT))
    received = await asked("responses", inner)
    assert inner.asked == (1 if THEIRS in parts else 2)
    assert TOOL.name.encode() not in received.body
    assert (b'"call_id"' in received.body) == (THEIRS in parts)


@pytest.mark.parametrize("end", [b"\r\n\n", b"\n\r\n", b"\r\n\r", b"\r\r\n", b"\n\n\n"])
async def test_whatever_ends_an_event_stays(end: bytes) -> None:
    for dialect in ("gemini", "chat", "anthropic", "responses"):
        data = stream(dialect, 1, TEXT, THEIRS).replace(b"\r\n\r\n", b"\n\n").replace(b"\n\n", end)
        assert (await asked(dialect, Upstream(data))).body == data


@every_dialect
@pytest.mark.parametrize("media", [None, b"", b"text/plain; charset=utf-8", b"application/octet-stream"])
async def test_a_stream_without_a_type_of_its_own_is_the_one_that_was_asked_for(dialect: str, media: bytes | None) -> None:
    inner = Upstream(stream(dialect, 1, OURS), stream(dialect, 2, ("text", "f")), media=media)
    received = await asked(dialect, inner)
    assert inner.asked == 2
    assert names_of(dialect, received.body) == []
    own = stream(dialect, 1, TEXT, THEIRS)
    received = await asked(dialect, Upstream(own, media=media))
    assert received.body == own
    assert received.headers.get("content-type", "").encode() == (media or b"")


@pytest.mark.parametrize("dialect", ["chat", "anthropic", "responses", "ollama", "bedrock", "gemini"])
async def test_a_stream_that_calls_itself_json_is_one(dialect: str) -> None:
    inner = Upstream(stream(dialect, 1, OURS), stream(dialect, 2, TEXT), media=b"application/json")
    received = await asked(dialect, inner)
    assert inner.asked == 2
    assert TOOL.name.encode() not in received.body


@pytest.mark.parametrize("dialect", ["chat", "anthropic", "responses"])
async def test_a_whole_answer_to_who_asked_for_a_stream_is_read(dialect: str) -> None:
    bodies = [NAMED[dialect].json(1, [OURS]), NAMED[dialect].json(2, [TEXT])]
    inner = Upstream(*bodies, media=b"application/json")
    received = await asked(dialect, inner)
    assert inner.asked == 2
    assert NAMED[dialect].wire.read(received.body).calls == ()


@every_dialect
@pytest.mark.parametrize(("status", "streamed"), [(204, True), (204, False), (200, True), (200, False)])
async def test_an_answer_without_a_body_passes(dialect: str, status: int, streamed: bool) -> None:
    if dialect == "geminiarray" and not streamed:
        return
    media = None if status == 204 else media_of(dialect) if streamed else b"application/json"
    received = await asked(dialect, Upstream(b"", media=media, status=status), streamed=streamed)
    assert (received.status, received.body, received.complete) == (status, b"", True)


@pytest.mark.parametrize("streamed", [False, True])
async def test_trailers_of_a_round_are_not_the_clients(streamed: bool) -> None:
    spell = stream if streamed else lambda dialect, number, *parts: NAMED[dialect].json(number, list(parts))
    media = b"text/event-stream" if streamed else b"application/json"
    inner = Upstream(spell("chat", 1, OURS), spell("chat", 2, TEXT), media=media, trailers=True)
    received = await asked("chat", inner, streamed=streamed)
    assert inner.asked == 2
    assert "trailers" not in received.messages[0]
    assert received.messages[-1]["type"] == "http.response.body"


async def test_a_stream_in_many_members_is_decoded() -> None:
    pieces = [stream("chat", number, part) for number, part in ((1, OURS), (2, TEXT))]
    coded = [b"".join(gzip.compress(data[at : at + 40]) for at in range(0, len(data), 40)) for data in pieces]
    received = await asked(
        "chat", Upstream(*coded, headers=[(b"content-type", b"text/event-stream"), (b"content-encoding", b"gzip")])
    )
    assert b"data: [DONE]" in received.body
    assert TOOL.name.encode() not in received.body


def test_a_stream_that_unpacks_to_very_much_is_refused_and_very_many_members_take_their_time_only() -> None:
    unpack = stream_decoder(["gzip"], 1 << 20)
    assert unpack is not None
    with pytest.raises(CodingError, match="too_large"):
        unpack(gzip.compress(bytes(1 << 24)))
    unpack = stream_decoder(["gzip"], 1 << 20)
    assert unpack is not None
    assert unpack(gzip.compress(b"") * 100_000 + gzip.compress(b"x")) == b"x"  # two megabytes
