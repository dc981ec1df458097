"""The conformance table: every dialect's official client, over a real socket, in every kind of exchange with hidden rounds.

python -m tests.conformance            print what the clients see
python -m tests.conformance --write    write docs/wire.md

A cell is an exchange of one client in one mode: what it sees is compared with what the scripted upstream said, which validates
every round as the provider would. A cell's text is what its user gets: `answer`, `calls`, or the client's exception.
"""

import argparse
import asyncio
import json
import logging
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import certifi
import httpx

from example_app import upstream
from headroom_asgi import HeadroomMiddleware
from headroom_asgi.store import MemoryStore
from headroom_asgi.types import Receive, Scope, Send
from headroom_asgi.wire import DIALECTS
from tests.conformance_base import Client, Saw
from tests.conformance_clients import CLIENTS
from tests.driver import TABLE
from tests.real_server import served

PAGE = Path(__file__).resolve().parent.parent / "docs" / "wire.md"
ANSWER = "It was delivered, and the customer is happy with all of it."
LOOK = "Let me look."
HIDDEN = {"tool": "headroom_retrieve", "arguments": {"ref": "$0", "query": "ORD-10059"}}
LATER = {"tool": "headroom_retrieve", "arguments": {"ref": "$0", "query": "ORD-10061"}}
WHOLE = {"tool": "headroom_retrieve", "arguments": {"ref": "$0", "limit": 500}}
OWN = {"tool": "list_orders", "arguments": {"page": 2}}
OWN_3 = {"tool": "list_orders", "arguments": {"page": 3}}
BEFORE = {"calls": [{"tool": "list_orders", "arguments": {}}]}  # the conversation starts with it
FAILS = "fails"


@dataclass(frozen=True, slots=True)
class Case:
    """A kind of exchange.

    Attributes:
        name: as the page calls it.
        steps: what the model does, step by step.
        says: all that the client sees of its text, in the order it was said; FAILS: an exception.
        calls: pages that the client's own tool is called for, before the last step.
        requests: what the upstream gets, the second one of the client included where it has calls to answer.
        fail: how the upstream fails.
        structured: structured output is asked for.
        thinks: the model thinks first, where the dialect shows it.
    """

    name: str
    steps: tuple[dict[str, Any], ...]
    says: tuple[str, ...] = (ANSWER,)
    calls: tuple[int, ...] = ()
    requests: int = 1
    fail: dict[str, Any] = field(default_factory=dict)
    structured: bool = False
    thinks: bool = True


FINAL = {"say": ANSWER}
IN_ROUND_2 = {"round": 2, "status": 503, "after": 3}
CASES = (
    Case("plain", (FINAL,)),
    Case("hidden only", ({"calls": [HIDDEN]}, FINAL), requests=2),
    Case("text, then hidden", ({"say": LOOK, "calls": [HIDDEN]}, FINAL), says=(LOOK, ANSWER), requests=2),
    Case("two parallel hidden", ({"calls": [HIDDEN, LATER]}, FINAL), requests=2),
    Case("three sequential", ({"calls": [HIDDEN]}, {"calls": [LATER]}, {"calls": [WHOLE]}, FINAL), requests=4),
    Case("mixed, ours first", ({"calls": [HIDDEN, OWN]}, FINAL), calls=(2,), requests=2),
    Case("mixed, ours in the middle", ({"calls": [OWN, HIDDEN, OWN_3]}, FINAL), calls=(2, 3), requests=2),
    Case("mixed, ours last", ({"calls": [OWN, HIDDEN]}, FINAL), calls=(2,), requests=2),
    Case("hidden, then mixed", ({"calls": [HIDDEN]}, {"calls": [LATER, OWN]}, FINAL), calls=(2,), requests=3),
    Case("limit reached", ({"calls": [HIDDEN]},), says=("The answer ended before it was given",), requests=4),
    Case(
        "error in round 2, nothing sent",
        ({"calls": [HIDDEN]}, FINAL),
        (FAILS,),
        fail={**IN_ROUND_2, "how": "status"},
        thinks=False,
    ),
    Case(
        "error in round 2, text sent",
        ({"say": LOOK, "calls": [HIDDEN]}, FINAL),
        (FAILS,),
        fail={**IN_ROUND_2, "how": "status"},
    ),
    Case("error inside round 2", ({"calls": [HIDDEN]}, FINAL), (FAILS,), fail={**IN_ROUND_2, "how": "error"}),
    Case("disconnect in round 2", ({"calls": [HIDDEN]}, FINAL), (FAILS,), fail={**IN_ROUND_2, "how": "disconnect"}),
    Case(
        "structured output",
        ({"say": LOOK, "calls": [HIDDEN]}, {"say": '{"answer":7}'}),
        says=('{"answer":7}',),
        requests=2,
        structured=True,
    ),
)
SPOKEN = {wire.name for wire in DIALECTS}


class Cells:
    """An app that gives each cell a middleware of its own, in front of one upstream. The first step of the path names the cell."""

    def __init__(self) -> None:
        self.upstream = upstream.app()
        self._apps: dict[str, HeadroomMiddleware] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        _, name, path = scope["path"].split("/", 2)
        raw = scope["raw_path"].split(b"/", 2)[2]
        scope = {**scope, "path": f"/{path}", "raw_path": b"/" + raw}
        if name == "upstream":
            await self.upstream(scope, receive, send)
            return
        if name not in self._apps:
            store = MemoryStore(shared=name.startswith("ledger"))
            self._apps[name] = HeadroomMiddleware(self.upstream, discover=False, store=store)
        await self._apps[name](scope, receive, send)


@dataclass(slots=True)
class Seen:
    """What came of a cell: what its user gets, the answers, and what is wrong about it."""

    told: str
    answers: list[Saw] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


async def exchange(url: str, kind: type[Client], case: Case, *, stream: bool, policy: str) -> Seen:
    """One cell: the client asks, answers the calls of its own tool, and asks again."""
    name = re.sub(r"\W+", "-", f"{policy} {kind.__name__} {case.name} {stream}")
    script = {"steps": (BEFORE, *case.steps), "thinks": case.thinks}
    control = {"script": script, "fail": case.fail}
    seen = Seen("")
    try:
        client = kind(f"{url}/{name}", {"x-session-id": name, "x-demo-control": json.dumps(control)})
        messages = client.start(TABLE)
        for _ in range(1 + bool(case.calls)):
            seen.answers.append(await client.ask(messages, stream=stream, structured=case.structured))
            saw = seen.answers[-1]
            messages = [
                *([] if saw.turn == [] else messages),
                *saw.turn,
                *client.results(saw, [f"page {n}" for n, _ in enumerate(saw.calls)]),
            ]
            if not saw.calls:
                break
        seen.told = "answer" if not case.calls else "calls, answer"
    except Exception as error:  # whatever it is, the user gets it
        seen.told = f"`{type(error).__name__}`"
        if case.says != (FAILS,):
            seen.problems.append(f"{type(error).__name__}: {error}")
        elif case.fail["how"] == "status" and not (stream and case.thinks) and _status(error) != 503:
            seen.problems.append(f"status {_status(error)}, not the upstream's: {error!r}")
    async with httpx.AsyncClient() as http:
        counts = (await http.get(f"{url}/upstream/_seen/{name}")).json()
    seen.problems += _wrong(kind, case, seen, counts, ledger=policy == "ledger")
    return seen


def _status(error: BaseException) -> int | None:
    """The status that a client's exception carries."""
    for name in ("status_code", "code", "http_status"):
        if isinstance(value := getattr(error, name, None), int):
            return value
    response = getattr(error, "response", None)
    return response["ResponseMetadata"]["HTTPStatusCode"] if isinstance(response, dict) else None


def _wrong(client: type[Client], case: Case, seen: Seen, counts: dict[str, Any], *, ledger: bool) -> Iterator[str]:
    """What is not as it must be."""
    if counts["validation_failures"] or counts["prefix_broken"] or counts["unread"]:
        figures = {name: count for name, count in counts.items() if isinstance(count, int)}
        yield f"the upstream objects: {figures}"
    if case.says == (FAILS,):
        if not seen.told.startswith("`"):
            yield f"no exception, but {[saw.text for saw in seen.answers]}"
        return
    if seen.problems:
        return
    if bool(counts["forgotten"]) != bool(case.calls and not ledger):
        yield f"{counts['forgotten']} requests in which hidden calls are missing, policy {'ledger' if ledger else 'strip'}"
    if counts["seen"] != case.requests:
        yield f"{counts['seen']} requests, expected {case.requests}"
    spent = [sum(column) for column in zip(*(saw.usage for saw in seen.answers), strict=True)]
    if spent != [counts["tokens_in"], counts["tokens_out"]]:
        yield f"usage {spent}, but {counts['tokens_in']} and {counts['tokens_out']} were counted"
    called = [(name, arguments) for saw in seen.answers for name, arguments in saw.calls]
    if called != [("list_orders", {"page": page}) for page in case.calls]:
        yield f"calls {called}"
    said = [re.sub(r"\s+", "", saw.text) for saw in seen.answers]
    expected = re.sub(r"\s+", "", "".join(case.says))
    if not said[-1].startswith(expected) or (case.name != "limit reached" and said[-1] != expected) or any(said[:-1]):
        yield f"text {[saw.text for saw in seen.answers]}"
    if case.structured and json.loads(seen.answers[-1].text) != {"answer": 7}:
        yield "not the structured answer"
    reasons = [saw.reason for saw in seen.answers]
    if reasons != [client.reasons[1]] * (len(reasons) - 1) + [client.reasons[0]]:
        yield f"reasons {reasons}"
    if traces := [trace for trace in ("headroom", "ccr:") if trace in repr(seen.answers).replace("headroom_retrieve'", "HR")]:
        yield f"a trace of us: {traces} in {seen.answers}"


@dataclass(slots=True)
class Table:
    """All cells that were asked for so far, on one server."""

    url: str
    cells: dict[tuple[str, str], tuple[str, str, list[str]]] = field(default_factory=dict)

    def cell(self, kind: type[Client], case: Case) -> tuple[str, str, list[str]]:
        """What the client's user gets without and with a stream, and everything that is wrong."""
        key = (kind.__name__, case.name)
        if key not in self.cells:
            self.cells[key] = asyncio.run(self._find(kind, case))
        return self.cells[key]

    async def _find(self, kind: type[Client], case: Case) -> tuple[str, str, list[str]]:
        problems: list[str] = []
        told: dict[bool, str] = {}
        for policy in kind.policies if case.calls else kind.policies[:1]:
            found = {}
            for stream in (False, True):
                seen = await exchange(self.url, kind, case, stream=stream, policy=policy)
                problems += [f"{policy}, {'stream' if stream else 'JSON'}: {problem}" for problem in seen.problems]
                told[stream] = seen.told
                found[stream] = [saw.final for saw in seen.answers]
            if case.says != (FAILS,) and not problems and found[True] != found[False]:
                problems.append(f"{policy}: the stream's final object is another one:\n{found[True]}\n{found[False]}")
        return told[False], told[True], problems


@contextmanager
def table() -> Iterator[Table]:
    """A table, while its server runs.

    Every client makes a TLS context of its own, and what it loads for that takes longer than all else here: one certificate will do.
    """
    with served(Cells()) as url, TemporaryDirectory() as folder, patch.dict(os.environ):
        one = Path(folder, "one.pem")
        one.write_text(
            Path(certifi.where()).read_text().partition("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n"
        )
        os.environ["SSL_CERT_FILE"] = str(one)
        for name in ("uvicorn.error", "httpx"):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # upstreams that break off are what some cells are about
        yield Table(url)


def columns() -> list[type[Client]]:
    """The clients whose dialects there are."""
    return [kind for kind in CLIENTS if kind.dialect in SPOKEN]


def page(cells: Table) -> str:
    """docs/wire.md."""
    heads = [f"{kind.name}<br>{kind.dialect}" for kind in columns()]
    lines = ["| exchange | | " + " | ".join(heads) + " |", "|---" * (len(heads) + 2) + "|"]
    for case in CASES:
        found = [cells.cell(kind, case) for kind in columns()]
        for at, mode in enumerate(("JSON", "stream")):
            shown = [("**wrong**" if problems else (whole, streamed)[at]) for whole, streamed, problems in found]
            lines.append(f"| {case.name if not at else ''} | {mode} | " + " | ".join(shown) + " |")
    return _INTRODUCTION + "\n" + "\n".join(lines) + "\n"


_INTRODUCTION = """# Dialects: what the official clients see

Written by `python -m tests.conformance --write` out of what the tests find; a test fails if it is out of date.

Each cell is run through the named client over a socket, with `HeadroomMiddleware` in a uvicorn server, in front of the scripted
upstream of the example, which refuses what the provider would refuse (signed thinking behind another prefix, reasoning without
what follows it, calls without results, missing signatures ...). In every cell the upstream accepted all requests, and the client

- saw the text and the calls that are meant for it, in order, the reason that its dialect has for such an end, and no trace of
  the retrieve tool;
- got one usage, the sum over the rounds;
- got, from the stream, the same final object as from the JSON answer.

Mixed exchanges (our tool and the client's in one turn) go on until the client has its answer, in two policies: `ledger`, where
the upstream must find the hidden calls and results in the client's next request, byte for byte the prefix that it had seen, and
`strip`, where they are gone and nothing may be refused.

`answer`: the whole answer. `calls`: the client's own calls, which it answers. Else the exception that the client raises where the
second round fails: an answer that breaks off never looks like one that is complete. With nothing sent yet, it carries the
upstream's status.
"""


def main(arguments: list[str]) -> int:
    """Print or write the page; the exit status is 0 if every cell is right."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description="What the official clients see.")
    parser.add_argument("--write", action="store_true", help="write docs/wire.md")
    parser.add_argument("--only", default="", help="clients whose name has this in it")
    options = parser.parse_args(arguments)
    with table() as cells:
        wrong = 0
        for kind in columns():
            for case in CASES:
                if options.only.lower() in kind.__name__.lower():
                    whole, streamed, problems = cells.cell(kind, case)
                    wrong += bool(problems)
                    print(f"{kind.__name__:22} {case.name:32} {whole:40} {streamed:40}")
                    for problem in problems:
                        print(f"    {problem[:1500]}")
        if options.write:
            PAGE.write_text(page(cells))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
