"""voile tenant, accounts, rights and enricher status: results on stdout, and what is wrong in one sentence."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from services.cli import accounts, enricher, keys, rights, tenant
from services.cli.access import operator
from services.enricher.access.grants import Refused
from services.enricher.rights.documents import Gone
from services.enricher.tenants import registry
from services.runtime import logs
from services.runtime.errors import Fatal, WrongUse
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
    with pytest.raises(registry.Refused, match="lower-case"):
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
    done = _json(rights.app, "open", "--kind", "erasure", *person, "--at-once")
    assert done["state"] == "executed"
    (deleted,) = [step["facts"] for step in done["evidence"] if step["step"] == "delete"]
    assert deleted["activity"] == 1
    assert _json(rights.app, "show", "DSR-1") == done
    assert "activity=1" in _run(rights.app, "show", "DSR-1").stdout
    with opened(data) as plane:
        assert linked(plane, "ann") == []


def test_keys_are_rotated_and_what_is_left_to_do_is_said(data: Path) -> None:
    """How many keys, whether older backups are closed, and that new ones are needed."""
    with opened(data) as plane:
        send(plane, batch([access("ann", "/ann"), access("bob", "/bob")]))
        link(plane)
        plane.rights.erase(TENANT, "bob", "C-1")
    before = _json(keys.app, "status")
    assert (before["current"], before["persons"], before["destroyed"]) == (1, {"kek/1": 1}, 1)
    assert "Erased since: 1" in _run(keys.app, "status").stdout
    kept = _json(keys.app, "rotate", "--keep-old")
    assert (kept["rewrapped"], kept["older"], kept["closed"]) == (1, ["kek/1"], False)
    assert "voile keys rotate" in _run(keys.app, "status").stdout
    done = _run(keys.app, "rotate")
    assert "0 keys wrapped anew" in done.stdout
    assert "voile backup" in done.stderr
    after = _json(keys.app, "status")
    assert (after["current"], after["closed"], after["destroyed"]) == (2, True, 0)
    with opened(data) as plane:
        assert linked(plane, "ann") == ["/ann"]


def test_an_objection_is_given_and_lifted(data: Path) -> None:
    """An erasure cannot be taken back."""
    person = ("--tenant", TENANT, "--account", "ann", "--at-once")
    _run(rights.app, "open", "--kind", "objection", *person, "--ticket", "DSR-1")
    with opened(data) as plane:
        assert [s.kind for s in plane.signals.in_force(TENANT, "ann")] == ["objection"]
    _run(rights.app, "open", "--kind", "objection", *person, "--case", "DSR-2", "--lift")
    with opened(data) as plane:
        assert plane.signals.in_force(TENANT, "ann") == []
    with pytest.raises(WrongUse, match="taken back"):
        _run(rights.app, "open", "--kind", "erasure", *person, "--case", "DSR-3", "--lift")


def test_a_case_goes_its_way_by_commands(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opened by one person of the machine, approved by another; its certificate is saved and verified."""
    with opened(data) as plane:
        send(plane, batch([access("ann", "/ann", at=plane.clock.now())]))
        link(plane)
    who = ("--kind", "erasure", "--tenant", TENANT, "--account", "ann", "--checked", "tenant")
    case = _json(rights.app, "open", *who)["case"]
    assert [(row["case"], row["state"]) for row in _json(rights.app, "list")] == [(case, "identified")]
    with pytest.raises(Refused, match="Somebody else"):
        _run(rights.app, "approve", case, "--reason", "it is in order")
    monkeypatch.setattr(rights, "_operator", lambda: replace(operator(), name="os:another"))
    assert _json(rights.app, "extend", case, "--reason", "many accounts to look at")["extended"]
    _run(rights.app, "approve", case, "--reason", "it is in order")
    assert _json(rights.app, "execute", case)["state"] == "executed"
    folder = data.parent / "certificates"
    _run(rights.app, "certificate", "save", case, "--out", str(folder))
    file = folder / f"certificate-{case}-issued.json"
    key = ("--public-key", str(folder / "voile-certificates.pub"))
    assert _json(rights.app, "certificate", "verify", str(file))["verified"]
    file.write_bytes(file.read_bytes().replace(b"erasure", b"nothing", 1))
    refused = CliRunner().invoke(rights.app, ["certificate", "verify", str(file), *key])
    assert (refused.exit_code, "Do not believe" in refused.stdout) == (1, True)


def test_a_package_is_taken_once_by_command(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Into a new file that nobody else reads."""
    case = _json(
        rights.app, "open", "--kind", "access", "--tenant", TENANT, "--account", "ann", "--checked", "document"
    )["case"]
    monkeypatch.setattr(rights, "_operator", lambda: replace(operator(), name="os:another"))
    _run(rights.app, "approve", case, "--reason", "it is in order")
    assert _json(rights.app, "execute", case)["state"] == "executed"
    with pytest.raises(Fatal, match="cannot be written"):  # the one time is not used up by it
        _run(rights.app, "package", case, "--out", str(data.parent / "nowhere" / "answer.zip"))
    out = data.parent / "answer.zip"
    _run(rights.app, "package", case, "--out", str(out))
    assert zipfile.is_zipfile(out)
    assert out.stat().st_mode & 0o077 == 0
    assert _json(rights.app, "show", case)["state"] == "completed"
    with pytest.raises(Fatal, match="there already"):
        _run(rights.app, "package", case, "--out", str(out))
    with pytest.raises(Gone):
        _run(rights.app, "package", case, "--out", str(data.parent / "again.zip"))
    assert not (data.parent / "again.zip").exists()


def test_a_case_is_refused_or_taken_back_by_command(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a ground, or by the person; both leave the list and stand among the closed ones."""
    who = ("--kind", "access", "--tenant", TENANT, "--account", "ann")
    cases = [_json(rights.app, "open", *who)["case"] for _ in range(2)]
    _run(rights.app, "check", cases[0], "--how", "known-contact")
    _run(rights.app, "cancel", cases[1], "--reason", "took it back")
    monkeypatch.setattr(rights, "_operator", lambda: replace(operator(), name="os:another"))
    _run(rights.app, "refuse", cases[0], "--why", "excessive", "--reason", "the fourth this week")
    assert _json(rights.app, "list") == []
    assert {row["state"] for row in _json(rights.app, "list", "--closed")} == {"refused", "cancelled"}


def _run(app: typer.Typer, *arguments: str) -> Result:
    wide = {"COLUMNS": "200", "LINES": "50"}  # whatever terminal the tests run in
    return CliRunner(env=wide).invoke(app, list(arguments), catch_exceptions=False)


def _json(app: typer.Typer, *arguments: str) -> Any:
    return json.loads(_run(app, *arguments, "--json").stdout)
