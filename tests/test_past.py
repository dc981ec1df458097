"""The last request of a conversation: what is known of it saves work, and never changes a byte."""

import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headroom_asgi import CompressorConfig, HeadroomConfig, TransformPipeline
from headroom_asgi._crush import Above, same_start
from headroom_asgi.compressors.kompress import packed, word_spans
from headroom_asgi.transforms import SCANNED_PER_COMPRESSED, Context, Memo, Pasts, Phase, Step, drain
from headroom_asgi.transforms.memo import Outcome
from headroom_asgi.wire import Payload, Segment, dialect_named
from headroom_asgi.wire.segments import Results
from tests.proses import prose

LINES = [f"    return self.{name}({n})  # what line {n} of the file says" for n in range(40) for name in ("read", "write")]
ROWS = json.dumps([{"id": f"ORD-{n}", "city": ["Oslo", "Lima"][n % 2], "note": f"number {n} of the list"} for n in range(30)])
LOG = "\n".join(f"2026-11-{n % 28 + 1:02} 10:00:{n % 60:02} INFO worker-{n % 3} took job {n} from the queue" for n in range(60))
TEXTS = [
    "ok",
    ROWS,
    LOG,
    "\n".join(LINES),
    "\n".join(LINES[10:60]),
    "\n".join([*LINES[30:], "and a line of its own", *LINES[:30]]),
    "\n".join(f"{n:6}\t{line}" for n, line in enumerate(LINES, 1)),
    f"{LOG}\nand one line more",
    json.dumps({"rows": json.loads(ROWS), "said": "\n".join(LINES)}),
    "\x1b[31m" + "\n".join(LINES[:30]),
    "é" * 300,
]
CCR = Context("acme", redeemable=True, policy=1)
LOSSLESS = Context("acme", redeemable=False, policy=1)

Turn = tuple[str, str, int, bool]  # the tool, what the model wrote in the call, which text came back, whether as an error


def chat(turns: Sequence[Turn], question: str = "Find the order.", *, id_last: bool = False) -> bytes:
    messages: list[dict[str, Any]] = [{"role": "user", "content": question}]
    for number, (tool, said, text, _) in enumerate(turns):
        function = {"name": tool, "arguments": json.dumps({"path": f"file{number}", "content": said})}
        messages.append({"role": "assistant", "tool_calls": [{"id": f"call_{number}", "type": "function", "function": function}]})
        result = {"role": "tool", "tool_call_id": f"call_{number}", "content": TEXTS[text]}
        messages.append(dict(reversed(result.items())) if id_last else result)
    return json.dumps({"model": "gpt-4o", "messages": messages}).encode()


def anthropic(turns: Sequence[Turn], question: str = "Find the order.", *, cached: int = -1) -> bytes:
    messages: list[dict[str, Any]] = [{"role": "user", "content": question}]
    for number, (tool, said, text, is_error) in enumerate(turns):
        use = {"type": "tool_use", "id": f"toolu_{number}", "name": tool, "input": {"content": said}}
        block: dict[str, Any] = {"type": "tool_result", "tool_use_id": use["id"], "content": TEXTS[text]}
        block |= {"is_error": True} if is_error else {}
        block |= {"cache_control": {"type": "ephemeral"}} if number == cached else {}
        messages += [{"role": "assistant", "content": [use]}, {"role": "user", "content": [block]}]
    return json.dumps({"model": "claude", "max_tokens": 9, "system": "Be brief.", "messages": messages}).encode()


def decoded(body: bytes) -> Payload:
    return dialect_named("anthropic" if b"max_tokens" in body else "openai-chat").decode(body)


def run(pipeline: TransformPipeline, body: bytes, context: Context = CCR) -> Step:
    return drain(pipeline.steps(decoded(body), context))


def said(step: Step) -> tuple[Any, ...]:
    """Everything that a run comes to, but for what it remembered."""
    report = step.report
    decisions = [(d.reason, d.ref, d.forwarded, d.tokens_before, d.tokens_after) for d in report.decisions]
    return step.payload.body, decisions, report.labels, report.markers, report.left_out, report.originals()


def cold(body: bytes, context: Context = CCR) -> tuple[Any, ...]:
    return said(run(TransformPipeline(), body, context))


TURN = st.tuples(
    st.sampled_from(["search", "Read", "Bash"]),
    st.sampled_from(["", "\n".join(LINES[:30]), "\n".join(LINES[20:70])]),
    st.integers(0, len(TEXTS) - 1),
    st.booleans(),
)
# A request goes on with, or goes back in, one of the conversations that there were, or is another one.
MOVE = st.tuples(
    st.integers(0, 3),
    st.integers(0, 6),
    st.lists(TURN, max_size=4),
    st.sampled_from(["Find the order.", "Read it again."]),
    st.integers(0, 2),
)


@settings(max_examples=120)
@given(
    st.lists(MOVE, min_size=2, max_size=8),
    st.sampled_from(["chat", "anthropic", "ids behind"]),
    st.sampled_from([1 << 26, 60_000, 6_000, 0]),
    st.lists(st.booleans(), min_size=8, max_size=8),
)
def test_a_request_comes_to_the_same_whatever_came_before(
    moves: list[tuple[int, int, list[Turn], str, int]], spelling: str, max_bytes: int, forgets: list[bool]
) -> None:
    memo = Memo(max_bytes)
    pipeline = TransformPipeline(memo=memo)
    there_were: list[list[Turn]] = [[]]
    contexts = [CCR, LOSSLESS, replace(CCR, tenant="other")]
    for (which, kept, more, question, context), forget in zip(moves, forgets, strict=False):
        turns = there_were[which % len(there_were)]
        turns = [*(turns[:kept] if kept < 4 else turns), *more]
        there_were.append(turns)
        if spelling == "anthropic":
            body = anthropic(turns, question, cached=len(turns) - 1)
        else:
            body = chat(turns, question, id_last=spelling == "ids behind")
        if forget:
            memo.clear()  # the last requests stay
        assert said(run(pipeline, body, contexts[context])) == cold(body, contexts[context])


def test_a_request_that_goes_on_is_known_up_to_where_it_is_new() -> None:
    pipeline = TransformPipeline()
    turns: list[Turn] = [("Bash", "", n, False) for n in (3, 2, 4, 1, 5)]
    for count in range(1, 5):
        run(pipeline, anthropic(turns[:count], cached=count - 1))
    recalled = pipeline.recalled(decoded(anthropic(turns, cached=4)), CCR)
    assert recalled is not None
    # The question and four results; the last of them ends before the breakpoint that the client has taken from it.
    assert len(recalled.outcomes) == 5
    assert len(recalled.standing) == 4
    assert [outcome is not None for outcome in recalled.told] == [False, False, True, False]


def test_nobody_else_has_what_a_request_takes() -> None:
    pipeline = TransformPipeline()
    turns: list[Turn] = [("Bash", "", n, False) for n in (3, 2, 4)]
    run(pipeline, chat(turns))
    payload = decoded(chat([*turns, turns[0]]))
    first, second = pipeline.recalled(payload, CCR), pipeline.recalled(payload, CCR)
    assert first is not None
    assert second is not None
    assert (len(first.outcomes), len(second.outcomes)) == (4, 0)


LONG_NAME = replace(CCR, tenant="t" * 5000)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (CCR, replace(CCR, tenant="other")),
        (LONG_NAME, replace(CCR, tenant="t" * 4999 + "u")),
        (CCR, replace(CCR, redeemable=False)),
        (CCR, replace(CCR, policy=2)),
        (CCR, replace(CCR, masks={})),
    ],
    ids=["tenant", "long tenant", "redeemable", "policy", "words"],
)
def test_what_holds_for_others_is_not_known(one: Context, other: Context) -> None:
    pipeline = TransformPipeline()
    body = chat([("Bash", "", 3, False)])
    run(pipeline, body, one)
    recalled = pipeline.recalled(decoded(body), other)
    assert recalled is not None
    assert not recalled.known


def test_what_stands_behind_a_text_and_decides_about_it_is_looked_at() -> None:
    """The bytes of the second result are the same; whose it is is said behind them."""
    pipeline = TransformPipeline()
    turns: list[Turn] = [("Bash", "", 3, False), ("Bash", "", 2, False)]
    run(pipeline, chat(turns, id_last=True))
    other = chat([turns[0], ("Read", "", 2, False)], id_last=True)
    assert said(run(pipeline, other)) == cold(other)
    errors = anthropic([turns[0], ("Bash", "", 1, True)])
    run(pipeline, anthropic([turns[0], ("Bash", "", 1, False)]))
    assert said(run(pipeline, errors)) == cold(errors)


def test_results_that_the_provider_may_leave_out_are_not_referred_to() -> None:
    pipeline = TransformPipeline()
    body = anthropic([("Bash", "", 3, False), ("Bash", "", 3, False)])
    edited = body.replace(b'"messages"', b'"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}, "messages"')
    for each in (body, edited, body, edited):
        assert said(run(pipeline, each)) == cold(each)
    behind = body[:-1] + b', "context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}}'
    for each in (body, behind, body):
        assert said(run(pipeline, each)) == cold(each)


def test_what_the_memo_has_forgotten_is_folded_again() -> None:
    memo = Memo(1 << 19)
    pipeline = TransformPipeline(memo=memo)
    body = chat([("Bash", "", n, False) for n in (3, 2, 4, 1)])
    run(pipeline, body)
    recalled = pipeline.recalled(decoded(body), CCR)
    assert recalled is not None
    folded = next(key for key in recalled.standing.keys if key)
    pipeline.keep(recalled, decoded(body), ())
    for filler in range(1000):  # which make room of it, as the others are used meanwhile
        memo.put(b"%d" % filler, Outcome("x" * 1000))
        memo.get_all(known.key for known in recalled.known)
    assert memo.get(folded) is None
    assert all(memo.get(known.key) is not None for known in recalled.known if known.key)
    assert said(run(pipeline, body)) == cold(body)


def test_what_belongs_to_a_text_and_stands_behind_it_is_not_taken_for_known() -> None:
    pipeline = TransformPipeline()
    payload = decoded(chat([("Bash", "", 3, False), ("Bash", "", 2, False)]))
    late = payload.segments[-1].node
    odd = Segment(payload.document, payload.segments[1].node, role="tool", tool_name="Bash", question=(late,), results=results())
    assert not odd.looks_back
    drain(pipeline.steps(replace(payload, segments=(payload.segments[0], odd)), CCR))
    recalled = pipeline.recalled(replace(payload, segments=(payload.segments[0], odd)), CCR)
    assert recalled is not None
    assert len(recalled.known) == 1


class Question(tuple[int, ...]):
    """The nodes of a question that counts how often somebody goes over them."""

    __slots__ = ()
    walks = 0

    def __eq__(self, other: object) -> bool:
        Question.walks += 1
        return super().__eq__(other)

    def __ne__(self, other: object) -> bool:
        Question.walks += 1
        return super().__ne__(other)

    def __hash__(self) -> int:
        Question.walks += 1
        return super().__hash__()

    def __iter__(self) -> Iterator[int]:
        Question.walks += 1
        return super().__iter__()


def test_a_question_is_gone_over_once_for_all_results_below_it() -> None:
    pipeline = TransformPipeline()
    results = [{"role": "tool", "tool_call_id": "c", "content": TEXTS[n]} for n in (3, 0)] * 40
    bodies = [json.dumps({"messages": [{"role": "user", "content": "Go on."}, *results[:n]]}).encode() for n in (60, 80)]
    Question.walks = 0
    for body in bodies:
        payload = decoded(body)
        question = Question(payload.segments[-1].question)
        for segment in payload.segments[1:]:
            segment.question = question
        drain(pipeline.steps(payload, CCR))
    assert 0 < Question.walks < 12
    recalled = pipeline.recalled(decoded(bodies[-1]), CCR)
    assert recalled is not None
    assert len(recalled.known) == 81


def test_a_result_under_another_question_is_not_known() -> None:
    pipeline = TransformPipeline()
    turns: list[Turn] = [("Bash", "", 3, False), ("Bash", "", 2, False)]
    payload = decoded(chat(turns))
    drain(pipeline.steps(payload, CCR))
    other = decoded(chat(turns))
    other.segments[2].question = ()
    recalled = pipeline.recalled(other, CCR)
    assert recalled is not None
    assert len(recalled.known) == 2


def kept_words(pipeline: TransformPipeline, body: bytes, *, told: bool) -> list[str]:
    """The results as they go; `told`: the store says which words of prose stay."""
    masks: dict[str, bytes] = {}
    steps = pipeline.steps(decoded(body), replace(CCR, masks=masks))
    for step in steps:
        if step.phase is Phase.WANTED and told:
            masks |= {key: packed(["e" in text[a:b] for a, b in word_spans(text)]) for key, text in step.wanted.items()}
    messages = json.loads(step.payload.body)["messages"]
    return [message["content"] for message in messages if message["role"] == "tool"]


def test_a_result_that_goes_otherwise_than_it_went_is_not_referred_to_as_it_was() -> None:
    """A page goes whole, as the store is down, and a file refers to it; then another conversation gets to know its words."""
    config = HeadroomConfig(kompress=CompressorConfig(enabled=True), kompress_model="/none")
    page = "\n".join(prose(n) for n in (1, 2))

    def body(*texts: tuple[str, str]) -> bytes:
        messages: list[dict[str, Any]] = [{"role": "user", "content": "Read it."}]
        for n, (tool, text) in enumerate(texts):
            call = {"id": f"c{n}", "type": "function", "function": {"name": tool, "arguments": "{}"}}
            messages.append({"role": "assistant", "tool_calls": [call]})
            messages.append({"role": "tool", "tool_call_id": f"c{n}", "content": text})
        return json.dumps({"model": "gpt-4o", "messages": messages}).encode()

    turns = [("fetch", page), ("Read", f"the file\n{page}")]
    pipeline = TransformPipeline(config)
    whole = kept_words(pipeline, body(*turns), told=False)
    assert "as in result 1]" in whole[1]
    assert len(kept_words(pipeline, body(("fetch", "Not found."), turns[0]), told=True)[1]) < len(page)
    more = body(*turns, ("fetch", "ok"))
    shorter = kept_words(pipeline, more, told=True)
    assert len(shorter[0]) < len(page)
    assert "as in result 1]" not in shorter[1]
    assert shorter == kept_words(TransformPipeline(config), more, told=True)


def test_texts_that_are_said_by_the_same_line_are_counted_each_by_itself() -> None:
    pipeline = TransformPipeline()
    for text in ("#4 ?9 !1 " * 10, "#4 ?9 !1 " * 11):
        results = [{"role": "tool", "tool_call_id": "c", "content": text}] * 2
        body = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": "Go on."}, *results]}).encode()
        step = run(pipeline, body)
        assert b"[the same as result 1]" in step.payload.body
        assert said(step) == cold(body)


def test_what_is_compared_again_is_pending() -> None:
    pipeline = TransformPipeline()
    turns: list[Turn] = [("Bash", "", n, False) for n in (3, 2, 4, 1)] * 4
    body = anthropic(turns)
    edited = body[:-1] + b', "context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}}'
    whole = len(body) // SCANNED_PER_COMPRESSED
    run(pipeline, edited)  # every result is known, none is compared with others
    pending = [next(pipeline.steps(decoded(body), CCR)).pending_bytes]
    run(pipeline, body)
    pending.append(next(pipeline.steps(decoded(body), CCR)).pending_bytes)
    assert whole * 9 // 10 < pending[0] <= whole
    assert pending[1] < 10


def test_a_request_that_goes_far_back_leaves_the_long_one_where_it_is() -> None:
    pipeline = TransformPipeline()
    turns: list[Turn] = [("Bash", "", n, False) for n in (3, 2, 4, 1, 5)]
    run(pipeline, chat(turns))
    run(pipeline, chat(turns[:1]))
    recalled = pipeline.recalled(decoded(chat(turns)), CCR)
    assert recalled is not None
    assert len(recalled.standing) == 5


def results() -> Results:
    made = Results()
    made.add("Bash", -1)
    return made


def test_requests_of_one_conversation_at_once_come_to_the_same() -> None:
    pipeline = TransformPipeline()
    turns: list[Turn] = [("Bash", "\n".join(LINES[:20]), n % len(TEXTS), False) for n in range(12)]
    bodies = [chat([*turns[:count], ("Bash", "", branch, False)]) for count in range(2, 12) for branch in (1, 3)]
    expected = {body: cold(body) for body in bodies}
    wrong: list[bytes] = []
    start = threading.Barrier(4)

    def send(order: list[bytes]) -> None:
        start.wait()
        wrong.extend(body for body in order if said(run(pipeline, body)) != expected[body])

    orders = [bodies, bodies[::-1], bodies[10:] + bodies[:10], bodies]
    threads = [threading.Thread(target=send, args=(order,)) for order in orders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_conversations_are_kept_in_so_many_bytes() -> None:
    memo = Memo(1 << 20)
    pasts = Pasts(memo)
    pipeline = TransformPipeline(memo=memo, pasts=pasts)
    for number in range(40):
        run(pipeline, chat([("Bash", "", 3, False)] * 3, question=f"Find order {number}."))
        assert 0 < pasts.size <= 1 << 18
    last, first = (
        pipeline.recalled(decoded(chat([("Bash", "", 3, False)] * 3, question=f"Find order {n}.")), CCR) for n in (39, 0)
    )
    assert last is not None
    assert first is not None
    assert len(last.outcomes) == 4
    assert not first.outcomes
    for branch in range(20):
        run(pipeline, chat([("Bash", "", 3, False), ("Bash", "", branch % len(TEXTS), False)], question="Find it."))
    pasts.clear()
    assert pasts.size == 0


def test_one_that_is_larger_than_all_may_be_is_not_kept() -> None:
    memo = Memo(40_000)
    pasts = Pasts(memo)
    run(TransformPipeline(memo=memo, pasts=pasts), chat([("Bash", "", 3, False)] * 3))
    assert pasts.size == 0


# -- what stands above -----------------------------------------------------------------------------------------------------


def names(start: int, count: int) -> list[tuple[int, bytes, bytes]]:
    return [(n, b"result %d" % n, b"") for n in range(start + 1, start + count + 1)]


# Runs of a file's lines, with others between them.
PIECES = st.lists(
    st.one_of(
        st.tuples(st.integers(0, 30), st.integers(5, 40)).map(lambda run: LINES[run[0] : sum(run)]),
        st.lists(st.sampled_from(["", "}", "[+3 lines as above]", "a line of its own", LINES[0], LINES[9]]), max_size=3),
    ),
    max_size=4,
)


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 5), st.lists(PIECES, max_size=4)), min_size=1, max_size=8))
def test_texts_that_were_taken_back_were_never_there(steps: list[tuple[int, list[list[list[str]]]]]) -> None:
    above = Above()
    texts: list[bytes] = []
    for taken, added in steps:
        kept = max(0, len(texts) - taken)
        above.cut(kept)
        more = ["\n".join(line for piece in pieces for line in piece).encode() for pieces in added]
        texts = [*texts[:kept], *more]
        out = above.add(more, [32] * len(more), names(kept, len(more)))
        assert len(above) == len(texts)
        assert out == Above().add(texts, [32] * len(texts), names(0, len(texts)))[kept:]


def test_a_table_that_grew_lets_texts_be_taken_back() -> None:
    blocks = [[f"the same head of a block {n % 40}", *(f"block {n} says {i} in this line" for i in range(9))] for n in range(600)]
    texts = [
        "\n".join(line for block in blocks[n : n + 30] + blocks[max(0, n - 90) : n] for line in block).encode()
        for n in range(0, 600, 30)
    ]
    whole = Above().add(texts, [32] * len(texts), names(0, len(texts)))
    above = Above()
    for count, text in enumerate(texts):
        above.add([text], [32], names(count, 1))
    for count in (19, 12, 13, 4, 0):
        above.cut(min(count, len(above)))
        kept = len(above)
        assert above.add(texts[kept:], [32] * (len(texts) - kept), names(kept, len(texts) - kept)) == whole[kept:]


@pytest.mark.parametrize("name", [(1, None, b""), (1, b"", None), (None, b"", b""), None])
def test_a_text_without_a_name_is_refused(name: Any) -> None:
    above = Above()
    with pytest.raises(TypeError):
        above.add([b"x"], [32], [name])
    assert len(above) == 0


def test_more_texts_than_there_are_cannot_be_left() -> None:
    above = Above()
    above.add([b"x"], [32], names(0, 1))
    for count in (-1, 2):
        with pytest.raises(ValueError, match=f"{count} of 1 texts"):
            above.cut(count)


def test_what_is_held_is_measured() -> None:
    above = Above()
    empty = above.size
    above.add([b"x" * 100_000], [32], names(0, 1))
    assert above.size > empty + 100_000
    above.cut(0)
    assert above.size < empty + 100_000


@given(st.binary(max_size=9000), st.binary(max_size=20), st.binary(max_size=20))
def test_texts_begin_alike_up_to_their_first_difference(start: bytes, one: bytes, other: bytes) -> None:
    start = (start * 5)[:9000]
    a, b = start + one, start + other
    same = same_start(a, b)
    assert a[:same] == b[:same]
    assert same == min(len(a), len(b)) or a[same] != b[same]
