"""voile user: people who log in to the pages, and keys for programs that query."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="People who log in to the pages, and API keys.")
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Plane = Annotated[str, typer.Option(help="Whose pages: statistics or identity.")]
Name = Annotated[str, typer.Argument(help="How the person is called in the pages and in the audit log.")]
Tenants = Annotated[list[str] | None, typer.Option("--tenant", help="May be given again; left out: every tenant.")]


@app.command(epilog="Example: voile user add ada --plane statistics --tenant chess-club")
def add(
    name: Name,
    plane: Plane = "statistics",
    role: Annotated[
        list[str] | None, typer.Option(help="identity: support, dpo, operator. May be given again.")
    ] = None,
    tenant: Tenants = None,
    as_json: Json = False,
) -> None:
    """Add a person, or change what that person may see; then make a link with: voile user login-link."""
    from services.cli import common, people
    from services.runtime.web.sessions import EVERY_TENANT

    roles, tenants = _roles(plane, role), tenant or [EVERY_TENANT]
    with people.opened(plane) as sessions:
        sessions.put_user(name, roles, tenants)
    added = {"user": name, "plane": plane, "roles": roles, "tenants": tenants}
    common.print_result(added, as_json, lambda _: print(f"{name} may see the {plane} pages."))


@app.command("list", epilog="Example: voile user list --plane identity --json")
def list_(plane: Plane = "statistics", as_json: Json = False) -> None:
    """Who may log in."""
    from services.cli import common, people

    with people.opened(plane) as sessions:
        rows = [
            {"user": user.name, "roles": sorted(user.roles), "tenants": sorted(user.tenants)}
            for user in sessions.users()
        ]
    table = [[row["user"], ", ".join(row["roles"]), ", ".join(row["tenants"])] for row in rows]
    common.print_result(rows, as_json, lambda _: common.print_table("", ("user", "roles", "tenants"), table))


@app.command(epilog="Example: voile user remove ada --plane statistics")
def remove(name: Name, plane: Plane = "statistics") -> None:
    """Remove a person; open sessions and links end at once."""
    from services.cli import people
    from services.runtime.errors import VoileError

    with people.opened(plane) as sessions:
        if not sessions.remove_user(name):
            raise VoileError(f"There is no {name!r} in the {plane} pages; see: voile user list --plane {plane}")
    print(f"{name} is removed from the {plane} pages.")


@app.command("login-link", epilog="Example: voile user login-link ada --plane statistics")
def login_link(name: Name, plane: Plane = "statistics", as_json: Json = False) -> None:
    """A link that logs this person in once. It is worth a password while it lasts: give it to nobody else."""
    from services.cli import common, people
    from services.runtime.web.sessions import LINK_MINUTES

    with people.opened(plane) as sessions:
        token = sessions.login_link(name)
    url = f"{people.address(plane, common.settings())}/login/{token}"
    common.print_result({"url": url, "minutes": LINK_MINUTES}, as_json, lambda _: print(url))


@app.command("api-key", epilog="Example: voile user api-key grafana --tenant chess-club")
def api_key(
    label: Annotated[str, typer.Argument(help="What the key is for.")],
    tenant: Tenants = None,
    as_json: Json = False,
) -> None:
    """A key for a program that queries the statistics; it is shown once and ends after a year."""
    from services.cli import common, people
    from services.runtime.web.sessions import EVERY_TENANT
    from services.stats.api_keys import ApiKeys

    with people.opened_engine("statistics") as engine:
        key = ApiKeys(engine, common.clock()).add(label, tenant or [EVERY_TENANT])
    common.print_result({"key": key}, as_json, lambda _: print(key))


@app.command("api-keys", epilog="Example: voile user api-keys --json")
def api_keys(as_json: Json = False) -> None:
    """The keys of programs, without their secrets."""
    from services.cli import common, people
    from services.stats.api_keys import ApiKeys

    with people.opened_engine("statistics") as engine:
        keys = ApiKeys(engine, common.clock()).all()
    rows = [
        {"id": k.id, "label": k.label, "tenants": sorted(k.tenants), "expires": f"{k.expires:%Y-%m-%d}"} for k in keys
    ]
    table = [[row["id"], row["label"], ", ".join(row["tenants"]), row["expires"]] for row in rows]
    common.print_result(rows, as_json, lambda _: common.print_table("", ("id", "label", "tenants", "expires"), table))


@app.command("revoke-key", epilog="Example: voile user revoke-key 0f3a5b7c9d1e")
def revoke_key(key_id: Annotated[str, typer.Argument(metavar="ID", help="From: voile user api-keys")]) -> None:
    """Take a program's key back; it is refused from now on."""
    from services.cli import common, people
    from services.runtime.errors import VoileError
    from services.stats.api_keys import ApiKeys

    with people.opened_engine("statistics") as engine:
        if not ApiKeys(engine, common.clock()).revoke(key_id):
            raise VoileError("There is no such key; see: voile user api-keys")
    print("The key is taken back.")


def _roles(plane: str, asked: list[str] | None) -> list[str]:
    from services.cli.people import plane_of
    from services.runtime.errors import Fatal

    known = plane_of(plane).roles
    roles = asked or ([known[0]] if len(known) == 1 else [])
    if not roles or not set(roles) <= set(known):
        raise Fatal(f"A person in the {plane} pages has a --role of: {', '.join(known)}")
    return roles
