"""A row holds the cells of one record: records begin where those of the text do, whatever stands before the first regular one."""

import re
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headroom_asgi._crush import crush, expand

NAMES = ["Ann Lee", "Bob Ray", "Eve Fox", "Ian Doe", "Kim Poe"] * 4


def form_of(text: str) -> str:
    found = crush(text.encode())
    short = text.encode() if found is None else found[0]
    assert expand(short).decode() == text if found is not None else True
    return short.decode()


def yaml(number: int, name: str, more: str = "") -> str:
    return f"- id: {number}\n{more}  name: {name}\n  role: admin\n  country: Norway\n"


def paragraph(number: int, name: str, more: str = "") -> str:
    return f"Title: {name}\n{more}Link: https://example.com/{number}\nSource: encyclopedia of names\nRating: none yet\n\n"


def report(number: int, name: str, more: str = "") -> str:
    return f"{1900 + number}:\n{more}  Best song: {name}\n  Weeks on the list: 14 weeks\n  Place: first\n\n"


def flat(number: int, name: str, more: str = "") -> str:
    return f"name={name}\n{more}size={number}\nunit=megabytes\nstate=active\n"


@pytest.mark.parametrize(
    ("record", "row"),
    [
        (yaml, " 7\tEve Fox\n"),
        (paragraph, " Eve Fox\thttps://example.com/7\n"),
        (report, " 1907:\tEve Fox\n"),
        (flat, " Eve Fox\t7\n"),
    ],
    ids=["yaml", "paragraphs", "short headings", "flat"],
)
@pytest.mark.parametrize("before", ["", "Result:\n", "  country: Norway\n"], ids=["nothing", "a heading", "the end of another"])
@pytest.mark.parametrize("more", ["", "  vip: true\n", "vip=true\n"], ids=["regular", "indented more", "more"])
def test_rows_are_records_where_the_first_one_is_odd(record: Callable[..., str], row: str, before: str, more: str) -> None:
    assert row in form_of(before + record(0, "Zoe Zed", more) + "".join(record(number, NAMES[number]) for number in range(5, 20)))


def test_lines_whose_records_cannot_begin_where_they_do_stay() -> None:
    warnings = [
        f"/srv/app/job.py:{number * 17}: UserWarning: a connection of another kind is not tested\n  read(q)\n"
        for number in range(9)
    ]
    assert "\\n" not in form_of("".join(warnings))


values = st.sampled_from(["red", "pale green", "blue", "12.5", "none at all"])


@given(
    fields=st.lists(values, min_size=1, max_size=4),
    shape=st.sampled_from(["yaml", "blank", "flat", "tags"]),
    odd=st.dictionaries(st.integers(0, 8), st.integers(0, 5), max_size=3),
    before=st.sampled_from(["", "Results\n", "\n", "    deep: 1\n"]),
    count=st.integers(4, 20),
)
def test_no_row_holds_values_of_two_records(fields: list[str], shape: str, odd: dict[int, int], before: str, count: int) -> None:
    def spelled(number: int, extra: int) -> str:
        lines = [f"field{place}: w{number}x {value}" for place, value in enumerate(fields)] + [f"last: w{number}x"]
        if extra < len(lines):
            lines.insert(extra + 1, "extra: yes")
        if shape == "yaml":
            return "".join(("  " if place else "- ") + line + "\n" for place, line in enumerate(lines))
        if shape == "tags":
            return "<row>\n" + "".join(f"<{line.split(':')[0]}>{line}</a>\n" for line in lines) + "</row>\n"
        return "\n".join(lines) + ("\n\n" if shape == "blank" else "\n")

    form = form_of(before + "".join(spelled(number, odd.get(number, 9)) for number in range(count)))
    for row in form.split("\n"):
        assert len(set(re.findall(r"w(\d+)x", row))) <= 1, form


def packages() -> Iterator[str]:
    yield "Architecture: amd64\nVersion: 9.9.9-9\n\n"  # the end of the one before
    for number, name in enumerate(NAMES):
        yield f"Package: lib{name[:3]}\nArchitecture: amd64\nVersion: {number}.{number * 3 % 7}-1\n\n"


def messages() -> Iterator[str]:
    for number, name in enumerate(NAMES):
        pinned = "(pinned by the team)\n" * (number % 6 == 0)
        yield f"## {name} wants a refund\n{pinned}\nBody of the message: order {1000 + number} did not arrive\n\n"


def ruled() -> Iterator[str]:
    yield "Owner: nobody\n-----\n"
    for number, name in enumerate(NAMES):
        yield f"Ticket: {1000 + number}\nTitle: {name} has no invoice\nOwner: {NAMES[number * 3 % 5]}\n-----\n"


def volumes() -> Iterator[str]:
    for number in range(20):
        yield f"{'abcdefghijklmnopqrstu'[number : number + 2]} setting number {number} of the {NAMES[number]} host\n"
    yield "Name: first {\nSize: 10 kB\nOwner: root, of all\n"
    for number, name in enumerate(NAMES):
        yield f"Name: volume{number} {name}\nSize: {number * 7 + 3} kB\nOwner: {name}, of group {number}\n"


@pytest.mark.parametrize("texts", [packages, messages, ruled, volumes])
def test_no_head_holds_the_end_of_a_record_and_the_beginning_of_the_next(texts: Callable[[], Iterator[str]]) -> None:
    ends = {packages: "Version", messages: "Body", ruled: "Owner", volumes: "Owner"}[texts]
    begins = {packages: "Package", messages: "##", ruled: "Ticket", volumes: "Name"}[texts]
    heads = [line for line in form_of("".join(texts())).split("\n") if "\\n" in line and "*" in line]
    for head in heads:
        parts = [part.removeprefix(" ") for part in head.split("\\n")]
        order = [mark for part in parts for mark in (begins, ends) if part.startswith(mark)]
        assert order != [ends, begins], head
