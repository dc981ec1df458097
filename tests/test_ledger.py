"""The ledger's entries: what goes in comes out byte for byte, keys tell turns apart, sizes are bounded."""

import json
from dataclasses import replace
from typing import Any

import pytest
from conversations import Anthropic, Chat
from hypothesis import given
from hypothesis import strategies as st

from headroom_asgi.errors import StoreError
from headroom_asgi.retrieval import TOOL, Entry, Originals, digest_of, held_key, key_of, packed, parents, unpacked
from headroom_asgi.retrieval.ledger import MAX_ENTRY_BYTES
from headroom_asgi.store import MemoryStore
from headroom_asgi.types import ToolCall, ToolResult
from headroom_asgi.wire import BedrockConverse, Endpoint, Gemini, OpenAIChat, Round, Turn, WireFormat

SPEAKERS = (Chat(), Anthropic())
texts = st.text(st.one_of(st.characters(), st.sampled_from('"\\\ud800\udc00\u2028\n')), max_size=20)
LONG = "call_0123456789abcdef"


def round_of(speaker: Any, number: int, text: str, results: list[tuple[str, bool]]) -> Round:
    parts = [("text", text)] * bool(text) + [("ours", json.dumps({"ref": text}))] * len(results)
    answer = speaker.wire.read(speaker.json(number, parts or [("text", "x")]))
    calls = [call for call in answer.calls if call.name == TOOL.name]
    return Round(answer, tuple(ToolResult(call, said, wrong) for call, (said, wrong) in zip(calls, results, strict=True)))


@given(
    st.sampled_from(SPEAKERS),
    st.lists(st.tuples(texts, st.lists(st.tuples(texts, st.booleans()), max_size=3)), max_size=3),
    st.lists(texts, max_size=3),
    texts,
    st.booleans(),
)
def test_an_entry_comes_back_as_it_was(speaker: Any, rounds: Any, names: list[str], text: str, offered: bool) -> None:
    entry = Entry(text, tuple(round_of(speaker, n, *r) for n, r in enumerate(rounds, 1)), text, tuple(names), offered)
    read = unpacked(packed(entry), speaker.wire)
    assert (read.digest, read.goes_on, read.names, read.offered) == (text, text, tuple(names), offered)
    assert [each.answer.document.data for each in read.rounds] == [each.answer.document.data for each in entry.rounds]
    assert [each.answer.parts for each in read.rounds] == [each.answer.parts for each in entry.rounds]
    assert [each.results for each in read.rounds] == [each.results for each in entry.rounds]


def test_an_entry_that_is_too_large_is_none() -> None:
    with pytest.raises(StoreError, match="beyond"):
        packed(Entry("x" * MAX_ENTRY_BYTES))


@pytest.mark.parametrize("data", [b"", b"[", b"{}", b"[1]", b'[1,["","",[],true],[[1,2,3]]]', b'["x",["","",[],true],[]]'])
def test_other_data_are_no_entry(data: bytes) -> None:
    with pytest.raises(StoreError):
        unpacked(data, SPEAKERS[0].wire)


def turn(text: str, *calls: tuple[str, str]) -> Turn:
    return Turn(text, tuple(ToolCall(call_id, "search", arguments) for call_id, arguments in calls))


def test_turns_are_compared_by_what_their_arguments_say() -> None:
    said = turn("a", ("1", '{"x": 1.0, "y": [2, {"p": 1, "q": 2}]}'))
    assert digest_of(said) == digest_of(turn("a", ("1", '{"y":[2,{"q":2,"p":1}],"x":1.0}')))
    others = [
        turn("b", ("1", said.calls[0].arguments)),
        turn("a", ("2", said.calls[0].arguments)),
        turn("a", ("1", '{"x": 2, "y": [2, {"p": 1, "q": 2}]}')),
        turn("a", ("1", '{"x": 1.0, "y": [{"p": 1, "q": 2}, 2]}')),
        turn("a", ("1", "not json")),
        turn("a"),
        turn("a", *[("1", said.calls[0].arguments)] * 2),
    ]
    assert len({digest_of(each) for each in [said, *others]}) == 1 + len(others)


def test_random_ids_name_a_turn_and_all_else_goes_with_what_was_before() -> None:
    assert key_of(turn("a", (LONG, "{}")), b"1") == key_of(turn("b", (LONG, "[]")), b"2")
    counted = [turn("a", (name, "{}")) for name in ("functions.search:3", "call_000000000000000012", f"{'x' * 40}-3")]
    for weak in (turn("a", ("call_0", "{}")), turn("a"), turn("a", (LONG, "{}"), ("", "{}")), *counted):
        assert key_of(weak, b"1") != key_of(weak, b"2")
        assert key_of(weak, b"1") == key_of(weak, b"1")
    assert held_key("a") != held_key("b")


@pytest.mark.parametrize("speaker", SPEAKERS, ids=["chat", "anthropic"])
def test_a_parent_is_all_that_the_client_said_before(speaker: Any) -> None:
    def digests(*questions: str) -> list[bytes]:
        values: list[Any] = []
        for number, question in enumerate(questions, 1):
            values += [*speaker.question(question), *speaker.turn(speaker.json(number, [("text", f"answer {number}")]))]
        body = json.dumps({"model": "m", "max_tokens": 9, "messages": values}).encode()
        payload = speaker.wire.decode(body)
        return list(parents(payload, speaker.wire.turns(payload)))

    one, two = digests("a", "b"), digests("a", "b", "c")
    assert two[:2] == one[:2]
    assert len(set(one)) == 3
    assert len(set(two)) == 4
    assert two[2] != one[2]  # something was said after the last turn
    assert digests("ab", "c")[1] != digests("a", "bc")[1]
    assert digests("x", "b")[1] != one[1]


def parent(wire: WireFormat, body: dict[str, Any], *, model: str = "") -> bytes:
    """The digest with which the next turn of a conversation has its key."""
    payload = wire.decode(json.dumps(body).encode(), Endpoint(model=model))
    return list(parents(payload, wire.turns(payload)))[-1]


@given(st.recursive(st.none() | st.booleans() | st.integers(0, 9) | st.text(max_size=3), lambda some: st.lists(some, max_size=3)))
def test_a_parent_has_results_that_are_values_and_no_texts(value: Any) -> None:
    def polled(told: Any) -> tuple[bytes, bytes]:
        call = {"functionCall": {"name": "poll", "args": {}}}
        answer = {"functionResponse": {"name": "poll", "response": {"told": told}}}
        contents = [{"role": "user", "parts": [{"text": "poll"}]}]
        contents += [{"role": "model", "parts": [call]}, {"role": "user", "parts": [answer]}]
        use = {"toolUse": {"toolUseId": "t1", "name": "poll", "input": {}}}
        result = {"toolResult": {"toolUseId": "t1", "content": [{"json": {"told": told}}]}}
        messages = [{"role": "user", "content": [{"text": "poll"}]}, {"role": "assistant", "content": [use]}]
        messages += [{"role": "user", "content": [result]}]
        return parent(Gemini(), {"contents": contents}, model="m"), parent(BedrockConverse(), {"messages": messages}, model="m")

    assert polled(value) == polled(value)
    assert all(one != other for one, other in zip(polled(value), polled([value, 10]), strict=True))


def test_a_parent_knows_the_instructions_and_how_often_was_asked() -> None:
    said: list[Any] = [{"role": "user", "content": "Is it up?"}, {"role": "assistant", "content": "No."}]
    bodies = [
        {"model": "m", "messages": said},
        {"model": "m", "messages": [{"role": "system", "content": "You are A."}, *said]},
        {"model": "m", "messages": [{"role": "system", "content": "You are B."}, *said]},
        {"model": "m", "messages": [*said, {"role": "assistant", "content": "No."}]},
    ]
    assert len({parent(OpenAIChat(), body) for body in bodies}) == len(bodies)
    assert parent(OpenAIChat(), {**bodies[0], "model": "n", "temperature": 1}) == parent(OpenAIChat(), bodies[0])


def test_only_what_earlier_exchanges_wrote_can_be_loaded() -> None:
    originals = Originals({"here-0": "x"}, max_bytes=1000, earlier=["there-0", "here-0"])
    calls = [ToolCall(str(n), TOOL.name, json.dumps({"ref": ref})) for n, ref in enumerate(("there-0", "here-0", "forged-0"))]
    broken = [ToolCall("4", TOOL.name, "{"), ToolCall("5", "search", '{"ref": "there-0"}')]
    assert originals.missing([*calls, *broken, calls[0]]) == ["there-0"]
    with pytest.raises(ValueError, match="nothing of this conversation"):
        originals.load({"forged-0": "secret"})
    assert [originals.answer(call).text.startswith("what was left out there is not kept") for call in calls] == [
        True,
        False,
        False,
    ]
    originals.load({"there-0": "found"})
    assert [originals.answer(call).is_error for call in calls] == [False, False, True]
    assert originals.missing(calls) == []


def test_entries_of_the_form_before_are_read() -> None:
    entry = Entry("d", goes_on="r", names=("a-0",), offered=True, kept=("k",), turn="t", calls=(("c", "Read"),))
    data = packed(entry)
    assert unpacked(data, Chat().wire) == entry
    before = data.replace(b"[3,", b"[2,", 1).replace(b',[["c","Read"]]', b"")
    assert before != data
    assert unpacked(before, Chat().wire) == replace(entry, calls=())
    with pytest.raises(StoreError, match="another form"):
        unpacked(data.replace(b"[3,", b"[4,", 1), Chat().wire)


def test_a_memory_store_is_shared_only_if_it_is_said_to_be() -> None:
    assert (MemoryStore().shared, MemoryStore(shared=True).shared) == (False, True)
