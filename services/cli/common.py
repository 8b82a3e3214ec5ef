"""What every command file shares: settings, time, and how a result is printed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from services.runtime.clock import Clock
    from services.runtime.settings import Settings

__all__ = ["clock", "note", "print_result", "print_table", "service_settings", "settings"]


def settings() -> Settings:
    """The settings in force here: ./voile.toml (or $VOILE_CONFIG) and VOILE_* variables.

    A command's result is what it prints: what goes as it should is logged by services, or with `log_level = "debug"`.
    """
    from services.runtime.settings import load_settings

    loaded = load_settings()
    _log("cli", "warning" if loaded.log_level == "info" else loaded.log_level)
    return loaded


def service_settings(service: str) -> Settings:
    """As `settings`, for a command that is itself the service."""
    loaded = settings()
    _log(service, loaded.log_level)
    return loaded


def _log(service: str, level: str) -> None:
    from services.runtime.logs import configure_logs

    configure_logs(service, level)


def clock() -> Clock:
    from services.runtime.clock import SystemClock

    return SystemClock()


def print_result(value: Any, as_json: bool, render: Callable[[Any], None]) -> None:
    """One JSON object (or array) on stdout for programs, `render` for people."""
    if as_json:
        sys.stdout.write(json.dumps(value, default=str, ensure_ascii=False) + "\n")
    else:
        render(value)


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table for people; numbers right-aligned. Colours obey NO_COLOR."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title or None, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for number, column in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[number], int | float) for row in rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    Console().print(table)


def _cell(value: Any) -> str:
    from rich.markup import escape

    if isinstance(value, bool) or value is None:
        return "-" if value is None else ("yes" if value else "no")
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, Mapping):
        return ", ".join(f"{k}={v}" for k, v in value.items())
    return escape(str(value))


def note(text: str) -> None:
    """A remark for people: on stderr, so that stdout stays the result."""
    print(text, file=sys.stderr)
