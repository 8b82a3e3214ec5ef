"""From which place of a line the client's address is taken, by source."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    column = sa.Column("client_address_from", sa.Text, nullable=False, server_default="connection")
    op.add_column("sources", column)
