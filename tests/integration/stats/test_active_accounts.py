"""Active accounts: each once a day, a week, a month; and nothing is kept but that."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from services.stats.access.scope import Scope
from services.stats.closing.close import close_through
from services.stats.closing.close_periods import STEPS, PeriodCloser, close_due_periods, is_closed
from services.stats.closing.refilling import refill
from services.stats.counting.following import Following
from services.stats.days.periods import Period, PeriodKeys, TenantPeriod
from services.stats.figures.cubes import PERIOD_CUBES
from services.stats.pseudonyms.active import ActiveAccounts, Activity
from services.stats.queries.answers import Queries
from services.stats.rights.erasure import Erasures
from services.stats.rights.suppression import Signal, Suppressions
from services.stats.tenants.registry import Tenants
from tests.parts.closing import World, crowd, rows

MONDAY = date(2026, 11, 2)
WEEK = TenantPeriod("alpha", Period("week", MONDAY))
MONTH = TenantPeriod("alpha", Period("month", date(2026, 11, 1)))
AFTER_WEEK, AFTER_MONTH = datetime(2026, 11, 9, 12, tzinfo=UTC), datetime(2026, 12, 1, 12, tzinfo=UTC)
ZONE = ZoneInfo("UTC")


class Active:
    """The worker's part and the closer's, on the stores of a `World`."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.suppressions = Suppressions()
        self.keys = PeriodKeys(world.keyring._keys, lambda of: is_closed(world.closer.records, of))
        self.table = ActiveAccounts(world.analytics, self.keys, world.clock)
        self.activity = Activity(self.keys, self.suppressions.objectors)

    @property
    def closer(self) -> PeriodCloser:
        closing = self.world.closer
        return PeriodCloser(
            closing.analytics, closing.records, self.keys, self.suppressions.objectors, self.world.clock
        )

    def visit(self, day: date, accounts: Iterable[str | None], bot_class: str = "human", late: int = 0) -> None:
        frame = pl.DataFrame(
            [
                {"tenant": "alpha", "event_day": day, "account": a, "bot_class": bot_class, "late": late}
                for a in accounts
            ],
            schema={
                "tenant": pl.String,
                "event_day": pl.Date,
                "account": pl.String,
                "bot_class": pl.String,
                "late": pl.UInt8,
            },
        )
        self.table.note(self.activity.active(frame))

    def rows(self) -> list[tuple[str, str]]:
        return self.world.analytics.frame("SELECT tenant, period FROM active_accounts FINAL ORDER BY ALL").rows()

    def close(self, at: datetime, **options: Any) -> list[TenantPeriod]:
        self.world.clock.sleep((at - self.world.clock.now()).total_seconds())
        return close_due_periods(self.closer, ZONE, **options)

    def figure(self, time: str, first: date, last: date) -> Any:
        queries = Queries(self.world.analytics, self.world.clock, ZONE)
        asked = {
            "site_id": "alpha",
            "metrics": ["active_accounts"],
            "date_range": [str(first), str(last)],
            "dimensions": [f"time:{time}"],
        }
        return [row["metrics"][0] for row in queries.answer(asked, Scope())["results"]]


@pytest.fixture
def active(world: World) -> Active:
    world.clock.sleep((datetime(2026, 11, 8, 18, tzinfo=UTC) - world.clock.now()).total_seconds())
    return Active(world)


def names(count: int, first: int = 0) -> list[str | None]:
    return [f"member-{n}" for n in range(first, first + count)]


def test_an_account_counts_once_in_its_week_and_once_in_its_month(active: Active) -> None:
    """Forty accounts every day of a week and twenty more on Sunday are sixty; the month has those of two weeks."""
    for d in range(7):
        active.visit(MONDAY + timedelta(days=d), [*names(40), None])
    active.visit(MONDAY + timedelta(days=6), names(20, first=40))
    active.visit(MONDAY + timedelta(days=7), names(100))
    active.visit(MONDAY, names(100, first=500), late=1)  # moved to a day that it was not seen on
    assert active.close(AFTER_WEEK) == [WEEK]
    assert active.close(AFTER_MONTH) == [TenantPeriod("alpha", Period("week", date(2026, 11, 9))), MONTH]
    assert active.figure("week", MONDAY, MONDAY + timedelta(days=13)) == pytest.approx([60, 100], abs=5)
    assert active.figure("month", MONTH.period.first, MONTH.period.last) == pytest.approx([100], abs=5)


def test_the_figure_of_a_week_makes_no_day_one_with_figures(active: Active) -> None:
    """It stands on the week's first day, on which nothing was published."""
    active.visit(MONDAY, names(40))
    active.close(AFTER_MONTH)
    month = (MONTH.period.first, MONTH.period.last)
    assert active.figure("week", *month)
    assert active.figure("month", *month)
    queries = Queries(active.world.analytics, active.world.clock, ZONE)
    told = queries.answer({"metrics": ["visitors"], "date_range": [str(day) for day in month]}, Scope())["meta"]
    assert told["freshness"]["closed_through"] is None
    assert len(told["freshness"]["days_without_figures"]) == 30


def test_after_the_close_nothing_is_left_of_anybody(active: Active, world: World) -> None:
    """No row, no part of one on the disk, no key; and none comes back, however late somebody is seen again."""
    active.visit(MONDAY, names(40))
    assert active.rows() == [("alpha", "month/2026-11-01")] * 40 + [("alpha", "week/2026-11-02")] * 40
    active.close(AFTER_WEEK)
    assert {period for _, period in active.rows()} == {"month/2026-11-01"}
    assert active.keys.existing(WEEK) is None
    parts = "SELECT sum(rows) AS n FROM system.parts WHERE table = 'active_accounts'"
    assert world.analytics.frame(parts)["n"][0] == 40
    active.visit(MONDAY, names(50))
    assert {period for _, period in active.rows()} == {"month/2026-11-01"}
    assert active.keys.existing(WEEK) is None


@pytest.mark.parametrize("left_out", STEPS[2:])
def test_what_is_left_is_noticed_where_a_step_is_left_out(active: Active, left_out: Any) -> None:
    """The two checks above fail when the rows, or the key, are not taken away."""
    active.visit(MONDAY, names(40))
    active.close(AFTER_WEEK, steps=[step for step in STEPS if step is not left_out])
    gone = {period for _, period in active.rows()} == {"month/2026-11-01"}
    assert (gone, active.keys.existing(WEEK) is None) == (left_out is not STEPS[2], left_out is not STEPS[3])


def test_the_table_has_no_date_no_count_no_dimension(world: World) -> None:
    """Whoever reads it learns that some account was active in a month, and not even which."""
    columns = "SELECT name, type FROM system.columns WHERE table = 'active_accounts' ORDER BY name"
    assert world.analytics.frame(columns).rows() == [
        ("account", "UInt64"),
        ("period", "LowCardinality(String)"),
        ("tenant", "LowCardinality(String)"),
    ]


def test_too_few_accounts_look_like_none(active: Active) -> None:
    """Nine accounts are no figure, and their rows and key go all the same."""
    active.visit(MONDAY, names(9))
    assert active.close(AFTER_WEEK) == [WEEK]
    assert active.figure("week", MONDAY, MONDAY) == []
    assert active.keys.existing(WEEK) is None


def test_bots_and_objectors_are_not_noted(active: Active) -> None:
    """Only people who did not object."""
    active.suppressions.apply([_signal("objection", "member-1")])
    active.visit(MONDAY, names(3))
    active.visit(MONDAY, names(3, first=10), bot_class="declared")
    assert len(active.rows()) == 2 * 2


@pytest.mark.parametrize("kind", ["erasure", "objection"])
def test_a_signal_deletes_the_account_from_what_is_open(active: Active, world: World, kind: str) -> None:
    """From the disk too; everybody else stays, and who comes back after an erasure counts again."""
    active.visit(MONDAY, names(20))
    following = Following(world.log, Tenants(), active.suppressions)
    following._erasures.extend([_signal(kind, "member-7")] if kind == "erasure" else [])
    following._objections["alpha"] |= {"member-7"} if kind == "objection" else set()
    erasures = Erasures(
        world.analytics, world.closer.records, world.keyring, active.table, world.log, "worker", clock=world.clock
    )
    following.carry_out(erasures)
    following.close()
    assert len(active.rows()) == 2 * 19
    parts = "SELECT sum(rows) AS n FROM system.parts WHERE table = 'active_accounts'"
    assert world.analytics.frame(parts)["n"][0] == 2 * 19
    active.visit(MONDAY, names(20))
    assert len(active.rows()) == 2 * 20


def test_an_objection_that_no_worker_heard_is_honoured_at_the_close(active: Active) -> None:
    """Fourteen accounts of which five objected are nine: no figure."""
    active.visit(MONDAY, names(14))
    active.suppressions.apply([_signal("objection", name) for name in names(5) if name])
    active.close(AFTER_WEEK)
    assert active.figure("week", MONDAY, MONDAY) == []


@pytest.mark.parametrize("killed_after", range(len(STEPS)))
def test_a_close_killed_after_any_step_resumes_to_the_same_figure(active: Active, killed_after: int) -> None:
    """Also when somebody was noted in between: the figure is the one that was kept."""
    active.visit(MONDAY, names(40))

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    steps: Sequence[Any] = [*STEPS[: killed_after + 1], die]
    with pytest.raises(KeyboardInterrupt):
        active.close(AFTER_WEEK, steps=steps)
    cell = f"SELECT value FROM cells WHERE cube = '{PERIOD_CUBES['week'].name}'"
    kept = active.world.analytics.frame(cell)["value"].to_list()
    active.visit(MONDAY, names(30, first=100))
    active.close(AFTER_WEEK)
    shown = active.world.analytics.frame(cell)["value"].to_list()
    assert len(shown) == 1
    assert shown == kept or not kept
    assert shown[0] == pytest.approx(40, abs=5)
    assert active.keys.existing(WEEK) is None
    assert {period for _, period in active.rows()} == {"month/2026-11-01"}


def test_a_week_waits_for_its_days(active: Active, world: World) -> None:
    """A day that is still open may bring accounts; and closing a day again does not touch the week's figure."""
    active.visit(MONDAY, names(40))
    world.put(rows("alpha", MONDAY, crowd(30)))
    assert active.close(AFTER_WEEK) == []
    close_through(world.closer, MONDAY)
    assert active.close(AFTER_WEEK) == [WEEK]
    assert len(active.figure("week", MONDAY, MONDAY)) == 1


def test_the_pages_need_nothing_but_cells(active: Active, world: World) -> None:
    """The account that pages read with is given SELECT on `cells` alone: with every other table gone they answer."""
    active.visit(MONDAY, names(40))
    active.close(AFTER_WEEK)
    for table in world.analytics.frame("SHOW TABLES")["name"].to_list():
        if table != "cells":
            world.analytics.command(f"DROP TABLE {table} SYNC")
    assert active.figure("week", MONDAY, MONDAY) == pytest.approx([40], abs=5)


def _signal(kind: str, account: str) -> Signal:
    return Signal("case-1", "alpha", account, kind, True, datetime(2026, 11, 8))


def test_a_store_that_lost_its_figures_gets_them_back_from_the_records(active: Active, world: World) -> None:
    """Weeks and months that were told, and none that was not."""
    active.visit(MONDAY, names(40))
    active.close(AFTER_WEEK)
    told = active.figure("week", MONDAY, MONDAY)
    world.analytics.command("TRUNCATE TABLE cells")
    assert active.figure("week", MONDAY, MONDAY) == []
    refill(world.analytics, world.closer.records, world.clock)
    assert active.figure("week", MONDAY, MONDAY) == told != []
