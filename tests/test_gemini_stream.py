"""Streams of Gemini: chunks to events, the rounds of an exchange to one stream, cut anywhere, as events and as an array."""

import itertools
import json
from typing import Any

import pytest
from conversations_gemini import Gemini
from hypothesis import given
from hypothesis import strategies as st

from headroom_asgi.errors import ResponseError
from headroom_asgi.retrieval import TOOL, Originals, Watch, rounds
from headroom_asgi.wire import EventKind, Finish, dialect_named
from headroom_asgi.wire.gemini_framing import ArrayFraming, EventFraming
from headroom_asgi.wire.gemini_parts import SENT_SENTINEL

WIRE = dialect_named("gemini")
EVENTS, ARRAY = "text/event-stream", "application/json"
MEDIA = (EVENTS, ARRAY)
BODY = b'{"contents":[{"role":"user","parts":[{"text":"q"}]}]}'
ORIGINALS = Originals({"aa": "rows"}, max_bytes=1 << 20)
both = pytest.mark.parametrize("media", MEDIA)


def text(words: str) -> dict[str, Any]:
    return {"text": words}


def call(name: str = "search", signature: str = "", **arguments: Any) -> dict[str, Any]:
    return {"functionCall": {"name": name, "args": arguments}} | ({"thoughtSignature": signature} if signature else {})


OURS = call(TOOL.name, ref="aa")


def chunk(*parts: Any, reason: str = "", number: int = 1, usage: int = 0, **candidate: Any) -> dict[str, Any]:
    told = {"content": {"parts": list(parts), "role": "model"}, "index": 0} | ({"finishReason": reason} if reason else {})
    counted = {"usageMetadata": {"totalTokenCount": usage}} if usage else {}
    return {"candidates": [told | candidate]} | counted | {"modelVersion": "gemini-3-pro", "responseId": f"r{number}"}


def spelled(media: str, *chunks: Any) -> bytes:
    """The chunks as the API spells them."""
    if media == EVENTS:
        return b"".join(b"data: " + json.dumps(each).encode() + b"\r\n\r\n" for each in chunks)
    return b"[" + b"\n,\r\n".join(json.dumps(each).encode() for each in chunks) + b"\n]"


def read(media: str, data: bytes) -> list[Any]:
    """What a client reads: as strictly as Google's own."""
    if media == ARRAY:
        found = json.loads(data)
        assert isinstance(found, list)
        return found
    events = [event for event in data.replace(b"\r\n", b"\n").split(b"\n\n") if event.strip()]
    assert all(event.strip(b"\n").startswith(b"data: {") for event in events)
    return [json.loads(event.strip(b"\n")[6:]) for event in events]


def watched(media: str, *streams: bytes, cut: int = -1, structured: bool = False, max_rounds: int = 9) -> bytes:
    """The client's bytes of an exchange, each stream cut in two."""
    watch = Watch(WIRE.codec(media), TOOL.name, structured=structured, max_hold_bytes=1 << 16)
    flow = rounds(WIRE, BODY, ORIGINALS, max_rounds=max_rounds, structured=structured)
    next(flow)
    out = []
    for stream in streams:
        watch.begin_round()
        at = len(stream) if cut < 0 else min(cut, len(stream))
        out += [watch.feed(stream[:at]), watch.feed(stream[at:])]
        data, answer = watch.end_round()
        out.append(data)
        assert answer is not None
        try:
            flow.send(answer)
        except StopIteration as stop:
            return b"".join([*out, watch.finish(stop.value)])
    raise AssertionError("another round was asked for")


def parts_of(chunks: list[Any]) -> list[Any]:
    return [part for each in chunks for part in each["candidates"][0]["content"]["parts"]]


def events_of(media: str, data: bytes) -> list[EventKind]:
    codec = WIRE.codec(media)
    codec.begin_round()
    return [event.kind for frame in [*codec.feed(data), *codec.close()] for event in frame.events]


def assembled(media: str, *chunks: Any) -> Any:
    codec = WIRE.codec(media)
    codec.begin_round()
    codec.feed(spelled(media, *chunks))
    codec.close()
    return json.loads(codec.answer().document.data)


# -- framing -----------------------------------------------------------------------------------------------------------

STREAMS = {
    "plain": [[chunk(text("hel"), usage=3), chunk(text("lo"), reason="STOP", usage=5)]],
    "hidden only": [
        [chunk(OURS), chunk(text(""), reason="STOP", usage=5)],
        [chunk(text("so"), reason="STOP", number=2, usage=7)],
    ],
    "text then hidden": [
        [chunk(text('let [me} "\\ look\u2028')), chunk(OURS, reason="STOP", usage=5)],
        [chunk(text("so"), number=2, usage=6), chunk(text("!"), reason="STOP", number=2, usage=7)],
    ],
    "hidden then text": [
        [chunk(OURS), chunk(text("hm")), chunk(reason="STOP", usage=5)],
        [chunk(text("so"), reason="STOP", number=2)],
    ],
    "parallel hidden": [[chunk(OURS, OURS, reason="STOP", usage=5)], [chunk(text("so"), reason="STOP", number=2)]],
    "sequential hidden": [[chunk(OURS, reason="STOP", number=n, usage=n)] for n in (1, 2, 3)]
    + [[chunk(text("so"), reason="STOP", number=4, usage=4)]],
    "mixed, hidden first": [[chunk(call(TOOL.name, "sig", ref="aa"), call(q=1)), chunk(call(q=2), reason="STOP", usage=5)]],
    "mixed, hidden in the middle": [[chunk(call(q=1, signature="sig"), OURS, call(q=2), reason="STOP", usage=5)]],
    "mixed, hidden last": [[chunk(call(q=1, signature="sig")), chunk(OURS, reason="STOP", usage=5)]],
}
scripted = pytest.mark.parametrize("script", STREAMS.values(), ids=STREAMS)


@both
@scripted
def test_wherever_a_stream_is_cut_the_client_gets_the_same_bytes(media: str, script: list[Any]) -> None:
    streams = [spelled(media, *chunks) for chunks in script]
    whole = watched(media, *streams)
    for at in range(max(map(len, streams)) + 1):
        assert watched(media, *streams, cut=at) == whole


@both
@scripted
def test_a_stream_of_several_rounds_is_one_stream_without_a_trace_of_the_tool(media: str, script: list[Any]) -> None:
    told = watched(media, *(spelled(media, *chunks) for chunks in script))
    chunks = read(media, told)
    assert TOOL.name.encode() not in told
    assert {each["responseId"] for each in chunks} == {"r1"}
    assert [each["candidates"][0].get("finishReason") for each in chunks] == [None] * (len(chunks) - 1) + ["STOP"]
    usage = sum(max(each.get("usageMetadata", {}).get("totalTokenCount", 0) for each in round_) for round_ in script)
    assert chunks[-1]["usageMetadata"]["totalTokenCount"] == usage
    visible = [part for each in script for part in parts_of(each) if part != text("") and TOOL.name not in str(part)]
    shown = [part for part in parts_of(chunks) if part != text("")]
    assert [{k: v for k, v in part.items() if v != SENT_SENTINEL} for part in shown] == visible


@both
@scripted
def test_the_stream_says_what_the_merged_answer_says(media: str, script: list[Any]) -> None:
    answers = []
    for chunks in script:
        codec = WIRE.codec(media)
        codec.begin_round()
        codec.feed(spelled(media, *chunks))
        answers.append(codec.answer())
    kept = [[part for part in answer.parts if part.call is None or part.call.name != TOOL.name] for answer in answers]
    merged = WIRE.merge(answers, kept, notice="", stopped=False)
    told = assembled(media, *read(media, watched(media, *(spelled(media, *chunks) for chunks in script))))
    dialect = Gemini()
    assert dialect.value(json.dumps(told)) == dialect.value(merged)


@both
def test_chunks_without_our_call_pass_as_their_very_bytes(media: str) -> None:
    stream = spelled(
        media, chunk(text("hi"), usage=1), {"usageMetadata": {"x": 1}}, chunk(call()), chunk(text(""), reason="STOP")
    )
    stream = stream.replace(b'"index"', b'"ind\\u0065x"') + b"\r\n"
    assert watched(media, stream) == stream


@both
def test_the_codec_loses_no_byte_whatever_comes(media: str) -> None:
    for data in (
        b"",
        b"\r\n\r\n",
        b": hm\n\n",
        b"data: {\n\n",
        b"[]",
        b"[ ]x",
        b'{"a":[1,2]}',
        b"]]}{",
        b'[{"a":"]',
        b"data: [DONE]\n\n",
    ):
        codec = WIRE.codec(media)
        codec.begin_round()
        frames = [*codec.feed(data), *codec.close()]
        assert b"".join(frame.raw for frame in frames) == data


@given(st.binary(max_size=60) | st.text('[]{},"\\:a1 \n', max_size=60).map(str.encode), st.lists(st.integers(0, 60), max_size=4))
def test_elements_of_an_array_are_the_same_however_it_is_cut(data: bytes, cuts: list[int]) -> None:
    def pieces(*chunks: bytes) -> list[Any]:
        framing = ArrayFraming()
        return [piece for each in chunks for piece in framing.feed(each)] + framing.close()

    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    chunks = [data[a:b] for a, b in itertools.pairwise(places)]
    assert pieces(*chunks) == pieces(data)
    assert b"".join(piece.raw for piece in pieces(data)) == data


inner = st.text('[]{},"\\a', max_size=4)
element = st.dictionaries(inner, inner | st.lists(st.dictionaries(inner, inner, max_size=1), max_size=2), max_size=2)


@given(st.lists(element, max_size=4))
def test_every_element_of_an_array_is_found(values: list[Any]) -> None:
    data = json.dumps(values, indent=1).encode()
    framing = ArrayFraming()
    pieces = framing.feed(data)
    assert [json.loads(piece.data) for piece in pieces if piece.data] == values
    assert [piece.closes for piece in pieces] == [False] * len(values) + [True]


def test_an_element_without_end_is_an_error_that_loses_nothing() -> None:
    framing = ArrayFraming(max_element_bytes=10)
    assert len(framing.feed(b'[{"a":1}')) == 1
    with pytest.raises(ResponseError, match="10 bytes"):
        framing.feed(b',{"a":"' + b"x" * 20)
    assert framing.close()[0].raw == b',{"a":"' + b"x" * 20


def test_an_event_goes_on_one_line() -> None:
    assert EventFraming().spell(b'{\n"a": "b\\n"\r\n}') == b'data: {"a":"b\\n"}\r\n\r\n'


def test_a_stream_whose_last_event_lacks_its_end_goes_on_in_an_event_of_its_own() -> None:
    first = spelled(EVENTS, chunk(OURS, reason="STOP", usage=1), chunk(text("x"))).rstrip(b"\r\n")
    told = read(EVENTS, watched(EVENTS, first, spelled(EVENTS, chunk(text("so"), reason="STOP"))))
    assert parts_of(told) == [text("x"), text("so"), text("")]


# -- events ------------------------------------------------------------------------------------------------------------


@both
def test_what_chunks_say(media: str) -> None:
    parts = [
        text("hi"),
        {"text": "hm", "thought": True},
        {"text": "", "thoughtSignature": "s"},
        text(""),
        call(),
        {"inlineData": {}},
    ]
    told = events_of(media, spelled(media, chunk(*parts), {"usageMetadata": {}}, chunk(reason="STOP", usage=1)))
    kinds = ["start", "text", "other", "signed", "text", "call", "other", "opaque", "finish", "usage", "end"]
    assert [kind.value for kind in told] == kinds


@both
def test_a_prompt_that_was_blocked_ends_the_stream(media: str) -> None:
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"totalTokenCount": 3}}
    assert EventKind.FINISH in events_of(media, spelled(media, blocked))
    told = read(
        media, watched(media, spelled(media, chunk(text("hm")), chunk(OURS, reason="STOP", usage=2)), spelled(media, blocked))
    )
    assert told[-1] == {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"totalTokenCount": 5}}


@both
@pytest.mark.parametrize("bare", [False, True])
def test_an_error_in_the_stream_ends_it(media: str, bare: bool) -> None:
    error = {"error": {"code": 503, "message": "m", "status": "UNAVAILABLE"}}
    stream = spelled(media, chunk(text("hm")), error)
    if bare and media == EVENTS:
        stream = spelled(media, chunk(text("hm"))) + json.dumps(error, indent=2).encode() + b"\n"
    assert events_of(media, stream)[2] is EventKind.ERROR
    watch = Watch(WIRE.codec(media), TOOL.name, structured=False, max_hold_bytes=1 << 16)
    watch.begin_round()
    assert watch.feed(stream) + watch.end_round()[0] == stream
    assert watch.failed
    # In a later round too, where the client's stream goes on.
    watch = Watch(WIRE.codec(media), TOOL.name, structured=False, max_hold_bytes=1 << 16)
    watch.begin_round()
    told = watch.feed(spelled(media, chunk(text("a"), OURS, reason="STOP"))) + watch.end_round()[0]
    watch.begin_round()
    told += watch.feed(stream) + watch.end_round()[0]
    assert read(media, told)[-1] == error
    assert watch.failed


@both
def test_an_error_of_ours_is_googles_error_object(media: str) -> None:
    watch = Watch(WIRE.codec(media), TOOL.name, structured=False, max_hold_bytes=1 << 16)
    watch.begin_round()
    told = watch.feed(spelled(media, chunk(text("a"), OURS, reason="STOP")))
    told += watch.end_round()[0] + watch.error("gone")
    assert read(media, told)[-1] == {"error": {"code": 503, "message": "gone", "status": "UNAVAILABLE"}}
    fresh = WIRE.codec(media)
    assert len(read(media, fresh.error("gone"))) == 1


@both
def test_keep_alives_fit_between_chunks(media: str) -> None:
    codec = WIRE.codec(media)
    codec.begin_round()
    stream = spelled(media, chunk(text("a")), chunk(text("b"), reason="STOP"))
    frames = codec.feed(stream)
    spaced = b"".join(frame.raw + (codec.keep_alive() if i == 0 else b"") for i, frame in enumerate(frames))
    assert read(media, spaced) == read(media, stream)


@both
def test_a_notice_is_a_chunk_with_a_text(media: str) -> None:
    told = read(media, watched(media, spelled(media, chunk(OURS, reason="STOP", usage=2)), max_rounds=1))
    assert "left out" in told[0]["candidates"][0]["content"]["parts"][0]["text"]
    assert [each["responseId"] for each in told] == ["r1", "r1"]
    assert told[-1]["candidates"][0]["finishReason"] == "STOP"


@both
def test_text_under_structured_output_shows_only_in_the_last_round(media: str) -> None:
    first = spelled(media, chunk(text("pre")), chunk(text("amble"), OURS, reason="STOP"))
    second = spelled(media, chunk(text('{"a"'), number=2), chunk(text(":1}"), reason="STOP", number=2))
    told = read(media, watched(media, first, second, structured=True))
    assert "".join(part["text"] for part in parts_of(told)) == '{"a":1}'


def test_an_array_that_ends_without_a_reason_still_is_one() -> None:
    told = read(ARRAY, watched(ARRAY, spelled(ARRAY, chunk(text("a")), chunk(OURS)), spelled(ARRAY, chunk(text("b")))))
    assert "".join(part["text"] for part in parts_of(told)) == "ab"


@both
def test_sources_go_with_their_chunk_once(media: str) -> None:
    sources = {"groundingMetadata": {"webSearchQueries": ["q"]}}
    last = chunk(text("so"), reason="STOP", number=2, safetyRatings=[1], **sources)
    told = read(media, watched(media, spelled(media, chunk(text("a"), OURS, reason="STOP", **sources)), spelled(media, last)))
    assert [each["candidates"][0].get("groundingMetadata") for each in told] == [*[sources["groundingMetadata"]] * 2, None]
    assert [each["candidates"][0].get("safetyRatings") for each in told] == [None, None, [1]]


@both
def test_running_totals_of_a_later_round_do_not_show(media: str) -> None:
    first = spelled(media, chunk(text("a"), usage=3), chunk(OURS, reason="STOP", usage=5))
    second = spelled(media, chunk(usage=6), chunk(text("b"), usage=7), chunk(usage=8), chunk(text("c"), reason="STOP", usage=9))
    told = read(media, watched(media, first, second))
    assert [each.get("usageMetadata", {}).get("totalTokenCount") for each in told] == [3, None, None, 14]


# -- calls whose arguments stream --------------------------------------------------------------------------------------


def piece(path: str, goes_on: bool = True, **value: Any) -> dict[str, Any]:
    return {"functionCall": {"partialArgs": [{"jsonPath": path, **value}]} | ({"willContinue": True} if goes_on else {})}


def begun(name: str, **more: Any) -> dict[str, Any]:
    return {"functionCall": {"name": name, "willContinue": True}} | more


END = {"functionCall": {}}


@both
def test_arguments_that_come_in_pieces_are_put_together(media: str) -> None:
    pieces = [
        begun("search", thoughtSignature="s"),
        piece("$.q", stringValue="New \ud83d", willContinue=True),
        piece("$.q", stringValue="\ude00 York"),
        piece("$.n", numberValue=3),
        piece("$.f", numberValue=0.5),
        piece("$.deep[0].x", boolValue=True),
        piece("$.deep[1]['a b'][\"c\"]", nullValue="NULL_VALUE"),
        piece("$.deep[999999999]", stringValue="next"),
        piece("?", stringValue="odd", goes_on=False),
        call(q=1),
    ]
    told = assembled(media, *(chunk(each) for each in pieces), chunk(text("x"), reason="STOP"))
    arguments = {"q": "New 😀 York", "n": 3, "f": 0.5, "deep": [{"x": True}, {"a b": {"c": None}}, "next"], "?": "odd"}
    assert parts_of([told]) == [call(signature="s", **arguments), call(q=1), text("x")]


def test_arguments_that_nobody_can_follow_make_no_answer() -> None:
    codec = WIRE.codec()
    codec.begin_round()
    codec.feed(spelled(EVENTS, chunk(begun("search"), piece("$" + ".a" * 100_000, stringValue="x"), reason="STOP")))
    with pytest.raises(ResponseError):
        codec.answer()
    codec.begin_round()
    codec.feed(
        spelled(EVENTS, chunk(begun("n"), piece("$.n", numberValue=0), reason="STOP")).replace(b": 0", b": " + b"9" * 5_000)
    )
    with pytest.raises(ResponseError):
        codec.answer()


@both
def test_a_hidden_call_whose_arguments_stream_is_answered_and_swallowed(media: str) -> None:
    ours = [begun(TOOL.name, thoughtSignature="s"), piece("$.ref", stringValue="a"), piece("$.ref", stringValue="a"), END]
    theirs = [begun("search"), piece("$.q", stringValue="x"), END]
    pure = spelled(media, *(chunk(each) for each in ours), chunk(reason="STOP"))
    told = read(media, watched(media, pure, spelled(media, chunk(text("so"), reason="STOP"))))
    assert parts_of(told) == [text("so"), text("")]
    mixed = spelled(media, *(chunk(each) for each in ours + theirs), chunk(reason="STOP"))
    shown = parts_of(read(media, watched(media, mixed)))
    assert shown == [theirs[0] | {"thoughtSignature": SENT_SENTINEL}, *theirs[1:], text("")]


def test_the_sentinel_follows_the_rules_of_whole_answers() -> None:
    signed = chunk(call(TOOL.name, "sig", ref="aa"), number=1)
    for version, signature, expected in (
        ("gemini-3-pro", "", SENT_SENTINEL),
        ("gemini-2.5-pro", "", None),
        ("gemini-3-pro", "own", "own"),
    ):
        rest = chunk(call(signature=signature), call(), reason="STOP") | {"modelVersion": version}
        shown = parts_of(read(EVENTS, watched(EVENTS, spelled(EVENTS, signed, rest))))
        assert [part.get("thoughtSignature") for part in shown if "functionCall" in part] == [expected, None]


def test_a_cut_round_keeps_its_reason_and_drops_our_call() -> None:
    told = read(EVENTS, watched(EVENTS, spelled(EVENTS, chunk(text("a"), begun(TOOL.name)), chunk(reason="MAX_TOKENS"))))
    assert parts_of(told) == [text("a"), text("")]
    assert told[-1]["candidates"][0]["finishReason"] == "MAX_TOKENS"
    codec = WIRE.codec()
    codec.begin_round()
    codec.feed(spelled(EVENTS, chunk(reason="MAX_TOKENS")))
    assert codec.answer().finish is Finish.CUT


def test_texts_go_on_from_chunk_to_chunk_and_thoughts_apart_from_them() -> None:
    thoughts = [{"text": words, "thought": True} for words in ("a", "b")]
    signed = {"text": "g", "thoughtSignature": "s"}
    chunks = [
        *map(chunk, thoughts),
        chunk(text("c")),
        chunk(text("d"), text("e")),
        chunk(text("f")),
        chunk(signed),
        chunk(text("h")),
    ]
    expected = [{"text": "ab", "thought": True}, text("cd"), text("ef"), signed, text("h")]
    assert parts_of([assembled(EVENTS, *chunks, chunk(reason="STOP"))]) == expected


def test_a_call_with_a_name_is_another_one_even_if_the_last_was_to_go_on() -> None:
    told = events_of(EVENTS, spelled(EVENTS, chunk(begun("search")), chunk(call()), chunk(END, reason="STOP")))
    assert [kind for kind in told if kind in (EventKind.CALL, EventKind.PIECE)] == [EventKind.CALL] * 3


def test_a_call_whose_hidden_sibling_had_no_signature_gets_none() -> None:
    shown = parts_of(read(EVENTS, watched(EVENTS, spelled(EVENTS, chunk(OURS), chunk(call(), reason="STOP")))))
    assert shown == [call(), text("")]


def test_what_cannot_be_read_is_left_out_of_later_rounds() -> None:
    second = spelled(EVENTS, chunk(text("a")))
    comment = b": the api has none, and its client takes none\r\n\r\n"
    end = spelled(EVENTS, chunk(text("b"), reason="STOP"))
    told = watched(EVENTS, spelled(EVENTS, chunk(OURS, reason="STOP")), second + comment + b"\r\n\r\n" + end)
    assert comment not in told
    assert parts_of(read(EVENTS, told)) == [text("a"), text("b"), text("")]


def test_the_bracket_behind_an_error_is_no_end_of_an_answer() -> None:
    assert events_of(ARRAY, spelled(ARRAY, chunk(text("a")), {"error": {"code": 503}}))[-2:] == [
        EventKind.ERROR,
        EventKind.OPAQUE,
    ]


def test_of_running_totals_the_last_word_of_each_counts() -> None:
    early, late = {"usageMetadata": {"trafficType": "T", "totalTokenCount": 1}}, chunk(text("a"), reason="STOP", usage=3)
    assert assembled(EVENTS, early, late)["usageMetadata"] == {"trafficType": "T", "totalTokenCount": 3}


def test_several_candidates_are_assembled_each_for_itself() -> None:
    def of(index: int, words: str) -> Any:
        told = chunk(text(words), reason="STOP")
        told["candidates"][0]["index"] = index
        return told

    told = assembled(EVENTS, of(0, "a"), of(1, "x"), of(0, "b"), of(1, "y"))
    assert [candidate["content"]["parts"] for candidate in told["candidates"]] == [[text("ab")], [text("xy")]]


def test_a_stream_without_a_chunk_has_no_answer() -> None:
    codec = WIRE.codec()
    codec.begin_round()
    codec.feed(b"\r\n\r\n")
    with pytest.raises(ResponseError):
        codec.answer()
