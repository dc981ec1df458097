"""Repeats across tool results: what is folded, that it can be unfolded, and where it must not be done."""

import json
import re
from typing import Any

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
from headroom_asgi._crush import Above, Document
from headroom_asgi.transforms import Context, Shown, drain, payload_of, unfold
from headroom_asgi.wire import dialect_named
from headroom_asgi.wire.written import written

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


Calls = list[dict[str, str]]


def fold(texts: list[bytes], least: list[int], names: list[tuple[int, bytes, bytes]]) -> list[bytes | None]:
    """What becomes of texts above which there is nothing."""
    return Above().add(texts, least, names)


def folded(*texts: str, frozen: tuple[int, ...] = (), calls: Calls | None = None) -> list[str]:
    """The texts as they are forwarded; they unfold to what they were. `calls`: what was written in the call of each."""
    calls = calls or [{} for _ in texts]
    sources: list[tuple[str, int, tuple[int, bytes, bytes]]] = []
    for at, text in enumerate(texts):
        number = at + 1
        for name, said in calls[at].items():
            sources.append((said, -1, (number, f"{name} of result {number}'s call".encode(), f"{name} of this call".encode())))
        sources.append((text, -1 if at in frozen else 32, (number, b"result %d" % number, b"")))
    data = [said.encode("utf-8", "surrogatepass") for said, _, _ in sources]
    out = fold(data, [least for _, least, _ in sources], [names for _, _, names in sources])
    short = [
        said if after is None else after.decode("utf-8", "surrogatepass")
        for (said, _, (_, _, near)), after in zip(sources, out, strict=True)
        if not near
    ]
    written = [[(at + 1, name, said) for name, said in call.items()] for at, call in enumerate(calls)]
    assert unfold([Shown(text, (at + 1, 1), written[at]) for at, text in enumerate(short)]) == list(texts)
    return short


def results(count: int) -> list[tuple[int, bytes, bytes]]:
    return [(number, b"result %d" % number, b"") for number in range(1, count + 1)]


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


def test_only_numbers_that_go_on_by_one_are_told_by_their_first() -> None:
    hits = [(3 * n + n % 4, line) for n, line in enumerate(FILE, 10)]
    before, after = ("\n".join(f"{number + more}: {line}" for number, line in hits) for more in (0, 549))
    assert folded(before, after) == [before, after]
    assert folded(before, before) == [before, f"{before.split(chr(10))[0]}\n[+199 lines as in result 1]"]


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


@pytest.mark.parametrize("same", [0, 12])
@pytest.mark.parametrize("head", ["[30]: ", "{30}: (key)\t", "[30].values[]: "])
def test_the_head_of_a_table_at_the_margin_stays_with_its_rows(head: str, same: int) -> None:
    names = head + "\t".join(f"name_of_column_{n}" for n in range(12))
    table = ["[json in mcp text (json)]", names, *(f"ORD-{n}\tOslo or Lima\tshipped" for n in range(30))]
    other = [*table[: 2 + same], *(f"NEW-{n}\tOslo or Lima\tshipped" for n in range(30 - same))]
    assert names in folded("\n".join(table), "\n".join(other))[1].split("\n")
    assert names not in folded("\n".join(table), "\n".join(table) + "\nand an end")[1].split("\n")


def test_texts_of_more_lines_than_any_model_reads_take_no_part() -> None:
    text = "\n".join(FILE).encode()
    large = text + b"\n" * (1 << 20)
    assert fold([large, text, text, large], [32] * 4, results(4))[:2] == [None, None]
    assert fold([large, text, text, large], [32] * 4, results(4))[2] is not None
    half = text + b"\n" * (1 << 19)
    assert fold([half, half, text], [32] * 3, results(3))[1] is None
    assert fold([half, text, half], [32] * 3, results(3))[1] is not None


def test_what_looks_like_a_reference_stays_as_it_is_and_is_no_source() -> None:
    text = "\n".join(["[+3 lines as in result 1]", *FILE])
    data = text.encode()
    assert fold([data, data], [32, 32], results(2)) == [None, None]


def test_a_line_that_looks_like_a_reference_is_found_where_an_anchor_is_looked_for() -> None:
    words = "[+3 words of plenty here"
    source = [words, f"     7→{words}", *numbered(FILE[:20], 8)]
    short = folded("\n".join(source), "\n".join([f"    17→{words}", *numbered(FILE[:20], 18)]))[1]
    assert short == f"    17→{words}\n[+20 lines as in result 1, from number 8, numbered from 18]"


def test_text_that_stands_for_very_much_is_refused() -> None:
    lines = [f"an anchor {n}\n[+{2**n - 1} lines as above, from line 2]" for n in range(1, 40)]
    with pytest.raises(ExpandError, match="more than 256 MiB"):
        unfold([Shown("a line\nand another\n" + "\n".join(lines), (1, 1))])
    with pytest.raises(ExpandError, match="more than 256 MiB"):
        unfold([Shown("x" * 1_000_000, (1, 1)), *(Shown("[the same as result 1]", (n, 1)) for n in range(2, 400))])


def test_markers_are_not_folded_away() -> None:
    text = "\n".join([*FILE[:10], " <<ccr:abc-1 7 rows left out>>", *FILE[10:20]])
    assert folded(text, text)[1].count("<<ccr:abc-1 7 rows left out>>") == 1


def test_lines_are_followed_into_what_they_were_folded_to() -> None:
    """The third page repeats what the second one repeats of the first, and what is the second's own, in one run."""
    first = FILE[:40]
    second = ["another page begins here", *FILE[:40], *(f"{line} of the second" for line in FILE[:40])]
    third = ["the third page begins here", *second[1:]]
    short = folded("\n".join(first), "\n".join(second), "\n".join(third))
    assert short[2] == f"the third page begins here\n{FILE[0]}\n[+79 lines as in result 2]"


def hops_of(texts: list[str]) -> list[int]:
    """The most references that a reader follows from a line of each text; all references are `as in result`, without a place."""
    read: list[list[tuple[str, int]]] = []
    for text in texts:
        lines: list[tuple[str, int]] = []
        for line in text.split("\n"):
            found = re.fullmatch(r"\[\+(\d+) lines? as in result (\d+)\]", line)
            if found is None:
                lines.append((line, 0))
                continue
            source = read[int(found[2]) - 1]
            at = source.index((lines[-1][0], 0)) + 1
            lines += [(said, hops + 1) for said, hops in source[at : at + int(found[1])]]
        read.append(lines)
    return [max(hops for _, hops in lines) for lines in read]


def test_a_reader_follows_three_references_at_the_most() -> None:
    texts = [[f"line {n} as it was in the beginning" for n in range(60)]]
    for version in range(1, 12):
        texts.append([*(f"line {n} that version {version} put in front" for n in range(5)), *texts[-1][:-5]])
    hops = hops_of(folded(*("\n".join(lines) for lines in texts)))
    assert max(hops) == 3
    assert all(hops[1:])


def test_an_anchor_stands_openly_in_the_text_that_is_named() -> None:
    first = "\n".join(FILE[:30])
    second = "\n".join(["a head of its own", *FILE[:30], "and this is new", *(f"{line} again" for line in FILE[:20])])
    third = "\n".join([*FILE[5:30], "and this is new", *(f"{line} again" for line in FILE[:20])])
    short = folded(first, second, third)
    for text in short[1:]:
        lines = text.split("\n")
        for at, line in enumerate(lines):
            if found := re.fullmatch(r"\[\+\d+ lines? as in result (\d+).*\]", line):
                assert lines[at - 1] in short[int(found[1]) - 1].split("\n")


def test_what_the_model_wrote_in_a_call_is_named_where_a_result_shows_it() -> None:
    written = "\n".join(FILE[:30])
    receipt = "The file has been updated:\n" + "\n".join(numbered([*FILE[100:103], *FILE[:30], *FILE[103:106]], 271))
    calls = [{"old_string": "something\nelse", "new_string": written}, {}]
    short = folded(receipt, written, calls=calls)
    assert f"   274→{FILE[0]}\n[+29 lines as in new_string of this call, numbered from 275]\n" in short[0]
    assert short[1] == f"{FILE[0]}\n[+29 lines as in new_string of result 1's call]"


def test_what_is_written_later_is_no_source() -> None:
    text = "\n".join(FILE[:30])
    assert folded(text, "done", calls=[{}, {"content": text}])[0] == text


def test_a_text_that_stands_openly_is_named_rather_than_one_behind_a_reference() -> None:
    text = "\n".join(FILE[:30])
    versions = [f"version {n}\n{text}" for n in range(6)]
    for short in folded(text, *versions)[1:]:
        assert short.endswith("[+29 lines as in result 1]")


@pytest.mark.parametrize(("sign", "width"), [("→", 1), ("→", 3), ("→", 6), ("\t", 1), ("\t", 6), (":", 1)])
@pytest.mark.parametrize("start", [1, 8, 95, 998, 99_990])
def test_numbers_that_the_source_has_not_are_spelled_as_the_anchor_is(width: int, sign: str, start: int) -> None:
    view = numbered(FILE[:40], start, width, sign)
    short = folded("\n".join(view), calls=[{"content": "\n".join(FILE[:40])}])[0]
    assert f"of this call, numbered from {start + 1}]" in short


def test_numbers_that_jump_are_not_said_by_their_first() -> None:
    view = [f"{n:6}→{line}" for n, line in zip([*range(5, 20), *range(30, 45)], FILE[:30], strict=True)]
    short = folded("\n".join(view), calls=[{"content": "\n".join(FILE[:30])}])[0].split("\n")
    assert view[15] in short


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
            [
                *(
                    *WORDS,
                    "    12→return self.document",
                    "13:if node < 0:",
                    "\x85 a line of words",
                    "\r",
                    " \t deeper down it goes",
                ),
                *("[+3 lines of plenty", "    12→[+3 lines of plenty", "    17→[+3 lines of plenty"),
            ]
        ),
        st.builds("{:6}→{}".format, st.integers(1, 30), st.sampled_from(WORDS[:4])),
        st.builds("{}:{}".format, st.integers(0, 200), st.sampled_from(WORDS[:4])),
        st.sampled_from(FILE[:9]),
    ),
    max_size=40,
)


@settings(max_examples=600, deadline=None)
@given(st.lists(st.tuples(LINES, st.booleans(), st.integers(0, 3)), max_size=7), st.integers(0, 3))
@example([(FILE[:3] * 8, True, 0), (FILE[:3] * 9, False, 1)], 0)
def test_what_was_folded_unfolds_to_what_it_was(parts: list[tuple[list[str], bool, int]], every: int) -> None:
    """Every so many texts are what the model wrote in a call."""
    texts: list[str] = []
    for lines, ends, back in parts:
        earlier = texts[-back].split("\n") if 0 < back <= len(texts) else []
        texts.append("\n".join([*earlier, *lines, *earlier[3:]]) + "\n" * ends)
    shown: list[str] = []
    calls: Calls = [{}]
    for place, text in enumerate(texts):
        if every and place % every == 0:
            calls[-1][f"edits[{place}].new_string"] = text
        else:
            shown.append(text)
            calls.append({})
    folded(*shown, calls=calls[:-1])


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 40), st.integers(0, 120), st.booleans()), max_size=6))
def test_views_of_what_was_written_unfold_to_what_they_were(cuts: list[tuple[int, int, int, bool]]) -> None:
    written = [line for n, line in enumerate(FILE) if n % 7]
    views = [
        "\n".join([*FILE[:2], *(numbered(written[at : at + size], start) if views else written[at : at + size]), *FILE[:2]])
        for at, size, start, views in cuts
    ]
    folded(*views, calls=[{"content": "\n".join(written)} if n % 2 == 0 else {} for n in range(len(views))])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(st.sampled_from(FILE[:30]), max_size=60), min_size=2, max_size=5))
def test_a_result_depends_on_what_stands_before_it_only(parts: list[list[str]]) -> None:
    texts = ["\n".join(lines).encode() for lines in parts]
    whole = fold(texts, [32] * len(texts), results(len(texts)))
    for count in range(1, len(texts)):
        assert fold(texts[:count], [32] * count, results(count)) == whole[:count]


def test_what_comes_later_changes_nothing_however_much_it_is() -> None:
    """The table of lines grows with the request; what is found in it must not, nor how far back is looked."""
    blocks = [
        [f"the same head of a block {n % 40}", *(f"block {n} says this in its line {i}" for i in range(4))] for n in range(900)
    ]
    texts = []
    for n in range(0, 900, 20):
        lines = [line for block in blocks[n : n + 20] + blocks[max(0, n - 280) : max(0, n - 240)] for line in block]
        texts.append("\n".join(lines).encode())
    whole = fold(texts, [32] * len(texts), results(len(texts)))
    assert sum(after is not None for after in whole) > 20
    for count in range(1, len(texts)):
        assert fold(texts[:count], [32] * count, results(count)) == whole[:count]


@pytest.mark.parametrize(
    "reference",
    [
        "[+3 lines as in result 9]",
        "[+9 lines as in result 1]",
        "[+1 line as in result 1, from line 7]",
        "[+1 line as in result 1, numbered from 5]",
        "[+1 line as in result 0]",
        "[+1 line as in result 2]",
        "[+1 line as in new_string of this call]",
        "[+1 line as in content of result 2's call]",
        "[+1 line as in content of result 3's call]",
        "[+1 line as in content of result 0's call]",
        "[+2 lines as in content of result 1's call]",
        "[+1 line as in content of result 1's call, from line 0]",
    ],
)
def test_references_to_what_is_not_there_are_refused(reference: str) -> None:
    with pytest.raises(ExpandError):
        unfold(
            [
                Shown("an anchor of a line\nsecond", (1, 1), [(1, "content", "an anchor of a line\nsecond")]),
                Shown(f"an anchor of a line\n{reference}", (2, 1), [(2, "text", "an anchor of a line\nsecond")]),
            ]
        )


def test_lists_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="1 texts, 2 bounds, 1 names"):
        fold([b"x"], [32, 32], results(1))
    with pytest.raises(TypeError, match="text 0 is str"):
        fold(["x"], [32], results(1))  # type: ignore[list-item]


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
        unfold([Shown("a text", (1, 1)), Shown(f"[the same as result {number}]", (2, 1))])


# -- what the model wrote, in every dialect ------------------------------------------------------------------------------


def spoken(dialect: str, name: str, arguments: dict[str, Any], output: str, number: int) -> list[dict[str, Any]]:
    """A call and its result."""
    key = f"call_{number}"
    call: dict[str, Any]
    result: dict[str, Any]
    if dialect in ("openai-chat", "ollama"):
        spelled: Any = arguments if dialect == "ollama" else json.dumps(arguments)
        call = {"id": key, "type": "function", "function": {"name": name, "arguments": spelled}}
        result = {"role": "tool", "tool_call_id": key, "tool_name": name, "content": output}
        return [{"role": "assistant", "content": "", "tool_calls": [call]}, result]
    if dialect == "openai-responses":
        item = {"type": "function_call", "call_id": key, "name": name, "arguments": json.dumps(arguments)}
        return [item, {"type": "function_call_output", "call_id": key, "output": output}]
    if dialect == "gemini":
        call = {"functionCall": {"id": key, "name": name, "args": arguments}}
        result = {"functionResponse": {"id": key, "name": name, "response": {"result": output}}}
        return [{"role": "model", "parts": [call]}, {"role": "user", "parts": [result]}]
    if dialect == "bedrock":
        call = {"toolUse": {"toolUseId": key, "name": name, "input": arguments}}
        result = {"toolResult": {"toolUseId": key, "content": [{"text": output}]}}
        return [{"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]
    call = {"type": "tool_use", "id": key, "name": name, "input": arguments}
    result = {"type": "tool_result", "tool_use_id": key, "content": output}
    return [{"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]


def asked(dialect: str) -> dict[str, Any]:
    text: Any = {"gemini": {"parts": [{"text": "Do it."}]}, "bedrock": {"content": [{"text": "Do it."}]}}
    return {"role": "user"} | (text.get(dialect) or {"content": "Do it."})


EVERY = ["openai-chat", "openai-responses", "anthropic", "gemini", "bedrock", "ollama"]


@pytest.mark.parametrize(
    "dialect", [name for name in EVERY if name != "ollama"]
)  # which cuts history, so nothing is folded there
def test_a_file_that_the_model_wrote_is_named_when_it_is_read(dialect: str) -> None:
    view = "\n".join(numbered(FILE[:40]))
    messages = [
        asked(dialect),
        *spoken(dialect, "Write", {"path": "a.py", "edits": [{"text": "\n".join(FILE[:40])}]}, "The file was written.", 1),
        *spoken(dialect, "Read", {"path": "a.py"}, view, 2),
    ]
    result = TransformPipeline().apply(messages, model="m", format=dialect)
    said = json.dumps(result.messages)
    assert "[+39 lines as in edits[0].text of result 1's call, numbered from 2]" in said
    assert expand_messages(result.messages, format=dialect) == messages
    assert result.tokens_after < result.tokens_before * 0.75


@pytest.mark.parametrize("dialect", EVERY)
def test_results_are_counted_as_a_reader_does_and_the_retrieve_tools_are_not(dialect: str) -> None:
    text = "a text of two lines\nthat is long enough to be looked at wherever it stands in a result"
    messages = [
        asked(dialect),
        *spoken(dialect, "Write", {"content": text, "path": "a.py"}, "ok", 1),
        *spoken(dialect, "headroom_retrieve", {"ref": text}, text, 2),
        *spoken(dialect, "Read", {"path": "a.py"}, text, 3),
    ]
    segments = [segment for segment in payload_of(messages, "m", dialect).segments if segment.place[0]]
    assert segments[-1].place == (2, 1)
    assert segments[-1].tool_name == "Read"
    assert [said for segment in segments for said in segment.written()] == [(1, "content", text.encode())]


def test_texts_of_one_result_are_told_apart() -> None:
    text, other = "\n".join(FILE[:40]), "\n".join(FILE[40:80])
    messages = conversation("done", f"{text}\nand so on", other, other, tool="Read")
    messages[2]["content"][0]["content"] = [{"type": "text", "text": text}, {"type": "text", "text": f"first\n{text}"}]  # type: ignore[index]
    messages[4]["content"][0]["content"] = [{"type": "text", "text": "done"}, {"type": "text", "text": other}]  # type: ignore[index]
    messages[6]["content"][0]["content"] = f"of both:\n{other}"  # type: ignore[index]
    result = TransformPipeline().apply(messages, model="m", format="anthropic")
    texts = json.dumps([message["content"] for message in result.messages[2::2]])
    for said in (
        "[+39 lines as in text 1 of this result]",
        "[+39 lines as in text 2 of result 2]",
        "[the same as text 2 of result 2]",
    ):
        assert said in texts
    assert expand_messages(result.messages, format="anthropic") == messages


def test_what_the_model_thinks_is_no_source() -> None:
    text = "\n".join(FILE[:40])
    messages = conversation(text, tool="Read")
    messages[1]["content"].insert(0, {"type": "thinking", "thinking": text, "signature": "s"})  # type: ignore[attr-defined]
    messages[1]["content"].insert(1, {"type": "text", "text": text})  # type: ignore[attr-defined]
    assert "[+" not in json.dumps(TransformPipeline().apply(messages, model="m", format="anthropic").messages)


def test_a_call_without_a_result_is_no_source() -> None:
    text = "\n".join(FILE[:40])
    messages = conversation(text, tool="Read")
    messages[1]["content"].append({"type": "tool_use", "id": "open", "name": "Write", "input": {"content": text}})  # type: ignore[attr-defined]
    assert "[+" not in json.dumps(TransformPipeline().apply(messages, model="m", format="anthropic").messages)


def test_nothing_is_named_where_the_provider_may_drop_what_was_written() -> None:
    messages = conversation("\n".join(FILE[:40]), tool="Read")
    messages[1]["content"][0]["input"] = {"content": "\n".join(FILE[:40])}  # type: ignore[index]
    pipeline = TransformPipeline()
    more: dict[str, Any] = {"context_management": {"edits": []}}
    for fields, folds in (({}, True), (more, False)):
        body = json.dumps({"model": "m", "messages": messages, **fields}).encode()
        step = drain(pipeline.steps(dialect_named("anthropic").decode(body), Context()))
        assert (b"of this call]" in step.payload.body) is folds


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ({"content": "one\ntwo" * 20}, ["content"]),
        ({"content": "one\ntwo"}, []),
        ({"content": "one line" * 20}, []),
        ({"edits": [{"old_string": "x\n" * 40, "new_string": "y\n" * 40}, "z\n" * 40]}, None),
        ({"a b": "x\n" * 40, "ü": "x\n" * 40, "": "x\n" * 40, "a.b": "x\n" * 40, "9": "x\n" * 40}, []),
        ({"x" * 65: "x\n" * 40, "x" * 64: "x\n" * 40}, ["x" * 64]),
        ({"x" * 64: {"y" * 64: "x\n" * 40}}, []),
        ({"deep": {"er": {"est-1": ["", "x\n" * 40]}}, "n": 1}, ["deep.er.est-1[1]"]),
        (["x\n" * 40], None),
        ("x\n" * 40, None),
        (17, []),
    ],
)
def test_texts_of_arguments_have_names(arguments: Any, found: list[str] | None) -> None:
    if isinstance(arguments, dict) and found is None:
        found = ["edits[0].old_string", "edits[0].new_string", "edits[1]"]
    for data in (arguments, json.dumps(arguments)):
        document = Document(json.dumps(data).encode())
        names = [name for name, _ in written(document, 0)]
        assert names == (["input"] if found is None else found)


def test_arguments_that_are_a_text_are_one() -> None:
    patch = "*** Begin Patch\n*** Update File: a.py\n@@\n-old\n+new and longer than that\n*** End Patch"
    assert written(Document(json.dumps(patch).encode()), 0) == (("input", patch.encode()),)


def test_of_a_key_that_is_there_twice_the_last_one_counts() -> None:
    said = json.dumps("first\n" * 20), json.dumps("last\n" * 20)
    assert written(Document(b'{"a":%b,"a":%b}' % tuple(text.encode() for text in said)), 0) == (("a", b"last\n" * 20),)


@pytest.mark.parametrize(("count", "found"), [(1_000, True), (200_001, False)])
def test_calls_with_very_many_values_are_not_searched_for_texts(count: int, found: bool) -> None:
    text = "\n".join(FILE[:9])
    arguments = json.dumps({"content": text, "numbers": [1] * count})
    document = Document(json.dumps([arguments]).encode())
    assert [name for name, _ in written(document, document.elements(0)[0])] == (["content"] if found else [])
