"""Conversations that the provider holds: what was left out stays redeemable, ids lead to where the provider really is."""

import json
import re
from typing import Any

import pytest

from headroom_asgi import HeadroomMiddleware
from headroom_asgi.errors import StoreError
from headroom_asgi.store import MemoryStore
from headroom_asgi.testing import CapturedReports
from tests.driver import TABLE, Received, post, streamed_or_not
from tests.talks import FIELDS, OURS, SEARCH, Model

pytestmark = pytest.mark.anyio
PATH = "/v1/responses"
MARKER = re.compile(rb"<<ccr:([0-9a-f]{32}-\d+) \d+ ")
CALL = [("theirs", SEARCH)]
BYE = [("text", "Bye.")]


class Asking(Model):
    """A model that asks for what the marker names that it saw last, whenever its script says `ours`."""

    ref = "nothing"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def noting() -> Any:
            message = await receive()
            for found in MARKER.finditer(message.get("body", b"")):
                self.ref = found[1].decode()
            self.rounds[0] = [(k, json.dumps({"ref": self.ref}) if k == "ours" else words) for k, words in self.rounds[0]]
            return message

        await super().__call__(scope, noting, send)

    def sent(self, number: int) -> dict[str, Any]:
        return dict(json.loads(self.bodies[number - 1]))


class Client:
    """A client that sends only what is new."""

    def __init__(self, model: Model, store: Any = None, **settings: Any) -> None:
        self.reports = CapturedReports()
        self.stream = model.stream
        self.app = HeadroomMiddleware(
            model, store=store or MemoryStore(shared=True), observers=[self.reports], discover=False, **settings
        )
        self.held = ""

    async def say(self, *items: dict[str, Any], **fields: Any) -> Received:
        previous = {"previous_response_id": self.held} if self.held else {}
        body = {**FIELDS["openai-responses"], "store": True, "stream": self.stream, **previous, "input": list(items), **fields}
        response = await post(self.app, PATH, body)
        if response.status == 200:
            self.held = re.findall(r'"id": ?"(resp_\d+)"', response.body.decode())[-1]
        return response


def question(text: str = "What is up?") -> dict[str, Any]:
    return {"role": "user", "content": text}


def output(call_id: str, text: str = TABLE) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": text}


def outputs(body: dict[str, Any]) -> dict[str, str]:
    items = [item for item in body["input"] if item.get("type") == "function_call_output"]
    return {item["call_id"]: item["output"] for item in items}


def offered(body: dict[str, Any]) -> bool:
    return any(tool["name"] == "headroom_retrieve" for tool in body["tools"])


async def test_without_a_shared_store_nothing_is_left_out_and_the_report_says_why() -> None:
    model = Asking("openai-responses", CALL, BYE)
    client = Client(model, MemoryStore())
    await client.say(question())
    await client.say(output("call_1_0"))
    assert not any(offered(model.sent(n)) for n in (1, 2))
    assert not MARKER.search(model.bodies[1])
    assert len(outputs(model.sent(2))["call_1_0"]) < len(TABLE)  # there are lossless forms
    assert [report.obstacle for report in client.reports] == ["server_held"] * 2


@streamed_or_not
async def test_what_was_left_out_of_an_earlier_request_can_be_asked_for(stream: bool) -> None:
    model = Asking("openai-responses", CALL, BYE, BYE, [("ours", OURS)], [("text", "It is there.")], stream=stream)
    client = Client(model)
    await client.say(question())
    await client.say(output("call_1_0"))
    ref = model.ref
    assert ref != "nothing"
    await client.say(question("Something else"))
    response = await client.say(question("And that order?"))
    assert b"there." in response.body
    assert b"headroom" not in response.body
    answered = outputs(model.sent(5))["call_4_0"]
    assert "ORD-1" in answered
    assert "not written" not in answered


async def test_what_another_conversation_left_out_cannot() -> None:
    store = MemoryStore(shared=True)
    model = Asking("openai-responses", CALL, BYE, CALL, [("ours", OURS)], BYE)
    one = Client(model, store)
    await one.say(question())
    await one.say(output("call_1_0"))
    other = Client(model, store)
    await other.say(question("Another matter"))
    await other.say(output("call_3_0", "nothing much"))
    assert "not written in this conversation" in outputs(model.sent(5))["call_4_0"]


@streamed_or_not
async def test_a_conversation_goes_on_from_where_the_provider_really_is(stream: bool) -> None:
    model = Asking("openai-responses", [("text", "Hm."), ("ours", OURS)], [("text", "There.")], BYE, stream=stream)
    client = Client(model)
    await client.say(question())
    for name in ("resp_1", "resp_2"):  # what a stream begins with, and what a whole answer has
        model.rounds[:] = [BYE]
        client.held = name
        await client.say(question("And then?"))
        assert model.sent(len(model.bodies))["previous_response_id"] == "resp_2"


@streamed_or_not
@pytest.mark.parametrize("before", [0, 1], ids=["at once", "after a hidden round"])
async def test_a_hidden_call_beside_the_clients_is_answered_with_theirs(stream: bool, before: int) -> None:
    hidden: list[Any] = [[("ours", OURS)]] * before
    mixed = [("theirs", SEARCH), ("ours", OURS), ("theirs", SEARCH)]
    model = Asking("openai-responses", *hidden, mixed, BYE, BYE, stream=stream)
    client = Client(model)
    await client.say(question())
    last = 1 + before
    await client.say(output(f"call_{last}_0", "a"), output(f"call_{last}_2", "b"))
    sent = model.sent(last + 1)
    assert sent["previous_response_id"] == f"resp_{last}"
    assert set(outputs(sent)) == {f"call_{last}_{i}" for i in range(3)}
    assert not any(item.get("type") == "function_call" for item in sent["input"])
    await client.say(question("Go on"))
    assert outputs(model.sent(last + 2)) == {}


@pytest.mark.parametrize("said", [question("Go on"), "Go on"], ids=["as an item", "as a text"])
async def test_calls_of_ours_that_nobody_waited_for_are_answered_when_the_client_goes_on(said: Any) -> None:
    model = Asking("openai-responses", *[[("text", "Hm."), ("ours", OURS)]] * 4, BYE)
    client = Client(model)
    await client.say(question())
    assert len(model.bodies) == 4
    await (client.say(input=said) if isinstance(said, str) else client.say(said))
    sent = model.sent(5)
    assert set(outputs(sent)) == {"call_4_1"}
    assert sent["input"][0]["type"] == "function_call_output"
    assert "Go on" in json.dumps(sent["input"][1:])


async def test_nothing_is_left_out_before_the_store_has_it() -> None:
    class Full(MemoryStore):
        async def put(self, ns: str, key: str, value: bytes, **options: Any) -> bool:
            raise StoreError("full")

    model = Asking("openai-responses", CALL, BYE)
    client = Client(model, Full(shared=True))
    await client.say(question())
    await client.say(output("call_1_0"))
    assert offered(model.sent(2))
    assert not MARKER.search(model.bodies[1])
    assert len(outputs(model.sent(2))["call_1_0"]) < len(TABLE)
    assert client.reports[1].prefix_risk


async def test_a_client_that_sends_everything_again_needs_no_store_for_it() -> None:
    class Full(MemoryStore):
        async def put(self, ns: str, key: str, value: bytes, **options: Any) -> bool:
            raise StoreError("full")

    model = Asking("openai-responses", BYE)
    client = Client(model, Full(shared=True))
    call = {"type": "function_call", "call_id": "call_1_0", "name": "search", "arguments": SEARCH}
    await client.say(question(), call, output("call_1_0"))
    assert MARKER.search(model.bodies[0])


async def test_originals_of_a_conversation_that_goes_on_do_not_expire() -> None:
    now = 0.0
    store = MemoryStore(shared=True, clock=lambda: now)
    model = Asking("openai-responses", CALL, BYE, BYE, BYE, [("ours", OURS)], BYE)
    client = Client(model, store)
    await client.say(question())
    await client.say(output("call_1_0"))
    for _ in range(2):
        now += 80_000
        await client.say(question("Still there?"))
    now += 80_000
    await client.say(question("And that order?"))
    assert "ORD-1" in outputs(model.sent(6))["call_5_0"]
