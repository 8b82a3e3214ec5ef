"""The text of a program's key: `voile_<kind>_<id>_<secret>`, shown once; its secret is stored hashed.

Source: OWASP ASVS 5.0, 6.5 (256 random bits, stored hashed, compared in constant time); the prefix lets secret
scanners find a key that was published by mistake.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256

__all__ = ["TERM", "KeyText", "made", "read"]

TERM = timedelta(days=365)  # a forgotten key ends by itself
SECRET_BYTES = 32
ID_BYTES = 6
_FORM = re.compile(r"voile_([a-z]{3})_([0-9a-f]{12})_([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class KeyText:
    """`kind`: three letters, one set of keys each. `id` is the public part."""

    kind: str
    id: str
    secret: str

    def __str__(self) -> str:
        return f"voile_{self.kind}_{self.id}_{self.secret}"

    def __repr__(self) -> str:
        return f"KeyText({self.kind}, {self.id}, ***)"

    @property
    def digest(self) -> bytes:
        """What is stored of the secret."""
        return sha256(self.secret.encode()).digest()

    def is_of(self, digest: bytes) -> bool:
        return hmac.compare_digest(digest, self.digest)


def made(kind: str, random_hex: Callable[[int], str]) -> KeyText:
    return KeyText(kind, random_hex(ID_BYTES), random_hex(SECRET_BYTES))


def read(kind: str, text: str) -> KeyText | None:
    """None when it is no key of that kind."""
    form = _FORM.fullmatch(text)
    return KeyText(kind, form[2], form[3]) if form and form[1] == kind else None
