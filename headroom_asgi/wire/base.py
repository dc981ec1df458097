"""What every dialect offers: request bytes to segments and edits, answers and streams to neutral events and back.

A dialect is a codec and tables. The rooms above know only the types of this file: they decide what is shortened, which calls
are ours and what the client sees; the dialect knows where text sits and how things are spelled.
"""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, ClassVar

from headroom_asgi._crush import Document
from headroom_asgi.errors import PayloadError
from headroom_asgi.types import Edit, ToolCall, ToolResult, ToolSpec


class Segment:
    """One addressable piece of text in a payload, and what is known about it. Text is decoded when it is asked for.

    Attributes:
        node: the STRING node in the payload's document.
        role: the role of its message, as the dialect spells it.
        tool_name: the tool whose result this is, "" if unknown.
        is_error: the result is marked as an error.
        frozen: never to be touched (signed, cited, ours, not a tool result ...); such segments serve as context only.
    """

    __slots__ = ("_arguments", "_document", "_question", "_text", "frozen", "is_error", "node", "role", "tool_name")

    def __init__(
        self,
        document: Document,
        node: int,
        *,
        role: str,
        tool_name: str = "",
        arguments: int = -1,
        question: Sequence[int] = (),
        is_error: bool = False,
        frozen: bool = False,
    ) -> None:
        self._document = document
        self._text: str | None = None
        self._arguments = arguments
        self._question = question
        self.node = node
        self.role = role
        self.tool_name = tool_name
        self.is_error = is_error
        self.frozen = frozen

    @property
    def text(self) -> str:
        """The decoded text; unpaired surrogates stay surrogates."""
        if self._text is None:
            self._text = self._document.text(self.node)
        return self._text

    @property
    def span(self) -> tuple[int, int]:
        """Byte span of the string literal, quotes included."""
        return self._document.span(self.node)

    @property
    def tool_arguments(self) -> str:
        """JSON text of the arguments of the call that produced this text, "" if unknown."""
        if self._arguments < 0:
            return ""
        kind_is_text = self._document.raw(self._arguments)[:1] == b'"'
        return self._document.text(self._arguments) if kind_is_text else self._document.raw(self._arguments).decode("utf-8")

    @property
    def preceding_user_text(self) -> str:
        """Text of the nearest user message before this one, "" if there is none."""
        return "\n".join(self._document.text(node) for node in self._question)


@dataclass(frozen=True, slots=True)
class Payload:
    """A decoded request body of one dialect.

    Attributes:
        wire: its dialect.
        document: the scanned body.
        model: the requested model, "" if the body names none.
        stream: the client asked for a stream.
        structured: the client asked for structured output, so text of hidden rounds must not show.
        segments: every addressable text, in order.
    """

    wire: "WireFormat"
    document: Document
    model: str
    stream: bool
    structured: bool
    segments: tuple[Segment, ...]
    _decoded: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def decoded(self) -> Mapping[str, Any]:
        """What extensions see: the values of the dialect's `fields`, decoded once. Not to be changed; hand out copies.

        Raises:
            PayloadError: they are nested deeper than Python's parser goes.
        """
        if not self._decoded:
            self._decoded.update(self.wire.values(self))
        return self._decoded

    @property
    def body(self) -> bytes:
        """The bytes that were decoded; the same object."""
        return self.document.data


@dataclass(frozen=True, slots=True)
class Offer:
    """How the retrieve tool gets into a request: `edits` to make, or the `obstacle` (a reason code) that forbids it."""

    edits: tuple[Edit, ...] = ()
    obstacle: str = ""


class Finish(Enum):
    """Why a round ended, as far as the loop cares."""

    DONE = "done"  # the model is through, or waits for tools
    CUT = "cut"  # length, filter, refusal, pause, error: calls of this round may be incomplete or unsafe


class PartKind(Enum):
    """What a part of an answer is, as far as the loop cares."""

    TEXT = "text"
    CALL = "call"  # a function tool call that the client (or we) must answer
    SIGNED = "signed"  # reasoning that is bound to the exact prefix before it
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Part:
    """One part of an answer, in order. `node` is the dialect's handle into the answer's document."""

    kind: PartKind
    node: int
    call: ToolCall | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What one round brought: the whole answer as JSON (assembled, if it came as a stream), and its parts."""

    document: Document
    parts: tuple[Part, ...]
    finish: Finish

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """Every function tool call, in order."""
        return tuple(part.call for part in self.parts if part.call is not None)


class EventKind(Enum):
    """What an event of a stream means. The order of kinds inside one frame is the order of this list."""

    START = "start"  # the answer begins: identity, role
    TEXT = "text"  # visible text: a delta, or the start or end of a text part
    SIGNED = "signed"  # signed reasoning, same three
    OTHER = "other"  # any other part of the answer (unsigned reasoning, refusals, results of server tools)
    CALL = "call"  # a call begins, or goes on naming itself: `id`, `name` (maybe a first piece of it)
    PIECE = "piece"  # more of a call's arguments, or the end of a call
    FINISH = "finish"  # the reason why the round ended
    USAGE = "usage"  # token counts
    END = "end"  # the last frame of a stream
    ERROR = "error"  # an error inside the stream
    OPAQUE = "opaque"  # keep-alives and whatever else passes


@dataclass(slots=True)
class Event:
    """One thing that a frame says.

    Attributes:
        kind: what it means.
        index: the upstream's index of the part or call, None where the dialect has none. The watcher gives the client's index.
        id, name: of a CALL; `name` is the piece that this event adds.
        visible: a TEXT event that shows something (not an empty delta).
        data: the dialect's own piece of the frame; nobody else looks at it.
    """

    kind: EventKind
    index: int | None = None
    id: str = ""
    name: str = ""
    visible: bool = False
    data: Any = None


@dataclass(slots=True)
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
    """

    @abstractmethod
    def begin_round(self) -> None:
        """A new upstream stream starts; what was assembled is forgotten, the client's identity stays."""

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


class WireFormat(ABC):
    """One dialect. Instances are stateless and shared."""

    name: ClassVar[str]
    provider: ClassVar[str]
    operation: ClassVar[str]
    path: ClassVar[re.Pattern[str]]
    example_path: ClassVar[str]
    stream_types: ClassVar[frozenset[str]] = frozenset({"text/event-stream"})

    @abstractmethod
    def decode(self, body: bytes) -> Payload:
        """Find every segment. PayloadError with a reason if no provider would accept the body."""

    @abstractmethod
    def offer(self, payload: Payload, tool: ToolSpec) -> Offer:
        """The edits that put the tool after the client's last function tool (and into an allow list), or the obstacle.

        A function of facts that are constant for a conversation: tools, count of choices, held threads; not of tool_choice.
        """

    @abstractmethod
    def fields(self, payload: Payload) -> Mapping[str, int]:
        """Nodes of the values that extensions may edit: "messages" and, if present, "tools"."""

    def values(self, payload: Payload) -> dict[str, Any]:
        """Those values as new Python objects. PayloadError if they are nested deeper than Python's parser goes."""
        try:
            return {
                name: json.loads(payload.document.raw(node))  # keeps integers of any size
                for name, node in self.fields(payload).items()
            }
        except (RecursionError, ValueError) as error:
            raise PayloadError("too_deep") from error

    @abstractmethod
    def unpaired(self, payload: Payload) -> frozenset[str]:
        """Ids of tool calls that the message after them does not answer exactly once, and of results that answer no such call.

        Calls of the last message are not counted (they wait for their results).
        """

    @abstractmethod
    def append(self, body: bytes, answer: Answer, results: Sequence[ToolResult]) -> bytes:
        """The next round's body: the same bytes, with the whole assistant turn and the results appended."""

    @abstractmethod
    def read(self, body: bytes) -> Answer:
        """A JSON answer in neutral form. ResponseError if it is none of this dialect."""

    @abstractmethod
    def merge(self, answers: Sequence[Answer], kept: Sequence[Sequence[Part]], *, notice: str, stopped: bool) -> bytes:
        """One answer out of the rounds', by splice: parts in order, last reason, first identity, usage summed.

        Args:
            answers: one a round.
            kept: for each round the parts that the client sees.
            notice: a text for an answer that would otherwise be empty, else "".
            stopped: no call is left for the client although the last reason says so: say that the model stopped.
        """

    @abstractmethod
    def codec(self) -> StreamCodec:
        """A new codec for one exchange's stream."""

    @abstractmethod
    def complete(self, response: Mapping[str, Any], payload: Payload) -> bytes:
        """A whole JSON answer out of what an extension gave, missing envelope fields filled. ResponseError if it can't be."""

    @abstractmethod
    def as_stream(self, answer: Answer) -> bytes:
        """A whole JSON answer spelled as the stream that the client asked for."""
