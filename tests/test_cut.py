"""JSON that was cut off inside a string: the string is found, and what it says so far is looked into."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headroom_asgi import compress, expand, retrieve
from headroom_asgi.compressors.cut import cut_document, open_string
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


def record(number: int) -> dict[str, object]:
    return {
        "id": number,
        "name": f"boot {number}, red",
        "html_url": f"https://example.com/boots/{number}",
        "events_url": f"https://example.com/boots/{number}/events{{/kind}}",
        "deleted_at": None,
        "is_hidden": False,
        "notes": ["a, b", '"c" [d'],
    }


RECORDS = [record(number) for number in range(40)]


@given(
    value=st.recursive(
        st.none() | st.integers() | st.text(max_size=4), lambda each: st.lists(each) | st.dictionaries(st.text(max_size=3), each)
    ),
    cut=st.integers(0, 60),
)
def test_what_is_whole_of_a_document_is_a_beginning_of_it(value: object, cut: int) -> None:
    text = json.dumps([value, {"z": value}])
    found = cut_document(text[:cut])
    if found is None:
        return
    whole = json.loads(found.whole)
    assert found.whole.removesuffix(found.closers) + found.rest == text[:cut]
    assert found.whole.startswith("[")
    assert whole == [] or whole[0] == value or begins(whole[0], value)


def begins(part: object, whole: object) -> bool:
    """A value without members or elements at its end."""
    if isinstance(part, list) and isinstance(whole, list):
        return part[:-1] == whole[: len(part) - 1] and (not part or begins(part[-1], whole[len(part) - 1]))
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(key in whole and begins(inner, whole[key]) for key, inner in part.items())
    return part == whole


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(RECORDS),
        json.dumps(RECORDS) + " and more",
        '[1, 2}, {"a',
        "[2025-01-01] started, then",
        "{ not json, at all",
        "",
        '{"a": 1, b: 2, "c',
    ],
    ids=["whole", "prose behind", "wrong bracket", "log", "no key", "empty", "broken"],
)
def test_what_is_no_beginning_of_a_document_has_no_whole_part(text: str) -> None:
    assert cut_document(text) is None


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("wrapped", [False, True], ids=["alone", "in an envelope"])
def test_members_are_left_out_of_records_that_were_cut_off(indent: int | None, wrapped: bool) -> None:
    whole = json.dumps(RECORDS, indent=indent)
    content = whole[: whole.index("boot 31, r")]
    if wrapped:
        content = json.dumps({"type": "text", "text": whole})
        content = content[: content.index("boot 31, r")]
    messages = [
        {"role": "user", "content": "Which boots are there?"},
        {"role": "assistant", "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "list", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c1", "content": content + NOTE},
    ]
    store = MemoryStore()
    result = compress(messages, model="gpt-4o", store=store)
    text = result.messages[2]["content"]
    assert "events_url, " in text or "events_url;" in text
    assert text.count("events") == 1
    assert "boot 30" in text
    assert text.endswith(NOTE.removeprefix(" ..."))
    behind = (content + NOTE)[content.rindex("notes") :]  # nothing is left out of the last member and of what follows it
    assert behind in expand(text.partition("\n")[2])
    left_out = retrieve(next(ref for ref in result.refs if ref.endswith("-a")), store=store)
    assert [each["events_url"] for each in json.loads(left_out)[:2]] == [each["events_url"] for each in RECORDS[:2]]


def test_members_are_left_out_of_records_that_were_cut_off_before_another_text() -> None:
    whole = json.dumps(RECORDS)
    behind = '\n\n... [7 lines truncated] ...\n{"total": 1}\n'
    messages = [
        {"role": "user", "content": "Which boots are there?"},
        {"role": "assistant", "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "list", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c1", "content": whole[: whole.index("boot 31, r")] + behind},
    ]
    text = compress(messages, model="gpt-4o", store=MemoryStore()).messages[2]["content"]
    assert text.count("events") == 1
    assert "boot 30" in text
    assert text.endswith(behind)


@pytest.mark.parametrize("members", [1, 2, 3])
def test_a_document_that_was_cut_in_what_would_be_left_out_keeps_its_place(members: int) -> None:
    """What was read of the last container stands behind what was left of it, not in another one."""

    def look(number: int) -> dict[str, object]:
        return {"borders": {"top": {"style": "SOLID", "width": number, "color": {"red": number, "green": 1, "blue": 2}}}}

    cells = [{"id": n, "value": f"value {n}", "meta": {"k": {"x": {"y": n}}}, "effectiveFormat": look(n)} for n in range(60)]
    whole = json.dumps({"cells": cells})
    at = whole.rindex(('"red"', '"green"', '"blue"')[members - 1]) + len('"re')
    messages = [
        {"role": "user", "content": "What is in it?"},
        {"role": "assistant", "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "sheet", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c1", "content": whole[:at]},
    ]
    result = compress(messages, model="gpt-4o", store=MemoryStore())
    text = result.messages[2]["content"]
    left = expand(text.partition("\n")[2] if text.startswith("<<ccr:") else text)
    assert left.endswith(whole[whole.rindex('"borders"') : at])
    assert not any(ref.endswith("-a") for ref in result.refs)
