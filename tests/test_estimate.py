"""The token estimate: what it promises about every text, and how near it comes on some."""

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headroom_asgi._crush import crush, estimate, minify

text = st.one_of(st.binary(max_size=60), st.text(max_size=60).map(lambda s: s.encode("utf-8", "surrogatepass")))


@given(text)
def test_nothing_is_no_token_and_anything_else_is_at_least_one(data: bytes) -> None:
    assert estimate(b"") == 0
    assert (estimate(data) >= 1) == bool(data)


@given(text, text)
def test_a_longer_text_is_never_estimated_shorter(data: bytes, more: bytes) -> None:
    assert estimate(data) <= estimate(data + more)


@given(text, text)
def test_a_text_costs_what_its_parts_cost_but_for_the_seam(first: bytes, second: bytes) -> None:
    # One pair of bytes is weighed differently (no weight is above 2.5 tokens), and each part is rounded up.
    assert abs(estimate(first + second) - estimate(first) - estimate(second)) <= 3


@given(text, text)
def test_a_text_costs_what_its_lines_cost_but_for_rounding(first: bytes, second: bytes) -> None:
    line = first + b"\n"
    assert estimate(line) + estimate(second) - 1 <= estimate(line + second) <= estimate(line) + estimate(second)


@given(st.lists(text, max_size=8), st.randoms(use_true_random=False))
def test_the_order_of_lines_does_not_matter(lines: list[bytes], order: random.Random) -> None:
    lines = [line.replace(b"\n", b" ") + b"\n" for line in lines]
    before = estimate(b"".join(lines))
    order.shuffle(lines)
    assert estimate(b"".join(lines)) == before


scalars = st.one_of(st.integers(), st.none(), st.booleans(), st.text(max_size=20))
documents = st.recursive(
    scalars,
    lambda values: st.lists(values, max_size=4) | st.dictionaries(st.sampled_from(["id", "name", "at"]), values, max_size=3),
    max_leaves=20,
)
spellings = st.sampled_from([{"indent": 1}, {"indent": "\t"}, {"indent": 4, "separators": (" ,", " : ")}, {}])


@given(documents, spellings, st.booleans())
def test_forms_are_compared_by_their_estimates_however_the_text_is_spaced(document: Any, spelling: Any, escaped: bool) -> None:
    data = f" {json.dumps(document, ensure_ascii=escaped, **spelling)}\n".encode()
    plain = minify(data)
    tokens, best = estimate(data), crush(plain)
    if best is not None and estimate(best[0]) < tokens:
        assert crush(data) == best
    form = (crush(data) or (data, []))[0]
    if form == data:
        assert estimate(plain) >= tokens
    elif form == plain:
        assert estimate(plain) < tokens
    else:
        assert estimate(form) < min(estimate(plain), tokens)


def test_estimates_grow_linearly_without_overflow() -> None:
    block = ("😀" * 10 + "\t🚀\n").encode()
    once, often = estimate(block * 1000), estimate(block * 400_000)
    assert abs(often - 400 * once) <= 400
    assert often > 2**22


def test_other_types_are_refused() -> None:
    with pytest.raises(TypeError):
        estimate("text")  # type: ignore[arg-type]


# Our own texts and their o200k_base tokens, counted by tiktoken.
RECORDS = [
    {"order_id": f"ORD-{40817 + 7 * i}", "customer": name, "city": city, "amount": 19.95 + 12.5 * i, "status": status}
    for i, (name, city, status) in enumerate(
        [
            ("Marta Olsson", "Uppsala", "shipped"),
            ("Dmitri Volkov", "Riga", "pending"),
            ("Aisha Rahman", "Manchester", "shipped"),
            ("Lena Fischer", "Freiburg", "returned"),
            ("Tomás Herrera", "Valencia", "pending"),
            ("Grace Okafor", "Lagos", "shipped"),
        ]
    )
]


def table(records: list[dict[str, Any]]) -> str:
    rows = ["\t".join(str(value) for value in record.values()) for record in records]
    return f"[{len(records)}]: " + "\t".join(records[0]) + "\n " + "\n ".join(rows)


def outline(records: list[dict[str, Any]]) -> str:
    return "\n".join("-\n" + "\n".join(f" {key}: {value}" for key, value in record.items()) for record in records)


SAMPLES = {
    "minified": (json.dumps(RECORDS, separators=(",", ":"), ensure_ascii=False), 186),
    "pretty": (json.dumps(RECORDS, indent=2, ensure_ascii=False), 299),
    "table": (table(RECORDS), 117),
    "outline": (outline(RECORDS), 183),
    "prose": (
        "The night train leaves the harbor at ten past nine and reaches the border before sunrise. Passengers who booked a "
        "couchette should be on the platform twenty minutes early; the others may board until the doors close. Breakfast is "
        "served from six, unless the line is late, in which case the steward will bring coffee to the compartments.",
        66,
    ),
    "python": (
        "def total(rows, *, currency='EUR'):\n    amounts = [row['amount'] for row in rows if row['currency'] == currency]\n"
        "    if not amounts:\n        raise ValueError(f'no rows in {currency}')\n    return round(sum(amounts), 2)\n",
        56,
    ),
    "log": (
        "\n".join(
            f"2031-04-{day:02} 08:1{day % 6}:47,{day * 37 % 1000:03} WARN  [worker-{day % 4}] queue.depth={day * 113} above limit, retry in {day}s"
            for day in range(1, 9)
        ),
        271,
    ),
    "hashes": ("\n".join(f"{i * 0x9E3779B97F4A7C15F39CC0605CEDC834 % 2**128:032x}  part-{i:03}.bin" for i in range(1, 13)), 291),
    "chinese": ("列车晚上九点十分离开港口，日出前到达边境。预订了卧铺的乘客应提前二十分钟到达站台，其他人可以在关门前上车。", 47),
    "russian": ("Ночной поезд отправляется из порта в десять минут десятого и прибывает на границу до восхода солнца.", 27),
    "hindi": ("रात की ट्रेन नौ बजकर दस मिनट पर बंदरगाह से निकलती है और सूर्योदय से पहले सीमा पर पहुँचती है।", 30),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_the_estimate_is_near_the_true_count_whatever_the_kind_of_text(name: str) -> None:
    sample, tokens = SAMPLES[name]
    assert estimate(sample.encode()) == pytest.approx(tokens, rel=0.2)


def test_the_estimate_prefers_no_spelling_of_the_same_records() -> None:
    ratios = {name: estimate(SAMPLES[name][0].encode()) / SAMPLES[name][1] for name in ("minified", "pretty", "table", "outline")}
    assert max(ratios.values()) - min(ratios.values()) < 0.15, ratios
