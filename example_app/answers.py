"""The scripted model: decides the next reply from the request alone, as a model would.

A question ends with a line `[script: {...}]` that stands for the model's own cleverness: which tools it calls first (`calls`, a
list of rounds), what it then looks for (`find`), and how it calls the thing it looks for (`asked`). The answer itself is
nowhere in it: it is read from what is visible, or asked for through `headroom_retrieve` if a marker says that it was left out.

A script may also prescribe its `steps` one by one, each with what to `say` and the `calls` to make; `"ref": "$1"` in their
arguments is the second ref that markers name. Unless it says `"thinks": false`, each step is thought about first. `rounds` are
the steps of one request of the client alone, the hidden rounds of it one by one.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from example_app.inline import Value
from example_app.reader import find_field, lines_in, values_in
from example_app.view import Call, Item, Reply

RETRIEVE_TOOL = "headroom_retrieve"
_MARKER = re.compile(r"<<ccr:([A-Za-z0-9_-]+)")
_SCRIPT = re.compile(r"\[script: (\{.*\})\]\s*$", re.DOTALL)
_MAX_CALLS = 8  # retrievals in one response; a model that needs more asks again
_MAX_NEEDLES = 4  # different things that it searches for at once
_ESCAPE = re.compile(r"\\+[nrt]")  # escaped text inside strings: a line break is no part of a literal


def script_of(question: str) -> dict[str, Any]:
    """What the last line of a question tells the scripted model to do; empty if there is none."""
    found = _SCRIPT.search(question)
    script: dict[str, Any] = json.loads(found[1]) if found else {}
    return script


def named(items: Sequence[Item]) -> list[Item]:
    """The same items, in which results know their tool's name."""
    names = {item.call_id: item.name for item in items if item.kind == "call" and item.call_id}
    return [
        Item("result", item.text, names.get(item.call_id, item.name), item.call_id, item.message)
        if item.kind == "result"
        else item
        for item in items
    ]


def round_of(items: Sequence[Item]) -> int:
    """The number of the round that a request begins: 1, and one more for each time that only the retrieve tool was called."""
    given = (item.message for item in items if item.kind == "user" or (item.kind == "result" and item.name != RETRIEVE_TOOL))
    last = max(given, default=-1)
    return 1 + len({item.message for item in items if item.kind == "call" and item.message > last})


def decide(
    items: Sequence[Item], tools: Sequence[str], facts: Sequence[str] | None, script: dict[str, Any] | None = None
) -> Reply:
    """The reply to a conversation.

    Args:
        items: what the model reads.
        tools: the names of its tools.
        facts: only say which of these literals can be read in the conversation.
        script: what to do, instead of what the newest question says.
    """
    if facts is not None:
        return _recall(items, tools, facts)
    asked_at = max((index for index, item in enumerate(items) if item.kind == "user" and item.text), default=-1)
    if script is None:
        script = script_of(items[asked_at].text) if asked_at >= 0 else {}
    since = items[asked_at + 1 :]
    if "rounds" in script:
        rounds = script["rounds"]
        return _taken(rounds[min(round_of(items), len(rounds)) - 1], items, tools)
    if "steps" in script:
        reply = _step(items, since, tools, script["steps"])
        return reply if script.get("thinks", True) else replace(reply, thinking="")
    rounds = script.get("calls", [])
    made = len({item.message for item in since if item.kind == "call" and item.name != RETRIEVE_TOOL})
    preface = script.get("preface", "") if not since else ""
    split = bool(script.get("split_name"))
    if made < len(rounds):
        calls = tuple(Call(call["tool"], call["arguments"]) for call in rounds[made])
        return Reply(preface, calls, f"I need {calls[0].name} for this.", split)
    if "find" not in script:
        return Reply(script.get("say", "Hello from the scripted upstream."), thinking="Nothing to look up.")
    find = script["find"]
    if (answer := _look_up(items, find)) is not None:
        return Reply(f"The {find['asked']} is {answer}.", thinking=f"I can see the {find['asked']}.")
    calls = _retrievals(items, since, tools, [_needle(find)])
    if calls:
        return Reply(preface, calls, f"The {find['asked']} was left out here, so I ask for it.", split)
    return Reply(f"I could not find the {find['asked']}.", thinking="It is not here.")


def _step(items: Sequence[Item], since: Sequence[Item], tools: Sequence[str], steps: Sequence[dict[str, Any]]) -> Reply:
    """The step that follows what was done since the question.

    A turn in which the client's tools were called was the next step that does so: what was hidden before it may be gone.
    """
    clients = [any(call["tool"] != RETRIEVE_TOOL for call in step.get("calls", ())) for step in steps]
    turns: dict[int, bool] = {}
    for item in since:
        if item.kind == "call":
            turns[item.message] = turns.get(item.message, False) or item.name != RETRIEVE_TOOL
    at = 0
    for has_clients in turns.values():
        at = clients.index(True, at) + 1 if has_clients and True in clients[at:] else at + 1
    while RETRIEVE_TOOL not in tools and at + 1 < len(steps) and steps[at].get("calls") and not clients[at]:
        at += 1
    return _taken(steps[min(at, len(steps) - 1)], items, tools)


def _taken(step: dict[str, Any], items: Sequence[Item], tools: Sequence[str]) -> Reply:
    """What a step says, and those of its calls for which there are tools."""
    refs = _refs(items)
    asked = [call for call in step.get("calls", ()) if call["tool"] in tools]
    calls = tuple(Call(call["tool"], _with_ref(call.get("arguments", {}), refs)) for call in asked)
    return Reply(step.get("say", ""), calls, f"I read {len(items)} items.", bool(step.get("split_name")))


def _with_ref(arguments: dict[str, Any], refs: Sequence[str]) -> dict[str, Any]:
    """Arguments in which `$n` is the n-th ref, the last one if there are fewer."""
    ref = str(arguments.get("ref", ""))
    if not ref.startswith("$") or not refs:
        return arguments
    return {**arguments, "ref": refs[min(int(ref[1:]), len(refs) - 1)]}


def _look_up(items: Sequence[Item], find: dict[str, str]) -> str | None:
    """The answer, if it can be read in a tool result (the newest first): a field of a record, or a part of a line."""
    for item in reversed(items):
        if item.kind == "result" and _needle(find) in item.text:
            values = [*values_in(item.text), item.text]
            found = (_line_part(value, find) if "line" in find else _field(value, find) for value in values)
            if (answer := next((part for part in found if part is not None), None)) is not None:
                return answer
    return None


def _field(value: Value, find: dict[str, str]) -> str | None:
    return find_field(value, find["key"], find["value"], find["field"])


def _line_part(value: Value, find: dict[str, str]) -> str | None:
    """The part that follows the words that were looked for, on their line."""
    part = re.compile(re.escape(find["line"]) + r"[^\n]*?" + find["part"])
    found = (part.search(line) for line in lines_in(value))
    return next((match[1] for match in found if match), None)


def _needle(find: dict[str, str]) -> str:
    return find["line"] if "line" in find else find["value"]


def _retrievals(items: Sequence[Item], since: Sequence[Item], tools: Sequence[str], needles: Sequence[str]) -> tuple[Call, ...]:
    """First a search in what was left out, the newest first; if that was in vain, the whole of it."""
    if RETRIEVE_TOOL not in tools:
        return ()
    tried = [json.loads(item.text) for item in since if item.kind == "call" and item.name == RETRIEVE_TOOL]
    refs = _refs(items)
    whole: list[dict[str, Any]] = [{"ref": ref} for ref in refs]
    searches = [{"ref": ref, "query": needle} for needle in needles[:_MAX_NEEDLES] for ref in refs]
    wanted = [call for call in whole if call not in tried] if tried else searches
    return tuple(Call(RETRIEVE_TOOL, call) for call in wanted[:_MAX_CALLS])


def _refs(items: Sequence[Item]) -> list[str]:
    """What the markers in a conversation name, the newest first."""
    texts = [item.text for item in items if item.kind in ("user", "result") and item.name != RETRIEVE_TOOL]
    return list(dict.fromkeys(ref for text in reversed(texts) for ref in _MARKER.findall(text)))


def _recall(items: Sequence[Item], tools: Sequence[str], facts: Sequence[str]) -> Reply:
    """Report which facts can be read, after asking for what may hold the others."""
    text = _ESCAPE.sub(" ", "\n".join(item.text for item in items))
    missing = [fact for fact in facts if fact not in text]
    last = max((item.message for item in items if item.kind in ("user", "result") and item.name != RETRIEVE_TOOL), default=-1)
    since = [item for item in items if item.message > last]
    calls = _retrievals(items, since, tools, missing) if missing else ()
    if calls:
        return Reply(calls=calls)
    return Reply(json.dumps({"visible": len(facts) - len(missing), "missing": missing}), thinking="Done.")
