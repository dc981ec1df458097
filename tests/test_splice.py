"""Splices: the value asked for, and not one other byte changed."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headroom_asgi._crush import Document
from headroom_asgi.types import Edit
from headroom_asgi.wire.splice import (
    arrange,
    dump,
    insert_elements,
    insert_members,
    literal,
    replace,
    rewrite,
    splice,
)

TEXTS = st.text(st.characters(exclude_categories=[]), max_size=4)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-2, 2), st.sampled_from([0.0, -0.0, 1.0, 1e300, 0.1]), TEXTS)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=4),
    max_leaves=25,
)


def shape(value: Any) -> Any:
    """The value in a form whose equality is strict about types; the order of members does not count."""
    if isinstance(value, dict):
        return "object", {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return "array", [shape(item) for item in value]
    return type(value), repr(value)


@st.composite
def spelled(draw: st.DrawFn, value: Any) -> str:
    """A JSON text of the value with odd white space, escapes and duplicate keys."""
    space = draw(st.sampled_from(["", " ", "\n\t"]))
    if isinstance(value, dict):
        members = []
        for key, item in value.items():
            if draw(st.integers(0, 5)) == 0:
                members.append(f"{json.dumps(key)}:{space}1E3")
            members.append(f"{json.dumps(key)}{space}:{draw(spelled(item))}")
        return "{" + space + f"{space},".join(members) + space + "}"
    if isinstance(value, list):
        return "[" + space + f"{space},{space}".join(draw(spelled(item)) for item in value) + space + "]"
    if isinstance(value, str) and draw(st.booleans()):
        return '"' + "".join(f"\\u{ord(c):04X}" if ord(c) < 0x10000 else json.dumps(c)[1:-1] for c in value) + '"'
    return json.dumps(value)


@st.composite
def changed(draw: st.DrawFn, value: Any) -> Any:
    """The value after some edits somewhere in it."""
    if draw(st.integers(0, 3)) == 0:
        return draw(VALUES)
    if isinstance(value, dict):
        items = [(key, draw(changed(item))) for key, item in value.items() if draw(st.integers(0, 4))]
        return dict(items) | draw(st.dictionaries(st.sampled_from("abcde"), SCALARS, max_size=1))
    if isinstance(value, list):
        items = [draw(changed(item)) if draw(st.integers(0, 2)) == 0 else item for item in value if draw(st.integers(0, 4))]
        if draw(st.booleans()):
            items.insert(draw(st.integers(0, len(items))), draw(VALUES))
        return draw(st.permutations(items)) if draw(st.integers(0, 4)) == 0 else items
    return value


@given(st.data())
def test_a_rewrite_gives_the_new_value_and_touches_nothing_around_it(data: st.DataObject) -> None:
    old = data.draw(VALUES)
    new = data.draw(changed(old))
    before, text, after = '{"k": 1E3 ,"v" : ', data.draw(spelled(old)), ' , "k":"\\u0041" }\n'
    body = (before + text + after).encode("utf-8")
    document = Document(body)
    assert shape(json.loads(text)) == shape(json.loads(json.dumps(old)))
    edits = rewrite(document, document.get(0, "v"), json.loads(text), new)
    result = splice(body, edits)
    assert shape(json.loads(result)["v"]) == shape(json.loads(json.dumps(new)))
    assert result.startswith(before.encode())
    assert result.endswith(after.encode())
    assert (edits == []) == (shape(json.loads(text)) == shape(json.loads(json.dumps(new))))
    Document(result)


@given(st.data())
def test_an_unchanged_value_needs_no_edit(data: st.DataObject) -> None:
    text = data.draw(VALUES.flatmap(spelled))
    body = text.encode()
    assert rewrite(Document(body), 0, json.loads(text), json.loads(text)) == []
    assert splice(body, []) is body


@pytest.mark.parametrize(
    ("old", "new", "result"),
    [
        ('[1E3, {"a":1.0,  "b" : 2}, 5e-1]', [1000.0, {"a": 1.0, "b": 3}, 0.5], '[1E3, {"a":1.0,  "b" : 3}, 5e-1]'),
        ("[1E3, 2, 5e-1]", [1000.0, 0.5], "[1E3, 5e-1]"),
        ("[1E3, 2, 5e-1]", [0.5, 1000.0], "[0.5,1E3]"),
        ("[ 1E3 ]", [1000.0, 2], "[ 1E3,2 ]"),
        ("[ 1E3 ]", [2, 1000.0], "[ 2,1E3 ]"),
        ("[ 1E3 ]", [], "[]"),
        ("[ ]", [], "[ ]"),
        ("[ ]", [[], {}], "[[],{}]"),
        ('{"a":1E0 , "b":2,"c":3}', {"b": 2}, '{"b":2}'),
        ('{"a":1E0 , "b":2,"c":3}', {"a": 1.0}, '{"a":1E0}'),
        ('{"a":1E0 , "b":2,"c":3}', {"c": 3, "a": 1.0}, '{"a":1E0,"c":3}'),
        ('{"a":1,"a":2}', {"a": 3}, '{"a":1,"a":3}'),
        ('{"a":1,"b":0,"a":2}', {"b": 0}, '{"b":0}'),
        ('{"\\u0061":1}', {"a": 1, "\ud83d": "é"}, '{"\\u0061":1,"\\ud83d":"\\u00e9"}'),
        ("1", 1.0, "1.0"),
        ("1", True, "true"),
        ("-0.0", 0.0, "0.0"),
        ("1e999", float("inf"), "1e999"),
        ("[1, [2], 3]", (1, (2,), 3), "[1, [2], 3]"),
    ],
)
def test_what_did_not_change_keeps_its_bytes(old: str, new: Any, result: str) -> None:
    assert splice(old.encode(), rewrite(Document(old.encode()), 0, json.loads(old), new)).decode() == result


def test_elements_that_did_not_change_keep_their_bytes_when_one_before_is_removed_and_one_behind_is_changed() -> None:
    old = "[" + ",".join(f'{{"n": {n}E0}}' for n in range(1, 9)) + "]"
    new = json.loads(old)
    del new[2]
    new[5] = {"n": 7.5}
    expected = old.replace('{"n": 3E0},', "").replace("7E0", "7.5")
    assert splice(old.encode(), rewrite(Document(old.encode()), 0, json.loads(old), new)).decode() == expected


@pytest.mark.parametrize(
    ("new", "where"),
    [
        ([{"a": object()}], r"\$\[0\]\.a: object"),
        ([{"a": [1, {"b": {1, 2}}]}], r"\$\[0\]\.a\[1\]\.b: set"),
        ([{1: 2}], r"\$\[0\]: a key is int"),
        ([{"a": {None: 2}}], r"\$\[0\]\.a: a key is NoneType"),
        ([{"a": float("nan")}], r"\$\[0\]\.a: nan"),
        ([{"a": b"x"}], r"\$\[0\]\.a: bytes"),
    ],
)
def test_what_json_cannot_say_is_named_with_its_path(new: Any, where: str) -> None:
    body = b'[{"a":[1,2]}]'
    with pytest.raises(TypeError, match=where):
        rewrite(Document(body), 0, json.loads(body), new)


def test_a_value_that_holds_itself_or_is_too_deep_is_refused() -> None:
    body = b'[{"a":1}]'
    loop: list[Any] = [1]
    loop.append(loop)
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for value in (loop, deep):
        with pytest.raises(TypeError, match=r"\$\[0\]\.a: "):
            rewrite(Document(body), 0, json.loads(body), [{"a": value}])


def test_a_value_used_twice_is_written_twice() -> None:
    shared = {"x": [1]}
    body = b'{"a":0}'
    assert splice(body, rewrite(Document(body), 0, {"a": 0}, {"a": shared, "b": shared})) == b'{"a":{"x":[1]},"b":{"x":[1]}}'


def test_a_long_list_is_rewritten_in_linear_work() -> None:
    count = 20_000
    body = json.dumps([{"n": n % 7, "v": str(n)} for n in range(count)]).encode()
    old = json.loads(body)
    new = [item for n, item in enumerate(old) if n % 3] + [old[0]]
    assert json.loads(splice(body, rewrite(Document(body), 0, old, new))) == new


@given(st.lists(st.integers(0, 9), max_size=6), st.data())
def test_arranged_children_are_what_was_asked_for(values: list[int], data: st.DataObject) -> None:
    wanted: list[int | bytes] = []
    for position in range(len(values)):
        wanted += data.draw(st.lists(st.just(b"-1"), max_size=2))
        if data.draw(st.booleans()):
            wanted.append(position)
    expected = [values[child] if isinstance(child, int) else -1 for child in wanted]
    array = f"[ {' , '.join(map(str, values))} ]".encode()
    assert json.loads(splice(array, arrange(Document(array), 0, wanted))) == expected
    body = ("{" + ", ".join(f'"k{i}" : {value}' for i, value in enumerate(values)) + "}").encode()
    members = [child if isinstance(child, int) else b'"new":-1' for child in wanted]
    result = splice(body, arrange(Document(body), 0, members))
    assert [value for _, value in json.loads(result, object_pairs_hook=list)] == expected


def test_helpers_edit_containers_and_go_together() -> None:
    body = b'{"a": [1, 2, 3] ,"b":{},"c":[]}'
    document = Document(body)
    a, b, c = (document.get(0, key) for key in "abc")
    edits = [
        *insert_members(document, 0, {"d": b"0", "é": b"[]"}),
        *insert_members(document, b, {"x": b"1"}),
        *insert_elements(document, c, 0, [b"7", b"8"]),
        *replace(document, document.elements(a)[0], b"9"),
        *arrange(document, a, [i for i in range(document.count(a)) if i not in (1, 2)]),
    ]
    assert splice(body, edits) == b'{"a": [9] ,"b":{"x":1},"c":[7,8],"d":0,"\\u00e9":[]}'


@pytest.mark.parametrize(("at", "result"), [(0, b"[0,1, 2]"), (1, b"[1,0, 2]"), (2, b"[1, 2,0]")])
def test_elements_are_inserted_at_a_position(at: int, result: bytes) -> None:
    assert splice(b"[1, 2]", insert_elements(Document(b"[1, 2]"), 0, at, [b"0"])) == result


def test_scalars_have_no_children() -> None:
    with pytest.raises(TypeError):
        arrange(Document(b"1"), 0, [])


@pytest.mark.parametrize("edits", [[(0, 2), (1, 3)], [(2, 1)], [(0, 9)], [(-1, 0)], [(0, 3), (1, 1)]])
def test_edits_that_overlap_or_reach_out_are_refused(edits: list[tuple[int, int]]) -> None:
    with pytest.raises(ValueError):
        splice(b"abcd", [Edit(start, end, b"") for start, end in edits])


def test_edits_come_in_any_order_and_insertions_at_one_place_keep_theirs() -> None:
    assert splice(b"abcd", [Edit(2, 4, b"X"), Edit(2, 2, b"1"), Edit(2, 2, b"2"), Edit(0, 1, b"")]) == b"b12X"


@given(st.text(st.characters(exclude_categories=[])))
def test_literals_are_ascii_and_read_back(text: str) -> None:
    assert literal(text).isascii()
    assert json.loads(literal(text)) == json.loads(json.dumps(text))
    assert dump({"a": [text]}) == b'{"a":[' + literal(text) + b"]}"
