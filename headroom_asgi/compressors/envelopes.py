"""Envelopes around a text: JSON of which only one string matters, written as that string, unescaped and nothing else."""

from typing import Final

from headroom_asgi._crush import Document
from headroom_asgi.compressors.base import Compressed, Request
from headroom_asgi.compressors.cut import open_string
from headroom_asgi.compressors.kernel import crushed

_CUT: Final = "⟦cut⟧"


class EnvelopeCompressor:
    """The compressor for JSON from exact-match tools: the text in an MCP envelope keeps its very bytes, which its escapes hid."""

    section = "smart_crusher"

    def compress(self, text: str, request: Request) -> Compressed | None:
        """The envelope's head and the text in it, whole or cut off, or None if the text does not stand there as it is."""
        found = crushed(text, Request(anyway=request.anyway), "smart", exact=True)
        if found is None:
            return None
        _, _, body = found.text.partition("\n")
        said, cut, behind = body.rpartition(_CUT)
        if cut:
            opened = open_string(text)
            return found if opened is not None and opened.text.startswith(said) and text.endswith(behind) else None
        document = Document(text.encode("utf-8"))
        strings = document.long_strings(len(body.encode("utf-8")))
        return found if any(document.text(node) == body for node in strings) else None
