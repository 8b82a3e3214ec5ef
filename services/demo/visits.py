"""People's visits of one day: when they come, from where, which pages they read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from random import Random
from typing import NamedTuple

from services.demo.people import Population
from services.demo.site import Site, private_target
from services.demo.tenants import Club

__all__ = ["DAY_MS", "Hit", "Scene", "visits"]

DAY_MS = 86_400_000
# Share of a day's visits by hour (UTC) and of a week's by day, Monday first: people have dinner, and clubs weekends.
_HOURS = (5, 3, 2, 1, 1, 3, 9, 22, 38, 46, 50, 48, 52, 44, 45, 47, 50, 58, 66, 78, 84, 70, 40, 16)
_WEEKDAYS = (1.02, 0.98, 1.0, 0.96, 0.88, 0.95, 1.21)
_SINGLE_PAGE = 0.42  # of visits end on the first page
_PAGES_MEAN, _PAGES_MAX = 4.2, 30
_DWELL_MEAN_MS = 41_000
_LOG_IN = 0.55  # of a member's visits
_PRIVATE = 0.006  # of visits send personal data in the address
_REFERRERS = (
    (38, ""),
    (30, "https://www.google.com/"),
    (6, "https://www.bing.com/"),
    (4, "https://duckduckgo.com/"),
    (9, "https://www.facebook.com/"),
    (3, "https://www.instagram.com/"),
    (5, "https://sport-calendar.example.org/clubs"),
    (3, "https://town-hall.example.net/associations"),
    (2, "https://webmail.example.com/read?from=jean.martin%40mail.example"),
)
_MISSING_PAGES = ("/agenda/old", "/news/2014/photos", "/index.php", "/apple-touch-icon.png", "/documents/form-z.pdf")
_OUTAGE_HOURS = range(14, 16)


class Hit(NamedTuple):
    """A page request. `first` marks a visit's first page, `returning` a person who was there before."""

    time_ms: int  # since midnight UTC
    person: int
    account: str
    request: str
    status: int
    size: int  # bytes
    latency_ms: int
    referrer: str
    first: bool
    returning: bool


@dataclass
class Scene:
    """What a tenant's visits are drawn from. `seen` remembers who came before, from day to day."""

    club: Club
    site: Site
    population: Population
    seen: set[int]


def visits(scene: Scene, day: date, random: Random, outage: bool = False) -> list[Hit]:
    """Every page request of the day, in no order. With `outage`, two hours of the afternoon fail often."""
    count = round(scene.club.visits_a_day * _WEEKDAYS[day.weekday()] * random.gauss(1, 0.05))
    people = random.choices(range(scene.club.people), cum_weights=scene.population.loyalty_sums, k=count)
    hours = random.choices(range(24), _HOURS, k=count)
    sources = random.choices([r for _, r in _REFERRERS], [w for w, _ in _REFERRERS], k=count)
    found: list[Hit] = []
    for person, hour, source in zip(people, hours, sources, strict=True):
        failing = 0.35 if outage and hour in _OUTAGE_HOURS else 0.002
        start = hour * 3_600_000 + random.randrange(3_600_000)
        found += _visit(scene, person, start=start, referrer=source, failing=failing, random=random)
        scene.seen.add(person)
    return found


def _visit(scene: Scene, person: int, *, start: int, referrer: str, failing: float, random: Random) -> Iterator[Hit]:
    returning = person in scene.seen
    time_ms, account, first = start, "", True
    for method, target, as_account in _path(scene, person, random):
        status = _status(method, target, failing, random)
        size = 0 if status in {302, 304} else 2_000 + int(random.expovariate(1 / 9_000))
        yield Hit(
            time_ms, person, as_account or account, f"{method} {target} HTTP/{'2.0' if first else '1.1'}", status, size,
            _latency(status, bool(as_account), random), referrer, first, returning,
        )  # fmt: skip
        account, first = as_account or account, False
        referrer = f"https://{scene.site.host}{target}"
        time_ms += 400 + int(random.expovariate(1 / _DWELL_MEAN_MS))
        if time_ms >= DAY_MS:
            return  # who reads past midnight is not followed


def _path(scene: Scene, person: int, random: Random) -> list[tuple[str, str, str]]:
    """(method, target, account) of each page of a visit, in order."""
    site, account = scene.site, scene.population.accounts[person]
    count = 1 if random.random() < _SINGLE_PAGE else min(_PAGES_MAX, 2 + int(random.expovariate(1 / (_PAGES_MEAN - 1))))
    public = [("GET", t, "") for t in random.choices(site.pages, cum_weights=site.popularity_sums, k=count)]
    if random.random() < _PRIVATE:
        public.insert(1, ("GET", private_target(f"jeanne.martin{person % 97}", random), ""))
    if random.random() < 0.01:
        public.append(("GET", random.choice(_MISSING_PAGES), ""))
    if account and random.random() < _LOG_IN:
        inside: Sequence[str] = random.choices(site.member_pages, k=1 + count)
        return [*public, ("GET", "/login", ""), ("POST", "/login", account), *(("GET", t, account) for t in inside)]
    return public


def _status(method: str, target: str, failing: float, random: Random) -> int:
    if random.random() < failing:
        return random.choice((500, 502, 503, 503, 504))
    if target in _MISSING_PAGES:
        return 404
    if method == "POST":
        return 302 if random.random() < 0.93 else 401
    return 200


def _latency(status: int, inside: bool, random: Random) -> int:
    """Milliseconds: log-normal; pages behind the log-in are slower, failures slowest."""
    if status >= 500:
        return int(random.lognormvariate(8.2, 0.8))
    return 3 + int(random.lognormvariate(5.1 if inside else 4.2, 0.6))
