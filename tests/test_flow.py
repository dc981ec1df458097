"""The retrieval loop: which rounds follow, what they are sent, and what the client sees in the end."""

import json

import pytest
from toy_wire import ToyWire

from headroom_asgi.retrieval import TOOL, Originals, Outcome, rounds
from headroom_asgi.wire import PartKind

REF = "aa-1"
ORIGINALS = Originals({REF: "the rows"}, max_bytes=100_000)
BODY = b'{"turns":[]}'


def text(words="hello"):
    return {"kind": "text", "text": words}


def signed(words="thought"):
    return {"kind": "signed", "text": words}


def ours(call_id="c1", **arguments):
    return {"kind": "call", "id": call_id, "name": TOOL.name, "text": json.dumps(arguments or {"ref": REF})}


def theirs(call_id="t1"):
    return {"kind": "call", "id": call_id, "name": "search", "text": "{}"}


def run(*answers, originals=ORIGINALS, **options) -> tuple[Outcome, list[dict]]:
    """Play the rounds; the outcome and the bodies that were sent. Every answer given must be used."""
    flow = rounds(ToyWire(), BODY, originals, **({"max_rounds": 4} | options))
    bodies = [next(flow)]
    for number, answer in enumerate(answers, 1):
        finish = "calls" if any(part["kind"] == "call" for part in answer) else "stop"
        parts = [part for part in answer if part["kind"] != "finish"]
        finish = next((part["reason"] for part in answer if part["kind"] == "finish"), finish)
        value = {"id": f"a{number}", "parts": parts, "finish": finish, "usage": 1}
        try:
            bodies.append(flow.send(ToyWire().read(json.dumps(value).encode())))
        except StopIteration as stop:
            assert number == len(answers)
            return stop.value, bodies
    raise AssertionError("another round was asked for")


CUT = {"kind": "finish", "reason": "cut"}


def seen(outcome: Outcome) -> list[list[str]]:
    """The client's parts by round: the text of a part, or the id of a call."""
    shown = []
    for answer, parts in zip(outcome.answers, outcome.kept, strict=True):
        values = json.loads(answer.document.data)["parts"]
        shown.append([values[part.node].get("id") or values[part.node]["text"] for part in parts])
    return shown


def results(body: bytes) -> list[dict]:
    return json.loads(body)["turns"][-1]


def test_an_answer_without_our_call_ends_the_exchange_after_the_very_body_that_came():
    outcome, bodies = run([signed(), text(), theirs()])
    assert bodies == [BODY]
    assert bodies[0] is BODY
    assert seen(outcome) == [["thought", "hello", "t1"]]
    assert (outcome.reason, outcome.retrievals, outcome.stopped, outcome.notice) == ("done", 0, False, "")


def test_a_round_with_our_call_only_is_answered_in_the_next_body():
    outcome, bodies = run([text("let me look"), ours()], [text("found")])
    turn, answered = json.loads(bodies[1])["turns"]
    assert turn == [text("let me look"), ours()]
    assert answered == [{"id": "c1", "text": "the rows", "is_error": False}]
    assert seen(outcome) == [["let me look"], ["found"]]
    assert (outcome.reason, outcome.retrievals, outcome.stopped, outcome.notice) == ("done", 1, False, "")


def test_parallel_calls_get_one_result_each_in_order():
    _, bodies = run([ours("c1"), ours("c2", ref="bb"), ours("c3")], [text()])
    assert [(r["id"], r["is_error"]) for r in results(bodies[1])] == [("c1", False), ("c2", True), ("c3", False)]


@pytest.mark.parametrize("arguments", [{"ref": "unknown"}, {"no": "ref"}])
def test_calls_that_cannot_be_served_get_an_error_and_the_round_goes_on(arguments):
    outcome, bodies = run([ours("c1", **arguments)], [text("sorry")])
    assert results(bodies[1])[0]["is_error"]
    assert (outcome.reason, outcome.retrievals) == ("done", 1)


@pytest.mark.parametrize("order", [[ours(), theirs()], [theirs(), ours()], [ours("c1"), theirs(), ours("c2")]])
def test_beside_a_call_of_the_client_ours_is_dropped_and_the_turn_is_the_clients(order):
    outcome, bodies = run([text(), *order])
    assert len(bodies) == 1
    assert seen(outcome) == [["hello", "t1"]]
    assert (outcome.reason, outcome.stopped, outcome.notice) == ("mixed", False, "")


def test_a_round_that_was_cut_is_never_answered():
    outcome, bodies = run([text(), ours(), CUT])
    assert len(bodies) == 1
    assert seen(outcome) == [["hello"]]
    assert (outcome.reason, outcome.stopped, outcome.notice) == ("cut", False, "")


def test_a_cut_round_without_our_call_is_done():
    outcome, _ = run([text(), theirs(), CUT])
    assert (outcome.reason, seen(outcome)) == ("done", [["hello", "t1"]])


def test_the_last_round_is_announced_in_its_last_result_and_its_own_calls_are_dropped():
    outcome, bodies = run([ours("c1")], [ours("c2"), ours("c3")], [text("so far"), ours("c4")], max_rounds=3)
    assert [r["text"] for r in results(bodies[1])] == ["the rows"]
    first, last = (r["text"] for r in results(bodies[2]))
    assert first == "the rows"
    assert last == "the rows\n[this was the last retrieval for this answer: answer with what you have]"
    assert seen(outcome) == [[], [], ["so far"]]
    assert (outcome.reason, outcome.retrievals, outcome.stopped, outcome.notice) == ("max_rounds", 3, True, "")


@pytest.mark.parametrize("last", [[ours("c2")], [signed(), ours("c2")], [ours("c2"), CUT]])
def test_an_answer_that_would_say_nothing_says_so(last):
    outcome, _ = run([signed(), ours()], last, max_rounds=2)
    assert outcome.notice
    assert outcome.stopped == (CUT not in last)
    assert seen(outcome) == [["thought"], []]


def test_an_empty_answer_of_the_model_stays_empty():
    outcome, _ = run([ours()], [])
    assert (outcome.notice, outcome.reason) == ("", "done")


def test_what_was_signed_after_a_call_of_ours_is_not_kept():
    outcome, bodies = run([signed("a"), ours(), signed("b")], [signed("c"), text("x")])
    assert seen(outcome) == [["a"], ["x"]]
    assert [part["text"] for part in json.loads(bodies[1])["turns"][0] if part["kind"] == "signed"] == ["a", "b"]
    outcome, _ = run([signed("a"), ours(), signed("b"), theirs()])
    assert seen(outcome) == [["a", "t1"]]


def test_under_structured_output_only_the_last_round_shows_text():
    parts = [signed("a"), text("pre"), {"kind": "other", "text": "o"}, signed("bound to the text"), ours()]
    outcome, _ = run(parts, [text("{}")], structured=True)
    assert seen(outcome) == [["a", "o"], ["{}"]]
    outcome, _ = run(parts, max_rounds=1, structured=True)
    assert seen(outcome) == [["a", "pre", "o", "bound to the text"]]


def test_what_is_handed_out_in_one_exchange_is_bounded():
    source = Originals({REF: "x" * 3_000}, max_bytes=4_000)
    limit = "retrieval limit reached, answer with what you have"
    _, bodies = run([ours("c1"), ours("c2"), ours("c3")], [text()], originals=source)
    assert [len(r["text"]) <= most for r, most in zip(results(bodies[1]), (3_000, 1_000, 60), strict=True)] == [True] * 3
    assert [r["is_error"] for r in results(bodies[1])] == [False, False, True]
    _, bodies = run([ours("c1")], [ours("c2")], [ours("c3")], [text()], originals=source, max_rounds=5)
    one, two, three = (results(body)[0]["text"] for body in bodies[1:])
    assert (len(one), len(two) <= 1_000, three) == (3_000, True, limit)


def test_a_call_that_is_not_a_function_is_the_clients_too():
    class Wire(ToyWire):
        def read(self, body):
            answer = super().read(body)
            assert answer.parts[1].kind is PartKind.CALL
            parts = (answer.parts[0], type(answer.parts[1])(PartKind.CALL, 1))
            return type(answer)(answer.document, parts, answer.finish)

    flow = rounds(Wire(), BODY, ORIGINALS, max_rounds=4)
    next(flow)
    value = {"id": "a", "parts": [ours(), theirs()], "finish": "calls", "usage": 1}
    with pytest.raises(StopIteration) as stop:
        flow.send(Wire().read(json.dumps(value).encode()))
    assert stop.value.value.reason == "mixed"
