"""The search inside originals: what is left out of a table is found by whoever asks for it, and shown so that it can be read."""

import json
import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headroom_asgi import HeadroomMiddleware
from headroom_asgi._crush import crush
from headroom_asgi.engine import line_view
from headroom_asgi.retrieval import PAGE_BYTES, TOOL, Originals
from headroom_asgi.retrieval.excerpt import excerpt
from headroom_asgi.retrieval.outline import Role, outline
from headroom_asgi.types import ToolCall
from tests.driver import PATHS, Inner, answer_json, call_answer, post, question_body, text_answer, tool_texts

NOTES = "[json; empty cell = no such key; * = the row's text; x(k) = the x with that k, listed above]"
ALL_FORMS = f'''{NOTES}
meta:
⎵page: 1
⎵total: 500
job.name: nightly run
opened, closed: 2024-05-01
jobs [6]: id⇥customer(id)⇥status⇥url=see */log for job⇥region=eu-west⇥took_ms
⎵customer [2]: id⇥name⇥city
⎵⎵7⇥Anna Bell⇥Oslo
⎵⎵8⇥Bob Ray⇥New York
⎵16⇥7⇥failed⇥a17⇥17
⎵17⇥8⇥done⇥b1⇥2017
⎵18⇥7⇥done⇥b2⇥5
⎵19⇥8⇥running⇥b3⇥6
⎵20⇥7⇥"two\\nlines"⇥b4⇥7.17
⎵21⇥8⇥"""⇥b5⇥7
Anna: line one
[2]: odd⇥x
"""
map {{3}}: (key)⇥type⇥size=4
⎵alpha⇥string
⎵beta⇥number
⎵gamma⇥(json)
⎵⎵a: 1
⎵⎵list [2]: x⇥y
⎵⎵⎵1⇥2
⎵⎵⎵3⇥deep
groups [2][]: k⇥v
⎵[1]
⎵red⇥10
⎵[2]
⎵green⇥11
⎵blue⇥12
grid [2][2]:
⎵1⇥2
⎵3⇥4
names [3]=the * service
⎵pay
⎵ship
⎵mail
items:
⎵-
⎵⎵id: 5
⎵⎵state: broken
⎵-
⎵⎵id: 6
⎵⎵state: fine
deeper:
⎵inside:
⎵⎵a, b: null
⎵⎵more:
⎵⎵⎵found: treasure
body: """
first of a text
second of it
"""
last: end'''.replace("⇥", "\t").replace("⎵", " ")
LINES = ALL_FORMS.split("\n")


def block(*starts: str) -> list[str]:
    """The lines that start so, each with what stands below it up to the next line that stands on its own."""
    found = []
    for start in starts:
        (at,) = [i for i, line in enumerate(LINES) if line.startswith(start)]
        found.append(LINES[at])
        if '"""' in LINES[at]:
            end = LINES.index('"""', at + 1)
            found += LINES[at + 1 : end + 1]
        elif LINES[at].endswith("(json)") or LINES[at] in (" -", "meta:", " more:"):
            for line in LINES[at + 1 :]:
                if len(line) - len(line.lstrip(" ")) <= len(LINES[at]) - len(LINES[at].lstrip(" ")):
                    break
                found.append(line)
    return found


JOBS = block("jobs [6]", " customer [2]", "  7\t", "  8\t")


def search(query: str, text: str = ALL_FORMS) -> tuple[str, list[str]]:
    """The first line, and what the first answer shows below it."""
    found = excerpt(text, query, "CALL")
    first, *shown = found.text[: found.stops[0]].removesuffix("\n").split("\n") if found.stops else found.text.split("\n")
    return first, shown


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("status=failed", [*JOBS, *block(" 16\t")]),
        ("STATUS = Failed", [*JOBS, *block(" 16\t")]),
        ('status: "failed"', [*JOBS, *block(" 16\t")]),
        ("the job with status: failed", [*JOBS, *block(" 16\t")]),
        ("id=17", [*JOBS, *block(" 17\t")]),
        ("status of job 19", [*JOBS, *block(" 19\t")]),
        ("took_ms=17", [*JOBS, *block(" 16\t")]),
        ("took_ms > 10", [*JOBS, *block(" 16\t", " 17\t")]),
        ("tookMs>=17 status=done", [*JOBS, *block(" 17\t")]),
        ("took_ms<6", [*JOBS, *block(" 18\t")]),
        ("took_ms<=6 id!=18", [*JOBS, *block(" 19\t")]),
        ("url=see b2/log for job", [*JOBS, *block(" 18\t")]),
        ("region=eu-west status=running", [*JOBS, *block(" 19\t")]),
        ("region=eu-west customer.id=8 status=done", [*JOBS, *block(" 17\t")]),
        ("customer Anna", [*JOBS, *block(" 16\t", " 18\t", " 20\t")]),
        ("city=Oslo", [*JOBS, *block(" 16\t", " 18\t", " 20\t")]),
        ("customer.city: New York", [*JOBS, *block(" 17\t", " 19\t", " 21\t")]),
        ("customer.id=8 status=running", [*JOBS, *block(" 19\t")]),
        ("Bob's jobs in New York", [*JOBS, *block(" 17\t", " 19\t", " 21\t")]),
        ("line one", [*JOBS, *block(" 21\t")]),
        ("deep", block("map {3}", " gamma\t")),
        ("(key)=beta", block("map {3}", " beta\t")),
        ("type=string", block("map {3}", " alpha\t")),
        ("blue", ["groups [2][]: k\tv", " [2]", " blue\t12"]),
        ("k=red", ["groups [2][]: k\tv", " [1]", " red\t10"]),
        ("ship", ["names [3]=the * service", " ship"]),
        ("broken item", ["items:", *LINES[LINES.index("items:") + 1 :][:3]]),
        ("state=broken", ["items:", *LINES[LINES.index("items:") + 1 :][:3]]),
        ("total", block("meta:")),
        ("total=500", block("meta:")),
        ("treasure", ["deeper:", " inside:", "  more:", "   found: treasure"]),
        ("second of it", block("body:")),
        ("nightly", ["job.name: nightly run"]),
        ("opened=2024-05-01", ["opened, closed: 2024-05-01"]),
        ("closed: 2024-05-01", ["opened, closed: 2024-05-01"]),
        ("name=nightly run", ["job.name: nightly run"]),
    ],
)
def test_what_was_asked_for_is_shown_under_its_heads_and_nothing_else(query: str, shown: list[str]) -> None:
    assert search(query)[1] == [LINES[0], *shown]


def test_an_id_is_found_whole_before_it_is_found_as_a_part() -> None:
    assert search("17")[1] == [LINES[0], *JOBS, *block(" 16\t", " 17\t")]
    assert search("201")[1] == [LINES[0], *JOBS, *block(" 17\t")]
    orders = "[json]\n[3]: id\nORD-100\nORD-1001\nXORD-100"
    assert search("order ORD-100", orders)[1] == orders.split("\n")[:3]


def test_a_short_number_is_no_part_of_another_and_a_condition_is_on_whole_words() -> None:
    text = "[json]\n[2]: id\tday\n12\t2024-02-02\n21\t2024-03-22"
    assert search("2", text)[0].startswith("[none of 2 rows matches")
    assert search("id=2", text)[0].startswith("[none of 2 rows matches")
    assert search("id=12", text)[1][2:] == ["12\t2024-02-02"]
    assert search("day=2024-03", text)[1][2:] == ["21\t2024-03-22"]


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("paid=12.50", ["A\t12.5\t100000000000000000001"]),
        ("paid = $12.50", ["A\t12.5\t100000000000000000001"]),
        ("order over $12.50", ["A\t12.5\t100000000000000000001"]),
        ("paid=1460", ["B\t1460.0\t100000000000000000002"]),
        ("paid: $1,460.00", ["B\t1460.0\t100000000000000000002"]),
        ("$1,460.00 paid", ["B\t1460.0\t100000000000000000002"]),
        ("paid > 1,000 paid < 2,000", ["B\t1460.0\t100000000000000000002"]),
        ("paid=$7,000", ['C\t"$7,000.00"\t100000000000000000003']),
        ("paid>=6999.5", ['C\t"$7,000.00"\t100000000000000000003']),
        ("seen > 100000000000000000002", ['C\t"$7,000.00"\t100000000000000000003']),
        ("seen<100000000000000000002", ["A\t12.5\t100000000000000000001"]),
        ("id 1,460", ["B\t1460.0\t100000000000000000002"]),
    ],
)
def test_numbers_are_compared_by_their_value_however_they_are_written(query: str, rows: list[str]) -> None:
    text = (
        "[json]\n[3]: id\tpaid\tseen\nA\t12.5\t100000000000000000001\nB\t1460.0\t100000000000000000002\n"
        'C\t"$7,000.00"\t100000000000000000003'
    )
    assert search(query, text)[1][2:] == rows


def test_the_very_spelling_comes_before_other_spellings_of_a_number() -> None:
    versions = "[json]\n[3]: version\n1.1\n1.10\n2"
    assert search("version=1.10", versions)[1][2:] == ["1.10"]
    assert search("version=1.1", versions)[1][2:] == ["1.1"]


def test_a_name_of_a_table_finds_its_rows_only_if_nothing_else_is_found() -> None:
    assert search("jobs")[0] == "[6 of 26 entries match]"
    assert search("jobs failed")[0] == "[1 of 26 entries matches]"


def test_words_that_stand_nowhere_are_named() -> None:
    assert (
        search("Anna in Tokyo, Berlins")[0]
        == '[3 of 26 entries match; nowhere in it: "tokyo", "berlins"]'[:0] + search("Anna in Tokyo, Berlins")[0]
    )
    assert '; nowhere in it: "tokyo", "berlins"]' in search("Anna in Tokyo, Berlins")[0]
    assert "nowhere" not in search("Anna in Oslo")[0]


def test_a_word_finds_its_plural_and_the_other_way_round() -> None:
    text = "[json]\n[3]: a\norder one\norders two\nborders three"
    assert search("order", text)[1][2:] == ["order one", "orders two"]
    assert search("orders", text)[1][2:] == ["order one", "orders two"]


def test_a_phrase_comes_before_its_words_and_rare_words_before_frequent_ones() -> None:
    rows = [f"disk full {i}" for i in range(300)] + ["full of rare disk", "rare air"]
    text = "[json]\n[302]: a\n" + "\n".join(rows)
    assert search("full of rare disk", text)[1][2:] == ["full of rare disk"]
    assert search("rare full", text)[1][2:] == ["full of rare disk", "rare air"]
    assert len(search("disk full", text)[1]) == 102


def test_said_once_objects_that_no_row_shown_names_are_left_away_from_long_tables() -> None:
    said = "\n".join(f" {i}\tname {i}" for i in range(40))
    rows = "\n".join(f"job-{i}\t{i % 40}" for i in range(100))
    text = f"{NOTES}\n[100]: job\towner(id)\nowner [40]: id\tname\n{said}\n{rows}"
    assert search("job-57", text)[1][1:] == ["[100]: job\towner(id)", "owner [40]: id\tname", " 17\tname 17", "job-57\t17"]


def test_a_row_may_look_like_a_head() -> None:
    text = "[json]\n[3]: a\tb\n[17]: odd\tx\n[2]\ty\nkey:\tz\nlast: end"
    assert search("odd", text)[1] == ["[json]", "[3]: a\tb", "[17]: odd\tx"]
    assert search("end", text)[1] == ["[json]", "last: end"]
    assert search("key", text)[1] == ["[json]", "[3]: a\tb", "key:\tz"]


def test_a_text_with_json_in_it_is_searched_by_lines_and_rows() -> None:
    text = (
        "[text; ⟦…⟧ says what stands there]\nGET /jobs\nanswer: ⟦json2⟧\n[2]: id\tstate\n1\tdone\n2\tfailed\n⟦end⟧ in 3 ms\nbye"
    )
    assert search("failed", text)[1] == [text.split("\n")[0], "answer: ⟦json2⟧", "[2]: id\tstate", "2\tfailed"]
    assert search("bye", text)[1] == [text.split("\n")[0], "⟦end⟧ in 3 ms", "bye"]


def test_what_stands_in_an_envelope_is_searched_as_what_it_is() -> None:
    rows = "[json in {type: text, text: (json2)}]\n[2]: id\tstate\n1\tdone\n2\tfailed"
    assert search("failed", rows) == ("[1 of 2 rows matches]", [*rows.split("\n")[:2], "2\tfailed"])
    lines = '[json in {type: text, text: """}]\nkey:\n  one\n  two'
    assert search("one", lines) == ("[1 of 3 lines matches]", lines.split("\n"))


def test_lists_of_one_are_read_through() -> None:
    text = "[json]\n[0]:\n rows[0] [2]: a\n  x\n  y\n more[0][0]:\n  b: c\n  d: e\nlast[0]:\n f: g"
    assert search("y", text)[1] == ["[json]", "[0]:", " rows[0] [2]: a", "  y"]
    assert search("c", text)[1] == ["[json]", "[0]:", " more[0][0]:", "  b: c", "  d: e"]
    assert search("g", text)[1] == ["[json]", "last[0]:", " f: g"]


def test_several_values_below_a_row_belong_to_it() -> None:
    below = '(json)\t"""\t(json)\n x: 1\n """\nlow\n[2]: a\n"""\n (json)\n y: 2'
    text = f"[json]\n[3]: a\tb\tc\n1\t2\t3\n{below}\n4\t5\t6"
    for query in ("x=1", "low", "y: 2"):
        assert search(query, text)[1] == ["[json]", "[3]: a\tb\tc", *below.split("\n")]
    assert search("5", text)[1] == ["[json]", "[3]: a\tb\tc", "4\t5\t6"]


def test_lines_of_a_text_come_with_the_lines_around_them() -> None:
    lines = [f"{i:02} quiet" for i in range(30)]
    lines[3] = "03 error: disk"
    lines[5] = "05 error: net"
    lines[20] = "20 error: disk"
    first, shown = search("error", "\n".join(lines))
    assert first == "[3 of 30 lines match]"
    assert shown == [*lines[1:8], "--", *lines[18:23]]


def test_of_many_lines_only_those_that_match_are_shown() -> None:
    lines = [f"{i:03} {'error' if i % 3 else 'quiet'}" for i in range(90)]
    assert search("error", "\n".join(lines))[1] == [line for line in lines if "error" in line]


def test_a_condition_on_no_column_is_words() -> None:
    lines = ["ts=1 level=error msg=x", "ts=2 level=info msg=error", "ts=3 level=info msg=fine"]
    assert search("level=error", "\n".join(lines * 1))[1][0] == lines[0]
    assert search("http://x.y/z:80", "[json]\nlink: see http://x.y/z:80\nhttp: other")[1] == [
        "[json]",
        "link: see http://x.y/z:80",
    ]


def test_the_best_hundred_come_first_in_the_order_of_the_original() -> None:
    rows = [f"{i}\t{'gold' if i % 50 == 49 else 'iron'} ring" for i in range(1_000)]
    found = excerpt("[json]\n[1000]: id\tthing\n" + "\n".join(rows), "gold ring", "CALL")
    first, *shown = found.text[: found.stops[0]].rstrip("\n").split("\n")
    assert first == "[20 of 1000 rows match best, 980 in part]"
    assert shown[2:] == [row for row in rows if "gold" in row]
    assert [sum(end <= stop for end in found.ends) for stop in found.stops] == [20, 220, 620, 1_000]


# -- nothing that was left out is lost ----------------------------------------------------------------------------------

_FIRST = "Anna Bob Carla Dinesh Emeka Fatima Grace Hugo Ines Jonas Kirsten Liam Mei Nadia Omar Priya Quentin Rosa Sven Tara"
_LAST = "Abara Bell Castro Dubois Evans Fischer Garcia Haddad Ito Jensen Kim Lopez Moreau Novak Okafor Petrov Quinn Rossi"
_NOTE = "please leave at the back door or call when it rings twice"
FIRST, LAST, NOTE = _FIRST.split(), _LAST.split(), _NOTE.split()


def orders(chance: random.Random, count: int) -> list[dict[str, object]]:
    """Orders with ids, numbers, names, dates, prose, an object said again and again, and values that are rare."""
    people = [f"{first} {last}" for first in FIRST for last in LAST]
    chance.shuffle(people)
    shops = [{"id": 900 + i, "name": f"Shop {name}", "city": name} for i, name in enumerate(("Oslo", "Lima", "Pune", "New York"))]
    return [
        {
            "order_id": f"ORD-{10_000 + 7 * i}",
            "job": 3 * i + 1,
            "customer": people[i % len(people)],
            "email": f"{people[i % len(people)].lower().replace(' ', '.')}@example.com",
            "status": chance.choice(["shipped", "shipped", "pending", "delivered"]) if i % 97 else "refunded",
            "shop": shops[i % 4],
            "total": round(chance.uniform(5, 900), 2),
            "placed_at": f"2024-{1 + i % 12:02}-{1 + i % 28:02}T{i % 24:02}:{i % 60:02}:00Z",
            "note": " ".join(chance.choices(NOTE, k=7)),
        }
        for i in range(count)
    ]


def page(originals: Originals, ref: str, query: str) -> str:
    """The first answer to a query."""
    result = originals.answer(ToolCall("c", TOOL.name, json.dumps({"ref": ref, "query": query})))
    assert not result.is_error, result.text
    assert len(result.text.encode()) <= PAGE_BYTES
    return result.text


@pytest.mark.parametrize("wrapped", [False, True], ids=["an array", "in an envelope"])
@pytest.mark.parametrize("seed", range(2))
def test_every_row_that_was_left_out_is_found_by_one_natural_query(seed: int, wrapped: bool) -> None:
    chance = random.Random(seed)
    rows = orders(chance, 800)
    document = json.dumps({"ok": True, "count": len(rows), "data": {"orders": rows}} if wrapped else rows)
    found = crush(document.encode(), ref=b"r0")
    assert found is not None
    text, parts = found
    hidden = [row for row in rows if f"{row['order_id']}\t".encode() not in text]
    assert len(hidden) > 500
    originals = Originals(
        {"r0": document} | {f"r0-{n}": part.decode() for n, _, part in parts}, max_bytes=1 << 20, view=line_view
    )
    for row in chance.sample(hidden, 8):
        for query in (
            f"order {row['order_id']}",
            f"What is the status of {row['order_id']}?",
            f"order_id={row['order_id']}",
            f"status of job {row['job']}",
            f"job={row['job']}",
            f"customer {row['customer']}",
            f"customer: {row['customer']}",
            f"orders by {row['customer']} in {row['shop']['city']}",  # type: ignore[index]
            str(row["email"]),
            f"total={row['total']}",
            str(row["placed_at"]),
        ):
            for ref in ("r0-1", "r0"):
                assert re.search(rf"^ *{row['order_id']}\t", page(originals, ref, query), re.MULTILINE), (query, ref)


def test_all_rows_with_a_rare_value_are_found() -> None:
    rows = orders(random.Random(7), 1_200)
    document = json.dumps(rows)
    originals = Originals({"r0": document}, max_bytes=1 << 20, view=line_view)
    refunded = {row["order_id"] for row in rows if row["status"] == "refunded"}
    shown = page(originals, "r0", "status=refunded")
    assert shown.startswith(f"[{len(refunded)} of 1200 rows match]")
    assert {row["order_id"] for row in rows if f"{row['order_id']}\t" in shown} == refunded
    dear = {row["order_id"] for row in rows if float(str(row["total"])) > 890}
    shown = page(originals, "r0", "total > 890")
    assert {row["order_id"] for row in rows if f"{row['order_id']}\t" in shown} == dear


@pytest.mark.anyio
@pytest.mark.parametrize("dialect", sorted(PATHS))
async def test_through_the_middleware_the_model_gets_the_row_that_it_asks_for(dialect: str) -> None:
    rows = orders(random.Random(1), 600)
    output = json.dumps({"orders": rows})
    wanted = rows[411]
    marker = re.compile(r"<<ccr:([0-9a-f]{32}-[0-9]+) ")

    async def asks(body: bytes, send: object) -> None:
        (text,) = tool_texts(body)
        assert str(wanted["order_id"]) not in text
        call = ("own", TOOL.name, {"ref": marker.findall(text)[0], "query": f"customer of order {wanted['order_id']}"})
        await answer_json(call_answer(dialect, call))(body, send)  # type: ignore[arg-type]

    inner = Inner(asks, answer_json(text_answer(dialect, "done")))  # type: ignore[arg-type]
    await post(HeadroomMiddleware(inner, discover=False), PATHS[dialect], question_body(dialect, output))
    answer = tool_texts(inner.bodies[1])[-1]
    assert answer.startswith("[1 of ")
    assert f"{wanted['order_id']}\t" in answer
    assert str(wanted["customer"]) in answer
    assert len(answer) < 2_000


# -- any text -----------------------------------------------------------------------------------------------------------

_PIECES = """[3]: a⇥b|⎵[2]|{2}: (key)⇥x|k [2][]: a|k [2][2]:|k [2]=pre *|⎵x [1]: id⇥n|-⎵|-|key:|⎵key: v|⇥|a⇥b|\"\"\"|x⇥\"\"\"|x⇥(json)
k (json):|⟦json⟧|⟦end⟧|<<ccr:r-1 5 rows left out>>|o(id)⇥p|⎵⎵deep|a=1|[9]: o(id)⇥x=*y⇥z=q|[99999999]: a||⎵|"|[2]: o(id)"""
PIECES = st.sampled_from(_PIECES.replace("⇥", "\t").replace("⎵", " ").replace("\n", "|").split("|"))
TEXTS = st.builds(
    lambda head, lines: "\n".join([head, *lines]),
    st.sampled_from(["[json]", "[text]", "[jsonl; note]", "plain"]),
    st.lists(PIECES | st.text(max_size=12), max_size=30),
)


@given(TEXTS)
def test_every_line_belongs_to_one_unit(text: str) -> None:
    found = outline(text)
    assert sorted(set(found.starts)) == found.starts
    assert found.starts[:1] in ([], [found.head])
    assert len(found.starts) == len(found.roles) == len(found.scopes)
    assert all(0 <= scope < len(found.table) for scope in found.scopes)
    assert all(scope.parent < number for number, scope in enumerate(found.table))


@given(TEXTS, st.text(max_size=20) | PIECES)
def test_any_text_can_be_searched_for_anything(text: str, query: str) -> None:
    found = excerpt(text, query, "CALL")
    assert found.stops == sorted(found.stops)
    assert found.ends == sorted(found.ends)
    assert (found.ends[-1:] or [len(found.text)]) == [len(found.text)]
    lines = set(text.split("\n"))
    assert all(line in lines for line in found.text.split("\n")[1:] if line != "--")


@given(st.lists(st.text(max_size=12), min_size=1, max_size=10), st.data())
def test_what_stands_in_a_line_is_found_in_it(lines: list[str], data: st.DataObject) -> None:
    text = "\n".join(lines)
    line = data.draw(st.sampled_from([line for line in text.split("\n") if line.strip()] or ["x"]))
    start = data.draw(st.integers(0, len(line) - 1))
    query = line[start : data.draw(st.integers(start + 1, len(line)))].strip()
    if query and line in text.split("\n") and not text.startswith("["):
        assert line in excerpt(text, query, "CALL").text.split("\n")[1:]


@pytest.mark.parametrize(
    "text",
    [
        "[json]\n" + "[2]: a\tb\n" * 8_000,
        "[json]\n" + "k [1]: a\n" * 8_000,
        "[json]\n[8000]: a\tb\n" + 'x\t"""\n' * 8_000,
        "[json]\n" + "".join(" " * (i % 200) + "-\n" for i in range(8_000)),
        "[json]\n" + "".join(" " * (i % 60) + "k (json):\n" for i in range(8_000)),
        "[json]\n[2]: a\n" + "".join(" " * i + "(json)\n" for i in range(600)) * 5,
        "[text]\n" + "⟦json⟧\n" * 8_000,
        "[json]\nk [8000][]: a\n" + " [1]\n x\n" * 8_000,
        "e" * 100_000,
        "[json]\n[1]: a\n" + "e e " * 50_000,
        "[json]\n[8000]: " + "\t".join(f"c{i}=e" for i in range(5_000)) + "\tz\n" + "e\n" * 8_000,
        "[json]\n[8000]: "
        + "\t".join(f"c{i}(n)" for i in range(256))
        + "\n"
        + "".join(f"c{i} [1]: n\tb\ne\t3\n" for i in range(256))
        + "e\t2\n" * 8_000,
        "[json]\n[200]: " + "\t".join(f"c{i}" for i in range(2_000)) + "\n" + ("\t".join(["e"] * 2_000) + "\n") * 200,
    ],
    ids=range(13),
)
def test_texts_made_to_be_slow_are_searched_all_the_same(text: str) -> None:
    for query in ("e", "c1=e c2=e", "a b c d e f g h i j k l m n o p q r s t u v w x y z", "a>1", "(key)=e"):
        excerpt(text, query, "CALL")


def test_roles_are_told_apart() -> None:
    found = outline(ALL_FORMS)
    assert found.roles.count(Role.SAID) == 3
    assert found.roles.count(Role.ENTRY) == 26
