"""A store's schema is that of the version that opens it, or the start says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from services.runtime.database import check_schema, open_records, upgrade
from services.runtime.errors import Fatal
from services.stats.records import MIGRATIONS


@pytest.mark.parametrize(("revision", "advice"), [("0001", "voile db upgrade"), ("9999", "newer than this version's")])
def test_another_schema_is_refused_with_the_way_out(tmp_path: Path, revision: str, advice: str) -> None:
    """An older one is upgraded; after going back to an older version the upgrade would change nothing."""
    engine = open_records(f"sqlite:///{tmp_path}/records.db")
    upgrade(engine, MIGRATIONS)
    check_schema(engine, MIGRATIONS)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})
    with pytest.raises(Fatal, match=advice):
        check_schema(engine, MIGRATIONS)
    engine.dispose()
