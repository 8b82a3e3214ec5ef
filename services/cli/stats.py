"""voile stats: the statistics worker, the days, the figures."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli import stats_routes
from services.cli.reconcile import reconcile

if TYPE_CHECKING:
    from services.runtime.clock import Clock
    from services.runtime.settings import Settings
    from services.stats.access.api_keys import ApiKeys
    from services.stats.service import Statistics

app = typer.Typer(help="Query the statistics; close days.\n\nExample: voile stats run", no_args_is_help=True)
app.command("reconcile", epilog="Example: voile stats reconcile --log /var/log/nginx/access.log --source web")(
    reconcile
)
app.add_typer(stats_routes.app, name="routes")
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.callback()
def _stats() -> None:
    """Query the statistics; close days."""


@app.command(epilog="Example: voile stats run")
def run() -> None:
    """Count accesses and close days, on a ClickHouse server; until stopped."""
    from services.cli import common
    from services.runtime.loops import patiently
    from services.runtime.stop import Stop
    from services.stats import plane

    settings, stop = _on_a_server(common.service_settings("statistics")), Stop().on_signals()
    patiently(lambda: plane.run_loops(settings, common.clock(), stop), stop)


@app.command(epilog="Example: voile stats serve")
def serve() -> None:
    """Serve the dashboard and the query API alone, from a ClickHouse server; until stopped."""
    from services.cli import common
    from services.runtime.loops import patiently
    from services.runtime.stop import Stop
    from services.stats import plane

    settings, stop = _on_a_server(common.service_settings("statistics")), Stop().on_signals()
    patiently(lambda: plane.serve(settings, common.clock(), stop), stop)


def _on_a_server(settings: Settings) -> Settings:
    from services.runtime.errors import Fatal

    if settings.statistics.analytics.startswith("chdb:"):
        raise Fatal(
            "The embedded statistics store belongs to one process, which counts and serves the pages: run `voile up`, "
            "or set statistics.analytics to a ClickHouse server."
        )
    return settings


@app.command(epilog="Example: voile stats close --through 2026-11-14")
def close(
    through: Annotated[str, typer.Option(help="The last day to close, like 2026-11-14; yesterday when left out.")] = "",
    as_json: Json = False,
) -> None:
    """Publish the figures of every open day, then delete its events and destroy its key. Nothing is undone."""
    from datetime import timedelta

    from services.cli import common

    settings, clock = common.settings(), common.clock()
    yesterday = clock.now().astimezone(settings.zone).date() - timedelta(days=1)
    last = _date(through) if through else yesterday
    if last > yesterday + timedelta(days=1):
        raise typer.BadParameter("is a day that has not come yet; nothing was closed", param_hint="--through")
    closed = ask(settings, clock, "close", {"through": last.isoformat()})
    rows = [[day["tenant"], day["day"]] for day in closed]
    common.print_result(closed, as_json, lambda _: common.print_table("Closed", ("tenant", "day"), rows))


QUERY = '{"site_id": "chess-club", "metrics": ["visitors"], "date_range": "7d", "dimensions": ["event:page"]}'


@app.command(epilog=f"Example: voile stats query '{QUERY}'")
def query(
    request: Annotated[str, typer.Argument(help="What POST /api/v1/query takes, as JSON.")],
    *,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the rows as CSV.")] = False,
    as_json: Json = False,
) -> None:
    """Ask for published figures. What too few people share is in (other) or empty."""
    from services.cli import common

    answer = ask(common.settings(), common.clock(), "query", {"query": _object(request)})
    if as_csv:
        from services.stats.queries.answers import as_csv as csv_of

        sys.stdout.write(csv_of(answer))
        return
    columns = [*answer["query"]["dimensions"], *answer["query"]["metrics"]]
    rows = [[*row["dimensions"], *row["metrics"]] for row in answer["results"]]
    common.print_result(answer, as_json, lambda _: common.print_table("", columns, rows))


@app.command(epilog="Example: voile stats status --json")
def status(as_json: Json = False) -> None:
    """How far the statistics are: what is not counted yet, which days are open or closed.

    lag: records not counted yet. rows_open: counted, of days that are not closed. rows_counted: in the figures of
    those that are. closes_next: when the first of the open days closes by itself; at once: voile stats close
    """
    from services.cli import common

    found = ask(common.settings(), common.clock(), "status", {})
    rows = [[name, value or None if isinstance(value, dict) else value] for name, value in found.items()]
    common.print_result(found, as_json, lambda _: common.print_table("", ("", ""), rows))


@app.command("add-key", epilog="Example: voile stats add-key --tenant chess-club --label 'board report'")
def add_key(
    *,
    tenant: Annotated[list[str] | None, typer.Option(help="A tenant it may ask about; may be repeated.")] = None,
    every_tenant: Annotated[bool, typer.Option("--every-tenant", help="It may ask about every tenant.")] = False,
    label: Annotated[str, typer.Option(help="What uses it.")] = "",
    as_json: Json = False,
) -> None:
    """Make a key for POST /api/v1/query, good for a year. It is shown this once."""
    from services.cli import common
    from services.cli.tenants import require_tenants
    from services.runtime.errors import Fatal
    from services.runtime.web.sessions import EVERY_TENANT

    if bool(tenant) == every_tenant:
        raise Fatal("Say what it may ask about: --tenant T (once or more), or --every-tenant.")
    require_tenants(common.settings(), tenant or [])
    with _keys() as keys:
        key = keys.add(label, [EVERY_TENANT] if every_tenant else tenant or [])
    common.print_result({"key": key, "tenants": tenant or [EVERY_TENANT]}, as_json, lambda _: print(key))


@app.command("keys", epilog="Example: voile stats keys")
def list_keys(as_json: Json = False) -> None:
    """List the keys for POST /api/v1/query; their secrets are not kept."""
    from services.cli import common

    with _keys() as keys:
        rows = [[key.id, key.label, sorted(key.tenants), key.expires] for key in keys.all()]
    columns = ("id", "label", "tenants", "expires")
    found = [dict(zip(columns, row, strict=True)) for row in rows]
    common.print_result(found, as_json, lambda _: common.print_table("", columns, rows))


@app.command("revoke-key", epilog="Example: voile stats revoke-key 0123456789ab")
def revoke_key(key: Annotated[str, typer.Argument(help="The key's id, as voile stats keys lists it.")]) -> None:
    """Take a key back; it stops working at once."""
    from services.runtime.errors import VoileError

    with _keys() as keys:
        if not keys.revoke(key):
            raise VoileError("There is no such key; see voile stats keys.")


@contextlib.contextmanager
def _keys() -> Iterator[ApiKeys]:
    """Straight on the plane's records: the service that owns the figures need not run, nor stop."""
    from services.cli import common
    from services.runtime.database import open_plane_records
    from services.stats.access.api_keys import ApiKeys
    from services.stats.records import MIGRATIONS

    settings = common.settings()
    engine = open_plane_records(settings.url(settings.statistics.records), MIGRATIONS)
    try:
        yield ApiKeys(engine, common.clock())
    finally:
        engine.dispose()


def ask(settings: Settings, clock: Clock, operation: str, arguments: Mapping[str, Any]) -> Any:
    """The running service answers; without one the command opens the stores, and counts what is in the log first."""
    from services.runtime import control
    from services.stats import SERVICE

    answered, answer = control.call(settings.data, SERVICE, operation, arguments)
    if answered:
        return answer
    from services.stats.operations import operations
    from services.stats.service import open_statistics

    statistics = open_statistics(settings, clock)
    try:
        return operations(statistics, _waiting(statistics, clock))[operation](arguments)
    finally:
        statistics.close()


def _waiting(statistics: Statistics, clock: Clock) -> Callable[[], None]:
    """An embedded store has no other worker than this process; on a server one runs elsewhere."""
    from services.stats.plane import WAIT_S

    if not statistics.writing.embedded:
        return lambda: clock.sleep(WAIT_S)
    worker = statistics.worker("command")

    def work() -> None:
        worker.step(WAIT_S)

    return work


def _date(text: str) -> Any:
    from datetime import date

    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("is a date like 2026-11-14", param_hint="--through") from None


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise typer.BadParameter(f"is a JSON object, like {QUERY}", param_hint="REQUEST")
    return found
