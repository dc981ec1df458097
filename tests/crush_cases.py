"""JSON texts of every kind for the tests of crush, and its text and parts put together again."""

import json
import random
import re
from collections.abc import Callable

from hypothesis import strategies as st

from headroom_asgi._crush import crush, expand
from tests.crush_reference import decode, rows_of
from tests.json_exact import tokens

Found = tuple[bytes, list[tuple[int, int, bytes]]]  # what crush() returns

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
    *("⟦", "⟦end⟧", "a⟦", "×", "a*b", "=", "(a", "two\r\nlines", "a\n\x00\x00\x00", "[1] × 4", "- x\n- x\n- x", "=" * 70 + "\n"),
    *(" ", "\t", '{"a":1}', "[1,2]", '[1, "x"]\n', "{}", "[]", "[ ]", '{\n "a": 1\n}', '{"a":1,"a":2}', "x" * 70),
)
NUMBERS = ("0", "-0", "1", "1.0", "1e400", "-1E+5", "12345678901234567890123", "0.10", "3.14159", "-7", "1e-7")
ALPHABET = "ab xyz019.,:;=-_/\\\"'(){}[]\n\t\ré\u2028\ud800😀"


TEXT_CELLS = st.sampled_from(
    [
        "",
        "a",
        "Bob",
        "Alice Smith",
        "é",
        "漢字",
        "15.90",
        "7",
        "a,b",
        '"x, y"',
        '"',
        "*",
        "_",
        "__",
        "\\n",
        "⇥",
        "\t",
        "-",
        "|",
        "x  y",
    ]
)
TEXT_SHAPES = st.sampled_from(
    [
        "{0} | {1:<12} | {2:>6} | done",
        "| {0:<8} | {1:>9} | x |",
        "{0},{1},2025-11-14,US dollars,{2}",
        "{0};const;{1};also constant;{2};",
        "{0:<10} {1:>7}  Running  {2}",
        "2025-11-14T10:11:{3:02} [{0}] INFO [worker thread] {1}",
        'time=10:11:{3:02} level={0} component=scheduler msg="{1}" x={2}',
        "- id: {3}\n  name: {0}\n  role: administrator\n  note: {1}",
        "  <user>\n    <name>{0}</name>\n    <role>admin</role>\n  </user>",
        "tests/test_a.py::test_{0} PASSED       [{3:3}%]",
        "    at {0} (node:internal/{1}:{3})",
        "{0}\tconstant column\t{1}\tanother one\r",
        "{0}",
        " {0} * {1}",
        "Applied patch {0} cleanly.",
        "",
    ]
)


def crushed(text: str) -> str:
    """The crush text of a text that is no JSON, which both readers turn back into it; the text itself where it has none."""
    found = crush(text.encode())
    if found is None:
        return text
    short = found[0].decode()
    assert expand(found[0]).decode() == text
    assert decode(short) == text
    return short


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


def containers(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(arrays(values), objects(values), records(values))


values = st.recursive(scalars, lambda inner: st.one_of(containers(inner), json_in_strings(containers(inner))), max_leaves=25)
strings_of_json = json_in_strings(containers(st.one_of(scalars, json_in_strings(containers(scalars)))))

# Small values are rarely worth a head line. Next to this table any of them is.
TABLE = "[" + ",".join(f'{{"identifier":{i},"words":"{"the same in every row, " * 4}","other":null}}' for i in range(60)) + "]"
PLACES: tuple[Callable[[str], str], ...] = (
    lambda value: f'{{"v":{value},"table":{TABLE}}}',
    lambda value: f"[{value}, {TABLE}]",
    lambda value: f'{{"table":{TABLE},"deep":[[{value}],{{"x":{{"y":{value}}}}}]}}',
    lambda value: "[" + ",".join(f'{{"id":{i},"label":"{"the same " * (9 + len(value))}","v":{value}}}' for i in range(5)) + "]",
    lambda value: spell_string("".join(tokens(f'{{"table":{TABLE},"v":{value}}}')), "raw"),
    lambda value: f'{{"string":{spell_string("".join(tokens(f"[{value},{TABLE}]")), "ascii")}}}',
)


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


def restored(found: Found, ref: str = "r") -> str:
    """What a result of crush() stands for, its parts put back: what expand() gives where nothing is left out."""
    text, parts = found
    for number, count, part in parts:
        assert part.startswith(b"[json")
        assert len(rows_of(part.decode())) == count, number
    if not text.startswith((b"[json", b"[text")):
        assert parts == []
        return text.decode()
    return decode(text.decode(), {f"{ref}-{number}": part.decode() for number, _, part in parts})


@st.composite
def tables_in_text(draw: st.DrawFn) -> str:
    """A text of some kinds of lines and records, many of them alike."""
    rows = st.lists(st.tuples(TEXT_CELLS, TEXT_CELLS, TEXT_CELLS), min_size=1, max_size=20)
    tables = draw(st.lists(st.tuples(TEXT_SHAPES, rows), min_size=1, max_size=4))
    lines = (shape.format(*row, number) for shape, rows in tables for number, row in enumerate(rows))
    return "\n".join(lines) + draw(st.sampled_from(["", "\n", "\r\n", "\n  end"]))
