"""The retrieve tool: what it costs, what it hands out, and what it says where it cannot."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headroom_asgi.retrieval import PAGE_BYTES, TOOL, Originals
from headroom_asgi.tokenizer import Tokenizer
from headroom_asgi.types import ToolCall, ToolResult

REF = "0123456789abcdef0123456789abcdef"
NAME = f"{REF}-1"
ROWS = """[json; empty cell = no such key]
[4]: id\tcity\tstatus=active\tnote
1\tBerlin\tcalm
2\tOslo\twindy and cold
3\tBerlin\t\"\"\"
first line
storm warning
\"\"\"
4\tNew York\t[17]: odd"""


def originals(**changes):
    return Originals(
        changes.pop("texts", {REF: "whole\ntext"}) | changes.pop("parts", {NAME: ROWS}), **({"max_bytes": 1 << 20} | changes)
    )


def ask(source=None, **arguments) -> ToolResult:
    return (source or originals()).answer(ToolCall("call_1", TOOL.name, json.dumps(arguments)))


def paged(source, ref, **arguments) -> list[str]:
    """The pages that a model gets that follows the last line of each."""
    pages, offset = [], 0
    while True:
        result = ask(source, ref=ref, offset=offset, **arguments)
        assert not result.is_error, result.text
        body, _, last = result.text.rpartition("\n")
        if not (last.startswith("[... ") and last.endswith("]")):
            return [*pages, result.text]
        pages.append(body + "\n")
        assert f'headroom_retrieve with ref="{ref}"' in last
        later = int(last.rpartition("offset=")[2][:-1])
        assert later > offset
        offset = later


def test_the_definition_costs_at_most_130_tokens_in_either_dialect():
    tokenizer = Tokenizer("gpt-4o")
    function = {"name": TOOL.name, "description": TOOL.description, "parameters": TOOL.parameters}
    for spelled in (
        {"type": "function", "function": function},
        {"name": TOOL.name, "description": TOOL.description, "input_schema": TOOL.parameters},
    ):
        assert tokenizer.count_text(json.dumps(spelled, separators=(",", ":"))) <= 130


def test_the_definition_is_a_schema_that_asks_for_the_ref_only():
    assert TOOL.parameters["required"] == ["ref"]
    kinds = {name: schema["type"] for name, schema in TOOL.parameters["properties"].items()}
    assert kinds == {"ref": "string", "query": "string", "offset": "integer", "limit": "integer"}
    assert "<<ccr:" in TOOL.description


def test_a_ref_names_a_whole_original_and_a_part_what_was_left_out():
    assert ask(ref=REF).text == "whole\ntext"
    assert ask(ref=NAME).text == ROWS
    assert not ask(ref=NAME).is_error


@pytest.mark.parametrize(
    "ref",
    [
        f"<<ccr:{NAME} 37 rows left out>>",
        f"<<ccr:{NAME}>>",
        f"ccr:{NAME}",
        f"  {NAME}\n",
        f"`{NAME}`",
        f'"{NAME}"',
        f"{NAME} 37 rows left out",
        f"`{NAME}` please",
        f"`<<ccr:{NAME} 37 rows left out>>`",
    ],
)
def test_a_marker_may_be_pasted_whole_or_in_part(ref):
    assert ask(ref=ref).text == ROWS


def test_originals_are_made_when_one_is_asked_for_and_once():
    made = []

    def texts():
        made.append(1)
        return {REF: "whole\ntext"}

    source = Originals(texts, max_bytes=1 << 20)
    assert not source.missing([ToolCall("call_1", "search", "{}")])
    assert not made
    assert ask(source, ref=REF).text == "whole\ntext"
    assert ask(source, ref=REF).text == "whole\ntext"
    assert made == [1]


@pytest.mark.parametrize("ref", ["ffff-1", f"{REF}-2", "x" * 100_000, "<<ccr:nothing 3 rows left out>>"])
def test_an_unknown_ref_is_a_final_error_that_says_what_to_do(ref):
    result = ask(ref=ref)
    assert result.is_error
    assert "do not try it again" in result.text
    assert "call the tool that it came from again" in result.text
    assert len(result.text) < 500


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "{",
        "[]",
        "null",
        '"abc"',
        "{}",
        '{"ref": 7}',
        '{"ref": ""}',
        '{"ref": " "}',
        '{"ref": "<<ccr:>>"}',
        '{"ref": null}',
        json.dumps({"ref": NAME, "query": ["a"]}),
        json.dumps({"ref": NAME, "offset": -1}),
        json.dumps({"ref": NAME, "offset": "-1"}),
        json.dumps({"ref": NAME, "offset": 1.5}),
        json.dumps({"ref": NAME, "offset": True}),
        json.dumps({"ref": NAME, "limit": {}}),
        f'{{"ref": "{NAME}", "limit": 1e999}}',
        f'{{"ref": "{NAME}", "limit": NaN}}',
        f'{{"ref": "{NAME}", "limit": {"9" * 5000}}}',
        "[" * 100_000,
        '{"ref":' + "[" * 100_000,
    ],
)
def test_arguments_that_cannot_be_used_are_an_error_that_says_what_is_expected(arguments):
    result = originals().answer(ToolCall("call_1", TOOL.name, arguments))
    assert result.is_error
    assert '{"ref": "..."}' in result.text
    assert len(result.text) < 500


@given(st.text())
def test_no_arguments_raise(arguments):
    originals().answer(ToolCall("call_1", TOOL.name, arguments))
    ask(ref=arguments, query=arguments)


def test_what_models_write_for_not_given_is_taken_as_such():
    assert ask(ref=NAME, query="", offset=0, limit=0).text == ROWS
    assert ask(ref=NAME, query=None, offset=None, limit=None).text == ROWS
    assert ask(ref=NAME, query=" ", offset="", limit="").text == ROWS


def test_numbers_may_be_strings_or_have_a_zero_fraction():
    text = "abcdefghij" * 100
    source = originals(texts={REF: text})
    assert ask(source, ref=REF, offset=" 10 ", limit="5").text.startswith("abcde\n")
    assert ask(source, ref=REF, offset=10.0, limit=5.0).text.startswith("abcde\n")


def test_offset_and_limit_count_characters_and_the_last_line_says_how_to_go_on():
    source = originals(texts={REF: "äöü" * 50})
    result = ask(source, ref=REF, offset=3, limit=6)
    assert result.text == f'äöüäöü\n[... 141 more characters; call headroom_retrieve with ref="{REF}", offset=9]'


def test_the_end_of_a_text_has_no_last_line():
    assert ask(originals(texts={REF: "abc" * 50}), ref=REF, offset=147).text == "abc"


def test_an_offset_past_the_end_is_an_error_that_names_the_length():
    result = ask(ref=REF, offset=10)
    assert result.is_error
    assert "10 characters" in result.text
    assert not ask(originals(texts={REF: ""}), ref=REF).is_error


def test_a_page_ends_with_a_whole_line_where_one_ends_in_its_second_half():
    text = "".join(f"line {i:06}\n" for i in range(20_000))
    first = ask(originals(texts={REF: text}), ref=REF).text
    shown, _, last = first.rpartition("\n")
    assert text.startswith(shown + "\n")
    assert f"offset={len(shown) + 1}]" in last
    one_long_line = originals(texts={REF: "short\n" + "x" * 200_000})
    assert len(ask(one_long_line, ref=REF).text) > PAGE_BYTES - 300


@given(
    st.lists(st.text(st.characters(exclude_characters="["), max_size=40), max_size=8),
    st.integers(1, 9000),
    st.sampled_from([0, 1, 7, 1000]),
)
def test_following_the_pages_gives_the_whole_text(lines, times, limit):
    text = "\n".join(lines * times)[:150_000] or "x"
    if limit:
        text = text[: limit * 20]
    source = originals(texts={REF: text})
    whole, offset = "", 0
    while offset < len(text):
        result = ask(source, ref=REF, offset=offset, limit=limit).text
        assert len(result.encode("utf-8", "surrogatepass")) <= PAGE_BYTES
        body, _, last = result.rpartition("\n")
        if not last.startswith("[... "):
            whole += result
            break
        later = int(last.rpartition("offset=")[2][:-1])
        assert last.startswith(f"[... {len(text) - later} more characters;")
        assert (body + "\n")[: later - offset] == text[offset:later]
        assert later - offset <= (limit or len(text))
        whole += text[offset:later]
        offset = later
    assert whole == text


def test_unpaired_surrogates_are_handed_out_as_they_are():
    text = "\ud83d" * 100_000
    pages = paged(originals(texts={REF: text}), REF)
    assert "".join(page.rstrip("\n") for page in pages) == text


def test_a_query_gives_the_rows_with_the_phrase_under_their_head():
    assert ask(ref=NAME, query="windy AND cold").text.split("\n") == [
        "[1 of 4 rows matches]",
        "[json; empty cell = no such key]",
        "[4]: id\tcity\tstatus=active\tnote",
        "2\tOslo\twindy and cold",
    ]


def test_a_number_may_be_asked_for():
    assert "New York" in ask(ref=NAME, query=17).text


def test_nothing_found_says_so_names_the_columns_and_how_to_get_the_whole():
    result = ask(ref=NAME, query="Tokyo")
    assert not result.is_error
    first, *heads = result.text.split("\n")
    assert first == f'[none of 4 rows matches; for the whole text call headroom_retrieve with ref="{NAME}" without query]'
    assert heads == ROWS.split("\n")[:2]


def test_what_matches_in_part_follows_for_whoever_asks_for_it():
    result = ask(ref=NAME, query="windy, cold Berlin").text
    assert result.split("\n")[0] == "[1 of 4 rows matches best, 2 in part]"
    assert "windy" in result
    assert "calm" not in result
    last = result.split("\n")[-1]
    assert last.startswith("[... 2 more matching rows; call headroom_retrieve with ref=")
    offset = int(last.rpartition("offset=")[2][:-1])
    rest = ask(ref=NAME, query="windy, cold Berlin", offset=offset).text
    assert rest == ROWS.partition("\n")[2].replace("2\tOslo\twindy and cold\n", "").partition("\n4")[0]


def test_another_text_than_lines_is_searched_in_the_view_of_it_and_paged_as_it_is():
    seen = []

    def view(text):
        seen.append(text)
        return ROWS

    source = originals(texts={REF: '[\n{"id":1}]\n', NAME: ROWS}, view=view)
    assert "windy" in ask(source, ref=REF, query="oslo").text
    assert seen == ['[\n{"id":1}]\n']
    assert ask(source, ref=REF).text == '[\n{"id":1}]\n'
    assert "windy" in ask(source, ref=NAME, query="oslo").text
    assert len(seen) == 1


def test_of_json_on_one_line_the_members_are_found_one_by_one():
    text = '["a, b",' + ",".join(f'"path/{i}.py"' for i in range(100)) + "]"
    shown = ask(originals(texts={REF: text}), ref=REF, query="path/77.py").text.split("\n")
    assert shown == ["[1 of 101 lines matches]", *(f'"path/{i}.py",' for i in range(75, 80))]
    assert ask(originals(texts={REF: text}), ref=REF, query="a, b").text.split("\n")[1] == '["a, b",'


def test_a_long_find_comes_a_hundred_at_first_then_in_pages_and_keeps_the_query():
    text = "\n".join(f"row {i:06} needle" for i in range(20_000))
    source = originals(texts={REF: text})
    pages = paged(source, REF, query="needle")
    assert "".join(pages).removeprefix("[20000 of 20000 lines match; the best 100 come first]\n") == text
    assert [len(page.splitlines()) for page in pages[:4]] == [101, 200, 400, 800]
    assert all(len(page.encode()) <= PAGE_BYTES for page in pages)
    first = ask(source, ref=REF, query="needle").text
    assert first.endswith(
        f'[... 19900 more matching lines; call headroom_retrieve with ref="{REF}", query="needle", offset={len(pages[0])}]'
    )


def test_rows_that_do_not_fit_a_page_are_counted_as_more():
    text = "\n".join(f"row {i:06} needle {'x' * 2_000}" for i in range(90))
    first = ask(originals(texts={REF: text}), ref=REF, query="needle").text
    shown = first.count("needle x")
    assert 20 < shown < 90
    assert f"[... {90 - shown} more matching lines;" in first


def test_limit_cuts_a_find_too():
    first = ask(ref=NAME, query="Berlin", limit=60).text
    assert first.startswith("[2 of 4 rows match]\n[json; empty cell = no such key]\n")
    assert "calm" not in first
    assert "[... 2 more matching rows;" in first


def test_the_same_call_gets_the_same_answer_again():
    source = originals()
    assert ask(source, ref=NAME, query="Oslo") == ask(source, ref=NAME, query="Oslo")


def test_what_an_exchange_hands_out_is_bounded():
    source = originals(texts={REF: "x" * 10_000}, max_bytes=6_000)
    call = ToolCall("c", TOOL.name, json.dumps({"ref": REF}))
    first = source.answer(call)
    assert not first.is_error
    assert len(first.text) <= 6_000
    assert "more characters" in first.text
    second = source.answer(call, spent=5_000)
    assert len(second.text) <= 1_000
    last = source.answer(call, spent=len(first.text))
    assert last.is_error
    assert last.text == "retrieval limit reached, answer with what you have"


def test_a_long_string_that_never_ends_is_searched_in_one_pass() -> None:
    """Its many quotes are not each tried as the start of a string of their own: that took a minute for a tenth of this."""
    text = '{"a": [' + '"\\" ' * 400_000
    found = Originals({"r": text}, max_bytes=4096).answer(ToolCall("c", TOOL.name, json.dumps({"ref": "r", "query": "absent"})))
    assert "matches" in found.text
