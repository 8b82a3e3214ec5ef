"""What a user agent says: families from closed lists, a device class, and whether it declares itself a bot.

Everything that leaves here is a value of `agents.toml` or of the crawler list's tags: a family that the
parser cuts out of the text could be anything a client cares to send, a name included.
"""

from __future__ import annotations

import tomllib
from functools import lru_cache
from importlib import resources
from importlib.metadata import version
from typing import NamedTuple

import polars as pl
import ua_parser_rs
from crawleruseragents import CRAWLER_USER_AGENTS_DATA
from ua_parser.loaders import load_builtins
from ua_parser.regex import Resolver

from services.stats.distinct import put_per_distinct

__all__ = ["NO_AGENT", "Agent", "Agents", "version_of_agents"]

AGENTS_KEPT_MAX = 50_000  # distinct texts remembered, about 20 MB; a busy site sees some thousand a day
OTHER = "Other"
NO_AGENT = "no user agent"


class Agent(NamedTuple):
    browser: str
    os: str
    device: str  # desktop | mobile | tablet | other
    bot_class: str  # human | declared | suspected
    bot_reason: str  # "" for humans


class Agents:
    """Classifies user agents; remembers the last `AGENTS_KEPT_MAX` distinct ones."""

    def __init__(self) -> None:
        lists = tomllib.loads(resources.files(__package__).joinpath("agents.toml").read_text("utf-8"))
        self._browsers: dict[str, str] = _by_alias(lists["browsers"])
        self._systems: dict[str, str] = _by_alias(lists["systems"])
        self._desktops = frozenset(lists["desktops"]["names"])
        parser = Resolver(load_builtins())
        self._browser_of, self._system_of = parser.ua.extract, parser.os.extract
        self._crawler_of = _crawlers().extract
        self.classify = lru_cache(maxsize=AGENTS_KEPT_MAX)(self._classify)

    def put_agent(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Adds `browser`, `os`, `device`, `bot_class` and `bot_reason` from `user_agent`."""
        return put_per_distinct(frame, ["user_agent"], self._put_classes)

    def _put_classes(self, distinct: pl.DataFrame) -> pl.DataFrame:
        agents = [self.classify(text) for text in distinct["user_agent"].fill_null("").to_list()]
        return distinct.hstack(pl.DataFrame(agents, schema=dict.fromkeys(Agent._fields, pl.String), orient="row"))

    def _classify(self, text: str) -> Agent:
        if not text or text == "-":
            return Agent(OTHER, OTHER, "other", "suspected", NO_AGENT)
        browser, system = self._browser_of(text), self._system_of(text)
        os = self._systems.get(system.family, OTHER) if system else OTHER
        return Agent(
            self._browsers.get(browser.family, OTHER) if browser else OTHER,
            os,
            self._device(text, os),
            *self._bot(text),
        )

    def _device(self, text: str, os: str) -> str:
        """By the tokens that browsers themselves send; Android without `Mobile` is a tablet by Google's convention."""
        if "iPad" in text or "Tablet" in text or ("Android" in text and "Mobile" not in text):
            return "tablet"
        if "Mobi" in text or "iPhone" in text:
            return "mobile"
        return "desktop" if os in self._desktops else "other"

    def _bot(self, text: str) -> tuple[str, str]:
        found = self._crawler_of(text)
        return ("declared", found.family) if found else ("human", "")


def version_of_agents() -> str:
    return f"{version('ua-parser-builtins')}/{version('crawler-user-agents')}"


def _crawlers() -> ua_parser_rs.UserAgentExtractor:
    """All crawler patterns as one prefiltered set (1.4 us a text; one by one they take 250 us).
    The set gives back a family for the pattern that hit: here that is the crawler's first tag."""
    return ua_parser_rs.UserAgentExtractor(
        (entry["pattern"], (entry.get("tags") or ["crawler"])[0], None, None, None, None)
        for entry in CRAWLER_USER_AGENTS_DATA
    )


def _by_alias(families: dict[str, list[str]]) -> dict[str, str]:
    return {alias: name for name, aliases in families.items() for alias in [name, *aliases]}
