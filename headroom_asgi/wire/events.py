"""A stream in neutral form: frames of events, and what a dialect does with them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Final

from headroom_asgi.wire.answers import Answer

PIECE_BYTES: Final = 48  # what a piece of an answer costs beside its text, in a list


class EventKind(Enum):
    """What an event of a stream means. The order of kinds inside one frame is the order of this list."""

    START = "start"  # the answer begins: identity, role
    TEXT = "text"  # visible text: a delta, or the start or end of a text part
    SIGNED = "signed"  # signed reasoning, same three
    LEADING = "leading"  # what belongs to the part behind it and is hidden with it, same three
    OTHER = "other"  # any other part of the answer (unsigned reasoning, refusals, results of server tools)
    CALL = "call"  # a call begins, or goes on naming itself: `id`, `name` (maybe a first piece of it)
    PIECE = "piece"  # more of a call's arguments, or the end of a call
    FINISH = "finish"  # the reason why the round ended
    USAGE = "usage"  # token counts
    END = "end"  # the last frame of a stream
    ERROR = "error"  # an error inside the stream
    OPAQUE = "opaque"  # keep-alives and whatever else passes


@dataclass(slots=True, repr=False)
class Event:
    """One thing that a frame says.

    Attributes:
        kind: what it means.
        index: the upstream's index of the part or call, None where the dialect has none. The watcher gives the client's index.
        id, name: of a CALL; `name` is the piece that this event adds.
        visible: a TEXT event that shows something (not an empty delta).
        blank: nobody can see anything of it, whatever its kind: reasoning that the provider keeps to itself.
        begins: a part begins here, whatever had its index before: there are servers that give every part the same one.
        data: the dialect's own piece of the frame; nobody else looks at it.
    """

    kind: EventKind
    index: int | None = None
    id: str = ""
    name: str = ""
    visible: bool = False
    blank: bool = False
    begins: bool = False
    data: Any = None


@dataclass(slots=True, repr=False)
class Frame:
    """The smallest unit that a stream is passed on in: its bytes as they came, and what they say."""

    raw: bytes
    events: list[Event] = field(default_factory=list)
    data: Any = None

    def moved(self, event: Event, index: int | None) -> Event:
        """The event with the client's index."""
        return event if event.index == index else replace(event, index=index)


class StreamCodec(ABC):
    """Both directions of one exchange's stream, over all rounds: upstream bytes to frames, kept events to client bytes.

    Keeps what the dialect needs across rounds (the identity of the first round) and assembles each round's answer.

    Attributes:
        held_bytes: what is kept of the round's answer, about.
    """

    held_bytes: int = 0

    @abstractmethod
    def begin_round(self) -> None:
        """A new upstream stream starts; what was assembled is forgotten, the client's identity stays."""

    def begin_anew(self) -> int | None:
        """As `begin_round`, where the client got nothing of the rounds before: their identity need not stay. How many parts of
        theirs it gets all the same, behind the new beginning. None where the identity stays, and nothing was done.
        """
        return None

    def retracing(self, retrace: Callable[[bytes], bytes]) -> None:  # noqa: ARG002 - few answers name such places
        """Give JSON that names places in the request to this first (`WireFormat.retraced`)."""
        return

    @abstractmethod
    def feed(self, chunk: bytes) -> list[Frame]:
        """The frames that are complete now; concatenated `raw` of all frames is the input. Also assembles the answer."""

    @abstractmethod
    def close(self) -> list[Frame]:
        """The rest at the end of the upstream's stream."""

    @abstractmethod
    def answer(self) -> Answer:
        """The round's whole answer, as its JSON twin would be. ResponseError if what came makes none."""

    @abstractmethod
    def forget(self) -> None:
        """Keep nothing more of the round's answer, which is too long. Frames go on; the answer is not asked for."""

    @abstractmethod
    def encode(self, frame: Frame, events: Sequence[Event]) -> bytes:
        """Client bytes for those events of the frame that are kept, with the client's indices.

        All of them, unchanged, in the first round: exactly `frame.raw`. None: b"".
        """

    @abstractmethod
    def separator(self) -> bytes:
        """What goes between the texts of two rounds, b"" where they are separate parts anyway."""

    @abstractmethod
    def notice(self, text: str, index: int) -> bytes:
        """A short text part of our own, where an answer would otherwise be empty."""

    @abstractmethod
    def finish(self, frames: Sequence[Frame], answers: Sequence[Answer], *, stopped: bool) -> bytes:
        """The held terminal frames (FINISH, USAGE, END), once: usage summed over rounds.

        Args:
            frames: the terminal frames of the last round.
            answers: the answers of all rounds.
            stopped: no call is left for the client although the reason says so: say that the model stopped.
        """

    @abstractmethod
    def error(self, message: str) -> bytes:
        """The dialect's in-band error, which ends a stream that cannot go on."""

    @abstractmethod
    def keep_alive(self) -> bytes:
        """What tells a waiting client that the stream lives, as far as every known client takes it; b"" where there is nothing.

        Only asked for between frames, when the beginning of an answer was sent.
        """
