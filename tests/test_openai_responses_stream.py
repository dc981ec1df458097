"""Streams of OpenAI Responses: what goes through keeps its bytes, and all rounds make one stream that the SDK reads as the JSON."""

import json
import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import httpx
import openai
import pydantic
import pytest
from conversations_responses import OWN, THEIRS, item_events, response_events, response_of, spelled

from headroom_asgi.errors import ResponseError
from headroom_asgi.retrieval import Originals, Outcome, Watch, rounds
from headroom_asgi.wire import EventKind, dump
from headroom_asgi.wire.openai_responses import OpenAIResponses

WIRE = OpenAIResponses()
OURS = "headroom_retrieve"

Chunks = Callable[[bytes], Iterable[bytes]]
Item = dict[str, Any]


def text(words: str, name: str = "msg_1", **more: Any) -> Item:
    content = [{"type": "output_text", "text": words, "annotations": [], "logprobs": []}]
    return {"id": name, "type": "message", "status": "completed", "role": "assistant", "content": content, **more}


def reasoning(name: str = "rs_1", *summaries: str) -> Item:
    summary = [{"type": "summary_text", "text": each} for each in summaries]
    return {"id": name, "type": "reasoning", "summary": summary, "encrypted_content": f"sealed {name}"}


def call(number: int = 1, name: str = "search", **arguments: Any) -> Item:
    head = {"id": f"fc_{number}", "type": "function_call", "status": "completed", "call_id": f"call_{number}"}
    return head | {"name": name, "arguments": json.dumps(arguments)}


def mine(number: int = 1) -> Item:
    return call(number, OURS, ref=f"r{number}")


WEB = {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "x"}}
CUSTOM = {"id": "ctc_1", "type": "custom_tool_call", "call_id": "call_c", "name": "patch", "input": "*** l\u2028\n"}

EXCHANGES: dict[str, list[list[Item]]] = {
    "plain": [[text("hello there")]],
    "only client calls": [[reasoning("rs_1", "so"), text("x"), call(8), CUSTOM]],
    "hidden only": [[mine()], [text("answer")]],
    "text and hidden": [[text("let me see"), mine()], [text("answer", "msg_2")]],
    "two hidden at once": [[mine(1), mine(2)], [text("answer")]],
    "three in a row": [
        [text("1", "m1"), mine(1)],
        [text("2", "m2"), mine(2)],
        [text("3", "m3"), mine(3)],
        [text("4", "m4")],
    ],
    "reasoning in all rounds": [
        [reasoning("rs_1", "a", "b"), text("look"), reasoning("rs_2", "c"), mine(1)],
        [reasoning("rs_3"), mine(2)],
        [reasoning("rs_4", "d"), text("done", "msg_2"), call(9)],
    ],
    "mixed, hidden first": [[reasoning(), mine(), text("x"), call(2)]],
    "mixed, hidden in the middle": [[reasoning(), call(2), mine(), call(3)]],
    "mixed, hidden last": [[text("x"), call(2), reasoning(), mine()]],
    "hosted tools": [[reasoning("rs_1"), WEB, reasoning("rs_2"), text("found"), mine()], [WEB | {"id": "ws_2"}, text("y", "m2")]],
}


def rounds_of(name: str) -> list[dict[str, Any]]:
    return [response_of(number, output) for number, output in enumerate(EXCHANGES[name], 1)]


def pieces(words: str) -> list[str]:
    return [words[at : at + 3] for at in range(0, len(words), 3)]


def stream(response: dict[str, Any]) -> bytes:
    """The response as the API streams it."""
    return b"".join(spelled(*response_events(response, pieces)))


def whole(data: bytes) -> Iterable[bytes]:
    return [data]


def cut_at(cut: int, data: bytes) -> Iterable[bytes]:
    return [data[:cut], data[cut:]]


def play(streams: list[bytes], chunks: Chunks = whole, *, max_rounds: int = 9, structured: bool = False) -> tuple[bytes, Outcome]:
    """The client's bytes of an exchange, and how it ended."""
    watch = Watch(WIRE.codec(), OURS, structured=structured, max_hold_bytes=1 << 20)
    flow = rounds(WIRE, b'{"input":[]}', Originals({"r1": "one"}, max_bytes=99), max_rounds=max_rounds, structured=structured)
    next(flow)
    out = []
    for data in streams:
        watch.begin_round()
        out += [watch.feed(chunk) for chunk in chunks(data)]
        rest, answer = watch.end_round()
        out.append(rest)
        assert answer is not None
        try:
            flow.send(answer)
        except StopIteration as ended:
            return b"".join([*out, watch.finish(ended.value)]), ended.value
    raise AssertionError("another round was asked for")


def merged(outcome: Outcome) -> bytes:
    return WIRE.merge(outcome.answers, outcome.kept, notice=outcome.notice, stopped=outcome.stopped)


def events_of(data: bytes) -> list[dict[str, Any]]:
    """The events of a stream; each has its name twice, and its JSON is ASCII."""
    found = []
    for raw in data.decode("ascii").split("\n\n")[:-1]:
        name, _, body = raw.partition("\n")
        found.append(json.loads(body.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found


def assert_grammar(events: list[dict[str, Any]]) -> None:
    """Numbers without gaps, one begin and one end, items one after the other, each added and done."""
    names = [event["type"] for event in events]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert names[:2] == ["response.created", "response.in_progress"]
    assert names.count("response.created") == names.count("response.in_progress") == 1
    assert [name for name in names if name in ("response.completed", "response.incomplete")] == names[-1:]
    current, is_open = -1, False
    for event in events[2:-1]:
        if event["type"] == "response.output_item.added":
            assert not is_open
            current, is_open = current + 1, True
        assert event["output_index"] == current
        assert is_open
        is_open = event["type"] != "response.output_item.done"
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert events[-1]["response"]["output"] == done


def client_of(data: bytes, media: str) -> openai.OpenAI:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, headers={"content-type": media}, content=data))
    return openai.OpenAI(api_key="x", base_url="http://t", http_client=httpx.Client(transport=transport), max_retries=0)


def read_by_sdk(data: bytes) -> dict[str, Any]:
    """The response that OpenAI's own client makes of a stream."""
    with client_of(data, "text/event-stream") as client, client.responses.stream(model="m", input="q") as got:
        return got.get_final_response().to_dict()


def read_json_by_sdk(data: bytes) -> dict[str, Any]:
    with client_of(data, "application/json") as client:
        return client.responses.create(model="m", input="q").to_dict()


def without_parsed(value: dict[str, Any]) -> dict[str, Any]:
    """What the SDK's stream helper adds to what came."""
    for item in value["output"]:
        item.pop("parsed_arguments", None)
        for part in item.get("content") or []:
            part.pop("parsed", None)
    return value


@pytest.mark.parametrize("name", EXCHANGES)
def test_the_assembled_answer_is_the_json_answer(name: str) -> None:
    for response in rounds_of(name):
        codec = WIRE.codec()
        codec.begin_round()
        codec.feed(stream(response))
        assert json.loads(codec.answer().document.data) == response


@pytest.mark.parametrize("output", [[], None, [text("hello there")]], ids=["empty", "null", "not all of it"])
def test_where_the_last_event_does_not_have_the_output_it_is_put_together(output: Any) -> None:
    response = response_of(1, [text("hello there"), call(2)])
    events = response_events(response, pieces)
    events[-1] = {"type": "response.completed", "response": response | {"output": output}}
    if output is None:
        del events[-1]["response"]["output"]
    codec = WIRE.codec()
    codec.begin_round()
    codec.feed(b"".join(spelled(*events)))
    assert json.loads(codec.answer().document.data) == response


@pytest.mark.parametrize("name", EXCHANGES)
def test_all_rounds_make_one_stream_that_says_what_the_merged_json_says(name: str) -> None:
    told, outcome = play([stream(response) for response in rounds_of(name)])
    events = events_of(told)
    assert_grammar(events)
    assert OURS.encode() not in told
    twin = merged(outcome)
    assert OURS.encode() not in twin
    assert json.loads(twin)["id"] == f"resp_{len(EXCHANGES[name])}"
    assert events[-1]["response"] == json.loads(twin) | {"id": "resp_1"}
    assert without_parsed(read_by_sdk(told)) == read_json_by_sdk(twin) | {"id": "resp_1"}
    begun = events[0]["response"]
    assert begun["id"] == "resp_1"
    assert begun["tools"] == events[1]["response"]["tools"] == events[-1]["response"]["tools"] == [THEIRS]


@pytest.mark.parametrize("name", EXCHANGES)
def test_usage_is_summed_and_told_once_at_the_end(name: str) -> None:
    told, _ = play([stream(response) for response in rounds_of(name)])
    count = len(EXCHANGES[name])
    usage = events_of(told)[-1]["response"]["usage"]
    assert usage["input_tokens"] == sum(10**n for n in range(1, count + 1))
    assert usage["input_tokens_details"]["cached_tokens"] == 7 * count
    assert usage["output_tokens"] == sum(range(1, count + 1))
    assert all(event["response"]["usage"] is None for event in events_of(told)[:2])


@pytest.mark.parametrize("name", EXCHANGES)
def test_every_cut_gives_the_same_bytes(name: str) -> None:
    streams = [stream(response) for response in rounds_of(name)]
    expected, _ = play(streams)
    assert play(streams, lambda data: [data[i : i + 1] for i in range(len(data))])[0] == expected
    for cut in range(1, max(map(len, streams)), 7):
        assert play(streams, partial(cut_at, cut))[0] == expected


def test_every_single_cut_of_a_short_exchange_gives_the_same_bytes() -> None:
    head = {"id": "r", "tools": [THEIRS, OWN], "status": "completed"}
    streams = [
        stream({**head, "output": [reasoning(), text("a"), reasoning("rs_2", "b"), mine()]}),
        stream({**head, "output": [reasoning("rs_3"), text("d\u2028"), call(4)]}).replace(b"\n", b"\r\n"),
    ]
    expected, _ = play(streams)
    for cut in range(1, max(map(len, streams))):
        assert play(streams, partial(cut_at, cut))[0] == expected


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("first", [0, 1])
def test_a_round_without_our_calls_passes_byte_for_byte(ending: str, first: int) -> None:
    response = response_of(1, [reasoning("rs_1", "so"), text("h\u00e9\u2028"), call(1), CUSTOM], tools=[THEIRS])
    plain = b"".join(spelled(*response_events(response, pieces), first=first)).decode()
    odd = ': comment\n\nevent: new_kind\ndata: {\ndata:  "x": 1e5}\n\ndata:\n\n'
    data = ("\ufeff" + odd + plain + odd + "data: [DONE]\n\n").replace("\n", ending).encode()
    assert play([data])[0] == data


def test_our_tool_is_taken_out_of_what_the_first_round_repeats_and_nothing_else_changes() -> None:
    choice = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "search"}]}
    clean = response_of(1, [reasoning("rs_1"), text("hi")], tools=[THEIRS], tool_choice=choice)
    choice = choice | {"tools": [*choice["tools"], {"type": "function", "name": OURS}]}
    offered = clean | {"tools": [THEIRS, OWN], "tool_choice": choice}
    told, outcome = play([stream(offered)])
    assert told == stream(clean)
    assert merged(outcome) == dump(clean).replace(b"\\u", b"\\u") or json.loads(merged(outcome)) == clean


def test_a_moved_event_changes_its_index_and_number_only() -> None:
    delta = b'event:response.output_text.delta\ndata: {"output_index" : 0 ,\ndata:"sequence_number":  4,"delta":"\\u00e9\\/","n":1E5}\n\n'
    first = stream(response_of(1, [mine()]))
    second = spelled(*response_events(response_of(2, [text("")]), pieces))
    second.insert(4, delta)
    told, _ = play([stream(response_of(1, [text("x"), mine()])), b"".join(second)])
    moved = b'data: {"output_index" : 1 ,\ndata: "sequence_number":  '
    assert b"event: response.output_text.delta\n" + moved in told
    assert b',"delta":"\\u00e9\\/","n":1E5}\n\n' in told
    assert first


# -- reasoning belongs to what follows it ------------------------------------------------------------------------------


def shown(told: bytes) -> list[str]:
    """Ids of the items that the client saw."""
    return [event["item"]["id"] for event in events_of(told) if event["type"] == "response.output_item.added"]


@pytest.mark.parametrize("number", [1, 2])
def test_reasoning_that_leads_to_our_call_is_hidden_with_it(number: int) -> None:
    leading = [reasoning(f"rs_{n}", "hm") for n in range(number)]
    told, outcome = play([stream(response_of(1, [text("a", "m1"), *leading, mine()])), stream(response_of(2, [text("b", "m2")]))])
    assert shown(told) == ["m1", "m2"]
    assert [item["id"] for item in json.loads(merged(outcome))["output"]] == ["m1", "m2"]
    sent = json.loads(WIRE.append(b'{"input":[]}', outcome.answers[0], []))
    assert [item["id"] for item in sent["input"]] == ["m1", *(each["id"] for each in leading), "fc_1"]


@pytest.mark.parametrize("item", [text("x", "x"), call(7) | {"id": "x"}, WEB | {"id": "x"}, CUSTOM | {"id": "x"}])
def test_reasoning_that_leads_to_anything_else_is_shown_in_every_round(item: Item) -> None:
    rest = [] if item["type"] in ("function_call", "custom_tool_call") else [call(5)]
    streams = [stream(response_of(1, [mine(1)])), stream(response_of(2, [reasoning("rs_2", "hm"), item, *rest]))]
    assert shown(play(streams)[0])[:2] == ["rs_2", "x"]


def test_reasoning_waits_for_what_it_leads_to_and_passes_with_that() -> None:
    frames = spelled(*response_events(response_of(1, [reasoning("rs_1", "hm"), text("hi")], tools=[THEIRS]), pieces))
    watch = Watch(WIRE.codec(), OURS, structured=False, max_hold_bytes=1 << 20)
    watch.begin_round()
    added = next(i for i, frame in enumerate(frames) if b'"type": "message"' in frame)
    assert [watch.feed(frame) for frame in frames[:added]] == [*frames[:2], *[b""] * (added - 2)]
    assert not watch.visible
    assert watch.feed(frames[added]) == b"".join(frames[2 : added + 1])
    assert watch.visible


def test_reasoning_at_the_end_of_a_round_is_shown() -> None:
    response = response_of(1, [reasoning("rs_1", "hm")], status="incomplete", tools=[THEIRS])
    assert play([stream(response)])[0] == stream(response)


def test_reasoning_before_a_text_that_is_discarded_is_discarded_with_it() -> None:
    first = [reasoning("rs_1"), text("pre", "m1"), reasoning("rs_2"), WEB, reasoning("rs_3"), mine()]
    told, outcome = play([stream(response_of(1, first)), stream(response_of(2, [text("{}", "m2")]))], structured=True)
    assert shown(told) == ["rs_2", "ws_1", "m2"]
    assert events_of(told)[-1]["response"] == json.loads(merged(outcome)) | {"id": "resp_1"}


def test_items_may_interleave() -> None:
    """The next item is added before the one before it is done."""
    response = response_of(1, [reasoning("rs_1", "hm"), mine(), text("x")])
    events = response_events(response, pieces)
    of = {k: [event for event in events if event.get("output_index") == k] for k in range(3)}
    mixed = [*events[:2], *of[0][:-1], of[1][0], of[2][0], of[0][-1], *of[1][1:-1], *of[2][1:], of[1][-1], events[-1]]
    told, _ = play([b"".join(spelled(*mixed))], max_rounds=1)
    assert shown(told) == ["msg_1"]
    assert_grammar(events_of(told))


# -- ends --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2])
def test_done_stays_behind_the_last_event(count: int) -> None:
    end = b"data: [DONE]\n\n"
    outputs = [[mine()]] * (count - 1) + [[text("x")]]
    told, _ = play([stream(response_of(n, output)) + end for n, output in enumerate(outputs, 1)])
    assert told.endswith(end)
    assert told.count(end) == 1
    assert read_by_sdk(told)["output"][0]["id"] == "msg_1"


def test_a_round_that_was_cut_drops_our_call_and_says_so() -> None:
    told, outcome = play([stream(response_of(1, [text("x"), mine()], status="incomplete"))])
    events = events_of(told)
    assert_grammar(events)
    assert events[-1]["type"] == "response.incomplete"
    assert outcome.reason == "cut"
    assert events[-1]["response"] == json.loads(merged(outcome))


def test_an_answer_that_says_nothing_gets_a_message() -> None:
    told, outcome = play([stream(response_of(1, [reasoning(), mine()]))], max_rounds=1)
    events = events_of(told)
    assert_grammar(events)
    assert events[-1]["response"] == json.loads(merged(outcome))
    assert read_by_sdk(told)["output"][0]["content"][0]["text"] == outcome.notice


def failed(response: dict[str, Any]) -> list[bytes]:
    """A stream that fails after its items."""
    error = {"code": "server_error", "message": "busy"}
    events = response_events(response, pieces)[:-1]
    return spelled(*events, {"type": "response.failed", "response": response | {"status": "failed", "error": error}})


def test_a_failure_passes_as_it_is_where_nothing_was_taken_out() -> None:
    data = b"".join(failed(response_of(1, [text("x")], tools=[THEIRS])))
    watch = Watch(WIRE.codec(), OURS, structured=False, max_hold_bytes=1 << 20)
    watch.begin_round()
    assert watch.feed(data) == data
    assert watch.failed


def test_a_failure_of_a_later_round_has_what_was_shown_as_its_output() -> None:
    watch = Watch(WIRE.codec(), OURS, structured=False, max_hold_bytes=1 << 20)
    watch.begin_round()
    told = watch.feed(stream(response_of(1, [text("a", "m1"), mine()]))) + watch.end_round()[0]
    watch.begin_round()
    told += watch.feed(b"".join(failed(response_of(2, [text("b", "m2"), mine(2)]))))
    assert watch.failed
    events = events_of(told)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[-1]["type"] == "response.failed"
    assert [item["id"] for item in events[-1]["response"]["output"]] == ["m1", "m2"]
    assert OURS.encode() not in told


def test_an_error_event_of_a_later_round_is_numbered_like_all() -> None:
    watch = Watch(WIRE.codec(), OURS, structured=False, max_hold_bytes=1 << 20)
    watch.begin_round()
    told = watch.feed(stream(response_of(1, [mine()]))) + watch.end_round()[0]
    watch.begin_round()
    error = {"type": "error", "code": "x", "message": "busy", "param": None}
    told += watch.feed(b"".join(spelled(*response_events(response_of(2, []), pieces)[:2], error)))
    assert [event["type"] for event in events_of(told)] == ["response.created", "response.in_progress", "error"]
    assert events_of(told)[-1] == error | {"sequence_number": 2}


def test_our_own_error_is_the_response_as_it_failed() -> None:
    watch = Watch(WIRE.codec(), OURS, structured=False, max_hold_bytes=1 << 20)
    watch.begin_round()
    told = watch.feed(stream(response_of(1, [text("a", "m1"), mine()]))) + watch.end_round()[0]
    watch.begin_round()
    told += watch.error("it went away")
    with client_of(told, "text/event-stream") as client:
        events = list(client.responses.create(model="m", input="q", stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    last = events[-1]
    assert last.type == "response.failed"
    assert (last.response.id, last.response.status, last.response.error.message) == ("resp_1", "failed", "it went away")
    assert [item.id for item in last.response.output] == ["m1"]
    assert OURS.encode() not in told


def test_our_own_error_where_no_response_began_is_an_error_event() -> None:
    codec = WIRE.codec()
    codec.begin_round()
    (event,) = events_of(codec.error("no"))
    assert event == {"type": "error", "sequence_number": 0, "code": "server_error", "message": "no", "param": None}


def test_a_stream_that_ends_before_its_last_event_makes_no_answer() -> None:
    codec = WIRE.codec()
    codec.begin_round()
    codec.feed(b"".join(spelled(*response_events(response_of(1, [text("x")]), pieces)[:-1])))
    with pytest.raises(ResponseError):
        codec.answer()


def test_an_event_without_its_blank_line_is_ended_before_ours() -> None:
    first = stream(response_of(1, [text("a", "m1"), mine()]))[:-2]
    told, _ = play([first, stream(response_of(2, [text("b", "m2")]))])
    assert_grammar(events_of(told))


def test_a_last_event_without_its_blank_line_does_not_swallow_our_error() -> None:
    """Servers that do not number their events get theirs as they are, so the rest has to be ended."""
    plain = re.compile(rb'"sequence_number": \d+, ')
    watch = Watch(WIRE.codec(), OURS, structured=False, max_hold_bytes=1 << 20)
    watch.begin_round()
    told = watch.feed(plain.sub(b"", stream(response_of(1, [mine()])))) + watch.end_round()[0]
    watch.begin_round()
    second = plain.sub(b"", stream(response_of(2, [text("hello")])))
    told += watch.feed(second[: second.index(b"\n\n", second.index(b".delta"))]) + watch.end_round()[0]
    told += watch.error("cut")
    names = ["created", "in_progress", "output_item.added", "content_part.added", "output_text.delta", "failed"]
    assert [event["type"] for event in events_of(told)] == [f"response.{name}" for name in names]


# -- what clients do with it -------------------------------------------------------------------------------------------


class Weather(pydantic.BaseModel):
    city: str


def test_the_sdk_parses_structured_output_of_several_rounds() -> None:
    streams = [stream(response_of(1, [text("I look it up"), mine()])), stream(response_of(2, [text('{"city":"Oslo"}')]))]
    told, outcome = play(streams, structured=True)
    with (
        client_of(told, "text/event-stream") as client,
        client.responses.stream(model="m", input="q", text_format=Weather) as got,
    ):
        assert got.get_final_response().output_parsed == Weather(city="Oslo")
    with client_of(merged(outcome), "application/json") as client:
        assert client.responses.parse(model="m", input="q", text_format=Weather).output_parsed == Weather(city="Oslo")


@pytest.mark.parametrize("after", [0, 1, 2, 6])
def test_the_sdk_takes_our_keep_alive_anywhere(after: int) -> None:
    frames = spelled(*response_events(response_of(1, [text("hello")]), pieces))
    alive = WIRE.codec().keep_alive()
    assert read_by_sdk(b"".join([*frames[:after], alive, *frames[after:]])) == read_by_sdk(b"".join(frames))


def test_answers_as_streams_are_read_as_the_answers() -> None:
    refusal = {"type": "refusal", "refusal": "no"}
    cited = [{"type": "url_citation", "url": "u", "title": "t", "start_index": 0, "end_index": 1}]
    output = [
        reasoning("rs_1", "a", "b"),
        text("hello") | {"content": [text("x")["content"][0] | {"annotations": cited}, refusal]},
        reasoning("rs_2") | {"content": [{"type": "reasoning_text", "text": "raw"}]},
        call(3, a=1),
        CUSTOM,
        WEB,
    ]
    for status in ("completed", "incomplete"):
        answer = response_of(1, output, status=status, tools=[THEIRS])
        told = WIRE.as_stream(WIRE.read(dump(answer)))
        if status == "completed":
            assert_grammar(events_of(told))
            assert without_parsed(read_by_sdk(told)) == read_json_by_sdk(dump(answer))
        codec = WIRE.codec()
        codec.begin_round()
        codec.feed(told)
        assert json.loads(codec.answer().document.data) == answer


def test_an_answer_as_stream_adds_up_without_its_last_event() -> None:
    """Begin, pieces and end of each item say the same."""
    answer = response_of(1, [text("hello"), call(2, a=1)], tools=[THEIRS])
    ours = events_of(WIRE.as_stream(WIRE.read(dump(answer))))
    theirs = [event for index, item in enumerate(answer["output"]) for event in item_events(index, item, lambda words: [words])]
    assert [{k: v for k, v in event.items() if k != "sequence_number"} for event in ours[2:-1]] == theirs


# -- what is not understood --------------------------------------------------------------------------------------------


def test_events_tell_what_watchers_need() -> None:
    codec = WIRE.codec()
    codec.begin_round()
    items = [reasoning("rs_1"), text("b"), call(1), CUSTOM, WEB]
    frames = codec.feed(stream(response_of(1, items)) + b'event: error\ndata: {"type":"error"}\n\n')
    told = [(e.kind.name, e.index, e.id + e.name, e.visible) for frame in frames for e in frame.events if e.kind.name != "PIECE"]
    assert told == [
        ("START", None, "", False),
        ("OPAQUE", None, "", False),
        *[("LEADING", 0, "", False)] * 2,
        *[("TEXT", 1, "", False)] * 2,
        ("TEXT", 1, "", True),
        *[("TEXT", 1, "", False)] * 3,
        ("CALL", 2, "call_1search", False),
        ("CALL", 3, "call_cpatch", False),
        *[("OTHER", 4, "", False)] * 5,
        ("FINISH", None, "", False),
        ("USAGE", None, "", False),
        ("END", None, "", False),
        ("ERROR", None, "", False),
    ]


def test_a_call_in_a_namespace_is_not_ours() -> None:
    item = mine() | {"namespace": "crm"}
    told, outcome = play([stream(response_of(1, [item], tools=[THEIRS]))])
    assert outcome.reason == "done"
    assert told == stream(response_of(1, [item], tools=[THEIRS]))


@pytest.mark.parametrize(
    "data",
    [
        b'{"type":"response.output_item.added"}',
        b'{"type":"response.output_item.added","output_index":-1,"item":{}}',
        b'{"type":"response.output_item.added","output_index":"0","item":{"type":"message"}}',
        b'{"type":"response.output_item.added","output_index":0,"item":[]}',
        b'{"type":"response.output_item.done","output_index":' + b"9" * 5000 + b"}",
        b'{"type":"response.output_text.delta"}',
        b'{"type":["response.created"]}',
        b'{"type":"new","sequence_number":"x"}',
        b'{"type":"new","sequence_number":1e3}',
        b"[1]",
        b"{",
        b"\xff",
    ],
)
def test_what_is_not_understood_passes(data: bytes) -> None:
    codec = WIRE.codec()
    codec.begin_round()
    raw = b"event: x\ndata: " + data + b"\n\n"
    (frame,) = codec.feed(raw)
    assert [said.kind for said in frame.events] == [EventKind.OPAQUE]
    assert codec.encode(frame, frame.events) == raw
