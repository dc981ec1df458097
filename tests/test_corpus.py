"""The prefix law, exactness and the policy number, over every recorded conversation, in processes with different hash seeds."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from headroom_asgi.engine import POLICY
from tests.corpus_worker import DIGESTS

ROOT = Path(__file__).resolve().parent.parent


class Runs(NamedTuple):
    """What two processes made of the corpus, file by file.

    Attributes:
        mode: of the middleware.
        grown: what came of every conversation, turn by turn.
        at_once: by file, what is sent of the last turns by a process with another hash seed, which has seen none before them.
    """

    mode: str
    grown: list[dict[str, Any]]
    at_once: dict[str, str]


@pytest.fixture(scope="module", params=[("lossless", "0", "4242"), ("ccr", "4242", "0")], ids=["lossless", "ccr"])
def runs(request: pytest.FixtureRequest, corpus: Path) -> Runs:
    mode, *seeds = request.param
    command = [sys.executable, "-m", "tests.corpus_worker", str(corpus), mode]
    processes = [
        subprocess.Popen(
            [*command, *more], cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": seed}, stdout=subprocess.PIPE, text=True
        )
        for seed, more in zip(seeds, ((), ("--at-once",)), strict=True)
    ]
    outputs = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    grown, at_once = ([json.loads(line) for line in output.splitlines()] for output in outputs)
    return Runs(mode, grown, digests(at_once))


def digests(found: list[dict[str, Any]]) -> dict[str, str]:
    return {of_file["file"]: of_file["digest"] for of_file in found}


@pytest.mark.timeout(900)
def test_no_turn_changes_what_was_sent_before(runs: Runs) -> None:
    assert sum(found["turns"] for found in runs.grown) > 5000
    assert {found["file"]: found["broken"] for found in runs.grown if found["broken"]} == {}


def test_a_process_with_another_hash_seed_that_has_seen_no_turn_before_sends_the_same_bytes(runs: Runs) -> None:
    assert runs.at_once == digests(runs.grown)


def test_every_edited_tool_output_reads_back_as_the_value_it_was(runs: Runs) -> None:
    found = runs.grown
    assert sum(f["edited"] for f in found) > 1000
    assert (sum(f["left_out"] for f in found) > 0) == (runs.mode == "ccr")
    assert {f["file"]: f["unequal"] for f in found if f["unequal"]} == {}


def test_bytes_outside_the_edited_texts_are_as_they_came(runs: Runs) -> None:
    assert {found["file"]: found["moved"] for found in runs.grown if found["moved"]} == {}


def test_other_bytes_need_another_policy_number(runs: Runs) -> None:
    kept = json.loads(DIGESTS.read_text())[str(POLICY)][runs.mode]
    assert digests(runs.grown) == kept, "forwarded bytes changed: give POLICY a new number"
