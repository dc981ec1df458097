"""A request that has the body of another one in it."""

from base64 import b64encode
from dataclasses import dataclass

from headroom_asgi._crush import Document
from headroom_asgi.types import Edit
from headroom_asgi.wire.splice import splice


@dataclass(frozen=True, slots=True, repr=False)
class Cover:
    """A request that has the body of another one in it, in base64.

    Attributes:
        document: the request around it.
        node: the STRING that holds it.
        inside: the body that came.
    """

    document: Document
    node: int
    inside: bytes

    def around(self, body: bytes) -> bytes:
        """The request with that body in it; the bytes that came if it is the one that came."""
        if body is self.inside:
            return self.document.data
        return splice(self.document.data, [Edit(*self.document.span(self.node), b'"' + b64encode(body) + b'"')])
