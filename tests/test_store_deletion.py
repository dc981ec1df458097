"""Deleting a tenant that has more than can be deleted at once: to the end, however long it takes, and told how far it came."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
import redis.asyncio
import redis_servers
from stores import STORES, Clock, keys, put

import headroom_asgi
from headroom_asgi.errors import StoreError
from headroom_asgi.store import GuardedStore, MemoryStore, RedisStore, SQLiteStore, Store, open_store

pytestmark = pytest.mark.anyio
MANY = 200_000
SOME = 20_000
# Entries as the store writes them, made on the server.
FILL = """
for n = 1, ARGV[1] do
    local key = KEYS[1] .. n
    redis.call('HSET', key, 'v', 'text', 't', '86400000', 'e', '9999999999999', 'c', '9999999999999')
    redis.call('PEXPIRE', key, 86400000)
end
"""


@asynccontextmanager
async def filled(entries: int) -> AsyncIterator[tuple[str, redis.asyncio.Redis]]:
    """A server where tenant `big` has so many entries and `other` has ten; its address, and a client of it."""
    server = redis_servers.Server()
    client = redis.asyncio.Redis(port=server.port, socket_timeout=60)
    for tenant, count in (("big", entries), ("other", 10)):
        await client.eval(FILL, 1, f"headroom:{tenant}:originals:", count)
    yield f"redis://127.0.0.1:{server.port}", client
    await client.aclose()
    server.remove()


async def test_a_tenant_with_very_many_entries_is_deleted_to_the_end() -> None:
    async with filled(MANY) as (url, client):
        assert await headroom_asgi.adelete_tenant("big", store=url) == MANY
        assert await client.dbsize() == 10
        assert await headroom_asgi.adelete_tenant("big", store=url) == 0


async def test_a_deletion_goes_on_where_its_connections_are_cut() -> None:
    async with filled(SOME) as (url, client):
        store = open_store(url)
        cuts = 0
        async with anyio.create_task_group() as both:

            async def cut() -> None:
                nonlocal cuts
                for left in (SOME * 3 // 4, SOME // 2, SOME // 4):
                    while await client.dbsize() > left:
                        await anyio.sleep(0.001)
                    cuts += await client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

            both.start_soon(cut)
            deleted = await store.delete_tenant("big")
        assert cuts == 3
        assert await client.dbsize() == 10
        # Of what was on its way when a connection was cut nobody knows how many were there.
        assert SOME - 3 * 256 <= deleted <= SOME
        await store.aclose()


async def test_who_has_to_be_done_by_some_time_hears_how_far_it_came_and_may_go_on(caplog: pytest.LogCaptureFixture) -> None:
    async with filled(SOME) as (url, client):
        store = open_store(url)
        async with anyio.create_task_group() as work:
            work.start_soon(store.delete_tenant, "big")
            while await client.dbsize() > SOME - 1000:
                await anyio.sleep(0.001)
            work.cancel_scope.cancel()
        (line,) = [line for line in caplog.records if line.getMessage() == "deletion_stopped"]
        left = await client.dbsize() - 10
        # What was on its way when the caller left is done, and not counted.
        assert 0 <= SOME - left - line.deleted <= 256
        assert await store.delete_tenant("big") == left
        assert await client.dbsize() == 10
        await store.aclose()


async def test_a_server_that_does_not_come_back_is_an_error_that_says_how_many_were_deleted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("headroom_asgi.store.redis._PAUSES_S", (0.01, 0.01))
    server = redis_servers.Server()
    store = RedisStore(f"redis://127.0.0.1:{server.port}", timeout_s=20)
    await put(store, tenant="t", ttl=1000)
    server.stop()
    with pytest.raises(StoreError, match=r"ConnectionError.* \(0 entries were deleted\)"):
        await store.delete_tenant("t")
    await store.aclose()
    with pytest.raises(StoreError, match="closed"):
        await store.delete_tenant("t")


@pytest.mark.parametrize("name", ["memory", "sqlite", "sealed"])
async def test_stores_say_how_many_there_were(name: str, tmp_path) -> None:
    store = STORES[name](tmp_path, Clock(), 1e6)
    for number in range(1203):
        await put(store, f"k{number}", ttl=1000)
    await put(store, tenant="other", ttl=1000)
    assert await store.delete_tenant("t") == 1203
    assert await keys(store, tenant="other") == ["k"]
    await store.aclose()


async def test_a_file_that_others_hold_says_how_many_were_deleted(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr("headroom_asgi.store.sqlite_file.BUSY_S", 0.05)
    store = SQLiteStore(tmp_path / "s.db")
    for number in range(600):
        await put(store, f"k{number}", ttl=1000)
    calls = 0
    some = store._delete_some

    def held(tenant: bytes) -> tuple[int, bool]:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise StoreError("the store is busy")
        return some(tenant)

    monkeypatch.setattr(store, "_delete_some", held)
    with pytest.raises(StoreError, match=r"busy \(500 entries were deleted\)"):
        await store.delete_tenant("t")
    assert await store.delete_tenant("t") == 100
    await store.aclose()


async def test_a_guard_sets_no_limit_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headroom_asgi.store.guarded._PATIENCE_S", 0.05)

    class Long(MemoryStore):
        async def delete_tenant(self, tenant: str) -> int:
            await anyio.sleep(0.5)
            return await super().delete_tenant(tenant)

    store: Store = GuardedStore(Long(), timeout_s=0.05, slow_s=0.05)
    for _ in range(4):
        await put(store, ttl=1000)
        assert await store.delete_tenant("t") == 1
    with anyio.move_on_after(0.05) as limit:
        await store.delete_tenant("t")
    assert limit.cancelled_caught
