"""The preview of a release shows what is in its files, and nothing below 0."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path

from services.runtime.clock import FixedClock
from services.runtime.keys import FileKeyService
from services.runtime.web.languages import language
from services.stats.delivery.preview import ROWS_SHOWN, preview_of
from services.stats.delivery.publications import Publications
from services.stats.releases import package
from services.stats.releases.period import Period
from tests.parts.delivery import NAME, publish
from tests.unit.stats.releases.records import FIRST, new_records, store_days

DAYS = [FIRST + timedelta(n) for n in range(5)]


def test_days_have_their_interval_and_missing_ones_a_gap(tmp_path: Path) -> None:
    """Visitors of each day as the file has them; a day that was not drawn is there without a value."""
    records, clock = new_records(tmp_path), FixedClock(datetime(2026, 12, 1, tzinfo=UTC))
    store_days(records, "chess-club", DAYS[:1], visitors=3)  # so few that the interval begins below 0
    store_days(records, "chess-club", DAYS[2:], visitors=500)
    keys = FileKeyService(tmp_path / "release-keys")
    release, folder = package.build(records, keys, "chess-club", Period(DAYS[0], DAYS[4]), tmp_path / "releases")
    publish(records, clock, tmp_path, NAME, release.version)
    publications = Publications(records, clock)
    version = publications.get(NAME, release.version)
    assert version is not None
    preview = preview_of(publications, version, language("en"))
    with (folder / "daily.csv").open(newline="") as file:
        rows = {row["day"]: row for row in csv.DictReader(file) if row["measure"] == "visitors"}
    assert [day.value for day in preview.days] == [
        int(rows[str(day)]["value"]) if str(day) in rows else None for day in DAYS
    ]
    assert preview.days[1].value is preview.days[1].low is None
    assert int(rows[str(DAYS[0])]["value_lo"]) < 0 == preview.days[0].low
    assert preview.days[2].high == int(rows[str(DAYS[2])]["value_hi"])
    records.dispose()
    for sample in preview.samples:
        lines = len((folder / sample.file).read_text().splitlines()) - 1
        assert (len(sample.rows), sample.more) == (min(lines, ROWS_SHOWN), max(0, lines - ROWS_SHOWN))
        assert not [text for row in sample.rows for text in row if text.startswith("-")]
