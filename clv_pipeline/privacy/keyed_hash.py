"""Names for customers that nobody can reverse without the key: HMAC-SHA256 (RFC 2104), in Python and in SQL.

Pseudonyms in publications and the list of forgotten customers both use it, each with its own key.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field

from clv_pipeline.config.settings import Settings

_BLOCK_BYTES = 64
"""Block size of SHA-256."""


@dataclass(frozen=True)
class KeyedHash:
    """HMAC-SHA256 under `key`, as the first `digits` hexadecimal digits (32 are 128 bits, 64 are all)."""

    key: bytes = field(repr=False)
    digits: int

    def of(self, text: str) -> str:
        """The hash of one text, in UTF-8."""
        return hmac.new(self.key, text.encode(), hashlib.sha256).hexdigest()[: self.digits]

    def expression(self, column: str) -> str:
        """SQL for the hash of a text column (quoted already), to be run with `parameters`."""
        return f"left(sha256($hash_outer || unhex(sha256($hash_inner || encode({column})))), {self.digits})"

    @property
    def parameters(self) -> dict[str, bytes]:
        """The bound parameters of `expression`: the padded keys."""
        key = hashlib.sha256(self.key).digest() if len(self.key) > _BLOCK_BYTES else self.key
        padded = key.ljust(_BLOCK_BYTES, b"\0")
        return {
            "hash_outer": bytes(byte ^ 0x5C for byte in padded),
            "hash_inner": bytes(byte ^ 0x36 for byte in padded),
        }

    @property
    def fingerprint(self) -> str:
        """A text that tells keys apart without revealing them."""
        return self.of("the fingerprint of this key")[:16]


def pseudonyms_of(settings: Settings) -> KeyedHash | None:
    """The hash under the key in CLV_PSEUDONYM_KEY, whether or not publications use it; None without a key."""
    key = settings.pseudonym_key
    return None if key is None else KeyedHash(key.encode(), digits=32)
