"""Results of calls that the provider holds: of which tool they are is known by the ledger, or taken to be any of the request's."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headroom_asgi import Interceptor
from headroom_asgi.compressors import Request
from headroom_asgi.config import CompressorConfig, ContentRouterConfig, HeadroomConfig
from headroom_asgi.store import MemoryStore
from headroom_asgi.testing import CapturedReports
from headroom_asgi.transforms.interceptors import intercepted
from headroom_asgi.transforms.tools import is_certain, is_named
from headroom_asgi.wire import AnthropicMessages, OpenAIResponses, WireFormat
from headroom_asgi.wire.segments import one_of
from tests.driver import PATHS, TABLE, Inner, answer_json, call_answer, post, text_answer, wrapped
from tests.talks import FIELDS

pytestmark = pytest.mark.anyio
WIRES: dict[str, WireFormat] = {"anthropic": AnthropicMessages(), "openai-responses": OpenAIResponses()}
both = pytest.mark.parametrize("dialect", sorted(WIRES))
names = st.text("abcXYZ_-./:", min_size=1, max_size=12)


def tool(dialect: str, name: str) -> dict[str, Any]:
    if dialect == "anthropic":
        return {"name": name, "description": "d", "input_schema": {"type": "object", "properties": {}}}
    return {"type": "function", "name": name, "parameters": {"type": "object", "properties": {}}}


def held(dialect: str, tools: Sequence[str], call_id: str = "call_1") -> dict[str, Any]:
    """A request whose one result answers a call that only the provider has."""
    offered = {"tools": [tool(dialect, name) for name in tools]} if tools else {}
    if dialect == "anthropic":
        block = {"type": "tool_result", "tool_use_id": call_id, "content": TABLE}
        thread = {"type": "continue", "previous_message_id": "msg_1"}
        return {"model": "m", "max_tokens": 9, "thread": thread, "messages": [{"role": "user", "content": [block]}], **offered}
    item = {"type": "function_call_output", "call_id": call_id, "output": TABLE}
    return {"model": "m", "store": True, "previous_response_id": "msg_1", "input": [item], **offered}


def told(dialect: str, body: bytes) -> str:
    """What the provider is told of that result."""
    sent = json.loads(body)
    text = sent["messages"][-1]["content"][-1]["content"] if dialect == "anthropic" else sent["input"][-1]["output"]
    assert isinstance(text, str)
    return text


async def forwarded(dialect: str, body: dict[str, Any], config: HeadroomConfig | None = None) -> str:
    inner = Inner(answer_json({}))
    await post(wrapped(inner, config=config, mode="lossless"), {**PATHS, "openai-responses": "/v1/responses"}[dialect], body)
    return told(dialect, inner.bodies[0])


@both
@pytest.mark.parametrize(
    ("tools", "exact"),
    [(["search"], False), (["search", "list"], False), (["search", "Read"], True), (["mcp__files__read_file"], True), ([], True)],
)
async def test_what_may_be_of_an_exact_match_tool_keeps_its_bytes(dialect: str, tools: list[str], exact: bool) -> None:
    assert (await forwarded(dialect, held(dialect, tools)) == TABLE) is exact


@both
async def test_what_may_be_of_an_excepted_tool_is_left_to_it(dialect: str) -> None:
    config = HeadroomConfig(smart_crusher=CompressorConfig(except_tools=["list"]))
    assert await forwarded(dialect, held(dialect, ["search"]), config) != TABLE
    assert await forwarded(dialect, held(dialect, ["search", "list"]), config) == TABLE
    own = HeadroomConfig(content_router=ContentRouterConfig(exact_match_tools=["search"]))
    assert await forwarded(dialect, held(dialect, ["search", "list"]), own) == TABLE
    assert await forwarded(dialect, held(dialect, ["list", "Read"]), own) != TABLE


@pytest.mark.parametrize(("tools", "certain"), [(["search"], True), (["search", "list"], False), ([], False)])
def test_an_interceptor_of_a_tool_does_not_guess(tools: list[str], certain: bool) -> None:
    for wanted, runs in ((["search"], certain), (["*"], True)):
        done = intercepted(TABLE, one_of(tools), Request(), [Interceptor("short", wanted, lambda text, arguments: text[:40])])
        assert (done.names == ["short"]) is runs


@both
async def test_what_may_have_come_from_a_retrieve_tool_is_frozen(dialect: str) -> None:
    assert await forwarded(dialect, held(dialect, ["search", "mcp__outer__headroom_retrieve"])) == TABLE


def test_typed_outputs_of_responses_say_their_tool() -> None:
    items = [{"type": f"{kind}_call_output", "call_id": "c", "output": "x"} for kind in ("apply_patch", "local_shell")]
    named = {"type": "function_call_output", "call_id": "c", "name": "Read", "output": "x"}
    body = {"model": "m", "previous_response_id": "r", "input": [*items, named]}
    payload = OpenAIResponses().decode(json.dumps(body).encode())
    assert [segment.tools for segment in payload.segments] == ["apply_patch", "local_shell", "Read"]


@both
@pytest.mark.parametrize("calls", ["Read", "search"])
async def test_a_shared_store_remembers_of_which_tool_a_call_is(dialect: str, calls: str) -> None:
    reports = CapturedReports()
    call_id = "call_0123456789ABCDEFGH"
    if dialect == "anthropic":
        answer, bye = call_answer(dialect, (call_id, calls, {})), text_answer(dialect, "Bye.")
        first = {"thread": {"type": "create"}, "messages": [{"role": "user", "content": "Look."}]}
    else:
        made = {
            "type": "function_call",
            "call_id": call_id,
            "name": calls,
            "arguments": "{}",
            "id": "fc_1",
            "status": "completed",
        }
        bye = {"id": "resp_2", "object": "response", "status": "completed", "model": "m", "output": []}
        answer = {**bye, "id": "msg_1", "output": [made]}
        first = {"store": True, "input": "Look."}
    tools = [tool(dialect, name) for name in ("search", "Read")]
    inner = Inner(answer_json(answer), answer_json(bye))
    app = wrapped(inner, store=MemoryStore(shared=True), observers=[reports])
    path = {**PATHS, "openai-responses": "/v1/responses"}[dialect]
    assert (await post(app, path, {**FIELDS[dialect], **first, "tools": tools})).status == 200
    body = held(dialect, ["search", "Read"], call_id)
    assert (await post(app, path, body)).status == 200
    assert (told(dialect, inner.bodies[1]) == TABLE) is (calls == "Read")
    assert reports[-1].outcome == ("skipped:exact_match_tool" if calls == "Read" else "compressed")


@given(st.lists(names, max_size=4), st.sets(names.map(str.lower), max_size=4))
def test_a_tool_that_may_be_one_of_several_is_named_as_any_of_them_is(tools: list[str], looked_for: set[str]) -> None:
    several = one_of(tools)
    assert is_named(several, looked_for) == (bool(looked_for) and (not tools or any(is_named(one, looked_for) for one in tools)))
    assert is_certain(several) == (len(set(tools)) == 1)
