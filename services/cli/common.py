"""What every command file shares: settings, time, and how a result is printed."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from services.runtime.clock import Clock
    from services.runtime.settings import Settings

__all__ = ["clock", "note", "os_user", "print_result", "print_table", "require_files", "service_settings", "settings"]


def settings() -> Settings:
    """The settings in force here: ./voile.toml (or $VOILE_CONFIG) and VOILE_* variables.

    A command's result is what it prints: what goes as it should is logged by services, or with `log_level = "debug"`.
    """
    from services.runtime.settings import load_settings, settings_file

    loaded = load_settings()
    if settings_file() is None and "VOILE_DATA" not in os.environ:
        note(f"There is no voile.toml here and VOILE_CONFIG is not set: working in {loaded.data.absolute()}.")
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


def require_files(names: Sequence[str]) -> None:
    """Before anything is done: a typing mistake in the last name is said at once. "-" is standard input."""
    from pathlib import Path

    from services.runtime.errors import Fatal

    for name in names:
        if name != "-" and not Path(name).is_file():
            raise Fatal(_why_no_file(Path(name)))


def _why_no_file(path: Path) -> str:
    if path.is_dir():
        return f"{path} is a folder; name the files in it, such as {path / '*.log'}."
    if path.exists():
        return f"{path} is no file but a device or a pipe; a pipe is read with - and: < {path}"
    return f"There is no file {path}."


def os_user() -> str:
    """How records name whoever gives a command: the account of the system, which people who sign in cannot be."""
    import pwd

    number = os.getuid()
    try:
        name = pwd.getpwuid(number).pw_name
    except KeyError:
        name = f"uid-{number}"  # in a container without a passwd entry
    return f"os:{name}"


def note(text: str) -> None:
    """A remark for people: on stderr, so that stdout stays the result."""
    print(text, file=sys.stderr)
