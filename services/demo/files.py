"""The made-up logs and accounts as files, as a system administrator would find them."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path

from services.demo.people import members
from services.demo.tenants import Club
from services.demo.traffic import log_days

__all__ = ["accounts_file", "log_file"]

_ZIPPED = "nginx_json"  # one of the logs comes rotated and compressed, as most do
_GZIP_LEVEL = 1


def log_file(folder: Path, club: Club, first: date, days: int) -> Path:
    """The club's log of these days; the same bytes on every call, written once."""
    path = folder / f"{club.source}.log{'.gz' if club.log_format == _ZIPPED else ''}"
    text = (f"{line}\n" for day in log_days(club, first, days) for line in day)
    return path if path.exists() else _write(path, "".join(text).encode())


def accounts_file(folder: Path, club: Club) -> Path:
    path = folder / f"{club.tenant}-accounts.csv"
    rows = [asdict(member) for member in members(club)]
    return path if path.exists() else _write(path, _as_csv(rows))


def _as_csv(rows: Sequence[dict[str, str]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _write(path: Path, data: bytes) -> Path:
    """Renamed into place, so that a demo stopped here starts over."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}")
    beside.write_bytes(gzip.compress(data, _GZIP_LEVEL, mtime=0) if path.suffix == ".gz" else data)
    return beside.rename(path)
