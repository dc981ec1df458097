"""expand() against the slow reference reader: every production, generated and mutated texts."""

import random
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headroom_asgi._crush import expand, minify
from headroom_asgi.errors import ExpandError
from tests.crush_many import mutate, outcome, written
from tests.crush_reference import HEAD_OMISSIONS, LITERAL, NOTES, TAGS, decode, head, spell
from tests.crush_writer import Writer, make_value
from tests.json_exact import same

OMISSION = "<<ccr:0f3a-1 2 rows left out>>"


def text_of(shown: str) -> str:
    """A crush text, from one in which ⇥ stands for a tab; without a head it gets the one with all notes."""
    shown = shown.replace("⇥", "\t")
    return (
        shown if shown.startswith(("[json", "[text")) else head("json", *(note for note in NOTES if note != TAGS)) + "\n" + shown
    )


def expanded(text: str) -> str:
    """What expand() makes of a text."""
    return expand(text.encode()).decode()


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
    "a folded key": (
        "a.b:1\nc.d.e:\n   f: g\nh.i [2]: j\n  1\n  2",
        '{"a":{"b":1},"c":{"d":{"e":{"f":"g"}}},"h":{"i":[{"j":1},{"j":2}]}}',
    ),
    "a folded key and its style": ('"a.b".c (json):\n  d: 1', '{"a.b":{"c":"{\\"d\\":1}"}}'),
    "neighbors with the same value": (
        'a, b c, "d": null\ne, f:0\ng, h: ""\ni, j: []\nk, l: {}',
        '{"a":null,"b c":null,"d":null,"e":0,"f":0,"g":"","h":"","i":[],"j":[],"k":{},"l":{}}',
    ),
    "a list of one": (
        "a[0]:\n b: 1\nc[0]:\n - 2\n - x\nd[0]: [3]\ne[0] [2]: f\n 1\n 2",
        '{"a":[{"b":1}],"c":[[2,"x"]],"d":[[3]],"e":[[{"f":1},{"f":2}]]}',
    ),
    "a list of one in a list of one": ("a[0][0]:\n b: 1\nc.d[0]:\n  e: 2", '{"a":[[{"b":1}]],"c":{"d":[{"e":2}]}}'),
    "a list of one in a string": (
        "a (json)[0]:\n b: 1\nc:\n - (json)[0]:\n  d: 2",
        '{"a":"[{\\"b\\":1}]","c":["[{\\"d\\":2}]"]}',
    ),
    "a list of one at the top": ("[0]:\n a: 1", '[{"a":1}]'),
    "a table in a list of one at the top": ("[0] [2]: a\n 1\n 2", '[[{"a":1},{"a":2}]]'),
    "a list of a zero": ("[0]", "[0]"),
    "records by key": (
        'a {3}: (key)⇥b⇥c=1\n x y⇥2\n null⇥3\n ""⇥',
        '{"a":{"x y":{"b":2,"c":1},"null":{"b":3,"c":1},"":{"c":1}}}',
    ),
    "records by key that are all alike": ("{2}: (key)⇥a=1\nx\n5", '{"x":{"a":1},"5":{"a":1}}'),
    "lists of records": (
        "a [3][]: b⇥c=1\n [2]\n 1\n 2\n [0]\n [1]\n 3\nd: 1",
        '{"a":[[{"b":1,"c":1},{"b":2,"c":1}],[],[{"b":3,"c":1}]],"d":1}',
    ),
    "rows of scalars": ('[2][2]:\n1⇥x y\n""⇥null', '[[1,"x y"],["",null]]'),
    "a list": ('a [4]=\n 1\n x, y\n null\n ""\nb: 1', '{"a":[1,"x, y",null,""],"b":1}'),
    "a list under a stem": ('[3]=at the * row\nfirst\n5\n""', '["at the first row","at the 5 row","at the  row"]'),
    "a list of strings of several lines": ('[2]=\n"""\na\nb\n"""\nc', '["a\\nb","c"]'),
    "a list of strings that hold JSON": ("[2]=\n(json)\n a: 1\n(jsonp)\n - 1\n - 2", '["{\\"a\\":1}","[1, 2]"]'),
    "stems": (
        '[3]: a=GET *⇥b=* ms⇥c=[x] *!⇥d\nx y⇥5⇥a*b⇥*\n1⇥null⇥"(z"⇥a=b*\n⇥⇥""⇥',
        '[{"a":"GET x y","b":"5 ms","c":"[x] a*b!","d":"*"},{"a":"GET 1","b":"null ms","c":"[x] (z!","d":"a=b*"},{"c":"[x] !"}]',
    ),
    "a constant with a star": ('[2]: a="x*"⇥b\n1\n2', '[{"a":"x*","b":1},{"a":"x*","b":2}]'),
    "neighbors with the same string": (
        'a, b: x: [y]\nc, d: (json)\ne, f: "5"',
        '{"a":"x: [y]","b":"x: [y]","c":"(json)","d":"(json)","e":"5","f":"5"}',
    ),
    "columns that share their cells": (
        "[3]: a, b.c, d[0]⇥e\n1⇥2\n⇥3\n[x]⇥4",
        '[{"a":1,"b":{"c":1},"d":[1],"e":2},{"e":3},{"a":["x"],"b":{"c":["x"]},"d":[["x"]],"e":4}]',
    ),
    "a shared cell of several lines": ('[2]: a, b\n"""\nx\ny\n"""\nz', '[{"a":"x\\ny","b":"x\\ny"},{"a":"z","b":"z"}]'),
    "columns with the same string": (
        '[2]: a, b.c=x y⇥d⇥e, f="z*"\n1\n2',
        '[{"a":"x y","b":{"c":"x y"},"d":1,"e":"z*","f":"z*"},{"a":"x y","b":{"c":"x y"},"d":2,"e":"z*","f":"z*"}]',
    ),
    "constants in flow": ("[2]: a=[1, x]⇥b\n1\n2", '[{"a":[1,"x"],"b":1},{"a":[1,"x"],"b":2}]'),
    "columns with the same value": (
        '[2]: a, b.c=null⇥d⇥e, f, g=""\n1\n2',
        '[{"a":null,"b":{"c":null},"d":1,"e":"","f":"","g":""},{"a":null,"b":{"c":null},"d":2,"e":"","f":"","g":""}]',
    ),
    "parts of the one element of a list": (
        "[3]: a⇥a[0].b⇥a[0].c[0]⇥a[0].d[0].e\n⇥1⇥2⇥\n⇥⇥⇥5\nnull⇥⇥⇥",
        '[{"a":[{"b":1,"c":[2]}]},{"a":[{"d":[{"e":5}]}]},{"a":null}]',
    ),
    "objects that are said once": (
        'x [4]: id⇥by⇥by(login)⇥at.to[0](n)\n by [2]: login⇥url=https://x/*⇥type=User⇥admin\n  u⇥u1⇥\n  "5"⇥⇥true\n at.to[0] [2]: n⇥p.q\n  5⇥1\n  5.0⇥\n'
        ' 1⇥⇥u⇥5\n 2⇥null⇥⇥5.0\n 3⇥⇥"5"⇥\n 4⇥⇥"u"⇥5',
        '{"x":[{"id":1,"by":{"login":"u","url":"https://x/u1","type":"User"},"at":{"to":[{"n":5,"p":{"q":1}}]}},{"id":2,"by":null,"at":{"to":[{"n":5.0}]}},'
        '{"id":3,"by":{"login":"5","type":"User","admin":true}},{"id":4,"by":{"login":"u","url":"https://x/u1","type":"User"},"at":{"to":[{"n":5,"p":{"q":1}}]}}]}',
    ),
    "said once under a stem": (
        "[2]: o(k)\no [2]: k=a *⇥b\n x⇥1\n y⇥2\na y\na x",
        '[{"o":{"k":"a y","b":2}},{"o":{"k":"a x","b":1}}]',
    ),
    "said once and used by none": ("[2]: a⇥o(k)\no [2]: k\n 1\n 2\n1⇥\n2⇥", '[{"a":1},{"a":2}]'),
    "lists of records in a cell": (
        '[4]: a⇥l⇥l[x y, "5"]\n1⇥⇥(a,1) (b, [c]) ("d,", {})\n2⇥⇥[]\n3⇥none⇥\n4⇥⇥',
        '[{"a":1,"l":[{"x y":"a","5":1},{"x y":"b","5":["c"]},{"x y":"d,","5":{}}]},{"a":2,"l":[]},{"a":3,"l":"none"},{"a":4}]',
    ),
    "said once in groups": (
        "[2][]: o(k)\no [2]: k⇥b\n 1⇥x\n 2⇥y\n[1]\n2\n[2]\n1\n2",
        '[[{"o":{"k":2,"b":"y"}}],[{"o":{"k":1,"b":"x"}},{"o":{"k":2,"b":"y"}}]]',
    ),
    "strings that hold JSON in cells": (
        '[3]: a⇥b⇥c\n(json)⇥1⇥"""\n x: 1\n """\nu\nv\n"""\n"""⇥(jsonl)⇥(json)\nw\n\n"""\n [2]: y\n  1\n  2\n (json)\n - z\n(json)⇥⇥(jsonp)\n - 1\n (jsonp)\n - 2',
        '[{"a":"{\\"x\\":1}","b":1,"c":"u\\nv"},{"a":"w\\n","b":"{\\"y\\":1}\\n{\\"y\\":2}","c":"[\\"z\\"]"},{"a":"[1]","c":"[2]"}]',
    ),
    "repeated in flow": ("a: [1 ×4, x y ×5,[0 ×4],{} ×4]", '{"a":[1,1,1,1,"x y","x y","x y","x y","x y",[0,0,0,0],{},{},{},{}]}'),
    "raw text": (
        'a: """\n⟦"-" × 5⟧x⟦"\\"" × 2⟧\ny\n⟦× 3⟧\nz⟦"é" × 2⟧\n⟦× 2⟧\n"""',
        '{"a":"-----x\\"\\"\\ny\\ny\\ny\\nzéé\\nzéé"}',
    ),
    "blocks in raw text": (
        'a: """\nx: ⟦json⟧\nb: 1\n⟦end⟧, y: ⟦jsonpl⟧\n[2]: c\n1\n2\n⟦end⟧\n⟦json1 cut 2⟧\nd[0]:\n e: 5\n⟦end⟧\n"""',
        '{"a":"x: {\\"b\\":1}, y: {\\"c\\": 1}\\n{\\"c\\": 2}\\n{\\n \\"d\\": [\\n  {\\n   \\"e\\": 5\\n  }"}',
    ),
    "a block with a fence in it": ('a: """"\n⟦json⟧\nb: """\nx\ny\n"""\n⟦end⟧\n""""', '{"a":"{\\"b\\":\\"x\\\\ny\\"}"}'),
    "a block of no bracket that is left": ('a: """\n⟦jsonp cut 3⟧\na:\n -\n  - []\n⟦end⟧\n"""', '{"a":"{\\"a\\": [[[]"}'),
    "CR LF in a fence": ('a: """\nx\r\n⟦× 3⟧\ny\n"""', '{"a":"x\\r\\nx\\r\\nx\\r\\ny"}'),
    "a text": ('[text; ⟦…⟧ says what stands there]\n⟦"\\u0000" × 3⟧\nlog ⟦json⟧\n- 1\n⟦end⟧\r\n', "\x00\x00\x00\nlog [1]\r\n"),
    "a text without anything in it": ("[text]\n", ""),
    "values one in a line": ("[jsonln]\n[2]: a\n1\n2", '{"a":1}\n{"a":2}\n'),
    "indented values one after the other": ("[json2al]\n- [é]\n- {}\n- 5", '[\n  "\\u00e9"\n]\n{}\n5'),
    "a wrapper of JSON": (
        '[json in {type: text, "text": (json2), n:1}]\n[2]: a\n1\n2',
        '{"type":"text","text":"[\\n  {\\n    \\"a\\": 1\\n  },\\n  {\\n    \\"a\\": 2\\n  }\\n]","n":1}',
    ),
    "a wrapper of text": (
        '[json in [{type: "te,xt", text: """, x: null}]; ⟦…⟧ says what stands there]\na\n⟦"-" × 4⟧\n"""\n',
        '[{"type":"te,xt","text":"a\\n----\\n\\"\\"\\"\\n","x":null}]',
    ),
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
    for _ in range(10):
        text, value = written(rng)
        assert outcome(text) == (value, value), text


@given(seeds)
def test_broken_texts_are_refused_or_read_as_the_reference_reads_them(seed: int) -> None:
    rng = random.Random(seed)
    text = written(rng)[0]
    for _ in range(10):
        broken = mutate(text, rng)
        if broken.startswith(("[json", "[text")):
            reference, ours = outcome(broken)
            assert reference == ours, broken


@given(seeds)
def test_rows_that_are_left_out_are_named_and_fit_back_in(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(10):
        made = make_value(rng)
        writer = Writer(rng, made, omit=True)
        text = writer.text()
        refs = tuple(re.findall(r"^ *<<ccr:(r\.[ab]-\d+) \d+ rows left out", text, re.MULTILINE))
        expected = tuple(dict.fromkeys(refs)) if writer.parts else spell(made.value)
        assert outcome(text) == (expected, expected), text
        assert decode(text, writer.parts) == spell(made.value)
        for part in writer.parts.values():
            assert expanded(part) == decode(part)


@given(seeds)
def test_broken_bytes_are_refused_or_stand_for_json(seed: int) -> None:
    rng = random.Random(seed)
    text = Writer(rng, make_value(rng)).text().encode()
    for _ in range(20):
        broken = bytearray(text)
        for _ in range(rng.choice((1, 2, 5))):
            at = rng.randrange(len(broken) + 1)
            broken[at : at + rng.choice((0, 1, 3))] = rng.randbytes(rng.choice((0, 1, 2)))
        if not broken.startswith(b"[json"):
            continue
        try:
            result = expand(bytes(broken))
        except ExpandError:
            continue
        broken.decode()
        assert minify(result) == result or re.match(rb"\[json\w*l", broken)


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
