"""Items of OpenAI Responses, which requests and answers have in common: calls, their outputs, texts."""

from collections.abc import Mapping, Sequence
from typing import Final

from headroom_asgi._crush import STRING, Document
from headroom_asgi.types import ToolCall
from headroom_asgi.wire.answers import PartKind
from headroom_asgi.wire.nodes import elements_at, text_at
from headroom_asgi.wire.splice import dump

# Calls by type: the tool's name, if the item does not say it, and the member that says what it is to do.
CALLS: Final[Mapping[str, tuple[str, str]]] = {
    "function_call": ("", "arguments"),
    "custom_tool_call": ("", "input"),
    "local_shell_call": ("local_shell", "action"),
    "shell_call": ("shell", "action"),
    "apply_patch_call": ("apply_patch", "operation"),
    "computer_call": ("computer", "action"),
    "tool_search_call": ("tool_search", "arguments"),
    "mcp_approval_request": ("", "arguments"),
}
OUTPUTS: Final = frozenset(
    {
        "function_call_output",
        "custom_tool_call_output",
        "local_shell_call_output",
        "shell_call_output",
        "apply_patch_call_output",
        "computer_call_output",
        "tool_search_output",
        "mcp_approval_response",
    }
)
# What else the model says, or the provider does for it.
_OF_THE_MODEL: Final = frozenset(
    {
        "reasoning",
        "web_search_call",
        "file_search_call",
        "code_interpreter_call",
        "image_generation_call",
        "mcp_call",
        "mcp_list_tools",
        "program",
        "program_output",
        "compaction",
    }
)


def type_of(document: Document, item: int) -> str:
    """The type of an item; messages may leave it out."""
    return text_at(document, item, "type") or ("message" if text_at(document, item, "role") else "")


def call_of(document: Document, item: int) -> ToolCall | None:
    """The call that an item is, if it is the client's to answer. Of calls that are no functions only id and name count."""
    kind = type_of(document, item)
    if kind not in CALLS or runs_at_provider(document, item, kind):
        return None
    name, member = CALLS[kind]
    name = name or text_at(document, item, "name")
    namespace = text_at(document, item, "namespace") or text_at(document, item, "server_label")
    arguments = "{}"
    if kind == "function_call":
        arguments = text_at(document, item, member)
    elif kind == "custom_tool_call":
        arguments = dump(text_at(document, item, member)).decode("ascii")
    return ToolCall(key_of(document, item), f"{namespace}.{name}" if namespace else name, arguments)


def key_of(document: Document, item: int) -> str:
    """The id by which a call and its output find each other."""
    return text_at(document, item, "call_id") or text_at(document, item, "approval_request_id") or text_at(document, item, "id")


def keys_of(document: Document, item: int) -> set[str]:
    """All ids that an output may name a call by: that of a local shell names the item."""
    return {key_of(document, item), text_at(document, item, "id")} - {""}


def runs_at_provider(document: Document, item: int, kind: str) -> bool:
    """Whether the provider answers a call of that type itself."""
    if kind == "tool_search_call":
        return text_at(document, item, "execution") != "client"
    return kind == "shell_call" and text_at(document, item, "environment", "type").startswith("container")


def kind_of(document: Document, item: int) -> PartKind:
    """What an item of an answer is to the loop."""
    kind = type_of(document, item)
    if kind == "message":
        return PartKind.TEXT
    if kind == "reasoning":
        return PartKind.LEADING
    return PartKind.OTHER if call_of(document, item) is None else PartKind.CALL


def is_of_the_model(document: Document, item: int, kind: str) -> bool:
    """Whether an item of a request, of that type, is a piece of a turn of the model (outputs of what the provider ran apart)."""
    if kind == "message":
        return text_at(document, item, "role") == "assistant"
    return kind in CALLS or kind in _OF_THE_MODEL


def texts_in(document: Document, item: int, member: str, kinds: Mapping[str, str]) -> Sequence[int]:
    """The text nodes of a member: itself, or the texts of its parts.

    Args:
        document: where the item is.
        item: its node.
        member: a string, or an array of parts.
        kinds: by type of a part, the member that holds its text.
    """
    value = document.get(item, member)
    if value >= 0 and document.kind(value) == STRING:
        return (value,)
    nodes = []
    for part in elements_at(document, item, member):
        kind = text_at(document, part, "type")
        node = document.get(part, kinds[kind]) if kind in kinds else -1
        if node >= 0 and document.kind(node) == STRING:
            nodes.append(node)
    return tuple(nodes)


def said_in(document: Document, item: int) -> Sequence[int]:
    """The text nodes of a message of the model."""
    return texts_in(document, item, "content", {"output_text": "text", "refusal": "refusal"})
