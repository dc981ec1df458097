"""How long a request waits for its store, however many answers of it are just fast enough."""

import json
import re
from collections.abc import Iterable
from typing import Any

import anyio
import pytest

from headroom_asgi import HeadroomMiddleware, MemoryStore
from headroom_asgi.store import GuardedStore
from headroom_asgi.testing import CapturedReports
from tests.driver import ORDERS, PATHS, Inner, answer_json, post, question_body
from tests.talks import FIELDS

pytestmark = pytest.mark.anyio
TABLES = [
    json.dumps([{**row, "city": f"city {batch * n}", "batch": batch} for n, row in enumerate(ORDERS)]) for batch in range(32)
]
REF = re.compile(rb"<<ccr:([0-9a-f]{32})-(\d+)")


class Tardy(MemoryStore):
    """A store that all workers share, and that takes its time for each answer: less than its guard calls slow."""

    ANSWERS_S = 0.3

    def __init__(self) -> None:
        super().__init__(shared=True)
        self.written = 0
        self.on_time = False

    async def put(self, ns: str, key: str, value: bytes, **rest: Any) -> bool:
        await self._answers()
        self.written += 1
        return await super().put(ns, key, value, **rest)

    async def touch(self, ns: str, keys: Iterable[str], **rest: Any) -> int:
        await self._answers()
        return await super().touch(ns, keys, **rest)

    async def _answers(self) -> None:
        await anyio.sleep(0 if self.on_time else self.ANSWERS_S)


def guarded(store: Tardy) -> GuardedStore:
    return GuardedStore(store, timeout_s=0.6, slow_s=0.6)


def many_results() -> dict[str, Any]:
    """A request with one result per table, each of which is a text and several parts to keep."""
    body = question_body("openai-chat", "")
    question, call, result = body["messages"]
    ids = [f"call_{number}" for number in range(len(TABLES))]
    call["tool_calls"] = [{**call["tool_calls"][0], "id": each} for each in ids]
    results = [{**result, "tool_call_id": each, "content": table} for each, table in zip(ids, TABLES, strict=True)]
    return {**body, "messages": [question, call, *results]}


async def test_a_request_with_many_originals_waits_for_some_of_them_only_and_its_bytes_are_the_same() -> None:
    slow, inner, reports = Tardy(), Inner(answer_json({"ok": True})), CapturedReports()
    quick = HeadroomMiddleware(inner, store=MemoryStore(shared=True), discover=False)
    app = HeadroomMiddleware(inner, store=guarded(slow), observers=[reports], discover=False)
    for each in (quick, app):
        assert (await post(each, PATHS["openai-chat"], many_results())).outcome == "compressed"
    assert inner.bodies[0] == inner.bodies[1]
    markers = set(REF.findall(inner.bodies[0]))
    originals = len(markers) + len({ref for ref, _ in markers})
    assert 0 < slow.written < originals
    slow.on_time = True  # nothing was said against it
    await post(app, PATHS["openai-chat"], many_results())
    assert slow.written >= originals
    assert inner.bodies[2] == inner.bodies[0]
    assert not reports[0].prefix_risk


async def test_where_the_provider_holds_the_conversation_nothing_is_left_out_that_was_not_written_in_time() -> None:
    slow, inner = Tardy(), Inner(answer_json({"id": "resp_1", "object": "response", "status": "completed", "output": []}))
    app = HeadroomMiddleware(inner, store=guarded(slow), discover=False)
    results = [{"type": "function_call_output", "call_id": f"c{n}", "output": table} for n, table in enumerate(TABLES)]
    body = {**FIELDS["openai-responses"], "store": True, "previous_response_id": "resp_0", "input": results}
    for on_time in (False, True):
        slow.on_time = on_time
        await post(app, "/v1/responses", body)
    late, kept = inner.bodies
    assert not REF.search(late)
    assert len(late) < len(json.dumps(body))
    assert REF.search(kept)
