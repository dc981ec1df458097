"""The middleware on a Redis whose network misbehaves: every request is answered, with the same bytes, and soon without waiting."""

import json
import logging
import time
import uuid

import anyio
import pytest
import redis_servers
from driver import ORDERS, PATHS, Inner, post, question_body
from faulty_proxy import FAULTS, Proxy

from headroom_asgi import HeadroomMiddleware
from headroom_asgi.store import open_store

pytestmark = pytest.mark.anyio

CHAT = PATHS["openai-chat"]
BODIES = [json.dumps(question_body("openai-chat", json.dumps(ORDERS[: 60 + n]), question=f"{n}?")).encode() for n in range(5)]


def slowest_ms(times: list[float]) -> str:
    return f"{sorted(times)[int(len(times) * 0.99)] * 1e3:.1f} ms"


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.timeout(120)
async def test_a_network_that_fails_costs_no_request_and_no_byte(fault: str, caplog: pytest.LogCaptureFixture) -> None:
    port = int(redis_servers.single().split(":")[2].split("/")[0])
    async with Proxy(port).running() as proxy:
        store = open_store(f"redis://127.0.0.1:{proxy.port}/0?prefix={uuid.uuid4().hex}&timeout_s=0.3")
        inner = Inner()
        app = HeadroomMiddleware(inner, store=store, discover=False)

        async def ask(times: int) -> list[float]:
            took = []
            for number in range(times):
                began = time.perf_counter()
                received = await post(app, CHAT, BODIES[number % len(BODIES)])
                took.append(time.perf_counter() - began)
                assert received.status == 200
                assert received.json() == {"ok": True}
            return took

        before = await ask(25)
        forwarded = inner.bodies[:5]
        assert all(len(body) < len(original) for body, original in zip(forwarded, BODIES, strict=True))
        with caplog.at_level(logging.INFO, "headroom_asgi.store"):
            await proxy.set(fault)
            opening = await ask(10)
            asked = proxy.connections, proxy.asked
            during = await ask(25)
            # Only trials in the background, which are seconds apart, reach the network.
            assert proxy.connections - asked[0] <= 4
            assert proxy.asked - asked[1] <= 40
            await proxy.set("")
            with anyio.fail_after(60):
                while "store_up" not in [line.getMessage() for line in caplog.records]:
                    await ask(1)
                    await anyio.sleep(0.05)
        after = await ask(25)
        assert set(inner.bodies) == set(forwarded)
        print(
            f"{fault}: before {slowest_ms(before)}, until open {slowest_ms(opening)}, open {slowest_ms(during)}, after {slowest_ms(after)}"
        )
        await store.aclose()
    lines = [line.getMessage() for line in caplog.records if line.name.startswith("headroom_asgi.store")]
    assert lines == ["store_down", "store_up"]
