"""The contract that every store keeps, and the bounds of the one in memory."""

import asyncio
import random
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from stores import LOOPS, STORES, Clock, get, keys, put

from headroom_asgi.errors import ConfigError, StoreError, StoreRefusedError
from headroom_asgi.store import MemoryStore, Store, StoreStats

pytestmark = pytest.mark.anyio

MAX_AGE_S = 1000.0


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The contract runs over every store, on every event loop that it is made for."""
    if "store" in metafunc.fixturenames:
        pairs = [(loop, name) for name in STORES for loop in LOOPS[name]]
        metafunc.parametrize(("anyio_backend", "store"), pairs, indirect=["store"])


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(request: pytest.FixtureRequest, clock: Clock, tmp_path: Path) -> AsyncIterator[Store]:
    made = STORES[request.param](tmp_path, clock, MAX_AGE_S)
    yield made
    await made.aclose()


# Values.


@pytest.mark.parametrize("value", [b"", b"v", bytes(range(256)), b"\xff\x00" * 100_000])
async def test_a_value_comes_back_as_it_was(store: Store, value: bytes) -> None:
    assert await put(store, value=value)
    assert await get(store) == value


async def test_a_value_is_replaced(store: Store) -> None:
    await put(store, value=b"old")
    assert await put(store, value=b"new")
    assert await get(store) == b"new"
    assert await keys(store) == ["k"]


async def test_get_many_returns_what_is_there(store: Store) -> None:
    await put(store, "a", b"1")
    await put(store, "b", b"2")
    wanted = iter(["b", "missing", "a", "b"])
    assert await store.get_many("ns", wanted, tenant="t") == {"a": b"1", "b": b"2"}
    assert await store.get_many("ns", [], tenant="t") == {}


async def test_if_absent_keeps_what_is_there(store: Store) -> None:
    assert await put(store, value=b"first", if_absent=True)
    assert not await put(store, value=b"second", if_absent=True)
    assert await get(store) == b"first"


async def test_delete_counts_what_was_there(store: Store) -> None:
    await put(store, "a")
    await put(store, "b")
    assert await store.delete("ns", ["a", "a", "missing"], tenant="t") == 1
    assert await store.delete("ns", ["a"], tenant="t") == 0
    assert await keys(store) == ["b"]


async def test_a_store_says_whether_it_is_shared(store: Store) -> None:
    assert isinstance(store.shared, bool)


# Names.

AWKWARD = [
    "",
    "\ud800",
    "a",
    "a:b",
    "b",
    "b:c",
    "c",
    "a/b",
    "%",
    "_",
    "*",
    "?",
    "[a]",
    "\0",
    "a\0b",
    "é",
    "e\u0301",
    "A",
    "🙂",
    " ",
    "'",
]


PLAIN = ["", "a", "a:b", "b", "b:c", "c", "a/b", "\0", "a\0b"]  # what a name might end and the next one begin with


def awkward_names() -> list[tuple[str, str, str]]:
    """Tenant, namespace and key: the plain ones in every combination, and each of the others beside each plain one in every place."""
    triples = {(tenant, ns, key) for tenant in PLAIN for ns in PLAIN for key in PLAIN}
    for odd in AWKWARD:
        for other in PLAIN:
            triples |= {
                (odd, other, "a"),
                ("a", odd, other),
                (other, "a", odd),
                (odd, odd, other),
                (other, odd, odd),
                (odd, other, odd),
            }
    return sorted(triples)


async def test_names_are_kept_apart_character_by_character(store: Store) -> None:
    names = awkward_names()
    for start in range(0, len(names), 200):  # many at once, as most stores are not in this process
        async with anyio.create_task_group() as together:
            for index, (tenant, ns, key) in enumerate(names[start : start + 200], start):
                together.start_soon(partial(store.put, ns, key, b"%d" % index, tenant=tenant, ttl=MAX_AGE_S))
    expected: dict[tuple[str, str], dict[str, bytes]] = {}
    for index, (tenant, ns, key) in enumerate(names):
        expected.setdefault((tenant, ns), {})[key] = b"%d" % index
    for (tenant, ns), values in expected.items():
        assert await store.get_many(ns, AWKWARD, tenant=tenant) == values
        if tenant in ("a", ns):
            assert await keys(store, ns, tenant) == sorted(values)


async def test_a_tenant_sees_and_changes_only_its_own(store: Store) -> None:
    await put(store, value=b"mine", tenant="me")
    await store.add("ns", "n", {"x": 1}, tenant="me")
    assert await get(store, tenant="you") is None
    assert await keys(store, tenant="you") == []
    assert await store.touch("ns", ["k", "n"], tenant="you", ttl=1) == 0
    assert await store.delete("ns", ["k", "n"], tenant="you") == 0
    assert await store.add("ns", "n", {"x": 5}, tenant="you") == {"x": 5}
    assert await put(store, value=b"yours", tenant="you", if_absent=True)
    assert await store.delete_tenant("you") == 2
    assert await get(store, tenant="me") == b"mine"
    assert await store.add("ns", "n", {}, tenant="me") == {"x": 1}


async def test_delete_tenant_takes_every_namespace(store: Store) -> None:
    await put(store, ns="a")
    await put(store, ns="b")
    await store.add("c", "k", {"x": 1}, tenant="t")
    assert await store.delete_tenant("t") == 3
    assert await store.delete_tenant("t") == 0
    assert [await keys(store, ns) for ns in "abc"] == [[], [], []]


async def test_what_expired_is_not_counted_as_deleted(store: Store, clock: Clock) -> None:
    for i in range(50):
        await put(store, f"k{i}", ttl=10)
    await put(store, "kept", ttl=100)
    clock.now = 10
    assert await store.delete_tenant("t") == 1


# Scans.


async def test_a_scan_gives_each_key_of_its_namespace_once(store: Store) -> None:
    names = [f"k{i}" for i in range(300)]
    for name in names:
        await put(store, name)
    await put(store, "other", ns="other")
    await store.add("ns", "counters", {"x": 1}, tenant="t")
    assert await keys(store) == sorted([*names, "counters"])
    assert await keys(store, "nothing") == []


async def test_entries_may_be_deleted_during_a_scan(store: Store) -> None:
    for i in range(300):
        await put(store, f"k{i}")
    async for key in store.scan("ns", "t"):
        await store.delete("ns", [key], tenant="t")
    assert await keys(store) == []


# Expiry.


async def test_a_value_expires_when_idle_for_its_ttl(store: Store, clock: Clock) -> None:
    await put(store, ttl=10)
    clock.now = 9.9
    assert await keys(store) == ["k"]
    clock.now = 10
    assert await keys(store) == []
    assert await get(store) is None


async def test_an_expired_entry_is_absent_everywhere(store: Store, clock: Clock) -> None:
    await put(store, "a")
    await put(store, "b")
    await put(store, "c", ns="other")
    await store.add("ns", "n", {"x": 7}, tenant="t")
    await store.touch("ns", ["n"], tenant="t", ttl=10)
    clock.now = 10
    assert await store.touch("ns", ["a"], tenant="t", ttl=10) == 0
    assert await store.delete("ns", ["b"], tenant="t") == 0
    assert await store.delete_tenant("t") == 0
    assert await store.add("ns", "n", {"x": 1}, tenant="t") == {"x": 1}
    assert await put(store, "a", if_absent=True)


async def test_reading_starts_the_idle_time_again(store: Store, clock: Clock) -> None:
    await put(store, ttl=10)
    for clock.now in range(9, 100, 9):
        assert await get(store) == b"v"


async def test_touching_sets_the_idle_time(store: Store, clock: Clock) -> None:
    await put(store, "longer", ttl=10)
    await put(store, "shorter", ttl=10)
    assert await store.touch("ns", ["longer", "missing", "longer"], tenant="t", ttl=100) == 1
    assert await store.touch("ns", ["shorter"], tenant="t", ttl=5) == 1
    clock.now = 6
    assert await keys(store) == ["longer"]
    clock.now = 99
    assert await get(store, "longer") == b"v"
    clock.now = 198
    assert await get(store, "longer") == b"v"


async def test_a_refused_put_touches(store: Store, clock: Clock) -> None:
    await put(store, ttl=10)
    clock.now = 9
    assert not await put(store, ttl=50, if_absent=True)
    clock.now = 58
    assert await keys(store) == ["k"]


async def test_scanning_does_not_touch(store: Store, clock: Clock) -> None:
    await put(store, ttl=10)
    clock.now = 9
    assert await keys(store) == ["k"]
    clock.now = 10
    assert await keys(store) == []


async def test_no_entry_outlives_the_absolute_cap(store: Store, clock: Clock) -> None:
    await put(store, "read", ttl=600)
    await put(store, "touched", ttl=600)
    await put(store, "endless", ttl=float("inf"))
    await put(store, "replaced", ttl=600)
    clock.now = 500
    await get(store, "read")
    await store.touch("ns", ["touched"], tenant="t", ttl=float("inf"))
    await put(store, "replaced", ttl=600)
    clock.now = MAX_AGE_S - 1
    assert await keys(store) == ["endless", "read", "replaced", "touched"]
    clock.now = MAX_AGE_S
    assert await keys(store) == ["replaced"]


@pytest.mark.parametrize("ttl", [0, -1, float("nan")])
async def test_a_ttl_must_be_above_zero(store: Store, ttl: float) -> None:
    with pytest.raises(StoreRefusedError, match="ttl: "):
        await put(store, ttl=ttl)
    with pytest.raises(StoreRefusedError, match="ttl: "):
        await store.touch("ns", ["k"], tenant="t", ttl=ttl)


# Counters.


async def test_counters_add_up(store: Store) -> None:
    assert await store.add("ns", "k", {"a": 1, "b": 2}, tenant="t") == {"a": 1, "b": 2}
    assert await store.add("ns", "k", {"b": 5, "c": -1}, tenant="t") == {"a": 1, "b": 7, "c": -1}
    assert await store.add("ns", "k", {"a": 2**62}, tenant="t") == {"a": 2**62 + 1, "b": 7, "c": -1}


async def test_no_counters_only_reads(store: Store) -> None:
    assert await store.add("ns", "k", {}, tenant="t") == {}
    assert await keys(store) == []
    (await store.add("ns", "k", {"a": 1}, tenant="t"))["a"] = 5
    (await store.add("ns", "k", {}, tenant="t"))["a"] = 5
    assert await store.add("ns", "k", {}, tenant="t") == {"a": 1}


async def test_counters_are_kept_for_max_age_after_the_last_addition(store: Store, clock: Clock) -> None:
    await store.add("ns", "k", {"a": 1}, tenant="t")
    clock.now = 999
    assert await store.add("ns", "k", {"a": 1}, tenant="t") == {"a": 2}
    clock.now = 1998
    assert await store.add("ns", "k", {}, tenant="t") == {"a": 2}
    clock.now = 1999
    assert await store.add("ns", "k", {}, tenant="t") == {}


async def test_an_entry_holds_a_value_or_counters(store: Store) -> None:
    await put(store, "value")
    with pytest.raises(StoreRefusedError, match="not counters"):
        await store.add("ns", "value", {"a": 1}, tenant="t")
    assert await get(store, "value") == b"v"
    await store.add("ns", "counters", {"a": 1}, tenant="t")
    assert await get(store, "counters") is None
    assert not await put(store, "counters", if_absent=True)
    assert await put(store, "counters")
    assert await get(store, "counters") == b"v"
    assert await store.delete("ns", ["value", "counters"], tenant="t") == 2


# Figures, and the end.


async def test_stats_count_entries_hits_and_misses(store: Store) -> None:
    assert await store.stats() == StoreStats()
    await put(store, "a", random.Random(1).randbytes(1000))
    await put(store, "b")
    await store.get_many("ns", ["a", "a", "missing", "b"], tenant="t")
    stats = await store.stats()
    assert (stats.entries, stats.hits, stats.misses, stats.evictions, stats.expirations) == (2, 2, 1, 0, 0)
    assert stats.bytes >= 1000
    await store.delete_tenant("t")
    stats = await store.stats()
    assert (stats.entries, stats.bytes) == (0, 0)


async def test_a_closed_store_refuses_everything(store: Store) -> None:
    await put(store)
    await store.aclose()
    await store.aclose()
    calls = [
        put(store),
        get(store),
        keys(store),
        store.touch("ns", ["k"], tenant="t", ttl=1),
        store.delete("ns", ["k"], tenant="t"),
        store.add("ns", "k", {}, tenant="t"),
        store.delete_tenant("t"),
        store.stats(),
    ]
    for call in calls:
        with pytest.raises(StoreError, match="closed"):
            await call


# Every store against a dict.

NAMES = st.sampled_from(["a", "b", "c"])
TENANTS = st.sampled_from(["t", "u"])
TTLS = st.integers(1, 40)


@dataclass
class Model:
    """What one entry should be."""

    content: bytes | dict[str, int]
    ttl: float
    written: float
    used: float

    def alive(self, now: float) -> bool:
        return now < min(self.used + self.ttl, self.written + 60)


class StoreMachine(RuleBasedStateMachine):
    """Any sequence of calls gives what a dict of entries with times would give."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = Clock()
        self.model: dict[tuple[str, str], Model] = {}

    @initialize(name=st.sampled_from(sorted(STORES)))
    def open(self, name: str) -> None:
        self.store = STORES[name](Path(self.folder.name), self.clock, 60)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.runner.run(self.store.aclose())
        self.runner.close()
        self.folder.cleanup()

    def entry(self, tenant: str, key: str) -> Model | None:
        model = self.model.get((tenant, key))
        return model if model is not None and model.alive(self.clock.now) else None

    @rule(seconds=st.integers(0, 25))
    def wait(self, seconds: int) -> None:
        self.clock.now += seconds

    @rule(tenant=TENANTS, key=NAMES, value=st.binary(max_size=9), ttl=TTLS, if_absent=st.booleans())
    def put(self, tenant: str, key: str, value: bytes, ttl: int, if_absent: bool) -> None:
        stored = self.runner.run(self.store.put("ns", key, value, tenant=tenant, ttl=ttl, if_absent=if_absent))
        present = self.entry(tenant, key)
        if present is not None and if_absent:
            assert not stored
            present.ttl, present.used = ttl, self.clock.now
        else:
            assert stored
            self.model[tenant, key] = Model(value, ttl, self.clock.now, self.clock.now)

    @rule(tenant=TENANTS, keys=st.lists(NAMES))
    def get_many(self, tenant: str, keys: list[str]) -> None:
        got = self.runner.run(self.store.get_many("ns", keys, tenant=tenant))
        entries = {key: entry for key in keys if (entry := self.entry(tenant, key)) is not None}
        values = {key: entry for key, entry in entries.items() if isinstance(entry.content, bytes)}
        assert got == {key: entry.content for key, entry in values.items()}
        for entry in values.values():
            entry.used = self.clock.now

    @rule(tenant=TENANTS, keys=st.sets(NAMES), ttl=TTLS)
    def touch(self, tenant: str, keys: Iterable[str], ttl: int) -> None:
        entries = [entry for key in keys if (entry := self.entry(tenant, key)) is not None]
        assert self.runner.run(self.store.touch("ns", keys, tenant=tenant, ttl=ttl)) == len(entries)
        for entry in entries:
            entry.ttl, entry.used = ttl, self.clock.now

    @rule(tenant=TENANTS, key=NAMES, counters=st.dictionaries(NAMES, st.integers(-9, 9)))
    def add(self, tenant: str, key: str, counters: dict[str, int]) -> None:
        present = self.entry(tenant, key)
        if present is not None and isinstance(present.content, bytes):
            with pytest.raises(StoreError):
                self.runner.run(self.store.add("ns", key, counters, tenant=tenant))
            return
        totals = dict(present.content) if present is not None else {}
        for name, count in counters.items():
            totals[name] = totals.get(name, 0) + count
        assert self.runner.run(self.store.add("ns", key, counters, tenant=tenant)) == totals
        if counters:
            self.model[tenant, key] = Model(totals, 60, self.clock.now, self.clock.now)

    @rule(tenant=TENANTS, keys=st.sets(NAMES))
    def delete(self, tenant: str, keys: Iterable[str]) -> None:
        present = [key for key in keys if self.entry(tenant, key) is not None]
        assert self.runner.run(self.store.delete("ns", keys, tenant=tenant)) == len(present)
        for key in present:
            del self.model[tenant, key]

    @rule(tenant=TENANTS)
    def delete_tenant(self, tenant: str) -> None:
        present = [name for name in self.model if name[0] == tenant and self.entry(*name) is not None]
        assert self.runner.run(self.store.delete_tenant(tenant)) == len(present)
        for name in present:
            del self.model[name]

    @precondition(lambda self: hasattr(self, "store"))
    @invariant()
    def scans_show_what_is_alive(self) -> None:
        for tenant in ("t", "u"):
            alive = [key for owner, key in self.model if owner == tenant and self.entry(owner, key) is not None]
            assert self.runner.run(keys(self.store, tenant=tenant)) == sorted(alive)


TestAnyStoreAgainstADict = StoreMachine.TestCase
TestAnyStoreAgainstADict.settings = settings(max_examples=50, stateful_step_count=30)


# The bounds of the one in memory.

ONE = 600  # bytes that are enough for one small entry, and not for two


async def test_the_least_recently_used_entry_goes_first() -> None:
    store = MemoryStore(max_entries=3)
    for key in "abc":
        await put(store, key)
    await get(store, "a")
    await store.touch("ns", ["b"], tenant="t", ttl=1)
    await put(store, "d")
    assert await keys(store) == ["a", "b", "d"]
    await put(store, "a", if_absent=True)
    await put(store, "e")
    assert await keys(store) == ["a", "d", "e"]
    assert (await store.stats()).evictions == 2


async def test_bytes_are_bounded_with_keys_and_overhead() -> None:
    store = MemoryStore(max_bytes=10 * ONE)
    for i in range(100):
        await put(store, f"k{i}", b"")
    assert (await store.stats()).bytes <= 10 * ONE
    assert 10 <= len(await keys(store)) <= 12
    await put(store, "long" * ONE, b"")
    assert len(await keys(store)) < 10
    assert (await store.stats()).bytes <= 10 * ONE


async def test_a_large_value_drops_as_many_as_needed_and_never_itself() -> None:
    store = MemoryStore(max_bytes=10 * ONE)
    for i in range(10):
        await put(store, f"k{i}")
    await put(store, "k5", b"x" * 9 * ONE)
    assert "k5" in await keys(store)
    assert len(await keys(store)) <= 2
    await store.add("ns", "counters", {f"name{i}": i for i in range(30)}, tenant="t")
    assert await keys(store) == ["counters"]


async def test_what_can_never_fit_is_refused_and_changes_nothing() -> None:
    store = MemoryStore(max_bytes=10 * ONE)
    await put(store)
    with pytest.raises(StoreRefusedError, match="beyond max_bytes: 6000"):
        await put(store, value=b"x" * 10 * ONE)
    await store.add("ns", "n", {"a": 1}, tenant="t")
    with pytest.raises(StoreRefusedError, match="beyond max_bytes"):
        await store.add("ns", "n", {f"name{i}": 1 for i in range(ONE)}, tenant="t")
    assert await get(store) == b"v"
    assert await store.add("ns", "n", {}, tenant="t") == {"a": 1}


async def test_expired_entries_are_swept_by_whatever_is_called() -> None:
    clock = Clock()
    store = MemoryStore(clock=clock)
    for i in range(100):
        await put(store, f"k{i}", ttl=10)
    await put(store, "kept", ttl=1000)
    clock.now = 10
    for _ in range(101):
        await get(store, "kept")
    stats = await store.stats()
    assert (stats.entries, stats.expirations, stats.evictions) == (1, 100, 0)


async def test_expired_entries_do_not_pile_up() -> None:
    clock = Clock()
    store = MemoryStore(clock=clock)
    for i in range(2000):
        clock.now = i
        await put(store, f"k{i}", ttl=10)
    assert (await store.stats()).entries < 50


@pytest.mark.parametrize("bound", ["max_bytes", "max_entries", "max_age_s"])
def test_a_bound_must_be_above_zero(bound: str) -> None:
    with pytest.raises(ConfigError, match=f"{bound}: 0 is not"):
        MemoryStore(**{bound: 0})


async def test_nothing_is_kept_of_a_tenant_that_is_gone() -> None:
    store = MemoryStore(max_entries=1)
    for i in range(100):
        await put(store, tenant=f"t{i}", ns=f"ns{i}")
    assert len(store._tenants) == len(store._tenants["t99"]) == 1


@pytest.fixture
def switching() -> Iterator[None]:
    """Threads take turns as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def test_threads_with_loops_of_their_own_may_share_one(switching: None) -> None:
    store = MemoryStore(max_entries=50)
    errors: list[BaseException] = []

    async def work(thread: int) -> None:
        for i in range(500):
            await put(store, f"k{(i * 7 + thread) % 80}", b"x" * (i % 50))
            await get(store, f"k{i % 80}")
            await store.add("counters", "n", {"calls": 1}, tenant="t")
            if i % 10 == 0:
                await store.delete("ns", [f"k{i % 80}"], tenant="t")
                await keys(store)

    def run(thread: int) -> None:
        try:
            asyncio.run(work(thread))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert asyncio.run(store.add("counters", "n", {}, tenant="t")) == {"calls": 2000}
    stats = asyncio.run(store.stats())
    assert stats.entries <= 50
    asyncio.run(store.delete_tenant("t"))
    assert (asyncio.run(store.stats()).bytes, asyncio.run(store.stats()).entries) == (0, 0)


class BoundedMachine(RuleBasedStateMachine):
    """With tight bounds entries go missing, but never turn stale, and the bounds hold after every call."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = Clock()
        self.store = MemoryStore(max_bytes=5 * ONE, max_entries=4, max_age_s=60, clock=self.clock)
        self.written: dict[str, bytes] = {}

    def teardown(self) -> None:
        self.runner.close()

    @rule(key=st.sampled_from("abcdefgh"), size=st.integers(0, 4 * ONE), ttl=TTLS, seconds=st.integers(0, 9))
    def put(self, key: str, size: int, ttl: int, seconds: int) -> None:
        self.clock.now += seconds
        value = bytes([len(self.written)]) * size
        self.runner.run(put(self.store, key, value, ttl=ttl))
        self.written[key] = value
        assert self.runner.run(get(self.store, key)) == value

    @rule(key=st.sampled_from("abcdefgh"))
    def get(self, key: str) -> None:
        assert self.runner.run(get(self.store, key)) in (None, self.written.get(key))

    @invariant()
    def bounds_hold(self) -> None:
        stats = self.runner.run(self.store.stats())
        assert stats.entries <= 4
        assert stats.bytes <= 5 * ONE
        live = self.runner.run(keys(self.store))
        assert len(live) <= stats.entries
        assert stats.bytes >= sum(len(self.written[key]) for key in live)


TestBounds = BoundedMachine.TestCase
TestBounds.settings = settings(max_examples=60, stateful_step_count=40)
