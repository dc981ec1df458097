"""Envelopes around a text: JSON of which only one string matters, written as that string, unescaped and nothing else."""

from headroom_asgi._crush import Document
from headroom_asgi.compressors.base import Compressed, Request
from headroom_asgi.compressors.kernel import crushed


class EnvelopeCompressor:
    """The compressor for JSON from exact-match tools: the text in an MCP envelope keeps its very bytes, which its escapes hid."""

    section = "smart_crusher"

    def compress(self, text: str, request: Request) -> Compressed | None:  # noqa: ARG002 - nothing is left out
        """The envelope's head and the text in it, or None if the text does not stand there as it is."""
        found = crushed(text, Request(), "smart")
        if found is None or not found.text.startswith("[json in "):
            return None
        _, _, body = found.text.partition("\n")
        document = Document(text.encode("utf-8"))
        strings = document.long_strings(len(body.encode("utf-8")))
        return found if any(document.text(node) == body for node in strings) else None
