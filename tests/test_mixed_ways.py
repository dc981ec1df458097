"""Servers that stream one round of an exchange and answer another as a whole: the client gets one answer, in one form, without our calls."""

import itertools
import random
from typing import Any

import pytest

from headroom_asgi.testing import CapturedReports
from headroom_asgi.types import Receive, Scope, Send
from tests.driver import (
    PATHS,
    TABLE,
    Inner,
    answer_json,
    answer_stream,
    call_answer,
    post,
    question_body,
    stream_of,
    text_answer,
    whole_body,
    wrapped,
)
from tests.talks import OURS, SPEAKERS, STREAMS, Talk

pytestmark = pytest.mark.anyio
MIXES = ["".join(ways) for size in (2, 3, 4) for ways in itertools.product("SW", repeat=size) if len(set(ways)) == 2]


class Mixed:
    """A model whose rounds come as streams (S) or whole (W); all but the last call our tool."""

    def __init__(self, dialect: str, ways: str, *, says: bool) -> None:
        self.speaker = SPEAKERS[dialect]
        self.ways = ways
        self.says = says  # something before each call, where that is not streamed
        self.rounds = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await whole_body(receive)
        way, self.rounds = self.ways[self.rounds % len(self.ways)], self.rounds + 1
        last = self.rounds == len(self.ways)
        says = [("text", f"Look{self.rounds}.")] if self.says and ("W" in self.ways[: self.rounds]) else []
        parts = [("text", "There.")] if last else [*says, ("ours", OURS)]
        name = self.speaker.wire.name
        if way == "S":
            media = STREAMS.get(name, ("", "text/event-stream", b""))[1].encode()
            data = self.speaker.stream(random.Random(self.rounds), self.rounds, parts)
        else:
            media, data = b"application/json", self.speaker.json(self.rounds, parts)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", media)]})
        for at in range(0, len(data), 50):
            await send({"type": "http.response.body", "body": data[at : at + 50], "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class Reader(Talk):
    """A client that reads what it gets, as it says it is. (Of Ollama a whole answer is a stream of one line as well.)"""

    def _whole(self, media: str) -> bytes:
        is_json = self.last.headers["content-type"] == "application/json" and self.speaker.wire.name != "ollama"
        return self.last.body if is_json else super()._whole(media)


# Who asks for no stream and gets one cannot read it.
ASKED = [
    pytest.param(ways, stream, id=f"{ways}-{'stream' if stream else 'whole'}")
    for ways in MIXES
    for stream in (True, False)
    if stream or ways.startswith("W")
]


@pytest.mark.parametrize(("ways", "stream"), ASKED)
@pytest.mark.parametrize("dialect", sorted(SPEAKERS))
async def test_the_client_gets_one_answer_with_all_that_was_said(dialect: str, ways: str, stream: bool) -> None:
    reports = CapturedReports()
    client = Reader(wrapped(Mixed(dialect, ways, says=True), observers=[reports]), dialect, stream=stream)
    response = await client.ask("What is up?")  # which fails if it sees a call of ours
    assert (response.status, response.complete) == (200, True)
    answer = client.speaker.wire.read(client._whole(STREAMS.get(dialect, ("", "text/event-stream", b""))[1]))
    said = client.speaker.wire.turn(answer).text
    assert said.endswith("There.")
    assert all(f"Look{number}." in said for number in range(ways.index("W") + 1, len(ways)))
    assert (reports[0].status, reports[0].rounds, reports[0].retrievals) == (200, len(ways), len(ways) - 1)


@pytest.mark.parametrize("cut", [True, False], ids=["cut", "too large"])
async def test_a_stream_behind_a_whole_round_that_cannot_be_held_is_a_bad_gateway(cut: bool) -> None:
    asks: Any = call_answer("anthropic", ("own", "headroom_retrieve", {"ref": "x"}), text="Let me look.")
    pieces = stream_of("anthropic", text_answer("anthropic", "It is there. " * (1 if cut else 300)))
    inner = Inner(answer_json(asks), answer_stream(pieces[:-3] if cut else pieces))
    app = wrapped(inner, max_response_bytes=100_000 if cut else 5_000)
    response = await post(app, PATHS["anthropic"], question_body("anthropic", TABLE, stream=True))
    assert (response.status, response.headers["content-type"], response.complete) == (502, "application/json", True)
    assert b"there" not in response.body
    assert response.json()["error"]
