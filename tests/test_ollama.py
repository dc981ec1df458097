"""Ollama's chat: where text sits, how rounds go on and become one answer, and what a stream of several rounds says."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headroom_asgi.errors import PayloadError, ResponseError
from headroom_asgi.types import ToolResult, ToolSpec
from headroom_asgi.wire import Answer, Endpoint, EventKind, Finish, Frame, Payload, Round, dialect_for, dialect_named, splice

WIRE = dialect_named("ollama")
HR = "headroom_retrieve"
TOOL = ToolSpec(HR, "Get it.", {"type": "object", "properties": {"ref": {"type": "string"}}})
BASH = {"type": "function", "function": {"name": "bash", "parameters": {}}}


def call(name: str, call_id: str = "", index: int | None = None, **arguments: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments} | ({} if index is None else {"index": index})
    return ({"id": call_id} if call_id else {}) | {"function": function}


def turn(content: str = "", *calls: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **more} | ({"tool_calls": list(calls)} if calls else {})


def result(content: str, name: str = "", call_id: str = "") -> dict[str, Any]:
    named = ({"tool_name": name} if name else {}) | ({"tool_call_id": call_id} if call_id else {})
    return {"role": "tool", **named, "content": content}


def user(content: str) -> dict[str, Any]:
    return {"role": "user", "content": content}


def payload(*messages: Any, **more: Any) -> Payload:
    return WIRE.decode(json.dumps({"model": "qwen3", "messages": list(messages), **more}).encode())


def line(message: dict[str, Any] | None = None, **more: Any) -> bytes:
    said = {"role": "assistant", "content": "", **(message or {})}
    head = {"model": "qwen3", "created_at": "2026-01-01T00:00:00Z", "message": said, "done": False}
    return json.dumps(head | more).encode() + b"\n"


def end(reason: str = "stop", message: dict[str, Any] | None = None, count: int = 5, **more: Any) -> bytes:
    counted = {"total_duration": 1000, "prompt_eval_count": 10, "eval_count": count}
    return line(message, done=True, done_reason=reason, **counted, **more)


def answer(content: str, *calls: dict[str, Any], reason: str = "stop", **more: Any) -> Answer:
    return WIRE.read(end(reason, turn(content, *calls, **more)))


# -- requests --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "name"), [("/api/chat", "ollama"), ("/ollama/api/chat/", "ollama"), ("/api/chats", None)])
def test_the_path_tells_the_dialect(path: str, name: str | None) -> None:
    found = dialect_for(path)
    assert (found[0].name if found else None) == name
    assert found is None or found[1] == Endpoint(media="application/x-ndjson")


@pytest.mark.parametrize(
    ("members", "stream", "structured", "edited"),
    [
        ({}, True, False, True),
        ({"stream": True, "format": "", "truncate": True}, True, False, True),
        ({"stream": False, "format": "json", "truncate": False}, False, True, False),
        ({"stream": None, "format": None}, True, False, True),
        ({"format": {"type": "object"}}, True, True, True),
    ],
)
def test_what_the_client_asked_for(members: dict[str, Any], stream: bool, structured: bool, edited: bool) -> None:
    found = payload(user("q"), **members)
    assert (found.model, found.stream, found.structured, found.history_edited) == ("qwen3", stream, structured, edited)


def test_segments_are_results_with_the_calls_that_they_answer_by_id_by_name_or_by_order() -> None:
    found = payload(
        user("what?"),
        turn("", call("bash", a=1), call("read", b=2), call("read", b=3)),
        result("1", "read"),
        result("2"),
        result("3", "read"),
        result("4", "other"),
        turn("", call("bash", "x", c=1), call("bash", "y", c=2)),
        result("5", call_id="y"),
        result("6", "bash", call_id="x"),
        result("7", "my_headroom_retrieve"),
    )
    rows = [(s.text, s.tool_name, s.tool_arguments, s.preceding_user_text, s.frozen) for s in found.segments if s.role == "tool"]
    assert rows == [
        ("1", "read", '{"b": 2}', "what?", False),
        ("2", "bash", '{"a": 1}', "what?", False),
        ("3", "read", '{"b": 3}', "what?", False),
        ("4", "other", "", "what?", False),
        ("5", "bash", '{"c": 2}', "what?", False),
        ("6", "bash", '{"c": 1}', "what?", False),
        ("7", "my_headroom_retrieve", "", "what?", True),
    ]
    assert [(s.text, s.frozen) for s in found.segments if s.role == "user"] == [("what?", True)]


@pytest.mark.parametrize(
    ("body", "reason"), [(b"{", "invalid_json"), (b"[]", "not_an_object"), (b'{"model":"m"}', "no_messages")]
)
def test_bodies_that_the_server_would_not_accept(body: bytes, reason: str) -> None:
    with pytest.raises(PayloadError, match=reason):
        WIRE.decode(body)


anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=3)),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "tool_calls", "function", "name", "arguments", "id"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(messages=st.lists(anything, max_size=4), tools=anything)
def test_wrong_types_anywhere_never_raise(messages: list[Any], tools: Any) -> None:
    found = payload(*messages, tools=tools)
    WIRE.offer(found, TOOL)
    WIRE.unpaired(found)
    assert len(list(WIRE.turns(found))) <= len(messages)


@pytest.mark.parametrize(
    ("tools", "obstacle"),
    [
        (None, "no_tools"),
        ([], "no_tools"),
        ([{"type": "function"}], "no_tools"),
        ([BASH, {"function": {"name": "mcp_headroom_retrieve"}}], "client_has_tool"),
    ],
)
def test_obstacles(tools: Any, obstacle: str) -> None:
    assert WIRE.offer(payload(user("q"), tools=tools), TOOL).obstacle == obstacle


def test_the_tool_goes_behind_the_last_function_tool() -> None:
    found = payload(user("q"), tools=[BASH, {"type": "other"}])
    spelled = {"type": "function", "function": {"name": HR, "description": TOOL.description, "parameters": TOOL.parameters}}
    assert json.loads(splice(found.body, WIRE.offer(found, TOOL).edits))["tools"] == [BASH, spelled, {"type": "other"}]
    assert set(WIRE.fields(found)) == {"messages", "tools"}


@pytest.mark.parametrize(
    ("messages", "unpaired"),
    [
        ([turn("", call("a"), call("b")), result("x", "b"), result("y", "a"), user("q")], set()),
        ([turn("", call("a"), call("b"))], set()),
        ([turn("", call("a"), call("b")), result("x", "a")], {"b"}),
        ([turn("", call("a"), call("b")), user("q")], {"a", "b"}),
        ([turn("", call("a", "1")), result("x", call_id="2"), user("q")], {"1", "2"}),
        ([result("x", "a")], {"a"}),
        ([turn("", call("a")), result("x"), result("y")], {""}),
    ],
)
def test_unpaired_calls_and_results(messages: list[Any], unpaired: set[str]) -> None:
    assert WIRE.unpaired(payload(*messages)) == unpaired


# -- answers ---------------------------------------------------------------------------------------------------------------


def test_parts_of_an_answer() -> None:
    found = answer("hi", call("bash", "c1", a=1), {"function": {}}, call("f"), thinking="hm", images=[])
    assert [part.kind.value for part in found.parts] == ["text", "other", "call", "other", "call"]
    assert [(c.id, c.name, c.arguments) for c in found.calls] == [("c1", "bash", '{"a": 1}'), ("", "f", "{}")]
    assert found.finish is Finish.DONE
    assert answer("x", reason="length").finish is Finish.CUT


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"message":"x"}', b'{"error":"x"}'])
def test_what_is_no_answer(body: bytes) -> None:
    with pytest.raises(ResponseError):
        WIRE.read(body)


@pytest.mark.parametrize("call_id", ["", "call_1"])
def test_the_next_body_has_the_very_message_and_the_results(call_id: str) -> None:
    found = WIRE.read(
        b'{"message" : {"role":"assistant", "content":"", "thinking":"hm", "tool_calls":[%b]}, "done":true}'
        % (json.dumps(call(HR, call_id, ref="aa")).encode(),)
    )
    body = WIRE.append(b'{"messages": [ 1 ]}', found, [ToolResult(found.calls[0], "rows")])
    assert found.document.raw(found.document.get(0, "message")) in body
    assert json.loads(body)["messages"][2] == result("rows", HR, call_id)


def merged(*rounds: Answer, notice: str = "") -> Any:
    kept = [[part for part in each.parts if part.call is None or part.call.name != HR] for each in rounds]
    return json.loads(WIRE.merge(rounds, kept, notice=notice, stopped=False))


def test_one_answer_with_everything_kept_is_the_same_object() -> None:
    one = answer("x", call("bash", index=0), thinking="hm")
    assert WIRE.merge([one], [one.parts], notice="", stopped=False) is one.document.data


def test_rounds_become_one_answer_with_everything_counted_together() -> None:
    first = answer("Let me look.", call(HR, index=0, ref="a"), thinking="hm")
    last = answer("There.", call(HR, index=0, ref="b"), call("bash", index=1), thinking="so")
    value = merged(first, last)
    assert value["message"] == turn("Let me look.\n\nThere.", call("bash", index=0), thinking="hm\n\nso")
    assert (value["total_duration"], value["prompt_eval_count"], value["eval_count"], value["done"]) == (2000, 20, 10, True)


def test_no_call_left_is_no_member_and_an_answer_that_would_be_empty_gets_the_notice() -> None:
    assert merged(answer("", call(HR)), answer("", call(HR)), notice="it ended")["message"] == turn("it ended")
    assert merged(answer("", call(HR)), answer("", call(HR)))["message"] == turn("")


def test_log_probabilities_of_what_shows_are_chained() -> None:
    def scored(content: str, token: str) -> Answer:
        return WIRE.read(end(message=turn(content), logprobs=[{"token": token}]))

    assert [entry["token"] for entry in merged(scored("a", "a"), scored("b", "b"))["logprobs"]] == ["a", "b"]


@pytest.mark.parametrize("given_answer", [{"message": {"content": "é"}}, {"choices": [{"message": {"content": "é"}}]}])
def test_an_extensions_answer_is_completed_and_says_the_same_as_a_stream(given_answer: dict[str, Any]) -> None:
    body = WIRE.complete(given_answer, payload(user("q")))
    value = json.loads(body)
    assert (value["model"], value["message"], value["done"], value["done_reason"]) == ("qwen3", turn("é"), True, "stop")
    assert assembled(WIRE.as_stream(WIRE.read(body))) == value


@pytest.mark.parametrize("given_answer", [{}, {"message": "x"}, {"choices": []}, {"message": {"content": object()}}])
def test_what_cannot_be_completed_is_refused(given_answer: dict[str, Any]) -> None:
    with pytest.raises(ResponseError):
        WIRE.complete(given_answer, payload(user("q")))


# -- turns -----------------------------------------------------------------------------------------------------------------


def happened(*calls: dict[str, Any], content: str = "") -> Round:
    found = answer(content, *calls)
    return Round(found, tuple(ToolResult(c, f"rows {n}") for n, c in enumerate(found.calls) if c.name == HR))


@pytest.mark.parametrize("kept", [turn(" Look.", call("bash", a=1)), turn("Look.", call("bash", "call_9", 0, a=1), thinking="x")])
def test_a_turn_is_known_by_text_and_calls_as_the_client_gives_back_no_ids(kept: dict[str, Any]) -> None:
    wanted = WIRE.turn(answer("Look.", call("bash", "call_1", 1, a=1)))
    (found,) = WIRE.turns(payload(user("q"), kept))
    assert (found.text, found.calls) == (wanted.text, wanted.calls)


@pytest.mark.parametrize("ids", [True, False])
@pytest.mark.parametrize("order", ["hab", "ahb", "abh", "haibj"])
def test_our_results_stand_in_the_order_of_calls(order: str, ids: bool) -> None:
    calls = [call(HR if name in "hij" else "bash", name if ids else "", number, n=name) for number, name in enumerate(order)]
    theirs = [result(name.upper(), "bash") for name in order if name in "ab"]
    found = payload(user("q"), turn("", *(c for c in calls if c["function"]["name"] != HR)), *theirs, user("next"))
    (known,) = WIRE.turns(found)
    whole = happened(*calls)
    _, said, *results, following = json.loads(splice(found.body, WIRE.replay(found, known, [whole])))["messages"]
    assert (said, following) == (turn("", *calls), user("next"))
    ours = {n: f"rows {i}" for i, n in enumerate(order)}
    assert [each["content"] for each in results] == [ours[n] if n in "hij" else n.upper() for n in order]


# -- streams ---------------------------------------------------------------------------------------------------------------


def frames_of(data: bytes, size: int = 1 << 20) -> tuple[list[Frame], Any]:
    codec = WIRE.codec("application/x-ndjson")
    codec.begin_round()
    frames = [frame for at in range(0, len(data), size) for frame in codec.feed(data[at : at + size])]
    return frames + codec.close(), codec


def assembled(data: bytes, size: int = 1 << 20) -> Any:
    return json.loads(frames_of(data, size)[1].answer().document.data)


STREAM = (
    line({"thinking": "h"})
    + line({"thinking": "m"})
    + line({"content": "a\u2028"})
    + line({"content": "b"})
    + line({"tool_calls": [call("bash", index=0), call(HR, index=1)]})
    + line({"tool_calls": [call("read", index=2)]})
    + end()
)


def test_what_lines_say() -> None:
    frames, _ = frames_of(STREAM)
    assert [[event.kind.value for event in frame.events] for frame in frames] == [
        ["start", "other"],
        ["other"],
        ["text"],
        ["text"],
        ["call", "call"],
        ["call"],
        ["finish", "usage", "end"],
    ]
    assert [event.name for frame in frames for event in frame.events if event.name] == ["bash", HR, "read"]


@pytest.mark.parametrize(
    ("data", "kinds"),
    [
        (b"\n", ["opaque"]),
        (b"{broken\n", ["opaque"]),
        (b"[1]\n", ["opaque"]),
        (b'{"status":"loading"}\n', ["opaque"]),
        (b'{"error":"out of memory"}\n', ["error"]),
        (end("length", {"content": "x", "tool_calls": [call("f")]}), ["start", "text", "call", "finish", "usage", "end"]),
        (line({"tool_calls": [{"function": {}}]}), ["start", "other"]),
        (line({"tool_calls": "x", "content": None}), ["start", "other"]),
    ],
)
def test_what_one_line_says(data: bytes, kinds: list[str]) -> None:
    frames, _ = frames_of(data)
    assert [event.kind.value for frame in frames for event in frame.events] == kinds


def test_every_split_gives_the_same_frames_and_loses_no_byte() -> None:
    whole = [(frame.raw, [event.kind for event in frame.events]) for frame in frames_of(STREAM)[0]]
    for size in range(1, len(STREAM)):
        frames, codec = frames_of(STREAM, size)
        assert [(frame.raw, [event.kind for event in frame.events]) for frame in frames] == whole
        assert assembled(STREAM, size) == json.loads(codec.answer().document.data)


def test_lines_add_up_to_the_answer() -> None:
    value = assembled(STREAM)
    calls = [call("bash", index=0), call(HR, index=1), call("read", index=2)]
    assert value["message"] == turn("a\u2028b", *calls, thinking="hm")
    assert (value["done"], value["eval_count"]) == (True, 5)
    with pytest.raises(ResponseError):
        frames_of(b"\n")[1].answer()


ODD_LINE = (
    b'{"x" : 1E3, "message": {"content":"a" , "tool_calls":[{"function":{"name":"f"}}, {"function":{"index":3,"name":"g"}}]}}\n'
)


@pytest.mark.parametrize(
    ("kept", "told"),
    [
        ("start text call0 call1", ODD_LINE),
        ("", b""),
        ("text", b'{"x" : 1E3, "message": {"content":"a"}}\n'),
        ("call0", b'{"x" : 1E3, "message": {"content":"" , "tool_calls":[{"function":{"name":"f"}}]}}\n'),
        ("text call1", b'{"x" : 1E3, "message": {"content":"a" , "tool_calls":[{"function":{"index":0,"name":"g"}}]}}\n'),
    ],
)
def test_what_is_kept_of_a_line_keeps_its_bytes(kept: str, told: bytes) -> None:
    frames, codec = frames_of(ODD_LINE)
    names = dict(zip(("start", "text", "call0", "call1"), frames[0].events, strict=True))
    assert codec.encode(frames[0], [names[name] for name in kept.split()]) == told


def test_a_last_line_whose_text_is_kept_is_not_the_last_one() -> None:
    frames, codec = frames_of(end("stop", {"content": "x", "tool_calls": [call(HR)]}))
    kept = [event for event in frames[0].events if event.kind is EventKind.TEXT]
    assert json.loads(codec.encode(frames[0], kept)) == json.loads(line({"content": "x"}))


def test_a_line_without_its_end_gets_it_when_another_one_follows() -> None:
    frames, codec = frames_of(line({"content": "x"})[:-1])
    told = codec.encode(frames[0], frames[0].events) + codec.error("gone")
    assert [json.loads(each) for each in told.split(b"\n") if each] == [json.loads(line({"content": "x"})), {"error": "gone"}]
    assert b"\n\n" not in told


def test_a_keep_alive_is_an_empty_piece_of_the_message() -> None:
    codec = frames_of(line({"content": "x"}))[1]
    assert json.loads(codec.keep_alive()) == json.loads(line())
    assert WIRE.codec().keep_alive() == b""


def test_a_line_without_end_is_an_error_that_loses_nothing() -> None:
    codec = WIRE.codec()
    codec.begin_round()
    with pytest.raises(ResponseError, match="longer than"):
        codec.feed(b" " * ((16 << 20) + 1))
    assert len(codec.close()[0].raw) == (16 << 20) + 1
