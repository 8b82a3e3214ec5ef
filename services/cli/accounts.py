"""voile accounts: the accounts of a tenant's members."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from services.enricher.persons.accounts import Imported

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _accounts() -> None:
    """The accounts of a tenant's members."""


@app.command("import", epilog="Example: voile accounts import members.csv --tenant chess-club")
def import_(
    file: Annotated[Path, typer.Argument(help="CSV; first line: account,name,email,postal_address,phone")],
    tenant: Annotated[str, typer.Option(help="Whose accounts they are.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Take in accounts from a CSV file; a newer import of the same account replaces it.

    Every good row is taken. Rows that are not are listed by line and reason, and the exit code is 1.
    """
    from dataclasses import asdict

    from services.cli import common, identity
    from services.runtime.errors import Fatal

    if not file.is_file():
        raise Fatal(f"There is no file {file}.")
    with identity.opened() as plane, file.open(encoding="utf-8", errors="replace", newline="") as lines:
        identity.require_tenant(plane, tenant)
        result = plane.accounts.import_csv(tenant, lines)
    common.print_result(asdict(result), as_json, lambda _: _render(result))
    if result.rejected:
        raise typer.Exit(1)


def _render(result: Imported) -> None:
    from services.cli import common

    print(f"{result.accepted:,} of {result.lines:,} accounts taken.")
    if result.errors:
        common.print_table("Not taken", ("line", "reason"), [list(error) for error in result.errors])
