"""Exact comparison of JSON texts, independent of the kernel."""

import json
import re

TOKEN = re.compile(
    r'(?P<string>"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*")'
    r"|(?P<other>[{}\[\],:]|null|true|false|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<space>[ \t\r\n]+)"
)


def tokens(text: str | bytes) -> list[str]:
    """The tokens of a JSON text in order, with one spelling of strings. ValueError: something else stands in it."""
    if isinstance(text, bytes):
        text = text.decode()
    found: list[str] = []
    at = 0
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None:
            raise ValueError(f"no JSON token at character {at}")
        if match["string"] is not None:
            found.append(json.dumps(json.loads(match["string"])))
        elif match["other"] is not None:
            found.append(match["other"])
        at = match.end()
    return found


def same(a: str | bytes, b: str | bytes) -> bool:
    """Whether two JSON texts, one known to be valid, differ in nothing but white space and the spelling of escapes."""
    return tokens(a) == tokens(b)
