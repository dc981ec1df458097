"""Ten shapes of tool output before and after: what docs/crush-examples.md shows, made by the kernel.

python -m tests.crush_examples --write
"""

import json
import sys
from pathlib import Path
from typing import Any

from headroom_asgi import _crush

NULS = "\x00" * 512
PAGE = Path(__file__).parent.parent / "docs" / "crush-examples.md"

USERS = {
    name: {"login": name, "id": number, "url": f"https://git.example.com/{name}", "admin": False}
    for name, number in (("ada", 17), ("grace", 23))
}


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
    issues = [
        {"number": 40 + n, "title": title, "user": USERS[who], "labels": []}
        for n, (title, who) in enumerate(
            [("Crash on start", "ada"), ("Typo", "grace"), ("Slow list", "ada"), ("Dark mode", "grace")]
        )
    ]
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
        [{"flight": "HAT1", "from": "JFK", "to": "ORD"}, {"flight": "HAT2", "from": "ORD", "to": "SEA"}],
        [{"flight": "HAT7", "from": "JFK", "to": "SEA"}],
    ]
    page = {
        "query": {"user": None, "cursor": None, "total": 3},
        "matrix": [[1, 0.5], [2, 0.25]],
        "samples": [0] * 40 + [7],
    }
    inner = json.dumps({"path": "notes.md", "text": "# Plan\n\n- ship it\n- rest", "size": 25}, indent=2)
    mcp = minified({"type": "text", "text": inner, "annotations": None})
    lines = "\n".join(minified({"ts": f"10:0{n}:00", "level": "info", "msg": f"tick {n}"}) for n in range(3))
    cut = (
        "HTTP/1.1 200 OK\n\n"
        + minified([{"name": f"file_{n}.txt", "bytes": 100 * n, "owner": "root"} for n in range(6)])[:-9]
        + "... [truncated]"
    )
    wait = "waiting for the lock on /var/lib/apt/lists, held by process 4711"
    dump = f"Reading\n{NULS}\n{wait}\n{wait}\n{wait}\n{wait}\ndone"
    return [
        ("Records: constants once, null, empty and missing told apart", minified(records)),
        ("Objects that come again, said once", minified(issues)),
        ("Lists of records in records; texts that begin and end alike", minified(orders)),
        ("A map of records, with lists of one", minified(services)),
        ("A list of lists of records", minified(trips)),
        ("A deep object, a matrix, a run of numbers", minified(page)),
        ("JSON in a string in an MCP envelope, with a text of several lines", mcp),
        ("NDJSON", lines),
        ("A document cut short, behind other text", cut),
        ("Text with a run of NUL characters and a line that repeats", dump),
    ]


def shown(text: str) -> str:
    """As the page shows it: control characters visible, long lines shortened."""
    text = text.replace("\t", "⇥").replace(NULS, "␀␀␀… (512)")
    return "\n".join(line if len(line) <= 230 else f"{line[:150]} … {line[-60:]}" for line in text.split("\n"))


def page() -> str:
    """The whole page."""
    lines = [
        "# What a reader sees",
        "",
        "Ten shapes, before (`<`) and after; ⇥ is a tab. `python -m tests.crush_examples --write` makes this page, a test compares.",
        "```",
    ]
    for name, text in shapes():
        found = _crush.crush(text.encode())
        assert found is not None, name
        lines.append(f"# {name}")
        lines += [f"< {line}" for line in shown(text).split("\n")]
        lines += shown(found[0].decode()).split("\n")
    return "\n".join([*lines, "```", ""])


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit(__doc__)
    PAGE.write_text(page(), encoding="utf-8")
