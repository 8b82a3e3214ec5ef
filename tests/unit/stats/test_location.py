"""Countries of addresses."""

from __future__ import annotations

import polars as pl

from services.stats.location import UNKNOWN, put_country


def test_known_blocks_have_their_country_and_the_rest_is_zz() -> None:
    """Addresses that the registries gave to one country decades ago; private, odd and missing ones are unknown."""
    addresses = ["8.8.8.8", "193.0.6.139", "2001:4860:4860::8888", "10.0.0.1", "no address", "", None, "8.8.8.8"]
    found = put_country(pl.DataFrame({"client_address": addresses}))
    assert found["country"].to_list() == ["US", "NL", "US", UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, "US"]
    assert found["client_address"].to_list() == addresses
