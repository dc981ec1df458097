"""Results of searches and lists of files with entries left out: what goes, what stays, and nothing told of another file."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headroom_asgi import HeadroomConfig
from headroom_asgi.compressors import ListingCompressor, SearchCompressor
from headroom_asgi.compressors.search import generated_by
from headroom_asgi.config import CompressorConfig
from tests.omitted import left_out, put_back, stay
from tests.test_logs import output_of

FEW = ["src/app.py:10:import os", "src/app.py:20:os.getcwd()"]
LOCK = [f'package-lock.json:{at * 10}:      "resolved": "https://registry.example.org/package-{at}.tgz",' for at in range(1, 30)]
MANY = [f"src/big.py:{at * 3}:    call(value_{at})" for at in range(1, 81)]


def test_hits_in_generated_files_are_left_out_with_their_lines() -> None:
    text = "\n".join([*FEW, *LOCK, FEW[0]])
    left, (omission,) = left_out(SearchCompressor(), text)
    assert stay(left) == [*FEW, FEW[0]]
    assert "29 lines left out: in generated files: package-lock.json lines 10 to 290>>" in left
    assert omission.text == "\n".join(LOCK)
    assert put_back(left, [omission]) == text


@pytest.mark.parametrize("prefix", ["node_modules/x/a.js", "web/app.min.js", "C:\\app\\node_modules\\x.js", "./.venv/lib/a.py"])
def test_files_that_tools_write_are_known_by_their_names(prefix: str) -> None:
    lines = [f"{prefix}:{at}:some text that was found in line {at}" for at in range(1, 30)]
    left, (omission,) = left_out(SearchCompressor(), "\n".join([*FEW, *lines]))
    assert stay(left) == FEW
    assert omission.units == 29


def test_of_many_hits_in_one_file_the_first_thirty_and_the_last_five_stay() -> None:
    text = "\n".join([*FEW, *MANY, *FEW])
    left, (omission,) = left_out(SearchCompressor(), text)
    assert stay(left) == [*FEW, *MANY[:30], *MANY[-5:], *FEW]
    assert "45 lines left out: more in the same file: src/big.py lines 93 to 225>>" in left
    assert put_back(left, [omission]) == text


def test_hits_of_one_file_are_counted_by_their_numbers_where_no_path_is_told() -> None:
    lines = [line.partition(":")[2] for line in MANY]
    left, (omission,) = left_out(SearchCompressor(), "\n".join(lines))
    assert stay(left) == [*lines[:30], *lines[-5:]]
    headed = ["src/a.py", *lines, "", "src/b.py", *lines[:20]]
    left, (omission,) = left_out(SearchCompressor(), "\n".join(headed))
    assert stay(left) == [*headed[:31], *headed[76:]]
    assert "src/a.py lines" in left
    assert omission.units == 45


def test_lines_around_hits_go_and_stay_with_them() -> None:
    blocks = [
        f"src/a-1-b.py-{at * 9}-before {at}\nsrc/a-1-b.py:{at * 9 + 1}:hit {at}\nsrc/a-1-b.py-{at * 9 + 2}-after {at}"
        for at in range(60)
    ]
    text = "\n--\n".join(blocks)
    left, omissions = left_out(SearchCompressor(), text)
    kept = "\n".join(stay(left))
    assert all(
        (f"before {at}\n" in kept) == (f":hit {at}\n" in f"{kept}\n") == (f"after {at}\n" in f"{kept}\n") for at in range(60)
    )
    assert kept.count(":hit ") == 35
    assert put_back(left, omissions) == text


def test_a_very_long_line_is_left_out_alone() -> None:
    text = "\n".join([FEW[0], f"web/data.json:1:{'x1 ' * 2000}", FEW[1]])
    left, (omission,) = left_out(SearchCompressor(), text)
    assert stay(left) == FEW
    assert "1 line left out: in very long lines: web/data.json lines 1 to 1>>" in left
    assert put_back(left, [omission]) == text


@pytest.mark.parametrize("question", ["what does package-lock.json say?", "look into node_modules please"])
def test_what_is_asked_for_by_name_stays(question: str) -> None:
    lines = [*LOCK, *(f"node_modules/x/a.js:{at}:some text that was found" for at in range(1, 30))]
    left, (omission,) = left_out(SearchCompressor(), "\n".join(lines), question)
    assert ("package-lock.json" in omission.text) == ("node_modules" in question)
    assert stay(left) == (LOCK if "package" in question else lines[29:])


def test_a_hit_that_is_asked_for_stays() -> None:
    left, _ = left_out(SearchCompressor(), "\n".join(MANY), arguments='{"symbol": "value_50"}')
    assert MANY[49] in stay(left)
    assert MANY[50] not in stay(left)


_PATHS = st.sampled_from(["a.py", "src/a-2-b.py", "package-lock.json", "node_modules/a/b.js", "C:\\x\\y.cs", "b c/d.txt"])
_HITS = st.builds(
    "{}{}{}{}{}".format, _PATHS, st.sampled_from(":-"), st.integers(1, 999), st.sampled_from(":-"), st.text("ab: -", max_size=20)
)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(_HITS | st.sampled_from(["--", "", "grep: x: Is a directory", "Binary file a matches", "src/a.py"]), max_size=200)
)
def test_every_hit_that_is_left_stands_in_the_input(lines: list[str]) -> None:
    text = "\n".join(lines)
    left, omissions = left_out(SearchCompressor(), text)
    assert put_back(left, omissions) == text
    rest = iter(text.split("\n"))
    assert all(line in rest for line in stay(left))
    for omission in omissions:
        said = next(line for line in left.split("\n") if line.startswith(f"<<ccr:{omission.name} "))
        assert said.startswith(f"<<ccr:{omission.name} {omission.text.count(chr(10)) + 1} line")
    assert all(line in stay(left) for line in text.split("\n") if line.startswith(("grep:", "Binary")))


FOUND = ["./README.md", "./src/app.py"]
NOISE = [f"./node_modules/package-{at}/index.js" for at in range(40)]


def test_what_lies_in_folders_that_tools_fill_is_left_out_of_a_list() -> None:
    text = "\n".join([*FOUND, "./node_modules", *NOISE, "./web/app.ts"])
    left, (omission,) = left_out(ListingCompressor(), text)
    assert stay(left) == [*FOUND, "./node_modules", "./web/app.ts"]
    assert "40 lines left out: in folders that tools fill: node_modules 40>>" in left
    assert put_back(left, [omission]) == text


def test_a_tree_keeps_the_folder_and_leaves_out_what_is_in_it() -> None:
    inside = [f"│   ├── package-{at}" for at in range(30)] + ["│   └── deep", "│       └── deeper"]
    text = "\n".join([".", "├── node_modules", *inside, "├── src", "│   └── app.py", "└── README.md"])
    left, (omission,) = left_out(ListingCompressor(), text)
    assert stay(left) == [".", "├── node_modules", "├── src", "│   └── app.py", "└── README.md"]
    assert omission.text == "\n".join(inside)


def test_a_recursive_list_leaves_out_what_stands_below_the_heading_of_such_a_folder() -> None:
    entries = [f"-rw-r--r-- 1 root root {at} Mar  1 10:00 object{at}" for at in range(20)]
    text = "\n".join(
        ["./src:", "total 1", entries[0], "", "./.git/objects:", "total 9", *entries, "", "./web:", "total 1", entries[1]]
    )
    left, (omission,) = left_out(ListingCompressor(), text)
    assert [line for line in stay(left) if line] == ["./src:", "total 1", entries[0], "./web:", "total 1", entries[1]]
    assert put_back(left, [omission]) == text


def test_a_list_that_was_asked_for_stays() -> None:
    text = "\n".join(NOISE)
    assert left_out(ListingCompressor(), text, arguments='{"command": "find ./node_modules"}') == (text, [])


def test_of_a_very_long_list_the_middle_goes() -> None:
    lines = [f"./src/module_{at}/component_{at}/file_{at}.py" for at in range(3000)]
    text = "\n".join(lines)
    left, (omission,) = left_out(ListingCompressor(), text)
    assert stay(left) == [*lines[:200], *lines[-50:]]
    assert omission.units == 2750


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("src/app.py", ""),
        ("src/node_modules.py", ""),
        ("a/node_modules/b", "node_modules"),
        ("Cargo.lock", "Cargo.lock"),
        ("a\\b\\yarn.lock", "yarn.lock"),
        ("rust/target/debug/app", "target/debug"),
        ("target/app.py", ""),
        ("web/x.min.css", "x.min.css"),
    ],
)
def test_a_generated_file_is_known_by_a_part_of_its_path(path: str, name: str) -> None:
    assert generated_by(path) == name
    assert not name or generated_by(path, f"open {name}") == ""


@pytest.mark.parametrize(("lines", "label"), [([*FEW, *LOCK], "search:lines"), ([*FOUND, *NOISE], "search:entries")])
def test_the_section_of_the_configuration_switches_both(lines: list[str], label: str) -> None:
    text = "\n".join(lines)
    assert label in output_of(text, HeadroomConfig())
    assert not re.search("search", output_of(text, HeadroomConfig(search=CompressorConfig(enabled=False))))
