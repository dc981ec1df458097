"""Headers as a weapon: control headers of strangers, spellings that slip through, lengths that lie, signatures that break."""

import json
from collections.abc import Iterable
from typing import Any

import anyio
import pytest

from headroom_asgi import ConfigError, PipelineEvent, PipelineStage, RouteConfig
from headroom_asgi.callers import from_networks, with_secret
from headroom_asgi.testing import CapturedReports, RecordingExtension
from headroom_asgi.types import Message, Receive, Scope, Send
from tests.adversary import MANY
from tests.driver import Inner, Received, answer_json, answer_stream, http_scope, post, question_body, stream_of, text_answer
from tests.test_attacks import CHAT, OK, asks, both_dialects, streamed_or_not, wrapped

pytestmark = pytest.mark.anyio
TABLE = json.dumps(MANY)
BODY = question_body("openai-chat", TABLE)
BYPASS = (b"x-headroom-bypass", b"true")
INSIDE = {"client": ("10.1.2.3", 5)}
SECRET = "correct horse battery"
# One header, as many ways as somebody may spell it who hopes that it is read differently here and there.
SPELLINGS = [
    b"x-headroom-bypass",
    b"X-Headroom-Bypass",
    b"X_HEADROOM_BYPASS",
    b"x_headroom-bypass",
    b" x-headroom-bypass",
    b"x-headroom-bypass ",
    b"x-headroom-tenant",
    b"x-headroom-mode",
    b"x-headroom-secret",
    b"X-HEADROOM-anything",
]


async def sent(app: Any, *headers: tuple[bytes, bytes], body: Any = BODY, path: str = CHAT, **scope: Any) -> Received:
    return await post(app, path, body, headers=headers, **scope)


def controls_in(scope: Scope) -> list[bytes]:
    return [key for key, _ in scope["headers"] if b"headroom" in key.lower()]


# -- control headers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trusted", [None, ["10.0.0.0/8"], lambda scope: False], ids=["nobody", "others", "never"])
@pytest.mark.parametrize("name", SPELLINGS)
async def test_a_strangers_control_headers_do_nothing_and_reach_nobody(name: bytes, trusted: Any) -> None:
    plain, inner, recorder = Inner(OK), Inner(asks(), OK), RecordingExtension()
    await sent(wrapped(plain))
    app = wrapped(inner, recorder, trusted_headers=trusted)
    response = await sent(app, (name, b"true"), (name, b"off"))
    assert response.outcome == "compressed"
    assert inner.bodies[0] == plain.bodies[0]
    assert len(inner.scopes) == 2  # hidden rounds, too
    assert [controls_in(scope) for scope in inner.scopes] == [[], []]
    assert not any("headroom" in name for event in recorder.events for name in event.headers or {})


@pytest.mark.parametrize("name", SPELLINGS)
@pytest.mark.parametrize(
    ("path", "body", "settings"),
    [
        ("/v1/models", b"x", {}),  # none of ours
        (CHAT, BODY, {"mode": "off"}),
        (CHAT, BODY, {"mode": "audit"}),
        (CHAT, b"not json", {}),
        (CHAT, BODY, {"max_body_bytes": 10}),
        (CHAT, BODY, {"tenant": lambda scope: ""}),
        (CHAT, BODY, {"trusted_headers": ["10.0.0.0/8"]}),
    ],
)
async def test_control_headers_are_taken_off_whatever_becomes_of_the_request(
    name: bytes, path: str, body: Any, settings: Any
) -> None:
    inner = Inner(OK)
    await sent(wrapped(inner, **settings), (b"x-kept", b"1"), (name, b"true"), path=path, body=body, **INSIDE)
    assert [controls_in(scope) for scope in inner.scopes] == [[]]
    assert (b"x-kept", b"1") in inner.scopes[0]["headers"]


async def test_control_headers_are_taken_off_websockets_and_nothing_else_of_a_scope_is_touched() -> None:
    seen = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)

    async def nothing() -> Message:
        return {"type": "websocket.disconnect"}

    async def quiet(message: Message) -> None:
        """Nobody reads it."""

    for kind in ("websocket", "http"):
        for headers in ([BYPASS], []):
            scope = {**http_scope("/ws", headers), "type": kind, "method": "GET"}
            before = dict(scope)
            await wrapped(inner)(scope, nothing, quiet)
            assert scope == before
            assert controls_in(seen[-1]) == []
            assert (seen[-1] is scope) == (headers == [])


async def test_a_trusted_bypass_passes_the_very_messages_unread() -> None:
    reports, given = CapturedReports(), []
    chunks = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.request", "body": b"x"}]

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        given.extend([await receive(), await receive()])
        await OK(b"", send)

    waiting = iter(chunks)

    async def receive() -> Message:
        return next(waiting)

    got = []

    async def send(message: Message) -> None:
        got.append(message)

    app = wrapped(inner, trusted_headers=from_networks("10.0.0.0/8"), observers=[reports], max_body_bytes=1)
    await app(http_scope(CHAT, [BYPASS], **INSIDE), receive, send)
    assert [message is chunk for message, chunk in zip(given, chunks, strict=True)] == [True, True]
    assert (b"x-headroom-outcome", b"skipped:bypass") in got[0]["headers"]
    assert [(report.outcome, report.controls) for report in reports] == [("skipped:bypass", ("bypass",))]


@both_dialects
@streamed_or_not
async def test_a_bypassed_request_is_the_clients_byte_for_byte(dialect: str, stream: bool) -> None:
    body = json.dumps(question_body(dialect, TABLE, stream=stream)).encode()
    answer = text_answer(dialect, "fine")
    inner = Inner(answer_stream(stream_of(dialect, answer)) if stream else answer_json(answer))
    app = wrapped(inner, trusted_headers=with_secret(SECRET))
    response = await post(
        app, "/v1/messages" if dialect == "anthropic" else CHAT, body, headers=[BYPASS, (b"x-headroom-secret", SECRET.encode())]
    )
    assert inner.bodies == [body]
    assert response.outcome == "skipped:bypass"
    assert SECRET not in str(inner.scopes)


async def own_rule(scope: Any) -> bool:
    await anyio.sleep(0)
    return dict(scope["headers"])[b"host"] == b"test"


@pytest.mark.parametrize("rule", [own_rule, f"{__name__}:own_rule", ["10.0.0.0/8", "unix"], lambda scope: True])
async def test_trust_is_a_function_its_name_or_networks(rule: Any) -> None:
    assert (await sent(wrapped(Inner(OK), trusted_headers=rule), BYPASS, **INSIDE)).outcome == "skipped:bypass"


async def raises(scope: Any) -> bool:
    raise RuntimeError(scope)


@pytest.mark.parametrize("rule", [raises, lambda scope: 1, lambda scope: "yes", lambda scope: None])
async def test_a_rule_that_fails_or_does_not_say_true_trusts_nobody(rule: Any) -> None:
    assert (await sent(wrapped(Inner(OK), trusted_headers=rule), BYPASS)).outcome == "compressed"


@pytest.mark.parametrize("wrong", ["a secret, in the wrong place", 5, ["10.0.0.0/99"], [5], "no.such:rule"])
def test_a_rule_that_is_none_stops_the_start_and_no_secret_is_repeated(wrong: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        wrapped(Inner(), trusted_headers=wrong)
    assert "a secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("route_mode", "asked", "mode"),
    [
        ("ccr", "lossless", "lossless"),
        ("ccr", "audit", "audit"),
        ("ccr", "CCR", "ccr"),
        ("lossless", "ccr", "lossless"),  # never more than the route does
        ("audit", "ccr", "audit"),
        ("audit", "lossless", "audit"),
    ],
)
async def test_a_caller_may_ask_for_less_and_never_for_more(route_mode: Any, asked: str, mode: str) -> None:
    inner, reference, reports = Inner(OK), Inner(OK), CapturedReports()
    app = wrapped(inner, routes=[RouteConfig("/v1/*", mode=route_mode)], trusted_headers=["10.0.0.0/8"], observers=[reports])
    await sent(app, (b"x-headroom-mode", asked.encode()), **INSIDE)
    await sent(wrapped(reference, mode=mode))
    assert inner.bodies == reference.bodies
    assert (reports[0].mode, reports[0].controls) == (mode, ("mode",))


async def test_a_route_that_is_off_stays_off() -> None:
    inner = Inner(OK)
    response = await sent(wrapped(inner, mode="off", trusted_headers=["10.0.0.0/8"]), (b"x-headroom-mode", b"ccr"), **INSIDE)
    assert "x-headroom-outcome" not in response.headers
    assert json.loads(inner.bodies[0]) == BODY


async def test_a_mode_of_off_passes_as_it_came() -> None:
    inner = Inner(OK)
    response = await sent(wrapped(inner, trusted_headers=["10.0.0.0/8"]), (b"x-headroom-mode", b"off"), **INSIDE)
    assert (response.outcome, json.loads(inner.bodies[0])) == ("skipped:bypass", BODY)


@pytest.mark.parametrize(
    "headers",
    [
        [(b"x-headroom-tenant", b"red"), (b"x-headroom-tenant", b"red")],
        [(b"x-headroom-tenant", b"red"), (b"X_Headroom_Tenant", b"blue")],  # the proxy's, behind the client's own
        [(b"x-headroom-tenant", b"")],
        [(b"x-headroom-tenant", b"  ")],
        [(b"x-headroom-tenant", b"x" * 257)],
        [(b"x-headroom-mode", b"turbo")],
        [(b"x-headroom-mode", b"")],
        [(b"x-headroom-mode", b"lossless, ccr")],
        [(b"x-headroom-bypass", b"maybe")],
        [(b"x-headroom-bypass", b"true, false")],
        [BYPASS, (b"x-headroom-bypass", b"false")],
    ],
)
async def test_what_cannot_be_told_passes_as_it_came(headers: Any) -> None:
    inner = Inner(OK)
    response = await sent(wrapped(inner, trusted_headers=["10.0.0.0/8"]), *headers, **INSIDE)
    assert response.outcome == "failed_open:control_headers"
    assert json.loads(inner.bodies[0]) == BODY
    assert controls_in(inner.scopes[0]) == []


async def test_a_bypass_that_is_false_is_none() -> None:
    app = wrapped(Inner(OK), trusted_headers=["10.0.0.0/8"])
    assert (await sent(app, (b"x-headroom-bypass", b"False"), **INSIDE)).outcome == "compressed"


# -- signatures ------------------------------------------------------------------------------------------------------------

SIGNED: list[tuple[bytes, bytes]] = [
    (b"content-digest", b"sha-256=:x:"),
    (b"Content-Digest", b"sha-256=:x:"),
    (b"repr-digest", b"sha-256=:x:"),
    (b"digest", b"SHA-256=x"),
    (b"content-md5", b"x"),
    (b"content_md5", b"x"),
    (b"signature", b"sig1=:x:"),
    (b"signature-input", b'sig1=("content-digest")'),
    (b"x-hub-signature", b"sha1=x"),
    (b"x-hub-signature-256", b"sha256=x"),
    (b"x-amz-content-sha256", b"x"),
    (b"x-ms-content-sha256", b"x"),
    (b"x-amz-checksum-crc32", b"x"),
    (b"x-goog-hash", b"md5=x"),
    (b"x-shopify-hmac-sha256", b"x"),
    (b"stripe-signature", b"t=1"),
    (b"x-jws-signature", b"x..y"),
    (b"x-body-sha256", b"x"),
    (b"x-sha256", b"x"),
    (b"trailer", b"x-a, Content-Digest"),
    (b"authorization", b"AWS4-HMAC-SHA256 Credential=x"),
    (b"authorization", b"AWS4-ECDSA-P256-SHA256 Credential=x"),
    (b"authorization", b"GOOG4-RSA-SHA256 Credential=x"),
    (b"authorization", b"HMAC-SHA256 Credential=x&SignedHeaders=y"),
    (b"authorization", b'Signature keyId="x"'),
    (b"authorization", b'Digest username="x", qop=auth-int'),
    (b"authorization", b'OAuth oauth_body_hash="x"'),
    (b"authorization", b"SharedKey account:x"),
]
UNSIGNED: list[tuple[bytes, bytes]] = [
    (b"want-content-digest", b"sha-256=1"),
    (b"accept-signature", b"sig1=()"),
    (b"signature-agent", b'"https://bot.example"'),
    (b"x-client-cert-sha256", b"x"),  # a proxy's word on a certificate
    (b"x-user-hash", b"x"),
    (b"x-prompt-hash-algorithm", b"x"),
    (b"authorization", b"Bearer auth-int oauth_body_hash"),
    (b"authorization", b'Digest username="x", qop=auth'),
    (b"x-api-key", b"AWS4-HMAC-SHA256"),
    (b"trailer", b"x-a"),
]


@pytest.mark.parametrize("header", SIGNED, ids=lambda header: repr(header)[:50])
async def test_what_the_client_signed_goes_as_it_came(header: tuple[bytes, bytes]) -> None:
    inner = Inner(OK)
    response = await sent(wrapped(inner), header)
    assert (response.outcome, json.loads(inner.bodies[0])) == ("skipped:signed_body", BODY)
    assert header in inner.scopes[0]["headers"]


async def test_an_address_that_is_signed_goes_as_it_came() -> None:
    response = await sent(wrapped(Inner(OK)), query_string=b"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=x")
    assert response.outcome == "skipped:signed_body"


@pytest.mark.parametrize("header", UNSIGNED, ids=lambda header: repr(header)[:50])
async def test_what_only_sounds_like_a_signature_is_none(header: tuple[bytes, bytes]) -> None:
    inner = Inner(OK)
    assert (await sent(wrapped(inner), header)).outcome == "compressed"
    assert header in inner.scopes[0]["headers"]


@pytest.mark.parametrize("header", [each for each in SIGNED if each[0] not in (b"authorization", b"trailer")], ids=repr)
async def test_where_the_app_signs_anew_the_old_digests_do_not_go_with_the_new_body(header: tuple[bytes, bytes]) -> None:
    inner = Inner(OK)
    assert (await sent(wrapped(inner, resigns=True), header)).outcome == "compressed"
    assert header not in inner.scopes[0]["headers"]


# -- lengths ---------------------------------------------------------------------------------------------------------------


def lengths(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Whatever somebody may take for the end of a body."""
    framing = (b"content-length", b"transfer-encoding", b"content-encoding")
    return [(key, value) for key, value in headers if key.strip().lower().replace(b"_", b"-") in framing]


LIES = [
    [(b"content-length", b"1")],
    [(b"Content-Length", b"1"), (b"CONTENT-LENGTH", b"2")],
    [(b"content_length", b"1"), (b" content-length", b"2")],
    [(b"transfer-encoding", b"chunked")],
    [(b"Transfer_Encoding", b"xchunked"), (b"transfer-encoding", b"identity")],
    [(b"content-encoding", b"identity")],
]


@pytest.mark.parametrize("lies", LIES)
async def test_a_changed_body_has_one_true_length_and_nothing_beside_it(lies: Any) -> None:
    inner = Inner(asks(), OK)
    await sent(wrapped(inner), *lies)
    assert len(inner.bodies) == 2
    for scope, body in zip(inner.scopes, inner.bodies, strict=True):
        assert lengths(scope["headers"]) == [(b"content-length", b"%d" % len(body))]


@pytest.mark.parametrize("lies", LIES)
@streamed_or_not
async def test_a_changed_answer_has_one_true_length_or_none(lies: Any, stream: bool) -> None:
    answer = text_answer("openai-chat", "fine")
    answered = answer_stream(stream_of("openai-chat", answer)) if stream else answer_json(answer)

    async def lying(body: bytes, send: Send) -> None:
        async def more(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = [each for each in message["headers"] if each[0] != b"content-length"]
                message = {**message, "headers": [*kept, *lies]}
            await send(message)

        await answered(body, more)

    inner = Inner(asks(stream=stream), lying if not stream else answered)
    if stream:
        inner = Inner(lying_first(asks(stream=True), lies), answered)
    response = await sent(wrapped(inner), body=question_body("openai-chat", TABLE, stream=stream))
    assert b"fine" in response.body
    expected = [] if stream else [(b"content-length", b"%d" % len(response.body))]
    assert lengths(response.messages[0]["headers"]) == expected


def lying_first(reaction: Any, lies: Any) -> Any:
    async def react(body: bytes, send: Send) -> None:
        async def more(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *lies]}
            await send(message)

        await reaction(body, more)

    return react


async def test_a_second_request_hidden_behind_the_first_stays_text() -> None:
    smuggled = b"\r\n\r\nPOST /v1/chat/completions HTTP/1.1\r\nx-headroom-bypass: true\r\n\r\n{}"
    inner = Inner(OK)
    response = await sent(wrapped(inner), (b"transfer-encoding", b"chunked"), body=json.dumps(BODY).encode() + smuggled)
    assert response.outcome == "skipped:invalid_json"
    assert inner.bodies == [json.dumps(BODY).encode() + smuggled]


# -- what is said back -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [b"a\nexchange forged=1", b"x" * 129, b"two words", b'"', b"\xff", b"a, b", b""])
async def test_ids_that_are_none_do_not_get_into_logs_and_reports(given: bytes) -> None:
    reports = CapturedReports()
    await sent(wrapped(Inner(OK), observers=[reports]), (b"x-request-id", given))
    assert len(reports[0].request_id) == 32
    assert reports[0].request_id.isalnum()


async def test_an_id_of_the_clients_is_kept() -> None:
    reports = CapturedReports()
    await sent(wrapped(Inner(OK), observers=[reports]), (b"x-request-id", b"01JF-a.b:c/d=="))
    assert reports[0].request_id == "01JF-a.b:c/d=="


async def test_an_extension_may_set_what_the_app_is_told() -> None:
    def act(event: PipelineEvent) -> None:
        if event.stage is PipelineStage.PRE_SEND:
            assert event.headers is not None
            event.headers["x-headroom-mode"] = "for the next gateway"

    class Sets:
        def on_pipeline_event(self, event: PipelineEvent) -> None:
            act(event)

    inner = Inner(OK)
    await sent(wrapped(inner, Sets()), (b"x-headroom-mode", b"off"))
    assert [value for key, value in inner.scopes[0]["headers"] if key == b"x-headroom-mode"] == [b"for the next gateway"]
