"""Four processes on one store: what one puts, each of them gets."""

import json
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
import redis_servers
from store_worker import EXCHANGED, WORKERS

WORKER = Path(__file__).with_name("store_worker.py")


@pytest.mark.parametrize("kind", ["sqlite", "redis", "redis-cluster"])
@pytest.mark.timeout(300)
def test_what_one_process_puts_all_of_them_get(kind: str, tmp_path: Path) -> None:
    places = {
        "sqlite": lambda: f"sqlite://{tmp_path}/store.db",
        "redis": redis_servers.single,
        "redis-cluster": redis_servers.cluster,
    }
    prefix = "" if kind == "sqlite" else f"prefix={uuid.uuid4().hex}&"
    url = f"{places[kind]()}?{prefix}timeout_s=30"
    workers = [
        subprocess.Popen([sys.executable, str(WORKER), "exchange", url, name], stdin=-1, stdout=-1, text=True) for name in WORKERS
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    expected = {"right": EXCHANGED * len(WORKERS), "wrong": 0, "missing": 0}
    assert [json.loads(worker.communicate()[0]) for worker in workers] == [expected] * len(WORKERS)
