"""voile user: people who sign in to the pages, and keys for programs."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping

    import sqlalchemy as sa

    from services.runtime.web.sessions import Sessions
    from services.runtime.web.tables import SessionTables

app = typer.Typer(no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


class Service(StrEnum):
    """Whose pages: each service knows its own people."""

    IDENTITY = "identity"
    STATISTICS = "statistics"


Pages = Annotated[Service, typer.Option("--service", "--plane", help="Whose pages.")]


@app.callback()
def _user() -> None:
    """People who sign in to the pages, and keys for programs."""


@app.command(epilog="Example: voile user add ada --service identity --role support --tenant chess-club")
def add(
    name: Annotated[str, typer.Argument(help="How the audit log will name this person.")],
    *,
    service: Pages,
    role: Annotated[
        list[str], typer.Option(help="identity: support, dpo, operator, tenant-admin; statistics: viewer, admin.")
    ],
    tenant: Annotated[list[str] | None, typer.Option(help="A tenant they see; may be repeated.")] = None,
    every_tenant: Annotated[bool, typer.Option("--every-tenant", help="They see every tenant.")] = False,
) -> None:
    """Add a person, or change what they may do; it takes effect at once."""
    from services.cli import common
    from services.cli.tenants import require_tenants
    from services.runtime.errors import Fatal
    from services.runtime.settings import ROLES
    from services.runtime.web.people import NAME_MAX, is_name
    from services.runtime.web.sessions import EVERY_TENANT

    unknown = sorted(set(role) - set(ROLES[service]))
    if unknown:
        raise Fatal(f"The {service} service knows the roles {', '.join(ROLES[service])}, not {unknown[0]!r}.")
    if bool(tenant) == every_tenant:
        raise Fatal("Say what they see: --tenant T (once or more), or --every-tenant.")
    if not is_name(name):
        raise Fatal(
            f"A name has 1 to {NAME_MAX} printable characters, none of them a blank at its ends. What starts with os: "
            "or api:, and voile, are names of the system's own; choose another."
        )
    require_tenants(common.settings(), tenant or [])
    _sessions(service).put_user(name, role, [EVERY_TENANT] if every_tenant else tenant or [])
    common.note(f"Next: voile user invite {name} --service {service}")


@app.command("list", epilog="Example: voile user list --service statistics")
def list_users(*, service: Pages, as_json: Json = False) -> None:
    """Who may sign in, what they may do, and what they sign in with."""
    from services.cli import common
    from services.runtime.web.credentials import standings

    sessions, has = _sessions(service), standings(*_records(service))
    rows = [
        {
            "name": user.name,
            "roles": sorted(user.roles),
            "tenants": sorted(user.tenants),
            "from": "provider" if user.is_managed else "here",
            "password": has[user.name].password,
            "factor": has[user.name].factor,
            "recovery_codes": has[user.name].recovery_codes,
            "sessions": len(sessions.opened(user.name)),
        }
        for user in sessions.users()
    ]
    columns = ("name", "roles", "tenants", "from", "password", "factor", "recovery_codes", "sessions")
    common.print_result(rows, as_json, lambda _: common.print_table("", columns, [_shown(row) for row in rows]))


@app.command(epilog="Example: voile user reset ada --service statistics")
def reset(name: Annotated[str, typer.Argument(help="Who.")], *, service: Pages) -> None:
    """Forget a person's password, second factor and recovery codes, and end their sessions: for a lost phone."""
    from services.cli import common
    from services.runtime.errors import VoileError
    from services.runtime.web.credentials import forget

    sessions = _sessions(service)
    forgotten = forget(*_records(service), name)
    ended = sessions.end_all(name)
    if not forgotten and not ended:
        raise VoileError("There is nothing to reset; see voile user list.")
    common.note(f"Next: voile user invite {name} --service {service}")


@app.command(epilog="Example: voile user remove ada --service identity")
def remove(name: Annotated[str, typer.Argument(help="Who.")], *, service: Pages) -> None:
    """Remove a person; their sessions end at once."""
    from services.runtime.errors import VoileError

    if not _sessions(service).remove_user(name):
        raise VoileError(f"There is no {name!r} here.")


@app.command(epilog="Example: voile user invite ada --service statistics")
def invite(
    name: Annotated[str, typer.Argument(help="Who.")],
    *,
    service: Pages,
    hours: Annotated[int, typer.Option(min=1, max=168, help="How long the link is good for.")] = 24,
    as_json: Json = False,
) -> None:
    """Print a link by which this person chooses a password and a second factor, once. Hand it over by a safe way."""
    from services.cli import common

    token = _sessions(service).login_link(name, hours * 60)
    link = f"{_address(service)}/login/{token}?to=account/set-up"
    common.print_result({"link": link, "hours": hours}, as_json, lambda _: print(link))


@app.command("login-link", epilog="Example: voile user login-link ada --service identity")
def login_link(name: Annotated[str, typer.Argument(help="Who.")], *, service: Pages, as_json: Json = False) -> None:
    """Print a link that signs this person in, once, within a quarter of an hour. Hand it over by a safe way."""
    from services.cli import common
    from services.runtime.web.sessions import LINK_MINUTES

    link = f"{_address(service)}/login/{_sessions(service).login_link(name)}"
    common.print_result({"link": link, "minutes": LINK_MINUTES}, as_json, lambda _: print(link))


@app.command("api-key", epilog="Example: voile user api-key --tenant chess-club --label 'member system'")
def api_key(
    *,
    tenant: Annotated[str, typer.Option(help="The one tenant whose accounts it may write.")],
    label: Annotated[str, typer.Option(help="What uses it.")] = "",
    as_json: Json = False,
) -> None:
    """Make a key for PUT /api/v1/accounts/{tenant}/{account}. It is shown this once."""
    from services.cli import common, identity
    from services.cli.access import opened_access

    with opened_access() as (plane, access):
        identity.require_tenant(plane, tenant)
        key = access.api_keys.add(tenant, label)
    common.print_result({"key": key, "tenant": tenant}, as_json, lambda _: print(key))


@app.command("api-keys", epilog="Example: voile user api-keys")
def api_keys(as_json: Json = False) -> None:
    """List the keys; their secrets are not kept."""
    from dataclasses import asdict

    from services.cli import common
    from services.cli.access import opened_access

    with opened_access() as (_, access):
        rows = [asdict(key) for key in access.api_keys.all()]
    columns = ("id", "tenant", "label", "created", "revoked")
    common.print_result(rows, as_json, lambda _: common.print_table("", columns, [list(row.values()) for row in rows]))


@app.command("revoke-api-key", epilog="Example: voile user revoke-api-key 0123456789ab")
def revoke_api_key(key: Annotated[str, typer.Argument(help="The key's id, as api-keys lists it.")]) -> None:
    """Take a key back; it stops working at once."""
    from services.cli.access import opened_access
    from services.runtime.errors import VoileError

    with opened_access() as (_, access):
        if not access.api_keys.revoke(key):
            raise VoileError("There is no such key, or it was revoked before; see voile user api-keys.")


def _address(service: Service) -> str:
    """Of a service's pages, as people reach them."""
    from services.cli import common

    settings = common.settings()
    plane = settings.identity if service is Service.IDENTITY else settings.statistics
    # Two names of this machine: cookies ignore ports, and each service has its own.
    name_here = "127.0.0.1" if service is Service.IDENTITY else "localhost"
    return f"https://{plane.hosts[0]}" if plane.hosts else f"http://{name_here}:{plane.listen.rpartition(':')[2]}"


def _shown(row: Mapping[str, object]) -> list[object]:
    return [", ".join(value) if isinstance(value, list) else value for value in row.values()]


def _sessions(service: Service) -> Sessions:
    from services.cli import common
    from services.runtime.web.sessions import Sessions

    return Sessions(*_records(service), common.clock())


def _records(service: Service) -> tuple[sa.Engine, SessionTables]:
    """Straight on the plane's records: who may open them runs the installation."""
    import importlib

    from services.cli import common
    from services.runtime.database import open_plane_records
    from services.runtime.web.tables import SessionTables

    is_identity = service is Service.IDENTITY
    plane = "enricher" if is_identity else "stats"
    records = importlib.import_module(f"services.{plane}.records")
    importlib.import_module(f"services.{plane}.access.records")  # adds its tables to the plane's metadata
    settings = common.settings()
    url = (settings.identity if is_identity else settings.statistics).records
    return open_plane_records(settings.url(url), records.MIGRATIONS), SessionTables.of(records.metadata)
