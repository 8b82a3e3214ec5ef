"""Days and what was published of them."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "days",
        sa.Column("tenant", sa.String, primary_key=True),
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("first_row_at", sa.String, nullable=False),
        sa.Column("cutoffs", sa.Text),
        sa.Column("rows", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("objected", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("late", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("closed_at", sa.String),
    )
    op.create_index("days_by_state", "days", ["state", "day"])
    op.create_table(
        "day_cells",
        sa.Column("tenant", sa.String, primary_key=True),
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("cells", sa.LargeBinary, nullable=False),
    )
