"""voile activity, audit and user, on a real data folder."""

from __future__ import annotations

import json
import os
import pwd
import re
from collections.abc import Callable
from pathlib import Path

import pyotp
import pytest
from typer.testing import CliRunner, Result

from services.cli import activity, audit, common, rights, user
from services.enricher.access.decisions import Actor
from services.enricher.access.grants import Nobody, Refused
from services.enricher.access.service import open_access
from services.enricher.audit.log import AuditLog
from services.enricher.persons.directory import Profile
from services.runtime import logs
from services.runtime.clock import FixedClock
from services.runtime.errors import Fatal, Transient, VoileError
from services.runtime.web.credentials import Credentials
from services.runtime.web.passwords import Passwords
from services.runtime.web.sessions import Sessions
from services.runtime.web.totp import new_secret
from tests.parts.identity import NOON, TENANT, access, apply_accounts, batch, link, opened, send
from tests.parts.web import FAST

WHY = ("--purpose", "support", "--ticket", "SUP-1", "--reason", "cannot open the invoice")
WHO = ("--tenant", TENANT, "--account", "42")
APPS = {"activity": activity.app, "audit": audit.app, "rights": rights.app, "user": user.app}

Voile = Callable[..., Result]


@pytest.fixture
def voile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Voile:
    """Runs a command; an error is in the result's `exception`, as `main` gets it."""
    with opened(tmp_path) as identity:
        identity.accounts.put(TENANT, Profile("42", "Anna Mueller", "anna@example.org"))
        apply_accounts(identity)
        send(
            identity, batch([access("42", "/login"), access("42", "/invoices", status=500, referrer="https://x.org/")])
        )
        link(identity)
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("VOILE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("VOILE_DATA", str(tmp_path))
    monkeypatch.setattr(common, "clock", lambda: FixedClock(NOON))
    monkeypatch.setattr(logs, "configure_logs", lambda *_: None)  # it would keep the runner's stderr for good

    def run(group: str, *arguments: str) -> Result:
        return CliRunner().invoke(APPS[group], list(arguments))

    return run


def test_activity_is_printed_masked(voile: Voile) -> None:
    """A table for people, one object for programs; nothing identifying in either."""
    table = voile("activity", "show", *WHO, *WHY)
    told = json.loads(voile("activity", "show", *WHO, *WHY, "--json").stdout)
    assert "GET /invoices" in table.stdout
    assert "<- error" in table.stdout
    assert [event["path"] for event in told["events"]] == ["/login", "/invoices"]
    assert told["profile"] == {"hint": "A. M*****", "name": None, "email": None, "postal_address": None, "phone": None}
    assert told["masked"] == ["client_address", "email", "name", "referrer", "user_agent"]
    for text in (table.stdout, json.dumps(told)):
        assert not [value for value in ("203.0.113.7", "Mueller", "anna@", "x.org", "Mozilla") if value in text]


def test_named_fields_are_revealed(voile: Voile) -> None:
    shown = voile("activity", "show", *WHO, *WHY, "--reveal", "client_address", "--reveal", "name", "--json")
    told = json.loads(shown.stdout)
    assert told["profile"]["name"] == "Anna Mueller"
    assert {event["client_address"] for event in told["events"]} == {"203.0.113.7"}
    assert "203.0.113.7" in voile("activity", "show", *WHO, *WHY, "--reveal", "client_address").stdout
    assert told["masked"] == ["email", "referrer", "user_agent"]


def test_refusals_print_nothing_and_are_on_record(voile: Voile) -> None:
    """The actor is this machine's user, whatever the environment says."""
    refused = voile(
        "activity", "show", *WHO, "--purpose", "support", "--ticket", "none", "--reason", "curious about it"
    )
    nobody = voile("activity", "show", "--tenant", TENANT, "--account", "none", *WHY)
    assert isinstance(refused.exception, Refused)
    assert isinstance(nobody.exception, Nobody)
    assert refused.stdout == nobody.stdout == ""
    entries = json.loads(voile("audit", "list", "--json").stdout)
    assert [entry["outcome"] for entry in entries] == ["granted", "refused"]
    assert {entry["actor"] for entry in entries} == {f"os:{pwd.getpwuid(os.getuid()).pw_name}"}
    assert "curious about it" in {entry["reason"] for entry in entries}
    assert len(json.loads(voile("audit", "list", "--outcome", "refused", "--json").stdout)) == 1


def test_an_unknown_field_names_the_known_ones(voile: Voile) -> None:
    wrong = voile("activity", "show", *WHO, *WHY, "--reveal", "shoe_size")
    assert isinstance(wrong.exception, VoileError)
    assert "client_address" in str(wrong.exception)


def test_verify_tells_whole_from_changed(voile: Voile, tmp_path: Path) -> None:
    voile("activity", "show", *WHO, *WHY)
    whole = voile("audit", "verify", "--json")
    assert (whole.exit_code, json.loads(whole.stdout)["entries"]) == (0, 2)
    kept = tmp_path / "kept"
    kept.write_bytes((tmp_path / "audit-checkpoint").read_bytes())
    with opened(tmp_path) as identity, identity.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM audit_leaves WHERE position = 0")
    changed = voile("audit", "verify", "--checkpoint", str(kept))
    assert changed.exit_code == 1
    assert "NOT whole. Entry 0 is missing." in changed.stdout
    assert isinstance(voile("audit", "verify", "--checkpoint", str(tmp_path / "none")).exception, Fatal)


def test_an_erasure_passes_the_gate(voile: Voile, tmp_path: Path) -> None:
    """A case that is no number is refused, and nobody is erased; with one it is decided, recorded and done."""
    order = ("open", "--kind", "erasure", *WHO, "--at-once")
    assert isinstance(voile("rights", *order, "--case", "as asked").exception, VoileError)
    with opened(tmp_path) as identity:
        assert identity.directory.find(TENANT, "account", "42")
    done = voile("rights", *order, "--case", "DSR-7")
    assert done.exit_code == 0, done.exception
    with opened(tmp_path) as identity:
        assert not identity.directory.find(TENANT, "account", "42")
    told = json.loads(voile("audit", "list", "--json").stdout)
    assert {(entry["action"], entry["outcome"]) for entry in told} >= {("erase", "granted")}


def test_a_user_gets_a_link_to_the_identity_pages(voile: Voile) -> None:
    added = voile("user", "add", "ada", "--service", "identity", "--role", "support", "--tenant", TENANT)
    assert added.exit_code == 0, added.exception
    link = json.loads(voile("user", "login-link", "ada", "--service", "identity", "--json").stdout)["link"]
    assert link.startswith("http://127.0.0.1:8082/login/")
    assert voile("user", "remove", "ada", "--service", "identity").exit_code == 0
    assert isinstance(voile("user", "login-link", "ada", "--service", "identity").exception, VoileError)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("ada", "--role", "boss", "--every-tenant"), "knows the roles"),
        (("ada", "--role", "support"), "Say what they see"),
        (("ada", "--role", "support", "--every-tenant", "--tenant", TENANT), "Say what they see"),
        (("os:root", "--role", "support", "--every-tenant"), "names of the system's own"),
        (("ada", "--role", "support", "--tenant", "chess-clob"), "Did you mean chess-club?"),
    ],
)
def test_wrong_users_are_refused(voile: Voile, arguments: tuple[str, ...], says: str) -> None:
    wrong = voile("user", "add", *arguments, "--service", "identity")
    assert isinstance(wrong.exception, Fatal)
    assert says in str(wrong.exception)


def test_api_keys_are_listed_without_their_secret_and_revoked(voile: Voile) -> None:
    key = json.loads(voile("user", "api-key", "--tenant", TENANT, "--label", "members", "--json").stdout)["key"]
    listed = voile("user", "api-keys", "--json").stdout
    assert json.loads(listed)[0]["label"] == "members"
    assert key.split("_")[3] not in listed
    key_id = key.split("_")[2]
    assert voile("user", "revoke-api-key", key_id).exit_code == 0
    assert isinstance(voile("user", "revoke-api-key", key_id).exception, VoileError)
    assert isinstance(voile("user", "api-key", "--tenant", "nowhere").exception, Fatal)


def test_people_are_listed_with_what_they_sign_in_with(voile: Voile, tmp_path: Path) -> None:
    """Roles, tenants, whether there is a password and a factor, and how many sessions are open; nothing secret."""
    voile("user", "add", "ada", "--service", "statistics", "--role", "admin", "--tenant", TENANT)
    voile("user", "add", "ben", "--service", "statistics", "--role", "viewer", "--every-tenant")
    secret, codes = _set_up("ada", "seven green lamps")
    listed = voile("user", "list", "--service", "statistics", "--json").stdout
    assert json.loads(listed) == [
        {
            "name": "ada", "roles": ["admin"], "tenants": [TENANT], "from": "here",
            "password": True, "factor": True, "recovery_codes": 10, "sessions": 1,
        },
        {
            "name": "ben", "roles": ["viewer"], "tenants": ["*"], "from": "here",
            "password": False, "factor": False, "recovery_codes": 0, "sessions": 0,
        },
    ]  # fmt: skip
    for word in ("seven", secret, *codes):
        assert word not in listed
    assert "ada" in voile("user", "list", "--service", "statistics").stdout
    assert json.loads(voile("user", "list", "--service", "identity", "--json").stdout) == []


def test_who_lost_the_phone_is_reset_and_invited_again(voile: Voile) -> None:
    """Password, factor, codes and sessions are gone; the invitation's link leads to where one chooses new ones."""
    voile("user", "add", "ada", "--service", "statistics", "--role", "viewer", "--every-tenant")
    _set_up("ada", "seven green lamps")
    done = voile("user", "reset", "ada", "--service", "statistics")
    assert done.exit_code == 0
    assert "voile user invite ada --service statistics" in done.stderr
    row = json.loads(voile("user", "list", "--service", "statistics", "--json").stdout)[0]
    assert (row["password"], row["factor"], row["recovery_codes"], row["sessions"]) == (False, False, 0, 0)
    assert isinstance(voile("user", "reset", "ada", "--service", "statistics").exception, VoileError)
    told = json.loads(voile("user", "invite", "ada", "--service", "statistics", "--json").stdout)
    assert re.fullmatch(r"http://localhost:8081/login/[\w-]{43}\?to=account/set-up", told["link"])
    assert told["hours"] == 24
    assert isinstance(voile("user", "invite", "eve", "--service", "statistics").exception, VoileError)
    assert voile("user", "invite", "ada", "--service", "statistics", "--hours", "1000").exit_code == 2


def _set_up(name: str, password: str) -> tuple[str, list[str]]:
    """As the page does, on the same records, with an open session."""
    engine, tables = user._records(user.Service.STATISTICS)
    clock, secret = common.clock(), new_secret()
    credentials = Credentials(engine, tables, clock, Passwords(FAST))
    codes = credentials.set_up(name, password, secret, pyotp.TOTP(secret).at(clock.now()))
    Sessions(engine, tables, clock).begin(name, "password")
    assert codes
    return secret, list(codes)


def test_what_needs_an_approval_is_opened_once_it_has_one(voile: Voile, tmp_path: Path) -> None:
    """The command says how to go on; another's approval is needed, and it can be opened once."""
    legal = ("--purpose", "legal", "--ticket", "LAW-1", "--reason", "the court asks for it")
    asked = voile("activity", "show", *WHO, *legal)
    assert asked.exit_code == 1
    request = asked.stderr.split()[-1]
    assert isinstance(voile("activity", "open", request).exception, Nobody)
    with opened(tmp_path) as identity:
        dora = Actor("dora", frozenset({"dpo"}), frozenset({"*"}))
        open_access(identity).approvals.answer(dora, request, True, "the letter is in the file")
    assert "GET /invoices" in voile("activity", "open", request).stdout
    assert isinstance(voile("activity", "open", request).exception, Nobody)


def test_what_waits_for_an_approval_is_taken_back(voile: Voile) -> None:
    """By its number, once, and on record."""
    asked = voile("activity", "show", *WHO, "--purpose", "legal", "--ticket", "LAW-1", "--reason", "the court asks")
    request = asked.stderr.split()[-1]
    assert voile("activity", "withdraw", request).stdout == "Withdrawn.\n"
    assert isinstance(voile("activity", "withdraw", request).exception, Nobody)
    assert isinstance(voile("activity", "open", request).exception, Nobody)
    assert [entry["outcome"] for entry in json.loads(voile("audit", "list", "--json").stdout)].count("withdrawn") == 1


def test_broken_glass_waits_for_nobody(voile: Voile) -> None:
    """Without an approval; the log says that the glass was broken."""
    urgent = ("--purpose", "security", "--ticket", "", "--reason", "somebody is in their account right now")
    assert "GET /invoices" in voile("activity", "show", *WHO, *urgent, "--break-glass").stdout
    told = json.loads(voile("audit", "list", "--json").stdout)
    assert "breakGlass" in {entry["action"] for entry in told}


def test_the_log_is_exported_to_a_new_file(voile: Voile, tmp_path: Path) -> None:
    """NDJSON with the reasons, for its owner alone; the export itself is recorded and not in it."""
    voile("activity", "show", *WHO, *WHY)
    assert voile("audit", "export", "--output", "log.ndjson").exit_code == 0
    entries = [json.loads(line) for line in (tmp_path / "log.ndjson").read_text("utf-8").splitlines()]
    assert [(e["position"], e["action"]) for e in entries] == [(0, "askAccess"), (1, "viewActivity")]
    assert entries[0]["reason"] == "cannot open the invoice"
    assert (tmp_path / "log.ndjson").stat().st_mode & 0o077 == 0
    assert "is there already" in str(voile("audit", "export", "--output", "log.ndjson").exception)
    assert json.loads(voile("audit", "list", "--json").stdout)[0]["action"] == "exportAudit"


def test_an_export_that_fails_leaves_no_file(voile: Voile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of it would pass for all; and the same command can be given again."""

    def away(*_: object) -> int:
        raise Transient("The records database does not answer.")

    voile("activity", "show", *WHO, *WHY)
    with monkeypatch.context() as broken:
        broken.setattr(AuditLog, "append", away)
        assert isinstance(voile("audit", "export", "--output", "log.ndjson").exception, Transient)
    assert not (tmp_path / "log.ndjson").exists()
    assert voile("audit", "export", "--output", "log.ndjson").exit_code == 0


def test_an_export_of_some_days(voile: Voile, tmp_path: Path) -> None:
    voile("activity", "show", *WHO, *WHY)
    day = f"{NOON:%Y-%m-%d}"
    for name, options, count in (
        ("a", ("--until", day), 2),
        ("b", ("--since", day), 3),
        ("c", ("--until", "2026-01-01"), 0),
    ):
        voile("audit", "export", "--output", f"{name}.csv", "--format", "csv", *options)
        assert len((tmp_path / f"{name}.csv").read_text("utf-8").splitlines()) == count + 1


def test_a_person_learns_who_looked(voile: Voile) -> None:
    """By role; by name only when asked for."""
    voile("activity", "show", *WHO, *WHY)
    told = json.loads(voile("audit", "report", *WHO, "--json").stdout)
    assert [(look["action"], look["role"], look["actor"]) for look in told] == [
        ("askAccess", "operator", ""), ("viewActivity", "operator", ""),
    ]  # fmt: skip
    name = pwd.getpwuid(os.getuid()).pw_name
    assert f"os:{name}" in voile("audit", "report", *WHO, "--names").stdout
    assert f"os:{name}" not in voile("audit", "report", *WHO).stdout
