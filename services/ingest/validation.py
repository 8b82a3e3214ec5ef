"""Which rows are accepted, and why the others are not: one reason a row, the first that holds."""

from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl

from services.ingest.accounting import RejectReason

__all__ = ["EARLIEST", "FUTURE_MAX", "reasons"]

FUTURE_MAX = timedelta(hours=24)  # clocks and zones go wrong by hours; a later time would never be deleted in time
EARLIEST = datetime(2000, 1, 1)  # noqa: DTZ001  # naive UTC as in every frame; before it, a clock that was never set
_STATUS_MIN, _STATUS_MAX = 100, 599
_REFUSED = 400  # from here on the server itself found no request in it


def reasons(received_at: datetime) -> pl.Expr:
    """`reason` (null = accepted), over the columns of `RAW` plus `client_address` and `code` (status as a number)."""
    latest = received_at.replace(tzinfo=None) + FUTURE_MAX
    code, time = pl.col("code"), pl.col("time")
    checks = [
        (pl.col("time_text").is_not_null() & time.is_null(), RejectReason.BAD_TIMESTAMP),
        (time < EARLIEST, RejectReason.BAD_TIMESTAMP),
        (time > latest, RejectReason.FUTURE_TIMESTAMP),
        (pl.col("address").is_null(), RejectReason.MISSING_FIELD),
        (pl.col("client_address").is_null(), RejectReason.BAD_ADDRESS),
        (
            pl.col("status").is_not_null() & ~code.is_between(_STATUS_MIN, _STATUS_MAX).fill_null(False),
            RejectReason.BAD_STATUS,
        ),
        (pl.col("target").is_null() & ~(code >= _REFUSED).fill_null(False), RejectReason.BAD_REQUEST),
    ]
    found = [pl.when(failed).then(pl.lit(reason.value)) for failed, reason in checks]
    return pl.coalesce("shape", *found).alias("reason")
