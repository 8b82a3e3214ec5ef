"""Proposed routes, the privacy page's history and live totals, with the plane's records in a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
import sqlalchemy as sa

from services.runtime.database import open_plane_records
from services.stats.closing.proposals import Proposals
from services.stats.records import MIGRATIONS
from services.stats.today.live import LiveTotals
from tests.parts.figures import TODAY, live_cells
from tests.unit.stats.closing.test_proposals import (  # noqa: F401  # as above
    test_a_decision_holds_from_the_following_day,
    test_a_published_route_that_lost_its_children_is_proposed_once,
    test_accepted_templates_hold_for_the_rows_of_those_days_alone,
    test_an_accepted_one_that_is_refused_ends_with_the_day,
    test_only_so_many_wait_of_one_tenant,
    test_what_was_refused_is_not_proposed_again,
)
from tests.unit.stats.dashboard.test_policies import (  # noqa: F401  # those on which two databases could differ
    test_only_a_change_is_a_version,
)


@pytest.fixture
def engine(postgres_url: str) -> Iterator[sa.Engine]:
    made = open_plane_records(postgres_url, MIGRATIONS)
    yield made
    made.dispose()


@pytest.fixture
def proposals(engine: sa.Engine) -> Proposals:
    return Proposals(engine)


def test_live_totals_are_those_of_the_newest_look(engine: sa.Engine) -> None:
    """Also when two processes say the same; who is told no more loses the total, and so does a day that is over."""
    totals = LiveTotals(engine)
    for _ in range(2):
        totals.put(TODAY, live_cells({"riverside": 12_345, "chess-club": 40}), ["riverside", "chess-club"])
    assert (totals.of("riverside", TODAY), totals.of("chess-club", TODAY)) == (12_345, 40)
    totals.put(TODAY, live_cells({"riverside": 12_400}), ["riverside", "chess-club"])
    assert (totals.of("riverside", TODAY), totals.of("chess-club", TODAY)) == (12_400, None)
    totals.put(TODAY + timedelta(days=1), live_cells({}), [])
    assert totals.of("riverside", TODAY) is None
