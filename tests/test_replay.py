"""What happened in hidden rounds is put back into later requests, byte for byte, where the store is shared; elsewhere it is left out."""

import json
from collections.abc import Sequence
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headroom_asgi import HeadroomMiddleware
from headroom_asgi.config import RetrievalConfig
from headroom_asgi.engine.conversation import LEDGER
from headroom_asgi.errors import StoreError
from headroom_asgi.retrieval import TOOL
from headroom_asgi.store import MemoryStore
from headroom_asgi.testing import CapturedReports
from headroom_asgi.types import Edit
from headroom_asgi.wire import ANSWERED, Payload, Round, Turn
from headroom_asgi.wire.openai_chat import OpenAIChat
from tests.driver import Inner, answer_json, post, streamed_or_not
from tests.talks import OURS, SEARCH, SPEAKERS, Model, Talk

pytestmark = pytest.mark.anyio
each_dialect = pytest.mark.parametrize("dialect", sorted(SPEAKERS))

PRELUDE = [("signed", "abc"), ("theirs", SEARCH)]
HIDDEN = [("signed", "def"), ("text", "Let me look."), ("ours", OURS)]
BARE = [("ours", OURS)]
FOUND = [("signed", "ghi"), ("text", "It is there.")]
PARALLEL = [("ours", OURS), ("ours", '{"ref": "1"}')]
MIXED = {
    "first": [("ours", OURS), ("theirs", SEARCH), ("theirs", '{"q": 2}')],
    "middle": [("theirs", SEARCH), ("ours", OURS), ("theirs", '{"q": 2}')],
    "last": [("text", "Both."), ("theirs", SEARCH), ("theirs", '{"q": 2}'), ("ours", OURS)],
}
END = [("text", "Bye.")]


def wrapped(model: Model, store: Any, **more: Any) -> HeadroomMiddleware:
    return HeadroomMiddleware(model, store=store, discover=False, **more)


def shared() -> MemoryStore:
    return MemoryStore(shared=True)


@each_dialect
@streamed_or_not
@pytest.mark.parametrize(
    "hidden", [[HIDDEN], [BARE], [PARALLEL], [HIDDEN, BARE, PARALLEL]], ids=["text first", "bare", "parallel", "three rounds"]
)
async def test_after_hidden_rounds_the_next_request_begins_with_all_that_the_model_saw(
    dialect: str, stream: bool, hidden: list[Any]
) -> None:
    reports = CapturedReports()
    model = Model(dialect, PRELUDE, *hidden, FOUND, END, END, stream=stream)
    talk = Talk(wrapped(model, shared(), observers=[reports]), dialect, stream=stream)
    for _ in range(2):
        await talk.ask()
    rounds = len(hidden) + 1
    last = model.turn(1 + rounds)
    for number in (1, 2):
        await talk.ask()
        turn = model.turn(1 + rounds + number)
        assert turn[: len(last)] == last
        assert len(turn) > len(last)
        last = turn
    assert sum(OURS_NAME in value for value in last) >= len(hidden)
    assert [report.replayed for report in reports] == [0, 0, 1, 1]


OURS_NAME = TOOL.name.encode()


@each_dialect
@streamed_or_not
@pytest.mark.parametrize("where", sorted(MIXED))
@pytest.mark.parametrize("before", [[], [BARE]], ids=["at once", "after a hidden round"])
async def test_a_hidden_call_beside_the_clients_own_is_answered_in_the_next_request_among_theirs(
    dialect: str, stream: bool, where: str, before: list[Any]
) -> None:
    model = Model(dialect, *before, MIXED[where], END, END, stream=stream)
    talk = Talk(wrapped(model, shared()), dialect, stream=stream)
    await talk.ask()
    first = model.turn(1 + len(before))
    assert len(talk.waiting) == 2
    await talk.ask()
    second = model.turn(2 + len(before))
    assert second[: len(first)] == first
    said = b"".join(second[len(first) :])
    assert said.count(OURS_NAME) in (1, 2)  # some dialects name the tool beside its result
    assert b"not written in this conversation" in said
    wire = talk.speaker.wire
    payload = wire.decode(model.bodies[-1], wire.endpoint(wire.example_path))
    assert wire.unpaired(payload) == frozenset()
    await talk.ask()
    assert model.turn(3 + len(before))[: len(second)] == second


hidden_rounds = st.lists(st.sampled_from([HIDDEN, BARE, PARALLEL]), max_size=2)
exchanges = st.lists(st.tuples(hidden_rounds, st.sampled_from([END, FOUND, PRELUDE, *MIXED.values()])), min_size=1, max_size=5)


@each_dialect
@settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))
@given(exchanges, st.booleans())
def test_a_conversation_only_ever_grows_whatever_is_hidden_in_it(dialect: str, script: Any, stream: bool) -> None:
    async def talk_through() -> Model:
        model = Model(dialect, *(each for hidden, last in script for each in (*hidden, last)), stream=stream)
        talk = Talk(wrapped(model, shared()), dialect, stream=stream)
        for _ in script:
            response = await talk.ask("What is there?")
            assert OURS_NAME not in response.body
        return model

    model = anyio.run(talk_through)
    assert model.rounds == []
    wire = model.speaker.wire
    for number in range(1, len(model.bodies) + 1):
        before = model.turn(number - 1) if number > 1 else []
        assert model.turn(number)[: len(before)] == before
        payload = wire.decode(model.bodies[number - 1], wire.endpoint(wire.example_path) or ANSWERED)
        assert wire.unpaired(payload) == frozenset()


@each_dialect
@pytest.mark.parametrize("case", ["not shared", "strip", "lost", "down"])
async def test_without_the_ledger_the_client_s_own_turns_go_on(dialect: str, case: str) -> None:
    store = MemoryStore(shared=case != "not shared")
    reports = CapturedReports()
    model = Model(dialect, HIDDEN, FOUND, MIXED["first"], END)
    replay = "strip" if case == "strip" else "auto"
    more = {"retrieval": RetrievalConfig(replay=replay), "observers": [reports]}  # type: ignore[arg-type]
    talk = Talk(wrapped(model, store, **more), dialect)
    await talk.ask()
    if case == "lost":
        await store.delete_tenant("")
    elif case == "down":
        await store.aclose()
    await talk.ask()
    if case == "lost":
        await store.delete_tenant("")
    await talk.ask()
    for body in (model.bodies[2], model.bodies[3]):
        sent = json.loads(body)[talk.speaker.wire.messages]
        assert sent[: len(talk.values[: len(sent)])] == talk.values[: len(sent)]
        assert TOOL.name not in json.dumps(sent)
    assert [report.replayed for report in reports] == [0, 0, 0]
    assert [report.prefix_risk for report in reports] == ([False, True, True] if case == "down" else [False] * 3)
    assert [report.status for report in reports] == [200] * 3


async def test_counting_tokens_counts_what_a_model_would_be_sent() -> None:
    model = Model("anthropic", HIDDEN, FOUND, END)
    talk = Talk(wrapped(model, shared()), "anthropic")
    await talk.ask()
    body = {**talk.fields, "messages": [*talk.values, *talk.speaker.question("and now?")]}
    inner = Inner(answer_json({"input_tokens": 5}))
    talk.app.app = inner
    response = await post(talk.app, "/v1/messages/count_tokens", body)
    assert response.json() == {"input_tokens": 5}
    talk.app.app = model
    await talk.ask()
    assert OURS_NAME in b"".join(model.turn(3))
    assert json.loads(inner.bodies[0])["messages"] == json.loads(model.bodies[2])["messages"]


async def test_a_turn_that_the_client_changed_is_left_alone() -> None:
    model = Model("openai-chat", HIDDEN, FOUND, END)
    talk = Talk(wrapped(model, shared()), "openai-chat")
    await talk.ask()
    talk.values[1]["content"] += " Or is it?"
    await talk.ask()
    assert OURS_NAME not in b"".join(model.turn(3))


@pytest.mark.parametrize("dialect", ["openai-chat", "anthropic", "bedrock-invoke"])
async def test_a_turn_that_the_client_repeats_is_put_back_once(dialect: str) -> None:
    model = Model(dialect, HIDDEN, FOUND, END)
    talk = Talk(wrapped(model, shared()), dialect)
    await talk.ask()
    talk.values.append(talk.values[-1])
    await talk.ask()
    said = model.turn(3)
    assert b"".join(said).count(OURS_NAME) == 1
    assert json.loads(said[-2]) == talk.values[1]


async def test_of_two_exchanges_that_ended_alike_the_first_is_put_back_whoever_asks() -> None:
    model = Model("openai-chat", BARE, FOUND, BARE, FOUND, END, END)
    app = wrapped(model, shared())
    one, other = Talk(app, "openai-chat"), Talk(app, "openai-chat")
    for talk in (one, other, one, other):
        await talk.ask("What is there?")
    assert model.turn(5) == model.turn(6)
    assert b"call_1_0" in b"".join(model.turn(5))


async def test_a_turn_in_another_conversation_is_not_the_same_turn() -> None:
    model = Model("openai-chat", BARE, FOUND, BARE, FOUND, END)
    app = wrapped(model, shared())
    one, other = Talk(app, "openai-chat"), Talk(app, "openai-chat")
    await one.ask("Is the first order there?")
    await other.ask("Is the second order there?")
    other.values[0]["content"] = "Is the third order there?"
    await other.ask()
    assert OURS_NAME not in b"".join(model.turn(5))


async def test_short_ids_of_another_conversation_are_not_the_same() -> None:
    store = shared()
    for question in ("Is the first order there?", "Is the second order there?"):
        model = Model("openai-chat", MIXED["first"], END)
        talk = Talk(wrapped(model, store), "openai-chat")
        await talk.ask(question)
        if question.startswith("Is the second"):
            talk.values[0]["content"] = "Is the third order there?"
            await talk.ask()
            assert OURS_NAME not in b"".join(model.turn(2))


@pytest.mark.parametrize("changed", ["older message", "turn"])
async def test_ids_that_are_random_find_a_turn_whatever_the_client_did_to_older_messages(changed: str) -> None:
    model = Model("openai-chat", [("text", "Hm."), *MIXED["first"]], END, END)
    app = wrapped(model, shared())
    talk = Talk(app, "openai-chat")
    names = {f"call_1_{i}": f"call_A1b2C3d4E5f6G7h8{i}" for i in range(4)}
    spoken = type(talk.speaker).json

    def renamed(number: int, parts: Any, **options: Any) -> bytes:
        data = spoken(talk.speaker, number, parts, **options).decode()
        for old, new in names.items():
            data = data.replace(old, new)
        return data.encode()

    model.speaker = type("Renamed", (), {"json": staticmethod(renamed), "wire": talk.speaker.wire})()
    await talk.ask("What is there?")
    talk.values[changed == "turn"]["content"] = "(shortened)"
    await talk.ask()
    assert (OURS_NAME in b"".join(model.turn(2))) == (changed != "turn")


@pytest.mark.parametrize("how", ["unpaired", "raises"])
async def test_a_turn_that_cannot_be_put_back_costs_no_other_one(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reports = CapturedReports()
    model = Model("openai-chat", BARE, FOUND, BARE, [("text", "Also there.")], END)
    talk = Talk(wrapped(model, shared(), observers=[reports]), "openai-chat")
    for _ in range(2):
        await talk.ask()
    sound = OpenAIChat.replay

    def replay(self: OpenAIChat, payload: Payload, turn: Turn, rounds: Sequence[Round]) -> list[Edit]:
        if turn.text != "Itisthere.":
            return sound(self, payload, turn, rounds)
        if how == "raises":
            raise LookupError("a mistake")
        return sound(self, payload, turn, [Round(rounds[0].answer), rounds[-1]])

    monkeypatch.setattr(OpenAIChat, "replay", replay)
    await talk.ask()
    said = [value for value in model.turn(5) if OURS_NAME in value]
    assert len(said) == 1
    assert b"call_3_0" in said[0]
    assert b"It is there." in b"".join(model.turn(5))
    assert (reports[-1].replayed, reports[-1].replay_refused) == (1, 1)


async def test_a_tenant_never_gets_another_ones_rounds() -> None:
    model = Model("openai-chat", BARE, FOUND, END)
    app = wrapped(model, shared(), tenant=lambda scope: dict(scope["headers"])[b"x-team"].decode())
    talk = Talk(app, "openai-chat")
    await talk.ask("q", headers=[(b"x-team", b"a")])
    await talk.ask("q", headers=[(b"x-team", b"b")])
    assert OURS_NAME not in b"".join(model.turn(3))


@streamed_or_not
async def test_the_entry_is_written_before_the_client_has_the_end_of_the_answer(stream: bool) -> None:
    order: list[str] = []

    class Watched(MemoryStore):
        async def put(self, ns: str, key: str, value: bytes, **options: Any) -> bool:
            if ns == LEDGER:
                order.append("written")
            return await super().put(ns, key, value, **options)

    model = Model("openai-chat", BARE, FOUND, stream=stream)

    async def watched(scope: Any, receive: Any, send: Any) -> None:
        async def noting(message: Any) -> None:
            if b'"stop"' in message.get("body", b""):
                order.append("ended")
            await send(message)

        await wrapped(model, Watched(shared=True))(scope, receive, noting)

    await Talk(watched, "openai-chat", stream=stream).ask()
    assert order == ["written", "ended"]


async def test_an_exchange_that_hid_nothing_and_one_that_was_stopped_leave_nothing() -> None:
    store = shared()
    for rounds in ([END], [BARE] * 4, [[*MIXED["last"], ("cut", "")]][:0] or [PRELUDE]):
        await Talk(wrapped(Model("openai-chat", *rounds), store), "openai-chat").ask()
    assert [key async for key in store.scan(LEDGER, "")] == []


async def test_a_store_that_fails_while_an_entry_is_written_costs_only_the_entry() -> None:
    class Full(MemoryStore):
        async def put(self, ns: str, key: str, value: bytes, **options: Any) -> bool:
            if ns == LEDGER:
                raise StoreError("full")
            return await super().put(ns, key, value, **options)

    reports = CapturedReports()
    talk = Talk(wrapped(Model("openai-chat", BARE, FOUND), Full(shared=True), observers=[reports]), "openai-chat")
    response = await talk.ask()
    assert "It is there." in response.body.decode()
    assert reports[0].prefix_risk


async def test_an_entry_of_another_form_is_no_entry() -> None:
    store = shared()
    model = Model("openai-chat", BARE, FOUND, END)
    talk = Talk(wrapped(model, store), "openai-chat")
    await talk.ask()
    for data in (b"", b"[]", b"[2,[],[]]", b'[1,["x","",[],false],[[{},[]]]]', b'[2,["x","",[],false],[]]'):
        async for key in store.scan(LEDGER, ""):
            await store.put(LEDGER, key, data, tenant="", ttl=60)
        model.rounds = [END]
        response = await talk.ask()
        assert response.status == 200
        assert OURS_NAME not in b"".join(model.turn(len(model.bodies)))
