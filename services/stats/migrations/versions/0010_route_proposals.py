"""Route templates that were proposed, and what was decided."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "route_proposals",
        sa.Column("tenant", sa.String, primary_key=True),
        sa.Column("template", sa.String, primary_key=True),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("proposed_on", sa.Date, nullable=False),
        sa.Column("holds_from", sa.Date),
        sa.Column("holds_to", sa.Date),
    )
