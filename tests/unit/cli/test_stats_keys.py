"""voile stats add-key, keys and revoke-key: how a program comes to the figures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from services.cli import stats
from services.runtime.clock import SystemClock
from services.runtime.database import open_records
from services.runtime.errors import VoileError
from services.runtime.settings import load_settings
from services.stats.api_keys import ApiKeys


def test_a_key_is_good_for_its_tenants_until_it_is_revoked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its secret is in no list; a revoked key cannot be revoked again."""
    monkeypatch.setenv("VOILE_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    key = json.loads(_run("add-key", "--tenant", "acme", "--tenant", "north", "--label", "report", "--json").stdout)[
        "key"
    ]
    settings = load_settings()
    service = ApiKeys(open_records(settings.url(settings.statistics.records)), SystemClock())
    known = service.check(key)
    assert known is not None
    assert known.tenants == {"acme", "north"}
    listed = _run("keys", "--json").stdout
    assert json.loads(listed)[0]["label"] == "report"
    assert key.split("_")[3] not in listed
    assert _run("revoke-key", known.id).exit_code == 0
    assert service.check(key) is None
    assert isinstance(_run("revoke-key", known.id).exception, VoileError)


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(stats.app, list(arguments))
