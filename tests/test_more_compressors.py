"""Kinds, needles, compressors, and what pays: of any text, in linear time."""

import json
from bisect import bisect_right
from collections.abc import Callable

import pytest

from headroom_asgi import _crush
from headroom_asgi._crush import estimate
from headroom_asgi.compressors import Compressed, ContentKind, Omission, Request, SmartCrusher, TextCompressor, detect
from headroom_asgi.compressors import kernel as kernel_side
from headroom_asgi.compressors.needles import needles
from headroom_asgi.errors import CompressError
from headroom_asgi.transforms.content_router import judge


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('{"a": 1}', ContentKind.JSON),
        (" \r\n\t[1]\n", ContentKind.JSON),
        ('"text"', ContentKind.JSON),
        ('{"a": 1}\n{"a": 2}\n', ContentKind.JSON),
        ("[1]\n[2]", ContentKind.JSON),
        ("[1}", ContentKind.TEXT),
        ('{"a": 1}\ndone', ContentKind.TEXT),
        ("{", ContentKind.TEXT),
        ("", ContentKind.TEXT),
        ("\u00a0{}", ContentKind.TEXT),
        (" " * 10_000_000, ContentKind.TEXT),
    ],
)
def test_a_kind_is_told_by_the_first_and_last_character(text: str, kind: ContentKind) -> None:
    assert detect(text) is kind


# -- needles ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("what is the status of order ORD-10438?", ["ORD-10438"]),
        ('who wrote "hello there"?', ["hello there"]),
        ("who wrote “hello there”?", ["hello there"]),
        ("mail ann.bell+x@example.com please", ["ann.bell+x@example.com"]),
        ("look at src/app.py:31 and user_id", ["src/app.py:31", "src/app.py", "user_id"]),
        ("Ann met Ann", ["Ann"]),
        ("nothing to look for here", []),
        ("ticket 4711, #4712 (4713) or job 17", ["4711", "4712", "4713", "17"]),
        ("is #7 or Order no. 42 done, job id 9?", ["7", "42", "9"]),
        ("the last 5, 12 orders in 3, show 10 rows, 1.5 or page 2.5, at 10:30, up 20%", ["1.5", "2.5", "10:30", "20%"]),
        ("id:4711 order=ORD-7", ["id:4711", "4711", "order=ORD-7", "ORD-7"]),
        ("he paid $4,711.50", ["4711.50"]),
        ("550e8400-e29b-41d4-a716-446655440000", ["550e8400-e29b-41d4-a716-446655440000"]),
        ("/var/log/app.log at https://x.y/z?a=1", ["/var/log/app.log", "https://x.y/z?a=1"]),
        ("Please find Anna Bell's orders. Show them! Find New York.", ["Anna Bell", "Anna", "Bell", "New York", "York"]),
        ("Where is Zürich? What about 東京, Ørsted", ["Zürich", "Ørsted"]),
        ("It's Bob's, e.g. I can't", ["Bob"]),
        ("NASA calls getUser", ["NASA", "getUser"]),
    ],
)
def test_needles_are_names_ids_and_quotes_not_prose(question: str, found: list[str]) -> None:
    assert [needle.decode() for needle in needles(question)] == found


def test_of_a_calls_arguments_the_values_are_needles_and_come_first() -> None:
    arguments = {"user_id": "mia_li_3668", "limit": 100, "Filter": {"status": "open", "ids": [4711, 17, 3.25, True, None]}}
    assert needles("ask Anna", json.dumps(arguments)) == [b"mia_li_3668", b"open", b"4711", b"17", b"3.25", b"Anna"]


def test_arguments_that_are_no_json_are_read_as_prose() -> None:
    assert needles("", '{"id": "ORD-1", cut') == [b"ORD-1"]
    assert needles("", "[" * 100_000) == []


def test_a_needle_counts_once_whatever_its_case() -> None:
    assert needles("ord-1 ORD-1 Ord-1") == [b"ord-1"]


def test_needles_are_bounded_and_the_end_of_a_long_question_counts() -> None:
    question = " ".join(f"id-{i}" for i in range(10_000))
    found = needles(question)
    assert len(found) == 200
    assert needles("x " * 20_000 + "id-77") == [b"id-77"]
    assert needles("A" * 81 + "1") == []


@pytest.mark.parametrize(
    "text",
    ["a", "_", "a.", "a_", "+", "'", "a@", "Aa ", '"aaa ', "“aaa ", "\ud800", "a=", "1,", "\0\0\0"],
)
def test_needles_of_monotonous_texts_end(text: str) -> None:
    text *= 20_000 // len(text)
    for found in (needles(text), needles("", text), needles("", json.dumps(text))):
        assert len(found) <= 200
        assert all(b"\0" not in needle and (len(needle) >= 3 or needle.isdigit()) for needle in found)


# -- compressors --------------------------------------------------------------------------------------------------------

ROWS = json.dumps([{"id": f"ORD-{i}", "city": "Oslo", "paid": 7 * i} for i in range(1_000)])


@pytest.mark.parametrize(("name", "compressor"), [("smart", SmartCrusher()), ("text", TextCompressor())])
def test_a_label_says_who_did_it_and_whether_anything_was_left_out(name: str, compressor: SmartCrusher | TextCompressor) -> None:
    whole = compressor.compress(ROWS, Request())
    part = compressor.compress(ROWS, Request(ref="r1"))
    assert whole is not None
    assert part is not None
    assert (whole.label, whole.lossless) == (f"{name}:lossless", True)
    assert (part.label, part.lossless) == (f"{name}:rows", False)
    assert [omission.name for omission in part.omissions] == ["r1-1"]


def test_rows_that_the_question_or_the_arguments_name_are_kept() -> None:
    asked = SmartCrusher().compress(ROWS, Request("where is ORD-777?", "r1", '{"order": "ORD-555"}'))
    silent = SmartCrusher().compress(ROWS, Request("", "r1"))
    assert asked is not None
    assert silent is not None
    assert [name in asked.text for name in ("\nORD-777\t", "\nORD-555\t", "\nORD-333\t")] == [True, True, False]
    assert [name in silent.text for name in ("\nORD-777\t", "\nORD-555\t", "\nORD-333\t")] == [False, False, False]


@pytest.mark.parametrize("compressor", [SmartCrusher(), TextCompressor()], ids=["smart", "text"])
def test_a_text_without_utf_8_is_left_alone(compressor: SmartCrusher | TextCompressor) -> None:
    assert compressor.compress('["\ud800"]', Request()) is None


def made(short: bytes, reads_back_as: bytes) -> tuple[Callable[..., object], Callable[[bytes], bytes]]:
    """A kernel that makes `short` of everything."""
    return lambda data, **_: (short, []), lambda text: reads_back_as if text == short else b"[1]"


@pytest.mark.parametrize(
    ("short", "text", "reads_back_as", "right"),
    [
        (b"[json]\n- 1", " [1] ", b"[1]", True),
        (b"[json; a note]\n- 1", " [1] ", b"[1]", True),
        (b"[json in {a: (json)}]\n- 1", ' {"a": "[1]"} ', b"[1]", True),
        (b"[1]", " [1] ", b"[1]", True),
        (b"[json]\n- 1", " [1] ", b"[2]", False),
        (b"[1] ", " [1] ", b" [1] ", False),
        (b"[jsonl]\n- 1", "1\n1\n", b"1\n1\n", True),
        (b"[jsonl]\n- 1", "1\n1\n", b"1\n1", False),
        (b"[json2al; a note]\n- 1", "1\n1\n", b"1\n1", False),
        (b"[text]\nab", "ab ", b"ab ", True),
        (b"[text; a note]\nab", "ab ", b"ab", False),
    ],
)
def test_what_is_lossless_has_to_read_back_as_the_value_or_as_the_very_text(
    monkeypatch: pytest.MonkeyPatch, short: bytes, text: str, reads_back_as: bytes, right: bool
) -> None:
    crush, expand = made(short, reads_back_as)

    class Kernel:
        pass

    kernel = Kernel()
    kernel.crush, kernel.expand = crush, expand  # type: ignore[attr-defined]
    monkeypatch.setattr(kernel_side, "_crush", kernel)
    for compressor in (SmartCrusher(), TextCompressor()):
        if right:
            found = compressor.compress(text, Request())
            assert found is not None
            assert found.text == short.decode()
        else:
            with pytest.raises(CompressError):
                compressor.compress(text, Request())


# -- what pays ----------------------------------------------------------------------------------------------------------


def text_of(tokens: int) -> str:
    """A text of so many tokens by the estimate."""
    words = bisect_right(range(tokens), tokens, key=lambda n: estimate(b" word" * n)) - 1
    text = " word" * words
    text += "." * (tokens - estimate(text.encode()))
    assert estimate(text.encode()) == tokens
    return text


@pytest.mark.parametrize(
    ("before", "saved", "lossless", "accepted"),
    [
        (320, 32, True, True),
        (320, 32, False, True),
        (310, 31, True, False),
        (310, 31, False, False),
        (321, 32, False, False),
        (321, 32, True, True),
        (960, 32, True, True),
        (100_000, 32, True, True),
        (100_000, 31, True, False),
        (2_570, 256, False, False),
        (100_000, 9_999, False, False),
        (100_000, 10_000, False, True),
    ],
)
def test_32_tokens_and_a_tenth_pay_and_of_what_is_lossless_32_tokens(
    before: int, saved: int, lossless: bool, accepted: bool
) -> None:
    omissions = () if lossless else (Omission("r-1", 1, "row"),)
    outcome = judge(text_of(before), Compressed(text_of(before - saved), "x", omissions))
    assert (outcome.compressed is not None, outcome.reason) == (accepted, "compressed" if accepted else "does_not_pay")
    assert (outcome.tokens_before, outcome.tokens_after) == (before, before - saved if accepted else before)


def test_what_is_not_shorter_in_bytes_does_not_pay() -> None:
    text = "\U0001f600" * 1_000
    shorter = " word" * 1_000
    assert estimate(shorter.encode()) + 256 < estimate(text.encode())
    assert len(shorter) > len(text.encode())
    assert judge(text, Compressed(shorter, "x")).reason == "does_not_pay"


def test_nothing_made_does_not_pay() -> None:
    assert judge("text", None).reason == "does_not_pay"


def test_the_kernel_is_asked_without_needles_where_nothing_may_be_left_out() -> None:
    assert _crush.crush(ROWS.encode()) == _crush.crush(ROWS.encode(), needles=[b"ORD-77"])
