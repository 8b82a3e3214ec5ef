"""`voile`: finds the command's file by its first word and loads only that one, so that a start stays fast."""

from __future__ import annotations

import errno
import importlib
import os
import re
import sys
import traceback
from pathlib import Path
from typing import NamedTuple

import typer
import typer.core
import typer.main

__all__ = ["COMMANDS", "Entry", "main"]


_UNSEEN = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")  # all but the line feed

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_FULL = "a disk is full; make room and give the command again (what was stored before is safe)."


class Entry(NamedTuple):
    """One first word of the command line: the module that has its `app`, and one line of help."""

    module: str
    help: str
    group: bool = True


COMMANDS: dict[str, Entry] = {
    "demo": Entry("demo", "See the whole product work, on made-up or on your own access logs.", group=False),
    "init": Entry("init", "Write a commented voile.toml and the keys.", group=False),
    "up": Entry("up", "Run every service on this machine.", group=False),
    "import": Entry("imports", "Import access log files.", group=False),
    "source": Entry("source", "Log sources and their keys."),
    "formats": Entry("formats", "The log formats Voile reads."),
    "tenant": Entry("tenant", "Client organisations."),
    "retention": Entry("retention", "How long each type of data is kept, and the proof of it."),
    "accounts": Entry("accounts", "The accounts of a tenant's members."),
    "activity": Entry("activity", "One person's linked activity, under policy, audited."),
    "rights": Entry("rights", "Requests of one person, as cases."),
    "audit": Entry("audit", "The record of every look at personal data."),
    "stats": Entry("stats", "Query the statistics; close days."),
    "release": Entry("release", "Partner releases: build, verify, publish, withdraw."),
    "partner": Entry("partner", "Partners: who gets releases, under which terms, and what they took."),
    "keys": Entry("keys", "The keys that wrap the keys of persons: status, rotate."),
    "user": Entry("user", "People who log in to the pages, and API keys."),
    "ingest": Entry("ingest", "The ingest service alone."),
    "enricher": Entry("enricher", "The identity services alone."),
    "kafka": Entry("kafka", "Topics and rights on Kafka."),
    "db": Entry("db", "The planes' stores: upgrade, status."),
    "backup": Entry("backup", "Copy what must not be lost into a folder.", group=False),
    "restore": Entry("restore", "Put a backup back.", group=False),
    "promises": Entry("promises", "What was promised, and whether this installation keeps it.", group=False),
    "doctor": Entry("doctor", "Check settings, stores, keys, permissions and disk."),
    "test": Entry("checks", "Lint, types, import contracts and the whole test suite.", group=False),
}


class _LazyGroup(typer.core.TyperGroup):
    """Only the asked-for command's module is imported; the overview needs none."""

    def list_commands(self, ctx):  # type: ignore[no-untyped-def]  # noqa: ARG002  # typer vendors click's types
        return list(COMMANDS)

    def get_command(self, ctx, cmd_name):  # type: ignore[no-untyped-def]  # typer vendors click's types
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        if ctx.resilient_parsing or _asks_for_overview():
            return typer.core.TyperCommand(cmd_name, short_help=entry.help, help=entry.help)
        app: typer.Typer = importlib.import_module(f"services.cli.{entry.module}").app
        app._add_completion = False
        command = typer.main.get_group(app) if entry.group else typer.main.get_command(app)
        command.name = cmd_name
        return command


def _asks_for_overview() -> bool:
    return not [a for a in sys.argv[1:] if a not in {"--help", "-h"}]


_root = typer.Typer(
    cls=_LazyGroup,
    name="voile",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # a traceback would print local variables: personal data
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib import metadata

        try:
            typer.echo(f"voile {metadata.version('voile')}")
        except metadata.PackageNotFoundError:
            typer.echo("voile (from a checkout)")
        raise typer.Exit


@_root.callback()
def _voile(
    version: bool = typer.Option(
        False, "--version", help="Print the version and exit.", is_eager=True, callback=_print_version
    ),
) -> None:
    """Access logs for two needs that never mix.

    Who did what: one person's activity, under control. How the service is used: statistics that identify nobody.

    Start with: voile demo
    """


def main() -> None:
    """Exit codes: 0 done, 1 failed, 2 wrong use, setting, key or permission."""
    from services.runtime.errors import Fatal, VoileError, WrongUse

    try:
        _root(prog_name="voile")
    except (Fatal, WrongUse) as error:
        _fail(str(error), 2)
    except VoileError as error:
        _fail(str(error), 1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader of our output went away
        sys.exit(1)
    except OSError as error:
        if "VOILE_TRACEBACK" in os.environ:
            raise
        _fail(*_file_trouble(error))
    except Exception as error:
        if "VOILE_TRACEBACK" in os.environ:
            raise
        _fail(_FULL if _is_full(error) else _where(error), 1)


def _file_trouble(error: OSError) -> tuple[str, int]:
    """A folder or file that cannot be used is for the operator to mend; another error of the system is a defect."""
    if error.errno in _NO_ROOM:
        return _FULL, 1
    if error.filename is None:
        return _where(error), 1
    return f"{error.filename} cannot be used: {error.strerror}; check the path, its owner and its permissions.", 2


def _is_full(error: Exception) -> bool:
    """A file of SQLite's that the command itself writes, such as a backup's."""
    return getattr(getattr(error, "orig", error), "sqlite_errorname", "") == "SQLITE_FULL"


def _where(error: Exception) -> str:
    """Type and place of a defect, never its text: that may quote what came with an event."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"internal error {type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}. Stored data is safe. "
        "Report it with the output of VOILE_TRACEBACK=1 (look through that first: it may hold personal data)."
    )


def _fail(message: str, code: int) -> None:
    # a file's name may hold what a terminal obeys, and whoever can make files chose it
    print("voile: " + _UNSEEN.sub("\ufffd", message), file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
