"""Prefixes of recorded conversations stay what the model saw, in every dialect and with hidden rounds in between."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from example_app.dialects import DIALECTS
from example_app.view import WireFormat
from tests.dialect_corpus import SHARE, Recorded, Spoken, conversations, grown, neutral

pytestmark = pytest.mark.anyio
every_dialect = pytest.mark.parametrize("dialect", DIALECTS)
CHECKED = ("anthropic", "converse", "invoke")  # their signed reasoning is refused behind another prefix
_TURNS = 10  # of the model, a conversation
ROWS = "\n".join(f"2026-01-{day:02d} 10:00:00 ERROR worker {day} timed out after {day * 7} s" for day in range(1, 29)) * 4


@cache
def some(directory: Path) -> list[tuple[str, Recorded]]:
    """A twentieth of the corpus."""
    return list(conversations(directory, share=SHARE))


def written() -> Iterator[tuple[str, Recorded]]:
    """Conversations of our own, for machines that have no corpus."""
    look = ("look_up", {"day": 1})
    twice = Spoken("", [look, ("look_up", {"day": 2})], [ROWS, ROWS.replace("timed", "ran")])
    for name, turns in (
        ("calls", [("Look.", Spoken("I look.", [look], [ROWS])), ("", twice), ("", Spoken("Done.")), ("And?", Spoken("No."))]),
        ("texts", [("Look.", twice), ("", Spoken("Well.")), *((f"Why {n}?", Spoken(f"Because {n}.")) for n in range(8))]),
    ):
        for number in range(6):  # each name rolls its own dice
            yield f"{name} {number}", Recorded("Be brief.", turns)


@every_dialect
@pytest.mark.parametrize("ledger", ["kept", "lost", "lost half-way"])
async def test_a_written_conversation_is_never_refused_and_keeps_its_prefix(dialect: WireFormat, ledger: str) -> None:
    hidden = healed = 0
    for name, recorded in written():
        growth, problems = await grown(dialect, name, recorded, ledger, 10)
        assert problems == [], name
        hidden += growth.hidden
        healed += growth.healed
    assert hidden > 20
    assert (healed > 0) == (ledger == "lost half-way" and dialect in CHECKED)


@every_dialect
@pytest.mark.parametrize("ledger", ["kept", "lost", "lost half-way"])
async def test_recorded_conversations_keep_their_prefix(dialect: WireFormat, ledger: str, corpus: Path) -> None:
    hidden = 0
    for name, recorded in some(corpus):
        growth, problems = await grown(dialect, name, recorded, ledger, _TURNS)
        assert problems == [], name
        hidden += growth.hidden
    assert hidden > 100


def test_recordings_become_turns_that_all_have_their_results() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "a.b", "arguments": '{"x": 1}'}}
    messages = [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "u"},
        {"role": "assistant", "content": "t", "tool_calls": [call, {**call, "id": "c2"}]},
        {"role": "tool", "tool_call_id": "c1", "content": "r1"},
        {"role": "tool", "tool_call_id": "c2", "content": "r2"},
        {"role": "assistant", "content": "end"},
        {"role": "assistant", "content": "more"},
        {"role": "user", "content": "v"},
        {"role": "assistant", "content": "", "tool_calls": [{**call, "id": "c3"}]},
    ]
    recorded = neutral({"format": "openai-chat", "messages": messages})
    called = ("a_b", {"x": 1})
    first = Spoken("t", [called, called], ["r1", "r2"])
    assert recorded.system == "S"
    assert recorded.turns == [("u", first), ("", Spoken("end\nmore")), ("v", Spoken("Very well."))]
