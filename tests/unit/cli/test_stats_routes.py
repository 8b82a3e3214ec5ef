"""voile stats routes: an administrator of the installation decides about proposed templates."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from services.cli import stats
from services.runtime import logs
from services.runtime.database import open_plane_records
from services.runtime.errors import VoileError
from services.runtime.settings import load_settings
from services.stats.closing.proposals import Proposals
from services.stats.figures.disclosure import PUBLISHED, PublishedCells
from services.stats.records import MIGRATIONS

TEMPLATE = "/blog/{name}"


@pytest.fixture(autouse=True)
def _proposed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One template for acme, one for north."""
    monkeypatch.setenv("VOILE_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logs, "configure_logs", lambda *_: None)  # it would keep the runner's stderr for good
    settings = load_settings()
    engine = open_plane_records(settings.url(settings.statistics.records), MIGRATIONS)
    rows = [(t, date(2026, 11, 2), "route", "/blog/{*}", "", "visitors", 20) for t in ("acme", "north")]
    Proposals(engine).propose(PublishedCells(pl.DataFrame(rows, schema=dict(PUBLISHED), orient="row")))
    engine.dispose()


def test_what_waits_is_listed_accepted_and_refused() -> None:
    """Of one tenant or of all; each answer says from which day on it holds."""
    assert {p["tenant"]: p["state"] for p in _told("list")} == {"acme": "proposed", "north": "proposed"}
    (accepted,) = _told("accept", "acme", TEMPLATE)
    assert accepted["state"] == "accepted"
    assert accepted["holds_from"] > date.today().isoformat()
    (refused,) = _told("refuse", "north", TEMPLATE)
    assert (refused["state"], refused["holds_from"]) == ("refused", "")
    assert [p["template"] for p in _told("list", "--tenant", "acme")] == [TEMPLATE]
    assert TEMPLATE in _run("list").stdout


def test_what_was_not_proposed_cannot_be_decided() -> None:
    """And the message says where to look."""
    error = _run("accept", "acme", "/members/nina").exception
    assert isinstance(error, VoileError)
    assert "voile stats routes list" in str(error)


def _told(*arguments: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(_run(*arguments, "--json").stdout)
    return found


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(stats.app, ["routes", *arguments])
