"""The planted faults of `tests.faults` can be planted: each has its place, and a test that is there to notice it."""

import subprocess
import sys
from collections import Counter

import pytest

from tests.faults import MUTANTS, Mutant
from tests.mutants import ROOT, MutantError, planted


def test_there_are_enough_with_names_of_their_own() -> None:
    assert len(MUTANTS) >= 20
    assert [name for name, count in Counter(mutant.name for mutant in MUTANTS).items() if count > 1] == []


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_fault_has_exactly_one_place(mutant: Mutant) -> None:
    sound = (ROOT / "headroom_asgi" / mutant.file).read_text(encoding="utf-8")
    faulty = planted(mutant, sound)
    assert faulty != sound
    if not mutant.compiled:
        compile(faulty, mutant.file, "exec")


@pytest.mark.parametrize(("old", "new"), [("a", "b"), ("none", "b"), ("c", "c")], ids=["twice", "nowhere", "no change"])
def test_a_fault_that_cannot_be_planted_is_an_error(old: str, new: str) -> None:
    with pytest.raises(MutantError, match="x: "):
        planted(Mutant("x", "file.py", old, new, "test"), "a = a + c")


def test_the_tests_that_must_notice_are_there(request: pytest.FixtureRequest) -> None:
    """Those that this run has not collected are collected now."""
    ids = [item.nodeid for item in request.session.items]
    there = {*ids, *(test.partition("[")[0] for test in ids), *(test.partition("::")[0] for test in ids)}
    missing = sorted({f"tests/{mutant.test}" for mutant in MUTANTS} - there)
    if missing:
        command = [sys.executable, "-m", "pytest", "--collect-only", "-p", "no:cacheprovider", *missing]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
