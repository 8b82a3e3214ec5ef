"""The privacy page's history."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from services.runtime.clock import FixedClock
from services.runtime.database import open_records, upgrade
from services.runtime.settings import Settings
from services.stats.dashboard.policies import Policies
from services.stats.dashboard.privacy import Facts, facts_of, texts_of
from services.stats.dashboard.records import policies as table
from services.stats.records import MIGRATIONS
from services.stats.tenants.registry import Tenant
from services.stats.today.records import live_totals

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SETTINGS = Settings()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    made = open_records(f"sqlite:///{tmp_path / 'records.db'}")
    upgrade(made, MIGRATIONS)
    yield made
    made.dispose()


def test_only_a_change_is_a_version(engine: sa.Engine) -> None:
    """A start with the same settings writes nothing; one with others begins a version and ends the one before."""
    clock = FixedClock(NOW)
    policies = Policies(engine, clock)
    assert policies.history() == []
    assert policies.keep(texts_of(SETTINGS, Facts()))
    clock.advance(timedelta(days=1))
    assert not policies.keep(texts_of(SETTINGS, Facts()))
    shorter = SETTINGS.model_copy(update={"identity": SETTINGS.identity.model_copy(update={"linked_days": 30})})
    assert policies.keep(texts_of(shorter, Facts()))
    assert [(held.number, held.since, held.until) for held in policies.history()] == [
        (2, NOW + timedelta(days=1), None),
        (1, NOW, NOW + timedelta(days=1)),
    ]


def test_a_version_keeps_its_words(engine: sa.Engine) -> None:
    """In each language, whatever the software says later."""
    policies = Policies(engine, FixedClock(NOW))
    policies.keep(texts_of(SETTINGS, Facts(linked_days=(7, 400))))
    kept = policies.texts(1)
    assert kept is not None
    assert set(kept) == {"en", "fr"}
    linked = kept["en"]["sections"][1]["paragraphs"]
    assert "at most 90 days" in linked[0]
    assert "between 7 and 90 days" in linked[1]  # no organisation can have them kept for longer than the operator
    assert policies.texts(2) is None


def test_what_was_taken_back_is_a_version_of_its_own(engine: sa.Engine) -> None:
    """The third text equals the first: it is said again from then on."""
    policies = Policies(engine, FixedClock(NOW))
    for releases in (False, True, False):
        assert policies.keep(texts_of(SETTINGS, Facts(releases=releases)))
    assert [held.number for held in policies.history()] == [3, 2, 1]


def test_the_registry_adds_facts_and_names_nobody() -> None:
    """Whether anybody gives figures to partners, and the terms that organisations set."""
    tenants = [
        Tenant("a", "A", retention={"linked": 30}),
        Tenant("b", "B", releases=True, retention={"linked": 14}),
        Tenant("c", "C"),
    ]
    assert facts_of(tenants) == Facts(releases=True, linked_days=(14, 30))
    assert facts_of([Tenant("c", "C")]) == Facts()


def test_the_migration_makes_the_declared_tables(engine: sa.Engine) -> None:
    inspector = sa.inspect(engine)
    for declared in (table, live_totals):
        made = {column["name"]: column["nullable"] for column in inspector.get_columns(declared.name)}
        assert made == {column.name: bool(column.nullable) for column in declared.columns}
