"""docs/crush-examples.md shows what the kernel writes."""

import crush_examples
import pytest

from headroom_asgi import _crush


def test_the_page_shows_what_is_written_today() -> None:
    assert crush_examples.PAGE.read_text(encoding="utf-8") == crush_examples.page(), "python -m tests.crush_examples --write"


@pytest.mark.parametrize(("name", "text"), crush_examples.shapes())
def test_every_example_reads_back(name: str, text: str) -> None:
    found = _crush.crush(text.encode())
    assert found is not None
    assert _crush.expand(found[0]) == text.encode()
