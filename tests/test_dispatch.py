"""What was shortened stays as it is, whoever gets it next: another of us on the way, or a transcript that is played again."""

import json
from typing import Any

import pytest

from headroom_asgi import TransformPipeline
from headroom_asgi.transforms import Context, decoded_messages, drain, payload_of

RECORDS = [
    {"id": n, "name": f"customer {n}", "avatar_url": f"https://example.com/a/{n}.png", "city": ["Oslo", "Lima"][n % 2]}
    for n in range(40)
]
OUTPUTS = {
    "records": json.dumps(RECORDS),
    "an envelope": json.dumps({"type": "text", "text": json.dumps(RECORDS, indent=2), "annotations": None}),
    "a cut envelope": json.dumps({"type": "text", "text": json.dumps(RECORDS, indent=2)})[:3000],
    "many rows": json.dumps([{"day": n, "low": n * 37 % 101, "high": n * 53 % 211, "note": f"of day {n}"} for n in range(900)]),
    "tuples": str([("def", "shop", f"column_{n}", n, None, "NO", "varchar", 40 + n % 3) for n in range(40)]),
    "a log": "\n".join(f"[2025-11-13T09:30:{n // 9:02}.{n:03}Z] [INFO] step {n} of the long way to Oslo" for n in range(90)),
    "tests": "\n".join(f"tests/test_orders.py::test_case_{n}_of_a_longer_name PASSED [{n:3}%]" for n in range(90)),
    "a page": "<html><body>" + "<div class='row item'><a href='/x' class='link'>one</a><p>two</p></div>" * 90 + "</body></html>",
    "lines": "\n".join(f"src/app/models/orders.py:{n}: needs a look" for n in range(60)),
}


def sent(text: str, redeemable: bool) -> str:
    """A tool's output as it is forwarded."""
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": "Look at it."},
        {"role": "assistant", "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "get", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c1", "content": text},
    ]
    payload = payload_of(messages, "gpt-4o", "openai-chat")
    step = drain(TransformPipeline().steps(payload, Context(redeemable=redeemable), model="gpt-4o"))
    content = decoded_messages(step.payload)[-1]["content"]
    assert isinstance(content, str)
    return content


@pytest.mark.parametrize("redeemable", [False, True])
@pytest.mark.parametrize("name", OUTPUTS)
def test_what_was_shortened_stays_as_it_is(name: str, redeemable: bool) -> None:
    once = sent(OUTPUTS[name], redeemable)
    if redeemable or name not in ("a page", "tests"):
        assert len(once) < len(OUTPUTS[name])
    assert sent(once, redeemable) == once


@pytest.mark.parametrize("marker", ["", f"<<ccr:{'0' * 32}-a 40 members left out: uuid>>\n"])
def test_rows_of_a_text_that_was_shortened_are_no_view_of_a_file(marker: str) -> None:
    head = "[json in {type: text, text: (json)}; rows left out: call headroom_retrieve with the ref in the <<ccr:...>> line]"
    rows = [f" 1\t{n * n} clouds, wind {n * 37 % 101}" for n in range(1, 60)]
    text = "\n".join([f"{marker}{head}", "city: Oslo", "days [900]: week\tnote", *rows, " <<ccr:x-1 841 rows left out>>"])
    assert sent(text, redeemable=True) == text


def test_a_log_that_begins_like_a_head_is_shortened() -> None:
    log = "\n".join(["[json-server] started", *("the same line again and again, many times" for _ in range(60))])
    assert len(sent(log, redeemable=False)) < len(log) / 2
