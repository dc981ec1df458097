"""OpenAI Chat Completions: where text sits, how the tool gets in, and how JSON answers of several rounds become one."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headroom_asgi.errors import PayloadError, ResponseError
from headroom_asgi.types import ToolCall, ToolResult, ToolSpec
from headroom_asgi.wire import Answer, Finish, PartKind
from headroom_asgi.wire.openai_chat import OpenAIChat
from headroom_asgi.wire.splice import splice

WIRE = OpenAIChat()
HR = "headroom_retrieve"
TOOL = ToolSpec(HR, "Get it.", {"type": "object", "properties": {"ref": {"type": "string"}}})
BASH = {"type": "function", "function": {"name": "bash", "parameters": {}}}
CUSTOM = {"type": "custom", "custom": {"name": "patch"}}


def call(id_: str, name: str, arguments: Any = '{"a":1}') -> dict[str, Any]:
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}


def turn(*calls: dict[str, Any], content: Any = None) -> dict[str, Any]:
    return {"role": "assistant", "content": content, "tool_calls": list(calls)}


def result(id_: str, content: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id_, "content": content}


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def request(*messages: Any, **fields: Any) -> bytes:
    return json.dumps({"model": "m", "messages": list(messages), **fields}, ensure_ascii=False).encode()


# -- requests --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "matches"),
    [
        ("/v1/chat/completions", True),
        ("/openai/deployments/gpt/chat/completions", True),
        ("/v1beta/openai/chat/completions", True),
        ("chat/completions", True),
        (WIRE.example_path, True),
        ("/v1/agents/completions", True),
        ("/v1/chat/completions/x", False),
        ("/v1/completions", False),
        ("/v1/xchat/completions", False),
        ("/v1/chat/completions\n", False),
    ],
)
def test_paths(path: str, matches: bool) -> None:
    assert (WIRE.endpoint(path) is not None) is matches


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/v1/chat/completions", ""),
        ("/openai/v1/chat/completions", ""),
        ("/models/chat/completions", ""),
        ("/cursor/chat/completions", ""),
        ("/openai/deployments/gpt-5/chat/completions", "gpt-5"),
        ("/engines/openrouter/gpt-5/chat/completions", "openrouter/gpt-5"),
    ],
)
def test_the_model_is_the_bodys_and_else_the_paths(path: str, model: str) -> None:
    endpoint = WIRE.endpoint(path)
    assert endpoint is not None
    assert WIRE.decode(b'{"messages":[]}', endpoint).model == model
    assert WIRE.decode(b'{"messages":[],"model":"m"}', endpoint).model == "m"


CONVERSATION = (
    {"role": "system", "content": "be nice"},
    user("list files"),
    turn(call("c1", "bash", '{"cmd":"ls"}'), call("c2", "read", {"path": "é"})),
    result("c1", "a\nb"),
    result("c2", [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {}}, {"type": "text", "text": "y\ud83d"}]),
    {"role": "assistant", "content": "two"},
    user([{"type": "text", "text": "and"}, {"type": "text", "text": "now?"}]),
    user([{"type": "image_url", "image_url": {"url": "data:"}}]),
    turn(
        {"id": "c3", "type": "custom", "custom": {"name": "patch", "input": "*** Begin"}},
        call("c4", f"mcp__x__{HR}", ""),
        call("c5", HR, "{}"),
    ),
    result("c3", "done"),
    result("c4", "original"),
    result("c5", "original"),
    result("nobody", "lost"),
    {"role": "assistant", "content": None, "function_call": {"name": "old", "arguments": "{}"}},
    {"role": "function", "name": "old", "content": "legacy"},
)


def test_segments_are_the_results_with_their_calls_and_questions() -> None:
    payload = WIRE.decode(json.dumps({"messages": CONVERSATION}).encode())
    found = [(s.role, s.text, s.tool_name, s.tool_arguments, s.preceding_user_text, s.frozen) for s in payload.segments]
    assert found == [
        ("user", "list files", "", "", "", True),
        ("tool", "a\nb", "bash", '{"cmd":"ls"}', "list files", False),
        ("tool", "x", "read", '{"path": "\\u00e9"}', "list files", False),
        ("tool", "y\ud83d", "read", '{"path": "\\u00e9"}', "list files", False),
        ("user", "and", "", "", "list files", True),
        ("user", "now?", "", "", "list files", True),
        ("tool", "done", "patch", "*** Begin", "and\nnow?", False),
        ("tool", "original", f"mcp__x__{HR}", "", "and\nnow?", True),
        ("tool", "original", HR, "{}", "and\nnow?", True),
        ("tool", "lost", "", "", "and\nnow?", False),
        ("function", "legacy", "old", "{}", "and\nnow?", False),
    ]
    assert not any(segment.is_error for segment in payload.segments)


def test_a_segment_depends_on_the_messages_before_it_alone() -> None:
    whole = WIRE.decode(json.dumps({"messages": CONVERSATION}).encode()).segments
    for count in range(len(CONVERSATION)):
        some = WIRE.decode(json.dumps({"messages": CONVERSATION[:count]}).encode()).segments
        for segment, same in zip(some, whole, strict=False):
            assert (segment.text, segment.tool_name, segment.preceding_user_text) == (
                same.text,
                same.tool_name,
                same.preceding_user_text,
            )


def test_a_span_is_the_string_literal_and_the_body_is_the_same_object() -> None:
    body = b'{"messages" : [ {"role":"tool","content": "\\u0061\xc3\xa9"} ]}'
    payload = WIRE.decode(body)
    start, end = payload.segments[0].span
    assert body[start:end] == b'"\\u0061\xc3\xa9"'
    assert payload.body is body


@pytest.mark.parametrize(
    ("fields", "stream", "structured"),
    [
        ({}, False, False),
        ({"stream": True}, True, False),
        ({"stream": "true"}, False, False),
        ({"response_format": {"type": "json_object"}}, False, True),
        ({"response_format": {"type": "json_schema", "json_schema": {}}, "stream": True}, True, True),
        ({"response_format": {"type": "text"}}, False, False),
        ({"response_format": "json_object"}, False, False),
    ],
)
def test_what_the_client_asked_for(fields: dict[str, Any], stream: bool, structured: bool) -> None:
    payload = WIRE.decode(request(**fields))
    assert (payload.model, payload.stream, payload.structured) == ("m", stream, structured)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "invalid_json"),
        (b'{"messages":[}', "invalid_json"),
        (b'{"messages":["\xff"]}', "invalid_utf8"),
        (b"[]", "not_an_object"),
        (b'"messages"', "not_an_object"),
        (b"{}", "no_messages"),
        (b'{"messages":{}}', "no_messages"),
        (b'{"messages":"x"}', "no_messages"),
    ],
)
def test_bodies_that_no_provider_accepts(body: bytes, reason: str) -> None:
    with pytest.raises(PayloadError) as error:
        WIRE.decode(body)
    assert error.value.reason == reason


ODD = st.recursive(
    st.sampled_from([None, True, 0, 1e9, "", "x", "user", "tool", "assistant", "text", "function", HR, [], {}]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("role", "content", "type", "text", "name", "id", "tool_calls", "tool_call_id", "function", "custom"),
                    *("arguments", "function_call", "allowed_tools", "tools"),
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(
    st.fixed_dictionaries(
        {"messages": st.lists(ODD)},
        optional=dict.fromkeys(["tools", "tool_choice", "n", "model", "stream", "functions", "response_format"], ODD),
    )
)
def test_wrong_types_anywhere_yield_no_segments_and_no_error(body: dict[str, Any]) -> None:
    data = json.dumps(body).encode()
    payload = WIRE.decode(data)
    for segment in payload.segments:
        assert isinstance(segment.text + segment.tool_name + segment.tool_arguments + segment.preceding_user_text, str)
    WIRE.unpaired(payload)
    assert set(WIRE.fields(payload)) <= {"messages", "tools"}
    offer = WIRE.offer(payload, TOOL)
    changed = json.loads(splice(data, offer.edits))
    assert (changed == body) == bool(offer.obstacle)


def test_depth_is_no_problem() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    body = b'{"messages":[{"role":"tool","content":' + deep + b'},{"role":"tool","content":"x","y":' + deep + b"}],"
    body += b'"tools":[{"type":"function","function":{"name":"f","parameters":' + deep + b"}}]}"
    payload = WIRE.decode(body)
    assert [segment.text for segment in payload.segments] == ["x"]
    assert WIRE.offer(payload, TOOL).edits
    with pytest.raises(PayloadError, match="too_deep"):
        WIRE.values(payload)


# -- the offer -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "obstacle"),
    [
        ({}, "no_tools"),
        ({"tools": []}, "no_tools"),
        ({"tools": None}, "no_tools"),
        ({"tools": {}}, "no_tools"),
        ({"tools": [CUSTOM]}, "no_tools"),
        ({"functions": [{"name": "f"}]}, "legacy_functions"),
        ({"functions": [{"name": "f"}], "tools": [BASH]}, "legacy_functions"),
        ({"functions": None, "tools": [BASH]}, ""),
        ({"tools": [BASH, {"type": "function", "function": {"name": HR}}]}, "client_has_tool"),
        ({"tools": [{"type": "function", "function": {"name": f"mcp__hub__{HR}"}}, BASH]}, "client_has_tool"),
        ({"tools": [BASH, {"type": "custom", "custom": {"name": HR}}]}, "client_has_tool"),
        ({"tools": [BASH], "n": 2}, "several_choices"),
        ({"tools": [BASH], "n": 1}, ""),
        ({"tools": [BASH], "n": None}, ""),
        ({"tools": [BASH], "tool_choice": "none"}, ""),
        ({"tools": [BASH], "tool_choice": {"type": "function", "function": {"name": "bash"}}}, ""),
    ],
)
def test_obstacles(fields: dict[str, Any], obstacle: str) -> None:
    offer = WIRE.offer(WIRE.decode(request(**fields)), TOOL)
    assert offer.obstacle == obstacle
    assert bool(offer.edits) is not bool(obstacle)


def test_the_tool_goes_behind_the_last_function_tool() -> None:
    body = b'{"messages":[], "tools": [ {"type":"function","function":{"name":"a"}} , {"type":"custom","custom":{"name":"b"}} ] }'
    entry = (
        b'{"type":"function","function":{"name":"headroom_retrieve","description":"Get it.",'
        b'"parameters":{"type":"object","properties":{"ref":{"type":"string"}}}}}'
    )
    offered = splice(body, WIRE.offer(WIRE.decode(body), TOOL).edits)
    assert offered == body.replace(b'"a"}}', b'"a"}},' + entry)


@pytest.mark.parametrize("allowed", [[], [{"type": "function", "function": {"name": "bash"}}]])
def test_the_tool_gets_into_an_allow_list(allowed: list[Any]) -> None:
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": allowed}}
    body = request(tools=[BASH], tool_choice=choice)
    offered = json.loads(splice(body, WIRE.offer(WIRE.decode(body), TOOL).edits))
    assert offered["tool_choice"]["allowed_tools"]["tools"] == [*allowed, {"type": "function", "function": {"name": HR}}]


def test_values_are_what_an_extension_may_edit() -> None:
    payload = WIRE.decode(request(user("x"), tools=[BASH]))
    assert WIRE.values(payload) == {"messages": [user("x")], "tools": [BASH]}
    assert list(WIRE.fields(WIRE.decode(request(tools=None)))) == ["messages"]


@pytest.mark.parametrize(
    ("messages", "unpaired"),
    [
        ([], set()),
        ([turn(call("a", "f"))], set()),
        ([turn(call("a", "f"), call("b", "f")), result("b", ""), result("a", "")], set()),
        ([turn(call("a", "f"), call("b", "f")), result("a", "")], {"b"}),
        ([turn(call("a", "f")), user("x")], {"a"}),
        ([turn(call("a", "f")), user("x"), result("a", "")], {"a"}),
        ([turn(call("a", "f")), result("a", ""), result("a", "")], {"a"}),
        ([result("a", "")], {"a"}),
        ([turn(call("a", "f")), result("a", ""), turn(call("a", "f")), result("a", "")], set()),
        ([turn(call("a", "f")), result("b", ""), turn(call("c", "f"))], {"a", "b"}),
    ],
)
def test_unpaired_calls_and_results(messages: list[Any], unpaired: set[str]) -> None:
    assert WIRE.unpaired(WIRE.decode(request(*messages))) == unpaired


# -- answers ---------------------------------------------------------------------------------------------------------------


def reply(content: Any = None, *calls: dict[str, Any], reason: str | None = None, **fields: Any) -> bytes:
    message = {"role": "assistant", "content": content, **fields.pop("message", {})}
    if calls:
        message["tool_calls"] = list(calls)
    choice = {
        "index": 0,
        "message": message,
        "finish_reason": reason or ("tool_calls" if calls else "stop"),
        **fields.pop("choice", {}),
    }
    return json.dumps(
        {"id": "r", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], **fields}
    ).encode()


def merged(*rounds: bytes, drop_text: bool = False, notice: str = "", stopped: bool = False) -> bytes:
    """The answers with calls of ours (and on demand the text of all but the last round) hidden."""
    answers = [WIRE.read(body) for body in rounds]

    def shown(number: int, answer: Answer) -> list[Any]:
        hidden = drop_text and number < len(answers) - 1
        return [p for p in answer.parts if not (p.call and p.call.name == HR) and not (hidden and p.kind is PartKind.TEXT)]

    return WIRE.merge(answers, [shown(i, a) for i, a in enumerate(answers)], notice=notice, stopped=stopped)


def message_of(body: bytes) -> dict[str, Any]:
    return json.loads(body)["choices"][0]["message"]


@pytest.mark.parametrize(
    ("message", "kinds"),
    [
        ({"content": "x"}, ["text"]),
        ({"content": ""}, []),
        ({"content": None, "refusal": None, "tool_calls": None}, []),
        ({"content": [{"type": "text", "text": "x"}]}, ["text"]),
        ({"reasoning_content": "hm", "content": "x"}, ["other", "text"]),
        ({"reasoning_details": [{"type": "reasoning.text"}], "reasoning": "hm"}, ["signed", "other"]),
        ({"provider_specific_fields": {"thinking_blocks": [{"signature": "s"}]}}, ["signed"]),
        ({"refusal": "no", "audio": {"id": "a"}, "annotations": []}, ["other", "other", "other"]),
        (
            {"tool_calls": [call("a", "f"), {"type": "custom", "id": "b", "custom": {"name": "p", "input": "q"}}, {}, 7]},
            ["call", "call", "other", "other"],
        ),
        ({"function_call": {"name": "f", "arguments": "{}"}}, ["call"]),
    ],
)
def test_parts_of_an_answer(message: dict[str, Any], kinds: list[str]) -> None:
    body = json.dumps({"choices": [{"message": {"role": "assistant", **message}}]}).encode()
    assert [part.kind.value for part in WIRE.read(body).parts] == kinds


def test_calls_of_an_answer() -> None:
    custom = {"id": "b", "type": "custom", "custom": {"name": "patch", "input": "*** é"}}
    answer = WIRE.read(reply(None, call("a", "f", "{}"), custom, call("c", "g", {"k": [1.0]})))
    assert answer.calls == (ToolCall("a", "f", "{}"), ToolCall("b", "patch", "*** é"), ToolCall("c", "g", '{"k": [1.0]}'))


@pytest.mark.parametrize(
    ("reason", "arguments", "finish"),
    [
        ("stop", "{", Finish.DONE),
        ("tool_calls", "{}", Finish.DONE),
        ("length", "{}", Finish.CUT),
        ("content_filter", "{}", Finish.CUT),
        ("whatever", "{}", Finish.DONE),
        (None, '{"a":1}', Finish.DONE),
        (None, "", Finish.DONE),
        (None, '{"a":', Finish.CUT),
    ],
)
def test_how_a_round_ended(reason: str | None, arguments: str, finish: Finish) -> None:
    body = reply(None, call("a", "f", arguments), choice={"finish_reason": reason})
    assert WIRE.read(body).finish is finish


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"error":{"message":"x"}}',
        b'{"choices":[]}',
        b'{"choices":{}}',
        b'{"choices":[{}]}',
        b'[{"message":{}}]',
        b'{"choices":[{"message":"x"}]}',
    ],
)
def test_what_is_no_answer(body: bytes) -> None:
    with pytest.raises(ResponseError):
        WIRE.read(body)


def test_the_next_body_has_the_very_message_and_the_results() -> None:
    body = b'{ "messages": [ {"role":"user","content":"q"} ], "temperature": 1E0 }'
    message = (
        b'{"role":"assistant" , "content":null,"reasoning_content":"","tool_calls":[{"id":"a","type":"function",'
        b'"function":{"name":"headroom_retrieve","arguments":"{}"},"extra_content":{"google":{"thought_signature":"s"}}}]}'
    )
    answer = WIRE.read(b'{"choices":[{"message":' + message + b',"finish_reason":"tool_calls"}]}')
    results = [ToolResult(answer.calls[0], "é\ud83d"), ToolResult(ToolCall("b", HR, ""), "no", is_error=True)]
    added = (
        b","
        + message
        + b',{"role":"tool","tool_call_id":"a","content":"\\u00e9\\ud83d"},{"role":"tool","tool_call_id":"b","content":"no"}'
    )
    assert WIRE.append(body, answer, results) == body.replace(b'"q"}', b'"q"}' + added)


def test_one_answer_with_everything_kept_is_the_same_object() -> None:
    body = b'{ "choices":[{"message":{"content":"\\u0061","tool_calls":[]},"finish_reason":"stop"}],"x":1E3}'
    assert merged(body) is body
    assert merged(body, stopped=True) is body


@pytest.mark.parametrize(
    ("rounds", "content", "calls"),
    [
        ([reply(None, call("h", HR)), reply("answer")], "answer", None),
        ([reply("", call("h", HR)), reply("answer")], "answer", None),
        ([reply("pre", call("h", HR)), reply("answer")], "pre\n\nanswer", None),
        ([reply("pre", call("h", HR)), reply(None, call("c", "bash"))], "pre", ["c"]),
        ([reply("pre", call("h", HR)), reply("", call("c", "bash"))], "pre", ["c"]),
        ([reply("a", call("h", HR), call("i", HR)), reply("b", call("j", HR)), reply("c")], "a\n\nb\n\nc", None),
        ([reply("é\ud83d", call("h", HR)), reply('"\\')], 'é\ud83d\n\n"\\', None),
        ([reply(None, call("h", HR), call("c", "bash"))], None, ["c"]),
        ([reply(None, call("c", "bash"), call("h", HR), call("d", "read"))], None, ["c", "d"]),
        ([reply("x", call("c", "bash"), call("h", HR))], "x", ["c"]),
        (
            [reply([{"type": "text", "text": "pre"}], call("h", HR)), reply("answer")],
            [{"type": "text", "text": "pre"}, {"type": "text", "text": "answer"}],
            None,
        ),
    ],
)
def test_merged_answers(rounds: list[bytes], content: Any, calls: list[str] | None) -> None:
    message = message_of(merged(*rounds))
    assert message["content"] == content
    assert ([entry["id"] for entry in message["tool_calls"]] if "tool_calls" in message else None) == calls


def test_what_a_merge_does_not_change_keeps_its_bytes() -> None:
    first = reply("pre", call("h", HR), id="first", created=7)
    last = (
        b'{ "id" : "second","created":8, "x":1E3 ,"choices":[ {"message":{ "role":"assistant",'
        b'"content": "\\u0061\xc3\xa9" },"finish_reason":"stop","y":{ } } ] ,"model":"m"}\n'
    )
    changes = ((b'"second"', b'"first"'), (b'"created":8', b'"created":7'), (b'"\\u0061', b'"pre\\n\\n\\u0061'))
    expected = last
    for old, new in changes:
        expected = expected.replace(old, new)
    assert merged(first, last) == expected


def test_a_text_that_must_not_show_is_left_out() -> None:
    assert message_of(merged(reply("I will look", call("h", HR)), reply('{"a":1}'), drop_text=True))["content"] == '{"a":1}'


def test_a_notice_and_the_natural_stop_when_the_limit_is_reached() -> None:
    body = merged(reply(None, call("h", HR)), reply(None, call("i", HR)), notice="Limit reached.", stopped=True)
    choice = json.loads(body)["choices"][0]
    assert choice["message"] == {"role": "assistant", "content": "Limit reached."}
    assert choice["finish_reason"] == "stop"
    assert json.loads(merged(reply("x", call("h", HR), reason="length"), stopped=True))["choices"][0]["finish_reason"] == "length"


def test_fields_of_earlier_rounds_are_joined_with_the_last_ones() -> None:
    first = reply(None, call("h", HR), message={"reasoning_content": "one", "annotations": [1], "audio": {"id": "a"}, "only": 1})
    last = reply("x", message={"reasoning_content": "two", "annotations": [2], "audio": {"id": "b"}})
    assert message_of(merged(first, last)) == {
        "role": "assistant",
        "content": "x",
        "reasoning_content": "one\n\ntwo",
        "annotations": [1, 2],
        "audio": {"id": "b"},
        "only": 1,
    }


def test_signed_reasoning_that_is_not_kept_is_left_out() -> None:
    answer = WIRE.read(reply("x", message={"reasoning_details": [{"signature": "s"}]}))
    body = WIRE.merge([answer], [[part for part in answer.parts if part.kind is not PartKind.SIGNED]], notice="", stopped=False)
    assert message_of(body) == {"role": "assistant", "content": "x"}


def test_usage_is_summed_and_log_probabilities_are_chained() -> None:
    usages = [
        {"prompt_tokens": 10, "cost": 0.5, "prompt_tokens_details": {"cached_tokens": 4, "x": {"y": 1}}, "early": 3},
        {"prompt_tokens": 20, "cost": 0.25, "prompt_tokens_details": {"cached_tokens": 6, "new": 2}, "tier": "a"},
    ]
    rounds = [
        reply("a", call("h", HR), usage=usages[0], choice={"logprobs": {"content": [{"token": "a"}]}}),
        reply("b", usage=usages[1], choice={"logprobs": {"content": [{"token": "b"}]}}),
    ]
    value = json.loads(merged(*rounds))
    assert value["usage"] == {
        "prompt_tokens": 30,
        "cost": 0.75,
        "prompt_tokens_details": {"cached_tokens": 10, "x": {"y": 1}, "new": 2},
        "early": 3,
        "tier": "a",
    }
    assert value["choices"][0]["logprobs"] == {"content": [{"token": "a"}, {"token": "b"}]}
    assert json.loads(merged(*rounds, drop_text=True))["choices"][0]["logprobs"] == {"content": [{"token": "b"}]}


@pytest.mark.parametrize(("last", "total"), [({}, 5), ({"usage": None}, 5), ({"usage": {"n": 1}}, 6), ({"usage": "?"}, None)])
def test_usage_that_only_an_earlier_round_has_is_not_lost(last: dict[str, Any], total: int | None) -> None:
    value = json.loads(merged(reply(None, call("h", HR), usage={"n": 5}), reply("x", **last)))
    assert value["usage"] == ({"n": total} if total else "?")


def test_the_identity_is_the_first_round_s() -> None:
    value = json.loads(
        merged(
            reply(None, call("h", HR), id="A", created=1, model="m-1"),
            reply("x", id="B", created=2, model="m-2", system_fingerprint="f"),
        )
    )
    assert (value["id"], value["created"], value["model"], value["system_fingerprint"]) == ("A", 1, "m-1", "f")


# -- answers of extensions -------------------------------------------------------------------------------------------------


def test_an_extension_s_answer_is_completed() -> None:
    payload = WIRE.decode(request(user("q")))
    value = json.loads(WIRE.complete({"choices": [{"message": {"role": "assistant", "content": "é"}}]}, payload))
    assert re.fullmatch("chatcmpl-[0-9a-f]{24}", value.pop("id"))
    assert value == {
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "é"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
    }


def test_what_an_extension_gives_is_kept() -> None:
    payload = WIRE.decode(request(user("q")))
    given = json.loads(reply("x", call("a", "f"), id="mine", created=5, model="other", usage={"total_tokens": 1}, extra=[1]))
    assert json.loads(WIRE.complete(given, payload)) == given


@pytest.mark.parametrize(
    "response",
    [{}, {"choices": []}, {"choices": [{}]}, {"choices": ["x"]}, {"choices": [{"message": {"content": b"x"}}]}, {"content": "x"}],
)
def test_what_cannot_be_completed_is_refused(response: dict[str, Any]) -> None:
    with pytest.raises(ResponseError):
        WIRE.complete(response, WIRE.decode(request()))
