"""Content codings: gzip, deflate, br and zstd, decoded under a cap, whole or piece by piece."""

import io
import zlib
from collections.abc import Callable, Sequence
from typing import Any, Final

from headroom_asgi.errors import HeadroomError

# Extras: without them such bodies pass through with the reason `unsupported_encoding`.
try:
    import brotli
except ImportError:
    brotli = None
if not hasattr(getattr(brotli, "Decompressor", None), "can_accept_more_data"):  # older versions cannot be bounded
    brotli = None
try:
    import zstandard
except ImportError:
    zstandard = None  # type: ignore[assignment]

_PIECE: Final = 64 * 1024
# Of a stream so much is decoded at once: what is left behind a member is copied, and 20 bytes are a member.
_SLICE: Final = 4 * 1024
# Zstandard makes up to 128 KiB of four bytes.
_ZSTD_SLICE: Final = 128
# RFC 9659: what is sent as `zstd` needs no larger window, and who asks for one asks for that much memory.
_ZSTD_WINDOW: Final = 8 * 1024 * 1024
# Nobody applies more than two; each may take as long as the largest body.
_MAX_CODINGS: Final = 3
# Bodies have one member, rarely a few. Thousands of empty ones say nothing and take their time: 20 bytes are a member.
_MAX_MEMBERS: Final = 100


class CodingError(HeadroomError):
    """A body that cannot be decoded.

    Args:
        reason: `unsupported_encoding`, `corrupt_encoding` or `too_large`.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def codings_of(value: str) -> list[str]:
    """The codings of a `content-encoding` header in the order they were applied; `identity` is none."""
    return [name for name in (part.strip().lower() for part in value.split(",")) if name and name != "identity"]


def decode(data: bytes, codings: Sequence[str], max_bytes: int) -> bytes:
    """The body without its codings. CodingError if one is unknown or corrupt, or the result is larger than `max_bytes`.

    No more than `max_bytes` (and a piece) is ever decompressed, whatever the ratio.
    """
    if len(codings) > _MAX_CODINGS:
        raise CodingError("unsupported_encoding")
    for name in reversed(codings):
        decoder = _DECODERS.get(name)
        if decoder is None:
            raise CodingError("unsupported_encoding")
        data = decoder(data, max_bytes)
    return data


def stream_decoder(codings: Sequence[str], max_bytes: int) -> Callable[[bytes], bytes] | None:
    """A function that decodes a response piece by piece, None if these codings cannot be decoded. `b""` ends nothing.

    It raises CodingError where the response is corrupt, or one piece of it becomes larger than `max_bytes`.
    """
    if not 0 < len(codings) <= _MAX_CODINGS or any(name not in _STREAMS for name in codings):
        return None
    decoders = [(_STREAMS[name](max_bytes), _ZSTD_SLICE if name == "zstd" else _SLICE) for name in reversed(codings)]

    def decode_piece(data: bytes) -> bytes:
        try:
            for decoder, step in decoders:
                data = _in_slices(decoder, data, step, max_bytes)
        except _BROKEN as error:
            raise CodingError("corrupt_encoding") from error
        return data

    return decode_piece


def _in_slices(decoder: Callable[[bytes], bytes], data: bytes, step: int, max_bytes: int) -> bytes:
    """A piece, decoded little by little, so that it is noticed in time if it becomes too large."""
    out: list[bytes] = []
    size = 0
    for at in range(0, len(data), step):
        out.append(decoder(data[at : at + step]))
        size += len(out[-1])
        if size > max_bytes:
            raise CodingError("too_large")
    return b"".join(out)


def _gzip(data: bytes, max_bytes: int) -> bytes:
    return _inflate(data, 31, max_bytes)


def _deflate(data: bytes, max_bytes: int) -> bytes:
    """RFC 9110 means zlib's format; some clients send raw deflate."""
    try:
        return _inflate(data, 15, max_bytes)
    except CodingError as error:
        if error.reason != "corrupt_encoding":
            raise
        return _inflate(data, -15, max_bytes)


def _inflate(data: bytes, window: int, max_bytes: int) -> bytes:
    """All members of a zlib, gzip or raw stream. Read in pieces: zlib copies whatever it leaves over of what it is given."""
    out: list[bytes] = []
    size = members = at = 0
    rest = b""
    member: Any = None
    while rest or at < len(data) or member is not None:
        if not rest:
            rest = data[at : at + _PIECE]
            at += len(rest)
        if member is None:
            member = zlib.decompressobj(window)
            members += 1
        try:
            piece = member.decompress(rest, _PIECE)
        except zlib.error as error:
            raise CodingError("corrupt_encoding") from error
        size += len(piece)
        out.append(piece)
        if size > max_bytes:
            raise CodingError("too_large")
        ended = member.eof
        if members > _MAX_MEMBERS or not (rest or piece or ended):
            raise CodingError("corrupt_encoding")
        rest = member.unused_data if ended else member.unconsumed_tail
        member = None if ended else member
    return b"".join(out)


def _brotli(data: bytes, max_bytes: int) -> bytes:
    decoder = brotli.Decompressor()
    out: list[bytes] = []
    size, rest = 0, data
    try:
        while not decoder.is_finished():
            piece = decoder.process(rest, output_buffer_limit=_PIECE)
            rest = b""
            size += len(piece)
            out.append(piece)
            if size > max_bytes:
                raise CodingError("too_large")
            if not piece and decoder.can_accept_more_data():
                raise CodingError("corrupt_encoding")
    except brotli.error as error:
        raise CodingError("corrupt_encoding") from error
    return b"".join(out)


def _zstd(data: bytes, max_bytes: int) -> bytes:
    out: list[bytes] = []
    size = 0
    try:
        with _zstd_decoder().stream_reader(io.BytesIO(data), read_across_frames=True) as reader:
            while piece := reader.read(_PIECE):
                size += len(piece)
                out.append(piece)
                if size > max_bytes:
                    raise CodingError("too_large")
    except zstandard.ZstdError as error:
        raise CodingError("corrupt_encoding") from error
    if not out:
        raise CodingError("corrupt_encoding")
    return b"".join(out)


def _zstd_decoder() -> Any:
    return zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)


_DECODERS: Final[dict[str, Callable[[bytes, int], bytes]]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    **({"br": _brotli} if brotli is not None else {}),
    **({"zstd": _zstd} if zstandard is not None else {}),
}


# What the decoders raise for bytes that they cannot read.
_BROKEN: Final[tuple[type[Exception], ...]] = (
    zlib.error,
    *((brotli.error,) if brotli is not None else ()),
    *((zstandard.ZstdError,) if zstandard is not None else ()),
)


def _zlib_stream(_max_bytes: int) -> Callable[[bytes], bytes]:
    member = zlib.decompressobj(47)

    def decompress(data: bytes) -> bytes:
        nonlocal member
        out = member.decompress(data)
        while member.unused_data:
            rest, member = member.unused_data, zlib.decompressobj(47)
            out += member.decompress(rest)
        return out

    return decompress


def _brotli_stream(max_bytes: int) -> Callable[[bytes], bytes]:
    decoder = brotli.Decompressor()

    def decompress(data: bytes) -> bytes:
        out = [decoder.process(data, output_buffer_limit=_PIECE)]
        size = len(out[0])
        # A byte of it can stand for megabytes. The decoder does not say that it has more to give.
        while out[-1] and size <= max_bytes and not decoder.is_finished():
            out.append(decoder.process(b"", output_buffer_limit=_PIECE))
            size += len(out[-1])
        return b"".join(out)

    return decompress


def _zstd_stream(_max_bytes: int) -> Callable[[bytes], bytes]:
    decompress: Any = _zstd_decoder().decompressobj().decompress
    return lambda data: bytes(decompress(data))


_STREAMS: Final[dict[str, Callable[[int], Callable[[bytes], bytes]]]] = {
    "gzip": _zlib_stream,
    "x-gzip": _zlib_stream,
    "deflate": _zlib_stream,
    **({"br": _brotli_stream} if brotli is not None else {}),
    **({"zstd": _zstd_stream} if zstandard is not None else {}),
}
