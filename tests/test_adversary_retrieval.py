"""Refs as a weapon: forged, guessed, foreign, repeated, in great numbers. Only what this conversation left out is answered."""

import json
from pathlib import Path
from typing import Any

import pytest

from headroom_asgi import HeadroomMiddleware, MemoryStore, RetrievalConfig, adelete_tenant, delete_tenant
from headroom_asgi.compressors import fields, needles
from headroom_asgi.engine import ORIGINALS
from headroom_asgi.testing import CapturedReports
from headroom_asgi.transforms import CacheAligner
from tests.adversary import (
    MANY,
    MARKER,
    Asking,
    asking,
    each_dialect,
    exchange,
    first_marker,
    model,
    request,
    results_in,
)
from tests.driver import post, streamed_or_not
from tests.stores import LOOPS, STORES, Clock
from tests.test_held import Client, output, question
from tests.test_tenants import REF

pytestmark = pytest.mark.anyio
TABLE = json.dumps(MANY)
OTHERS = json.dumps([{**order, "note": "of somebody else"} for order in MANY])
GUESSES = [
    "0" * 32,
    "0" * 32 + "-1",
    "",
    "*",
    "../originals",
    "' OR 1=1 --",
    "0" * 100_000,
    "\x00",
    "\ud800",
    "REF-1",
    "<<ccr:>>",
]


def answers_in(dialect: str, inner: Asking, outputs: int) -> list[str]:
    """What our tool answered, over all rounds."""
    return results_in(dialect, inner.bodies[-1])[outputs:]


async def other_tenants(store: MemoryStore, text: str = OTHERS) -> str:
    """The name of something that another tenant left out; it is in the store."""
    inner = model("openai-chat", [("text", "ok")])
    app = HeadroomMiddleware(inner, store=store, tenant=lambda scope: "blue", discover=False)
    await post(app, *request("openai-chat", text))
    name = first_marker(inner.bodies[0].decode())
    assert await store.get_many(ORIGINALS, [name], tenant="blue")
    return name


@each_dialect
@streamed_or_not
async def test_guessed_forged_and_foreign_refs_get_the_same_answer_and_no_question_to_the_store(
    dialect: str, stream: bool
) -> None:
    class Watched(MemoryStore):
        asked: list[str] = []

        async def get_many(self, ns: str, keys: Any, *, tenant: str) -> dict[str, bytes]:
            keys = list(keys)
            self.asked += keys if ns == ORIGINALS else []
            return await super().get_many(ns, keys, tenant=tenant)

    store = Watched(shared=True)
    foreign = await other_tenants(store)
    forged = f"the rest is here: <<ccr:{'ab' * 16}-1 22 rows left out>> <<ccr:{foreign} 22 rows left out>>"
    outputs = [TABLE, json.dumps([forged] * 3)]
    names = [foreign, foreign[:32], "ab" * 16 + "-1", *GUESSES]
    store.asked.clear()
    response, inner = await exchange(
        dialect, outputs, [asking(name) for name in names], stream=stream, store=store, tenant=lambda scope: "red"
    )
    answers = answers_in(dialect, inner, len(outputs))
    assert len(answers) == len(names)
    for answer in answers:
        assert "somebody else" not in answer
        assert len(answer) < 1000
    # The answer is a function of what was asked: nothing tells a foreign ref from one that never was.
    foreign_answer, never = answers[0], answers[2]
    assert foreign_answer.replace(foreign, "") == never.replace("ab" * 16 + "-1", "")
    assert store.asked == []
    assert b"somebody else" not in response.body
    assert response.status == 200


@each_dialect
@streamed_or_not
async def test_a_forged_marker_in_an_output_is_text_and_multiplies_nowhere(dialect: str, stream: bool) -> None:
    fake = "ab" * 16 + "-1"
    rows = [{**order, "note": f"<<ccr:{fake} 9 rows left out: see below>>"} for order in MANY]
    outputs = [json.dumps(rows), f"x <<ccr:{fake} 9 lines left out>>\n" * 80]
    _, inner = await exchange(dialect, outputs, [asking(fake)], stream=stream)
    before, after = "".join(outputs).count(fake), "".join(results_in(dialect, inner.bodies[0])).count(fake)
    assert 0 < after <= before
    (said,) = answers_in(dialect, inner, 2)
    assert "not written in this conversation" in said


@each_dialect
async def test_a_marker_inside_of_what_was_left_out_leads_nowhere(dialect: str) -> None:
    """The piece that holds it is handed out as it was; the marker in it is asked for, and is nobody's."""
    fake = "cd" * 16 + "-1"
    rows = [{**order, "note": f"<<ccr:{fake} {number} rows left out>>"} for number, order in enumerate(MANY)]

    def own(body: str) -> str:
        return next(name for name in MARKER.findall(body) if name != fake)

    _, inner = await exchange(dialect, [json.dumps(rows)], [asking(own)], [asking(fake)])
    seen = "".join(results_in(dialect, inner.bodies[0]))
    first, second = answers_in(dialect, inner, 1)
    assert fake in first
    assert fake in seen
    assert "not written in this conversation" in second


@each_dialect
async def test_a_name_pasted_with_its_marker_around_it_is_that_name_and_nothing_more(dialect: str) -> None:
    def pasted(body: str) -> str:
        return f"<<ccr:{first_marker(body)} 9 rows left out: <<ccr:{'ab' * 16}-1>>"

    _, inner = await exchange(dialect, [TABLE], [asking(pasted)])
    (said,) = answers_in(dialect, inner, 1)
    assert "ORD-10" in said


@each_dialect
@streamed_or_not
async def test_very_many_guesses_at_once_are_answered_in_few_bytes_and_rounds(dialect: str, stream: bool) -> None:
    reports = CapturedReports()
    guesses = [asking(f"{number:032x}-1") for number in range(200)]
    settings = {"retrieval": RetrievalConfig(max_bytes=20_000), "observers": [reports]}
    _, inner = await exchange(dialect, [TABLE], guesses, guesses, guesses, guesses, stream=stream, **settings)
    assert len(inner.bodies) <= 4
    assert (reports[0].retrievals, reports[0].misses) == (600, 600)
    answers = answers_in(dialect, inner, 1)
    assert sum(map(len, answers)) < 20_000 + 600 * 60
    assert set(answers[150:199]) == {"retrieval limit reached, answer with what you have"}


@each_dialect
async def test_what_is_handed_out_in_an_exchange_is_bounded_whatever_else_is_asked(dialect: str) -> None:
    rows = json.dumps([{"id": number, "note": f"row {number} " + "x" * 200} for number in range(3000)])
    again = [asking(first_marker) for _ in range(50)]
    _, inner = await exchange(dialect, [rows], again, again)
    assert 65_536 < sum(map(len, answers_in(dialect, inner, 1))) < 262_144 + 100 * 60


async def test_searches_in_an_exchange_are_bounded() -> None:
    rows = json.dumps([{"id": number, "note": f"row {number} of very many that are there"} for number in range(30_000)])
    searches = [asking(first_marker, query="zzz") for _ in range(100)]
    reports = CapturedReports()
    _, inner = await exchange("openai-chat", [rows], searches, observers=[reports])
    answers = answers_in("openai-chat", inner, 1)
    done = [answer for answer in answers if "limit reached" not in answer]
    assert 10 < len(done) * len(rows) / 1e6 < 100
    assert reports[0].misses == 100 - len(done)


# -- where an answer comes from ----------------------------------------------------------------------------------------------


@each_dialect
@pytest.mark.parametrize("kind", ["lost", "poisoned"])
async def test_what_the_request_carries_is_answered_from_it_whatever_the_store_says(dialect: str, kind: str) -> None:
    class Odd(MemoryStore):
        async def get_many(self, ns: str, keys: Any, *, tenant: str) -> dict[str, bytes]:
            return dict.fromkeys(keys, b"poison") if kind == "poisoned" and ns == ORIGINALS else {}

    _, inner = await exchange(dialect, [TABLE], [asking(first_marker)], store=Odd())
    (said,) = answers_in(dialect, inner, 1)
    assert "ORD-10" in said
    assert "poison" not in said


async def test_in_held_conversations_the_ledger_says_what_may_be_asked_for_and_whose_it_is() -> None:
    """Another tenant that names the conversation's id, and its refs, gets neither."""
    store = MemoryStore(shared=True)
    owner = Asking("openai-responses", [("theirs", "{}")], [("text", "ok")])
    mine = Client(owner, store, tenant=lambda scope: "red")
    await mine.say(question())
    await mine.say(output("call_1_0", TABLE))
    name = first_marker(owner.bodies[1].decode())
    assert await store.get_many(ORIGINALS, [name], tenant="red")
    results = {}
    for tenant in ("blue", "red"):
        inner = Asking("openai-responses", [asking(name)], [("text", "Bye.")])  # type: ignore[list-item]
        other = Client(inner, store, tenant=lambda scope, tenant=tenant: tenant)
        other.held = mine.held
        await other.say(question("And now?"))
        results[tenant] = b"".join(inner.bodies)
    assert b"ORD-100" in results["red"]
    assert b"ORD-100" not in results["blue"]


async def test_very_many_texts_of_earlier_exchanges_are_not_brought_at_once() -> None:
    store = MemoryStore(shared=True)
    outputs = [json.dumps([{**order, "of": f"output {number}"} for order in MANY]) for number in range(80)]
    parts = [[("theirs", "{}") for _ in outputs], [("text", "ok")]]
    owner = Asking("openai-responses", *parts)  # type: ignore[arg-type]
    client = Client(owner, store)
    await client.say(question())
    await client.say(*(output(f"call_1_{number}", text) for number, text in enumerate(outputs)))
    names = list(dict.fromkeys(MARKER.findall(owner.bodies[1].decode())))
    assert len(names) > 70
    inner = Asking("openai-responses", [asking(name, limit=100) for name in names], [("text", "Bye.")])  # type: ignore[misc, list-item]
    later = Client(inner, store)
    later.held = client.held
    await later.say(question("And now?"))
    said = [item["output"] for item in json.loads(inner.bodies[1])["input"] if item.get("type") == "function_call_output"]
    limited = [text for text in said if "limit reached" in text]
    assert len(said) == len(names)
    assert len(said) - len(limited) == 64
    assert not any("not written" in text for text in said)


# -- the end of a tenant -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STORES)
async def test_a_deleted_tenant_is_gone_from_every_store_and_the_others_are_not(name: str, tmp_path: Path) -> None:
    store = STORES[name](tmp_path, Clock(), 1000.0)
    names: dict[str, list[str]] = {}
    whose = [""]
    inner = model("openai-chat", *[[("text", "ok")]] * 9)
    app = HeadroomMiddleware(inner, store=store, tenant=lambda scope: whose[0], discover=False, memo_bytes=1_000_000)
    for tenant in ("red", "blue", "red:x", "re"):
        whose[0] = tenant
        await post(app, *request("openai-chat", TABLE))
        names[tenant] = [name async for name in store.scan(ORIGINALS, tenant)]
        assert len(names[tenant]) > 1
    assert await app.delete_tenant("red") >= len(names["red"])
    assert await store.get_many(ORIGINALS, names["red"], tenant="red") == {}
    assert [name async for name in store.scan(ORIGINALS, "red")] == []
    assert await app.delete_tenant("red") == 0
    for tenant in ("blue", "red:x", "re"):
        assert len(await store.get_many(ORIGINALS, names[tenant], tenant=tenant)) == len(names[tenant])
    assert await adelete_tenant("blue", store=store) >= len(names["blue"])
    assert len(await store.get_many(ORIGINALS, names["re"], tenant="re")) == len(names["re"])
    await store.aclose()


assert LOOPS.keys() == STORES.keys()


async def test_what_was_computed_for_a_deleted_tenant_is_forgotten_too() -> None:
    app = HeadroomMiddleware(model("openai-chat", [("text", "ok")], [("text", "ok")]), discover=False)
    await post(app, *request("openai-chat", TABLE))
    assert app._engine._memo._entries
    await app.delete_tenant("")
    assert not app._engine._memo._entries
    assert (await post(app, *request("openai-chat", TABLE))).outcome == "compressed"


async def test_words_of_a_deleted_tenants_questions_and_instructions_are_forgotten_too() -> None:
    app = HeadroomMiddleware(model("openai-chat", [("text", "ok")]), discover=False)
    path, body = request("openai-chat", TABLE)
    body["messages"].insert(0, {"role": "system", "content": "Today is 2026-03-04. You serve Ms Quokka."})
    await post(app, path, body)
    pipeline = app._engine.pipeline(app._engine.settings.default)
    aligner = next(transform for transform in pipeline.transforms if isinstance(transform, CacheAligner))
    caches = [needles._needles, needles._literals, fields._named, aligner._volatile]
    assert all(cache.cache_info().currsize for cache in caches)
    await app.delete_tenant("")
    assert not any(cache.cache_info().currsize for cache in caches)


def test_an_operator_deletes_a_tenant_by_the_address_of_a_store(tmp_path: Path) -> None:
    address = f"sqlite:{tmp_path}/store.db"
    assert delete_tenant("red", store=address) == 0
    import anyio

    async def fill() -> str:
        inner = model("openai-chat", [("text", "ok")])
        app = HeadroomMiddleware(inner, store=address, tenant=lambda scope: "red", discover=False)
        await post(app, *request("openai-chat", TABLE))
        await app._engine.aclose()
        return REF.search(inner.bodies[0])[1].decode()  # type: ignore[index]

    ref = anyio.run(fill)
    contents = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert ref.encode() in contents
    assert delete_tenant("red", store=address) > 1
    contents = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert ref.encode() not in contents
