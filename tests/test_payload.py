"""A payload with edits of ours: what it keeps, when it is decoded, and whose places edits name."""

import json

from hypothesis import given
from hypothesis import strategies as st

from headroom_asgi.types import Edit
from headroom_asgi.wire import Payload, dialect_named, literal

WIRE = dialect_named("openai-chat")


def payload_with(*outputs: str) -> Payload:
    """A conversation with these tool outputs."""
    messages: list[dict[str, object]] = [{"role": "user", "content": "what now?"}]
    for number, output in enumerate(outputs):
        call = {"id": f"c{number}", "type": "function", "function": {"name": "look", "arguments": "{}"}}
        messages += [
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": f"c{number}", "content": output},
        ]
    return WIRE.decode(json.dumps({"model": "m", "stream": True, "messages": messages}).encode())


def outputs_of(payload: Payload) -> list[str]:
    return [segment.text for segment in payload.segments if segment.role == "tool"]


def edits(payload: Payload, text: str) -> list[Edit]:
    """Another text in the place of every output."""
    return [Edit(*segment.span, literal(text)) for segment in payload.segments if segment.role == "tool"]


@given(st.lists(st.text(max_size=20), min_size=1, max_size=4), st.text(max_size=20))
def test_an_edited_payload_is_what_its_bytes_decode_to(outputs: list[str], text: str) -> None:
    payload = payload_with(*outputs)
    made = payload.edited(edits(payload, text))
    again = WIRE.decode(made.body)
    assert outputs_of(made) == outputs_of(again) == [text] * len(outputs)
    assert (made.model, made.stream, made.structured, made.endpoint) == (
        again.model,
        again.stream,
        again.structured,
        again.endpoint,
    )
    assert [segment.tool_name for segment in made.segments] == [segment.tool_name for segment in again.segments]


def test_nothing_edited_is_the_same_payload() -> None:
    payload = payload_with("a")
    assert payload.edited([]) is payload
    made = payload.edited(edits(payload, "b"))
    assert made.edited([]) is made


def test_the_bytes_of_edits_alone_are_not_decoded() -> None:
    payload = payload_with("a")
    broken = payload.edited([Edit(0, len(payload.body), b"no JSON")])
    assert broken.body == b"no JSON"
    assert broken.model == "m"


def test_more_edits_go_to_the_places_of_what_came() -> None:
    payload = payload_with("first", "second")
    one, two = edits(payload, "longer than it was before")
    made = payload.edited([one])
    assert made.source is payload
    assert outputs_of(made.edited([two])) == ["longer than it was before"] * 2


def test_edits_go_to_the_places_of_what_was_looked_into() -> None:
    payload = payload_with("first", "second")
    made = payload.edited(edits(payload, "longer than it was before"))
    found = edits(made, "x")
    assert made.source is not payload
    assert outputs_of(made.edited(found)) == ["x", "x"]


@given(st.text(st.characters(codec=None), max_size=12))
def test_the_bytes_of_a_segment_are_its_text(text: str) -> None:
    segment = next(segment for segment in payload_with(text).segments if segment.role == "tool")
    assert segment.utf8 == segment.text.encode("utf-8", "surrogatepass")
