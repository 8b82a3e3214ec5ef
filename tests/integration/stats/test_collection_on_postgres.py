"""What is kept of ingest's reports, with the plane's records in a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from services.runtime.database import open_plane_records
from services.stats.collection.reports import Collection
from services.stats.records import MIGRATIONS
from tests.parts.collecting import reported
from tests.unit.stats.collection.test_reports import (  # noqa: F401  # those on which two databases could differ
    NOW,
    _row,
    test_a_viewer_sees_rounded_counts_of_their_tenants,
    test_an_ingest_that_is_silent_is_told,
    test_refusals_are_no_sign_of_life,
    test_the_highest_count_of_a_block_is_the_latest,
    test_what_is_past_its_term_is_deleted,
)


@pytest.fixture
def collection(postgres_url: str) -> Iterator[Collection]:
    engine = open_plane_records(postgres_url, MIGRATIONS)
    found = Collection(engine)
    found.take(reported([_row("declared", 1)], NOW))
    yield found
    engine.dispose()
