"""voile tenant, accounts, rights and enricher status: results on stdout, and what is wrong in one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from services.cli import accounts, enricher, rights, tenant
from services.enricher.registry import Refused
from services.runtime import logs
from services.runtime.errors import Fatal
from tests.parts.identity import TENANT, access, apply_accounts, batch, link, linked, opened, send


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder that the commands find, with one tenant."""
    monkeypatch.setenv("VOILE_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    # Logs would go to the runner's stderr, which is closed when the loops of these tests log.
    monkeypatch.setattr(logs, "configure_logs", lambda *_: None)
    with opened(tmp_path / "data"):
        return tmp_path / "data"


def test_a_tenant_is_added_listed_and_shown(data: Path) -> None:
    """What was given comes back."""
    given = ("--name", "Rowing Club", "--host", "rowing.example", "--route", "/members/{id}", "--releases")
    _run(tenant.app, "add", "rowing", *given, "--size-class", "large", "--linked-days", "30")
    assert [row["tenant"] for row in _json(tenant.app, "list")] == [TENANT, "rowing"]
    shown = _json(tenant.app, "show", "rowing")
    assert (shown["name"], shown["hosts"], shown["releases"]) == ("Rowing Club", ["rowing.example"], True)
    assert (shown["routes"], shown["size_class"], shown["retention"]) == (["/members/{id}"], "large", {"linked": 30})
    assert "Rowing Club" in _run(tenant.app, "list").stdout


def test_a_wrong_tenant_is_refused(data: Path) -> None:
    """By the sentence that says what an id is."""
    with pytest.raises(Refused, match="lower-case"):
        _run(tenant.app, "add", "Rowing Club")
    with pytest.raises(Fatal, match="tenant list"):
        _run(tenant.app, "show", "nobody")


def test_accounts_are_imported_and_wrong_rows_listed(data: Path) -> None:
    """Exit 1 when a row was not taken; the others are."""
    file = data.parent / "members.csv"
    file.write_text("account,email\nann,ann@example.org\nbob,nonsense\n")
    outcome = CliRunner().invoke(accounts.app, ["import", str(file), "--tenant", TENANT, "--json"])
    assert outcome.exit_code == 1
    result = json.loads(outcome.stdout)
    assert (result["lines"], result["accepted"], result["errors"]) == (2, 1, [[3, "invalid_email"]])
    assert "nonsense" not in outcome.output
    with opened(data) as plane:
        apply_accounts(plane)
        assert plane.directory.find(TENANT, "email", "ann@example.org")


@pytest.mark.parametrize("arguments", [("gone.csv", "--tenant", TENANT), ("members.csv", "--tenant", "nobody")])
def test_an_import_that_cannot_be_says_why(data: Path, arguments: tuple[str, ...]) -> None:
    """No such file, no such tenant."""
    (data.parent / "members.csv").write_text("account\nann\n")
    with pytest.raises(Fatal, match=r"There is no (file|tenant)"):
        _run(accounts.app, "import", *arguments)


def test_a_person_is_erased(data: Path) -> None:
    """The command says how much of what; the case can be looked up later."""
    with opened(data) as plane:
        send(plane, batch([access("ann", "/ann", at=plane.clock.now())]))
        link(plane)
    assert _json(enricher.app, "status") == {"lag": 0, "events_linked": 1}
    person = ("--tenant", TENANT, "--account", "ann", "--case", "DSR-1")
    done = _json(rights.app, "open", "--kind", "erasure", *person)
    assert (done["state"], done["counts"]["activity"]) == ("done", 1)
    assert _json(rights.app, "show", "DSR-1") == done
    assert "activity" in _run(rights.app, "show", "DSR-1").stdout
    with opened(data) as plane:
        assert linked(plane, "ann") == []


def test_an_objection_is_given_and_lifted(data: Path) -> None:
    """An erasure cannot be taken back."""
    person = ("--tenant", TENANT, "--account", "ann")
    _run(rights.app, "open", "--kind", "objection", *person, "--ticket", "DSR-1")
    with opened(data) as plane:
        assert [s.kind for s in plane.signals.in_force(TENANT, "ann")] == ["objection"]
    _run(rights.app, "open", "--kind", "objection", *person, "--case", "DSR-2", "--lift")
    with opened(data) as plane:
        assert plane.signals.in_force(TENANT, "ann") == []
    with pytest.raises(Fatal, match="taken back"):
        _run(rights.app, "open", "--kind", "erasure", *person, "--case", "DSR-3", "--lift")


def _run(app: typer.Typer, *arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), catch_exceptions=False)


def _json(app: typer.Typer, *arguments: str) -> Any:
    return json.loads(_run(app, *arguments, "--json").stdout)
