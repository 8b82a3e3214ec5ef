"""The end of a term, and tenants that leave: isolated blocks, counts without a link, counts before and after."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "isolated_activity",
        sa.Column("block", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("isolated", sa.Date, nullable=False),
        sa.Column("rows", sa.Integer, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
    )
    op.create_index("isolated_activity_subject", "isolated_activity", ["subject", "day"])
    op.create_index("isolated_activity_isolated", "isolated_activity", ["isolated"])
    op.create_table(
        "activity_counts",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("month", sa.Date, primary_key=True),
        sa.Column("rows", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "last_heard",
        sa.Column("subject", sa.Text, primary_key=True),
        sa.Column("day", sa.Date, nullable=False),
    )
    op.create_table(
        "departures",
        sa.Column("tenant", sa.String, primary_key=True),
        sa.Column("store", sa.String, primary_key=True),
        sa.Column("before", sa.BigInteger, nullable=False),
        sa.Column("after", sa.BigInteger),
        sa.Column("done_ms", sa.BigInteger),
        sa.Column("told_ms", sa.BigInteger),
    )
    op.create_table(
        "tenant_certificates",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("status", sa.Text, primary_key=True),
        sa.Column("made_ms", sa.BigInteger, nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
        sa.Column("signature", sa.LargeBinary, nullable=False),
    )
