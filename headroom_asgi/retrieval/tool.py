"""The retrieve tool: its definition, and what one exchange answers when the model calls it."""

import json
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from headroom_asgi.retrieval.excerpt import Excerpt, excerpt
from headroom_asgi.types import RETRIEVE_NAME, ToolCall, ToolResult, ToolSpec

TOOL: Final = ToolSpec(
    # Every request of a conversation carries this: some 70 o200k tokens, at most 130 in any dialect, and no byte that varies.
    name=RETRIEVE_NAME,
    description="What <<ccr:REF ...>> left out",
    parameters={
        "type": "object",
        "properties": {
            "ref": {"type": "string"},
            "query": {"type": "string"},
            "offset": {"type": "integer"},
            "limit": {"type": "integer"},
        },
        "required": ["ref"],
    },
)

PAGE_BYTES: Final = 65_536  # one answer: some 16,000 tokens, which fits beside a conversation in every model that calls tools
# What a model that was talked into it may ask for within one exchange, beside the bytes: texts of earlier exchanges at once, and
# characters to search through, some twelve seconds of work in the worst case.
_MAX_LOADED: Final = 64
_MAX_SEARCHED: Final = 64 * 1024 * 1024
_MIN_PAGE_BYTES = 512  # less room than this holds no useful excerpt and its notes
_CRUSHED = ("[json", "[text")  # how a text starts that is one of lines already
_MAX_ROW = 400  # characters of an element or member that is found as one
_MAX_ECHO = 200  # characters of the model's own words that are repeated to it

_EXPECTED = (
    'call headroom_retrieve with {"ref": "..."} as it stands in a <<ccr:REF ...>> line; '
    'optional: "query" (string), "offset" and "limit" (numbers of characters, 0 or more)'
)
_GONE = "what was left out there is not kept any more; call the tool that it came from again if you need it"
_LIMIT_REACHED = "retrieval limit reached, answer with what you have"

_QUOTES = " \t\r\n\"'`"
_MARKER = re.compile(r"(?:<*ccr:)?\s*([^\s<>]+)")  # a ref, or a marker pasted whole or in part
# Commas outside of strings; a string that never ends is one all the same, else each of its quotes would be tried.
_COMMA = re.compile(r'("(?:[^"\\]|\\.)*+"?)|,')
_COMMA_BEHIND = re.compile(r'("(?:[^"\\]|\\.)*+"?)|(?<=[]}]),')  # behind an object or array
_NUMBER = re.compile(r"\s*[0-9]{1,18}\s*")


class Originals:
    """What one exchange left out and can hand back. Nothing else can be redeemed through it.

    Args:
        texts: whole texts by ref, and what was left out of them by the name in its marker, `REF-PART`; or what gives them,
            as most exchanges ask for none.
        max_bytes: UTF-8 bytes that may be handed out in one exchange.
        earlier: names of what earlier exchanges left out of the same conversation, which the provider holds; `load` brings them.
        view: a text to a form of it with a line for each thing that can be found, where it knows one.
    """

    __slots__ = ("_earlier", "_max_bytes", "_searched", "_sought", "_texts", "_view", "_whence")

    def __init__(
        self,
        texts: Mapping[str, str] | Callable[[], Mapping[str, str]],
        *,
        max_bytes: int,
        earlier: Iterable[str] = (),
        view: Callable[[str], str] = str,
    ) -> None:
        self._whence = texts
        self._texts: dict[str, str] | None = None
        self._earlier = frozenset(earlier)
        self._max_bytes = max_bytes
        self._view = view
        self._sought: set[str] = set()  # names of earlier exchanges that were looked for
        self._searched = 0  # characters

    @property
    def size(self) -> int:
        """Characters that a search may have to go through."""
        return max(map(len, self._known.values()), default=0)

    @property
    def _known(self) -> dict[str, str]:
        if self._texts is None:
            self._texts = dict(self._whence() if callable(self._whence) else self._whence)
        return self._texts

    def missing(self, calls: Iterable[ToolCall]) -> list[str]:
        """Names that calls ask for, and earlier exchanges wrote, whose texts are not here yet; no more than may be brought."""
        wanted = (_parse(call.arguments) for call in calls if call.name == TOOL.name)
        names = dict.fromkeys(each.ref for each in wanted if not isinstance(each, str))
        wanting = [name for name in names if name in self._earlier and name not in self._known and name not in self._sought]
        wanting = wanting[: max(0, _MAX_LOADED - len(self._sought))]
        self._sought.update(wanting)
        return wanting

    def admit(self, names: Iterable[str]) -> None:
        """More of what earlier exchanges left out, which was not known before."""
        self._earlier |= set(names)

    def load(self, texts: Mapping[str, str]) -> None:
        """Texts of earlier exchanges. ValueError for a name that none of them wrote."""
        if not texts.keys() <= self._earlier:
            raise ValueError("nothing of this conversation")
        self._known.update(texts)

    def answer(self, call: ToolCall, spent: int = 0) -> ToolResult:
        """The result of one call: the same for the same call, as long as there is room for it.

        Args:
            call: a call of our tool.
            spent: bytes handed out in this exchange so far.
        """
        room = min(PAGE_BYTES, self._max_bytes - spent)
        if room < _MIN_PAGE_BYTES:  # however wrong the call is: wrong ones are answered as well, and there may be many
            return ToolResult(call, _LIMIT_REACHED, is_error=True)
        wanted = _parse(call.arguments)
        if isinstance(wanted, str):
            return ToolResult(call, wanted, is_error=True)
        text = self._known.get(wanted.ref)
        if text is None:
            unsought = wanted.ref in self._earlier and wanted.ref not in self._sought
            gone = _GONE if wanted.ref in self._earlier else _unknown(wanted.ref)
            return ToolResult(call, _LIMIT_REACHED if unsought else gone, is_error=True)
        found = None
        if wanted.query:
            self._searched += len(text)
            if self._searched > _MAX_SEARCHED and self._searched > len(text):
                return ToolResult(call, _LIMIT_REACHED, is_error=True)
            found = excerpt(self._lines(text), wanted.query, _call(wanted.ref))
            text = found.text
        if wanted.offset and wanted.offset >= len(text):
            problem = f"offset {wanted.offset} is past the end: there are {len(text)} characters"
            return ToolResult(call, problem, is_error=True)
        return ToolResult(call, _page(text, wanted, room, found))

    def _lines(self, text: str) -> str:
        """A text with a line for each thing that can be found; of JSON on one line, for each short container."""
        lines = text if text.startswith(_CRUSHED) else self._view(text)
        if lines.startswith(("[", "{")) and "\n" not in lines.strip():
            rows = _split(_COMMA_BEHIND, lines).split("\n")
            lines = "\n".join(row if len(row) <= _MAX_ROW else _split(_COMMA, row) for row in rows)
        return lines


def _split(commas: re.Pattern[str], text: str) -> str:
    """A text with a line feed behind each comma."""
    return commas.sub(lambda match: match[1] or ",\n", text)


@dataclass(frozen=True, slots=True, repr=False)
class _Wanted:
    """The arguments of a call. `limit` 0: as much as fits."""

    ref: str
    query: str
    offset: int
    limit: int


def _parse(arguments: str) -> "_Wanted | str":
    """What is wanted, or what is wrong with the arguments."""
    try:
        given = json.loads(arguments)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        return f"the arguments are not a JSON object: {_EXPECTED}"
    ref = given.get("ref")
    named = _MARKER.match(ref.strip(_QUOTES)) if isinstance(ref, str) else None
    if named is None:
        return f"ref is missing: {_EXPECTED}"
    query = given.get("query")
    if isinstance(query, int | float):
        query = json.dumps(query)
    if not isinstance(query, str | None):
        return f"query is not a string: {_EXPECTED}"
    offset, limit = _count(given.get("offset")), _count(given.get("limit"))
    if offset is None or limit is None:
        return f"offset or limit is not a number of characters: {_EXPECTED}"
    return _Wanted(named[1].rstrip(_QUOTES), (query or "").strip(), offset, limit)


def _count(value: object) -> int | None:
    """A number of characters, None if the value is none. What models write for "not given" is 0."""
    if value is None or value == "":
        return 0
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if value >= 0 and value == value // 1 else None


def _unknown(ref: str) -> str:
    return (
        f'the ref "{ref[:_MAX_ECHO]}" was not written in this conversation, so nothing can be returned for it; do not try it '
        "again. If you need that content, call the tool that it came from again."
    )


def _call(ref: str) -> str:
    return f'{TOOL.name} with ref="{ref}"'


def _page(text: str, wanted: _Wanted, room: int, found: Excerpt | None) -> str:
    """As much of the text from the offset on as was asked for and fits; if that is not the rest, with a line on how to go on.

    Of what was found never more than one block of entries, which is what was asked for unless something else is.
    """
    start = wanted.offset
    stop = len(text)
    if found is not None and found.stops:
        stop = min(stop, found.stops[bisect_right(found.stops[:-1], start)])
    if wanted.limit:
        stop = min(stop, start + wanted.limit)
    end = _fitting(text, start, stop, room)
    if end >= len(text):
        return text[start:]
    # The last line gets its room first. It is longest for the widest offset, and with a line feed in front of it.
    last_line = len(_more(text, wanted, start, found).encode("utf-8", "surrogatepass")) + len(str(len(text))) + 1
    end = _fitting(text, start, stop, room - last_line)
    # Whole lines, unless that would give away more than half of the page.
    line_end = text.rfind("\n", start, end + 1) + 1 if end < stop else end
    if line_end - start > (end - start) // 2:
        end = min(line_end, end)
    return text[start:end] + _more(text, wanted, end, found)


def _fitting(text: str, start: int, stop: int, room: int) -> int:
    """The end of the longest piece that has at most `room` UTF-8 bytes and does not go beyond `stop`."""
    end = min(len(text), stop, start + room)
    data = text[start:end].encode("utf-8", "surrogatepass")
    if len(data) <= room:
        return end
    while data[room] & 0xC0 == 0x80:  # not inside a character
        room -= 1
    return start + len(data[:room].decode("utf-8", "surrogatepass"))


def _more(text: str, wanted: _Wanted, end: int, found: Excerpt | None) -> str:
    """The line that says how to go on from `end`."""
    query = f", query={json.dumps(wanted.query, ensure_ascii=False)}" if wanted.query else ""
    if len(query) > _MAX_ECHO:
        query = ", the same query"
    gap = "" if text.endswith("\n", 0, end) else "\n"
    rest = f"{len(text) - end} more characters"
    if found is not None and found.ends:
        rest = f"{len(found.ends) - bisect_right(found.ends, end)} more matching {found.noun}"
    return f"{gap}[... {rest}; call {_call(wanted.ref)}{query}, offset={end}]"
