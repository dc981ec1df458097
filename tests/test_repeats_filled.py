"""Repeats between texts with groups: lines are compared as they read, whatever heads they stand under."""

from typing import Any

from headroom_asgi import compress, expand_messages
from headroom_asgi._crush import filled
from tests.crush_reference import FILLS, head

LOG = [
    f"2025-11-14 19:30:{number:02} [worker-{number % 3}] INFO request {number * 37} took {number * 7 % 90} ms"
    for number in range(50)
]
FAILED = [line.replace("INFO", "FAIL") for line in LOG[20:23]]


def conversation(*outputs: str) -> list[dict[str, Any]]:
    """The messages in which a tool gives those outputs."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": "What is slow?"}]
    for number, output in enumerate(outputs):
        call = {"id": f"call_{number}", "type": "function", "function": {"name": "tail", "arguments": "{}"}}
        messages += [
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": f"call_{number}", "content": output},
        ]
    return messages


def forwarded(*outputs: str) -> list[str]:
    """The outputs as a model reads them; they are read back as they were."""
    messages = conversation(*outputs)
    after = compress(messages, model="gpt-4o").messages
    assert expand_messages(after) == messages
    return [message["content"] for message in after if message["role"] == "tool"]


def test_lines_are_found_again_under_another_head() -> None:
    first, second = forwarded("\n".join(LOG), "\n".join([*LOG[:20], *FAILED, *LOG[23:]]))
    assert first.startswith(head("text", FILLS))
    assert "[+19 lines as in result 1]" in second
    assert second.count("FAIL") == 3
    assert len(second.split("\n")) < 9


def test_what_is_left_stands_in_groups_where_that_is_shorter() -> None:
    more = [line.replace("request", "reply") for line in LOG]
    _, second = forwarded("\n".join(LOG), "\n".join([*LOG[:25], *more]))
    assert second.startswith(head("text", FILLS))
    assert "[+24 lines as in result 1]" in second
    assert second.count("reply") <= 3


def test_lines_of_a_folded_text_are_referred_to_by_those_who_come_later() -> None:
    texts = ["\n".join(LOG[:30]), "\n".join(LOG[10:]), "\n".join(["last", *LOG[5:45]])]
    _, second, third = forwarded(*texts)
    assert "as in result 1]" in second
    assert "as in result 1" in third
    assert "as in result 2" in third


def test_a_text_of_the_client_that_looks_like_a_form_stays() -> None:
    form = f"{head('text', FILLS)}\n[main] * took *\n" + "\n".join(f" job {number}\t{number} ms" for number in range(60))
    assert filled(form.encode()) is not None
    messages = conversation(form, form.replace("job 30", "task 30"))
    assert compress(messages, model="gpt-4o").messages == messages
