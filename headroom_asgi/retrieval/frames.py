"""What frames and events of a stream mean to its watcher."""

from typing import Final

from headroom_asgi.retrieval.fates import WatchedPart
from headroom_asgi.wire import Event, EventKind, Frame

TERMINAL: Final = frozenset({EventKind.FINISH, EventKind.USAGE, EventKind.END})
CONTENT: Final = frozenset(
    {EventKind.TEXT, EventKind.SIGNED, EventKind.LEADING, EventKind.OTHER, EventKind.CALL, EventKind.PIECE}
)


def ends_round(frame: Frame) -> bool:
    """The frame ends the round; usage beside content or the start is only a figure so far."""
    kinds = {event.kind for event in frame.events}
    return not kinds.isdisjoint((EventKind.FINISH, EventKind.END)) or (
        EventKind.USAGE in kinds and kinds <= {EventKind.USAGE, EventKind.OPAQUE}
    )


def says_nothing(frame: Frame) -> bool:
    """A keep-alive, or what no dialect can read."""
    return all(event.kind is EventKind.OPAQUE for event in frame.events)


def is_text(event: Event) -> bool:
    """Text that shows, or the start or end of a text part; an empty delta outside any part is neither."""
    return event.kind is EventKind.TEXT and (event.visible or event.index is not None)


def leads_to_text(part: WatchedPart | None) -> bool:
    """What leads to a part leads to text."""
    return part is not None and part.leads_to is not part and part.leads_to.is_text


def shows(event: Event) -> bool:
    """The client sees something of the answer with it."""
    return event.kind in CONTENT and not event.blank and (event.kind is not EventKind.TEXT or event.visible)
