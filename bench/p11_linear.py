"""P11: the cost grows linearly: more days of data, and more tenants, cost as much each as few do.

Each size is a process of its own. Counted are CPU seconds of closing the days (cubes, cells, deletion, keys) and of the
dashboard's questions over the whole span; a step is above linear when a unit of it costs more than in the step before,
by more than the noise of this machine (`SLACK`).

Run: python -m bench.p11_linear [EVENTS_A_DAY] [EVENTS_A_TENANT]
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

from bench.harness import ROUNDS, machine
from bench.p1_count import cpu_s
from bench.statistics_plane import Plane, open_plane, put_day, tenant_name
from services.runtime.clock import SystemClock
from services.runtime.logs import configure_logs
from services.stats.access.scope import Scope
from services.stats.queries.answers import Queries

EVENTS_A_DAY = 20_000
EVENTS_A_TENANT = 2_000
DAYS = (1, 10, 100)
TENANTS = (1, 10, 100, 1000)
LAST = date(2026, 3, 10)
SLACK = 1.2
QUESTIONS: Sequence[Mapping[str, object]] = (
    {"metrics": ["visitors", "visits", "pageviews", "bounce_rate", "visit_duration"]},
    {"metrics": ["visitors"], "dimensions": ["time:day"]},
    {"metrics": ["visitors", "pageviews"], "dimensions": ["event:page"]},
    {"metrics": ["visitors"], "dimensions": ["visit:country"]},
    {"metrics": ["visitors"], "dimensions": ["event:page"], "filters": [["is", "visit:country", ["FR"]]]},
)


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one size: CPU seconds to close everything, and to answer the questions for the first tenant once."""

    units: int
    close_s: float
    ask_s: float


def main(arguments: Sequence[str]) -> None:
    if arguments[:1] == ["--size"]:
        print(json.dumps(run_one(*map(int, arguments[1:]))))
        return
    by_day = int(arguments[0]) if arguments else EVENTS_A_DAY
    by_tenant = int(arguments[1]) if arguments[1:] else EVENTS_A_TENANT
    days = [measure(n, n, 1, by_day) for n in DAYS]
    tenants = [measure(n, 1, n, n * by_tenant) for n in TENANTS]
    print(told(days, f"days of one tenant, {by_day:,} events a day"))
    print(told(tenants, f"tenants on one day, {by_tenant:,} events a tenant"))


def measure(units: int, days: int, tenants: int, events: int) -> Cost:
    """Medians of `ROUNDS` processes."""
    command = [sys.executable, "-m", "bench.p11_linear", "--size", *map(str, (days, tenants, events))]
    found = [json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout) for _ in range(ROUNDS)]
    assert all(run["closed"] == days * tenants for run in found), "not every day was closed"
    cost = Cost(units, *(statistics.median(run[name] for run in found) for name in ("close_s", "ask_s")))
    print(f"  {cost}", file=sys.stderr, flush=True)
    return cost


def run_one(days: int, tenants: int, events: int) -> Mapping[str, float]:
    configure_logs("bench", "error")
    with tempfile.TemporaryDirectory(prefix="voile-bench-") as folder:
        plane = open_plane(Path(folder))
        spans = [LAST - timedelta(days=n) for n in range(days)]
        pairs = [pair for day in spans for pair in put_day(plane, day, tenants, events)]
        before = cpu_s()
        closed = plane.close_days(pairs)
        close_s = cpu_s() - before
        before = cpu_s()
        _ask(plane, spans)
        ask_s = cpu_s() - before
        plane.end()
    return {"closed": closed, "close_s": close_s, "ask_s": ask_s}


def _ask(plane: Plane, spans: Sequence[date]) -> None:
    queries = Queries(plane.analytics, SystemClock(), ZoneInfo("UTC"))
    span = [min(spans).isoformat(), max(spans).isoformat()]
    for question in QUESTIONS:
        answer = queries.answer({"site_id": tenant_name(0), "date_range": span, **question}, Scope())
        assert answer["results"], "a question without an answer measures nothing"


def told(costs: Sequence[Cost], what: str) -> str:
    """A row a size, with what a unit costs against the step before. The first step has the fixed cost in it."""
    lines = [
        f"### P11: {what}",
        "",
        "| units | closing: CPU s | ms a unit | against the step before | questions: CPU ms |",
        "|---|---|---|---|---|",
    ]
    for cost, before in zip(costs, [None, *costs], strict=False):
        each = cost.close_s / cost.units
        ratio = "" if before is None else f"{each / (before.close_s / before.units):.2f} x"
        lines.append(f"| {cost.units:,} | {cost.close_s:.2f} | {each * 1000:.1f} | {ratio} | {cost.ask_s * 1000:.0f} |")
    steps = [b.close_s / b.units / (a.close_s / a.units) for a, b in pairwise(costs)]
    verdict = "No step is above linear." if max(steps) <= SLACK else f"A step is {max(steps):.2f} x linear."
    return "\n".join([*lines, "", f"{verdict} Medians of {ROUNDS} processes each; {machine()}.", ""])


if __name__ == "__main__":
    main(sys.argv[1:])
