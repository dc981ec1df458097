"""Strings in a body, looked at without being decoded, say what the decoded ones say."""

import json

from hypothesis import example, given
from hypothesis import strategies as st

from headroom_asgi._crush import Document
from headroom_asgi.wire.nodes import begins, says

SPELLED = st.sampled_from(
    [r"\u0078", r"\u00a0", r"\n", r"\t", r"\"", r"\\", r"\ud83d", r"\/", "x", "-", " ", "é", "\u3000", "", "7"]
)


@given(st.lists(SPELLED, max_size=6).map("".join))
def test_a_string_says_something_unless_it_is_blank(spelled: str) -> None:
    body = f'"{spelled}"'.encode()
    assert says(Document(body), 0) == bool(json.loads(body).strip())


@given(st.lists(SPELLED, max_size=6).map("".join), st.sampled_from(["", "x", "x-", "x-x", "7", "-"]))
@example(r"\u0078-", "x-")
def test_a_string_begins_as_it_reads_however_it_is_spelled(spelled: str, start: str) -> None:
    body = f'"{spelled}"'.encode()
    assert begins(Document(body), 0, start) == json.loads(body).startswith(start)
    assert begins(Document(body[:1] + start.encode() + body[1:]), 0, start)
