"""voile db: what an upgrade would do, does, and has done."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner, Result

from services.cli import db
from services.cli.stores import migrations_of, plane_store
from services.runtime import logs
from services.runtime.database import known_revisions, upgrade
from services.runtime.errors import Fatal
from services.runtime.settings import load_settings


@pytest.fixture(autouse=True)
def _data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOILE_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logs, "configure_logs", lambda *_: None)  # it would keep the runner's stderr for good


def test_a_dry_run_names_each_step_and_does_none() -> None:
    """In the order they would be applied, with what each does."""
    told = json.loads(_run("upgrade", "--dry-run", "--plane", "statistics", "--json").stdout)
    assert [step["revision"] for step in told] == known_revisions(migrations_of("statistics"))
    assert all(step["title"] for step in told)
    assert [plane["revision"] for plane in _status()] == [None, None, None]


def test_an_upgrade_applies_what_is_missing() -> None:
    """And the next one nothing."""
    store = plane_store(load_settings(), "statistics")
    upgrade(store.engine, store.migrations, "0003")
    assert {p["plane"]: p["pending"] for p in _status()}["statistics"] == len(known_revisions(store.migrations)) - 3
    applied = json.loads(_run("upgrade", "--json").stdout)
    assert next(step["revision"] for step in applied if step["plane"] == "statistics") == "0004"
    assert all(plane["revision"] == plane["newest"] and plane["pending"] == 0 for plane in _status())
    assert _run("upgrade").stdout == "Every plane is up to date.\n"


def test_a_store_of_a_newer_version_is_not_touched() -> None:
    """It says which version is needed."""
    _run("upgrade")
    store = plane_store(load_settings(), "ingest")
    with store.engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    refused = _run("upgrade", "--plane", "ingest")
    assert isinstance(refused.exception, Fatal)
    assert "newer version (9999)" in str(refused.exception)


def _status() -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(_run("status", "--json").stdout)
    return found


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(db.app, list(arguments))
