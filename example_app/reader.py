"""The scripted model's eyes: reads records out of tool results, as JSON or in the outline form of docs/crush-format.md.

That form is read as its page says and without our code, so the demo's answers prove that it can be. Scalars come out as the
text that stands there ("117", "true"); only null is None.
"""

import json
import re
from collections.abc import Iterator

from example_app.inline import Value
from example_app.outline import HEAD, TABLE, read_outline, read_table

_TABLE_IN_LINE = re.compile(rf"(?:^|(?<= )){TABLE.pattern}", re.DOTALL)


def values_in(text: str) -> Iterator[Value]:
    """Every value that a text holds: the text as JSON or as an outline; else the pieces of it that are one of these."""
    try:
        yield load_json(text)
    except ValueError:
        try:
            yield read_outline(text)
        except (ValueError, IndexError):
            yield from _pieces(text.split("\n"))


def load_json(text: str) -> Value:
    """JSON with every number and boolean as it is spelled."""
    value: Value = _spelled(json.loads(text, parse_int=str, parse_float=str, parse_constant=str))
    return value


def find_field(value: Value, key: str, wanted: str, field: str) -> str | None:
    """The field of the record whose `key` is `wanted`, anywhere in a value, JSON inside strings included."""
    if isinstance(value, dict):
        found = value.get(field)
        if value.get(key) == wanted and isinstance(found, str):
            return found
        if value.get(key) == wanted and "." in field and (deep := _at(value, field.split("."))) is not None:
            return deep
    if isinstance(value, str):
        inside = values_in(value) if value[:1] in ("{", "[") else iter(())
        return next((found for part in inside if (found := find_field(part, key, wanted, field)) is not None), None)
    children = value.values() if isinstance(value, dict) else value or ()
    return next((found for child in children if (found := find_field(child, key, wanted, field)) is not None), None)


def lines_in(value: Value) -> Iterator[str]:
    """Every line of every string in a value."""
    if isinstance(value, str):
        yield from value.split("\n")
    else:
        for child in value.values() if isinstance(value, dict) else value or ():
            yield from lines_in(child)


def _spelled(value: object) -> Value:
    if isinstance(value, dict):
        return {key: _spelled(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_spelled(child) for child in value]
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else str(value)


def _at(value: Value, path: list[str]) -> str | None:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, str) else None


def _pieces(lines: list[str]) -> Iterator[Value]:
    """Values that stand somewhere in a text: outlines below their head, tables, JSON on a line of its own."""
    for number, line in enumerate(lines):
        stripped = line.strip()
        try:
            if HEAD.fullmatch(stripped):
                yield read_outline("\n".join([stripped, *lines[number + 1 :]]), excerpt=True)
            elif table := _TABLE_IN_LINE.search(line):
                yield read_table(lines, number + 1, table)
            elif stripped[:1] in ("{", "["):
                yield load_json(stripped.rstrip(","))
        except (ValueError, IndexError):
            continue
