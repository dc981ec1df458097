"""The demo's own conversations, sent through the gateway and compared with what the client said and what was right."""

from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

import httpx

from example_app.client import Client, DemoError, Sent, run
from example_app.conversations import Conversation, dozen, warm_up
from example_app.report import count, milliseconds, percent, table
from example_app.tokens import RequestCounter

DIRECT = "/direct"
_REPEATS = 3  # of the conversation without the middleware, whose median is compared with

FOOTNOTE = (
    "tokens: exact, o200k_base, summed over every request of a conversation; before: as the client sent them, after: as the\n"
    "upstream got them, the tool definition and the hidden rounds of retrievals included.\n"
    "added ms: mean per request; with the middleware (each text seen for the first time, retrieval rounds included) minus the\n"
    f"same conversation through the same gateway with mode=off (median of {_REPEATS})."
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
        kind = [told.name, told.route or "default", told.wire_format, "yes" if told.stream else "no"]
        return [*kind, *figures, str(self.retrievals), "WRONG" if self.wrong else "right"]


def play(places: Places) -> tuple[str, list[str]]:
    """Send the dozen; the table, and what went wrong."""
    for conversation in warm_up():
        for route in (conversation.route, DIRECT):
            session = f"warm-up/{conversation.wire_format}/{conversation.stream}{route}"
            list(run(Client(places.gateway, conversation.wire_format, route, session), conversation))
    rows = [_play_one(places, conversation) for conversation in dozen()]
    before, after = sum(row.before for row in rows), sum(row.after for row in rows)
    problems = [f"{row.conversation.name}: {wrong}" for row in rows for wrong in row.wrong]
    right = sum(not row.wrong for row in rows)
    sums = [count(before), count(after), percent(before, after), milliseconds(fmean(row.added_ms for row in rows))]
    total = ["total", "", "", "", *sums, str(sum(row.retrievals for row in rows)), f"{right}/{len(rows)}"]
    return table(HEADS, [row.cells() for row in rows], total), problems


def _play_one(places: Places, conversation: Conversation) -> Row:
    """One conversation with the middleware, and a few times without it."""
    session = conversation.name.replace(" ", "-").replace(",", "")
    client = Client(places.gateway, conversation.wire_format, conversation.route, session)
    before = after = 0
    sent_ms: list[float] = []
    wrong: list[str] = []
    noted: dict[str, Any] = {"seen": 0}
    expected = iter(conversation.questions)
    for sent, answer in run(client, conversation):
        noted = places.seen(session, noted["seen"])
        before += places.counter(sent.body)
        after += sum(map(places.counter, noted["bodies"]))
        sent_ms.append(sent.ms)
        if sent.status != 200:
            wrong.append(f"status {sent.status}")
        elif answer is not None:
            right = next(expected).expected
            wrong += [] if answer.endswith(right) else [f"expected {right!r}, got {answer!r}"]
    direct = [_direct_ms(places, conversation, f"{session}-direct-{n}") for n in range(_REPEATS)]
    added = [ms - median(others) for ms, *others in zip(sent_ms, *direct, strict=not wrong)]
    return Row(conversation, before, after, fmean(added), noted.get("retrievals", 0), tuple(wrong))


def _direct_ms(places: Places, conversation: Conversation, session: str) -> list[float]:
    """How long each request takes without the middleware."""
    sent: list[Sent] = [one for one, _ in run(Client(places.gateway, conversation.wire_format, DIRECT, session), conversation)]
    if failed := [one.status for one in sent if one.status != 200]:
        raise DemoError(f"{session}: status {failed[0]}")
    return [one.ms for one in sent]
