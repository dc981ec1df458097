"""What the scripted upstream remembers of its conversations: the newest requests, digests of prefixes, counts."""

from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from example_app.answers import RETRIEVE_TOOL
from example_app.view import Item, digest

_MAX_SESSIONS = 128  # the oldest are forgotten, since the demo may stay up for days
_MAX_BODIES = 8  # kept per conversation: more than the rounds that one request of a client takes
_COUNTS = (
    "seen",
    "requests",
    "validation_failures",
    "retrievals",
    "prefix_broken",
    "forgotten",
    "unread",
    "tokens_in",
    "tokens_out",
)


@dataclass(slots=True)
class Session:
    """What one conversation sent so far.

    Attributes:
        bodies: the newest valid requests.
        seen: the number of valid requests.
        prefix: digests of the head (system and tools) and of each message, as the last request of the client had them.
        cached: the same of the last request at all, which may be a hidden round that the client knows nothing of.
        requests, validation_failures: counts.
        retrievals: calls of the retrieve tool that the model made.
        prefix_broken: requests in which earlier messages differ from those that the client's last one had.
        forgotten: requests in which something of the hidden rounds before them is missing or different.
        unread: pieces of reasoning that the model did not get to see.
        tokens_in, tokens_out: the usage of all answers.
    """

    bodies: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=_MAX_BODIES))
    seen: int = 0
    prefix: list[str] = field(default_factory=list)
    cached: list[str] = field(default_factory=list)
    requests: int = 0
    validation_failures: int = 0
    retrievals: int = 0
    prefix_broken: int = 0
    forgotten: int = 0
    unread: int = 0
    tokens_in: int = 0
    tokens_out: int = 0

    def counts(self) -> dict[str, int]:
        """The counts, by name."""
        return {name: getattr(self, name) for name in _COUNTS}

    def see(self, sent: dict[str, Any], prompt: Sequence[Any], items: Sequence[Item], *, hidden: bool) -> None:
        """Note a valid request, and whether it only extends what was sent before.

        Args:
            sent: the request's body.
            prompt: what the model reads: the head and each message.
            items: the same, in neutral form.
            hidden: the request answers our own tool. It is compared, but not what later requests of the client are compared with.
        """
        self.bodies.append(sent)
        self.requests += 1
        self.seen += 1
        now = [digest(part) for part in prompt]
        self.prefix_broken += now[: len(self.prefix)] != self.prefix
        asked = sum(item.kind == "call" and item.name == RETRIEVE_TOOL for item in items)
        self.forgotten += now[: len(self.cached)] != self.cached or asked != self.retrievals
        self.cached = now
        if not hidden:
            self.prefix = now


class Sessions:
    """The conversations that the upstream remembers, and the sums of their counts."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._forgotten = Session()

    def get(self, name: str) -> Session:
        """A conversation's record, made if it is new."""
        session = self._sessions.setdefault(name, Session())
        self._sessions.move_to_end(name)
        if len(self._sessions) > _MAX_SESSIONS:
            _, oldest = self._sessions.popitem(last=False)
            for key, count in oldest.counts().items():
                setattr(self._forgotten, key, getattr(self._forgotten, key) + count)
        return session

    def sums(self) -> dict[str, int]:
        """The counts over all conversations."""
        every = [self._forgotten.counts(), *(session.counts() for session in self._sessions.values())]
        return {key: sum(counts[key] for counts in every) for key in every[0]}
