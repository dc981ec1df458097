"""Bedrock Converse requests and JSON answers: where text is, where the tool goes, how rounds go on and become one answer."""

import base64
import json

import pytest

from headroom_asgi.errors import PayloadError, ResponseError
from headroom_asgi.retrieval import TOOL
from headroom_asgi.types import ToolCall, ToolResult
from headroom_asgi.wire import Answer, Endpoint, Finish, PartKind, Round, dialect_for, splice
from headroom_asgi.wire.bedrock import BedrockConverse

WIRE = BedrockConverse()
SPEC = {"toolSpec": {"name": "search", "description": "d", "inputSchema": {"json": {}}}}
POINT = {"cachePoint": {"type": "default"}}
LONG = "a string that is long enough to be worth a look"


def user(*content):
    return {"role": "user", "content": [{"text": each} if isinstance(each, str) else each for each in content]}


def model(*content):
    return user(*content) | {"role": "assistant"}


def call(call_id="t1", name="search", **arguments):
    return {"toolUse": {"toolUseId": call_id, "name": name, "input": arguments}}


def result(call_id="t1", *content, **members):
    return {"toolResult": {"toolUseId": call_id, "content": list(content) or [{"text": "rows"}], **members}}


def signed(words="s"):
    return {"reasoningContent": {"reasoningText": {"text": "hm", "signature": words}}}


def body_of(*messages, **members):
    return json.dumps({"messages": list(messages), **members}).encode()


def answer_of(*content, reason="end_turn", **members) -> Answer:
    value = {"output": {"message": model(*content)}, "stopReason": reason, **members}
    return WIRE.read(json.dumps(value).encode())


def results_of(answer, *texts):
    return [ToolResult(each, text) for each, text in zip(answer.calls, texts, strict=True)]


# -- addresses ---------------------------------------------------------------------------------------------------------

ARN = "arn:aws:bedrock:us-east-1:123:inference-profile/us.anthropic.x-v1:0"


@pytest.mark.parametrize("model_id", ["anthropic.claude-x-20250929-v1:0", ARN, "us.amazon.nova-pro", "converse", "a/model/b"])
@pytest.mark.parametrize("prefix", ["", "/bedrock", "/v1"])
@pytest.mark.parametrize(
    ("verb", "stream", "answered"), [("converse", False, True), ("converse-stream", True, True), ("count-tokens", False, False)]
)
def test_addresses_name_the_model_and_say_whether_the_answer_is_a_stream(prefix, model_id, verb, stream, answered):
    wire, endpoint = dialect_for(f"{prefix}/model/{model_id}/{verb}")
    assert wire.name == "bedrock"
    assert endpoint.model == model_id
    assert (endpoint.stream, endpoint.answered) == (stream, answered)
    payload = wire.decode(body_of(), endpoint)
    assert (payload.model, payload.stream) == (endpoint.model, stream)
    assert payload.again(body_of(user("x"))).endpoint is endpoint


@pytest.mark.parametrize(
    "path", ["/model/x/converse/y", "/model//converse-", "/model/x/converses", "/models/x/converse", "/converse"]
)
def test_other_addresses_are_none_of_it(path):
    assert dialect_for(path) is None


def test_streams_are_known_by_their_media_type():
    payload = WIRE.decode(body_of())
    assert WIRE.streams("application/vnd.amazon.eventstream", payload)
    assert not WIRE.streams("application/json", payload)
    assert dialect_for("/model/x/converse-stream")[1].media == "application/vnd.amazon.eventstream"


# -- segments ----------------------------------------------------------------------------------------------------------


def segments(*messages, **members):
    return WIRE.decode(body_of(*messages, **members)).segments


def test_the_text_of_tool_results_and_what_was_asked():
    found = segments(
        user("find it", POINT),
        model("ok", signed(), call("t1", q="x"), call("t2", "read", path="/a")),
        user(
            result("t1", {"text": "one"}, {"image": {}}, {"text": "two"}),
            result("t2", {"text": "three"}, status="error"),
            "and then?",
            "now",
        ),
        model("more", call("t3")),
        user(result("t3", {"text": "four"})),
    )
    assert [(s.text, s.tool_name, s.is_error, s.frozen) for s in found] == [
        ("find it", "", False, True),
        ("one", "search", False, False),
        ("two", "search", False, False),
        ("three", "read", True, False),
        ("and then?", "", False, True),
        ("now", "", False, True),
        ("four", "search", False, False),
    ]
    assert [json.loads(s.tool_arguments) for s in found[1:4]] == [{"q": "x"}, {"q": "x"}, {"path": "/a"}]
    assert [s.preceding_user_text for s in found if not s.frozen] == ["find it"] * 3 + ["and then?\nnow"]


def test_the_question_of_a_result_is_what_was_said_last_before_it():
    found = segments(user("a", "b", result("t1"), "c", result("t2"), " ", result("t3")))
    assert [s.preceding_user_text for s in found if not s.frozen] == ["a\nb", "c", "c"]


def test_the_long_strings_of_json_documents_in_order_and_nothing_else_of_them():
    document = {"a": LONG, LONG: [{"b": [LONG + "2", 1, None]}, "short"], "c": {"d": LONG + "3"}}
    found = segments(user("q"), model(call()), user(result("t1", {"json": document}, {"text": "t"})))
    assert [s.text for s in found if not s.frozen] == [LONG, LONG + "2", LONG + "3", "t"]
    (alone,) = segments(user(result("t1", {"json": LONG})))
    assert alone.text == LONG


def test_a_very_deep_document_is_walked():
    deep = b'{"messages":[{"role":"user","content":[{"toolResult":{"content":[{"json":%b"%b"%b}]}}]}]}'
    (found,) = WIRE.decode(deep % (b"[" * 50_000, LONG.encode(), b"]" * 50_000)).segments
    assert found.text == LONG


@pytest.mark.parametrize(
    "content",
    [
        [{"document": {"source": {"text": LONG}}}],
        [{"searchResult": {"content": [{"text": LONG}]}}],
        [{"guardContent": {"text": {"text": LONG}}}],
        [{"text": 1}],
        [{"text": None}],
        [LONG],
        [],
    ],
)
def test_whatever_else_a_result_has_is_no_segment(content):
    assert segments(user({"toolResult": {"toolUseId": "t", "content": content}}, {"guardContent": {"text": {"text": "x"}}})) == ()


def test_what_the_model_said_and_what_our_tool_gave_is_left_alone():
    found = segments(
        model(
            LONG, signed(), {"toolResult": {"toolUseId": "srv", "content": [{"text": LONG}]}}, call("t1", "mcp_headroom_retrieve")
        ),
        user(result("t1", {"text": LONG}, {"json": LONG})),
        {"role": "system", "content": [{"text": LONG}]},
    )
    assert [s.frozen for s in found] == [True, True]


def test_null_members_do_not_count():
    (found,) = segments(user({"text": None, "toolResult": {"toolUseId": "t", "content": [{"json": None, "text": "x"}]}}))
    assert found.text == "x"


@pytest.mark.parametrize(
    ("members", "structured"),
    [
        ({}, False),
        ({"outputConfig": {"effort": "low"}}, False),
        ({"outputConfig": {"textFormat": {"type": "json_schema"}}}, True),
        ({"additionalModelRequestFields": {"output_format": {"type": "json_schema"}}}, True),
        ({"additionalModelRequestFields": {"output_config": {"format": {}}}}, True),
        ({"additionalModelRequestFields": {"output_config": {"format": None}}}, False),
        ({"additionalModelRequestFields": 1, "outputConfig": None}, False),
    ],
)
def test_structured_output_is_noticed(members, structured):
    assert WIRE.decode(body_of(user("q"), **members)).structured is structured


def test_histories_that_the_provider_edits_are_noticed():
    fields = {"context_management": {"edits": []}}
    assert WIRE.decode(body_of(user("q"), additionalModelRequestFields=fields)).history_edited
    assert not WIRE.decode(body_of(user("q"), additionalModelRequestFields={"context_management": None})).history_edited


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{", "invalid_json"),
        (b'{"messages":"\xff"}', "invalid_utf8"),
        (b"[]", "not_an_object"),
        (b"{}", "no_messages"),
        (b'{"messages":{}}', "no_messages"),
        (b'{"input":{"converse":{}}}', "no_messages"),
        (b'{"input":{"invokeModel":{"body":"eyJtZXNzYWdlcyI6W119"}}}', "foreign_body"),
        (b'{"input":{"invokeModel":{"body":"e30="}}}', "no_messages"),
        (b'{"input":{"invokeModel":{"body":"e30"}}}', "invalid_base64"),
        (b'{"input":{"invokeModel":{"body":{}}}}', "invalid_json"),
    ],
)
def test_bodies_that_cannot_be_handled_say_why(body, reason):
    with pytest.raises(PayloadError, match=f"^{reason}$"):
        WIRE.decode(body)


# -- the tool ----------------------------------------------------------------------------------------------------------


def offered(body):
    payload = WIRE.decode(body)
    offer = WIRE.offer(payload, TOOL)
    assert not offer.obstacle
    return json.loads(splice(body, offer.edits))


OURS = {"toolSpec": {"name": TOOL.name, "description": TOOL.description, "inputSchema": {"json": TOOL.parameters}}}


@pytest.mark.parametrize(
    ("before", "position"),
    [
        ([SPEC], 1),
        ([SPEC, POINT], 1),
        ([SPEC, POINT, SPEC], 3),
        ([{"systemTool": {"name": "x"}}, SPEC, {"systemTool": {"name": "y"}}, POINT], 2),
    ],
)
def test_the_tool_goes_behind_the_clients_last_one_and_before_a_cache_point(before, position):
    value = offered(body_of(user("q"), toolConfig={"tools": before, "toolChoice": {"any": {}}}))
    assert value["toolConfig"]["tools"] == [*before[:position], OURS, *before[position:]]
    assert value["toolConfig"]["toolChoice"] == {"any": {}}


@pytest.mark.parametrize(
    ("tool_config", "obstacle"),
    [
        (None, "no_tools"),
        ({}, "no_tools"),
        ({"tools": [POINT, {"systemTool": {"name": "x"}}]}, "no_tools"),
        ({"tools": [SPEC, {"toolSpec": {"name": "mcp__x__headroom_retrieve"}}]}, "client_has_tool"),
    ],
)
def test_what_forbids_the_tool(tool_config, obstacle):
    members = {} if tool_config is None else {"toolConfig": tool_config}
    assert WIRE.offer(WIRE.decode(body_of(user("q"), **members)), TOOL).obstacle == obstacle


def test_a_request_to_count_tokens_is_treated_like_the_one_it_counts():
    inner = {"messages": [user("q"), model(call()), user(result())], "toolConfig": {"tools": [SPEC, POINT]}}
    counted = json.dumps({"input": {"converse": inner}}).encode()
    payload = WIRE.decode(counted, Endpoint(answered=False))
    assert [s.text for s in payload.segments] == [s.text for s in segments(*inner["messages"])]
    edited = offered(counted)["input"]["converse"]
    assert edited == offered(json.dumps(inner).encode())
    assert payload.decoded == {"messages": inner["messages"], "tools": inner["toolConfig"]["tools"]}
    assert WIRE.unpaired(payload) == frozenset()


def test_a_request_to_count_the_tokens_of_a_body_in_base64_is_treated_like_that_body():
    inside = json.dumps({"anthropic_version": "bedrock-2023-05-31", "messages": [{"role": "user", "content": "é" * 9}]}).encode()
    spelled = base64.b64encode(inside).replace(b"/", b"\\/")
    came = b' {"input" : {"invokeModel":{"x":1E3, "body" : "%b"} }}' % spelled
    payload = WIRE.decode(came, Endpoint(model="m", answered=False))
    assert (payload.wire.name, payload.model, payload.body) == ("bedrock-invoke", "m", inside)
    assert payload.sent is came
    edited = payload.again(inside.replace(b"user", b"assistant"))
    assert edited.sent == came.replace(spelled, base64.b64encode(edited.body))
    assert edited.body == inside.replace(b"user", b"assistant")
    assert edited.again(edited.body).sent == edited.sent


def test_extensions_see_messages_and_tools():
    assert WIRE.decode(body_of(user("q"))).decoded == {"messages": [user("q")]}
    payload = WIRE.decode(body_of(user("q"), toolConfig={"tools": [SPEC]}))
    assert payload.decoded == {"messages": [user("q")], "tools": [SPEC]}


@pytest.mark.parametrize(
    ("messages", "ids"),
    [
        ([user("q"), model(call("a"))], set()),
        ([model(call("a"), call("b")), user(result("b"), result("a"))], set()),
        ([model(call("a"), call("b")), user(result("a"))], {"b"}),
        ([model(call("a")), user(result("a"), result("a"))], {"a"}),
        ([user(result("a"))], {"a"}),
        ([model(call("a")), user("no"), model("x"), user("y")], {"a"}),
        ([model({"toolUse": {"toolUseId": "s", "name": "n", "type": "server_tool_use"}}), user("x")], set()),
    ],
)
def test_calls_and_results_that_do_not_match_are_found(messages, ids):
    assert WIRE.unpaired(WIRE.decode(body_of(*messages))) == ids


# -- rounds ------------------------------------------------------------------------------------------------------------


def test_a_hidden_round_goes_on_with_the_very_bytes_of_the_answer():
    raw = b'{"output":{"message":{"content":[ {"text":"l\\u006fok"} ,{"toolUse":{"toolUseId":"c","name":"x","input":{"n":1E3}}}],"role":"assistant"}}}'
    body = b' {"messages" : [ {"role":"user","content":[{"text":"q"}]} ] , "x":1}'
    answer = WIRE.read(raw)
    out = WIRE.append(
        body, answer, [ToolResult(answer.calls[0], "rows"), ToolResult(ToolCall("d", "x", "{}"), "no", is_error=True)]
    )
    results = [result("c", {"text": "rows"}), result("d", {"text": "no"}, status="error")]
    spelled = json.dumps(user(*results), separators=(",", ":")).encode()
    message = raw[raw.index(b'{"content"') : -2]
    assert out == body.replace(b" ] , ", b"," + message + b"," + spelled + b" ] , ")


def test_blank_texts_are_not_sent_back():
    answer = answer_of("", signed(), " \n", "look", call("c"), "")
    out = json.loads(WIRE.append(body_of(user("q")), answer, results_of(answer, "rows")))
    assert out["messages"][1] == model(signed(), "look", call("c"))


def test_an_answer_goes_on_with_what_the_client_began_to_say():
    answer = answer_of("", " more", call("c"))
    out = json.loads(WIRE.append(body_of(user("q"), model("Well,")), answer, results_of(answer, "rows")))
    assert out["messages"] == [user("q"), model("Well,", " more", call("c")), user(result("c"))]


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", Finish.DONE),
        ("tool_use", Finish.DONE),
        ("stop_sequence", Finish.DONE),
        ("max_tokens", Finish.CUT),
        ("guardrail_intervened", Finish.CUT),
        ("content_filtered", Finish.CUT),
        ("malformed_tool_use", Finish.CUT),
        ("malformed_model_output", Finish.CUT),
        ("model_context_window_exceeded", Finish.CUT),
    ],
)
def test_reasons(reason, finish):
    assert answer_of("x", reason=reason).finish is finish


def test_the_parts_of_an_answer():
    cited = {"citationsContent": {"content": [{"text": "x"}], "citations": []}}
    server = {"toolUse": {"toolUseId": "s", "name": "n", "input": {}, "type": "server_tool_use"}}
    answer = answer_of("a", "", signed(), call("c", q=1), server, cited, {"image": {}}, {"citationsContent": {"content": []}})
    kinds = [part.kind for part in answer.parts]
    assert kinds == [
        PartKind.TEXT,
        PartKind.OTHER,
        PartKind.SIGNED,
        PartKind.CALL,
        PartKind.OTHER,
        PartKind.TEXT,
        PartKind.OTHER,
        PartKind.OTHER,
    ]
    assert answer.calls == (ToolCall("c", "search", '{"q": 1}'),)


@pytest.mark.parametrize("body", [b"no", b"{}", b'{"output":{"message":{"content":{}}}}', b'{"message":"x"}', b"[]"])
def test_what_is_no_answer_is_refused(body):
    with pytest.raises(ResponseError):
        WIRE.read(body)


def usage(n, ttl="5m"):
    counts = {"inputTokens": 10 * n, "outputTokens": n, "totalTokens": 11 * n, "cacheDetails": [{"ttl": ttl, "inputTokens": n}]}
    return {"usage": counts, "metrics": {"latencyMs": 100 * n}}


def test_rounds_become_one_answer():
    first = answer_of(signed(), "look", call("c"), reason="tool_use", **usage(1))
    second = answer_of(call("d"), reason="tool_use", **usage(2, "1h"))
    third = answer_of("found", reason="end_turn", **usage(3), trace={"x": 1})
    merged = WIRE.merge([first, second, third], [first.parts[:2], (), third.parts], notice="", stopped=False)
    cached = [{"ttl": "5m", "inputTokens": 4}, {"ttl": "1h", "inputTokens": 2}]
    assert json.loads(merged) == {
        "output": {"message": model(signed(), "look", "found")},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 60, "outputTokens": 6, "totalTokens": 66, "cacheDetails": cached},
        "metrics": {"latencyMs": 600},
        "trace": {"x": 1},
    }


def test_usage_of_an_earlier_round_is_not_lost_where_the_last_has_none():
    first, last = answer_of(call("c"), **usage(1)), answer_of("x")
    merged = json.loads(WIRE.merge([first, last], [(), last.parts], notice="", stopped=False))
    assert {key: merged[key] for key in ("usage", "metrics")} == usage(1)


def test_one_answer_without_our_call_keeps_every_other_byte():
    raw = b'{ "output":{"message":{"role":"assistant","content":[{"text":"a"} , {"toolUse":{"toolUseId":"c","name":"n"}}]}}, "stopReason":"tool_use"}'
    answer = WIRE.read(raw)
    assert WIRE.merge([answer], [answer.parts], notice="", stopped=False) == raw
    merged = WIRE.merge([answer], [answer.parts[:1]], notice="", stopped=True)
    assert merged == raw.replace(b' , {"toolUse":{"toolUseId":"c","name":"n"}}', b"").replace(b"tool_use", b"end_turn")
    cut = answer_of("a", call("c"), reason="max_tokens")
    assert json.loads(WIRE.merge([cut], [cut.parts[:1]], notice="", stopped=True))["stopReason"] == "max_tokens"
    assert json.loads(WIRE.merge([answer], [()], notice="nothing", stopped=True))["output"]["message"] == model("nothing")


@pytest.mark.parametrize(
    ("response", "content", "reason"),
    [
        ({"content": "hi"}, ["hi"], "end_turn"),
        ({"content": [{"text": "hi"}, call("c")], "role": "assistant"}, ["hi", call("c")], "tool_use"),
        ({"output": {"message": model("hi")}, "stopReason": "max_tokens"}, ["hi"], "max_tokens"),
        ({"choices": [{"message": {"role": "assistant", "content": "hi"}}], "id": "x"}, ["hi"], "end_turn"),
    ],
)
def test_an_extensions_answer_is_completed(response, content, reason):
    value = json.loads(WIRE.complete(response, WIRE.decode(body_of())))
    assert value == {
        "output": {"message": model(*content)},
        "stopReason": reason,
        "usage": {"inputTokens": 0, "outputTokens": 0, "totalTokens": 0},
        "metrics": {"latencyMs": 0},
    }


@pytest.mark.parametrize(
    "response",
    [
        {},
        {"content": 1},
        {"content": ["x"]},
        {"content": [{}]},
        {"content": "x", "usage": {"a": float("nan")}},
        {"choices": [{"message": {"content": "x", "tool_calls": [1]}}]},
    ],
)
def test_what_cannot_be_completed_is_refused(response):
    with pytest.raises(ResponseError):
        WIRE.complete(response, WIRE.decode(body_of()))


# -- turns and replay --------------------------------------------------------------------------------------------------


def replayed(body, *rounds, which=-1):
    payload = WIRE.decode(body)
    return splice(body, WIRE.replay(payload, WIRE.turns(payload)[which], rounds))


def test_turns_are_the_models_messages():
    body = body_of(user("q"), model("a ", signed(), "b", call("c", q=1)), user(result("c")), model("d"))
    one, two = WIRE.turns(WIRE.decode(body))
    assert (one.text, one.calls, two.text) == ("ab", (ToolCall("c", "search", '{"q": 1}'),), "d")
    assert body[one.start :].startswith(b'{"role": "assistant"')
    same = WIRE.turn(answer_of(signed("other"), "a b", call("c", q=1)))
    assert (same.text, same.calls) == (one.text, one.calls)


def test_a_cache_point_of_the_client_stays_at_the_end_of_its_turn():
    hidden, last = answer_of("look", call("h")), answer_of("found", "")
    body = body_of(user("q"), model("look", "found", POINT), user("and?"))
    value = json.loads(replayed(body, Round(hidden, tuple(results_of(hidden, "rows"))), Round(last)))
    assert value["messages"] == [user("q"), model("look", call("h")), user(result("h")), model("found", POINT), user("and?")]


def test_results_of_a_mixed_turn_stand_where_the_calls_do_and_before_everything_else():
    last = answer_of(call("h1"), call("t1"), call("h2"), call("t2"), call("h3"))
    ours = [ToolResult(each, "rows") for each in last.calls if each.id.startswith("h")]
    body = body_of(user("q"), model(call("t1"), call("t2")), user(result("t2"), POINT, result("t1"), "and", POINT), model("x"))
    value = json.loads(replayed(body, Round(last, tuple(ours)), which=0))
    assert value["messages"][1] == model(call("h1"), call("t1"), call("h2"), call("t2"), call("h3"))
    ids = [next(iter(block.values())).get("toolUseId") for block in value["messages"][2]["content"] if "text" not in block]
    assert ids[:2] == ["h1", "h2"]
    assert sorted(filter(None, ids)) == ["h1", "h2", "h3", "t1", "t2"]
    assert value["messages"][2]["content"][-2:] == [{"text": "and"}, POINT]


def test_the_first_result_stays_behind_what_stands_before_the_results():
    last = answer_of(call("h1"), call("t1"))
    body = body_of(user("q"), model(call("t1")), user("note", result("t1")))
    value = json.loads(replayed(body, Round(last, (ToolResult(last.calls[0], "rows"),))))
    assert value["messages"][2] == user("note", result("h1"), result("t1"))


def test_results_that_no_message_is_there_for_get_one():
    last = answer_of(call("h1"), "x", call("t1"))
    ours = (ToolResult(last.calls[0], "rows"),)
    value = json.loads(replayed(body_of(user("q"), model("x", call("t1"))), Round(last, ours)))
    assert value["messages"][1:] == [model(call("h1"), "x", call("t1")), user(result("h1"))]
    value = json.loads(replayed(body_of(user("q"), model("x", call("t1")), user("never mind")), Round(last, ours)))
    assert value["messages"][2] == user(result("h1"), "never mind")


def test_calls_that_nobody_answered_are_left_out_of_a_replay():
    first, cut = answer_of("look", call("h1")), answer_of("so", signed(), call("h2"), signed("bound"), reason="max_tokens")
    body = body_of(user("q"), model("look", "so"), user("go on"))
    value = json.loads(replayed(body, Round(first, tuple(results_of(first, "rows"))), Round(cut)))
    assert value["messages"][3:] == [model("so"), user("go on")]
    alone = answer_of(call("h2"), reason="max_tokens")
    body = body_of(user("q"), model("a notice"), user("go on"))
    value = json.loads(replayed(body, Round(first, tuple(results_of(first, "rows"))), Round(alone)))
    assert value["messages"][3:] == [model("a notice"), user("go on")]
