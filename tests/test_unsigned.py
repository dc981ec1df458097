"""A provider that refuses a request for the reasoning in it is asked once more without, where its rules allow that."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headroom_asgi import HeadroomMiddleware
from headroom_asgi.store import MemoryStore
from headroom_asgi.testing import CapturedReports
from headroom_asgi.types import Send
from headroom_asgi.wire import Payload, dialect_named, splice
from tests.driver import ORDERS, Inner, Received, answer_json, answer_stream, call_answer, post, stream_of, text_answer

BLOCKS = {"S": "thinking", "r": "redacted_thinking", "t": "text", "C": "tool_use", "R": "tool_result"}
BOUND = {"error": {"message": "messages.1.content.0: `thinking` block signature is bound to a different conversation"}}
SCHEMA: dict[str, Any] = {"type": "object", "properties": {}}
PATH = "/v1/messages"
every_dialect = pytest.mark.parametrize("dialect", ["anthropic", "bedrock-invoke", "bedrock"])


def anthropic_block(letter: str, number: int) -> dict[str, Any]:
    more: dict[str, dict[str, Any]] = {
        "S": {"thinking": f"hm {number}", "signature": "sig"},
        "r": {"data": "x"},
        "t": {"text": f"said {number}"},
        "C": {"id": f"c{number}", "name": "look", "input": {}},
        "R": {"tool_use_id": f"c{number}", "content": "rows"},
    }
    return {"type": BLOCKS[letter], **more[letter]}


def bedrock_block(letter: str, number: int) -> dict[str, Any]:
    return {
        "S": {"reasoningContent": {"reasoningText": {"text": f"hm {number}", "signature": "sig"}}},
        "r": {"reasoningContent": {"redactedContent": "eA=="}},
        "t": {"text": f"said {number}"},
        "C": {"toolUse": {"toolUseId": f"c{number}", "name": "look", "input": {}}},
        "R": {"toolResult": {"toolUseId": f"c{number}", "content": [{"text": "rows"}]}},
    }[letter]


def spelled(dialect: str, turns: str) -> list[dict[str, Any]]:
    """Messages out of letters: `u:t a:SC u:R`. Every block has the number of its letter's last appearance."""
    messages = []
    seen: dict[str, int] = {}
    for turn in turns.split():
        role, _, letters = turn.partition(":")
        content = []
        for letter in letters:
            seen[letter] = seen.get(letter, 0) + 1
            content.append((bedrock_block if dialect == "bedrock" else anthropic_block)(letter, seen[letter]))
        messages.append({"role": "user" if role == "u" else "assistant", "content": content})
    return messages


def thinking(dialect: str, kind: str) -> dict[str, Any]:
    fields: dict[str, Any] = {"thinking": {"type": kind}} if kind else {}
    return {"additionalModelRequestFields": fields} if dialect == "bedrock" else {"anthropic_version": "v", **fields}


def payload(dialect: str, messages: list[dict[str, Any]], kind: str) -> Payload:
    body = json.dumps({"messages": messages, **thinking(dialect, kind)}, indent=1).encode()
    return dialect_named(dialect).decode(body)


def letters_of(messages: list[dict[str, Any]]) -> str:
    bedrock = {"reasoningContent": "S", "text": "t", "toolUse": "C", "toolResult": "R"}
    anthropic = {name: letter for letter, name in BLOCKS.items()}
    turns = []
    for message in messages:
        names = [anthropic[block["type"]] if "type" in block else bedrock[next(iter(block))] for block in message["content"]]
        turns.append(f"{message['role'][0]}:{''.join(names)}")
    return " ".join(turns)


def without(found: Payload) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = json.loads(splice(found.body, found.wire.unsigned(found)))["messages"]
    return sent


@every_dialect
@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        ("adaptive", "u:t a:SC u:R a:St", "u:t a:C u:R a:t"),
        ("adaptive", "u:t a:StC u:R a:SC u:R", "u:t a:tC u:R a:C u:R"),
        ("", "u:t a:SrtSC u:R", "u:t a:tC u:R"),
        ("adaptive", "u:t a:S u:t", "u:t u:t"),
        ("adaptive", "u:t a:S a:C u:R", "u:t a:C u:R"),
        # Calls that wait for their results begin with what was signed: that stays, and what came before it since the user spoke.
        ("enabled", "u:t a:SC u:R", "u:t a:SC u:R"),
        ("enabled", "u:t a:SC u:R a:St u:t a:SC u:R a:SC u:R", "u:t a:C u:R a:t u:t a:SC u:R a:SC u:R"),
        ("enabled", "u:t a:St u:t a:SC u:Rt", "u:t a:t u:t a:SC u:Rt"),
        ("enabled", "u:t a:SC u:Rt a:SC u:R", "u:t a:SC u:Rt a:SC u:R"),
        ("enabled", "u:t a:SC u:R a:St u:t", "u:t a:C u:R a:t u:t"),
        ("enabled", "a:SC u:R", "a:SC u:R"),
    ],
)
def test_signed_reasoning_goes_as_far_as_the_provider_takes_it(dialect: str, kind: str, before: str, after: str) -> None:
    found = payload(dialect, spelled(dialect, before), kind)
    assert letters_of(without(found)) == after


@every_dialect
def test_a_first_name_of_reasoning_counts_as_well_and_texts_are_no_blocks(dialect: str) -> None:
    messages = [{"role": "user", "content": "q"}, *spelled(dialect, "a:SC u:R")]
    kept = {"additionalModelRequestFields": {"reasoning_config": {"type": "enabled"}}}
    body = {"anthropic_version": "v", "messages": messages, "thinking": {"type": "enabled"}, **kept}
    assert dialect_named(dialect).unsigned(dialect_named(dialect).decode(json.dumps(body).encode())) == []


@every_dialect
@given(turns=st.lists(st.tuples(st.text("Srt", max_size=4), st.booleans()), max_size=8), kind=st.sampled_from(["", "adaptive"]))
def test_nothing_else_goes_and_calls_stay_answered(dialect: str, turns: list[tuple[str, bool]], kind: str) -> None:
    said = [f"u:t a:{letters}{'C u:R' if calls else 't'}" for letters, calls in turns]
    letters = " ".join([*said, "u:t"])
    found = payload(dialect, spelled(dialect, letters), kind)
    edits = found.wire.unsigned(found)
    made = found.again(splice(found.body, edits))
    assert letters_of(json.loads(made.body)["messages"]) == letters.replace("S", "").replace("r", "")
    assert made.wire.unpaired(made) == found.wire.unpaired(found) == frozenset()
    assert made.wire.unsigned(made) == []


@pytest.mark.parametrize("dialect", ["openai-chat", "openai-responses", "gemini", "ollama"])
def test_other_dialects_refuse_no_request_for_its_reasoning(dialect: str) -> None:
    wire = dialect_named(dialect)
    assert wire.unsigned(wire.decode(json.dumps({wire.messages: []}).encode())) == []


# -- through the middleware ------------------------------------------------------------------------------------------------


def request(**more: Any) -> bytes:
    messages = spelled("anthropic", "u:t a:StC u:R")
    messages[2]["content"][0]["content"] = json.dumps(ORDERS)
    tools = [{"name": "look", "input_schema": SCHEMA}]
    return json.dumps({"model": "m", "max_tokens": 9, "tools": tools, "messages": messages, **more}, indent=1).encode()


REFUSAL = answer_json(BOUND, 400, [(b"x-first", b"1")])


async def sent_through(
    inner: Inner, *, headers: Any = (), body: bytes = b"", **settings: Any
) -> tuple[Received, CapturedReports]:
    reports = CapturedReports()
    app = HeadroomMiddleware(inner, discover=False, observers=[reports], **settings)
    return await post(app, PATH, body or request(), headers=headers), reports


def signed(body: bytes) -> bool:
    return "S" in letters_of(json.loads(body)["messages"])


@pytest.mark.anyio
@pytest.mark.parametrize("mode", ["ccr", "lossless"])
async def test_the_answer_to_what_goes_without_reasoning_is_the_clients(mode: str, caplog: pytest.LogCaptureFixture) -> None:
    inner = Inner(REFUSAL, answer_json(text_answer("anthropic", "fine"), 200, [(b"x-second", b"1")]))
    given = [(b"idempotency-key", b"k"), (b"x-client-request-id", b"c")]
    received, reports = await sent_through(inner, headers=given, mode=mode)
    assert (received.status, received.json()["content"][0]["text"]) == (200, "fine")
    assert "x-first" not in received.headers
    assert received.outcome == reports[0].outcome == "reasoning_dropped"
    assert reports[0].prefix_risk
    assert reports[0].tokens_saved != 0
    assert [signed(body) for body in inner.bodies] == [True, False]
    assert [b"headroom_retrieve" in body for body in inner.bodies] == [mode == "ccr"] * 2
    second = dict(inner.scopes[1]["headers"])
    assert second[b"content-length"] == b"%d" % len(inner.bodies[1])
    assert b"idempotency-key" not in second
    assert second[b"x-client-request-id"] == b"c-r2"
    assert "reasoning_dropped" in caplog.text


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_hidden_rounds_go_on_from_what_the_provider_took(stream: bool) -> None:
    asked = call_answer("anthropic", ("toolu_0000000000001", "headroom_retrieve", {"ref": "0" * 32}), text="Let me look.")
    answers = [asked, text_answer("anthropic", "fine")]
    inner = Inner(REFUSAL, *(answer_stream(stream_of("anthropic", each)) if stream else answer_json(each) for each in answers))
    received, reports = await sent_through(inner, body=request(stream=stream), store=MemoryStore(shared=True))
    assert received.status == 200
    assert b"headroom_retrieve" not in received.body
    assert b"fine" in received.body
    assert [letters_of(json.loads(body)["messages"]) for body in inner.bodies] == [
        "u:t a:StC u:R",
        "u:t a:tC u:R",
        "u:t a:tC u:R a:tC u:R",
    ]
    assert json.loads(inner.bodies[2])["messages"][:3] == json.loads(inner.bodies[1])["messages"]
    assert (reports[0].rounds, reports[0].retrievals) == (2, 1)


@pytest.mark.anyio
@pytest.mark.parametrize("mode", ["ccr", "lossless"])
@pytest.mark.parametrize("status", [400, 413, 422])
async def test_the_first_error_stands_where_that_is_refused_as_well(mode: str, status: int) -> None:
    inner = Inner(REFUSAL, answer_json({"error": "second"}, status))
    received, reports = await sent_through(inner, mode=mode)
    assert (received.status, received.json(), received.headers["x-first"]) == (400, BOUND, "1")
    assert (received.outcome, reports[0].status, reports[0].prefix_risk) == ("compressed", 400, False)
    assert len(inner.bodies) == 2


@pytest.mark.anyio
@pytest.mark.parametrize("mode", ["ccr", "lossless"])
@pytest.mark.parametrize("status", [429, 500])
async def test_a_provider_that_is_busy_then_is_told_so_that_the_client_tries_again(mode: str, status: int) -> None:
    inner = Inner(REFUSAL, answer_json({"error": "second"}, status))
    received, reports = await sent_through(inner, mode=mode)
    assert (received.status, received.json(), reports[0].status) == (status, {"error": "second"}, status)
    assert len(inner.bodies) == 2


@pytest.mark.anyio
@pytest.mark.parametrize("mode", ["ccr", "lossless"])
@pytest.mark.parametrize(
    ("status", "more"),
    [
        (413, {}),
        (422, {}),
        (400, {"thinking": {"type": "enabled"}}),  # the calls that wait begin with it
    ],
)
async def test_what_cannot_go_without_reasoning_is_not_tried_again(mode: str, status: int, more: dict[str, Any]) -> None:
    inner = Inner(answer_json(BOUND, status))
    received, _ = await sent_through(inner, body=request(**more), mode=mode)
    assert (received.status, received.json()) == (status, BOUND)
    assert len(inner.bodies) == 1


@pytest.mark.anyio
async def test_a_body_that_was_not_changed_is_refused_for_its_own_reasoning() -> None:
    body = json.dumps({"model": "m", "max_tokens": 9, "messages": spelled("anthropic", "u:t a:St u:t")}).encode()
    inner = Inner(answer_json(BOUND, 400))
    received, _ = await sent_through(inner, body=body)
    assert (received.status, len(inner.bodies)) == (400, 1)


@pytest.mark.anyio
async def test_an_exception_over_it_comes_out() -> None:
    async def fail(body: bytes, send: Send) -> None:
        raise LookupError("second")

    with pytest.raises(LookupError, match="second"):
        await sent_through(Inner(REFUSAL, fail))
