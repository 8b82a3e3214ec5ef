"""voile doctor, init and what a command says of a folder or store that it cannot use."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from services.cli import db, doctor, init, main, supervisor, tenant
from services.enricher.persons.directory import Profile
from services.ingest.records import MIGRATIONS
from services.runtime.alone import alone
from services.runtime.database import newest_revision
from services.runtime.errors import Fatal
from services.runtime.settings import load_settings
from tests.parts.identity import TENANT, apply_accounts, opened


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation as `voile init` and `voile db upgrade` leave it."""
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(init.app, []).exit_code == 0
    assert CliRunner().invoke(db.app, ["upgrade"]).exit_code == 0
    return tmp_path


def test_nobody_else_can_read_what_is_stored(folder: Path) -> None:
    """The data folder and each file in it are their owner's alone, whatever the umask was."""
    data = folder / "voile-data"
    files = [data, *(path for path in data.iterdir() if path.is_file())]
    assert len(files) > 3
    assert {path.name: stat.S_IMODE(path.stat().st_mode) & 0o077 for path in files} == dict.fromkeys(
        [path.name for path in files], 0
    )


def test_a_sound_installation_passes(folder: Path) -> None:
    """Every check is named, and holds."""
    checks = _examined(0)
    assert {"settings", "disk", "permissions", "event log", "ingest records", "analytics"} <= set(checks)
    assert checks["ingest records"]["detail"] == f"schema {newest_revision(MIGRATIONS)}"


def test_a_data_folder_may_have_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Characters with a meaning in URLs once put the keys into another folder."""
    data = tmp_path / "50%41 a#b?c=d"
    monkeypatch.setenv("VOILE_DATA", str(data))
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(db.app, ["upgrade"]).exit_code == 0
    assert CliRunner().invoke(tenant.app, ["add", "acme"]).exit_code == 0
    _examined(0)
    assert {path.name for path in tmp_path.iterdir()} == {data.name}
    assert {"ingest.db", "identity.db", "statistics.db", "events.db", "keys"} <= {p.name for p in data.iterdir()}


def test_an_open_data_folder_is_told(folder: Path) -> None:
    """With the command that mends it."""
    (folder / "voile-data").chmod(0o755)
    assert "run: chmod go-rwx" in _examined(1)["permissions"]["detail"]


def test_settings_that_others_can_read_are_told(folder: Path) -> None:
    """Passwords of databases stand in it."""
    (folder / "voile.toml").chmod(0o644)
    assert "voile.toml, where passwords may stand; run: chmod go-rwx" in _examined(1)["permissions"]["detail"]


def test_keys_that_are_not_there_any_more_are_told(folder: Path) -> None:
    """A key folder may be in order and be another one: the service would not start with it."""
    data = folder / "voile-data"
    with opened(data) as identity:
        identity.accounts.put(TENANT, Profile("42", "Anna"))
        apply_accounts(identity)
    _examined(0)
    (data / "keys" / "identity" / "kek%2F1.key").rename(folder / "elsewhere.key")
    checks = _examined(1)
    assert "The key 'kek/1' is missing" in checks["identity records"]["detail"]
    assert checks["identity keys"]["ok"]


def test_one_broken_store_does_not_hide_the_others(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A damaged file, a scheme that does not exist and a server that is away, each in its own line."""
    for file in (folder / "voile-data").glob("ingest.db*"):
        file.unlink()  # with its write-ahead log, which would mend it
    (folder / "voile-data" / "ingest.db").write_bytes(b"no database" * 1000)
    monkeypatch.setenv("VOILE_IDENTITY__RECORDS", "mysql://host/name")
    monkeypatch.setenv("VOILE_STATISTICS__ANALYTICS", "mysql://host/name")
    checks = _examined(1)
    assert "ingest.db is damaged" in checks["ingest records"]["detail"]
    assert "Records are a URL" in checks["identity records"]["detail"]
    assert "Analytics are a URL" in checks["analytics"]["detail"]
    assert checks["statistics records"]["ok"]


def test_a_server_that_is_away_is_named_without_its_password(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Host, port and database say which setting is meant."""
    monkeypatch.setenv("VOILE_INGEST__RECORDS", "postgresql://someone:hunter2@/name?host=/nowhere")
    told = _examined(1)["ingest records"]["detail"]
    assert "cannot be opened" in told
    assert "hunter2" not in told


def test_a_second_up_is_refused_before_it_starts_anything(folder: Path) -> None:
    """And the lock is free again when the first one ended."""
    settings = load_settings(env={})
    with alone(settings.data / "up.lock", ""), pytest.raises(Fatal, match="already runs"):
        supervisor.supervise(settings)
    with alone(settings.data / "up.lock", ""):
        pass


def test_a_folder_that_cannot_be_used_is_no_internal_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence with its name, and exit code 2."""
    (folder / "file").write_text("")
    monkeypatch.setenv("VOILE_DATA", str(folder / "file" / "data"))
    assert _exit_of(monkeypatch, "tenant", "list") == 2
    assert "Not a directory; check the path" in capsys.readouterr().err


def test_a_full_disk_is_no_internal_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Linux's own, and SQLite's at a limit: one sentence for whatever a command was writing."""

    def into_sqlite(_: object) -> None:
        with contextlib.closing(sqlite3.connect(":memory:")) as full:
            full.execute("PRAGMA max_page_count = 2")
            full.execute("CREATE TABLE filled AS SELECT zeroblob(100000)")

    for write in (lambda _: Path("/dev/full").write_bytes(b"x"), into_sqlite):
        monkeypatch.setattr(doctor, "examine", write)
        assert _exit_of(monkeypatch, "doctor") == 1
        assert "a disk is full; make room" in capsys.readouterr().err


def test_wrong_use_exits_with_2(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenant's name that cannot be is a mistake of who asks, as a missing option is."""
    assert _exit_of(monkeypatch, "tenant", "add", "Bad Name") == 2


def test_a_long_cell_is_wrapped_and_not_cut(folder: Path) -> None:
    """A path or a command that is cut cannot be used."""
    name = "an-uncommonly-long-name." * 4 + "example"
    runner = CliRunner(env={"COLUMNS": "60"})
    assert runner.invoke(tenant.app, ["add", "acme", "--host", name, "--host", "www.acme.example"]).exit_code == 0
    shown = runner.invoke(tenant.app, ["list"]).stdout
    assert "…" not in shown


def _examined(exit_code: int) -> dict[str, Any]:
    result = CliRunner().invoke(doctor.app, ["--json"])
    assert result.exit_code == exit_code, result.output
    return {row["check"]: row for row in json.loads(result.stdout)}


def _exit_of(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Any:
    monkeypatch.setattr(sys, "argv", ["voile", *arguments])
    with pytest.raises(SystemExit) as ended:
        main.main()
    return ended.value.code


def test_sqlite_agrees_that_the_stores_are_whole(folder: Path) -> None:
    """What was made private before SQLite opened it is a database all the same."""
    for file in (folder / "voile-data").glob("*.db"):
        assert sqlite3.connect(file).execute("PRAGMA integrity_check").fetchone() == ("ok",)
