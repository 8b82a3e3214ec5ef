"""When a tenant leaves, what was published of it goes, too."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from services.runtime.clock import FixedClock
from services.stats.delivery.records import files
from services.stats.tenants.departure import records_stores
from tests.parts.delivery import NAME, OTHER_NAME, fill_delivery
from tests.unit.stats.releases.records import FIRST, new_records


def test_published_files_go_with_their_tenant(tmp_path: Path) -> None:
    """In the order that departures use; another tenant's stay."""
    records, clock = new_records(tmp_path), FixedClock(datetime.combine(FIRST, datetime.min.time(), UTC))
    clock.advance(timedelta(days=20))
    fill_delivery(records, clock, tmp_path)
    with records.connect() as connection:
        assert set(connection.scalars(sa.select(files.c.name))) == {NAME, OTHER_NAME}
    for store in records_stores(records):
        store.delete("chess-club")
        assert store.count("chess-club") == 0
    with records.connect() as connection:
        assert set(connection.scalars(sa.select(files.c.name))) == {OTHER_NAME}
    records.dispose()
