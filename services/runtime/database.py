"""A plane's own records: SQLite or PostgreSQL by URL, SQLAlchemy Core, Alembic migrations, leases."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from services.runtime.errors import Fatal, Transient, VoileError
from services.runtime.postgres import answers, open_postgres, trouble_opening, trouble_working

if TYPE_CHECKING:
    from alembic.config import Config

__all__ = [
    "Lease",
    "check_schema",
    "current_revision",
    "has_rows",
    "insert_into",
    "known_revisions",
    "missing_records",
    "newest_revision",
    "open_plane_records",
    "open_records",
    "pending_revisions",
    "transaction",
    "upgrade",
]

_VERSIONS = "alembic_version"  # Alembic's own table, of one row
_REVISION = re.compile(r'^revision\b.*= "(\w+)"$', re.MULTILINE)
_TITLE = re.compile(r'^"""(.*?)(?:"""|$)', re.MULTILINE)
_DOWN_REVISION = re.compile(r'^down_revision\b.*= "(\w+)"$', re.MULTILINE)
_LEASE_TERMS_MAX = 10  # ahead of now: what ends later was taken by a clock that was astray, and would end in a year
SQLITE_BUSY_MS = 20_000  # several processes share a plane's file; a writer's turn is milliseconds


def insert_into(connection: sa.Connection, table: sa.Table) -> Any:
    """The store's own INSERT, which has ON CONFLICT; SQLite and PostgreSQL spell it alike. PostgreSQL's comes with its
    drivers: a twentieth of the start of a command, which who uses SQLite does without."""
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table)
    from sqlalchemy.dialects import sqlite

    return sqlite.insert(table)


def open_records(url: str) -> sa.Engine:
    """An engine whose transactions are durable when they return. Raises `Fatal` on an unknown scheme."""
    if url.startswith("sqlite:///"):
        return _open_sqlite(url)
    if url.startswith("postgresql://"):
        return open_postgres(url)
    raise Fatal("Records are a URL like sqlite:///records.db or postgresql://user@host/name.")


def _open_sqlite(url: str) -> sa.Engine:
    file = Path(url.removeprefix("sqlite:///"))
    _create_private(file)
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=str(file)), connect_args={"timeout": SQLITE_BUSY_MS / 1000}
    )

    @sa.event.listens_for(engine, "connect")
    def _pragmas(connection, _record):  # type: ignore[no-untyped-def]  # SQLAlchemy's untyped hook
        connection.isolation_level = None  # BEGIN is ours, below
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        # IMMEDIATE: a reader that turns writer later could not wait for its turn, it would fail.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _create_private(file: Path) -> None:
    """A new file is 0600 from its first byte, and SQLite gives its write-ahead log the same mode. An existing one is
    not touched: closing any descriptor of it would drop the locks of this process's other connections (POSIX)."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def open_plane_records(url: str, migrations: Path) -> sa.Engine:
    """An empty store gets its tables; an older one is refused, because an upgrade is the operator's decision."""
    engine = open_records(url)
    try:
        if current_revision(engine) is None:
            upgrade(engine, migrations)
        check_schema(engine, migrations)
    except BaseException:
        engine.dispose()  # nobody else holds it yet
        raise
    return engine


def has_rows(engine: sa.Engine, query: sa.Select[Any]) -> bool:
    """Whether `query` finds anything. Raises `Transient`."""
    with transaction(engine) as connection:
        return connection.execute(query.limit(1)).first() is not None


@contextlib.contextmanager
def transaction(engine: sa.Engine) -> Iterator[sa.Connection]:
    """One transaction; a store that is away becomes `Transient` (with no value of the statement)."""
    try:
        with engine.begin() as connection:
            yield connection
    except sa.exc.TimeoutError as error:  # of the pool: all its connections wait for the store
        raise Transient("The records database does not answer in time: every connection to it is in use.") from error
    except sa.exc.DBAPIError as error:
        _refuse_damaged(engine, error)
        if (trouble := _trouble_working(engine, error)) is None:
            raise
        raise trouble from error


def _alembic(engine: sa.Engine, migrations: Path) -> Config:
    from alembic.config import Config  # a fifth of a command's start, for what is done once a version

    config = Config()
    config.set_main_option("script_location", str(migrations))
    config.attributes["engine"] = engine
    return config


def upgrade(engine: sa.Engine, migrations: Path, revision: str = "head") -> None:
    """Bring the plane's schema to `revision`, or the newest one, in `migrations` (an Alembic folder)."""
    from alembic import command

    command.upgrade(_alembic(engine, migrations), revision)


def newest_revision(migrations: Path) -> str | None:
    """The revision that no other one follows, from the text of the files: every command asks, few migrate."""
    followed = {found for text in _texts(migrations) for found in _DOWN_REVISION.findall(text)}
    heads = [found for found in known_revisions(migrations) if found not in followed]
    assert len(heads) <= 1, f"migrations in {migrations.parent.name} fork: {heads}"
    return heads[0] if heads else None


def known_revisions(migrations: Path) -> list[str]:
    """Every revision in `migrations`, by the names of their files."""
    return [found for text in _texts(migrations) for found in _REVISION.findall(text)]


def pending_revisions(engine: sa.Engine, migrations: Path) -> list[tuple[str, str]]:
    """What an upgrade would apply, in order: each revision and its title. Raises `Fatal` when the store cannot be
    opened or is newer than this version."""
    text_of = {_REVISION.findall(text)[0]: text for text in _texts(migrations) if _REVISION.search(text)}
    current, found = current_revision(engine), list[tuple[str, str]]()
    if current is not None and current not in text_of:
        raise Fatal(f"The records {_place(engine)} are of a newer version ({current}); install that one.")
    revision = newest_revision(migrations)
    while revision is not None and revision != current:
        title = _TITLE.search(text_of[revision])
        found.append((revision, title[1] if title else ""))
        before = _DOWN_REVISION.search(text_of[revision])
        revision = before[1] if before else None
    return found[::-1]


def _texts(migrations: Path) -> list[str]:
    return [path.read_text("utf-8") for path in sorted((migrations / "versions").glob("*.py"))]


def current_revision(engine: sa.Engine) -> str | None:
    """None for an empty database. Raises `Fatal` when it cannot be opened, `Transient` when waiting may help."""
    try:
        with engine.connect() as connection:
            if not sa.inspect(connection).has_table(_VERSIONS):
                return None
            found: str | None = connection.execute(
                sa.select(sa.column("version_num")).select_from(sa.table(_VERSIONS))
            ).scalar()
            return found
    except sa.exc.DBAPIError as error:
        _refuse_damaged(engine, error)
        raise _trouble_opening(engine, error) from None


def _trouble_opening(engine: sa.Engine, error: sa.exc.DBAPIError) -> VoileError:
    if engine.dialect.name != "sqlite":
        return trouble_opening(_place(engine), error)
    name = getattr(error.orig, "sqlite_errorname", type(error.orig).__name__)
    return Fatal(
        f"The records database {_place(engine)} cannot be opened ({name}); check that the disk is "
        "neither full nor read-only, and that the file and its folder are this user's."
    )


def _trouble_working(engine: sa.Engine, error: sa.exc.DBAPIError) -> VoileError | None:
    """What to raise when a statement failed; None for a defect of ours."""
    name = getattr(error.orig, "sqlite_errorname", "")
    if name == "SQLITE_FULL" or name.startswith("SQLITE_IOERR"):
        return Transient(f"The records cannot be written now ({name}); is the disk full?")
    return trouble_working(_place(engine), error)


def missing_records(engine: sa.Engine) -> list[str]:
    """For `/readyz`: empty while the records answer. SQLite's file is on the disk that this process stands on."""
    if engine.dialect.name == "sqlite":
        return []
    return [] if answers(engine) else ["records"]


def _refuse_damaged(engine: sa.Engine, error: sa.exc.DBAPIError) -> None:
    code = getattr(error.orig, "sqlite_errorcode", -1) & 0xFF
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        raise Fatal(f"{_place(engine)} is damaged or no SQLite file; restore it from a backup.") from None


def _place(engine: sa.Engine) -> str:
    """Where the store is, without user and password."""
    url = engine.url
    return (
        str(url.database or "(a file)")
        if url.get_backend_name() == "sqlite"
        else f"{url.host}:{url.port or 5432}/{url.database}"
    )


def check_schema(engine: sa.Engine, migrations: Path) -> None:
    """Raises `Fatal`, naming `voile db upgrade`, unless the schema is the newest."""
    newest, current = newest_revision(migrations), current_revision(engine)
    if current and newest and current > newest:  # revisions are numbers of four digits
        raise Fatal(
            f"The records schema is {current}, newer than this version's {newest}; install the version that made it, "
            "or restore the backup from before."
        )
    if current != newest:
        raise Fatal(f"The records schema is {current or 'empty'}, this version needs {newest}; run: voile db upgrade")


class Lease:
    """One holder at a time for scheduled work, by a row in the plane's records.

    The table `leases(name primary key, holder, expires_at)` belongs to each plane's migrations.
    """

    def __init__(self, engine: sa.Engine, name: str, holder: str, seconds: int = 60) -> None:
        self._engine, self._name, self._holder = engine, name, holder
        self._term = timedelta(seconds=seconds)

    def acquire(self, now: datetime) -> bool:
        """Take or renew; True when held until `now` + term."""
        stamp, until = now.isoformat(), (now + self._term).isoformat()
        astray = (now + _LEASE_TERMS_MAX * self._term).isoformat()
        with transaction(self._engine) as connection:
            taken = connection.execute(
                sa.text(
                    "INSERT INTO leases (name, holder, expires_at) VALUES (:n, :h, :u) "
                    "ON CONFLICT (name) DO UPDATE SET holder = :h, expires_at = :u "
                    "WHERE leases.holder = :h OR leases.expires_at < :s OR leases.expires_at > :a"
                ),
                {"n": self._name, "h": self._holder, "u": until, "s": stamp, "a": astray},
            )
            return taken.rowcount == 1

    def release(self) -> None:
        """At the end. While the store is away the term ends it."""
        with contextlib.suppress(Transient), transaction(self._engine) as connection:
            connection.execute(
                sa.text("DELETE FROM leases WHERE name = :n AND holder = :h"), {"n": self._name, "h": self._holder}
            )
