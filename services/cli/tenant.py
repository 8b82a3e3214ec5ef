"""voile tenant: client organisations."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from services.enricher.service import Identity
    from services.enricher.tenants.registry import Tenant

app = typer.Typer(no_args_is_help=True, help="Client organisations.")
_REGISTERED = "Registered by voile tenant add."
Id = Annotated[str, typer.Argument(help="Its id.")]
Reason = Annotated[str, typer.Option(help="At least 10 characters; kept sealed in the audit log.")]
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
    """Register a tenant, or replace what is registered under its id; its state and its terms stay."""
    from services.cli import common
    from services.cli.access import opened_access, operator
    from services.enricher.tenants.registry import Tenant

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
    with opened_access() as (_, access):
        added = access.tenancy.register(operator(), wanted, _REGISTERED)
    if campaigns and "utm_source" not in common.settings().ingest.query_parameters:
        common.note('utm_* parameters are still cut at the edge: add "utm_source", ... to ingest.query_parameters.')
    common.print_result(_row(added), as_json, lambda _: print(f"{added.tenant} is registered."))


@app.command("list", epilog="Example: voile tenant list --json")
def list_(as_json: Json = False) -> None:
    """All tenants."""
    from services.cli import common, identity

    with identity.opened() as plane:
        rows = [_row(tenant) for tenant in plane.registry.all()]
    columns = ("tenant", "name", "status", "terminates_at", "size_class", "releases", "hosts")
    table = [[_text(row[column]) for column in columns] for row in rows]
    common.print_result(rows, as_json, lambda _: common.print_table("", columns, table))


@app.command(epilog="Example: voile tenant show chess-club")
def show(tenant: Annotated[str, typer.Argument(help="Its id.")], as_json: Json = False) -> None:
    """One tenant."""
    from services.cli import common, identity

    with identity.opened() as plane:
        found = identity.require_tenant(plane, tenant)
        row = _row(found)
        if found.status != "terminated" and (waits := _waiting_for(plane, tenant)):
            row["waiting_for"] = list(waits)
    table = [[name, _text(value)] for name, value in row.items()]
    common.print_result(row, as_json, lambda _: common.print_table("", ("field", "value"), table))


@app.command(epilog="Example: voile tenant certificate chess-club --output /srv/proofs")
def certificate(
    tenant: Id,
    *,
    output: Annotated[
        Path | None, typer.Option(help="A folder: the certificate and its .minisig file go there.")
    ] = None,
    as_json: Json = False,
) -> None:
    """The signed proof that a tenant's data is gone: what every store of every plane had, and has."""
    from services.cli import common, identity
    from services.runtime.errors import VoileError

    with identity.opened() as plane:
        identity.require_tenant(plane, tenant)
        found, key = plane.certificates.newest(tenant), plane.certificates.public_key
    if found is None:
        raise VoileError(f"There is no certificate for {tenant}; it is made when every plane has deleted what it had.")
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        (output / found.file).write_bytes(found.document)
        (output / f"{found.file}.minisig").write_bytes(found.signature)
    file = (output or Path()) / found.file
    common.note(f"Verify with: minisign -Vm {file} -P {key}")
    facts = json.loads(found.document)
    rows = [[store["plane"], store["store"], store["before"], store["after"]] for store in facts["stores"]]
    columns = ("plane", "store", "before", "after")
    common.print_result(facts, as_json, lambda _: common.print_table(f"{tenant}: {found.status}", columns, rows))


@app.command("set-retention", epilog="Example: voile tenant set-retention chess-club linked=30 figures=730")
def set_retention(
    tenant: Id,
    terms: Annotated[list[str], typer.Argument(help="TYPE=DAYS; TYPE=default for the operator's term.")],
    *,
    end: Annotated[
        list[str] | None, typer.Option(help="TYPE=delete, anonymise or isolate: what happens then. May be repeated.")
    ] = None,
    reason: Reason = "The tenant has asked for these terms.",
    as_json: Json = False,
) -> None:
    """Keep some of a tenant's data for less long: linked, accounts, figures, releases.

    Data that is there already gets the shorter of its two terms. Nothing is kept longer than the settings say.
    """
    from services.cli import common
    from services.cli.access import opened_access, operator

    days = {kind: _days(text) for kind, text in _pairs(terms)}
    with opened_access() as (_, access):
        changed = access.tenancy.set_terms(operator(), tenant, days, dict(_pairs(end or [])), reason)
    common.print_result(_row(changed), as_json, lambda _: print(f"{tenant}: {_terms(changed)}."))


@app.command(epilog="Example: voile tenant suspend chess-club --reason 'The contract is suspended until May'")
def suspend(tenant: Id, *, reason: Reason, as_json: Json = False) -> None:
    """Take nothing more for a tenant: its senders get 403. What is kept stays; only the DPO looks at its people."""
    _change("suspend", tenant, reason, as_json)


@app.command(epilog="Example: voile tenant resume chess-club --reason 'The contract goes on from today'")
def resume(tenant: Id, *, reason: Reason, as_json: Json = False) -> None:
    """Take a suspended tenant's logs again."""
    _change("resume", tenant, reason, as_json)


@app.command(
    epilog="Example: voile tenant terminate chess-club --reason 'The contract ends in June' --confirm chess-club"
)
def terminate(
    tenant: Id,
    *,
    reason: Reason,
    confirm: Annotated[str, typer.Option(help="The tenant's id once more: what is deleted does not come back.")],
    in_days: Annotated[int | None, typer.Option(help="Days of notice; those of the settings when left out.")] = None,
    as_json: Json = False,
) -> None:
    """Schedule the deletion of everything of a tenant, in every plane. Until its day: voile tenant keep."""
    if confirm != tenant:
        raise typer.BadParameter(f"is not {tenant!r}; nothing was scheduled", param_hint="--confirm")
    _change("terminate", tenant, reason, as_json, days=in_days)


@app.command(epilog="Example: voile tenant keep chess-club --reason 'They have signed for another year'")
def keep(tenant: Id, *, reason: Reason, as_json: Json = False) -> None:
    """Take a scheduled termination back. Once the deletion has begun it cannot be."""
    _change("keep", tenant, reason, as_json)


def _waiting_for(plane: Identity, tenant: str) -> Sequence[str]:
    leaving = plane.leaving()
    try:
        return leaving.waiting_for(tenant)
    finally:
        leaving.close()


def _change(what: str, tenant: str, reason: str, as_json: bool, **options: Any) -> None:
    from services.cli import common
    from services.cli.access import opened_access, operator

    with opened_access() as (_, access):
        changed = getattr(access.tenancy, what)(operator(), tenant, reason, **options)
    common.print_result(_row(changed), as_json, lambda _: print(_standing(changed)))


def _standing(tenant: Tenant) -> str:
    if tenant.terminates_at is not None:
        return f"{tenant.tenant} will be deleted from {tenant.terminates_at:%Y-%m-%d %H:%M} UTC on."
    return f"{tenant.tenant} is {tenant.status}."


def _terms(tenant: Tenant) -> str:
    terms = [f"{kind} {days} d, then {tenant.ends.get(kind, 'delete')}" for kind, days in tenant.retention.items()]
    return "; ".join(terms) or "the operator's terms"


def _pairs(texts: list[str]) -> list[tuple[str, str]]:
    pairs = [text.partition("=") for text in texts]
    if wrong := [text for text, (_, equals, _) in zip(texts, pairs, strict=True) if not equals]:
        raise typer.BadParameter(f"{wrong[0]!r} is not like linked=30")
    return [(name, value) for name, _, value in pairs]


def _days(text: str) -> int | None:
    if text == "default":
        return None
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no number of days") from None


def _row(tenant: Tenant) -> dict[str, Any]:
    from dataclasses import asdict

    ends = tenant.terminates_at.isoformat() if tenant.terminates_at else None
    return {**asdict(tenant), "updated_at": tenant.updated_at.isoformat(), "terminates_at": ends}


def _text(value: Any) -> Any:
    return ", ".join(value) if isinstance(value, list | tuple) else value
