"""What requests and answers of Gemini have in common: members in two spellings, parts, calls, and signatures."""

import re
from functools import cache
from typing import Final

from headroom_asgi._crush import ARRAY, NULL, OBJECT, STRING, Document
from headroom_asgi.types import ToolCall
from headroom_asgi.wire.answers import Part, PartKind
from headroom_asgi.wire.nodes import is_true

# Google's own word for a call whose signature is not at hand: newer models refuse the first call of a step without any.
SENTINEL: Final = "skip_thought_signature_validator"
# The same bytes in base64's first alphabet, in which the API answers and strict clients read. They may send back either.
SENT_SENTINEL: Final = SENTINEL.replace("_", "/")

_GENERATION = re.compile(r"gemini-(\d+)")
_CHECKING = 3  # the first generation that refuses calls without a signature
_SIGNED_MEMBERS = frozenset({"text", "thought", "thoughtSignature", "thought_signature"})


def member(document: Document, node: int, name: str) -> int:
    """The node of a member, which requests may spell in either case; -1 if it is missing or null."""
    if node < 0:
        return -1
    value = document.get(node, name)
    if value < 0 and (snake := _snake(name)) != name:
        value = document.get(node, snake)
    return -1 if value >= 0 and document.kind(value) == NULL else value


def text_of(document: Document, node: int, name: str) -> str:
    """The string under a name, "" if there is none."""
    value = member(document, node, name)
    return document.text(value) if value >= 0 and document.kind(value) == STRING else ""


def several(document: Document, node: int) -> list[int]:
    """The values of a repeated field: the API takes a single object for an array of one."""
    if node < 0:
        return []
    return [node] if document.kind(node) == OBJECT else document.elements(node)


def is_array(document: Document, node: int) -> bool:
    """There is an array."""
    return node >= 0 and document.kind(node) == ARRAY


def call_of(document: Document, part: int) -> int:
    """The node of the function call in a part, -1 if there is none."""
    call = member(document, part, "functionCall")
    return call if call >= 0 and document.kind(call) == OBJECT else -1


def read_part(document: Document, part: int) -> Part:
    """A part in neutral form.

    What only carries a signature (reasoning, an empty text) is signed; a text or call with a signature is what it is.
    """
    call = call_of(document, part)
    if call >= 0:
        return Part(PartKind.CALL, part, read_call(document, call))
    if text_of(document, part, "text") and not is_true(document, part, "thought"):
        return Part(PartKind.TEXT, part)
    signed = bool(signature_of(document, part)) and all(key in _SIGNED_MEMBERS for key, _ in document.items(part))
    return Part(PartKind.SIGNED if signed else PartKind.OTHER, part)


def read_call(document: Document, call: int) -> ToolCall:
    """A function call in neutral form; many have no id."""
    arguments = member(document, call, "args")
    return ToolCall(
        id=text_of(document, call, "id"),
        name=text_of(document, call, "name"),
        arguments=document.raw(arguments).decode() if arguments >= 0 else "{}",
    )


def signature_of(document: Document, part: int) -> str:
    """The signature of a part, "" if it has none."""
    return text_of(document, part, "thoughtSignature")


def is_blank(document: Document, part: int) -> bool:
    """A part that says nothing at all: an empty text without a signature, which the API sends but does not take."""
    text = document.get(part, "text")
    return (
        text >= 0
        and document.kind(text) == STRING
        and not document.text(text)
        and not signature_of(document, part)
        and all(key in _SIGNED_MEMBERS for key, _ in document.items(part))
    )


def checks_signatures(model: str, *, unknown: bool) -> bool:
    """Whether a model refuses calls without a signature; `unknown`: what to say of one whose name does not tell."""
    found = _GENERATION.search(model)
    return int(found[1][:6]) >= _CHECKING if found else unknown


@cache
def _snake(name: str) -> str:
    return re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", name)
