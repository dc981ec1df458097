"""Processes that write to one file are killed at random points: `python tests/kills.py 100` prints what was found afterwards."""

import json
import random
import selectors
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import anyio
from store_worker import value_of

from headroom_asgi.store import open_store

WORKER = Path(__file__).with_name("store_worker.py")
LONGEST_S = 0.08  # between a process's first acknowledged write and its end


class Writer:
    """A process that writes, and how far it was acknowledged to have come."""

    def __init__(self, url: str, name: str) -> None:
        self.name = name
        command = [sys.executable, str(WORKER), "write", url, name]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def wait_for_one(self) -> None:
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as ready:
            ready.register(self.process.stdout, selectors.EVENT_READ)
            assert ready.select(60), "nothing was written in a minute"

    def kill(self) -> int:
        """End it in the middle of whatever it does; how many writes were acknowledged."""
        self.process.kill()
        out, _ = self.process.communicate()
        return out.count("\n")


def run(path: Path, kills: int, seed: int) -> dict[str, int]:
    """Kill so many writers, four at a time being at work; what was acknowledged, lost, wrong, and damaged."""
    draw = random.Random(seed)
    url = f"sqlite://{path}?timeout_s=30"
    writers = [Writer(url, f"w{number}") for number in range(4)]
    done: dict[str, int] = {}
    for number in range(kills):
        at = draw.randrange(4)
        writers[at].wait_for_one()
        time.sleep(draw.random() * LONGEST_S)
        done[writers[at].name] = writers[at].kill()
        writers[at] = Writer(url, f"w{number + 4}")
    for writer in writers:
        done[writer.name] = writer.kill()
    return anyio.run(found, path, url, done)


async def found(path: Path, url: str, done: dict[str, int]) -> dict[str, int]:
    figures = {"acknowledged": sum(done.values()), "lost": 0, "wrong": 0, "damaged": 0}
    store = open_store(url)
    for name, count in done.items():
        for start in range(0, count, 500):
            keys = [f"{name}-{number}" for number in range(start, min(start + 500, count))]
            values = await store.get_many("ns", keys, tenant="t")
            figures["lost"] += len(keys) - len(values)
            figures["wrong"] += sum(value != value_of(key) for key, value in values.items())
        # The last write may have been done, and its acknowledgement not.
        replaced = (await store.get_many("ns", [name], tenant="t")).get(name)
        figures["wrong"] += count > 0 and replaced not in [value_of(f"{name}-replaced-{at}") for at in (count - 1, count)]
        added = (await store.add("counters", name, {}, tenant="t")).get("done", 0)
        figures["wrong"] += added not in (count, count + 1)
    await store.aclose()
    with sqlite3.connect(path) as db:
        figures["damaged"] += db.execute("PRAGMA integrity_check").fetchall() != [("ok",)]
        sums = db.execute("SELECT count(*), sum(size) FROM entries").fetchone()
        figures["damaged"] += db.execute("SELECT entries, bytes FROM totals").fetchone() != sums
        figures["damaged"] += db.execute("SELECT count(*) FROM contents").fetchone()[0] != sums[0]
    db.close()
    return figures


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(run(Path(folder) / "store.db", int(sys.argv[1]), seed=time.time_ns())))
