"""Names of tools, as they are looked up in settings."""

import re
from collections.abc import Collection
from typing import Final

EVERY_TOOL: Final = "*"

_JOINTS = re.compile(r"__|[./:]|-")


def is_named(tool: str, names: Collection[str]) -> bool:
    """A tool's name, or its name behind a server's prefix (`mcp__files__read_file`), is among these, which are lower case."""
    if not names:
        return False
    name = tool.lower()
    return name in names or any(name[joint.end() :] in names for joint in _JOINTS.finditer(name))
