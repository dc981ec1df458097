"""The vocabulary that rooms share: ASGI callables, byte edits, tools."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = [
    "RETRIEVE_NAME",
    "ASGIApp",
    "Edit",
    "Headers",
    "Message",
    "Receive",
    "Scope",
    "Send",
    "ToolCall",
    "ToolResult",
    "ToolSpec",
]

Headers: TypeAlias = list[tuple[bytes, bytes]]

RETRIEVE_NAME: Final = "headroom_retrieve"  # the tool by which a model asks for what was left out


@dataclass(frozen=True, slots=True)
class Edit:
    """One replacement in a body: the bytes `[start, end)` become `data`. An insertion has `start == end`."""

    start: int
    end: int
    data: bytes


@dataclass(frozen=True, slots=True, eq=False)
class ToolSpec:
    """A function tool in neutral form; each dialect spells it its own way. `parameters` is a JSON schema.

    Compared by identity, so that what a dialect spelled once can be kept.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One complete call of a function tool by the model. `arguments` is JSON text as the model wrote it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a call of ours is answered with."""

    call: ToolCall
    text: str
    is_error: bool = False
