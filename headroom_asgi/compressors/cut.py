"""JSON that was cut off inside a string, as harnesses cut long outputs: where that string stands, and what it says so far."""

import json
import re
from typing import Final, NamedTuple

# An object from its first brace to the quote that opens a string: short members before it, no containers.
_OPENING: Final = re.compile(
    r'\s*+\{\s*+(?:"[^"\\\n]{1,64}"\s*+:\s*+(?:"[^"\\\n]{0,256}"|null|true|false|-?[0-9.eE+-]{1,32})\s*+,\s*+){0,8}+'
    r'"[^"\\\n]{1,64}"\s*+:\s*+"'
)
_STRING: Final = re.compile(r'(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+')


class OpenString(NamedTuple):
    """A string that does not end: its span in the text, in escapes, and what it says."""

    start: int
    end: int
    text: str


def open_string(text: str) -> OpenString | None:
    """The string in which a text's JSON was cut off; None if it is whole, or something else."""
    opening = _OPENING.match(text)
    if opening is None:
        return None
    string = _STRING.match(text, opening.end())
    assert string is not None
    if text.startswith('"', string.end()):
        return None
    return OpenString(*string.span(), json.loads(f'"{string[0]}"'))
