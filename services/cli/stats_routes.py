"""voile stats routes: the route templates that Voile proposes, and what is decided about them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from services.stats.closing.proposals import Proposal, Proposals

HELP = "Route templates that Voile proposes: list, accept, refuse.\n\nExample: voile stats routes list"
app = typer.Typer(help=HELP, no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Tenant = Annotated[str, typer.Argument(help="Whose route it is.")]
Template = Annotated[str, typer.Argument(help="The template, as voile stats routes list shows it.")]
_COLUMNS = ("tenant", "template", "state", "proposed_on", "holds_from", "holds_to")


@app.command("list", epilog="Example: voile stats routes list --tenant chess-club")
def list_routes(
    tenant: Annotated[list[str] | None, typer.Option(help="Only of this tenant; may be repeated.")] = None,
    as_json: Json = False,
) -> None:
    """List what was proposed: what waits for a decision first."""
    with _proposals() as proposals:
        found = proposals.listed(tenant or None)
    _print(found, as_json)


@app.command(epilog="Example: voile stats routes accept chess-club '/blog/{name}'")
def accept(tenant: Tenant, template: Template, as_json: Json = False) -> None:
    """From the following day on, requests that fit are counted as this route."""
    from services.cli import common

    with _proposals() as proposals:
        decided = proposals.accept(tenant, template, common.clock().now(), common.settings().zone)
    _print_decided(decided, as_json)


@app.command(epilog="Example: voile stats routes refuse chess-club '/blog/{name}'")
def refuse(tenant: Tenant, template: Template, as_json: Json = False) -> None:
    """It is not proposed again; one that was accepted ends with this day."""
    from services.cli import common

    with _proposals() as proposals:
        decided = proposals.refuse(tenant, template, common.clock().now(), common.settings().zone)
    _print_decided(decided, as_json)


def _print_decided(decided: Proposal | None, as_json: bool) -> None:
    from services.runtime.errors import VoileError

    if decided is None:
        raise VoileError("This was never proposed for this tenant; see voile stats routes list.")
    _print([decided], as_json)


def _print(found: list[Proposal], as_json: bool) -> None:
    from services.cli import common

    rows = [["" if (value := getattr(p, name)) is None else str(value) for name in _COLUMNS] for p in found]
    answer = [dict(zip(_COLUMNS, row, strict=True)) for row in rows]
    common.print_result(answer, as_json, lambda _: common.print_table("", _COLUMNS, rows))


@contextlib.contextmanager
def _proposals() -> Iterator[Proposals]:
    """Straight on the plane's records: the service that counts need not run, nor stop."""
    from services.cli import common
    from services.runtime.database import open_plane_records
    from services.stats.closing.proposals import Proposals
    from services.stats.records import MIGRATIONS

    settings = common.settings()
    engine = open_plane_records(settings.url(settings.statistics.records), MIGRATIONS)
    try:
        yield Proposals(engine)
    finally:
        engine.dispose()
