"""Words looked for together: the same lines as one search for each of them finds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headroom_asgi._crush import Words


def begins(data: bytes, word: bytes, *, apart: bool) -> set[int]:
    """Numbers of the lines in which a word begins, looked for alone."""
    found = set()
    for at in range(len(data)):
        if not data.startswith(word, at):
            continue
        end = at + len(word)
        joined = (at > 0 and data[at - 1 : at + 1].isalnum()) or (end < len(data) and data[end - 1 : end + 1].isalnum())
        if not (apart and joined):
            found.add(data.count(b"\n", 0, at))
    return found


def some(letters: bytes, size: int) -> st.SearchStrategy[bytes]:
    return st.lists(st.sampled_from([bytes([byte]) for byte in letters]), max_size=size).map(b"".join)


TEXTS = st.sampled_from([b"ab\n .", b"abc\n", b"a\n", b"ab\xff\0"]).flatmap(
    lambda letters: st.tuples(some(letters, 60), st.lists(some(letters, 6).filter(bool), max_size=8))
)


# So many beginnings that there is no room for a row for each of those of other words.
CROWD = [bytes([byte, byte]) for byte in range(0x80, 0xFF)]


@given(TEXTS, st.integers(-1, 5), st.booleans(), st.sampled_from([[], CROWD]))
def test_lines_are_those_that_single_searches_find(
    text: tuple[bytes, list[bytes]], most: int, apart: bool, crowd: list[bytes]
) -> None:
    data, words = text
    words = words + crowd
    lines = (begins(data, word, apart=apart) for word in words)
    assert Words(words).lines(data, most=most, apart=apart) == {
        line for found in lines if most < 0 or len(found) <= most for line in found
    }


@given(TEXTS, st.sampled_from([[], CROWD]))
def test_a_word_stands_in_a_text_that_holds_it(text: tuple[bytes, list[bytes]], crowd: list[bytes]) -> None:
    data, words = text
    assert Words(words + crowd).stand_in(data) is any(word in data for word in words)


def test_a_word_in_too_many_lines_tells_none_of_them() -> None:
    data = b"an order\n" * 9 + b"an error in the order\n"
    assert Words([b"order", b"error"]).lines(data, most=3, apart=True) == {9}
    assert Words([b"order"]).lines(data, most=10, apart=True) == set(range(10))


def test_a_word_inside_the_beginning_of_a_longer_one_is_found() -> None:
    assert Words([b"a b c d", b"b"]).lines(b"a b c\na d", most=9, apart=True) == {0}
    assert Words([b"a b c d", b"b c", b"c"]).lines(b"a b c x\n\n\nc", most=1, apart=True) == {0}
    assert Words([b"order", b"rd"]).lines(b"or\nordinary") == {1}
    assert Words([b"order", b"rd"]).stand_in(b"ordinary")
    assert Words([b"aab", *CROWD]).lines(b"b\naaab") == {1}


def test_any_word_of_bytes_that_is_not_too_long_is_looked_for() -> None:
    every = bytes(range(256))
    assert Words([every]).lines(b"\n" + every * 2) == {1, 2}
    assert Words([b"x" * 65_536]).stand_in(b"x" * 65_536)
    assert not Words([]).stand_in(b"x")
    with pytest.raises(ValueError, match="64 KiB"):
        Words([b"x" * 65_537])
    with pytest.raises(ValueError, match="empty"):
        Words([b"a", b""])
    with pytest.raises(TypeError, match="word 1 is str"):
        Words([b"a", "b"])  # type: ignore[list-item]
