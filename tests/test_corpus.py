"""The prefix law, exactness and the policy number, over every recorded conversation, in processes with different hash seeds."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from headroom_asgi.engine import POLICY
from tests.corpus_worker import DIGESTS

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module", params=["lossless", "ccr"])
def runs(request: pytest.FixtureRequest, corpus: Path) -> tuple[str, list[list[dict[str, Any]]]]:
    """What two processes with different hash seeds made of the corpus, in one mode."""
    command = [sys.executable, "-m", "tests.corpus_worker", str(corpus), request.param]
    processes = [
        subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": seed}, stdout=subprocess.PIPE, text=True)
        for seed in ("0", "4242")
    ]
    outputs = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    return request.param, [[json.loads(line) for line in output.splitlines()] for output in outputs]


@pytest.mark.timeout(900)
def test_no_turn_changes_what_was_sent_before(runs: tuple[str, list[list[dict[str, Any]]]]) -> None:
    _, (first, second) = runs
    assert sum(found["turns"] for found in first) > 5000
    assert {found["file"]: found["broken"] for found in first + second if found["broken"]} == {}


def test_processes_with_different_hash_seeds_send_the_same_bytes(runs: tuple[str, list[list[dict[str, Any]]]]) -> None:
    _, (first, second) = runs
    assert first == second


def test_every_edited_tool_output_reads_back_as_the_value_it_was(runs: tuple[str, list[list[dict[str, Any]]]]) -> None:
    mode, (found, _) = runs
    assert sum(f["edited"] for f in found) > 1000
    assert (sum(f["left_out"] for f in found) > 0) == (mode == "ccr")
    assert {f["file"]: f["unequal"] for f in found if f["unequal"]} == {}


def test_bytes_outside_the_edited_texts_are_as_they_came(runs: tuple[str, list[list[dict[str, Any]]]]) -> None:
    _, (found, _) = runs
    assert {f["file"]: f["moved"] for f in found if f["moved"]} == {}


def test_other_bytes_need_another_policy_number(runs: tuple[str, list[list[dict[str, Any]]]]) -> None:
    mode, (found, _) = runs
    kept = json.loads(DIGESTS.read_text())[str(POLICY)][mode]
    assert {f["file"]: f["digest"] for f in found} == kept, "forwarded bytes changed: give POLICY a new number"
