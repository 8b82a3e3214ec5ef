"""voile source: log sources and their keys."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from services.ingest.sources import NewKey

app = typer.Typer(no_args_is_help=True, help="Log sources and their keys.")
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Name = Annotated[str, typer.Argument(help="Its name: lower-case letters, digits, dashes and dots.")]


@app.command(epilog="Example: voile source add chess-web --tenant chess-club --format combined")
def add(
    name: Name,
    *,
    tenant: Annotated[str, typer.Option(help="Whose accesses these are; see: voile tenant list")],
    format_: Annotated[str, typer.Option("--format", help="How its lines look; see: voile formats list")],
    site: Annotated[str | None, typer.Option(help="The site, for formats without a host, such as combined.")] = None,
    authenticated: Annotated[
        bool, typer.Option("--authenticated", help="Its server checks who logs in: link user names to accounts.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Declare a log source; prints its first key, once."""
    from services.cli import edge
    from services.ingest.sources import Source

    with edge.opened() as ingest:
        source = Source(name, tenant, format_, site.lower() if site else None, authenticated)
        fresh = ingest.add_source(source)
    _print_key({**asdict(source), **_key_fields(fresh)}, as_json)


@app.command(epilog="Example: voile source key chess-web")
def key(name: Name, as_json: Json = False) -> None:
    """A second key, to change keys without a gap; prints it, once. Then revoke the first."""
    from services.cli import common, edge

    with edge.opened() as ingest:
        fresh = ingest.sources.add_key(name, common.clock().now())
    _print_key({"name": name, **_key_fields(fresh)}, as_json)


@app.command(epilog="Example: voile source revoke chess-web --key vsk_aB3xYz")
def revoke(
    name: Name,
    key_id: Annotated[str | None, typer.Option("--key", help="One key, by its first characters; else all.")] = None,
    as_json: Json = False,
) -> None:
    """End a source's key, or all of them. What was accepted stays."""
    from services.cli import common, edge

    with edge.opened() as ingest:
        count = ingest.sources.revoke(name, key_id, common.clock().now())
    common.print_result({"name": name, "revoked": count}, as_json, lambda _: print(f"{count} key(s) revoked."))


@app.command("list", epilog="Example: voile source list --json")
def list_(as_json: Json = False) -> None:
    """All sources, with their live keys' first characters and last use."""
    from services.cli import common, edge

    with edge.opened() as ingest:
        keys = [asdict(k) for k in ingest.sources.all_keys() if k.revoked_at is None]
        rows = [{**asdict(s), "keys": [k for k in keys if k["source"] == s.name]} for s in ingest.sources.all()]
    columns = ("name", "tenant", "format", "site", "authenticated", "keys")
    table = [[_text(row[column]) for column in columns] for row in rows]
    common.print_result(rows, as_json, lambda _: common.print_table("", columns, table))


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
