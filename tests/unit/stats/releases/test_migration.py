"""What was drawn before cells became vectors is never drawn again: it goes over as it is."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from services.runtime.database import open_records, upgrade
from services.stats.records import MIGRATIONS
from services.stats.releases.ledger import charges
from tests.unit.stats.releases.records import FIRST, NoisyCell, noisy_cells

BEFORE = "0010"


def test_drawn_days_keep_their_numbers(tmp_path: Path) -> None:
    """Values, scales and charges; the tenant had opted in to its own releases, which was all there was."""
    records = open_records(f"sqlite:///{tmp_path}/statistics.db")
    upgrade(records, MIGRATIONS, BEFORE)
    with records.begin() as connection:
        day = {"tenant": "harbour", "day": FIRST, "state": "stored", "rho": "1/200", "delta": "1/10000000"}
        times = {"epsilon": 0.48, "charged_at": "2026-11-02T12:00:00+00:00", "stored_at": "2026-11-02T12:00:01+00:00"}
        names = (*day, *times)
        insert = f"INSERT INTO release_days ({', '.join(names)}) VALUES ({', '.join(f':{n}' for n in names)})"
        connection.execute(sa.text(insert), {**day, **times, "day": str(FIRST)})
        cells = "INSERT INTO release_cells (tenant, day, measure, value, sigma) VALUES ('harbour', :day, :m, :v, :s)"
        for m, v, s in (("visitors", 512, 13), ("page_views", -7, 317)):
            connection.execute(sa.text(cells), {"day": str(FIRST), "m": m, "v": v, "s": s})
    upgrade(records, MIGRATIONS)
    with records.connect() as connection:
        (charge,) = charges(connection, "harbour")
        stored = noisy_cells(connection, "harbour", FIRST, FIRST)
    records.dispose()
    assert (charge.state, charge.own, charge.platform) == ("stored", True, False)
    assert stored == [
        NoisyCell("harbour", FIRST, "page_views", (), -7, 317),
        NoisyCell("harbour", FIRST, "visitors", (), 512, 13),
    ]
