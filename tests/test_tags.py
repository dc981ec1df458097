"""XML on one line: shown with a line for each tag, so that its elements are records, and read back byte for byte."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headroom_asgi._crush import expand
from headroom_asgi.compressors import Request, TextCompressor
from headroom_asgi.errors import ExpandError
from tests.crush_reference import FILLS, LINE_ENDS, TAGS, decode, head

NAMES = ["Luca Haddad", "Freya Schmidt", "Priya Costa", "Yuki Ito"] * 5
NOTE = "[text; line breaks between > and < were added]\n"


def order(number: int, name: str) -> str:
    return f"<order><id>{1000 + number}</id><customer><name>{name}</name><country>NO</country></customer><due/></order>"


def form_of(text: str) -> str | None:
    compressed = TextCompressor().compress(text, Request())
    return None if compressed is None else compressed.text


def spread(text: str) -> str:
    """The text with a line break added behind each tag that stands before another one."""
    return re.sub(r">(?=\n*<)", ">\n", text)


def test_the_elements_of_xml_on_one_line_are_records_that_begin_with_their_tag() -> None:
    text = f'<?xml version="1.0"?>\n<orders total="20">{"".join(map(order, range(20), NAMES))}</orders>'
    shape = r"<order>\n<id>*</id>\n<customer>\n<name>*</name>\n<country>NO</country>\n</customer>\n<due/>\n</order>"
    rows = [f" {1000 + number}\t{name}" for number, name in enumerate(NAMES)]
    lines = [head("text", TAGS, FILLS, LINE_ENDS), '<?xml version="1.0"?>', "", '<orders total="20">', shape, *rows, "</orders>"]
    form = form_of(text)
    assert form == "\n".join(lines)
    assert expand(form.encode()).decode() == text
    assert decode(form) == text


def test_a_row_holds_the_values_of_one_element_also_where_the_first_one_differs() -> None:
    text = "<list>" + order(0, "").replace("<name></name>", "<name/><vip/>") + "".join(map(order, range(20), NAMES)) + "</list>"
    form = form_of(text)
    assert form is not None
    assert " 1000\tLuca Haddad\n 1001\tFreya Schmidt\n" in form
    assert expand(form.encode()).decode() == text


@pytest.mark.parametrize("between", ["", "\n", "\n\n", "\r\n", " ", "\n  "])
def test_line_breaks_of_the_text_itself_come_back(between: str) -> None:
    text = "".join(map(order, range(20), NAMES)).replace("</id><customer>", f"</id>{between}<customer>")
    form = form_of(text)
    assert form is not None
    assert expand(form.encode()).decode() == text
    assert decode(form) == text


def test_what_is_no_shorter_by_a_tenth_stays_on_its_line() -> None:
    assert form_of("".join(f"<{name.replace(' ', '')}{number}/>" for number, name in enumerate(NAMES))) is None


def test_the_note_is_of_texts_only_and_the_first() -> None:
    for form in ("[json; line breaks between > and < were added]\na: 1", NOTE.replace("; ", "; \\n = new line; ", 1) + "a"):
        with pytest.raises(ExpandError):
            expand(form.encode())


@given(text=st.text(alphabet="<>\n\r a/", max_size=60))
def test_every_text_reads_back_from_its_spread_form(text: str) -> None:
    form = NOTE + spread(text)
    assert expand(form.encode()).decode() == text
    assert decode(form) == text


pieces = st.text(alphabet="<>/\n\r ab*_\\\t⟦×", max_size=6)


@given(inside=st.lists(pieces, min_size=1, max_size=4), around=st.tuples(pieces, pieces), count=st.integers(8, 30))
def test_elements_of_any_content_read_back(inside: list[str], around: tuple[str, str], count: int) -> None:
    rows = [
        f"<row><id>{number}</id>{inside[number % len(inside)]}<state>open</state><kind>usual</kind></row>"
        for number in range(count)
    ]
    text = f"{around[0]}{''.join(rows)}{around[1]}"
    form = form_of(text)
    if form is not None:
        assert expand(form.encode()).decode() == text
        assert decode(form) == text
