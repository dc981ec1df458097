"""A store that is slow or gone is left alone, and found again when it is back."""

import logging
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
from stores import Clock, get, keys, put

from headroom_asgi.errors import ConfigError, StoreDownError, StoreError, StoreRefusedError
from headroom_asgi.store import GuardedStore, MemoryStore, SQLiteStore

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


class Moody(MemoryStore):
    """A store in one of several moods, that counts how often it was asked."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.time = clock
        self.mood = "well"
        self.asked = 0

    async def get_many(self, ns: str, keys: Iterable[str], *, tenant: str) -> dict[str, bytes]:
        self.asked += 1
        if self.mood == "gone" or (self.mood == "half gone" and ns != "health"):
            raise OSError("confidential")
        if self.mood == "talkative":
            raise StoreError(f"confidential {list(keys)}")
        if self.mood == "stuck":
            await anyio.sleep_forever()
        if self.mood == "slow":
            self.time.now += 0.3
        if self.mood == "forgetful":
            return {}
        return await super().get_many(ns, keys, tenant=tenant)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def inner(clock: Clock) -> Moody:
    return Moody(clock)


@pytest.fixture
async def store(inner: Moody, clock: Clock) -> AsyncIterator[GuardedStore]:
    made = GuardedStore(inner, name="test", timeout_s=0.05, slow_s=0.2, clock=clock)
    await put(made, value=b"v", ttl=1000)
    yield made
    await made.aclose()


async def fail(store: GuardedStore, times: int) -> None:
    for _ in range(times):
        with pytest.raises(StoreError) as caught:
            await get(store)
        assert not isinstance(caught.value, StoreDownError)


async def trial(store: GuardedStore, inner: Moody) -> None:
    """Ask, and wait until what that began in the background is done."""
    before = inner.asked
    with pytest.raises(StoreDownError):
        await get(store)
    with anyio.fail_after(5):
        while inner.asked == before:
            await anyio.sleep(0.001)
    await anyio.sleep(0.01)


@pytest.mark.parametrize("mood", ["gone", "stuck"])
async def test_after_three_failures_the_store_is_left_alone(
    store: GuardedStore, inner: Moody, mood: str, caplog: pytest.LogCaptureFixture
) -> None:
    inner.mood = mood
    with caplog.at_level(logging.INFO, "headroom_asgi"):
        await fail(store, 3)
        for _ in range(100):
            with pytest.raises(StoreDownError, match="test is left alone"):
                await get(store)
            with pytest.raises(StoreDownError):
                await put(store)
    assert inner.asked == 3
    (line,) = caplog.records
    reason = {"gone": "OSError", "stuck": "no answer in time"}[mood]
    assert (line.getMessage(), line.store, line.reason) == ("store_down", "test", reason)


async def test_two_failures_and_a_success_change_nothing(store: GuardedStore, inner: Moody) -> None:
    for _ in range(5):
        inner.mood = "gone"
        await fail(store, 2)
        inner.mood = "well"
        assert await get(store) == b"v"


async def test_slow_answers_are_used_and_count_as_failures(store: GuardedStore, inner: Moody) -> None:
    inner.mood = "slow"
    for _ in range(3):
        assert await get(store) == b"v"
    with pytest.raises(StoreDownError, match="slow answers"):
        await get(store)


async def test_calls_that_fail_together_count_as_one(store: GuardedStore, inner: Moody) -> None:
    inner.mood = "stuck"
    async with anyio.create_task_group() as together:
        for _ in range(20):
            together.start_soon(fail, store, 1)
    inner.mood = "well"
    assert await get(store) == b"v"


async def test_what_a_healthy_store_refuses_does_not_count(store: GuardedStore) -> None:
    for _ in range(10):
        with pytest.raises(StoreRefusedError):
            await put(store, ttl=0)
    assert await get(store) == b"v"


async def test_callers_who_leave_early_do_not_count(store: GuardedStore, inner: Moody) -> None:
    inner.mood = "stuck"
    for _ in range(10):
        with anyio.move_on_after(0.001):
            await get(store)
    inner.mood = "well"
    assert await get(store) == b"v"


async def test_a_store_that_is_back_is_found_by_a_trial_in_the_background(
    store: GuardedStore, inner: Moody, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    inner.mood = "gone"
    await fail(store, 3)
    inner.mood = "well"
    with pytest.raises(StoreDownError):  # not yet
        await get(store)
    assert inner.asked == 3
    with caplog.at_level(logging.INFO, "headroom_asgi"):
        clock.now += 1
        await trial(store, inner)
        for _ in range(3):
            assert await get(store) == b"v"
    assert [line.getMessage() for line in caplog.records] == ["store_down", "store_up"]


@pytest.mark.parametrize("mood", ["gone", "stuck", "forgetful"])
async def test_trials_become_rarer_while_they_fail(store: GuardedStore, inner: Moody, clock: Clock, mood: str) -> None:
    inner.mood = "gone"
    await fail(store, 3)
    inner.mood = mood
    clock.now += 1
    for pause in (2, 4, 8, 16, 30, 30, 30):
        await trial(store, inner)
        asked = inner.asked
        clock.now += pause
        with pytest.raises(StoreDownError):
            await get(store)
        await anyio.sleep(0.01)
        assert inner.asked == asked
        clock.now += 0.1


async def test_a_store_that_is_only_well_for_trials_is_tried_less_and_less(
    store: GuardedStore, inner: Moody, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    inner.mood = "half gone"
    downs = 0
    for second in range(240):
        clock.now = float(second)
        for _ in range(5):
            with suppress(StoreError):
                await get(store)
        await anyio.sleep(0.001)  # for the trial
        downs = sum(line.getMessage() == "store_down" for line in caplog.records)
    assert 5 <= downs <= 16
    # After a long time in which it was well, it is tried as soon as the first time.
    inner.mood = "well"
    clock.now += 100
    await trial(store, inner)
    clock.now += 100
    inner.mood = "gone"
    await fail(store, 3)
    clock.now += 1
    await trial(store, inner)


@pytest.mark.parametrize(("mood", "kind"), [("gone", "OSError"), ("talkative", "StoreError")])
async def test_no_message_and_no_line_of_the_log_quotes_the_error(
    store: GuardedStore, inner: Moody, clock: Clock, mood: str, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    inner.mood = mood
    for _ in range(3):
        with pytest.raises(StoreError, match=rf"^test: {kind}$"):
            await get(store)
    clock.now += 1
    await trial(store, inner)
    with pytest.raises(StoreDownError, match=rf"left alone: {kind}$"):
        await get(store)
    assert [line.reason for line in caplog.records] == [kind]


async def test_what_our_own_stores_say_is_told(tmp_path: Path) -> None:
    file = SQLiteStore(tmp_path / "s.db")
    await put(file)
    await file.aclose()
    with pytest.raises(StoreError, match=r"^file: the store is closed$"):
        await get(GuardedStore(file, name="file"))


async def test_a_store_that_cannot_be_closed_keeps_nobody(caplog: pytest.LogCaptureFixture) -> None:
    class Stubborn(MemoryStore):
        async def aclose(self) -> None:
            raise OSError("confidential")

    await GuardedStore(Stubborn(), name="mine").aclose()
    (line,) = caplog.records
    assert (line.getMessage(), line.store, line.reason) == ("store_not_closed", "mine", "OSError")


async def test_scans_go_through_and_can_be_left(store: GuardedStore) -> None:
    for number in range(10):
        await put(store, f"k{number}", ttl=1000)
    assert len(await keys(store)) == 11
    scan = store.scan("ns", "t")
    assert await anext(scan)
    await scan.aclose()


async def test_a_large_value_may_take_longer(clock: Clock) -> None:
    class Slow(MemoryStore):
        async def put(self, *args: object, **rest: object) -> bool:
            clock.now += 1.0
            return True

    store = GuardedStore(Slow(), clock=clock)
    for _ in range(5):
        assert await put(store, value=b"x" * 25_000_000)
    for _ in range(3):
        await put(store)
    with pytest.raises(StoreDownError):
        await put(store)


async def test_large_values_may_take_longer_to_come_back(clock: Clock) -> None:
    class Slow(MemoryStore):
        async def get_many(self, *args: Any, **rest: Any) -> dict[str, bytes]:
            clock.now += 1.0
            return await super().get_many(*args, **rest)

    store = GuardedStore(Slow(), clock=clock)
    for name in ("one", "two"):
        await put(store, name, b"x" * 12_500_000, ttl=1000)
    for _ in range(5):
        assert len(await store.get_many("ns", ["one", "two"], tenant="t")) == 2
    for _ in range(3):
        assert await get(store, "two")
    with pytest.raises(StoreDownError):
        await get(store, "two")


async def test_it_is_shared_if_the_store_inside_is() -> None:
    assert GuardedStore(MemoryStore(shared=True)).shared
    assert not GuardedStore(MemoryStore()).shared


@pytest.mark.parametrize("name", ["timeout_s", "slow_s"])
def test_seconds_must_be_above_zero(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}: 0 is not"):
        GuardedStore(MemoryStore(), **{name: 0})


class Busy(MemoryStore):
    """A store that answers soon, in an app whose event loop meanwhile stands still for longer than a call may take."""

    async def get_many(self, ns: str, keys: Iterable[str], *, tenant: str) -> dict[str, bytes]:
        async with anyio.create_task_group() as group:
            group.start_soon(self.stand_still)
            for _ in range(20):
                await anyio.sleep(0.001)
        return await super().get_many(ns, keys, tenant=tenant)

    async def stand_still(self) -> None:
        time.sleep(0.6)  # noqa: ASYNC251 - what it is about


async def test_an_event_loop_that_stands_still_is_not_the_fault_of_the_store() -> None:
    store = GuardedStore(Busy(), timeout_s=0.3, slow_s=0.2)
    await put(store)
    for _ in range(4):
        assert await get(store) == b"v"
