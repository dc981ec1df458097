"""Prose by its words: which of them stay is read by a model, kept as a mask, and applied from that mask alone.

A model's arithmetic is not the same on every machine, so what it says cannot decide about forwarded bytes. The first mask of a
text does, from then on and for every worker; how it is made and where it is kept is not known here.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from headroom_asgi._crush import estimate
from headroom_asgi.compressors.base import Request
from headroom_asgi.compressors.marker import make_ref, text_digest
from headroom_asgi.compressors.needles import stem, topics
from headroom_asgi.compressors.omission import MIN_LEFT_OUT_TOKENS, Markers
from headroom_asgi.compressors.prose import Span, sentences

WHOLE: Final = b"\0"  # the mask of a text that stays as it is
_BITS: Final = b"\1"  # begins any other one; the number of words follows, then a bit for each, set where it stays

# The longest text that is read: some 15,000 tokens, 40 windows.
_MAX_CHARS: Final = 60_000
_MIN_WORDS: Final = 80  # that may go; of fewer, what goes is not worth a marker

_WORD: Final = re.compile(r"\S+", re.ASCII)
_LINE_FEED: Final = "\n"
# What may go: letters only, in lower case, and a comma behind them. Names, figures, quotes, paths and ends of sentences stay.
_PLAIN: Final = re.compile(r"([^\W\d_]+),?")
# What turns the meaning of a sentence round, or bounds it.
_TURNING_WORDS: Final = """
    all any barely before after but can cannot could except few fewer first hardly however if instead last least less may maybe
    might more most must neither never no nobody none nor not nothing nowhere off only or otherwise out over rather should some
    than then though under unless until up very when whether while without won yet
    aber alle außer bevor kein keine keinen keiner nicht nichts nie niemals nur oder ohne sondern wenn
    aucun aucune aucuns jamais mais ni pas personne que rien sans sauf si
    jamás nada nadie ni ningún ninguna ninguno nunca pero salvo sin solo sólo
    mai nessun nessuna nessuno non però senza solo
    não nem nenhum nenhuma nunca mas sem só
"""
_TURNING: Final = frozenset(_TURNING_WORDS.split())


class KeptWords:
    """The masks that one text of a tenant can be shortened with (base.Masks), and what is still to be found out for it.

    Args:
        tenant: whose text it is.
        masks: by key, as far as they are known; may grow.
    """

    __slots__ = ("_asked", "_masks", "_tenant")

    def __init__(self, tenant: str, masks: Mapping[str, bytes]) -> None:
        self._tenant = tenant
        self._masks = masks
        self._asked: dict[str, str] = {}

    def mask(self, text: str) -> bytes | None:
        """The mask of a piece of text."""
        key = mask_key(self._tenant, text)
        self._asked[key] = text
        return self._masks.get(key)

    @property
    def used(self) -> dict[str, bytes]:
        """The masks that were asked for and are known."""
        return {key: self._masks[key] for key in self._asked if key in self._masks}

    @property
    def missing(self) -> dict[str, str]:
        """By key, the pieces of text whose masks were asked for and are not known."""
        return {key: text for key, text in self._asked.items() if key not in self._masks}


def mask_key(tenant: str, text: str) -> str:
    """What the mask of a text is kept under: a hash of tenant and text, so that no tenant can tell what another one sent.

    It says nothing of the model: a text keeps its words when the model is replaced, so that conversations keep their prefix.
    """
    return make_ref(tenant, text_digest(b"words\0" + text.encode("utf-8", "surrogatepass")))


def word_spans(text: str) -> list[Span]:
    """The words of a text: what stands between blanks. Only ASCII blanks count, so that every Python sees the same words."""
    return [match.span() for match in _WORD.finditer(text)]


def packed(stays: Sequence[bool]) -> bytes:
    """The mask that says so of each word."""
    bits = bytearray((len(stays) + 7) // 8)
    for number, stay in enumerate(stays):
        bits[number >> 3] |= stay << (number & 7)
    return _BITS + len(stays).to_bytes(4, "big") + bytes(bits)


def unpacked(mask: bytes, count: int) -> list[bool] | None:
    """What a mask says of so many words; None if they all stay, or it is no mask of so many."""
    if mask[:5] != _BITS + count.to_bytes(4, "big") or len(mask) != 5 + (count + 7) // 8:
        return None
    return [bool(mask[5 + (number >> 3)] >> (number & 7) & 1) for number in range(count)]


class Kompress:
    """The omitter for the words of prose that a model finds superfluous. Lines stay lines, and what is no prose stays."""

    section = "kompress"
    label = "kompress:words"

    def omit(self, text: str, spans: Sequence[Span], request: Request, markers: Markers) -> str | None:
        """The text with fewer words behind one marker, under which all of it is kept; None if no mask for it is known."""
        prose = "".join(text[start:end] for start, end in spans)
        if request.words is None or len(prose) > _MAX_CHARS or not _is_utf8(prose):
            return None
        words = [(span[0] + word[0], span[0] + word[1]) for span in spans for word in word_spans(text[span[0] : span[1]])]
        loose = _loose(text, words, spans)
        if sum(loose) < _MIN_WORDS:
            return None
        mask = request.words.mask(prose)
        stays = None if mask is None else unpacked(mask, len(words))
        if stays is None:
            return None
        asked = topics(request.question, request.arguments)
        goes = [
            may and not stay and stem(text[start:end].rstrip(",")) not in asked
            for may, stay, (start, end) in zip(loose, stays, words, strict=True)
        ]
        rest = _without(text, words, goes)
        if _tokens(text) - _tokens(rest) < MIN_LEFT_OUT_TOKENS:
            return None
        head = markers.leave_out(text, sum(goes), "words", f"of {len(words)}, all over the text below; this name has it in full")
        return f"{head}\n{rest}"


def _tokens(text: str) -> int:
    return estimate(text.encode("utf-8", "surrogatepass"))


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # no model reads half a character
        return False
    return True


def _loose(text: str, words: Sequence[Span], spans: Sequence[Span]) -> list[bool]:
    """For each word, whether it may go at all: a plain word of prose that neither begins a sentence nor turns its meaning."""
    prose: Iterator[tuple[int, int]] = ((each.start, each.end) for each in sentences(text, spans))
    first = behind = -1
    loose = []
    for start, end in words:
        while behind < end and (following := next(prose, None)) is not None:
            first, behind = following
        plain = _PLAIN.fullmatch(text, start, end) if first < start and end < behind else None
        loose.append(plain is not None and plain[1].islower() and plain[1] not in _TURNING)
    return loose


def _without(text: str, words: Sequence[Span], goes: Sequence[bool]) -> str:
    """The text without these words and the blanks before them; every line feed and every line's indentation stay."""
    pieces: list[str] = []
    at = 0
    begins = True  # nothing of the line stands yet
    for (start, end), go in zip(words, goes, strict=True):
        blanks = text[at:start]
        if _LINE_FEED in blanks or not at:
            pieces.append(blanks)
            begins = True
        elif not go and not begins:
            pieces.append(blanks)
        if not go:
            pieces.append(text[start:end])
            begins = False
        at = end
    return "".join([*pieces, text[at:]])
