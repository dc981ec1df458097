"""Streams of Bedrock, Converse and InvokeModel: frames, assembled answers, and what the client gets over several rounds."""

import base64
import json
import random as randoms

import pytest
from botocore.eventstream import EventStreamBuffer
from conversations_bedrock import BEDROCK_DIALECTS, Bedrock, Invoke, frame, wrapped

from headroom_asgi.errors import PayloadError, ResponseError
from headroom_asgi.retrieval import TOOL, Originals, Watch, rounds
from headroom_asgi.wire import EventKind, dialect_for
from headroom_asgi.wire.bedrock import BedrockConverse
from headroom_asgi.wire.bedrock_invoke import BedrockInvoke

EVERY_DIALECT = pytest.mark.parametrize("dialect", BEDROCK_DIALECTS, ids=lambda d: type(d).__name__.lower())
ORIGINALS = Originals({"aa": "rows"}, max_bytes=1 << 20)
OURS = ("ours", '{"ref": "aa"}')
THEIRS = ("theirs", '{"q": "x"}')
TEXT = ("text", "let me look")
SIGNED = ("signed", "sig")

SCRIPTS = {
    "hidden only": [[OURS], [("text", "found")]],
    "text and hidden": [[TEXT, OURS], [("text", "found")]],
    "two in parallel": [[OURS, OURS], [("text", "found")]],
    "three in sequence": [[TEXT, OURS], [OURS], [SIGNED, OURS], [("text", "found")]],
    "mixed, ours first": [[OURS, THEIRS]],
    "mixed, ours in the middle": [[TEXT, THEIRS, OURS, SIGNED, THEIRS]],
    "mixed, ours last": [[SIGNED, THEIRS, OURS]],
    "hidden, then mixed": [[SIGNED, TEXT, OURS, OURS], [TEXT, OURS, THEIRS]],
    "nothing of ours": [[SIGNED, TEXT, THEIRS]],
}
EVERY_SCRIPT = pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)


def told(dialect, streams, pieces):
    """The client's bytes of a stream in rounds, the upstream's bytes given in pieces."""
    watch = Watch(dialect.wire.codec(), TOOL.name, structured=False, max_hold_bytes=65_536)
    flow = rounds(dialect.wire, dialect.body, ORIGINALS, max_rounds=9)
    next(flow)
    out = b""
    for stream in streams:
        watch.begin_round()
        for piece in pieces(stream):
            out += watch.feed(piece)
        rest, answer = watch.end_round()
        out += rest
        try:
            flow.send(answer)
        except StopIteration as stop:
            return out + watch.finish(stop.value), stop.value
    raise AssertionError("another round was asked for")


def streams_of(dialect, script):
    return [dialect.stream(randoms.Random(7), n, parts) for n, parts in enumerate(script, 1)]


def assembled(dialect, data):
    codec = dialect.wire.codec()
    codec.begin_round()
    frames = [*codec.feed(data), *codec.close()]
    return frames, codec


def payloads(data):
    """(type, payload) of every message, as botocore reads them."""
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    return [(e.headers.get(":event-type") or e.headers[":exception-type"], json.loads(e.payload)) for e in buffer]


@EVERY_DIALECT
@EVERY_SCRIPT
def test_the_stream_says_what_the_merged_json_says_wherever_it_is_cut(dialect, script):
    streams = streams_of(dialect, script)
    whole, outcome = told(dialect, streams, lambda stream: [stream])
    assert told(dialect, streams, lambda stream: [stream[i : i + 1] for i in range(len(stream))])[0] == whole
    longest = max(map(len, streams))
    for cut in range(1, longest, 1 + longest // 60):
        assert told(dialect, streams, lambda stream, cut=cut: [stream[:cut], stream[cut:]])[0] == whole
    for n, parts in enumerate(script, 1):
        codec = assembled(dialect, streams[n - 1])[1]
        assert json.loads(codec.answer().document.data) == json.loads(dialect.json(n, parts))
    merged = dialect.wire.merge(outcome.answers, outcome.kept, notice=outcome.notice, stopped=outcome.stopped)
    assert json.loads(assembled(dialect, whole)[1].answer().document.data) == json.loads(merged)
    if len(streams) == 1 and OURS not in script[0]:
        assert whole == streams[0]


@EVERY_SCRIPT
def test_converse_clients_get_one_start_one_end_and_indices_without_gaps(script):
    whole, _ = told(Bedrock(), streams_of(Bedrock(), script), lambda stream: [stream])
    events = [(name, value) for name, value in payloads(whole) if name != "somethingNew"]
    names = [name for name, _ in events]
    assert (names[0], names[-2:]) == ("messageStart", ["messageStop", "metadata"])
    assert [names.count(name) for name in ("messageStart", "messageStop", "metadata")] == [1, 1, 1]
    stops = [value["contentBlockIndex"] for name, value in events if name == "contentBlockStop"]
    assert stops == list(range(len(stops)))
    assert list(dict.fromkeys(v["contentBlockIndex"] for _, v in events if "contentBlockIndex" in v)) == stops
    assert b"headroom" not in whole
    numbers = range(1, len(script) + 1)
    assert events[-1][1]["usage"]["inputTokens"] == sum(10 * n for n in numbers)
    assert events[-1][1]["metrics"]["latencyMs"] == sum(100 + n for n in numbers)


@EVERY_SCRIPT
def test_invoke_clients_get_one_start_one_end_and_the_metrics_of_all_rounds(script):
    whole, _ = told(Invoke(), streams_of(Invoke(), script), lambda stream: [stream])
    assert {name for name, _ in payloads(whole)} == {"chunk"}
    events = [json.loads(base64.b64decode(value["bytes"])) for _, value in payloads(whole)]
    kinds = [event["type"] for event in events]
    assert (kinds[0], kinds[-2:]) == ("message_start", ["message_delta", "message_stop"])
    assert [kinds.count(kind) for kind in ("message_start", "message_delta", "message_stop")] == [1, 1, 1]
    starts = [event["index"] for event in events if event["type"] == "content_block_start"]
    assert starts == list(range(len(starts)))
    assert not any("headroom" in json.dumps(event) for event in events)
    numbers = range(1, len(script) + 1)
    assert events[-1]["amazon-bedrock-invocationMetrics"] == {
        "inputTokenCount": sum(10 * n for n in numbers),
        "outputTokenCount": sum(numbers),
        "invocationLatency": sum(100 + n for n in numbers),
        "firstByteLatency": 51,
    }
    assert events[-2]["usage"]["output_tokens"] == sum(numbers)


@EVERY_DIALECT
def test_the_end_of_the_only_round_keeps_its_bytes(dialect):
    (stream,) = streams = streams_of(dialect, SCRIPTS["mixed, ours first"])
    ends = b"".join(each.raw for each in assembled(dialect, stream)[0][-2:])
    assert told(dialect, streams, lambda stream: [stream])[0].endswith(ends)


@EVERY_DIALECT
def test_half_a_frame_at_the_end_goes_on_in_the_first_round_only(dialect):
    stream = dialect.stream(randoms.Random(1), 1, [TEXT])
    codec = dialect.wire.codec()
    out = []
    for _ in range(2):
        codec.begin_round()
        frames = [*codec.feed(stream[:-3]), *codec.close()]
        out.append(codec.encode(frames[-1], frames[-1].events))
    assert out == [frames[-1].raw, b""]
    assert stream[:-3].endswith(frames[-1].raw)


# -- corruption and errors ---------------------------------------------------------------------------------------------


@EVERY_DIALECT
@pytest.mark.parametrize("where", [2, 30, -2])
def test_a_corrupt_frame_ends_the_stream_after_what_was_sound(dialect, where):
    stream = dialect.stream(randoms.Random(1), 1, [("text", "sound"), ("text", "broken")])
    frames = [f.raw for f in assembled(dialect, stream)[0]]
    bad = bytearray(frames[4])
    bad[where] ^= 1
    data = b"".join(frames[:4]) + bytes(bad) + b"".join(frames[5:])
    watch = Watch(dialect.wire.codec(), TOOL.name, structured=False, max_hold_bytes=65_536)
    watch.begin_round()
    assert watch.feed(data) == b"".join(frames[:4])
    with pytest.raises(ResponseError, match="corrupt"):
        watch.end_round()
    assert payloads(watch.error("cannot be followed"))[-1] == ("modelStreamErrorException", {"message": "cannot be followed"})


@EVERY_DIALECT
@pytest.mark.parametrize("kind", ["throttlingException", "modelStreamErrorException"])
def test_exceptions_of_the_service_pass_and_end_the_stream(dialect, kind):
    stream = dialect.stream(randoms.Random(1), 1, [("text", "x")])
    begun = b"".join(f.raw for f in assembled(dialect, stream)[0][:2])
    failure = frame(kind, {"message": "busy"}, exception=True)
    watch = Watch(dialect.wire.codec(), TOOL.name, structured=False, max_hold_bytes=65_536)
    watch.begin_round()
    assert watch.feed(begun + failure) == begun + failure
    assert watch.failed
    assert watch.end_round() == (b"", None)


def test_blocks_that_a_round_left_open_are_closed_before_the_next_one():
    start = frame("messageStart", {"role": "assistant"})
    text = frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "x"}})
    call = frame("contentBlockStart", {"contentBlockIndex": 1, "start": {"toolUse": {"toolUseId": "c", "name": TOOL.name}}})
    stop = frame("messageStop", {"stopReason": "tool_use"})
    last = Bedrock().stream(randoms.Random(1), 2, [("text", "found")])
    whole, _ = told(Bedrock(), [start + text + call + stop, last], lambda stream: [stream])
    names = [(name, value.get("contentBlockIndex")) for name, value in payloads(whole) if "contentBlock" in name]
    assert names[:3] == [("contentBlockDelta", 0), ("contentBlockStop", 0), ("contentBlockDelta", 1)]


@EVERY_DIALECT
def test_there_is_nothing_that_keeps_a_stream_alive_for_every_client(dialect):
    assert dialect.wire.codec().keep_alive() == b""


# -- Converse, block by block ------------------------------------------------------------------------------------------


def converse(*events):
    data = frame("messageStart", {"role": "assistant", "p": "ab"})
    data += b"".join(frame(f"contentBlock{name}", {"contentBlockIndex": index, **more}) for name, index, more in events)
    data += frame("messageStop", {"stopReason": "end_turn", "additionalModelResponseFields": {"a": 1}, "p": "x"})
    return data + frame("metadata", {"usage": {"inputTokens": 1}, "trace": {"t": 1}, "p": "x"})


def delta(index, **members):
    return ("Delta", index, {"delta": members, "p": "abc"})


BLOCKS = {
    "text in pieces": ([delta(0, text="a"), delta(0, text="\u2028b")], {"text": "a\u2028b"}),
    "text without text": ([], {"text": ""}),
    "a call without input": (
        [("Start", 0, {"start": {"toolUse": {"toolUseId": "c", "name": "n"}}}), delta(0, toolUse={"input": ""})],
        {"toolUse": {"toolUseId": "c", "name": "n", "input": {}}},
    ),
    "a call of the service": (
        [("Start", 0, {"start": {"toolUse": {"toolUseId": "c", "name": "n", "type": "server_tool_use"}}})]
        + [delta(0, toolUse={"input": piece}) for piece in ('{"a', '": "', '\\u00e9"}')],
        {"toolUse": {"toolUseId": "c", "name": "n", "type": "server_tool_use", "input": {"a": "é"}}},
    ),
    "a result of the service": (
        [
            ("Start", 0, {"start": {"toolResult": {"toolUseId": "c", "status": "success"}}}),
            delta(0, toolResult=[{"text": "a"}]),
            delta(0, toolResult=[{"json": {"b": 1}}, {"text": "c"}]),
        ],
        {"toolResult": {"toolUseId": "c", "status": "success", "content": [{"text": "a"}, {"json": {"b": 1}}, {"text": "c"}]}},
    ),
    "reasoning": (
        [delta(0, reasoningContent={key: piece}) for key, piece in (("text", "a"), ("text", "b"), ("signature", "s"))],
        {"reasoningContent": {"reasoningText": {"text": "ab", "signature": "s"}}},
    ),
    "redacted reasoning": (
        [delta(0, reasoningContent={"redactedContent": "QQ=="}), delta(0, reasoningContent={"redactedContent": "Qg=="})],
        {"reasoningContent": {"redactedContent": "QUI="}},
    ),
    "citations": (
        [delta(0, text="a"), delta(0, citation={"title": "t"}), delta(0, text="b"), delta(0, citation={"title": "u"})],
        {"citationsContent": {"content": [{"text": "ab"}], "citations": [{"title": "t"}, {"title": "u"}]}},
    ),
    "an image": (
        [("Start", 0, {"start": {"image": {"format": "png"}}}), delta(0, image={"source": {"bytes": "QQ=="}})],
        {"image": {"format": "png", "source": {"bytes": "QQ=="}}},
    ),
    "something new": ([delta(0, audio={"x": 1})], {"audio": {"x": 1}}),
}


@pytest.mark.parametrize(("events", "block"), BLOCKS.values(), ids=BLOCKS)
def test_blocks_are_assembled_as_json_answers_have_them(events, block):
    stream = converse(*events, ("Stop", 0, {}))
    frames, codec = assembled(Bedrock(), stream)
    value = json.loads(codec.answer().document.data)
    assert value == {
        "output": {"message": {"role": "assistant", "content": [block]}},
        "stopReason": "end_turn",
        "additionalModelResponseFields": {"a": 1},
        "usage": {"inputTokens": 1},
        "trace": {"t": 1},
    }
    assert b"".join(codec.encode(each, each.events) for each in frames) == stream
    # Spelled as a stream again it says the same.
    again = assembled(Bedrock(), BedrockConverse().as_stream(codec.answer()))[1]
    assert json.loads(again.answer().document.data) == value
    # Behind a call of ours it moves up, and its frames keep every other byte.
    start = {"toolUse": {"toolUseId": "h", "name": TOOL.name}}
    moved = [(name, 1, more) for name, _, more in (*events, ("Stop", 0, {}))]
    hidden = [("Start", 0, {"start": start}), delta(0, toolUse={"input": "{}"}), ("Stop", 0, {}), *moved]
    watch = Watch(Bedrock().wire.codec(), TOOL.name, structured=False, max_hold_bytes=65_536)
    watch.begin_round()
    signed = "reasoningContent" in block
    assert watch.feed(converse(*hidden)) == b"".join(f.raw for f in (frames[:1] if signed else frames[:-2]))


def test_calls_that_the_service_runs_are_none_of_the_clients_or_ours():
    start = {"toolUse": {"toolUseId": "c", "name": TOOL.name, "type": "server_tool_use"}}
    stream = converse(("Start", 0, {"start": start}), delta(0, toolUse={"input": "{}"}), ("Stop", 0, {}))
    frames, codec = assembled(Bedrock(), stream)
    assert [each.events[0].kind for each in frames[1:4]] == [EventKind.OTHER] * 3
    assert codec.answer().calls == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("contentBlockDelta", {"delta": {"text": "x"}}),
        ("contentBlockDelta", {"contentBlockIndex": -1, "delta": {"text": "x"}}),
        ("contentBlockDelta", {"contentBlockIndex": 0}),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": None}}),
        ("contentBlockStart", {"contentBlockIndex": 0, "start": {"toolUse": "x"}}),
        ("contentBlockStart", {"contentBlockIndex": 0, "start": {}}),
        ("contentBlockStop", {}),
        ("messageStop", []),
        ("messageStop", b"no JSON"),
        ("neverHeardOf", {}),
    ],
)
def test_what_cannot_be_understood_passes(name, value):
    data = frame(name, value)
    ((only,), codec) = assembled(Bedrock(), data)
    assert [event.kind for event in only.events] == [EventKind.OPAQUE]
    assert codec.encode(only, only.events) == data


def test_redacted_reasoning_that_cannot_be_joined_makes_no_answer():
    pieces = [delta(0, reasoningContent={"redactedContent": piece}) for piece in ("QQ==", "?")]
    codec = assembled(Bedrock(), converse(*pieces))[1]
    with pytest.raises(ResponseError, match="base64"):
        codec.answer()


@pytest.mark.parametrize("left_out", ["messageStart", "messageStop"])
def test_a_stream_without_its_start_or_end_makes_no_answer(left_out):
    events = [("messageStart", {"role": "assistant"}), ("messageStop", {"stopReason": "end_turn"}), ("metadata", {})]
    codec = assembled(Bedrock(), b"".join(frame(name, value) for name, value in events if name != left_out))[1]
    with pytest.raises(ResponseError, match="messageStart and messageStop"):
        codec.answer()


# -- InvokeModel -------------------------------------------------------------------------------------------------------


def test_addresses_of_invoke_model():
    arn = "arn:aws:bedrock:us-east-1:1:application-inference-profile/x"
    for path, stream in ((f"/model/{arn}/invoke", False), (f"/bedrock/model/{arn}/invoke-with-response-stream", True)):
        wire, endpoint = dialect_for(path)
        payload = wire.decode(Invoke.body, endpoint)
        assert (wire.name, payload.model, payload.stream) == ("bedrock-invoke", arn, stream)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"messages":[]}', "foreign_body"),
        (b'{"messages":[],"schemaVersion":"messages-v1"}', "foreign_body"),
        (b'{"inputText":"x"}', "no_messages"),
        (b'{"prompt":"x","anthropic_version":"bedrock-2023-05-31"}', "no_messages"),
    ],
)
def test_bodies_of_other_vendors_pass_for_a_reason(body, reason):
    with pytest.raises(PayloadError, match=f"^{reason}$"):
        BedrockInvoke().decode(body)


def test_what_is_no_event_of_the_model_passes():
    random = randoms.Random(1)
    bad = [
        frame("chunk", {"bytes": "???"}),
        frame("chunk", {"bytes": "é"}),
        frame("chunk", {"bytes": base64.b64encode(b"no JSON").decode()}),
        frame("chunk", {}),
        frame("chunk", b"no JSON"),
        frame("other", {"bytes": ""}),
        wrapped(random, {"completion": "x"}),
        wrapped(random, {"type": "a\nb"}),
        wrapped(random, {"type": "é"}),
        wrapped(random, ["x"]),
        wrapped(random, {"type": "ping"}),
    ]
    frames, codec = assembled(Invoke(), b"".join(bad))
    assert [[event.kind for event in each.events] for each in frames] == [[EventKind.OPAQUE]] * len(bad)
    assert [codec.encode(each, each.events) for each in frames] == bad


def test_an_error_of_the_model_itself_is_an_error():
    ((only,), _) = assembled(Invoke(), wrapped(randoms.Random(1), {"type": "error", "error": {"message": "x"}}))
    assert [event.kind for event in only.events] == [EventKind.ERROR]


def test_events_with_line_breaks_between_tokens_are_read():
    spread = json.dumps({"type": "message_start", "message": {"id": "m", "content": []}}, indent=2).replace("\n", "\r\n")
    ((only,), _) = assembled(Invoke(), frame("chunk", {"bytes": base64.b64encode(spread.encode()).decode()}))
    assert [event.kind for event in only.events] == [EventKind.START]
