"""What a command may ask of the process that owns the embedded store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from services.runtime.control import Operation
from services.stats.close import close_through
from services.stats.service import Statistics

__all__ = ["close", "operations"]

COMMAND = "stats-command"  # holds the closing lease under a name of its own, beside the timer


def operations(statistics: Statistics, wait: Callable[[], None]) -> Mapping[str, Operation]:
    return {"close": lambda arguments: close(statistics, wait, arguments)}


def close(statistics: Statistics, wait: Callable[[], None], arguments: Mapping[str, Any]) -> list[dict[str, str]]:
    """`{"through": "2026-11-23"}` -> the days that it closed, as `{"tenant", "day"}`."""
    closed = close_through(statistics.closer(wait, COMMAND), date.fromisoformat(arguments["through"]))
    return [{"tenant": day.tenant, "day": day.day.isoformat()} for day in closed]
