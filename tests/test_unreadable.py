"""Stretches that no reader reads: bytes of binary files, scripts and styles on one line."""

import hashlib

import pytest

from headroom_asgi.compressors import Markers, Request
from headroom_asgi.compressors.opaque import OpaqueOmitter
from headroom_asgi.compressors.unreadable import unreadable

NOISE = b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(400))
STREAM = NOISE.decode("utf-8", "replace")
PDF = f"%PDF-1.5 1077 0 obj << /Linearized 1 /N 39 >> endobj stream {STREAM} endstream"
SCRIPT = (
    '(window.metrics||(window.metrics={})).init=function(e,t){if(!e||"object"!=typeof e)return!1;var n=t&&t.a||{};return n.b=e=>{n.c(e)}};'
    * 40
)
RULES = (
    ".page .menu>li{margin:0 2px;padding:.2em 0;box-shadow:0 1px 5px 0 rgba(0,0,0,.12)}@media print{.menu{display:none!important}}"
    * 40
)
RECORDS = '{"id": 17, "name": "Ann", "note": "a=>b; return", "tags": ["x", "y"]}, ' * 80
PROGRAM = (
    "def total(values):\n    if not values or values[0] is None:\n        return 0\n    return sum(value for value in values)\n\n"
    * 60
)


def omitted(text: str, question: str = "") -> tuple[str | None, list[str]]:
    markers = Markers("ref")
    found = OpaqueOmitter().omit(text, Request(question, "ref", '{"url": "https://example.com/page"}'), markers)
    return found, [omission.text for omission in markers.omissions]


@pytest.mark.parametrize("line", [SCRIPT, RULES])
def test_minified_code_is_left_out_where_it_stands(line: str) -> None:
    found, pieces = omitted(f"Our products\n{line}\nBoots, red\n")
    assert pieces == [line]
    assert found == f"Our products\n<<ccr:ref-a {len(line)} characters of minified code left out>>\nBoots, red\n"


def test_of_binary_data_the_text_around_stays() -> None:
    found, pieces = omitted(PDF)
    assert found is not None
    assert found.startswith("%PDF-1.5 1077 0 obj << /Linearized 1 /N 39 >> endobj stream ")
    assert "characters of binary data left out>>" in found
    assert len(found) < 1_200  # less than one block of the data is left beside it
    (piece,) = pieces
    assert PDF.replace(piece, "") == found.replace(f"<<ccr:ref-a {len(piece)} characters of binary data left out>>", "")


@pytest.mark.parametrize(
    "text",
    [
        PROGRAM,
        RECORDS,
        "\n".join(f"Decoded: {chr(1 + number % 8)}{number}" for number in range(400)),
        "a sentence of many words, as they stand in reports; " * 100,
        "\0" * 5_000,
        SCRIPT[:1_900],
        "x,y,z\n" + "1.5,2.5,3.5\n" * 800,
        "naïve café – “quoted” … " * 300,
    ],
    ids=["code", "records", "deciphered", "prose", "zeros", "short", "table", "accents"],
)
def test_what_a_reader_reads_stays(text: str) -> None:
    assert list(unreadable(text)) == []


def test_a_script_that_the_question_names_something_of_stays() -> None:
    assert omitted(SCRIPT, "Where is `metrics_v2` set?")[1] == [SCRIPT]
    assert omitted(SCRIPT + "window.metrics_v2=1;", "Where is `metrics_v2` set?") == (None, [])
