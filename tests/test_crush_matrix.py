"""What is the same in every row of a list of lists of scalars stands in its head, by the number of its column."""

import json
from typing import Any

import pytest

from headroom_asgi._crush import crush, expand
from headroom_asgi.errors import ExpandError
from headroom_asgi.retrieval.excerpt import excerpt
from tests.crush_many import outcome
from tests.crush_reference import decode, head
from tests.json_exact import same


def crushed(text: str) -> str:
    """The crush text of a text that is known to have one; both readers turn it back into the text, or its value."""
    found = crush(text.encode())
    assert found is not None
    short = found[0].decode()
    assert expand(found[0]).decode() == decode(short)
    assert decode(short) == text or same(decode(short), text)
    return short


def listed(count: int, *columns: Any) -> list[list[Any]]:
    """Rows whose columns are values, or functions of the row's number."""
    return [[column(number) if callable(column) else column for column in columns] for number in range(count)]


def name(number: int) -> str:
    return f"table_{number}"


def test_what_an_sql_agent_prints_says_once_what_all_rows_have() -> None:
    rows = [("def", "shop", name(n), "BASE TABLE", None, 10, n * 7, None, None, "") for n in range(12)]
    text = repr(rows)
    assert crushed(text).split("\n")[:4] == [
        "[jsonpyt]",
        '[12][10]: 1=def\t2=shop\t3\t4=BASE TABLE\t5=None\t6=10\t7\t8, 9=None\t10=""',
        "table_0\t0",
        "table_1\t7",
    ]


@pytest.mark.parametrize(("count", "pays"), [(5, False), (6, False), (7, True), (30, True)])
def test_what_is_the_same_in_all_rows_is_said_in_the_head_where_that_pays(count: int, pays: bool) -> None:
    first = crushed(json.dumps({"rows": listed(count, name, "a few words", lambda n: n * n), "note": "line\n" * 40})).split("\n")[
        1
    ]
    assert first == (f"rows [{count}][3]: 1\t2=a few words\t3" if pays else f"rows [{count}][3]:")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "null"),
        (True, "true"),
        (1.5, "1.5"),
        ("", '""'),
        ("1.5", '"1.5"'),
        ("a * b", '"a * b"'),
        ("(x) y", '"(x) y"'),
        ("=x", '"=x"'),
        ("[x] y", '"[x] y"'),
        ("a\tb", '"a\\tb"'),
        ("a, b", "a, b"),
    ],
)
def test_values_in_the_head_stand_as_constants_of_records_do(value: object, shown: str) -> None:
    lines = crushed(json.dumps(listed(20, value, name))).split("\n")
    assert lines[1:3] == [f"[20][2]: 1={shown}\t2", "table_0"]


@pytest.mark.parametrize("last", ["a few other words", 5, None, "a few words\nmore"])
def test_a_column_with_another_value_somewhere_has_cells(last: object) -> None:
    rows = listed(20, name, "a few words")
    rows[-1][1] = last
    assert crushed(json.dumps(rows)).split("\n")[1] == "[20][2]:"


def test_lines_are_no_constants_and_not_every_column_is_one() -> None:
    lines = crushed(repr(listed(20, "one\ntwo", "and more", name))).split("\n")
    assert lines[1:3] == ["[20][3]: 1\t2=and more\t3", '"""\ttable_0']
    lines = crushed(json.dumps(listed(20, "first words of a row", "words", 5))).split("\n")
    assert lines[1:] == ["[20][3]: 1\t2=words\t3=5", *["first words of a row"] * 20]


def test_rows_that_are_left_out_have_the_same_head() -> None:
    text = json.dumps(listed(900, "def", name, lambda n: n * 7919 % 1000, None))
    found = crush(text.encode(), ref=b"r")
    assert found is not None
    short, [(number, count, part)] = found
    assert short.startswith(b"[json; ") and b"\n[900][4]: 1=def\t2\t3\t4=null\ntable_0\t0\n" in short
    assert part.startswith(f"[json]\n[{count}][4]: 1=def\t2\t3\t4=null\n".encode())
    assert same(decode(short.decode(), {f"r-{number}": part.decode()}), text)
    marker = next(line for line in short.decode().split("\n") if line.startswith("<<ccr:"))
    assert marker.startswith("<<ccr:r-1 ")


def test_inside_of_other_values() -> None:
    text = json.dumps({"query": "SHOW TABLES", "rows": listed(30, "def", name, None), "more": False})
    assert "\nrows [30][3]: 1=def\t2\t3=null\n table_0\n" in crushed(text)


@pytest.mark.parametrize("query", ["table_17", "2=table_17", "3=119"])
def test_a_search_finds_rows_by_what_stands_in_a_column_and_shows_what_all_have(query: str) -> None:
    text = crushed(json.dumps(listed(40, "def", name, lambda n: n * 7, None)))
    found = excerpt(text, query, text).text
    assert "\n[40][4]: 1=def\t2\t3\t4=null\ntable_17\t119" in found
    assert "table_18" not in found


@pytest.mark.parametrize(
    "columns",
    [
        "1=a",
        "1=a\t2=b",
        "1\t2\t3",
        "2=a\t1",
        "1=a\t1",
        "1=a\t3",
        "01=a\t2",
        "1, 2",
        "1,2=a",
        "1, 2=a",
        "1=a\t",
        "1=a",
        "",
        " 1=a\t2",
        "1 =a\t2",
        "1=a*\t2",
        "1=(a\t2",
        "1=[a]\t2",
        "1=[]\t2",
        "1={}\t2",
        "1=\t2",
        '1="""\t2',
        "a=1\t2",
        "1(a)\t2",
        "1[a]\t2",
        "1.2=a\t2",
    ],
)
def test_readers_refuse_other_columns(columns: str) -> None:
    assert outcome(f"{head()}\n[2][2]: {columns}\nx\ny") == (None, None)


def test_readers_read_what_the_writer_would_not_write() -> None:
    for text, value in (
        ("[2][2]: 1=a\t2\nx\ny", '[["a","x"],["a","y"]]'),
        ("[2][2]: 1\t2\nx\ty\nz\t1", '[["x","y"],["z",1]]'),
        ('[2][3]: 1, 2="*"\t3\n"x"\ny', '[["*","*","x"],["*","*","y"]]'),
        ("[2][3]: 1=a\t2=a\t3\nx\ny", '[["a","a","x"],["a","a","y"]]'),
    ):
        assert outcome(f"{head()}\n{text}") == (value, value)


def test_what_the_head_says_is_not_repeated_without_end() -> None:
    numbers = ", ".join(map(str, range(1, 256)))
    text = f'{head()}\n[9000][256]: {numbers}="{"x" * 9000}"\t256' + "\n1" * 9000
    with pytest.raises(ExpandError, match="256 MiB"):
        expand(text.encode())
