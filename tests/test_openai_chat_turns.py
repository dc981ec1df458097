"""Turns of OpenAI Chat: how clients keep them, and where our results go among the tool messages behind them."""

import json
from typing import Any

import pytest
from test_openai_chat import HR, WIRE, call, request, result, turn, user

from headroom_asgi.types import ToolResult
from headroom_asgi.wire import Answer, Payload, Round, Turn, splice


def message(content: Any = None, *calls: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **fields} | ({"tool_calls": list(calls)} if calls else {})


def answer(said: dict[str, Any], reason: str = "tool_calls") -> Answer:
    return WIRE.read(json.dumps({"id": "c", "choices": [{"index": 0, "message": said, "finish_reason": reason}]}).encode())


def happened(said: dict[str, Any]) -> Round:
    found = answer(said)
    return Round(found, tuple(ToolResult(c, f"rows of {c.id}") for c in found.calls if c.name == HR))


def payload(*messages: Any, **fields: Any) -> Payload:
    return WIRE.decode(request(*messages, **fields))


def only_turn(found: Payload) -> Turn:
    (only,) = WIRE.turns(found)
    return only


def sent(found: Payload, *rounds: Round) -> Any:
    return json.loads(splice(found.body, WIRE.replay(found, only_turn(found), rounds)))["messages"]


@pytest.mark.parametrize(
    "kept",
    [
        message("Let me look.\n\nThree.", call("a", "bash")),
        message(" Let me look.\nThree.\n", call("a", "bash"), refusal=None, annotations=[], reasoning_content="hm"),
        message([{"type": "text", "text": "Let me look."}, {"type": "text", "text": "Three."}], call("a", "bash")),
        message(
            [
                {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
                {"type": "text", "text": "Let me look."},
                {"type": "reference", "reference_ids": [1]},
                {"type": "text", "text": "Three."},
            ],
            call("a", "bash"),
        ),
    ],
)
def test_a_turn_is_known_by_its_visible_text_and_calls_however_the_client_keeps_it(kept: dict[str, Any]) -> None:
    got = WIRE.turn(answer(message("Let me look.\n\nThree.", call("a", "bash"))))
    found = only_turn(payload(user("q"), kept))
    assert (found.text, found.calls) == (got.text, got.calls)
    assert got.text == "Letmelook.Three."


def test_arguments_are_json_texts_whether_the_server_gives_them_as_objects_or_not() -> None:
    found = only_turn(payload(turn(call("a", "f", '{"x": 1}'), call("b", "f", {"x": 1}))))
    assert [json.loads(each.arguments) for each in found.calls] == [{"x": 1}] * 2


def test_every_assistant_message_is_a_turn() -> None:
    found = payload(message("0"), user("q"), message("1"), turn(call("a", "f")), result("a", "A"), message())
    turns = WIRE.turns(found)
    assert [(each.text, len(each.calls)) for each in turns] == [("0", 0), ("1", 0), ("", 1), ("", 0)]
    assert all(found.body[each.start :].startswith(b'{"role": "assistant"') for each in turns)


@pytest.mark.parametrize(
    ("calls", "order"),
    [
        ("hab", "hab"),
        ("ahb", "ahb"),
        ("abh", "abh"),
        ("haibj", "haibj"),
        ("ahib", "ahib"),
        ("ahxb", "ahb"),  # a call that the client did not answer
    ],
)
def test_our_results_stand_in_the_order_of_calls_directly_behind_the_turn(calls: str, order: str) -> None:
    entries = [call(name, HR if name in "hij" else "bash") for name in calls]
    visible = [entry for entry in entries if entry["function"]["name"] != HR]
    found = payload(user("q"), turn(*visible), result("a", "A"), result("b", "B"), user("next"), {"role": "tool", "content": "x"})
    said = turn(*entries, content="look") | {"reasoning_content": "", "vendor": {"x": 1}}
    question, whole, *results, following, stray = sent(found, happened(said))
    assert (question, whole, following, stray) == (user("q"), said, user("next"), {"role": "tool", "content": "x"})
    assert "".join(each["tool_call_id"] for each in results) == order
    assert [each["content"] for each in results] == [f"rows of {i}" if i in "hij" else i.upper() for i in order]


def test_results_that_the_client_gives_in_another_order_stay_in_it() -> None:
    found = payload(turn(call("a", "f"), call("b", "f")), result("b", "B"), result("a", "A"))
    said = turn(call("a", "f"), call("h", HR), call("b", "f"))
    assert [each.get("tool_call_id") for each in sent(found, happened(said))] == [None, "h", "b", "a"]


@pytest.mark.parametrize("behind", [[], [user("never mind")]])
def test_our_results_follow_the_turn_where_the_client_has_none(behind: list[Any]) -> None:
    found = payload(turn(call("a", "f")), *behind)
    said = turn(call("a", "f"), call("h", HR))
    assert sent(found, happened(said)) == [said, result("h", "rows of h"), *behind]


def test_calls_of_ours_that_were_not_answered_are_left_out() -> None:
    first, last = turn(call("h", HR)), turn(call("i", HR), call("a", "f"), content="so far")
    found = payload(user("q"), message("so far", call("a", "f")))
    up = sent(found, happened(first), Round(answer(last, "length")))
    assert up[1:] == [first, result("h", "rows of h"), message("so far", call("a", "f"))]
    found = payload(user("q"), message("so far"))
    up = sent(found, happened(first), Round(answer(turn(call("i", HR), content="so far"), "length")))
    assert up[1:] == [first, result("h", "rows of h"), message("so far")]


def test_where_nothing_is_left_of_the_last_round_the_clients_own_turn_stays() -> None:
    found = payload(user("q"), message("The answer ended."), user("and?"))
    first = turn(call("h", HR))
    up = sent(found, happened(first), Round(answer(turn(call("i", HR)))))
    assert up[1:] == [first, result("h", "rows of h"), message("The answer ended."), user("and?")]


def test_several_turns_are_replayed_in_one_request() -> None:
    found = payload(message("1"), turn(call("a", "f")), result("a", "A"), message("2"))
    one, two, three = WIRE.turns(found)
    first, both = turn(call("h", HR)), turn(call("h", HR), call("a", "f"))
    edits = [
        *WIRE.replay(found, one, [happened(first), Round(answer(message("1"), "stop"))]),
        *WIRE.replay(found, two, [happened(both)]),
        *WIRE.replay(found, three, [happened(first), Round(answer(message("2"), "stop"))]),
    ]
    rows = result("h", "rows of h")
    assert json.loads(splice(found.body, edits))["messages"] == [
        *(first, rows, message("1")),
        *(both, rows, result("a", "A")),
        *(first, rows, message("2")),
    ]


@pytest.mark.parametrize(
    ("fields", "edited"),
    [
        ({}, False),
        ({"transforms": []}, False),
        ({"transforms": ["middle-out"]}, True),
        ({"plugins": [{"id": "web"}]}, False),
        ({"plugins": [{"id": "context-compression"}]}, True),
    ],
)
def test_whether_earlier_messages_stay_where_they_are(fields: dict[str, Any], edited: bool) -> None:
    assert payload(user("q"), **fields).history_edited is edited
