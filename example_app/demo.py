"""The demo's own conversations, sent through the gateway and compared with what the client said and what was right."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from statistics import fmean, median
from typing import Any

import httpx

from example_app.client import Client, run
from example_app.conversations import Conversation, dozen, warm_up
from example_app.report import count, milliseconds, percent, table
from example_app.tokens import RequestCounter

DIRECT = "/direct"
_VARIANTS = 3  # runs of each conversation for the added time, on different data, so that nothing is remembered

FOOTNOTE = (
    "tokens: exact, o200k_base, summed over every request of a conversation; before: as the client sent them, after: as the\n"
    "upstream got them, the tool definition and the hidden rounds of retrievals included.\n"
    "added ms: mean per request, retrieval rounds included, minus the same conversation through the gateway with mode=off;\n"
    f"median of {_VARIANTS} runs on different data, so that each text is seen for the first time."
)
HEADS = (
    "conversation",
    "route",
    "format",
    "streamed",
    ">tokens before",
    ">after",
    ">saved",
    ">added ms",
    ">retrievals",
    "answer",
)


@dataclass(frozen=True, slots=True)
class Places:
    """Where the demo sends requests and reads what happened.

    Attributes:
        gateway, upstream: connections to the two servers.
        counter: counts the tokens of a request.
    """

    gateway: httpx.Client
    upstream: httpx.Client
    counter: RequestCounter

    def seen(self, session: str, after: int) -> dict[str, Any]:
        """What the upstream noted about a conversation, with the requests after the first `after` ones."""
        response = self.upstream.get(f"/_seen/{session}", params={"after": after})
        noted: dict[str, Any] = response.raise_for_status().json()
        return noted

    def stats(self) -> dict[str, int]:
        """The upstream's counts over all conversations."""
        sums: dict[str, int] = self.upstream.get("/_stats").raise_for_status().json()
        return sums


@dataclass(frozen=True, slots=True)
class Row:
    """One conversation's result."""

    conversation: Conversation
    before: int
    after: int
    added_ms: float
    retrievals: int
    wrong: tuple[str, ...]

    def cells(self) -> list[str]:
        """The row as the table shows it."""
        told = self.conversation
        figures = [count(self.before), count(self.after), percent(self.before, self.after), milliseconds(self.added_ms)]
        kind = [told.name, told.route.strip("/") or "default", told.wire_format, "yes" if told.stream else "no"]
        return [*kind, *figures, str(self.retrievals), "WRONG" if self.wrong else "right"]


def play(places: Places) -> tuple[str, list[str]]:
    """Send the dozen; the table, and what went wrong."""
    for conversation in warm_up():
        for route in (conversation.route, DIRECT):
            session = f"warm-up/{conversation.wire_format}/{conversation.stream}{route}"
            list(run(Client(places.gateway, conversation.wire_format, route, session), conversation))
    variants = zip(*map(dozen, range(_VARIANTS)), strict=True)
    rows = [_row([_play_one(places, told, n) for n, told in enumerate(conversations)]) for conversations in variants]
    before, after = sum(row.before for row in rows), sum(row.after for row in rows)
    problems = [f"{row.conversation.name}: {wrong}" for row in rows for wrong in row.wrong]
    right = sum(not row.wrong for row in rows)
    sums = [count(before), count(after), percent(before, after), milliseconds(fmean(row.added_ms for row in rows))]
    total = ["total", "", "", "", *sums, str(sum(row.retrievals for row in rows)), f"{right}/{len(rows)}"]
    return table(HEADS, [row.cells() for row in rows], total), problems


def _row(variants: Sequence[Row]) -> Row:
    """The first variant's row, with what went wrong in any, and the median of the added time."""
    wrong = tuple(problem for row in variants for problem in row.wrong)
    return replace(variants[0], added_ms=median(row.added_ms for row in variants), wrong=wrong)


def _play_one(places: Places, conversation: Conversation, variant: int) -> Row:
    """One conversation with the middleware, and the same without it."""
    session = f"{conversation.name.replace(' ', '-')}/{variant}"
    direct = Client(places.gateway, conversation.wire_format, DIRECT, f"{session}/direct")
    direct_ms = [sent.ms for sent, _ in run(direct, conversation)]
    before = after = 0
    sent_ms: list[float] = []
    answers: list[str] = []
    noted: dict[str, Any] = {"seen": 0, "retrievals": 0}
    for sent, answer in run(Client(places.gateway, conversation.wire_format, conversation.route, session), conversation):
        noted = places.seen(session, noted["seen"])
        before += places.counter(sent.body)
        after += sum(map(places.counter, noted["bodies"]))
        sent_ms.append(sent.ms)
        answers += [] if answer is None else [answer if sent.status == 200 else f"status {sent.status}"]
    expected = [question.expected for question in conversation.questions]
    pairs = zip_longest(expected, answers, fillvalue="")
    wrong = tuple(f"expected {right!r}, got {answer!r}" for right, answer in pairs if not answer.endswith(right))
    return Row(conversation, before, after, fmean(sent_ms) - fmean(direct_ms), noted["retrievals"], wrong)
