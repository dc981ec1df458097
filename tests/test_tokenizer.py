"""Counts are tiktoken's where they claim to be exact, made offline, and labeled where they are not."""

import hashlib
import inspect
import lzma
import os
import re
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import tiktoken
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tiktoken_ext import openai_public

from headroom_asgi import _crush, tokenizer
from headroom_asgi.tokenizer import MAX_UNIT_CHARS, UNIT_CHARS, Tokenizer, split_units

ROOT = Path(__file__).resolve().parent.parent
ENCODINGS = ["cl100k_base", "o200k_base"]
MODEL_OF = {"cl100k_base": "gpt-4", "o200k_base": "gpt-4o"}


def encoding(name: str) -> tiktoken.Encoding:
    """The object of tiktoken itself, for counting whole texts."""
    encoder = tokenizer._loaded(name)
    assert encoder is not None
    return encoder._encoding


# The ranks.


@pytest.mark.parametrize("name", ENCODINGS)
def test_the_shipped_ranks_are_the_ones_that_tiktoken_asks_for(name: str) -> None:
    found = re.search(rf'/{name}\.tiktoken",\s*expected_hash="(\w+)"', inspect.getsource(openai_public))
    assert found is not None
    packed = lzma.decompress((ROOT / "headroom_asgi" / "ranks" / f"{name}.xz").read_bytes())
    lines, position = [], 0
    while position < len(packed):
        size = packed[position]
        lines.append(b64encode(packed[position + 1 : position + 1 + size]) + b" %d\n" % len(lines))
        position += 1 + size
    assert hashlib.sha256(b"".join(lines)).hexdigest() == found[1]


@pytest.mark.parametrize("name", ENCODINGS)
def test_the_encoding_is_built_as_tiktoken_builds_it(name: str) -> None:
    ours = encoding(name)
    code = inspect.getsource(getattr(openai_public, name))
    assert ours.name == name
    assert ours._pat_str.split("|")[0] in code
    assert ours.encode("<|endoftext|>", allowed_special="all") == [ours.eot_token]
    sample = "Ünïcode, 12345 und `code()`\n\t漢字🙂"
    assert ours.decode(ours.encode_ordinary(sample)) == sample


def test_counting_needs_no_network_and_leaves_environment_and_tiktoken_alone() -> None:
    script = """
import os, sys
from tiktoken_ext import openai_public
import tiktoken.load, tiktoken.registry

def refuse(event, args):
    if event in ("socket.connect", "socket.getaddrinfo"):
        raise AssertionError(event)

sys.addaudithook(refuse)
before = dict(os.environ), dict(vars(openai_public)), dict(vars(tiktoken.load))

from headroom_asgi.tokenizer import Tokenizer

for model in ("gpt-4", "gpt-4o"):
    tokenizer = Tokenizer(model)
    assert (tokenizer.count_text("hello world"), tokenizer.method) == (2, "exact")
assert before == (dict(os.environ), dict(vars(openai_public)), dict(vars(tiktoken.load)))
assert tiktoken.registry.ENCODINGS == {}
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TIKTOKEN")}
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True, env=environment)


@pytest.fixture
def reloading() -> Iterator[None]:
    """Encodings are loaded anew, and forgotten afterwards."""
    tokenizer._loaded.cache_clear()
    yield
    tokenizer._loaded.cache_clear()


def flipped(good: bytes) -> bytes:
    """Genuine ranks, but for one bit of one token."""
    packed = bytearray(lzma.decompress(good))
    packed[-1] ^= 1
    return lzma.compress(packed)


@pytest.mark.parametrize(
    "spoil",
    [None, lambda _good: b"", lambda good: good[:-100], lambda _good: b"not xz" * 99, flipped],
    ids=["missing", "empty", "truncated", "garbage", "one bit"],
)
def test_without_genuine_ranks_there_is_one_warning_and_the_estimate(
    spoil: Any, reloading: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if spoil is not None:
        (tmp_path / "o200k_base.xz").write_bytes(spoil((ROOT / "headroom_asgi/ranks/o200k_base.xz").read_bytes()))
    monkeypatch.setattr(tokenizer, "RANKS", tmp_path)
    text = "some text that is counted " * 10
    for _ in range(2):
        fallen = Tokenizer("gpt-4o")
        fallen.load()
        assert fallen.count_text(text) == _crush.estimate(text.encode())
        assert fallen.count_text("\ud800") == _crush.estimate(b"?")
        assert (fallen.method, fallen.encoding_name) == ("estimate", "o200k_base")
    assert Tokenizer("claude-sonnet-4").method == "estimate"
    assert Tokenizer("claude-sonnet-4").count_text(text) == round(_crush.estimate(text.encode()) * 1.15)
    assert [(record.message, record.encoding) for record in caplog.records] == [("token_ranks_unusable", "o200k_base")]


def test_a_tiktoken_that_gets_its_ranks_otherwise_is_not_run(
    reloading: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def o200k_base() -> dict[str, Any]:
        raise AssertionError("this might use the network")

    monkeypatch.setattr(openai_public, "o200k_base", o200k_base)
    assert Tokenizer("gpt-4o").method == "estimate"
    assert caplog.records[0].exc_info[0] is LookupError


def test_threads_that_start_together_load_once(reloading: None, monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[str] = []
    real = tokenizer._encoding
    monkeypatch.setattr(tokenizer, "_encoding", lambda name: (loads.append(name), real(name))[1])
    with ThreadPoolExecutor(8) as pool:
        counts = list(pool.map(lambda _: Tokenizer("gpt-4").count_text("hello world"), range(16)))
    assert counts == [2] * 16
    assert loads == ["cl100k_base"]


# Cutting.

BLANKS = (" ", "  ", "\n", "\r\n", "\r", "\t", "\u00a0", "\u2028", "\x1c", "\x85", "\u3000")
SIGNS = ("/", "_", ".", "{", "}", ":", ",", "=", '"', "\\", '\\"', "'s", "'S", "'", "'LL", "<|endoftext|>", "🙂", "\u200d")
LETTERS = ("a", "Z", "hello", "World", "IT", "é", "ß", "ſ", "Ω", "漢", "字", "ا", "ı", "ª", "ʰ", "\u0301", "\ud800", "\udc00")
DIGITS = ("0", "9", "12345", "٣", "²", "½", "ⅷ")
TEXTS = st.lists(st.sampled_from(BLANKS + SIGNS + LETTERS + DIGITS), max_size=60).map("".join) | st.text()


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.integers(1, 8))
@example("it's \n /x\n\n  y", 1)
def test_the_counts_of_units_add_up_to_the_count_of_the_whole(text: str, at_least: int) -> None:
    units = split_units(text, at_least)
    assert "".join(units) == text
    for name in ENCODINGS:
        whole = encoding(name)
        assert sum(len(whole.encode_ordinary(unit)) for unit in units) == len(whole.encode_ordinary(text))


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("one\ntwo", ["one\n", "two"]),
        ("one\n/two\n three", ["one\n/two\n three"]),
        ("one two  three", ["one", " two", "  three"]),
        ("a1b22", ["a", "1", "b", "22"]),
        ('k"v\\n', ["k", '"v', "\\n"]),
        ('k_"v', ['k_"v']),
        ("", []),
    ],
)
def test_texts_are_cut_at_every_place_where_that_is_exact(text: str, units: list[str]) -> None:
    assert split_units(text, 1) == units


def test_units_are_as_short_as_the_text_allows() -> None:
    lines = "".join(f"{i:07d}\n" for i in range(20_000))
    assert {len(unit) for unit in split_units(lines)[:-1]} == {UNIT_CHARS}
    assert split_units(lines[: UNIT_CHARS // 2]) == [lines[: UNIT_CHARS // 2]]


@pytest.mark.parametrize("name", ENCODINGS)
@pytest.mark.parametrize("character", [" ", "\t", "\n", "a", "=", "漢"])
def test_a_million_of_one_character_is_counted(name: str, character: str) -> None:
    text = character * 1_000_000
    assert {len(unit) for unit in split_units(text)[:-1]} == {MAX_UNIT_CHARS}
    part = len(encoding(name).encode_ordinary(text[:100_000]))
    assert Tokenizer(MODEL_OF[name]).count_text(text) == pytest.approx(part * 10, rel=0.001)


@settings(max_examples=30, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=9), st.integers(1, 400))
def test_a_long_text_is_counted_exactly(texts: list[str], times: int) -> None:
    text = "x\n".join(texts) * times
    for name in ENCODINGS:
        assert Tokenizer(MODEL_OF[name]).count_text(text) == len(encoding(name).encode_ordinary(text))


def test_counts_stay_right_when_the_remembered_ones_overflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizer, "_REMEMBERED_UNITS", 3)
    encoder = tokenizer._Encoder(encoding("o200k_base"))
    texts = ["one", "one two", "one two three", "one two three four", "five"]
    for _ in range(2):
        assert [encoder.count(text) for text in texts] == [1, 2, 3, 4, 1]
        assert len(encoder._counts) == 3


# Texts.


def test_known_counts() -> None:
    assert Tokenizer("gpt-4").count_text("antidisestablishmentarianism") == 6
    assert Tokenizer("gpt-4o").count_text("antidisestablishmentarianism") == 6
    assert Tokenizer("gpt-4").count_text("お誕生日おめでとう") == 9
    assert Tokenizer("gpt-4o").count_text("お誕生日おめでとう") == 8
    assert Tokenizer("gpt-4o").count_text("") == 0


@pytest.mark.parametrize("model", ["gpt-4", "gpt-4o", "claude-opus-5"])
def test_special_tokens_are_text(model: str) -> None:
    assert Tokenizer(model).count_text("<|endoftext|><|fim_prefix|>") > 5


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb", "\ud83d\ude42", "\udc00\ud800" * 5000])
def test_surrogates_are_counted(text: str) -> None:
    assert Tokenizer("gpt-4o").count_text(text) > 0


# Models.


@pytest.mark.parametrize(
    ("model", "name", "method"),
    [
        ("gpt-4o", "o200k_base", "exact"),
        ("gpt-4o-2024-05-13", "o200k_base", "exact"),
        ("gpt-5-mini", "o200k_base", "exact"),
        ("o3", "o200k_base", "exact"),
        ("openai/gpt-4.1", "o200k_base", "exact"),
        ("GPT-4o", "o200k_base", "exact"),
        ("gpt-oss-120b", "o200k_base", "exact"),
        ("gpt-4", "cl100k_base", "exact"),
        ("gpt-35-turbo", "cl100k_base", "exact"),
        ("ft:gpt-3.5-turbo:org::id", "cl100k_base", "exact"),
        ("davinci", "o200k_base", "scaled"),
        ("claude-opus-5-5", "o200k_base", "scaled"),
        ("gemini-2.5-pro", "o200k_base", "scaled"),
        ("llama3.1:8b", "o200k_base", "scaled"),
        ("", "o200k_base", "scaled"),
    ],
)
def test_a_model_is_counted_by_its_encoding_or_by_the_ruler(model: str, name: str, method: str) -> None:
    one = Tokenizer(model)
    assert (one.model, one.encoding_name, one.method) == (model, name, method)


@pytest.mark.parametrize(
    ("model", "count"),
    [
        ("claude-3-opus-20240229", 1150),
        ("claude-3-5-sonnet-20241022", 1150),
        ("claude-sonnet-4-20250514", 1150),
        ("claude-opus-4-6", 1150),
        ("claude-2.1", 1150),
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", 1150),
        ("anthropic/claude-sonnet-4.6", 1150),
        ("claude-opus-4-1@20250805", 1150),
        ("claude-opus-4-7", 1400),
        ("claude-opus-4-10", 1400),
        ("claude-sonnet-5-20260301", 1400),
        ("claude-next", 1400),
        ("gemini-3-pro", 1000),
        ("models/gemini-2.5-flash", 1000),
        ("unknown", 1000),
    ],
)
def test_other_families_are_o200k_times_a_constant(model: str, count: int) -> None:
    assert Tokenizer(model).count_text("word " * 999 + "word") == count


def test_an_endless_model_name_is_no_work() -> None:
    assert Tokenizer("claude-a" * 1_000_000).method == "scaled"


# Messages.

# OpenAI's example of the rule, for which its API reports 129 and 124 prompt tokens.
PUBLISHED = [
    {
        "role": "system",
        "content": "You are a helpful, pattern-following assistant that translates corporate jargon into plain English.",
    },
    {"role": "system", "name": "example_user", "content": "New synergies will help drive top-line growth."},
    {"role": "system", "name": "example_assistant", "content": "Things working well together will increase revenue."},
    {
        "role": "system",
        "name": "example_user",
        "content": "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage.",
    },
    {
        "role": "system",
        "name": "example_assistant",
        "content": "Let's talk later when we're less busy about how to do better.",
    },
    {
        "role": "user",
        "content": "This late pivot means we don't have time to boil the ocean for the client deliverable.",
    },
]


def test_messages_are_counted_as_openai_counts_them() -> None:
    assert Tokenizer("gpt-4-0613").count_messages(PUBLISHED) == 129
    assert Tokenizer("gpt-4o").count_messages(PUBLISHED) == 124
    assert Tokenizer("gpt-4o").count_messages([]) == 3


WORDS = "abc " * 40 + "abc"


@pytest.mark.parametrize(
    "message",
    [
        {"role": "user", "content": WORDS},
        {"role": "user", "content": [{"type": "text", "text": WORDS}]},
        {"role": "user", "content": [WORDS]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "x", "content": WORDS}]},
        {"role": "user", "content": [{"type": "tool_result", "content": [{"type": "text", "text": WORDS}]}]},
        {"role": "user", "content": [{"type": "thinking", "thinking": WORDS, "signature": "c2lnbmVk" * 99}]},
        {"role": "user", "content": None, "refusal": WORDS},
        {"role": "user", "parts": [{"text": WORDS}]},
        {"role": "user", "output": WORDS, "call_id": "x"},
        {"role": "user", "content": None, "tool_calls": [{"id": "c", "function": {"arguments": WORDS}}]},
        {"role": "user", "content": [{"text": WORDS}, {"type": "image_url", "image_url": {"url": "data:" * 99}}]},
    ],
)
def test_text_is_found_wherever_providers_put_it(message: dict[str, Any]) -> None:
    assert Tokenizer("gpt-4o").count_messages([message]) == 3 + 3 + 1 + 41


@pytest.mark.parametrize(
    "message",
    [
        {"content": [{"type": "tool_use", "id": "x", "name": "f", "input": {"a": [1, "é"]}}]},
        {"content": None, "tool_calls": [{"function": {"name": "f", "arguments": '{"a":[1,"é"]}'}}]},
        {"content": "", "tool_calls": [{"function": {"name": "f", "arguments": {"a": [1, "é"]}}}]},
        {"parts": [{"functionCall": {"name": "f", "args": {"a": [1, "é"]}}}]},
        {"parts": [{"functionResponse": {"name": "f", "response": {"a": [1, "é"]}}}]},
        {"content": [{"toolUse": {"toolUseId": "x", "name": "f", "input": {"a": [1, "é"]}}}]},
    ],
)
def test_calls_are_counted_with_name_and_arguments(message: dict[str, Any]) -> None:
    tokens = Tokenizer("gpt-4o")
    assert tokens.count_messages([message]) == 3 + 3 + 1 + tokens.count_text('{"a":[1,"é"]}')


def test_a_message_may_be_nested_deeper_than_the_recursion_limit() -> None:
    content: Any = "abc"
    for _ in range(sys.getrecursionlimit() * 3):
        content = [{"content": content}]
    assert Tokenizer("gpt-4o").count_messages([{"content": content}]) == 3 + 3 + 1


def test_a_conversation_is_scaled_as_a_whole() -> None:
    messages = [{"role": "user", "content": "abc"}] * 100
    assert Tokenizer("gpt-4o").count_messages(messages) == 503
    assert Tokenizer("claude-opus-4-7").count_messages(messages) == round(503 * 1.4)
