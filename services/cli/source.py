"""voile source: log sources and their keys."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from services.ingest.service import Ingest
    from services.ingest.sources import NewKey

app = typer.Typer(no_args_is_help=True, help="Log sources and their keys.")
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
From = Annotated[
    str,
    typer.Option(
        "--client-address-from",
        metavar="PLACE",
        help="connection (who connected), or a header that your proxy writes: x_forwarded_for, forwarded, x_real_ip.",
    ),
]
Name = Annotated[str, typer.Argument(help="Its name: lower-case letters, digits, dashes and dots.")]


@app.command(epilog="Example: voile source add chess-web --tenant chess-club --format combined")
def add(
    name: Name,
    *,
    tenant: Annotated[str, typer.Option(help="Whose accesses these are; see: voile tenant list")],
    format_: Annotated[str, typer.Option("--format", help="How its lines look; see: voile formats list")] = "",
    log_format: Annotated[
        str, typer.Option("--log-format", help="Instead: the string from your server's configuration; with --server.")
    ] = "",
    server: Annotated[str, typer.Option(help="Of --log-format: nginx, apache, w3c, haproxy, envoy or python.")] = "",
    site: Annotated[str | None, typer.Option(help="The site, for formats without a host, such as combined.")] = None,
    authenticated: Annotated[
        bool, typer.Option("--authenticated", help="Its server checks who logs in: link user names to accounts.")
    ] = False,
    client_address_from: From = "connection",
    lines_per_minute: Annotated[int | None, typer.Option(help="At most so many; without it, as many as come.")] = None,
    as_json: Json = False,
) -> None:
    """Declare a log source; prints its first key, once."""
    from services.cli import edge
    from services.ingest.sources import Source

    known = _format(format_, log_format, server)
    with edge.opened() as ingest:
        site = site.lower() if site else None
        source = Source(name, tenant, known, site, authenticated, client_address_from, lines_per_minute)
        fresh = ingest.add_source(source)
        _note_proxies(ingest, client_address_from)
    _print_key({**asdict(source), **_key_fields(fresh)}, as_json)


@app.command("rotate-key", epilog="Example: voile source rotate-key chess-web")
def rotate_key(name: Name, as_json: Json = False) -> None:
    """A second key beside the first; prints it, once. Give it to the sender, then revoke the first."""
    from services.cli import common, edge

    with edge.opened() as ingest:
        fresh = ingest.sources.add_key(name, common.clock().now())
    _print_key({"name": name, **_key_fields(fresh)}, as_json)


@app.command("revoke-key", epilog="Example: voile source revoke-key chess-web --key vsk_aB3xYz")
def revoke_key(
    name: Name,
    key_id: Annotated[str | None, typer.Option("--key", help="One key, by its first characters; else all.")] = None,
    as_json: Json = False,
) -> None:
    """End a source's key, or all of them, within a second. What was accepted stays."""
    from services.cli import common, edge

    with edge.opened() as ingest:
        count = ingest.sources.revoke(name, key_id, common.clock().now())
    common.print_result({"name": name, "revoked": count}, as_json, lambda _: print(f"{count} key(s) revoked."))


@app.command("set-client-address", epilog="Example: voile source set-client-address chess-web x_forwarded_for")
def set_client_address(
    name: Name,
    place: Annotated[str, typer.Argument(help="connection, x_forwarded_for, forwarded or x_real_ip.")],
    as_json: Json = False,
) -> None:
    """Where the client's address is taken from, for what comes from now on. Try it: voile doctor ip."""
    from services.cli import common, edge

    with edge.opened() as ingest:
        ingest.sources.set_client_address(name, place)
        _note_proxies(ingest, place)
    row = {"name": name, "client_address_from": place}
    common.print_result(row, as_json, lambda _: print(f"The client's address of {name} is taken from: {place}"))


@app.command("set-quota", epilog="Example: voile source set-quota chess-web --lines-per-minute 60000")
def set_quota(
    name: Name,
    lines_per_minute: Annotated[int | None, typer.Option(help="At most so many; without it, as many as come.")] = None,
    as_json: Json = False,
) -> None:
    """How many lines a minute a source may send over HTTP, to each ingest process; more is refused with 429."""
    from services.cli import common, edge

    with edge.opened() as ingest:
        ingest.sources.set_quota(name, lines_per_minute)
    said = f"at most {lines_per_minute} lines a minute" if lines_per_minute else "as many lines as come"
    common.print_result(
        {"name": name, "lines_per_minute": lines_per_minute}, as_json, lambda _: print(f"{name}: {said}.")
    )


@app.command("list", epilog="Example: voile source list --json")
def list_(as_json: Json = False) -> None:
    """All sources, with their live keys' first characters and last use."""
    from services.cli import common, edge

    with edge.opened() as ingest:
        keys = [asdict(k) for k in ingest.sources.all_keys() if k.revoked_at is None]
        rows = [{**asdict(s), "keys": [k for k in keys if k["source"] == s.name]} for s in ingest.sources.all()]
    columns = ("name", "tenant", "format", "site", "authenticated", "client_address_from", "lines_per_minute", "keys")
    table = [[_text(row[column]) for column in columns] for row in rows]
    common.print_result(rows, as_json, lambda _: common.print_table("", columns, table))


def _note_proxies(ingest: Ingest, place: str) -> None:
    """A header that stands behind no trusted proxy is not read: that is to be known now, not from the figures."""
    from services.cli import common

    if place != "connection" and not ingest.settings.ingest.trusted_proxies:
        common.note("No header is read before `ingest.trusted_proxies` names the proxies that write it.")


def _format(name: str, string: str, server: str) -> str:
    """As the source keeps it; checked at once."""
    from services.cli import common
    from services.ingest.formats import SERVERS, custom, doubts
    from services.runtime.errors import Fatal

    if bool(name) == bool(string):
        raise Fatal("Say how its lines look: --format NAME (see: voile formats list), or --log-format with --server.")
    if string and server not in SERVERS:
        raise Fatal(f"Say whose string this is: --server with one of {', '.join(SERVERS)}.")
    if server and not string:
        raise Fatal("--server is for --log-format STRING.")
    known = custom(string, server) if string else name
    for doubt in doubts(known):
        common.note(doubt)
    return known


def _key_fields(fresh: NewKey) -> dict[str, str]:
    return {"key_id": fresh.id, "key": fresh.key}


def _print_key(row: dict[str, Any], as_json: bool) -> None:
    from services.cli import common

    common.print_result(row, as_json, lambda _: print(row["key"]))
    common.note(f"The key of {row['name']} is shown this once; give it to the sender: Authorization: Bearer ...")


def _text(value: Any) -> Any:
    if isinstance(value, list):
        return ", ".join(f"{k['id']}... (used {k['last_used_at'] or 'never'})" for k in value)
    return value
