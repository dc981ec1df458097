"""Lines that begin alike stand under a head that says the beginning once, and come back byte for byte."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headroom_asgi._crush import crush, estimate, expand
from tests.crush_cases import crushed
from tests.crush_reference import RAWS, STARTS, decode, head

GROUPED = head("text", STARTS) + "\n"


def lines(start: str, *rests: str) -> str:
    return "\n".join(start + rest for rest in rests)


NAMES = [f"test_case_{number} PASSED" for number in range(12)]
EVENTS = [
    "started",
    "waits for 3 workers",
    "lost one",
    "found another",
    "is ready",
    "stops",
    "flushes its queue",
    "has no more work",
    "ends",
    "was killed",
]


@pytest.mark.parametrize(
    ("start", "rests"),
    [
        ("tests/unit/test_cache.py::", [f"test_case_{number}" for number in range(12)]),
        ("src/models/user.rs:", [f"{number}:fn case_{number}() {{}}" for number in range(40, 60)]),
        ("src/models/user.rs:", [f"fn case_{number}() {{}}" for number in range(40, 60)]),
        ("[2025-11-14T", [f"19:29:5{number}.360Z] {event}" for number, event in enumerate(EVENTS)]),
        ("2025-11-14 ", [f"19:29:5{number} {event}" for number, event in enumerate(EVENTS)] * 2),
        ("build (latest)\tSet up job\t2025-11-14T", [f"19:29:5{number}.360Z {event}" for number, event in enumerate(EVENTS)]),
        ("[worker-17] ", [f"got job {number}" for number in range(20)]),
        ("service-a-1  | ", [f"got job {number}" for number in range(20)]),
    ],
)
def test_what_lines_begin_with_is_said_once_up_to_where_a_reader_expects(start: str, rests: list[str]) -> None:
    text = lines(start, *rests)
    assert crushed(text) == GROUPED + start + "*\n" + lines(" ", *rests)
    assert crushed(f"other\n{text}\nmore\n") == f"{GROUPED}other\n{start}*\n{lines(' ', *rests)}\nmore\n"


def test_a_match_and_the_lines_around_it_are_one_group() -> None:
    text = "\n".join(
        f"src/models/user.rs{':' if number % 5 == 0 else '-'}{number}{'-:'[number % 5 == 0]}  x{number}" for number in range(30)
    )
    first, beginning, *rests = crushed(text).split("\n")
    assert (first + "\n", beginning) == (GROUPED, "src/models/user.rs*")
    assert rests[:2] == [" :0:  x0", " -1-  x1"]


@pytest.mark.parametrize(
    "text",
    [
        lines("https://example.org/docs/", *(f"page-{number}" for number in range(20))),
        lines("/usr/lib/python3/", *(f"module_{number}" for number in range(20))),
        lines("example.org:80", *(f"{number}" for number in range(20))),
        lines("docker.io/library/redis:", *(f"v{number}" for number in range(20))),
        lines("/tmp/issue-08-getcwd/", *(f"file{number}" for number in range(20))),
        lines("    indented.py:", *(f"line {number}" for number in range(20))),
        lines("------ | ", *(f"{number}" for number in range(20))),
        lines("from typing import ", *(f"Name{number}" for number in range(20))),
        lines('{"log": "[INFO] ', *(f'{number}"}}' for number in range(20))),
        lines("<td>[INFO] ", *(f"{number}</td>" for number in range(20))),
    ],
)
def test_nothing_that_is_looked_up_as_a_whole_is_cut(text: str) -> None:
    assert STARTS not in crushed(text).split("\n")[0]


def test_a_line_that_opens_a_value_is_in_no_group() -> None:
    value = json.dumps({"names": [f"name {number}" for number in range(40)]}, indent=2)
    text = lines("2025-11-14T19:29:51 [INFO] ", *EVENTS, value) + "\n"
    short = crushed(text)
    assert short.split("\n")[0] == head("text", STARTS, RAWS)
    assert "\n2025-11-14T19:29:51 [INFO] ⟦json2⟧\nnames" in short


def test_lines_that_look_like_a_group_stand_under_a_bare_head() -> None:
    group = lines("tests/unit/test_cache.py::", *EVENTS)
    text = f"/**\n * a comment\n */\n{group}\n  indented\n{group}*\n  indented\n*\n"
    short = crushed(text)
    assert short.startswith(f"{GROUPED}*\n /**\n  * a comment\n  */\ntests/unit/test_cache.py::*\n started\n")
    assert "\n was killed\n*\n   indented\ntests/unit" in short
    assert short.endswith(" was killed*\n*\n   indented\n*\n")


def test_a_text_in_an_envelope_has_groups_and_a_text_in_a_fence_has_none() -> None:
    text = lines("tests/unit/test_cache.py::", *EVENTS) + "\n/**\n * x\n"
    envelope = json.dumps({"type": "text", "text": text, "annotations": None})
    found = crush(envelope.encode())
    assert found is not None
    first, beginning, *_ = found[0].decode().split("\n")
    assert first == head('json in mcp text """', STARTS)
    assert beginning == "tests/unit/test_cache.py::*"
    assert json.loads(expand(found[0])) == json.loads(decode(found[0].decode())) == json.loads(envelope)
    fenced = crush(json.dumps({"a": text, "rows": [{"key": number, "value": "x"} for number in range(20)]}).encode())
    assert fenced is not None
    assert fenced[0].decode().startswith(f'[json]\na: """\n{text}\n"""\n')


def test_without_the_note_no_line_is_a_head() -> None:
    body = "a*\n b\n"
    assert expand(f"[text]\n{body}".encode()).decode() == body
    assert expand(f"{GROUPED}{body}".encode()).decode() == "ab\n"
    assert expand(f"{GROUPED}a*\n b\n c\nd\n e".encode()).decode() == "ab\nac\nd\n e"
    assert expand(f"{GROUPED}a*\n".encode()).decode() == "a*\n"
    assert expand(f"{GROUPED} a*\n b\n".encode()).decode() == " a*\n b\n"


PIECES = st.sampled_from(
    [
        "src/app/user.py:",
        "12:",
        "-13-",
        "::",
        "2024-01-02T10:11:12",
        "[main] ",
        "worker | ",
        "tab\t",
        "*",
        " ",
        "  ",
        "{",
        "[",
        "é",
        "\r",
        "x",
    ]
)
STARTINGS = st.sampled_from(
    ["src/app/models/user.py:", "2024-01-02T10:11:12 [main] ", "tests/test_a.py::TestA::", "job\tstep one\t", "", " "]
)


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    st.lists(
        st.tuples(STARTINGS, st.lists(st.lists(PIECES, max_size=4).map("".join), min_size=1, max_size=12)),
        min_size=1,
        max_size=6,
    )
)
def test_any_text_comes_back(groups: list[tuple[str, list[str]]]) -> None:
    text = "\n".join(lines(start, *rests) for start, rests in groups)
    short = crushed(text)
    assert short == text or estimate(short.encode()) < estimate(text.encode())


def test_beginnings_do_not_add_up_to_more_than_the_format_allows() -> None:
    with pytest.raises(ValueError, match="256 MiB"):
        expand((GROUPED + "x" * (1 << 20) + "*" + "\n " * 300).encode())
