"""One kind of text in, a shorter one out. The door."""

from collections.abc import Mapping, Sequence
from typing import Final

from headroom_asgi.compressors.base import Compressed, Compressor, Omission, Request
from headroom_asgi.compressors.code import CodeCompressor
from headroom_asgi.compressors.cut import CutDocument, OpenString, cut_document, open_string
from headroom_asgi.compressors.detect import ContentKind, detect
from headroom_asgi.compressors.diff import DiffCompressor
from headroom_asgi.compressors.envelopes import EnvelopeCompressor
from headroom_asgi.compressors.extract import Extractor
from headroom_asgi.compressors.fields import FieldOmitter, forget_words
from headroom_asgi.compressors.html import HTMLExtractor
from headroom_asgi.compressors.kompress import WHOLE, KeptWords, Kompress
from headroom_asgi.compressors.large import LargeOmitter
from headroom_asgi.compressors.logs import LogCompressor
from headroom_asgi.compressors.marker import make_ref, text_digest
from headroom_asgi.compressors.needles import forget_needles
from headroom_asgi.compressors.omission import MIN_LEFT_OUT_TOKENS, Markers, Omitter, ProseOmitter, pays, split_markers
from headroom_asgi.compressors.opaque import OpaqueOmitter
from headroom_asgi.compressors.prose import Span
from headroom_asgi.compressors.search import ListingCompressor, SearchCompressor
from headroom_asgi.compressors.sections import Section, sections
from headroom_asgi.compressors.selftest import prove
from headroom_asgi.compressors.smart_crusher import SmartCrusher
from headroom_asgi.compressors.snapshots import SnapshotOmitter
from headroom_asgi.compressors.text import TextCompressor
from headroom_asgi.compressors.views import ViewCompressor
from headroom_asgi.compressors.word_model import MISSING as MISSING_MODEL
from headroom_asgi.compressors.word_model import WordModel

# By kind: who re-lays a text losslessly, and who leaves pieces out of it first, where a reader can ask for them.
COMPRESSORS: Final[Mapping[ContentKind, Compressor]] = {
    **{kind: TextCompressor() for kind in ContentKind if kind is not ContentKind.DIFF},  # git reads what is left of a patch
    ContentKind.JSON: SmartCrusher(),
    ContentKind.VIEW: ViewCompressor(),
}
# The only ones for exact-match tools: the text that a model quotes keeps its bytes.
EXACT_COMPRESSORS: Final[Mapping[ContentKind, Compressor]] = {
    ContentKind.JSON: EnvelopeCompressor(),
    ContentKind.TEXT: EnvelopeCompressor(),  # JSON that was cut off
    ContentKind.VIEW: ViewCompressor(),
}
OMITTERS: Final[Mapping[ContentKind, Omitter]] = {
    ContentKind.JSON: FieldOmitter(),
    ContentKind.HTML: HTMLExtractor(),
    ContentKind.LOG: LogCompressor(),
    ContentKind.SEARCH: SearchCompressor(),
    ContentKind.LISTING: ListingCompressor(),
    ContentKind.DIFF: DiffCompressor(),
    ContentKind.CODE: CodeCompressor(),
}
# What is left out of more than one kind, behind the omitter for the kind. JSON's strings are texts of their own; a patch must
# stay one; what is large and has bounds of its own (logs, searches, lists) needs no others.
_LARGE: Final = (ContentKind.TEXT, ContentKind.TABLE, ContentKind.CODE, ContentKind.HTML)
EVERYWHERE: Final[Mapping[ContentKind, Sequence[Omitter]]] = {
    kind: (SnapshotOmitter(), OpaqueOmitter(), *([LargeOmitter()] if kind in _LARGE else []))
    for kind in ContentKind
    if kind not in (ContentKind.JSON, ContentKind.DIFF)
}
# What is left out of prose, behind all others; a route has one of them at most.
PROSE: Final[Sequence[ProseOmitter]] = (Extractor(), Kompress())
# By section: why it does nothing, where a package that it needs is not installed.
MISSING: Final[Mapping[str, str]] = {
    section: missing
    for section, missing in (
        (HTMLExtractor.section, HTMLExtractor.missing),
        (CodeCompressor.section, CodeCompressor.missing),
        (Kompress.section, MISSING_MODEL),
    )
    if missing
}


def forget() -> None:
    """Drop what is remembered of questions and calls."""
    forget_needles()
    forget_words()


__all__ = [
    "COMPRESSORS",
    "EVERYWHERE",
    "EXACT_COMPRESSORS",
    "MIN_LEFT_OUT_TOKENS",
    "MISSING",
    "OMITTERS",
    "PROSE",
    "WHOLE",
    "Compressed",
    "Compressor",
    "ContentKind",
    "CutDocument",
    "DiffCompressor",
    "KeptWords",
    "Kompress",
    "ListingCompressor",
    "LogCompressor",
    "Markers",
    "Omission",
    "Omitter",
    "OpenString",
    "ProseOmitter",
    "Request",
    "SearchCompressor",
    "Section",
    "SmartCrusher",
    "Span",
    "TextCompressor",
    "ViewCompressor",
    "WordModel",
    "cut_document",
    "detect",
    "forget",
    "make_ref",
    "open_string",
    "pays",
    "prove",
    "sections",
    "split_markers",
    "text_digest",
]
