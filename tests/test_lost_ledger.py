"""Where what a provider holds has calls of ours in it, and nothing is known of them any more, its refusals are mended."""

import json
import re
from typing import Any

import anthropic
import pytest

from example_app import upstream
from headroom_asgi import HeadroomMiddleware
from headroom_asgi.engine.refusals import of_ours
from headroom_asgi.retrieval import TOOL, Entry
from headroom_asgi.store import MemoryStore
from headroom_asgi.testing import CapturedReports
from headroom_asgi.types import Message, Receive, Scope, Send
from headroom_asgi.wire import OpenAIResponses, dialect_for
from tests.driver import Received, answer_json, post, streamed_or_not, whole_body
from tests.real_server import served
from tests.talks import FIELDS

pytestmark = pytest.mark.anyio
HIDDEN = {"tool": TOOL.name, "arguments": {"ref": "ab"}}
OWN = {"tool": "search", "arguments": {}}
BYE = {"say": "Bye."}
PATHS = {"openai-responses": "/v1/responses", "anthropic": "/v1/messages"}


class Noting:
    """The scripted upstream, which refuses what a provider would; its answers' statuses, and the bodies that it got."""

    def __init__(self) -> None:
        self.app = upstream.app()
        self.statuses: list[int] = []
        self.bodies: list[dict[str, Any]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def noted() -> Message:
            message = await receive()
            if message.get("body"):
                self.bodies.append(json.loads(message["body"]))
            return message

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.statuses.append(message["status"])
            await send(message)

        await self.app(scope, noted, noting)


class Client:
    """A client that sends only what is new, through a middleware that forgets when it is told to.

    Args:
        bare: where the provider holds the conversation, its tools are with it as well.
    """

    def __init__(self, dialect: str, *, stream: bool, bare: bool = False, shared: bool = True, **settings: Any) -> None:
        self.dialect, self.stream, self.bare = dialect, stream, bare
        self.upstream = Noting()
        self.store = MemoryStore(shared=shared)
        self.reports = CapturedReports()
        self.held = ""
        self.calls: list[str] = []
        self.restart(**settings)

    def restart(self, **settings: Any) -> None:
        """The middleware begins anew, with these settings; what it left in the store is there."""
        self.app = HeadroomMiddleware(
            self.upstream, **{"store": self.store, "observers": [self.reports], "discover": False, **settings}
        )

    async def forget(self) -> None:
        await self.store.delete_tenant("")

    async def say(self, text: str, /, *steps: dict[str, Any], **more: Any) -> Received:
        """Answer the calls that wait, or say something; the model does these steps."""
        new = [self._result(call, text) for call in self.calls]
        said = {"role": "user", "content": text}
        body: dict[str, Any]
        if self.dialect == "anthropic":
            thread = {"type": "continue", "previous_message_id": self.held} if self.held else {"type": "create"}
            body = {"thread": thread, "messages": [{"role": "user", "content": new} if new else said]}
        else:
            body = {"store": True, "input": new or [said], **({"previous_response_id": self.held} if self.held else {})}
        script = [(b"x-demo-control", json.dumps({"script": {"steps": steps}}).encode())] if steps else []
        body = {**FIELDS[self.dialect], "stream": self.stream, **body, **more}
        if self.bare and self.held:
            del body["tools"]
        received = await post(self.app, PATHS[self.dialect], body, headers=script)
        if received.status == 200:
            self._keep(received)
        return received

    def _keep(self, received: Received) -> None:
        assert TOOL.name.encode() not in received.body
        if b"overloaded_error" in received.body:
            return
        found = dialect_for(PATHS[self.dialect], "")
        assert found is not None
        wire, data = found[0], received.body
        if self.stream:
            codec = wire.codec()
            codec.begin_round()
            codec.feed(data)
            codec.close()
            data = codec.answer().document.data
        self.held = json.loads(data)["id"]
        self.calls = [call.id for call in wire.read(data).calls]

    def _result(self, call: str, text: str) -> dict[str, Any]:
        if self.dialect == "anthropic":
            return {"type": "tool_result", "tool_use_id": call, "content": text}
        return {"type": "function_call_output", "call_id": call, "output": text}


# How an exchange may end that leaves calls of ours with the provider: what the model does before the ledger is lost.
LEAVING: dict[str, list[dict[str, Any]]] = {
    "text, then hidden": [{"say": "Hm.", "calls": [HIDDEN]}, {"say": "There."}],
    "two at once": [{"say": "Hm.", "calls": [HIDDEN, HIDDEN]}, {"say": "There."}],
    "beside the client's": [{"say": "Hm.", "calls": [HIDDEN, OWN, HIDDEN]}],
    "hidden, then beside the client's": [{"calls": [HIDDEN]}, {"calls": [OWN, HIDDEN]}],
    "text, then hidden, then the client's": [{"say": "Hm.", "calls": [HIDDEN]}, {"say": "So.", "calls": [OWN]}],
    "after the last round": [{"say": "Hm.", "calls": [HIDDEN]}] * 4,
}


@streamed_or_not
@pytest.mark.parametrize("name", LEAVING)
async def test_a_client_that_goes_on_from_what_nobody_remembers_gets_its_answer(name: str, stream: bool) -> None:
    client = Client("openai-responses", stream=stream)
    await client.say("What is up?", *LEAVING[name])
    before = len(client.upstream.bodies)
    await client.forget()
    for text in ("Go on.", "And now?"):
        assert (await client.say(text, BYE)).status == 200
    refused = [status for status in client.upstream.statuses if status == 400]
    assert len(client.upstream.bodies) == before + len(refused) + 2  # one more a call, and no more once it is answered
    assert len(refused) <= 2
    if refused:
        assert client.reports[1].outcome == "results_lost"
        assert client.reports[1].prefix_risk
        given = [item["output"] for item in client.upstream.bodies[-2]["input"] if "output" in item]
        assert sum("was lost" in text for text in given) == len(refused) - name.endswith("then the client's")


async def test_a_stream_that_began_with_hidden_rounds_has_the_name_from_which_the_provider_goes_on() -> None:
    for steps in ([{"calls": [HIDDEN]}] * 2, [{"calls": [HIDDEN]}, {"say": "Hm.", "calls": [HIDDEN]}]):
        client = Client("openai-responses", stream=True)
        received = await client.say("What is up?", *steps, {"say": "There."})
        names = set(re.findall(r'"(resp_\w+)"', received.body.decode()))
        assert len(names) == 1
        kept = await client.say("Go on.", BYE)
        assert kept.status == 200
        previous = client.upstream.bodies[-1]["previous_response_id"]
        assert (previous in names) == (steps[-1] == steps[0])  # what was shown before the last round keeps its name, and leads on
        assert 400 not in client.upstream.statuses


@pytest.mark.parametrize("parts", [False, True])
async def test_results_of_calls_that_the_provider_has_under_another_name_remain_results(parts: bool) -> None:
    client = Client("openai-responses", stream=True)
    await client.say("What is up?", {"say": "Hm.", "calls": [HIDDEN]}, {"calls": [OWN, OWN]})
    await client.forget()
    output = [{"type": "input_text", "text": "It is."}] if parts else "It is."
    new = [{"type": "function_call_output", "call_id": call, "output": output} for call in client.calls]
    assert (await client.say("", BYE, input=new)).status == 200
    assert client.upstream.statuses == [200, 200, 400, 400, 400, 200]
    assert client.reports[-1].outcome == "results_lost"
    lost, *told = client.upstream.bodies[-1]["input"]
    assert lost["type"] == "function_call_output"
    assert [item["type"] for item in told] == ["function_call", "function_call_output"] * 2  # still a tool's word, not the user's
    assert told[1::2] == new
    assert [item["call_id"] for item in told[::2]] == [item["call_id"] for item in new]
    assert (await client.say("Go on.", BYE)).status == 200
    assert client.upstream.statuses[6:] == [200]


@streamed_or_not
async def test_calls_of_ours_in_a_thread_are_answered_too_and_it_keeps_its_tools(stream: bool) -> None:
    client = Client("anthropic", stream=stream)
    await client.say("What is up?", {"say": "Hm.", "calls": [HIDDEN, OWN, HIDDEN]})
    await client.forget()
    assert (await client.say("It is.", BYE)).status == 200
    assert client.upstream.statuses == [200, 400, 400, 200]
    assert [tool["name"] for tool in client.upstream.bodies[-1]["tools"]] == ["search", TOOL.name]
    results = [block for message in client.upstream.bodies[-1]["messages"] for block in message["content"]]
    assert [block.get("is_error", False) for block in results] == [True, True, False]
    assert (await client.say("Go on.", BYE)).status == 200


@streamed_or_not
@pytest.mark.parametrize("bare", [False, True], ids=["tools again", "no tools again"])
@pytest.mark.parametrize("later", [False, True], ids=["first request", "later one"])
@pytest.mark.parametrize("name", LEAVING)
async def test_a_thread_that_nobody_remembers_goes_on(name: str, later: bool, bare: bool, stream: bool) -> None:
    client = Client("anthropic", stream=stream, bare=bare)
    if later:
        assert (await client.say("Hello.", {"say": "Hello!"})).status == 200
    assert (await client.say("What is up?", *LEAVING[name])).status == 200
    await client.forget()
    received = await client.say("Go on.", BYE)
    if stream and later and "beside" not in name:
        # The client has the id of a round that was gone on with, and nothing but the ledger knew the last one's.
        assert (received.status, received.json()["error"]["details"]) == (400, {"error_code": "thread_already_continued"})
        return
    assert received.status == 200
    assert (await client.say("And now?", BYE)).status == 200


async def test_anthropics_own_client_begins_a_thread_anew_where_its_message_was_gone_on_with() -> None:
    client = Client("anthropic", stream=True)
    tools: Any = [{"name": "search", "description": "d", "input_schema": {"type": "object"}}]

    def steps(*does: dict[str, Any]) -> Any:
        return {"extra_headers": {"x-demo-control": json.dumps({"script": {"steps": does}})}}

    with served(client.app) as url:
        async with anthropic.AsyncAnthropic(api_key="x", base_url=url, max_retries=0) as sdk:
            thread = sdk.beta.messages.thread(model="claude-opus-5-5", max_tokens=100, tools=tools)
            await thread.send({"role": "user", "content": "Hello."}, **steps({"say": "Hello!"}))
            async with thread.stream({"role": "user", "content": "What is up?"}, **steps(*LEAVING["text, then hidden"])) as told:
                await told.until_done()
            await client.forget()
            got = await thread.send({"role": "user", "content": "Go on."}, **steps(BYE))
    assert [getattr(block, "text", "") for block in got.content] == ["Bye."]
    assert client.upstream.statuses[-2:] == [400, 200]
    begun = client.upstream.bodies[-1]
    assert begun["thread"] == {"type": "create"}
    assert [message["role"] for message in begun["messages"]] == ["user", "assistant", "user", "assistant", "user"]
    assert [tool["name"] for tool in begun["tools"]] == ["search", TOOL.name]


async def test_what_the_client_itself_forgot_to_answer_is_its_own_error() -> None:
    client = Client("openai-responses", stream=False)
    await client.say("What is up?", {"calls": [OWN, OWN]})
    client.calls = client.calls[:1]
    received = await client.say("It is.", BYE)  # the ledger is there: no call of ours waits
    assert received.status == 400
    assert b"No tool output found" in received.body
    assert client.upstream.statuses == [200, 400, 400]  # its own bytes were tried


@pytest.mark.parametrize(
    ("dialect", "message", "new"),
    [
        (
            "anthropic",
            "messages.0.content.0: unexpected `tool_use_id` found in `tool_result` blocks: call_1.",
            {
                "thread": {"type": "continue", "previous_message_id": "msg_0"},
                "messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "x"}]}],
            },
        ),
        (
            "openai-responses",
            "No tool call found for function call output with call_id call_1.",
            {
                "store": True,
                "previous_response_id": "resp_0",
                "input": [{"type": "function_call_output", "call_id": "call_1", "output": "x"}],
            },
        ),
    ],
)
async def test_a_result_gets_one_call_that_stands_in(dialect: str, message: str, new: dict[str, Any]) -> None:
    bodies: list[bytes] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        bodies.append(await whole_body(receive))
        await answer_json({"error": {"message": message}}, 400)(b"", send)

    app = HeadroomMiddleware(inner, store=MemoryStore(shared=True), discover=False)
    received = await post(app, PATHS[dialect], {**FIELDS[dialect], **new})
    assert (received.status, received.json()["error"]["message"]) == (400, message)
    assert [body.count(b"lost_call") for body in bodies[:2]] == [0, 1]
    assert max(body.count(b"lost_call") for body in bodies) == 1


def test_a_call_that_waits_for_the_client_is_told_from_one_whose_id_begins_alike() -> None:
    body = {"model": "m", "previous_response_id": "r", "input": "Go on."}
    payload = OpenAIResponses().decode(json.dumps(body).encode())
    held = Entry(offered=True, calls=(("call_1", "search"),))
    for call_id, ours in (("call_1", False), ("call_12", True), ("x-call_1", True)):
        error = f"No tool output found for function call {call_id}.".encode()
        assert of_ours(error, payload, "ccr", held) is ours


async def test_a_refusal_that_goes_on_is_told_as_it_was_first() -> None:
    count = 0

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal count
        count += 1
        message = f"No tool output found for function call call_{count}."
        await answer_json({"error": {"message": message}}, 400)(b"", send)

    app = HeadroomMiddleware(inner, store=MemoryStore(shared=True), discover=False)
    body = {**FIELDS["openai-responses"], "store": True, "input": "hi", "previous_response_id": "resp_0"}
    received = await post(app, PATHS["openai-responses"], body)
    assert (received.status, received.json()["error"]["message"][-7:]) == (400, "call_1.")
    assert 2 < count <= 16


@pytest.mark.parametrize(
    ("dialect", "refusal", "more"),
    [
        ("openai-responses", b"No tool output found for function call call_9.", {"input": [], "store": True}),
        ("openai-responses", b"No tool output found.", {"input": [], "previous_response_id": "resp_1"}),
        (
            "openai-responses",
            b"No tool output found for function call call_9.",
            {"input": [{"type": "function_call_output", "call_id": "call_9", "output": "x"}], "previous_response_id": "resp_1"},
        ),
        ("anthropic", b"`tool_use` ids were found without `tool_result` blocks immediately after: toolu_1.", {"messages": []}),
    ],
    ids=["nothing is held", "no call is named", "the client answers it", "no thread"],
)
def test_only_calls_that_the_provider_holds_alone_are_answered(dialect: str, refusal: bytes, more: dict[str, Any]) -> None:
    found = dialect_for(PATHS[dialect], "")
    assert found is not None
    if dialect == "anthropic":
        more = {"messages": [{"role": "user", "content": "hi"}]}
    payload = found[0].decode(json.dumps({**FIELDS[dialect], **more}).encode())
    assert found[0].reconciled(payload, refusal, TOOL, "lost") == []


async def test_a_client_that_keeps_new_turns_itself_gets_their_hidden_rounds_back() -> None:
    """`store: false` behind a response that is held: each request has all turns since, and goes on from the same id."""
    client = Client("openai-responses", stream=False)
    await client.say("Hello.", BYE)
    held = client.held
    steps = [{"say": "Hm.", "calls": [HIDDEN]}, {"calls": [OWN]}, {"say": "Both.", "calls": [HIDDEN, OWN]}, {"say": "Done."}]
    items: list[Any] = [{"role": "user", "content": "What is up?"}]
    for replayed in (0, 1, 2):
        client.held, client.calls = held, []
        received = await client.say("", *steps, store=False, input=items)
        assert (received.status, client.reports[-1].replayed) == (200, replayed)
        items = [*items, *received.json()["output"]]
        items += [{"type": "function_call_output", "call_id": call, "output": "ok"} for call in client.calls]
    assert set(client.upstream.statuses) == {200}
