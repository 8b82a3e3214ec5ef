"""The made-up traffic looks like real traffic where it matters, and is the same from the same seed."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import date
from random import Random

import iptocc
import polars as pl
import pytest

from services.demo.people import agents, members, population
from services.demo.places import RANGES, address
from services.demo.site import site_of
from services.demo.tenants import CLUBS, Club
from services.demo.traffic import log_days, requests
from services.demo.visits import Scene

FIRST = date(2026, 11, 2)  # a Monday
HARBOUR, ORCHARD, LANTERN = CLUBS
CLF = re.compile(
    r'(?P<address>\S+) - (?P<user>\S+) \[(?P<time>[^]]+)\] "(?P<request>(?:[^"\\]|\\.)*)" (?P<status>\d{3}) \d+ '
    r'"(?P<referrer>[^"]*)" "(?P<agent>[^"]*)"'
)


@pytest.fixture(scope="module")
def logs() -> dict[str, list[list[str]]]:
    return {club.tenant: list(log_days(club, FIRST, 14)) for club in CLUBS}


def of_one_day(club: Club, day: date = FIRST) -> pl.DataFrame:
    scene = Scene(club, site_of(club), population(club), set())
    return requests(scene, day, Random(1))


def test_about_300_000_lines(logs: dict[str, list[list[str]]]) -> None:
    """As the issue asks, with sizes far apart."""
    counts = {tenant: sum(map(len, days)) for tenant, days in logs.items()}
    assert 270_000 < sum(counts.values()) < 330_000
    assert counts["harbour"] > 2 * counts["orchard"] > 20 * counts["lantern"]


def test_the_same_seed_gives_the_same_lines(logs: dict[str, list[list[str]]]) -> None:
    """Else a second run would import another log; and another seed gives others."""
    assert list(log_days(LANTERN, FIRST, 14)) == logs["lantern"]
    assert list(log_days(LANTERN, FIRST, 14, seed=2)) != logs["lantern"]


def test_lines_are_in_the_order_of_their_times(logs: dict[str, list[list[str]]]) -> None:
    """Servers append; each day's lines are of that day."""
    times = [m["time"] for line in logs["harbour"][0] if (m := CLF.fullmatch(line))]
    assert times == sorted(times)
    assert {time[:11] for time in times} == {"02/Nov/2026"}


def test_almost_every_line_is_well_formed_and_some_are_not(logs: dict[str, list[list[str]]]) -> None:
    """Every format, with a few broken lines that must be counted and stop nothing."""
    text = [line for day in logs["harbour"] for line in day]
    broken = sum(CLF.fullmatch(line) is None for line in text)
    assert 0 < broken < len(text) / 1_000
    in_vhost = [line for day in logs["lantern"] for line in day]
    assert sum(CLF.fullmatch(line.removeprefix(f"{LANTERN.host}:443 ")) is None for line in in_vhost) <= 3
    as_json = [line for day in logs["orchard"] for line in day]
    assert 0 < sum(not readable(line) for line in as_json) < len(as_json) / 1_000


def readable(line: str) -> bool:
    try:
        return set(json.loads(line)) >= {"time_iso8601", "remote_addr", "request", "status", "request_time"}
    except ValueError:
        return False


def test_the_small_association_stays_under_the_threshold() -> None:
    """Fewer than ten people on any day: its figures cannot be shown, and the demo shows that."""
    for day in range(2, 16):
        frame = of_one_day(LANTERN, date(2026, 11, day)).filter(pl.col("agent").is_in(agents("person")[0]))
        assert frame.n_unique(["address", "agent"]) < 10


def test_days_have_a_rhythm() -> None:
    """Evenings are busier than nights, Sundays than Fridays."""
    hours = of_one_day(HARBOUR).group_by(pl.col("time").dt.hour().alias("hour")).len().sort("hour")["len"].to_list()
    assert sum(hours[18:22]) > 8 * sum(hours[1:5])
    friday, sunday = (of_one_day(HARBOUR, date(2026, 11, day)).height for day in (6, 8))
    assert sunday > 1.2 * friday


def test_popularity_and_loyalty_are_uneven() -> None:
    """The first page has a fifth of the views; some people come on most days, most people once."""
    scene = Scene(HARBOUR, site_of(HARBOUR), population(HARBOUR), set())
    days = [requests(scene, date(2026, 11, day), Random(day)) for day in range(2, 9)]
    pages = pl.concat(days).filter(pl.col("request").str.starts_with("GET /") & (pl.col("size") > 0))
    views = pages["request"].str.split(" ").list.get(1).value_counts(sort=True)
    assert dict(views.iter_rows())["/"] > 5 * dict(views.iter_rows())[site_of(HARBOUR).pages[30]]
    seen = Counter(pair for day in days for pair in set(day.select("address", "agent").rows()) if "Mozilla" in pair[1])
    assert max(seen.values()) >= 6
    assert sum(n == 1 for n in seen.values()) > len(seen) / 2


def test_members_log_in_and_have_an_account() -> None:
    """What the log calls them is in the accounts' list."""
    known = {member.account for member in members(HARBOUR)}
    named = set(of_one_day(HARBOUR)["account"]) - {""}
    assert len(known) == HARBOUR.members
    assert len(named) > 20
    assert named <= known


@pytest.mark.parametrize("country", RANGES)
def test_addresses_are_found_in_their_country(country: str) -> None:
    """The map of the dashboard has several countries."""
    random = Random(country)
    found = [iptocc.country_code(address(country, random)) for _ in range(60)]
    assert set(found) == {country}


@pytest.mark.parametrize(
    "trace", ["token=", "%40mail.example", "/newsletter/unsubscribe/jeanne", r"\x16\x03", "UNION%20ALL"]
)
def test_personal_data_and_attacks_are_there(logs: dict[str, list[list[str]]], trace: str) -> None:
    """They have to be in the logs for their absence later to mean something."""
    assert any(trace in line for day in logs["harbour"] for line in day)


def test_errors_and_an_outage_are_there(logs: dict[str, list[list[str]]]) -> None:
    """One afternoon fails at the largest association; other days hardly."""
    failed = [sum(m["status"][:2] == "50" for line in day if (m := CLF.fullmatch(line))) for day in logs["harbour"]]
    assert failed[9] > 5 * max(failed[:9])
    assert min(failed) > 0
