"""The three made-up associations of the demo. Their sizes differ, so that what the threshold does is seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["CLUBS", "Club"]


@dataclass(frozen=True)
class Club:
    """A tenant, its site, its web server's log format, and how busy it is."""

    tenant: str
    name: str
    host: str
    source: str
    log_format: str  # as `voile source add --format` names it
    people: int  # who ever comes
    members: int  # of them, those with an account
    visits_a_day: float  # on an average day
    robots_a_day: int  # requests of crawlers and programs
    countries: Mapping[str, int]  # weights


CLUBS = (
    Club(
        tenant="harbour",
        name="Harbour Sailing Federation",
        host="www.harbour-sailing.example",
        source="harbour-web",
        log_format="combined",
        people=9_000,
        members=600,
        visits_a_day=1_170,
        robots_a_day=1_900,
        countries={"FR": 70, "BE": 9, "CH": 6, "DE": 5, "GB": 4, "ES": 3, "IT": 2, "CA": 2, "NL": 1, "PT": 1, "US": 2},
    ),
    Club(
        tenant="orchard",
        name="Orchard Gardeners' Union",
        host="orchard-gardeners.example",
        source="orchard-web",
        log_format="nginx_json",
        people=3_500,
        members=220,
        visits_a_day=460,
        robots_a_day=700,
        countries={"BE": 55, "FR": 30, "NL": 6, "DE": 5, "LU": 3, "GB": 2},
    ),
    Club(
        tenant="lantern",
        name="Lantern Reading Circle",
        host="lantern-readers.example",
        source="lantern-web",
        log_format="vhost_combined",
        people=14,  # so few a day that no figure of a day can be shown
        members=8,
        visits_a_day=5,
        robots_a_day=40,
        countries={"FR": 10, "CH": 1},
    ),
)
