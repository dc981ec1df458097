"""What a Redis store has its server do: the rule in docs/stores.md is enough, and no more than is needed."""

import re
import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
import redis.asyncio
import redis_servers

from headroom_asgi.errors import StoreError
from headroom_asgi.store import RedisStore

pytestmark = pytest.mark.anyio
DOC = (Path(__file__).parent.parent / "docs" / "stores.md").read_text()
USER = "headroom"
# Of those that the tests themselves use to look.
OURS = frozenset(
    {
        "acl|setuser",
        "config|resetstat",
        "script|flush",
        "info",
        "cluster|info",
        "cluster|keyslot",
        "cluster|myid",
        "cluster|setslot",
    }
)
# A server answers these to everybody: they are how a user becomes known.
ANYBODY = frozenset({"hello", "auth"})


def rule(name: str) -> list[str]:
    """The words of the rule in the documentation that begins with `ACL SETUSER NAME`."""
    (found,) = re.findall(rf"^ACL SETUSER {name} (.+)$", DOC, re.MULTILINE)
    return [word for word in found.split() if not word.startswith(">")]


def also(what: str) -> list[str]:
    """The words that the documentation adds to the rule for one of the places."""
    (found,) = re.findall(rf"^- {what}: `([^`]+)`", DOC, re.MULTILINE)
    return found.split()


def commands(words: Iterable[str]) -> set[str]:
    return {word.removeprefix("+") for word in words if word.startswith("+")}


async def use_all(store: RedisStore) -> None:
    """Every call of a Store, with what is there, what is not, and what is of the other kind."""
    tenant = uuid.uuid4().hex
    for if_absent in (False, True, False):
        assert await store.put("ns", "k", b"v", tenant=tenant, ttl=100, if_absent=if_absent) is not if_absent
    assert await store.get_many("ns", ["k", "missing"], tenant=tenant) == {"k": b"v"}
    assert await store.touch("ns", ["k"], tenant=tenant, ttl=50) == 1
    for count in (1, 2):
        assert await store.add("ns", "n", {"a": 1}, tenant=tenant) == {"a": count}
    assert sorted([key async for key in store.scan("ns", tenant)]) == ["k", "n"]
    assert await store.delete("ns", ["k"], tenant=tenant) == 1
    await store.stats()
    assert await store.delete_tenant(tenant) == 1


async def allow(admin: redis.asyncio.Redis, words: Iterable[str]) -> None:
    await admin.execute_command("ACL", "SETUSER", USER, "reset", "on", ">secret", *words)
    await admin.execute_command("CONFIG", "RESETSTAT")


@asynccontextmanager
async def asked(url: str) -> AsyncIterator[redis.asyncio.Redis]:
    """A client of a server, as its administrator; the user is gone afterwards."""
    admin = redis.asyncio.Redis.from_url(url)
    try:
        yield admin
    finally:
        await admin.execute_command("ACL", "DELUSER", USER)
        await admin.aclose()


@asynccontextmanager
async def opened(*args: Any, **more: Any) -> AsyncIterator[RedisStore]:
    store = RedisStore(*args, **more, timeout_s=20)
    try:
        yield store
    finally:
        await store.aclose()


async def seen(admin: redis.asyncio.Redis) -> set[str]:
    """The commands that the server was asked for, by its own account."""
    stats = await admin.info("commandstats")
    return {name.removeprefix("cmdstat_") for name in stats} - OURS - ANYBODY


def as_user(url: str) -> str:
    return url.replace("//", f"//{USER}:secret@")


async def test_one_server_needs_what_the_rule_says() -> None:
    server = redis_servers.Server()
    for database, words in ((0, rule(USER)), (2, [*rule(USER), *also("another database")])):
        url = f"redis://127.0.0.1:{server.port}/{database}"
        async with asked(url) as admin, opened(as_user(url)) as store:
            await allow(admin, words)
            await admin.script_flush()
            await use_all(store)
            assert await seen(admin) == commands(words)
    server.remove()


@pytest.mark.parametrize("missing", sorted(commands(rule(USER))))
async def test_without_one_of_them_something_fails(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headroom_asgi.store.redis._PAUSES_S", ())
    url = redis_servers.single()
    async with asked(url) as admin, opened(as_user(url)) as store:
        await allow(admin, [*rule(USER), f"-{missing}"])
        await admin.script_flush()
        with pytest.raises(StoreError):
            await use_all(store)


async def test_the_rule_gives_no_key_but_the_stores_own() -> None:
    url = redis_servers.single()
    async with asked(url) as admin, opened(as_user(url), prefix="another") as store:
        await allow(admin, rule(USER))
        with pytest.raises(StoreError, match="NoPermission"):
            await store.put("ns", "k", b"v", tenant="t", ttl=100)


async def test_a_cluster_needs_a_few_more() -> None:
    words = [*rule(USER), *also("a cluster")]
    addresses = redis_servers.cluster().split("//")[1].split(",")
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(asked(f"redis://{addresses[0]}"))
        slots = await first.execute_command("CLUSTER", "SLOTS")
        nodes = [await stack.enter_async_context(asked(f"redis://127.0.0.1:{node[1]}")) for _, _, node, *_ in slots]
        for node in nodes:
            await allow(node, words)
            await node.script_flush()
        store = await stack.enter_async_context(opened(as_user(redis_servers.cluster())))
        await use_all(store)
        slot = await first.execute_command("CLUSTER", "KEYSLOT", "headroom:t:ns:moving")
        at = next(number for number, (_, last, *_) in enumerate(slots) if slot <= last)
        async with moving(slot, nodes[at], nodes[at - 1]):
            assert await store.put("ns", "moving", b"v", tenant="t", ttl=100)
            assert await store.get_many("ns", ["moving"], tenant="t") == {"moving": b"v"}
            assert await store.delete("ns", ["moving"], tenant="t") == 1
        assert set().union(*[await seen(node) for node in nodes]) == commands(words)


@asynccontextmanager
async def moving(slot: int, source: redis.asyncio.Redis, target: redis.asyncio.Redis) -> AsyncIterator[None]:
    """A time in which a slot is on its way to another node of the cluster: who asks for its keys is sent there."""
    names = [(await node.execute_command("CLUSTER", "MYID")).decode() for node in (source, target)]
    await target.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", names[0])
    await source.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", names[1])
    try:
        yield
    finally:
        for node in (source, target):
            await node.execute_command("CLUSTER", "SETSLOT", slot, "STABLE")


async def test_sentinels_are_asked_one_thing() -> None:
    server = redis_servers.Server()
    with redis_servers.sentinel(server, "main") as port:
        url = f"redis+sentinel://127.0.0.1:{port}/main/0"
        who = {"sentinel_username": USER, "sentinel_password": "secret"}
        async with asked(f"redis://127.0.0.1:{server.port}") as admin, asked(f"redis://127.0.0.1:{port}") as watcher:
            await allow(admin, rule(USER))
            await watcher.execute_command("ACL", "SETUSER", USER, "reset", "on", ">secret", *also("a Sentinel"))
            async with opened(as_user(url), **who) as store:
                with anyio.fail_after(20):
                    while True:
                        with suppress(StoreError):
                            await use_all(store)
                            break
                        await anyio.sleep(0.1)
            await watcher.execute_command("ACL", "SETUSER", USER, "-@all")
            async with opened(as_user(url), **who) as blind:
                with pytest.raises(StoreError):
                    await blind.stats()
    server.remove()
