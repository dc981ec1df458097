"""Conversations as clients really have them: repeated, branched, with other models, tools and choices in the middle."""

import json
import re
from typing import Any

import anyio
import pytest

from headroom_asgi import HeadroomMiddleware
from headroom_asgi.retrieval import TOOL
from headroom_asgi.store import MemoryStore
from headroom_asgi.testing import CapturedReports
from tests.driver import TABLE, Received, post, streamed_or_not
from tests.talks import FIELDS, OURS, SEARCH, SPEAKERS, Model, Talk

pytestmark = pytest.mark.anyio
MARKER = re.compile(rb"<<ccr:([0-9a-f]{32}-\d+) ")
DIALECTS = ["openai-chat", "openai-responses", "anthropic", "bedrock", "ollama", "gemini"]
every_dialect = pytest.mark.parametrize("dialect", DIALECTS)
TOLD, HIDDEN, MIXED = [("text", "fine")], [("ours", OURS)], [("theirs", SEARCH), ("ours", OURS)]


def wrapped(app: Any, **settings: Any) -> HeadroomMiddleware:
    return HeadroomMiddleware(app, **{"store": MemoryStore(shared=True), "discover": False, **settings})


def values(dialect: str, body: bytes) -> list[Any]:
    return list(json.loads(body)[SPEAKERS[dialect].wire.messages])


def calls_in(body: bytes) -> list[Any]:
    return [call for message in json.loads(body)["messages"] for call in message.get("tool_calls") or ()]


# -- the same conversation twice ---------------------------------------------------------------------------------------


@every_dialect
@streamed_or_not
async def test_twins_of_a_request_do_not_disturb_each_other_or_what_follows(dialect: str, stream: bool) -> None:
    model = Model(dialect, *[MIXED] * 4, *[TOLD] * 4, stream=stream)
    app = wrapped(model)
    talks = [Talk(app, dialect, stream=stream) for _ in range(2)]
    async with anyio.create_task_group() as group:
        for talk in talks:
            group.start_soon(talk.ask, "What is up?")
    # Both hold an answer; each goes on with its own, and finds what really happened in it.
    for talk in talks:
        await talk.ask("look")
        assert talk.last.status == 200
    sent = [values(dialect, body) for body in model.bodies]
    assert sent[0] == sent[1]
    for number in (2, 3):
        # Ollama's calls are known by name and arguments only: of its twins, one goes on as its client has it.
        assert TOOL.name in json.dumps(sent[number][1:]) or (dialect == "ollama" and number == 3)
        assert SPEAKERS[dialect].wire.unpaired(SPEAKERS[dialect].wire.decode(model.bodies[number])) == frozenset()


async def test_tenants_whose_calls_have_the_same_ids_never_meet() -> None:
    """Servers that number calls give every tenant the same ids, and the same question makes the conversations equal."""
    names = [b"red", b"blue", b"green"]
    bodies: dict[bytes, list[bytes]] = {name: [] for name in names}
    models = {name: Model("openai-chat", MIXED, TOLD, MIXED, TOLD) for name in names}

    async def by_tenant(scope: Any, receive: Any, send: Any) -> None:
        tenant = dict(scope["headers"])[b"x-tenant"]
        await models[tenant](scope, receive, send)
        bodies[tenant].append(models[tenant].bodies[-1])

    app = wrapped(by_tenant, tenant=lambda scope: dict(scope["headers"]).get(b"x-tenant", b"").decode())
    talks = {name: Talk(app, "openai-chat") for name in names}
    for turn in ("one", "two", "three", "four"):
        async with anyio.create_task_group() as group:
            for name, talk in talks.items():

                async def ask(talk: Talk = talk, name: bytes = name, turn: str = turn) -> None:
                    text = turn if turn == "one" else f"{turn} of {name.decode()}"
                    await talk.ask(text, headers=[(b"x-tenant", name)])

                group.start_soon(ask)
    for name in names:
        said = b"".join(bodies[name])
        assert all(b"of " + other not in said for other in names if other != name)
        assert [call["function"]["name"] for call in calls_in(bodies[name][3])].count(TOOL.name) == 2  # both are back
    assert models[b"red"].bodies[0] == models[b"blue"].bodies[0]


# -- another model, other tools, in the middle -------------------------------------------------------------------------


async def test_a_history_goes_on_in_another_dialect_as_the_client_spells_it() -> None:
    """A gateway's client that changes from one provider's model to another one's rewrites its history itself."""
    store = MemoryStore(shared=True)
    chat = Model("openai-chat", MIXED)
    talk = Talk(wrapped(chat, store=store), "openai-chat")
    await talk.ask("What is up?")
    call_id = talk.waiting[0][0]
    history = [
        {"role": "user", "content": "What is up?"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": call_id, "name": "search", "input": json.loads(SEARCH)}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call_id, "content": "it"}]},
    ]
    claude = Model("anthropic", TOLD)
    reports = CapturedReports()
    body = {**FIELDS["anthropic"], "messages": history}
    received = await post(wrapped(claude, store=store, observers=[reports]), "/v1/messages", body)
    assert received.status == 200
    assert SPEAKERS["anthropic"].wire.unpaired(SPEAKERS["anthropic"].wire.decode(claude.bodies[0])) == frozenset()
    assert values("anthropic", claude.bodies[0]) == history  # what another dialect said cannot be put back: it is not read at all
    assert reports[0].outcome == "skipped:small"


@every_dialect
async def test_a_change_of_the_model_within_a_dialect_changes_nothing_that_was_sent(dialect: str) -> None:
    model = Model(dialect, MIXED, TOLD, TOLD)
    talk = Talk(wrapped(model), dialect)
    await talk.ask("What is up?")
    await talk.ask("go on")
    if "model" in talk.fields:
        talk.fields["model"] = "another"
    await talk.ask("and now?")
    first, second = values(dialect, model.bodies[1]), values(dialect, model.bodies[2])
    assert second[: len(first)] == first


def tool_named(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}


@pytest.mark.parametrize(
    ("tools", "at"),
    [(["a", "search", "b"], 3), (["search", "b"], 2), (["b", "search"], 2), (["b"], 1)],
    ids=["added", "behind", "in front", "another"],
)
async def test_tools_that_change_in_the_middle_keep_what_was_sent_and_ours_behind_them(tools: list[str], at: int) -> None:
    model = Model("openai-chat", MIXED, TOLD)
    talk = Talk(wrapped(model), "openai-chat")
    await talk.ask("What is up?")
    talk.fields["tools"] = [tool_named(name) for name in tools]
    await talk.ask("look")
    sent = json.loads(model.bodies[1])
    assert [tool["function"]["name"] for tool in sent["tools"]] == [*tools[:at], TOOL.name, *tools[at:]]
    assert sent["messages"][: len(values("openai-chat", model.bodies[0]))] == values("openai-chat", model.bodies[0])
    assert TOOL.name in json.dumps(sent["messages"])


@pytest.mark.parametrize("dialect", ["openai-chat", "openai-responses", "anthropic"])
async def test_without_any_tools_left_the_conversation_goes_on_as_the_client_has_it(dialect: str) -> None:
    model = Model(dialect, MIXED, TOLD)
    talk = Talk(wrapped(model), dialect)
    await talk.ask("What is up?")
    talk.fields["tools"] = []
    await talk.ask(TABLE)
    assert TOOL.name.encode() not in model.bodies[1]
    assert not MARKER.search(model.bodies[1])
    assert SPEAKERS[dialect].wire.unpaired(SPEAKERS[dialect].wire.decode(model.bodies[1])) == frozenset()


CLIENTS_OWN = {
    "openai-chat": [tool_named(TOOL.name)],
    "openai-responses": [{"type": "function", "name": TOOL.name, "parameters": {}}],
    "anthropic": [{"name": f"mcp__proxy__{TOOL.name}", "input_schema": {"type": "object"}}],
    "ollama": [tool_named(TOOL.name)],
    "gemini": [{"functionDeclarations": [{"name": TOOL.name}]}],
}


@pytest.mark.parametrize("dialect", CLIENTS_OWN)
@streamed_or_not
async def test_a_tool_of_the_client_s_with_our_name_is_the_client_s(dialect: str, stream: bool) -> None:
    """Somebody behind us may be another one of us: its calls, and what they are answered with, are none of our business."""
    model = Model(dialect, [("ours", OURS)], TOLD, stream=stream)
    reports = CapturedReports()
    talk = Talk(wrapped(model, observers=[reports]), dialect, stream=stream, tools=CLIENTS_OWN[dialect])
    talk._keep = lambda answer: None  # type: ignore[method-assign]
    received = await talk.ask("What is up?")
    assert len(model.bodies) == 1
    assert TOOL.name.encode() in received.body
    assert model.bodies[0].count(TOOL.name.encode()) == 1
    assert reports[0].obstacle == "client_has_tool"


# -- choices of the client ---------------------------------------------------------------------------------------------

CHOICES = {
    "openai-chat": [
        ({"tool_choice": "none"}, None),
        ({"tool_choice": "required"}, None),
        ({"tool_choice": {"type": "function", "function": {"name": "search"}}}, None),
        (
            {
                "tool_choice": {
                    "type": "allowed_tools",
                    "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "search"}}]},
                }
            },
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "auto",
                    "tools": [{"type": "function", "function": {"name": name}} for name in ("search", TOOL.name)],
                },
            },
        ),
        ({"parallel_tool_calls": False}, None),
    ],
    "openai-responses": [
        ({"tool_choice": "none"}, None),
        ({"tool_choice": {"type": "function", "name": "search"}}, None),
        (
            {"tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "search"}]}},
            {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "function", "name": "search"}, {"type": "function", "name": TOOL.name}],
            },
        ),
        ({"parallel_tool_calls": False}, None),
    ],
    "anthropic": [
        ({"tool_choice": {"type": "none"}}, None),
        ({"tool_choice": {"type": "any", "disable_parallel_tool_use": True}}, None),
        ({"tool_choice": {"type": "tool", "name": "search"}}, None),
    ],
}


@pytest.mark.parametrize(
    ("dialect", "given", "becomes"), [(dialect, *case) for dialect, cases in CHOICES.items() for case in cases]
)
async def test_what_a_client_says_of_its_choice_of_tools_stays_and_ours_is_offered_all_the_same(
    dialect: str, given: dict[str, Any], becomes: Any
) -> None:
    """The prefix has the tools: whether it may be called now must not decide whether it is there."""
    model = Model(dialect, HIDDEN, TOLD)
    talk = Talk(wrapped(model), dialect, **given)
    received = await talk.ask("What is up?")
    assert TOOL.name.encode() not in received.body
    for body in map(json.loads, model.bodies):
        assert TOOL.name in json.dumps(body["tools"])
        assert {key: body[key] for key in given} == {key: becomes or value for key, value in given.items()}
    assert len(model.bodies) == 2


@pytest.mark.parametrize("count", ["2", "2.0", "3e0", "1.5"])
async def test_several_choices_are_the_client_s_and_nothing_is_left_out(count: str) -> None:
    reports = CapturedReports()
    choices = [{"index": i, "message": {"role": "assistant", "content": f"c{i}"}, "finish_reason": "stop"} for i in range(2)]
    answer = json.dumps({"id": "a", "choices": choices}).encode()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal seen
        seen = (await receive())["body"]
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": answer})

    seen = b""
    call = {"id": "call_1", "type": "function", "function": {"name": "search", "arguments": "{}"}}
    history = [
        {"role": "user", "content": "?"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": TABLE},
    ]
    body = json.dumps({**FIELDS["openai-chat"], "messages": history}).encode()[:-1] + b',"n":%b}' % count.encode()
    received = await post(wrapped(app, observers=[reports]), "/v1/chat/completions", body)
    assert received.body == answer
    assert (reports[0].obstacle, MARKER.search(seen), TOOL.name.encode() in seen) == ("several_choices", None, False)


# -- conversations that the provider holds, in branches -----------------------------------------------------------------


class Holding(Model):
    """A model behind Responses with `store`, which checks that every id and output that it gets is known."""

    problems: list[str]

    def __init__(self, *rounds: list[tuple[str, str]], stream: bool = False) -> None:
        super().__init__("openai-responses", *rounds, stream=stream)
        self.problems = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        before = len(self.bodies)
        rounds = list(self.rounds)
        await super().__call__(scope, receive, send)
        body = json.loads(self.bodies[before])
        previous = body.get("previous_response_id")
        known = self.open.get(previous, set()) if previous else set()
        items = body["input"] if isinstance(body["input"], list) else []
        called = {item["call_id"] for item in items if item.get("type") == "function_call"}
        outputs = {item["call_id"] for item in items if item.get("type") == "function_call_output"}
        if outputs != called | known:
            self.problems.append(f"request {before + 1}: outputs {sorted(outputs)} for {sorted(called | known)} from {previous}")
        number = before + 1
        self.open[f"resp_{number}"] = {f"call_{number}_{i}" for i, (kind, _) in enumerate(rounds[0]) if kind != "text"}

    @property
    def open(self) -> dict[str, set[str]]:
        return self.__dict__.setdefault("_open", {})


async def held_say(app: Any, previous: str, items: list[Any], *, stream: bool = False) -> tuple[str, Received]:
    body = {**FIELDS["openai-responses"], "store": True, "stream": stream, "input": items}
    body |= {"previous_response_id": previous} if previous else {}
    received = await post(app, "/v1/responses", body)
    assert received.status == 200
    output = json.loads(received.body)["output"] if not stream else received.body.decode()
    assert TOOL.name not in json.dumps(output)
    return re.findall(r'"id": ?"(resp_\d+)"', received.body.decode())[-1], received


def asks(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def outputs_of(received: Received, text: str = "it") -> list[dict[str, Any]]:
    ids = dict.fromkeys(re.findall(r'"call_id": ?"(call_\d+_\d+)"', received.body.decode()))
    return [{"type": "function_call_output", "call_id": key, "output": text} for key in ids]


@streamed_or_not
async def test_two_branches_from_one_held_answer_both_find_what_was_hidden_in_it(stream: bool) -> None:
    model = Holding(HIDDEN, MIXED, TOLD, MIXED, TOLD, TOLD, stream=stream)
    app = wrapped(model)
    root, received = await held_say(app, "", [asks("What is up?")], stream=stream)
    outputs = outputs_of(received)
    left, _ = await held_say(app, root, [*outputs], stream=stream)
    right, again = await held_say(app, root, [*outputs, asks("or else?")], stream=stream)
    await held_say(app, left, [asks("left")], stream=stream)
    await held_say(app, right, [*outputs_of(again), asks("right")], stream=stream)
    assert model.problems == []


async def test_branches_that_go_on_at_once_do_not_mix() -> None:
    model = Holding(MIXED, *[TOLD] * 6)
    app = wrapped(model)
    root, received = await held_say(app, "", [asks("What is up?")])
    outputs = outputs_of(received)
    async with anyio.create_task_group() as group:
        for text in "abcdef":
            group.start_soon(held_say, app, root, [*outputs, asks(text)])
    assert model.problems == []
    assert sorted(json.loads(body)["input"][-1]["content"] for body in model.bodies[1:]) == list("abcdef")


@pytest.mark.parametrize("shared", [False, True])
async def test_without_what_the_store_had_a_held_conversation_is_asked_for_in_the_client_s_own_words(shared: bool) -> None:
    """A store that is lost, or none that workers share: nothing is made up, and the client's own ids and outputs go."""
    store = MemoryStore(shared=shared)
    model = Model("openai-responses", [("text", "Hm."), *([("theirs", SEARCH)])], TOLD, TOLD)
    app = wrapped(model, store=store)
    root, received = await held_say(app, "", [asks("What is up?")])
    await store.delete_tenant("")
    await held_say(app, root, outputs_of(received, TABLE))
    sent = json.loads(model.bodies[1])
    assert sent["previous_response_id"] == root
    assert [item["call_id"] for item in sent["input"]] == ["call_1_1"]
    assert (TOOL.name in json.dumps(sent["tools"])) == shared


async def test_a_stored_conversation_object_goes_on_under_its_own_id() -> None:
    model = Model("openai-responses", MIXED, TOLD)
    app = wrapped(model)
    fields = {**FIELDS["openai-responses"], "store": True, "conversation": {"id": "conv_1"}}
    first = await post(app, "/v1/responses", {**fields, "input": [asks("What is up?")]})
    second = await post(app, "/v1/responses", {**fields, "input": outputs_of(first)})
    assert (first.status, second.status) == (200, 200)
    sent = json.loads(model.bodies[1])
    assert sent["conversation"] == {"id": "conv_1"}
    assert "previous_response_id" not in sent


# -- many turns --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["openai-chat", "ollama"])
async def test_a_talk_over_many_turns_with_all_that_may_be_hidden_stays_paired(dialect: str) -> None:
    script = [HIDDEN, MIXED, MIXED[::-1], HIDDEN, HIDDEN, TOLD, MIXED, HIDDEN, TOLD, TOLD]
    model = Model(dialect, *script)
    talk = Talk(wrapped(model), dialect)
    while model.rounds:
        await talk.ask(f"turn {len(model.rounds)}")
    before: list[Any] = []
    for body in model.bodies:
        wire = SPEAKERS[dialect].wire
        assert wire.unpaired(wire.decode(body)) == frozenset()
        assert values(dialect, body)[: len(before)] == before
        before = values(dialect, body)
