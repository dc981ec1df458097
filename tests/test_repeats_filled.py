"""Repeats between texts with groups: lines are compared as they read, whatever heads they stand under."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headroom_asgi import compress, expand_messages
from headroom_asgi._crush import filled
from tests.crush_reference import FILLS, head

LOG = [
    f"2025-11-14 19:30:{number:02} [worker-{number % 3}] INFO request {number * 37} took {number * 7 % 90} ms"
    for number in range(50)
]
FAILED = [line.replace("INFO", "FAIL") for line in LOG[20:23]]


def conversation(*outputs: str) -> list[dict[str, Any]]:
    """The messages in which a tool gives those outputs."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": "What is slow?"}]
    for number, output in enumerate(outputs):
        call = {"id": f"call_{number}", "type": "function", "function": {"name": "tail", "arguments": "{}"}}
        messages += [
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": f"call_{number}", "content": output},
        ]
    return messages


def forwarded(*outputs: str) -> list[str]:
    """The outputs as a model reads them; they are read back as they were."""
    messages = conversation(*outputs)
    after = compress(messages, model="gpt-4o").messages
    assert expand_messages(after) == messages
    return [message["content"] for message in after if message["role"] == "tool"]


def test_lines_are_found_again_under_another_head() -> None:
    first, second = forwarded("\n".join(LOG), "\n".join([*LOG[:20], *FAILED, *LOG[23:]]))
    assert first.startswith(head("text", FILLS))
    assert second.startswith("[+20 lines as in result 1, from line 1]")
    assert second.count("FAIL") == 3
    assert len(second.split("\n")) < 9


def test_what_is_left_stands_in_groups_where_that_is_shorter() -> None:
    more = [line.replace("request", "reply") for line in LOG]
    _, second = forwarded("\n".join(LOG), "\n".join([*LOG[:25], *more]))
    assert second.startswith(head("text", FILLS))
    assert "[+25 lines as in result 1, from line 1]" in second
    assert second.count("reply") <= 3


def test_lines_of_a_folded_text_are_referred_to_by_those_who_come_later() -> None:
    texts = ["\n".join(LOG[:30]), "\n".join(LOG[10:]), "\n".join(["last", *LOG[5:45]])]
    _, second, third = forwarded(*texts)
    assert "as in result 1, from line 11]" in second
    assert "as in result 1" in third
    assert "as in result 2" in third


def test_a_text_of_the_client_that_looks_like_a_form_stays() -> None:
    form = f"{head('text', FILLS)}\n[main] * took *\n" + "\n".join(f" job {number}\t{number} ms" for number in range(60))
    assert filled(form.encode()) is not None
    messages = conversation(form, form.replace("job 30", "task 30"))
    assert compress(messages, model="gpt-4o").messages == messages


def rows(seed: int, count: int = 40) -> list[str]:
    """Lines of one shape in no order, that no other seed gives."""
    return [f"2025-11-14 {n * 7 % 60:02}:{seed:02} [worker-{n * seed % 89}] INFO request {n * n + seed}" for n in range(count)]


TABLE = json.dumps(
    [{"id": n, "city": f"city number {n * 7 % 13}", "people": n * n * 31, "state": "open"} for n in range(40)], indent=2
)
ANSWER = ["The answer of the server was:", TABLE, "and that was all of it"]


@pytest.mark.parametrize(
    "behind",
    [rows(2), [*rows(2), "another line then", *rows(9)], [*rows(2)[:20], *rows(9)]],
    ids=["as before", "as before and more", "half of it"],
)
def test_a_text_that_is_read_as_it_stands_is_never_folded_to_one_that_is_filled_in(behind: list[str]) -> None:
    """Without the block of JSON in it, which goes with what repeats, its head would say how to read all that follows."""
    first, second = forwarded("\n".join([*rows(1), *ANSWER, *rows(2)]), "\n".join([*rows(3), *ANSWER, *behind]))
    assert first.startswith("[text;")
    assert filled(first.encode()) is None
    assert filled(second.encode()) is None


def test_rows_that_stand_for_far_more_than_they_take_are_not_filled_in() -> None:
    def text(length: int) -> bytes:
        stem = "a" * length
        return "\n".join(["[text; x* = each indented line below starts with x]", f"{stem}*", *[" b"] * 3000]).encode()

    full = filled(text(20))
    assert full is not None
    assert full.split(b"\n")[-1] == b"a" * 20 + b"b"
    assert filled(text(2_000)) is None
    assert filled(text(20_000)) is None


SOURCE = [line for n in range(30) for line in (f"    def part_{n}(self) -> int:", f"        return self.total({n}) + 1", "", "")]


def view(lines: list[str], start: int = 1) -> str:
    return "\n".join(f"{number:6}→{line}" for number, line in enumerate(lines, start))


def test_views_are_compared_with_the_numbers_of_their_blank_lines_and_go_without() -> None:
    edited = [*SOURCE[:40], "        # what is new", "", "        # stands here", *SOURCE[44:]]
    first, second = forwarded(view(SOURCE), view(edited))
    assert "\n2\t        return self.total(0) + 1\n\n\n5\t" in first
    assert second.split("\n")[1:] == [
        "[+36 lines as in result 1]",
        "37\t    def part_9(self) -> int:",
        "38\t        return self.total(9) + 1",
        "",
        "",
        "41\t        # what is new",
        "",
        "43\t        # stands here",
        "44\t    def part_11(self) -> int:",
        "[+75 lines as in result 1, numbered from 45]",
    ]


@given(
    st.lists(
        st.tuples(st.integers(0, 110), st.integers(3, 120), st.integers(1, 120), st.sampled_from(["", "x", "    y = 1"])),
        min_size=2,
        max_size=6,
    )
)
def test_views_with_blank_lines_come_back_however_they_overlap(cuts: list[tuple[int, int, int, str]]) -> None:
    texts = []
    for start, count, first, change in cuts:
        lines = SOURCE[start : start + count]
        texts.append(view([*lines[: count // 2], change, *lines[count // 2 :]], first))
    forwarded(*texts)
