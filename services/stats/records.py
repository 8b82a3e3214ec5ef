"""The statistics plane's own records."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from services.runtime.departures import departure_table

__all__ = [
    "MIGRATIONS",
    "day_cells",
    "days",
    "departures",
    "erasures",
    "leases",
    "metadata",
    "periods",
    "route_proposals",
]

MIGRATIONS = Path(__file__).parent / "migrations"

metadata = sa.MetaData()

leases = sa.Table(
    "leases",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("holder", sa.String, nullable=False),
    sa.Column("expires_at", sa.String, nullable=False),
)

days = sa.Table(
    "days",
    metadata,
    sa.Column("tenant", sa.String, primary_key=True),
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("first_row_at", sa.String, nullable=False),  # UTC, ISO 8601
    sa.Column("cutoffs", sa.Text),  # JSON {"topic id/partition": end offset}: what lies before counts
    sa.Column("rows", sa.BigInteger, nullable=False, server_default="0"),  # counted in the cells
    sa.Column("objected", sa.BigInteger, nullable=False, server_default="0"),  # removed for an objection
    sa.Column("late", sa.BigInteger, nullable=False, server_default="0"),  # came after the cells were made
    sa.Column("closed_at", sa.String),
    sa.Index("days_by_state", "state", "day"),
)

# The published cells once more, so that a broken statistics store can be filled again after the events are gone.
day_cells = sa.Table(
    "day_cells",
    metadata,
    sa.Column("tenant", sa.String, primary_key=True),
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("cells", sa.LargeBinary, nullable=False),  # Arrow IPC, zstd
)

# Weeks ("week/2026-11-23") and months whose active accounts were counted; no value: too few to be told.
periods = sa.Table(
    "periods",
    metadata,
    sa.Column("tenant", sa.String, primary_key=True),
    sa.Column("period", sa.String, primary_key=True),
    sa.Column("value", sa.BigInteger),
)

# Templates that were proposed for a tenant's routes. Accepted ones hold on days in [holds_from, holds_to).
route_proposals = sa.Table(
    "route_proposals",
    metadata,
    sa.Column("tenant", sa.String, primary_key=True),
    sa.Column("template", sa.String, primary_key=True),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("proposed_on", sa.Date, nullable=False),
    sa.Column("holds_from", sa.Date),
    sa.Column("holds_to", sa.Date),
)

# What each worker has deleted for a rights case: the case is opaque, no account stands here.
erasures = sa.Table(
    "erasures",
    metadata,
    sa.Column("case", sa.String, primary_key=True),
    sa.Column("member", sa.String, primary_key=True),
    sa.Column("deleted", sa.BigInteger, nullable=False),
    sa.Column("at", sa.String, nullable=False),  # UTC, ISO 8601
)

departures = departure_table(metadata)
