"""Turns of blocks, as Anthropic's and Bedrock's Converse have them: pairs of calls and results, and signed thinking.

Blocks are in Anthropic's spelling here. A signature binds a thinking block to the exact prefix before it: system, tools, and
every earlier block.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

from example_app.dialects.base import RefusedError, sign
from example_app.view import Kind, canonical

Spoken = tuple[Kind, list[dict[str, Any]]]  # a role and its blocks
_THINKING = ("thinking", "redacted_thinking")


def turns(messages: Sequence[Spoken]) -> Iterator[Spoken]:
    """Consecutive messages of one role are one turn."""
    role, blocks = messages[0]
    for next_role, more in messages[1:]:
        if next_role == role:
            blocks = blocks + more
        else:
            yield role, blocks
            role, blocks = next_role, more
    yield role, blocks


def check_pairs(spoken: Sequence[Spoken]) -> None:
    """Calls are answered in the turn right after theirs, first of all in it, and once."""
    asked: list[str] = []
    seen: set[str] = set()
    for index, (_, blocks) in enumerate(spoken):
        where = f"messages.{index}"
        leading = next((n for n, block in enumerate(blocks) if block["type"] != "tool_result"), len(blocks))
        results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        if unknown := [call_id for call_id in results if call_id not in asked]:
            raise RefusedError(
                f"{where}.content: unexpected `tool_use_id` found in `tool_result` blocks: {unknown[0]}. Each `tool_result` "
                "block must have a corresponding `tool_use` block in the previous message."
            )
        missing = [call_id for call_id in asked if call_id not in results[:leading]]
        if missing:
            raise RefusedError(
                f"{where}: `tool_use` ids were found without `tool_result` blocks immediately after: {', '.join(missing)}. "
                "Each `tool_use` block must have a corresponding `tool_result` block in the next message."
            )
        if len(set(results)) != len(results):
            raise RefusedError(
                f"{where}.content: each tool_use must have a single result. Found multiple `tool_result` blocks with one id."
            )
        asked = [block["id"] for block in blocks if block["type"] == "tool_use"]
        if len(set(asked)) != len(asked) or seen & set(asked):
            raise RefusedError(f"{where}: `tool_use` ids must be unique")
        seen |= set(asked)
    if asked:
        raise RefusedError(
            f"messages: `tool_use` ids were found without `tool_result` blocks immediately after: {', '.join(asked)}."
        )


def check_thinking(spoken: Sequence[Spoken], *, enabled: bool) -> None:
    """Where thinking may stand, and where it has to."""
    said = [(index, blocks) for index, (role, blocks) in enumerate(spoken) if role == "assistant" and blocks]
    for index, blocks in said:
        if blocks[-1]["type"] in _THINKING:
            raise RefusedError(f"messages.{index}: The final block in an assistant message cannot be `thinking`.")
    if enabled and said and any(block["type"] == "tool_use" for block in said[-1][1]):
        first = said[-1][1][0]["type"]
        if first not in _THINKING:
            raise RefusedError(
                f"messages.{said[-1][0]}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{first}`."
            )


def check_signatures(head: Sequence[Any], messages: Sequence[Spoken]) -> None:
    """Every thinking block stands after exactly the prefix that it was signed with."""
    prefix = Prefix(head)
    for index, (role, blocks) in enumerate(messages):
        for number, block in enumerate(blocks):
            if block["type"] == "thinking" and block["signature"] != prefix.signature(block["thinking"]):
                raise RefusedError(
                    f"messages.{index}.content.{number}: `thinking` block signature is bound to a different conversation"
                )
            prefix.extend(role, block)


class Prefix:
    """The running digest of system, tools and blocks."""

    def __init__(self, head: Sequence[Any], messages: Sequence[Spoken] = ()) -> None:
        self._digest = hashlib.sha256()
        for value in head:
            self.extend("head", {"value": [{"type": "text", "text": value}] if isinstance(value, str) else value or []})
        for role, blocks in messages:
            for block in blocks:
                self.extend(role, block)

    def extend(self, role: str, block: dict[str, Any]) -> None:
        """Add a block: the order of its own members says nothing, that of a tool's input or schema does."""
        if block.get("type") == "tool_result" and isinstance(block.get("content"), str) and block["content"]:
            block = {**block, "content": [{"type": "text", "text": block["content"]}]}
        members = sorted(canonical(block).items())
        self._digest.update(json.dumps([role, members], separators=(",", ":")).encode() + b"\n")

    def signature(self, thinking: str) -> str:
        """The signature of a thinking block that is spoken here."""
        return sign(self._digest.digest(), thinking)
