"""The watcher: of a stream over several rounds the client sees what it would have seen as JSON, and nothing of our tool."""

import random as randoms

import pytest
from conversations import Toy
from every_dialect import DIALECTS
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_wire import ToyWire, line

from headroom_asgi.errors import ResponseError
from headroom_asgi.retrieval import TOOL, Originals, Watch, rounds
from headroom_asgi.wire import EventKind

EVERY_DIALECT = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda d: type(d).__name__.lower())
ORIGINALS = Originals({"aa": "rows"}, max_bytes=1 << 20)
ARGUMENTS = '{"ref": "aa"}'

seeded = st.integers(0, 2**32).map(randoms.Random)  # how a stream is cut is not worth shrinking
words = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=12).filter(
    lambda drawn: "headroom" not in drawn  # hypothesis tries the words of the code under test
)
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
    assert dialect.value(frames_of(dialect, told)[1].answer().document.data) == dialect.value(merged)
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
    assert dialect.value(answer.document.data) == dialect.value(dialect.json(1, parts))


@EVERY_DIALECT
@given(cut_at=st.floats(0, 1), random=seeded, ask=st.booleans())
def test_a_first_round_that_breaks_off_ends_as_the_upstream_did(dialect, cut_at, random, ask):
    parts = dialect.canonical([("signed", "s"), ("text", "hello"), ("ours" if ask else "theirs", ARGUMENTS)])
    broken = broken_off(dialect, dialect.stream(random, 1, parts), cut_at)
    watch = watch_of(dialect)
    watch.begin_round()
    out = [watch.feed(chunk) for chunk in chunked(random, broken)]
    rest, answer = watch.end_round()
    assert answer is None
    told = b"".join([*out, rest])
    assert not {event.kind for event in events_of(dialect, told)} & {EventKind.FINISH, EventKind.END, EventKind.ERROR}
    assert TOOL.name.encode() not in told
    assert ask or told == broken


@EVERY_DIALECT
@given(cut_at=st.floats(0, 1), random=seeded)
def test_a_later_round_that_breaks_off_ends_with_an_error(dialect, cut_at, random):
    watch = watch_of(dialect)
    watch.begin_round()
    told = watch.feed(dialect.stream(random, 1, dialect.canonical([("text", "hm"), ("ours", ARGUMENTS)])))
    told += watch.end_round()[0]
    watch.begin_round()
    stream = dialect.stream(random, 2, dialect.canonical([("signed", "s"), ("text", "hello"), ("theirs", "{}")]))
    told += b"".join(watch.feed(chunk) for chunk in chunked(random, broken_off(dialect, stream, cut_at)))
    rest, answer = watch.end_round()
    assert answer is None
    told += rest + watch.error("upstream went away")
    assert watch.failed
    kinds = [event.kind for event in events_of(dialect, told) if event.kind is not EventKind.OPAQUE]
    assert kinds[-1] is EventKind.ERROR
    assert kinds.count(EventKind.ERROR) == kinds.count(EventKind.START) == 1
    assert not {EventKind.FINISH, EventKind.END} & set(kinds)


def broken_off(dialect, stream, cut_at):
    """The first part of a stream, at most up to its reason."""
    before = []
    for frame in frames_of(dialect, stream)[0]:
        if any(event.kind is EventKind.FINISH for event in frame.events):
            break
        before.append(frame.raw)
    return b"".join(before)[: int(sum(map(len, before)) * cut_at)]


# -- what is held, frame by frame, in a dialect of our own -------------------------------------------------------------


def toy(**options):
    watch = watch_of(Toy(), **options)
    watch.begin_round()
    return watch


def end(reason="stop"):
    return line(["finish", reason], ["usage", 1]) + line(["end"])


START = line(["start", "a1"])
CALL = line(["call", 0, TOOL.name, "c1"])
ARGS = line(["piece", 0, ARGUMENTS])


def outcome_of(answer, *more, **options):
    flow = rounds(ToyWire(), b'{"turns":[]}', ORIGINALS, **({"max_rounds": 9} | options))
    next(flow)
    for each in (answer, *more):
        try:
            flow.send(each)
        except StopIteration as stop:
            return stop.value
    raise AssertionError("another round was asked for")


def test_text_passes_frame_by_frame_as_the_very_bytes():
    watch = toy()
    for frame in (START, line(["text", 0, "a"]), line(["ping"]), line(["other", 1, "b"])):
        assert watch.feed(frame[:5]) == b""
        assert watch.feed(frame[5:]) == frame


def test_visible_from_the_first_content_on():
    watch = toy()
    watch.feed(START + line(["ping"]) + line(["text", 0, ""]) + CALL.replace(b"0", b"1", 1))
    watch.feed(ARGS.replace(b"0", b"1", 1))
    assert not watch.visible
    watch.feed(line(["text", 0, "x"]))
    assert watch.visible


@pytest.mark.parametrize("kind", ["signed", "other"])
def test_reasoning_counts_as_visible(kind):
    watch = toy()
    watch.feed(START + line([kind, 0, "x"]))
    assert watch.visible


def test_a_call_of_the_client_passes_at_once_and_one_whose_name_may_become_ours_when_that_is_known():
    watch = toy()
    named = line(["call", 0, "search", "c0"])
    assert watch.feed(START + named) == START + named
    begun = line(["call", 1, "headroom_", "c1"])
    behind = line(["text", 2, "x"])
    assert watch.feed(begun) == b""
    assert watch.feed(behind) == b""
    more = line(["call", 1, "report", ""])
    assert watch.feed(more) == begun + behind + more


def test_a_name_that_only_begins_like_ours_is_shown_once_its_arguments_come():
    watch = toy()
    frames = [line(["call", 0, "headroom", "c1"]), line(["piece", 0, ""]), line(["piece", 0, "{"])]
    assert [watch.feed(frame) for frame in frames] == [b"", b"", b"".join(frames)]


def test_a_name_that_comes_in_pieces_with_empty_arguments_beside_each_is_ours():
    watch = toy()
    for piece in ("headroom", "_", "retrieve"):
        assert watch.feed(line(["call", 0, piece, "c1"], ["piece", 0, ""])) == b""
    assert watch.feed(ARGS + line(["text", 1, "x"])) == line(["text", 0, "x"])


def test_nothing_overtakes_a_call_that_is_held():
    watch = toy()
    frames = line(["call", 0, "head", "c1"]) + line(["ping"]) + line(["text", 1, "x"])
    assert watch.feed(frames) == b""
    assert watch.feed(line(["call", 0, "er", ""])) == frames + line(["call", 0, "er", ""])


def test_a_name_that_is_only_the_beginning_of_ours_is_shown_at_the_end_of_the_round():
    watch = toy()
    frames = START + line(["call", 0, "head", "c1"]) + line(["piece", 0, "{}"])
    assert watch.feed(frames) == START
    assert watch.feed(end("calls")) == b""
    told, answer = watch.end_round()
    assert START + told == frames
    assert watch.finish(outcome_of(answer)) == end("calls")


def test_a_name_that_goes_on_beyond_ours_is_the_clients():
    watch = toy()
    longer = line(["call", 0, "_v2", ""])
    assert watch.feed(CALL) == b""
    assert watch.feed(longer + ARGS) == CALL + longer + ARGS


def test_a_call_without_an_index_comes_whole():
    watch = toy()
    ours = line(["call", None, TOOL.name, "c1"], ["piece", None, ARGUMENTS])
    theirs = line(["call", None, "search", "c2"], ["piece", None, "{}"])
    prefix = line(["call", None, "headroom", "c3"], ["piece", None, "{}"])
    assert watch.feed(START + ours + theirs + ours + prefix) == START + theirs + prefix


def test_what_follows_our_call_moves_up_and_what_was_signed_after_it_is_dropped():
    watch = toy()
    watch.feed(START + line(["signed", 0, "kept"]))
    told = watch.feed(
        line(["call", 1, TOOL.name, "c"]) + line(["piece", 1, "{"]) + line(["signed", 2, "no"]) + line(["text", 3, "t"])
    )
    assert told == line(["text", 1, "t"])


def test_the_end_is_held_until_it_is_known_that_no_round_follows():
    watch = toy()
    assert watch.feed(START + line(["text", 0, "x"]) + end()) == START + line(["text", 0, "x"])
    told, answer = watch.end_round()
    assert told == b""
    assert watch.finish(outcome_of(answer)) == end()


def test_usage_beside_content_passes_as_long_as_nothing_was_taken_out():
    watch = toy()
    counted = line(["text", 0, "x"], ["usage", 1])
    assert watch.feed(START + counted) == START + counted
    asked = line(["call", 1, TOOL.name, "c"], ["piece", 1, "{}"], ["usage", 2])
    assert watch.feed(asked) == b""
    assert watch.feed(line(["text", 2, "y"], ["usage", 3])) == line(["text", 1, "y"])


def test_keep_alives_pass_while_text_is_held():
    watch = toy(structured=True)
    assert watch.feed(START + line(["text", 0, "{"])) == START
    assert watch.feed(line(["ping"])) == line(["ping"])
    assert not watch.visible


def test_structured_text_is_shown_once_a_call_of_the_client_makes_the_round_the_last():
    watch = toy(structured=True)
    watch.feed(START)
    frames = line(["text", 0, "x"]) + line(["call", 1, "search", "c"])
    assert watch.feed(frames) == frames
    assert watch.feed(line(["text", 2, "y"])) == line(["text", 2, "y"])


def test_structured_text_of_a_hidden_round_is_discarded_and_what_does_not_belong_to_it_is_not():
    watch = toy(structured=True)
    told = watch.feed(START + line(["text", 0, "pre"]) + line(["other", 1, "o"]) + CALL.replace(b"0", b"2", 1))
    told += watch.feed(end("calls")) + watch.end_round()[0]
    assert told == START
    watch.begin_round()
    told = watch.feed(line(["start", "a2"]) + line(["text", 0, "{}"]))
    assert told == line(["other", 0, "o"])
    told = watch.feed(end()) + watch.end_round()[0]
    assert told == line(["text", 1, "{}"])


def test_structured_text_beyond_the_bound_is_let_through():
    watch = toy(structured=True, max_hold_bytes=100)
    first, second = line(["text", 0, "x" * 60]), line(["text", 0, "y" * 60])
    assert watch.feed(first) == b""
    assert watch.feed(second) == first + second
    assert watch.feed(first) == first


def test_a_call_that_is_held_beyond_the_bound_is_the_clients():
    watch = toy(max_hold_bytes=100)
    begun, behind = line(["call", 0, "head", "c"]), line(["text", 1, "x" * 90])
    assert watch.feed(begun + behind) == begun + behind


def test_arguments_of_ours_without_end_are_an_error_that_loses_nothing():
    watch = toy(max_hold_bytes=100)
    text = line(["text", 1, "x"])
    with pytest.raises(ResponseError, match="100 bytes"):
        watch.feed(CALL + text + line(["piece", 0, "x" * 60]) + line(["piece", 0, "x" * 60]))
    assert watch.error("too long") == line(["text", 0, "x"]) + line(["error", "too long"])


def test_an_error_in_the_stream_passes_with_what_was_held_and_ends_it():
    watch = toy(structured=True)
    frames = START + line(["text", 0, "x"]) + line(["finish", "stop"]) + line(["error", "overloaded"]) + line(["end"])
    assert watch.feed(frames) == frames
    assert watch.failed
    assert watch.end_round() == (b"", None)


def test_a_later_round_that_breaks_off_after_its_usage_does_not_tell_it():
    watch = toy()
    watch.feed(START + CALL + ARGS + end("calls"))
    watch.end_round()
    watch.begin_round()
    text = line(["text", 0, "x"])
    assert watch.feed(line(["start", "a2"]) + text + line(["usage", 1])) == text
    assert watch.end_round() == (b"", None)


def test_an_error_after_our_call_passes_without_it():
    watch = toy()
    watch.feed(START + CALL)
    assert watch.feed(ARGS + line(["error", "overloaded"])) == line(["error", "overloaded"])
    assert watch.end_round() == (b"", None)


def test_an_answer_that_says_nothing_gets_the_notice():
    watch = toy()
    watch.feed(START + CALL + ARGS + end("calls"))
    _, answer = watch.end_round()
    outcome = outcome_of(answer, max_rounds=1)
    assert watch.finish(outcome) == line(["text", 0, outcome.notice]) + end("stop")


def test_a_second_attempt_at_a_round_is_no_second_round():
    watch = toy()
    watch.begin_round()
    assert watch.feed(START) == START


def test_what_was_let_through_comes_before_our_own_error():
    watch = toy(structured=True)
    watch.feed(START + line(["other", 0, "o"]) + line(["text", 1, "x"]) + line(["other", 2, "p"]) + CALL.replace(b"0", b"3", 1))
    watch.feed(end("calls"))
    watch.end_round()
    watch.begin_round()
    assert watch.error("no") == line(["other", 1, "p"]) + line(["error", "no"])


def test_an_error_is_noticed_without_the_tool_too():
    watch = toy(tool_name=None)
    assert watch.feed(START + line(["error", "x"])) == START + line(["error", "x"])
    assert watch.failed
    assert watch.end_round() == (b"", None)
