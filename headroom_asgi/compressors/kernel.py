"""What the compressors that the kernel works for have in common: ask it, prove what it made, name what was left out."""

from functools import partial

from headroom_asgi import _crush
from headroom_asgi.compressors.base import Compressed, Omission, Request
from headroom_asgi.compressors.marker import part_name
from headroom_asgi.compressors.needles import needles
from headroom_asgi.errors import CompressError

_FORMS = (b"[json", b"[text")
_OF_A_VALUE = (b"[json]", b"[json;", b"[json in ")  # the other forms stand for a text, byte for byte


def crushed(text: str, request: Request, name: str, *, exact: bool = False) -> Compressed | None:
    """The kernel's shorter form, labeled `NAME:lossless` or `NAME:rows`; None if there is none.

    A lossless result was read back before it is returned. `exact`: only an envelope may be taken off.

    Raises:
        CompressError: it does not read back as what it stands for.
    """
    try:
        data = text.encode("utf-8")
    except UnicodeEncodeError:  # an unpaired surrogate outside any JSON escape: no UTF-8, so nothing the kernel reads
        return None
    literals = partial(needles, request.question, request.arguments)
    found = _crush.crush(data, ref=request.ref.encode("ascii"), needles=literals, exact=exact, anyway=request.anyway)
    if found is None:
        return None
    short, parts = found
    if not parts and _crush.expand(short) != _stands_for(short, data):
        raise CompressError("the crushed text does not read back as what it stands for")
    omissions = tuple(Omission(part_name(request.ref, number), units, rows.decode("utf-8")) for number, units, rows in parts)
    return Compressed(short.decode("utf-8"), f"{name}:rows" if parts else f"{name}:lossless", omissions)


def _stands_for(short: bytes, data: bytes) -> bytes:
    """What a lossless form has to read back as: the text itself, or its JSON value where that is all that the form keeps."""
    if short.startswith(_FORMS) and not short.startswith(_OF_A_VALUE):
        return data
    return _crush.expand(data)
