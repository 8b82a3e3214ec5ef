"""One SQLite file shared by several processes: durable transactions, errors in the runtime's words."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from services.runtime.errors import Fatal, Transient

__all__ = ["BUSY_S", "SqliteFile", "statements"]

BUSY_S = 10.0  # another process's turn to write is milliseconds; after this long something is wrong
_RETRY_S = 0.02
_WAL_BYTES_KEPT = 64 * 1024 * 1024  # a burst may grow the write-ahead log; it is cut back to this
_AWAY = frozenset(
    {
        sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_NOMEM,
    }
)  # fmt: skip


class SqliteFile:
    """One connection; the caller sees to it that one thread uses it at a time."""

    def __init__(self, path: Path, sql: Mapping[str, str], *, busy_s: float = BUSY_S) -> None:
        self.path = path
        self._sql = sql
        _create_private(path)
        with _in_our_words(path):
            self._connection = sqlite3.connect(path, timeout=busy_s, isolation_level=None, check_same_thread=False)
            self._use_wal(busy_s)
            self._pragmas()

    def prepare(self, schema: str, version: int) -> None:
        """Make the tables when the file is new. Raises `Fatal` when another version made them."""
        with self.transaction():
            found = self.pragma("user_version")
            if found == 0:
                for statement in schema.split(";\n"):
                    self._connection.execute(statement)
                self._connection.execute(f"PRAGMA user_version = {version}")
            elif found != version:
                raise Fatal(
                    f"{self.path} was written by another version of Voile (schema {found}, this version needs "
                    f"{version}); run: voile db upgrade"
                )

    def rows(self, name: str, /, **values: Any) -> list[tuple[Any, ...]]:
        with _in_our_words(self.path):
            return self._connection.execute(self._sql[name], values).fetchall()

    def row(self, name: str, /, **values: Any) -> tuple[Any, ...] | None:
        with _in_our_words(self.path):
            found: tuple[Any, ...] | None = self._connection.execute(self._sql[name], values).fetchone()
            return found

    def stream(self, name: str, /, **values: Any) -> Iterator[tuple[Any, ...]]:
        """Rows one by one; the caller closes it when it stops early."""
        with _in_our_words(self.path), contextlib.closing(self._connection.execute(self._sql[name], values)) as cursor:
            yield from cursor

    def change(self, name: str, /, **values: Any) -> int:
        """How many rows changed."""
        with _in_our_words(self.path):
            return self._connection.execute(self._sql[name], values).rowcount

    def change_many(self, name: str, values: Iterable[Mapping[str, Any]]) -> None:
        with _in_our_words(self.path):
            self._connection.executemany(self._sql[name], values)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, on disk when the block is left.

        IMMEDIATE: a reader that turns writer later could not wait for its turn, it would fail.
        """
        with _in_our_words(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def pragma(self, text: str) -> Any:
        with _in_our_words(self.path):
            found = self._connection.execute(f"PRAGMA {text}").fetchall()
        return found[0][0] if found else None

    def give_back(self, pages: int) -> None:
        """Up to so many free pages to the file system. As a script: `execute` would stop after the first page."""
        with _in_our_words(self.path):
            self._connection.executescript(f"PRAGMA incremental_vacuum({pages})")

    def close(self) -> None:
        self._connection.close()

    def _use_wal(self, busy_s: float) -> None:
        """The busy timeout does not cover this switch, so two first starts at once take turns here."""
        deadline = time.monotonic() + busy_s
        while True:
            try:
                if self._connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                    self._connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # only heard before the first table
                    self._connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_RETRY_S)

    def _pragmas(self) -> None:
        for pragma in ("synchronous=FULL", "foreign_keys=ON", "secure_delete=ON", "cache_size=-16000"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.execute(f"PRAGMA journal_size_limit={_WAL_BYTES_KEPT}")


@cache
def statements(package: str, name: str) -> Mapping[str, str]:
    """The statements of `{package}/{name}.sql`, each under a line `-- name: x`."""
    text = resources.files(package).joinpath(f"{name}.sql").read_text("utf-8")
    named = (part.split("\n", 1) for part in text.split("-- name: ")[1:])
    return {name.strip(): statement.strip() for name, statement in named}


def _create_private(path: Path) -> None:
    """A new file is 0600 from its first byte. An existing one is not touched: closing any descriptor
    of it would drop the locks that other connections of this process hold (POSIX)."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


@contextlib.contextmanager
def _in_our_words(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", -1)
        if code & 0xFF in _AWAY:
            raise Transient(f"{path.name} cannot be used now ({error.sqlite_errorname}); is its disk full?") from error
        if code & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
            raise Fatal(f"{path} is damaged or no SQLite file; restore it from a backup.") from error
        raise
