"""voile activity: one person's linked activity, under policy, audited."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

if TYPE_CHECKING:
    from services.enricher.access.grants import Gate, View
    from services.enricher.activity.timeline import Access, Cell, Visit

app = typer.Typer(no_args_is_help=True)

GRANT_MINUTES = 1  # a command looks once

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Days = Annotated[int, typer.Option(min=1, max=366, help="How far back.")]
Reveal = Annotated[
    list[str] | None,
    typer.Option(
        help="A masked field to show: client_address, user_agent, referrer, query, name, email, postal_address, "
        "phone. May be repeated; audited."
    ),
]


class Purpose(StrEnum):
    """What personal data may be looked at for."""

    SUPPORT = "support"
    RIGHTS = "rights"
    SECURITY = "security"
    LEGAL = "legal"


class By(StrEnum):
    """What a person is found by; the value must be exact."""

    ACCOUNT = "account"
    EMAIL = "email"
    PHONE = "phone"


@app.callback()
def _activity() -> None:
    """One person's linked activity, under policy, audited."""


@app.command(
    epilog="Example: voile activity show --tenant chess-club --account 42 --purpose support --ticket SUP-1234 "
    "--reason 'The member cannot open the invoice page'"
)
def show(
    *,
    tenant: Annotated[str, typer.Option(help="Whose account it is.")],
    account: Annotated[str, typer.Option(help="The tenant's account id; or what --by names.")],
    purpose: Annotated[Purpose, typer.Option(help="Why it is looked at.")],
    ticket: Annotated[str, typer.Option(help="The ticket or case this is for.")],
    reason: Annotated[str, typer.Option(help="At least 10 characters; kept sealed in the audit log.")],
    by: Annotated[By, typer.Option(help="Find the person by an exact e-mail or phone number instead.")] = By.ACCOUNT,
    days: Days = 30,
    reveal: Reveal = None,
    break_glass: Annotated[
        bool, typer.Option("--break-glass", help="At once, without the approval it needs; reviewed afterwards.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show what one person did, by visit. Identifying fields are masked unless revealed; every look is recorded.

    A refusal is recorded as well; the exit code is 1 then, and when the request waits for somebody's approval.
    """
    from services.cli.access import opened_access, operator
    from services.enricher.access.grants import Ask, Waits

    ask = Ask(tenant, account, purpose.value, ticket, reason, by.value, GRANT_MINUTES, days)
    with opened_access() as (identity, access):
        get = access.gate.break_glass if break_glass else access.gate.ask
        try:
            grant = get(operator(), ask)
        except Waits as waits:
            typer.echo(f"Somebody else has to approve this. Then: voile activity open {waits.request.id}", err=True)
            raise typer.Exit(1) from None
        zone = identity.settings.zone
        _show(access.gate, grant.id, zone, days=days, reveal=reveal, reason=reason, as_json=as_json)


@app.command("open", epilog="Example: voile activity open 5d41402abc4b2a76b9719d911017c592 --reveal email")
def open_(
    request: Annotated[str, typer.Argument(help="The id that voile activity show printed.")],
    days: Days = 366,
    reveal: Reveal = None,
    reason: Annotated[str, typer.Option(help="Why the fields of --reveal are needed; at least 10 characters.")] = "",
    as_json: Json = False,
) -> None:
    """See what was asked for, once somebody else has approved it. It can be opened once."""
    from services.cli.access import opened_access, operator

    with opened_access() as (identity, access):
        grant = access.approvals.start(operator(), request)
        zone = identity.settings.zone
        _show(access.gate, grant.id, zone, days=days, reveal=reveal, reason=reason, as_json=as_json)


@app.command(epilog="Example: voile activity withdraw 5d41402abc4b2a76b9719d911017c592")
def withdraw(
    request: Annotated[str, typer.Argument(help="The id that voile activity show printed.")],
) -> None:
    """Take back what was asked for with `voile activity show`, while nobody has answered it. It is recorded."""
    from services.cli.access import opened_access, operator

    with opened_access() as (_, access):
        access.approvals.withdraw(operator(), request)
    typer.echo("Withdrawn.")


def _show(
    gate: Gate, grant: str, zone: ZoneInfo, *, days: int, reveal: list[str] | None, reason: str, as_json: bool
) -> None:
    from services.cli import common
    from services.cli.access import operator

    actor = operator()
    view = gate.reveal(actor, grant, _revealed(reveal), reason, days) if reveal else gate.view(actor, grant, days)
    common.print_result(_object(view), as_json, lambda _: _render(view, zone))


def _revealed(fields: list[str]) -> Any:
    from services.enricher.activity.timeline import EVERY_VISIT, PERSON_FIELDS, Revealed

    return [Revealed(field, None if field in PERSON_FIELDS else EVERY_VISIT) for field in fields]


def _object(view: View) -> dict[str, Any]:
    """Masked values are null; `masked` names those that --reveal would show."""
    return {
        "tenant": view.grant.tenant,
        "purpose": view.grant.purpose,
        "ticket": view.grant.ticket,
        "grant": view.grant.id,
        "days": view.days,
        "complete": view.complete,
        "masked": _masked(view),
        "profile": {"hint": view.name_hint, **{name: _value(cell) for name, cell in view.profile.items()}},
        "events": [_event(number, access) for number, visit in enumerate(view.visits, 1) for access in visit.accesses],
    }


def _masked(view: View) -> list[str]:
    from services.enricher.activity.timeline import VISIT_FIELDS

    cells = list(view.profile.items())
    accesses = [access for visit in view.visits for access in visit.accesses]
    cells += [(name, getattr(access, name)) for access in accesses for name in VISIT_FIELDS]
    return sorted({name for name, cell in cells if cell.known and not cell.texts})


def _event(visit: int, access: Access) -> dict[str, Any]:
    """Visit 1 is the newest; its events are in the order of time."""
    from services.enricher.activity.timeline import VISIT_FIELDS

    plain = ("method", "host", "path", "event", "status", "duration_ms", "response_bytes")
    return {
        "at": access.at.isoformat(),
        "visit": visit,
        **{name: getattr(access, name) for name in plain},
        **{name: _value(getattr(access, name)) for name in VISIT_FIELDS},
    }


def _value(cell: Cell) -> str | None:
    return ", ".join(cell.texts) or None


def _render(view: View, zone: ZoneInfo) -> None:
    from services.cli import common

    who, grant = view.name_hint or "A person without a name here", view.grant
    print(f"{who} of {grant.tenant}, for {grant.purpose} {grant.ticket}. This look is recorded.")
    for name, cell in view.profile.items():
        if cell.known:
            print(f"  {name}: {_text(cell)}")
    if not view.visits:
        print(f"Nothing is linked to this person in the last {view.days} days.")
    for visit in view.visits:
        print(f"\n{_heading(visit, zone)}")
        common.print_table("", ("time", "request", "status", "ms", ""), _rows(visit, zone))
    if not view.complete:
        common.note("Older accesses were left out; ask for fewer --days.")


def _heading(visit: Visit, zone: ZoneInfo) -> str:
    start, end = visit.start.astimezone(zone), visit.end.astimezone(zone)
    errors = f", {visit.errors} error{'s' * (visit.errors > 1)}" if visit.errors else ""
    seen = f"address {_text(visit.client_address)}, browser {_text(visit.user_agent)}"
    return f"{start:%Y-%m-%d %H:%M}-{end:%H:%M} {zone.key}{errors}; {seen}"


def _rows(visit: Visit, zone: ZoneInfo) -> list[list[Any]]:
    return [
        [
            f"{access.at.astimezone(zone):%H:%M:%S}",
            f"{access.method} {access.path}" if access.method else access.event or access.path,
            access.status if access.status is not None else "",
            access.duration_ms if access.duration_ms is not None else "",
            " ".join([*access.referrer.texts, *access.query.texts, *(["<- error"] if access.is_error else [])]),
        ]
        for access in visit.accesses
    ]


def _text(cell: Cell) -> str:
    if not cell.known:
        return "-"
    return ", ".join(cell.texts) if cell.texts else "(masked)"
