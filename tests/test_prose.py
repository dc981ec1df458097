"""Where prose stands in a text, and where its sentences begin and end."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headroom_asgi.compressors.prose import sentences
from tests.proses import prose


def said(text: str) -> list[str]:
    return [text[each.start : each.end] for each in sentences(text, [(0, len(text))])]


def leads(text: str) -> list[str]:
    return [text[each.start : each.end] for each in sentences(text, [(0, len(text))]) if each.leads]


LONG = "The quick brown fox jumps over the lazy dog near the old river bank"


@pytest.mark.parametrize(
    "text",
    [
        f"# {LONG}. {LONG}.",
        f"> {LONG}. {LONG}.",
        f"| {LONG}. | {LONG}. |",
        f"    {LONG}. {LONG}.",
        f"```\n{LONG}. {LONG}.\n```",
        f"$ echo {LONG}. {LONG}.",
        f"<p>{LONG}. {LONG}.",
        "id=4711; name=alpha_one; path=/srv/data/x_1; host=10.0.0.1; port=8080; retries=3; flags={a|b}; size=1.2e6",
        "2024-01-01,17.5,3,ok,1844,22.1,0.3,late,9917,48.2,1.9,ok,7712,36.0",
        "Total: 1,204.50",
        "A short line",
    ],
)
def test_what_is_no_prose_has_no_sentences(text: str) -> None:
    assert said(text) == []
    assert said(f"{text}\n\n{LONG}. And one more.") == [f"{LONG}.", "And one more."]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{LONG}. {LONG}!  {LONG}?", [f"{LONG}.", f"{LONG}!", f"{LONG}?"]),
        (f"{LONG}, e.g. Dr. Smith and J. Doe of Acme Inc. and others. Then it ended.", 2),
        (f"{LONG} at version 1.2.3 of it, see fig. 7 there. Then it ended.", 2),
        (f'{LONG}." He said so then. "{LONG}," she said.', [f'{LONG}."', "He said so then.", f'"{LONG}," she said.']),
        (f"{LONG}... and went on for a while. Then it ended.", 2),
        (f"{LONG}.[12][3] Then it ended.", [f"{LONG}.[12][3]", "Then it ended."]),
        ("这是一个关于人工智能在教育领域应用现状的报告。" * 3, ["这是一个关于人工智能在教育领域应用现状的报告。"] * 3),
        (f"{LONG}. Yes. No. Then it ended at last.", [f"{LONG}.", "Yes. No. Then it ended at last."]),
    ],
)
def test_sentences_end_at_stops_and_not_at_shortened_words(text: str, expected: list[str] | int) -> None:
    assert (len(said(text)) if isinstance(expected, int) else said(text)) == expected


def test_lines_that_an_editor_broke_are_one_paragraph() -> None:
    text = f"{LONG},\nwhich goes on in the second line. It ends at last in the\nthird line. {LONG}."
    assert leads(text) == [f"{LONG},\nwhich goes on in the second line."]
    assert len(said(text)) == 3


def test_each_long_line_is_a_paragraph() -> None:
    text = prose(1).replace("\n\n", "\n")
    assert len(leads(text)) == 8


def test_of_a_list_the_first_item_leads_and_what_others_hang_on() -> None:
    items = [f"{word} of the {LONG.lower()}" for word in ("first", "second", "third", "fourth")]
    text = f"- {items[0]}\n- {items[1]}:\n  - {items[2]}\n- {items[3]}"
    assert said(text) == [f"- {items[0]}", f"- {items[1]}:", f"- {items[2]}", f"- {items[3]}"]
    assert leads(text) == [f"- {items[0]}", f"- {items[1]}:"]


def test_a_fence_at_the_head_closes_what_was_opened_above() -> None:
    assert said(f"```\n\n{LONG}.") == [f"{LONG}."]
    assert said(f"```text\n\n{LONG}.") == []


def test_only_the_spans_are_looked_at() -> None:
    text = f"{LONG}.\n{LONG}!\n{LONG}?\n"
    start = text.index("!") + 2
    assert [text[each.start : each.end] for each in sentences(text, [(start, len(text))])] == [f"{LONG}?"]


@given(st.lists(st.sampled_from([*"aB .!?\n\t-#>`\"'1。é(", "word ", "Some words. ", "```\n"]), max_size=200).map("".join))
@example("a" * 40 + ". " * 30)
def test_sentences_stand_in_order_and_begin_and_end_with_no_blank(text: str) -> None:
    behind = 0
    for each in sentences(text, [(0, len(text))]):
        assert behind <= each.start < each.end <= len(text)
        assert text[each.start : each.end].strip() == text[each.start : each.end]
        behind = each.end
