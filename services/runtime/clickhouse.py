"""ClickHouse through one client: the engine in process (chdb:///folder) or a server (clickhouse://...).

No SQL here calls now() or today(): time is a parameter. Statements live in `.sql` files.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import clickhouse_connect
import polars as pl
import pyarrow as pa
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import OperationalError

from services.runtime.errors import Fatal, Transient
from services.runtime.settings import local_path

__all__ = ["Analytics", "open_analytics", "sql"]

_SHARED_SNAPSHOT = "enable_shared_storage_snapshot_in_query"  # on by default in newer servers, unknown to older ones


class Analytics:
    """The few calls Voile makes on ClickHouse; `client` is there for what they do not cover."""

    def __init__(self, client: Client, folder: Path | None, url: str) -> None:
        self.client = client
        self.folder = folder  # of the embedded engine; None for a server
        self._url = url

    @property
    def embedded(self) -> bool:
        return self.folder is not None

    def command(self, statement: str, parameters: Mapping[str, Any] | None = None) -> None:
        self.client.command(statement, parameters=dict(parameters or {}))

    def delete(self, statement: str, parameters: Mapping[str, Any]) -> None:
        """An ALTER TABLE ... DELETE, done when it returns. Meanwhile it holds no part: one that waits for a clean-up
        beside it would keep that one waiting for the parts it holds (ADR 0270)."""
        own = {_SHARED_SNAPSHOT: 0} if _SHARED_SNAPSHOT in self.client.server_settings else {}
        self.client.command(statement, parameters=dict(parameters), settings={"mutations_sync": 2, **own})

    def frame(self, query: str, parameters: Mapping[str, Any] | None = None) -> pl.DataFrame:
        """The result as columns; ClickHouse's String comes back as polars String.

        Read by this and not by `client.query`: that one streams, and the embedded engine ends a stream that
        fails half-way without an error.
        """
        try:
            table = self.client.query_arrow(query, parameters=dict(parameters or {}), use_strings=True)
        except Exception:
            self._drain()
            raise
        result = pl.from_arrow(table)
        assert isinstance(result, pl.DataFrame)
        return result

    def _drain(self) -> None:
        """The embedded engine puts what a failed query had written already before the next answer."""
        if self.embedded:
            with contextlib.suppress(Exception):
                self.client.query_arrow("SELECT 1")

    def insert(self, table: str, frame: pl.DataFrame | pa.Table, settings: Mapping[str, Any] | None = None) -> None:
        """One INSERT. An embedded engine reads the columns from memory: the client would put them into a file
        in the machine's temporary folder, where a crash leaves them behind."""
        arrow = frame.to_arrow() if isinstance(frame, pl.DataFrame) else frame
        if self.embedded and hasattr(os, "memfd_create"):
            _insert_from_memory(self.client, table, arrow, settings or {})
        else:
            self.client.insert_arrow(table, arrow, settings=dict(settings or {}))

    def another(self) -> Analytics:
        """The same store by a client of its own: one client runs one query at a time."""
        return open_analytics(self._url)

    def close(self) -> None:
        self.client.close()


def open_analytics(url: str) -> Analytics:
    """Raises `Fatal` when the folder is held by another process or the server refuses, `Transient` when it is away."""
    parts = urlsplit(url)
    if parts.scheme == "chdb":
        return _open_embedded(local_path(url), url)
    if parts.scheme in {"clickhouse", "clickhouses"}:
        return _open_server(url)
    raise Fatal("Analytics are a URL like chdb:///analytics or clickhouse://user:password@host:8123/voile.")


def _open_embedded(folder: Path, url: str) -> Analytics:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        client = clickhouse_connect.get_client(interface="chdb", path=str(folder))
    except Exception as error:
        raise Fatal(
            f"The statistics store {folder} cannot be opened; another Voile process may hold it. "
            "When `voile up` was started just now, ask again in a few seconds; else stop the other process, or "
            "give the command to the running service with the same data folder."
        ) from error
    return Analytics(client, folder, url)


def _open_server(url: str) -> Analytics:
    parts = urlsplit(url)
    place = f"{parts.hostname}:{parts.port or 8123}"
    try:
        client = clickhouse_connect.get_client(
            host=parts.hostname or "localhost",
            port=parts.port or 8123,
            username=unquote(parts.username or "default"),
            password=unquote(parts.password or ""),
            database=parts.path.lstrip("/") or "default",
            secure=parts.scheme == "clickhouses",
        )
    except OperationalError as error:
        raise Transient(
            f"ClickHouse at {place} does not answer; start it, or correct the setting statistics.analytics."
        ) from error
    except Exception as error:
        raise Fatal(
            f"ClickHouse at {place} refuses: {type(error).__name__}; look at the user, password and database in the "
            "setting statistics.analytics."
        ) from error
    return Analytics(client, None, url)


def _insert_from_memory(client: Client, table: str, arrow: pa.Table, settings: Mapping[str, Any]) -> None:
    """`table`, the columns and the settings are Voile's own names and values, never input."""
    columns = ", ".join(arrow.schema.names)
    clause = ", ".join(f"{name} = '{value}'" for name, value in settings.items())
    with os.fdopen(os.memfd_create("voile-insert", os.MFD_CLOEXEC), "wb") as file:
        with pa.ipc.new_stream(file, arrow.schema) as stream:
            stream.write_table(arrow)
        file.flush()
        client.command(
            f"INSERT INTO {table} ({columns}) FROM INFILE '/proc/self/fd/{file.fileno()}'"
            f"{' SETTINGS ' if clause else ' '}{clause} FORMAT ArrowStream"
        )


@cache
def sql(package: str, name: str) -> str:
    """The text of `{package}/{name}.sql`."""
    return resources.files(package).joinpath(f"{name}.sql").read_text("utf-8")
