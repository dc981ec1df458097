"""Texts in several kinds: where they are split, and that nothing of them is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headroom_asgi.compressors import ContentKind, sections
from headroom_asgi.compressors.sections import MAX_SPLIT
from tests.test_detect import EXAMPLES

PROSE = "Here is what the call gave.\nIt is what was asked for, as far as I can see.\nHave a look at it.\n"
DOCUMENT = '{\n  "id": 4711,\n  "names": ["a", "b"],\n  "open": true\n}\n'
TRACE = (
    'Traceback (most recent call last):\n  File "/app/a.py", line 3, in <module>\n    f()\n  File "/app/a.py", line 1, in f\n'
    "    raise ValueError(1)\nValueError: 1\n"
)
LOG = "".join(f"2025-03-01 10:00:0{second} INFO step {second}\n" for second in range(6))
TABLE = "| name | size |\n|---|---|\n| a | 1 |\n| b | 2 |\n"
PATCH = EXAMPLES[ContentKind.DIFF][0]
CODE = EXAMPLES[ContentKind.CODE][0]
LISTING = EXAMPLES[ContentKind.LISTING][0]


def kinds(text: str) -> list[str]:
    """The kinds of the pieces, in order."""
    return [section.kind.value for section in sections(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (PROSE + DOCUMENT + PROSE, ["text", "json", "text"]),
        (PROSE + "\n" + '{"status": "ok", "items": [1, 2, 3], "next": "https://x.example/?page=2"}\n', ["text", "json"]),
        (LOG + TRACE + LOG, ["log"]),
        (LOG + PROSE + LOG, ["log"]),
        (LOG + "$ cat notes\n" + PROSE, ["log", "text"]),
        (LOG + TABLE + LOG, ["log", "table", "log"]),
        (PROSE + "\n```python\n" + CODE + "```\n" + PROSE, ["text", "code", "text"]),
        (PROSE + "\n````c++ title=x\n" + CODE + "```\nnot the end\n````\n" + PROSE, ["text", "code", "text"]),
        (PROSE + "\n~~~json\n" + DOCUMENT + "~~~\n", ["text", "json", "text"]),
        (PROSE + "\n" + PATCH + "\n" + PROSE, ["text", "diff", "text"]),
        (
            "commit 1234567\nAuthor: A\n\n    Words.\n\n" + PATCH + "\ncommit 7654321\n\n    More.\n\n" + PATCH,
            ["text", "diff", "text", "diff"],
        ),
        ("$ make\n" + LOG + "$ ls -la\n" + LISTING, ["log", "listing"]),
        ("=== STDOUT ===\n" + LISTING + "\n=== STDERR ===\n" + LOG, ["listing", "log"]),
        ("[2025-03-01] one\n" * 4, ["text"]),
        ("{ open block 1\n{ open block 2\n", ["text"]),
    ],
)
def test_a_text_is_split_where_its_kind_changes(text: str, expected: list[str]) -> None:
    assert kinds(text) == expected
    assert "".join(section.text for section in sections(text)) == text


def test_what_is_split_off_is_whole() -> None:
    _, document, _ = sections(PROSE + DOCUMENT + PROSE)
    assert document.text == DOCUMENT
    _, patch, _ = sections(PROSE + "\n" + PATCH + "\n" + PROSE)
    assert patch.text == PATCH


def test_a_patch_ends_where_its_heads_say() -> None:
    listed = PATCH + "- a point of a list, not of the patch\n- another\n"
    assert next(section.text for section in sections(listed)) == PATCH


def test_a_text_beyond_the_bound_is_of_one_kind() -> None:
    long = LOG * (MAX_SPLIT // len(LOG) + 1) + PATCH
    assert kinds(long) == ["log"]
    assert kinds(long[-2 * len(LOG) - len(PATCH) :]) == ["log", "diff"]


_PIECES = [
    PROSE,
    DOCUMENT,
    TRACE,
    LOG,
    TABLE,
    PATCH,
    CODE,
    LISTING,
    "```\n",
    "```py\n",
    "$ ls\n",
    "\n",
    "{\n",
    "]\n",
    "--- a\n+++ b\n",
    "x",
]


@given(st.lists(st.sampled_from(_PIECES) | st.text(st.characters(exclude_categories=[]), max_size=20), max_size=12))
def test_the_pieces_joined_are_the_text(pieces: list[str]) -> None:
    text = "".join(pieces)
    found = sections(text)
    assert "".join(section.text for section in found) == text
    assert all(section.text for section in found) or len(found) == 1
    assert all(section.text.endswith("\n") for section in found[:-1])


@pytest.mark.parametrize("line", ["{", "[", "```x", "diff --git a b", "@@ -1,9999999 +1,9999999 @@", "--- a", "[{", "}"])
def test_what_opens_and_never_closes_is_looked_at_once(line: str) -> None:
    text = f"{line}\n" * 30_000
    assert "".join(section.text for section in sections(text)) == text
