"""The vocabulary that rooms share: ASGI callables, byte edits, tools."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = [
    "RETRIEVE_NAME",
    "ASGIApp",
    "Edit",
    "Headers",
    "Interceptor",
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


@dataclass(frozen=True, slots=True, repr=False)
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


@dataclass(frozen=True, slots=True, repr=False)
class ToolCall:
    """One complete call of a function tool by the model. `arguments` is JSON text as the model wrote it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True, repr=False)
class ToolResult:
    """What a call of ours is answered with."""

    call: ToolCall
    text: str
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class Interceptor:
    """A function of the user's own that makes the output of certain tools shorter, before any compressor sees it.

    It runs only where the model can ask for what is gone, and is pure, fast and linear: the same bytes for the same arguments on
    every worker. What it raises is logged, and the output goes on without it.

    Attributes:
        name: lower case, e.g. `pods`; markers and reports name it.
        tools: names of tools, matched as `ContentRouterConfig.exact_match_tools` are; `*` is every tool.
        function: the output and the arguments of the call (JSON text) to a shorter output, or None to leave it as it is.
    """

    name: str
    tools: Collection[str]
    function: Callable[[str, str], str | None]
