"""boto3 and Anthropic's client for Bedrock over real uvicorn: they see ordinary answers, and the upstream valid requests."""

import base64
import itertools
import json
import random
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import boto3
import pytest
from anthropic import AsyncAnthropicBedrock
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError
from conversations_bedrock import Bedrock, Invoke, frame
from test_bedrock_stream import SCRIPTS

from headroom_asgi import HeadroomMiddleware
from headroom_asgi.retrieval import TOOL
from headroom_asgi.types import Receive, Scope, Send
from tests.driver import TABLE, Inner, answer_json, whole_body
from tests.real_server import served

MODEL = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0"
MEDIA = b"application/vnd.amazon.eventstream"
EVERY_SCRIPT = pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
STREAMED_OR_NOT = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


class Upstream:
    """A model that plays a script, and refuses what the service would refuse."""

    def __init__(self, dialect: Any, script: list[list[tuple[str, str]]]) -> None:
        self.dialect = dialect
        self.script = script
        self.bodies: list[bytes] = []
        self.paths: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.bodies.append(await whole_body(receive))
        self.paths.append(scope["path"])
        messages = json.loads(self.bodies[-1])["messages"]
        if problem := refused(messages):
            await answer_json({"message": problem}, 400)(b"", send)
            return
        found = re.search(rb"<<ccr:([0-9a-f]{32}-\d+)", self.bodies[0])
        arguments = json.dumps({"ref": found[1].decode() if found else ""})
        number = len(self.bodies)
        parts = [(kind, arguments if kind == "ours" else words) for kind, words in self.script[number - 1]]
        if scope["path"].endswith("stream"):
            await streaming(self.dialect.stream(random.Random(5), number, parts))(b"", send)
        else:
            await answer_json(self.dialect.json(number, parts))(b"", send)


def streaming(data: bytes) -> Callable[[bytes, Send], Awaitable[None]]:
    """An answer as a stream, in chunks that know nothing of its frames."""

    async def react(_: bytes, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", MEDIA)]})
        for at in range(0, len(data), 100):
            await send({"type": "http.response.body", "body": data[at : at + 100], "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    return react


def refused(messages: list[dict[str, Any]]) -> str:
    """What the service finds wrong with a conversation, "" if nothing is."""
    if [message["role"] for message in messages] != [("user", "assistant")[i % 2] for i in range(len(messages))]:
        return "roles must alternate"
    calls: Counter[str] = Counter()
    for message in messages:
        blocks = message["content"] if isinstance(message["content"], list) else [{"text": message["content"]}]
        if not blocks or any("text" in block and not block["text"].strip() for block in blocks):
            return "the text field is blank"
        if message["role"] == "assistant":
            calls = Counter(_id(block, "toolUse", "tool_use", "id") for block in blocks)
            del calls[""]
            continue
        results = [_id(block, "toolResult", "tool_result", "tool_use_id") for block in blocks]
        if Counter(filter(None, results)) != calls or "" in results[: sum(calls.values())]:
            return "tool results do not match the calls before them, or are not first"
    return ""


def _id(block: dict[str, Any], member: str, kind: str, key: str) -> str:
    if member in block:
        return str(block[member]["toolUseId"])
    return str(block[key]) if block.get("type") == kind else ""


@pytest.fixture(autouse=True)
def no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys that are no keys, and no configuration of whoever runs this."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.delenv("AWS_BEARER_TOKEN_BEDROCK", raising=False)


@contextmanager
def client(app: Any) -> Iterator[Any]:
    """boto3's client of a served app."""
    config = Config(retries={"total_max_attempts": 1})
    with served(app) as url:
        with closing(boto3.client("bedrock-runtime", endpoint_url=url, region_name="us-east-1", config=config)) as made:
            yield made


def asked() -> dict[str, Any]:
    spec = {"name": "search", "description": "d", "inputSchema": {"json": {"type": "object"}}}
    return {
        "modelId": MODEL,
        "toolConfig": {"tools": [{"toolSpec": spec}, {"cachePoint": {"type": "default"}}]},
        "messages": [
            {"role": "user", "content": [{"text": "Where is it?"}]},
            {"role": "assistant", "content": [{"toolUse": {"toolUseId": "tooluse_1", "name": "search", "input": {}}}]},
            {"role": "user", "content": [{"toolResult": {"toolUseId": "tooluse_1", "content": [{"text": TABLE}]}}]},
        ],
    }


def assembled(events: Iterator[dict[str, Any]]) -> dict[str, Any]:
    """What agents make of a stream: the message, its reason, what it used. Indices say where a block goes."""
    blocks: dict[int, dict[str, Any]] = {}
    answer: dict[str, Any] = {}
    for each in events:
        ((kind, value),) = each.items()
        if kind == "contentBlockStart":
            assert value["contentBlockIndex"] not in blocks
            blocks[value["contentBlockIndex"]] = {"toolUse": {**value["start"]["toolUse"], "input": ""}}
        elif kind == "contentBlockDelta":
            ((part, more),) = value["delta"].items()
            block = blocks.setdefault(value["contentBlockIndex"], {})
            if part == "text":
                block["text"] = block.get("text", "") + more
            elif part == "toolUse":
                block["toolUse"]["input"] += more["input"]
            else:
                block.setdefault("reasoningContent", {}).setdefault("reasoningText", {}).update(more)
        elif kind in ("messageStart", "messageStop", "metadata"):
            assert not value.keys() & answer.keys()
            answer |= value
    assert list(blocks) == list(range(len(blocks)))
    for block in blocks.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = json.loads(block["toolUse"]["input"] or "{}")
    message = {"role": answer.pop("role"), "content": list(blocks.values())}
    return {"output": {"message": message}, **answer}


def conversed(upstream: Any, *, stream: bool, **settings: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """What boto3 makes of the answer, and the headers that it came with."""
    with client(HeadroomMiddleware(upstream, discover=False, **({"resigns": True} | settings))) as boto:
        if stream:
            response = boto.converse_stream(**asked())
            with closing(response["stream"]) as events:
                answer = assembled(events)
        else:
            answer = response = boto.converse(**asked())
    headers = response["ResponseMetadata"]["HTTPHeaders"]
    return {key: value for key, value in answer.items() if key != "ResponseMetadata"}, headers


@EVERY_SCRIPT
@STREAMED_OR_NOT
def test_boto3_gets_one_answer_of_all_rounds(script: list[list[tuple[str, str]]], stream: bool) -> None:
    upstream = Upstream(Bedrock(), script)
    answer, _ = conversed(upstream, stream=stream)
    numbers = range(1, len(script) + 1)
    assert len(upstream.bodies) == len(script)
    assert set(upstream.paths) == {f"/model/{MODEL}/converse{'-stream' if stream else ''}"}
    assert answer["usage"]["inputTokens"] == sum(10 * n for n in numbers)
    assert answer["metrics"] == {"latencyMs": sum(100 + n for n in numbers)}
    last = [kind for kind, _ in script[-1]]
    assert answer["stopReason"] == ("tool_use" if "theirs" in last else "end_turn")
    content = answer["output"]["message"]["content"]
    assert [words for _, words in shown(script, "text")] == [block["text"] for block in content if "text" in block]
    assert sum("toolUse" in block for block in content) == last.count("theirs")
    assert "headroom" not in json.dumps(answer)
    whole, _ = conversed(Upstream(Bedrock(), script), stream=not stream)
    assert answer == whole


def shown(script: list[list[tuple[str, str]]], kind: str) -> list[tuple[str, str]]:
    return [part for parts in script for part in parts if part[0] == kind]


@STREAMED_OR_NOT
def test_each_round_sends_the_one_before_and_two_messages_more(stream: bool) -> None:
    upstream = Upstream(Bedrock(), SCRIPTS["three in sequence"])
    conversed(upstream, stream=stream)
    bodies = [json.loads(body) for body in upstream.bodies]
    assert len(bodies) == 4
    assert len(upstream.bodies[0]) < len(TABLE) / 2
    for one, two in itertools.pairwise(bodies):
        assert two["messages"][:-2] == one["messages"]
        assert two["toolConfig"] == one["toolConfig"]
        assert "ORD-10059" in json.dumps(two["messages"][-1])
    names = [tool.get("toolSpec", {}).get("name") for tool in bodies[0]["toolConfig"]["tools"]]
    assert names == ["search", TOOL.name, None]


@STREAMED_OR_NOT
def test_a_signed_request_passes_as_it_came_unless_the_app_signs_anew(stream: bool) -> None:
    upstream = Upstream(Bedrock(), [[("text", "hi")]])
    _, headers = conversed(upstream, stream=stream, resigns=False)
    assert json.loads(upstream.bodies[0])["messages"] == asked()["messages"]
    assert headers["x-headroom-outcome"] == "skipped:signed_body"


def test_an_exception_in_the_stream_is_boto3s() -> None:
    data = frame("messageStart", {"role": "assistant"}) + frame("throttlingException", {"message": "busy"}, exception=True)
    inner = Inner(streaming(data))
    with pytest.raises(EventStreamError, match="throttlingException"):
        conversed(inner, stream=True)


def test_a_round_that_breaks_off_behind_what_was_shown_is_an_error() -> None:
    dialect = Bedrock()
    first = dialect.stream(random.Random(1), 1, [("text", "look"), ("ours", "{}")])
    second = dialect.stream(random.Random(1), 2, [("text", "never whole")])[:-300]
    inner = Inner(streaming(first), streaming(second))
    with pytest.raises(EventStreamError, match="modelStreamErrorException"):
        conversed(inner, stream=True)


@STREAMED_OR_NOT
def test_an_error_of_a_later_round_has_its_status_where_nothing_was_shown(stream: bool) -> None:
    asks = [("ours", "{}")]
    begun = streaming(Bedrock().stream(random.Random(1), 1, asks)) if stream else answer_json(Bedrock().json(1, asks))
    with pytest.raises(ClientError) as raised:
        conversed(Inner(begun, answer_json({"message": "busy"}, 429)), stream=stream)
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429


def test_counted_tokens_are_those_of_the_request_that_is_sent() -> None:
    inner = Inner(answer_json({"inputTokens": 7}))
    request = asked()
    counted = {key: request[key] for key in ("messages", "toolConfig")}
    with client(HeadroomMiddleware(inner, discover=False, resigns=True)) as boto:
        assert boto.count_tokens(modelId="anthropic.x", input={"converse": counted})["inputTokens"] == 7
    upstream = Upstream(Bedrock(), [[("text", "hi")]])
    conversed(upstream, stream=False)
    assert json.loads(inner.bodies[0]) == {"input": {"converse": json.loads(upstream.bodies[0])}}


def test_counted_tokens_of_a_body_for_invoke_are_those_of_the_body_that_is_sent() -> None:
    inner = Inner(answer_json({"inputTokens": 7}), answer_json({}))
    request = {"anthropic_version": "bedrock-2023-05-31", **messages_request()}
    body = json.dumps(request)
    with client(HeadroomMiddleware(inner, discover=False, resigns=True)) as boto:
        counted = {"invokeModel": {"body": body}}
        assert boto.count_tokens(modelId="anthropic.x", input=counted)["inputTokens"] == 7
        boto.invoke_model(modelId="anthropic.x", body=body)
    assert json.loads(inner.bodies[0]).keys() == {"input"}
    sent = base64.b64decode(json.loads(inner.bodies[0])["input"]["invokeModel"]["body"])
    assert sent == inner.bodies[1]
    assert TOOL.name.encode() in sent
    assert len(sent) < len(body)


# -- InvokeModel -------------------------------------------------------------------------------------------------------


def messages_request() -> dict[str, Any]:
    return {
        "model": MODEL,
        "max_tokens": 100,
        "tools": [{"name": "search", "description": "d", "input_schema": {"type": "object"}}],
        "messages": [
            {"role": "user", "content": "Where is it?"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "search", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": TABLE}]},
        ],
    }


SIGNING = {"aws_access_key": "a", "aws_secret_key": "b"}


async def invoked(upstream: Any, *, stream: bool, keys: dict[str, str] = SIGNING, resigns: bool = True) -> dict[str, Any]:
    """What Anthropic's client makes of the answer."""
    with served(HeadroomMiddleware(upstream, discover=False, resigns=resigns)) as url:
        async with AsyncAnthropicBedrock(**keys, aws_region="us-east-1", base_url=url, max_retries=0) as sdk:
            if stream:
                async with sdk.messages.stream(**messages_request()) as events:
                    kinds = [event.type async for event in events]
                    answer = await events.get_final_message()
                assert kinds.count("message_start") == kinds.count("message_stop") == 1
            else:
                answer = await sdk.messages.create(**messages_request())
    return answer.model_dump(exclude_none=True)


@pytest.mark.anyio
@EVERY_SCRIPT
async def test_anthropics_client_gets_one_answer_of_all_rounds(script: list[list[tuple[str, str]]]) -> None:
    upstream = Upstream(Invoke(), script)
    whole = await invoked(upstream, stream=False)
    assert len(upstream.bodies) == len(script)
    assert upstream.paths[0] == f"/model/{MODEL}/invoke"
    assert len(upstream.bodies[0]) < len(TABLE) / 2
    assert [block["text"] for block in whole["content"] if block["type"] == "text"] == [w for _, w in shown(script, "text")]
    assert "headroom" not in json.dumps(whole)
    assert whole["usage"]["output_tokens"] == sum(range(1, len(script) + 1))
    upstream = Upstream(Invoke(), script)
    streamed = await invoked(upstream, stream=True)
    assert upstream.paths[-1] == f"/model/{MODEL}/invoke-with-response-stream"
    assert streamed["content"] == whole["content"]
    assert (streamed["stop_reason"], streamed["usage"]["output_tokens"]) == (
        whole["stop_reason"],
        whole["usage"]["output_tokens"],
    )


@pytest.mark.anyio
@STREAMED_OR_NOT
async def test_a_request_with_a_key_is_not_signed(stream: bool) -> None:
    upstream = Upstream(Invoke(), SCRIPTS["text and hidden"])
    answer = await invoked(upstream, stream=stream, keys={"api_key": "key"}, resigns=False)
    assert len(upstream.bodies) == 2
    assert answer["content"][-1]["text"] == "found"


@pytest.mark.parametrize("verb", ["invoke_model", "invoke_model_with_response_stream"])
def test_boto3_invokes_models_of_other_vendors_as_before(verb: str) -> None:
    inner = Inner(answer_json({"results": []}))
    body = json.dumps({"inputText": TABLE})
    with client(HeadroomMiddleware(inner, discover=False, resigns=True)) as boto:
        response = getattr(boto, verb)(modelId="amazon.titan", body=body)
        response["body"].close()
    assert inner.bodies == [body.encode()]
    assert response["ResponseMetadata"]["HTTPHeaders"]["x-headroom-outcome"] == "skipped:no_messages"


def test_boto3_invokes_models_of_anthropic() -> None:
    upstream = Upstream(Invoke(), SCRIPTS["text and hidden"])
    request = {key: value for key, value in messages_request().items() if key != "model"}
    body = json.dumps(request | {"anthropic_version": "bedrock-2023-05-31"})
    with client(HeadroomMiddleware(upstream, discover=False, resigns=True)) as boto:
        response = boto.invoke_model_with_response_stream(modelId=MODEL, body=body)
        with closing(response["body"]) as stream:
            events = [json.loads(each["chunk"]["bytes"]) for each in stream]
    assert [event["type"] for event in events].count("message_stop") == 1
    assert events[-1]["amazon-bedrock-invocationMetrics"]["inputTokenCount"] == 30
    assert "".join(e["delta"].get("text", "") for e in events if e["type"] == "content_block_delta") == "let me lookfound"
