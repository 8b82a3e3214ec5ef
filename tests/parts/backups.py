"""A small installation with something in every plane, to be backed up and lost."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import polars as pl
import sqlalchemy as sa

from services.cli.backing_up import back_up, restore
from services.cli.stores import plane_store
from services.ingest.records import sources
from services.runtime.clock import FixedClock
from services.runtime.database import transaction
from services.runtime.settings import Settings
from services.stats.closing.close import close_days
from services.stats.days.states import TenantDay
from services.stats.service import open_statistics
from tests.parts.closing import FIRST, START, new_world, random_day
from tests.parts.identity import TENANT, access, batch, link, opened, send

__all__ = ["CLOCK", "CLOSED_DAY", "OPEN_DAY", "fill", "keep", "lose_all_but_keys", "put_back", "settings_of", "shown"]

CLOCK = FixedClock(START)
CLOSED_DAY, OPEN_DAY = FIRST, FIRST + timedelta(days=1)
SOURCE = {
    "name": "web", "tenant": TENANT, "format": "combined", "authenticated": True, "created_at": START.isoformat(),
}  # fmt: skip


def settings_of(folder: Path) -> Settings:
    """`new_world` and `opened` of the same folder, as one installation."""
    statistics = {"records": "sqlite:///records.db", "keys": "file:///keys"}
    return Settings.model_validate({"data": folder, "statistics": statistics})


def fill(folder: Path) -> pl.DataFrame:
    """One closed and one open day, Ann's and Bob's linked activity, a source. Returns the published cells."""
    folder.mkdir(mode=0o700)
    world = new_world(folder)
    for number, day in enumerate((CLOSED_DAY, OPEN_DAY)):
        world.put(random_day(TENANT, day, 2000, number))
    close_days(world.closer, [TenantDay(TENANT, CLOSED_DAY)])
    cells = world.cells()
    world.close()
    with opened(folder) as plane:
        send(plane, batch([access("ann", "/ann"), access("bob", "/bob")]))
        link(plane)
    store = plane_store(settings_of(folder), "ingest")
    store.upgrade()
    with transaction(store.engine) as connection:
        connection.execute(sa.insert(sources).values(SOURCE))
    store.close()
    assert cells.height > 20
    return cells


def keep(folder: Path, backup: Path, parts: Sequence[str] = ()) -> None:
    back_up(settings_of(folder), backup, parts, CLOCK)


def put_back(folder: Path, backup: Path, parts: Sequence[str] = ()) -> None:
    restore(settings_of(folder), backup, parts, CLOCK)


def lose_all_but_keys(folder: Path) -> None:
    """The disk with the data is gone; the key folders lie elsewhere."""
    for entry in folder.iterdir():
        if entry.name != "keys":
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def shown(folder: Path) -> pl.DataFrame:
    """The published cells of a statistics plane that starts on the folder."""
    statistics = open_statistics(settings_of(folder), CLOCK)
    try:
        query = "SELECT * EXCEPT provisional FROM cells WHERE provisional = 0 ORDER BY ALL"
        return statistics.reading.frame(query)
    finally:
        statistics.close()
