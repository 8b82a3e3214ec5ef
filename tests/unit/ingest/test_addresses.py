"""Which address is the client's."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
import pytest

from services.ingest.addresses import client_address


def _address(text: str | None, forwarded: str | None = None, trusted: Sequence[str] = ()) -> str | None:
    address, header = (pl.Series([value], dtype=pl.String) for value in (text, forwarded))
    result: str | None = client_address(address, header, trusted).item()
    return result


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("192.0.2.7:5123", "192.0.2.7"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("192.0.2.300", None),
        ("010.1.1.1", None),
        ("unix:", None),
        ("host.example", None),
        (None, None),
    ],
)
def test_one_text_form_an_address(text: str | None, canonical: str | None) -> None:
    """Ports, brackets, zone ids and mapped IPv4 go; what is no address is null."""
    assert _address(text) == canonical


def test_the_right_most_hop_counts() -> None:
    """What stands left of it was said by the client."""
    assert _address("10.0.0.2, 10.0.0.1, 198.51.100.9") == "198.51.100.9"


def test_trusted_proxies_are_passed_over() -> None:
    """From the right; the first that is not ours is the client."""
    assert _address("203.0.113.5, 198.51.100.9, 10.0.0.1", trusted=["10.0.0.0/8"]) == "198.51.100.9"
    assert _address("10.0.0.2, 10.0.0.1", trusted=["10.0.0.0/8"]) == "10.0.0.2"
    assert _address("x, 10.0.0.1", trusted=["10.0.0.0/8"]) is None


def test_a_forwarded_header_needs_a_trusted_proxy() -> None:
    """Else anybody could choose their address."""
    assert _address("10.0.0.1", "198.51.100.9") == "10.0.0.1"
    assert _address("10.0.0.1", "198.51.100.9", ["10.0.0.0/8"]) == "198.51.100.9"
    assert _address("192.0.2.1", "198.51.100.9", ["10.0.0.0/8"]) == "192.0.2.1"
