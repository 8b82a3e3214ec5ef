"""Who an account is: a sealed profile a person, found only by an exact value through keyed digests.

There is no way to list persons and no prefix search: who looks somebody up must already know an
account id, an e-mail or a phone number.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import orjson
import sqlalchemy as sa

from services.enricher import records
from services.enricher.persons.joining import join, split, standing_for, together
from services.enricher.persons.normalising import FORM, normalise
from services.enricher.persons.vault import KeyRow, PersonKey, Vault, bound_to
from services.enricher.rights.ordering import departed, require_current
from services.enricher.rights.signals import Signals
from services.runtime.database import has_rows, transaction
from services.runtime.errors import Fatal
from services.runtime.keys import KeyService, refuse_lost

__all__ = ["FIELDS", "LOOK_UPS", "AccountChange", "Directory", "Profile", "index_key"]

FIELDS = ("name", "email", "postal_address", "phone")
LOOK_UPS = ("account", "email", "phone")
SUBJECT_BYTES = 16  # random: no two persons ever share a subject, and nothing can be read from it
FOUND_MAX = 20  # persons behind one e-mail or phone number: a family, not a directory
_NEVER = 0  # updated_ms of a person nobody has said anything of yet


@dataclass(frozen=True, slots=True, repr=False)
class Profile:
    """What a tenant says of one of its accounts. All of it is personal data."""

    account: str
    name: str | None = None
    email: str | None = None
    postal_address: str | None = None
    phone: str | None = None


@dataclass(frozen=True, slots=True, repr=False)
class AccountChange:
    """A tenant's word on one account at `at` (UTC); `profile` None withdraws it. `merged_into`: the account that it has
    become; both are one person from then on."""

    tenant: str
    account: str
    profile: Profile | None
    at: datetime
    merged_into: str | None = None


class Directory:
    """Subjects and their profiles. Every method that writes takes the caller's transaction."""

    def __init__(self, engine: sa.Engine, vault: Vault, keys: KeyService, phone_region: str = "") -> None:
        self._engine = engine
        self._vault = vault
        self._keys = keys
        self._region = phone_region
        self.form = f"{FORM}/{phone_region}"  # of the look-ups that it makes

    def refuse_lost_keys(self, tenants: Iterable[str]) -> None:
        """Raises `Fatal` when a tenant's index key is gone: nobody would be found any more, an erasure of theirs
        would find nothing to erase."""
        table = records.subjects

        def is_used(tenant: str) -> bool:
            return has_rows(self._engine, sa.select(table.c.subject).where(table.c.tenant == tenant))

        for tenant in tenants:
            refuse_lost(self._keys, index_key(tenant), partial(is_used, tenant))

    def digest(self, tenant: str, field: str, value: str) -> bytes:
        """32 bytes, HMAC-SHA-256 under a key of the tenant's own, of the normalised value."""
        return self._digests(tenant, field, [value])[0]

    def find(self, tenant: str, by: str, value: str) -> Sequence[str]:
        """Subjects of `tenant` whose `by` (one of LOOK_UPS) is exactly `value`, once both are normalised."""
        if by not in LOOK_UPS:
            raise Fatal(f"Persons are found by one of: {', '.join(LOOK_UPS)}.")
        if self._keys.get(index_key(tenant)) is None:
            return []  # nobody of this tenant was ever stored; asking must not make it a key
        digest = self.digest(tenant, by, value)
        if by == "account":
            table = records.subjects
            query = sa.select(standing_for()).where(table.c.tenant == tenant, table.c.account == digest)
        else:
            table, persons = records.look_ups, records.subjects
            at = (table.c.tenant == tenant, table.c.field == by, table.c.digest == digest)
            found = table.join(persons, persons.c.subject == table.c.subject)
            query = sa.select(standing_for()).select_from(found).where(*at).order_by(table.c.subject).limit(FOUND_MAX)
        with transaction(self._engine) as connection:
            return list(dict.fromkeys(connection.execute(query).scalars()))

    def accounts_of(self, tenant: str, account: str) -> list[str]:
        """Every account of the person behind `account`, the one that the others have become first; that alone when
        nothing was merged, and also of a person nobody knows. Raises `Tampered`."""
        with transaction(self._engine) as connection:
            return self.accounts_within(connection, tenant, account)

    def accounts_within(self, connection: sa.Connection, tenant: str, account: str) -> list[str]:
        """`accounts_of`, as the caller's transaction sees them."""
        subject = self.subject_of(connection, tenant, account)
        at = records.subjects.c.subject == subject
        root = connection.execute(sa.select(standing_for()).where(at)).scalar_one_or_none()
        everyone = together(connection, root) if root else []
        if len(everyone) < 2:
            return [account]
        keys = self._vault.load(connection, everyone)
        sealed = [connection.execute(_profile_of(one)).one_or_none() for one in everyone]
        return [_open(keys[row.subject], tenant, row.sealed).account for row in sealed if row and row.subject in keys]

    def profile(self, subject: str) -> Profile | None:
        """None when there is no such person (any more). Raises `Tampered`."""
        with transaction(self._engine) as connection:
            key = self._vault.load(connection, [subject]).get(subject)
            row = connection.execute(_profile_of(subject)).one_or_none()
        if key is None or row is None:
            return None
        return _open(key, row.tenant, row.sealed)

    def profile_of(self, tenant: str, account: str) -> Profile | None:
        """Of this very account, whatever it has become. As `profile`."""
        with transaction(self._engine) as connection:
            subject = self.subject_of(connection, tenant, account)
        return self.profile(subject) if subject else None

    def ensure(
        self, connection: sa.Connection, accounts: Sequence[tuple[str, str]]
    ) -> dict[tuple[str, str], PersonKey]:
        """The key of each (tenant, account). A person nobody knows yet gets a subject, a key and a profile that
        holds the account id alone: activity may come before the directory entry."""
        found: dict[tuple[str, str], PersonKey] = {}
        for tenant, names in sorted(_by_tenant(accounts).items()):
            digests = self._account_digests(tenant, names)
            known = self._known(connection, tenant, list(set(digests.values())))
            known |= self._create(connection, tenant, {d: n for n, d in digests.items() if d not in known})
            found |= {(tenant, name): known[digest] for name, digest in digests.items()}
        return found

    def apply(self, connection: sa.Connection, changes: Iterable[AccountChange]) -> int:
        """Bring profiles up to `changes` (in log order); older ones than what is stored change nothing.
        Returns how many changed a profile."""
        changes = list(changes)
        latest = {(c.tenant, c.account): c for c in changes}
        told = {who: change for who, change in latest.items() if change.profile is not None}
        said = {(c.tenant, c.account): c for c in changes if c.profile is not None}
        named = [(c.tenant, c.merged_into) for c in said.values() if c.merged_into is not None]
        ensured = self.ensure(connection, [*told, *named])
        keys = {who: ensured[who] for who in told}
        keys |= self._existing(connection, [who for who, change in latest.items() if change.profile is None])
        stored = _updated(connection, [key.subject for key in keys.values()])
        newer = [(latest[who], key) for who, key in keys.items() if _ms(latest[who].at) >= stored.get(key.subject, 0)]
        self._write(connection, newer)
        joins = [c for who, c in said.items() if who in keys and _ms(c.at) >= stored.get(keys[who].subject, 0)]
        self._join(connection, joins, ensured | keys)
        return len(newer)

    def put(self, signals: Signals, changes: Iterable[AccountChange]) -> int:
        """`apply` in a transaction of its own, in order with erasures, without what is of a tenant that has left.

        Raises `SignalsMoved`, `Transient`.
        """
        given = list(changes)
        with transaction(self._engine) as connection:
            require_current(connection, signals)
            gone = departed(connection, {change.tenant for change in given})
            return self.apply(connection, [change for change in given if change.tenant not in gone])

    def subject_of(self, connection: sa.Connection, tenant: str, account: str) -> str | None:
        table = records.subjects
        at = (table.c.tenant == tenant, table.c.account == self.digest(tenant, "account", account))
        return connection.execute(sa.select(table.c.subject).where(*at)).scalar_one_or_none()

    def _existing(
        self, connection: sa.Connection, accounts: Sequence[tuple[str, str]]
    ) -> dict[tuple[str, str], PersonKey]:
        found: dict[tuple[str, str], PersonKey] = {}
        for tenant, names in _by_tenant(accounts).items():
            digests = self._account_digests(tenant, names)
            known = self._known(connection, tenant, list(set(digests.values())))
            found |= {(tenant, name): known[digest] for name, digest in digests.items() if digest in known}
        return found

    def _known(self, connection: sa.Connection, tenant: str, digests: Sequence[bytes]) -> dict[bytes, PersonKey]:
        subjects, keys = records.subjects, records.person_keys
        columns = (subjects.c.account, keys.c.subject, keys.c.kek, keys.c.wrapped)
        joined = subjects.join(keys, keys.c.subject == subjects.c.subject)
        found: dict[bytes, PersonKey] = {}
        for part in records.chunks(digests):
            at = (subjects.c.tenant == tenant, subjects.c.account.in_(part))
            query = sa.select(*columns).select_from(joined).where(*at)
            subject_of: dict[bytes, str] = {}

            def read() -> list[KeyRow]:
                rows = connection.execute(query).all()  # noqa: B023  # called before the next turn
                subject_of.update((row.account, row.subject) for row in rows)  # noqa: B023
                return [(row.subject, row.kek, row.wrapped) for row in rows]

            opened = self._vault.unwrap_now(read)
            found |= {digest: opened[subject] for digest, subject in subject_of.items()}
        return found

    def _create(self, connection: sa.Connection, tenant: str, accounts: Mapping[bytes, str]) -> dict[bytes, PersonKey]:
        if not accounts:
            return {}
        # Sorted, so that two processes that make the same persons wait for each other instead of deadlocking.
        wanted = {digest: secrets.token_urlsafe(SUBJECT_BYTES) for digest in sorted(accounts)}
        rows = [(subject, tenant, digest) for digest, subject in wanted.items()]
        records.insert_many(connection, records.subjects, ("subject", "tenant", "account"), rows, or_leave=True)
        mine = self._won(connection, tenant, wanted)
        keys = self._vault.create(connection, list(mine.values()))
        profiles = [self._profile_row(keys[s], tenant, Profile(accounts[d]), _NEVER) for d, s in mine.items()]
        columns = ("subject", "updated_ms", "sealed", "form")
        records.insert_many(connection, records.profiles, columns, [tuple(p[c] for c in columns) for p in profiles])
        lost = [digest for digest in wanted if digest not in mine]
        return {d: keys[s] for d, s in mine.items()} | self._known(connection, tenant, lost)

    def _won(self, connection: sa.Connection, tenant: str, wanted: Mapping[bytes, str]) -> dict[bytes, str]:
        """Of the subjects offered, those that stand: another process may have made the same person first."""
        table = records.subjects
        won: dict[bytes, str] = {}
        for part in records.chunks(list(wanted)):
            at = (table.c.tenant == tenant, table.c.account.in_(part))
            rows = connection.execute(sa.select(table.c.account, table.c.subject).where(*at))
            won |= {row.account: row.subject for row in rows if wanted[row.account] == row.subject}
        return won

    def _write(self, connection: sa.Connection, changes: Sequence[tuple[AccountChange, PersonKey]]) -> None:
        if not changes:
            return
        told = [(change, key, change.profile or Profile(change.account)) for change, key in changes]
        profiles = [self._profile_row(key, change.tenant, profile, _ms(change.at)) for change, key, profile in told]
        insert = records.insert(connection, records.profiles)
        replaced = {name: insert.excluded[name] for name in ("updated_ms", "sealed", "form")}
        connection.execute(insert.on_conflict_do_update(index_elements=["subject"], set_=replaced), profiles)
        self._write_look_ups(connection, [(change.tenant, key.subject, profile) for change, key, profile in told])

    def _join(
        self, connection: sa.Connection, changes: Sequence[AccountChange], keys: Mapping[tuple[str, str], PersonKey]
    ) -> None:
        """Who has become another account; who is said to be one of its own again. A withdrawal says neither."""
        told = {keys[c.tenant, c.account].subject: c for c in changes}
        split(connection, [subject for subject, change in told.items() if change.merged_into is None])
        for subject, change in sorted(told.items(), key=lambda item: item[1].at):
            if change.merged_into is not None:
                join(connection, subject, keys[change.tenant, change.merged_into].subject)

    def index_anew(self, connection: sa.Connection, subjects: Sequence[str]) -> None:
        """Bring the look-ups of `subjects` into today's form; what is sealed stays as it is. Raises `Tampered`."""
        keys = self._vault.load(connection, subjects)
        stored = [row for subject in subjects for row in connection.execute(_profile_of(subject))]
        people = [
            (row.tenant, row.subject, _open(keys[row.subject], row.tenant, row.sealed))
            for row in stored
            if row.subject in keys
        ]
        self._write_look_ups(connection, people)
        table = records.profiles
        for part in records.chunks(subjects):
            connection.execute(sa.update(table).where(table.c.subject.in_(part)).values(form=self.form))

    def _write_look_ups(self, connection: sa.Connection, people: Sequence[tuple[str, str, Profile]]) -> None:
        table = records.look_ups
        for part in records.chunks([subject for _, subject, _ in people]):
            connection.execute(sa.delete(table).where(table.c.subject.in_(part)))
        rows = [row for field in ("email", "phone") for row in self._look_up_rows(field, people)]
        records.insert_many(connection, table, ("tenant", "field", "digest", "subject"), rows)

    def _profile_row(self, key: PersonKey, tenant: str, profile: Profile, updated_ms: int) -> dict[str, object]:
        fields = {"account": profile.account, **{name: getattr(profile, name) for name in FIELDS}}
        sealed = key.seal(_profile_place(tenant, key.subject), orjson.dumps(fields))
        return {"subject": key.subject, "updated_ms": updated_ms, "sealed": sealed, "form": self.form}

    def _look_up_rows(self, field: str, people: Sequence[tuple[str, str, Profile]]) -> Iterator[records.Row]:
        """One row a person that has the field."""
        given = [(tenant, subject, value) for tenant, subject, p in people if (value := getattr(p, field))]
        for tenant in dict.fromkeys(tenant for tenant, _, _ in given):
            values = [(subject, value) for other, subject, value in given if other == tenant]
            digests = self._digests(tenant, field, [value for _, value in values])
            yield from ((tenant, field, d, subject) for (subject, _), d in zip(values, digests, strict=True))

    def _account_digests(self, tenant: str, names: Sequence[str]) -> dict[str, bytes]:
        return dict(zip(names, self._digests(tenant, "account", names), strict=True))

    def _digests(self, tenant: str, field: str, values: Iterable[str]) -> list[bytes]:
        key = self._keys.get_or_create(index_key(tenant))
        texts = [normalise(field, value, self._region) for value in values]
        return [hmac.digest(key, bound_to(field, text), "sha256") for text in texts]


def index_key(tenant: str) -> str:
    """The name of the key of a tenant's digests."""
    return f"index/{tenant}"


def _by_tenant(accounts: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for tenant, account in accounts:
        grouped.setdefault(tenant, []).append(account)
    return grouped


def _profile_place(tenant: str, subject: str) -> bytes:
    return bound_to("voile.profile.1", tenant, subject)


def _open(key: PersonKey, tenant: str, sealed: bytes) -> Profile:
    return Profile(**orjson.loads(key.open(_profile_place(tenant, key.subject), sealed)))


def _profile_of(subject: str) -> sa.Select[tuple[str, str, bytes]]:
    profiles, subjects = records.profiles, records.subjects
    joined = profiles.join(subjects, subjects.c.subject == profiles.c.subject)
    columns = (subjects.c.subject, subjects.c.tenant, profiles.c.sealed)
    return sa.select(*columns).select_from(joined).where(profiles.c.subject == subject)


def _updated(connection: sa.Connection, subjects: Sequence[str]) -> dict[str, int]:
    table = records.profiles
    found: dict[str, int] = {}
    for part in records.chunks(subjects):
        query = sa.select(table.c.subject, table.c.updated_ms).where(table.c.subject.in_(part))
        found |= {row.subject: row.updated_ms for row in connection.execute(query)}
    return found


def _ms(at: datetime) -> int:
    return int(at.astimezone(UTC).timestamp() * 1000)
