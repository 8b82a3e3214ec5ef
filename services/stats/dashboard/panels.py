"""What the dashboard shows: cards and tables, as a table of contents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from services.runtime.web.languages import N_, Language
from services.stats.dashboard.figures import Kind
from services.stats.figures.cubes import OTHER
from services.stats.queries.metrics import METRICS

__all__ = [
    "METRIC_NAMES",
    "OVERVIEW",
    "QUALITY",
    "SHEETS",
    "Card",
    "Group",
    "Panel",
    "Sheet",
    "labelled",
    "panel_of",
]


@dataclass(frozen=True, slots=True)
class Card:
    """One figure at the top. `better` says which direction is good news. Texts here are keys of the catalogue."""

    metric: str
    text: str
    kind: Kind
    better: Literal["more", "less", "neither"]
    explained: str


CARDS = (
    Card("visitors", N_("Visitors"), "count", "more",
         N_("People who opened a page, told apart for one day only.")),
    Card("pageviews", N_("Page views"), "count", "more",
         N_("Pages that people opened, without images, scripts and the like.")),
    Card("views_per_visit", N_("Views / visit"), "ratio", "neither",
         N_("A visit ends after 30 minutes without a request.")),
    Card("bounce_rate", N_("Bounce rate"), "percent", "less",
         N_("Visits of a single page.")),
    Card("visit_duration", N_("Visit time"), "seconds", "more",
         N_("The middle one of all visits, first to last request.")),
    Card("error_rate", N_("Errors (5xx)"), "percent", "less",
         N_("Requests of people that the server failed to answer.")),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Panel:
    """One table: the values of `dimension`, by `metric`."""

    dimension: str
    text: str
    column: str
    metric: str = "visitors"
    optional: bool = False  # offered where there is something in it: not every tenant has it


@dataclass(frozen=True, slots=True)
class Group:
    """Panels that share a place on the page; the first is shown unless the address names another."""

    key: str
    panels: tuple[Panel, ...]


GROUPS = (
    Group("pages", (
        Panel("event:page", N_("Pages"), N_("Page")),
        Panel("visit:entry_page", N_("Entry"), N_("First page of a visit")),
        Panel("visit:exit_page", N_("Exit"), N_("Last page of a visit")),
    )),
    Group("sources", (
        Panel("visit:source", N_("Sources"), N_("Domain that led here")),
        Panel("visit:channel", N_("Channels"), N_("Kind of source")),
        Panel("visit:utm_campaign", N_("Campaigns"), N_("Campaign"), optional=True),
        Panel("visit:utm_source", N_("utm_source"), N_("Campaign source"), optional=True),
        Panel("visit:utm_medium", N_("utm_medium"), N_("Campaign medium"), optional=True),
    )),
    Group("places", (Panel("visit:country", N_("Countries"), N_("Country")),)),
    Group("technology", (
        Panel("visit:device", N_("Devices"), N_("Device")),
        Panel("visit:browser", N_("Browsers"), N_("Browser")),
        Panel("visit:os", N_("Systems"), N_("Operating system")),
    )),
    Group("events", (Panel("event:name", N_("Events"), N_("Event")),)),
    Group("robots", (
        Panel("event:bot_class", N_("People and bots"), N_("Who asked"), "requests"),
        Panel("event:bot_reason", N_("Why"), N_("Sign of a bot"), "requests"),
    )),
)  # fmt: skip
QUALITY_CARDS = (
    Card("requests", N_("Requests"), "count", "more",
         N_("Everything that people's browsers asked for, images and scripts, too.")),
    Card("client_error_rate", N_("Refused (4xx)"), "percent", "less",
         N_("Requests of people for what is not there or not theirs.")),
    Card("error_rate", N_("Errors (5xx)"), "percent", "less",
         N_("Requests of people that the server failed to answer.")),
    Card("latency_p50", N_("Time, middle"), "milliseconds", "less",
         N_("Half of the requests were answered within this time.")),
    Card("latency_p95", N_("Time, p95"), "milliseconds", "less",
         N_("95 of 100 requests were answered within this time.")),
    Card("latency_p99", N_("Time, p99"), "milliseconds", "less",
         N_("99 of 100 requests were answered within this time.")),
)  # fmt: skip
QUALITY_GROUPS = (
    Group("answers", (Panel("event:status_class", N_("Statuses"), N_("Kind of answer"), "requests"),)),
    Group("methods", (Panel("event:method", N_("Methods"), N_("Method"), "requests"),)),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sheet:
    """One page of figures. The first card is what its chart shows unless the address names another. `tables`:
    dimensions of its wide tables, which a filter may name besides those of the panels."""

    key: str
    path: str
    cards: tuple[Card, ...]
    groups: tuple[Group, ...]
    tables: tuple[str, ...] = ()

    @property
    def dimensions(self) -> list[str]:
        return [*(panel.dimension for group in self.groups for panel in group.panels), *self.tables]


EVENT_CARDS = (
    Card("active_accounts", N_("Active accounts"), "count", "more",
         N_("Accounts that were signed in and asked for anything.")),
    Card("visitors", N_("Visitors"), "count", "more",
         N_("People who opened a page, told apart for one day only.")),
)  # fmt: skip


OVERVIEW = Sheet("overview", "/", CARDS, GROUPS)
QUALITY = Sheet("quality", "/quality", QUALITY_CARDS, QUALITY_GROUPS, ("event:page",))
EVENTS = Sheet("events", "/events", tuple(card for card in EVENT_CARDS if card.metric in METRICS), ())
SHEETS = (OVERVIEW, QUALITY, EVENTS)
METRIC_NAMES = {"visitors": N_("Visitors"), "requests": N_("Requests"), "pageviews": N_("Page views")}
_LABELS = {
    "visit:country": {"ZZ": N_("Not known")},
    "visit:channel": {
        "direct": N_("Direct, or not told"),
        "internal": N_("Own pages"),
        "search": N_("Search engines"),
        "social": N_("Social networks"),
        "assistant": N_("AI assistants"),
        "other": N_("Other sites"),
    },
    "event:bot_class": {
        "human": N_("People"),
        "declared": N_("Bots by their own word"),
        "suspected": N_("Bots, suspected"),
    },
    "visit:device": {
        "desktop": N_("Desktop"),
        "mobile": N_("Mobile"),
        "tablet": N_("Tablet"),
        "other": N_("Other devices"),
    },
    "event:status_class": {
        "1xx": N_("1xx informed"),
        "2xx": N_("2xx answered"),
        "3xx": N_("3xx elsewhere or unchanged"),
        "4xx": N_("4xx refused or not found"),
        "5xx": N_("5xx failed"),
    },
}


_NAMED = {
    OTHER: N_("(other)"),
    "(direct)": N_("(direct)"),
    "(internal)": N_("(internal)"),
    "(undeclared)": N_("(undeclared)"),
    "Other": N_("Other"),
}


def panel_of(dimension: str) -> Panel:
    groups = (group for sheet in SHEETS for group in sheet.groups)
    return next(panel for group in groups for panel in group.panels if panel.dimension == dimension)


def labelled(dimension: str, value: str, language: Language) -> str:
    """A value as people call it; unknown ones as they are."""
    known = _LABELS.get(dimension, {}).get(value) or _NAMED.get(value)
    if known:
        return language.say(known)
    return language.country(value) if dimension == "visit:country" else value
