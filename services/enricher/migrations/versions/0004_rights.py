"""Rights cases: files, evidence, workers' receipts, documents, legal holds and callbacks."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "case_files",
        sa.Column("case", sa.Text, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("account", sa.LargeBinary, nullable=False),
        sa.Column("pseudonym", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("lift", sa.Boolean, nullable=False),
        sa.Column("language", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("opened_ms", sa.BigInteger, nullable=False),
        sa.Column("opened_by", sa.Text, nullable=False),
        sa.Column("due", sa.Date, nullable=False),
        sa.Column("extended", sa.Boolean, nullable=False),
        sa.Column("identity_check", sa.Text, nullable=False),
        sa.Column("approved_by", sa.Text, nullable=False),
        sa.Column("refusal", sa.Text, nullable=False),
        sa.Column("signalled_ms", sa.BigInteger),
        sa.Column("closed_ms", sa.BigInteger),
        sa.Column("later", sa.Text, nullable=False),
        sa.Column("request_id", sa.Text),
        sa.Column("sealed_account", sa.LargeBinary),
        sa.UniqueConstraint("tenant", "request_id", name="case_files_request"),
    )
    op.create_index("case_files_state_due", "case_files", ["state", "due"])
    op.create_table(
        "case_steps",
        sa.Column("case", sa.Text, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("step", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("facts", sa.Text, nullable=False),
        sa.Column("sealed_note", sa.LargeBinary),
    )
    op.create_table(
        "case_documents",
        sa.Column("case", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("made_ms", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("content", sa.LargeBinary),
        sa.Column("sealed", sa.Boolean, nullable=False),
        sa.Column("ends_ms", sa.BigInteger),
        sa.Column("taken_ms", sa.BigInteger),
    )
    op.create_table(
        "worker_receipts",
        sa.Column("case", sa.Text, primary_key=True),
        sa.Column("worker", sa.Text, primary_key=True),
        sa.Column("store", sa.Text, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("deleted", sa.BigInteger, nullable=False),
        sa.Column("remaining", sa.BigInteger, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "workers",
        sa.Column("worker", sa.Text, primary_key=True),
        sa.Column("seen_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "holds",
        sa.Column("hold", sa.Text, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("account", sa.LargeBinary, nullable=False),
        sa.Column("pseudonym", sa.Text, nullable=False),
        sa.Column("placed_ms", sa.BigInteger, nullable=False),
        sa.Column("placed_by", sa.Text, nullable=False),
        sa.Column("sealed_reason", sa.LargeBinary, nullable=False),
        sa.Column("lifted_ms", sa.BigInteger),
        sa.Column("lifted_by", sa.Text),
        sa.Column("sealed_lift_reason", sa.LargeBinary),
    )
    op.create_index("holds_account", "holds", ["tenant", "account"])
    op.create_table(
        "case_callbacks",
        sa.Column("case", sa.Text, primary_key=True),
        sa.Column("url", sa.Text, primary_key=True),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("told", sa.Text, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("next_ms", sa.BigInteger, nullable=False),
    )
