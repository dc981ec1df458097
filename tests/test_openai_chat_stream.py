"""Streams of OpenAI Chat Completions: any cut, odd servers, several rounds as one; the real SDK reads what comes out."""

import json
from collections.abc import Sequence
from typing import Any

import httpx2
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headroom_asgi.errors import ResponseError
from headroom_asgi.wire import Answer, Event, EventKind, Frame, PartKind, StreamCodec
from headroom_asgi.wire.openai_chat import OpenAIChat

WIRE = OpenAIChat()
HR = "headroom_retrieve"
HEAD = {"id": "A", "object": "chat.completion.chunk", "created": 1, "model": "m"}
DONE = b"data: [DONE]\n\n"


def sse(value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def chunk(delta: dict[str, Any], reason: str | None = None, **fields: Any) -> bytes:
    return sse({**HEAD, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}], **fields})


def scored(delta: dict[str, Any], logprobs: Any, **fields: Any) -> bytes:
    return sse({**HEAD, "choices": [{"index": 0, "delta": delta, "logprobs": logprobs, **fields}]})


def entry(
    index: int | None, id_: str | None = None, name: str | None = None, arguments: Any = None, **more: Any
) -> dict[str, Any]:
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    given = {"index": index, "id": id_, "type": "function" if id_ else None}
    return {**{k: v for k, v in given.items() if v is not None}, "function": function, **more}


def tools(*entries: dict[str, Any], reason: str | None = None, **fields: Any) -> bytes:
    return chunk({"tool_calls": list(entries)}, reason, **fields)


def hidden(index: int = 0, id_: str = "call_h") -> list[bytes]:
    return [tools(entry(index, id_, HR, "")), tools(entry(index, arguments='{"ref":')), tools(entry(index, arguments='"z"}'))]


def client(index: int = 0, id_: str = "call_c", name: str = "bash") -> list[bytes]:
    return [tools(entry(index, id_, name, "")), tools(entry(index, arguments='{"a":')), tools(entry(index, arguments="1}"))]


def usage(prompt: int = 10, completion: int = 5) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": 1},
    }


ROLE = chunk({"role": "assistant", "content": ""})
STOP = chunk({}, "stop")
CALLS = chunk({}, "tool_calls")
USAGE = sse({**HEAD, "choices": [], "usage": usage()})


def text(value: str) -> bytes:
    return chunk({"content": value})


def stream(*chunks: bytes | list[bytes], id_: str = "A") -> bytes:
    flat = b"".join(part if isinstance(part, bytes) else b"".join(part) for part in chunks)
    return flat.replace(b'"id": "A"', b'"id": "' + id_.encode() + b'"') + DONE


def frames_of(codec: StreamCodec, data: bytes, size: int = 1 << 20) -> list[Frame]:
    frames = [frame for at in range(0, len(data), size) for frame in codec.feed(data[at : at + size])]
    return frames + codec.close()


def said(frames: Sequence[Frame]) -> list[list[tuple[Any, ...]]]:
    """Events in short."""
    return [[(e.kind.value, *([e.index, e.id, e.name] if e.index is not None else [])) for e in frame.events] for frame in frames]


def events(data: bytes) -> list[list[tuple[Any, ...]]]:
    codec = WIRE.codec()
    codec.begin_round()
    return said(frames_of(codec, data))


def assembled(data: bytes, size: int = 1 << 20) -> Any:
    codec = WIRE.codec()
    codec.begin_round()
    frames_of(codec, data, size)
    return json.loads(codec.answer().document.data)


TERMINAL = (EventKind.FINISH, EventKind.USAGE, EventKind.END)


def relay(*rounds: bytes, size: int = 1 << 20, stopped: bool = False) -> bytes:
    """What a client gets: calls of ours swallowed, the others at dense indices, one end. A watcher that sees each round whole."""
    codec = WIRE.codec()
    out: list[bytes] = []
    answers: list[Answer] = []
    texted = False
    index = 0
    terminal: list[Frame] = []
    for number, data in enumerate(rounds):
        codec.begin_round()
        frames = frames_of(codec, data, size)
        names: dict[int | None, str] = {}
        for event in (e for frame in frames for e in frame.events if e.kind is EventKind.CALL):
            names[event.index] = names.get(event.index, "") + event.name
        places: dict[int | None, int] = {}
        for call, name in names.items():
            if name != HR:
                places[call], index = index, index + 1

        def kept(frame: Frame) -> list[Event]:
            keep = []
            for event in frame.events:
                ours = event.kind in (EventKind.CALL, EventKind.PIECE) and event.index not in places
                later = number > 0 and event.kind in (EventKind.START, EventKind.SIGNED)
                if not ours and not later and event.kind not in TERMINAL:
                    keep.append(frame.moved(event, places.get(event.index)))
            return keep

        gap = texted
        for frame in frames:
            if any(event.visible for event in frame.events):
                out.append(codec.separator() if gap else b"")
                gap, texted = False, True
            out.append(codec.encode(frame, kept(frame)))
        answers.append(codec.answer())
        terminal = [frame for frame in frames if any(event.kind in TERMINAL for event in frame.events)]
    out.append(codec.finish(terminal, answers, stopped=stopped))
    return b"".join(out)


def chunks(data: bytes) -> list[Any]:
    return [json.loads(part[6:]) for part in data.split(b"\n\n") if part.startswith(b"data: {")]


# -- frames and events -----------------------------------------------------------------------------------------------------


def test_what_the_frames_of_a_stream_say() -> None:
    data = stream(ROLE, text("hi"), hidden(), client(1), CALLS, USAGE)
    assert events(b": hello\n\n" + data) == [
        [("opaque",)],
        [("start",), ("text",)],
        [("text",)],
        [("call", 0, "call_h", HR)],
        [("piece", 0, "", "")],
        [("piece", 0, "", "")],
        [("call", 1, "call_c", "bash")],
        [("piece", 1, "", "")],
        [("piece", 1, "", "")],
        [("finish",)],
        [("usage",)],
        [("end",)],
    ]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (chunk({"role": "assistant", "content": "", "tool_calls": [entry(0, "a", "f", "{}")]}, "tool_calls", usage=usage()),
         [("start",), ("text",), ("call", 0, "a", "f"), ("piece", 0, "", ""), ("finish",), ("usage",)]),
        (tools(entry(0, "a", "f", "{}"), entry(1, "b", "g", "{}")),
         [("call", 0, "a", "f"), ("call", 1, "b", "g"), ("piece", 0, "", ""), ("piece", 1, "", "")]),
        (tools(entry(None, "a", "f", "{}"), entry(None, "b", "g", "")),
         [("call", 0, "a", "f"), ("call", 1, "b", "g"), ("piece", 0, "", "")]),
        (tools({"index": 0, "id": "a", "type": "custom", "custom": {"name": "p", "input": "x"}}),
         [("call", 0, "a", "p"), ("piece", 0, "", "")]),
        (tools(entry(0, "a", "f", {"k": 1})), [("call", 0, "a", "f"), ("piece", 0, "", "")]),
        (chunk({"reasoning_content": "hm", "reasoning_details": [{"type": "x"}], "content": None}), [("signed",), ("other",)]),
        (chunk({"extra_content": {"google": {"thought_signature": "s"}}}), [("signed",)]),
        (chunk({"refusal": "no"}), [("other",)]),
        (chunk({"content": [{"type": "text", "text": "x"}]}), [("text",)]),
        (chunk({"tool_calls": "?"}), [("other",)]),
        (chunk({}), [("opaque",)]),
        (sse({**HEAD, "choices": [], "prompt_filter_results": []}), [("opaque",)]),
        (sse({"choices": None, "usage": {"n": 1}}), [("usage",)]),
        (sse({"choices": "x"}), [("opaque",)]),
        (sse({"choices": ["x"]}), [("opaque",)]),
        (sse({"choices": [{"index": 0, "delta": "x"}]}), [("opaque",)]),
        (sse({"error": {"message": "x"}}), [("error",)]),
        (b'event: error\ndata: {"message":"x"}\n\n', [("error",)]),
        (b"data: {\n\n", [("opaque",)]),
        (b"data: [1]\n\n", [("opaque",)]),
        (b"data: \xff\n\n", [("opaque",)]),
        (b"data: " + b'{"choices":' * 100_000 + b"\n\n", [("opaque",)]),
        (b"data: \n\n", [("opaque",)]),
        (b"\n\n", [("opaque",)]),
        (b"data: [DONE]", [("end",)]),
        (sse({"choices": [{"index": 1, "delta": {"content": "x"}, "finish_reason": "stop"}], "usage": {}}), [("opaque",)]),
    ],
)  # fmt: skip
def test_what_one_frame_says(data: bytes, expected: list[tuple[Any, ...]]) -> None:
    assert events(data) == [expected]


def test_only_a_text_with_characters_is_visible() -> None:
    codec = WIRE.codec()
    assert [frame.events[-1].visible for frame in frames_of(codec, ROLE + text("x") + chunk({"content": []}))] == [
        False,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("entries", "calls"),
    [
        ([entry(0, "a", "he", ""), entry(0, name="ad"), entry(0, arguments="{}")], [("a", "head", "{}")]),
        ([entry(0, "a", "f", "{"), entry(0, "a", "f", "}")], [("a", "f", "{}")]),
        ([entry(0, "a", "f", "{}"), entry(0, "b", "g", "[]")], [("a", "f", "{}"), ("b", "g", "[]")]),
        ([entry(0, "a", "f", "{"), entry(0, "b", None, "}")], [("a", "f", "{}")]),
        ([entry(None, "a", "f", "{"), entry(None, None, None, "}"), entry(None, "b", "f", "1")],
         [("a", "f", "{}"), ("b", "f", "1")]),
        ([entry(None, "a", "f", "{"), entry(None, "a", "f", "}")], [("a", "f", "{}")]),
        ([entry(None, None, "f", "{}"), entry(None, None, "g", "{}")], [("", "f", "{}"), ("", "g", "{}")]),
        ([entry(0, "a", "f", "{"), entry(1, "b", "g", "["), entry(0, arguments="}"), entry(1, arguments="]")],
         [("a", "f", "{}"), ("b", "g", "[]")]),
        ([entry(3, "a", "f", "{}"), entry(0, "b", "g", "[]")], [("a", "f", "{}"), ("b", "g", "[]")]),
        ([entry(0, "a", "f")], [("a", "f", "")]),
        ([entry(0, "a", "f", {"k": "é"})], [("a", "f", '{"k":"\\u00e9"}')]),
    ],
)  # fmt: skip
def test_calls_are_told_apart_and_events_agree_with_the_answer(entries: list[Any], calls: list[Any]) -> None:
    codec = WIRE.codec()
    frames = frames_of(codec, stream(*(tools(e) for e in entries), CALLS))
    assert [(call.id, call.name, call.arguments) for call in codec.answer().calls] == calls
    names: dict[int | None, str] = {}
    for event in (e for frame in frames for e in frame.events if e.kind is EventKind.CALL):
        names[event.index] = names.get(event.index, "") + event.name
    assert list(names.values()) == [name for _, name, _ in calls]


# -- bytes -----------------------------------------------------------------------------------------------------------------

STREAMS = {
    "text": [stream(ROLE, text("h\u00e9"), text("llo \u2028"), STOP, USAGE)],
    "hidden": [stream(ROLE, hidden(), CALLS, USAGE), stream(ROLE, text("ans"), STOP, USAGE, id_="B")],
    "text and hidden": [
        stream(ROLE, text("pre"), hidden(), CALLS, USAGE),
        stream(ROLE, text("a"), text("ns"), STOP, USAGE, id_="B"),
    ],
    "hidden twice, then a call": [
        stream(ROLE, hidden(0, "h0"), hidden(1, "h1"), CALLS, USAGE),
        stream(ROLE, client(), CALLS, USAGE, id_="B"),
    ],
    "three rounds": [
        stream(ROLE, text("a"), hidden(), CALLS, USAGE),
        stream(ROLE, text("b"), hidden(), CALLS, USAGE, id_="B"),
        stream(ROLE, text("c"), STOP, USAGE, id_="C"),
    ],
    "mixed, hidden first": [stream(ROLE, hidden(), client(1), CALLS, USAGE)],
    "mixed, hidden in the middle": [stream(ROLE, text("x"), client(0, "c0"), hidden(1), client(2, "c2", "read"), CALLS, USAGE)],
    "mixed, hidden last": [stream(ROLE, client(0), hidden(1), CALLS, USAGE)],
    "split name": [
        stream(ROLE, tools(entry(0, "h", "headroom_", "")), tools(entry(0, name="retrieve", arguments="{}")), CALLS),
        stream(ROLE, text("ans"), STOP, id_="B"),
    ],
    "a longer name": [stream(ROLE, tools(entry(0, "h", HR, "")), tools(entry(0, name="_v2", arguments="{}")), CALLS, USAGE)],
    "one chunk": [
        stream(chunk({"role": "assistant", "content": "", "tool_calls": [entry(0, "h", HR, "{}")]}, "tool_calls", usage=usage())),
        stream(chunk({"role": "assistant", "content": "done"}, "stop", usage=usage()), id_="B"),
    ],
    "one chunk with a call of ours and one of the client": [
        stream(ROLE, tools(entry(0, "h", HR, "{}"), entry(1, "c", "bash", "{}"), reason="tool_calls", usage=usage())),
    ],
    "usage all along": [
        stream(ROLE, hidden(), chunk({}, "tool_calls", usage=usage(1, 2)), USAGE),
        stream(chunk({"content": "x"}, usage=usage(1, 1)), chunk({}, "stop", usage=usage(1, 2)), USAGE, id_="B"),
    ],
    "reasoning": [
        stream(ROLE, chunk({"reasoning_content": "on"}), chunk({"reasoning_content": "e"}), hidden(), CALLS),
        stream(ROLE, *(chunk({"reasoning_content": piece}) for piece in ("", "tw", "o")), text("x"), STOP, id_="B"),
    ],
    "calls without index": [
        stream(ROLE, tools(entry(None, "h", HR, "{}")), tools(entry(None, "c", "bash", "{}")), CALLS, USAGE),
    ],
    "every call at index 0": [stream(ROLE, tools(entry(0, "h", HR, "{}")), tools(entry(0, "c", "bash", "{}")), CALLS)],
}  # fmt: skip
MANY = pytest.mark.parametrize("rounds", STREAMS.values(), ids=STREAMS.keys())


@MANY
def test_every_split_gives_the_same_bytes(rounds: list[bytes]) -> None:
    whole = relay(*rounds)
    for size in (1, 2, 3, 7, 50):
        assert relay(*rounds, size=size) == whole
    assert [assembled(data, 1) for data in rounds] == [assembled(data) for data in rounds]


@MANY
def test_one_round_passes_with_its_very_bytes(rounds: list[bytes]) -> None:
    data = rounds[0].replace(b'"A"', b'"\\u0041"').replace(b'": ', b'" :\t').replace(b"\n\n", b"\r\n\r\n: x\r\n\r\n", 1)
    for size in (1, 2, len(data)):
        codec = WIRE.codec()
        codec.begin_round()
        frames = frames_of(codec, data, size)
        assert b"".join(codec.encode(frame, frame.events) for frame in frames) == data
        assert b"".join(frame.raw for frame in frames) == data


@pytest.mark.parametrize("case", ["split name", "one chunk with a call of ours and one of the client"])
def test_every_split_position_gives_the_same_frames(case: str) -> None:
    data = STREAMS[case][0].replace(b"\n\n", b"\r\n\r\n", 2)
    whole = events(data)
    for at in range(len(data) + 1):
        codec = WIRE.codec()
        codec.begin_round()
        assert said(codec.feed(data[:at]) + codec.feed(data[at:]) + codec.close()) == whole


@MANY
def test_the_client_s_stream_has_one_head_one_reason_one_usage_and_one_end(rounds: list[bytes]) -> None:
    out = relay(*rounds)
    assert out.isascii()
    values = chunks(out)
    choices = [value["choices"][0] for value in values if value["choices"]]
    assert {value["id"] for value in values} == {"A"}
    assert sum("role" in choice["delta"] for choice in choices) == 1
    assert [choice["finish_reason"] for choice in choices if choice["finish_reason"]] == [choices[-1]["finish_reason"]]
    assert sum(bool(value.get("usage")) for value in values) == (b"prompt_tokens" in rounds[-1])
    assert out.endswith(DONE)
    assert out.count(DONE) == 1
    assert f'"{HR}"' not in out.decode() or b'"_v2"' in out


@MANY
def test_indices_of_the_client_s_calls_are_dense(rounds: list[bytes]) -> None:
    entries = [
        e for value in chunks(relay(*rounds)) for choice in value["choices"] for e in choice["delta"].get("tool_calls", ())
    ]
    begun = [e["index"] for e in entries if e.get("id")]
    assert begun == list(range(len(begun)))
    assert {e["index"] for e in entries} == set(begun)


@MANY
def test_the_merged_stream_is_the_merged_json(rounds: list[bytes]) -> None:
    """The answers of the rounds, merged as JSON, are what the merged stream adds up to."""
    answers = []
    for data in rounds:
        codec = WIRE.codec()
        codec.begin_round()
        frames_of(codec, data)
        answers.append(codec.answer())
    kept = [[part for part in answer.parts if not (part.call and part.call.name == HR)] for answer in answers]
    twin = json.loads(WIRE.merge(answers, kept, notice="", stopped=False))
    assert assembled(relay(*rounds)) == twin


def test_an_answer_is_assembled_as_its_json_twin_would_be() -> None:
    details = [
        {"type": "reasoning.text", "index": 0, "text": "th", "format": "f"},
        {"type": "reasoning.text", "index": 0, "text": "ink"},
        {"type": "reasoning.text", "index": 0, "signature": "sig"},
        {"type": "reasoning.encrypted", "index": 1, "data": "xx"},
    ]
    data = stream(
        sse({"id": "", "choices": [], "model": "", "prompt_filter_results": [1]}),
        chunk({"role": "assistant", "content": None}, system_fingerprint="fp", obfuscation="xyz"),
        *(chunk({"reasoning_details": [detail]}) for detail in details),
        chunk({"content": "a\ud83d"}, service_tier="flex"),
        scored({"content": "b"}, {"content": [{"token": "b"}]}, content_filter_results={}),
        tools(entry(0, "c", "f", '{"a"', extra_content={"google": {"thought_signature": "s"}})),
        tools(entry(0, arguments=":1}")),
        tools({"index": 1, "id": "d", "type": "custom", "custom": {"name": "p", "input": "x"}}),
        tools({"index": 1, "custom": {"input": "y"}}),
        CALLS,
        USAGE,
    )  # fmt: skip
    assert assembled(data) == {
        "id": "A",
        "object": "chat.completion",
        "model": "m",
        "created": 1,
        "prompt_filter_results": [1],
        "system_fingerprint": "fp",
        "service_tier": "flex",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "a\ud83db",
                    "reasoning_details": [
                        {"type": "reasoning.text", "index": 0, "text": "think", "format": "f", "signature": "sig"},
                        {"type": "reasoning.encrypted", "index": 1, "data": "xx"},
                    ],
                    "tool_calls": [
                        {
                            "id": "c",
                            "type": "function",
                            "function": {"name": "f", "arguments": '{"a":1}'},
                            "extra_content": {"google": {"thought_signature": "s"}},
                        },
                        {"id": "d", "type": "custom", "custom": {"name": "p", "input": "xy"}},
                    ],
                },
                "logprobs": {"content": [{"token": "b"}]},
                "content_filter_results": {},
                "finish_reason": "tool_calls",
            }
        ],
        "usage": usage(),
    }


def test_several_choices_pass_and_are_all_assembled() -> None:
    parts = [{"index": i % 2, "delta": {"content": str(i)}, "finish_reason": None} for i in range(4)]
    data = stream(*(sse({**HEAD, "choices": [part]}) for part in parts))
    codec = WIRE.codec()
    codec.begin_round()
    frames = frames_of(codec, data)
    text, other = EventKind.TEXT, EventKind.OPAQUE
    assert [e.kind for frame in frames[:-1] for e in frame.events] == [text, other, text, other]
    assert [choice["message"]["content"] for choice in json.loads(codec.answer().document.data)["choices"]] == ["02", "13"]


def test_a_stream_without_choices_makes_no_answer() -> None:
    codec = WIRE.codec()
    frames_of(codec, sse({"error": {"message": "x"}}) + DONE)
    with pytest.raises(ResponseError):
        codec.answer()


def test_what_python_reads_and_json_does_not_know_passes() -> None:
    data = (
        b'data: {"id":"A","choices":[{"index":0,"delta":{"content":"x"},'
        b'"logprobs":{"content":[{"logprob":NaN,"top":[1e999]}]}}]}\n\n' + stream(STOP)
    )
    assert b'"logprob":null,"top":[null]' in relay(stream(ROLE, STOP), data)


@pytest.mark.parametrize("depth", [100, 900, 920, 940, 960, 980])
def test_a_chunk_as_deep_as_the_parser_goes_passes(depth: int) -> None:
    value = "[" * depth + "]" * depth
    data = f'data: {{"id":"B","choices":[{{"index":0,"delta":{{"content":"x","y":{value}}}}}]}}\n\n'.encode()
    assert value in relay(stream(ROLE, STOP), data + stream(STOP)).decode()


def test_an_event_that_was_cut_short_does_not_spoil_the_error_behind_it() -> None:
    codec = WIRE.codec()
    codec.begin_round()
    codec.begin_round()
    out = b"".join(codec.encode(frame, frame.events) for frame in frames_of(codec, text("x") + text("y")[:-9]))
    assert [set(value) & {"error", "choices"} for value in chunks(out + codec.error("gone"))] == [{"choices"}, {"error"}]


def test_signed_reasoning_of_later_rounds_and_logprobs_of_hidden_text_are_dropped() -> None:
    delta = {"content": None, "reasoning_details": [{"type": "x"}], "tool_calls": [entry(0, "c", "f", "")]}
    later = scored(delta, {"content": []})
    values = chunks(relay(stream(ROLE, hidden(), CALLS), stream(later, CALLS)))
    assert values[-2]["choices"][0] == {
        "index": 0,
        "delta": {"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}]},
        "logprobs": None,
        "finish_reason": None,
    }


def test_a_stopped_stream_says_that_the_model_stopped() -> None:
    out = chunks(relay(stream(ROLE, hidden(), CALLS), stopped=True))
    assert out[-1]["choices"][0]["finish_reason"] == "stop"
    out = chunks(relay(stream(ROLE, hidden(), chunk({}, "length")), stopped=True))
    assert out[-1]["choices"][0]["finish_reason"] == "length"


def test_errors_and_notices_are_chunks() -> None:
    codec = WIRE.codec()
    frames_of(codec, ROLE)
    assert chunks(codec.notice("Limit.", 0)) == [
        {**HEAD, "choices": [{"index": 0, "delta": {"content": "Limit."}, "finish_reason": None}]}
    ]
    assert chunks(codec.error("gone"))[0]["error"]["message"] == "gone"


KEYS = (
    *("choices", "delta", "index", "id", "type", "content", "role", "tool_calls", "function", "custom", "name"),
    *("arguments", "input", "finish_reason", "usage", "logprobs", "error"),
)
ODD = st.recursive(
    st.sampled_from([None, True, 0, 1.5, "", "x", HR, [], {}]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=25,
)
ODD_CHUNKS = st.one_of(
    ODD,
    ODD.map(lambda value: {"choices": [{"delta": value}]}),
    ODD.map(lambda value: {"choices": [{"delta": {"tool_calls": [value]}}]}),
)


@given(ODD_CHUNKS)
def test_odd_chunks_never_raise_and_pass(value: Any) -> None:
    codec = WIRE.codec()
    codec.begin_round()
    data = sse(value) * 2
    frames = frames_of(codec, data)
    assert b"".join(frame.raw for frame in frames) == data
    assert all(frame.events for frame in frames)
    codec.begin_round()
    frames = frames_of(codec, data)
    for frame in frames:
        for event in frame.events:
            codec.encode(frame, [event])
        codec.encode(frame, frame.events)
    try:
        answers = [codec.answer()]
    except ResponseError:
        answers = []
    codec.finish(frames, answers, stopped=True)


# -- the client's SDK ------------------------------------------------------------------------------------------------------


def sdk(body: bytes, content_type: str) -> openai.OpenAI:
    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, content=body, headers={"content-type": content_type})

    return openai.OpenAI(
        api_key="x", base_url="http://test/v1", max_retries=0, http_client=httpx2.Client(transport=httpx2.MockTransport(answer))
    )


def streamed(body: bytes) -> Any:
    with (
        sdk(body, "text/event-stream") as api,
        api.chat.completions.stream(model="m", messages=[{"role": "user", "content": "q"}]) as got,
    ):
        for _ in got:
            pass
        return got.get_final_completion()


@pytest.mark.parametrize(
    ("case", "content", "calls", "reason", "total"),
    [
        ("text", "h\u00e9llo \u2028", [], "stop", 15),
        ("hidden", "ans", [], "stop", 30),
        ("text and hidden", "pre\n\nans", [], "stop", 30),
        ("hidden twice, then a call", "", [("call_c", "bash", '{"a":1}')], "tool_calls", 30),
        ("three rounds", "a\n\nb\n\nc", [], "stop", 45),
        ("mixed, hidden first", "", [("call_c", "bash", '{"a":1}')], "tool_calls", 15),
        ("mixed, hidden in the middle", "x", [("c0", "bash", '{"a":1}'), ("c2", "read", '{"a":1}')], "tool_calls", 15),
        ("mixed, hidden last", "", [("call_c", "bash", '{"a":1}')], "tool_calls", 15),
        ("a longer name", "", [("h", f"{HR}_v2", "{}")], "tool_calls", 15),
        ("one chunk", "done", [], "stop", 30),
        ("one chunk with a call of ours and one of the client", "", [("c", "bash", "{}")], "tool_calls", 15),
        ("calls without index", "", [("c", "bash", "{}")], "tool_calls", 15),
    ],
)
def test_the_sdk_accumulates_the_merged_stream(case: str, content: str, calls: list[Any], reason: str, total: int) -> None:
    completion = streamed(relay(*STREAMS[case]))
    choice = completion.choices[0]
    assert completion.id == "A"
    assert choice.message.role == "assistant"
    assert (choice.message.content or "") == content
    assert [(call.id, call.function.name, call.function.arguments) for call in choice.message.tool_calls or ()] == calls
    assert choice.finish_reason == reason
    assert completion.usage.total_tokens == total


def test_the_sdk_raises_our_error() -> None:
    codec = WIRE.codec()
    frames_of(codec, ROLE)
    with pytest.raises(openai.APIError, match="upstream went away"):
        streamed(ROLE + text("x") + codec.error("upstream went away"))


def test_an_extension_s_answer_as_json_and_as_a_stream_is_the_same_to_the_sdk() -> None:
    calls = [{"id": i, "type": "function", "function": {"name": i, "arguments": "{}"}} for i in "ab"]
    body = WIRE.complete(
        {"choices": [{"message": {"content": "é", "tool_calls": calls}}]}, WIRE.decode(b'{"model":"m","messages":[]}')
    )
    with sdk(body, "application/json") as api:
        whole = api.chat.completions.create(model="m", messages=[{"role": "user", "content": "q"}])
    parts = streamed(WIRE.as_stream(WIRE.read(body)))
    for completion in (whole, parts):
        message = completion.choices[0].message
        assert (message.role, message.content, [call.function.name for call in message.tool_calls]) == (
            "assistant",
            "é",
            ["a", "b"],
        )
        assert (completion.id, completion.choices[0].finish_reason, completion.usage.total_tokens) == (whole.id, "tool_calls", 0)


def test_an_answer_as_a_stream_adds_up_to_itself() -> None:
    value = assembled(stream(ROLE, chunk({"reasoning_content": "hm"}), text("x"), client(), CALLS, USAGE))
    assert assembled(WIRE.as_stream(WIRE.read(json.dumps(value).encode()))) == value
    assert PartKind.CALL in {part.kind for part in WIRE.read(json.dumps(value).encode()).parts}
