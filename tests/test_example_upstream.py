"""The scripted upstream of the example: it refuses what providers refuse, streams as they do, and reads what a model could."""

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import httpx
import openai
import pytest

from example_app.answers import decide, named
from example_app.dialects import DIALECTS, Address, Envelope, RefusedError
from example_app.outline import read_outline
from example_app.processes import serve
from example_app.reader import find_field, load_json, values_in
from example_app.view import Call, Reply
from headroom_asgi.engine import line_view
from headroom_asgi.retrieval.excerpt import excerpt
from tests.crush_reference import spell
from tests.crush_values import Made
from tests.crush_writer import Writer, make_lines, make_text, make_value

CHAT_TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}}
TOOL = {"name": "get_weather", "description": "", "input_schema": {"type": "object", "properties": {}}}
RETRIEVE = {"name": "headroom_retrieve", "description": "", "input_schema": {"type": "object", "properties": {}}}


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    with serve("example_app.upstream:app") as server:
        yield server.url


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
    DIALECTS["chat"].validate(body)


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
        DIALECTS["chat"].validate(body)


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
    DIALECTS["anthropic"].validate(body)


def test_results_of_one_turn_may_come_in_several_messages() -> None:
    body = messages_body([tool_use("a"), tool_use("b")])
    body["messages"] += [{"role": "user", "content": [tool_result("a")]}, {"role": "user", "content": [tool_result("b")]}]
    DIALECTS["anthropic"].validate(body)


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
        DIALECTS["anthropic"].validate(body)


def signed(**more: Any) -> dict[str, Any]:
    """A valid request whose assistant turn has a signed thought."""
    body = messages_body(**more)
    envelope = Envelope({"thinking": {"type": "enabled"}, **body}, "k", 1, 1)
    [thought, _] = DIALECTS["anthropic"].answer(Reply("x", thinking="hm"), envelope)["content"]
    body["messages"] += [{"role": "assistant", "content": [thought, tool_use()]}, {"role": "user", "content": [tool_result()]}]
    return body


def test_a_signed_thought_is_accepted_behind_its_prefix() -> None:
    DIALECTS["anthropic"].validate(signed())
    DIALECTS["anthropic"].validate(signed(system="be brief"))


def test_cache_breakpoints_and_the_shape_of_a_text_are_no_part_of_the_prefix() -> None:
    body = signed(system="be brief")
    body["system"] = [{"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}}]
    body["messages"][0]["content"] = [{"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}]
    DIALECTS["anthropic"].validate(body)


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
        DIALECTS["anthropic"].validate(body)


def test_what_follows_a_signed_thought_may_change() -> None:
    body = signed()
    body["messages"][2]["content"] = [tool_result(content="something else")]
    DIALECTS["anthropic"].validate(body)


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
    envelope = Envelope({"model": "m"}, "k", 1, 1)
    frames = b"".join(DIALECTS["chat"].frames(DIALECTS["chat"].answer(reply, envelope), reply, envelope, Address())).decode()
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
        asked: Any = {
            "role": "user",
            "content": question({"calls": [[{"tool": "get_weather", "arguments": {}}]], "say": "Done."}),
        }
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
    return decide(named(list(DIALECTS["chat"].items(body))), DIALECTS["anthropic"].tools(body), None)


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


def test_the_reader_knows_where_a_table_with_gaps_ends() -> None:
    text = "Found:\n[5]: id\tn\nx\t1\n<<ccr:R-1 3 rows left out>>\ny\t2\nThat was all."
    assert list(values_in(text)) == [[{"id": "x", "n": "1"}, {"id": "y", "n": "2"}]]


@pytest.mark.parametrize("text", ["", "plain", "[json]", "[json", "[1]: ", "[json]\nkey", "{", '[json]\n"', "[json]\n[2]: a\n"])
def test_the_reader_takes_what_is_no_outline_for_text(text: str) -> None:
    assert all(find_field(value, "a", "b", "c") is None for value in values_in(text))


@pytest.mark.parametrize(
    ("make", "write"),
    [(make_value, Writer.text), (make_lines, lambda writer: writer.lines_text()[0]), (make_text, Writer.raw_text)],
    ids=["one value", "values in lines", "texts"],
)
def test_the_reader_reads_whatever_the_format_allows(
    make: Callable[[random.Random], Made], write: Callable[[Writer], str]
) -> None:
    for seed in range(300):
        rng = random.Random(seed)
        made = make(rng)
        made.blocks.clear()  # what they stand for has no value of its own to compare with
        read = read_outline(write(Writer(rng, made)))
        expected = made.value if make is make_text else load_json(spell(made.value))
        assert seen_through(read, made) == seen_through(expected, made), seed


def seen_through(value: Any, made: Made) -> Any:
    """A value in which strings that spell JSON are values: the reader does not care which of the two stands there."""
    if isinstance(value, str):
        return seen_through(load_json(spell(made.spelled[value].inner)), made) if value in made.spelled else value
    if isinstance(value, dict):
        return {key: seen_through(child, made) for key, child in value.items()}
    return [seen_through(child, made) for child in value] if isinstance(value, list) else value


def test_the_reader_reads_blocks_runs_and_lines_that_come_again() -> None:
    text = '[text; ⟦…⟧ says what stands there]\nHTTP/1.1 200 OK\n⟦"=" × 5⟧ ok\n⟦× 3⟧\n⟦jsonp cut 1⟧\n[2]: name\tbytes\nx\t1\ny\t2'
    text += '\n⟦end⟧, {"name"... and ⟦json⟧\na: """\none\n⟦× 2⟧\n"""\n⟦end⟧.'
    files = [{"name": "x", "bytes": "1"}, {"name": "y", "bytes": "2"}]
    before = "HTTP/1.1 200 OK\n" + "===== ok\n" * 3
    assert list(values_in(text)) == [[before, files, ', {"name"... and ', {"a": "one\none"}, "."]]


SAID = """[json; x(k) = the x with that k, listed above]
orders [3]: id\tbuyer(login)\tnote=Delivery to * today\titems[sku, qty]\ta, b\tc, d=x
 buyer [2]: login\tcity
  ada\tRome
  7\tBonn
 A-1\tada\tRome\t(S1,2) (T9,1)\tnull
 A-2\t7\tnull\t[]\t5
 A-3\tada\t"(x"\t(S2,3)\t"""


def test_the_reader_reads_what_a_head_says_for_all_rows() -> None:
    [value] = values_in(SAID)
    ada = {"login": "ada", "city": "Rome"}
    items = [{"sku": "S1", "qty": "2"}, {"sku": "T9", "qty": "1"}]
    shared = {"c": "x", "d": "x"}
    assert value == {
        "orders": [
            {"id": "A-1", "buyer": ada, "note": "Delivery to Rome today", "items": items, "a": None, "b": None, **shared},
            {"id": "A-2", "buyer": {"login": "7", "city": "Bonn"}, "note": "Delivery to null today", "items": [], "a": "5"}
            | {"b": "5", **shared},
            {"id": "A-3", "buyer": ada, "note": "Delivery to (x today", "items": [{"sku": "S2", "qty": "3"}], **shared},
        ]
    }


def test_the_reader_reads_the_excerpts_that_a_search_gives() -> None:
    rows = [{"id": f"A-{n}", "status": "open" if n % 7 else "held", "buyer": f"Ann {n} Trading"} for n in range(200)]
    found = excerpt(line_view(json.dumps({"page": {"orders": rows}})), "held", "headroom_retrieve(...)").text
    assert " of 200 rows match" in found.split("\n")[0]
    read = list(values_in(found))
    for row in rows:
        seen = next((buyer for value in read if (buyer := find_field(value, "id", row["id"], "buyer"))), None)
        assert seen == (row["buyer"] if row["status"] == "held" else None)
