"""On SQLite: what was erased stands in no file, and an old copy of the database forgets it again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from services.enricher import records
from services.enricher.persons import vault
from services.enricher.rights import execution as rights
from services.enricher.service import Identity
from services.runtime.database import transaction
from services.runtime.errors import Transient
from tests.parts.identity import TENANT, access, batch, link, linked, opened, send


def test_no_file_holds_the_key_afterwards(tmp_path: Path) -> None:
    """Neither the database nor its write-ahead log, while the service still has both open."""
    with opened(tmp_path) as plane:
        wrapped, sealed = _bytes_of(plane)
        assert _holds(tmp_path, wrapped)
        assert _holds(tmp_path, sealed)
        plane.rights.erase(TENANT, "ann", "C-1")
        assert not _holds(tmp_path, wrapped)
        assert not _holds(tmp_path, sealed)


@pytest.mark.parametrize("missing", ["scrub", "secure_delete"])
def test_without_either_half_the_key_stays_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    """The switch: no truncating checkpoint, or no zeroing of deleted bytes."""
    with opened(tmp_path) as plane:
        wrapped, _ = _bytes_of(plane)
        if missing == "scrub":
            monkeypatch.setattr(rights, "scrub", lambda *_: None)
        else:
            _without_secure_delete(plane)
        plane.rights.erase(TENANT, "ann", "C-1")
        assert _holds(tmp_path, wrapped)


def test_records_restored_from_before_the_erasure_forget_the_person_again(tmp_path: Path) -> None:
    """The signal is on the log, and an old backup of the database does not know the case."""
    with opened(tmp_path) as plane:
        send(plane, batch([access("ann", "/ann")]))
        link(plane)
        backup = tmp_path / "backup.db"
        _vacuum_into(plane, backup)
        plane.rights.erase(TENANT, "ann", "C-1")
    for suffix in ("", "-wal", "-shm"):
        (tmp_path / f"identity.db{suffix}").unlink(missing_ok=True)
    backup.rename(tmp_path / "identity.db")
    with opened(tmp_path) as plane:
        assert linked(plane, "ann") == ["/ann"]
        assert plane.rights.resume() == ["C-1"]
        assert linked(plane, "ann") == []


def test_scrub_gives_up_when_a_reader_stays(plane: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that may still stand in the log is reported, never assumed gone."""
    monkeypatch.setattr(vault, "_checkpoint", lambda _: False)
    with pytest.raises(Transient):
        vault.scrub(plane.engine, plane.clock)


def _bytes_of(plane: Identity) -> tuple[bytes, bytes]:
    """Ann's wrapped key and her sealed activity."""
    send(plane, batch([access("ann", "/ann")]))
    link(plane)
    with transaction(plane.engine) as connection:
        wrapped: bytes = connection.execute(sa.select(records.person_keys.c.wrapped)).scalar_one()
        sealed: bytes = connection.execute(sa.select(records.activity.c.sealed)).scalar_one()
    return wrapped, sealed


def _holds(folder: Path, needle: bytes) -> bool:
    return any(needle in file.read_bytes() for file in folder.rglob("*") if file.is_file())


def _without_secure_delete(plane: Identity) -> None:
    plane.engine.dispose()

    @sa.event.listens_for(plane.engine, "connect")
    def _off(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA secure_delete=OFF")


def _vacuum_into(plane: Identity, file: Path) -> None:
    connection = plane.engine.raw_connection()
    connection.cursor().execute(f"VACUUM INTO '{file}'")
    connection.close()
