"""Places in requests that answers of Anthropic Messages name, as they are in the client's own request."""

import re
from collections.abc import Iterator
from typing import Final

from headroom_asgi._crush import ARRAY, STRING, Document
from headroom_asgi.types import Edit
from headroom_asgi.wire.nodes import elements_at, find, given, text_at
from headroom_asgi.wire.splice import arrange, literal, replace, splice

_MEMBER: Final = "input_transformations"
_PLACE: Final = re.compile(r"messages\.(\d{1,9})\.content\.(\d{1,9})(?=\.|\Z)")
_IN_MESSAGES: Final = "messages"


def retraced(told: bytes, sent: Document, client: Document) -> bytes:
    """An answer, or an event of one, with places of the client's request for those of the one that was sent.

    A block is known by its signature, or else by its bytes. What the client's request has not is left out: it was hidden.
    """
    if b'"' + _MEMBER.encode() + b'"' not in told:
        return told
    document = Document(told)
    edits: list[Edit] = []
    for holder in (0, document.get(0, "message")):
        node = given(document, holder, _MEMBER) if holder >= 0 else -1
        if node >= 0 and document.kind(node) == ARRAY and document.count(node):
            edits += _moved(document, node, sent, client)
    return splice(told, edits) if edits else told


def _moved(document: Document, node: int, sent: Document, client: Document) -> list[Edit]:
    names = dict(_blocks(sent))
    places = {name: place for place, name in _blocks(client)}
    staying: list[int] = []
    edits: list[Edit] = []
    for position, entry in enumerate(document.elements(node)):
        path = find(document, entry, "path")
        named = document.text(path) if path >= 0 and document.kind(path) == STRING else ""
        found = _PLACE.match(named)
        place = places.get(names.get((int(found[1]), int(found[2])), (b"", 0))) if found else None
        if found is not None and place is not None:
            edits += replace(document, path, literal(f"messages.{place[0]}.content.{place[1]}{named[found.end() :]}"))
        if place is not None or (named and not named.startswith(_IN_MESSAGES)):
            staying.append(position)
    return edits + arrange(document, node, staying)


def _blocks(document: Document) -> Iterator[tuple[tuple[int, int], tuple[bytes, int]]]:
    """The places of all blocks of a request, each with what it is known by, and how many that are alike came before."""
    seen: dict[bytes, int] = {}
    for index, message in enumerate(elements_at(document, 0, "messages")):
        for position, block in enumerate(elements_at(document, message, "content")):
            signed = text_at(document, block, "signature") or text_at(document, block, "data")
            name = signed.encode("utf-8", "surrogatepass") if signed else document.raw(block)
            seen[name] = seen.get(name, -1) + 1
            yield (index, position), (name, seen[name])
