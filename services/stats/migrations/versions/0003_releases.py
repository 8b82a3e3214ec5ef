"""Releases: the ledger of days whose noise was charged, the noisy cells, the packages built."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "release_days",
        sa.Column("tenant", sa.String, primary_key=True),
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("rho", sa.String, nullable=False),
        sa.Column("delta", sa.String, nullable=False),
        sa.Column("epsilon", sa.Float),
        sa.Column("charged_at", sa.String, nullable=False),
        sa.Column("stored_at", sa.String),
    )
    op.create_table(
        "release_cells",
        sa.Column("tenant", sa.String, primary_key=True),
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("measure", sa.String, primary_key=True),
        sa.Column("value", sa.BigInteger, nullable=False),
        sa.Column("sigma", sa.Integer, nullable=False),
        sa.ForeignKeyConstraint(["tenant", "day"], ["release_days.tenant", "release_days.day"]),
    )
    op.create_table(
        "releases",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("version", sa.String, primary_key=True),
        sa.Column("tenant", sa.String, nullable=False),
        sa.Column("first_day", sa.Date, nullable=False),
        sa.Column("last_day", sa.Date, nullable=False),
        sa.Column("days", sa.Integer, nullable=False),
        sa.Column("created", sa.String, nullable=False),
        sa.Column("content", sa.String, nullable=False),
        sa.Column("checksums", sa.String, nullable=False),
    )
