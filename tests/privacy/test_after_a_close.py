"""After a close nothing of a person is left: no key, no event row, no pseudonym, no sketch, in no file and no table."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import UTC, timedelta
from pathlib import Path
from typing import NamedTuple

import polars as pl
import pytest
import sqlalchemy as sa

from services.runtime.clickhouse import Analytics
from services.runtime.clock import FixedClock
from services.runtime.log.interface import Message
from services.runtime.settings import Settings
from services.runtime.topics import TOPICS
from services.stats.closing import steps
from services.stats.closing.close import close_through
from services.stats.closing.close_periods import close_due_periods
from services.stats.days.states import CLOSED, TenantDay
from services.stats.figures.disclosure import PUBLISHED
from services.stats.service import Statistics, open_statistics
from services.stats.today.snapshot import take_snapshot
from tests.parts.counting import DAY, NOON, TENANT, access, encoded
from tests.privacy.residue import Residue, by_place

PEOPLE = 60
NOW = NOON.replace(tzinfo=UTC) + timedelta(hours=1)
NOTHING: Mapping[str, set[str]] = {"key": set(), "pseudonym": set()}
SKETCHES = ("AggregateFunction", "SimpleAggregateFunction")


class Counted(NamedTuple):
    """A plane that has counted a day of `PEOPLE` members and shown it as today's; and what must not stay."""

    statistics: Statistics
    data: Path
    residue: Residue


@pytest.fixture
def counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Counted]:
    """Whatever the engine puts aside goes where the search looks."""
    scratch = tmp_path / "data" / "scratch"
    scratch.mkdir(parents=True, mode=0o700)
    monkeypatch.setenv("TMPDIR", str(scratch))
    data = tmp_path / "data"
    with closing(open_statistics(Settings(data=data), FixedClock(NOW))) as statistics:
        _count(statistics)
        take_snapshot(statistics.snapshotter())
        yield Counted(statistics, data, _residue(statistics))


def _count(statistics: Statistics) -> None:
    topic = TOPICS["access-log"].name
    batches = [
        encoded(
            [access(n * 100 + first, account=f"m-{n}", client_address=f"198.18.{n}.7") for n in range(PEOPLE)],
            f"o{first}",
        )
        for first in range(3)
    ]
    statistics.log.send([Message(topic, b"web", batch) for batch in batches])
    with closing(statistics.worker("member")) as worker:
        while worker.step(0.05):
            pass
    statistics.days.seen(_pairs(statistics), NOW)


def _pairs(statistics: Statistics) -> list[TenantDay]:
    found = statistics.reading.frame(
        "SELECT DISTINCT CAST(tenant, 'String') AS t, event_day FROM events WHERE kind = 'event'"
    )
    return [TenantDay(tenant, day) for tenant, day in found.iter_rows()]


def _residue(statistics: Statistics) -> Residue:
    """The day's key, and every pseudonym that it made of visitors and accounts."""
    key = statistics.keyring.existing(TENANT, DAY)
    assert key is not None
    found = statistics.reading.frame("SELECT visitor, account FROM events WHERE kind = 'event'")
    numbers = {*found["visitor"].to_list(), *found["account"].to_list()} - {0}
    assert len(numbers) == 2 * PEOPLE
    return Residue(numbers, [key])


def _active(statistics: Statistics) -> Residue:
    """The keys of the open week and month, and what they made of accounts."""
    keys = [statistics.period_keys.existing(of) for of in statistics.period_keys.open(TENANT)]
    numbers = statistics.reading.frame("SELECT account FROM active_accounts")["account"].to_list()
    assert (len(keys), len(set(numbers))) == (2, 2 * PEOPLE)
    return Residue(numbers, [key for key in keys if key is not None])


def _close(counted: Counted) -> None:
    close_through(counted.statistics.closer(lambda: None), DAY)
    assert [day.state for day in counted.statistics.days.listed()] == [CLOSED]
    take_snapshot(counted.statistics.snapshotter())


def test_nothing_of_a_person_is_left(counted: Counted, capfd: pytest.CaptureFixture[str]) -> None:
    """In files: parts, decompressed; databases with their free pages; keys, logs, temporary files. In every column of
    every table, and no table has a sketch. Before the close the same search finds what it looks for, where it belongs
    and nowhere else."""
    store, residue = counted.statistics.reading, counted.residue
    assert by_place(residue.in_folder(counted.data)) == {"key": {"keys"}, "pseudonym": {"analytics"}}
    assert residue.in_bytes(_every_table(store)) == {"pseudonym"}
    _close(counted)
    assert residue.in_folder(counted.data) == NOTHING
    assert residue.in_bytes("".join(capfd.readouterr()).encode()) == set()
    assert residue.in_bytes(_every_table(store)) == residue.in_bytes(_every_record(counted.statistics.engine)) == set()
    assert store.frame("SELECT countIf(kind = 'event') AS n FROM events")["n"].to_list() == [0]
    assert _sketches(store) == []
    counted.statistics.close()  # what the engine writes when it ends
    assert residue.in_folder(counted.data) == NOTHING


def test_accounts_of_open_weeks_and_months_are_the_one_exception(counted: Counted) -> None:
    """They stay when the day closes, in one table that no figure's statement names (`test_one_rule.py`), under keys that
    tell nothing of the day's pseudonyms; and are gone like everything else when their week and month close."""
    statistics, residue = counted.statistics, _active(counted.statistics)
    _close(counted)
    place = {"key": {"keys"}, "pseudonym": {"analytics"}}
    assert by_place(residue.in_folder(counted.data)) == place
    assert _tables_with(statistics.reading, residue) == {"active_accounts"}
    later = FixedClock(NOW + timedelta(days=40))
    assert len(close_due_periods(replace(statistics.period_closer(), clock=later), statistics.settings.zone)) == 2
    assert residue.in_folder(counted.data) == NOTHING
    assert _tables_with(statistics.reading, residue) == set()


def test_what_a_close_would_leave_is_noticed(counted: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    """The switches: without the clearing of old parts their files have pseudonyms; a `uniq` state of the visitors is
    found by its type; a copy of the key in any file."""
    monkeypatch.setattr(steps, "clear_old_parts", lambda *_: None)
    key = counted.statistics.keyring.existing(TENANT, DAY)
    assert key is not None
    counted.statistics.reading.command(
        "CREATE TABLE kept ENGINE = MergeTree ORDER BY day AS SELECT event_day AS day, uniqState(visitor) AS people "
        "FROM events WHERE kind = 'event' GROUP BY day"
    )
    _close(counted)
    (counted.data / "core.1").write_bytes(b"..." + key.hex().encode())
    assert by_place(counted.residue.in_folder(counted.data)) == {"key": {"core.1"}, "pseudonym": {"analytics"}}
    assert _sketches(counted.statistics.reading) == ["kept.people"]


def _tables(store: Analytics) -> list[tuple[str, str]]:
    query = (
        "SELECT database, name FROM system.tables WHERE lower(database) NOT IN ('information_schema', 'system') "
        "OR (database = 'system' AND (endsWith(name, '_log') OR name IN ('mutations', 'query_cache', 'processes', 'parts')))"
    )
    return [(database, name) for database, name in store.frame(query).iter_rows()]


def _every_table(store: Analytics) -> bytes:
    return b"".join(_texts(store, *table) for table in _tables(store))


def _tables_with(store: Analytics, residue: Residue) -> set[str]:
    return {name for database, name in _tables(store) if residue.in_bytes(_texts(store, database, name))}


def _texts(store: Analytics, database: str, name: str) -> bytes:
    text = io.StringIO()
    columns = store.frame(
        "SELECT name FROM system.columns WHERE database = {d:String} AND table = {t:String}", {"d": database, "t": name}
    )["name"]
    for column in columns:
        found = store.frame(f"SELECT DISTINCT toString(`{column}`) AS text FROM `{database}`.`{name}`")
        text.write("\n".join(found["text"].fill_null("").to_list()) + "\n")
    return text.getvalue().encode()


def _sketches(store: Analytics) -> list[str]:
    found = store.frame(
        "SELECT table, name, type FROM system.columns WHERE database = currentDatabase() ORDER BY table, name"
    )
    assert found.height > 40
    return [f"{table}.{name}" for table, name, kind in found.iter_rows() if any(s in kind for s in SKETCHES)]


def _every_record(engine: sa.Engine) -> bytes:
    """What the tables say; a day's cells, which are packed, as what they are."""
    text = []
    with engine.connect() as connection:
        for table in sa.inspect(engine).get_table_names():
            for row in connection.execute(sa.text(f'SELECT * FROM "{table}"')):
                text += [_shown(value) for value in row]
    return "\n".join(text).encode()


def _shown(value: object) -> str:
    if not isinstance(value, bytes):
        return str(value)
    if not value.startswith(b"ARROW1"):
        return value.hex()
    frame = pl.read_ipc(io.BytesIO(value))
    assert dict(frame.schema) == dict(PUBLISHED)
    return repr(frame.to_dict(as_series=False))
