"""Keys for values at rest: each with an id, the first one for writing, all of them for reading."""

import base64
import binascii
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from headroom_asgi.config import variable
from headroom_asgi.errors import ConfigError

KEY_BYTES: Final = 32
_ID: Final = re.compile(r"[A-Za-z0-9_.-]{1,32}")


class Keys:
    """Secret keys by id. Their order counts: what is written is written with the first.

    A new key goes to the end first, until every worker knows it, then to the front. An old one can be taken out once nothing
    that was written with it is left: `max_age_s` of the store later.

    Args:
        keys: 32 secret bytes by an id of at most 32 letters, digits, `_`, `.`, `-`.

    Raises:
        ConfigError: there is none, or one is of another length or has another id. No key is ever repeated in a message.
    """

    __slots__ = ("_keys", "first")

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        for number, (name, key) in enumerate(keys.items(), 1):
            if not _ID.fullmatch(name):  # which may be a key in the wrong place
                raise ConfigError(f"keys: the id of key number {number} is not one of at most 32 letters, digits, '_', '.', '-'")
            if len(key) != KEY_BYTES:
                raise ConfigError(f"keys: the key {name!r} has {len(key)} bytes, not {KEY_BYTES}")
        if not keys:
            raise ConfigError("keys: there are none")
        self._keys = dict(keys)
        self.first = next(iter(keys))

    def __repr__(self) -> str:
        return f"Keys({', '.join(self._keys)})"

    def get(self, name: str) -> bytes | None:
        """The key with that id."""
        return self._keys.get(name)

    @classmethod
    def parse(cls, text: str) -> "Keys":
        """Keys as they are written down: `ID:KEY` per line or between commas, the key in base64. `#` begins a comment."""
        keys: dict[str, bytes] = {}
        lines = (line.partition("#")[0] for line in text.splitlines())
        for item in (item.strip() for line in lines for item in line.split(",")):
            if not item:
                continue
            name, colon, encoded = item.partition(":")
            try:
                key = base64.b64decode(encoded.strip().encode("ascii") if colon else b"?", validate=True)
            except (binascii.Error, UnicodeEncodeError) as error:
                raise ConfigError(f"keys: key number {len(keys) + 1} is not ID:KEY with a key in base64") from error
            if name.strip() in keys:
                raise ConfigError(f"keys: the id {name.strip()!r} comes twice")
            keys[name.strip()] = key
        return cls(keys)

    @classmethod
    def from_file(cls, path: str) -> "Keys":
        """Keys from a file, e.g. a mounted secret."""
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"keys: the file {path!r} cannot be read ({type(error).__name__})") from error
        return cls.parse(text)

    @classmethod
    def from_variable(cls, name: str) -> "Keys":
        """Keys from an environment variable."""
        text = variable(name)
        if not text:
            raise ConfigError(f"keys: the environment variable {name!r} is not set")
        return cls.parse(text)
