"""One request through the middleware against the same request to the inner app alone."""

import json
import statistics
import time
from typing import Any

import anyio

from benchmarks.data import conversation
from headroom_asgi import HeadroomMiddleware, Tokenizer
from headroom_asgi.types import ASGIApp, Message, Receive, Scope, Send

ANSWER = json.dumps(
    {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }
).encode()


async def inner(scope: Scope, receive: Receive, send: Send) -> None:
    """An app that reads the body and answers."""
    while (await receive()).get("more_body"):
        continue
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(ANSWER))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": ANSWER, "more_body": False})


async def once(app: ASGIApp, body: bytes) -> float:
    """Milliseconds of one request."""
    given = False

    async def receive() -> Message:
        nonlocal given
        if given:
            await anyio.sleep_forever()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        """The client reads nothing."""

    scope: Scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/chat/completions",
        "root_path": "",
        "headers": [],
        "extensions": {},
    }
    started = time.perf_counter()
    await app(scope, receive, send)
    return (time.perf_counter() - started) * 1e3


async def measure() -> None:
    """Medians: the inner app alone, and what each mode adds to it."""
    tool = {"type": "function", "function": {"name": "list_orders", "parameters": {"type": "object"}}}
    Tokenizer("gpt-4o").load()  # half a second of a thread beside us, for which a lifespan waits
    print(
        "middleware: median added milliseconds a request (the baseline is the inner app alone), the newest output new / all known"
    )
    print(f"{'request':24s} {'k tokens':>8s} {'baseline':>9s} {'lossless':>16s} {'ccr':>16s}")
    for turns, size in ((1, 4), (1, 40), (5, 40), (10, 100)):
        messages = conversation(turns, size)
        body = json.dumps({"model": "gpt-4o", "tools": [tool], "messages": messages}).encode()
        baseline = statistics.median([await once(inner, body) for _ in range(200)])
        columns = []
        for mode in ("lossless", "ccr"):
            cold = []
            for _ in range(15):
                app = HeadroomMiddleware(inner, mode=mode, discover=False)
                before = json.dumps({"model": "gpt-4o", "tools": [tool], "messages": messages[:-2]}).encode()
                await once(app, before)
                cold.append(await once(app, body))
            warm = [await once(app, body) for _ in range(100)]
            columns.append(f"{statistics.median(cold) - baseline:7.2f} / {statistics.median(warm) - baseline:5.2f}")
        tokens = Tokenizer("gpt-4o").count_text(body.decode()) / 1e3
        print(f"{f'{turns} x {size} records':24s} {tokens:8.1f} {baseline:6.2f} ms {columns[0]:>16s} {columns[1]:>16s}")
    await small(tool)
    await stalls(tool)


async def small(tool: dict[str, Any]) -> None:
    """What a request of a kilobyte with tools costs, in microseconds: nothing in it can be made shorter."""
    messages = [{"role": "user", "content": "How many orders are open? " + "x" * 700}]
    body = json.dumps({"model": "gpt-4o", "tools": [tool], "messages": messages}).encode()
    baseline = statistics.median([await once(inner, body) for _ in range(500)])
    added = []
    for mode in ("lossless", "ccr"):
        app = HeadroomMiddleware(inner, mode=mode, discover=False)
        times = [await once(app, body) for _ in range(1000)]
        added.append(f"{mode} {1e3 * (statistics.median(times[100:]) - baseline):.0f} us")
    print(f"a request of {len(body)} bytes: added {', '.join(added)}")


async def stalls(tool: dict[str, Any]) -> None:
    """How long the event loop stands still while one large request is worked on, besides the wait for the interpreter's lock."""
    text = json.dumps({"model": "gpt-4o", "tools": [tool], "messages": conversation(20, 150)})
    tokens = Tokenizer("gpt-4o").count_text(text) / 1e3
    gaps: list[float] = []
    app = HeadroomMiddleware(inner, mode="ccr", discover=False)
    await once(app, json.dumps({"model": "gpt-4o", "tools": [tool], "messages": conversation(1, 4)}).encode())

    async def watch() -> None:
        last = time.perf_counter()
        while True:
            await anyio.sleep(0.0005)
            now = time.perf_counter()
            gaps.append((now - last) * 1e3)
            last = now

    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        await anyio.sleep(0.05)
        gaps.clear()
        took = await once(app, text.encode())
        group.cancel_scope.cancel()
    longest = ", ".join(f"{gap:.1f}" for gap in sorted(gaps, reverse=True)[:5])
    print(f"a request of {tokens:.0f} k tokens: {took:.0f} ms; the event loop's longest stalls: {longest} ms")


def main() -> None:
    """Run it."""
    anyio.run(measure)
