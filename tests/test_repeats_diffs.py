"""Diffs of what stands above, and what stands above in a diff: lines behind signs, without signs and without numbers."""

import json
from difflib import unified_diff
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headroom_asgi import ExpandError, TransformPipeline, expand_messages
from headroom_asgi._crush import Above
from headroom_asgi.transforms import Shown, unfold
from tests.test_repeats import FILE, fold, folded, numbered, results

CODE = [f"    {line}" if n % 5 else line for n, line in enumerate(FILE[:60])]
OTHER = [f"    others.append({n})  # they have a line of their own" for n in range(40)]


def patch(before: list[str], after: list[str], context: int = 3) -> str:
    """A diff as git prints it, but for its index line."""
    lines = unified_diff(before, after, "a/code.py", "b/code.py", n=context, lineterm="")
    return "\n".join(["diff --git a/code.py b/code.py", *lines])


def test_a_diff_of_what_the_model_wrote_names_it() -> None:
    short = folded("File created.", patch([], CODE), calls=[{"content": "\n".join(CODE)}, {}])[1].split("\n")
    assert short[-2:] == [f"+{CODE[0]}", '[+59 lines as in content of result 1\'s call, each behind "+"]']


@pytest.mark.parametrize(("before", "after", "sign"), [(CODE, [], "-"), (CODE, [*CODE, "the_end = here"], " ")])
def test_a_run_has_one_sign_which_is_said(before: list[str], after: list[str], sign: str) -> None:
    short = folded("\n".join(CODE), patch(before, after, 100))[1]
    assert f'[+59 lines as in result 1, each behind "{sign}"]' in short


def test_an_anchor_may_have_another_sign_than_what_follows() -> None:
    before, after = CODE[:20], [*CODE[:20], *OTHER]
    short = folded("Edited.", patch(before, after), calls=[{"new_string": "\n".join(["", CODE[19], *OTHER])}, {}])[1]
    assert short.endswith(f' {CODE[19]}\n[+40 lines as in new_string of result 1\'s call, each behind "+"]')


def test_lines_between_changes_are_said_by_themselves() -> None:
    after = [line for n, line in enumerate(CODE) if n != 30]
    short = folded("\n".join(CODE), patch(CODE, after, 12))[1].split("\n")
    assert f"-{CODE[30]}" in short
    said = [line for line in short if line.startswith("[+")]
    assert said == [f'[+{count} lines as in result 1, each behind " "]' for count in (11, 12)]


@pytest.mark.parametrize("sign", ["\t", "→", ":"])
def test_a_view_of_what_a_diff_showed_has_its_own_numbers(sign: str) -> None:
    view = "\n".join(numbered(CODE, 1, 1, sign))
    short = folded(patch([], CODE), view)[1]
    assert short == f"1{sign}{CODE[0]}\n[+59 lines as in result 1, without signs, numbered from 2]"


def test_what_a_diff_showed_is_named_whatever_the_signs_are() -> None:
    after = [*CODE[:20], *OTHER, *CODE[20:]]
    short = folded(patch(CODE, after, 8), "\n".join(after[12:68]))[1]
    assert short == f"{CODE[12]}\n[+55 lines as in result 1, without signs]"


def test_a_file_that_a_patch_makes_is_named_when_it_is_read() -> None:
    written = "\n".join(["*** Begin Patch", "*** Add File: code.py", *(f"+{line}" for line in CODE), "*** End Patch"])
    short = folded("Done.", "\n".join(numbered(CODE)), calls=[{"input": written}, {}])[1]
    assert short.endswith("[+59 lines as in input of result 1's call, without signs, numbered from 2]")


@pytest.mark.parametrize("sign", ["\t", "→", ":"])
def test_lines_of_a_view_are_named_where_they_stand_without_numbers(sign: str) -> None:
    short = folded("\n".join(numbered(CODE, 8, 1, sign)), "\n".join(CODE))[1]
    assert short == f"{CODE[0]}\n[+59 lines as in result 1, without numbers]"
    short = folded("\n".join(numbered(["# the same head", *CODE, "# the same head", *OTHER], 8, 1, sign)), "\n".join(CODE[:30]))[
        1
    ]
    assert short == f"{CODE[0]}\n[+29 lines as in result 1, without numbers]"


def test_where_it_stands_is_said_if_the_anchor_stands_there_twice() -> None:
    twice = [CODE[0], "something else", *CODE]
    assert "from line 4, each behind" in folded("\n".join(twice), patch([], CODE))[1]
    assert "from line 8, without signs]" in folded(patch([], twice), "\n".join(CODE))[1]


def test_where_lines_have_numbers_the_place_is_one_of_them() -> None:
    twice = numbered([CODE[0], "something else", *CODE], 300)
    assert "from number 303, without numbers]" in folded("\n".join(twice), "\n".join(CODE))[1]
    assert "from number 303, numbered from 8]" in folded("\n".join(twice), "\n".join(numbered(CODE, 7)))[1]
    views = [*numbered(["another file", *OTHER, CODE[0]], 300), *numbered(CODE, 300)]
    assert "from line 44, without numbers]" in folded("\n".join(views), "\n".join(CODE))[1]


def test_a_diff_that_stands_there_as_it_is_is_referred_to_as_such() -> None:
    diff = patch([], CODE)
    for short in folded("\n".join(CODE), diff, f"Again:\n{diff}")[2:]:
        assert "result 2" in short
        assert "each behind" not in short


def test_only_lines_of_hunks_have_signs() -> None:
    indented = "\n".join(f" {line}" for line in CODE)
    assert folded("\n".join(CODE), indented)[1] == indented
    assert folded(indented, "\n".join(CODE))[1] == "\n".join(CODE)
    listed = "\n".join(f"-{line}" for line in CODE)
    assert folded("\n".join(CODE), listed)[1] == listed
    behind = f"{patch(OTHER, OTHER[1:])}\nno line of a diff\n{indented}"
    assert folded("\n".join(CODE), behind)[1] == behind


def test_a_line_that_one_sign_does_not_say_ends_the_run() -> None:
    diff = patch([], CODE).split("\n")
    diff[30] = f"-{CODE[26]}"
    short = folded("\n".join(CODE), "\n".join(diff))[1].split("\n")
    assert diff[30] in short
    assert sum(line.startswith("[+") for line in short) == 2


def test_something_left_out_inside_a_diff_ends_the_run() -> None:
    odd = "a line with <<ccr:0123 in it"
    text = "\n".join([*CODE[:20], odd, *CODE[20:]])
    assert f"+{odd}" in folded(text, patch([], text.split("\n")))[1].split("\n")


def test_a_head_stays_with_what_stands_under_it_behind_signs_too() -> None:
    block = ["def first():", *OTHER[:10], "def another_one():"]
    short = folded("\n".join([*block, *OTHER[:3]]), patch([], [*block, *OTHER[20:]]))[1].split("\n")
    assert "+def another_one():" in short


def test_a_note_at_the_end_of_a_file_stays() -> None:
    diff = patch([], CODE) + "\n\\ No newline at end of file\n" + patch(CODE[:40], OTHER[:9] + CODE[:40])
    short = folded("\n".join(CODE), diff, calls=[{}, {}])[1].split("\n")
    assert short[6] == "\\ No newline at end of file"
    assert sum("each behind" in line for line in short) == 1


REFUSED = [
    "[+3 lines as in result 1, without signs]",
    '[+3 lines as in result 1, from line 60, each behind "+"]',
    "[+3 lines as in result 1, without signs, numbered from 7]",
]


@pytest.mark.parametrize("reference", REFUSED)
def test_lines_that_are_not_there_are_refused(reference: str) -> None:
    with pytest.raises(ExpandError):
        unfold([Shown("\n".join(CODE), (1, 1)), Shown(f"+{CODE[0]}\n{reference}", (2, 1))])


# -- properties ------------------------------------------------------------------------------------------------------------

SENTENCE = "The file code.py has been updated, and here is what stands there now, around the lines that were changed in it:"
POOL = [
    "",
    "}",
    "\t",
    "+ plus",
    "- minus",
    "++",
    " 12→twelve of them",
    "12\ttwelve of them",
    *CODE[:12],
    "@@ not a hunk",
    SENTENCE,
]
STATES = st.lists(st.lists(st.sampled_from(POOL), max_size=25), min_size=1, max_size=3)
SHOWN = st.tuples(
    st.sampled_from(["plain", "view", "diff", "combined", "patch", "call", "both"]),
    st.integers(0, 2),
    st.integers(0, 2),
    st.integers(0, 9),
    st.sampled_from(["", "\r", "\n"]),
)


def told(kind: str, before: list[str], after: list[str], number: int) -> list[str]:
    """The lines by which an agent's tool says what changed, or what is there."""
    if kind == "view":
        return numbered(after, number, number % 3, "→\t:"[number % 3])
    if kind == "diff":
        noted = ["\\ No newline at end of file"] * (number % 2)
        return patch(before, after, number).split("\n") + noted
    if kind == "both":
        return [*after, *patch(before, after, number).split("\n"), "now it is", *numbered(after), "and printed", *after]
    if kind == "combined":
        return [
            "diff --cc code.py",
            "@@@ -1,9 -1,9 +1,9 @@@",
            *("+-  "[number % 4 : number % 4 + 1] + "+" + line for line in after),
        ]
    if kind == "patch":
        return ["*** Begin Patch", "*** Add File: code.py", *(f"+{line}" for line in after), "*** End Patch"]
    return after


def texts_of(states: list[list[str]], shown: list[tuple[str, int, int, int, str]]) -> list[tuple[bool, str]]:
    """What is shown, and whether the model wrote it in a call."""
    texts = []
    for kind, before, after, number, end in shown:
        lines = told(kind, states[before % len(states)] * 2, states[after % len(states)] * 2, number)
        ending = "\n" if end == "\n" else ""
        texts.append((kind in ("call", "patch"), "\n".join(f"{line}\r" if end == "\r" else line for line in lines) + ending))
    return texts


@settings(max_examples=600, deadline=None)
@given(STATES, st.lists(SHOWN, max_size=8))
def test_what_was_folded_unfolds_to_what_it_was(states: list[list[str]], shown: list[tuple[str, int, int, int, str]]) -> None:
    outputs: list[str] = []
    calls: list[dict[str, str]] = [{}]
    for n, (in_call, text) in enumerate(texts_of(states, shown)):
        if in_call:
            calls[-1][f"edits[{n}].text"] = text
        else:
            outputs.append(text)
            calls.append({})
    folded(*outputs, calls=calls[:-1])


@settings(max_examples=200, deadline=None)
@given(STATES, st.lists(SHOWN, max_size=6), st.lists(SHOWN, max_size=4), st.integers(0, 6))
def test_a_result_depends_on_what_stands_before_it_only(
    states: list[list[str]],
    shown: list[tuple[str, int, int, int, str]],
    others: list[tuple[str, int, int, int, str]],
    kept: int,
) -> None:
    texts = [text.encode() for _, text in texts_of(states, shown)]
    more = [text.encode() for _, text in texts_of(states, others)]
    above = Above()
    for n, text in enumerate(texts):
        above.add([text], [12], results(n + 1)[n:])
    kept = min(kept, len(texts))
    above.cut(kept)
    both = texts[:kept] + more
    whole = fold(both, [12] * len(both), results(len(both)))
    assert above.add(more, [12] * len(more), results(len(both))[kept:]) == whole[kept:]
    assert fold(texts[:kept], [12] * kept, results(kept)) == whole[:kept]


def test_a_diff_that_was_taken_back_hides_no_other() -> None:
    diff, view, other = patch([], CODE).encode(), "\n".join(CODE).encode(), "\n".join(OTHER * 3).encode()
    above = Above()
    above.add([diff, b"Again:\n" + diff], [-1, -1], results(2))
    above.cut(1)
    said = above.add([other, view], [-1, 32], results(3)[1:])
    assert said == fold([diff, other, view], [-1, -1, 32], results(3))[1:]
    assert said[1] is not None


# -- in conversations ------------------------------------------------------------------------------------------------------


def conversation(*turns: tuple[str, dict[str, Any], str]) -> list[dict[str, Any]]:
    """Each turn is a tool, the arguments of its call and the output."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": "please mend this"}]
    for n, (tool, arguments, output) in enumerate(turns):
        call = {"id": f"c{n}", "type": "function", "function": {"name": tool, "arguments": json.dumps(arguments)}}
        messages += [
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": f"c{n}", "content": output},
        ]
    return messages


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_file_that_was_written_compared_and_read_comes_back(end: str) -> None:
    code = end.join(CODE)
    diff = end.join(patch(CODE[:10], CODE).split("\n")) + f"{end}\\ No newline at end of file"
    view = end.join(numbered(CODE))
    messages = conversation(
        ("Write", {"file_path": "code.py", "content": code}, "File created."),
        ("Bash", {"command": "git diff"}, diff),
        ("Read", {"file_path": "code.py"}, view),
        ("Bash", {"command": "cat code.py"}, code),
    )
    after = TransformPipeline().apply(messages, model="gpt-4o").messages
    texts = [message["content"] for message in after if message["role"] == "tool"]
    assert 'lines as in content of result 1\'s call, each behind "+"]' in texts[1]
    assert "[+59 lines as in content of result 1's call, numbered from 2]" in texts[2]
    assert all(len(text) < 800 for text in texts)
    assert expand_messages(after) == messages
