"""Small documents on which one slip of the kernel shows: a form that is written wrong, or where it must not be."""

import json

import pytest

from headroom_asgi._crush import crush, expand

# Long enough that the document is written in the crush format whatever stands beside it.
FILLER = json.dumps([{"seq": i, "name": f"filler {chr(97 + i)}"} for i in range(26)], separators=(",", ":"))

ADA = '{"login":"ada","id":7,"url":"https://git.example.com/users/ada"}'
BOB = '{"login":"bob","id":9,"url":"https://git.example.com/users/bob"}'
OTHER_ADA = '{"login":"ada","id":7,"url":"https://git.example.com/other/ada"}'


def owned(*owners: str) -> str:
    """Records with an object each."""
    return "[" + ",".join(f'{{"n":{i},"owner":{owner}}}' for i, owner in enumerate(owners)) + "]"


FORMS = {
    "a constant": ('[{"a":1,"b":5},{"a":2,"b":5},{"a":3,"b":5}]', "v [3]: a⇥b=5\n 1\n 2\n 3"),
    "a constant but for the last record": ('[{"a":1,"b":5},{"a":2,"b":5},{"a":3,"b":6}]', "v [3]: a⇥b\n 1⇥5\n 2⇥5\n 3⇥6"),
    "commas in flow": ('["a, b",1,"c"]', 'v: ["a, b",1, c]'),
    "objects said once": (
        owned(ADA, BOB, ADA, BOB, ADA, BOB),
        "v [6]: n⇥owner(login)\n owner [2]: login⇥id⇥url\n  ada⇥7⇥https://git.example.com/users/ada\n"
        "  bob⇥9⇥https://git.example.com/users/bob\n 0⇥ada\n 1⇥bob\n 2⇥ada\n 3⇥bob\n 4⇥ada\n 5⇥bob",
    ),
    "objects of one name that differ": (
        owned(ADA, BOB, OTHER_ADA, ADA, BOB, OTHER_ADA),
        "v [6]: n⇥owner.login⇥owner.id⇥owner.url\n 0⇥ada⇥7⇥https://git.example.com/users/ada\n"
        " 1⇥bob⇥9⇥https://git.example.com/users/bob\n 2⇥ada⇥7⇥https://git.example.com/other/ada\n"
        " 3⇥ada⇥7⇥https://git.example.com/users/ada\n 4⇥bob⇥9⇥https://git.example.com/users/bob\n"
        " 5⇥ada⇥7⇥https://git.example.com/other/ada",
    ),
    "a stem": (
        '[{"n":"Delivery to Rome is late"},{"n":"Delivery to Rond is late"},{"n":"Delivery to Roll is late"}]',
        "v [3]: n=Delivery to * is late\n Rome\n Rond\n Roll",
    ),
    "a list of one": ('[{"a":1,"b":"x"}]', "v[0]:\n a:1\n b: x"),
    "a list of two": ('[{"a":1,"b":"x"},["y"]]', "v:\n -\n  a:1\n  b: x\n - [y]"),
    "lists of records": (
        '[{"k":1,"l":[{"id":1,"to":"x"},{"id":2,"to":"y"}]},{"k":2,"l":[{"id":3,"to":"z"}]}]',
        "v [2]: k⇥l[id, to]\n 1⇥(1, x) (2, y)\n 2⇥(3, z)",
    ),
    "lists of records with another key": (
        '[{"k":1,"l":[{"id":1,"to":"x"},{"id":2,"up":"y"}]},{"k":2,"l":[{"id":3,"to":"z"}]}]',
        "v [2]: k⇥l\n 1⇥[{id:1, to: x}, {id:2, up: y}]\n 2⇥[{id:3, to: z}]",
    ),
    "records by key": (
        '{"a":{"x":1,"y":2},"b":{"x":3,"y":4},"c":{"x":5,"y":6}}',
        "v {3}: (key)⇥x⇥y\n a⇥1⇥2\n b⇥3⇥4\n c⇥5⇥6",
    ),
    "records by a key that comes twice": (
        '{"a":{"x":1,"y":2},"b":{"x":3,"y":4},"a":{"x":5,"y":6}}',
        "v:\n a:\n  x:1\n  y:2\n b:\n  x:3\n  y:4\n a:\n  x:5\n  y:6",
    ),
    "lists of lists of records": (
        '[[{"a":1,"b":"x"},{"a":2,"b":"y"}],[],[{"a":3,"b":"z"}]]',
        "v [3][]: a⇥b\n [2]\n 1⇥x\n 2⇥y\n [0]\n [1]\n 3⇥z",
    ),
    "a matrix": ("[[10,20],[30,40],[50,60]]", "v [3][2]:\n 10⇥20\n 30⇥40\n 50⇥60"),
    "a ragged matrix": ("[[10,20],[30,40,45],[50,60]]", "v:\n - [10,20]\n - [30,40,45]\n - [50,60]"),
    "a run of four": ("[7,0,0,0,0,7]", "v: [7,0 ×4,7]"),
    "a run of three": ("[7,0,0,0,7]", "v: [7,0,0,0,7]"),
    "a CR before LF": ('"one\\r\\ntwo\\nthree"', 'v: """\none\r\ntwo\nthree\n"""'),
    "a CR before another character": ('"one\\rtwo\\nthree"', 'v: "one\\rtwo\\nthree"'),
    "neighbors that are the same": ('{"a":"x1","b":"x1","c":null,"d":null}', "v:\n a, b: x1\n c, d: null"),
    "neighbors of one size": ('{"a":"x1","b":"x2","c":12,"d":13}', "v:\n a: x1\n b: x2\n c:12\n d:13"),
    "columns that are the same": (
        '[{"a":"x1","b":"x1","c":1},{"a":"x2","b":"x2","c":2},{"a":"x3","b":"x3","c":3}]',
        "v [3]: a, b⇥c\n x1⇥1\n x2⇥2\n x3⇥3",
    ),
    "columns that are the same but for the last record": (
        '[{"a":"x1","b":"x1","c":1},{"a":"x2","b":"x2","c":2},{"a":"x3","b":"y3","c":3}]',
        "v [3]: a⇥b⇥c\n x1⇥x1⇥1\n x2⇥x2⇥2\n x3⇥y3⇥3",
    ),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_form_is_written_where_it_fits_and_only_there(name: str) -> None:
    value, form = FORMS[name]
    document = f'{{"v":{value},"filler":{FILLER}}}'.encode()
    found = crush(document)
    assert found is not None
    _, _, text = found[0].decode().partition("\n")
    assert text.partition("\nfiller [26]: ")[0] == form.replace("⇥", "\t")
    assert expand(found[0]) == document


def test_lines_that_repeat_are_counted_with_the_first() -> None:
    line = "waiting for the lock on the package lists, held by process 4711"
    text = f"start\n{line}\n{line}\n{line}\n{line}\nend".encode()
    found = crush(text)
    assert found is not None
    assert found[0].decode().partition("\n")[2] == f"start\n{line}\n⟦× 4⟧\nend"
    assert expand(found[0]) == text


def test_a_block_that_was_cut_says_how_many_brackets_it_lacks() -> None:
    files = json.dumps({"files": [{"name": f"file_{n}.txt", "bytes": 100 * n, "owner": "root"} for n in range(9)]})
    text = f"HTTP/1.1 200 OK\n\n{files[: files.index('file_8')]}".encode()
    found = crush(text)
    assert found is not None
    assert "\n⟦jsonp cut 2⟧\nfiles [8]: name\tbytes\towner=root\n" in found[0].decode()
    assert expand(found[0]) == text


RECORDS = [json.dumps({"ts": f"10:{n}:00", "level": "info", "msg": f"tick {n}"}) for n in range(10, 20)]


def test_lines_of_one_style_are_one_value() -> None:
    text = "\n".join(RECORDS).encode()
    found = crush(text)
    assert found is not None
    assert found[0].startswith(b"[jsonpl]\n[10]: ts\tlevel=info\tmsg\n10:10:00\ttick 10\n")
    assert expand(found[0]) == text


@pytest.mark.parametrize("odd", [1, 5, 9])
def test_lines_of_which_one_is_spelled_another_way_come_back_as_they_were(odd: int) -> None:
    lines = [line.replace('"level": ', '"level":') if i == odd else line for i, line in enumerate(RECORDS)]
    text = "\n".join(lines).encode()
    found = crush(text)
    if found is not None:
        assert not found[0].startswith(b"[jsonpl")
        assert expand(found[0]) == text


@pytest.mark.parametrize("character", "<>&\u2028\u2029")
def test_what_go_escapes_is_read_and_escaped_again(character: str) -> None:
    inner = json.dumps({"path": f"a {character} b", "list": [1, 2, 3], "more": "words\n" * 9}, indent=2)
    inner = inner.replace(character, f"\\u{ord(character):04x}").replace("words", "é")
    document = json.dumps({"type": "text", "text": inner}, separators=(",", ":"), ensure_ascii=False).encode()
    found = crush(document)
    assert found is not None
    assert "json2" in found[0].decode().partition("\n")[0]
    assert json.loads(expand(found[0])) == json.loads(document)


@pytest.mark.parametrize("sign", ["⟦", "⟦end⟧", "⟦× 3⟧"])
def test_a_text_with_a_sign_of_the_format_in_it_is_left_alone(sign: str) -> None:
    assert crush(f"nothing {sign} here\n".encode() + b"\0" * 4_000 + b"\nend") is None
    value = json.dumps(f"one {sign}\ntwo\n\nthree")
    document = f'{{"v":{value},"filler":{FILLER}}}'.encode()
    found = crush(document)
    assert found is not None
    assert f"\nv: {json.dumps(json.loads(value), ensure_ascii=False)}\n" in found[0].decode()
    assert json.loads(expand(found[0])) == json.loads(document)


def test_a_wrapper_has_one_text_of_several_lines() -> None:
    text = "\n".join(f'\t"C:\\dir\\{n}": "a\\b",' for n in range(60))
    found = crush(json.dumps({"type": "text", "text": text}, separators=(",", ":")).encode())
    assert found is not None
    assert found[0].decode() == f'[json in {{type: text, text: """}}]\n{text}'
    found = crush(json.dumps({"type": "text", "text": text, "note": "two\nlines"}, separators=(",", ":")).encode())
    assert found is not None
    assert found[0].decode() == f'[json]\ntype: text\ntext: """\n{text}\n"""\nnote: """\ntwo\nlines\n"""'


def test_an_error_word_in_a_key_of_one_row_does_not_keep_it() -> None:
    words = [["ok", {"state": "done", "more": [f"piece {i % 7}"]}] for i in range(300)]
    rows = [{"seq": f"item-{i:05}", "note": word, "place": f"shelf {i % 89} in hall {i % 7}"} for i, word in enumerate(words)]
    rows[100]["note"] = ["ok", {"error": "done", "failed": ["piece 1"]}]
    rows[200]["note"] = ["ok", {"state": "failed", "more": ["piece 1"]}]
    found = crush(json.dumps(rows).encode(), ref=b"r")
    assert found is not None
    assert b"\nitem-00100\t" not in found[0]
    assert b"\nitem-00200\t" in found[0]
