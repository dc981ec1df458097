"""Threads that have our tool, where nothing of ours is in a request: its answers are looked through all the same."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from headroom_asgi import PipelineStage
from headroom_asgi.engine import Exchange, kept_answers
from headroom_asgi.errors import StoreError
from headroom_asgi.retrieval import TOOL
from headroom_asgi.store import MemoryStore
from headroom_asgi.testing import RecordingExtension
from headroom_asgi.types import Receive, Scope, Send
from headroom_asgi.wire import OpenAIResponses
from tests.driver import (
    PATHS,
    TABLE,
    Inner,
    answer_json,
    answer_stream,
    post,
    question_body,
    staying,
    stream_of,
    streamed_or_not,
    text_answer,
    whole_body,
    wrapped,
)
from tests.talks import FIELDS
from tests.test_lost_ledger import BYE, HIDDEN, OWN, Client
from tests.test_threads import ASKS, MARKER, offered, omits, whole_or_bare

pytestmark = pytest.mark.anyio
STEPS = [{"calls": [OWN]}, BYE]
BREAKS = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'


class Picky:
    """A gateway in front of the upstream, which says of some bodies that they cannot be taken, and whose streams may break off."""

    def __init__(self, client: Client) -> None:
        self.app = client.upstream.app
        self.refuses: Callable[[dict[str, Any]], bool] = lambda body: False
        self.breaks = False
        client.upstream.app = self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await whole_body(receive)
        if self.refuses(json.loads(body)):
            error = {"type": "invalid_request_error", "message": "not supported here"}
            await answer_json({"type": "error", "error": error}, 400)(body, send)
        elif self.breaks:
            self.breaks = False
            await answer_stream([BREAKS])(body, send)
        else:
            await self.app(scope, staying(body), send)


async def began(client: Client) -> dict[str, Any]:
    """A thread in which something was left out; the call that asks for it."""
    await client.say("What is up?", *STEPS)
    await client.say(TABLE, *STEPS)
    found = MARKER.search(json.dumps(client.upstream.bodies[-1]))
    assert found is not None
    return {"tool": TOOL.name, "arguments": {"ref": found[1]}}


@streamed_or_not
@whole_or_bare
async def test_an_unknown_thread_that_is_to_be_left_alone_is_still_answered(bare: bool, stream: bool) -> None:
    """Our bodies were refused lately, so what is unknown goes as it comes: but the provider holds our tool."""
    client = Client("anthropic", stream=stream, bare=bare)
    gateway = Picky(client)
    assert (await client.say("What is up?", {"calls": [HIDDEN]}, {"say": "There.", "calls": [OWN]})).status == 200
    await client.forget()
    gateway.refuses = offered
    other = Client("anthropic", stream=stream)
    other.app = client.app
    assert (await other.say("Another matter.", BYE)).outcome == "failed_open:refused"
    gateway.refuses = lambda body: False
    before = len(client.upstream.bodies)
    received = await client.say("What is it?", *ASKS)  # which asserts that it has no call of ours
    assert (received.status, client.reports[-1].rounds) == (200, 2)
    sent = client.upstream.bodies[before:]
    assert not any(omits(body) for body in sent)
    assert [offered(body) for body in sent] == ([False, False] if bare else [False, True, True])  # as it came; mended
    assert received.outcome == ("skipped:pinned_off" if bare else "results_lost")
    assert (await client.say("And now?", *ASKS)).status == 200


@streamed_or_not
async def test_where_the_clients_own_body_is_taken_our_tool_is_still_answered(stream: bool) -> None:
    client = Client("anthropic", stream=stream, bare=True)
    gateway = Picky(client)
    asks = await began(client)
    gateway.refuses = omits
    steps = [{"calls": [OWN]}, {"say": "Hm.", "calls": [asks]}, {"say": "There.", "calls": [OWN]}]
    await client.say("Look again.", *steps)
    received = await client.say(TABLE, *steps)
    assert (received.status, received.outcome) == (200, "failed_open:refused")
    refused, own, answer = client.upstream.bodies[-3:]
    assert (omits(refused), own["messages"][0]["content"][0]["content"]) == (True, TABLE)
    assert "ORD-1" in answer["messages"][0]["content"][0]["content"]  # what an earlier request left out
    assert (client.reports[-1].rounds, client.reports[-1].misses, client.reports[-1].tokens_saved) == (2, 0, 0)
    gateway.refuses = lambda body: False
    assert (await client.say(TABLE, *ASKS)).status == 200
    assert omits(client.upstream.bodies[-2])  # the thread goes on with our tool


@streamed_or_not
@whole_or_bare
async def test_where_something_of_ours_fails_our_tool_is_still_answered(
    bare: bool, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client("anthropic", stream=stream, bare=bare)
    assert (await client.say("What is up?", *ASKS)).status == 200

    def fails(*_: Any) -> None:
        raise MemoryError

    with monkeypatch.context() as broken:
        broken.setattr(Exchange, "_shorten", fails)
        received = await client.say(TABLE, *ASKS)
    assert (received.status, received.outcome) == (200, "failed_open:engine" if bare else "results_lost")
    assert client.reports[-1].rounds == 2
    assert offered(client.upstream.bodies[-2]) is not bare  # as the API wants it, who was asked first
    assert client.upstream.bodies[-2]["messages"][0]["content"][0]["content"] == TABLE
    assert (await client.say(TABLE, *ASKS)).status == 200
    assert omits(client.upstream.bodies[-2])


@whole_or_bare
async def test_a_request_that_comes_again_goes_as_it_comes_and_what_was_known_stays_known(bare: bool) -> None:
    """Its own body was taken, and the answer broke off."""
    client = Client("anthropic", stream=True, bare=bare)
    gateway = Picky(client)
    asks = await began(client)
    await client.say("Look again.", *STEPS)
    held, calls = client.held, client.calls
    gateway.refuses, gateway.breaks = omits, True
    assert (await client.say(TABLE, *STEPS)).outcome == "failed_open:refused"
    client.held, client.calls = held, calls
    received = await client.say(TABLE, {"calls": [OWN]}, {"calls": [asks]}, BYE)
    assert (received.status, received.outcome) == (200, "skipped:pinned_off" if bare else "results_lost")
    assert (client.reports[-1].retrievals, client.reports[-1].misses) == (1, 0)
    gateway.refuses = lambda body: False
    await client.say("And now?", {"say": "Hm.", "calls": [asks]}, BYE)
    assert (client.reports[-1].retrievals, client.reports[-1].misses) == (1, 0)


@streamed_or_not
@pytest.mark.parametrize("fails", [False, True], ids=["refused", "failed"])
async def test_what_was_left_out_of_responses_is_known_behind_one_that_went_as_it_came(
    fails: bool, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client("openai-responses", stream=stream)
    gateway = Picky(client)
    asks = await began(client)
    await client.say("Look again.", *STEPS)

    def breaks(*_: Any) -> None:
        raise MemoryError

    with monkeypatch.context() as broken:
        if fails:
            broken.setattr(Exchange, "_shorten", breaks)
        gateway.refuses = offered
        received = await client.say(TABLE, *STEPS)
    assert (received.status, received.outcome) == (200, "failed_open:engine" if fails else "failed_open:refused")
    gateway.refuses = lambda body: False
    await client.say("And that order?", {"say": "Hm.", "calls": [asks]}, BYE)
    assert (client.reports[-1].retrievals, client.reports[-1].misses) == (1, 0)


class Hiccup(MemoryStore):
    """A store that fails to answer, so often."""

    fails = 0

    async def get_many(self, *asked: Any, **more: Any) -> dict[str, bytes]:
        if self.fails:
            self.fails -= 1
            raise StoreError("busy")
        return await super().get_many(*asked, **more)


@streamed_or_not
@pytest.mark.parametrize("dialect", ["anthropic", "openai-responses"])
async def test_a_question_that_the_store_did_not_answer_costs_one_turn(dialect: str, stream: bool) -> None:
    client = Client(dialect, stream=stream)
    client.store = store = Hiccup(shared=True)
    client.restart()
    asks = await began(client)
    store.fails = 1
    received = await client.say("Hello.", BYE)
    assert (received.status, client.reports[-1].prefix_risk) == (200, True)
    for text in ("Look again.", "And again."):
        await client.say(text, {"calls": [asks]}, BYE)
        assert (client.reports[-1].retrievals, client.reports[-1].misses) == (1, 0)
    store.fails = 1
    await client.say("Once more.", {"say": "Hm.", "calls": [asks]}, BYE)
    assert (client.reports[-1].retrievals, client.reports[-1].misses) == (1, 0)  # it is asked again when there is need


@streamed_or_not
async def test_extensions_hear_of_no_answer_to_what_they_did_not_see(stream: bool) -> None:
    client = Client("anthropic", stream=stream, bare=True)
    gateway = Picky(client)
    seen = RecordingExtension()
    client.restart(extensions=[seen])
    assert (await client.say("What is up?", {"calls": [HIDDEN]}, {"say": "There.", "calls": [OWN]})).status == 200
    await client.forget()
    gateway.refuses = offered
    other = Client("anthropic", stream=stream)
    other.app = client.app
    await other.say("Another matter.", BYE)
    assert PipelineStage.RESPONSE_RECEIVED in [event.stage for event in seen.events]
    gateway.refuses = lambda body: False
    before = len(seen.events)
    received = await client.say("What is it?", *ASKS)
    assert (received.outcome, client.reports[-1].rounds) == ("skipped:pinned_off", 2)
    assert len(seen.events) == before


class Busy:
    """A gateway whose upstream fails wherever a result of our tool comes, for as long as it is told to."""

    def __init__(self, client: Client) -> None:
        self.app = client.upstream.app
        self.fails = False
        client.upstream.app = self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await whole_body(receive)
        if self.fails and b"was not written" in body:
            await answer_json({"type": "error", "error": {"type": "api_error", "message": "busy"}}, 500)(body, send)
        else:
            await self.app(scope, staying(body), send)


@streamed_or_not
@pytest.mark.parametrize("answers", [False, True], ids=["a text", "a result"])
@pytest.mark.parametrize("known", [False, True], ids=["first hidden round", "known"])
async def test_a_conversation_goes_on_where_a_hidden_round_failed_for_good(known: bool, answers: bool, stream: bool) -> None:
    client = Client("openai-responses", stream=stream)
    gateway = Busy(client)

    async def say(text: str, *steps: dict[str, Any]) -> Any:
        client.held = ""
        return await client.say(text, *steps, conversation="conv_1")

    await say("Hello.", BYE)
    if known:
        await say("And?", {"calls": [HIDDEN]}, BYE)
    steps = [{"calls": [OWN]}] * answers + [{"calls": [HIDDEN]}, BYE]
    if answers:
        await say("Look.", *steps)
    gateway.fails = True
    assert (await say("What is up?", *steps)).status == 500
    gateway.fails = False
    received = await say("What is up?", *steps)  # its client tries again
    assert (received.status, received.outcome) == (200, "results_lost")
    assert (await say("And now?", BYE)).status == 200


@pytest.mark.parametrize("conversation", [False, True], ids=["previous response", "conversation"])
@pytest.mark.parametrize("how", ["no tools", "lossless", "background"])
async def test_what_hangs_on_a_conversation_goes_on_through_a_request_without_our_tool(
    how: str, conversation: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client("openai-responses", stream=False)
    more: dict[str, Any] = {"conversation": "conv_1"} if conversation else {}

    async def say(text: str, *steps: dict[str, Any], **also: Any) -> Any:
        client.held = "" if conversation else client.held
        return await client.say(text, *steps, **more, **also)

    await say("What is up?", *STEPS)
    await say(TABLE, *STEPS)
    found = MARKER.search(json.dumps(client.upstream.bodies[-1]))
    assert found is not None
    await say("Look.", {"say": "Hm.", "calls": [HIDDEN, OWN]}, BYE)  # a result of ours waits
    if how == "lossless":
        client.restart(mode="lossless")
    with monkeypatch.context() as without:
        if how == "no tools":
            less = {name: value for name, value in FIELDS["openai-responses"].items() if name != "tools"}
            without.setitem(FIELDS, "openai-responses", less)
        received = await say("ok", {"say": "Hm.", "calls": [HIDDEN, OWN]}, BYE, background=how == "background")
    assert received.status == 200
    assert (
        await kept_answers(client.store, OpenAIResponses(), "", received.json()["id"]) is None
    )  # the provider's is the client's
    client.restart()
    before = len(client.upstream.statuses)
    client.calls = []
    received = await say("And that order?", {"calls": [{"tool": TOOL.name, "arguments": {"ref": found[1]}}]}, BYE)
    assert received.status == 200
    assert client.upstream.statuses[before:] == [200, 200]
    assert (client.reports[-1].retrievals, client.reports[-1].misses) == (1, 0)


async def test_text_of_a_request_without_our_tool_is_not_held() -> None:
    """An extraction at the end of a conversation that had it: tools of Responses are each request's own."""
    client = Client("openai-responses", stream=False)
    await began(client)
    body = {"model": "m", "stream": True, "store": True, "input": "Extract.", "previous_response_id": client.held}
    schema = {"format": {"type": "json_schema", "name": "x", "schema": {}}}
    steps = [(b"x-demo-control", json.dumps({"script": {"steps": [{"say": '{"answer": "seven and a half"}'}]}}).encode())]
    received = await post(client.app, "/v1/responses", {**body, "text": schema}, headers=steps)
    assert received.status == 200
    texts = [message["body"] for message in received.messages if b"output_text.delta" in message.get("body", b"")]
    assert len(texts) > 1  # piece by piece


async def test_text_of_a_thread_that_may_not_have_our_tool_is_not_held() -> None:
    frames = stream_of("anthropic", text_answer("anthropic", '{"answer": 7}'))
    thread = {"type": "continue", "previous_message_id": "msg_0"}
    schema = {"format": {"type": "json_schema", "schema": {}}}
    body = question_body("anthropic", TABLE, stream=True, thread=thread, output_config=schema)
    for mode in ("lossless", "ccr"):
        app = wrapped(Inner(answer_stream(frames)), store=MemoryStore(shared=True), mode=mode)
        received = await post(app, PATHS["anthropic"], body)
        assert received.body == b"".join(frames)
        assert len([message for message in received.messages if message.get("body")]) > 2  # piece by piece


@streamed_or_not
@pytest.mark.parametrize("dialect", ["anthropic", "openai-responses"])
async def test_the_own_body_goes_on_from_where_the_conversation_is(dialect: str, stream: bool) -> None:
    """The client has the id of a round behind which others came, and knows nothing of the results that wait."""
    client = Client(dialect, stream=stream, bare=dialect == "anthropic")
    gateway = Picky(client)
    steps = [{"say": "Hm.", "calls": [HIDDEN]}, {"say": "So.", "calls": [OWN, HIDDEN]}, {"say": "There."}]
    await client.say("What is up?", BYE)
    assert (await client.say("Look.", *steps)).status == 200

    def has_marker(body: dict[str, Any]) -> bool:
        return "<<ccr:" in json.dumps(body)

    gateway.refuses = has_marker
    received = await client.say(TABLE, *steps)
    assert (received.status, received.outcome) == (200, "failed_open:refused")
    gateway.refuses = lambda body: False
    assert (await client.say("And now?", BYE)).status == 200
