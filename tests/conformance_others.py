"""The official clients of Anthropic's, Amazon's, Google's and Ollama's dialects."""

import json
from collections.abc import Sequence
from functools import cache, partial
from typing import Any

import anthropic
import anyio.to_thread
import boto3
import ollama
from botocore import UNSIGNED
from botocore.config import Config
from google import genai
from google.genai import types

from tests.conformance_base import ABOUT, CHAT_TOOL, PARAMETERS, QUESTION, SCHEMA, TIMEOUT_S, Client, Saw, plain


class Anthropic(Client):
    """`anthropic`, with signed thinking."""

    name, dialect, reasons = "anthropic", "anthropic", ("end_turn", "tool_use")

    def start(self, output: str) -> list[Any]:
        use = {"type": "tool_use", "id": "toolu_1", "name": "list_orders", "input": {}}
        return [
            {"role": "user", "content": QUESTION},
            {"role": "assistant", "content": [use]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": output}]},
        ]

    async def ask(self, messages: list[Any], *, stream: bool, structured: bool) -> Saw:
        tool = {**ABOUT, "input_schema": PARAMETERS}
        body: dict[str, Any] = {"model": self.model(), "max_tokens": 4096, "messages": messages, "tools": [tool]}
        body |= {"thinking": {"type": "adaptive"}, "extra_headers": self.headers}
        if structured:
            body["output_config"] = {"format": {"type": "json_schema", "schema": SCHEMA}}
        async with self.client() as client:
            if not stream:
                return _anthropic_saw(await client.messages.create(**body))
            async with client.messages.stream(**body) as events:
                async for _ in events:
                    pass
                return _anthropic_saw(await events.get_final_message())

    def model(self) -> str:
        return "claude-opus-5-5"

    def client(self) -> Any:
        return anthropic.AsyncAnthropic(api_key="x", base_url=self.url, max_retries=0, timeout=TIMEOUT_S)

    def results(self, saw: Saw, texts: Sequence[str]) -> list[Any]:
        pairs = zip(saw.ids, texts, strict=True)
        return [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": i, "content": text} for i, text in pairs]}]


def _anthropic_saw(answer: Any) -> Saw:
    blocks = [block.to_dict() for block in answer.content]
    uses = [block for block in blocks if block["type"] == "tool_use"]
    final = plain(answer.to_dict())
    for block in final["content"]:
        block.pop("parsed_output", None)
    final["usage"].pop("iterations", None)  # the client drops it from streams
    return Saw(
        text="\n\n".join(block["text"] for block in blocks if block["type"] == "text"),
        calls=[(use["name"], use["input"]) for use in uses],
        reason=answer.stop_reason,
        usage=(answer.usage.input_tokens, answer.usage.output_tokens),
        final=final,
        turn=[{"role": "assistant", "content": [plain(b) | ({"input": b["input"]} if "input" in b else {}) for b in blocks]}],
        ids=[use["id"] for use in uses],
    )


class AnthropicBedrock(Anthropic):
    """`anthropic` on Bedrock's InvokeModel."""

    name, dialect = "anthropic, Bedrock", "bedrock-invoke"

    def model(self) -> str:
        return "anthropic.claude-opus-5-5-v1:0"

    def client(self) -> Any:
        return anthropic.AsyncAnthropicBedrock(
            api_key="key", aws_region="us-east-1", base_url=self.url, max_retries=0, timeout=TIMEOUT_S
        )


class Gemini(Client):
    """`google-genai`, a model that signs its calls."""

    name, dialect, reasons = "google-genai", "gemini", ("STOP", "STOP")

    def start(self, output: str) -> list[Any]:
        signed = {"thoughtSignature": "skip_thought_signature_validator"}
        return [
            {"role": "user", "parts": [{"text": QUESTION}]},
            {"role": "model", "parts": [{"functionCall": {"name": "list_orders", "args": {}}, **signed}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "list_orders", "response": {"output": output}}}]},
        ]

    async def ask(self, messages: list[Any], *, stream: bool, structured: bool) -> Saw:
        declared = {**ABOUT, "parameters": PARAMETERS}
        config: dict[str, Any] = {
            "tools": [{"function_declarations": [declared]}],
            "automatic_function_calling": {"disable": True},
            "thinking_config": {"include_thoughts": True},
        }
        if structured:
            schema = {key: value for key, value in SCHEMA.items() if key != "additionalProperties"}
            config |= {"response_mime_type": "application/json", "response_schema": schema}
        options = types.HttpOptions(base_url=self.url, headers=self.headers, timeout=int(TIMEOUT_S * 1000))
        client = genai.Client(api_key="x", http_options=options)
        body: dict[str, Any] = {"model": "gemini-3-pro", "contents": messages, "config": config}
        async with client.aio as aio:
            if not stream:
                return self._saw([await aio.models.generate_content(**body)])
            return self._saw([chunk async for chunk in await aio.models.generate_content_stream(**body)])

    def _saw(self, chunks: list[Any]) -> Saw:
        parts: list[dict[str, Any]] = []
        for chunk in chunks:
            for part in chunk.candidates[0].content.parts or ():
                spelled = part.model_dump(mode="json", exclude_none=True)
                if parts and "text" in spelled and set(spelled) == set(parts[-1]) and "thought_signature" not in spelled:
                    parts[-1] = {**parts[-1], "text": parts[-1]["text"] + spelled["text"]}
                elif spelled != {"text": ""}:
                    parts.append(spelled)
        last = chunks[-1]
        final = last.model_dump(
            mode="json", exclude_none=True, exclude={"sdk_http_response", "automatic_function_calling_history"}
        )
        final["candidates"][0]["content"]["parts"] = parts
        final["response_id"] = chunks[0].response_id
        final.pop("parsed", None)  # out of the text, and only where it came whole
        calls = [part["function_call"] for part in parts if "function_call" in part]
        usage = last.usage_metadata
        return Saw(
            text="".join(part.get("text", "") for part in parts if not part.get("thought")),
            calls=[(call["name"], call.get("args", {})) for call in calls],
            reason=last.candidates[0].finish_reason.value,
            usage=(usage.prompt_token_count, usage.candidates_token_count),
            final=plain(final),
            turn=[{"role": "model", "parts": parts}],
            ids=[call.get("id", "") for call in calls],
        )

    def results(self, saw: Saw, texts: Sequence[str]) -> list[Any]:
        parts = []
        for (name, _), call_id, text in zip(saw.calls, saw.ids, texts, strict=True):
            parts.append({"function_response": {"id": call_id, "name": name, "response": {"output": text}}})
        return [{"role": "user", "parts": parts}]


class Bedrock(Client):
    """`boto3`, Converse, with signed reasoning; unsigned requests, as behind a gateway that signs them itself."""

    name, dialect, reasons = "boto3", "bedrock", ("end_turn", "tool_use")

    def start(self, output: str) -> list[Any]:
        return [
            {"role": "user", "content": [{"text": QUESTION}]},
            {"role": "assistant", "content": [{"toolUse": {"toolUseId": "t1", "name": "list_orders", "input": {}}}]},
            {"role": "user", "content": [{"toolResult": {"toolUseId": "t1", "content": [{"text": output}]}}]},
        ]

    async def ask(self, messages: list[Any], *, stream: bool, structured: bool) -> Saw:
        return await anyio.to_thread.run_sync(partial(self._ask, messages, stream=stream, structured=structured))

    def _ask(self, messages: list[Any], *, stream: bool, structured: bool) -> Saw:
        config = Config(signature_version=UNSIGNED, retries={"max_attempts": 0}, read_timeout=TIMEOUT_S)
        client = _session().client("bedrock-runtime", endpoint_url=self.url, config=config)
        client.meta.events.register("before-send.bedrock-runtime", self._add_headers)
        tool = {"toolSpec": {**ABOUT, "inputSchema": {"json": PARAMETERS}}}
        body: dict[str, Any] = {"modelId": "anthropic.claude-opus-5-5-v1:0", "messages": messages}
        body |= {"toolConfig": {"tools": [tool]}, "additionalModelRequestFields": {"thinking": {"type": "adaptive"}}}
        if structured:
            schema = {"jsonSchema": {"name": "answer", "schema": json.dumps(SCHEMA)}}
            body["outputConfig"] = {"textFormat": {"type": "json_schema", "structure": schema}}
        try:
            answer = _assembled(client.converse_stream(**body)["stream"]) if stream else client.converse(**body)
        finally:
            client.close()
        answer.pop("ResponseMetadata", None)
        blocks = answer["output"]["message"]["content"]
        uses = [block["toolUse"] for block in blocks if "toolUse" in block]
        return Saw(
            text="\n\n".join(block["text"] for block in blocks if "text" in block),
            calls=[(use["name"], use["input"]) for use in uses],
            reason=answer["stopReason"],
            usage=(answer["usage"]["inputTokens"], answer["usage"]["outputTokens"]),
            final=plain(answer),
            turn=[answer["output"]["message"]],
            ids=[use["toolUseId"] for use in uses],
        )

    def _add_headers(self, request: Any, **_: Any) -> None:
        for name, value in self.headers.items():
            request.headers[name] = value

    def results(self, saw: Saw, texts: Sequence[str]) -> list[Any]:
        pairs = zip(saw.ids, texts, strict=True)
        return [{"role": "user", "content": [{"toolResult": {"toolUseId": i, "content": [{"text": text}]}} for i, text in pairs]}]


@cache
def _session() -> boto3.session.Session:
    """One for all: it reads the definition of the service, which is large."""
    return boto3.session.Session(region_name="us-east-1")


def _assembled(events: Any) -> dict[str, Any]:
    """What a user of boto3 makes of the events of a stream: it has no helper for that."""
    blocks: dict[int, dict[str, Any]] = {}
    answer: dict[str, Any] = {}
    for event in events:
        [(kind, payload)] = event.items()
        index = payload.get("contentBlockIndex", -1)
        if kind == "contentBlockStart":
            blocks[index] = {"toolUse": {**payload["start"]["toolUse"], "input": ""}}
        elif kind == "contentBlockDelta":
            [(what, delta)] = payload["delta"].items()
            block = blocks.setdefault(index, {})
            if what == "text":
                block["text"] = block.get("text", "") + delta
            elif what == "toolUse":
                block["toolUse"]["input"] += delta["input"]
            else:
                told = block.setdefault("reasoningContent", {"reasoningText": {"text": ""}})["reasoningText"]
                for member, piece in delta.items():
                    told[member] = told.get(member, "") + piece
        elif kind == "messageStart":
            answer["output"] = {"message": {"role": payload["role"], "content": []}}
        elif kind == "messageStop":
            answer["stopReason"] = payload["stopReason"]
        elif kind == "metadata":
            answer |= payload
    assert sorted(blocks) == list(range(len(blocks)))
    for block in blocks.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = json.loads(block["toolUse"]["input"] or "{}")
    answer["output"]["message"]["content"] = [blocks[index] for index in sorted(blocks)]
    assert "stopReason" in answer, "the stream ended before it was over"
    return answer


class Ollama(Client):
    """`ollama`."""

    name, dialect, reasons = "ollama", "ollama", ("stop", "stop")

    def start(self, output: str) -> list[Any]:
        call = {"function": {"name": "list_orders", "arguments": {}}}
        return [
            {"role": "user", "content": QUESTION},
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "tool_name": "list_orders", "content": output},
        ]

    async def ask(self, messages: list[Any], *, stream: bool, structured: bool) -> Saw:
        body: dict[str, Any] = {"model": "qwen4", "messages": messages, "tools": [CHAT_TOOL], "think": True}
        if structured:
            body["format"] = SCHEMA
        async with ollama.AsyncClient(host=self.url, headers=self.headers, timeout=TIMEOUT_S) as client:
            if not stream:
                return self._saw([await client.chat(**body)])
            return self._saw([line async for line in await client.chat(**body, stream=True)])

    def _saw(self, lines: list[Any]) -> Saw:
        assert [line.done for line in lines] == [False] * (len(lines) - 1) + [True], "the stream ended before it was over"
        text = "".join(line.message.content or "" for line in lines)
        calls = [call for line in lines for call in line.message.tool_calls or ()]
        message = {"role": "assistant", "content": text, "tool_calls": [call.model_dump() for call in calls]}
        message["thinking"] = "".join(line.message.thinking or "" for line in lines)
        last = lines[-1]
        return Saw(
            text=text,
            calls=[(call.function.name, dict(call.function.arguments)) for call in calls],
            reason=last.done_reason,
            usage=(last.prompt_eval_count, last.eval_count),
            final=plain({**last.model_dump(), "message": message}),
            turn=[{name: value for name, value in message.items() if value or name == "content"}],
            ids=["" for _ in calls],
        )

    def results(self, saw: Saw, texts: Sequence[str]) -> list[Any]:
        pairs = zip(saw.calls, texts, strict=True)
        return [{"role": "tool", "tool_name": call[0], "content": text} for call, text in pairs]
