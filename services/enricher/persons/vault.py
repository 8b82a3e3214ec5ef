"""One data key per person (AES-256-GCM), wrapped by a key-encryption key that lives in the key service.

Everything stored of a person is sealed under that person's key and bound to where it belongs, so a
sealed text that was changed, or moved to another person or place, does not open. Deleting the one row
in `person_keys` makes every copy of the person's data unreadable.
Source of the construction: NIST SP 800-38D (GCM, 96-bit random nonces; a person's key seals far fewer
than the 2^32 messages it allows), NIST SP 800-88r2 (cryptographic erase).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.enricher import records
from services.runtime.clock import Clock
from services.runtime.database import transaction
from services.runtime.errors import Fatal, Transient, VoileError
from services.runtime.keys import KEY_BYTES, KeyService

__all__ = [
    "FIRST_KEK",
    "KeyRow",
    "PersonKey",
    "Tampered",
    "Vault",
    "bound_to",
    "kek_name",
    "kek_numbers",
    "nonces",
    "scrub",
    "set_current",
]

NONCE_BYTES = 12  # what GCM is specified for
_KEKS = "kek/"  # key-encryption keys are numbered: the newest one wraps new keys
FIRST_KEK = f"{_KEKS}1"
SCRUB_TRIES = 100  # with SCRUB_WAIT_S: longer than any reader of the records needs
SCRUB_WAIT_S = 0.1


KeyRow = tuple[str, str, bytes]  # (subject, kek, wrapped) of `person_keys`


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

    def seal(self, place: bytes, text: bytes, nonce: bytes | None = None) -> bytes:
        """nonce | ciphertext | tag of `text`, bound to `place` (see `bound_to`). `nonce`: one of `nonces`, unused."""
        nonce = nonce or secrets.token_bytes(NONCE_BYTES)
        return nonce + self.cipher.encrypt(nonce, text, place)

    def open(self, place: bytes, sealed: bytes) -> bytes:
        """Raises `Tampered`."""
        return _decrypt(self.cipher, place, sealed)


class Vault:
    """Makes, opens, wraps anew and destroys person keys."""

    def __init__(self, keys: KeyService) -> None:
        self._keys = keys

    def prepare(self, engine: sa.Engine) -> None:
        """At start: the newest key-encryption key exists, and every person's key can be unwrapped.

        Raises `Fatal` when the key that wraps some of them is gone.
        """
        with transaction(engine) as connection:
            self.refuse_lost(connection)
            set_current(connection, max([1, *kek_numbers(self._keys)]))
            number = self.current(connection)
        self._keys.get_or_create(kek_name(number))

    def refuse_lost(self, connection: sa.Connection) -> None:
        """Raises `Fatal` when a key that wraps keys of persons is gone."""
        for name in _names_in_use(connection):
            if self._keys.get(name) is None:
                raise Fatal(_gone(name))

    def current(self, connection: sa.Connection, *, alone: bool = False) -> int:
        """The number of the key-encryption key for new keys; it stays so until this transaction ends. With `alone`
        nobody makes a key until then, and no `set_current` may follow a call without it: two transactions that both
        hold the row and both want to change it wait for each other."""
        table = records.counters
        query = sa.select(table.c.value).where(table.c.name == records.CURRENT_KEK).with_for_update(read=not alone)
        number: int = connection.execute(query).scalar_one()
        return number

    def create(self, connection: sa.Connection, subjects: Sequence[str]) -> dict[str, PersonKey]:
        """A new key for each of `subjects`, which have none."""
        if not subjects:
            return {}
        name = kek_name(self.current(connection))
        kek = self._cipher(name)
        made: dict[str, PersonKey] = {}
        rows = []
        for subject, key, nonce in zip(subjects, _random(KEY_BYTES, len(subjects)), nonces(len(subjects)), strict=True):
            made[subject] = PersonKey(subject, AESGCM(key))
            rows.append((subject, name, _wrap(kek, name, subject, key, nonce)))
        records.insert_many(connection, records.person_keys, ("subject", "kek", "wrapped"), rows)
        return made

    def unwrap(self, rows: Iterable[KeyRow]) -> dict[str, PersonKey]:
        """By subject. Raises `Tampered`, `Fatal` without the key-encryption key."""
        keks: dict[str, AESGCM] = {}
        opened: dict[str, PersonKey] = {}
        for subject, name, wrapped in rows:
            kek = keks.get(name) or keks.setdefault(name, self._cipher(name))
            opened[subject] = PersonKey(subject, AESGCM(_decrypt(kek, _key_place(subject, name), wrapped)))
        return opened

    def unwrap_now(self, read: Callable[[], Sequence[KeyRow]]) -> dict[str, PersonKey]:
        """As `unwrap`, of rows as they stand: between reading one and opening it a rotation may have wrapped it anew
        and destroyed what wrapped it. Then they are read again."""
        rows = read()
        if any(self._keys.get(name) is None for name in {name for _, name, _ in rows}):
            rows = read()
        return self.unwrap(rows)

    def rewrap(self, rows: Iterable[KeyRow], number: int) -> list[tuple[str, bytes]]:
        """(subject, wrapped) of the same keys under the key-encryption key `number`. Raises as `unwrap`."""
        name, keks = kek_name(number), dict[str, AESGCM]()
        fresh = self._cipher(name)
        wrapped_anew = []
        rows = list(rows)
        for (subject, old, wrapped), nonce in zip(rows, nonces(len(rows)), strict=True):
            kek = keks.get(old) or keks.setdefault(old, self._cipher(old))
            key = _decrypt(kek, _key_place(subject, old), wrapped)
            wrapped_anew.append((subject, _wrap(fresh, name, subject, key, nonce)))
        return wrapped_anew

    def load(self, connection: sa.Connection, subjects: Sequence[str]) -> Mapping[str, PersonKey]:
        """The keys of those of `subjects` who have one."""
        table = records.person_keys
        found: dict[str, PersonKey] = {}
        for part in records.chunks(subjects):
            query = sa.select(table.c.subject, table.c.kek, table.c.wrapped).where(table.c.subject.in_(part))
            found |= self.unwrap_now(partial(_read, connection, query))
        return found

    def destroy(self, connection: sa.Connection, subject: str) -> int:
        """Delete the key (1, or 0 when there was none). On SQLite call `scrub` after the commit."""
        return self.destroy_all(connection, sa.select(sa.literal(subject)))

    def destroy_all(self, connection: sa.Connection, subjects: sa.Select[tuple[str]]) -> int:
        """Delete the keys of all of `subjects`; returns how many. They are counted: older backups of this table
        still have them, until the next rotation."""
        table = records.person_keys
        gone = connection.execute(sa.delete(table).where(table.c.subject.in_(subjects))).rowcount
        if gone:
            records.add_to_counter(connection, records.KEYS_DESTROYED, gone)
        return gone

    def _cipher(self, name: str) -> AESGCM:
        key = self._keys.get(name)
        if key is None:
            raise Fatal(_gone(name))
        return AESGCM(key)


def nonces(count: int) -> Iterator[bytes]:
    """Each for one `PersonKey.seal`."""
    return _random(NONCE_BYTES, count)


def kek_name(number: int) -> str:
    return f"{_KEKS}{number}"


def kek_numbers(keys: KeyService) -> list[int]:
    """Of the key-encryption keys that exist, in order."""
    return sorted(int(name.removeprefix(_KEKS)) for name in keys.names(_KEKS))


def _names_in_use(connection: sa.Connection) -> Iterator[str]:
    """The key-encryption keys that wrap somebody's key: one step into the index a name, however many persons."""
    column = records.person_keys.c.kek
    found = connection.execute(sa.select(sa.func.min(column))).scalar_one()
    while found is not None:
        yield found
        found = connection.execute(sa.select(sa.func.min(column)).where(column > found)).scalar_one()


def set_current(connection: sa.Connection, number: int) -> None:
    """Waits for whoever makes keys now; who makes one later does it under `number`. Where that, or a newer one, is
    current already nobody is waited for: every command that starts asks for it. Call it before `current`."""
    table = records.counters
    older = (table.c.name == records.CURRENT_KEK, table.c.value < number)
    connection.execute(sa.update(table).where(*older).values(value=number))


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


def _gone(name: str) -> str:
    return (
        f"The key {name!r} is missing from its folder, and keys of persons are wrapped by it: restore the key folder "
        "of the identity plane, or a backup of person-keys that is newer than the last rotation."
    )


def _read(connection: sa.Connection, query: sa.Select[tuple[str, str, bytes]]) -> list[KeyRow]:
    return [(row.subject, row.kek, row.wrapped) for row in connection.execute(query)]


def _random(size: int, count: int) -> Iterator[bytes]:
    """`count` times `size` random bytes; one call of the system in place of `count`."""
    drawn = secrets.token_bytes(size * count)
    return (drawn[at : at + size] for at in range(0, len(drawn), size))


def _wrap(kek: AESGCM, name: str, subject: str, key: bytes, nonce: bytes) -> bytes:
    return nonce + kek.encrypt(nonce, key, _key_place(subject, name))


def _key_place(subject: str, kek: str) -> bytes:
    return bound_to("voile.person-key.1", kek, subject)


def _decrypt(cipher: AESGCM, place: bytes, sealed: bytes) -> bytes:
    try:
        return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], place)
    except (InvalidTag, ValueError) as error:
        raise Tampered from error
