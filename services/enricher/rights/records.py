"""Tables of rights cases: their files, the evidence, what workers answered, documents, holds and callbacks.

Times are UTC epoch milliseconds, days are dates in the installation's zone. `account` is the directory's keyed
digest; what names a person stands in `sealed` columns alone, under a key of the case's own (`rights/sealing.py`).
"""

from __future__ import annotations

import sqlalchemy as sa

from services.enricher.records import metadata

__all__ = ["case_callbacks", "case_documents", "case_files", "case_steps", "holds", "worker_receipts", "workers"]

case_files = sa.Table(
    "case_files",
    metadata,
    sa.Column("case", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("account", sa.LargeBinary, nullable=False),
    sa.Column("pseudonym", sa.Text, nullable=False),  # the audit log's name for the person
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("lift", sa.Boolean, nullable=False),  # an objection or a restriction is taken back
    sa.Column("language", sa.Text, nullable=False),  # of what is written to the person
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("origin", sa.Text, nullable=False),  # console | command | opendsr
    sa.Column("opened_ms", sa.BigInteger, nullable=False),
    sa.Column("opened_by", sa.Text, nullable=False),
    sa.Column("due", sa.Date, nullable=False),
    sa.Column("extended", sa.Boolean, nullable=False),
    sa.Column("identity_check", sa.Text, nullable=False),  # how; empty: not yet
    sa.Column("approved_by", sa.Text, nullable=False),
    sa.Column("refusal", sa.Text, nullable=False),
    sa.Column("signalled_ms", sa.BigInteger),
    sa.Column("closed_ms", sa.BigInteger),
    sa.Column("later", sa.Text, nullable=False),  # JSON: what of it ends by itself, where and when
    sa.Column("request_id", sa.Text),  # the caller's own, over OpenDSR; unique in the tenant
    sa.Column("sealed_account", sa.LargeBinary),  # gone once an erasure is carried out
    sa.UniqueConstraint("tenant", "request_id", name="case_files_request"),
    sa.Index("case_files_state_due", "state", "due"),
)

# The evidence: every step of a case in its order. `facts` is JSON without personal data.
case_steps = sa.Table(
    "case_steps",
    metadata,
    sa.Column("case", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("step", sa.Text, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("facts", sa.Text, nullable=False),
    sa.Column("sealed_note", sa.LargeBinary),
)

# Certificates in clear (they name nobody), packages sealed under the case's key.
case_documents = sa.Table(
    "case_documents",
    metadata,
    sa.Column("case", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("made_ms", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("content", sa.LargeBinary),  # gone when taken, or when its term is over
    sa.Column("sealed", sa.Boolean, nullable=False),
    sa.Column("ends_ms", sa.BigInteger),
    sa.Column("taken_ms", sa.BigInteger),
)

# What each worker did for a signal, as it said on privacy-receipt.v1; the first word stays.
worker_receipts = sa.Table(
    "worker_receipts",
    metadata,
    sa.Column("case", sa.Text, primary_key=True),
    sa.Column("worker", sa.Text, primary_key=True),
    sa.Column("store", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("deleted", sa.BigInteger, nullable=False),
    sa.Column("remaining", sa.BigInteger, nullable=False),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
)

workers = sa.Table(
    "workers",
    metadata,
    sa.Column("worker", sa.Text, primary_key=True),
    sa.Column("seen_ms", sa.BigInteger, nullable=False),
)

holds = sa.Table(
    "holds",
    metadata,
    sa.Column("hold", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("account", sa.LargeBinary, nullable=False),
    sa.Column("pseudonym", sa.Text, nullable=False),
    sa.Column("placed_ms", sa.BigInteger, nullable=False),
    sa.Column("placed_by", sa.Text, nullable=False),
    sa.Column("sealed_reason", sa.LargeBinary, nullable=False),
    sa.Column("lifted_ms", sa.BigInteger),
    sa.Column("lifted_by", sa.Text),
    sa.Column("sealed_lift_reason", sa.LargeBinary),
    sa.Index("holds_account", "tenant", "account"),
)

case_callbacks = sa.Table(
    "case_callbacks",
    metadata,
    sa.Column("case", sa.Text, primary_key=True),
    sa.Column("url", sa.Text, primary_key=True),
    sa.Column("status", sa.Text, nullable=False),  # the newest to be told
    sa.Column("told", sa.Text, nullable=False),  # the newest that was
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("next_ms", sa.BigInteger, nullable=False),
)
