"""How often somebody may try: by account and by address, which is taken from trusted proxies alone."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta

import pytest
from starlette.requests import Request

from services.runtime.clock import FixedClock
from services.runtime.web.attempts import PER_ACCOUNT, PER_ADDRESS, Attempts, client_network


def request(peer: str, *forwarded: str) -> Request:
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    return Request({"type": "http", "client": (peer, 1), "headers": headers})


def clock() -> FixedClock:
    return FixedClock(datetime(2026, 3, 2, tzinfo=UTC))


def test_an_account_is_tried_so_often_from_wherever() -> None:
    """Then once in three minutes; another account is not touched."""
    time = clock()
    attempts = Attempts(time)
    peers = [f"192.0.2.{number}" for number in range(PER_ACCOUNT)]
    assert [attempts.wait_s(request(peer), "ada") for peer in peers] == [0] * PER_ACCOUNT
    assert 0 < attempts.wait_s(request("198.51.100.1"), "ada") <= 180
    assert attempts.wait_s(request("198.51.100.1"), "ben") == 0
    time.advance(timedelta(minutes=3))
    assert attempts.wait_s(request("198.51.100.1"), "ada") == 0


def test_an_address_tries_so_often_whomever() -> None:
    """And who is stopped uses up nobody's account."""
    attempts = Attempts(clock())
    for number in range(PER_ADDRESS):
        assert attempts.wait_s(request("192.0.2.1"), f"user{number}") == 0
    for _ in range(PER_ACCOUNT + 1):
        assert attempts.wait_s(request("192.0.2.1"), "ada") > 0
    assert attempts.wait_s(request("192.0.2.2"), "ada") == 0


@pytest.mark.parametrize(
    ("peer", "forwarded", "taken"),
    [
        ("192.0.2.1", (), "192.0.2.1/32"),
        ("192.0.2.1", ("203.0.113.9",), "192.0.2.1/32"),  # no proxy of ours says so
        ("10.0.0.1", ("203.0.113.9",), "203.0.113.9/32"),
        ("10.0.0.1", ("198.51.100.66, 203.0.113.9",), "203.0.113.9/32"),  # what the client wrote itself is first
        ("10.0.0.1", ("198.51.100.66", "203.0.113.9, 10.0.0.2"), "203.0.113.9/32"),
        ("10.0.0.1", ("nonsense",), "10.0.0.1/32"),
        ("10.0.0.1", (), "10.0.0.1/32"),
        ("::ffff:10.0.0.1", ("203.0.113.9",), "203.0.113.9/32"),
        ("2001:db8:1:2:3::4", (), "2001:db8:1:2::/64"),
        ("unix", (), ""),
    ],
)
def test_the_address_is_what_a_trusted_proxy_saw(peer: str, forwarded: tuple[str, ...], taken: str) -> None:
    """The last hop that is no proxy of ours; nothing that a client can write."""
    assert client_network(request(peer, *forwarded), [ipaddress.ip_network("10.0.0.0/8")]) == taken
