"""User agents: closed lists, device classes, declared bots."""

from __future__ import annotations

import tomllib
from importlib import resources

import polars as pl
import pytest
from crawleruseragents import CRAWLER_USER_AGENTS_DATA, is_crawler
from hypothesis import given
from hypothesis import strategies as st

from services.stats.counting.agents import OTHER, Agent, Agents

CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
)
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/17.5 Mobile/15E148 Safari/604.1"
)
TABLET = (
    "Mozilla/5.0 (Linux; Android 14; SM-X710) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
)
PHONE = "Mozilla/5.0 (Android 14; Mobile; rv:128.0) Gecko/128.0 Firefox/128.0"
TELEVISION = (
    "Mozilla/5.0 (SMART-TV; Linux; Tizen 7.0) AppleWebKit/537.36 (KHTML, like Gecko) Version/7.0 TV Safari/537.36"
)


@pytest.fixture(scope="module")
def agents() -> Agents:
    return Agents()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (CHROME, Agent("Chrome", "Windows", "desktop", "human", "")),
        (IPHONE, Agent("Safari", "iOS", "mobile", "human", "")),
        (TABLET, Agent("Chrome", "Android", "tablet", "human", "")),
        (PHONE, Agent("Firefox", "Android", "mobile", "human", "")),
        ("", Agent(OTHER, OTHER, "other", "suspected", "no user agent")),
        ("-", Agent(OTHER, OTHER, "other", "suspected", "no user agent")),
    ],
)
def test_common_agents(agents: Agents, text: str, expected: Agent) -> None:
    """Family, system, device class and bot class of what most visitors send."""
    assert agents.classify(text) == expected


def test_a_television_is_no_desktop(agents: Agents) -> None:
    """What is neither desktop, phone nor tablet is `other`."""
    assert agents.classify(TELEVISION).device == "other"


def test_every_crawler_of_the_list_is_declared(agents: Agents) -> None:
    """All 2000 examples of the list itself are declared bots with a reason that is a tag of the list."""
    tags = {tag for entry in CRAWLER_USER_AGENTS_DATA for tag in entry.get("tags", [])} | {"crawler"}
    found = [agents.classify(text) for entry in CRAWLER_USER_AGENTS_DATA for text in entry["instances"]]
    assert {agent.bot_class for agent in found} == {"declared"}
    assert {agent.bot_reason for agent in found} <= tags


@given(st.text(max_size=60) | st.sampled_from([CHROME, "Googlebot/2.1 (+http://www.google.com/bot.html)", "curl/8.0"]))
def test_one_set_of_patterns_says_what_the_list_says_one_by_one(text: str) -> None:
    """The fast look-up and the package's own agree on any text."""
    declared = SHARED.classify(text).bot_class == "declared"
    assert declared == (is_crawler(text) and text not in {"", "-"})


@pytest.mark.parametrize(
    "text",
    [
        "nina.fournier@example.org/1.0 (Mobile)",
        "NinaFournier/1.0",
        "Mozilla/5.0 (NinaFournier 12; x) Version/1.0 NinaFournierBrowser/3.2 Mobile Safari/1",
        "Mozilla/5.0 (compatible; NinaFournierBot/1.0)",
    ],
)
def test_no_text_of_an_agent_comes_through(agents: Agents, text: str) -> None:
    """A family is a name from our lists, never what the parser cut out of the text."""
    assert "nina" not in " ".join(agents.classify(text)).lower()


def test_values_are_the_lists(agents: Agents) -> None:
    """Browsers and systems of all examples lie in `agents.toml`."""
    lists = tomllib.loads(resources.files("services.stats.counting").joinpath("agents.toml").read_text("utf-8"))
    found = [agents.classify(text) for entry in CRAWLER_USER_AGENTS_DATA for text in entry["instances"]]
    assert {a.browser for a in found} <= {*lists["browsers"], OTHER}
    assert {a.os for a in found} <= {*lists["systems"], OTHER}


def test_columns_are_the_scalar_results(agents: Agents) -> None:
    """The step adds the five columns, also for a missing agent."""
    texts = [CHROME, None, CHROME, "curl/8.0"]
    found = agents.put_agent(pl.DataFrame({"user_agent": texts}))
    assert found.select(Agent._fields).rows() == [tuple(agents.classify(t or "")) for t in texts]


SHARED = Agents()  # built once: hypothesis allows no function-scoped fixture
