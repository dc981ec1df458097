"""The one tree of exceptions.

HeadroomError
├── ConfigError          a setting is unknown, or its value is not what was expected (also a ValueError)
├── ScanError            bytes are not JSON (also a ValueError)
├── PayloadError         a request body that cannot be handled; goes upstream as it came, for `reason`
├── ExpandError          a text is not in the crush format, or rows were left out of it (also a ValueError)
├── ResponseError        an answer of the inner app is not what its dialect prescribes; passes as it came
├── CompressError        a compressor failed on a text, or its own proof (the text goes as it came)
└── StoreError           a store could not do what it was asked
    ├── StoreRefusedError  it is well, and will not do this: a value beyond its bounds, a wrong ttl, counters where a value is
    └── StoreDownError     it failed before and is left alone for a while; the log has one line about that
"""


class HeadroomError(Exception):
    """Base of everything this package raises."""


class ConfigError(HeadroomError, ValueError):
    """A setting is unknown or has a wrong value; names the key, the value and what was expected."""


class ScanError(HeadroomError, ValueError):
    """Bytes that are not one JSON text.

    Args:
        reason: `invalid_json` or `invalid_utf8`.
        offset: byte offset of the first offending byte.
    """

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__(f"{reason} at byte {offset}")
        self.reason = reason
        self.offset = offset


class PayloadError(HeadroomError):
    """A request body that cannot be handled; it is forwarded as it came.

    Args:
        reason: the code that goes into headers and logs, e.g. `invalid_json`, `not_an_object`.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ExpandError(HeadroomError, ValueError):
    """A text that cannot be expanded; `refs` names what was left out of it, if that is why."""

    def __init__(self, message: str, refs: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.refs = refs


class ResponseError(HeadroomError):
    """An answer that is not what its dialect prescribes; it passes as it came."""


class StoreError(HeadroomError):
    """A store could not do what it was asked (full, unreachable, closed)."""


class StoreRefusedError(StoreError):
    """A store that is well will not do what it was asked: it would be refused again."""


class StoreDownError(StoreError):
    """A store that failed before and is left alone for a while; the log has said so once, for all calls that get this."""


class CompressError(HeadroomError):
    """A compressor failed on a text, or could not read its own output back; the text goes as it came."""
