"""Prose by its words: only from a mask, only plain words, and every line stays a line."""

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headroom_asgi.compressors import KeptWords, Kompress, Markers, Request
from headroom_asgi.compressors.kompress import WHOLE, mask_key, packed, unpacked, word_spans
from tests.proses import prose

REF = "0123456789abcdef" * 2
MARKER = re.compile(
    r"<<ccr:([0-9a-f]{32}-a) (\d+) words left out: of (\d+), all over the text below; this name has it in full>>\n"
)
LONG = prose(1)


def kompressed(
    text: str, mask: bytes | None, question: str = "", spans: list[tuple[int, int]] | None = None
) -> tuple[str, Markers]:
    markers = Markers(REF)
    spans = [(0, len(text))] if spans is None else spans
    read = "".join(text[start:end] for start, end in spans)
    words = KeptWords("t", {} if mask is None else {mask_key("t", read): mask})
    left = Kompress().omit(text, spans, Request(question, REF, "", words), markers)
    assert (left is None) == (not markers.omissions)
    return (text if left is None else left), markers


def none_stays(text: str) -> bytes:
    return packed([False] * len(word_spans(text)))


def rest_of(left: str) -> str:
    head = MARKER.match(left)
    assert head is not None
    return left[head.end() :]


@given(st.lists(st.booleans(), max_size=100), st.integers(0, 3))
def test_a_mask_reads_back_for_as_many_words_as_it_was_made_for(stays: list[bool], more: int) -> None:
    mask = packed(stays)
    assert unpacked(mask, len(stays) + more) == (None if more else stays)
    assert unpacked(WHOLE, len(stays)) is None
    assert unpacked(mask[:-1], len(stays)) is None
    assert unpacked(mask + b"\0", len(stays)) is None


def test_the_key_of_a_mask_is_its_tenants_own() -> None:
    assert mask_key("a", LONG) == mask_key("a", LONG)
    assert len({mask_key("a", LONG), mask_key("b", LONG), mask_key("a", LONG + "."), mask_key("", "a" + LONG)}) == 4
    assert re.fullmatch("[0-9a-f]{32}", mask_key("a", LONG))


@pytest.mark.parametrize("mask", [None, WHOLE, b"", b"\1garbage", packed([False] * 3)], ids=repr)
def test_without_a_mask_for_its_words_a_text_stays(mask: bytes | None) -> None:
    assert kompressed(LONG, mask)[0] == LONG


def test_nobody_reads_where_nobody_knows() -> None:
    markers = Markers(REF)
    assert Kompress().omit(LONG, [(0, len(LONG))], Request("", REF, ""), markers) is None


def test_the_words_that_the_mask_says_go() -> None:
    words = LONG.split()
    keeps = [number % 3 == 0 for number in range(len(words))]
    left, markers = kompressed(LONG, packed(keeps))
    ends = {number for number, word in enumerate(words) if word.endswith(".") or words[number - 1].endswith(".")}
    assert rest_of(left).split() == [word for number, word in enumerate(words) if keeps[number] or number in ends]
    (omission,) = markers.omissions
    assert omission.text == LONG
    assert omission.units == len(words) - len(rest_of(left).split())


@pytest.mark.parametrize(
    "kept",
    [
        "Oslo",
        "INV-2041",
        "17",
        "3.5%",
        "path/to",
        "it's",
        "`x`",
        "NATO",
        "camelCase",
        "not",
        "never",
        "unless",
        "without",
        "nicht",
        "a_b",
    ],
)
def test_names_figures_and_what_turns_a_sentence_stay_whatever_the_mask_says(kept: str) -> None:
    text = LONG.replace("river", f"river {kept} river")
    left, _ = kompressed(text, none_stays(text))
    assert rest_of(left).split().count(kept) == text.split().count(kept) > 3
    assert "river" not in rest_of(left).split()


def test_words_of_the_question_stay() -> None:
    left, _ = kompressed(LONG, none_stays(LONG), question="How do gardens grow?")
    assert rest_of(left).split().count("garden") >= LONG.split().count("garden") - 8  # at the edges of sentences others stay
    assert len(re.findall(r"\bgarden\b", left)) == len(re.findall(r"\bgarden\b", LONG))


def test_what_is_no_prose_keeps_every_word() -> None:
    other = "| some table cells | that nobody reads |\n    and code that is indented\n# a heading of words\n> what somebody quotes here"
    text = LONG.replace("\n\n", f"\n\n{other}\n\n")
    left, _ = kompressed(text, none_stays(text))
    assert left.count(other) == text.count(other)


def test_what_is_not_in_its_spans_keeps_every_word() -> None:
    text = f"{LONG}\n{prose(2)}\n{prose(3)}\n"
    first, last = (0, len(LONG) + 1), (text.index(prose(3)), len(text))
    read = text[: first[1]] + text[last[0] :]
    left, _ = kompressed(text, none_stays(read), spans=[first, last])
    assert f"\n{prose(2)}\n" in left
    assert len(rest_of(left).split()) < len(text.split()) / 2


def test_too_little_too_much_and_half_a_character_are_not_read() -> None:
    for text in ("Some few words only. Here they are.", prose(4, 200), LONG + "\ud800"):
        words = KeptWords("t", {})
        assert Kompress().omit(text, [(0, len(text))], Request("", REF, "", words), Markers(REF)) is None
        assert words.missing == {}


def test_a_piece_whose_words_are_not_known_is_noted() -> None:
    words = KeptWords("t", {})
    Kompress().omit(LONG, [(0, len(LONG))], Request("", REF, "", words), Markers(REF))
    assert words.missing == {mask_key("t", LONG): LONG}
    assert words.used == {}


@given(st.integers(0, 1000), st.sampled_from(["\n", "\n\n", "\n  \t\n", "\r\n"]), st.data())
def test_lines_stay_lines_and_what_stays_keeps_bytes_and_order(number: int, between: str, data: st.DataObject) -> None:
    text = "  " + prose(number).replace("\n\n", between).replace(" river ", "  river\t") + "\n"
    draw = random.Random(data.draw(st.integers(0, 1000)))
    left, markers = kompressed(text, packed([draw.random() < 0.4 for _ in word_spans(text)]))
    if not markers.omissions:
        return
    lines, before = rest_of(left).split("\n"), text.split("\n")
    assert len(lines) == len(before)
    for line, was in zip(lines, before, strict=True):
        assert line[: len(line) - len(line.lstrip())] == was[: len(was) - len(was.lstrip())]
        words = iter(was.split())
        assert all(word in words for word in line.split())  # each further on than the one before
    assert left.count("river\t") <= text.count("river\t")
