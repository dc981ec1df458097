"""Times of a log's lines: where several lines are of the same second, the first one's time says it for all of them."""

import re
from collections.abc import Container
from typing import Final

from headroom_asgi._crush import estimate
from headroom_asgi.compressors.base import Request
from headroom_asgi.compressors.omission import MIN_LEFT_OUT_TOKENS, Markers

_MARKER_TOKENS: Final = 48
_MAX_TEXT: Final = 20_000  # characters of the question, and of the arguments
# Before a line's time may stand the number of a view or of a search hit, and the names of a job and of its step.
_TIME = re.compile(
    r"""
    (?P<before> (?:\ {0,8}[0-9]{1,7}[:\t→-])? (?P<names>[^\t\n]{1,80}\t[^\t\n]{1,120}\t\ufeff?)? )
    (?P<time> [\[(]?
      (?P<second> (?:[0-9]{4}[-/][0-9]{2}[-/][0-9]{2}[T\ ]|[A-Z][a-z]{2}\ [\ 0-9][0-9]\ )? [0-9]{2}:[0-9]{2}:[0-9]{2})
      (?:[.,][0-9]{1,9})? (?:Z|\ ?UTC|\ ?[+-][0-9]{2}:?[0-9]{2})?
    [\])]? (?:[\t\ ](?:-\ )?|$) )
    """,
    re.VERBOSE,
)
_STARTS: Final = frozenset("[( 0123456789JFMASOND")  # of a line that begins with its time, or with a number
_WIDE: Final = 200  # characters in which names before a time end
_ASKS_FOR_TIMES = re.compile(
    r"\b(?:timings?|timestamps?|milliseconds?|slow(?:er|est|ly)?|latenc(?:y|ies)|durations?|how long|profil(?:e|ing))\b",
    re.IGNORECASE,
)


def without_times(text: str, request: Request, whole: Container[str], markers: Markers) -> str | None:
    """The log behind a marker, with a time only where its second is another than that of the last one; None if that does not pay.

    What is left out is less than a second of each time. The marker gives back the log as it came. Where names stand before the
    times, they have to be the same: rows of a table differ in them, and their times are theirs.

    Args:
        text: a log.
        request: a question about times keeps them all.
        whole: lines that keep their times.
        markers: where the log is kept.
    """
    if _asks_for_times(request):
        return None
    lines = text.split("\n")
    left: list[str] = []
    gone: list[str] = []
    last: tuple[str | None, ...] = ()  # whose time it was, and its second
    for line in lines:
        found = _TIME.match(line) if line[:1] in _STARTS or "\t" in line[:_WIDE] else None
        if found is None:
            left.append(line)
        elif found.group("names", "second") != last or line in whole:
            last = found.group("names", "second")
            left.append(line)
        else:
            gone.append(found["time"])
            left.append(f"{found['before']}{line[found.end() :]}")
    if estimate("".join(gone).encode()) < MIN_LEFT_OUT_TOKENS + _MARKER_TOKENS:
        return None
    marker = markers.leave_out(text, len(gone), "times", "a line without one is of the second of the last time above it")
    return "\n".join([marker, *left])


def _asks_for_times(request: Request) -> bool:
    asked = (request.question[-_MAX_TEXT:], request.arguments[:_MAX_TEXT])
    return any(_ASKS_FOR_TIMES.search(text) for text in asked)
