"""Answers that are longer than may be held: they pass, nothing of them is kept, and a call of our tool in them is an error."""

import gzip
import json
import random
import tracemalloc
from typing import Any

import pytest
from test_hostile_upstreams import NAMED, OURS, THEIRS, every_dialect, media_of, names_of, stream

from headroom_asgi import HeadroomMiddleware
from headroom_asgi.retrieval import TOOL
from headroom_asgi.store import MemoryStore
from headroom_asgi.testing import CapturedReports, RecordingExtension
from headroom_asgi.tokenizer import Tokenizer
from headroom_asgi.types import Message, Receive, Scope, Send
from tests.driver import Received, http_scope, post, staying, whole_body
from tests.talks import FIELDS, PATHS, STREAMS

pytestmark = pytest.mark.anyio
MOST = 20_000
LONG = [("text", "x" * 9_000)] * 6
TEXT = ("text", "x" * 60_000)
WHOLE = ["chat", "anthropic", "responses", "bedrock", "invoke", "gemini", "ollama"]


class Upstream:
    """An inner app that answers with one body, in pieces."""

    def __init__(self, data: bytes, media: bytes, piece: int = 4096, coding: bytes = b"") -> None:
        self.data, self.piece = data, piece
        self.headers = [(b"content-type", media)] + ([(b"content-encoding", coding)] if coding else [])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await whole_body(receive)
        await send({"type": "http.response.start", "status": 200, "headers": self.headers})
        for at in range(0, len(self.data), self.piece):
            await send({"type": "http.response.body", "body": self.data[at : at + self.piece], "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def request(dialect: str, *, streamed: bool, **more: Any) -> tuple[str, bytes, dict[str, Any]]:
    speaker = NAMED[dialect]
    name = speaker.wire.name
    members = {"stream": streamed} if name not in ("gemini", "bedrock", "bedrock-invoke") else {}
    path, _, query = STREAMS.get(name, ("", "", b"")) if streamed else ("", "", b"")
    body = {**FIELDS[name], **members, speaker.wire.messages: speaker.question("What is there?"), **more}
    return path or PATHS.get(name, speaker.wire.example_path), b"" if dialect == "geminiarray" else query, body


class Asked:
    """What came of a request, and what was told of it."""

    def __init__(self, inner: Any, **settings: Any) -> None:
        self.reports, self.extension = CapturedReports(), RecordingExtension()
        seen = {"extensions": [self.extension]} if settings.pop("listens", True) else {}
        options = {"store": MemoryStore(shared=True), "max_response_bytes": MOST, "observers": [self.reports], **seen, **settings}
        self.app = HeadroomMiddleware(inner, discover=False, **options)

    async def of(self, dialect: str, *, streamed: bool, **more: Any) -> Received:
        path, query, body = request(dialect, streamed=streamed, **more)
        return await post(self.app, path, body, query_string=query)

    @property
    def told(self) -> Any:
        """The answer that extensions were shown."""
        (event,) = [event for event in self.extension.events if event.stage.value == "response_received"]
        return event.response


@every_dialect
@pytest.mark.parametrize("mode", ["ccr", "lossless"])
async def test_a_long_stream_passes_and_is_shown_to_nobody(dialect: str, mode: str) -> None:
    data = stream(dialect, 1, *LONG, THEIRS, ("text", "!"))
    for most, unread in ((MOST, "too_large"), (1 << 20, "")):
        asked = Asked(Upstream(data, media_of(dialect)), mode=mode, max_response_bytes=most)
        received = await asked.of(dialect, streamed=True)
        assert received.body == data
        assert (asked.told is None) == bool(unread)
        assert asked.reports[0].unread == unread


@every_dialect
@pytest.mark.parametrize(
    "parts", [[*LONG, OURS], [OURS, *LONG], [*LONG, OURS, *LONG, THEIRS]], ids=["behind", "before", "within"]
)
async def test_a_call_of_ours_in_a_long_stream_is_an_error(dialect: str, parts: list[tuple[str, str]]) -> None:
    asked = Asked(Upstream(stream(dialect, 1, *parts), media_of(dialect)))
    received = await asked.of(dialect, streamed=True)
    assert b"cannot be followed" in received.body
    assert TOOL.name not in names_of(dialect, received.body)
    assert received.complete
    assert asked.reports[0].unread


@pytest.mark.parametrize("dialect", sorted(set(NAMED) - {"responses"}))  # whose last event has all of the answer
@pytest.mark.parametrize("mode", ["ccr", "lossless"])
async def test_memory_stays_flat(dialect: str, mode: str) -> None:
    words = "".join(random.Random(1).choices("abcdefgh ", k=9_000))
    data = stream(dialect, 1, *[("text", words)] * 600)
    assert len(data) > 5_000_000
    path, query, body = request(dialect, streamed=True)
    got = 0

    async def send(message: Message) -> None:
        nonlocal got
        got += len(message.get("body", b""))

    asked = Asked(Upstream(data, media_of(dialect)), mode=mode)
    Tokenizer("").load()  # which takes memory of its own, once
    await asked.of(dialect, streamed=True)
    tracemalloc.start()
    try:
        await asked.app(http_scope(path, query_string=query), staying(body), send)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert got == len(data)
    assert peak < 2_000_000


@pytest.mark.parametrize("dialect", WHOLE)
@pytest.mark.parametrize("coding", [b"", b"gzip"])
async def test_a_long_answer_passes_unless_it_is_seen_to_call_our_tool(dialect: str, coding: bytes) -> None:
    for parts in ([TEXT, THEIRS], [OURS, TEXT], [TEXT, OURS]):
        plain = NAMED[dialect].json(1, parts)
        data = gzip.compress(plain, compresslevel=0) if coding else plain
        asked = Asked(Upstream(data, b"application/json", coding=coding))
        received = await asked.of(dialect, streamed=False)
        if TOOL.name.encode() in plain[:MOST]:
            assert (received.status, b"cannot be followed" in received.body) == (502, True)
        else:  # what comes behind what may be held passes unseen
            assert (received.status, received.body) == (200, data)
        assert asked.reports[0].unread == "too_large"
        assert asked.told is None


@pytest.mark.parametrize("allowed", [False, True])
async def test_a_repeated_definition_is_no_call(allowed: bool) -> None:
    choice = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "search"}]}
    more = {"tool_choice": choice} if allowed else {}
    for parts, status in (([TEXT], 200), ([OURS, TEXT], 502)):
        seen: list[Any] = []

        async def echoing(scope: Scope, receive: Receive, send: Send) -> None:
            asked_for = json.loads(await whole_body(receive))
            echo = {key: asked_for[key] for key in ("tools", "tool_choice") if key in asked_for}
            seen.append(echo)
            data = json.dumps({**echo, **json.loads(NAMED["responses"].json(1, parts)), **echo}).encode()
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
            await send({"type": "http.response.body", "body": data, "more_body": False})

        received = await Asked(echoing).of("responses", streamed=False, **more)
        assert json.dumps(seen).count(TOOL.name) == 1 + allowed
        assert received.status == status


async def test_nothing_is_collected_where_nobody_reads() -> None:
    data = NAMED["chat"].json(1, [TEXT])
    asked = Asked(Upstream(data, b"application/json"), mode="lossless", listens=False)
    received = await asked.of("chat", streamed=False)
    assert (received.body, asked.reports[0].unread) == (data, "")
