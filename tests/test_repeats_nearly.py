"""Forms that save too little by themselves: they go where the lines in them stand above, and nowhere else."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headroom_asgi import CompressorConfig, HeadroomConfig, TransformPipeline, expand_messages
from headroom_asgi._crush import crush, estimate, expand
from headroom_asgi.transforms import Context, drain
from headroom_asgi.wire import Payload, dialect_named

QUERY = [f"UNION ALL SELECT S{n:03} AS id, {n * 37 % 100} AS score FROM part_{n % 7}" for n in range(60)]
FILE = "\n".join(QUERY)


def enveloped(text: str) -> str:
    """What a server of tools answers with."""
    return json.dumps({"type": "text", "text": text, "annotations": None}, separators=(",", ":"))  # JSON comes back minified


def conversation(*turns: tuple[str, str, str], cached: int = -1) -> list[dict[str, Any]]:
    """Turns of a tool's name, what the model wrote in the call, and what came back."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Score the students."}]
    for number, (tool, said, output) in enumerate(turns):
        arguments = {"path": "query.sql"} | ({"content": said} if said else {})
        call = {"type": "tool_use", "id": f"toolu_{number}", "name": tool, "input": arguments}
        result = {"type": "tool_result", "tool_use_id": call["id"], "content": output}
        result |= {"cache_control": {"type": "ephemeral"}} if number == cached else {}
        messages += [{"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]
    return messages


def sent(messages: list[dict[str, Any]], config: HeadroomConfig | None = None) -> list[str]:
    """The results as they go; they come back as they were."""
    result = TransformPipeline(config).apply(messages, model="m", format="anthropic")
    assert expand_messages(result.messages, format="anthropic") == messages
    return [message["content"][0]["content"] for message in result.messages[2::2]]


WRITTEN = ("write_file", FILE, "Successfully wrote to query.sql")


@pytest.mark.parametrize("tool", ["read_file", "get_object"])
def test_a_file_in_an_envelope_that_the_model_wrote_is_named(tool: str) -> None:
    texts = sent(conversation(WRITTEN, (tool, "", enveloped(FILE))))
    assert texts[1].endswith("\n[+60 lines as in content of result 1's call, from line 1]")


def test_alone_it_goes_as_it_came() -> None:
    text = enveloped(FILE)
    assert sent(conversation(("read_file", "", text))) == [text]


def test_lines_in_a_form_that_did_not_go_are_no_source() -> None:
    first = enveloped("\n".join(QUERY[:30]))
    texts = sent(conversation(("read_file", "", first), ("Bash", "", "\n".join(["the file:", *QUERY[:30]]))))
    assert texts[0] == first
    assert "result 1" not in texts[1]


def test_lines_in_a_form_that_goes_are_a_source() -> None:
    longer = enveloped("\n".join([*QUERY, "ORDER BY score", "LIMIT 10 -- the ten best students"]))
    shown = "the last lines:\nORDER BY score\nLIMIT 10 -- the ten best students\n" * 3
    texts = sent(conversation(WRITTEN, ("read_file", "", longer), ("read_file", "", longer), ("Bash", "", shown)))
    assert "[+60 lines as in content of result 1's call, from line 1]" in texts[1]
    assert texts[2] == "[the same as result 2]"


def test_what_is_little_with_its_repeats_too_stays() -> None:
    few = enveloped("\n".join([*QUERY[:2], *(f"note {n} about student number {n * n}" for n in range(40))]))
    assert sent(conversation(WRITTEN, ("read_file", "", few)))[1] == few


@pytest.mark.parametrize("line", ["[+2 lines as in result 1]", "[the same as result 1]"])
def test_a_quoted_line_that_looks_like_a_reference_never_becomes_a_line(line: str) -> None:
    text = enveloped("\n".join(["The first line", QUERY[3], line, *(f'quote "{n}" and \\ more of "{n}"' for n in range(200))]))
    assert sent(conversation(("Bash", "", FILE), ("tail", "", text)))[1] == text
    without = text.replace(line[1:], "")
    assert sent(conversation(("Bash", "", FILE), ("tail", "", without)))[1] != without


def test_what_was_frozen_or_switched_off_goes_as_it_came() -> None:
    text = enveloped(FILE)
    messages = conversation(WRITTEN, ("read_file", "", text))
    without = HeadroomConfig(repeats=CompressorConfig(enabled=False))
    assert sent(messages, without)[1] == text
    assert sent(messages, HeadroomConfig(repeats=CompressorConfig(except_tools=["read_file"])))[1] == text
    assert sent(messages, HeadroomConfig(smart_crusher=CompressorConfig(enabled=False)))[1] == text


def test_the_form_that_has_more_tokens_comes_back_too() -> None:
    text = enveloped("\n".join(f"SELECT {n} FROM part UNION ALL" for n in range(40))).encode()
    assert crush(text, exact=True) is None
    found = crush(text, exact=True, anyway=True)
    assert found is not None
    assert estimate(found[0]) >= estimate(text)
    assert len(found[0]) < len(text)
    assert expand(found[0]) == text


def payload_of(messages: list[dict[str, Any]]) -> Payload:
    return dialect_named("anthropic").decode(json.dumps({"model": "m", "max_tokens": 9, "messages": messages}).encode())


def test_what_went_folded_is_known_again() -> None:
    turns = [WRITTEN, ("read_file", "", enveloped(FILE))]
    pipeline, context = TransformPipeline(), Context("acme", policy=1)
    drain(pipeline.steps(payload_of(conversation(*turns)), context))
    recalled = pipeline.recalled(payload_of(conversation(*turns, ("Bash", "", "done"))), context)
    assert recalled is not None
    assert [outcome is not None for outcome in recalled.told] == [False, True]


PARTS = st.lists(
    st.tuples(
        st.integers(0, 55), st.integers(0, 60), st.sampled_from(["Bash", "read_file", "get"]), st.booleans(), st.booleans()
    ),
    min_size=1,
    max_size=6,
)


@given(PARTS)
def test_a_conversation_that_grows_comes_back_and_goes_the_same_warm_and_cold(
    parts: list[tuple[int, int, str, bool, bool]],
) -> None:
    turns = []
    for start, count, tool, wrapped, written in parts:
        text = "\n".join(QUERY[start : start + count])
        turns.append((tool, text if written else "", enveloped(text) if wrapped else text))
    warm = TransformPipeline()
    before: list[str] = []
    for count in range(1, len(turns) + 1):
        messages = conversation(*turns[:count])
        step = drain(warm.steps(payload_of(messages), Context("acme", policy=1)))
        texts = [message["content"][0]["content"] for message in json.loads(step.payload.body)["messages"][2::2]]
        assert texts == sent(messages)
        assert texts[: len(before)] == before
        before = texts
