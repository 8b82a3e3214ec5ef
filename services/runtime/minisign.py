"""minisign signatures whose Ed25519 seed is a key of a plane's KeyService.

The file formats are minisign's own (https://jedisct1.github.io/minisign/#signature-format), so that who
gets a package or a certificate needs nothing of Voile to check it. Each plane signs with a key of its own:
`name` says which.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from minisign import ParseError, PublicKey, SecretKey, Signature, VerifyError

from services.runtime.errors import Fatal
from services.runtime.keys import KeyService

__all__ = [
    "CERTIFICATE_KEY",
    "RELEASE_KEY",
    "existing_public_key",
    "is_as_written",
    "public_key_file",
    "public_key_line",
    "read_public_key",
    "sign",
    "signed_comment",
]

RELEASE_KEY = "release/signing"  # the statistics plane's, for partners
CERTIFICATE_KEY = "certificate/signing"  # the identity plane's: erasures, tenants that left
_KEY_ID_BYTES = 8
_NO_PASSWORD = b"\0\0" + b"B2" + bytes(32 + 8 + 8)  # kdf none, checksum BLAKE2b, then salt, ops and memory limits


def sign(keys: KeyService, name: str, data: bytes, comment: str, *, what: str) -> bytes:
    """The content of a `.minisig` file. Ed25519 is deterministic: the same arguments give the same bytes.

    `what` is signed ("release"), for the line that no signature covers; `comment` is covered.
    """
    with _secret_key(keys.get_or_create(name)) as secret:
        signature = secret.sign(data, untrusted_comment=_untrusted(what), trusted_comment=comment)
    return bytes(signature) + b"\n"


def public_key_file(keys: KeyService, name: str) -> bytes:
    """The content of a minisign public key file; makes the key pair when there is none."""
    with _secret_key(keys.get_or_create(name)) as secret:
        return bytes(secret.get_public_key()) + b"\n"


def public_key_line(keys: KeyService, name: str) -> str:
    """The base64 line of that file: what `minisign -P` and `--public-key` take."""
    return public_key_file(keys, name).decode().splitlines()[1]


def existing_public_key(keys: KeyService, name: str) -> PublicKey | None:
    """None when nothing was ever signed with the key."""
    seed = keys.get(name)
    if seed is None:
        return None
    with _secret_key(seed) as secret:
        return secret.get_public_key()


def read_public_key(text: str) -> PublicKey:
    """A public key file's path, or its base64 line. Raises `Fatal` on anything else."""
    try:
        return PublicKey.from_base64(text.strip())
    except ParseError:
        pass
    try:
        return PublicKey.from_bytes(Path(text).read_bytes())
    except (OSError, ParseError):
        raise Fatal("The public key is neither a minisign public key file nor its base64 line (RW...).") from None


def signed_comment(key: PublicKey, data: bytes, signature: bytes) -> str | None:
    """The trusted comment when `signature` is this key's on `data`, else None."""
    try:
        parsed = Signature.from_bytes(signature)
        key.verify(data, parsed)
    except (ParseError, VerifyError):
        return None
    return str(parsed.trusted_comment)


def is_as_written(signature: bytes, what: str) -> bool:
    """Whether `sign` writes it so, byte for byte: no signature covers the first line, nor the form of the others."""
    try:
        parsed = Signature.from_bytes(signature)
    except ParseError:
        return False
    return parsed.untrusted_comment == _untrusted(what) and bytes(parsed) + b"\n" == signature


def _untrusted(what: str) -> str:
    return f"signature of a Voile {what}"


def _secret_key(seed: bytes) -> SecretKey:
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    key_id = hashlib.blake2b(public, digest_size=_KEY_ID_BYTES, person=b"voile.keyid").digest()
    checksum = hashlib.blake2b(b"Ed" + key_id + seed + public, digest_size=32).digest()
    return SecretKey.from_base64(base64.b64encode(b"Ed" + _NO_PASSWORD + key_id + seed + public + checksum))
