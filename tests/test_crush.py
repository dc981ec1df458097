"""crush: whatever it writes reads back as the value it was given, rows that are left out are in its parts, and no input harms it."""

import gzip
import itertools
import json
import os
import random
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from crush_reference import decode
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from json_exact import same, tokens

from headroom_asgi._crush import crush, estimate

HEAD = "[json]"
HEAD_EMPTY = "[json; empty cell = no such key]"
HEAD_OMISSIONS = "[json; empty cell = no such key; rows left out: call headroom_retrieve with the ref in the <<ccr:...>> line]"
MARKER = re.compile(r"^ *<<ccr:([\w.-]+)-(\d+) (\d+) rows left out>>$", re.MULTILINE)
CORPUS = Path(os.environ.get("HEADROOM_CORPUS", Path(__file__).parents[2] / "shared" / "corpus"))

# ------------------------------------------------------------------------------------------ JSON texts of every kind

ODD_NAMES = (
    *(
        "id",
        "name",
        "kind",
        "a",
        "b",
        "a.b",
        "a,b",
        "x y",
        " lead",
        "trail ",
        "",
        "null",
        "true",
        "5",
        "1.5e3",
        "-",
        "- x",
        "#h",
        "'q",
    ),
    *(
        '"',
        "k\nl",
        "k\tl",
        "é",
        "日本",
        "\u2028",
        "\x85",
        "\ud800",
        "=",
        "[1]",
        "{}",
        "(json)",
        "<<ccr:x",
        "a:b",
        "\x7f",
        "007",
        "a|b*",
    ),
)
ODD_STRINGS = (
    *ODD_NAMES,
    *(
        "two\nlines",
        'marks\n"""\n""""\nx',
        "\n",
        "a\n",
        "\na",
        "\n\n",
        '"""\n"""',
        "cr\r\nlf",
        "tab\tin",
        "tab\nand\tlf",
        "del\x7f\nx",
    ),
    *(
        "sep\u2028\nx",
        "\ud800\nx",
        "nel\x85\nx",
        "NaN",
        "1e5",
        "-0",
        "0x1",
        "01",
        "2024-05-24",
        "12:30",
        "http://x.y/z?q=1&r=%20",
        "-5",
        "-x",
    ),
    *(
        "(json): [1]",
        "(json2) x",
        "[2]: a\tb",
        "```",
        "% x",
        "@a",
        "a ] b",
        "a, b",
        "key: value",
        "\U0001f600",
        "\ud83d",
        "<<ccr:a-1 4 rows left out>>",
    ),
    *(" ", "\t", '{"a":1}', "[1,2]", '[1, "x"]\n', "{}", "[]", "[ ]", '{\n "a": 1\n}', '{"a":1,"a":2}', "x" * 70),
)
NUMBERS = ("0", "-0", "1", "1.0", "1e400", "-1E+5", "12345678901234567890123", "0.10", "3.14159", "-7", "1e-7")
ALPHABET = "ab xyz019.,:;=-_/\\\"'(){}[]\n\t\ré\u2028\ud800😀"


def spell_string(text: str, escapes: str) -> str:
    """A JSON string literal: escapes `ascii`, `raw` (where UTF-8 allows) or `all`."""
    if escapes == "all":
        units = text.encode("utf-16-be", "surrogatepass")
        return '"' + "".join(f"\\u{units[i] << 8 | units[i + 1]:04X}" for i in range(0, len(units), 2)) + '"'
    literal = json.dumps(text, ensure_ascii=escapes == "ascii")
    return re.sub("[\ud800-\udfff]", lambda match: f"\\u{ord(match[0]):04x}", literal)


spellings = st.sampled_from(["ascii", "raw", "raw", "all"])
names = st.one_of(st.sampled_from(ODD_NAMES[:6]), st.sampled_from(ODD_NAMES), st.text(ALPHABET, max_size=4))
texts = st.one_of(st.sampled_from(ODD_STRINGS), st.text(ALPHABET, max_size=12), st.text(max_size=6))
strings = st.builds(spell_string, texts, spellings)
scalars = st.one_of(strings, st.sampled_from(NUMBERS), st.sampled_from(["null", "true", "false", "{}", "[ ]", "{ }", "[]"]))


@st.composite
def objects(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    """An object; now and then with duplicate keys."""
    keys = draw(st.lists(names, max_size=4, unique=draw(st.integers(0, 5)) > 0))
    return "{" + ",".join(f"{spell_string(key, draw(spellings))}: {draw(values)}" for key in keys) + "}"


def arrays(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(values, max_size=4).map(lambda elements: "[" + " , ".join(elements) + "]")


@st.composite
def records(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    """An array of objects that mostly share their keys, some of them objects in turn, some constant, some missing or mixed."""
    keys = draw(st.lists(names, min_size=1, max_size=5, unique=True))
    kinds = {key: draw(st.sampled_from(["constant", "scalar", "nested", "any"])) for key in keys}
    constants = {key: draw(scalars) for key in keys}
    inner = {key: draw(st.lists(names, min_size=1, max_size=3, unique=True)) for key in keys}
    full = draw(st.integers(0, 2))

    def nested(key: str) -> str:
        if draw(st.integers(0, 3)) == 0:
            return draw(scalars)
        present = [name for name in inner[key] if draw(st.integers(0, 5)) < 5] or inner[key]
        return "{" + ",".join(f"{spell_string(name, draw(spellings))}:{draw(values)}" for name in present) + "}"

    make: dict[str, Callable[[str], str]] = {
        "constant": lambda key: constants[key],
        "scalar": lambda key: draw(scalars),
        "nested": nested,
        "any": lambda key: draw(values),
    }
    rows = []
    for _ in range(draw(st.integers(2, 6))):
        present = [key for key in keys if full or draw(st.booleans())] or keys[:1]
        if draw(st.integers(0, 30)) == 0:
            present.reverse()
        rows.append("{" + ",".join(f"{spell_string(key, draw(spellings))}:{make[kinds[key]](key)}" for key in present) + "}")
    return "[" + ", ".join(rows) + "]"


@st.composite
def json_in_strings(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    """A string that holds JSON: in one of the styles, or almost."""
    text = draw(values)
    value = json.loads(text)
    indent = draw(st.sampled_from([None, None, 1, 2, 3, 4]))
    separators = draw(st.sampled_from([None, (",", ":")])) if indent is None else None
    styled = json.dumps(value, ensure_ascii=draw(st.booleans()), indent=indent, separators=separators)
    inner = draw(st.sampled_from([styled, styled, styled, text, styled + " ", " " + styled]))
    return spell_string(inner + draw(st.sampled_from(["", "", "\n", "\n\n"])), draw(spellings))


values = st.recursive(
    scalars,
    lambda inner: st.one_of(arrays(inner), objects(inner), records(inner), json_in_strings(inner)),
    max_leaves=25,
)

# Small values are rarely worth a head line. Next to this table any of them is.
TABLE = "[" + ",".join(f'{{"identifier":{i},"description of it":"the same","other":null}}' for i in range(60)) + "]"
PLACES: tuple[Callable[[str], str], ...] = (
    lambda value: f'{{"v":{value},"table":{TABLE}}}',
    lambda value: f"[{value}, {TABLE}]",
    lambda value: f'{{"table":{TABLE},"deep":[[{value}],{{"x":{{"y":{value}}}}}]}}',
    lambda value: "[" + ",".join(f'{{"identifier":{i},"description of it":"the same","v":{value}}}' for i in range(30)) + "]",
    lambda value: spell_string("".join(tokens(f'{{"table":{TABLE},"v":{value}}}')), "raw"),
    lambda value: f'{{"string":{spell_string("".join(tokens(f"[{value},{TABLE}]")), "ascii")}}}',
)


def crushed(document: str) -> str:
    """The crush text of a document that is known to have one."""
    found = crush(document.encode())
    assert found is not None
    text, parts = found
    assert parts == []
    assert text.startswith(b"[json")
    return text.decode()


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(values, st.sampled_from(PLACES))
def test_reads_back_as_the_same_value(value: str, place: Callable[[str], str]) -> None:
    document = place(value)
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


def test_writes_the_example_of_the_grammar_page() -> None:
    document = """\
{"reservation_id":"UM3OG5","flights":[{"origin":"SEA","number":"HAT113","date":"2024-05-26","price":117,"cabin":{"class":"economy","seat":"3A"}},
 {"origin":"DFW","number":"HAT282","date":"2024-05-28","price":140,"cabin":{"class":"economy","seat":null}}],"tags":["a","b"],"note":"two\\nlines","empty":{}}"""
    assert crushed(document) == (
        "[json]\n"
        "reservation_id: UM3OG5\n"
        "flights [2]: origin\tnumber\tdate\tprice\tcabin.class=economy\tcabin.seat\n"
        " SEA\tHAT113\t2024-05-26\t117\t3A\n"
        " DFW\tHAT282\t2024-05-28\t140\tnull\n"
        "tags: [a, b]\n"
        'note: """\ntwo\nlines\n"""\n'
        "empty: {}"
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ('"x"', "v: x"),
        ('"5"', 'v: "5"'),
        ("5", "v:5"),
        ('"007"', "v: 007"),
        ('"- x"', 'v: "- x"'),
        ('"(json): a"', "v: (json): a"),
        ('"a: b, \\"c\\""', 'v: a: b, "c"'),
        ('"\\u2028"', 'v: "\u2028"'),
        ('"cr\\r\\nlf"', r'v: "cr\r\nlf"'),
        ('"a\\n\\"\\"\\""', 'v: """"\na\n"""\n""""'),
        ('{"a":{"b":1}}', "v:\n a:\n  b:1"),
        ('["a:b",1,2,"c, d",null]', 'v: ["a:b",1,2, "c, d", null]'),
        ("[[1,2],[],{}]", "v:\n - [1,2]\n - []\n - {}"),
        ('[5,"(x","a\\nb"]', 'v:\n - 5\n - "(x"\n - """\na\nb\n"""'),
        ('"{\\"a\\": [1, 2]}"', "v (jsonp):\n a: [1,2]"),
        ('"[\\n  1,\\n  \\"é\\"\\n]\\n"', "v (json2n): [1, é]"),
        ('[[{"a":1},{"a":2}],3]', "v:\n - [2]: a\n  1\n  2\n - 3"),
        ('[{"a":1,"b":{"c":[{"d":1}]}},{"a":2,"b":{"c":[]}}]', "v [2]: a\tb.c\n 1\t[{d:1}]\n 2\t[]"),
        ('[{"a":1,"b":null},{"a":2,"b":{"c":1}}]', "v [2]: a\tb\tb.c\n 1\tnull\t\n 2\t\t1"),
        ('[{"a":1,"c":1},{"b":2,"c":1},{"a":3,"b":4,"c":1}]', "v [3]: a\tb\tc=1\n 1\t\n \t2\n 3\t4"),
        ('[{"a":1,"b":2},{"a":1,"b":2}]', "v [2]: a\tb=2\n 1\n 1"),
        ('[{"a":1},{"a":1,"b":2}]', "v [2]: a\tb\n 1\t\n 1\t2"),
        ('[{"a":1,"b":2},{"b":2,"a":1}]', "v:\n -\n  a:1\n  b:2\n -\n  b:2\n  a:1"),
        ('[{"a":1,"a":2},{"a":3}]', "v:\n -\n  a:1\n  a:2\n -\n  a:3"),
        ('[{"a":"x\\ny","b":1},{"a":"\\"","b":2}]', 'v [2]: a\tb\n """\t1\nx\ny\n"""\n "\\""\t2'),
        ('[{"a":1.0},{"a":1}]', "v [2]: a\n 1.0\n 1"),
        ('[{"a.b":1},{"a.b":2}]', 'v [2]: "a.b"\n 1\n 2'),
    ],
)
def test_writes_each_form_as_the_grammar_says(value: str, text: str) -> None:
    found = crushed(f'{{"v":{value},"table":{TABLE}}}')
    head, _, rest = found.partition("\n")
    assert rest[: rest.index("\ntable [60]: ")] == text
    assert head == (HEAD_EMPTY if "\t\n" in text or " \t" in text else HEAD)


def test_a_wide_or_sparse_array_is_no_table() -> None:
    def rows(keys: Callable[[int], dict[str, int]], count: int) -> str:
        return "\n" + crushed(f'{{"v":{json.dumps([keys(i) for i in range(count)])},"table":{TABLE}}}')

    assert "\nv [2]: " in rows(lambda i: {f"k{k}": k + i for k in range(256)}, 2)
    assert "\nv:\n -\n  k0:0" in rows(lambda i: {f"k{k}": k + i for k in range(257)}, 2)
    assert "\nv [5]: " in rows(lambda i: {"a": i, f"k{i}": i, f"l{i}": i} if i < 2 else {"a": i, "b": i}, 5)
    assert "\nv:\n -\n  k0:0" in rows(lambda i: {f"k{i}": i}, 3)


@pytest.mark.parametrize("depth", [1, 2, 31, 63, 64, 65, 66, 5000])
@pytest.mark.parametrize("kinds", ["a", "o", "ao", "oa"])
def test_deep_nesting_is_written_to_64_levels_and_minified_beyond(depth: int, kinds: str) -> None:
    opened = "".join("[" if kind == "a" else '{"k":' for kind in itertools.islice(itertools.cycle(kinds), depth - 1))
    closed = "".join("]" if kind == "[" else "}" for kind in reversed([c for c in opened if c in "[{"]))
    pad = " " * 40_000
    document = f"{opened}{TABLE[:-1]}{pad}]{closed}"
    deepest = depth + 1
    found = crush(document.encode())
    assert found is not None
    assert found[0].startswith(b"[json]") == (deepest <= 64)
    assert same(decode(found[0].decode()) if deepest <= 64 else found[0], document)


def test_strings_of_json_count_as_nesting() -> None:
    inner = "[" * 40 + "]" * 40
    for outer in (10, 23, 24, 30):
        value = json.dumps(f'{{"x":{inner}}}')
        document = "[" * (outer - 1) + f"[{value},{TABLE}]" + "]" * (outer - 1)
        text = crushed(document)
        assert ("(json):" in text) == (outer + 41 <= 64)
        assert same(decode(text), document)


def test_strings_in_strings_are_opened_at_every_level() -> None:
    document = "{}"
    for _ in range(5):
        document = json.dumps({"next": document, "rows": json.loads(TABLE)})
    text = crushed(document)
    assert text.count("next (jsonp):") == 4
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


# ------------------------------------------------------------------------------------------ rows that are left out


def rows_of(count: int, **odd: dict[int, Any]) -> list[dict[str, Any]]:
    """Rows of which none stands out, but for what `odd` puts into a column of a row."""
    made = [
        {"id": f"item-{i:05d}", "place": f"shelf {i % 89} in hall {i % 7}", "note": f"as delivered on day {i % 97}", "lot": "A"}
        for i in range(count)
    ]
    for column, changes in odd.items():
        for i, value in changes.items():
            made[i][column] = value
    return made


def omitted(rows: list[dict[str, Any]], **options: Any) -> tuple[list[str], bytes]:
    """The ids of the rows that are in the text, and the text."""
    found = crush(json.dumps({"rows": rows}).encode(), ref=b"r0", **options)
    assert found is not None
    return re.findall(rb"^ (item-\d+)", found[0], re.MULTILINE) and [
        match.decode() for match in re.findall(rb"^ (item-\d+)", found[0], re.MULTILINE)
    ], found[0]


def ids(numbers: Iterator[int] | list[int]) -> list[str]:
    return [f"item-{i:05d}" for i in sorted(set(numbers))]


ENDS = [*range(8), *range(296, 300)]


def test_nothing_is_left_out_without_a_ref() -> None:
    document = json.dumps({"rows": rows_of(300)}).encode()
    found = crush(document, needles=[b"item-00042"])
    assert found is not None
    assert found[1] == []
    assert same(decode(found[0].decode()), document)


def test_first_and_last_rows_are_kept() -> None:
    kept, text = omitted(rows_of(300))
    assert kept == ids(ENDS)
    assert text.decode().split("\n", 1)[0] == HEAD_OMISSIONS
    assert MARKER.findall(text.decode()) == [("r0", "1", "288")]


@pytest.mark.parametrize(
    "value",
    [
        "error",
        "An ERROR occurred",
        "payment_failed",
        "ValueError: x",
        "HTTPException",
        "read timed out",
        "x\nfatal: y",
        ["ok", {"state": "denied"}],
    ],
)
def test_rows_that_tell_of_an_error_are_kept(value: Any) -> None:
    assert omitted(rows_of(300, note={100: value}))[0] == ids([*ENDS, 100])


@pytest.mark.parametrize(
    "value", ["terror", "errorless", "the mirror", {"error": "none"}, {"failed": False}, "timed, and out", "infallible"]
)
def test_words_that_only_look_like_errors_and_keys_do_not_count(value: Any) -> None:
    assert omitted(rows_of(300, note=dict.fromkeys(range(300), value) | {0: "x"}))[0] == ids(ENDS)


def test_constants_and_key_names_tell_nothing() -> None:
    rows = [row | {"error": "error", "failed": f"no {i}"} for i, row in enumerate(rows_of(300))]
    assert omitted(rows)[0] == ids(ENDS)


def test_rows_that_hold_a_needle_are_kept() -> None:
    rows = rows_of(300, note={150: "Zürich\tgate", 170: ["a", {"b": "deep NEEDLE here"}], 190: 4711.5})
    kept, _ = omitted(rows, needles=[b"ITEM-00123", "Zürich\tg".encode(), b"needle", b"711.", b"no", b"absent", b"", b"00\x00"])
    assert kept == ids([*ENDS, 123, 150, 170, 190])


@given(st.lists(st.text("abc", min_size=3, max_size=6), max_size=30), st.integers(0, 2**32))
def test_needles_are_found_as_a_plain_search_finds_them(needles: list[str], seed: int) -> None:
    rng = random.Random(seed)
    rows = rows_of(120)
    for row in rows:
        row["note"] = "".join(rng.choice("abcx") for _ in range(rng.randrange(40))) + " filler to make it long enough"
    kept, _ = omitted(rows, needles=[needle.encode() for needle in needles]) or ([], b"")
    with_needle = [i for i, row in enumerate(rows) if any(needle in row["note"] for needle in needles)]
    for i in with_needle[:40]:
        assert f"item-{i:05d}" in kept


@pytest.mark.parametrize(
    ("least", "greatest"),
    [("-1e3", "5E10"), ("-0.001", "1e400"), ("1.00001", "9.99"), ("1.0", "123456789012345678901234"), ("-1e-400", "10")],
)
def test_rows_with_the_least_and_greatest_number_are_kept(least: str, greatest: str) -> None:
    spelled = {101: least, 103: least, 200: greatest, 240: greatest, 250: "null"}
    rows = [row | {"size": 0} for row in rows_of(300)]
    text = (
        "["
        + ",".join(
            json.dumps(row).replace('"size": 0', f'"size": {spelled.get(i, f"{i % 79 / 50 + 2:.3f}")}')
            for i, row in enumerate(rows)
        )
        + "]"
    )
    found = crush(f'{{"rows":{text}}}'.encode(), ref=b"r")
    assert found is not None
    assert re.findall(rb"^ item-(\d+)", found[0], re.MULTILINE) == [f"{i:05d}".encode() for i in (*ENDS[:8], 101, 200, *ENDS[8:])]


def test_the_first_row_of_every_kind_is_kept() -> None:
    kinds = [row | {"kind": f"k{i // 27}" if i > 30 else "k0"} for i, row in enumerate(rows_of(300))]
    assert omitted(kinds)[0] == ids([*ENDS, 31, *range(54, 300, 27)])
    many = [row | {"kind": f"k{i // 20}"} for i, row in enumerate(rows_of(300))]
    assert omitted(many)[0] == ids(ENDS)


def test_the_first_row_of_every_set_of_keys_is_kept() -> None:
    rows = rows_of(300)
    del rows[100]["note"]
    del rows[150]["note"]
    rows[200]["extra"] = {"a": 1}
    rows[210]["extra"] = {"b": 2}
    assert omitted(rows)[0] == ids([*ENDS, 100, 200, 210])


def test_at_most_sixty_rows_are_kept_errors_first() -> None:
    rows = rows_of(600, note=dict.fromkeys(range(100, 500, 5), "failed"), place={450: "the needle"})
    kept, _ = omitted(rows, needles=[b"needle"])
    assert kept == ids([*range(8), *range(100, 340, 5), *range(596, 600)])
    fewer = rows_of(600, note=dict.fromkeys(range(100, 300, 5), "failed"), place={450: "the needle"})
    assert "item-00450" in omitted(fewer, needles=[b"needle"])[0]


def test_short_runs_stay_and_what_would_leave_out_less_than_half_leaves_nothing_out() -> None:
    kept, _ = omitted(rows_of(300, note={11: "error", 16: "error"}))
    assert kept == ids([*range(12), 16, *range(296, 300)])
    kept, text = omitted(rows_of(100, note=dict.fromkeys(range(0, 100, 3), "error")))
    assert kept == ids([*range(100)])
    assert text.startswith(b"[json]\n")


def test_small_tables_are_left_whole() -> None:
    assert omitted(rows_of(23))[0] == ids([*range(23)])
    assert len(omitted(rows_of(40))[0]) == 40
    assert len(omitted([row | {"text": f"{i} {'word ' * 100}"} for i, row in enumerate(rows_of(24))])[0]) == 12


def whole(found: tuple[bytes, list[tuple[int, int, bytes]]], ref: str) -> str:
    """The text with the rows of its parts put back where its markers stand."""
    text, parts = found
    rows: dict[str, list[str]] = {}
    for number, count, part in parts:
        head, columns, body = part.decode().split("\n", 2)
        assert head in (HEAD, HEAD_EMPTY)
        assert (head == HEAD_EMPTY) == any("" in row.split("\t") for row in split_rows(body))
        assert columns.startswith(f"[{count}]: ")
        assert len(json.loads(decode(part.decode()))) == count
        rows[str(number)] = split_rows(body)
        assert len(rows[str(number)]) == count

    def put_back(match: re.Match[str]) -> str:
        assert match[1] == ref
        count = int(match[3])
        assert count >= 4
        taken, rows[match[2]] = rows[match[2]][:count], rows[match[2]][count:]
        indent = " " * (len(match[0]) - len(match[0].lstrip()))
        return "\n".join(indent + row for row in taken)

    result = MARKER.sub(put_back, text.decode())
    assert not any(rows.values())
    return result.replace(HEAD_OMISSIONS, HEAD_EMPTY, 1)


def split_rows(body: str) -> list[str]:
    """The rows of a part, each with the fenced texts below it."""
    rows = []
    lines = iter(body.split("\n"))
    for line in lines:
        block = [line]
        for cell in line.split("\t"):
            if re.fullmatch('"{3,}', cell):
                block.extend(itertools.takewhile(lambda text, mark=cell: text != mark, lines))  # type: ignore[misc]
                block.append(cell)
        rows.append("\n".join(block))
    return rows


@st.composite
def long_tables(draw: st.DrawFn) -> str:
    """A document with one or two tables, long enough to leave rows out, somewhere in it."""
    rng = random.Random(draw(st.integers(0, 2**32)))
    odd = draw(st.lists(strings, min_size=1, max_size=6))
    tables = []
    for _ in range(draw(st.integers(1, 2))):
        missing = draw(st.sampled_from([0.0, 0.0, 0.2]))
        rows = []
        for i in range(draw(st.integers(20, 200))):
            cells = [f'"id":"number {i} of them"']
            for name in ("one", "two", "t.x"):
                if rng.random() >= missing:
                    value = rng.choice(odd) if rng.random() < 0.05 else json.dumps(f"some words, {rng.randrange(10**6)}")
                    cells.append(f'"{name}":{value}')
            rows.append("{" + ",".join(cells) + ',"lot":"A"}')
        tables.append("[" + ",".join(rows) + "]")
    shape = draw(st.sampled_from(['{{"a":{0},"b":[{1}]}}', "[{0},7]", "{0}", '{{"s":{2}}}']))
    return shape.format(tables[0], tables[-1], spell_string("".join(tokens(tables[0])), "ascii"))


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(long_tables(), st.lists(st.binary(min_size=1, max_size=5), max_size=5))
def test_text_and_parts_together_hold_all_rows(document: str, needles: list[bytes]) -> None:
    found = crush(document.encode(), ref=b"abc_1.x", needles=needles)
    assert found is not None
    assert [number for number, _, _ in found[1]] == list(range(1, len(found[1]) + 1))
    text = whole(found, "abc_1.x")
    assert same(decode(text), document)
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


# ------------------------------------------------------------------------------------------ robustness, the corpus


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
        text = whole(found, "r")
        assert same(decode(text) if found[0].startswith(b"[json") else text, bytes(original))


def test_time_grows_with_the_size_for_hard_inputs() -> None:
    """Shapes on which a scan over rows, columns or keys would be quadratic: they would not end within the time limit of a test."""
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
    document = json.dumps({"rows": rows_of(2000)}).encode()
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


@pytest.mark.skipif(not CORPUS_FILES, reason=f"no corpus at {CORPUS}; set HEADROOM_CORPUS")
@pytest.mark.parametrize("path", CORPUS_FILES, ids=lambda path: path.name.removesuffix(".jsonl.gz"))
@pytest.mark.timeout(600)
def test_recorded_documents_read_back_as_the_same_value(path: Path) -> None:
    seen: set[str] = set()
    for text in corpus_texts(path):
        if text[:1] not in ("{", "[") or text in seen:
            continue
        seen.add(text)
        for options in ({}, {"ref": b"r", "needles": [b"2024", b"error"]}):
            found = crush(text.encode("utf-8", "replace"), **options)  # type: ignore[arg-type]
            if found is not None:
                read = whole(found, "r")
                assert same(decode(read) if read.startswith("[json") else read, text)
