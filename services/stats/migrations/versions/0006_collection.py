"""What ingest reports of its sources, for the collection page."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "collection_sources",
        sa.Column("source", sa.String, primary_key=True),
        sa.Column("tenant", sa.String, nullable=False, index=True),
        sa.Column("heard", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "collection_counts",
        sa.Column("source", sa.String, primary_key=True),
        sa.Column("block", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("outcome", sa.String, primary_key=True),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.Index("collection_counts_by_block", "block"),
    )
    op.create_table(
        "collection_gauges",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("value", sa.BigInteger, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
    )
