"""Replay: whatever happened in hidden rounds, the next request goes up as the model had it, and with the very same bytes."""

import json
import random as randoms

import pytest
from every_dialect import REAL_DIALECTS
from hypothesis import given, settings
from hypothesis import strategies as st

from headroom_asgi.retrieval import TOOL, Originals, rounds
from headroom_asgi.types import ToolResult
from headroom_asgi.wire import Round, splice

EVERY_DIALECT = pytest.mark.parametrize("dialect", REAL_DIALECTS, ids=lambda d: type(d).__name__.lower())
ORIGINALS = Originals({"aa": "rows"}, max_bytes=1 << 20)
ARGUMENTS = '{"ref": "aa"}'

words = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=12)
part = st.one_of(
    st.tuples(st.sampled_from(["text", "signed"]), words),
    st.tuples(st.just("ours"), st.sampled_from([ARGUMENTS, "{}"])),
)
hidden = st.lists(part, max_size=3).map(lambda parts: [*parts, ("ours", ARGUMENTS)])
said = st.lists(st.tuples(st.sampled_from(["text", "signed"]), words), max_size=3)
mixed = st.lists(st.one_of(part, st.tuples(st.just("theirs"), st.sampled_from(["{}", '{"q": "x"}']))), min_size=1, max_size=5)
seeded = st.integers(0, 2**32).map(randoms.Random)


def hold_conversation(dialect, script):
    """The rounds that happened, the last round's body, and the answer that the client got."""
    flow = rounds(dialect.wire, dialect.body, ORIGINALS, max_rounds=len(script) + 1)
    body = next(flow)
    happened = []
    for number, parts in enumerate(script, 1):
        answer = dialect.wire.read(dialect.json(number, parts))
        ours = [call for call in answer.calls if call.name == TOOL.name]
        results = tuple(ToolResult(call, f"rows of {call.id}") for call in ours)
        happened.append(Round(answer, results))
        try:
            flow.send(answer)
        except StopIteration as stop:
            outcome = stop.value
            merged = dialect.wire.merge(outcome.answers, outcome.kept, notice=outcome.notice, stopped=outcome.stopped)
            return happened, body, merged
        body = dialect.wire.append(body, answer, results)
    raise AssertionError("the script asks for another round")


def grown(dialect, body, *turns):
    """A body with more of the conversation."""
    value = json.loads(body)
    value[dialect.wire.messages] += [item for turn in turns for item in turn]
    return json.dumps(value).encode()


def found(dialect, payload, merged):
    """The turn of the request that is the answer's."""
    wanted = dialect.wire.turn(dialect.wire.read(merged))
    alike = [turn for turn in dialect.wire.turns(payload) if (turn.text, turn.calls) == (wanted.text, wanted.calls)]
    assert alike
    return alike[-1]


def replayed(dialect, body, merged, happened):
    payload = dialect.wire.decode(body)
    return splice(body, dialect.wire.replay(payload, found(dialect, payload, merged), happened))


def conversation_of(dialect, body):
    return json.loads(body)[dialect.wire.messages]


@EVERY_DIALECT
@settings(max_examples=200, deadline=None)
@given(
    script=st.tuples(
        st.lists(hidden, min_size=1, max_size=3), said.filter(lambda parts: any(kind == "text" for kind, _ in parts))
    ).map(lambda drawn: [*drawn[0], drawn[1]])
)
def test_after_hidden_rounds_the_next_question_follows_what_the_model_saw_and_said(dialect, script):
    happened, sent, merged = hold_conversation(dialect, [dialect.canonical(parts) for parts in script])
    request = grown(dialect, dialect.body, dialect.turn(merged), dialect.question("more"))
    up = replayed(dialect, request, merged, happened)
    last_turn = dialect.turn(happened[-1].answer.document.data)
    assert conversation_of(dialect, up) == [*conversation_of(dialect, sent), *last_turn, *dialect.question("more")]


@EVERY_DIALECT
@settings(max_examples=300, deadline=None)
@given(
    script=st.tuples(
        st.lists(hidden, max_size=2), mixed.filter(lambda parts: {"ours", "theirs"} <= {kind for kind, _ in parts})
    ).map(lambda drawn: [*drawn[0], drawn[1]]),
    random=seeded,
)
def test_results_of_a_mixed_turn_go_up_in_the_order_of_its_calls(dialect, script, random):
    happened, sent, merged = hold_conversation(dialect, [dialect.canonical(parts) for parts in script])
    last = happened[-1]
    texts = {call.id: f"rows of {call.id}" for call in last.answer.calls}
    theirs = [(call.id, call.name, texts[call.id]) for call in dialect.wire.read(merged).calls]
    request = grown(dialect, dialect.body, dialect.turn(merged), dialect.results(theirs))
    up = replayed(dialect, request, merged, happened)
    whole = dialect.wire.append(sent, last.answer, [ToolResult(call, texts[call.id]) for call in last.answer.calls])
    assert conversation_of(dialect, up) == conversation_of(dialect, whole)
    # A longer conversation only adds to that.
    longer = grown(dialect, request, dialect.question("next"))
    later = conversation_of(dialect, replayed(dialect, longer, merged, happened))
    assert later == [*conversation_of(dialect, whole), *dialect.question("next")]


@EVERY_DIALECT
def test_what_is_no_part_of_the_turn_keeps_its_bytes(dialect):
    script = [[("text", "look"), ("ours", ARGUMENTS)], [("text", "there")]]
    happened, _, merged = hold_conversation(dialect, script)
    compact = grown(dialect, dialect.body, dialect.turn(merged), dialect.question("more"))
    request = compact.replace(b'"more"', b'"m\\u006fre"').replace(b"]}", b' ] , "x" : 1E3 }')
    payload = dialect.wire.decode(request)
    turn = found(dialect, payload, merged)
    up = splice(request, dialect.wire.replay(payload, turn, happened))
    assert up.startswith(request[: turn.start])
    assert happened[0].answer.document.raw(happened[0].answer.parts[0].node) in up
    end = b"m\\u006fre"
    assert up[up.index(end) :] == request[request.index(end) :]
