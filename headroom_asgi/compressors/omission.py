"""What is left out of one text: who does it, names, markers, and the pieces themselves."""

import re
from collections.abc import Sequence
from typing import Final, Protocol

from headroom_asgi._crush import estimate
from headroom_asgi.compressors.base import Omission, Request
from headroom_asgi.compressors.prose import Span

# A marker with a summary takes some 30 tokens, and a retrieval costs the model a round: less than this is not left out.
MIN_LEFT_OUT_TOKENS = 64

MARK: Final = "<<ccr:"  # how a marker starts

_UNPRINTABLE = dict.fromkeys([*range(0x20), 0x7F, 0x85, 0x2028, 0x2029, *map(ord, "<>")], " ")
_MAX_SUMMARY = 240  # characters
_ONE_WORD = re.compile(r"[^\s\"'`<>;!?*|]{1,80}")
_MAX_QUOTED = 60  # characters


def quoted(name: str) -> str:
    """A name out of a text, for a summary: as it is if it is one word, else in quotes, so that no sentence becomes ours."""
    if _ONE_WORD.fullmatch(name):
        return name
    name = " ".join(name.translate(_UNPRINTABLE).replace('"', "'").split())
    return f'"{name if len(name) <= _MAX_QUOTED else name[: _MAX_QUOTED - 1] + "…"}"'


class Markers:
    """Numbers and spells what is left out of one text. Parts have letters for names: `REF-a`, `REF-b` ... `REF-aa`.

    Args:
        ref: the text's ref.
    """

    def __init__(self, ref: str) -> None:
        self._ref = ref
        self.omissions: list[Omission] = []

    def leave_out(self, text: str, units: int, unit: str, summary: str = "") -> str:
        """The marker for a piece, which is kept: `<<ccr:REF-a 12 lines left out: SUMMARY>>`. Without a line feed.

        Args:
            text: the piece, as it stood there.
            units: how much, e.g. 12.
            unit: of what, e.g. "lines".
            summary: what a reader should know of it; one line, cut where it is too long.
        """
        name = f"{self._ref}-{_letters(len(self.omissions))}"
        self.omissions.append(Omission(name, units, text))
        said = " ".join(summary.translate(_UNPRINTABLE).split())
        if len(said) > _MAX_SUMMARY:
            said = said[: _MAX_SUMMARY - 1] + "…"
        return f"{MARK}{name} {units} {unit} left out{': ' if said else ''}{said}>>"


class Omitter(Protocol):
    """Leaves pieces out of one kind of text, where a reader can ask for them. Pure and deterministic, and linear in the text.

    Attributes:
        section: its name in the configuration.
        label: what it did, for reports, e.g. `logs:lines`.
    """

    section: str
    label: str

    def omit(self, text: str, request: Request, markers: Markers) -> str | None:
        """The text with markers in place of what was left out, each on a line of its own; None where nothing was.

        What stays keeps its bytes and its order.
        """
        ...


class ProseOmitter(Protocol):
    """An omitter for what is prose in a text of any kind. Pure, deterministic and linear like the others.

    Attributes:
        section: its name in the configuration.
        label: what it did, for reports, e.g. `extract:sentences`.
    """

    section: str
    label: str

    def omit(self, text: str, spans: Sequence[Span], request: Request, markers: Markers) -> str | None:
        """The text behind one marker, under which all of it is kept; None where nothing was left out.

        Args:
            text: the whole text.
            spans: the whole lines of it that may hold prose, in order; the rest stays as it is.
            request: as of any omitter.
            markers: where what is left out is kept.
        """
        ...


def split_markers(text: str) -> tuple[list[str], str]:
    """The markers on the first lines of a text, and what stands behind them."""
    heads = []
    while text.startswith(MARK):
        head, _, text = text.partition("\n")
        heads.append(head)
    return heads, text


def pays(text: str) -> bool:
    """A piece is large enough to be left out."""
    data = text.encode("utf-8", "surrogatepass")
    return len(data) >= MIN_LEFT_OUT_TOKENS and estimate(data) >= MIN_LEFT_OUT_TOKENS


def _letters(number: int) -> str:
    """0: a, 25: z, 26: aa."""
    letters = ""
    number += 1
    while number:
        number, digit = divmod(number - 1, 26)
        letters = chr(ord("a") + digit) + letters
    return letters
