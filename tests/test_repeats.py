"""Repeats across tool results: what is folded, that it can be unfolded, and where it must not be done."""

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headroom_asgi import (
    CompressorConfig,
    ContentRouterConfig,
    ExpandError,
    HeadroomConfig,
    TransformPipeline,
    expand_messages,
)
from headroom_asgi._crush import fold
from headroom_asgi.transforms import unfold

WORDS = [
    "class Segment:",
    "def text(self) -> str:",
    "return self.document",
    "if node < 0:",
    "raise PayloadError(reason)",
    "",
    "}",
]
FILE = [f"{word} # part {n}" for n in range(40) for word in WORDS[:5]]


def folded(*texts: str, frozen: tuple[int, ...] = ()) -> list[str]:
    """The texts as they are forwarded; they unfold to what they were."""
    data = [text.encode("utf-8", "surrogatepass") for text in texts]
    out = fold(data, [place in frozen for place in range(len(texts))])
    short = [text if after is None else after.decode("utf-8", "surrogatepass") for text, after in zip(texts, out, strict=True)]
    assert unfold(short) == list(texts)
    return short


def numbered(lines: list[str], start: int = 1, width: int = 6, sign: str = "→") -> list[str]:
    return [f"{number:{width}}{sign}{line}" for number, line in enumerate(lines, start)]


def test_a_file_that_is_read_again_is_one_line_and_a_reference() -> None:
    text = "\n".join(FILE)
    assert folded(text, text) == [text, f"{FILE[0]}\n[+199 lines as in result 1]"]


def test_changed_lines_stay_word_for_word() -> None:
    edited = [*FILE[:100], "something = quite(new)", *FILE[100:]]
    short = folded("\n".join(FILE), "\n".join(edited))[1].split("\n")
    assert "something = quite(new)" in short
    assert len(short) <= 8


def test_renumbered_views_are_referred_to_with_their_new_numbers() -> None:
    before = "\n".join(numbered(FILE))
    after = "\n".join(numbered([*FILE[:50], "new = line()", "and_one = more()", *FILE[50:]]))
    short = folded(before, after)[1]
    assert "    51→new = line()" in short
    assert "numbered from 54]" in short
    assert len(short) < len(after) / 10


@pytest.mark.parametrize("width", [1, 2, 3, 6])
@pytest.mark.parametrize("sign", ["→", "\t", ":"])
@pytest.mark.parametrize("start", [1, 8, 95, 998, 99_990])
def test_numbers_of_any_width_come_back(width: int, sign: str, start: int) -> None:
    folded("\n".join(numbered(FILE[:40], 5, width, sign)), "\n".join(numbered(FILE[:40], start, width, sign)))


def test_a_place_that_is_not_the_first_is_named() -> None:
    first = ["a common line here", "then one thing", *FILE[:4], "a common line here", "then another thing", *FILE[10:20]]
    again = ["a common line here", "then another thing", *FILE[10:20]]
    short = folded("\n".join(first), "\n".join(again))[1]
    assert short == "a common line here\n[+11 lines as in result 1, from line 8]"


def test_repeats_within_one_text_are_folded() -> None:
    block = FILE[:12]
    text = "\n".join([*block, "something in between", *block])
    assert folded(text)[0].endswith(f"something in between\n{block[0]}\n[+11 lines as above]")


def test_references_lead_to_lines_never_to_references() -> None:
    text = "\n".join(FILE)
    whole = f"an introduction of its own\n{text}\nand an end"
    for short in folded(text, whole, whole, text, whole):
        for line in short.split("\n"):
            if line.startswith("[+"):
                assert "result" in line


def test_a_head_stays_with_what_stands_under_it() -> None:
    table = ["[text]", "orders [30]: order_id\tcity\tstatus", *(f" ORD-{n}\tOslo or Lima\tshipped" for n in range(30))]
    other = [*table[:2], *table[2:12], *(f" NEW-{n}\tOslo or Lima\tshipped" for n in range(20))]
    short = folded("\n".join(table), "\n".join(other))[1].split("\n")
    assert table[1] in short


def test_what_looks_like_a_reference_stays_as_it_is_and_is_no_source() -> None:
    text = "\n".join(["[+3 lines as in result 1]", *FILE])
    data = text.encode()
    assert fold([data, data], [False, False]) == [None, None]


def test_markers_are_not_folded_away() -> None:
    text = "\n".join([*FILE[:10], " <<ccr:abc-1 7 rows left out>>", *FILE[10:20]])
    assert folded(text, text)[1].count("<<ccr:abc-1 7 rows left out>>") == 1


def test_frozen_texts_are_referred_to_and_stay() -> None:
    text = "\n".join(FILE)
    short = folded(text, text, text, frozen=(0, 1))
    assert short[1] == text
    assert "[+199 lines as in result 2]" in short[2]


def test_little_gains_are_left() -> None:
    few = "\n".join(FILE[:3])
    many = "\n".join(f"line {n} of a text of its own, which has more to say" for n in range(60))
    assert folded(few, f"{many}\n{few}") == [few, f"{many}\n{few}"]


LINES = st.lists(
    st.one_of(
        st.sampled_from(
            [*WORDS, "    12→return self.document", "13:if node < 0:", "\x85 a line of words", "\r", " \t deeper down it goes"]
        ),
        st.builds("{:6}→{}".format, st.integers(1, 30), st.sampled_from(WORDS[:4])),
        st.builds("{}:{}".format, st.integers(0, 200), st.sampled_from(WORDS[:4])),
        st.sampled_from(FILE[:9]),
    ),
    max_size=40,
)


@settings(max_examples=600, deadline=None)
@given(st.lists(st.tuples(LINES, st.booleans(), st.integers(0, 3)), max_size=7))
@example([(FILE[:3] * 8, True, 0), (FILE[:3] * 9, False, 1)])
def test_what_was_folded_unfolds_to_what_it_was(parts: list[tuple[list[str], bool, int]]) -> None:
    texts: list[str] = []
    for lines, ends, back in parts:
        earlier = texts[-back].split("\n") if 0 < back <= len(texts) else []
        texts.append("\n".join([*earlier, *lines, *earlier[3:]]) + "\n" * ends)
    folded(*texts)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(st.sampled_from(FILE[:30]), max_size=60), min_size=2, max_size=5))
def test_a_result_depends_on_what_stands_before_it_only(parts: list[list[str]]) -> None:
    texts = ["\n".join(lines).encode() for lines in parts]
    whole = fold(texts, [False] * len(texts))
    for count in range(1, len(texts)):
        assert fold(texts[:count], [False] * count) == whole[:count]


def test_what_comes_later_changes_nothing_however_much_it_is() -> None:
    """The table of lines grows with the request; what is found in it must not, nor how far back is looked."""
    blocks = [
        [f"the same head of a block {n % 40}", *(f"block {n} says this in its line {i}" for i in range(4))] for n in range(900)
    ]
    texts = []
    for n in range(0, 900, 20):
        lines = [line for block in blocks[n : n + 20] + blocks[max(0, n - 280) : max(0, n - 240)] for line in block]
        texts.append("\n".join(lines).encode())
    whole = fold(texts, [False] * len(texts))
    assert sum(after is not None for after in whole) > 20
    for count in range(1, len(texts)):
        assert fold(texts[:count], [False] * count) == whole[:count]


@pytest.mark.parametrize(
    "reference",
    [
        "[+3 lines as in result 9]",
        "[+9 lines as in result 1]",
        "[+1 line as in result 1, from line 7]",
        "[+1 line as in result 1, numbered from 5]",
    ],
)
def test_references_to_what_is_not_there_are_refused(reference: str) -> None:
    with pytest.raises(ExpandError):
        unfold(["an anchor of a line\nsecond", f"an anchor of a line\n{reference}"])


def test_lists_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="1 texts, 2 flags"):
        fold([b"x"], [True, False])
    with pytest.raises(TypeError, match="text 0 is str"):
        fold(["x"], [False])  # type: ignore[list-item]


# -- in a request --------------------------------------------------------------------------------------------------------


def conversation(*outputs: str, tool: str = "Read") -> list[dict[str, object]]:
    messages: list[dict[str, object]] = [{"role": "user", "content": "Look at it."}]
    for number, output in enumerate(outputs):
        call = {"type": "tool_use", "id": f"toolu_{number}", "name": tool, "input": {}}
        messages.append({"role": "assistant", "content": [call]})
        messages.append({"role": "user", "content": [{"type": "tool_result", "tool_use_id": call["id"], "content": output}]})
    return messages


def sent(messages: list[dict[str, object]], config: HeadroomConfig | None = None) -> list[str]:
    result = TransformPipeline(config).apply(messages, model="m", format="anthropic")
    return [m["content"][0]["content"] for m in result.messages if m["role"] == "user" and isinstance(m["content"], list)]


def test_outputs_of_exact_match_tools_take_part_and_come_back() -> None:
    text = "\n".join(numbered(FILE))
    messages = conversation(text, text)
    result = TransformPipeline().apply(messages, model="m", format="anthropic")
    assert "repeats:lines" in result.transforms_applied
    assert result.tokens_after < result.tokens_before * 0.55
    assert expand_messages(result.messages, format="anthropic") == messages


def test_json_is_compared_as_it_is_forwarded_and_comes_back_by_value() -> None:
    rows = [{"order_id": f"ORD-{n}", "city": ["Oslo", "Lima"][n % 2], "note": f"number {n} of the list"} for n in range(40)]
    messages = conversation(
        json.dumps(rows), json.dumps([*rows, {"order_id": "NEW", "city": "Pune", "note": "one more"}]), tool="get"
    )
    result = TransformPipeline().apply(messages, model="m", format="anthropic")
    texts = [m["content"][0]["content"] for m in result.messages[2::2]]
    assert "lines as in result 1" in texts[1]
    assert [json.loads(m["content"][0]["content"]) for m in expand_messages(result.messages)[2::2]] == [
        json.loads(m["content"][0]["content"]) for m in messages[2::2]
    ]


def test_it_can_be_switched_off() -> None:
    text = "\n".join(FILE)
    assert sent(conversation(text, text), HeadroomConfig(repeats=CompressorConfig(enabled=False))) == [text, text]


def test_it_works_without_the_other_transforms() -> None:
    text = "\n".join(FILE)
    config = HeadroomConfig(content_router=ContentRouterConfig(enabled=False), smart_crusher=CompressorConfig(enabled=False))
    assert "[+199 lines" in sent(conversation(text, f"{text}\nand an end"), config)[1]


def test_answers_of_the_retrieve_tool_are_neither_folded_nor_counted() -> None:
    text = "\n".join(FILE)
    messages = conversation(text, text, text)
    messages[3]["content"][0]["name"] = "headroom_retrieve"  # type: ignore[index]
    texts = sent(messages)
    assert texts[1] == text
    assert texts[2] == "[the same as result 1]"


def test_a_result_that_is_an_earlier_one_is_one_line_whatever_was_folded_there() -> None:
    text = "\n".join(FILE[:60])
    longer = "\n".join(line for old in FILE[:60] for line in (old, f"and of {old} what was new"))
    one_line = "a result of one line, with nothing in it by which a run could be found, " * 3
    messages = conversation(text, longer, longer, one_line, one_line, longer, tool="Bash")
    texts = sent(messages)
    assert [texts[place] for place in (2, 4, 5)] == [
        "[the same as result 2]",
        "[the same as result 4]",
        "[the same as result 2]",
    ]
    result = TransformPipeline().apply(messages, model="m", format="anthropic")
    assert expand_messages(result.messages, format="anthropic") == messages


def test_short_results_are_said_again() -> None:
    assert sent(conversation("ok, done", "ok, done")) == ["ok, done", "ok, done"]


@pytest.mark.parametrize("number", [0, 2, 3])
def test_a_result_that_is_none_above_is_refused(number: int) -> None:
    with pytest.raises(ExpandError, match="not above"):
        unfold(["a text", f"[the same as result {number}]"])
