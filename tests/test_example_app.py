"""The example gateway and the scripted upstream: what the demo's table rests on."""

import gzip
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest
import uvicorn

from example_app.answers import decide
from example_app.client import Client, run
from example_app.conversations import Conversation, dozen
from example_app.corpus import used_facts
from example_app.processes import serve
from example_app.reader import find_field, values_in
from example_app.report import table
from example_app.stream import Call, Envelope, Reply, reply_events
from example_app.validate import RefusedError, signature, validate
from example_app.view import items_of, tool_names

PROJECT = Path(__file__).resolve().parent.parent
CHAT_TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}}
TOOL = {"name": "get_weather", "description": "", "input_schema": {"type": "object", "properties": {}}}
RETRIEVE = {"name": "headroom_retrieve", "description": "", "input_schema": {"type": "object", "properties": {}}}


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    with serve("example_app.upstream:app") as server:
        yield server.url


@contextmanager
def running(app: Any) -> Iterator[str]:
    """An ASGI app on a real port, in a thread."""
    config = uvicorn.Config(app, port=0, lifespan="off", ws="none", log_level="error", timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def chat_call(call_id: str = "call_1", arguments: str = "{}") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": "get_weather", "arguments": arguments}}


def chat_body(*messages: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": "hi"}, *messages], "tools": [CHAT_TOOL], **more}


def tool_use(call_id: str = "toolu_1") -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": "get_weather", "input": {}}


def tool_result(call_id: str = "toolu_1", content: Any = "sunny") -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call_id, "content": content}


def messages_body(*turns: Any, **more: Any) -> dict[str, Any]:
    roles = ("assistant", "user")
    messages = [{"role": "user", "content": "hi"}] + [{"role": roles[n % 2], "content": turn} for n, turn in enumerate(turns)]
    return {"model": "m", "max_tokens": 100, "messages": messages, "tools": [TOOL], **more}


def question(script: dict[str, Any]) -> str:
    return f"Please.\n[script: {json.dumps(script)}]"


# --- validation -------------------------------------------------------------------------------------------------------

ASKED = {"role": "assistant", "content": None, "tool_calls": [chat_call()]}
ASKED_TWICE = {"role": "assistant", "content": None, "tool_calls": [chat_call("call_1"), chat_call("call_2")]}
ANSWERED = {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}
ANSWERED_2 = {"role": "tool", "tool_call_id": "call_2", "content": "rain"}
USER = {"role": "user", "content": "and?"}


@pytest.mark.parametrize(
    "body",
    [
        chat_body(),
        chat_body(ASKED, ANSWERED),
        chat_body(ASKED, {**ANSWERED, "content": ""}),
        chat_body(ASKED, {**ANSWERED, "content": [{"type": "text", "text": ""}]}),
        chat_body(ASKED_TWICE, ANSWERED_2, ANSWERED, USER),
        chat_body(ASKED, ANSWERED, ASKED, ANSWERED),
        chat_body(tools=None),
    ],
)
def test_valid_chat_requests_are_accepted(body: dict[str, Any]) -> None:
    validate("chat", body)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ([], "could not parse"),
        ({"messages": [USER]}, "model"),
        ({"model": "m", "messages": []}, "messages"),
        (chat_body({"role": "robot", "content": "x"}), "Invalid value: 'robot'"),
        (chat_body(ASKED), "did not have response messages: call_1"),
        (chat_body(ASKED, USER), "did not have response messages: call_1"),
        (chat_body(ASKED_TWICE, ANSWERED, USER), "did not have response messages: call_2"),
        (chat_body(ASKED_TWICE, ANSWERED, USER, ANSWERED_2), "did not have response messages: call_2"),
        (chat_body(ANSWERED), "must be a response to a preceeding message"),
        (chat_body(ASKED, ANSWERED, ANSWERED), "Duplicate value"),
        (chat_body(ASKED, {**ANSWERED, "tool_call_id": "call_9"}), "must be a response to a preceeding message"),
        (chat_body(ASKED, {**ANSWERED, "content": None}), "content"),
        (chat_body(ASKED, {**ANSWERED, "content": [{"type": "image_url", "image_url": {}}]}), "type"),
        (chat_body({"role": "assistant", "content": None}), "content"),
        (chat_body({"role": "assistant", "content": None, "tool_calls": []}), "content"),
        (chat_body({"role": "assistant", "content": "x", "tool_calls": []}), "empty array"),
        (chat_body({**ASKED, "tool_calls": [chat_call(), chat_call()]}, ANSWERED), "duplicate id"),
        (chat_body({**ASKED, "tool_calls": [{"id": "c", "type": "function", "function": {"name": "x"}}]}), "Missing required"),
        (chat_body(tools=[]), "non-empty array"),
        (chat_body(tools=[CHAT_TOOL, CHAT_TOOL]), "unique"),
        (chat_body(tools=[TOOL]), "Missing required parameter"),
        (chat_body(tools=[{"type": "function", "function": {"name": "not a name"}}]), "pattern"),
    ],
)
def test_chat_requests_are_refused_as_the_provider_does(body: Any, said: str) -> None:
    with pytest.raises(RefusedError, match=said):
        validate("chat", body)


@pytest.mark.parametrize(
    "body",
    [
        messages_body(),
        messages_body([tool_use()], [tool_result()]),
        messages_body([tool_use()], [tool_result(content="")]),
        messages_body([tool_use()], [{"type": "tool_result", "tool_use_id": "toolu_1"}]),
        messages_body([tool_use()], [tool_result(), {"type": "text", "text": "and?"}]),
        messages_body([tool_use("a"), tool_use("b")], [tool_result("b"), tool_result("a")]),
        {**messages_body(), "messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]},
    ],
)
def test_valid_messages_requests_are_accepted(body: dict[str, Any]) -> None:
    validate("anthropic", body)


def test_results_of_one_turn_may_come_in_several_messages() -> None:
    body = messages_body([tool_use("a"), tool_use("b")])
    body["messages"] += [{"role": "user", "content": [tool_result("a")]}, {"role": "user", "content": [tool_result("b")]}]
    validate("anthropic", body)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"model": "m", "messages": [USER]}, "max_tokens: Field required"),
        (messages_body([tool_use()]), "immediately after: toolu_1"),
        (messages_body([tool_use()], "no"), "immediately after: toolu_1"),
        (messages_body([tool_use()], [{"type": "text", "text": "first"}, tool_result()]), "immediately after: toolu_1"),
        (messages_body([tool_use("a"), tool_use("b")], [tool_result("a")]), "immediately after: b"),
        (messages_body("x", [tool_result()]), "unexpected `tool_use_id`"),
        (messages_body([tool_use()], [tool_result(), tool_result()]), "a single result"),
        (messages_body([tool_use()], [tool_result()], [tool_use()], [tool_result()]), "ids must be unique"),
        (messages_body([], "x"), "non-empty content"),
        (messages_body("x", ""), "non-empty content"),
        (messages_body([{"type": "text", "text": ""}], "x"), "must be non-empty"),
        (messages_body([{"type": "text", "text": " "}], "x"), "non-whitespace"),
        (messages_body([tool_use()], [tool_result(content=[{"type": "text", "text": ""}])]), "must be non-empty"),
        (messages_body([tool_use()], [tool_result(content={"a": 1})]), "valid string or list"),
        (messages_body([{"type": "thinking", "thinking": "x"}]), "signature: Field required"),
        (messages_body([{"type": "redacted_thinking", "data": "x"}]), "cannot be `thinking`"),
        (messages_body([tool_use()], [tool_result()], thinking={"type": "enabled"}), "but found `tool_use`"),
        (messages_body(tools=[TOOL, TOOL]), "unique"),
        (messages_body(tools=[{"name": "x"}]), "input_schema"),
        (messages_body([{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}] * 5), "maximum of 4"),
        ({**messages_body(), "messages": [{"role": "assistant", "content": "a"}]}, "first message"),
    ],
)
def test_messages_requests_are_refused_as_the_provider_does(body: Any, said: str) -> None:
    with pytest.raises(RefusedError, match=said):
        validate("anthropic", body)


def signed(**more: Any) -> dict[str, Any]:
    """A valid request whose assistant turn has a signed thought."""
    body = messages_body(**more)
    thought = {"type": "thinking", "thinking": "hm", "signature": signature(body, "hm")}
    body["messages"] += [{"role": "assistant", "content": [thought, tool_use()]}, {"role": "user", "content": [tool_result()]}]
    return body


def test_a_signed_thought_is_accepted_behind_its_prefix() -> None:
    validate("anthropic", signed())
    validate("anthropic", signed(system="be brief"))


def test_cache_breakpoints_and_the_shape_of_a_text_are_no_part_of_the_prefix() -> None:
    body = signed(system="be brief")
    body["system"] = [{"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}}]
    body["messages"][0]["content"] = [{"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}]
    validate("anthropic", body)


def change_text(body: dict[str, Any]) -> None:
    body["messages"][0]["content"] = "hi!"


def change_system(body: dict[str, Any]) -> None:
    body["system"] = "be long"


def add_tool(body: dict[str, Any]) -> None:
    body["tools"] = [TOOL, RETRIEVE]


def add_message(body: dict[str, Any]) -> None:
    body["messages"].insert(0, {"role": "user", "content": "before"})


def change_thought(body: dict[str, Any]) -> None:
    body["messages"][1]["content"][0]["thinking"] = "aha"


@pytest.mark.parametrize("change", [change_text, change_system, add_tool, add_message, change_thought])
def test_a_signed_thought_is_refused_behind_any_other_prefix(change: Callable[[dict[str, Any]], None]) -> None:
    body = signed()
    change(body)
    with pytest.raises(RefusedError, match="bound to a different conversation"):
        validate("anthropic", body)


def test_what_follows_a_signed_thought_may_change() -> None:
    body = signed()
    body["messages"][2]["content"] = [tool_result(content="something else")]
    validate("anthropic", body)


# --- the upstream, through the providers' own clients -----------------------------------------------------------------

CALL_SCRIPT = question(
    {
        "calls": [
            [{"tool": "get_weather", "arguments": {"city": "São Paulo"}}, {"tool": "get_weather", "arguments": {"city": "Oslo"}}]
        ],
        "preface": "I will look both up.",
        "split_name": True,
    }
)


def test_a_chat_stream_reads_like_the_answer_that_is_not_streamed(upstream: str) -> None:
    with openai.OpenAI(api_key="x", base_url=f"{upstream}/v1", max_retries=0) as client:
        request: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": CALL_SCRIPT}], "tools": [CHAT_TOOL]}
        whole = client.chat.completions.create(**request)
        with client.chat.completions.stream(**request, stream_options={"include_usage": True}) as stream:
            streamed = stream.get_final_completion()
    calls = [(call.id, call.function.name, call.function.arguments) for call in streamed.choices[0].message.tool_calls or ()]
    assert calls == [(call.id, call.function.name, call.function.arguments) for call in whole.choices[0].message.tool_calls or ()]
    assert [json.loads(arguments)["city"] for _, _, arguments in calls] == ["São Paulo", "Oslo"]
    assert streamed.choices[0].message.content == whole.choices[0].message.content == "I will look both up."
    assert streamed.choices[0].finish_reason == whole.choices[0].finish_reason == "tool_calls"
    assert streamed.usage == whole.usage


def test_a_chat_stream_splits_names_and_arguments() -> None:
    reply = Reply(calls=(Call("get_weather", {"city": "Oslo"}),), split_name=True)
    frames = b"".join(reply_events("chat", reply, Envelope("k", "m", 1, 1))).decode()
    deltas = [json.loads(line[6:])["choices"][0]["delta"] for line in frames.split("\n") if line.startswith("data: {")]
    functions = [delta["tool_calls"][0]["function"] for delta in deltas if "tool_calls" in delta]
    assert [function["name"] for function in functions if "name" in function] == ["get_w", "eather"]
    assert len([function for function in functions if function.get("arguments")]) > 2
    assert frames.endswith("data: [DONE]\n\n")


def test_a_messages_stream_reads_like_the_answer_that_is_not_streamed(upstream: str) -> None:
    with anthropic.Anthropic(api_key="x", base_url=upstream, max_retries=0) as client:
        request: dict[str, Any] = {
            "model": "m",
            "max_tokens": 4096,
            "messages": [{"role": "user", "content": CALL_SCRIPT}],
            "tools": [TOOL],
            "thinking": {"type": "enabled", "budget_tokens": 1024},
        }
        whole = client.messages.create(**request)
        with client.messages.stream(**request) as stream:
            streamed = stream.get_final_message()
    assert [block.type for block in streamed.content] == ["thinking", "text", "tool_use", "tool_use"]
    assert [block.to_dict() for block in streamed.content] == [block.to_dict() for block in whole.content]
    assert streamed.stop_reason == whole.stop_reason == "tool_use"
    assert streamed.usage.output_tokens == whole.usage.output_tokens


def test_a_signed_thought_goes_through_the_provider_s_client_and_back(upstream: str) -> None:
    with anthropic.Anthropic(api_key="x", base_url=upstream, max_retries=0) as client:
        request: dict[str, Any] = {
            "model": "m",
            "max_tokens": 4096,
            "tools": [TOOL],
            "thinking": {"type": "enabled", "budget_tokens": 1024},
        }
        asked = {"role": "user", "content": question({"calls": [[{"tool": "get_weather", "arguments": {}}]], "say": "Done."})}
        with client.messages.stream(**request, messages=[asked]) as stream:
            turn = stream.get_final_message().content
        use = next(block for block in turn if block.type == "tool_use")
        history: list[Any] = [asked, {"role": "assistant", "content": turn}, {"role": "user", "content": [tool_result(use.id)]}]
        final = client.messages.create(**request, messages=history)
        assert [block.text for block in final.content if block.type == "text"] == ["Done."]
        history[0] = {**asked, "content": "Something else."}
        with pytest.raises(anthropic.BadRequestError, match="bound to a different conversation"):
            client.messages.create(**request, messages=history)


def test_refusals_are_counted_and_have_the_provider_s_error_body(upstream: str) -> None:
    before = httpx.get(f"{upstream}/_stats").json()["validation_failures"]
    chat = httpx.post(f"{upstream}/v1/chat/completions", json=chat_body(ASKED))
    assert chat.status_code == 400
    assert chat.json()["error"]["type"] == "invalid_request_error"
    messages = httpx.post(f"{upstream}/v1/messages", content=b"not json")
    assert messages.status_code == 400
    assert messages.json()["type"] == "error"
    assert httpx.get(f"{upstream}/_stats").json()["validation_failures"] == before + 2


def seen(upstream: str, session: str, after: int = 0) -> dict[str, Any]:
    noted: dict[str, Any] = httpx.get(f"{upstream}/_seen/{session}", params={"after": after}).json()
    return noted


def post(upstream: str, session: str, body: dict[str, Any]) -> dict[str, Any]:
    response = httpx.post(f"{upstream}/v1/chat/completions", json=body, headers={"x-session-id": session})
    assert response.status_code == 200, response.text
    message: dict[str, Any] = response.json()["choices"][0]["message"]
    return message


def test_a_conversation_that_only_grows_breaks_no_prefix(upstream: str) -> None:
    post(upstream, "grows", chat_body())
    post(upstream, "grows", chat_body(ASKED, ANSWERED))
    noted = seen(upstream, "grows", after=1)
    assert noted["prefix_broken"] == 0
    assert noted["bodies"] == [chat_body(ASKED, ANSWERED)]


@pytest.mark.parametrize(
    "later",
    [
        chat_body(ASKED, {**ANSWERED, "content": "shorter"}, USER),
        chat_body(ASKED),
        {**chat_body(ASKED, ANSWERED, USER), "tools": [CHAT_TOOL, {"type": "function", "function": {"name": "late"}}]},
    ],
    ids=["an earlier result changed", "a message went", "a tool came late"],
)
def test_a_conversation_that_changes_what_it_sent_is_counted(
    upstream: str, later: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    session = request.node.callspec.id.replace(" ", "-")
    if later["messages"][-1] == ASKED:
        later = {**later, "messages": later["messages"][:1]}
    post(upstream, session, chat_body(ASKED, ANSWERED))
    post(upstream, session, later)
    assert seen(upstream, session)["prefix_broken"] == 1


def test_a_hidden_round_is_no_part_of_what_the_client_must_repeat(upstream: str) -> None:
    tools = [CHAT_TOOL, {"type": "function", "function": {"name": "headroom_retrieve"}}]
    asked = {"role": "user", "content": question({"find": {"key": "id", "value": "7", "field": "n", "asked": "n"}})}
    result = {**ANSWERED, "content": "<<ccr:R1-1 3 rows left out>>"}
    body = {"model": "m", "tools": tools, "messages": [USER, ASKED, result, asked]}
    call = post(upstream, "hidden", body)
    hidden = {"role": "tool", "tool_call_id": call["tool_calls"][0]["id"], "content": '{"id": 7, "n": 5}'}
    final = post(upstream, "hidden", {**body, "messages": [*body["messages"], call, hidden]})
    assert final["content"] == "The n is 5."
    post(upstream, "hidden", {**body, "messages": [*body["messages"], final, USER]})
    noted = seen(upstream, "hidden")
    assert (noted["prefix_broken"], noted["retrievals"]) == (0, 1)


# --- the scripted model -----------------------------------------------------------------------------------------------


def answer(*messages: dict[str, Any], find: dict[str, str], tools: list[dict[str, Any]] | None = None) -> Reply:
    """What the model says to a question behind some messages."""
    asked = {"role": "user", "content": question({"find": {**find, "asked": "thing"}})}
    rounds = [message for message in messages if message.get("name") == "hidden"]
    earlier = [message for message in messages if message.get("name") != "hidden"]
    body = {
        "model": "m",
        "max_tokens": 9,
        "messages": [*earlier, asked, *rounds],
        "tools": tools if tools is not None else [RETRIEVE],
    }
    return decide(items_of("chat", body), tool_names("anthropic", body), None)


def shown(text: str) -> list[dict[str, Any]]:
    return [USER, ASKED, {**ANSWERED, "content": text}]


def hidden(call_id: str, arguments: dict[str, str], result: str) -> list[dict[str, Any]]:
    call = {"id": call_id, "type": "function", "function": {"name": "headroom_retrieve", "arguments": json.dumps(arguments)}}
    return [
        {"role": "assistant", "name": "hidden", "content": None, "tool_calls": [call]},
        {"role": "tool", "name": "hidden", "tool_call_id": call_id, "content": result},
    ]


FIND = {"key": "id", "value": "A-7", "field": "status"}
GAP = "[json; rows left out: call headroom_retrieve]\n[40]: id\tstatus\nA-1\topen\n<<ccr:REF9-1 39 rows left out>>"


def test_the_model_answers_from_what_it_sees() -> None:
    assert answer(*shown('[{"id": "A-7", "status": "open"}]'), find=FIND).text == "The thing is open."


def test_the_model_asks_for_what_was_left_out_and_reads_the_answer() -> None:
    assert answer(*shown(GAP), find=FIND).calls == (Call("headroom_retrieve", {"ref": "REF9-1", "query": "A-7"}),)
    found = hidden("h1", {"ref": "REF9-1", "query": "A-7"}, "[1 of 40 lines]\n[json]\n[40]: id\tstatus\nA-7\tshipped")
    assert answer(*shown(GAP), *found, find=FIND).text == "The thing is shipped."


def test_the_model_reads_the_whole_if_a_search_was_in_vain_and_then_gives_up() -> None:
    vain = hidden("h1", {"ref": "REF9-1", "query": "A-7"}, "[none of 40 lines matches]")
    assert answer(*shown(GAP), *vain, find=FIND).calls == (Call("headroom_retrieve", {"ref": "REF9-1"}),)
    whole = hidden("h2", {"ref": "REF9-1"}, "nothing here")
    assert answer(*shown(GAP), *vain, *whole, find=FIND).text == "I could not find the thing."


def test_the_model_gives_up_without_the_tool_or_without_a_marker() -> None:
    assert answer(*shown(GAP), find=FIND, tools=[]).text == "I could not find the thing."
    assert answer(*shown("nothing"), find=FIND).text == "I could not find the thing."


def test_the_model_does_not_take_a_part_of_another_line_for_the_answer() -> None:
    find = {"line": "timeout", "part": r"request=(\S+)"}
    log = json.dumps({"stdout": "timeout here\nfine request=r1\nERROR timeout after 9 s request=r2 x\nfine request=r3"})
    assert answer(*shown(log), find=find).text == "The thing is r2."
    assert answer(*shown(json.loads(log)["stdout"]), find=find).text == "The thing is r2."


# --- the independent reader -------------------------------------------------------------------------------------------

OUTLINE = '''[json; empty cell = no such key]
reservation_id: UM3OG5
flights [2]: origin\tnumber\tprice\tcabin.class=economy\tcabin.seat
 SEA\tHAT113\t117\t3A
 DFW\t"HAT\\t282"\t140\tnull
tags: [a, "b, c", 3, null, {k: v, n:1}]
note: """
two
lines: not a key
"""
empty: {}
"key: quoted":-1.50
deep:
 list:
  -
   name: x: y
  -[1,2]
  - """"
"""
""""
 after: true'''
VALUE = {
    "reservation_id": "UM3OG5",
    "flights": [
        {"origin": "SEA", "number": "HAT113", "price": "117", "cabin": {"class": "economy", "seat": "3A"}},
        {"origin": "DFW", "number": "HAT\t282", "price": "140", "cabin": {"class": "economy", "seat": None}},
    ],
    "tags": ["a", "b, c", "3", None, {"k": "v", "n": "1"}],
    "note": "two\nlines: not a key",
    "empty": {},
    "key: quoted": "-1.50",
    "deep": {"list": [{"name": "x: y"}, ["1", "2"], '"""'], "after": "true"},
}


def test_the_reader_reads_an_outline() -> None:
    assert list(values_in(OUTLINE)) == [VALUE]


def test_the_reader_reads_tables_with_gaps_fences_and_rows_left_out() -> None:
    text = "[json; empty cell = no such key; rows left out: call headroom_retrieve with the ref in the <<ccr:...>> line]\n"
    text += '[6]: id\tbody\tlast\nA\t"""\t9\none\ttab\ntwo\n"""\n<<ccr:R-1 3 rows left out>>\nB\t\t\nC\tx\t""'
    first = {"id": "A", "body": "one\ttab\ntwo", "last": "9"}
    assert list(values_in(text)) == [[first, {"id": "B"}, {"id": "C", "body": "x", "last": ""}]]


def test_the_reader_reads_json_inside_strings_in_both_forms() -> None:
    inner = json.dumps({"found": [{"id": "x", "n": 1.50}]})
    envelope = json.dumps({"content": [{"type": "text", "text": inner}]})
    outline = "[json]\ncontent:\n -\n  type: text\n  text (json):\n   found:\n    -\n     id: x\n     n:1.5"
    for text in (envelope, outline, f"(json)\n{inner}", "[json]\n(json)\nfound [2]: id\tn\n x\t1.5\n y\t2"):
        assert any(find_field(value, "id", "x", "n") == "1.5" for value in values_in(text)), text


def test_the_reader_finds_fields_by_path_and_spells_them_as_they_stand() -> None:
    [value] = values_in('{"a": {"rows": [{"k": 7, "v": {"w": 1E3, "t": true}}, {"k": "8", "v": null}]}}')
    assert find_field(value, "k", "7", "v.w") == "1E3"
    assert find_field(value, "k", "7", "v.t") == "true"
    assert find_field(value, "k", "8", "v") is None


def test_the_reader_finds_values_between_other_lines() -> None:
    text = 'Found 2:\n  orders [9]: id\tn\n   x\t1\n   y\t2\nand\n{"id": "z", "n": 3}'
    values = list(values_in(text))
    assert [find_field(value, "id", name, "n") for value, name in zip(values, ("y", "z"), strict=True)] == ["2", "3"]


@pytest.mark.parametrize("text", ["", "plain", "[json]", "[json", "[1]: ", "[json]\nkey", "{", '[json]\n"', "[json]\n[2]: a\n"])
def test_the_reader_takes_what_is_no_outline_for_text(text: str) -> None:
    assert all(find_field(value, "a", "b", "c") is None for value in values_in(text))


# --- the conversations ------------------------------------------------------------------------------------------------


def test_the_dozen_is_the_same_in_every_process() -> None:
    script = (
        "import hashlib; from example_app.conversations import dozen; print(hashlib.sha256(repr(dozen()).encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=PROJECT,
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


def test_there_are_a_dozen_and_every_shape_of_request_is_among_them() -> None:
    told = dozen()
    assert len({conversation.name for conversation in told}) == 12
    assert {(c.wire_format, c.stream) for c in told} == {(f, s) for f in ("chat", "anthropic") for s in (True, False)}


@pytest.mark.parametrize("conversation", dozen(), ids=lambda conversation: conversation.name)
def test_no_question_holds_its_answer(conversation: Conversation) -> None:
    for asked in conversation.questions:
        assert not asked.find or f"is {asked.answer}" not in asked.spoken()
        assert not asked.find or any(asked.answer in json.dumps(result) for result in conversation.results.values())


@pytest.mark.parametrize("variant", range(3))
def test_every_answer_is_right_if_nothing_is_compressed(upstream: str, variant: int) -> None:
    with httpx.Client(base_url=upstream) as http:
        for conversation in dozen(variant):
            client = Client(http, conversation.wire_format, "", f"plain/{variant}/{conversation.name}")
            answers = [text for _, text in run(client, conversation) if text is not None]
            assert [bool(text.endswith(q.expected)) for text, q in zip(answers, conversation.questions, strict=True)] == [
                True
            ] * len(answers)


def test_the_upstream_imports_nothing_of_the_package() -> None:
    script = "import sys, example_app.upstream; sys.exit(any(name.startswith('headroom') for name in sys.modules))"
    subprocess.run([sys.executable, "-c", script], cwd=PROJECT, check=True)


# --- recordings and the table -----------------------------------------------------------------------------------------


def test_a_used_fact_comes_from_a_tool_result_and_from_nowhere_before_it() -> None:
    result = {**ANSWERED, "content": '{"ticket": "T-4711", "place": "D-12", "mail": "a.b@c.example"}'}
    said = {"role": "assistant", "content": "T-4711 is at D-12, I wrote to a.b@c.example today."}
    items = items_of("chat", {"messages": [{"role": "user", "content": "Where is XD-12?"}, ASKED, result, said]})
    assert used_facts(items, prelude="") == {1: [], 3: ["T-4711", "a.b@c.example"]}
    assert used_facts(items, prelude="T-4711")[3] == ["a.b@c.example"]


def test_the_table_is_aligned() -> None:
    lines = table(("name", ">n"), [("a", "1"), ("bcd", "1,000")], ("total", "1,001")).split("\n")
    assert lines == ["name       n", "-" * 12, "a          1", "bcd    1,000", "-" * 12, "total  1,001"]


# --- the gateway ------------------------------------------------------------------------------------------------------


class Echo:
    """An upstream that tells what it got, or streams until its client leaves."""

    def __init__(self) -> None:
        self.left = threading.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        if scope["path"] == "/endless":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
            await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
        if scope["path"] in ("/endless", "/silent"):
            while (await receive())["type"] != "http.disconnect":
                pass
            self.left.set()
            return
        headers = [[name.decode(), value.decode()] for name, value in scope["headers"]]
        told = {"method": scope["method"], "path": scope["raw_path"].decode(), "query": scope["query_string"].decode()}
        answer = json.dumps({**told, "headers": headers, "body": body.decode()}).encode()
        sent = [
            (b"content-type", b"application/json"),
            (b"x-twice", b"1"),
            (b"x-twice", b"2"),
            (b"content-length", b"%d" % len(answer)),
        ]
        await send({"type": "http.response.start", "status": 207, "headers": sent})
        await send({"type": "http.response.body", "body": answer})


@pytest.fixture(scope="module")
def echo() -> Echo:
    return Echo()


@pytest.fixture(scope="module")
def gateway(echo: Echo) -> Iterator[str]:
    with running(echo) as url, serve("example_app.gateway:app", UPSTREAM_BASE_URL=f"{url}/base/") as server:
        yield server.url


def test_the_gateway_forwards_method_path_query_headers_and_body(gateway: str) -> None:
    headers = {"authorization": "Bearer k", "x-own": "1", "connection": "x-gone, keep-alive", "x-gone": "1"}
    response = httpx.put(f"{gateway}/team-a/v1/files/a%2Fb?x=1&y=%20", headers=headers, content=b"raw")
    told = response.json()
    assert (response.status_code, response.headers.get_list("x-twice")) == (207, ["1", "2"])
    assert (told["method"], told["path"], told["query"], told["body"]) == ("PUT", "/base/v1/files/a%2Fb", "x=1&y=%20", "raw")
    got = dict(told["headers"])
    assert (got["authorization"], got["x-own"], got["content-length"]) == ("Bearer k", "1", "3")
    assert "x-gone" not in got
    assert len(told["headers"]) == len(got)


def test_the_gateway_adds_no_headers_of_its_own(gateway: str) -> None:
    with socket.create_connection(("127.0.0.1", httpx.URL(gateway).port or 0)) as bare:
        bare.sendall(b"GET /x HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: bare.recv(65536), b""))
    assert [name for name, _ in json.loads(answer.partition(b"\r\n\r\n")[2])["headers"]] == ["host"]


@pytest.mark.parametrize("path", ["/endless", "/silent"])
def test_the_gateway_ends_the_upstream_call_when_the_client_leaves(gateway: str, echo: Echo, path: str) -> None:
    echo.left.clear()
    with httpx.Client(base_url=gateway, timeout=1) as http:
        if path == "/endless":
            with http.stream("GET", path) as response:
                assert next(response.iter_raw()) == b"data: 1\n\n"
        else:
            with pytest.raises(httpx.ReadTimeout):
                http.get(path)
    assert echo.left.wait(30)


def test_the_gateway_says_502_when_the_upstream_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with serve("example_app.gateway:app", UPSTREAM_BASE_URL=f"http://127.0.0.1:{port}") as server:
        response = httpx.post(f"{server.url}/v1/messages", json=messages_body())
    assert (response.status_code, response.json()["error"]["type"]) == (502, "upstream_error")


# --- the demo, end to end ---------------------------------------------------------------------------------------------


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "example_app", *arguments]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=110)


def test_the_demo_answers_every_question_right_twice_in_a_row() -> None:
    for _ in range(2):
        done = demo("--once")
        assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.split("\n")
    assert max(map(len, lines)) <= 120
    rows = lines[2 : lines.index(lines[1], 2)]
    assert len(rows) == 12
    assert all(row.endswith("right") for row in rows)
    saved = [float(row.split("%")[0].split()[-1]) for row in rows]
    assert sum(share > 20 for share in saved) == 9, done.stdout
    assert sum(share <= 0 for share in saved) == 3, done.stdout
    assert sum(int(row.split()[-2]) for row in rows) >= 5, "some rows must have been left out and asked for"
    assert ", 0 refused, 0 with a changed prefix" in done.stdout


def test_the_demo_replays_recordings(tmp_path: Path) -> None:
    rows = [{"order": f"K-{n:04d}", "state": "open", "city": "Bergen", "weight": 3} for n in range(80)]
    messages = [USER, ASKED, {**ANSWERED, "content": json.dumps(rows)}, {"role": "assistant", "content": "It is K-0041."}]
    with gzip.open(tmp_path / "orders.jsonl.gz", "wt") as file:
        file.write(json.dumps({"id": "1", "format": "openai-chat", "messages": [*messages, USER, messages[-1]]}) + "\n")
    done = demo("--once", "--corpus", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    [row] = [line.split() for line in done.stdout.split("\n") if line.startswith("orders")]
    assert (row[1], row[-1]) == ("3", "2/2")


def test_the_demo_says_that_there_are_no_recordings(tmp_path: Path) -> None:
    done = demo("--once", "--corpus", str(tmp_path))
    assert done.returncode == 1
    assert "no recordings" in done.stderr


def test_the_demo_stays_up_and_ends_its_servers_when_interrupted() -> None:
    command = [sys.executable, "-m", "example_app"]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            shown = "".join(iter(process.stdout.readline, "Ctrl-C ends\n"))
            urls = re.findall(r"^(?:gateway|upstream) +(http://\S+)", shown, re.MULTILINE)
            stats = [httpx.get(f"{url}/_stats").json() for url in urls]
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, shown
    assert len(urls) == 2
    assert stats[0] == stats[1]
    for url in urls:
        with pytest.raises(httpx.ConnectError):
            httpx.get(url)
