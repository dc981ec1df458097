"""Which rows crush leaves out, which it never does, and that its text and its parts together hold all of them."""

import json
import random
import re
from typing import Any

import pytest
from crush_cases import long_tables
from crush_reference import GAPS, OMISSIONS, decode, head
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from json_exact import same

from headroom_asgi._crush import crush

MARKER = re.compile(r"^ *<<ccr:([\w.-]+)-(\d+) (\d+) rows left out(?:: [^>\n]+)?>>$", re.MULTILINE)
COVER = (64, 128, 256, 512)  # rows that stay whatever they hold


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
    """First and last rows, those that are wanted, those that cover the rest, and the short runs between them."""
    keep = {*range(8), *range(count - 4, count), *wanted, *(place for place in COVER if place < count)}
    for start in sorted(keep):
        end = min((number for number in keep if number > start), default=start)
        if end - start <= 4:
            keep.update(range(start, end))
    return sorted(keep) if 2 * len(keep) <= count else [*range(count)]


def restored(found: tuple[bytes, list[tuple[int, int, bytes]]], ref: str) -> str:
    """The value of a text and its parts together."""
    return decode(found[0].decode(), {f"{ref}-{number}": part.decode() for number, _, part in found[1]})


def test_nothing_is_left_out_without_a_ref() -> None:
    document = json.dumps({"rows": rows_of(300)}).encode()
    found = crush(document, needles=[b"item-00042"])
    assert found is not None
    assert found[1] == []
    assert same(decode(found[0].decode()), document)


def test_first_and_last_rows_are_kept_and_the_markers_count_the_others() -> None:
    found = crush(json.dumps({"rows": rows_of(300)}).encode(), ref=b"r0")
    assert found is not None
    text = found[0].decode()
    assert text.split("\n")[:2] == [head("json", OMISSIONS), "rows [300]: id\tplace\tnote\tlot=A"]
    assert text.split("\n")[10] == " <<ccr:r0-1 56 rows left out: id item-00008 to item-00063>>"
    assert shown(rows_of(300)) == expected(300)
    [(number, count, part)] = found[1]
    assert (number, count) == (1, 285)
    assert sum(int(match[3]) for match in MARKER.finditer(text)) == count
    assert part.decode().split("\n")[1] == "[285]: id\tplace\tnote\tlot=A"
    assert json.loads(decode(part.decode())) == [row for i, row in enumerate(rows_of(300)) if i not in expected(300)]


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
    needles = (b"ITEM-00123", "zürich\tGATE".encode(), b"needle", b"4711.5", b"no", b"absent", b"", b"00\x00")
    assert shown(rows, *needles) == expected(300, 123, 150, 170, 190)


literals = st.text("aB2.", min_size=3, max_size=6)


@given(st.lists(literals, max_size=30), st.integers(0, 2**32))
@example(["222", "2a.", "aB.", ".a2"], 0)  # 41 rows behind the first ones, of which one would have been kept anyway
def test_needles_are_found_as_a_plain_search_finds_them(needles: list[str], seed: int) -> None:
    rng = random.Random(seed)
    rows = rows_of(200)
    for row in rows:
        row["note"] = "word " + "".join(rng.choice("aabB22.. ") for _ in range(rng.randrange(45)))
    holders: set[int] = set()
    for needle in {needle.lower() for needle in needles}:
        hits = [i for i, row in enumerate(rows) if holds(row["note"], needle)]
        holders.update(hits if len(hits) <= 24 else hits[:4])
    # First and last rows are kept before; of the others that hold a needle the first 40 are.
    ends = {*range(8), *range(196, 200)}
    wanted = holders & ends | {*sorted(holders - ends)[:40]}
    assert wanted <= set(shown(rows, *(needle.encode() for needle in needles)))


def holds(text: str, needle: str) -> bool:
    """Whether a literal stands in a text as a name or number of its own."""
    for match in re.finditer(f"(?=({re.escape(needle)}))", text, re.IGNORECASE):
        start, end = match.span(1)
        if not joined(text, start) and not joined(text, end):
            return True
    return False


def joined(text: str, at: int) -> bool:
    """Whether a name or number runs across a place: letters and digits, fooBar aside, and a digit, a point, a digit."""
    pair = text[max(at - 1, 0) : at + 1]
    if len(pair) < 2 or at == 0:
        return False
    return bool(
        (pair.isalnum() and not re.fullmatch("[a-z][A-Z]", pair))
        or re.fullmatch(r"\d\.\d", text[at - 1 : at + 2])
        or re.fullmatch(r"\d\.\d", text[max(at - 2, 0) : at + 1])
    )


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
    places = {int(n) for n in re.findall(rb"^ item-(\d+)", found[0], re.MULTILINE)}
    assert {101, 200} <= places


def test_the_first_row_of_every_kind_is_kept() -> None:
    twelve = [row | {"kind": f"k{i // 60}"} for i, row in enumerate(rows_of(700))]
    assert {*range(60, 700, 60)} <= set(shown(twelve))
    thirteen = [row | {"kind": f"k{i * 7 % 13 if i > 12 else 0}"} for i, row in enumerate(rows_of(300))]
    assert shown(thirteen) == expected(300)
    long = [row | {"kind": f"{i // 27} of many words that make it long"} for i, row in enumerate(rows_of(300))]
    assert shown(long) == expected(300)


def test_all_rows_of_a_rare_value_are_kept() -> None:
    def kinds(count: int, *odd: int) -> list[dict[str, Any]]:
        return [row | {"kind": "k-rare" if i in odd else f"k{i % count}"} for i, row in enumerate(rows_of(400))]

    assert {100, 210, 320} <= set(shown(kinds(40, 100, 210, 320)))
    assert not {330, 360} & set(shown(kinds(9, *range(120, 400, 30)))), "ten rows are not rare"
    assert 210 not in shown(kinds(48, 210)), "so many values are no kinds"


def test_the_first_row_of_every_set_of_keys_is_kept() -> None:
    rows = rows_of(300)
    del rows[100]["note"]
    del rows[150]["note"]
    rows[200]["extra"] = {"a": "x"}
    rows[210]["extra"] = {"b": "y"}
    assert shown(rows) == expected(300, 100, 200, 210)


@pytest.mark.parametrize(("count", "room"), [(300, 24), (640, 40), (960, 60), (3000, 60)])
def test_a_sixteenth_is_kept_and_every_kind_of_sign_gets_its_share(count: int, room: int) -> None:
    errors = {i: f"{word} at last" for i in range(100, 280, 10) for word in ("failed" if i % 4 else "fatal",)}
    rows = rows_of(count, note=errors)
    for i in range(count):
        rows[i]["size"] = i * 37 % 50
    rows[290]["size"] = 7000
    rows[285]["size"] = -7000
    found = {*shown(rows)}
    assert {290, 285} <= found
    assert len(found & {*errors}) >= min((room - 12) // 4, len(errors))
    assert room / 2 < len(found) <= room + 10, "and a few to close short runs"


def test_a_group_of_values_that_many_rows_share_leaves_room_for_the_others() -> None:
    errors = dict.fromkeys(range(100, 340, 12), "failed")
    found = shown(rows_of(600, note=errors, place={450: "the needle"}), b"needle")
    assert 450 in found
    assert len({*errors} & {*found}) >= 15
    many = dict.fromkeys(range(100, 500, 5), "failed")
    assert {*shown(rows_of(600, note=many))} & {*many} == {100, 105, 110, 115}, "too many to be a sign"


def test_short_runs_stay_and_what_would_leave_out_less_than_half_leaves_nothing_out() -> None:
    assert shown(rows_of(300, note={11: "error", 16: "error"})) == expected(300, 11, 16)
    assert 9 in expected(300, 11)
    assert shown(rows_of(100), *(f"item-{i:05d}".encode() for i in range(10, 96, 2))) == [*range(100)]


def test_nothing_is_left_out_where_most_rows_or_most_of_the_text_would_stay() -> None:
    rows = rows_of(100)
    for i in range(60, 96):
        rows[i]["note"] = f"as delivered {i} " + "word " * 60
    assert len(shown(rows, *(f"item-{i:05d}".encode() for i in range(8, 48)))) == 100
    assert len(shown(rows, *(f"item-{i:05d}".encode() for i in range(8, 38)))) < 50
    rows = rows_of(100, note={3: "a long story " * 2000})
    assert len(shown(rows)) == 100


def test_nothing_is_left_out_of_a_list_where_most_of_its_text_would_stay() -> None:
    values = [f"a long beginning {'x' * 9000} {i}" if i < 8 else f"v{i}" for i in range(3000)]
    found = crush(json.dumps({"rows": values}).encode(), ref=b"r")
    assert found is not None
    assert not found[1]
    assert b"v1500" in found[0]


def test_small_tables_are_left_whole() -> None:
    def long_rows(count: int) -> list[dict[str, Any]]:
        return [row | {"text": f"{i} {'word ' * 100}"} for i, row in enumerate(rows_of(count))]

    assert len(shown(rows_of(40))) == 40
    assert len(shown(long_rows(23))) == 23
    assert len(shown(long_rows(24))) == 12


def test_parts_of_several_tables_are_numbered() -> None:
    document = {"a": rows_of(200), "b": [[rows_of(10)], {"in a string": json.dumps(rows_of(200), indent=2)}], "c": 1}
    found = crush(json.dumps(document).encode(), ref=b"r")
    assert found is not None
    runs = [(match[1], match[2], match[3]) for match in MARKER.finditer(found[0].decode())]
    assert runs == [("r", part, rows) for part in "12" for rows in ("56", "63", "67")]
    assert [(number, count) for number, count, _ in found[1]] == [(1, 186), (2, 186)]
    assert same(restored(found, "r"), json.dumps(document))


def sheet(columns: str, lines: int) -> list[dict[str, Any]]:
    """The cells of a sheet, line by line."""
    return [
        {"address": f"{column}{line + 1}", "value": f"some words for {column} and others for {line}", "validation": None}
        for line in range(lines)
        for column in columns
    ]


@pytest.mark.parametrize("columns", ["AB", "ABCDE"])
def test_the_cells_of_a_sheet_all_stay(columns: str) -> None:
    cells = sheet(columns, 150)
    for document in (cells, {cell["address"]: cell for cell in cells}):
        found = crush(json.dumps(document).encode(), ref=b"r")
        assert found is not None
        assert found[1] == []


@pytest.mark.parametrize("name", ["A{0}", "T{0}", "B{1}", "AB0{0}", "ABCD{1}", "A{1}x", "{0}"])
def test_other_names_are_no_places_of_cells(name: str) -> None:
    rows = [row | {"id": name.format(i, i // 2)} for i, row in enumerate(sheet("AB", 200))]
    document = [{"id": row["id"], "value": row["value"]} for row in rows]
    found = crush(json.dumps(document).encode(), ref=b"r")
    assert found is not None
    assert len(found[1]) == 1


def test_parts_stand_at_the_left_margin_whatever_stands_below_their_rows() -> None:
    rows = rows_of(120)
    for i, row in enumerate(rows):
        row["text"] = f"line {i}\n  indented\n"
        row["json"] = json.dumps([{"n": i, "m": j, "w": "some words in it"} for j in range(4)] + [[f"x\n y{i}"]], indent=2)
        row["user"] = {"login": f"user{i % 3}", "name": "Some One", "site": "https://example.com/some/one"}
    document = json.dumps({"deep": {"rows": rows}})
    found = crush(document.encode(), ref=b"r")
    assert found is not None
    assert len(found[1]) == 1
    assert same(restored(found, "r"), document)


def test_rows_of_one_group_are_left_out_together() -> None:
    rows = rows_of(400)
    groups = [rows[:10], [], rows[10:200], rows[200:203], rows[203:], []]
    document = json.dumps({"pages": groups})
    found = crush(document.encode(), ref=b"r")
    assert found is not None
    lines = found[0].decode().split("\n")
    assert [line for line in lines if re.fullmatch(r" \[\d+\]", line)] == [" [10]", " [0]", " [190]", " [3]", " [197]", " [0]"]
    assert found[1][0][2].decode().split("\n")[1].startswith(f"[{found[1][0][1]}]: id")
    assert same(restored(found, "r"), document)


@pytest.mark.parametrize("around", ["", '{{"rows":{}}}', '{{"a":{{"b":{}}},"c":1}}'], ids=["top", "member", "deep"])
@pytest.mark.parametrize("gap", [3, 20, 299], ids=["kept", "left", "last"])
def test_rows_with_an_empty_cell_or_lines_below_them_come_back_and_only_their_text_has_the_note(around: str, gap: int) -> None:
    value = json.dumps([{"part": f"p-{k}", "state": {"open": k % 3 == 0, "by": "nobody in particular"}} for k in range(4)])
    rows = rows_of(300, note={i: f"first of {i}\n  second\n\nthird" if i % 4 else value for i in range(12, 290, 2)})
    for i in {gap, 3}:
        del rows[i]["place"]
    document = (around or "{}").format(json.dumps(rows))
    found = crush(document.encode(), ref=b"r")
    assert found is not None
    [(_, _, part)] = found[1]
    assert same(restored(found, "r"), document)
    assert found[0].decode().split("\n")[0] == head("json", GAPS, OMISSIONS)
    assert part.decode().split("\n")[0] == head("json", *([GAPS] if gap == 20 else []))


@pytest.mark.parametrize("count", [30, 300], ids=["all stay", "some stay"])
def test_empty_cells_below_the_rows_of_a_list_are_noted_in_its_head(count: int) -> None:
    inner = [{"part": f"p-{k}", "by": "nobody in particular"} if k % 2 else {"part": "some part or other"} for k in range(6)]
    values = [json.dumps(inner) if i == 2 else f"element {i} of several words" for i in range(count)]
    document = json.dumps({"values": values})
    found = crush(document.encode(), ref=b"r")
    assert found is not None
    assert found[0].decode().split("\n")[0] == head("json", *([GAPS, OMISSIONS] if count == 300 else [GAPS]))
    assert same(restored(found, "r"), document)


def test_objects_under_keys_are_found_by_their_keys() -> None:
    document = json.dumps({f"key-{i:04d}": row | {"id": i * 7 % 400} for i, row in enumerate(rows_of(400))})
    found = crush(document.encode(), ref=b"r", needles=[b"KEY-0222"])
    assert found is not None
    assert re.search(r"^key-0222\t", found[0].decode(), re.MULTILINE)
    assert same(restored(found, "r"), document)


@pytest.mark.parametrize(
    "values",
    [
        [f"{i} of several words and more" for i in range(400)],
        [100 + i % 40 for i in range(3000)],
        [f"src/{i % 7}/file_{i}.py" for i in range(700)],
        [i / 8 for i in range(2000)],
    ],
    ids=["texts", "numbers", "paths", "ramp"],
)
def test_scalars_get_the_same_care(values: list[Any]) -> None:
    odd = list(values)
    odd[333] = 99_999 if isinstance(values[0], int | float) else "fatal: no such word"
    document = json.dumps({"values": odd})
    found = crush(document.encode(), ref=b"r", needles=[str(odd[222]).encode()])
    assert found is not None
    lines = found[0].decode().split("\n")
    assert f" {odd[333]}" in lines
    assert f" {odd[222]}" in lines
    assert len(lines) <= len(odd) / 10
    assert all("rows left out: " in line for line in lines if "<<ccr:" in line) or isinstance(values[0], str)
    assert same(restored(found, "r"), document)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(long_tables(), st.lists(st.binary(min_size=1, max_size=5), max_size=5))
def test_text_and_parts_together_hold_all_rows(document: str, needles: list[bytes]) -> None:
    found = crush(document.encode(), ref=b"abc_1.x", needles=needles)
    assert found is not None
    assert [number for number, _, _ in found[1]] == list(range(1, len(found[1]) + 1))
    assert same(restored(found, "abc_1.x"), document)
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
