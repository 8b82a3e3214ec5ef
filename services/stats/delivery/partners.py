"""Partners: companies that get releases, by name; their members sign in, their programs have keys."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from services.runtime.clock import Clock
from services.runtime.database import transaction
from services.runtime.errors import WrongUse
from services.runtime.web.people import is_name
from services.stats.access import key_texts
from services.stats.access.records import dashboard_sessions
from services.stats.delivery.acts import Act, note
from services.stats.delivery.records import members, partner_keys, partners

__all__ = ["COMPANY_MAX", "PARTNER", "Asker", "Partner", "PartnerKey", "Partners"]

PARTNER = "partner"  # a member's role: releases alone, no figures
COMPANY_MAX = 100
LABEL_MAX = 100
KIND = "par"
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_RELEASE = re.compile(r"platform|[a-z0-9][a-z0-9._-]*-use")


@dataclass(frozen=True, slots=True)
class Partner:
    """`releases`: the names of those it may have, such as chess-club-use or platform."""

    id: str
    company: str
    releases: frozenset[str]
    members: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PartnerKey:
    """What can be known of a key; its secret is shown once and kept nowhere."""

    id: str
    partner: str
    label: str
    releases: frozenset[str]
    expires: datetime


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks for a partner: a program with `key`, or `person`, signed in; and which releases it may have."""

    partner: str
    releases: frozenset[str]
    key: str = ""
    person: str = ""


class Partners:
    """Every method is one transaction. `who` does it, for the record. Raises `WrongUse` when it cannot be done,
    `Transient` when the records are away."""

    def __init__(self, engine: sa.Engine, clock: Clock, random_hex: Callable[[int], str] = secrets.token_hex) -> None:
        self._engine, self._clock, self._random_hex = engine, clock, random_hex

    def put(self, partner: str, company: str, releases: Collection[str], who: str) -> bool:
        """Add a partner, or say anew what it is called and may have; True when it is new."""
        _refuse_wrong(partner, company, releases)
        row = {"company": company, "releases": sorted(set(releases))}
        with transaction(self._engine) as connection:
            changed = connection.execute(sa.update(partners).where(partners.c.id == partner).values(row)).rowcount
            if not changed:
                connection.execute(sa.insert(partners).values(id=partner, created=self._seconds(), **row))
            act = Act.PARTNER_CHANGED if changed else Act.PARTNER_ADDED
            note(connection, self._clock.now(), who, act, partner, reason=", ".join(row["releases"]))
        return not changed

    def remove(self, partner: str, who: str) -> None:
        """Its people, keys and webhooks go with it; what it took stays in the log until its term."""
        people = sa.select(members.c.user).where(members.c.partner == partner)
        users = dashboard_sessions.users
        with transaction(self._engine) as connection:
            connection.execute(sa.delete(users).where(users.c.name.in_(people)))
            if connection.execute(sa.delete(partners).where(partners.c.id == partner)).rowcount != 1:
                raise _no_partner(partner)
            note(connection, self._clock.now(), who, Act.PARTNER_REMOVED, partner)

    def all(self) -> Sequence[Partner]:
        with transaction(self._engine) as connection:
            people = connection.execute(sa.select(members).order_by(members.c.user)).all()
            rows = connection.execute(sa.select(partners).order_by(partners.c.id)).all()
        return [_partner(row, [m.user for m in people if m.partner == row.id]) for row in rows]

    def get(self, partner: str) -> Partner:
        found = next((known for known in self.all() if known.id == partner), None)
        if found is None:
            raise _no_partner(partner)
        return found

    def add_member(self, partner: str, user: str, who: str) -> None:
        """Somebody who signs in for the partner, and sees nothing else. A name that is known already is refused: it
        would lose what it may do, or keep it."""
        users = dashboard_sessions.users
        if not is_name(user):
            raise WrongUse("A name is 1 to 100 printable characters, without a blank at its ends.")
        with transaction(self._engine) as connection:
            self._require(connection, partner)
            if connection.scalar(sa.select(users.c.name).where(users.c.name == user)) is not None:
                raise WrongUse("There is somebody of that name already; take another name.")
            connection.execute(sa.insert(users).values(name=user, roles=[PARTNER], tenants=[]))
            connection.execute(sa.insert(members).values(user=user, partner=partner))
            note(connection, self._clock.now(), who, Act.MEMBER_ADDED, partner, reason=user)

    def remove_member(self, partner: str, user: str, who: str) -> None:
        """Their sessions end at once."""
        users = dashboard_sessions.users
        own = sa.select(members.c.user).where(members.c.partner == partner, members.c.user == user)
        with transaction(self._engine) as connection:
            if connection.execute(sa.delete(users).where(users.c.name.in_(own))).rowcount != 1:
                raise WrongUse(f"The partner {partner} has no such member; see voile partner list.")
            note(connection, self._clock.now(), who, Act.MEMBER_REMOVED, partner, reason=user)

    def add_key(
        self,
        partner: str,
        label: str,
        who: str,
        releases: Collection[str] = (),
        term: timedelta = key_texts.TERM,
    ) -> str:
        """A new key's full text, for this once. `releases`: some of the partner's; left out: what the partner may have
        whenever the key is used, also what it gets later."""
        if not label.strip() or not label.isprintable() or len(label) > LABEL_MAX:
            raise WrongUse(f"Say in 1 to {LABEL_MAX} printable characters what uses the key: --label 'nightly load'.")
        key = key_texts.made(KIND, self._random_hex)
        with transaction(self._engine) as connection:
            own = self._require(connection, partner)
            if beyond := sorted(set(releases) - own):
                raise WrongUse(f"The partner {partner} may not have {beyond[0]}; see voile partner list.")
            connection.execute(
                sa.insert(partner_keys).values(
                    id=key.id,
                    secret_hash=key.digest,
                    partner=partner,
                    label=label,
                    releases=sorted(set(releases)),
                    created=self._seconds(),
                    expires=self._seconds() + int(term.total_seconds()),
                )
            )
            note(connection, self._clock.now(), who, Act.KEY_MADE, partner, reason=key.id)
        return str(key)

    def keys(self, partner: str | None = None) -> Sequence[PartnerKey]:
        query = sa.select(partner_keys).order_by(partner_keys.c.created, partner_keys.c.id)
        chosen = query if partner is None else query.where(partner_keys.c.partner == partner)
        with transaction(self._engine) as connection:
            return [_key(row) for row in connection.execute(chosen)]

    def revoke_key(self, key_id: str, who: str) -> None:
        """It is refused from now on."""
        with transaction(self._engine) as connection:
            owner = connection.scalar(sa.select(partner_keys.c.partner).where(partner_keys.c.id == key_id))
            if owner is None:
                raise WrongUse("There is no such key; see voile partner keys.")
            connection.execute(sa.delete(partner_keys).where(partner_keys.c.id == key_id))
            note(connection, self._clock.now(), who, Act.KEY_REVOKED, owner, reason=key_id)

    def of_key(self, text: str) -> Asker | None:
        """None when the key is wrong, revoked or over. What the partner may not have any more, its keys do not open."""
        key = key_texts.read(KIND, text)
        if key is None:
            return None
        query = sa.select(partner_keys, partners.c.releases.label("own")).join(partners).where(
            partner_keys.c.id == key.id
        )  # fmt: skip
        with transaction(self._engine) as connection:
            row = connection.execute(query).one_or_none()
        if row is None or row.expires <= self._clock.now().timestamp() or not key.is_of(row.secret_hash):
            return None
        own = frozenset(row.own)
        return Asker(row.partner, own & frozenset(row.releases) if row.releases else own, key=row.id)

    def of_person(self, user: str) -> Asker | None:
        """None when they are nobody's member."""
        query = sa.select(partners.c.id, partners.c.releases).join(members).where(members.c.user == user)
        with transaction(self._engine) as connection:
            row = connection.execute(query).one_or_none()
        return Asker(row.id, frozenset(row.releases), person=user) if row else None

    def _require(self, connection: sa.Connection, partner: str) -> frozenset[str]:
        """The releases of a partner that there is."""
        row = connection.execute(sa.select(partners.c.releases).where(partners.c.id == partner)).one_or_none()
        if row is None:
            raise _no_partner(partner)
        return frozenset(row.releases)

    def _seconds(self) -> int:
        return int(self._clock.now().timestamp())


def _refuse_wrong(partner: str, company: str, releases: Collection[str]) -> None:
    if not _ID.fullmatch(partner):
        raise WrongUse("A partner's id is 1 to 63 of a-z, 0-9 and -, and begins with a letter or a digit.")
    if not company.strip() or not company.isprintable() or len(company) > COMPANY_MAX:
        raise WrongUse(f"A company's name is 1 to {COMPANY_MAX} printable characters.")
    wrong = sorted(name for name in releases if not _RELEASE.fullmatch(name))
    if wrong or not releases:
        raise WrongUse("Say which releases it may have, by name: --release chess-club-use, --release platform.")


def _no_partner(partner: str) -> WrongUse:
    return WrongUse(f"There is no partner {partner}; see voile partner list.")


def _partner(row: sa.Row[Any], people: Sequence[str]) -> Partner:
    return Partner(row.id, row.company, frozenset(row.releases), tuple(people))


def _key(row: sa.Row[Any]) -> PartnerKey:
    expires = datetime.fromtimestamp(row.expires, UTC)
    return PartnerKey(row.id, row.partner, row.label, frozenset(row.releases), expires)
