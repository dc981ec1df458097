"""What a client of the scripted upstream may ask of it: what to say, how its streams are cut, when it fails."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, cycle
from typing import Any, Literal, Self


class BrokenOffError(Exception):
    """The connection to the model broke, as a gateway's does."""


@dataclass(frozen=True, slots=True)
class Fail:
    """A failure.

    Attributes:
        round: in which round of an exchange; 0 never, 1 the client's own request.
        how: `status`: an error instead of an answer; `error`: inside the stream; `disconnect`: the answer breaks off.
        status: the error's.
        after: so many frames of the stream come first.
    """

    round: int = 0
    how: Literal["status", "error", "disconnect"] = "status"
    status: int = 503
    after: int = 1


@dataclass(frozen=True, slots=True)
class Control:
    """The control header, a JSON object.

    Attributes:
        script: what the model does, instead of what the question's last line says.
        split: sizes of the chunks that a stream is sent in, over and over; none: a frame a chunk. [1] is every byte.
        pause_s: seconds between chunks.
        fail: when and how to fail.
    """

    script: dict[str, Any] | None = None
    split: tuple[int, ...] = ()
    pause_s: float = 0.0
    fail: Fail = field(default_factory=Fail)

    @classmethod
    def read(cls, header: str | None) -> Self:
        """A header's value; None asks for nothing. Raises TypeError or ValueError if it is no control."""
        given = json.loads(header) if header else {}
        split, fail = tuple(given.pop("split", ())), Fail(**given.pop("fail", {}))
        return cls(**given, split=split, fail=fail)

    def refuses(self, number: int) -> bool:
        """Whether a round gets an error instead of an answer."""
        return self.fail.round == number and self.fail.how == "status"


async def delivered(frames: Iterable[bytes], control: Control, number: int, broken: bytes) -> AsyncIterator[bytes]:
    """The chunks of an answer.

    Args:
        frames: of the whole answer.
        control: how it is cut, and when it fails.
        number: the round.
        broken: an error inside the stream; b"" where there are none.
    """
    fails = control.fail.round == number and control.fail.how != "status"
    if fails:
        frames = _first(frames, control.fail.after)
        if control.fail.how == "error" and broken:
            frames, fails = chain(frames, [broken]), False
    for chunk in _cut(frames, control.split):
        yield chunk
        await asyncio.sleep(control.pause_s)
    if fails:
        raise BrokenOffError


def _first(frames: Iterable[bytes], count: int) -> Iterator[bytes]:
    """That many frames; of an answer that has only one, the first half."""
    whole = list(frames)
    return iter(whole[:count] if len(whole) > 1 else [whole[0][: len(whole[0]) // 2]])


def _cut(frames: Iterable[bytes], sizes: tuple[int, ...]) -> Iterator[bytes]:
    """The same bytes in chunks of these sizes."""
    if not sizes:
        yield from frames
        return
    sizes_now = cycle(sizes)
    size, held = next(sizes_now), b""
    for frame in frames:
        held += frame
        while len(held) >= size:
            yield held[:size]
            held, size = held[size:], next(sizes_now)
    if held:
        yield held
