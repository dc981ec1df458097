"""Planted faults: each is put into a copy of the tree in turn, and the test that it names must then fail.

    python -m tests.mutants [NAME ...]      (all faults of `tests.faults` if none is named)

The tree itself is never touched. Each of two workers has a copy of its own and takes the next fault from one list; faults of the
compiled kernel come last, as each of them has the copy's kernel rebuilt and no other fault should run on such a kernel.
"""

import argparse
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from tests.faults import MUTANTS, Mutant

ROOT: Final = Path(__file__).resolve().parent.parent
WORKERS: Final = 2
TIMEOUT_S: Final = 60  # a test that hangs has noticed the fault
BUILD_TIMEOUT_S: Final = 300
_LEFT_BEHIND: Final = (".*", "__pycache__", "*.c", "*.egg-info", "build", "dist")
_FAILED: Final = 1  # pytest's exit code for tests that ran and failed; the others say that they did not run


class MutantError(Exception):
    """A fault that cannot be planted, or a copy that does not work without any."""


class Copy:
    """A copy of the tree, in which one fault at a time is planted."""

    def __init__(self, place: Path) -> None:
        self.place = place
        shutil.copytree(ROOT, place, ignore=shutil.ignore_patterns(*_LEFT_BEHIND))
        # Byte code goes by size and second of a source; two faults in a file can have both in common.
        self._environment = {**os.environ, "PYTHONPATH": str(place), "PYTHONDONTWRITEBYTECODE": "1", "CYTHON_FORCE_REGEN": "1"}
        self._environment.pop("HEADROOM_REQUIRE_ALL", None)

    def check(self) -> None:
        """Make sure that what is imported is the copy's, kernel and all."""
        program = "import headroom_asgi, headroom_asgi._crush as kernel; print(headroom_asgi.__file__); print(kernel.__file__)"
        found = self._run([sys.executable, "-c", program], TIMEOUT_S).stdout.split()
        if len(found) != 2 or not all(Path(file).is_relative_to(self.place) for file in found):
            raise MutantError(f"what is imported is not the copy in {self.place}: {found}")

    def test(self, tests: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run tests up to the first that fails. TimeoutExpired if they take too long."""
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--hypothesis-seed=0"]
        return self._run([*command, *(f"tests/{test}" for test in tests)], TIMEOUT_S)

    def verdict(self, mutant: Mutant) -> str:
        """Plant a fault, run its test, take the fault out: `caught` (and how), or `SURVIVED`. MutantError if that can't be."""
        file = self.place / "headroom_asgi" / mutant.file
        sound = file.read_text(encoding="utf-8")
        file.write_text(planted(mutant, sound), encoding="utf-8")
        try:
            if mutant.compiled:
                self._build()
            done = self.test([mutant.test])
        except subprocess.TimeoutExpired:
            return "caught (it hangs)"
        finally:
            file.write_text(sound, encoding="utf-8")
        if done.returncode not in (0, _FAILED):
            raise MutantError(f"{mutant.name}: the test did not run\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return "caught" if done.returncode else "SURVIVED"

    def _build(self) -> None:
        try:
            done = self._run([sys.executable, "setup.py", "build_ext", "--inplace", "--force"], BUILD_TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            raise MutantError("the kernel takes too long to build") from error
        if done.returncode:
            raise MutantError(f"the kernel does not build\n{done.stderr[-2000:]}")

    def _run(self, command: Sequence[str], timeout_s: float) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=self.place, env=self._environment, capture_output=True, text=True, timeout=timeout_s, check=False
        )


def planted(mutant: Mutant, sound: str) -> str:
    """The source of a file with the fault in it. MutantError unless there is exactly one place for it."""
    places = sound.count(mutant.old)
    if places != 1 or mutant.new == mutant.old:
        raise MutantError(f"{mutant.name}: {mutant.old!r} occurs {places} times in {mutant.file}; say it anew in tests/faults.py")
    return sound.replace(mutant.old, mutant.new)


def check_sound(copy: Copy, tests: Sequence[str]) -> None:
    """Make sure that the tests pass without any fault."""
    copy.check()
    try:
        done = copy.test(tests)
    except subprocess.TimeoutExpired as error:
        raise MutantError("without any fault the tests take too long") from error
    if done.returncode:
        raise MutantError(f"without any fault a test fails\n{done.stdout[-4000:]}{done.stderr[-2000:]}")


def run(mutants: Sequence[Mutant], folder: Path) -> bool:
    """Plant every fault and print what came of it; whether all were caught."""
    copies = [Copy(folder / str(number)) for number in range(WORKERS)]
    tests = sorted({mutant.test for mutant in mutants})
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(check_sound, copies, (tests[number::WORKERS] or tests for number in range(WORKERS))))
        print(f"{len(tests)} tests pass without any fault", flush=True)
        free: queue.SimpleQueue[Copy] = queue.SimpleQueue()
        for copy in copies:
            free.put(copy)
        verdicts = list(pool.map(lambda mutant: _reported(mutant, free), sorted(mutants, key=lambda m: m.compiled)))
    caught = sum(verdict.startswith("caught") for verdict in verdicts)
    print(f"{caught} of {len(mutants)} faults caught")
    return caught == len(mutants)


def _reported(mutant: Mutant, free: "queue.SimpleQueue[Copy]") -> str:
    """The verdict on one fault, in a copy that is free; printed as a line of the table."""
    copy = free.get()
    started = time.perf_counter()
    try:
        verdict = copy.verdict(mutant)
    except MutantError as error:
        verdict = f"ERROR: {error}"
    finally:
        free.put(copy)
    print(f"{mutant.name:<44} {time.perf_counter() - started:5.1f} s  {verdict:<18} {mutant.test}", flush=True)
    return verdict


def main() -> int:
    """Exit code 0 if every fault was caught, else 1."""
    parser = argparse.ArgumentParser(description="Plant faults in a copy of the tree; each must make its test fail.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="of faults in tests/faults.py; all if none is given")
    wanted = parser.parse_args().names
    unknown = set(wanted) - {mutant.name for mutant in MUTANTS}
    if unknown:
        parser.error(f"no such fault: {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory(prefix="headroom-mutants-") as folder:
        try:
            everything_caught = run([m for m in MUTANTS if not wanted or m.name in wanted], Path(folder).resolve())
        except MutantError as error:
            print(f"ERROR: {error}")
            return 1
    return 0 if everything_caught else 1


if __name__ == "__main__":
    sys.exit(main())
