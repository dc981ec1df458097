"""What is said about exchanges, and what keeps an exchange from waiting: log line, memo, store, counting, double installation."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount

from headroom_asgi import CompressorConfig, HeadroomMiddleware, MemoryStore, RouteConfig
from headroom_asgi.compressors import SmartCrusher
from headroom_asgi.engine import counting
from headroom_asgi.engine.notes import Notes
from headroom_asgi.observers import Report
from tests.driver import (
    CHAT,
    TABLE,
    Inner,
    answer_json,
    call_answer,
    post,
    question_body,
    text_answer,
    tool_texts,
    wrapped,
)

pytestmark = pytest.mark.anyio
OK = answer_json(text_answer("openai-chat", "ok"))


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.INFO, logger="headroom_asgi"):
        yield caplog


async def test_one_log_line_an_exchange_and_no_text_in_it(log: pytest.LogCaptureFixture) -> None:
    body = question_body("openai-chat", TABLE, question="a secret question")
    await post(wrapped(Inner(OK)), CHAT, body)
    (line,) = [record for record in log.records if record.getMessage() == "exchange"]
    assert vars(line)["outcome"] == "compressed"
    assert vars(line)["tokens_saved"] > 1000
    assert "secret" not in str([vars(record) for record in log.records])
    assert "ORD-10001" not in str([vars(record) for record in log.records])


async def test_no_report_is_made_that_nobody_hears_of(monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture) -> None:
    made: list[str] = []
    frozen = Notes.frozen

    def watched(notes: Notes, **known: Any) -> Report:
        made.append(known["request_id"])
        return frozen(notes, **known)

    monkeypatch.setattr(Notes, "frozen", watched)
    heard: list[Report] = []
    quiet, told = HeadroomMiddleware(Inner(OK)), HeadroomMiddleware(Inner(OK), observers=[heard.append])
    log.set_level(logging.WARNING, logger="headroom_asgi")
    await post(quiet, CHAT, question_body("openai-chat", TABLE))
    assert not made
    await post(told, CHAT, question_body("openai-chat", TABLE))
    assert made == [each.request_id for each in heard]
    log.set_level(logging.INFO, logger="headroom_asgi")
    await post(quiet, CHAT, question_body("openai-chat", TABLE))
    assert len(made) == 2
    assert [record.getMessage() for record in log.records].count("exchange") == 1


async def test_a_text_that_was_seen_before_is_not_compressed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    whole = SmartCrusher.compress

    def watched(self: SmartCrusher, text: str, request: Any) -> Any:
        seen.append(text)
        return whole(self, text, request)

    monkeypatch.setattr(SmartCrusher, "compress", watched)
    inner = Inner(OK)
    app = wrapped(inner)
    for _ in range(3):
        await post(app, CHAT, question_body("openai-chat", TABLE))
    assert seen == [TABLE]
    assert inner.bodies[0] == inner.bodies[2]


async def test_a_result_remembered_on_one_route_is_not_used_where_its_compressor_is_off() -> None:
    inner = Inner(OK)
    app = wrapped(inner, routes=[RouteConfig("/plain/*", smart_crusher=CompressorConfig(enabled=False))])
    for prefix in ("", "/plain"):
        await post(app, prefix + CHAT, question_body("openai-chat", TABLE))
    assert tool_texts(inner.bodies[1]) == [TABLE]


async def test_a_store_that_hangs_or_fails_changes_no_byte_and_holds_nothing_up() -> None:
    class Hanging(MemoryStore):
        async def put(self, *_: Any, **__: Any) -> bool:
            await anyio.sleep(60)
            return True

    class Failing(MemoryStore):
        async def put(self, *_: Any, **__: Any) -> bool:
            raise OSError

    bodies = []
    for store in (MemoryStore(), Hanging(), Failing()):
        inner = Inner(OK)
        with anyio.fail_after(5):
            await post(wrapped(inner, store=store), CHAT, question_body("openai-chat", TABLE))
        bodies.append(inner.bodies[0])
    assert b"rows left out" in bodies[0]
    assert bodies[0] == bodies[1] == bodies[2]


async def test_installed_twice_is_said_once(log: pytest.LogCaptureFixture) -> None:
    twice = [Middleware(HeadroomMiddleware, discover=False), Middleware(HeadroomMiddleware, discover=False)]
    app = Starlette(routes=[Mount("/", app=Inner(OK))], middleware=twice)
    for _ in range(3):
        await post(app, CHAT, question_body("openai-chat", TABLE))
    assert [record.getMessage() for record in log.records].count("installed_twice") == 1


async def test_counting_that_falls_behind_drops_work_and_says_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "_MAX_PENDING", 0)
    response = await post(wrapped(Inner(OK)), CHAT, question_body("openai-chat", TABLE))
    assert response.headers["x-headroom-tokens-method"] == "estimate"
    assert int(response.headers["x-headroom-tokens-saved"]) > 1000


async def test_figures_are_exact_once_the_texts_were_counted() -> None:
    app = wrapped(Inner(OK))
    with anyio.fail_after(20):
        while (await post(app, CHAT, question_body("openai-chat", TABLE))).headers["x-headroom-tokens-method"] != "exact":
            await anyio.sleep(0.05)


@pytest.mark.parametrize("media", [b"text/plain", b"application/vnd.gateway+json", None])
async def test_json_under_another_name_is_read_too_so_that_no_call_of_ours_gets_out(media: bytes | None) -> None:
    answers = [call_answer("openai-chat", ("own", "headroom_retrieve", {"ref": "x"})), text_answer("openai-chat", "done")]

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        headers = [(b"content-type", media)] if media else []
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(answers.pop(0)).encode()})

    response = await post(wrapped(inner), CHAT, question_body("openai-chat", TABLE))
    assert response.json()["choices"][0]["message"]["content"] == "done"
