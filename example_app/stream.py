"""The scripted upstream's answers on the wire: one reply as JSON or as the provider's event stream, in both formats.

Streams come in small pieces, tool arguments split over several of them, the way the providers send them.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from typing import Any

from example_app.view import WireFormat

_CREATED = 1_767_225_600  # a fixed time, so that answers are the same every time
_PIECES = (3, 11, 7, 2, 17)  # sizes of successive pieces of text: short enough to split every name and escape somewhere


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call that the scripted model makes."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """What the scripted model says in one response.

    Attributes:
        text: its text; may be empty where there are calls.
        calls: its tool calls.
        thinking: what it thinks first; signed.
        split_name: in a Chat stream, send the names of tools in two deltas.
    """

    text: str = ""
    calls: tuple[Call, ...] = ()
    thinking: str = ""
    split_name: bool = False


@dataclass(frozen=True, slots=True)
class Envelope:
    """What surrounds a reply: ids, model, counts of tokens, the signature of its thinking."""

    key: str
    model: str
    tokens_in: int
    tokens_out: int
    signature: str = ""  # empty: thinking is off
    usage_asked: bool = False


def reply_json(wire_format: WireFormat, reply: Reply, envelope: Envelope) -> dict[str, Any]:
    """The body of a response that is not streamed."""
    return _chat_json(reply, envelope) if wire_format == "chat" else _anthropic_json(reply, envelope)


def reply_events(wire_format: WireFormat, reply: Reply, envelope: Envelope) -> Iterator[bytes]:
    """The frames of a streamed response."""
    return _chat_events(reply, envelope) if wire_format == "chat" else _anthropic_events(reply, envelope)


def _split(text: str) -> Iterator[str]:
    sizes = cycle(_PIECES)
    at = 0
    while at < len(text):
        size = next(sizes)
        yield text[at : at + size]
        at += size


def _chat_usage(envelope: Envelope) -> dict[str, int]:
    total = envelope.tokens_in + envelope.tokens_out
    return {"prompt_tokens": envelope.tokens_in, "completion_tokens": envelope.tokens_out, "total_tokens": total}


def _chat_json(reply: Reply, envelope: Envelope) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": reply.text or None, "refusal": None}
    if reply.calls:
        message["tool_calls"] = [
            {"id": f"call_{envelope.key}{n}", "type": "function", "function": _function(call)}
            for n, call in enumerate(reply.calls)
        ]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "tool_calls" if reply.calls else "stop"}
    head = {"id": f"chatcmpl-{envelope.key}", "object": "chat.completion", "created": _CREATED, "model": envelope.model}
    return {**head, "choices": [choice], "usage": _chat_usage(envelope)}


def _function(call: Call) -> dict[str, str]:
    return {"name": call.name, "arguments": json.dumps(call.arguments)}


def _chat_events(reply: Reply, envelope: Envelope) -> Iterator[bytes]:
    head = {"id": f"chatcmpl-{envelope.key}", "object": "chat.completion.chunk", "created": _CREATED, "model": envelope.model}
    usage: dict[str, Any] = {"usage": None} if envelope.usage_asked else {}

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
        return _data({**head, "choices": choices, **usage})

    yield chunk({"role": "assistant", "content": ""})
    for piece in _split(reply.text):
        yield chunk({"content": piece})
    for index, call in enumerate(reply.calls):
        cut = len(call.name) // 2 if reply.split_name else len(call.name)
        opening = {"index": index, "id": f"call_{envelope.key}{index}", "type": "function"}
        yield chunk({"tool_calls": [{**opening, "function": {"name": call.name[:cut], "arguments": ""}}]})
        if cut < len(call.name):
            yield chunk({"tool_calls": [{"index": index, "function": {"name": call.name[cut:]}}]})
        for piece in _split(json.dumps(call.arguments)):
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    yield chunk({}, "tool_calls" if reply.calls else "stop")
    if envelope.usage_asked:
        yield _data({**head, "choices": [], "usage": _chat_usage(envelope)})
    yield b"data: [DONE]\n\n"


def _data(value: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"


def _anthropic_blocks(reply: Reply, envelope: Envelope) -> Iterator[dict[str, Any]]:
    if reply.thinking and envelope.signature:
        yield {"type": "thinking", "thinking": reply.thinking, "signature": envelope.signature}
    if reply.text:
        yield {"type": "text", "text": reply.text}
    for index, call in enumerate(reply.calls):
        yield {"type": "tool_use", "id": f"toolu_{envelope.key}{index}", "name": call.name, "input": call.arguments}


def _anthropic_message(reply: Reply, envelope: Envelope, blocks: list[dict[str, Any]], tokens_out: int) -> dict[str, Any]:
    usage = {
        "input_tokens": envelope.tokens_in,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": tokens_out,
    }
    stop = ("tool_use" if reply.calls else "end_turn") if blocks else None
    head = {"id": f"msg_{envelope.key}", "type": "message", "role": "assistant", "model": envelope.model}
    return {**head, "content": blocks, "stop_reason": stop, "stop_sequence": None, "usage": usage}


def _anthropic_json(reply: Reply, envelope: Envelope) -> dict[str, Any]:
    return _anthropic_message(reply, envelope, list(_anthropic_blocks(reply, envelope)), envelope.tokens_out)


def _anthropic_events(reply: Reply, envelope: Envelope) -> Iterator[bytes]:
    yield _event("message_start", message=_anthropic_message(reply, envelope, [], 1))
    yield _event("ping")
    for index, block in enumerate(_anthropic_blocks(reply, envelope)):
        opening, deltas = _opened(block)
        yield _event("content_block_start", index=index, content_block=opening)
        for delta in deltas:
            yield _event("content_block_delta", index=index, delta=delta)
        yield _event("content_block_stop", index=index)
        yield _event("ping")
    stop = {"stop_reason": "tool_use" if reply.calls else "end_turn", "stop_sequence": None}
    yield _event("message_delta", delta=stop, usage={"output_tokens": envelope.tokens_out})
    yield _event("message_stop")


def _opened(block: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A block as it starts, and the deltas that fill it."""
    if block["type"] == "text":
        return {**block, "text": ""}, [{"type": "text_delta", "text": piece} for piece in _split(block["text"])]
    if block["type"] == "thinking":
        deltas: list[dict[str, Any]] = [{"type": "thinking_delta", "thinking": piece} for piece in _split(block["thinking"])]
        return {**block, "thinking": "", "signature": ""}, [*deltas, {"type": "signature_delta", "signature": block["signature"]}]
    pieces = ["", *_split(json.dumps(block["input"]))]
    return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]


def _event(kind: str, **members: Any) -> bytes:
    data = json.dumps({"type": kind, **members}, separators=(",", ":"))
    return f"event: {kind}\ndata: {data}\n\n".encode()
