"""Stores: one put and one get at a time, by size; and how many gets are done with many at once. The baseline is a dict."""

import asyncio
import random
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from headroom_asgi.store import Keys, MemoryStore, RedisStore, SealedStore, SQLiteStore, Store, open_store

SIZES = {"1 kB": 1_000, "100 kB": 100_000, "5 MB": 5_000_000}
CALLS = {"1 kB": 400, "100 kB": 100, "5 MB": 10}
TOGETHER = 32
TARGET_US = 20.0  # get of 1 kB from memory, at the median


def text(size: int, draw: random.Random) -> bytes:
    """As compressible as what tools say: a third of it is different in every line."""
    line = '{"id": %d, "state": "running", "name": "worker-%06d", "took_ms": %d}\n'
    lines = (line % (draw.randrange(10**9), draw.randrange(10**6), draw.randrange(9999)) for _ in range(size // 60 + 1))
    return "".join(lines).encode()[:size]


async def timed(calls: list[Callable[[], Awaitable[object]]]) -> float:
    """The median of some calls, in microseconds."""
    took = []
    for call in calls:
        began = time.perf_counter()
        await call()
        took.append(time.perf_counter() - began)
    return statistics.median(took) * 1e6


async def measure(store: Store) -> dict[str, tuple[float, float]]:
    """Median microseconds of a put and a get, by size."""
    figures = {}
    for name, size in SIZES.items():
        values = [text(size, random.Random(number)) for number in range(CALLS[name])]

        def putting(number: int, values: list[bytes] = values, name: str = name) -> Callable[[], Awaitable[object]]:
            return lambda: store.put(name, f"k{number}", values[number], tenant="t", ttl=3600)

        def getting(number: int, name: str = name) -> Callable[[], Awaitable[object]]:
            return lambda: store.get_many(name, [f"k{number}"], tenant="t")

        put_us = await timed([putting(number) for number in range(len(values))])
        figures[name] = put_us, await timed([getting(number) for number in range(len(values))])
    return figures


async def rate(store: Store) -> float:
    """Gets of 1 kB per second, many at once."""

    async def some() -> None:
        for number in range(100):
            await store.get_many("1 kB", [f"k{number}"], tenant="t")

    began = time.perf_counter()
    await asyncio.gather(*(some() for _ in range(TOGETHER)))
    return 100 * TOGETHER / (time.perf_counter() - began)


@contextmanager
def redis_server(folder: str) -> Iterator[str]:
    """A server of our own, and its address."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = ["redis-server", "--port", str(port), "--dir", folder, "--save", "", "--bind", "127.0.0.1"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with socket.socket() as tried:
                if tried.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.02)
        yield f"redis://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


async def report(name: str, store: Store, baseline: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """One line per store: medians, and the ratio to the dict."""
    figures = await measure(store)
    cells = [f"{put_us:9.0f} {get_us:8.0f}" for put_us, get_us in figures.values()]
    base = baseline or figures
    ratio = figures["1 kB"][1] / base["1 kB"][1]
    print(f"{name:32} {'  '.join(cells)}   {await rate(store):9.0f}  {ratio:6.1f}x")
    await store.aclose()
    return figures


class Dict:
    """The baseline: a dict behind the same calls, with no bounds, no expiry and no tenants."""

    shared = False

    def __init__(self) -> None:
        self.values: dict[tuple[str, str], bytes] = {}

    async def put(self, ns: str, key: str, value: bytes, *, tenant: str, ttl: float, if_absent: bool = False) -> bool:
        """As a Store."""
        self.values[ns, key] = value
        return True

    async def get_many(self, ns: str, keys: list[str], *, tenant: str) -> dict[str, bytes]:
        """As a Store."""
        return {key: self.values[ns, key] for key in keys}

    async def aclose(self) -> None:
        """As a Store."""


async def compare(folder: str, redis: str) -> None:
    """All stores, one after the other."""
    keys = Keys({"one": b"k" * 32})
    print(f"{'microseconds, median':32} " + "  ".join(f"{'put':>9} {name:>8}" for name in SIZES) + f"   {'gets/s':>9}  to dict")
    base = await report("dict (baseline)", Dict(), {})  # type: ignore[arg-type]
    memory = await report("memory", MemoryStore(), base)
    await report("memory, sealed", SealedStore(MemoryStore()), base)
    await report("memory, sealed and encrypted", SealedStore(MemoryStore(), keys=keys), base)
    await report("sqlite", SQLiteStore(Path(folder) / "bare.db"), base)
    await report("sqlite://", open_store(f"sqlite://{folder}/store.db"), base)
    await report("sqlite://?fsync=true", open_store(f"sqlite://{folder}/fsync.db?fsync=true&timeout_s=9"), base)
    if redis:
        await report("redis", RedisStore(redis), base)
        await report("redis://", open_store(f"{redis}?prefix=sealed"), base)
    else:
        print("redis-server is not installed: apt-get install redis-server")
    got_us = memory["1 kB"][1]
    verdict = "met" if got_us <= TARGET_US else "MISSED"
    print(f"memory, get of 1 kB: {got_us:.1f} us at the median; target {TARGET_US:.0f}: {verdict}")


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        if shutil.which("redis-server"):
            with redis_server(folder) as address:
                asyncio.run(compare(folder, address))
        else:
            asyncio.run(compare(folder, ""))
