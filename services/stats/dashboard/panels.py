"""What the dashboard shows: cards and tables, as a table of contents."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

from services.stats.dashboard.figures import Kind

__all__ = ["CARDS", "GROUPS", "Card", "Group", "Panel", "labelled", "panel_of"]


@dataclass(frozen=True, slots=True)
class Card:
    """One figure at the top. `better` says which direction is good news."""

    metric: str
    text: str
    kind: Kind
    better: Literal["more", "less", "neither"]
    explained: str


CARDS = (
    Card("visitors", "Visitors", "count", "more", "People who opened a page, told apart for one day only."),
    Card("pageviews", "Page views", "count", "more", "Pages that people opened, without images, scripts and the like."),
    Card("views_per_visit", "Views / visit", "ratio", "neither", "A visit ends after 30 minutes without a request."),
    Card("bounce_rate", "Bounce rate", "percent", "less", "Visits of a single page."),
    Card("visit_duration", "Visit time", "seconds", "more", "The middle one of all visits, first to last request."),
    Card("error_rate", "Errors (5xx)", "percent", "less", "Requests of people that the server failed to answer."),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Panel:
    """One table: the values of `dimension`, by `metric`."""

    dimension: str
    text: str
    column: str
    metric: str = "visitors"


@dataclass(frozen=True, slots=True)
class Group:
    """Panels that share a place on the page; the first is shown unless the address names another."""

    key: str
    panels: tuple[Panel, ...]


GROUPS = (
    Group("pages", (
        Panel("event:page", "Pages", "Page"),
        Panel("visit:entry_page", "Entry", "First page of a visit"),
        Panel("visit:exit_page", "Exit", "Last page of a visit"),
    )),
    Group("sources", (
        Panel("visit:source", "Sources", "Domain that led here"),
        Panel("visit:channel", "Channels", "Kind of source"),
    )),
    Group("places", (Panel("visit:country", "Countries", "Country"),)),
    Group("technology", (
        Panel("visit:device", "Devices", "Device"),
        Panel("visit:browser", "Browsers", "Browser"),
        Panel("visit:os", "Systems", "Operating system"),
    )),
    Group("answers", (
        Panel("event:status_class", "Statuses", "Kind of answer", "requests"),
        Panel("event:method", "Methods", "Method", "requests"),
    )),
    Group("robots", (
        Panel("event:bot_class", "People and bots", "Who asked", "requests"),
        Panel("event:bot_reason", "Why", "Sign of a bot", "requests"),
    )),
)  # fmt: skip

_LABELS = {
    "visit:channel": {
        "direct": "Direct, or not told",
        "internal": "Own pages",
        "search": "Search engines",
        "social": "Social networks",
        "other": "Other sites",
    },
    "event:bot_class": {"human": "People", "declared": "Bots by their own word", "suspected": "Bots, suspected"},
    "visit:device": {"desktop": "Desktop", "mobile": "Mobile", "tablet": "Tablet", "other": "Other devices"},
    "event:status_class": {
        "1xx": "1xx informed",
        "2xx": "2xx answered",
        "3xx": "3xx elsewhere or unchanged",
        "4xx": "4xx refused or not found",
        "5xx": "5xx failed",
    },
}


def panel_of(dimension: str) -> Panel:
    return next(panel for group in GROUPS for panel in group.panels if panel.dimension == dimension)


def labelled(dimension: str, value: str) -> str:
    """A value as people call it; unknown ones as they are."""
    if dimension == "visit:country":
        return _countries().get(value, value)
    return _LABELS.get(dimension, {}).get(value, value)


@cache
def _countries() -> dict[str, str]:
    text = resources.files("services.stats.dashboard").joinpath("countries.tsv").read_text("utf-8")
    rows = [line.split("\t") for line in text.splitlines() if not line.startswith("#")]
    return dict(rows) | {"ZZ": "Not known"}
