"""Lists, tuples and dicts as Python prints them stand as tables and members, in Python's words, and come back byte for byte."""

import datetime as dt
import json
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headroom_asgi._crush import crush, expand
from headroom_asgi.errors import ExpandError
from tests.crush_reference import RAWS, decode, head


def crushed(text: str) -> str:
    """The crush text of a text, for which both readers give the same; the text itself where it has none."""
    found = crush(text.encode())
    if found is None:
        return text
    short = found[0].decode()
    if short.startswith(("[json", "[text")):
        assert expand(found[0]).decode() == decode(short)
    if short.startswith(("[jsonpy", "[text")):
        assert decode(short) == text
    return short


DAY = dt.datetime(2024, 5, 24, 12, 30)  # noqa: DTZ001 - as databases give them
ROWS: list[tuple[Any, ...]] = [(1, "Aruba", None, 0.5), (2, "O'Neil", True, 1e-07), (3, "both ' and \"", False, 10**30)]


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        (
            ROWS * 3,
            ["[jsonpyt]", "[9][4]:", "1\tAruba\tNone\t0.5", "2\tO'Neil\tTrue\t1e-07", "3\tboth ' and \"\tFalse\t1" + "0" * 30],
        ),
        ([("North America",), ("Asia",)] * 9, ["[jsonpyt]", "[18][1]:", "North America", "Asia"]),
        ([["North America", 1], ["Asia", 2]] * 9, ["[jsonpy]", "[18][2]:", "North America\t1", "Asia\t2"]),
        ([{"id": n, "name": f"n {n}"} for n in range(9)], ["[jsonpy]", "[9]: id\tname", "0\tn 0", "1\tn 1"]),
        (
            [(n, None, "two\nlines", True, "and what else there is", None) for n in range(9)],
            ["[jsonpyt]", "[9][6]: 1\t2=None\t3\t4=True\t5=and what else there is\t6=None", '0\t"""', "two", "lines", '"""'],
        ),
        (
            [(n, DAY, Decimal("1.50"), UUID(int=n), float("nan")) for n in range(9)],
            ["[jsonpyt]", f"[9][5]: 1\t2={DAY!r}\t3=Decimal('1.50')\t4\t5=nan", f"0\t{UUID(int=0)!r}"],
        ),
    ],
)
def test_what_python_prints_is_a_table(value: Any, lines: list[str]) -> None:
    assert crushed(repr(value)).split("\n")[: len(lines)] == lines


def test_a_dict_has_members_and_stands_in_a_string_of_json_too() -> None:
    value = {"ads": [], "total": None, "rows": [{"id": n, "name": f"n {n}"} for n in range(9)]}
    lines = "ads: []\ntotal: None\nrows [9]: id\tname\n 0\tn 0\n"
    assert crushed(repr(value)).startswith(f"[jsonpy]\n{lines}")
    short = crushed(json.dumps({"error": "", "response": repr(value)}))
    assert short.startswith(f"{head('json in {error: ' + chr(34) * 2 + ', response: (jsonpy)}')}\n{lines}")


CONSTANTS = "a: None\nb: [True, False, None ×4]\nc: {d: None}\n"
MIXED = {"a": None, "b": [True, False, None, None, None, None], "c": {"d": None}, "words": "w" * 60}


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        (
            [None] * 3 + [True, False] + [f"a line of text, (number {n})" for n in range(40)],
            "[jsonpy]\n[45]=\nNone\nNone\nNone\nTrue\nFalse",
        ),
        ([{"id": n, "a": None, "b": True, "c": True} for n in range(9)], "[jsonpy]\n[9]: id\ta=None\tb, c=True\n0"),
        (
            [{"id": n, "a": n % 2 == 0 or None, "l": [None, n]} for n in range(9)],
            "[jsonpy]\n[9]: id\ta\tl\n0\tTrue\t[None,0]\n1\tNone\t",
        ),
        (
            [{"id": n, "t": [{"k": n, "v": None}, {"k": n, "v": False}]} for n in range(9)],
            "[jsonpy]\n[9]: id\tt[k, v]\n0\t(0, None) (0, False)\n1",
        ),
        (
            {"one": None, "two": None, "list": [{"id": n, "a": None} for n in range(30)]},
            "[jsonpy]\none, two: None\nlist [30]: id\ta=None\n 0",
        ),
        ([MIXED, [None]] * 3, "[jsonpy]\n-\n " + CONSTANTS.replace("\n", "\n ").replace("c: {d: None}", "c.d: None")),
    ],
)
def test_constants_are_spelled_as_python_does_wherever_they_stand(value: Any, lines: str) -> None:
    assert crushed(repr(value)).startswith(lines)


def test_the_words_are_those_of_the_text_that_they_stand_in() -> None:
    inner = json.dumps({"x": None, "more": [None, True] * 9 + ["y" * 30] * 9})
    short = crushed(json.dumps({"ok": True, "response": repr({"a": None, "inner": inner, "z": False}), "error": None}))
    assert short.startswith(
        "[json in {ok: true, response: (jsonpy), error: null}]\na: None\ninner (jsonp):\n x: null\n more: [null, true, null"
    )
    assert short.endswith("\nz: False")


def test_strings_that_are_words_for_constants_are_quoted() -> None:
    words = ["None", "null", "none", "True", "true", "FALSE", " None ", "", "Nones", "nothing"]
    shown = ['"None"', '"null"', "none", '"True"', '"true"', '"FALSE"', '" None "', '""', "Nones", "nothing"]
    rows = [(None, *words)] * 9
    columns = "\t".join(f"{number}={word}" for number, word in enumerate(shown, 3))
    assert crushed(repr([(n, *row) for n, row in enumerate(rows)])).split("\n")[1] == f"[9][12]: 1\t2=None\t{columns}"


def test_readers_take_only_the_words_of_the_style() -> None:
    for style, word, other in (("jsonpy", "None", "null"), ("jsonpyt", "True", "true"), ("jsonpy", "False", "false")):
        text = f"[{style}]\na: {word}\n{other}: {other}\nb: [{word}, {other}]"
        assert (
            expand(text.encode()).decode()
            == decode(text)
            == f"{{'a': {word}, '{other}': '{other}', 'b': "
            + (f"({word}, '{other}')}}" if style == "jsonpyt" else f"[{word}, '{other}']}}")
        )
        for key, kind in ((word, style), (other, "json")):
            with pytest.raises(ExpandError):
                expand(f"[{kind}]\n{key}: 1".encode())
            with pytest.raises(ValueError, match="quoted"):
                decode(f"[{kind}]\n{key}: 1")


def test_rows_that_are_left_out_are_spelled_like_those_that_stay() -> None:
    rows = [(n, f"the name of number {n} in a long list", None if n % 3 else True) for n in range(400)]
    found = crush(repr(rows).encode(), ref=b"r")
    assert found is not None
    text, [(_, _, part)] = found
    assert b"; [2] None \xc3\x97" in text
    assert part.startswith(b"[jsonpyt]\n[")
    assert b"\tNone\n" in part
    assert b"null" not in text + part
    assert expand(part).decode() == decode(part.decode())
    assert ", None), (" in expand(part).decode()


def test_it_is_a_block_among_other_text() -> None:
    rows = repr([(n, f"name {n}") for n in range(60)])
    assert crushed(f"Result: {rows}\ndone\n").startswith(head("text", RAWS) + "\nResult: ⟦jsonpyt⟧\n[60][2]:\n0\tname 0\n")
    assert crushed(f"Result:\n{rows}\ndone\n").endswith("\n59\tname 59\n⟦end⟧\ndone\n")


@pytest.mark.parametrize(
    "text",
    [
        repr([("char(3)", ["a"], "NO")] * 20),  # lists in tuples
        repr([("a.b(3)", "NO")] * 20),  # a string that reads like a call
        repr([("nan", "inf")] * 20),
        repr([(b"bytes", 1)] * 20),
        repr([({1, 2}, 1)] * 20),
        repr([{1: "a", 2: "b"}] * 20),
        repr([("a", 1)] * 20)[:-1],
        repr([("a", 1)] * 20).replace(", ", ","),
        repr([("a", 1)] * 20).replace("'", '"'),
    ],
)
def test_what_no_style_spells_stays_as_it_is(text: str) -> None:
    assert "jsonpy" not in crushed(text)


def test_strings_that_read_like_types_of_sql_are_strings() -> None:
    rows = [("Code", "char(3)", "NO"), ("Name", "varchar(52)", "YES")] * 9
    assert "\nCode\tchar(3)\tNO\n" in crushed(repr(rows))


SCALARS = (
    st.none()
    | st.booleans()
    | st.sampled_from(["None", "True", "False", "null", "true", " None ", "none", ""])
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["nan", "it's", 'a "b"', "a.b(1)", "x" * 30, "two\nlines", "\xa0\u2028\ufeff"])
    | st.dates()
    | st.decimals()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=5) | st.sampled_from(["None", "null", "True"]) | st.integers(), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(VALUES, st.integers(1, 20), st.sampled_from(["", "Result: ", "Result:\n"]), st.sampled_from(["", "\n", "\ndone"]))
def test_any_value_comes_back(value: Any, times: int, before: str, behind: str) -> None:
    text = f"{before}{[value] * times!r}{behind}"
    crushed(text.encode(errors="replace").decode())


CONSTANT_LIKE = st.sampled_from([None, True, False, "None", "True", "null", "false", " None ", "none", "", 5])
RECORDS = st.lists(
    st.fixed_dictionaries({"id": st.integers(), "a": CONSTANT_LIKE, "b": st.lists(CONSTANT_LIKE, max_size=6)}), min_size=2
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(CONSTANT_LIKE, RECORDS, st.lists(st.tuples(CONSTANT_LIKE, CONSTANT_LIKE, st.none()), min_size=2))
def test_constants_and_strings_like_them_come_back(
    value: Any, records: list[dict[str, Any]], rows: list[tuple[Any, ...]]
) -> None:
    for whole in ({"v": value, "records": records, "None": rows}, rows * 9, records * 9, [[*row] for row in rows] * 9):
        crushed(repr(whole))
        crushed(json.dumps({"text": repr(whole), "v": value, "null": None}))


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(st.tuples(st.text(), st.integers(), st.text(st.sampled_from("ab'\"\\\n\té(). ")))), st.integers(0, 4))
def test_rows_of_a_database_come_back(rows: list[tuple[str, int, str]], more: int) -> None:
    text = repr(rows + [("a name of some length", 1, "it's")] * more * 4)
    crushed(text.encode(errors="replace").decode())
