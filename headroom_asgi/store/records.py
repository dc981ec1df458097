"""Values at rest: compressed where that pays, encrypted if there are keys, and always checked when they come back.

record = form(1) | without keys: checksum(16) | payload
| with keys:    length of id(1) | id | salt(16) | nonce(12) | payload and its tag
"""

import hashlib
import importlib
import os
from typing import Any, Final

from headroom_asgi.errors import ConfigError
from headroom_asgi.store.keys import Keys

# An extra: without it values are kept as they are.
try:
    import zstandard
except ImportError:
    zstandard = None  # type: ignore[assignment]

_PLAIN: Final = 0x10  # the format's number, in the upper half of the first byte
_ZSTD: Final = 0x01
_AES: Final = 0x02
_CHECKSUM: Final = 16
_SALT: Final = 16
_NONCE: Final = 12

# Smaller values gain too little to be worth a look; others are kept compressed if that makes them an eighth smaller.
_COMPRESSED_FROM_BYTES: Final = 512
# Measured on JSON, logs and code: level 3 is nine times smaller at 480 MB/s; higher levels are slower by more than they gain.
_LEVEL: Final = 3
# No value is larger (PUT of larger ones is refused by every store): what says so is not ours.
MAX_BYTES: Final = 256 * 1024 * 1024


class DamagedError(Exception):
    """A record that cannot be read: cut, changed, under another name, of another form, or written with a key not known here."""


class Records:
    """Turns values into records and back.

    Args:
        keys: to encrypt with; then nothing else than what was encrypted with one of them is read.
        compress: zstd where it pays; None: if `zstandard` is installed.

    Raises:
        ConfigError: a package is missing that this needs.
    """

    def __init__(self, keys: Keys | None = None, *, compress: bool | None = None) -> None:
        if compress and zstandard is None:
            raise ConfigError("store: compression needs the package zstandard: pip install 'headroom-asgi[zstd]'")
        self._keys = keys
        if keys is not None:  # an extra as well, and slow to import
            try:
                self._aes: Any = importlib.import_module("cryptography.hazmat.primitives.ciphers.aead").AESGCM
                self._invalid: Any = importlib.import_module("cryptography.exceptions").InvalidTag
            except ImportError as error:
                message = "store: encryption needs the package cryptography: pip install 'headroom-asgi[crypto]'"
                raise ConfigError(message) from error
        self._compress = zstandard is not None if compress is None else compress

    @property
    def encrypts(self) -> bool:
        """What is written is encrypted."""
        return self._keys is not None

    def pack(self, value: bytes, name: bytes) -> bytes:
        """The record of a value; it can be read under this name only."""
        form, payload = _PLAIN, value
        if self._compress and len(value) >= _COMPRESSED_FROM_BYTES:
            smaller = zstandard.ZstdCompressor(level=_LEVEL).compress(value)
            if len(smaller) <= len(value) - len(value) // 8:
                form, payload = form | _ZSTD, smaller
        if self._keys is None:
            head = bytes((form,))
            return head + _checksum(head, name, payload) + payload
        key_id = self._keys.first.encode("ascii")
        key = self._keys.get(self._keys.first)
        assert key is not None
        head = bytes((form | _AES, len(key_id))) + key_id + os.urandom(_SALT)
        nonce = os.urandom(_NONCE)
        sealed: bytes = self._cipher(key, head[-_SALT:]).encrypt(nonce, payload, head + name)
        return head + nonce + sealed

    def unpack(self, record: bytes, name: bytes, *, most: int = MAX_BYTES) -> bytes:
        """The value of a record. DamagedError, never another value, if it is larger than `most` or anything is wrong with it."""
        form = record[0] if record else 0
        encrypted = form & _AES != 0
        if form & ~(_ZSTD | _AES) != _PLAIN or encrypted != self.encrypts:
            raise DamagedError("of another form")
        payload = self._decrypted(record, name) if encrypted else _checked(record, name)
        return _expanded(payload, most) if form & _ZSTD else payload

    def _decrypted(self, record: bytes, name: bytes) -> bytes:
        assert self._keys is not None
        start = 2 + (record[1] if len(record) > 1 else 0)
        end = start + _SALT
        key = self._keys.get(record[2:start].decode("latin-1"))
        if key is None:
            raise DamagedError("written with a key that is not known here")
        if len(record) < end + _NONCE:
            raise DamagedError("cut")
        try:
            cipher = self._cipher(key, record[start:end])
            payload: bytes = cipher.decrypt(record[end : end + _NONCE], record[end + _NONCE :], record[:end] + name)
        except self._invalid as error:
            raise DamagedError("changed") from error
        return payload

    def _cipher(self, key: bytes, salt: bytes) -> Any:
        """AES-256-GCM with a key of the record's own, so that no number of records wears the secret out."""
        return self._aes(hashlib.blake2b(salt, key=key, digest_size=32, person=b"headroom-record").digest())


def _checksum(head: bytes, name: bytes, payload: bytes) -> bytes:
    digest = hashlib.blake2b(head, digest_size=_CHECKSUM, person=b"headroom-record")
    digest.update(len(name).to_bytes(8, "big"))
    digest.update(name)
    digest.update(payload)
    return digest.digest()


def _checked(record: bytes, name: bytes) -> bytes:
    payload = record[1 + _CHECKSUM :]
    if _checksum(record[:1], name, payload) != record[1 : 1 + _CHECKSUM]:
        raise DamagedError("changed")
    return payload


def _expanded(payload: bytes, most: int) -> bytes:
    """What was compressed, once its size is known to be a value's."""
    if zstandard is None:
        raise DamagedError("compressed, and zstandard is not installed here")
    try:
        size = zstandard.frame_content_size(payload)
        if not 0 <= size <= most:
            raise DamagedError("too large")
        value: bytes = zstandard.ZstdDecompressor().decompress(payload)
    except zstandard.ZstdError as error:
        raise DamagedError("not what zstd makes") from error
    return value
