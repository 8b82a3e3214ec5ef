"""P6: the dashboard's questions over 30 days, with 100 M events behind them, while the worker inserts.

500 tenants, the largest with 5 % of the events; 29 days are closed and one is open. The cells are those of a real closing
of one such day: its events are made up by ClickHouse itself, closed by Voile's own code, and its cells stand for the other
28 days too. The open day's events lie in the store, its snapshot is taken, and batches of the worker keep coming.

Asked over HTTP, by one key, one question after the other: tenants at random, as often as they have events. A question is
what a panel asks; a page is the whole overview.

Run: python -m bench.p6_query [EVENTS] [QUESTIONS]
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from bench.harness import machine
from bench.p1_count import groups, ours
from bench.statistics_plane import Plane, open_plane, put_day, tenant_name
from bench.traffic import write_batches
from services.runtime.clickhouse import Analytics
from services.runtime.clock import FixedClock
from services.runtime.logs import configure_logs
from services.runtime.metrics import Metrics
from services.runtime.settings import Settings
from services.runtime.web.server import serving
from services.runtime.web.sessions import EVERY_TENANT, Sessions
from services.stats import web
from services.stats.access.api_keys import ApiKeys
from services.stats.access.records import dashboard_sessions
from services.stats.today.snapshot import Snapshotter, take_snapshot

EVENTS = 100_000_000
QUESTIONS_ASKED = 1000
PAGES_ASKED = 100
TENANTS, DAYS, LARGEST = 500, 30, 0.05
TODAY = date(2026, 3, 10)
GOAL_MS = 50
EVENTS_A_SECOND = 1_200  # 100 M in a month are 40 a second; a busy minute has 30 times as many

QUESTIONS: Sequence[dict[str, Any]] = (
    {"metrics": ["visitors", "visits", "pageviews", "views_per_visit", "bounce_rate", "visit_duration"],
     "include": {"comparisons": {"mode": "previous_period"}}},
    {"metrics": ["visitors"], "dimensions": ["time:day"]},
    {"metrics": ["requests", "error_rate"], "dimensions": ["time:day"]},
    *({"metrics": ["visitors"], "dimensions": [d], "pagination": {"limit": 10, "offset": 0}} for d in (
        "event:page", "visit:entry_page", "visit:exit_page", "visit:source", "visit:channel", "visit:country",
        "visit:device", "visit:browser", "visit:os",
    )),
    {"metrics": ["visitors"], "dimensions": ["event:page"], "filters": [["is", "visit:country", ["FR"]]]},
    {"metrics": ["latency_p50", "latency_p95", "latency_p99"], "dimensions": ["event:page"]},
)  # fmt: skip


def main(arguments: Sequence[str]) -> None:
    events = int(arguments[0]) if arguments else EVENTS
    questions = int(arguments[1]) if arguments[1:] else QUESTIONS_ASKED
    configure_logs("bench", "error")
    web.QUERIES_PER_HOUR = 10**9  # type: ignore[attr-defined]  # it is imported there; the quota is not what is measured
    with tempfile.TemporaryDirectory(prefix="voile-bench-") as name:
        folder = Path(name)
        plane = open_plane(folder)
        cells = fill(plane, events // DAYS)
        with served(plane, folder) as url, inserting(plane, folder) as inserted:
            single, largest = ask(url, plane, questions)
            pages = ask_pages(url, plane)
        told = [("a question, any tenant", single), ("a question, the largest tenant", largest)]
        print(report([*told, ("the overview page, any tenant", pages)], events, cells, inserted()))
        plane.end()


def fill(plane: Plane, events_a_day: int) -> int:
    """One day closed and its cells repeated, one day open. Returns how many cells are published."""
    closed = TODAY - timedelta(days=1)
    _say("made up the events of a day", put := put_day(plane, closed, TENANTS, events_a_day, largest=LARGEST))
    _say("closed it", plane.close_days(put))
    plane.analytics.command(
        "INSERT INTO cells SELECT tenant, day - number, 0, cube, dim1, dim2, measure, value FROM cells "
        "CROSS JOIN numbers(1, {days:UInt16}) AS more WHERE provisional = 0",
        {"days": DAYS - 2},
    )
    _say("made up the open day", put_day(plane, TODAY, TENANTS, events_a_day, largest=LARGEST))
    clock = FixedClock(_at(TODAY))
    snapshotter = Snapshotter(plane.analytics, plane.days, plane.keyring, lambda _tenant: [], clock)
    _say("took its snapshot", take_snapshot(snapshotter))
    return int(plane.analytics.frame("SELECT count() AS n FROM cells")["n"][0])


@contextmanager
def served(plane: Plane, folder: Path) -> Iterator[str]:
    """The statistics service's own application, as `voile up` runs it: one process with the worker."""
    settings = Settings.model_validate({"data": folder})
    reading = plane.analytics.another()
    app = web.statistics_app(
        settings=settings, clock=FixedClock(_at(TODAY)), engine=plane.records, analytics=reading, metrics=Metrics()
    )
    with serving(app, "127.0.0.1:0") as (_, port):
        yield f"http://localhost:{port}"
    reading.close()


@contextmanager
def inserting(plane: Plane, folder: Path) -> Iterator[Any]:
    """The worker's pipeline and writer, at a steady pace, beside what is asked. Yields how many rows it wrote."""
    batches = folder / "batches"
    batches.mkdir()
    files = write_batches(batches, 60_000)
    stop, written = threading.Event(), [0]
    writing = plane.analytics.another()
    thread = threading.Thread(target=_insert, args=(writing, folder / "worker", files, stop, written), daemon=True)
    thread.start()
    try:
        yield lambda: written[0]
    finally:
        stop.set()
        thread.join(30)
        writing.close()


def _insert(writing: Analytics, folder: Path, files: Sequence[Path], stop: threading.Event, written: list[int]) -> None:
    while not stop.is_set():
        work = ours(writing, folder, files[: len(groups(files))])
        for _ in work:
            written[0] += 3000
            if stop.wait(3000 / EVENTS_A_SECOND):
                return


def ask(url: str, plane: Plane, questions: int) -> tuple[list[float], list[float]]:
    """Milliseconds of each question: of tenants as they come, and of the largest one."""
    chance = random.Random(6)
    key = ApiKeys(plane.records, FixedClock(_at(TODAY))).add("bench", [EVERY_TENANT])
    with httpx.Client(base_url=url, headers={"authorization": f"Bearer {key}"}) as client:
        single, largest = list[float](), list[float]()
        for number in range(questions):
            tenant = 0 if chance.random() < LARGEST else chance.randrange(TENANTS)
            single.append(_ask(client, tenant, QUESTIONS[number % len(QUESTIONS)]))
            if number % 4 == 0:
                largest.append(_ask(client, 0, chance.choice(QUESTIONS)))
    return single, largest


def _ask(client: httpx.Client, tenant: int, question: dict[str, Any]) -> float:
    first = (TODAY - timedelta(days=DAYS - 1)).isoformat()
    body = {"site_id": tenant_name(tenant), "date_range": [first, TODAY.isoformat()], **question}
    start = time.perf_counter()
    answer = client.post("/api/v1/query", json=body)
    taken = (time.perf_counter() - start) * 1000
    assert answer.status_code == 200, answer.text
    assert answer.json()["results"], f"no rows for {body}"
    return taken


def ask_pages(url: str, plane: Plane) -> list[float]:
    sessions = Sessions(plane.records, dashboard_sessions, FixedClock(_at(TODAY)))
    sessions.put_user("bench", ["viewer"], [EVERY_TENANT])
    chance, taken = random.Random(7), list[float]()
    with httpx.Client(base_url=url, headers={"accept": "text/html"}, follow_redirects=True) as client:
        assert client.post(f"/login/{sessions.login_link('bench')}").status_code == 200
        for _ in range(PAGES_ASKED):
            start = time.perf_counter()
            page = client.get("/", params={"tenant": tenant_name(chance.randrange(TENANTS)), "period": "30d"})
            taken.append((time.perf_counter() - start) * 1000)
            assert page.status_code == 200
    return taken


def report(told: Sequence[tuple[str, Sequence[float]]], events: int, cells: int, inserted: int) -> str:
    lines = [
        f"### P6: the dashboard over {DAYS} days, {events:,} events behind it",
        "",
        "| asked | times | p50 ms | p95 ms | p99 ms | goal | met |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, taken in told:
        cuts = statistics.quantiles(taken, n=100, method="inclusive")
        goal, met = (f"p95 {GOAL_MS} ms", "yes" if cuts[94] <= GOAL_MS else "no") if "question" in name else ("", "")
        lines.append(f"| {name} | {len(taken):,} | {cuts[49]:.0f} | {cuts[94]:.0f} | {cuts[98]:.0f} | {goal} | {met} |")
    about = f"{TENANTS} tenants, {cells:,} cells, one day open; {inserted:,} rows inserted meanwhile; {machine()}."
    return "\n".join([*lines, "", about, ""])


def _at(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 14, tzinfo=UTC)


def _say(what: str, result: object) -> None:
    number = len(result) if isinstance(result, list) else result
    print(f"  {time.strftime('%H:%M:%S')} {what}: {number}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
