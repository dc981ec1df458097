"""Laws that are only seen from outside: across turns, across requests, across rounds, and on the event loop."""

import json
import re
import threading
from typing import Any

import anyio
import anyio.to_thread
import pytest

from headroom_asgi import MemoryStore, Tokenizer, Transform, TransformResult, retrieve
from headroom_asgi._crush import crush, estimate
from headroom_asgi.testing import CapturedReports, assert_prefix_stable
from headroom_asgi.types import Message, Receive, Scope, Send
from tests.driver import (
    ORDERS,
    PATHS,
    TABLE,
    Inner,
    answer_json,
    answer_stream,
    both_dialects,
    call_answer,
    http_scope,
    post,
    question_body,
    stream_of,
    text_answer,
    tool_texts,
    whole_body,
    wrapped,
)

pytestmark = pytest.mark.anyio
SMALL_TABLE = json.dumps(ORDERS[:12], indent=1)
REF = re.compile(r"<<ccr:([0-9a-f]{32}-\d+) (\d+) rows left out(?:: [^>]+)?>>")


def with_more(dialect: str, body: dict[str, Any], output: str, number: int, question: str = "") -> dict[str, Any]:
    """The conversation with another question (if there is one), call and tool output."""
    asked = [{"role": "user", "content": question}] if question else []
    call, result = question_body(dialect, output)["messages"][1:]
    text = json.dumps([call, result]).replace("toolu_1", f"toolu_{number}").replace("call_1", f"call_{number}")
    return body | {"messages": [*body["messages"], *asked, *json.loads(text)]}


# -- the prefix ---------------------------------------------------------------------------------------------------------


@both_dialects
@pytest.mark.parametrize("mode", ["lossless", "ccr"])
def test_a_conversation_that_grows_only_ever_extends_what_was_sent(dialect: str, mode: str) -> None:
    body = question_body(dialect, TABLE, question="What of ORD-10050?")
    body = with_more(dialect, body, SMALL_TABLE, 2)
    body = with_more(dialect, body, json.dumps(ORDERS[::-1]), 3, question="And ORD-10070?")
    body["messages"].append({"role": "assistant", "content": "It is on its way."})
    body["messages"].append({"role": "user", "content": "And ORD-10033?"})
    assert_prefix_stable(body["messages"], dialect=dialect, fields={"tools": body["tools"]}, mode=mode)


@both_dialects
async def test_the_nearest_question_before_an_output_decides_what_is_kept_of_it(dialect: str) -> None:
    inner = Inner()
    body = with_more(dialect, question_body(dialect, TABLE, question="ORD-10050"), TABLE, 2, question="ORD-10070")
    body["messages"].append({"role": "user", "content": "ORD-10033"})
    await post(wrapped(inner), PATHS[dialect], body)
    first, second = tool_texts(inner.bodies[0])
    found = [[number in text for number in ("ORD-10050", "ORD-10070", "ORD-10033")] for text in (first, second)]
    assert found == [[True, False, False], [False, True, False]]


@both_dialects
async def test_what_was_seen_before_changes_no_byte(dialect: str) -> None:
    bodies = [question_body(dialect, TABLE, question=f"What of {order}?") for order in ("ORD-10050", "ORD-10070", "ORD-10050")]
    used, fresh = Inner(), Inner()
    app = wrapped(used)
    for body in bodies:
        await post(app, PATHS[dialect], body)
        await post(wrapped(fresh), PATHS[dialect], body)
    assert used.bodies == fresh.bodies


# -- what is left out, and what is not ------------------------------------------------------------------------------------


@both_dialects
async def test_the_ref_of_each_output_gives_back_its_own_rows(dialect: str) -> None:
    inner, store = Inner(), MemoryStore()
    others = [order | {"order_id": f"OLD-{n}"} for n, order in enumerate(ORDERS)]
    body = with_more(dialect, question_body(dialect, TABLE), json.dumps(others), 2)
    await post(wrapped(inner, store=store), PATHS[dialect], body)
    for text, prefix in zip(tool_texts(inner.bodies[0]), ("ORD-", "OLD-"), strict=True):
        found = REF.findall(text)
        rows = (await _retrieved(found[0][0], store)).split("\n")[2:]
        assert len(rows) == sum(int(count) for _, count in found)
        assert all(row.startswith(prefix) for row in rows)


async def _retrieved(ref: str, store: MemoryStore) -> str:
    return await anyio.to_thread.run_sync(lambda: retrieve(ref, store=store))


async def test_an_output_that_is_an_error_is_never_left_out() -> None:
    inner = Inner()
    body = question_body("anthropic", TABLE)
    body["messages"][-1]["content"][0]["is_error"] = True
    await post(wrapped(inner), PATHS["anthropic"], body)
    (text,) = tool_texts(inner.bodies[0])
    assert not REF.search(text)
    assert all(f"ORD-{10_000 + n}" in text for n in range(len(ORDERS)))


@pytest.mark.parametrize(
    "output",
    [
        json.dumps([{"order": f"ORD-{n}", "city": city} for n, city in enumerate(("Oslo", "Lima", "Pune", "Cork"))]),
        json.dumps([{"n": n, "note": f"{n} " + "words that stay as they are, one after the other, " * 30} for n in range(4)]),
    ],
    ids=["fewer than 32 tokens", "fewer than 32 of very many"],
)
async def test_what_would_save_too_little_goes_as_it_came(output: str) -> None:
    found, before = crush(output.encode()), estimate(output.encode())
    assert found is not None
    saved = before - estimate(found[0])
    assert 0 < saved < 32
    inner = Inner()
    body = json.dumps(question_body("openai-chat", output)).encode()
    response = await post(wrapped(inner, mode="lossless"), PATHS["openai-chat"], body)
    assert response.outcome == "skipped:does_not_pay"
    assert inner.bodies == [body]


# -- hidden rounds --------------------------------------------------------------------------------------------------------


@both_dialects
async def test_an_answer_of_two_rounds_has_one_length_and_it_is_its_own(dialect: str) -> None:
    rounds = [
        call_answer(dialect, ("own", "headroom_retrieve", {"ref": "x"}), text="Let me look."),
        text_answer(dialect, "Here."),
    ]
    app = wrapped(Inner(*(answer_json(answer) for answer in rounds)))
    response = await post(app, PATHS[dialect], question_body(dialect, TABLE))
    lengths = [value for name, value in response.messages[0]["headers"] if name == b"content-length"]
    assert lengths == [b"%d" % len(response.body)]


@both_dialects
async def test_a_stream_of_two_rounds_is_one_stream(dialect: str) -> None:
    first = call_answer(dialect, ("own", "headroom_retrieve", {"ref": "x"}), text="Let me look.")
    second = call_answer(dialect, ("c1", "list_orders", {"page": 2}), ("c2", "list_orders", {"page": 3}), text="Here.")
    app = wrapped(Inner(*(answer_stream(stream_of(dialect, answer)) for answer in (first, second))))
    response = await post(app, PATHS[dialect], question_body(dialect, TABLE, stream=True))
    events = [json.loads(line[6:]) for line in response.body.decode().splitlines() if line.startswith("data: {")]
    if dialect == "anthropic":
        kinds = [event["type"] for event in events]
        assert [kinds.count(kind) for kind in ("message_start", "message_delta", "message_stop")] == [1, 1, 1]
        assert [event["index"] for event in events if event["type"] == "content_block_start"] == [0, 1, 2, 3]
        return
    choices = [choice for event in events for choice in event["choices"]]
    assert sum("role" in choice["delta"] for choice in choices) == 1
    assert [choice["finish_reason"] for choice in choices if choice["finish_reason"]] == ["tool_calls"]
    assert [c["index"] for choice in choices for c in choice["delta"].get("tool_calls", []) if "id" in c] == [0, 1]
    assert response.body.count(b"[DONE]") == 1


@both_dialects
async def test_a_stream_whose_second_round_fails_ends_with_one_error_of_the_dialect(dialect: str) -> None:
    first = call_answer(dialect, ("own", "headroom_retrieve", {"ref": "x"}), text="Let me look.")
    refused = answer_json({"error": {"type": "overloaded", "message": "meant for us"}}, 529)
    app = wrapped(Inner(answer_stream(stream_of(dialect, first)), refused))
    response = await post(app, PATHS[dialect], question_body(dialect, TABLE, stream=True))
    assert [message["type"] for message in response.messages].count("http.response.start") == 1
    *_, last, rest = response.body.split(b"\n\n")
    assert rest == b""
    assert set(json.loads(last.partition(b"data: ")[2])) >= {"error"}
    assert b"meant for us" not in response.body
    assert response.complete


async def test_path_parameters_that_one_round_changes_are_as_they_were_in_the_next() -> None:
    seen: list[dict[str, str]] = []
    rounds = [call_answer("anthropic", ("own", "headroom_retrieve", {"ref": "x"})), text_answer("anthropic", "Here.")]
    inner = Inner(*(answer_json(answer) for answer in rounds))

    async def changing(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(dict(scope["path_params"]))
        scope["path_params"]["team"] = "changed"
        await inner(scope, receive, send)

    await post(wrapped(changing), PATHS["anthropic"], question_body("anthropic", TABLE), path_params={"team": "red"})
    assert seen == [{"team": "red"}, {"team": "red"}]


# -- the event loop, and clients that leave -------------------------------------------------------------------------------


class Waiting(Transform):
    """A transform that waits until the event loop has done something else; where it runs on the loop, that never comes."""

    name = "waiting"

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.answered = threading.Event()
        self.in_time: list[bool] = []

    def apply(self, messages: list[Any], tokenizer: Tokenizer, **kwargs: Any) -> TransformResult:
        self.begun.set()
        self.in_time.append(self.answered.wait(timeout=5))
        return TransformResult(messages, 0, 0)


@both_dialects
async def test_the_event_loop_goes_on_while_a_large_body_is_worked_on(dialect: str) -> None:
    waiting = Waiting()
    app = wrapped(Inner(answer_json(text_answer(dialect, "ok"))), transforms=[waiting], mode="lossless")

    async def elsewhere() -> None:
        await anyio.to_thread.run_sync(waiting.begun.wait, 5)
        waiting.answered.set()

    async with anyio.create_task_group() as group:
        group.start_soon(elsewhere)
        await post(app, PATHS[dialect], question_body(dialect, json.dumps(ORDERS * 200)))
    assert waiting.in_time == [True]


@pytest.mark.parametrize("output", [SMALL_TABLE, "short"], ids=["changed", "as it came"])
async def test_without_the_tool_the_app_hears_from_the_server_that_the_client_left(output: str) -> None:
    heard: list[str] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        await whole_body(receive)
        heard.append((await receive())["type"])

    messages: list[Message] = [
        {"type": "http.request", "body": json.dumps(question_body("openai-chat", output)).encode()},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        raise AssertionError

    reports = CapturedReports()
    app = wrapped(inner, mode="lossless", observers=[reports])
    with anyio.fail_after(5):
        await app(http_scope(PATHS["openai-chat"]), receive, send)
    assert heard == ["http.disconnect"]
    assert [report.status for report in reports] == [0]
