"""Messages as Python values, and the payload that a request with them would make."""

from typing import Any

from headroom_asgi.errors import ConfigError, PayloadError
from headroom_asgi.wire import Payload, dialect_named, dump, guess_dialect


def payload_of(messages: list[Any], model: str, dialect: str | None) -> Payload:
    """The payload of a request with these messages; the dialect is guessed from them if none is named.

    Raises:
        ConfigError: the dialect is unknown, or the messages are not a list of JSON values.
    """
    wire = guess_dialect(messages) if dialect is None else dialect_named(dialect)
    try:
        return wire.decode(dump({"model": model, "messages": messages}))
    except (TypeError, ValueError, RecursionError, PayloadError) as error:
        raise ConfigError(f"messages: not a list of JSON values ({error})") from error


def decoded_messages(payload: Payload) -> list[Any]:
    """The messages of a payload as new Python values."""
    messages: list[Any] = payload.wire.values(payload)["messages"]
    return messages
