"""Lists, tuples and dicts as Python prints them stand as tables and members, and come back byte for byte."""

import datetime as dt
import json
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headroom_asgi._crush import crush, expand
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
            ["[jsonpyt]", "[9][4]:", "1\tAruba\tnull\t0.5", "2\tO'Neil\ttrue\t1e-07", "3\tboth ' and \"\tfalse\t1" + "0" * 30],
        ),
        ([("North America",), ("Asia",)] * 9, ["[jsonpyt]", "[18][1]:", "North America", "Asia"]),
        ([["North America", 1], ["Asia", 2]] * 9, ["[jsonpy]", "[18][2]:", "North America\t1", "Asia\t2"]),
        ([{"id": n, "name": f"n {n}"} for n in range(9)], ["[jsonpy]", "[9]: id\tname", "0\tn 0", "1\tn 1"]),
        (
            [(n, None, "two\nlines", True, "and what else there is", None) for n in range(9)],
            ["[jsonpyt]", "[9][6]: 1\t2=null\t3\t4=true\t5=and what else there is\t6=null", '0\t"""', "two", "lines", '"""'],
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
    lines = "ads: []\ntotal: null\nrows [9]: id\tname\n 0\tn 0\n"
    assert crushed(repr(value)).startswith(f"[jsonpy]\n{lines}")
    short = crushed(json.dumps({"error": "", "response": repr(value)}))
    assert short.startswith(f"{head('json in {error: ' + chr(34) * 2 + ', response: (jsonpy)}')}\n{lines}")


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
        | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(VALUES, st.integers(1, 20), st.sampled_from(["", "Result: ", "Result:\n"]), st.sampled_from(["", "\n", "\ndone"]))
def test_any_value_comes_back(value: Any, times: int, before: str, behind: str) -> None:
    text = f"{before}{[value] * times!r}{behind}"
    crushed(text.encode(errors="replace").decode())


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(st.tuples(st.text(), st.integers(), st.text(st.sampled_from("ab'\"\\\n\té(). ")))), st.integers(0, 4))
def test_rows_of_a_database_come_back(rows: list[tuple[str, int, str]], more: int) -> None:
    text = repr(rows + [("a name of some length", 1, "it's")] * more * 4)
    crushed(text.encode(errors="replace").decode())
