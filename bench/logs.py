"""A week's access log in the combined format, from the demo's traffic model; made once and kept in `.cache/bench`."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random

from services.demo.log_lines import lines
from services.demo.people import population
from services.demo.site import site_of
from services.demo.tenants import CLUBS, Club
from services.demo.traffic import requests
from services.demo.visits import Scene

__all__ = ["DAYS", "access_log", "cache", "first_day"]

DAYS = 7  # a weekly rotation, the most common one
_LINES_A_VISIT = 12.0  # of the model, by which a wanted number of lines becomes a number of visits
_SLACK = 1.25  # a week of the model differs by some per cent; what is too much is cut


def first_day() -> date:
    """The log ends yesterday: its days are over and can be closed."""
    return datetime.now(UTC).date() - timedelta(days=DAYS)


def access_log(count: int) -> Path:
    """A file of exactly `count` lines that every side takes: without the model's lines that are no requests."""
    path = cache() / f"access-{first_day()}-{count}.log"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(f".{os.getpid()}")
        beside.write_text("".join(f"{line}\n" for line in _lines(count)), encoding="utf-8")
        beside.rename(path)
    return path


def _lines(count: int) -> list[str]:
    """Each day gives as much, so that a cut does not lose the last one."""
    club = _club_of(count)
    scene = Scene(club, site_of(club), population(club), set())
    found: list[str] = []
    for number in range(DAYS):
        day = first_day() + timedelta(days=number)
        of_day = lines(requests(scene, day, Random(f"bench/{number}")), club).to_list()
        missing = count * (number + 1) // DAYS - len(found)
        assert len(of_day) >= missing, f"the model gave {len(of_day)} lines for a day of {missing}; raise _SLACK"
        found += of_day[:missing]
    return found


def _club_of(count: int) -> Club:
    """The demo's largest association, grown: people, visits and robots by the same factor."""
    club = CLUBS[0]
    factor = count / DAYS * _SLACK / (club.visits_a_day * _LINES_A_VISIT + club.robots_a_day)
    return replace(
        club,
        people=round(club.people * factor) + 1,
        members=round(club.members * factor) + 1,
        visits_a_day=club.visits_a_day * factor,
        robots_a_day=round(club.robots_a_day * factor),
    )


def cache() -> Path:
    """Where benches keep what takes long to make."""
    return Path(os.environ.get("VOILE_CACHE", Path(__file__).parents[1] / ".cache")) / "bench"
