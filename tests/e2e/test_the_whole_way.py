"""A log line goes in; a support answer, a dashboard figure and a partner file come out. By the command line alone."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from tests.e2e.installation import Installation

LOG = Path(__file__).parents[1] / "fixtures" / "nginx-combined-1000.log"
DAY = "2026-11-02"
ACCOUNT = "m-1100"
TICKET = ("--purpose", "support", "--ticket", "SUP-7", "--reason", "The member cannot open a page")


def _lines() -> list[dict[str, str]]:
    """The log, read row by row by the simplest means, independently of Voile."""
    pattern = re.compile(
        r'(?P<address>\S+) - (?P<user>\S+) \[(?P<time>[^]]+)\] "(?P<method>\S+) (?P<path>\S+) [^"]*" (?P<status>\d+) \d+ "(?P<ref>[^"]*)" "(?P<agent>[^"]*)"'
    )
    return [m.groupdict() for m in map(pattern.match, LOG.read_text().splitlines()) if m]


@pytest.fixture
def voile(tmp_path: Path, profile: dict[str, str]) -> Iterator[Installation]:
    """A tenant with a source and accounts, its services running."""
    made = Installation(tmp_path, profile)
    made.voile("db", "upgrade")
    host = ("--host", "www.riverside.example")
    made.voile("tenant", "add", "riverside", "--name", "Riverside Sailing Club", *host, "--releases")
    made.voile("source", "add", "web", "--tenant", "riverside", "--format", "combined", "--authenticated")
    accounts = tmp_path / "accounts.csv"
    accounts.write_text(
        "account,name,email,postal_address,phone\n"
        f'{ACCOUNT},Ada Example,ada@example.org,"1 Quay Street, Exampleton",+33199000000\n'
    )
    with made.running():
        made.voile("accounts", "import", str(accounts), "--tenant", "riverside")
        yield made


@pytest.mark.timeout(400)
def test_the_whole_way(voile: Installation, tmp_path: Path) -> None:
    """Every plane does its part, and the figures agree with the log read by other means; a refused look is recorded
    and shows nothing; a second start changes nothing. One installation for all: making one takes longest."""
    _a_refused_look_is_recorded_and_shows_nothing(voile)
    _lines_become_answers_figures_and_files(voile, tmp_path)
    _a_second_start_on_the_same_folder_changes_nothing(voile)


def _lines_become_answers_figures_and_files(voile: Installation, tmp_path: Path) -> None:
    lines = _lines()
    assert len(lines) == 1000

    summary = voile.json("import", str(LOG), "--source", "web")
    assert summary == {"lines": 1000, "accepted": 1000, "duplicates": 0, "rejected": {}}
    again = voile.json("import", str(LOG), "--source", "web")
    assert again == {"lines": 1000, "accepted": 0, "duplicates": 1000, "rejected": {}}
    voile.catch_up()

    shown = voile.json("activity", "show", "--tenant", "riverside", "--account", ACCOUNT, "--days", "90", *TICKET)
    own = sorted(line["time"] for line in lines if line["user"] == ACCOUNT)
    assert len(own) > 5
    assert len(shown["events"]) == len(own)
    assert shown["profile"]["name"] is None  # masked until asked for
    asked = (
        "activity",
        "show",
        "--tenant",
        "riverside",
        "--account",
        "ada@example.org",
        "--by",
        "email",
        "--reveal",
        "name",
    )
    assert voile.json(*asked, *TICKET)["profile"]["name"] == "Ada Example"

    voile.voile("stats", "close", "--through", DAY)
    answer = voile.json("stats", "query", _query(["visitors", "pageviews"]))
    visitors, page_views = answer["results"][0]["metrics"]
    people = [line for line in lines if "bot" not in line["agent"]]
    expected = len({(line["address"], line["agent"]) for line in people})
    assert abs(visitors - expected) <= 5  # rounded to 5 with a keyed offset
    views = [x for x in people if x["status"] == "200" and not x["path"].endswith(".png")]
    assert abs(page_views - len(views)) <= 5

    by_page = voile.json("stats", "query", _query(["visitors"], "event:page"))
    pages = {row["dimensions"][0]: row["metrics"][0] for row in by_page["results"]}
    home = len({(x["address"], x["agent"]) for x in people if x["path"] == "/"})
    assert abs(pages["/"] - home) <= 5
    assert not any("1001" in page for page in pages)

    release = voile.json(
        "release", "build", "--tenant", "riverside", "--from", DAY, "--to", DAY, "--out", str(tmp_path)
    )
    voile.voile("release", "verify", release["release"])
    text = Path(release["release"], "totals.csv").read_text("utf-8")
    noisy = {row["measure"]: row for row in csv.DictReader(text.splitlines())}["visitors"]
    half_width = int(noisy["value_hi"]) - int(noisy["value"])  # of the 95 % interval: 1.96 sigma
    assert 0 < half_width < 100
    assert abs(int(noisy["value"]) - expected) < 3.1 * half_width  # six sigma: one run in five hundred million
    voile.voile("audit", "verify")
    entries = voile.json("audit", "list")
    assert {e["outcome"] for e in entries if e["ticket"] == "SUP-7"} == {"granted"}
    assert [e["outcome"] for e in entries].count("refused") == 1, "the look before"


def _a_refused_look_is_recorded_and_shows_nothing(voile: Installation) -> None:
    """No ticket of the right shape, no look; the attempt itself stays on record."""
    bad = ("--purpose", "support", "--ticket", "none", "--reason", "curious about this one")
    out = voile.voile("activity", "show", "--tenant", "riverside", "--account", ACCOUNT, *bad, expect=1)
    assert out == ""
    entries = voile.json("audit", "list")
    assert [e["outcome"] for e in entries].count("refused") == 1
    assert not any(e["ticket"] for e in entries), "no look was granted"
    voile.voile("audit", "verify")


def _a_second_start_on_the_same_folder_changes_nothing(voile: Installation) -> None:
    """Stop, start, import again: the same figures."""
    before = voile.json("stats", "query", _query(["visitors", "pageviews"]))["results"]
    voile.stop()
    voile.start()
    assert voile.json("import", str(LOG), "--source", "web")["accepted"] == 0
    voile.catch_up()
    voile.voile("stats", "close", "--through", DAY)
    assert voile.json("stats", "query", _query(["visitors", "pageviews"]))["results"] == before


def _query(metrics: list[str], *dimensions: str) -> str:
    import json

    assert datetime.fromisoformat(DAY)
    return json.dumps(
        {"site_id": "riverside", "metrics": metrics, "date_range": [DAY, DAY], "dimensions": list(dimensions)}
    )
