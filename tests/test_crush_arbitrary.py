"""Arbitrary JSON, 20,000 of them in each run, reads back as the value it was: by expand() and by the independent reader."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.crush_many import check_json

PARTS = 8
TIMEOUT_S = 900  # a part takes a quarter of a minute on a machine of its own, and two where twenty others work
EXAMPLES = 2_500  # of seeds: values drawn one choice after the other would take five times as long


@pytest.mark.timeout(TIMEOUT_S)
@pytest.mark.parametrize("part", range(PARTS))
@settings(max_examples=EXAMPLES, deadline=None)
@given(number=st.integers(0, 2**48))
def test_reads_back_as_the_same_value(part: int, number: int) -> None:
    check_json(number * PARTS + part)
