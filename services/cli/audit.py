"""voile audit: the record of every look at personal data."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

if TYPE_CHECKING:
    from services.enricher.audit.log import Logged
    from services.enricher.audit.proof import Verdict

app = typer.Typer(no_args_is_help=True)
DAY = ["%Y-%m-%d"]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


class Form(StrEnum):
    """How entries are written."""

    NDJSON = "ndjson"
    CSV = "csv"


@app.callback()
def _audit() -> None:
    """The record of every look at personal data."""


@app.command(epilog="Example: voile audit verify --checkpoint /mnt/elsewhere/audit-checkpoint-of-january")
def verify(
    checkpoint: Annotated[Path | None, typer.Option(help="An older checkpoint that was kept elsewhere.")] = None,
    as_json: Json = False,
) -> None:
    """Prove that no entry was changed, removed or put in. Exit code 1 when one was.

    Copy the file audit-checkpoint of the data folder to another machine now and then: only such a copy can tell when
    somebody who owns this machine rewrites everything on it.
    """
    from dataclasses import asdict

    from services.cli import common
    from services.enricher.audit.log import checkpoint_path
    from services.enricher.audit.proof import verify as prove
    from services.enricher.records import MIGRATIONS
    from services.runtime.database import check_schema, open_records
    from services.runtime.keys import open_keys

    settings = common.settings()
    records = open_records(settings.url(settings.identity.records))
    check_schema(records, MIGRATIONS)
    keys = open_keys(settings.url(settings.identity.keys))
    verdict = prove(records, keys, checkpoint_path(settings.data.absolute()), checkpoint)
    common.print_result({"whole": verdict.whole, **asdict(verdict)}, as_json, lambda _: _render(verdict))
    if not verdict.whole:
        raise typer.Exit(1)


@app.command("list", epilog="Example: voile audit list --tenant chess-club --outcome refused")
def list_(
    *,
    tenant: Annotated[str, typer.Option(help="Only entries of this tenant.")] = "",
    actor: Annotated[str, typer.Option(help="Only looks of this person.")] = "",
    outcome: Annotated[str, typer.Option(help="granted or refused.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, newest first.")] = 50,
    as_json: Json = False,
) -> None:
    """List the newest entries, with the reasons that were given. Reading the log is recorded in it."""
    from services.cli import common
    from services.cli.access import opened_access, operator

    wanted = {"tenant": tenant, "actor": actor, "outcome": outcome}
    with opened_access() as (_, access):
        found = access.auditing.entries(operator(), limit, {name: value for name, value in wanted.items() if value})
    rows = [{"position": entry.position, **entry.leaf, "reason": entry.reason} for entry in found]
    common.print_result(rows, as_json, lambda _: _table(found))


@app.command(epilog="Example: voile audit export --since 2026-01-01 --output audit-2026.ndjson")
def export(
    *,
    output: Annotated[Path, typer.Option(help="The file to write; it must not exist.")],
    form: Annotated[Form, typer.Option("--format", help="A line an entry, in either.")] = Form.NDJSON,
    since: Annotated[datetime | None, typer.Option(formats=DAY, help="From this day on (UTC).")] = None,
    until: Annotated[datetime | None, typer.Option(formats=DAY, help="Up to this day, with it (UTC).")] = None,
    tenant: Annotated[str, typer.Option(help="Only entries of this tenant.")] = "",
    actor: Annotated[str, typer.Option(help="Only looks of this person.")] = "",
    ticket: Annotated[str, typer.Option(help="Only entries for this ticket.")] = "",
) -> None:
    """Write every entry that fits, oldest first. The export is recorded in the log before it is written."""
    from services.cli import common
    from services.cli.access import opened_access, operator
    from services.enricher.audit.export import write
    from services.enricher.audit.reading import Wanted

    equal = {name: value for name, value in {"tenant": tenant, "actor": actor, "ticket": ticket}.items() if value}
    end = until + timedelta(days=1) if until else None
    first, last = (f"{day:%Y-%m-%d}" if day else "" for day in (since, end))
    wanted = Wanted(equal, first, last)
    with opened_access() as (_, access), _new_file(output) as file:
        for line in write(access.auditing.export(operator(), wanted, form.value), form.value):
            file.write(line)
    common.note(f"Written to {output}; it names who looked, keep it as carefully as the log.")


@app.command(epilog="Example: voile audit report --tenant chess-club --account 42 --json")
def report(
    *,
    tenant: Annotated[str, typer.Option(help="Whose account it is.")],
    account: Annotated[str, typer.Option(help="The tenant's account id.")],
    names: Annotated[bool, typer.Option("--names", help="Staff by name, not by role alone.")] = False,
    as_json: Json = False,
) -> None:
    """Who looked at one person's data, for that person. An access package has the same.

    By role: a person learns when and what for; who it was only where that is needed to judge it (CJEU, C-579/21).
    """
    from dataclasses import asdict

    from services.cli import common
    from services.cli.access import opened_access, operator

    with opened_access() as (_, access):
        looks = access.auditing.report(operator(), tenant, account, names=names)
    columns = ("time (UTC)", "who", "what", "for")
    rows = [
        [look.time[:19].replace("T", " "), look.actor or look.role, " ".join([look.action, *look.fields]),
         f"{look.purpose} {look.ticket}".strip()]
        for look in looks
    ]  # fmt: skip
    common.print_result([asdict(look) for look in looks], as_json, lambda _: common.print_table("", columns, rows))


@contextlib.contextmanager
def _new_file(path: Path) -> Iterator[TextIO]:
    """For its owner alone, and gone again when it cannot be whole: a part of it would pass for all. Raises `WrongUse`
    when it is there already or cannot be."""
    with _made(path) as file:
        try:
            yield file
            file.flush()
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def _made(path: Path) -> TextIO:
    import os

    from services.runtime.errors import WrongUse

    try:
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8", newline="")
    except FileExistsError:
        raise WrongUse(f"{path} is there already; give another --output.") from None
    except OSError as error:
        raise WrongUse(f"{path} cannot be written ({type(error).__name__}); give another --output.") from None


def _table(found: Sequence[Logged]) -> None:
    from services.cli import common

    columns = ("entry", "time (UTC)", "who did what", "about", "reason")
    common.print_table("", columns, [_row(entry) for entry in found])


def _row(entry: Logged) -> list[Any]:
    leaf = entry.leaf
    what = " ".join([leaf["actor"], leaf["action"], *leaf["fields"]])
    person = f"{leaf['tenant']}/{leaf['subject'][:8]}".strip("/")
    about = " ".join(part for part in (person, leaf["purpose"], leaf["ticket"]) if part)
    return [entry.position, leaf["time"][:19].replace("T", " "), f"{what}: {leaf['outcome']}", about, entry.reason]


def _render(verdict: Verdict) -> None:
    from services.cli import common

    if not verdict.whole:
        print(f"NOT whole. {verdict.problem}")
        return
    signed = f"{verdict.checkpoints:,} signed checkpoint{'s' * (verdict.checkpoints != 1)}"
    print(f"Whole: {verdict.entries:,} entries, {signed}, root {verdict.root[:16]}...")
    if not verdict.outside:
        common.note("There is no audit-checkpoint file here: a cut at the end of the log could not have been noticed.")
