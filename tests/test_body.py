"""How a request body is read and given on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headroom_asgi.middleware.body import read, replay
from headroom_asgi.types import Message

pytestmark = pytest.mark.anyio


def source(pieces: list[bytes]) -> list[Message]:
    last = len(pieces) - 1
    return [{"type": "http.request", "body": piece, "more_body": at < last} for at, piece in enumerate(pieces)]


async def through(messages: list[Message], max_bytes: int = 10**9) -> tuple[int, bytes, bool]:
    """Read, then read again from the replay: kept messages, the body, and whether it is complete."""
    waiting = iter(messages)

    async def receive() -> Message:
        return next(waiting)

    received = await read(receive, max_bytes)
    again, body, more = replay(received, receive), b"", True
    while more:
        message = await again()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return len(received.messages), body, received.complete


async def test_a_body_in_a_few_pieces_is_given_on_as_it_came() -> None:
    assert await through(source([b"a", b"b", b"c"])) == (3, b"abc", True)


async def test_a_body_in_crumbs_is_kept_in_larger_pieces() -> None:
    kept, body, complete = await through(source([b"x"] * 300_000))
    assert (len(body), complete) == (300_000, True)
    assert kept < 1100


@pytest.mark.parametrize("pieces", [[b"y"] * 5000, [b"y" * 70_000] * 30, [b"y"] * 2000 + [b"z" * 100_000] + [b"y"] * 2000])
async def test_too_much_is_noticed_and_none_of_it_is_lost(pieces: list[bytes]) -> None:
    _, body, complete = await through(source(pieces), max_bytes=2500)
    assert body == b"".join(pieces)
    assert not complete


@given(sizes=st.lists(st.integers(0, 3), min_size=1000, max_size=1100), large=st.integers(0, 200_000))
async def test_every_byte_comes_in_its_place(sizes: list[int], large: int) -> None:
    pieces = [bytes([at % 251]) * size for at, size in enumerate([*sizes, large, *sizes])]
    assert (await through(source(pieces)))[1:] == (b"".join(pieces), True)
