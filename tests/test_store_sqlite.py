"""The store in a file: what it keeps across processes and restarts, its bounds, and what is left in the file."""

import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import anyio
import pytest
from kills import run
from stores import Clock, get, keys, put

from headroom_asgi.errors import ConfigError, StoreError, StoreRefusedError
from headroom_asgi.store import SQLiteStore

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def modes_in(folder: Path) -> dict[str, int]:
    return {file.name: mode_of(file) for file in folder.iterdir()}


def on_disk(path: Path) -> bytes:
    """What a file and its neighbors hold."""
    return b"".join(file.read_bytes() for file in sorted(path.parent.iterdir()))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def garbage(path: Path) -> Path:
    path.write_bytes(b"not a database " * 1000)
    return path


async def test_entries_are_there_after_a_restart(path: Path) -> None:
    store = SQLiteStore(path)
    await put(store, value=b"kept")
    await store.add("counters", "n", {"a": 1}, tenant="t")
    await store.aclose()
    again = SQLiteStore(path)
    assert await get(again) == b"kept"
    assert await again.add("counters", "n", {"a": 1}, tenant="t") == {"a": 2}
    assert (await again.stats()).entries == 2
    await again.aclose()


async def test_two_stores_on_one_file_see_each_other(path: Path) -> None:
    one, two = SQLiteStore(path), SQLiteStore(path)
    assert one.shared
    await put(one, value=b"1")
    assert await get(two) == b"1"
    assert not await put(two, value=b"2", if_absent=True)
    assert await two.delete_tenant("t") == 1
    assert await get(one) is None
    await one.aclose()
    assert await put(two, "still open")
    await two.aclose()


@pytest.mark.parametrize("umask", [0, 0o077])
async def test_only_the_owner_may_read_the_files(path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        store = SQLiteStore(path)
        await put(store)
        assert modes_in(path.parent) == dict.fromkeys(["store.db", "store.db-shm", "store.db-wal"], 0o600)
        await store.aclose()
    finally:
        os.umask(before)


def test_a_file_that_others_may_read_is_closed_to_them(path: Path) -> None:
    path.touch()
    path.chmod(0o644)
    side = path.with_name(f"{path.name}-wal")
    side.touch()
    side.chmod(0o644)
    SQLiteStore(path)
    assert mode_of(path) == 0o600
    assert not side.exists() or mode_of(side) == 0o600


@pytest.mark.parametrize("place", ["missing/store.db", "x" * 300, "."])
def test_a_file_that_cannot_be_made_is_refused_at_once(tmp_path: Path, place: str) -> None:
    with pytest.raises(ConfigError, match="is not a file that can be written"):
        SQLiteStore(tmp_path / place)


@pytest.mark.parametrize("bound", ["max_bytes", "max_entries", "max_age_s", "workers"])
def test_a_bound_must_be_above_zero(path: Path, bound: str) -> None:
    with pytest.raises(ConfigError, match=f"{bound}: 0 is not"):
        SQLiteStore(path, **{bound: 0})


async def test_another_programs_database_is_left_alone(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE theirs (x)")
    db.close()
    before = on_disk(path)
    store = SQLiteStore(path)
    with pytest.raises(StoreError, match="database of another program"):
        await put(store)
    await store.aclose()
    assert on_disk(path) == before


async def test_a_file_that_is_no_database_is_an_error_and_stays(garbage: Path) -> None:
    path = garbage
    before = on_disk(path)
    store = SQLiteStore(path)
    with pytest.raises(StoreError, match="SQLITE_NOTADB"):
        await get(store)
    await store.aclose()
    assert on_disk(path) == before


# Bounds.


async def test_the_least_recently_used_entry_goes_first(path: Path) -> None:
    clock = Clock()
    store = SQLiteStore(path, max_entries=3, clock=clock)
    for key in "abc":
        await put(store, key, ttl=100)
        clock.now += 10
    await get(store, "a")
    clock.now += 10
    await put(store, "d", ttl=100)
    assert await keys(store) == ["a", "c", "d"]
    assert (await store.stats()).evictions == 1
    await store.aclose()


async def test_what_was_just_written_stays_even_if_the_clock_went_back(path: Path) -> None:
    clock = Clock()
    store = SQLiteStore(path, max_entries=1, clock=clock)
    clock.now = 100
    await put(store, "old", ttl=1000)
    clock.now = 50
    await put(store, "new", ttl=1000)
    assert await keys(store) == ["new"]
    await store.aclose()


async def test_bytes_are_bounded_with_names_and_overhead(path: Path) -> None:
    store = SQLiteStore(path, max_bytes=100_000)
    for number in range(300):
        await put(store, f"k{number}", b"x" * 1000)
        assert (await store.stats()).bytes <= 100_000
    assert 70 < len(await keys(store)) < 90
    await put(store, "large", b"x" * 99_000)
    assert await keys(store) == ["large"]
    with pytest.raises(StoreRefusedError, match="beyond max_bytes: 100000"):
        await put(store, value=b"x" * 100_000)
    assert await keys(store) == ["large"]
    await store.aclose()


async def test_expired_entries_are_purged_by_later_writes(path: Path) -> None:
    clock = Clock()
    store = SQLiteStore(path, clock=clock)
    for number in range(100):
        await put(store, f"k{number}", ttl=10)
    clock.now = 10
    for number in range(20):
        await put(store, f"new{number}", ttl=10)
    stats = await store.stats()
    assert (stats.entries, stats.expirations) == (20, 100)
    await store.aclose()


async def test_the_file_shrinks_when_what_it_held_is_gone(path: Path) -> None:
    clock = Clock()
    store = SQLiteStore(path, clock=clock)
    for number in range(50):
        await put(store, f"k{number}", os.urandom(100_000), ttl=10)
    clock.now = 10
    for _ in range(100):
        await put(store, "new")
    await store.aclose()
    assert len(on_disk(path)) < 2_000_000


async def test_nothing_of_a_deleted_tenant_is_left_on_the_disk(path: Path) -> None:
    store = SQLiteStore(path)
    for number in range(1200):
        await put(store, f"confidential-{number}", b"confidential " * (200 if number % 100 else 5000), tenant="them")
    await put(store, value=b"harmless")
    assert await store.delete_tenant("them") == 1200
    assert b"confidential" not in on_disk(path)
    assert await get(store) == b"harmless"
    await store.aclose()


async def test_what_is_written_can_be_found_in_the_file_before_it_is_deleted(path: Path) -> None:
    store = SQLiteStore(path)  # so the test above would see it
    await put(store, "confidential", b"confidential " * 5000)
    assert b"confidential" in on_disk(path)
    await store.aclose()


# Threads, and callers who leave.


async def test_the_event_loop_goes_on_while_another_process_holds_the_file(path: Path) -> None:
    store = SQLiteStore(path)
    await put(store, value=b"old")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    turns = 0
    async with anyio.create_task_group() as together:
        together.start_soon(put, store, "k", b"new")
        while turns < 50:
            await anyio.sleep(0.001)
            turns += 1
        assert await get(store) == b"old"  # readers don't wait for writers
        other.execute("ROLLBACK")
    assert await get(store) == b"new"
    other.close()
    await store.aclose()


async def test_a_caller_who_leaves_does_not_wait_for_the_file(path: Path) -> None:
    store = SQLiteStore(path)
    await put(store, value=b"old")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with anyio.move_on_after(0.05) as patience:
        await put(store, value=b"new")
    assert patience.cancelled_caught  # and not an error, after the file's own patience
    other.execute("ROLLBACK")
    other.close()
    await store.aclose()


async def test_callers_who_leave_do_not_pile_up_threads(path: Path) -> None:
    store = SQLiteStore(path, workers=1)
    await put(store)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for _ in range(20):
        with anyio.move_on_after(0.01), suppress(StoreError):
            await put(store, value=b"new")
    assert 1 <= store._running <= 4
    other.execute("ROLLBACK")
    other.close()
    while store._running:  # what was begun is finished by the threads alone
        await anyio.sleep(0.01)
    assert await put(store, value=b"later")
    await store.aclose()


# Several processes.


def forked(path: Path) -> None:
    store = SQLiteStore(path)
    anyio.run(put, store, "before")
    carried = store._file._idle[0]
    child = os.fork()
    if child == 0:
        anyio.run(put, store, "child")
        os._exit(carried in store._file._idle)  # which SQLite forbids to use, or to close
    anyio.run(put, store, "parent")
    assert os.waitpid(child, 0)[1] == 0
    assert carried in store._file._idle
    assert anyio.run(keys, store) == ["before", "child", "parent"]


def test_a_store_made_before_a_fork_works_on_both_sides(path: Path) -> None:
    program = (
        "import sys; sys.path.insert(0, sys.argv[2]); import pathlib, test_store_sqlite as t; t.forked(pathlib.Path(sys.argv[1]))"
    )
    command = [sys.executable, "-c", program, str(path), str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.timeout(300)
def test_nothing_acknowledged_is_lost_when_processes_are_killed(path: Path) -> None:
    figures = run(path, kills=10, seed=1)
    assert figures.pop("acknowledged") > 10
    assert figures == {"lost": 0, "wrong": 0, "damaged": 0}
