"""crush writes each form as the grammar page says, where it says it."""

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from headroom_asgi._crush import crush, estimate, expand
from tests.crush_cases import TABLE
from tests.crush_reference import GAPS, RAWS, SAID, STEMS, decode, head
from tests.json_exact import same


def crushed(document: str) -> str:
    """The crush text of a document that is known to have one, and that it comes back from."""
    found = crush(document.encode())
    assert found is not None
    text, parts = found
    assert parts == []
    result = expand(text).decode()
    assert result == decode(text.decode())
    assert result == document or same(result, document)
    return text.decode()


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
    ("value", "shown", "notes"),
    [
        ('{"a":{"b":{"c":[1,2]}},"d":{"e":{"f":1,"g":2}}}', "v:\n a.b.c: [1,2]\n d.e:\n   f:1\n   g:2", ()),
        ('{"a.b":{"c":1}}', 'v."a.b".c:1', ()),
        (
            '{"a":null,"b":null,"c":"","d":"","e":"","f":[],"g":[],"h":{},"i":{},"j":7,"k":7,"l":"x y","m":"x y"}',
            'v:\n a, b: null\n c, d, e: ""\n f, g: []\n h, i: {}\n j, k:7\n l, m: x y',
            (),
        ),
        ('{"a":{"b":null},"c":null,"d":null}', "v:\n a.b: null\n c, d: null", ()),
        ('[{"a":1,"b":[2,3]}]', "v[0]:\n a:1\n b: [2,3]", ()),
        ('[[[{"a":1}]]]', "v[0][0][0]:\n a:1", ()),
        ('[[{"a":1},{"a":2}]]', "v[0] [2]: a\n 1\n 2", ()),
        ("[{}]", "v:\n - {}", ()),
        ('[[1,"a\\nb"]]', 'v[0]:\n - 1\n - """\na\nb\n"""', ()),
        ('{"x y":{"b":2,"c":true},"5":{"b":3,"c":true},"z":{"b":4,"c":true}}', "v {3}: (key)⇥b⇥c=true\n x y⇥2\n 5⇥3\n z⇥4", ()),
        ('{"x":{"b":2},"y":{"b":3}}', "v:\n x.b:2\n y.b:3", ()),
        ('[[{"a":1},{"a":2}],[],[{"a":3}]]', "v [3][]: a\n [2]\n 1\n 2\n [0]\n [1]\n 3", ()),
        ('[[1,"x y"],[2,"z: "],[null,""]]', 'v [3][2]:\n 1⇥x y\n 2⇥"z: "\n null⇥""', ()),
        ("[[1,2],[3]]", "v:\n - [1,2]\n - [3]", ()),
        (
            '["x: 1, y", "a, b, c, d, e, f", "longer than that: [x]"]',
            "v [3]=\n x: 1, y\n a, b, c, d, e, f\n longer than that: [x]",
            (),
        ),
        ('[0, 0, 0, 0, 0, 1, 1, 1, "x", "x", "x", "x"]', "v: [0 ×5,1,1,1, x ×4]", ()),
        (
            '[{"m": "GET /x/a took long"}, {"m": "GET /x/b took long"}, {"m": "GET /x/c took long"}]',
            "v [3]: m=GET * took long\n /x/a\n /x/b\n /x/c",
            (STEMS,),
        ),
        (
            '[{"m": "call a of them"}, {"m": "call b of them"}, {"m": "call c of them"}]',
            "v [3]: m=call * of them\n a\n b\n c",
            (STEMS,),
        ),
        (
            '[{"m": "request number one was refused"}, {"m": "request number true was refused"}, {"m": "request number null was refused"}]',
            "v [3]: m=request number * was refused\n one\n true\n null",
            (STEMS,),
        ),
        (
            '[{"m": "request * number one"}, {"m": "request * number 5"}, {"m": "request * number null"}]',
            "v [3]: m\n request * number one\n request * number 5\n request * number null",
            (),
        ),
        (
            '[{"m": "\\"request\\" number one"}, {"m": "\\"request\\" number 5"}, {"m": "\\"request\\" number null"}]',
            'v [3]: m\n "\\"request\\" number one"\n "\\"request\\" number 5"\n "\\"request\\" number null"',
            (),
        ),
        (
            '[{"u": {"login": "u0", "type": "User", "admin": true}}, {"u": {"login": "u1", "type": "User", "admin": false}}, {"u": {"login": "u0", "type": "User", "admin": true}}, {"u": {"login": "u1", "type": "User", "admin": false}}]',
            "v [4]: u.login⇥u.type=User⇥u.admin\n u0⇥true\n u1⇥false\n u0⇥true\n u1⇥false",
            (),
        ),
        (
            '[{"u": null, "n": 0}, {"u": {"login": "u1", "type": "User", "admin": false}, "n": 1}, {"u": {"login": "u0", "type": "User", "admin": true}, "n": 2}, {"u": {"login": "u1", "type": "User", "admin": false}, "n": 3}, {"u": {"login": "u0", "type": "User", "admin": true}, "n": 4}]',
            "v [5]: u⇥u.login⇥u.type⇥u.admin⇥n\n null⇥⇥⇥⇥0\n ⇥u1⇥User⇥false⇥1\n ⇥u0⇥User⇥true⇥2\n ⇥u1⇥User⇥false⇥3\n ⇥u0⇥User⇥true⇥4",
            (GAPS,),
        ),
        (
            '[{"u": {"login": 0, "type": "User", "admin": true}}, {"u": {"login": 1, "type": "User", "admin": false}}, {"u": {"login": 0, "type": "User", "admin": true}}, {"u": {"login": 1, "type": "User", "admin": false}}]',
            "v [4]: u.login⇥u.type=User⇥u.admin\n 0⇥true\n 1⇥false\n 0⇥true\n 1⇥false",
            (),
        ),
        (
            '[{"u": {"login": 0, "type": "User", "admin": true, "x": 0}}, {"u": {"login": 1, "type": "User", "admin": false, "x": 1}}, {"u": {"login": 0, "type": "User", "admin": true, "x": 2}}, {"u": {"login": 1, "type": "User", "admin": false, "x": 3}}]',
            "v [4]: u.login⇥u.type=User⇥u.admin⇥u.x\n 0⇥true⇥0\n 1⇥false⇥1\n 0⇥true⇥2\n 1⇥false⇥3",
            (),
        ),
        (
            '[{"l": [{"id": 1, "n": "bug"}, {"id": 2, "n": "ui, x"}]}, {"l": [{"id": 1, "n": "bug"}]}, {"l": []}]',
            'v [3]: l[id, n]\n (1, bug) (2, "ui, x")\n (1, bug)\n []',
            (),
        ),
        (
            '[{"l": [{"id": 1, "n": "bug"}, {"id": 2}]}, {"l": [{"id": 1, "n": "bug"}]}]',
            "v [2]: l\n [{id:1, n: bug}, {id:2}]\n [{id:1, n: bug}]",
            (),
        ),
        (
            '[{"p": [{"v": 1.5, "w": [{"z": 1}]}]}, {"p": [{"v": 2.5, "w": [{"z": 2}]}]}]',
            "v [2]: p[0].v⇥p[0].w[0].z\n 1.5⇥1\n 2.5⇥2",
            (),
        ),
        ('[{"a": "*", "b": 1}, {"a": "*", "b": 2}]', 'v [2]: a="*"⇥b\n 1\n 2', ()),
        ('[{"a": "(x", "b": 1}, {"a": "[y", "b": 2}, {"a": "{z", "b": 3}]', 'v [3]: a⇥b\n "(x"⇥1\n "[y"⇥2\n "{z"⇥3', ()),
        ('[{"b": null, "c": null, "d": 1}, {"b": null, "c": null, "d": 2}]', "v [2]: b, c=null⇥d\n 1\n 2", ()),
        ('[{"a": [1, 2], "b": 1}, {"a": [1, 2], "b": 2}]', "v [2]: a=[1,2]⇥b\n 1\n 2", ()),
        (
            '[{"a": 1, "b": "two\\nlines", "c": "x"}, {"a": 2, "b": "z", "c": "u\\nv"}]',
            'v [2]: a⇥b⇥c\n 1⇥"""⇥x\ntwo\nlines\n"""\n 2⇥z⇥"""\nu\nv\n"""',
            (),
        ),
        (
            '"head\\n--------------------------------------------------------------------------------\\nsame line\\nsame line\\nsame line\\nsame line\\nsame line\\nsame line\\nsame line\\nsame line\\nsame line\\nend"',
            'v: """\nhead\n--------------------------------------------------------------------------------\nsame line\n⟦× 9⟧\nend\n"""',
            (RAWS,),
        ),
        (
            '"x\\n[{\\"id\\": 0, \\"name\\": \\"n\\"}, {\\"id\\": 1, \\"name\\": \\"n\\"}, {\\"id\\": 2, \\"name\\": \\"n\\"}, {\\"id\\": 3, \\"name\\": \\"n\\"}, {\\"id\\": 4, \\"name\\": \\"n\\"}, {\\"id\\": 5, \\"name\\": \\"n\\"}, {\\"id\\": 6, \\"name\\": \\"n\\"}, {\\"id\\": 7, \\"name\\": \\"n\\"}, {\\"id\\": 8, \\"name\\": \\"n\\"}]\\ny"',
            'v: """\nx\n⟦jsonp⟧\n[9]: id⇥name=n\n0\n1\n2\n3\n4\n5\n6\n7\n8\n⟦end⟧\ny\n"""',
            (RAWS,),
        ),
        (
            '"x\\n[{\\"id\\": 0, \\"name\\": \\"n\\"}, {\\"id\\": 1, \\"name\\": \\"n\\"}, {\\"id\\": 2, \\"name\\": \\"n\\"}, {\\"id\\": 3, \\"name\\": \\"n\\"}, {\\"id\\": 4, \\"name\\": \\"n\\"}, {\\"id\\": 5, \\"name\\": \\"n\\"}, {\\"id\\": 6, \\"name\\": \\"n\\"}, {\\"id\\": 7, \\"name\\": \\"n\\"}, {\\"id\\": 8, \\"name\\": \\"n\\""',
            'v: """\nx\n⟦jsonp cut 2⟧\n[9]: id⇥name=n\n0\n1\n2\n3\n4\n5\n6\n7\n8\n⟦end⟧\n"""',
            (RAWS,),
        ),
        ('"cr\\r\\nlf\\r\\n"', 'v: """\ncr\r\nlf\r\n\n"""', ()),
        ('"cr\\rx\\n"', 'v: "cr\\rx\\n"', ()),
        ('"a\\nb \\u27e6c"', 'v: "a\\nb ⟦c"', ()),
        ('"a \\u27e6c"', 'v: "a ⟦c"', ()),
        ('"[] \\u00d7 3"', 'v: "[] × 3"', ()),
        (
            '[{"id": 1, "body": "{\\"method\\": \\"POST\\", \\"path\\": \\"/x/y/z\\", \\"headers\\": {\\"accept\\": \\"*/*\\", \\"host\\": \\"example.com\\"}, \\"args\\": [1, 2, 3], \\"text\\": \\"some more words so that it is long enough to matter here\\"}"}, {"id": 2, "body": ""}]',
            'v [2]: id⇥body\n 1⇥(jsonp)\n  method: POST\n  path: /x/y/z\n  headers:\n   accept: */*\n   host: example.com\n  args: [1,2,3]\n  text: some more words so that it is long enough to matter here\n 2⇥""',
            (),
        ),
        (
            '[{"id": 1, "a": "[{\\"k\\": 0, \\"text\\": \\"words and words and words\\"}, {\\"k\\": 1, \\"text\\": \\"words and words and words\\"}, {\\"k\\": 2, \\"text\\": \\"words and words and words\\"}, {\\"k\\": 3, \\"text\\": \\"words and words and words\\"}, {\\"k\\": 4, \\"text\\": \\"words and words and words\\"}]", "b": "{\\"k\\": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59], \\"t\\": \\"words and words and words and words and words and words\\"}", "c": "x\\ny"}, {"id": 2, "a": "", "b": "", "c": ""}]',
            'v [2]: id⇥a⇥b⇥c\n 1⇥(jsonp)⇥(jsonp)⇥"""\n  [5]: k⇥text=words and words and words\n   0\n   1\n   2\n   3\n   4\n  (jsonp)\n  k: [0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32,33,34,35,36,37,38,39,40,41,42,43,44,45,46,47,48,49,50,51,52,53,54,55,56,57,58,59]\n  t: words and words and words and words and words and words\n  """\nx\ny\n"""\n 2⇥""⇥""⇥""',
            (),
        ),
        (
            '[{"n": 0, "by": {"login": "user-0", "url": "https://example.com/users/0", "type": "User", "admin": false}}, {"n": 1, "by": {"login": "user-1", "url": "https://example.com/users/1", "type": "User", "admin": true}}, {"n": 2, "by": {"login": "user-0", "url": "https://example.com/users/0", "type": "User", "admin": false}}, {"n": 3, "by": {"login": "user-1", "url": "https://example.com/users/1", "type": "User", "admin": true}}, {"n": 4, "by": {"login": "user-0", "url": "https://example.com/users/0", "type": "User", "admin": false}}, {"n": 5, "by": {"login": "user-1", "url": "https://example.com/users/1", "type": "User", "admin": true}}]',
            "v [6]: n⇥by(login)\n by [2]: login⇥url⇥type=User⇥admin\n  user-0⇥https://example.com/users/0⇥false\n  user-1⇥https://example.com/users/1⇥true\n 0⇥user-0\n 1⇥user-1\n 2⇥user-0\n 3⇥user-1\n 4⇥user-0\n 5⇥user-1",
            (SAID,),
        ),
        (
            '[{"n": 0, "by": {"login": "user-0", "url": "https://example.com/users/0", "type": "User", "admin": false}, "for": [{"login": "user-5", "url": "https://example.com/users/5", "type": "User", "admin": false}]}, {"n": 1, "by": {"login": "user-1", "url": "https://example.com/users/1", "type": "User", "admin": true}, "for": [{"login": "user-6", "url": "https://example.com/users/6", "type": "User", "admin": false}]}, {"n": 2, "by": {"login": "user-0", "url": "https://example.com/users/0", "type": "User", "admin": false}, "for": [{"login": "user-5", "url": "https://example.com/users/5", "type": "User", "admin": false}]}, {"n": 3, "by": null, "for": [{"login": "user-6", "url": "https://example.com/users/6", "type": "User", "admin": false}]}, {"n": 4, "by": {"login": "user-0", "url": "https://example.com/users/0", "type": "User", "admin": false}, "for": [{"login": "user-5", "url": "https://example.com/users/5", "type": "User", "admin": false}]}, {"n": 5, "by": {"login": "user-1", "url": "https://example.com/users/1", "type": "User", "admin": true}, "for": [{"login": "user-6", "url": "https://example.com/users/6", "type": "User", "admin": false}]}, {"n": 6, "by": {"login": "user-0", "url": "https://example.com/users/0", "type": "User", "admin": false}, "for": [{"login": "user-5", "url": "https://example.com/users/5", "type": "User", "admin": false}]}]',
            "v [7]: n⇥by⇥by(login)⇥for[0](login)\n by [2]: login⇥url⇥type=User⇥admin\n  user-0⇥https://example.com/users/0⇥false\n  user-1⇥https://example.com/users/1⇥true\n for[0] [2]: login⇥url⇥type=User⇥admin=false\n  user-5⇥https://example.com/users/5\n  user-6⇥https://example.com/users/6\n 0⇥⇥user-0⇥user-5\n 1⇥⇥user-1⇥user-6\n 2⇥⇥user-0⇥user-5\n 3⇥null⇥⇥user-6\n 4⇥⇥user-0⇥user-5\n 5⇥⇥user-1⇥user-6\n 6⇥⇥user-0⇥user-5",
            (GAPS, SAID),
        ),
        (
            '[{"url": "u0", "html": "u0", "n": 0}, {"url": "u1", "html": "u1", "n": 1}, {"url": "u2", "html": "u2", "n": 2}]',
            "v [3]: url, html⇥n\n u0⇥0\n u1⇥1\n u2⇥2",
            (),
        ),
        (
            '[{"n": 0}, {"url": "u1", "html": "u1", "n": 1}, {"url": "u2", "html": "u2", "n": 2}]',
            "v [3]: url⇥html⇥n\n ⇥⇥0\n u1⇥u1⇥1\n u2⇥u2⇥2",
            (GAPS,),
        ),
        ('"a\\nb\\nb\\nb\\nb\\nb\\nb\\nb\\nb\\nb\\nc"', 'v: """\na\nb\nb\nb\nb\nb\nb\nb\nb\nb\nc\n"""', ()),
        (
            '"éééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééé\\n"',
            'v: """\n⟦"é" × 120⟧\n\n"""',
            (RAWS,),
        ),
        (
            '"see:\\n[{\\"id\\": 0, \\"name\\": \\"n\\"}, {\\"id\\": 1, \\"name\\": \\"n\\"}, {\\"id\\": 2, \\"name\\": \\"n\\"}, {\\"id\\": 3, \\"name\\": \\"n\\"}, {\\"id\\": 4, \\"name\\": \\"n\\"}, {\\"id\\": 5, \\"name\\": \\"n\\"}, {\\"id\\": 6, \\"name\\": \\"n\\"}, {\\"id\\": 7, \\"name\\": \\"n\\"}, {\\"id\\": 8, \\"name\\": \\"n\\"}] end"',
            'v: """\nsee:\n⟦jsonp⟧\n[9]: id⇥name=n\n0\n1\n2\n3\n4\n5\n6\n7\n8\n⟦end⟧ end\n"""',
            (RAWS,),
        ),
        (
            '"see:\\n[{\\"id\\": 0, \\"name\\": \\"n\\"}, {\\"id\\": 1, \\"name\\": \\"n\\"}, {\\"id\\": 2, \\"name\\": \\"n\\"}, {\\"id\\": 3, \\"name\\": \\"n\\"}, {\\"id\\": 4, \\"name\\": \\"n\\"}, {\\"id\\": 5, \\"name\\": \\"n\\"}, {\\"id\\": 6, \\"name\\": \\"n\\"}, {\\"id\\": 7, \\"name\\": \\"n\\"}, {\\"id\\": 8, \\"name\\": \\"n\\""',
            'v: """\nsee:\n⟦jsonp cut 2⟧\n[9]: id⇥name=n\n0\n1\n2\n3\n4\n5\n6\n7\n8\n⟦end⟧\n"""',
            (RAWS,),
        ),
    ],
)
def test_writes_each_form_as_the_grammar_says(value: str, shown: str, notes: tuple[str, ...]) -> None:
    found = crushed(f'{{"v":{value},"table":{TABLE}}}')
    first, _, rest = found.partition("\n")
    assert rest[: rest.index("\ntable [60]: ")] == shown.replace("⇥", "\t")
    assert first == head("json", *notes)


RECORDS = [{"id": number, "name": f"item {chr(97 + number)} of the list", "ok": None} for number in range(12)]
TABLE_OF_RECORDS = "[12]: id\tname=item * of the list\tok=null\n" + "\n".join(f"{n}\t{chr(97 + n)}" for n in range(12))
LINES = "line one\n" + "same again\n" * 20 + "- last"


@pytest.mark.parametrize(
    ("document", "first", "rest"),
    [
        (json.dumps(RECORDS), head("json", STEMS), TABLE_OF_RECORDS),
        (json.dumps(json.dumps(RECORDS)), head("json", STEMS), "(jsonp)\n" + TABLE_OF_RECORDS),
        (
            json.dumps({"type": "text", "text": json.dumps(RECORDS), "annotations": None}),
            head("json in mcp text (jsonp)", STEMS),
            TABLE_OF_RECORDS,
        ),
        (
            json.dumps([{"a b": 5, "text": json.dumps(RECORDS, indent=2)}]),
            head("json in [{a b:5, text: (json2)}]", STEMS),
            TABLE_OF_RECORDS,
        ),
        (
            json.dumps({"type": "text", "text": LINES}),
            head('json in {type: text, text: """}', RAWS),
            "line one\nsame again\n⟦× 20⟧\n- last",
        ),
        ("\n".join(map(json.dumps, RECORDS)), head("jsonpl", STEMS), TABLE_OF_RECORDS),
        ("".join(json.dumps(record, indent=2) + "\n" for record in RECORDS), head("json2ln", STEMS), TABLE_OF_RECORDS),
        (
            "start\r\n" + "retry\r\n" * 12 + "result: " + json.dumps(RECORDS) + "\r\ndone\r\n",
            head("text", STEMS, RAWS),
            "start\r\nretry\r\n⟦× 12⟧\nresult: ⟦jsonp⟧\n" + TABLE_OF_RECORDS + "\n⟦end⟧\r\ndone\r\n",
        ),
        ("\0" * 400 + "log\n", head("text", RAWS), '⟦"\\u0000" × 400⟧log\n'),
        (json.dumps(RECORDS)[:-10], head("text", STEMS, RAWS), None),
    ],
)
def test_the_head_says_what_the_whole_is(document: str, first: str, rest: str | None) -> None:
    text = crushed(document)
    assert text.split("\n")[0] == first
    assert rest is None or text == first + "\n" + rest


BODY = {"method": "POST", "path": "/x/y/z", "args": [1, 2, 3], "text": "words, so that it is long enough to matter here, " * 3}


def test_strings_that_hold_json_stand_below_their_row_one_after_the_other() -> None:
    rows: list[Any] = [
        {"id": 1, "a": json.dumps(BODY), "b": json.dumps([BODY]), "c": "x\ny"},
        {"id": 2, "a": "", "b": "", "c": "z"},
    ]
    text = crushed(json.dumps(rows))
    first, *_ = lines = text.split("\n")[2:]
    assert first == '1\t(jsonp)\t(jsonp)\t"""'
    assert lines[1:5] == [" method: POST", " path: /x/y/z", " args: [1,2,3]", f' text: "{BODY["text"]}"']
    assert lines[5] == " (jsonp)"
    assert lines[-5:] == [' """', "x", "y", '"""', '2\t""\t""\tz']


def sheet(rows: list[list[dict[str, Any]]], key: str = "values") -> str:
    return json.dumps({"title": "Sheet", "rowData": [{key: cells} for cells in rows]}, indent=2)


def cell(text: str, **more: Any) -> dict[str, Any]:
    return {"value": {"text": text}, "format": {"align": "LEFT", "font": {"size": 10, "bold": False}}, **more}


def test_records_in_lists_that_are_each_alone_in_an_object_are_rows_of_one_table() -> None:
    text = crushed(
        sheet([[cell("name"), cell("size", note="in bytes")], [cell("a.txt"), cell("5"), cell("old")], [], [cell("b")] * 3])
    )
    assert text.split("\n")[1:] == [
        "title: Sheet",
        "rowData [4].values[]: value.text\tformat.align=LEFT\tformat.font.size=10\tformat.font.bold=false\tnote",
        *(" [2]", " name\t", " size\tin bytes"),
        *(" [3]", " a.txt\t", ' "5"\t', " old\t"),
        " [0]",
        *(" [3]", " b\t", " b\t", " b\t"),
    ]
    assert '\nrowData [2]."a.b"[]: ' in crushed(sheet([[cell("x"), cell("y")]] * 2, key="a.b"))


def test_records_that_tuples_hold_and_short_lists_stay_in_cells() -> None:
    pairs = [[{"v": n, "w": "some text"}, {"v": n + 1, "w": "some more text"}] for n in range(9)]
    assert "\nrowData [9]: values[v, w]\n (0, some text) (1, some more text)\n" in crushed(sheet(pairs))
    short = [[cell(f"number {n}", **({"note": "z"} if n == 1 else {}))] for n in range(9)] + [[cell("a"), cell("b")]]
    assert "\nrowData [10]: values\n [{value: {text: number 0}, " in crushed(sheet(short))


def test_lists_whose_records_make_no_table_together_are_tables_of_their_own() -> None:
    rows = [[{"k": i, f"a{n}": {"x": n}, f"b{n}": "b", f"c{n}": "c"} for i in range(3)] for n in range(4)]
    assert "\nrowData:\n -\n  values [3]: k\ta0.x=0\tb0=b\tc0=c\n   0\n   1\n   2\n -\n" in crushed(sheet(rows))


def test_lists_under_different_keys_are_no_table() -> None:
    rows = [{"values": [cell("a"), cell("b", note="x")]}, {"value": [cell("c"), cell("d")]}] * 4
    text = crushed(json.dumps({"rowData": rows, "table": json.loads(TABLE)}))
    assert "\nrowData [8]: values\tvalue[value, format]\n" in text


def test_a_wide_or_sparse_array_is_no_table() -> None:
    def rows(keys: Callable[[int], dict[str, int]], count: int) -> str:
        return "\n" + crushed(f'{{"v":{json.dumps([keys(i) for i in range(count)])},"table":{TABLE}}}')

    assert "\nv [2]: " in rows(lambda i: {f"k{k}": k + i for k in range(256)}, 2)
    assert "\nv:\n -\n  k0:0" in rows(lambda i: {f"k{k}": k + i for k in range(257)}, 2)
    assert "\nv [5]: " in rows(lambda i: {"a": i, f"k{i}": i, f"l{i}": i} if i < 2 else {"a": i, "b": i}, 5)
    assert "\nv:\n -\n  k0:0" in rows(lambda i: {f"k{i}": i}, 3)


def test_an_order_of_many_keys_is_found_whatever_comes_first() -> None:
    later = {f"k{k}": k for k in range(100)}
    for earlier in ({"z": 1}, {f"z{k}": k for k in range(100)}):
        records = [later, earlier | later, earlier]
        text = crushed(f'{{"v":{json.dumps(records)},"table":{TABLE}}}')
        assert "\nv [3]: " + "\t".join([*earlier, *later]) + "\n" in text


def test_a_list_of_strings_is_written_exactly_where_that_has_fewer_tokens() -> None:
    chance = random.Random(20)
    ends = ["abcxyz", "etaoin", "ABC", "0123456789", "/.", ".,;", ")]}", "é"]
    written = 0
    for _ in range(300):
        first, last, count = chance.choice(ends[:-2]), chance.choice(ends), chance.randint(24, 60)
        middles = ["".join(chance.choices("abcdefg hij/_-.012é", k=chance.randint(16, 30))) for _ in range(count)]
        values = [chance.choice(first) + middle + chance.choice(last) for middle in middles]
        document = json.dumps(values, separators=(",", ":"), ensure_ascii=False).encode()
        text = "\n".join([head("json"), f"[{count}]=", *values]).encode()
        found = crush(document)
        assert (found is not None) == (estimate(text) < estimate(document))
        assert found is None or found[0] == text
        written += found is not None
    assert 50 < written < 250
