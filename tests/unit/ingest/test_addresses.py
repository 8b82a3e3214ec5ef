"""Which address is the client's."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.addresses import CONNECTION, HEADERS, client_address
from services.ingest.hops import Verdict, choose, hops_of_forwarded, parse_address, split_hops

OURS = ["10.0.0.0/8", "fd00::/8"]


def _address(
    text: str | None, header: str | None = None, trusted: Sequence[str] = (), taken_from: str = CONNECTION
) -> str | None:
    columns = {"address": text, **dict.fromkeys(HEADERS.values(), header)}
    frame = pl.DataFrame({name: pl.Series([value], dtype=pl.String) for name, value in columns.items()})
    result: str | None = client_address(frame, taken_from, trusted).item()
    return result


def _verdicts(hops: str, trusted: Sequence[str] = OURS) -> list[Verdict]:
    return [hop.verdict for hop in choose(split_hops(hops), [ipaddress.ip_network(cidr) for cidr in trusted])]


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("192.0.2.7:5123", "192.0.2.7"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[fe80::1%25eth0]:80", "fe80::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("[::ffff:192.0.2.7]:80", "192.0.2.7"),
        ('"192.0.2.7"', "192.0.2.7"),
        ("192.0.2.300", None),
        ("010.1.1.1", None),
        ("unix:", None),
        ("unknown", None),
        ("_proxy7", None),
        ("host.example", None),
        (None, None),
    ],
)
def test_one_text_form_an_address(text: str | None, canonical: str | None) -> None:
    """Ports, brackets, zone ids and mapped IPv4 go; what is no address is null."""
    assert _address(text) == canonical


@given(st.lists(st.sampled_from(["", "0", "00", "1", "ffff", "C000", "0207", "2001", "::", "1.2.3.4"]), max_size=9))
def test_an_ipv6_address_is_written_as_the_standard_library_writes_it(groups: list[str]) -> None:
    """The fast way and the slow one agree, also on what is no address and on what carries an IPv4 address."""
    text = ":".join(groups)
    slow = parse_address(text)
    assert _address(text) == (None if slow is None else str(slow))


def test_the_right_most_hop_counts() -> None:
    """What stands left of it was said by the client."""
    assert _address("10.0.0.2, 10.0.0.1, 198.51.100.9") == "198.51.100.9"


def test_trusted_proxies_are_passed_over() -> None:
    """From the right; the first that is not ours is the client. Some servers log the whole list."""
    assert _address("203.0.113.5, 198.51.100.9, 10.0.0.1", trusted=OURS) == "198.51.100.9"
    assert _address("10.0.0.2, 10.0.0.1", trusted=OURS) == "10.0.0.2"
    assert _address("2001:db8::9, fd00::1", trusted=OURS) == "2001:db8::9"
    assert _address("198.51.100.9, ::ffff:10.0.0.1", trusted=OURS) == "198.51.100.9"
    assert _address("x, 10.0.0.1", trusted=OURS) is None


@pytest.mark.parametrize("taken_from", HEADERS)
def test_a_header_is_read_where_the_source_says_so_and_a_trusted_proxy_wrote_it(taken_from: str) -> None:
    """Else anybody could choose their address."""
    header = "for=198.51.100.9" if taken_from == "forwarded" else "198.51.100.9"
    assert _address("10.0.0.1", header, OURS, taken_from) == "198.51.100.9"
    assert _address("10.0.0.1", header, OURS) == "10.0.0.1", "the source takes who connected"
    assert _address("10.0.0.1", header, (), taken_from) == "10.0.0.1", "no proxy is trusted"
    assert _address("192.0.2.1", header, OURS, taken_from) == "192.0.2.1", "a client that wrote the header itself"
    assert _address("10.0.0.1", None, OURS, taken_from) == "10.0.0.1", "a request without it: a health check"


@pytest.mark.parametrize("hidden", ["unknown", "UNKNOWN", "_hidden", "_SEVKISEK:4711"])
def test_a_hop_that_a_proxy_hides_leaves_the_proxy_for_the_client(hidden: str) -> None:
    """RFC 7239: the line still counts; what the client wrote further left is not believed."""
    assert _address("10.0.0.1", f"203.0.113.5, {hidden}", OURS, "x_forwarded_for") == "10.0.0.1"
    header = f'for=203.0.113.5, for="{hidden}", for=10.0.0.2'
    assert _address("10.0.0.1", header, OURS, "forwarded") == "10.0.0.2"


@pytest.mark.parametrize(
    ("header", "hops"),
    [
        ("for=192.0.2.60;proto=http;by=203.0.113.43", ["192.0.2.60"]),
        ('For="[2001:db8:cafe::17]:4711"', ["[2001:db8:cafe::17]:4711"]),
        ("for=192.0.2.43, for=198.51.100.17", ["192.0.2.43", "198.51.100.17"]),
        ('for=192.0.2.43,FOR="[2001:db8::1]";by=_x', ["192.0.2.43", "[2001:db8::1]"]),
        ('for="_gazonk"', ["_gazonk"]),
        ("proto=https", ["unknown"]),
        ('host="a,for=192.0.2.9";for=192.0.2.1', ["192.0.2.1"]),
        (r'for="\1\9\2.0.2.1"', ["192.0.2.1"]),
        ("", []),
    ],
)
def test_forwarded_is_read_as_rfc_7239_says(header: str, hops: list[str]) -> None:
    """The examples of its sections 4 to 7, and commas and `for=` within quotes."""
    assert hops_of_forwarded(header) == hops


def test_every_hop_has_a_verdict() -> None:
    """What `voile doctor ip` prints is what decides."""
    read, client, proxy = Verdict.NOT_READ, Verdict.CLIENT, Verdict.PROXY
    assert _verdicts("203.0.113.5, 198.51.100.9, 10.0.0.1") == [read, client, proxy]
    assert _verdicts("10.0.0.2, 10.0.0.1") == [Verdict.ONLY_OURS, proxy]
    assert _verdicts("203.0.113.5, unknown, 10.0.0.1") == [read, Verdict.HIDDEN, Verdict.STANDS_IN]
    assert _verdicts("203.0.113.5, rubbish, 10.0.0.1") == [read, Verdict.UNREADABLE, proxy]
    assert _verdicts("unknown") == [Verdict.UNREADABLE]
    assert _verdicts("") == []


_HOPS = st.sampled_from(["203.0.113.5", "198.51.100.9", "10.0.0.1", "10.9.9.9", "unknown", "_x", "rubbish", "::1"])


@given(st.lists(_HOPS, max_size=4), st.lists(st.sampled_from(["10.0.0.1", "fd00::7"]), max_size=3))
def test_a_client_cannot_choose_its_address(forged: list[str], proxies: list[str]) -> None:
    """Whatever it writes into the header: our proxies appended who asked them."""
    header = ", ".join([*forged, "198.51.100.77", *proxies])
    assert _address("10.0.0.3", header, OURS, "x_forwarded_for") == "198.51.100.77"


@given(st.text(st.sampled_from('0123456789abcdef.:%[]"_ ,=;for\\'), max_size=40))
def test_no_header_stops_the_parser(text: str) -> None:
    """What is no address is none, in whatever way."""
    for hop in (*hops_of_forwarded(text), *split_hops(text)):
        parse_address(hop)
