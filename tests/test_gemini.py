"""Gemini as JSON: which texts are found, what is edited, how rounds become one answer."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headroom_asgi.errors import PayloadError, ResponseError
from headroom_asgi.types import ToolCall, ToolResult, ToolSpec
from headroom_asgi.wire import (
    Endpoint,
    Finish,
    Offer,
    Part,
    PartKind,
    Payload,
    Round,
    dialect_for,
    dialect_named,
    dump,
    splice,
)
from headroom_asgi.wire.gemini_parts import SENT_SENTINEL, SENTINEL

WIRE = dialect_named("gemini")
TOOL = ToolSpec("headroom_retrieve", "Gets originals.", {"type": "object", "properties": {"ref": {"type": "string"}}})
SPELLED = {"name": TOOL.name, "description": TOOL.description, "parameters": TOOL.parameters}
DECLARED = {"name": "search", "parametersJsonSchema": {"type": "object"}}
LONG = "a long output " * 10


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "parts": [{"text": part} if isinstance(part, str) else part for part in parts]}


def model(*parts: Any) -> dict[str, Any]:
    return {"role": "model", "parts": [{"text": part} if isinstance(part, str) else part for part in parts]}


def call(name: str = "search", call_id: str = "", signature: str = "", **arguments: Any) -> dict[str, Any]:
    part = {"functionCall": {"name": name, "args": arguments} | ({"id": call_id} if call_id else {})}
    return part | ({"thoughtSignature": signature} if signature else {})


def response(value: Any, name: str = "search", call_id: str = "") -> dict[str, Any]:
    return {"functionResponse": {"name": name, "response": value} | ({"id": call_id} if call_id else {})}


def payload(*contents: Any, at: str = "gemini-3-pro", **more: Any) -> Payload:
    return WIRE.decode(dump({"contents": contents, **more}), Endpoint(model=at, stream=False))


def offered(found: Payload) -> Any:
    offer = WIRE.offer(found, TOOL)
    assert not offer.obstacle
    return json.loads(splice(found.body, offer.edits))


def rows(found: Payload) -> list[tuple[Any, ...]]:
    """What is known of each segment; of user texts only that they are there."""
    return [
        ("user text", s.text)
        if s.frozen and not s.tool_name
        else (s.text, s.tool_name, s.tool_arguments, s.preceding_user_text, s.is_error, s.frozen)
        for s in found.segments
    ]


# -- addresses ---------------------------------------------------------------------------------------------------------

VERTEX = "/v1/projects/p/locations/us-central1/publishers/google/models/gemini-2.5-flash"


@pytest.mark.parametrize(
    ("path", "model_name"),
    [
        ("/v1beta/models/gemini-3-pro", "gemini-3-pro"),
        ("/gemini/v1/models/gemini-3-pro", "gemini-3-pro"),
        ("/v1alpha/tunedModels/mine-1", "mine-1"),
        (VERTEX, "gemini-2.5-flash"),
        ("/v1beta1/publishers/google/models/gemini-3-pro", "gemini-3-pro"),
        ("/vertex_ai/v1/projects/p/locations/global/endpoints/123", "123"),
    ],
)
def test_model_verb_and_kind_of_stream_are_in_the_address(path: str, model_name: str) -> None:
    for verb, query, stream, media, answered in (
        ("generateContent", "", False, None, True),
        ("streamGenerateContent", "alt=sse", True, "text/event-stream", True),
        ("streamGenerateContent", "key=k&%24alt=sse", True, "text/event-stream", True),
        ("streamGenerateContent", "key=k", True, "application/json", True),
        ("countTokens", "", False, None, False),
    ):
        found = dialect_for(f"{path}:{verb}", query)
        assert found is not None
        wire, endpoint = found
        assert wire is WIRE
        assert (endpoint.model, endpoint.stream, endpoint.answered) == (model_name, stream, answered)
        assert media is None or endpoint.media.startswith(media)


@pytest.mark.parametrize(
    "path",
    [
        "/v1beta/models",
        "/v1beta/models/m:embedContent",
        "/v1beta/models/m:batchGenerateContent",
        "/v1beta/cachedContents",
        "/v1/publishers/anthropic/models/m:rawPredict",
        "/v1beta/models/m:generateContent/x",
        "/v1beta/models/a/b:generateContent",
    ],
)
def test_other_addresses_are_none_of_ours(path: str) -> None:
    found = dialect_for(path)
    assert found is None or found[0] is not WIRE


def test_an_array_is_a_stream_only_where_one_was_asked_for() -> None:
    whole, streamed = payload(user("q")), WIRE.decode(b'{"contents":[]}', Endpoint(stream=True))
    assert (whole.stream, streamed.stream) == (False, True)
    assert [WIRE.streams("application/json", each) for each in (whole, streamed)] == [False, True]
    assert all(WIRE.streams("text/event-stream", each) for each in (whole, streamed))


# -- requests ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{", "invalid_json"),
        (b"[]", "not_an_object"),
        (b"{}", "no_messages"),
        (b'{"contents":"q"}', "no_messages"),
        (b'{"contents":null}', "no_messages"),
        (b'{"generateContentRequest":{"model":"m"}}', "no_messages"),
    ],
)
def test_what_no_provider_takes_is_refused(body: bytes, reason: str) -> None:
    with pytest.raises(PayloadError) as refusal:
        WIRE.decode(body)
    assert refusal.value.reason == reason


@pytest.mark.parametrize(
    ("contents", "expected"),
    [
        ([user("hi")], [("user text", "hi")]),
        ([{"parts": [{"text": "hi"}]}], [("user text", "hi")]),
        ([user("why?"), model("hm"), user("so?")], [("user text", "why?"), ("user text", "so?")]),
        (
            [user("why?"), model("hm", call(q=1)), user(response({"output": LONG}))],
            [("user text", "why?"), (LONG, "search", '{"q":1}', "why?", False, False)],
        ),
        (
            [user("why?"), *[model(call()), user(response({"output": LONG}), " ")] * 2],
            [("user text", "why?"), *[(LONG, "search", "{}", "why?", False, False), ("user text", " ")] * 2],
        ),
        (
            [model(call(q=1), call(q=2), call("bash")), user(*(response({"r": LONG}, n) for n in ("search", "bash", "search")))],
            [(LONG, *told, "", False, False) for told in (("search", '{"q":1}'), ("bash", "{}"), ("search", '{"q":2}'))],
        ),
        (
            [
                model(call(call_id="1", q=1), call(call_id="2", q=2)),
                user(response([LONG], call_id="2"), response([LONG], call_id="9")),
            ],
            [(LONG, "search", '{"q":2}', "", False, False), (LONG, "search", "", "", False, False)],
        ),
        (
            [model(call(q=1)), model(call(q=2)), {"role": "function", "parts": [response({"error": LONG}), response(LONG)]}],
            [(LONG, "search", '{"q":1}', "", True, False), (LONG, "search", '{"q":2}', "", False, False)],
        ),
        (
            [
                user(
                    response(
                        {"content": [{"type": "text", "text": LONG}, {"mimeType": "image/png", "data": LONG}], "isError": True}
                    )
                )
            ],
            [(LONG, "search", "", "", True, False)],
        ),
        (
            [user(response({"a": "short", "b": [LONG + "1", {"c": LONG + "2", "d": 3}], LONG: None}))],
            [(LONG + "1", "search", "", "", False, False), (LONG + "2", "search", "", "", False, False)],
        ),
        ([user(response({"output": LONG}, "x__headroom_retrieve"))], [(LONG, "x__headroom_retrieve", "", "", False, True)]),
        ([user(response({"output": LONG}) | {"thoughtSignature": "s"})], [(LONG, "search", "", "", False, True)]),
        (
            [user("a", response({"o": LONG}), "b", "c", response({"o": LONG})), user("d", " ")],
            [
                ("user text", "a"),
                (LONG, "search", "", "a", False, False),
                ("user text", "b"),
                ("user text", "c"),
                (LONG, "search", "", "b\nc", False, False),
                ("user text", "d"),
                ("user text", " "),
            ],
        ),
        ([model(LONG, {"text": LONG, "thought": True}), user({"inlineData": {"data": LONG, "mimeType": "image/png"}})], []),
    ],
)
def test_segments_are_texts_in_function_responses_and_questions(contents: list[Any], expected: list[Any]) -> None:
    assert rows(payload(*contents)) == expected


@given(st.data())
def test_later_contents_change_nothing_for_earlier_segments(data: st.DataObject) -> None:
    ids = st.sampled_from(["", "1", "2", "3"])
    names = st.sampled_from(["search", "bash"])
    calls = st.builds(lambda name, call_id, q: call(name, call_id, q=q), names, ids, st.integers(0, 99))
    responses = st.builds(lambda name, call_id: response({"output": LONG}, name, call_id), names, ids)
    content = st.one_of(
        st.lists(calls, max_size=3).map(lambda parts: model(*parts)),
        st.lists(responses, max_size=3).map(lambda parts: user(*parts)),
    )
    contents = data.draw(st.lists(content | st.just(user("q")), max_size=6))
    whole = rows(payload(*contents))
    shorter = rows(payload(*contents[: data.draw(st.integers(0, len(contents)))]))
    assert whole[: len(shorter)] == shorter


def test_snake_case_and_single_objects_mean_the_same() -> None:
    camel = payload(
        user("q"),
        model(call(call_id="1", signature="s", q=1)),
        user(response({"output": LONG}, call_id="1")),
        tools=[{"functionDeclarations": [DECLARED]}],
        toolConfig={"functionCallingConfig": {"allowedFunctionNames": ["search"]}},
        generationConfig={"responseMimeType": "application/json"},
    )
    snake_contents = [
        {"role": "user", "parts": {"text": "q"}},
        {"role": "model", "parts": {"function_call": {"id": "1", "name": "search", "args": {"q": 1}}, "thought_signature": "s"}},
        {"role": "user", "parts": {"function_response": {"id": "1", "name": "search", "response": {"output": LONG}}}},
    ]
    snake = payload(
        *snake_contents,
        tools={"function_declarations": DECLARED},
        tool_config={"function_calling_config": {"allowed_function_names": ["search"]}},
        generation_config={"response_mime_type": "application/json"},
    )
    assert rows(snake) == rows(camel)
    assert snake.structured
    assert offered(camel)["tools"] == [{"functionDeclarations": [DECLARED, SPELLED]}]
    assert offered(snake)["tools"] == {"function_declarations": [DECLARED, SPELLED]}
    for names in (
        offered(camel)["toolConfig"]["functionCallingConfig"]["allowedFunctionNames"],
        offered(snake)["tool_config"]["function_calling_config"]["allowed_function_names"],
    ):
        assert names == ["search", TOOL.name]


def test_a_request_to_count_tokens_may_wrap_the_request() -> None:
    wrapped = {"model": "models/gemini-3-pro", "contents": [user("q")], "tools": [{"functionDeclarations": [DECLARED]}]}
    found = WIRE.decode(dump({"generateContentRequest": wrapped}))
    assert found.model == "gemini-3-pro"
    assert rows(found) == [("user text", "q")]
    assert found.decoded == {"messages": [user("q")], "tools": wrapped["tools"]}
    assert offered(found)["generateContentRequest"]["tools"] == [{"functionDeclarations": [DECLARED, SPELLED]}]


@pytest.mark.parametrize(
    ("config", "structured"),
    [
        ({}, False),
        ({"responseMimeType": "text/plain"}, False),
        ({"responseMimeType": "application/json"}, True),
        ({"responseMimeType": "text/x.enum"}, True),
        ({"responseSchema": {"type": "OBJECT"}}, True),
        ({"response_json_schema": {}}, True),
        ({"responseSchema": None}, False),
    ],
)
def test_structured_output_is_told_by_its_type_or_schema(config: dict[str, Any], structured: bool) -> None:
    assert payload(user("q"), generationConfig=config).structured == structured


# -- the tool ----------------------------------------------------------------------------------------------------------


def test_the_tool_goes_behind_the_last_declaration_and_nothing_else_changes() -> None:
    tools = [{"googleSearch": {}}, {"functionDeclarations": [DECLARED]}, {"functionDeclarations": []}, {"codeExecution": {}}]
    found = payload(user("q"), tools=tools, toolConfig={"functionCallingConfig": {"mode": "NONE"}})
    body = offered(found)
    assert body["tools"][1]["functionDeclarations"].pop() == SPELLED
    assert body == json.loads(found.body)


@pytest.mark.parametrize(
    ("config", "names"),
    [
        ({"mode": "ANY", "allowedFunctionNames": ["search", "bash"]}, ["search", "bash", TOOL.name]),
        ({"mode": "VALIDATED", "allowedFunctionNames": ["search"]}, ["search", TOOL.name]),
        ({"mode": "ANY", "allowedFunctionNames": ["search"]}, ["search"]),
        ({"mode": "ANY", "allowedFunctionNames": []}, []),
    ],
)
def test_an_allow_list_gets_the_tool_unless_it_names_the_one_to_call(config: dict[str, Any], names: list[str]) -> None:
    found = payload(user("q"), tools=[{"functionDeclarations": [DECLARED]}], toolConfig={"functionCallingConfig": config})
    assert offered(found)["toolConfig"]["functionCallingConfig"]["allowedFunctionNames"] == names


@pytest.mark.parametrize(
    ("more", "obstacle"),
    [
        ({"tools": None}, "no_tools"),
        ({"tools": [{"googleSearch": {}}]}, "no_tools"),
        ({"tools": [{"functionDeclarations": []}]}, "no_tools"),
        ({"cachedContent": "cachedContents/1"}, "cached_content"),
        ({"generationConfig": {"candidateCount": 2}}, "several_choices"),
        ({"generationConfig": {"candidate_count": 1}}, ""),
        ({"tools": [{"functionDeclarations": [DECLARED, {"name": "mcp__x__headroom_retrieve"}]}]}, "client_has_tool"),
    ],
)
def test_where_the_tool_cannot_be(more: dict[str, Any], obstacle: str) -> None:
    found = payload(user("q"), **({"tools": [{"functionDeclarations": [DECLARED]}]} | more))
    assert WIRE.offer(found, TOOL).obstacle == obstacle


def test_a_request_that_has_the_tool_says_so_first() -> None:
    found = payload(user("q"), tools=[{"functionDeclarations": [DECLARED]}])
    again = found.again(splice(found.body, WIRE.offer(found, TOOL).edits))
    assert WIRE.offer(again, TOOL) == Offer(obstacle="client_has_tool")


# -- signatures --------------------------------------------------------------------------------------------------------


def signatures(found: Payload) -> list[list[str | None]]:
    """Of each Content the signatures of its parts, as they go up with the tool."""
    return [[part.get("thoughtSignature") for part in content["parts"]] for content in offered(found)["contents"]]


def signed_request(at: str, *contents: Any) -> Payload:
    return payload(*contents, at=at, tools=[{"functionDeclarations": [DECLARED]}])


def test_first_calls_of_a_step_without_a_signature_get_the_sentinel_where_models_check() -> None:
    contents = [
        user("q"),
        model("hm", call(), call()),
        user(response({}), response({})),
        model(call(signature="s"), call()),
        model(call()),
        user(response({}), response({}), response({})),
        model(call() | {"thoughtSignature": None}),
        user(response({})),
        model("done"),
    ]
    expected = [[None], [None, SENTINEL, None], [None] * 2, ["s", None], [None], [None] * 3, [SENTINEL], [None], [None]]
    for at in ("gemini-3-pro-preview", "gemini-3.5-flash", "models/gemini-10-pro"):
        assert signatures(signed_request(at, *contents)) == expected
    for at in ("gemini-2.5-flash", "123", "gemini-flash-latest"):
        found = signed_request(at, *contents)
        assert signatures(found) == [[part.get("thoughtSignature") for part in each["parts"]] for each in contents]


@pytest.mark.parametrize("at", ["gemini-3-pro", "gemini-2.5-pro", "123"])
def test_a_sentinel_goes_up_as_the_api_knows_it_however_a_client_spelled_it(at: str) -> None:
    found = signed_request(at, model(call(signature=SENT_SENTINEL), call()), model(call(signature=SENTINEL)))
    assert signatures(found) == [[SENTINEL, None], [SENTINEL]]


@given(st.lists(st.sampled_from(["", "s", SENT_SENTINEL, SENTINEL]), max_size=6), st.integers(0, 6))
def test_signatures_of_a_longer_conversation_only_add_to_those_of_a_shorter_one(given_signatures: list[str], at: int) -> None:
    turns = [each for signature in given_signatures for each in (model(call(signature=signature), call()), user(response({})))]
    longer, shorter = (
        signed_request("gemini-3-pro", user("q"), *turns),
        signed_request("gemini-3-pro", user("q"), *turns[: 2 * at]),
    )
    assert signatures(longer)[: len(signatures(shorter))] == signatures(shorter)


def test_the_sentinel_is_base64_in_both_spellings() -> None:
    sent = base64.b64decode(SENT_SENTINEL, validate=True)
    assert base64.urlsafe_b64encode(sent).decode() == SENTINEL
    assert base64.b64encode(base64.urlsafe_b64decode(SENTINEL)).decode() == SENT_SENTINEL


# -- pairs, rounds, answers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("contents", "wrong"),
    [
        ([model(call()), user(response({}))], set()),
        ([model(call(call_id="1"), call(call_id="2")), user(response({}, call_id="2"), response({}, call_id="1"))], set()),
        ([model(call()), model(call()), user(response({})), user(response({}))], set()),
        ([user("q"), model(call())], set()),
        ([model(call()), user("no")], {"search"}),
        ([model(call(call_id="1"), call(call_id="2")), user(response({}, call_id="1"))], {"2"}),
        ([model(call(call_id="1")), user(response({}, call_id="1"), response({}, call_id="1"))], {"1"}),
        ([model(call(call_id="1")), user(response({}, call_id="2"))], {"1", "2"}),
        ([user(response({}, "bash"))], {"bash"}),
        ([model(call()), user(response({}), response({}))], {"search"}),
        ([model(call()), user(response({})), model("x"), user(response({}))], {"search"}),
    ],
)
def test_calls_and_results_that_do_not_fit_are_told(contents: list[Any], wrong: set[str]) -> None:
    assert WIRE.unpaired(payload(*contents)) == wrong


def answer_of(*parts: Any, reason: str | None = "STOP", **more: Any) -> bytes:
    candidate = {"content": model(*parts), "index": 0} | ({"finishReason": reason} if reason else {})
    return dump({"candidates": [candidate | more.pop("candidate", {})], "modelVersion": "gemini-3-pro", **more})


def test_parts_of_an_answer_are_told_apart() -> None:
    parts = [
        {"text": "hm", "thought": True},
        {"text": "hm", "thought": True, "thoughtSignature": "s"},
        {"text": "", "thoughtSignature": "s"},
        {"text": "hello", "thoughtSignature": "s"},
        {"text": ""},
        {"executableCode": {"code": "1"}},
        {"inlineData": {"data": "aGk="}, "thoughtSignature": "s"},
        call(call_id="1", q=1),
        {"functionCall": {"name": "now"}},
    ]
    answer = WIRE.read(answer_of(*parts))
    other, signed, text = PartKind.OTHER, PartKind.SIGNED, PartKind.TEXT
    expected = [other, signed, signed, text, other, other, other, PartKind.CALL, PartKind.CALL]
    assert [part.kind for part in answer.parts] == expected
    assert answer.calls == (ToolCall("1", "search", '{"q":1}'), ToolCall("", "now", "{}"))


@pytest.mark.parametrize(
    ("reason", "finish"), [("STOP", Finish.DONE), (None, Finish.DONE), ("MAX_TOKENS", Finish.CUT), ("SAFETY", Finish.CUT)]
)
def test_calls_are_answered_only_after_an_ordinary_end(reason: str | None, finish: Finish) -> None:
    assert WIRE.read(answer_of(call(), reason=reason)).finish is finish


def test_a_prompt_that_was_blocked_has_an_answer_without_parts() -> None:
    answer = WIRE.read(b'{"promptFeedback":{"blockReason":"SAFETY"}}')
    assert (answer.parts, answer.finish) == ((), Finish.CUT)


@pytest.mark.parametrize("body", [b"[]", b"no", b'{"error":{"code":503}}', b'{"choices":[]}'])
def test_what_is_no_answer_is_refused(body: bytes) -> None:
    with pytest.raises(ResponseError):
        WIRE.read(body)


def test_the_next_round_has_the_very_bytes_of_the_parts_and_one_content_with_all_results() -> None:
    raw = b'{"candidates":[{"content":{"parts":[{"text":""},{"text": "h\\u0065", "x" : 1E3},{"functionCall":{"name":"n"}}]}}]}'
    answer = WIRE.read(raw)
    results = [ToolResult(ToolCall("", "n", "{}"), "rows"), ToolResult(ToolCall("7", "n", "{}"), "no", is_error=True)]
    body = WIRE.append(b'{ "contents" : [ {"parts":[{"text":"q"}]} ] }', answer, results)
    assert body.startswith(b'{ "contents" : [ {"parts":[{"text":"q"}]},{"role":"model","parts":[{"text": "h\\u0065", "x" : 1E3},')
    assert json.loads(body)["contents"][2] == user(response({"output": "rows"}, "n"), response({"error": "no"}, "n", call_id="7"))
    single = WIRE.append(b'{"contents":{"parts":{"text":"q"}}}', answer, results)
    assert json.loads(single)["contents"][0] == {"parts": {"text": "q"}}
    assert json.loads(single)["contents"][1:] == json.loads(body)["contents"][1:]


def kept(answer: Any, *names: str) -> list[Part]:
    """All parts but calls of those names."""
    return [part for part in answer.parts if part.call is None or part.call.name not in names]


def merged(*bodies: bytes, notice: str = "") -> Any:
    answers = [WIRE.read(body) for body in bodies]
    return json.loads(WIRE.merge(answers, [kept(answer, TOOL.name) for answer in answers], notice=notice, stopped=False))


def test_rounds_become_one_answer_with_the_first_identity_and_all_usage() -> None:
    def usage(count: int, **details: int) -> dict[str, Any]:
        listed = [{"modality": name, "tokenCount": value} for name, value in details.items()]
        return {"promptTokenCount": count, "promptTokensDetails": listed, "trafficType": "ON_DEMAND"}

    first = answer_of("hm", {"text": ""}, call(TOOL.name), responseId="r1", usageMetadata=usage(5, TEXT=4, IMAGE=1))
    second = answer_of("so", call(), responseId="r2", usageMetadata=usage(7, TEXT=6, AUDIO=1), candidate={"avgLogprobs": -0.5})
    value = merged(first, second)
    assert value["responseId"] == "r1"
    assert value["usageMetadata"] == usage(12, TEXT=10, IMAGE=1, AUDIO=1)
    assert value["candidates"] == [
        {"content": model("hm", "so", call()), "index": 0, "finishReason": "STOP", "avgLogprobs": -0.5}
    ]


def test_sources_of_all_rounds_point_to_the_parts_and_chunks_of_the_merged_answer() -> None:
    def grounding(*names: str, part: int) -> dict[str, Any]:
        supports = [{"groundingChunkIndices": [i], "segment": {"partIndex": part}} for i in range(len(names))]
        chunks = [{"web": {"uri": name}} for name in names]
        return {"groundingMetadata": {"groundingChunks": chunks, "groundingSupports": supports, "webSearchQueries": list(names)}}

    first = answer_of(call(TOOL.name), "hm", candidate=grounding("a", "b", part=1))
    second = answer_of("so", candidate=grounding("c", part=0))
    found = merged(first, second)["candidates"][0]["groundingMetadata"]
    assert found["webSearchQueries"] == ["a", "b", "c"]
    assert [chunk["web"]["uri"] for chunk in found["groundingChunks"]] == ["a", "b", "c"]
    assert [(each["groundingChunkIndices"], each["segment"]["partIndex"]) for each in found["groundingSupports"]] == [
        ([0], 0),
        ([1], 0),
        ([2], 1),
    ]


@pytest.mark.parametrize(
    ("parts", "version", "expected"),
    [
        ([call(TOOL.name, signature="s"), call(q=1), call(q=2)], "gemini-3-pro", [SENT_SENTINEL, None]),
        ([call(TOOL.name, signature="s"), call(q=1)], "", [SENT_SENTINEL]),
        ([call(TOOL.name, signature="s"), call(q=1)], "gemini-2.5-pro", [None]),
        ([call(TOOL.name, signature="s"), call(q=1, signature="t")], "gemini-3-pro", ["t"]),
        ([call(q=1, signature="s"), call(TOOL.name), call(q=2)], "gemini-3-pro", ["s", None]),
        ([call(TOOL.name), call(q=1)], "gemini-3-pro", [None]),
    ],
)
def test_the_first_call_that_is_left_gets_the_sentinel_for_a_signature_that_went(
    parts: list[Any], version: str, expected: list[str | None]
) -> None:
    value = merged(answer_of(*parts, modelVersion=version))
    assert [part.get("thoughtSignature") for part in value["candidates"][0]["content"]["parts"]] == expected


def test_a_notice_is_a_text_and_answers_without_content_get_one() -> None:
    assert merged(answer_of(call(TOOL.name)), notice="over")["candidates"][0]["content"] == model("over")
    cut = b'{"candidates":[{"finishReason":"MAX_TOKENS"}]}'
    assert merged(answer_of("hm", call(TOOL.name)), cut)["candidates"] == [{"finishReason": "MAX_TOKENS", "content": model("hm")}]
    blocked = merged(answer_of("hm", call(TOOL.name)), b'{"promptFeedback":{"blockReason":"SAFETY"}}')
    assert blocked["candidates"][0]["content"] == model("hm")
    assert blocked["promptFeedback"] == {"blockReason": "SAFETY"}


def test_an_answer_of_one_round_of_which_all_is_kept_keeps_its_bytes() -> None:
    body = b' {"candidates" : [ {"content": {"parts": [ {"text": "\\u0068i"} ] } , "index": 0.0} ], "x":1E3}\n'
    answer = WIRE.read(body)
    assert WIRE.merge([answer], [answer.parts], notice="", stopped=False) == body


# -- turns -------------------------------------------------------------------------------------------------------------


def test_contents_of_the_model_in_a_row_are_one_turn() -> None:
    found = payload(user("q"), model("a "), model("b", {"text": "no", "thought": True}), model(call(call_id="1", q=1)), user("r"))
    (turn,) = WIRE.turns(found)
    assert (turn.text, turn.calls) == ("ab", (ToolCall("1", "search", '{"q":1}'),))
    assert found.body[turn.start :].startswith(dump(model("a ")))
    answer = WIRE.read(answer_of("a b", {"text": "no", "thought": True}, call(call_id="1", q=1)))
    assert (WIRE.turn(answer).text, WIRE.turn(answer).calls) == (turn.text, turn.calls)


def test_a_replayed_turn_takes_the_place_of_all_its_contents_and_our_result_goes_among_the_clients() -> None:
    hidden = Round(WIRE.read(answer_of(call(TOOL.name, ref="a"))), (ToolResult(ToolCall("", TOOL.name, '{"ref":"a"}'), "A"),))
    answer = WIRE.read(answer_of("hm", call(q=1), call(TOOL.name, ref="b"), call(q=2)))
    mixed = Round(answer, (ToolResult(answer.calls[1], "B"),))
    # Chunks of the turn stand in Contents of their own, and so do the results.
    contents = [user("q"), model("hm"), model(call(q=1)), model(call(q=2), {"text": ""})]
    request = payload(*contents, user(response({"output": 1})), user(response({"output": 2}), "next"))
    up = splice(request.body, WIRE.replay(request, WIRE.turns(request)[0], [hidden, mixed]))
    assert json.loads(up)["contents"] == [
        user("q"),
        model(call(TOOL.name, ref="a")),
        user(response({"output": "A"}, TOOL.name)),
        model("hm", call(q=1), call(TOOL.name, ref="b"), call(q=2)),
        user(response({"output": 1}), response({"output": "B"}, TOOL.name)),
        user(response({"output": 2}), "next"),
    ]


def test_calls_of_ours_without_results_are_not_replayed() -> None:
    first = WIRE.read(answer_of("hm", call(TOOL.name, ref="a")))
    rounds = [Round(first, (ToolResult(first.calls[0], "A"),)), Round(WIRE.read(answer_of(call(TOOL.name, ref="b"))))]
    request = payload(user("q"), model("hm", "over"), user("next"))
    up = json.loads(splice(request.body, WIRE.replay(request, WIRE.turns(request)[0], rounds)))["contents"]
    assert up[1:3] == [model("hm", call(TOOL.name, ref="a")), user(response({"output": "A"}, TOOL.name))]
    assert up[3:] == [model("hm", "over"), user("next")]


# -- answers of extensions ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given_response",
    [
        {"content": "hi"},
        {"text": "hi"},
        {"content": {"parts": [{"text": "hi"}]}},
        {"choices": [{"message": {"role": "assistant", "content": "hi"}}]},
        {"candidates": [{"content": {"parts": [{"text": "hi"}]}}]},
    ],
)
def test_an_answer_of_an_extension_is_completed(given_response: dict[str, Any]) -> None:
    body = WIRE.complete(given_response, payload(user("q")))
    value = json.loads(body)
    assert value["candidates"] == [{"finishReason": "STOP", "index": 0, "content": model("hi")}]
    assert value["modelVersion"] == "gemini-3-pro"
    answer = WIRE.read(body)
    assert WIRE.as_stream(answer) == b"data: " + body + b"\r\n\r\n"
    assert json.loads(WIRE.as_stream(answer, Endpoint(media="application/json; charset=UTF-8"))) == [value]


@pytest.mark.parametrize(
    "given_response",
    [
        {},
        {"candidates": []},
        {"candidates": ["x"]},
        {"content": 1},
        {"choices": [{"message": {"content": "x", "tool_calls": [1]}}]},
        {"candidates": [{"content": {"parts": [{"text": {1}}]}}]},
    ],
)
def test_what_is_no_answer_cannot_be_completed(given_response: dict[str, Any]) -> None:
    with pytest.raises(ResponseError):
        WIRE.complete(given_response, payload(user("q")))
