"""Streams of Anthropic Messages: what goes through keeps its bytes, and all rounds make one stream that clients can read."""

import json
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import anthropic
import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headroom_asgi.errors import ResponseError
from headroom_asgi.retrieval import Originals, Watch, rounds
from headroom_asgi.wire import Answer, EventKind, Frame, Part, PartKind, StreamCodec, dialect_named, dump

WIRE = dialect_named("anthropic")
OURS = "headroom_retrieve"

Chunks = Callable[[bytes], Iterable[bytes]]


def text(value: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": value, **more}


def thinking(value: str, signature: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": value, "signature": signature}


def use(call_id: str, name: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": name, "input": arguments}


SEARCH = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "x"}}
HIT = {"type": "web_search_result", "url": "u", "title": "t", "encrypted_content": "e", "page_age": None}
FOUND = {"type": "web_search_tool_result", "tool_use_id": "s1", "content": [HIT]}


def event(name: str, **members: Any) -> bytes:
    return f"event: {name}\ndata: {json.dumps({'type': name, **members})}\n\n".encode()


def pieces(value: str) -> list[str]:
    return [value[at : at + 3] for at in range(0, len(value), 3)]


def block_events(index: int, block: dict[str, Any]) -> list[bytes]:
    """A block as the API streams it."""
    start, deltas = dict(block), []
    match block:
        case {"type": "text"}:
            start["text"] = ""
            citations = start.pop("citations", None) or []
            deltas = [{"type": "citations_delta", "citation": citation} for citation in citations]
            deltas += [{"type": "text_delta", "text": piece} for piece in pieces(block["text"])]
        case {"type": "thinking"}:
            start |= {"thinking": "", "signature": ""}
            deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces(block["thinking"])]
            deltas += [{"type": "signature_delta", "signature": block["signature"]}]
        case {"type": "tool_use"}:
            start["input"] = {}
            spelled = json.dumps(block["input"]) if block["input"] else ""
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in ["", *pieces(spelled)]]
    return [
        event("content_block_start", index=index, content_block=start),
        *(event("content_block_delta", index=index, delta=delta) for delta in deltas),
        event("content_block_stop", index=index),
    ]


def message(*blocks: dict[str, Any], reason: str = "end_turn", number: int = 1, **more: Any) -> dict[str, Any]:
    """A JSON answer; its usage tells rounds apart."""
    return {
        "id": f"msg_{number}",
        "type": "message",
        "role": "assistant",
        "model": f"model-{number}",
        "content": list(blocks),
        "stop_reason": reason,
        "stop_sequence": None,
        "usage": {"input_tokens": 10**number, "cache_read_input_tokens": 7, "output_tokens": number, "service_tier": "standard"},
        **more,
    }


def stream(answer: dict[str, Any]) -> bytes:
    """The same answer as the API streams it."""
    usage = answer["usage"]
    start = {**answer, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    events = [event("message_start", message=start), event("ping")]
    for index, block in enumerate(answer["content"]):
        events += block_events(index, block)
    delta = {"stop_reason": answer["stop_reason"], "stop_sequence": None}
    events += [event("message_delta", delta=delta, usage={"output_tokens": usage["output_tokens"]}), event("message_stop")]
    return b"".join(events)


def is_ours(part: Part) -> bool:
    return part.call is not None and part.call.name == OURS


def client_parts(answers: list[Answer]) -> list[list[Part]]:
    """What a client sees: not our calls, and no signed reasoning after the first of them."""
    kept: list[list[Part]] = []
    hidden = False
    for answer in answers:
        kept.append([])
        for part in answer.parts:
            hidden = hidden or is_ours(part)
            if not is_ours(part) and not (hidden and part.kind is PartKind.SIGNED):
                kept[-1].append(part)
    return kept


class Client:
    """Decides what the client sees of the rounds, as the watcher of a real exchange does."""

    def __init__(self) -> None:
        self.codec: StreamCodec = WIRE.codec()
        self.out = b""
        self.answers: list[Answer] = []
        self._held: list[Frame] = []
        self._next = 0
        self._hidden = False

    def read(self, data: bytes, chunks: Chunks) -> None:
        """One round."""
        self.codec.begin_round()
        self._held = []
        indices: dict[int | None, int] = {}
        ours: set[int | None] = set()
        frames = [frame for chunk in chunks(data) for frame in self.codec.feed(chunk)] + self.codec.close()
        assert b"".join(frame.raw for frame in frames) == data
        for frame in frames:
            kept = []
            for said in frame.events:
                if said.kind in (EventKind.FINISH, EventKind.USAGE, EventKind.END):
                    if frame not in self._held:
                        self._held.append(frame)
                    continue
                if said.kind is EventKind.START and self.answers:
                    continue
                if said.kind is EventKind.CALL and said.name == OURS:
                    self._hidden = True
                    ours.add(said.index)
                if said.index is not None:
                    if said.index in ours or (said.kind is EventKind.SIGNED and self._hidden):
                        continue
                    if said.index not in indices:
                        indices[said.index] = self._next
                        self._next += 1
                    kept.append(frame.moved(said, indices[said.index]))
                else:
                    kept.append(said)
            self.out += self.codec.encode(frame, kept)
        self.answers.append(self.codec.answer())

    def finish(self, *, notice: str = "", stopped: bool = False) -> bytes:
        if notice:
            self.out += self.codec.notice(notice, self._next)
        self.out += self.codec.finish(self._held, self.answers, stopped=stopped)
        return self.out


def whole(data: bytes) -> Iterable[bytes]:
    return [data]


def cut_at(cut: int, data: bytes) -> Iterable[bytes]:
    return [data[:cut], data[cut:]]


def play(rounds: list[bytes], chunks: Chunks = whole, *, notice: str = "", stopped: bool = False) -> bytes:
    client = Client()
    for data in rounds:
        client.read(data, chunks)
    return client.finish(notice=notice, stopped=stopped)


def events_of(data: bytes) -> list[dict[str, Any]]:
    """The events of a stream; each has its name twice, and its JSON is ASCII."""
    found = []
    for raw in data.decode("ascii").split("\n\n")[:-1]:
        name, _, body = raw.partition("\n")
        found.append(json.loads(body.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found


def assert_grammar(events: list[dict[str, Any]]) -> None:
    """One start, dense indices of blocks one after the other, each closed, one delta and one stop at the end."""
    names = [said["type"] for said in events if said["type"] != "ping"]
    assert names[0] == "message_start"
    assert names[-2:] == ["message_delta", "message_stop"]
    assert all(names.count(name) == 1 for name in ("message_start", "message_delta", "message_stop"))
    blocks = [said for said in events if said["type"].startswith("content_block")]
    current = -1
    is_open = False
    for said in blocks:
        if said["type"] == "content_block_start":
            assert not is_open
            current += 1
            is_open = True
        assert said["index"] == current
        assert is_open
        is_open = said["type"] != "content_block_stop"
    assert not is_open


def read_by_sdk(data: bytes) -> dict[str, Any]:
    """The message that Anthropic's own client makes of a stream."""
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=data))
    with (
        httpx2.Client(transport=transport) as http,
        anthropic.Anthropic(api_key="x", base_url="http://t", http_client=http, max_retries=0) as client,
        client.messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "q"}]) as got,
    ):
        return got.get_final_message().to_dict()


def read_json_by_sdk(data: bytes) -> dict[str, Any]:
    """The message that Anthropic's own client makes of a JSON answer."""
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, headers={"content-type": "application/json"}, content=data))
    with (
        httpx2.Client(transport=transport) as http,
        anthropic.Anthropic(api_key="x", base_url="http://t", http_client=http, max_retries=0) as client,
    ):
        return client.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "q"}]).to_dict()


def mine(number: int = 1) -> dict[str, Any]:
    return use(f"h{number}", OURS, ref=f"r{number}")


CALL = use("b1", "Bash", cmd="l\u2028", n=[1, {}])

EXCHANGES: dict[str, list[list[dict[str, Any]]]] = {
    "plain": [[text("hello there"), text("")]],
    "only client calls": [[thinking("so", "c2ln"), text("x"), CALL, use("b2", "Now")]],
    "hidden only": [[mine()], [text("answer")]],
    "text and hidden": [[text("let me see"), mine()], [text("answer")]],
    "two hidden at once": [[mine(1), mine(2)], [text("answer")]],
    "three in a row": [[text("1"), mine()], [text("2"), mine()], [text("3"), mine()], [text("4")]],
    "thinking in all rounds": [
        [thinking("first", "c2lnMQ=="), text("look"), mine()],
        [thinking("second", "c2lnMg=="), mine()],
        [{"type": "redacted_thinking", "data": "x"}, text("done"), CALL],
    ],
    "mixed, hidden first": [[mine(), text("x"), CALL]],
    "mixed, hidden in the middle": [[CALL, mine(), text("x")]],
    "mixed, hidden last": [[text("x"), CALL, mine()]],
    "server tools and citations": [
        [SEARCH, FOUND, mine()],
        [text("see", citations=[{"type": "char_location", "cited_text": "c"}]), SEARCH],
    ],
}


def rounds_of(name: str) -> list[dict[str, Any]]:
    blocks = EXCHANGES[name]
    return [
        message(*content, number=i, reason="tool_use" if any(b["type"] == "tool_use" for b in content) else "end_turn")
        for i, content in enumerate(blocks, 1)
    ]


@pytest.mark.parametrize("name", EXCHANGES)
def test_the_assembled_answer_is_the_json_answer(name: str) -> None:
    for answer in rounds_of(name):
        codec = WIRE.codec()
        codec.begin_round()
        codec.feed(stream(answer))
        assert json.loads(codec.answer().document.data) == answer


@pytest.mark.parametrize("name", EXCHANGES)
def test_all_rounds_make_one_stream_that_says_what_the_merged_json_says(name: str) -> None:
    rounds = rounds_of(name)
    merged = play([stream(answer) for answer in rounds])
    events = events_of(merged)
    assert_grammar(events)
    assert OURS.encode() not in merged
    answers = [WIRE.read(dump(answer)) for answer in rounds]
    twin = WIRE.merge(answers, client_parts(answers), notice="", stopped=False)
    codec = WIRE.codec()
    codec.begin_round()
    codec.feed(merged)
    assert json.loads(codec.answer().document.data) == json.loads(twin)
    final = read_by_sdk(merged)
    usage = final.pop("usage")
    expected = read_json_by_sdk(twin)
    assert usage.items() <= expected.pop("usage").items()
    assert {key: value for key, value in final.items() if value is not None} == {
        key: value for key, value in expected.items() if value is not None
    }


@pytest.mark.parametrize("name", EXCHANGES)
def test_watcher_and_loop_come_to_the_same_stream_and_the_same_json(name: str) -> None:
    streams = [stream(answer) for answer in rounds_of(name)]
    loop = rounds(WIRE, b'{"messages":[]}', Originals({"r1": "one"}, max_bytes=99), max_rounds=9)
    watch = Watch(WIRE.codec(), OURS, structured=False, max_hold_bytes=1 << 20)
    body = next(loop)
    out = b""
    sent = [body]
    for data in streams:
        watch.begin_round()
        out += watch.feed(data)
        rest, answer = watch.end_round()
        out += rest
        assert answer is not None
        try:
            sent.append(loop.send(answer))
        except StopIteration as ended:
            outcome = ended.value
    assert len(sent) == len(streams)
    out += watch.finish(outcome)
    assert out == play(streams)
    codec = WIRE.codec()
    codec.begin_round()
    codec.feed(out)
    merged = WIRE.merge(outcome.answers, outcome.kept, notice=outcome.notice, stopped=outcome.stopped)
    assert json.loads(codec.answer().document.data) == json.loads(merged)
    assert WIRE.unpaired(WIRE.decode(sent[-1])) == frozenset()


@pytest.mark.parametrize("name", EXCHANGES)
def test_usage_is_summed_and_told_once_at_the_end(name: str) -> None:
    rounds = rounds_of(name)
    told = [said["usage"] for said in events_of(play([stream(answer) for answer in rounds])) if "usage" in said]
    assert len(told) == 1
    if len(rounds) > 1:
        assert told[0]["input_tokens"] == sum(answer["usage"]["input_tokens"] for answer in rounds)
        assert told[0]["cache_read_input_tokens"] == 7 * len(rounds)
        assert [entry["output_tokens"] for entry in told[0]["iterations"]] == list(range(1, len(rounds) + 1))


def test_every_cut_gives_the_same_bytes() -> None:
    short: dict[str, Any] = {"id": "m", "usage": {"output_tokens": 1}}
    rounds = [
        stream({**short, "content": [thinking("a", "s"), use("h", OURS)], "stop_reason": "tool_use"}),
        stream({**short, "content": [text("d\u2028"), use("b", "B", a=1)], "stop_reason": "tool_use"}).replace(b"\n", b"\r\n"),
    ]
    expected = play(rounds)
    assert play(rounds, lambda data: [data[i : i + 1] for i in range(len(data))]) == expected
    for cut in range(1, max(map(len, rounds))):
        assert play(rounds, partial(cut_at, cut)) == expected


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_a_round_without_our_calls_passes_byte_for_byte(ending: str) -> None:
    plain = stream(message(thinking("so", "s"), text("hé\u2028"), CALL, reason="tool_use")).decode()
    odd = ': comment\n\nevent: new_kind\ndata: {\ndata:  "x": 1e5}\n\ndata: [DONE]\n\nevent: ping\ndata:\n\n'
    data = ("\ufeff" + odd + plain + odd).replace("\n", ending).encode()
    codec = WIRE.codec()
    codec.begin_round()
    frames = codec.feed(data) + codec.close()
    assert b"".join(codec.encode(frame, frame.events) for frame in frames) == data
    assert play([data]).replace(ending.encode(), b"\n").count(b"event: message_stop") == 1


def test_a_moved_event_changes_its_index_only() -> None:
    rest = b'"delta":{"text":"\xc3\xa9\\/","type":"text_delta"}, "type":"content_block_delta","n":1E5}\n\n'
    delta = b'event:content_block_delta\ndata: {"index" : 1 ,\ndata:' + rest
    first = stream(message(mine(), text(""), reason="tool_use"))
    stop = event("content_block_stop", index=1)
    out = play([first.replace(stop, delta + stop), stream(message(text("end"), number=2))])
    assert b'event: content_block_delta\ndata: {"index" : 0 ,\ndata: ' + rest in out


def test_events_tell_what_watchers_need() -> None:
    codec = WIRE.codec()
    codec.begin_round()
    blocks = [thinking("a", "s"), text("b"), CALL, SEARCH]
    frames = codec.feed(stream(message(*blocks, reason="tool_use")) + event("error", error={}))
    told = [(e.kind.name, e.index, e.id + e.name, e.visible) for frame in frames for e in frame.events if e.kind.name != "PIECE"]
    assert told == [
        ("START", None, "", False),
        ("OPAQUE", None, "", False),
        *[("SIGNED", 0, "", False)] * 4,
        ("TEXT", 1, "", False),
        ("TEXT", 1, "", True),
        ("TEXT", 1, "", False),
        ("CALL", 2, "b1Bash", False),
        ("OTHER", 3, "", False),
        ("OTHER", 3, "", False),
        ("FINISH", None, "", False),
        ("USAGE", None, "", False),
        ("END", None, "", False),
        ("ERROR", None, "", False),
    ]


@pytest.mark.parametrize(
    "data",
    [
        b'{"type":"content_block_start"}',
        b'{"type":"content_block_start","index":-1,"content_block":{}}',
        b'{"type":"content_block_start","index":"0","content_block":{"type":"text"}}',
        b'{"type":"content_block_start","index":0,"content_block":[]}',
        b'{"type":"content_block_stop","index":' + b"9" * 5000 + b"}",
        b'{"type":"content_block_delta","index":0}',
        b'{"type":"content_block_delta","index":1e3,"delta":{}}',
        b'{"type":"content_block_stop"}',
        b'{"type":["message_start"]}',
        b"[1]",
        b"{",
        b"\xff",
        b'{"type":"new","index":0}',
    ],
)
def test_what_is_not_understood_passes(data: bytes) -> None:
    codec = WIRE.codec()
    codec.begin_round()
    raw = b"event: x\ndata: " + data + b"\n\n"
    (frame,) = codec.feed(raw)
    assert [said.kind for said in frame.events] == [EventKind.OPAQUE]
    assert codec.encode(frame, frame.events) == raw


_NAMES = ["message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta", "message_stop"]
_KEYS = [
    "message",
    "content_block",
    "delta",
    "usage",
    "content",
    "type",
    "text",
    "input",
    "partial_json",
    "citation",
    "id",
    "name",
]
_KINDS = [
    "text",
    "tool_use",
    "thinking",
    "text_delta",
    "input_json_delta",
    "citations_delta",
    "signature_delta",
    "compaction_delta",
]
_ODD = st.recursive(
    st.none() | st.integers(0, 2) | st.sampled_from([*_KINDS, "end_turn", "{"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(_KEYS), inner, max_size=4),
    max_leaves=8,
)
_EVENTS = st.builds(
    lambda name, index, members: {"type": name, "index": index, **members},
    st.sampled_from(_NAMES),
    st.integers(0, 1),
    st.dictionaries(st.sampled_from(_KEYS), _ODD, max_size=4),
)


@given(st.dictionaries(st.sampled_from(_KEYS), _ODD, max_size=4), st.lists(_EVENTS, max_size=8))
@settings(max_examples=150, deadline=None)
def test_odd_events_never_raise(start: dict[str, Any], events: list[dict[str, Any]]) -> None:
    data = b"".join(b"data: " + dump(said) + b"\n\n" for said in [{"type": "message_start", "message": start}, *events])
    codec = WIRE.codec()
    codec.begin_round()
    frames = codec.feed(data)
    assert b"".join(codec.encode(frame, frame.events) for frame in frames) == data
    client = Client()
    client.read(data, whole)
    client.read(data, whole)
    client.finish(stopped=True)
    events_of(WIRE.as_stream(client.answers[0]))


@pytest.mark.parametrize(
    "delta",
    [
        {},
        [],
        {"type": "text_delta"},
        {"type": "text_delta", "text": 5},
        {"type": "thinking_delta", "thinking": "to a text"},
        {"type": "citations_delta"},
        {"type": "new_delta", "text": "x"},
    ],
)
def test_odd_deltas_do_no_harm(delta: Any) -> None:
    data = stream(message(text("abc"))).replace(
        event("content_block_stop", index=0),
        event("content_block_delta", index=0, delta=delta) + event("content_block_stop", index=0),
    )
    assert json.loads(WIRE.read(dump(message(text("abc")))).document.data)["content"][0]["text"] == "abc"
    client = Client()
    client.read(data, whole)
    assert [client.answers[0].document.get(part.node, "text") >= 0 for part in client.answers[0].parts] == [True]
    assert b"abc" in client.answers[0].document.data


def test_what_a_block_starts_with_stays() -> None:
    start = event("content_block_start", index=0, content_block=text("a"))
    events = [event("message_start", message=message()), start, *block_events(0, text("bcde", citations=[{"n": 1}]))[1:]]
    client = Client()
    client.read(b"".join(events), whole)
    assert json.loads(client.answers[0].document.data)["content"] == [text("abcde", citations=[{"n": 1}])]


def test_arguments_that_broke_off_are_none() -> None:
    data = b"".join(
        [
            event("message_start", message=message()),
            *block_events(0, mine())[:-2],
            event("message_delta", delta={"stop_reason": "max_tokens"}, usage={"output_tokens": 1}),
            event("message_stop"),
        ]
    )
    client = Client()
    client.read(data, whole)
    assert [call.arguments for call in client.answers[0].calls] == ["{}"]


def test_surrogates_that_deltas_tear_apart_are_one_character_again() -> None:
    torn = [b'"{\\"a\\":\\"\\ud83d"', b'"\\ude00\\"}"']
    data = b"".join(
        [
            event("message_start", message=message()),
            event("content_block_start", index=0, content_block=use("a", "T")),
            *(
                event("content_block_delta", index=0, delta={"type": "input_json_delta", "partial_json": 0}).replace(
                    b": 0}", b": " + t + b"}"
                )
                for t in torn
            ),
            event("content_block_stop", index=0),
            event("message_delta", delta={"stop_reason": "tool_use"}, usage={}),
        ]
    )
    client = Client()
    client.read(data, whole)
    assert client.answers[0].calls[0].arguments == '{"a":"\U0001f600"}'


def test_a_stream_without_a_start_is_no_answer() -> None:
    codec = WIRE.codec()
    codec.begin_round()
    codec.feed(event("message_stop"))
    with pytest.raises(ResponseError):
        codec.answer()


def test_what_message_delta_says_of_the_message_is_in_the_answer() -> None:
    start = event("message_start", message=message(usage={"input_tokens": 5, "output_tokens": 1, "server_tool_use": {"n": 1}}))
    delta = event(
        "message_delta",
        delta={"stop_reason": "end_turn", "container": {"id": "c"}, "stop_details": None},
        usage={"output_tokens": 8, "server_tool_use": None, "input_tokens": 6},
        context_management={"applied_edits": []},
    )
    codec = WIRE.codec()
    codec.begin_round()
    codec.feed(start + delta)
    answer = json.loads(codec.answer().document.data)
    assert answer["usage"] == {"input_tokens": 6, "output_tokens": 8, "server_tool_use": {"n": 1}}
    assert answer["container"] == {"id": "c"}
    assert answer["context_management"] == {"applied_edits": []}
    assert answer["stop_details"] is None


def test_at_the_limit_the_notice_is_a_block_and_the_model_stopped() -> None:
    rounds = [message(text("x"), mine(), reason="tool_use"), message(mine(2), reason="tool_use", number=2)]
    out = play([stream(answer) for answer in rounds], notice="limit \u2028", stopped=True)
    assert_grammar(events_of(out))
    final = read_by_sdk(out)
    assert [block["text"] for block in final["content"]] == ["x", "limit \u2028"]
    assert (final["id"], final["stop_reason"]) == ("msg_1", "end_turn")


def test_input_transformations_of_a_start_that_was_dropped_are_told_at_the_end() -> None:
    changed = [{"type": "thinking_dropped"}]
    rounds = [message(mine(), input_transformations=[]), message(text("x"), number=2, input_transformations=changed)]
    delta = events_of(play([stream(answer) for answer in rounds]))[-2]
    assert delta["input_transformations"] == changed


def test_several_message_deltas_become_one() -> None:
    data = stream(message(text("x")))
    early = event("message_delta", delta={}, usage={"output_tokens": 3, "input_tokens": 4})
    out = play([data.replace(event("message_stop"), early + event("message_stop"))])
    assert_grammar(events_of(out))
    final = events_of(out)[-2]
    assert final["delta"]["stop_reason"] == "end_turn"
    assert final["usage"]["input_tokens"] == 4


def broken_off(data: bytes, after: bytes) -> bytes:
    return data[: data.index(after) + len(after)]


def test_a_block_that_an_upstream_left_open_is_closed_before_the_error() -> None:
    codec = WIRE.codec()
    codec.begin_round()
    data = broken_off(stream(message(text("hello"))), b'"hel')
    frames = codec.feed(data) + codec.close()
    out = b"".join(codec.encode(frame, frame.events) for frame in frames)
    assert out == data
    told = (out + codec.error('it "broke" \u2028')).split(b"\n\n")
    assert told[-4] == data[data.rindex(b"event:") :]
    assert told[-3] == b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}'
    assert json.loads(told[-2].split(b"data: ")[1])["error"] == {"type": "api_error", "message": 'it "broke" \u2028'}
    assert told[-1] == b""


def test_an_error_in_a_later_round_does_not_follow_half_an_event() -> None:
    codec = WIRE.codec()
    codec.begin_round()
    out = b""
    for data in (stream(message(mine(), reason="tool_use")), broken_off(stream(message(text("hello"))), b'"hel')):
        for frame in codec.feed(data) + codec.close():
            is_shown = frame.events[0].kind in (EventKind.TEXT, EventKind.OPAQUE) or not out
            out += codec.encode(frame, frame.events if is_shown else [])
        codec.begin_round()
    assert events_of(out + codec.error("gone"))[-2:] == [
        {"type": "content_block_stop", "index": 0},
        {"type": "error", "error": {"type": "api_error", "message": "gone"}},
    ]


def test_an_error_of_ours_is_an_error_for_the_sdk() -> None:
    codec = WIRE.codec()
    codec.begin_round()
    frames = codec.feed(b"".join([event("message_start", message=message()), *block_events(0, text("abc"))[:-1]]))
    out = b"".join(codec.encode(frame, frame.events) for frame in frames) + codec.error("upstream gone")
    with pytest.raises(anthropic.APIStatusError, match="upstream gone"):
        read_by_sdk(out)


def test_a_block_left_open_is_closed_before_the_next_round_speaks() -> None:
    data = stream(message(text("abc"), mine(), reason="tool_use"))
    left_open = data.replace(event("content_block_stop", index=0), b"")
    assert left_open != data
    second = stream(message(text("x"), number=2))
    out = play([left_open, second])
    blocks = [(said["type"], said.get("index")) for said in events_of(out) if said["type"] == "content_block_stop"]
    assert blocks == [("content_block_stop", 0), ("content_block_stop", 1)]
    assert [block["text"] for block in read_by_sdk(out)["content"]] == ["abc", "x"]


def test_a_last_event_without_its_blank_line_gets_one() -> None:
    rounds = [stream(message(mine(), reason="tool_use")), stream(message(text("x"), number=2)).removesuffix(b"\n\n")]
    assert_grammar(events_of(play(rounds)))


@pytest.mark.parametrize("name", EXCHANGES)
def test_a_json_answer_spelled_as_a_stream_reads_as_itself(name: str) -> None:
    for answer in rounds_of(name):
        for spelled in (dump(answer), json.dumps(answer, indent=2).encode()):
            data = WIRE.as_stream(WIRE.read(spelled))
            assert_grammar(events_of(data))
            codec = WIRE.codec()
            codec.begin_round()
            codec.feed(data)
            assert json.loads(codec.answer().document.data) == answer
            assert read_by_sdk(data)["content"] == read_json_by_sdk(spelled)["content"]


def test_a_completed_answer_is_a_stream_for_the_sdk() -> None:
    payload = WIRE.decode(b'{"model":"m","stream":true,"messages":[]}')
    data = WIRE.as_stream(WIRE.read(WIRE.complete({"content": "cached"}, payload)))
    assert read_by_sdk(data)["content"] == [text("cached")]
