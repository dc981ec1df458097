"""A client that talks through the middleware with a scripted model, in any dialect, and what the model was sent meanwhile."""

import json
import random
from typing import Any

from conversations import calls_of
from conversations_responses import Responses
from every_dialect import REAL_DIALECTS

from headroom_asgi._crush import Document
from headroom_asgi.retrieval import TOOL
from headroom_asgi.types import Receive, Scope, Send
from tests.driver import Received, post, whole_body

SPEAKERS = {speaker.wire.name: speaker for speaker in reversed((*REAL_DIALECTS, Responses()))}  # of two, the first
OURS = json.dumps({"ref": "0" * 32})
SEARCH = '{"q": "orders"}'

_SCHEMA = {"type": "object", "properties": {}}
_CHAT = {"tools": [{"type": "function", "function": {"name": "search", "parameters": _SCHEMA}}]}
_MESSAGES = {"max_tokens": 9, "tools": [{"name": "search", "input_schema": _SCHEMA}]}
FIELDS: dict[str, dict[str, Any]] = {
    "openai-chat": {"model": "m", **_CHAT},
    "ollama": {"model": "m", **_CHAT},
    "openai-responses": {"model": "m", "store": False, "tools": [{"type": "function", "name": "search", "parameters": _SCHEMA}]},
    "anthropic": {"model": "m", **_MESSAGES},
    "bedrock-invoke": {"anthropic_version": "bedrock-2023-05-31", **_MESSAGES},
    "bedrock": {"toolConfig": {"tools": [{"toolSpec": {"name": "search", "inputSchema": {"json": _SCHEMA}}}]}},
    "gemini": {"tools": [{"functionDeclarations": [{"name": "search", "parameters": _SCHEMA}]}]},
}
PATHS = {"gemini": "/v1beta/models/gemini-2.5-pro:generateContent"}  # newer models sign calls, which these scripts don't
STREAMS = {
    "gemini": ("/v1beta/models/gemini-2.5-pro:streamGenerateContent", "text/event-stream", b"alt=sse"),
    "bedrock": ("/model/m/converse-stream", "application/vnd.amazon.eventstream", b""),
    "bedrock-invoke": ("/model/anthropic.m/invoke-with-response-stream", "application/vnd.amazon.eventstream", b""),
    "ollama": ("/api/chat", "application/x-ndjson", b""),
}


class Model:
    """An inner app that answers one round after the other of a script, whatever it is asked."""

    def __init__(self, dialect: str, *rounds: list[tuple[str, str]], stream: bool = False) -> None:
        self.speaker = SPEAKERS[dialect]
        self.rounds = list(rounds)
        self.stream = stream
        self.bodies: list[bytes] = []
        self.statuses: list[int] = []  # of the next answers, where they are errors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.bodies.append(await whole_body(receive))
        if self.statuses and (status := self.statuses.pop(0)) != 200:
            await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]})
            await send({"type": "http.response.body", "body": b'{"error":{"message":"no"}}', "more_body": False})
            return
        number = len(self.bodies)
        parts = self.rounds.pop(0)
        if self.stream:
            media = STREAMS.get(self.speaker.wire.name, ("", "text/event-stream", b""))[1].encode()
            data = self.speaker.stream(random.Random(number), number, parts)
        else:
            media, data = b"application/json", self.speaker.json(number, parts)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", media)]})
        for at in range(0, len(data), 64):
            await send({"type": "http.response.body", "body": data[at : at + 64], "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def turn(self, number: int) -> list[bytes]:
        """The values of the conversation that request `number` had, counted from 1, as bytes."""
        document = Document(self.bodies[number - 1])
        return [document.raw(node) for node in document.elements(document.get(0, self.speaker.wire.messages))]


class Talk:
    """A client with its conversation."""

    def __init__(self, app: Any, dialect: str, *, stream: bool = False, **fields: Any) -> None:
        self.app = app
        self.speaker = SPEAKERS[dialect]
        self.stream = stream
        self.fields = {**FIELDS[dialect], **fields}
        self.values: list[Any] = []
        self.waiting: list[tuple[str, str]] = []  # calls that the client has to answer: id and name
        self.last = Received()

    async def ask(self, text: str = "and now?", *, headers: Any = ()) -> Received:
        """Answer what waits, say something if nothing does, and keep what comes back."""
        if self.waiting:
            self.values += self.speaker.results([(i, name, f"{text} {i}") for i, name in self.waiting])
        else:
            self.values += self.speaker.question(text)
        name = self.speaker.wire.name
        streamed = {"stream": self.stream} if name not in ("gemini", "bedrock", "bedrock-invoke") else {}
        body = {**self.fields, **streamed, self.speaker.wire.messages: self.values}
        path, media, query = STREAMS.get(name, ("", "text/event-stream", b"")) if self.stream else ("", "", b"")
        path = path or PATHS.get(name, self.speaker.wire.example_path)
        self.last = await post(self.app, path, body, headers=headers, query_string=query)
        if self.last.status == 200:
            self._keep(self._whole(media) if self.stream else self.last.body)
        return self.last

    def _whole(self, media: str) -> bytes:
        codec = self.speaker.wire.codec(media)
        codec.begin_round()
        codec.feed(self.last.body)
        codec.close()
        return bytes(codec.answer().document.data)

    def _keep(self, answer: bytes) -> None:
        self.values += self.speaker.turn(answer)
        read = self.speaker.wire.read(answer)
        self.waiting = [(call.id, call.name) for call in read.calls]
        assert TOOL.name not in [name for _, name in self.waiting]


def ids_of(number: int, parts: list[tuple[str, str]]) -> list[str]:
    """The ids of the calls in a round of the script."""
    return [call_id for _, _, call_id, name in calls_of(number, parts) if name]
