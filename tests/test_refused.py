"""A provider that refuses what was changed gets the client's own bytes, once; its conversation, and new ones, are spared from then on."""

import gzip
import json
from typing import Any

import pytest

from headroom_asgi.config import HeadroomConfig
from headroom_asgi.engine.conversation import LEDGER
from headroom_asgi.engine.refusals import Breaker, Second, second_try
from headroom_asgi.store import MemoryStore
from headroom_asgi.testing import CapturedReports, RecordingExtension
from headroom_asgi.types import Message, Receive, Scope, Send
from tests.driver import (
    PATHS,
    TABLE,
    Inner,
    Reaction,
    answer_json,
    answer_stream,
    http_scope,
    post,
    question_body,
    staying,
    stream_of,
    text_answer,
    whole_body,
    wrapped,
)
from tests.talks import FIELDS, SPEAKERS, Model, Talk

pytestmark = pytest.mark.anyio
PATH = PATHS["openai-chat"]
NO_TOOLS = {"error": "registry.ollama.ai/library/x does not support tools"}
OK = text_answer("openai-chat", "fine")
both_modes = pytest.mark.parametrize("mode", ["ccr", "lossless"])


class Picky:
    """An inner app that refuses every body but those that it is told to take."""

    def __init__(self, taken: Any, refusal: Reaction, ok: Reaction | None = None) -> None:
        self.taken = taken
        self.refusal = refusal
        self.ok = ok or answer_json(OK)
        self.bodies: list[bytes] = []
        self.scopes: list[Scope] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        self.bodies.append(await whole_body(receive))
        await (self.ok if self.taken(self.bodies[-1]) else self.refusal)(self.bodies[-1], send)


def unchanged(body: bytes) -> bool:
    return b"headroom_retrieve" not in body and b"[json" not in body


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def request(question: str = "What is up?", **more: Any) -> bytes:
    return json.dumps(question_body("openai-chat", TABLE, question=question, **more), indent=1).encode()


def opening(question: str) -> bytes:
    """The first request of a conversation."""
    body = question_body("openai-chat", TABLE, question=question)
    return json.dumps({**body, "messages": body["messages"][:1]}).encode()


@both_modes
@pytest.mark.parametrize("status", [400, 413, 422])
async def test_the_clients_own_bytes_are_tried_and_their_answer_passes(mode: str, status: int) -> None:
    reports = CapturedReports()
    inner = Picky(unchanged, answer_json(NO_TOOLS, status), answer_json(OK, 201, [(b"x-own", b"1")]))
    body = request()
    headers = [(b"idempotency-key", b"k"), (b"authorization", b"Bearer t")]
    response = await post(wrapped(inner, mode=mode, observers=[reports]), PATH, body, headers=headers)
    assert (response.status, response.json(), response.headers["x-own"]) == (201, OK, "1")
    assert [b == body for b in inner.bodies] == [False, True]
    assert response.outcome == "failed_open:refused"
    assert response.headers["x-headroom-tokens-saved"] == "0"
    assert "x-headroom-rounds" not in response.headers
    own = dict(inner.scopes[1]["headers"])
    assert own[b"content-length"] == b"%d" % len(body)
    assert own[b"authorization"] == b"Bearer t"
    assert b"idempotency-key" not in own
    assert (reports[0].outcome, reports[0].status, reports[0].tokens_saved) == ("failed_open:refused", 201, 0)


async def test_a_stream_that_answers_the_clients_own_bytes_passes_as_it_comes() -> None:
    frames = stream_of("openai-chat", OK)
    inner = Picky(unchanged, answer_json(NO_TOOLS, 400), answer_stream(frames))
    response = await post(wrapped(inner), PATH, request(stream=True))
    assert response.body == b"".join(frames)
    assert len(response.messages) == len(frames) + 2


@pytest.mark.parametrize("dialect", sorted(SPEAKERS))
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_every_dialect_has_a_second_try(dialect: str, stream: bool) -> None:
    model = Model(dialect, [("text", "fine")], stream=stream)
    model.statuses = [400, 200]
    talk = Talk(wrapped(model), dialect, stream=stream)
    response = await talk.ask()
    assert (response.status, response.outcome) == (200, "failed_open:refused")
    assert [b"headroom_retrieve" in body for body in model.bodies] == [True, False]


async def test_a_body_in_a_content_coding_is_tried_as_it_came() -> None:
    body = gzip.compress(request())
    inner = Picky(lambda data: data == body, answer_json(NO_TOOLS, 400))
    response = await post(wrapped(inner), PATH, body, headers=[(b"content-encoding", b"gzip")])
    assert response.json() == OK
    assert dict(inner.scopes[1]["headers"])[b"content-encoding"] == b"gzip"


@both_modes
@pytest.mark.parametrize(
    "error",
    [
        "This model's maximum context length is 128000 tokens.",
        "prompt is too long: 210000 tokens > 200000 maximum",
        "messages.1.content.0: Invalid `signature` in `thinking` block",
        "Function call is missing a thought_signature in functionCall parts",
        "Item 'rs_1' of type 'reasoning' was provided without its required following item.",
    ],
)
async def test_errors_that_the_own_bytes_would_not_mend_pass(mode: str, error: str) -> None:
    inner = Picky(unchanged, answer_json({"error": {"message": error}}, 400))
    response = await post(wrapped(inner, mode=mode), PATH, request())
    assert (response.status, response.json()) == (400, {"error": {"message": error}})
    assert len(inner.bodies) == 1
    assert response.outcome == "compressed"


def quoting(body: bytes, how: str) -> bytes:
    """A refusal that quotes the request, as validators do."""
    given = json.loads(body)
    detail = [{"type": "value_error", "loc": ["body"], "msg": "Only one tool is supported", "input": given}]
    if how == "printed":
        return json.dumps({"error": {"message": str(detail), "type": "BadRequestError"}}).encode()
    if how == "spelled in a text":
        return json.dumps({"error": {"message": f"upstream said {json.dumps(detail)}"}}).encode()
    if how == "as an exception":
        return f"1 validation error\nbody\n  Only one tool [type=value_error, input_value={given!r}, input_type=dict]".encode()
    return json.dumps({"detail": detail}).encode()


@pytest.mark.parametrize("how", ["as values", "printed", "spelled in a text", "as an exception"])
@pytest.mark.parametrize("question", ["Fix the signature of foo", "What is your reasoning?", "The 'name' is \"too long"])
async def test_what_a_refusal_quotes_of_the_request_says_nothing_of_the_reason(question: str, how: str) -> None:
    async def refuse(body: bytes, send: Send) -> None:
        await answer_json(quoting(body, how), 422)(body, send)

    response = await post(wrapped(Picky(unchanged, refuse)), PATH, request(question))
    assert (response.status, response.outcome) == (200, "failed_open:refused")


def test_what_is_wrong_is_read_beside_what_is_quoted() -> None:
    for message, taken in [("prompt is too long", None), ("Invalid 'input': too long", None), ("no tools here", Second.OWN)]:
        detail = {"loc": ["body", "messages"], "msg": message, "input": [{"content": "the signature is too long"}]}
        for error in ({"detail": [detail]}, {"message": str([detail])}, {"message": json.dumps(detail)}, {"error": message}):
            assert second_try(400, json.dumps(error).encode()) is taken
    assert second_try(400, b"[" * 60_000) is Second.OWN
    for many in (b"\\" * 60_000, b'\\"input' * 8_000, b"'input': {" * 6_000, b"input_value='" * 4_000):  # each in one pass
        for error in (many, json.dumps({"message": many.decode()}).encode()):
            assert second_try(400, error) is Second.OWN


@both_modes
@pytest.mark.parametrize("code", ["already_continued", "not_found", "fingerprint_mismatch", "continue_in_flight"])
async def test_what_is_said_of_a_thread_is_the_clients_to_hear(mode: str, code: str) -> None:
    """A moment later the same may be taken, whatever the body is; Anthropic's client knows what to do."""
    details = {"error_code": f"thread_{code}"}
    error = {"type": "error", "error": {"type": "invalid_request_error", "message": "no", "details": details}}
    reports = CapturedReports()
    inner = Inner(answer_json(error, 400), answer_json(text_answer("anthropic", "fine")))
    app = wrapped(inner, mode=mode, store=MemoryStore(shared=True), observers=[reports])
    body = question_body("anthropic", TABLE, thread={"type": "create"})
    received = await post(app, PATHS["anthropic"], body)
    assert (received.status, received.json(), len(inner.bodies)) == (400, error, 1)
    assert (await post(app, PATHS["anthropic"], body)).status == 200
    assert [report.outcome for report in reports] == ["compressed"] * 2  # nothing is spared for that


def test_a_thread_is_told_of_by_gateways_too_and_only_where_there_is_one() -> None:
    error = json.dumps({"details": {"error_code": "thread_continue_in_flight"}})
    handed_on = json.dumps({"error": {"message": f"AnthropicException - {error}"}})
    for told in (error, handed_on, json.dumps({"error": handed_on})):
        assert second_try(400, told.encode(), held=True) is None
        assert second_try(422, told.encode(), held=False) is Second.OWN  # an echo of something else


@both_modes
@pytest.mark.parametrize("fails", [1, 2], ids=["behind the refusal", "behind the second answer"])
@pytest.mark.parametrize("status", [200, 400, 401])
async def test_what_fails_behind_a_whole_answer_keeps_nobody_from_getting_one(mode: str, fails: int, status: int) -> None:
    """As frameworks do whose background work fails."""
    answers = [answer_json(NO_TOOLS, 400), answer_json(OK, status)]
    got: list[Message] = []
    calls = 0

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal calls
        calls += 1
        number = calls
        await answers[number - 1](await whole_body(receive), send)
        if number == fails:
            raise LookupError("behind")

    async def send(message: Message) -> None:
        got.append(message)

    with pytest.raises(LookupError, match="behind"):
        await wrapped(inner, mode=mode)(http_scope(PATH), staying(request()), send)
    told = NO_TOOLS if status == 400 else OK
    assert (calls, got[0]["status"], json.loads(b"".join(message.get("body", b"") for message in got))) == (2, status, told)
    assert not got[-1].get("more_body", False)


@both_modes
@pytest.mark.parametrize("status", [401, 404, 429, 500, 503])
async def test_other_errors_pass(mode: str, status: int) -> None:
    inner = Picky(unchanged, answer_json(NO_TOOLS, status))
    assert (await post(wrapped(inner, mode=mode), PATH, request())).status == status
    assert len(inner.bodies) == 1


@pytest.mark.parametrize(("most", "calls"), [(128, 1), (64, 2)], ids=["by OpenAI", "by a gateway"])
@pytest.mark.parametrize("dialect", ["openai-chat", "openai-responses"])
async def test_a_client_with_as_many_tools_as_are_taken_gets_its_answer(dialect: str, most: int, calls: int) -> None:
    message = (
        f"Invalid 'tools': array too long. Expected an array with maximum length {most}, but got one with length {most + 1}."
    )
    error = {"message": message, "type": "invalid_request_error", "param": "tools", "code": "array_above_max_length"}
    inner = Picky(lambda body: len(json.loads(body)["tools"]) <= most, answer_json({"error": error}, status=400))
    reports = CapturedReports()
    function = {"parameters": {"type": "object"}}
    if dialect == "openai-chat":
        tools = [{"type": "function", "function": {"name": f"f{n}", **function}} for n in range(most)]
        path, body = PATH, {**question_body("openai-chat", TABLE), "tools": tools}
    else:
        tools = [{"type": "function", "name": f"f{n}", **function} for n in range(most)]
        path, body = "/v1/responses", {**FIELDS[dialect], "input": "hi", "tools": tools}
    assert (await post(wrapped(inner, observers=[reports]), path, body)).json() == OK
    assert len(inner.bodies) == calls
    assert reports[0].obstacle == ("too_many_tools" if calls == 1 else "")


async def test_a_body_that_was_not_changed_is_not_tried_twice() -> None:
    inner = Picky(lambda body: False, answer_json(NO_TOOLS, 400))
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "q"}]}).encode()
    assert (await post(wrapped(inner), PATH, body)).status == 400
    assert len(inner.bodies) == 1


@both_modes
async def test_the_first_error_stands_where_the_own_bytes_are_refused_as_well(mode: str) -> None:
    reports, told = CapturedReports(), RecordingExtension()
    answers = iter([answer_json({"error": "first"}, 400, [(b"x-first", b"1")]), answer_json({"error": "second"}, 422)])

    async def refuse(body: bytes, send: Send) -> None:
        await next(answers)(body, send)

    inner = Picky(lambda body: False, refuse)
    store = MemoryStore()
    response = await post(wrapped(inner, mode=mode, observers=[reports], store=store, extensions=[told]), PATH, request())
    assert (response.status, response.json(), response.headers["x-first"]) == (400, {"error": "first"}, "1")
    assert (response.outcome, reports[0].status) == ("compressed", 400)
    assert [event.response for event in told.events if event.stage.value == "response_received"] == [{"error": "first"}]
    assert [key async for key in store.scan(LEDGER, "")] == []


@both_modes
@pytest.mark.parametrize("status", [401, 429, 503])
async def test_another_error_over_the_own_bytes_is_what_the_client_would_have_got(mode: str, status: int) -> None:
    reports = CapturedReports()
    later = answer_json({"error": "later"}, status, [(b"retry-after", b"1")])
    inner = Picky(unchanged, answer_json(NO_TOOLS, 400), later)
    store = MemoryStore()
    response = await post(wrapped(inner, mode=mode, observers=[reports], store=store), PATH, request())
    assert (response.status, response.json(), response.headers["retry-after"]) == (status, {"error": "later"}, "1")
    assert (len(inner.bodies), reports[0].status) == (2, status)
    assert [key async for key in store.scan(LEDGER, "")] == []  # nothing is known of what is taken


@both_modes
async def test_however_long_that_error_is(mode: str) -> None:
    page = b"<p>" * 40_000
    inner = Picky(unchanged, answer_json(NO_TOOLS, 400), answer_json(page, 503, [(b"retry-after", b"1")]))
    response = await post(wrapped(inner, mode=mode), PATH, request())
    assert (response.status, response.body, response.headers["retry-after"]) == (503, page, "1")


@both_modes
async def test_an_error_too_large_to_be_one_passes(mode: str) -> None:
    raw = b"x" * 70_000
    inner = Picky(unchanged, answer_json(raw, 400))
    response = await post(wrapped(inner, mode=mode), PATH, request())
    assert (response.body, len(inner.bodies)) == (raw, 1)


@both_modes
async def test_an_exception_over_the_own_bytes_comes_out(mode: str) -> None:
    async def fail(body: bytes, send: Send) -> None:
        raise LookupError("own")

    inner = Picky(unchanged, answer_json(NO_TOOLS, 400), fail)
    with pytest.raises(LookupError, match="own"):
        await post(wrapped(inner, mode=mode), PATH, request())


async def test_a_conversation_that_was_refused_goes_as_it_comes_from_then_on() -> None:
    inner = Picky(unchanged, answer_json(NO_TOOLS, 400))
    app = wrapped(inner, store=MemoryStore())
    await post(app, PATH, request("one"))
    for body in (request("one"), request("one", temperature=0)):
        response = await post(app, PATH, body)
        assert inner.bodies[-1] == body
        assert response.outcome == "skipped:pinned_off"
    assert len(inner.bodies) == 4
    response = await post(app, PATH, request("another"))
    assert response.outcome == "failed_open:refused"
    assert len(inner.bodies) == 6


async def test_new_conversations_are_spared_for_a_while_and_those_under_way_are_not() -> None:
    inner = Picky(lambda body: unchanged(body) or b"under way" in body, answer_json(NO_TOOLS, 400))
    store = MemoryStore(shared=True)
    app = wrapped(inner, store=store)
    await post(app, PATH, request("one"))
    assert (await post(app, PATH, opening("new"))).outcome == "skipped:pinned_off"
    assert (await post(app, PATH, request("under way"))).outcome == "compressed"
    # What was pinned stays so: other workers share the store, and the breaker closes some day.
    assert (await post(wrapped(inner, store=store), PATH, request("new"))).outcome == "skipped:pinned_off"
    assert (await post(wrapped(inner, store=store), PATH, request("newer"))).outcome == "failed_open:refused"


async def test_a_conversation_that_the_provider_holds_is_spared_at_its_later_turns() -> None:
    async def react(body: bytes, send: Send) -> None:
        said = {
            "type": "message",
            "id": "m",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "ok", "annotations": []}],
        }
        answer = {"id": f"resp_{len(inner.bodies)}", "object": "response", "status": "completed", "output": [said], "tools": []}
        await answer_json(answer)(body, send)

    inner = Picky(unchanged, answer_json(NO_TOOLS, 400), react)
    app = wrapped(inner, store=MemoryStore(shared=True))
    held: dict[str, str] = {}
    outcomes = []
    for _ in range(3):
        response = await post(app, "/v1/responses", {**FIELDS["openai-responses"], "store": True, "input": "hi", **held})
        held = {"previous_response_id": response.json()["id"]}
        outcomes.append(response.outcome)
    assert outcomes == ["failed_open:refused", "skipped:pinned_off", "skipped:pinned_off"]
    assert len(inner.bodies) == 4


async def test_without_a_shared_store_three_refusals_in_a_row_are_believed() -> None:
    """One may be a whim of the provider's, and other workers would not know of it."""
    inner = Picky(unchanged, answer_json(NO_TOOLS, 400))
    app = wrapped(inner, store=MemoryStore())
    outcomes = [(await post(app, PATH, opening(f"number {number}"))).outcome for number in range(6)]
    assert outcomes == ["failed_open:refused"] * 3 + ["skipped:pinned_off"] * 3
    assert len(inner.bodies) == 3 * 2 + 3
    assert (await post(app, PATH, request("number 5"))).outcome == "skipped:pinned_off"
    assert (await post(app, PATH, request("of yesterday"))).outcome == "failed_open:refused"  # it has a prefix to lose


async def test_without_a_shared_store_a_body_that_is_taken_begins_the_count_anew() -> None:
    inner = Picky(lambda body: unchanged(body) or b"liked" in body, answer_json(NO_TOOLS, 400))
    app = wrapped(inner, store=MemoryStore())
    names = ["one", "two", "liked", "three", "four", "liked too", "five"]
    outcomes = [(await post(app, PATH, opening(name))).outcome for name in names]
    assert [outcome == "failed_open:refused" for outcome in outcomes] == ["liked" not in name for name in names]
    assert "skipped:pinned_off" not in outcomes


def test_a_breaker_closes_after_a_minute_and_knows_routes_tenants_and_models_apart() -> None:
    now = 0.0
    breaker = Breaker(clock=lambda: now)
    route = HeadroomConfig().resolve().default
    other = HeadroomConfig(mode="lossless").resolve().default
    breaker.trip(route, "t", "m")
    now = 59.9
    assert breaker.tripped(route, "t", "m")
    assert not breaker.tripped(route, "t", "n")
    assert not breaker.tripped(route, "u", "m")
    assert not breaker.tripped(other, "t", "m")
    now = 60.0
    assert not breaker.tripped(route, "t", "m")


def test_a_breaker_that_has_to_be_sure_stays_so_until_something_is_taken() -> None:
    now = 1.0
    breaker = Breaker(3, lambda: now)
    route = HeadroomConfig().resolve().default

    def tripped_after(refusals: int) -> bool:
        for _ in range(refusals):
            breaker.trip(route, "t", "m")
        return breaker.tripped(route, "t", "m")

    assert not tripped_after(2)
    breaker.accepted(route, "t", "m")
    assert not tripped_after(2)
    assert tripped_after(1)
    breaker.accepted(route, "t", "m")  # of a conversation that was under way
    assert breaker.tripped(route, "t", "m")
    now += 60
    assert not breaker.tripped(route, "t", "m")
    assert tripped_after(1)
    now += 60
    breaker.accepted(route, "t", "m")
    assert not tripped_after(2)


def test_a_breaker_remembers_a_bounded_number_of_models() -> None:
    breaker = Breaker(clock=lambda: 0.0)
    route = HeadroomConfig().resolve().default
    for number in range(1025):
        breaker.trip(route, "", str(number))
    assert not breaker.tripped(route, "", "0")
    assert breaker.tripped(route, "", "1")
    assert breaker.tripped(route, "", "1024")


async def test_a_refusal_to_count_tokens_says_nothing_of_what_a_model_takes() -> None:
    """Some servers count without tools: what goes to the model has the same bytes as before."""
    inner = Picky(lambda body: unchanged(body) or b"stream" in body, answer_json(NO_TOOLS, 400))
    app = wrapped(inner, store=MemoryStore(shared=True))
    asked = question_body("anthropic", TABLE)
    counted = {key: value for key, value in asked.items() if key != "stream"}
    await post(app, PATHS["anthropic"], asked)
    assert (await post(app, f"{PATHS['anthropic']}/count_tokens", counted)).outcome == "failed_open:refused"
    await post(app, PATHS["anthropic"], asked)
    assert inner.bodies[0] == inner.bodies[-1]
    assert not unchanged(inner.bodies[0])
