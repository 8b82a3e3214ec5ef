"""One data key per person (AES-256-GCM), wrapped by a key-encryption key that lives in the key service.

Everything stored of a person is sealed under that person's key and bound to where it belongs, so a
sealed text that was changed, or moved to another person or place, does not open. Deleting the one row
in `person_keys` makes every copy of the person's data unreadable.
Source of the construction: NIST SP 800-38D (GCM, 96-bit random nonces; a person's key seals far fewer
than the 2^32 messages it allows), NIST SP 800-88r2 (cryptographic erase).
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.enricher import records
from services.runtime.clock import Clock
from services.runtime.errors import Fatal, Transient, VoileError
from services.runtime.keys import KEY_BYTES, KeyService

__all__ = ["FIRST_KEK", "PersonKey", "Tampered", "Vault", "bound_to", "scrub"]

NONCE_BYTES = 12  # what GCM is specified for
FIRST_KEK = "kek/1"
SCRUB_TRIES = 100  # with SCRUB_WAIT_S: longer than any reader of the records needs
SCRUB_WAIT_S = 0.1


class Tampered(VoileError):
    """A sealed text or a wrapped key does not open where it stands."""

    def __init__(self) -> None:
        super().__init__(
            "A sealed text was changed, or moved from another place; restore the identity records from a backup."
        )


@dataclass(frozen=True, slots=True, repr=False)
class PersonKey:
    """The key of one person, open. Holds key material: never log, store or send it."""

    subject: str
    cipher: AESGCM

    def seal(self, place: bytes, text: bytes) -> bytes:
        """nonce | ciphertext | tag of `text`, bound to `place` (see `bound_to`)."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self.cipher.encrypt(nonce, text, place)

    def open(self, place: bytes, sealed: bytes) -> bytes:
        """Raises `Tampered`."""
        return _decrypt(self.cipher, place, sealed)


class Vault:
    """Makes, opens and destroys person keys. `kek` names the key-encryption key for new ones."""

    def __init__(self, keys: KeyService, kek: str = FIRST_KEK) -> None:
        self._keys = keys
        self._kek = kek
        keys.get_or_create(kek)

    def create(self, connection: sa.Connection, subjects: Sequence[str]) -> dict[str, PersonKey]:
        """A new key for each of `subjects`, which have none."""
        if not subjects:
            return {}
        kek = self._cipher(self._kek)
        made: dict[str, PersonKey] = {}
        rows = []
        for subject in subjects:
            key = secrets.token_bytes(KEY_BYTES)
            made[subject] = PersonKey(subject, AESGCM(key))
            nonce = secrets.token_bytes(NONCE_BYTES)
            wrapped = nonce + kek.encrypt(nonce, key, _key_place(subject, self._kek))
            rows.append((subject, self._kek, wrapped))
        records.insert_many(connection, records.person_keys, ("subject", "kek", "wrapped"), rows)
        return made

    def unwrap(self, rows: Iterable[tuple[str, str, bytes]]) -> dict[str, PersonKey]:
        """`rows` are (subject, kek, wrapped) of `person_keys`. Raises `Tampered`, `Fatal` without the kek."""
        keks: dict[str, AESGCM] = {}
        opened: dict[str, PersonKey] = {}
        for subject, name, wrapped in rows:
            kek = keks.get(name) or keks.setdefault(name, self._cipher(name))
            opened[subject] = PersonKey(subject, AESGCM(_decrypt(kek, _key_place(subject, name), wrapped)))
        return opened

    def load(self, connection: sa.Connection, subjects: Sequence[str]) -> Mapping[str, PersonKey]:
        """The keys of those of `subjects` who have one."""
        table = records.person_keys
        found: dict[str, PersonKey] = {}
        for part in records.chunks(subjects):
            query = sa.select(table.c.subject, table.c.kek, table.c.wrapped).where(table.c.subject.in_(part))
            rows = connection.execute(query)
            found |= self.unwrap((row.subject, row.kek, row.wrapped) for row in rows)
        return found

    def destroy(self, connection: sa.Connection, subject: str) -> int:
        """Delete the key (1, or 0 when there was none). On SQLite call `scrub` after the commit."""
        table = records.person_keys
        return connection.execute(sa.delete(table).where(table.c.subject == subject)).rowcount

    def _cipher(self, name: str) -> AESGCM:
        key = self._keys.get(name)
        if key is None:
            raise Fatal(f"The key-encryption key {name!r} is missing; restore the identity plane's key folder.")
        return AESGCM(key)


def scrub(engine: sa.Engine, clock: Clock) -> None:
    """Take deleted bytes out of SQLite's files: `secure_delete` zeroes them in the pages, a truncating
    checkpoint empties the write-ahead log that still holds the pages of before. Raises `Transient` when
    readers do not let go. PostgreSQL keeps dead rows until VACUUM: see docs/adr/0031.
    """
    if engine.dialect.name != "sqlite":
        return
    for _ in range(SCRUB_TRIES):
        if _checkpoint(engine):
            return
        clock.sleep(SCRUB_WAIT_S)
    raise Transient("The deleted key still stands in the write-ahead log; close other readers of the records.")


def _checkpoint(engine: sa.Engine) -> bool:
    connection = engine.raw_connection()  # a checkpoint cannot run inside a transaction
    try:
        cursor = connection.cursor()
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (busy, _, _) = cursor.fetchall()[0]
        cursor.close()
        return not busy
    finally:
        connection.close()


def bound_to(*parts: str) -> bytes:
    """Associated data that names a place: each part with its length, so no two lists of parts read alike."""
    return "".join([f"{len(part)}:{part}" for part in parts]).encode()


def _key_place(subject: str, kek: str) -> bytes:
    return bound_to("voile.person-key.1", kek, subject)


def _decrypt(cipher: AESGCM, place: bytes, sealed: bytes) -> bytes:
    try:
        return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], place)
    except (InvalidTag, ValueError) as error:
        raise Tampered from error
