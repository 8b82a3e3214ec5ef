"""Times as servers write them -> naive UTC milliseconds; null where the text is none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl

__all__ = ["any_time", "clf_time", "is_whole_time", "read_time"]

_CLF = "%d/%b/%Y:%H:%M:%S %z"
_ISO = "%Y-%m-%dT%H:%M:%S%.f%z"
_NUMBER = r"^[0-9]{1,19}(?:\.[0-9]{1,9})?$"
_NO_ZONE = r"^([^T]+T[0-9:.,]+)$"
_ZONES = ("%z", "%:z", "%#z", "%+")
_KNOWN = datetime(2026, 11, 22, 21, 46, 21, tzinfo=UTC)
_SECONDS_LEFT_OUT = timedelta(minutes=1)
# Where a number of seconds would lie beyond the year 5138 it is milliseconds, and so on.
_SECONDS_MAX, _MILLIS_MAX, _MICROS_MAX = 1e11, 1e14, 1e17


def clf_time(text: pl.Series) -> pl.Series:
    """`01/Nov/2026:09:30:00 +0100`, as `$time_local` and `%t` write it."""
    return _utc(text.str.to_datetime(_CLF, time_unit="ms", strict=False))


def read_time(text: pl.Series, written: str) -> pl.Series:
    """`written`: "clf", "any" (what `any_time` takes), or a strptime format of chrono (what polars takes);
    one without a zone is UTC."""
    if text.null_count() == text.len():
        return pl.Series(text.name, [None], dtype=pl.Datetime("ms")).new_from_index(0, text.len())
    if written in {"any", "clf"}:
        return any_time(text) if written == "any" else clf_time(text)
    if any(zone in written for zone in _ZONES):
        return _utc(text.str.to_datetime(written, time_unit="ms", strict=False))
    return text.str.to_datetime(written, time_unit="ms", strict=False)


def is_whole_time(written: str) -> bool:
    """Whether a strptime format says the date, the hour and the minute, in words that are read: one known time,
    written so, must come back."""
    if "%f" in written:  # a number of ns to chrono, which warns of it; no strftime of a server has it
        return False
    try:
        text = pl.Series([_KNOWN], dtype=pl.Datetime("ms", "UTC")).dt.strftime(written)
        found = read_time(text, written)[0]
    except pl.exceptions.PolarsError:
        return False
    return found is not None and timedelta() <= _KNOWN.replace(tzinfo=None) - found < _SECONDS_LEFT_OUT


def any_time(text: pl.Series) -> pl.Series:
    """CLF, ISO 8601 (without a zone it is UTC) or an epoch in s, ms, us or ns."""
    if text.null_count() == text.len():
        return pl.Series(text.name, [None], dtype=pl.Datetime("ms")).new_from_index(0, text.len())
    numbers = text.str.contains(_NUMBER)
    found = _epoch(text.set(~numbers, None)) if numbers.any() else None
    for parse in (_iso, clf_time):
        if found is not None and found.null_count() == text.null_count():
            return found
        parsed = parse(text)
        found = parsed if found is None else found.zip_with(found.is_not_null(), parsed)
    assert found is not None
    return found


def _iso(text: pl.Series) -> pl.Series:
    """As nginx writes it; the other spellings are only tried on what is left."""
    found = _iso_exactly(text)
    if found.null_count() == text.null_count():
        return found
    left = text.set(found.is_not_null(), None).str.replace(r"^(\d{4}-\d\d-\d\d) ", "${1}T")
    left = left.str.replace(r" ([+-]\d\d:?\d\d)$", "${1}").str.replace(",", ".", literal=True)  # Python's logging
    left = left.str.replace(r"[Zz]$", "+00:00").str.replace(_NO_ZONE, "${1}+00:00")
    return found.zip_with(found.is_not_null(), _iso_exactly(left))


def _iso_exactly(text: pl.Series) -> pl.Series:
    return _utc(text.str.to_datetime(_ISO, time_unit="ms", strict=False))


def _epoch(text: pl.Series) -> pl.Series:
    frame = text.cast(pl.Float64, strict=False).alias("n").to_frame()
    n = pl.col("n")
    millis = (
        pl.when(n < _SECONDS_MAX).then(n * 1000)
        .when(n < _MILLIS_MAX).then(n)
        .when(n < _MICROS_MAX).then(n / 1000)
        .otherwise(n / 1_000_000)
    )  # fmt: skip
    return frame.select(millis.round().cast(pl.Int64).cast(pl.Datetime("ms")).alias(text.name)).to_series()


def _utc(times: pl.Series) -> pl.Series:
    return times.dt.convert_time_zone("UTC").dt.replace_time_zone(None).cast(pl.Datetime("ms"))
