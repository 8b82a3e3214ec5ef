"""Pseudonyms: known answers, unrelated across days and tenants, cut addresses."""

from __future__ import annotations

from datetime import date
from hashlib import blake2b

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.stats.pseudonyms.digests import account_pseudonym, drop_late, put_account_pseudonym, put_visitor

KEY, OTHER_KEY = bytes(range(32)), bytes(32)
DAY = date(2026, 3, 10)


def clients(*rows: tuple[str, str | None], tenant: str = "club", day: date = DAY) -> pl.DataFrame:
    return pl.DataFrame(
        [(tenant, day, address, agent) for address, agent in rows],
        schema={"tenant": pl.String, "event_day": pl.Date, "client_address": pl.String, "user_agent": pl.String},
        orient="row",
    )


def digest(key: bytes, person: bytes, size: int, *parts: str) -> int:
    """The definition, one value at a time."""
    message = b"".join(b"%d:%b" % (len(p.encode()), p.encode()) for p in parts)
    return int.from_bytes(blake2b(message, key=key, person=person, digest_size=size).digest(), "little")


def visitors(frame: pl.DataFrame, key: bytes = KEY) -> dict[tuple[str, str | None], tuple[int, int]]:
    keys = dict.fromkeys(frame.select("tenant", "event_day").rows(), key)
    found = put_visitor(frame, keys)
    return {(a, u): (v, n) for a, u, v, n in found.select("client_address", "user_agent", "visitor", "network").rows()}


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(st.lists(st.tuples(st.ip_addresses(v=4).map(str), TEXT), min_size=1, max_size=20, unique=True))
def test_ipv4_visitors_and_networks_are_the_definition(pairs: list[tuple[str, str]]) -> None:
    """Columns give what one keyed BLAKE2b a value gives, over (tenant, address, agent) and (tenant, /24)."""
    found = visitors(clients(*pairs))
    for address, agent in pairs:
        visitor = digest(KEY, b"voile.visitor", 8, "club", address, agent)
        network = digest(KEY, b"voile.network", 2, "club", address.rpartition(".")[0])
        assert found[address, agent] == (visitor, network)


def test_known_answer_does_not_change() -> None:
    """Written down once from hashlib over b"4:club9:192.0.2.77:Firefox": another order or encoding shows here."""
    assert visitors(clients(("192.0.2.7", "Firefox"))) == {("192.0.2.7", "Firefox"): (11560465965735617929, 56507)}


def test_lengths_keep_values_apart() -> None:
    """Moving a character from one value to its neighbour gives another visitor."""
    one = visitors(clients(("192.0.2.1", "1Firefox")))
    other = visitors(clients(("192.0.2.11", "Firefox")))
    assert set(one.values()).isdisjoint(other.values())


def test_days_and_tenants_are_unrelated() -> None:
    """The same 500 clients share no pseudonym between two keys, nor between two tenants under one key."""
    pairs = [(f"192.0.2.{i % 250}", f"agent {i}") for i in range(500)]
    one = {v for v, _ in visitors(clients(*pairs)).values()}
    another_day = {v for v, _ in visitors(clients(*pairs), OTHER_KEY).values()}
    another_tenant = {v for v, _ in visitors(clients(*pairs, tenant="choir")).values()}
    assert len(one) == 500
    assert one.isdisjoint(another_day)
    assert one.isdisjoint(another_tenant)


@pytest.mark.parametrize(
    ("address", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:fffe"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
    ],
)
def test_ipv6_is_cut_to_its_64_bits(address: str, same: str) -> None:
    """One household behind privacy extensions is one visitor; a mapped IPv4 address is that IPv4 address."""
    found = visitors(clients((address, "x"), (same, "x")))
    assert len(set(found.values())) == 1


def test_another_ipv6_prefix_is_another_visitor_in_the_same_network() -> None:
    """/64 tells visitors apart, /48 tells networks apart."""
    found = visitors(clients(("2001:db8:1:2::1", "x"), ("2001:db8:1:3::1", "x"), ("2001:db8:2:2::1", "x")))
    here, neighbour, elsewhere = (found[a, "x"] for a in ("2001:db8:1:2::1", "2001:db8:1:3::1", "2001:db8:2:2::1"))
    assert len({here[0], neighbour[0], elsewhere[0]}) == 3
    assert here[1] == neighbour[1] != elsewhere[1]


def test_an_account_never_changes_the_visitor() -> None:
    """Logging in does not make a second visitor: the account is no part of the message."""
    frame = clients(("192.0.2.7", "Firefox"), ("192.0.2.7", "Firefox")).with_columns(
        account=pl.Series([None, "nina"], dtype=pl.String)
    )
    found = put_visitor(frame, {("club", DAY): KEY})
    assert found["visitor"].n_unique() == 1


def test_accounts_are_the_definition_and_none_is_zero() -> None:
    """The column, the scalar function and hashlib agree; without an account it is 0."""
    frame = clients(("192.0.2.7", "x"), ("192.0.2.8", "x")).with_columns(account=pl.Series(["nina", None]))
    found = put_account_pseudonym(frame, {("club", DAY): KEY})["account_pseudonym"].to_list()
    assert found == [digest(KEY, b"voile.account", 8, "club", "nina"), 0]
    assert account_pseudonym(KEY, "club", "nina") == found[0]


def test_rows_without_a_key_are_late() -> None:
    """A destroyed day's rows go, the others stay."""
    frame = pl.concat([clients(("192.0.2.7", "x")), clients(("192.0.2.7", "x"), day=date(2026, 3, 9))])
    kept = drop_late(frame, {("club", DAY): KEY, ("club", date(2026, 3, 9)): None})
    assert kept["event_day"].to_list() == [DAY]


def test_no_rows_give_no_rows() -> None:
    """An empty batch passes, with the columns that the next step expects."""
    empty = put_visitor(clients(), {})
    assert empty.is_empty()
    assert empty.schema["visitor"] == pl.UInt64
    assert empty.schema["network"] == pl.UInt16
