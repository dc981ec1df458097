"""Snapshots of pages as accessibility trees (`- button "Send" [ref=e12] [cursor=pointer]`): what no reader acts on left out."""

import re
from dataclasses import dataclass
from typing import Final

from headroom_asgi._crush import estimate
from headroom_asgi.compressors.base import Request
from headroom_asgi.compressors.lines import lines_of, named_lines
from headroom_asgi.compressors.omission import MIN_LEFT_OUT_TOKENS, Markers

_MIN_LINES: Final = 12  # of a tree that is worth a marker
_MARKER_TOKENS: Final = 64
_SIGNS: Final = ("[ref=", "- generic")
_NODE: Final = re.compile(
    r"""(?P<blanks>\ *+)-\ (?P<quote>')?(?P<role>[a-z]++)(?:\ "(?P<name>(?:[^"\\]++|\\.)*+)")?
        (?P<marks>(?:\ \[[^]\n]{1,60}\])*+)(?(quote)')(?P<opens>:)?(?:\ (?P<text>.+))?$""",
    re.VERBOSE,
)
_ADDRESS: Final = re.compile(r" *+- /url: \S")
_LONG_ADDRESS: Final = 200  # characters; such an address counts clicks
_LONG_NAME: Final = 400  # characters; in a longer name no texts are looked for
# Where a word or number goes on. In the scripts of southern and eastern Asia words are not parted by blanks.
_LETTERS: Final = r"[^\W\u0e00-\uabff\uf900-\U0010ffff]{2}"
_SIGN: Final = r"[.,:/+'\u2019\u2013\u2212\u00a0\u202f-]"
_JOINED: Final = re.compile(rf"{_LETTERS}|\d{_SIGN}|{_SIGN}\d")
_PLAIN_MARKS: Final = re.compile(r"(?: \[(?:ref=\w{1,20}|cursor=pointer)\])*+")  # others say in which state a node is
# Nodes that say nothing by themselves: ones that others stand in, ones that nothing has to stand in, ones that only have a text.
_WRAPS: Final = frozenset(["generic", "list", "rowgroup", "presentation", "none"])
_BARE: Final = frozenset(["generic", "img"])
_TEXTS: Final = frozenset(["generic", "text", "paragraph", "img", "strong", "emphasis"])
# What is clicked on by its role, so that the mark says nothing.
_POINTED: Final = " [cursor=pointer]"
_LABELED: Final = frozenset(["radio", "checkbox", "switch"])  # by what stands beside them
# What is called by what stands in it. Others, as regions and groups, are called as their author likes: "Cart 2 items".
_NAMED_BY_CONTENT: Final = _LABELED | frozenset(
    """link button tab option heading menuitem menuitemcheckbox menuitemradio treeitem
    cell gridcell columnheader rowheader row tooltip""".split()  # noqa: SIM905
)
_CLICKED: Final = frozenset(
    "link button tab menuitem option checkbox radio switch combobox textbox searchbox spinbutton".split()  # noqa: SIM905
)


@dataclass(slots=True, repr=False)
class _Around:
    """A node that others stand in.

    Attributes:
        indent: its blanks.
        role: what it is.
        name: what the texts in it are a part of: what it is called by them, or what the node around it or the field that it
            labels is; "" if it may have texts of its own.
        pointed: it is clicked on, or a node around it is.
    """

    indent: int
    role: str
    name: str
    pointed: bool


class SnapshotOmitter:
    """The omitter for snapshots. Refs and names of all that can be acted on stay, and so does the order of the lines."""

    section = "snapshots"
    label = "snapshots:lines"

    def omit(self, text: str, request: Request, markers: Markers) -> str | None:
        """The text behind a marker, without what says nothing new; None if it is no snapshot, or that does not pay."""
        if max(map(text.count, _SIGNS)) < _MIN_LINES:
            return None
        left: list[str] = []
        gone: list[str] = []
        lines = lines_of(text)
        named = named_lines(lines, request)
        around: list[_Around] = []
        for number, line in enumerate(lines):
            kept = _left_of(line, around, named=number in named)
            if not kept and line:
                gone.append(line)
                continue
            if kept != line:
                gone.append(_POINTED)
            left.append(kept)
        if estimate("\n".join(gone).encode("utf-8", "surrogatepass")) < MIN_LEFT_OUT_TOKENS + _MARKER_TOKENS:
            return None
        said = "nodes without a name or text, texts that the name above them says, long addresses, cursors"
        return "\n".join([markers.leave_out(text, len(gone), "lines and marks", said), *left])


def _left_of(line: str, around: list[_Around], *, named: bool) -> str:
    """What stays of a line, "" if nothing does.

    Args:
        line: of the snapshot, or of what stands around it.
        around: the nodes that the line stands in, outer ones first; its own is added.
        named: the question names something in it.
    """
    node = _NODE.match(line)
    if node is None:
        return "" if not named and len(line) > _LONG_ADDRESS and _ADDRESS.match(line) else line
    indent = node.end("blanks")
    beside = None
    while around and around[-1].indent >= indent:
        beside = around.pop()
    outer = around[-1] if around else _Around(-1, "", "", pointed=False)
    role, name, text, opens = node["role"], node["name"] or "", node["text"] or "", node["opens"]
    clicked = role in _CLICKED
    pointed = clicked or _POINTED in node["marks"]
    labels = beside is not None and beside.indent == indent and beside.role in _LABELED and role == "generic"
    said = beside.name if beside is not None and labels else outer.name
    around.append(_Around(indent, role, _handed_down(role, name, said), pointed or outer.pointed))
    if not clicked and (outer.pointed or not pointed) and _PLAIN_MARKS.fullmatch(node["marks"]):
        if not name and not text:
            says_nothing = role in (_WRAPS if opens else _BARE) and not named
        else:
            says_nothing = role in _TEXTS and (bool(text) if opens else not text) and _says(said, name + text)
        if says_nothing:
            return ""
    return line.replace(_POINTED, "", 1) if clicked or outer.pointed else line


def _handed_down(role: str, name: str, said: str) -> str:
    """What a node's texts are a part of. A cell, an item, a field has texts of its own whatever the name around it says."""
    if name:
        return name if role in _NAMED_BY_CONTENT and len(name) <= _LONG_NAME else ""
    return said if role in _TEXTS else ""


def _says(name: str, text: str) -> bool:
    """A name says a text as well, or there is nothing to read in the text: signs of a font of pictures."""
    if text[:1] == text[-1:] == '"':
        text = text[1:-1]
    if not any(map(str.isprintable, text)):
        return True
    at = name.find(text)
    while at >= 0:
        # No part of a longer number or word.
        if not (_JOINED.match(name, at - 1) if at else None) and not _JOINED.match(name, at + len(text) - 1):
            return True
        at = name.find(text, at + 1)
    return False
