"""Times of log lines: which are left out, what a reader still knows, and where they stay."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headroom_asgi.compressors.base import Request
from headroom_asgi.compressors.logs import LogCompressor
from headroom_asgi.compressors.omission import Markers
from headroom_asgi.compressors.times import without_times

REF = "0123456789abcdef0123456789abcdef"
WORDS = ["fork mode enabled", "fetching upstream", "branch pushed to remote", "pull request opened", "waiting for an answer"]


def log(head: str = "[2025-11-13T09:30:{:02}.{:03}Z] [INFO] ", per_second: int = 6, seconds: int = 10) -> str:
    lines = [
        head.format(second, 37 * n + second) + f"{WORDS[n % 5]} of {second}"
        for second in range(seconds)
        for n in range(per_second)
    ]
    return "\n".join(lines)


def left(text: str, question: str = "", whole: tuple[str, ...] = ()) -> tuple[str | None, Markers]:
    markers = Markers(REF)
    return without_times(text, Request(question=question, ref=REF), whole, markers), markers


@pytest.mark.parametrize(
    ("head", "rest"),
    [
        ("[2025-11-13T09:30:{:02}.{:03}Z] [INFO] ", "[INFO] "),
        ("2025-11-13 09:30:{:02},{:03} - app.worker - INFO - ", "app.worker - INFO - "),
        ("2025/11/13 09:30:{:02}.{:03} ", ""),
        ("09:30:{:02}.{:03} INFO ", "INFO "),
        ("Nov 13 09:30:{:02} host app[{}]: ", "host app["),
        ("Test\tRun tests\t2025-11-13T09:30:{:02}.{:03}1234Z ", "Test\tRun tests\t"),
        ("  114-Test\tRun tests\t2025-11-13T09:30:{:02}.{:03}1234Z ", "  114-Test\tRun tests\t"),
    ],
)
def test_a_time_stays_where_its_second_is_another(head: str, rest: str) -> None:
    text = log(head)
    short, markers = left(text)
    assert short is not None
    marker, *lines = short.split("\n")
    assert marker.startswith(f"<<ccr:{REF}-a 50 times left out: ")
    for number, (line, whole) in enumerate(zip(lines, text.split("\n"), strict=True)):
        if number % 6 == 0:
            assert line == whole
        else:
            assert line.startswith(rest)
            assert whole.endswith(line.removeprefix(rest))
            assert re.search("09:30:[0-9]", line) is None
    assert [omission.text for omission in markers.omissions] == [text]


@pytest.mark.parametrize("question", ["why is it so slow?", "the latency of each step, please", "How long did the push take?"])
def test_a_question_about_times_keeps_them(question: str) -> None:
    assert left(log(), question)[0] is None


def test_lines_that_are_asked_for_stay_whole() -> None:
    lines = log().split("\n")
    short, _ = left(log(), whole=(lines[4],))
    assert short is not None
    assert lines[4] in short.split("\n")
    assert lines[5] not in short.split("\n")


def test_nothing_goes_where_every_line_is_of_another_second() -> None:
    assert left(log(per_second=1, seconds=60))[0] is None


def test_few_times_stay() -> None:
    assert left(log(seconds=1))[0] is None


def test_a_log_that_lost_its_times_stays_as_it_is() -> None:
    text = LogCompressor().omit(log(), Request(ref=REF), Markers(REF))
    assert text is not None
    assert LogCompressor().omit(text, Request(ref=REF), Markers(REF)) is None


def test_times_in_rows_of_a_table_stay() -> None:
    text = "\n".join(f"pod-{n}\tRunning\t2025-10-17T23:23:11Z\t{n % 3} restarts" for n in range(60))
    assert left(text)[0] is None


def test_columns_that_are_no_times_stay() -> None:
    text = "\n".join(f"{n} 12:00:00 is when trains to Oslo leave on day {n} of the month" for n in range(200))
    assert left(text)[0] is None


LINE = st.one_of(
    st.builds(
        "{}2025-11-13T09:30:0{}.{:03}Z{}{}".format,
        st.sampled_from(["", "[", "7:", "job\tstep\t", "\t", "at "]),
        st.integers(0, 3),
        st.integers(0, 999),
        st.sampled_from(["] ", " ", "\t", "", "x", " - "]),
        st.sampled_from(WORDS),
    ),
    st.sampled_from([*WORDS, "", "    at main (app.py)", "[INFO] and more"]),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(LINE, min_size=40, max_size=90))
def test_what_is_left_of_a_line_is_its_end_and_the_second_stands_above(lines: list[str]) -> None:
    short, markers = left("\n".join(lines))
    if short is None:
        return
    assert markers.omissions[0].text == "\n".join(lines)
    second = ""
    for line, whole in zip(short.split("\n")[1:], lines, strict=True):
        found = re.search(r"09:30:0[0-9]", whole)
        if line == whole:
            second = found[0] if found and re.match(r"(?:7:|job\tstep\t)?\[?2025-11-13T[0-9:.]+Z\]?[ \t]", whole) else second
        else:
            assert found is not None
            assert found[0] == second
            assert len(line) < len(whole)
            assert whole.endswith(line[-8:])
