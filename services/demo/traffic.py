"""The traffic model: the log lines of a made-up association, day by day, from a seed and a date alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from random import Random

import polars as pl

from services.demo.log_lines import lines
from services.demo.people import population
from services.demo.site import ASSETS, site_of
from services.demo.strangers import BROKEN, attacks, broken_line, robots
from services.demo.tenants import Club
from services.demo.visits import DAY_MS, Hit, Scene, visits

__all__ = ["OUTAGE_DAY", "day_lines", "log_days", "requests"]

OUTAGE_DAY = 9  # of the period, at the largest association: something to find on the page
_ASSET_DELAY_MS = 90  # between the files a page brings along
_HIT_TYPES = {
    "time_ms": pl.Int64, "person": pl.Int64, "account": pl.String, "request": pl.String, "status": pl.Int64,
    "size": pl.Int64, "latency_ms": pl.Int64, "referrer": pl.String, "first": pl.Boolean, "returning": pl.Boolean,
}  # fmt: skip
_COLUMNS = ("time_ms", "address", "account", "request", "status", "size", "latency_ms", "referrer", "agent")


def log_days(club: Club, first: date, days: int, seed: int = 1) -> Iterator[list[str]]:
    """The lines of each day, in the order a server writes them. The same arguments give the same lines."""
    scene = Scene(club, site_of(club), population(club), set())
    for number in range(days):
        day = first + timedelta(days=number)
        random = Random(f"{seed}/{club.tenant}/{day}")
        yield day_lines(requests(scene, day, random, outage=number == OUTAGE_DAY), club, random)


def day_lines(day_requests: pl.DataFrame, club: Club, random: Random) -> list[str]:
    found = lines(day_requests, club).to_list()
    for place in random.sample(range(len(found)), k=round(len(found) * BROKEN)):
        found[place] = broken_line(found[place], random)
    return found


def requests(scene: Scene, day: date, random: Random, outage: bool = False) -> pl.DataFrame:
    """Everything that was asked of the site that day, by time: people, the files pages bring along, strangers."""
    club = scene.club
    pages = _with_people(visits(scene, day, random, outage=outage and club.tenant == "harbour"), scene)
    strangers = [*robots(club, scene.site, random), *attacks(club, random)]
    columns = pl.DataFrame(strangers, schema={name: _HIT_TYPES.get(name, pl.String) for name in _COLUMNS}, orient="row")
    everything = pl.concat([pages.select(_COLUMNS), _assets(pages, club.host), columns])
    midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001  # naive UTC, as everywhere in frames
    return (
        everything.filter(pl.col("time_ms") < DAY_MS)
        .with_columns((pl.lit(midnight) + pl.duration(milliseconds="time_ms")).alias("time"))
        .sort("time", maintain_order=True)
    )


def _with_people(hits: list[Hit], scene: Scene) -> pl.DataFrame:
    frame = pl.DataFrame(dict(zip(_HIT_TYPES, zip(*hits, strict=True), strict=True)), schema=_HIT_TYPES)
    return frame.with_columns(
        pl.Series("address", scene.population.addresses).gather(frame["person"]),
        pl.Series("agent", scene.population.agents).gather(frame["person"]),
    )


def _assets(pages: pl.DataFrame, host: str) -> pl.DataFrame:
    """A visit's first page brings every file along (304 for who has them already), each later one an image at times."""
    files = pl.DataFrame(
        {
            "file": [path for path, _ in ASSETS],
            "bytes": [size for _, size in ASSETS],
            "delay": [_ASSET_DELAY_MS * (n + 1) for n in range(len(ASSETS))],
        }
    )
    shown = pages.with_row_index("n").filter(pl.col("status") == 200)
    first = shown.filter("first").join(files, how="cross")
    later = shown.filter(~pl.col("first") & (pl.col("n") % 2 == 0)).join(files[5:6], how="cross")
    known = pl.col("returning") & pl.col("first")
    return pl.concat([first, later]).select(
        pl.col("time_ms") + pl.col("delay"),
        "address",
        "account",
        pl.format("GET {} HTTP/2.0", "file").alias("request"),
        pl.when(known).then(304).otherwise(200).cast(pl.Int64).alias("status"),
        pl.when(known).then(0).otherwise("bytes").cast(pl.Int64).alias("size"),
        (pl.lit(2) + pl.col("n").cast(pl.Int64) % 9).alias("latency_ms"),
        pl.format("https://{}{}", pl.lit(host), pl.col("request").str.split(" ").list.get(1)).alias("referrer"),
        "agent",
    )
