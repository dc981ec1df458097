"""Clients that people use behind the middleware: Mistral's own and LangChain's chain up what they get, so nothing may come twice."""

import json
from typing import Any

import mistralai.client
import openai
import pytest
from langchain_anthropic import ChatAnthropic
from langchain_openai import ChatOpenAI

from tests import test_openai_chat_variants as variants
from tests.driver import (
    ORDERS,
    Inner,
    answer_json,
    answer_stream,
    call_answer,
    question_body,
    stream_of,
    streamed_or_not,
    text_answer,
    wrapped,
)
from tests.real_server import served
from tests.test_openai_chat_variants import Script, Server

pytestmark = pytest.mark.anyio
SCRIPTS = {name: script for name, script in variants.SCRIPTS.items() if "middle" not in name}
every_script = pytest.mark.parametrize("name", SCRIPTS)
MESSAGES = question_body("openai-chat", json.dumps(ORDERS))["messages"]
TOOLS = question_body("openai-chat", "")["tools"]


def inner_app(server: Server, scripts: list[Script], *, stream: bool) -> Inner:
    numbered = list(enumerate(scripts, 1))
    return Inner(*(answer_stream([server.stream(*s)]) if stream else answer_json(server.whole(*s)) for s in numbered))


def assert_said(scripts: list[Script], content: str, calls: list[tuple[str, str, dict[str, Any]]]) -> None:
    text, expected = variants.visible(scripts)
    assert content.replace("\n\n", "") == text
    assert calls == [(i, name, json.loads(arguments)) for i, name, arguments in expected]


@streamed_or_not
@every_script
async def test_langchain_of_openai(name: str, stream: bool) -> None:
    scripts = SCRIPTS[name]
    inner = inner_app(Server(), scripts, stream=stream)
    with served(wrapped(inner)) as url:
        model = ChatOpenAI(model="m", api_key="x", base_url=f"{url}/v1", max_retries=0, streaming=stream, stream_usage=True)
        if stream:
            chunks = [chunk async for chunk in model.astream(MESSAGES, tools=TOOLS)]
            message = chunks[0]
            for chunk in chunks[1:]:
                message += chunk
        else:
            message = await model.ainvoke(MESSAGES, tools=TOOLS)
    assert_said(scripts, message.content, [(c["id"], c["name"], c["args"]) for c in message.tool_calls])
    told = message.response_metadata
    assert (told["finish_reason"], told["model_name"]) == ("tool_calls" if message.tool_calls else "stop", "served")
    assert message.usage_metadata["total_tokens"] == 15 * len(scripts)
    assert "headroom" not in message.model_dump_json()
    assert len(inner.bodies) == len(scripts)


@streamed_or_not
@every_script
async def test_langchain_of_anthropic(name: str, stream: bool) -> None:
    scripts = SCRIPTS[name]
    answers = []
    for _, text, calls in scripts:
        named = [(call_id, tool, json.loads(arguments)) for call_id, tool, arguments in calls]
        answers.append(call_answer("anthropic", *named, text=text) if calls else text_answer("anthropic", text))
    reactions = [answer_stream(stream_of("anthropic", a)) if stream else answer_json(a) for a in answers]
    body = question_body("anthropic", json.dumps(ORDERS))
    with served(wrapped(Inner(*reactions))) as url:
        model = ChatAnthropic(model="claude-opus-5-5", api_key="x", base_url=url, max_retries=0)
        if stream:
            chunks = [chunk async for chunk in model.astream(body["messages"], tools=body["tools"])]
            message = chunks[0]
            for chunk in chunks[1:]:
                message += chunk
        else:
            message = await model.ainvoke(body["messages"], tools=body["tools"])
    text = message.content if isinstance(message.content, str) else "".join(b.get("text", "") for b in message.content)
    assert_said(scripts, text, [(c["id"], c["name"], c["args"]) for c in message.tool_calls])
    assert message.response_metadata["stop_reason"] == ("tool_use" if message.tool_calls else "end_turn")
    if len(scripts) > 1 or not stream:  # it takes the prompt's tokens from the last event only, where this upstream has none
        assert message.usage_metadata["total_tokens"] == 15 * len(scripts)
    assert "headroom" not in message.model_dump_json()


@streamed_or_not
@every_script
async def test_mistral(name: str, stream: bool) -> None:
    scripts = SCRIPTS[name]
    inner = inner_app(variants.Mistral(), scripts, stream=stream)
    with served(wrapped(inner)) as url:
        async with mistralai.client.Mistral(api_key="x", server_url=url) as client:
            if stream:
                async with await client.chat.stream_async(model="m", messages=MESSAGES, tools=TOOLS, tool_choice="any") as got:
                    chunks = [event.data async for event in got]
                deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
                reasons = [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]
                usages = [chunk.usage for chunk in chunks if chunk.usage]
            else:
                whole = await client.chat.complete_async(model="m", messages=MESSAGES, tools=TOOLS, tool_choice="any")
                deltas, reasons, usages = [whole.choices[0].message], [whole.choices[0].finish_reason], [whole.usage]
    contents = [delta.content for delta in deltas if delta.content]
    text = "".join(
        part if isinstance(part, str) else getattr(part, "text", "")
        for content in contents
        for part in (content if isinstance(content, list) else [content])
    )
    calls = [call for delta in deltas for call in delta.tool_calls or ()]
    assert_said(scripts, text, [(c.id, c.function.name, c.function.arguments) for c in calls])
    assert reasons == ["tool_calls" if calls else "stop"]
    assert [usage.total_tokens for usage in usages] == [15 * len(scripts)]
    assert all(json.loads(body)["tool_choice"] == "any" for body in inner.bodies)


@streamed_or_not
@pytest.mark.parametrize("path", ["/openai/deployments/gpt-x", "/models", "/engines/vendor/gpt-x", "/cursor", "/api/v1"])
async def test_openai_at_the_addresses_of_other_servers(path: str, stream: bool) -> None:
    scripts = SCRIPTS["text and hidden"]
    with served(wrapped(inner_app(variants.Azure(), scripts, stream=stream))) as url:
        async with openai.AsyncOpenAI(api_key="x", base_url=url + path, max_retries=0) as client:
            if stream:
                chunks = [
                    c async for c in await client.chat.completions.create(model="m", messages=MESSAGES, tools=TOOLS, stream=True)
                ]
                text = "".join(choice.delta.content or "" for c in chunks for choice in c.choices if choice.delta)
            else:
                whole = await client.chat.completions.create(model="m", messages=MESSAGES, tools=TOOLS)
                text = whole.choices[0].message.content
    assert text == "Let me look.\n\nThere."
