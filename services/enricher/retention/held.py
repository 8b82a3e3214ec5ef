"""Whose data a legal hold keeps: what every deletion by term leaves out."""

from __future__ import annotations

import sqlalchemy as sa

from services.enricher.persons.joining import standing_for
from services.enricher.records import subjects
from services.enricher.rights.records import holds
from services.runtime.database import has_rows

__all__ = ["has_holds", "held_subjects"]


def held_subjects() -> sa.Select[tuple[str]]:
    """For retention: `NOT IN` of whom it deletes (subjects of holds that stand), with every account that is one person
    with theirs."""
    standing = sa.select(holds.c.account).where(
        holds.c.lifted_ms.is_(None), holds.c.tenant == subjects.c.tenant, holds.c.account == subjects.c.account
    )
    held = sa.select(standing_for()).where(standing.exists())
    return sa.select(subjects.c.subject).where(standing_for().in_(held.scalar_subquery()))


def has_holds(engine: sa.Engine, tenant: str) -> bool:
    """Whether a hold stands on any person of the tenant: it is not deleted meanwhile."""
    standing = sa.select(holds.c.hold).where(holds.c.tenant == tenant, holds.c.lifted_ms.is_(None))
    return has_rows(engine, standing)
