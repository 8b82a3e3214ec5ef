"""What every command file shares: settings, time, and how a result is printed."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from services.runtime.clock import Clock
    from services.runtime.settings import Settings

__all__ = ["clock", "note", "os_user", "print_result", "print_table", "require_files", "service_settings", "settings"]

_PIPE_CHARACTERS = 1000  # of a line that no terminal limits: what searches it finds a row in one line


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
    """A table for people; numbers right-aligned. Colours obey NO_COLOR. Nothing is cut, and no word is broken: what
    does not fit the terminal is printed as a block a row. A pipe is as wide as the table."""
    from rich.console import Console

    console, cells = Console(), [[_cell(value) for value in row] for row in rows]
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _PIPE_CHARACTERS
    natural = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    words = [_longest_word(column) for column in zip(columns, *cells, strict=True)]
    gap = next((gap for gap in (2, 1) if sum(words) + gap * (len(words) - 1) <= console.width), None)
    if title:
        console.print(title, markup=False)
    if gap is None and rows:
        _print_blocks(console, columns, cells)
        return
    whole = _kept_whole(natural, words, console.width - (gap or 1) * (len(words) - 1))
    numeric = [bool(rows) and all(isinstance(row[number], int | float) for row in rows) for number in range(len(words))]
    _print_rows(console, columns, cells, whole=whole, numeric=numeric, is_narrow=gap != 2)


def _print_rows(
    console: Console,
    columns: Sequence[str],
    cells: Sequence[Sequence[str]],
    *,
    whole: Collection[int],
    numeric: Sequence[bool],
    is_narrow: bool,
) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold", collapse_padding=is_narrow)
    for number, column in enumerate(columns):
        justify: Literal["right", "left"] = "right" if numeric[number] else "left"
        table.add_column(column, justify=justify, overflow="fold", no_wrap=number in whole)
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)


def _kept_whole(natural: Sequence[int], words: Sequence[int], room: int) -> Collection[int]:
    """The columns that need no second line: first where it costs least (ids, times), while the others have room for
    their longest words."""
    whole: set[int] = set()
    for number in sorted(range(len(natural)), key=lambda number: natural[number] - words[number]):
        if sum(words) + natural[number] - words[number] + sum(natural[n] - words[n] for n in whole) <= room:
            whole.add(number)
    return whole


def _print_blocks(console: Console, columns: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    from rich.text import Text

    margin = max(map(len, columns)) + 2
    for number, row in enumerate(cells):
        lines = [f"{column:<{margin}}{cell}" for column, cell in zip(columns, row, strict=True)]
        console.print(Text("\n".join(["", *lines] if number else lines)), soft_wrap=True)


def _longest_word(texts: Sequence[str]) -> int:
    return max((len(word) for text in texts for word in text.split()), default=0)


def _cell(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return "-" if value is None else ("yes" if value else "no")
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, Mapping):
        return ", ".join(f"{k}={v}" for k, v in value.items())
    return str(value)


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
