"""How cells and pieces of text look goes, unless somebody asks for it."""

import json
from typing import Any

import pytest

from headroom_asgi.compressors import Markers, Request
from headroom_asgi.compressors.fields import FieldOmitter

WHITE = {"red": 1, "green": 1, "blue": 1}
LOOK = {
    "backgroundColor": WHITE,
    "padding": {"top": 2, "right": 3, "bottom": 2, "left": 3},
    "verticalAlignment": "BOTTOM",
    "textFormat": {"foregroundColor": {}, "fontFamily": "Arial", "fontSize": 10, "bold": False, "underline": False},
}


def cell(number: int) -> dict[str, Any]:
    look = {**LOOK, "backgroundColor": {**WHITE, "red": number / 40}}
    return {"formattedValue": f"boot {number}", "effectiveFormat": look}


SHEET = {"title": "Stock", "rows": [{"values": [cell(row), cell(row + 1)]} for row in range(12)]}
RICH = {
    "paragraphs": [
        {"text": f"Line {n} of it", "annotations": {"bold": n % 2 == 0, "italic": False, "code": False, "color": f"shade {n}"}}
        for n in range(20)
    ]
}


def left_out(value: Any, question: str = "", arguments: str = "") -> str:
    """The marker, and what stays; "" where nothing is left out."""
    return FieldOmitter().omit(json.dumps(value), Request(question, "ref", arguments), Markers("ref")) or ""


@pytest.mark.parametrize(("value", "key"), [(SHEET, "effectiveFormat"), (RICH, "annotations")])
def test_maps_of_looks_go(value: Any, key: str) -> None:
    text = left_out(value, "Write the numbers to a file in the same format.")
    marker, _, rest = text.partition("\n")
    assert key in marker
    assert key not in rest
    assert "boot 7" in rest or "Line 7 of it" in rest


@pytest.mark.parametrize(
    "question",
    ["Which cells are bold?", "What is the background color of the head?", "What does the user entered effective format say?"],
)
def test_who_asks_for_looks_gets_them(question: str) -> None:
    assert "effectiveFormat" in left_out(SHEET, question).partition("\n")[2] or left_out(SHEET, question) == ""


@pytest.mark.parametrize(
    "more",
    [
        {"format": {"type": "hardcover", "width": 12, "height": 20, "weight": 400}},
        {"format": {"color": "red", "isbn": "978-3"}},
        {"style": {"color": "red", "size": "XL"}},
        {"annotations": {"owner": "shop", "color": "blue"}},
        {"textFormat": {"bold": True, "link": {"uri": "https://example.com/boots"}}},
        {"theme": "dark"},
    ],
    ids=["measures", "another member", "a thing's own style", "labels", "a link", "no map"],
)
def test_what_says_something_else_stays(more: dict[str, Any]) -> None:
    records = [{"id": n, "name": f"boot {n}", **json.loads(json.dumps(more).replace("red", f"red {n}"))} for n in range(40)]
    assert next(iter(more)) not in left_out(records).partition("\n")[0]


def test_one_word_of_looks_may_be_a_fact_about_a_thing() -> None:
    paper = [{"id": n, "format": {"width": n, "height": 2 * n, "weight": 80 + n, "color": f"shade {n}"}} for n in range(40)]
    assert left_out(paper) == ""


def test_one_word_of_looks_is_enough_with_maps_in_it() -> None:
    cells = [{"id": n, "cellFormat": {"width": n, "color": {"red": n, "green": n + 1}}} for n in range(40)]
    assert "cellFormat" in left_out(cells).partition("\n")[0]
