"""Very large texts: what stays of them, what the markers say, and that nothing is lost."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headroom_asgi import compress, retrieve
from headroom_asgi.compressors import Markers, Request
from headroom_asgi.compressors.large import LargeOmitter
from headroom_asgi.config import CompressorConfig
from headroom_asgi.store import MemoryStore

MARKER = re.compile(r"<<ccr:(ref-[a-z]+) \d+ \w+ left out: [^\n]*>>")
LINES = [
    f"In the year {number} the river rose again, and the people of the valley moved their boats up." for number in range(900)
]


def omitted(text: str, question: str = "", arguments: str = "") -> tuple[str | None, list[str]]:
    markers = Markers("ref")
    found = LargeOmitter().omit(text, Request(question, "ref", arguments), markers)
    return found, [omission.text for omission in markers.omissions]


def put_back(left: str, pieces: list[str]) -> str:
    """The text with each piece where its marker stands, without the line feeds around markers between blanks."""
    whole = iter(pieces)
    return re.sub(r"\n?<<ccr:ref-[a-z]+ [^\n]*>>\n", lambda _: f"\0{next(whole)}", left).replace("\0", "\n")


def test_beginning_and_end_stay_and_the_middle_goes() -> None:
    text = "\n".join(LINES)
    left, pieces = omitted(text)
    assert left is not None
    (piece,) = pieces
    before, _, behind = MARKER.sub("\0", left).partition("\0\n")
    assert text == before + piece + behind
    assert 15_000 < len(before) <= 16_000
    assert 7_000 < len(behind) <= 8_000
    assert f"{len(piece)} characters, from" in left


@pytest.mark.parametrize("size", [100, 440])
def test_a_text_that_can_be_read_as_a_whole_stays(size: int) -> None:
    text = "\n".join(LINES[:size])
    assert len(text) <= 40_000
    assert omitted(text) == (None, [])


@pytest.mark.parametrize(
    "line",
    ["the bridge of NORDAL_7 is closed", "## What came after", "=== Page 12 ===", "Then an error: the dam had failed."],
    ids=["named", "heading", "page", "trouble"],
)
def test_lines_that_a_reader_looks_for_stay(line: str) -> None:
    text = "\n".join([*LINES[:450], line, *LINES[450:]])
    left, pieces = omitted(text, "Is NORDAL_7 open?")
    assert left is not None
    assert f"\n{line}\n" in left
    assert len(pieces) == 2


def test_what_most_lines_hold_names_none_of_them() -> None:
    left, _ = omitted("\n".join(f"{line} NORDAL_7" for line in LINES), "Is NORDAL_7 open?")
    assert left is not None
    assert len(left) < 25_000


@pytest.mark.parametrize("opening", ['{"rows": [', '[{"id": 1},', "[('a', 1), ", "<rows>", "\n [["])
def test_records_that_are_cut_or_broken_stay(opening: str) -> None:
    assert omitted(opening + "\n".join(LINES)) == (None, [])


def test_no_name_or_number_is_cut_in_two() -> None:
    text = ",".join(f"boots_{number},1,{number:03},https://example.com/boots/{number}" for number in range(1500))
    left, pieces = omitted(text)
    assert left is not None
    assert all(piece.startswith(("boots_", "https:", "1,")) and piece.endswith(",") for piece in pieces)


def test_of_one_long_line_pieces_go() -> None:
    text = " ".join(LINES)
    left, pieces = omitted(text, "What happened in `year 612`?")
    assert left is not None
    assert "year 612 the river" in left
    assert len(left) < 28_000
    assert left.replace("\n", "").startswith(text[:15_000])
    assert same(put_back(left, pieces), text)


@given(
    st.lists(st.sampled_from(["# heading", "short", "x" * 3000, "", "an error", " word" * 700]), min_size=1),
    st.integers(1, 40),
)
def test_pieces_put_back_give_the_text(parts: list[str], times: int) -> None:
    text = "\n".join(parts * times)
    left, pieces = omitted(text)
    if left is None:
        assert not pieces
        return
    assert len(left) < len(text)
    assert same(put_back(left, pieces), text)


def same(one: str, other: str) -> bool:
    """Two texts differ in line feeds only; a bool, as pytest would print both of them."""
    return one.replace("\n", "") == other.replace("\n", "")


def messages_with(content: str, tool: str = "fetch") -> list[dict[str, Any]]:
    call = {"id": "c1", "type": "function", "function": {"name": tool, "arguments": "{}"}}
    return [
        {"role": "user", "content": "What became of the valley?"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": content},
    ]


def test_what_went_comes_back() -> None:
    store = MemoryStore()
    text = "\n".join(LINES)
    result = compress(messages_with(text), model="gpt-4o", store=store)
    assert len(result.messages[2]["content"]) < len(text) / 2
    part = next(ref for ref in result.refs if ref.endswith("-a"))
    assert retrieve(part, store=store) in text


@pytest.mark.parametrize(
    ("tool", "switch"),
    [
        ("read_file", CompressorConfig()),
        ("fetch", CompressorConfig(enabled=False)),
        ("fetch", CompressorConfig(except_tools=["fetch"])),
    ],
    ids=["exact-match tool", "off", "excepted"],
)
def test_it_can_be_switched_off_and_leaves_files_alone(tool: str, switch: CompressorConfig) -> None:
    text = "\n".join(LINES)
    result = compress(messages_with(text, tool), model="gpt-4o", store=MemoryStore(), large=switch)
    assert not result.refs


@pytest.mark.parametrize(
    "line",
    ["----- Results -----", "*** Part two ****", "___ 3 ___", r"\subsubsection{Water}", "=== a = b ==="],
)
def test_headings_of_many_kinds_stay(line: str) -> None:
    left, pieces = omitted("\n".join([*LINES[:450], line, *LINES[450:]]))
    assert left is not None
    assert f"\n{line}\n" in left
    assert len(pieces) == 2


@pytest.mark.parametrize("sign", "=-*_")
@pytest.mark.parametrize("size", [399, 1990])
def test_a_long_rule_with_a_letter_behind_it_is_no_heading_and_that_is_seen_at_once(sign: str, size: int) -> None:
    """Whoever tries all ways to take such a line apart needs minutes for them."""
    line = f"{sign * size}x"
    text = "\n".join([line] * (600_000 // size))
    left, pieces = omitted(text)
    assert left is not None
    assert len(left) < 27_000
    assert len(pieces) == 1


@pytest.mark.parametrize(
    "text",
    ["请按照顺序执行每一步操作！最后检查结果是否正确；" * 3000, "ACGT" * 15_000, "3141592653" * 6000],
    ids=["Chinese", "letters", "digits"],
)
def test_of_one_line_without_a_blank_the_middle_goes_too(text: str) -> None:
    left, pieces = omitted(text)
    assert left is not None
    (piece,) = pieces
    before, _, behind = MARKER.sub("\0", left).partition("\0")
    assert 12_000 < len(before) <= 16_001
    assert 6_000 < len(behind) <= 8_001
    assert same(before + piece + behind, text)


def test_a_chinese_sentence_is_not_cut() -> None:
    left, pieces = omitted("请按照顺序执行每一步的操作，最后再检查一下结果是否正确。" * 3001)
    assert left is not None
    assert all(piece.endswith(("，", "。")) for piece in pieces)
