"""A raw ASGI client, and inner apps that answer by script: no framework between the test and the middleware."""

import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest

from headroom_asgi import HeadroomMiddleware, PipelineEvent, PipelineStage
from headroom_asgi.types import Message, Receive, Scope, Send

PATHS = {"openai-chat": "/v1/chat/completions", "anthropic": "/v1/messages"}
CHAT = PATHS["openai-chat"]
ORDERS = [
    {
        "order_id": f"ORD-{10_000 + n}",
        "customer": f"customer {n}",
        "status": ["shipped", "pending", "delivered"][n % 3],
        "total": 10.5 * n,
        "city": ["Oslo", "Lima", "Pune", "Cork", "Bonn"][n % 5],
        "carrier": "Northwind Parcel",
    }
    for n in range(400)
]
TABLE = json.dumps(ORDERS)

both_dialects = pytest.mark.parametrize("dialect", sorted(PATHS))
streamed_or_not = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


def wrapped(inner: Any, *extensions: Any, **settings: Any) -> HeadroomMiddleware:
    """The middleware around an inner app, with these extensions and none that happen to be installed."""
    given = {"extensions": list(extensions)} if extensions else {}
    return HeadroomMiddleware(inner, discover=False, **given, **settings)


class At:
    """An extension that does one thing at one stage."""

    def __init__(self, stage: PipelineStage, act: Callable[[PipelineEvent], Any]) -> None:
        self.stage = stage
        self.act = act

    def on_pipeline_event(self, event: PipelineEvent) -> Any:
        return self.act(event) if event.stage is self.stage else None


def question_body(
    dialect: str, output: str, *, stream: bool = False, question: str = "What is up?", **more: Any
) -> dict[str, Any]:
    """A request whose one tool output is `output`."""
    if dialect == "anthropic":
        return {
            "model": "claude-opus-5-5",
            "max_tokens": 100,
            "stream": stream,
            "tools": [{"name": "list_orders", "description": "d", "input_schema": {"type": "object", "properties": {}}}],
            "messages": [
                {"role": "user", "content": question},
                {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "list_orders", "input": {}}]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": output}]},
            ],
            **more,
        }
    call = {"id": "call_1", "type": "function", "function": {"name": "list_orders", "arguments": "{}"}}
    return {
        "model": "gpt-4o",
        "stream": stream,
        "tools": [{"type": "function", "function": {"name": "list_orders", "parameters": {"type": "object", "properties": {}}}}],
        "messages": [
            {"role": "user", "content": question},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": output},
        ],
        **more,
    }


def tool_texts(body: bytes) -> list[str]:
    """The texts of all tool results in a request body of either dialect."""
    texts = []
    for message in json.loads(body)["messages"]:
        if message["role"] == "tool":
            texts.append(message["content"])
        elif isinstance(message.get("content"), list):
            texts += [part["content"] for part in message["content"] if part.get("type") == "tool_result"]
    return texts


@dataclass
class Received:
    """A response as the client got it."""

    messages: list[Message] = field(default_factory=list)

    @property
    def status(self) -> int:
        return self.messages[0]["status"]

    @property
    def headers(self) -> dict[str, str]:
        return {k.decode(): v.decode() for k, v in self.messages[0]["headers"]}

    @property
    def body(self) -> bytes:
        return b"".join(m.get("body", b"") for m in self.messages if m["type"] == "http.response.body")

    @property
    def complete(self) -> bool:
        return bool(self.messages) and not self.messages[-1].get("more_body", False)

    @property
    def outcome(self) -> str:
        return self.headers["x-headroom-outcome"]

    def json(self) -> Any:
        return json.loads(self.body)


def http_scope(path: str, headers: Iterable[tuple[bytes, bytes]] = (), **more: Any) -> Scope:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"test"), (b"content-type", b"application/json"), *headers],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
        **more,
    }


def staying(body: bytes | dict[str, Any]) -> Receive:
    """What is received of a client that gives its body at once, and then stays."""
    waiting = [body if isinstance(body, bytes) else json.dumps(body).encode()]

    async def receive() -> Message:
        if not waiting:
            await anyio.sleep_forever()
        return {"type": "http.request", "body": waiting.pop(), "more_body": False}

    return receive


async def post(
    app: Any,
    path: str,
    body: bytes | dict[str, Any],
    *,
    headers: Iterable[tuple[bytes, bytes]] = (),
    chunks: int = 1,
    **scope: Any,
) -> Received:
    """Send a request with the body in that many chunks; wait for the app to return."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    step = max(1, -(-len(data) // chunks))
    pieces = [data[i : i + step] for i in range(0, len(data), step)] or [b""]
    waiting = [{"type": "http.request", "body": p, "more_body": i + 1 < len(pieces)} for i, p in enumerate(pieces)]
    received = Received()
    over = anyio.Event()

    async def receive() -> Message:
        if waiting:
            return waiting.pop(0)
        await over.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            assert not received.messages, "a second start"
            lengths = [value for key, value in message.get("headers", []) if key.lower() == b"content-length"]
            assert len(lengths) <= 1, "two lengths"
        assert not over.is_set(), "a message after the end"
        received.messages.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            over.set()
            started = received.messages[0].get("headers", [])  # there are apps that never start
            lengths = [value for key, value in started if key.lower() == b"content-length"]
            assert lengths in ([], [b"%d" % len(received.body)]), "the length is not the body's"

    sized = [(b"content-length", b"%d" % len(data)), *headers]
    await app(http_scope(path, sized, **scope), receive, send)
    return received


async def whole_body(receive: Receive) -> bytes:
    data = b""
    while True:
        message = await receive()
        assert message["type"] == "http.request", message
        data += message.get("body", b"")
        if not message.get("more_body", False):
            return data


Reaction = Callable[[bytes, Send], Awaitable[None]]


class Inner:
    """An inner app: remembers what it was sent, answers each call with the next reaction (the last one again and again)."""

    def __init__(self, *reactions: Reaction) -> None:
        self.bodies: list[bytes] = []
        self.scopes: list[Scope] = []
        self._reactions = reactions or (answer_json({"ok": True}),)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        self.bodies.append(await whole_body(receive))
        await self._reactions[min(len(self.bodies), len(self._reactions)) - 1](self.bodies[-1], send)


def answer_json(value: Any, status: int = 200, headers: Iterable[tuple[bytes, bytes]] = ()) -> Reaction:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()

    async def react(body: bytes, send: Send) -> None:
        given = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(data)), *headers]
        await send({"type": "http.response.start", "status": status, "headers": given})
        await send({"type": "http.response.body", "body": data, "more_body": False})

    return react


def answer_stream(pieces: Iterable[bytes]) -> Reaction:
    async def react(body: bytes, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return react


# -- answers in both dialects ------------------------------------------------------------------------------------------


def text_answer(dialect: str, text: str) -> dict[str, Any]:
    return _answer(dialect, text, [])


def call_answer(dialect: str, *calls: tuple[str, str, dict[str, Any]], text: str = "") -> dict[str, Any]:
    """An answer that calls tools: (id, name, arguments) each."""
    return _answer(dialect, text, list(calls))


def _answer(dialect: str, text: str, calls: list[tuple[str, str, dict[str, Any]]]) -> dict[str, Any]:
    if dialect == "anthropic":
        content: list[dict[str, Any]] = [{"type": "text", "text": text}] if text else []
        content += [{"type": "tool_use", "id": i, "name": n, "input": a} for i, n, a in calls]
        return {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "claude-opus-5-5",
            "content": content,
            "stop_reason": "tool_use" if calls else "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": 10, "output_tokens": 5},
        }
    message: dict[str, Any] = {"role": "assistant", "content": text or None}
    if calls:
        message["tool_calls"] = [
            {"id": i, "type": "function", "function": {"name": n, "arguments": json.dumps(a)}} for i, n, a in calls
        ]
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-4o",
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }


def stream_of(dialect: str, answer: dict[str, Any]) -> list[bytes]:
    """The answer as the provider would stream it, one frame a piece."""
    return list(_anthropic_stream(answer) if dialect == "anthropic" else _chat_stream(answer))


def _chat_stream(answer: dict[str, Any]) -> Iterable[bytes]:
    def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
        choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
        head = {"id": answer["id"], "object": "chat.completion.chunk", "created": 1, "model": answer["model"]}
        return b"data: " + json.dumps({**head, "choices": choices, **more}).encode() + b"\n\n"

    message = answer["choices"][0]["message"]
    yield chunk({"role": "assistant", "content": ""})
    text = message["content"] or ""
    for i in range(0, len(text), 7):
        yield chunk({"content": text[i : i + 7]})
    for index, call in enumerate(message.get("tool_calls", [])):
        function = {"name": call["function"]["name"], "arguments": ""}
        yield chunk({"tool_calls": [{"index": index, "id": call["id"], "type": "function", "function": function}]})
        arguments = call["function"]["arguments"]
        for i in range(0, len(arguments), 9):
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": arguments[i : i + 9]}}]})
    yield chunk({}, answer["choices"][0]["finish_reason"])
    head = {"id": answer["id"], "object": "chat.completion.chunk", "created": 1, "model": answer["model"]}
    yield b"data: " + json.dumps({**head, "choices": [], "usage": answer["usage"]}).encode() + b"\n\n"
    yield b"data: [DONE]\n\n"


def _anthropic_stream(answer: dict[str, Any]) -> Iterable[bytes]:
    def event(kind: str, **more: Any) -> bytes:
        return f"event: {kind}\ndata: {json.dumps({'type': kind, **more})}\n\n".encode()

    yield event(
        "message_start", message={**answer, "content": [], "stop_reason": None, "usage": {**answer["usage"], "output_tokens": 1}}
    )
    yield event("ping")
    for index, block in enumerate(answer["content"]):
        if block["type"] == "text":
            yield event("content_block_start", index=index, content_block={"type": "text", "text": ""})
            for i in range(0, len(block["text"]), 7):
                delta = {"type": "text_delta", "text": block["text"][i : i + 7]}
                yield event("content_block_delta", index=index, delta=delta)
        else:
            yield event("content_block_start", index=index, content_block={**block, "input": {}})
            arguments = json.dumps(block["input"])
            for i in range(0, len(arguments), 9):
                delta = {"type": "input_json_delta", "partial_json": arguments[i : i + 9]}
                yield event("content_block_delta", index=index, delta=delta)
        yield event("content_block_stop", index=index)
    delta = {"stop_reason": answer["stop_reason"], "stop_sequence": None}
    yield event("message_delta", delta=delta, usage={"output_tokens": answer["usage"]["output_tokens"]})
    yield event("message_stop")
