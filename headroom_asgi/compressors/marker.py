"""Refs and the markers that name them.

A ref says which text something was left out of: a 128-bit hash of tenant and text, the same on every worker, with nothing to
coordinate. A marker `<<ccr:REF-PART ...>>` stands where part number PART of that text was left out. What looks like a marker
in incoming text is text: only refs that this exchange wrote are honored.
"""

import hashlib


def text_digest(text: bytes) -> bytes:
    """The 256-bit BLAKE2b of a text, from which refs and memo keys are made."""
    return hashlib.blake2b(text, digest_size=32, person=b"headroom-text").digest()


def make_ref(tenant: str, digest: bytes) -> str:
    """The ref of a text with that digest: 32 hexadecimal digits (BLAKE2b-128 over tenant and digest).

    The tenant is part of what is hashed, so one tenant can neither guess nor meet another's refs.
    """
    name = tenant.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(digest + name, digest_size=16, person=b"headroom-ccr").hexdigest()


def part_name(ref: str, part: int) -> str:
    """What the marker of one part names."""
    return f"{ref}-{part}"
