"""Whose request it is: resolvers, ready-made and one's own; and that nobody gets at another tenant's originals."""

import json
import logging
import re
from collections.abc import Mapping
from typing import Any

import anyio
import pytest
from starlette.authentication import AuthCredentials, AuthenticationBackend, BaseUser, SimpleUser
from starlette.middleware.authentication import AuthenticationMiddleware

from headroom_asgi import ConfigError, HeadroomMiddleware, MemoryStore
from headroom_asgi.callers import by_authorization, by_header, by_user, from_networks, with_secret
from headroom_asgi.testing import CapturedReports
from tests.adversary import MANY
from tests.driver import Inner, http_scope, post, question_body
from tests.test_attacks import CHAT, OK, asks, wrapped

pytestmark = pytest.mark.anyio
TABLE = json.dumps(MANY)
REF = re.compile(rb"<<ccr:([0-9a-f]{32})-\d+")
SECRET = "correct horse battery"


def scope_with(*headers: tuple[bytes, bytes], **more: Any) -> Mapping[str, Any]:
    return http_scope(CHAT, headers, **more)


async def named(resolver: Any, *headers: tuple[bytes, bytes], **scope: Any) -> tuple[str, str]:
    """The outcome of a request, and the ref that its tenant's originals got ("" if nothing was left out)."""
    inner = Inner(OK)
    response = await post(wrapped(inner, tenant=resolver), CHAT, question_body("openai-chat", TABLE), headers=headers, **scope)
    found = REF.search(inner.bodies[0])
    return response.outcome, found[1].decode() if found else ""


def team(scope: Mapping[str, Any]) -> str:
    return "red"


async def later_team(scope: Mapping[str, Any]) -> str:
    await anyio.sleep(0)
    return "red"


class Teams:
    def of(self, scope: Mapping[str, Any]) -> str:
        return "red"


teams = Teams()


async def test_functions_coroutines_and_dotted_names_name_the_same_tenant() -> None:
    resolvers = [team, later_team, teams.of, f"{__name__}:team", f"{__name__}:later_team", f"{__name__}:teams.of"]
    results = {await named(resolver) for resolver in resolvers}
    assert len(results) == 1
    assert results.pop()[0] == "compressed"
    assert (await named(team))[1] != (await named(None))[1]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("team", "package.module:function"),
        ("no.such.package:team", "cannot be imported"),
        (f"{__name__}:nobody", "cannot be imported"),
        (f"{__name__}:SECRET", "dotted name of a callable"),
        (5, "package.module:function"),
    ],
)
def test_a_resolver_that_is_none_stops_the_start(given: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=f"tenant: .*{message}"):
        wrapped(Inner(), tenant=given)


async def hangs(scope: Mapping[str, Any]) -> str:
    await anyio.sleep_forever()
    return ""


async def fails_later(scope: Mapping[str, Any]) -> str:
    raise LookupError(scope["headers"])


@pytest.mark.parametrize("resolver", [hangs, fails_later, lambda s: "", lambda s: None, lambda s: b"red", lambda s: "x" * 257])
async def test_a_resolver_that_names_nobody_lets_the_request_pass_as_it_came(resolver: Any) -> None:
    inner, store = Inner(OK), MemoryStore()
    body = question_body("openai-chat", TABLE)
    app = wrapped(inner, tenant=resolver, extension_timeout_s=0.05, store=store)
    response = await post(app, CHAT, body)
    assert response.outcome == "failed_open:tenant"
    assert b"<<ccr" not in inner.bodies[0]
    assert (await store.stats()).entries == 0


# -- by key ----------------------------------------------------------------------------------------------------------------


def test_a_key_is_a_tenant_and_is_not_in_its_name() -> None:
    one, other = ((b"authorization", b"Bearer sk-%d" % n) for n in (1, 2))
    assert by_authorization(scope_with(one)) == by_authorization(scope_with(one))
    assert by_authorization(scope_with(one)) != by_authorization(scope_with(other))
    assert "sk-1" not in str(by_authorization(scope_with(one)))
    assert not by_authorization(scope_with((b"authorization", b"Bearer ")))  # everybody's


@pytest.mark.parametrize("name", [b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key"])
def test_keys_are_found_where_clients_of_providers_put_them(name: bytes) -> None:
    assert by_authorization(scope_with((name, b"secret")))
    assert by_authorization(scope_with((name, b"secret"))) != by_authorization(scope_with((name, b"other")))


def test_a_key_in_the_address_counts_however_it_is_spelled() -> None:
    names = [
        by_authorization(scope_with(query_string=query))
        for query in (b"key=AIza-1", b"alt=sse&key=AIza-1", b"key=%41Iza-1&alt=sse", b"key=AIza-2", b"key=AIza-1&key=AIza-2")
    ]
    assert names[0] == names[1] == names[2]
    assert len(set(names)) == 3
    assert "AIza" not in "".join(names)
    # Beside another key it is one more; without a value, or under another name, it is none.
    goog = (b"x-goog-api-key", b"AIza-1")
    assert by_authorization(scope_with(goog)) != by_authorization(scope_with(goog, query_string=b"key=AIza-1"))
    assert [by_authorization(scope_with(query_string=query)) for query in (b"key=", b"monkey=AIza-1", b"key", b"\xff=%ff%")] == [
        ""
    ] * 4
    assert by_authorization(scope_with(query_string=b"key=%ff%zz\xff"))


async def test_gemini_keys_in_the_address_are_tenants_and_nowhere_to_be_read(caplog: pytest.LogCaptureFixture) -> None:
    inner, reports = Inner(OK), CapturedReports()
    app = wrapped(inner, tenant=by_authorization, observers=[reports])
    body = {
        "contents": [
            {"role": "user", "parts": [{"text": "What is up?"}]},
            {"role": "model", "parts": [{"functionCall": {"name": "list_orders", "args": {}}}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "list_orders", "response": {"result": TABLE}}}]},
        ],
        "tools": [{"functionDeclarations": [{"name": "list_orders", "description": "d"}]}],
    }
    refs = []
    with caplog.at_level(logging.DEBUG):
        for key in (b"AIzaSecretOne", b"AIzaSecretTwo", b"AIzaSecretOne"):
            response = await post(app, "/v1beta/models/gemini-3-pro:generateContent", body, query_string=b"key=" + key)
            assert response.outcome == "compressed"
            assert inner.scopes[-1]["query_string"] == b"key=" + key
            refs += REF.findall(inner.bodies[-1])[:1]
    assert refs[0] == refs[2] != refs[1]
    said = repr([vars(line) for line in caplog.records]) + repr(list(reports)) + repr(response.headers)
    assert "AIzaSecret" not in said


def test_who_adds_a_key_is_somebody_else_never_the_key_s_owner() -> None:
    victim = (b"x-api-key", b"victim's")
    own = (b"authorization", b"Bearer mine")
    names = [by_authorization(scope_with(*each)) for each in ((victim,), (own,), (own, victim), (victim, own))]
    assert len(set(names)) == 3
    # Values cannot be cut differently between headers.
    split = by_authorization(scope_with((b"authorization", b"Bearer a"), (b"authorization", b"b")))
    assert split != by_authorization(scope_with((b"authorization", b"Bearer aauthorization 1 b")))


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"  ",
        b"AWS4-HMAC-SHA256 Credential=x/y, Signature=1",
        b"aws4-ecdsa-p256-sha256 x",
        b"Digest username=x",
        b"Signature keyId=x",
        b"HMAC-SHA256 SignedHeaders=x",
        b"OAuth oauth_nonce=1",
    ],
)
def test_what_changes_with_each_request_names_nobody(value: bytes) -> None:
    assert by_authorization(scope_with((b"authorization", value))) == ""


def test_a_key_that_begins_like_a_scheme_is_a_key() -> None:
    assert by_authorization(scope_with((b"x-api-key", b"digest-1234")))


# -- by user ---------------------------------------------------------------------------------------------------------------


class Named(BaseUser):
    def __init__(self, identity: Any) -> None:
        self._identity = identity

    @property
    def is_authenticated(self) -> bool:
        return True

    @property
    def identity(self) -> Any:
        return self._identity


async def test_starlettes_users_are_tenants() -> None:
    class Backend(AuthenticationBackend):
        async def authenticate(self, conn: Any) -> Any:
            name = conn.headers.get("x-who")
            return None if name is None else (AuthCredentials(), SimpleUser(name))

    inner = Inner(OK)
    app = AuthenticationMiddleware(HeadroomMiddleware(inner, tenant=by_user, discover=False), backend=Backend())
    outcomes = []
    for headers in ([(b"x-who", b"ann")], [(b"x-who", b"bob")], []):
        outcomes.append((await post(app, CHAT, question_body("openai-chat", TABLE), headers=headers)).outcome)
    assert outcomes == ["compressed", "compressed", "failed_open:tenant"]
    ann, bob = (REF.search(body)[1] for body in inner.bodies[:2])  # type: ignore[index]
    assert ann != bob


@pytest.mark.parametrize(
    ("user", "name"), [(Named("u-1"), "u-1"), (Named(7), "7"), (Named(None), ""), (Named(""), ""), (None, "")]
)
def test_a_user_is_known_by_its_identity(user: Any, name: str) -> None:
    assert by_user(scope_with(user=user)) == name


# -- by header -------------------------------------------------------------------------------------------------------------

INSIDE = {"client": ("10.1.2.3", 5)}
TEAM = (b"x-team", b"red")


@pytest.mark.parametrize(
    ("headers", "scope", "outcome"),
    [
        ([TEAM], INSIDE, "compressed"),
        ([TEAM], {"client": ("11.1.2.3", 5)}, "failed_open:tenant"),
        ([TEAM], {"client": None}, "failed_open:tenant"),
        ([TEAM, (b"x-team", b"blue")], INSIDE, "failed_open:tenant"),  # a proxy that adds leaves the client's own in place
        ([TEAM, (b"X-Team", b"blue")], INSIDE, "failed_open:tenant"),
        ([(b"x_team", b"red")], INSIDE, "failed_open:tenant"),
        ([(b"x-team", b" ")], INSIDE, "failed_open:tenant"),
        ([], INSIDE, "failed_open:tenant"),
    ],
)
async def test_a_header_counts_if_a_trusted_proxy_sent_it_once(headers: Any, scope: Any, outcome: str) -> None:
    resolver = by_header("X-Team", trusted=from_networks("10.0.0.0/8"))
    assert (await named(resolver, *headers, **scope))[0] == outcome


@pytest.mark.parametrize("name", ["x-headroom-tenant", "X_Headroom_Team"])
def test_a_control_header_is_no_resolvers(name: str) -> None:
    with pytest.raises(ConfigError):
        by_header(name, trusted=from_networks("10.0.0.0/8"))


@pytest.mark.parametrize(
    ("client", "trusted"),
    [
        (("10.255.0.1", 1), True),
        (("::ffff:10.0.0.1", 1), True),
        (("2001:db8::1", 1), True),
        (("127.0.0.1", 1), True),
        (("127.0.0.2", 1), False),
        (("::ffff:11.0.0.1", 1), False),
        (("testclient", 1), False),
        (("10.0.0.1, 11.0.0.1", 1), False),
        (("", 0), True),
        (None, True),
    ],
)
def test_networks_are_known_by_the_servers_word_on_the_client(client: Any, trusted: bool) -> None:
    rule = from_networks("10.0.0.0/8", "127.0.0.1", "2001:db8::/32", "unix")
    assert rule(scope_with(client=client)) is trusted
    if client is None:
        assert from_networks("10.0.0.0/8")(scope_with(client=client)) is False


@pytest.mark.parametrize("networks", [[], ["10.0.0.1/8"], ["example.com"], ["10.0.0.0/8", ""]])
def test_networks_that_are_none_stop_the_start(networks: list[str]) -> None:
    with pytest.raises(ConfigError, match="networks"):
        from_networks(*networks)


@pytest.mark.parametrize("secrets", [[], ["short"], [SECRET, ""]])
def test_a_secret_that_can_be_guessed_stops_the_start_and_is_not_repeated(secrets: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        with_secret(*secrets)
    assert "short" not in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "trusted"),
    [
        ([SECRET], True),
        (["the new one, 20 chars"], True),
        ([SECRET[:-1]], False),
        ([""], False),
        ([], False),
        ([SECRET] * 2, False),
    ],
)
def test_who_knows_one_of_the_secrets_is_trusted(values: list[str], trusted: bool) -> None:
    rule = with_secret(SECRET, "the new one, 20 chars")
    assert rule(scope_with(*((b"x-headroom-secret", value.encode()) for value in values))) is trusted
    assert SECRET not in repr(rule)


# -- what is whose ---------------------------------------------------------------------------------------------------------


async def test_a_trusted_callers_word_goes_before_the_resolver() -> None:
    inner = Inner(OK)
    app = wrapped(inner, tenant=lambda scope: "red", trusted_headers=["10.0.0.0/8"])
    for headers in ([], [(b"x-headroom-tenant", b"blue")], [(b"x-headroom-tenant", b"red")]):
        await post(app, CHAT, question_body("openai-chat", TABLE), headers=headers, **INSIDE)
    own, blue, red = (REF.search(body)[1] for body in inner.bodies)  # type: ignore[index]
    assert (own == red, own == blue) == (True, False)


async def test_what_a_tenant_left_out_is_there_for_it_again_and_for_nobody_else() -> None:
    store = MemoryStore()
    model = Inner(asks(), OK)
    app = wrapped(model, tenant=by_authorization, store=store)
    await post(app, CHAT, question_body("openai-chat", TABLE), headers=[(b"authorization", b"Bearer a")])
    ref = REF.search(model.bodies[0])[1].decode()  # type: ignore[index]
    owner = str(by_authorization(scope_with((b"authorization", b"Bearer a"))))
    assert await store.get_many("originals", [ref], tenant=owner)
    assert not await store.get_many("originals", [ref], tenant="")
    assert not await store.get_many("originals", [ref], tenant=str(by_authorization(scope_with((b"authorization", b"Bearer b")))))
