"""Values at rest: compressed where that pays, checked always, encrypted with keys that can be changed."""

import base64
import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stores import get, keys, put

from headroom_asgi.errors import ConfigError, StoreRefusedError
from headroom_asgi.store import Keys, MemoryStore, SealedStore
from headroom_asgi.store.records import DamagedError, Records

pytestmark = pytest.mark.anyio

OLD, NEW = b"o" * 32, b"n" * 32
TEXT = b'{"name": "confidential", "state": "running"}, ' * 500
FORMS = {
    "plain": lambda: Records(compress=False),
    "zstd": lambda: Records(compress=True),
    "aes": lambda: Records(Keys({"new": NEW}), compress=False),
    "zstd and aes": lambda: Records(Keys({"new": NEW}), compress=True),
}
each_form = pytest.mark.parametrize("records", [make() for make in FORMS.values()], ids=FORMS)


@each_form
@given(value=st.binary(max_size=3000) | st.just(TEXT), name=st.binary())
def test_a_record_gives_its_value_back(records: Records, value: bytes, name: bytes) -> None:
    assert records.unpack(records.pack(value, name), name) == value


@each_form
@given(data=st.data())
def test_a_record_that_was_changed_anywhere_is_damaged(records: Records, data: st.DataObject) -> None:
    record = records.pack(data.draw(st.sampled_from([b"", b"v", TEXT])), b"name")
    at = data.draw(st.integers(0, len(record) - 1))
    changed = record[:at] + bytes([record[at] ^ data.draw(st.integers(1, 255))]) + record[at + 1 :]
    for damaged in (changed, record[:at], record + b"x", record[at + 1 :]):
        with pytest.raises(DamagedError):
            records.unpack(damaged, b"name")


@each_form
@given(garbage=st.binary())
def test_garbage_is_damaged(records: Records, garbage: bytes) -> None:
    with pytest.raises(DamagedError):
        records.unpack(garbage, b"name")


@each_form
def test_a_record_is_read_under_its_own_name_only(records: Records) -> None:
    with pytest.raises(DamagedError):
        records.unpack(records.pack(b"v", b"name"), b"other")


def test_what_compresses_is_compressed_and_nothing_else() -> None:
    records = Records(compress=True)
    assert len(records.pack(TEXT, b"")) < len(TEXT) // 20
    incompressible = bytes(range(256)) * 2
    assert len(records.pack(incompressible[:300], b"")) == 300 + 17


def test_a_record_that_claims_to_be_huge_is_damaged_and_not_expanded() -> None:
    records = Records(compress=True)
    record = records.pack(TEXT, b"name")
    with pytest.raises(DamagedError, match="too large"):
        records.unpack(record, b"name", most=len(TEXT) - 1)
    assert records.unpack(record, b"name", most=len(TEXT)) == TEXT


async def test_small_records_that_stand_for_very_much_together_are_not_all_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    store = SealedStore(MemoryStore(), compress=True)
    for number in range(10):
        await put(store, f"k{number}", b"0" * 10_000)
    monkeypatch.setattr("headroom_asgi.store.sealed.MAX_BYTES", 35_000)
    found = await store.get_many("ns", [f"k{number}" for number in range(10)], tenant="t")
    assert len(found) == 3
    assert await get(store, "k9") == b"0" * 10_000  # by itself it is fine


@pytest.mark.parametrize("form", ["aes", "zstd and aes"])
def test_nothing_of_an_encrypted_value_can_be_read(form: str) -> None:
    records = FORMS[form]()
    packed = [records.pack(TEXT, b"name") for _ in range(10)]
    assert len({record[-100:] for record in packed}) == 10
    assert not any(b"confidential" in record or NEW in record for record in packed)


def test_with_keys_nothing_unencrypted_is_accepted_and_without_them_nothing_encrypted() -> None:
    with pytest.raises(DamagedError):
        FORMS["aes"]().unpack(FORMS["plain"]().pack(b"v", b""), b"")
    with pytest.raises(DamagedError):
        FORMS["plain"]().unpack(FORMS["aes"]().pack(b"v", b""), b"")


def test_keys_rotate() -> None:
    before, between, after = (Records(Keys(k)) for k in ({"old": OLD}, {"new": NEW, "old": OLD}, {"new": NEW}))
    assert between.unpack(before.pack(b"v", b""), b"") == b"v"
    assert after.unpack(between.pack(b"v", b""), b"") == b"v"
    with pytest.raises(DamagedError, match="a key that is not known here"):
        after.unpack(before.pack(b"v", b""), b"")
    with pytest.raises(DamagedError):
        Records(Keys({"new": OLD})).unpack(after.pack(b"v", b""), b"")


# The store around it.


async def test_a_damaged_record_is_a_miss_and_can_be_written_anew(caplog: pytest.LogCaptureFixture) -> None:
    inner = MemoryStore()
    store = SealedStore(inner)
    await put(store, "k", TEXT)
    await put(store, "well", b"well")
    record = await get(inner)
    assert record is not None
    await put(inner, "k", record[:-1] + b"?")
    with caplog.at_level(logging.WARNING, "headroom_asgi"):
        for _ in range(3):
            assert await store.get_many("ns", ["k", "well"], tenant="t") == {"well": b"well"}
    assert [(line.getMessage(), line.namespace) for line in caplog.records] == [("store_record_damaged", "ns")]
    assert await put(store, "k", TEXT, if_absent=True)
    assert await get(store) == TEXT
    assert not await put(store, "k", b"other", if_absent=True)
    stats = await store.stats()
    assert (stats.hits, stats.misses) == (5, 4)  # one of them when it was looked at again before it was replaced


async def test_a_damaged_original_is_kept_anew() -> None:
    inner = MemoryStore()
    store = SealedStore(inner)
    await put(store, "k", TEXT)
    await put(inner, "k", b"garbage")
    assert await get(store) is None
    assert await store.touch("ns", ["k"], tenant="t", ttl=60) == 0  # nobody may count on it
    assert await put(store, "k", TEXT, if_absent=True)
    assert await store.touch("ns", ["k"], tenant="t", ttl=60) == 1
    assert await get(store) == TEXT


async def test_a_damaged_record_that_another_worker_wrote_anew_stays() -> None:
    inner = MemoryStore()
    store, other = SealedStore(inner), SealedStore(inner)
    await put(inner, "k", b"garbage")
    assert await get(store) is None
    await put(other, "k", b"theirs")
    assert not await put(store, "k", b"ours", if_absent=True)
    assert await get(store) == b"theirs"


async def test_a_record_of_another_tenant_or_key_is_a_miss() -> None:
    inner = MemoryStore()
    store = SealedStore(inner)
    await put(store, "k", b"theirs", tenant="them")
    record = await get(inner, tenant="them")
    assert record is not None
    await put(inner, "k", record, tenant="us")
    await put(inner, "j", record, tenant="them")
    assert await get(store, tenant="us") is None
    assert await get(store, "j", tenant="them") is None


class Spy(MemoryStore):
    """A store that notes what is sent to it."""

    sent = 0

    async def put(self, *args: object, **rest: object) -> bool:
        self.sent += 1
        return await super().put(*args, **rest)  # type: ignore[arg-type]


async def test_what_is_there_is_not_sent_again() -> None:
    inner = Spy()
    store = SealedStore(inner)
    assert await put(store, "k", TEXT, if_absent=True)
    assert not await put(store, "k", TEXT, if_absent=True)
    assert inner.sent == 1


async def test_what_was_written_before_there_were_keys_is_not_there() -> None:
    inner = MemoryStore()
    await put(SealedStore(inner), "k", b"readable")
    store = SealedStore(inner, keys=Keys({"one": NEW}))
    assert await keys(store) == []
    assert await put(store, "k", b"secret", if_absent=True)
    assert await get(store) == b"secret"
    assert await store.delete_tenant("t") == 2


async def test_a_value_beyond_all_bounds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headroom_asgi.store.sealed.MAX_BYTES", 10)
    with pytest.raises(StoreRefusedError):
        await put(SealedStore(MemoryStore()), value=b"x" * 11)


async def test_large_values_are_packed_aside() -> None:
    store = SealedStore(MemoryStore(), keys=Keys({"one": NEW}))
    value = TEXT * 50
    await put(store, value=value)
    assert await get(store) == value


# Keys, written down.


def written(key: bytes) -> str:
    return base64.b64encode(key).decode()


def test_keys_come_from_a_file_or_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"# rotated in May\nnew:{written(NEW)}\n\n old : {written(OLD)}  # until June\n"
    (tmp_path / "keys").write_text(text)
    monkeypatch.setenv("HEADROOM_KEYS", f"new:{written(NEW)},old:{written(OLD)}")
    for found in (Keys.from_file(str(tmp_path / "keys")), Keys.from_variable("HEADROOM_KEYS")):
        assert (found.first, found.get("new"), found.get("old"), found.get("none")) == ("new", NEW, OLD, None)
        assert repr(found) == "Keys(new, old)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there are none"),
        ("# nothing", "there are none"),
        ("c2VjcmV0", "key number 1 is not ID:KEY"),
        ("c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U=:one", "key number 1 is not ID:KEY|the id of key number 1"),
        ("one:c2VjcmV0", "the key 'one' has 6 bytes, not 32"),
        ("one:c2Vj!mV0", "key number 1 is not ID:KEY"),
        (f"one:{written(NEW)}\none:{written(OLD)}", "the id 'one' comes twice"),
        (f"a b:{written(NEW)}", "the id of key number 1 is not one"),
    ],
)
def test_keys_that_are_none_are_refused_and_never_repeated(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        Keys.parse(text)
    assert "c2Vj" not in str(caught.value)
    assert written(NEW) not in str(caught.value)


def test_a_missing_file_or_variable_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="missing' cannot be read"):
        Keys.from_file(str(tmp_path / "missing"))
    with pytest.raises(ConfigError, match="'HEADROOM_MISSING' is not set"):
        Keys.from_variable("HEADROOM_MISSING")
