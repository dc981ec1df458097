"""Bytes that no edit touches are forwarded exactly as they came, whatever JSON stands around them."""

import json

import anyio
import pytest
from hypothesis import example, given, settings

from headroom_asgi import HeadroomMiddleware, expand
from tests.driver import ORDERS, PATHS, Inner, post
from tests.json_exact import same
from tests.test_scan import keys, space, values

TABLE = json.dumps(ORDERS[:12], indent=1)
DEEP = "[" * 1000 + "]" * 1000
# Members that the dialects read; what stands under them is another test's business.
READ = {"messages", "tools", "thread", "n", "functions", "function_call", "tool_choice", "stream", "model", "system"}


def request(dialect: str, blank: str, extra: str) -> tuple[bytes, bytes]:
    """What stands before and behind the literal of the one tool output, with odd members and blanks around everything."""
    call = '{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}'
    if dialect == "anthropic":
        before = (
            f'{{{extra}"messages":[{{{extra}"role":"user","content":"q"}},{{"role":"assistant","content":[{{"type":"tool_use",'
            f'"id":"c","name":"f","input":{{}}}}]}},{{"role":"user","content":[{{{extra}"type":"tool_result","tool_use_id":"c","content":'
        )
        behind = "}]}]}"
    else:
        before = (
            f'{{{extra}"messages":[{{{extra}"role":"user","content":"q"}},{{"role":"assistant","tool_calls":[{call}]}},'
            f'{{{extra}"role":"tool","tool_call_id":"c","content":'
        )
        behind = "}]}"
    spaced = [text.replace(",", f"{blank},{blank}").replace("[", f"[{blank}") for text in (before.replace(extra, "\0"), behind)]
    return spaced[0].replace("\0", extra).encode(), spaced[1].encode()


@pytest.mark.parametrize("dialect", sorted(PATHS))
@given(blank=space, key=keys, value=values)
@example(blank=" ", key='"x"', value="1E3")
@example(blank="\t\r\n", key='"x"', value="9" * 400)
@example(blank="", key='"x"', value='"\\ud83d \\u00e9 \\/"')
@example(blank=" ", key='"x"', value=DEEP)
@settings(deadline=None, max_examples=150)
def test_only_the_edited_literal_changes(dialect: str, blank: str, key: str, value: str) -> None:
    name = json.loads(key)
    extra = "" if name in READ | {"content", "role", "type", "id"} else f"{key}{blank}:{value},{key}:{blank}{value},"
    before, behind = request(dialect, blank, extra)
    literal = json.dumps(TABLE).encode()
    inner = Inner()
    app = HeadroomMiddleware(inner, mode="lossless", discover=False)
    anyio.run(post, app, PATHS[dialect], before + literal + behind)
    (sent,) = inner.bodies
    assert sent.startswith(before)
    assert sent.endswith(behind)
    written = sent[len(before) : len(sent) - len(behind)]
    assert len(written) < len(literal) / 2
    assert same(expand(json.loads(written)), TABLE)
