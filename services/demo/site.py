"""The pages of a made-up site, how popular they are, and what a page brings along."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random

from services.demo.tenants import Club

__all__ = ["ASSETS", "Site", "private_target", "site_of"]

POPULARITY_EXPONENT = 1.1  # page popularity is a power law of the rank
# What a first page brings along: path, bytes. A returning visitor's browser asks again and gets 304.
ASSETS = (
    ("/assets/site.css", 18_240),
    ("/assets/app.js", 91_377),
    ("/assets/logo.svg", 3_120),
    ("/assets/fonts/body.woff2", 44_016),
    ("/images/banner.webp", 120_480),
    ("/images/news-1.webp", 38_114),
    ("/favicon.ico", 4_286),
)
_SECTIONS = (
    "/agenda",
    "/news",
    "/join",
    "/club",
    "/contact",
    "/results",
    "/training",
    "/documents",
    "/gallery",
    "/search",
)
_NEWS = [
    "spring-open-day",
    "autumn-cup",
    "new-board",
    "volunteers-wanted",
    "winter-programme",
    "youth-week",
    "annual-meeting",
    "harvest-fair",
]
_MEMBER_PAGES = ("/account", "/account/invoices", "/account/bookings", "/directory")


@dataclass(frozen=True)
class Site:
    """Public pages with running sums of their popularity, and the pages behind the log-in."""

    host: str
    pages: Sequence[str]
    popularity_sums: Sequence[float]
    member_pages: Sequence[str]


def site_of(club: Club) -> Site:
    random = Random(f"{club.tenant}/site")
    news = [f"/news/{slug}" for slug in _NEWS]
    dates = [f"/agenda/{4_000 + number}" for number in range(60)]
    results = [f"/results/{year}" for year in range(2019, 2027)]
    files = [f"/documents/{name}.pdf" for name in ("statutes", "rules-2026", "calendar", "form-a", "form-b")]
    rest = [*_SECTIONS, *news, *dates, *results, *files]
    random.shuffle(rest)
    pages = ["/", *rest]
    return Site(
        host=club.host,
        pages=pages,
        popularity_sums=list(accumulate((rank + 1) ** -POPULARITY_EXPONENT for rank in range(len(pages)))),
        member_pages=[*_MEMBER_PAGES, *(f"/account/invoices/{70_000 + n}" for n in range(40))],
    )


def private_target(name: str, random: Random) -> str:
    """A request target with personal data in it, as careless applications make them. None of it may be stored."""
    token = f"{random.getrandbits(128):032x}"
    email = f"{name}@mail.example"
    return random.choice(
        (
            f"/reset-password?token={token}&email={email.replace('@', '%40')}",
            f"/newsletter/unsubscribe/{email}",
            f"/members/{name.replace('.', '-')}/photo",
            f"/confirm/{token}",
            f"/search?q={name.replace('.', '+')}+phone+number",
        )
    )
