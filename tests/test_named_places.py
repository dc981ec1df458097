"""Answers that name places in the request name those of the client's own, whatever was put back into it."""

import json
from typing import Any

import pytest

from headroom_asgi import HeadroomMiddleware
from headroom_asgi.retrieval import TOOL
from headroom_asgi.store import MemoryStore
from headroom_asgi.types import Receive, Scope, Send
from headroom_asgi.wire.anthropic_answer import stream_of as spelled_stream
from headroom_asgi.wire.bedrock_invoke import BedrockInvoke
from tests.driver import post, streamed_or_not, whole_body
from tests.talks import FIELDS, SPEAKERS, STREAMS

pytestmark = pytest.mark.anyio
OURS = {"type": "tool_use", "id": "toolu_01ABCDEFGH23456789", "name": TOOL.name, "input": {"ref": "ab"}}
MEMBER = "input_transformations"


def thought(name: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": "", "signature": name}


def said(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def dropped(*places: str) -> list[dict[str, Any]]:
    return [{"type": "thinking_dropped", "path": place, "reason": "prefix_binding_mismatch"} for place in places]


class Provider:
    """An inner app that answers by script, and says that it dropped what is named there."""

    def __init__(self, dialect: str, *rounds: tuple[list[dict[str, Any]], list[dict[str, Any]]], stream: bool) -> None:
        self.dialect, self.stream = dialect, stream
        self.rounds = list(rounds)
        self.messages: list[list[dict[str, Any]]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.messages.append(json.loads(await whole_body(receive))["messages"])
        content, changes = self.rounds.pop(0)
        reason = "tool_use" if content[-1]["type"] == "tool_use" else "end_turn"
        head = {"id": f"msg_{len(self.messages)}", "type": "message", "role": "assistant", "model": "m"}
        usage = {"input_tokens": 1, "output_tokens": 1}
        answer = {**head, "content": content, "stop_reason": reason, "stop_sequence": None, "usage": usage, MEMBER: changes}
        wire = SPEAKERS[self.dialect].wire
        data, media = json.dumps(answer).encode(), b"application/json"
        if self.stream:
            media = STREAMS.get(self.dialect, ("", "text/event-stream", b""))[1].encode()
            read = wire.read(data)
            data = wire.as_stream(read) if isinstance(wire, BedrockInvoke) else spelled_stream(read)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", media)]})
        await send({"type": "http.response.body", "body": data, "more_body": False})


async def ask(app: Any, dialect: str, messages: list[dict[str, Any]], *, stream: bool) -> dict[str, Any]:
    """What the client has of the answer: the message, with what only its start said of it if it was a stream."""
    wire = SPEAKERS[dialect].wire
    path = (STREAMS[dialect][0] if stream and dialect in STREAMS else "") or wire.example_path
    streamed = {"stream": stream} if dialect == "anthropic" else {}
    received = await post(app, path, {**FIELDS[dialect], **streamed, "messages": messages})
    assert received.status == 200
    if not stream:
        return dict(received.json())
    codec = wire.codec()
    codec.begin_round()
    codec.feed(received.body)
    return dict(json.loads(codec.answer().document.data))


@streamed_or_not
@pytest.mark.parametrize("dialect", ["anthropic", "bedrock-invoke"])
async def test_places_are_those_of_the_clients_request(dialect: str, stream: bool) -> None:
    # The first answer took a hidden round; of the second request the provider drops what it sees at 1.0, 3.0 and 5.0.
    provider = Provider(
        dialect,
        ([thought("a"), OURS], []),
        ([said("Fine.")], dropped("messages.1.content.0")),
        ([thought("b"), said("More.")], []),
        ([said("Bye.")], dropped("messages.1.content.0", "messages.5.content.0", "messages.5.content.0.thinking", "system.0")),
        stream=stream,
    )
    app = HeadroomMiddleware(provider, store=MemoryStore(shared=True), discover=False)
    messages: list[dict[str, Any]] = [{"role": "user", "content": "hi"}]
    told = []
    for question in ("more", "and?", ""):
        answer = await ask(app, dialect, messages, stream=stream)
        told.append([entry["path"] for entry in answer.get(MEMBER, [])])
        messages += [{"role": "assistant", "content": answer["content"]}, {"role": "user", "content": question}]
    assert [len(sent) for sent in provider.messages] == [1, 3, 5, 7]
    assert [block.get("signature") for block in provider.messages[3][5]["content"]] == ["b", None]
    # Of its own rounds nothing is in the client's request; later on, what the client has keeps its name there.
    assert told[0] == []
    assert told[2] == ["messages.1.content.0", "messages.3.content.0", "messages.3.content.0.thinking", "system.0"]


@streamed_or_not
async def test_what_the_client_has_not_is_not_named(stream: bool) -> None:
    provider = Provider(
        "anthropic",
        ([thought("a"), OURS], []),
        ([thought("b"), said("Fine.")], []),
        ([said("Bye.")], dropped("messages.3.content.0", "messages.1.content.0", "messages.9.content.0", "messages")),
        stream=stream,
    )
    app = HeadroomMiddleware(provider, store=MemoryStore(shared=True), discover=False)
    messages: list[dict[str, Any]] = [{"role": "user", "content": "hi"}]
    answer = await ask(app, "anthropic", messages, stream=stream)
    assert [block.get("signature") for block in answer["content"]] == ["a", None]  # what was signed behind the hidden round goes
    messages += [{"role": "assistant", "content": answer["content"]}, {"role": "user", "content": "more"}]
    answer = await ask(app, "anthropic", messages, stream=stream)
    assert provider.messages[2][3]["content"][0]["signature"] == "b"
    assert [entry["path"] for entry in answer[MEMBER]] == ["messages.1.content.0"]


@streamed_or_not
async def test_a_request_that_went_as_the_client_has_it_is_spoken_of_as_the_provider_does(stream: bool) -> None:
    changes = dropped("messages.0.content.0", "of another form")
    provider = Provider("anthropic", ([said("Fine.")], changes), stream=stream)
    app = HeadroomMiddleware(provider, store=MemoryStore(shared=True), discover=False)
    answer = await ask(app, "anthropic", [{"role": "user", "content": "hi"}], stream=stream)
    assert answer[MEMBER] == changes
