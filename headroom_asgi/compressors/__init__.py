"""One kind of text in, a shorter one out. The door."""

from headroom_asgi.compressors.base import Compressed, Compressor, Omission, Request
from headroom_asgi.compressors.detect import ContentKind, detect
from headroom_asgi.compressors.marker import make_ref, text_digest
from headroom_asgi.compressors.smart_crusher import SmartCrusher

__all__ = [
    "Compressed",
    "Compressor",
    "ContentKind",
    "Omission",
    "Request",
    "SmartCrusher",
    "detect",
    "make_ref",
    "text_digest",
]
