"""What orders erasures and writes, when the event log is not the one these records know."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from services.enricher import records
from services.enricher.service import Identity
from services.runtime.database import transaction
from services.runtime.errors import Fatal
from tests.parts.identity import TENANT, access, batch, link, linked, opened, send


def test_a_log_that_lacks_signals_stops_the_service(plane: Identity) -> None:
    """Restored from an older backup it would bring erased persons back; giving the request again mends it."""
    plane.rights.erase(TENANT, "ann", "C-1")
    with transaction(plane.engine) as connection:
        table = records.counters
        positions = table.c.name.startswith("signal-position/")
        connection.execute(sa.update(table).where(positions).values(value=table.c.value + 1))
    send(plane, batch([access("bob", "/bob")]))
    with pytest.raises(Fatal, match="older backup"):
        link(plane)
    plane.rights.erase(TENANT, "ann", "C-2")
    link(plane)
    assert linked(plane, "bob") == ["/bob"]


def test_a_log_begun_anew_is_noticed_and_works(tmp_path: Path) -> None:
    """Its offsets begin at 0 again, which is no reason to wait for old ones."""
    with opened(tmp_path) as plane:
        plane.rights.erase(TENANT, "ann", "C-1")
    for file in tmp_path.glob("events.db*"):
        file.unlink()
    with capture_logs() as logs, opened(tmp_path) as plane:
        send(plane, batch([access("bob", "/bob")]))
        link(plane)
        assert linked(plane, "bob") == ["/bob"]
    assert "privacy signals begin anew" in [entry["event"] for entry in logs]
