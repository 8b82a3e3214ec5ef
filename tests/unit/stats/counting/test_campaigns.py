"""Campaigns: words of links, of tenants that opted in, without anybody's name."""

from __future__ import annotations

import polars as pl
import pytest

from services.stats.counting.campaigns import UTM, Campaigns, shown
from services.stats.tenants.registry import Tenant, Tenants


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("newsletter", "newsletter"),
        ("Newsletter+M%C3%A4rz", "newsletter-märz"),
        ("spring-sale-2026", "spring-sale-2026"),
        ("2026-03", "2026-03"),
        ("summer_2026-07-14", "summer_2026-07-14"),
        ("", ""),
        ("nina%40fournier.example", "{email}"),
        ("nina.fournier", "{name}"),
        ("%7Enina", "{name}"),
        ("member-48213", "{id}"),
        ("0612345678", "{number}"),
        ("3f2504e0-4f89-11d3-9a0c-0305e82c3301", "{id}"),
        ("aBcDeFgHiJkLmN", "{token}"),
        ("<script>", "{text}"),
        ("x" * 60, "{long}"),
    ],
)
def test_what_could_identify_becomes_a_placeholder(value: str, expected: str) -> None:
    """The same forms as in paths; only years and months are let through, since campaigns are called by them."""
    assert shown(value) == expected


def test_only_tenants_that_opted_in_have_campaigns() -> None:
    """Each parameter by its whole name, at the start or after another one; nothing for the others."""
    campaigns = Campaigns(Tenants([Tenant("club", "Club", campaigns=True), Tenant("choir", "Choir")]))
    query = "a=1&utm_source=news&xutm_medium=no&utm_medium=mail"
    rows = [("club", query), ("choir", query), ("club", None), ("club", "utm_campaign=nina%40x.example")]
    found = campaigns.put_campaign(pl.DataFrame(rows, schema={"tenant": pl.String, "query": pl.String}, orient="row"))
    assert found.select(UTM).rows() == [("news", "mail", ""), ("", "", ""), ("", "", ""), ("", "", "{email}")]


def test_an_opt_in_that_is_withdrawn_counts_at_once() -> None:
    """The registry's newest word."""
    tenants = Tenants([Tenant("club", "Club")])
    frame = pl.DataFrame({"tenant": ["club"], "query": ["utm_source=news"]})
    assert Campaigns(tenants).put_campaign(frame).select(UTM).row(0) == ("", "", "")
