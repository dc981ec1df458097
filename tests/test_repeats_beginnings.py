"""Texts that begin with what stands above: said without an anchor, from which line on, where the first line is long."""

import pytest

from tests.test_repeats import FILE, fold, folded, numbered, results

RECEIPT = "The file src/engine.py has been updated. Here is the result of running `cat -n` on a snippet of the edited file:"
OTHER = [f"others.append({n})  # they have a line of their own" for n in range(40)]
LONG = [
    f"{line}, which is said at such a length that it takes many tokens to say it once more, {n}"
    for n, line in enumerate(FILE[:40])
]


def test_a_long_first_line_that_stands_above_is_named() -> None:
    first = "\n".join([RECEIPT, *numbered(FILE[:9], 30)])
    second = "\n".join([RECEIPT, *numbered(OTHER[:9], 70)])
    third = "\n".join(["Something else is said first, so it is a line further down.", RECEIPT, *FILE[80:90]])
    short = folded(first, f"{second}\n{FILE[0]}\n" + "\n".join(LONG), third, "\n".join(LONG))
    assert short[3] == "[+40 lines as in result 2, from line 12]"
    assert short[1] == "\n".join([RECEIPT, *numbered(OTHER[:9], 70), FILE[0], *LONG])
    short = folded(first, f"{second}\n" + "\n".join(numbered(FILE[:9], 30)))
    assert short[1].startswith("[+1 line as in result 1, from line 1]\n")


def test_a_short_first_line_stays_and_is_an_anchor() -> None:
    text = "\n".join(FILE)
    assert folded(text, text)[1].startswith(f"{FILE[0]}\n[+199 lines")


def test_lines_behind_the_head_of_a_form_are_named() -> None:
    text = "\n".join(["[text]", *LONG])
    assert folded("\n".join(LONG), text)[1] == "[text]\n[+40 lines as in result 1, from line 1]"
    assert folded("\n".join(LONG), f"Look:\n{text}")[1] == f"Look:\n[text]\n{LONG[0]}\n[+39 lines as in result 1]"


def test_a_head_is_never_said_by_a_reference() -> None:
    text = "\n".join([f"[text; {RECEIPT}]", *LONG])
    assert folded(text, text)[1].startswith(f"[text; {RECEIPT}]\n[+40 lines")


def test_lines_with_other_numbers_have_an_anchor() -> None:
    short = folded("\n".join(numbered(LONG)), "\n".join(numbered(LONG, 7)))[1]
    assert short == f"     7→{LONG[0]}\n[+39 lines as in result 1, numbered from 8]"


def test_a_first_line_stays_with_what_stands_under_it() -> None:
    head = f"class {RECEIPT.replace(' ', '_')}:"
    below = [f"    {line}" for line in OTHER]
    text = "\n".join([head, *below[:9]])
    assert folded("\n".join([head, *(f"    {line}" for line in FILE[:9])]), text)[1] == text


@pytest.mark.parametrize("count", [1, 3])
def test_what_does_not_get_shorter_in_bytes_stays(count: int) -> None:
    dense = [f"{n * 7919:x}#{n * 104729:x}?{n * 1299709:x}" for n in range(9, 9 + count)]
    texts = ["\n".join(["an_anchor_of_theirs", *dense]).encode()] * 2
    long = (1, b"a_member_that_has_a_name[0].which_goes_on_and_on_and_on_and_is_longer_than_that of result 1's call", b"")
    assert fold(texts, [12, 12], [long, *results(2)[1:]])[1] is None
