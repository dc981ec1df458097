"""Seeded generators of the arrays that tools return: the same values on every run and machine.

Each takes a number of rows and returns a JSON value with that many. They copy the shapes of well-known answers (a web
search, a log query, a metrics range query, a SQL result, an issue tracker's list), not those of one recording.
"""

import json
import random
from collections.abc import Callable
from typing import Any

_PROSE = (
    "the service could not reach its upstream after several attempts and gave up while retrying with a longer delay because "
    "network policy changed during the last deployment which also moved traffic between regions for customers using the new "
    "checkout flow so alerts fired once per minute until an engineer rolled back configuration and verified that orders were "
    "processed again without duplicates or missing entries in ledger tables shared by billing and reporting teams"
)
_WORDS = _PROSE.split()
_PEOPLE = "Ana Bruno Chen Dalia Emeka Farid Greta Hugo Ines Jonas Keiko Lars Mina Noor Olga Pedro Quinn Rosa Sven Tara"
_NAMES = _PEOPLE.split()


def _sentence(chance: random.Random, least: int, most: int) -> str:
    words = [chance.choice(_WORDS) for _ in range(chance.randint(least, most))]
    return " ".join(words).capitalize()


def _time(chance: random.Random, second: int) -> str:
    hours, rest = divmod(second, 3600)
    return f"2026-05-{hours // 24 % 28 + 1:02d}T{hours % 24:02d}:{rest // 60:02d}:{rest % 60:02d}.{chance.randrange(1000):03d}Z"


def search_results(rows: int) -> Any:
    """Hits of a web or document search: titles, addresses, snippets of prose."""
    chance = random.Random(11)
    return [
        {
            "rank": n + 1,
            "title": _sentence(chance, 4, 9),
            "url": f"https://docs.example.com/{chance.choice(_WORDS)}/{chance.choice(_WORDS)}-{chance.randrange(10_000)}",
            "snippet": _sentence(chance, 18, 34) + ".",
            "score": round(0.99 - n * 0.37 / rows - chance.random() / 50, 4),
            "source": "web",
            "language": "en",
            "published": f"2026-0{chance.randint(1, 9)}-{chance.randint(10, 28)}",
        }
        for n in range(rows)
    ]


def logs(rows: int) -> Any:
    """A log query: fields that repeat, messages from a few templates."""
    chance = random.Random(12)
    second = 0
    entries = []
    for _ in range(rows):
        second += chance.randrange(4)
        level = chance.choices(["INFO", "DEBUG", "WARN", "ERROR"], [80, 12, 6, 2])[0]
        message = chance.choice(
            [
                f"GET /api/v1/orders/{chance.randrange(90_000)} took {chance.randrange(400)} ms",
                f"cache miss for key session:{chance.randrange(1 << 32):08x}",
                f"user {chance.choice(_NAMES).lower()} logged in from 10.0.{chance.randrange(256)}.{chance.randrange(256)}",
                f"retrying request to payments ({chance.randrange(1, 4)}/3)",
            ]
        )
        entries.append(
            {
                "timestamp": _time(chance, second),
                "level": level,
                "service": "checkout-api",
                "host": f"checkout-{chance.randrange(6)}",
                "environment": "production",
                "trace_id": f"{chance.randrange(1 << 64):016x}",
                "message": message,
            }
        )
    return entries


def metrics(rows: int) -> Any:
    """Samples of one host: a time, a handful of numbers, labels that do not change."""
    chance = random.Random(13)
    load = 0.5
    samples = []
    for n in range(rows):
        load = min(0.95, max(0.05, load + chance.uniform(-0.05, 0.05)))
        samples.append(
            {
                "timestamp": 1_777_000_000 + 15 * n,
                "metric": "node_cpu_seconds_total",
                "labels": {"instance": "10.2.0.14:9100", "job": "node", "mode": "system"},
                "cpu": round(load, 3),
                "memory_mb": 2048 + int(load * 1024),
                "requests": int(load * 300) + chance.randrange(40),
                "latency_p99_ms": round(20 + load * 80 + chance.random(), 2),
            }
        )
    return samples


def database_rows(rows: int) -> Any:
    """A SQL result: ids, names, addresses, amounts, flags, null here and there."""
    chance = random.Random(14)
    return [
        {
            "id": 100_000 + n,
            "customer_name": f"{chance.choice(_NAMES)} {chance.choice(_NAMES)}son",
            "email": f"customer{chance.randrange(100_000)}@example.com",
            "status": chance.choice(["active", "inactive", "pending"]),
            "country": chance.choice(["DE", "FR", "ES", "BR", "IN"]),
            "balance": round(chance.uniform(-50, 5000), 2),
            "created_at": _time(chance, n * 977)[:19] + "Z",
            "deleted_at": None if chance.random() < 0.9 else _time(chance, n * 977 + 5000)[:19] + "Z",
            "is_verified": chance.random() < 0.7,
        }
        for n in range(rows)
    ]


def issue_objects(rows: int) -> Any:
    """Issues of a tracker: nested users that come again, labels, texts of several lines, many links."""
    chance = random.Random(15)
    api = "https://api.example.com/repos/acme/widgets"
    users = [
        {
            "login": name.lower(),
            "id": 4000 + i,
            "avatar_url": f"https://avatars.example.com/u/{4000 + i}?v=4",
            "html_url": f"https://example.com/{name.lower()}",
            "type": "User",
            "site_admin": False,
        }
        for i, name in enumerate(_NAMES)
    ]
    labels = [
        {"id": 70 + i, "name": name, "color": f"{i * 1_234_567 % (1 << 24):06x}", "default": False}
        for i, name in enumerate(["bug", "enhancement", "question", "documentation"])
    ]
    issues = []
    for n in range(rows):
        number = 9000 - n
        body = "\n".join(f"{k + 1}. {_sentence(chance, 5, 12)}" for k in range(chance.randint(1, 3)))
        issues.append(
            {
                "id": 1_900_000_000 + 37 * n,
                "number": number,
                "url": f"{api}/issues/{number}",
                "html_url": f"https://example.com/acme/widgets/issues/{number}",
                "title": _sentence(chance, 4, 10),
                "user": chance.choice(users),
                "labels": chance.sample(labels, chance.randint(0, 2)),
                "state": chance.choice(["open", "open", "closed"]),
                "locked": False,
                "assignee": chance.choice(users) if chance.random() < 0.4 else None,
                "milestone": None,
                "comments": chance.randrange(12),
                "created_at": _time(chance, 4000 * (rows - n))[:19] + "Z",
                "closed_at": None,
                "body": f"## Steps\n\n{body}\n\n## Expected\n\n{_sentence(chance, 6, 14)}.",
            }
        )
    return issues


def strings(rows: int) -> Any:
    """A list of file paths."""
    chance = random.Random(16)
    return [
        f"src/{chance.choice(_WORDS)}/{chance.choice(_WORDS)}_{chance.choice(_WORDS)}{chance.randrange(100)}.py"
        for _ in range(rows)
    ]


def numbers(rows: int) -> Any:
    """A list of measured values."""
    chance = random.Random(17)
    return [round(chance.gauss(100, 15), 4) for _ in range(rows)]


TABLES: dict[str, Callable[[int], Any]] = {
    "search results": search_results,
    "logs": logs,
    "metrics": metrics,
    "database rows": database_rows,
    "issue objects": issue_objects,
}
ARRAYS = TABLES | {"strings": strings, "numbers": numbers}


def pretty(value: Any) -> str:
    """As most servers write for people: indented by two."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def minified(value: Any) -> str:
    """As most servers write for programs."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
