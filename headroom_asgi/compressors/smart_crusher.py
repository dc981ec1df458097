"""JSON: minified, unwrapped, tabulated; rows left out where the model can ask for them. The work is the kernel's."""

import re

from headroom_asgi import _crush
from headroom_asgi.compressors.base import Compressed, Omission, Request
from headroom_asgi.compressors.marker import part_name
from headroom_asgi.errors import CompressError

# What a question may be looking for: quoted strings, e-mails, and words that are names rather than prose (a digit, a capital,
# or a joint inside). Prose words would match every row. A search starts at the beginning of a word only: linear on any text.
_LITERALS = re.compile(
    r"""["'`]([^"'`\n]{3,60})["'`]"""
    r"""|(?<![\w.+-])([\w.+-]+@[\w.-]+\w)"""
    r"""|\b([A-Za-z_]*\d[\w.:-]*\w|[A-Za-z]+(?:[_.:/-]\w+)+|[A-Z][A-Za-z]{2,})\b"""
)
_MAX_QUESTION = 20_000  # characters; a question longer than this names everything
_MAX_NEEDLES = 200


class SmartCrusher:
    """The compressor for JSON texts. Its format: docs/crush-format.md."""

    name = "smart"

    def compress(self, text: str, request: Request) -> Compressed | None:
        """The shorter form, or None if the text is not JSON or no form is shorter.

        A lossless result was read back before it is returned; an unequal one raises CompressError.
        """
        try:
            data = text.encode("utf-8")
        except UnicodeEncodeError:  # an unpaired surrogate outside any JSON escape: no UTF-8, so nothing the kernel reads
            return None
        found = _crush.crush(data, ref=request.ref.encode("ascii"), needles=needles(request.question))
        if found is None:
            return None
        crushed, parts = found
        if not parts and _crush.expand(crushed) != _crush.expand(data):
            raise CompressError("the crushed text does not read back as the value it stands for")
        omissions = tuple(Omission(part_name(request.ref, number), units, rows.decode("utf-8")) for number, units, rows in parts)
        return Compressed(crushed.decode("utf-8"), "smart:rows" if parts else "smart:lossless", omissions)


def needles(question: str) -> list[bytes]:
    """UTF-8 literals of a question that rows are looked up by, in the order they stand, without repeats."""
    found: dict[str, None] = {}
    for match in _LITERALS.finditer(question[-_MAX_QUESTION:]):
        literal = next(group for group in match.groups() if group is not None)
        found.setdefault(literal, None)
        if len(found) >= _MAX_NEEDLES:
            break
    return [literal.encode("utf-8", "ignore") for literal in found]
