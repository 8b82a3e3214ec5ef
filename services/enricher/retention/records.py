"""Tables of what happens at the end of a term. Days and months are UTC dates."""

from __future__ import annotations

import sqlalchemy as sa

from services.enricher.records import metadata
from services.runtime.departures import departure_table

__all__ = ["activity_counts", "departures", "isolated_activity", "last_heard", "tenant_certificates"]

# Blocks whose term is over and whose tenant has them isolated: for the data protection officer alone, until `until`.
# Sealed as they were in `activity`, under the person's key and bound to the same place.
isolated_activity = sa.Table(
    "isolated_activity",
    metadata,
    sa.Column("block", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("day", sa.Date, nullable=False),
    sa.Column("isolated", sa.Date, nullable=False),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    sa.Index("isolated_activity_subject", "subject", "day"),
    sa.Index("isolated_activity_isolated", "isolated"),
)

# What anonymising leaves of linked activity: how many accesses a tenant's members made in a month, all together.
activity_counts = sa.Table(
    "activity_counts",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("month", sa.Date, primary_key=True),
    sa.Column("rows", sa.BigInteger, nullable=False),
)

# The last day on which something was heard of a person whose activity is gone: an account's term counts from there.
last_heard = sa.Table(
    "last_heard",
    metadata,
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("day", sa.Date, nullable=False),
)

departures = departure_table(metadata)

# The proof that a tenant's data is gone, as it was signed: `issued` when every store was counted empty, `completed`
# when what ends by itself has ended.
tenant_certificates = sa.Table(
    "tenant_certificates",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("status", sa.Text, primary_key=True),
    sa.Column("made_ms", sa.BigInteger, nullable=False),
    sa.Column("document", sa.LargeBinary, nullable=False),
    sa.Column("signature", sa.LargeBinary, nullable=False),
)
