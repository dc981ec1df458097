"""The store on Redis: server-side expiry, places and passwords, RedisTLS, Sentinel, and answers that belong to whom asked."""

import asyncio
import gc
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
import redis.asyncio
import redis_servers
from stores import Clock, get, keys, put

from headroom_asgi.errors import ConfigError, StoreError, StoreRefusedError
from headroom_asgi.store import RedisStore, RedisTLS

pytestmark = pytest.mark.anyio


@pytest.fixture
async def server() -> AsyncIterator[redis.asyncio.Redis]:
    client = redis.asyncio.Redis.from_url(redis_servers.single())
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture
async def store() -> AsyncIterator[RedisStore]:
    made = RedisStore(redis_servers.single(), timeout_s=20)
    yield made
    await made.aclose()


async def ttl_s(server: redis.asyncio.Redis, key: str) -> float:
    return await server.pttl(key) / 1000


# Keys and their time.


async def test_entries_expire_on_the_server(server: redis.asyncio.Redis, store: RedisStore) -> None:
    await put(store, ttl=100)
    assert 99 < await ttl_s(server, "headroom:t:ns:k") <= 100
    await put(store, "short", ttl=0.05)
    await anyio.sleep(0.1)
    assert await server.exists("headroom:t:ns:short") == 0


async def test_the_server_knows_the_absolute_cap(server: redis.asyncio.Redis) -> None:
    store = RedisStore(redis_servers.single(), max_age_s=50, timeout_s=20)
    await put(store, ttl=float("inf"))
    await store.touch("ns", ["k"], tenant="t", ttl=10_000)
    await store.add("ns", "n", {"a": 1}, tenant="t")
    for key in ("headroom:t:ns:k", "headroom:t:ns:n"):
        assert 49 < await ttl_s(server, key) <= 50
    await store.aclose()


async def test_a_use_starts_the_servers_time_again(server: redis.asyncio.Redis) -> None:
    clock = Clock()
    store = RedisStore(redis_servers.single(), clock=clock, timeout_s=20)
    await put(store, ttl=100)
    for use in (get(store), store.touch("ns", ["k"], tenant="t", ttl=100), put(store, ttl=100, if_absent=True)):
        await server.pexpire("headroom:t:ns:k", 50_000)
        clock.now += 50
        await use
        assert 99 < await ttl_s(server, "headroom:t:ns:k") <= 100
    await store.aclose()


async def test_a_use_that_follows_closely_writes_nothing(server: redis.asyncio.Redis, store: RedisStore) -> None:
    await put(store, ttl=86_400)
    changes = (await server.info("persistence"))["rdb_changes_since_last_save"]
    for _ in range(10):
        await get(store)
        await store.touch("ns", ["k"], tenant="t", ttl=86_400)
    assert (await server.info("persistence"))["rdb_changes_since_last_save"] == changes


async def test_tenants_are_told_apart_in_the_keys_names(server: redis.asyncio.Redis, store: RedisStore) -> None:
    await put(store, "c", tenant="a:b", ns="*")
    await put(store, "b:*:c", tenant="a", ns="")
    assert sorted(await server.keys()) == [b"headroom:a%3Ab:%2A:c", b"headroom:a::b%3A%2A%3Ac"]


async def test_stores_with_another_prefix_do_not_see_each_other(store: RedisStore) -> None:
    other = RedisStore(redis_servers.single(), prefix="head*", timeout_s=20)
    await put(store)
    assert await get(other) is None
    assert await other.delete_tenant("t") == 0
    assert (await other.stats()).entries == 0
    await put(other)
    assert (await other.stats()).entries == 1
    assert await store.delete_tenant("t") == 1
    assert await keys(other) == ["k"]
    await other.aclose()


async def test_a_value_beyond_the_bound_is_refused(store: RedisStore) -> None:
    small = RedisStore(redis_servers.single(), max_value_bytes=10, timeout_s=20)
    assert await put(small, value=b"x" * 10)
    with pytest.raises(StoreRefusedError, match="a value of 11 bytes is beyond max_value_bytes: 10"):
        await put(small, value=b"x" * 11)
    with pytest.raises(StoreRefusedError, match="beyond max_value_bytes"):
        await small.add("ns", "n", {"a long name": 1}, tenant="t")
    await small.aclose()


async def test_a_server_that_forgot_the_scripts_gets_them_again(server: redis.asyncio.Redis, store: RedisStore) -> None:
    await put(store)
    await server.script_flush()
    assert await store.get_many("ns", ["k", "missing"], tenant="t") == {"k": b"v"}


async def test_many_keys_are_few_round_trips(server: redis.asyncio.Redis, store: RedisStore) -> None:
    names = [f"k{number}" for number in range(1000)]
    for name in names[:900]:
        await put(store, name, name.encode(), ttl=100)
    assert await store.get_many("ns", names, tenant="t") == {name: name.encode() for name in names[:900]}
    assert await store.touch("ns", names, tenant="t", ttl=200) == 900
    assert (await store.stats()).entries == 900
    assert await store.delete("ns", names, tenant="t") == 900


# Errors.


async def test_a_server_that_is_gone_is_a_store_error() -> None:
    store = RedisStore(f"redis://127.0.0.1:{redis_servers.free_port()}", timeout_s=2)
    with pytest.raises(StoreError, match="ConnectionError"):
        await get(store)
    with pytest.raises(StoreError, match="ConnectionError"):
        await keys(store)
    await store.aclose()


async def test_a_server_that_comes_back_is_used_again() -> None:
    server = redis_servers.Server()
    store = RedisStore(f"redis://127.0.0.1:{server.port}", timeout_s=20)
    await put(store)
    server.stop()
    with pytest.raises(StoreError):
        await get(store)
    server.start()
    assert await get(store) is None
    assert await put(store)
    await store.aclose()


async def test_an_error_of_the_server_is_named_by_its_code_and_quotes_nothing() -> None:
    server = redis_servers.Server("--maxmemory", "2mb", "--maxmemory-policy", "noeviction")
    store = RedisStore(f"redis://127.0.0.1:{server.port}", timeout_s=20)
    with pytest.raises(StoreError) as caught:
        for number in range(100):
            await put(store, f"k{number}", b"confidential " * 10_000)
    assert "OutOfMemory" in str(caught.value) or "OOM" in str(caught.value)
    assert "confidential" not in f"{caught.value!r} {caught.value.__cause__!r}"
    await store.aclose()


async def test_a_wrong_password_is_an_error_that_does_not_repeat_it() -> None:
    server = redis_servers.Server("--requirepass", "right")
    wrong = RedisStore(f"redis://:wr%6Fng@127.0.0.1:{server.port}", timeout_s=20)
    with pytest.raises(StoreError) as caught:
        await get(wrong)
    assert "wrong" not in f"{caught.value!r}{caught.value.__cause__!r}{wrong!r}"
    right = RedisStore(f"redis://:r%69ght@127.0.0.1:{server.port}/3", timeout_s=20)
    assert await put(right)
    await wrong.aclose()
    await right.aclose()


async def test_a_call_that_is_cancelled_never_gives_its_answer_to_another(server: redis.asyncio.Redis) -> None:
    store = RedisStore(redis_servers.single(), max_connections=2, timeout_s=20)
    for number in range(50):
        await put(store, f"k{number}", b"%d" % number * 3000, ttl=100)

    async def ask(number: int, patience_s: float) -> None:
        with anyio.move_on_after(patience_s):
            assert await get(store, f"k{number % 50}") == b"%d" % (number % 50) * 3000

    for start in range(0, 600, 30):
        async with anyio.create_task_group() as together:
            for number in range(start, start + 30):
                together.start_soon(ask, number, (number % 7) * 0.0005)
    assert await get(store, "k7") == b"7" * 3000
    await store.aclose()


async def test_more_callers_than_connections_wait_for_their_turn(server: redis.asyncio.Redis) -> None:
    for url in (redis_servers.single(), redis_servers.cluster()):
        store = RedisStore(url, prefix=uuid.uuid4().hex, max_connections=2, timeout_s=20)
        async with anyio.create_task_group() as together:
            for number in range(100):
                together.start_soon(put, store, f"k{number}")
        assert len(await keys(store)) == 100
        await store.aclose()


def test_each_event_loop_has_its_own_connections() -> None:
    store = RedisStore(redis_servers.single(), prefix=uuid.uuid4().hex, timeout_s=20)

    async def use() -> bytes | None:
        found = await get(store)
        await put(store, value=b"v", ttl=100)
        return found

    assert [asyncio.run(use()) for _ in range(3)] == [None, b"v", b"v"]
    assert len(store._talks) == 1
    gc.collect()  # a connection that was left open would warn


def test_other_event_loops_get_a_clear_error() -> None:
    store = RedisStore(redis_servers.single())
    with pytest.raises(StoreError, match="runs on asyncio"):
        anyio.run(get, store, backend="trio")


# Places.


async def test_behind_sentinel() -> None:
    server = redis_servers.Server()
    with redis_servers.sentinel(server, "main") as port:
        store = RedisStore(f"redis+sentinel://127.0.0.1:1,127.0.0.1:{port}/main/2", timeout_s=5)
        with anyio.fail_after(20):
            while True:
                try:
                    assert await put(store)
                    break
                except StoreError:
                    await anyio.sleep(0.1)
        assert await get(store) == b"v"
        assert server.ask("-n", "2", "dbsize").strip() == "1"
        await store.aclose()


async def test_with_tls_and_only_if_the_server_is_the_one_named(tmp_path: Path) -> None:
    certificate, key = redis_servers.certificate(tmp_path)
    port = redis_servers.free_port()
    files = ("--tls-cert-file", str(certificate), "--tls-key-file", str(key), "--tls-ca-cert-file", str(certificate))
    redis_servers.Server("--port", "0", "--tls-port", str(port), *files, "--tls-auth-clients", "optional", port=port)
    url = f"rediss://localhost:{port}/0"
    trusting = RedisStore(url, tls=RedisTLS(ca_file=str(certificate)), timeout_s=20)
    assert await put(trusting)
    assert await get(trusting) == b"v"
    shown = RedisTLS(ca_file=str(certificate), cert_file=str(certificate), key_file=str(key))
    showing = RedisStore(url, tls=shown, timeout_s=20)
    assert await get(showing) == b"v"
    doubtful = RedisStore(url, timeout_s=20)
    misled = RedisStore(f"rediss://127.0.0.2:{port}", tls=RedisTLS(ca_file=str(certificate)), timeout_s=20)
    for store in (doubtful, misled):
        with pytest.raises(StoreError):
            await get(store)
    for store in (trusting, showing, doubtful, misled):
        await store.aclose()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://host", "'http' is not one of redis, rediss"),
        ("redis://host/main", "what is at the end of the address is not a database's number"),
        ("redis://host/1/2", "is not a database's number"),
        ("redis+cluster://host/1", "is not nothing"),
        ("redis+sentinel://host", "the name of the service is missing"),
        ("redis://host:port", "is not a host and a port"),
        ("redis://a,b", "several hosts are a cluster"),
        ("redis://host?prefix=x", "options of a Redis store are arguments"),
    ],
)
def test_an_address_that_is_none_is_refused_at_once(url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RedisStore(url)


@pytest.mark.parametrize("bound", ["max_age_s", "max_value_bytes", "max_connections", "timeout_s"])
def test_a_bound_must_be_above_zero(bound: str) -> None:
    with pytest.raises(ConfigError, match=f"{bound}: 0 is not"):
        RedisStore(**{bound: 0})
