"""Texts that are not JSON: the JSON inside them, runs of a character and repeated lines. The work is the kernel's."""

from headroom_asgi.compressors.base import Compressed, Request
from headroom_asgi.compressors.kernel import crushed


class TextCompressor:
    """The compressor for any other text; what it does not re-lay stays as it is. Its format: docs/crush-format.md, `[text]`."""

    section = "text_compressor"

    def compress(self, text: str, request: Request) -> Compressed | None:
        """The shorter form, or None if no form is shorter. CompressError if a lossless one is not the same bytes."""
        return crushed(text, request, "text")
