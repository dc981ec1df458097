"""Servers that speak OpenAI Chat in their own way: hidden rounds are one answer for their clients, streamed or not, cut anywhere.

A server is a way to spell a round; a round is (reasoning, text, calls), and a call is (id, name, arguments). What is asserted is
common to all; what a server wants back is asserted on the bodies that it gets.
"""

import json
import random as randoms
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest
from test_openai_chat_stream import frames_of, sdk, streamed

from headroom_asgi.retrieval import TOOL, Originals, Outcome, Watch, rounds
from headroom_asgi.wire import Answer, EventKind, dialect_named

WIRE = dialect_named("openai-chat")
HR = TOOL.name
ORIGINALS = Originals({"aa": "rows"}, max_bytes=1 << 20)
BODY = b'{"model":"m","messages":[{"role":"user","content":"q"}]}'
OURS = ("call_ours01", HR, '{"ref": "aa"}')
THEIRS = ("call_their1", "bash", '{"cmd": "ls"}')
MORE = ("call_their2", "read", '{"path": "x"}')

Call = tuple[str, str, str]
Script = tuple[str, str, Sequence[Call]]


class Server:
    """How most servers spell a round."""

    done = True
    reasoning = ""  # the field for it; "" where the server has none

    def usage(self) -> dict[str, Any]:
        return {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}

    def counted(self) -> dict[str, Any]:
        """Counts of two rounds."""
        return {"total_tokens": 30}

    def reason(self, calls: Sequence[Call]) -> str:
        return "tool_calls" if calls else "stop"

    def head(self, number: int) -> dict[str, Any]:
        return {"id": f"chatcmpl-{number}", "created": 1000 + number, "model": "served"}

    def call(self, index: int, call: Call) -> dict[str, Any]:
        return {"id": call[0], "type": "function", "function": {"name": call[1], "arguments": call[2]}}

    def message(self, script: Script) -> dict[str, Any]:
        reasoning, text, calls = script
        message: dict[str, Any] = {"role": "assistant", "content": text or None}
        if self.reasoning:
            message[self.reasoning] = reasoning
        if calls:
            message["tool_calls"] = [self.call(index, call) for index, call in enumerate(calls)]
        return message

    def whole(self, number: int, script: Script) -> bytes:
        choice = {"index": 0, "message": self.message(script), "finish_reason": self.reason(script[2])}
        value = {**self.head(number), "object": "chat.completion", "choices": [choice], "usage": self.usage()}
        return json.dumps(value).encode()

    def deltas(self, script: Script) -> Iterable[dict[str, Any]]:
        reasoning, text, calls = script
        yield {"role": "assistant", "content": ""}
        if self.reasoning:
            yield from ({self.reasoning: piece} for piece in pieces(reasoning))
        yield from ({"content": piece} for piece in pieces(text))
        for index, call in enumerate(calls):
            first = self.call(index, (call[0], call[1], ""))
            yield {"tool_calls": [{"index": index, **first}]}
            yield from ({"tool_calls": [{"index": index, "function": {"arguments": piece}}]} for piece in pieces(call[2]))

    def chunks(self, number: int, script: Script) -> Iterable[Any]:
        for delta in self.deltas(script):
            yield self.chunk(number, delta)
        yield self.chunk(number, {}, self.reason(script[2]))
        yield {**self.chunk(number, {}), "choices": [], "usage": self.usage()}

    def chunk(self, number: int, delta: dict[str, Any], reason: str | None = None, **more: Any) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": reason, **more}
        return {**self.head(number), "object": "chat.completion.chunk", "choices": [choice]}

    def stream(self, number: int, script: Script) -> bytes:
        said = [
            b"data: " + json.dumps(chunk).encode() if isinstance(chunk, dict) else chunk for chunk in self.chunks(number, script)
        ]
        return b"".join(each + b"\n\n" for each in [*said, b"data: [DONE]"][: None if self.done else -1])

    def wants_back(self, messages: Sequence[Any], scripts: Sequence[Script]) -> None:
        """What it checks of the turns that come back."""


def pieces(text: str) -> Iterable[str]:
    return (text[at : at + 3] for at in range(0, len(text), 3))


class Azure(Server):
    """A first chunk without choices, filter results on each, and an asynchronous filter's chunk without a delta."""

    def chunks(self, number: int, script: Script) -> Iterable[Any]:
        found = {"hate": {"filtered": False, "severity": "safe"}}
        first = {"id": "", "model": "", "created": 0, "object": "", "choices": []}
        yield {**first, "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": found}]}
        for delta in self.deltas(script):
            yield self.chunk(number, delta, content_filter_results=found, logprobs=None)
        offsets = {"check_offset": 0, "start_offset": 0, "end_offset": 9}
        late = self.chunk(number, {}, content_filter_results=found, content_filter_offsets=offsets)
        late["choices"][0].pop("delta")
        yield late
        yield self.chunk(number, {}, self.reason(script[2]), content_filter_results={})
        yield {**self.chunk(number, {}), "choices": [], "usage": self.usage()}


class Vllm(Server):
    """Calls in one piece, counts on every chunk, a reason that does not tell of calls, empty lists of calls."""

    reasoning = "reasoning_content"

    def reason(self, calls: Sequence[Call]) -> str:
        return "stop"

    def message(self, script: Script) -> dict[str, Any]:
        return {"tool_calls": [], **super().message(script), "refusal": None, "annotations": None}

    def deltas(self, script: Script) -> Iterable[dict[str, Any]]:
        reasoning, text, calls = script
        yield {"role": "assistant", "content": ""}
        yield from ({"reasoning_content": piece, "reasoning": piece} for piece in pieces(reasoning))
        yield {}
        yield from ({"content": piece} for piece in pieces(text))
        yield from ({"tool_calls": [{"index": i, **self.call(i, call)}]} for i, call in enumerate(calls))

    def chunks(self, number: int, script: Script) -> Iterable[Any]:
        yield from ({**chunk, "usage": self.usage()} for chunk in super().chunks(number, script))


class Mistral(Server):
    """Contents of parts, arguments as objects, and the calls, the reason and the counts in one chunk."""

    def call(self, index: int, call: Call) -> dict[str, Any]:
        return {"id": call[0], "function": {"name": call[1], "arguments": json.loads(call[2] or "{}")}, "index": index}

    def content(self, script: Script) -> Any:
        reasoning, text, _ = script
        if not reasoning:
            return text
        thought = {"type": "thinking", "thinking": [{"type": "text", "text": reasoning}]}
        return [thought, *([{"type": "text", "text": text}] if text else [])]

    def message(self, script: Script) -> dict[str, Any]:
        calls = {"tool_calls": [self.call(i, call) for i, call in enumerate(script[2])] or None}
        return {"role": "assistant", "content": self.content(script), **calls, "prefix": False}

    def chunks(self, number: int, script: Script) -> Iterable[Any]:
        reasoning, text, calls = script
        yield self.chunk(number, {"role": "assistant", "content": ""})
        for piece in pieces(reasoning):
            yield self.chunk(number, {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": piece}]}]})
        for piece in pieces(text):
            yield self.chunk(number, {"content": piece})
        last = {"content": "", **({"tool_calls": [self.call(i, call) for i, call in enumerate(calls)]} if calls else {})}
        yield {**self.chunk(number, last, self.reason(calls)), "usage": self.usage()}

    def wants_back(self, messages: Sequence[Any], scripts: Sequence[Script]) -> None:
        assert [json.dumps(message["content"]) for message in messages] == [json.dumps(self.content(s)) for s in scripts]
        for message in messages:
            assert all(isinstance(call["function"]["arguments"], dict) for call in message["tool_calls"])


class DeepSeek(Server):
    """Reasoning has to come back with every turn that calls, even if there is none."""

    reasoning = "reasoning_content"

    def usage(self) -> dict[str, Any]:
        return {**super().usage(), "prompt_cache_hit_tokens": 8, "prompt_cache_miss_tokens": 2}

    def counted(self) -> dict[str, Any]:
        return {"total_tokens": 30, "prompt_cache_hit_tokens": 16, "prompt_cache_miss_tokens": 4}

    def deltas(self, script: Script) -> Iterable[dict[str, Any]]:
        yield {"role": "assistant", "content": None, "reasoning_content": ""}
        yield from list(super().deltas(script))[1:]

    def chunks(self, number: int, script: Script) -> Iterable[Any]:
        yield b": keep-alive"
        *said, last, counts = super().chunks(number, script)
        yield from said
        yield {**last, "usage": counts["usage"]}

    def wants_back(self, messages: Sequence[Any], scripts: Sequence[Script]) -> None:
        assert [message["reasoning_content"] for message in messages] == [reasoning for reasoning, _, _ in scripts]


class Xai(Server):
    """Counts that grow with every chunk; calls whole."""

    reasoning = "reasoning_content"

    def deltas(self, script: Script) -> Iterable[dict[str, Any]]:
        return Vllm.deltas(self, script)  # type: ignore[arg-type]

    def chunks(self, number: int, script: Script) -> Iterable[Any]:
        *said, _ = super().chunks(number, script)
        yield from ({**chunk, "usage": self.usage(), "system_fingerprint": "fp"} for chunk in said)

    def wants_back(self, messages: Sequence[Any], scripts: Sequence[Script]) -> None:
        assert [message.get("reasoning_content", "") for message in messages] == [reasoning for reasoning, _, _ in scripts]


class OpenRouter(Server):
    """Comments, the role in every chunk, signed details, prices, and counts beside an empty delta."""

    reasoning = "reasoning"

    def head(self, number: int) -> dict[str, Any]:
        return {**super().head(number), "provider": "Somebody"}

    def usage(self) -> dict[str, Any]:
        return {**super().usage(), "cost": 0.25, "is_byok": False, "cost_details": {"upstream_inference_cost": 0.5}}

    def counted(self) -> dict[str, Any]:
        return {"total_tokens": 30, "cost": 0.5, "is_byok": False, "cost_details": {"upstream_inference_cost": 1.0}}

    def details(self, reasoning: str) -> list[dict[str, Any]]:
        return [{"type": "reasoning.text", "text": reasoning, "signature": f"sig {reasoning}", "format": "v1", "index": 0}]

    def message(self, script: Script) -> dict[str, Any]:
        details = {"reasoning_details": self.details(script[0])} if script[0] else {}
        return {**super().message(script), **details}

    def deltas(self, script: Script) -> Iterable[dict[str, Any]]:
        for delta in super().deltas(script):
            yield {"role": "assistant", "content": "", **delta}
            if "reasoning" in delta:
                text = {"type": "reasoning.text", "text": delta["reasoning"], "format": "v1", "index": 0}
                yield {"reasoning_details": [text]}
        if script[0]:
            signature = {"type": "reasoning.text", "signature": f"sig {script[0]}", "format": "v1", "index": 0}
            yield {"reasoning_details": [signature]}

    def chunks(self, number: int, script: Script) -> Iterable[Any]:
        yield b": OPENROUTER PROCESSING"
        *said, counts = super().chunks(number, script)
        yield from said
        empty = self.chunk(number, {"role": "assistant", "content": ""}, native_finish_reason=None)
        yield {**empty, "usage": counts["usage"]}

    def wants_back(self, messages: Sequence[Any], scripts: Sequence[Script]) -> None:
        for message, (reasoning, _, _) in zip(messages, scripts, strict=True):
            assert message.get("reasoning_details") == (self.details(reasoning) if reasoning else None)


class GeminiCompatible(Server):
    """A signature on the first call of a turn; calls whole and without index."""

    def call(self, index: int, call: Call) -> dict[str, Any]:
        signed = {"extra_content": {"google": {"thought_signature": f"sig {call[0]}"}}} if index == 0 else {}
        return {**super().call(index, call), **signed}

    def deltas(self, script: Script) -> Iterable[dict[str, Any]]:
        _, text, calls = script
        yield {"role": "assistant", "content": text}
        yield from ({"role": "assistant", "tool_calls": [self.call(i, call)]} for i, call in enumerate(calls))

    def wants_back(self, messages: Sequence[Any], scripts: Sequence[Script]) -> None:
        for message, (_, _, calls) in zip(messages, scripts, strict=True):
            assert message["tool_calls"] == [self.call(i, call) for i, call in enumerate(calls)]


class Fragments(Server):
    """Names in pieces, the id and type again in each, no end of its own."""

    done = False

    def deltas(self, script: Script) -> Iterable[dict[str, Any]]:
        _, text, calls = script
        yield {"role": "assistant"}
        yield from ({"content": piece} for piece in pieces(text))
        for index, (call_id, name, arguments) in enumerate(calls):
            for piece in pieces(name):
                entry = {"index": index, "id": call_id, "type": "function", "function": {"name": piece, "arguments": ""}}
                yield {"tool_calls": [entry]}
            yield from ({"tool_calls": [{"index": index, "function": {"arguments": piece}}]} for piece in pieces(arguments))


SERVERS = [Server(), Azure(), Vllm(), Mistral(), DeepSeek(), Xai(), OpenRouter(), GeminiCompatible(), Fragments()]
SCRIPTS: dict[str, list[Script]] = {
    "no call": [("hm", "plain", ())],
    "hidden": [("", "", [OURS]), ("so", "There.", ())],
    "text and hidden": [("hm", "Let me look.", [OURS]), ("so", "There.", ())],
    "hidden, then a call": [("hm", "", [OURS]), ("", "I run it.", [THEIRS])],
    "mixed, hidden first": [("hm", "Both.", [OURS, THEIRS])],
    "mixed, hidden in the middle": [("", "", [THEIRS, OURS, MORE])],
    "mixed, hidden last": [("hm", "Both.", [THEIRS, OURS])],
}
every_server = pytest.mark.parametrize("server", SERVERS, ids=lambda server: type(server).__name__.lower())
every_script = pytest.mark.parametrize("name", SCRIPTS)


def exchange(scripts: Sequence[Any], read: Callable[[Any], Answer]) -> tuple[Outcome, list[bytes]]:
    """How it ends, and the bodies that went up."""
    flow = rounds(WIRE, BODY, ORIGINALS, max_rounds=9)
    bodies = [next(flow)]
    for script in scripts:
        try:
            bodies.append(flow.send(read(script)))
        except StopIteration as stop:
            return stop.value, bodies
    raise AssertionError("another round was asked for")


def merged(server: Server, scripts: Sequence[Script]) -> tuple[bytes, list[bytes]]:
    end, bodies = exchange(list(enumerate(scripts, 1)), lambda script: WIRE.read(server.whole(*script)))
    return WIRE.merge(end.answers, end.kept, notice=end.notice, stopped=end.stopped), bodies


def relayed(server: Server, scripts: Sequence[Script], size: int = 1 << 20) -> tuple[bytes, list[bytes]]:
    """What the client gets when the upstream's bytes come in pieces of that size."""
    watch = Watch(WIRE.codec(), HR, structured=False, max_hold_bytes=65_536)
    out: list[bytes] = []

    def read(script: tuple[int, Script]) -> Answer:
        data = server.stream(*script)
        watch.begin_round()
        out.extend(watch.feed(data[at : at + size]) for at in range(0, len(data), size))
        rest, answer = watch.end_round()
        out.append(rest)
        assert answer is not None
        return answer

    end, bodies = exchange(list(enumerate(scripts, 1)), read)
    out.append(watch.finish(end))
    return b"".join(out), bodies


def plain(content: Any) -> str:
    """The text of a content, however it is spelled."""
    if isinstance(content, list):
        content = "".join(part.get("text", "") for part in content)
    return (content or "").strip()


def visible(scripts: Sequence[Script]) -> tuple[str, list[Call]]:
    calls = [call for call in scripts[-1][2] if call[1] != HR]
    return "".join(text for _, text, _ in scripts), calls


def calls_of(message: dict[str, Any]) -> list[tuple[str, str, Any]]:
    found = [(call["id"], call["function"]["name"], call["function"]["arguments"]) for call in message.get("tool_calls") or []]
    return [(i, n, json.loads(a) if isinstance(a, str) else a) for i, n, a in found]


@every_server
@every_script
@pytest.mark.parametrize("form", ["whole", "streamed"])
def test_hidden_rounds_are_one_answer(server: Server, name: str, form: str) -> None:
    scripts = SCRIPTS[name]
    if form == "whole":
        data, bodies = merged(server, scripts)
    else:
        told, bodies = relayed(server, scripts)
        codec = WIRE.codec()
        codec.begin_round()
        frames = frames_of(codec, told)
        ends = [event.kind for frame in frames for event in frame.events if event.kind in (EventKind.FINISH, EventKind.END)]
        assert ends == [EventKind.FINISH, EventKind.END][: 2 if server.done else 1]
        assert HR.encode() not in told
        data = codec.answer().document.data
    assert HR.encode() not in data
    value = json.loads(data)
    message = value["choices"][0]["message"]
    text, calls = visible(scripts)
    assert plain(message["content"]).replace("\n\n", "") == text
    assert calls_of(message) == [(i, n, json.loads(a)) for i, n, a in calls]
    assert value["choices"][0]["finish_reason"] == server.reason(calls)
    assert (value["id"], value["created"], value["model"]) == ("chatcmpl-1", 1001, "served")
    counted = server.counted() if len(scripts) == 2 else server.usage()
    assert counted.items() <= value["usage"].items()
    if server.reasoning and len(scripts) == 2:
        assert (message.get(server.reasoning) or "").split() == [r for r, _, _ in scripts if r]
    hidden = [json.loads(body)["messages"][-2] for body in bodies[1:]]
    assert [calls_of(each)[0][1] for each in hidden] == [HR] * (len(scripts) - 1)
    server.wants_back(hidden, scripts[:-1])


@pytest.mark.parametrize("form", [merged, relayed], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("calls", "signatures"),
    [
        ([THEIRS, MORE], ["sig call_their1", None]),
        ([THEIRS, OURS, MORE], ["sig call_their1", None]),
        ([OURS, THEIRS, MORE], ["skip_thought_signature_validator", None]),
        ([OURS, OURS, THEIRS], ["skip_thought_signature_validator"]),
    ],
)
def test_the_first_call_that_the_client_sees_of_gemini_has_a_signature(form: Any, calls: Any, signatures: Any) -> None:
    data, _ = form(GeminiCompatible(), [("", "Both.", calls)])
    if form is relayed:
        codec = WIRE.codec()
        codec.begin_round()
        frames_of(codec, data)
        data = codec.answer().document.data
    found = json.loads(data)["choices"][0]["message"]["tool_calls"]
    assert [call.get("extra_content", {}).get("google", {}).get("thought_signature") for call in found] == signatures


@every_server
@every_script
def test_however_the_bytes_come_the_client_gets_the_same(server: Server, name: str) -> None:
    whole = relayed(server, SCRIPTS[name])
    for size in (1, 2, 3, 7, 61):
        assert relayed(server, SCRIPTS[name], size) == whole
    random = randoms.Random(0)
    for _ in range(20):
        assert relayed(server, SCRIPTS[name], random.randint(1, 400)) == whole


@every_server
def test_a_round_without_our_call_passes_with_its_very_bytes(server: Server) -> None:
    script = ("hm", "plain", [THEIRS, MORE])
    assert relayed(server, [script])[0] == server.stream(1, script)
    assert merged(server, [script])[0] == server.whole(1, script)


@every_server
def test_text_is_passed_on_as_it_comes(server: Server) -> None:
    data = server.stream(1, ("hm", "abcxyz", ()))
    watch = Watch(WIRE.codec(), HR, structured=False, max_hold_bytes=65_536)
    watch.begin_round()
    before_the_end = data[: data.rindex(b"\n\n", 0, data.index(b'"finish_reason": "')) + 2]
    assert b"xyz" in watch.feed(before_the_end)


@every_script
def test_the_sdk_accumulates_what_azure_sends(name: str) -> None:
    assert_sdk(Server(), SCRIPTS[name])


def assert_sdk(server: Server, scripts: Sequence[Script]) -> None:
    completion = streamed(relayed(server, scripts)[0])
    text, calls = visible(scripts)
    choice = completion.choices[0]
    assert (choice.message.content or "").replace("\n\n", "") == text
    assert [(c.id, c.function.name, c.function.arguments) for c in choice.message.tool_calls or ()] == calls
    assert (choice.finish_reason, completion.usage.total_tokens) == (server.reason(calls), 15 * len(scripts))
    with sdk(merged(server, scripts)[0], "application/json") as api:
        whole = api.chat.completions.create(model="m", messages=[{"role": "user", "content": "q"}])
    assert (whole.choices[0].message.content or "").replace("\n\n", "") == text
