"""Records that repeat the key under which they stand: the head says so, and no row says it again."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headroom_asgi._crush import crush, expand
from headroom_asgi.errors import ExpandError
from tests.crush_cases import ODD_STRINGS
from tests.crush_reference import GAPS, decode, head
from tests.json_exact import same


def crushed(document: str) -> str:
    """The crush text of a document, from which both readers make the document again."""
    found = crush(document.encode("utf-8", "surrogatepass"), anyway=True)
    assert found is not None
    text = found[0].decode()
    assert same(expand(found[0]).decode(), document)
    assert same(decode(text), document)
    return text


def test_a_member_that_is_the_key_of_its_record_is_said_by_the_head() -> None:
    methods = {
        f"{kind}_{number}": {
            "source": kind,
            "amount": number,
            "id": f"{kind}_{number}",
            **({"brand": "visa"} if kind == "card" else {}),
        }
        for kind in ("card", "gift")
        for number in (8190333, 6754990, 8390038)
    }
    rows = [f" {key}\t{one['source']}\t{one['amount']}\t{one.get('brand', '')}" for key, one in methods.items()]
    columns = " {6}: (key)\tsource\tamount\tid=(key)\tbrand"
    assert crushed(json.dumps({"methods": methods})) == "\n".join([head("json", GAPS), f"methods{columns}", *rows])


def test_a_member_that_is_another_text_in_one_record_has_cells() -> None:
    methods = {f"card_{number}": {"id": f"card_{number + (number == 7)}", "amount": number * 17} for number in range(12)}
    assert "{12}: (key)\tid\tamount\n" in crushed(json.dumps(methods))


def test_members_of_lists_and_texts_that_look_like_it_are_ordinary() -> None:
    assert '="(key)"' in crushed(json.dumps({f"k{n}": {"note": "(key)", "size": n * 111} for n in range(9)}))
    assert "=(key)" not in crushed(json.dumps([{"key": f"item-{n}", "id": f"item-{n}", "size": n} for n in range(9)]))
    assert "=(key)" not in crushed(json.dumps({str(n): {"id": n, "size": n * 111} for n in range(100, 120)}))


@pytest.mark.parametrize(
    "text",
    [
        "[json]\n[2]: id=(key)\ta\n1\n2",
        "[json]\n{2}: (key)\ta, id=(key)\nx\t1\ny\t2",
        "[json]\n{2}: (key)\tid=(key) \ta\nx\t1\ny\t2",
        "[json]\n{2}: (key)\tid=(keys)\ta\nx\t1\ny\t2",
        "[json]\n{2}: (key)\tid=(key)\nx\tx\ny\ty",
        "[json]\n{2}: (key)\tid=(key)\tid.a\nx\t1\ny\t2",
        "[json]\n{2}: (key)\ta(id)\na [2]: id=(key)\tb\n 1\n 2\nx\t1\ny\t2",
    ],
)
def test_a_key_that_no_row_has_is_refused(text: str) -> None:
    with pytest.raises(ExpandError):
        expand(text.encode())
    with pytest.raises(ValueError):
        decode(text)


NAMES = st.sampled_from(ODD_STRINGS) | st.text(max_size=12)


@st.composite
def maps(draw: st.DrawFn) -> dict[str, Any]:
    """Records under keys that most of them repeat, somewhere among other members."""
    names = draw(st.lists(NAMES, min_size=2, max_size=6, unique=True))
    others = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    told = draw(st.integers(0, len(others) - 1))
    values = st.sampled_from(names) | st.integers() | st.none() | st.sampled_from(ODD_STRINGS)
    exact = draw(st.booleans())
    return {
        name: {key: name if at == told and (exact or draw(st.booleans())) else draw(values) for at, key in enumerate(others)}
        for name in names
    }


@given(maps(), st.booleans())
def test_maps_whose_records_say_their_keys_come_back(value: dict[str, Any], nested: bool) -> None:
    document = json.dumps({"a": [1, {"m": value}]} if nested else value)
    found = crush(document.encode(), anyway=True)
    if found is not None and found[0].startswith(b"[json"):
        assert same(expand(found[0]).decode(), document)
        assert same(decode(found[0].decode()), document)
