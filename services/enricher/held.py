"""Whose data a legal hold keeps: what every deletion by term leaves out."""

from __future__ import annotations

import sqlalchemy as sa

from services.enricher.joining import standing_for
from services.enricher.records import subjects
from services.enricher.rights_records import holds

__all__ = ["held_subjects"]


def held_subjects() -> sa.Select[tuple[str]]:
    """For retention: `NOT IN` of whom it deletes (subjects of holds that stand), with every account that is one person
    with theirs."""
    standing = sa.select(holds.c.account).where(
        holds.c.lifted_ms.is_(None), holds.c.tenant == subjects.c.tenant, holds.c.account == subjects.c.account
    )
    held = sa.select(standing_for()).where(standing.exists())
    return sa.select(subjects.c.subject).where(standing_for().in_(held.scalar_subquery()))
