"""voile doctor ip, and where a source takes the client's address from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from services.cli import db, doctor, imports, source, tenant
from tests.parts.edge import combined, text_of

WEB = ("--source", "web")


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An nginx log behind a proxy, and the source `web` for it, which reads the header."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VOILE_INGEST__TRUSTED_PROXIES", "[10.0.0.0/8]")
    monkeypatch.setenv("VOILE_DATA", str(tmp_path / "voile-data"))
    _run(db.app, "upgrade")
    _run(tenant.app, "add", "acme")
    _run(source.app, "add", "web", "--tenant", "acme", "--format", "nginx_json")
    _run(source.app, "set-client-address", "web", "x_forwarded_for")
    row = {
        "time_iso8601": "2026-11-22T08:00:00Z",
        "request": "GET / HTTP/1.1",
        "status": 200,
        "remote_addr": "10.0.0.9",
    }
    lines = [json.dumps(row | {"http_x_forwarded_for": hops}) for hops in ("203.0.113.5, 198.51.100.9", "-", "unknown")]
    path = tmp_path / "access.json"
    path.write_bytes(text_of([*lines, lines[0], "rubbish"]))
    return path


def _run(app: Any, *arguments: str, expect: int = 0) -> str:
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == expect, done.output
    return done.output


def _explained(*arguments: str) -> list[tuple[int, str | None]]:
    answer = json.loads(_run(doctor.app, "ip", *WEB, *arguments, "--json"))
    return [(request["lines"], request["client"]) for request in answer["requests"]]


def test_a_log_is_explained_by_its_lists_of_hops(log: Path) -> None:
    """The most frequent first, with how many lines have it; nothing is imported."""
    assert _explained("--file", str(log)) == [(2, "198.51.100.9"), (1, "10.0.0.9"), (1, "10.0.0.9")]
    said = " ".join(_run(doctor.app, "ip", *WEB, "--file", str(log)).split())
    for hop, why in (("203.0.113.5", "made it up"), ("198.51.100.9", "right-most"), ("10.0.0.9", "trusted proxy")):
        assert hop in said
        assert why in said
    assert json.loads(_run(imports.app, str(log), *WEB, "--json"))["accepted"] == 4


def test_a_header_is_explained_as_it_would_be_read(log: Path) -> None:
    """By the source's own setting and the trusted proxies."""
    hops = ("--hops", "203.0.113.5, 198.51.100.9")
    assert _explained(*hops, "--connection", "10.0.0.9") == [(1, "198.51.100.9")]
    assert _explained(*hops, "--connection", "192.0.2.1") == [(1, "192.0.2.1")]
    assert _explained("--hops", "nonsense", "--connection", "10.0.0.9") == [(1, None)]
    _run(source.app, "set-client-address", "web", "connection")
    assert _explained(*hops, "--connection", "10.0.0.9") == [(1, "10.0.0.9")]
    assert "set-client-address" in _run(doctor.app, "ip", *WEB, *hops, "--connection", "10.0.0.9")


def test_what_is_explained_is_what_an_import_takes(log: Path) -> None:
    """The same function decides; here they are compared by what comes out."""
    from services.cli import edge
    from tests.parts.edge import published

    _run(imports.app, str(log), *WEB)
    with edge.opened() as ingest:
        taken = published(ingest.log)["client_address"].to_list()
    explained = [client for lines, client in _explained("--file", str(log)) for _ in range(lines)]
    assert sorted(taken) == sorted(str(client) for client in explained)


def test_without_trusted_proxies_no_header_is_read(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said when the source is set and when it is explained."""
    monkeypatch.delenv("VOILE_INGEST__TRUSTED_PROXIES")
    assert "trusted_proxies" in _run(source.app, "set-client-address", "web", "forwarded")
    assert "trusted_proxies" in _run(doctor.app, "ip", *WEB, "--hops", "for=192.0.2.1", "--connection", "10.0.0.9")
    assert _explained("--hops", "for=192.0.2.1", "--connection", "10.0.0.9") == [(1, "10.0.0.9")]


def test_wrong_use_says_what_to_do(log: Path) -> None:
    """One way or the other; a place that is none; a source that is none."""
    log.with_name("plain.log").write_bytes(text_of([combined(1)]))
    for wrong in (("ip", *WEB), ("ip", *WEB, "--file", str(log), "--hops", "a"), ("ip", *WEB, "--file", "none")):
        assert CliRunner().invoke(doctor.app, list(wrong)).exit_code != 0
    result = CliRunner().invoke(source.app, ["set-client-address", "web", "x_client"])
    assert "x_forwarded_for" in str(result.exception)
    assert "voile source add" in str(
        CliRunner().invoke(source.app, ["set-client-address", "no", "connection"]).exception
    )
