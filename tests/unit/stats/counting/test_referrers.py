"""Referrers: a class and a registrable domain."""

from __future__ import annotations

import re

import polars as pl
import pytest
from publicsuffixlist import PublicSuffixList

from services.stats.counting.referrers import Referrer, Referrers, _sources, version_of_referrers
from services.stats.tenants.registry import Tenant, Tenants

REFERRERS = Referrers(Tenants([Tenant("club", "Club", hosts=("www.chess.example", "shop.chess.example"))]))


@pytest.mark.parametrize(
    ("referrer", "expected"),
    [
        (None, Referrer("direct", "")),
        ("", Referrer("direct", "")),
        ("-", Referrer("direct", "")),
        ("https://www.chess.example/rules", Referrer("internal", "")),
        ("https://SHOP.chess.example:8443/", Referrer("internal", "")),
        ("https://www.google.co.uk/", Referrer("search", "google.co.uk")),
        ("https://duckduckgo.com/", Referrer("search", "duckduckgo.com")),
        ("https://mail.google.com/mail", Referrer("other", "google.com")),
        ("https://search.brave.com/", Referrer("search", "brave.com")),
        ("https://t.co/x", Referrer("social", "t.co")),
        ("https://www.linkedin.com/feed", Referrer("social", "linkedin.com")),
        ("https://www.google.fr/", Referrer("search", "google.fr")),
        ("https://www.qwant.com/", Referrer("search", "qwant.com")),
        ("https://fr.search.yahoo.com/", Referrer("search", "yahoo.com")),
        ("https://l.facebook.com/", Referrer("social", "facebook.com")),
        ("https://chatgpt.com/", Referrer("assistant", "chatgpt.com")),
        ("https://www.perplexity.ai/search", Referrer("assistant", "perplexity.ai")),
        ("https://gemini.google.com/", Referrer("assistant", "google.com")),
        ("https://x.org/", Referrer("other", "x.org")),
        ("https://google.top/", Referrer("other", "google.top")),
        ("https://blog.club.org.uk/2026/nina", Referrer("other", "club.org.uk")),
        ("https://google.evil.example.com/", Referrer("other", "example.com")),
        ("https://notgoogle.com/", Referrer("other", "notgoogle.com")),
        ("https://nina-fournier.github.io/", Referrer("other", "github.io")),
        ("http://192.0.2.7/x", Referrer("other", "")),
        ("http://[2001:db8::1]/x", Referrer("other", "")),
        ("http://localhost/x", Referrer("other", "")),
        ("http://nina-laptop/x", Referrer("other", "")),
        ("http://nina.corp.internal/x", Referrer("other", "")),
        ("android-app://org.nina.fournier/", Referrer("other", "")),
        ("http://[broken", Referrer("other", "")),
        ("nina@example.org", Referrer("other", "")),
    ],
)
def test_classes_and_domains(referrer: str | None, expected: Referrer) -> None:
    """Never more than the registrable domain, and nothing for what has none."""
    assert REFERRERS.classify("club", "www.chess.example", referrer) == expected


def test_a_site_refers_to_itself_before_the_registry_knows_it() -> None:
    """The host that was asked for counts as the tenant's own."""
    assert (
        REFERRERS.classify("unknown", "www.new.example.com", "https://www.new.example.com/a").referrer_class
        == "internal"
    )


def test_another_tenants_host_is_outside() -> None:
    """Hosts are the tenant's own, not everybody's."""
    assert REFERRERS.classify("choir", "www.choir.example", "https://www.chess.example/").referrer_class == "other"


def test_columns_are_the_scalar_results() -> None:
    """The step agrees with the function, row by row."""
    rows = [
        ("club", "www.chess.example", r)
        for r in (None, "https://t.co/x", "https://www.chess.example/", "https://t.co/x")
    ]
    frame = pl.DataFrame(rows, schema=["tenant", "host", "referrer"], orient="row")
    found = REFERRERS.put_referrer(frame)
    assert found.select(Referrer._fields).rows() == [tuple(REFERRERS.classify(*row)) for row in rows]


def test_no_listed_host_is_a_public_suffix() -> None:
    """One would give its class to every site below it."""
    suffixes = PublicSuffixList(only_icann=True)
    assert not [host for host in _sources() if suffixes.privatesuffix(host) is None]


def test_the_version_names_the_list() -> None:
    """It stands in each batch's ledger row."""
    assert re.fullmatch(r"[0-9.]+/[0-9]+\.[0-9]+\.[0-9]+", version_of_referrers())
