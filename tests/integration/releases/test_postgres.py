"""The ledger and the versions on a real PostgreSQL, with several processes' worth of callers at once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from services.runtime.keys import FileKeyService
from services.stats.releases import package
from services.stats.releases.ledger import charges
from tests.unit.stats.releases.records import FIRST, charge_day, store_days, upgraded
from tests.unit.stats.releases.test_package import WEEK

CALLERS = 6


@pytest.fixture
def records(postgres_url: str) -> Iterator[sa.Engine]:
    engine = upgraded(postgres_url)
    yield engine
    engine.dispose()


def test_of_racing_closers_one_charges(records: sa.Engine) -> None:
    """Whoever gets False does not draw."""
    with ThreadPoolExecutor(CALLERS) as pool:
        said = list(pool.map(lambda _: charge_day(records, "a", FIRST), range(CALLERS)))
    assert sorted(said) == [False] * (CALLERS - 1) + [True]
    with records.connect() as connection:
        assert len(charges(connection, "a")) == 1


def test_racing_builders_make_one_version(records: sa.Engine, tmp_path: Path) -> None:
    """The same bytes for all, one row in the list."""
    store_days(records, "harbour", WEEK.days)
    keys = FileKeyService(tmp_path / "keys")

    def build(number: int) -> tuple[package.Release, dict[str, bytes]]:
        release, folder = package.build(records, keys, "harbour", WEEK, tmp_path / str(number))
        return release, {path.name: path.read_bytes() for path in folder.iterdir()}

    with ThreadPoolExecutor(CALLERS) as pool:
        built = list(pool.map(build, range(CALLERS)))
    assert all(one == built[0] for one in built)
    assert [release.version for release in package.releases(records)] == ["2026.11.1"]
