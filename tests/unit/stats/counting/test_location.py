"""Countries of addresses."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from services.runtime.errors import Fatal
from services.stats.counting.location import UNKNOWN, Countries

ADDRESSES = ["8.8.8.8", "193.0.6.139", "2001:4860:4860::8888", "10.0.0.1", "no address", "", None, "8.8.8.8"]


def written(file: Path, networks: Mapping[str, Any], epoch_ns: int = 1) -> Path:
    """A database of `networks` as a provider would put it in the place of the one before."""
    writer = MMDBWriter(ip_version=6, ipv4_compatible=True, database_type="Test-Country")
    for network, record in networks.items():
        writer.insert_network(IPSet([network]), record)
    fresh = file.with_suffix(".new")
    writer.to_db_file(str(fresh))
    os.utime(fresh, ns=(epoch_ns, epoch_ns))
    fresh.replace(file)
    return file


def countries_of(countries: Countries, addresses: list[str | None]) -> list[str]:
    return countries.put_country(pl.DataFrame({"client_address": addresses}))["country"].to_list()


def test_known_blocks_have_their_country_and_the_rest_is_zz() -> None:
    """Addresses that the registries gave to one country decades ago; private, odd and missing ones are unknown."""
    found = Countries().put_country(pl.DataFrame({"client_address": ADDRESSES}))
    assert found["country"].to_list() == ["US", "NL", "US", UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, "US"]
    assert found["client_address"].to_list() == ADDRESSES


def test_the_operators_table_decides_and_says_nothing_of_private_addresses(tmp_path: Path) -> None:
    """Its word is taken in the three forms that providers use; of a private network it is not, whatever it says."""
    forms = {
        "8.8.8.0/24": {"country": {"iso_code": "FR", "names": {"en": "France"}}, "city": {"names": {"en": "Lyon"}}},
        "193.0.0.0/16": {"country_code": "be"},
        "2001:4860::/32": {"country": "CH"},
        "10.0.0.0/8": {"country": {"iso_code": "LU"}},
        "9.9.9.0/24": {"country": {"iso_code": "Lyon"}},
    }
    countries = Countries(written(tmp_path / "country.mmdb", forms))
    expected = ["FR", "BE", "CH", UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, "FR"]
    assert countries_of(countries, ADDRESSES) == expected
    assert countries_of(countries, ["9.9.9.9", "1.1.1.1", "::ffff:8.8.8.8"])[:2] == [UNKNOWN, UNKNOWN]


def test_a_changed_file_is_taken_up_with_the_next_batch(tmp_path: Path) -> None:
    """The version that the ledger keeps and the table that a batch is read by change together."""
    file = written(tmp_path / "country.mmdb", {"8.8.8.0/24": {"country_code": "FR"}})
    countries = Countries(file)
    before = countries.version()
    written(file, {"8.8.8.0/24": {"country_code": "DE"}}, epoch_ns=2)
    assert countries_of(countries, ["8.8.8.8"]) == ["FR"]
    assert countries.version().startswith("country.mmdb/")
    assert before.startswith("country.mmdb/")
    assert countries_of(countries, ["8.8.8.8"]) == ["DE"]


def test_a_file_that_breaks_leaves_the_table_before_in_force(tmp_path: Path) -> None:
    """Half a download must not stop the counting, nor turn everybody's country to unknown."""
    file = written(tmp_path / "country.mmdb", {"8.8.8.0/24": {"country_code": "FR"}})
    countries = Countries(file)
    file.write_bytes(file.read_bytes()[:100])
    countries.version()
    assert countries_of(countries, ["8.8.8.8"]) == ["FR"]
    file.unlink()
    countries.version()
    assert countries_of(countries, ["8.8.8.8"]) == ["FR"]


def test_a_wrong_file_stops_the_start_with_what_to_do(tmp_path: Path) -> None:
    """Missing, no database, a database without countries."""
    missing, text = tmp_path / "missing.mmdb", tmp_path / "text.mmdb"
    text.write_text("countries")
    numbers = written(tmp_path / "asn.mmdb", {"8.8.8.0/24": {"autonomous_system_number": 15169}})
    for file, words in ((missing, "is not there"), (text, "cannot be read"), (numbers, "has no countries")):
        with pytest.raises(Fatal, match=words):
            Countries(file)
