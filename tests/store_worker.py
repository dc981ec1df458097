"""A process that works on a shared store: `store_worker.py write URL NAME` until it is killed, `store_worker.py exchange URL NAME`."""

import hashlib
import json
import random
import sys

import anyio

from headroom_asgi.store import Store, open_store

WORKERS = ("a", "b", "c", "d")
EXCHANGED = 640  # entries that each one puts for the others


def value_of(name: str) -> bytes:
    """What is kept under a name: as random as a hash, a few kilobytes, sometimes many."""
    draw = random.Random(name)
    size = draw.randrange(60_000) if draw.random() < 0.02 else draw.randrange(2000)
    return hashlib.shake_128(name.encode()).digest(size)


async def write(store: Store, name: str) -> None:
    """New entries, one that is replaced, and a counter; a line for each that the store has acknowledged."""
    number = 0
    while True:
        await store.put("ns", f"{name}-{number}", value_of(f"{name}-{number}"), tenant="t", ttl=3600)
        await store.put("ns", name, value_of(f"{name}-replaced-{number}"), tenant="t", ttl=3600)
        await store.add("counters", name, {"done": 1}, tenant="t")
        print(number, flush=True)
        number += 1


async def exchange(store: Store, name: str) -> None:
    """Put what others look for; when all have done so, look for theirs, while still putting more."""
    for number in range(EXCHANGED):
        await store.put("ns", f"{name}-{number}", value_of(f"{name}-{number}"), tenant="t", ttl=3600)
    print("ready", flush=True)
    sys.stdin.readline()
    wanted = [f"{other}-{number}" for other in WORKERS for number in range(EXCHANGED)]
    random.Random(name).shuffle(wanted)
    found = {"right": 0, "wrong": 0, "missing": 0}

    async def look(keys: list[str]) -> None:
        for number, key in enumerate(keys):
            value = (await store.get_many("ns", [key], tenant="t")).get(key)
            found["missing" if value is None else "right" if value == value_of(key) else "wrong"] += 1
            if number % 10 == 0:
                await store.put("more", key, value_of(key), tenant="t", ttl=3600, if_absent=True)

    async with anyio.create_task_group() as together:
        for start in range(8):
            together.start_soon(look, wanted[start::8])
    print(json.dumps(found), flush=True)


async def main(what: str, url: str, name: str) -> None:
    store = open_store(url)
    await {"write": write, "exchange": exchange}[what](store, name)
    await store.aclose()


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:])
