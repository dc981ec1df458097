"""Kinds and needles: found in linear time, whatever the text."""

import pytest

from headroom_asgi.compressors import ContentKind, detect
from headroom_asgi.compressors.smart_crusher import needles


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('{"a": 1}', ContentKind.JSON),
        (" \r\n\t[1]\n", ContentKind.JSON),
        ('"text"', ContentKind.JSON),
        ("[1}", ContentKind.TEXT),
        ("{", ContentKind.TEXT),
        ("", ContentKind.TEXT),
        ("\u00a0{}", ContentKind.TEXT),
        (" " * 10_000_000, ContentKind.TEXT),
    ],
)
def test_a_kind_is_told_by_the_first_and_last_character(text: str, kind: ContentKind) -> None:
    assert detect(text) is kind


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("what is the status of order ORD-10438?", [b"ORD-10438"]),
        ('who wrote "hello there"?', [b"hello there"]),
        ("mail ann.bell+x@example.com please", [b"ann.bell+x@example.com"]),
        ("look at src/app.py:31 and user_id", [b"src/app.py:31", b"user_id"]),
        ("Ann met Ann", [b"Ann"]),
        ("nothing to look for here", []),
    ],
)
def test_needles_are_names_and_quotes_not_prose(question: str, found: list[bytes]) -> None:
    assert needles(question) == found


@pytest.mark.parametrize(
    "text", ["a" * 20_000, "_" * 20_000, "a." * 10_000, "a_" * 10_000, "+" * 20_000, "'" * 20_000, "a@" * 10_000]
)
def test_needles_of_monotonous_questions_end(text: str) -> None:
    assert len(needles(text)) <= 200
