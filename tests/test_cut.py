"""JSON that was cut off inside a string: the string is found, and what it says so far is looked into."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headroom_asgi import compress
from headroom_asgi.compressors.cut import open_string
from headroom_asgi.store import MemoryStore

NOTE = " ...\n\n(The output is too long. It was saved to /tmp/out.json.)"


@given(text=st.text(min_size=1), cut=st.integers(0, 400), note=st.sampled_from(["", NOTE, "\n", "\x00"]))
def test_what_an_open_string_says_is_a_beginning_of_it(text: str, cut: int, note: str) -> None:
    head = '{"type": "text", "id": 4, "none": null, "text": "'
    inside = json.dumps(text)[1:-1][:cut]
    found = open_string(head + inside + note)
    assert found is not None
    assert found.start == len(head)
    said = found.text.removesuffix(" ...") if note == NOTE else found.text
    units = [each.encode("utf-16-le", "surrogatepass") for each in (text, said)]  # an escape may be half a character
    assert units[0].startswith(units[1])
    assert len(inside) - (found.end - found.start) < len("\\ud83d\\ude00")


@pytest.mark.parametrize(
    "text",
    [
        '{"text": "whole"}',
        '{"text": "whole"',
        '{"a": [1, {"b": "c',
        '["a',
        '"a',
        "{",
        "",
        "plain",
        '{"a" "b',
        "{" * 1000,
        '{"a":1,' * 100_000,
    ],
)
def test_other_texts_have_none(text: str) -> None:
    assert open_string(text) is None


def test_a_page_in_a_cut_envelope_is_read() -> None:
    page = (
        "<!DOCTYPE html><html><head><style>"
        + ".a{color:red}\n" * 500
        + "</style></head><body><h1>Boots</h1>"
        + "<p>Red ones</p>" * 50
    )
    content = json.dumps({"type": "text", "text": page + "<p>and more" * 500})[:9_000] + NOTE
    messages = [
        {"role": "user", "content": "What is there?"},
        {"role": "assistant", "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "fetch", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c1", "content": content},
    ]
    result = compress(messages, model="gpt-4o", store=MemoryStore())
    text = result.messages[2]["content"]
    assert "# Boots" in text
    assert "color" not in text
    assert text.endswith("and ...\n⟦cut⟧" + NOTE.removeprefix(" ..."))
