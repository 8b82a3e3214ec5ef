"""Legal holds: data of one person that has to be kept for a legal matter, and is seen by the DPO alone meanwhile.

While a hold stands an erasure is deferred and retention deletes nothing of the person: what is over its term is kept,
isolated. Why it stands is sealed.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from services.enricher.persons.directory import Directory
from services.enricher.records import subjects
from services.enricher.rights.records import holds
from services.enricher.rights.sealing import TEXTS, CaseSeal
from services.runtime.clock import Clock
from services.runtime.database import transaction
from services.runtime.errors import WrongUse

__all__ = ["Held", "Hold", "Holds"]

_ID_BYTES = 8
_ITS_PERSON = sa.exists().where(subjects.c.tenant == holds.c.tenant, subjects.c.account == holds.c.account)
_HOLDS = sa.select(holds, _ITS_PERSON.label("known"))


class Held(WrongUse):
    """A legal hold stands against this."""


@dataclass(frozen=True, slots=True)
class Hold:
    """One hold; `lifted` None while it stands. `known`: whether there is a person of this account."""

    hold: str
    tenant: str
    pseudonym: str
    placed: datetime
    placed_by: str
    reason: str = field(repr=False)
    lifted: datetime | None
    lifted_by: str | None
    lift_reason: str = field(repr=False)
    known: bool


class Holds:
    def __init__(self, engine: sa.Engine, directory: Directory, seal: CaseSeal, clock: Clock) -> None:
        self._engine, self._directory, self._seal, self._clock = engine, directory, seal, clock

    def place(self, tenant: str, account: str, pseudonym: str, actor: str, reason: str) -> str:
        """The hold's id. Also of an account of which nothing is known yet."""
        hold = f"hold-{secrets.token_hex(_ID_BYTES)}"
        row = {
            "hold": hold,
            "tenant": tenant,
            "account": self._directory.digest(tenant, "account", account),
            "pseudonym": pseudonym,
            "placed_ms": _ms(self._clock.now()),
            "placed_by": actor,
            "sealed_reason": self._seal.seal(hold, TEXTS, "reason", reason.encode()),
        }
        with transaction(self._engine) as connection:
            connection.execute(sa.insert(holds).values(row))
        return hold

    def lift(self, hold: str, actor: str, reason: str) -> None:
        """Raises `WrongUse` when it does not stand."""
        sealed = self._seal.seal(hold, TEXTS, "lift", reason.encode())
        changes = {"lifted_ms": _ms(self._clock.now()), "lifted_by": actor, "sealed_lift_reason": sealed}
        update = sa.update(holds).where(holds.c.hold == hold, holds.c.lifted_ms.is_(None)).values(changes)
        with transaction(self._engine) as connection:
            if connection.execute(update).rowcount != 1:
                raise WrongUse("There is no hold {hold} that stands; see the page of cases.", hold=hold)

    def of(self, hold: str) -> Hold:
        """Raises `WrongUse` when there is none."""
        with transaction(self._engine) as connection:
            row = connection.execute(_HOLDS.where(holds.c.hold == hold)).one_or_none()
        if row is None:
            raise WrongUse("There is no hold {hold}; see the page of cases.", hold=hold)
        return self._hold(row)

    def standing(self) -> Sequence[Hold]:
        query = _HOLDS.where(holds.c.lifted_ms.is_(None)).order_by(holds.c.placed_ms)
        with transaction(self._engine) as connection:
            rows = connection.execute(query).all()
        return [self._hold(row) for row in rows]

    def is_held(self, tenant: str, account: str) -> bool:
        with transaction(self._engine) as connection:
            return self.stands(connection, tenant, account)

    def stands(self, connection: sa.Connection, tenant: str, account: str) -> bool:
        """`is_held`, as the caller's transaction sees it."""
        return _is_held(connection, tenant, self._directory.digest(tenant, "account", account))

    def refuse(self, connection: sa.Connection, tenant: str, account: str) -> None:
        """In the transaction that would erase. Raises `Held`."""
        if self.stands(connection, tenant, account):
            raise Held("A legal hold stands against this erasure; the data protection officer can lift it.")

    def _hold(self, row: Any) -> Hold:
        return Hold(
            row.hold,
            row.tenant,
            row.pseudonym,
            datetime.fromtimestamp(row.placed_ms / 1000, UTC),
            row.placed_by,
            self._text(row.hold, "reason", row.sealed_reason),
            None if row.lifted_ms is None else datetime.fromtimestamp(row.lifted_ms / 1000, UTC),
            row.lifted_by,
            self._text(row.hold, "lift", row.sealed_lift_reason),
            row.known,
        )

    def _text(self, hold: str, what: str, sealed: bytes | None) -> str:
        opened = self._seal.open(hold, TEXTS, what, sealed)
        return "" if opened is None else opened.decode()


def _is_held(connection: sa.Connection, tenant: str, digest: bytes) -> bool:
    at = (holds.c.tenant == tenant, holds.c.account == digest, holds.c.lifted_ms.is_(None))
    return connection.execute(sa.select(holds.c.hold).where(*at).limit(1)).first() is not None


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
