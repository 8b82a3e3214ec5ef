"""What an address that somebody else chose can reach: the public network, and nothing of ours."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

import pytest

from services.runtime.web.outbound import BODY_BYTES_MAX, NotSent, Sender, is_public, refuse_private, refuse_unusable

INSIDE = [
    "127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.5.4", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
    "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "::1", "::", "fe80::1", "fc00::1",
    "fd12:3456::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::",
    "2002:a9fe:a9fe::", "64:ff9b::a9fe:a9fe", "2001:db8::1",
]  # fmt: skip


@pytest.mark.parametrize("address", INSIDE)
def test_nothing_inside_is_public(address: str) -> None:
    """Loopback, private, link-local (where clouds keep their secrets), shared, multicast, reserved; and these inside
    of an IPv6 address."""
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:93.184.216.34"])
def test_the_public_network_is(address: str) -> None:
    """IPv4, IPv6, and the one in the other."""
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", INSIDE)
def test_a_name_of_the_inside_is_not_sent_to(address: str) -> None:
    """Whoever owns a name can let it point anywhere; also when only the second of two addresses is inside."""
    for found in ([address], ["93.184.216.34", address]):
        with pytest.raises(NotSent, match="public"):
            Sender(lambda *_, found=found: found).post("https://hooks.example/x", b"{}", {})


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example/x", "file:///etc/passwd", "https://", "https://user:secret@hooks.example/x", "ftp://a/b",
        "https://hooks.example:0/", "https://hooks.example:99999/", "https://hooks.example/a b", "//hooks.example/x",
        "https://hooks.example\\@127.0.0.1/", "https://hooks.example/\r\nhost: x", "https://höoks.example/", "",
        "https://hooks.example/" + "x" * 3000,
    ],
)  # fmt: skip
def test_what_is_no_plain_https_address_is_refused(url: str) -> None:
    """Before a name is even looked up."""

    def never(*_: object) -> Sequence[str]:
        raise AssertionError("it was looked up")

    with pytest.raises(NotSent):
        Sender(never).post(url, b"{}", {})


def test_an_ordinary_address_is_taken() -> None:
    """With a port and a query."""
    assert refuse_unusable("https://hooks.example:8443/dsr?x=1").hostname == "hooks.example"


@pytest.mark.parametrize(
    "host", ["127.1", "0x7f000001", "2130706433", "[::1]", "10.0.0.7", "localhost", "a.localhost."]
)
def test_what_is_plainly_inside_is_refused_when_it_is_given(host: str) -> None:
    """Nothing is asked of any resolver: a name is looked at when something is sent."""
    with pytest.raises(NotSent, match="no public address"):
        refuse_private(f"https://{host}/hook")
    for outside in ("hooks.example", "93.184.216.34", "10.example", "localhost.example"):
        assert refuse_private(f"https://{outside}/hook").hostname == outside


def test_a_name_that_is_unknown_is_not_sent_to() -> None:
    """And the error does not repeat it."""

    def unknown(*_: object) -> Sequence[str]:
        raise OSError("Name or service not known: hooks.example")

    with pytest.raises(NotSent) as failed:
        Sender(unknown).post("https://hooks.example/x", b"{}", {})
    assert "hooks" not in str(failed.value)


def test_only_little_is_sent() -> None:
    """A status, never data."""
    with pytest.raises(NotSent, match="too much"):
        Sender(lambda *_: ["93.184.216.34"]).post("https://hooks.example/x", b"x" * (BODY_BYTES_MAX + 1), {})
