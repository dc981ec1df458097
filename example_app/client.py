"""The demo's client: an agent loop over plain HTTP that knows nothing of the middleware."""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from example_app.conversations import Conversation
from example_app.speakers import SPEAKERS, DemoError, Talk
from example_app.view import SESSION_HEADER, WireFormat

_MODEL = "demo-model"
_MAX_STEPS = 8  # requests per question; the scripts need three at most

__all__ = ["Client", "DemoError", "Sent", "answer_text", "request_body", "run", "tool_turn"]


@dataclass(frozen=True, slots=True)
class Sent:
    """One request of the client, and what came back.

    Attributes:
        body: the request.
        turn: the model's turn, as later requests repeat it; [] if the request failed.
        status: of the response.
        ms: until the last byte.
    """

    body: dict[str, Any]
    turn: list[dict[str, Any]]
    status: int
    ms: float


@dataclass(slots=True)
class Client:
    """A client of a gateway, for one conversation.

    Attributes:
        http: the connection pool; its base URL is the gateway.
        wire_format: of all requests.
        route: path prefix, e.g. `/team-a`.
        session: the name that the client gives the conversation.
        headers: more headers.
    """

    http: httpx.Client
    wire_format: WireFormat
    route: str
    session: str
    headers: dict[str, str] = field(default_factory=dict)

    def send(self, body: dict[str, Any], talk: Talk) -> Sent:
        """Send a request, read the whole answer, streamed or not."""
        speaker = SPEAKERS[self.wire_format]
        headers = {SESSION_HEADER: self.session, "authorization": "Bearer demo", **self.headers}
        started = time.perf_counter()
        with self.http.stream("POST", self.route + speaker.path(talk), json=body, headers=headers) as response:
            raw = response.read()
        elapsed = (time.perf_counter() - started) * 1e3
        if response.status_code != 200:
            return Sent(body, [], response.status_code, elapsed)
        if response.headers["content-type"].startswith("application/json") == talk.stream:
            raise DemoError(f"{self.session}: asked for stream={talk.stream}, got {response.headers['content-type']}")
        answer = speaker.assembled(raw) if talk.stream else json.loads(raw)
        return Sent(body, speaker.turn(answer), response.status_code, elapsed)


def run(client: Client, conversation: Conversation) -> Iterator[tuple[Sent, str | None]]:
    """Drive a conversation turn by turn: each request that was sent, with the final text where it answers a question."""
    speaker, talk = SPEAKERS[client.wire_format], talk_of(conversation)
    messages: list[dict[str, Any]] = []
    for question in conversation.questions:
        messages.append(speaker.user(question.spoken()))
        for _ in range(_MAX_STEPS):
            sent = client.send(speaker.body(talk, messages), talk)
            if sent.status != 200:
                yield sent, ""
                return
            messages += sent.turn
            asked = speaker.calls(sent.turn)
            yield sent, None if asked else speaker.text(sent.turn)
            if not asked:
                break
            messages += speaker.results(asked, [_result(conversation.results, call.name, call.arguments) for call in asked])
        else:
            raise DemoError(f"{client.session}: no answer after {_MAX_STEPS} requests")


def talk_of(conversation: Conversation) -> Talk:
    """What a demo conversation's requests say beside their messages; without tools, nothing of the shop's is needed."""
    system = "" if SPEAKERS[conversation.wire_format].system_is_a_message and not conversation.tools else conversation.system
    thinking = "enabled" if conversation.thinking else ""
    return Talk(_MODEL, system, conversation.tools, conversation.stream, thinking)


def request_body(conversation: Conversation, messages: list[dict[str, Any]]) -> dict[str, Any]:
    """A request of a demo conversation."""
    return SPEAKERS[conversation.wire_format].body(talk_of(conversation), messages)


def answer_text(answer: dict[str, Any]) -> str:
    """The text of an assistant message of Chat or Anthropic."""
    return SPEAKERS["chat"].text([answer])


def tool_turn(wire_format: WireFormat, answer: dict[str, Any], results: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """What the client answers to the tool calls of a message."""
    speaker = SPEAKERS[wire_format]
    asked = speaker.calls([answer])
    yield from speaker.results(asked, [_result(results, call.name, call.arguments) for call in asked])


def _result(results: Mapping[str, str], name: str, arguments: dict[str, Any]) -> str:
    key = " ".join([name, *arguments.values()])
    if key not in results:
        raise DemoError(f"the client was asked for a tool that it does not have: {key}")
    return results[key]
