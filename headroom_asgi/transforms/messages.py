"""Messages as Python values, and the payload that a request with them would make."""

from collections.abc import Sequence
from typing import Any

from headroom_asgi.errors import ConfigError, PayloadError
from headroom_asgi.types import Edit
from headroom_asgi.wire import Payload, dialect_named, dump, guess_dialect, splice


def payload_of(messages: list[Any], model: str, dialect: str | None) -> Payload:
    """The payload of a request with these messages; the dialect is guessed from them if none is named.

    Raises:
        ConfigError: the dialect is unknown, or the messages are not a list of JSON values.
    """
    wire = guess_dialect(messages) if dialect is None else dialect_named(dialect)
    try:
        return wire.decode(dump({"model": model, wire.messages: messages}))
    except (TypeError, ValueError, RecursionError, PayloadError) as error:
        raise ConfigError(f"messages: not a list of JSON values ({error})") from error


def with_edits(payload: Payload, edits: Sequence[Edit]) -> Payload:
    """The payload with edits that somebody made of its messages or tools.

    Raises:
        PayloadError: they would tear tool calls and their results apart, or what they make is no payload.
    """
    if not edits:
        return payload
    edited = payload.again(splice(payload.body, edits))
    if not payload.wire.unpaired(edited) <= payload.wire.unpaired(payload):
        raise PayloadError("unpaired")
    return edited


def decoded_messages(payload: Payload) -> list[Any]:
    """The messages of a payload as new Python values."""
    messages: list[Any] = payload.wire.values(payload)["messages"]
    return messages
