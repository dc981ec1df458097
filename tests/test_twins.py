"""Columns that say what another one says: one of them goes, and the marker names the other."""

import json
from typing import Any

import pytest

from headroom_asgi.compressors import Markers, Request
from headroom_asgi.compressors.fields import FieldOmitter


def person(number: int) -> dict[str, str]:
    return {"name": f"Ann Smith the {number}th", "date": f"2025-09-{number:02}T08:05:00Z"}


COMMITS: list[dict[str, Any]] = [
    {"sha": f"{n:040x}", "commit": {"author": person(n), "committer": person(n), "message": f"Work on part {n}"}}
    for n in range(10, 28)
]
VIDEOS = [
    {
        "id": f"video{n}",
        "title": f"The {n} best boots of the year",
        "kind": "video",
        "localized": {"title": f"The {n} best boots of the year", "length": n},
    }
    for n in range(40)
]


def left_out(value: Any, question: str = "") -> tuple[str, Any]:
    """The marker, and what stays."""
    markers = Markers("ref")
    text = FieldOmitter().omit(json.dumps(value), Request(question, "ref"), markers)
    if text is None:
        return "", value
    marker, _, rest = text.partition("\n")
    return marker, json.loads(rest)


def test_a_map_that_another_one_equals_in_all_records_goes() -> None:
    marker, rest = left_out(COMMITS)
    assert marker == "<<ccr:ref-a 18 members left out: commit.committer (the same as commit.author)>>"
    assert [record["commit"] for record in rest] == [
        {"author": record["commit"]["author"], "message": record["commit"]["message"]} for record in COMMITS
    ]


def test_a_string_in_a_map_beside_goes() -> None:
    marker, rest = left_out(VIDEOS)
    assert marker == "<<ccr:ref-a 40 members left out: localized.title (the same as title)>>"
    assert rest[3]["localized"] == {"length": 3}
    assert rest[3]["title"] == "The 3 best boots of the year"


def test_one_record_that_differs_keeps_them_all() -> None:
    other = json.loads(json.dumps(COMMITS))
    other[7]["commit"]["committer"]["date"] = "2025-10-01T00:00:00Z"
    marker, rest = left_out(other)
    assert "date" not in marker
    assert rest[7]["commit"]["committer"]["date"] == "2025-10-01T00:00:00Z"


def test_what_the_question_is_about_stays() -> None:
    assert left_out(COMMITS, "Who is the committer?") == ("", COMMITS)


@pytest.mark.parametrize(
    "records",
    [
        [{"a": {"x": n}, "low": f"{n}", "map": {"high": f"{n}"}} for n in range(100)],
        [{"id": n, "from": "the same city for all", "map": {"to": "the same city for all"}} for n in range(60)],
        [{"one": f"a value of some length {n}", "two": f"a value of some length {n}"} for n in range(60)],
        {
            key: [{"name": f"a value of some length {n}", "at": at + n} for n in range(60)]
            for at, key in enumerate(("here", "there"))
        },
    ],
    ids=["short", "constant", "neighbors", "other list"],
)
def test_what_costs_little_or_stands_in_another_list_stays(records: Any) -> None:
    assert left_out(records) == ("", records)


def test_one_of_the_two_always_stays() -> None:
    """The first one stands in a map that goes itself."""
    address = "https://example.com/things/{}/and/more"
    records = [
        {"id": n, "name": f"n{n}", "_links": {"self": address.format(n)}, "see": {"at": address.format(n), "no": n}}
        for n in range(40)
    ]
    marker, rest = left_out(records)
    assert "_links" in marker
    assert all(address.format(n) in json.dumps(rest[n]) for n in range(40))


def test_maps_that_other_records_have_are_no_twins() -> None:
    """The same values in the same order, but never in the same record."""
    names = [f"Person Number {n} of Springfield" for n in range(60)]
    records: list[dict[str, Any]] = [{"id": n, "title": f"task {n}"} for n in range(90)]
    for key, first in (("author", 0), ("assignee", 1)):
        having = [record for record in records if (record["id"] - first) % 3 < 2]
        for record, name in zip(having, names, strict=True):
            record[key] = {"login": name, key[:2]: record["id"]}
    assert left_out(records) == ("", records)


def test_only_as_many_go_as_the_marker_names() -> None:
    def values(record: int) -> dict[str, str]:
        return {f"field_{n}": f"value number {record} of {n}" for n in range(14)}

    records = [{"id": n, "one": values(n), "two": {"n": n} | values(n)} for n in range(30)]
    marker, rest = left_out(records)
    gone = set(records[3]["two"]) - set(rest[3]["two"])  # type: ignore[call-overload]
    assert gone
    assert len(gone) < 14
    assert all(f"two.{key} (the same as one.{key})" in marker for key in gone)
    assert rest[3]["one"] == records[3]["one"]
