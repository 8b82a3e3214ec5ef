"""The terms under which partners use releases: numbered texts, and who accepted which one when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from services.runtime.clock import Clock
from services.runtime.database import insert_into, transaction
from services.runtime.errors import WrongUse
from services.stats.delivery.acts import Act, note
from services.stats.delivery.records import acceptances, partners
from services.stats.delivery.records import terms as table

__all__ = ["TEXT_MAX", "Acceptance", "Terms", "TermsBook"]

TEXT_MAX = 100_000  # characters: some forty pages


@dataclass(frozen=True, slots=True)
class Terms:
    """`number` counts from 1; a text never changes, a changed text is the next one."""

    number: int
    since: datetime
    text: str


@dataclass(frozen=True, slots=True)
class Acceptance:
    partner: str
    number: int
    who: str
    at: datetime


class TermsBook:
    """Every method is one transaction; raises `Transient`."""

    def __init__(self, engine: sa.Engine, clock: Clock) -> None:
        self._engine, self._clock = engine, clock

    def put(self, text: str, who: str) -> Terms:
        """These are the terms from now on, and every partner is asked again; the text in force changes nothing.
        Raises `WrongUse` on an empty or endless one."""
        if not text.strip() or len(text) > TEXT_MAX:
            raise WrongUse(f"Terms are a text of 1 to {TEXT_MAX} characters.")
        now = self._clock.now()
        with transaction(self._engine) as connection:
            last = _current(connection)
            if last is not None and last.text == text:
                return last
            number = last.number + 1 if last else 1
            connection.execute(sa.insert(table).values(number=number, since=int(now.timestamp()), text=text))
            note(connection, now, who, Act.TERMS_SET, f"version {number}")
        return Terms(number, now.replace(microsecond=0), text)

    def current(self) -> Terms | None:
        """None: the operator has not set any, so nothing can be accepted and nothing downloaded."""
        with transaction(self._engine) as connection:
            return _current(connection)

    def accept(self, partner: str, number: int, who: str) -> Acceptance:
        """The first acceptance counts. Raises `WrongUse` when `number` is not in force, or there is no such
        partner."""
        now = self._clock.now()
        with transaction(self._engine) as connection:
            last = _current(connection)
            if last is None or last.number != number:
                raise WrongUse("These terms are not in force (any more); read the newest.")
            if connection.scalar(sa.select(partners.c.id).where(partners.c.id == partner)) is None:
                raise WrongUse(f"There is no partner {partner}; see voile partner list.")
            row = {"partner": partner, "number": number, "who": who, "at": int(now.timestamp())}
            written = insert_into(connection, acceptances).values(row).on_conflict_do_nothing()
            if connection.execute(written.returning(acceptances.c.number)).first() is not None:
                note(connection, now, who, Act.TERMS_ACCEPTED, partner, reason=f"version {number}")
            mine = (acceptances.c.partner == partner, acceptances.c.number == number)
            return _acceptance(connection.execute(sa.select(acceptances).where(*mine)).one())

    def accepted(self, partner: str) -> Acceptance | None:
        """Of the terms in force; None: they have not been accepted, or there are none."""
        newest = sa.select(sa.func.max(table.c.number)).scalar_subquery()
        query = sa.select(acceptances).where(acceptances.c.partner == partner, acceptances.c.number == newest)
        with transaction(self._engine) as connection:
            row = connection.execute(query).one_or_none()
        return _acceptance(row) if row else None

    def acceptances(self) -> Sequence[Acceptance]:
        """All that were ever given, by partners that there are."""
        query = sa.select(acceptances).order_by(acceptances.c.partner, acceptances.c.number)
        with transaction(self._engine) as connection:
            return [_acceptance(row) for row in connection.execute(query)]


def _current(connection: sa.Connection) -> Terms | None:
    row = connection.execute(sa.select(table).order_by(table.c.number.desc()).limit(1)).one_or_none()
    return Terms(row.number, datetime.fromtimestamp(row.since, UTC), row.text) if row else None


def _acceptance(row: sa.Row[Any]) -> Acceptance:
    return Acceptance(row.partner, row.number, row.who, datetime.fromtimestamp(row.at, UTC))
