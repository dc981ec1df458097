"""Strings that say nothing to a reader are told from names, and left out in their very place."""

import base64
import hashlib
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headroom_asgi import compress, retrieve
from headroom_asgi._crush import opaque_runs
from headroom_asgi.compressors import Markers, Request
from headroom_asgi.compressors.opaque import OpaqueOmitter, is_opaque
from headroom_asgi.config import CompressorConfig
from headroom_asgi.store import MemoryStore


def noise(size: int) -> bytes:
    """Bytes without a pattern, the same ones every time."""
    return b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(size // 32 + 1))[:size]


PICTURE = base64.b64encode(noise(3_000)).decode("ascii")
ZEROS = "A" * 600  # as programs and archives begin
LINES = base64.encodebytes(noise(3_000)).decode("ascii")


def omitted(text: str, question: str = "") -> tuple[str | None, list[str]]:
    markers = Markers("ref")
    found = OpaqueOmitter().omit(text, Request(question, "ref"), markers)
    return found, [omission.text for omission in markers.omissions]


@pytest.mark.parametrize(
    "string",
    [
        "RLR2mHK21ptAknT99xu6GPrRRLxXCAlVZzTzw9cY",
        "550e8400-e29b-41d4-a716-446655440000",
        "9fceb02d0ae598e95dc970b74767f19372d61af8",
        "W/5f2b1c9e8d7a6f5e4d3c2b1a",
        PICTURE[:100],
    ],
)
def test_random_strings_are_opaque(string: str) -> None:
    assert is_opaque(string.encode("ascii"))


@pytest.mark.parametrize(
    "string",
    [
        "test_cache_manager_keeps_entries_of_2024",
        "ChecksumValidationServiceImplementation",
        "src/components/CheckoutButton.test.tsx",
        "2025-10-17T22:57:58.123456+00:00",
        "com.example.shop.checkout.BasketService",
        "00000000000000000000000000000000000000",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "ACGTACGTTAGGCATTACGAGGCATTACGGATTACAGG",
        "a text of several words with 12 numbers",
        "short1",
    ],
)
def test_names_paths_dates_and_prose_are_not(string: str) -> None:
    assert not is_opaque(string.encode("ascii"))


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"![logo](data:image/png;base64,{PICTURE}) and more", PICTURE),
        (f"body: {PICTURE}\nend", PICTURE),
        (f"-----BEGIN CERTIFICATE-----\n{LINES}-----END CERTIFICATE-----\n", LINES.rsplit("\n", 2)[0]),
        (f"program: {ZEROS}{PICTURE}\nend", ZEROS + PICTURE),
    ],
)
def test_base64_is_left_out_where_it_stands(text: str, left: str) -> None:
    found, pieces = omitted(text)
    assert pieces == [left]
    assert found == text.replace(left, f"<<ccr:ref-a {len(left)} characters of base64 or the like left out>>")


@pytest.mark.parametrize(
    "text",
    [
        "c = 0x" + noise(256).hex(),
        "Authorization: Bearer " + PICTURE[:900],
        "data:image/png;base64," + PICTURE[:100],
        ("word " * 1000) + ("x" * 5000) + ("/" * 5000),
        "/".join(["folder", "other_folder"] * 300),
    ],
    ids=["cipher", "token", "small", "runs", "path"],
)
def test_what_a_call_could_be_made_with_and_what_is_small_stays(text: str) -> None:
    assert omitted(text) == (None, [])


def test_what_the_question_quotes_stays() -> None:
    assert omitted(f"blob: {PICTURE}", f"What is in `{PICTURE[40:80]}`?") == (None, [])


@given(
    st.lists(
        st.sampled_from(["a word ", "\n", PICTURE, "data:image/png;base64,", LINES, "<<ccr:ref-a x>>", "é", " "]), max_size=12
    )
)
def test_pieces_put_back_give_the_text(parts: list[str]) -> None:
    text = "".join(parts)
    markers = Markers("ref")
    found = OpaqueOmitter().omit(text, Request("", "ref"), markers)
    if found is None:
        found = text
    for omission in markers.omissions:
        marker = f"<<ccr:{omission.name} {omission.units} characters of base64 or the like left out>>"
        assert omission.units == len(omission.text)
        found = found.replace(marker, omission.text, 1)
    assert found == text


def messages_with(content: str) -> list[dict[str, Any]]:
    call = {"id": "c1", "type": "function", "function": {"name": "screenshot", "arguments": "{}"}}
    return [
        {"role": "user", "content": "What do you see?"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": content},
    ]


def test_it_is_left_out_of_strings_in_json_and_comes_back() -> None:
    store = MemoryStore()
    content = json.dumps({"name": "logo.png", "data": f"data:image/png;base64,{PICTURE}", "note": "as shown"})
    result = compress(messages_with(content), model="gpt-4o", store=store)
    text = result.messages[2]["content"]
    assert PICTURE not in text
    assert "logo.png" in text
    assert "as shown" in text
    part = next(ref for ref in result.refs if ref.endswith("-a"))
    assert retrieve(part, store=store) == PICTURE


@pytest.mark.parametrize("switch", [CompressorConfig(enabled=False), CompressorConfig(except_tools=["screenshot"])])
def test_it_can_be_switched_off(switch: CompressorConfig) -> None:
    result = compress(messages_with(f"a picture\n{PICTURE}\n"), model="gpt-4o", store=MemoryStore(), opaque=switch)
    assert PICTURE in result.messages[2]["content"]


# The data of a data address, a run longer than any key, lines of base64.
BLOB = re.compile(
    rb"(?<=;base64,)[A-Za-z0-9+/=_-]{200,}+|(?<![A-Za-z0-9+/=_-])[A-Za-z0-9+/=_-]{2048,}+|(?:^[A-Za-z0-9+/]{60,76}\r?\n){24,}+",
    re.MULTILINE,
)
PIECES = st.one_of(
    st.sampled_from([b"\n", b"\r\n", b" ", b"\xc3\xa9", b";base64,", b",", b"=", b"-", b"aB3/", b"\0"]),
    st.builds(lambda size: b"x" * size, st.sampled_from([59, 60, 76, 77, 199, 200, 2047, 2048])),
    st.builds(
        lambda size, end, count: ((b"aB3/" * 20)[:size] + end) * count,
        st.sampled_from([59, 60, 64, 76, 77]),
        st.sampled_from([b"\n", b"\r\n", b"=\n", b"\r", b""]),
        st.sampled_from([1, 11, 12, 22, 23, 24, 25]),
    ),
)


@given(st.lists(PIECES, max_size=8))
def test_runs_are_found_where_a_pattern_finds_them(pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    assert opaque_runs(data) == [(found.start(), found.start() + len(found[0].rstrip(b"\r\n"))) for found in BLOB.finditer(data)]
