"""What the watcher of a stream knows about the parts of an answer: whose they are, and where they go."""

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

from headroom_asgi.wire import Frame


class Fate(Enum):
    """What becomes of a part of an answer."""

    OPEN = "open"  # a call whose name may become our tool's
    OURS = "ours"
    SHOWN = "shown"


class WatchedPart:
    """One part of an answer while it streams.

    Attributes:
        fate: what becomes of it.
        name: of a call, as far as it is known.
        pieces: events with arguments since the name last grew.
        index: the client's index, None until the part is first shown, and where the dialect has none.
        is_text: it is visible text.
        leads_to: of what leads to another part: that part, itself until that has begun.
    """

    __slots__ = ("fate", "index", "is_text", "leads_to", "name", "pieces")

    def __init__(self, fate: Fate, *, is_text: bool = False) -> None:
        self.fate = fate
        self.is_text = is_text
        self.leads_to = self
        self.name = ""
        self.pieces = 0
        self.index: int | None = None


class Item(NamedTuple):
    """A frame, and for each of its events the part that it belongs to."""

    frame: Frame
    parts: Sequence[WatchedPart | None]
