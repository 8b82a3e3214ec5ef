"""A backup brings back what was published and registered, and nobody whose data was to be gone."""

from __future__ import annotations

import json
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa

from services.cli.backup_manifest import described, write_manifest
from services.cli.backup_parts import LEFT_OUT, PARTS, RECORDS
from services.cli.stores import migrations_of, plane_store
from services.runtime.alone import alone
from services.runtime.database import Lease, open_records, upgrade
from services.runtime.errors import Fatal
from services.runtime.keys import FileKeyService
from services.stats import service
from tests.parts.backups import (
    CLOCK,
    CLOSED_DAY,
    OPEN_DAY,
    fill,
    keep,
    lose_all_but_keys,
    put_back,
    settings_of,
    shown,
)
from tests.parts.identity import TENANT, linked, opened

KEYS_AND_LOG = ("person-keys", "log")
DATA = tuple(part for part in PARTS if part not in KEYS_AND_LOG)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pl.DataFrame]:
    """A filled installation with its backup beside it, and the cells it shows. Tests work on copies."""
    place = tmp_path_factory.mktemp("backups")
    cells = fill(place / "data")
    keep(place / "data", place / "backup")
    return place, cells


@pytest.fixture
def place(first: tuple[Path, pl.DataFrame], tmp_path: Path) -> Path:
    """`data` and `backup`, the test's own."""
    for name in ("data", "backup"):
        shutil.copytree(first[0] / name, tmp_path / name)
    return tmp_path


def test_what_was_published_and_linked_comes_back(place: Path, first: tuple[Path, pl.DataFrame]) -> None:
    """Figures, sources, tenants and each person's activity, after the loss of everything but the keys."""
    lose_all_but_keys(place / "data")
    put_back(place / "data", place / "backup")
    assert shown(place / "data").equals(first[1])
    with opened(place / "data") as plane:
        assert [tenant.name for tenant in plane.registry.all()] == ["Chess Club"]
        assert (linked(plane, "ann"), linked(plane, "bob")) == (["/ann"], ["/bob"])
    assert _column(place, "ingest", "sources", "name") == ["web"]


def test_figures_are_filled_in_from_the_records(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The switch of the test above: without the filling-in at the start nothing is shown."""
    lose_all_but_keys(place / "data")
    put_back(place / "data", place / "backup")
    monkeypatch.setattr(service, "refill", lambda *_: 0)
    assert shown(place / "data").is_empty()


def test_a_lost_statistics_store_is_filled_in_at_the_next_start(place: Path, first: tuple[Path, pl.DataFrame]) -> None:
    """And only once: the next start changes nothing."""
    shutil.rmtree(place / "data" / "analytics")
    assert shown(place / "data").equals(first[1])
    assert shown(place / "data").equals(first[1])


def test_of_two_workers_that_start_at_once_one_fills_the_store(place: Path, first: tuple[Path, pl.DataFrame]) -> None:
    """While one is at it the other leaves it alone: two would show everything twice."""
    shutil.rmtree(place / "data" / "analytics")
    store = plane_store(settings_of(place / "data"), "statistics")
    other = Lease(store.engine, "stats-refill", "another worker", 60)
    assert other.acquire(CLOCK.now())
    assert shown(place / "data").is_empty()
    other.release()
    assert shown(place / "data").equals(first[1])
    store.close()


def test_whoever_was_erased_since_stays_unreadable(place: Path) -> None:
    """Data of before the erasure, with the person keys and the log of after it; everybody else is readable."""
    data = place / "data"
    _erase_ann(data)
    keep(data, place / "after", KEYS_AND_LOG)
    lose_all_but_keys(data)
    put_back(data, place / "after", KEYS_AND_LOG)
    put_back(data, place / "backup", DATA)
    with opened(data) as plane:
        assert (linked(plane, "ann"), linked(plane, "bob")) == ([], ["/bob"])
        assert plane.rights.resume() == ["C-1"]
        assert _column(place, "identity", "activity", "subject") == _column(place, "identity", "person_keys", "subject")


def test_an_old_table_of_person_keys_would_open_the_erased(place: Path) -> None:
    """The switch of the test above: keys and log of before the erasure bring the person back."""
    data = place / "data"
    _erase_ann(data)
    lose_all_but_keys(data)
    put_back(data, place / "backup")
    with opened(data) as plane:
        assert linked(plane, "ann") == ["/ann"]


def test_after_a_rotation_an_old_table_of_person_keys_opens_nobody(place: Path) -> None:
    """K3: whole backup of before the erasure and the rotation: the start is refused, with what to do. With the table
    of keys of after it everybody but the erased person is readable."""
    data = place / "data"
    _erase_ann(data)
    with opened(data) as plane:
        assert plane.rotation.rotate() == 1
    keep(data, place / "after", ("person-keys",))
    lose_all_but_keys(data)
    put_back(data, place / "backup")
    with pytest.raises(Fatal, match="newer than the last rotation"), opened(data):
        pass
    lose_all_but_keys(data)
    put_back(data, place / "after", ("person-keys",))
    put_back(data, place / "backup", (*DATA, "log"))
    with opened(data) as plane:
        assert (linked(plane, "ann"), linked(plane, "bob")) == ([], ["/bob"])


def test_without_destroying_the_older_key_an_old_table_would_open_the_erased(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The switch of the test above: keys wrapped anew, and what wrapped them kept."""
    data = place / "data"
    _erase_ann(data)
    monkeypatch.setattr(FileKeyService, "destroy", lambda *_: False)
    with opened(data) as plane:
        plane.rotation.rotate()
    lose_all_but_keys(data)
    put_back(data, place / "backup")
    with opened(data) as plane:
        assert (linked(plane, "ann"), linked(plane, "bob")) == (["/ann"], ["/bob"])


def test_a_backup_has_only_closed_days(place: Path) -> None:
    """An open day comes back as one that has not begun; no event row and no key of it is anywhere."""
    assert _days(place / "data" / "records.db") == {CLOSED_DAY, OPEN_DAY}
    assert _days(place / "backup" / "statistics.db") == {CLOSED_DAY}
    kept = b"".join(file.read_bytes() for file in (place / "backup").iterdir())
    keys = [file.read_bytes() for file in (place / "data" / "keys").rglob("*.key")]
    assert len(keys) > 3
    assert not any(key in kept for key in keys)
    for needle in (b"/ann", b"page_view", b"203.0.113"):
        assert needle not in kept


def test_every_table_is_in_a_backup_or_left_out_for_a_reason(place: Path) -> None:
    """A new table needs a decision; and no name is left over."""
    known = {(part.plane, name) for part in RECORDS.values() for name in part.tables}
    found = {(plane, name) for plane in ("ingest", "identity", "statistics") for name in _tables(place, plane)}
    assert {(plane, name) for plane, name in found if name not in LEFT_OUT} == known
    assert {name for _, name in found - known} == set(LEFT_OUT)


def test_only_the_owner_reads_a_backup(place: Path) -> None:
    """0700 and 0600: it holds hashed keys, sealed activity and account names."""
    keep(place / "data", place / "fresh")
    assert stat.S_IMODE((place / "fresh").stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in (place / "fresh").iterdir()} == {0o600}


def test_a_backup_goes_into_a_new_folder_alone(place: Path) -> None:
    """Two backups mixed could not be told apart."""
    with pytest.raises(Fatal, match="is not empty"):
        keep(place / "data", place / "backup")


def _flip_a_byte(backup: Path) -> None:
    text = bytearray((backup / "identity.db").read_bytes())
    text[5000] ^= 1
    (backup / "identity.db").write_bytes(text)


def _of_a_newer_schema(backup: Path) -> None:
    _change_manifest(backup, "revision", "9999")


def _of_a_newer_format(backup: Path) -> None:
    found = json.loads((backup / "manifest.json").read_text())
    (backup / "manifest.json").write_text(json.dumps(found | {"format": 2}))


def _of_another_folder(backup: Path) -> None:
    _change_manifest(backup, "file", "../identity.db")


def _change_manifest(backup: Path, name: str, value: str) -> None:
    found = json.loads((backup / "manifest.json").read_text())
    found["files"][1][name] = value
    (backup / "manifest.json").write_text(json.dumps(found))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda backup: (backup / "manifest.json").unlink(), "no complete backup"),
        (lambda backup: (backup / "manifest.json").write_text("{"), "is damaged"),
        (lambda backup: (backup / "statistics.db").unlink(), "missing or damaged"),
        (_flip_a_byte, "missing or damaged"),
        (_of_a_newer_format, "another version"),
        (_of_a_newer_schema, "newer version"),
        (_of_another_folder, "missing or damaged"),
    ],
)
def test_what_is_not_whole_is_not_restored(place: Path, spoil: Callable[[Path], object], said: str) -> None:
    """One sentence says why, and nothing was written."""
    spoil(place / "backup")
    lose_all_but_keys(place / "data")
    with pytest.raises(Fatal, match=said):
        put_back(place / "data", place / "backup")
    assert {entry.name for entry in (place / "data").iterdir()} <= {"keys", "up.lock"}


def test_a_filled_store_is_not_written_over(place: Path) -> None:
    """Neither records nor the log; each is named."""
    with pytest.raises(Fatal, match=r"ingest records are not empty \(sources\)"):
        put_back(place / "data", place / "backup")
    with pytest.raises(Fatal, match="event log is not empty"):
        put_back(place / "data", place / "backup", ["log"])


def test_a_running_installation_is_not_restored_into(place: Path) -> None:
    """`voile up` holds its lock."""
    lose_all_but_keys(place / "data")
    with alone(place / "data" / "up.lock", ""), pytest.raises(Fatal, match="stop it first"):
        put_back(place / "data", place / "backup")


def test_a_part_that_does_not_exist_is_named_with_those_that_do(place: Path) -> None:
    """For a backup and for what is in one."""
    with pytest.raises(Fatal, match="choose of: ingest, identity, person-keys, statistics, log"):
        keep(place / "data", place / "other", ["people"])
    keep(place / "data", place / "keys-only", ["person-keys"])
    with pytest.raises(Fatal, match="it has: person-keys"):
        put_back(place / "data", place / "keys-only", ["ingest"])


def test_an_older_backup_is_brought_up_to_date(place: Path) -> None:
    """Rows of an older schema come back under the newest one; the backup stays as it was."""
    migrations, backup = migrations_of("statistics"), place / "older"
    backup.mkdir()
    engine = open_records(f"sqlite:///{backup}/statistics.db")
    upgrade(engine, migrations, "0002")
    with engine.begin() as connection:
        row = {"t": TENANT, "d": CLOSED_DAY.isoformat(), "n": "2026-11-02"}
        connection.execute(
            sa.text("INSERT INTO days (tenant, day, state, first_row_at) VALUES (:t, :d, 'closed', :n)"), row
        )
    engine.dispose()
    file = described(backup / "statistics.db", "statistics", "0002", {"days": 1})
    write_manifest(backup, "2026-11-02", [file])
    lose_all_but_keys(place / "data")
    put_back(place / "data", backup)
    assert _days(place / "data" / "records.db") == {CLOSED_DAY}
    store = plane_store(settings_of(place / "data"), "statistics")
    assert store.revision() == store.newest()
    store.close()
    assert described(backup / "statistics.db", "statistics", "0002", {"days": 1}) == file


def _erase_ann(data: Path) -> None:
    with opened(data) as plane:
        plane.rights.erase(TENANT, "ann", "C-1")


def _days(file: Path) -> set[object]:
    engine = open_records(f"sqlite:///{file}")
    with engine.begin() as connection:
        found = set(connection.scalars(sa.text("SELECT day FROM days").columns(day=sa.Date)))
    engine.dispose()
    return found


def _tables(place: Path, plane: str) -> list[str]:
    store = plane_store(settings_of(place / "data"), plane)
    found = sa.inspect(store.engine).get_table_names()
    store.close()
    return found


def _column(place: Path, plane: str, table: str, column: str) -> list[str]:
    store = plane_store(settings_of(place / "data"), plane)
    with store.engine.begin() as connection:
        found = [row[0] for row in connection.execute(sa.text(f"SELECT {column} FROM {table} ORDER BY 1"))]
    store.close()
    return found
