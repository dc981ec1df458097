"""Recorded conversations, replayed turn by turn through the gateway: what is saved, and whether used facts can still be read.

A used fact is a literal (an id, path, number, e-mail, name with digits ...) that an assistant turn writes, that an earlier tool
result holds, and that no message before it holds: the model can only have it from there. The upstream gets the facts of the
next turn in a header, looks for them in the request, and retrieves what is not visible.
"""

import gzip
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import Any
from urllib.parse import quote

from example_app.client import Client, Sent
from example_app.demo import DIRECT, Places
from example_app.dialects import DIALECTS, RefusedError
from example_app.report import count, milliseconds, percent, table
from example_app.speakers import SPEAKERS, Talk
from example_app.view import FACTS_HEADER, Item, WireFormat

HEADS = (
    "recording",
    ">requests",
    ">tokens before",
    ">after",
    ">saved",
    ">added ms",
    ">retrievals",
    ">facts visible or retrieved",
)
_CONVERSATIONS = 4  # a file
_TURNS = 12  # a conversation
_MAX_HEADER = 8_000  # characters of facts in a header; servers refuse heads above some 64 kB, gateways often above 16
_FORMATS: dict[str, WireFormat] = {"openai-chat": "chat", "anthropic": "anthropic"}

FOOTNOTE = (
    f"the first {_CONVERSATIONS} conversations of a file, up to {_TURNS} requests each; every second one is streamed.\n"
    "tokens: exact, o200k_base, summed over every request; before: as the client sent them, after: as the upstream got them,\n"
    "the tool definition and the hidden rounds of retrievals included. added ms: mean per request, retrieval rounds included,\n"
    "minus the same request through the same gateway with mode=off."
)

_LITERAL = re.compile(
    r"""
    [\w.+-]+@[\w-]+\.[\w.-]+                 # e-mail
  | https?://[^\s"'<>)\]}]+                  # URL
  | (?:[\w.-]+/)+[\w.-]+                     # path
  | \b[0-9a-f]{7,64}\b                       # hash
  | \b[A-Za-z_][\w-]*\d[\w-]*\b              # name with a digit
  | \b\d[\d,.:-]{2,}\d\b                     # number, date, time
  | \b[a-z]+(?:_[a-z0-9]+)+\b                # snake_case
  | \b[A-Z][a-z0-9]+(?:[A-Z][a-z0-9]+)+\b    # CamelCase
    """,
    re.VERBOSE,
)
_ESCAPE = re.compile(r"\\+[nrt]")


@dataclass(slots=True)
class Row:
    """One file's sums."""

    name: str
    requests: int = 0
    skipped: int = 0
    before: int = 0
    after: int = 0
    added_ms: list[float] = field(default_factory=list)
    retrievals: int = 0
    facts: int = 0
    found: int = 0
    problems: list[str] = field(default_factory=list)

    def cells(self) -> list[str]:
        """The row as the table shows it."""
        added = milliseconds(fmean(self.added_ms)) if self.added_ms else "-"
        figures = [count(self.before), count(self.after), percent(self.before, self.after), added]
        return [self.name, count(self.requests), *figures, count(self.retrievals), f"{self.found}/{self.facts}"]


def replay(places: Places, directory: Path) -> tuple[str, list[str]]:
    """Replay every recording below a directory; the table, and what went wrong. Raises FileNotFoundError if there is none."""
    files = sorted(directory.rglob("conversations/*.jsonl.gz")) or sorted(directory.glob("*.jsonl.gz"))
    if not files:
        raise FileNotFoundError(f"no recordings (conversations/*.jsonl.gz) below {directory}")
    rows = [_file(places, path) for path in files]
    total = Row("total")
    for row in rows:
        for name in ("requests", "skipped", "before", "after", "retrievals", "facts", "found"):
            setattr(total, name, getattr(total, name) + getattr(row, name))
        total.added_ms += row.added_ms
    shown = table(HEADS, [row.cells() for row in rows], total.cells())
    if total.skipped:
        shown += f"\nnot sent: {total.skipped} recorded requests that no provider would accept as they stand in the recording"
    return shown, [problem for row in rows for problem in row.problems]


def used_facts(items: list[Item], prelude: str) -> dict[int, list[str]]:
    """The literals that each assistant message takes from an earlier tool result and from nowhere else, by its index.

    Args:
        items: the conversation.
        prelude: system prompt and tool definitions; what stands there is no fact.
    """
    texts = [_ESCAPE.sub(" ", item.text) for item in items]
    first: dict[str, int] = {}
    used: dict[int, list[str]] = {}
    for index, item in enumerate(items):
        literals = sorted(set(_LITERAL.findall(texts[index])))
        if item.kind in ("assistant", "call"):
            known = [literal for literal in literals if literal in first and items[first[literal]].kind == "result"]
            used.setdefault(item.message, []).extend(literal for literal in known if literal not in prelude)
        for literal in literals:
            first.setdefault(literal, index)
    # A literal may sit inside a longer one of an earlier item: then it is not new in the tool result.
    old = {name for names in used.values() for name in names if any(name in text for text in texts[: first[name]])}
    return {message: [name for name in dict.fromkeys(names) if name not in old] for message, names in used.items()}


def _file(places: Places, path: Path) -> Row:
    row = Row(path.name.partition(".")[0])
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(islice(lines, _CONVERSATIONS)):
            _conversation(places, row, json.loads(line), f"{row.name}/{number}", stream=number % 2 == 1)
    return row


def _conversation(places: Places, row: Row, recording: dict[str, Any], session: str, *, stream: bool) -> None:
    """Send a recording's requests one after the other, with and without the middleware."""
    wire_format, messages = _FORMATS[recording["format"]], recording["messages"]
    head = _head(wire_format, recording, stream=stream)
    turns = [turn for turn in islice(_turns(messages), _TURNS) if _valid(wire_format, {**head, "messages": messages[:turn]})]
    row.skipped += len(list(islice(_turns(messages), _TURNS))) - len(turns)
    if not turns:
        return
    prelude = json.dumps([head.get("system"), head.get("tools")], ensure_ascii=False)
    facts = used_facts(list(DIALECTS[wire_format].items({"messages": messages[: turns[-1] + 1]})), prelude)
    noted: dict[str, Any] = {"seen": 0, "retrievals": 0}
    for turn in turns:
        body = {**head, "messages": messages[:turn]}
        wanted = _that_fit(facts.get(turn, []))
        header = {FACTS_HEADER: quote(json.dumps(wanted))}
        talk = Talk(head["model"], stream=stream)
        sent = Client(places.gateway, wire_format, "", session, header).send(body, talk)
        direct = Client(places.gateway, wire_format, DIRECT, f"{session}/direct", header).send(body, talk)
        before, noted = noted, places.seen(session, noted["seen"])
        row.requests += 1
        row.before += places.counter(body)
        row.after += sum(map(places.counter, noted["bodies"]))
        row.added_ms.append(sent.ms - direct.ms)
        row.retrievals += noted["retrievals"] - before["retrievals"]
        row.facts += len(wanted)
        row.found += _found(row, f"{session} before message {turn}", sent, wire_format)


def _found(row: Row, where: str, sent: Sent, wire_format: WireFormat) -> int:
    """How many facts the upstream could read; what it could not is noted as a problem."""
    if sent.status != 200:
        row.problems.append(f"{where}: status {sent.status}")
        return 0
    report = json.loads(SPEAKERS[wire_format].text(sent.turn))
    if report["missing"]:
        row.problems.append(f"{where}: not visible and not retrieved: {', '.join(report['missing'][:3])}")
    return int(report["visible"])


def _turns(messages: list[dict[str, Any]]) -> Iterator[int]:
    """The indices of assistant turns: what stands before one is a request."""
    for index in range(1, len(messages)):
        if messages[index]["role"] == "assistant" and messages[index - 1]["role"] != "assistant":
            yield index


def _valid(wire_format: WireFormat, body: dict[str, Any]) -> bool:
    try:
        DIALECTS[wire_format].validate(body)
    except RefusedError:
        return False
    return True


def _head(wire_format: WireFormat, recording: dict[str, Any], *, stream: bool) -> dict[str, Any]:
    """A request without its messages. Where the recording has no tools, those that its calls name are declared."""
    head: dict[str, Any] = {"model": recording.get("model") or "recorded-model"}
    if tools := recording.get("tools") or _declared(wire_format, recording["messages"]):
        head["tools"] = tools
    if wire_format == "anthropic":
        head["max_tokens"] = 4096
        if recording.get("system"):
            head["system"] = recording["system"]
    return {**head, "stream": True} if stream else head


def _declared(wire_format: WireFormat, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Definitions of the tools that a recording's calls name."""
    names: set[str] = set()
    for message in messages:
        names |= {call["function"]["name"] for call in message.get("tool_calls") or ()}
        blocks = message["content"] if isinstance(message.get("content"), list) else ()
        names |= {block["name"] for block in blocks if block.get("type") == "tool_use"}
    schema = {"type": "object", "properties": {}}
    if wire_format == "anthropic":
        return [{"name": name, "description": name, "input_schema": schema} for name in sorted(names)]
    functions = [{"name": name, "description": name, "parameters": schema} for name in sorted(names)]
    return [{"type": "function", "function": function} for function in functions]


def _that_fit(facts: list[str]) -> list[str]:
    """As many facts as fit into a header."""
    kept: list[str] = []
    room = _MAX_HEADER
    for fact in facts:
        room -= len(quote(json.dumps(fact))) + len("%2C%20")
        if room < 0:
            break
        kept.append(fact)
    return kept
