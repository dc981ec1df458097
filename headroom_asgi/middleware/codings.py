"""Content codings: gzip, deflate, br and zstd, decoded under a cap, whole or piece by piece."""

import io
import zlib
from collections.abc import Callable
from typing import Any, Final

from headroom_asgi.errors import HeadroomError

# Extras: without them such bodies pass through with the reason `unsupported_encoding`.
try:
    import brotli
except ImportError:
    brotli = None
try:
    import zstandard
except ImportError:
    zstandard = None  # type: ignore[assignment]

_PIECE: Final = 64 * 1024
# Of a stream so much is decoded at once: what is left behind a member is copied, and 20 bytes are a member.
_SLICE: Final = 4 * 1024
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


def decode(data: bytes, codings: list[str], max_bytes: int) -> bytes:
    """The body without its codings. CodingError if one is unknown or corrupt, or the result is larger than `max_bytes`.

    No more than `max_bytes` (and a piece) is ever decompressed, whatever the ratio.
    """
    for name in reversed(codings):
        decoder = _DECODERS.get(name)
        if decoder is None:
            raise CodingError("unsupported_encoding")
        data = decoder(data, max_bytes)
    return data


def stream_decoder(codings: list[str], max_bytes: int) -> Callable[[bytes], bytes] | None:
    """A function that decodes a response piece by piece, None if these codings cannot be decoded. `b""` ends nothing.

    It raises CodingError where the response is corrupt, or one piece of it becomes larger than `max_bytes`.
    """
    factory = _STREAMS.get(codings[0]) if len(codings) == 1 else None
    if factory is None:
        return None
    decoder = factory()

    def decode_piece(data: bytes) -> bytes:
        out: list[bytes] = []
        size = 0
        try:
            for at in range(0, len(data), _SLICE):
                out.append(decoder(data[at : at + _SLICE]))
                size += len(out[-1])
                if size > max_bytes:
                    raise CodingError("too_large")
        except _BROKEN as error:
            raise CodingError("corrupt_encoding") from error
        return b"".join(out)

    return decode_piece


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
    try:
        with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data), read_across_frames=True) as reader:
            out: bytes = reader.read(max_bytes + 1)
    except zstandard.ZstdError as error:
        raise CodingError("corrupt_encoding") from error
    if len(out) > max_bytes:
        raise CodingError("too_large")
    if not out:
        raise CodingError("corrupt_encoding")
    return out


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


def _zlib_stream() -> Callable[[bytes], bytes]:
    member = zlib.decompressobj(47)

    def decompress(data: bytes) -> bytes:
        nonlocal member
        out = member.decompress(data)
        while member.unused_data:
            rest, member = member.unused_data, zlib.decompressobj(47)
            out += member.decompress(rest)
        return out

    return decompress


def _brotli_stream() -> Callable[[bytes], bytes]:
    process: Callable[[bytes], bytes] = brotli.Decompressor().process
    return process


def _zstd_stream() -> Callable[[bytes], bytes]:
    decompress: Any = zstandard.ZstdDecompressor().decompressobj().decompress
    return lambda data: bytes(decompress(data))


_STREAMS: Final[dict[str, Callable[[], Callable[[bytes], bytes]]]] = {
    "gzip": _zlib_stream,
    "x-gzip": _zlib_stream,
    "deflate": _zlib_stream,
    **({"br": _brotli_stream} if brotli is not None else {}),
    **({"zstd": _zstd_stream} if zstandard is not None else {}),
}
