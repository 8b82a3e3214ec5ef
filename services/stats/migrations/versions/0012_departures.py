"""Tenants that leave: what each store had of them, and has."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.create_table(
        "departures",
        sa.Column("tenant", sa.String, primary_key=True),
        sa.Column("store", sa.String, primary_key=True),
        sa.Column("before", sa.BigInteger, nullable=False),
        sa.Column("after", sa.BigInteger),
        sa.Column("done_ms", sa.BigInteger),
        sa.Column("told_ms", sa.BigInteger),
    )
