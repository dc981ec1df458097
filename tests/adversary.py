"""Exchanges with hostile tool outputs and models, in the dialects that most gateways see, whole and streamed."""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest

from headroom_asgi import HeadroomMiddleware
from headroom_asgi.types import Receive, Scope, Send
from tests.driver import ORDERS, Received, post
from tests.talks import FIELDS, SEARCH, SPEAKERS, Model

DIALECTS = ("openai-chat", "anthropic", "openai-responses")
each_dialect = pytest.mark.parametrize("dialect", DIALECTS)

MARKER = re.compile(r"<<ccr:([0-9a-f]{32}-(?:\d+|[a-z]+)) ")
MANY = [{**ORDERS[at % len(ORDERS)], "order_id": f"ORD-{10_000 + at}"} for at in range(600)]  # rows of which most are left out
Words = str | Callable[[str], str]  # or what they are, by the body that the model got


class Asking(Model):
    """A model whose script may depend on what it was sent."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def noting() -> Any:
            message = await receive()
            body = message.get("body", b"").decode()
            self.rounds[0] = [(kind, words(body) if callable(words) else words) for kind, words in self.rounds[0]]
            return message

        await super().__call__(scope, noting, send)


def model(dialect: str, *rounds: Sequence[tuple[str, Words]], stream: bool = False) -> Asking:
    """A model that goes through these rounds, then says goodbye."""
    return Asking(dialect, *[list(each) for each in rounds], [("text", "Bye.")], stream=stream)  # type: ignore[arg-type]


def asking(ref: Words, **more: Any) -> tuple[str, Words]:
    """A call of our tool."""
    return "ours", lambda body: json.dumps({"ref": ref(body) if callable(ref) else ref, **more})


def first_marker(body: str) -> str:
    """The name in the first marker of a body."""
    found = MARKER.search(body)
    return found[1] if found else "none"


def request(
    dialect: str, *outputs: str, stream: bool = False, question: str = "What is up?", **fields: Any
) -> tuple[str, dict[str, Any]]:
    """Address and body of a request whose tool outputs are these."""
    speaker = SPEAKERS[dialect]
    values = list(speaker.question(question))
    for number, output in enumerate(outputs, 1):
        values += speaker.turn(speaker.json(number, [("theirs", SEARCH)]))
        values += speaker.results([(f"call_{number}_0", "search", output)])
    streamed = {"stream": True} if stream else {}
    return speaker.wire.example_path, {**FIELDS[dialect], **streamed, speaker.wire.messages: values, **fields}


def results_in(dialect: str, body: bytes) -> list[str]:
    """The texts of all tool results in a body, ours included."""
    texts: list[str] = []
    for value in json.loads(body)[SPEAKERS[dialect].wire.messages]:
        if value.get("role") == "tool":
            texts.append(value["content"])
        elif value.get("type") == "function_call_output":
            texts.append(value["output"])
        elif isinstance(value.get("content"), list):
            texts += [part["content"] for part in value["content"] if part.get("type") == "tool_result"]
    return texts


async def exchange(
    dialect: str,
    outputs: Iterable[str],
    *rounds: Sequence[tuple[str, Words]],
    stream: bool = False,
    headers: Any = (),
    fields: dict[str, Any] | None = None,
    **settings: Any,
) -> tuple[Received, Asking]:
    """One request with these tool outputs to a model with this script; what the client got, and what the model saw."""
    inner = model(dialect, *rounds, stream=stream)
    path, body = request(dialect, *outputs, stream=stream, **fields or {})
    response = await post(HeadroomMiddleware(inner, discover=False, **settings), path, body, headers=headers)
    return response, inner
