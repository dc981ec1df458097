"""Whole conversations of OpenAI's own client through the middleware, with a provider that holds them and refuses what the API does."""

import json
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import httpx
import openai
import pytest
from conversations_responses import response_events, response_of, spelled

from headroom_asgi import HeadroomMiddleware
from headroom_asgi.config import RetrievalConfig
from headroom_asgi.store import MemoryStore
from headroom_asgi.types import Receive, Scope, Send
from tests.driver import TABLE, answer_json, answer_stream, streamed_or_not, whole_body

pytestmark = pytest.mark.anyio
OURS = "headroom_retrieve"
MARKER = re.compile(r"<<ccr:([0-9a-f]{32}-\d+) ")
LIST_ORDERS = {"type": "function", "name": "list_orders", "parameters": {"type": "object", "properties": {}}, "strict": False}

Item = dict[str, Any]


class Provider:
    """An inner app that answers with scripted outputs, one a request, and keeps every response and conversation.

    An output is a list of `text`, `think`, `ours` and `theirs`. Refused are, as by the API: outputs without their call, calls
    without their output, ids that come twice, and reasoning that is not followed by what it led to.
    """

    def __init__(self, script: Sequence[Sequence[str]], *, piece: int = 1 << 20) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.refused: list[str] = []
        self.known: dict[str, list[Item]] = {}
        self._script = list(script)
        self._follower: dict[str, str] = {}
        self._piece = piece
        self._count = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = json.loads(await whole_body(receive))
        self.bodies.append(body)
        held = body.get("conversation") or body.get("previous_response_id")
        given = body["input"] if isinstance(body["input"], list) else [{"role": "user", "content": body["input"]}]
        items = [*self.known.get(held, []), *given]
        problem = self._problem(items, held)
        if problem:
            self.refused.append(problem)
            error = {"error": {"message": problem, "type": "invalid_request_error", "param": "input", "code": None}}
            await answer_json(error, 400)(b"", send)
            return
        response = self._response(body, items)
        for name in {response["id"], body.get("conversation")} - {None}:
            self.known[name] = [*items, *response["output"]]
        if body.get("stream"):
            data = b"".join(spelled(*response_events(response, lambda text: [text[:4], text[4:]])))
            await answer_stream(data[i : i + self._piece] for i in range(0, len(data), self._piece))(b"", send)
        else:
            await answer_json(response)(b"", send)

    def _response(self, body: dict[str, Any], items: list[Item]) -> dict[str, Any]:
        output = [self._item(kind, json.dumps(items)) for kind in self._script[len(self.bodies) - 1]]
        for item, follower in pairwise(output):
            if item["type"] == "reasoning":
                self._follower[item["id"]] = follower["id"]
        repeated = {key: body.get(key) for key in ("previous_response_id", "instructions")}
        conversation = {"id": body["conversation"]} if body.get("conversation") else None
        number = len(self.bodies)
        return response_of(number, output, tools=body["tools"], **repeated, conversation=conversation)

    def _item(self, kind: str, seen: str) -> Item:
        self._count += 1
        number = f"{self._count:020d}"
        if kind == "think":
            return {"type": "reasoning", "id": f"rs_{number}", "summary": [], "encrypted_content": f"sealed {number}"}
        if kind in ("ours", "theirs"):
            ref = MARKER.search(seen)
            arguments = {"ref": ref[1] if ref else "gone"} if kind == "ours" else {}
            name = OURS if kind == "ours" else "list_orders"
            call = {"type": "function_call", "id": f"fc_{number}", "call_id": f"call_{number}", "status": "completed"}
            return call | {"name": name, "arguments": json.dumps(arguments)}
        content = [{"type": "output_text", "text": kind, "annotations": [], "logprobs": []}]
        return {"type": "message", "id": f"msg_{number}", "status": "completed", "role": "assistant", "content": content}

    def _problem(self, items: list[Item], held: str | None) -> str:
        if held and held not in self.known and not held.startswith("conv_"):
            return f"Previous response with id {held!r} not found."
        calls = [item["call_id"] for item in items if item.get("type") == "function_call"]
        outputs = [item["call_id"] for item in items if item.get("type") == "function_call_output"]
        ids = [item["id"] for item in items if item.get("id")]
        if len(set(ids)) < len(ids):
            return "Duplicate item found."
        if set(outputs) - set(calls):
            return "No tool call found for function call output."
        if sorted(calls) != sorted(outputs):
            return "No tool output found for function call."
        for item, follower in zip(items, [*items[1:], {}], strict=True):
            if item.get("type") == "reasoning" and follower.get("id") != self._follower.get(item["id"]):
                return f"Item {item['id']!r} of type 'reasoning' was provided without its required following item."
        return ""


class Agent:
    """A client that goes on with its conversation in one of the ways that the API has.

    `stateless` and `history` send everything each time, without and with `store`; `chained` names the response before,
    `conversation` the conversation.
    """

    def __init__(self, client: openai.AsyncOpenAI, way: str, *, stream: bool) -> None:
        self._client, self._way, self._stream = client, way, stream
        self._history: list[Any] = []
        self._last: str | None = None
        self.outputs: list[list[Item]] = []

    async def ask(self, *items: Item) -> list[Item]:
        """Send items, answer all calls, until there is none; what the model put out last."""
        output = await self._request(list(items))
        while calls := [item for item in output if item["type"] == "function_call"]:
            assert {item["name"] for item in calls} == {"list_orders"}
            outputs = [{"type": "function_call_output", "call_id": item["call_id"], "output": TABLE} for item in calls]
            output = await self._request(outputs)
        return output

    async def _request(self, items: list[Item]) -> list[Item]:
        more: dict[str, Any] = {}
        if self._way in ("stateless", "history"):
            self._history += items
            items = self._history
            more = {"store": False} if self._way == "stateless" else {}
        elif self._way == "conversation":
            more = {"conversation": "conv_1"}
        elif self._last:
            more = {"previous_response_id": self._last}
        asked: dict[str, Any] = {"model": "gpt-6-sol", "input": items, "tools": [LIST_ORDERS], **more}
        if self._stream:
            async with self._client.responses.stream(**asked) as stream:
                response = await stream.get_final_response()
        else:
            response = await self._client.responses.create(**asked)
        assert OURS not in response.model_dump_json()
        self._last = response.id
        output = [item.to_dict() for item in response.output]
        for item in output:  # what only the SDK knows
            for value in (item, *(item.get("content") or ())):
                value.pop("parsed_arguments", None)
                value.pop("parsed", None)
        self._history += output
        self.outputs.append(output)
        return output


async def hold(
    script: Sequence[Sequence[str]], way: str, *, stream: bool, shared: bool, piece: int = 1 << 20, **settings: Any
) -> tuple[Provider, Agent]:
    """A conversation of three questions, whose first answer is a call for the orders."""
    provider = Provider([["think", "theirs"], *script, ["think", "and more"], ["bye"]], piece=piece)
    app = HeadroomMiddleware(provider, discover=False, store=MemoryStore(shared=shared), **settings)
    transport = httpx.ASGITransport(app=app)
    async with (
        httpx.AsyncClient(transport=transport) as http,
        openai.AsyncOpenAI(api_key="x", base_url="http://t/v1", max_retries=0, http_client=http) as client,
    ):
        agent = Agent(client, way, stream=stream)
        for question in ("Where are my orders?", "Anything else?", "Thanks."):
            await agent.ask({"role": "user", "content": question})
    return provider, agent


# By name: the outputs after the first one, up to the first answer.
SCRIPTS: dict[str, list[list[str]]] = {
    "plain": [["think", "there"]],
    "hidden only": [["ours"], ["there"]],
    "thinking, hidden only": [["think", "ours"], ["think", "there"]],
    "text, then hidden": [["think", "let me look", "ours"], ["think", "there"]],
    "two hidden at once": [["think", "ours", "ours"], ["there"]],
    "three in a row": [["think", "ours"], ["one", "think", "ours"], ["ours"], ["think", "there"]],
    "mixed, hidden first": [["ours", "theirs"], ["there"]],
    "mixed, hidden in the middle": [["think", "theirs", "ours", "theirs"], ["there"]],
    "mixed, hidden last": [["think", "look", "theirs", "ours"], ["think", "there"]],
    "hidden, then mixed": [["think", "ours"], ["theirs", "think", "ours"], ["ours"], ["there"]],
}


def messages(output: list[Item]) -> list[str]:
    return [item["content"][0]["text"] for item in output if item["type"] == "message"]


@streamed_or_not
@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.parametrize(
    ("way", "shared"),
    [("stateless", False), ("stateless", True), ("history", True), ("chained", True), ("conversation", True)],
    ids=["stateless, no ledger", "stateless", "history", "chained", "conversation"],
)
async def test_every_exchange_in_every_way_to_go_on(way: str, shared: bool, name: str, stream: bool) -> None:
    provider, agent = await hold(SCRIPTS[name], way, stream=stream, shared=shared)
    assert provider.refused == []
    assert len(provider.bodies) == len(SCRIPTS[name]) + 3
    assert messages(agent.outputs[-3])[-1:] == ["there"]
    assert [messages(output) for output in agent.outputs[-2:]] == [["and more"], ["bye"]]
    assert all(tool["name"] == OURS for body in provider.bodies for tool in body["tools"][1:])
    assert all(len(body["tools"]) == 2 for body in provider.bodies)


@streamed_or_not
@pytest.mark.parametrize("way", ["stateless", "history", "chained", "conversation"])
async def test_the_provider_is_told_what_really_happened_until_the_end(way: str, stream: bool) -> None:
    """The items that the model has seen in an earlier round are those that it sees in the next: nothing before has changed."""
    for script in SCRIPTS.values():
        provider, _ = await hold(script, way, stream=stream, shared=True)
        chains = [provider.known[f"resp_{number}"] for number in range(1, len(provider.bodies) + 1)]
        for before, after in pairwise(chains):
            assert after[: len(before)] == before
        hidden = [item for item in chains[-1] if item.get("name") == OURS]
        assert len(hidden) == sum(kind == "ours" for output in script for kind in output)


@streamed_or_not
async def test_what_was_left_out_is_handed_back(stream: bool) -> None:
    provider, _ = await hold(SCRIPTS["text, then hidden"], "chained", stream=stream, shared=True)
    first, second = json.dumps(provider.bodies[1]), json.dumps(provider.bodies[2])
    assert "ORD-10059" not in first
    assert "ORD-10059" in second


async def test_bytes_may_come_in_any_pieces() -> None:
    for piece in (11, 64):
        _, agent = await hold(SCRIPTS["text, then hidden"], "stateless", stream=True, shared=False, piece=piece)
        assert messages(agent.outputs[1]) == ["let me look", "there"]


@streamed_or_not
@pytest.mark.parametrize("way", ["stateless", "chained"])
async def test_after_the_last_round_our_calls_are_dropped_and_the_conversation_goes_on(way: str, stream: bool) -> None:
    script = [["think", "ours"], ["so far", "think", "ours"]]
    provider, agent = await hold(script, way, stream=stream, shared=way == "chained", retrieval=RetrievalConfig(max_rounds=2))
    assert provider.refused == []
    assert messages(agent.outputs[1]) == ["so far"]


@pytest.mark.parametrize("way", ["history", "chained", "conversation"])
async def test_without_a_shared_store_nothing_is_left_out_of_what_the_provider_holds(way: str) -> None:
    provider, _ = await hold([["think", "there"]], way, stream=False, shared=False)
    assert all(body["tools"] == [LIST_ORDERS] for body in provider.bodies)
    assert not MARKER.search(json.dumps(provider.bodies))
    assert provider.refused == []


@streamed_or_not
async def test_a_question_that_is_a_string_is_answered_over_rounds_too(stream: bool) -> None:
    provider = Provider([["think", "ours"], ["there"]])
    app = HeadroomMiddleware(provider, discover=False)
    body = {"model": "m", "input": "hi", "store": False, "tools": [LIST_ORDERS]}
    async with (
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app)) as http,
        openai.AsyncOpenAI(api_key="x", base_url="http://t/v1", max_retries=0, http_client=http) as client,
    ):
        if stream:
            events = [event async for event in await client.responses.create(**body, stream=True)]
            response = events[-1].response
        else:
            response = await client.responses.create(**body)
    assert response.output_text == "there"
    assert provider.bodies[1]["input"][0] == {"role": "user", "content": "hi"}
    assert [item["type"] for item in provider.bodies[1]["input"][1:]] == ["reasoning", "function_call", "function_call_output"]


async def test_counting_and_summing_up_get_the_same_input_and_tools_and_their_answers_pass() -> None:
    seen: list[tuple[str, Any]] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append((scope["path"], json.loads(await whole_body(receive))))
        await answer_json({"object": "response.input_tokens", "input_tokens": 7, "output": 1})(b"", send)

    app = HeadroomMiddleware(inner, discover=False)
    items: list[Any] = [
        {"role": "user", "content": "Where?"},
        {"type": "function_call", "call_id": "c", "name": "list_orders", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": TABLE},
    ]
    body = {"model": "m", "input": items, "tools": [LIST_ORDERS], "store": False}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://t") as http:
        for path in ("/v1/responses", "/v1/responses/compact", "/v1/responses/input_tokens"):
            response = await http.post(path, json=body)
            assert response.json()["input_tokens"] == 7
    assert [path for path, _ in seen] == ["/v1/responses", "/v1/responses/compact", "/v1/responses/input_tokens"]
    assert seen[0][1] == seen[1][1] == seen[2][1]
    assert seen[0][1] != body
