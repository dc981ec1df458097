"""What every official client sees of every kind of exchange is right, and docs/wire.md says so."""

import gc
from collections.abc import Iterator

import pytest

from tests.conformance import CASES, PAGE, Case, Table, columns, page, table
from tests.conformance_base import Client

# Clients warn about their own future, and leave connections open where an answer broke off.
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning",
    "ignore::ResourceWarning",
    "ignore::UserWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
)


@pytest.fixture(scope="module")
def cells() -> Iterator[Table]:
    with table() as running:
        yield running
    gc.collect()  # what they left open is found here, and not in somebody else's test


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("kind", columns(), ids=lambda kind: kind.__name__)
def test_the_client_sees_an_ordinary_answer_or_an_error(cells: Table, kind: type[Client], case: Case) -> None:
    assert cells.cell(kind, case)[2] == []


def test_the_committed_page_is_what_the_tests_find(cells: Table) -> None:
    assert PAGE.read_text() == page(cells), "run python -m tests.conformance --write"
