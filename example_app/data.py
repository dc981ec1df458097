"""Made-up business data for the demo's tools: the same every time, and as repetitive as real answers of real systems."""

import json
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

Record = dict[str, Any]

_FIRST = ["Amara", "Bruno", "Chloe", "Dmitri", "Elif", "Farid", "Greta", "Hiroshi", "Ines", "Jonas", "Kavya", "Luca", "Maren"]
_LAST = ["Abara", "Becker", "Castillo", "Dubois", "Eriksen", "Ferrari", "Gupta", "Haddad", "Jansen", "Moreau", "Okafor"]
_CITIES = ["Hamburg", "Rotterdam", "Lyon", "Gdansk", "Porto", "Bergen", "Trieste", "Malmo"]
_GOODS = ["desk lamp", "office chair", "standing desk", "monitor arm", "cable tray", "foot rest", "keyboard", "headset", "dock"]
_TROUBLES = ["Cannot print", "Login fails", "Wrong total", "Page is slow"]
_START = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)


def moment(start: datetime, minutes: float) -> str:
    """A time some minutes after another, as APIs write it."""
    return (start + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


def person(random: Random) -> str:
    """A full name."""
    return f"{random.choice(_FIRST)} {random.choice(_LAST)}"


def orders(seed: int, count: int) -> list[Record]:
    """Orders of a web shop: flat records, one nested address."""
    random = Random(seed)
    rows: list[Record] = []
    for number in range(count):
        quantity = random.randint(1, 12)
        rows.append(
            {
                "order_id": f"ORD-{10_200 + 7 * number}",
                "placed_at": moment(_START, 13.7 * number),
                "customer": person(random),
                "item": random.choice(_GOODS),
                "quantity": quantity,
                "total": round(quantity * random.uniform(9, 240), 2),
                "currency": "EUR",
                "status": random.choices(["delivered", "shipped", "packed", "on hold", "returned"], [60, 20, 12, 5, 3])[0],
                "ship_to": {"city": random.choice(_CITIES), "country": "EU", "pickup": random.random() < 0.2},
                "gift": False,
            }
        )
    return rows


def shipments(seed: int, count: int) -> list[Record]:
    """Parcels on their way."""
    random = Random(seed)
    return [
        {
            "tracking": f"PX{random.randrange(10**9, 10**10)}NL",
            "carrier": random.choice(["Northline", "Parcelix", "Velo Cargo"]),
            "from": "Rotterdam hub 4",
            "to": random.choice(_CITIES),
            "weight_kg": round(random.uniform(0.2, 31), 1),
            "last_scan": moment(_START, 4.3 * number),
            "eta": moment(_START, 1440 + 31 * number)[:10],
            "customs_hold": random.random() < 0.04,
            "signature_required": False,
        }
        for number in range(count)
    ]


def employees(seed: int, count: int) -> list[Record]:
    """A staff directory."""
    random = Random(seed)
    rows: list[Record] = []
    for number in range(count):
        name = person(random)
        rows.append(
            {
                "employee_id": f"E{4_100 + number}",
                "name": name,
                "email": f"{name.lower().replace(' ', '.')}{number}@fjordline.example",
                "department": random.choice(["Sales", "Support", "Platform", "Finance", "Legal"]),
                "office": random.choice(_CITIES),
                "phone": f"+49 40 55{random.randint(10_000, 99_999)}",
                "active": True,
                "manager_id": f"E{4_100 + number // 9}",
            }
        )
    return rows


def invoices(seed: int, count: int) -> list[Record]:
    """Invoices of a quarter."""
    random = Random(seed)
    return [
        {
            "invoice": f"INV-2026-{number:05d}",
            "customer": person(random),
            "issued": moment(_START, 300 * number)[:10],
            "due": moment(_START, 300 * number + 43_200)[:10],
            "net": round(random.uniform(40, 9_000), 2),
            "tax_rate": 19,
            "currency": "EUR",
            "state": random.choices(["paid", "open", "overdue", "disputed"], [70, 20, 8, 2])[0],
            "payment_reference": f"RF{random.randrange(10**14, 10**15)}",
        }
        for number in range(1, count + 1)
    ]


def tickets_page(seed: int, count: int) -> Record:
    """One page of an issue tracker's API: nested records, mostly noise around them."""
    random = Random(seed)
    issues: list[Record] = []
    for number in range(count):
        reporter, assignee = person(random), person(random)
        issues.append(
            {
                "id": 880_000 + 17 * number,
                "key": f"HELP-{3_400 + number}",
                "fields": {
                    "summary": f"{random.choice(_TROUBLES)} on {random.choice(_GOODS)} page",
                    "status": {"id": "3", "name": random.choice(["Open", "In review", "Done"]), "category": "tracked"},
                    "priority": {"id": str(random.randint(1, 4)), "name": random.choice(["High", "Medium", "Low"])},
                    "reporter": {"display_name": reporter, "active": True, "time_zone": "Europe/Berlin"},
                    "assignee": {"display_name": assignee, "active": True, "time_zone": "Europe/Berlin"},
                    "labels": random.sample(["web", "mobile", "checkout", "vip", "regression"], 2),
                    "created": moment(_START, 47 * number),
                },
            }
        )
    return {"start_at": 0, "max_results": count, "total": 1_240, "issues": issues, "next_page": f"/issues?start_at={count}"}


def contacts_envelope(seed: int, count: int) -> str:
    """What an MCP server answers: JSON in a JSON string in an envelope."""
    random = Random(seed)
    found = [
        {
            "contact_id": f"C-{random.randrange(10**6, 10**7)}",
            "company": f"{random.choice(_LAST)} & {random.choice(_LAST)} GmbH",
            "person": person(random),
            "city": random.choice(_CITIES),
            "stage": random.choice(["lead", "customer", "partner"]),
            "owner": "team-emea",
            "last_contact": moment(_START, -911 * number)[:10],
            "annual_value": random.randrange(1_000, 90_000, 500),
        }
        for number in range(count)
    ]
    return json.dumps({"content": [{"type": "text", "text": json.dumps({"total": count, "results": found})}], "isError": False})


def job_log(seed: int, count: int, failure: str) -> Record:
    """A job's result with its log: a record per line; one request fails in the middle, with a stack trace."""
    random = Random(seed)
    lines: list[Record] = []
    for number in range(count):
        service = random.choice(["catalog", "checkout", "search", "session"])
        message = f"GET /health 200 {random.randint(1, 9)} ms request=req-{random.randrange(16**6):06x}"
        lines.append({"time": moment(_START, number / 11), "level": "INFO", "service": service, "message": message})
    lines[count * 2 // 3] |= {
        "level": "ERROR",
        "service": "checkout",
        "message": f"payment gateway timeout after 30000 ms request={failure} attempt=3\n"
        "  at PaymentClient.charge (payment.ts:118)\n  at Checkout.submit (checkout.ts:64)",
    }
    return {"job": "smoke-test-eu", "exit_code": 1, "duration_s": 412, "log": lines, "artifacts": []}


def metrics(seed: int, service: str, count: int) -> Record:
    """A time series of one service, a point every five minutes."""
    random = Random(f"{seed} {service}")
    points = [
        {
            "sample": f"{service}-{number:03d}",
            "time": moment(_START, 5 * number),
            "service": service,
            "region": "eu-north",
            "requests": 900 + random.randint(-80, 80),
            "errors": random.choice([0, 0, 0, 0, 1, 2]),
            "p50_ms": 18 + random.randint(0, 4),
            "p99_ms": 110 + random.randint(0, 60),
        }
        for number in range(count)
    ]
    return {"service": service, "step_s": 300, "points": points}


def products(seed: int, count: int) -> list[Record]:
    """A price list."""
    random = Random(seed)
    return [
        {
            "sku": f"SKU-{number:04d}-{random.choice('ABCDEF')}",
            "name": f"{random.choice(['compact', 'classic', 'pro'])} {random.choice(_GOODS)}",
            "price": round(random.uniform(9, 900), 2),
            "currency": "EUR",
            "stock": random.randint(0, 400),
            "supplier": f"{random.choice(_LAST)} Trading",
            "lead_time_days": random.randint(2, 40),
            "discontinued": False,
        }
        for number in range(1, count + 1)
    ]


SOURCE_FILE = '''     1\tfrom dataclasses import dataclass
     2\t
     3\t
     4\t@dataclass(frozen=True)
     5\tclass Leg:
     6\t    """One stretch of a delivery route."""
     7\t
     8\t    start: str
     9\t    end: str
    10\t    kilometers: float
    11\t    RETRY_LIMIT = 7
    12\t
    13\t
    14\tdef cheapest(legs: list[Leg], budget: float) -> list[Leg]:
    15\t    """The legs that fit a budget, the shortest first."""
    16\t    chosen: list[Leg] = []
    17\t    left = budget
    18\t    for leg in sorted(legs, key=lambda leg: leg.kilometers):
    19\t        price = 0.42 * leg.kilometers + (3.5 if leg.end == "Bergen" else 0.0)
    20\t        if price > left:
    21\t            break
    22\t        chosen.append(leg)
    23\t        left -= price
    24\t    return chosen
    25\t
    26\t
    27\tdef describe(legs: list[Leg]) -> str:
    28\t    """A line per leg, for the driver's printout."""
    29\t    return "\\n".join(f"{leg.start:>12} to {leg.end:<12} {leg.kilometers:8.1f} km" for leg in legs)
'''
