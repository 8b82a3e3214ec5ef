"""Delivery of releases: partners with their members, keys and terms, what was published, what was taken, webhooks."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    _partners()
    _publications()
    _logs()
    _webhooks()


def _partner(*, primary_key: bool = False) -> sa.Column[str]:
    owner = sa.ForeignKey("partners.id", ondelete="CASCADE")
    return sa.Column("partner", sa.String, owner, nullable=False, primary_key=primary_key)


def _partners() -> None:
    op.create_table(
        "partners",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("company", sa.String, nullable=False),
        sa.Column("releases", sa.JSON, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "partner_members",
        sa.Column("user", sa.String, sa.ForeignKey("users.name", ondelete="CASCADE"), primary_key=True),
        _partner(),
    )
    op.create_table(
        "partner_keys",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("secret_hash", sa.LargeBinary, nullable=False),
        _partner(),
        sa.Column("label", sa.String, nullable=False),
        sa.Column("releases", sa.JSON, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "partner_terms",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
    )
    op.create_table(
        "partner_acceptances",
        _partner(primary_key=True),
        sa.Column("number", sa.Integer, sa.ForeignKey("partner_terms.number"), primary_key=True, autoincrement=False),
        sa.Column("who", sa.String, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
    )


def _publications() -> None:
    op.create_table(
        "publications",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("version", sa.String, primary_key=True),
        sa.Column("tenant", sa.String, nullable=False),
        sa.Column("published", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "publication_files",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("version", sa.String, primary_key=True),
        sa.Column("file", sa.String, primary_key=True),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.String, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.ForeignKeyConstraint(["name", "version"], ["publications.name", "publications.version"], ondelete="CASCADE"),
    )


def _logs() -> None:
    op.create_table(
        "downloads",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("partner", sa.String, nullable=False),
        sa.Column("key", sa.String, nullable=False),
        sa.Column("person", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("version", sa.String, nullable=False),
        sa.Column("file", sa.String, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
    )
    op.create_index("downloads_at", "downloads", ["at"])
    op.create_table(
        "delivery_acts",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("who", sa.String, nullable=False),
        sa.Column("act", sa.String, nullable=False),
        sa.Column("about", sa.String, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
    )
    op.create_index("delivery_acts_at", "delivery_acts", ["at"])


def _webhooks() -> None:
    op.create_table(
        "webhooks",
        sa.Column("id", sa.String, primary_key=True),
        _partner(),
        sa.Column("url", sa.String, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "webhook_messages",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("hook", sa.String, sa.ForeignKey("webhooks.id", ondelete="CASCADE"), nullable=False),
        sa.Column("event", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("version", sa.String, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("next", sa.BigInteger),
        sa.Column("outcome", sa.String, nullable=False),
    )
    op.create_index("webhook_messages_next", "webhook_messages", ["next"])
