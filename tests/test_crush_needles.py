"""Crush shows the rows that matter: errors, outliers, rare values and what is asked for stay; markers tell the truth of the rest."""

import json
import random
import re
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest

from headroom_asgi._crush import crush, expand

Row = dict[str, Any]
WORDS = (
    "region",
    "queue",
    "order",
    "invoice",
    "client",
    "batch",
    "window",
    "record",
    "shard",
    "ledger",
    "parcel",
    "vendor",
    "market",
)
MARKER = re.compile(r"^ *<<ccr:r-(\d+) (\d+) rows left out(?:: (.+))?>>$", re.MULTILINE)
MOST = 60  # rows that are kept of the longest table, needles and short runs aside


def sentence(rng: random.Random, count: int) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(count))


def time_of(second: int) -> str:
    return f"2026-05-{second // 86400 + 1:02d}T{second // 3600 % 24:02d}:{second // 60 % 60:02d}:{second % 60:02d}Z"


def logs(rng: random.Random, count: int) -> list[Row]:
    messages: list[Callable[[], str]] = [
        lambda: f"GET /api/{rng.choice(WORDS)}/{rng.randrange(9000)} took {rng.randrange(400)} ms",
        lambda: f"cache miss for {rng.getrandbits(32):08x}",
        lambda: f"retrying after timeout ({rng.randrange(1, 4)}/3)",
        lambda: f"0 errors in {rng.choice(WORDS)}",
    ]
    return [
        {
            "seq": 7000 + i,
            "ts": time_of(40 * i),
            "level": rng.choices(["INFO", "DEBUG", "WARN"], [80, 15, 5])[0],
            "service": rng.choice(["cart", "search", "mail"]),
            "status": rng.choices([200, 201, 304], [8, 1, 1])[0],
            "trace": f"{rng.getrandbits(64):016x}",
            "error": None,
            "message": rng.choice(messages)(),
        }
        for i in range(count)
    ]


def metrics(rng: random.Random, count: int) -> list[Row]:
    level = rng.choice([20, 300, 5000])
    return [
        {
            "seq": 100 + i,
            "timestamp": 1_777_000_000 + 15 * i,
            "cpu": round(0.4 + rng.gauss(0, 0.05), 3),
            "latency_ms": round(level * (1 + rng.random() / 4), rng.choice([1, 2])),
            "requests": rng.randrange(level, 2 * level),
            "zone": rng.choice(["a", "b", "c"]),
            "healthy": True,
        }
        for i in range(count)
    ]


def customers(rng: random.Random, count: int) -> list[Row]:
    return [
        {
            "seq": i,
            "uid": f"{rng.getrandbits(64):016x}",
            "name": sentence(rng, 2),
            "email": f"customer{i}@example.com",
            "status": rng.choice(["active", "pending", "closed"]),
            "balance": round(rng.random() * 5000, 2),
            "country": rng.choice(["DE", "FR", "IT", "ES", "PL", "SE", "NL"]),
            "created_at": time_of(rng.randrange(2_000_000)),
        }
        for i in range(count)
    ]


def issues(rng: random.Random, count: int) -> list[Row]:
    return [
        {
            "seq": 90_000 - i,
            "title": sentence(rng, 6),
            "state": rng.choice(["open", "open", "done"]),
            "labels": rng.sample(["ui", "api", "docs", "perf"], 2),
            "comments": rng.randrange(12),
            "user": {"login": rng.choice(["ana", "bruno", "chen", "dalia", "emeka"]), "admin": False},
            "body": sentence(rng, 25) + "\n" + sentence(rng, 10),
        }
        for i in range(count)
    ]


ERRORS: dict[Callable[[random.Random, int], list[Row]], list[Row]] = {
    logs: [
        {"level": "ERROR"},
        {"status": 503},
        {"message": "upstream refused the connection"},
        {"error": {"code": 7}},
        {"error": "E17"},
        {"message": "PaymentDeclinedException: card 12"},
    ],
    metrics: [{"healthy": False}, {"zone": "failed"}, {"note": "read timed out"}],
    customers: [{"name": "access denied"}, {"last_error": "quota"}, {"status": "payment_failed"}],
    issues: [
        {"title": "Crash in the market"},
        {"body": "a line\nTraceback (most recent call last):"},
        {"labels": ["api", "fatal"]},
    ],
}
OUTLIERS: dict[Callable[[random.Random, int], list[Row]], list[Row]] = {
    logs: [{"status": 10_000}, {"took": -5}],
    metrics: [{"latency_ms": 90_000.5}, {"cpu": 7.25}, {"requests": -3}, {"latency_ms": 0}],
    customers: [{"balance": 910_000.37}, {"balance": -44_000}],
    issues: [{"comments": 4711}],
}
RARE: dict[Callable[[random.Random, int], list[Row]], list[Row]] = {
    logs: [{"service": "ledger"}, {"level": "NOTICE"}, {"message": "disk is nearly full"}],
    metrics: [{"zone": "z"}, {"healthy": None}],
    customers: [{"country": "LI"}, {"status": "frozen"}, {"vip": True}],
    issues: [{"state": "merged"}, {"user": {"login": "zoe", "admin": False}}, {"user": {"login": "ana", "admin": True}}],
}


def asked(rng: random.Random, make: object, row: Row) -> str:
    """A literal of the question that only this row holds."""
    if make is logs:
        return rng.choice([row["trace"], row["trace"].upper(), str(row["seq"]), row["ts"]])
    if make is metrics:
        return rng.choice([str(row["seq"]), str(row["timestamp"])])
    if make is customers:
        return rng.choice([row["uid"], row["email"], str(row["seq"]), row["email"].partition("@")[0]])
    row["body"] = row["body"].replace("\n", "\nsee Quay-7 there\n", 1)
    return rng.choice([str(row["seq"]), "quay-7", "see Quay-7 there"])


def shown(rows: list[Row], *needles: str) -> list[int]:
    """The places of the rows that are in the text, by their first column."""
    found = crush(json.dumps({"rows": rows}).encode(), ref=b"r", needles=[needle.encode() for needle in needles])
    assert found is not None
    places = {str(row["seq"]): i for i, row in enumerate(rows)}
    return [places[number] for number in re.findall(r"^ (\d+)\t", found[0].decode(), re.MULTILINE)]


def test_literals_are_asked_for_once_and_only_where_rows_may_be_left_out() -> None:
    asked: list[str] = []

    def literals(name: str) -> list[bytes]:
        asked.append(name)
        return [b"150"]

    rows = [{"seq": i, "name": sentence(random.Random(i), 9)} for i in range(400)]
    both = json.dumps({"rows": rows, "others": rows}).encode()
    told = crush(both, ref=b"r", needles=lambda: literals("large"))
    assert told == crush(both, ref=b"r", needles=[b"150"])
    assert told is not None
    assert len(told[1]) == 2
    assert told != crush(both, ref=b"r")
    assert crush(json.dumps({"rows": rows[:20]}).encode(), ref=b"r", needles=lambda: literals("small")) is not None
    assert crush(both, needles=lambda: literals("nobody could ask for rows")) is not None
    assert asked == ["large"]


def test_literals_that_cannot_be_had_are_no_lack_of_memory() -> None:
    def failing() -> list[bytes]:
        raise LookupError("no question")

    rows = [{"seq": i, "name": sentence(random.Random(i), 9)} for i in range(400)]
    with pytest.raises(LookupError, match="no question"):
        crush(json.dumps(rows).encode(), ref=b"r", needles=failing)
    with pytest.raises(TypeError):
        crush(json.dumps(rows).encode(), ref=b"r", needles=lambda: ["no bytes"])  # type: ignore[list-item]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("make", [logs, metrics, customers, issues], ids=lambda make: make.__name__)
def test_planted_rows_are_shown_among_a_tenth(make: Callable[[random.Random, int], list[Row]], seed: int) -> None:
    for turn in range(7):
        rng = random.Random(f"{make.__name__} {seed} {turn}")
        count = rng.randrange(400, 1500)
        rows = make(rng, count)
        places = rng.sample(range(count), 4)
        for place, plants in zip(places, (ERRORS, OUTLIERS, RARE), strict=False):
            rows[place] |= rng.choice(plants[make])
        needle = asked(rng, make, rows[places[3]])
        found = shown(rows, "the", needle, "GET", "absent-1")
        assert set(places) <= set(found), (count, places, needle, found)
        assert len(found) <= count / 10


@pytest.mark.parametrize("seed", range(20))
def test_planted_elements_of_lists_are_shown_among_a_tenth(seed: int) -> None:
    rng = random.Random(f"lists {seed}")
    count = rng.randrange(700, 1500)
    texts: list[Any] = [f"{rng.choice(['open', 'close', 'move'])} {sentence(rng, 5)} {i}" for i in range(count)]
    numbers: list[Any] = [round(rng.gauss(100, 7), 3) for _ in range(count)]
    places = rng.sample(range(count), 4)
    texts[places[0]] = f"failed {sentence(rng, 5)}"
    texts[places[1]] = f"burn {sentence(rng, 5)}"
    needle = texts[places[2]].rpartition(" ")[2]
    numbers[places[0]], numbers[places[1]], asked_for = 900.5, -44.25, str(numbers[places[2]])
    for values, wanted, literal in ((texts, places[:3], needle), (numbers, places[:3], asked_for)):
        found = crush(json.dumps({"rows": values}).encode(), ref=b"r", needles=[literal.encode()])
        assert found is not None
        assert found[1]
        lines = found[0].decode().split("\n")[2:]
        stem = re.fullmatch(r"rows \[\d+\]=(.*)", found[0].decode().split("\n")[1])
        assert stem is not None
        assert stem[1] == ""
        assert {f" {values[place]}" for place in wanted} <= {*lines}
        assert len([line for line in lines if "<<ccr" not in line]) <= count / 10


def test_a_spike_that_is_no_extreme_is_shown() -> None:
    rng = random.Random(1)
    values = [100 + rng.randrange(10) for _ in range(300)] + [500 + rng.randrange(10) for _ in range(300)]
    values[150], values[420] = 300, 320
    found = shown([{"seq": i, "value": value, "note": sentence(rng, 8)} for i, value in enumerate(values)])
    assert {150, 420} <= set(found)
    assert {299, 300} <= set(found), "the rows around a change of level"


def test_a_cluster_of_spikes_shows_its_ends_and_its_peak() -> None:
    rng = random.Random(2)
    values = [50 + rng.randrange(6) for _ in range(500)]
    for i in range(203, 212):
        values[i] = 700 + rng.randrange(50)
    values[206] = 910
    values[450] = 9_000
    found = shown([{"seq": i, "value": value, "note": sentence(rng, 8)} for i, value in enumerate(values)])
    assert {203, 206, 211, 450} <= set(found)


def test_a_change_of_state_shows_both_sides() -> None:
    rng = random.Random(3)
    rows = [{"seq": i, "note": sentence(rng, 8), "state": "up" if i < 333 or i >= 380 else "down"} for i in range(600)]
    assert {332, 333, 379, 380} <= set(shown(rows))


def test_noise_and_slopes_show_nothing_but_their_extremes() -> None:
    rng = random.Random(4)
    noise = [{"seq": i, "value": rng.randrange(1000), "note": f"word {sentence(rng, 8)}"} for i in range(400)]
    slope = [{"seq": i, "value": 40 * i + rng.randrange(60), "note": f"word {sentence(rng, 8)}"} for i in range(400)]
    for rows in (noise, slope):
        values = [row["value"] for row in rows]
        plain = {*range(8), *range(396, 400), 64, 128, 256, values.index(min(values)), values.index(max(values))}
        assert len(set(shown(rows)) - plain) <= 3, "a short run, at most"


@pytest.mark.parametrize(
    ("column", "usual", "odd"),
    [
        ("status_code", 200, 404),
        ("exit_code", 0, 1),
        ("severity", "info", "crit"),
        ("level", 30, 50),
        ("is_valid", True, False),
        ("ok", True, False),
        ("failed", False, True),
        ("errors", 0, 2),
        ("err", None, "x"),
        ("exception", "", "Boom"),
        ("error_list", [], [1]),
    ],
)
def test_a_value_is_an_error_by_the_name_of_its_column(column: str, usual: object, odd: object) -> None:
    rng = random.Random(5)
    rows = [{"seq": i, "note": sentence(rng, 9), column: odd if 100 <= i < 120 else usual} for i in range(500)]
    assert set(range(100, 105)) <= set(shown(rows)), "more than a few, so that they are not just rare"
    other = [{"seq": i, "note": sentence(rng, 9), "thing": odd if 100 <= i < 120 else usual} for i in range(500)]
    assert 103 not in shown(other)


@pytest.mark.parametrize("text", ["no errors", "0 failed", "without error", "errors: 0", "error=none", "failed: false"])
def test_a_text_that_denies_errors_tells_of_none(text: str) -> None:
    rng = random.Random(6)
    rows = [{"seq": i, "note": f"{sentence(rng, 9)} {text if 100 <= i < 120 else ''}."} for i in range(500)]
    assert 103 not in shown(rows)
    rows[300]["note"] += " 10 errors"
    assert 300 in shown(rows)


def test_what_many_rows_share_is_no_sign() -> None:
    rng = random.Random(7)
    rows = [{"seq": i, "note": f"{sentence(rng, 9)} timeout", "orders": f"orders of {sentence(rng, 2)}"} for i in range(600)]
    rows[400]["note"] += " fatal"
    rows[450]["orders"] += " Lisbon"
    found = shown(rows, "orders", "Lisbon")
    assert {400, 450} <= set(found)
    assert len(found) < 40


def test_needles_are_whole_names_and_numbers() -> None:
    rng = random.Random(8)
    rows = [{"seq": 10_000 + i, "note": f"{sentence(rng, 8)} {i}x", "amount": f"{i % 7}.{i + 1000}"} for i in range(500)]
    rows[100]["note"] += " for PlanAnna and user_77"
    rows[200]["note"] += " Annabel and 4711.25"
    rows[300]["note"] += " (anna) 4711"
    found = shown(rows, "Anna", "4711", "77", "047")
    assert {100, 300} <= set(found)
    assert 200 not in found
    assert 47 not in found


def test_short_ids_count_where_they_are_rare() -> None:
    rng = random.Random(9)
    rows = [{"seq": 5 + i, "note": sentence(rng, 9) + " 7 42", "size": rng.randrange(90, 99)} for i in range(500)]
    rows[300]["note"] += " order 13"
    assert {42 - 5, 300} <= {*shown(rows, "42", "13")}
    assert 300 not in shown(rows, "42", "1", "3")
    assert 9 - 5 in shown(rows[9:] + rows[:9], "9")
    assert set(shown(rows, "95")) - set(shown(rows)) == {90}, "ids are rare, sizes are not"


def test_rows_that_are_asked_for_win_over_all_others() -> None:
    rng = random.Random(10)
    rows = [
        {"seq": i, "note": f"{sentence(rng, 6)} fatal {i}-{i % 25 + 60}" if i % 2 else f"{sentence(rng, 9)} {i}"}
        for i in range(900)
    ]
    needles = [f"{i}-{i % 25 + 60}" for i in range(11, 899, 23) if i % 2]
    places = [int(needle.partition("-")[0]) for needle in needles]
    assert set(places) <= set(shown(rows, *needles))
    many = [f"{i}-{i % 25 + 60}" for i in range(11, 899, 2)]
    found = shown(rows, *many[:250])
    assert {int(needle.partition("-")[0]) for needle in many[:40]} <= set(found), "the first ones, where they do not fit"
    assert len(found) <= MOST + 40 + 12


def test_a_longer_array_keeps_the_rows_that_stand_out() -> None:
    rng = random.Random(11)
    rows = logs(rng, 700)
    places = (123, 234, 345, 456)
    rows[123]["level"] = "ERROR"
    rows[234]["status"] = 999
    rows[345]["service"] = "ledger"
    needle = rows[456]["trace"]
    kept = {*range(8), 64, 128, 256, 512, *places}
    assert kept <= set(shown(rows, needle))
    for more in (1, 50, 2000):
        longer = rows + [rows[600 + i % 90] | {"seq": 7700 + i, "ts": time_of(28_000 + 40 * i)} for i in range(more)]
        assert kept <= set(shown(longer, needle))


def mean_of(values: list[Fraction], decimals: int) -> str:
    """Rounded to three digits or to the unit, halves away from zero."""
    mean = sum(values, Fraction(0)) / len(values)
    for places in range(decimals + 3):
        rounded = int(abs(mean) * 10**places + Fraction(1, 2))
        if rounded >= 100 or places == decimals + 2:
            break
    text = f"{rounded // 10**places}.{rounded % 10**places:0{places}d}".rstrip("0").rstrip(".") if places else str(rounded)
    return "-" * (mean < 0) + text


def cells_of(rows: list[Row], path: str) -> list[Any]:
    """The values of a column, under the name that a head gives it."""
    values: list[Any] = rows
    for key in path.split("."):
        values = [value[key] for value in values if key in value]
    return values


def check_summary(summary: str, rows: list[Row], table: list[Row]) -> None:
    """A summary says what plain Python finds in the rows."""
    for piece in summary.split("; "):
        path, _, said = piece.partition(" ")
        values = cells_of(rows, path)
        if "×" in said:
            spelled = Counter(value if isinstance(value, str) else json.dumps(value) for value in values)
            counts = {name.strip('"'): int(count) for name, count in re.findall(r"([^,]+) ×(\d+)(?:, |$)", said)}
            others = counts.pop("others", 0)
            assert counts.items() <= spelled.items()
            assert sum(counts.values()) + others == len(values)
            continue
        bounds, _, mean = said.partition(", mean ")
        low, _, high = bounds.partition(" to ")
        in_order = path in ("seq", "email") or sorted(values) in (values, values[::-1])
        ends = [values[0], values[-1]] if in_order else [min(values), max(values)]
        assert [low, high or low] in (list(map(str, ends)), list(map(str, sorted(ends))))
        if mean:
            decimals = max(len(json.dumps(value).partition(".")[2]) for value in cells_of(table, path))
            assert mean == mean_of([Fraction(json.dumps(value)) for value in values], decimals)


@pytest.mark.parametrize("make", [logs, metrics, customers, issues], ids=lambda make: make.__name__)
def test_markers_say_what_python_finds_in_the_rows(make: Callable[[random.Random, int], list[Row]]) -> None:
    said = ""
    for seed in range(12):
        rng = random.Random(seed)
        rows = make(rng, rng.randrange(150, 900))
        found = crush(json.dumps({"rows": rows}).encode(), ref=b"r")
        assert found is not None
        [(_, count, part)] = found[1]
        left = json.loads(expand(part))
        assert len(left) == count
        for _, number, summary in MARKER.findall(found[0].decode()):
            run, left = left[: int(number)], left[int(number) :]
            assert summary
            check_summary(summary, run, rows)
            said += summary
        assert left == []
    assert " to " in said
    assert make is issues or "mean" in said or make is logs
    assert "×" in said or make is metrics


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([0.5, 1.5, 2.5, 3.25], "0.5 to 3.25, mean 1.94"),
        ([-1, -2, -4, 4], "-4 to 4, mean -0.75"),
        ([1, 2, 2, 1000], "1 to 1000, mean 251"),
        ([0.001, 0.002, 0.0045, 0.0005], "0.0005 to 0.0045, mean 0.002"),
        ([1e2, 2e-1, 1, 3], "0.2 to 100.0, mean 26.1"),
    ],
)
def test_means_have_three_digits(values: list[float], text: str) -> None:
    rng = random.Random(12)
    rows = [{"seq": i, "note": f"word {sentence(rng, 60)}", "value": values[i % 4]} for i in range(64)]
    # Values of few kinds would be counted: the first rows and the last ones have other ones.
    for i in (*range(8), *range(60, 64)):
        rows[i]["value"] = 900 + i % 4
    found = crush(json.dumps(rows).encode(), ref=b"r")
    assert found is not None
    summaries = MARKER.findall(found[0].decode())
    assert [summary.partition("value ")[2] for _, _, summary in summaries] == [text]


def test_a_summary_never_ends_its_marker() -> None:
    rows = [
        {
            "seq": i,
            "a>b": i % 3,
            "kind": f"k> {i % 2}",
            "state": f"on\u0001 {i % 3}",
            "word": "two words" if i % 2 else "",
            "note": "x" * 70,
        }
        for i in range(200)
    ]
    found = crush(json.dumps({"rows": rows}).encode(), ref=b"r")
    assert found is not None
    summaries = [summary for _, _, summary in MARKER.findall(found[0].decode())]
    assert summaries
    assert all(
        re.fullmatch(r'seq \d+ to \d+(; word (""|"two words") ×\d+, (""|"two words") ×\d+)?', summary) for summary in summaries
    )
