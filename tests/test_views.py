"""Files with their lines numbered, and envelopes: what exact-match tools print gets shorter, and the text in it keeps its bytes."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headroom_asgi import CompressorConfig, HeadroomConfig, TransformPipeline, expand
from headroom_asgi._crush import expand as expand_bytes
from headroom_asgi._crush import filled, regroup, view
from headroom_asgi.compressors import ContentKind, EnvelopeCompressor, Request, detect
from headroom_asgi.errors import ExpandError

CODE = [
    "import os",
    "",
    "def main() -> None:",
    "    print(os.sep)",
    "\treturn None",
    "",
    "if __name__ == '__main__':",
    "    main()",
]


def numbered(lines: list[str], start: int = 1, width: int = 6, sign: str = "→") -> str:
    return "\n".join(f"{number:{width}}{sign}{line}" for number, line in enumerate(lines, start))


@pytest.mark.parametrize("sign", ["→", "\t", " |", "|", ":"])
@pytest.mark.parametrize("start", [1, 7, 96])
def test_a_view_is_written_with_number_and_tab_and_comes_back(sign: str, start: int) -> None:
    text = numbered(CODE * 4, start, sign=sign)
    short = view(text.encode())
    assert short is not None
    lines = [f"{number}\t{line}" if line else "" for number, line in enumerate(CODE * 4, start)]
    assert short.decode().split("\n")[1:] == lines
    assert expand(short.decode()) == text


def test_lines_that_are_not_numbered_stay_between_the_others() -> None:
    text = f"The file, as asked:\n{numbered(CODE)}\n\n(2 more lines)\n"
    short = view(text.encode())
    assert short is not None
    assert short.endswith(b"\n\n(2 more lines)\n")
    assert expand_bytes(short) == text.encode()


def test_blank_lines_have_numbers_where_a_reader_could_not_tell_them() -> None:
    text = "\n".join([numbered(["", "a", "", "", "b", ""]), "", numbered(["c", "", "d"], 7), numbered(["", "e"], 20)])
    short = view(text.encode())
    assert short is not None
    assert short.decode().split("\n")[1:] == ["1\t", "2\ta", "", "", "5\tb", "6\t", "", "7\tc", "", "9\td", "20\t", "21\te"]
    assert expand_bytes(short) == text.encode()


def test_a_view_reads_with_all_numbers_and_is_thinned_again() -> None:
    short = view(numbered(CODE * 4).encode())
    assert short is not None
    full = filled(short)
    assert full is not None
    assert full.decode().split("\n")[1:] == [f"{number}\t{line}" for number, line in enumerate(CODE * 4, 1)]
    assert filled(full) is None
    assert regroup(full, short) == short
    assert expand_bytes(full) == expand_bytes(short)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no numbers at all",
        numbered(CODE[:2]),
        numbered(CODE, width=1, sign=":"),  # nothing would get shorter
        "\n".join(f"{n}\t{line}" for n, line in enumerate(CODE)),
        numbered(CODE) + "\n12\tcould not be told from a numbered line",
        "\n".join(["a", "b", "c", "d", numbered(CODE)]),
        "\n".join(f"{n:6}→{line}" if n % 3 == 0 else line for n, line in enumerate(CODE)),
        f"{numbered(CODE)}\n\n{numbered(CODE, 10)}",  # the empty line seems to be the ninth
        '[view "     1→"]\n' + numbered(CODE),
    ],
)
def test_what_is_no_view_or_would_be_ambiguous_stays(text: str) -> None:
    assert view(text.encode()) is None


@pytest.mark.parametrize(
    "text", ["[view ", '[view "     1→"', '[view "1"]\n1\ta', '[view "     1→ "]\n1\ta', '[view "x→"]\n1\tb']
)
def test_heads_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ExpandError):
        expand(text)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.builds(
                lambda n, w, s, t: f"{n:{w}}{s}{t}",
                st.integers(0, 10**6),
                st.integers(1, 8),
                st.sampled_from("→\t|:"),
                st.text(max_size=6),
            ),
            st.builds("{:6}→{}".format, st.integers(0, 2000), st.text(max_size=8)),
            st.builds("{:6}→{}".format, st.integers(1, 12), st.sampled_from(["", "", "x", "\r"])),
            st.text(max_size=10),
            st.just(""),
        ),
        max_size=30,
    )
)
def test_any_view_comes_back_byte_for_byte(lines: list[str]) -> None:
    data = "\n".join(lines).encode("utf-8", "surrogatepass")
    short = view(data)
    if short is not None:
        assert len(short) < len(data)
        assert expand_bytes(short) == data


@settings(max_examples=400, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([1, 1, 1, 1, 1, 1, 2, 9]), st.sampled_from(["", "", "", "x", "\ty", None, "-"])), max_size=40
    )
)
def test_any_view_with_blank_lines_comes_back_and_is_filled_and_thinned_again(steps: list[tuple[int, str | None]]) -> None:
    number, lines = 0, []
    for step, line in steps:
        number += step
        lines.append("" if line is None else "other" if line == "-" else f"{number:6}→{line}")
    short = view("\n".join(lines).encode())
    if short is not None:
        assert expand_bytes(short).decode() == "\n".join(lines)
        full = filled(short)
        if full is not None:
            assert expand_bytes(full).decode() == "\n".join(lines)
            assert regroup(full, short) == short


def test_a_view_is_a_kind_of_its_own() -> None:
    assert detect(numbered(CODE * 30)) is ContentKind.VIEW
    assert detect("\n".join(CODE * 30)) is not ContentKind.VIEW


def test_what_seems_to_be_a_view_of_very_many_blank_lines_is_refused_and_not_filled() -> None:
    lines = 1 << 21
    text = b'[view "%s1\xe2\x86\x92"]\n1\tx\n' % (b" " * 120) + b"\n" * lines + b"%d\tx" % (lines + 2)
    assert filled(text) is None  # its head shows no number column
    text = text.replace(b" " * 120, b" " * 15)
    full = filled(text)
    assert full is not None
    assert len(full) < 16 * len(text)
    with pytest.raises(ExpandError, match="256 MiB"):
        expand_bytes(b'[view "               1\xe2\x86\x92"]\n1\tx\n' + b"\n" * (12 * lines) + b"%d\tx" % (12 * lines + 2))


# -- exact-match tools -------------------------------------------------------------------------------------------------


def sent(output: str, tool: str, **settings: object) -> str:
    call = {"type": "tool_use", "id": "toolu_1", "name": tool, "input": {}}
    messages = [
        {"role": "user", "content": "Read it."},
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": output}]},
    ]
    result = TransformPipeline(HeadroomConfig(**settings)).apply(messages, model="m", format="anthropic")  # type: ignore[arg-type]
    return result.messages[2]["content"][0]["content"]


def test_a_view_of_an_exact_match_tool_loses_its_padding_only() -> None:
    text = numbered([f"{line}  # {n}" for n, line in enumerate(CODE * 20)])
    short = sent(text, "Read")
    assert short.startswith('[view "     1→"]\n1\timport os  # 0\n')
    assert [line.split("\t", 1)[1] for line in short.split("\n")[1:]] == [line.split("→", 1)[1] for line in text.split("\n")]
    assert sent(text, "Read", views=CompressorConfig(enabled=False)) == text
    assert sent(text, "Read", views=CompressorConfig(except_tools=["read"])) == text


def test_an_envelope_of_an_exact_match_tool_is_taken_off_its_text() -> None:
    text = "".join(f'key = "value {n}"\n\tand\\more of it, number {n}\n' for n in range(60))
    envelope = json.dumps({"type": "text", "text": text, "annotations": None})
    short = sent(envelope, "mcp__files__read_file")
    head, _, body = short.partition("\n")
    assert head.startswith("[json in mcp text")
    assert body == text
    assert json.loads(expand(short)) == json.loads(envelope)


def test_json_and_repeated_lines_in_an_envelope_of_an_exact_match_tool_keep_their_bytes() -> None:
    rows = json.dumps([{"id": n, "city": "Oslo", "note": "the same for all"} for n in range(40)], indent=2)
    for text in (rows, 'the "same" line\t\\\n' * 60, "".join(f'src/models/user.rs:{n}: x = "{n}"\n' for n in range(60))):
        envelope = json.dumps({"type": "text", "text": text})
        short = EnvelopeCompressor().compress(envelope, Request())
        assert short is not None
        assert short.text == f'[json in {{type: text, text: """}}]\n{text}'


@pytest.mark.parametrize("note", ["", "\n\n(Only the first 4000 characters are shown.)"])
def test_an_envelope_of_an_exact_match_tool_that_was_cut_off_is_taken_off_its_text(note: str) -> None:
    text = json.dumps({"rows": [{"id": n, "city": "Oslo", "note": 'the "same" for all'} for n in range(90)]}, indent=2)
    envelope = json.dumps({"type": "text", "text": text})[:4000] + note
    short = sent(envelope, "read_file")
    head, _, body = short.partition("\n")
    said, _, behind = body.partition("⟦cut⟧")
    assert head == '[jsonp cut in mcp text """; ⟦…⟧ says what stands there]'
    assert text.startswith(said) and len(said) > 3000
    assert behind.endswith(note)
    assert expand(short) == envelope
    assert "⟦jsonp" in sent(envelope, "list_rows") or "⟦json2" in sent(envelope, "list_rows")


def test_texts_of_an_exact_match_tool_stay_that_hold_json_or_begin_as_it_does() -> None:
    rows = json.dumps([{"id": n, "city": "Oslo"} for n in range(100)], indent=2)
    for text in (f"Rows:\n{rows}\nThat was all.", "\n".join(map(json.dumps, json.loads(rows))), rows[:-200]):
        assert sent(text, "read_file") == text
        assert sent(text, "list_cities") != text


def test_json_of_an_exact_match_tool_stays() -> None:
    rows = json.dumps([{"id": n, "city": "Oslo"} for n in range(100)], indent=2)
    assert sent(rows, "read_file") == rows
    assert sent(rows, "list_cities") != rows
