"""The identity plane's tables. Personal data stands in them only sealed (`sealed`) or as a keyed digest.

Times are UTC epoch milliseconds; days are UTC dates.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa

from services.runtime.database import insert_into

__all__ = [
    "BLOCK_NUMBERS",
    "EVENTS_LINKED",
    "MIGRATIONS",
    "activity",
    "cases",
    "chunks",
    "counters",
    "insert",
    "insert_many",
    "leases",
    "ledger",
    "look_ups",
    "metadata",
    "person_keys",
    "profiles",
    "spans",
    "subjects",
]

T = TypeVar("T")
Row = tuple[object, ...]

MIGRATIONS = Path(__file__).parent / "migrations"
CHUNK_ROWS = 500  # of an IN list: SQLite takes 32766 parameters a statement, planners slow down long before
EVENTS_LINKED = "events-linked"  # counter: rows ever linked, also those whose term is over
BLOCK_NUMBERS = "block-numbers"  # counter: the next number of a sealed block

metadata = sa.MetaData()
_Number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # SQLite's rowid alias wants INTEGER

leases = sa.Table(
    "leases",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("holder", sa.Text, nullable=False),
    sa.Column("expires_at", sa.Text, nullable=False),
)

counters = sa.Table(
    "counters",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.BigInteger, nullable=False),
)

# One row a person: `subject` is random; `account` is the keyed digest of the tenant's account id.
subjects = sa.Table(
    "subjects",
    metadata,
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("account", sa.LargeBinary, nullable=False),
    sa.UniqueConstraint("tenant", "account", name="subjects_tenant_account"),
)

# Apart from the data, so that it can have a short backup term of its own.
person_keys = sa.Table(
    "person_keys",
    metadata,
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("kek", sa.Text, nullable=False),
    sa.Column("wrapped", sa.LargeBinary, nullable=False),
)

profiles = sa.Table(
    "profiles",
    metadata,
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("updated_ms", sa.BigInteger, nullable=False),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
)

# Blind indexes: equal values of one tenant have equal digests, and nothing else can be learned from them.
look_ups = sa.Table(
    "look_ups",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("field", sa.Text, primary_key=True),
    sa.Column("digest", sa.LargeBinary, primary_key=True),
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Index("look_ups_subject", "subject"),
)

# One row: the compressed rows of one person, one batch and one day, under that person's key.
activity = sa.Table(
    "activity",
    metadata,
    sa.Column("block", _Number, primary_key=True, autoincrement=False),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("day", sa.Date, nullable=False),
    sa.Column("expires", sa.Date, nullable=False),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    sa.Index("activity_subject_day", "subject", "day"),
    sa.Index("activity_expires", "expires"),
)

# What became of every offset of access-log.v1, committed with the blocks:
# rows = linked + duplicates + unauthenticated + suppressed + expired; `rejected` counts records, not rows.
ledger = sa.Table(
    "ledger",
    metadata,
    sa.Column("topic_id", sa.Text, primary_key=True),
    sa.Column("partition", sa.Integer, primary_key=True),
    sa.Column("first_offset", sa.BigInteger, primary_key=True),
    sa.Column("last_offset", sa.BigInteger, nullable=False),
    sa.Column("ingest_day", sa.Date, nullable=False),
    sa.Column("lookups", sa.Text, nullable=False),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("linked", sa.BigInteger, nullable=False),
    sa.Column("duplicates", sa.BigInteger, nullable=False),
    sa.Column("unauthenticated", sa.BigInteger, nullable=False),
    sa.Column("suppressed", sa.BigInteger, nullable=False),
    sa.Column("expired", sa.BigInteger, nullable=False),
    sa.Column("rejected", sa.BigInteger, nullable=False),
    sa.Column("skipped", sa.Text, nullable=False),
    sa.Column("written_ms", sa.BigInteger, nullable=False),
)

# Which positions those offsets carried, to absorb what ingest published twice around a crash.
spans = sa.Table(
    "spans",
    metadata,
    sa.Column("topic_id", sa.Text, primary_key=True),
    sa.Column("partition", sa.Integer, primary_key=True),
    sa.Column("log_offset", sa.BigInteger, primary_key=True),
    sa.Column("ordinal", sa.Integer, primary_key=True),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("origin", sa.Text, nullable=False),
    sa.Column("first", sa.BigInteger, nullable=False),
    sa.Column("last", sa.BigInteger, nullable=False),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("written_ms", sa.BigInteger, nullable=False),
)

# Rights requests. `account` is the same keyed digest as in `subjects`; `counts` is JSON.
cases = sa.Table(
    "cases",
    metadata,
    sa.Column("case", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("account", sa.LargeBinary, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("cutoff_ms", sa.BigInteger, nullable=False),
    sa.Column("subject", sa.Text),
    sa.Column("counts", sa.Text, nullable=False),
    sa.Column("opened_ms", sa.BigInteger, nullable=False),
    sa.Column("done_ms", sa.BigInteger),
)


insert = insert_into  # as all who have these tables call it


def insert_many(connection: sa.Connection, table: sa.Table, columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Rows in the driver's own types (dates as ISO text), in the order of `columns`; a row that stands is an error.

    SQLAlchemy's executemany spends 20 us a row on processing that such rows do not need; the driver spends 3.
    """
    if not rows:
        return
    compiled = sa.insert(table).compile(dialect=connection.dialect, column_keys=list(columns))
    if compiled.positional:
        connection.exec_driver_sql(str(compiled), list(rows))
    else:
        connection.exec_driver_sql(str(compiled), [dict(zip(columns, row, strict=True)) for row in rows])


def chunks(values: Sequence[T], size: int = CHUNK_ROWS) -> Iterator[list[T]]:
    rest = iter(values)
    while part := list(islice(rest, size)):
        yield part
