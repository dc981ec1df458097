"""Which rows crush leaves out, which it never does, and that its text and its parts together hold all of them."""

import json
import random
import re
from typing import Any

import pytest
from crush_cases import MARKER, long_tables, whole
from crush_reference import HEAD, HEAD_OMISSIONS, decode
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from json_exact import same

from headroom_asgi._crush import crush


def rows_of(count: int, **odd: dict[int, Any]) -> list[dict[str, Any]]:
    """Rows of which none stands out, but for what `odd` puts into a column of a row."""
    rows = [
        {
            "id": f"item-{i:05d}",
            "place": f"shelf {i % 89} in hall {i % 7}",
            "note": f"as delivered on day {i % 97}",
            "lot": "A",
        }
        for i in range(count)
    ]
    for column, changes in odd.items():
        for i, value in changes.items():
            rows[i][column] = value
    return rows


def shown(rows: list[dict[str, Any]], *needles: bytes) -> list[int]:
    """The numbers of the rows that are in the text."""
    found = crush(json.dumps({"rows": rows}).encode(), ref=b"r0", needles=needles)
    assert found is not None
    return [int(number) for number in re.findall(rb"^ item-(\d+)", found[0], re.MULTILINE)]


def expected(count: int, *wanted: int) -> list[int]:
    """First and last rows, those that are wanted as long as there is room, and the short runs between them."""
    keep = {*range(8), *range(count - 4, count)}
    for number in wanted:
        if len(keep) < 60:
            keep.add(number)
    for start in sorted(keep):
        end = min((number for number in keep if number > start), default=start)
        if end - start <= 4:
            keep.update(range(start, end))
    return sorted(keep) if 2 * len(keep) <= count else [*range(count)]


def test_nothing_is_left_out_without_a_ref() -> None:
    document = json.dumps({"rows": rows_of(300)}).encode()
    found = crush(document, needles=[b"item-00042"])
    assert found is not None
    assert found[1] == []
    assert same(decode(found[0].decode()), document)


def test_first_and_last_rows_are_kept_and_the_marker_counts_the_others() -> None:
    found = crush(json.dumps({"rows": rows_of(300)}).encode(), ref=b"r0")
    assert found is not None
    text = found[0].decode()
    assert text.split("\n")[:2] == [HEAD_OMISSIONS, "rows [300]: id\tplace\tnote\tlot=A"]
    assert text.split("\n")[10] == " <<ccr:r0-1 288 rows left out>>"
    assert shown(rows_of(300)) == [*range(8), *range(296, 300)]
    [(number, count, part)] = found[1]
    assert (number, count) == (1, 288)
    assert part.decode().split("\n")[:2] == [HEAD, "[288]: id\tplace\tnote\tlot=A"]
    assert json.loads(decode(part.decode())) == rows_of(300)[8:296]


@pytest.mark.parametrize(
    "value",
    [
        *("error", "An ERROR occurred", "payment_failed", "ValueError: x", "HTTPException", "read timed out", "x\nfatal: y"),
        ["ok", {"state": "denied"}],
    ],
)
def test_rows_that_tell_of_an_error_are_kept(value: object) -> None:
    assert shown(rows_of(300, note={100: value})) == expected(300, 100)


@pytest.mark.parametrize(
    "value",
    ["terror", "errorless", "a mirror", {"error": "none"}, [{"error": 1}, {"failed": False}], "timed, and out", "infallible"],
)
def test_words_that_only_look_like_errors_and_keys_do_not_count(value: object) -> None:
    assert shown(rows_of(300, note=dict.fromkeys(range(300), value) | {0: "x"})) == expected(300)


def test_constants_and_names_of_columns_tell_nothing() -> None:
    rows = [row | {"error": "error", "failed": f"no {i}"} for i, row in enumerate(rows_of(300))]
    assert shown(rows, b"error") == expected(300)


def test_rows_that_hold_a_needle_are_kept() -> None:
    rows = rows_of(300, note={150: "Zürich\tgate", 170: ["a", {"b": "deep NEEDLE here"}], 190: 4711.5})
    needles = (b"ITEM-00123", "Zürich\tg".encode(), b"needle", b"711.", b"no", b"absent", b"", b"00\x00")
    assert shown(rows, *needles) == expected(300, 123, 150, 170, 190)


@given(st.lists(st.text("abc", min_size=3, max_size=7), max_size=30), st.integers(0, 2**32))
def test_needles_are_found_as_a_plain_search_finds_them(needles: list[str], seed: int) -> None:
    rng = random.Random(seed)
    rows = rows_of(200)
    for row in rows:
        row["note"] = "".join(rng.choice("abcx") for _ in range(rng.randrange(25))) + " and more, so that rows are long"
    holders = [i for i, row in enumerate(rows) if any(needle in row["note"] for needle in needles)]
    assert shown(rows, *(needle.encode() for needle in needles)) == expected(200, *holders)


@pytest.mark.parametrize(
    ("least", "greatest"),
    [("-1e3", "5E10"), ("-0.001", "1e400"), ("1.00001", "9.99"), ("1.0", "123456789012345678901234"), ("-1e-400", "10")],
)
def test_rows_with_the_least_and_greatest_number_are_kept(least: str, greatest: str) -> None:
    spelled = {101: least, 103: least, 200: greatest, 240: greatest, 250: "null"}
    rows = [
        json.dumps(row | {"size": "?"}).replace('"?"', spelled.get(i, f"{i % 79 / 50 + 2:.3f}"))
        for i, row in enumerate(rows_of(300))
    ]
    found = crush(f'{{"rows":[{",".join(rows)}]}}'.encode(), ref=b"r")
    assert found is not None
    assert [int(n) for n in re.findall(rb"^ item-(\d+)", found[0], re.MULTILINE)] == expected(300, 101, 200)


def test_the_first_row_of_every_kind_is_kept() -> None:
    twelve = [row | {"kind": f"k{i // 27}" if i > 30 else "k0"} for i, row in enumerate(rows_of(300))]
    assert shown(twelve) == expected(300, 31, *range(54, 300, 27))
    thirteen = [row | {"kind": f"k{i // 24}"} for i, row in enumerate(rows_of(300))]
    assert shown(thirteen) == expected(300)
    long = [row | {"kind": f"{i // 27} of many words that make it long"} for i, row in enumerate(rows_of(300))]
    assert shown(long) == expected(300)


def test_the_first_row_of_every_set_of_keys_is_kept() -> None:
    rows = rows_of(300)
    del rows[100]["note"]
    del rows[150]["note"]
    rows[200]["extra"] = {"a": 1}
    rows[210]["extra"] = {"b": 2}
    assert shown(rows) == expected(300, 100, 200, 210)


def test_at_most_sixty_rows_are_kept_errors_first() -> None:
    many = dict.fromkeys(range(100, 500, 5), "failed")
    assert shown(rows_of(600, note=many, place={450: "the needle"}), b"needle") == expected(600, *many, 450)
    fewer = dict.fromkeys(range(100, 300, 5), "failed")
    assert shown(rows_of(600, note=fewer, place={450: "the needle"}), b"needle") == expected(600, *fewer, 450)
    assert 450 in expected(600, *fewer, 450)
    assert len(expected(600, *many, 450)) == 60


def test_short_runs_stay_and_what_would_leave_out_less_than_half_leaves_nothing_out() -> None:
    assert shown(rows_of(300, note={11: "error", 16: "error"})) == [*range(12), 16, *range(296, 300)]
    assert shown(rows_of(100, note=dict.fromkeys(range(0, 100, 3), "error"))) == [*range(100)]


def test_small_tables_are_left_whole() -> None:
    def long_rows(count: int) -> list[dict[str, Any]]:
        return [row | {"text": f"{i} {'word ' * 100}"} for i, row in enumerate(rows_of(count))]

    assert len(shown(rows_of(40))) == 40
    assert len(shown(long_rows(23))) == 23
    assert len(shown(long_rows(24))) == 12


def test_parts_of_several_tables_are_numbered() -> None:
    document = {"a": rows_of(100), "b": [[rows_of(10)], {"in a string": json.dumps(rows_of(200), indent=2)}], "c": 1}
    found = crush(json.dumps(document).encode(), ref=b"r")
    assert found is not None
    assert MARKER.findall(found[0].decode()) == [("r", "1", "88"), ("r", "2", "188")]
    assert [(number, count) for number, count, _ in found[1]] == [(1, 88), (2, 188)]
    assert same(decode(whole(found, "r")), json.dumps(document))


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(long_tables(), st.lists(st.binary(min_size=1, max_size=5), max_size=5))
def test_text_and_parts_together_hold_all_rows(document: str, needles: list[bytes]) -> None:
    found = crush(document.encode(), ref=b"abc_1.x", needles=needles)
    assert found is not None
    assert [number for number, _, _ in found[1]] == list(range(1, len(found[1]) + 1))
    assert same(decode(whole(found, "abc_1.x")), document)
    if not found[1]:
        assert found == crush(document.encode())


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(long_tables(), st.binary(min_size=1, max_size=60).map(lambda ref: ref.hex().encode()))
def test_the_ref_is_put_in_and_decides_nothing(document: str, ref: bytes) -> None:
    found = crush(document.encode(), ref=ref)
    other = crush(document.encode(), ref=b"OTHER")
    assert found is not None
    assert other is not None
    assert found[0].replace(b"<<ccr:" + ref + b"-", b"<<ccr:OTHER-") == other[0]
    assert found[1] == other[1]
