"""What a compressor is asked and what it answers: one kind of text in, a shorter one out, nothing else known."""

from dataclasses import dataclass
from typing import Protocol


class Masks(Protocol):
    """Which words of texts stay, as far as that is known."""

    def mask(self, text: str) -> bytes | None:
        """What is known of a text; None if nothing is, which is noted."""
        ...


@dataclass(frozen=True, slots=True, repr=False)
class Request:
    """What a compressor may know besides the text.

    Attributes:
        question: the nearest preceding user text; "" when nothing may be left out, since lossless forms do not depend on it.
        ref: what markers name. Empty: the model could not get anything back, so nothing may be left out.
        arguments: those of the call that produced the text, as JSON; "" like the question.
        words: which words of prose stay; None where nobody knows.
        anyway: a lossless form of JSON will do that has more tokens, as long as it has fewer bytes.
    """

    question: str = ""
    ref: str = ""
    arguments: str = ""
    words: Masks | None = None
    anyway: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class Omission:
    """One thing that was left out of a text.

    Attributes:
        name: what its marker names, `REF-PART`.
        units: how many rows (lines, blocks) were left out.
        text: what was left out, in a form that is readable on its own.
    """

    name: str
    units: int
    text: str


@dataclass(frozen=True, slots=True, repr=False)
class Compressed:
    """A shorter text.

    Attributes:
        text: what goes upstream.
        label: what was done, for reports: the compressor's name and `lossless` or `rows`, e.g. `smart:lossless`.
        omissions: what was left out; empty if the form is lossless.
    """

    text: str
    label: str
    omissions: tuple[Omission, ...] = ()

    @property
    def lossless(self) -> bool:
        """What the text stands for can be read back exactly."""
        return not self.omissions


class Compressor(Protocol):
    """One kind of text in, a shorter one out. Pure and deterministic: no clock, no environment, no state.

    Attributes:
        section: its name in the configuration.
    """

    section: str

    def compress(self, text: str, request: Request) -> Compressed | None:
        """The shorter form, or None where there is none."""
        ...
