"""Anthropic Messages as JSON: which texts are found, what is edited, how rounds become one answer."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headroom_asgi._crush import Document
from headroom_asgi.errors import ConfigError, PayloadError, ResponseError
from headroom_asgi.types import ToolCall, ToolResult, ToolSpec
from headroom_asgi.wire import (
    DIALECTS,
    Answer,
    Endpoint,
    Finish,
    Part,
    PartKind,
    Payload,
    dialect_for,
    dialect_named,
    dump,
    guess_dialect,
    splice,
)

WIRE = dialect_named("anthropic")
TOOL = ToolSpec("headroom_retrieve", "Gets originals.", {"type": "object", "properties": {"ref": {"type": "string"}}})
SPELLED = {"name": TOOL.name, "description": TOOL.description, "input_schema": TOOL.parameters}
BASH = {"name": "Bash", "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral"}}
SEARCH = {"type": "web_search_20250305", "name": "web_search"}


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content[0] if len(content) == 1 and isinstance(content[0], str) else list(content)}


def assistant(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def text(value: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": value, **more}


def use(call_id: str, name: str = "Bash", **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": name, "input": arguments}


def result(call_id: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call_id, "content": content, **more}


def payload(*messages: Any, **more: Any) -> Payload:
    return WIRE.decode(dump({"model": "claude", "messages": messages, **more}))


def rows(found: Payload) -> list[tuple[Any, ...]]:
    """What is known of each segment; of user texts only that they are there."""
    return [
        ("user text", s.text)
        if s.frozen and not s.tool_name
        else (s.text, s.tool_name, s.tool_arguments, s.preceding_user_text, s.is_error, s.frozen)
        for s in found.segments
    ]


def request_cases() -> list[Any]:
    cited = {"type": "search_result", "content": [text("hit")], "citations": {"enabled": True}}
    image = {"type": "image", "source": {"type": "base64", "data": "aGk="}}
    return [
        pytest.param([user("hi")], [("user text", "hi")], id="plain text"),
        pytest.param(
            [user("why?"), assistant(text("hm"), use("a", cmd="ls")), user(result("a", "out"))],
            [("user text", "why?"), ("out", "Bash", '{"cmd":"ls"}', "why?", False, False)],
            id="string result, query and arguments",
        ),
        pytest.param(
            [assistant(use("a")), user(result("a", [text("one"), image, cited, text("two")], is_error=True))],
            [("one", "Bash", "{}", "", True, False), ("two", "Bash", "{}", "", True, False)],
            id="texts in a list, nothing else in it",
        ),
        pytest.param(
            [user(result("lost", "out"))],
            [("out", "", "", "", False, False)],
            id="call unknown",
        ),
        pytest.param(
            [assistant(use("a", "First")), user(result("a", "1")), assistant(use("a", "Second")), user(result("a", "2"))],
            [("1", "First", "{}", "", False, False), ("2", "Second", "{}", "", False, False)],
            id="the nearest earlier call of that id",
        ),
        pytest.param(
            [
                user("old"),
                assistant(use("a"), use("b")),
                user(text("x"), text("y"), result("a", "1"), text("z"), result("b", "2")),
            ],
            [
                ("user text", "old"),
                ("user text", "x"),
                ("user text", "y"),
                ("1", "Bash", "{}", "x\ny", False, False),
                ("user text", "z"),
                ("2", "Bash", "{}", "z", False, False),
            ],
            id="texts of the same turn that stand before the result",
        ),
        pytest.param(
            [user("q"), assistant(use("a"), use("b")), user(result("a", "1"), text("after"), text(" ")), user(result("b", "2"))],
            [
                ("user text", "q"),
                ("1", "Bash", "{}", "q", False, False),
                ("user text", "after"),
                ("user text", " "),
                ("2", "Bash", "{}", "after", False, False),
            ],
            id="never a text that comes later; blanks ask nothing",
        ),
        pytest.param(
            [assistant(use("a", "mcp__x__headroom_retrieve", ref="r")), user(result("a", "original"))],
            [("original", "mcp__x__headroom_retrieve", '{"ref":"r"}', "", False, True)],
            id="the client's own retrieve tool",
        ),
        pytest.param(
            [
                assistant(use("a")),
                user(result("a", [text("cited", citations=[{"type": "char_location"}]), text("free", citations=None)])),
            ],
            [
                ("cited", "Bash", "{}", "", False, True),
                ("free", "Bash", "{}", "", False, False),
            ],
            id="cited text",
        ),
        pytest.param(
            [
                {"role": "system", "content": "rules"},
                assistant(text("said"), {"type": "web_search_tool_result", "tool_use_id": "s", "content": [text("hit")]}),
                user({"type": "document", "source": {"type": "text", "data": "doc"}}, image),
            ],
            [],
            id="neither assistant nor system nor documents",
        ),
    ]


@pytest.mark.parametrize(("messages", "expected"), request_cases())
def test_segments_are_the_texts_of_results_with_what_is_known_of_them(messages: list[Any], expected: list[Any]) -> None:
    assert rows(payload(*messages)) == expected


def test_a_segments_span_is_its_literal_whatever_the_spelling() -> None:
    body = b'{ "messages" : [ {"content": [{"content" :"a\\u00e9\\ud83d","type":"tool_result"}], "role":"user"} ] }'
    (segment,) = WIRE.decode(body).segments
    start, end = segment.span
    assert (body[start:end], segment.text) == (b'"a\\u00e9\\ud83d"', "aé\ud83d")


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, ("claude", False, False)),
        ({"stream": True}, ("claude", True, False)),
        ({"stream": "yes", "model": 7}, ("", False, False)),
        ({"output_config": {"effort": "low"}}, ("claude", False, False)),
        ({"output_config": {"format": {"type": "json_schema"}}}, ("claude", False, True)),
        ({"output_config": {"format": None}, "output_format": None}, ("claude", False, False)),
        ({"output_format": {"type": "json_schema"}}, ("claude", False, True)),
    ],
)
def test_the_payload_tells_model_stream_and_structured_output(members: dict[str, Any], expected: tuple[Any, ...]) -> None:
    found = payload(user("hi"), **members)
    assert (found.model, found.stream, found.structured) == expected


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "invalid_json"),
        (b'{"messages":[]', "invalid_json"),
        (b'{"messages":["\xff"]}', "invalid_utf8"),
        (b'"messages"', "not_an_object"),
        (b"{}", "no_messages"),
        (b'{"messages":{"role":"user"}}', "no_messages"),
    ],
)
def test_bodies_that_no_provider_accepts_are_refused_with_a_reason(body: bytes, reason: str) -> None:
    with pytest.raises(PayloadError) as caught:
        WIRE.decode(body)
    assert caught.value.reason == reason


_KEYS = ["role", "content", "type", "text", "id", "tool_use_id", "name", "input", "citations", "enabled"]
_WORDS = st.sampled_from([*_KEYS, "user", "assistant", "tool_use", "tool_result"])
_ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | _WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=4),
    max_leaves=12,
)


@given(_ODD, st.lists(_ODD, max_size=3), _ODD)
@settings(max_examples=150, deadline=None)
def test_wrong_types_anywhere_never_raise(content: Any, messages: list[Any], tools: Any) -> None:
    found = payload(
        *messages, user("q"), {"role": "assistant", "content": content}, {"role": "user", "content": content}, tools=tools
    )
    rows(found)
    WIRE.unpaired(found)
    WIRE.fields(found)
    offer = WIRE.offer(found, TOOL)
    Document(splice(found.body, offer.edits))


_BLOCKS = st.one_of(
    st.builds(text, st.sampled_from(["one", "two", " "])),
    st.builds(use, st.sampled_from("ab"), st.sampled_from(["Bash", "Read"])),
    st.builds(result, st.sampled_from("ab"), st.sampled_from(["out", [text("in a list")]])),
)


@given(
    st.lists(
        st.builds(
            lambda role, blocks: {"role": role, "content": blocks},
            st.sampled_from(["user", "assistant"]),
            st.lists(_BLOCKS, max_size=4),
        ),
        max_size=6,
    )
)
@settings(max_examples=100, deadline=None)
def test_what_is_known_of_a_segment_never_depends_on_later_messages(messages: list[Any]) -> None:
    whole = rows(payload(*messages))
    for end in range(len(messages)):
        known = rows(payload(*messages[:end]))
        assert known == whole[: len(known)]


def test_nesting_has_no_limit() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    body = (
        b'{"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"Bash","input":%b}]},'
        b'{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":%b,"x":%b},'
        b'{"type":"tool_result","tool_use_id":"a","content":"out"}]},%b],"tools":[%b,{"name":"T","input_schema":%b}]}'
    ) % ((deep,) * 6)
    found = WIRE.decode(body)
    assert [segment.text for segment in found.segments] == ["out"]
    assert found.segments[0].tool_arguments == deep.decode()
    assert WIRE.unpaired(found) == {"a"}
    edits = WIRE.offer(found, TOOL).edits
    answer = WIRE.read(b'{"content":[{"type":"x","y":%b}],"usage":{"n":%b}}' % (deep, deep))
    assert deep in WIRE.append(splice(body, edits), answer, [])
    merged = WIRE.merge([answer, answer], [answer.parts, answer.parts], notice="", stopped=False)
    assert merged.count(b'{"type":"x"') == 2
    assert deep in WIRE.as_stream(answer)


@pytest.mark.parametrize(
    ("tools", "position"),
    [
        ([BASH], 1),
        ([SEARCH, BASH, SEARCH], 2),
        ([{"type": "custom", "name": "T"}, SEARCH], 1),
        ([{"type": "bash_20250124", "name": "bash"}], 1),
    ],
)
def test_the_tool_is_offered_after_the_last_tool_that_the_client_runs(tools: list[Any], position: int) -> None:
    found = payload(user("hi"), tools=tools, max_tokens=1)
    (edit,) = WIRE.offer(found, TOOL).edits
    assert edit.start == edit.end
    body = splice(found.body, [edit])
    assert json.loads(body)["tools"] == [*tools[:position], SPELLED, *tools[position:]]
    assert body.replace(edit.data, b"") == found.body


def test_where_programs_call_tools_ours_is_called_directly_only() -> None:
    direct = {**SPELLED, "allowed_callers": ["direct"]}
    for other in (
        {"type": "code_execution_20250825", "name": "code_execution"},
        {**BASH, "allowed_callers": ["direct", "code_execution_x"]},
    ):
        found = payload(user("hi"), tools=[other, BASH])
        assert json.loads(splice(found.body, WIRE.offer(found, TOOL).edits))["tools"][2] == direct


@pytest.mark.parametrize(
    ("members", "obstacle"),
    [
        ({}, "no_tools"),
        ({"tools": []}, "no_tools"),
        ({"tools": {"name": "x", "input_schema": {}}}, "no_tools"),
        ({"tools": [SEARCH]}, "no_tools"),
        ({"tools": [BASH, {**BASH, "name": "headroom_retrieve"}]}, "client_has_tool"),
        ({"tools": [{**BASH, "name": "mcp__x__headroom_retrieve"}]}, "client_has_tool"),
        ({"tools": [BASH], "thread": {"type": "create"}}, ""),
        ({"tools": [BASH], "compaction": {"type": "summarize"}}, ""),  # its prefix is the conversation's
        ({"tools": [BASH], "max_tokens": 0, "tool_choice": {"type": "none"}}, ""),
    ],
)
def test_obstacles_to_the_offer(members: dict[str, Any], obstacle: str) -> None:
    offer = WIRE.offer(payload(user("hi"), **members), TOOL)
    assert offer.obstacle == obstacle
    assert bool(offer.edits) == (not obstacle)


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([user("q"), assistant(use("a"), use("b")), user(result("b", ""), result("a", ""))], set()),
        ([assistant(use("a")), user("never mind"), user(result("a", ""))], set()),
        ([assistant(use("a")), assistant(use("b")), user(result("b", ""), result("a", ""))], set()),
        ([assistant(use("a")), {"role": "system", "content": "x"}, user(result("a", ""))], set()),
        ([assistant(use("a"))], set()),
        ([assistant(use("a")), user("no answer")], {"a"}),
        ([assistant(use("a")), user(result("a", ""), result("a", ""))], {"a"}),
        ([assistant(use("a"), use("a")), user(result("a", ""))], {"a"}),
        ([user(result("a", "")), assistant(use("a")), user(result("a", ""))], {"a"}),
        ([assistant(use("a")), user("q"), assistant(text("x")), user(result("a", ""))], {"a"}),
    ],
)
def test_unpaired_calls_and_results_are_named(messages: list[Any], expected: set[str]) -> None:
    assert WIRE.unpaired(payload(*messages)) == expected


def test_fields_are_what_extensions_may_edit() -> None:
    found = payload(user("hi"), tools=[BASH])
    assert WIRE.values(found) == {"messages": [user("hi")], "tools": [BASH]}
    assert list(WIRE.fields(payload(user("hi"), tools={}))) == ["messages"]


CALL = b'{"type":"tool_use", "id":"h1","name":"headroom_retrieve","input":{ "ref":"r", "n":1E3}}'
THINKING = b'{"type":"thinking","thinking":"h\xc3\xa9","signature":"c2ln\\u003d"}'


def answer_of(*blocks: bytes, reason: str = "end_turn", more: bytes = b"", message_id: str = "msg_1") -> Answer:
    return WIRE.read(
        b'{"id":"%b", "type":"message","role":"assistant","model":"m","content": [%b] ,"stop_reason":"%b","stop_sequence":null%b}'
        % (message_id.encode(), b" , ".join(blocks), reason.encode(), more)
    )


def test_the_next_round_has_the_whole_turn_verbatim_and_the_results() -> None:
    body = b'{"messages" : [ {"role":"user","content":"hi"} ], "max_tokens": 1e2}'
    answer = answer_of(THINKING, b'{"type":"text","text":""}', CALL, reason="tool_use", more=b',"container":null')
    (call,) = answer.calls
    assert call == ToolCall("h1", "headroom_retrieve", '{ "ref":"r", "n":1E3}')
    assert WIRE.append(body, answer, [ToolResult(call, "orig\u2028inal", is_error=False)]) == (
        b'{"messages" : [ {"role":"user","content":"hi"},{"role":"assistant","content":[' + THINKING + b"," + CALL + b"]},"
        b'{"role":"user","content":[{"type":"tool_result","tool_use_id":"h1","content":"orig\\u2028inal"}]} ], "max_tokens": 1e2}'
    )


def test_results_that_are_errors_say_so_and_keep_the_order_of_calls() -> None:
    answer = answer_of(CALL, CALL.replace(b"h1", b"h2"), reason="tool_use")
    results = [ToolResult(call, "gone", is_error=True) for call in answer.calls]
    messages = json.loads(WIRE.append(b'{"messages":[{"role":"assistant","content":"I say"}]}', answer, results))["messages"]
    assert [message["role"] for message in messages] == ["assistant", "assistant", "user"]
    assert messages[2]["content"] == [result("h1", "gone", is_error=True), result("h2", "gone", is_error=True)]


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        (b"", '"c9"'),
        (b',"container":null', '"c9"'),
        (b',"container":"c1"', '"c9"'),
        (b',"container":{"skills":[1]}', '{"skills":[1],"id":"c9"}'),
        (b',"container":{"id":"c1","skills":[1]}', '{"id":"c9","skills":[1]}'),
    ],
)
def test_the_next_round_runs_in_the_container_of_this_one(asked: bytes, sent: str) -> None:
    answer = answer_of(CALL, more=b',"container":{"id":"c9","expires_at":"x"}')
    body = WIRE.append(b'{"messages":[]%b}' % asked, answer, [])
    assert json.loads(body)["container"] == json.loads(sent)


def test_parts_of_an_answer_in_order() -> None:
    answer = answer_of(
        THINKING,
        b'{"type":"redacted_thinking","data":"x"}',
        b'{"type":"text","text":"hi"}',
        b'{"type":"text","text":""}',
        b'{"type":"server_tool_use","id":"s","name":"web_search","input":{}}',
        b'{"type":"tool_use","id":"p","name":"q","input":{},"caller":{"type":"code_execution_20250825"}}',
        CALL,
        b"17",
    )
    kinds = ["SIGNED", "SIGNED", "TEXT", "OTHER", "OTHER", "CALL", "CALL", "OTHER"]
    assert [part.kind.name for part in answer.parts] == kinds
    assert [call.id for call in answer.calls] == ["p", "h1"]


@pytest.mark.parametrize("reason", ["max_tokens", "refusal", "pause_turn", "model_context_window_exceeded", "compaction"])
def test_rounds_that_were_cut_are_not_gone_on_with(reason: str) -> None:
    assert answer_of(CALL, reason=reason).finish is Finish.CUT


@pytest.mark.parametrize("reason", ["end_turn", "tool_use", "stop_sequence", "something_new"])
def test_other_reasons_only_end_the_round(reason: str) -> None:
    assert answer_of(CALL, reason=reason).finish is Finish.DONE


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'{"content":"x"}', b'{"type":"error","error":{}}'])
def test_what_is_no_message_is_no_answer(body: bytes) -> None:
    with pytest.raises(ResponseError):
        WIRE.read(body)


TEXT = b'{"type":"text", "text":"t\xc3\xa9"}'
BASH_CALL = b'{"type":"tool_use","id":"b1","name":"Bash","input":{}}'


def visible(answer: Answer, *, signed: bool = True) -> list[Part]:
    """What the client sees of a round: not our calls, and reasoning only if it is asked for."""
    return [
        part
        for part in answer.parts
        if not (part.call and part.call.name == "headroom_retrieve") and (signed or part.kind is not PartKind.SIGNED)
    ]


def test_one_round_that_is_kept_whole_is_the_same_object() -> None:
    answer = answer_of(THINKING, TEXT, BASH_CALL, reason="tool_use", more=b',"usage":{"input_tokens":1}')
    assert WIRE.merge([answer], [answer.parts], notice="", stopped=False) is answer.document.data


@pytest.mark.parametrize(
    ("rounds", "content"),
    [
        ([[CALL], [TEXT]], [TEXT]),
        ([[TEXT, CALL], [TEXT]], [TEXT, TEXT]),
        ([[CALL, CALL], [TEXT]], [TEXT]),
        ([[TEXT, CALL], [THINKING, CALL], [THINKING, TEXT]], [TEXT, TEXT]),
        ([[THINKING, TEXT, CALL], [THINKING, TEXT, BASH_CALL]], [THINKING, TEXT, TEXT, BASH_CALL]),
        ([[CALL, TEXT, BASH_CALL]], [TEXT, BASH_CALL]),
        ([[TEXT, CALL, BASH_CALL]], [TEXT, BASH_CALL]),
        ([[TEXT, BASH_CALL, CALL]], [TEXT, BASH_CALL]),
        ([[CALL], [CALL]], []),
    ],
)
def test_blocks_of_all_rounds_keep_their_order_and_their_bytes(rounds: list[list[bytes]], content: list[bytes]) -> None:
    answers = [answer_of(*blocks, message_id=f"msg_{i}") for i, blocks in enumerate(rounds)]
    kept = [visible(answer, signed=i == 0) for i, answer in enumerate(answers)]
    merged = WIRE.merge(answers, kept, notice="", stopped=False)
    found = WIRE.read(merged)
    assert [found.document.raw(part.node) for part in found.parts] == content
    start, end = found.document.span(found.document.get(0, "content"))
    base = answers[-1].document
    base_start, base_end = base.span(base.get(0, "content"))
    assert merged[end:] == base.data[base_end:]
    assert merged[:start] == base.data[:base_start].replace(f"msg_{len(rounds) - 1}".encode(), b"msg_0")


def test_an_answer_that_would_be_empty_gets_the_notice_and_the_natural_stop() -> None:
    answers = [answer_of(CALL, reason="tool_use"), answer_of(CALL, reason="tool_use")]
    merged = json.loads(WIRE.merge(answers, [[], []], notice="limit \u2028", stopped=True))
    assert merged["content"] == [text("limit \u2028")]
    assert merged["stop_reason"] == "end_turn"


def test_a_reason_that_is_not_a_call_stays_when_nothing_is_left() -> None:
    answer = answer_of(CALL, reason="max_tokens")
    assert json.loads(WIRE.merge([answer], [[]], notice="x", stopped=True))["stop_reason"] == "max_tokens"


def test_usage_is_summed_field_by_field_with_one_iteration_a_round() -> None:
    first = {
        "input_tokens": 10,
        "output_tokens": 5,
        "cache_read_input_tokens": 7,
        "cache_creation": {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 2},
        "server_tool_use": {"web_search_requests": 1},
        "service_tier": "standard",
        "new_count": 1.5,
    }
    last = {
        "input_tokens": 20,
        "output_tokens": 6,
        "cache_read_input_tokens": None,
        "cache_creation": {"ephemeral_5m_input_tokens": 3},
        "server_tool_use": None,
        "service_tier": "priority",
        "is_new": True,
    }
    answers = [answer_of(CALL, more=b',"usage":' + dump(first)), answer_of(TEXT, more=b',"usage": ' + dump(last) + b" ")]
    merged = WIRE.merge(answers, [[], answers[1].parts], notice="", stopped=False)
    usage = json.loads(merged)["usage"]
    iterations = usage.pop("iterations")
    assert usage == {
        "input_tokens": 30,
        "output_tokens": 11,
        "cache_read_input_tokens": 7,
        "cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 2},
        "server_tool_use": {"web_search_requests": 1},
        "service_tier": "priority",
        "new_count": 1.5,
        "is_new": True,
    }
    assert [entry["input_tokens"] for entry in iterations] == [10, 20]
    assert all(entry["type"] == "message" and entry["cache_creation_input_tokens"] == 0 for entry in iterations)
    assert merged.endswith(b" }")


def test_iterations_that_the_upstream_lists_are_listed_one_after_the_other() -> None:
    own = b',"usage":{"output_tokens":9,"iterations":[{"type":"compaction"},{"type":"message"}]}'
    answers = [answer_of(CALL, more=own), answer_of(TEXT, more=b',"usage":{"output_tokens":1}')]
    merged = json.loads(WIRE.merge(answers, [[], answers[1].parts], notice="", stopped=False))
    assert [entry["type"] for entry in merged["usage"]["iterations"]] == ["compaction", "message", "message"]


@pytest.mark.parametrize("usage", [b'{"n":1e999}', b'{"n":' + b"9" * 5000 + b"}", b'{"n":' + b"[" * 5000 + b"]" * 5000 + b"}"])
def test_usage_that_cannot_be_read_stays_the_last_rounds(usage: bytes) -> None:
    answers = [answer_of(CALL, more=b',"usage":{"n":2}'), answer_of(TEXT, more=b',"usage":' + usage)]
    assert usage in WIRE.merge(answers, [[], answers[1].parts], notice="", stopped=False)


@pytest.mark.parametrize(
    ("response", "content", "reason"),
    [
        ({"content": "hi"}, [text("hi")], "end_turn"),
        ({"content": [text("hi"), use("a")]}, [text("hi"), use("a")], "tool_use"),
        ({"choices": [{"message": {"role": "assistant", "content": "cached"}}]}, [text("cached")], "end_turn"),
    ],
)
def test_an_extensions_answer_is_completed(response: dict[str, Any], content: list[Any], reason: str) -> None:
    message = json.loads(WIRE.complete(response, payload(user("hi"))))
    assert message["id"].startswith("msg_")
    assert message | {"id": ""} == {
        "id": "",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": content,
        "stop_reason": reason,
        "stop_sequence": None,
        "usage": {"input_tokens": 0, "output_tokens": 0},
    }


def test_what_an_extension_says_itself_stays() -> None:
    given_by_it = {
        "id": "msg_x",
        "model": "other",
        "content": [],
        "stop_reason": "refusal",
        "usage": {"input_tokens": 3},
        "new": 1,
    }
    assert json.loads(WIRE.complete(given_by_it, payload(user("hi")))).items() >= given_by_it.items()


@pytest.mark.parametrize(
    "response",
    [
        {},
        {"content": 7},
        {"content": ["hi"]},
        {"content": [{"text": "no type"}]},
        {"content": [text("x", bad=object())]},
        {"content": [text("x", bad=float("nan"))]},
        {"choices": []},
        {"choices": [{"message": {"content": "x", "tool_calls": [{"id": "a"}]}}]},
    ],
)
def test_an_extensions_answer_that_cannot_be_completed_is_refused(response: dict[str, Any]) -> None:
    with pytest.raises(ResponseError):
        WIRE.complete(response, payload(user("hi")))


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/messages", "anthropic"),
        ("/anthropic/v1/messages/", "anthropic"),
        ("v1/messages", "anthropic"),
        ("/v1/messages/count_tokens", "anthropic"),
        ("/v1/projects/p/locations/eu/publishers/anthropic/models/claude-opus-5-5@20261001:rawPredict", "anthropic"),
        ("/v1/projects/p/locations/eu/publishers/anthropic/models/claude-opus-5-5:streamRawPredict", "anthropic"),
        ("/v1/projects/p/locations/eu/publishers/anthropic/models/count-tokens:rawPredict", "anthropic"),
        ("/v1/projects/p/locations/eu/publishers/anthropic/models/a:b:rawPredict", None),
        ("/v1/projects/p/locations/eu/publishers/meta/models/llama:rawPredict", None),
        ("/v1/messages/batches", None),
        ("/xv1/messages", None),
        ("/v1/messages//", None),
        ("/v1/chat/completions", "openai-chat"),
        ("/", None),
        ("", None),
    ],
)
def test_the_path_tells_the_dialect(path: str, name: str | None) -> None:
    found = dialect_for(path)
    assert (found[0].name if found else None) == name


@pytest.mark.parametrize(
    ("path", "endpoint"),
    [
        ("/v1/messages", Endpoint()),
        ("/v1/messages/count_tokens", Endpoint(answered=False)),
        ("/publishers/anthropic/models/claude-x@1:rawPredict", Endpoint(model="claude-x@1")),
        ("/publishers/anthropic/models/claude-x:streamRawPredict", Endpoint(model="claude-x", stream=True)),
        ("/publishers/anthropic/models/count-tokens:rawPredict", Endpoint(answered=False)),
    ],
)
def test_what_the_path_says(path: str, endpoint: Endpoint) -> None:
    assert WIRE.endpoint(path) == endpoint
    found = WIRE.decode(dump({"messages": []}), endpoint)
    assert (found.model, found.stream, found.endpoint) == (endpoint.model, bool(endpoint.stream), endpoint)


@pytest.mark.parametrize(
    ("members", "edited"),
    [
        ({}, False),
        ({"context_management": None, "thread": None}, False),
        ({"context_management": {"edits": []}}, True),
        ({"compaction": {"type": "summarize"}}, True),
        ({"thread": {"type": "create"}}, True),
    ],
)
def test_whether_earlier_messages_stay_where_they_are(members: dict[str, Any], edited: bool) -> None:
    assert payload(user("hi"), **members).history_edited is edited


def test_every_dialect_has_a_name_of_its_own_and_is_found_at_its_example_path() -> None:
    for wire in DIALECTS:
        assert dialect_named(wire.name) is wire
        found = dialect_for(wire.example_path)
        assert found is not None
        assert found[0] is wire
    with pytest.raises(ConfigError, match="anthropic"):
        dialect_named("gopher")


@pytest.mark.parametrize(
    ("messages", "name"),
    [
        ([], "openai-chat"),
        ([user("hi")], "openai-chat"),
        ([user("hi"), assistant(use("a"))], "anthropic"),
        ([user(result("a", "x"))], "anthropic"),
        ([user({"type": "text", "text": "x"}), {"role": "tool", "tool_call_id": "a", "content": [use("a")]}], "openai-chat"),
        ([{"role": "assistant", "tool_calls": []}, user(result("a", "x"))], "openai-chat"),
        ([7, {"role": [], "content": [{"type": []}, {"type": {}}]}, user(result("a", "x"))], "anthropic"),
    ],
)
def test_the_dialect_is_guessed_from_the_messages(messages: list[Any], name: str) -> None:
    assert guess_dialect(messages).name == name
