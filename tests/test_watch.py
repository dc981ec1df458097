"""The watcher: of a stream over several rounds the client sees what it would have seen as JSON, and nothing of our tool."""

import json
import random as randoms

import pytest
from conversations import DIALECTS, Toy
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_wire import ToyWire, line

from headroom_asgi.errors import ResponseError
from headroom_asgi.retrieval import TOOL, Originals, Watch, rounds
from headroom_asgi.wire import EventKind

EVERY_DIALECT = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda d: type(d).__name__.lower())
ORIGINALS = Originals({"aa": "rows"}, {}, max_bytes=1 << 20)
ARGUMENTS = '{"ref": "aa"}'

seeded = st.integers(0, 2**32).map(randoms.Random)  # how a stream is cut is not worth shrinking
words = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=12)
part = st.one_of(
    st.tuples(st.sampled_from(["text", "signed"]), words),
    st.tuples(st.just("ours"), st.sampled_from([ARGUMENTS, "{}", '{"ref": "zz"}'])),
)
client_part = st.one_of(part, st.tuples(st.just("theirs"), st.sampled_from(["{}", '{"q": "x"}'])))
conversation = st.tuples(st.lists(st.lists(part, max_size=4), max_size=3), st.lists(client_part, max_size=5), st.booleans()).map(
    lambda drawn: ([[*parts, ("ours", ARGUMENTS)] for parts in drawn[0]] + [drawn[1]], drawn[2])
)


def chunked(random, data):
    """The bytes in chunks, cut anywhere."""
    cuts = sorted({random.randint(0, len(data)) for _ in range(random.choice([0, 3, 40]))})
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True) if a < b]


def watch_of(dialect, **options):
    defaults = {"structured": False, "max_hold_bytes": 65_536}
    return Watch(dialect.wire.codec(), options.pop("tool_name", TOOL.name), **(defaults | options))


def as_stream(dialect, streams, random, *, structured=False, max_rounds=9):
    """The client's bytes, and the outcome."""
    watch = watch_of(dialect, structured=structured)
    flow = rounds(dialect.wire, dialect.body, ORIGINALS, max_rounds=max_rounds, structured=structured)
    next(flow)
    out = []
    for stream in streams:
        watch.begin_round()
        out += [watch.feed(chunk) for chunk in chunked(random, stream)]
        data, answer = watch.end_round()
        out.append(data)
        assert answer is not None
        assert not watch.failed
        try:
            flow.send(answer)
        except StopIteration as stop:
            return b"".join([*out, watch.finish(stop.value)]), stop.value
    raise AssertionError("another round was asked for")


def as_json(dialect, answers, *, structured=False, max_rounds=9):
    """The merged answer, and the outcome."""
    flow = rounds(dialect.wire, dialect.body, ORIGINALS, max_rounds=max_rounds, structured=structured)
    next(flow)
    for body in answers:
        try:
            flow.send(dialect.wire.read(body))
        except StopIteration as stop:
            end = stop.value
            return dialect.wire.merge(end.answers, end.kept, notice=end.notice, stopped=end.stopped), end
    raise AssertionError("another round was asked for")


def frames_of(dialect, data):
    codec = dialect.wire.codec()
    codec.begin_round()
    frames = [*codec.feed(data), *codec.close()]
    return frames, codec


def events_of(dialect, data):
    return [event for frame in frames_of(dialect, data)[0] for event in frame.events]


def assert_one_stream(dialect, data):
    """One start, one end, indices without gaps, no trace of the tool."""
    events = events_of(dialect, data)
    kinds = [event.kind for event in events]
    assert kinds.count(EventKind.START) == 1
    assert kinds.count(EventKind.FINISH) == 1
    assert kinds.count(EventKind.USAGE) == 1
    assert kinds.count(EventKind.END) == 1
    assert kinds[-1] is EventKind.END
    indices = list(dict.fromkeys(event.index for event in events if event.index is not None))
    assert indices == list(range(len(indices)))
    assert TOOL.name.encode() not in data
    assert b"headroom" not in data


@EVERY_DIALECT
@pytest.mark.parametrize("structured", [False, True])
@settings(max_examples=150)
@given(script=conversation, max_rounds=st.sampled_from([1, 2, 9]), random=seeded)
def test_the_stream_of_several_rounds_says_what_the_merged_json_answer_says(dialect, structured, script, max_rounds, random):
    parts, cut = script
    parts = [dialect.canonical(each) for each in parts[:max_rounds]]
    if all(kind != "theirs" for kind, _ in parts[-1]) and any(kind == "ours" for kind, _ in parts[-1]):
        max_rounds = len(parts)
    last = len(parts)
    numbered = list(enumerate(parts, 1))
    answers = [dialect.json(n, each, cut=cut and n == last) for n, each in numbered]
    streams = [dialect.stream(random, n, each, cut=cut and n == last) for n, each in numbered]
    merged, outcome = as_json(dialect, answers, structured=structured, max_rounds=max_rounds)
    told, streamed = as_stream(dialect, streams, random, structured=structured, max_rounds=max_rounds)

    assert (streamed.reason, streamed.notice, streamed.stopped) == (outcome.reason, outcome.notice, outcome.stopped)
    assert_one_stream(dialect, told)
    assert json.loads(frames_of(dialect, told)[1].answer().document.data) == json.loads(merged)
    if len(streams) == 1 and not any(kind == "ours" for kind, _ in parts[0]):
        assert structured or told == streams[0]


@EVERY_DIALECT
@given(data=st.data(), random=seeded)
def test_without_the_tool_every_chunk_passes_as_it_comes_and_the_answer_is_assembled(dialect, data, random):
    parts = dialect.canonical(data.draw(st.lists(client_part, max_size=5)))
    stream = dialect.stream(random, 1, parts)
    watch = watch_of(dialect, tool_name=None, structured=True)
    watch.begin_round()
    for chunk in chunked(random, stream):
        assert watch.feed(chunk) is chunk
    rest, answer = watch.end_round()
    assert rest == b""
    assert answer is not None
    assert json.loads(answer.document.data) == json.loads(dialect.json(1, parts))


@EVERY_DIALECT
@given(cut_at=st.floats(0, 1), random=seeded, ask=st.booleans())
def test_a_first_round_that_breaks_off_ends_as_the_upstream_did(dialect, cut_at, random, ask):
    parts = dialect.canonical([("signed", "s"), ("text", "hello"), ("ours" if ask else "theirs", ARGUMENTS)])
    stream = dialect.stream(random, 1, parts)
    ends = [i for i, frame in enumerate(frames_of(dialect, stream)[0]) if any(e.kind is EventKind.FINISH for e in frame.events)]
    before_the_end = b"".join(frame.raw for frame in frames_of(dialect, stream)[0][: ends[0]])
    broken = before_the_end[: int(len(before_the_end) * cut_at)]
    watch = watch_of(dialect)
    watch.begin_round()
    out = [watch.feed(chunk) for chunk in chunked(random, broken)]
    rest, answer = watch.end_round()
    assert answer is None
    told = b"".join([*out, rest])
    assert not {event.kind for event in events_of(dialect, told)} & {EventKind.FINISH, EventKind.END, EventKind.ERROR}
    if not ask:
        assert told == broken
