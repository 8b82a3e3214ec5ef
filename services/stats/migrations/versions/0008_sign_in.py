"""Passwords, second factors, people of an OpenID provider, and how each session began."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("users", sa.Column("subject", sa.String))
    op.create_index("users_subject", "users", ["subject"], unique=True)
    op.add_column("sessions", sa.Column("method", sa.String, nullable=False, server_default="link"))
    op.create_table(
        "credentials",
        sa.Column("user", sa.String, sa.ForeignKey("users.name", ondelete="CASCADE"), primary_key=True),
        sa.Column("password_hash", sa.String, nullable=False),
        sa.Column("factor", sa.LargeBinary),
        sa.Column("last_step", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "recovery_codes",
        sa.Column("user", sa.String, sa.ForeignKey("users.name", ondelete="CASCADE"), primary_key=True),
        sa.Column("hash", sa.String, primary_key=True),
    )
