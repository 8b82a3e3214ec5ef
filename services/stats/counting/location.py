"""Where a client is: a country, from tables of the regional registries that are compiled into `iptocc`, or from the
operator's own `.mmdb` file (`statistics.countries`). Nothing finer than a country is ever read from it.
"""

from __future__ import annotations

import ipaddress
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import iptocc
import maxminddb
import polars as pl

from services.runtime.errors import Fatal
from services.runtime.logs import get_logger
from services.stats.distinct import put_per_distinct

__all__ = ["UNKNOWN", "Countries"]

UNKNOWN = "ZZ"  # ISO 3166-1 keeps ZZ for private use; CLDR gives it to "unknown region"
_PROBED = 1000  # networks looked at for a country: the first ones of a file may be reserved
_Stamp = tuple[int, int, int]  # inode, time of change in ns, bytes


class Countries:
    """The table in force. Without a `file`, that of the registries. Use from one thread.

    Raises `Fatal` when `file` is missing, is no MaxMind DB, or knows no countries.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._stamp: _Stamp | None = None
        self._reader: maxminddb.Reader | None = None
        if file is not None:
            self._stamp, self._reader = _stamp(file), _open(file)

    def put_country(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Adds `country`, ISO 3166-1 alpha-2 or `ZZ`, from `client_address`."""
        return put_per_distinct(frame, ["client_address"], self._put_countries)

    def version(self) -> str:
        """Of the table in force. A changed file is taken up here, so that a batch is read by one table alone; a wrong
        one changes nothing."""
        if self._file is None:
            return version("iptocc")
        self._renew(self._file)
        assert self._reader is not None
        return f"{self._file.name}/{self._reader.metadata().build_epoch}"

    def _renew(self, file: Path) -> None:
        if (found := _stamp(file)) == self._stamp:
            return
        self._stamp = found
        try:
            self._reader = _open(file)
            get_logger().info("countries taken up")
        except Fatal:
            get_logger().warning("countries not taken up; the table before stays in force")

    def _put_countries(self, distinct: pl.DataFrame) -> pl.DataFrame:
        addresses = distinct["client_address"].fill_null("").to_list()
        found = iptocc.country_code(addresses) if self._reader is None else _countries(self._reader, addresses)
        return distinct.with_columns(pl.Series("country", found, dtype=pl.String).fill_null(UNKNOWN))


def _countries(reader: maxminddb.Reader, addresses: Sequence[str]) -> list[str | None]:
    return [_country_of(reader.get(address)) if _is_public(address) else None for address in addresses]


def _is_public(address: str) -> bool:
    """Not private, reserved or no address at all: a table may say anything about those."""
    try:
        return ipaddress.ip_address(address).is_global
    except ValueError:
        return False


def _country_of(record: Any) -> str | None:
    """`{"country": {"iso_code": "FR"}}` (MaxMind, DB-IP), `{"country_code": "FR"}` or `{"country": "FR"}` (others)."""
    if not isinstance(record, Mapping):
        return None
    country = record.get("country")
    code = country.get("iso_code") if isinstance(country, Mapping) else record.get("country_code") or country
    if not isinstance(code, str) or len(code) != 2 or not code.isascii() or not code.isalpha():
        return None
    return code.upper()


def _open(file: Path) -> maxminddb.Reader:
    """Of a copy without a name: it is mapped into memory, and a file written over in place would pull it away."""
    try:
        with tempfile.NamedTemporaryFile() as copy:
            shutil.copyfile(file, copy.name)
            reader = maxminddb.open_database(copy.name)
    except FileNotFoundError:
        raise Fatal(f"statistics.countries: {file} is not there; give the path of a .mmdb file.") from None
    except (OSError, maxminddb.InvalidDatabaseError):
        raise Fatal(f"statistics.countries: {file} cannot be read as a MaxMind DB (.mmdb); fetch it again.") from None
    if not any(_known(reader)):
        raise Fatal(f"statistics.countries: {file} has no countries; give a country or city database.")
    return reader


def _known(reader: maxminddb.Reader) -> Iterator[bool]:
    return (_country_of(record) is not None for _, record in islice(reader, _PROBED))


def _stamp(file: Path) -> _Stamp | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
