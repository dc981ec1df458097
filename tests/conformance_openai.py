"""The official clients of OpenAI's dialects."""

import json
from collections.abc import Sequence
from typing import Any

import openai
from mistralai.client import Mistral

from tests.conformance_base import ABOUT, CHAT_TOOL, PARAMETERS, QUESTION, SCHEMA, TIMEOUT_S, Client, Saw, plain

_CHAT_CALL = {"id": "call_1", "type": "function", "function": {"name": "list_orders", "arguments": "{}"}}


def _chat_start(output: str, call_id: str = "call_1") -> list[Any]:
    return [
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": None, "tool_calls": [{**_CHAT_CALL, "id": call_id}]},
        {"role": "tool", "tool_call_id": call_id, "content": output},
    ]


def _chat_saw(answer: Any) -> Saw:
    """A completion of the OpenAI or the Mistral client."""
    choice = answer.choices[0]
    final = plain(answer.model_dump())
    for call in final["choices"][0]["message"].get("tool_calls", ()):
        call.pop("index", None)
        call["function"].pop("parsed_arguments", None)
    for member in ("parsed", "prefix"):
        final["choices"][0]["message"].pop(member, None)
    calls = choice.message.tool_calls or []
    message = {"role": "assistant", "content": choice.message.content}
    if calls:
        message["tool_calls"] = final["choices"][0]["message"]["tool_calls"]
    return Saw(
        text=choice.message.content or "",
        calls=[(call.function.name, json.loads(call.function.arguments)) for call in calls],
        reason=choice.finish_reason,
        usage=(answer.usage.prompt_tokens, answer.usage.completion_tokens),
        final=final,
        turn=[message],
        ids=[call.id for call in calls],
    )


class OpenAIChat(Client):
    """`openai`, Chat Completions."""

    name, dialect, reasons = "openai", "openai-chat", ("stop", "tool_calls")

    def start(self, output: str) -> list[Any]:
        return _chat_start(output)

    async def ask(self, messages: list[Any], *, stream: bool, structured: bool) -> Saw:
        body: dict[str, Any] = {"model": "gpt-6", "messages": messages, "tools": [CHAT_TOOL], "extra_headers": self.headers}
        if structured:
            schema = {"name": "answer", "strict": True, "schema": SCHEMA}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        async with openai.AsyncOpenAI(api_key="x", base_url=f"{self.url}/v1", max_retries=0, timeout=TIMEOUT_S) as client:
            if not stream:
                return _chat_saw(await client.chat.completions.create(**body))
            async with client.chat.completions.stream(**body, stream_options={"include_usage": True}) as events:
                async for _ in events:
                    pass
                return _chat_saw(await events.get_final_completion())

    def results(self, saw: Saw, texts: Sequence[str]) -> list[Any]:
        return [{"role": "tool", "tool_call_id": i, "content": text} for i, text in zip(saw.ids, texts, strict=True)]


class MistralChat(Client):
    """`mistralai`, Chat Completions."""

    name, dialect, reasons = "mistralai", "openai-chat", ("stop", "tool_calls")

    def start(self, output: str) -> list[Any]:
        return _chat_start(output, "abcdefghi")

    async def ask(self, messages: list[Any], *, stream: bool, structured: bool) -> Saw:
        body: dict[str, Any] = {"model": "mistral-large", "messages": messages, "tools": [CHAT_TOOL]}
        body |= {"http_headers": self.headers, "timeout_ms": int(TIMEOUT_S * 1000)}
        if structured:
            body["response_format"] = {"type": "json_object"}
        async with Mistral(api_key="x", server_url=self.url) as client:
            if not stream:
                return _chat_saw(await client.chat.complete_async(**body))
            text, calls, reason, last = "", [], "", None
            async for event in await client.chat.stream_async(**body):
                choice = event.data.choices[0] if event.data.choices else None
                last = event.data if event.data.usage else last
                if choice is None:
                    continue
                text += choice.delta.content or ""
                calls += choice.delta.tool_calls or []
                reason = choice.finish_reason or reason
        assert last is not None
        message = {"role": "assistant", "content": text or None}
        spelled = [call.model_dump() for call in calls]
        if calls:
            message["tool_calls"] = spelled
        usage = last.usage
        final = {"id": last.id, "created": last.created, "model": last.model, "object": "chat.completion"}
        final |= {"choices": [{"index": 0, "message": message, "finish_reason": reason}], "usage": usage.model_dump()}
        final = plain(json.loads(json.dumps(final)))
        for call in final["choices"][0]["message"].get("tool_calls", ()):
            call.pop("index", None)
        return Saw(
            text=text,
            calls=[(call.function.name, json.loads(call.function.arguments)) for call in calls],
            reason=reason,
            usage=(usage.prompt_tokens, usage.completion_tokens),
            final=final,
            turn=final["choices"][0]["message"] and [final["choices"][0]["message"]],
            ids=[call.id for call in calls],
        )

    def results(self, saw: Saw, texts: Sequence[str]) -> list[Any]:
        named = zip(saw.calls, saw.ids, texts, strict=True)
        return [{"role": "tool", "name": call[0], "tool_call_id": i, "content": text} for call, i, text in named]


class OpenAIResponses(Client):
    """`openai`, Responses; the client brings the whole history."""

    name, dialect, reasons = "openai", "openai-responses", ("completed", "completed")
    store = False

    def start(self, output: str) -> list[Any]:
        call = {"type": "function_call", "call_id": "call_1", "name": "list_orders", "arguments": "{}"}
        told = {"type": "function_call_output", "call_id": "call_1", "output": output}
        return [{"role": "user", "content": QUESTION}, call, told]

    async def ask(self, messages: list[Any], *, stream: bool, structured: bool) -> Saw:
        tool = {"type": "function", **ABOUT, "parameters": PARAMETERS, "strict": False}
        body: dict[str, Any] = {"model": "gpt-6", "input": messages, "tools": [tool], "extra_headers": self.headers}
        body |= {"store": self.store, "reasoning": {"effort": "low"}} | self.more()
        if structured:
            body["text"] = {"format": {"type": "json_schema", "name": "answer", "strict": True, "schema": SCHEMA}}
        async with openai.AsyncOpenAI(api_key="x", base_url=f"{self.url}/v1", max_retries=0, timeout=TIMEOUT_S) as client:
            if not stream:
                return self._saw(await client.responses.create(**body))
            async with client.responses.stream(**body) as events:
                async for _ in events:
                    pass
                return self._saw(await events.get_final_response())

    def more(self) -> dict[str, Any]:
        return {}

    def _saw(self, answer: Any) -> Saw:
        final = plain(answer.model_dump())
        del final["id"]  # the last round's, the first one's of a stream: its events must agree
        for item in final["output"]:
            item.pop("parsed_arguments", None)
            for part in item.get("content", ()):
                part.pop("parsed", None)
        calls = [item for item in answer.output if item.type == "function_call"]
        return Saw(
            text=answer.output_text,
            calls=[(call.name, json.loads(call.arguments)) for call in calls],
            reason=answer.status,
            usage=(answer.usage.input_tokens, answer.usage.output_tokens),
            final=final,
            turn=final["output"],
            ids=[call.call_id for call in calls],
        )

    def results(self, saw: Saw, texts: Sequence[str]) -> list[Any]:
        pairs = zip(saw.ids, texts, strict=True)
        return [{"type": "function_call_output", "call_id": i, "output": text} for i, text in pairs]


class OpenAIResponsesHeld(OpenAIResponses):
    """`openai`, Responses; the provider holds the history, the client goes on from the last id."""

    name = "openai, held"
    policies = ("ledger",)
    store = True

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        super().__init__(url, headers)
        self.previous = ""

    def more(self) -> dict[str, Any]:
        return {"previous_response_id": self.previous} if self.previous else {}

    def _saw(self, answer: Any) -> Saw:
        self.previous = answer.id
        saw = super()._saw(answer)
        saw.turn = []
        return saw
