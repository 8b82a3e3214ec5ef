"""voile tenant: client organisations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from services.enricher.registry import Tenant

app = typer.Typer(no_args_is_help=True, help="Client organisations.")
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.command(epilog="Example: voile tenant add chess-club --name 'Chess Club' --host www.chess.example")
def add(
    tenant: Annotated[str, typer.Argument(help="Its id: lower-case letters, digits and dashes.")],
    *,
    name: Annotated[str, typer.Option(help="For people; the id when left out.")] = "",
    host: Annotated[list[str] | None, typer.Option(help="A host name of its sites; may be given again.")] = None,
    route: Annotated[list[str] | None, typer.Option(help="A route template, such as /members/{id}.")] = None,
    size_class: Annotated[str, typer.Option(help="small, medium or large.")] = "small",
    releases: Annotated[bool, typer.Option("--releases", help="It takes part in partner releases.")] = False,
    platform_releases: Annotated[
        bool, typer.Option("--platform-releases", help="It is in the sums of the platform's releases.")
    ] = False,
    campaigns: Annotated[bool, typer.Option("--campaigns", help="Its statistics tell utm_* parameters.")] = False,
    linked_days: Annotated[int | None, typer.Option(help="Keep linked activity for at most so many days.")] = None,
    as_json: Json = False,
) -> None:
    """Register a tenant, or replace what is registered under its id."""
    from services.cli import common, identity
    from services.enricher.registry import Tenant

    wanted = Tenant(
        tenant=tenant,
        name=name or tenant,
        updated_at=common.clock().now(),
        hosts=tuple(host or ()),
        routes=tuple(route or ()),
        size_class=size_class,
        releases=releases,
        platform_releases=platform_releases,
        campaigns=campaigns,
        retention={} if linked_days is None else {"linked": linked_days},
    )
    with identity.opened() as plane:
        added = plane.registry.add(wanted)
    if campaigns and "utm_source" not in common.settings().ingest.query_parameters:
        common.note('utm_* parameters are still cut at the edge: add "utm_source", ... to ingest.query_parameters.')
    common.print_result(_row(added), as_json, lambda _: print(f"{added.tenant} is registered."))


@app.command("list", epilog="Example: voile tenant list --json")
def list_(as_json: Json = False) -> None:
    """All tenants."""
    from services.cli import common, identity

    with identity.opened() as plane:
        rows = [_row(tenant) for tenant in plane.registry.all()]
    columns = ("tenant", "name", "status", "size_class", "releases", "hosts")
    table = [[_text(row[column]) for column in columns] for row in rows]
    common.print_result(rows, as_json, lambda _: common.print_table("", columns, table))


@app.command(epilog="Example: voile tenant show chess-club")
def show(tenant: Annotated[str, typer.Argument(help="Its id.")], as_json: Json = False) -> None:
    """One tenant."""
    from services.cli import common, identity

    with identity.opened() as plane:
        row = _row(identity.require_tenant(plane, tenant))
    table = [[name, _text(value)] for name, value in row.items()]
    common.print_result(row, as_json, lambda _: common.print_table("", ("field", "value"), table))


def _row(tenant: Tenant) -> dict[str, Any]:
    from dataclasses import asdict

    return {**asdict(tenant), "updated_at": tenant.updated_at.isoformat()}


def _text(value: Any) -> Any:
    return ", ".join(value) if isinstance(value, list | tuple) else value
