"""Subjects, person keys, profiles, look-ups, activity, the ledger and rights cases."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    _operations()
    _persons()
    _activity()
    _ledger()
    _cases()


def _operations() -> None:
    op.create_table(
        "leases",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("expires_at", sa.Text, nullable=False),
    )
    counters = op.create_table(
        "counters",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(counters, [{"name": "block-numbers", "value": 1}])


def _persons() -> None:
    op.create_table(
        "subjects",
        sa.Column("subject", sa.Text, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("account", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("tenant", "account", name="subjects_tenant_account"),
    )
    op.create_table(
        "person_keys",
        sa.Column("subject", sa.Text, primary_key=True),
        sa.Column("kek", sa.Text, nullable=False),
        sa.Column("wrapped", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "profiles",
        sa.Column("subject", sa.Text, primary_key=True),
        sa.Column("updated_ms", sa.BigInteger, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "look_ups",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("field", sa.Text, primary_key=True),
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("subject", sa.Text, primary_key=True),
    )
    op.create_index("look_ups_subject", "look_ups", ["subject"])


def _activity() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "activity",
        sa.Column("block", number, primary_key=True, autoincrement=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("expires", sa.Date, nullable=False),
        sa.Column("rows", sa.Integer, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
    )
    op.create_index("activity_subject_day", "activity", ["subject", "day"])
    op.create_index("activity_expires", "activity", ["expires"])


def _ledger() -> None:
    counts = ("rows", "linked", "duplicates", "unauthenticated", "suppressed", "expired", "rejected")
    op.create_table(
        "ledger",
        sa.Column("topic_id", sa.Text, primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True),
        sa.Column("first_offset", sa.BigInteger, primary_key=True),
        sa.Column("last_offset", sa.BigInteger, nullable=False),
        sa.Column("ingest_day", sa.Date, nullable=False),
        sa.Column("lookups", sa.Text, nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in counts),
        sa.Column("skipped", sa.Text, nullable=False),
        sa.Column("written_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "spans",
        sa.Column("topic_id", sa.Text, primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True),
        sa.Column("log_offset", sa.BigInteger, primary_key=True),
        sa.Column("ordinal", sa.Integer, primary_key=True),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("first", sa.BigInteger, nullable=False),
        sa.Column("last", sa.BigInteger, nullable=False),
        sa.Column("rows", sa.Integer, nullable=False),
        sa.Column("written_ms", sa.BigInteger, nullable=False),
    )


def _cases() -> None:
    op.create_table(
        "cases",
        sa.Column("case", sa.Text, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("account", sa.LargeBinary, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("cutoff_ms", sa.BigInteger, nullable=False),
        sa.Column("subject", sa.Text),
        sa.Column("counts", sa.Text, nullable=False),
        sa.Column("opened_ms", sa.BigInteger, nullable=False),
        sa.Column("done_ms", sa.BigInteger),
    )
