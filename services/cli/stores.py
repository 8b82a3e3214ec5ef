"""Every plane's records, seen from the command line."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from services.cli.common import settings
from services.runtime import database
from services.runtime.errors import Fatal
from services.runtime.settings import Settings

__all__ = ["PlaneStore", "each_store", "migrations_of", "plane_store"]

_RECORDS = {"ingest": "services.ingest", "identity": "services.enricher", "statistics": "services.stats"}


@dataclass(frozen=True, slots=True)
class PlaneStore:
    plane: str
    engine: sa.Engine
    migrations: Path

    def upgrade(self) -> None:
        database.upgrade(self.engine, self.migrations)

    def revision(self) -> str | None:
        return database.current_revision(self.engine)

    def newest(self) -> str | None:
        return database.newest_revision(self.migrations)

    def pending(self) -> list[tuple[str, str]]:
        """Revisions that an upgrade would apply, and their titles."""
        return database.pending_revisions(self.engine, self.migrations)

    def close(self) -> None:
        self.engine.dispose()


def each_store(plane: str) -> Iterator[PlaneStore]:
    """The named plane's records, or all. Raises `Fatal` on a name that does not exist."""
    if plane and plane not in _RECORDS:
        raise Fatal(f"There is no plane {plane!r}; choose one of: {', '.join(_RECORDS)}")
    loaded = settings()
    for name in _RECORDS:
        if plane in {"", name}:
            yield plane_store(loaded, name)


def plane_store(loaded: Settings, plane: str) -> PlaneStore:
    url = loaded.url(getattr(loaded, plane).records)
    return PlaneStore(plane, database.open_records(url), migrations_of(plane))


def migrations_of(plane: str) -> Path:
    found: Path = importlib.import_module(f"{_RECORDS[plane]}.records").MIGRATIONS
    return found
