"""Signed checkpoints of the audit log, as C2SP tlog-checkpoint and signed-note write them.

https://c2sp.org/tlog-checkpoint and https://c2sp.org/signed-note: any witness or log monitor can read one.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from services.enricher.audit.merkle import HASH_BYTES

__all__ = ["NOTE_BYTES_MAX", "Checkpoint", "Signer", "Untrusted", "Verifier", "parse_body"]

NOTE_BYTES_MAX = 4096  # an origin, a number, a hash and a signature; more is no checkpoint of ours
ED25519_TYPE = b"\x01"  # signed-note's algorithm byte
KEY_ID_BYTES = 4


class Untrusted(ValueError):
    """The note is no checkpoint of this log; the text completes "The checkpoint ..."."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log of `size` entries has the root `root`."""

    origin: str
    size: int
    root: bytes

    def body(self) -> str:
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


class Verifier:
    """Knows a log's public key. Its origin and key name are derived from the key, so each installation has its own."""

    def __init__(self, public: Ed25519PublicKey) -> None:
        self._public = public
        raw = public.public_bytes_raw()
        self.origin = f"voile-audit/{sha256(raw).hexdigest()[:16]}"
        self._key_id = sha256(self.origin.encode() + b"\n" + ED25519_TYPE + raw).digest()[:KEY_ID_BYTES]

    @property
    def key_line(self) -> str:
        """The public key as signed-note's verifier key, for witnesses."""
        encoded = base64.b64encode(ED25519_TYPE + self._public.public_bytes_raw()).decode()
        return f"{self.origin}+{self._key_id.hex()}+{encoded}"

    def open(self, note: str) -> Checkpoint:
        """The checkpoint in `note`. Raises `Untrusted` unless this log's key signed it."""
        body, separator, signatures = note.partition("\n\n")
        if not separator or not note.endswith("\n"):
            raise Untrusted("is no signed note")
        checkpoint = parse_body(body)
        if checkpoint.origin != self.origin:
            raise Untrusted("belongs to another log or was signed with another key")
        if not any(self._signed(body + "\n", line) for line in signatures.splitlines()):
            raise Untrusted("carries no valid signature of this log's key")
        return checkpoint

    def _signed(self, text: str, line: str) -> bool:
        dash, _, rest = line.partition(" ")
        name, _, encoded = rest.partition(" ")
        try:
            signature = base64.b64decode(encoded, validate=True)
            if dash != "\u2014" or name != self.origin or signature[:KEY_ID_BYTES] != self._key_id:
                return False
            self._public.verify(signature[KEY_ID_BYTES:], text.encode())
        except (binascii.Error, ValueError, InvalidSignature):
            return False
        return True


class Signer(Verifier):
    """Signs with an Ed25519 key made from `seed` (32 bytes of the key service)."""

    def __init__(self, seed: bytes) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        super().__init__(self._private.public_key())

    def sign(self, size: int, root: bytes) -> str:
        body = Checkpoint(self.origin, size, root).body()
        signature = base64.b64encode(self._key_id + self._private.sign(body.encode())).decode()
        return f"{body}\n\u2014 {self.origin} {signature}\n"


def parse_body(body: str) -> Checkpoint:
    """The three lines of a note's text. Raises `Untrusted`."""
    lines = body.split("\n")
    if len(lines) < 3 or not lines[1].isascii() or not lines[1].isdigit():
        raise Untrusted("has no origin, size and root")
    try:
        root = base64.b64decode(lines[2], validate=True)
    except (binascii.Error, ValueError):
        root = b""
    if len(root) != HASH_BYTES:
        raise Untrusted("has no SHA-256 root")
    return Checkpoint(lines[0], int(lines[1]), root)
