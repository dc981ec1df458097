"""LangChain's chat models for OpenAI and Anthropic."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from langchain_anthropic import ChatAnthropic
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI

from tests.conformance_base import ABOUT, CHAT_TOOL, PARAMETERS, QUESTION, SCHEMA, TIMEOUT_S, Client, Saw, plain


class _LangChain(Client):
    """A chat model of LangChain."""

    def start(self, output: str) -> list[Any]:
        call = {"name": "list_orders", "args": {}, "id": "call_1"}
        return [HumanMessage(QUESTION), AIMessage("", tool_calls=[call]), ToolMessage(output, tool_call_id="call_1")]

    @abstractmethod
    def model(self, *, structured: bool) -> Any:
        """The chat model."""

    async def ask(self, messages: list[Any], *, stream: bool, structured: bool) -> Saw:
        model = self.model(structured=structured)
        if stream:
            whole: Any = None
            async for chunk in model.astream(messages):
                whole = chunk if whole is None else whole + chunk
        else:
            whole = await model.ainvoke(messages)
        about = whole.response_metadata
        text = whole.text if isinstance(whole.content, str) else "\n\n".join(_texts(whole.content))
        calls = [(call["name"], call["args"]) for call in whole.tool_calls]
        usage = (whole.usage_metadata["input_tokens"], whole.usage_metadata["output_tokens"])
        reason = about.get("finish_reason") or about.get("stop_reason")
        blocks = [part for part in whole.content if isinstance(part, dict)] if isinstance(whole.content, list) else whole.content
        final = {"content": _unindexed(blocks), "calls": calls, "reason": reason, "usage": usage}
        ids = [call["id"] for call in whole.tool_calls]
        return Saw(text, calls, reason, usage, final, [AIMessage(whole.content, tool_calls=whole.tool_calls)], ids)

    def results(self, saw: Saw, texts: Sequence[str]) -> list[Any]:
        return [ToolMessage(text, tool_call_id=i) for i, text in zip(saw.ids, texts, strict=True)]


def _texts(content: list[Any]) -> list[str]:
    return [part["text"] for part in content if isinstance(part, dict) and part.get("type") == "text"]


def _unindexed(content: Any) -> Any:
    """Blocks without what only chunks have: an index, arguments as they came."""
    if isinstance(content, str):
        return content
    return plain([{k: v for k, v in part.items() if k not in ("index", "partial_json", "input", "caller")} for part in content])


class LangChainOpenAI(_LangChain):
    """LangChain's `ChatOpenAI`."""

    name, dialect, reasons = "ChatOpenAI", "openai-chat", ("stop", "tool_calls")

    def model(self, *, structured: bool) -> Any:
        model = ChatOpenAI(
            model="gpt-6",
            api_key="x",
            base_url=f"{self.url}/v1",
            default_headers=self.headers,
            max_retries=0,
            timeout=TIMEOUT_S,
            stream_usage=True,
            use_responses_api=False,
            model_kwargs={"response_format": {"type": "json_object"}} if structured else {},
        )
        function = {**CHAT_TOOL["function"], "strict": True} if structured else CHAT_TOOL["function"]
        return model.bind_tools([{"type": "function", "function": function}])


class LangChainAnthropic(_LangChain):
    """LangChain's `ChatAnthropic`, with signed thinking."""

    name, dialect, reasons = "ChatAnthropic", "anthropic", ("end_turn", "tool_use")

    def model(self, *, structured: bool) -> Any:
        more = {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}} if structured else {}
        model = ChatAnthropic(
            model="claude-opus-5-5",
            api_key="x",
            base_url=self.url,
            default_headers=self.headers,
            max_retries=0,
            max_tokens=4096,
            timeout=TIMEOUT_S,
            thinking={"type": "adaptive"},
            **more,
        )
        return model.bind_tools([{**ABOUT, "input_schema": PARAMETERS}])
