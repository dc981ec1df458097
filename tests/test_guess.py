"""Messages tell whose spelling they are in, by the first thing that only one dialect has."""

from typing import Any

import pytest
from every_dialect import REAL_DIALECTS
from hypothesis import given
from hypothesis import strategies as st

from headroom_asgi.wire import DIALECTS, guess_dialect

USER = {"role": "user", "content": "hi"}
CALL = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("messages", "name"),
    [
        ([], "openai-chat"),
        ([USER, {"role": "system", "content": "x"}, {"role": "assistant", "content": "y"}], "openai-chat"),
        ([{"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {}}]}], "openai-chat"),
        ([{"role": "developer", "content": "x"}, USER, {"role": "assistant", "tool_calls": [CALL]}], "openai-chat"),
        ([USER, {"role": "tool", "content": "x"}], "openai-chat"),
        ([{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a"}]}], "anthropic"),
        ([USER, {"role": "user", "parts": [{"text": "x"}]}], "gemini"),
        ([{"parts": []}], "gemini"),
        ([{"role": "user", "content": [{"text": "x"}]}], "bedrock"),
        ([USER, {"role": "assistant", "content": [{"toolUse": {}}]}], "bedrock"),
        ([USER, {"role": "tool", "tool_name": "f", "content": "x"}], "ollama"),
        ([USER, {"role": "assistant", "content": "x", "thinking": "y"}], "ollama"),
        ([{"role": "developer", "content": "x"}, {"role": "user", "content": [{"type": "input_text"}]}], "openai-responses"),
        ([USER, {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "a"}], "openai-responses"),
        ([{"type": "message", "role": "user", "content": "x"}], "openai-responses"),
        ([{"type": "reasoning", "summary": []}], "openai-responses"),
    ],
)
def test_what_only_one_dialect_has_tells(messages: list[Any], name: str) -> None:
    assert guess_dialect(messages).name == name


# Invoke's messages are Anthropic's, an array of chunks is Gemini's, and Ollama may have answers like OpenAI Chat's.
TELLING = [each for each in REAL_DIALECTS if type(each).__name__ not in ("Invoke", "Ollama")]


@pytest.mark.parametrize("dialect", TELLING, ids=lambda each: type(each).__name__.lower())
def test_a_conversation_with_a_call_tells_its_dialect(dialect: Any) -> None:
    answer = dialect.json(1, [("text", "x"), ("theirs", "{}")])
    (call,) = dialect.wire.read(answer).calls
    talk = [*dialect.question("hi"), *dialect.turn(answer), *dialect.results([(call.id, call.name, "rows")])]
    assert guess_dialect(talk).name == dialect.wire.name


anything = st.recursive(
    st.none() | st.text(max_size=2) | st.integers(),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["role", "type", "content", "parts", "text"]), inner, max_size=3)
    ),
)


@given(messages=st.lists(anything, max_size=4))
def test_whatever_messages_are_there_is_a_guess(messages: list[Any]) -> None:
    assert guess_dialect(messages) in DIALECTS
