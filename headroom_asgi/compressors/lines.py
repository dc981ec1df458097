"""Lines of one text: which of them a question names, and runs of them left out."""

from collections.abc import Callable, Sequence
from typing import Final

from headroom_asgi._crush import Words
from headroom_asgi.compressors.base import Request
from headroom_asgi.compressors.needles import needles
from headroom_asgi.compressors.omission import Markers, pays

# Lines of a text that are looked at one by one, ten megabytes of usual ones; a text of more stays whole, which bounds the time.
_MAX_LINES: Final = 100_000
# A literal that so many lines hold is what the whole text is about; it tells no line from another.
_MANY_LINES: Final = 24
_FEW_LINES: Final = 3  # whatever share of the text that is


def lines_of(text: str) -> list[str]:
    """The lines of a text, split at line feeds; none where they are too many to be looked at."""
    return text.split("\n") if text.count("\n") < _MAX_LINES else []


def named_lines(lines: Sequence[str], request: Request, share: int = 1) -> set[int]:
    """Numbers of the lines that hold a literal of the question or of the call's arguments.

    Args:
        lines: of the text.
        request: what is asked.
        share: a literal that more than one line in so many holds names none of them: a file's name in the results of its tests.
    """
    literals = needles(request.question, request.arguments)
    if not literals:
        return set()
    most = min(_MANY_LINES, max(_FEW_LINES, len(lines) // share))
    data = "\n".join(lines).encode("utf-8", "surrogatepass").lower()
    return Words(literal.lower() for literal in literals).lines(data, most=most, apart=True)


def with_words(lines: Sequence[str], words: Words) -> set[int]:
    """Numbers of the lines that hold one of these words, which are in lower case."""
    return words.lines("\n".join(lines).lower().encode("utf-8", "surrogatepass"))


def leave_out_runs(
    lines: Sequence[str],
    reasons: Sequence[str],
    markers: Markers,
    said: Callable[[int, int], str],
) -> str | None:
    """The text without the runs of lines that have a reason to go, each behind a marker on a line of its own; None if none pays.

    Args:
        lines: of the text, split at line feeds.
        reasons: for each line why it may go, e.g. "passed test"; "" for one that stays.
        markers: where the runs are kept, as they stood there.
        said: what the marker says of the lines from one number up to another.
    """
    kept: list[str] = []
    count = len(markers.omissions)
    at = 0
    while at < len(lines):
        end = at
        while end < len(lines) and reasons[end]:
            end += 1
        run = lines[at:end]
        whole = "\n".join(run)
        if end > at and pays(whole):
            kept.append(markers.leave_out(whole, len(run), "line" if len(run) == 1 else "lines", said(at, end)))
        else:
            kept += run
        kept += lines[end : end + 1]
        at = end + 1
    return "\n".join(kept) if len(markers.omissions) > count else None
