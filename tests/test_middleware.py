"""What an app and its clients see of the middleware: paths, bodies, headers, codings, disconnects, exceptions."""

import contextvars
import gzip
import json
import re
import zlib

import anyio
import brotli
import pytest
import zstandard
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from headroom_asgi import ConfigError, HeadroomConfig, HeadroomMiddleware, MemoryStore, RouteConfig
from headroom_asgi.testing import CapturedReports
from headroom_asgi.types import Message, Receive, Scope, Send
from tests.driver import (
    CHAT,
    ORDERS,
    PATHS,
    Inner,
    answer_json,
    both_dialects,
    http_scope,
    post,
    question_body,
    text_answer,
    tool_texts,
    whole_body,
    wrapped,
)

pytestmark = pytest.mark.anyio
TABLE = json.dumps(ORDERS[:12], indent=1)


all_modes = pytest.mark.parametrize("mode", ["audit", "lossless", "ccr"])


# -- what is not ours ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "scope",
    [
        http_scope("/v1/embeddings"),
        http_scope(CHAT, method="GET"),
        http_scope("/v1/chat/completions/extra"),
        {"type": "websocket", "path": CHAT, "headers": []},
        {"type": "something-new"},
    ],
    ids=["path", "method", "longer path", "websocket", "unknown scope"],
)
async def test_what_is_not_ours_reaches_the_app_with_the_callables_it_came_with(scope: Scope) -> None:
    seen: list[object] = []

    async def inner(*given: object) -> None:
        seen.extend(given)

    async def receive() -> Message:
        raise AssertionError

    async def send(message: Message) -> None:
        raise AssertionError

    await wrapped(inner)(scope, receive, send)
    assert [a is b for a, b in zip(seen, (scope, receive, send), strict=True)] == [True, True, True]


async def test_mode_off_is_not_ours_either() -> None:
    seen: list[object] = []

    async def inner(*given: object) -> None:
        seen.extend(given)

    async def receive() -> Message:
        raise AssertionError

    async def send(message: Message) -> None:
        raise AssertionError

    scope = http_scope(CHAT)
    await wrapped(inner, mode="off")(scope, receive, send)
    assert seen[1] is receive
    assert seen[2] is send


# -- bodies -------------------------------------------------------------------------------------------------------------


@both_dialects
async def test_a_table_arrives_shorter_and_everything_else_as_it_was(dialect: str) -> None:
    inner = Inner(answer_json(text_answer(dialect, "ok")))
    body = json.dumps(question_body(dialect, TABLE), indent=3).encode()
    response = await post(wrapped(inner, mode="lossless"), PATHS[dialect], body)
    assert response.outcome == "compressed"
    (text,) = tool_texts(inner.bodies[0])
    assert len(text) < len(TABLE) / 2
    literal = json.dumps(TABLE).encode()
    head, tail = body.split(literal)
    assert inner.bodies[0].startswith(head)
    assert inner.bodies[0].endswith(tail)


@both_dialects
async def test_nothing_to_do_forwards_the_very_same_bytes_object(dialect: str) -> None:
    got: list[bytes] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        got.append((await receive())["body"])
        await answer_json(text_answer(dialect, "ok"))(b"", send)

    body = json.dumps(question_body(dialect, "short"), indent=3).encode()
    response = await post(wrapped(inner, mode="lossless"), PATHS[dialect], body)
    assert got[0] is body
    assert response.outcome == "skipped:small"


@pytest.mark.parametrize("chunks", [1, 2, 7])
async def test_a_body_in_several_chunks_is_one_body(chunks: int) -> None:
    inner = Inner()
    await post(wrapped(inner, mode="lossless"), CHAT, question_body("openai-chat", TABLE), chunks=chunks)
    assert len(tool_texts(inner.bodies[0])[0]) < len(TABLE) / 2


@all_modes
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"[]", "skipped:not_an_object"),
        (b"null", "skipped:not_an_object"),
        (b"", "skipped:invalid_json"),
        (b"{", "skipped:invalid_json"),
        (b'{"messages": [{"role": "user", "content": "\xff"}]}', "skipped:invalid_utf8"),
        (b'{"a": NaN, "messages": []}', "skipped:invalid_json"),
        (b'{"model": "m"}', "skipped:no_messages"),
        (b'{"messages": 5}', "skipped:no_messages"),
        (b"\xef\xbb\xbf{}", "skipped:invalid_json"),
    ],
)
async def test_a_body_that_no_provider_would_accept_passes_whole_with_a_reason(mode: str, body: bytes, reason: str) -> None:
    inner = Inner(answer_json({"error": "bad"}, status=400))
    response = await post(wrapped(inner, mode=mode), CHAT, body, chunks=2)
    assert inner.bodies == [body]
    assert response.status == 400
    assert response.outcome == reason


@all_modes
@pytest.mark.parametrize("place", ["%s", '{"messages": [{"role": "tool", "content": %s}]}', '{"messages": [], "x": %s}'])
async def test_nesting_100_000_deep_passes_whole(mode: str, place: str) -> None:
    inner = Inner()
    body = (place % ("[" * 100_000 + "]" * 100_000)).encode()
    response = await post(wrapped(inner, mode=mode), CHAT, body)
    assert inner.bodies == [body]
    assert response.status == 200
    assert response.outcome.startswith(("skipped:", "audit"))


async def test_a_body_above_the_limit_passes_whole_while_it_is_still_coming() -> None:
    inner = Inner()
    body = json.dumps(question_body("openai-chat", TABLE * 9)).encode()
    response = await post(wrapped(inner, max_body_bytes=2000), CHAT, body, chunks=9)
    assert inner.bodies == [body]
    assert response.outcome == "skipped:too_large"


async def test_other_segments_are_shortened_beside_one_that_cannot_be() -> None:
    inner = Inner()
    body = question_body("openai-chat", TABLE)
    call = {"id": "c2", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    body["messages"] += [
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c2", "content": "\ud800" * 99},
    ]
    await post(wrapped(inner, mode="lossless"), CHAT, body)
    first, second = tool_texts(inner.bodies[0])
    assert len(first) < len(TABLE) / 2
    assert second == "\ud800" * 99


# -- headers ------------------------------------------------------------------------------------------------------------


async def test_a_changed_body_has_its_own_length_and_other_headers_stay() -> None:
    inner = Inner()
    sent = [(b"authorization", b"Bearer x"), (b"x-twice", b"1"), (b"x-twice", b"2"), (b"expect", b"100-continue")]
    await post(wrapped(inner, mode="lossless"), CHAT, question_body("openai-chat", TABLE), headers=sent)
    got = inner.scopes[0]["headers"]
    assert [v for k, v in got if k == b"content-length"] == [b"%d" % len(inner.bodies[0])]
    assert [v for k, v in got if k == b"x-twice"] == [b"1", b"2"]
    assert (b"authorization", b"Bearer x") in got
    assert b"expect" not in dict(got)


async def test_figures_are_consistent() -> None:
    response = await post(wrapped(Inner(), mode="lossless"), CHAT, question_body("openai-chat", TABLE))
    given = response.headers
    before, after, saved = (int(given[f"x-headroom-tokens-{name}"]) for name in ("before", "after", "saved"))
    assert before - after == saved > 0
    assert given["x-headroom-transforms"] == "smart:lossless"
    assert given["x-headroom-tokens-method"] in {"exact", "estimate"}


@pytest.mark.parametrize(
    "header",
    [
        (b"content-md5", b"x"),
        (b"x-amz-content-sha256", b"x"),
        (b"digest", b"x"),
        (b"authorization", b"AWS4-HMAC-SHA256 Credential=x"),
    ],
)
async def test_signed_bodies_pass(header: tuple[bytes, bytes]) -> None:
    inner = Inner()
    body = json.dumps(question_body("openai-chat", TABLE)).encode()
    response = await post(wrapped(inner), CHAT, body, headers=[header])
    assert inner.bodies == [body]
    assert response.outcome == "skipped:signed_body"


# -- content codings ----------------------------------------------------------------------------------------------------

CODERS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "gzip, br": lambda data: brotli.compress(gzip.compress(data)),
}


@pytest.mark.parametrize("coding", CODERS)
async def test_coded_bodies_are_read_and_forwarded_uncoded_if_changed(coding: str) -> None:
    inner = Inner()
    body = CODERS[coding](json.dumps(question_body("openai-chat", TABLE)).encode())
    response = await post(wrapped(inner, mode="lossless"), CHAT, body, headers=[(b"content-encoding", coding.encode())], chunks=3)
    assert response.outcome == "compressed"
    assert len(tool_texts(inner.bodies[0])[0]) < len(TABLE) / 2
    assert b"content-encoding" not in dict(inner.scopes[0]["headers"])


async def test_raw_deflate_is_deflate_too() -> None:
    inner = Inner()
    packer = zlib.compressobj(wbits=-15)
    body = packer.compress(json.dumps(question_body("openai-chat", TABLE)).encode()) + packer.flush()
    response = await post(wrapped(inner, mode="lossless"), CHAT, body, headers=[(b"content-encoding", b"deflate")])
    assert response.outcome == "compressed"


@pytest.mark.parametrize("coding", CODERS)
async def test_coded_bodies_that_need_no_change_go_on_as_they_came(coding: str) -> None:
    inner = Inner()
    body = CODERS[coding](json.dumps(question_body("openai-chat", "short")).encode())
    await post(wrapped(inner, mode="lossless"), CHAT, body, headers=[(b"content-encoding", coding.encode())])
    assert inner.bodies == [body]
    assert dict(inner.scopes[0]["headers"])[b"content-encoding"] == coding.encode()


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
@pytest.mark.parametrize("damage", ["cut", "garbage", "empty"])
async def test_broken_codings_pass_whole(coding: str, damage: str) -> None:
    inner = Inner()
    good = CODERS[coding](json.dumps(question_body("openai-chat", TABLE)).encode())
    body = {"cut": good[: len(good) // 2], "garbage": b"garbage" * 9, "empty": b""}[damage]
    response = await post(wrapped(inner), CHAT, body, headers=[(b"content-encoding", coding.encode())])
    assert inner.bodies == [body]
    assert response.outcome in {"skipped:corrupt_encoding", "skipped:invalid_json"}


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
async def test_a_bomb_passes_whole_and_is_not_unpacked(coding: str) -> None:
    inner = Inner()
    body = CODERS[coding](b" " * 20_000_000)
    response = await post(wrapped(inner, max_body_bytes=1_000_000), CHAT, body, headers=[(b"content-encoding", coding.encode())])
    assert inner.bodies == [body]
    assert response.outcome == "skipped:too_large"


async def test_unknown_codings_pass_whole() -> None:
    inner = Inner()
    response = await post(wrapped(inner), CHAT, b"{}", headers=[(b"content-encoding", b"rot13")])
    assert inner.bodies == [b"{}"]
    assert response.outcome == "skipped:unsupported_encoding"


# -- disconnects, exceptions, tasks --------------------------------------------------------------------------------------


async def test_a_half_sent_body_and_a_disconnect_reach_the_app_and_the_worker_goes_on() -> None:
    inner = Inner()
    app = wrapped(inner)
    messages: list[Message] = [{"type": "http.request", "body": b'{"mess', "more_body": True}, {"type": "http.disconnect"}]
    seen: list[Message] = []

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        raise AssertionError

    async def app_inside(scope: Scope, receive: Receive, send: Send) -> None:
        seen.extend([await receive(), await receive()])

    with anyio.fail_after(5):
        await wrapped(app_inside)(http_scope(CHAT), receive, send)
        assert [m["type"] for m in seen] == ["http.request", "http.disconnect"]
        assert (await post(app, CHAT, question_body("openai-chat", TABLE))).status == 200


@pytest.mark.parametrize("mode", ["lossless", "ccr"])
async def test_exceptions_of_the_app_come_out_unchanged(mode: str) -> None:
    class OwnError(Exception):
        pass

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        await whole_body(receive)
        raise OwnError

    with pytest.raises(OwnError):
        await post(wrapped(inner, mode=mode), CHAT, question_body("openai-chat", TABLE))


@pytest.mark.parametrize("mode", ["lossless", "ccr"])
async def test_background_tasks_run_and_do_not_delay_the_answer(mode: str) -> None:
    order: list[str] = []

    async def later() -> None:
        await anyio.sleep(0.05)
        order.append("background")

    async def endpoint(request: Request) -> Response:
        await request.json()
        return JSONResponse(text_answer("openai-chat", "ok"), background=BackgroundTask(later))

    app = wrapped(Starlette(routes=[Route(CHAT, endpoint, methods=["POST"])]), mode=mode)
    response = await post(app, CHAT, question_body("openai-chat", TABLE))
    assert response.json()["choices"][0]["message"]["content"] == "ok"
    assert order == ["background"]


variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


@pytest.mark.parametrize("mode", ["lossless", "ccr"])
async def test_context_variables_set_outside_are_seen_inside(mode: str) -> None:
    seen: list[str] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(variable.get())
        await whole_body(receive)
        await answer_json(text_answer("openai-chat", "ok"))(b"", send)

    token = variable.set("outside")
    try:
        await post(wrapped(inner, mode=mode), CHAT, question_body("openai-chat", TABLE))
    finally:
        variable.reset(token)
    assert seen == ["outside"]


# -- where it stands ----------------------------------------------------------------------------------------------------


def echo_app() -> Starlette:
    async def endpoint(request: Request) -> Response:
        return Response(await request.body(), media_type="application/octet-stream")

    return Starlette(routes=[Route(CHAT, endpoint, methods=["POST"])])


@pytest.mark.parametrize("mode", ["lossless", "ccr"])
async def test_it_works_inside_a_mount_and_around_one(mode: str) -> None:
    inside = Starlette(routes=[Mount("/gateway", app=wrapped(echo_app(), mode=mode))])
    around = wrapped(Starlette(routes=[Mount("/gateway", app=echo_app())]), mode=mode)
    for app in (inside, around):
        response = await post(app, "/gateway" + CHAT, question_body("openai-chat", TABLE))
        assert response.status == 200
        assert len(tool_texts(response.body)[0]) < len(TABLE) / 2


async def test_routes_match_the_path_below_the_root_path() -> None:
    routes = [RouteConfig("/raw/*", mode="off")]
    app = wrapped(Inner(), mode="lossless", routes=routes)
    off = await post(app, "/gw/raw/v1/chat/completions", question_body("openai-chat", TABLE), root_path="/gw")
    on = await post(app, "/gw/v1/chat/completions", question_body("openai-chat", TABLE), root_path="/gw")
    assert "x-headroom-outcome" not in off.headers
    assert on.outcome == "compressed"


async def test_installed_twice_it_works_once() -> None:
    inner = Inner()
    app = Starlette(routes=[Mount("/", app=inner)], middleware=[Middleware(HeadroomMiddleware), Middleware(HeadroomMiddleware)])
    response = await post(app, CHAT, question_body("openai-chat", TABLE))
    assert len(inner.bodies) == 1
    assert [k for k, _ in response.messages[0]["headers"]].count(b"x-headroom-outcome") == 1
    assert len(json.loads(inner.bodies[0])["tools"]) == 2


# -- modes and settings -------------------------------------------------------------------------------------------------


async def test_audit_measures_and_sends_the_original() -> None:
    inner = Inner()
    body = json.dumps(question_body("openai-chat", TABLE)).encode()
    response = await post(wrapped(inner, mode="audit"), CHAT, body)
    assert inner.bodies == [body]
    assert response.outcome == "audit"
    assert int(response.headers["x-headroom-tokens-saved"]) > 100


async def test_ccr_offers_the_tool_from_the_first_request_of_a_conversation_that_has_tools() -> None:
    inner = Inner()
    body = question_body("openai-chat", TABLE)
    await post(wrapped(inner), CHAT, body | {"messages": body["messages"][:1]})
    await post(wrapped(inner), CHAT, body)
    await post(wrapped(inner), CHAT, body | {"tools": []})
    first, second, third = (json.loads(sent) for sent in inner.bodies)
    assert [t["function"]["name"] for t in first["tools"]] == ["list_orders", "headroom_retrieve"]
    assert first["tools"] == second["tools"]
    assert third["tools"] == []


async def test_rows_are_left_out_only_where_the_tool_is_offered() -> None:
    inner = Inner()
    table = json.dumps(ORDERS)
    for more in ({}, {"tools": []}, {"n": 2}):
        await post(wrapped(inner), CHAT, question_body("openai-chat", table, **more))
    await post(wrapped(inner, mode="lossless"), CHAT, question_body("openai-chat", table))
    left_out = ["rows left out" in tool_texts(body)[0] for body in inner.bodies]
    assert left_out == [True, False, False, False]


async def test_exact_match_tools_are_never_touched() -> None:
    for name in ("Read", "mcp__files__read_file", "filesystem-read_file", "apply_patch"):
        inner = Inner()
        body = question_body("openai-chat", TABLE)
        body["messages"][1]["tool_calls"][0]["function"]["name"] = name
        response = await post(wrapped(inner, mode="lossless"), CHAT, body)
        assert tool_texts(inner.bodies[0]) == [TABLE]
        assert response.outcome == "skipped:exact_match_tool"


async def test_settings_of_a_route_hold_for_its_requests_only() -> None:
    config = HeadroomConfig(mode="lossless", routes=[RouteConfig("/a/*", mode="audit"), RouteConfig("/b/*", mode="ccr")])
    app = HeadroomMiddleware(Inner(), config=config, discover=False)
    outcomes = {}
    for prefix in ("/a", "/b", "/c"):
        response = await post(app, prefix + CHAT, question_body("openai-chat", TABLE))
        outcomes[prefix] = (response.outcome, "x-headroom-rounds" in response.headers)
    assert outcomes == {"/a": ("audit", False), "/b": ("compressed", True), "/c": ("compressed", False)}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mod": "ccr"}, "did you mean 'mode'"),
        ({"mode": "lossles"}, "did you mean 'lossless'"),
        ({"max_body_bytes": "1"}, "max_body_bytes: '1' is not a whole number"),
        ({"max_body_bytes": 0}, "at least 1"),
        ({"routes": [{"path": "/x"}]}, r"routes\[0\]: .* is not a RouteConfig"),
        ({"routes": [RouteConfig("x")]}, r"routes\[0\].path: 'x' is not a glob"),
        ({"routes": [RouteConfig("/x", mode="on")]}, r"routes\[0\].mode: 'on'"),  # type: ignore[arg-type]
        ({"tenant": "me"}, "tenant: 'me' is not a callable"),
        ({"observers": [1]}, r"observers\[0\]"),
        ({"store": object()}, "store: .* is not a Store"),
        ({"config": {}}, "is not a HeadroomConfig"),
        ({"hooks": object()}, "on_pipeline_event"),
    ],
)
def test_wrong_settings_stop_the_start(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        wrapped(Inner(), **settings)


# -- tenants ------------------------------------------------------------------------------------------------------------


def tenant_of(scope: object) -> str:
    return dict(scope["headers"])[b"x-team"].decode()  # type: ignore[index]


async def test_tenants_have_different_refs_and_separate_originals() -> None:
    inner, store = Inner(), MemoryStore()
    app = wrapped(inner, store=store, tenant=tenant_of)
    for team in (b"red", b"blue"):
        await post(app, CHAT, question_body("openai-chat", json.dumps(ORDERS)), headers=[(b"x-team", team)])
    first, second = (tool_texts(body)[0] for body in inner.bodies)
    refs = [re.findall(r"<<ccr:([0-9a-f]{32})-1 ", text)[0] for text in (first, second)]
    assert refs[0] != refs[1]
    red = {key async for key in store.scan("originals", "red")}
    blue = {key async for key in store.scan("originals", "blue")}
    assert refs[0] in red
    assert refs[1] in blue
    assert not red & blue


async def test_without_a_tenant_nothing_is_done() -> None:
    inner = Inner()
    body = json.dumps(question_body("openai-chat", TABLE)).encode()
    for headers in ([], [(b"x-team", b"")]):
        response = await post(wrapped(inner, tenant=tenant_of), CHAT, body, headers=headers)
        assert response.outcome == "failed_open:tenant"
    assert inner.bodies == [body, body]


# -- reports ------------------------------------------------------------------------------------------------------------


async def test_every_exchange_is_reported_once_without_its_text() -> None:
    reports = CapturedReports()
    app = wrapped(Inner(answer_json(text_answer("openai-chat", "ok"))), observers=[reports], mode="lossless")
    await post(app, CHAT, question_body("openai-chat", TABLE, question="a secret question"))
    await post(app, CHAT, b"[]")
    await post(app, "/v1/embeddings", b"[]")
    first, second = reports
    assert (first.outcome, first.status, first.model, first.dialect) == ("compressed", 200, "gpt-4o", "openai-chat")
    assert first.reasons["compressed"] == 1
    assert first.tokens_saved > 0
    assert (second.outcome, second.dialect) == ("skipped:not_an_object", "")
    assert "secret" not in repr(reports)


async def test_an_observer_that_fails_disturbs_nobody() -> None:
    reports = CapturedReports()

    def broken(report: object) -> None:
        raise RuntimeError

    response = await post(wrapped(Inner(), observers=[broken, reports]), CHAT, question_body("openai-chat", TABLE))
    assert response.status == 200
    assert len(reports) == 1
