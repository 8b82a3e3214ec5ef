"""voile kafka setup, without a broker: what it would do, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.cli import kafka
from services.runtime import logs
from services.runtime.errors import Fatal
from services.runtime.log.kafka_access import load_grantees, rights_of


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOILE_DATA", str(tmp_path))
    monkeypatch.setattr(logs, "configure_logs", lambda *_: None)  # it would keep the runner's stderr for good


def test_a_dry_run_prints_each_right_and_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines for kafka-acls.sh, with the brokers of the settings."""
    monkeypatch.setenv("VOILE_EVENTS", "kafka://broker-1:9092,broker-2:9092")
    done = CliRunner().invoke(kafka.app, ["setup", "--dry-run", "--json"], catch_exceptions=False)
    lines = json.loads(done.stdout)
    assert len(lines) == sum(len(rights_of(grantee)) for grantee in load_grantees())
    assert all("--bootstrap-server broker-1:9092,broker-2:9092 " in line for line in lines)


def test_an_embedded_log_has_no_users() -> None:
    with pytest.raises(Fatal, match="which has no users"):
        CliRunner().invoke(kafka.app, ["setup"], catch_exceptions=False)
