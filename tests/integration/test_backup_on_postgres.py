"""A backup is of no store: what was on SQLite goes to PostgreSQL, and from there into the next backup."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from services.cli.backing_up import back_up, restore
from services.runtime import copying
from services.runtime.settings import Settings
from services.stats.delivery.downloads import Downloads
from services.stats.delivery.partners import Asker
from tests.parts.backups import CLOCK, fill, keep, settings_of
from tests.parts.identity import TENANT
from tests.parts.postgres import Postgres
from tests.unit.stats.releases.records import new_records, upgraded

pytestmark = pytest.mark.postgres
PLANES = ("ingest", "identity", "statistics")


@pytest.fixture
def on_servers(postgres_server: Postgres, tmp_path: Path) -> Iterator[Settings]:
    """Every plane's records on a database of its own."""
    urls = {plane: postgres_server.make_database() for plane in PLANES}
    records = {plane: {"records": url} for plane, url in urls.items()}
    yield Settings.model_validate({"data": tmp_path / "moved", **records})
    for url in urls.values():
        postgres_server.drop_database(url)


def test_an_installation_moves_to_postgresql_by_its_backup(on_servers: Settings, tmp_path: Path) -> None:
    """Each table has the same rows; the backup of the copy is the backup of the original."""
    fill(tmp_path / "data")
    keep(tmp_path / "data", tmp_path / "first")
    restore(on_servers, tmp_path / "first", [], CLOCK)
    back_up(on_servers, tmp_path / "second", [], CLOCK)
    first, second = _rows(tmp_path / "first"), _rows(tmp_path / "second")
    assert first == second
    assert first["identity"]["activity"] == 2
    assert first["statistics"]["day_cells"] == 1
    assert (tmp_path / "first" / "log.ndjson").read_bytes() == (tmp_path / "second" / "log.ndjson").read_bytes()
    restore(settings_of(tmp_path / "third"), tmp_path / "second", [], CLOCK)
    keep(tmp_path / "third", tmp_path / "fourth")
    assert _contents(tmp_path / "first") == _contents(tmp_path / "fourth")
    assert TENANT in json.dumps(_contents(tmp_path / "first"))


def test_what_is_numbered_goes_on_after_a_restore(
    postgres_server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log of downloads: the next row has a number of its own. The switch: with the sequence left, it is refused."""
    here = new_records(tmp_path)
    note = ("chess-club-use", "2026.11.1", "totals.csv", 162)
    for key in ("first", "second"):
        Downloads(here, CLOCK).note(Asker("acme", frozenset(), key), *note)
    for works in (False, True):
        url = postgres_server.make_database()
        there = upgraded(url)
        with monkeypatch.context() as patch:
            if not works:
                patch.setattr(copying, "_number_on", lambda *_: None)
            copying.copy_tables(here, there, {"downloads": lambda _: sa.true()})
        with contextlib.nullcontext() if works else pytest.raises(sa.exc.IntegrityError):
            Downloads(there, CLOCK).note(Asker("acme", frozenset(), "third"), *note)
        found = [row.key for row in Downloads(there, CLOCK).listed()]
        assert found == (["third"] if works else []) + ["second", "first"]
        there.dispose()
        postgres_server.drop_database(url)
    here.dispose()


def _rows(backup: Path) -> dict[str, Any]:
    files = json.loads((backup / "manifest.json").read_text())["files"]
    return {file["part"]: file["rows"] for file in files}


def _contents(backup: Path) -> list[str]:
    """Every row of every file, as text: bytes, dates and numbers are then what they were."""
    import sqlite3

    found = []
    for file in sorted(backup.glob("*.db")):
        with sqlite3.connect(file) as connection:
            found += [line for line in connection.iterdump() if line.startswith("INSERT")]
        connection.close()
    return sorted(found)
