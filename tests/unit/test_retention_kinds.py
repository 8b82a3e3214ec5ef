"""Each type of data has exactly one keeper, in the plane that the list names."""

from __future__ import annotations

from unittest.mock import sentinel
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from services.enricher.retention import keepers as identity
from services.ingest import retention as ingest
from services.runtime.clock import SystemClock
from services.runtime.retention.kinds import kinds_of
from services.stats import retention as statistics


def test_each_type_of_data_has_a_keeper_in_its_plane() -> None:
    """A type without one would be promised and not kept."""
    engine = sa.create_engine("sqlite://")
    found = {
        "ingest": ingest.keepers(engine, sentinel.log),
        "identity": identity.keepers(engine, sentinel.log, sentinel.keys, SystemClock()),
        "statistics": statistics.keepers(sentinel.analytics, engine, ZoneInfo("UTC")),
    }
    for plane, keepers in found.items():
        assert [keeper.kind for keeper in keepers] == [kind.name for kind in kinds_of(plane)], plane
