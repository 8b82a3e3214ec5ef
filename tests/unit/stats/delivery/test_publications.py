"""What is published is what was signed, byte for byte."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from minisign import PublicKey

from services.runtime.clock import FixedClock
from services.runtime.errors import Fatal
from services.stats.delivery import publications
from services.stats.delivery.publications import Publications
from services.stats.releases.period import Period
from services.stats.releases.verify import verify
from tests.parts.delivery import NAME, build_release, publish
from tests.unit.stats.releases.records import FIRST, new_records


@pytest.mark.parametrize("swapped", ["totals.csv", "added.csv"])
def test_a_file_that_changes_after_it_was_verified_is_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swapped: str
) -> None:
    """Partners get what was verified, not what is in the folder a moment later."""
    records, clock = new_records(tmp_path), FixedClock(datetime(2026, 12, 1, tzinfo=UTC))
    release, _ = build_release(records, tmp_path, "chess-club", Period(FIRST, FIRST + timedelta(days=1)))

    def verify_and_swap(folder: Path, key: PublicKey) -> list[str]:
        problems = verify(folder, key)
        (folder / swapped).write_text("period,measure,value\n")
        return problems

    monkeypatch.setattr(publications, "verify", verify_and_swap)
    with pytest.raises(Fatal, match="changed while it was read"):
        publish(records, clock, tmp_path, NAME, release.version)
    assert Publications(records, clock).get(NAME, release.version) is None
