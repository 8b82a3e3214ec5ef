"""What came of each source, by blocks of five minutes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "source_counts",
        sa.Column("source", sa.Text, sa.ForeignKey("sources.name"), primary_key=True),
        sa.Column("block", sa.Text, primary_key=True),
        sa.Column("outcome", sa.Text, primary_key=True),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.Column("reported", sa.BigInteger, nullable=False),
        sa.Index("source_counts_by_block", "block"),
    )
