"""expand() against the slow reference reader: every production, every rejection, generated and mutated texts."""

import random

import pytest
from crush_reference import HEAD_OMISSIONS, LITERAL, RowsLeftOut, decode, spell
from crush_writer import Writer, make_value
from hypothesis import example, given
from hypothesis import strategies as st
from json_exact import same

from headroom_asgi._crush import expand, minify
from headroom_asgi.errors import ExpandError

OMISSION = "<<ccr:0f3a-1 2 rows left out>>"

# What mutations put into a text: what the grammar gives a meaning, and what it forbids.
PIECES = (
    *'"\t\n -[]{}():,.=<\\\r\x00\x7f\x85é😀\u2028a05',
    *("  ", "- ", ": ", ", ", "(json2)", '"""', "[2]: a\tb", "null", "1.5", OMISSION, "\n", "\n "),
)


def text_of(shown: str) -> str:
    """A crush text, from one in which ⇥ stands for a tab; without a head it gets the one that allows empty cells."""
    shown = shown.replace("⇥", "\t")
    return shown if shown.startswith("[json") else "[json; empty cell = no such key]\n" + shown


def expanded(text: str) -> str:
    """What expand() makes of a text."""
    return expand(text.encode()).decode()


def outcome(text: str) -> tuple[object, object]:
    """What the reference and expand() make of a text: JSON, the refs of what was left out, or None if it is refused."""
    reference: object = None
    ours: object = None
    try:
        reference = decode(text)
    except RowsLeftOut as error:
        reference = error.refs
    except ValueError:
        pass
    try:
        ours = expanded(text)
    except ExpandError as error:
        ours = error.refs or None
    return reference, ours


PRODUCTIONS = {
    "members": ("a: x\nb: y z\nc:7", '{"a":"x","b":"y z","c":7}'),
    "glue may be missing": ("a:x\nb: 7\nc:null", '{"a":"x","b":7,"c":null}'),
    "a string runs to the end of its line": ('a: b: "c", [d] (e)', '{"a":"b: \\"c\\", [d] (e)"}'),
    "literals": ("a: null\nb: true\nc: false\nd:-0\ne:1.50E+7", '{"a":null,"b":true,"c":false,"d":-0,"e":1.50E+7}'),
    "no literals": ("a: 007\nb: NaN\nc: 2024-05-24\nd: +1\ne: nul", '{"a":"007","b":"NaN","c":"2024-05-24","d":"+1","e":"nul"}'),
    "quoted strings": ('a: "7"\nb: ""\nc: "\\u0041\\/\\n"', '{"a":"7","b":"","c":"A/\\n"}'),
    "unpaired surrogates": ('a: "\\ud800x"\nb: "\\ud83d\\ude00"', '{"a":"\\ud800x","b":"😀"}'),
    "keys with blanks": ("a b: 1\nc d (json): [1]\ne f [2]: g\n 1\n 2", '{"a b":1,"c d":"[1]","e f":[{"g":1},{"g":2}]}'),
    "quoted keys": ('"a.b": 1\n"5": 2\n"": 3\n"a" (json): [1]', '{"a.b":1,"5":2,"":3,"a":"[1]"}'),
    "duplicate keys": ("a: 1\na: 2", '{"a":1,"a":2}'),
    "nested members": ("a:\n b:\n  c: 1\n d: 2\ne: 3", '{"a":{"b":{"c":1},"d":2},"e":3}'),
    "items": ("- a\n- 1\n-2\n--3\n- {}\n- [1]\n- b: c", '["a",1,2,-3,{},[1],"b: c"]'),
    "items that are numbers": ("-5\n- 6\n--7", "[5,6,-7]"),
    "items below members": ("a:\n - 1\n -\n  b: 2\n -\n  - 3\nc: 4", '{"a":[1,{"b":2},[3]],"c":4}'),
    "flow": ("a: [1,-2, b c, null]\nb: {}\nc: []", '{"a":[1,-2,"b c",null],"b":{},"c":[]}'),
    "flow in flow": ('a: [[], {b: [x], "c d":1, e: {}}]', '{"a":[[],{"b":["x"],"c d":1,"e":{}}]}'),
    "flow at the top": ("[1, a]", '[1,"a"]'),
    "scalars at the top": ("-5", "-5"),
    "a string at the top": ('"a: b"', '"a: b"'),
    "a fence at the top": ('"""\na\n\n"""', '"a\\n"'),
    "a fence": ('a: """\n x\n"y" \t\n"""\nb: 1', '{"a":" x\\n\\"y\\" \\t","b":1}'),
    "a longer mark": ('a: """"\n"""\n"""""\n""""', '{"a":"\\"\\"\\"\\n\\"\\"\\"\\"\\""}'),
    "other line ends are content": ('a: """\nx\u2028\u0085\ny\n"""', '{"a":"x\u2028\u0085\\ny"}'),
    "a fence in items": ('- """\na\nb\n"""\n- c', '["a\\nb","c"]'),
    "a table": ("a [2]: b⇥c\n 1⇥x\n 2⇥y z\nd: 3", '{"a":[{"b":1,"c":"x"},{"b":2,"c":"y z"}],"d":3}'),
    "a table at the top": ("[2]: a⇥b\n1⇥2\n3⇥", '[{"a":1,"b":2},{"a":3}]'),
    "a table in items": ("- [2]: a\n 1\n 2\n- 3", '[[{"a":1},{"a":2}],3]'),
    "empty cells": ('[3]: a⇥b\n⇥1\n2⇥\n""⇥null', '[{"b":1},{"a":2},{"a":"","b":null}]'),
    "constants": ('[2]: a=x⇥b⇥c=""⇥d={}\n1\n', '[{"a":"x","b":1,"c":"","d":{}},{"a":"x","c":"","d":{}}]'),
    "parts": (
        "[2]: a⇥b.c⇥b.d.e⇥b.d.f⇥g\n1⇥2⇥3⇥4⇥5\n6⇥⇥⇥7⇥",
        '[{"a":1,"b":{"c":2,"d":{"e":3,"f":4}},"g":5},{"a":6,"b":{"d":{"f":7}}}]',
    ),
    "a parent without parts is not there": ("[2]: a⇥b.c\n1⇥\n⇥2", '[{"a":1},{"b":{"c":2}}]'),
    "a parent's own column": ("[3]: a⇥a.b⇥a.c\nnull⇥⇥\n⇥1⇥2\n⇥⇥3", '[{"a":null},{"a":{"b":1,"c":2}},{"a":{"c":3}}]'),
    "constant parts": ("[2]: a.b=1⇥a.c⇥d\n2⇥\n⇥3", '[{"a":{"b":1,"c":2}},{"a":{"b":1},"d":3}]'),
    "quoted parts": ('[2]: "a.b"."c\\t"⇥"d=e"\n1⇥2\n3⇥4', '[{"a.b":{"c\\t":1},"d=e":2},{"a.b":{"c\\t":3},"d=e":4}]'),
    "flow in cells": ("[2]: a⇥b\n[1, x]⇥{c: d}\n[]⇥{}", '[{"a":[1,"x"],"b":{"c":"d"}},{"a":[],"b":{}}]'),
    "fences below a row": (
        '[2]: a⇥b⇥c\n"""⇥1⇥"""\nx\ny\n"""\nz\n\n"""\n⇥2⇥',
        '[{"a":"x\\ny","b":1,"c":"z\\n"},{"b":2}]',
    ),
    "styles of members": (
        "a (json):\n b: 1\nb (jsonp): [1,x]\nc (json1an) [2]: d\n é\n x",
        (
            '{"a":"{\\"b\\":1}","b":"[1, \\"x\\"]",'
            '"c":"[\\n {\\n  \\"d\\": \\"\\\\u00e9\\"\\n },\\n {\\n  \\"d\\": \\"x\\"\\n }\\n]\\n"}'
        ),
    ),
    "styles of items": ("- (json): [1]\n- (jsonn):\n - (json):\n  - {}\n- a (json)", '["[1]","[\\"[{}]\\"]\\n","a (json)"]'),
    "a style at the top": ("(json4)\na:\n - {}", '"{\\n    \\"a\\": [\\n        {}\\n    ]\\n}"'),
    "a style before a table at the top": ("(json)\n[2]: a\n1\n2", '"[{\\"a\\":1},{\\"a\\":2}]"'),
    "a head without empty cells": ("[json]\n[2]: a\n1\n2", '[{"a":1},{"a":2}]'),
    "a head of omissions without any": (HEAD_OMISSIONS + "\na: 1", '{"a":1}'),
}


@pytest.mark.parametrize("name", PRODUCTIONS)
def test_every_production_is_read(name: str) -> None:
    shown, json_text = PRODUCTIONS[name]
    assert outcome(text_of(shown)) == (json_text, json_text)


def test_the_page_s_example_is_read() -> None:
    shown = (
        "reservation_id: UM3OG5\nflights [2]: origin⇥number⇥date⇥price⇥cabin.class=economy⇥cabin.seat\n"
        " SEA⇥HAT113⇥2024-05-26⇥117⇥3A\n DFW⇥HAT282⇥2024-05-28⇥140⇥null\n"
        'tags: [a, b]\nnote: """\ntwo\nlines\n"""\nempty: {}'
    )
    original = (
        '{"reservation_id":"UM3OG5","flights":[{"origin":"SEA","number":"HAT113","date":"2024-05-26","price":117,'
        '"cabin":{"class":"economy","seat":"3A"}},\n {"origin":"DFW","number":"HAT282","date":"2024-05-28","price":140,'
        '"cabin":{"class":"economy","seat":null}}],"tags":["a","b"],"note":"two\\nlines","empty":{}}'
    )
    assert same(expanded(text_of(shown)), original)


REFUSED = {
    "an unknown head": ("[json; rows missing]\na: 1", 1, "head"),
    "a head and no more": ("[json]", 1, "no value"),
    "an LF behind the value": ("a: 1\n", 3, "key"),
    "an LF behind flow": ("[1]\n", 3, "behind the value"),
    "CR before LF": ("a: 1\r\nb: 2", 2, "more on the line"),
    "a bare string at the top": ("hello", 2, "colon"),
    "lines behind a scalar": ("1\n2", 3, "behind the value"),
    "indented too far": ("a: 1\n  b: 2", 3, "indent"),
    "items under members": ("a: 1\n- b", 3, "key"),
    "members under items": ("- a\nb: 1", 3, "behind the value"),
    "nothing under a key": ("a:\nb: 1", 3, "nothing below"),
    "nothing under a dash": ("-\n- a", 3, "nothing below"),
    "no colon": ("a\nb: 1", 2, "colon"),
    "no value": ("a: \nb: 1", 2, "no value"),
    "a key that is a number": ("5: 1", 2, "key"),
    "a key that ends with a blank": ("a : 1", 2, "key"),
    "a key with a control character": ("a\x01b: 1", 2, "colon"),
    "a key with a line separator": ("a\u2028b: 1", 2, "colon"),
    "a key that starts with an apostrophe": ("'a': 1", 2, "key"),
    "two blanks before a string": ("a:  b", 2, "blanks"),
    "a blank behind a string": ("a: b ", 2, "blanks"),
    "a tab in a string": ("a: b⇥c", 2, "more on the line"),
    "a DEL in a string": ("a: b\x7fc", 2, "more on the line"),
    "U+0085 in a string": ("a: b\x85c", 2, "more on the line"),
    "U+2028 in a string": ("a: b\u2028c", 2, "more on the line"),
    "U+2029 in a string": ("a: b\u2029c", 2, "more on the line"),
    "a string that looks like an item": ("a: - b", 2, "quoted"),
    "a dash": ("a: -", 2, "quoted"),
    "a string that looks like a marker": ("a: <<ccr:x", 2, "quoted"),
    "a string that starts with a parenthesis in an item": ("- (a) b", 2, "style"),
    "the same without a blank": ("-(json): [1]", 2, "quoted"),
    "a quoted string that does not end": ('a: "b', 2, "JSON string"),
    "a bad escape": ('a: "\\x"', 2, "JSON string"),
    "more behind a quoted string": ('a: "b" c', 2, "more on the line"),
    "flow that does not end": ("a: [1, 2", 2, "flow"),
    "flow with a comma too many": ("a: [1,]", 2, "no value"),
    "flow with a colon in a string": ("a: [b:c]", 2, "flow"),
    "flow with a dashed string": ("a: [-b]", 2, "quoted"),
    "flow objects without a blank": ("a: {b: 1,c: 2}", 2, "blank"),
    "flow objects without a colon": ("a: {b}", 2, "colon"),
    "more behind flow": ("a: [1] 2", 2, "more on the line"),
    "an unknown style": ("a (json3): [1]", 2, "style"),
    "a style before a scalar": ("a (json): 1", 2, "style"),
    "a style before an empty array": ("a (json): []", 2, "style"),
    "a style before a fence": ('(json)\n"""\na\nb\n"""', 6, "style"),
    "two styles": ("a (json) (json): [1]", 2, "colon"),
    "two styles at the top": ("(json)\n(json)\n[1]", 3, "key"),
    "a fence that does not end": ('a: """\nb\nc\n""""', 2, "does not end"),
    "a fence around one line": ('a: """\nb\n"""', 3, "less than two"),
    "an empty fence": ('a: """\n"""', 3, "less than two"),
    "a fence with CR": ('a: """\nb\r\nc\n"""', 3, "control"),
    "a fence with DEL": ('a: """\nb\x7f\nc\n"""', 3, "control"),
    "a fence without a blank before it": ('a:"""\nb\nc\n"""', 2, "more on the line"),
    "more behind a mark": ('a: """ b\nc\nd\n"""', 2, "more on the line"),
    "a table of one record": ("[1]: a\n1", 2, "table"),
    "a table of 02 records": ("a [02]: b\n 1\n 2", 2, "table"),
    "a table of more records than can be": (f"a [{'9' * 30}]: a\n1", 2, "table"),
    "fewer rows than the head says": ("a [3]: b\n 1\n 2\nc: 1", 5, "fewer rows"),
    "more rows than the head says": ("a [2]: b\n 1\n 2\n 3", 5, "indent"),
    "more rows at the top": ("[2]: b\n1\n2\n3", 5, "behind the value"),
    "rows not indented": ("a [2]: b\n1\n2", 3, "fewer rows"),
    "too few cells": ("[2]: a⇥b\n1\n2⇥3", 3, "too few cells"),
    "too many cells": ("[2]: a⇥b\n1⇥2⇥3\n2⇥3", 3, "more on the line"),
    "a record without keys": ("[2]: a⇥b\n⇥\n1⇥2", 3, "without keys"),
    "an empty cell that the head does not speak of": ("[json]\n[2]: a⇥b\n1⇥2\n3⇥", 4, "empty cell"),
    "no column in the rows": ("[2]: a=1\n\n", 2, "column"),
    "an empty constant": ("[2]: a=⇥b\n1\n2", 2, "no value"),
    "a constant of several lines": ('[2]: b⇥a="""\nx\ny\n"""\n1\n2', 2, "more on the line"),
    "a column twice": ("[2]: a⇥b⇥a\n1⇥2⇥3\n1⇥2⇥3", 2, "twice"),
    "a column twice in a row": ("[2]: a⇥a\n1⇥2\n1⇥2", 2, "twice"),
    "a quoted column twice": ('[2]: a⇥b⇥"\\u0061"\n1⇥2⇥3\n1⇥2⇥3', 2, "twice"),
    "parts apart": ("[2]: a.b⇥c⇥a.d\n1⇥2⇥3\n1⇥2⇥3", 2, "apart"),
    "parts of parts apart": ("[2]: a.b.c⇥a.d⇥a.b.e\n1⇥2⇥3\n1⇥2⇥3", 2, "apart"),
    "a parent behind its parts": ("[2]: a.b⇥a\n1⇥\n⇥2", 2, "behind its parts"),
    "a constant with parts": ("[2]: a=1⇥a.b\n\n", 2, "constant with parts"),
    "a value and parts of it": ("[2]: a⇥a.b\n1⇥2\n1⇥", 3, "parts of it"),
    "a value and constant parts of it": ("[2]: a⇥a.b=1\n\n2", 4, "parts of it"),
    "a column without a name": ("[2]: a⇥\n1⇥2\n1⇥2", 2, "key"),
    "more columns than 256": ("[2]: " + "⇥".join(f"c{i}" for i in range(257)) + "\n1\n2", 2, "too many columns"),
    "no text below a row": ('[2]: a\n"""\nx\ny\n2', 3, "does not end"),
    "a malformed omission": ("[3]: a\n<<ccr:ab 2 rows left out>>\n1", 3, "malformed"),
    "an omission without a ref": ("[3]: a\n<<ccr:-1 2 rows left out>>\n1", 3, "malformed"),
    "an omission of nothing": ("[3]: a\n<<ccr:ab-1 0 rows left out>>\n1\n2\n3", 3, "malformed"),
    "an omission of too much": ("[3]: a\n<<ccr:ab-1 3 rows left out>>\n1", 4, "behind the value"),
    "an omission of more than there is": ("[3]: a\n1\n<<ccr:ab-1 3 rows left out>>", 4, "too many"),
    "an omission and rows that are missing": ("[5]: a\n<<ccr:ab-1 3 rows left out>>\n1", 4, "fewer rows"),
    "an omission outside a table": ("a: 1\n" + OMISSION, 3, "key"),
    "nested too deeply in flow": ("a: " + "[" * 64 + "]" * 64, 2, "too deeply"),
    "nested too deeply in items": ("\n".join(" " * i + "-" for i in range(64)) + "\n" + " " * 64 + "- x", 66, "too deeply"),
    "strings in strings, too deeply": (
        "\n".join(" " * i + "a (json):" for i in range(9)) + "\n" + " " * 9 + "- x",
        10,
        "strings in strings",
    ),
    "nested too deeply in columns": ("[2]: " + ".".join("a" * 64) + "⇥b\n⇥1\n⇥2", 2, "too deeply"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_grammar_does_not_prescribe_is_refused(name: str) -> None:
    shown, line, reason = REFUSED[name]
    with pytest.raises(ExpandError) as caught:
        expanded(text_of(shown))
    assert str(caught.value).startswith(f"line {line}: ")
    assert reason in str(caught.value)
    assert caught.value.refs == ()
    with pytest.raises(ValueError) as refused:
        decode(text_of(shown))
    assert not isinstance(refused.value, RowsLeftOut)


@pytest.mark.parametrize(
    "broken",
    [b"\xff", b"\xc3", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\x80", b"\xf0\x80\x80\xaf"],
)
@pytest.mark.parametrize(
    "place",
    [b"a: x%sy", b'a: "x%sy"', b"a%sb: 1", b'"a%sb": 1', b"a: [x%sy]", b"[2]: a\nx%s\n1", b'a: """\nx%s\ny\n"""', b"a: %s"],
)
def test_what_is_not_utf_8_is_refused(broken: bytes, place: bytes) -> None:
    text = b"[json]\n" + place
    assert expand(text % b"\xc3\xa9")
    with pytest.raises(ExpandError):
        expand(text % broken)


@pytest.mark.parametrize(
    ("shown", "refs"),
    [
        (f"[4]: a⇥b=1\n1\n{OMISSION}\n2", ("0f3a-1",)),
        (f"[2]: a⇥b\n{OMISSION}", ("0f3a-1",)),
        (
            (
                "a [2]: b\n <<ccr:z-2 1 rows left out>>\n 1\nc:\n - [5]: d\n"
                "  <<ccr:A_b-c.1-1 3 rows left out>>\n  2\n  <<ccr:z-2 1 rows left out>>"
            ),
            ("z-2", "A_b-c.1-1"),
        ),
    ],
)
def test_text_with_rows_left_out_is_refused_and_names_them(shown: str, refs: tuple[str, ...]) -> None:
    text = HEAD_OMISSIONS + "\n" + shown.replace("⇥", "\t")
    with pytest.raises(ExpandError) as caught:
        expanded(text)
    assert caught.value.refs == refs
    assert all(ref in str(caught.value) for ref in refs)
    assert outcome(text) == (refs, refs)


@pytest.mark.parametrize("text", ["", " ", "a: 1", "{", "[json", '{"a":1} x', "[1]\n2", "\ufeff{}"])
def test_what_is_neither_the_format_nor_json_is_refused(text: str) -> None:
    with pytest.raises(ExpandError, match=r"neither the crush format nor JSON|unknown head"):
        expanded(text)


def test_json_is_minified_and_its_strings_respelled() -> None:
    assert expanded(' {"a" : [1.0, "\\u0041\\/\\ud800\\u00e9"],\n"a":{ } } ') == '{"a":[1.0,"A/\\ud800é"],"a":{}}'
    deep = "[" * 5000 + "]" * 5000
    assert expanded(deep) == deep


def test_only_bytes_are_taken() -> None:
    with pytest.raises(TypeError):
        expand("[json]\na: 1")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        expand(None)  # type: ignore[arg-type]


def test_nesting_is_read_up_to_the_limit() -> None:
    flow = "[json]\na: " + "[" * 63 + "]" * 63
    items = "[json]\n" + "\n".join(" " * i + "-" for i in range(63)) + "\n" + " " * 63 + "- x"
    columns = "[json; empty cell = no such key]\n[2]: " + ".".join("a" * 63) + "\n1\n2"
    strings = "[json]\n(json)\n" + "\n".join(" " * i + "a (json):" for i in range(7)) + "\n" + " " * 7 + "- x"
    for text in (flow, items, columns, strings):
        reference, ours = outcome(text)
        assert reference == ours
        assert ours is not None


def test_constants_do_not_fill_the_memory() -> None:
    text = "[json]\n[20000]: a=" + "x" * 20_000 + "\tb" + "\n1" * 20_000
    with pytest.raises(ExpandError, match="256 MiB"):
        expanded(text)


# Random values rather than drawn ones: a value takes hundreds of dice, and the seed reproduces it.
seeds = st.integers(min_value=0, max_value=2**64 - 1)


@given(seeds)
@example(744)
@example(963)
def test_whatever_form_a_writer_picks_the_value_comes_back(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(20):
        made = make_value(rng)
        text = Writer(rng, made).text()
        value = spell(made.value)
        assert outcome(text) == (value, value), text


def mutate(text: str, rng: random.Random) -> str:
    """The text with some characters or lines of it put in, taken out, replaced, doubled or swapped."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        start = rng.randrange(min(6, len(text)), len(text) + 1)
        end = min(len(text), start + rng.choice((1, 1, 1, 2, 5)))
        lines = text.split("\n")
        line = rng.randrange(len(lines))
        text = rng.choice(
            (
                text[:start] + rng.choice(PIECES) + text[start:],
                text[:start] + text[end:],
                text[:start] + rng.choice(PIECES) + text[end:],
                "\n".join([*lines[:line], *lines[line + 1 :]]),
                "\n".join([*lines[:line], lines[line], *lines[line:]]),
                "\n".join([*lines[:line], rng.choice(lines), *lines[line:]]),
            )
        )
    return text


@given(seeds)
def test_broken_texts_are_refused_or_read_as_the_reference_reads_them(seed: int) -> None:
    rng = random.Random(seed)
    text = Writer(rng, make_value(rng)).text()
    for _ in range(20):
        broken = mutate(text, rng)
        if broken.startswith("[json"):
            reference, ours = outcome(broken)
            assert reference == ours, broken


@given(seeds)
def test_broken_bytes_are_refused_or_stand_for_json(seed: int) -> None:
    rng = random.Random(seed)
    text = Writer(rng, make_value(rng)).text().encode()
    for _ in range(20):
        broken = bytearray(text)
        for _ in range(rng.choice((1, 2, 5))):
            at = rng.randrange(len(broken) + 1)
            broken[at : at + rng.choice((0, 1, 3))] = rng.randbytes(rng.choice((0, 1, 2)))
        try:
            result = expand(bytes(broken))
        except ExpandError:
            continue
        assert minify(result) == result
        broken.decode()


@given(st.binary(max_size=200))
@example(b"[json]\n\x00")
@example(b"[json]\na: 1\x00")
def test_any_bytes_are_refused_or_stand_for_json(data: bytes) -> None:
    for text in (data, b"[json]\n" + data, b"[json; empty cell = no such key]\n[2]: a\tb\n" + data):
        try:
            result = expand(text)
        except ExpandError:
            continue
        assert minify(result) == result


def test_a_cut_text_is_never_taken_for_the_whole() -> None:
    whole = text_of('a: xyz\nb [2]: c⇥d.e⇥d.f=1\n 10⇥"""\nu\nv\n"""\n 20⇥w\nc (json2):\n - [3, 4]\n -\n  g: h')
    value = expanded(whole)
    for size in range(len(whole)):
        reference, ours = outcome(whole[:size]) if size > 5 else (None, None)
        assert reference == ours
        assert ours != value


def test_large_texts_are_read_like_small_ones() -> None:
    rows = [f"{i}\tname {i}\t" + "é" * (i % 40) + "x" for i in range(20_000)]
    text = f"[json]\n[{len(rows)}]: id\tname\ttext\tkind=record\n" + "\n".join(rows)
    assert expanded(text) == decode(text)
    members = "[json]\n" + "\n".join(f'k{i}: """\nline {i}\n\tlast\n"""' for i in range(5_000))
    assert expanded(members) == decode(members)


@given(st.from_regex(LITERAL, fullmatch=True, alphabet="0123456789.eE+-truefalsn"))
def test_literals_keep_their_spelling(literal: str) -> None:
    table = f"[2]: a={literal}⇥b\n{literal}\n{literal}"
    record = f'{{"a":{literal},"b":{literal}}}'
    assert expanded(text_of(literal)) == literal
    assert expanded(text_of(f"a:{literal}\nb: [{literal}]")) == f'{{"a":{literal},"b":[{literal}]}}'
    assert expanded(text_of(f"-\n - {literal}")) == f"[[{literal}]]"
    assert expanded(text_of(table)) == f"[{record},{record}]"
