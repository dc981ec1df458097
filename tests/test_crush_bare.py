"""What a reader could take for something else is quoted, though the format would have it bare; both forms are read."""

import json

import pytest

from headroom_asgi._crush import crush, expand
from tests.crush_reference import decode

PADDING = "the same words in every row, so that a table pays"


def crushed(value: object) -> str:
    """The crush text of a value, which reads back."""
    data = json.dumps(value, separators=(",", ":")).encode()
    found = crush(data)
    assert found is not None
    assert expand(found[0]) == data
    assert decode(found[0].decode()).encode() == data
    return found[0].decode()


@pytest.mark.parametrize("word", ["True", "FALSE", "False", "Null", "NULL", "TRUE", "None"])
def test_strings_that_look_like_literals_of_other_languages_are_quoted(word: str) -> None:
    rows = [{"id": i, "seen": word if i % 2 else None, "same": word, "tags": [word, i], "x": PADDING} for i in range(4)]
    text = crushed({"rows": rows, "alone": word})
    assert f'\talone: "{word}"' in text.replace("\n", "\t")
    assert f'\tsame="{word}"' in text
    assert f'\n 1\t"{word}"\t["{word}",1]' in text
    bare = text.replace(f'"{word}"', word)
    assert expand(bare.encode()) == expand(text.encode())
    assert decode(bare) == decode(text)


@pytest.mark.parametrize("word", ["none", "yes", "No", "Truest", "nil", "NaN", "undefined"])
def test_plain_words_stay_bare(word: str) -> None:
    rows = [{"id": i, "seen": word if i % 2 else None, "x": PADDING} for i in range(4)]
    assert f"\n1\t{word}\n" in crushed(rows)


def test_where_all_are_strings_nothing_is_quoted_for_its_looks() -> None:
    assert "\nTrue\t1\n" in crushed({word: {"n": i, "x": PADDING} for i, word in enumerate(("one", "True", "None"))})


def test_a_constant_does_not_start_with_an_equals_sign() -> None:
    text = crushed([{"id": i, "formula": "=SUM(A1)", "x": PADDING} for i in range(4)])
    assert '\tformula="=SUM(A1)"\t' in text
