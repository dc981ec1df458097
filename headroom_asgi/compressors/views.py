"""Files with their lines numbered: the numbers written short, the file's text as it is. The work is the kernel's."""

from headroom_asgi._crush import expand, view
from headroom_asgi.compressors.base import Compressed, Request
from headroom_asgi.errors import CompressError


class ViewCompressor:
    """The compressor for views of files, whose text keeps its very bytes. Its format: docs/crush-format.md, `[view]`."""

    section = "views"

    def compress(self, text: str, request: Request) -> Compressed | None:  # noqa: ARG002 - nothing is left out
        """The shorter form, or None if there is none. CompressError if it is not the same bytes."""
        data = text.encode("utf-8", "surrogatepass")
        short = view(data)
        if short is None:
            return None
        if expand(short) != data:
            raise CompressError("the view does not read back as what it stands for")
        return Compressed(short.decode("utf-8", "surrogatepass"), "views:lossless")
