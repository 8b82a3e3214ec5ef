"""Erasures: what each worker has deleted for a rights case, so that a restart does not report it again."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "erasures",
        sa.Column("case", sa.String, primary_key=True),
        sa.Column("member", sa.String, primary_key=True),
        sa.Column("deleted", sa.BigInteger, nullable=False),
        sa.Column("at", sa.String, nullable=False),
    )
