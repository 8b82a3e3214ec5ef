"""voile user: people who sign in to the pages, and keys for programs."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from services.runtime.web.sessions import Sessions

app = typer.Typer(no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


class Service(StrEnum):
    """Whose pages: each service knows its own people."""

    IDENTITY = "identity"
    STATISTICS = "statistics"


ROLES = {Service.IDENTITY: ("support", "dpo"), Service.STATISTICS: ("viewer", "admin")}
Pages = Annotated[Service, typer.Option("--service", "--plane", help="Whose pages.")]


@app.callback()
def _user() -> None:
    """People who sign in to the pages, and keys for programs."""


@app.command(epilog="Example: voile user add ada --service identity --role support --tenant chess-club")
def add(
    name: Annotated[str, typer.Argument(help="How the audit log will name this person.")],
    *,
    service: Pages,
    role: Annotated[list[str], typer.Option(help="identity: support, dpo; statistics: viewer, admin.")],
    tenant: Annotated[list[str] | None, typer.Option(help="A tenant they see; may be repeated.")] = None,
    every_tenant: Annotated[bool, typer.Option("--every-tenant", help="They see every tenant.")] = False,
) -> None:
    """Add a person, or change what they may do; it takes effect at once."""
    from services.cli import common
    from services.cli.tenants import require_tenants
    from services.runtime.errors import Fatal
    from services.runtime.web.sessions import EVERY_TENANT

    unknown = sorted(set(role) - set(ROLES[service]))
    if unknown:
        raise Fatal(f"The {service} service knows the roles {', '.join(ROLES[service])}, not {unknown[0]!r}.")
    if bool(tenant) == every_tenant:
        raise Fatal("Say what they see: --tenant T (once or more), or --every-tenant.")
    if not name.isprintable() or not 1 <= len(name) <= 100 or name.startswith("os:"):
        raise Fatal(
            "A name has 1 to 100 printable characters and does not start with os: (the command line's people do)."
        )
    require_tenants(common.settings(), tenant or [])
    _sessions(service).put_user(name, role, [EVERY_TENANT] if every_tenant else tenant or [])
    common.note(f"Next: voile user login-link {name} --service {service}")


@app.command(epilog="Example: voile user remove ada --service identity")
def remove(name: Annotated[str, typer.Argument(help="Who.")], *, service: Pages) -> None:
    """Remove a person; their sessions end at once."""
    from services.runtime.errors import VoileError

    if not _sessions(service).remove_user(name):
        raise VoileError(f"There is no {name!r} here.")


@app.command("login-link", epilog="Example: voile user login-link ada --service identity")
def login_link(name: Annotated[str, typer.Argument(help="Who.")], *, service: Pages, as_json: Json = False) -> None:
    """Print a link that signs this person in, once, within a quarter of an hour. Hand it over by a safe way."""
    from services.cli import common
    from services.runtime.web.sessions import LINK_MINUTES

    settings = common.settings()
    plane = settings.identity if service is Service.IDENTITY else settings.statistics
    # Two names of this machine: cookies ignore ports, and each service has its own.
    name_here = "127.0.0.1" if service is Service.IDENTITY else "localhost"
    host = f"https://{plane.hosts[0]}" if plane.hosts else f"http://{name_here}:{plane.listen.rpartition(':')[2]}"
    link = f"{host}/login/{_sessions(service).login_link(name)}"
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


def _sessions(service: Service) -> Sessions:
    """Straight on the plane's records: who may open them runs the installation."""
    import importlib

    from services.cli import common
    from services.runtime.database import open_plane_records
    from services.runtime.web.sessions import Sessions, SessionTables

    package = "services.enricher" if service is Service.IDENTITY else "services.stats"
    records = importlib.import_module(f"{package}.records")
    importlib.import_module(f"{package}.access_records")  # adds its tables to the plane's metadata
    tables = records.metadata.tables
    settings = common.settings()
    url = (settings.identity if service is Service.IDENTITY else settings.statistics).records
    engine = open_plane_records(settings.url(url), records.MIGRATIONS)
    return Sessions(engine, SessionTables(tables["users"], tables["login_links"], tables["sessions"]), common.clock())
