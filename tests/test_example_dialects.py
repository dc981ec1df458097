"""The scripted upstream in every dialect: streams that add up to the answer, and the rules that providers hold clients to."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from example_app import upstream
from example_app.dialects import DIALECTS, RefusedError
from example_app.speakers import SPEAKERS, DemoError, Talk, Tool
from example_app.view import WireFormat
from tests.driver import Received, post

pytestmark = pytest.mark.anyio
every_dialect = pytest.mark.parametrize("dialect", DIALECTS)

MODELS: dict[WireFormat, str] = {"gemini": "gemini-3-pro", "converse": "anthropic.claude-opus", "invoke": "anthropic.claude-opus"}
TOOLS = (Tool("list_orders", "Lists orders.", ("city",)), Tool("headroom_retrieve", "Gets what was left out.", ("ref",)))
ORDERS = {"tool": "list_orders", "arguments": {"city": "São Paulo"}}
MORE = {"tool": "list_orders", "arguments": {"city": "Oslo"}}
HIDDEN = {"tool": "headroom_retrieve", "arguments": {"ref": "$0"}}


def talk_of(dialect: WireFormat, *, stream: bool = False) -> Talk:
    return Talk(MODELS.get(dialect, "demo-model"), "Be brief.", TOOLS, stream, "enabled")


class Conversation:
    """A client that talks to the upstream itself, without the middleware."""

    def __init__(self, dialect: WireFormat, app: Any = None) -> None:
        self.dialect = dialect
        self.app = app or upstream.app()
        self.speaker = SPEAKERS[dialect]
        self.messages: list[dict[str, Any]] = []

    async def send(self, *, stream: bool = False, **control: Any) -> Received:
        talk = talk_of(self.dialect, stream=stream)
        path, _, query = self.speaker.path(talk).partition("?")
        headers = [(b"x-demo-control", json.dumps(control).encode()), (b"x-session-id", b"s")]
        body = self.speaker.body(talk, self.messages)
        return await post(self.app, path, body, headers=headers, query_string=query.encode())

    async def said(self, *, stream: bool = False, **control: Any) -> dict[str, Any]:
        received = await self.send(stream=stream, **control)
        assert received.status == 200, received.body
        return self.speaker.assembled(received.body) if stream else received.json()

    async def turn(self, *, stream: bool = False, **control: Any) -> list[str]:
        """Ask once more, keep what was said, answer its calls; the names of the calls."""
        turn = self.speaker.turn(await self.said(stream=stream, **control))
        asked = self.speaker.calls(turn)
        self.messages += [*turn, *self.speaker.results(asked, ["sunny"] * len(asked))]
        return [call.name for call in asked]

    async def counts(self) -> dict[str, int]:
        scope = {"method": "GET"}
        return (await post(self.app, "/_seen/s", b"", **scope)).json()


STEPS = {"steps": [{"say": "I look. ", "calls": [ORDERS, HIDDEN, MORE]}, {"calls": [HIDDEN]}, {"say": "It's all “fine”."}]}


@every_dialect
@pytest.mark.parametrize("split", [(), (1,), (3, 50)], ids=["frames", "bytes", "pieces"])
async def test_a_stream_adds_up_to_the_answer_that_is_not_streamed(dialect: WireFormat, split: tuple[int, ...]) -> None:
    one = Conversation(dialect)
    one.messages.append(one.speaker.user("Hi."))
    for _ in STEPS["steps"]:
        whole = await one.said(script=STEPS)
        streamed = await one.said(stream=True, script=STEPS, split=split)
        turn = one.speaker.turn(whole)
        assert one.speaker.turn(streamed) == [{k: v for k, v in part.items() if k != "refusal"} for part in turn]
        for member in ("usage", "usageMetadata", "eval_count", "stopReason", "stop_reason"):
            assert streamed.get(member) == whole.get(member)
        asked = one.speaker.calls(turn)
        one.messages += [*turn, *one.speaker.results(asked, ["sunny"] * len(asked))]


@every_dialect
async def test_steps_are_taken_one_by_one_and_prefixes_that_grow_are_not_broken(dialect: WireFormat) -> None:
    one = Conversation(dialect)
    one.messages.append(one.speaker.user("Hi."))
    taken = [await one.turn(stream=bool(n % 2), script=STEPS) for n in range(3)]
    assert taken == [["list_orders", "headroom_retrieve", "list_orders"], ["headroom_retrieve"], []]
    counts = await one.counts()
    assert (counts["seen"], counts["retrievals"]) == (3, 2)
    assert counts["validation_failures"] == counts["prefix_broken"] == counts["forgotten"] == counts["unread"] == 0


@every_dialect
async def test_hidden_calls_that_the_client_does_not_repeat_are_counted(dialect: WireFormat) -> None:
    one = Conversation(dialect)
    one.messages.append(one.speaker.user("Hi."))
    steps = {"steps": [{"calls": [HIDDEN]}, {"say": "Done."}]}
    asked = list(one.messages)
    await one.turn(script=steps)
    await one.turn(script=steps)
    one.messages = [*asked, one.messages[-1], one.speaker.user("And?")]
    if dialect == "responses":
        one.messages = [item for item in one.messages if item.get("type") != "reasoning"]
    if dialect in ("anthropic", "invoke", "converse"):
        one.messages[1]["content"] = one.messages[1]["content"][-1:]
    await one.turn(script={"steps": [{"say": "Nothing."}]})
    counts = await one.counts()
    assert (counts["forgotten"], counts["prefix_broken"]) == (1, 0)


@every_dialect
async def test_it_fails_in_the_round_it_is_told_to(dialect: WireFormat) -> None:
    one = Conversation(dialect)
    one.messages.append(one.speaker.user("Hi."))
    steps = {"steps": [{"calls": [HIDDEN]}, {"say": "Done, all of it, at last."}]}
    for how in ("status", "error", "disconnect"):
        assert (await one.send(stream=True, script=steps, fail={"round": 2, "how": how})).status == 200
    await one.turn(script=steps)
    refused = await one.send(script=steps, fail={"round": 2, "status": 503})
    assert (refused.status, b"Busy" in refused.body) == (503, True)
    with pytest.raises((DemoError, KeyError)):
        one.speaker.assembled((await one.send(stream=True, script=steps, fail={"round": 2, "how": "error", "after": 2})).body)
    for stream in (True, False):
        with pytest.raises(Exception, match="^$") as broken:
            await one.send(stream=stream, script=steps, fail={"round": 2, "how": "disconnect", "after": 2})
        assert broken.type.__name__ == "BrokenOffError"


@every_dialect
async def test_reasoning_is_bound_to_what_stands_before_it(dialect: WireFormat) -> None:
    """Claude's is refused, OpenAI's is not read, Gemini's belongs to its call; the others sign nothing."""
    one = Conversation(dialect)
    one.messages.append(one.speaker.user("Hi."))
    await one.turn(script=STEPS)
    one.messages[0] = one.speaker.user("Hello.")
    received = await one.send(script=STEPS)
    assert (received.status == 400) == (dialect in ("anthropic", "invoke", "converse"))
    assert (await one.counts())["unread"] == (dialect == "responses")


def responses_body(*items: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"model": "m", "input": [{"role": "user", "content": "hi"}, *items], **more}


CALL = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "call_1", "output": "sunny"}
THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x.call_1"}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (responses_body(CALL), "No tool output found for function call call_1"),
        (responses_body(CALL, {**OUTPUT, "id": "fc_1"}), "No tool output found for function call call_1"),
        (responses_body(OUTPUT), "No tool call found for function call output with call_id call_1"),
        (responses_body(CALL, OUTPUT, OUTPUT), "No tool call found"),
        (responses_body(CALL, OUTPUT, {**CALL, "call_id": "call_2"}, {**OUTPUT, "call_id": "call_2"}), "Duplicate item"),
        (responses_body(THOUGHT), "without its required following item"),
        (responses_body(THOUGHT, {"role": "user", "content": "x"}), "without its required following item"),
        (responses_body(THOUGHT, {**CALL, "call_id": "call_2"}, {**OUTPUT, "call_id": "call_2"}), "required following item"),
        (responses_body({"role": "robot", "content": "x"}), "Invalid value"),
        (responses_body({"type": "function_call_output", "call_id": "call_1"}), "output"),
    ],
)
def test_responses_requests_are_refused_as_the_provider_does(body: dict[str, Any], said: str) -> None:
    with pytest.raises(RefusedError, match=said):
        DIALECTS["responses"].validate(body)


@pytest.mark.parametrize(
    "body",
    [
        responses_body(THOUGHT, CALL, OUTPUT),
        responses_body(CALL, CALL | {"id": "", "call_id": "b"}, {**OUTPUT, "call_id": "b"}, OUTPUT),
    ],
)
def test_valid_responses_requests_are_accepted(body: dict[str, Any]) -> None:
    DIALECTS["responses"].validate(body)


async def test_responses_and_conversations_are_held() -> None:
    app = upstream.app()

    async def ask(script: dict[str, Any], **body: Any) -> Received:
        headers = [(b"x-demo-control", json.dumps({"script": script}).encode()), (b"x-session-id", b"held")]
        tools = [{"type": "function", "name": "list_orders", "parameters": {}}]
        return await post(app, "/v1/responses", {"model": "m", "tools": tools, **body}, headers=headers)

    call = {"steps": [{"calls": [ORDERS]}, {"say": "Fine."}]}
    for held in ("previous", "conversation"):
        where: dict[str, Any] = {"conversation": "conv_1"} if held == "conversation" else {}
        first = (await ask(call, input="Hi.", **where)).json()
        where = where or {"previous_response_id": first["id"]}
        refused = await ask(call, input="And?", **where)
        assert (refused.status, b"No tool output found" in refused.body) == (400, True)
        output = {**OUTPUT, "call_id": first["output"][0]["call_id"]}
        second = (await ask(call, input=[output], **where)).json()
        assert second["output"][0]["content"][0]["text"] == "Fine."
    assert (await ask(call, input="x", previous_response_id="resp_none")).json()["error"]["code"] == "previous_response_not_found"
    kept = (await ask(call, input="Hi.", store=False)).json()
    assert (await ask(call, input="x", previous_response_id=kept["id"])).status == 400
    both = await ask(call, input="x", previous_response_id=second["id"], conversation="conv_1")
    assert (both.status, b"Mutually exclusive" in both.body) == (400, True)


async def test_anthropic_threads_are_held_and_continued_once() -> None:
    app = upstream.app()

    async def ask(thread: dict[str, Any], text: str, **more: Any) -> Received:
        body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": text}], "thread": thread, **more}
        return await post(app, "/v1/messages", body)

    first = (await ask({"type": "create"}, "Hi.")).json()
    follow = {"type": "continue", "previous_message_id": first["id"]}
    changed = await ask(follow, "And?", system="Be long.")
    assert changed.json()["error"]["details"]["error_code"] == "thread_fingerprint_mismatch"
    assert (await ask(follow, "And?")).status == 200
    assert (await ask(follow, "Or?")).json()["error"]["details"]["error_code"] == "thread_already_continued"
    assert (await ask({**follow, "previous_message_id": "msg_none"}, "x")).status == 404


def gemini_body(*contents: dict[str, Any], model: str = "gemini-3-pro", **more: Any) -> dict[str, Any]:
    return {"model": model, "contents": [{"role": "user", "parts": [{"text": "hi"}]}, *contents], **more}


def asks(*names: str, signature: str | None = "skip_thought_signature_validator") -> dict[str, Any]:
    parts: list[dict[str, Any]] = [{"functionCall": {"name": name, "args": {}}} for name in names]
    if signature:
        parts[0]["thoughtSignature"] = signature
    return {"role": "model", "parts": parts}


def answers(*names: str) -> dict[str, Any]:
    return {"role": "user", "parts": [{"functionResponse": {"name": name, "response": {"output": "x"}}} for name in names]}


LATER = {"role": "user", "parts": [{"text": "and?"}]}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (gemini_body(asks("f", "g"), answers("f")), "number of function response parts"),
        (gemini_body(asks("f")), "followed by their function responses"),
        (gemini_body(answers("f")), "number of function response parts"),
        (gemini_body(asks("f"), answers("g")), "name the functions"),
        (gemini_body(asks("f", signature=None), answers("f")), "missing a thought_signature"),
        (gemini_body(asks("f", signature="other"), answers("f")), "Corrupted thought signature"),
        (gemini_body({"role": "model", "parts": []}), "must not be empty"),
        (gemini_body({"role": "model", "parts": [{"thoughtSignature": "x"}]}), "must have one initialized field"),
        (
            gemini_body(tools=[{"functionDeclarations": [{"name": "f", "parameters": {"additionalProperties": False}}]}]),
            "Unknown name",
        ),
        (gemini_body(tools=[{"functionDeclarations": [{"name": "f"}]}], cachedContent="c"), "CachedContent"),
    ],
)
def test_gemini_requests_are_refused_as_the_provider_does(body: dict[str, Any], said: str) -> None:
    with pytest.raises(RefusedError, match=said):
        DIALECTS["gemini"].validate(body)


@pytest.mark.parametrize(
    "body",
    [
        gemini_body(asks("f", "g"), answers("f", "g"), asks("f"), answers("f")),
        gemini_body(asks("f", signature=None), answers("f"), model="gemini-2.5-pro"),
        gemini_body(asks("f", signature=None), answers("f"), {"role": "model", "parts": [{"text": "x"}]}, LATER),
    ],
)
def test_valid_gemini_requests_are_accepted(body: dict[str, Any]) -> None:
    DIALECTS["gemini"].validate(body)


async def test_gemini_streams_an_array_where_no_events_are_asked_for() -> None:
    body = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
    received = await post(upstream.app(), "/v1/models/gemini-2.5-pro:streamGenerateContent", body)
    assert received.headers["content-type"] == "application/json"
    texts = [chunk["candidates"][0]["content"]["parts"][0]["text"] for chunk in received.json()]
    assert "".join(texts) == "Hello from the scripted upstream."


USE = {"role": "assistant", "content": [{"toolUse": {"toolUseId": "t1", "name": "f", "input": {}}}]}
TOLD = {"role": "user", "content": [{"toolResult": {"toolUseId": "t1", "content": [{"text": "x"}]}}]}
CONFIG = {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {}}}}]}


def converse_body(*messages: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": [{"text": "hi"}]}, *messages], **more}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (converse_body(USE, TOLD), "toolConfig field must be defined"),
        (converse_body(toolConfig={"tools": []}), "valid min length: 1"),
        (converse_body(toolConfig={"tools": [{}]}), "one member"),
        (converse_body(USE, toolConfig=CONFIG), "immediately after: t1"),
        (converse_body(USE, {"role": "user", "content": [{"text": "no"}]}, toolConfig=CONFIG), "immediately after: t1"),
        (converse_body(TOLD, toolConfig=CONFIG), "unexpected `tool_use_id`"),
        (converse_body({"role": "assistant", "content": [{"text": " "}]}), "is blank"),
        (converse_body({"role": "assistant", "content": []}), "is empty"),
        (converse_body({"role": "assistant", "content": [{"text": "x", "cachePoint": {}}]}), "one member"),
    ],
)
def test_converse_requests_are_refused_as_the_provider_does(body: dict[str, Any], said: str) -> None:
    with pytest.raises(RefusedError, match=said):
        DIALECTS["converse"].validate(body)


def test_cache_points_are_no_part_of_converse_s_prefix() -> None:
    body = converse_body(USE, TOLD, toolConfig=CONFIG)
    cached = converse_body(USE, TOLD, toolConfig={"tools": [*CONFIG["tools"], {"cachePoint": {"type": "default"}}]})
    DIALECTS["converse"].validate(cached)
    assert DIALECTS["converse"].head(body) == DIALECTS["converse"].head(cached)


def without_version(body: dict[str, Any]) -> None:
    del body["anthropic_version"]


def says_stream(body: dict[str, Any]) -> None:
    body["stream"] = True


@pytest.mark.parametrize("change", [without_version, says_stream])
def test_invoke_requests_are_refused_as_the_provider_does(change: Callable[[dict[str, Any]], None]) -> None:
    body = {
        "anthropic_version": "bedrock-2023-05-31",
        "model": "m",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "x"}],
    }
    DIALECTS["invoke"].validate(body)
    change(body)
    with pytest.raises(RefusedError):
        DIALECTS["invoke"].validate(body)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"model": "m", "messages": [{"role": "user", "content": [{"type": "text"}]}]}, "cannot unmarshal"),
        ({"model": "m", "messages": [{"role": "robot", "content": "x"}]}, "invalid role"),
        ({"model": "plain-7b", "tools": [{}], "messages": [{"role": "user", "content": "x"}]}, "does not support tools"),
        (
            {"model": "m", "messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}]},
            "cannot unmarshal string",
        ),
    ],
)
def test_ollama_requests_are_refused_as_the_provider_does(body: dict[str, Any], said: str) -> None:
    with pytest.raises(RefusedError, match=said):
        DIALECTS["ollama"].validate(body)


@pytest.mark.parametrize(
    ("model", "message", "said"),
    [
        ("deepseek-reasoner", {}, "reasoning_content"),
        ("mistral-large", {}, "length of 9"),
    ],
)
def test_chat_variants_have_rules_of_their_own(model: str, message: dict[str, Any], said: str) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    turn = {"role": "assistant", "content": None, "tool_calls": [call], **message}
    body = {"model": model, "messages": [turn, {"role": "tool", "tool_call_id": "call_1", "content": "x"}]}
    DIALECTS["chat"].validate({**body, "model": "gpt-6"})
    with pytest.raises(RefusedError, match=said):
        DIALECTS["chat"].validate(body)


@pytest.mark.parametrize(
    "path",
    ["/v1/messages/count_tokens", "/v1/responses/input_tokens", "/v1/models/gemini-3:countTokens", "/model/m/count-tokens"],
)
async def test_counts_are_given_and_nothing_is_noted(path: str) -> None:
    app = upstream.app()
    messages = [{"role": "user", "content": "hi"}]
    spelled = {"contents": [{"parts": [{"text": "hi"}]}], "input": messages}
    converse = {"input": {"converse": {"messages": [{"role": "user", "content": [{"text": "hi"}]}]}}}
    received = await post(app, path, converse if path.startswith("/model") else {"model": "m", "messages": messages, **spelled})
    assert received.status == 200, received.body
    assert max(value for value in received.json().values() if isinstance(value, int)) > 0
    assert (await post(app, "/_stats", b"", method="GET")).json()["seen"] == 0
