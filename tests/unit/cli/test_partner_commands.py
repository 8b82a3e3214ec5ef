"""voile partner, and release publish and withdraw, on a real data folder."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from services.cli import common, partner, release
from services.runtime import logs
from services.runtime.clock import FixedClock
from services.runtime.errors import Fatal, WrongUse
from services.runtime.settings import Settings
from services.stats.delivery.partners import Partners
from services.stats.releases.period import Period
from tests.unit.stats.releases.records import FIRST, closed_at, store_days, upgraded

APPS = {"partner": partner.app, "release": release.app}
WEEK = Period(FIRST, FIRST + timedelta(days=6))
ME = common.os_user()

Voile = Callable[..., Result]


@pytest.fixture
def voile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Voile:
    """Runs a command on records with a week that was drawn; an error is in the result's `exception`."""
    for name in [name for name in os.environ if name.startswith("VOILE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VOILE_DATA", str(tmp_path))
    monkeypatch.setattr(logs, "configure_logs", lambda *_: None)
    engine = upgraded(_records(tmp_path))
    store_days(engine, "harbour", WEEK.days)
    engine.dispose()
    return lambda first, *rest: CliRunner().invoke(APPS[first], list(rest))


def told(result: Result) -> Any:
    assert result.exception is None, result.exception
    return json.loads(result.stdout)


def test_from_a_built_release_to_a_partner_and_back(voile: Voile, tmp_path: Path) -> None:
    """Publish, terms, partner, key, download log, withdraw; each act is in the log with who did it."""
    built = told(voile("release", "build", "--tenant", "harbour", "--from", str(WEEK.first), "--to", str(WEEK.last), "--json"))  # fmt: skip
    name, version = built["name"], built["version"]
    published = told(voile("release", "publish", name, version, "--json"))
    assert told(voile("release", "publish", name, version, "--json")) == published
    (tmp_path / "terms.txt").write_text("Be kind.\n")
    assert told(voile("partner", "set-terms", "terms.txt", "--json"))["number"] == 1
    assert told(voile("partner", "add", "acme", "--company", "Acme", "--release", name, "--json"))["new"]
    key = told(voile("partner", "add-key", "acme", "--label", "load", "--days", "7", "--json"))["key"]
    engine = upgraded(_records(tmp_path))
    asker = Partners(engine, common.clock()).of_key(key)
    engine.dispose()
    assert asker is not None
    assert asker.releases == {name}
    assert voile("partner", "add-member", "acme", "paul").exception is None
    assert voile("partner", "accept-terms", "acme", "--number", "1", "--by", "A. Lawyer, on paper").exception is None
    (listed,) = told(voile("partner", "list", "--json"))
    assert (listed["members"], listed["keys"], listed["terms_accepted"]) == (["paul"], 1, 1)
    assert told(voile("partner", "terms", "--json"))["acceptances"][0]["who"] == f"A. Lawyer, on paper ({ME})"
    assert [(row["key"], row["releases"]) for row in told(voile("partner", "keys", "--json"))] == [(asker.key, ["all"])]
    assert told(voile("partner", "downloads", "--json")) == []
    assert (
        told(voile("release", "withdraw", name, version, "--reason", "Twice", "--json"))["withdrawn_reason"] == "Twice"
    )
    assert voile("partner", "revoke-key", asker.key).exception is None
    log = told(voile("partner", "log", "--json"))
    assert [row["act"] for row in log] == [
        *("key revoked", "withdraw", "terms accepted", "member added", "key made", "partner added", "terms set"),
        "publish",
    ]
    assert {row["who"] for row in log if row["act"] != "terms accepted"} == {ME}


def test_a_build_without_the_last_days_says_what_they_would_tell(voile: Voile, monkeypatch: pytest.MonkeyPatch) -> None:
    """On stderr, with the command to give first; a period that is whole says nothing."""
    monkeypatch.setattr(common, "clock", lambda: FixedClock(closed_at(FIRST + timedelta(days=30))))
    days = ("--from", str(WEEK.first), "--to")
    whole = voile("release", "build", "--tenant", "harbour", *days, str(WEEK.last), "--json")
    beyond = WEEK.last + timedelta(days=2)
    short = voile("release", "build", "--tenant", "harbour", *days, str(beyond), "--json")
    assert (told(whole)["days"], whole.stderr) == (told(short)["days"], "")
    assert f"voile stats close --through {beyond}" in short.stderr


def test_webhooks_by_command(voile: Voile) -> None:
    """The secret is printed once; the list has none; messages are listed."""
    told(voile("partner", "add", "acme", "--company", "Acme", "--release", "harbour-use", "--json"))
    made = told(voile("partner", "add-webhook", "acme", "https://hooks.example/voile", "--json"))
    assert made["secret"].startswith("whsec_")
    assert voile("partner", "test-webhook", made["webhook"]).exception is None
    listed = voile("partner", "webhooks", "--json")
    assert made["secret"] not in listed.stdout
    assert [(m["event"], m["outcome"]) for m in told(listed)["messages"]] == [("webhook.test", "waits")]
    assert voile("partner", "remove-webhook", made["webhook"]).exception is None
    assert told(voile("partner", "webhooks", "--json")) == {"webhooks": [], "messages": []}


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (("partner", "add", "Acme!", "--company", "Acme", "--release", "x-use"), "partner's id"),
        (("partner", "add", "acme", "--company", "Acme", "--release", "x"), "Say which releases"),
        (("partner", "add-key", "none", "--label", "x"), "There is no partner none"),
        (("partner", "add-member", "none", "paul"), "There is no partner none"),
        (("partner", "remove", "none"), "There is no partner none"),
        (("partner", "revoke-key", "0"), "There is no such key"),
        (("partner", "accept-terms", "none", "--number", "1", "--by", "x"), "not in force"),
        (("partner", "accept-terms", "none", "--number", "1", "--by", " "), "Say who accepted"),
        (("partner", "add-key", "none", "--label", " "), "what uses the key"),
        (("partner", "add-key", "none", "--label", "a\nb"), "what uses the key"),
        (("partner", "add-webhook", "none", "https://hooks.example/"), "There is no partner none"),
        (("partner", "set-terms", "nothing.txt"), "There is no file nothing.txt"),
        (("release", "publish", "harbour-use", "2026.11.1"), "build the release first"),
        (("release", "withdraw", "harbour-use", "2026.11.1", "--reason", "why"), "to withdraw"),
        (("release", "withdraw", "harbour-use", "2026.11.1", "--reason", " "), "Say why"),
    ],
)
def test_what_cannot_be_done_is_told(voile: Voile, command: tuple[str, ...], says: str) -> None:
    """In a sentence with the next step."""
    error = voile(*command).exception
    assert isinstance(error, WrongUse | Fatal)
    assert says in str(error)


def test_a_name_that_is_somebodys_is_no_new_member(voile: Voile) -> None:
    """Neither a colleague's nor another partner's: they would lose what they may do, or keep it."""
    for company in ("acme", "bolt"):
        told(voile("partner", "add", company, "--company", company, "--release", "platform", "--json"))
    assert voile("partner", "add-member", "acme", "paul").exception is None
    refused = voile("partner", "add-member", "bolt", "paul").exception
    assert isinstance(refused, WrongUse)
    assert "already" in str(refused)
    assert isinstance(voile("partner", "remove-member", "bolt", "paul").exception, WrongUse)
    assert voile("partner", "remove", "acme").exception is None
    assert voile("partner", "add-member", "bolt", "paul").exception is None


def _records(data: Path) -> str:
    return Settings(data=data).url(Settings().statistics.records)
