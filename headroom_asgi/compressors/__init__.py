"""One kind of text in, a shorter one out. The door."""

from headroom_asgi.compressors.base import Compressed, Compressor, Omission, Request
from headroom_asgi.compressors.detect import ContentKind, detect
from headroom_asgi.compressors.marker import make_ref, text_digest
from headroom_asgi.compressors.smart_crusher import SmartCrusher
from headroom_asgi.compressors.text import TextCompressor

__all__ = [
    "Compressed",
    "Compressor",
    "ContentKind",
    "Omission",
    "Request",
    "SmartCrusher",
    "TextCompressor",
    "detect",
    "make_ref",
    "text_digest",
]
