"""Scripted rounds of a model in the two dialects of Bedrock, see `conversations`. Streams are framed as botocore documents it."""

import base64
import json
import struct
from zlib import crc32

from conversations import CLIENT_TOOL, Anthropic, Dialect, calls_of, split

from headroom_asgi.wire.bedrock import BedrockConverse
from headroom_asgi.wire.bedrock_invoke import BedrockInvoke


def frame(kind, value, *, exception=False):
    """A message of an event stream with string headers and JSON."""
    names = {":exception-type" if exception else ":event-type": kind, ":content-type": "application/json"}
    names[":message-type"] = "exception" if exception else "event"
    head = b""
    for name, text in names.items():
        head += bytes([len(name)]) + name.encode() + b"\x07" + struct.pack("!H", len(text)) + text.encode()
    payload = value if isinstance(value, bytes) else json.dumps(value).encode()
    prelude = struct.pack("!II", 16 + len(head) + len(payload), len(head))
    data = prelude + struct.pack("!I", crc32(prelude)) + head + payload
    return data + struct.pack("!I", crc32(data))


class Bedrock(Dialect):
    wire = BedrockConverse()
    body = b'{"messages":[{"role":"user","content":[{"text":"q"}]}]}'

    def _reason(self, parts, cut):
        return "max_tokens" if cut else "tool_use" if any(kind in ("ours", "theirs") for kind, _ in parts) else "end_turn"

    def _block(self, part):
        kind, words, call_id, name = part
        if kind == "text":
            return {"text": words}
        if kind == "signed":
            return {"reasoningContent": {"reasoningText": {"text": "hm", "signature": words}}}
        return {"toolUse": {"toolUseId": call_id, "name": name, "input": json.loads(words)}}

    def _spent(self, number):
        counts = {"inputTokens": 10 * number, "outputTokens": number, "totalTokens": 11 * number}
        cached = {"cacheDetails": [{"ttl": "5m" if number % 2 else "1h", "inputTokens": number}]}
        return {"usage": counts | cached, "metrics": {"latencyMs": 100 + number}}

    def json(self, number, parts, *, cut=False, client_tool=CLIENT_TOOL):
        blocks = [self._block(part) for part in calls_of(number, parts, client_tool)]
        message = {"role": "assistant", "content": blocks}
        answer = {"output": {"message": message}, "stopReason": self._reason(parts, cut), **self._spent(number)}
        return json.dumps(answer).encode()

    def turn(self, answer):
        """As a client sends it again: the API refuses blank texts."""
        message = json.loads(answer)["output"]["message"]
        said = [block for block in message["content"] if block.get("text", "x").strip()]
        return [message | {"content": said or message["content"]}]

    def results(self, given):
        blocks = [{"toolResult": {"toolUseId": call_id, "content": [{"text": text}]}} for call_id, _, text in given]
        return [{"role": "user", "content": blocks}]

    def question(self, text):
        return [{"role": "user", "content": [{"text": text}]}]

    def stream(self, random, number, parts, *, cut=False, client_tool=CLIENT_TOOL):
        def padded(value):
            return value | ({"p": "abcdefgh"[: random.randint(1, 8)]} if random.random() < 0.5 else {})

        events = [("messageStart", {"role": "assistant"})]
        for i, part in enumerate(calls_of(number, parts, client_tool)):
            kind, words, call_id, name = part
            if kind == "text":
                deltas = [{"text": piece} for piece in split(random, words)]
            elif kind == "signed":
                deltas = [{"reasoningContent": {"text": "hm"}}, {"reasoningContent": {"signature": words}}]
            else:
                start = {"toolUse": {"toolUseId": call_id, "name": name}}
                events.append(("contentBlockStart", {"contentBlockIndex": i, "start": start}))
                deltas = [{"toolUse": {"input": piece}} for piece in split(random, words)]
            events += [("contentBlockDelta", {"delta": delta, "contentBlockIndex": i}) for delta in deltas]
            events.append(("contentBlockStop", {"contentBlockIndex": i}))
            if random.random() < 0.1:
                events.append(("somethingNew", {"x": 1}))
        events += [("messageStop", {"stopReason": self._reason(parts, cut)}), ("metadata", self._spent(number))]
        return b"".join(frame(name, padded(value)) for name, value in events)


class Invoke(Anthropic):
    wire = BedrockInvoke()
    body = b'{"anthropic_version":"bedrock-2023-05-31","max_tokens":9,"messages":[{"role":"user","content":"q"}]}'

    def stream(self, random, number, parts, *, cut=False, client_tool=CLIENT_TOOL):
        native = super().stream(random, number, parts, cut=cut, client_tool=client_tool)
        events = [json.loads(each.partition(b"\ndata: ")[2]) for each in native.split(b"\n\n") if each]
        events[-1]["amazon-bedrock-invocationMetrics"] = {
            "inputTokenCount": 10 * number,
            "outputTokenCount": number,
            "invocationLatency": 100 + number,
            "firstByteLatency": 50 + number,
        }
        return b"".join(wrapped(random, event) for event in events)


def wrapped(random, event):
    """An event of the model as InvokeModel sends it."""
    value = {"bytes": base64.b64encode(json.dumps(event).encode()).decode()}
    return frame("chunk", value | {"p": "abcdefgh"[: random.randint(1, 8)]})


BEDROCK_DIALECTS = (Bedrock(), Invoke())
