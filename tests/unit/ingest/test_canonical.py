"""What an access may carry on, in one spelling."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest import canonical
from services.ingest.canonical import canonical_host, canonical_path, canonical_referrer


def _path(target: str | None) -> str:
    result: str = canonical.paths(pl.Series([target], dtype=pl.String)).item()
    return result


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/a/b", "/a/b"),
        ("/a?token=secret", "/a"),
        ("/a#part", "/a"),
        ("/caf%C3%A9", "/café"),
        ("/%2563afe", "/cafe"),
        ("/a%3Ftoken=secret", "/a"),
        ("/a%253Ftoken=secret", "/a"),
        ("//a///b", "/a/b"),
        ("/a;jsessionid=1/b;v=2", "/a/b"),
        ("http://user:pw@x.example/a?b", "/a"),
        ("http://x.example", "/"),
        ("HTTP://x.example:80/A", "/A"),
        ("/go/http://user:pw@x.example/", "/go/http:/x.example/"),
        ("/go/http:/user:pw@x.example/", "/go/http:/x.example/"),
        ("/@ada/1", "/@ada/1"),
        ("/\uff41\uff0f\uff42", "/a/b"),
        ("/a%00b%0Ac", "/a\ufffdb\ufffdc"),
        ("/%ff", "/\ufffd"),
        ("*", "*"),
        ("x.example:443", ""),
        ("/pay/4111%201111%201111%201111", "/pay/[card]"),
        ("/pay/FR1420041010050500013M02606", "/pay/[iban]"),
        (None, ""),
    ],
)
def test_paths(target: str | None, path: str) -> None:
    """Decoded, without query, fragment, userinfo, matrix parameters, repeated slashes and bank data."""
    assert _path(target) == path


def test_a_long_path_is_cut() -> None:
    """Only scanners send such."""
    assert len(_path("/" + "a" * 5000)) == canonical.PATH_CHARS_MAX


@given(st.text(st.sampled_from("/a;?#%25@:. \uff0f") | st.characters(codec="utf-8"), max_size=30))
@settings(max_examples=400, deadline=None)
def test_what_the_columns_leave_alone_is_canonical(text: str) -> None:
    """The fast way (a pattern over the column) and the exact function agree on every target."""
    target = "/" + text
    assert _path(target) == canonical_path(target.partition("?")[0])


@given(st.text(st.sampled_from("/abc;?#%2F5@:.-é ") | st.characters(codec="utf-8"), max_size=30))
def test_a_canonical_path_carries_nothing_that_is_cut(text: str) -> None:
    """Whatever was sent."""
    path = canonical_path("/" + text)
    assert not set(path) & set("?#;\n\r\x00")
    assert "//" not in path


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("https://x.example/a", "https://x.example/a"),
        ("https://x.example/a?e=a@b.example#top", "https://x.example/a"),
        ("https://user:pw@X.example:8443/a", "https://x.example:8443/a"),
        ("https://x.example", "https://x.example"),
        ("https://x.example/a;s=1//b", "https://x.example/a/b"),
        ("android-app://com.example.app/", "android-app://com.example.app/"),
        ("https://x.example/4111111111111111", "https://x.example/[card]"),
        ("https://x.example/caf%C3%A9", "https://x.example/café"),
        ("x.example/a", None),
        ("about:blank", None),
        (None, None),
    ],
)
def test_referrers(sent: str | None, kept: str | None) -> None:
    """Origin and path; what is no URL is nothing."""
    assert canonical.referrers(pl.Series([sent], dtype=pl.String)).item() == kept


@given(st.text(st.sampled_from("htps:/x.e@?#;%25A4") | st.characters(codec="utf-8"), max_size=30))
@settings(max_examples=300, deadline=None)
def test_referrers_by_columns_and_one_by_one_agree(text: str) -> None:
    """On every text that begins like one."""
    sent = "https://" + text
    cut = sent.partition("?")[0].partition("#")[0]
    assert canonical.referrers(pl.Series([sent])).item() == canonical_referrer(cut)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("WWW.X.example:8080", "www.x.example"),
        ("x.example.", "x.example"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("[fe80::1%eth0]", "fe80::1"),
        ("_", None),
        ("a b", None),
        ("x/../y", None),
    ],
)
def test_hosts(sent: str, kept: str | None) -> None:
    """Lower case, no port; null for what is no host."""
    assert canonical_host(sent) == kept
    assert canonical.hosts(pl.Series([sent])).item() == kept


def test_only_allowed_query_parameters_are_kept() -> None:
    """By default none; bank data is cut from their values."""
    targets = pl.Series(["/a?q=chess&token=secret&page=2", "/a", "/a?token=x", "/a?q=4111111111111111#x"])
    assert canonical.queries(targets, ()).to_list() == [None] * 4
    assert canonical.queries(targets, ("q", "page")).to_list() == ["q=chess&page=2", None, None, "q=[card]"]


def test_made_up_methods_and_protocols_are_nothing() -> None:
    """A client may send any word there."""
    assert canonical.methods(pl.Series(["GET", "M-SEARCH", "BOB@X.EXAMPLE", "A" * 21, None])).to_list() == [
        "GET",
        "M-SEARCH",
        None,
        None,
        None,
    ]
    assert canonical.protocols(pl.Series(["HTTP/1.1", "HTTP/bob", None])).to_list() == ["HTTP/1.1", None, None]


def test_user_agents() -> None:
    """As sent, bounded, without control characters and bank data."""
    agents = pl.Series(["Mozilla/5.0 (X11)", "a\x1b[31mb", "x 4111111111111111", "y" * 2000, None])
    kept = canonical.user_agents(agents).to_list()
    assert kept == ["Mozilla/5.0 (X11)", "a\ufffd[31mb", "x [card]", "y" * 1024, None]


def test_cuts_are_counted() -> None:
    """For the counter of bank data."""
    assert canonical.cuts(pl.Series(["/[card]/[card]", "/[iban]", "/a", None])) == (2, 1)
