"""Anthropic Messages at other addresses than its own: token counts agree with what is sent, Vertex names model and stream in the path."""

import json
from typing import Any

import anthropic
import pytest

from headroom_asgi import HeadroomMiddleware
from tests.driver import ORDERS, Inner, answer_json, answer_stream, call_answer, post, question_body, stream_of, text_answer
from tests.real_server import served

pytestmark = pytest.mark.anyio
BODY = question_body("anthropic", json.dumps(ORDERS))
VERTEX = "/v1/projects/p/locations/eu/publishers/anthropic/models"


async def sent(path: str, body: dict[str, Any], answer: dict[str, Any]) -> tuple[bytes, Any]:
    """What the inner app gets, and what the client does."""
    inner = Inner(answer_json(answer))
    received = await post(HeadroomMiddleware(inner, discover=False), path, body)
    (up,) = inner.bodies
    return up, received.json()


@pytest.mark.parametrize(
    ("path", "counting"),
    [
        ("/v1/messages", "/v1/messages/count_tokens"),
        (f"{VERTEX}/claude-opus-5-5:rawPredict", f"{VERTEX}/count-tokens:rawPredict"),
    ],
)
async def test_tokens_are_counted_of_the_very_request_that_would_be_sent(path: str, counting: str) -> None:
    asked, _ = await sent(path, BODY, text_answer("anthropic", "hi"))
    counted, told = await sent(counting, BODY, {"input_tokens": 7})
    assert counted == asked
    assert b"headroom_retrieve" in counted
    assert told == {"input_tokens": 7}


@pytest.mark.parametrize("path", ["/v1/messages/batches", "/v1/messages/batches/b/results", "/v1/messages/b"])
async def test_what_is_answered_later_passes(path: str) -> None:
    body = {"requests": [{"custom_id": "a", "params": BODY}]}
    up, _ = await sent(path, body, {"id": "b"})
    assert json.loads(up) == body


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_the_client_of_vertex(stream: bool) -> None:
    answers = [
        call_answer("anthropic", ("t", "headroom_retrieve", {"ref": "x"}), text="Look."),
        text_answer("anthropic", "There."),
    ]
    inner = Inner(*(answer_stream(stream_of("anthropic", a)) if stream else answer_json(a) for a in answers))
    body = {key: value for key, value in BODY.items() if key != "stream"}
    with served(HeadroomMiddleware(inner, discover=False)) as url:
        options: dict[str, Any] = {"region": "eu", "project_id": "p", "access_token": "x", "max_retries": 0}
        async with anthropic.AsyncAnthropicVertex(base_url=f"{url}/v1", **options) as client:
            if stream:
                async with client.messages.stream(**body) as got:
                    message = await got.get_final_message()
            else:
                message = await client.messages.create(**body)
    assert [block.text for block in message.content] == ["Look.", "There."]
    assert inner.scopes[0]["path"].endswith(":streamRawPredict" if stream else ":rawPredict")
    assert "model" not in json.loads(inner.bodies[1])
