"""Tables of partners, of what was published for them, and of what they took. Times: whole seconds since 1970 (UTC)."""

from __future__ import annotations

import sqlalchemy as sa

from services.stats.access.records import dashboard_sessions
from services.stats.records import metadata

__all__ = [
    "acceptances",
    "acts",
    "downloads",
    "files",
    "hook_messages",
    "hooks",
    "members",
    "partner_keys",
    "partners",
    "publications",
    "terms",
]


def _partner(*, primary_key: bool = False) -> sa.Column[str]:
    owner = sa.ForeignKey("partners.id", ondelete="CASCADE")
    return sa.Column("partner", sa.String, owner, nullable=False, primary_key=primary_key)


partners = sa.Table(
    "partners",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("company", sa.String, nullable=False),
    sa.Column("releases", sa.JSON, nullable=False),  # names: what it may have at all
    sa.Column("created", sa.BigInteger, nullable=False),
)
members = sa.Table(
    "partner_members",
    metadata,
    sa.Column("user", sa.String, sa.ForeignKey(dashboard_sessions.users.c.name, ondelete="CASCADE"), primary_key=True),
    _partner(),
)
partner_keys = sa.Table(
    "partner_keys",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("secret_hash", sa.LargeBinary, nullable=False),
    _partner(),
    sa.Column("label", sa.String, nullable=False),
    sa.Column("releases", sa.JSON, nullable=False),  # of the partner's, those that the key opens; none: all of them
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Column("expires", sa.BigInteger, nullable=False),
)
terms = sa.Table(
    "partner_terms",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("since", sa.BigInteger, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
)
acceptances = sa.Table(
    "partner_acceptances",
    metadata,
    _partner(primary_key=True),
    sa.Column("number", sa.Integer, sa.ForeignKey("partner_terms.number"), primary_key=True, autoincrement=False),
    sa.Column("who", sa.String, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
)
publications = sa.Table(
    "publications",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("version", sa.String, primary_key=True),
    sa.Column("tenant", sa.String, nullable=False),
    sa.Column("published", sa.BigInteger, nullable=False),
)
files = sa.Table(
    "publication_files",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("version", sa.String, primary_key=True),
    sa.Column("file", sa.String, primary_key=True),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.String, nullable=False),
    sa.Column("content", sa.LargeBinary, nullable=False),
    sa.ForeignKeyConstraint(["name", "version"], ["publications.name", "publications.version"], ondelete="CASCADE"),
)
# Names of partners and releases as they were: a row outlives what it names, until its term.
downloads = sa.Table(
    "downloads",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("partner", sa.String, nullable=False),
    sa.Column("key", sa.String, nullable=False),  # empty: a person, signed in
    sa.Column("person", sa.String, nullable=False),  # empty: a program, with a key
    sa.Column("name", sa.String, nullable=False),
    sa.Column("version", sa.String, nullable=False),
    sa.Column("file", sa.String, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Index("downloads_at", "at"),
)
acts = sa.Table(
    "delivery_acts",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("who", sa.String, nullable=False),
    sa.Column("act", sa.String, nullable=False),
    sa.Column("about", sa.String, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
    sa.Index("delivery_acts_at", "at"),
)
hooks = sa.Table(
    "webhooks",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    _partner(),
    sa.Column("url", sa.String, nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
)
hook_messages = sa.Table(
    "webhook_messages",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("hook", sa.String, sa.ForeignKey("webhooks.id", ondelete="CASCADE"), nullable=False),
    sa.Column("event", sa.String, nullable=False),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("version", sa.String, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("next", sa.BigInteger),  # None: told, or given up
    sa.Column("outcome", sa.String, nullable=False),
    sa.Index("webhook_messages_next", "next"),
)
