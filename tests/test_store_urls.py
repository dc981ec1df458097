"""Stores by address."""

import json
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import redis_servers
from driver import ORDERS, PATHS, Inner, post, question_body
from stores import get, put

from headroom_asgi import HeadroomMiddleware
from headroom_asgi.errors import ConfigError, StoreRefusedError
from headroom_asgi.store import GuardedStore, MemoryStore, Store, open_store, urls

pytestmark = pytest.mark.anyio


def on_disk(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir())


@pytest.mark.parametrize("size", ["6000", "6000B", "6kB"])
async def test_memory_takes_bounds(size: str) -> None:
    store = open_store(f"memory://?max_bytes={size}&max_entries=2&max_age_s=0.5&shared=true")
    assert store.shared
    for key in "abc":
        await put(store, key)
    assert (await store.stats()).entries == 2
    with pytest.raises(StoreRefusedError, match="beyond max_bytes: 6000"):
        await put(store, value=b"x" * 6000)
    assert not open_store("memory://").shared


@pytest.mark.parametrize("spelled", ["sqlite://{}/a%20store.db", "sqlite:{}/a%20store.db"])
async def test_sqlite_takes_a_path_and_options(tmp_path: Path, spelled: str) -> None:
    store = open_store(
        f"{spelled.format(tmp_path)}?max_bytes=1MiB&max_entries=10&max_age_s=100&workers=2&fsync=true&timeout_s=20"
    )
    assert store.shared
    await put(store)
    assert await get(store) == b"v"
    assert (tmp_path / "a store.db").exists()
    await store.aclose()


def test_a_relative_path_is_meant_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    open_store("sqlite:store.db")
    assert (tmp_path / "store.db").exists()


async def test_redis_takes_options() -> None:
    store = open_store(f"{redis_servers.single()}?prefix=mine&max_value_bytes=1kB&max_connections=3&timeout_s=20&compress=false")
    await put(store, ttl=100)
    assert await get(store) == b"v"
    with pytest.raises(StoreRefusedError, match="max_value_bytes: 1000"):
        await put(store, value=b"x" * 1001)
    assert await store.delete_tenant("t") == 1
    await store.aclose()


async def test_values_outside_of_this_process_are_encrypted_with_the_keys_that_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADROOM_KEYS", f"one:{'A' * 43}=")
    (tmp_path / "keys").write_text(f"one:{'A' * 43}=")
    by_variable = open_store(f"sqlite://{tmp_path}/store.db?keys_variable=HEADROOM_KEYS&timeout_s=20")
    by_file = open_store(f"sqlite://{tmp_path}/store.db?keys_file={tmp_path}/keys&timeout_s=20")
    readable = open_store(f"sqlite://{tmp_path}/store.db?timeout_s=20")
    await put(by_variable, value=b"confidential")
    assert b"confidential" not in on_disk(tmp_path)
    assert await get(by_file) == b"confidential"
    assert await get(readable) is None
    for store in (by_variable, by_file, readable):
        await store.aclose()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("/var/lib/store.db", "this is not an address; expected memory, redis"),
        ("", "this is not an address"),
        ("sqllite:///x", r"'sqllite' is none of memory, .* \(did you mean 'sqlite'\?\)"),
        ("memory://host", "memory:// has options, and nothing else"),
        ("memory://?max_byte=1", r"memory has no option 'max_byte' \(did you mean 'max_bytes'\?\)"),
        ("memory://?keys_file=x", "memory has no option 'keys_file'"),
        ("memory://?max_bytes=1&max_bytes=2", "the option 'max_bytes' comes twice"),
        ("memory://?max_bytes=many", "the option 'max_bytes' is not a number of bytes, such as 1000000 or 256MiB"),
        ("memory://?max_entries=1.5", "the option 'max_entries' is not a whole number"),
        ("memory://?max_age_s=soon", "the option 'max_age_s' is not a number of seconds"),
        ("memory://?max_age_s=inf", "the option 'max_age_s' is not a number of seconds"),
        ("memory://#?max_bytes=1", "memory:// has options, and nothing else"),
        ("sqlite:x#y?keys_file=z", "a # in the path is written %23"),
        ("memory://?max_age_s=0", "max_age_s: 0.0 is not a number above 0"),
        ("memory://?shared=perhaps", "the option 'shared' is not true or false"),
        ("sqlite://var/lib", "the file's path is missing: sqlite:///absolute"),
        ("sqlite:///missing/store.db", "is not a file that can be written"),
        ("sqlite:x?timeout_s=0", "timeout_s: 0.0 is not"),
        ("redis://host?db=1", "redis has no option 'db'"),
        ("redis://host?tls_ca_file=x", "the option 'tls_ca_file' is for rediss"),
        ("redis+cluster://host/1", "is not nothing"),
        ("redis://host?keys_file=x&keys_variable=y", "exclude each other"),
        ("redis://host?keys_variable=HEADROOM_MISSING", "'HEADROOM_MISSING' is not set"),
    ],
)
def test_an_address_with_a_mistake_is_refused_at_once(
    url: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=message):
        open_store(url)


@pytest.mark.parametrize(
    "url",
    [
        "redis://:hush@host/x",
        "redis://:hush@host?nothing=1",
        "radis://:hush@host",
        "redis://:hush@a:b",
        "hush@host:6379",
        "hush!:x",
    ],
)
def test_no_message_repeats_a_password(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_store(url)
    assert "hush" not in f"{caught.value}{caught.value.__cause__}"


# Schemes of others.


class Theirs(MemoryStore):
    pass


def theirs(url: str) -> Store:
    return Theirs(max_entries=int(url.rpartition("/")[2]))


def broken(url: str) -> Store:
    raise RuntimeError(url)


def incomplete(url: str) -> object:
    return url


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(group: str) -> list[EntryPoint]:
        names = {"theirs": "theirs", "broken": "broken", "incomplete": "incomplete"}
        return [EntryPoint(name, f"{__name__}:{value}", group) for name, value in names.items()]

    monkeypatch.setattr(urls, "entry_points", found)


async def test_another_package_may_offer_a_scheme(offered: None) -> None:
    store = open_store("theirs://host/2")
    assert isinstance(store, GuardedStore)
    for key in "abc":
        await put(store, key)
    assert (await store.stats()).entries == 2


async def test_a_record_of_another_packages_store_that_is_damaged_is_a_miss(
    offered: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = Theirs()
    monkeypatch.setattr(f"{__name__}.theirs", lambda url: inner)
    store = open_store("theirs://host/2")
    await put(store, "k", b"right")
    record = await get(inner, "k")
    assert record is not None
    await put(inner, "k", record[:-1] + b"?")
    assert await get(store, "k") is None


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("their://x", r"none of broken, .* \(did you mean 'theirs'\?\)"),
        ("broken://:hush@x", r"the package that offers 'broken' failed \(RuntimeError\)"),
        ("incomplete://x", "str is not a Store: it has no .*get_many"),
    ],
)
def test_a_scheme_that_does_not_work_is_refused_at_once(offered: None, url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        open_store(url)
    assert "hush" not in str(caught.value)


# In the middleware.


async def test_the_middleware_takes_an_address(tmp_path: Path) -> None:
    url = f"sqlite://{tmp_path}/store.db?timeout_s=20"
    inner = Inner()
    app = HeadroomMiddleware(inner, store=url, discover=False)
    await post(app, PATHS["openai-chat"], question_body("openai-chat", json.dumps(ORDERS)))
    store = open_store(url)
    assert (await store.stats()).entries > 0
    await store.aclose()
    await app._engine.aclose()


def test_the_middleware_refuses_a_wrong_address() -> None:
    with pytest.raises(ConfigError, match="did you mean 'max_bytes'"):
        HeadroomMiddleware(Inner(), store="memory://?max_byte=1")
