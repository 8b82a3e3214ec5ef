"""The statistics plane's records: what the migrations make is what the code declares."""

from __future__ import annotations

from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from services.runtime.database import open_plane_records
from services.stats.access import records as access_records
from services.stats.collection import records as collection_records
from services.stats.delivery import records as delivery_records
from services.stats.records import MIGRATIONS, metadata
from services.stats.releases import package, route_tables


def test_migrations_make_the_declared_tables(tmp_path: Path) -> None:
    """Table by table, column by column, index by index."""
    assert {
        access_records,
        collection_records,
        delivery_records,
        package,
        route_tables,
    }  # each adds its tables when it is imported
    engine = open_plane_records(f"sqlite:///{tmp_path / 'statistics.db'}", MIGRATIONS)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()
