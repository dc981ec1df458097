"""Turns of Anthropic Messages: how clients keep them, where our results go among the user's blocks, threads that the API holds."""

import json
from typing import Any

import pytest
from test_anthropic import BASH, TOOL, assistant, payload, result, text, use, user

from headroom_asgi.types import ToolResult
from headroom_asgi.wire import Answer, Payload, Round, Turn, dialect_named, dump, splice

WIRE = dialect_named("anthropic")
OURS = "headroom_retrieve"


def answer(*blocks: Any, reason: str = "tool_use", message_id: str = "msg_1") -> Answer:
    return WIRE.read(dump({"id": message_id, "role": "assistant", "content": list(blocks), "stop_reason": reason}))


def thinking(words: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": words, "signature": f"sig of {words}"}


def results_of(found: Answer) -> tuple[ToolResult, ...]:
    return tuple(ToolResult(call, f"rows of {call.id}") for call in found.calls if call.name == OURS)


def mixed(*blocks: Any) -> Round:
    found = answer(*blocks)
    return Round(found, results_of(found))


def sent(found: Payload, turn: Turn, *happened: Round) -> Any:
    return json.loads(splice(found.body, WIRE.replay(found, turn, happened)))["messages"]


def only_turn(found: Payload) -> Turn:
    (turn,) = WIRE.turns(found)
    return turn


@pytest.mark.parametrize(
    "kept",
    [
        [text("Let me look."), text("Three."), use("a", q=1)],
        [text("Let me look.\n\nThree."), use("a", q=1)],
        [text("Let me look. "), text("\n"), text("Three.", citations=None), use("a", q=1)],
        [thinking("hm"), text("Let me look."), {"type": "server_tool_use", "id": "s"}, text("Three."), use("a", q=1)],
    ],
)
def test_a_turn_is_known_by_its_visible_text_and_calls_however_the_client_keeps_it(kept: list[Any]) -> None:
    got = WIRE.turn(answer(thinking("hm"), text("Let me look."), text("Three."), use("a", q=1)))
    turn = only_turn(payload(user("q"), assistant(*kept)))
    assert (turn.text, turn.calls) == (got.text, got.calls)
    assert got.text == "Letmelook.Three."


def test_a_text_is_a_turn_and_so_is_every_assistant_message() -> None:
    found = payload(user("q"), {"role": "assistant", "content": "one"}, assistant(text("two")), user("x"), assistant())
    turns = WIRE.turns(found)
    assert [turn.text for turn in turns] == ["one", "two", ""]
    assert [found.body[turn.start :][:8] for turn in turns] == [b'{"role":'] * 3


@pytest.mark.parametrize(
    ("calls", "order"),
    [
        ([use("h", OURS), use("a"), use("b")], "hab"),
        ([use("a"), use("h", OURS), use("b")], "ahb"),
        ([use("a"), use("b"), use("h", OURS)], "abh"),
        ([use("h", OURS), use("a"), use("i", OURS), use("b"), use("j", OURS)], "haibj"),
        ([use("a"), use("h", OURS), use("i", OURS), use("b")], "ahib"),
    ],
)
@pytest.mark.parametrize("split", [False, True])
def test_our_results_stand_in_the_order_of_calls_before_everything_else(calls: list[Any], order: str, split: bool) -> None:
    theirs = [result("a", "A", cache_control={"type": "ephemeral"}), result("b", "B", is_error=True)]
    behind = [user(theirs[0]), user(theirs[1], text("go on"))] if split else [user(*theirs, text("go on"))]
    happened = mixed(thinking("hm"), text("look"), *calls)
    visible = [call for call in calls if call["name"] != OURS]
    found = payload(user("q"), assistant(thinking("hm"), text("look"), *visible), *behind, assistant(text("end")))
    first, _ = WIRE.turns(found)
    question, turn, *rest, end = sent(found, first, happened)
    assert (question, end) == (user("q"), assistant(text("end")))
    assert turn == assistant(thinking("hm"), text("look"), *calls)
    blocks = [block for message in rest for block in message["content"]]
    assert "".join(block.get("tool_use_id", "") for block in blocks) == order
    assert [block for block in blocks if block.get("tool_use_id", "") in "ab"] == [*theirs, text("go on")]
    assert all(
        block["content"] == f"rows of {block['tool_use_id']}" for block in blocks if block.get("tool_use_id", "a") in "hij"
    )


@pytest.mark.parametrize("behind", [[], [user("never mind")], [{"role": "system", "content": "x"}, user(result("a", "A"))]])
def test_our_results_have_a_message_of_their_own_where_the_client_has_none(behind: list[Any]) -> None:
    happened = mixed(use("a"), use("h", OURS))
    found = payload(user("q"), assistant(use("a")), *behind)
    messages = sent(found, only_turn(found), happened)
    assert messages[1:3] == [assistant(use("a"), use("h", OURS)), user(result("h", "rows of h"))]
    assert messages[3:] == behind


def test_calls_of_ours_that_were_not_answered_are_left_out_with_what_was_signed_behind_them() -> None:
    first = mixed(use("h", OURS))
    last = Round(
        answer(thinking("1"), text("so"), use("i", OURS), thinking("2"), text("far"), thinking("3"), reason="max_tokens")
    )
    found = payload(user("q"), assistant(text("so"), text("far")))
    messages = sent(found, only_turn(found), first, last)
    assert messages[1:] == [
        assistant(use("h", OURS)),
        user(result("h", "rows of h")),
        assistant(thinking("1"), text("so"), text("far")),
    ]


def test_where_nothing_is_left_of_the_last_round_the_clients_own_turn_stays() -> None:
    found = payload(user("q"), assistant(text("The answer ended.")), user("and?"))
    messages = sent(found, only_turn(found), mixed(use("h", OURS)), Round(answer(thinking("1"), use("i", OURS))))
    assert messages[1:] == [
        assistant(use("h", OURS)),
        user(result("h", "rows of h")),
        assistant(text("The answer ended.")),
        user("and?"),
    ]


def test_the_clients_cache_breakpoint_goes_to_the_last_block_that_takes_one() -> None:
    mark = {"cache_control": {"type": "ephemeral"}}
    found = payload(user("q"), assistant(text("one"), text("two", **mark)))
    happened = mixed(text("one"), use("h", OURS)), Round(answer(text("two"), thinking("x"), reason="end_turn"))
    assert sent(found, only_turn(found), *happened)[-1] == assistant(text("two", **mark), thinking("x"))


def test_several_turns_are_replayed_in_one_request() -> None:
    found = payload(assistant(text("1")), assistant(use("a")), user(result("a", "A")), assistant(text("2")))
    one, two, three = WIRE.turns(found)
    hidden = mixed(use("h", OURS)), Round(answer(text("1")))
    edits = [
        *WIRE.replay(found, one, hidden),
        *WIRE.replay(found, two, [mixed(use("h", OURS), use("a"))]),
        *WIRE.replay(found, three, [mixed(use("k", OURS)), Round(answer(text("2")))]),
    ]
    up = json.loads(splice(found.body, edits))["messages"]
    assert up == [
        assistant(use("h", OURS)),
        user(result("h", "rows of h")),
        assistant(text("1")),
        assistant(use("h", OURS), use("a")),
        user(result("h", "rows of h"), result("a", "A")),
        assistant(use("k", OURS)),
        user(result("k", "rows of k")),
        assistant(text("2")),
    ]


@pytest.mark.parametrize(
    ("members", "held", "holds"),
    [
        ({}, "", False),
        ({"thread": None}, "", False),
        ({"thread": {"type": "create"}}, "", True),
        ({"thread": {"type": "continue", "previous_message_id": "msg_7"}}, "msg_7", True),
    ],
)
def test_what_a_thread_holds(members: dict[str, Any], held: str, holds: bool) -> None:
    found = payload(user("q"), **members)
    assert (found.held, found.holds) == (held, holds)


def test_a_round_of_a_threads_first_request_begins_a_thread_of_its_own() -> None:
    said = [user("q"), assistant(text("x")), user("y")]
    first = answer(text("look"), use("h", OURS), message_id="msg_1")
    body = WIRE.append(dump({"thread": {"type": "create"}, "tools": [1], "messages": said}), first, results_of(first))
    assert json.loads(body) == {
        "thread": {"type": "create"},
        "tools": [1],
        "messages": [*said, assistant(text("look"), use("h", OURS)), user(result("h", "rows of h"))],
    }


def test_a_round_of_a_thread_goes_on_from_the_one_before_with_the_results_alone() -> None:
    thread = {"type": "continue", "previous_message_id": "msg_0"}
    body = dump({"thread": thread, "model": "m", "messages": [user("q"), assistant(text("x")), user("y")]})
    first = answer(text("look"), use("h", OURS), message_id="msg_1")
    second = answer(use("i", OURS), message_id="msg_2")
    body = WIRE.append(body, first, results_of(first))
    thread = {"type": "continue", "previous_message_id": "msg_1"}
    assert json.loads(body) == {"thread": thread, "model": "m", "messages": [user(result("h", "rows of h"))]}
    body = WIRE.append(body, second, results_of(second))
    thread = {"type": "continue", "previous_message_id": "msg_2"}
    assert json.loads(body) == {"thread": thread, "model": "m", "messages": [user(result("i", "rows of i"))]}
    assert WIRE.held_by(second) == "msg_2"


def test_the_answer_of_a_thread_has_the_id_of_the_last_round() -> None:
    answers = [answer(text("look"), use("h", OURS), message_id="msg_1"), answer(text("x"), message_id="msg_2")]
    kept = [answers[0].parts[:1], answers[1].parts]
    for thread, expected in (
        ({"type": "create"}, "msg_2"),
        ({"type": "continue", "previous_message_id": "m"}, "msg_2"),
        (None, "msg_1"),
    ):
        wire = payload(user("q"), thread=thread).wire
        assert json.loads(wire.merge(answers, kept, notice="", stopped=False))["id"] == expected


def test_our_results_go_into_a_request_that_brings_nothing_new() -> None:
    thread = {"type": "continue", "previous_message_id": "msg_1"}
    found = payload(thread=thread)
    up = sent(found, Turn("", (), held=True), mixed(use("h", OURS)))
    assert up == [user(result("h", "rows of h"))]


def test_a_thread_can_be_made_to_go_on_from_another_message() -> None:
    body = b'{"thread": {"type":"continue", "previous_message_id" : "msg_1" }, "messages":[ ]}'
    edits = WIRE.hold(WIRE.decode(body), "msg_2")
    assert splice(body, edits) == body.replace(b"msg_1", b"msg_2")


def test_results_for_calls_that_a_thread_holds_are_a_turn_and_ours_go_among_them() -> None:
    thread = {"type": "continue", "previous_message_id": "msg_1"}
    found = payload(user(result("a", "A"), result("b", "B"), text("go on")), thread=thread)
    turn = only_turn(found)
    assert turn.held
    assert [call.id for call in turn.calls] == ["a", "b"]
    assert found.body[turn.start :].startswith(b'{"role":"user"')
    assert WIRE.unpaired(found) == set()
    up = sent(found, turn, mixed(use("h", OURS), use("a"), use("i", OURS), use("b"), use("j", OURS)))
    assert up == [
        user(
            result("h", "rows of h"),
            result("a", "A"),
            result("i", "rows of i"),
            result("b", "B"),
            result("j", "rows of j"),
            text("go on"),
        )
    ]


def test_a_request_of_a_thread_without_results_has_no_held_turn() -> None:
    assert WIRE.turns(payload(user("more"), thread={"type": "continue", "previous_message_id": "msg_1"})) == ()
    assert WIRE.turns(payload(user(result("a", "A")), thread={"type": "create"})) == ()


@pytest.mark.parametrize("messages", [[], [user("more")], [user("more"), assistant(text("x"))]])
def test_where_the_client_only_says_something_new_our_results_go_in_front_of_it(messages: list[Any]) -> None:
    found = payload(*messages, thread={"type": "continue", "previous_message_id": "msg_1"})
    assert sent(found, Turn("", (), held=True), mixed(use("h", OURS))) == [user(result("h", "rows of h")), *messages]


@pytest.mark.parametrize(
    ("members", "fixed", "obstacle", "edits"),
    [
        ({"tools": [BASH]}, False, "", 1),
        ({"thread": {"type": "create"}, "tools": [BASH]}, False, "", 1),
        ({"thread": {"type": "continue", "previous_message_id": "m"}}, True, "", 0),
        ({"thread": {"type": "continue", "previous_message_id": "m"}, "tools": [BASH]}, True, "", 1),
        ({"thread": {"type": "continue", "previous_message_id": "m"}, "tools": []}, True, "no_tools", 0),
    ],
)
def test_the_tools_of_a_thread_are_those_of_its_first_request(
    members: dict[str, Any], fixed: bool, obstacle: str, edits: int
) -> None:
    offer = WIRE.offer(payload(user("q"), **members), TOOL)
    assert (offer.fixed, offer.obstacle, len(offer.edits)) == (fixed, obstacle, edits)
