"""Logs with lines left out: what goes, what always stays, and that all of it can be had again."""

import re
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headroom_asgi import HeadroomConfig, TransformPipeline
from headroom_asgi.compressors import LogCompressor
from headroom_asgi.config import CompressorConfig
from headroom_asgi.transforms import Context, drain, payload_of
from tests.omitted import left_out, put_back, stay

HEAD = ["$ make test", "cd /app", "env: test", "start"]
TAIL = ["", "done in 3 s", "a", "b", "c", "exit code 1"]


def log(*lines: str) -> str:
    """A log with these lines far enough from both ends."""
    return "\n".join([*HEAD, *lines, *TAIL])


RUNNERS = {
    "pytest -v": [f"tests/test_app.py::test_number_{at} PASSED [ {at:2}%]" for at in range(40)],
    "pytest -rA": [f"PASSED tests/test_app.py::test_error_{at}" for at in range(40)],
    "unittest": [f"test_number_{at} (app.tests.NumberTests) ... ok" for at in range(40)],
    "jest": [f"PASS src/components/button{at}.test.tsx (5.1 s)" for at in range(40)],
    "mocha": [f"    ✓ renders the button number {at} (12 ms)" for at in range(40)],
    "tap": [f"ok {at} - should return the number" for at in range(60)],
    "go -v": [line for at in range(30) for line in (f"=== RUN   TestNumber{at}", f"--- PASS: TestNumber{at} (0.00s)")],
    "go": [f"ok  \texample.com/app/package{at}\t0.012s" for at in range(40)],
    "cargo": [f"test numbers::test_{at} ... ok" for at in range(60)],
    "gtest": [line for at in range(30) for line in (f"[ RUN      ] Number.Test{at}", f"[       OK ] Number.Test{at} (0 ms)")],
    "ctest": [f" {at}/40 Test  #{at}: number_{at} ..........   Passed    0.01 sec" for at in range(40)],
    "maven": [
        f"[INFO] Tests run: 3, Failures: 0, Errors: 0, Skipped: 0, Time elapsed: 0.01 s - in a.b.C{at}"[7:] for at in range(40)
    ],
    "gradle": [f"NumberTest > addsNumber{at}() PASSED" for at in range(60)],
}


@pytest.mark.parametrize("lines", RUNNERS.values(), ids=RUNNERS)
def test_passed_tests_are_left_out_with_their_count(lines: Sequence[str]) -> None:
    text = log(*lines)
    left, (omission,) = left_out(LogCompressor(), text)
    assert stay(left) == [*HEAD, lines[0], *TAIL]
    assert f"{len(lines) - 1} lines left out: {len(lines) - 1} passed tests" in left
    assert omission.units == len(lines) - 1
    assert omission.text == "\n".join(lines[1:])
    assert put_back(left, [omission]) == text


@pytest.mark.parametrize(
    "failure",
    [
        "tests/test_app.py::test_other FAILED [ 50%]",
        "FAILED tests/test_app.py::test_other - ValueError",
        "test_other (app.tests.NumberTests) ... FAIL",
        "    ✕ renders the form (8 ms)",
        "not ok 31 - should return the number",
        "--- FAIL: TestOther (0.01s)",
        "FAIL\texample.com/app/other\t0.012s",
        "test numbers::other ... FAILED",
        "[  FAILED  ] Number.Other (1 ms)",
        "SomeTest > other() FAILED",
        "app.py:3: warning: unused name",
        "E   assert 1 == 2",
    ],
)
@pytest.mark.parametrize("lines", RUNNERS.values(), ids=RUNNERS)
def test_what_failed_stays_among_passed_tests(lines: Sequence[str], failure: str) -> None:
    text = log(*lines, failure, *lines)
    left, omissions = left_out(LogCompressor(), text)
    assert failure in stay(left)
    assert put_back(left, omissions) == text


PROGRESS = {
    "pip": [f"Collecting package-{at}==1.{at}\n  Downloading package_{at}-1.{at}-py3-none-any.whl (12 kB)" for at in range(20)],
    "apt": [f"Get:{at} http://deb.example.org/debian stable/main amd64 package{at} amd64 1.{at} [12 kB]" for at in range(30)],
    "dpkg": [f"Unpacking package{at} (1.{at}) ...\nSetting up package{at} (1.{at}) ..." for at in range(20)],
    "cargo": [f"   Compiling package-{at} v1.{at}.0" for at in range(40)],
    "docker": [f"{at:012x}: Pull complete" for at in range(40)],
    "git": [f"Receiving objects:  {at}% ({at}/100)" for at in range(100)],
    "cmake": [f"[{at:3}%] Building C object CMakeFiles/app.dir/file{at}.c.o" for at in range(40)],
    "ninja": [f"[{at}/40] Building CXX object file{at}.cc.o" for at in range(40)],
    "bar": [f"downloading model: {at}%|{'█' * (at // 4)}| {at}/100 [00:01<00:02]" for at in range(0, 100, 4)],
    "gradle": [f"> Task :module{at}:compileJava UP-TO-DATE" for at in range(40)],
}


@pytest.mark.parametrize("lines", PROGRESS.values(), ids=PROGRESS)
def test_progress_is_left_out(lines: Sequence[str]) -> None:
    text = log(*lines)
    left, (omission,) = left_out(LogCompressor(), text)
    shown = "\n".join(lines).split("\n")
    assert stay(left) == [*HEAD, shown[0], *TAIL]
    assert f"{len(shown) - 1} progress" in left
    assert put_back(left, [omission]) == text


def test_lines_with_other_numbers_are_thinned_to_the_first_three_and_the_last() -> None:
    lines = [f"2025-03-01 10:00:{second:02} INFO request {second * 7} took {second} ms" for second in range(50)]
    left, (omission,) = left_out(LogCompressor(), log(*lines))
    assert stay(left) == [*HEAD, *lines[:3], lines[-1], *TAIL]
    assert omission.units == 46
    assert "46 lines left out: 46 like lines above, 46 INFO, 2025-03-01 10:00:03 to 2025-03-01 10:00:48>>" in left


def test_a_change_among_lines_alike_stays() -> None:
    lines = [f"10:00:{second:02} poll {second}: state pending" for second in range(50)]
    lines[30] = "10:00:30 poll 30: state ready"
    left, omissions = left_out(LogCompressor(), log(*lines))
    assert lines[30] in stay(left)
    assert len(omissions) == 2


def test_lines_of_numbers_are_data_and_stay() -> None:
    lines = [f"{at} {at * 3} {at * 7}" for at in range(100)]
    assert left_out(LogCompressor(), log(*lines)) == (log(*lines), [])


def test_equal_lines_stay_since_they_can_be_said_without_loss() -> None:
    text = log(*["waiting for the database to come up"] * 80)
    assert left_out(LogCompressor(), text) == (text, [])


@pytest.mark.parametrize(
    "trouble",
    [
        "ERROR: disk full",
        "warning: old",
        "Connection refused",
        "Killed",
        "Permission denied",
        "panic: nil",
        "exit status 2",
        "npm ERR! x",
    ],
)
def test_trouble_stays_with_what_stands_around_it(trouble: str) -> None:
    lines = [f"2025-03-01 10:00:{second:02} INFO request {second * 7} was served" for second in range(60)]
    lines[30] = trouble
    left, omissions = left_out(LogCompressor(), log(*lines))
    assert "\n".join(lines[27:34]) in left
    assert len(omissions) == 2


TRACE = [
    "Traceback (most recent call last):",
    '  File "/app/server.py", line 310, in handle_request_of_client',
    "    response = self.application.dispatch(request, timeout=self.timeout)",
    '  File "/app/application.py", line 101, in dispatch',
    "    return self.handlers[request.path](request)",
    '  File "/app/handlers.py", line 12, in orders',
    '    return json.loads(request.body)["orders"]',
    "KeyError: 'orders'",
]
JAVA = [
    "java.lang.IllegalStateException: no connection",
    *(f"\tat com.example.app.service.layer{at}.Handler.handle(Handler.java:{at * 3 + 10})" for at in range(12)),
]


@pytest.mark.parametrize("trace", [TRACE, JAVA], ids=["python", "java"])
def test_a_stack_trace_stands_whole_once_and_then_by_its_first_and_last_line(trace: list[str]) -> None:
    text = log(*trace, "again", *trace, "and again", *trace, "over")
    left, omissions = left_out(LogCompressor(), text)
    assert "\n".join([*trace, "again"]) in left
    assert left.count(trace[0]) == 3
    assert left.count("stack trace as above") == len(omissions) == 2
    assert left.count(trace[1]) == 1
    assert put_back(left, omissions) == text
    if trace is TRACE:
        assert left.count("KeyError: 'orders'") == 3


def test_of_a_long_log_ordinary_lines_far_from_both_ends_go() -> None:
    words = ["red", "green", "blue", "grey", "pink", "gold", "black"]
    lines = [f"INFO {words[at % 7]} {'x' * (at % 97)} was seen by {words[at % 5]} {'y' * (at % 89)}" for at in range(1200)]
    lines[600] = "ERROR: it broke"
    text = "\n".join(lines)
    left, omissions = left_out(LogCompressor(), text)
    kept = stay(left)
    assert kept[:100] == lines[:100]
    assert kept[-200:] == lines[-200:]
    assert lines[597:604] == [line for line in kept if line in lines[597:604]]
    assert len(omissions) == 2
    assert "ordinary lines" in left
    assert put_back(left, omissions) == text
    short = "\n".join(lines[:500])
    assert left_out(LogCompressor(), short) == (short, [])


@pytest.mark.parametrize(("question", "arguments"), [("what about test_number_17?", ""), ("", '{"pattern": "test_number_17"}')])
def test_a_line_that_is_asked_for_stays(question: str, arguments: str) -> None:
    lines = RUNNERS["pytest -v"]
    left, omissions = left_out(LogCompressor(), log(*lines), question, arguments)
    assert lines[17] in stay(left)
    assert lines[16] not in stay(left)
    assert put_back(left, omissions) == log(*lines)


def test_a_literal_that_is_part_of_a_longer_name_is_not_that_name() -> None:
    lines = RUNNERS["pytest -v"]
    left, _ = left_out(LogCompressor(), log(*lines), "what about test_number_1?")
    assert stay(left) == [*HEAD, lines[0], lines[1], *TAIL]


def test_a_literal_that_many_lines_hold_keeps_none_of_them() -> None:
    lines = RUNNERS["pytest -v"]
    left, _ = left_out(LogCompressor(), log(*lines), "run tests/test_app.py")
    assert lines[20] not in stay(left)


def test_nothing_is_left_out_that_does_not_pay_for_its_marker() -> None:
    text = log(*RUNNERS["pytest -v"][:4])
    assert left_out(LogCompressor(), text) == (text, [])


_LINES = [line for lines in (*RUNNERS.values(), *PROGRESS.values(), TRACE, JAVA, HEAD, TAIL) for line in lines]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(_LINES) | st.text(st.characters(exclude_categories=["Cs"]), max_size=30), max_size=120),
    st.sampled_from(["", "Test9"]),
)
def test_what_stays_keeps_bytes_and_order_and_the_rest_comes_back(lines: list[str], question: str) -> None:
    text = "\n".join(lines)
    left, omissions = left_out(LogCompressor(), text, question)
    assert put_back(left, omissions) == text
    assert [omission.units for omission in omissions] == [omission.text.count("\n") + 1 for omission in omissions]
    rest = iter(text.split("\n"))
    assert all(line in rest for line in stay(left))
    assert all(line in stay(left) for line in text.split("\n") if re.search(r"\b(?:ERROR|FAILED|fatal)\b", line))


def output_of(text: str, config: HeadroomConfig) -> str:
    """What a model gets of a tool's output."""
    call = {"id": "1", "type": "function", "function": {"name": "bash", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "go on"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": text},
    ]
    step = drain(
        TransformPipeline(config).steps(payload_of(messages, "gpt-4o", "openai-chat"), Context(redeemable=True), model="gpt-4o")
    )
    return step.report.decisions[-1].compressed.label if step.report.decisions[-1].compressed is not None else ""


def test_the_section_of_the_configuration_switches_it() -> None:
    text = log(*RUNNERS["unittest"])
    assert "logs:lines" in output_of(text, HeadroomConfig())
    assert "logs:lines" not in output_of(text, HeadroomConfig(logs=CompressorConfig(enabled=False)))
    assert "logs:lines" not in output_of(text, HeadroomConfig(logs=CompressorConfig(except_tools=["bash"])))


def test_what_all_results_hold_names_none_of_them() -> None:
    lines = [f"tests/test_orders.py::test_case_{n}_of_a_longer_name PASSED [{n:3}%]" for n in range(14)]
    text = log(*lines, "tests/test_orders.py::test_refund FAILED [100%]")
    left, _ = left_out(LogCompressor(), text, "", '{"command": "pytest tests/test_orders.py -v"}')
    assert lines[9] not in left
    left, _ = left_out(LogCompressor(), text, "does test_case_9_of_a_longer_name pass?", "")
    assert lines[9] in left
    assert lines[8] not in left


def test_a_pasted_run_does_not_name_the_results_of_the_next_one() -> None:
    lines = [f"tests/test_{n}.py::test_case_of_a_longer_name_{n} PASSED [{n:3}%]" for n in range(60)]
    pasted = "\n".join([*(line.replace("PASSED", "FAILED") for line in lines)] * 4)
    left, _ = left_out(LogCompressor(), log(*lines), f"please mend them: {pasted}", "")
    assert lines[30] not in left


def warned(place: int, says: str) -> str:
    return f"tests/test_{place}.py::test_a\n  /srv/app/module_{place}.py:{place}: DeprecationWarning: {says}\n    call(name)\n\n"


def test_warnings_in_other_places_go_where_they_say_the_same_as_one_above() -> None:
    summary = "=== warnings summary ===\n" + "".join(warned(place, f"use new_{place % 2} instead") for place in range(20))
    text = log(*f"{summary}-- Docs: x".split("\n"))
    left, omissions = left_out(LogCompressor(), text)
    assert put_back(left, omissions) == text
    assert left.count("use new_0 instead") == left.count("use new_1 instead") == 1
    assert "72 lines left out: 72 of warnings as above>>\n-- Docs: x" in left
    assert left_out(LogCompressor(), text, "Which warnings are there?") == (text, [])
    elsewhere = text.replace("= warnings summary", "= summary")
    assert left_out(LogCompressor(), elsewhere) == (elsewhere, [])


@pytest.mark.parametrize(
    "says",
    [
        "not valid:\n  option number {} is wrong",
        "x" * 500 + " option {}",
        "not valid\n    warn(text)\n  /srv/app/b.py:5: RuntimeWarning: division by zero in {}",
        "not valid:\n2026-01-02 10:00:{:02} a row without a name",
    ],
    ids=["the next line", "the end of a long line", "another warning", "a time in the next line"],
)
@pytest.mark.parametrize("prefix", ["", "2026-01-02T10:00:00.0000000Z "])
def test_warnings_stay_that_differ_anywhere(says: str, prefix: str) -> None:
    def summary(*warnings: str) -> str:
        return "\n".join(prefix + line for line in f"=== warnings summary ===\n{''.join(warnings)}-- Docs: x".split("\n"))

    def left_of(text: str) -> str:
        return left_out(LogCompressor(), log(*text.split("\n")))[0]

    count = 29 * len(warned(0, says).splitlines())
    assert f" {count} of warnings as above>>" in left_of(summary(*(warned(at, says.format(1)) for at in range(30))))
    assert "of warnings as above" not in left_of(summary(*(warned(at, says.format(at)) for at in range(30))))


def test_paragraphs_stay_that_say_something_before_a_warning() -> None:
    noted = "".join(f"tests/test_a.py::test\n  <frozen importlib>:1: note {at}\n{warned(1, 'x')}" for at in range(30))
    text = log(*f"=== warnings summary ===\n{noted}-- Docs: x".split("\n"))
    assert left_out(LogCompressor(), text) == (text, [])
