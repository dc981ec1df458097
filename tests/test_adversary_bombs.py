"""Small bodies that mean very much work: bombs in every coding, codings upon codings, brackets without end."""

import gzip
import json
import resource
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import brotli
import pytest
import zstandard

from headroom_asgi.middleware import codings
from headroom_asgi.middleware.codings import CodingError, decode, stream_decoder
from headroom_asgi.testing import RecordingExtension
from headroom_asgi.transforms.tools import is_named
from tests.adversary import MANY, asking, each_dialect, exchange, first_marker, request, results_in
from tests.driver import Inner, answer_json, post, question_body
from tests.test_attacks import CHAT, OK, asks, wrapped

pytestmark = pytest.mark.anyio
MIB = 1024 * 1024
LARGE = 96 * MIB  # what a bomb becomes; what is allowed is much less


def _brotli_bomb() -> bytes:
    maker, piece = brotli.Compressor(quality=4), bytes(MIB)
    return b"".join(maker.process(piece) for _ in range(LARGE // MIB)) + bytes(maker.finish())


def _zlib_bomb(window: int) -> bytes:
    maker, piece = zlib.compressobj(9, zlib.DEFLATED, window), bytes(MIB)
    return b"".join(maker.compress(piece) for _ in range(LARGE // MIB)) + maker.flush()


def _zstd_bomb() -> bytes:
    maker, piece = zstandard.ZstdCompressor(level=3).compressobj(), bytes(MIB)
    return b"".join(maker.compress(piece) for _ in range(LARGE // MIB)) + maker.flush()


BOMBS: dict[str, Callable[[], bytes]] = {
    "gzip": lambda: _zlib_bomb(31),
    "x-gzip": lambda: _zlib_bomb(31),
    "deflate": lambda: _zlib_bomb(15),
    "br": _brotli_bomb,
    "zstd": _zstd_bomb,
}


@pytest.mark.parametrize("coding", BOMBS)
def test_a_bomb_is_unpacked_no_further_than_is_allowed(coding: str) -> None:
    bomb = BOMBS[coding]()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CodingError, match="too_large"):
        decode(bomb, [coding], MIB)
    unpack = stream_decoder([coding], MIB)
    assert unpack is not None
    with pytest.raises(CodingError, match="too_large"):
        unpack(bomb)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 64 * MIB


@pytest.mark.parametrize("coding", BOMBS)
async def test_a_bomb_passes_as_it_came(coding: str) -> None:
    bomb, inner = BOMBS[coding](), Inner(OK)
    app = wrapped(inner, max_body_bytes=4 * MIB)
    response = await post(app, CHAT, bomb, headers=[(b"content-encoding", coding.encode())])
    assert (response.outcome, inner.bodies[0] == bomb) == ("skipped:too_large", True)


@pytest.mark.parametrize("coding", BOMBS)
async def test_an_answer_that_is_a_bomb_passes_as_it_came(coding: str) -> None:
    bomb = BOMBS[coding]()
    inner = Inner(answer_json(bomb, headers=[(b"content-encoding", coding.encode())]))
    response = await post(wrapped(inner, max_response_bytes=MIB), CHAT, request("openai-chat", json.dumps(MANY))[1])
    assert (response.status, response.body == bomb) == (200, True)


def test_small_pieces_are_unpacked_to_what_they_were() -> None:
    text = json.dumps(MANY).encode() * 20
    coded = {
        "gzip": gzip.compress(text),
        "deflate": zlib.compress(text),
        "br": brotli.compress(text),
        "zstd": zstandard.ZstdCompressor().compress(text),
    }
    for coding, data in coded.items():
        for step in (1, 7, 1000, len(data)):
            unpack = stream_decoder([coding], 16 * MIB)
            assert unpack is not None
            assert b"".join(unpack(data[at : at + step]) for at in range(0, len(data), step)) == text


@pytest.mark.parametrize("error", [MemoryError, ValueError("canary"), RecursionError])
async def test_a_decoder_that_fails_as_none_should_costs_no_request(
    error: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(data: bytes, max_bytes: int) -> bytes:
        raise error

    monkeypatch.setitem(codings._DECODERS, "gzip", fails)
    inner, body = Inner(OK), gzip.compress(json.dumps(question_body("openai-chat", "[]")).encode())
    response = await post(wrapped(inner), CHAT, body, headers=[(b"content-encoding", b"gzip")])
    assert (response.status, response.outcome) == (200, "failed_open:decode")
    assert inner.bodies == [body]
    assert "canary" not in repr([vars(line) for line in caplog.records])


async def test_codings_upon_codings_are_not_unpacked() -> None:
    body = json.dumps(request("openai-chat", json.dumps(MANY))[1]).encode()
    twice = gzip.compress(gzip.compress(body))
    for count, outcome in ((2, "compressed"), (4, "skipped:unsupported_encoding"), (2000, "skipped:unsupported_encoding")):
        inner = Inner(OK)
        headers = [(b"content-encoding", b", ".join([b"gzip"] * count))]
        assert (await post(wrapped(inner), CHAT, twice, headers=headers)).outcome == outcome
        assert (inner.bodies[0] == twice) == (outcome != "compressed")


async def test_a_window_that_only_wants_memory_is_refused() -> None:
    body = json.dumps(request("openai-chat", json.dumps(MANY))[1]).encode()
    for log, outcome in ((23, "compressed"), (27, "skipped:corrupt_encoding")):
        settings = zstandard.ZstdCompressionParameters(window_log=log)
        maker = zstandard.ZstdCompressor(compression_params=settings).compressobj()
        data = maker.compress(body) + maker.flush()
        response = await post(wrapped(Inner(OK)), CHAT, data, headers=[(b"content-encoding", b"zstd")])
        assert response.outcome == outcome


# -- brackets ----------------------------------------------------------------------------------------------------------------

DEEP = 100_000
NESTED = {
    "lists": "[" * DEEP + "]" * DEEP,
    "objects": '{"a":' * DEEP + "1" + "}" * DEEP,
    "open lists": "[" * DEEP,
    "open objects": '{"a":' * DEEP,
    "both": '[{"a":' * DEEP + "1" + "}]" * DEEP,
}


@each_dialect
@pytest.mark.parametrize("name", NESTED)
async def test_brackets_in_an_output_are_text_and_the_rest_is_compressed(name: str, dialect: str) -> None:
    outputs = [NESTED[name], json.dumps(MANY)]
    response, inner = await exchange(dialect, outputs, [asking(first_marker)])
    seen = results_in(dialect, inner.bodies[0])
    assert response.outcome == "compressed"
    assert len(seen[0]) <= len(outputs[0])
    assert len(seen[1]) < len(outputs[1]) / 2
    assert len(inner.bodies) == 2


@pytest.mark.parametrize("listening", [False, True])
@pytest.mark.parametrize("name", NESTED)
async def test_brackets_around_a_request_cost_nobody_anything(name: str, listening: bool) -> None:
    body = request("openai-chat", json.dumps(MANY))[1]
    for data in (
        NESTED[name].encode(),
        json.dumps(body).replace('"What is up?"', NESTED[name]).encode(),
        json.dumps(body).replace('"parameters": {', f'"parameters": {{"x": {NESTED[name]}, ').encode(),
    ):
        inner = Inner(OK)
        extensions = [RecordingExtension()] if listening else []
        response = await post(wrapped(inner, *extensions), CHAT, data)
        assert response.status == 200
        assert len(inner.bodies) == 1
        assert len(inner.bodies[0]) <= len(data) + 1000


@pytest.mark.parametrize("listening", [False, True])
@pytest.mark.parametrize("name", NESTED)
async def test_brackets_in_an_answer_and_in_arguments_of_our_tool_end_well(name: str, listening: bool) -> None:
    answer = json.dumps({"id": "x", "choices": [{"index": 0, "finish_reason": "stop", "message": {"content": "fine"}}]})
    extensions = [RecordingExtension()] if listening else []
    inner = Inner(asks(), answer_json(answer.replace('"fine"', f'"fine", "x": {NESTED[name]}').encode()))
    response = await post(wrapped(inner, *extensions), CHAT, request("openai-chat", json.dumps(MANY))[1])
    assert b"fine" in response.body
    call = {"id": "own_1", "type": "function", "function": {"name": "headroom_retrieve", "arguments": NESTED[name]}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    first = answer_json({"id": "x", "choices": [{"index": 0, "finish_reason": "tool_calls", "message": message}]})
    inner = Inner(first, OK)
    response = await post(wrapped(inner, *extensions), CHAT, request("openai-chat", json.dumps(MANY))[1])
    assert b"fine" in response.body
    assert "not a JSON object" in results_in("openai-chat", inner.bodies[1])[1]


def test_a_tool_with_a_very_long_name_is_looked_up_by_its_end() -> None:
    name = "a." * 20_000
    tracemalloc.start()
    try:
        assert is_named(f"{name}Read_File", {"read_file"})
        assert not is_named(name, {"read_file"})
        assert tracemalloc.get_traced_memory()[1] < MIB
    finally:
        tracemalloc.stop()
