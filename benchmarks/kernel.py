"""The kernel against parsing and writing the same bytes once with orjson: time, growth, memory, threads, and the bars for them.

Times are the shortest of many, in seconds of the thread's CPU time. What is compared takes turns, so that all of it sees the same
machine, its slow moments too.
"""

import hashlib
import math
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

import orjson

from benchmarks.data import outputs
from benchmarks.generators import ARRAYS, minified
from headroom_asgi import _crush

ROWS: Final = (100, 1_000, 10_000, 100_000)
REF: Final = b"r" * 32
NEEDLES: Final = (b"ORD-10007", b"customer17@example.com", b"checkout-3")
TURN_S: Final = 0.001  # of the first call: shorter ones are made so often in a turn that the clock's own time does not count
PASS_S: Final = 0.5
PASSES: Final = 3  # over all sizes: what slows a machine down for seconds is not there each time
LEAST_TURNS: Final = 3
PAIRS: Final = 40  # where memory is dear (page faults of a virtual machine), single runs differ by half

# What may not be passed: times in times of the baseline's, memory in sizes of the input, threads in parts of the sequential time.
BARS: Final = {"lossless": 1.0, "with rows left out": 1.5, "growth": 1.1, "memory": 3.0, "two threads": 0.6}


class Measured(NamedTuple):
    """One figure that has a bar."""

    bar: str
    name: str
    value: float


def race(*calls: Callable[[], object], seconds: float = PASS_S) -> list[float]:
    """The shortest time of each of the calls, which take turns, as many each, in one order and the other."""
    started = time.thread_time()
    calls[0]()
    often = max(1, round(TURN_S / (time.thread_time() - started)))
    shortest, turns, until = [math.inf] * len(calls), 0, time.perf_counter() + seconds
    while turns < LEAST_TURNS or time.perf_counter() < until:
        for i in range(len(calls)) if turns % 2 else reversed(range(len(calls))):
            started = time.thread_time()
            for _ in range(often):
                calls[i]()
            shortest[i] = min(shortest[i], (time.thread_time() - started) / often)
        turns += 1
    return shortest


def main() -> None:
    """Ratios by kind of output and by number of rows, memory, threads; at the end the worst figure under each bar."""
    print("kernel: thread CPU time; the baseline is orjson.loads + orjson.dumps of the same bytes")
    kinds()
    verdict([*growth(), *memory(), *threads()])


def kinds() -> None:
    """What every step takes for outputs of several kinds."""
    print(f"{'output':28s} {'kB':>5s} {'baseline':>9s} {'scan':>6s} {'estimate':>8s} {'crush':>6s} {'expand':>6s}  tokens left")
    for name, text in outputs().items():
        data = text.encode()
        found = _crush.crush(data)
        crushed = found[0] if found else data
        base, *times = race(
            lambda data=data: orjson.dumps(orjson.loads(data)),  # type: ignore[misc]
            lambda data=data: _crush.Document(data),  # type: ignore[misc]
            lambda data=data: _crush.estimate(data),  # type: ignore[misc]
            lambda data=data: _crush.crush(data),  # type: ignore[misc]
            lambda crushed=crushed: _crush.expand(crushed),  # type: ignore[misc]
        )
        left = _crush.estimate(crushed) / _crush.estimate(data)
        columns = " ".join(f"{seconds / base:5.2f}x" for seconds in times)
        print(f"{name:28s} {len(data) / 1e3:5.0f} {base * 1e3:6.2f} ms {columns}  {left:10.0%}")


def growth() -> Iterable[Measured]:
    """Lossless and with row choice, by number of rows; how the ratio grows from 1k to 100k rows."""
    sizes = ", ".join(f"{rows:,}" for rows in ROWS)
    print(f"\ncrush, lossless / with rows left out, of {sizes} rows; growth of the ratio from 1k to 100k")
    for name, make in ARRAYS.items():
        texts = [minified(make(rows)).encode() for rows in ROWS]
        best = [[math.inf] * 3 for _ in texts]
        for _ in range(PASSES):
            for i, data in enumerate(texts):
                best[i] = list(map(min, best[i], _sizes(data)))
        lossless, chosen = ([times[k] / times[0] for times in best] for k in (1, 2))
        cells = "  ".join(f"{a:4.2f}x / {b:4.2f}x" for a, b in zip(lossless, chosen, strict=True))
        grown = (lossless[3] / lossless[1], chosen[3] / chosen[1])
        print(f"{name:16s} {cells}   {grown[0]:4.2f} / {grown[1]:4.2f}")
        for i, rows in enumerate(ROWS):
            yield Measured("lossless", f"{name}, {rows:,} rows", lossless[i])
            yield Measured("with rows left out", f"{name}, {rows:,} rows", chosen[i])
        yield Measured("growth", f"{name}, lossless", grown[0])
        yield Measured("growth", f"{name}, with rows left out", grown[1])


def _sizes(data: bytes) -> list[float]:
    """The baseline's time, that of a crush without loss, and that of one that may leave rows out."""
    return race(
        lambda: orjson.dumps(orjson.loads(data)),
        lambda: _crush.crush(data),
        lambda: _crush.crush(data, ref=REF, needles=NEEDLES),
    )


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


def memory() -> Iterable[Measured]:
    """Peak extra memory of one crush, lossless and with rows left out, in sizes of its input; each in a process of its own."""
    if resource.getpagesize() <= 0 or not sys.platform.startswith("linux"):
        print("\nmemory: measured on Linux only")
        return
    print("\npeak extra memory of a crush of 100,000 rows, lossless / with rows left out, in sizes of its input")
    for name in ARRAYS:
        peaks = []
        for ref, way in (("", "lossless"), (REF.decode(), "with rows left out")):
            done = subprocess.run(
                [sys.executable, "-c", _MEASURE, name, "100000", ref], capture_output=True, text=True, check=True
            )  # fmt: skip
            peaks.append(float(done.stdout))
            yield Measured("memory", f"{name}, {way}", peaks[-1])
        print(f"{name:16s} {peaks[0]:4.2f}x / {peaks[1]:4.2f}x")


def threads() -> Iterable[Measured]:
    """Two threads at once against one after the other, in elapsed time: crush, and what the machine gives to anything."""
    data = minified(ARRAYS["logs"](50_000)).encode()
    print("\ntwo threads at once, in parts of the sequential time")
    parts = []
    for name, work in (("crush", _crush.crush), ("hashlib.sha256", hashlib.sha256)):
        alone = together = math.inf
        for _ in range(PAIRS):
            alone = min(alone, _elapsed(work, data, at_once=False))
            together = min(together, _elapsed(work, data, at_once=True))
        parts.append(together / alone)
        print(f"{name:16s} {parts[-1]:.2f} of {alone * 1e3:.0f} ms")
    yield Measured("two threads", f"crush (where the machine gives {parts[1]:.2f} to a hash)", parts[0])


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


def verdict(measured: Iterable[Measured]) -> None:
    """Of every bar, the figure that comes nearest to it."""
    print("\nthe worst figure under each bar")
    figures = list(measured)
    for bar, most in BARS.items():
        of_bar = [figure for figure in figures if figure.bar == bar]
        for worst in sorted(of_bar, key=lambda figure: figure.value)[-1:]:
            within = "within" if worst.value <= most else "ABOVE"
            print(f"{bar:20s} {worst.value:4.2f}  {within} {most}   {worst.name}")
