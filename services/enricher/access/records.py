"""Tables of who may look and who looked: the audit log, grants, API keys, and who signs in.

Times are UTC epoch milliseconds.
"""

from __future__ import annotations

import sqlalchemy as sa

from services.enricher.records import metadata
from services.runtime.web.tables import session_tables

__all__ = [
    "access_requests",
    "api_keys",
    "audit_checkpoints",
    "audit_head",
    "audit_leaves",
    "console_sessions",
    "grants",
    "notes",
]

audit_leaves = sa.Table(
    "audit_leaves",
    metadata,
    sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),  # 0, 1, 2, ... without a gap
    sa.Column("leaf", sa.LargeBinary, nullable=False),  # canonical JSON in UTF-8, the bytes that were hashed
    sa.Column("sealed_reason", sa.LargeBinary),  # free text, sealed; the leaf has its SHA-256
)

# One row, id 1: locking it is an appender's turn. `edge` is the merkle.Frontier of `size` leaves.
audit_head = sa.Table(
    "audit_head",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("edge", sa.LargeBinary, nullable=False),
)

audit_checkpoints = sa.Table(
    "audit_checkpoints",
    metadata,
    sa.Column("size", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("note", sa.Text, nullable=False),
)

# `subject` is the directory's random one, `pseudonym` the audit log's: neither says who it is.
grants = sa.Table(
    "grants",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("pseudonym", sa.Text, nullable=False),
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("ticket", sa.Text, nullable=False),
    sa.Column("starts_ms", sa.BigInteger, nullable=False),
    sa.Column("ends_ms", sa.BigInteger, nullable=False),
    sa.Column("ended_ms", sa.BigInteger),  # given back, or taken away, before `ends_ms`
    sa.Column("ended_by", sa.Text),
    sa.Column("entry", sa.BigInteger),  # of the audit log, where the reason stands sealed
    sa.Column("since_ms", sa.BigInteger, nullable=False),  # what its holder may see of the person: from here
    sa.Column("until_ms", sa.BigInteger),  # to here; NULL: up to when it is looked at
    sa.Column("approver", sa.Text),
    sa.Column("break_glass", sa.Boolean, nullable=False),
    sa.Column("reviewer", sa.Text),  # of a broken glass
    sa.Column("reviewed_ms", sa.BigInteger),
    sa.Column("verdict", sa.Text),
    sa.Index("grants_actor_ends", "actor", "ends_ms"),
)

# Requests that wait, or waited, for a second person. The reasons given stand sealed in the audit log: `asked_entry` and
# `answer_entry` are positions there.
access_requests = sa.Table(
    "access_requests",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("pseudonym", sa.Text, nullable=False),
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("ticket", sa.Text, nullable=False),
    sa.Column("minutes", sa.Integer, nullable=False),
    sa.Column("days", sa.Integer, nullable=False),
    sa.Column("until_ms", sa.BigInteger),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("asked_ms", sa.BigInteger, nullable=False),
    sa.Column("expires_ms", sa.BigInteger, nullable=False),
    sa.Column("asked_entry", sa.BigInteger, nullable=False),
    sa.Column("approver", sa.Text),
    sa.Column("answer_entry", sa.BigInteger),
    sa.Index("access_requests_actor", "actor", "asked_ms"),
    sa.Index("access_requests_state", "state"),
)

# What was found, with a ticket: sealed under the person's key, erased with them. `note` is random.
notes = sa.Table(
    "notes",
    metadata,
    sa.Column("note", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("ticket", sa.Text, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("written_ms", sa.BigInteger, nullable=False),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    sa.Index("notes_subject", "subject", "written_ms"),
)

# `id` is the key's public part. SHA-256 is enough: the secret has 256 random bits, there is nothing to stretch.
api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("secret_hash", sa.LargeBinary, nullable=False),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("label", sa.Text, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("revoked_ms", sa.BigInteger),
)

console_sessions = session_tables(metadata)
