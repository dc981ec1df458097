"""How an answer of the inner app is treated: what its start says of it, and what its first bytes say better.

Servers and frameworks mislabel answers: streams as JSON or text, answers as octets, streams without any type. Unread, a call of
ours in one would reach the client, so where the tool was offered the body itself decides.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

import headroom_asgi.middleware.headers as head
from headroom_asgi.engine import Exchange
from headroom_asgi.errors import HeadroomError, ResponseError
from headroom_asgi.middleware.codings import codings_of, stream_decoder
from headroom_asgi.retrieval import TOOL, Watch
from headroom_asgi.types import Message
from headroom_asgi.wire import Payload, StreamCodec, literal

_OK: Final = range(200, 300)
# Apps that answer without saying what: frameworks have no type for it, or this one.
_UNTYPED: Final = frozenset({"", "text/plain", "application/octet-stream"})
_MAX_FIRST_BYTES: Final = 64 * 1024  # so much white space, or so much of a content coding, tells enough
_NO_CONTENT: Final = 204
_JSON: Final = (b"{", b"[")
_NAME: Final = literal(TOOL.name)
_ALLOWED: Final = b'"name":' + _NAME + b"}"


class Way(Enum):
    """How the messages of a round are treated."""

    PASS = auto()  # to the client as they come
    COLLECT = auto()  # a JSON answer, until it is whole
    WATCH = auto()  # a stream, event by event
    SWALLOW = auto()  # a later round that failed after the client saw bytes
    DONE = auto()  # the client's answer has ended; what still comes is dropped


@dataclass(slots=True, repr=False)
class Kind:
    """What one answer of the inner app is.

    Attributes:
        way: how it is treated.
        media: of a stream, the type that the dialect's codec is made for.
        codings: the content codings of its body.
        failed: its status says that it is no answer of a model.
        sure: nothing that comes changes this any more. Until then `first` holds what came.
        unknown: its type says neither JSON nor stream.
    """

    way: Way = Way.PASS
    media: str = ""
    codings: tuple[str, ...] = ()
    failed: bool = False
    sure: bool = True
    unknown: bool = False
    first: bytes = b""


def kind_of(start: Message, exchange: Exchange, *, reads: bool, follows: bool) -> Kind:
    """What the start of a response says.

    Args:
        start: the message.
        exchange: what it answers.
        reads: somebody wants to see the answer.
        follows: and it may ask for us, so it has to be read whatever it says it is.
    """
    given = start.get("headers", [])
    codings = tuple(codings_of(head.get(given, b"content-encoding")))
    failed = start["status"] not in _OK
    payload = exchange.payload
    if not reads or payload is None or (failed and not exchange.listens) or not _decodes(codings):
        return Kind(codings=codings, failed=failed)
    media = _media(head.get(given, b"content-type"))
    asked = payload.stream and not failed and start["status"] != _NO_CONTENT
    if not failed and exchange.wire.streams(media, payload):
        return Kind(Way.WATCH, media, codings, failed, sure=not follows)
    if media == "application/json" or media.endswith("+json") or media in _UNTYPED:
        return Kind(Way.COLLECT, "", codings, failed, sure=failed or not (follows or asked))
    if follows and not failed:
        return Kind(Way.COLLECT, "", codings, failed, sure=False, unknown=True)
    return Kind(codings=codings, failed=failed)


def told(kind: Kind, data: bytes, exchange: Exchange, *, last: bool) -> bool:
    """Take up the beginning of a body, which is in `kind.first` from then on; whether what it is is known now."""
    kind.first += data
    assert exchange.payload is not None
    shown = _shown(kind, exchange.route.max_response_bytes)
    if not shown and not last and len(kind.first) < _MAX_FIRST_BYTES:
        return False
    kind.sure = True
    _correct(kind, shown, exchange.payload)
    return True


def _correct(kind: Kind, shown: bytes, payload: Payload) -> None:
    """What the first bytes of a body make of what its start said."""
    if (payload.stream or kind.way is Way.WATCH) and (begun := payload.wire.begun(shown)):
        kind.way, kind.media = Way.WATCH, begun
    elif shown.startswith(_JSON):
        kind.way = Way.COLLECT
    elif kind.unknown:
        kind.way = Way.PASS


def _shown(kind: Kind, max_bytes: int) -> bytes:
    """The beginning of a body, decoded as far as it can be, without white space in front."""
    decoder = decoder_of(kind.codings, max_bytes)
    try:
        return decoder(kind.first).lstrip() if decoder is not None else b"?"
    except HeadroomError:
        return b"?"  # whoever reads it will say what is wrong


def decoder_of(codings: tuple[str, ...], max_bytes: int) -> Callable[[bytes], bytes] | None:
    """What decodes a body piece by piece; None if that can't be done."""
    return stream_decoder(codings, max_bytes) if codings else bytes


def _decodes(codings: tuple[str, ...]) -> bool:
    return decoder_of(codings, 0) is not None


def _media(content_type: str) -> str:
    """A content type without its parameters."""
    return content_type.split(";", maxsplit=1)[0].strip().lower()


def put_together(codec: StreamCodec, raw: bytes, max_bytes: int) -> bytes:
    """The answer that a whole stream brings, as JSON. ResponseError if it breaks off, or is longer than may be held."""
    watch = Watch(codec, None, structured=False, max_hold_bytes=max_bytes)
    watch.begin_round()
    watch.feed(raw)
    _, answer = watch.end_round()
    if answer is None:
        raise ResponseError("the stream has no end")
    return answer.document.data


def calls_us(body: bytes, asked: bytes) -> bool:
    """Whether an answer that cannot be read seems to call our tool. What repeats the request names it as often as it defines it,
    and once more if the request had to allow it.
    """
    echoes = body.count(literal(TOOL.description)[1:-1])
    return body.count(_NAME) > echoes * (2 if _ALLOWED in asked else 1)
