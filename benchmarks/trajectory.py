"""Recorded conversations turn by turn: what they cost with the middleware against what they cost without."""

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from headroom_asgi import Tokenizer
from headroom_asgi.testing import forwarded

READ, WRITE = 0.1, 1.25  # price of a cached and of a new token, relative to an uncached one (Anthropic's and OpenAI's ratios)
CONVERSATIONS, CACHED_MINIMUM = 8, 1024


def load(path: Path) -> Iterator[dict[str, Any]]:
    """The first conversations of a file."""
    with gzip.open(path, "rt") as lines:
        found = (json.loads(line) for line in lines)
        yield from (c for _, c in zip(range(CONVERSATIONS), (c for c in found if "messages" in c), strict=False))


def billed(turns: list[list[bytes]], count: Any) -> float:
    """Price of a growing conversation: what stood in the request before is read from the cache, the rest written."""
    price, before = 0.0, list[bytes]()
    for turn in turns:
        same = next((i for i, (a, b) in enumerate(zip(before, turn, strict=False)) if a != b), min(len(before), len(turn)))
        cached = sum(count(part) for part in turn[:same])
        cached = cached if cached >= CACHED_MINIMUM else 0
        price += cached * READ + (sum(count(part) for part in turn) - cached) * WRITE
        before = turn
    return price


def main() -> None:
    """Billed input saved, by file, in modes `lossless` and `ccr` against mode `audit` (which sends the original)."""
    corpus = Path(os.environ.get("HEADROOM_CORPUS", "../shared/corpus")) / "conversations"
    if not corpus.is_dir():
        print(f"trajectory: no recorded conversations at {corpus}; set HEADROOM_CORPUS")
        return
    tokenizer = Tokenizer("gpt-4o")
    counts: dict[bytes, int] = {}

    def count(part: bytes) -> int:
        if part not in counts:
            counts[part] = tokenizer.count_text(_said(part))
        return counts[part]

    print("trajectory: billed input saved (cache read 0.1, write 1.25), against the same conversations sent as they are")
    print(f"{'file':30s} {'turns':>5s} {'lossless':>9s} {'ccr':>9s}")
    totals = dict.fromkeys(("audit", "lossless", "ccr"), 0.0)
    for path in sorted(corpus.glob("*.jsonl.gz")):
        row, turns = dict.fromkeys(totals, 0.0), 0
        for conversation in load(path):
            for mode in totals:
                sent = forwarded(
                    conversation["messages"], dialect=conversation.get("format"), fields=_fields(conversation), mode=mode
                )
                row[mode] += billed(sent, count)
                turns += len(sent) if mode == "audit" else 0
        for mode in totals:
            totals[mode] += row[mode]
        _print(path.name.split(".")[0], turns, row)
    _print("ALL", 0, totals)


def _print(name: str, turns: int, row: dict[str, float]) -> None:
    saved = [1 - row[mode] / row["audit"] if row["audit"] else 0.0 for mode in ("lossless", "ccr")]
    print(f"{name:30s} {turns:5d} {saved[0]:9.1%} {saved[1]:9.1%}", flush=True)


def _said(part: bytes) -> str:
    """All strings of a message (or of a field, `name:value`), as a model reads them."""
    found: list[str] = []

    def walk(value: Any) -> None:
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, dict):
            for inner in value.values():
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    walk(json.loads(part if part[:1] == b"{" else part.split(b":", 1)[1]))
    return "\n".join(found)


def _fields(conversation: dict[str, Any]) -> dict[str, Any]:
    """Tools, as recorded or one that stands for them, so that originals can be asked for."""
    if conversation.get("tools"):
        return {"tools": conversation["tools"]}
    schema = {"type": "object", "properties": {}}
    if conversation.get("format") == "anthropic":
        return {"tools": [{"name": "act", "description": "act", "input_schema": schema}]}
    return {"tools": [{"type": "function", "function": {"name": "act", "parameters": schema}}]}
