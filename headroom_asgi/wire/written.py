"""What the model wrote in a call: the texts of several lines in its arguments, and where they stand in them."""

import re
from bisect import bisect_left
from typing import Final

from headroom_asgi._crush import ARRAY, OBJECT, STRING, Document
from headroom_asgi.errors import ScanError

_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}", re.ASCII)
_LINE_BREAK: Final = b"\\n"  # in JSON, and in JSON in a string of JSON
_LEAST_BYTES: Final = 64  # of a literal; a shorter one is not worth a reference to it
_LONGEST_NAME: Final = 100
_MOST_NODES: Final = 200_000  # of arguments that are looked through: half a second
_WHOLE: Final = "input"  # arguments that are no object


def written(document: Document, node: int) -> tuple[tuple[str, bytes], ...]:
    """The texts in the arguments of a call that have several lines, each with its name, as in `edits[1].new_string`.

    Args:
        document: where the call stands.
        node: its arguments: JSON, JSON in a string, or a text.
    """
    raw = document.raw(node)
    if _LINE_BREAK not in raw or len(raw) < _LEAST_BYTES:
        return ()
    text = document.utf8(node) if document.kind(node) == STRING else raw
    try:
        arguments = Document(text)
    except ScanError:
        return ((_WHOLE, text),)
    if arguments.kind(0) != OBJECT:
        return ((_WHOLE, text),)
    if len(arguments) > _MOST_NODES:
        return ()
    found: dict[str, bytes] = {}
    for name, place in _long_strings(arguments):
        value = arguments.utf8(place)
        if b"\n" in value:
            found[name] = value  # of a key that is there twice the last one counts, as for parsers
    return tuple(found.items())


def _long_strings(document: Document) -> list[tuple[str, int]]:
    """The long strings in an object, in order, each with its name; those under keys that are no names have none."""
    starts = [document.span(node)[0] for node in document.long_strings(_LEAST_BYTES)]
    found: list[tuple[str, int]] = []
    todo = [("", 0)] if starts else []
    while todo:
        name, node = todo.pop()
        kind = document.kind(node)
        if kind == STRING:
            found.append((name, node))
            continue
        if kind == OBJECT:
            members = [(f"{name}.{key}" if name else key, value) for key, value in document.items(node) if _KEY.fullmatch(key)]
        elif kind == ARRAY:
            members = [(f"{name}[{at}]", value) for at, value in enumerate(document.elements(node))]
        else:
            continue
        todo += reversed([each for each in members if len(each[0]) <= _LONGEST_NAME and _holds(document, each[1], starts)])
    return found


def _holds(document: Document, node: int, starts: list[int]) -> bool:
    """One of the long strings begins in the value."""
    start, end = document.span(node)
    at = bisect_left(starts, start)
    return at < len(starts) and starts[at] < end
