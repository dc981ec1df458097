"""Tool outputs made for measuring: the same on every run."""

import json
import random
from typing import Any


def records(count: int) -> list[dict[str, Any]]:
    """Flat and nested records as an orders API would give them."""
    chance = random.Random(7)
    return [
        {
            "order_id": f"ORD-{10_000 + n}",
            "status": chance.choice(["shipped", "pending", "delivered"]),
            "customer": {"name": f"Customer {n}", "email": f"customer{n}@example.com", "tier": "standard"},
            "total": round(chance.uniform(5, 500), 2),
            "currency": "EUR",
            "placed_at": f"2026-05-{n % 28 + 1:02d}T{n % 24:02d}:15:00Z",
            "items": [{"sku": f"SKU-{chance.randrange(9999):04d}", "quantity": chance.randrange(1, 4)} for _ in range(2)],
        }
        for n in range(count)
    ]


def envelope(text: str) -> str:
    """A text as MCP servers wrap it."""
    return json.dumps({"type": "text", "text": text, "annotations": None})


def outputs() -> dict[str, str]:
    """Named tool outputs of 30 to 300 kB."""
    return {
        "records, pretty": json.dumps(records(400), indent=2),
        "records, minified": json.dumps(records(400), separators=(",", ":")),
        "records in an MCP envelope": envelope(json.dumps(records(400), indent=2)),
        "page in an MCP envelope": envelope("\n".join(f"<li class='item'>Line {n} of a page</li>" for n in range(3000))),
        "numbers": json.dumps([[n, n * n % 1009, n / 7] for n in range(4000)]),
        "one wide object": json.dumps({f"key_{n}": f"value {n}" for n in range(4000)}),
    }


def conversation(turns: int, size: int) -> list[dict[str, Any]]:
    """A Chat conversation of that many tool calls, each with a table of `size` records."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Go through all orders."}]
    for turn in range(turns):
        call = {"id": f"call_{turn}", "type": "function", "function": {"name": "list_orders", "arguments": "{}"}}
        messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        output = json.dumps(records((turn + 1) * size)[turn * size :], indent=1)
        messages.append({"role": "tool", "tool_call_id": f"call_{turn}", "content": output})
    return messages
