"""The audit log in a real PostgreSQL: appenders take turns, and every kind of falsification is noticed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from services.enricher.audit.log import AuditLog, checkpoint_path
from services.runtime.database import open_records
from tests.unit.enricher.audit import fixtures as falsify
from tests.unit.enricher.audit.fixtures import Bench, entry, open_bench


@pytest.fixture
def bench(tmp_path: Path, postgres_url: str) -> Iterator[Bench]:
    opened = open_bench(tmp_path, postgres_url)
    yield opened
    opened.records.dispose()


def test_appenders_of_several_processes_take_turns(bench: Bench, postgres_url: str) -> None:
    """Six engines at once: no entry is lost or doubled, and the log is whole."""
    engines = [open_records(postgres_url) for _ in range(6)]
    logs = [AuditLog(engine, bench.keys, bench.clock, checkpoint_path(bench.folder)) for engine in engines]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda n: logs[n % 6].append([entry(n), entry(n + 1000)]), range(60)))
    verdict = bench.verify()
    assert verdict.whole, verdict.problem
    assert (verdict.entries, verdict.outside) == (120, 1)
    tickets = sorted(logged.leaf["ticket"] for logged in bench.log.newest(500))
    assert tickets == sorted([f"SUP-{n}" for n in range(60)] + [f"SUP-{n}" for n in range(1000, 1060)])
    for engine in engines:
        engine.dispose()


@pytest.mark.parametrize("mutation", falsify.MUTATIONS, ids=lambda m: m.__name__)
def test_falsification_is_noticed(bench: Bench, mutation: falsify.Mutation) -> None:
    log = AuditLog(bench.records, bench.keys, bench.clock, checkpoint_path(bench.folder), checkpoint_every=10)
    for n in range(25):
        log.append([entry(n)])
    assert bench.verify(checkpoint_every=10).whole
    with bench.records.begin() as connection:
        done = mutation(connection, random.Random(7))
    assert not bench.verify(checkpoint_every=10).whole, done
