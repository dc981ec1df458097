"""The calls that need no server."""

import json

import pytest

from headroom_asgi import ConfigError, ExpandError, HeadroomError, MemoryStore, acompress, aretrieve, compress, expand, retrieve
from tests.driver import TABLE, question_body, tool_texts
from tests.json_exact import same

MESSAGES = {name: question_body(name, TABLE)["messages"] for name in ("openai-chat", "anthropic")}
both_dialects = pytest.mark.parametrize("dialect", sorted(MESSAGES))


@both_dialects
def test_compress_is_lossless_without_a_store(dialect: str) -> None:
    before = json.dumps(MESSAGES[dialect])
    result = compress(MESSAGES[dialect], model="gpt-4o")
    (text,) = tool_texts(json.dumps({"messages": result.messages}).encode())
    assert same(expand(text), TABLE)
    assert result.refs == ()
    assert result.tokens_saved > result.tokens_before / 3
    assert json.dumps(MESSAGES[dialect]) == before


@both_dialects
def test_with_a_store_rows_are_left_out_and_retrieved(dialect: str) -> None:
    store = MemoryStore()
    result = compress(MESSAGES[dialect], model="gpt-4o", store=store)
    assert result.tokens_after < compress(MESSAGES[dialect], model="gpt-4o").tokens_after
    (text,) = tool_texts(json.dumps({"messages": result.messages}).encode())
    whole, part = result.refs
    assert f"<<ccr:{part} " in text
    assert "ORD-10059" not in text
    assert "ORD-10059" in retrieve(part, store=store)
    assert retrieve(whole, store=store, limit=0) == TABLE
    found = retrieve(part, store=store, query="ORD-10059")
    assert "ORD-10059" in found
    assert "ORD-10058" not in found
    with pytest.raises(ExpandError) as refused:
        expand(text)
    assert refused.value.refs == (part,)


@pytest.mark.anyio
async def test_inside_an_event_loop_the_async_ones_are_used() -> None:
    store = MemoryStore()
    with pytest.raises(HeadroomError, match="acompress"):
        compress(MESSAGES["anthropic"], model="claude-opus-5-5", store=store)
    result = await acompress(MESSAGES["anthropic"], model="claude-opus-5-5", store=store)
    assert "ORD-10059" in await aretrieve(result.refs[1], store=store)
    with pytest.raises(KeyError):
        await aretrieve("0" * 32, store=store)


@pytest.mark.parametrize("mode", ["off", "audit"])
def test_modes_that_send_the_original_change_nothing(mode: str) -> None:
    assert compress(MESSAGES["anthropic"], model="gpt-4o", mode=mode).messages == MESSAGES["anthropic"]


def test_lossless_mode_leaves_nothing_out_although_there_is_a_store() -> None:
    assert compress(MESSAGES["anthropic"], model="gpt-4o", mode="lossless", store=MemoryStore()).refs == ()


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ConfigError, match="expected one of .*.openai-chat."):
        compress(MESSAGES["anthropic"], model="gpt-4o", format="gopher")
    with pytest.raises(ConfigError, match="did you mean 'mode'"):
        compress(MESSAGES["anthropic"], model="gpt-4o", mod="ccr")
    with pytest.raises(ConfigError, match="not a list of JSON values"):
        compress([{"role": "user", "content": object()}], model="gpt-4o")


def test_expand_refuses_what_it_cannot_read() -> None:
    for text in ("", "plain text", "[json]\n", "[json]\n[2]: a\n1", "\ud800"):
        with pytest.raises(ExpandError):
            expand(text)


def test_a_text_that_begins_with_a_marker_is_not_expanded_as_something_is_missing() -> None:
    with pytest.raises(ExpandError, match="r1-a, r1-b") as raised:
        expand("<<ccr:r1-a 12 fields left out>>\n<<ccr:r1-b 3 lines left out: x>>\n[json]\na: 1")
    assert raised.value.refs == ("r1-a", "r1-b")
