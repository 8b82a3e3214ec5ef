"""Attacks on pseudonyms: guessing addresses, linking days and tenants, asking a sketch. Each has its weak design."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from hashlib import blake2b
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from services.runtime.clickhouse import Analytics, open_analytics
from services.runtime.keys import FileKeyService
from services.stats.pseudonyms.digests import put_account_pseudonym, put_visitor
from services.stats.pseudonyms.keyring import Keyring
from tests.parts.counting import CHROME, DAY, TENANT, KnownDays

GUESSES = 1_000_000
BLIND_GUESSES = GUESSES if "VOILE_TEST_FULL" in os.environ else 100_000  # 2 s of CPU for a million
SEED = 20261123
NEXT = DAY + timedelta(days=1)
Pseudonyms = npt.NDArray[np.uint64]


def _addresses(count: int, seed: int = SEED) -> pl.Series:
    """Distinct IPv4 addresses."""
    numbers = np.random.default_rng(seed).choice(2**32, count + count // 100, replace=False, shuffle=False)[:count]
    octets = [pl.Series((numbers >> shift) & 255).cast(pl.String) for shift in (24, 16, 8, 0)]
    return pl.DataFrame(octets, schema=list("abcd")).select(pl.concat_str("a", "b", "c", "d", separator="."))["a"]


def _visitors(addresses: pl.Series, key: bytes, tenant: str = TENANT, day: date = DAY) -> Pseudonyms:
    """What the product makes of them, with the right user agent."""
    frame = pl.DataFrame({"client_address": addresses}).with_columns(
        pl.lit(tenant).alias("tenant"), pl.lit(day).alias("event_day"), pl.lit(CHROME).alias("user_agent")
    )
    found = put_visitor(frame.with_row_index("at"), {(tenant, day): key}).sort("at")
    return found["visitor"].to_numpy()


def _unkeyed(addresses: pl.Series) -> Pseudonyms:
    """The weak design: a digest of the same message that anybody can compute."""
    messages = (f"{len(a)}:{a}{len(CHROME)}:{CHROME}".encode() for a in addresses)
    return np.array([int.from_bytes(blake2b(m, digest_size=8).digest(), "little") for m in messages], dtype=np.uint64)


def test_brute_force_of_the_address_space() -> None:
    """The attacker has a pseudonym, the tenant, the day, the agent and a list with the right address in it. With the
    day's key the address is found; without it, by any key that can be had, none of the guesses fits."""
    addresses = _addresses(GUESSES)
    victim, key = GUESSES // 3, secrets.token_bytes(32)
    captured = _visitors(addresses[victim : victim + 1], key)[0]
    assert np.flatnonzero(_visitors(addresses, key) == captured).tolist() == [victim]
    around = addresses.slice(max(0, victim - BLIND_GUESSES // 2), BLIND_GUESSES)
    assert not (_visitors(around, secrets.token_bytes(32)) == captured).any()
    few = addresses.slice(victim - 5_000, 10_000)
    for guess in (bytes(32), blake2b(str(DAY).encode(), digest_size=32).digest(), key[::-1], key[:-1] + b"\0"):
        assert not (_visitors(few, guess) == captured).any()
    assert not (_unkeyed(few) == captured).any()


def test_an_unkeyed_digest_is_guessed() -> None:
    """The switch: without a key the same list gives the address away."""
    addresses = _addresses(10_000)
    captured = _unkeyed(addresses[77:78])[0]
    assert np.flatnonzero(_unkeyed(addresses) == captured).tolist() == [77]


PEOPLE = _addresses(2_000, seed=7)


def _common(one: Pseudonyms, other: Pseudonyms) -> int:
    return len(np.intersect1d(one, other))


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    return Keyring(FileKeyService(tmp_path / "keys"), KnownDays())


def _key(keyring: Keyring, tenant: str, day: date) -> bytes:
    found = keyring.key(tenant, day)
    assert found is not None
    return found


@pytest.mark.parametrize(("tenant", "day"), [(TENANT, NEXT), ("riverside", DAY)], ids=["days", "tenants"])
def test_linking(keyring: Keyring, tenant: str, day: date) -> None:
    """The same two thousand people, the next day or at another tenant: no pseudonym is the same, and neither the
    networks nor the accounts put them side by side. With one key for all, each is found again on the next day."""
    one, other = _key(keyring, TENANT, DAY), _key(keyring, tenant, day)
    assert _common(_visitors(PEOPLE, one), _visitors(PEOPLE, other, tenant, day)) == 0
    assert _alike(_networks(one, TENANT, DAY), _networks(other, tenant, day)) < 0.01
    assert _common(_accounts(one, TENANT, DAY), _accounts(other, tenant, day)) == 0
    if tenant == TENANT:
        assert _common(_visitors(PEOPLE, one), _visitors(PEOPLE, one, tenant, day)) == len(PEOPLE)


def test_one_key_for_two_tenants_would_still_not_link_them(keyring: Keyring) -> None:
    """The tenant is in the message too; a message without it links."""
    key = _key(keyring, TENANT, DAY)
    assert _common(_visitors(PEOPLE, key), _visitors(PEOPLE, key, "riverside")) == 0
    assert _common(_visitors(PEOPLE, key, ""), _visitors(PEOPLE, key, "")) == len(PEOPLE)


def _networks(key: bytes, tenant: str, day: date) -> npt.NDArray[np.uint16]:
    frame = (
        pl.DataFrame({"client_address": PEOPLE})
        .with_row_index("at")
        .with_columns(
            pl.lit(tenant).alias("tenant"), pl.lit(day).alias("event_day"), pl.lit(CHROME).alias("user_agent")
        )
    )
    return put_visitor(frame, {(tenant, day): key}).sort("at")["network"].to_numpy()


def _accounts(key: bytes, tenant: str, day: date) -> Pseudonyms:
    frame = pl.DataFrame({"account": [f"m-{n}" for n in range(2_000)]}).with_columns(
        pl.lit(tenant).alias("tenant"), pl.lit(day).alias("event_day")
    )
    return put_account_pseudonym(frame, {(tenant, day): key})["account_pseudonym"].to_numpy()


def _alike(one: npt.NDArray[np.uint16], other: npt.NDArray[np.uint16]) -> float:
    """The share of people whose network has the same number: by chance 1 in 65 536."""
    return float((one == other).mean())


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Analytics]:
    opened = open_analytics(f"chdb://{tmp_path}/analytics")
    yield opened
    opened.close()


def _told_by(store: Analytics, kept: str) -> Callable[[Pseudonyms], float]:
    """The share of candidates of whom the kept state says: was there."""

    def share(candidates: Pseudonyms) -> float:
        store.command("CREATE OR REPLACE TABLE candidates (visitor UInt64) ENGINE = Memory")
        store.insert("candidates", pl.DataFrame({"visitor": candidates}))
        grown = store.frame(
            f"SELECT avg(grown = before) AS share FROM (SELECT visitor, uniqMerge(state) AS grown, "
            f"(SELECT uniqMerge(people) FROM {kept}) AS before FROM (SELECT visitor, arrayJoin([one, sketch]) AS state "
            f"FROM (SELECT visitor, uniqState(visitor) AS one, (SELECT uniqMergeState(people) FROM {kept}) AS sketch "
            "FROM candidates GROUP BY visitor)) GROUP BY visitor)"
        )
        return float(grown["share"][0])

    return share


def test_a_sketch_would_tell_who_was_there(store: Analytics) -> None:
    """Why none is kept: a `uniq` state of a day answers for everybody whose pseudonym is known whether they came.
    That none is kept: `test_after_a_close.py`."""
    key = secrets.token_bytes(32)
    came, stayed_away = _visitors(PEOPLE[:1_000], key), _visitors(PEOPLE[1_000:], key)
    store.command("CREATE TABLE seen (visitor UInt64) ENGINE = Memory")
    store.insert("seen", pl.DataFrame({"visitor": came}))
    store.command(
        "CREATE TABLE kept ENGINE = MergeTree ORDER BY tuple() AS SELECT uniqState(visitor) AS people FROM seen"
    )
    share = _told_by(store, "kept")
    assert share(came) == 1.0
    assert share(stayed_away) < 0.01
