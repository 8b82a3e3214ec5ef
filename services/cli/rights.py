"""voile rights: erasure and objection of one person."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from services.enricher.rights import Case

app = typer.Typer(no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


class Kind(StrEnum):
    """What a person can ask for here."""

    ERASURE = "erasure"
    OBJECTION = "objection"
    LINKING_OBJECTION = "linking-objection"
    RESTRICTION = "restriction"


@app.callback()
def _rights() -> None:
    """Erasure, objection and restriction of one person."""


@app.command("open", epilog="Example: voile rights open --kind erasure --tenant chess-club --account 42 --case DSR-7")
def open_(
    *,
    kind: Annotated[Kind, typer.Option(help="objection: to statistics; linking-objection: to linked activity.")],
    tenant: Annotated[str, typer.Option(help="Whose account it is.")],
    account: Annotated[str, typer.Option(help="The tenant's account id.")],
    case: Annotated[str, typer.Option("--case", "--ticket", help="The id of the request in your own records.")],
    lift: Annotated[bool, typer.Option("--lift", help="Take an objection or a restriction back.")] = False,
    reason: Annotated[str, typer.Option(help="For the audit log.")] = "The person asked for it.",
    as_json: Json = False,
) -> None:
    """Carry out a request at once. After a crash give the same command again: it goes on where it stopped.

    The policies decide whether you may, and the audit log keeps it, before anything is done.
    """
    from services.cli import common, identity
    from services.cli.access import opened_access, operator
    from services.enricher.decisions import Action
    from services.enricher.grants import Ask
    from services.runtime.errors import Fatal

    if lift and kind is Kind.ERASURE:
        raise Fatal("An erasure cannot be taken back.")
    with opened_access() as (plane, access):
        identity.require_tenant(plane, tenant)
        action = Action.ERASE if kind is Kind.ERASURE else Action.RESTRICT
        access.gate.permit(operator(), action, Ask(tenant, account, "rights", case, reason))
        if kind is Kind.ERASURE:
            done = plane.rights.erase(tenant, account, case)
        else:
            done = plane.rights.signal(tenant, account, case, kind=kind.value, active=not lift)
    common.print_result(_row(done), as_json, lambda _: _render(done))


@app.command(epilog="Example: voile rights show DSR-7")
def show(case: Annotated[str, typer.Argument(help="The case's id.")], as_json: Json = False) -> None:
    """What was done for a case."""
    from services.cli import common, identity

    with identity.opened() as plane:
        found = plane.rights.case(case)
    common.print_result(_row(found), as_json, lambda _: _render(found))


def _row(case: Case) -> dict[str, Any]:
    from dataclasses import asdict

    return {**asdict(case), "cutoff": case.cutoff.isoformat()}


def _render(case: Case) -> None:
    from services.cli import common

    print(f"{case.case}: {case.kind} for {case.tenant}, {case.state}; up to {case.cutoff:%Y-%m-%d %H:%M:%S} UTC.")
    if case.counts:
        common.print_table("Deleted", ("store", "rows"), [[name, count] for name, count in case.counts.items()])
