"""Lines and records that differ in columns only stand below a head with holes, and come back byte for byte."""

import json
import random

import pytest
from hypothesis import HealthCheck, given, settings

from headroom_asgi._crush import crush, estimate, expand
from headroom_asgi.errors import ExpandError
from tests.crush_cases import crushed, tables_in_text
from tests.crush_reference import FILLS, LINE_ENDS, STARTS, WIDTHS, decode, head

PODS = [
    ("default", "web-5d78c9869d-4xk2q", "Running", "5d"),
    ("production", "inventory-api-85f7799b66-gn8gs", "Running", "41d"),
    ("kube-system", "coredns-5d78c9869d-8jbfz", "Pending", "8h"),
    ("kube-system", "kube-proxy-wfxgg", "Running", "120d"),
] * 3
PEOPLE = [(1000, "Alice Smith", "15.90"), (1037, "Bob", "8.00"), (1074, "Carol White", "135.61"), (1111, "", "2.59")] * 4


def grouped(first: str, *lines: str) -> str:
    return "\n".join([first, *lines])


def test_columns_keep_their_width_in_the_head_and_constant_ones_stand_there_alone() -> None:
    title = "NAMESPACE     NAME                             READY   STATUS    RESTARTS   AGE"
    rows = [f"{space:<13} {name:<32} 1/1     {status}   0          {age}" for space, name, status, age in PODS]
    cells = [f" {space}\t{name}\t{status}\t{age}" for space, name, status, age in PODS]
    shape = f"*{'_' * 12} *{'_' * 31} 1/1     *   0          *"
    assert crushed("\n".join([title, *rows])) == grouped(head("text", FILLS, WIDTHS), title, shape, *cells)


@pytest.mark.parametrize("bar", ["|", "│"])
def test_a_table_between_bars_loses_its_padding_and_keeps_empty_cells(bar: str) -> None:
    rows = [f"{bar} {number} {bar} {name:<11} {bar} {amount:>8} {bar} paid {bar}" for number, name, amount in PEOPLE]
    cells = [f" {number}\t{name}\t{amount}" for number, name, amount in PEOPLE]
    shape = f"{bar} * {bar} *{'_' * 10} {bar} {'_' * 7}* {bar} paid {bar}"
    assert crushed("\n".join(rows)) == grouped(head("text", FILLS, WIDTHS), shape, *cells)


def test_constant_columns_of_csv_are_said_once_and_quoted_cells_stay_whole() -> None:
    rows = [f'{number},"Smith, {name}",2025-11-14,US dollars,active,{amount}' for number, name, amount in PEOPLE]
    cells = [f' {number},"Smith, {name}"\t{amount}' for number, name, amount in PEOPLE]
    text = "\r\n".join(["id,name,date,currency,state,amount", *rows])
    shape = "*,*,2025-11-14,US dollars,active,*"
    assert crushed(text.replace("\r", "")) == grouped(head("text", FILLS), "id,name,date,currency,state,amount", shape, *cells)
    assert f"\n{shape}\r\n{cells[0]}\n" in crushed(text + "\r\n")


def test_what_a_logger_puts_around_its_messages_is_said_once_and_values_stand_unbroken() -> None:
    events = ["GET /items/17 took 3.5 s", "worker 9 is gone", "cache: 1,024 entries", "took 12,5 ms, twice"] * 4
    moments = [f"19:30:{number:02},{number * 37 % 1000:03}" for number in range(16)]
    text = "\n".join(f"2025-11-14 {moment} - acme.web - INFO - {event}" for moment, event in zip(moments, events, strict=True))
    rows = [f" {moment}\t{event}" for moment, event in zip(moments, events, strict=True)]
    assert crushed(text) == grouped(head("text", FILLS), "2025-11-14 * - acme.web - INFO - *", *rows)


def test_the_name_of_a_value_is_never_a_cell() -> None:
    text = "\n".join(
        f"time=19:30:{n} level=info msg=ready {'ab'[n % 2]}{n}=long-value-{n} component=scheduler" for n in range(10, 30)
    )
    short = crushed(text)
    assert all(f"\t{'ab'[n % 2]}{n}=long-value-{n}" in short for n in range(10, 30))


def test_an_address_is_never_cut_at_what_it_asks_for() -> None:
    addresses = [f"https://tv.example.com/watch?list={number * 37}&v=x{number}" for number in range(20)]
    text = "".join(f"Title: Part {n} of it\nLink: {address}\nSitelinks: No sitelinks\n" for n, address in enumerate(addresses))
    short = crushed(text)
    assert LINE_ENDS in short.split("\n")[0]
    assert all(address in short for address in addresses)


def test_what_an_eighth_of_each_line_says_is_said_once() -> None:
    keys = ["abort", "accept-line", "backward-char", "backward-delete-char", "beginning-of-history", "complete"] * 3
    text = "\n".join(f'{key} can be found on "\\C-{key[0]}", "\\M-O{n}", "\\M-[{n}A".' for n, key in enumerate(keys))
    assert FILLS in crushed(text).split("\n")[0]


def test_a_template_that_saves_little_makes_room_for_a_better_one() -> None:
    rng = random.Random(1)
    words = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu"]

    def said() -> str:
        word = rng.choice
        return f"{word(words)} {word(words)} {rng.randrange(9999)} {word(words)} {rng.randrange(999)} {word(words)}"

    weak = [f"unit {n * 37 % 100} said: {said()} at last" for n in range(24)]
    strong = [f"unit {n * 37 % 100} said: idle since the reboot of {words[n % 12]} {n * 7} at last" for n in range(40)]
    lines = crushed("\n".join(weak + strong)).split("\n")
    assert "unit * said: * at last" in lines
    assert "unit * said: idle since the reboot of * at last" in lines


def test_records_of_several_lines_are_one_row_each() -> None:
    people = [(number, name or "nobody", amount) for number, name, amount in PEOPLE]
    text = (
        "users:\n"
        + "".join(f"- id: {n}\n  name: {name}\n  role: admin\n  amount: {amount}\n" for n, name, amount in people)
        + "end"
    )
    rows = [f" {number}\t{name}\t{amount}" for number, name, amount in people]
    shape = "- id: *\\n  name: *\\n  role: admin\\n  amount: *"
    assert crushed(text) == grouped(head("text", FILLS, LINE_ENDS), "users:", shape, *rows, "end")
    indented = crushed("".join(f"  <user>\n    <id>{n}</id>\n    <name>{name}</name>\n  </user>\n" for n, name, _ in people))
    assert indented.split("\n")[:3] == [
        head("text", FILLS, WIDTHS, LINE_ENDS),
        "__<user>\\n    <id>*</id>\\n    <name>*</name>\\n  </user>",
        " 1000\tAlice Smith",
    ]


def test_a_test_run_shows_names_only() -> None:
    text = "\n".join(f"test parser::tests::case_{number} ... ok" for number in range(30))
    rows = [f" parser::tests::case_{number}" for number in range(30)]
    assert crushed(text) == grouped(head("text", FILLS), "test * ... ok", *rows)


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(f"src/models/user.rs:{number}:fn case_{number}() {{}} // ok" for number in range(40, 60)),
        "\n".join(f"{number}:  let case_{number} = first(number, of, all); // ok" for number in range(40, 60)),
        "\n".join(f"from typing import Name{number}" for number in range(20)),
        "\n".join(f"value_{number} = first(number, of, all, {number});" for number in range(20)),
        "\n".join(f'  "name_{number}": "a value that is the same", ' for number in range(20)),
        "\n".join(f"The {word} has been here for a while" for word in ("house", "tree")),
    ],
)
def test_hits_code_and_sentences_are_not_taken_apart(text: str) -> None:
    assert FILLS not in crushed(text).split("\n")[0]


def test_what_a_head_could_not_say_stays_where_it_is() -> None:
    for sign in ("*", "a\\n", "_"):
        text = "\n".join(f"[main] {sign} job {number} of all jobs done {sign}" for number in range(20))
        crushed(text)
        crushed("\n".join(f"{number} {sign}{number}{sign} {number} of all jobs in this very long queue" for number in range(20)))


def test_a_head_that_is_indented_does_not_start_with_an_underscore() -> None:
    text = "\n".join(f"    _ask(query, of, everybody) took {number} seconds, and all was well" for number in range(20))
    assert WIDTHS not in crushed(text)
    assert WIDTHS in crushed(text.replace("_ask", "ask"))


def test_a_row_with_too_few_cells_is_refused() -> None:
    text = f"{head('text', FILLS)}\na * b *\n one\n"
    with pytest.raises(ExpandError, match="too few cells"):
        expand(text.encode())
    with pytest.raises(ValueError, match="too few cells"):
        decode(text)


@pytest.mark.parametrize(
    ("notes", "body", "whole"),
    [
        ((FILLS,), "a * b *\n 1\t2\t3\n x\ty", "a 1 b 2\t3\na x b y"),
        ((FILLS,), "*,*;*|*\n 1,2;3\t4", "1,2;3|4"),
        ((FILLS,), "a_* *_b\n 1\t2", "a_1 2_b"),
        ((FILLS, WIDTHS), "a __*|*__|\n 1\t2\n 1234\té\n \t", "a   1|2  |\na 1234|é  |\na    |   |"),
        ((STARTS, WIDTHS), "__- *\n 1\n 2", "  - 1\n  - 2"),
        ((STARTS, WIDTHS), "__*\n 1\n 22", "  1\n 22"),
        ((FILLS, WIDTHS), "*__,*|*,*__|\n a\tb\tc,d", "a  ,b|c,d__|"),
        ((FILLS, LINE_ENDS), "a: *\\n\\b: *\n 1\t2", "a: 1\n\\b: 2"),
        ((FILLS,), "a: *\\nb: *\n 1\t2", "a: 1\\nb: 2"),
        ((LINE_ENDS,), "*\n  x*\n", " x*\n"),
    ],
)
def test_heads_are_read_as_the_notes_say(notes: tuple[str, ...], body: str, whole: str) -> None:
    text = f"{head('text', *notes)}\n{body}"
    assert expand(text.encode()).decode() == decode(text) == whole


def test_a_text_in_an_envelope_says_how_its_columns_are_read() -> None:
    text = "\n".join(f"Checking package-{number}: 17 items need to be synced now" for number in range(20))
    found = crush(json.dumps({"type": "text", "text": text}).encode())
    assert found is not None
    first, shape, row, *_ = found[0].decode().split("\n")
    assert first == head('json in {type: text, text: """}', FILLS)
    assert (shape, row) == ("Checking * 17 items need to be synced now", " package-0:")
    assert json.loads(expand(found[0]))["text"] == text


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(tables_in_text())
def test_any_text_comes_back(text: str) -> None:
    short = crushed(text)
    assert short == text or estimate(short.encode()) < estimate(text.encode())


@pytest.mark.parametrize("seed", range(40))
def test_lines_that_nearly_are_of_one_template_come_back(seed: int) -> None:
    rng = random.Random(seed)
    lines = [
        f"2025-11-14 10:{n % 60:02}:11,{n:03} INFO  [worker-{n % 7}] acme.web.Handler : request {n} done" for n in range(120)
    ]
    for _ in range(rng.randint(1, 60)):
        at = rng.randrange(len(lines))
        cut = rng.randrange(len(lines[at]) + 1)
        lines[at] = (
            lines[at][:cut] + rng.choice(["", " ", "  ", "\t", "*", "_", "\\n", "é", ",", "|", "\r", "x" * 600]) + lines[at][cut:]
        )
    crushed("\n".join(lines))
