"""Late hits: rows of a day that is closed. Told as requests in the tenant's total of the day they arrive on.

Their own day's figures are final and its key is gone, so they cannot be counted there, nor as visitors. They become
rows of the day of their arrival, with its key, and without all that is not needed to count and to protect them: so
the disclosure rule holds for them as for every other cell, and they leave with that day. ADR 0143.
"""

from __future__ import annotations

from datetime import date

import polars as pl

from services.stats.pseudonyms.digests import DayKeys

__all__ = ["blank_late", "move_late"]

_KEPT = frozenset({"tenant", "event_day", "visitor", "network", "account", "bot_class", "late"})


def move_late(dated: pl.DataFrame, keys: DayKeys, today: date) -> pl.DataFrame:
    """Adds `late` (UInt8): 1 for rows of a (tenant, event_day) without a key, whose `event_day` becomes `today`."""
    closed = [pair for pair, key in keys.items() if key is None]
    if not closed:
        return dated.with_columns(pl.lit(0, dtype=pl.UInt8).alias("late"))
    schema = {"tenant": pl.String, "event_day": pl.Date}
    gone = pl.DataFrame(closed, schema=schema, orient="row").with_columns(pl.lit(1, dtype=pl.UInt8).alias("late"))
    marked = dated.join(gone, on=["tenant", "event_day"], how="left", maintain_order="left")
    late = pl.col("late").fill_null(0)
    day = pl.when(late == 1).then(pl.lit(today)).otherwise("event_day")
    return marked.with_columns(late.alias("late"), day.alias("event_day"))


def blank_late(events: pl.DataFrame) -> pl.DataFrame:
    """Late rows without time, route and all else that is not counted of them."""
    if not events["late"].sum():
        return events
    empty = {name: pl.lit("") if dtype == pl.String else pl.lit(0) for name, dtype in events.schema.items()}
    empty["time"] = pl.col("event_day").cast(pl.Datetime("ms"))
    late = pl.col("late") == 1
    return events.with_columns(
        pl.when(late).then(empty[name]).otherwise(name).cast(dtype).alias(name)
        for name, dtype in events.schema.items()
        if name not in _KEPT
    )
