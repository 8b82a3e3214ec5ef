"""Weeks and months whose active accounts were counted."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "periods",
        sa.Column("tenant", sa.String, primary_key=True),
        sa.Column("period", sa.String, primary_key=True),
        sa.Column("value", sa.BigInteger),
    )
