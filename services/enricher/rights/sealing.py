"""What a case must know of a person, sealed under keys of the case's own, in the plane's key service.

Two keys a case: `person` closes once the request is carried out (the account, the package), `texts` at the end of the
case's own term (reasons, notes). A key that was destroyed closes every backup of the records as well: keys are in none.
"""

from __future__ import annotations

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.enricher.persons.vault import NONCE_BYTES, Tampered, bound_to
from services.runtime.keys import KeyService

__all__ = ["PERSON", "TEXTS", "CaseSeal"]

PERSON, TEXTS = "person", "texts"


class CaseSeal:
    def __init__(self, keys: KeyService) -> None:
        self._keys = keys

    def seal(self, case: str, part: str, what: str, content: bytes) -> bytes:
        """`part` says which key; `what` binds the text to its place in the case."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        cipher = AESGCM(self._keys.get_or_create(_name(case, part)))
        return nonce + cipher.encrypt(nonce, content, _place(case, part, what))

    def open(self, case: str, part: str, what: str, sealed: bytes | None) -> bytes | None:
        """None when there is nothing, or its key was destroyed. Raises `Tampered`."""
        key = self._keys.get(_name(case, part))
        if key is None or sealed is None:
            return None
        try:
            return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _place(case, part, what))
        except (InvalidTag, ValueError) as error:
            raise Tampered from error

    def destroy(self, case: str, part: str) -> bool:
        """True when there was a key: from now on nobody reads that part of the case."""
        return self._keys.destroy(_name(case, part))


def _name(case: str, part: str) -> str:
    return f"case/{case}/{part}"


def _place(case: str, part: str, what: str) -> bytes:
    return bound_to("voile.case.1", case, part, what)
