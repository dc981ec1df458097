"""A stream without hidden calls through the middleware against the same stream from the inner app alone, event by event."""

import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel

from headroom_asgi import HeadroomMiddleware
from headroom_asgi.types import ASGIApp, Message, Receive, Scope, Send

EVENTS = 2000
REPEATS = 7

_PARAMETERS = {"type": "object", "properties": {}}
_CHAT = {
    "model": "gpt-4o",
    "stream": True,
    "messages": [{"role": "user", "content": "q"}],
    "tools": [{"type": "function", "function": {"name": "search", "parameters": _PARAMETERS}}],
}
_MESSAGES = {
    "model": "claude-opus-5-5",
    "stream": True,
    "max_tokens": 9,
    "messages": [{"role": "user", "content": "q"}],
    "tools": [{"name": "search", "input_schema": _PARAMETERS}],
}


def chat(words: list[str]) -> list[bytes]:
    """Chunks of Chat Completions."""
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o"}
    deltas: list[tuple[dict[str, Any], str | None]] = [({"role": "assistant", "content": ""}, None)]
    deltas += [({"content": word}, None) for word in words]
    deltas.append(({}, "stop"))
    choices = ({"index": 0, "delta": delta, "finish_reason": reason} for delta, reason in deltas)
    frames = [b"data: " + json.dumps({**head, "choices": [choice]}).encode() + b"\n\n" for choice in choices]
    return [*frames, b"data: [DONE]\n\n"]


def messages(words: list[str]) -> list[bytes]:
    """Events of Messages."""
    usage = {"input_tokens": 1, "output_tokens": 1}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": usage}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**message, "stop_reason": None, "stop_sequence": None}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}} for word in words),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 9}},
        {"type": "message_stop"},
    ]
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events]


DIALECTS: dict[str, tuple[str, dict[str, Any], Callable[[list[str]], list[bytes]]]] = {
    "openai-chat": ("/v1/chat/completions", _CHAT, chat),
    "anthropic": ("/v1/messages", _MESSAGES, messages),
}


async def gaps(app: Callable[[ASGIApp], ASGIApp], path: str, body: bytes, frames: list[bytes]) -> list[float]:
    """Microseconds from each event's being sent by the inner app until it is with the client."""
    sent = 0.0
    got: list[float] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal sent
        while (await receive()).get("more_body"):
            continue
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        for frame in frames:
            await anyio.lowlevel.checkpoint()
            sent = time.perf_counter()
            await send({"type": "http.response.body", "body": frame, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    given = False

    async def receive() -> Message:
        nonlocal given
        if given:
            await anyio.sleep_forever()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        if message.get("body"):
            got.append((time.perf_counter() - sent) * 1e6)

    scope: Scope = {"type": "http", "method": "POST", "path": path, "root_path": "", "headers": [], "extensions": {}}
    await app(inner)(scope, receive, send)
    return got


async def measure() -> None:
    """Medians over all events, and the slowest of a hundred."""
    print(f"streams: microseconds from an event's being sent to its being with the client, {EVENTS} events")
    print(
        f"{'dialect':12s} {'bare app':>16s} {'lossless':>16s} {'tool offered':>16s} {'added':>8s}   (median / 99th of a hundred)"
    )
    words = [f"word{n} " for n in range(EVENTS)]
    for name, (path, fields, spelled) in DIALECTS.items():
        body, frames = json.dumps(fields).encode(), spelled(words)
        apps: tuple[Callable[[ASGIApp], ASGIApp], ...] = (
            lambda inner: inner,
            lambda inner: HeadroomMiddleware(inner, mode="lossless", discover=False),
            lambda inner: HeadroomMiddleware(inner, discover=False),
        )
        columns: list[list[float]] = [[] for _ in apps]
        for _ in range(REPEATS):  # taken in turn, so that all of them meet the same machine
            for column, app in zip(columns, apps, strict=True):
                column.extend(await gaps(app, path, body, frames))
        medians = [statistics.median(column) for column in columns]
        shown = (f"{m:7.1f} / {sorted(c)[int(len(c) * 0.99)]:6.1f}" for m, c in zip(medians, columns, strict=True))
        print(f"{name:12s} {' '.join(f'{text:>16s}' for text in shown)} {medians[2] - medians[0]:8.1f}")


def main() -> None:
    """Run it."""
    anyio.run(measure)
