"""What every dialect of the scripted upstream offers: what it refuses, how a model reads it, how an answer is spelled."""

import hashlib
import hmac
import json
import re
from abc import ABC, abstractmethod
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from typing import Any, ClassVar, Final

from example_app.view import Item, Reply

CREATED: Final = 1_767_225_600  # a fixed time, so that answers are the same every time
_PIECES = (3, 11, 7, 2, 17)  # sizes of successive pieces of text: short enough to split every name and escape somewhere
_SIGNING_KEY = b"the scripted upstream"
_MAX_HELD = 4096  # conversations that are remembered for those who bring only what is new


class RefusedError(Exception):
    """A request that the provider refuses.

    Attributes:
        message: what the provider says.
        where: the place in the request that it names.
        status: of the response.
        code: the provider's word for it, if it has one.
    """

    def __init__(self, message: str, where: str = "messages", status: int = 400, code: str | None = None) -> None:
        super().__init__(message)
        self.message, self.where, self.status, self.code = message, where, status, code


@dataclass(frozen=True, slots=True)
class Address:
    """What the address of a request says.

    Attributes:
        model: the model, "" if the body names it.
        stream: whether a stream is asked for, None if the body says so.
        counts: tokens are counted, nothing is answered.
        media: of a stream.
    """

    model: str = ""
    stream: bool | None = None
    counts: bool = False
    media: str = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Envelope:
    """What surrounds a reply: the request that it answers, a key for ids, the counts of tokens."""

    body: dict[str, Any]
    key: str
    tokens_in: int
    tokens_out: int

    @property
    def model(self) -> str:
        """The model that was asked."""
        return str(self.body["model"])


class Memory:
    """What the provider holds of earlier exchanges, by id; the oldest are forgotten."""

    def __init__(self) -> None:
        self._held: OrderedDict[str, list[Any]] = OrderedDict()

    def get(self, key: str) -> list[Any] | None:
        """The items of everything up to an id."""
        return self._held.get(key)

    def keep(self, key: str, items: Iterable[Any]) -> None:
        """Remember the items of everything up to an id."""
        self._held[key] = list(items)
        while len(self._held) > _MAX_HELD:
            self._held.popitem(last=False)


class Dialect(ABC):
    """One dialect of the scripted upstream."""

    name: ClassVar[str]
    paths: ClassVar[Sequence[tuple[str, Address]]]  # expressions that a path ends with, and what they say
    messages: ClassVar[str] = "messages"  # the member that holds the conversation
    tool_name: ClassVar[str] = r"[a-zA-Z0-9_-]{1,64}"

    def address(self, path: str, query: str) -> Address | None:  # noqa: ARG002 - one dialect looks at it
        """What an address says, None if it is none of this dialect's."""
        for pattern, address in self.paths:
            if found := re.search(pattern, path):
                return replace(address, model=found.groupdict().get("model") or "")
        return None

    def streams(self, body: dict[str, Any], address: Address) -> bool:
        """Whether the answer is a stream."""
        return bool(body.get("stream")) if address.stream is None else address.stream

    def recalled(self, body: dict[str, Any], address: Address, memory: Memory) -> dict[str, Any]:  # noqa: ARG002
        """The request as the model gets it: with the model that the path names, and with what the provider holds."""
        return {**body, "model": address.model} if address.model else body

    def keep(self, body: dict[str, Any], answer: dict[str, Any], memory: Memory) -> None:  # noqa: B027
        """Remember an exchange for requests that will bring only what is new."""

    @abstractmethod
    def validate(self, body: dict[str, Any]) -> None:
        """Raise RefusedError where the provider would."""

    def unread(self, body: dict[str, Any]) -> int:  # noqa: ARG002 - most dialects refuse instead
        """How many pieces of reasoning the model does not get to see, since what stands before them has changed."""
        return 0

    @abstractmethod
    def head(self, body: dict[str, Any]) -> Any:
        """What stands before the messages in a prompt: system and tools."""

    @abstractmethod
    def items(self, body: dict[str, Any]) -> Iterator[Item]:
        """Everything in a valid request, in order."""

    @abstractmethod
    def tools(self, body: dict[str, Any]) -> list[str]:
        """The names of its function tools, in order."""

    @abstractmethod
    def answer(self, reply: Reply, envelope: Envelope) -> dict[str, Any]:
        """A reply as the body of a response."""

    @abstractmethod
    def frames(self, answer: dict[str, Any], reply: Reply, envelope: Envelope, address: Address) -> Iterator[bytes]:
        """The same answer as a stream, in small pieces."""

    @abstractmethod
    def refusal(self, refused: RefusedError) -> dict[str, Any]:
        """The body of an error."""

    @abstractmethod
    def broken(self, message: str, address: Address) -> bytes:
        """An error inside a stream."""

    def counted(self, tokens: int) -> dict[str, Any]:
        """The answer of an endpoint that counts."""
        return {"input_tokens": tokens}


def pieces(text: str) -> Iterator[str]:
    """A text in small pieces."""
    sizes = cycle(_PIECES)
    at = 0
    while at < len(text):
        size = next(sizes)
        yield text[at : at + size]
        at += size


def dumped(value: Any) -> bytes:
    """JSON without blanks, in ASCII."""
    return json.dumps(value, separators=(",", ":")).encode()


def data(value: Any) -> bytes:
    """An event that has no name."""
    return b"data: " + dumped(value) + b"\n\n"


def event(kind: str, **members: Any) -> bytes:
    """A named event whose data names it too."""
    return b"event: " + kind.encode() + b"\n" + data({"type": kind, **members})


def conversation_of(body: Any, member: str) -> list[dict[str, Any]]:
    """The messages of a request. RefusedError if they are none."""
    if not isinstance(body, dict):
        raise RefusedError("We could not parse the JSON body of your request.", "body")
    messages = body.get(member)
    if not isinstance(messages, list) or not messages or not all(isinstance(message, dict) for message in messages):
        raise RefusedError(f"Invalid '{member}': expected a non-empty array of objects.", member)
    return messages


def check_names(names: list[Any], pattern: str) -> None:
    """Tools have names, and each its own."""
    for index, name in enumerate(names):
        if not isinstance(name, str) or not re.fullmatch(pattern, name):
            raise RefusedError(f"Invalid 'tools.{index}.name': string does not match pattern.", f"tools.{index}")
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise RefusedError(f"tools: Tool names must be unique. ({twice[0]})", "tools")


def sign(*values: str | bytes) -> str:
    """What only the provider can have written for these values."""
    joined = b"\0".join(value if isinstance(value, bytes) else value.encode() for value in values)
    return hmac.new(_SIGNING_KEY, joined, hashlib.sha256).hexdigest()
