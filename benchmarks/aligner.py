"""What the cache aligner is worth: a day of conversations whose instructions change, replayed against a provider's prompt cache.

The cache is modeled after what providers document: whole blocks of a prompt's beginning, kept for five minutes after their last
use. A prompt is instructions, tools, messages, in this order. Tokens are estimated.
"""

import hashlib
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

from headroom_asgi import CacheAlignerConfig, HeadroomConfig, TransformPipeline
from headroom_asgi._crush import estimate
from headroom_asgi.transforms import Context, drain
from headroom_asgi.wire import dialect_named

CONVERSATIONS = 160
HOURS = 8
TURNS = 6
TURN_S = 25.0
KEPT_S = 300.0
BLOCK_BYTES = 512  # some 128 tokens
WIRE = dialect_named("openai-chat")

RULES = "".join(
    f"Rule {n}: answer questions of kind {n} in a kind of way that suits them, and name your sources.\n" for n in range(150)
)
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": f"tool_{n}",
            "description": f"Looks up things of sort {n} for the person who asks. " * 4,
            "parameters": {"type": "object", "properties": {"query": {"type": "string", "description": "what to look for"}}},
        },
    }
    for n in range(12)
]


def clock(minute: int) -> str:
    """The time at that minute of the working day."""
    return f"Current time: 2026-11-21 {9 + minute // 60:02d}:{minute % 60:02d}.\n"


# By name: the minute in which a conversation begins, and its number, to its instructions.
PROMPTS: dict[str, Callable[[int, int], str]] = {
    "nothing changes": lambda minute, number: RULES,
    "today's date, at the head": lambda minute, number: f"Today is 2026-11-21.\n{RULES}",
    "the minute, at the head": lambda minute, number: clock(minute) + RULES,
    "the minute, at the end": lambda minute, number: RULES + clock(minute),
    "a session id, at the head": lambda minute, number: f"Session id: s-{number:05d}.\n{RULES}",
}


def requests(prompt: Callable[[int, int], str]) -> Iterator[tuple[float, bytes]]:
    """Every request of the day, with its second: turns of conversations that begin at random times."""
    chance = random.Random(5)
    found = []
    for number in range(CONVERSATIONS):
        begun = chance.uniform(0, HOURS * 3600)
        messages: list[dict[str, Any]] = [{"role": "system", "content": prompt(int(begun // 60), number)}]
        for turn in range(TURNS):
            messages.append({"role": "user", "content": f"Question {turn} of person {number}: " + "and what about it? " * 20})
            found.append((begun + turn * TURN_S, json.dumps({"model": "m", "messages": messages, "tools": TOOLS}).encode()))
            messages.append({"role": "assistant", "content": f"Answer {turn} for person {number}: " + "it is as it is. " * 40})
    yield from sorted(found)


def cached_share(prompt: Callable[[int, int], str], pipeline: TransformPipeline) -> float:
    """Of all prompt tokens of the day, the share that the provider has in its cache."""
    last_used: dict[bytes, float] = {}
    hit = total = 0
    for second, body in requests(prompt):
        payload = drain(pipeline.steps(WIRE.decode(body), Context())).payload
        value = json.loads(payload.body)
        first, *rest = value["messages"]
        text = json.dumps([first, value["tools"], rest]).encode()
        total += estimate(text)
        state, warm = hashlib.blake2b(digest_size=16), True
        for at in range(0, len(text) - BLOCK_BYTES, BLOCK_BYTES):
            state.update(text[at : at + BLOCK_BYTES])
            key = state.digest()
            warm = warm and second - last_used.get(key, -KEPT_S) < KEPT_S
            hit += estimate(text[at : at + BLOCK_BYTES]) if warm else 0
            last_used[key] = second
    return hit / total


def main() -> None:
    """Cached shares, as the prompts are and with what changes moved."""
    as_it_is = TransformPipeline(HeadroomConfig())
    moved = TransformPipeline(HeadroomConfig(cache_aligner=CacheAlignerConfig(move=True)))
    print(f"aligner: {CONVERSATIONS} conversations of {TURNS} turns in {HOURS} hours; share of prompt tokens that is cached")
    for name, prompt in PROMPTS.items():
        before, after = cached_share(prompt, as_it_is), cached_share(prompt, moved)
        print(f"{name:28s} {before:6.1%} as it is  {after:6.1%} moved  {100 * (after - before):+5.1f} points", flush=True)
