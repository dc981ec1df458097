"""Sends every recorded conversation through the middleware, turn by turn, and prints what came of it, a JSON line per file.

    python -m tests.corpus_worker CORPUS MODE [--write]      (--write: keep the digests as those of the current policy)
    python -m tests.corpus_worker CORPUS MODE --at-once      every conversation as its last turn only, with nothing seen before it

A process of its own, so that tests can compare processes with different hash seeds.
"""

import argparse
import gzip
import hashlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio

from headroom_asgi import HeadroomMiddleware, expand, testing, tokenizer
from headroom_asgi.engine import POLICY
from headroom_asgi.testing import PrefixError, assert_grows, forwarded
from headroom_asgi.transforms import Shown, unfold
from headroom_asgi.wire import dialect_named, guess_dialect
from tests.driver import Inner, post
from tests.json_exact import same

MARKER = re.compile(r"<<ccr:[0-9a-f]{32}-\w+ [0-9]+ [^>]*left out")
DIGESTS = Path(__file__).with_name("policy_digests.json")


def conversations(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt") as lines:
        for line in lines:
            conversation = json.loads(line)
            if "messages" in conversation:
                yield conversation


def declared_tools(conversation: dict[str, Any]) -> list[dict[str, Any]]:
    """The recording's tools; where it has none, those that its calls name."""
    if conversation.get("tools"):
        tools: list[dict[str, Any]] = conversation["tools"]
        return tools
    names = set()
    for message in conversation["messages"]:
        names |= {call.get("function", {}).get("name") for call in message.get("tool_calls") or ()}
        if isinstance(message.get("content"), list):
            names |= {p.get("name") for p in message["content"] if isinstance(p, dict) and p.get("type") == "tool_use"}
    schema = {"type": "object", "properties": {}}
    if conversation.get("format") == "anthropic":
        return [{"name": n, "description": n, "input_schema": schema} for n in sorted(filter(None, names))]
    functions = [{"name": n, "description": n, "parameters": schema} for n in sorted(filter(None, names))]
    return [{"type": "function", "function": function} for function in functions]


def tool_outputs(message: dict[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """For every tool result in a message the id of its call, and its texts."""
    content = message.get("content")
    if message.get("role") in ("tool", "function"):
        yield message.get("tool_call_id") or message.get("name") or "", list(texts(content))
    elif isinstance(content, list):
        for part in content:
            if isinstance(part, dict) and part.get("type") == "tool_result":
                yield part.get("tool_use_id") or "", list(texts(part.get("content")))


def calls_in(message: dict[str, Any]) -> Iterator[tuple[str, dict[str, str]]]:
    """The ids of the calls in a message, with the texts of their arguments by name."""
    if message.get("role") != "assistant":
        return
    calls = [(call.get("id"), call.get("function", {}).get("arguments")) for call in message.get("tool_calls") or ()]
    if legacy := message.get("function_call"):
        calls.append((legacy["name"], legacy.get("arguments")))
    if isinstance(message.get("content"), list):
        parts = [part for part in message["content"] if isinstance(part, dict) and part.get("type") == "tool_use"]
        calls += [(part.get("id"), part.get("input")) for part in parts]
    for call_id, arguments in calls:
        yield call_id or "", dict(named_texts(read_arguments(arguments), ""))


def read_arguments(arguments: Any) -> Any:
    """What a call was given; arguments that are a text, and no JSON, go by the name of `input`."""
    if not isinstance(arguments, str):
        return arguments
    try:
        return json.loads(arguments)
    except ValueError:
        return {"input": arguments}


def named_texts(value: Any, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, dict):
        for key, member in value.items():
            yield from named_texts(member, f"{name}.{key}" if name else key)
    elif isinstance(value, list):
        for at, member in enumerate(value):
            yield from named_texts(member, f"{name}[{at}]")


def texts(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        yield from (part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str))


def reads_back(text: str, original: str) -> bool:
    """JSON as the same value; other texts byte for byte."""
    back = expand(text)
    return back == original if re.match(r"\[(?:text|view|json\w+|json\w* cut)[;\] ]", text) else same(back, original)


def fields_of(conversation: dict[str, Any]) -> dict[str, Any]:
    """The other fields of a request."""
    fields = {"model": conversation.get("model") or "gpt-4o", "tools": declared_tools(conversation)}
    if conversation.get("system") and conversation.get("format") == "anthropic":
        fields["system"] = conversation["system"]
    return fields


def at_once(conversation: dict[str, Any], mode: str) -> list[bytes]:
    """What is sent of the last turn by a worker that has seen no earlier one, in the parts that `forwarded` gives."""
    messages, name = conversation["messages"], conversation.get("format")
    wire = guess_dialect(messages) if name is None else dialect_named(name)
    inner = Inner()
    app = HeadroomMiddleware(inner, discover=False, mode=mode)
    anyio.run(post, app, wire.example_path, testing._body(wire, messages, fields_of(conversation)))
    return testing._parts(wire, inner.bodies[0])


def digest_at_once(path: Path, mode: str) -> dict[str, Any]:
    digest = hashlib.sha256()
    for conversation in conversations(path):
        digest.update(b"\0".join(at_once(conversation, mode)))
    return {"file": path.name, "digest": digest.hexdigest()}


def run_file(path: Path, mode: str) -> dict[str, Any]:
    digest = hashlib.sha256()
    found = {"file": path.name, "conversations": 0, "turns": 0, "broken": 0, "edited": 0, "left_out": 0, "unequal": 0, "moved": 0}
    for conversation in conversations(path):
        messages = conversation["messages"]
        turns = forwarded(messages, dialect=conversation.get("format"), fields=fields_of(conversation), mode=mode)
        found["conversations"] += 1
        found["turns"] += len(turns)
        try:
            assert_grows(turns)
        except PrefixError:
            found["broken"] += 1
        digest.update(b"\0".join(turns[-1]))
        compare(messages, turns[-1][-len(messages) :] if messages else [], found)
    return found | {"digest": digest.hexdigest()}


def compare(messages: list[Any], sent: list[bytes], found: dict[str, Any]) -> None:
    """Every edited tool output, unfolded, reads back as what it was; all other bytes are as they came."""
    pairs: list[tuple[str, str]] = []
    calls: dict[str, dict[str, str]] = {}
    seen: list[Shown] = []
    results = 0
    for before, raw in zip(messages, sent, strict=True):
        came = json.dumps(before).encode("ascii")
        after = before if raw == came else json.loads(raw)
        calls |= calls_in(before)
        for (call, originals), (_, forwarded_texts) in zip(tool_outputs(before), tool_outputs(after), strict=True):
            results += 1
            said = [(results, name, text) for name, text in calls.get(call, {}).items()]
            for at, (original, text) in enumerate(zip(originals, forwarded_texts, strict=True), 1):
                pairs.append((original, text))
                seen.append(Shown(text, (results, at), said))
                if original != text:
                    came = came.replace(json.dumps(original).encode("ascii"), json.dumps(text).encode("ascii"), 1)
        found["moved"] += raw != came
    for (original, text), whole in zip(pairs, unfold(seen), strict=True):
        if original == text:
            continue
        found["edited"] += 1
        if MARKER.search(whole):
            found["left_out"] += 1
        elif whole != original and not reads_back(whole, original):
            found["unequal"] += 1


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("corpus", type=Path)
    parser.add_argument("mode", choices=["lossless", "ccr"])
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--at-once", action="store_true")
    arguments = parser.parse_args()
    if arguments.at_once:
        tokenizer._loaded = lambda name: None  # no byte may depend on what tokens are counted with
    digests = {}
    for path in sorted((arguments.corpus / "conversations").glob("*.jsonl.gz")):
        found = (digest_at_once if arguments.at_once else run_file)(path, arguments.mode)
        digests[path.name] = found["digest"]
        print(json.dumps(found), flush=True)
    if arguments.write:
        kept = json.loads(DIGESTS.read_text()) if DIGESTS.exists() else {}
        kept.setdefault(str(POLICY), {})[arguments.mode] = digests
        DIGESTS.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    sys.exit(main())
