"""What every dialect offers: request bytes to segments and edits, answers and streams to neutral events and back.

A dialect is a codec and tables. The rooms above know only the types of this file: they decide what is shortened, which calls
are ours and what the client sees; the dialect knows where text sits and how things are spelled.
"""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, Final

from headroom_asgi._crush import Document
from headroom_asgi.errors import PayloadError
from headroom_asgi.sse import begins_events
from headroom_asgi.types import Edit, ToolResult, ToolSpec
from headroom_asgi.wire.answers import Answer, Part, Round, Turn
from headroom_asgi.wire.cover import Cover
from headroom_asgi.wire.events import StreamCodec
from headroom_asgi.wire.opening import Opening
from headroom_asgi.wire.segments import Segment
from headroom_asgi.wire.splice import splice


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What the address of a request says about it.

    Attributes:
        model: the model that the path names, "" if the body does.
        stream: whether the answer is a stream, None if the body says so.
        media: the content type of a stream, where we have to make one.
        answered: a model answers. False where tokens are counted or a conversation is summed up: the request is treated alike,
            so that counts and prefixes agree, and the answer passes.
    """

    model: str = ""
    stream: bool | None = None
    media: str = "text/event-stream; charset=utf-8"
    answered: bool = True


EVENTS: Final = "text/event-stream"
MAX_TOOLS: Final = 128  # that OpenAI takes; a client that has more asks somebody who has no such limit
ANSWERED: Final = Endpoint()  # a request whose body says everything


@dataclass(frozen=True, repr=False)
class Payload:
    """A decoded request body of one dialect.

    Attributes:
        wire: its dialect.
        document: the scanned body.
        model: the requested model, "" if neither body nor path names one.
        stream: the client asked for a stream.
        structured: the client asked for structured output, so text of hidden rounds must not show.
        segments: every addressable text, in order.
        endpoint: what its address says.
        cover: what the body came in, None if it came as it is.
        held: the id under which the provider holds what came before (a response, thread or conversation), "" if it holds nothing.
        holds: the provider keeps this exchange, so that a later request may bring only what is new.
        calls: the tools of calls that the provider has, as far as they are known here: names by ids.
        history_edited: the provider may leave out or sum up earlier messages, so that none of them may be referred to.
    """

    wire: "WireFormat"
    document: Document
    model: str
    stream: bool
    structured: bool
    segments: tuple[Segment, ...]
    endpoint: Endpoint = ANSWERED
    cover: Cover | None = None
    held: str = ""
    holds: bool = False
    history_edited: bool = False
    calls: Mapping[str, str] = field(default_factory=dict)
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

    @property
    def sent(self) -> bytes:
        """What goes upstream: the body, in what it came in."""
        return self.body if self.cover is None else self.cover.around(self.body)

    def again(self, body: bytes) -> "Payload":
        """Another body for the same address, decoded. PayloadError as for `WireFormat.decode`."""
        made = self.wire.decode(body, self.endpoint).knowing(self.calls)
        return made if self.cover is None else replace(made, cover=self.cover)

    def knowing(self, calls: Mapping[str, str]) -> "Payload":
        """The same, where it is known of which tools the provider has calls: names by ids. Its segments get the names."""
        if not calls:
            return self
        for segment in self.segments:
            segment.named(calls)
        return replace(self, calls=calls)

    @property
    def source(self) -> "Payload":
        """The payload in whose bytes `edited` finds its places: this one, if it is decoded."""
        return self

    def edited(self, edits: Sequence[Edit]) -> "Payload":
        """The payload with edits made of which its facts do not depend; it is decoded when somebody looks into it."""
        return Edited(self, edits) if edits else self


class Edited(Payload):
    """A payload with edits of ours made: texts are others, our tool is in it, and all else that is known of it stays.

    Most are only sent, so its bytes are put together, and then decoded, when they are asked for.
    """

    _unedited: Payload
    _edits: tuple[Edit, ...]

    def __init__(self, unedited: Payload, edits: Sequence[Edit]) -> None:
        facts = {name: value for name, value in vars(unedited).items() if name not in _OF_ITS_BYTES}
        vars(self).update(facts, _decoded={}, _unedited=unedited, _edits=tuple(edits))

    @cached_property
    def body(self) -> bytes:
        """The bytes with the edits made."""
        return splice(self._unedited.body, self._edits)

    @cached_property
    def _found(self) -> Payload:
        return self.again(self.body)

    @property
    def document(self) -> Document:
        """Those bytes, scanned."""
        return self._found.document

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Every addressable text in them, in order."""
        return self._found.segments

    @property
    def source(self) -> Payload:
        """What the edits were made in, until somebody has looked at what came of them."""
        return self._found if "_found" in vars(self) else self._unedited

    def edited(self, edits: Sequence[Edit]) -> Payload:
        """The payload with more edits made."""
        if not edits:
            return self
        return Edited(self._unedited, (*self._edits, *edits)) if self.source is self._unedited else self._found.edited(edits)


_OF_ITS_BYTES: Final = ("document", "segments")


@dataclass(frozen=True, slots=True, repr=False)
class Offer:
    """How the retrieve tool gets into a request: `edits` to make, or the `obstacle` (a reason code) that forbids it.

    `fixed`: the provider holds the conversation's tools, so ours is among them only if it was offered with the first request.
    """

    edits: tuple[Edit, ...] = ()
    obstacle: str = ""
    fixed: bool = False


class WireFormat(ABC):
    """One dialect. Instances are stateless and shared."""

    name: ClassVar[str]
    provider: ClassVar[str]
    operation: ClassVar[str]
    endpoints: ClassVar[Sequence[tuple[re.Pattern[str], Endpoint]]]
    example_path: ClassVar[str]
    messages: ClassVar[str] = "messages"  # the member of a body that holds the conversation
    stream_types: ClassVar[frozenset[str]] = frozenset({EVENTS})
    echoes: ClassVar[bool] = False  # answers repeat what was asked, our tool as well
    holds_tools: ClassVar[bool] = False  # where the provider holds the conversation, it holds its tools as well
    kept: ClassVar[re.Pattern[str] | None] = None  # paths about answers that the provider keeps; groups `name` and `rest`

    def endpoint(self, path: str, query: str = "") -> Endpoint | None:  # noqa: ARG002 - dialects may look at it
        """What an address says, None if it is none of this dialect's.

        The first pattern of `endpoints` that the path has decides; its group `model` is the model.

        Args:
            path: percent-decoded, without the slash at its end.
            query: as it came.
        """
        for pattern, endpoint in self.endpoints:
            if found := pattern.search(path):
                model = found.groupdict().get("model")
                return replace(endpoint, model=model) if model else endpoint
        return None

    def streams(self, media: str, payload: Payload) -> bool:  # noqa: ARG002 - dialects may look at it
        """Whether a response of that media type (lower case, without parameters) is a stream of this dialect."""
        return media in self.stream_types

    def begun(self, first: bytes) -> str:
        """The media type of a stream of this dialect that begins with these bytes, "" if none does. No white space in front."""
        return EVENTS if begins_events(first) else ""

    @abstractmethod
    def decode(self, body: bytes, endpoint: Endpoint = ANSWERED) -> Payload:
        """Find every segment. PayloadError with a reason if no provider would accept the body."""

    @abstractmethod
    def offer(self, payload: Payload, tool: ToolSpec) -> Offer:
        """The edits that put the tool after the client's last function tool (and into an allow list), or the obstacle.

        A function of facts that are constant for a conversation: tools, count of choices, held threads; not of tool_choice.
        """

    @abstractmethod
    def fields(self, payload: Payload) -> Mapping[str, int]:
        """Nodes of the values that extensions may edit: "messages" and, if present, "tools"."""

    @abstractmethod
    def opening(self, payload: Payload) -> Opening:
        """Where the instructions and the first user text are."""

    def values_told(self, payload: Payload) -> Iterator[int]:  # noqa: ARG002 - most dialects have only texts
        """Nodes of tool results that are JSON values, of which only long strings are segments."""
        yield from ()

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
    def turns(self, payload: Payload) -> Sequence[Turn]:
        """The model's turns in a request, in order; and for results whose calls the provider holds, one turn that is `held`."""

    @abstractmethod
    def turn(self, answer: Answer) -> Turn:
        """The turn that an answer becomes in the next request: equal in text and calls to what `turns` finds there."""

    @abstractmethod
    def replay(self, payload: Payload, turn: Turn, rounds: Sequence[Round]) -> list[Edit]:
        """The edits that put what really happened in place of a turn.

        Every round's turn goes in with its very bytes, followed by our results. The last round has none (an ordinary answer), or
        its calls of ours stand beside the client's: then our results go in among the client's, in the order of the calls.
        Where the provider holds the turn, only our results go in.
        """

    def held_by(self, answer: Answer) -> str:  # noqa: ARG002 - dialects without ids need none
        """The id under which a later request may go on from this answer, "" if there is none."""
        return ""

    def hold(self, payload: Payload, held: str) -> list[Edit]:  # noqa: ARG002 - dialects without ids need none
        """The edits that make a request go on from another id than `payload.held`."""
        return []

    def kept_as(self, answer: Answer) -> str:  # noqa: ARG002 - few providers keep answers
        """The name under which the provider keeps an answer, "" if it keeps none."""
        return ""

    def retold(self, answers: Sequence[Answer], kept: Sequence[Sequence[Part]], *, notice: str, name: str) -> bytes:  # noqa: ARG002
        """What the provider keeps of the rounds of an exchange, as the client got it, and under the name that it knows."""
        return self.merge(answers, kept, notice=notice, stopped=False)

    def retold_stream(self, answer: Answer, *, after: int) -> bytes:  # noqa: ARG002 - few providers tell kept answers as streams
        """The same as a stream, from behind the event of that number on (-1: all of it)."""
        return self.as_stream(answer)

    def was_structured(self, answer: Answer) -> bool:  # noqa: ARG002
        """Whether an answer that is kept says that structured output was asked for."""
        return False

    def unsigned(self, payload: Payload) -> list[Edit]:  # noqa: ARG002 - few dialects refuse a request for its reasoning
        """The edits that take signed reasoning out of the conversation, as far as the provider takes it without."""
        return []

    def reconciled(self, payload: Payload, refusal: bytes, tool: ToolSpec, text: str) -> list[Edit]:  # noqa: ARG002
        """The edits that a refusal asks for where the provider holds the conversation, and what we did in it is not known here:
        a text as the result of every call that it names, and our tool among those that must be the same.
        """
        return []

    def retraced(self, told: bytes, sent: Payload, client: Payload) -> bytes:  # noqa: ARG002 - few answers name such places
        """An answer, or an event of one, that names places in the request that was sent: with those in the client's own."""
        return told

    @abstractmethod
    def codec(self, media: str = "text/event-stream") -> StreamCodec:
        """A new codec for one exchange's stream of that media type."""

    @abstractmethod
    def complete(self, response: Mapping[str, Any], payload: Payload) -> bytes:
        """A whole JSON answer out of what an extension gave, missing envelope fields filled. ResponseError if it can't be."""

    @abstractmethod
    def as_stream(self, answer: Answer, endpoint: Endpoint = ANSWERED) -> bytes:
        """A whole JSON answer spelled as the stream that the client asked for."""
