"""Cases that went wrong once."""

import json
import random

import pytest

from headroom_asgi import _crush
from headroom_asgi.retrieval import Originals
from headroom_asgi.types import ToolCall


@pytest.mark.parametrize("value", [0, 3, 7, -5, 2_000_000_000, 4_000_000_000, -2_000_000_000, 1.5])
def test_the_summary_of_rows_with_one_number_says_that_number(value: float) -> None:
    chance = random.Random(1)
    rows = [
        {"id": 1000 + i, "n": value if 20 < i < 180 else chance.randrange(1000), "t": f"word{chance.randrange(9999)} x"}
        for i in range(300)
    ]
    found = _crush.crush(json.dumps({"a": "SECRET", "rows": rows}).encode(), ref=b"r0")
    assert found is not None
    markers = [line for line in found[0].decode().split("\n") if line.startswith(" <<ccr:") and "; n " in line]
    told = [line.split("; n ")[1].split(";")[0].removesuffix(">>") for line in markers]
    assert json.dumps(value) in told
    assert not any("SECRET" in line for line in markers)


def test_log_lines_with_a_small_object_each_become_no_blocks() -> None:
    line = (
        'INFO request done {"id": 0, "user": "u0", "tags": ["a", "b"], "nested": {"k": 1, "l": [1, 2, 3], "name": "some text"}}'
    )
    text = "\n".join(line.replace("0", str(n)) for n in range(40))
    found = _crush.crush(text.encode())
    assert found is not None
    assert "⟦" not in found[0].decode()


def test_a_long_object_behind_text_on_its_line_is_re_laid() -> None:
    rows = [{"name": f"file_{n}.txt", "bytes": n, "owner": "root"} for n in range(30)]
    text = f"Result: {json.dumps(rows)}\nDone"
    found = _crush.crush(text.encode())
    assert found is not None
    assert found[0].startswith("[text; ⟦…⟧ says what stands there]\nResult: ⟦jsonp⟧\n[30]: name\tbytes\towner=root\n".encode())
    assert _crush.expand(found[0]) == text.encode()


@pytest.mark.parametrize("word", ["failed", "FAILED", "error"])
def test_a_long_run_of_letters_takes_no_more_than_its_length(word: str) -> None:
    # Quadratic time would take minutes here, and the suite's time limit would end it.
    rows = [{"a": word * 200_000 if i == 3 else f"x{i}", "b": i} for i in range(60)]
    assert _crush.crush(json.dumps(rows).encode(), ref=b"r0") is not None


def test_a_key_of_many_dots_does_not_hold_up_a_search() -> None:
    rows = [{"id": i, ".".join("a" * 100_000): f"z{i}"} for i in range(8)]
    originals = Originals({"r0": json.dumps(rows)}, max_bytes=100_000)
    answer = originals.answer(ToolCall("call_1", "headroom_retrieve", json.dumps({"ref": "r0", "query": "id=5"})))
    assert "matches" in answer.text


def test_white_space_between_elements_does_not_change_the_form_of_a_list() -> None:
    value = {"id": 0, "name": 0, "at": [-1000, '\U00010000"']}
    assert _crush.crush(json.dumps(value, indent=1).encode()) == _crush.crush(json.dumps(value, separators=(",", ":")).encode())


@pytest.mark.parametrize("style", ["json2a", "jsont", "json1g", "json2n", "json4r"])
def test_a_text_in_the_style_of_one_string_is_refused(style: str) -> None:
    # Only whole texts of lines have a style in their head; a flag beside the layout made others look like them.
    with pytest.raises(_crush.ExpandError, match="unknown head line"):
        _crush.expand(f"[{style}]\n[1]".encode())
