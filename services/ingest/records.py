"""Ingest's own records: sources and their keys, claims on files and requests, leases.

Times are ISO 8601 texts in UTC, as in `leases`: both databases sort them alike.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from services.runtime.departures import departure_table

__all__ = [
    "MIGRATIONS",
    "claim_chunks",
    "departures",
    "file_claims",
    "metadata",
    "request_claims",
    "source_counts",
    "source_keys",
    "sources",
]

MIGRATIONS = Path(__file__).parent / "migrations"

metadata = sa.MetaData()

sources = sa.Table(
    "sources",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("format", sa.Text, nullable=False),
    sa.Column("site", sa.Text),
    sa.Column("authenticated", sa.Boolean, nullable=False),
    sa.Column("client_address_from", sa.Text, nullable=False),
    sa.Column("lines_per_minute", sa.Integer),  # null: as many as come
    sa.Column("created_at", sa.Text, nullable=False),
)

source_keys = sa.Table(
    "source_keys",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),  # the first characters of the key, enough to tell two apart
    sa.Column("source", sa.Text, sa.ForeignKey("sources.name"), nullable=False, index=True),
    sa.Column("digest", sa.Text, nullable=False, unique=True),  # SHA-256 of the key; the key itself is nowhere
    sa.Column("created_at", sa.Text, nullable=False),
    sa.Column("revoked_at", sa.Text),
    sa.Column("last_used_at", sa.Text),
)

file_claims = sa.Table(
    "file_claims",
    metadata,
    sa.Column("origin", sa.Text, primary_key=True),
    sa.Column("source", sa.Text, sa.ForeignKey("sources.name"), nullable=False),
    sa.Column("prefix_bytes", sa.Integer, nullable=False),
    sa.Column("prefix_digest", sa.Text, nullable=False),
    sa.Column("created_at", sa.Text, nullable=False),
    sa.Index("file_claims_by_prefix", "source", "prefix_bytes", "prefix_digest"),
)

claim_chunks = sa.Table(
    "claim_chunks",
    metadata,
    sa.Column("origin", sa.Text, sa.ForeignKey("file_claims.origin"), primary_key=True),
    sa.Column("first", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("length", sa.BigInteger, nullable=False),
    sa.Column("digests", sa.LargeBinary, nullable=False),  # one of 8 bytes a block of the text
    sa.Column("lines", sa.Integer, nullable=False),
    sa.Column("exceptions", sa.LargeBinary, nullable=False),  # rejected positions, packed
    sa.Column("revision", sa.Integer, nullable=False),
)

request_claims = sa.Table(
    "request_claims",
    metadata,
    sa.Column("source", sa.Text, sa.ForeignKey("sources.name"), primary_key=True),
    sa.Column("claim", sa.Text, primary_key=True),  # keyed digest of the Idempotency-Key or of the body
    sa.Column("origin", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),  # keyed digest of the body
    sa.Column("lines", sa.Integer, nullable=False),
    sa.Column("done", sa.Boolean, nullable=False),
    sa.Column("exceptions", sa.LargeBinary, nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("expires_at", sa.Text, nullable=False, index=True),
)

# Lines and refused requests of one source by five minutes: accepted, duplicates, rejected:REASON, refused:CODE.
source_counts = sa.Table(
    "source_counts",
    metadata,
    sa.Column("source", sa.Text, sa.ForeignKey("sources.name"), primary_key=True),
    sa.Column("block", sa.Text, primary_key=True),  # when it began
    sa.Column("outcome", sa.Text, primary_key=True),
    sa.Column("count", sa.BigInteger, nullable=False),
    sa.Column("reported", sa.BigInteger, nullable=False),  # the count that `source-report.v1` was told last
    sa.Index("source_counts_by_block", "block"),
)

leases = sa.Table(
    "leases",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("holder", sa.Text, nullable=False),
    sa.Column("expires_at", sa.Text, nullable=False),
)

departures = departure_table(metadata)
