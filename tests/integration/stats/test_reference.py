"""The same accesses through the worker and a closing, and through a slow reference: the same published cells."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from services.runtime import avro
from services.runtime.clock import FixedClock
from services.runtime.consumer import PlannedConsumer
from services.runtime.log.interface import Message
from services.runtime.settings import Settings
from services.runtime.topics import TOPICS
from services.stats.closing.close import close_through
from services.stats.counting.agents import Agents
from services.stats.counting.location import Countries
from services.stats.counting.referrers import Referrers
from services.stats.counting.routes import Templater
from services.stats.service import Statistics, open_statistics
from services.stats.tenants.registry import Tenants
from tests.parts import reference_cubes
from tests.parts.counting import encoded
from tests.parts.made_traffic import Batch, Site, batches_of
from tests.parts.reference_events import AGENTS, BLOCKS, PATHS, REFERRERS, Rules, events_of

WHOLE = "VOILE_TEST_FULL" in os.environ
CELL = ["tenant", "day", "cube", "dim1", "dim2", "measure", "value"]
SITES = st.builds(
    Site,
    seed=st.integers(0, 2**32 - 1), people=st.sampled_from([3, 12, 25, 70]), hits=st.integers(1, 6),
    accounts=st.booleans(), one_network=st.booleans(), busy=st.booleans(), batches=st.integers(1, 4),
)  # fmt: skip
# Summer time begins or ends in the second of two days, in a zone where that is half an hour, or never.
PLACES = st.sampled_from([
    ("Europe/Paris", date(2026, 3, 28)), ("Europe/Paris", date(2026, 10, 24)), ("UTC", date(2026, 5, 5)),
    ("Australia/Lord_Howe", date(2026, 4, 4)), ("America/Sao_Paulo", date(2026, 5, 5)),
])  # fmt: skip


class Run:
    """One installation: what was sent, in its order, and what had closed when it was."""

    def __init__(self, statistics: Statistics, worker: PlannedConsumer) -> None:
        self.statistics, self.worker = statistics, worker
        self.sent: list[Batch] = []
        self.closed: list[frozenset[tuple[str, date]]] = []
        self.keys: dict[tuple[str, date], bytes] = {}

    def send(self, batches: Sequence[Batch]) -> None:
        over = frozenset(day.pair for day in self.statistics.days.listed("closed"))
        topic = TOPICS["access-log"].name
        self.statistics.log.send([Message(topic, rows[0]["source"].encode(), encoded(rows, o)) for o, rows in batches])
        self.sent += batches
        self.closed += [over] * len(batches)
        while self.worker.step(0.05):
            pass

    def close(self, through: date) -> None:
        keyring = self.statistics.keyring
        for tenant in {rows[0]["tenant"] for _, rows in self.sent}:
            self.keys |= {(tenant, day): keyring.existing(tenant, day) or b"" for day in keyring.days(tenant)}
        close_through(self.statistics.closer(lambda: None), through)

    def cells(self) -> set[tuple[object, ...]]:
        frame = self.statistics.reading.frame("SELECT * FROM cells WHERE provisional = 0")
        text = ("tenant", "cube", "measure")
        return set(frame.with_columns(pl.col(*text).cast(pl.String)).select(CELL).iter_rows())


@contextmanager
def installation(zone: str, now: datetime) -> Iterator[Run]:
    with TemporaryDirectory() as folder:
        statistics = open_statistics(Settings(data=Path(folder), timezone=zone), FixedClock(now))
        with closing(statistics), closing(statistics.worker("member")) as worker:
            yield Run(statistics, worker)


def _signal(run: Run, tenant: str, account: str, kind: str, now: datetime) -> None:
    body = {"case": "c", "tenant": tenant, "account": account, "kind": kind, "active": True, "cutoff": now}
    value = avro.encode_record(body, "privacy_signal")
    run.statistics.log.send([Message(TOPICS["privacy-signal"].name, f"{tenant}/{account}/{kind}".encode(), value)])


def _compared(
    place: tuple[str, date], sites: Sequence[Site]
) -> tuple[set[tuple[object, ...]], set[tuple[object, ...]]]:
    """(what was published, what the reference says), of two days: the first closes while the second is counted."""
    zone, first = ZoneInfo(place[0]), place[1]
    days = [first, first + timedelta(days=1)]
    now = datetime.combine(first + timedelta(days=3), datetime.min.time(), UTC)
    with installation(place[0], now) as run:
        tenants = [f"site-{n}" for n in range(len(sites))]
        for tenant in tenants:
            _signal(run, tenant, "m-1", "objection", now)
            _signal(run, tenant, "m-2", "restriction", now)
        made = [batches_of(tenant, site, days, zone) for tenant, site in zip(tenants, sites, strict=True)]
        run.send([batch for batches in made for batch in batches[:-1]])
        run.close(days[0])
        late = [(f"late {origin}", rows) for batches in made for origin, rows in batches[:1]]
        run.send([*late, *(batches[-1] for batches in made)])
        run.close(days[1])
        rules = Rules(zone, _pairs(tenants, "m-2"), _pairs(tenants, "m-1"), run.closed)
        expected = reference_cubes.published(events_of(run.sent, run.keys, rules), run.keys)
        return run.cells(), set(expected)


def _pairs(tenants: Sequence[str], account: str) -> frozenset[tuple[str, str]]:
    return frozenset((tenant, account) for tenant in tenants)


LARGE = Site(seed=1, people=70, hits=6, accounts=True, one_network=False, busy=True, batches=3)
PARIS = ("Europe/Paris", date(2026, 10, 24))


@settings(
    max_examples=60 if WHOLE else 2, deadline=None, derandomize=not WHOLE,
    phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck),
)  # fmt: skip
@given(place=PLACES, sites=st.lists(SITES, min_size=2, max_size=4))
@example(place=PARIS, sites=[LARGE])
def test_the_published_cells_are_those_of_the_reference(place: tuple[str, date], sites: list[Site]) -> None:
    """Late, doubled and shuffled accesses, several tenants, days with a change of the clocks, objections."""
    found, expected = _compared(place, sites)
    assert found == expected
    assert LARGE not in sites or len({cell[2] for cell in found}) > 15  # seventy people fill most cubes


def _in_utc(frame: pl.DataFrame, _zone: ZoneInfo) -> pl.DataFrame:
    time = pl.col("timestamp")
    return frame.with_columns(time.dt.date().alias("event_day"), time.dt.hour().cast(pl.UInt8).alias("hour"))


SWITCHES: dict[str, tuple[str, object]] = {
    "doubled accesses": ("services.runtime.batches.Coverage.keep_new", lambda _, batch: batch.frame),
    "the zone's days": ("services.stats.counting.pipeline.put_day", _in_utc),
    "objections": ("services.stats.rights.suppression.Suppressions.objectors", lambda *_: []),
    "restrictions": ("services.stats.rights.suppression.Suppressions.drop_suppressed", lambda _, frame: frame),
}


@pytest.mark.parametrize("broken", [*SWITCHES][: None if WHOLE else 2])
def test_the_comparison_notices(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The switch: with one step of the product taken out the cells differ."""
    monkeypatch.setattr(*SWITCHES[broken])
    found, expected = _compared(PARIS, [LARGE])
    assert found != expected


def test_the_reference_looks_values_up_as_the_product_does() -> None:
    """Its tables are written by hand; this says so when a list of the product has changed."""
    agents, templater, referrers = Agents(), Templater(), Referrers(Tenants())
    assert {text: tuple(agents.classify(text or "")) for text in AGENTS} == dict(AGENTS)
    assert {path: (templater.template(path), templater.is_asset(path)) for path in PATHS} == dict(PATHS)
    assert {r: tuple(referrers.classify("", "www.chess.example", r)) for r in REFERRERS} == dict(REFERRERS)
    places = pl.DataFrame({"client_address": [block.format(n, 1) for block in BLOCKS for n in (0, 3, 69)]})
    assert Countries().put_country(places)["country"].to_list() == [
        country for country in BLOCKS.values() for _ in range(3)
    ]
