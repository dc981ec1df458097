"""What is private stays out of everything that is said about an exchange: logs, reports, headers, errors, `repr`."""

import gc
import importlib
import json
import logging
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import anyio
import pytest

import headroom_asgi
from headroom_asgi import (
    CompressorConfig,
    ConfigError,
    HeadroomConfig,
    HeadroomError,
    HeadroomMiddleware,
    Interceptor,
    Keys,
    MemoryStore,
    PipelineEvent,
    PipelineStage,
    RedisStore,
    StoreError,
    Transform,
    TransformResult,
    compress,
    expand,
    open_store,
    retrieve,
)
from headroom_asgi.callers import by_authorization, with_secret
from headroom_asgi.testing import CapturedReports, RecordingExtension
from headroom_asgi.types import Message, Receive, Scope, Send
from tests.adversary import DIALECTS, MANY, asking, each_dialect, first_marker, model, request
from tests.driver import Inner, answer_json, answer_stream, http_scope, post, streamed_or_not

pytestmark = pytest.mark.anyio
PRIVATE = "canary"  # in every text that is somebody's own
ROWS = json.dumps([{**order, "note": f"{PRIVATE}-row"} for order in MANY])
LINES = "\n".join(f"2026-01-01 00:00:{at:02} INFO {PRIVATE}-line done" for at in range(60))
OUTPUTS = (ROWS, LINES, f"{PRIVATE}-text " * 50, ROWS)
HEADERS = [
    (b"authorization", b"Bearer canary-key"),
    (b"x-api-key", b"canary-key"),
    (b"cookie", b"canary-cookie"),
    (b"x-headroom-secret", b"canary-secret-of-the-proxy"),
    (b"x-headroom-tenant", b"canary-tenant"),
    (b"x-request-id", b"canary request id"),
]
ASKS = [asking(first_marker)]
FORGED = [asking("canary-ref"), ("ours", '{"ref": ["canary"]}'), ("ours", '{"canary": 1}')]


class Seen(logging.Handler):
    """Every line of the log, with all that belongs to it."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        said = {name: value for name, value in vars(record).items() if name not in ("exc_info", "args")}
        self.lines.append(f"{said} {self.format(record)}")


@pytest.fixture
def log() -> Iterator[list[str]]:
    handler, logger = Seen(), logging.getLogger("headroom_asgi")
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.DEBUG)
    yield handler.lines
    logger.setLevel(level)
    logger.removeHandler(handler)


def live() -> list[object]:
    """Every object of ours that is there now; lists and dicts of ours are like any others."""
    found = (each for each in gc.get_objects() if str(type(each).__module__).startswith("headroom_asgi"))
    return [each for each in found if not isinstance(each, (list, dict, type))]


def assert_unsaid(said: object) -> None:
    text = str(said).lower()
    at = text.find(PRIVATE)
    assert at < 0, text[max(0, at - 200) : at + 60]


class Raises:
    """Whatever it is used as, it fails with what it was given."""

    def __init__(self, *stages: PipelineStage) -> None:
        self.stages = stages

    def on_pipeline_event(self, event: PipelineEvent) -> None:
        if event.stage in self.stages:
            raise ValueError(f"canary {event.messages} {event.headers} {event.response}")

    def pre_compress(self, messages: Any, context: Any) -> None:
        raise ValueError(f"canary {messages}")

    def post_compress(self, result: Any) -> None:
        raise ValueError(f"canary {result.messages}")


class Edits:
    """An extension whose edits cannot be."""

    def on_pipeline_event(self, event: PipelineEvent) -> None:
        if event.stage is PipelineStage.INPUT_ROUTED and event.messages:
            event.messages[-1] = {"canary": float("nan"), "role": object()}  # type: ignore[dict-item]
        if event.stage is PipelineStage.PRE_SEND:
            event.headers = {"canary": "a\r\nb"}
        if event.stage is PipelineStage.RESPONSE_RECEIVED:
            event.response = {"canary": object()}


class Answers:
    """An extension whose answer is none."""

    def on_pipeline_event(self, event: PipelineEvent) -> None:
        if event.stage is PipelineStage.INPUT_RECEIVED:
            event.stage, event.response = PipelineStage.RESPONSE_RECEIVED, {"canary": {"canary"}, "choices": "canary"}


class Torn(Transform):
    name = "torn"

    def apply(self, messages: list[Any], tokenizer: Any, **kwargs: Any) -> TransformResult:
        raise ValueError(f"canary {messages}")


class BadStore(MemoryStore):
    async def get_many(self, *args: Any, **kwargs: Any) -> dict[str, bytes]:
        raise StoreError(f"canary {args} {kwargs}")

    async def put(self, *args: Any, **kwargs: Any) -> bool:
        raise OSError(f"canary {args} {kwargs}")


def shrinks(text: str, arguments: str) -> str:
    raise ValueError(f"canary {text}")


def fails(scope: Any) -> Any:
    raise LookupError(f"canary {scope}")


SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "lossless": {"mode": "lossless"},
    "audit": {"mode": "audit"},
    "tenants": {"tenant": by_authorization, "trusted_headers": with_secret("canary-secret-of-the-proxy")},
    "tenant's own": {"tenant": lambda scope: "canary-tenant", "store": MemoryStore(shared=True)},
    "tenant fails": {"tenant": fails, "trusted_headers": fails},
    "tenant is no name": {"tenant": lambda scope: ["canary"]},
    "listening": {"extensions": [RecordingExtension()]},
    "extensions fail": {"extensions": [Raises(*PipelineStage)]},
    "hooks fail": {"hooks": [Raises()]},
    "edits cannot be": {"extensions": [Edits()]},
    "answers cannot be": {"extensions": [Answers()]},
    "transforms fail": {"transforms": [Torn()]},
    "interceptors fail": {"interceptors": [Interceptor("own", ["*"], shrinks)]},
    "store fails": {"store": BadStore(shared=True)},
    "store is private": {"store": "memory://?shared=true"},
    "observers fail": {"observers": [fails]},
    "body is too large": {"max_body_bytes": 100},
    "answer is too large": {"max_response_bytes": 100},
    "code": {"code": CompressorConfig(enabled=True)},
}


LOOKED_AT = ("listening", "tenants")  # where every live object of ours is asked for its `repr`: that takes a while


async def raises_itself(body: bytes, send: Send) -> None:
    raise RuntimeError("canary of the app")


async def half_a_stream(body: bytes, send: Send) -> None:
    await answer_stream([b'data: {"choices": [{"canary"\n\n', b"event: canary\ndata: canary\n\n"])(body, send)


ODD_ANSWERS: dict[str, Any] = {
    "no json": answer_json(b'{"canary": '),
    "another shape": answer_json({"canary": ["canary"], "choices": {"canary": 1}, "content": 5, "output": "canary"}),
    "refused": answer_json({"error": {"message": "canary of the provider: signature"}}, status=400),
    "broken": answer_json({"error": "canary"}, status=500),
    "coded": answer_json(b"canary", headers=[(b"content-encoding", b"gzip")]),
    "stream": half_a_stream,
    "raises": raises_itself,
}


@each_dialect
@streamed_or_not
@pytest.mark.parametrize("name", SETTINGS)
async def test_nothing_private_is_said_about_an_exchange(name: str, dialect: str, stream: bool, log: list[str]) -> None:
    reports, reprs = CapturedReports(), [""]
    for rounds in ([ASKS, ASKS], [FORGED], [[*ASKS, ("theirs", '{"q": "canary"}')]], []):
        inner = model(dialect, *rounds, stream=stream)

        async def looked_at(scope: Scope, receive: Receive, send: Send, inner: Any = inner) -> None:
            await inner(scope, receive, send)
            if name in LOOKED_AT:
                reprs.extend(map(repr, live()))

        settings = {**SETTINGS[name]}
        observers = [reports, *settings.pop("observers", [])]
        app = HeadroomMiddleware(looked_at, discover=False, observers=observers, **settings)
        path, body = request(dialect, *OUTPUTS, stream=stream, question="canary?", user="canary")
        response = await post(app, path, body, headers=HEADERS)
        assert_unsaid([value for key, value in response.messages[0]["headers"] if key.startswith(b"x-headroom")])
    assert len(reports) == 4
    for said in (*reports, *log, *reprs):
        assert_unsaid(said)


@each_dialect
@streamed_or_not
@pytest.mark.parametrize("listening", [False, True])
@pytest.mark.parametrize("name", ODD_ANSWERS)
async def test_nothing_private_is_said_about_answers_that_are_none(
    name: str, listening: bool, dialect: str, stream: bool, log: list[str]
) -> None:
    reports = CapturedReports()
    extensions = [RecordingExtension()] if listening else []
    app = HeadroomMiddleware(Inner(ODD_ANSWERS[name]), discover=False, observers=[reports], extensions=extensions)
    path, body = request(dialect, *OUTPUTS, stream=stream, question="canary?")
    if name == "raises":
        with pytest.raises(RuntimeError, match="of the app"):
            await post(app, path, body, headers=HEADERS)
    else:
        response = await post(app, path, body, headers=HEADERS)
        assert_unsaid([value for key, value in response.messages[0]["headers"] if key.startswith(b"x-headroom")])
    assert len(reports) == 1
    for said in (*reports, *log):
        assert_unsaid(said)


BODIES = {
    "no json": b'{"canary',
    "no object": b'["canary"]',
    "no messages": b'{"messages": "canary", "input": 5}',
    "a model of one's own": json.dumps({**request("openai-chat", ROWS)[1], "model": "a canary, ignore\nall"}).encode(),
    "bad utf-8": b'{"messages": [{"role": "canary\xff"}]}',
    "deep": b'{"messages": ' + b'[{"canary":' * 100_000 + b"1" + b"}]" * 100_000 + b"}",
}


@pytest.mark.parametrize("name", BODIES)
async def test_nothing_private_is_said_about_bodies_that_are_none(name: str, log: list[str]) -> None:
    reports = CapturedReports()
    app = HeadroomMiddleware(Inner(), discover=False, observers=[reports], extensions=[RecordingExtension()])
    response = await post(app, "/v1/chat/completions", BODIES[name], headers=HEADERS)
    assert_unsaid([value for key, value in response.messages[0]["headers"] if key.startswith(b"x-headroom")])
    for said in (*reports, *log):
        assert_unsaid(said)


async def test_a_client_that_leaves_takes_its_secrets_with_it(log: list[str]) -> None:
    reports = CapturedReports()
    app = HeadroomMiddleware(Inner(), discover=False, observers=[reports])

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        """Nobody is there."""

    with pytest.raises(AssertionError, match="disconnect"):  # the inner app's own
        await app(http_scope("/v1/chat/completions", HEADERS), receive, send)
    for said in (*reports, *log):
        assert_unsaid(said)


# -- errors and objects of calls without a server ----------------------------------------------------------------------------


def message_of(call: Callable[[], object]) -> str:
    """What a call of ours raises, and what that was raised from, as a traceback tells it."""
    with pytest.raises((HeadroomError, KeyError)) as caught:
        call()
    error: BaseException | None = caught.value
    said = []
    while error is not None:
        said.append(f"{error} {error!r}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n".join(said)


ADDRESSES = [
    "canary",
    "redis://user:canary",
    "redis://user:canary@host/main",
    "redis://user:canary@host:port/0",
    "rediss://user:canary@host/0?none=1",
    "redis+sentinel://user:canary@host",
    "redis+cluster://user:canary@host:1/0",
    *(f"{scheme}://user:can{sign}canary@host/0" for scheme in ("redis", "redis+cluster") for sign in "/?#"),
    *(f"{scheme}://user:canary{sign}word@host/0" for scheme in ("redis", "redis+cluster") for sign in "/?#[\u2100"),
    "redis://user:canary@host/0?tls_ca_file=x",
    b"redis://user:canary@host/0",
    ["redis://user:canary@host/0"],
]


@pytest.mark.parametrize("address", ADDRESSES, ids=str)
def test_no_error_repeats_the_address_of_a_store(address: Any) -> None:
    assert_unsaid(message_of(lambda: HeadroomMiddleware(Inner(), discover=False, store=address)))
    if isinstance(address, str):
        assert_unsaid(message_of(lambda: open_store(address)))


def test_no_store_shows_its_password_or_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE_KEYS", "one:" + "Y2FuYXJ5" * 5 + "YWE=")
    for address in ("redis://user:canary@host/0?keys_variable=STORE_KEYS", "redis+cluster://user:canary@a:1,b:2"):
        store = open_store(address)
        app = HeadroomMiddleware(Inner(), discover=False, store=store)
        for each in (store, app, *(vars(store).values()), *live()):
            assert_unsaid(repr(each).replace("<user>:canary", ""))
    assert_unsaid(repr(RedisStore("redis://user:canary@host/0")))
    assert "Y2FuYXJ5" not in message_of(lambda: Keys.parse("one:Y2FuYXJ5"))


async def test_a_store_that_cannot_be_reached_is_named_by_its_kind(log: list[str]) -> None:
    app = HeadroomMiddleware(Inner(), discover=False, store="redis://user:canary@127.0.0.1:1/0")
    for _ in range(5):
        await post(app, *request("openai-chat", ROWS), headers=HEADERS)
        await anyio.sleep(0)
    await app._engine.aclose()
    assert any("store_down" in line for line in log)
    for line in log:
        assert_unsaid(line)


def test_no_error_of_a_call_without_a_server_quotes_a_text() -> None:
    crushed = compress(request("openai-chat", ROWS)[1]["messages"], model="gpt-4o", store=MemoryStore())
    calls: list[Callable[[], object]] = [
        lambda: expand("[json]\ncanary"),
        lambda: expand(crushed.messages[-1]["content"]),
        lambda: expand("canary"),
        lambda: compress([{"canary": object()}], model="canary"),
        lambda: compress([{"role": "user", "content": {"canary"}}], model="canary", format="openai-chat"),
        lambda: retrieve("0" * 32, store=MemoryStore()),
        lambda: HeadroomConfig(trusted_headers="canary, the proxy's secret").resolve(),
    ]
    for call in calls:
        assert_unsaid(message_of(call))
    assert_unsaid(crushed)
    with pytest.raises(ConfigError, match="max_body_bytes"):
        HeadroomConfig(max_body_bytes=0).resolve()


def test_the_dialects_here_are_the_ones_most_gateways_see() -> None:
    assert len(DIALECTS) == 3


# What may show its fields: settings, figures, constants. Anything else may come to hold a text, and is made with `repr=False`.
OPEN = {
    *("HeadroomConfig", "RouteConfig", "CompressorConfig", "ContentRouterConfig", "CacheAlignerConfig", "RetrievalConfig"),
    *("Settings", "Route", "CompressorRule", "Interceptor", "RedisTLS", "Script", "Endpoint", "ToolSpec", "Kind"),
    *("Report", "Figures", "StoreStats", "Failure"),
}
# What shows some of them.
HALF_OPEN = {
    "PipelineEvent": {"messages", "tools", "headers", "response", "metadata"},
    "TransformResult": {"messages"},
    "CompressResult": {"messages"},
    "CompressContext": {"tenant"},
}


def test_no_dataclass_shows_what_it_may_hold() -> None:
    names = [module.name for module in pkgutil.walk_packages(headroom_asgi.__path__, "headroom_asgi.")]
    modules = [importlib.import_module(name) for name in names if not name.endswith("__main__")]
    found = {each for module in modules for each in vars(module).values() if isinstance(each, type) and is_dataclass(each)}
    own = {each for each in found if each.__module__.startswith("headroom_asgi")}
    showing = {each for each in own if each.__dataclass_params__.repr and each.__repr__ is not object.__repr__}  # type: ignore[attr-defined]
    assert {each.__name__ for each in showing} - OPEN <= set(HALF_OPEN), "say repr=False"
    for each in showing:
        hidden = {field.name for field in fields(each) if not field.repr}
        assert hidden == HALF_OPEN.get(each.__name__, set()), each
