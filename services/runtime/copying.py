"""Rows of a plane's records from one store into another: SQLite or PostgreSQL on either side.

Both sides have the same schema revision. Whatever is copied was there at one moment, and comes in whole or not at all.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa

from services.runtime.database import open_records, transaction
from services.runtime.errors import Fatal

__all__ = ["Where", "copy_tables", "open_file", "open_snapshot", "seal_file", "tables_with_rows"]

CHUNK_ROWS = 200  # held in memory at once; a sealed block of a busy day has some 100 kB

Where = Callable[[sa.Table], sa.ColumnElement[bool]]  # the rows of a table that are taken


def copy_tables(source: sa.Engine, target: sa.Engine, tables: Mapping[str, Where]) -> dict[str, int]:
    """Replaces the rows of `tables` in `target` by those of `source`. Returns how many each has now."""
    there, here = _reflected(source, tables), _reflected(target, tables)
    with source.connect() as reading, transaction(target) as writing:
        for table in reversed(here.sorted_tables):
            if table.name in tables:
                writing.execute(sa.delete(table))
        copied = {
            table.name: _copy(reading, writing, there.tables[table.name], table, tables[table.name])
            for table in here.sorted_tables
            if table.name in tables
        }
        for name in copied:
            _number_on(writing, here.tables[name])
    return copied


def tables_with_rows(engine: sa.Engine, tables: Mapping[str, Where]) -> list[str]:
    """Those of `tables` that are not empty."""
    found = _reflected(engine, tables)
    with engine.connect() as connection:
        return [name for name in tables if connection.execute(sa.select(found.tables[name]).limit(1)).first()]


def open_snapshot(url: str) -> sa.Engine:
    """For reading alone, while others write: a connection sees the store as it was at its first statement."""
    if not url.startswith("sqlite:///"):
        return open_records(url).execution_options(isolation_level="REPEATABLE READ")
    path = Path(url.removeprefix("sqlite:///"))
    if not path.exists():
        raise Fatal(f"There is no {path}; check the settings `data` and `records`, or run: voile db upgrade")
    return _open_sqlite(path, "mode=ro")


def open_file(path: Path) -> sa.Engine:
    """A file that nobody writes any more, read as it is: nothing is made beside it."""
    return _open_sqlite(path, "immutable=1")


def seal_file(path: Path, engine: sa.Engine) -> None:
    """`path`, written by `engine`, becomes one file that `open_file` can read."""
    engine.dispose()
    with sqlite3.connect(path, isolation_level=None) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()


def _open_sqlite(path: Path, how: str) -> sa.Engine:
    address = f"file:{quote(str(path))}?{how}"
    engine = sa.create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False),
        poolclass=sa.pool.NullPool,
    )

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN")  # Python's own way begins only before what writes

    return engine


def _reflected(engine: sa.Engine, tables: Mapping[str, Where]) -> sa.MetaData:
    found = sa.MetaData()
    found.reflect(engine, only=list(tables))
    return found


def _copy(reading: sa.Connection, writing: sa.Connection, source: sa.Table, target: sa.Table, where: Where) -> int:
    copied = 0
    for chunk in _chunks(reading, sa.select(source).where(where(source))):
        writing.execute(sa.insert(target), chunk)
        copied += len(chunk)
    return copied


def _number_on(writing: sa.Connection, table: sa.Table) -> None:
    """PostgreSQL's sequences know nothing of rows that came with their numbers: the next one is after these."""
    for column in table.primary_key.columns:
        if "nextval(" in str(getattr(column.server_default, "arg", "")):
            after = sa.select(sa.func.coalesce(sa.func.max(column), 0) + 1).scalar_subquery()
            writing.execute(
                sa.select(sa.func.setval(sa.func.pg_get_serial_sequence(table.name, column.name), after, False))
            )


def _chunks(reading: sa.Connection, query: sa.Select[tuple[object, ...]]) -> Iterator[list[dict[str, object]]]:
    result = reading.execution_options(yield_per=CHUNK_ROWS).execute(query)
    for rows in result.mappings().partitions():
        yield [dict(row) for row in rows]
