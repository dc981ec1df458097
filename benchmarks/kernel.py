"""The kernel against parsing and writing the same bytes once with orjson: time, growth, memory, threads."""

import hashlib
import math
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import orjson

from benchmarks.data import outputs
from benchmarks.generators import ARRAYS, minified
from headroom_asgi import _crush

ROWS = (100, 1_000, 10_000, 100_000)
REF = b"r" * 32
_PAIRS = 40  # where memory is dear (page faults of a virtual machine), single runs differ by half
NEEDLES = (b"ORD-10007", b"customer17@example.com", b"checkout-3")


def best(call: Callable[[], object], seconds: float = 0.4, least: int = 3) -> float:
    """The shortest of as many runs as fit (at least a few), in seconds of this thread's CPU time."""
    shortest, runs, until = float("inf"), 0, time.perf_counter() + seconds
    while runs < least or time.perf_counter() < until:
        started = time.thread_time()
        call()
        shortest = min(shortest, time.thread_time() - started)
        runs += 1
    return shortest


def main() -> None:
    """Times and ratios by kind of output, then by number of rows, then memory and threads."""
    print("kernel: thread CPU time; the baseline is orjson.loads + orjson.dumps of the same bytes")
    print(f"{'output':28s} {'kB':>5s} {'baseline':>9s} {'scan':>6s} {'estimate':>8s} {'crush':>6s} {'expand':>6s}  tokens left")
    for name, text in outputs().items():
        data = text.encode()
        found = _crush.crush(data)
        crushed = found[0] if found else data
        base = best(lambda data=data: orjson.dumps(orjson.loads(data)))  # type: ignore[misc]
        ratios = [
            best(lambda data=data: _crush.Document(data)) / base,  # type: ignore[misc]
            best(lambda data=data: _crush.estimate(data)) / base,  # type: ignore[misc]
            best(lambda data=data: _crush.crush(data)) / base,  # type: ignore[misc]
            best(lambda crushed=crushed: _crush.expand(crushed)) / base,  # type: ignore[misc]
        ]
        left = _crush.estimate(crushed) / _crush.estimate(data)
        columns = " ".join(f"{ratio:5.2f}x" for ratio in ratios)
        print(f"{name:28s} {len(data) / 1e3:5.0f} {base * 1e3:6.2f} ms {columns}  {left:10.0%}")
    growth()
    memory()
    threads()


def growth() -> None:
    """Lossless and with row choice, by number of rows; how the ratio grows from 1k to 100k rows."""
    sizes = ", ".join(f"{rows:,}" for rows in ROWS)
    print(f"\ncrush, lossless / with rows left out, of {sizes} rows; growth of the ratio from 1k to 100k")
    for name, make in ARRAYS.items():
        lossless, chosen = [], []
        for rows in ROWS:
            data = minified(make(rows)).encode()
            base = best(lambda data=data: orjson.dumps(orjson.loads(data)))  # type: ignore[misc]
            lossless.append(best(lambda data=data: _crush.crush(data)) / base)  # type: ignore[misc]
            chosen.append(best(lambda data=data: _crush.crush(data, ref=REF, needles=NEEDLES)) / base)  # type: ignore[misc]
        cells = "  ".join(f"{a:4.2f}x / {b:4.2f}x" for a, b in zip(lossless, chosen, strict=True))
        print(f"{name:16s} {cells}   {lossless[3] / lossless[1]:4.2f} / {chosen[3] / chosen[1]:4.2f}")


_MEASURE = """
import resource, sys
from benchmarks.generators import ARRAYS, minified
from headroom_asgi import _crush
data = minified(ARRAYS[sys.argv[1]](int(sys.argv[2]))).encode()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
# What the generator needed is free again but still counted: fill it, so that the peak moves with the first byte.
ballast = []
while resource.getrusage(resource.RUSAGE_SELF).ru_maxrss == before:
    ballast.append(b"x" * 65_536)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
_crush.crush(data, ref=sys.argv[3].encode())
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / len(data))
"""


def memory() -> None:
    """Peak extra memory of one crush, lossless and with rows left out, in sizes of its input; each in a process of its own."""
    if resource.getpagesize() <= 0 or not sys.platform.startswith("linux"):
        print("\nmemory: measured on Linux only")
        return
    print("\npeak extra memory of a crush of 100,000 rows, lossless / with rows left out, in sizes of its input")
    for name in ARRAYS:
        peaks = []
        for ref in ("", REF.decode()):
            done = subprocess.run(
                [sys.executable, "-c", _MEASURE, name, "100000", ref], capture_output=True, text=True, check=True
            )  # fmt: skip
            peaks.append(float(done.stdout))
        print(f"{name:16s} {peaks[0]:4.2f}x / {peaks[1]:4.2f}x")


def threads() -> None:
    """Two threads at once against one after the other, in elapsed time: crush, and what the machine gives to anything."""
    data = minified(ARRAYS["logs"](50_000)).encode()
    print("\ntwo threads at once, in parts of the sequential time")
    for name, work in (("crush", _crush.crush), ("hashlib.sha256", hashlib.sha256)):
        alone = together = math.inf
        for _ in range(_PAIRS):
            alone = min(alone, _elapsed(work, data, at_once=False))
            together = min(together, _elapsed(work, data, at_once=True))
        print(f"{name:16s} {together / alone:.2f} of {alone * 1e3:.0f} ms")


def _elapsed(work: Callable[[bytes], object], data: bytes, *, at_once: bool) -> float:
    """Seconds for doing it twice, in two threads either way."""
    both = [threading.Thread(target=work, args=(data,)) for _ in range(2)]
    started = time.perf_counter()
    for thread in both:
        thread.start()
        if not at_once:
            thread.join()
    for thread in both:
        thread.join()
    return time.perf_counter() - started
