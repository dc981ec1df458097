"""Styles of JSON inside strings: spelled as common writers spell them, recognized when they did."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headroom_asgi._crush import crush, expand, minify
from headroom_asgi.errors import ExpandError
from tests.crush_reference import decode
from tests.json_exact import same

LAYOUTS: dict[str, dict[str, Any]] = {
    "json": {"separators": (",", ":")},
    "jsonp": {},
    "json1": {"indent": 1},
    "json2": {"indent": 2},
    "json4": {"indent": 4},
    "jsont": {"indent": "\t"},
}
STYLES = [
    layout + ascii_only + go + newline
    for layout in LAYOUTS
    for ascii_only in ("", "a")
    for go in ("", "g")
    for newline in ("", "n", "rn")
] + ["json2r", "json4ar", "jsontgr"]
LINES = [
    layout + ascii_only + glue + newline
    for layout in LAYOUTS
    for ascii_only in ("", "a")
    for glue, newline in (("l", ""), ("l", "n"), ("lr", ""), ("lr", "n"), ("c", ""), ("c", "n"))
]


def written(value: object, style: str) -> str:
    """A value as Python's json (or Go's, with "g") writes it in a style; unpaired surrogates escaped, as UTF-8 has none."""
    parts = re.fullmatch(r"(json[p124t]?)(a?)(g?)(r?)(n?)", style)
    assert parts is not None
    layout, ascii_only, go, cr, newline = parts.groups()
    text = json.dumps(value, ensure_ascii=bool(ascii_only), **LAYOUTS[layout])
    escaped = "[\ud800-\udfff<>&\u2028\u2029]" if go else "[\ud800-\udfff]"
    text = re.sub(escaped, lambda found: f"\\u{ord(found[0]):04x}", text) + ("\n" if newline else "")
    return text.replace("\n", "\r\n") if cr else text


def lines_of(values: list[Any], style: str) -> str:
    """Values one after the other, each as it is written in a style."""
    layout, glue, ends = re.split("([lc])", style)
    end = "\r\n" if "r" in ends else "\n"
    between = end if glue == "l" else ""
    return between.join(written(value, layout + ends.strip("n")) for value in values) + (end if "n" in ends else "")


def spelled(value: list[Any], style: str) -> str:
    """What expand() makes of the flow form of an array that stands for a string in a style."""
    flow = written(value, "jsonp")
    return str(json.loads(expand(f"[json]\n({style})\n{flow}".encode())))


def text_line(document: str) -> str:
    """The lines with which the crushed form of a document begins."""
    found = crush(document.encode())
    assert found is not None
    assert expand(found[0]) == minify(document.encode())
    return found[0].decode()


def joined(text: str) -> str:
    """The text with surrogate pairs joined, as every reader of JSON joins them."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


strings = st.text(
    st.one_of(st.characters(), st.sampled_from('<>&"\\/\b\f\n\r\t\x00\x1f\x7f\x80\u2028\ud83d\ude00😀')), max_size=12
).map(joined)
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), strings)
values = st.lists(
    st.recursive(scalars, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(strings, inner, max_size=4))),
    min_size=1,
    max_size=4,
)


@given(values, st.sampled_from(STYLES))
def test_every_style_is_spelled_as_its_writer_spells_it(value: list[Any], style: str) -> None:
    assert spelled(value, style) == written(value, style)


@pytest.mark.parametrize("style", STYLES)
def test_a_string_in_a_style_is_recognized_and_comes_back(style: str) -> None:
    records = [{"id": number, "name": f"Ünal <&> 😀 {number}", "tags": [], "half": "\ud83d"} for number in range(20)]
    head, table, *_ = text_line(written({"text": written(records, style)}, "json")).split("\n")
    assert head.startswith(f"[json in {{text: ({style})}}")
    assert table.startswith("[20]: ")


@pytest.mark.parametrize("style", LINES)
def test_values_one_after_the_other_are_recognized_and_come_back(style: str) -> None:
    records = [{"id": number, "name": f"Ünal {number}", "tags": []} for number in range(20)]
    text = lines_of(records, style)
    assert f"[json in {{text: ({style})}}]\n[20]: " in text_line(written({"text": text}, "json"))
    found = crush(text.encode())
    assert found is not None
    assert found[0].startswith(f"[{style}]\n[20]: ".encode())
    assert expand(found[0]).decode() == text


@pytest.mark.parametrize("style", ["json", "jsonp", "json4n"])
def test_a_string_in_ascii_is_in_the_plainer_style(style: str) -> None:
    records = [{"id": number, "name": f"row {number}"} for number in range(20)]
    assert f"text: ({style})" in text_line(written({"text": written(records, style)}, "json"))


@pytest.mark.parametrize("tell", ["\x7f", "\x80", "\uffff", "\U00010000"])
def test_the_first_escaped_character_tells_the_ascii_style(tell: str) -> None:
    records = [{"id": number, "name": f"row {number}", "half": "\ude00\n"} for number in range(20)]
    text = written([*records, {"id": 20, "name": tell, "half": ""}], "jsona")
    assert "text: (jsona)}]\n[21]: " in text_line(written({"text": text}, "json"))


RECORDS = json.dumps([{"id": number, "path": f"/srv/é/{number}"} for number in range(20)])


@pytest.mark.parametrize(
    "text",
    [
        RECORDS.replace("\\u00e9", "\\u00E9"),
        RECORDS.replace("/", "\\/"),
        RECORDS.replace(", ", ",  "),
        RECORDS.replace("[{", "[ {"),
        RECORDS.replace("\\u00e9", "é", 1),
        RECORDS + "\n\n",
        RECORDS + " ",
        json.dumps(json.loads(RECORDS), indent=3),
        json.dumps(json.loads(RECORDS), indent=4).replace("\n    }", "\n  }", 1),
        RECORDS[:-1],
    ],
)
def test_a_string_that_no_style_reproduces_stays_a_string(text: str) -> None:
    document = json.dumps({"text": text, "rows": [{"number": number, "also": "filler"} for number in range(40)]}).encode()
    crushed = crush(document)
    assert crushed is not None
    assert not re.search(rb"text:? \(json", crushed[0])
    assert json.loads(expand(crushed[0])) == json.loads(document)


@pytest.mark.parametrize(
    "name",
    [
        "json3",
        "jsonna",
        "jsonaa",
        "jsonnn",
        "Json",
        "jso",
        "a",
        "n",
        "jsonpp",
        "json2 ",
        "jsonga",
        "jsonnl",
        "jsonlg",
        "jsonll",
        "",
    ],
)
def test_other_names_are_no_styles(name: str) -> None:
    with pytest.raises(ExpandError):
        expand(f"[json]\n({name})\n[1, 2]".encode())


@pytest.mark.parametrize("style", STYLES)
def test_nesting_is_spelled_down_to_a_limit(style: str) -> None:
    deep: list[Any] = [1]
    for _ in range(59):
        deep = [deep]
    assert spelled(deep, style) == written(deep, style)
    for _ in range(40):
        deep = [deep]
    with pytest.raises(ExpandError):
        spelled(deep, style)


CUT = [{"id": number, "name": f"Ü <{number}>\n", "tags": [[], {"a": None}], "deep": {"x": [number]}} for number in range(7)]


@pytest.mark.parametrize("style", [*LAYOUTS, "jsona", "jsonpg", "json2ag", "jsonl", "jsonpal"])
def test_a_text_that_is_cut_anywhere_comes_back(style: str) -> None:
    whole = "result: " + (lines_of(CUT, style) if "l" in style else written(CUT, style))
    blocks = 0
    for size in range(len(whole)):
        text = whole[:size]
        for document in (text, json.dumps({"text": text}), json.dumps([text, text[8:]])):
            found = crush(document.encode())
            if found is None:
                continue
            result = expand(found[0]).decode()
            assert result == (document if document is text else minify(document.encode()).decode()) or same(result, document)
            if size % 7 == 0 and found[0].startswith((b"[json", b"[text")):
                assert decode(found[0].decode()) == result
            blocks += "⟦json".encode() in found[0]
    assert blocks > len(whole) / 4
