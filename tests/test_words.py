"""Words that stay: as the store says, for every worker, turn and tenant, whatever each worker's own model would say."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from headroom_asgi import CompressorConfig, ConfigError, HeadroomConfig, HeadroomMiddleware, RouteConfig, aretrieve, compress
from headroom_asgi.compressors import WHOLE, word_model
from headroom_asgi.engine import words
from headroom_asgi.errors import StoreError
from headroom_asgi.store import MemoryStore
from headroom_asgi.testing import CapturedReports
from tests import tiny_models
from tests.driver import PATHS, Inner, answer_json, call_answer, post, question_body, text_answer, tool_texts
from tests.proses import prose
from tests.stores import Clock

pytestmark = pytest.mark.anyio
needs_ml = pytest.mark.skipif(bool(word_model.MISSING), reason="the extra [ml] is not installed")
ON = CompressorConfig(enabled=True)
MARKER = re.compile(r"<<ccr:([0-9a-f]{32}-a) \d+ words left out: of \d+, all over the text below; this name has it in full>>\n")
CHAT = PATHS["openai-chat"]
LONG = prose(1)


class Worker:
    """A process of a gateway, with a model of its own that keeps words with one of these letters."""

    def __init__(self, folder: Path, store: Any, keeps: str = "", **settings: Any) -> None:
        self.inner = Inner()
        self.reports = CapturedReports()
        settings = {"kompress": ON, "kompress_model": tiny_models.word_model(folder / f"of {keeps}", keeps=keeps), **settings}
        self.app = HeadroomMiddleware(self.inner, store=store, discover=False, observers=[self.reports], **settings)

    async def send(self, *texts: str, path: str = CHAT, **scope: Any) -> list[str]:
        """What is forwarded of a conversation with these tool outputs."""
        await post(self.app, path, conversation(texts), **scope)
        return tool_texts(self.inner.bodies[-1])


def conversation(texts: Iterable[str]) -> dict[str, Any]:
    body = question_body("openai-chat", "")
    turns = [question_body("openai-chat", text)["messages"] for text in texts]
    body["messages"] = [json.loads(json.dumps(m).replace("call_1", f"call_{n}")) for n, turn in enumerate(turns) for m in turn]
    return body


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(shared=True)


async def masks(store: Any, tenant: str = "") -> dict[str, bytes]:
    return dict(await store.get_many(words.MASKS, [key async for key in store.scan(words.MASKS, tenant)], tenant=tenant))


# -- what is forwarded ---------------------------------------------------------------------------------------------------


@needs_ml
async def test_superfluous_words_go_and_all_of_it_can_be_asked_for(tmp_path: Path, store: MemoryStore) -> None:
    worker = Worker(tmp_path, store, keeps="e")
    (text,) = await worker.send(LONG)
    marker = MARKER.match(text)
    assert marker is not None
    assert worker.reports[0].transforms == ("kompress:words",)
    assert not worker.reports[0].prefix_risk
    rest = text[marker.end() :]
    assert rest.count("\n") == LONG.count("\n")
    assert [word for word in LONG.split() if "e" in word] == [word for word in rest.split() if "e" in word]
    assert len(rest.split()) < len(LONG.split()) * 0.9
    assert await aretrieve(marker[1], store=store, limit=100_000) == await aretrieve(marker[1][:-2], store=store, limit=100_000)
    assert LONG[:300] in await aretrieve(marker[1], store=store)


@needs_ml
async def test_the_model_gets_the_whole_text_where_it_asks_for_it(tmp_path: Path, store: MemoryStore) -> None:
    worker = Worker(tmp_path, store)

    async def asking(body: bytes, send: Any) -> None:
        marker = MARKER.match(tool_texts(body)[0])
        assert marker is not None
        call = call_answer("openai-chat", ("call_of_ours_1234567", "headroom_retrieve", {"ref": marker[1]}))
        await answer_json(call)(body, send)

    worker.app.app = inner = Inner(asking, answer_json(text_answer("openai-chat", "Done.")))
    received = await post(worker.app, CHAT, conversation([LONG]))
    assert received.json()["choices"][0]["message"]["content"] == "Done."
    assert LONG[:500] in tool_texts(inner.bodies[1])[-1]


@needs_ml
async def test_prose_in_strings_of_json_is_read_too(tmp_path: Path, store: MemoryStore) -> None:
    (text,) = await Worker(tmp_path, store).send(json.dumps({"title": "About", "body": LONG}))
    assert "words left out" in text
    assert len(text) < len(LONG)


@needs_ml
@pytest.mark.parametrize(
    "settings",
    [
        {"kompress": CompressorConfig(enabled=False)},
        {"kompress": CompressorConfig(enabled=True, except_tools=["list_orders"])},
        {"mode": "lossless"},
        {"mode": "audit"},
        {"routes": [RouteConfig(CHAT, kompress=CompressorConfig(enabled=False))]},
    ],
    ids=["off", "excepted tool", "lossless", "audit", "off on this route"],
)
async def test_where_it_is_off_nothing_is_read_and_nothing_kept(
    tmp_path: Path, store: MemoryStore, settings: dict[str, Any]
) -> None:
    assert await Worker(tmp_path, store, **settings).send(LONG) == [LONG]
    assert await masks(store) == {}


async def test_it_is_off_unless_it_is_switched_on() -> None:
    assert not any(rule.name == "kompress" for rule in HeadroomConfig().resolve().default.compressors)


@needs_ml
async def test_exact_match_tools_errors_and_what_people_say_keep_every_word(tmp_path: Path, store: MemoryStore) -> None:
    worker = Worker(tmp_path, store)
    body = conversation([LONG])
    body["messages"][1]["tool_calls"][0]["function"]["name"] = "Read"
    body["messages"] = [{"role": "system", "content": LONG}, {"role": "user", "content": LONG}, *body["messages"]]
    await post(worker.app, CHAT, body)
    assert json.loads(worker.inner.bodies[0])["messages"] == body["messages"]
    error = question_body("anthropic", LONG)
    error["messages"][2]["content"][0]["is_error"] = True
    await post(worker.app, PATHS["anthropic"], error)
    assert tool_texts(worker.inner.bodies[1]) == [LONG]
    assert await masks(store) == {}


# -- one mask for all ----------------------------------------------------------------------------------------------------


@needs_ml
async def test_the_first_mask_holds_for_workers_whose_models_say_something_else(tmp_path: Path, store: MemoryStore) -> None:
    one, other = Worker(tmp_path, store, keeps="e"), Worker(tmp_path, store, keeps="o")
    texts = await one.send(LONG)
    assert await other.send(LONG) == texts
    alone = await Worker(tmp_path, MemoryStore(shared=True), keeps="o").send(LONG)
    assert alone != texts
    assert await other.send(prose(2)) == await one.send(prose(2))


class Racing(MemoryStore):
    """A store in which another worker writes between this one's question and its answer."""

    def __init__(self, theirs: bytes) -> None:
        super().__init__(shared=True)
        self.theirs = theirs

    async def put(self, ns: str, key: str, value: bytes, *, if_absent: bool = False, **rest: Any) -> bool:
        if ns == words.MASKS and self.theirs:
            self.theirs, theirs = b"", self.theirs
            await super().put(ns, key, theirs, if_absent=True, **rest)
        return await super().put(ns, key, value, if_absent=if_absent, **rest)


@needs_ml
async def test_of_two_workers_that_read_at_once_the_first_that_writes_decides(tmp_path: Path, store: MemoryStore) -> None:
    texts = await Worker(tmp_path, store, keeps="e").send(LONG)
    (theirs,) = (await masks(store)).values()
    racing = Racing(theirs)
    assert await Worker(tmp_path, racing, keeps="o").send(LONG) == texts
    assert list((await masks(racing)).values()) == [theirs]
    assert await Worker(tmp_path, Racing(WHOLE), keeps="o").send(LONG) == [LONG]


@needs_ml
async def test_a_conversation_that_moves_between_workers_keeps_its_prefix(tmp_path: Path, store: MemoryStore) -> None:
    workers = [
        Worker(tmp_path, store, keeps=keeps, memo_bytes=memo) for keeps, memo in (("e", 0), ("o", 1 << 20), ("a", 1 << 20))
    ]
    texts = [prose(1), "short", prose(2), json.dumps({"body": prose(3)}), prose(1), prose(4)]
    before: list[str] = []
    for turn in range(1, len(texts) + 1):
        for worker in (workers[turn % 3], workers[(turn + 1) % 3]):
            after = await worker.send(*texts[:turn])
            assert after[: len(before)] == before
        before = after
    assert sum("words left out" in text for text in before) >= 4
    assert not any(report.prefix_risk for worker in workers for report in worker.reports)


@needs_ml
async def test_a_tenant_neither_sees_nor_shares_what_another_ones_texts_became(tmp_path: Path, store: MemoryStore) -> None:
    tenant = {"tenant": lambda scope: dict(scope["headers"])[b"x-team"].decode()}
    one, other = (Worker(tmp_path, store, keeps=keeps, **tenant) for keeps in "eo")
    texts = await one.send(LONG, headers=[(b"x-team", b"red")])
    assert await other.send(LONG, headers=[(b"x-team", b"blue")]) != texts
    assert await other.send(LONG, headers=[(b"x-team", b"red")]) == texts
    red, blue = await masks(store, "red"), await masks(store, "blue")
    assert len(red) == len(blue) == 1
    assert red.keys().isdisjoint(blue)
    assert await masks(store, "") == {}


@needs_ml
async def test_a_text_that_the_model_fails_on_goes_whole_and_stays_whole(
    tmp_path: Path, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = Worker(tmp_path, store, keeps="e"), Worker(tmp_path, store, keeps="o")
    with monkeypatch.context() as patch:
        patch.setattr(word_model.WordModel, "_run", lambda *_: 1 / 0)
        assert await one.send(LONG) == [LONG]
    assert one.reports[0].outcome.startswith("skipped")
    assert not one.reports[0].prefix_risk
    assert await other.send(LONG) == [LONG]
    assert list((await masks(store)).values()) == [WHOLE]
    assert await one.send(LONG, prose(2)) != [LONG, prose(2)]


@needs_ml
async def test_what_one_request_brings_too_much_of_goes_whole_and_stays_whole(tmp_path: Path, store: MemoryStore) -> None:
    texts = [prose(number, paragraphs=24) for number in range(5)]
    assert sum(map(len, texts[:2])) < 60_000 < sum(map(len, texts))
    one, other = Worker(tmp_path, store), Worker(tmp_path, store)
    sent = await one.send(*texts)
    assert [text in texts for text in sent] == [sum(map(len, texts[: n + 1])) > 60_000 for n in range(5)]
    assert await other.send(texts[4]) == [texts[4]]
    assert await other.send(*texts, prose(77)) == [*sent, *await one.send(prose(77))]


# -- a store that forgets or is gone -------------------------------------------------------------------------------------


@needs_ml
async def test_masks_live_as_long_as_their_texts_are_sent(tmp_path: Path) -> None:
    clock = Clock()
    store = MemoryStore(clock=clock, shared=True)
    worker = Worker(tmp_path, store)
    await worker.send(LONG)
    kept = await masks(store)
    for _ in range(4):  # out of the memo, without a question to the store
        clock.now += 80_000
        await worker.send(LONG)
    assert await masks(store) == kept
    assert len(kept) == 1


@needs_ml
async def test_a_mask_that_was_lost_is_written_again_by_who_remembers_it(tmp_path: Path, store: MemoryStore) -> None:
    one, other = Worker(tmp_path, store, keeps="e"), Worker(tmp_path, store, keeps="o")
    texts = await one.send(LONG)
    await store.delete(words.MASKS, await masks(store), tenant="")
    assert await one.send(LONG) == texts
    assert await other.send(LONG) == texts


class Failing(MemoryStore):
    """A store of which one method fails for masks."""

    def __init__(self, method: str = "") -> None:
        super().__init__(shared=True)
        self.method = method

    def _fails(self, method: str, ns: str) -> None:
        if (method, ns) == (self.method, words.MASKS):
            raise StoreError("gone")

    async def get_many(self, ns: str, keys: Iterable[str], *, tenant: str) -> dict[str, bytes]:
        self._fails("get_many", ns)
        return await super().get_many(ns, keys, tenant=tenant)

    async def put(self, ns: str, *args: Any, **rest: Any) -> bool:
        self._fails("put", ns)
        return await super().put(ns, *args, **rest)

    async def touch(self, ns: str, *args: Any, **rest: Any) -> int:
        self._fails("touch", ns)
        return await super().touch(ns, *args, **rest)


@needs_ml
@pytest.mark.parametrize("method", ["get_many", "put", "touch"])
async def test_without_the_stores_word_a_text_goes_whole_and_is_reported(tmp_path: Path, method: str) -> None:
    store = Failing(method)
    worker = Worker(tmp_path, store)
    assert await worker.send(LONG) == [LONG]
    assert worker.reports[0].prefix_risk
    assert worker.reports[0].status == 200
    store.method = ""
    assert await worker.send(LONG) != [LONG]  # and was not remembered as one that stays whole
    assert not worker.reports[1].prefix_risk


@needs_ml
async def test_what_is_remembered_holds_while_the_store_is_gone(tmp_path: Path) -> None:
    store = Failing()
    worker = Worker(tmp_path, store)
    texts = await worker.send(LONG)
    store.method = "touch"
    assert await worker.send(LONG) == texts


@needs_ml
@pytest.mark.parametrize("mask", [b"", b"\1\0\0\0\3\7", b"\2anything"], ids=repr)
async def test_a_mask_that_cannot_be_read_leaves_the_text_whole_for_all(tmp_path: Path, store: MemoryStore, mask: bytes) -> None:
    await Worker(tmp_path, store).send(LONG)
    (key,) = await masks(store)
    await store.put(words.MASKS, key, mask, tenant="", ttl=100)
    assert await Worker(tmp_path, store).send(LONG) == [LONG]


# -- start-up ------------------------------------------------------------------------------------------------------------


def started(store: Any = None, **settings: Any) -> HeadroomMiddleware:
    return HeadroomMiddleware(Inner(), store=store, discover=False, **settings)


@needs_ml
async def test_it_does_not_start_without_a_store_that_all_workers_share(tmp_path: Path) -> None:
    folder = tiny_models.word_model(tmp_path)
    for store in (None, MemoryStore()):
        with pytest.raises(ConfigError, match=r"^kompress\.enabled: the store is not shared by all workers"):
            started(store, kompress=ON, kompress_model=folder)
    started(f"sqlite:///{tmp_path}/words.db", kompress=ON, kompress_model=folder)


@needs_ml
@pytest.mark.parametrize("enabled", [True, None])
async def test_it_does_not_start_without_a_model(tmp_path: Path, store: MemoryStore, enabled: bool | None) -> None:
    section = CompressorConfig(enabled=enabled)
    with pytest.raises(ConfigError, match=r"^kompress_model: '' is not the folder of a model"):
        started(store, kompress=section)
    with pytest.raises(ConfigError, match=r"^kompress_model: .*nowhere' is not a folder with a file model\.onnx"):
        started(store, routes=[RouteConfig("/a", kompress=section)], kompress_model=str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match=r"^kompress_model: 3 is not the path of a folder"):
        started(store, kompress_model=3)


async def test_it_does_not_start_without_its_packages(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headroom_asgi.transforms.dispatch.MISSING", {"kompress": "pip install 'headroom-asgi[ml]'"})
    with pytest.raises(ConfigError, match=r"^kompress\.enabled: .*\[ml\]"):
        started(store, kompress=ON, kompress_model="/models/words")


@needs_ml
async def test_routes_that_leave_nothing_out_need_neither_model_nor_store() -> None:
    started(kompress=ON, mode="lossless")
    started(kompress=ON, mode="lossless", routes=[RouteConfig("/a", mode="audit"), RouteConfig("/b", mode="off")])


async def test_calls_without_a_server_say_that_they_cannot(store: MemoryStore) -> None:
    with pytest.raises(ConfigError, match=r"^kompress\.enabled: "):
        compress(conversation([LONG])["messages"], model="gpt-4o", kompress=CompressorConfig())
