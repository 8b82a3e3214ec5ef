"""voile backup and voile restore, as somebody types them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from services.cli import backup, restore
from services.runtime import logs
from services.runtime.errors import Fatal
from tests.parts.identity import TENANT, access, batch, link, linked, opened, send

APPS = {"backup": backup.app, "restore": restore.app}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation with one linked access; ingest and statistics have their tables."""
    monkeypatch.setenv("VOILE_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logs, "configure_logs", lambda *_: None)  # it would keep the runner's stderr for good
    with opened(tmp_path / "data") as plane:
        send(plane, batch([access("ann", "/ann")]))
        link(plane)
    return tmp_path / "data"


def test_a_backup_says_what_is_in_it_and_a_restore_what_came_back(data: Path, tmp_path: Path) -> None:
    """By part, for people and for programs."""
    kept = json.loads(
        _run("backup", "kept", "--part", "identity", "--part", "person-keys", "--part", "log", "--json").stdout
    )
    assert [file["part"] for file in kept] == ["identity", "person-keys", "log"]
    assert kept[0]["rows"]["activity"] == kept[1]["rows"]["person_keys"] == 1
    for entry in data.iterdir():
        if entry.name != "keys":
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    restored = json.loads(_run("restore", "kept", "--json").stdout)
    assert [file["part"] for file in restored["files"]] == [file["part"] for file in kept]
    with opened(data) as plane:
        assert linked(plane, "ann") == ["/ann"]
        assert [tenant.tenant for tenant in plane.registry.all()] == [TENANT]
    assert "person-keys" in _run("backup", "again", "--part", "person-keys").stdout


@pytest.mark.usefixtures("data")
def test_records_without_tables_are_not_backed_up_as_empty_ones() -> None:
    """A wrong `data` folder would give a backup that holds nothing."""
    refused = _run("backup", "kept")
    assert isinstance(refused.exception, Fatal)
    assert "voile db upgrade" in str(refused.exception)
    assert isinstance(_run("restore", "kept").exception, Fatal)


def _run(command: str, *arguments: str) -> Result:
    return CliRunner().invoke(APPS[command], list(arguments))
