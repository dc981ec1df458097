"""Hosts of uvicorn workers on one store: whatever one of them left out, each of them can give back.

    python -m tests.fleet [RETRIEVALS [HOSTS [sqlite|redis|redis-cluster]]]     10,000 retrievals over two hosts of four workers on Redis

Each conversation is one that the provider holds: its first request brings a table, a later one sends nothing of it and has the model ask for
rows of it, so that the original can come from the store alone.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx

from tests import redis_servers

ROOT = Path(__file__).resolve().parent.parent
WORKERS = 4  # of a host
ROWS = 400
ASKED = 10  # orders of one table, each asked for by a call of its own
AT_ONCE = 16
START_S = 60
TOOL = {"type": "function", "name": "orders", "parameters": {"type": "object", "properties": {}}}


@contextmanager
def host(store: str) -> Iterator[str]:
    """A uvicorn with its workers; its address."""
    port = str(redis_servers.free_port())
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "tests.fleet_app:app",
        "--port",
        port,
        "--workers",
        str(WORKERS),
        "--log-level",
        "warning",
    ]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "FLEET_STORE": store})
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def amount(order: str) -> str:
    """What an order costs: told by its name, so that a row of another table is seen to be wrong."""
    return f"{uuid.uuid5(uuid.NAMESPACE_URL, order).int % 10**6}.25"


def table(name: str) -> str:
    rows = [
        {"order": f"{name}-{n:03}", "amount": amount(f"{name}-{n:03}"), "state": ("open", "paid", "sent")[n % 3]}
        for n in range(ROWS)
    ]
    return json.dumps(rows, indent=2)


class Fleet:
    """Clients of some hosts, and what became of what they asked for."""

    def __init__(self, hosts: list[str]) -> None:
        # A connection for every request: the kernel then hands each to any of the host's workers.
        limits = httpx.Limits(max_keepalive_connections=0)
        self.client = httpx.AsyncClient(timeout=120, trust_env=False, limits=limits)
        self.hosts = cycle(hosts)
        self.found: Counter[str] = Counter(right=0, wrong=0, missing=0)

    async def say(self, team: str, *items: dict[str, Any], **fields: Any) -> tuple[str, str]:
        """Send what is new; the id to go on from, and what the model said."""
        body = {"model": "gpt-4o", "store": True, "tools": [TOOL], "input": list(items), **fields}
        answer = await self.client.post(f"{next(self.hosts)}/v1/responses", json=body, headers={"x-team": team})
        answer.raise_for_status()
        got = answer.json()
        return got["id"], got["output"][-1]["content"][0]["text"]

    async def converse(self, number: int) -> None:
        """One conversation: a table, then rows of it."""
        name, team = f"K{uuid.uuid4().hex[:8]}", f"team{number % 3}"
        call = {"type": "function_call", "call_id": "call_1", "name": "orders", "arguments": "{}"}
        output = {"type": "function_call_output", "call_id": "call_1", "output": table(name)}
        held, text = await self.say(team, {"role": "user", "content": f"Orders of {name}?"}, call, output)
        ref, *seen = text.split()
        hidden = sorted({f"{name}-{place:03}" for place in range(ROWS)} - {*seen})
        orders = [hidden[(number * 7 + place * 13) % len(hidden)] for place in range(ASKED)]
        question = {"role": "user", "content": f"ask {ref} for {' '.join(orders)}"}
        _, text = await self.say(team, question, previous_response_id=held)
        results = json.loads(text)
        assert len(results) == ASKED, text
        for order, result in zip(orders, results, strict=True):
            right = order in result and amount(order) in result
            self.found["right" if right else "wrong" if name in result else "missing"] += 1

    async def run(self, conversations: int) -> Counter[str]:
        numbers = iter(range(conversations))

        async def client() -> None:
            for number in numbers:
                await self.converse(number)

        async with self.client:
            await self.awake()
            await asyncio.gather(*(client() for _ in range(AT_ONCE)))
        return self.found

    async def awake(self) -> None:
        """Until every host answers from all its workers."""
        until = time.monotonic() + START_S
        for _ in range(2):
            address, pids = next(self.hosts), set[int]()
            while len(pids) < WORKERS:
                assert time.monotonic() < until, f"{address}: {len(pids)} workers answer"
                try:
                    pids.add((await self.client.get(f"{address}/worker")).json())
                except httpx.TransportError:
                    await asyncio.sleep(0.1)


def run(retrievals: int, hosts: int, kind: str) -> Counter[str]:
    """So many retrievals over so many hosts; how many were right, wrong and missing."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        redis = {"redis": redis_servers.single, "redis-cluster": redis_servers.cluster}
        store = f"sqlite://{folder}/store.db?" if kind == "sqlite" else f"{redis[kind]()}?prefix={uuid.uuid4().hex}&"
        addresses = [stack.enter_context(host(f"{store}timeout_s=30")) for _ in range(hosts)]
        return asyncio.run(Fleet(addresses).run(retrievals // ASKED))


if __name__ == "__main__":
    asked = [*sys.argv[1:], *("10000", "2", "redis")[len(sys.argv) - 1 :]]
    began = time.monotonic()
    print(json.dumps({**run(int(asked[0]), int(asked[1]), asked[2]), "seconds": round(time.monotonic() - began, 1)}))
