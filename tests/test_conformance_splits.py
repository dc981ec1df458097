"""Where the upstream's streams are cut makes no difference to the client, in any dialect."""

import random
from functools import cache
from typing import Any

import pytest

from example_app.speakers import SPEAKERS
from example_app.view import WireFormat
from tests.conformance_splits import KINDS, Exchange, recorded, whole_turn

every_stream = pytest.mark.parametrize(
    ("dialect", "array"),
    [*((dialect, False) for dialect in SPEAKERS), ("gemini", True)],
    ids=[*SPEAKERS, "gemini's array"],
)
# `python -m tests.conformance_splits` tries every position of the other kinds too.
AT_EVERY_POSITION = "text, hidden, name in two"
_SOME = 60  # positions


@cache
def exchange_of(dialect: WireFormat, kind: str, *, array: bool) -> Exchange:
    return recorded(dialect, kind, array=array)


@every_stream
@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_is_the_same_however_it_is_cut(dialect: WireFormat, array: bool, kind: str) -> None:
    exchange = exchange_of(dialect, kind, array=array)
    whole = exchange.replayed(())
    longest = max(map(len, exchange.streams))
    dice = random.Random(f"{dialect} {kind}")
    assert exchange.replayed(range(longest)) == whole, "every byte by itself"
    for place in dice.choices(range(1, longest), k=_SOME):
        assert exchange.replayed([place]) == whole, place
    for count in range(2, 12):
        places = dice.choices(range(1, longest), k=count)
        assert exchange.replayed(places) == whole, places


@every_stream
def test_a_stream_is_the_same_cut_at_any_position(dialect: WireFormat, array: bool) -> None:
    exchange = exchange_of(dialect, AT_EVERY_POSITION, array=array)
    whole = exchange.replayed(())
    assert [place for place in exchange.places() if exchange.replayed([place]) != whole] == []


@every_stream
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_stream_adds_up_to_is_the_answer_that_is_not_streamed(dialect: WireFormat, array: bool, kind: str) -> None:
    exchange = exchange_of(dialect, kind, array=array)
    told = exchange.replayed(())
    assert b"headroom" not in told
    assert said(exchange.turn(told)) == said(whole_turn(dialect, kind))


def said(value: Any) -> Any:
    """A turn without members that say nothing."""
    if isinstance(value, dict):
        return {name: said(child) for name, child in value.items() if child is not None}
    return [said(child) for child in value] if isinstance(value, list) else value
