"""The splitter: WHATWG's rules, any cut, no byte lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headroom_asgi.errors import ResponseError
from headroom_asgi.sse import ServerSentEvent, SSESplitter

LINES = st.sampled_from(
    [
        "data: {}",
        "data:x",
        "data",
        "data:  two",
        "data: é\u2028😀",
        "event: ping",
        "event:",
        "id: 5",
        ": note",
        ":",
        "retry: 9",
        "",
        "",
    ]
)
STREAMS = st.builds(
    lambda mark, lines, last: (mark + "".join(line + end for line, end in lines) + last).encode(),
    st.sampled_from(["", "", "\ufeff"]),
    st.lists(st.tuples(LINES, st.sampled_from(["\n", "\n", "\r\n", "\r"])), max_size=12),
    LINES,
)


def split(*chunks: bytes) -> list[ServerSentEvent]:
    splitter = SSESplitter()
    return [event for chunk in chunks for event in splitter.feed(chunk)] + splitter.close()


def dispatched(stream: bytes) -> list[tuple[str, str]]:
    """WHATWG's algorithm, word by word, with the last event's blank line added."""
    text = stream.decode().removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    events, data, name = [], [], ""
    for line in [*text.split("\n"), ""]:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if line == "":
            if data:
                events.append((name or "message", "\n".join(data)))
            data, name = [], ""
        elif field == "data":
            data.append(value)
        elif field == "event":
            name = value
    return events


@given(STREAMS, st.data())
def test_any_cut_gives_the_same_events_and_all_bytes(stream: bytes, data: st.DataObject) -> None:
    whole = split(stream)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[i:j] for i, j in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert split(*pieces) == whole
    assert split(*(bytes([byte]) for byte in stream)) == whole
    assert b"".join(event.raw for event in whole) == stream


@given(STREAMS)
def test_events_are_those_of_the_standard(stream: bytes) -> None:
    assert [(event.name, event.data.decode()) for event in split(stream) if event.data is not None] == dispatched(stream)


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"", []),
        (b"data: a\n\ndata: b\n\n", [("message", b"a"), ("message", b"b")]),
        (b"event: x\ndata: a\ndata: b\n\n", [("x", b"a\nb")]),
        (b": keep-alive\n\n", [("message", None)]),
        (b"event: x\n\n", [("x", None)]),
        (b"data:\n\n", [("message", b"")]),
        (b"data: [DONE]", [("message", b"[DONE]")]),
        (b"data: [DONE]\n", [("message", b"[DONE]")]),
        (b"\xef\xbb\xbfdata: a\n\n", [("message", b"a")]),
        (b"data: a\n\n\xef\xbb\xbfdata: b\n\n", [("message", b"a"), ("message", None)]),
        (b"event: \xff\ndata: a\n\n", [("\ufffd", b"a")]),
    ],
)
def test_events_of_a_stream(stream: bytes, events: list[tuple[str, bytes | None]]) -> None:
    assert [(event.name, event.data) for event in split(stream)] == events


def test_an_event_comes_as_soon_as_its_blank_line_is_there() -> None:
    splitter = SSESplitter()
    assert splitter.feed(b"data: a\n") == []
    assert [event.data for event in splitter.feed(b"\n")] == [b"a"]
    assert splitter.feed(b"data: b\r\n\r") == []
    assert [event.raw for event in splitter.feed(b"\n")] == [b"data: b\r\n\r\n"]


def test_an_event_that_never_ends_is_searched_once() -> None:
    splitter = SSESplitter(max_event_bytes=1 << 30)
    for _ in range(100_000):
        assert splitter.feed(b"data: " + b"x" * 30) == []
    assert len(splitter.close()[0].raw) == 3_600_000


def test_an_event_beyond_the_cap_is_an_error_that_loses_nothing() -> None:
    for chunks in ([b"data: ok\n\ndata: 12345"], [b"data: 1234", b"5"], [b"data: 1", b"\n\ndata: 12345"]):
        splitter = SSESplitter(max_event_bytes=10)
        got = b""
        with pytest.raises(ResponseError, match="longer than 10 bytes"):
            for chunk in chunks:
                got += b"".join(event.raw for event in splitter.feed(chunk))
        assert got + b"".join(event.raw for event in splitter.close()) == b"".join(chunks)


def test_a_complete_event_may_be_as_long_as_its_chunk() -> None:
    assert [event.data for event in SSESplitter(max_event_bytes=4).feed(b"data: 123456\n\n")] == [b"123456"]
