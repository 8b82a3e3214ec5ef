"""Table of what the public privacy page has said."""

from __future__ import annotations

import sqlalchemy as sa

from services.stats.records import metadata

__all__ = ["policies"]

policies = sa.Table(
    "policies",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("since", sa.String, nullable=False),  # UTC, ISO 8601
    sa.Column("digest", sa.String, nullable=False),  # SHA-256 of `texts`
    sa.Column("texts", sa.Text, nullable=False),  # JSON: language -> what the page says in it
)
