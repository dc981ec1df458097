"""The kernel against parsing and writing the same bytes once with orjson."""

import time
from collections.abc import Callable

import orjson

from benchmarks.data import outputs
from headroom_asgi import _crush


def best(call: Callable[[], object], seconds: float = 0.4) -> float:
    """The shortest of as many runs as fit, in seconds of this thread's CPU time."""
    shortest, until = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < until:
        started = time.thread_time()
        call()
        shortest = min(shortest, time.thread_time() - started)
    return shortest


def main() -> None:
    """Times and ratios by kind of output."""
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
