"""Long prose by its sentences: those that lead, that say what was asked for, and as many others as fit a fixed budget."""

import re
from collections.abc import Sequence
from typing import Final

from headroom_asgi._crush import estimate
from headroom_asgi.compressors.base import Request
from headroom_asgi.compressors.lines import named_lines
from headroom_asgi.compressors.needles import topics
from headroom_asgi.compressors.omission import MARK, MIN_LEFT_OUT_TOKENS, Markers
from headroom_asgi.compressors.prose import Sentence, Span, sentences

# Tokens of prose in one text that stay whatever they say. A number, not a share: a text that fits is not touched at all.
BUDGET: Final = 1000
_MAX_CHARS: Final = 1 << 20  # of a text that is looked at, which bounds the time; a longer one stays whole
# A gap takes eight tokens, and a reader who has to ask for it a round: fewer tokens in a row are not left out.
_GAP_TOKENS: Final = 8
_MIN_GAP_TOKENS: Final = 24
_GAP: Final = re.compile(r"\[[0-9]+ sentences? left out\]")
_TROUBLE: Final = re.compile(
    r"\b(?:errors?|fail(?:s|ed|ure|ures)?|exceptions?|warnings?|caution|must|never|not allowed|forbidden|denied|deprecated"
    r"|breaking|unsupported|required|important|invalid|critical|fatal)\b",
    re.IGNORECASE,
)
# What facts look like: figures, quoted words, paths and names of things, names in the middle of a sentence.
_FACT: Final = re.compile(r"[0-9]|[`\"“«]|\w[./_@:]\w|(?<=[a-z,] )[A-Z]")
_MAX_HITS: Final = 3  # words of the question in a sentence; with more it comes first all the same


class Extractor:
    """The omitter for prose: whole sentences go, each run of them for a gap that says how many."""

    section = "extract"
    label = "extract:sentences"

    def omit(self, text: str, spans: Sequence[Span], request: Request, markers: Markers) -> str | None:
        """The text with gaps behind one marker, under which all of it is kept; None if it is short, or hardly any prose."""
        if len(text) > _MAX_CHARS or _GAP.search(text):
            return None
        found = sentences(text, spans)
        said = [text[sentence.start : sentence.end] for sentence in found]
        sizes = [estimate(each.encode("utf-8", "surrogatepass")) for each in said]
        if sum(sizes) < BUDGET + MIN_LEFT_OUT_TOKENS:
            return None
        gaps = _gaps(text, found, sizes, _chosen(found, said, sizes, request))
        if sum(sum(sizes[first:behind]) - _GAP_TOKENS for first, behind in gaps) < MIN_LEFT_OUT_TOKENS:
            return None
        count = sum(behind - first for first, behind in gaps)
        head = markers.leave_out(text, count, "sentences", f"of {len(found)}; each gap below says how many")
        pieces = [head, "\n"]
        at = 0
        for first, behind in gaps:
            number = behind - first
            pieces += (text[at : found[first].start], f"[{number} sentence{'s' if number > 1 else ''} left out]")
            at = found[behind - 1].end
        return "".join([*pieces, text[at:]])


def _chosen(found: Sequence[Sentence], said: Sequence[str], sizes: Sequence[int], request: Request) -> list[bool]:
    """For each sentence, whether it stays.

    What leads, the last one, what holds a literal of the question or of the call, and what tells of trouble or of a duty stay in
    any case; then what shares words with the question, and what holds facts before what holds none, in order, up to the budget.
    """
    named = named_lines([each.replace("\n", " ") for each in said], request)
    stays = [
        sentence.leads or number in named or MARK in each or _TROUBLE.search(each) is not None
        for number, (sentence, each) in enumerate(zip(found, said, strict=True))
    ]
    stays[-1] = True
    left = BUDGET - sum(size for size, stay in zip(sizes, stays, strict=True) if stay)
    asked = topics(request.question, request.arguments)
    ranks: list[list[int]] = [[] for _ in range(2 * (_MAX_HITS + 1))]
    for number, each in enumerate(said):
        if not stays[number]:
            hits = min(len(topics(each) & asked), _MAX_HITS)
            ranks[2 * (_MAX_HITS - hits) + (_FACT.search(each) is None)].append(number)
    for number in (number for rank in ranks for number in rank):
        if left < sizes[number]:
            break
        stays[number] = True
        left -= sizes[number]
    return stays


def _gaps(text: str, found: Sequence[Sentence], sizes: Sequence[int], stays: Sequence[bool]) -> list[Span]:
    """Runs of sentences that go, `[first, behind)`, with nothing but blanks between them, and worth a gap."""
    gaps: list[Span] = []
    at = 0
    while at < len(stays):
        end = at
        while end < len(stays) and not stays[end] and (end == at or not text[found[end - 1].end : found[end].start].strip()):
            end += 1
        if end > at and sum(sizes[at:end]) >= _MIN_GAP_TOKENS:
            gaps.append((at, end))
        at = max(end, at + 1)
    return gaps
