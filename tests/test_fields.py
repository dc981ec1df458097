"""Members that machines need and readers don't: which columns go, what stays, and how what went comes back."""

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headroom_asgi import ExpandError, compress, expand, retrieve
from headroom_asgi.compressors import Markers, Request
from headroom_asgi.compressors.fields import FieldOmitter
from headroom_asgi.config import CompressorConfig
from headroom_asgi.store import MemoryStore

API = "https://api.example.com/repos/acme/shop"
TOKENS = [f"Zm9v{i}YmFyMTIz{i}cXV4OTg3NjU0{i}MzIxaGVsbG8" for i in range(40)]


def issue(number: int, **more: Any) -> dict[str, Any]:
    return {
        "id": 9000 + number,
        "node_id": TOKENS[number],
        "number": number,
        "title": f"Checkout fails for basket {number}",
        "url": f"{API}/issues/{number}",
        "html_url": f"https://example.com/acme/shop/issues/{number}",
        "comments_url": f"{API}/issues/{number}/comments",
        "events_url": f"{API}/issues/{number}/events",
        "labels_url": f"{API}/issues/{number}/labels{{/name}}",
        "user": {"login": f"user{number}", "avatar_url": f"https://avatars.example.com/u/{number}?v=4", "site_admin": False},
        "permissions": {"admin": False, "push": number % 2 == 0, "pull": True},
        "assignee_note": None,
        "lock_reason": "",
        "draft": False,
        "state": "open",
        "comments": number * 3,
        **more,
    }


ISSUES = [issue(number) for number in range(1, 13)]


def left_out(value: Any, question: str = "", arguments: str = "", indent: int | None = None) -> tuple[Any, str, Any] | None:
    """What stays, the marker, and what was left out; None where nothing was."""
    markers = Markers("ref")
    text = FieldOmitter().omit(json.dumps(value, indent=indent), Request(question, "ref", arguments), markers)
    if text is None:
        assert not markers.omissions
        return None
    marker, _, rest = text.partition("\n")
    (omission,) = markers.omissions
    return json.loads(rest), marker, json.loads(omission.text)


def leaves(value: Any, key: str = "") -> Counter[tuple[str, str]]:
    """Every scalar and empty container by the key that it stands under."""
    if isinstance(value, dict) and value:
        return sum((leaves(inner, name) for name, inner in value.items()), Counter())
    if isinstance(value, list) and value:
        return sum((leaves(inner, key) for inner in value), Counter())
    return Counter([(key, json.dumps(value))])


def is_part(part: Any, whole: Any) -> bool:
    """The same value without some members of its objects, in the same order."""
    if isinstance(whole, dict) and isinstance(part, dict):
        keys = iter(whole)
        return all(key in keys for key in part) and all(is_part(part[key], whole[key]) for key in part)
    if isinstance(whole, list) and isinstance(part, list):
        return len(part) == len(whole) and all(map(is_part, part, whole))
    return type(part) is type(whole) and part == whole


def test_links_into_an_api_opaque_ids_flags_and_what_is_empty_go() -> None:
    found = left_out(ISSUES)
    assert found is not None
    kept, marker, _ = found
    assert list(kept[0]) == ["id", "number", "title", "html_url", "user", "state", "comments"]
    assert kept[4] == {key: ISSUES[4][key] for key in kept[4] if key != "user"} | {"user": {"login": "user5"}}
    assert marker.startswith("<<ccr:ref-a ")
    assert "node_id" in marker
    assert "4 false, null or empty in all" in marker


@pytest.mark.parametrize(
    ("count", "names"),
    [(3, "a_icon, b_icon, c_icon"), (4, "a_icon, b_icon, c_icon, d_icon"), (6, "a_icon, b_icon, c_icon, 3 more")],
)
def test_a_marker_names_three_columns_and_counts_the_others(count: int, names: str) -> None:
    icons = {f"{letter}_icon": "https://img.example.com/icons/{}.png" for letter in "abcdef"[:count]}
    found = left_out([{"id": n, "name": f"n{n}"} | {key: value.format(n) for key, value in icons.items()} for n in range(20)])
    assert found is not None
    assert found[1].endswith(f" members left out: {names}>>")


def test_what_went_is_named_by_its_record() -> None:
    found = left_out(ISSUES)
    assert found is not None
    lost = found[2]
    assert [record["id"] for record in lost] == [record["id"] for record in ISSUES]
    assert lost[6]["node_id"] == ISSUES[6]["node_id"]
    assert lost[6]["permissions"] == ISSUES[6]["permissions"]
    assert lost[6]["user"]["avatar_url"] == ISSUES[6]["user"]["avatar_url"]


def test_a_column_goes_whole_or_stays_whole() -> None:
    mixed = [issue(number, draft=number == 7) for number in range(1, 13)]
    found = left_out(mixed)
    assert found is not None
    assert [record["draft"] for record in found[0]] == [record["draft"] for record in mixed]


def test_a_column_that_says_something_in_one_record_stays() -> None:
    mixed = [
        issue(number, events_url="none: this issue is private" if number == 7 else f"{API}/{number}") for number in range(1, 13)
    ]
    found = left_out(mixed)
    assert found is not None
    assert [record["events_url"] for record in found[0]] == [record["events_url"] for record in mixed]


@pytest.mark.parametrize(
    ("question", "stays"),
    [
        ("Which issues are a draft?", ["draft"]),
        ("Show me the events of issue 3", ["events_url"]),
        ("What permissions do I have?", ["permissions"]),
        ("Give me all links of issue 4", ["comments_url", "labels_url", "url"]),
    ],
)
def test_what_the_question_names_stays(question: str, stays: list[str]) -> None:
    before, after = left_out(ISSUES), left_out(ISSUES, question)
    assert before is not None
    assert after is not None
    for key in stays:
        assert key not in before[0][0]
        assert [record[key] for record in after[0]] == [record[key] for record in ISSUES]


@pytest.mark.parametrize(
    ("key", "question"),
    [
        ("node_id", "What is the node id of issue 3?"),
        ("managedFields", "Which manager changed issue 3, and when?"),
        ("kubectl.kubernetes.io/last-applied-configuration", "What was applied to issue 3?"),
    ],
)
def test_a_token_or_a_note_that_the_question_names_stays(key: str, question: str) -> None:
    records = [issue(number, **{key: f"I_kwDOAHz1OX{number}"}) for number in range(1, 10)]
    before, after = left_out(records), left_out(records, question)
    assert before is not None
    assert after is not None
    assert key not in before[0][0]
    assert [record[key] for record in after[0]] == [record[key] for record in records]


def test_what_the_arguments_name_stays() -> None:
    found = left_out(ISSUES, arguments='{"include": ["permissions"]}')
    assert found is not None
    assert "permissions" in found[0][0]


def test_what_a_later_call_is_made_with_stays() -> None:
    used = {
        "next_page_url": f"{API}/issues?page=2",
        "download_url": f"{API}/issues/1/zip",
        "upload_token": TOKENS[3] * 8,
        "sha": "9fceb02d0ae598e95dc970b74767f19372d61af8",
    }
    found = left_out([issue(number, **used) for number in range(1, 13)])
    assert found is not None
    assert all(used.items() <= record.items() for record in found[0])


def test_the_only_id_and_the_only_address_stay() -> None:
    words = ["shipping", "billing", "packing", "tax", "gift", "stock", "return", "sales", "order", "basket", "coupon", "label"]
    nothing = {f"{word}_{what}_of_the_item": None for word in words for what in ("setting", "option")}
    records = [{"uuid": TOKENS[i], "url": f"{API}/items/{i}", "size": i, **nothing} for i in range(40)]
    found = left_out(records)
    assert found is not None
    assert found[0] == [{key: record[key] for key in ("uuid", "url", "size")} for record in records]


def test_ids_of_graphql_go_beside_the_record_s_own_address_and_stay_without_one() -> None:
    def comment(number: int, **more: Any) -> dict[str, Any]:
        return {"id": f"IC_kwDOQNPHMM7WIJ{number}t", "body": f"Comment {number}", **more}

    found = left_out([comment(number, url=f"https://git.example.com/pull/8#c-{number}") for number in range(10, 40)])
    assert found is not None
    assert list(found[0][0]) == ["body", "url"]
    pages = [comment(number, url=f"https://git.example.com/pull/8#c-{number}") for number in range(10, 40)]
    for question in ("Pin comment 3. You need its id.", "Resolve all, with a GraphQL mutation."):
        assert left_out(pages, question=question) is None
    assert found[2][3]["id"] == "IC_kwDOQNPHMM7WIJ13t"
    assert left_out([comment(number) for number in range(10, 40)]) is None
    plain = [{"id": f"item-{number}-of-the-list", "url": f"https://git.example.com/{number}"} for number in range(10, 40)]
    assert left_out(plain) is None


def test_an_id_that_something_refers_to_stays() -> None:
    found = left_out({"items": [issue(n, uuid=TOKENS[n + 13]) for n in range(1, 13)], "root": TOKENS[14]})
    assert found is not None
    assert "uuid" in found[0]["items"][0]


def test_words_of_a_key_count_in_any_case() -> None:
    camel = [
        {
            "id": n,
            "name": f"record {n}",
            "avatarUrl": f"https://cdn.example.com/avatars/{n}.png?s=64",
            "nextPageUrl": f"{API}/{n}",
        }
        for n in range(12)
    ]
    found = left_out(camel)
    assert found is not None
    assert list(found[0][0]) == ["id", "name", "nextPageUrl"]


def test_answers_that_something_is_not_the_case_stay() -> None:
    found = left_out([issue(number, error=None, merge_conflict=False, is_valid=False) for number in range(1, 13)])
    assert found is not None
    assert all({"error", "merge_conflict", "is_valid"} <= record.keys() for record in found[0])


def test_empty_members_of_a_record_that_was_asked_for_stay() -> None:
    record = issue(5) | {f"{word}_at": None for word in ("closed", "merged", "locked", "answered", "reopened", "pinned")}
    found = left_out(record)
    assert found is not None
    assert found[0]["closed_at"] is None
    assert found[0]["draft"] is False
    assert "labels_url" not in found[0]


def test_a_little_noise_is_not_worth_a_marker() -> None:
    assert left_out([{"id": i, "name": f"a name that is long enough for number {i}", "draft": False} for i in range(30)]) is None


def test_records_of_nothing_but_noise_stay() -> None:
    assert left_out([{f"member_number_{j}": None for j in range(30)} for _ in range(30)]) is None


def test_pretty_printed_json_stays_pretty_printed() -> None:
    markers = Markers("ref")
    text = FieldOmitter().omit(json.dumps(ISSUES, indent=2), Request("", "ref"), markers)
    assert text is not None
    rest = text.partition("\n")[2]
    assert rest == json.dumps(json.loads(rest), indent=2)


def test_the_marker_stands_before_the_json_of_an_envelope_and_what_stays_reads_back() -> None:
    inner = json.dumps(ISSUES, indent=2)
    content = json.dumps({"type": "text", "text": inner, "annotations": None})
    messages = [
        {"role": "user", "content": "What is open?"},
        {
            "role": "assistant",
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "issues", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": content},
    ]
    result = compress(messages, model="gpt-4o", store=MemoryStore())
    text = result.messages[2]["content"]
    head, _, rest = text.partition("\n")
    assert head.startswith("<<ccr:")
    assert rest.startswith("[json in mcp text (json2)]")
    found = left_out(ISSUES, "What is open?")
    assert found is not None
    assert json.loads(json.loads(expand(rest))["text"]) == found[0]
    with pytest.raises(ExpandError):
        expand(text)


@pytest.mark.parametrize("query", ["node_id of id 9007", "id=9007", "permissions number 9007"])
def test_what_was_left_out_is_found_by_a_natural_query(query: str) -> None:
    store = MemoryStore()
    messages = [
        {"role": "user", "content": "What is open?"},
        {
            "role": "assistant",
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "issues", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": json.dumps(ISSUES)},
    ]
    result = compress(messages, model="gpt-4o", store=store)
    part = next(ref for ref in result.refs if ref.endswith("-a"))
    answer = retrieve(part, store=store, query=query)
    assert ISSUES[6]["node_id"] in answer
    assert ISSUES[8]["node_id"] not in answer


@pytest.mark.parametrize("switch", [CompressorConfig(enabled=False), CompressorConfig(except_tools=["issues"])])
def test_it_can_be_switched_off(switch: CompressorConfig) -> None:
    messages = [
        {"role": "user", "content": "What is open?"},
        {
            "role": "assistant",
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "issues", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": json.dumps(ISSUES)},
    ]
    result = compress(messages, model="gpt-4o", store=MemoryStore(), fields=switch)
    assert result.transforms_applied
    assert "fields:members" not in "".join(result.transforms_applied)


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.sampled_from(
        [
            "",
            "open",
            "a b",
            "x" * 30,
            *TOKENS[:3],
            f"{API}/a",
            f"{API}/a/b",
            "https://example.com/i/1",
            "data:image/png;base64,AA",
        ]
    ),
)
KEY_WORDS = """
    id name url html_url avatar_url hooks_url node_id uuid etag permissions _links href draft state error next secret thumbnail
    body a.b ключ items avatarUrl
"""
KEYS = st.sampled_from(["", *KEY_WORDS.split()])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=12,
)
RECORDS = st.lists(st.dictionaries(KEYS, VALUES, max_size=10), min_size=1, max_size=8)


@settings(max_examples=150)
@given(records=RECORDS, indent=st.sampled_from([None, 0, 1, 2]), wrap=st.booleans())
def test_what_stays_is_part_of_the_value_and_the_rest_is_in_the_omission(records: Any, indent: int | None, wrap: bool) -> None:
    # Long keys make any noise worth a marker.
    padded = [
        {(f"{key}_{'long ' * 40}" if key == "draft" else key): value for key, value in record.items()} for record in records
    ]
    value = {"count": 1, "items": padded} if wrap else padded
    found = left_out(value, indent=indent)
    if found is None:
        return
    kept, _, lost = found
    assert is_part(kept, value)
    missing = leaves(value) - leaves(kept)
    # An object that lost all its members is a leaf of what stays.
    assert not missing - leaves(lost)
    assert left_out(value, indent=indent) == found


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000 + "]" * 100_000,
        '{"a":' * 5_000 + "null" + "}" * 5_000,
        "[" + ",".join('{"id":1,"a_url":null,"a_url":false}' for _ in range(2_000)) + "]",
        "[" + ",".join(f'{{"k{i}":null}}' for i in range(20_000)) + "]",
        '{"a":1} {"b":2}' * 100,
        '["\\ud800"]' + " " * 600,
        "not json" * 200,
    ],
    ids=["brackets", "depth", "twice", "names", "several", "surrogate", "text"],
)
def test_odd_texts_stay_or_lose_only_members(text: str) -> None:
    markers = Markers("ref")
    found = FieldOmitter().omit(text, Request("", "ref"), markers)
    assert found is None or json.loads(found.partition("\n")[2]) is not None


def test_addresses_with_places_to_fill_in_go_where_they_are_below_the_record_s_own() -> None:
    named = {
        "git_refs_url": "git/refs{/sha}",
        "contents_url": "contents/{+path}",
        "downloads_url": "downloads",
    }
    repos = [
        issue(number, **{key: f"{API}/issues/{number}/{tail}" for key, tail in named.items()})
        | {"upload_url": f"https://uploads.example.com/{number}/assets{{?name}}"}
        for number in range(1, 13)
    ]
    found = left_out(repos)
    assert found is not None
    kept = found[0][0]
    assert "git_refs_url" not in kept
    assert "contents_url" not in kept
    assert kept["downloads_url"] == f"{API}/issues/1/downloads"  # may be called as it is
    assert kept["upload_url"] == "https://uploads.example.com/1/assets{?name}"  # nobody could make it up


@pytest.mark.parametrize(
    ("key", "value", "goes"),
    [
        ("node_id", "R_kgDOHrj{n}-w", True),
        ("node_id", "MDQ6VXNlcj{n}E=", True),
        ("node_id", "I_kwDOAHz1OX{n}", True),
        ("node_id", "MDExOlB1bGxSZXF1ZXN0{n}", True),
        ("node_id", "worker-node-{n}", False),
        ("node_id", "N_0000000{n}", False),
        ("node_id", "GPU_node-1{n}", False),
        ("node_id", "MDSERVER{n}", False),
        ("profile_photo_url", "https://img.example.com/a/{n}/photo.jpg", True),
        ("photo_url", "https://img.example.com/a/{n}/photo.jpg", False),
        ("managedFields", [{"manager": "kubectl", "time": "2025-01-0{n}T10:00:00Z"}], True),
        ("kubectl.kubernetes.io/last-applied-configuration", '{{"kind": "Pod {n}"}}', True),
        ("configuration", '{{"kind": "Pod {n}"}}', False),
    ],
)
def test_what_a_key_says_of_short_tokens(key: str, value: Any, goes: bool) -> None:
    def made(number: int) -> Any:
        return json.loads(json.dumps(value).replace("{n}", str(number)).replace("{{", "{").replace("}}", "}"))

    found = left_out([issue(number, **{key: made(number)}) for number in range(1, 10)])
    assert found is not None
    assert all((key not in record) is goes for record in found[0])


def ticket(number: int, **more: Any) -> dict[str, Any]:
    person = f"7120{number:02}d6869095b383a254c16b6d34"
    site = "https://acme.example.net/rest/api/3"
    return {
        "id": str(10_000 + number),
        "key": f"SHOP-{number}",
        "summary": f"Basket {number} is empty",
        "status": {"self": f"{site}/status/{number % 3}", "id": str(number % 3), "name": ["Open", "Done", "Gone"][number % 3]},
        "reporter": {
            "self": f"{site}/user?accountId={person}",
            "accountId": person,
            "displayName": f"Person {number}",
            "avatarUrls": {size: f"https://pictures.example.net/{number}/{size}" for size in ("48x48", "24x24")},
        },
        **more,
    }


TICKETS = [ticket(number) for number in range(1, 13)]


def test_maps_of_pictures_and_addresses_of_parts_that_have_ids_go() -> None:
    found = left_out(TICKETS)
    assert found is not None
    kept, marker, gone = found
    assert "self" in marker
    assert "avatarUrls" in marker
    assert kept[3] == {
        "id": "10004",
        "key": "SHOP-4",
        "summary": "Basket 4 is empty",
        "status": {"id": "1", "name": "Done"},
        "reporter": {"accountId": TICKETS[3]["reporter"]["accountId"], "displayName": "Person 4"},
    }
    assert gone[3]["reporter"]["avatarUrls"] == TICKETS[3]["reporter"]["avatarUrls"]


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("icon", {"id": 7, "name": "star", "url": "https://pictures.example.net/stars/7"}),  # a record of its own
        ("owner", {"self": "https://acme.example.net/rest/api/3/user/7", "displayName": "No id"}),  # the only id
        ("owner", {"self": "https://acme.example.net/people/7", "id": "7"}),  # a page
        ("logPath", "/var/lib/containers/10004f7b2c9d4e1a8c3b5d7f/log"),  # what a later call is made with
    ],
)
def test_records_pages_and_paths_stay(member: str, value: Any) -> None:
    found = left_out([ticket(number, **{member: value}) for number in range(1, 13)])
    assert found is not None
    assert found[0][5][member] == value


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("host", "{id}.us-east-1.aws.found.io"),  # what is needed to connect
        ("storage_object", "uploads-{id}-Q7x7Rk2Lp9ZtV.pdf"),  # nobody could make its random part
        ("iCalUID", "{id}@example.com"),
        ("etag", '"{number}"'),  # what a later call may be made with
    ],
)
def test_what_has_the_id_in_it_stays(key: str, value: str) -> None:
    records = [{"id": f"{number:02}7ec0389cf5f7335384d76e9d", "title_text": f"Meeting {number}"} for number in range(40)]
    events = [{**each, key: value.format(id=each["id"], number=73_334_966 + at)} for at, each in enumerate(records)]
    found = left_out(events)
    kept = events if found is None else found[0]
    assert kept[3][key] == events[3][key]


def embedding(number: int, length: int) -> list[float]:
    return [round(((number * 37 + at * 101) % 199 - 99.5) / 1000.3, 8) for at in range(length)]


@pytest.mark.parametrize(
    ("key", "length", "goes"),
    [
        ("embedding", 64, True),
        ("embeddings", 32, True),
        ("velocity_vector", 64, False),
        ("embedding", 16, False),
        ("values", 64, False),
        ("returns", 300, False),
    ],
)
def test_vectors_of_models_go(key: str, length: int, goes: bool) -> None:
    chunks = [{"id": f"chunk {number}", "score": 0.5, key: embedding(number, length)} for number in range(8)]
    found = left_out(chunks, question="What is the refund policy?")
    assert (found is not None) == goes
    if found is not None:
        assert found[0][2] == {"id": "chunk 2", "score": 0.5}
        assert found[2][2][key] == chunks[2][key]


@pytest.mark.parametrize(
    "series",
    [
        [round(20 + at * 0.37, 2) for at in range(300)],  # few digits
        [round(100 + at * 0.372813, 6) for at in range(300)],  # not around zero
        [at - 150 for at in range(300)],  # whole
        [*embedding(1, 300)[:-1], "end"],
    ],
)
def test_measured_series_stay(series: list[Any]) -> None:
    assert left_out({"id": 1, "name": "sensor", "unit": "K", "values": series}) is None


def test_a_vector_that_is_the_answer_or_is_asked_for_stays() -> None:
    assert left_out({"model": "m", "name": "text", "embedding": embedding(1, 512)}) is None  # the next call's argument
    chunks = [{"id": f"chunk {number}", "embedding": embedding(number, 64)} for number in range(8)]
    assert left_out(chunks) is not None
    assert left_out(chunks, question="Print the embedding") is None
