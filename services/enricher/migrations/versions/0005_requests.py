"""Requests that wait for a second person, notes, what a grant shows, and broken glass."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("grants", sa.Column("ended_by", sa.Text))
    op.add_column("grants", sa.Column("entry", sa.BigInteger))
    op.add_column("grants", sa.Column("since_ms", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("grants", sa.Column("until_ms", sa.BigInteger))
    op.add_column("grants", sa.Column("approver", sa.Text))
    op.add_column("grants", sa.Column("break_glass", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("grants", sa.Column("reviewer", sa.Text))
    op.add_column("grants", sa.Column("reviewed_ms", sa.BigInteger))
    op.add_column("grants", sa.Column("verdict", sa.Text))
    op.create_table(
        "access_requests",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("pseudonym", sa.Text, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("ticket", sa.Text, nullable=False),
        sa.Column("minutes", sa.Integer, nullable=False),
        sa.Column("days", sa.Integer, nullable=False),
        sa.Column("until_ms", sa.BigInteger),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("asked_ms", sa.BigInteger, nullable=False),
        sa.Column("expires_ms", sa.BigInteger, nullable=False),
        sa.Column("asked_entry", sa.BigInteger, nullable=False),
        sa.Column("approver", sa.Text),
        sa.Column("answer_entry", sa.BigInteger),
        sa.Index("access_requests_actor", "actor", "asked_ms"),
        sa.Index("access_requests_state", "state"),
    )
    op.create_table(
        "notes",
        sa.Column("note", sa.Text, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("ticket", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("written_ms", sa.BigInteger, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Index("notes_subject", "subject", "written_ms"),
    )
