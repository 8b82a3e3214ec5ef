"""Event rows leave the store and the disk, not only the queries."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from services.runtime.clickhouse import Analytics, sql
from services.runtime.clock import Clock
from services.runtime.errors import Fatal, Transient
from services.stats.days.states import TenantDay
from services.stats.store import SQL

__all__ = [
    "OLD_PARTS_LIFETIME_S",
    "clear_old_parts",
    "count_events",
    "delete_events",
    "refuse_damaged",
    "restore_lifetime",
    "wait_until_gone",
]

OLD_PARTS_LIFETIME_S = 3600  # as in sql/create_events.sql: the time to notice a merge that broke on a full disk
_CLEAR_S_MAX = 120.0  # a running query holds a part for as long as it runs
_POLL_S = 0.05
# Dropping a partition makes the engine remove its old parts in the same call, even when there is no such
# partition; its own clean-up comes every 30 s or so (measured 8 to 38 s; this way 0.01 s). ADR 0060.
_NO_SUCH_DAY = "'1970-01-01'"
_CLEARING = threading.Lock()  # a second clean-up that ends first would start the merges of the other's


def count_events(analytics: Analytics, pairs: Sequence[TenantDay], *, late: bool = False) -> dict[TenantDay, int]:
    """Event rows of each of `pairs` that has any; with `late` also those that came late from other days."""
    found = analytics.frame(sql(SQL, "count_events"), {**bound(pairs), "late": int(late)})
    return {TenantDay(tenant, day): rows for tenant, day, rows in found.iter_rows()}


def delete_events(analytics: Analytics, pairs: Sequence[TenantDay]) -> None:
    """One mutation for all of `pairs`, done when it returns. Raises `Fatal` when a row is left."""
    if not count_events(analytics, pairs, late=True):
        return
    analytics.delete(sql(SQL, "delete_events"), bound(pairs))
    if count_events(analytics, pairs, late=True):
        raise Fatal("Event rows of a closing day are still there after their deletion; close the day again.")


def clear_old_parts(analytics: Analytics, clock: Clock) -> None:
    """Returns when no inactive and no detached part of the events is on the disk.

    1. stop merges, so that nothing new depends on an old part; 2. check every active part, since the old ones are
    its only copy; 3. let old parts go at once; 4. put everything back. Raises `Fatal` on a damaged part, and
    `Transient` when a running query still holds an old one.
    """
    with _CLEARING, _merges_stopped(analytics):  # 1
        refuse_damaged(analytics)  # 2
        try:
            _drop_detached(analytics)
            wait_until_gone(analytics, clock, "events", lambda: _set_lifetime(analytics, 0), _NO_SUCH_DAY)  # 3
        finally:
            restore_lifetime(analytics)


def refuse_damaged(analytics: Analytics) -> None:
    """Reads every active part of the events. Raises `Fatal` when one is damaged."""
    checked = analytics.frame(sql(SQL, "check_events"))
    if (damaged := checked.filter(checked["is_passed"] == 0)).height:
        raise Fatal(f"{damaged.height} parts of the events are damaged; nothing was removed. Run: voile doctor")


def restore_lifetime(analytics: Analytics) -> None:
    """4, also after a process that ended in the middle."""
    _set_lifetime(analytics, OLD_PARTS_LIFETIME_S)


def bound(pairs: Sequence[TenantDay]) -> dict[str, object]:
    """The query parameter `pairs`: Array(Tuple(String, Date))."""
    return {"pairs": [(tenant, day.isoformat()) for tenant, day in pairs]}


@contextmanager
def _merges_stopped(analytics: Analytics) -> Iterator[None]:
    analytics.command("SYSTEM STOP MERGES events")
    try:
        yield
    finally:
        analytics.command("SYSTEM START MERGES events")


def _set_lifetime(analytics: Analytics, seconds: int) -> None:
    analytics.command(f"ALTER TABLE events MODIFY SETTING old_parts_lifetime = {seconds}")


def _drop_detached(analytics: Analytics) -> None:
    for name in analytics.frame(sql(SQL, "detached_parts"))["name"].to_list():
        analytics.client.command(
            "ALTER TABLE events DROP DETACHED PART {name:String}",
            parameters={"name": name},
            settings={"allow_drop_detached": 1},
        )


def wait_until_gone(
    analytics: Analytics, clock: Clock, table: str, before: Callable[[], None], no_partition: str
) -> None:
    """Returns when no inactive part of `table` is on the disk. Dropping `no_partition`, which there is none of, makes
    the engine remove them; `before` is done each time. Raises `Transient` when a running query holds one."""
    waited = 0.0
    while True:
        before()  # each time: an erasure beside this may have put the lifetime back
        analytics.command(f"ALTER TABLE {table} DROP PARTITION {no_partition}")
        if not analytics.frame(sql(SQL, "old_parts"), {"table": table}).height:
            return
        if waited >= _CLEAR_S_MAX:
            raise Transient("Old parts of the store are still being read; they go at the next try.", retry_after_s=60)
        clock.sleep(_POLL_S)
        waited += _POLL_S
