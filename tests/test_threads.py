"""Threads, which keep the tools that they begin with: ours is among them in all requests of a thread, or in none."""

import json
import re
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headroom_asgi import PipelineEvent, PipelineStage
from headroom_asgi.retrieval import TOOL
from headroom_asgi.store import MemoryStore
from tests.driver import TABLE, At, streamed_or_not
from tests.test_lost_ledger import BYE, HIDDEN, OWN, Client

pytestmark = pytest.mark.anyio
MARKER = re.compile(r"<<ccr:([0-9a-f]{32}-\d+) ")
whole_or_bare = pytest.mark.parametrize("bare", [False, True], ids=["tools again", "no tools again"])
# At each request the model shows something, asks for what was left out, then calls the client's tool.
ASKS = [{"say": "Hm.", "calls": [HIDDEN]}, {"say": "There.", "calls": [OWN]}] * 5


def offered(body: dict[str, Any]) -> bool:
    return TOOL.name in [tool["name"] for tool in body.get("tools", ())]


def omits(body: dict[str, Any]) -> bool:
    """Something was left out of a result that is new (what `append` sends again is not)."""
    blocks = [block for message in body["messages"] if isinstance(message["content"], list) for block in message["content"]]
    return any("<<ccr:" in block["content"] for block in blocks if "content" in block)


@streamed_or_not
@whole_or_bare
async def test_without_a_shared_store_no_request_of_a_thread_has_our_tool(bare: bool, stream: bool) -> None:
    client = Client("anthropic", stream=stream, bare=bare, shared=False)
    for text in ("What is up?", TABLE, TABLE):
        assert (await client.say(text, *ASKS)).status == 200
        await client.forget()  # as another worker has never seen it
    assert client.upstream.statuses == [200] * 3
    assert not any(offered(body) or omits(body) for body in client.upstream.bodies)
    assert [report.obstacle for report in client.reports] == ["server_held"] * 3
    # There are lossless forms; but nobody knows of which tool a call is that the API holds, if the request has no tools.
    outcome = "skipped:exact_match_tool" if bare else "compressed"
    assert [report.outcome for report in client.reports][1:] == [outcome] * 2


@streamed_or_not
@whole_or_bare
async def test_with_one_every_request_of_a_thread_has_it(bare: bool, stream: bool) -> None:
    client = Client("anthropic", stream=stream, bare=bare)
    for text in ("What is up?", TABLE, TABLE):
        assert (await client.say(text, *ASKS)).status == 200
    assert client.upstream.statuses == [200] * 6
    assert [omits(body) for body in client.upstream.bodies[::2]] == [False, True, True]
    assert {report.obstacle for report in client.reports} == {""}
    assert [report.rounds for report in client.reports] == [2] * 3


@streamed_or_not
@whole_or_bare
async def test_a_thread_that_began_with_our_tool_keeps_it_where_nothing_is_left_out_any_more(bare: bool, stream: bool) -> None:
    client = Client("anthropic", stream=stream, bare=bare)
    assert (await client.say("What is up?", *ASKS)).status == 200
    assert (await client.say(TABLE, *ASKS)).status == 200
    client.restart(mode="lossless")
    for text in (TABLE, TABLE):
        assert (await client.say(text, *ASKS)).status == 200
    assert set(client.upstream.statuses) == {200}
    assert [report.obstacle for report in client.reports] == ["", "", "lossless", "lossless"]
    assert [report.rounds for report in client.reports] == [2] * 4  # what it is asked is still answered
    assert not any(omits(body) for body in client.upstream.bodies[4:])
    client.restart()
    assert (await client.say(TABLE, *ASKS)).status == 200
    assert omits(client.upstream.bodies[-2])


@streamed_or_not
async def test_what_was_left_out_of_it_can_still_be_asked_for(stream: bool) -> None:
    client = Client("anthropic", stream=stream)
    steps = [{"calls": [OWN]}, BYE]
    await client.say("What is up?", *steps)
    await client.say(TABLE, *steps)
    found = MARKER.search(json.dumps(client.upstream.bodies[-1]))
    assert found is not None
    ref = found[1]
    client.restart(mode="lossless")
    await client.say("And that order?", {"say": "Hm.", "calls": [{"tool": TOOL.name, "arguments": {"ref": ref}}]}, BYE)
    answer = client.upstream.bodies[-1]["messages"][0]["content"][0]
    assert answer["type"] == "tool_result"
    assert "ORD-1" in answer["content"]
    assert client.reports[-1].misses == 0


@streamed_or_not
@whole_or_bare
@pytest.mark.parametrize("mode", ["lossless", "ccr"])
async def test_a_thread_that_began_without_our_tool_goes_on_without_it(mode: str, bare: bool, stream: bool) -> None:
    client = Client("anthropic", stream=stream, bare=bare, shared=False)
    steps = [{"calls": [OWN]}, BYE]
    await client.say("What is up?", *steps)
    client.restart(store=MemoryStore(shared=True), mode=mode)
    for text in (TABLE, "And now?", TABLE):
        assert (await client.say(text, *(steps if client.calls else [*steps, *steps]))).status == 200
    assert client.upstream.statuses == [200] * 4
    assert not any(offered(body) or omits(body) for body in client.upstream.bodies)


@whole_or_bare
async def test_where_the_store_is_shared_no_longer_the_api_says_that_the_thread_cannot_go_on(bare: bool) -> None:
    client = Client("anthropic", stream=False, bare=bare)
    await client.say("What is up?", BYE)
    client.restart(store=MemoryStore())
    received = await client.say("Go on.", BYE)
    if bare:
        assert received.status == 200
    else:  # with which Anthropic's client sends the whole conversation by itself
        assert (received.status, received.json()["error"]["details"]) == (400, {"error_code": "thread_fingerprint_mismatch"})
    assert len(client.upstream.bodies) == 2


@whole_or_bare
@pytest.mark.parametrize("mode", ["ccr", "lossless"])
async def test_a_call_that_the_client_left_open_is_its_own_to_answer(mode: str, bare: bool) -> None:
    client = Client("anthropic", stream=False, bare=bare, mode=mode)
    await client.say("What is up?", {"say": "There.", "calls": [OWN]})
    client.calls = []  # whoever speaks in between forgets it
    received = await client.say("Never mind, go on.", BYE)
    assert (received.status, client.upstream.statuses[:2]) == (400, [200, 400])
    assert 200 not in client.upstream.statuses[1:]


@whole_or_bare
async def test_an_extension_cannot_take_our_tool_out_of_a_later_request(bare: bool) -> None:
    def clients_own(event: PipelineEvent) -> PipelineEvent:
        if event.tools is not None:
            event.tools = [tool for tool in event.tools if tool["name"] != TOOL.name]
        return event

    client = Client("anthropic", stream=False, bare=bare)
    await client.say("What is up?", *ASKS)
    client.restart(extensions=[At(PipelineStage.PRE_SEND, clients_own)])
    for text in (TABLE, TABLE):
        assert (await client.say(text, *ASKS)).status == 200
    assert set(client.upstream.statuses) == {200}
    assert all(offered(body) for body in client.upstream.bodies if "tools" in body)


# What may happen to a client of a thread, and to the middleware in front of it: the ledger may be lost, or the route be set lower.
SAYS: list[list[dict[str, Any]]] = [
    [BYE],
    [{"calls": [HIDDEN]}, {"say": "There.", "calls": [OWN]}],
    [{"say": "Hm.", "calls": [HIDDEN, OWN]}],
    [{"say": "Hm.", "calls": [HIDDEN]}, {"say": "There.", "calls": [OWN]}],
    [{"say": "Hm.", "calls": [HIDDEN]}] * 4,
]
SAY = st.tuples(st.sampled_from(SAYS), st.booleans())
MODES = st.sampled_from(["ccr", "lossless"])


@given(st.lists(SAY | st.none() | MODES, min_size=3, max_size=10), st.booleans())
def test_a_thread_whose_ledger_is_lost_goes_on_or_its_client_is_told_why(happens: list[Any], bare: bool) -> None:
    anyio.run(follow, Client("anthropic", stream=False, bare=bare), happens)


@given(st.lists(SAY | MODES, min_size=3, max_size=10), st.booleans(), st.booleans())
def test_a_thread_goes_on_whatever_its_route_is_set_to(happens: list[Any], bare: bool, shared: bool) -> None:
    client = Client("anthropic", stream=False, bare=bare, shared=shared)
    anyio.run(follow, client, happens)
    assert 400 not in client.upstream.statuses


async def follow(client: Client, happens: list[Any]) -> None:
    """Say what happens, one after the other; None loses the ledger, a mode is what the middleware begins anew with."""
    has_tool = False  # what the thread began with
    steps: list[dict[str, Any]] = []
    for what in happens:
        if what is None:
            await client.forget()
        elif isinstance(what, str):
            client.store = client.store if client.store.shared else MemoryStore(shared=True)
            client.restart(mode=what)
        else:
            says, client.stream = what
            steps = [*steps, *says] if client.calls else says
            begins, before = not client.held, len(client.upstream.bodies)
            received = await client.say(TABLE, *steps)
            sent = client.upstream.bodies[before:]
            has_tool = offered(sent[0]) if begins else has_tool
            assert has_tool or not any(omits(body) or offered(body) for body in sent)
            if received.status != 200:
                error = received.json()["error"]
                # Of a call that waits nobody knows whose it is where the ledger is lost, and in `lossless` ours is the exception.
                waits = None in happens and client.bare and "`tool_use` ids were found without" in error["message"]
                assert waits or error["details"] == {"error_code": "thread_already_continued"}
                client.held, client.calls = "", []  # what Anthropic's client does then
