"""voile stats add-key, keys and revoke-key: how a program comes to the figures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from services.cli import stats
from services.enricher.tenants.registry import Tenant
from services.runtime import logs
from services.runtime.clock import SystemClock
from services.runtime.database import open_records
from services.runtime.errors import Fatal, VoileError
from services.runtime.settings import load_settings
from services.runtime.web.sessions import EVERY_TENANT
from services.stats.access.api_keys import ApiKeys
from tests.parts.identity import NOON, opened


@pytest.fixture(autouse=True)
def _installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the tenants acme and north."""
    monkeypatch.setenv("VOILE_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logs, "configure_logs", lambda *_: None)  # it would keep the runner's stderr for good
    with opened(tmp_path / "data") as plane:
        for name in ("acme", "north"):
            plane.registry.add(Tenant(name, name, NOON))


def test_a_key_is_good_for_its_tenants_until_it_is_revoked() -> None:
    """Its secret is in no list; a revoked key cannot be revoked again."""
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


def test_a_key_for_every_tenant_is_asked_for_by_that_name() -> None:
    """Leaving the tenants out is not enough, naming both is too much."""
    key = json.loads(_run("add-key", "--every-tenant", "--json").stdout)["key"]
    settings = load_settings()
    known = ApiKeys(open_records(settings.url(settings.statistics.records)), SystemClock()).check(key)
    assert known is not None
    assert known.tenants == {EVERY_TENANT}
    for arguments in ((), ("--every-tenant", "--tenant", "acme")):
        assert isinstance(_run("add-key", *arguments).exception, Fatal)


def test_a_tenant_that_is_not_registered_gets_no_key() -> None:
    """The name that may be meant is said; nothing was made."""
    refused = _run("add-key", "--tenant", "acme", "--tenant", "nort")
    assert isinstance(refused.exception, Fatal)
    assert "Did you mean north?" in str(refused.exception)
    assert json.loads(_run("keys", "--json").stdout) == []


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(stats.app, list(arguments))
