"""The identity plane's tables. Personal data stands in them only sealed (`sealed`) or as a keyed digest.

Times are UTC epoch milliseconds; days are UTC dates.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa

from services.runtime.database import insert_into

__all__ = [
    "BLOCKS_MERGED",
    "BLOCK_NUMBERS",
    "CURRENT_KEK",
    "EVENTS_LINKED",
    "KEYS_DESTROYED",
    "MIGRATIONS",
    "activity",
    "add_to_counter",
    "cases",
    "chunks",
    "counters",
    "insert",
    "insert_many",
    "key_rotations",
    "leases",
    "ledger",
    "look_ups",
    "metadata",
    "person_keys",
    "profiles",
    "reserve",
    "spans",
    "subjects",
]

T = TypeVar("T")
Row = tuple[object, ...]

MIGRATIONS = Path(__file__).parent / "migrations"
CHUNK_ROWS = 500  # of an IN list: SQLite takes 32766 parameters a statement, planners slow down long before
EVENTS_LINKED = "events-linked"  # counter: rows ever linked, also those whose term is over
BLOCK_NUMBERS = "block-numbers"  # counter: the next number of a sealed block
BLOCKS_MERGED = "blocks-merged"  # counter: the number up to which blocks were looked at to be merged
CURRENT_KEK = "current-kek"  # counter: the number of the key-encryption key that wraps new keys
KEYS_DESTROYED = "keys-destroyed"  # counter: keys of persons ever destroyed

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
    # the subject whom the tenant says this one has become; never one that has become another itself
    sa.Column("merged_into", sa.Text),
    sa.UniqueConstraint("tenant", "account", name="subjects_tenant_account"),
    sa.Index("subjects_merged_into", "merged_into"),
)

# Apart from the data, so that it can have a short backup term of its own.
person_keys = sa.Table(
    "person_keys",
    metadata,
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("kek", sa.Text, nullable=False),
    sa.Column("wrapped", sa.LargeBinary, nullable=False),
    sa.Index("person_keys_kek", "kek"),
)

# What was done to the key-encryption keys. `destroyed`: keys of persons destroyed before, ever; `closed_ms`: when the
# older key-encryption keys were destroyed, so that backups of `person_keys` from before open nobody.
key_rotations = sa.Table(
    "key_rotations",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("started_ms", sa.BigInteger, nullable=False),
    sa.Column("destroyed", sa.BigInteger, nullable=False),
    sa.Column("rewrapped", sa.BigInteger, nullable=False),
    sa.Column("rewrapped_ms", sa.BigInteger),
    sa.Column("closed_ms", sa.BigInteger),
)

profiles = sa.Table(
    "profiles",
    metadata,
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("updated_ms", sa.BigInteger, nullable=False),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    # in which form its look-ups stand: what `Directory.form` says, or they are made anew
    sa.Column("form", sa.Text, nullable=False, server_default=""),
    sa.Index("profiles_form", "form"),
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


def insert_many(
    connection: sa.Connection, table: sa.Table, columns: Sequence[str], rows: Sequence[Row], *, or_leave: bool = False
) -> None:
    """Rows in the driver's own types (dates as ISO text), in the order of `columns`; a row that stands is an error,
    or with `or_leave` stays as it is.

    SQLAlchemy's executemany spends 20 us a row on processing that such rows do not need; the driver spends 3.
    """
    if not rows:
        return
    statement = insert(connection, table)
    statement = statement.on_conflict_do_nothing() if or_leave else statement
    compiled = statement.compile(dialect=connection.dialect, column_keys=list(columns))
    if compiled.positional:
        connection.exec_driver_sql(str(compiled), list(rows))
    else:
        connection.exec_driver_sql(str(compiled), [dict(zip(columns, row, strict=True)) for row in rows])


def add_to_counter(connection: sa.Connection, name: str, by: int) -> None:
    stated = insert(connection, counters).values(name=name, value=by)
    sum_ = {"value": counters.c.value + stated.excluded.value}
    connection.execute(stated.on_conflict_do_update(index_elements=["name"], set_=sum_))


def reserve(connection: sa.Connection, name: str, count: int) -> int:
    """The first of `count` numbers of a counter that nobody else gets."""
    at = counters.c.name == name
    update = sa.update(counters).where(at).values(value=counters.c.value + count)
    after: int = connection.execute(update.returning(counters.c.value)).scalar_one()
    return after - count


def chunks(values: Iterable[T], size: int = CHUNK_ROWS) -> Iterator[list[T]]:
    rest = iter(values)
    while part := list(islice(rest, size)):
        yield part
