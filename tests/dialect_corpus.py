"""Recorded conversations in every dialect, grown turn by turn through the middleware, with hidden rounds in between.

python -m tests.dialect_corpus [DIR]     all of the corpus, once

Every turn of the model is said by the scripted upstream, after a hidden round or two, or with a hidden call among the client's,
or as it was; the client repeats what it got. The upstream validates each request as the provider would, and notes whether it
only extends what it had seen.
"""

import argparse
import gzip
import json
import random
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio

from example_app import upstream
from example_app.answers import named
from example_app.dialects import DIALECTS
from example_app.speakers import SPEAKERS, Talk, Tool
from example_app.view import Item, WireFormat
from headroom_asgi import HeadroomMiddleware
from headroom_asgi.retrieval import TOOL
from headroom_asgi.store import MemoryStore
from tests.driver import post

MODELS: dict[WireFormat, str] = {"gemini": "gemini-3-pro", "converse": "anthropic.claude-opus", "invoke": "anthropic.claude-opus"}
SHARE = 20  # one conversation in so many is enough for every day
_FORMATS: dict[str, WireFormat] = {"openai-chat": "chat", "anthropic": "anthropic"}
_CALL = {"tool": TOOL.name, "arguments": {"ref": "$0", "limit": 40}}
# What the upstream must not have noted. What was replayed once and is gone later breaks a prefix; where nothing was ever
# replayed, nothing is broken. Without the hidden calls OpenAI's models do not read the reasoning behind them; nobody is told.
_WRONG = {
    "kept": ("validation_failures", "prefix_broken", "forgotten", "unread"),
    "lost": ("validation_failures", "prefix_broken"),
    "lost half-way": ("validation_failures",),
}
_SEARCH = {"tool": TOOL.name, "arguments": {"ref": "$1", "query": "error"}}


@dataclass(slots=True)
class Spoken:
    """A turn of the model, and what its calls were answered with."""

    text: str
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    results: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Recorded:
    """A conversation in neutral form: the system prompt, and what the user says before each turn of the model ("" for nothing)."""

    system: str
    turns: list[tuple[str, Spoken]]

    @property
    def tools(self) -> tuple[Tool, ...]:
        """The tools that its calls name."""
        names = dict.fromkeys(name for _, turn in self.turns for name, _ in turn.calls)
        return tuple(Tool(name, f"Does {name}.") for name in names)


def conversations(directory: Path, *, share: int = 1) -> Iterator[tuple[str, Recorded]]:
    """One conversation in `share` of every file, with its name."""
    for path in sorted(directory.rglob("conversations/*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines):
                if number % share == 0:
                    yield f"{path.name.partition('.')[0]}/{number}", neutral(json.loads(line))


def neutral(recording: dict[str, Any]) -> Recorded:
    """A recording up to the first turn whose calls are not all answered."""
    dialect = DIALECTS[_FORMATS[recording["format"]]]
    try:
        items = named(list(dialect.items({"messages": recording["messages"], "system": recording.get("system")})))
    except (KeyError, TypeError, AttributeError):
        return Recorded("", [])  # there are recordings that no provider would accept
    system = "\n".join(item.text for item in items if item.kind == "system")
    results = {item.call_id: item.text for item in items if item.kind == "result"}
    turns: list[tuple[str, Spoken]] = []
    said: list[str] = []
    at = -1
    for item in items:
        if item.kind == "user" and item.text.strip():
            said.append(item.text)
            at = -1
        elif item.kind in ("assistant", "call"):
            goes_on = bool(turns) and not said and not turns[-1][1].results
            if item.message != at and not goes_on:
                turns.append(("\n\n".join(said), Spoken("")))
                said = []
            at = item.message
            _add(turns[-1][1], item, results)
    return Recorded(system, list(_answered(turns)))


def _add(turn: Spoken, item: Item, results: dict[str, str]) -> None:
    if item.kind == "assistant":
        turn.text = f"{turn.text}\n{item.text}".strip()
    elif item.call_id in results:
        turn.calls.append((re.sub(r"[^a-zA-Z0-9_-]", "_", item.name)[:60] or "unnamed", _arguments(item.text)))
        turn.results.append(results[item.call_id])


def _arguments(text: str) -> dict[str, Any]:
    """A call's arguments; what is no object is a member of one."""
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    return value if isinstance(value, dict) else {"input": value}


def _answered(turns: list[tuple[str, Spoken]]) -> Iterator[tuple[str, Spoken]]:
    """The turns, with something said wherever nobody would speak otherwise."""
    waiting = False
    for user, turn in turns:
        if not turn.text and not turn.calls:
            turn.text = "Very well."
        yield user or ("" if waiting else "Go on."), turn
        waiting = bool(turn.calls)


class Growth:
    """One conversation with one dialect's client, through a middleware of its own.

    Args:
        dialect: of the client.
        name: of the conversation.
        ledger: `kept`, `lost` before every request, or `lost half-way` (before every second one).
    """

    def __init__(self, dialect: WireFormat, name: str, ledger: str) -> None:
        self._dialect = dialect
        self._speaker = SPEAKERS[dialect]
        self._upstream = upstream.app()
        self._store = MemoryStore(shared=True)
        self._app = HeadroomMiddleware(self._upstream, discover=False, store=self._store)
        self._ledger = ledger
        # Thinking is bound to what was replayed before it. Where that is lost, calls that wait do without it, unless it has to be
        # there (`enabled`, which the models that check it have no more).
        self._thinking = "adaptive" if ledger == "lost half-way" else "enabled"
        self._dice = random.Random(name)
        self.requests = 0
        self.hidden = 0
        self.healed = 0  # requests that were taken without the reasoning in them only

    async def run(self, recorded: Recorded, turns: int) -> list[str]:
        """Grow the conversation by so many turns of the model; what went wrong."""
        speaker, tools = self._speaker, recorded.tools
        messages: list[dict[str, Any]] = []
        for number, (user, turn) in enumerate(recorded.turns[:turns]):
            if user:
                messages.append(speaker.user(user))
            if self._ledger != "kept" and (number % 2 or self._ledger == "lost"):
                await self._store.delete_tenant("")
            talk = Talk(MODELS.get(self._dialect, "m"), recorded.system, tools, number % 3 == 1, self._thinking)
            status, answer = await self._ask(talk, messages, self._rounds(turn, offered=bool(tools)))
            if status != 200:
                return [f"turn {number}: {status} {answer!r}"]
            said = speaker.turn(answer)
            asked = speaker.calls(said)
            if [(call.name, call.arguments) for call in asked] != turn.calls:
                return [f"turn {number}: other calls: {asked}, not {turn.calls}"]
            if re.sub(r"\s", "", speaker.text(said)) != re.sub(r"\s", "", turn.text):
                return [f"turn {number}: another text: {speaker.text(said)!r}, not {turn.text!r}"]
            messages += [*said, *speaker.results(asked, turn.results)]
        return await self._noted()

    def _rounds(self, turn: Spoken, *, offered: bool) -> list[dict[str, Any]]:
        """The model's rounds that end with a recorded turn."""
        calls = [{"tool": name, "arguments": arguments} for name, arguments in turn.calls]
        hidden: list[dict[str, Any]] = []
        kind = self._dice.choice(("none", "one", "two", "mixed")) if offered else "none"
        if kind in ("one", "two"):
            hidden.append({"calls": [_CALL]})
        if kind == "two":
            hidden.append({"calls": [_SEARCH, _CALL]})
        if kind == "mixed" and calls:
            calls.insert(self._dice.randint(0, len(calls)), _SEARCH)
        self.hidden += len(hidden) + (_SEARCH in calls)
        return [*hidden, {"say": turn.text, "calls": calls}]

    async def _ask(self, talk: Talk, messages: list[dict[str, Any]], rounds: list[dict[str, Any]]) -> tuple[int, Any]:
        self.requests += 1
        path, _, query = self._speaker.path(talk).partition("?")
        control = json.dumps({"script": {"rounds": rounds}}).encode()
        headers = [(b"x-demo-control", control), (b"x-session-id", b"one")]
        body = json.dumps(self._speaker.body(talk, messages)).encode()
        received = await post(self._app, path, body, headers=headers, query_string=query.encode())
        self.healed += received.outcome == "reasoning_dropped"
        if received.status != 200:
            return received.status, received.body[:600]
        return 200, self._speaker.assembled(received.body) if talk.stream else received.json()

    async def _noted(self) -> list[str]:
        """What the upstream objects to."""
        counts = (await post(self._upstream, "/_seen/one", b"", method="GET")).json()
        del counts["bodies"]
        counts["validation_failures"] -= self.healed  # nobody but us was told
        return [f"{name}: {counts[name]} of {counts}" for name in _WRONG[self._ledger] if counts[name]]


async def grown(dialect: WireFormat, name: str, recorded: Recorded, ledger: str, turns: int) -> tuple[Growth, list[str]]:
    """A conversation in a dialect: how much was sent, and what went wrong."""
    growth = Growth(dialect, name, ledger)
    return growth, await growth.run(recorded, turns)


def main(arguments: list[str]) -> int:
    """All of the corpus; the exit status is 0 if nothing went wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.dialect_corpus", description="The corpus in every dialect.")
    parser.add_argument(
        "directory", type=Path, nargs="?", default=Path(__file__).resolve().parent.parent.parent / "shared" / "corpus"
    )
    parser.add_argument("--share", type=int, default=1, help="one conversation in so many")
    parser.add_argument("--turns", type=int, default=40, help="of the model, a conversation")
    parser.add_argument("--only", default="", help="one dialect")
    parser.add_argument("--ledger", action="append", choices=_WRONG, help="what becomes of it")
    options = parser.parse_args(arguments)
    wrong = 0
    for dialect in DIALECTS:
        if options.only not in ("", dialect):
            continue
        for ledger in options.ledger or list(_WRONG):
            started, count, requests, hidden = time.monotonic(), 0, 0, 0
            for name, recorded in conversations(options.directory, share=options.share):
                growth, problems = anyio.run(grown, dialect, name, recorded, ledger, options.turns)
                count, requests, hidden = count + 1, requests + growth.requests, hidden + growth.hidden
                wrong += bool(problems)
                for problem in problems:
                    print(f"{dialect} {name} {ledger}: {problem[:900]}", flush=True)
            took = time.monotonic() - started
            print(
                f"{dialect:10} ledger {ledger}: {count} conversations, {requests} requests, {hidden} hidden rounds, {took:.0f} s",
                flush=True,
            )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
