"""Scripted rounds of a model, spelled as JSON answers and as streams in each dialect, independently of the code under test.

A round is a list of (kind, words): `text`, `signed`, `ours` and `theirs` (arguments of a call of our tool, of the client's).
A dialect also says what a client keeps of an answer (`turn`), how it answers calls (`results`, of (id, name, text)) and how it asks
(`question`): each a list of values for the body's conversation.
"""

import json

import toy_wire

from headroom_asgi.retrieval import TOOL
from headroom_asgi.wire import EventKind
from headroom_asgi.wire.anthropic import AnthropicMessages
from headroom_asgi.wire.ollama import Ollama as OllamaWire
from headroom_asgi.wire.openai_chat import OpenAIChat

CLIENT_TOOL = "search"
_RANK = {kind: rank for rank, kind in enumerate(EventKind)}


def split(random, text, most=3):
    """The text in a few pieces."""
    cuts = sorted(random.randint(0, len(text)) for _ in range(random.randint(0, most - 1)))
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def calls_of(number, parts, client_tool=CLIENT_TOOL):
    """(kind, words, id, name) for each part; id and name of calls."""
    names = {"ours": TOOL.name, "theirs": client_tool}
    return [(kind, words, f"call_{number}_{i}", names.get(kind, "")) for i, (kind, words) in enumerate(parts)]


class Dialect:
    def canonical(self, parts):
        """The parts as far as the dialect can tell their order."""
        return parts

    def value(self, answer):
        """What a JSON answer says."""
        return json.loads(answer)


class Toy(Dialect):
    wire = toy_wire.ToyWire()
    body = b'{"turns":[]}'

    def json(self, number, parts, *, cut=False, client_tool=CLIENT_TOOL):
        value = {"id": f"a{number}", "parts": [], "finish": self.reason(parts, cut=cut), "usage": number}
        for kind, words, call_id, name in calls_of(number, parts, client_tool):
            call = {"id": call_id, "name": name} if name else {}
            value["parts"].append({"kind": "call" if name else kind, "text": words} | call)
        return json.dumps(value).encode()

    def reason(self, parts, *, cut):
        return "cut" if cut else "calls" if any(kind in ("ours", "theirs") for kind, _ in parts) else "stop"

    def stream(self, random, number, parts, *, cut=False, client_tool=CLIENT_TOOL):
        events = [["start", f"a{number}"]]
        for i, (kind, words, call_id, name) in enumerate(calls_of(number, parts, client_tool)):
            events += [["call", i, piece, call_id] for piece in (split(random, name) if name else [])]
            events += [["piece" if name else kind, i, piece] for piece in split(random, words)]
            events += [["ping"]] * (random.random() < 0.2)
        events += [["finish", self.reason(parts, cut=cut)], ["usage", number], ["end"]]
        frames = []
        for event in events:
            kind = EventKind("opaque" if event[0] == "ping" else event[0])
            if frames and frames[-1][0] <= _RANK[kind] and random.random() < 0.3 and kind is not EventKind.END:
                frames[-1] = (_RANK[kind], [*frames[-1][1], event])
            else:
                frames.append((_RANK[kind], [event]))
        return b"".join(toy_wire.line(*group) for _, group in frames)


class Chat(Dialect):
    wire = OpenAIChat()
    body = b'{"model":"m","messages":[{"role":"user","content":"q"}]}'

    def canonical(self, parts):
        """One signed field, one text, then the calls."""
        first = [
            (kind, "".join(w for k, w in parts if k == kind)) for kind in ("signed", "text") if any(k == kind for k, _ in parts)
        ]
        return first + [part for part in parts if part[0] in ("ours", "theirs")]

    def value(self, answer):
        """No content is null in JSON, and may be an empty piece in a stream."""
        value = json.loads(answer)
        message = value["choices"][0]["message"]
        message["content"] = message["content"] or None
        return value

    def _reason(self, parts, cut):
        return "length" if cut else "tool_calls" if any(kind in ("ours", "theirs") for kind, _ in parts) else "stop"

    def _head(self, number, kind):
        return {"id": f"chatcmpl-{number}", "object": kind, "created": 1000 + number, "model": "m"}

    def _signed(self, words):
        return [{"type": "reasoning.encrypted", "data": words, "index": 0}]

    def _usage(self, number):
        return {"prompt_tokens": number, "total_tokens": number, "prompt_tokens_details": {"cached_tokens": 1}}

    def json(self, number, parts, *, cut=False, client_tool=CLIENT_TOOL):
        message = {"role": "assistant"}
        for kind, words, call_id, name in calls_of(number, parts, client_tool):
            if kind == "text":
                message["content"] = words
            elif kind == "signed":
                message["reasoning_details"] = self._signed(words)
            else:
                call = {"id": call_id, "type": "function", "function": {"name": name, "arguments": words}}
                message.setdefault("tool_calls", []).append(call)
        message.setdefault("content", None)
        choice = {"index": 0, "message": message, "finish_reason": self._reason(parts, cut)}
        value = self._head(number, "chat.completion") | {"choices": [choice], "usage": self._usage(number)}
        return json.dumps(value).encode()

    def turn(self, answer):
        return [json.loads(answer)["choices"][0]["message"]]

    def results(self, given):
        return [{"role": "tool", "tool_call_id": call_id, "content": text} for call_id, _, text in given]

    def question(self, text):
        return [{"role": "user", "content": text}]

    def stream(self, random, number, parts, *, cut=False, client_tool=CLIENT_TOOL):
        deltas = [{"role": "assistant", "content": "" if any(kind == "text" for kind, _ in parts) else None}]
        calls = 0
        for kind, words, call_id, name in calls_of(number, parts, client_tool):
            if kind == "text":
                deltas += [{"content": piece} for piece in split(random, words)]
            elif kind == "signed":
                deltas.append({"reasoning_details": self._signed(words)})
            else:
                first, *more = split(random, name)
                function = {"name": first, "arguments": ""}
                entries = [{"index": calls, "id": call_id, "type": "function", "function": function}]
                entries += [{"index": calls, "function": {"name": piece, "arguments": ""}} for piece in more]
                entries += [{"index": calls, "function": {"arguments": piece}} for piece in split(random, words)]
                deltas += [{"tool_calls": [entry]} for entry in entries]
                calls += 1
        choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
        if random.random() < 0.3:
            choices[-1]["finish_reason"] = self._reason(parts, cut)
        else:
            choices.append({"index": 0, "delta": {}, "finish_reason": self._reason(parts, cut)})
        head = self._head(number, "chat.completion.chunk")
        chunks = [{**head, "choices": [choice]} for choice in choices]
        if random.random() < 0.5:
            chunks[-1]["usage"] = self._usage(number)
        else:
            chunks.append({**head, "choices": [], "usage": self._usage(number)})
        spelled = [b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks]
        if random.random() < 0.3:
            spelled.insert(random.randint(0, len(spelled)), b": keep-alive\n\n")
        return b"".join(spelled) + b"data: [DONE]\n\n"


class Anthropic(Dialect):
    wire = AnthropicMessages()
    body = b'{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"q"}]}'

    def _reason(self, parts, cut):
        return "max_tokens" if cut else "tool_use" if any(kind in ("ours", "theirs") for kind, _ in parts) else "end_turn"

    def _block(self, part):
        kind, words, call_id, name = part
        if kind == "text":
            return {"type": "text", "text": words}
        if kind == "signed":
            return {"type": "thinking", "thinking": "hm", "signature": words}
        return {"type": "tool_use", "id": call_id, "name": name, "input": json.loads(words)}

    def _message(self, number, blocks, reason):
        return {
            "id": f"msg_{number}",
            "type": "message",
            "role": "assistant",
            "model": "m",
            "content": blocks,
            "stop_reason": reason,
            "stop_sequence": None,
            "usage": {"input_tokens": 10 * number, "output_tokens": number},
        }

    def json(self, number, parts, *, cut=False, client_tool=CLIENT_TOOL):
        blocks = [self._block(part) for part in calls_of(number, parts, client_tool)]
        return json.dumps(self._message(number, blocks, self._reason(parts, cut))).encode()

    def turn(self, answer):
        return [{"role": "assistant", "content": json.loads(answer)["content"]}]

    def results(self, given):
        blocks = [{"type": "tool_result", "tool_use_id": call_id, "content": text} for call_id, _, text in given]
        return [{"role": "user", "content": blocks}]

    def question(self, text):
        return [{"role": "user", "content": text}]

    def stream(self, random, number, parts, *, cut=False, client_tool=CLIENT_TOOL):
        message = self._message(number, [], None) | {"usage": {"input_tokens": 10 * number, "output_tokens": 1}}
        events = [{"type": "message_start", "message": message}]
        for i, part in enumerate(calls_of(number, parts, client_tool)):
            kind, words, _, _ = part
            empty = {"text": {"text": ""}, "signed": {"thinking": "", "signature": ""}}.get(kind, {"input": {}})
            events.append({"type": "content_block_start", "index": i, "content_block": self._block(part) | empty})
            if kind == "text":
                deltas = [{"type": "text_delta", "text": piece} for piece in split(random, words)]
            elif kind == "signed":
                deltas = [{"type": "thinking_delta", "thinking": "hm"}, {"type": "signature_delta", "signature": words}]
            else:
                deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in ["", *split(random, words)]]
            events += [{"type": "content_block_delta", "index": i, "delta": delta} for delta in deltas]
            events.append({"type": "content_block_stop", "index": i})
            if random.random() < 0.2:
                events.append({"type": "ping"})
        delta = {"stop_reason": self._reason(parts, cut), "stop_sequence": None}
        events.append({"type": "message_delta", "delta": delta, "usage": {"output_tokens": number}})
        events.append({"type": "message_stop"})
        return b"".join(b"event: " + e["type"].encode() + b"\ndata: " + json.dumps(e).encode() + b"\n\n" for e in events)


class Ollama(Dialect):
    wire = OllamaWire()
    body = b'{"model":"m","messages":[{"role":"user","content":"q"}]}'

    def canonical(self, parts):
        """One thought (nothing is signed in this dialect), one text, then the calls."""
        return Chat.canonical(self, parts)

    def value(self, answer):
        """No text is no member, or an empty one."""
        value = json.loads(answer)
        value["message"].setdefault("content", "")
        return value

    def _line(self, number, message, **more):
        head = {"model": "m", "created_at": f"2026-01-0{number}T00:00:00Z"}
        return {**head, "message": {"role": "assistant", **message}, "done": False, **more}

    def _end(self, number, cut):
        return {"done": True, "done_reason": "length" if cut else "stop", "total_duration": 7, "eval_count": number}

    def _call(self, call_id, index, name, words):
        return {"id": call_id, "function": {"index": index, "name": name, "arguments": json.loads(words)}}

    def json(self, number, parts, *, cut=False, client_tool=CLIENT_TOOL):
        message = {}
        for kind, words, call_id, name in calls_of(number, parts, client_tool):
            if name:
                calls = message.setdefault("tool_calls", [])
                calls.append(self._call(call_id, len(calls), name, words))
            else:
                message["content" if kind == "text" else "thinking"] = words
        return json.dumps(self._line(number, {"content": "", **message}, **self._end(number, cut))).encode()

    def turn(self, answer):
        message = json.loads(answer)["message"]
        return [{key: value for key, value in message.items() if key != "images"}]

    def results(self, given):
        return [{"role": "tool", "tool_name": name, "tool_call_id": i, "content": text} for i, name, text in given]

    def question(self, text):
        return [{"role": "user", "content": text}]

    def stream(self, random, number, parts, *, cut=False, client_tool=CLIENT_TOOL):
        messages = []
        calls = 0
        for kind, words, call_id, name in calls_of(number, parts, client_tool):
            if name:
                entry = self._call(call_id, calls, name, words)
                if messages and "tool_calls" in messages[-1] and random.random() < 0.5:
                    messages[-1]["tool_calls"].append(entry)
                else:
                    messages.append({"content": "", "tool_calls": [entry]})
                calls += 1
            elif kind == "text":
                messages += [{"content": piece} for piece in split(random, words)]
            else:
                messages += [{"content": "", "thinking": piece} for piece in split(random, words)]
        lines = [self._line(number, message) for message in messages]
        if lines and random.random() < 0.3:
            lines[-1] |= self._end(number, cut)
        else:
            lines.append(self._line(number, {"content": ""}, **self._end(number, cut)))
        data = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        return data if random.random() < 0.7 else data[:-1]
