"""Event streams: any cut gives the same messages, no byte is lost, nothing corrupt is read; botocore agrees."""

import struct
from zlib import crc32

import pytest
from botocore.eventstream import EventStreamBuffer, ParserError
from hypothesis import given, settings
from hypothesis import strategies as st

from headroom_asgi.errors import ResponseError
from headroom_asgi.wire.eventstream import (
    MAX_HEADER_BYTES,
    MAX_PAYLOAD_BYTES,
    EventStreamSplitter,
    event,
    exception,
    framed,
    spelled_headers,
)

_FIXED = {2: "!b", 3: "!h", 4: "!i", 5: "!q", 8: "!q"}


def integers(size):
    return st.integers(-(2 ** (size - 1)), 2 ** (size - 1) - 1)


values = st.one_of(
    st.tuples(st.sampled_from([0, 1]), st.none()),
    st.tuples(st.just(2), integers(8)),
    st.tuples(st.just(3), integers(16)),
    st.tuples(st.just(4), integers(32)),
    st.tuples(st.sampled_from([5, 8]), integers(64)),
    st.tuples(st.just(6), st.binary(max_size=40)),
    st.tuples(st.just(7), st.text(st.characters(codec="utf-8"), max_size=12)),
    st.tuples(st.just(9), st.binary(min_size=16, max_size=16)),
)
names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
message = st.tuples(st.dictionaries(names, values, max_size=4), st.binary(max_size=60))


def spelled(kind, value):
    if kind in (0, 1):
        return b""
    if kind in _FIXED:
        return struct.pack(_FIXED[kind], value)
    data = value.encode() if kind == 7 else value
    return data if kind == 9 else struct.pack("!H", len(data)) + data


def read(kind, value):
    """What a reader makes of a header."""
    return kind == 0 if kind in (0, 1) else value


def frame(headers, payload):
    head = b""
    for name, (kind, value) in headers.items():
        key = name.encode()
        head += bytes([len(key)]) + key + bytes([kind]) + spelled(kind, value)
    return framed_by_hand(head, payload)


def framed_by_hand(head, payload, *, size=None, head_size=None):
    prelude = struct.pack("!II", 16 + len(head) + len(payload) if size is None else size, head_size or len(head))
    data = prelude + struct.pack("!I", crc32(prelude)) + head + payload
    return data + struct.pack("!I", crc32(data))


def pieces_of(data, cuts):
    cuts = sorted(cut for cut in cuts if cut <= len(data))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def fed(pieces):
    """All messages of a stream, what was left, and whether it turned out to be unreadable."""
    splitter = EventStreamSplitter()
    messages = []
    try:
        for piece in pieces:
            messages += splitter.feed(piece)
        return messages, splitter.close(), False
    except ResponseError:
        return messages, b"", True


def by_botocore(data):
    """What botocore reads, and whether it found the stream corrupt."""
    buffer = EventStreamBuffer()
    found = []
    try:
        buffer.add_data(data)
        for each in buffer:
            found.append((each.headers, each.payload))
    except (ParserError, UnicodeDecodeError, struct.error, KeyError):
        return found, True
    return found, False


@given(messages=st.lists(message, max_size=4), cuts=st.lists(st.integers(0, 500), max_size=20), rest=st.integers(0, 15))
def test_any_cut_gives_the_messages_of_the_stream_and_every_byte_of_it(messages, cuts, rest):
    frames = [frame(*each) for each in messages]
    data = b"".join(frames) + frame({}, b"")[:rest]
    found, left, broken = fed(pieces_of(data, cuts))
    assert not broken
    assert [each.raw for each in found] == frames
    assert left == data[len(b"".join(frames)) :]
    assert [(each.headers, each.payload) for each in found] == [
        ({name: read(*value) for name, value in headers.items()}, payload) for headers, payload in messages
    ]
    assert by_botocore(data)[0] == [(each.headers, each.payload) for each in found]


def test_messages_come_as_soon_as_their_last_byte_does():
    data = event("a", b"{}") + event("b", b"[]")
    splitter = EventStreamSplitter()
    counts = [len(splitter.feed(data[i : i + 1])) for i in range(len(data))]
    assert [i + 1 for i, count in enumerate(counts) if count] == [len(event("a", b"{}")), len(data)]


@given(messages=st.lists(message, min_size=1, max_size=3), data=st.data())
def test_what_was_changed_on_the_way_is_never_read_as_something_else(messages, data):
    frames = [frame(*each) for each in messages]
    whole = b"".join(frames)
    at = data.draw(st.integers(0, len(whole) - 1))
    changed = bytearray(whole)
    changed[at] ^= data.draw(st.integers(1, 255))
    found, left, broken = fed(pieces_of(bytes(changed), data.draw(st.lists(st.integers(0, 300), max_size=5))))
    hit = next(i for i in range(len(frames)) if at < len(b"".join(frames[: i + 1])))
    assert [each.raw for each in found] == frames[:hit]
    assert broken
    assert left == b""


@settings(max_examples=300)
@given(st.binary(max_size=80), st.booleans())
def test_random_headers_are_read_as_botocore_reads_them_or_refused(head, sound):
    data = framed_by_hand(head, b"x") if sound else head
    found, left, broken = fed([data])
    theirs, refused = by_botocore(data)
    if not broken:
        assert not refused
        assert [(each.headers, each.payload) for each in found] == theirs
        assert b"".join(each.raw for each in found) + left == data


def test_a_corrupt_message_hides_none_before_it_and_ends_the_stream():
    splitter = EventStreamSplitter()
    bad = event("b", b"{}")[:-1] + b"?"
    assert [each.payload for each in splitter.feed(event("a", b"1") + bad)] == [b"1"]
    for _ in range(2):
        with pytest.raises(ResponseError, match="checksum of a message"):
            splitter.feed(event("c", b"{}"))
    with pytest.raises(ResponseError):
        splitter.close()


def test_a_wrong_prelude_is_noticed_before_its_message_is_here():
    data = bytearray(event("a", b"{}"))
    data[3] ^= 1
    with pytest.raises(ResponseError, match="checksum of a prelude"):
        EventStreamSplitter().feed(bytes(data[:12]))


@pytest.mark.parametrize(
    ("size", "head_size"),
    [
        (17 + MAX_PAYLOAD_BYTES, 0),
        (17 + MAX_HEADER_BYTES, MAX_HEADER_BYTES + 1),
        (2**32 - 1, 4),
        (15, 0),
        (0, 0),
        (20, 5),
        (20, 2**32 - 1),
    ],
)
def test_a_message_that_says_it_is_too_large_or_too_small_is_refused_at_once(size, head_size):
    prelude = struct.pack("!II", size, head_size)
    with pytest.raises(ResponseError, match="bytes of headers"):
        EventStreamSplitter().feed(prelude + struct.pack("!I", crc32(prelude)))


def test_the_largest_messages_are_read():
    data = framed(b"", bytes(MAX_PAYLOAD_BYTES))
    (found,) = EventStreamSplitter().feed(data)
    assert (len(found.payload), found.raw) == (MAX_PAYLOAD_BYTES, data)


@pytest.mark.parametrize(
    "head",
    [
        b"\x01a\x00\x01a\x00",
        b"\x01a\x0a",
        b"\x01a",
        b"\x05a",
        b"\x01a\x07\x00",
        b"\x01a\x07\x00\x02x",
        b"\x01a\x05\x00",
        b"\x01a\x09" + bytes(15),
        b"\x01a\x07\x00\x01\xff",
        b"\x01\xff\x00",
    ],
)
def test_headers_that_cannot_be_are_refused(head):
    with pytest.raises(ResponseError, match="header"):
        EventStreamSplitter().feed(framed_by_hand(head, b""))


@given(headers=st.dictionaries(names, st.text(st.characters(codec="utf-8"), max_size=12), max_size=3), payload=st.binary())
def test_what_is_written_is_read(headers, payload):
    data = framed(spelled_headers(headers), payload)
    (found,), left, _ = fed([data])
    assert (found.headers, found.payload, left) == (headers, payload, b"")
    assert by_botocore(data)[0] == [(headers, payload)]
    assert found.carrying(payload) == data
    ((again,), _, _) = fed([found.carrying(b"other")])
    assert (again.headers, again.payload) == (headers, b"other")


def test_events_and_exceptions_say_what_they_are():
    (told,), _, _ = fed([event("chunk", b"{}")])
    assert (told.header(":event-type"), told.header(":content-type"), told.is_error) == ("chunk", "application/json", False)
    (failed,), _, _ = fed([exception("throttlingException", b"{}")])
    assert (failed.header(":exception-type"), failed.is_error) == ("throttlingException", True)
    (failed,), _, _ = fed([frame({":message-type": (7, "error"), ":error-code": (7, "x"), "n": (4, 1)}, b"")])
    assert failed.is_error
    assert failed.header("n") == failed.header("absent") == ""
