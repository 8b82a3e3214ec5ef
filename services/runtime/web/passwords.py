"""Passwords: which are taken, how they are kept, and what they seal.

Sources: NIST SP 800-63B-4, 3.1.1.2 (length, no rules of composition, a blocklist, Unicode normalised); RFC 9106
(argon2id; the parameters are argon2-cffi's, its second recommended option: 64 MiB, 3 passes).
"""

from __future__ import annotations

import os
import threading
import unicodedata
from collections.abc import Callable
from importlib import resources

from argon2 import PasswordHasher, Type, extract_parameters
from argon2.exceptions import VerifyMismatchError
from argon2.low_level import hash_secret_raw
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.runtime.web.languages import N_

__all__ = ["LENGTH_MAX", "LENGTH_MIN", "Passwords", "trouble_with"]

LENGTH_MIN = 12
LENGTH_MAX = 256  # a bound on work; a sentence of forty words fits
TURNS = 2  # at once: each costs 64 MiB and a core for a tenth of a second
_NOBODY = "a password that nobody has"
_SALT_BYTES, _NONCE_BYTES, _KEY_BYTES = 16, 12, 32
_SEALED = b"voile.factor"


def trouble_with(password: str, *names: str) -> str:
    """Why it is not taken, as a text of the catalogue with `{length_min}` and `{length_max}` to fill in; empty when it
    is. `names`: the person's and the service's."""
    plain = _normalised(password)
    if len(plain) < LENGTH_MIN:
        return N_("A password has at least {length_min} characters. A few words make a good one.")
    if len(plain) > LENGTH_MAX:
        return N_("A password has at most {length_max} characters.")
    if _bare(plain) in {_bare(name) for name in ("voile", *names)}:
        return N_("The password is the name of somebody or something here. Choose another one.")
    if _bare(plain) in _common() or len(set(plain)) <= 2:
        return N_("This password is among the first that are tried. Choose another one.")
    return ""


class Passwords:
    """Slow on purpose, and equally slow whether there is anything to compare with or not. Thread safe; call it from
    a worker thread, never from the event loop."""

    def __init__(
        self,
        hasher: PasswordHasher | None = None,
        random_bytes: Callable[[int], bytes] = os.urandom,
        turns: int = TURNS,
    ) -> None:
        self._hasher, self._random_bytes = hasher or PasswordHasher(), random_bytes
        self._turns = threading.BoundedSemaphore(turns)
        self._nobodys = self.hash(_NOBODY)

    def hash(self, password: str) -> str:
        """What is kept of it: argon2's own text, with parameters and salt."""
        with self._turns:
            return self._hasher.hash(_normalised(password))

    def check(self, stored: str | None, password: str) -> bool:
        """None: there is no such person, which costs the same time and is False."""
        with self._turns:
            try:
                self._hasher.verify(stored or self._nobodys, _normalised(password))
            except VerifyMismatchError:
                return False
        return stored is not None

    def is_outdated(self, stored: str) -> bool:
        """Whether it was made with other parameters than those of today."""
        return self._hasher.check_needs_rehash(stored)

    def seal(self, stored: str, password: str, secret: bytes) -> bytes:
        """`secret` under a key that only `password` gives: the records alone do not open it. `stored` is its hash,
        whose parameters the key is made with."""
        salt, nonce = self._random_bytes(_SALT_BYTES), self._random_bytes(_NONCE_BYTES)
        return salt + nonce + AESGCM(self._key(stored, password, salt)).encrypt(nonce, secret, _SEALED)

    def unseal(self, stored: str | None, password: str, sealed: bytes | None) -> bytes:
        """What was sealed. With nothing to open it costs the same time and is empty. Raises `InvalidTag` when it was
        altered, or sealed under another password."""
        there = sealed or bytes(_SALT_BYTES)
        key = self._key(stored or self._nobodys, password, there[:_SALT_BYTES])
        if not sealed:
            return b""
        nonce = sealed[_SALT_BYTES : _SALT_BYTES + _NONCE_BYTES]
        return AESGCM(key).decrypt(nonce, sealed[_SALT_BYTES + _NONCE_BYTES :], _SEALED)

    def _key(self, stored: str, password: str, salt: bytes) -> bytes:
        parameters = extract_parameters(stored)
        with self._turns:
            return hash_secret_raw(
                _normalised(password).encode(),
                salt,
                time_cost=parameters.time_cost,
                memory_cost=parameters.memory_cost,
                parallelism=parameters.parallelism,
                hash_len=_KEY_BYTES,
                type=Type.ID,
            )


def _normalised(password: str) -> str:
    """One password is the same from every keyboard: é as one character or as two."""
    return unicodedata.normalize("NFKC", password)


def _bare(text: str) -> str:
    return "".join(ch for ch in _normalised(text).casefold() if ch.isalnum())


def _common() -> frozenset[str]:
    text = resources.files("services.runtime.web").joinpath("common_passwords.txt").read_text("utf-8")
    return frozenset(line for line in text.splitlines() if not line.startswith("#"))
