"""Names of tools, as they are looked up in settings."""

import re
from collections.abc import Collection
from functools import lru_cache
from typing import Final

from headroom_asgi.wire import SOME_TOOL

EVERY_TOOL: Final = "*"

_JOINTS = re.compile(r"__|[./:]|-")


_KEPT: Final = 1024  # names of tools whose endings are remembered
_KEPT_LISTS: Final = 16  # and lists of them, which may be long
_LONGEST: Final = 128  # characters of a name, as many as any provider takes; of a longer one only its end counts


def is_named(tool: str, names: Collection[str]) -> bool:
    """A tool's name, or its name behind a server's prefix (`mcp__files__read_file`), is among these, which are lower case.

    Of a tool that may be one of several (`one_of`), any of theirs is; of one that may be any, it is.
    """
    if not names or tool == SOME_TOOL:
        return bool(names)
    if is_certain(tool):
        return any(name in names for name in _names_of(tool[-_LONGEST:]))
    return not _names_of_several(tool).isdisjoint(names)


def is_certain(tool: str) -> bool:
    """It is known which tool it is."""
    return tool != SOME_TOOL and "\n" not in tool


@lru_cache(maxsize=_KEPT_LISTS)
def _names_of_several(tools: str) -> frozenset[str]:
    return frozenset(name for one in tools.split("\n") for name in _names_of(one[-_LONGEST:]))


@lru_cache(maxsize=_KEPT)
def _names_of(tool: str) -> tuple[str, ...]:
    """A tool's name, whole and without each of its prefixes."""
    name = tool.lower()
    return (name, *(name[joint.end() :] for joint in _JOINTS.finditer(name)))
