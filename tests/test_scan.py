"""Document and minify against a slow, independent reading of RFC 8259."""

import json
import re
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headroom_asgi._crush import ARRAY, FALSE, NULL, NUMBER, OBJECT, STRING, TRUE, Document, minify
from headroom_asgi.errors import ScanError

# The reference: JSON's tokens as regular expressions over bytes, its grammar as recursive functions.
SPACE = re.compile(rb"[ \t\n\r]*")
TOKEN = re.compile(
    rb'(?P<string>"(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*")'
    rb"|(?P<number>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)"
    rb"|(?P<name>true|false|null)|(?P<mark>[\[\]{},:])"
)
KINDS = {b"true": TRUE, b"false": FALSE, b"null": NULL}

Value = tuple[int, int, int, list["Value"]]


class NotJSON(Exception):
    """The reference does not read the text."""


def tokens_of(data: bytes) -> list[tuple[str, int, int]]:
    try:
        data.decode("utf-8", "strict")
    except UnicodeDecodeError as error:
        raise NotJSON from error
    found = []
    at = SPACE.match(data).end()  # type: ignore[union-attr]
    while at < len(data):
        match = TOKEN.match(data, at)
        if match is None:
            raise NotJSON
        found.append((str(match.lastgroup), match.start(), match.end()))
        at = SPACE.match(data, match.end()).end()  # type: ignore[union-attr]
    return found


def reference(data: bytes) -> Value:
    """The value tree as (kind, start, end, children); in objects, children are keys and values in turn."""
    tokens = [*tokens_of(data), ("end", len(data), len(data))]
    at = 0

    def take(mark: bytes) -> bool:
        nonlocal at
        group, start, end = tokens[at]
        found = group == "mark" and data[start:end] == mark
        at += found
        return found

    def need(ok: bool) -> bool:
        if not ok:
            raise NotJSON
        return ok

    def ended(mark: bytes, children: list[Value]) -> bool:
        """After an element or the opening bracket: whether the container ends here; takes the comma if not."""
        return take(mark) or not (not children or need(take(b",")))

    def value(only: str = "") -> Value:
        nonlocal at
        group, start, end = tokens[at]
        need(only in ("", group))
        if group in ("string", "number", "name"):
            at += 1
            return {"string": STRING, "number": NUMBER}.get(group, KINDS.get(data[start:end], -1)), start, end, []
        children: list[Value] = []
        if take(b"["):
            while not ended(b"]", children):
                children.append(value())
            return ARRAY, start, tokens[at - 1][2], children
        need(take(b"{"))
        while not ended(b"}", children):
            children.append(value("string"))
            need(take(b":"))
            children.append(value())
        return OBJECT, start, tokens[at - 1][2], children

    root = value()
    need(tokens[at][0] == "end")
    return root


def flat(value: Value) -> list[tuple[int, int, int]]:
    """The tree in the order of the tape."""
    kind, start, end, children = value
    return [(kind, start, end), *(node for child in children for node in flat(child))]


def nodes_of(document: Document, node: int = 0) -> list[int]:
    """A node and all below it in the order of the tape, the key of a value before it."""
    children = [child for _, value in document.items(node) for child in (value - 1, value)] + document.elements(node)
    return [node, *(below for child in children for below in nodes_of(document, child))]


def scanned(document: Document) -> list[tuple[int, int, int]]:
    return [(document.kind(node), *document.span(node)) for node in nodes_of(document)]


# Texts: a value tree whose every token is spelled by chance.
space = st.sampled_from(["", "", "", " ", "\n", "\t\r\n  ", "          "])
numbers = st.one_of(
    st.integers().map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(["1E3", "-0", "-0.0e-0", "0.5E+10", "9" * 400, "-1." + "0" * 400, "1e999"]),
)
SHORT = {'"': '\\"', "\\": "\\\\", "/": "\\/", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
SURROGATES = ["\\ud83d", "\\uDE00", "\\ud83d\\ude00", "\\uD83D\\uD83D\\uDE00", "\\udbff\\uDFFF", "\\ud83d\\u0041"]


def raw(text: str) -> str:
    return "".join(SHORT.get(c, c) if c != "/" and (c in SHORT or c >= " ") else f"\\u{ord(c):04x}" for c in text)


def escaped(text: str) -> str:
    units = text.encode("utf-16-be")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))


def shouted(text: str) -> str:
    return "".join(SHORT.get(c) or escaped(c).upper().replace("\\U", "\\u") for c in text)


content = st.text(
    st.one_of(st.characters(codec="utf-8"), st.sampled_from('"\\/\b\f\n\r\t\x00\x7f\u2028😀\U0010ffff')), max_size=9
)
piece = st.one_of(content.map(raw), content.map(escaped), content.map(shouted), st.sampled_from(SURROGATES))
strings = st.lists(piece, max_size=3).map(lambda pieces: '"' + "".join(pieces) + '"')
keys = st.one_of(st.sampled_from(['"a"', '"\\u0061"', '""']), strings)


def within(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    element = st.tuples(space, values, space).map("".join)
    member = st.tuples(space, keys, space, st.just(":"), element).map("".join)
    return st.one_of(
        st.tuples(space, st.lists(member, max_size=4)).map(lambda t: "{" + (",".join(t[1]) or t[0]) + "}"),
        st.tuples(space, st.lists(element, max_size=4)).map(lambda t: "[" + (",".join(t[1]) or t[0]) + "]"),
    )


values = st.recursive(st.one_of(numbers, strings, st.sampled_from(["true", "false", "null"])), within, max_leaves=12)
texts = st.tuples(space, values, space).map(lambda parts: "".join(parts).encode())


@given(texts)
@example(b'{"a":1,"\\u0061":2}')
def test_nodes_have_the_kinds_and_spans_of_the_reference(data: bytes) -> None:
    assert scanned(Document(data)) == flat(reference(data))


@given(texts)
def test_strings_decode_as_pythons_json_decodes_them(data: bytes) -> None:
    document = Document(data)
    for node in nodes_of(document):
        if document.kind(node) == STRING:
            assert document.text(node) == json.loads(document.raw(node))


def pairs_of(document: Document, node: int) -> Any:
    """The value at a node, objects as lists of pairs."""
    if document.kind(node) == OBJECT:
        return [(key, pairs_of(document, value)) for key, value in document.items(node)]
    if document.kind(node) == ARRAY:
        return [pairs_of(document, value) for value in document.elements(node)]
    return json.loads(document.raw(node), parse_int=str, parse_float=str)


@given(texts)
def test_items_and_elements_rebuild_the_value_with_duplicates_and_order(data: bytes) -> None:
    expected = json.loads(data, object_pairs_hook=list, parse_int=str, parse_float=str)
    assert pairs_of(Document(data), 0) == expected


@given(texts)
def test_get_finds_what_a_dict_made_of_the_items_finds(data: bytes) -> None:
    document = Document(data)
    for node in nodes_of(document):
        items = dict(document.items(node))
        for key in [*items, "a", "", "no such key", "\ud83d", "A" * 40]:
            assert document.get(node, key) == items.get(key, -1)


@given(st.lists(st.sampled_from(["a", "b", "\u00e9", "\ud800", ""]), max_size=3))
@example(["a", "b"])
def test_paths_of_keys_lead_where_single_steps_lead(keys: list[str]) -> None:
    document = Document(
        b'{"a":{"b":"\\u00e9\\n","":[1,"x"],"a":{"b":[]}},"b":["a",{}],"\\u00e9":{"a":1},"\\ud800":"","":{"":{"":"y"}}}'
    )
    node = 0
    for key in keys:
        node = document.get(node, key) if node >= 0 else -1
    assert document.find(0, *keys) == node
    assert document.elements_at(0, *keys) == (document.elements(node) if node >= 0 else [])
    assert document.text_at(0, *keys) == (document.text(node) if node >= 0 and document.kind(node) == STRING else "")
    assert (document.find(-1, *keys), document.text_at(-1, *keys), document.elements_at(-1, *keys)) == (-1, "", [])


@given(texts)
def test_count_agrees_with_the_children(data: bytes) -> None:
    document = Document(data)
    for node in nodes_of(document):
        assert document.count(node) == len(document.items(node)) + len(document.elements(node))


@given(texts)
def test_every_number_below_len_is_that_of_a_node_and_nodes_are_in_order(data: bytes) -> None:
    document = Document(data)
    nodes = nodes_of(document)
    assert nodes == sorted(set(nodes))
    assert nodes[0] == 0
    assert nodes[-1] < len(document)
    known = set(scanned(document))
    for number in range(len(document)):
        assert (document.kind(number), *document.span(number)) in known


@given(texts)
def test_minify_drops_white_space_between_tokens_and_nothing_else(data: bytes) -> None:
    assert minify(data) == b"".join(data[start:end] for _, start, end in tokens_of(data))


def test_minify_returns_the_same_object_when_there_is_no_white_space() -> None:
    data = b'{"a":[1," ",null]}'
    assert minify(data) is data


def outcome(read: Callable[[bytes], object], data: bytes) -> bool:
    try:
        read(data)
    except (ScanError, NotJSON):
        return False
    return True


INTERESTING = [
    *(bytes([byte]) for byte in b"\"\\,:[]{}01-.e+' \n\x00\x0c\x1f\x7f\x80\xbf\xc0\xc1\xc3\xe0\xed\xf0\xf4\xf5\xff"),
    *(b"", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"\xc2\xa0", b"\\u", b"\\ud83d", b"NaN", b"true", b"nul", b"Infinity", b"//"),
]


@given(texts, st.data())
def test_accepts_and_rejects_mutated_texts_as_the_reference_does(data: bytes, draw: st.DataObject) -> None:
    for _ in range(draw.draw(st.integers(1, 3))):
        start = draw.draw(st.integers(0, len(data)))
        end = min(len(data), start + draw.draw(st.integers(0, 2)))
        data = data[:start] + draw.draw(st.one_of(st.sampled_from(INTERESTING), st.binary(max_size=2))) + data[end:]
    assert outcome(Document, data) == outcome(reference, data) == outcome(minify, data)


@given(st.binary(max_size=40).map(lambda content: b'"' + content + b'"'))
def test_strings_of_any_bytes_are_accepted_as_the_reference_does(data: bytes) -> None:
    assert outcome(Document, data) == outcome(reference, data)


def test_every_two_byte_document_is_judged_as_the_reference_does() -> None:
    for number in range(65536):
        data = number.to_bytes(2, "big")
        assert outcome(Document, data) == outcome(reference, data), data


def test_every_byte_is_judged_as_the_reference_does_at_every_place_in_a_word() -> None:
    for before in range(17):
        for byte in range(256):
            data = b'"' + b"a" * before + bytes([byte]) + b'bcdefghijklmnopq"'
            assert outcome(Document, data) == outcome(reference, data), data


def test_every_truncation_is_rejected() -> None:
    data = '{"a\\u00e9é": [1.5e+3, true, "\\ud83d\\ude00😀"], "b": {}}'.encode()
    Document(data)
    for size in range(len(data)):
        with pytest.raises(ScanError):
            Document(data[:size])


# The first and last sequences of each row of Unicode's table 3-7, and their neighbors outside.
UTF8_EDGES = [
    *(b"\xc2\x80", b"\xdf\xbf", b"\xe0\xa0\x80", b"\xed\x9f\xbf"),
    *(b"\xee\x80\x80", b"\xef\xbf\xbf", b"\xf0\x90\x80\x80", b"\xf4\x8f\xbf\xbf"),
]
NOT_UTF8 = [
    *(b"\x80", b"\xbf", b"\xc0\x80", b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xf0\x8f\xbf\xbf"),
    *(
        b"\xf4\x90\x80\x80",
        b"\xf5\x80\x80\x80",
        b"\xff",
        b"\xc3",
        b"\xe2\x82",
        b"\xf0\x9f\x98",
        b"\xe2\x28\xa1",
        b"\xf0\x9f\x28\x80",
    ),
]


@pytest.mark.parametrize("before", ["", "plain", "plain text of more than eight bytes"])
def test_well_formed_utf8_is_accepted_at_any_place_in_a_word(before: str) -> None:
    for edge in UTF8_EDGES:
        data = b'"' + before.encode() + edge + b' and"'
        assert Document(data).text(0) == before + edge.decode() + " and"


@pytest.mark.parametrize("before", [b"", b"plain", b"plain text of more than eight bytes", "é".encode()])
@pytest.mark.parametrize("after", [b"", b'"', b' and"'])
def test_malformed_utf8_names_its_reason_and_first_byte(before: bytes, after: bytes) -> None:
    for malformed in NOT_UTF8:
        with pytest.raises(ScanError) as caught:
            Document(b'["' + before + malformed + after)
        assert (caught.value.reason, caught.value.offset) == ("invalid_utf8", 2 + len(before))


@pytest.mark.parametrize(
    ("data", "reason", "offset"),
    [
        (b"", "invalid_json", 0),
        (b" \n", "invalid_json", 2),
        (b"\xef\xbb\xbf{}", "invalid_json", 0),
        (b"NaN", "invalid_json", 0),
        (b"-Infinity", "invalid_json", 1),
        (b"nulL", "invalid_json", 3),
        (b"01", "invalid_json", 1),
        (b"1.e5", "invalid_json", 2),
        (b"1e+", "invalid_json", 3),
        (b"{} {}", "invalid_json", 3),
        (b"[1,]", "invalid_json", 3),
        (b"[,1]", "invalid_json", 1),
        (b"[1}", "invalid_json", 2),
        (b'{"a":1,}', "invalid_json", 7),
        (b'{"a" 1}', "invalid_json", 5),
        (b"{a:1}", "invalid_json", 1),
        (b'{"a":}', "invalid_json", 5),
        (b'"a\nb"', "invalid_json", 2),
        (b'"a\\x"', "invalid_json", 3),
        (b'"\\u12g4"', "invalid_json", 5),
        (b'"\\u12', "invalid_json", 5),
        (b"]", "invalid_json", 0),
        (b"[1 \xff", "invalid_utf8", 3),
    ],
)
def test_errors_name_the_reason_and_the_first_offending_byte(data: bytes, reason: str, offset: int) -> None:
    for read in (Document, minify):
        with pytest.raises(ScanError) as caught:
            read(data)
        assert (caught.value.reason, caught.value.offset) == (reason, offset)


def test_nesting_has_no_limit() -> None:
    depth = 100_000
    data = b'[{"a": ' * depth + b"0" + b"}] " * depth
    document = Document(data)
    assert document.span(len(document) - 1) == (7 * depth, 7 * depth + 1)
    assert minify(data) == b'[{"a":' * depth + b"0" + b"}]" * depth
    with pytest.raises(ScanError):
        Document(data[:-2])


def test_a_thousand_levels_have_the_right_children() -> None:
    document = Document(b'[1,{"k":' * 500 + b"null" + b'},"end"]' * 500)
    node = 0
    for _ in range(500):
        one, inner, end = document.elements(node)
        assert (document.raw(one), document.text(end), document.count(inner)) == (b"1", "end", 1)
        node = document.get(inner, "k")
    assert document.kind(node) == NULL


def test_numbers_of_any_length_keep_their_spelling() -> None:
    for spelling in (b"1E3", b"-" + b"7" * 400, b"0." + b"3" * 100_000, b"1e" + b"9" * 400):
        document = Document(b"[" + spelling + b"]")
        assert [document.raw(node) for node in document.elements(0)] == [spelling]


@pytest.mark.parametrize("size", [2**27 - 1, 2**27])
def test_strings_of_any_length_are_nodes_like_others(size: int) -> None:
    long = b'"' + b"x" * (size - 2) + b'"'
    data = b"[{" + long + b":[ " + long + b"]},null]"
    document = Document(data)
    record, null = document.elements(0)
    value = document.get(record, "x" * (size - 2))
    (inner,) = document.elements(value)
    start, end = data.index(b"["), data.rindex(b"]")
    assert document.span(value - 1) == (2, 2 + size)
    assert document.span(inner) == (5 + size, 5 + 2 * size)
    assert document.span(value) == (3 + size, 6 + 2 * size)
    assert document.span(record) == (1, 7 + 2 * size)
    assert document.span(null) == (end - 4, end)
    assert document.span(0) == (start, end + 1)
    assert [document.kind(node) for node in (value - 1, value, inner, null)] == [STRING, ARRAY, STRING, NULL]


def test_unpaired_surrogate_escapes_survive_and_pairs_are_joined() -> None:
    document = Document(b'["\\ud83d", "\\ude00\\ud83d", "\\ud83d\\ude00", "\\ud83d\\ud83d\\ude00x"]')
    decoded = [document.text(node) for node in document.elements(0)]
    assert decoded == ["\ud83d", "\ude00\ud83d", "\U0001f600", "\ud83d\U0001f600x"]
    document = Document(b'{"\\ud83d": 1}')
    assert document.raw(document.get(0, "\ud83d")) == b"1"


def test_get_takes_the_last_duplicate_however_it_is_escaped() -> None:
    document = Document('{"é": 1, "\\u00e9": 2, "e": 3, "": 4}'.encode())
    assert document.raw(document.get(0, "é")) == b"2"
    assert document.raw(document.get(0, "")) == b"4"
    assert document.get(0, "\\u00e9") == -1


def test_nodes_outside_the_tape_are_index_errors() -> None:
    document = Document(b'{"a": []}')
    asks = (document.kind, document.span, document.raw, document.text, document.items, document.elements, document.count)
    for ask in asks:
        for node in (-1, len(document), 2**40, -(2**40)):
            with pytest.raises(IndexError):
                ask(node)
    with pytest.raises(IndexError):
        document.get(len(document), "a")


def test_text_of_other_kinds_is_a_type_error() -> None:
    with pytest.raises(TypeError):
        Document(b"[1]").text(0)
    with pytest.raises(TypeError):
        Document("[]")  # type: ignore[arg-type]


def test_the_document_keeps_its_bytes_alive_and_unchanged() -> None:
    data = b" ".join([b"[", b"]"])
    count = sys.getrefcount(data)
    document = Document(data)
    assert document.data is data
    assert sys.getrefcount(data) == count + 1
    del document
    assert sys.getrefcount(data) == count


def test_one_document_serves_many_threads() -> None:
    document = Document(json.dumps([{"key": f"value \u00e9 {i}", "other": i} for i in range(300)]).encode())
    wanted = [document.text(document.get(node, "key")) for node in document.elements(0)]
    found: list[list[str]] = []

    def read() -> None:
        found.append([document.text(document.get(node, "key")) for node in document.elements(0)])

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [wanted] * 8
