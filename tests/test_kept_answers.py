"""Answers that the provider keeps: asked for later, they are what the client got; deleted, nothing of them is left."""

import json
import re
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
from openai import AsyncOpenAI

from headroom_asgi import HeadroomMiddleware
from headroom_asgi.errors import StoreError
from headroom_asgi.retrieval import TOOL
from headroom_asgi.store import MemoryStore
from tests.driver import Received, http_scope, post, streamed_or_not
from tests.talks import FIELDS, OURS, SEARCH, Model

pytestmark = pytest.mark.anyio
PATH = "/gateway/v1/responses"
THREE = [[("text", "Hm."), ("ours", OURS)], [("ours", OURS)], [("text", "There."), ("theirs", SEARCH)]]


class Keeping(Model):
    """A provider that keeps its answers under their ids."""

    def __init__(self, *rounds: list[tuple[str, str]], stream: bool = False) -> None:
        super().__init__("openai-responses", *rounds, stream=stream)
        self.kept: dict[str, bytes] = {}
        self.asked: list[tuple[str, str]] = []
        self.broken: set[str] = set()
        self.queries: list[bytes] = []
        self.raw_paths: list[bytes] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["method"] == "POST":
            parts = self.rounds[0]
            await super().__call__(scope, receive, send)
            number = len(self.bodies)
            self.kept[f"resp_{number}"] = self.speaker.json(number, parts)
            return
        name, _, rest = scope["path"].removeprefix(f"{PATH}/").partition("/")
        assert unquote(scope["raw_path"].decode()) == scope["path"]
        self.queries.append(scope["query_string"])
        self.raw_paths.append(scope["raw_path"])
        self.asked.append((scope["method"], name))
        assert (await receive())["type"] == "http.request"
        found = self.kept.get(name)
        status = 500 if name in self.broken else 404 if found is None else 200
        body = b'{"error":{}}' if status != 200 else found or b""
        if status == 200 and rest:
            body = b'{"object":"list","of":"%b"}' % name.encode()
        elif status == 200 and scope["method"] == "DELETE":
            del self.kept[name]
            body = b'{"id":"%b","object":"response","deleted":true}' % name.encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), (b"x-own", name.encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


async def answered(app: Any, *, stream: bool = False, **more: Any) -> tuple[str, Received]:
    body = {**FIELDS["openai-responses"], "store": True, "stream": stream, "input": "What is up?", **more}
    received = await post(app, PATH, body)
    assert received.status == 200
    return re.findall(r'"id": ?"(resp_\d+)"', received.body.decode())[-1], received


async def about(app: Any, name: str, method: str = "GET", **scope: Any) -> Received:
    return await post(app, f"{PATH}/{name}", b"", method=method, **scope)


def wrapped(app: Any, store: Any = None, **settings: Any) -> HeadroomMiddleware:
    return HeadroomMiddleware(app, store=store or MemoryStore(shared=True), discover=False, **settings)


def shown(received: Received) -> list[tuple[str, str]]:
    items = received.json()["output"]
    return [(item["type"], item.get("name") or item["content"][0]["text"]) for item in items]


@streamed_or_not
async def test_an_answer_that_is_asked_for_again_is_what_the_client_got(stream: bool) -> None:
    model = Keeping(*THREE, stream=stream)
    app = wrapped(model)
    name, first = await answered(app, stream=stream)
    assert name == ("resp_1" if stream else "resp_3")
    again = await about(app, name)
    assert again.status == 200
    assert TOOL.name.encode() not in again.body
    assert shown(again) == [("message", "Hm."), ("message", "There."), ("function_call", "search")]
    assert again.json()["id"] == name
    assert (again.headers["content-length"], again.headers["x-own"]) == (str(len(again.body)), name)
    assert again.json()["usage"]["output_tokens"] == 1 + 2 + 3
    if not stream:
        assert again.json() == first.json()
        for number in (1, 2):  # which are names that a stream may have
            assert shown(await about(app, f"resp_{number}")) == shown(again)


@streamed_or_not
async def test_openai_s_client_gets_deletes_and_lists_by_the_id_that_it_has(stream: bool) -> None:
    model = Keeping(*THREE, stream=stream)
    transport = httpx.ASGITransport(app=wrapped(model))
    async with httpx.AsyncClient(transport=transport) as http:
        client = AsyncOpenAI(api_key="k", base_url="http://t/gateway/v1", http_client=http, max_retries=0)
        tool: Any = FIELDS["openai-responses"]["tools"][0]
        if stream:
            async with client.responses.stream(model="m", input="?", tools=[{**tool, "strict": False}]) as events:
                first = await events.get_final_response()
        else:
            first = await client.responses.create(model="m", input="?", tools=[tool])
        again = await client.responses.retrieve(first.id)
        assert (again.id, again.output_text) == (first.id, "Hm.There.")
        assert [item.id for item in again.output] == [item.id for item in first.output]
        assert [getattr(each, "name", "") for each in again.tools] == ["search"]
        await client.responses.delete(first.id)
        assert model.kept == {}


async def test_an_answer_without_hidden_rounds_is_told_without_what_is_ours() -> None:
    model = Keeping([("theirs", SEARCH), ("ours", OURS)])
    app = wrapped(model)
    name, first = await answered(app)
    again = await about(app, name)
    assert again.json() == first.json()
    assert TOOL.name.encode() in model.kept[name]
    assert model.asked == [("GET", name)]


async def test_structured_answers_are_told_without_what_hidden_rounds_said() -> None:
    model = Keeping(*THREE)
    app = wrapped(model)
    form = {"format": {"type": "json_object"}}
    name, first = await answered(app, text=form)
    for number in (1, 2, 3):
        model.kept[f"resp_{number}"] = json.dumps({**json.loads(model.kept[f"resp_{number}"]), "text": form}).encode()
    again = await about(app, name)
    assert shown(again) == shown(first) == [("message", "There."), ("function_call", "search")]


async def test_an_answer_that_was_nothing_but_a_notice_is_told_with_it() -> None:
    model = Keeping(*[[("ours", OURS)]] * 4)
    app = wrapped(model)
    name, first = await answered(app)
    assert shown(await about(app, name)) == shown(first)
    assert len(shown(first)) == 1


@streamed_or_not
async def test_what_is_deleted_is_deleted_in_all_its_rounds_and_forgotten(stream: bool) -> None:
    model, store = Keeping(*THREE, stream=stream), MemoryStore(shared=True)
    app = wrapped(model, store)
    name, _ = await answered(app, stream=stream)
    deleted = await about(app, name, "DELETE")
    assert (deleted.status, deleted.json()) == (200, {"id": name, "object": "response", "deleted": True})
    assert model.kept == {}
    assert [key async for key in store.scan("ledger", "")] == []
    assert (await about(app, name)).status == 404


async def test_what_cannot_be_deleted_costs_nothing_else() -> None:
    model = Keeping(*THREE)
    app = wrapped(model)
    name, _ = await answered(app)
    model.broken = {name}
    assert (await about(app, name, "DELETE")).status == 500
    assert len(model.kept) == 3
    model.broken = {"resp_2"}
    assert (await about(app, name, "DELETE")).status == 200
    assert list(model.kept) == ["resp_2"]


async def test_the_input_is_that_of_the_first_round() -> None:
    model = Keeping(*THREE)
    app = wrapped(model)
    name, _ = await answered(app)
    assert (await about(app, f"{name}/input_items")).json() == {"object": "list", "of": "resp_1"}


async def test_an_answer_whose_other_rounds_are_gone_is_told_as_the_provider_has_it() -> None:
    model = Keeping(*THREE)
    app = wrapped(model)
    name, _ = await answered(app)
    for broken in ({"resp_1"}, {name}):
        model.broken = broken
        again = await about(app, name)
        assert again.body == (b'{"error":{}}' if name in broken else model.kept[name])
    model.broken, model.kept["resp_1"] = set(), b'{"half'
    assert (await about(app, name)).body == model.kept[name]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_an_app_that_fails_over_another_round_does_not_fail_the_request(method: str) -> None:
    class Failing(Keeping):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            if scope["method"] != "POST" and not scope["path"].endswith(asked):
                raise OSError("the provider is gone")
            await super().__call__(scope, receive, send)

    asked = ""
    app = HeadroomMiddleware(Failing(*THREE), store=MemoryStore(shared=True), discover=False)
    asked, _ = await answered(app)
    assert (await post(app, f"{PATH}/{asked}", b"", method=method)).status == 200


@pytest.mark.parametrize("query", [b"stream=true", b"a=1&stream=True&b=2", b"%73tream=1"])
async def test_a_kept_answer_is_told_as_a_stream_without_what_is_ours(query: bytes) -> None:
    model = Keeping(*THREE)
    app = wrapped(model)
    name, first = await answered(app)
    again = await about(app, name, query_string=query)
    assert again.headers["content-type"].startswith("text/event-stream")
    codec = model.speaker.wire.codec()
    codec.begin_round()
    codec.feed(again.body)
    assert json.loads(codec.answer().document.data) == first.json()
    assert TOOL.name.encode() not in again.body
    assert all(b"tream" not in asked for asked in model.queries)
    assert model.queries[-1] == query.replace(b"&stream=True", b"").replace(b"stream=true", b"").replace(b"%73tream=1", b"")


async def test_a_stream_that_is_gone_on_with_has_at_least_its_end() -> None:
    app = wrapped(Keeping(*THREE))
    name, _ = await answered(app)
    whole = (await about(app, name, query_string=b"stream=true")).body
    events = whole.split(b"\n\n")[:-1]
    for after, left in ((0, events[1:]), (3, events[4:]), (10_000, events[-1:])):
        got = await about(app, name, query_string=b"stream=true&starting_after=%d" % after)
        assert got.body.split(b"\n\n")[:-1] == left
    assert (await about(app, name, query_string=b"stream=true&starting_after=x")).body == whole


async def test_an_answer_too_large_to_be_held_passes() -> None:
    for large in ("resp_1", "resp_3"):
        model = Keeping(*THREE)
        app = wrapped(model, max_response_bytes=20_000)
        name, _ = await answered(app)
        model.kept[large] += b" " * 30_000
        got = await about(app, name)
        assert (got.status, got.body) == (200, model.kept[name])
        assert (await about(app, name, "DELETE")).status == 200
        assert model.kept == {}


async def test_the_app_is_told_that_the_client_left() -> None:
    told: list[str] = []

    class Waiting(Keeping):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            if scope["method"] == "POST":
                await super().__call__(scope, receive, send)
                return
            kinds = [(await receive())["type"], (await receive())["type"]]
            told.extend([scope["path"], *kinds])

    app = wrapped(Waiting(*THREE))
    name, _ = await answered(app)
    messages = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Any:
        return messages.pop() if messages else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        raise AssertionError("nobody is there")

    await app(http_scope(f"{PATH}/{name}", method="GET"), receive, send)
    assert told == [f"{PATH}/{name}", "http.request", "http.disconnect"]


async def test_an_id_is_found_however_the_path_spells_it() -> None:
    model = Keeping(*THREE)
    app = wrapped(model)
    name, first = await answered(app)
    spelled = f"{PATH}/{name}".replace("_", "%5F").encode()
    again = await about(app, name, raw_path=spelled)
    assert again.json() == first.json()
    assert sorted(model.raw_paths) == [f"{PATH}/resp_{number}".encode() for number in (1, 2, 3)]


async def test_what_is_not_known_passes_with_the_callables_it_came_with() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    class Down(MemoryStore):
        async def get_many(self, ns: str, keys: Any, *, tenant: str) -> dict[str, bytes]:
            raise StoreError("down")

    for store in (MemoryStore(), MemoryStore(shared=True), Down(shared=True)):
        for name, method in (("resp_1", "GET"), ("resp_1", "DELETE"), ("resp_1/input_items", "GET"), ("resp_1/cancel", "POST")):
            assert (await about(wrapped(app, store), name, method)).status == 204
    assert all("headroom" not in (scope.get("extensions") or {}) for scope in seen)


async def test_a_tenant_cannot_have_another_one_s_answers_deleted() -> None:
    model = Keeping(*THREE)
    app = wrapped(model, tenant=lambda scope: "other" if scope["method"] != "POST" else "one")
    name, _ = await answered(app)
    await about(app, name, "DELETE")
    assert model.asked == [("DELETE", name)]


async def test_answers_within_a_conversation_are_told_and_the_conversation_goes_on_under_its_own_id() -> None:
    class Conversing(Keeping):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            async def named(message: Any) -> None:
                if message["type"] == "http.response.body":
                    chunks.append(message.get("body", b""))
                    if message.get("more_body"):
                        return
                    said = json.loads(b"".join(chunks))
                    message = {**message, "body": json.dumps({**said, "conversation": {"id": "conv_1"}}).encode()}
                await send(message)

            chunks: list[bytes] = []
            await super().__call__(scope, receive, named if scope["method"] == "POST" else send)

    model = Conversing(*THREE, [("text", "Bye.")])
    app = wrapped(model)
    name, _ = await answered(app, conversation="conv_1")
    assert shown(await about(app, name)) == [("message", "Hm."), ("message", "There."), ("function_call", "search")]
    output = {"type": "function_call_output", "call_id": "call_3_1", "output": "it"}
    await answered(app, conversation="conv_1", input=[output])
    sent = json.loads(model.bodies[-1])
    assert (sent["conversation"], "previous_response_id" in sent) == ("conv_1", False)
