"""The helpers for tests of other apps speak every dialect."""

import json
from typing import Any

import pytest

from headroom_asgi.testing import PrefixError, assert_grows, assert_prefix_stable, forwarded
from tests.driver import ORDERS
from tests.talks import FIELDS, SEARCH, SPEAKERS

each_dialect = pytest.mark.parametrize("dialect", sorted(SPEAKERS))


def conversation(dialect: str) -> list[Any]:
    """Two questions, each with a call and a long result."""
    speaker = SPEAKERS[dialect]
    values: list[Any] = []
    for number in (1, 3):
        call = speaker.turn(speaker.json(number, [("theirs", SEARCH)]))
        orders = json.dumps([order | {"asked": number} for order in ORDERS])
        values += [*speaker.question(f"q{number}"), *call, *speaker.results([(f"call_{number}_0", "search", orders)])]
        values += speaker.turn(speaker.json(number + 1, [("text", "There.")]))
    return values


@each_dialect
def test_what_was_sent_is_the_beginning_of_what_is_sent_next(dialect: str) -> None:
    values = conversation(dialect)
    turns = forwarded(values, dialect=dialect, fields=FIELDS[dialect])
    assert len(turns) == 5
    assert b"".join(turns[-1]).count(b"<<ccr:") > 2  # the tool's description has one
    assert_prefix_stable(values, dialect=dialect, fields=FIELDS[dialect])


@each_dialect
def test_a_byte_that_changes_is_named(dialect: str) -> None:
    turns = forwarded(conversation(dialect), dialect=dialect, fields=FIELDS[dialect])
    turns[2][-1] += b" "
    with pytest.raises(PrefixError, match="turn 4 changed part"):
        assert_grows(turns)
