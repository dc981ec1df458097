"""OpenAI Responses as JSON: which texts are found, what is edited, how rounds become one answer, what is replayed."""

import json
from typing import Any

import pytest

from headroom_asgi.errors import PayloadError, ResponseError
from headroom_asgi.types import ToolCall, ToolResult, ToolSpec
from headroom_asgi.wire import Answer, Finish, PartKind, Payload, Round, Turn, dialect_for, dialect_named, dump, splice

WIRE = dialect_named("openai-responses")
TOOL = ToolSpec("headroom_retrieve", "Gets originals.", {"type": "object", "properties": {"ref": {"type": "string"}}})
SPELLED = {"type": "function", "name": TOOL.name, "description": TOOL.description, "parameters": TOOL.parameters, "strict": False}
SEARCH = {"type": "function", "name": "search", "parameters": {"type": "object"}, "strict": True}
WEB = {"type": "web_search"}
USER = {"role": "user", "content": "what is up?"}


def payload(*items: Any, **more: Any) -> Payload:
    return WIRE.decode(dump({"model": "gpt-6-sol", "input": list(items), **more}))


def call(call_id: str, name: str = "search", **arguments: Any) -> dict[str, Any]:
    head = {"type": "function_call", "id": f"fc_{call_id}", "call_id": call_id}
    return head | {"name": name, "arguments": json.dumps(arguments), "status": "completed"}


def output(call_id: str, text: Any, **more: Any) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": text, **more}


def said(text: str, name: str = "msg_1") -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"type": "message", "id": name, "role": "assistant", "status": "completed", "content": content}


def reasoning(name: str = "rs_1", **more: Any) -> dict[str, Any]:
    return {"type": "reasoning", "id": name, "summary": [], "encrypted_content": "sealed", **more}


def mine(call_id: str) -> dict[str, Any]:
    return call(call_id, TOOL.name, ref="r")


def answer(*items: Any, **more: Any) -> Answer:
    return WIRE.read(dump({"id": "resp_1", "status": "completed", "output": list(items), **more}))


def result(call_id: str, text: str = "rows") -> ToolResult:
    return ToolResult(ToolCall(call_id, TOOL.name, '{"ref": "r"}'), text)


def sent(body: bytes) -> Any:
    return json.loads(body)["input"]


# -- addresses and bodies ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "answered"),
    [
        ("/v1/responses", True),
        ("/openai/responses", True),
        ("/backend-api/codex/responses", True),
        ("/v1/responses/", True),
        ("/v1/responses/compact", False),
        ("/v1/responses/input_tokens", False),
    ],
)
def test_addresses_and_whether_a_model_answers_there(path: str, answered: bool) -> None:
    found = dialect_for(path, "beta=true")
    assert found is not None
    assert (found[0], found[1].answered, found[1].stream) == (WIRE, answered, None)


@pytest.mark.parametrize("path", ["/v1/responses/resp_1", "/v1/responses/resp_1/cancel", "/v1/responsesx", "/v1/xresponses"])
def test_other_addresses_are_none_of_it(path: str) -> None:
    assert dialect_for(path) is None


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"input":1}', b'{"input":{}}', b"\xff"])
def test_what_no_provider_would_accept_is_refused(body: bytes) -> None:
    with pytest.raises(PayloadError):
        WIRE.decode(body)


@pytest.mark.parametrize("body", [b"{}", b'{"input":null}', b'{"input":"hi"}', b'{"input":[1,null,"x",[],{"type":[]}]}'])
def test_odd_bodies_have_nothing_to_shorten_and_nothing_fails(body: bytes) -> None:
    found = WIRE.decode(body)
    assert [segment for segment in found.segments if not segment.frozen] == []
    assert WIRE.offer(found, TOOL).obstacle == "no_tools"
    assert WIRE.unpaired(found) == frozenset()
    assert WIRE.turns(found) == []


@pytest.mark.parametrize(
    ("members", "held", "holds", "edited"),
    [
        ({}, "", True, False),
        ({"store": None}, "", True, False),
        ({"store": True}, "", True, False),
        ({"store": False}, "", False, False),
        ({"store": False, "previous_response_id": "resp_9"}, "resp_9", False, True),
        ({"store": False, "previous_response_id": None, "conversation": None}, "", False, False),
        ({"conversation": "conv_1", "store": False}, "conv_1", True, True),
        ({"conversation": {"id": "conv_1"}}, "conv_1", True, True),
        ({"store": False, "truncation": "auto"}, "", False, True),
        ({"store": False, "truncation": "disabled"}, "", False, False),
        ({"store": False, "context_management": [{"type": "compaction"}]}, "", False, True),
    ],
)
def test_who_holds_the_conversation(members: dict[str, Any], held: str, holds: bool, edited: bool) -> None:
    found = payload(USER, **members)
    assert (found.held, found.holds, found.history_edited) == (held, holds, edited)


@pytest.mark.parametrize("kind", ["text", "json_object", "json_schema"])
def test_structured_output_is_seen(kind: str) -> None:
    assert payload(USER, text={"format": {"type": kind}}).structured == (kind != "text")


def test_model_and_stream() -> None:
    found = payload(USER, stream=True)
    assert (found.model, found.stream) == ("gpt-6-sol", True)
    assert not payload(USER).stream


# -- segments ----------------------------------------------------------------------------------------------------------


def rows(found: Payload) -> list[tuple[Any, ...]]:
    """What is known of each segment that is not frozen."""
    return [(s.text, s.tool_name, s.tool_arguments, s.preceding_user_text) for s in found.segments if not s.frozen]


def test_outputs_of_all_tools_that_the_client_runs_are_segments_with_the_calls_that_they_answer() -> None:
    found = payload(
        USER,
        call("c1", q="x"),
        output("c1", "plain"),
        call("c2"),
        output(
            "c2",
            [
                {"type": "input_text", "text": "one"},
                {"type": "input_image", "image_url": "u"},
                {"type": "input_text", "text": "two"},
            ],
        ),
        {"role": "user", "content": [{"type": "input_text", "text": "and"}, {"type": "input_text", "text": "now?"}]},
        {"type": "custom_tool_call", "call_id": "c3", "name": "sql", "input": "select"},
        {"type": "custom_tool_call_output", "call_id": "c3", "output": "custom"},
        {"type": "local_shell_call", "id": "lsh_1", "call_id": "c4", "action": {"command": ["ls"]}},
        {"type": "local_shell_call_output", "id": "lsh_1", "output": "local"},
        {"type": "shell_call", "call_id": "c5", "action": {"commands": ["ls"]}},
        {
            "type": "shell_call_output",
            "call_id": "c5",
            "output": [{"stdout": "out", "stderr": "err", "outcome": {"type": "exit", "exit_code": 0}}],
        },
        {"type": "apply_patch_call", "call_id": "c6", "operation": {"type": "delete_file"}},
        {"type": "apply_patch_call_output", "call_id": "c6", "status": "completed", "output": "log"},
    )
    assert rows(found) == [
        ("plain", "search", '{"q": "x"}', "what is up?"),
        ("one", "search", "{}", "what is up?"),
        ("two", "search", "{}", "what is up?"),
        ("custom", "sql", "select", "and\nnow?"),
        ("local", "local_shell", '{"command":["ls"]}', "and\nnow?"),
        ("out", "shell", '{"commands":["ls"]}', "and\nnow?"),
        ("err", "shell", '{"commands":["ls"]}', "and\nnow?"),
        ("log", "apply_patch", '{"type":"delete_file"}', "and\nnow?"),
    ]
    assert all(segment.role == "tool" for segment in found.segments if not segment.frozen)


def test_user_texts_are_frozen_segments_that_say_what_was_asked() -> None:
    found = payload(USER, {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "more"}]})
    assert [(s.text, s.frozen, s.role) for s in found.segments] == [("what is up?", True, "user"), ("more", True, "user")]
    (only,) = WIRE.decode(b'{"input":"hi"}').segments
    assert (only.text, only.frozen) == ("hi", True)


def test_what_the_model_or_the_provider_said_has_no_segments() -> None:
    items = [
        {"role": "developer", "content": "be brief"},
        {"role": "system", "content": [{"type": "input_text", "text": "x"}]},
        said("text"),
        {"role": "assistant", "content": "easy"},
        reasoning(),
        {"type": "compaction", "encrypted_content": "x"},
        {"type": "mcp_call", "output": "x"},
        {"type": "computer_call_output", "call_id": "c", "output": {"type": "computer_screenshot"}},
        {"type": "program_output", "output": "x"},
        {"type": "configuration_update", "output": "x"},
        {"type": "item_reference", "id": "x"},
    ]
    assert payload(*items).segments == ()


def test_results_of_a_retrieve_tool_are_frozen_whoever_serves_it() -> None:
    found = payload(call("c1", f"mcp__x__{TOOL.name}"), output("c1", "rows"))
    assert [(s.text, s.frozen) for s in found.segments] == [("rows", True)]


def test_an_output_whose_call_the_provider_holds_may_name_its_tool() -> None:
    found = payload(output("c1", "rows", name="search"), output("c2", "more"), previous_response_id="resp_1")
    assert [(s.tool_name, s.tool_arguments) for s in found.segments] == [("search", ""), ("", "")]


def test_what_failed_is_an_error() -> None:
    def shell(outcome: Any) -> dict[str, Any]:
        return {"type": "shell_call_output", "call_id": "c", "output": [{"stdout": "x", "outcome": outcome}]}

    found = payload(
        {"type": "apply_patch_call_output", "call_id": "c", "status": "failed", "output": "x"},
        shell({"type": "timeout"}),
        shell({"type": "exit", "exit_code": 1}),
        shell({"type": "exit", "exit_code": 0}),
        output("c", "x", status="completed"),
    )
    assert [segment.is_error for segment in found.segments] == [True, True, True, False, False]


# -- the tool ----------------------------------------------------------------------------------------------------------


def offered(**members: Any) -> Any:
    found = payload(USER, **members)
    offer = WIRE.offer(found, TOOL)
    assert not offer.obstacle
    return json.loads(splice(found.body, offer.edits))


def test_the_tool_goes_behind_the_last_tool_that_the_client_runs() -> None:
    patch = {"type": "apply_patch"}
    assert offered(tools=[WEB, SEARCH, patch, WEB])["tools"] == [WEB, SEARCH, patch, SPELLED, WEB]


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "custom", "name": "sql"},
        {"type": "namespace", "name": "crm", "tools": [SEARCH]},
        {"type": "local_shell"},
        {"type": "shell"},
        {"type": "shell", "environment": {"type": "local"}},
    ],
)
def test_any_tool_that_the_client_runs_will_do(tool: dict[str, Any]) -> None:
    assert offered(tools=[tool])["tools"] == [tool, SPELLED]


@pytest.mark.parametrize(
    ("members", "obstacle"),
    [
        ({}, "no_tools"),
        ({"tools": []}, "no_tools"),
        ({"tools": [WEB, {"type": "shell", "environment": {"type": "container_auto"}}]}, "no_tools"),
        ({"tools": [SEARCH, SEARCH | {"name": TOOL.name}]}, "client_has_tool"),
        ({"tools": [{"type": "namespace", "name": "x", "tools": [{"name": f"mcp__{TOOL.name}"}]}]}, "client_has_tool"),
        ({"tools": [SEARCH], "background": True}, "background"),
        ({"tools": [SEARCH], "multi_agent": {"enabled": True}}, "multi_agent"),
    ],
)
def test_where_the_tool_cannot_be_offered(members: dict[str, Any], obstacle: str) -> None:
    assert WIRE.offer(payload(USER, **members), TOOL).obstacle == obstacle


@pytest.mark.parametrize("choice", ["auto", "none", "required", {"type": "function", "name": "search"}])
def test_the_choice_of_tools_stays(choice: Any) -> None:
    assert offered(tools=[SEARCH], tool_choice=choice)["tool_choice"] == choice


def test_an_allow_list_lets_the_tool_in() -> None:
    choice = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "search"}]}
    assert offered(tools=[SEARCH], tool_choice=choice)["tool_choice"]["tools"] == [
        {"type": "function", "name": "search"},
        {"type": "function", "name": TOOL.name},
    ]


@pytest.mark.parametrize(
    "tool", [{"type": "programmatic_tool_calling"}, SEARCH | {"name": "x", "allowed_callers": ["direct", "programmatic"]}]
)
def test_programs_may_not_call_it(tool: dict[str, Any]) -> None:
    assert SPELLED | {"allowed_callers": ["direct"]} in offered(tools=[SEARCH, tool])["tools"]
    assert SPELLED in offered(tools=[SEARCH, SEARCH | {"name": "x", "allowed_callers": ["direct"]}])["tools"]


def test_extensions_edit_input_and_tools_where_they_are_arrays() -> None:
    found = payload(USER, tools=[SEARCH])
    assert WIRE.values(found) == {"messages": [USER], "tools": [SEARCH]}
    assert WIRE.fields(WIRE.decode(b'{"input":"hi","tools":{}}')) == {}


# -- pairs of calls and outputs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("items", "wrong"),
    [
        ([call("a"), output("a", "x")], set()),
        ([call("a"), call("b"), output("b", "x"), USER, output("a", "x")], set()),
        ([call("a"), output("a", "x"), reasoning(), call("b")], set()),
        ([call("a"), said("x"), call("b")], set()),
        ([call("a"), call("b"), output("a", "x")], {"b"}),
        ([call("a"), USER], {"a"}),
        ([output("a", "x"), call("a")], {"a"}),
        ([call("a"), output("a", "x"), output("a", "x")], {"a"}),
        ([output("z", "x")], {"z"}),
        ([{"type": "local_shell_call", "id": "l", "call_id": "c"}, {"type": "local_shell_call_output", "id": "l"}], set()),
        ([{"type": "mcp_approval_request", "id": "m"}, {"type": "mcp_approval_response", "approval_request_id": "m"}], set()),
        ([{"type": "tool_search_call", "call_id": "t", "execution": "server"}, USER], set()),
    ],
)
def test_calls_without_their_output_and_outputs_without_their_call_are_found(items: list[Any], wrong: set[str]) -> None:
    assert WIRE.unpaired(payload(*items)) == wrong


# -- the next round ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("members", [{}, {"store": False}, {"previous_response_id": "resp_0"}])
def test_the_next_round_has_all_output_items_as_they_came_and_our_results_without_ids(members: dict[str, Any]) -> None:
    body = dump({"model": "m", **members, "input": [USER]})
    came = b'{"id":"r","status":"completed","output":[ {"type":"reasoning" , "encrypted_content":"\\u0041", "n":1E5}, %b, %b]}'
    turn = WIRE.read(came % (dump(mine("a")), dump(mine("b"))))
    after = WIRE.append(body, turn, [result("a"), result("b", "more")])
    assert after.startswith(body[:-2] + b',{"type":"reasoning" , "encrypted_content":"\\u0041", "n":1E5},')
    assert sent(after)[2:] == [mine("a"), mine("b"), output("a", "rows"), output("b", "more")]
    assert {k: v for k, v in json.loads(after).items() if k != "input"} == {"model": "m", **members}


@pytest.mark.parametrize(
    ("body", "before"), [(b'{"input":"h\\u0069"}', [{"role": "user", "content": "hi"}]), (b'{"model":"m"}', [])]
)
def test_input_that_is_no_list_becomes_one(body: bytes, before: list[Any]) -> None:
    assert sent(WIRE.append(body, answer(mine("a")), [result("a")])) == [*before, mine("a"), output("a", "rows")]


def test_a_conversation_has_everything_but_our_results() -> None:
    for held in ("conv_1", {"id": "conv_1"}):
        body = dump({"conversation": held, "input": [USER], "model": "m"})
        second = WIRE.append(body, answer(reasoning(), mine("a")), [result("a")])
        assert json.loads(second) == {"conversation": held, "input": [output("a", "rows")], "model": "m"}
        assert sent(WIRE.append(second, answer(mine("b")), [result("b")])) == [output("b", "rows")]


def test_a_compaction_trigger_stays_the_last_item() -> None:
    body = dump({"input": [USER, {"type": "compaction_trigger"}]})
    kinds = [item.get("type") for item in sent(WIRE.append(body, answer(mine("a")), [result("a")]))]
    assert kinds == [None, "function_call", "function_call_output", "compaction_trigger"]


def test_reasoning_that_only_names_what_was_not_kept_stays_out() -> None:
    turn = answer(reasoning(encrypted_content=None), mine("a"))
    assert len(sent(WIRE.append(b'{"store":false,"input":[]}', turn, [result("a")]))) == 2
    assert len(sent(WIRE.append(b'{"input":[]}', turn, [result("a")]))) == 3
    raw = answer(reasoning(encrypted_content=None, content=[{"type": "reasoning_text", "text": "x"}]), mine("a"))
    assert len(sent(WIRE.append(b'{"store":false,"input":[]}', raw, [result("a")]))) == 3


def test_a_result_goes_to_whoever_called() -> None:
    caller = {"type": "program", "caller_id": "p"}
    after = WIRE.append(b'{"input":[]}', answer(mine("a") | {"caller": caller}), [result("a")])
    assert sent(after)[1] == output("a", "rows", caller=caller)


# -- answers -----------------------------------------------------------------------------------------------------------


def test_the_parts_of_an_answer() -> None:
    approval = {"type": "mcp_approval_request", "id": "m", "name": "f", "server_label": "s", "arguments": "{}"}
    found = answer(
        reasoning(),
        said("x"),
        call("a", q=1),
        call("b") | {"namespace": "crm"},
        {"type": "custom_tool_call", "call_id": "c", "name": "sql", "input": "a b"},
        {"type": "shell_call", "call_id": "d", "environment": {"type": "local"}},
        {"type": "shell_call", "call_id": "e", "environment": {"type": "container_reference"}},
        {"type": "tool_search_call", "call_id": "f", "execution": "server"},
        approval,
        WEB,
    )
    assert [(part.kind, part.call) for part in found.parts] == [
        (PartKind.LEADING, None),
        (PartKind.TEXT, None),
        (PartKind.CALL, ToolCall("a", "search", '{"q": 1}')),
        (PartKind.CALL, ToolCall("b", "crm.search", "{}")),
        (PartKind.CALL, ToolCall("c", "sql", '"a b"')),
        (PartKind.CALL, ToolCall("d", "shell", "{}")),
        (PartKind.OTHER, None),
        (PartKind.OTHER, None),
        (PartKind.CALL, ToolCall("m", "s.f", "{}")),
        (PartKind.OTHER, None),
    ]


@pytest.mark.parametrize(
    ("status", "arguments", "finish"),
    [
        ("completed", "{", Finish.DONE),
        ("incomplete", "{}", Finish.CUT),
        ("failed", "{}", Finish.CUT),
        ("cancelled", "{}", Finish.CUT),
        ("in_progress", "{}", Finish.CUT),
        (None, "{}", Finish.DONE),
        (None, '{"a', Finish.CUT),
    ],
)
def test_how_an_answer_ended(status: str | None, arguments: str, finish: Finish) -> None:
    assert answer(mine("a") | {"arguments": arguments}, status=status).finish is finish


@pytest.mark.parametrize("body", [b"{", b"[]", b"{}", b'{"output":null}', b'{"output":{}}', b'{"object":"error"}'])
def test_what_is_no_answer_is_refused(body: bytes) -> None:
    with pytest.raises(ResponseError):
        WIRE.read(body)


def test_an_answer_that_nothing_is_taken_out_of_is_the_very_bytes() -> None:
    found = answer(reasoning(), said("x"), tools=[SEARCH], usage={"input_tokens": 1})
    assert WIRE.merge([found], [found.parts], notice="", stopped=False) is found.document.data


def test_our_tool_is_taken_out_of_what_the_answer_repeats() -> None:
    theirs = [SEARCH | {"name": f"x_{TOOL.name}"}, {"type": "custom", "name": TOOL.name}]
    choice = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": TOOL.name}, SEARCH]}
    found = answer(said("x"), tools=[SEARCH, SPELLED, *theirs], tool_choice=choice)
    shown = json.loads(WIRE.merge([found], [found.parts], notice="", stopped=False))
    assert shown["tools"] == [SEARCH, *theirs]
    assert shown["tool_choice"]["tools"] == [SEARCH]


def test_several_rounds_are_the_last_one_with_all_visible_items_and_the_usage_of_all() -> None:
    def counted(number: int) -> dict[str, Any]:
        return {"usage": {"input_tokens": number, "input_tokens_details": {"cached_tokens": 1}, "new": 2 * number}}

    first = answer(said("a"), mine("a"), **counted(1), id="resp_1")
    second = answer(said("b", "msg_2"), call("z"), id="resp_2", incomplete_details=None, **counted(10))
    shown = json.loads(WIRE.merge([first, second], [first.parts[:1], second.parts], notice="", stopped=False))
    assert [item["id"] for item in shown["output"]] == ["msg_1", "msg_2", "fc_z"]
    assert shown["id"] == "resp_2"
    assert shown["usage"] == {"input_tokens": 11, "input_tokens_details": {"cached_tokens": 2}, "new": 22}


@pytest.mark.parametrize("members", [{}, {"usage": None}])
def test_usage_that_the_last_round_lacks_is_that_of_the_others(members: dict[str, Any]) -> None:
    first, last = answer(mine("a"), usage={"input_tokens": 3}), answer(said("b"), **members)
    assert json.loads(WIRE.merge([first, last], [(), last.parts], notice="", stopped=False))["usage"] == {"input_tokens": 3}


@pytest.mark.parametrize(
    ("response", "text"),
    [
        ({"output": "hi"}, "hi"),
        ({"output_text": "hi"}, "hi"),
        ({"output": [{"role": "assistant", "content": "hi"}], "model": "x"}, "hi"),
        ({"output": [{"type": "message", "content": [{"type": "output_text", "text": "hi"}]}]}, "hi"),
        ({"choices": [{"message": {"role": "assistant", "content": "hi"}}]}, "hi"),
    ],
)
def test_an_answer_of_an_extension_is_completed(response: dict[str, Any], text: str) -> None:
    whole = json.loads(WIRE.complete(response, payload(USER)))
    assert whole["model"] == response.get("model", "gpt-6-sol")
    assert (whole["object"], whole["status"], whole["usage"]["total_tokens"]) == ("response", "completed", 0)
    (item,) = whole["output"]
    assert item["id"].startswith("msg_")
    assert item["content"] == [{"annotations": [], "logprobs": [], "type": "output_text", "text": text}]
    assert WIRE.complete(response, payload(USER)) == WIRE.complete(response, payload(USER))


@pytest.mark.parametrize(
    "response",
    [
        {},
        {"output": 1},
        {"output": [1]},
        {"output": [{"content": [1]}]},
        {"output": [{"x": 1}]},
        {"output": "x", "n": {1}},
        {"choices": []},
    ],
)
def test_what_is_no_answer_of_an_extension_is_refused(response: dict[str, Any]) -> None:
    with pytest.raises(ResponseError):
        WIRE.complete(response, payload(USER))


# -- turns and what is put back in their place -------------------------------------------------------------------------


def test_items_of_the_model_in_a_row_are_one_turn() -> None:
    container = {"environment": {"type": "container_reference"}}
    items = [
        USER,
        reasoning(),
        said("let me "),
        call("a"),
        output("a", "x"),
        {"type": "shell_call", "call_id": "s"} | container,
        {"type": "shell_call_output", "call_id": "s", "output": []},
        {"role": "assistant", "content": "see"},
        {"role": "user", "content": "more"},
        {"type": "compaction", "encrypted_content": "x"},
    ]
    found = payload(*items)
    first, second, third = WIRE.turns(found)
    assert (first.text, first.calls) == ("letme", (ToolCall("a", "search", "{}"),))
    assert (second.text, second.calls, third.text) == ("see", (), "")
    starts = [found.document.span(found.document.elements(found.document.get(0, "input"))[i])[0] for i in (1, 5, 9)]
    assert [turn.start for turn in (first, second, third)] == starts
    assert not any(turn.held for turn in (first, second, third))
    alike = WIRE.turn(answer(*items[1:4]))
    assert (alike.text, alike.calls) == (first.text, first.calls)


def test_outputs_whose_calls_the_provider_holds_are_a_held_turn() -> None:
    (turn,) = WIRE.turns(payload(output("a", "x"), output("b", "y"), USER, previous_response_id="resp_1"))
    assert turn.held
    assert turn.calls == (ToolCall("a", "", ""), ToolCall("b", "", ""))
    assert WIRE.turns(payload(output("a", "x"))) == []


HIDDEN = Round(answer(said("look"), reasoning("rs_h"), mine("h1")), (result("h1"),))


def replayed(found: Payload, turn: Turn, *rounds: Round) -> Any:
    return sent(splice(found.body, WIRE.replay(found, turn, rounds)))


def test_hidden_rounds_are_put_back_in_front_of_the_last_answer() -> None:
    last = Round(answer(reasoning("rs_2"), said("found", "msg_2")))
    found = payload(
        USER, said("look"), reasoning("rs_2"), said("found", "msg_2"), {"role": "user", "content": "more"}, store=False
    )
    (turn,) = WIRE.turns(found)
    up = replayed(found, turn, HIDDEN, last)
    assert up[1:-1] == [
        said("look"),
        reasoning("rs_h"),
        mine("h1"),
        output("h1", "rows"),
        reasoning("rs_2"),
        said("found", "msg_2"),
    ]


@pytest.mark.parametrize("order", [["h2", "a", "b"], ["a", "h2", "b"], ["a", "b", "h2"]])
@pytest.mark.parametrize("given", [["a", "b"], ["b", "a"]])
def test_our_results_go_among_the_clients_in_the_order_of_the_calls(order: list[str], given: list[str]) -> None:
    calls = [mine(name) if name == "h2" else call(name) for name in order]
    last = Round(answer(*calls), (result("h2", "more"),))
    found = payload(USER, said("look"), call("a"), call("b"), *(output(name, "x") for name in given), USER)
    (turn,) = WIRE.turns(found)
    up = replayed(found, turn, HIDDEN, last)
    assert up[5 : 5 + 3] == calls
    names = [item["call_id"] for item in up[8:-1]]
    assert sorted(names) == sorted(order)
    assert [name for name in names if name != "h2"] == given
    if given == ["a", "b"]:
        assert names == order
    assert up[-1] == USER


def test_calls_that_nobody_answers_stay_out_with_the_reasoning_that_led_to_them() -> None:
    last = Round(answer(said("so far", "msg_2"), reasoning("rs_3"), mine("h2")))
    found = payload(USER, said("look"), said("so far", "msg_2"), USER)
    (turn,) = WIRE.turns(found)
    assert [item.get("id") for item in replayed(found, turn, HIDDEN, last)[1:-1]] == ["msg_1", "rs_h", "fc_h1", None, "msg_2"]
    only = Round(answer(mine("h2")))
    found = payload(USER, said("The answer ended", "msg_n"), USER)
    (turn,) = WIRE.turns(found)
    ids = [item.get("id") for item in replayed(found, turn, HIDDEN, only)[1:-1]]
    assert ids == ["msg_1", "rs_h", "fc_h1", None, "msg_n"]


@pytest.mark.parametrize("order", [["h2", "a"], ["a", "h2"]])
def test_of_a_turn_that_the_provider_holds_only_our_last_results_go_in(order: list[str]) -> None:
    last = Round(answer(*(mine(name) if name == "h2" else call(name) for name in order)), (result("h2"),))
    found = payload(output("a", "x"), USER, previous_response_id="resp_1")
    (turn,) = WIRE.turns(found)
    assert [item.get("call_id") for item in replayed(found, turn, HIDDEN, last)] == [*order, None]


@pytest.mark.parametrize("given", [b'"more"', b'[{"role":"user","content":"more"}]', b"null", None])
def test_without_results_of_the_client_ours_come_first(given: bytes | None) -> None:
    last = Round(answer(mine("h2"), mine("h3")), (result("h2"), result("h3")))
    body = b'{"previous_response_id":"r"' + (b',"input":' + given if given is not None else b"") + b"}"
    found = WIRE.decode(body)
    up = replayed(found, Turn("", (), held=True), last)
    assert [item.get("call_id") for item in up[:2]] == ["h2", "h3"]
    assert up[2:] == ([{"role": "user", "content": "more"}] if given not in (None, b"null") else [])
    assert WIRE.replay(found, Turn("", (), held=True), [Round(answer(said("x")))]) == []


def test_two_turns_may_be_replayed_at_once() -> None:
    last = Round(answer(mine("h2"), call("a")), (result("h2"),))
    found = payload(USER, call("a"), output("a", "x"), call("b"), output("b", "y"), USER)
    one, two = WIRE.turns(found)
    other = Round(answer(call("b"), mine("h3")), (result("h3"),))
    edits = [*WIRE.replay(found, one, [last]), *WIRE.replay(found, two, [HIDDEN, other])]
    up = sent(splice(found.body, edits))
    assert [item.get("call_id") for item in up] == [
        None, "h2", "a", "h2", "a", None, None, "h1", "h1", "b", "h3", "b", "h3", None
    ]  # fmt: skip


def test_the_id_that_a_request_goes_on_from() -> None:
    assert WIRE.held_by(answer()) == "resp_1"
    assert WIRE.held_by(answer(conversation={"id": "conv_1"})) == "conv_1"
    found = WIRE.decode(b'{ "previous_response_id" : "resp_1" , "input":"x"}')
    assert splice(found.body, WIRE.hold(found, "resp_\u00e9")) == b'{ "previous_response_id" : "resp_\\u00e9" , "input":"x"}'
    assert WIRE.hold(payload(USER, conversation="conv_1"), "resp_2") == []
    assert WIRE.hold(payload(USER, previous_response_id=None), "resp_2") == []
