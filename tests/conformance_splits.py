"""The scripted upstream's streams of every dialect, cut at any byte: the client's bytes must not depend on where.

python -m tests.conformance_splits     all kinds of exchanges at every position, which takes minutes
"""

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from example_app import upstream
from example_app.speakers import SPEAKERS, Talk, Tool, assembled_chunks
from example_app.view import WireFormat
from headroom_asgi import HeadroomMiddleware
from headroom_asgi.retrieval import TOOL, Originals, Watch, rounds
from headroom_asgi.types import Message, Receive, Scope, Send
from headroom_asgi.wire import Payload, dialect_for
from tests.driver import http_scope, post, whole_body

MODELS: dict[WireFormat, str] = {
    "gemini": "gemini-3-pro",
    "converse": "anthropic.claude-opus-5-5-v1:0",
    "invoke": "anthropic.claude-opus-5-5-v1:0",
}
TOOLS = (Tool("list_orders", "Lists orders.", ("page",)),)
HIDDEN = {"tool": TOOL.name, "arguments": {"ref": "$0"}}
OWN = {"tool": "list_orders", "arguments": {"page": "zwölf"}}
OWN_3 = {"tool": "list_orders", "arguments": {}}
KINDS: dict[str, tuple[dict[str, Any], ...]] = {
    "plain": ({"say": "It’s “all” fine."},),
    "hidden": ({"calls": [HIDDEN]}, {"say": "Fine."}),
    "text, hidden, name in two": ({"say": "Hm.", "calls": [HIDDEN], "split_name": True}, {"say": "Fine."}),
    "hidden, then mixed": ({"say": "Hm.", "calls": [HIDDEN, HIDDEN]}, {"calls": [OWN, HIDDEN, OWN_3]}),
}
_LONG = 8192  # bytes up to which every position is tried
_TRIES = 2000  # random positions in longer streams


@dataclass(frozen=True, slots=True)
class Exchange:
    """An exchange as it was recorded: the request as the upstream got it, and the stream of every round."""

    dialect: WireFormat
    payload: Payload
    media: str
    streams: tuple[bytes, ...]

    def replayed(self, cuts: Sequence[int]) -> bytes:
        """The client's bytes, where every stream comes in pieces, cut at these positions."""
        wire = self.payload.wire
        flow = rounds(wire, self.payload.body, Originals({}, max_bytes=1 << 20), max_rounds=4, structured=False)
        next(flow)
        watch = Watch(wire.codec(self.media), TOOL.name, structured=False, max_hold_bytes=1 << 20)
        out: list[bytes] = []
        for stream in self.streams:
            if watch.begin_round(unseen=True):  # as long as nothing is to be seen the middleware holds everything back
                out.clear()
            places = sorted({cut for cut in cuts if 0 < cut < len(stream)})
            out += [watch.feed(stream[a:b]) for a, b in zip([0, *places], [*places, len(stream)], strict=True)]
            rest, answer = watch.end_round()
            out.append(rest)
            assert answer is not None
            try:
                flow.send(answer)
            except StopIteration as stop:
                out.append(watch.finish(stop.value))
        return b"".join(out)

    def turn(self, told: bytes) -> list[dict[str, Any]]:
        """The model's turn in a client's stream, read strictly."""
        if self.media == "application/json":
            return SPEAKERS["gemini"].turn(assembled_chunks(json.loads(told), told))
        return SPEAKERS[self.dialect].turn(SPEAKERS[self.dialect].assembled(told))

    def places(self) -> Iterator[int]:
        """Every position, or random ones in a long stream."""
        longest = max(map(len, self.streams))
        return iter(range(1, longest)) if longest <= _LONG else iter(random.Random(longest).choices(range(1, longest), k=_TRIES))


def recorded(dialect: WireFormat, kind: str, *, array: bool = False) -> Exchange:
    """An exchange through the middleware, streamed; Gemini's as an array if that is asked for."""
    return asyncio.run(_recorded(dialect, KINDS[kind], array=array))


def whole_turn(dialect: WireFormat, kind: str) -> list[dict[str, Any]]:
    """The model's turn that the client gets where it asks for no stream."""
    speaker = SPEAKERS[dialect]
    talk = Talk(MODELS.get(dialect, "m"), tools=TOOLS, thinking="enabled")
    control = json.dumps({"script": {"steps": KINDS[kind]}}).encode()
    app = HeadroomMiddleware(upstream.app(), discover=False)
    body = speaker.body(talk, [speaker.user("Hi.")])
    received = asyncio.run(post(app, speaker.path(talk), body, headers=[(b"x-demo-control", control)]))
    answer = received.json()
    # Texts of different rounds are parts of their own here, and neighbors in a stream.
    return speaker.turn(assembled_chunks([answer], received.body) if dialect == "gemini" else answer)


async def _recorded(dialect: WireFormat, steps: tuple[dict[str, Any], ...], *, array: bool) -> Exchange:
    model = upstream.app()
    bodies: list[bytes] = []
    streams: list[bytes] = []
    media: list[str] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        body = await whole_body(receive)
        bodies.append(body)
        streams.append(b"")
        messages: list[Message] = [{"type": "http.request", "body": body}]

        async def given() -> Message:
            return messages.pop() if messages else await receive()

        async def kept(message: Message) -> None:
            if message["type"] == "http.response.start":
                media.append(dict(message["headers"])[b"content-type"].decode().partition(";")[0])
            streams[-1] += message.get("body", b"")
            await send(message)

        await model(scope, given, kept)

    speaker = SPEAKERS[dialect]
    talk = Talk(MODELS.get(dialect, "m"), tools=TOOLS, stream=True, thinking="enabled")
    path, _, query = speaker.path(talk).partition("?")
    query = "" if array else query
    body = speaker.body(talk, [speaker.user("Hi.")])
    control = json.dumps({"script": {"steps": steps}}).encode()
    app = HeadroomMiddleware(inner, discover=False)
    received = await post(app, path, body, headers=[(b"x-demo-control", control)], query_string=query.encode())
    assert received.status == 200, received.body
    found = dialect_for(http_scope(path)["path"], query)
    assert found is not None
    wire, endpoint = found
    exchange = Exchange(dialect, wire.decode(bodies[0], endpoint), media[0], tuple(streams))
    assert exchange.replayed(()) == received.body, "the middleware tells the client something else"
    return exchange


def main(arguments: list[str]) -> int:
    """Everything at every position; the exit status is 0 if nothing depends on it."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance_splits", description="Streams cut at every byte.")
    parser.parse_args(arguments)
    wrong = 0
    for dialect in SPEAKERS:
        for array in (False, True) if dialect == "gemini" else (False,):
            for name in KINDS:
                exchange = recorded(dialect, name, array=array)
                whole = exchange.replayed(())
                exchange.turn(whole)
                started = time.monotonic()
                places = list(exchange.places())
                bad = [place for place in places if exchange.replayed([place]) != whole]
                wrong += len(bad)
                sizes = "+".join(str(len(stream)) for stream in exchange.streams)
                took = f"{time.monotonic() - started:.1f} s"
                print(f"{dialect:10} {name:28} {sizes:>12} bytes, {len(places)} positions, {len(bad)} wrong {bad[:9]} {took}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
