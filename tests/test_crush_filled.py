"""Texts with groups as they read, and groups of what is left of them once runs of their lines were said by references."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headroom_asgi._crush import crush, expand, filled, regroup
from tests.crush_cases import crushed, tables_in_text
from tests.crush_reference import FILLS, LINE_ENDS, OMISSIONS, RAWS, STARTS, WIDTHS, decode, head

LOG = [f"[main] job {number} of all the jobs took {number * 37 % 1000} ms" for number in range(40)]
REFERENCE = "[+3 lines as in result 7]"


def as_read(form: str) -> str | None:
    """The filled form, which stands for the same."""
    found = filled(form.encode())
    if found is None:
        return None
    text = found.decode()
    assert text.startswith(("[", "<<ccr:")) or text == decode(form)
    return text


def regrouped(folded: str, form: str) -> str | None:
    """What is left with groups, which reads as what was left."""
    found = regroup(folded.encode(), form.encode())
    if found is None:
        return None
    assert filled(found) == folded.encode()
    return found.decode()


def test_each_row_is_filled_in_and_a_head_that_says_nothing_else_is_gone() -> None:
    text = "\n".join(["first", *LOG, "last"])
    form = crushed(text)
    assert form.startswith(head("text", FILLS))
    assert as_read(form) == text
    assert as_read(crushed("one line and another\n" * 40)) is None
    assert as_read(text) is None


def test_what_else_the_head_says_stays() -> None:
    envelope = {"type": "text", "text": "\n".join(LOG)}
    found = crush(json.dumps(envelope).encode())
    assert found is not None
    form = found[0].decode()
    assert as_read(form) == "\n".join([head('json in {type: text, text: """}'), *LOG])
    read = filled(found[0])
    assert read is not None
    assert json.loads(expand(read)) == envelope


@pytest.mark.parametrize(
    ("notes", "kept"),
    [((STARTS,), ()), ((FILLS, WIDTHS, LINE_ENDS), ()), ((RAWS, FILLS), (RAWS,)), ((FILLS, OMISSIONS), (OMISSIONS,))],
)
def test_only_notes_on_groups_are_taken_off(notes: tuple[str, ...], kept: tuple[str, ...]) -> None:
    body = "[main] *\n one\n two\nend"
    read = "\n".join([*([head("text", *kept)] if kept else []), "[main] one", "[main] two", "end"])
    assert as_read(f"{head('text', *notes)}\n{body}") == read
    marker = "<<ccr:0-1 3 lines left out>>\n"
    assert as_read(f"{marker}{head('text', *notes)}\n{body}") == marker + read


def test_marks_are_left_outside_of_heads_and_rows() -> None:
    rule, blanks = "=" * 60, " " * 30
    text = "\n".join([rule, *LOG[:10], *[LOG[10]] * 30, *LOG[11:], rule, f"{rule}{blanks}x", *["the same line once more"] * 9])
    form = crushed(text)
    assert RAWS in form.split("\n")[0]
    assert FILLS in form.split("\n")[0]
    read = as_read(form)
    assert read is not None
    assert read.split("\n")[0] == head("text", RAWS)
    assert decode(read) == text


@pytest.mark.parametrize(
    "body",
    [
        '[main] ⟦"x" × 30⟧ *\n one\n two',
        '[main] *\n one ⟦"x" × 30⟧\n two',
        "* of\\n*\n one\ttwo\n⟦× 3⟧",
        "[main] *\n one\n⟦json⟧\na: 1\n⟦end⟧",
    ],
)
def test_a_text_is_compared_as_it_stands_where_marks_and_rows_mix(body: str) -> None:
    assert as_read(f"{head('text', RAWS, FILLS, LINE_ENDS)}\n{body}") is None


def test_what_would_be_taken_for_a_form_is_compared_as_it_stands() -> None:
    assert as_read(f"{head('text', FILLS)}\n[text]\n[main] *\n one\n two") is None
    assert as_read(f"{head('json', FILLS)}\na: *\n one") is None
    assert as_read(f"{head('json in {text: (json)}', FILLS)}\na: *\n one") is None


def test_rows_go_on_below_a_mark_that_repeats_one() -> None:
    form = f"{head('text', RAWS, FILLS)}\n[main] * of *\n a\tb\n⟦× 3⟧\n c\td"
    assert decode(form) == "\n".join(["[main] a of b"] * 3 + ["[main] c of d"])
    assert as_read(form) == f"{head('text', RAWS)}\n[main] a of b\n⟦× 3⟧\n[main] c of d"


def test_records_that_repeat_are_rows_each() -> None:
    records = [f"- id: {number}\n  name: nobody\n  role: administrator" for number in [*range(12), *[12] * 30, *range(13, 24)]]
    form = crushed("\n".join(records))
    assert form.count("\n 12") == 30
    assert as_read(form) == "\n".join(records)


def test_where_a_text_was_cut_off_groups_end() -> None:
    form = f'[json cut in {{text: """; {RAWS}; {FILLS}]\n[main] * of *\n a\tb\n c\td⟦cut⟧\n (cut)'
    read = as_read(form)
    assert read == f'[json cut in {{text: """; {RAWS}]\n[main] a of b\n[main] c of d⟦cut⟧\n (cut)'
    assert decode(read) == decode(form)


def test_what_is_left_has_groups_and_references_stand_alone() -> None:
    form = crushed("\n".join(LOG))
    left = "\n".join([LOG[0], REFERENCE, *LOG[4:20], REFERENCE, *LOG[23:]])
    short = regrouped(left, form)
    assert short is not None
    assert short.startswith(head("text", FILLS) + "\n")
    assert short.split("\n").count(REFERENCE) == 2
    assert short.count("[main] job") <= 3
    # Records of a line and a reference are none.
    pairs = "\n".join(line for number in range(30) for line in (f"[main] job {number} of all the jobs is done", REFERENCE))
    assert (regrouped(pairs, form) or "").count(REFERENCE) in (0, 30)
    assert regrouped(f"short\n{REFERENCE}", form) is None


def test_markers_and_head_stay_before_what_is_left() -> None:
    marker = "<<ccr:0-1 3 lines left out>>\n"
    form = marker + crushed("\n".join(LOG))
    left = marker + "\n".join([LOG[0], REFERENCE, *LOG[4:]])
    short = regrouped(left, form)
    assert short is not None
    assert short.startswith(marker + head("text", FILLS) + "\n")


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(tables_in_text(), st.lists(st.tuples(st.integers(0, 80), st.integers(1, 20)), max_size=4))
def test_any_form_reads_as_its_text_and_what_is_left_of_it_comes_back(text: str, runs: list[tuple[int, int]]) -> None:
    form = crushed(text)
    read = as_read(form)
    if read is None:
        return
    assert text == (decode(read) if read.startswith(head("text", RAWS)) else read)
    lines = read.split("\n")
    for at, count in runs:
        if at + 1 < len(lines):
            lines[at + 1 : at + 1 + count] = [REFERENCE]
    regrouped("\n".join(lines), form)
