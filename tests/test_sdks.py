"""The providers' real SDK clients, over real uvicorn, hidden rounds included: they see ordinary answers, and no trace of us."""

import json
import socket
from typing import Any

import anthropic
import httpx
import openai
import pytest

from example_app import upstream
from example_app.client import answer_text, request_body, tool_turn
from example_app.conversations import Conversation, dozen
from headroom_asgi import HeadroomMiddleware
from tests.driver import TABLE, Inner, answer_json, answer_stream, call_answer, question_body, stream_of
from tests.real_server import served
from tests.test_rounds import Model

pytestmark = pytest.mark.anyio


def wrapped(dialect: str, *, stream: bool, preamble: str = "") -> HeadroomMiddleware:
    return HeadroomMiddleware(Model(dialect, "ORD-10059", stream=stream, preamble=preamble), discover=False)


def request_of(dialect: str) -> dict[str, Any]:
    body = question_body(dialect, TABLE)
    del body["stream"]
    return body


@pytest.mark.parametrize("preamble", ["", "Let me look."], ids=["hidden call only", "text and hidden call"])
async def test_openai_whole(preamble: str) -> None:
    with served(wrapped("openai-chat", stream=False, preamble=preamble)) as url:
        async with openai.AsyncOpenAI(api_key="x", base_url=f"{url}/v1", max_retries=0) as client:
            answer = await client.chat.completions.create(**request_of("openai-chat"))
    choice = answer.choices[0]
    assert (choice.message.content or "").endswith("It is delivered.")
    assert choice.finish_reason == "stop"
    assert choice.message.tool_calls is None
    assert answer.usage is not None
    assert answer.usage.total_tokens == 30
    assert "headroom" not in answer.model_dump_json()


@pytest.mark.parametrize("preamble", ["", "Let me look."], ids=["hidden call only", "text and hidden call"])
async def test_openai_streamed(preamble: str) -> None:
    with served(wrapped("openai-chat", stream=True, preamble=preamble)) as url:
        async with openai.AsyncOpenAI(api_key="x", base_url=f"{url}/v1", max_retries=0) as client:
            body = request_of("openai-chat") | {"stream_options": {"include_usage": True}}
            async with client.chat.completions.stream(**body) as stream:
                events = [event async for event in stream]
                answer = await stream.get_final_completion()
    choice = answer.choices[0]
    assert (choice.message.content or "") == (f"{preamble}\n\nIt is delivered." if preamble else "It is delivered.")
    assert (choice.message.role, choice.finish_reason) == ("assistant", "stop")
    assert not choice.message.tool_calls
    assert answer.usage is not None
    assert answer.usage.total_tokens == 30
    assert sum(event.type == "content.done" for event in events) == 1
    assert "headroom" not in answer.model_dump_json()


@pytest.mark.parametrize("preamble", ["", "Let me look."], ids=["hidden call only", "text and hidden call"])
async def test_anthropic_whole(preamble: str) -> None:
    with served(wrapped("anthropic", stream=False, preamble=preamble)) as url:
        async with anthropic.AsyncAnthropic(api_key="x", base_url=url, max_retries=0) as client:
            answer = await client.messages.create(**request_of("anthropic"))
    assert [block.type for block in answer.content] == ["text"] * (2 if preamble else 1)
    assert answer.content[-1].text == "It is delivered."
    assert answer.stop_reason == "end_turn"
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (20, 10)
    assert "headroom" not in answer.model_dump_json()


@pytest.mark.parametrize("preamble", ["", "Let me look."], ids=["hidden call only", "text and hidden call"])
async def test_anthropic_streamed(preamble: str) -> None:
    with served(wrapped("anthropic", stream=True, preamble=preamble)) as url:
        async with anthropic.AsyncAnthropic(api_key="x", base_url=url, max_retries=0) as client:
            async with client.messages.stream(**request_of("anthropic")) as stream:
                events = [event async for event in stream]
                answer = await stream.get_final_message()
    texts = [block.text for block in answer.content if block.type == "text"]
    assert texts == ([preamble, "It is delivered."] if preamble else ["It is delivered."])
    assert answer.stop_reason == "end_turn"
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (20, 10)
    kinds = [event.type for event in events]
    assert kinds.count("message_start") == kinds.count("message_stop") == kinds.count("message_delta") == 1
    assert "headroom" not in answer.model_dump_json()


class Agent:
    """The agent loop of somebody who uses an SDK: asks, runs the tools that are called, sends everything again, until the answer."""

    def __init__(self, url: str, conversation: Conversation, *, stream: bool) -> None:
        self.conversation = conversation
        self.stream = stream
        self.seen: list[str] = []
        self._ask = self._openai if conversation.wire_format == "chat" else self._anthropic
        self._url = url

    async def run(self) -> list[str]:
        """The answers to all questions, in one growing conversation."""
        messages: list[dict[str, Any]] = []
        answers = []
        for question in self.conversation.questions:
            messages.append({"role": "user", "content": question.spoken()})
            results = None
            while results is None or results:
                body = request_body(self.conversation, list(messages))
                for name in ("stream", "stream_options"):
                    body.pop(name, None)
                messages.append(await self._ask(body))
                self.seen.append(json.dumps(messages[-1]))
                results = list(tool_turn(self.conversation.wire_format, messages[-1], self.conversation.results))
                messages.extend(results)
            answers.append(answer_text(messages[-1]))
        return answers

    async def _openai(self, body: dict[str, Any]) -> dict[str, Any]:
        async with openai.AsyncOpenAI(api_key="x", base_url=f"{self._url}/v1", max_retries=0) as client:
            if self.stream:
                async with client.chat.completions.stream(**body) as stream:
                    answer = await stream.get_final_completion()
            else:
                answer = await client.chat.completions.create(**body)
        message = answer.choices[0].message.model_dump(exclude_none=True)
        return {name: message[name] for name in ("role", "content", "tool_calls") if name in message} | (
            {} if "tool_calls" in message or "content" in message else {"content": ""}
        )

    async def _anthropic(self, body: dict[str, Any]) -> dict[str, Any]:
        async with anthropic.AsyncAnthropic(api_key="x", base_url=self._url, max_retries=0) as client:
            if self.stream:
                async with client.messages.stream(**body) as stream:
                    answer = await stream.get_final_message()
            else:
                answer = await client.messages.create(**body)
        return {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in answer.content]}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_sdk_agents_hold_all_demo_conversations_with_an_upstream_that_validates(stream: bool) -> None:
    """Several turns, signed thinking, hidden rounds: right answers, nothing refused, no prefix changed, no trace of our tool."""
    upstream_app = upstream.app()
    with served(HeadroomMiddleware(upstream_app, discover=False)) as url:
        for conversation in dozen():
            agent = Agent(url, conversation, stream=stream)
            answers = await agent.run()
            for question, answer in zip(conversation.questions, answers, strict=True):
                assert answer.endswith(question.expected), conversation.name
            assert not any("headroom" in message for message in agent.seen)
        async with httpx.AsyncClient() as client:
            stats = (await client.get(f"{url}/_stats")).json()
    assert stats["validation_failures"] == stats["prefix_broken"] == 0
    assert stats["retrievals"] >= 6


async def test_an_error_of_the_second_round_is_an_error_the_sdk_understands() -> None:

    first = call_answer("anthropic", ("own", "headroom_retrieve", {"ref": "x"}))
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
    inner = Inner(answer_stream(stream_of("anthropic", first)), answer_json(error, 529))
    with served(HeadroomMiddleware(inner, discover=False)) as url:
        async with anthropic.AsyncAnthropic(api_key="x", base_url=url, max_retries=0) as client:
            with pytest.raises(anthropic.APIStatusError) as raised:
                async with client.messages.stream(**request_of("anthropic")) as stream:
                    await stream.get_final_message()
    assert raised.value.status_code == 529


async def test_a_client_that_leaves_half_way_does_not_hold_the_worker() -> None:
    with served(wrapped("openai-chat", stream=False)) as url:
        host, port = url.removeprefix("http://").split(":")
        body = json.dumps(question_body("openai-chat", TABLE)).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\ncontent-length: {len(body)}\r\n\r\n".encode()
        for _ in range(3):
            with socket.create_connection((host, int(port)), 5) as connection:
                connection.sendall(head + body[: len(body) // 2])
        async with openai.AsyncOpenAI(api_key="x", base_url=f"{url}/v1", max_retries=0, timeout=10) as client:
            answer = await client.chat.completions.create(**request_of("openai-chat"))
    assert answer.choices[0].message.content == "It is delivered."
