"""An object that was cut off inside its last string is that string's lines, the place of the cut and what stands behind it."""

import json
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headroom_asgi._crush import crush, expand
from headroom_asgi.errors import ExpandError
from tests.crush_documents import Documents
from tests.crush_many import outcome
from tests.crush_reference import GAPS, RAWS, STARTS, decode, head

CUT = head('json cut in mcp text """', RAWS)
PAGE = "".join(f'<p class="line">\n\t{number} "quoted" \\ back</p>\n' for number in range(60))
CELLS = [{"address": f"A{n}", "value": f"v{n}", "validation": {"has_validation": False}} for n in range(40)]
NOTE = "\n...\n\n(The output is too long. It is in /tmp/x.json.)"


def enveloped(text: str, **members: Any) -> str:
    return json.dumps({"type": "text", **members, "text": text}, separators=(",", ":"), ensure_ascii=False)


def crushed(text: str) -> str:
    """The crush text of a text that is known to have one; both readers turn it back into the text."""
    found = crush(text.encode())
    assert found is not None
    short = found[0].decode()
    assert expand(found[0]).decode() == text
    assert decode(short) == text
    return short


@pytest.mark.parametrize("note", ["", NOTE, "\n", "\\", "\\u00", "\\ ..."])
def test_the_string_stands_below_the_head_as_it_is_and_the_note_behind_the_cut(note: str) -> None:
    text = enveloped(PAGE)[:-40]
    said = json.loads(text + '"}')["text"]
    assert PAGE.startswith(said)
    assert crushed(text + note) == f"{CUT}\n{said}⟦cut⟧{note}"


@pytest.mark.parametrize("kept", range(13))
def test_what_the_cut_left_of_an_escape_stands_behind_it(kept: int) -> None:
    text = json.dumps({"type": "text", "text": PAGE + "\U0001f600"}, separators=(",", ":"))
    start = text.index("\\ud83d")
    rest = text[start : start + kept]
    said = PAGE + "\U0001f600" if kept == 12 else PAGE
    style = "jsona" if kept == 12 else "json"
    assert crushed(text[: start + kept] + NOTE) == f"{CUT.replace('json', style, 1)}\n{said}⟦cut⟧{rest * (kept < 12)}{NOTE}"


def test_half_of_a_line_end_stands_behind_the_cut() -> None:
    text = enveloped(PAGE.replace("\n", "\r\n"))
    cut = text[: text.rindex("\\n")]
    assert crushed(cut).endswith("</p>⟦cut⟧\\r")


def test_json_that_is_cut_in_it_is_a_block_that_says_what_it_lacks() -> None:
    text = enveloped(json.dumps({"range": "A1:K69", "cells": CELLS}, indent=2))
    text = text[: text.index('\\"A38')] + NOTE
    first, *lines = crushed(text).split("\n")
    assert first == CUT
    assert lines[:4] == [
        "⟦json2 cut 2⟧",
        "range: A1:K69",
        "cells [38]: address\tvalue\tvalidation.has_validation=false",
        " A0\tv0",
    ]
    assert lines[lines.index("⟦end⟧,") :] == [
        "⟦end⟧,",
        "    {",
        f'      "address": ⟦cut⟧{NOTE}'.split("\n")[0],
        *NOTE.split("\n")[1:],
    ]


def test_a_record_that_is_cut_stays_out_of_the_table_where_it_lacks_members_that_others_have() -> None:
    records = [{"id": n, "owner": "root", "mode": {"read": True, "write": False}} for n in range(20)]
    lacking = crushed(enveloped(json.dumps(records))[: -len('false}}]"}')])
    assert "⟦jsonp cut 1⟧\n[19]: id\towner=root\tmode.read=true\tmode.write=false\n" in lacking
    whole = crushed(enveloped(json.dumps(records))[: -len('}}]"}')])
    assert "⟦jsonp cut 3⟧\n[20]: id\towner=root\tmode.read=true\tmode.write=false\n" in whole


def test_a_list_that_is_cut_keeps_the_records_it_has() -> None:
    rows = [
        {"cells": [{"text": f"c{row}{n}", "bold": False, **({"link": "x"} if n == 1 else {})} for n in range(9)]}
        for row in range(4)
    ]
    short = crushed(enveloped(json.dumps(rows))[:-60])
    assert "⟦jsonp cut 3⟧\n[4].cells[]: text\tbold=false\tlink\n[9]\n" in short
    assert "\n[7]\nc30\t\n" in short


def test_text_may_stand_before_the_json_and_groups_in_it() -> None:
    text = "### Result\n" + json.dumps(CELLS) + "\n" + "".join(f"tests/test_it.py::test_{n}\n" for n in range(20))
    short = crushed(enveloped(text)[:-9])
    assert short.startswith(head('json cut in mcp text """', RAWS, STARTS) + "\n### Result\n⟦jsonp⟧\n[40]: address\tvalue")
    assert "\ntests/test_it.py::*\n test_0\n" in short
    assert short.endswith("⟦cut⟧")


@pytest.mark.parametrize(
    ("opening", "shown"),
    [
        ('{"error": "", "response": "', 'jsonp cut in {error: "", response: """'),
        ('[{"type": "text", "text": "', 'jsonp cut in [mcp text """'),
        ('{"type": "text", "t": "', 'jsonp cut in {type: text, t: """'),
        ('{"text": "text", "type": "', 'jsonp cut in {text: text, type: """'),
        ('{"type": "data", "text": "', 'jsonp cut in {type: data, text: """'),
        ('{"n": 1, "type": "text", "text": "', 'jsonp cut in {n:1, type: text, text: """'),
        ('{\n  "n": 5,\n  "text": "', 'json2 cut in {n:5, text: """'),
        ('[\n  {\n    "text": "', 'json2 cut in [{text: """'),
        ('{\r\n\t"text": "', 'jsontr cut in {text: """'),
        ('{"text":"', 'json cut in {text: """'),
    ],
)
def test_the_head_says_what_stands_before_the_string_and_how_it_was_spelled(opening: str, shown: str) -> None:
    text = opening + json.dumps(PAGE)[1:-20]
    assert crushed(text).partition("\n")[0] == head(shown, RAWS)


@pytest.mark.parametrize("text", [PAGE + "é" * 3, PAGE + "<b>&"])
def test_the_head_says_which_escapes_the_string_had(text: str) -> None:
    escaped = json.dumps({"text": text + "more"}).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    assert crushed(escaped[:-5]).startswith("[jsonpa" * ("é" in text) + "[jsonp" * ("é" not in text) + "g cut in {text: ")


@pytest.mark.parametrize(
    "text",
    [
        enveloped(PAGE),  # whole
        enveloped(PAGE)[:-1] + ', "more": [1',  # cut behind the string
        enveloped(PAGE).replace("\\n", "\n")[:-9],  # no JSON string
        enveloped(PAGE)[:-9] + "x" * 3000,
        enveloped(PAGE)[:-9] + "\n" + "x" * 3000,  # too much behind it to be a note
        enveloped(PAGE, size=[1, 2])[:-9],  # a container beside it
        enveloped(PAGE, note="x" * 300)[:-9],  # more beside it than a head should say
        enveloped("\x07" + PAGE)[:-9],
        enveloped("⟦" + PAGE)[:-9],
        enveloped(PAGE)[:-9] + " ⟦cut⟧",
        enveloped(PAGE.replace("\\", "/"))[:-9].replace("/ back", "\\/ back"),  # an escape that no style has
        " " + enveloped(PAGE)[:-9],
    ],
)
def test_other_texts_are_not_taken_for_one_that_was_cut_off(text: str) -> None:
    found = crush(text.encode())
    assert found is None or " cut in " not in found[0].decode().partition("\n")[0] or "xxx" in text[-9:]
    if found is not None and found[0].startswith(b"[text"):
        assert expand(found[0]).decode() == text


def test_lines_that_repeat_end_before_the_last_one_which_goes_on() -> None:
    text = enveloped("first\n" + "the same line again\n" * 40)
    text = text[: text.rindex("\\n")] + NOTE
    assert crushed(text) == f"{CUT}\nfirst\nthe same line again\n⟦× 39⟧\nthe same line again⟦cut⟧{NOTE}"


def test_rows_are_left_out_of_a_block_in_it() -> None:
    text = enveloped(json.dumps([{"id": n, "name": f"name {n * 7919 % 1000}"} for n in range(900)], indent=1))[:-400] + NOTE
    found = crush(text.encode(), ref=b"r")
    assert found is not None
    short, parts = found
    assert parts and f"⟦cut⟧{NOTE}" in short.decode()
    rows = {f"r-{number}": part.decode() for number, _, part in parts}
    assert decode(short.decode(), rows) == text
    with pytest.raises(ExpandError):
        expand(short)


@pytest.mark.parametrize(
    "text",
    [
        f"{CUT}\nabc",  # no cut
        f"{CUT}\nabc⟦cut⟧ ⟦cut⟧",
        f"{CUT}\nabc⟦cut⟧ ⟦",
        f"{CUT}\nab\x07c⟦cut⟧",
        head('json cut in {type: text, text: """') + "\nabc⟦cut⟧",  # no note
        head('json cut in {text: """, type: text', RAWS) + "\nabc⟦cut⟧",
        head('json cut in {text: """}', RAWS) + "\nabc⟦cut⟧",
        head("json cut in {text: (json)", RAWS) + "\n[1]⟦cut⟧",
        head("json cut in {text: x", RAWS) + "\nabc⟦cut⟧",
        head('jsonn cut in {text: """', RAWS) + "\nabc⟦cut⟧",
        head('jsonl cut in {text: """', RAWS) + "\nabc⟦cut⟧",
        head('jsonpy cut in {text: """', RAWS) + "\nabc⟦cut⟧",
        head('text cut in {text: """', RAWS) + "\nabc⟦cut⟧",
        head('json cut 1 in {text: """', RAWS) + "\nabc⟦cut⟧",
    ],
)
def test_readers_refuse_what_is_not_written_so(text: str) -> None:
    assert outcome(text) == (None, None)


def test_readers_read_what_the_writer_would_not_write() -> None:
    assert expand(f"{CUT}\n⟦cut⟧".encode()) == b'{"type":"text","text":"'
    assert decode(f"{CUT}\n⟦cut⟧") == '{"type":"text","text":"'
    text = head('json4a cut in [{a.b: "", c: [x], text: """', GAPS, RAWS)
    with pytest.raises(ExpandError):
        expand(f"{text}\né⟦cut⟧é".encode())
    text = head('json4a cut in [{"a.b": "", text: """', GAPS, RAWS)
    assert expand(f"{text}\né⟦cut⟧é".encode()).decode() == '[\n    {\n        "a.b": "",\n        "text": "\\u00e9é'
    assert decode(f"{text}\né⟦cut⟧é") == '[\n    {\n        "a.b": "",\n        "text": "\\u00e9é'


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.integers(0, 2**32))
def test_whatever_was_cut_off_comes_back_byte_for_byte(seed: int) -> None:
    text = Documents(random.Random(seed)).cut_off()
    for ref in (b"", b"r"):
        found = crush(text.encode(errors="replace"), ref=ref)
        if found is not None and not found[1] and found[0].startswith(b"[json") and b" cut in " in found[0].partition(b"\n")[0]:
            assert expand(found[0]) == text.encode(errors="replace")
            assert decode(found[0].decode()) == text
