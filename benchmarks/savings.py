"""Real o200k tokens that a lossless crush saves on generated tables, and what the peer makes of the same bytes."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.generators import TABLES, minified, pretty
from headroom_asgi import Tokenizer, _crush

SIZES = (2_000, 20_000, 200_000)
WORKER = Path(__file__).with_name("peer_worker.py")


class Peer:
    """headroom-ai in a virtual environment of its own, named by HEADROOM_PEER_PYTHON."""

    def __init__(self, python: str) -> None:
        self._process = subprocess.Popen(
            [python, WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def __call__(self, text: str) -> str:
        """The tool output it would send."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(text) + "\n")
        self._process.stdin.flush()
        answer: list[Any] = json.loads(self._process.stdout.readline())
        return str(answer[0])


def sized(make: Callable[[int], Any], spell: Callable[[Any], str], tokens: int, count: Callable[[str], int]) -> str:
    """An array of about so many tokens."""
    return spell(make(max(3, tokens * 100 // count(spell(make(100))))))


def cases(count: Callable[[str], int]) -> Iterator[tuple[str, str, int, str]]:
    """Spelling, kind, size and text of every case."""
    for spell in (pretty, minified):
        for name, make in TABLES.items():
            for tokens in SIZES:
                yield spell.__name__, name, tokens, sized(make, spell, tokens, count)


def main() -> None:
    """Tokens saved, by kind and size; with HEADROOM_PEER_PYTHON the peer's beside them."""
    tokenizer = Tokenizer("gpt-4o")
    count = tokenizer.count_text
    python = os.environ.get("HEADROOM_PEER_PYTHON", "")
    peer = Peer(python) if python else None
    print(
        "savings: o200k tokens saved, lossless" + ("; the peer beside it" if peer else "; HEADROOM_PEER_PYTHON=... adds the peer")
    )
    ahead = []
    for spelling, name, tokens, text in cases(count):
        before = count(text)
        found = _crush.crush(text.encode())
        ours = 1 - count(found[0].decode() if found else text) / before
        line = f"{spelling:9s} {name:16s} {tokens:8,d}  {ours:6.1%}"
        if peer:
            theirs = 1 - count(peer(text)) / before
            ahead.append(ours - theirs)
            line += f"  {theirs:6.1%}  {100 * ahead[-1]:+5.1f}"
        print(line, flush=True)
    if ahead:
        print(f"{'ahead of the peer':36s} mean {100 * sum(ahead) / len(ahead):+5.1f} points, least {100 * min(ahead):+5.1f}")
