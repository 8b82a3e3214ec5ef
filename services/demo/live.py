"""Gentle live traffic: today's made-up requests, a few a second, sent to ingest as a log shipper would."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from random import Random

import polars as pl

from services.demo.log_lines import lines
from services.demo.people import population
from services.demo.site import site_of
from services.demo.tenants import CLUBS, Club
from services.demo.traffic import requests
from services.demo.visits import Scene
from services.runtime.clock import Clock
from services.runtime.stop import Stop

__all__ = ["LINES_A_SECOND", "live_batches", "send_until"]

LINES_A_SECOND = 6  # of all tenants together: enough to see pages move, nothing to a laptop
TICK_S = 2.0
ANSWER_S_MAX = 10.0


def send_until(stop: Stop, ingest: str, keys: Mapping[str, str], clock: Clock) -> None:
    """Sends until `stop`; an answer that does not come is tried again at the next tick with new lines."""
    streams = {club.source: live_batches(club, clock) for club in CLUBS}
    while not stop.wait(TICK_S):
        for source, stream in streams.items():
            _post(f"{ingest}/api/v1/ingest/{source}", keys[source], next(stream))


def live_batches(club: Club, clock: Clock) -> Iterator[str]:
    """For ever: the text of one tick's lines, stamped with the time they are asked for."""
    scene = Scene(club, site_of(club), population(club), set())
    share = club.visits_a_day / sum(c.visits_a_day for c in CLUBS)
    rows = max(1, round(LINES_A_SECOND * TICK_S * share))
    while True:
        yield from _of_one_day(scene, clock, rows)


def _of_one_day(scene: Scene, clock: Clock, rows: int) -> Iterator[str]:
    today: date = clock.now().date()
    frame = requests(scene, today, Random(f"live/{scene.club.tenant}/{clock.now()}"))
    start = frame.height // 2  # the afternoon: people, not the night's robots
    for at in range(start, frame.height - rows, rows):
        now: datetime = clock.now().replace(tzinfo=None)
        stamped = frame[at : at + rows].with_columns(pl.lit(now).alias("time"))
        yield "\n".join(lines(stamped, scene.club)) + "\n"


def _post(url: str, key: str, text: str) -> None:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "text/plain"}
    request = urllib.request.Request(url, data=text.encode(), headers=headers)  # noqa: S310  # our own address
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_S_MAX):  # noqa: S310  # as above
            return
    except OSError:
        return  # ingest is restarting, or stopping with us
