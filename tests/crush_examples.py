"""Ten shapes of tool output before and after: what docs/crush-examples.md shows, made by the kernel.

python -m tests.crush_examples --write
"""

import json
import sys
from itertools import zip_longest
from pathlib import Path
from typing import Any

from headroom_asgi import _crush

NULS = "\x00" * 512
PAGE = Path(__file__).parent.parent / "docs" / "crush-examples.md"

WIDTH = 72  # of the column with what is sent


def minified(value: Any) -> str:
    """JSON without white space."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def shapes() -> list[tuple[str, str]]:
    """Name and text of each."""
    records = [
        {"id": 7, "city": "Oslo", "zip": "0150", "geo": {"lat": 59.9, "lon": 10.7}, "country": "NO", "active": True},
        {"id": 8, "city": "Bergen", "zip": None, "geo": {"lat": 60.4, "lon": 5.3}, "country": "NO", "active": True},
        {"id": 9, "city": "", "geo": {"lat": 63.4, "lon": 10.4}, "country": "NO", "active": True},
    ]
    users = [
        {"login": name, "id": number, "url": f"https://git.example.com/{name}", "admin": False}
        for name, number in (("ada", 17), ("grace", 23))
    ]
    titles = ("Crash on start", "Typo", "Slow list", "Dark mode")
    issues = [{"number": 40 + n, "title": title, "user": users[n % 2], "labels": []} for n, title in enumerate(titles)]
    orders = [
        {
            "order": f"A-{n}",
            "note": f"Delivery to {city} is on its way",
            "items": [{"sku": f"S{n}", "qty": n}, {"sku": "T9", "qty": 1}],
        }
        for n, city in ((1, "Rome"), (2, "Bonn"), (3, "Lyon"))
    ]
    services = {
        f"{name}-api": {"status": status, "pods": pods, "checks": [{"path": "/health", "ok": status == "up"}]}
        for name, status, pods in (("auth", "up", 3), ("cart", "down", 0), ("mail", "up", 2))
    }
    trips = [
        [{"flight": f"HAT{n}", "from": "JFK", "to": to, "bags": 0} for n, to in legs] for legs in ([(1, "ORD")], [(7, "SEA")])
    ]
    page = {"query": {"next": None}, "matrix": [[1, 0.5], [2, 0.25]], "samples": [0] * 40 + [7]}
    note = json.dumps({"path": "notes.md", "text": "# Plan\nship it"}, indent=2)
    mcp = minified({"type": "text", "text": note, "annotations": None})
    lines = "\n".join(minified({"ts": f"10:0{n}:00", "level": "info", "msg": f"tick {n}"}) for n in range(2))
    files = [{"name": f"file_{n}.txt", "owner": "root", "group": "staff", "mode": "rw-r--r--", "links": 1} for n in range(3)]
    wait = "waiting for the lock on /var/lib/apt/lists"
    return [
        ("Records: constants once; null, empty and missing", minified(records)),
        ("Objects that come again, said once", minified(issues)),
        ("Lists of records in records; texts that begin and end alike", minified(orders)),
        ("A map of records, with lists of one", minified(services)),
        ("A list of lists of records", minified(trips)),
        ("A deep object, a matrix, a run of numbers", minified(page)),
        ("JSON in a string, a text of several lines in it", mcp),
        ("NDJSON", lines),
        ("A document that was cut short", f"{minified(files)[:-70]}... [truncated]"),
        ("Text with runs of characters and lines", f"{NULS}\n{wait}\n{wait}\n{wait}\n{wait}"),
    ]


def shown(text: str) -> list[str]:
    """Its lines, control characters visible."""
    return text.replace("\t", "⇥").replace(NULS, "␀␀␀…␀ (512)").split("\n")


def wrapped(text: str, height: int) -> list[str]:
    """As many lines of a column: all of a text, or its beginning and end."""
    lines = [line[at : at + WIDTH] for line in shown(text) for at in range(0, len(line), WIDTH)]
    if len(lines) > height:
        lines[height - 1 :] = [lines[height - 1][: WIDTH // 2] + " … " + text[3 - WIDTH // 2 :]]
    return lines


def page() -> str:
    """The whole page."""
    lines = [
        "# What a reader sees",
        "Ten shapes, as they come (left) and as they are sent on; ⇥ is a tab. `python -m tests.crush_examples --write` makes this page.",
        "```",
    ]
    for name, text in shapes():
        found = _crush.crush(text.encode())
        assert found is not None, name
        after = shown(found[0].decode())
        before = [f"# {name}", *wrapped(text, len(after) - 1)]
        lines += [f"{left:{WIDTH}} │ {right}" for left, right in zip_longest(before, after, fillvalue="")]
    return "\n".join([*lines, "```", ""])


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit(__doc__)
    PAGE.write_text(page(), encoding="utf-8")
