"""Snapshots of pages as accessibility trees (`- button "Send" [ref=e12] [cursor=pointer]`): what no reader acts on left out."""

import re
from typing import Final

from headroom_asgi._crush import estimate
from headroom_asgi.compressors.base import Request
from headroom_asgi.compressors.lines import lines_of, named_lines
from headroom_asgi.compressors.omission import MIN_LEFT_OUT_TOKENS, Markers

_MIN_LINES: Final = 12  # of a tree that is worth a marker
_MARKER_TOKENS: Final = 300
_SIGN: Final = "[ref="
# Nodes without a name or text of their own: one that others stand in, one that nothing stands in.
_WRAPS: Final = re.compile(r" *- generic \[ref=\w{1,20}\]:$")
_BARE: Final = re.compile(r" *- (?:generic|img)(?: \[ref=\w{1,20}\])?$")
_ADDRESS: Final = re.compile(r" *- /url: \S")
_LONG_ADDRESS: Final = 200  # characters; such an address counts clicks
# What is clicked on by its role, so that the mark says nothing.
_POINTED: Final = " [cursor=pointer]"
_CLICKED: Final = re.compile(
    r" *- (?:link|button|tab|menuitem|option|checkbox|radio|switch|combobox|textbox|searchbox|spinbutton)\b"
)


class SnapshotOmitter:
    """The omitter for snapshots. Refs and names of all that can be acted on stay, and so does the order of the lines."""

    section = "snapshots"
    label = "snapshots:lines"

    def omit(self, text: str, request: Request, markers: Markers) -> str | None:
        """The text behind a marker, without lines that only wrap others; None if it is no snapshot, or that does not pay."""
        if text.count(_SIGN) < _MIN_LINES:
            return None
        left: list[str] = []
        gone: list[str] = []
        lines = lines_of(text)
        named = named_lines(lines, request)
        for number, line in enumerate(lines):
            if number in named:
                left.append(line)
            elif _WRAPS.match(line) or _BARE.match(line) or (len(line) > _LONG_ADDRESS and _ADDRESS.match(line)):
                gone.append(line)
            elif _POINTED in line and _CLICKED.match(line):
                gone.append(_POINTED)
                left.append(line.replace(_POINTED, "", 1))
            else:
                left.append(line)
        if estimate("\n".join(gone).encode("utf-8", "surrogatepass")) < MIN_LEFT_OUT_TOKENS + _MARKER_TOKENS:
            return None
        marker = markers.leave_out(text, len(gone), "lines and marks", "nodes without a name or text, long addresses, cursors")
        return "\n".join([marker, *left])
