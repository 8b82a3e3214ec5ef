"""Closing a day: figures out, people gone, whatever happens in between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from services.runtime.database import Lease
from services.runtime.errors import Fatal, Transient
from services.runtime.log.interface import Message
from services.runtime.topics import TOPICS
from services.stats.closing import close, gathering
from services.stats.closing import steps as closing
from services.stats.closing.close import close_days, close_due, close_through, drop_strays
from services.stats.closing.steps import STEPS, Closer, Step
from services.stats.days.forgetting import OLD_PARTS_LIFETIME_S
from services.stats.days.states import CLOSED, TenantDay
from services.stats.figures.cells import kept_cells, publish_cells
from services.stats.pseudonyms.digests import account_pseudonym
from services.stats.today.snapshot import take_snapshot
from tests.parts.closing import FIRST, World, crowd, random_day, rows, with_closer

SECOND = FIRST + timedelta(days=1)
THROUGH = FIRST + timedelta(days=13)


def _two_days() -> pl.DataFrame:
    return pl.concat([random_day(t, d, 500, n) for n, (t, d) in enumerate([("a", FIRST), ("a", SECOND), ("b", FIRST)])])


def _pairs(world: World) -> list[TenantDay]:
    return [day.pair for day in world.days.listed()]


def _visitors(world: World, tenant: str = "a", cube: str = "total") -> list[int]:
    wanted = (pl.col("tenant") == tenant) & (pl.col("cube") == cube) & (pl.col("measure") == "visitors")
    return world.cells().filter(wanted)["value"].to_list()


def test_after_a_close_nobody_is_left(world: World) -> None:
    """No key, no event row in any part, active or not, no pseudonym in any column of any table."""
    events = _two_days()
    world.put(events)
    take_snapshot(world.snapshotter)
    pseudonyms = {str(p) for column in ("visitor", "account") for p in events[column].to_list() if p}

    closed = close_through(world.closer, THROUGH)

    assert {d.pair for d in closed} == {("a", FIRST), ("a", SECOND), ("b", FIRST)}
    assert world.keyring.days("a") == world.keyring.days("b") == []
    assert list((world.folder / "keys").iterdir()) == []
    parts = world.analytics.frame("SELECT sum(rows) AS rows FROM system.parts WHERE table = 'events'")
    ledger = world.analytics.frame("SELECT count() AS rows FROM events WHERE kind = 'ledger'")
    assert parts["rows"].to_list() == ledger["rows"].to_list() == [2]
    assert _found(world, pseudonyms) == set()
    assert world.cells().height > 100


def test_the_search_for_pseudonyms_finds_one(world: World) -> None:
    """The search above is able to find: before the close it does."""
    world.put(rows("a", FIRST, [{"visitor": 123_456_789_123}]))
    assert _found(world, {"123456789123"}) == {"123456789123"}


def test_the_old_parts_of_deleted_rows_stay_without_the_clearing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine keeps what a deletion replaced: without the step that clears it, rows are on the disk."""
    monkeypatch.setattr(closing, "clear_old_parts", lambda *_: None)
    world.put(_two_days())
    close_through(world.closer, THROUGH)
    assert world.analytics.frame("SELECT sum(rows) AS n FROM system.parts WHERE table = 'events'")["n"][0] > 1000


@pytest.mark.parametrize("number", range(len(STEPS)))
def test_a_close_that_ends_before_any_step_resumes_with_the_same_cells(world: World, number: int) -> None:
    """Whatever was done is not done twice, whatever was not is."""
    expected = _expected_of(world, rows("a", FIRST, [*crowd(60), *crowd(40, first=30, route="/agenda")]))
    with pytest.raises(_Killed):
        close_days(world.closer, _pairs(world), [*STEPS[:number], Step(_die, STEPS[number].on)])
    _resumed_as(world, expected)


@pytest.mark.parametrize(
    "work",
    ["find_objected", "find_suspected", "gather", "keep_cells", "publish_cells", "delete_events", "clear_old_parts"],
)
def test_a_close_that_ends_inside_a_step_resumes_with_the_same_cells(
    world: World, work: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The work of a step is done, but not noted yet."""
    programs = crowd(30, first=500, route="/robots.txt", page_view=0)
    expected = _expected_of(world, rows("a", FIRST, [*crowd(60), *crowd(40, first=30, route="/agenda"), *programs]))
    assert "asked for robots.txt" in expected.filter(pl.col("cube") == "bot_reason")["dim1"]
    module = gathering if work == "find_suspected" else closing
    done = getattr(module, work)
    monkeypatch.setattr(module, work, lambda *a: _die(done(*a)))
    with pytest.raises(_Killed):
        close_days(world.closer, _pairs(world))
    monkeypatch.undo()
    _resumed_as(world, expected)


def test_an_objection_before_a_resumed_close_is_honoured(world: World) -> None:
    """The cells were kept already; those of a day that is not closed are built again without the objector."""
    key = world.key("a", FIRST)
    people = [{**p, "account": account_pseudonym(key, "a", f"m-{p['visitor']}")} for p in crowd(40)]
    world.put(rows("a", FIRST, people))
    with pytest.raises(_Killed):
        close_days(world.closer, _pairs(world), [*STEPS[: _at("verify")], Step(_die, STEPS[_at("verify")].on)])
    assert _visitors(world)[0] > 30

    world.objecting["a"] = [f"m-{n}" for n in range(1, 21)]
    (day,) = close_through(world.closer, THROUGH)
    assert (day.rows, day.objected) == (20, 20)
    assert _visitors(world)[0] < 30


class _Killed(Exception):
    pass


def _die(*_: object) -> None:
    raise _Killed


def _at(name: str) -> int:
    return [step.run.__name__ for step in STEPS].index(name)


def _resumed_as(world: World, expected: pl.DataFrame) -> None:
    close_through(world.closer, THROUGH)
    assert world.cells().equals(expected)
    assert [d.state for d in world.days.listed()] == [CLOSED]
    assert world.keyring.days("a") == []
    assert world.analytics.frame("SELECT sum(rows) AS n FROM system.parts WHERE table = 'events'")["n"][0] == 1
    assert _lifetime(world) == OLD_PARTS_LIFETIME_S


def _expected_of(world: World, events: pl.DataFrame) -> pl.DataFrame:
    """Puts `events`; the cells as they must come out, by the same key, without leaving a trace."""
    world.put(events)
    for name in ("build_cubes", "publish"):
        STEPS[_at(name)].run(world.closer, _pairs(world))
    cells = world.cells()
    world.analytics.command("TRUNCATE TABLE cells")
    with world.closer.records.begin() as connection:
        connection.exec_driver_sql("DELETE FROM day_cells")
    return cells


def _lifetime(world: World) -> int:
    made = world.analytics.frame("SELECT engine_full FROM system.tables WHERE name = 'events'")["engine_full"][0]
    return int(made.split("old_parts_lifetime = ")[1].split(",")[0])


def _found(world: World, wanted: set[str]) -> set[str]:
    """Which of `wanted` stand in any column of any table."""
    tables = world.analytics.frame("SELECT name FROM system.tables WHERE database = currentDatabase()")["name"]
    seen: set[str] = set()
    for table in tables:
        for column in world.analytics.frame(f"SELECT * FROM {table}").iter_columns():
            seen |= wanted & set(column.cast(pl.String, strict=False).to_list() if column.dtype != pl.List else [])
    return seen


def test_an_objector_s_visitor_is_gone_with_all_its_rows(world: World) -> None:
    """Rows without the account too, and nobody else's."""
    key = world.key("a", FIRST)
    objector = {"visitor": 999, "network": 999}
    logged_in = {**objector, "account": account_pseudonym(key, "a", "m-1")}
    people = [logged_in, *({**objector, "second": n} for n in range(5)), *crowd(40)]
    other = world.key("b", FIRST)
    same_id_elsewhere = {**objector, "account": account_pseudonym(other, "b", "m-1")}
    world.put(pl.concat([rows("a", FIRST, people), rows("b", FIRST, [same_id_elsewhere, *crowd(40)])]))
    world.objecting["a"] = ["m-1"]

    close_through(world.closer, THROUGH)

    days = {d.tenant: d for d in world.days.listed()}
    assert (days["a"].rows, days["a"].objected) == (40, 6)
    assert (days["b"].rows, days["b"].objected) == (41, 0)


def test_without_the_step_an_objector_is_counted(world: World) -> None:
    """The test above depends on the mechanism."""
    key = world.key("a", FIRST)
    world.put(rows("a", FIRST, [{"visitor": 999, "account": account_pseudonym(key, "a", "m-1")}, *crowd(40)]))
    close_days(world.closer, _pairs(world), [s for s in STEPS if s.run.__name__ != "drop_objectors"])
    assert world.days.listed()[0].rows == 41


def test_the_release_hook_sees_no_objector(world: World) -> None:
    """Noise is drawn from the events table itself: the rows must be gone from it by then."""
    key = world.key("a", FIRST)
    world.put(rows("a", FIRST, [{"visitor": 999, "account": account_pseudonym(key, "a", "m-1")}, *crowd(40)]))
    world.objecting["a"] = ["m-1"]
    seen: list[int] = []

    def draw(_pairs: Sequence[TenantDay], _objected: str) -> None:
        frame = world.analytics.frame("SELECT uniqExact(visitor) AS n FROM events WHERE kind = 'event'")
        seen.append(frame["n"][0])

    close_through(with_closer(world, draw_releases=draw), THROUGH)
    assert seen == [40]


def test_a_closed_day_takes_no_row_and_no_key(world: World) -> None:
    """The closed state outlives the key."""
    world.put(rows("a", FIRST, crowd(40)))
    close_through(world.closer, THROUGH)
    assert world.keyring.key("a", FIRST) is None
    assert close_through(world.closer, THROUGH) == []
    assert world.keyring.days("a") == []


def test_rows_that_come_after_the_cubes_are_late(world: World) -> None:
    """They are counted as late, never as visitors, and leave with the others."""
    world.put(rows("a", FIRST, crowd(40)))
    steps = list(STEPS)
    more = rows("a", FIRST, crowd(7, first=500))
    steps.insert(_at("verify"), Step(lambda *_: world.put(more), STEPS[_at("verify")].on))
    close_days(world.closer, _pairs(world), steps)
    (day,) = world.days.listed()
    assert (day.state, day.rows, day.late) == (CLOSED, 40, 7)
    assert _visitors(world) == [40] or abs(_visitors(world)[0] - 40) < 5
    assert world.analytics.frame("SELECT countIf(kind = 'event') AS n FROM events")["n"][0] == 0


def test_strays_of_a_closed_day_are_swept(world: World) -> None:
    """A fenced writer finishes its insert after the close."""
    world.put(rows("a", FIRST, crowd(40)))
    close_through(world.closer, THROUGH)
    world.analytics.insert("events", rows("a", FIRST, crowd(3)))
    drop_strays(world.closer)
    assert world.analytics.frame("SELECT countIf(kind = 'event') AS n FROM events")["n"][0] == 0
    assert world.days.listed()[0].late == 3


def test_what_is_in_the_log_is_waited_for(world: World) -> None:
    """A close counts everything that was sent before it began; without a worker it says what to do."""
    world.put(rows("a", FIRST, crowd(40)))
    world.log.send([Message(TOPICS["access-log"].name, b"s", b"not counted yet")])
    with pytest.raises(Transient, match="start the worker"):
        close_through(world.closer, THROUGH)
    assert world.cells().is_empty()

    def worker() -> None:
        topic = TOPICS["access-log"].name
        ledger = {"kind": "ledger", "tenant": "", "event_day": SECOND, "ingest_day": SECOND, "log_partition": 0,
                  "topic_id": world.log.topic_id(topic), "first_offset": 1, "last_offset": 1}  # fmt: skip
        both = pl.concat([rows("a", SECOND, crowd(30)), pl.DataFrame([ledger])], how="diagonal")
        world.analytics.insert("events", both)

    closed = close_through(with_closer(world, wait=worker), THROUGH)
    assert [(d.day, d.rows) for d in closed] == [(FIRST, 40)] or {d.rows for d in closed} == {40, 30}
    assert {d.day for d in world.days.listed()} == {FIRST, SECOND}


def test_a_gap_in_the_ledger_is_not_taken_for_the_end(world: World) -> None:
    """Ranges must tile: a later range does not stand in for a hole."""
    world.put(rows("a", FIRST, crowd(40)))
    topic = TOPICS["access-log"].name
    world.log.send([Message(topic, b"s", b"1"), Message(topic, b"s", b"2")])
    ledger = {"kind": "ledger", "tenant": "", "event_day": FIRST, "ingest_day": FIRST, "log_partition": 0,
              "topic_id": world.log.topic_id(topic), "first_offset": 2, "last_offset": 2}  # fmt: skip
    world.analytics.insert("events", pl.DataFrame([ledger]))
    with pytest.raises(Transient):
        close_through(world.closer, THROUGH)


def test_a_damaged_part_stops_a_close_before_anything_is_deleted(world: World) -> None:
    """Rows that are missing because the store is broken are not taken for rows that left."""
    world.put(rows("a", FIRST, crowd(40)))
    steps = list(STEPS)
    steps.insert(_at("verify"), Step(lambda *_: _damage(world), STEPS[_at("verify")].on))
    with pytest.raises((Fatal, Transient)):
        close_days(world.closer, _pairs(world), steps)
    assert world.analytics.frame("SELECT count() AS n FROM system.parts WHERE table = 'events'")["n"][0] > 0
    assert world.keyring.days("a") == [FIRST]


def _damage(world: World) -> None:
    """Some bytes of the visitors are overwritten, under the engine's feet."""
    paths = world.analytics.frame("SELECT path FROM system.parts WHERE table = 'events' AND active")["path"]
    data = Path(paths[0]) / "data.bin"
    data.chmod(0o600)
    content = bytearray(data.read_bytes())
    content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
    data.write_bytes(content)


def test_two_closers_do_not_work_at_once(world: World) -> None:
    """The lease has one holder; the other waits, then says so."""
    world.put(rows("a", FIRST, crowd(40)))
    other = with_closer(world, holder="another")
    tried: list[str] = []

    def meanwhile(*_: object) -> None:
        with pytest.raises(Transient, match="Another process"):
            close_days(with_closer(world, holder="third", wait=_hold_on(world, other)), _pairs(world))
        tried.append("refused")

    close_days(other, _pairs(world), [Step(meanwhile, ("open",)), *STEPS])
    assert tried == ["refused"]


def _hold_on(world: World, holder: Closer) -> Callable[[], None]:
    """Time passes while the holder renews its lease."""

    def wait() -> None:
        world.clock.sleep(100)
        Lease(holder.records, "stats-close", holder.holder, close.LEASE_S).acquire(world.clock.now())

    return wait


def test_days_close_by_themselves_when_they_are_due(world: World) -> None:
    """12 h after the end of a day; 24 h after the first row of a past day that an import brought."""
    world.clock.advance(timedelta(days=-19, hours=-12))  # noon of the first day
    today, imported = world.clock.now().date(), date(2026, 9, 1)
    world.put(rows("a", today, crowd(20)))
    world.put(rows("a", imported, crowd(20)))
    zone = ZoneInfo("UTC")

    def due_after(hours: int) -> set[date]:
        world.clock.advance(timedelta(hours=hours))
        return {d.day for d in close_due(world.closer, zone)}

    assert due_after(0) == set()
    assert due_after(23) == set()
    assert due_after(1) == {today, imported}  # 24 h after the first row, and noon of the next day


def test_a_day_whose_key_was_lost_closes_and_shows_nothing(world: World) -> None:
    """Keys are in no backup: restored records name days that can never be published."""
    world.put(rows("a", FIRST, crowd(40)))
    world.keyring.destroy("a", FIRST)
    close_through(world.closer, THROUGH)
    assert world.days.listed()[0].state == CLOSED
    assert world.cells().is_empty()


def test_published_cells_are_repaired_from_the_records(world: World) -> None:
    """A store that lost them gets them back from the records, exactly."""
    world.put(_two_days())
    close_through(world.closer, THROUGH)
    before, pairs = world.cells(), _pairs(world)
    world.analytics.command("ALTER TABLE cells DELETE WHERE measure = 'visits' SETTINGS mutations_sync = 2")
    assert not world.cells().equals(before)
    publish_cells(world.analytics, pairs, kept_cells(world.closer.records, pairs))
    assert world.cells().equals(before)


def test_a_closing_that_somebody_asks_for_draws_the_days_nobody_came(world: World) -> None:
    """Also when there is nothing else to close; under the lease, so that no two closers draw at once."""
    drawn: list[tuple[date, bool]] = []

    def draw(through: date) -> None:
        other = Lease(world.closer.records, "stats-close", "another", 300)
        drawn.append((through, other.acquire(world.clock.now())))

    assert close_through(with_closer(world, draw_silent=draw), THROUGH) == []
    assert drawn == [(THROUGH, False)]
