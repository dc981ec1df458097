"""Instructions that change between conversations: found, told, and on request moved to the first user message, once."""

import json
import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headroom_asgi import (
    CacheAlignerConfig,
    CompressorConfig,
    ConfigError,
    HeadroomConfig,
    RouteConfig,
    TransformPipeline,
    compress,
)
from headroom_asgi.transforms import CacheAligner, Context, PipelineReport, drain
from headroom_asgi.transforms.volatile import MAX_CHARS, volatile
from headroom_asgi.wire import DIALECTS, Payload, dialect_named
from tests.driver import Inner, answer_json, post, question_body, text_answer

MOVE = HeadroomConfig(cache_aligner=CacheAlignerConfig(move=True))
SYSTEM = "You help people.\nToday is {}. Session id: {}.\nBe kind."
TODAY, SESSION = "Saturday, November 21, 2026", "s-4711-ab"
ASKED = "What is \\u0075p?"  # an escape that a re-spelled text would lose


def chat(system: str, *later: Any) -> dict[str, Any]:
    return {"messages": [{"role": "system", "content": system}, {"role": "user", "content": "Q"}, *later]}


def chat_parts(system: str, *later: Any) -> dict[str, Any]:
    parts = [{"type": "text", "text": system}]
    user = [{"type": "image_url", "image_url": {"url": "u"}}, {"type": "text", "text": "Q"}]
    return {"messages": [{"role": "developer", "content": parts}, {"role": "user", "content": user}, *later]}


def anthropic(system: str, *later: Any) -> dict[str, Any]:
    return {"system": system, "messages": [{"role": "user", "content": "Q"}, *later]}


def anthropic_blocks(system: str, *later: Any) -> dict[str, Any]:
    blocks = [{"type": "text", "text": "Fixed."}, {"type": "text", "text": system, "cache_control": {"type": "ephemeral"}}]
    return {"system": blocks, "messages": [{"role": "user", "content": [{"type": "text", "text": "Q"}]}, *later]}


def responses(system: str, *later: Any) -> dict[str, Any]:
    return {"instructions": system, "store": False, "input": [{"role": "user", "content": "Q"}, *later]}


def responses_text(system: str) -> dict[str, Any]:
    return {"instructions": system, "store": False, "input": "Q"}


def responses_items(system: str, *later: Any) -> dict[str, Any]:
    first = {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": system}]}
    asked = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Q"}]}
    return {"store": False, "input": [first, asked, *later]}


def gemini(system: str, *later: Any) -> dict[str, Any]:
    return {"systemInstruction": {"parts": [{"text": system}]}, "contents": [{"parts": [{"text": "Q"}]}, *later]}


def gemini_snake(system: str, *later: Any) -> dict[str, Any]:
    return {"system_instruction": {"parts": {"text": system}}, "contents": [{"role": "user", "parts": [{"text": "Q"}]}, *later]}


def bedrock(system: str, *later: Any) -> dict[str, Any]:
    return {"system": [{"text": system}, {"cachePoint": {}}], "messages": [{"role": "user", "content": [{"text": "Q"}]}, *later]}


def invoke(system: str, *later: Any) -> dict[str, Any]:
    return {"anthropic_version": "bedrock-2023-05-31", **anthropic(system, *later)}


def ollama(system: str, *later: Any) -> dict[str, Any]:
    return {"truncate": False, **chat(system, *later)}


SHAPES: list[tuple[str, Any]] = [
    ("openai-chat", chat),
    ("openai-chat", chat_parts),
    ("anthropic", anthropic),
    ("anthropic", anthropic_blocks),
    ("openai-responses", responses),
    ("openai-responses", responses_text),
    ("openai-responses", responses_items),
    ("gemini", gemini),
    ("gemini", gemini_snake),
    ("bedrock", bedrock),
    ("bedrock-invoke", invoke),
    ("ollama", ollama),
]
every_shape = pytest.mark.parametrize(("dialect", "shape"), SHAPES, ids=[shape.__name__ for _, shape in SHAPES])


def decoded(dialect: str, body: dict[str, Any]) -> Payload:
    return dialect_named(dialect).decode(json.dumps(body).encode())


def run(payload: Payload, config: HeadroomConfig) -> tuple[Payload, PipelineReport]:
    step = drain(TransformPipeline(config).steps(payload, Context()))
    return step.payload, step.report


def aligned(dialect: str, body: dict[str, Any], config: HeadroomConfig = MOVE) -> tuple[Payload, PipelineReport]:
    return run(decoded(dialect, body), config)


def openings(payload: Payload) -> tuple[str, str]:
    """All instructions, and the first user text."""
    opening = payload.wire.opening(payload)
    return "|".join(payload.document.text(node) for node in opening.system), payload.document.text(opening.user)


def test_every_dialect_is_here() -> None:
    assert {dialect for dialect, _ in SHAPES} == {wire.name for wire in DIALECTS}


# -- moving -------------------------------------------------------------------------------------------------------------


@every_shape
def test_fragments_move_to_the_head_of_the_first_user_text(dialect: str, shape: Any) -> None:
    payload, report = aligned(dialect, shape(SYSTEM.format(TODAY, SESSION)))
    system, user = openings(payload)
    assert system.endswith("You help people.\nToday is [date-1]. Session id: [id-1].\nBe kind.")
    assert user == f"Values of the placeholders in the system prompt:\n[date-1]: {TODAY}\n[id-1]: {SESSION}\n\nQ"
    assert report.labels == ("cache_aligner:moved",)
    assert report.warnings == ()


@every_shape
def test_conversations_share_every_byte_before_the_first_user_text(dialect: str, shape: Any) -> None:
    systems = {openings(aligned(dialect, shape(SYSTEM.format(day, session)))[0])[0] for day, session in DAYS}
    assert len(systems) == 1


DAYS = [
    ("2026-11-21", "a-1"),
    ("2026-11-22T09:30:00Z", "b-2"),
    ("21 November 2026", "c-333"),
    ("Nov 3rd, 2026 at 9:30 AM", "d4d4"),
]


@every_shape
def test_everything_else_keeps_its_bytes(dialect: str, shape: Any) -> None:
    raw = json.dumps(shape(SYSTEM.format(TODAY, SESSION)), indent=3).replace('"Q"', f'"{ASKED}"').encode()
    payload, _ = run(dialect_named(dialect).decode(raw), MOVE)
    assert ASKED.encode() in payload.body
    opening = dialect_named(dialect).decode(raw)
    spans = [opening.document.span(node) for node in opening.wire.opening(opening).system]
    rest = b"".join(raw[end:start] for (_, end), (start, _) in zip([(0, 0), *spans], [*spans, (len(raw), 0)], strict=True))
    gone = payload.body
    spans = [payload.document.span(node) for node in payload.wire.opening(payload).system]
    left = b"".join(gone[end:start] for (_, end), (start, _) in zip([(0, 0), *spans], [*spans, (len(gone), 0)], strict=True))
    assert re.sub(rb"Values of the placeholders.*?\\n\\n", b"", left) == rest


@pytest.mark.parametrize(
    ("dialect", "shape"),
    [pair for pair in SHAPES if pair[1] is not responses_text],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_conversation_that_grows_only_extends_what_was_sent(dialect: str, shape: Any) -> None:
    says = {"gemini": ("model", "parts"), "openai-responses": ("assistant", "content")}.get(dialect, ("assistant", "content"))

    def message(role: str, text: str) -> dict[str, Any]:
        if dialect == "gemini":
            return {"role": role, says[1]: [{"text": text}]}
        return {"role": role, "content": [{"text": text}] if dialect == "bedrock" else text}

    later: list[Any] = []
    bodies = []
    for turn in range(4):
        bodies.append(aligned(dialect, shape(SYSTEM.format(TODAY, SESSION), *later))[0])
        later += [message(says[0], f"answer {turn} of 2026-11-2{turn}"), message("user", f"today is 2026-11-2{turn}, now what?")]
    firsts = [openings(payload) for payload in bodies]
    assert set(firsts) == {firsts[0]}
    name = bodies[0].wire.messages
    lists = [json.loads(payload.body)[name] for payload in bodies]
    for shorter, longer in pairwise(lists):
        assert longer[: len(shorter)] == shorter
    assert all(f"today is 2026-11-2{turn}" in bodies[-1].body.decode() for turn in range(3))


@every_shape
def test_what_is_moved_does_not_depend_on_anything_but_the_opening(dialect: str, shape: Any) -> None:
    body = shape(SYSTEM.format(TODAY, SESSION))
    first = openings(aligned(dialect, body)[0])
    assert openings(aligned(dialect, {**body, "temperature": 1, "tools": []})[0]) == first
    again = json.loads(aligned(dialect, body)[0].body)
    assert aligned(dialect, again)[0].body == decoded(dialect, again).body


def test_a_value_that_stands_there_twice_has_one_placeholder() -> None:
    payload, _ = aligned("openai-chat", chat("Today is 2026-11-21. Now it is 2026-11-21, current date 2026-11-22."))
    system, user = openings(payload)
    assert system == "Today is [date-1]. Now it is [date-1], current date [date-2]."
    assert user.count("2026-11-21") == 1


@pytest.mark.parametrize(
    ("dialect", "body", "why"),
    [
        ("openai-responses", {"instructions": "Today is 2026-11-21.", "input": "Q"}, "the provider holds the conversation"),
        ("anthropic", {**anthropic("Today is 2026-11-21."), "context_management": {}}, "may leave out the first user message"),
        ("ollama", chat("Today is 2026-11-21."), "may leave out the first user message"),
        ("openai-chat", {"messages": chat("Today is 2026-11-21.")["messages"][:1]}, "no user text follows"),
        ("openai-chat", {"messages": [*chat("Today is 2026-11-21.")["messages"][:1], {"role": "assistant", "content": "Hi"},
                                      {"role": "user", "content": "Q"}]}, "no user text follows"),
        ("openai-chat", chat("Today is 2026-11-21, not [date-1]."), "has such placeholders itself"),
        ("openai-chat", chat("".join(f"Now it is 2026-11-{day:02}. " for day in range(1, 19))), "more than 16 values"),
    ],
    ids=["held", "context_management", "truncated", "no user", "assistant first", "placeholder", "catalog"],
)  # fmt: skip
def test_it_does_not_move_where_the_values_could_get_lost_and_says_why(dialect: str, body: dict[str, Any], why: str) -> None:
    payload, report = aligned(dialect, body)
    assert payload.body == json.dumps(body).encode()
    (warning,) = report.warnings
    assert "not moved: " in warning
    assert why in warning


def test_what_clients_tell_the_provider_in_a_block_of_their_own_stays() -> None:
    header = {"type": "text", "text": "x-anthropic-billing-header: session id: abc123; now 2026-11-21"}
    body = {"system": [header], "messages": [{"role": "user", "content": "Q"}]}
    payload, report = aligned("anthropic", body)
    assert payload.body == json.dumps(body).encode()
    assert report.warnings == ()


# -- telling ------------------------------------------------------------------------------------------------------------


@every_shape
def test_by_default_it_warns_and_changes_nothing(dialect: str, shape: Any) -> None:
    body = shape(SYSTEM.format(TODAY, SESSION))
    payload, report = aligned(dialect, body, HeadroomConfig())
    assert payload.body == json.dumps(body).encode()
    (warning,) = report.warnings
    assert "2 fragments of the system prompt (date, id)" in warning
    assert TODAY not in warning
    assert SESSION not in warning
    assert report.labels == ()


def test_it_says_how_much_of_the_instructions_can_be_shared() -> None:
    (warning,) = aligned("anthropic", anthropic_blocks("You help.\nToday is 2026-11-21."), HeadroomConfig())[1].warnings
    assert "share 25 of its 36 characters" in warning


@every_shape
def test_it_can_be_disabled(dialect: str, shape: Any) -> None:
    cfg = HeadroomConfig()
    cfg.cache_aligner.move = True
    cfg.cache_aligner.enabled = False
    body = shape(SYSTEM.format(TODAY, SESSION))
    payload, report = aligned(dialect, body, cfg)
    assert payload.body == json.dumps(body).encode()
    assert report.warnings == ()


def test_instructions_that_never_change_are_left_alone_without_a_word() -> None:
    payload = decoded("openai-chat", chat("You help people. Be kind."))
    after, report = run(payload, MOVE)
    assert after is payload
    assert report.warnings == ()


@pytest.mark.anyio
async def test_the_exchange_report_has_the_warning_and_a_route_its_own_setting() -> None:
    from headroom_asgi import HeadroomMiddleware

    inner = Inner(answer_json(text_answer("openai-chat", "ok")))
    reports: list[Any] = []
    routes = [RouteConfig("/a/*", cache_aligner=CacheAlignerConfig(move=True))]
    app = HeadroomMiddleware(inner, discover=False, routes=routes, observers=[reports.append])
    body = {"model": "gpt-4o", **chat(SYSTEM.format(TODAY, SESSION))}
    for prefix in ("/a", ""):
        await post(app, f"{prefix}/v1/chat/completions", body)
    assert [b"[date-1]" in sent for sent in inner.bodies] == [True, False]
    assert [len(report.warnings) for report in reports] == [0, 1]
    assert TODAY not in str(reports)


@pytest.mark.parametrize("wrong", [CacheAlignerConfig(move="yes"), CacheAlignerConfig(enabled=1), CompressorConfig()])  # type: ignore[arg-type]
def test_a_wrong_section_stops_the_start(wrong: Any) -> None:
    with pytest.raises(ConfigError, match=r"^cache_aligner(\.enabled|\.move)?: "):
        HeadroomConfig(cache_aligner=wrong).resolve()


def test_it_runs_first_and_can_be_applied_alone() -> None:
    from headroom_asgi import Tokenizer

    names = [transform.name for transform in TransformPipeline()._build_default_transforms()]
    assert names == ["cache_aligner", "content_router", "repeats"]
    messages = chat("Today is 2026-11-21.")["messages"]
    result = CacheAligner(MOVE.resolve().default).apply(messages, Tokenizer("gpt-4o"))
    assert result.messages[0]["content"] == "Today is [date-1]."
    assert result.transforms_applied == ["cache_aligner:moved"]
    assert CacheAligner().apply(messages, Tokenizer("gpt-4o")).warnings


def test_tool_outputs_are_shortened_all_the_same() -> None:
    rows = json.dumps([{"order": n, "state": "open", "city": "Oslo"} for n in range(50)])
    body = question_body("openai-chat", rows)
    plain = aligned("openai-chat", body, MOVE)[0].segments[-1].text
    body["messages"].insert(0, {"role": "system", "content": "Today is 2026-11-21."})
    assert aligned("openai-chat", body, MOVE)[0].segments[-1].text == plain != rows


# -- what is volatile ---------------------------------------------------------------------------------------------------


def found_in(text: str) -> list[tuple[str, str]]:
    return [(text[one.start : one.end], one.kind) for one in volatile(text)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Today is Saturday, November 21, 2026.", [("Saturday, November 21, 2026", "date")]),
        ("Current time: 2026-11-21T09:30:00Z", [("2026-11-21T09:30:00Z", "date")]),
        ("The current date and time is 2026-11-21 09:30:12 UTC.", [("2026-11-21 09:30:12 UTC", "date")]),
        ("NOW: Sat Nov 21 2026", [("Nov 21 2026", "date")]),
        ("Today's date is 11/21/2026, or 21.11.2026.", [("11/21/2026", "date"), ("21.11.2026", "date")]),
        ("# Date\n2026/11/21", [("2026/11/21", "date")]),
        ("Current month: November 2026", [("November 2026", "date")]),
        ("It's 9:30 AM", [("9:30 AM", "time")]),
        ("timestamp=1763717400 now 1763717400123", [("1763717400", "time"), ("1763717400123", "time")]),
        ("It is 9:30 a.m. UTC or 9:30 AM.", [("9:30 a.m. UTC", "time"), ("9:30 AM", "time")]),
        ("Today is Tuesday.", [("Tuesday", "date")]),
        ("Knowledge cutoff date: 2024-06-01", []),
        ("Version of 2024-06-01, released now 2024-06-02", []),
        ("Released on 2024-06-01", []),
        ("Opening hours: any time from 09:00 to 17:00", []),
        ("Candidates: 2024-06-01", []),
        ("Ask at 555-0199 today", []),
        ("current api 2026-11-21-preview", []),
        ("id 550e8400-e29b-41d4-a716-446655440000.", [("550e8400-e29b-41d4-a716-446655440000", "uuid")]),
        ('{"id":"550E8400-E29B-41D4-A716-446655440000"}', [("550E8400-E29B-41D4-A716-446655440000", "uuid")]),
        ("bearer eyJhbGciOiJI.eyJzdWIiOiIx.SflKxwRJ_-", [("eyJhbGciOiJI.eyJzdWIiOiIx.SflKxwRJ_-", "token")]),
        ("0123456789abcdef0123456789abcdef", [("0123456789abcdef0123456789abcdef", "hash")]),
        ("abcdefabcdefabcdefabcdefabcdefab 12345678901234567890123456789012", []),
        ("ULID 01ARZ3NDEKTSV4RRFFQ69G5FAV", [("01ARZ3NDEKTSV4RRFFQ69G5FAV", "id")]),
        ("session_id=abc-123, user id: `u_4711`. request-id is r9", [("abc-123", "id"), ("u_4711", "id")]),
        ("Trace ID: none. The user key: value", []),
        ("Prune id: 12345", []),
        ("SESSION ID: 12345", [("12345", "id")]),
        ("İ today is 2026-11-21", [("2026-11-21", "date")]),
        ("", []),
    ],
)  # fmt: skip
def test_volatile_is_what_says_today_or_is_made_to_be_unique(text: str, found: list[tuple[str, str]]) -> None:
    assert found_in(text) == found


@pytest.mark.parametrize("filler", ["x", "\n", "é", "\U0001f600"], ids=["plain", "escaped", "two units", "two surrogates"])
def test_so_much_of_instructions_is_looked_at_however_they_are_spelled(filler: str) -> None:
    text = f"Session id: {SESSION}{filler * (MAX_CHARS - 100)}\nSession id: {SESSION}"
    _, report = aligned("openai-chat", chat(text), HeadroomConfig())
    assert "2 fragments" in report.warnings[0]
    _, report = aligned("openai-chat", chat(text.replace("\nS", f"{filler * 100}\nS")), HeadroomConfig())
    assert "1 fragments" in report.warnings[0]


@given(st.text("today nw:20261-/TZ.\nid=abcdef", max_size=300))
def test_fragments_are_apart_and_in_order(text: str) -> None:
    found = volatile(text)
    ends = [0, *(one.end for one in found)]
    assert all(start <= one.start < one.end for start, one in zip(ends, found, strict=False))


@pytest.mark.parametrize(
    "bait",
    ["1", "12:", "a-", "eyJ", "eyJaaaaaaaa.", "session id: ", "now Monday ", "today ", "now 2026-11-21 ", "abcdef", "May 12 ", "\n", "0f", "id="],
)  # fmt: skip
def test_bait_is_looked_at_in_linear_time(bait: str) -> None:
    assert isinstance(volatile((bait * MAX_CHARS)[:MAX_CHARS]), tuple)


def test_instructions_are_looked_at_up_to_a_bound() -> None:
    text = "x" * MAX_CHARS + " today is 2026-11-21"
    assert aligned("openai-chat", chat(text), HeadroomConfig())[1].warnings == ()


@pytest.mark.parametrize(("mode", "moves"), [("off", False), ("audit", False), ("lossless", True), ("ccr", True)])
def test_nothing_is_moved_where_nothing_may_be_changed(mode: Any, moves: bool) -> None:
    messages = chat("Today is 2026-11-21.")["messages"]
    result = compress(messages, model="gpt-4o", mode=mode, cache_aligner=CacheAlignerConfig(move=True))
    assert (result.messages != messages) == moves
