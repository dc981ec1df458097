"""Answers that the provider keeps, asked for by callers who say more than they may: control headers count there as elsewhere."""

from typing import Any

import pytest

from headroom_asgi import HeadroomMiddleware, MemoryStore
from headroom_asgi.retrieval import TOOL
from headroom_asgi.types import Receive, Scope, Send
from tests.driver import Received
from tests.test_adversary_headers import INSIDE, SPELLINGS, controls_in
from tests.test_kept_answers import THREE, Keeping, about, answered

pytestmark = pytest.mark.anyio
methods = pytest.mark.parametrize("method", ["GET", "DELETE"])
INPUT = "/input_items"


class Watched(Keeping):
    """A provider that keeps its answers, and the scopes of its calls."""

    def __init__(self) -> None:
        super().__init__(*THREE)
        self.scopes: list[Scope] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        await super().__call__(scope, receive, send)


def by_team(scope: Any) -> str:
    """The tenant that a proxy names."""
    return next(value.decode() for key, value in scope["headers"] if key == b"x-team")


async def kept(**settings: Any) -> tuple[Watched, HeadroomMiddleware, str]:
    """A provider that has kept an answer of three rounds for `one`, the app in front of it, and the answer's name."""
    model = Watched()
    app = HeadroomMiddleware(
        model, store=MemoryStore(shared=True), discover=False, trusted_headers=["10.0.0.0/8"], tenant=by_team, **settings
    )
    name, _ = await answered_by(app, "one")
    model.scopes.clear()
    return model, app, name


async def answered_by(app: HeadroomMiddleware, team: str) -> tuple[str, Received]:
    async def as_team(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "headers": [*scope["headers"], (b"x-team", team.encode())]}, receive, send)

    return await answered(as_team)


async def asks(app: Any, name: str, method: str, *headers: tuple[bytes, bytes], team: bytes = b"one", **scope: Any) -> Received:
    return await about(app, name, method, headers=[(b"x-team", team), *headers], **scope)


@methods
@pytest.mark.parametrize("header", SPELLINGS)
async def test_a_strangers_control_headers_do_nothing_and_reach_nobody(method: str, header: bytes) -> None:
    model, app, name = await kept()
    response = await asks(app, name, method, (header, b"true"), (header, b"off"))
    assert TOOL.name.encode() not in response.body
    assert len(model.asked) == 3
    assert [controls_in(scope) for scope in model.scopes] == [[], [], []]


@methods
async def test_a_trusted_bypass_asks_the_provider_for_that_one_answer_and_no_other(method: str) -> None:
    for value in ((b"x-headroom-bypass", b"true"), (b"x-headroom-mode", b"off")):
        model, app, name = await kept()
        await asks(app, name, method, value, **INSIDE)
        assert model.asked == [(method, name)]
        assert controls_in(model.scopes[0]) == []
        assert "headroom" not in (model.scopes[0].get("extensions") or {})


@methods
async def test_what_cannot_be_told_passes_as_it_came(method: str) -> None:
    for wrong in ([(b"x-headroom-bypass", b"false")] * 2, [(b"x-headroom-mode", b"loud")], [(b"x-headroom-tenant", b"")]):
        model, app, name = await kept()
        await asks(app, name, method, *wrong, **INSIDE)
        assert model.asked == [(method, name)]
        assert controls_in(model.scopes[0]) == []


@methods
async def test_a_trusted_tenant_header_says_whose_answer_it_is(method: str) -> None:
    model, app, name = await kept()
    await asks(app, name, method, (b"x-headroom-tenant", b"two"), **INSIDE)
    assert model.asked == [(method, name)]
    model, app, name = await kept()
    await asks(app, name, method, (b"x-headroom-tenant", b"one"), team=b"two", **INSIDE)
    assert len(model.asked) == 3
    model, app, name = await kept()  # of a stranger it says nothing
    await asks(app, name, method, (b"x-headroom-tenant", b"one"), team=b"two")
    assert model.asked == [(method, name)]


async def test_a_lower_mode_changes_nothing_about_an_answer_that_was_given() -> None:
    model, app, name = await kept()
    response = await asks(app, name, "GET", (b"x-headroom-mode", b"lossless"), **INSIDE)
    assert TOOL.name.encode() not in response.body
    await asks(app, name + INPUT, "GET", (b"x-headroom-mode", b"lossless"), **INSIDE)
    assert model.asked[-1] == ("GET", "resp_1")
    assert [controls_in(scope) for scope in model.scopes] == [[]] * 4


async def test_a_tenant_nobody_can_tell_gets_what_the_provider_has() -> None:
    model, app, name = await kept()
    await about(app, name)  # no x-team: the resolver fails
    assert model.asked == [("GET", name)]
