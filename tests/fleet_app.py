"""The app of a fleet's workers: a model without a memory behind the middleware, on the store that `FLEET_STORE` names.

What a worker knows it has from the request and the store: the model tells the client the ref that it sees, and asks for it in a later request
when the client says so. Whoever answers that request was, most of the time, not the worker that left something out.
"""

import json
import os
import re
import uuid
from typing import Any

from headroom_asgi import HeadroomMiddleware
from headroom_asgi.types import Receive, Scope, Send
from tests.driver import answer_json, whole_body

MARKER = re.compile(r"<<ccr:([0-9a-f]{32}-\d+) \d+ ")
ORDER = re.compile(r"\bK[0-9a-f]{8}-\d{3}\b")
ASK = re.compile(r"ask ([0-9a-f]{32}-\d+) for ([\w -]+)")


def item(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "id": f"{kind[:2]}_{uuid.uuid4().hex}", "status": "completed", **fields}


def said(text: str) -> dict[str, Any]:
    return item("message", role="assistant", content=[{"type": "output_text", "text": text, "annotations": []}])


def turn(body: dict[str, Any]) -> list[dict[str, Any]]:
    """What the model does: repeats what came back; asks for what it is told to; else names the ref and the orders that it sees."""
    results = [entry["output"] for entry in body["input"] if entry.get("type") == "function_call_output"]
    last = body["input"][-1]
    found = ASK.fullmatch(str(last.get("content", "")))
    if found:
        return [
            item(
                "function_call",
                call_id=f"call_{uuid.uuid4().hex}",
                name="headroom_retrieve",
                arguments=json.dumps({"ref": found[1], "query": f"order={order}"}),
            )
            for order in found[2].split()
        ]
    text = "\n".join(results)
    marker = MARKER.search(text)
    return [said(" ".join((marker[1], *ORDER.findall(text))) if marker else json.dumps(results))]


async def model(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        for word in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{word}.complete"})
        return
    if scope["path"] == "/worker":
        await answer_json(os.getpid())(b"", send)
        return
    body = json.loads(await whole_body(receive))
    usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    answer = {"id": f"resp_{uuid.uuid4().hex}", "object": "response", "created_at": 1, "status": "completed", "model": "gpt-4o"}
    await answer_json({**answer, "output": turn(body), "usage": usage})(b"", send)


def tenant_of(scope: Scope) -> str:
    return next(value.decode() for name, value in scope["headers"] if name == b"x-team")


app = HeadroomMiddleware(model, store=os.environ["FLEET_STORE"], tenant=tenant_of, discover=False)
