"""crush writes each form as the grammar says, and whatever it writes reads back as the value it was given."""

import gzip
import itertools
import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headroom_asgi._crush import crush, estimate, expand
from tests.crush_cases import PLACES, TABLE, long_tables, restored, strings_of_json, values
from tests.crush_reference import decode
from tests.json_exact import same

CORPUS = Path(os.environ.get("HEADROOM_CORPUS", Path(__file__).parents[2] / "shared" / "corpus"))


def crushed(document: str) -> str:
    """The crush text of a document that is known to have one."""
    found = crush(document.encode())
    assert found is not None
    text, parts = found
    assert parts == []
    assert text.startswith(b"[json")
    assert expand(text) == decode(text.decode()).encode()
    return text.decode()


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(values, st.sampled_from(PLACES))
def test_reads_back_as_the_same_value(value: str, place: Callable[[str], str]) -> None:
    document = place(value)
    assert same(decode(crushed(document)), document)


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(strings_of_json)
def test_strings_that_hold_json_read_back_as_the_same_strings(value: str) -> None:
    document = PLACES[0](value)
    assert same(decode(crushed(document)), document)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(values)
def test_any_form_is_shorter_and_the_same_value(value: str) -> None:
    found = crush(value.encode())
    if found is not None:
        text, parts = found
        assert parts == []
        assert len(text) < len(value.encode())
        assert estimate(text) < estimate(value.encode())
        assert same(decode(text.decode()) if text.startswith(b"[json") else text, value)


@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(values, st.sampled_from(PLACES))
def test_is_deterministic(value: str, place: Callable[[str], str]) -> None:
    document = place(value).encode()
    assert crush(document, ref=b"r", needles=(b"abc", b"xyz")) == crush(document, ref=b"r", needles=(b"abc", b"xyz"))


@pytest.mark.parametrize("depth", [1, 2, 31, 62, 63, 64, 65, 5000])
@pytest.mark.parametrize("kinds", ["a", "o", "ao", "oa"])
def test_deep_nesting_is_written_to_64_levels_and_minified_beyond(depth: int, kinds: str) -> None:
    opened = "".join("[" if kind == "a" else '{"k":' for kind in itertools.islice(itertools.cycle(kinds), depth - 1))
    closed = "".join("]" if kind == "[" else "}" for kind in reversed([c for c in opened if c in "[{"]))
    document = f"[ {opened} [ 1 ] {closed} , {TABLE} ]" + "\n " * 50
    found = crush(document.encode())
    assert found is not None
    assert found[0].startswith(b"[json") == (depth + 1 <= 64)
    assert same(decode(found[0].decode()) if found[0].startswith(b"[json") else found[0], document)


def test_strings_of_json_count_as_nesting() -> None:
    inner = "[" * 40 + "]" * 40
    for outer in (10, 23, 24, 30):
        value = json.dumps(f'{{"x":{inner}}}')
        document = "[" * (outer - 1) + f"[{value},{TABLE}]" + "]" * (outer - 1)
        text = crushed(document)
        assert ("(json):" in text) == (outer + 41 <= 64)
        assert same(decode(text), document)


def test_strings_in_strings_are_opened_eight_levels_deep() -> None:
    document = '{"x":1}'
    for _ in range(10):
        document = json.dumps({"next": document})
    document = f'{{"first":{document},"table":{TABLE}}}'
    text = crushed(document)
    assert text.count("next (json") == 8
    assert same(decode(text), document)


@pytest.mark.parametrize(
    "data", [b"", b" ", b"{", b"nul", b"[1,]", b'"\xff"', b"\xef\xbb\xbf[]", b"1 2", b"[1]", b'{"a":1}', b"\x00"]
)
def test_what_is_no_json_or_short_already_is_left_alone(data: bytes) -> None:
    assert crush(data) is None


def test_blanks_are_dropped_where_that_is_all_there_is_to_gain() -> None:
    assert crush(b'\n{ "a" : [ 1 , 2 ] }\n\n') == (b'{"a":[1,2]}', [])


def test_arguments_are_checked() -> None:
    bad: Any = crush
    with pytest.raises(TypeError):
        bad("[]")
    with pytest.raises(TypeError):
        bad(b"[]", ref="x")
    with pytest.raises(TypeError):
        bad(b"[]", ref=b"x", needles=["x"])


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.data())
def test_no_bytes_do_harm(data: st.DataObject) -> None:
    original = bytearray(data.draw(st.one_of(values, long_tables())).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(original) - 1)) if original else 0
        kind = data.draw(st.sampled_from(["cut", "put", "swap"]))
        if kind == "cut":
            del original[at : at + data.draw(st.integers(1, 8))]
        elif kind == "put":
            original[at:at] = data.draw(
                st.one_of(st.binary(max_size=3), st.sampled_from([b'"', b"{", b"[", b"\\", b",", b":", b"\xed\xa0\x80"]))
            )
        elif original:
            original[at] = data.draw(st.integers(0, 255))
    found = crush(bytes(original), ref=b"r", needles=[b"some"])
    if found is not None:
        result = restored(found)
        assert result.encode() == original or same(result, bytes(original))


def test_hard_inputs_end() -> None:
    """Shapes on which a scan over rows, columns or keys would be quadratic, and not end within the time limit of a test."""
    count = 200_000
    for document in (
        json.dumps([{f"k{i}": i} for i in range(count)]),
        json.dumps({f"k{i}": i for i in range(count)}),
        json.dumps([{"a": {f"k{i}": i}} for i in range(count)]),
        json.dumps([{f"k{i % 200}": i, "z": 1} for i in range(count)]),
        json.dumps([["x" * (i % 3)] for i in range(count)]),
        json.dumps([{"a": f"{i}\n{chr(34) * (i % 7)}"} for i in range(count)]),
        json.dumps(["a\n" * 500_000, '"\n' * 500_000]),
        "[" * count + "]" * count,
        json.dumps("[" * count + "]" * count),
    ):
        crush(document.encode(), ref=b"r", needles=[b"aaaaaaaaaaaab"] * 300)


def test_threads_get_the_same_result() -> None:
    document = json.dumps({"rows": [json.loads(TABLE)] * 50}).encode()
    expected = crush(document, ref=b"r")
    results: list[object] = []
    threads = [threading.Thread(target=lambda: results.extend(crush(document, ref=b"r") for _ in range(5))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [expected] * 20


def tool_texts(content: object) -> Iterator[str]:
    """The texts in a message's content, tool results opened."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        for block in content:
            if isinstance(block, dict):
                yield from tool_texts(block.get("text", block.get("content")))


def corpus_texts(path: Path) -> Iterator[str]:
    """Every message text or document of one file of the corpus."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            entry = json.loads(line)
            for message in entry.get("messages", [entry]):
                yield from tool_texts(message.get("content"))


CORPUS_FILES = sorted(CORPUS.glob("*/*.jsonl.gz")) if CORPUS.is_dir() else []


@pytest.mark.skipif(not CORPUS_FILES, reason="the recorded conversations are not here: set HEADROOM_CORPUS to their folder")
@pytest.mark.parametrize("path", CORPUS_FILES, ids=lambda path: path.name.removesuffix(".jsonl.gz"))
@pytest.mark.timeout(600)
def test_recorded_documents_read_back_as_the_same_value(path: Path) -> None:
    seen: set[str] = set()
    for text in corpus_texts(path):
        if text in seen:
            continue
        seen.add(text)
        for options in ({}, {"ref": b"r", "needles": [b"2024", b"error"]}):
            found = crush(text.encode("utf-8", "replace"), **options)  # type: ignore[arg-type]
            if found is not None:
                result = restored(found)
                assert result == text or same(result, text)
