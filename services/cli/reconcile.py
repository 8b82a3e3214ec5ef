"""`voile stats reconcile`: how a raw log becomes the dashboard's figures. It reads the log here, and keeps nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

    from services.cli.reconciling.counting import Counted
    from services.cli.reconciling.publishing import Shown
    from services.cli.reconciling.stages import Step
    from services.ingest.preparing import Policy
    from services.ingest.sources import Source
    from services.runtime.clock import Clock
    from services.runtime.settings import Settings

__all__ = ["reconcile"]

_NOTES = (
    "Visitors of the first line are a log tool's: an address with a browser, a day (GoAccess's rule).",
    "Bots, objections and erasures are judged by what is in force now. When a day closes its key is destroyed: which "
    "lines came late, or carried an objection then, nobody can tell any more.",
    "Who behaves as a program is judged by these logs alone: give all of a day's, and whole.",
)
_WIDTH = len("page views")  # numbers with their signs are texts, which tables align to the left
_LATE = "Some of this day's lines came after its close; they are in no figure of that day."


def reconcile(
    log: Annotated[list[str], typer.Option(metavar="FILE", help="A log, packed or not; may be repeated.")],
    source: Annotated[str, typer.Option(help="Whose log it is; see: voile source list")] = "",
    format_: Annotated[str, typer.Option("--format", help="Its format, when it is of no declared source.")] = "",
    tenant: Annotated[str, typer.Option(help="Whose figures to compare with, with --format.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Explain, step by step, how the lines of a log become the figures that are shown. Nothing is kept.

    By day: lines, duplicates, rejects, objections, bots, files; what is below the threshold or rounded. It prints
    numbers, and nothing that stands in the log.
    """
    from pathlib import Path

    from services.cli import common
    from services.runtime.errors import WrongUse

    if bool(source) == bool(format_ and tenant):
        raise WrongUse("Say whose log it is: --source, or --format with --tenant.")
    common.require_files(log)
    settings, clock = common.settings(), common.clock()
    whose, policy = _of_source(source) if source else _undeclared(settings, format_, tenant)
    counted = _count([Path(name) for name in log], whose, policy, settings, clock)
    shown = _shown(settings, clock, whose.tenant, sorted(counted.steps))
    result = _result(whose.tenant, settings.timezone, counted, shown)
    common.print_result(result, as_json, _print)


def _of_source(name: str) -> tuple[Source, Policy]:
    from services.cli import edge

    with edge.opened() as ingest:
        return ingest.sources.named(name), ingest.policy


def _undeclared(settings: Settings, format_: str, tenant: str) -> tuple[Source, Policy]:
    from services.ingest.preparing import Policy
    from services.ingest.sources import Source

    edge = settings.ingest
    return Source("log", tenant, format_), Policy(edge.query_parameters, edge.trusted_proxies, lambda _: "")


def _count(paths: Sequence[Path], source: Source, policy: Policy, settings: Settings, clock: Clock) -> Counted:
    from services.cli.reconciling.counting import count
    from services.cli.reconciling.reading import Reader
    from services.ingest.formats import format_named
    from services.runtime.log import open_log
    from services.stats.counting.following import Following
    from services.stats.rights.suppression import Suppressions
    from services.stats.tenants.registry import Tenants

    tenants, suppressions = Tenants(), Suppressions()
    events = open_log(settings.url(settings.events), settings.kafka, clock)
    try:
        following = Following(events, tenants, suppressions)
        following.follow()
        following.close()
        reader = Reader(source, format_named(source.format), policy, settings.zone, clock.now())
        return count(reader.read(paths), source.tenant, settings.zone, suppressions, tenants)
    finally:
        events.close()


def _shown(settings: Settings, clock: Clock, tenant: str, days: Sequence[date]) -> Mapping[date, Shown]:
    from services.cli.reconciling.publishing import question, shown_by_day
    from services.cli.stats import ask
    from services.runtime.database import open_plane_records
    from services.stats.days.states import Days
    from services.stats.records import MIGRATIONS

    if not days:
        return {}
    answer = ask(settings, clock, "query", {"query": question(tenant, days)})
    records = open_plane_records(settings.url(settings.statistics.records), MIGRATIONS)
    try:
        return shown_by_day(answer, [day for day in Days(records).listed() if day.tenant == tenant])
    finally:
        records.dispose()


def _result(tenant: str, zone: str, counted: Counted, shown: Mapping[date, Shown]) -> dict[str, Any]:
    from services.cli.reconciling.publishing import Shown, publishing_steps

    days = []
    for day, steps in counted.steps.items():
        seen = shown.get(day, Shown())
        whole = [*steps, *publishing_steps(steps[-1].left, seen)]
        days.append({
            "day": day.isoformat(), "state": seen.state, "late": seen.late,
            "steps": [_told(step) for step in whole],
            "shown": dict(zip(("requests", "page_views", "visitors"), seen.figures, strict=True)),
        })  # fmt: skip
    return {"tenant": tenant, "timezone": zone, "lines_without_time": counted.dayless, "days": days}


def _told(step: Step) -> dict[str, Any]:
    return {"step": step.name, "change": step.change._asdict(), "left": step.left._asdict()}


def _print(result: dict[str, Any]) -> None:
    from services.cli import common

    for day in result["days"]:
        title = f"{result['tenant']}, {day['day']} ({day['state'] or 'no line was counted yet'})"
        common.print_table(title, ("", "requests", "page views", "visitors"), list(_rows(day)))
        print(_LATE if day["late"] else "")
    if result["lines_without_time"]:
        common.note(f"{result['lines_without_time']} lines have no time that can be read: they are of no day.")
    for note in _NOTES:
        common.note(note)


def _rows(day: Mapping[str, Any]) -> Sequence[Sequence[str]]:
    """Steps that change nothing are left out; the first and the last are told whole."""
    first, *steps = day["steps"]
    rows = [[first["step"], *(f"{count:,}" for count in first["left"].values())]]
    for step in steps:
        if any(step["change"].values()):
            rows.append([step["step"], *(f"{change:+,}" if change else "" for change in step["change"].values())])
    rows.append(["shown", *("-" if figure is None else f"{figure:,}" for figure in day["shown"].values())])
    return [[name, *(text.rjust(_WIDTH) for text in figures)] for name, *figures in rows]
