"""The middleware on a Redis whose network misbehaves: every request is answered, with the same bytes, and soon without waiting."""

import json
import logging
import re
import uuid

import anyio
import pytest
import redis_servers
from driver import CHAT, ORDERS, Inner, answer_json, post, question_body
from faulty_proxy import FAULTS, Proxy
from talks import FIELDS

from headroom_asgi import HeadroomMiddleware
from headroom_asgi.store import open_store

pytestmark = pytest.mark.anyio

BODIES = [json.dumps(question_body("openai-chat", json.dumps(ORDERS[n:]), question=f"{n}?")).encode() for n in range(5)]
REF = re.compile(rb"<<ccr:[0-9a-f]{32}-\d+")


def p99_ms(times: list[float]) -> str:
    return f"{sorted(times)[int(len(times) * 0.99)]:.1f}"


def port_of(url: str) -> int:
    return int(url.split(":")[2].split("/")[0])


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.timeout(120)
async def test_a_network_that_fails_costs_no_request_and_no_byte(fault: str, caplog: pytest.LogCaptureFixture) -> None:
    async with Proxy(port_of(redis_servers.single())).running() as proxy:
        store = open_store(f"redis://127.0.0.1:{proxy.port}/0?prefix={uuid.uuid4().hex}&timeout_s=0.3")
        inner = Inner()
        app = HeadroomMiddleware(inner, store=store, discover=False)

        async def ask(times: int, app: HeadroomMiddleware = app) -> list[float]:
            """Milliseconds that we added to each of so many requests."""
            added = []
            for number in range(times):
                received = await post(app, CHAT, BODIES[number % len(BODIES)])
                assert received.status == 200
                assert received.json() == {"ok": True}
                added.append(float(received.headers["x-headroom-added-ms"]))
            return added

        without = await ask(100, HeadroomMiddleware(inner, discover=False))
        forwarded = inner.bodies[:5]
        before = await ask(100)
        assert all(REF.search(body) for body in forwarded)  # there is something to keep
        with caplog.at_level(logging.INFO, "headroom_asgi.store"):
            await proxy.set(fault)
            opening = await ask(10)
            asked = proxy.connections, proxy.asked
            during = await ask(100)
            # Only trials in the background, which are seconds apart, reach the network.
            assert proxy.connections - asked[0] <= 4
            assert proxy.asked - asked[1] <= 40
            await proxy.set("")
            with anyio.fail_after(60):
                while "store_up" not in [line.getMessage() for line in caplog.records]:
                    await ask(1)
                    await anyio.sleep(0.05)
        after = await ask(100)
        assert set(inner.bodies) == set(forwarded)
        figures = {"in memory": without, "before": before, "until open": opening, "open": during, "after": after}
        print(f"{fault}: added at p99, ms:", ", ".join(f"{name} {p99_ms(added)}" for name, added in figures.items()))
        await store.aclose()
    lines = [line.getMessage() for line in caplog.records if line.name.startswith("headroom_asgi.store")]
    assert lines == ["store_down", "store_up"]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.timeout(120)
async def test_what_only_the_store_will_have_is_left_out_once_it_has_it(fault: str) -> None:
    """Where the provider holds the conversation, later requests do not bring the text again."""
    async with Proxy(port_of(redis_servers.single())).running() as proxy:
        store = open_store(f"redis://127.0.0.1:{proxy.port}/0?prefix={uuid.uuid4().hex}&timeout_s=0.3")
        inner = Inner(answer_json({"id": "resp_1", "object": "response", "status": "completed", "output": []}))
        app = HeadroomMiddleware(inner, store=store, discover=False)

        async def ask(number: int) -> bytes:
            """What is forwarded of an output that was never seen before."""
            items = [{"type": "function_call_output", "call_id": "c", "output": json.dumps(ORDERS[number:])}]
            body = {**FIELDS["openai-responses"], "store": True, "previous_response_id": f"resp_{number}", "input": items}
            assert (await post(app, "/v1/responses", body)).status == 200
            return inner.bodies[-1]

        assert REF.search(await ask(1))
        await proxy.set(fault)
        for number in range(2, 10):
            assert not REF.search(await ask(number))
        await proxy.set("")
        number = 10
        with anyio.fail_after(60):
            while not REF.search(await ask(number)):
                number += 1
                await anyio.sleep(0.2)
        await store.aclose()


async def test_a_server_that_loses_everything_costs_no_request_and_no_byte_and_no_alarm(caplog: pytest.LogCaptureFixture) -> None:
    server = redis_servers.Server()
    store = open_store(f"redis://127.0.0.1:{server.port}/0?timeout_s=20")
    inner = Inner()
    app = HeadroomMiddleware(inner, store=store, discover=False)
    for number in range(2 * len(BODIES)):
        assert (await post(app, CHAT, BODIES[number % len(BODIES)])).outcome == "compressed"
        entries = int(server.ask("dbsize"))
        assert entries >= 2  # they are there again
        server.ask("flushall")
    assert inner.bodies[: len(BODIES)] == inner.bodies[len(BODIES) :]
    assert all(REF.search(body) for body in inner.bodies)
    assert [line for line in caplog.records if line.name.startswith("headroom_asgi.store")] == []
    await store.aclose()
    server.remove()
