"""Tables of what ingest reports of its sources. Times are whole seconds since 1970 (UTC)."""

from __future__ import annotations

import sqlalchemy as sa

from services.stats.records import metadata

__all__ = ["counts", "gauges", "sources"]

sources = sa.Table(
    "collection_sources",
    metadata,
    sa.Column("source", sa.String, primary_key=True),
    sa.Column("tenant", sa.String, nullable=False, index=True),
    sa.Column("heard", sa.BigInteger, nullable=False),  # when ingest last said that there is such a source
)

# Lines and refused requests by five minutes: accepted, duplicates, rejected:REASON, refused:CODE.
counts = sa.Table(
    "collection_counts",
    metadata,
    sa.Column("source", sa.String, primary_key=True),
    sa.Column("block", sa.BigInteger, primary_key=True, autoincrement=False),  # when it began
    sa.Column("outcome", sa.String, primary_key=True),
    sa.Column("count", sa.BigInteger, nullable=False),
    sa.Index("collection_counts_by_block", "block"),
)

gauges = sa.Table(
    "collection_gauges",
    metadata,
    sa.Column("name", sa.String, primary_key=True),  # `lag`, or `spool:` and an ingest process
    sa.Column("value", sa.BigInteger, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
)
