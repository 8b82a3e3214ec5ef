"""Tables of what the pages tell live. Times are whole seconds since 1970 (UTC)."""

from __future__ import annotations

import sqlalchemy as sa

from services.stats.records import metadata

__all__ = ["live_totals"]

# The last total of each tenant that may be told: rounded, of enough people. An exact one is nowhere in the records.
live_totals = sa.Table(
    "live_totals",
    metadata,
    sa.Column("tenant", sa.String, primary_key=True),
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("requests", sa.BigInteger, nullable=False),
)
