"""JSON: minified, unwrapped, tabulated; rows left out where the model can ask for them. The work is the kernel's."""

from headroom_asgi.compressors.base import Compressed, Request
from headroom_asgi.compressors.kernel import crushed


class SmartCrusher:
    """The compressor for JSON texts: one document, or several one after the other. Its format: docs/crush-format.md."""

    section = "smart_crusher"

    def compress(self, text: str, request: Request) -> Compressed | None:
        """The shorter form, or None if no form is shorter. CompressError if a lossless one does not read back."""
        return crushed(text, request, "smart")
