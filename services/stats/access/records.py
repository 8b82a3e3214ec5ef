"""Tables of who may see the figures: people's sessions and programs' keys."""

from __future__ import annotations

import sqlalchemy as sa

from services.runtime.web.tables import session_tables
from services.stats.records import metadata

__all__ = ["api_keys", "dashboard_sessions"]

dashboard_sessions = session_tables(metadata)

# `id` is the key's public part. Times are whole seconds since 1970 (UTC).
api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("secret_hash", sa.LargeBinary, nullable=False),
    sa.Column("label", sa.String, nullable=False),
    sa.Column("tenants", sa.JSON, nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Column("expires", sa.BigInteger, nullable=False),
)
